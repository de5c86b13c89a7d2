/*
 * node:crypto: hashes, HMAC, random values, constant-time comparison, and Web Crypto.
 */
import { host, needAwake } from "../core/host.js";
import { bytesOf, copyBytes } from "../web/util.js";
import { Buffer } from "./buffer.js";
import { absentModule, badType, outOfRange, withCode } from "./errors.js";

const HASHES = { md5: "MD5", sha1: "SHA-1", "sha-1": "SHA-1", sha256: "SHA-256", "sha-256": "SHA-256", sha384: "SHA-384", "sha-384": "SHA-384", sha512: "SHA-512", "sha-512": "SHA-512" };
const RANDOM_CHUNK = 65536;

function hashName(name) {
  if (typeof name !== "string") throw badType("algorithm", "of type string", name);
  const found = HASHES[name.toLowerCase()];
  if (found === undefined) throw withCode(new Error("Digest method not supported"), "ERR_CRYPTO_INVALID_DIGEST");
  return found;
}

function toBytes(value, encoding, name) {
  if (typeof value === "string") return Buffer.from(value, encoding === "buffer" ? "utf8" : encoding);
  const bytes = bytesOf(value);
  if (bytes === undefined) throw badType(name, "of type string or an instance of Buffer, TypedArray, or DataView", value);
  return bytes;
}

const output = (bytes, encoding) => {
  const buffer = Buffer.from(bytes);
  return encoding === undefined || encoding === "buffer" ? buffer : buffer.toString(encoding);
};

/* Hash and Hmac keep their input until digest(): hashing is one native call. */
class Gathering {
  #chunks = [];
  #isDone = false;
  #finish;

  constructor(finish) {
    this.#finish = finish;
  }
  update(data, encoding) {
    if (this.#isDone) throw withCode(new Error("Digest already called"), "ERR_CRYPTO_HASH_FINALIZED");
    const bytes = toBytes(data, encoding, "data");
    this.#chunks.push(typeof data === "string" ? bytes : copyBytes(bytes));
    return this;
  }
  digest(encoding) {
    if (this.#isDone) throw withCode(new Error("Digest already called"), "ERR_CRYPTO_HASH_FINALIZED");
    this.#isDone = true;
    const all = this.#chunks.length === 1 ? this.#chunks[0] : Buffer.concat(this.#chunks);
    this.#chunks = [];
    return output(this.#finish(all), encoding);
  }
  /* The chunks so far, for Hash.copy(). */
  copyInto(other) {
    for (const chunk of this.#chunks) other.update(chunk);
    return other;
  }
}

export class Hash extends Gathering {
  #name;
  constructor(name) {
    const canonical = hashName(name);
    super((bytes) => host.digest(canonical, bytes));
    this.#name = name;
  }
  copy() {
    return this.copyInto(new Hash(this.#name));
  }
}
export class Hmac extends Gathering {
  constructor(name, key) {
    const canonical = hashName(name);
    const secret = key instanceof KeyObject ? key.export() : toBytes(key, "utf8", "key");
    super((bytes) => host.hmac(canonical, secret, bytes));
  }
}

export const createHash = (name) => new Hash(name);
export const createHmac = (name, key) => new Hmac(name, key);
export const getHashes = () => ["md5", "sha1", "sha256", "sha384", "sha512"];
export const hash = (name, data, encoding = "hex") => createHash(name).update(data).digest(encoding);

export class KeyObject {
  #bytes;
  constructor(type, bytes) {
    if (type !== "secret") throw withCode(new TypeError("Only secret keys are available"), "ERR_INVALID_ARG_VALUE");
    this.#bytes = bytes;
  }
  get type() {
    return "secret";
  }
  get symmetricKeySize() {
    return this.#bytes.length;
  }
  export(options) {
    return options?.format === "jwk" ? { kty: "oct", k: this.#bytes.toString("base64url") } : Buffer.from(this.#bytes);
  }
  equals(other) {
    return other instanceof KeyObject && this.#bytes.equals(other.export());
  }
}
export const createSecretKey = (key, encoding) => new KeyObject("secret", Buffer.from(toBytes(key, encoding, "key")));

function fillRandom(view) {
  needAwake();
  for (let at = 0; at < view.byteLength; at += RANDOM_CHUNK)
    host.random(new Uint8Array(view.buffer, view.byteOffset + at, Math.min(RANDOM_CHUNK, view.byteLength - at)));
  return view;
}

/* Calls back in a later job, as Node would in a later turn. */
function later(callback, value) {
  queueMicrotask(() => callback(null, value));
}

export function randomBytes(size, callback) {
  const bytes = fillRandom(Buffer.alloc(size));
  if (callback === undefined) return bytes;
  later(callback, bytes);
}
export const pseudoRandomBytes = randomBytes;
export function randomFillSync(view, offset = 0, size = view.byteLength - offset) {
  fillRandom(new Uint8Array(view.buffer ?? view, (view.byteOffset ?? 0) + offset, size));
  return view;
}
export function randomFill(view, offset, size, callback) {
  const done = [offset, size, callback].find((one) => typeof one === "function");
  randomFillSync(view, typeof offset === "number" ? offset : 0, typeof size === "number" ? size : undefined);
  later(done, view);
}
export function randomInt(low, high, callback) {
  if (high === undefined || typeof high === "function") [low, high, callback] = [0, low, high];
  if (!Number.isSafeInteger(low)) throw badType("min", "a safe integer", low);
  if (!Number.isSafeInteger(high)) throw badType("max", "a safe integer", high);
  const range = high - low;
  if (!(range > 0 && range < 2 ** 48)) throw outOfRange("max", `greater than the value of "min" (${low})`, high);
  /* Values past the last whole multiple of the range would favour small results. */
  const limit = 2 ** 48 - (2 ** 48 % range);
  let value;
  do value = randomBytes(6).readUIntBE(0, 6);
  while (value >= limit);
  if (callback === undefined) return low + (value % range);
  later(callback, low + (value % range));
}
export function randomUUID() {
  needAwake();
  return host.uuid();
}

export function timingSafeEqual(a, b) {
  const left = bytesOf(a);
  const right = bytesOf(b);
  if (left === undefined) throw badType("buf1", "an instance of ArrayBuffer, Buffer, TypedArray, or DataView", a);
  if (right === undefined) throw badType("buf2", "an instance of ArrayBuffer, Buffer, TypedArray, or DataView", b);
  if (left.byteLength !== right.byteLength)
    throw withCode(new RangeError("Input buffers must have the same byte length"), "ERR_CRYPTO_TIMING_SAFE_EQUAL_LENGTH");
  return host.equal(left, right);
}

export function pbkdf2Sync(password, salt, iterations, size, digest) {
  if (typeof host.pbkdf2 !== "function") throw withCode(new Error("pbkdf2 is not available in this version of Dormouse."), "ERR_METHOD_NOT_IMPLEMENTED");
  return Buffer.from(host.pbkdf2(hashName(digest), toBytes(password, "utf8", "password"), toBytes(salt, "utf8", "salt"), iterations, size));
}
export function pbkdf2(password, salt, iterations, size, digest, callback) {
  const derived = pbkdf2Sync(password, salt, iterations, size, digest);
  later(callback, derived);
}

const absent = absentModule("node:crypto", [
  "createCipheriv", "createDecipheriv", "createSign", "createVerify", "createPrivateKey", "createPublicKey", "createDiffieHellman",
  "createECDH", "generateKeyPair", "generateKeyPairSync", "publicEncrypt", "privateDecrypt", "scrypt", "scryptSync", "hkdf", "hkdfSync",
  "sign", "verify", "X509Certificate", "Sign", "Verify", "ECDH", "DiffieHellman", "generateKey", "generateKeySync", "generatePrime",
  "checkPrime", "diffieHellman", "getDiffieHellman",
]);
export const {
  createCipheriv, createDecipheriv, createSign, createVerify, createPrivateKey, createPublicKey, createDiffieHellman, createECDH,
  generateKeyPair, generateKeyPairSync, publicEncrypt, privateDecrypt, scrypt, scryptSync, hkdf, hkdfSync, sign, verify, X509Certificate,
} = absent;

export const getCiphers = () => [];
export const getCurves = () => [];
export const constants = Object.freeze({});
/* Methods of the global object insist on their own `this`; these are looked up when they are called. */
export const getRandomValues = (view) => globalThis.crypto.getRandomValues(view);

const late = {
  get webcrypto() {
    return globalThis.crypto;
  },
  get subtle() {
    return globalThis.crypto.subtle;
  },
};

export function cryptoModule() {
  const all = {
    ...absent.default, createHash, createHmac, createSecretKey, constants, getCiphers, getCurves, getHashes, getRandomValues, hash, Hash, Hmac,
    KeyObject, pbkdf2, pbkdf2Sync, pseudoRandomBytes, randomBytes, randomFill, randomFillSync, randomInt, randomUUID, timingSafeEqual,
    webcrypto: late.webcrypto, subtle: late.subtle,
  };
  return { ...all, default: all };
}
