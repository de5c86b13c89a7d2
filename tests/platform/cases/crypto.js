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
  const { host } = __world;
  const { cipher, keyGenerate } = host;
  if (cipher === undefined) return;
  host.cipher = host.keyGenerate = undefined;
  const key = await crypto.subtle.importKey("raw", new Uint8Array(16), "AES-GCM", false, ["encrypt"]);
  await rejects(crypto.subtle.encrypt({ name: "AES-GCM", iv: new Uint8Array(12) }, key, utf8("a")), "NotSupportedError", "AES-GCM is not available in this version of Dormouse.");
  await rejects(crypto.subtle.generateKey({ name: "ECDSA", namedCurve: "P-256" }, true, ["sign"]), "NotSupportedError", "ECDSA is not available in this version of Dormouse.");
  Object.assign(host, { cipher, keyGenerate });
});
test("AES-GCM (NIST SP 800-38D, test case 4), failures", async () => {
  const key = await crypto.subtle.importKey("raw", unhex("feffe9928665731c6d6a8f9467308308"), { name: "AES-GCM" }, true, ["encrypt", "decrypt"]);
  const params = { name: "AES-GCM", iv: unhex("cafebabefacedbaddecaf888"), additionalData: unhex("feedfacedeadbeeffeedfacedeadbeefabaddad2") };
  const plain = unhex("d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a721c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39");
  const sealed = await crypto.subtle.encrypt(params, key, plain);
  eq(hex(sealed).slice(-32), "5bc94fbc3221a5db94fae95ae7121a47");
  eq(hex(await crypto.subtle.decrypt(params, key, sealed)), hex(plain.buffer));
  new Uint8Array(sealed)[0] ^= 1;
  await rejects(crypto.subtle.decrypt(params, key, sealed), "OperationError", /^Decryption failed/);
  eq(key.algorithm, { name: "AES-GCM", length: 128 });
  await rejects(crypto.subtle.importKey("raw", new Uint8Array(5), "AES-GCM", true, ["encrypt"]), "DataError");
  await rejects(crypto.subtle.encrypt({ name: "AES-GCM" }, key, plain), "TypeError", 'Missing field "iv" in "algorithm".');
});
test("AES-CBC, AES-KW, wrapping keys", async () => {
  const cbc = await crypto.subtle.generateKey({ name: "AES-CBC", length: 256 }, true, ["encrypt", "decrypt"]);
  const iv = new Uint8Array(16);
  eq(new TextDecoder().decode(await crypto.subtle.decrypt({ name: "AES-CBC", iv }, cbc, await crypto.subtle.encrypt({ name: "AES-CBC", iv }, cbc, utf8("text")))), "text");
  const kw = await crypto.subtle.generateKey({ name: "AES-KW", length: 128 }, false, ["wrapKey", "unwrapKey"]);
  const wrapped = await crypto.subtle.wrapKey("raw", cbc, kw, "AES-KW");
  const again = await crypto.subtle.unwrapKey("raw", wrapped, kw, "AES-KW", "AES-CBC", true, ["encrypt"]);
  eq([wrapped.byteLength, hex(await crypto.subtle.exportKey("raw", again))], [40, hex(await crypto.subtle.exportKey("raw", cbc))]);
});
test("ECDSA: a token of RFC 7515, A.3", async () => {
  const jwk = { kty: "EC", crv: "P-256", x: "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", y: "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0" };
  const key = await crypto.subtle.importKey("jwk", jwk, { name: "ECDSA", namedCurve: "P-256" }, true, ["verify"]);
  const input = utf8("eyJhbGciOiJFUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNvbS9pc19yb290Ijp0cnVlfQ");
  const signature = Uint8Array.from(atob("DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSApmWQxfKTUJqPP3-Kg6NU1Q==".replaceAll("-", "+").replaceAll("_", "/")), (c) => c.charCodeAt(0));
  const algorithm = { name: "ECDSA", hash: "SHA-256" };
  eq([await crypto.subtle.verify(algorithm, key, signature, input), await crypto.subtle.verify(algorithm, key, signature.slice(1), input), key.type, key.algorithm],
    [true, false, "public", { name: "ECDSA", namedCurve: "P-256" }]);
  eq((await crypto.subtle.exportKey("jwk", key)).x, jwk.x);
  await rejects(crypto.subtle.importKey("jwk", { ...jwk, kty: "oct" }, { name: "ECDSA", namedCurve: "P-256" }, true, ["verify"]), "DataError", /equal to "EC"/);
  await rejects(crypto.subtle.importKey("jwk", jwk, { name: "ECDSA", namedCurve: "P-384" }, true, ["verify"]), "DataError", '"algorithm.namedCurve" "P-384" does not match the curve specified by the input key data.');
  await rejects(crypto.subtle.importKey("jwk", jwk, { name: "ECDSA", namedCurve: "P-256" }, true, ["sign"]), "SyntaxError", 'Attempt to import public ECDSA key with invalid usage "sign".');
  await rejects(crypto.subtle.importKey("spki", new Uint8Array(4), { name: "ECDSA", namedCurve: "P-256" }, true, ["verify"]), "DataError", "Invalid SPKI input.");
});
const PAIRS = [[{ name: "ECDSA", namedCurve: "P-384" }, { name: "ECDSA", hash: "SHA-384" }, undefined], [{ name: "Ed25519" }, "Ed25519", "EdDSA"],
  [{ name: "RSASSA-PKCS1-v1_5", modulusLength: 1024, publicExponent: new Uint8Array([1, 0, 1]), hash: "SHA-256" }, "RSASSA-PKCS1-v1_5", "RS256"],
  [{ name: "RSA-PSS", modulusLength: 1024, publicExponent: new Uint8Array([1, 0, 1]), hash: "SHA-256" }, { name: "RSA-PSS", saltLength: 32 }, "PS256"]];
for (const [algorithm, signing, alg] of PAIRS)
  test(`pairs of ${algorithm.name}: generate, export, import, sign, verify`, async () => {
    const { publicKey, privateKey } = await crypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
    eq([publicKey.type, publicKey.usages, privateKey.type, privateKey.usages, publicKey.extractable], ["public", ["verify"], "private", ["sign"], true]);
    if (algorithm.modulusLength) eq([publicKey.algorithm.modulusLength, publicKey.algorithm.publicExponent, privateKey.algorithm.hash], [1024, new Uint8Array([1, 0, 1]), { name: "SHA-256" }]);
    const data = utf8("data");
    const signature = await crypto.subtle.sign(signing, privateKey, data);
    for (const [format, key, usage] of [["spki", publicKey, "verify"], ["jwk", publicKey, "verify"], ["pkcs8", privateKey, "sign"], ["jwk", privateKey, "sign"]]) {
      const exported = await crypto.subtle.exportKey(format, key);
      if (format === "jwk") eq([exported.alg, exported.key_ops], [alg, [usage]]);
      const again = await crypto.subtle.importKey(format, exported, algorithm, true, [usage]);
      const is = usage === "verify" ? await crypto.subtle.verify(signing, again, signature, data) : await crypto.subtle.verify(signing, publicKey, await crypto.subtle.sign(signing, again, data), data);
      eq(is, true, format);
    }
    eq(await crypto.subtle.verify(signing, publicKey, signature, utf8("other")), false);
    await rejects(crypto.subtle.exportKey("spki", privateKey), "InvalidAccessError", 'Asymmetric spki export requires public key (not "private").');
    await rejects(crypto.subtle.generateKey(algorithm, true, ["verify"]), "SyntaxError", "Attempt to generate asymmetric keys with no valid private key usages.");
    await rejects(crypto.subtle.sign(signing, publicKey, data), "InvalidAccessError");
  });
test("ECDH and X25519: both sides derive the same", async () => {
  for (const algorithm of [{ name: "ECDH", namedCurve: "P-256" }, { name: "X25519" }]) {
    const [a, b] = [await crypto.subtle.generateKey(algorithm, true, ["deriveBits"]), await crypto.subtle.generateKey(algorithm, true, ["deriveBits", "deriveKey"])];
    const raw = await crypto.subtle.importKey("raw", await crypto.subtle.exportKey("raw", b.publicKey), algorithm, true, []);
    const one = await crypto.subtle.deriveBits({ ...algorithm, public: raw }, a.privateKey, 256);
    eq(hex(one), hex(await crypto.subtle.deriveBits({ ...algorithm, public: a.publicKey }, b.privateKey, null)));
    eq((await crypto.subtle.deriveBits({ ...algorithm, public: raw }, a.privateKey, 12)).byteLength, 2);
    await rejects(crypto.subtle.deriveBits({ ...algorithm, public: raw }, a.privateKey, 512), "OperationError", "Derived key length (512 bits) is too long (should be at most 256 bits).");
    await rejects(crypto.subtle.deriveBits({ ...algorithm, public: b.privateKey }, a.privateKey, 256), "InvalidAccessError", 'The provided key has type "private", not "public"');
    const aes = await crypto.subtle.deriveKey({ ...algorithm, public: a.publicKey }, b.privateKey, { name: "AES-GCM", length: 128 }, true, ["encrypt"]);
    eq(hex(await crypto.subtle.exportKey("raw", aes)), hex(one).slice(0, 32));
  }
});
test("RSA-OAEP", async () => {
  const { publicKey, privateKey } = await crypto.subtle.generateKey({ name: "RSA-OAEP", modulusLength: 1024, publicExponent: new Uint8Array([1, 0, 1]), hash: "SHA-1" }, true, ["encrypt", "decrypt"]);
  const sealed = await crypto.subtle.encrypt({ name: "RSA-OAEP", label: utf8("l") }, publicKey, utf8("secret"));
  eq(new TextDecoder().decode(await crypto.subtle.decrypt({ name: "RSA-OAEP", label: utf8("l") }, privateKey, sealed)), "secret");
  await rejects(crypto.subtle.decrypt({ name: "RSA-OAEP" }, privateKey, sealed), "OperationError");
});
test("timingSafeEqual, DigestStream", async () => {
  eq([crypto.subtle.timingSafeEqual(utf8("a"), utf8("a")), crypto.subtle.timingSafeEqual(utf8("a"), utf8("b"))], [true, false]);
  throws(() => crypto.subtle.timingSafeEqual(utf8("a"), utf8("ab")), "TypeError", "Input buffers must have the same byte length.");
  const stream = new crypto.DigestStream("SHA-256");
  await new Response("abc").body.pipeTo(stream);
  eq([hex(await stream.digest).slice(0, 8), stream.bytesWritten], ["ba7816bf", 3n]);
});
