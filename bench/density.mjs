// make bench-density: how many agents fit, and what they cost while they wait. docs/density.md says what was seen.
//   AGENTS=50000      agents that are created; the other sections scale with it
//   SOCKETS=10000     WebSockets (default: a fifth of AGENTS, up to 60,000); WAITING=5000 agents that wait for a model (a tenth, up to 15,000)
//   ACTIVE_S=20       seconds of 1 % of them called per second
//   SECTIONS="warm storm model sockets"   only these
import { execFileSync, fork, spawnSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, statfsSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { descendants, DORMOUSE, eventually, ROOT, startDormouse } from "../tests/scenario/lib.mjs";
import { GIVEN_BACK_S, cpuMs, memory, sleep } from "./measure.mjs";
import { round } from "./rig.mjs";

const AGENTS = Number(process.env.AGENTS ?? 50_000);
const ACTIVE_S = Number(process.env.ACTIVE_S ?? 20);
const SECTIONS = (process.env.SECTIONS ?? "warm storm model sockets").split(/\s+/);
const STORM = Math.min(10_000, Math.floor(AGENTS / 2));
const KB_EACH = 16, DISK_KB_EACH = 32, FILES_EACH = 3;       // more than a warm agent takes: what the machine must have free
const FILES_SPARE = 1500;                                    // descriptors of a room that are not sockets of this
const FILES_MAX = Number(/Max open files +\d+ +(\d+)/.exec(readFileSync("/proc/self/limits", "utf8"))?.[1] ?? Infinity);
const SOCKETS_WANTED = Number(process.env.SOCKETS ?? Math.min(60_000, Math.floor(AGENTS / 5)));
const SOCKETS = Math.min(SOCKETS_WANTED, FILES_MAX - FILES_SPARE);
const SOCKETS_PER_CLIENT = 15_000;
const WAITING = Math.min(Number(process.env.WAITING ?? Math.min(15_000, Math.floor(AGENTS / 10))), FILES_MAX - FILES_SPARE);
const IN_FLIGHT = 32;
const app = join(ROOT, "bench/apps/density");
const KEEP_WARM = { warm_ms: 2000, cold_ms: 24 * 3600_000, requests_max: 20_000, head_timeout_ms: 120_000, idle_timeout_ms: 120_000 };   // lines of the storm are open before
const script = (name) => fileURLToPath(new URL(name, import.meta.url));

const at = (sorted, share) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))];
const spread = (ms) => (ms.sort((a, b) => a - b), `p50 ${round(at(ms, 0.5), 1)}, p99 ${round(at(ms, 0.99), 1)}, max ${round(ms.at(-1), 1)} ms`);
const mib = (kb) => `${round(kb / 1024)} MiB`;
const say = (what, value) => console.log(`| ${what} | ${value} |`);
const progress = (what, of) => { const began = performance.now(); return (count) => console.error(`  ${what}: ${round(count)} of ${round(of)}, ${round(count / ((performance.now() - began) / 1000))} per second`); };

/* A process of density_load.mjs. */
class Load {
  static all = new Set();

  constructor() {
    this.child = fork(script("density_load.mjs"), [], { stdio: ["ignore", "inherit", "inherit", "ipc"], serialization: "advanced" });
    this.open = new Map();
    this.last = 0;
    this.child.on("message", ({ id, result, failure, progress: count }) => {
      const call = this.open.get(id);
      if (count !== undefined) return call.tell?.(count);
      this.open.delete(id);
      if (failure) call.reject(new Error(failure));
      else call.resolve(result);
    });
    this.child.on("exit", () => { for (const { reject } of this.open.values()) reject(new Error("the load generator died")); });
    Load.all.add(this);
  }

  do(op, args, tell) {
    const id = ++this.last;
    return new Promise((resolve, reject) => { this.open.set(id, { resolve, reject, tell }); this.child.send({ id, op, args }); });
  }

  end() {
    Load.all.delete(this);
    this.child.disconnect();
  }
}

function workers(server) {
  const { stdout, stderr, status } = spawnSync(DORMOUSE, ["top", "--once", "--json", "--data", server.data], { encoding: "utf8", maxBuffer: 1 << 26 });
  if (status !== 0) throw new Error(stderr);
  return JSON.parse(stdout).rooms.filter(({ role, counters }) => role === "worker" && counters);
}
const count = (server, name) => workers(server).reduce((sum, { counters }) => sum + (counters[name] ?? 0), 0);
const untilAsleep = (server, entries = 2) => eventually(() => count(server, "awake") <= entries + 1 || "agents stay awake", 300_000);

/* KiB per one of MANY that each room grew by since BEFORE; rooms that grew by less than 0.1 are left out. */
function rooms(server) {
  const kb = new Map();
  for (const { pid, room } of descendants(server.pid)) kb.set(room, (kb.get(room) ?? 0) + memory(pid, true).pssKb);
  return kb;
}
function grown(server, before, many) {
  const parts = [...rooms(server)].map(([room, kb]) => [room, (kb - (before.get(room) ?? 0)) / many]);
  return parts.filter(([, kb]) => kb >= 0.1).sort((a, b) => b[1] - a[1]).map(([room, kb]) => `${room} ${round(kb, 1)}`).join(", ");
}

async function warm(server, load) {
  const before = memory(server.pid).pssKb, disk = statfsSync(server.data), roomsBefore = rooms(server);
  const born = await load.do("touch", { port: server.port, path: "/a/agent-{i}/call", count: AGENTS, inFlight: IN_FLIGHT }, progress("created", AGENTS));
  const used = statfsSync(server.data);
  say(`${round(AGENTS)} agents created, each called once`, `${round(AGENTS / born.seconds)} per second, ${born.failed} failed; ${round(((disk.bfree - used.bfree) * disk.bsize) / 1024 / AGENTS, 1)} KiB of disk and ${round((disk.ffree - used.ffree) / AGENTS, 1)} inodes each`);
  await untilAsleep(server);
  const asleep = memory(server.pid);
  say("memory of all rooms, all agents asleep with their heaps", `${mib(before)} → ${mib(asleep.pssKb)}: ${round((asleep.pssKb - before) / AGENTS, 2)} KiB per agent (${grown(server, roomsBefore, AGENTS)}); ${round(asleep.fds)} descriptors in all`);
  const wakes = count(server, "warm_wakes"), warmBefore = count(server, "warm");
  const { ms, failed, lines, generator } = await load.do("pace", { port: server.port, path: "/a/agent-{i}/call", agents: AGENTS, perSecond: AGENTS / 100, seconds: ACTIVE_S });
  say(`1 % of them called per second (${round(AGENTS / 100)}/s), ${ACTIVE_S} s`, `${spread(ms)}; ${failed} failed; ${lines} connections, load generator ${round(generator * 100)} % of a core`);
  say("of these calls, to an agent that was asleep with its heap", `${round(count(server, "warm_wakes") - wakes)} of ${round(ms.length)}; ${round(warmBefore)} were asleep when it began`);
  await untilAsleep(server);
  say("memory afterwards, asleep again", mib(memory(server.pid).pssKb));
  const kept = await Promise.all(Array.from({ length: 200 }, (_, i) => server.json(`/a/agent-${Math.floor((i * AGENTS) / 200)}/call`)));
  if (kept.some((calls) => calls < 2)) throw new Error("an agent forgot its heap");
}

/* An awake agent asked every 10 ms by a process of its own while USE runs. */
async function probed(server, use) {
  const prober = new Load();
  await prober.do("probe", { port: server.port, path: "/a/probe/call", everyMs: 10 });
  const result = await use(), { ms, failed } = await prober.do("probed");
  prober.end();
  return { ms, failed, result };
}

async function storm(server, load) {
  const idle = await probed(server, () => sleep(3));
  say("an awake agent asked every 10 ms, all others asleep", spread(idle.ms));
  await load.do("lines", { port: server.port, count: STORM });
  const { ms, failed, result } = await probed(server, () => load.do("storm", { path: "/a/agent-{i}/call", seconds: 1 }));
  say(`${round(STORM)} sleeping agents called within a second: the last answer`, `after ${round(result.seconds, 1)} s; ${spread(result.ms)}; ${result.failed} failed`);
  say("the awake agent meanwhile", `${spread(ms)}; ${failed} failed`);
}

/* WAITING agents read an answer of the model; memory is looked at LOOK_S after the first one began. */
async function listen(server, load, modelPort, { title, names, query, lookS, stepS }) {
  await load.do("touch", { port: server.port, path: `/a/${names}-{i}/call`, count: WAITING, inFlight: IN_FLIGHT }, progress("created", WAITING));
  await untilAsleep(server);
  await sleep(GIVEN_BACK_S);
  const before = memory(server.pid).pssKb, roomsBefore = rooms(server), began = performance.now();
  const url = encodeURIComponent(`http://127.0.0.1:${modelPort}/?${query}`);
  const { failed, seconds } = await load.do("touch", { port: server.port, path: `/a/${names}-{i}/model?url=${url}`, count: WAITING, inFlight: IN_FLIGHT, seconds: stepS });
  if (seconds > lookS) say("WARNING", `the last agent asked the model ${round(seconds)} s after the first: too many for this machine, some have their answer already`);
  const asked = { at: performance.now(), cpuMs: cpuMs(server.pid), sleeps: count(server, "sleeps") };
  await sleep(Math.max(0, lookS - (performance.now() - began) / 1000));
  const looked = (performance.now() - began) / 1000, waiting = memory(server.pid);
  say(`${round(WAITING)} agents in the middle of an answer of a model ${title}`, `${round((waiting.pssKb - before) / WAITING, 1)} KiB per agent in all rooms after ${round(looked)} s (${grown(server, roomsBefore, WAITING)}); ${failed} failed; ${round(count(server, "awake"))} awake at that time`);
  if (stepS) {
    const pieces = (WAITING * (performance.now() - asked.at)) / 1000 / stepS;
    say("processor time of all rooms per token meanwhile", `${round((1000 * (cpuMs(server.pid) - asked.cpuMs)) / pieces)} µs; ${round((count(server, "sleeps") - asked.sleeps) / pieces, 2)} times asleep`);
  }
  const done = new Set(), ask = async (i) => {
    const { isDone, failure } = await server.json(`/a/${names}-${i}/heard`);
    if (failure) throw new Error(`agent ${names}-${i}: ${failure}`);
    if (isDone) done.add(i);
  };
  await eventually(async () => {
    for (let i = 0; i < WAITING; i += Math.ceil(WAITING / 100)) if (!done.has(i)) await ask(i);
    return done.size >= Math.min(100, Math.ceil(WAITING / Math.ceil(WAITING / 100))) || `${done.size} of 100 heard the end`;
  }, 180_000);
  const { heard } = await server.json(`/a/${names}-0/heard`);
  say("what each heard of it in the end", `${heard} bytes: all`);
}

async function model(server, load) {
  const child = fork(script("density_model.mjs"), [], { stdio: ["ignore", "pipe", "inherit", "ipc"] });
  try {
    const port = Number((await once(child.stdout, "data"))[0]);
    await listen(server, load, port, { title: "that thinks for 30 s, then streams", names: "thought", query: "first_ms=30000&step_ms=100", lookS: 22 });
    await listen(server, load, port, { title: "with a token each 3 s for 30 s", names: "talk", query: "first_ms=3000&step_ms=3000", lookS: 22, stepS: 3 });
  } finally {
    child.kill();
  }
}

async function sockets(server) {
  if (SOCKETS < SOCKETS_WANTED) say("LIMIT", `${round(SOCKETS_WANTED)} WebSockets need as many descriptors in one process; the hard limit is ${round(FILES_MAX)} (ulimit -Hn), so ${round(SOCKETS)}. As root: prlimit --nofile=1048576:1048576 --pid $$`);
  await untilAsleep(server);
  const before = memory(server.pid), roomsBefore = rooms(server), tell = progress("connected", SOCKETS);
  const clients = [], began = performance.now();
  for (let from = 0; from < SOCKETS; from += SOCKETS_PER_CLIENT) {
    const client = new Load();
    clients.push(client);
    await client.do("sockets", { port: server.port, path: "/a/socket-{i}/ws", from, count: Math.min(SOCKETS_PER_CLIENT, SOCKETS - from), inFlight: IN_FLIGHT, address: clients.length }, (some) => tell(from + some));
  }
  const seconds = (performance.now() - began) / 1000;
  await untilAsleep(server);
  const after = memory(server.pid);
  say(`${round(SOCKETS)} hibernated WebSockets, one per agent, agents asleep with their heaps`, `${round((after.pssKb - before.pssKb) / SOCKETS, 1)} KiB each in all rooms (${grown(server, roomsBefore, SOCKETS)}), ${round((after.fds - before.fds) / SOCKETS, 2)} descriptors; connected at ${round(SOCKETS / seconds)} per second`);
  const said = await Promise.all(clients.map((client) => client.do("say", { perSecond: SOCKETS / 100 / clients.length, seconds: ACTIVE_S })));
  say(`1 % of them say something per second (${round(SOCKETS / 100)}/s), ${ACTIVE_S} s: the echo`, `${spread(said.flatMap(({ ms }) => ms))}; ${said.reduce((sum, { lost }) => sum + lost, 0)} sockets lost`);
  for (const client of clients) client.end();
}

const free = Number(/MemAvailable:\s+(\d+)/.exec(readFileSync("/proc/meminfo", "utf8"))[1]);
if (AGENTS * KB_EACH + 1024 * 1024 > free) throw new Error(`${AGENTS} agents may need ${mib(AGENTS * KB_EACH)}; ${mib(free)} are free`);
console.log(`| what | measured |\n| --- | --- |`);
for (const section of [{ warm, storm }, { model }, { sockets }]) {
  const names = Object.keys(section).filter((name) => SECTIONS.includes(name));
  if (names.length === 0) continue;
  const data = mkdtempSync(join(tmpdir(), "dormouse-bench-")), disk = statfsSync(data);
  if (disk.bavail * disk.bsize < AGENTS * DISK_KB_EACH * 1024 || disk.ffree < AGENTS * FILES_EACH)
    throw new Error(`${AGENTS} agents may need ${round((AGENTS * DISK_KB_EACH) / 1024 / 1024, 1)} GiB and ${round(AGENTS * FILES_EACH)} inodes in ${tmpdir()} (TMPDIR chooses another place)`);
  const load = new Load();
  try {
    const server = await startDormouse(app, { data, limits: KEEP_WARM, args: ["--allow-private", "--workers", "2"] });
    try {
      await server.json("/a/first/call");
      if (names.includes("storm") && !names.includes("warm"))
        await load.do("touch", { port: server.port, path: "/a/agent-{i}/call", count: STORM, inFlight: IN_FLIGHT }).then(() => untilAsleep(server));
      for (const name of names) await section[name](server, load);
    } catch (error) {
      console.error(server.output.slice(-20).join("\n"));
      throw error;
    } finally {
      await server.kill9();
    }
  } finally {
    for (const one of [...Load.all]) one.end();
    execFileSync("rm", ["-rf", data]);       // a million files: node's own needs ten times as long
  }
}
