/* Request, Response and bodies: Fetch standard, with what workerd says (its texts were read from a running workerd). */
const USED = "Body has already been used. It can only be used once. Use tee() first if you need to read it twice.";
const post = (body, headers) => new Request("http://x/", { method: "POST", body, headers });
const streamOf = (...chunks) => new ReadableStream({ start(c) { for (const chunk of chunks) c.enqueue(chunk); c.close(); } });

test("request: url and method", () => {
  eq(new Request("HTTP://X:80/a/../b?c#d").url, "http://x/b?c#d");
  eq(new Request(new URL("http://x/y")).url, "http://x/y");
  for (const [given, kept] of [["post", "POST"], ["patch", "PATCH"], ["Delete", "DELETE"], ["QUERY", "QUERY"]]) eq(new Request("http://x/", { method: given }).method, kept);
  for (const bad of ["a b", "FOO", "CONNECT"]) throws(() => new Request("http://x/", { method: bad }), "TypeError", `Invalid HTTP method string: ${bad}`);
  throws(() => new Request("foo"), "TypeError", "Invalid URL: foo");
  throws(() => new Request("http://x/", { body: "a" }), "TypeError", "Request with a GET or HEAD method cannot have a body.");
});
test("request: fields", () => {
  const r = new Request("http://x/");
  eq([r.redirect, r.cf, r.cache, r.integrity, r.keepalive, r.fetcher, r.body, r.bodyUsed], ["follow", undefined, undefined, "", false, null, null, false]);
  eq(new Request("http://x/", { redirect: "manual" }).redirect, "manual");
  throws(() => new Request("http://x/", { redirect: "error" }), "TypeError", /Invalid redirect value/);
  eq(new Request("http://x/", { cache: "no-store" }).cache, "no-store");
  throws(() => new Request("http://x/", { cache: "reload" }), "TypeError", "Unsupported cache mode: reload");
  eq(new Request("http://x/", { cf: { a: 1 } }).cf, { a: 1 });
});
test("request: signal", () => {
  const c = new AbortController();
  const r = new Request("http://x/", { signal: c.signal });
  ok(r.signal === c.signal);
  const plain = new Request("http://x/");
  ok(plain.signal instanceof AbortSignal && plain.signal === plain.signal && !plain.signal.aborted);
  throws(() => new Request("http://x/", { signal: 5 }), "TypeError", /'signal' field/);
});
test("request from request", async () => {
  const a = post("text", { q: "1" });
  const b = new Request(a, { headers: { z: "2" } });
  eq([b.method, b.url, [...b.headers], await b.text(), a.bodyUsed], ["POST", "http://x/", [["z", "2"]], "text", true]);
  throws(() => new Request(a), "TypeError", "Cannot reconstruct a Request with a used body.");
  const c = post("c");
  const d = new Request(c, { method: "PUT", body: "d" });
  eq([d.method, await d.text(), c.bodyUsed], ["PUT", "d", false]);
  throws(() => new Request(c, { method: "GET" }), "TypeError", "Request with a GET or HEAD method cannot have a body.");
  const e = new Request("http://y/", post("e", { q: "1" }));
  eq([e.url, e.method, await e.text(), e.headers.get("q")], ["http://y/", "POST", "e", "1"]);
});
const TYPES = [
  ["a", "text/plain;charset=UTF-8"], [new URLSearchParams("a=b"), "application/x-www-form-urlencoded;charset=UTF-8"], [new Blob(["x"], { type: "q/r" }), "q/r"],
  [new Blob(["x"]), null], [new Uint8Array(1), null], [new ArrayBuffer(1), null], [5, "text/plain;charset=UTF-8"], [{ a: 1 }, "text/plain;charset=UTF-8"],
];
for (const [body, type] of TYPES) test(`content type of ${Object.prototype.toString.call(body)}`, () => {
  eq(post(body).headers.get("content-type"), type);
  eq(post(body, { "Content-Type": "own/type" }).headers.get("content-type"), "own/type");
});
const BODIES = [["héllo", "héllo"], [new Uint8Array([104, 105]), "hi"], [new Uint8Array([0, 104, 105, 0]).subarray(1, 3), "hi"], [new Blob(["b", "c"]), "bc"],
  [new URLSearchParams({ a: "b c" }), "a=b+c"], [12, "12"], [null, ""], [undefined, ""], ["", ""], [new Uint8Array([0xef, 0xbb, 0xbf, 65]), "A"], [new Uint8Array([255, 65]), "\ufffdA"]];
for (const [body, text] of BODIES)
  test(`body of ${Object.prototype.toString.call(body)} ${text}`, async () => {
    eq(await new Response(body).text(), text);
    eq(new TextDecoder().decode(await new Response(body).arrayBuffer()), text);
    eq(new TextDecoder().decode(await new Response(body).bytes()), text);
    eq(await (await new Response(body).blob()).text(), text);
    eq(await new Response(new Response(body).body).text(), text);
  });
test("a body is used once", async () => {
  const r = post('{"a":1}');
  eq(await r.json(), { a: 1 });
  eq(r.bodyUsed, true);
  await rejects(r.text(), "TypeError", USED);
  await rejects(r.arrayBuffer(), "TypeError", USED);
  throws(() => r.clone(), "TypeError");
  const none = new Response();
  await none.text();
  eq([await none.text(), none.bodyUsed, none.body], ["", false, null]);
});
test("the caller's bytes may change later", async () => {
  const bytes = new Uint8Array([97]);
  const r = new Response(bytes);
  bytes[0] = 98;
  eq(await r.text(), "a");
});
test("Node's Buffers are copied, also as parts, chunks and keys", async () => {
  const make = () => Buffer.from("hello");
  const b = make();
  const r = new Response(b);
  const blob = new Blob([b]);
  const streamed = new Response(new ReadableStream({ start(c) { c.enqueue(make()); c.close(); } }));
  const decoder = new TextDecoder();
  const start = Buffer.from([0xc3]);
  decoder.decode(start, { stream: true });
  b.fill(0);
  start.fill(0);
  eq([await r.text(), await blob.text(), await blob.slice(1, 3).text(), decoder.decode(Buffer.from([0xa9]))], ["hello", "hello", "el", "é"]);
  const bytes = await streamed.bytes();
  eq([bytes.constructor === Uint8Array, bytes.length], [true, 5]);
  const c = make();
  for await (const chunk of new Response(c).body) eq(chunk.length, 5);
  eq(c.toString(), "hello");
});
test("json failures", async () => {
  await rejects(post("{").json(), "SyntaxError");
  await rejects(new Response().json(), "SyntaxError");
});
test("streams as bodies", async () => {
  const r = new Response(streamOf(new Uint8Array([104]), new Uint8Array([105])));
  eq(r.headers.get("content-type"), null);
  eq([await r.text(), r.bodyUsed], ["hi", true]);
  await rejects(new Response(streamOf("text")).text(), "TypeError", "This ReadableStream did not return bytes.");
  const locked = new ReadableStream();
  locked.getReader();
  throws(() => new Response(locked), "TypeError", "This ReadableStream is locked to a reader, and cannot be used as a body.");
  async function* parts() { yield new Uint8Array([120]); yield new Uint8Array([121]); }
  eq(await new Response(parts()).text(), "xy");
  const failing = new Response(new ReadableStream({ pull() { throw new Error("broke"); } }));
  await rejects(failing.text(), "Error", "broke");
});
test("body, once touched, is the one stream", async () => {
  const r = new Response("abc");
  ok(r.body === r.body && r.body instanceof ReadableStream && !r.bodyUsed);
  const reader = r.body.getReader();
  eq((await reader.read()).value, new Uint8Array([97, 98, 99]));
  eq([(await reader.read()).done, r.bodyUsed], [true, true]);
  await rejects(r.text(), "TypeError", USED);
  const locked = new Response("abc");
  locked.body.getReader();
  await rejects(locked.text(), "TypeError", "This ReadableStream is currently locked to a reader.");
  const used = new Response("abc");
  await used.text();
  eq([used.body.locked, used.bodyUsed, (await used.body.getReader().read()).done], [false, true, true]);
});
test("clone", async () => {
  const a = new Response("abc", { status: 201, headers: { x: "y" } });
  const b = a.clone();
  b.headers.set("x", "z");
  eq([await a.text(), await b.text(), b.status, a.headers.get("x"), b.headers.get("x")], ["abc", "abc", 201, "y", "z"]);
  const s = new Response(streamOf(new Uint8Array([1]), new Uint8Array([2])));
  const t = s.clone();
  eq([await s.bytes(), await t.bytes()], [new Uint8Array([1, 2]), new Uint8Array([1, 2])]);
});
test("response: status", () => {
  eq([new Response().status, new Response(null, { status: 204 }).status, new Response("", { status: 204 }).body, new Response(null, { status: "201" }).status], [200, 204, null, 201]);
  for (const status of [99, 100, 101, 199, 600, 1000, NaN, "abc"])
    throws(() => new Response(null, { status }), "RangeError", "Responses may only be constructed with status codes in the range 200 to 599, inclusive.");
  for (const status of [204, 205, 304]) throws(() => new Response("a", { status }), "TypeError", "Response with null body status (101, 204, 205, or 304) cannot have a body.");
  eq([new Response().ok, new Response(null, { status: 299 }).ok, new Response(null, { status: 300 }).ok], [true, true, false]);
  eq(new Response("a", { statusText: "Fine" }).statusText, "Fine");
  throws(() => new Response("a", { statusText: "a\nb" }), "TypeError", "Invalid statusText");
  throws(() => new Response("a", 5), "TypeError", /parameter 2 is not of type 'InitializerDict or Response'/);
});
test("response: json, redirect, error", async () => {
  const j = Response.json({ a: [1] }, { status: 201, headers: { b: "c" } });
  eq([j.status, [...j.headers], await j.text()], [201, [["b", "c"], ["content-type", "application/json"]], '{"a":[1]}']);
  eq(Response.json(1, { headers: { "content-type": "x/y" } }).headers.get("content-type"), "x/y");
  const r = Response.redirect("http://x/a b", 307);
  eq([r.status, r.headers.get("location")], [307, "http://x/a%20b"]);
  throws(() => r.headers.set("a", "b"), "TypeError", "Can't modify immutable headers.");
  throws(() => Response.redirect("http://x/", 200), "RangeError", "200 is not a redirect status code. It must be one of: 301, 302, 303, 307, or 308.");
  throws(() => Response.redirect("foo"), "TypeError", "Unable to parse URL: foo");
  eq([Response.error().type, Response.error().status, new Response().type], ["error", 0, "default"]);
});
test("response from response", () => {
  const a = new Response("a", { status: 202, statusText: "hm", headers: { x: "y" } });
  const b = new Response("b", a);
  eq([b.status, b.statusText, b.headers.get("x")], [202, "hm", "y"]);
});
test("subclasses keep working", async () => {
  class Mine extends Response { constructor(x) { super(JSON.stringify(x), { status: 202 }); this.x = x; } get twice() { return this.status * 2; } }
  const m = new Mine([1]);
  eq([m.twice, m instanceof Response, m.x, m.clone() instanceof Response, await m.json()], [404, true, [1], true, [1]]);
});
test("internals: requests of the host are lazy and immutable", async () => {
  const { makeRequest, flatOfMessage, bodyMode, takeBody } = __world.web;
  const flat = "a\n1\ncontent-type\ntext/plain\n";
  const r = makeRequest("POST", "http://x/y", flat, 1, "body", '{"colo":"X"}');
  eq([flatOfMessage(r) === flat, bodyMode(r), r.cf, r.headers.get("A"), flatOfMessage(r) === flat], [true, 1, { colo: "X" }, "1", true]);
  throws(() => r.headers.set("a", "2"), "TypeError", "Can't modify immutable headers.");
  const copy = new Request(r, { headers: r.headers });
  copy.headers.set("a", "2");
  eq(takeBody(copy), "body");
  throws(() => takeBody(copy), "TypeError", USED);
  const bytes = makeRequest("POST", "http://x/", "", 1, new Uint8Array([104, 105]).buffer, "");
  eq(await bytes.text(), "hi");
  eq(takeBody(makeRequest("GET", "http://x/", "", 0, undefined, "")), undefined);
});
test("internals: a body that still arrives is drained without a stream, and becomes one when touched", async () => {
  const { makeRequest, makeResponse, bodyMode, takeBody, sourceOf } = __world.web;
  const source = (chunks) => ({ log: [], read() { this.log.push("read"); return Promise.resolve(chunks.shift()); }, cancel(r) { this.log.push(r); return Promise.resolve(); } });
  const bytes = (...b) => new Uint8Array(b);
  eq(await makeRequest("POST", "http://x/", "", 2, source([bytes(104), bytes(105)]), "").text(), "hi");
  const r = makeResponse(200, "", "", 2, source([bytes(1), bytes(), bytes(2)]), "http://u/", null);
  eq([bodyMode(r), r.url], [2, "http://u/"]);
  const seen = [];
  for await (const chunk of r.body) seen.push(...chunk);
  eq(seen, [1, 2]);
  const s = source([bytes(1)]);
  const t = makeResponse(200, "", "", 2, s, "", null);
  ok(takeBody(t) === s && sourceOf(s) === s);
  const given = sourceOf(streamOf(bytes(7)));
  eq([await given.read(), await given.read()], [bytes(7), undefined]);
  const c = source([]);
  await makeResponse(200, "", "", 2, c, "", null).body.cancel("enough");
  eq(c.log, ["enough"]);
});
test("internals: lazySignal", () => {
  const { makeRequest, lazySignal, signalIfAny } = __world.web;
  const r = makeRequest("GET", "http://x/", "", 0, undefined, "");
  eq(signalIfAny(r), undefined);
  let made = 0;
  const c = new AbortController();
  lazySignal(r, () => { made++; return c.signal; });
  ok(r.signal === c.signal && r.signal === c.signal);
  eq(made, 1);
});

test("internals: an untouched body passes on without its stream", async () => {
  const { makeResponse, takeBody, bodyMode } = __world.web;
  const bytes = (...b) => new Uint8Array(b);
  const source = (...chunks) => ({ read: () => Promise.resolve(chunks.shift()), cancel() { this.cancelled = true; return Promise.resolve(); } });
  const s = source(bytes(1), bytes(2));
  const upstream = makeResponse(200, "", "", 2, s, "", null);
  const mine = new Response(upstream.body, { headers: { a: "b" } });
  eq([upstream.body.locked, mine.body === upstream.body, bodyMode(mine)], [false, true, 2]);
  ok(takeBody(mine) === s);
  eq([upstream.body.locked, mine.bodyUsed], [true, true]);
  await rejects(upstream.text(), "TypeError");
  const piped = makeResponse(200, "", "", 2, source(bytes(104), bytes(105)), "", null).body.pipeThrough(new TextDecoderStream());
  eq(await new Response(piped.pipeThrough(new TextEncoderStream())).text(), "hi");
  const read = makeResponse(200, "", "", 2, source(bytes(1), bytes(2), bytes(3)), "", null);
  const reader = read.body.getReader();
  eq((await reader.read()).value, bytes(1));
  reader.releaseLock();
  const rest = [];
  for await (const chunk of read.body.pipeThrough(new TransformStream())) rest.push(...chunk);
  eq(rest, [2, 3]);
  const whole = new Response(new Response("whole").body);
  const taken = takeBody(whole);
  eq([await taken.read(), await taken.read()], [new TextEncoder().encode("whole"), undefined]);
  const c = source(bytes(1));
  await makeResponse(200, "", "", 2, c, "", null).body.pipeThrough(new TransformStream()).cancel("no");
  eq(c.cancelled, true);
  const chain = new Response(new ReadableStream({ start(c) { c.enqueue(bytes(7)); c.close(); } }).pipeThrough(new TransformStream()));
  const behind = takeBody(chain);
  eq([behind instanceof ReadableStream, behind.take(), await behind.read(), await behind.read()], [false, undefined, bytes(7), undefined]);
  const inFlight = source(bytes(1));
  const given = makeResponse(200, "", "", 2, inFlight, "", null);
  ok(takeBody(given) === inFlight && given.body instanceof ReadableStream && given.bodyUsed);
  eq(inFlight.cancelled, undefined);
  const two = new Response("twice").body.tee();
  eq([await new Response(two[0]).text(), await new Response(two[1]).text()], ["twice", "twice"]);
});
