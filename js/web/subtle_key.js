/*
 * subtle_key: CryptoKey and what every algorithm of SubtleCrypto needs. The bytes of a key never leave it except by exportKey().
 */
import { host } from "../core/host.js";
import { bytesOf, finish } from "./util.js";

export const HASHES = { "SHA-1": [20, 64, "HS1"], "SHA-256": [32, 64, "HS256"], "SHA-384": [48, 128, "HS384"], "SHA-512": [64, 128, "HS512"], MD5: [16, 64, undefined] };
export const USAGES = ["encrypt", "decrypt", "sign", "verify", "deriveKey", "deriveBits", "wrapKey", "unwrapKey"];
/* The inside of keys: secret(key), brand(value); also the token that lets the constructor run. */
export let keyParts;

export const fail = (name, text) => new DOMException(text, name);

export function nameOf(algorithm) {
  const name = typeof algorithm === "object" && algorithm !== null ? algorithm.name : algorithm;
  if (name === undefined) throw new TypeError('Missing field "name" in "algorithm".');
  return `${name}`;
}

/* The canonical name of a digest algorithm. */
export function digestName(algorithm) {
  const name = nameOf(algorithm).toUpperCase();
  if (!Object.hasOwn(HASHES, name)) throw fail("NotSupportedError", "Unrecognized or unimplemented digest algorithm requested.");
  return name;
}

export function hashField(algorithm) {
  if (algorithm?.hash === undefined) throw new TypeError('Missing field "hash" in "algorithm".');
  return digestName(algorithm.hash);
}

export function needBytes(value, operation, index) {
  const bytes = bytesOf(value);
  if (bytes === undefined)
    throw new TypeError(`Failed to execute '${operation}' on 'SubtleCrypto': parameter ${index} is not of type 'BufferSource'.`);
  return bytes;
}

export class CryptoKey {
  #type;
  #extractable;
  #algorithm;
  #usages;
  #secret;

  constructor(made, type, extractable, algorithm, usages, secret) {
    if (made !== keyParts) throw new TypeError("Illegal constructor");
    this.#type = type;
    this.#extractable = extractable;
    this.#algorithm = algorithm;
    this.#usages = USAGES.filter((usage) => usages.includes(usage));
    this.#secret = secret;
  }
  get type() {
    return this.#type;
  }
  get extractable() {
    return this.#extractable;
  }
  get algorithm() {
    return this.#algorithm;
  }
  get usages() {
    return this.#usages;
  }
  static {
    keyParts = { secret: (key) => key.#secret, brand: (value) => typeof value === "object" && value !== null && #secret in value };
  }
}
finish(CryptoKey, "CryptoKey", 0);

/* TYPE: "secret", "public" or "private"; SECRET: the bytes, or DER (SPKI, PKCS #8). */
export function makeKey(type, extractable, algorithm, usages, secret) {
  return new CryptoKey(keyParts, type, extractable, algorithm, usages, secret);
}

/* A native of the host that may not be there yet. */
export function need(native, what) {
  if (typeof host[native] !== "function") throw fail("NotSupportedError", `${what} is not available in this version of Dormouse.`);
  return host[native];
}

export const base64url = (bytes) => host.btoa(host.latin1(bytes)).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");

export function fromBase64url(text) {
  const binary = /^[\w-]*$/.test(text) ? host.atob(text.replaceAll("-", "+").replaceAll("_", "/")) : undefined;
  if (binary === undefined) throw fail("DataError", "Invalid base64url in a JSON Web Key.");
  return Uint8Array.from(binary, (c) => c.charCodeAt(0));
}

/* Checks that KEY may be used for OPERATION under ALGORITHM; returns the canonical algorithm name. */
export function needKey(key, algorithm, usage) {
  if (!keyParts.brand(key)) throw new TypeError(`Failed to execute '${usage}' on 'SubtleCrypto': parameter 2 is not of type 'CryptoKey'.`);
  const name = nameOf(algorithm);
  const { name: own } = key.algorithm;
  if (name.toUpperCase() !== own.toUpperCase())
    throw fail("InvalidAccessError", `Requested algorithm "${name}" does not match this CryptoKey's algorithm "${own}".`);
  if (!key.usages.includes(usage))
    throw fail("InvalidAccessError", `Requested key usage "${usage}" does not match any usage listed in this CryptoKey.`);
  return own;
}

export function needUsages(usages, allowed, what) {
  const list = [...usages];
  for (const usage of list) {
    if (!allowed.includes(usage)) throw fail("SyntaxError", `Attempt to ${what} with invalid usage "${usage}".`);
  }
  if (list.length === 0) throw fail("SyntaxError", "Secret/private CryptoKeys must have at least one usage.");
  return list;
}
