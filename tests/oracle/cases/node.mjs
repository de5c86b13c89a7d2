// The Node.js modules that agents and their packages reach: buffer, crypto, events, path, util, assert and friends.
import assert from "node:assert";
import { Buffer } from "node:buffer";
import { createHash, createHmac, randomBytes, randomUUID, timingSafeEqual } from "node:crypto";
import { channel, subscribe, unsubscribe } from "node:diagnostics_channel";
import { EventEmitter, once } from "node:events";
import os from "node:os";
import path from "node:path";
import process from "node:process";
import querystring from "node:querystring";
import { StringDecoder } from "node:string_decoder";
import { setTimeout as later } from "node:timers/promises";
import { fileURLToPath, pathToFileURL } from "node:url";
import util from "node:util";
import { env as importedEnv } from "cloudflare:workers";
import { CaseObject, caught, caughtAsync, oracle } from "../suite.mjs";

/* What a module does while it is loaded: whoever is born later finds it. */
process.env.ORACLE_NOTE = "from the module";
importedEnv.ORACLE_NOTE = { from: "the module" };

export class EnvObject extends CaseObject { cases = inside; }

const inside = {
  "env: an object's, after the module changed it": (ctx, env) => [process.env.ORACLE_NOTE, importedEnv.ORACLE_NOTE, env.ORACLE_NOTE, env === importedEnv],
};

const outside = {
  "env: the entry's, after the module changed it": (env) => [process.env.ORACLE_NOTE, importedEnv.ORACLE_NOTE, env.ORACLE_NOTE, env === importedEnv],
  "buffer: from and to text": () => [Buffer.from("héllo").toString("hex"), Buffer.from("aGk=", "base64").toString(), Buffer.from("68690a", "hex").toString(), Buffer.from("é", "latin1").length, Buffer.from("hi").toString("base64url")],
  "buffer: is a Uint8Array": () => [Buffer.from([1, 2]) instanceof Uint8Array, Buffer.isBuffer(Buffer.alloc(1)), Buffer.isBuffer(new Uint8Array(1))],
  "buffer: concat, compare, equals": () => [Buffer.concat([Buffer.from("a"), Buffer.from("b")]).toString(), Buffer.compare(Buffer.from("a"), Buffer.from("b")), Buffer.from("x").equals(Buffer.from("x"))],
  "buffer: byteLength": () => [Buffer.byteLength("é🐭"), Buffer.byteLength("aGk=", "base64")],
  "buffer: numbers": () => { const b = Buffer.alloc(12); b.writeUInt32BE(0xdeadbeef, 0); b.writeInt16LE(-2, 4); b.writeDoubleLE?.(0, 4); return [b.readUInt32BE(0), b.toString("hex")]; },
  "buffer: slice, indexOf, fill": () => { const b = Buffer.from("dormouse"); return [b.subarray(3).toString(), b.indexOf("mouse"), b.includes("x"), Buffer.alloc(3, "ab").toString()]; },
  "buffer: JSON": () => JSON.stringify(Buffer.from([1, 2])),
  "buffer: global": () => globalThis.Buffer === Buffer,
  "crypto: createHash": () => [createHash("sha256").update("a").update("b").digest("hex"), createHash("sha1").update("x").digest("base64"), createHash("md5").update("x").digest("hex")],
  "crypto: an unknown hash": () => caught(() => createHash("nope")).constructor.name,
  "crypto: digest twice": () => { const h = createHash("sha256"); h.digest(); return caught(() => h.digest()) instanceof Error; },
  "crypto: createHmac": () => createHmac("sha256", "key").update("m").digest("hex"),
  "crypto: random": () => [randomBytes(5).length, randomUUID().length],
  "crypto: timingSafeEqual": () => [timingSafeEqual(Buffer.from("a"), Buffer.from("a")), caught(() => timingSafeEqual(Buffer.from("a"), Buffer.from("ab"))) instanceof Error],
  "diagnostics_channel": () => { const seen = []; const on = (message, name) => seen.push([message, name]); const c = channel("oracle"); subscribe("oracle", on); const had = c.hasSubscribers; c.publish({ a: 1 }); unsubscribe("oracle", on); c.publish({ a: 2 }); return [had, seen, c.hasSubscribers]; },
  "events: on, once, emit, off": () => { const e = new EventEmitter(); const seen = []; const on = (...args) => seen.push(args); e.on("x", on); e.once("x", () => seen.push("once")); e.emit("x", 1, 2); e.off("x", on); return [e.emit("x"), seen, e.listenerCount("x")]; },
  "events: an error nobody listens to": () => caught(() => new EventEmitter().emit("error", new RangeError("unheard"))),
  "events: once as a promise": async () => { const e = new EventEmitter(); const got = once(e, "x"); e.emit("x", 5); return got; },
  "events: order and prepend": () => { const e = new EventEmitter(); const seen = []; e.on("x", () => seen.push(1)); e.prependListener("x", () => seen.push(0)); e.emit("x"); return [seen, e.eventNames()]; },
  "os": () => [os.EOL, os.platform()],
  "path": () => [path.join("/a", "..", "b", "c.txt"), path.basename("/x/y.tar.gz", ".gz"), path.extname("a.b.c"), path.dirname("/a/b"), path.resolve("/a", "b"), path.relative("/a/b", "/a/c"), path.normalize("a//b/../c"), path.isAbsolute("a"), path.parse("/h/f.txt"), path.sep],
  "path: posix": () => path.posix.join("a", "b"),
  "process: env and nextTick": async () => { const seen = []; await new Promise((resolve) => { process.nextTick((x) => { seen.push(x); resolve(); }, "tick"); seen.push("sync"); }); return [seen, typeof process.env, process.platform, typeof process.version]; },
  "process: order of nextTick and promises": async () => { const seen = []; await new Promise((resolve) => { Promise.resolve().then(() => seen.push("promise")); process.nextTick(() => { seen.push("tick"); }); setTimeout(resolve, 1); }); return seen.sort(); },
  "querystring": () => [querystring.stringify({ a: [1, 2], b: "x y" }), { ...querystring.parse("a=1&a=2&b=%20") }],
  "string_decoder": () => { const d = new StringDecoder("utf8"); return [d.write(Buffer.from([0xe2, 0x82])), d.write(Buffer.from([0xac])), d.end()]; },
  "timers/promises": async () => later(1, "value"),
  "url": () => [fileURLToPath("file:///a%20b"), pathToFileURL("/a b").href],
  "util: format": () => [util.format("%s is %d and %j", "a", 5, { x: 1 }), util.format("no", "marks", 1), util.format("%o%%", 1)],
  "util: inspect": () => [util.inspect({ a: [1, { b: new Map([["k", 1]]) }] }), util.inspect("x"), util.inspect([undefined, null, 5n]), util.inspect(new Error("m")).startsWith("Error: m")],
  "util: promisify": async () => util.promisify((x, done) => done(null, x * 2))(21),
  "util: promisify of a failure": () => caughtAsync(() => util.promisify((done) => done(new RangeError("failed")))()),
  "util: types": () => [util.types.isPromise(Promise.resolve()), util.types.isDate(new Date()), util.types.isUint8Array(new Uint8Array()), util.types.isMap({})],
  "util: isDeepStrictEqual": () => [util.isDeepStrictEqual({ a: [1] }, { a: [1] }), util.isDeepStrictEqual([1], ["1"])],
  "util: inherits": () => { function A() {} function B() {} util.inherits(A, B); return new A() instanceof B; },
  "util: TextEncoder": () => util.TextEncoder === TextEncoder,
  "assert: ok and equal": () => [caught(() => assert(false, "no")).message, caught(() => assert.equal(1, 2)).name, caught(() => assert.deepStrictEqual({ a: 1 }, { a: 1 })).value],
  "assert: throws and rejects": async () => { assert.throws(() => { throw new TypeError("x"); }, TypeError); await assert.rejects(Promise.reject(new Error("y")), /y/); return "held"; },
  "dynamic import": async () => typeof (await import("node:path")).join,
};

export default oracle({ inside, object: "EnvObject", outside });
