// Runs every oracle program on Dormouse and compares with what workerd answered (golden/, recorded by `make oracle`).
// A difference must be listed in differences.json (accept.mjs) with Dormouse's answer and a reason; one that is gone must be struck off.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { isDeepStrictEqual } from "node:util";
import { missing, start } from "../scenario/lib.mjs";
import { askAll, goldenFile, HERE, PROGRAMS, scratch, writeProject } from "./run.mjs";

const DIFFERENCES = JSON.parse(readFileSync(join(HERE, "differences.json"), "utf8"));
const chosen = (process.env.PROGRAMS ?? "").split(/[\s,]+/).filter(Boolean);
const skip = missing({ only: "dormouse" });

async function askDormouse(name) {
  const { dir, remove } = scratch();
  await writeProject(join(dir, "project"), name);
  const server = await start(join(dir, "project"), { data: join(dir, "data") });
  try {
    return await askAll(server.url);
  } finally {
    await server.stop();
    remove();
  }
}

describe("the same program answers as on workerd", { skip }, () => {
  for (const program of PROGRAMS.filter((name) => chosen.length === 0 || chosen.includes(name))) {
    it(program, async (t) => {
      const golden = JSON.parse(readFileSync(goldenFile(program), "utf8"));
      const answers = await askDormouse(program);
      for (const name of Object.keys(golden)) {
        await t.test(name, () => {
          const listed = DIFFERENCES[`${program}: ${name}`];
          if (!listed) return assert.deepEqual(answers[name], golden[name]);
          assert.ok(!isDeepStrictEqual(answers[name], golden[name]), "listed in differences.json, but it no longer differs");
          assert.deepEqual(answers[name], listed.dormouse, "differs in another way than listed");
        });
      }
    });
  }
});

describe("the list of differences", () => {
  it("names recorded cases, each with a reason", () => {
    for (const [key, { kind, dormouse, reason }] of Object.entries(DIFFERENCES)) {
      const [program, ...name] = key.split(": ");
      const golden = JSON.parse(readFileSync(goldenFile(program), "utf8"));
      assert.ok(name.join(": ") in golden, `${key} is not a case`);
      assert.ok(dormouse !== undefined, `${key} does not say what Dormouse answers`);
      assert.ok(["intended", "gap"].includes(kind), `${key} is neither intended nor a gap`);
      assert.ok(reason?.length >= 20, `${key} needs a reason`);
    }
  });

  it("is in docs/compatibility.md", () => {
    const page = readFileSync(join(HERE, "../../docs/compatibility.md"), "utf8");
    for (const key of Object.keys(DIFFERENCES)) assert.ok(page.includes(key), `${key} is missing: make compatibility`);
  });
});
