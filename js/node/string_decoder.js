/*
 * node:string_decoder: bytes to text in pieces, without breaking characters.
 */
import { TextDecoder } from "../web/encoding.js";
import { bytesOf } from "../web/util.js";
import { Buffer } from "./buffer.js";
import { badType, withCode } from "./errors.js";

/* How many bytes make one unit of text in the encodings that are not character sets. */
const UNITS = { base64: 3, base64url: 3, hex: 1, latin1: 1, binary: 1, ascii: 1 };
const CHARSETS = { utf8: "utf-8", "utf-8": "utf-8", utf16le: "utf-16le", "utf-16le": "utf-16le", ucs2: "utf-16le", "ucs-2": "utf-16le" };

export class StringDecoder {
  #decoder;
  #unit = 1;
  #rest = Buffer.alloc(0);

  constructor(encoding = "utf8") {
    const name = `${encoding}`.toLowerCase();
    if (CHARSETS[name] === undefined && UNITS[name] === undefined)
      throw withCode(new TypeError(`Unknown encoding: ${encoding}`), "ERR_UNKNOWN_ENCODING");
    this.encoding = { "utf-8": "utf8", "ucs2": "utf16le", "ucs-2": "utf16le", "utf-16le": "utf16le", binary: "latin1" }[name] ?? name;
    if (CHARSETS[name] !== undefined) this.#decoder = new TextDecoder(CHARSETS[name], { ignoreBOM: true });
    else this.#unit = UNITS[name];
  }

  write(chunk) {
    if (typeof chunk === "string") return chunk;
    const bytes = bytesOf(chunk);
    if (bytes === undefined) throw badType("buf", "an instance of Buffer, TypedArray, or DataView", chunk);
    if (this.#decoder !== undefined) return this.#decoder.decode(bytes, { stream: true });
    const all = this.#rest.length === 0 ? Buffer.from(bytes) : Buffer.concat([this.#rest, bytes]);
    const whole = all.length - (all.length % this.#unit);
    this.#rest = Buffer.from(all.subarray(whole));
    return all.subarray(0, whole).toString(this.encoding);
  }

  end(chunk) {
    const text = chunk === undefined ? "" : this.write(chunk);
    if (this.#decoder !== undefined) return text + this.#decoder.decode();
    const last = this.#rest.toString(this.encoding);
    this.#rest = Buffer.alloc(0);
    return text + last;
  }
}

export default { StringDecoder };
