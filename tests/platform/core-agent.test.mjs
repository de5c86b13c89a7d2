/*
 * An agent's heap: construction, fetch, methods, storage, alarms, sockets, critical sections.
 */
import assert from "node:assert/strict";
import { before, test } from "node:test";
import { bootAgent, EVENT, later, makeWorld, pack, settle, unpack, until } from "./core-host.mjs";

const APP = `
import { DurableObject, RpcTarget, RpcStub } from "cloudflare:workers";
globalThis.RpcStub = RpcStub;
class Oops extends Error { constructor(m) { super(m); this.name = "Oops"; this.code = 7; } }
class Counter extends RpcTarget {
  count = 0;
  add(n) { this.count += n; return this.count; }
  get nested() { return new Counter(); }
  [Symbol.dispose]() { globalThis.disposed = true; }
}
export class Room extends DurableObject {
  constructor(ctx, env) {
    super(ctx, env);
    globalThis.room = this;
    this.order = ["constructor"];
    this.own = () => 1;
    ctx.blockConcurrencyWhile(async () => { this.order.push("section"); });
    this.order.push("end");
    Promise.resolve().then(() => this.order.push("job"));
  }
  fetch(request) { return this.handle(request); }
  async echo(...args) { return args; }
  get info() { return { depth: { two: 2 } }; }
  fail() { throw new Oops("no"); }
  failWithText() { throw "text"; }
  target() { return { add: (n) => n + 1, counter: new Counter() }; }
  back(request, headers, stream, stub) { this.gotBack = [request, headers, stream, stub]; return stub("from the object"); }
  use(callback) { return this.work(callback); }
  answer() { return new Response("body", { status: 201, headers: { "x-a": "1" } }); }
  _hidden() { return "callable"; }
  nothing() {}
  alarm(info) { return this.onAlarm(info); }
  webSocketMessage(ws, message) { this.got = [ws, message]; if (message === "bad") throw new Error("in handler"); ws.send("re:" + message); }
  webSocketClose(ws, code, reason, wasClean) { this.closed = [code, reason, wasClean, ws.readyState, this.ctx.getWebSockets().length]; }
}
export class Plain {}
`;

let world;
let room;
before(async () => {
  world = await makeWorld(APP);
  await bootAgent(world);
  room = globalThis.room;
});

const rpc = (method, ...args) => world.call(EVENT.RPC, method, pack(args));
const read = (path) => world.call(EVENT.RPC, path, pack(undefined));

test("the constructor and the code behind it run before its critical section", () => {
  assert.deepEqual(world.booted, { ok: true, message: "" });
  assert.deepEqual(room.order, ["constructor", "end", "job", "section"]);
  assert.deepEqual(world.blocked, []);
});

test("the object is there when the constructor's sections have ended", () => {
  assert.deepEqual(world.events.slice(0, 3), ["block", "unblock", "booted"]);
});

test("the id has the name it was called by", () => {
  assert.equal(room.ctx.id.name, "lobby");
  assert.equal(String(room.ctx.id), "ab".repeat(32));
  assert.equal(room.env.GREETING, "hello");
});

test("fetch answers with what the Response holds", async () => {
  room.handle = async (request) => new Response(`${request.method} ${await request.text()}`, { status: 201, headers: { "X-A": "b" } });
  const [, , status, , headers, mode, body, socket] = await world.request(EVENT.FETCH, "POST", "http://a/b", { body: "in" });
  assert.deepEqual([status, headers, mode, body, socket], [201, "x-a\nb\ncontent-type\ntext/plain;charset=UTF-8\n", 1, "POST in", 0]);
});

test("a request's body that streams is read under credit", async () => {
  let text;
  room.handle = async (request) => {
    text = await request.text();
    return new Response(null, { status: 204 });
  };
  const call = world.lastCall + 1;
  const answer = world.request(EVENT.FETCH, "POST", "http://a/b", { mode: 2, body: new TextEncoder().encode("first ").buffer });
  await settle();
  await world.event(EVENT.BODY, call, 0, new TextEncoder().encode("second").buffer);
  await world.event(EVENT.BODY_END, call, 0, undefined);
  await answer;
  assert.equal(text, "first second");
  assert.deepEqual(world.all("bodyRead").filter(([id]) => id === call), [[call, 0, 6]], "the first bytes came with the call");
  assert.equal(world.answerOf(call)[2], 204);
});

test("a reply that streams waits for credit", async () => {
  world.credit = 2;
  const encoder = new TextEncoder();
  room.handle = () => new Response(new ReadableStream({
    start(controller) {
      for (const part of ["ab", "cd"]) controller.enqueue(encoder.encode(part));
      controller.close();
    },
  }));
  const call = (await world.request(EVENT.FETCH, "GET", "http://a/"))[1];
  const sent = () => world.all("bodySend").filter(([id]) => id === call).map(([, , bytes]) => bytes);
  await until(() => sent().length === 1);
  await settle();
  assert.deepEqual(sent(), ["ab"]);
  assert.equal(world.held, 1, "a body on its way keeps the heap awake");
  world.credit = 100;
  await world.event(EVENT.DRAIN, call, 0);
  await until(() => world.held === 0);
  assert.deepEqual(sent(), ["ab", "cd"]);
  assert.deepEqual(world.last("bodyEnd"), [call, 0, undefined]);
});

test("a client that leaves cancels the reply's stream and aborts the request's signal", async () => {
  let reason;
  let signal;
  room.handle = (request) => {
    ({ signal } = request);
    return new Response(new ReadableStream({ pull() { return new Promise(() => {}); }, cancel(why) { reason = why ?? "cancelled"; } }));
  };
  const call = (await world.request(EVENT.FETCH, "GET", "http://a/"))[1];
  await world.event(EVENT.CANCELLED, call);
  assert.equal(reason, "cancelled");
  assert.equal(signal.aborted, true);
});

test("an error of fetch goes to the caller with its own properties", async () => {
  room.handle = () => room.fail();
  const [native, , message, detail, flags] = await world.request(EVENT.FETCH, "GET", "http://a/");
  assert.deepEqual([native, message, flags], ["replyFail", "no", 0]);
  assert.deepEqual(unpack(detail), { k: 0, n: "Oops", m: "no", p: { name: "Oops", code: 7 } });
  assert.match(world.logs.pop()[1], /^Uncaught Oops: no/);
});

test("what is no Response is the platform's TypeError", async () => {
  room.handle = () => null;
  const [native, , message] = await world.request(EVENT.FETCH, "GET", "http://a/");
  assert.deepEqual([native, message], ["replyFail", "Incorrect type for Promise: the Promise did not resolve to 'Response'."]);
});

/* ---- methods --------------------------------------------------------------------------------------------------------- */

test("methods are called with copies and answer with copies", async () => {
  const [native, , bytes] = await rpc("echo", 1, { a: new Map([[1, 2]]) });
  assert.equal(native, "replyRpc");
  assert.deepEqual(unpack(bytes), [1, { a: new Map([[1, 2]]) }]);
  assert.equal(unpack((await rpc("nothing"))[2]), undefined);
  assert.equal(unpack((await rpc("_hidden"))[2]), "callable");
});

test("getters are read, and paths followed", async () => {
  assert.deepEqual(unpack((await read("info"))[2]), { depth: { two: 2 } });
  assert.equal(unpack((await read("info.depth.two"))[2]), 2);
});

for (const [method, text] of [
  ["nope", 'The RPC receiver does not implement the method "nope".'],
  ["own", 'The RPC receiver does not implement the method "own".'],
  ["hasOwnProperty", 'The RPC receiver does not implement the method "hasOwnProperty".'],
  ["info.nope", 'The RPC receiver does not implement the method "nope".'],
  ["info", '"info" is not a function.'],
  ["fetch", "'fetch' is a reserved method and cannot be called over RPC."],
  ["alarm", "'alarm' is a reserved method and cannot be called over RPC."],
  ["constructor", "'constructor' is a reserved method and cannot be called over RPC."],
  ["webSocketMessage", "'webSocketMessage' is a reserved method and cannot be called over RPC."],
]) {
  test(`calling "${method}" is refused`, async () => {
    const [native, , message] = await rpc(method);
    assert.deepEqual([native, message], ["replyFail", text]);
  });
}

test("a thrown text arrives as an Error", async () => {
  const [, , message, detail] = await rpc("failWithText");
  assert.equal(message, "text");
  assert.deepEqual(unpack(detail), { k: 0, n: "Error", m: "text" });
});

/* ---- values by reference --------------------------------------------------------------------------------------------- */

const MARK = "\u0000rpc";
const HOLE = "\u0000hole";

test("functions and targets go out as references, which can be called and let go of", async () => {
  const packed = unpack((await rpc("target"))[2]);
  assert.deepEqual(packed.v, { add: { [HOLE]: 0 }, counter: { [HOLE]: 1 } });
  const [[kind, ns, hex, name, id, epoch], [, , , , counter]] = packed.x;
  assert.deepEqual([packed[MARK], kind, ns, hex, name], [1, "stub", "Room", "ab".repeat(32), "lobby"]);
  assert.equal(unpack((await rpc(`#${id}:${epoch}`, 41))[2]), 42);
  assert.equal(unpack((await rpc(`#${counter}:${epoch}.add`, 5))[2]), 5);
  assert.equal((await read(`#${counter}:${epoch}.count`))[2], 'The RPC receiver does not implement the method "count".');
  assert.equal((await rpc(`#${counter}:${epoch}.dup`))[2], "'dup' is a reserved method and cannot be called over RPC.");
  await rpc(`#${counter}:${epoch}!`);
  assert.equal(globalThis.disposed, true);
  assert.match((await rpc(`#${counter}:${epoch}.add`, 5))[2], /^The object behind this RPC stub is gone/);
  assert.match((await rpc(`#${id}:00000000`, 1))[2], /^The object behind this RPC stub is gone/);
  await rpc(`#${id}:${epoch}!`);
});

test("requests, headers, streams and stubs arrive as themselves", async () => {
  world.on.rpcAgent = (call) => later(() => world.dispatch(EVENT.REPLY_RPC, call, pack("called back").buffer));
  const [native, , bytes] = await world.call(EVENT.RPC, "back", pack({
    [MARK]: 1, v: [0, 1, 2, 3].map((i) => ({ [HOLE]: i })),
    x: [["request", "POST", "http://x/", "x-b\n2\n", "in"], ["headers", "x-c\n3\n"], ["stream", new TextEncoder().encode("bytes")], ["stub", "Room", "cd".repeat(32), "other", 7, "abcd"]],
  }));
  assert.deepEqual([native, unpack(bytes)], ["replyRpc", "called back"]);
  const [request, headers, stream, stub] = room.gotBack;
  assert.deepEqual([request.method, request.headers.get("x-b"), await request.text()], ["POST", "2", "in"]);
  assert.equal(headers.get("x-c"), "3");
  assert.equal(await new Response(stream).text(), "bytes");
  const [, ns, hex, name, method, args] = world.last("rpcAgent");
  assert.deepEqual([ns, hex, name, method, unpack(args)], ["Room", "cd".repeat(32), "other", "#7:abcd", ["from the object"]]);
  assert.ok(stub instanceof globalThis.RpcStub);
  const copy = stub.dup();
  stub[Symbol.dispose]();
  await assert.rejects(stub("again"), { message: "RPC stub used after being disposed." });
  assert.equal(await copy.method(1), "called back");
  assert.equal(world.last("rpcAgent")[4], "#7:abcd.method");
  copy[Symbol.dispose]();
  await settle();
  assert.equal(world.last("rpcAgent")[4], "#7:abcd!", "the owner hears of it when the last one is gone");
});

test("the caller's functions are called back through the open call", async () => {
  const WISH = "\u0000wish";
  let handle;
  room.work = async (callback) => {
    handle = callback;
    const [two, oops] = await Promise.allSettled([callback(1), callback.method("x")]);
    return `${two.value} ${oops.reason.message}`;
  };
  const [native, , bytes] = await world.call(EVENT.RPC, "use", pack({ [MARK]: 1, v: [{ [HOLE]: 0 }], x: [["back", 5]] }));
  const wish = unpack(bytes);
  assert.deepEqual([native, wish[WISH], wish.i, wish.p, unpack(wish.a)], ["replyRpc", 1, 5, "", [1]]);
  assert.equal(world.held, 1, "who waits for a caller stays awake");
  const [, , next] = await world.call(EVENT.RPC, `#back:${wish.t}`, pack([1, pack(2), undefined, ""]));
  assert.deepEqual([unpack(next)[WISH], unpack(next).p], [2, "method"]);
  const [, , last] = await world.call(EVENT.RPC, `#back:${wish.t}`, pack([2, undefined, pack({ k: 0, n: "Error", m: "no" }), "no"]));
  assert.equal(unpack(last), "2 no");
  assert.equal(world.held, 0);
  await assert.rejects(handle(1), { message: "The call that passed this stub is over." });
  assert.match((await world.call(EVENT.RPC, `#back:${wish.t}`, pack([3, pack(1), undefined, ""])))[2], /was reset while it called back/);
});

test("a stream of the object is pulled by who got it", async () => {
  let cancelled = false;
  room.work = () => new ReadableStream({
    start(controller) {
      controller.enqueue(new TextEncoder().encode("one"));
      controller.enqueue(new TextEncoder().encode("two"));
    },
    cancel() {
      cancelled = true;
    },
  });
  const [kind, [, , , , id, epoch]] = unpack((await rpc("use"))[2]).x[0];
  assert.equal(kind, "pull");
  assert.deepEqual(Buffer.from(unpack((await rpc(`#${id}:${epoch}.read`))[2])[0]).toString(), "one");
  await rpc(`#${id}:${epoch}!`);
  await settle();
  assert.equal(cancelled, true, "letting go of it cancels it");
});

test("a response is a result", async () => {
  const packed = unpack((await rpc("answer"))[2]);
  assert.deepEqual(packed.x, [["response", 201, "", "x-a\n1\ncontent-type\ntext/plain;charset=UTF-8\n", "body"]]);
});

test("references that nobody uses for 15 minutes are let go of", async () => {
  const [[, , , , id, epoch]] = unpack((await rpc("target"))[2]).x;
  await world.advance(14 * 60 * 1000);
  assert.equal(unpack((await rpc(`#${id}:${epoch}`, 1))[2]), 2);
  await world.advance(16 * 60 * 1000);
  assert.match((await rpc(`#${id}:${epoch}`, 1))[2], /is gone/);
});

test("a stub made here calls as if its object were elsewhere", async () => {
  const seen = [];
  const stub = new globalThis.RpcStub((value) => {
    seen.push(value);
    return value;
  });
  const given = { a: 1 };
  assert.deepEqual({ ...await stub(given) }, given);
  assert.notEqual(seen[0], given);
});

/* ---- storage --------------------------------------------------------------------------------------------------------- */

test("key-value: one, many, ordered, listed, deleted", async () => {
  const { storage } = room.ctx;
  await storage.put("b", { deep: [1] });
  await storage.put({ a: 1, c: 3, skipped: undefined });
  assert.deepEqual(await storage.get("b"), { deep: [1] });
  assert.equal(await storage.get("none"), undefined);
  assert.deepEqual([...await storage.get(["c", "a", "none"])], [["a", 1], ["c", 3]]);
  assert.deepEqual([...await storage.list({ start: "b", reverse: true, limit: 1 })], [["c", 3]]);
  assert.equal(await storage.delete("none"), false);
  assert.equal(await storage.delete(["a", "none"]), 1);
  assert.deepEqual([...storage.kv.list()], [["b", { deep: [1] }], ["c", 3]]);
  assert.equal(storage.kv.delete("c"), true);
});

test("key-value: the texts of the platform", async () => {
  const { storage } = room.ctx;
  await assert.rejects(storage.put("a"), { name: "TypeError", message: "put() called with undefined value." });
  await assert.rejects(storage.put({ a: 1 }, "x"), { message: /^put\(\) may only be called with a single key-value pair/ });
  await assert.rejects(storage.get(), { message: "Failed to execute 'get' on 'DurableObjectStorage': parameter 1 is not of type 'string or Array'." });
  await assert.rejects(storage.list({ start: "a", startAfter: "b" }), { message: "list() cannot be called with both start and startAfter values." });
  await assert.rejects(storage.list({ limit: 0 }), { message: "List limit must be positive." });
  await assert.rejects(storage.get(Array.from({ length: 129 }, (_, i) => `${i}`)), { message: "Maximum number of keys is 128." });
  await assert.rejects(storage.getBookmarkForTime(), { message: "Failed to execute 'getBookmarkForTime' on 'DurableObjectStorage': parameter 1 is not of type 'Date or number'." });
  await assert.rejects(storage.getBookmarkForTime("soon"), { name: "TypeError" });
  assert.throws(() => storage.kv.list({ limit: -1 }), { message: "List limit must be positive." });
});

test("bookmarks: a Date or a number in, texts out", async () => {
  const { storage } = room.ctx;
  assert.match(await storage.getCurrentBookmark(), /^now /);
  assert.equal(await storage.getBookmarkForTime(new Date(5000)), "at 5000");
  assert.equal(await storage.getBookmarkForTime(7), "at 7");
  assert.equal(await storage.onNextSessionRestoreBookmark("at 7"), "undo");
  assert.deepEqual(world.calls.at(-1), ["restore", "at 7"]);
});

test("a transaction rolls back when it is told or throws", async () => {
  const { storage } = room.ctx;
  await storage.put("t", 1);
  assert.equal(await storage.transaction(async (txn) => {
    await txn.put("t", 2);
    txn.rollback();
    txn.rollback();
    await assert.rejects(txn.put("t", 3), { message: "Cannot put() on rolled back transaction" });
    return "value";
  }), "value");
  assert.equal(await storage.get("t"), 1);
  await assert.rejects(storage.transaction(async (txn) => {
    await txn.put("t", 4);
    throw new Error("stop");
  }), { message: "stop" });
  assert.equal(await storage.get("t"), 1);
  let kept;
  await storage.transaction(async (txn) => {
    kept = txn;
    await txn.put("t", 5);
  });
  assert.equal(await storage.get("t"), 5);
  await assert.rejects(kept.get("t"), { message: /^Cannot call get\(\) on transaction that has already committed/ });
  assert.equal(world.aborted, undefined, "a failed transaction does not reset the object");
  assert.deepEqual(world.blocked, []);
});

test("transactionSync nests", () => {
  const { storage } = room.ctx;
  storage.transactionSync(() => {
    storage.kv.put("t", "outer");
    assert.throws(() => storage.transactionSync(() => {
      storage.kv.put("t", "inner");
      throw new Error("undo");
    }), { message: "undo" });
  });
  assert.equal(storage.kv.get("t"), "outer");
});

test("sync() waits until the host says that all is durable", async () => {
  let isDurable = false;
  const synced = room.ctx.storage.sync().then(() => {
    isDurable = true;
  });
  await settle();
  assert.equal(isDurable, false);
  await world.event(EVENT.SYNCED, world.last("sync")[0]);
  await synced;
  assert.equal(isDurable, true);
});

test("SQL cursors: rows, raw rows, one, names, iteration helpers", () => {
  const { sql } = room.ctx.storage;
  world.sql = () => ({ names: ["a", "b"], rows: [[1, 2], [3, 4]] });
  assert.deepEqual([...sql.exec("q")], [{ a: 1, b: 2 }, { a: 3, b: 4 }]);
  assert.deepEqual(sql.exec("q").raw().toArray(), [[1, 2], [3, 4]]);
  assert.deepEqual(sql.exec("q").columnNames, ["a", "b"]);
  assert.throws(() => sql.exec("q").one(), { message: /got multiple results/ });
  const cursor = sql.exec("q", 1, "x");
  assert.deepEqual(world.last("sqlExec"), ["q", [1, "x"]]);
  assert.deepEqual(cursor.next(), { done: false, value: { a: 1, b: 2 } });
  assert.deepEqual(cursor.toArray(), [{ a: 3, b: 4 }]);
  assert.deepEqual(cursor.next(), { done: true, value: undefined });
  assert.deepEqual(cursor.toArray(), []);
  assert.deepEqual(Object.getOwnPropertyNames(cursor), []);
  assert.equal(cursor.constructor.name, "Cursor");
  assert.throws(() => sql.exec(), { message: "Failed to execute 'exec' on 'SqlStorage': parameter 1 is not of type 'String'." });
});

/* ---- alarms ---------------------------------------------------------------------------------------------------------- */

test("alarm times are checked and never in the past", async () => {
  const { storage } = room.ctx;
  await assert.rejects(storage.setAlarm(0), { message: "setAlarm() cannot be called with an alarm time <= 0" });
  await assert.rejects(storage.setAlarm(NaN), { message: "The value cannot be converted because it is not a valid Date." });
  await assert.rejects(storage.setAlarm("1"), { message: /is not of type 'date'\.$/ });
  await storage.setAlarm(5);
  assert.equal(world.alarm, world.now);
  await storage.setAlarm(new Date(world.now + 10));
  assert.equal(await storage.getAlarm(), world.now + 10);
});

test("a handler sees no alarm while it runs", async () => {
  world.alarm = 100;
  let seen;
  room.onAlarm = async (info) => {
    seen = [{ ...info }, await room.ctx.storage.getAlarm()];
  };
  assert.deepEqual((await world.call(EVENT.ALARM, 100, 2)).slice(2), [0]);
  assert.deepEqual(seen, [{ isRetry: true, retryCount: 2, scheduledTime: 100 }, null]);
});

test("a failing alarm is retried, unless the handler set or deleted it", async () => {
  const outcome = async (handler) => {
    world.alarm = 100;
    room.onAlarm = async () => {
      await handler();
      throw new Error("alarm failed");
    };
    return (await world.call(EVENT.ALARM, 100, 0))[2];
  };
  assert.equal(await outcome(() => {}), 1);
  assert.equal(world.alarm, 100, "the library leaves it to the host");
  assert.equal(await outcome(() => room.ctx.storage.setAlarm(world.now + 500)), 2);
  assert.equal(world.alarm, world.now + 500);
  assert.equal(await outcome(() => room.ctx.storage.deleteAlarm()), 2);
  assert.equal(world.alarm, null);
});

/* ---- critical sections ------------------------------------------------------------------------------------------------ */

test("critical sections of one level run one after the other, nested ones inside", async () => {
  const order = [];
  let release;
  const first = room.ctx.blockConcurrencyWhile(async () => {
    order.push(`first in ${world.section}`);
    assert.equal(await room.ctx.blockConcurrencyWhile(() => "nested"), "nested");
    await new Promise((resolve) => {
      release = resolve;
    });
    order.push("first out");
    return 1;
  });
  const second = room.ctx.blockConcurrencyWhile(async () => {
    order.push("second");
    return 2;
  });
  await settle();
  assert.equal(world.blocked.length, 1);
  assert.equal(order.length, 1);
  release();
  assert.deepEqual(await Promise.all([first, second]), [1, 2]);
  assert.deepEqual(order.slice(1), ["first out", "second"]);
  assert.deepEqual(world.blocked, []);
});

test("blockConcurrencyWhile wants a function", async () => {
  await assert.rejects(room.ctx.blockConcurrencyWhile(), { message: /parameter 1 is not of type 'function'\.$/ });
});

test("a critical section that never ends resets the object after 30 s", async () => {
  room.ctx.blockConcurrencyWhile(() => new Promise(() => {}));
  await settle();
  await world.advance(29999);
  assert.equal(world.aborted, undefined);
  await world.advance(1);
  assert.match(world.aborted.message, /^A call to blockConcurrencyWhile\(\) in a Durable Object waited for too long\./);
  assert.equal(world.aborted.retryAlarm, true);
  world.aborted = undefined;
  world.blocked.length = 0;
});
