/*
 * subtle: SubtleCrypto and CryptoKey (Web Crypto standard, with workerd's texts).
 *
 * Here: digests, HMAC, HKDF, and importing and exporting of secret keys (raw, jwk). AES, PBKDF2 and public keys go through the host's
 * `cipher`, `pbkdf2`, `sign`… when it has them; until then they fail with NotSupportedError.
 */
import { host, needAwake } from "../core/host.js";
import { bytesOf, copyBytes, finish } from "./util.js";

const HASHES = { "SHA-1": [20, 64, "HS1"], "SHA-256": [32, 64, "HS256"], "SHA-384": [48, 128, "HS384"], "SHA-512": [64, 128, "HS512"], MD5: [16, 64, undefined] };
const HKDF_BLOCKS_MAX = 255; /* RFC 5869 */
const USAGES = ["encrypt", "decrypt", "sign", "verify", "deriveKey", "deriveBits", "wrapKey", "unwrapKey"];
let keyParts;

const fail = (name, text) => new DOMException(text, name);

function nameOf(algorithm) {
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

function hashField(algorithm) {
  if (algorithm?.hash === undefined) throw new TypeError('Missing field "hash" in "algorithm".');
  return digestName(algorithm.hash);
}

function needBytes(value, operation, index) {
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

function makeKey(extractable, algorithm, usages, secret) {
  return new CryptoKey(keyParts, "secret", extractable, algorithm, usages, secret);
}

/* Checks that KEY may be used for OPERATION under ALGORITHM; returns the canonical algorithm name. */
function needKey(key, algorithm, usage) {
  if (!keyParts.brand(key)) throw new TypeError(`Failed to execute '${usage}' on 'SubtleCrypto': parameter 2 is not of type 'CryptoKey'.`);
  const name = nameOf(algorithm);
  const { name: own } = key.algorithm;
  if (name.toUpperCase() !== own.toUpperCase())
    throw fail("InvalidAccessError", `Requested algorithm "${name}" does not match this CryptoKey's algorithm "${own}".`);
  if (!key.usages.includes(usage))
    throw fail("InvalidAccessError", `Requested key usage "${usage}" does not match any usage listed in this CryptoKey.`);
  return own;
}

function needUsages(usages, allowed, what) {
  const list = [...usages];
  for (const usage of list) {
    if (!USAGES.includes(usage)) throw fail("SyntaxError", `Unrecognized key usage "${usage}".`);
    if (!allowed.includes(usage)) throw fail("SyntaxError", `Attempt to ${what} with invalid usage "${usage}".`);
  }
  if (list.length === 0) throw fail("SyntaxError", "Secret/private CryptoKeys must have at least one usage.");
  return list;
}

/* ---- algorithms of secret keys --------------------------------------------------------------------------------------- */

const base64url = (bytes) => host.btoa(host.latin1(bytes)).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");

function fromBase64url(text) {
  const binary = /^[\w-]*$/.test(text) ? host.atob(text.replaceAll("-", "+").replaceAll("_", "/")) : undefined;
  if (binary === undefined) throw fail("DataError", "Invalid base64url in the JWK's \"k\".");
  return Uint8Array.from(binary, (c) => c.charCodeAt(0));
}

/* What each algorithm does with its keys: USAGES; MAKE(algorithm, bytes) → algorithm object of the key; JWK(key) → its "alg". */
const SECRETS = {
  HMAC: {
    usages: ["sign", "verify"],
    make(algorithm, bytes) {
      const hash = hashField(algorithm);
      const bits = bytes.byteLength * 8;
      const length = algorithm.length === undefined ? bits : Number(algorithm.length);
      if (length === 0 || length > bits || length <= bits - 8)
        throw fail("DataError", `Imported HMAC key length (${length}) must be a non-zero value up to 7 bits less than, and no greater ` +
          `than, the bit length of the raw key data (${bits}).`);
      return { name: "HMAC", hash: { name: hash }, length };
    },
    size: (algorithm) => (algorithm.length === undefined ? HASHES[hashField(algorithm)][1] : Math.ceil(Number(algorithm.length) / 8)),
    jwk: (key) => HASHES[key.algorithm.hash.name][2],
  },
  HKDF: { usages: ["deriveKey", "deriveBits"], make: () => ({ name: "HKDF" }), isFinal: true },
  PBKDF2: { usages: ["deriveKey", "deriveBits"], make: () => ({ name: "PBKDF2" }), isFinal: true },
  "AES-GCM": aes("AES-GCM", ["encrypt", "decrypt", "wrapKey", "unwrapKey"], "GCM"),
  "AES-CBC": aes("AES-CBC", ["encrypt", "decrypt", "wrapKey", "unwrapKey"], "CBC"),
  "AES-CTR": aes("AES-CTR", ["encrypt", "decrypt", "wrapKey", "unwrapKey"], "CTR"),
  "AES-KW": aes("AES-KW", ["wrapKey", "unwrapKey"], "KW"),
};

function aes(name, usages, suffix) {
  return {
    usages,
    make(_algorithm, bytes) {
      const length = bytes.byteLength * 8;
      if (length !== 128 && length !== 192 && length !== 256)
        throw fail("DataError", `Imported AES key length must be 128, 192, or 256 bits but provided ${length}.`);
      return { name, length };
    },
    size(algorithm) {
      const length = Number(algorithm.length);
      if (length !== 128 && length !== 192 && length !== 256)
        throw fail("OperationError", `Generated AES key length must be 128, 192, or 256 bits but requested ${algorithm.length}.`);
      return length / 8;
    },
    jwk: (key) => `A${key.algorithm.length}${suffix}`,
  };
}

function secretKind(algorithm, doing) {
  const name = nameOf(algorithm);
  const canonical = Object.keys(SECRETS).find((one) => one.toUpperCase() === name.toUpperCase());
  if (canonical === undefined) throw fail("NotSupportedError", `Unrecognized key ${doing} algorithm "${name}" requested.`);
  return canonical;
}

/* A native of the host that may not be there yet. */
function need(native, what) {
  if (typeof host[native] !== "function") throw fail("NotSupportedError", `${what} is not available in this version of Dormouse.`);
  return host[native];
}

/* The parameters of a cipher, for host.cipher(op, alg, params, key, bytes) → ArrayBuffer or undefined when authentication failed. */
function cipherParams(name, algorithm) {
  const iv = name === "AES-CTR" ? algorithm.counter : algorithm.iv;
  if (name !== "AES-KW" && bytesOf(iv) === undefined)
    throw new TypeError(`Missing field "${name === "AES-CTR" ? "counter" : "iv"}" in "algorithm".`);
  if (name === "AES-CBC" && bytesOf(iv).byteLength !== 16) throw fail("OperationError", `AES-CBC IV must be 16 bytes long (provided ${bytesOf(iv).byteLength} bytes).`);
  return {
    iv: name === "AES-KW" ? undefined : bytesOf(iv),
    additionalData: algorithm.additionalData === undefined ? undefined : bytesOf(algorithm.additionalData),
    tagLength: algorithm.tagLength === undefined ? 128 : Number(algorithm.tagLength),
    counterBits: algorithm.length === undefined ? 0 : Number(algorithm.length),
  };
}

function runCipher(op, name, algorithm, key, bytes) {
  const cipher = need("cipher", name);
  const result = cipher.call(host, op, name, cipherParams(name, algorithm), keyParts.secret(key), bytes);
  if (result === undefined)
    throw fail("OperationError", op === "decrypt" ? "Decryption failed. This could be due to a ciphertext authentication failure, bad padding, incorrect CryptoKey, or another algorithm-specific reason." : `${name} failed.`);
  return result;
}

/* RFC 5869, over HMAC. */
function hkdf(algorithm, secret, bits) {
  const hash = hashField(algorithm);
  const salt = bytesOf(algorithm.salt);
  const info = bytesOf(algorithm.info);
  if (salt === undefined || info === undefined) throw new TypeError(`Missing field "${salt === undefined ? "salt" : "info"}" in "algorithm".`);
  const size = HASHES[hash][0];
  const wanted = bits / 8;
  if (wanted > HKDF_BLOCKS_MAX * size) throw fail("OperationError", `Derived key length (${bits} bits) is too large.`);
  const prk = new Uint8Array(host.hmac(hash, salt.byteLength === 0 ? new Uint8Array(size) : salt, secret));
  const out = new Uint8Array(Math.ceil(wanted / size) * size);
  let block = new Uint8Array(0);
  for (let i = 1; (i - 1) * size < wanted; i++) {
    const input = new Uint8Array(block.byteLength + info.byteLength + 1);
    input.set(block, 0);
    input.set(info, block.byteLength);
    input[input.byteLength - 1] = i;
    block = new Uint8Array(host.hmac(hash, prk, input));
    out.set(block, (i - 1) * size);
  }
  return out.slice(0, wanted).buffer;
}

function deriveBits(algorithm, key, length) {
  const name = key.algorithm.name;
  if (length === null || length === undefined || length % 8 !== 0)
    throw fail("OperationError", `Cannot derive a key whose length (${length} bits) is not a multiple of 8.`);
  if (name === "HKDF") return hkdf(algorithm, keyParts.secret(key), Number(length));
  const pbkdf2 = need("pbkdf2", "PBKDF2");
  const iterations = Number(algorithm.iterations);
  if (!(iterations >= 1)) throw fail("OperationError", `PBKDF2 iteration counts must be at least 1 (requested ${algorithm.iterations}).`);
  return pbkdf2.call(host, hashField(algorithm), keyParts.secret(key), needBytes(algorithm.salt, "deriveBits", 1), iterations, Number(length) / 8);
}

function importSecret(format, data, algorithm, extractable, usages) {
  const name = secretKind(algorithm, "import");
  const kind = SECRETS[name];
  let bytes;
  if (format === "raw") {
    bytes = copyBytes(needBytes(data, "importKey", 2));
  } else if (format === "jwk") {
    if (data === null || typeof data !== "object" || data.kty !== "oct")
      throw fail("DataError", `Symmetric "jwk" key import requires a JSON Web Key with Key Type parameter "kty" equal to "oct".`);
    bytes = fromBase64url(`${data.k}`);
  } else {
    throw fail("NotSupportedError", `Unrecognized import format "${format}" requested for a secret key.`);
  }
  const list = needUsages(usages, kind.usages, `import secret ${name} key`);
  if (kind.isFinal && extractable) throw fail("SyntaxError", `${name} keys must not be extractable.`);
  const made = kind.make(typeof algorithm === "object" ? algorithm : {}, bytes);
  if (format === "jwk" && data.alg !== undefined) {
    const probe = makeKey(true, made, list, bytes);
    if (kind.jwk !== undefined && kind.jwk(probe) !== undefined && kind.jwk(probe) !== data.alg)
      throw fail("DataError", `JSON Web Key Algorithm parameter "alg" ("${data.alg}") does not match requested ${name} curve.`);
  }
  return makeKey(!!extractable, made, list, bytes);
}

function exportSecret(format, key) {
  if (!keyParts.brand(key)) throw new TypeError("Failed to execute 'exportKey' on 'SubtleCrypto': parameter 2 is not of type 'CryptoKey'.");
  const { name } = key.algorithm;
  if (!key.extractable) throw fail("InvalidAccessError", `Attempt to export non-extractable ${name} key.`);
  const secret = keyParts.secret(key);
  if (format === "raw") return copyBytes(secret).buffer;
  if (format !== "jwk") throw fail("NotSupportedError", `Unrecognized export format "${format}" requested.`);
  return { kty: "oct", key_ops: [...key.usages], alg: SECRETS[name].jwk?.(key), ext: key.extractable, k: base64url(secret) };
}

/* ---- the interface: every method answers with a promise, also for its failures ----------------------------------------- */

const promised = (work) => {
  try {
    return Promise.resolve(work());
  } catch (error) {
    return Promise.reject(error);
  }
};

export class SubtleCrypto {
  constructor(made) {
    if (typeof made !== "symbol") throw new TypeError("Illegal constructor");
  }

  digest(algorithm, data) {
    return promised(() => host.digest(digestName(algorithm), needBytes(data, "digest", 2)));
  }

  sign(algorithm, key, data) {
    return promised(() => {
      const name = needKey(key, algorithm, "sign");
      if (name !== "HMAC") throw fail("NotSupportedError", `${name} is not available in this version of Dormouse.`);
      return host.hmac(key.algorithm.hash.name, keyParts.secret(key), needBytes(data, "sign", 3));
    });
  }

  verify(algorithm, key, signature, data) {
    return promised(() => {
      const name = needKey(key, algorithm, "verify");
      if (name !== "HMAC") throw fail("NotSupportedError", `${name} is not available in this version of Dormouse.`);
      const given = needBytes(signature, "verify", 3);
      const wanted = host.hmac(key.algorithm.hash.name, keyParts.secret(key), needBytes(data, "verify", 4));
      return given.byteLength === wanted.byteLength && host.equal(given, wanted);
    });
  }

  encrypt(algorithm, key, data) {
    return promised(() => runCipher("encrypt", needKey(key, algorithm, "encrypt"), algorithm, key, needBytes(data, "encrypt", 3)));
  }
  decrypt(algorithm, key, data) {
    return promised(() => runCipher("decrypt", needKey(key, algorithm, "decrypt"), algorithm, key, needBytes(data, "decrypt", 3)));
  }

  generateKey(algorithm, extractable, usages) {
    return promised(() => {
      needAwake();
      const name = secretKind(algorithm, "generation");
      const kind = SECRETS[name];
      if (kind.size === undefined) throw fail("NotSupportedError", `Unrecognized key generation algorithm "${name}" requested.`);
      const bytes = new Uint8Array(kind.size(algorithm));
      const list = needUsages(usages, kind.usages, `generate ${name} key`);
      host.random(bytes);
      return makeKey(!!extractable, kind.make(algorithm, bytes), list, bytes);
    });
  }

  deriveBits(algorithm, key, length) {
    return promised(() => {
      needKey(key, algorithm, "deriveBits");
      return deriveBits(algorithm, key, length);
    });
  }
  deriveKey(algorithm, key, derived, extractable, usages) {
    return promised(() => {
      needKey(key, algorithm, "deriveKey");
      const name = secretKind(derived, "import");
      const { size } = SECRETS[name];
      if (size === undefined) throw fail("NotSupportedError", `Unrecognized key import algorithm "${name}" requested.`);
      const bits = deriveBits(algorithm, key, size(derived) * 8);
      return importSecret("raw", bits, derived, extractable, usages);
    });
  }

  importKey(format, data, algorithm, extractable, usages) {
    return promised(() => importSecret(`${format}`, data, algorithm, extractable, usages));
  }
  exportKey(format, key) {
    return promised(() => exportSecret(`${format}`, key));
  }

  wrapKey(format, key, wrapping, algorithm) {
    return promised(() => {
      const name = needKey(wrapping, algorithm, "wrapKey");
      const exported = exportSecret(`${format}`, key);
      const bytes = exported instanceof ArrayBuffer ? new Uint8Array(exported) : host.utf8(JSON.stringify(exported));
      return runCipher("encrypt", name, algorithm, wrapping, bytes);
    });
  }
  unwrapKey(format, wrapped, unwrapping, algorithm, keyAlgorithm, extractable, usages) {
    return promised(() => {
      const name = needKey(unwrapping, algorithm, "unwrapKey");
      const bytes = runCipher("decrypt", name, algorithm, unwrapping, needBytes(wrapped, "unwrapKey", 2));
      const data = format === "jwk" ? JSON.parse(host.text(bytes, false, false)) : bytes;
      return importSecret(`${format}`, data, keyAlgorithm, extractable, usages);
    });
  }

  timingSafeEqual(a, b) {
    const left = needBytes(a, "timingSafeEqual", 1);
    const right = needBytes(b, "timingSafeEqual", 2);
    if (left.byteLength !== right.byteLength) throw new TypeError("Input buffers must have the same byte length.");
    return host.equal(left, right);
  }
}
finish(SubtleCrypto, "SubtleCrypto", 0);
