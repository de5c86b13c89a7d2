/*
 * stream_writable: the writable side of node:stream.
 */
import { WritableStream } from "../web/streams.js";
import { withCode } from "./errors.js";
import { nextTick } from "./process.js";
import { BYTES_HIGH_WATER, getters, inherit, mixin, OBJECTS_HIGH_WATER, sizeOf, Stream, toChunk } from "./stream_base.js";

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

export const writable = {
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

export const writableGetters = {
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

export function Writable(options) {
  if (!Object.prototype.isPrototypeOf.call(Writable.prototype, this)) return new Writable(options);
  Stream.call(this, options);
  this._initWritable(options);
}
inherit(Writable, Stream);

Writable.fromWeb = function (stream, options) {
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
};

Writable.toWeb = function (stream) {
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
};
mixin(Writable, writable);
getters(Writable.prototype, writableGetters);
