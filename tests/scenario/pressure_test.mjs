// Memory that gets short: agents sleep, warm and then on disk, before the kernel kills their worker; and one that wants too much ends alone.
import assert from "node:assert/strict";
import { execFileSync, spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { DORMOUSE, eventually, fixture, missing, serve, stats } from "./lib.mjs";

const sleeper = fixture("sleeper");
const skip = missing({ only: "dormouse" });
const NEVER = { warm_ms: 3_600_000, idle_ms: 3_600_000, cold_ms: 3_600_000 };
const MEMORY_MB = 128;
const HEAP_ADDRESSES = 4 * 1024 ** 3, FEW_ADDRESSES = 16 * HEAP_ADDRESSES, CROWD = 60;
const AGENTS = 600, LINES = 4000;   // about 450 KB each awake

/* The counters of the one worker. */
function worker(server) {
  const done = spawnSync(DORMOUSE, ["top", "--once", "--json", "--data", server.data], { encoding: "utf8" });
  assert.equal(done.status, 0, done.stderr);
  return JSON.parse(done.stdout).rooms.find(({ role }) => role === "worker");
}

async function serveSmall(t, memory_mb = MEMORY_MB) {
  const server = await serve(t, sleeper, { config: { limits: NEVER, worker_memory_mb: memory_mb, workers: 1 } });
  const [{ pid }] = server.rooms("worker");
  const isLimited = readFileSync(`/proc/${pid}/cgroup`, "utf8").includes("worker-");
  if (!isLimited) t.skip("no cgroup here: not root, or not delegated");
  return { server, pid, isLimited };
}

/* What is started next may have FEW_ADDRESSES: it takes the limit over from this process, which has fewer mapped itself. */
function withFewAddresses() {
  const limit = (bytes) => execFileSync("prlimit", ["--pid", String(process.pid), `--as=${bytes}:`]);
  limit(FEW_ADDRESSES);
  return { onSpawn: () => limit("unlimited") };
}

async function each(count, work, inFlight = 8) {
  let next = 0;
  await Promise.all(Array.from({ length: inFlight }, async () => { while (next < count) await work(next++); }));
}

describe("memory pressure", { skip }, () => {
  it("puts agents to sleep before the kernel kills their worker; they remember", async (t) => {
    const { server, pid, isLimited } = await serveSmall(t);
    if (!isLimited) return;
    await each(AGENTS, (i) => server.json(`/s/agent-${i}/fill?v=${LINES}`));
    const { counters, memory_bytes } = worker(server);
    assert.equal(counters.births, AGENTS);
    assert.ok(counters.sleeps > AGENTS / 3, `${counters.sleeps} slept`);
    assert.ok(memory_bytes < MEMORY_MB << 20);
    await each(AGENTS, async (i) => {
      const line = (i * 7) % LINES;
      assert.equal(await server.json(`/s/agent-${i}/line?v=${line}`), `line ${line} of /s/agent-${i}/fill`);
    });
    assert.deepEqual(server.rooms("worker").map((one) => one.pid), [pid], "nobody was killed");
    assert.match(server.output.join("\n"), /the memory of worker-\S+ is tight: idle agents go to sleep \(\d+ of 128 MB in use\)/);
  });

  it("takes images to disk when sleep in memory is not enough, and ends", async (t) => {
    const { server, pid, isLimited } = await serveSmall(t);
    if (!isLimited) return;
    await each(AGENTS, (i) => server.json(`/s/agent-${i}/noise?v=${180_000}`));   // does not compress
    const { counters } = worker(server);
    assert.ok(counters.colds > 0, `${counters.colds} went to disk`);
    await each(AGENTS, async (i) => assert.equal(await server.json(`/s/agent-${i}/noise`), 180_000));
    assert.deepEqual(server.rooms("worker").map((one) => one.pid), [pid]);
    await eventually(() => worker(server).counters.pressure < 2);
  });

  it("a heap bomb hits its own limit, not its neighbours'", async (t) => {
    const { server, pid, isLimited } = await serveSmall(t, 96);    // less than one heap may have where nothing limits the worker
    if (!isLimited) return;
    await server.json("/s/neighbour/step?v=a");
    const bombed = await server.fetch("/s/bomb/bomb");
    assert.equal(bombed.status, 500);
    assert.match(spawnSync(DORMOUSE, ["logs", "Sleeper/bomb", "--data", server.data], { encoding: "utf8" }).stdout, /exceeded its memory limit and was reset/);
    const { calls, starts } = await server.json("/s/neighbour/step?v=a");
    assert.deepEqual([calls, starts], [2, 1]);
    assert.equal((await server.json("/s/bomb/step?v=a")).calls, 1, "it starts anew");
    assert.deepEqual(server.rooms("worker").map((one) => one.pid), [pid]);
  });

  it("of addresses: agents sleep for others when no more heaps fit, and nobody is lost", async (t) => {
    const server = await serve(t, sleeper, { limits: { warm_ms: 3_600_000, idle_ms: 3_600_000 }, args: ["--workers", "1"], ...withFewAddresses() });
    for (const calls of [1, 2]) {
      const told = await Promise.all(Array.from({ length: CROWD }, (_, i) => server.json(`/s/crowd-${i}/step?v=a`)));
      assert.deepEqual(told.map((one) => [one.calls, one.starts]), told.map(() => [calls, 1]));
    }
    const { awake, sleeps } = await stats(server);
    assert.ok(awake < FEW_ADDRESSES / HEAP_ADDRESSES && sleeps >= CROWD, `${awake} awake, ${sleeps} fell asleep`);
  });
});
