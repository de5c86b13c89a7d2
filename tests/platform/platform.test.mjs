/*
 * Runs every case file in both worlds: `node --test tests/platform`.
 */
import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import { test } from "node:test";
import { runCases } from "./worlds.mjs";

for (const file of readdirSync(new URL("cases/", import.meta.url)).filter((name) => name.endsWith(".js")).sort()) {
  for (const kind of ["vm", "engine"]) {
    test(`${file} in ${kind}`, async (t) => {
      const results = await runCases(kind, file);
      assert.ok(results.length > 0, "the file has no tests");
      for (const { name, ok, message } of results) await t.test(name, () => assert.ok(ok, message));
    });
  }
}
