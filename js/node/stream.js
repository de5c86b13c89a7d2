/*
 * node:stream: Readable, Writable, Duplex, Transform, PassThrough, pipeline, finished. Flow control follows highWaterMark; objects and
 * bytes; async iteration; conversion from and to web streams.
 */
import { badType, withCode } from "./errors.js";
import { nextTick } from "./process.js";
import { addAbortSignal, BYTES_HIGH_WATER, getters, inherit, mixin, OBJECTS_HIGH_WATER, prematureClose, Stream } from "./stream_base.js";
import { Readable, readable, readableGetters } from "./stream_readable.js";
import { Writable, writable, writableGetters } from "./stream_writable.js";

export function Duplex(options) {
  if (!Object.prototype.isPrototypeOf.call(Duplex.prototype, this)) return new Duplex(options);
  Stream.call(this, options);
  this.allowHalfOpen = options?.allowHalfOpen !== false;
  this._initReadable(options);
  this._initWritable(options);
}
inherit(Duplex, Stream);
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

export function Transform(options) {
  if (!Object.prototype.isPrototypeOf.call(Transform.prototype, this)) return new Transform(options);
  Duplex.call(this, options);
  this._pendingWrite = null; /* the callback of a write that waits until somebody reads */
  if (typeof options?.transform === "function") this._transform = options.transform;
  if (typeof options?.flush === "function") this._flush = options.flush;
}
inherit(Transform, Duplex);
mixin(Transform, {
  _transform() {
    throw withCode(new Error("The _transform() method is not implemented"), "ERR_METHOD_NOT_IMPLEMENTED");
  },

  _write(chunk, encoding, callback) {
    this._transform(chunk, encoding, (error, value) => {
      if (error) {
        callback(error);
        return;
      }
      if (value !== undefined && value !== null) this.push(value);
      const state = this._readableState;
      if (state.length < state.highWaterMark) callback();
      else this._pendingWrite = callback;
    });
  },

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
  },

  _read() {
    const callback = this._pendingWrite;
    this._pendingWrite = null;
    callback?.();
  },
});

export function PassThrough(options) {
  if (!Object.prototype.isPrototypeOf.call(PassThrough.prototype, this)) return new PassThrough(options);
  Transform.call(this, options);
}
inherit(PassThrough, Transform);
mixin(PassThrough, {
  _transform(chunk, _encoding, callback) {
    callback(null, chunk);
  },
});

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
export const compose = (...streams) => streams.reduce((before, next) => before.pipe(next));
export const destroy = (stream, error) => stream.destroy(error);

const all = {
  addAbortSignal, compose, destroy, Duplex, finished, getDefaultHighWaterMark, isDisturbed, isErrored, isReadable, PassThrough, pipeline,
  promises, Readable, setDefaultHighWaterMark, Stream, Transform, Writable,
};
Object.assign(Stream, all);
export { addAbortSignal, Readable, Stream, Writable };
export default Stream;
