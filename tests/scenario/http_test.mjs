// The gateway's HTTP: what passes, what is refused, what happens when someone is slow or gone.
import assert from "node:assert/strict";
import test from "node:test";
import { ask, connect, rig, skip, upgrade } from "./http_rig.mjs";

const get = (path, more = "") => `GET ${path} HTTP/1.1\r\nHost: a\r\n${more}\r\n`;

test("a request reaches the app and its answer the client", { skip }, async (t) => {
  const g = await rig(t);
  const r = await ask(g.port, get("/info?x=1", "X-Name: v\xe4lue\r\ntraceparent: 00-1-2-01\r\n"));
  const text = r.body.toString();
  assert.equal(r.status, 200);
  assert.match(r.headers.date, /^\w{3}, \d\d \w{3} \d{4} [\d:]{8} GMT$/);
  assert.match(text, /^GET http:\/\/a\/info\?x=1\n/);
  assert.match(text, /\nx-name\nvälue\n/);
  assert.match(text, /\ntrace 00-1-2-01\n/);
  assert.match(text, /\ncf-connecting-ip\n127\.0\.0\.1\n/);
  assert.match(text, /\nmeta \{"httpProtocol":"HTTP\/1\.1"\}\n/);
});

test("the client cannot forge what the platform says", { skip }, async (t) => {
  const forged = "CF-Connecting-IP: 6.6.6.6\r\ncf-ray: x\r\nX-Real-IP: 6.6.6.6\r\nX-Forwarded-For: 6.6.6.6\r\nX-Forwarded-Proto: https\r\n" +
    "Forwarded: for=6.6.6.6\r\nTrue-Client-IP: 6.6.6.6\r\nConnection: keep-alive, x-hop\r\nX-Hop: 1\r\nKeep-Alive: 1\r\nTE: trailers\r\n";
  const g = await rig(t);
  const text = (await ask(g.port, get("/info", forged))).body.toString();
  assert.doesNotMatch(text, /6\.6\.6\.6|cf-ray|https|x-hop|keep-alive|trailers/);
  assert.match(text, /\nx-forwarded-proto\nhttp\n/);
  const trusting = await rig(t, { conf: { trust_proxy: true } });
  const believed = (await ask(trusting.port, get("/info", "X-Forwarded-For: 9.9.9.9, 8.8.8.8\r\nX-Forwarded-Proto: https\r\n"))).body.toString();
  assert.match(believed, /^GET https:\/\/a\/info/);
  assert.match(believed, /\ncf-connecting-ip\n9\.9\.9\.9\n/);
});

test("connections are kept, pipelined requests answered in order", { skip }, async (t) => {
  const g = await rig(t, { workers: 2 });
  const c = connect(g.port);
  const paths = Array.from({ length: 40 }, (_, i) => `/info?n=${i}`);
  c.send(paths.map((p) => get(p)).join("") + get("/stream?n=300000") + "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc");
  for (const p of paths) assert.match((await c.response()).body.toString(), new RegExp(`/info\\?n=${p.split("=")[1]}\\n`));
  assert.equal((await c.response()).body.length, 300000);
  assert.equal((await c.response()).body.toString(), "abc");
  c.send("GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" + get("/never"));
  assert.equal((await c.response()).headers.connection, "close");
  assert.equal((await c.closed()).length, 0);
});

test("answers to pipelined requests do not pile up for a client that reads nothing", { skip }, async (t) => {
  const g = await rig(t);
  const c = connect(g.port);
  c.socket.pause();
  c.send(get("/stream?n=2000000").repeat(50));
  for (let i = 0; i < 20; i++) await ask(g.port, get("/"));
  c.socket.resume();
  for (let i = 0; i < 50; i++) assert.equal((await c.response()).body.length, 2000000);
  c.destroy();
});

test("requests cut at every byte are the same requests", { skip }, async (t) => {
  const g = await rig(t);
  const text = "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;e=1\r\nde\r\n0\r\n\r\n";
  const c = connect(g.port);
  for (let i = 1; i < text.length; i += 3) {
    c.send(text.slice(0, i));
    await new Promise((r) => setImmediate(r));
    c.send(text.slice(i));
    assert.equal((await c.response()).body.toString(), "abcde");
  }
  for (const b of text) { c.send(b); await new Promise((r) => setImmediate(r)); }
  assert.equal((await c.response()).body.toString(), "abcde");
  c.destroy();
});

test("HTTP/1.0, HEAD, 204, 304 and close-delimited answers", { skip }, async (t) => {
  const g = await rig(t);
  const old = await ask(g.port, "GET /stream?n=100000 HTTP/1.0\r\n\r\n");
  assert.equal(old.body.length, 100000);
  assert.equal(old.headers["transfer-encoding"], undefined);
  const c = connect(g.port);
  c.send("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
  assert.equal((await c.response()).headers.connection, "keep-alive");
  for (const [path, status] of [["/status?code=204&body", 204], ["/status?code=304&body", 304]]) {
    c.send(get(path));
    const r = await c.response();
    assert.equal(r.status, status);
    assert.equal(r.headers["content-length"], undefined);
  }
  c.send("HEAD / HTTP/1.1\r\nHost: a\r\n\r\n");
  assert.equal((await c.response("HEAD")).headers["content-length"], "5");
  c.send("HEAD /stream?n=5000000 HTTP/1.1\r\nHost: a\r\n\r\n");
  assert.equal((await c.response("HEAD")).status, 200);
  await g.event("cancel");
  c.send("HEAD /stream?length=77&n=77 HTTP/1.1\r\nHost: a\r\n\r\n");
  assert.equal((await c.response("HEAD")).headers["content-length"], "77");
  c.send(get("/"));
  assert.equal((await c.response()).body.toString(), "hello");
  c.destroy();
});

test("Expect: 100-continue", { skip }, async (t) => {
  const g = await rig(t, { conf: { limits: { body_bytes_max: 1000 } } });
  const c = connect(g.port);
  c.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n");
  assert.equal((await c.response()).status, 100);
  c.send("hello");
  assert.equal((await c.response()).body.toString(), "hello");
  c.send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5000\r\nExpect: 100-continue\r\n\r\n");
  assert.equal((await c.response()).status, 413);
  await c.closed();
});

const REFUSED = {
  "length and coding": [400, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nGET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n"],
  "two lengths": [400, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhelloX"],
  "odd coding": [400, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"],
  "a folded header": [400, "GET / HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n"],
  "bare LF": [400, "GET / HTTP/1.1\nHost: a\n\n"],
  "bare CR": [400, "GET / HTTP/1.1\r\nHost: a\rX: b\r\n\r\n"],
  "no Host": [400, "GET / HTTP/1.1\r\n\r\n"],
  "two Hosts": [400, "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n"],
  "user in Host": [400, "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n"],
  "blank before colon": [400, "GET / HTTP/1.1\r\nHost : a\r\n\r\n"],
  "a bad chunk": [400, "POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"],
  "garbage": [400, "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"],
  "an unknown method": [501, "BREW / HTTP/1.1\r\nHost: a\r\n\r\n"],
  "CONNECT": [501, "CONNECT a:1 HTTP/1.1\r\nHost: a\r\n\r\n"],
  "HTTP/2": [505, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"],
  "a long target": [414, `GET /${"a".repeat(40000)} HTTP/1.1\r\nHost: a\r\n\r\n`],
  "a large head": [431, `GET / HTTP/1.1\r\nHost: a\r\nX: ${"a".repeat(140000)}\r\n\r\n`],
  "a large body": [413, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999\r\n\r\n"],
};
for (const [name, [status, text]] of Object.entries(REFUSED))
  test(`refused with ${status}: ${name}`, { skip }, async (t) => {
    const g = await rig(t);
    const c = connect(g.port);
    c.send(text);
    const r = await c.response();
    assert.equal(r.status, status);
    assert.equal(r.headers.connection, "close");
    assert.equal((await c.closed()).length, 0, "nothing follows a refusal");
  });

test("a body above the limit is refused while it streams", { skip }, async (t) => {
  const g = await rig(t, { conf: { limits: { body_bytes_max: 100000 } } });
  const c = connect(g.port);
  c.send("POST /never HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n");
  await g.event("call");
  for (let i = 0; i < 3; i++) c.send(`c350\r\n${"x".repeat(50000)}\r\n`);
  assert.equal((await c.response()).status, 413);
  await g.event("cancel");
});

test("agents cannot break the framing", { skip }, async (t) => {
  const g = await rig(t);
  const c = connect(g.port);
  for (const path of ["/bad-value", "/split", "/odd-list", "/status?code=42"]) {
    c.send(get(path));
    const r = await c.response();
    assert.equal(r.status, 500);
    assert.equal(r.headers["set-cookie"], undefined);
  }
  c.send(get("/hop"));
  const r = await c.response();
  assert.equal(r.body.toString(), "ok");
  assert.deepEqual(Object.keys(r.headers), ["x-y", "content-length", "date"]);
  assert.equal(r.headers["x-y"], "\xe9");
  c.send(get("/stream?length=10&n=20"));
  assert.equal(await c.response(), null, "more than Content-Length: the connection is cut");
  const short = connect(g.port);
  short.send(get("/stream?length=100&n=20"));
  assert.equal(await short.response(), null, "less than Content-Length: the connection is cut");
  const cut = connect(g.port);
  cut.send(get("/cut"));
  assert.equal(await cut.response(), null, "no last chunk when the body broke off");
});

test("failures become answers that say whether to try again", { skip }, async (t) => {
  const g = await rig(t);
  const c = connect(g.port);
  c.send(get("/fail?code=10"));
  let r = await c.response();
  assert.equal(r.status, 503);
  assert.equal(r.headers["retry-after"], "1");
  c.send(get("/fail?flags=2"));
  assert.equal((await c.response()).status, 503);
  c.send(get("/fail", "Accept: text/html\r\n"));
  r = await c.response();
  assert.equal(r.status, 500);
  assert.match(r.body.toString(), /It &lt;broke&gt;\./);
  c.send(get("/fail", "Accept: application/json\r\n"));
  assert.equal(JSON.parse((await c.response()).body).error.message, "It <broke>.");
  c.destroy();
});

test("bodies stream both ways, slowly read and slowly written", { skip }, async (t) => {
  const g = await rig(t);
  const body = Buffer.alloc(3 << 20, "0123456789abcdef");
  const c = connect(g.port);
  c.send(`POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: ${body.length}\r\n\r\n`);
  c.socket.pause();
  for (let at = 0; at < body.length; at += 100000) c.socket.write(body.subarray(at, at + 100000));
  await new Promise((r) => setImmediate(r));
  c.socket.resume();
  assert.ok((await c.response()).body.equals(body));
  c.send(get("/"));
  assert.equal((await c.response()).body.toString(), "hello");
  c.destroy();
});

test("a client that reads nothing holds its agent back; one that leaves cancels it", { skip }, async (t) => {
  const g = await rig(t);
  const c = connect(g.port);
  c.socket.pause();
  c.send(get("/stream?n=1000000000&tell"));
  await g.event("call");
  await ask(g.port, get("/")); // the gateway is alive; the stream waits for credit
  c.destroy();
  const { left } = await g.event("cancel");
  assert.ok(left > 900_000_000, `the agent was held back (left ${left})`);
  const other = connect(g.port);
  other.send(get("/never"));
  await g.event("call");
  other.destroy();
  assert.match((await g.event("cancel")).message, /disconnected/);
});

test("a request body without credit is not read", { skip }, async (t) => {
  const g = await rig(t);
  await g.tell("credit off");
  const c = connect(g.port);
  c.send("POST /never HTTP/1.1\r\nHost: a\r\nContent-Length: 90000000\r\n\r\n");
  await g.event("call");
  c.socket.write(Buffer.alloc(60_000_000, "x")); // what the gateway does not read waits on this side
  let received = 0;
  while (received < 256 * 1024) received += (await g.event("data")).bytes;
  await ask(g.port, get("/"));
  assert.equal(received, 256 * 1024, "exactly the window");
  assert.equal(g.seen.filter((e) => e.event === "data").length, 0);
  c.destroy();
});

test("requests that nobody has seen wait for the next worker", { skip }, async (t) => {
  const g = await rig(t);
  await g.tell("kill 0");
  const waiting = Array.from({ length: 5 }, () => connect(g.port));
  waiting[0].send(get("/"));
  waiting[1].send("POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 200000\r\n\r\n" + "x".repeat(200000));
  waiting[2].send("POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
  waiting[3].send(upgrade("/ws"));
  waiting[4].send(get("/"));
  waiting[4].destroy();
  await g.tell("link 0");
  waiting[2].send("0\r\n\r\n");
  assert.equal((await waiting[0].response()).body.toString(), "hello");
  assert.equal((await waiting[1].response()).body.length, 200000);
  assert.equal((await waiting[2].response()).body.toString(), "abc");
  assert.equal((await waiting[3].response()).status, 101);
});

test("a lost worker: 503 before the head, a cut after it, and the next one serves", { skip }, async (t) => {
  const g = await rig(t, { conf: { limits: { worker_wait_ms: 100 } } });
  const waiting = connect(g.port), streaming = connect(g.port);
  waiting.send(get("/never"));
  await g.event("call");
  streaming.socket.pause();
  streaming.send(get("/stream?n=100000000&tell"));
  await g.event("call");
  await g.tell("kill 0");
  const r = await waiting.response();
  assert.equal(r.status, 503);
  assert.equal(r.headers["retry-after"], "1");
  streaming.socket.resume();
  assert.equal(await streaming.response(), null);
  const away = await ask(g.port, get("/"));
  assert.equal(away.status, 503);
  assert.equal(away.headers["retry-after"], "1");
  await g.tell("link 0");
  let back;
  do {
    waiting.send(get("/"));
    back = await waiting.response();
  } while (back.status === 503);
  assert.equal(back.body.toString(), "hello");
  waiting.destroy();
});

test("requests go to the process where their agent lives", { skip }, async (t) => {
  const g = await rig(t, { workers: 4 });
  const c = connect(g.port);
  const slot = async (path) => (c.send(get(path)), (await c.response()).body.toString());
  const free = new Set();
  for (let i = 0; i < 8; i++) free.add(await slot("/slot"));
  assert.equal(free.size, 4, "without advice all take part");
  await slot("/slot/a?slot=2");
  for (let i = 0; i < 5; i++) assert.equal(await slot(`/slot/a?other=${i}`), "2");
  await slot("/slot/a?slot=1");
  assert.equal(await slot("/slot/a"), "1");
  await g.tell("kill 1");
  assert.notEqual(await slot("/slot/a"), "1");
  c.destroy();
});

test("hosts and unknown hosts", { skip }, async (t) => {
  const g = await rig(t, { conf: { limits: { worker_wait_ms: 0 } }, routes: { hosts: ["demo.localhost", "*.example.com"], default: false } });
  const at = async (host) => (await ask(g.port, `GET / HTTP/1.1\r\nHost: ${host}\r\n\r\n`)).status;
  assert.equal(await at("demo.localhost:1234"), 200);
  assert.equal(await at("x.example.com"), 200);
  assert.equal(await at("127.0.0.1"), 404);
  assert.equal(await at("a.b.localhost"), 404);
  await g.tell("routes " + JSON.stringify({ default: true, workers: 1 }));
  assert.equal(await at("127.0.0.1"), 200);
  await g.tell("routes");
  assert.equal(await at("demo.localhost"), 404);
});

test("slow heads, slow bodies, idle connections and stalled readers end", { skip }, async (t) => {
  const limits = { head_timeout_ms: 300, idle_timeout_ms: 300, body_timeout_ms: 300, stall_timeout_ms: 600 };
  const g = await rig(t, { conf: { limits } });
  const head = connect(g.port), body = connect(g.port), idle = connect(g.port), silent = connect(g.port), stalled = connect(g.port);
  head.send("GET / HTTP/1.1\r\nHost: a\r\nX");
  body.send("POST /never HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\nabc");
  idle.send(get("/"));
  assert.equal((await idle.response()).status, 200);
  stalled.socket.pause();
  stalled.send(get("/stream?n=1000000000"));
  assert.equal((await head.response()).status, 408);
  assert.equal((await body.response()).status, 408);
  assert.equal((await idle.closed()).length, 0);
  assert.equal((await silent.closed()).length, 0);
  assert.ok((await g.event("cancel", (e) => e.left > 0)).left > 900_000_000);
  for (const c of [head, body, idle, silent, stalled]) c.destroy();
});

test("too many requests at once: 503, the others go on", { skip }, async (t) => {
  const g = await rig(t, { conf: { limits: { requests_max: 2 } } });
  const a = connect(g.port), b = connect(g.port);
  a.send(get("/never"));
  b.send(get("/never"));
  await g.event("call");
  await g.event("call");
  const r = await ask(g.port, get("/"));
  assert.equal(r.status, 503);
  assert.equal(r.headers["retry-after"], "1");
  a.destroy();
  await g.event("cancel");
  assert.equal((await ask(g.port, get("/"))).status, 200);
  b.destroy();
});

test("STOP lets requests end, refuses new connections, and exits 0", { skip }, async (t) => {
  const g = await rig(t);
  const busy = connect(g.port), idle = connect(g.port);
  idle.send(get("/"));
  await idle.response();
  busy.send("POST /echo?tell HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nabc");
  await g.event("call");
  await g.tell("stop 10000");
  await idle.closed();
  busy.send("def");
  const r = await busy.response();
  assert.equal(r.body.toString(), "abcdef");
  const end = await g.event("exit");
  assert.deepEqual([end.status, end.signal], [0, 0]);
  await g.ended;
});

test("WebSocket handshakes that are none", { skip }, async (t) => {
  const g = await rig(t);
  assert.equal((await ask(g.port, upgrade("/ws").replace("Version: 13", "Version: 8"))).status, 426);
  assert.equal((await ask(g.port, upgrade("/ws").replace("dGhl", "!"))).status, 400);
  assert.equal((await ask(g.port, upgrade("/ws", "Content-Length: 3\r\n") + "abc")).status, 400);
  assert.equal((await ask(g.port, upgrade("/plain"))).body.toString(), "hello");
  const h2c = await ask(g.port, get("/", "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\n"));
  assert.equal(h2c.body.toString(), "hello");
});
