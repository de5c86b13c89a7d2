// Calls from object to object: what may be passed, what comes back, errors, stubs, order.
import { RpcTarget } from "cloudflare:workers";
import { CaseObject, caughtAsync, oracle } from "../suite.mjs";

const echo = (value) => (env) => env.RpcObject.getByName("echo").echo(value);
class Plain { constructor() { this.a = 1; } }
class Counter extends RpcTarget {
  #n = 0;
  field = "hidden";
  add(by) { return (this.#n += by); }
  get value() { return this.#n; }
  nested() { return new Counter(); }
  fail() { throw new RangeError("target failed"); }
}

const outside = {
  "a call returns a value": (env) => env.RpcObject.getByName("a").add(2, 3),
  "a call of an async method": (env) => env.RpcObject.getByName("a").later("x"),
  "a call returns nothing": (env) => env.RpcObject.getByName("a").nothing(),
  "echo of text and numbers": echo(["text 🐭", 0, -0, 1.5, NaN, Infinity, true, null, undefined]),
  "echo of a bigint": echo(2n ** 70n),
  "echo of dates and patterns": echo([new Date(1e12), /x+/gi]),
  "echo of maps and sets": echo([new Map([[1, { a: 2 }]]), new Set(["x"])]),
  "echo of bytes": echo([new Uint8Array([1, 2]), new ArrayBuffer(2), new Float32Array([0.5])]),
  "echo of a nested object": echo({ a: { b: [{ c: 1 }] } }),
  "echo of an error": echo(new TypeError("an error as a value")),
  "echo of an error with a cause": echo(new Error("outer", { cause: new RangeError("inner") })),
  "echo of shared references": async (env) => { const shared = {}; const [a, b] = await env.RpcObject.getByName("a").echo([shared, shared]); return a === b; },
  "echo of headers": echo(new Headers({ "X-A": "1" })),
  "echo of a class instance": echo(new Plain()),
  "echo of a symbol": echo(Symbol("s")),
  "echo of a promise": echo(Promise.resolve(1)),
  "echo of a large text": async (env) => (await env.RpcObject.getByName("a").echo("x".repeat(1_000_000))).length,
  "arguments are copies": async (env) => { const value = { n: 1 }; await env.RpcObject.getByName("a").change(value); return value; },
  "undefined arguments": (env) => env.RpcObject.getByName("a").count(undefined, undefined),
  "no such method": (env) => env.RpcObject.getByName("a").nope(),
  "typeof any method": (env) => { const stub = env.RpcObject.getByName("a"); return [typeof stub.nope, typeof stub.add, typeof stub]; },
  "a stub is not a thenable": async (env) => { const stub = env.RpcObject.getByName("a"); return (await stub) === stub; },
  "a getter": (env) => env.RpcObject.getByName("a").size,
  "an instance field is hidden": (env) => env.RpcObject.getByName("a").field,
  "a method assigned to the instance is hidden": (env) => env.RpcObject.getByName("a").own(),
  "a name with an underscore": (env) => env.RpcObject.getByName("a")._internal(),
  "a private method": (env) => env.RpcObject.getByName("a")["#secret"](),
  "a static method": (env) => env.RpcObject.getByName("a").fixed(),
  "an inherited method": (env) => env.RpcObject.getByName("a").inherited(),
  "constructor": (env) => env.RpcObject.getByName("a").constructor(),
  "toString": async (env) => typeof (await caughtAsync(() => env.RpcObject.getByName("a").toString())).value,
  "hasOwnProperty over a call": (env) => env.RpcObject.getByName("a").hasOwnProperty("x"),
  "a throw arrives with name and message": (env) => env.RpcObject.getByName("a").fail("RangeError"),
  "a throw of a custom error": (env) => env.RpcObject.getByName("a").failCustom(),
  "a throw with own properties": async (env) => { const e = await caughtAsync(() => env.RpcObject.getByName("a").failProps()); return [e.message, e.code, e.details]; },
  "a throw of a string": (env) => env.RpcObject.getByName("a").failWith("just text"),
  "a throw of an object": (env) => caughtAsync(() => env.RpcObject.getByName("a").failWith({ a: 1 })).then(({ a, remote }) => ({ a, remote })),
  "a throw of undefined": async (env) => { try { await env.RpcObject.getByName("a").failWith(undefined); return "returned"; } catch (e) { return [e === undefined, e]; } },
  "a rejected promise": (env) => env.RpcObject.getByName("a").reject(),
  "a DOMException": (env) => env.RpcObject.getByName("a").failDom(),
  "is it an instance of its class here": async (env) => (await caughtAsync(() => env.RpcObject.getByName("a").fail("RangeError"))) instanceof RangeError,
  "an error does not reset the object": async (env) => { const stub = env.RpcObject.getByName("lasting"); await stub.remember("x"); await caughtAsync(() => stub.fail("Error")); return stub.remembered(); },
  "a target comes back as a stub": async (env) => { const counter = await env.RpcObject.getByName("a").counter(); return [await counter.add(2), await counter.add(3), await counter.value]; },
  "a target's field is hidden": async (env) => { const counter = await env.RpcObject.getByName("a").counter(); return caughtAsync(() => counter.field); },
  "a target that throws": async (env) => { const counter = await env.RpcObject.getByName("a").counter(); return caughtAsync(() => counter.fail()); },
  "a promise is pipelined": (env) => env.RpcObject.getByName("a").counter().add(5),
  "two steps pipelined": (env) => env.RpcObject.getByName("a").counter().nested().add(7),
  "a property of a result, pipelined": (env) => env.RpcObject.getByName("a").record().inner.deep,
  "a function as an argument": async (env) => { const seen = []; const answer = await env.RpcObject.getByName("a").callBack((x) => { seen.push(x); return x * 2; }, 21); return [answer, seen]; },
  "a function as a result": async (env) => { const double = await env.RpcObject.getByName("a").doubler(); return double(4); },
  "a function that throws, called back": (env) => caughtAsync(() => env.RpcObject.getByName("a").callBack(() => { throw new TypeError("from the caller"); }, 1)),
  "a target as an argument": (env) => env.RpcObject.getByName("a").useCounter(new Counter()),
  "a stream as a result": async (env) => new Response(await env.RpcObject.getByName("a").stream()).text(),
  "a stream as an argument": (env) => env.RpcObject.getByName("a").readAll(new Blob(["abc", "def"]).stream()),
  "a request as an argument": (env) => env.RpcObject.getByName("a").readRequest(new Request("http://x/y?z", { method: "POST", body: "payload", headers: { "x-a": "1" } })),
  "a response as a result": async (env) => { const r = await env.RpcObject.getByName("a").response(); return [r.status, r.headers.get("x-a"), await r.text()]; },
  "a stub as an argument": (env) => env.RpcObject.getByName("a").askOther(env.RpcObject.getByName("other")),
  "a stub can be disposed": async (env) => { const counter = await env.RpcObject.getByName("a").counter(); counter[Symbol.dispose](); return caughtAsync(() => counter.add(1)); },
  "dup outlives its origin": async (env) => { const counter = await env.RpcObject.getByName("a").counter(); const copy = counter.dup(); counter[Symbol.dispose](); return copy.add(4); },
  "results carry Symbol.dispose": async (env) => typeof (await env.RpcObject.getByName("a").record())[Symbol.dispose],
  "calls at once, answers in order": async (env) => { const stub = env.RpcObject.getByName("order"); return Promise.all(Array.from({ length: 10 }, (_, i) => stub.tick(i))); },
  "a class that does not extend DurableObject": (env) => caughtAsync(() => env.BareObject.getByName("a").hello()),
  "fetch on a class without fetch": (env) => caughtAsync(async () => (await env.NoFetchObject.getByName("a").fetch("http://x/")).status),
  "alarm over a call": (env) => caughtAsync(() => env.RpcObject.getByName("a").alarm()),
  "a call with a spread of many arguments": (env) => env.RpcObject.getByName("a").count(...Array(100).fill(0)),
  "the method is bound to the object": async (env) => { const { add } = env.RpcObject.getByName("a"); return add(1, 2); },
  "a stub's own keys": (env) => Object.keys(env.RpcObject.getByName("a")).sort(),
};

class Base extends CaseObject {
  inherited() { return "from the base"; }
}

class OwnError extends Error { constructor(message) { super(message); this.name = "OwnError"; } }

export class RpcObject extends Base {
  field = "hidden";
  own = () => "hidden too";
  ticks = 0;
  static fixed() { return "static"; }
  #secret() { return "private"; }
  add(a, b) { return a + b; }
  async later(x) { await Promise.resolve(); return `later ${x}`; }
  nothing() {}
  echo(value) { return value; }
  change(value) { value.n = 2; }
  count(...args) { return args.length; }
  get size() { return 42; }
  _internal() { return this.#secret(); }
  fail(kind) { throw new { RangeError, Error }[kind](`failed as ${kind}`); }
  failCustom() { throw new OwnError("custom"); }
  failProps() { throw Object.assign(new Error("with more"), { code: "E_MORE", details: { a: 1 } }); }
  failWith(value) { throw value; }
  reject() { return Promise.reject(new SyntaxError("rejected")); }
  failDom() { throw new DOMException("gone", "NotFoundError"); }
  remember(v) { this.kept = v; }
  remembered() { return this.kept; }
  counter() { return new Counter(); }
  record() { return { inner: { deep: "value" } }; }
  callBack(fn, x) { return fn(x); }
  doubler() { return (x) => x * 2; }
  async useCounter(counter) { await counter.add(1); return counter.add(1); }
  stream() { return new Blob(["streamed ", "text"]).stream(); }
  readAll(stream) { return new Response(stream).text(); }
  async readRequest(request) { return [request.method, request.url, request.headers.get("x-a"), await request.text()]; }
  response() { return new Response("body", { status: 201, headers: { "x-a": "1" } }); }
  askOther(stub) { return stub.add(20, 22); }
  tick(i) { return [i, ++this.ticks]; }
}

export class BareObject { hello() { return "hello"; } }
export class NoFetchObject extends Base { }
NoFetchObject.prototype.fetch = undefined;

export default oracle({ outside });
