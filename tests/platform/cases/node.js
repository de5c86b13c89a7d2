/* The Node modules. Expected values are what Node's documentation says, checked against Node itself. */
const mod = (name) => __world.modules[`node:${name}`];

test("every module can be imported; what cannot be used says so", () => {
  for (const name of ["assert", "async_hooks", "buffer", "child_process", "crypto", "diagnostics_channel", "dns", "events", "fs", "http", "https", "net", "os", "path",
    "perf_hooks", "process", "querystring", "readline", "stream", "string_decoder", "timers", "timers/promises", "tls", "url", "util", "zlib"]) {
    ok(mod(name) !== undefined && mod(name).default !== undefined, name);
  }
  throws(() => mod("fs").readFileSync("/etc/passwd"), "Error", /readFileSync\(\) of node:fs is not available in Dormouse/);
  throws(() => new (mod("net").Socket)(), "Error", /Socket of node:net/);
  eq([mod("fs").existsSync("/"), mod("net").isIP("1.2.3.4"), mod("net").isIP("::1"), mod("net").isIP("x"), mod("os").EOL], [false, 4, 6, 0, "\n"]);
});
test("AsyncLocalStorage: run, nesting, exit, return and throw", () => {
  const { AsyncLocalStorage } = mod("async_hooks");
  const [a, b] = [new AsyncLocalStorage(), new AsyncLocalStorage()];
  eq(a.getStore(), undefined);
  eq(a.run(1, (x, y) => [a.getStore(), b.run(2, () => [a.getStore(), b.getStore(), a.run(3, () => a.getStore()), a.getStore()]), x, y], 8, 9), [1, [1, 2, 3, 1], 8, 9]);
  throws(() => a.run(1, () => { throw new Error("x"); }), "Error", "x");
  eq(a.getStore(), undefined);
  eq(a.run(1, () => a.exit(() => a.getStore())), undefined);
  const withDefault = new AsyncLocalStorage({ defaultValue: 7, name: "n" });
  eq([withDefault.getStore(), withDefault.name], [7, "n"]);
});
test("AsyncLocalStorage: snapshot, bind, AsyncResource, enterWith, disable", () => {
  const { AsyncLocalStorage, AsyncResource } = mod("async_hooks");
  const a = new AsyncLocalStorage();
  const [snapshot, bound, resource] = a.run("in", () => [AsyncLocalStorage.snapshot(), AsyncLocalStorage.bind(function (x) { return [this?.t, x, a.getStore()]; }), new AsyncResource("R")]);
  a.run("out", () => {
    eq([snapshot((x) => [x, a.getStore()], 5), bound.call({ t: 1 }, 6), resource.runInAsyncScope(() => a.getStore()), a.getStore()], [[5, "in"], [1, 6, "in"], "in", "out"]);
  });
  eq(resource.bind((x) => [x, a.getStore()])(1), [1, "in"]);
  a.run("x", () => {
    a.enterWith("y");
    eq(a.getStore(), "y");
    a.disable();
    eq(a.getStore(), undefined);
  });
  throws(() => new AsyncResource(), "TypeError");
});
test("AsyncLocalStorage: timers keep their context", async () => {
  const a = new (mod("async_hooks").AsyncLocalStorage)();
  const seen = [];
  a.run("timer", () => setTimeout(() => seen.push(a.getStore()), 5));
  a.run("interval", () => { const i = setInterval(() => { seen.push(a.getStore()); clearInterval(i); }, 6); });
  setTimeout(() => seen.push(a.getStore()), 7);
  await __world.advance(10);
  eq(seen, ["timer", "interval", undefined]);
});
test("AsyncLocalStorage: one entry per storage, however deep contexts nest in time", () => {
  const a = new (mod("async_hooks").AsyncLocalStorage)();
  const b = new (mod("async_hooks").AsyncLocalStorage)();
  const nest = (n) => (n === 0 ? __world.host.als().length : a.run(n, () => b.run(n, () => nest(n - 1))));
  eq(nest(50), 4);
});
if (__worldKind !== "engine")
  test("AsyncLocalStorage: across await, then, generators (with a host that carries the value: all but the bare engine)", async () => {
    const a = new (mod("async_hooks").AsyncLocalStorage)();
    const tick = () => Promise.resolve();
    const one = a.run("one", async () => { await tick(); const before = a.getStore(); await a.run("inner", async () => { await tick(); eq(a.getStore(), "inner"); }); return [before, a.getStore()]; });
    const two = a.run("two", () => tick().then(() => a.getStore()));
    async function* gen() { yield a.getStore(); await tick(); yield a.getStore(); }
    const three = a.run("three", async () => { const out = []; for await (const x of gen()) out.push(x); return out; });
    eq([await one, await two, await three, a.getStore()], [["one", "one"], "two", ["three", "three"], undefined]);
  });
test("diagnostics_channel", () => {
  const dc = mod("diagnostics_channel");
  const c = dc.channel("test:a");
  const seen = [];
  const on = (message, name) => seen.push([message, name]);
  eq([c === dc.channel("test:a"), c.hasSubscribers, dc.hasSubscribers("test:a")], [true, false, false]);
  dc.subscribe("test:a", on);
  c.subscribe(() => { throw new Error("subscriber"); });
  c.publish({ x: 1 });
  eq([seen, c.hasSubscribers, dc.unsubscribe("test:a", on), dc.unsubscribe("test:a", on)], [[[{ x: 1 }, "test:a"]], true, true, false]);
  const t = dc.tracingChannel("op");
  const order = [];
  t.subscribe({ start: () => order.push("start"), end: () => order.push("end"), error: () => order.push("error") });
  eq([t.traceSync((x) => x + 1, {}, null, 1), order], [2, ["start", "end"]]);
});
test("events: EventEmitter", () => {
  const { EventEmitter } = mod("events");
  const e = new EventEmitter();
  const log = [];
  const a = (...args) => log.push(["a", ...args]);
  e.on("newListener", (name) => log.push(["new", name]));
  e.on("x", a).once("x", (v) => log.push(["once", v])).prependListener("x", () => log.push("first"));
  eq([e.emit("x", 1), e.emit("x", 2), e.emit("y")], [true, true, false]);
  eq(log, [["new", "x"], ["new", "x"], ["new", "x"], "first", ["a", 1], ["once", 1], "first", ["a", 2]]);
  eq([e.listenerCount("x"), e.eventNames(), e.listeners("x").includes(a)], [2, ["newListener", "x"], true]);
  e.off("x", a).removeAllListeners("newListener");
  eq(e.listenerCount("x"), 1);
  throws(() => e.emit("error", new RangeError("r")), "RangeError", "r");
  throws(() => e.emit("error", "text"), "Error", "Unhandled error. ('text')");
  throws(() => e.on("x", 5), "TypeError", 'The "listener" argument must be of type function. Received type number (5)');
  class Mine extends EventEmitter { constructor() { super(); this.n = 1; } }
  function Old() { EventEmitter.call(this); }
  mod("util").inherits(Old, EventEmitter);
  for (const m of [new Mine(), new Old()]) { let hit = 0; m.on("z", () => hit++); m.emit("z"); eq(hit, 1); }
});
test("events: once, on", async () => {
  const { EventEmitter, once, on } = mod("events");
  const e = new EventEmitter();
  const p = once(e, "x");
  e.emit("x", 1, 2);
  eq(await p, [1, 2]);
  const q = once(e, "x");
  e.emit("error", new Error("bad"));
  await rejects(q, "Error", "bad");
  const it = on(e, "y");
  e.emit("y", 1);
  e.emit("y", 2);
  const out = [];
  for await (const [v] of it) { out.push(v); if (v === 2) break; }
  eq([out, e.listenerCount("y")], [[1, 2], 0]);
  await rejects(once(e, "x", { signal: AbortSignal.abort() }), "AbortError");
});
const PATHS = [
  ["join", ["/a", "..", "b", "./c"], "/b/c"], ["join", [], "."], ["join", ["a", "", "../../b"], "../b"], ["normalize", ["/a//b/./c/../d/"], "/a/b/d/"], ["normalize", [""], "."], ["normalize", ["./"], "./"],
  ["resolve", ["/a", "b", "../c"], "/a/c"], ["resolve", ["/a", "/b"], "/b"], ["dirname", ["/a/b/"], "/a"], ["dirname", ["a"], "."], ["dirname", ["/"], "/"], ["dirname", ["//a"], "//"],
  ["basename", ["/a/b.html", ".html"], "b"], ["basename", ["/a/b/"], "b"], ["basename", [".html", ".html"], ".html"], ["extname", ["a.b.c"], ".c"], ["extname", [".x"], ""], ["extname", ["a."], "."], ["extname", ["a/.x/b"], ""],
  ["relative", ["/a/b/c", "/a/d"], "../../d"], ["relative", ["/a", "/a"], ""], ["isAbsolute", ["/a"], true], ["isAbsolute", ["a"], false],
  ["parse", ["/home/u/f.txt"], { root: "/", dir: "/home/u", base: "f.txt", ext: ".txt", name: "f" }], ["parse", ["f"], { root: "", dir: "", base: "f", ext: "", name: "f" }], ["parse", ["./a/b"], { root: "", dir: "./a", base: "b", ext: "", name: "b" }],
  ["format", [{ dir: "/a", base: "b.c" }], "/a/b.c"], ["format", [{ root: "/", name: "f", ext: "txt" }], "/f.txt"],
];
for (const [name, args, expected] of PATHS) test(`path.${name}(${args.map((a) => JSON.stringify(a))})`, () => eq(mod("path")[name](...args), expected));
test("buffer: from and toString", () => {
  const { Buffer } = mod("buffer");
  const table = [["héllo", "utf8", "68c3a96c6c6f"], ["68656C", "hex", "68656c"], ["aGk=", "base64", "6869"], ["_-8", "base64url", "ffef"], ["é", "latin1", "e9"], ["é", "ascii", "e9"], ["hi", "utf16le", "68006900"], ["zz", "hex", ""], ["abc", "hex", "ab"]];
  for (const [text, encoding, hex] of table) eq(Buffer.from(text, encoding).toString("hex"), hex, encoding);
  const b = Buffer.from([0x68, 0xc3, 0xa9, 255]);
  eq([b.toString(), b.toString("latin1"), b.toString("base64"), b.toString("base64url"), b.toString("hex", 1, 3), b.toString("ascii")], ["hé\ufffd", "hÃ©ÿ", "aMOp/w==", "aMOp_w", "c3a9", "hC)\x7f"]);
  eq([Buffer.from("ff", "hex") instanceof Uint8Array, Buffer.isBuffer(b), Buffer.isBuffer(new Uint8Array(1)), b.constructor === Buffer, Buffer.isEncoding("UTF-8"), Buffer.isEncoding("x")], [true, true, false, true, true, false]);
  const memory = new Uint8Array([1, 2, 3]);
  const shared = Buffer.from(memory.buffer, 1, 1);
  memory[1] = 9;
  eq([[...shared], [...Buffer.from(memory)]], [[9], [1, 9, 3]]);
  eq([JSON.stringify(Buffer.from("a")), [...Buffer.from(JSON.parse('{"type":"Buffer","data":[7]}'))], [...Buffer.from({ length: 2, 0: 5, 1: 6 })]], ['{"type":"Buffer","data":[97]}', [7], [5, 6]]);
  throws(() => Buffer.from(5), "TypeError", /The first argument must be of type string|"first argument"/);
  throws(() => Buffer.from("a", "nope"), "TypeError", "Unknown encoding: nope");
});
test("buffer: operations", () => {
  const { Buffer } = mod("buffer");
  const b = Buffer.concat([Buffer.from("ab"), Buffer.from("cd")]);
  eq([b.toString(), Buffer.concat([b], 3).toString(), b.slice(1, 3).toString(), b.subarray(-2).toString(), b.slice(1) instanceof Buffer], ["abcd", "abc", "bc", "cd", true]);
  b.slice(0, 1)[0] = 90;
  eq(b.toString(), "Zbcd");
  eq([b.equals(Buffer.from("Zbcd")), Buffer.compare(Buffer.from("a"), Buffer.from("b")), b.indexOf("c"), b.indexOf(100), b.includes("bc"), b.lastIndexOf("z"), b.indexOf(Buffer.from("cd"), -2)], [true, -1, 2, 3, true, -1, 2]);
  const t = Buffer.alloc(5, "xy");
  eq([t.toString(), Buffer.alloc(2).fill(1).toString("hex"), t.write("é", 4), t.write("hé", 1), t.toString("latin1"), t.copy(b, 2, 0, 2), b.toString("latin1")], ["xyxyx", "0101", 0, 3, "xhÃ©x", 2, "Zbxh"]);
  eq([Buffer.byteLength("é"), Buffer.byteLength("aGk=", "base64"), Buffer.from([1, 2, 3, 4]).swap16().toString("hex"), b.readUInt8(0)], [2, 2, "02010403", 90]);
  eq([[...b.entries()].length, b.toJSON().data.length, Buffer.from("a").map((x) => x + 1) instanceof Buffer], [4, 4, true]);
});
test("buffer: numbers", () => {
  const { Buffer } = mod("buffer");
  const b = Buffer.alloc(16);
  for (const [type, size, value] of [["UInt16BE", 2, 0x1234], ["UInt16LE", 2, 0x1234], ["Int16BE", 2, -2], ["UInt32LE", 4, 0xdeadbeef], ["Int32BE", 4, -5], ["FloatBE", 4, 1.5], ["DoubleLE", 8, Math.PI],
    ["BigUInt64BE", 8, 0x0102030405060708n], ["BigInt64LE", 8, -1n], ["UInt8", 1, 255], ["Int8", 1, -128]]) {
    eq([b[`write${type}`](value, 3), b[`read${type}`](3)], [3 + size, value], type);
  }
  eq([b.writeUIntBE(0x123456, 0, 3), b.readUIntBE(0, 3), b.readUIntLE(0, 3), b.writeIntLE(-3, 0, 6), b.readIntLE(0, 6)], [3, 0x123456, 0x563412, 6, -3]);
  throws(() => b.readUInt32BE(13), "RangeError", 'The value of "offset" is out of range. It must be >= 0 and <= 12. Received 13');
  throws(() => b.writeUInt8(256, 0), "RangeError", 'The value of "value" is out of range. It must be >= 0 and <= 255. Received 256');
});
test("crypto", () => {
  const c = mod("crypto");
  eq(c.createHash("sha256").update("a").update(Buffer.from("bc")).digest("hex"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  eq(c.createHash("md5").update("").digest("hex"), "d41d8cd98f00b204e9800998ecf8427e");
  eq(c.createHmac("sha256", "Jefe").update("what do ya want for nothing?").digest("base64"), "W9zBRr9gdU5qBCQmCJV1x1oAPwidJzmDnexYuWTsOEM=");
  const h = c.createHash("sha1").update("a");
  const copy = h.copy();
  eq([copy.digest("hex") === h.digest("hex")], [true]);
  throws(() => h.update("x"), "Error", "Digest already called");
  throws(() => c.createHash("nope"), "Error", "Digest method not supported");
  eq([c.randomBytes(8).length, c.randomUUID().length, c.timingSafeEqual(Buffer.from("a"), Buffer.from("a")), c.webcrypto === crypto], [8, 36, true, true]);
  throws(() => c.timingSafeEqual(Buffer.from("a"), Buffer.from("ab")), "RangeError");
  for (let i = 0; i < 50; i++) { const n = c.randomInt(3, 6); ok(n >= 3 && n < 6); }
  throws(() => c.createCipheriv("aes", "", ""), "Error", /not available/);
});
test("process", async () => {
  const p = mod("process");
  const order = [];
  p.nextTick((x) => order.push(x), "tick");
  order.push("sync");
  await __world.jobs();
  eq(order, ["sync", "tick"]);
  eq([typeof p.env, p.platform, p.cwd(), p.hrtime().length, typeof p.hrtime.bigint(), p.default === process], ["object", "linux", "/bundle", 2, "bigint", true]);
  const before = __world.lines.length;
  p.emitWarning("careful", "MyWarning");
  await __world.jobs();
  eq(__world.lines.slice(before), [[2, "MyWarning: careful"]]);
  eq(p.getBuiltinModule("node:os").EOL, "\n");
});
test("util", async () => {
  const u = mod("util");
  eq(await u.promisify((a, callback) => callback(null, a + 1))(1), 2);
  await rejects(u.promisify((callback) => callback(new Error("no")))(), "Error", "no");
  eq([u.format("%s=%d", "a", 1), u.inspect({ a: [1] }), u.isDeepStrictEqual({ a: [1, new Map([[1, 2]])] }, { a: [1, new Map([[1, 2]])] }), u.isDeepStrictEqual([1], ["1"])], ["a=1", "{ a: [ 1 ] }", true, false]);
  const t = u.types;
  eq([t.isDate(new Date()), t.isRegExp(/a/), t.isMap(new Map()), t.isSet({}), t.isPromise(Promise.resolve()), t.isAsyncFunction(async () => {}), t.isAsyncFunction(() => {}), t.isGeneratorFunction(function* () {}),
    t.isTypedArray(new Uint8Array()), t.isUint8Array(Buffer.alloc(1)), t.isArrayBuffer(new ArrayBuffer(1)), t.isNativeError(new TypeError("x")), t.isBoxedPrimitive(Object(1)), t.isDataView(new DataView(new ArrayBuffer(1)))],
  [true, true, true, false, true, true, false, true, true, true, true, true, true, true]);
  eq([u.stripVTControlCharacters("\u001b[31mred\u001b[0m"), u.toUSVString("a\ud800"), new u.MIMEType("text/HTML; charset=utf-8").essence], ["red", "a\ufffd", "text/html"]);
  u.callbackify(async (x) => x * 2)(4, (error, value) => eq([error, value], [null, 8]));
  eq(await mod("util").promisify(setImmediateLike)(3), 3);
  function setImmediateLike(x, callback) { queueMicrotask(() => callback(null, x)); }
});
test("assert", async () => {
  const a = mod("assert").default;
  a(true);
  a.ok(1);
  a.equal(1, "1");
  a.strictEqual(NaN, NaN);
  a.deepStrictEqual({ a: [1, { b: new Set([1]) }] }, { a: [1, { b: new Set([1]) }] });
  a.deepEqual({ a: 1 }, { a: "1" });
  a.notDeepStrictEqual({ a: 1 }, { a: "1" });
  a.throws(() => { throw new TypeError("x"); }, TypeError);
  a.throws(() => { throw new Error("message"); }, /mess/);
  a.throws(() => { throw Object.assign(new Error("m"), { code: "C" }); }, { message: "m", code: "C" });
  await a.rejects(Promise.reject(new Error("r")), { message: "r" });
  await a.doesNotReject(async () => 1);
  a.match("abc", /b/);
  for (const run of [() => a(false), () => a.equal(1, 2), () => a.strictEqual(1, "1"), () => a.deepStrictEqual([1], ["1"]), () => a.deepStrictEqual([0], [-0]), () => a.throws(() => {}), () => a.fail("f"), () => a.notStrictEqual(1, 1),
    () => a.deepEqual(new Map([[1, { a: 1 }]]), new Map([[1, { a: 2 }]])), () => a.throws(() => { throw new Error("a"); }, /b/)]) throws(run, "AssertionError");
  try { a.strictEqual(1, 2, "mine"); } catch (error) { eq([error.message, error.code, error.actual, error.expected, error.operator], ["mine", "ERR_ASSERTION", 1, 2, "strictEqual"]); }
  throws(() => a.strictEqual(1, 2), "AssertionError", "Expected values to be strictly equal:\n\n1 !== 2\n");
});
test("querystring, string_decoder, url", () => {
  const q = mod("querystring");
  eq([q.stringify({ a: "b c", d: [1, true], e: null }), JSON.stringify(q.parse("a=b+c&d=1&d=2&e")), q.escape("ü&"), q.unescape("%zz")], ["a=b%20c&d=1&d=true&e=", '{"a":"b c","d":["1","2"],"e":""}', "%C3%BC%26", "%zz"]);
  const { StringDecoder } = mod("string_decoder");
  const d = new StringDecoder("utf8");
  eq([d.write(Buffer.from([0xe2, 0x82])), d.write(Buffer.from([0xac])), d.end(Buffer.from([0xe2]))], ["", "€", "\ufffd"]);
  const b = new StringDecoder("base64");
  eq([b.write(Buffer.from("ab")), b.write(Buffer.from("cd")), b.end()], ["", "YWJj", "ZA=="]);
  const u = mod("url");
  eq([u.fileURLToPath("file:///a%20b"), u.pathToFileURL("/a b#c").href, u.resolve("http://h/a/b", "../c"), u.resolve("/a/b", "c"), u.URL === URL], ["/a b", "file:///a%20b%23c", "http://h/c", "/a/c", true]);
  const p = u.parse("http://u:p@h:8080/p/a?x=1#f", true);
  eq([p.protocol, p.auth, p.host, p.port, p.hostname, p.hash, p.search, p.query.x, p.pathname, p.path, p.href], ["http:", "u:p", "h:8080", "8080", "h", "#f", "?x=1", "1", "/p/a", "/p/a?x=1", "http://u:p@h:8080/p/a?x=1#f"]);
  eq(u.format({ protocol: "https", hostname: "h", pathname: "/x", query: { a: 1 } }), "https://h/x?a=1");
});
test("timers/promises", async () => {
  const t = mod("timers/promises");
  const p = t.setTimeout(5, "v");
  await __world.advance(5);
  eq(await p, "v");
  const c = new AbortController();
  const w = t.setTimeout(5, null, { signal: c.signal });
  c.abort();
  await rejects(w, "AbortError", "The operation was aborted");
  const seen = [];
  const loop = (async () => { for await (const v of t.setInterval(5, "i")) { seen.push(v); if (seen.length === 2) break; } })();
  await __world.advance(20);
  await loop;
  eq([seen, __world.pending()], [["i", "i"], 0]);
});
test("stream: reading", async () => {
  const { Readable } = mod("stream");
  const collect = async (s) => { const out = []; for await (const c of s) out.push(c); return out; };
  eq(await collect(Readable.from(["a", "b"])), ["a", "b"]);
  const chunks = ["one", "two", null];
  const r = new Readable({ read() { this.push(chunks.shift()); } });
  eq((await collect(r)).join("|"), "one|two");
  const text = new Readable({ encoding: "utf8", read() { this.push(Buffer.from([0xe2, 0x82])); this.push(Buffer.from([0xac])); this.push(null); } });
  eq((await collect(text)).join(""), "€");
  const data = [];
  await new Promise((resolve, reject) => Readable.from([1, 2, 3]).on("data", (x) => data.push(x)).on("end", resolve).on("error", reject));
  eq(data, [1, 2, 3]);
  const bad = new Readable({ read() { this.destroy(new Error("broken")); } });
  await rejects(collect(bad), "Error", "broken");
});
test("stream: writing, transforming, pipeline, finished", async () => {
  const { Readable, Writable, Transform, PassThrough, pipeline, promises, Duplex } = mod("stream");
  const seen = [];
  const sink = () => new Writable({ highWaterMark: 2, write(chunk, _e, callback) { seen.push(chunk.toString()); queueMicrotask(callback); }, final(callback) { seen.push("final"); callback(); } });
  const upper = new Transform({ transform(chunk, _e, callback) { callback(null, chunk.toString().toUpperCase()); }, flush(callback) { callback(null, "!"); } });
  await promises.pipeline(Readable.from(["a", "b", "c"]), upper, sink());
  eq(seen, ["A", "B", "C", "!", "final"]);
  seen.length = 0;
  await new Promise((resolve, reject) => pipeline(Readable.from(["x"]), new PassThrough(), sink(), (error) => (error ? reject(error) : resolve())));
  eq(seen, ["x", "final"]);
  await rejects(promises.pipeline(Readable.from(["a"]), new Transform({ transform(_c, _e, callback) { callback(new Error("t")); } }), sink()), "Error", "t");
  const w = sink();
  eq([w.write("12345"), w.writableNeedDrain], [false, true]);
  await new Promise((resolve) => w.once("drain", resolve));
  await new Promise((resolve) => w.end("z", resolve));
  eq([w.writableFinished, seen.includes("z"), new Duplex({ read() {} }) instanceof Readable, new Duplex({ read() {} }) instanceof Writable, sink() instanceof Readable], [true, true, true, true, false]);
  const late = sink();
  late.end();
  const error = new Promise((resolve) => late.on("error", resolve));
  late.write("x");
  eq((await error).code, "ERR_STREAM_WRITE_AFTER_END");
  eq(await promises.pipeline(Readable.from(["1", "2"]), async function (source) { let s = ""; for await (const c of source) s += c; return s; }), "12");
});
test("stream: to and from the web", async () => {
  const { Readable, Writable } = mod("stream");
  eq(await new Response(Readable.toWeb(Readable.from([Buffer.from("a"), Buffer.from("b")]))).text(), "ab");
  const out = [];
  for await (const c of Readable.fromWeb(new Response("web").body)) out.push(c.toString());
  eq(out, ["web"]);
  const got = [];
  await new Response("x").body.pipeTo(Writable.toWeb(new Writable({ write(c, _e, callback) { got.push(c.toString()); callback(); } })));
  eq(got, ["x"]);
});
test("stream: old ways to make one", async () => {
  const { Readable, Writable, Transform, Stream } = mod("stream");
  const { inherits } = mod("util");
  function Old(options) { Readable.call(this, options); this.left = 2; }
  inherits(Old, Readable);
  Old.prototype._read = function () { this.push(this.left-- > 0 ? "x" : null); };
  let text = "";
  for await (const chunk of new Old()) text += chunk;
  eq([text, new Old() instanceof Readable, new Old() instanceof Stream, new Old() instanceof Writable], ["xx", true, true, false]);
  function OldTransform() { Transform.call(this); }
  inherits(OldTransform, Transform);
  OldTransform.prototype._transform = function (chunk, _encoding, callback) { callback(null, `<${chunk}>`); };
  const t = new OldTransform();
  t.end("a");
  text = "";
  for await (const chunk of t) text += chunk;
  eq(text, "<a>");
  class Mine extends Writable { constructor() { super({ objectMode: true }); this.got = []; } _write(c, _e, callback) { this.got.push(c); callback(); } }
  const w = new Mine();
  await new Promise((resolve) => w.end({ a: 1 }, resolve));
  eq([w.got, Readable({ read() {} }) instanceof Readable, mod("stream").default.Readable === Readable], [[{ a: 1 }], true, true]);
});
test("zlib, when the host has it", async () => {
  const z = mod("zlib");
  eq([z.crc32("hello"), z.crc32(Buffer.from("lo"), z.crc32("hel"))], [0x3610a686, 0x3610a686]);
  const text = "hello ".repeat(50);
  for (const [pack, unpack] of [["gzipSync", "gunzipSync"], ["deflateSync", "inflateSync"], ["deflateRawSync", "inflateRawSync"], ["gzipSync", "unzipSync"], ["deflateSync", "unzipSync"]]) {
    const packed = z[pack](text);
    ok(packed.length < 60 && Buffer.isBuffer(packed));
    eq(z[unpack](packed).toString(), text);
  }
  throws(() => z.gunzipSync("no gzip"), "Error");
  eq((await mod("util").promisify(z.gzip)(text)).equals(z.gzipSync(text)), true);
  let out = "";
  for await (const chunk of mod("stream").Readable.from([Buffer.from(text)]).pipe(z.createGzip()).pipe(z.createGunzip())) out += chunk;
  eq(out, text);
  throws(() => z.brotliCompressSync("x"), "Error", /not available/);
});
