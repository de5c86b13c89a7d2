/*
 * node:buffer: Buffer, a Uint8Array with Node's methods; text conversions are the host's.
 */
import { host } from "../core/host.js";
import { Blob, File } from "../web/blob.js";
import { atob, btoa } from "../web/base64.js";
import { CUSTOM } from "../web/inspect.js";
import { badType, outOfRange, withCode } from "./errors.js";
import { installNumbers } from "./buffer_numbers.js";

export const kMaxLength = 2 ** 32;
export const kStringMaxLength = 2 ** 29 - 24;
export const constants = { MAX_LENGTH: kMaxLength, MAX_STRING_LENGTH: kStringMaxLength };

const ENCODINGS = new Map([
  ["utf8", "utf8"], ["utf-8", "utf8"], ["hex", "hex"], ["base64", "base64"], ["base64url", "base64url"], ["ascii", "ascii"],
  ["latin1", "latin1"], ["binary", "latin1"], ["ucs2", "utf16le"], ["ucs-2", "utf16le"], ["utf16le", "utf16le"], ["utf-16le", "utf16le"],
]);

/* The canonical name of an encoding; utf8 when it is missing. */
function encodingOf(name) {
  if (name === undefined || name === null || name === "") return "utf8";
  const found = ENCODINGS.get(name) ?? ENCODINGS.get(`${name}`.toLowerCase());
  if (found === undefined) throw withCode(new TypeError(`Unknown encoding: ${name}`), "ERR_UNKNOWN_ENCODING");
  return found;
}

const codes = (text, mask) => {
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i) & mask;
  return bytes;
};

/* The value of a hexadecimal digit by its character code, or -1. */
const digit = (code) => (code >= 48 && code <= 57 ? code - 48 : code >= 97 && code <= 102 ? code - 87 : code >= 65 && code <= 70 ? code - 55 : -1);

/* Stops at the first pair that is not hexadecimal, as Node does. */
function hexBytes(text) {
  const bytes = new Uint8Array(text.length >> 1);
  for (let i = 0; i < bytes.length; i++) {
    const high = digit(text.charCodeAt(2 * i));
    const low = digit(text.charCodeAt(2 * i + 1));
    if (high < 0 || low < 0) return bytes.slice(0, i);
    bytes[i] = high * 16 + low;
  }
  return bytes;
}

/* Node ignores what is not base64, and stops at "=". */
function base64Bytes(text) {
  const end = text.indexOf("=");
  let clean = (end === -1 ? text : text.slice(0, end)).replaceAll("-", "+").replaceAll("_", "/").replace(/[^A-Za-z0-9+/]/g, "");
  if (clean.length % 4 === 1) clean = clean.slice(0, -1);
  return codes(host.atob(clean) ?? "", 0xff);
}

function utf16Bytes(text) {
  const bytes = new Uint8Array(text.length * 2);
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    bytes[2 * i] = code & 0xff;
    bytes[2 * i + 1] = code >> 8;
  }
  return bytes;
}

function encode(text, encoding) {
  switch (encodingOf(encoding)) {
    case "hex":
      return hexBytes(text);
    case "base64":
    case "base64url":
      return base64Bytes(text);
    case "ascii":
    case "latin1":
      return codes(text, 0xff);
    case "utf16le":
      return utf16Bytes(text);
    default:
      return host.utf8(text.toWellFormed());
  }
}

const base64 = (bytes) => host.btoa(host.latin1(bytes));

function decode(bytes, encoding) {
  switch (encodingOf(encoding)) {
    case "hex":
      return host.hex(bytes);
    case "base64":
      return base64(bytes);
    case "base64url":
      return base64(bytes).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
    case "ascii":
      return host.latin1(bytes.map((byte) => byte & 0x7f));
    case "latin1":
      return host.latin1(bytes);
    case "utf16le": {
      const units = [];
      for (let i = 0; i + 1 < bytes.length; i += 2) units.push(String.fromCharCode(bytes[i] | (bytes[i + 1] << 8)));
      return units.join("");
    }
    default:
      return host.text(bytes, false, true);
  }
}

/* BYTES as a Buffer over the same memory. */
const wrap = (bytes) => new FastBuffer(bytes.buffer, bytes.byteOffset, bytes.byteLength);

function fromObject(value, encoding, length) {
  if (value instanceof ArrayBuffer || (typeof SharedArrayBuffer === "function" && value instanceof SharedArrayBuffer)) {
    const offset = encoding === undefined ? 0 : Number(encoding) || 0;
    if (offset > value.byteLength) throw withCode(new RangeError('"offset" is outside of buffer bounds'), "ERR_BUFFER_OUT_OF_BOUNDS");
    return new FastBuffer(value, offset, length === undefined ? undefined : Number(length));
  }
  if (value instanceof Uint8Array) {
    const made = new FastBuffer(value.length);
    made.set(value);
    return made;
  }
  if (ArrayBuffer.isView(value)) return wrap(Uint8Array.from(value instanceof DataView ? new Uint8Array(value.buffer, value.byteOffset, value.byteLength) : value, (n) => Number(n)));
  const plain = value.valueOf();
  if (plain !== null && plain !== undefined && plain !== value && (typeof plain === "string" || typeof plain === "object"))
    return Buffer.from(plain, encoding, length);
  if (value.type === "Buffer" && Array.isArray(value.data)) return wrap(Uint8Array.from(value.data));
  if (typeof value.length === "number") return wrap(Uint8Array.from(value, (n) => Number(n)));
  if (typeof value[Symbol.toPrimitive] === "function") return Buffer.from(value[Symbol.toPrimitive]("string"), encoding);
  return undefined;
}

function needSize(size) {
  if (typeof size !== "number") throw badType("size", "of type number", size);
  if (!(size >= 0 && size <= kMaxLength)) throw outOfRange("size", `>= 0 && <= ${kMaxLength}`, size);
}

function needBytes(value, name) {
  if (!(value instanceof Uint8Array)) throw badType(name, "an instance of Buffer or Uint8Array", value);
}

/* A function, not a class: Buffer(…) without new is old, but alive. */
export function Buffer(value, encoding, length) {
  return typeof value === "number" ? Buffer.alloc(value) : Buffer.from(value, encoding, length);
}

class FastBuffer extends Uint8Array {}
FastBuffer.prototype.constructor = Buffer;
Buffer.prototype = FastBuffer.prototype;
Object.setPrototypeOf(Buffer, Uint8Array);
Object.defineProperty(Buffer, Symbol.species, { get: () => FastBuffer, configurable: true });
Buffer.poolSize = 8192;

Buffer.from = function (value, encoding, length) {
  if (typeof value === "string") return wrap(encode(value, encoding));
  if (typeof value === "object" && value !== null) {
    const made = fromObject(value, encoding, length);
    if (made !== undefined) return made;
  }
  throw badType("first argument", "of type string or an instance of Buffer, ArrayBuffer, or Array or an Array-like Object", value);
};
Buffer.of = (...items) => wrap(Uint8Array.of(...items));
Buffer.alloc = function (size, fill, encoding) {
  needSize(size);
  const made = new FastBuffer(size);
  return fill === undefined || fill === 0 ? made : made.fill(fill, encoding);
};
Buffer.allocUnsafe = (size) => Buffer.alloc(size);
Buffer.allocUnsafeSlow = (size) => Buffer.alloc(size);
Buffer.isBuffer = (value) => value instanceof FastBuffer;
Buffer.isEncoding = (name) => typeof name === "string" && ENCODINGS.has(name.toLowerCase());
Buffer.byteLength = function (value, encoding) {
  if (typeof value === "string") return encode(value, encoding).byteLength;
  if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer) return value.byteLength;
  throw badType("string", "of type string or an instance of Buffer or ArrayBuffer", value);
};
Buffer.compare = function (a, b) {
  needBytes(a, "buf1");
  needBytes(b, "buf2");
  const size = Math.min(a.length, b.length);
  for (let i = 0; i < size; i++) if (a[i] !== b[i]) return a[i] < b[i] ? -1 : 1;
  return a.length === b.length ? 0 : a.length < b.length ? -1 : 1;
};
Buffer.concat = function (list, total) {
  if (!Array.isArray(list)) throw badType("list", "an instance of Array", list);
  const size = total ?? list.reduce((sum, one) => sum + one.length, 0);
  const made = Buffer.alloc(size);
  let at = 0;
  for (const [i, one] of list.entries()) {
    needBytes(one, `list[${i}]`);
    if (at >= size) break;
    made.set(at + one.length > size ? one.subarray(0, size - at) : one, at);
    at += one.length;
  }
  return made;
};
Buffer.copyBytesFrom = (view, offset = 0, length = view.length - offset) => Buffer.from(view.slice(offset, offset + length));

const methods = {
  toString(encoding, start, end) {
    const from = Math.max(0, Math.trunc(start) || 0);
    const to = end === undefined ? this.length : Math.min(this.length, Math.trunc(end) || 0);
    if (to <= from) return "";
    return decode(from === 0 && to === this.length ? this : this.subarray(from, to), encoding);
  },
  toLocaleString(...args) {
    return this.toString(...args);
  },
  toJSON() {
    return { type: "Buffer", data: Array.from(this) };
  },
  equals(other) {
    needBytes(other, "otherBuffer");
    return this === other || Buffer.compare(this, other) === 0;
  },
  compare(target, targetStart = 0, targetEnd = target.length, start = 0, end = this.length) {
    needBytes(target, "target");
    return Buffer.compare(this.subarray(start, end), target.subarray(targetStart, targetEnd));
  },
  copy(target, targetStart = 0, start = 0, end = this.length) {
    const source = this.subarray(start, Math.min(end, start + Math.max(0, target.length - targetStart)));
    target.set(source, targetStart);
    return source.length;
  },
  slice(start, end) {
    return this.subarray(start, end);
  },
  subarray(start, end) {
    const part = Uint8Array.prototype.subarray.call(this, start, end);
    return part instanceof FastBuffer ? part : wrap(part);
  },
  write(text, offset, length, encoding) {
    if (typeof text !== "string") throw badType("argument", "of type string", text);
    if (typeof offset === "string") [encoding, offset, length] = [offset, 0, undefined];
    else if (typeof length === "string") [encoding, length] = [length, undefined];
    const at = offset ?? 0;
    if (at > this.length) throw outOfRange("offset", `>= 0 && <= ${this.length}`, at);
    const room = Math.min(this.length - at, length ?? Infinity);
    let bytes = encode(text, encoding);
    if (bytes.length > room) bytes = bytes.subarray(0, wholeCharacters(bytes, room, encoding));
    this.set(bytes, at);
    return bytes.length;
  },
  fill(value, offset, end, encoding) {
    if (typeof offset === "string") [encoding, offset, end] = [offset, undefined, undefined];
    else if (typeof end === "string") [encoding, end] = [end, undefined];
    const from = offset ?? 0;
    const to = end ?? this.length;
    if (typeof value !== "string" && !(value instanceof Uint8Array)) return Uint8Array.prototype.fill.call(this, Number(value) & 0xff, from, to);
    const bytes = typeof value === "string" ? encode(value, encoding) : value;
    if (bytes.length === 0) {
      if (value.length > 0) throw withCode(new TypeError(`The argument 'value' is invalid. Received '${value}'`), "ERR_INVALID_ARG_VALUE");
      return Uint8Array.prototype.fill.call(this, 0, from, to);
    }
    for (let i = from; i < to; i++) this[i] = bytes[(i - from) % bytes.length];
    return this;
  },
  indexOf(value, offset, encoding) {
    return find(this, value, offset, encoding, false);
  },
  lastIndexOf(value, offset, encoding) {
    return find(this, value, offset, encoding, true);
  },
  includes(value, offset, encoding) {
    return find(this, value, offset, encoding, false) !== -1;
  },
  swap16() {
    return swap(this, 2);
  },
  swap32() {
    return swap(this, 4);
  },
  swap64() {
    return swap(this, 8);
  },
  [CUSTOM]() {
    const shown = host.hex(this.subarray(0, 50)).replace(/(..)(?=.)/g, "$1 ");
    return `<Buffer${shown === "" ? "" : " "}${shown}${this.length > 50 ? ` ... ${this.length - 50} more byte${this.length > 51 ? "s" : ""}` : ""}>`;
  },
};

/* How many of the first ROOM bytes are whole UTF-8 characters (Node never writes a part of one). */
function wholeCharacters(bytes, room, encoding) {
  const name = encodingOf(encoding);
  if (name === "utf16le") return room & ~1;
  if (name !== "utf8") return room;
  let end = room;
  while (end > 0 && (bytes[end] & 0xc0) === 0x80) end--;
  return end;
}

function find(buffer, value, offset, encoding, isLast) {
  if (typeof offset === "string") [encoding, offset] = [offset, undefined];
  const wanted = typeof value === "number" ? Uint8Array.of(value & 0xff) : typeof value === "string" ? encode(value, encoding) : value;
  if (!(wanted instanceof Uint8Array)) throw badType("value", "of type number or string or an instance of Buffer or Uint8Array", value);
  const size = buffer.length;
  let from = offset === undefined || Number.isNaN(Number(offset)) ? (isLast ? size : 0) : Math.trunc(Number(offset));
  if (from < 0) from = Math.max(0, size + from);
  /* Searching a string of one character per byte is native. */
  const text = host.latin1(buffer);
  const needle = host.latin1(wanted);
  return isLast ? text.lastIndexOf(needle, from) : text.indexOf(needle, from);
}

function swap(buffer, size) {
  if (buffer.length % size !== 0)
    throw withCode(new RangeError(`Buffer size must be a multiple of ${size * 8}-bits`), "ERR_INVALID_BUFFER_SIZE");
  for (let i = 0; i < buffer.length; i += size) Uint8Array.prototype.subarray.call(buffer, i, i + size).reverse();
  return buffer;
}

for (const name of Reflect.ownKeys(methods))
  Object.defineProperty(Buffer.prototype, name, { value: methods[name], writable: true, enumerable: false, configurable: true });
Object.defineProperty(Buffer.prototype, "parent", { get() { return this.buffer; }, configurable: true });
Object.defineProperty(Buffer.prototype, "offset", { get() { return this.byteOffset; }, configurable: true });
installNumbers(Buffer.prototype);
for (const [name, encoding] of [["utf8", "utf8"], ["hex", "hex"], ["base64", "base64"], ["base64url", "base64url"], ["latin1", "latin1"],
  ["ascii", "ascii"], ["ucs2", "utf16le"]]) {
  Buffer.prototype[`${name}Slice`] = function (start, end) {
    return this.toString(encoding, start, end);
  };
  Buffer.prototype[`${name}Write`] = function (text, offset, length) {
    return this.write(text, offset, length, encoding);
  };
}

export const SlowBuffer = (size) => Buffer.allocUnsafeSlow(size);
export const isUtf8 = (bytes) => {
  try {
    host.text(bytes, true, true);
    return true;
  } catch {
    return false;
  }
};
export const isAscii = (bytes) => !new Uint8Array(bytes.buffer ?? bytes, bytes.byteOffset ?? 0, bytes.byteLength).some((byte) => byte > 0x7f);
export const INSPECT_MAX_BYTES = 50;
export function transcode(source, from, to) {
  return Buffer.from(source.toString(from), to);
}
export function resolveObjectURL() {
  return undefined;
}

export { atob, Blob, btoa, File };
export default {
  atob, Blob, btoa, Buffer, constants, File, INSPECT_MAX_BYTES, isAscii, isUtf8, kMaxLength, kStringMaxLength, resolveObjectURL, SlowBuffer, transcode,
};
