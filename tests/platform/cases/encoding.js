/* Encoding standard; atob and btoa (HTML standard). */
const bytes = (...b) => new Uint8Array(b);
test("TextEncoder", () => {
  const e = new TextEncoder();
  eq([e.encoding, e.encode(), e.encode("aé€😀"), e.encode("\ud800")], ["utf-8", bytes(), bytes(97, 0xc3, 0xa9, 0xe2, 0x82, 0xac, 0xf0, 0x9f, 0x98, 0x80), bytes(0xef, 0xbf, 0xbd)]);
  const target = new Uint8Array(4);
  eq([e.encodeInto("aé€", target), target], [{ read: 2, written: 3 }, bytes(97, 0xc3, 0xa9, 0)]);
});
test("TextDecoder: labels and options", () => {
  eq(["latin1", "UTF8", " utf-16 ", "shift-jis"].map((l) => new TextDecoder(l).encoding), ["windows-1252", "utf-8", "utf-16le", "shift_jis"]);
  throws(() => new TextDecoder("foo"), "RangeError", '"foo" is not a valid encoding.');
  throws(() => new TextDecoder("utf-8", { fatal: true }).decode(bytes(255)), "TypeError", "Failed to decode input.");
  throws(() => new TextDecoder().decode("abc"), "TypeError");
  eq([new TextDecoder().decode(bytes(0xef, 0xbb, 0xbf, 65)), new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes(0xef, 0xbb, 0xbf, 65))], ["A", "\ufeffA"]);
  eq([new TextDecoder().decode(), new TextDecoder().decode(bytes(97).buffer), new TextDecoder().decode(new DataView(bytes(98).buffer))], ["", "a", "b"]);
  eq([new TextDecoder("latin1").decode(bytes(0x80, 0xe9, 0x9f)), new TextDecoder("utf-16be").decode(bytes(0xfe, 0xff, 0, 65, 0xd8, 0))], ["€éŸ", "A\ufffd"]);
  throws(() => new TextDecoder("utf-16le", { fatal: true }).decode(bytes(0, 0xd8)), "TypeError");
  eq([new TextDecoder("windows-1251").decode(bytes(0xc0)), new TextDecoder("utf-16le").decode(bytes(0x3d, 0xd8, 0x00, 0xde))], ["А", "😀"]);
});
test("TextDecoder: every split of a text gives the same text", () => {
  const text = "\ufeffaé€😀z";
  for (const [name, all] of [["utf-8", new TextEncoder().encode(text)], ["utf-16le", new Uint8Array(new Uint16Array([...text].join("").split("").map((c) => c.charCodeAt(0))).buffer)]]) {
    for (let i = 0; i <= all.length; i++) {
      for (let j = i; j <= all.length; j++) {
        const d = new TextDecoder(name);
        const got = d.decode(all.subarray(0, i), { stream: true }) + d.decode(all.subarray(i, j), { stream: true }) + d.decode(all.subarray(j));
        eq(got, "aé€😀z", `${name} ${i} ${j}`);
      }
    }
  }
});
test("TextDecoder: broken sequences when streaming", () => {
  const d = new TextDecoder();
  eq([d.decode(bytes(0xe2, 0x82), { stream: true }), d.decode(bytes(65), { stream: true }), d.decode()], ["", "\ufffdA", ""]);
  eq([d.decode(bytes(0xf0), { stream: true }), d.decode()], ["", "\ufffd"]);
  eq([d.decode(bytes(0xe0, 0x80), { stream: true }), d.decode()], ["\ufffd\ufffd", ""]);
  const f = new TextDecoder("utf-8", { fatal: true });
  eq(f.decode(bytes(0xc3), { stream: true }), "");
  throws(() => f.decode(), "TypeError");
  eq(f.decode(bytes(65)), "A");
});
test("atob, btoa", () => {
  eq([btoa("hi\xff"), atob("aGn/"), atob(" aG k= "), atob("")], ["aGn/", "hi\xff", "hi", ""]);
  throws(() => atob("a"), "InvalidCharacterError", /atob\(\) called with invalid base64/);
  throws(() => btoa("Ā"), "InvalidCharacterError", /btoa\(\) can only operate/);
});
