// Load that the oracle can judge: clients that never stop asking agents of an app, each operation under a key of its own; sockets that do the
// same; a witness outside that hears of rows and alarms. pause() waits until nothing is under way, so that a check sees a still picture.
import { once } from "node:events";
import http from "node:http";
import WebSocket from "ws";

export const HANG_MS = 30_000; // longer than any wait of the server's own; an operation without an answer by then is a violation

/* One request on a kept connection: { status, json, text }. Throws with .code of the connection's error, "EHANG" after HANG_MS. */
export function ask({ port, host, agent, path, method = "POST" }) {
  return new Promise((resolve, reject) => {
    const request = http.request({ host: "127.0.0.1", port, method, path, agent, headers: { host, "content-length": 0 }, timeout: HANG_MS }, (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (piece) => { text += piece; });
      response.on("end", () => (response.complete ? resolve({ status: response.statusCode, text, get json() { return JSON.parse(text); } }) : reject(Object.assign(new Error("cut off"), { code: "ECUT" }))));
      response.on("error", reject);
    });
    request.on("timeout", () => request.destroy(Object.assign(new Error(`no answer in ${HANG_MS} ms`), { code: "EHANG" })));
    request.on("error", reject);
    request.end();
  });
}

/* A server on loopback that agents tell things: heard("told" or "fired", KEY) says how often. */
export async function startWitness() {
  const heard = { told: new Map(), fired: new Map() };
  const server = http.createServer((request, response) => {
    const url = new URL(request.url, "http://x"), key = url.searchParams.get("key"), book = heard[url.pathname.slice(1)];
    book?.set(key, (book.get(key) ?? 0) + 1);
    request.resume();
    response.writeHead(book ? 200 : 404).end();
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    heard: (book, key) => heard[book].get(key) ?? 0,
    toldKeys: () => [...heard.told.keys()],
    async close() { server.closeAllConnections(); server.close(); await once(server, "close"); },
  };
}

export const MIX = ["row", "row", "row", "pair", "swap", "kv", "txn", "refuse", "alarm", "out", "seen"];

/* SERVER() → { port }, null while there is none. ISCALM(op) → whether only "ok" will do for it now; what else came goes to onTrouble. */
export class Load {
  constructor({ log, agents, app = "ledger", server, witness, clients = 4, sockets = 2, mix = MIX, alarmMs = 200, bigBytes = 300_000, onEnd = () => {}, random = Math.random }) {
    Object.assign(this, { log, agents, host: `${app}.localhost`, server, witness, mix, alarmMs, bigBytes, onEnd, random });
    this.connections = new http.Agent({ keepAlive: true, maxSockets: 64 });
    this.done = 0; // operations that ended, in whatever way
    this.good = 0; // of these, with "ok"
    this.isPaused = true;
    this.isStopped = false;
    this.running = 0;
    this.wake = [];
    this.open = new Map(); // agent → its WebSocket
    this.loops = [...Array.from({ length: clients }, () => this.client()), ...agents.slice(0, sockets).map((name) => this.speaker(name))];
  }

  pick(list) { return list[Math.floor(this.random() * list.length)]; }
  fine() { return this.good; }
  resume() { this.isPaused = false; for (const go of this.wake.splice(0)) go(); }

  /* Resolves when no operation is under way. */
  async pause() {
    this.isPaused = true;
    while (this.running > 0) await new Promise((resolve) => { this.onIdle = resolve; });
  }

  async stop() {
    this.isStopped = true;
    this.resume();
    for (const ws of this.open.values()) ws.terminate();
    await Promise.all(this.loops);
    this.connections.destroy();
  }

  async turn(work) {
    if (this.isPaused) await new Promise((resolve) => this.wake.push(resolve));
    if (this.isStopped) return;
    this.running++;
    try { await work(); } finally {
      this.running--;
      if (this.running === 0) this.onIdle?.();
    }
  }

  async client() {
    while (!this.isStopped) await this.turn(() => this.operate(this.pick(this.agents), this.pick(this.mix)));
  }

  path(name, operation, key, amount) {
    const draw = { alarm: this.alarmMs, big: this.bigBytes }[operation] ?? 0, number = amount ?? Math.floor(this.random() * draw);
    const more = operation === "alarm" ? `&in=${number}` : number > 0 ? `&bytes=${number}` : "";
    return `/l/${name}/${operation}?key=${key}&witness=${encodeURIComponent(this.witness?.url ?? "")}${more}`;
  }

  /* One operation from its question to its line in the log; AMOUNT: an alarm's delay in ms, the bytes of a big row. */
  async operate(name, kind, amount) {
    const server = this.server();
    if (!server) return breathe();
    if (kind === "seen") return this.look(name, server);
    const op = this.log.invoke(name, kind);
    op.at = performance.now();
    try {
      const answer = await ask({ port: server.port, host: this.host, agent: this.connections, path: this.path(name, kind, op.key, amount) });
      if (answer.status === 200) {
        const { id, ids } = answer.json;
        op.ok({ ids: ids ?? (id ? [id] : null) });
      } else if (answer.status === 409) op.fail("refused");
      else op.unknown(`${answer.status} ${answer.text.slice(0, 200)}`);
    } catch (error) {
      if (error.code === "ECONNREFUSED") op.fail(error.code);
      else op.unknown(error.code ?? error.message);
    }
    this.ended(op);
    if (op.state === "unknown" || op.error === "ECONNREFUSED") await breathe();
    return op;
  }

  ended(op) {
    op.endedAt = performance.now();
    this.done++;
    if (op.state === "ok") this.good++;
    this.onEnd(op);
  }

  /* What a reader was shown has happened, whoever wrote it. */
  async look(name, server) {
    const answer = await ask({ port: server.port, host: this.host, agent: this.connections, path: `/l/${name}/seen` }).catch(() => null);
    if (answer?.status === 200) for (const key of answer.json.keys) this.log.saw(name, key);
    else await breathe();
  }

  /* One message after the other on a socket of NAME's; a socket that closes is opened again. */
  async speaker(name) {
    while (!this.isStopped) {
      await this.turn(async () => {
        const server = this.server();
        const ws = server && (await this.socket(name, server));
        if (!ws) return breathe();
        const op = this.log.invoke(name, "ws");
        op.at = performance.now();
        const answer = await exchange(ws, op.key);
        if (answer?.key === op.key && answer.error) op.unknown(`555 ${answer.error}`);
        else if (answer?.key === op.key) op.ok({ ids: [answer.id] });
        else op.unknown(answer === null ? "the socket closed" : answer === undefined ? "EHANG" : `answered ${JSON.stringify(answer)}`);
        this.ended(op);
      });
    }
  }

  async socket(name, { port }) {
    const has = this.open.get(name);
    if (has?.readyState === WebSocket.OPEN && has.port === port) return has;
    has?.terminate();
    const ws = new WebSocket(`ws://127.0.0.1:${port}/l/${name}/ws`, { headers: { host: this.host }, handshakeTimeout: HANG_MS });
    ws.port = port;
    const isOpen = await new Promise((resolve) => {
      ws.once("open", () => resolve(true));
      ws.once("error", () => resolve(false));
    });
    ws.on("error", () => {}); // its close tells
    if (!isOpen) return null;
    this.open.set(name, ws);
    return ws;
  }
}

/* The answer to TEXT; null when the socket closed first, undefined after HANG_MS. */
function exchange(ws, text) {
  return new Promise((resolve) => {
    const timer = setTimeout(() => end(undefined), HANG_MS);
    const onMessage = (data) => end(JSON.parse(data)), onClose = () => end(null);
    const end = (answer) => {
      clearTimeout(timer);
      ws.off("message", onMessage).off("close", onClose);
      resolve(answer);
    };
    ws.on("message", onMessage).on("close", onClose);
    ws.send(text, (error) => error && end(null));
  });
}

const breathe = () => new Promise((resolve) => setTimeout(resolve, 5)); // a server that is away is not asked in a tight loop
