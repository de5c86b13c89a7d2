// Everything at once, in an order that a seed decides: requests of all kinds, sockets, workers that die and come back. The gateway
// must live through it, tell each socket's end once, and serve as before when it is quiet again. Best run with RIG_BIN of an asan build.
import assert from "node:assert/strict";
import test from "node:test";
import { ask, connect, frame, rig, skip, upgrade } from "./http_rig.mjs";

const STEPS = 1500, WORKERS = 3;

/* mulberry32: the same storm for the same seed. */
const dice = (seed) => () => {
  seed = (seed + 0x6d2b79f5) | 0;
  let x = Math.imul(seed ^ (seed >>> 15), 1 | seed);
  x = (x + Math.imul(x ^ (x >>> 7), 61 | x)) ^ x;
  return ((x ^ (x >>> 14)) >>> 0) / 4294967296;
};

const get = (path) => `GET ${path} HTTP/1.1\r\nHost: a\r\n\r\n`;
const REQUESTS = [
  get("/"), get("/never"), get("/stream?n=3000000"), get("/cut"), get("/fail"), get("/slot/a?slot=1"), get("/status?code=204"), get("/bad-value"),
  get("/stream?length=50&n=70"), get("/asset-of/index.html"), "HEAD / HTTP/1.1\r\nHost: a\r\n\r\n", "BAD\r\n\r\n",
  "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n" + "x".repeat(100000),
  "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n",
  "POST /never HTTP/1.1\r\nHost: a\r\nContent-Length: 3000000\r\n\r\n" + "y".repeat(2000000), get("/") + get("/stream?n=100000") + get("/"),
];
const HANDSHAKES = ["/ws", "/ws?late", "/ws?early", "/ws?live", "/ws?early&shut", "/ws?join", "/ws?unopened"].map((p) => upgrade(p));
const FRAMES = [
  frame(0x81, "text"), frame(0x82, Buffer.alloc(70000)), frame(0x01, "part"), frame(0x80, "rest"), frame(0x89, "ping"), frame(0x88), frame(0x81, "quiet"),
  frame(0x88, Buffer.from([3, 0xe8])), Buffer.from([0xff, 0xff]), frame(0x81, Buffer.from([0xff])), frame(0x82, "cut").subarray(0, 5),
];

for (const seed of [1, 2, 3])
  test(`storm ${seed}`, { skip }, async (t) => {
    const limits = { worker_wait_ms: 100, ws_pending_timeout_ms: 200, ws_close_timeout_ms: 200, body_timeout_ms: 300, stall_timeout_ms: 500 };
    const g = await rig(t, { workers: WORKERS, conf: { limits }, routes: { assets: { dir: import.meta.dirname ?? ".", run_worker_first: true } } });
    const random = dice(seed), pick = (list) => list[Math.floor(random() * list.length)];
    const clients = [], up = new Set(Array.from({ length: WORKERS }, (_, i) => i));
    for (let step = 0; step < STEPS; step++) {
      const what = random();
      if (what < 0.25 || clients.length === 0) {
        const c = connect(g.port);
        clients.push(c);
        if (random() < 0.2) c.socket.pause();
        c.send(pick(random() < 0.5 ? HANDSHAKES : REQUESTS));
      } else if (what < 0.55) pick(clients).send(pick(FRAMES));
      else if (what < 0.75) pick(clients).send(pick(REQUESTS));
      else if (what < 0.85) pick(clients).destroy();
      else if (what < 0.88) pick(clients).socket.end();
      else if (what < 0.9) pick(clients).socket.resetAndDestroy();
      else if (what < 0.93) {
        const slot = Math.floor(random() * WORKERS);
        await g.tell(`${up.has(slot) ? "kill" : "link"} ${slot}`);
        if (!up.delete(slot)) up.add(slot);
      } else if (what < 0.95) await g.tell(pick(["list", "auto ping pong", "auto ", "credit off", "credit on"]));
      else if (what < 0.98) {
        const socket = 1 + Math.floor(random() * clients.length);
        await g.tell(`${pick(["send", "close", "attach", "fragment"])} ${socket} ${pick(["4000", "1006", "1005", "text"])}`);
      } else await ask(g.port, get("/status?code=200"));
    }
    await g.tell("credit on");
    for (let slot = 0; slot < WORKERS; slot++) if (!up.has(slot)) await g.tell(`link ${slot}`);
    for (const c of clients) c.destroy();
    let quiet;
    do quiet = await ask(g.port, get("/")); while (quiet.status === 503);
    assert.equal(quiet.body.toString(), "hello");
    await g.tell("list"); // an answer from every part
    await g.event("ws_listed");
    const ends = g.seen.filter((e) => e.event === "ws_close" && e.socket < 1000000).map((e) => e.socket);
    assert.equal(new Set(ends).size, ends.length, "each end is told once");
  });
