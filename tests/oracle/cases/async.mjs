// AsyncLocalStorage, the order of tasks, timers, unhandled rejections, and what a module may do before it is asked anything.
import { AsyncLocalStorage, AsyncResource } from "node:async_hooks";
import { DurableObject, exports as moduleExports, env as moduleEnv, WorkerEntrypoint } from "cloudflare:workers";
import { CaseObject, caught, caughtAsync, oracle } from "../suite.mjs";

const als = new AsyncLocalStorage();
const tick = () => new Promise((resolve) => setTimeout(resolve, 0));
const atStart = {
  fetch: caught(() => { fetch("http://x/").catch(() => {}); }),
  timer: caught(() => { setTimeout(() => {}, 0); }),
  random: caught(() => typeof crypto.randomUUID()),
  mathRandom: caught(() => typeof Math.random()),
  now: Date.now(),
  env: Object.keys(moduleEnv).sort(),
};

const outside = {
  "als: run and getStore": () => als.run("a", () => als.getStore()),
  "als: outside there is nothing": () => als.getStore(),
  "als: across await": () => als.run("a", async () => { await null; await tick(); return als.getStore(); }),
  "als: across then, catch, finally": () => als.run("a", () => Promise.reject(new Error()).catch(() => als.getStore()).then((x) => [x, als.getStore()]).finally(() => als.getStore())),
  "als: nested": () => als.run("a", async () => { const inner = await als.run("b", async () => { await null; return als.getStore(); }); return [inner, als.getStore()]; }),
  "als: two at once": async () => Promise.all(["x", "y"].map((v) => als.run(v, async () => { await tick(); return als.getStore(); }))),
  "als: setTimeout": () => als.run("t", () => new Promise((resolve) => setTimeout(() => resolve(als.getStore()), 1))),
  "als: setInterval": () => als.run("i", () => new Promise((resolve) => { const id = setInterval(() => { clearInterval(id); resolve(als.getStore()); }, 1); })),
  "als: queueMicrotask": () => als.run("m", () => new Promise((resolve) => queueMicrotask(() => resolve(als.getStore())))),
  "als: a thenable": () => als.run("th", async () => { const seen = await { then(resolve) { resolve(als.getStore()); } }; return [seen, als.getStore()]; }),
  "als: async generators": () => als.run("g", async () => { const seen = []; async function* gen() { yield als.getStore(); await null; yield als.getStore(); } for await (const v of gen()) seen.push(v, als.getStore()); return seen; }),
  "als: a generator made inside, read outside": async () => { async function* gen() { yield als.getStore(); } const it = als.run("in", () => gen()); return (await it.next()).value; },
  "als: exit": () => als.run("a", () => [als.exit(() => als.getStore()), als.getStore()]),
  "als: run with arguments": () => als.run("a", (x, y) => [x, y, als.getStore()], 1, 2),
  "als: run that throws": () => { const e = caught(() => als.run("a", () => { throw new Error("x"); })); return [e, als.getStore()]; },
  "als: snapshot": () => { const restore = als.run("s", () => AsyncLocalStorage.snapshot()); return restore(() => als.getStore()); },
  "als: bind": () => { const bound = als.run("b", () => AsyncLocalStorage.bind((x) => [x, als.getStore()])); return bound(5); },
  "als: AsyncResource": () => { const resource = als.run("r", () => new AsyncResource("x")); return resource.runInAsyncScope(() => als.getStore()); },
  "als: two storages": () => { const other = new AsyncLocalStorage(); return als.run("a", () => other.run("o", async () => { await null; return [als.getStore(), other.getStore()]; })); },
  "als: a store of undefined": () => als.run(undefined, () => als.getStore()),
  "als: an event listener runs in the context of the dispatch": () => { const t = new EventTarget(); let seen; als.run("added", () => t.addEventListener("x", () => { seen = als.getStore(); })); als.run("fired", () => t.dispatchEvent(new Event("x"))); return seen; },
  "als: an abort listener": () => { const c = new AbortController(); let seen; als.run("added", () => c.signal.addEventListener("abort", () => { seen = als.getStore(); })); als.run("aborted", () => c.abort()); return seen ?? "nothing"; },
  "als: a promise resolved in another context": async () => { let open; const p = new Promise((resolve) => { open = resolve; }); const seen = als.run("waits", async () => { await p; return als.getStore(); }); als.run("resolves", () => open()); return seen; },
  "als: across a call to an object": (env) => als.run("caller", async () => { await env.AsyncObject.getByName("a").nothing(); return als.getStore(); }),
  "als: an object does not see the caller's": (env) => als.run("caller", () => env.AsyncObject.getByName("a").store()),
  "als: streams": () => als.run("s", async () => { const seen = []; for await (const _ of new ReadableStream({ pull(c) { seen.push(als.getStore()); if (seen.length > 1) c.close(); else c.enqueue("x"); } })) seen.push(als.getStore()); return seen[0] ?? "nothing"; }),
  // order
  "order: sync, microtasks, timers": async () => { const seen = []; const timer = new Promise((resolve) => setTimeout(() => { seen.push("timer"); resolve(); }, 0)); queueMicrotask(() => seen.push("micro")); Promise.resolve().then(() => seen.push("then")); seen.push("sync"); await timer; return seen; },
  "order: timers by time, then by call": async () => { const seen = []; await new Promise((resolve) => { setTimeout(() => { seen.push("b"); resolve(); }, 20); setTimeout(() => seen.push("a1"), 1); setTimeout(() => seen.push("a2"), 1); }); return seen; },
  "order: await of a promise and of a value": async () => { const seen = []; const a = (async () => { await Promise.resolve(); seen.push("promise"); })(); const b = (async () => { await 1; seen.push("value"); })(); await Promise.all([a, b]); return seen; },
  "order: a promise returned from async costs three ticks": async () => { const seen = []; const a = (async () => Promise.resolve())().then(() => seen.push("returned")); const b = Promise.resolve().then(() => seen.push(1)).then(() => seen.push(2)).then(() => seen.push(3)).then(() => seen.push(4)); await Promise.all([a, b]); return seen; },
  "order: microtasks run between timers": async () => { const seen = []; await new Promise((resolve) => { setTimeout(() => { seen.push("t1"); Promise.resolve().then(() => seen.push("m1")); }, 1); setTimeout(() => { seen.push("t2"); resolve(); }, 1); }); return seen; },
  "timer arguments": () => new Promise((resolve) => setTimeout((...args) => resolve(args), 0, 1, "two")),
  "clearTimeout": async () => { let fired = false; clearTimeout(setTimeout(() => { fired = true; }, 1)); await new Promise((resolve) => setTimeout(resolve, 10)); return fired; },
  "clearTimeout of nonsense": () => caught(() => { clearTimeout(undefined); clearTimeout(12345); clearTimeout("x"); return "fine"; }),
  "setInterval repeats": () => new Promise((resolve) => { let n = 0; const id = setInterval(() => { if (++n === 3) { clearInterval(id); resolve(n); } }, 1); }),
  "setTimeout of a string": () => caught(() => setTimeout("1+1", 0) && "accepted"),
  "setImmediate": () => new Promise((resolve) => setImmediate(() => resolve("ran"))),
  "scheduler.wait": async () => { await scheduler.wait(1); return "waited"; },
  "queueMicrotask of nonsense": () => caught(() => queueMicrotask(5)),
  "Date.now does not move without I/O": () => { const t = Date.now(); for (let i = 0; i < 1e5; i++); return Date.now() - t < 1000; },
  "an unhandled rejection does not end the request": async () => { Promise.reject(new Error("nobody listens")); await tick(); return "still here"; },
  "unhandledrejection event": async () => { const seen = new Promise((resolve) => addEventListener("unhandledrejection", (e) => { e.preventDefault(); resolve([e.type, e.reason instanceof Error && e.reason.message, e.promise instanceof Promise]); }, { once: true })); Promise.reject(new Error("heard")); return Promise.race([seen, new Promise((resolve) => setTimeout(() => resolve("no event"), 100))]); },
  "a throw in a timer does not end the request": async () => { const before = setTimeout(() => { throw new Error("thrown in a timer"); }, 1); await new Promise((resolve) => setTimeout(resolve, 20)); return typeof before; },
  // what is forbidden
  "eval": () => caught(() => (0, eval)("1 + 1")),
  "new Function": () => caught(() => new Function("return 1")()),
  "the constructor of async functions": () => caught(() => (async () => {}).constructor("return 1")),
  "at start: fetch": () => atStart.fetch,
  "at start: a timer": () => atStart.timer,
  "at start: random values": () => [atStart.random, atStart.mathRandom],
  "at start: the time is zero": () => atStart.now === 0,
  "at start: env can be imported": () => atStart.env,
  "WebAssembly from bytes": () => caughtAsync(() => WebAssembly.compile(new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0]))),
  // exports
  "exports: keys": (env, ctx) => Object.keys(ctx.exports).sort(),
  "exports: a class of objects": (env, ctx) => [typeof ctx.exports.AsyncObject, typeof ctx.exports.AsyncObject.idFromName, ctx.exports.AsyncObject.idFromName("x").equals(env.AsyncObject.idFromName("x"))],
  "exports: call an object": (env, ctx) => ctx.exports.AsyncObject.getByName("a").hello("exports"),
  "exports: an entrypoint": (env, ctx) => ctx.exports.Side.greet("mouse"),
  "exports: an entrypoint with props": (env, ctx) => ctx.exports.Side({ props: { who: "props" } }).who(),
  "exports: the default": (env, ctx) => typeof ctx.exports.default,
  "exports: from the module": () => typeof moduleExports.Side.greet,
  "exports: inside an object": (env) => env.AsyncObject.getByName("a").viaExports(),
  "waitUntil after the answer": (env, ctx) => { ctx.waitUntil(tick()); return "answered"; },
  "what ctx of the entry holds": (env, ctx) => ["waitUntil", "passThroughOnException", "props", "exports", "abort"].map((key) => `${key} ${typeof ctx[key]}`),
  "structuredClone": () => structuredClone({ d: new Date(0), m: new Map([["a", new Set([1])]]), b: new Uint8Array([1]), e: new RangeError("r"), n: [undefined, -0, 5n] }),
  "structuredClone with a transfer": () => { const b = new ArrayBuffer(4); const c = structuredClone(b, { transfer: [b] }); return [b.byteLength, c.byteLength]; },
  "structuredClone of a function": () => caught(() => structuredClone(() => 1)),
  "structuredClone of a class instance": () => caught(() => structuredClone(new (class A { x = 1; })())),
  "class names are kept": () => [AsyncObject.name, new (class Inner {})().constructor.name],
  "async functions have their own prototype": () => { const AsyncFunction = (async () => {}).constructor; return [AsyncFunction.name, (async () => {}) instanceof AsyncFunction, (() => {}) instanceof AsyncFunction]; },
  "error stacks name the function": () => { function namedFunction() { return new Error("x").stack; } return namedFunction().includes("namedFunction"); },
  "Error.captureStackTrace": () => { const o = {}; Error.captureStackTrace?.(o); return typeof o.stack; },
};

export class Side extends WorkerEntrypoint {
  greet(who) { return `hello ${who}`; }
  who() { return this.ctx.props.who; }
}

export class AsyncObject extends CaseObject {
  nothing() {}
  store() { return als.getStore() === undefined ? "nothing" : als.getStore(); }
  hello(who) { return `hello ${who}`; }
  viaExports() { return [Object.keys(this.ctx.exports).sort(), this instanceof DurableObject]; }
}

export default oracle({ outside });
