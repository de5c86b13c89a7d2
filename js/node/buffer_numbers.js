/*
 * buffer_numbers: the methods of Buffer that read and write numbers.
 */
import { badType, outOfRange, withCode } from "./errors.js";

function place(buffer, offset, size) {
  const at = offset ?? 0;
  if (typeof at !== "number") throw badType("offset", "of type number", offset);
  if (!Number.isInteger(at)) throw outOfRange("offset", "an integer", at);
  if (at >= 0 && at + size <= buffer.length) return at;
  if (buffer.length - size < 0)
    throw withCode(new RangeError("Attempt to access memory outside buffer bounds"), "ERR_BUFFER_OUT_OF_BOUNDS");
  throw outOfRange("offset", `>= 0 and <= ${buffer.length - size}`, at);
}

const view = (buffer) => new DataView(buffer.buffer, buffer.byteOffset, buffer.byteLength);

function needRange(value, low, high) {
  if (value < low || value > high) throw outOfRange("value", `>= ${low} and <= ${high}`, value);
}

function define(proto, names, fn) {
  for (const name of names) Object.defineProperty(proto, name, { value: fn, writable: true, enumerable: false, configurable: true });
}

/* Fixed sizes: the kind DataView knows, the name Node uses, bytes, bounds. */
const FIXED = [
  ["Uint8", "UInt8", 1, 0, 0xff], ["Int8", "Int8", 1, -0x80, 0x7f], ["Uint16", "UInt16", 2, 0, 0xffff], ["Int16", "Int16", 2, -0x8000, 0x7fff],
  ["Uint32", "UInt32", 4, 0, 0xffffffff], ["Int32", "Int32", 4, -0x80000000, 0x7fffffff], ["Float32", "Float", 4], ["Float64", "Double", 8],
  ["BigUint64", "BigUInt64", 8, 0n, 0xffffffffffffffffn], ["BigInt64", "BigInt64", 8, -0x8000000000000000n, 0x7fffffffffffffffn],
];

function installFixed(proto, [kind, name, size, low, high]) {
  for (const order of size === 1 ? [""] : ["LE", "BE"]) {
    const isLittle = order === "LE";
    const spellings = (verb) => [`${verb}${name}${order}`, `${verb}${name.replace("UInt", "Uint")}${order}`];
    define(proto, new Set(spellings("read")), function (offset) {
      return view(this)[`get${kind}`](place(this, offset, size), isLittle);
    });
    define(proto, new Set(spellings("write")), function (value, offset) {
      const at = place(this, offset, size);
      const number = typeof low === "bigint" ? value : +value;
      if (low !== undefined) needRange(number, low, high);
      view(this)[`set${kind}`](at, number, isLittle);
      return at + size;
    });
  }
}

function needSize(size) {
  if (!Number.isInteger(size) || size < 1 || size > 6) throw outOfRange("byteLength", ">= 1 and <= 6", size);
}

function readBytes(buffer, offset, size, isLittle) {
  needSize(size);
  const at = place(buffer, offset, size);
  let value = 0;
  for (let i = 0; i < size; i++) value = value * 256 + buffer[isLittle ? at + size - 1 - i : at + i];
  return value;
}

function writeBytes(buffer, value, offset, size, isLittle) {
  const at = place(buffer, offset, size);
  let rest = value < 0 ? value + 2 ** (8 * size) : value;
  for (let i = 0; i < size; i++) {
    buffer[isLittle ? at + i : at + size - 1 - i] = rest % 256;
    rest = Math.floor(rest / 256);
  }
  return at + size;
}

export function installNumbers(proto) {
  for (const row of FIXED) installFixed(proto, row);
  for (const order of ["LE", "BE"]) {
    const isLittle = order === "LE";
    define(proto, [`readUInt${order}`, `readUint${order}`], function (offset, size) {
      return readBytes(this, offset, size, isLittle);
    });
    define(proto, [`readInt${order}`], function (offset, size) {
      const value = readBytes(this, offset, size, isLittle);
      return value >= 2 ** (8 * size - 1) ? value - 2 ** (8 * size) : value;
    });
    define(proto, [`writeUInt${order}`, `writeUint${order}`], function (value, offset, size) {
      needSize(size);
      needRange(value, 0, 2 ** (8 * size) - 1);
      return writeBytes(this, +value, offset, size, isLittle);
    });
    define(proto, [`writeInt${order}`], function (value, offset, size) {
      needSize(size);
      needRange(value, -(2 ** (8 * size - 1)), 2 ** (8 * size - 1) - 1);
      return writeBytes(this, +value, offset, size, isLittle);
    });
  }
}
