// The instruments: load from wrk, one-by-one requests, memory and CPU of a whole process tree, idle sockets.
import { execFile } from "node:child_process";
import { randomBytes } from "node:crypto";
import { readdirSync, readFileSync } from "node:fs";
import http from "node:http";
import net from "node:net";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { descendants } from "../tests/scenario/lib.mjs";

const run = promisify(execFile);
const LUA = fileURLToPath(new URL("load.lua", import.meta.url));
export const sleep = (seconds) => new Promise((resolve) => setTimeout(resolve, seconds * 1000));
export const median = (values) => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];

/* Requests per second over AGENTS agents: the median of RUNS runs of SECONDS, after one that is not counted. */
export async function load({ server, path, agents, connections, runs = 5, seconds = 3 }) {
  const wrk = async (duration) => {
    const { stdout } = await run("wrk", ["-t1", `-c${connections}`, `-d${duration}s`, "-s", LUA, server.url], {
      env: { ...process.env, BENCH_PATH: path, BENCH_AGENTS: String(agents) },
    });
    const [perSecond, p50, p99, failed, count] = /RESULT (.*)/.exec(stdout)[1].split(" ").map(Number);
    return { perSecond, p50, p99, failed, count };
  };
  await wrk(1);
  const before = cpuMs(server.pid);
  const seen = [];
  for (let i = 0; i < runs; i++) seen.push(await wrk(seconds));
  const count = seen.reduce((sum, one) => sum + one.count, 0);
  return {
    perSecond: median(seen.map((one) => one.perSecond)),
    p50: median(seen.map((one) => one.p50)),
    p99: median(seen.map((one) => one.p99)),
    failed: seen.reduce((sum, one) => sum + one.failed, 0),
    cpuUs: ((cpuMs(server.pid) - before) * 1000) / count,
  };
}

/* Asks COUNT agents once each, IN_FLIGHT at a time; latencies in ms, sorted. PATH holds {i}. */
export async function touch({ server, path, count, inFlight = 1, from = 0 }) {
  const agent = new http.Agent({ keepAlive: true, maxSockets: inFlight });
  const ms = [];
  let next = from, failed = 0;
  const began = performance.now();
  await Promise.all(Array.from({ length: inFlight }, async () => {
    while (next < from + count) {
      const { took, status } = await get(`${server.url}${path.replace("{i}", next++)}`, agent);
      ms.push(took);
      if (status === 0 || status >= 500) failed++;
    }
  }));
  agent.destroy();
  const seconds = (performance.now() - began) / 1000;
  return { perSecond: count / seconds, mean: (seconds * 1000 * inFlight) / count, p50: median(ms), p99: ms.sort((a, b) => a - b)[Math.floor(ms.length * 0.99)], failed };
}

export function get(url, agent) {
  const began = performance.now();
  return new Promise((resolve) => {
    const request = http.get(url, { agent }, (answer) => {
      answer.resume();
      answer.on("end", () => resolve({ took: performance.now() - began, status: answer.statusCode }));
    });
    request.on("error", () => resolve({ took: performance.now() - began, status: 0 }));
    request.setTimeout(30_000, () => request.destroy());
  });
}

/* PSS in KiB and descriptors of PID and everything below it. Shared pages are counted once, by their share. */
export function memory(pid) {
  let pssKb = 0, fds = 0, processes = 0;
  for (const { pid: one } of descendants(pid)) {
    try {
      pssKb += Number(/^Pss:\s+(\d+)/m.exec(readFileSync(`/proc/${one}/smaps_rollup`, "utf8"))[1]);
      fds += readdirSync(`/proc/${one}/fd`).length;
      processes++;
    } catch { /* it ended meanwhile */ }
  }
  return { pssKb, fds, processes };
}

/* User and system time of PID and everything below it. */
function cpuMs(pid) {
  let ticks = 0;
  for (const { pid: one } of descendants(pid)) {
    try {
      const fields = readFileSync(`/proc/${one}/stat`, "utf8").split(") ")[1].split(" ");
      ticks += Number(fields[11]) + Number(fields[12]);
    } catch { /* it ended meanwhile */ }
  }
  return ticks * 10; // the kernel counts in hundredths of a second
}

/* Opens COUNT WebSockets, one per agent, without a library that would cost memory per socket. */
export async function openSockets({ server, path, count, inFlight = 32 }) {
  const sockets = [];
  let next = 0;
  await Promise.all(Array.from({ length: inFlight }, async () => {
    while (next < count) sockets.push(await openSocket(server.port, path.replace("{i}", next++)));
  }));
  return { sockets, close: () => sockets.forEach((socket) => socket.destroy()) };
}

function openSocket(port, path) {
  return new Promise((resolve, reject) => {
    const socket = net.connect({ host: "127.0.0.1", port });
    socket.on("error", reject);
    socket.write(`GET ${path} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${randomBytes(16).toString("base64")}\r\n\r\n`);
    socket.once("data", (head) => {
      if (!String(head).startsWith("HTTP/1.1 101")) return reject(new Error(`the upgrade was refused: ${String(head).slice(0, 80)}`));
      socket.removeListener("error", reject);
      socket.on("error", () => {});
      resolve(socket);
    });
  });
}
