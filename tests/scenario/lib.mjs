// What every scenario needs: a server of one's own on a free port with its own data, real clients, and a check at
// the end that no process is left. Nothing here waits for time to pass; everything waits for an event.
//
//   DORMOUSE=path      the program under test (default build/dormouse)
//   SERVER=workerd     ask workerd instead, where a scenario allows it: proves that the scenario itself is right
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { webcrypto } from "node:crypto";
import { once } from "node:events";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import http from "node:http";
import net from "node:net";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import WebSocket, { WebSocketServer } from "ws";
import { eachLine, readProject, startWorkerd } from "../oracle/workerd.mjs";

globalThis.crypto ??= webcrypto; // partysocket expects it, as browsers and Node.js 20 have it

export const ROOT = resolve(dirname(fileURLToPath(import.meta.url)), "../..");
export const DORMOUSE = resolve(process.env.DORMOUSE ?? join(ROOT, "build/dormouse"));
export const IS_WORKERD = process.env.SERVER === "workerd";
export const READY_MS_MAX = 60_000; // a first start bundles an SDK app and builds its template on a busy machine
export const ANSWER_MS_MAX = 40_000; // longer than any limit of the server's own
export const STOP_MS_MAX = 40_000; // the supervisor gives its rooms 30 s
export const example = (name) => join(ROOT, "examples", name);
export const fixture = (name) => join(ROOT, "tests/scenario/apps", name);

/* For { skip } of node:test: why this server cannot be asked, or false. */
export function missing({ only } = {}) {
  if (IS_WORKERD) return only === "dormouse" ? "only Dormouse promises this" : false;
  return existsSync(DORMOUSE) ? false : `${DORMOUSE} is not built`;
}

export function scratch(prefix = "dormouse-test-") {
  const dir = mkdtempSync(join(tmpdir(), prefix));
  return { dir, remove: () => rmSync(dir, { recursive: true, force: true, maxRetries: 5 }) };
}

/* The paths of all files below DIR, relative to it, sorted. */
export function eachFile(dir, below = "") {
  return readdirSync(join(dir, below), { withFileTypes: true })
    .flatMap((one) => (one.isDirectory() ? eachFile(dir, join(below, one.name)) : one.isFile() ? [join(below, one.name)] : []))
    .sort();
}

/* Starts the app in DIR and stops it when the test T ends. The folder of data is T's own unless given. */
export async function serve(t, dir, options = {}) {
  const own = options.data ? null : scratch();
  const server = await start(dir, { ...options, data: options.data ?? own.dir });
  t.after(async () => {
    await server.stop();
    own?.remove();
  });
  return server;
}

export function start(dir, options) {
  return IS_WORKERD ? startPeer(dir, options) : startDormouse(dir, options);
}

export async function startPeer(dir, { data, port = 0, evict = true }) {
  if (readProject(dir).build) await runBuild(dir);
  const peer = await startWorkerd({ dir, data, port, evict });
  return asServer(peer, { dir, data, spawnedAt: peer.spawnedAt, stopSignal: "SIGKILL" }); // it would wait for open sockets for ever
}

/* `dormouse serve`, or `dormouse dev` when WATCH; without a deploy when the data ISDEPLOYED already; LIMITS are those of docs/configuration.md,
 * CONFIG the whole file.
 * ONSPAWN gets the process before it is ready. */
export async function startDormouse(dir, { data, env = {}, args = [], port = 0, limits, config = limits && { limits }, watch = false, isDeployed = false, onSpawn = () => {} }) {
  const words = watch ? ["dev", dir] : isDeployed ? ["serve"] : ["serve", "--deploy", dir];
  if (config) {
    writeFileSync(join(data, "config.json"), JSON.stringify(config));
    words.push("--config", join(data, "config.json"));
  }
  const spawnedAt = performance.now();
  const child = spawn(DORMOUSE, [...words, "--port", String(port), "--data", data, ...args], {
    cwd: ROOT,
    env: { ...process.env, NO_COLOR: "1", ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  onSpawn(child);
  const output = [];
  const ready = new Promise((listens, fails) => {
    for (const stream of [child.stdout, child.stderr]) {
      eachLine(stream, (line) => {
        output.push(line);
        const at = READY.exec(line);
        if (at) listens(Number(at[1]));
      });
    }
    child.once("error", fails);
    child.once("exit", (code, signal) => fails(new Error(`dormouse ended (${code ?? signal}) before it was ready:\n${output.join("\n")}`)));
  });
  try {
    const listening = await withTimeout(ready, READY_MS_MAX, () => `dormouse was not ready:\n${output.join("\n")}`);
    return asServer({ port: listening, url: `http://127.0.0.1:${listening}`, process: child, output }, { dir, data, spawnedAt });
  } catch (error) {
    killTree(child.pid);
    throw error;
  }
}
const READY = /^Ready on https?:\/\/[^\s/]+:(\d+)/;

const SANITIZER = /ERROR: AddressSanitizer|: runtime error: /;
const SANITIZER_LINES = 30;

/* A started server, whichever it is. */
function asServer({ port, url, process: child, output }, { dir, data, spawnedAt, stopSignal = "SIGTERM" }) {
  const ended = child.exitCode !== null ? Promise.resolve() : once(child, "exit");
  const server = {
    port, url, output, data, dir, spawnedAt, pid: child.pid, ended,
    ws: (path) => `ws://127.0.0.1:${port}${path}`,
    host: `127.0.0.1:${port}`,
    fetch: (path, init) => fetch(url + path, { signal: AbortSignal.timeout(ANSWER_MS_MAX), ...init }),
    json: async (path, init) => {
      const answer = await server.fetch(path, init);
      const text = await answer.text();
      assert.equal(answer.status, 200, `${path} answered ${answer.status}: ${text.slice(0, 300)}`);
      return JSON.parse(text);
    },
    rooms: (name) => descendants(child.pid).filter((one) => one.room === name),
    async stop() {
      const family = descendants(child.pid);
      if (child.exitCode === null && child.signalCode === null) child.kill(stopSignal);
      await withTimeout(ended, STOP_MS_MAX, () => `the server did not stop:\n${output.join("\n")}`).catch((error) => { killTree(child.pid); throw error; });
      await allGone(family);
      const at = output.findIndex((line) => SANITIZER.test(line)); // its room was started again, and nobody may have noticed
      assert.ok(at < 0, `a sanitizer complained:\n${output.slice(at, at + SANITIZER_LINES).join("\n")}`);
    },
    async kill9() {
      const family = killTree(child.pid);
      await ended;
      await allGone(family);
    },
  };
  return server;
}

// What wrangler would do before it bundles; Dormouse does it by itself.
async function runBuild(dir) {
  const child = spawn("sh", ["-c", readProject(dir).build.command], { cwd: dir, stdio: "inherit" });
  const [code] = await once(child, "exit");
  assert.equal(code, 0, `build.command of ${dir} failed`);
}

// Processes ------------------------------------------------------------------------------------------------------------

/* PID's descendants, PID itself first: { pid, started, room }; room "ending": it was killed, and the kernel is still taking its memory back. */
export function descendants(pid) {
  const found = [];
  for (let todo = [pid]; todo.length; ) {
    const one = todo.shift();
    const known = identity(one);
    if (!known) continue;
    found.push(known);
    todo.push(...childrenOf(one));
  }
  return found;
}

function childrenOf(pid) {
  try {
    return readdirSync(`/proc/${pid}/task`).flatMap((task) => readFileSync(`/proc/${pid}/task/${task}/children`, "utf8").trim().split(" ").filter(Boolean).map(Number));
  } catch {
    return []; // it ended meanwhile
  }
}

// A pid may be used again; a pid with its start time may not.
function identity(pid) {
  try {
    const [, state, ...rest] = /\) (\S) (.*)$/s.exec(readFileSync(`/proc/${pid}/stat`, "utf8"));
    const command = readFileSync(`/proc/${pid}/cmdline`, "utf8");
    if (state === "Z") return null;
    return { pid, started: rest[0].split(" ")[18], room: command === "" ? "ending" : (/dormouse-([a-z]+)/.exec(command)?.[1] ?? "dormouse") };
  } catch {
    return null;
  }
}

const isAlive = ({ pid, started }) => identity(pid)?.started === started;

/* kill -9 of everything at PID and below; what was killed. */
export function killTree(pid) {
  const family = descendants(pid);
  for (const one of family) if (isAlive(one)) process.kill(one.pid, "SIGKILL");
  return family;
}

export async function allGone(family) {
  await eventually(() => {
    const left = family.filter(isAlive);
    return left.length === 0 || `still running: ${left.map((one) => `${one.room} ${one.pid}`).join(", ")}`;
  });
}

// Waiting --------------------------------------------------------------------------------------------------------------

/* Asks CHECK until it answers true; an answer of text tells what is still missing. For states that announce no event. */
export async function eventually(check, ms = 15_000) {
  const end = Date.now() + ms;
  for (;;) {
    const answer = await check();
    if (answer === true) return;
    if (Date.now() > end) throw new Error(typeof answer === "string" ? answer : "it never came true");
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

export function withTimeout(promise, ms, message) {
  let timer;
  const late = new Promise((_, fails) => { timer = setTimeout(() => fails(new Error(typeof message === "function" ? message() : message)), ms); });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

// What the server says of itself ---------------------------------------------------------------------------------------

/* The counters of all workers of the app, added up. */
export async function stats(server) {
  const sum = { images_refused: {} };
  for (let slot = 0; ; slot++) {
    const { ok, result } = await ask(server, { op: "stats", slot });
    if (!ok) break;
    for (const [name, value] of Object.entries(result)) if (typeof value === "number") sum[name] = (sum[name] ?? 0) + value;
    for (const [reason, n] of Object.entries(result.images_refused)) sum.images_refused[reason] = (sum.images_refused[reason] ?? 0) + n;
  }
  return sum;
}

/* The answer to one question on the admin socket. */
export function ask(server, question) {
  return new Promise((resolve, reject) => {
    const socket = net.connect(join(server.data, "admin.sock"));
    socket.on("error", reject);
    eachLine(socket, (line) => { resolve(JSON.parse(line)); socket.destroy(); });
    socket.write(JSON.stringify({ id: 1, ...question }) + "\n");
  });
}

// Clients --------------------------------------------------------------------------------------------------------------

/* A plain WebSocket with a queue of what came: next() gives the next message, as text or bytes. */
export async function connect(url, { protocols, headers } = {}) {
  const ws = new WebSocket(url, protocols, { headers });
  const came = [], waiting = [];
  let over = null;
  const settle = () => {
    while (waiting.length && came.length) waiting.shift().resolve(came.shift());
    if (over) while (waiting.length) waiting.shift().reject(new Error(`the socket closed (${over.code} ${over.reason})`));
  };
  ws.on("message", (data, isBinary) => { came.push(isBinary ? data : data.toString()); settle(); });
  const closed = new Promise((resolve) => ws.on("close", (code, reason) => { over = { code, reason: reason.toString() }; settle(); resolve(over); }));
  await withTimeout(new Promise((resolve, reject) => { ws.once("open", resolve); ws.once("error", reject); }), 20_000, "the socket did not open");
  ws.on("error", () => {}); // the close event tells
  return {
    ws, closed,
    isOpen: () => ws.readyState === WebSocket.OPEN,
    send: (data) => ws.send(data),
    next: (ms = 20_000) => withTimeout(new Promise((resolve, reject) => { waiting.push({ resolve, reject }); settle(); }), ms, "no message came"),
    close(code, reason) { ws.close(code, reason); return closed; },
    drop: () => ws.terminate(),
  };
}

/* A server that answers /NAME only as it is told: asked(NAME) resolves with what to answer on. */
export async function slowWorld(t) {
  const waiting = new Map(), heard = new Map();
  const meet = (name, one) => {
    if (waiting.has(name)) waiting.get(name)(one);
    else heard.set(name, one);
  };
  const server = http.createServer((request, response) => meet(request.url.slice(1), response));
  const sockets = new WebSocketServer({ server });
  sockets.on("connection", (ws, request) => meet(request.url.slice(1), ws));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => { sockets.clients.forEach((one) => one.terminate()); server.closeAllConnections(); server.close(); });
  return {
    url: (name) => encodeURIComponent(`http://127.0.0.1:${server.address().port}/${name}`),
    asked: (name) => withTimeout(new Promise((resolve) => (heard.has(name) ? resolve(heard.get(name)) : waiting.set(name, resolve))), 15_000, `nobody asked for ${name}`),
  };
}

/* Messages of an EventTarget-like socket (partysocket, AgentClient) that satisfy WANTED, first one wins. */
export function message(socket, wanted, ms = 20_000) {
  let listen;
  const came = new Promise((resolve) => {
    listen = ({ data }) => {
      const event = JSON.parse(data);
      if (wanted(event)) resolve(event);
    };
    socket.addEventListener("message", listen);
  });
  return withTimeout(came, ms, "the expected message did not come").finally(() => socket.removeEventListener("message", listen));
}
