/*
 * subtle_public: the algorithms of key pairs: RSA, ECDSA, ECDH, Ed25519, X25519.
 *
 * A key is DER (SPKI, PKCS #8); the mathematics are the host's (optional natives keyImport, keyExport, keyGenerate, sign, verify, derive).
 */
import { host } from "../core/host.js";
import { digestName, fail, fromBase64url, hashField, keyParts, makeKey, nameOf, need, needBytes, needUsages } from "./subtle_key.js";
import { bytesOf, exactBuffer } from "./util.js";

const CURVES = { "P-256": 256, "P-384": 384, "P-521": 528 }; /* bits of a shared secret, in whole bytes */
const RSA_ALG = { "RSASSA-PKCS1-v1_5": "RS", "RSA-PSS": "PS", "RSA-OAEP": "RSA-OAEP" };

/* What a key of each kind may do. */
const PUBLIC = {
  "RSASSA-PKCS1-v1_5": { kty: "RSA", public: ["verify"], private: ["sign"] },
  "RSA-PSS": { kty: "RSA", public: ["verify"], private: ["sign"] },
  "RSA-OAEP": { kty: "RSA", public: ["encrypt", "wrapKey"], private: ["decrypt", "unwrapKey"] },
  ECDSA: { kty: "EC", public: ["verify"], private: ["sign"] },
  ECDH: { kty: "EC", public: [], private: ["deriveKey", "deriveBits"] },
  Ed25519: { kty: "OKP", public: ["verify"], private: ["sign"] },
  X25519: { kty: "OKP", public: [], private: ["deriveKey", "deriveBits"] },
};

/* The canonical name of an algorithm of this file, or undefined. */
export function publicKind(algorithm) {
  const name = nameOf(algorithm).toUpperCase();
  return Object.keys(PUBLIC).find((one) => one.toUpperCase() === name);
}

/* What the host calls the kind of key: "RSA", or the curve. */
function hostAlg(name, algorithm) {
  const { kty } = PUBLIC[name];
  if (kty === "RSA") return "RSA";
  if (kty === "OKP") return name;
  if (!Object.hasOwn(CURVES, algorithm.namedCurve))
    throw fail("NotSupportedError", `Unrecognized or unimplemented EC curve "${algorithm.namedCurve}" requested.`);
  return algorithm.namedCurve;
}

/* The algorithm object of a key; INFO: what the host says of an RSA key. */
function keyAlgorithm(name, algorithm, info) {
  const { kty } = PUBLIC[name];
  if (kty === "OKP") return { name };
  if (kty === "EC") return { name, namedCurve: algorithm.namedCurve };
  return { name, modulusLength: info.modulusLength, publicExponent: fromBase64url(info.publicExponent), hash: { name: hashField(algorithm) } };
}

function importData(format, data, name) {
  const { kty } = PUBLIC[name];
  if (format !== "jwk") return needBytes(data, "importKey", 2);
  if (data === null || typeof data !== "object") throw new TypeError("JSON Web Key is not an object.");
  if (data.kty !== kty) {
    const what = kty === "RSA" ? "RSASSA-PKCS1-v1_5" : kty === "EC" ? "Elliptic curve" : name;
    throw fail("DataError", `${what} "jwk" key import requires a JSON Web Key with Key Type parameter "kty" ("${data.kty}") equal to "${kty}".`);
  }
  return JSON.stringify(data);
}

function invalidData(format, name) {
  if (format === "spki") return fail("DataError", "Invalid SPKI input.");
  if (format === "pkcs8") return fail("DataError", "Invalid PKCS8 input.");
  if (format === "raw") return fail("DataError", `Failed to import raw ${PUBLIC[name].kty} key data.`);
  return fail("DataError", `Invalid ${name} JSON Web Key.`);
}

export function importPublic(format, data, algorithm, extractable, usages) {
  const name = publicKind(algorithm);
  const kind = PUBLIC[name];
  const given = typeof algorithm === "object" && algorithm !== null ? algorithm : {};
  const alg = hostAlg(name, given);
  if (kind.kty === "RSA") hashField(given);
  if (!["spki", "pkcs8", "jwk"].includes(format) && !(format === "raw" && kind.kty !== "RSA"))
    throw fail("NotSupportedError", `Unrecognized key import format "${format}" requested.`);
  const found = need("keyImport", name).call(host, format, alg, importData(format, data, name));
  if (found === undefined) throw invalidData(format, name);
  const [type, der, infoText] = found;
  const info = JSON.parse(infoText);
  if (kind.kty === "EC" && info.namedCurve !== given.namedCurve)
    throw fail("DataError", `"algorithm.namedCurve" "${given.namedCurve}" does not match the curve specified by the input key data.`);
  const allowed = kind[type];
  const list = [...usages];
  for (const usage of list)
    if (!allowed.includes(usage)) throw fail("SyntaxError", `Attempt to import ${type} ${name} key with invalid usage "${usage}".`);
  if (type === "private" && list.length === 0) throw fail("SyntaxError", "Secret/private CryptoKeys must have at least one usage.");
  return makeKey(type, !!extractable, keyAlgorithm(name, given, info), list, new Uint8Array(der));
}

function jwkAlg(key) {
  const { name, hash } = key.algorithm;
  if (name === "Ed25519") return "EdDSA";
  if (RSA_ALG[name] === undefined) return undefined;
  const bits = hash.name.slice(4);
  return name === "RSA-OAEP" ? (bits === "1" ? "RSA-OAEP" : `RSA-OAEP-${bits}`) : RSA_ALG[name] + bits;
}

export function exportPublic(format, key) {
  const { name } = key.algorithm;
  if (format === "raw" && key.type !== "public")
    throw fail("InvalidAccessError", "Raw export of elliptic curve keys is only allowed for public keys.");
  if (format === "spki" && key.type !== "public") throw fail("InvalidAccessError", `Asymmetric spki export requires public key (not "${key.type}").`);
  if (format === "pkcs8" && key.type !== "private") throw fail("InvalidAccessError", `Asymmetric pkcs8 export requires private key (not "${key.type}").`);
  if (!["raw", "spki", "pkcs8", "jwk"].includes(format) || (format === "raw" && PUBLIC[name].kty === "RSA"))
    throw fail("NotSupportedError", `Unrecognized export format "${format}" requested.`);
  const der = keyParts.secret(key);
  if (format === "spki" || format === "pkcs8") return exactBuffer(der.slice());
  const exported = need("keyExport", name).call(host, format, der);
  if (format === "raw") return exported;
  const { kty, ...rest } = JSON.parse(exported);
  const alg = jwkAlg(key);
  return { kty, key_ops: [...key.usages], ...(alg === undefined ? {} : { alg }), ext: key.extractable, ...rest };
}

export function generatePair(algorithm, extractable, usages) {
  const name = publicKind(algorithm);
  const kind = PUBLIC[name];
  const given = typeof algorithm === "object" && algorithm !== null ? algorithm : {};
  const alg = hostAlg(name, given);
  const list = [...usages];
  for (const usage of list)
    if (!kind.public.includes(usage) && !kind.private.includes(usage))
      throw fail("SyntaxError", `Attempt to generate ${name} key with invalid usage "${usage}".`);
  if (!list.some((usage) => kind.private.includes(usage)))
    throw fail("SyntaxError", "Attempt to generate asymmetric keys with no valid private key usages.");
  if (kind.kty === "RSA") hashField(given);
  const exponent = kind.kty === "RSA" ? needBytes(given.publicExponent, "generateKey", 1) : undefined;
  const [publicDer, privateDer, infoText] = need("keyGenerate", name).call(host, alg, Number(given.modulusLength ?? 0), exponent);
  const info = JSON.parse(infoText);
  const make = (type, isExtractable, der) =>
    makeKey(type, isExtractable, keyAlgorithm(name, given, info), list.filter((usage) => kind[type].includes(usage)), new Uint8Array(der));
  return { publicKey: make("public", true, publicDer), privateKey: make("private", !!extractable, privateDer) };
}

/* What the host must know beyond the key: the hash, the salt of PSS. */
function signParams(name, algorithm, key) {
  if (name === "ECDSA") return { hash: hashField(algorithm) };
  if (name === "Ed25519") return {};
  const params = { hash: digestName(key.algorithm.hash) };
  if (name === "RSA-PSS") {
    if (algorithm.saltLength === undefined) throw new TypeError('Missing field "saltLength" in "algorithm".');
    params.saltLength = Number(algorithm.saltLength);
  }
  return params;
}

export function signPublic(name, algorithm, key, data) {
  return need("sign", name).call(host, name, signParams(name, algorithm, key), keyParts.secret(key), data);
}

export function verifyPublic(name, algorithm, key, signature, data) {
  return need("verify", name).call(host, name, signParams(name, algorithm, key), keyParts.secret(key), signature, data);
}

export function cipherPublic(op, algorithm, key, data) {
  const params = { hash: key.algorithm.hash.name, label: algorithm.label === undefined ? undefined : bytesOf(algorithm.label) };
  const result = need("cipher", "RSA-OAEP").call(host, op, "RSA-OAEP", params, keyParts.secret(key), data);
  if (result === undefined) throw fail("OperationError", `RSA-OAEP ${op} failed.`);
  return result;
}

/* ECDH and X25519: LENGTH bits of the secret that both sides share; null: all of it. */
export function deriveShared(algorithm, key, length) {
  const { name, namedCurve } = key.algorithm;
  const other = algorithm.public;
  if (!keyParts.brand(other)) throw new TypeError('Missing field "public" in "algorithm".');
  if (other.type !== "public") throw fail("InvalidAccessError", `The provided key has type "${other.type}", not "public"`);
  if (other.algorithm.name !== name || other.algorithm.namedCurve !== namedCurve)
    throw fail("InvalidAccessError", "The public key is of another algorithm or curve than the private key.");
  const secret = need("derive", name).call(host, namedCurve ?? name, keyParts.secret(key), keyParts.secret(other));
  if (length === null || length === undefined) return secret;
  const bits = secret.byteLength * 8;
  if (length > bits) throw fail("OperationError", `Derived key length (${length} bits) is too long (should be at most ${bits} bits).`);
  const cut = new Uint8Array(secret.slice(0, Math.ceil(length / 8)));
  if (length % 8 !== 0) cut[cut.length - 1] &= 0xff << (8 - (length % 8));
  return cut.buffer;
}
