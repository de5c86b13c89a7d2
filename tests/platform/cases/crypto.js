/* Web Crypto: known answers come from the documents named beside them. */
const hex = (buffer) => [...new Uint8Array(buffer)].map((b) => b.toString(16).padStart(2, "0")).join("");
const unhex = (text) => Uint8Array.from(text.match(/../g) ?? [], (h) => parseInt(h, 16));
const utf8 = (text) => new TextEncoder().encode(text);

test("random values", () => {
  const a = crypto.getRandomValues(new Uint8Array(32));
  const b = crypto.getRandomValues(new Uint8Array(32));
  ok(hex(a.buffer) !== hex(b.buffer));
  const part = new Uint8Array(8);
  crypto.getRandomValues(part.subarray(4));
  eq([...part.subarray(0, 4)], [0, 0, 0, 0]);
  ok(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/.test(crypto.randomUUID()));
  throws(() => crypto.getRandomValues(new Float32Array(1)), "TypeMismatchError");
  throws(() => crypto.getRandomValues(new Uint8Array(65537)), "QuotaExceededError", "getRandomValues() only accepts buffers of size <= 64K but provided 65537 bytes.");
  throws(() => crypto.getRandomValues({}), "TypeError");
});
test("digest (FIPS 180, abc)", async () => {
  eq(hex(await crypto.subtle.digest("SHA-256", utf8("abc"))), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  eq(hex(await crypto.subtle.digest({ name: "sha-1" }, utf8("abc"))), "a9993e364706816aba3e25717850c26c9cd0d89d");
  await rejects(crypto.subtle.digest("foo", utf8("")), "NotSupportedError", "Unrecognized or unimplemented digest algorithm requested.");
  await rejects(crypto.subtle.digest("SHA-256", "abc"), "TypeError", /parameter 2 is not of type 'BufferSource'/);
});
test("HMAC (RFC 4231, case 2)", async () => {
  const key = await crypto.subtle.importKey("raw", utf8("Jefe"), { name: "HMAC", hash: "SHA-256" }, true, ["verify", "sign"]);
  eq([key.type, key.extractable, key.algorithm, key.usages], ["secret", true, { name: "HMAC", hash: { name: "SHA-256" }, length: 32 }, ["sign", "verify"]]);
  const data = utf8("what do ya want for nothing?");
  const signature = await crypto.subtle.sign("HMAC", key, data);
  eq(hex(signature), "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
  eq([await crypto.subtle.verify("hmac", key, signature, data), await crypto.subtle.verify("HMAC", key, signature.slice(1), data), await crypto.subtle.verify("HMAC", key, new Uint8Array(32), data)], [true, false, false]);
  const jwk = await crypto.subtle.exportKey("jwk", key);
  eq(jwk, { kty: "oct", key_ops: ["sign", "verify"], alg: "HS256", ext: true, k: "SmVmZQ" });
  const again = await crypto.subtle.importKey("jwk", jwk, { name: "HMAC", hash: "SHA-256" }, false, ["sign"]);
  eq(hex(await crypto.subtle.sign("HMAC", again, data)), hex(signature));
  await rejects(crypto.subtle.exportKey("raw", again), "InvalidAccessError", "Attempt to export non-extractable HMAC key.");
  await rejects(crypto.subtle.verify("HMAC", again, signature, data), "InvalidAccessError", 'Requested key usage "verify" does not match any usage listed in this CryptoKey.');
  await rejects(crypto.subtle.sign("ECDSA", key, data), "InvalidAccessError", `Requested algorithm "ECDSA" does not match this CryptoKey's algorithm "HMAC".`);
});
test("HMAC: bad keys, generated keys", async () => {
  const importKey = (alg, usages, bytes = utf8("k")) => crypto.subtle.importKey("raw", bytes, alg, true, usages);
  await rejects(importKey({ name: "HMAC", hash: "SHA-256" }, ["encrypt"]), "SyntaxError", 'Attempt to import secret HMAC key with invalid usage "encrypt".');
  await rejects(importKey({ name: "HMAC", hash: "SHA-256" }, []), "SyntaxError", "Secret/private CryptoKeys must have at least one usage.");
  await rejects(importKey({ name: "HMAC" }, ["sign"]), "TypeError", 'Missing field "hash" in "algorithm".');
  await rejects(importKey({ name: "FOO" }, ["sign"]), "NotSupportedError", 'Unrecognized key import algorithm "FOO" requested.');
  await rejects(importKey({ name: "HMAC", hash: "SHA-256" }, ["sign"], new Uint8Array(0)), "DataError");
  const key = await crypto.subtle.generateKey({ name: "HMAC", hash: "SHA-512" }, true, ["sign"]);
  eq([key.algorithm.length, (await crypto.subtle.exportKey("raw", key)).byteLength], [1024, 128]);
});
test("HKDF (RFC 5869, case 1)", async () => {
  const key = await crypto.subtle.importKey("raw", unhex("0b".repeat(22)), "HKDF", false, ["deriveBits", "deriveKey"]);
  const params = { name: "HKDF", hash: "SHA-256", salt: unhex("000102030405060708090a0b0c"), info: unhex("f0f1f2f3f4f5f6f7f8f9") };
  eq(hex(await crypto.subtle.deriveBits(params, key, 336)), "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865");
  const derived = await crypto.subtle.deriveKey(params, key, { name: "HMAC", hash: "SHA-256", length: 256 }, true, ["sign"]);
  eq((await crypto.subtle.exportKey("raw", derived)).byteLength, 32);
  await rejects(crypto.subtle.deriveBits(params, key, 7), "OperationError");
});
test("PBKDF2 (RFC 7914, section 11)", async () => {
  const key = await crypto.subtle.importKey("raw", utf8("passwd"), "PBKDF2", false, ["deriveBits"]);
  const bits = await crypto.subtle.deriveBits({ name: "PBKDF2", hash: "SHA-256", salt: utf8("salt"), iterations: 1 }, key, 512);
  eq(hex(bits).slice(0, 32), "55ac046e56e3089fec1691c22544b605");
});
test("what the host lacks is refused clearly", async () => {
  const key = await crypto.subtle.importKey("raw", new Uint8Array(16), "AES-GCM", false, ["encrypt"]);
  await rejects(crypto.subtle.encrypt({ name: "AES-GCM", iv: new Uint8Array(12) }, key, utf8("a")), "NotSupportedError", "AES-GCM is not available in this version of Dormouse.");
  await rejects(crypto.subtle.generateKey({ name: "ECDSA", namedCurve: "P-256" }, true, ["sign"]), "NotSupportedError");
});
test("timingSafeEqual, DigestStream", async () => {
  eq([crypto.subtle.timingSafeEqual(utf8("a"), utf8("a")), crypto.subtle.timingSafeEqual(utf8("a"), utf8("b"))], [true, false]);
  throws(() => crypto.subtle.timingSafeEqual(utf8("a"), utf8("ab")), "TypeError", "Input buffers must have the same byte length.");
  const stream = new crypto.DigestStream("SHA-256");
  await new Response("abc").body.pipeTo(stream);
  eq([hex(await stream.digest).slice(0, 8), stream.bytesWritten], ["ba7816bf", 3n]);
});
