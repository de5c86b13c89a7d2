/*
 * node:zlib: deflate in its three wrappings over the host's optional natives, whole or as streams; crc32. Brotli and zstd are refused.
 */
import { host } from "../core/host.js";
import { bytesOf } from "../web/util.js";
import { Buffer } from "./buffer.js";
import { absentModule, badType, withCode } from "./errors.js";
import { nextTick } from "./process.js";
import { Transform } from "./stream.js";

const COMPRESS = 0;
const DECOMPRESS = 1;

function open(mode, format, name) {
  if (typeof host.deflateOpen !== "function")
    throw withCode(new Error(`zlib.${name}() is not available in this version of Dormouse.`), "ERR_METHOD_NOT_IMPLEMENTED");
  return host.deflateOpen(mode, format);
}

function dataError(error) {
  return Object.assign(withCode(new Error(error.message), "Z_DATA_ERROR"), { errno: -3 });
}

function input(value, name) {
  const bytes = typeof value === "string" ? Buffer.from(value) : bytesOf(value);
  if (bytes === undefined) throw badType(name, "of type string or an instance of Buffer, TypedArray, DataView, or ArrayBuffer", value);
  return bytes;
}

function whole(mode, format, name, value) {
  const bytes = input(value, "buffer");
  const id = open(mode, format, name);
  try {
    return Buffer.from(host.deflatePush(id, bytes, true));
  } catch (error) {
    throw dataError(error);
  } finally {
    host.deflateClose(id);
  }
}

/* gunzip and inflate read what says which it is by its first bytes. */
const formatOf = (bytes) => (bytes[0] === 0x1f && bytes[1] === 0x8b ? "gzip" : "deflate");

function makeStream(mode, format, name, options) {
  const id = open(mode, format, name);
  const push = (stream, bytes, isLast, callback) => {
    try {
      const out = host.deflatePush(id, bytes, isLast);
      callback(null, out.byteLength > 0 ? Buffer.from(out) : undefined);
    } catch (error) {
      callback(dataError(error));
    }
  };
  return new Transform({
    ...options,
    transform(chunk, _encoding, callback) {
      push(this, chunk, false, callback);
    },
    flush(callback) {
      push(this, Buffer.alloc(0), true, callback);
    },
    destroy(error, callback) {
      host.deflateClose(id);
      callback(error);
    },
  });
}

const zlib = {};
for (const [verb, mode, format] of [["deflate", COMPRESS, "deflate"], ["inflate", DECOMPRESS, "deflate"], ["gzip", COMPRESS, "gzip"],
  ["gunzip", DECOMPRESS, "gzip"], ["deflateRaw", COMPRESS, "deflate-raw"], ["inflateRaw", DECOMPRESS, "deflate-raw"], ["unzip", DECOMPRESS, undefined]]) {
  const sync = (value) => whole(mode, format ?? formatOf(input(value, "buffer")), `${verb}Sync`, value);
  zlib[`${verb}Sync`] = sync;
  zlib[verb] = (value, options, callback) => {
    const done = typeof options === "function" ? options : callback;
    if (typeof done !== "function") throw badType("callback", "of type function", done);
    let result;
    try {
      result = sync(value);
    } catch (error) {
      nextTick(done, error);
      return;
    }
    nextTick(done, null, result);
  };
  zlib[`create${verb[0].toUpperCase()}${verb.slice(1)}`] = (options) => makeStream(mode, format ?? "gzip", verb, options);
}

let table;
function crcTable() {
  if (table === undefined) {
    table = new Int32Array(256);
    for (let i = 0; i < 256; i++) {
      let c = i;
      for (let k = 0; k < 8; k++) c = c & 1 ? (c >>> 1) ^ 0xedb88320 : c >>> 1;
      table[i] = c;
    }
  }
  return table;
}

zlib.crc32 = (value, before = 0) => {
  const bytes = input(value, "data");
  const steps = crcTable();
  let crc = ~before;
  for (let i = 0; i < bytes.length; i++) crc = steps[(crc ^ bytes[i]) & 0xff] ^ (crc >>> 8);
  return ~crc >>> 0;
};

const absent = absentModule("node:zlib", [
  "brotliCompress", "brotliCompressSync", "brotliDecompress", "brotliDecompressSync", "createBrotliCompress", "createBrotliDecompress",
  "createZstdCompress", "createZstdDecompress", "zstdCompress", "zstdCompressSync", "zstdDecompress", "zstdDecompressSync",
]).default;
const constants = Object.freeze({
  Z_NO_FLUSH: 0, Z_PARTIAL_FLUSH: 1, Z_SYNC_FLUSH: 2, Z_FULL_FLUSH: 3, Z_FINISH: 4, Z_NO_COMPRESSION: 0, Z_BEST_SPEED: 1,
  Z_BEST_COMPRESSION: 9, Z_DEFAULT_COMPRESSION: -1,
});

/* The module for host.install(). */
export function zlibModule() {
  const all = { ...absent, ...zlib, constants };
  return { ...all, default: all };
}
