// make bench: every figure of this list, workerd and Dormouse side by side in the same run.
//   FIGURES="warm-get first-write"   only these          AGENTS_ON_DISK=100000   for "start" and "start-recovery"
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { cpus } from "node:os";
import { join } from "node:path";
import { DORMOUSE, ROOT } from "../tests/scenario/lib.mjs";
import { DURABLE } from "./durable.mjs";
import { get, load, memory, openSockets, sleep, touch } from "./measure.mjs";
import { SERVERS, failures, round, sdk, speed, trivial, withServer } from "./rig.mjs";
import { SLEEP } from "./sleep.mjs";
import { START } from "./start.mjs";

// Each figure: what it is, in which unit, and how one server is asked (WHOLE starts its servers itself). HIGHER tells which way is better.
const FIGURES = {
  "warm-get": { title: "warm GET, one SELECT, JSON; 100 agents, 32 connections", unit: "requests/s", isHigherBetter: true, app: trivial, async ask(server) {
    await touch({ server, path: "/a/agent-{i}/put", count: 100 });
    const seen = await load({ server, path: "/a/agent-{i}/get", agents: 100, connections: 32 });
    return { value: seen.perSecond, note: speed(seen) };
  } },
  "warm-sdk": { title: "warm SDK agent, routeAgentRequest's default answer; 50 agents, 8 connections", unit: "requests/s", isHigherBetter: true, app: sdk, async ask(server) {
    await touch({ server, path: "/agents/minimal/agent-{i}", count: 50 });
    const seen = await load({ server, path: "/agents/minimal/agent-{i}", agents: 50, connections: 8, isRefused: true });
    return { value: seen.perSecond, note: speed(seen) };
  } },
  ...DURABLE,
  "first-sdk": { title: "new minimal SDK agent, first request; one at a time", unit: "ms", app: sdk, async ask(server) {
    await get(`${server.url}/agents/minimal/warm`);
    const seen = await touch({ server, path: "/agents/minimal/new-{i}", count: 150 });
    return { value: seen.p50, note: `p99 ${round(seen.p99, 1)} ms${failures(seen)}` };
  } },
  "memory-trivial": { title: "memory of an awake trivial agent; PSS of all rooms", unit: "KiB", app: trivial, keepAwake: true, ask: (server) => memoryEach(server, "/a/agent-{i}/put", 1000, 2) },
  "memory-sdk": { title: "memory of an awake minimal SDK agent; PSS of all rooms", unit: "KiB", app: sdk, keepAwake: true, ask: (server) => memoryEach(server, "/agents/minimal/agent-{i}", 400, 2) },
  "memory-asleep": { title: "memory of a minimal SDK agent 20 s after its last request; PSS of all rooms", unit: "KiB", app: sdk, ask: (server) => memoryEach(server, "/agents/minimal/agent-{i}", 400, 20) },
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
  ...SLEEP,
  ...START,
};

async function memoryEach(server, path, count, waitS) {
  await touch({ server, path, count: 20 });
  await sleep(waitS);
  const before = memory(server.pid);
  const seen = await touch({ server, path, count, inFlight: 4, from: 20 });
  const touched = memory(server.pid);
  await sleep(waitS);
  const after = memory(server.pid);
  const each = (then, field) => (then[field] - before[field]) / count;
  return {
    value: each(after, "pssKb"),
    note: `${round(each(touched, "pssKb"))} KiB when the last of them had answered, ${round(count / seen.perSecond, 1)} s after the first; ${round(each(after, "fds"), 1)} descriptors each${failures(seen)}`,
  };
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
    if (figure.only && figure.only !== name) continue;
    try {
      seen[name] = figure.whole ? await figure.whole(name, figure) : await withServer(name, figure, figure.ask);
    } catch (error) {
      seen[name] = { note: `failed: ${error.message.split("\n")[0]}` };
    }
    notes.push(`${key}, ${name}: ${seen[name].note}`);
  }
  const [theirs, ours] = [seen.workerd?.value, seen.dormouse?.value];
  const ratio = figure.isHigherBetter ? ours / theirs : theirs / ours;
  const verdict = Number.isFinite(ratio) && ratio > 0 ? (ratio >= 1 ? `${round(ratio, 1)} × better` : `${round(1 / ratio, 1)} × worse`) : "–";
  const digits = figure.digits ?? (figure.unit === "ms" ? 1 : 0);
  console.log(`| ${figure.title} | ${figure.unit} | ${round(theirs, digits)} | ${round(ours, digits)} | ${verdict} |`);
}
console.log(`\n${notes.join("\n")}`);
