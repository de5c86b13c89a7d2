// What an agent was can be had again: by time, by bookmark, after more writes, under load, after a deletion; and undone.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { describe, it } from "node:test";
import { DORMOUSE, eventually, fixture, missing, scratch, serve, start } from "./lib.mjs";

const probe = fixture("probe");
const onlyHere = missing({ only: "dormouse" });

/* `dormouse agents VERB Probe/NAME …` on SERVER. */
function agents(server, verb, name, ...more) {
  const { status, stdout, stderr } = spawnSync(DORMOUSE, ["agents", verb, `Probe/${name}`, ...more, "--json", "--data", server.data], { encoding: "utf8" });
  return { status, answer: status === 0 ? JSON.parse(stdout) : undefined, complaint: status === 0 ? "" : stdout + stderr };
}

/* Later than everything acknowledged so far, and earlier than what comes: commits are told apart by their milliseconds. */
async function now() {
  const before = Date.now();
  await eventually(() => Date.now() > before + 1);
  const at = new Date(before + 1).toISOString();
  await eventually(() => Date.now() > before + 3);
  return at;
}

const put = async (server, name, from, to) => { for (let i = from; i < to; i++) await server.json(`/p/${name}/put?v=${i}`); };
const upTo = (count) => Array.from({ length: count }, (_, i) => `${i}`);

describe("restoring an agent", { skip: onlyHere }, () => {
  it("brings back what it was at a time, and undoing that what it was before", async (t) => {
    const server = await serve(t, probe);
    await put(server, "a", 0, 5);
    const then = await now();
    await put(server, "a", 5, 9);
    assert.deepEqual(await server.json("/p/a/all"), upTo(9)); // control: without a restore nothing goes back
    const { answer: { undo }, complaint } = agents(server, "restore", "a", "--at", then);
    assert.equal(complaint, "");
    assert.deepEqual(await server.json("/p/a/all"), upTo(5));
    await server.json("/p/a/put?v=new");
    assert.equal(agents(server, "restore", "a", "--at", undo).status, 0);
    assert.deepEqual(await server.json("/p/a/all"), upTo(9));
  });

  it("is durable, and reaches over a restart and a crash", async (t) => {
    const data = scratch();
    let server = await start(probe, { data: data.dir });
    t.after(async () => { await server.stop(); data.remove(); });
    await put(server, "a", 0, 3);
    const then = await now();
    await put(server, "a", 3, 6);
    await server.stop();
    server = await start(probe, { data: data.dir });
    await put(server, "a", 6, 8);
    await server.kill9();
    server = await start(probe, { data: data.dir });
    assert.deepEqual(await server.json("/p/a/all"), upTo(8));
    assert.equal(agents(server, "restore", "a", "--at", then).complaint, "");
    await server.kill9();
    server = await start(probe, { data: data.dir });
    assert.deepEqual(await server.json("/p/a/all"), upTo(3));
  });

  it("refuses times that history does not reach, and what is no time, and changes nothing", async (t) => {
    const server = await serve(t, probe);
    await put(server, "a", 0, 2);
    assert.match(agents(server, "restore", "a", "--at", "2020-01-01").complaint, /does not reach back to then; the oldest time that it does is 20\d\d-/);
    assert.match(agents(server, "restore", "a", "--at", "2999-01-01").complaint, /in the future/);
    assert.match(agents(server, "restore", "a", "--at", "yesterday").complaint, /is no time/);
    assert.match(agents(server, "restore", "a").complaint, /Restore to when/);
    assert.match(agents(server, "restore", "nobody", "--at", "-1s").complaint, /no history of this agent/);
    assert.deepEqual(await server.json("/p/a/all"), upTo(2));
  });

  it("brings back one that was deleted, by time", async (t) => {
    const server = await serve(t, probe);
    await put(server, "a", 0, 4);
    const then = await now();
    const { answer: { undo } } = agents(server, "restore", "a", "--at", then);
    assert.equal(agents(server, "delete", "a", "--yes").status, 0);
    await server.json("/p/a/put?v=reborn");
    assert.match(agents(server, "restore", "a", "--at", undo).complaint, /was deleted after this bookmark/);
    assert.deepEqual(await server.json("/p/a/all"), ["reborn"]);
    assert.equal(agents(server, "restore", "a", "--at", then).complaint, "");
    assert.deepEqual(await server.json("/p/a/all"), upTo(4));
  });

  it("gives back the alarm that was armed then", async (t) => {
    const server = await serve(t, probe);
    await server.fetch("/p/a/alarm?in=3600000");
    const due = await server.json("/p/a/due"), then = await now();
    await server.fetch("/p/a/alarm?in=7200000");
    assert.notEqual(await server.json("/p/a/due"), due);
    assert.equal(agents(server, "restore", "a", "--at", then).complaint, "");
    assert.equal(await server.json("/p/a/due"), due);
  });

  it("holds while others, and it itself, go on writing", async (t) => {
    const server = await serve(t, probe);
    let isStopped = false, count = 0;
    const load = ["a", "b", "c", "d"].map(async (name) => {
      for (let i = 0; !isStopped; i++) {
        const answer = await server.fetch(`/p/${name}/put?v=${name}${i}`).catch(() => null);
        if (answer) { await answer.text(); count++; }
      }
    });
    await eventually(() => count > 300);
    const then = await now(), before = await server.json("/p/a/all");
    await eventually(() => count > 600);
    for (let i = 0; i < 3; i++) assert.equal(agents(server, "restore", "a", "--at", then).complaint, "");
    await eventually(() => count > 900);
    isStopped = true;
    await Promise.all(load);
    const after = await server.json("/p/a/all");
    const kept = after.filter((v, i) => before[i] === v).length;
    assert.ok(kept > 50 && kept <= before.length && before.length - kept <= 30, `${kept} of ${before.length} writes from before`);
    assert.equal(new Set(after).size, after.length);
    const others = await server.json("/p/b/all");
    assert.deepEqual(others, others.map((_, i) => `b${i}`)); // nobody else went back
  });

  it("finds states by bases that lie between them, over many commits and a restart", async (t) => {
    const data = scratch();
    let server = await start(probe, { data: data.dir });
    t.after(async () => { await server.stop(); data.remove(); });
    const times = [];
    for (let i = 0; i < 1300; i += 130) {
      await put(server, "a", i, i + 130);
      times.push(await now());
    }
    await server.stop();
    server = await start(probe, { data: data.dir });
    for (const i of [2, 7, 4]) {
      assert.equal(agents(server, "restore", "a", "--at", times[i]).complaint, "");
      assert.deepEqual(await server.json("/p/a/all"), upTo(130 * (i + 1)));
    }
  });

  it("lists when there were commits", async (t) => {
    const server = await serve(t, probe);
    assert.deepEqual(agents(server, "history", "a").answer.history, []);
    await put(server, "a", 0, 7);
    const { history } = agents(server, "history", "a").answer;
    assert.equal(history.reduce((sum, span) => sum + span.commits, 0), 7);
    assert.ok(history.every(({ from_ms, to_ms }) => from_ms <= to_ms && to_ms <= Date.now() && from_ms > Date.now() - 600_000));
  });
});

describe("bookmarks in code", { skip: onlyHere }, () => {
  const q = encodeURIComponent;

  it("order as the states do, and name them", async (t) => {
    const server = await serve(t, probe);
    await put(server, "a", 0, 3);
    const first = await server.json("/p/a/bookmark");
    await now();
    await put(server, "a", 3, 5);
    const second = await server.json("/p/a/bookmark");
    assert.ok(first < second, `${first} < ${second}`);
    assert.match(first, /^[0-9a-f]{8}-[0-9a-f]{8}-[0-9a-f]{8}-[0-9a-f]{32}$/);
    assert.equal((await server.fetch(`/p/a/restoreNow?v=${first}`)).status, 555); // aborted
    assert.deepEqual(await server.json("/p/a/all"), upTo(3));
    assert.equal((await server.fetch(`/p/a/restoreNow?v=${second}`)).status, 555);
    assert.deepEqual(await server.json("/p/a/all"), upTo(5));
  });

  it("take effect when the next session begins, and not before; the answer undoes it", async (t) => {
    const server = await serve(t, probe);
    await put(server, "a", 0, 2);
    const then = await now(), bookmark = await server.json(`/p/a/bookmarkAt?v=${q(then)}`);
    await put(server, "a", 2, 6);
    const undo = await server.json(`/p/a/restore?v=${bookmark}`);
    await put(server, "a", 6, 7);
    assert.deepEqual(await server.json("/p/a/all"), upTo(7)); // control: this session goes on
    await server.fetch("/p/a/abort");
    assert.deepEqual(await server.json("/p/a/all"), upTo(2));
    await server.fetch(`/p/a/restoreNow?v=${undo}`);
    assert.deepEqual(await server.json("/p/a/all"), upTo(7));
  });

  it("are not forgotten when the session ends with its worker", async (t) => {
    const server = await serve(t, probe);
    await put(server, "a", 0, 2);
    const bookmark = await server.json("/p/a/bookmark");
    await put(server, "a", 2, 4);
    await server.json(`/p/a/restore?v=${bookmark}`);
    for (const { pid } of server.rooms("worker")) process.kill(pid, "SIGKILL");
    await eventually(async () => (await server.fetch("/p/a/all")).status === 200);
    assert.deepEqual(await server.json("/p/a/all"), upTo(2));
  });

  it("that make no sense are refused with an exception", async (t) => {
    const server = await serve(t, probe);
    await put(server, "a", 0, 2);
    const refusal = async (path) => (await (await server.fetch(`/p/a/${path}`)).json()).message;
    assert.equal(await refusal("restore?v=nonsense"), "The bookmark is not valid.");
    assert.equal(await refusal("bookmarkAt?v=2020-01-01"), "The time of a bookmark must be within the last 30 days.");
    assert.equal(await refusal("bookmarkAt?v=2999-01-01"), "The time of a bookmark must not be in the future.");
    /* One that history does not reach: whoever comes next is told, then the agent is as it was. */
    const early = await server.json(`/p/a/bookmarkAt?v=${q(new Date(Date.now() - 3600_000).toISOString())}`);
    await server.fetch(`/p/a/restoreNow?v=${early}`);
    await eventually(async () => (await server.fetch("/p/a/all")).status === 200);
    assert.deepEqual(await server.json("/p/a/all"), [...upTo(2), "lost"]);
  });

  it("that cannot be had leave what is only in the journal yet", async (t) => {
    const server = await serve(t, probe);
    for (const name of "abcdefghijkl") {
      const early = await server.json(`/p/${name}/bookmarkAt?v=${q(new Date(Date.now() - 3600_000).toISOString())}`);
      await put(server, name, 0, 2);
      /* Whoever comes while the last commit is on its way begins the next session. */
      await Promise.all([`restoreNow?v=${early}`, ...Array(30).fill("all")].map(async (path) => (await server.fetch(`/p/${name}/${path}`)).text()));
      await eventually(async () => (await server.fetch(`/p/${name}/all`)).status === 200);
      assert.deepEqual(await server.json(`/p/${name}/all`), [...upTo(2), "lost"]);
    }
  });
});
