/* What the global scope holds, what is forbidden there, and what is closed. */
const awake = (value, run) => {
  __world.phase.awake = value;
  try {
    return run();
  } finally {
    __world.phase.awake = true;
  }
};
const SCOPE = /^Disallowed operation called within global scope\. Asynchronous I\/O \(ex: fetch\(\) or connect\(\)\), setting a timeout/;

test("globals are there, writable, configurable, hidden", () => {
  for (const name of ["AbortController", "AbortSignal", "Blob", "ByteLengthQueuingStrategy", "CloseEvent", "CompressionStream", "CustomEvent", "DecompressionStream",
    "DOMException", "ErrorEvent", "Event", "EventTarget", "File", "FormData", "Headers", "MessageEvent", "ReadableStream", "Request", "Response", "TextDecoder",
    "TextDecoderStream", "TextEncoder", "TextEncoderStream", "TransformStream", "URL", "URLPattern", "URLSearchParams", "WritableStream", "FixedLengthStream",
    "IdentityTransformStream", "Crypto", "CryptoKey", "SubtleCrypto", "Performance", "Navigator", "CacheStorage", "Cache"]) {
    const slot = Object.getOwnPropertyDescriptor(globalThis, name);
    eq([name, typeof slot?.value, slot?.enumerable === false || name === "DOMException", slot?.writable, slot?.configurable], [name, "function", true, true, true]);
    eq(globalThis[name].name, name);
  }
  for (const name of ["setTimeout", "setInterval", "clearTimeout", "clearInterval", "queueMicrotask", "structuredClone", "atob", "btoa", "reportError"])
    eq([typeof globalThis[name], globalThis[name].name.replace(/2$/, "")], ["function", name === "clearInterval" ? "clearTimeout" : name]);
  eq([self === globalThis, globalThis.global === globalThis, navigator.userAgent, typeof caches.default, Object.prototype.toString.call(globalThis)],
    [true, true, "Cloudflare-Workers", "object", "[object ServiceWorkerGlobalScope]"]);
  eq([typeof Buffer.from, process.platform], ["function", "linux"]);
  eq(Object.keys(globalThis).filter((key) => !/^(test|eq|ok|throws|rejects)$|^__/.test(key)), []);
  eq(typeof __host, "undefined");
});
test("no asynchronous work at global scope", async () => {
  for (const run of [() => setTimeout(() => {}), () => setInterval(() => {}, 1), () => crypto.randomUUID(), () => crypto.getRandomValues(new Uint8Array(1)), () => AbortSignal.timeout(1)])
    throws(() => awake(false, run), "Error", SCOPE);
  await rejects(awake(false, () => crypto.subtle.generateKey({ name: "HMAC", hash: "SHA-256" }, true, ["sign"])), "Error", SCOPE);
  eq(awake(false, () => [performance.now(), performance.timeOrigin]), [0, 0]);
  eq(awake(false, () => new Request("http://x/").url), "http://x/");
});
test("no code from strings once awake", () => {
  const text = "Code generation from strings disallowed for this context";
  const AsyncFunction = Object.getPrototypeOf(async () => {}).constructor;
  const GeneratorFunction = Object.getPrototypeOf(function* () {}).constructor;
  const AsyncGeneratorFunction = Object.getPrototypeOf(async function* () {}).constructor;
  for (const run of [() => (0, eval)("1"), () => eval("1"), () => new Function("1"), () => Function("1"), () => (() => {}).constructor("1"), () => new AsyncFunction("1"),
    () => GeneratorFunction("1"), () => AsyncGeneratorFunction("1"), () => Reflect.construct(Function, ["1"]), () => new (class extends Function {})("1")])
    throws(run, "EvalError", text);
  ok((() => {}) instanceof Function && (async () => {}) instanceof AsyncFunction && (async () => {}) instanceof Function);
  eq([Function.name, AsyncFunction.name, Function.length, eval.name, (() => {}).constructor === Function, Object.getPrototypeOf(Function) === Function.prototype],
    ["Function", "AsyncFunction", 1, "eval", true, true]);
  eq(eval(5), 5);
  eq(awake(false, () => [new Function("a", "return a + 1")(1), (0, eval)("2 + 2")]), [2, 4]);
});
test("WebAssembly is refused clearly", async () => {
  throws(() => new WebAssembly.Module(new Uint8Array(8)), "Error", /WebAssembly is not available/);
  await rejects(WebAssembly.instantiate(new Uint8Array(8)), "CompileError", /WebAssembly is not available/);
  eq(WebAssembly.validate(new Uint8Array(8)), false);
});
test("caches: the interface without a cache behind it", async () => {
  await rejects(caches.default.match("http://x/"), "Error", "No Cache was configured");
  await rejects(caches.default.put("http://x/", new Response("a")), "Error", "No Cache was configured");
  eq(String(await caches.open("x")), "[object Cache]");
});
test("queueMicrotask, structuredClone, reportError", async () => {
  const log = [];
  queueMicrotask(() => log.push("micro"));
  log.push("sync");
  await __world.jobs();
  eq(log, ["sync", "micro"]);
  throws(() => queueMicrotask("a"), "TypeError");
  const before = __world.lines.length;
  queueMicrotask(() => { throw new Error("in a microtask"); });
  await __world.jobs();
  ok(/in a microtask/.test(__world.lines[before][1]));
  const copy = structuredClone({ a: [1, new Date(5), new Map([["k", new Set([1])]])] });
  eq([copy.a[0], copy.a[1].getTime(), copy.a[2].get("k").has(1)], [1, 5, true]);
  throws(() => structuredClone(() => {}), "DataCloneError");
  throws(() => structuredClone(), "TypeError");
});
test("Math.random comes from the host", () => {
  const seen = new Set(Array.from({ length: 50 }, () => Math.random()));
  ok(seen.size > 45 && [...seen].every((n) => n >= 0 && n < 1.01));
  eq([Math.random.name, Math.random === __world.host.rand], ["random", true]);
});
test("performance", () => {
  const a = performance.now();
  ok(a >= 0 && performance.now() >= a);
  const mark = performance.mark("m", { detail: 1 });
  const measure = performance.measure("d", "m");
  eq([mark.entryType, mark.detail, measure.startTime === mark.startTime, performance.getEntriesByName("m").length, performance.getEntriesByType("measure").length], ["mark", 1, true, 1, 1]);
  performance.clearMarks();
  performance.clearMeasures("other");
  eq([performance.getEntries().length], [1]);
  throws(() => performance.measure("x", "no such mark"), "SyntaxError");
});
