/*
 * calls: requests with a reply, both ways, and the bodies that travel with them.
 *
 * Promise: every outgoing call settles its promise once; a body in flight is read and written under the host's credit; when either
 * side loses interest the other is told. Bodies are BodySource objects until somebody asks for a stream (web-contract.md).
 */
import { host, needAwake, phase } from "./host.js";
import { reviveError } from "./errors.js";

export const BODY_NONE = 0, BODY_WHOLE = 1, BODY_STREAM = 2;
/* Whose body: of a call we received, of a call we opened (host interface, `side`). */
export const RECEIVED = 0, OPENED = 1;

const BROKEN_TEXT = "Network connection lost.";

let lastCall = 0;

/* A body that still arrives. One reader; read() gives a Uint8Array, or undefined at the end. */
export class BodySource {
  constructor(call, side, first) {
    this.call = call;
    this.side = side;
    this.chunks = [];
    this.head = 0;                     /* index of the next chunk: shift() would move all of them */
    this.ended = false;
    this.error = undefined;
    this.waiting = undefined;          /* {resolve, reject} of a read() that found nothing */
    this.inline = 0;                   /* 1 while the first chunk is unread: it came with the call, beyond the credit */
    if (first !== undefined && first !== null && first !== "") {
      const bytes = toBytes(first);
      if (bytes.byteLength) {
        this.chunks.push(bytes);
        this.inline = 1;
      }
    }
    sources[side].set(call, this);
  }

  /* The next chunk when one is here; undefined when one must wait (or at the end: see `ended`). */
  take() {
    if (this.head >= this.chunks.length) return undefined;
    const chunk = this.chunks[this.head];
    this.chunks[this.head++] = undefined;
    if (this.head === this.chunks.length) {
      this.chunks.length = 0;
      this.head = 0;
    }
    if (this.inline) this.inline = 0;
    else if (!this.ended) host.bodyRead(this.call, this.side, chunk.byteLength);
    return chunk;
  }

  read() {
    const chunk = this.take();
    if (chunk !== undefined) return Promise.resolve(chunk);
    if (this.error !== undefined) return Promise.reject(this.error);
    if (this.ended) return Promise.resolve(undefined);
    return new Promise((resolve, reject) => {
      this.waiting = { resolve, reject };
    });
  }

  cancel() {
    if (this.ended) return;
    this.ended = true;
    this.chunks.length = 0;
    this.head = 0;
    sources[this.side].delete(this.call);
    host.bodyCancel(this.call, this.side);
    const { waiting } = this;
    this.waiting = undefined;
    waiting?.resolve(undefined);
  }

  arrived(bytes) {
    if (this.ended) return;
    this.chunks.push(new Uint8Array(bytes));
    const { waiting } = this;
    if (waiting === undefined) return;
    this.waiting = undefined;
    waiting.resolve(this.take());
  }

  finish(error) {
    if (this.ended) return;
    this.ended = true;
    this.error = error;
    sources[this.side].delete(this.call);
    const { waiting } = this;
    if (waiting === undefined) return;
    this.waiting = undefined;
    if (error !== undefined) waiting.reject(error);
    else waiting.resolve(undefined);
  }
}

const sources = [new Map(), new Map()];
const sinks = [new Map(), new Map()];

function toBytes(data) {
  if (typeof data === "string") return host.utf8(data);
  if (data instanceof Uint8Array) return data;
  if (ArrayBuffer.isView(data)) return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  return new Uint8Array(data);
}

/* What of a streaming body can go with the call itself. */
export function firstOf(mode, body) {
  return mode !== BODY_STREAM ? body : typeof body.take === "function" ? body.take() : undefined;
}

/* A stream whose chunks an app made, read like a BodySource. */
class StreamReader {
  constructor(stream) {
    this.reader = stream.getReader();
    this.ended = false;
  }

  take() {
    return undefined;
  }

  async read() {
    const { done, value } = await this.reader.read();
    if (done) {
      this.ended = true;
      return undefined;
    }
    if (typeof value === "string") return value;
    if (value instanceof ArrayBuffer || ArrayBuffer.isView(value)) return toBytes(value);
    throw new TypeError("This ReadableStream did not return bytes.");
  }

  cancel(reason) {
    this.ended = true;
    this.reader.cancel(reason).catch(() => {});
  }
}

/* Sends a body chunk by chunk, never beyond the credit. */
class BodySink {
  constructor(call, side, body) {
    this.call = call;
    this.side = side;
    this.source = typeof body.take === "function" ? body : new StreamReader(body);
    this.cancelled = false;
    this.wake = undefined;             /* resolves the wait for credit */
    sinks[side].set(call, this);
    host.waitUntil(1);
    this.run().then(undefined, (error) => this.fail(error)).then(() => {
      sinks[side].delete(call);
      if (side === RECEIVED) forget(call);
      host.waitUntil(-1);
    });
  }

  async run() {
    const { call, side, source } = this;
    while (!this.cancelled) {
      const chunk = source.take() ?? await source.read();
      if (this.cancelled) return;
      if (chunk === undefined) {
        host.bodyEnd(call, side, undefined);
        return;
      }
      if (host.bodySend(call, side, chunk) <= 0) {
        await new Promise((resolve) => {
          this.wake = resolve;
        });
      }
    }
  }

  fail(error) {
    if (this.cancelled) return;
    host.bodyEnd(this.call, this.side, String(error?.message ?? error) || BROKEN_TEXT);
  }

  drain() {
    const { wake } = this;
    this.wake = undefined;
    wake?.();
  }

  cancel(reason) {
    if (this.cancelled) return;
    this.cancelled = true;
    this.source.cancel(reason);
    this.drain();
  }
}

/* Starts sending BODY (a BodySource or ReadableStream) as the rest of a call's body. */
export function sendBody(call, side, body) {
  new BodySink(call, side, body);
}

/* ---- outgoing calls ---------------------------------------------------------------------------------------------- */

const open = new Map();                    /* call → OutCall */

class OutCall {
  constructor(resolve, reject, make, agentId, request, stub, body) {
    this.resolve = resolve;
    this.reject = reject;
    this.make = make;                  /* makes what the promise gives of the reply's fields; the OutCall is its last argument */
    this.agentId = agentId;
    this.request = request;            /* these three for make(), when the reply is a redirect */
    this.stub = stub;
    this.body = body;
  }
}

/* One function for all promises: a closure for each would cost as much as the promise. */
let newResolve;
let newReject;
function capture(resolve, reject) {
  newResolve = resolve;
  newReject = reject;
}

/* Registers an outgoing call and gives its promise; lastOpened() is its number, which the caller hands to the host at once. */
export function beginCall(make, agentId, request, stub, body) {
  if (!phase.awake) needAwake();
  const promise = new Promise(capture);
  open.set(++lastCall, new OutCall(newResolve, newReject, make, agentId, request, stub, body));
  return promise;
}

export function lastOpened() {
  return lastCall;
}

/* The same for rarer calls: START(call) hands it to the host. */
export function openCall(start, make, agentId, signal) {
  needAwake();
  if (signal?.aborted) return Promise.reject(signal.reason);
  const promise = beginCall(make, agentId, undefined, undefined, undefined);
  const call = lastCall;
  try {
    start(call);
  } catch (error) {
    failOpen(call, error);
    return promise;
  }
  if (signal) watch(signal, call);
  return promise;
}

export function watch(signal, call) {
  signal.addEventListener("abort", () => {
    const out = open.get(call);
    if (out === undefined) {
      const source = sources[OPENED].get(call);
      if (source === undefined) return;
      host.cancel(call);
      source.finish(signal.reason);
      return;
    }
    open.delete(call);
    host.cancel(call);
    sinks[OPENED].get(call)?.cancel(signal.reason);
    out.reject(signal.reason);
  });
}

/* An outgoing call that could not be handed to the host after all. */
export function failOpen(call, error) {
  const out = open.get(call);
  open.delete(call);
  out?.reject(error);
}

export function onReply(call, status, statusText, headers, bodyMode, body, socket) {
  const out = open.get(call);
  if (out === undefined) return;
  open.delete(call);
  const given = bodyMode === BODY_STREAM ? new BodySource(call, OPENED, body) : body;
  try {
    out.resolve(out.make(status, statusText, headers, bodyMode, given, socket, out));
  } catch (error) {
    out.reject(error);
  }
}

export function onReplyRpc(call, bytes) {
  const out = open.get(call);
  if (out === undefined) return;
  open.delete(call);
  try {
    out.resolve(out.make(bytes));
  } catch (error) {
    out.reject(error);
  }
}

export function onFail(call, message, detail, flags) {
  const out = open.get(call);
  sinks[OPENED].get(call)?.cancel(undefined);
  if (out === undefined) {
    sources[OPENED].get(call)?.finish(new Error(message || BROKEN_TEXT));
    return;
  }
  open.delete(call);
  out.reject(reviveError(message, detail, flags, out.agentId));
}

/* ---- events of bodies -------------------------------------------------------------------------------------------- */

export function onBody(call, side, bytes) {
  sources[side].get(call)?.arrived(bytes);
}

export function onBodyEnd(call, side, message) {
  sources[side].get(call)?.finish(message === undefined || message === "" ? undefined : new Error(message));
}

export function onDrain(call, side) {
  sinks[side].get(call)?.drain();
}

export function onBodyCancelled(call, side) {
  sinks[side].get(call)?.cancel(undefined);
}

/* This heap goes on elsewhere or later: none of its calls does. */
export function dropCalls(error) {
  for (const [call, out] of [...open]) {
    open.delete(call);
    out.reject(error);
  }
  for (const side of [RECEIVED, OPENED]) {
    for (const source of [...sources[side].values()]) source.finish(error);
    for (const sink of [...sinks[side].values()]) sink.cancel(error);
  }
  for (const controller of signals.values()) controller.abort(callerGone());
  signals.clear();
  cancelled.clear();
}

/* ---- incoming calls ---------------------------------------------------------------------------------------------- */

const signals = new Map();                 /* call → AbortController of a request whose signal was touched */
const cancelled = new Set();               /* calls whose caller left before their signal was touched */

/* The signal of an incoming request, made only when an app asks for it. */
export function signalFor(call) {
  const controller = new AbortController();
  if (cancelled.has(call)) controller.abort(callerGone());
  else signals.set(call, controller);
  return controller.signal;
}

function callerGone() {
  return new DOMException("The client has disconnected", "AbortError");
}

/* The reply was handed over, its body included: what hung on the call goes. */
export function forget(call) {
  signals.delete(call);
  cancelled.delete(call);
}

/* Breaks off the body that CALL is being answered with. False: it was not answered, or without a stream. */
export function breakReply(call, error) {
  const sink = sinks[RECEIVED].get(call);
  sink?.fail(error);
  sink?.cancel(error);
  return sink !== undefined;
}

export function onCancelled(call) {
  const sink = sinks[RECEIVED].get(call);
  sink?.cancel(undefined);
  sources[RECEIVED].get(call)?.finish(new Error(BROKEN_TEXT));
  const controller = signals.get(call);
  if (controller === undefined) {
    if (sink === undefined) cancelled.add(call);
    return;
  }
  signals.delete(call);
  controller.abort(callerGone());
}
