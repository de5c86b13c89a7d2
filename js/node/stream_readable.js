/*
 * stream_readable: the readable side of node:stream.
 */
import { ReadableStream } from "../web/streams.js";
import { Buffer } from "./buffer.js";
import { withCode } from "./errors.js";
import { EventEmitter } from "./events.js";
import { nextTick } from "./process.js";
import { BYTES_HIGH_WATER, getters, inherit, mixin, OBJECTS_HIGH_WATER, prematureClose, sizeOf, Stream, toChunk } from "./stream_base.js";
import { StringDecoder } from "./string_decoder.js";

class ReadState {
  constructor(options, objectMode) {
    this.objectMode = objectMode;
    this.highWaterMark = options?.readableHighWaterMark ?? options?.highWaterMark ?? (objectMode ? OBJECTS_HIGH_WATER : BYTES_HIGH_WATER);
    this.buffer = [];
    this.length = 0;
    this.flowing = null;
    this.isReading = false;
    this.isEnded = false;      /* push(null) was called */
    this.endEmitted = false;
    this.decoder = undefined;
    this.isScheduled = false;
    this.pipes = [];
    this.didRead = false;
  }
}

export const readable = {
  _initReadable(options) {
    this._readableState = new ReadState(options, !!(options?.objectMode || options?.readableObjectMode));
    this.readable = true;
    if (typeof options?.read === "function") this._read = options.read;
    if (options?.encoding) this.setEncoding(options.encoding);
  },

  _read() {
    throw withCode(new Error("The _read() method is not implemented"), "ERR_METHOD_NOT_IMPLEMENTED");
  },

  setEncoding(encoding) {
    this._readableState.decoder = new StringDecoder(encoding);
    return this;
  },

  push(chunk, encoding) {
    return this._addChunk(chunk, encoding, false);
  },
  unshift(chunk, encoding) {
    return this._addChunk(chunk, encoding, true);
  },

  _addChunk(chunk, encoding, isFront) {
    const state = this._readableState;
    state.isReading = false;
    if (chunk === null) {
      const rest = state.decoder?.end() ?? "";
      if (rest !== "") {
        state.buffer.push(rest);
        state.length += rest.length;
      }
      state.isEnded = true;
      this._schedule();
      return false;
    }
    if (state.isEnded && !isFront) {
      this.destroy(withCode(new Error("stream.push() after EOF"), "ERR_STREAM_PUSH_AFTER_EOF"));
      return false;
    }
    let item = toChunk(state, chunk, encoding);
    if (state.decoder !== undefined && !state.objectMode) item = state.decoder.write(item);
    if (!state.objectMode && item.length === 0) {
      this._schedule();
      return state.length < state.highWaterMark;
    }
    if (isFront) state.buffer.unshift(item);
    else state.buffer.push(item);
    state.length += sizeOf(state, item);
    this._schedule();
    return state.length < state.highWaterMark;
  },

  /* Delivers in a later job: data when flowing, "readable" otherwise, "end" at the end. */
  _schedule() {
    const state = this._readableState;
    if (state.isScheduled || this.destroyed) return;
    state.isScheduled = true;
    nextTick(() => {
      state.isScheduled = false;
      this._deliver();
    });
  },

  _deliver() {
    const state = this._readableState;
    while (state.flowing === true && state.buffer.length > 0 && !this.destroyed) this.emit("data", this._shift());
    if (this.destroyed) return;
    if (state.flowing !== true && (state.buffer.length > 0 || (state.isEnded && !state.endEmitted)) && this.listenerCount("readable") > 0)
      this.emit("readable");
    if (state.buffer.length === 0 && state.isEnded && (state.flowing === true || state.length === 0)) this._finishReading();
    else this._pull();
  },

  _finishReading() {
    const state = this._readableState;
    if (state.endEmitted || this.destroyed || (state.flowing === null && this.listenerCount("readable") === 0 && !state.didRead)) return;
    state.endEmitted = true;
    this.readable = false;
    this.emit("end");
    if (this.autoDestroy && (this._writableState === undefined || this._writableState.isFinished)) this.destroy();
    else if (this.allowHalfOpen === false) this.end?.();
  },

  _pull() {
    const state = this._readableState;
    if (state.isReading || state.isEnded || this.destroyed || state.length >= state.highWaterMark) return;
    if (state.flowing === false && this.listenerCount("readable") === 0) return;
    if (state.flowing === null && this.listenerCount("readable") === 0 && !state.didRead) return;
    state.isReading = true;
    try {
      this._read(state.highWaterMark);
    } catch (error) {
      this.destroy(error);
    }
  },

  _shift() {
    const state = this._readableState;
    const chunk = state.buffer.shift();
    state.length -= sizeOf(state, chunk);
    return chunk;
  },

  read(size) {
    const state = this._readableState;
    state.didRead = true;
    if (state.buffer.length === 0) {
      if (size !== 0) this._schedule();
      else this._pull();
      return null;
    }
    if (state.objectMode) {
      const item = this._shift();
      this._schedule();
      return item;
    }
    if (size === 0) return null;
    if (size !== undefined && size > state.length && !state.isEnded) {
      this._schedule();
      return null;
    }
    const isText = typeof state.buffer[0] === "string";
    const all = isText ? state.buffer.join("") : state.buffer.length === 1 ? state.buffer[0] : Buffer.concat(state.buffer);
    const take = size === undefined || size > all.length ? all.length : size;
    state.buffer = take < all.length ? [all.slice(take)] : [];
    state.length = all.length - take;
    this._schedule();
    return all.slice(0, take);
  },

  /* The next chunk as it was pushed. */
  _readOne() {
    const state = this._readableState;
    if (state.buffer.length === 0) return this.read();
    state.didRead = true;
    const chunk = this._shift();
    this._schedule();
    return chunk;
  },

  on(type, listener) {
    EventEmitter.prototype.on.call(this, type, listener);
    const state = this._readableState;
    if (type === "data" && state.flowing !== false) this.resume();
    else if (type === "readable") this._schedule();
    return this;
  },

  resume() {
    this._readableState.flowing = true;
    this._schedule();
    return this;
  },
  pause() {
    this._readableState.flowing = false;
    return this;
  },
  isPaused() {
    return this._readableState.flowing === false;
  },

  pipe(target, options) {
    const onData = (chunk) => {
      if (target.write(chunk) === false) {
        this.pause();
        target.once("drain", () => this.resume());
      }
    };
    const onEnd = () => target.end();
    this._readableState.pipes.push({ target, onData, onEnd });
    this.on("data", onData);
    if (options?.end !== false) this.once("end", onEnd);
    target.emit("pipe", this);
    return target;
  },
  unpipe(target) {
    const state = this._readableState;
    for (const pipe of state.pipes.filter((one) => target === undefined || one.target === target)) {
      this.removeListener("data", pipe.onData);
      this.removeListener("end", pipe.onEnd);
      pipe.target.emit("unpipe", this);
    }
    state.pipes = target === undefined ? [] : state.pipes.filter((one) => one.target !== target);
    if (state.pipes.length === 0) state.flowing = false;
    return this;
  },

  async *[Symbol.asyncIterator]() {
    let wake = () => {};
    let failure;
    let isOver = false;
    const onReadable = () => wake();
    const onEnd = () => {
      isOver = true;
      wake();
    };
    const onError = (error) => {
      failure = { error };
      wake();
    };
    this.on("readable", onReadable).once("end", onEnd).once("error", onError).once("close", onEnd);
    try {
      for (;;) {
        const chunk = this.destroyed ? null : this._readOne();
        if (chunk !== null) {
          yield chunk;
          continue;
        }
        if (failure !== undefined) throw failure.error;
        if (isOver) {
          if (!this._readableState.endEmitted) throw prematureClose();
          return;
        }
        await new Promise((resolve) => {
          wake = resolve;
        });
      }
    } finally {
      this.removeListener("readable", onReadable);
      this.removeListener("end", onEnd);
      this.removeListener("error", onError);
      this.removeListener("close", onEnd);
      if (!this.destroyed) this.destroy();
    }
  },
};

export const readableGetters = {
  readableEnded() {
    return this._readableState.endEmitted;
  },
  readableFlowing() {
    return this._readableState.flowing;
  },
  readableLength() {
    return this._readableState.length;
  },
  readableHighWaterMark() {
    return this._readableState.highWaterMark;
  },
  readableObjectMode() {
    return this._readableState.objectMode;
  },
};

export function Readable(options) {
  if (!Object.prototype.isPrototypeOf.call(Readable.prototype, this)) return new Readable(options);
  Stream.call(this, options);
  this._initReadable(options);
}
inherit(Readable, Stream);

Readable.from = function (iterable, options) {
  const isText = typeof iterable === "string" || iterable instanceof Uint8Array;
  const source = isText ? [iterable][Symbol.iterator]() : (iterable[Symbol.asyncIterator] ?? iterable[Symbol.iterator]).call(iterable);
  return new Readable({
    objectMode: true, highWaterMark: 1, ...options,
    async read() {
      try {
        const { value, done } = await source.next();
        this.push(done ? null : await value);
      } catch (error) {
        this.destroy(error);
      }
    },
    destroy(error, callback) {
      Promise.resolve(source.return?.()).then(() => callback(error), callback);
    },
  });
};

Readable.fromWeb = function (stream, options) {
  const reader = stream.getReader();
  return new Readable({
    ...options,
    async read() {
      try {
        const { value, done } = await reader.read();
        this.push(done ? null : value);
      } catch (error) {
        this.destroy(error);
      }
    },
    destroy(error, callback) {
      reader.cancel(error).then(() => callback(error), () => callback(error));
    },
  });
};

Readable.toWeb = function (stream) {
  const iterator = stream[Symbol.asyncIterator]();
  return new ReadableStream({
    async pull(controller) {
      const { value, done } = await iterator.next();
      if (done) controller.close();
      else controller.enqueue(value);
    },
    cancel(reason) {
      stream.destroy(reason);
    },
  });
};
mixin(Readable, readable);
getters(Readable.prototype, readableGetters);
