// make bench-density: how many agents fit, and what they cost while they wait. docs/density.md says what was seen.
//   AGENTS=50000      agents that are created; the other sections scale with it
//   ACTIVE_S=20       seconds of 1 % of them called per second
//   SECTIONS="warm storm model sockets"   only these
import { fork, spawnSync } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import http from "node:http";
import net from "node:net";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { DORMOUSE, eventually, ROOT, startDormouse } from "../tests/scenario/lib.mjs";
import { get, memory, openSockets, sleep, touch } from "./measure.mjs";
import { round, withData } from "./rig.mjs";

const AGENTS = Number(process.env.AGENTS ?? 50_000);
const ACTIVE_S = Number(process.env.ACTIVE_S ?? 20);
const SECTIONS = (process.env.SECTIONS ?? "warm storm model sockets").split(/\s+/);
const STORM = Math.min(10_000, Math.floor(AGENTS / 2));
const WAITING = Math.min(1800, Math.floor(AGENTS / 10));     // egress takes 1,024 requests at a time of each worker, and two are asked
const SOCKETS = Math.min(10_000, Math.floor(AGENTS / 5));    // a descriptor each, in this process as well
const KB_EACH = 16;                                          // more than a warm agent takes: what the machine must have free
const app = join(ROOT, "bench/apps/density");
const KEEP_WARM = { warm_ms: 2000, cold_ms: 24 * 3600_000, requests_max: 20_000 };
const MODEL = fileURLToPath(new URL("density_model.mjs", import.meta.url));

const at = (sorted, share) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))];
const spread = (ms) => (ms.sort((a, b) => a - b), `p50 ${round(at(ms, 0.5), 1)}, p99 ${round(at(ms, 0.99), 1)}, max ${round(ms.at(-1), 1)} ms`);
const mib = (kb) => `${round(kb / 1024)} MiB`;
const say = (what, value) => console.log(`| ${what} | ${value} |`);

function workers(server) {
  const { stdout, stderr, status } = spawnSync(DORMOUSE, ["top", "--once", "--json", "--data", server.data], { encoding: "utf8", maxBuffer: 1 << 26 });
  if (status !== 0) throw new Error(stderr);
  return JSON.parse(stdout).rooms.filter(({ role, counters }) => role === "worker" && counters);
}
const count = (server, name) => workers(server).reduce((sum, { counters }) => sum + (counters[name] ?? 0), 0);
const untilAsleep = (server, entries = 2) => eventually(() => count(server, "awake") <= entries + 1 || "agents stay awake", 300_000);

/* PERSECOND requests for SECONDS, whether or not the earlier ones were answered; PATH(i) is asked. Latencies from when each was due. */
async function pace({ server, perSecond, seconds, path }) {
  const agent = new http.Agent({ keepAlive: true, maxSockets: 256 }), ms = [], asked = [];
  const began = performance.now(), all = perSecond * seconds;
  let failed = 0;
  while (asked.length < all) {
    const due = Math.min(all, Math.floor(((performance.now() - began) / 1000) * perSecond));
    while (asked.length < due) {
      const wanted = began + ((asked.length + 1) / perSecond) * 1000;
      asked.push(get(server.url + path(asked.length), agent).then(({ status }) => { ms.push(performance.now() - wanted); failed += status !== 200; }));
    }
    await sleep(0.002);
  }
  await Promise.all(asked);
  agent.destroy();
  return { ms, failed };
}

async function warm(server) {
  const before = memory(server.pid).pssKb;
  const born = await touch({ server, path: "/a/agent-{i}/call", count: AGENTS, inFlight: 16 });
  say(`${round(AGENTS)} agents created, each called once`, `${round(born.perSecond)} per second, ${born.failed} failed`);
  await untilAsleep(server);
  const asleep = memory(server.pid);
  say("memory of all rooms, all agents asleep with their heaps", `${mib(before)} → ${mib(asleep.pssKb)}: ${round((asleep.pssKb - before) / AGENTS, 2)} KiB per agent; ${round(asleep.fds)} descriptors in all`);
  const wakes = count(server, "warm_wakes"), warmBefore = count(server, "warm");
  const { ms, failed } = await pace({ server, perSecond: AGENTS / 100, seconds: ACTIVE_S, path: () => `/a/agent-${Math.floor(Math.random() * AGENTS)}/call` });
  say(`1 % of them called per second (${round(AGENTS / 100)}/s), ${ACTIVE_S} s`, `${spread(ms)}; ${failed} failed`);
  say("of these calls, to an agent that was asleep with its heap", `${round(count(server, "warm_wakes") - wakes)} of ${round(ms.length)}; ${round(warmBefore)} were asleep when it began`);
  await untilAsleep(server);
  say("memory afterwards, asleep again", mib(memory(server.pid).pssKb));
  const kept = await Promise.all(Array.from({ length: 200 }, (_, i) => server.json(`/a/agent-${Math.floor((i * AGENTS) / 200)}/call`)));
  if (kept.some((calls) => calls < 2)) throw new Error("an agent forgot its heap");
}

/* A line to the server, open before it is needed. */
async function line(server) {
  const socket = net.connect(server.port, "127.0.0.1");
  await once(socket, "connect");
  return (path) => new Promise((resolve, reject) => {
    socket.once("data", (bytes) => { resolve(bytes.toString("latin1").slice(9, 12) === "200"); socket.destroy(); });
    socket.once("error", reject);
    socket.write(`GET ${path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`);
  });
}

/* An awake agent asked every 10 ms while USE runs. */
async function probed(server, use) {
  const agent = new http.Agent({ keepAlive: true, maxSockets: 64 }), ms = [], asked = [];
  let isOver = false;
  const used = use().finally(() => { isOver = true; });
  while (!isOver) {
    asked.push(get(`${server.url}/a/probe/call`, agent).then(({ took }) => { ms.push(took); }));
    await sleep(0.01);
  }
  await Promise.all(asked);
  agent.destroy();
  return { ms, result: await used };
}

async function storm(server) {
  const idle = await probed(server, () => sleep(3));
  say("an awake agent asked every 10 ms, all others asleep", spread(idle.ms));
  const lines = [];
  while (lines.length < STORM) lines.push(...await Promise.all(Array.from({ length: Math.min(100, STORM - lines.length) }, () => line(server))));
  const began = performance.now();
  const { ms, result } = await probed(server, async () => {
    const asked = [];
    for (let i = 0; i < STORM; i++) {
      asked.push(lines[i](`/a/agent-${i}/call`));
      if (i % (STORM / 100) < 1) await sleep(Math.max(0, (i / STORM) - (performance.now() - began) / 1000));
    }
    return Promise.all(asked);
  });
  say(`${round(STORM)} sleeping agents called within a second: the last answer`, `after ${round((performance.now() - began) / 1000, 1)} s; ${result.filter((ok) => !ok).length} failed`);
  say("the awake agent meanwhile", spread(ms));
}

/* WAITING agents read an answer of the model; memory is looked at LOOK_S after the first one began. */
async function listen(server, port, { title, names, query, lookS }) {
  await touch({ server, path: `/a/${names}-{i}/call`, count: WAITING, inFlight: 16 });
  await untilAsleep(server);
  const before = memory(server.pid).pssKb, began = performance.now();
  const url = encodeURIComponent(`http://127.0.0.1:${port}/?${query}`);
  const { failed } = await touch({ server, path: `/a/${names}-{i}/model?url=${url}`, count: WAITING, inFlight: 16 });
  await sleep(Math.max(0, lookS - (performance.now() - began) / 1000));
  const looked = (performance.now() - began) / 1000, waiting = memory(server.pid);
  say(`${round(WAITING)} agents in the middle of an answer of a model ${title}`, `${round((waiting.pssKb - before) / WAITING, 1)} KiB per agent in all rooms after ${round(looked)} s; ${failed} failed; ${round(count(server, "awake"))} awake at that time`);
  const done = new Set(), ask = async (i) => {
    const { isDone, failure } = await server.json(`/a/${names}-${i}/heard`);
    if (failure) throw new Error(`agent ${names}-${i}: ${failure}`);
    if (isDone) done.add(i);
  };
  await eventually(async () => {
    for (let i = 0; i < WAITING; i += Math.ceil(WAITING / 100)) if (!done.has(i)) await ask(i);
    return done.size >= Math.min(100, WAITING) || `${done.size} of 100 heard the end`;
  }, 180_000);
  const { heard } = await server.json(`/a/${names}-0/heard`);
  say("what each heard of it in the end", `${heard} bytes: all`);
}

async function model(server) {
  const child = fork(MODEL, [], { stdio: ["ignore", "pipe", "inherit", "ipc"] });
  try {
    const port = Number((await once(child.stdout, "data"))[0]);
    await listen(server, port, { title: "that thinks for 30 s, then streams", names: "thought", query: "first_ms=30000&step_ms=100", lookS: 22 });
    await listen(server, port, { title: "with a token each 3 s for 30 s", names: "talk", query: "first_ms=3000&step_ms=3000", lookS: 22 });
  } finally {
    child.kill();
  }
}

async function sockets(server) {
  await get(`${server.url}/a/agent-0/call`);
  await untilAsleep(server);
  const before = memory(server.pid);
  const open = await openSockets({ server, path: "/a/socket-{i}/ws", count: SOCKETS, inFlight: 16 });
  await untilAsleep(server);
  const after = memory(server.pid);
  say(`${round(SOCKETS)} hibernated WebSockets, one per agent, agents asleep with their heaps`, `${round((after.pssKb - before.pssKb) / SOCKETS, 1)} KiB each in all rooms, ${round((after.fds - before.fds) / SOCKETS, 2)} descriptors`);
  const ms = [], echoed = [];
  for (let second = 0; second < 5; second++) {
    for (let i = 0; i < SOCKETS / 100; i++) {
      const socket = open.sockets[(second * SOCKETS / 100 + i * 7) % SOCKETS], began = performance.now();
      socket.write(Buffer.from([0x81, 0x82, 0, 0, 0, 0, 0x68, 0x69]));      // "hi", masked with zeros
      echoed.push(once(socket, "data").then(() => ms.push(performance.now() - began)));
      await sleep(100 / SOCKETS);
    }
  }
  await Promise.all(echoed);
  say("1 % of them say something per second: the echo", spread(ms));
  open.close();
}

const free = Number(/MemAvailable:\s+(\d+)/.exec(readFileSync("/proc/meminfo", "utf8"))[1]);
if (AGENTS * KB_EACH + 1024 * 1024 > free) throw new Error(`${AGENTS} agents may need ${mib(AGENTS * KB_EACH)}; ${mib(free)} are free`);
console.log(`| what | measured |\n| --- | --- |`);
for (const section of [{ warm, storm }, { model }, { sockets }]) {
  const names = Object.keys(section).filter((name) => SECTIONS.includes(name));
  if (names.length === 0) continue;
  await withData(async (data) => {
    const server = await startDormouse(app, { data, limits: KEEP_WARM, args: ["--allow-private", "--workers", "2"] });
    try {
      await get(`${server.url}/a/first/call`);
      if (names.includes("storm") && !names.includes("warm")) await touch({ server, path: "/a/agent-{i}/call", count: STORM, inFlight: 16 }).then(() => untilAsleep(server));
      for (const name of names) await section[name](server);
    } finally {
      await server.kill9();
    }
  });
}
