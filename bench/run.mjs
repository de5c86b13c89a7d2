// make bench: every figure of this list, workerd and Dormouse side by side in the same run.
//   FIGURES="warm-get first-write"   only these          AGENTS_ON_DISK=100000   for "start"
import { execFileSync } from "node:child_process";
import { copyFileSync, existsSync, linkSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { cpus, tmpdir } from "node:os";
import { join } from "node:path";
import { DORMOUSE, ROOT, startDormouse, startPeer } from "../tests/scenario/lib.mjs";
import { get, load, median, memory, openSockets, sleep, touch } from "./measure.mjs";

const trivial = join(ROOT, "bench/apps/trivial");
const sdk = join(ROOT, "bench/apps/sdk");
const ON_DISK = Number(process.env.AGENTS_ON_DISK ?? 100_000);
const LINKS_PER_FILE = 50_000; // ext4 allows 65,000
const round = (value, digits = 0) => (value === undefined ? "–" : value.toLocaleString("en", { maximumFractionDigits: digits, minimumFractionDigits: digits }));

// Each figure: what it is, in which unit, and how one server is asked. HIGHER tells which way is better.
const FIGURES = {
  "warm-get": { title: "warm GET, one SELECT, JSON; 100 agents, 32 connections", unit: "requests/s", isHigherBetter: true, app: trivial, async ask(server) {
    await touch({ server, path: "/a/agent-{i}/put", count: 100 });
    const seen = await load({ server, path: "/a/agent-{i}/get", agents: 100, connections: 32 });
    return { value: seen.perSecond, note: `p50 ${round(seen.p50, 2)} p99 ${round(seen.p99, 1)} ms, ${round(seen.cpuUs)} µs CPU each${failures(seen)}` };
  } },
  "warm-sdk": { title: "warm SDK agent, routeAgentRequest's default answer; 50 agents, 8 connections", unit: "requests/s", isHigherBetter: true, app: sdk, async ask(server) {
    await touch({ server, path: "/agents/minimal/agent-{i}", count: 50 });
    const seen = await load({ server, path: "/agents/minimal/agent-{i}", agents: 50, connections: 8 });
    return { value: seen.perSecond, note: `p50 ${round(seen.p50, 2)} p99 ${round(seen.p99, 1)} ms, ${round(seen.cpuUs)} µs CPU each${failures(seen)}` };
  } },
  "first-write": { title: "new trivial agent, first write; 4 in flight", unit: "agents/s", isHigherBetter: true, app: trivial, async ask(server) {
    await get(`${server.url}/a/warm/put`);
    const seen = [];
    for (let i = 0; i < 3; i++) seen.push(await touch({ server, path: "/a/new-{i}/put", count: 400, inFlight: 4, from: i * 400 }));
    return { value: median(seen.map((one) => one.perSecond)), note: `p50 ${round(seen[1].p50, 1)} p99 ${round(seen[1].p99, 1)} ms${failures(seen[1])}` };
  } },
  "first-sdk": { title: "new minimal SDK agent, first request; one at a time", unit: "ms", app: sdk, async ask(server) {
    await get(`${server.url}/agents/minimal/warm`);
    const seen = await touch({ server, path: "/agents/minimal/new-{i}", count: 150 });
    return { value: seen.p50, note: `p99 ${round(seen.p99, 1)} ms${failures(seen)}` };
  } },
  "memory-trivial": { title: "memory of an awake trivial agent; PSS of all rooms", unit: "KiB", app: trivial, keepAwake: true, ask: (server) => memoryEach(server, "/a/agent-{i}/put", 1000) },
  "memory-sdk": { title: "memory of an awake minimal SDK agent; PSS of all rooms", unit: "KiB", app: sdk, keepAwake: true, ask: (server) => memoryEach(server, "/agents/minimal/agent-{i}", 400) },
  "returned": { title: "memory returned 15 s after 5,000 trivial agents were active", unit: "% of the rise", isHigherBetter: true, app: trivial, async ask(server) {
    await get(`${server.url}/a/warm/put`);
    const before = memory(server.pid).pssKb;
    let peak = 0;
    for (let i = 0; i < 5; i++) {
      await touch({ server, path: "/a/agent-{i}/put", count: 1000, inFlight: 4, from: i * 1000 });
      peak = Math.max(peak, memory(server.pid).pssKb);
    }
    await sleep(15);
    const after = memory(server.pid).pssKb;
    return { value: (100 * (peak - after)) / (peak - before), note: `${round(before / 1024)} → ${round(peak / 1024)} → ${round(after / 1024)} MiB` };
  } },
  "sockets": { title: "idle hibernated WebSocket, 2,000 of them, one per agent; PSS of all rooms", unit: "KiB", app: trivial, async ask(server) {
    await get(`${server.url}/a/warm/put`);
    const before = memory(server.pid);
    const open = await openSockets({ server, path: "/a/agent-{i}/ws", count: 2000 });
    await sleep(20); // long enough for both to have put the agents to sleep
    const after = memory(server.pid);
    open.close();
    return { value: (after.pssKb - before.pssKb) / 2000, note: `${round((after.fds - before.fds) / 2000, 1)} descriptors each` };
  } },
  "start": { title: `start to first answer with ${round(ON_DISK)} agents on disk`, unit: "ms", app: trivial, ask: null },
};

const failures = ({ failed }) => (failed ? `, ${failed} FAILED` : "");

async function memoryEach(server, path, count) {
  await touch({ server, path, count: 20 });
  const before = memory(server.pid);
  await touch({ server, path, count, inFlight: 4, from: 20 });
  const after = memory(server.pid);
  return { value: (after.pssKb - before.pssKb) / count, note: `${round((after.fds - before.fds) / count, 1)} descriptors each` };
}

const SERVERS = {
  workerd: (dir, data, figure) => startPeer(dir, { data, evict: !figure.keepAwake }),
  dormouse: (dir, data, figure, isDeployed) => startDormouse(dir, { data, isDeployed }),
};

async function withServer(name, figure, use) {
  const data = mkdtempSync(join(tmpdir(), "dormouse-bench-"));
  try {
    const server = await SERVERS[name](figure.app, data, figure);
    try {
      return await use(server);
    } finally {
      await server.kill9();
    }
  } finally {
    rmSync(data, { recursive: true, force: true, maxRetries: 5 });
  }
}

/* Fills a data folder, stops, and times the next start. workerd's files are linked, for it would need minutes to make them. */
async function timeStart(name, figure) {
  const data = mkdtempSync(join(tmpdir(), "dormouse-bench-"));
  const begin = async (use, isDeployed = true) => {
    const server = await SERVERS[name](figure.app, data, figure, isDeployed);
    try { return await use(server); } finally { await server.stop(); }
  };
  try {
    if (name === "workerd") {
      await begin((server) => get(`${server.url}/a/known/put`));
      const folder = join(data, "do", "peer-Trivial");
      const [one] = readdirSync(folder).filter((file) => /^[0-9a-f]{64}\.sqlite$/.test(file));
      let source = join(folder, one);
      for (let i = 0; i < ON_DISK; i++) {
        const file = join(folder, `${i.toString(16).padStart(64, "0")}.sqlite`);
        if (i % LINKS_PER_FILE === 0) copyFileSync(source, file), (source = file);
        else linkSync(source, file);
      }
    } else {
      await begin((server) => touch({ server, path: "/a/agent-{i}/put", count: ON_DISK, inFlight: 16 }), false);
      await begin((server) => get(`${server.url}/a/known/put`));
    }
    const seen = [];
    for (let i = 0; i < 3; i++) {
      seen.push(await begin(async (server) => { await get(`${server.url}/a/known/get`); return performance.now() - server.spawnedAt; }));
    }
    return { value: median(seen), note: `${seen.map((ms) => round(ms)).join(", ")} ms` };
  } finally {
    rmSync(data, { recursive: true, force: true, maxRetries: 5 });
  }
}

function versions() {
  const of = (name) => JSON.parse(readFileSync(join(ROOT, "node_modules", name, "package.json"), "utf8")).version;
  const commit = execFileSync("git", ["rev-parse", "--short", "HEAD"], { cwd: ROOT, encoding: "utf8" }).trim();
  return `${cpus().length} × ${cpus()[0].model.trim()}; workerd ${of("workerd")}, agents ${of("agents")}, Dormouse ${readFileSync(join(ROOT, "VERSION"), "utf8").trim()} (${commit}), Node ${process.versions.node}`;
}

const chosen = (process.env.FIGURES ?? "").split(/[\s,]+/).filter(Boolean);
const names = Object.keys(SERVERS).filter((name) => name === "workerd" || existsSync(DORMOUSE));
console.log(versions());
if (!names.includes("dormouse")) console.log(`${DORMOUSE} is not built: workerd alone`);
console.log("\n| figure | unit | workerd | Dormouse | Dormouse is |\n| --- | --- | --- | --- | --- |");
const notes = [];
for (const [key, figure] of Object.entries(FIGURES)) {
  if (chosen.length && !chosen.includes(key)) continue;
  const seen = {};
  for (const name of names) {
    try {
      seen[name] = figure.ask ? await withServer(name, figure, figure.ask) : await timeStart(name, figure);
    } catch (error) {
      seen[name] = { note: `failed: ${error.message.split("\n")[0]}` };
    }
    notes.push(`${key}, ${name}: ${seen[name].note}`);
  }
  const [theirs, ours] = [seen.workerd?.value, seen.dormouse?.value];
  const ratio = figure.isHigherBetter ? ours / theirs : theirs / ours;
  const verdict = Number.isFinite(ratio) && ratio > 0 ? (ratio >= 1 ? `${round(ratio, 1)} × better` : `${round(1 / ratio, 1)} × worse`) : "–";
  const digits = figure.unit === "ms" ? 1 : 0;
  console.log(`| ${figure.title} | ${figure.unit} | ${round(theirs, digits)} | ${round(ours, digits)} | ${verdict} |`);
}
console.log(`\n${notes.join("\n")}`);
