/*
 * crypto: Crypto, and DigestStream. SubtleCrypto is in subtle.js.
 */
import { host, needAwake } from "../core/host.js";
import { WritableStream } from "./streams.js";
import { SubtleCrypto, digestName } from "./subtle.js";
import { bytesOf, concatBytes, copyBytes, finish } from "./util.js";

const RANDOM_BYTES_MAX = 65536; /* Web Crypto standard */
const MADE = Symbol("made");
const IntegerViews = [Int8Array, Uint8Array, Uint8ClampedArray, Int16Array, Uint16Array, Int32Array, Uint32Array, BigInt64Array, BigUint64Array];

/* A WritableStream whose `digest` is a promise of the hash of what was written. The bytes are kept until the end: hashing is one
 * native call. */
class DigestStream extends WritableStream {
  #digest;
  #written = 0;

  constructor(algorithm) {
    const name = digestName(algorithm);
    const { promise, resolve, reject } = Promise.withResolvers();
    promise.catch(() => {});
    const chunks = [];
    super({
      write: (chunk) => {
        const bytes = typeof chunk === "string" ? host.utf8(chunk) : bytesOf(chunk);
        if (bytes === undefined) throw new TypeError("DigestStream is a byte stream but received an object of non-ArrayBuffer/ArrayBufferView/string type on its writable side.");
        chunks.push(copyBytes(bytes));
        this.#written += bytes.byteLength;
      },
      close: () => resolve(host.digest(name, concatBytes(chunks, this.#written))),
      abort: reject,
    });
    this.#digest = promise;
  }

  get digest() {
    return this.#digest;
  }
  get bytesWritten() {
    return BigInt(this.#written);
  }
}
finish(DigestStream, "DigestStream", 1);

export class Crypto {
  #subtle;
  constructor(made) {
    if (made !== MADE) throw new TypeError("Illegal constructor");
    this.#subtle = new SubtleCrypto(MADE);
  }

  get subtle() {
    return this.#subtle;
  }
  get DigestStream() {
    return DigestStream;
  }

  getRandomValues(view) {
    if (!ArrayBuffer.isView(view))
      throw new TypeError("Failed to execute 'getRandomValues' on 'Crypto': parameter 1 is not of type 'ArrayBufferView'.");
    if (!IntegerViews.some((kind) => view instanceof kind))
      throw new DOMException("ArrayBufferView argument to getRandomValues() must be an integer-typed view.", "TypeMismatchError");
    if (view.byteLength > RANDOM_BYTES_MAX)
      throw new DOMException(`getRandomValues() only accepts buffers of size <= 64K but provided ${view.byteLength} bytes.`, "QuotaExceededError");
    needAwake();
    host.random(view);
    return view;
  }

  randomUUID() {
    needAwake();
    return host.uuid();
  }
}
finish(Crypto, "Crypto", 0);

export const makeCrypto = () => new Crypto(MADE);
export { DigestStream };
