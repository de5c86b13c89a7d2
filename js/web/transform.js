/*
 * transform: TransformStream, with a short way for pipeThrough().
 *
 * The library's pipe between two streams costs about 90 µs per chunk in this engine (some 25 promises), and what answers of models pass
 * through is chains of eight such pipes. So a TransformStream is not built before somebody touches its `readable` or `writable`:
 * `source.pipeThrough(new TransformStream(…))` joins the transformers of a chain into one Chain that reads the source and calls them one
 * after the other. Touched ones, and pipes with options, are the library's.
 *
 * What differs from the standard on the short way: nothing is read from the source before somebody reads the result (the standard reads
 * one chunk ahead), and `desiredSize` of a transformer in the middle of a chain is 0.
 */
import {
  ReadableStream, TransformStream as LibraryTransform, WritableStream,
} from "web-streams-polyfill";
import { host } from "../core/host.js";
import { sourceReader, takeSource } from "./stream_sources.js";
import { finish } from "./util.js";

const MADE = Symbol("made");
let stageOf;
let isTransform;
let adopt;
let strategyOf;

const noop = () => {};
const isThenable = (value) => value !== undefined && value !== null && typeof value.then === "function";

/* A transformer and where its output goes: `output` until it is attached, a controller of the library, or a chain. */
class Stage {
  constructor(transformer) {
    this.transformer = transformer;
    this.output = [];
    this.library = null;
    this.chain = null;
    this.place = 0;              /* in the chain */
    this.context = undefined;    /* the async context in which it joined the chain */
    this.isTerminated = false;
    this.failure = undefined;    /* {error} when error() came before anything was attached */
    this.started = undefined;    /* a promise while start() runs */
    this.transform = method(transformer, "transform");
    this.flush = method(transformer, "flush");
    this.cancel = method(transformer, "cancel");
    this.controller = new TransformStreamDefaultController(MADE, this);
  }

  start() {
    const start = method(this.transformer, "start");
    const result = start === undefined ? undefined : start.call(this.transformer, this.controller);
    if (isThenable(result)) {
      this.started = Promise.resolve(result);
      this.started.then(() => {
        this.started = undefined;
      }, noop);
    }
  }

  /* One chunk through the transformer; a promise only when the transformer gives one. */
  run(chunk) {
    if (this.transform === undefined) {
      this.enqueue(chunk);
      return undefined;
    }
    return this.transform.call(this.transformer, chunk, this.controller);
  }

  finish() {
    return this.flush === undefined ? undefined : this.flush.call(this.transformer, this.controller);
  }

  /* The same two in the async context of pipeThrough(), whoever reads: as if a pipe had been started there. */
  runHere(chunk) {
    const before = host.alsSet(this.context);
    try {
      return this.run(chunk);
    } finally {
      host.alsSet(before);
    }
  }
  finishHere() {
    const before = host.alsSet(this.context);
    try {
      return this.finish();
    } finally {
      host.alsSet(before);
    }
  }

  enqueue(chunk) {
    if (this.library !== null) {
      this.library.enqueue(chunk);
      return;
    }
    if (this.isTerminated || this.chain?.isOver) throw new TypeError("Cannot enqueue: the readable side of this TransformStream is closed.");
    this.output.push(chunk);
    this.chain?.notice(this.place);
  }

  error(reason) {
    if (this.library !== null) this.library.error(reason);
    else if (this.chain !== null) this.chain.fail(reason);
    else this.failure = { error: reason };
  }

  terminate() {
    this.isTerminated = true;
    if (this.library !== null) this.library.terminate();
    else this.chain?.notice(this.place);
  }
}

function method(object, name) {
  const value = object[name];
  if (value !== undefined && typeof value !== "function") throw new TypeError(`Member '${name}' of a transformer is not a function.`);
  return value;
}

export class TransformStreamDefaultController {
  #stage;
  constructor(made, stage) {
    if (made !== MADE) throw new TypeError("Illegal constructor");
    this.#stage = stage;
  }
  get desiredSize() {
    const { library, chain } = this.#stage;
    if (library !== null) return library.desiredSize;
    return chain === null ? 0 : chain.desiredSize(this.#stage.place);
  }
  enqueue(chunk) {
    this.#stage.enqueue(chunk);
  }
  error(reason) {
    this.#stage.error(reason);
  }
  terminate() {
    this.#stage.terminate();
  }
}
finish(TransformStreamDefaultController, "TransformStreamDefaultController", 0);

/* A source and the stages its chunks pass; read by pull() of a ReadableStream, or directly (next). */
class Chain {
  constructor(reader, stages) {
    this.reader = reader;
    this.stages = stages;
    this.sink = null;            /* the controller of the result */
    this.ready = [];             /* what next() has not handed out yet */
    this.isStarted = false;      /* the result has pulled */
    this.isOver = false;
    this.isEnding = false;
    this.failed = undefined;     /* {error} */
    this.given = 0;              /* chunks that came out at the end */
    this.working = 0;            /* depth of calls into stages: output is drained by those who are at work */
    this.pending = undefined;    /* a drain that had to wait, begun by a stage on its own */
    for (let i = 0; i < stages.length; i++) {
      stages[i].chain = this;
      stages[i].place = i;
    }
  }

  desiredSize(place) {
    return place === this.stages.length - 1 && this.sink !== null ? this.sink.desiredSize : 0;
  }

  give(chunk) {
    this.given++;
    if (this.sink !== null) this.sink.enqueue(chunk);
    else this.ready.push(chunk);
  }

  /* CHUNK into stage I. A promise only when some transformer gave one. */
  feed(i, chunk) {
    if (i === this.stages.length) {
      this.give(chunk);
      return undefined;
    }
    this.working++;
    let result;
    try {
      result = this.stages[i].runHere(chunk);
    } finally {
      this.working--;
    }
    return isThenable(result) ? Promise.resolve(result).then(() => this.drain(i)) : this.drain(i);
  }

  /* The output of stage I into the next one. */
  drain(i) {
    const { output } = this.stages[i];
    while (output.length > 0 && !this.isOver) {
      const waiting = this.feed(i + 1, output.shift());
      if (waiting !== undefined) return waiting.then(() => this.drain(i));
    }
    return undefined;
  }

  /* Stage I has output or was terminated, perhaps outside of any call of ours. */
  notice(i) {
    if (this.working > 0 || this.isOver) return;
    try {
      const waiting = this.drain(i);
      if (waiting !== undefined) this.pending = waiting.catch((error) => this.fail(error));
      else if (this.stages[i].isTerminated && !this.isEnding) this.end(i).catch((error) => this.fail(error));
    } catch (error) {
      this.fail(error);
    }
  }

  /* The source pulls in the context of the first pipe. */
  readHere() {
    const before = host.alsSet(this.stages[0].context);
    const promise = this.reader.read();
    host.alsSet(before);
    return promise;
  }

  /* Runs until a chunk came out, or the end. */
  async pump() {
    const { stages } = this;
    for (const stage of stages) {
      if (stage.started !== undefined) await stage.started;
      if (stage.failure !== undefined) throw stage.failure.error;
    }
    const before = this.given;
    for (let i = stages.length - 1; i >= 0; i--) {
      const waiting = this.drain(i);
      if (waiting !== undefined) await waiting;
    }
    while (this.given === before && !this.isOver && this.failed === undefined) {
      const terminated = stages.findLastIndex((stage) => stage.isTerminated);
      if (terminated !== -1) {
        await this.end(terminated);
        return;
      }
      const { value, done } = await this.readHere();
      if (this.isOver) return;
      if (this.pending !== undefined) await this.pending;
      const waiting = done ? this.end(-1) : this.feed(0, value);
      if (waiting !== undefined) await waiting;
    }
  }

  /* The input of the stages after LAST is over: each is flushed, the result is closed. LAST itself was terminated (or is -1). */
  async end(last) {
    if (this.isEnding) return;
    this.isEnding = true;
    if (last >= 0) this.reader.cancel(new TypeError("The transform stream has been terminated")).catch(noop);
    for (let i = Math.max(last, 0); i < this.stages.length; i++) {
      if (i !== last) {
        this.working++;
        let result;
        try {
          result = this.stages[i].finishHere();
        } finally {
          this.working--;
        }
        if (isThenable(result)) await result;
      }
      const waiting = this.drain(i);
      if (waiting !== undefined) await waiting;
    }
    if (this.isOver) return;
    this.isOver = true;
    this.sink?.close();
  }

  fail(error) {
    if (this.isOver) return;
    this.isOver = true;
    this.failed = { error };
    this.reader.cancel(error).catch(noop);
    this.sink?.error(error);
  }

  /* pull() of the result. */
  pull() {
    return this.pump().catch((error) => this.fail(error));
  }

  async cancel(reason) {
    if (this.isOver) return;
    this.isOver = true;
    for (const { cancel, transformer } of this.stages) if (cancel !== undefined) await cancel.call(transformer, reason);
    await this.reader.cancel(reason);
  }

  /* The next chunk without a stream in between; undefined at the end. */
  async next() {
    while (this.ready.length === 0) {
      if (this.failed !== undefined) throw this.failed.error;
      if (this.isOver) return undefined;
      await this.pull();
    }
    return this.ready.shift();
  }
}

/* The chain behind a stream that pipeThrough() made, as long as nobody has read from it. */
const chains = new WeakMap();

/* The chain of STREAM, taken over: the stream is locked from now on. Undefined when it has none, or is in use. */
function takeChain(stream) {
  const chain = chains.get(stream);
  if (chain === undefined || stream.locked || stream._disturbed || chain.isStarted || chain.given > 0 || chain.isOver) return undefined;
  chains.delete(stream);
  stream.getReader();
  chain.sink = null;
  return chain;
}

export class TransformStream {
  #stage;
  #strategies;
  #inner = null; /* {readable, writable} once there is one */

  constructor(transformer, writableStrategy, readableStrategy) {
    const given = transformer === undefined || transformer === null ? {} : transformer;
    if (given.readableType !== undefined) throw new RangeError("Invalid readableType specified");
    if (given.writableType !== undefined) throw new RangeError("Invalid writableType specified");
    this.#strategies = [writableStrategy, readableStrategy];
    this.#stage = new Stage(given);
    this.#stage.start();
  }

  get readable() {
    return this.#build().readable;
  }
  get writable() {
    return this.#build().writable;
  }

  #build() {
    if (this.#inner !== null) return this.#inner;
    const stage = this.#stage;
    const inner = new LibraryTransform({
      start: (controller) => {
        stage.library = controller;
        for (const chunk of stage.output.splice(0)) controller.enqueue(chunk);
        if (stage.failure !== undefined) controller.error(stage.failure.error);
        else if (stage.isTerminated) controller.terminate();
        return stage.started;
      },
      transform: (chunk) => stage.run(chunk),
      flush: () => stage.finish(),
      cancel: stage.cancel === undefined ? undefined : (reason) => stage.cancel.call(stage.transformer, reason),
    }, ...this.#strategies);
    return (this.#inner = { readable: inner.readable, writable: inner.writable });
  }

  static {
    isTransform = (value) => typeof value === "object" && value !== null && #stage in value;
    /* The stage of a transform that nobody has touched, else undefined. */
    stageOf = (transform) => (transform.#inner === null ? transform.#stage : undefined);
    strategyOf = (transform) => transform.#strategies[1];
    /* READABLE is the transform's from now on; its writable side is locked, as a pipe would have it. */
    adopt = (transform, readable) => {
      transform.#inner = {
        readable,
        get writable() {
          const writable = new WritableStream();
          writable.getWriter();
          Object.defineProperty(this, "writable", { value: writable });
          return writable;
        },
      };
    };
  }
}
finish(TransformStream, "TransformStream", 0);

/* The result of CHAIN, whose last stage is that of TRANSFORM, as a stream. */
function streamOf(chain, transform) {
  const strategy = strategyOf(transform);
  const readable = new ReadableStream({
    start(controller) {
      chain.sink = controller;
    },
    /* Without a sink the chain has gone on to somebody else (takeChain). */
    pull: () => {
      if (chain.sink === null) return undefined;
      chain.isStarted = true;
      return chain.pull();
    },
    cancel: (reason) => chain.cancel(reason),
  }, { size: strategy?.size, highWaterMark: strategy?.highWaterMark ?? 0 });
  adopt(transform, readable);
  chains.set(readable, chain);
  return readable;
}

const libraryPipe = ReadableStream.prototype.pipeThrough;
Object.defineProperty(ReadableStream.prototype, "pipeThrough", {
  ...Object.getOwnPropertyDescriptor(ReadableStream.prototype, "pipeThrough"),
  value: function pipeThrough(transform, options) {
    const isPlain = options === undefined || (options !== null && typeof options === "object" && options.signal === undefined &&
      !options.preventClose && !options.preventAbort && !options.preventCancel);
    const stage = isPlain && isTransform(transform) && this instanceof ReadableStream && !this.locked ? stageOf(transform) : undefined;
    if (stage === undefined) return libraryPipe.call(this, transform, options);
    stage.context = host.als();
    const before = takeChain(this);
    const chain = before === undefined
      ? new Chain(readerOf(this), [stage])
      : new Chain(before.reader, [...before.stages, stage]);
    return streamOf(chain, transform);
  },
});

const chainReader = (chain) => ({
  read: async () => {
    const value = await chain.next();
    return { value, done: value === undefined && chain.isOver };
  },
  cancel: (reason) => chain.cancel(reason),
});

/* A reader of the chain behind STREAM, which is locked from now on; undefined when it has none or is in use. */
export function takeChainReader(stream) {
  const chain = takeChain(stream);
  return chain === undefined ? undefined : chainReader(chain);
}

/* Like getReader() for a reader that is never released: of what is behind STREAM when nobody has touched it. */
export function readerOf(stream) {
  const source = takeSource(stream);
  return source === undefined ? takeChainReader(stream) ?? stream.getReader() : sourceReader(source);
}
