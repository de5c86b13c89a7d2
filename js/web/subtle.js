/*
 * subtle: SubtleCrypto (Web Crypto standard, with workerd's texts).
 *
 * Digests, HMAC and HKDF are always there; AES, PBKDF2 and key pairs need optional natives of the host (docs/host-interface.md) and fail
 * with NotSupportedError without them.
 */
import { host, needAwake } from "../core/host.js";
import { CryptoKey, digestName, fail, keyParts, makeKey, needBytes, needKey, needUsages } from "./subtle_key.js";
import { cipherPublic, deriveShared, exportPublic, generatePair, importPublic, publicKind, signPublic, verifyPublic } from "./subtle_public.js";
import { deriveSecretBits, exportSecret, importSecret, runCipher, secretKind, SECRETS } from "./subtle_secret.js";
import { finish } from "./util.js";

const promised = (work) => {
  try {
    return Promise.resolve(work());
  } catch (error) {
    return Promise.reject(error);
  }
};

/* The one of the two families that an algorithm or a key belongs to. */
const crypt = (op, name, algorithm, key, bytes) =>
  (name === "RSA-OAEP" ? cipherPublic(op, algorithm, key, bytes) : runCipher(op, name, algorithm, key, bytes));
const deriveAny = (algorithm, key, length) =>
  (key.type === "private" ? deriveShared(algorithm, key, length) : deriveSecretBits(algorithm, key, length));
const importAny = (format, data, algorithm, extractable, usages) =>
  (publicKind(algorithm) === undefined ? importSecret : importPublic)(format, data, algorithm, extractable, usages);

function exportAny(format, key) {
  if (!keyParts.brand(key)) throw new TypeError("Failed to execute 'exportKey' on 'SubtleCrypto': parameter 2 is not of type 'CryptoKey'.");
  if (!key.extractable) throw fail("InvalidAccessError", `Attempt to export non-extractable ${key.algorithm.name} key.`);
  return key.type === "secret" ? exportSecret(format, key) : exportPublic(format, key);
}

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
      const bytes = needBytes(data, "sign", 3);
      if (name === "HMAC") return host.hmac(key.algorithm.hash.name, keyParts.secret(key), bytes);
      return signPublic(name, algorithm, key, bytes);
    });
  }

  verify(algorithm, key, signature, data) {
    return promised(() => {
      const name = needKey(key, algorithm, "verify");
      const given = needBytes(signature, "verify", 3);
      const bytes = needBytes(data, "verify", 4);
      if (name !== "HMAC") return verifyPublic(name, algorithm, key, given, bytes);
      const wanted = host.hmac(key.algorithm.hash.name, keyParts.secret(key), bytes);
      return given.byteLength === wanted.byteLength && host.equal(given, wanted);
    });
  }

  encrypt(algorithm, key, data) {
    return promised(() => crypt("encrypt", needKey(key, algorithm, "encrypt"), algorithm, key, needBytes(data, "encrypt", 3)));
  }
  decrypt(algorithm, key, data) {
    return promised(() => crypt("decrypt", needKey(key, algorithm, "decrypt"), algorithm, key, needBytes(data, "decrypt", 3)));
  }

  generateKey(algorithm, extractable, usages) {
    return promised(() => {
      needAwake();
      if (publicKind(algorithm) !== undefined) return generatePair(algorithm, extractable, usages);
      const name = secretKind(algorithm, "generation");
      const kind = SECRETS[name];
      if (kind.size === undefined) throw fail("NotSupportedError", `Unrecognized key generation algorithm "${name}" requested.`);
      const bytes = new Uint8Array(kind.size(algorithm));
      const list = needUsages(usages, kind.usages, `generate ${name} key`);
      host.random(bytes);
      return makeKey("secret", !!extractable, kind.make(algorithm, bytes), list, bytes);
    });
  }

  deriveBits(algorithm, key, length) {
    return promised(() => {
      needKey(key, algorithm, "deriveBits");
      return deriveAny(algorithm, key, length);
    });
  }
  deriveKey(algorithm, key, derived, extractable, usages) {
    return promised(() => {
      needKey(key, algorithm, "deriveKey");
      const name = secretKind(derived, "import");
      const { size } = SECRETS[name];
      if (size === undefined) throw fail("NotSupportedError", `Unrecognized key import algorithm "${name}" requested.`);
      const bits = deriveAny(algorithm, key, size(derived) * 8);
      return importSecret("raw", bits, derived, extractable, usages);
    });
  }

  importKey(format, data, algorithm, extractable, usages) {
    return promised(() => importAny(`${format}`, data, algorithm, extractable, usages));
  }
  exportKey(format, key) {
    return promised(() => exportAny(`${format}`, key));
  }

  wrapKey(format, key, wrapping, algorithm) {
    return promised(() => {
      const name = needKey(wrapping, algorithm, "wrapKey");
      const exported = exportAny(`${format}`, key);
      const bytes = exported instanceof ArrayBuffer ? new Uint8Array(exported) : host.utf8(JSON.stringify(exported));
      return crypt("encrypt", name, algorithm, wrapping, bytes);
    });
  }
  unwrapKey(format, wrapped, unwrapping, algorithm, keyAlgorithm, extractable, usages) {
    return promised(() => {
      const name = needKey(unwrapping, algorithm, "unwrapKey");
      const bytes = crypt("decrypt", name, algorithm, unwrapping, needBytes(wrapped, "unwrapKey", 2));
      const data = format === "jwk" ? JSON.parse(host.text(bytes, false, false)) : bytes;
      return importAny(`${format}`, data, keyAlgorithm, extractable, usages);
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

export { CryptoKey, digestName };
