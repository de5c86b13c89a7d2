/*
 * core-host: a host for js/core inside this very process: the runtime library is evaluated in the realm of the test, so that what
 * it makes can be looked at directly. One world per process (node --test gives each file its own).
 *
 * The host's storage is a Map; SQL answers come from `world.sql(query, bindings)`; time is virtual.
 */
import { AsyncLocalStorage } from "node:async_hooks";
import { createHmac } from "node:crypto";
import { deserialize, serialize } from "node:v8";
import vm from "node:vm";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { natives } from "./mock-host.mjs";

const here = (name) => fileURLToPath(new URL(name, import.meta.url));

/* Node's own setImmediate: the runtime library's is driven by virtual time. */
export const later = setImmediate;

/* Everything that is ready runs. */
export function settle() {
  return new Promise((resolve) => later(() => later(resolve)));
}

/* What the engine has and Node 18 lacks. */
Promise.withResolvers ??= function withResolvers() {
  const out = {};
  out.promise = new this((resolve, reject) => Object.assign(out, { resolve, reject }));
  return out;
};
String.prototype.toWellFormed ??= function toWellFormed() {
  return this.replace(/[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g, "\ufffd");
};
String.prototype.isWellFormed ??= function isWellFormed() {
  return this.toWellFormed() === String(this);
};
for (const name of ["dispose", "asyncDispose"]) {
  if (typeof Symbol[name] !== "symbol") Object.defineProperty(Symbol, name, { value: Symbol(`Symbol.${name}`) });
}

/* mock-host's natives use the globals that the runtime library replaces: they get Node's. */
const own = { URL, URLSearchParams, TextEncoder, TextDecoder, atob, btoa, crypto: globalThis.crypto };
function withOwn(fn) {
  return (...args) => {
    const theirs = {};
    for (const name of Object.keys(own)) {
      theirs[name] = Object.getOwnPropertyDescriptor(globalThis, name);
      Object.defineProperty(globalThis, name, { value: own[name], configurable: true, writable: true });
    }
    try {
      return fn(...args);
    } finally {
      for (const name of Object.keys(own)) Object.defineProperty(globalThis, name, theirs[name]);
    }
  };
}

/* Waits for what comes by itself; a condition that never becomes true fails the test that asked. */
export async function until(condition) {
  for (let i = 0; !condition(); i++) {
    if (i === 100) throw new Error("it did not happen");
    await settle();
  }
}

export const EVENT = {
  BOOT_ENTRY: 1, BOOT_AGENT: 2, ENTRY: 3, FETCH: 4, RPC: 5, ALARM: 6, WS_MESSAGE: 7, WS_CLOSE: 8, WS_ERROR: 9, SCHEDULED: 10, EMAIL: 11,
  REPLY: 20, REPLY_RPC: 21, FAIL: 22, BODY: 23, BODY_END: 24, DRAIN: 25, CANCELLED: 26, BODY_CANCELLED: 27, TIMER: 30, SYNCED: 31, REJECTION: 32,
};

export const pack = (value) => new Uint8Array(serialize(value));
export const unpack = (bytes) => deserialize(Buffer.from(bytes.buffer ?? bytes, bytes.byteOffset ?? 0, bytes.byteLength));

/* What the host refuses for RPC: an instance of a class of the app or of the runtime library. */
function refuseInstances(value, seen = new Set()) {
  if (typeof value !== "object" || value === null || seen.has(value)) return;
  seen.add(value);
  const proto = Object.getPrototypeOf(value);
  const isBuiltIn = proto === null || /^function \w+\(\) \{ \[native code\] \}$/.test(Function.prototype.toString.call(proto.constructor ?? Object));
  if (!isBuiltIn)
    throw new DOMException(`Could not serialize object of type "${proto.constructor.name}". This type does not support serialization.`, "DataCloneError");
  for (const member of value instanceof Map ? [...value].flat() : value instanceof Set ? value : ArrayBuffer.isView(value) ? [] : Object.values(value))
    refuseInstances(member, seen);
}

function packOrThrow(value, forRpc) {
  if (forRpc) refuseInstances(value);
  try {
    return pack(value);
  } catch (error) {
    throw new DOMException(error.message, "DataCloneError");
  }
}

class World {
  constructor() {
    this.calls = [];                       /* [native, …arguments] of everything that leaves the heap */
    this.logs = [];
    this.kv = new Map();
    this.alarm = null;
    this.credit = 1 << 20;
    this.sql = () => ({ names: [], rows: [] });
    this.sockets = [];
    this.timers = new Map();
    this.section = 0;
    this.blocked = [];
    this.events = [];                      /* block, unblock, booted in their order, until the first test looks */
    this.held = 0;
    this.lastSocket = 500;
    this.lastCall = 1000;
    this.cursors = new Map();
    this.snapshots = [];
    this.aborted = undefined;
    this.on = {};                          /* native → function run after it is recorded */
    this.now = 1_800_000_000_000;
  }

  /* The last call of NATIVE, without its name. */
  last(native) {
    return this.all(native).pop();
  }

  all(native) {
    return this.calls.filter(([name]) => name === native).map((call) => call.slice(1));
  }

  async event(number, ...args) {
    this.dispatch(number, ...args);
    await settle();
  }

  /* An incoming call; gives [native, …] of its answer, or undefined when nothing more happens by itself. */
  async call(number, ...args) {
    const call = ++this.lastCall;
    this.dispatch(number, call, ...args);
    for (let i = 0; i < 20 && this.answerOf(call) === undefined; i++) await settle();
    return this.answerOf(call);
  }

  answerOf(call) {
    return this.calls.find(([name, id]) => id === call && ["reply", "replyRpc", "replyFail", "done"].includes(name));
  }

  request(number, method, url, { headers = "", body, mode, cf = "", upgrade = false } = {}) {
    return this.call(number, method, url, headers, mode ?? (body === undefined ? 0 : 1), body, cf, upgrade);
  }

  /* Time passes: timers that are due fire in their order. */
  async advance(ms) {
    const end = this.now + ms;
    for (;;) {
      const due = [...this.timers].filter(([, at]) => at <= end).sort((a, b) => a[1] - b[1])[0];
      if (due === undefined) break;
      this.timers.delete(due[0]);
      this.now = due[1];
      await this.event(EVENT.TIMER, due[0]);
    }
    this.now = end;
  }
}

function recorded(world, names) {
  const table = {};
  for (const name of names) {
    table[name] = (...args) => {
      world.calls.push([name, ...args]);
      return world.on[name]?.(...args);
    };
  }
  return table;
}

function storageNatives(world) {
  let lastCursor = 0;
  const rowOf = (cursor, raw) => {
    const row = cursor.rows[cursor.at++];
    return row === undefined || raw ? row : Object.fromEntries(cursor.names.map((name, i) => [name, row[i]]));
  };
  return {
    sqlExec(query, bindings) {
      world.calls.push(["sqlExec", query, bindings]);
      world.cursors.set(++lastCursor, { at: 0, ...world.sql(query, bindings) });
      return lastCursor;
    },
    sqlNext: (id, raw) => rowOf(world.cursors.get(id), raw),
    sqlAll(id, raw) {
      const cursor = world.cursors.get(id);
      const rows = [];
      while (cursor.at < cursor.rows.length) rows.push(rowOf(cursor, raw));
      return rows;
    },
    sqlOne(id) {
      const cursor = world.cursors.get(id);
      const count = cursor.rows.length - cursor.at;
      if (count !== 1) throw new Error(`Expected exactly one result from SQL query, but got ${count ? "multiple" : "no"} results.`);
      return rowOf(cursor, false);
    },
    sqlNames: (id) => world.cursors.get(id).names,
    sqlStats: (id) => [world.cursors.get(id).at, 0],
    sqlSize: () => 4096,
    bookmark: () => `now ${world.kv.size}`,
    bookmarkForTime(ms) {
      if (!Number.isFinite(ms)) throw new TypeError("not a time");
      return `at ${ms}`;
    },
    bookmarkRestore: (text) => (world.calls.push(["restore", text]), "undo"),
    kvGet: (key) => (world.kv.has(key) ? unpack(world.kv.get(key)) : undefined),
    kvPut: (key, value) => void world.kv.set(key, packOrThrow(value)),
    kvDelete: (key) => world.kv.delete(key),
    kvList(start, startAfter, end, prefix, reverse, limit) {
      const keys = [...world.kv.keys()].sort().filter((key) => (start === undefined || key >= start) && (end === undefined || key < end) &&
        (startAfter === undefined || key > startAfter) && (prefix === undefined || key.startsWith(prefix)));
      if (reverse) keys.reverse();
      return keys.slice(0, limit).flatMap((key) => [key, unpack(world.kv.get(key))]);
    },
    txn(operation) {
      world.calls.push(["txn", operation]);
      if (operation === 0 || operation === 3) world.snapshots.push(new Map(world.kv));
      else if (operation === 1) world.snapshots.pop();
      else world.kv = world.snapshots.pop();
    },
    alarmGet: () => world.alarm,
    alarmSet(due) {
      world.calls.push(["alarmSet", due]);
      world.alarm = due;
    },
    deleteAll(andAlarm) {
      world.kv.clear();
      if (andAlarm) world.alarm = null;
    },
  };
}

function processNatives(world) {
  const als = new AsyncLocalStorage();
  return {
    now: () => world.now,
    random: (view) => void own.crypto.getRandomValues(view),
    log: (level, text) => void world.logs.push([level, text]),
    abort(message, retryAlarm) {
      world.aborted = { message, retryAlarm };
      throw new Error("the heap ends here");
    },
    als: () => als.getStore(),
    alsSet(value) {
      const before = als.getStore();
      als.enterWith(value);
      return before;
    },
    cs: () => world.section,
    csSet(number) {
      const before = world.section;
      world.section = number;
      return before;
    },
    block(number) {
      world.events.push("block");
      world.blocked.push(number);
    },
    unblock(number) {
      world.events.push("unblock");
      world.blocked.splice(world.blocked.indexOf(number), 1);
    },
    microtask: (fn) => void Promise.resolve().then(fn),
    promiseState: () => 0,
    promiseResult: () => undefined,
    timer: (id, ms) => void world.timers.set(id, world.now + ms),
    timerClear: (id) => void world.timers.delete(id),
    waitUntil(delta) {
      world.held += delta;
    },
    booted(ok, message) {
      world.events.push("booted");
      world.booted = { ok, message };
    },
    serialize: packOrThrow,
    deserialize: unpack,
    clone: (value) => unpack(packOrThrow(value)),
    idFromName: (ns, name) => createHmac("sha256", ns).update(name).digest("hex"),
    idNew: (ns) => createHmac("sha256", ns).update(String(++world.lastCall)).digest("hex"),
    idCheck: (ns, hex) => !hex.startsWith("0000"),
    exports: () => world.exports,
    install(dispatch, modules) {
      world.dispatch = dispatch;
      world.modules = modules;
    },
  };
}

function socketNatives(world) {
  return {
    wsList: () => world.sockets,
    wsAutoGet: () => undefined,
    wsOpen(mode, tags, attachment) {
      world.calls.push(["wsOpen", ++world.lastSocket, mode, tags, attachment]);
      return world.lastSocket;
    },
    wsJoin(outer) {
      world.calls.push(["wsJoin", outer]);
      return ++world.lastSocket;
    },
    bodySend(call, side, bytes) {
      world.calls.push(["bodySend", call, side, typeof bytes === "string" ? bytes : Buffer.from(bytes).toString()]);
      return (world.credit -= bytes.length);
    },
    ...recorded(world, ["reply", "replyRpc", "replyFail", "done", "fetchAgent", "rpcAgent", "fetchOut", "fetchAssets", "cancel", "bodyEnd",
      "bodyRead", "bodyCancel", "wsSend", "wsClose", "wsAttach", "wsDone", "wsAuto", "sync"]),
  };
}

async function bundle(options) {
  const { outputFiles } = await build({ bundle: true, format: "iife", target: "es2022", write: false, logLevel: "error", ...options });
  return outputFiles[0].text;
}

/* The specifiers that the worker provides as modules. */
const provided = {
  name: "provided",
  setup(esbuild) {
    esbuild.onResolve({ filter: /^(cloudflare:|node:|path$)/ }, ({ path }) => ({ path, namespace: "provided" }));
    esbuild.onLoad({ filter: /.*/, namespace: "provided" }, ({ path }) => ({ contents: `module.exports = globalThis.__testModules(${JSON.stringify(path)});` }));
  },
};

/* A world with the runtime library and the app whose ES module text is APP. */
export async function makeWorld(app) {
  const world = new World();
  const safe = Object.fromEntries(Object.entries(natives).map(([name, fn]) => [name, withOwn(fn)]));
  globalThis.__host = { ...safe, ...processNatives(world), ...storageNatives(world), ...socketNatives(world) };
  globalThis.__testModules = (name) => world.modules[name] ?? world.modules[`node:${name}`] ?? {};
  vm.runInThisContext(await bundle({ entryPoints: [here("../../js/runtime.js")], platform: "neutral", mainFields: ["module", "main"] }), { filename: "runtime.js" });
  const code = await bundle({ stdin: { contents: app, resolveDir: here(".") }, globalName: "__testApp", plugins: [provided] });
  world.exports = vm.runInThisContext(`${code}; __testApp`, { filename: "app.js" });
  return world;
}

export const ENV = JSON.stringify({ vars: { GREETING: "hello" }, namespaces: [{ binding: "ROOMS", class: "Room" }], assets: { binding: "ASSETS" } });
export const COMPAT = JSON.stringify({ date: "2026-11-01", flags: [] });
export const ID = "ab".repeat(32);

export async function bootEntry(world) {
  await world.event(EVENT.BOOT_ENTRY, ENV, COMPAT);
}

export async function bootAgent(world, className = "Room") {
  await world.event(EVENT.BOOT_AGENT, ENV, COMPAT, className, ID, "lobby", undefined);
}
