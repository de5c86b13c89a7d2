// The instruments: load from wrk, one-by-one requests, memory and CPU of a whole process tree, idle sockets.
import { execFile, execFileSync, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { closeSync, existsSync, fdatasyncSync, openSync, readdirSync, readFileSync, rmSync, statSync, writeSync } from "node:fs";
import http from "node:http";
import net from "node:net";
import { cpus } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { descendants, withTimeout } from "../tests/scenario/lib.mjs";

const run = promisify(execFile);
const LUA = fileURLToPath(new URL("load.lua", import.meta.url));
const NEW_PER_PART = 10_000_000; // agents; more than a run can ask
export const GIVEN_BACK_S = 6; // until a worker has given back what births and the last heaps left
export const sleep = (seconds) => new Promise((resolve) => setTimeout(resolve, seconds * 1000));
export const median = (values) => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)];

/* Requests per second over AGENTS agents: the median of RUNS runs of SECONDS, after one that is not counted.
 * ISNEW: each asks an agent of its own. ISREFUSED: the app's proper answer is one of 4xx. ANSWERED counts the uncounted second as well. */
export async function load({ server, path, agents = 0, connections, runs = 5, seconds = 3, isNew = false, isRefused = false }) {
  let parts = 0;
  const wrk = async (duration) => {
    const { stdout, stderr } = await run("bash", ["-c", 'TIMEFORMAT="CPU %U %S"; time wrk "$@"', "wrk", "-t1", `-c${connections}`, `-d${duration}s`, "-s", LUA, server.url], {
      env: { ...process.env, BENCH_PATH: path, BENCH_AGENTS: String(agents), ...(isNew && { BENCH_FROM: String(NEW_PER_PART * parts++) }) },
    });
    const [perSecond, p50, p99, broken, refused, count] = /RESULT (.*)/.exec(stdout)[1].split(" ").map(Number);
    const [, user, system] = /CPU (\S+) (\S+)/.exec(stderr).map(Number);
    return { perSecond, p50, p99, failed: broken + (isRefused ? 0 : refused), count, generatorMs: (user + system) * 1000 };
  };
  const warm = await wrk(1);
  const before = { server: cpuMs(server.pid), machine: machineMs(), at: performance.now() };
  const seen = [];
  for (let i = 0; i < runs; i++) seen.push(await wrk(seconds));
  const sum = (field) => seen.reduce((total, one) => total + one[field], 0);
  const serverMs = cpuMs(server.pid) - before.server;
  return {
    perSecond: median(seen.map((one) => one.perSecond)),
    p50: median(seen.map((one) => one.p50)),
    p99: median(seen.map((one) => one.p99)),
    failed: sum("failed") + warm.failed,
    answered: sum("count") + warm.count,
    cpuUs: (serverMs * 1000) / sum("count"),
    generator: sum("generatorMs") / (runs * seconds * 1000),
    others: Math.max(0, machineMs() - before.machine - serverMs - sum("generatorMs")) / (performance.now() - before.at) / cpus().length,
  };
}

/* Asks COUNT agents once each, IN_FLIGHT at a time; latencies in ms, sorted. PATH holds {i}, which goes on at 0 after AGENTS. */
export async function touch({ server, path, count, inFlight = 1, from = 0, agents = Infinity }) {
  const agent = new http.Agent({ keepAlive: true, maxSockets: inFlight });
  const ms = [];
  let next = from, failed = 0;
  const began = performance.now(), busy = process.cpuUsage();
  await Promise.all(Array.from({ length: inFlight }, async () => {
    while (next < from + count) {
      const { took, status } = await get(`${server.url}${path.replace("{i}", next++ % agents)}`, agent);
      ms.push(took);
      if (status === 0 || status >= 500) failed++;
    }
  }));
  agent.destroy();
  const seconds = (performance.now() - began) / 1000, { user, system } = process.cpuUsage(busy);
  return { generator: (user + system) / 1e6 / seconds, perSecond: count / seconds, mean: (seconds * 1000 * inFlight) / count, p50: median(ms), p99: ms.sort((a, b) => a - b)[Math.floor(ms.length * 0.99)], failed };
}

/* Rows that agents 0 to AGENTS - 1 of the trivial app have, all together. */
export async function rows(server, agents) {
  let sum = 0;
  for (let i = 0; i < agents; i++) sum += (await server.json(`/a/agent-${i}/get`)).n;
  return sum;
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

/* PSS in KiB and descriptors of PID and everything below it, or of PID ALONE. Shared pages are counted once, by their share. */
export function memory(pid, alone = false) {
  let pssKb = 0, fds = 0, processes = 0;
  for (const { pid: one } of alone ? [{ pid }] : descendants(pid)) {
    try {
      pssKb += Number(/^Pss:\s+(\d+)/m.exec(readFileSync(`/proc/${one}/smaps_rollup`, "utf8"))[1]);
      fds += readdirSync(`/proc/${one}/fd`).length;
      processes++;
    } catch { /* it ended meanwhile */ }
  }
  return { pssKb, fds, processes };
}

/* User and system time of PID and everything below it. */
export function cpuMs(pid) {
  let ticks = 0;
  for (const { pid: one } of descendants(pid)) {
    try {
      const fields = readFileSync(`/proc/${one}/stat`, "utf8").split(") ")[1].split(" ");
      ticks += Number(fields[11]) + Number(fields[12]);
    } catch { /* it ended meanwhile */ }
  }
  return ticks * 10; // the kernel counts in hundredths of a second
}

/* Time in which the machine's processors did anything, for anybody. */
function machineMs() {
  const [user, nice, system, , , irq, softirq] = /^cpu +(.*)/.exec(readFileSync("/proc/stat", "utf8"))[1].split(" ").map(Number);
  return (user + nice + system + irq + softirq) * 10;
}

/* Bytes that PID and everything below it gave to the disk, and bytes that DIR's device wrote for anybody. */
export function written(pid, dir) {
  const { dev } = statSync(dir, { bigint: true });
  const device = `/sys/dev/block/${((dev >> 8n) & 0xfffn) | ((dev >> 32n) & ~0xfffn)}:${(dev & 0xffn) | ((dev >> 12n) & ~0xffn)}/stat`;
  let bytes = 0;
  execFileSync("sync", ["-f", dir]);
  for (const { pid: one } of descendants(pid)) {
    const io = readFileSync(`/proc/${one}/io`, "utf8");
    bytes += Number(/^write_bytes: (\d+)/m.exec(io)[1]) - Number(/^cancelled_write_bytes: (\d+)/m.exec(io)[1]);
  }
  return { bytes, deviceBytes: existsSync(device) ? Number(readFileSync(device, "utf8").trim().split(/ +/)[6]) * 512 : undefined };
}

/* The floor: 4 KiB appended to a file in DIR and made durable, by itself; p50 in µs. */
export function syncUs(dir, count = 200) {
  const file = join(dir, "floor"), fd = openSync(file, "w"), page = Buffer.alloc(4096, 1), us = [];
  for (let i = 0; i < count; i++) {
    const began = performance.now();
    writeSync(fd, page);
    fdatasyncSync(fd);
    us.push((performance.now() - began) * 1000);
  }
  closeSync(fd);
  rmSync(file);
  return median(us);
}

/* Calls of the fsync family that PID and everything below it made while USE ran. */
export async function syncsDuring(pid, use) {
  const family = descendants(pid);
  const child = spawn("strace", ["-f", "-e", "trace=fsync,fdatasync,syncfs,sync_file_range", "-e", "signal=none", ...family.flatMap((one) => ["-p", one.pid])], { stdio: ["ignore", "ignore", "pipe"] });
  let text = "";
  const attached = new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("exit", () => reject(new Error(`strace: ${text.slice(0, 200)}`)));
    child.stderr.on("data", (some) => {
      text += some;
      if (text.match(/Process \d+ attached/g)?.length >= family.length) resolve();
    });
  });
  attached.catch(() => {});
  const ended = once(child, "close");
  try {
    await withTimeout(attached, 10_000, () => `strace did not attach: ${text.slice(0, 200)}`);
    text = "";
    await use();
  } finally {
    child.kill("SIGINT");
    await ended;
  }
  return text.match(/(fsync|fdatasync|syncfs|sync_file_range)\(/g)?.length ?? 0;
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
