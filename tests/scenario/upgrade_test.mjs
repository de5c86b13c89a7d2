// A node goes on with what an earlier release left: each archive of tests/upgrade/data is the folder of one that was killed under way.
import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { DORMOUSE, eventually, missing, ROOT, scratch, start } from "./lib.mjs";

const HERE = join(ROOT, "tests/upgrade"), APP = join(HERE, "app");
const RELEASES = readdirSync(join(HERE, "data")).filter((file) => file.endsWith(".tar.gz")).map((file) => file.replace(".tar.gz", ""));

/* A server on the data of RELEASE, and what was in it. */
async function upgraded(t, release) {
  const { dir: data, remove } = scratch();
  execFileSync("tar", ["-xmpzf", join(HERE, "data", `${release}.tar.gz`), "-C", data]);
  const server = await start(APP, { data, isDeployed: true });
  t.after(async () => { await server.stop(); remove(); });
  const ask = (name, rest = "look") => server.json(`/k/${encodeURIComponent(name)}/${rest}`);
  const dormouse = (...words) => {
    const { status, stdout, stderr } = spawnSync(DORMOUSE, [...words, "--json"], { encoding: "utf8" });
    assert.equal(status, 0, stdout + stderr);
    return JSON.parse(stdout.trim().split("\n").at(-1));
  };
  const agents = (verb, ...more) => dormouse("agents", verb, ...more, "--data", data);
  return { server, data, ask, agents, dormouse, expected: JSON.parse(readFileSync(join(HERE, "data", `${release}.json`), "utf8")) };
}

describe("the data of an earlier release", { skip: missing({ only: "dormouse" }) }, () => {
  it("is there for each release", () => assert.ok(RELEASES.length > 0));

  for (const release of RELEASES) {
    it(`${release}: every agent has what it had, also what was in the journal only`, async (t) => {
      const { ask, agents, expected } = await upgraded(t, release);
      const { bookmark, ...states } = expected;
      for (const [name, state] of Object.entries(states)) assert.deepEqual(await ask(name), state, name);
      assert.deepEqual(await ask("rich", "found?v=two"), [{ text: "one two" }, { text: "two three" }]);
      assert.deepEqual((await ask("gone")).rows, []);
      await eventually(() => {
        const names = agents("list", "Keeper").agents.map(({ name }) => name);
        return Object.keys(states).every((name) => names.includes(name)) || `the list has ${names}`;
      });
      await eventually(async () => (await ask("overdue")).fired === 1 || "the overdue alarm has not fired");
    });

    it(`${release}: what it kept of the past can be had again`, async (t) => {
      const { server, ask, agents, expected } = await upgraded(t, release);
      assert.deepEqual(await ask("past"), expected.past);
      agents("restore", "Keeper/past", "--at", expected.bookmark);
      assert.deepEqual((await ask("past")).rows.map(({ v }) => v), ["1", "2", "3"]);
      assert.deepEqual((await ask("kept")).rows.map(({ v }) => v), ["before", "after"]);
      agents("rollback", "Keeper/kept", "--snapshot", "then");
      assert.deepEqual((await ask("kept")).rows.map(({ v }) => v), ["before"]);
      await ask("kept", "put?v=new");
      await server.kill9();
      const again = await start(APP, { data: server.data, isDeployed: true });
      t.after(() => again.stop());
      assert.deepEqual((await again.json("/k/kept/look")).rows.map(({ v }) => v), ["before", "new"]);
      assert.deepEqual((await again.json("/k/past/look")).rows.map(({ v }) => v), ["1", "2", "3"]);
    });

    it(`${release}: can be backed up and restored`, async (t) => {
      const { data, ask, dormouse, expected } = await upgraded(t, release);
      const { dir, remove } = scratch();
      t.after(remove);
      await ask("plain", "put?v=of today");
      dormouse("backup", join(dir, "backup"), "--data", data);
      dormouse("backup", "verify", join(dir, "backup"));
      dormouse("restore", join(dir, "backup"), "--data", join(dir, "data"));
      const again = await start(APP, { data: join(dir, "data"), isDeployed: true });
      t.after(() => again.stop());
      assert.deepEqual((await again.json("/k/plain/look")).rows.map(({ v }) => v), [...expected.plain.rows.map(({ v }) => v), "of today"]);
      assert.deepEqual(await again.json("/k/rich/look"), expected.rich);
    });
  }
});
