// A damaged database keeps its agent away, and nobody else: callers learn it without our paths, the journal is not asked for its records again and again,
// and the agent works again when its file does.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { closeSync, openSync, readFileSync, writeFileSync, writeSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { DORMOUSE, eachFile, eventually, fixture, missing, scratch, start } from "./lib.mjs";

const ASKS = 40;
const TRIES_MAX = 8; // of opening it, while all of them ask: the pause between two grows to 2 s

describe("a damaged database", { skip: missing({ only: "dormouse" }) }, () => {
  it("whose records in the journal do not make it whole keeps its agent away, quietly", async (t) => {
    const data = scratch();
    let server = await start(fixture("probe"), { data: data.dir });
    t.after(async () => { await server.stop(); data.remove(); });
    const databases = () => eachFile(data.dir).filter((path) => /Probe.*db\.sqlite$/.test(path)).map((path) => join(data.dir, path));
    const stays = () => {
      const done = spawnSync(DORMOUSE, ["logs", "--lines", "1000", "--data", data.dir], { encoding: "utf8" });
      assert.equal(done.status, 0, done.stderr);
      return done.stdout.split("\n").filter((line) => line.includes("it stays away"));
    };

    await server.json("/p/hurt/put?v=old");
    await server.stop();
    const [file] = databases();
    server = await start(fixture("probe"), { data: data.dir });
    await server.json("/p/hurt/put?v=new");
    await server.json("/p/well/put?v=old");
    await server.kill9(); // what is new is in the journal, a part of the database
    const whole = readFileSync(file);
    const handle = openSync(file, "r+");
    writeSync(handle, "no database here");
    closeSync(handle);

    server = await start(fixture("probe"), { data: data.dir });
    for (let i = 0; i < ASKS; i++) {
      const answer = await server.fetch("/p/hurt/all"), { message, retryable } = await answer.json();
      assert.equal(answer.status, 555);
      assert.equal(message, "Durable Object's storage is damaged; restore it from a backup.");
      assert.notEqual(retryable, true);
    }
    await eventually(() => stays().length > 0 || "the log does not say it");
    assert.ok(stays()[0].includes(file), `the log does not say which file: ${stays()[0]}`);
    assert.deepEqual(await server.json("/p/well/all"), ["old"]);
    assert.ok(stays().length <= TRIES_MAX, `it was tried ${stays().length} times`);

    writeFileSync(file, whole); // in place: its owner stays
    await eventually(async () => (await server.fetch("/p/hurt/all")).status === 200 || "it stays away");
    assert.deepEqual(await server.json("/p/hurt/all"), ["old", "new"]);
  });
});
