/*
 * node:stream: Readable, Writable, Duplex, Transform, PassThrough, pipeline, finished. Flow control follows highWaterMark; objects and
 * bytes; async iteration; conversion from and to web streams.
 */
import { ReadableStream, WritableStream } from "../web/streams.js";
import { Buffer } from "./buffer.js";
import { badType, withCode } from "./errors.js";
import { EventEmitter } from "./events.js";
import { nextTick } from "./process.js";
import { StringDecoder } from "./string_decoder.js";

const BYTES_HIGH_WATER = 65536;
const OBJECTS_HIGH_WATER = 16;

const sizeOf = (state, chunk) => (state.objectMode ? 1 : chunk.length);
const prematureClose = () => withCode(new Error("Premature close"), "ERR_STREAM_PREMATURE_CLOSE");

/* A chunk as the stream carries it: bytes become Buffers, strings too unless the stream carries objects. */
function toChunk(state, chunk, encoding) {
  if (state.objectMode) return chunk;
  if (typeof chunk === "string") return Buffer.from(chunk, encoding);
  if (chunk instanceof Uint8Array) return Buffer.isBuffer(chunk) ? chunk : Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
  throw badType("chunk", "of type string or an instance of Buffer, TypedArray, or DataView", chunk);
}

export class Stream extends EventEmitter {
  constructor(options) {
    super(options);
    this.destroyed = false;
    this.closed = false;
    this.errored = null;
    this.autoDestroy = options?.autoDestroy !== false;
    this.emitClose = options?.emitClose !== false;
    if (typeof options?.destroy === "function") this._destroy = options.destroy;
    const signal = options?.signal;
    if (signal !== undefined) {
      const stop = () => this.destroy(Object.assign(new Error("The operation was aborted", { cause: signal.reason }), { name: "AbortError", code: "ABORT_ERR" }));
      if (signal.aborted) nextTick(stop);
      else signal.addEventListener("abort", stop, { once: true });
    }
  }

  _destroy(error, callback) {
    callback(error);
  }

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
  }

  [Symbol.asyncDispose]() {
    this.destroy();
    return Promise.resolve();
  }
}
/* Old code calls it on its own objects. */
Object.setPrototypeOf(Stream, EventEmitter);

/* ---- the readable side ----------------------------------------------------------------------------------------------- */

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

const readable = {
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

function getters(proto, table) {
  for (const name of Object.keys(table)) Object.defineProperty(proto, name, { get: table[name], configurable: true });
}

const readableGetters = {
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

function mixin(klass, methods) {
  for (const name of Reflect.ownKeys(methods))
    Object.defineProperty(klass.prototype, name, { value: methods[name], writable: true, enumerable: false, configurable: true });
}

export class Readable extends Stream {
  constructor(options) {
    super(options);
    this._initReadable(options);
  }

  static from(iterable, options) {
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
  }

  static fromWeb(stream, options) {
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
  }

  static toWeb(stream) {
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
  }
}
mixin(Readable, readable);
getters(Readable.prototype, readableGetters);

/* ---- the writable side ----------------------------------------------------------------------------------------------- */

class WriteState {
  constructor(options, objectMode) {
    this.objectMode = objectMode;
    this.highWaterMark = options?.writableHighWaterMark ?? options?.highWaterMark ?? (objectMode ? OBJECTS_HIGH_WATER : BYTES_HIGH_WATER);
    this.queue = [];
    this.length = 0;
    this.isWriting = false;
    this.isEnding = false;
    this.isFinished = false;
    this.needDrain = false;
    this.corked = 0;
    this.decodeStrings = options?.decodeStrings !== false;
    this.defaultEncoding = options?.defaultEncoding ?? "utf8";
  }
}

const writable = {
  _initWritable(options) {
    this._writableState = new WriteState(options, !!(options?.objectMode || options?.writableObjectMode));
    this.writable = true;
    for (const name of ["write", "writev", "final"]) if (typeof options?.[name] === "function") this[`_${name}`] = options[name];
  },

  write(chunk, encoding, callback) {
    const state = this._writableState;
    if (typeof encoding === "function") [encoding, callback] = [undefined, encoding];
    if (chunk === null) throw withCode(new TypeError("May not write null values to stream"), "ERR_STREAM_NULL_VALUES");
    const name = encoding ?? state.defaultEncoding;
    const item = state.decodeStrings || typeof chunk !== "string" ? toChunk(state, chunk, name) : chunk;
    if (state.isEnding || this.destroyed) {
      const error = state.isEnding ? withCode(new Error("write after end"), "ERR_STREAM_WRITE_AFTER_END")
        : withCode(new Error("Cannot call write after a stream was destroyed"), "ERR_STREAM_DESTROYED");
      nextTick(() => callback?.(error));
      if (state.isEnding) this.destroy(error);
      return false;
    }
    state.queue.push({ chunk: item, encoding: typeof item === "string" ? name : "buffer", callback });
    state.length += sizeOf(state, item);
    const hasRoom = state.length < state.highWaterMark;
    if (!hasRoom) state.needDrain = true;
    this._writeNext();
    return hasRoom;
  },

  _writeNext() {
    const state = this._writableState;
    if (state.isWriting || state.corked > 0 || this.destroyed) return;
    const next = state.queue.shift();
    if (next === undefined) {
      this._finishWriting();
      return;
    }
    state.isWriting = true;
    const done = (error) => {
      state.isWriting = false;
      state.length -= sizeOf(state, next.chunk);
      if (error) {
        next.callback?.(error);
        this.destroy(error);
        return;
      }
      nextTick(() => {
        next.callback?.(null);
        if (state.needDrain && state.length < state.highWaterMark && !state.isEnding) {
          state.needDrain = false;
          this.emit("drain");
        }
        this._writeNext();
      });
    };
    try {
      this._callWrite(next, done);
    } catch (error) {
      done(error);
    }
  },

  _callWrite(next, done) {
    if (typeof this._write === "function") this._write(next.chunk, next.encoding, done);
    else if (typeof this._writev === "function") this._writev([{ chunk: next.chunk, encoding: next.encoding }], done);
    else done(withCode(new Error("The _write() method is not implemented"), "ERR_METHOD_NOT_IMPLEMENTED"));
  },

  _finishWriting() {
    const state = this._writableState;
    if (!state.isEnding || state.isFinished || state.isFinishing) return;
    state.isFinishing = true;
    const done = (error) => {
      if (error) {
        this.destroy(error);
        return;
      }
      nextTick(() => {
        state.isFinished = true;
        this.writable = false;
        this.emit("finish");
        if (this.autoDestroy && (this._readableState === undefined || this._readableState.endEmitted)) this.destroy();
      });
    };
    if (typeof this._final === "function") {
      try {
        this._final(done);
      } catch (error) {
        done(error);
      }
    } else {
      done();
    }
  },

  end(chunk, encoding, callback) {
    if (typeof chunk === "function") [chunk, callback] = [undefined, chunk];
    else if (typeof encoding === "function") [encoding, callback] = [undefined, encoding];
    const state = this._writableState;
    if (chunk !== undefined && chunk !== null) this.write(chunk, encoding);
    state.corked = 0;
    if (typeof callback === "function") {
      if (state.isFinished) nextTick(callback);
      else this.once("finish", callback);
    }
    if (!state.isEnding) {
      state.isEnding = true;
      nextTick(() => this._writeNext());
    }
    return this;
  },

  cork() {
    this._writableState.corked++;
  },
  uncork() {
    const state = this._writableState;
    if (state.corked > 0 && --state.corked === 0) this._writeNext();
  },
  setDefaultEncoding(encoding) {
    this._writableState.defaultEncoding = encoding;
    return this;
  },
};

const writableGetters = {
  writableEnded() {
    return this._writableState.isEnding;
  },
  writableFinished() {
    return this._writableState.isFinished;
  },
  writableLength() {
    return this._writableState.length;
  },
  writableHighWaterMark() {
    return this._writableState.highWaterMark;
  },
  writableObjectMode() {
    return this._writableState.objectMode;
  },
  writableNeedDrain() {
    return this._writableState.needDrain;
  },
  writableCorked() {
    return this._writableState.corked;
  },
};

export class Writable extends Stream {
  constructor(options) {
    super(options);
    this._initWritable(options);
  }

  static fromWeb(stream, options) {
    const writer = stream.getWriter();
    return new Writable({
      ...options,
      write(chunk, _encoding, callback) {
        writer.write(chunk).then(() => callback(), callback);
      },
      final(callback) {
        writer.close().then(() => callback(), callback);
      },
      destroy(error, callback) {
        if (error) writer.abort(error).then(() => callback(error), () => callback(error));
        else callback(null);
      },
    });
  }

  static toWeb(stream) {
    return new WritableStream({
      write: (chunk) => new Promise((resolve, reject) => {
        stream.write(chunk, (error) => (error ? reject(error) : resolve()));
      }),
      close: () => new Promise((resolve, reject) => {
        stream.once("error", reject);
        stream.end(resolve);
      }),
      abort(reason) {
        stream.destroy(reason);
      },
    });
  }
}
mixin(Writable, writable);
getters(Writable.prototype, writableGetters);

/* ---- both ------------------------------------------------------------------------------------------------------------ */

export class Duplex extends Stream {
  constructor(options) {
    super(options);
    this.allowHalfOpen = options?.allowHalfOpen !== false;
    this._initReadable(options);
    this._initWritable(options);
  }
}
mixin(Duplex, readable);
mixin(Duplex, writable);
getters(Duplex.prototype, { ...readableGetters, ...writableGetters });
for (const [klass, kind] of [[Readable, "_readableState"], [Writable, "_writableState"]])
  Object.defineProperty(klass, Symbol.hasInstance, {
    value(object) {
      if (this !== klass) return Function.prototype[Symbol.hasInstance].call(this, object);
      return object !== null && typeof object === "object" && object[kind] !== undefined;
    },
  });

export class Transform extends Duplex {
  #pending = null;

  constructor(options) {
    super(options);
    if (typeof options?.transform === "function") this._transform = options.transform;
    if (typeof options?.flush === "function") this._flush = options.flush;
  }

  _transform() {
    throw withCode(new Error("The _transform() method is not implemented"), "ERR_METHOD_NOT_IMPLEMENTED");
  }

  _write(chunk, encoding, callback) {
    this._transform(chunk, encoding, (error, value) => {
      if (error) {
        callback(error);
        return;
      }
      if (value !== undefined && value !== null) this.push(value);
      const state = this._readableState;
      if (state.length < state.highWaterMark) callback();
      else this.#pending = callback;
    });
  }

  _final(callback) {
    const finish = (error, value) => {
      if (!error) {
        if (value !== undefined && value !== null) this.push(value);
        this.push(null);
      }
      callback(error);
    };
    if (typeof this._flush === "function") this._flush(finish);
    else finish();
  }

  _read() {
    const callback = this.#pending;
    this.#pending = null;
    callback?.();
  }
}

export class PassThrough extends Transform {
  _transform(chunk, _encoding, callback) {
    callback(null, chunk);
  }
}

/* Calls back once when STREAM is done with all its sides, or has failed. */
export function finished(stream, options, callback) {
  if (typeof options === "function") [options, callback] = [undefined, options];
  const wantsRead = options?.readable !== false && stream._readableState !== undefined;
  const wantsWrite = options?.writable !== false && stream._writableState !== undefined;
  let isDone = false;
  const stop = () => {
    for (const [name, listener] of Object.entries(listeners)) stream.removeListener(name, listener);
  };
  const settle = (error) => {
    if (isDone) return;
    isDone = true;
    stop();
    callback(error);
  };
  const isOver = () => (!wantsRead || stream.readableEnded) && (!wantsWrite || stream.writableFinished);
  const check = () => {
    if (isOver()) settle();
  };
  const listeners = { end: check, finish: check, error: settle, close: () => settle(isOver() ? undefined : stream.errored ?? prematureClose()) };
  for (const [name, listener] of Object.entries(listeners)) stream.on(name, listener);
  if (stream.closed || isOver()) nextTick(listeners.close);
  return stop;
}

/* A step of a pipeline as a stream: a function is called with what comes before it. */
function asStream(step, before) {
  if (typeof step !== "function") return step._readableState || step._writableState ? step : Readable.from(step);
  const result = before === undefined ? step() : step(before);
  if (typeof result?.then === "function") return { promise: result };
  return Readable.from(result);
}

export function pipeline(...steps) {
  const callback = typeof steps[steps.length - 1] === "function" && steps.length > 1 && steps[steps.length - 1].length <= 2 &&
    steps[steps.length - 1].constructor.name === "Function" ? steps.pop() : undefined;
  const promise = runPipeline(steps);
  if (callback === undefined) throw badType("streams[stream.length - 1]", "of type function", steps[steps.length - 1]);
  promise.then((value) => callback(undefined, value), (error) => callback(error));
  return steps[steps.length - 1];
}

function runPipeline(steps) {
  const list = steps.length === 1 && Array.isArray(steps[0]) ? steps[0] : steps;
  const streams = [];
  let outcome;
  for (const step of list) {
    const before = streams[streams.length - 1];
    const stream = asStream(step, before);
    if (stream.promise !== undefined) {
      outcome = stream.promise;
      break;
    }
    if (before !== undefined && typeof step !== "function") before.pipe(stream);
    streams.push(stream);
  }
  const each = streams.map((stream) => new Promise((resolve, reject) => {
    finished(stream, (error) => (error ? reject(error) : resolve()));
  }));
  if (outcome !== undefined) each.push(outcome);
  return Promise.all(each).then((values) => values[values.length - 1], (error) => {
    for (const stream of streams) stream.destroy(error);
    for (const stream of streams) stream.on("error", () => {});
    throw error;
  });
}

export const promises = {
  pipeline(...steps) {
    const last = steps[steps.length - 1];
    const hasOptions = last !== null && typeof last === "object" && last._readableState === undefined && last._writableState === undefined &&
      typeof last[Symbol.iterator] !== "function" && typeof last[Symbol.asyncIterator] !== "function";
    return runPipeline(hasOptions ? steps.slice(0, -1) : steps);
  },
  finished: (stream, options) => new Promise((resolve, reject) => {
    finished(stream, options, (error) => (error ? reject(error) : resolve()));
  }),
};

export const isReadable = (stream) => stream?._readableState !== undefined && !stream.destroyed && !stream.readableEnded;
export const isErrored = (stream) => stream?.errored != null;
export const isDisturbed = (stream) => stream?._readableState?.didRead === true || stream?._readableState?.flowing === true;
export const getDefaultHighWaterMark = (objectMode) => (objectMode ? OBJECTS_HIGH_WATER : BYTES_HIGH_WATER);
export const setDefaultHighWaterMark = () => {};
export function addAbortSignal(signal, stream) {
  const stop = () => stream.destroy(Object.assign(new Error("The operation was aborted", { cause: signal.reason }), { name: "AbortError", code: "ABORT_ERR" }));
  if (signal.aborted) stop();
  else signal.addEventListener("abort", stop, { once: true });
  return stream;
}
export const compose = (...streams) => streams.reduce((before, next) => before.pipe(next));
export const destroy = (stream, error) => stream.destroy(error);

const all = {
  addAbortSignal, compose, destroy, Duplex, finished, getDefaultHighWaterMark, isDisturbed, isErrored, isReadable, PassThrough, pipeline,
  promises, Readable, setDefaultHighWaterMark, Stream, Transform, Writable,
};
Object.assign(Stream, all);
export default Stream;
