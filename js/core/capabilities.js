/*
 * capabilities: values that go to another heap by reference, and those that structured clone does not know.
 *
 * Promise: functions and RpcTargets of an agent arrive as stubs that call back; stubs, Headers, Request, Response and streams
 * arrive as themselves: a stream of an agent is pulled chunk by chunk, one of the entry is read whole before it travels. A stub works until it is disposed, its heap is reset, or nobody used any stub of that heap for 15
 * minutes. Nothing here costs a call whose values structured clone can copy.
 *
 * On the wire: what host.serialize() makes of {[MARK]: 1, v: the value with holes, x: what fills them}. A call by reference is an
 * RPC to the agent that owns the object, with the method "#ID:EPOCH.path"; "#ID:EPOCH!" lets go of one reference, "+" takes one more.
 */
import {
  bodyMode, flatOf, flatOfMessage, Headers, headersFromFlat, isRequest, isResponse, makeRequest, ReadableStream, Request, Response, sourceOf,
  streamFromBytes, streamFromSource, takeBody,
} from "../web/index.js";
import { named, RpcTarget } from "./base.js";
import { openCall } from "./calls.js";
import { startTimer, stopTimer } from "./context.js";
import { badConstructor, notSupported } from "./errors.js";
import { host } from "./host.js";

const MARK = "\u0000rpc";
const HOLE = "\u0000hole";
const EXPORTS_MAX = 10000;                 /* objects given away by one heap; more is a leak */
const UNUSED_MS_MAX = 15 * 60 * 1000;      /* a caller that died without letting go must not keep an agent awake for ever */
const DEPTH_MAX = 100;                     /* of values that are searched for what cannot be cloned */
const DRAIN_BYTES_MAX = 32 * 1024 * 1024;  /* the platform's limit for values of RPC */

const GONE_TEXT = "The object behind this RPC stub is gone: its Durable Object was reset, or it was disposed.";
const DISPOSED_TEXT = "RPC stub used after being disposed.";

/* object[SEND](path, args or undefined for a read) → promise of the result. */
export const SEND = Symbol("send");
/* object[WIRE]() → the filler of a hole for a stub of another kind (DurableObjectStub). */
export const WIRE = Symbol("wire");

/* What needs this module and is needed by it: given by rpc.js and stub.js. */
export const links = { invoke: undefined, makePromise: undefined, agentStub: undefined, classByName: undefined };

/* ---- the side that owns -------------------------------------------------------------------------------------------- */

let self;                                  /* where other heaps can call this one; undefined in the entry's heap */
let epoch = "";
const exported = new Map();                /* id → {value, count} */
const idOf = new Map();                    /* value → id */
let lastId = 0;
let unusedTimer = 0;

/* This heap goes on elsewhere or later: what others hold of it is not its own any more, and what it holds of others was lent to another. */
let life = 0;

export function dropCapabilities() {
  life++;
  epoch = "";
  exported.clear();
  idOf.clear();
  armUnused();
}

export function setSelf(ns, hex, name) {
  self = { ns, hex, name };
}

function armUnused() {
  if (unusedTimer) stopTimer(unusedTimer);
  unusedTimer = exported.size === 0 ? 0 : startTimer(UNUSED_MS_MAX, () => {
    unusedTimer = 0;
    exported.clear();
    idOf.clear();
  });
}

function exportValue(value) {
  if (self === undefined) return addressless.add(value);
  let id = idOf.get(value);
  if (id === undefined) {
    if (exported.size >= EXPORTS_MAX) throw new Error("Too many objects of this Durable Object are held by others over RPC.");
    if (epoch === "") epoch = host.uuid().slice(0, 8);
    id = ++lastId;
    exported.set(id, { value, count: 0 });
    idOf.set(value, id);
  }
  exported.get(id).count++;
  armUnused();
  return ["stub", self.ns, self.hex, self.name, id, epoch];
}

/* Objects of a heap that cannot be called (the entry's): they can be called back while the call that passes them is open. */
const passed = new Map();                  /* id → value */
const passedBy = new Map();                /* packed arguments → ids */
let adding = [];                           /* ids of the packing that is going on */

export const addressless = {
  refill: undefined,
  add(value) {
    if (passed.size >= EXPORTS_MAX) throw new Error("Too many objects are held by others over RPC.");
    passed.set(++lastId, value);
    adding.push(lastId);
    return ["back", lastId];
  },
  get(id) {
    if (!passed.has(id)) throw new Error(GONE_TEXT);
    return passed.get(id);
  },
  /* Whether PACKED, just made by transfer(), holds such objects; if so they are kept until letGoAll(). */
  note(packed) {
    if (adding.length === 0) return false;
    passedBy.set(packed, adding);
    adding = [];
    return true;
  },
  /* The same for what is passed later during the call that PACKED opened. */
  noteMore(packed) {
    passedBy.get(packed).push(...adding);
    adding = [];
  },
  letGoAll(packed) {
    for (const id of passedBy.get(packed) ?? []) passed.delete(id);
    passedBy.delete(packed);
  },
};

function letGo(id, entry) {
  if (--entry.count > 0) return;
  exported.delete(id);
  idOf.delete(entry.value);
  armUnused();
  entry.value[Symbol.dispose]?.();
}

/* "#12:…": a private name, "#secret", is none. */
export function isReference(method) {
  return method.charCodeAt(0) === 35 && /^#\d+:/.test(method);
}

/* An incoming call by reference; may return a promise. */
export function callReference(method, args) {
  const parsed = /^#(\d+):([0-9a-f]+)(?:([!+])|\.(.*))?$/s.exec(method);
  const id = Number(parsed?.[1]);
  const entry = parsed?.[2] === epoch ? exported.get(id) : undefined;
  if (entry === undefined) throw new Error(GONE_TEXT);
  if (parsed[3] === "!") return letGo(id, entry);
  if (parsed[3] === "+") {
    entry.count++;
    return undefined;
  }
  armUnused();
  return callValue(entry.value, parsed[4] ?? "", args);
}

export function callValue(value, path, args) {
  if (path !== "") return links.invoke(value, path, args);
  if (args === undefined) return value;
  if (typeof value !== "function") throw new TypeError("The RPC receiver is not a function.");
  return value(...args);
}

/* ---- the side that holds ------------------------------------------------------------------------------------------- */

/* One reference to an object of another heap, shared by a stub and its duplicates. */
class Handle {
  constructor(ns, hex, name, id, ownersEpoch) {
    this.ns = ns;
    this.hex = hex;
    this.name = name;
    this.path = `#${id}:${ownersEpoch}`;
    this.wire = ["stub", ns, hex, name, id, ownersEpoch];
    this.holders = 0;
    this.life = life;
  }

  send(suffix, args) {
    if (this.life !== life) return Promise.reject(new Error(GONE_TEXT));
    return openCall((call) => {
      const bytes = transfer(args);
      if (!(bytes instanceof Promise)) host.rpcAgent(call, this.ns, this.hex, this.name, this.path + suffix, bytes);
      else later(bytes, call, (ready) => host.rpcAgent(call, this.ns, this.hex, this.name, this.path + suffix, ready));
    }, received, undefined, undefined);
  }

  call(path, args) {
    return this.send(path === "" ? "" : `.${path}`, args);
  }

  release() {
    if (--this.holders === 0) this.send("!", []).catch(() => {});
  }
}

/* A stub of an object of this very heap: called as if it were elsewhere. */
class LocalHandle {
  constructor(value) {
    this.value = value;
    this.holders = 0;
  }

  async call(path, args) {
    const given = args === undefined ? undefined : received(await transfer(args, true));
    return received(await transfer(await callValue(this.value, path, given), true));
  }

  release() {
    if (--this.holders === 0) this.value[Symbol.dispose]?.();
  }
}

class Holder {
  constructor(handle) {
    this.handle = handle;
    this.isDisposed = false;
    handle.holders++;
  }

  dispose() {
    if (this.isDisposed) return;
    this.isDisposed = true;
    this.handle.release();
  }
}

const holderOf = new WeakMap();            /* stub → Holder */
const forgotten = typeof FinalizationRegistry === "function" ? new FinalizationRegistry((holder) => holder.dispose()) : undefined;

export function stubOf(handle) {
  const holder = new Holder(handle);
  const stub = (...args) => links.makePromise(sendOn(holder, "", args));
  delete stub.name;
  delete stub.length;
  Object.setPrototypeOf(stub, RpcStub.prototype);
  holderOf.set(stub, holder);
  forgotten?.register(stub, holder, stub);
  return stub;
}

function sendOn(holder, path, args) {
  return holder.isDisposed ? Promise.reject(new Error(DISPOSED_TEXT)) : holder.handle.call(path, args);
}

export class RpcStub {
  constructor(value) {
    if ((typeof value !== "object" || value === null) && typeof value !== "function") throw badConstructor("JsRpcStub", 1, "Object");
    return stubOf(new LocalHandle(value));
  }

  dup() {
    const holder = holderOf.get(this);
    if (holder.isDisposed) throw new Error(DISPOSED_TEXT);
    return stubOf(holder.handle);
  }

  [SEND](path, args) {
    return sendOn(holderOf.get(this), path, args);
  }

  [Symbol.dispose]() {
    const holder = holderOf.get(this);
    forgotten?.unregister(this);
    holder.dispose();
  }
}
named(RpcStub, "RpcStub", "JsRpcStub");

function passOn(stub, isLocal) {
  const holder = holderOf.get(stub);
  if (holder.isDisposed) throw new Error(DISPOSED_TEXT);
  const { handle } = holder;
  if (handle.wire === undefined && !(handle instanceof LocalHandle)) throw notSupported("Passing on a stub of the entry");
  if (handle.life !== undefined && handle.life !== life) throw new Error(GONE_TEXT);
  if (handle instanceof LocalHandle) return isLocal ? localHole(handle.value) : exportValue(handle.value);
  handle.send("+", []).catch(() => {});
  return handle.wire;
}

/* ---- packing ------------------------------------------------------------------------------------------------------- */

const locals = new Map();                  /* number → value on its way within this heap */
let lastLocal = 0;

function localHole(value) {
  locals.set(++lastLocal, value);
  return ["local", lastLocal];
}

/* Bytes of VALUE for another heap, or a promise of them when a stream must be read first. isLocal: for an entrypoint in this heap. */
export function transfer(value, isLocal) {
  if (adding.length !== 0) adding = [];
  try {
    return host.serialize(value, true);
  } catch (error) {
    const packing = { fillers: [], pending: [], seen: new Map(), isLocal: isLocal === true };
    const copy = substitute(value, packing, 0);
    if (packing.fillers.length === 0) throw error;
    const finish = () => host.serialize({ [MARK]: 1, v: copy, x: packing.fillers }, true);
    return packing.pending.length === 0 ? finish() : Promise.all(packing.pending).then(finish);
  }
}

/* Hands READY bytes on when they are there; a failure fails the call. */
export function later(bytes, call, hand) {
  bytes.then(hand).catch((error) => failCall(call, error));
}

let failCall;
export function setFailCall(fn) {
  failCall = fn;
}

function isPlain(value) {
  const proto = Object.getPrototypeOf(value);
  return proto === Object.prototype || proto === null;
}

/* A copy of VALUE in which everything that cannot be cloned is a hole. */
function substitute(value, packing, depth) {
  if (typeof value === "function" || (typeof value === "object" && value !== null)) {
    const filler = fillerOf(value, packing);
    if (filler !== undefined) {
      packing.fillers.push(filler);
      return { [HOLE]: packing.fillers.length - 1 };
    }
  }
  if (typeof value !== "object" || value === null || depth > DEPTH_MAX) return value;
  if (packing.seen.has(value)) return packing.seen.get(value);
  return substituteIn(value, packing, depth + 1);
}

function substituteIn(value, packing, depth) {
  const go = (part) => substitute(part, packing, depth);
  let copy = value;
  if (Array.isArray(value)) {
    packing.seen.set(value, copy = []);
    for (let i = 0; i < value.length; i++) if (i in value) copy[i] = go(value[i]);
  } else if (value instanceof Map) {
    packing.seen.set(value, copy = new Map());
    for (const [key, part] of value) copy.set(go(key), go(part));
  } else if (value instanceof Set) {
    packing.seen.set(value, copy = new Set());
    for (const part of value) copy.add(go(part));
  } else if (isPlain(value)) {
    packing.seen.set(value, copy = {});
    for (const key of Object.keys(value)) copy[key] = go(value[key]);
  }
  return copy;
}

/* What fills the hole for VALUE, or undefined when VALUE is left to structured clone. */
function fillerOf(value, packing) {
  if (holderOf.has(value)) return passOn(value, packing.isLocal);
  if (value instanceof Promise) throw new DOMException("#<Promise> could not be cloned.", "DataCloneError");
  if (typeof value === "function" || value instanceof RpcTarget) {
    if (typeof value === "function" && value[SEND] !== undefined) throw notSupported("Passing a service stub over RPC");
    return packing.isLocal ? localHole(value) : exportValue(value);
  }
  if (typeof value[SEND] === "function" && value[WIRE] === undefined)
    throw new DOMException("Stubs pointing to Durable Object facets are not serializable.", "DataCloneError");
  if (typeof value[WIRE] === "function") return value[WIRE]();
  if (value instanceof Headers) return ["headers", flatOf(value)];
  if (isRequest(value)) return withBody(["request", value.method, value.url, flatOfMessage(value)], value, packing);
  if (isResponse(value)) {
    if (value.webSocket !== null) throw new DOMException("A Response with a WebSocket cannot be passed over RPC.", "DataCloneError");
    return withBody(["response", value.status, value.statusText, flatOfMessage(value)], value, packing);
  }
  if (value instanceof ReadableStream) return streamFiller(value, packing);
  return undefined;
}

/* A stream: what pulls it, where that can be reached later; else its bytes. */
function streamFiller(stream, packing) {
  if (packing.isLocal) return ["pull", localHole(new StreamTarget(stream))];
  if (self !== undefined) return ["pull", exportValue(new StreamTarget(stream))];
  const filler = ["stream", undefined];
  packing.pending.push(drain(stream).then((bytes) => {
    filler[1] = bytes;
  }));
  return filler;
}

/* The end of a stream that stays here. read() gives [chunk], or undefined at the end. */
class StreamTarget extends RpcTarget {
  #reader;

  constructor(stream) {
    super();
    this.#reader = stream.getReader();
  }

  async read() {
    const { done, value } = await this.#reader.read();
    return done ? undefined : [value];
  }

  cancel(reason) {
    return this.#reader.cancel(reason);
  }

  [Symbol.dispose]() {
    this.#reader.cancel(undefined).catch(noop);
  }
}

function pulled(stub) {
  return new ReadableStream({
    async pull(controller) {
      const next = await stub.read();
      if (next === undefined) {
        controller.close();
        stub[Symbol.dispose]();
      } else {
        controller.enqueue(next[0]);
      }
    },
    async cancel(reason) {
      await stub.cancel(reason instanceof Error ? reason.message : undefined);
      stub[Symbol.dispose]();
    },
  }, { highWaterMark: 0 });
}

function withBody(filler, message, packing) {
  const mode = bodyMode(message);
  const body = mode === 0 ? undefined : takeBody(message);
  if (mode !== 2) {
    filler.push(body);
    return filler;
  }
  const stream = body instanceof ReadableStream ? body : streamFromSource(body);
  filler.push(undefined, streamFiller(stream, packing));
  return filler;
}

async function drain(body) {
  const source = sourceOf(body);
  const chunks = [];
  let total = 0;
  for (;;) {
    const chunk = await source.read();
    if (chunk === undefined) break;
    total += chunk.byteLength;
    if (total > DRAIN_BYTES_MAX) {
      source.cancel(undefined);
      throw new Error("Serialized RPC arguments or return values are limited to 32MiB.");
    }
    chunks.push(chunk);
  }
  const all = new Uint8Array(total);
  let at = 0;
  for (const chunk of chunks) {
    all.set(chunk, at);
    at += chunk.byteLength;
  }
  return all;
}

/* ---- unpacking ----------------------------------------------------------------------------------------------------- */

/* What transfer() packed: its own copy, with a disposer for the stubs within. */
export function received(bytes) {
  const value = host.deserialize(bytes);
  if (typeof value !== "object" || value === null) return value;
  return Object.hasOwn(value, MARK) ? refilled(value) : withDisposer(value, undefined);
}

/* The same for arguments: a list that nobody disposes of. */
export function receivedArguments(bytes) {
  const value = host.deserialize(bytes);
  return typeof value === "object" && value !== null && Object.hasOwn(value, MARK) ? refilled(value) : value;
}

function refilled(value) {
  const stubs = [];
  const parts = value.x.map((filler) => refill(filler, stubs));
  const whole = restore(value.v, parts, new Set());
  return typeof whole === "object" && whole !== null && isDisposable(whole) ? withDisposer(whole, stubs) : whole;
}

function isDisposable(value) {
  return Array.isArray(value) || value instanceof Map || value instanceof Set || isPlain(value);
}

function withDisposer(value, stubs) {
  const dispose = stubs === undefined || stubs.length === 0 ? noop : () => {
    for (const stub of stubs) stub[Symbol.dispose]();
  };
  if (!Object.hasOwn(value, Symbol.dispose)) Object.defineProperty(value, Symbol.dispose, { value: dispose, writable: true, configurable: true });
  return value;
}

function noop() {}

function refill([kind, ...parts], stubs) {
  switch (kind) {
    case "stub": {
      const stub = stubOf(new Handle(...parts));
      stubs.push(stub);
      return stub;
    }
    case "local": {
      const stub = stubOf(new LocalHandle(locals.get(parts[0])));
      locals.delete(parts[0]);
      stubs.push(stub);
      return stub;
    }
    case "back": return addressless.refill(parts[0]);
    case "agent": return links.agentStub(...parts);
    case "headers": return new Headers(headersFromFlat(parts[0]));
    case "request": {
      const [method, url, flat, body, stream] = parts;
      const init = stream === undefined ? undefined : { body: refill(stream, stubs) };
      return new Request(makeRequest(method, url, flat, body === undefined ? 0 : 1, body, "", undefined), init);
    }
    case "response": {
      const [status, statusText, flat, body, stream] = parts;
      return new Response(stream === undefined ? body ?? null : refill(stream, stubs), { status, statusText, headers: headersFromFlat(flat) });
    }
    case "stream": return streamFromBytes(parts[0]);
    case "pull": return pulled(refill(parts[0], stubs));
    default: throw new TypeError(`unknown part of an RPC value: ${kind}`);
  }
}

function restore(value, parts, seen) {
  if (typeof value !== "object" || value === null || seen.has(value)) return value;
  if (Object.hasOwn(value, HOLE)) return parts[value[HOLE]];
  seen.add(value);
  if (Array.isArray(value)) {
    for (let i = 0; i < value.length; i++) if (i in value) value[i] = restore(value[i], parts, seen);
  } else if (value instanceof Map) {
    const entries = [...value];
    value.clear();
    for (const [key, part] of entries) value.set(restore(key, parts, seen), restore(part, parts, seen));
  } else if (value instanceof Set) {
    const members = [...value];
    value.clear();
    for (const part of members) value.add(restore(part, parts, seen));
  } else if (isPlain(value)) {
    for (const key of Object.keys(value)) value[key] = restore(value[key], parts, seen);
  }
  return value;
}
