/*
 * mock-keys: the optional natives for ciphers and key pairs, with Node's own crypto.
 */
import {
  constants, createCipheriv, createDecipheriv, createPrivateKey, createPublicKey, diffieHellman, generateKeyPairSync, privateDecrypt,
  publicEncrypt, sign as nodeSign, verify as nodeVerify,
} from "node:crypto";

const HASH = { "SHA-1": "sha1", "SHA-256": "sha256", "SHA-384": "sha384", "SHA-512": "sha512" };
const EC = { "P-256": "prime256v1", "P-384": "secp384r1", "P-521": "secp521r1" };
const CURVE = { prime256v1: "P-256", secp384r1: "P-384", secp521r1: "P-521" };
const bytes = (buffer) => new Uint8Array(buffer);

function load(der) {
  const key = Buffer.from(der);
  try {
    return createPrivateKey({ key, format: "der", type: "pkcs8" });
  } catch {
    return createPublicKey({ key, format: "der", type: "spki" });
  }
}

function describe(key) {
  const { modulusLength, publicExponent, namedCurve } = key.asymmetricKeyDetails;
  if (modulusLength !== undefined) {
    const { e } = createPublicKey(key.type === "private" ? key.export({ format: "pem", type: "pkcs8" }) : key.export({ format: "pem", type: "spki" })).export({ format: "jwk" });
    return JSON.stringify({ modulusLength, publicExponent: e ?? String(publicExponent) });
  }
  return JSON.stringify(namedCurve === undefined ? {} : { namedCurve: CURVE[namedCurve] });
}
const derOf = (key) => bytes(key.export({ format: "der", type: key.type === "private" ? "pkcs8" : "spki" }));

function rawPublic(alg, data) {
  if (!EC[alg]) return createPublicKey({ key: { kty: "OKP", crv: alg, x: Buffer.from(data).toString("base64url") }, format: "jwk" });
  const size = (data.length - 1) / 2;
  const part = (from) => Buffer.from(data.subarray(from, from + size)).toString("base64url");
  if (data[0] !== 4) throw new Error("not an uncompressed point");
  return createPublicKey({ key: { kty: "EC", crv: alg, x: part(1), y: part(1 + size) }, format: "jwk" });
}

function parse(format, alg, data) {
  if (format === "jwk") {
    const jwk = JSON.parse(data);
    return jwk.d === undefined ? createPublicKey({ key: jwk, format: "jwk" }) : createPrivateKey({ key: jwk, format: "jwk" });
  }
  if (format === "raw") return rawPublic(alg, data);
  return format === "spki" ? createPublicKey({ key: Buffer.from(data), format: "der", type: "spki" })
    : createPrivateKey({ key: Buffer.from(data), format: "der", type: "pkcs8" });
}

const options = (alg, params, key) => ({
  key,
  ...(alg === "ECDSA" ? { dsaEncoding: "ieee-p1363" } : {}),
  ...(alg === "RSA-PSS" ? { padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: params.saltLength } : {}),
});
const hashOf = (params) => (params.hash === undefined ? null : HASH[params.hash]);

function aes(op, alg, params, key, data) {
  const name = `aes-${key.length * 8}-${alg.slice(4).toLowerCase()}`;
  const isWrap = alg === "AES-KW";
  const make = op === "encrypt" ? createCipheriv : createDecipheriv;
  const cipher = isWrap ? make(`id-aes${key.length * 8}-wrap`, key, Buffer.from("a6a6a6a6a6a6a6a6", "hex")) : make(name, key, params.iv,
    alg === "AES-GCM" ? { authTagLength: params.tagLength / 8 } : {});
  if (alg !== "AES-GCM") return bytes(Buffer.concat([cipher.update(data), cipher.final()])).buffer;
  if (params.additionalData !== undefined) cipher.setAAD(params.additionalData);
  const tag = params.tagLength / 8;
  if (op === "encrypt") return bytes(Buffer.concat([cipher.update(data), cipher.final(), cipher.getAuthTag()])).buffer;
  cipher.setAuthTag(data.subarray(data.length - tag));
  return bytes(Buffer.concat([cipher.update(data.subarray(0, data.length - tag)), cipher.final()])).buffer;
}

export const keyNatives = {
  cipher(op, alg, params, key, data) {
    try {
      if (alg !== "RSA-OAEP") return aes(op, alg, params, key, data);
      const given = { key: load(key), oaepHash: HASH[params.hash], oaepLabel: params.label };
      return bytes((op === "encrypt" ? publicEncrypt : privateDecrypt)({ ...given, padding: constants.RSA_PKCS1_OAEP_PADDING }, Buffer.from(data))).buffer;
    } catch {
      return undefined;
    }
  },
  keyImport(format, alg, data) {
    try {
      const key = parse(format, alg, data);
      return [key.type, derOf(key), describe(key)];
    } catch {
      return undefined;
    }
  },
  keyExport(format, der) {
    const key = load(der);
    if (format === "jwk") return JSON.stringify(key.export({ format: "jwk" }));
    const { x, y } = key.export({ format: "jwk" });
    const part = (text) => Buffer.from(text, "base64url");
    return bytes(y === undefined ? part(x) : Buffer.concat([Buffer.from([4]), part(x), part(y)])).buffer;
  },
  keyGenerate(alg, modulusLength, exponent) {
    const pair = EC[alg] ? generateKeyPairSync("ec", { namedCurve: EC[alg] })
      : alg === "RSA" ? generateKeyPairSync("rsa", { modulusLength, publicExponent: exponent.reduce((n, b) => n * 256 + b, 0) }) : generateKeyPairSync(alg.toLowerCase());
    return [derOf(pair.publicKey), derOf(pair.privateKey), describe(pair.publicKey)];
  },
  sign: (alg, params, der, data) => bytes(nodeSign(hashOf(params), Buffer.from(data), options(alg, params, load(der)))).buffer,
  verify: (alg, params, der, signature, data) => nodeVerify(hashOf(params), Buffer.from(data), options(alg, params, load(der)), Buffer.from(signature)),
  derive: (alg, privateDer, publicDer) => bytes(diffieHellman({ privateKey: load(privateDer), publicKey: load(publicDer) })).buffer,
};
