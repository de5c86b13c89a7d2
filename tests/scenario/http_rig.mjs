// What the gateway's scenarios share: a real dormouse-gateway between made-up rooms (gateway_rig.c), and clients that speak
// in raw bytes. RIG_BIN=folder of gateway-rig and dormouse-gateway (default: where build/dormouse leads).
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { existsSync, realpathSync } from "node:fs";
import net from "node:net";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";

const ROOT = resolve(dirname(fileURLToPath(import.meta.url)), "../..");
const program = process.env.DORMOUSE ?? join(ROOT, "build/dormouse");
export const BIN = process.env.RIG_BIN ? resolve(process.env.RIG_BIN) : existsSync(program) ? dirname(realpathSync(program)) : "";
export const skip = existsSync(join(BIN, "gateway-rig")) ? false : "gateway-rig is not built (make rooms)";

/* Starts the rig; stops it when the test T ends, and checks that the gateway ended by itself. */
export async function rig(t, { conf = {}, routes = {}, workers = 1 } = {}) {
  const given = { hosts: [], listeners: ["main"], default: true, workers, ...routes };
  const child = spawn(join(BIN, "gateway-rig"), [join(BIN, "dormouse-gateway"), JSON.stringify(conf), JSON.stringify(given), String(workers)], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  const seen = [], waiting = [];
  let rest = "";
  const take = (event) => {
    const at = waiting.findIndex((w) => w.wants(event));
    if (at >= 0) waiting.splice(at, 1)[0].resolve(event);
    else seen.push(event);
  };
  child.stdout.setEncoding("utf8").on("data", (text) => {
    const lines = (rest + text).split("\n");
    rest = lines.pop();
    for (const line of lines) take(JSON.parse(line));
  });
  const ended = new Promise((done) => child.on("exit", done));
  /* The next event of this kind (and that satisfies MORE), also when it came already. */
  const event = (kind, more = () => true) => {
    const wants = (e) => e.event === kind && more(e);
    const at = seen.findIndex(wants);
    if (at >= 0) return Promise.resolve(seen.splice(at, 1)[0]);
    return new Promise((done, fail) => {
      const timer = setTimeout(() => fail(new Error(`no event '${kind}'; seen: ${JSON.stringify(seen)}`)), 20_000);
      waiting.push({ wants, resolve: (e) => (clearTimeout(timer), done(e)) });
    });
  };
  const tell = async (line) => (child.stdin.write(line + "\n"), void (await event("done")));
  t.after(async () => {
    for (const c of open.splice(0)) c.destroy(); // else the gateway lingers for them
    if (child.exitCode === null) {
      child.stdin.write("stop 0\n");
      const end = await event("exit");
      assert.equal(end.signal, 0, "the gateway died by a signal");
      assert.equal(end.status, 0, "the gateway failed");
    }
    await ended;
  });
  const { port } = await event("ready");
  await event("serving");
  return { port, event, tell, seen, url: `http://127.0.0.1:${port}`, ended };
}

const open = [];

/* One TCP connection that speaks bytes. */
export function connect(port, options = {}) {
  const socket = net.connect({ port, host: "127.0.0.1", allowHalfOpen: true, ...options });
  let data = Buffer.alloc(0), isClosed = false, wake = () => {};
  open.push(socket);
  socket.setNoDelay(true);
  socket.on("data", (b) => ((data = Buffer.concat([data, b])), wake()));
  socket.on("error", () => {});
  for (const e of ["end", "close"]) socket.on(e, () => ((isClosed = true), wake()));
  const until = async (done) => {
    const limit = setTimeout(() => socket.destroy(new Error("timeout")), 20_000);
    for (;;) {
      const found = done(data, isClosed);
      if (found || isClosed) return clearTimeout(limit), found;
      await new Promise((r) => (wake = r));
    }
  };
  return {
    socket,
    send: (text) => socket.write(Buffer.isBuffer(text) ? text : Buffer.from(text, "latin1")),
    /* The next response of METHOD, taken out of the stream; null when the connection ended without one. */
    response: (method = "GET") =>
      until((d) => {
        const r = parse(d, method, isClosed);
        if (r) data = d.subarray(r.used);
        return r;
      }),
    bytes: (n) => until((d) => d.length >= n && ((data = d.subarray(n)), d.subarray(0, n))),
    closed: async () => (await until((d, c) => c), data),
    destroy: () => socket.destroy(),
  };
}

function parse(data, method, isClosed) {
  const end = data.indexOf("\r\n\r\n");
  if (end < 0) return null;
  const [line, ...lines] = data.subarray(0, end).toString("latin1").split("\r\n");
  const headers = {};
  for (const l of lines) {
    const at = l.indexOf(": "), name = l.slice(0, at).toLowerCase();
    headers[name] = name in headers ? `${headers[name]}, ${l.slice(at + 2)}` : l.slice(at + 2);
  }
  const r = { line, status: +line.split(" ")[1], headers, body: Buffer.alloc(0), used: end + 4 };
  const noBody = method === "HEAD" || r.status < 200 || r.status === 204 || r.status === 304;
  if (noBody) return r;
  if (headers["transfer-encoding"] === "chunked") {
    for (let at = r.used; ; ) {
      const eol = data.indexOf("\r\n", at);
      if (eol < 0) return null;
      const n = parseInt(data.subarray(at, eol).toString(), 16);
      if (data.length < eol + 2 + n + 2) return null;
      assert.equal(data.subarray(eol + 2 + n, eol + 4 + n).toString(), "\r\n");
      r.body = Buffer.concat([r.body, data.subarray(eol + 2, eol + 2 + n)]);
      at = eol + 4 + n;
      if (n === 0) return (r.used = at), r;
    }
  }
  if ("content-length" in headers) {
    const n = +headers["content-length"];
    if (data.length < r.used + n) return null;
    r.body = data.subarray(r.used, r.used + n);
    r.used += n;
    return r;
  }
  if (!isClosed) return null;
  r.body = data.subarray(r.used);
  r.used = data.length;
  return r;
}

/* One request on a connection of its own. */
export async function ask(port, text, method) {
  const c = connect(port);
  c.send(text);
  const r = await c.response(method ?? text.split(" ")[0]);
  c.destroy();
  return r;
}

/* A masked frame of a client. */
export function frame(first, payload = "") {
  const data = Buffer.from(payload), mask = Buffer.from([1, 2, 3, 4]);
  const head = data.length < 126 ? Buffer.from([first, 0x80 | data.length])
    : data.length < 65536 ? Buffer.from([first, 0xfe, data.length >> 8, data.length & 255])
    : (() => { const b = Buffer.alloc(10); b[0] = first; b[1] = 0xff; b.writeBigUInt64BE(BigInt(data.length), 2); return b; })();
  return Buffer.concat([head, mask, data.map((c, i) => c ^ mask[i & 3])]);
}

export const upgrade = (path, more = "") =>
  `GET ${path} HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n` +
  `Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n${more}\r\n`;
