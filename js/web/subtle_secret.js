/*
 * subtle_secret: the algorithms of secret keys: HMAC, HKDF, PBKDF2, AES.
 */
import { host } from "../core/host.js";
import { base64url, fail, fromBase64url, hashField, HASHES, keyParts, makeKey, nameOf, need, needBytes, needUsages } from "./subtle_key.js";
import { bytesOf, copyBytes } from "./util.js";

const HKDF_BLOCKS_MAX = 255; /* RFC 5869 */
const GCM_TAGS = [32, 64, 96, 104, 112, 120, 128]; /* bits; NIST SP 800-38D */

/* What each algorithm does with its keys: USAGES; MAKE(algorithm, bytes) → algorithm object of the key; JWK(key) → its "alg". */
export const SECRETS = {
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

export function secretKind(algorithm, doing) {
  const name = nameOf(algorithm);
  const canonical = Object.keys(SECRETS).find((one) => one.toUpperCase() === name.toUpperCase());
  if (canonical === undefined) throw fail("NotSupportedError", `Unrecognized key ${doing} algorithm "${name}" requested.`);
  return canonical;
}

/* The parameters of a cipher, for host.cipher(op, alg, params, key, bytes) → ArrayBuffer or undefined when authentication failed. */
function cipherParams(name, algorithm) {
  const iv = name === "AES-CTR" ? algorithm.counter : algorithm.iv;
  if (name !== "AES-KW" && bytesOf(iv) === undefined)
    throw new TypeError(`Missing field "${name === "AES-CTR" ? "counter" : "iv"}" in "algorithm".`);
  if (name === "AES-CBC" && bytesOf(iv).byteLength !== 16) throw fail("OperationError", `AES-CBC IV must be 16 bytes long (provided ${bytesOf(iv).byteLength} bytes).`);
  if (name === "AES-GCM" && algorithm.tagLength !== undefined && !GCM_TAGS.includes(Number(algorithm.tagLength)))
    throw fail("OperationError", `Invalid AES-GCM tag length ${algorithm.tagLength}.`);
  return {
    iv: name === "AES-KW" ? undefined : bytesOf(iv),
    additionalData: algorithm.additionalData === undefined ? undefined : bytesOf(algorithm.additionalData),
    tagLength: algorithm.tagLength === undefined ? 128 : Number(algorithm.tagLength),
    counterBits: algorithm.length === undefined ? 0 : Number(algorithm.length),
  };
}

const FAILED = "Decryption failed. This could be due to a ciphertext authentication failure, bad padding, incorrect CryptoKey, or another " +
  "algorithm-specific reason. ";

export function runCipher(op, name, algorithm, key, bytes) {
  const cipher = need("cipher", name);
  const params = cipherParams(name, algorithm);
  if (op === "decrypt" && name === "AES-GCM" && bytes.byteLength * 8 < params.tagLength)
    throw fail("OperationError", `Ciphertext length of ${bytes.byteLength * 8} bits must be greater than or equal to the size of the AES-GCM ` +
      `tag length of ${params.tagLength} bits.`);
  const result = cipher.call(host, op, name, params, keyParts.secret(key), bytes);
  if (result !== undefined) return result;
  if (op === "encrypt") throw fail("OperationError", `${name} failed.`);
  const size = bytes.byteLength - params.tagLength / 8;
  throw fail("OperationError", name === "AES-GCM" ? `${FAILED}Input length was ${size}, output length expected to be ${size} for AES-GCM` : FAILED.trim());
}

/* RFC 5869, over HMAC. */
function hkdf(algorithm, secret, bits) {
  const hash = hashField(algorithm);
  const salt = bytesOf(algorithm.salt);
  const info = bytesOf(algorithm.info);
  if (salt === undefined || info === undefined) throw new TypeError(`Missing field "${salt === undefined ? "salt" : "info"}" in "algorithm".`);
  const size = HASHES[hash][0];
  const wanted = bits / 8;
  if (wanted > HKDF_BLOCKS_MAX * size) throw fail("OperationError", "HKDF deriveBits failed.");
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

export function deriveSecretBits(algorithm, key, length) {
  const name = key.algorithm.name;
  if (length === null || length === undefined || length % 8 !== 0)
    throw fail("OperationError", `${name} requires a derived key length that is a multiple of eight (requested ${length}).`);
  if (name === "HKDF") return hkdf(algorithm, keyParts.secret(key), Number(length));
  const pbkdf2 = need("pbkdf2", "PBKDF2");
  const iterations = Number(algorithm.iterations);
  if (!(iterations >= 1)) throw fail("OperationError", `PBKDF2 iteration counts must be at least 1 (requested ${algorithm.iterations}).`);
  return pbkdf2.call(host, hashField(algorithm), keyParts.secret(key), needBytes(algorithm.salt, "deriveBits", 1), iterations, Number(length) / 8);
}

function keyText(name, text) {
  try {
    return fromBase64url(`${text}`);
  } catch {
    throw fail("DataError", `${name} "jwk" key import requires a base64Url encoding of the key`);
  }
}

export function importSecret(format, data, algorithm, extractable, usages) {
  const name = secretKind(algorithm, "import");
  const kind = SECRETS[name];
  let bytes;
  if (format === "raw") {
    bytes = copyBytes(needBytes(data, "importKey", 2));
  } else if (format === "jwk") {
    if (data === null || typeof data !== "object" || data.kty !== "oct")
      throw fail("DataError", `${name} "jwk" key import requires a JSON Web Key with Key Type parameter ("kty") equal to "oct" (encountered "${data?.kty}").`);
    bytes = keyText(name, data.k);
  } else {
    throw fail("NotSupportedError", `Unrecognized key import format "${format}".`);
  }
  const list = needUsages(usages, kind.usages, `import secret ${name} key`);
  if (kind.isFinal && extractable) throw fail("SyntaxError", `${name} key cannot be extractable.`);
  const made = kind.make(typeof algorithm === "object" ? algorithm : {}, bytes);
  if (format === "jwk" && data.alg !== undefined) {
    const wanted = kind.jwk?.(makeKey("secret", true, made, list, bytes));
    if (wanted !== undefined && wanted !== data.alg)
      throw fail("DataError", `${name} "jwk" key import specifies "alg" that is incompatible with the hash name (encountered "${data.alg}", expected "${wanted}").`);
  }
  return makeKey("secret", !!extractable, made, list, bytes);
}

export function exportSecret(format, key) {
  const { name } = key.algorithm;
  const secret = keyParts.secret(key);
  if (format === "raw") return copyBytes(secret).buffer;
  if (format !== "jwk") throw fail("NotSupportedError", `Unimplemented key export format "${format}".`);
  return { kty: "oct", key_ops: [...key.usages], alg: SECRETS[name].jwk?.(key), ext: key.extractable, k: base64url(secret) };
}
