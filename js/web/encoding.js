/*
 * encoding: TextEncoder, TextDecoder and their streams (Encoding standard). The conversions are the host's.
 *
 * A decoder that streams keeps the bytes of an unfinished character (UTF-8, UTF-16: at most 3) and decodes them with the next chunk.
 */
import { host } from "../core/host.js";
import { decodeLegacy, encodingName } from "./encoding_labels.js";
import { TransformStream } from "./streams.js";
import { bytesOf, copyBytes, finish, usv } from "./util.js";

const EMPTY = new Uint8Array(0);
const NO_BUFFER = "Failed to execute 'decode' on 'TextDecoder': parameter 1 is not of type 'Array'.";

export class TextEncoder {
  get encoding() {
    return "utf-8";
  }
  encode(text) {
    return text === undefined ? new Uint8Array(0) : host.utf8(usv(text));
  }
  encodeInto(text, destination) {
    if (!(destination instanceof Uint8Array))
      throw new TypeError("Failed to execute 'encodeInto' on 'TextEncoder': parameter 2 is not of type 'Uint8Array'.");
    const [read, written] = host.utf8Into(usv(text), destination);
    return { read, written };
  }
}
finish(TextEncoder, "TextEncoder", 0);

/* How many bytes at the end of BYTES are the start of a UTF-8 character that is not finished. */
function utf8Tail(bytes) {
  const size = bytes.byteLength;
  for (let back = 1; back <= 3 && back <= size; back++) {
    const byte = bytes[size - back];
    if ((byte & 0xc0) === 0x80) continue;
    const wanted = byte >= 0xf0 && byte <= 0xf4 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc2 ? 2 : 1;
    if (byte > 0xf4 || wanted <= back) return 0;
    return isTruePrefix(bytes, size - back, back) ? back : 0;
  }
  return 0;
}

/* Whether the bytes from AT on can still become a character: the second byte decides (Unicode, table 3-7). */
function isTruePrefix(bytes, at, count) {
  if (count === 1) return true;
  const first = bytes[at];
  const second = bytes[at + 1];
  if (first === 0xe0) return second >= 0xa0;
  if (first === 0xed) return second <= 0x9f;
  if (first === 0xf0) return second >= 0x90;
  if (first === 0xf4) return second <= 0x8f;
  return true;
}

/* The same for UTF-16: an odd byte, and a high surrogate that waits for its low one. */
function utf16Tail(bytes, isBig) {
  const odd = bytes.byteLength & 1;
  const size = bytes.byteLength - odd;
  if (size === 0) return odd;
  const high = bytes[size - (isBig ? 2 : 1)];
  return (high & 0xfc) === 0xd8 ? odd + 2 : odd;
}

/* Legacy encodings of more than one byte per character keep an unfinished lead byte. */
function legacyTail(bytes, name) {
  if (!/^(?:shift_jis|euc-jp|euc-kr|gbk|gb18030|big5)$/.test(name)) return 0;
  const size = bytes.byteLength;
  let lead = 0;
  for (let i = size - 1; i >= 0 && bytes[i] >= 0x81; i--) lead++;
  return lead & 1;
}

export class TextDecoder {
  #encoding;
  #fatal;
  #ignoreBom;
  #rest = EMPTY;
  #bomSeen = false;

  constructor(label, options) {
    const name = label === undefined || label === "utf-8" ? "utf-8" : encodingName(`${label}`);
    if (name === undefined || name === "replacement") throw new RangeError(`"${label}" is not a valid encoding.`);
    this.#encoding = name;
    this.#fatal = !!options?.fatal;
    this.#ignoreBom = !!options?.ignoreBOM;
  }

  get encoding() {
    return this.#encoding;
  }
  get fatal() {
    return this.#fatal;
  }
  get ignoreBOM() {
    return this.#ignoreBom;
  }

  decode(input, options) {
    const bytes = input === undefined ? EMPTY : bytesOf(input);
    if (bytes === undefined) throw new TypeError(NO_BUFFER);
    const isLast = options === undefined || !options.stream;
    if (isLast && this.#rest.byteLength === 0 && !this.#bomSeen) return this.#convert(bytes, this.#ignoreBom);
    return this.#stream(bytes, isLast);
  }

  #stream(chunk, isLast) {
    let bytes = chunk;
    if (this.#rest.byteLength > 0) {
      bytes = new Uint8Array(this.#rest.byteLength + chunk.byteLength);
      bytes.set(this.#rest, 0);
      bytes.set(chunk, this.#rest.byteLength);
      this.#rest = EMPTY;
    }
    const tail = isLast ? 0 : this.#tail(bytes);
    if (tail > 0) {
      this.#rest = copyBytes(bytes.subarray(bytes.byteLength - tail));
      bytes = bytes.subarray(0, bytes.byteLength - tail);
    }
    const ignore = this.#ignoreBom || this.#bomSeen;
    if (bytes.byteLength > 0) this.#bomSeen = true;
    if (isLast) this.#bomSeen = false;
    return bytes.byteLength === 0 ? "" : this.#convert(bytes, ignore);
  }

  #tail(bytes) {
    const name = this.#encoding;
    if (name === "utf-8") return utf8Tail(bytes);
    if (name === "utf-16le" || name === "utf-16be") return utf16Tail(bytes, name === "utf-16be");
    return legacyTail(bytes, name);
  }

  #convert(bytes, ignoreBom) {
    try {
      if (this.#encoding === "utf-8") return host.text(bytes, this.#fatal, ignoreBom);
      const text = decodeLegacy(this.#encoding, bytes, this.#fatal);
      return !ignoreBom && text.charCodeAt(0) === 0xfeff ? text.slice(1) : text;
    } catch {
      this.#rest = EMPTY;
      this.#bomSeen = false;
      throw new TypeError("Failed to decode input.");
    }
  }
}
finish(TextDecoder, "TextDecoder", 0);

export class TextEncoderStream extends TransformStream {
  constructor() {
    let high = "";
    super({
      transform(chunk, controller) {
        let text = high + `${chunk}`;
        high = "";
        const last = text.charCodeAt(text.length - 1);
        if (last >= 0xd800 && last <= 0xdbff) {
          high = text.slice(-1);
          text = text.slice(0, -1);
        }
        if (text !== "") controller.enqueue(host.utf8(text.toWellFormed()));
      },
      flush(controller) {
        if (high !== "") controller.enqueue(new Uint8Array([0xef, 0xbf, 0xbd]));
      },
    });
  }
  get encoding() {
    return "utf-8";
  }
}
finish(TextEncoderStream, "TextEncoderStream", 0);

export class TextDecoderStream extends TransformStream {
  #decoder;
  constructor(label, options) {
    const decoder = new TextDecoder(label, options);
    super({
      transform(chunk, controller) {
        const text = decoder.decode(chunk, { stream: true });
        if (text !== "") controller.enqueue(text);
      },
      flush(controller) {
        const text = decoder.decode();
        if (text !== "") controller.enqueue(text);
      },
    });
    this.#decoder = decoder;
  }
  get encoding() {
    return this.#decoder.encoding;
  }
  get fatal() {
    return this.#decoder.fatal;
  }
  get ignoreBOM() {
    return this.#decoder.ignoreBOM;
  }
}
finish(TextDecoderStream, "TextDecoderStream", 0);
