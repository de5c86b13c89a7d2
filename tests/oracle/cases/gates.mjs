// What may run between what: input gates, critical sections, order of calls to one object.
import { CaseObject, caught, caughtAsync, gate, oracle } from "../suite.mjs";

const inside = {
  "blockConcurrencyWhile returns the value": (ctx) => ctx.blockConcurrencyWhile(async () => 42),
  "blockConcurrencyWhile of a plain function": (ctx) => caughtAsync(() => ctx.blockConcurrencyWhile(() => 42)),
  "blockConcurrencyWhile runs its callback at once": async (ctx) => { const order = []; const done = ctx.blockConcurrencyWhile(async () => { order.push("inside"); }); order.push("after the call"); await done; return order; },
  "blockConcurrencyWhile nests": (ctx) => ctx.blockConcurrencyWhile(() => ctx.blockConcurrencyWhile(async () => "deep")),
  "blockConcurrencyWhile without a function": (ctx) => caughtAsync(() => ctx.blockConcurrencyWhile()),
  "two sections run one after the other": async (ctx) => { const order = []; const part = (name) => ctx.blockConcurrencyWhile(async () => { order.push(`${name} in`); await ctx.storage.get("k"); order.push(`${name} out`); }); await Promise.all([part("a"), part("b")]); return order; },
  "a timer inside a section fires": (ctx) => ctx.blockConcurrencyWhile(() => new Promise((resolve) => setTimeout(() => resolve("fired"), 1))),
  "a timer from outside waits for the section": async (ctx) => { const order = []; const timer = new Promise((resolve) => setTimeout(() => { order.push("timer"); resolve(); }, 1)); await ctx.blockConcurrencyWhile(async () => { await new Promise((resolve) => setTimeout(resolve, 20)); order.push("section over"); }); await timer; return order; },
  "storage reads keep their order": async ({ storage }) => { const order = []; await Promise.all(["a", "b", "c"].map((key) => storage.get(key).then(() => order.push(key)))); return order; },
  "a get sees puts made before it": async ({ storage }) => { storage.put("k", 1); const first = storage.get("k"); storage.put("k", 2); return [await first, await storage.get("k")]; },
  "sixty-four nested sections": async (ctx) => { const nest = (n) => (n === 0 ? "bottom" : ctx.blockConcurrencyWhile(async () => nest(n - 1))); return nest(60); },
  "waitUntil takes a promise": (ctx) => ctx.waitUntil(Promise.resolve()),
  "waitUntil takes anything": (ctx) => caught(() => ctx.waitUntil(5)),
};

const get = (env, name) => env.GateObject.getByName(name);

const outside = {
  "the constructor's section holds the first event": (env) => get(env, "held").log(),
  "fields set in the constructor's section": (env) => get(env, "loaded").loaded,
  "events interleave at awaits": async (env) => { const stub = get(env, "interleave"); const first = stub.slow(); await stub.mark("second"); await stub.release(); return first; },
  "a storage read lets no other event in": async (env) => { const stub = get(env, "closed"); await Promise.all([stub.readThenMark("a"), stub.readThenMark("b"), stub.readThenMark("c")]); return stub.marks(); },
  "read, add, write is atomic": async (env) => { const stub = get(env, "atomic"); await Promise.all(Array.from({ length: 10 }, () => stub.increment())); return stub.counted(); },
  "with allowConcurrency it is not": async (env) => { const stub = get(env, "racy"); await Promise.all(Array.from({ length: 2 }, () => stub.markAroundConcurrentRead())); return (await stub.marks()).length; },
  "calls arrive in the order they were made": async (env) => { const stub = get(env, "order"); await Promise.all(Array.from({ length: 20 }, (_, i) => stub.mark(i))); return stub.marks(); },
  "a section holds other calls": async (env) => { const stub = get(env, "section"); const first = stub.section(); const second = stub.mark("other call"); await Promise.all([first, second]); return stub.marks(); },
  "a throw in a section resets the object": async (env) => { const ns = env.GateObject; await ns.getByName("reset").mark("before"); const e = await caughtAsync(() => ns.getByName("reset").throwInSection()); return [e, await ns.getByName("reset").marks()]; },
  "a throw in the constructor": async (env) => caughtAsync(() => env.BrokenGateObject.getByName("broken").marks()),
  "a throw in the constructor's section": async (env) => caughtAsync(() => env.BrokenSectionGateObject.getByName("broken").marks()),
  "a call into itself does not deadlock": async (env) => get(env, "self").callItself("self"),
  "two objects call each other": async (env) => get(env, "ping").pingPong("ping", "pong", 4),
};

export class GateObject extends CaseObject {
  cases = inside;
  seen = [];
  order = ["constructed"];

  constructor(ctx, env) {
    super(ctx, env);
    ctx.blockConcurrencyWhile(async () => {
      await ctx.storage.get("k");
      await new Promise((resolve) => setTimeout(resolve, 1));
      this.order.push("section over");
      this.isLoaded = true;
    });
  }

  get loaded() { return this.isLoaded === true; }
  log() { return [...this.order, "event"]; }
  mark(what) { this.seen.push(what); }
  marks() { return this.seen; }
  async slow() { const { opened, open } = gate(); this.open = open; this.seen.push("first in"); await opened; this.seen.push("first out"); return this.seen; }
  release() { this.open(); }
  async readThenMark(name) { this.seen.push(`${name} in`); await this.ctx.storage.get("k"); this.seen.push(`${name} out`); }
  async increment() { const n = (await this.ctx.storage.get("n")) ?? 0; await this.ctx.storage.put("n", n + 1); }
  counted() { return this.ctx.storage.get("n"); }
  async markAroundConcurrentRead() { this.seen.push("in"); await this.ctx.storage.get("k", { allowConcurrency: true }); this.seen.push("out"); }
  section() { return this.ctx.blockConcurrencyWhile(async () => { this.seen.push("section in"); await new Promise((resolve) => setTimeout(resolve, 10)); this.seen.push("section out"); }); }
  throwInSection() { return this.ctx.blockConcurrencyWhile(async () => { throw new RangeError("section failed"); }); }
  async callItself(name) { await this.env.GateObject.getByName(name).mark("from itself"); return this.seen; }
  async pingPong(me, other, left) { return left === 0 ? [me] : [me, ...(await this.env.GateObject.getByName(other).pingPong(other, me, left - 1))]; }
}

export class BrokenGateObject extends CaseObject {
  constructor(ctx, env) { super(ctx, env); throw new TypeError("no object today"); }
  marks() { return []; }
}

export class BrokenSectionGateObject extends CaseObject {
  constructor(ctx, env) { super(ctx, env); ctx.blockConcurrencyWhile(async () => { throw new TypeError("no section today"); }); }
  marks() { return []; }
}

export default oracle({ inside, object: "GateObject", outside });
