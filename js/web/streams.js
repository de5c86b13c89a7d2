/*
 * streams: the Streams standard (npm web-streams-polyfill) and what Workers add to it.
 *
 * The library is evaluated while the template is made, so its classes are pages that every agent shares; a stream costs an agent
 * memory only when it makes one. js/web itself never makes a stream that the app has not asked for.
 */
import {
  ByteLengthQueuingStrategy, CountQueuingStrategy, ReadableByteStreamController, ReadableStream, ReadableStreamBYOBReader,
  ReadableStreamBYOBRequest, ReadableStreamDefaultController, ReadableStreamDefaultReader, WritableStream,
  WritableStreamDefaultController, WritableStreamDefaultWriter,
} from "web-streams-polyfill";
import { host } from "../core/host.js";
import { dress, isPulled, takeSource, WholeSource } from "./stream_sources.js";
import { readerOf, takeChainReader, TransformStream, TransformStreamDefaultController } from "./transform.js";
import { bytesOf, copyBytes, hidden } from "./util.js";

/* The library's method NAME of KLASS, refusing a locked stream with workerd's TEXT. */
function refuseLocked(klass, name, text) {
  const slot = Object.getOwnPropertyDescriptor(klass.prototype, name);
  const original = slot.value;
  slot.value = function (...args) {
    if (this.locked === true) throw new TypeError(text);
    return original.apply(this, args);
  };
  Object.defineProperty(slot.value, "name", { value: name, configurable: true });
  Object.defineProperty(slot.value, "length", { value: original.length, configurable: true });
  Object.defineProperty(klass.prototype, name, slot);
}
refuseLocked(ReadableStream, "getReader", "This ReadableStream is currently locked to a reader.");
refuseLocked(WritableStream, "getWriter", "This WritableStream is currently locked to a writer.");

/* Whether STREAM was ever read from or cancelled. The library keeps the standard's [[disturbed]] under this name. */
export function isDisturbed(stream) {
  return stream._disturbed === true;
}

/* A byte stream over BYTES, which it takes over (a reader may detach the buffer). */
export function streamFromBytes(bytes) {
  return streamFromSource(new WholeSource(bytes));
}

/* A byte stream over a BodySource: read() → Promise of Uint8Array or undefined; cancel(reason). */
export function streamFromSource(source) {
  const stream = new ReadableStream({
    type: "bytes",
    async pull(controller) {
      isPulled(stream);
      let chunk = await source.read();
      while (chunk !== undefined && chunk.byteLength === 0) chunk = await source.read();
      if (chunk !== undefined) {
        controller.enqueue(chunk);
        return;
      }
      controller.close();
      controller.byobRequest?.respond(0);
    },
    cancel(reason) {
      return source.cancel(reason);
    },
  }, { highWaterMark: 0 });
  dress(stream, source);
  return stream;
}

/* The bytes of a chunk written to a byte-only stream; strings are written as UTF-8, as workerd does. */
function chunkBytes(chunk) {
  if (typeof chunk === "string") return host.utf8(chunk);
  const bytes = bytesOf(chunk);
  if (bytes === undefined)
    throw new TypeError("This TransformStream is being used as a byte stream, but received an object of " +
      "non-ArrayBuffer/ArrayBufferView type on its writable side.");
  return copyBytes(bytes);
}

/* What has passed a FixedLengthStream, and what may. */
class Budget {
  constructor(bytes) {
    this.wanted = bytes;
    this.seen = 0;
  }
  take(bytes) {
    this.seen += bytes;
    if (this.seen > this.wanted) throw new TypeError("Attempt to write too many bytes through a FixedLengthStream.");
  }
  finish() {
    if (this.seen < this.wanted) throw new TypeError("FixedLengthStream did not see all expected bytes before close().");
  }
}

export class IdentityTransformStream extends TransformStream {
  constructor(strategy, limit) {
    const budget = limit instanceof Budget ? limit : undefined;
    super({
      transform(chunk, controller) {
        const bytes = chunkBytes(chunk);
        budget?.take(bytes.byteLength);
        if (bytes.byteLength > 0) controller.enqueue(bytes);
      },
      flush() {
        budget?.finish();
      },
    }, strategy);
  }
}

/* Carries exactly LENGTH bytes; more or fewer are an error. */
export class FixedLengthStream extends IdentityTransformStream {
  constructor(length, strategy) {
    const wanted = Number(length);
    if (!Number.isInteger(wanted) || wanted < 0)
      throw new TypeError("FixedLengthStream requires an integer expected length less than 2^53.");
    super(strategy, new Budget(wanted));
  }
}

export {
  ByteLengthQueuingStrategy, CountQueuingStrategy, ReadableByteStreamController, ReadableStream, ReadableStreamBYOBReader,
  ReadableStreamBYOBRequest, ReadableStreamDefaultController, ReadableStreamDefaultReader, TransformStream,
  TransformStreamDefaultController, WritableStream, WritableStreamDefaultController, WritableStreamDefaultWriter,
};

export { readerOf, takeChainReader, takeSource };

/* Every stream class under its global name. */
export function installStreams(target) {
  const all = {
    ByteLengthQueuingStrategy, CountQueuingStrategy, ReadableByteStreamController, ReadableStream, ReadableStreamBYOBReader,
    ReadableStreamBYOBRequest, ReadableStreamDefaultController, ReadableStreamDefaultReader, TransformStream,
    TransformStreamDefaultController, WritableStream, WritableStreamDefaultController, WritableStreamDefaultWriter,
    IdentityTransformStream, FixedLengthStream,
  };
  for (const name of Object.keys(all)) hidden(target, name, all[name]);
}
