// ctx.storage as a key-value store, asynchronous and synchronous: overloads, values, order, limits and errors.
import { CaseObject, caught, caughtAsync, oracle } from "../suite.mjs";

const five = (s) => s.put({ "a:1": 1, "a:2": 2, "b:1": 3, "b:2": 4, "c": 5 });
const roundtrip = (value) => async ({ storage }) => { await storage.put("k", value); return storage.get("k"); };
class Thing { constructor() { this.a = 1; } }

const inside = {
  "get of an absent key": ({ storage }) => storage.get("k"),
  "put and get": async ({ storage }) => { await storage.put("k", { a: [1] }); return storage.get("k"); },
  "put resolves to undefined": ({ storage }) => storage.put("k", 1),
  "put of an object of entries": async ({ storage }) => { await storage.put({ x: 1, y: "two" }); return storage.list(); },
  "get of several keys": async ({ storage }) => { await five(storage); return storage.get(["c", "nope", "a:1"]); },
  "get of no keys": ({ storage }) => storage.get([]),
  "delete of a present key": async ({ storage }) => { await storage.put("k", 1); return storage.delete("k"); },
  "delete of an absent key": ({ storage }) => storage.delete("k"),
  "delete of several keys counts": async ({ storage }) => { await five(storage); return storage.delete(["c", "nope", "a:1"]); },
  "list everything in order": async ({ storage }) => { await storage.put({ b: 1, a: 2, "aa": 3, "B": 4, "é": 5, "~": 6 }); return storage.list(); },
  "list is a Map": async ({ storage }) => (await storage.list()) instanceof Map,
  "list with a prefix": async ({ storage }) => { await five(storage); return storage.list({ prefix: "a:" }); },
  "list from start": async ({ storage }) => { await five(storage); return [...(await storage.list({ start: "a:2" })).keys()]; },
  "list startAfter": async ({ storage }) => { await five(storage); return [...(await storage.list({ startAfter: "a:2" })).keys()]; },
  "list to end": async ({ storage }) => { await five(storage); return [...(await storage.list({ end: "b:1" })).keys()]; },
  "list reversed with a limit": async ({ storage }) => { await five(storage); return [...(await storage.list({ reverse: true, limit: 2 })).keys()]; },
  "list with prefix, start and reverse": async ({ storage }) => { await five(storage); return [...(await storage.list({ prefix: "b:", start: "b:2", reverse: true })).keys()]; },
  "list start and startAfter": ({ storage }) => storage.list({ start: "a", startAfter: "b" }),
  "list with limit 0": ({ storage }) => storage.list({ limit: 0 }),
  "list with a negative limit": ({ storage }) => storage.list({ limit: -1 }),
  "list where end is before start": async ({ storage }) => { await five(storage); return storage.list({ start: "b", end: "a" }); },
  "put undefined": ({ storage }) => storage.put("k", undefined),
  "put without a value": ({ storage }) => storage.put("k"),
  "put null": roundtrip(null),
  "put of a string": roundtrip("text 🐭"),
  "put of numbers": roundtrip([0, -0, 1.5, NaN, Infinity, 2 ** 53]),
  "put of a bigint": roundtrip(123456789012345678901234567890n),
  "put of a date": roundtrip(new Date(86400000)),
  "put of an invalid date": roundtrip(new Date(NaN)),
  "put of a regular expression": roundtrip(/a+b/gi),
  "put of a map and a set": roundtrip(new Map([["a", new Set([1, "x"])]])),
  "put of typed arrays": roundtrip([new Uint8Array([1, 2]), new Float64Array([1.5]), new BigInt64Array([5n]), new ArrayBuffer(2)]),
  "put of boxed values": roundtrip([new Number(5), new String("s"), new Boolean(false)]),
  "put of an error": roundtrip(new RangeError("too far")),
  "put of a sparse array": async ({ storage }) => { await storage.put("k", [1, , 3]); const back = await storage.get("k"); return [back.length, 1 in back, back]; },
  "put keeps shared references": async ({ storage }) => { const shared = {}; await storage.put("k", [shared, shared]); const [a, b] = await storage.get("k"); return a === b; },
  "put of a cycle": async ({ storage }) => { const loop = {}; loop.self = loop; await storage.put("k", loop); const back = await storage.get("k"); return back.self === back; },
  "put of a class instance": roundtrip(new Thing()),
  "put of a function": ({ storage }) => storage.put("k", () => 1),
  "put of a symbol": ({ storage }) => storage.put("k", Symbol("s")),
  "put of an object with a method": ({ storage }) => storage.put("k", { a() {} }),
  "put of a promise": ({ storage }) => storage.put("k", Promise.resolve()),
  "put of a response": ({ storage }) => storage.put("k", new Response("x")),
  "put of headers": ({ storage }) => storage.put("k", new Headers({ a: "b" })),
  "what get returns is a copy": async ({ storage }) => { const value = { n: 1 }; await storage.put("k", value); value.n = 2; const first = await storage.get("k"); first.n = 3; return (await storage.get("k")).n; },
  "put copies at once": async ({ storage }) => { const value = { n: 1 }; const done = storage.put("k", value); value.n = 2; await done; return storage.get("k"); },
  "a put is visible before it is awaited": async ({ storage }) => { storage.put("k", 1); return storage.get("k"); },
  "a key that is a number": async ({ storage }) => { await storage.put(5, "five"); return storage.list(); },
  "an empty key": async ({ storage }) => { await storage.put("", 1); return storage.list(); },
  "a key of 2,048 bytes": async ({ storage }) => { await storage.put("x".repeat(2048), 1); return storage.get("x".repeat(2048)); },
  "a key of 2,049 bytes": async ({ storage }) => { await storage.put("x".repeat(2049), 1); return storage.get("x".repeat(2049)); },
  "128 keys": ({ storage }) => storage.put(Object.fromEntries(Array.from({ length: 128 }, (_, i) => [`k${i}`, i]))),
  "129 keys in put": ({ storage }) => storage.put(Object.fromEntries(Array.from({ length: 129 }, (_, i) => [`k${i}`, i]))),
  "129 keys in get": ({ storage }) => storage.get(Array.from({ length: 129 }, (_, i) => `k${i}`)),
  "129 keys in delete": ({ storage }) => storage.delete(Array.from({ length: 129 }, (_, i) => `k${i}`)),
  "a value of 1 MB": async ({ storage }) => { await storage.put("k", "x".repeat(1_000_000)); return (await storage.get("k")).length; },
  "options are accepted": async ({ storage }) => { await storage.put("k", 1, { allowUnconfirmed: true, allowConcurrency: true, noCache: true }); return storage.get("k", { allowConcurrency: true, noCache: true }); },
  "deleteAll": async ({ storage }) => { await five(storage); storage.sql.exec("CREATE TABLE t(a)"); await storage.deleteAll(); return [await storage.list(), storage.sql.exec("SELECT name FROM sqlite_master WHERE name = 't'").toArray()]; },
  "write after deleteAll": async ({ storage }) => { await five(storage); await storage.deleteAll(); await storage.put("k", 1); return storage.list(); },
  "sync": ({ storage }) => storage.sync(),
  // the synchronous one
  "kv: get, put, delete": ({ storage: { kv } }) => [kv.get("k"), kv.put("k", { a: 1 }), kv.get("k"), kv.delete("k"), kv.delete("k"), kv.get("k")],
  "kv: list": ({ storage: { kv } }) => { for (const key of ["b", "a", "c"]) kv.put(key, key); return [[...kv.list()], [...kv.list({ start: "b" })], [...kv.list({ reverse: true, limit: 1 })], [...kv.list({ prefix: "c" })]]; },
  "kv: list is an iterator": ({ storage: { kv } }) => { kv.put("a", 1); const list = kv.list(); return [typeof list.next, list.next(), list.next()]; },
  "kv: put undefined": ({ storage: { kv } }) => caught(() => kv.put("k", undefined)),
  "kv: put of a function": ({ storage: { kv } }) => caught(() => kv.put("k", () => 1)),
  "kv and the other one are one store": async ({ storage }) => { storage.kv.put("k", 1); await storage.put("l", 2); return [await storage.get("k"), storage.kv.get("l")]; },
  "kv: put without arguments": ({ storage: { kv } }) => caught(() => kv.put()),
  // misuse
  "get without arguments": ({ storage }) => caughtAsync(() => storage.get()),
  "put without arguments": ({ storage }) => caughtAsync(() => storage.put()),
  "put of a number alone": ({ storage }) => caughtAsync(() => storage.put(5)),
  "bookmarks": async ({ storage }) => typeof (await storage.getCurrentBookmark()),
  "bookmark for a time": ({ storage }) => storage.getBookmarkForTime(0),
};

export class KvObject extends CaseObject {
  cases = inside;
}

export default oracle({ inside, object: "KvObject" });
