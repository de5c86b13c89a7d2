/*
 * stream_base: what the streams of node:stream share: destruction, chunks, limits.
 */
import { Buffer } from "./buffer.js";
import { badType, withCode } from "./errors.js";
import { EventEmitter } from "./events.js";
import { nextTick } from "./process.js";

export const BYTES_HIGH_WATER = 65536;
export const OBJECTS_HIGH_WATER = 16;

export const sizeOf = (state, chunk) => (state.objectMode ? 1 : chunk.length);
export const prematureClose = () => withCode(new Error("Premature close"), "ERR_STREAM_PREMATURE_CLOSE");

/* A chunk as the stream carries it: bytes become Buffers, strings too unless the stream carries objects. */
export function toChunk(state, chunk, encoding) {
  if (state.objectMode) return chunk;
  if (typeof chunk === "string") return Buffer.from(chunk, encoding);
  if (chunk instanceof Uint8Array) return Buffer.isBuffer(chunk) ? chunk : Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
  throw badType("chunk", "of type string or an instance of Buffer, TypedArray, or DataView", chunk);
}

/* Functions, not classes: old code calls them on its own objects (Readable.call(this)). */
export function Stream(options) {
  EventEmitter.call(this, options);
  this.destroyed = false;
  this.closed = false;
  this.errored = null;
  this.autoDestroy = options?.autoDestroy !== false;
  this.emitClose = options?.emitClose !== false;
  if (typeof options?.destroy === "function") this._destroy = options.destroy;
  if (options?.signal !== undefined) addAbortSignal(options.signal, this);
}

export function addAbortSignal(signal, stream) {
  const stop = () => stream.destroy(Object.assign(new Error("The operation was aborted", { cause: signal.reason }), { name: "AbortError", code: "ABORT_ERR" }));
  if (signal.aborted) stop();
  else signal.addEventListener("abort", stop, { once: true });
  return stream;
}

/* Makes KLASS extend PARENT, and both ways of making it work: with and without new. */
export function inherit(klass, parent) {
  Object.setPrototypeOf(klass, parent);
  klass.prototype = Object.create(parent.prototype, { constructor: { value: klass, writable: true, configurable: true } });
}

export function mixin(klass, methods) {
  for (const name of Reflect.ownKeys(methods))
    Object.defineProperty(klass.prototype, name, { value: methods[name], writable: true, enumerable: false, configurable: true });
}

export function getters(proto, table) {
  for (const name of Object.keys(table)) Object.defineProperty(proto, name, { get: table[name], configurable: true });
}

inherit(Stream, EventEmitter);
mixin(Stream, {
  _destroy(error, callback) {
    callback(error);
  },

  destroy(error) {
    if (this.destroyed) return this;
    this.destroyed = true;
    if (error) this.errored = error;
    this._destroy(error ?? null, (failure) => {
      nextTick(() => {
        const shown = failure ?? error;
        if (shown) {
          this.errored = shown;
          this.emit("error", shown);
        }
        this.closed = true;
        if (this.emitClose) this.emit("close");
      });
    });
    return this;
  },

  [Symbol.asyncDispose ?? Symbol("Symbol.asyncDispose")]() {
    this.destroy();
    return Promise.resolve();
  },
});
