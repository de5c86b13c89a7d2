/* Headers: Fetch standard, section 5.1, and workerd's texts. */
test("names fold, values are trimmed, equal names join", () => {
  const h = new Headers({ "Content-Type": " text/html\t", "X-A": "1" });
  h.append("x-a", "2");
  eq(h.get("content-TYPE"), "text/html");
  eq(h.get("X-a"), "1, 2");
  eq(h.get("missing"), null);
  eq(h.has("X-A"), true);
  eq([...h], [["content-type", "text/html"], ["x-a", "1, 2"]]);
});
test("iteration is sorted and keeps cookies apart", () => {
  const h = new Headers([["Set-Cookie", "b=1"], ["b", "2"], ["a", "1"], ["set-cookie", "a=2"]]);
  eq([...h.keys()], ["a", "b", "set-cookie", "set-cookie"]);
  eq([...h.values()], ["1", "2", "b=1", "a=2"]);
  eq(h.getSetCookie(), ["b=1", "a=2"]);
  eq(h.getAll("Set-Cookie"), ["b=1", "a=2"]);
  throws(() => h.getAll("a"), "TypeError", 'getAll() can only be used with the header name "Set-Cookie".');
});
test("set replaces all, delete removes all", () => {
  const h = new Headers([["a", "1"], ["b", "2"], ["A", "3"]]);
  h.set("a", "4");
  eq([...h], [["a", "4"], ["b", "2"]]);
  h.append("b", "5");
  h.delete("B");
  eq([...h], [["a", "4"]]);
});
test("a value that looks like a name is not found as one", () => {
  const h = new Headers([["vary", "origin"], ["origin", "x"]]);
  eq(h.get("origin"), "x");
  h.delete("origin");
  eq(h.get("origin"), null);
  eq([...h], [["vary", "origin"]]);
});
test("bad names and values", () => {
  for (const name of ["", "a b", "a:b", "é", "a\n"]) {
    throws(() => new Headers([[name, "v"]]), "TypeError", "Invalid header name.");
    throws(() => new Headers().get(name), "TypeError", "Invalid header name.");
  }
  for (const value of ["a\nb", "a\rb", "a\0b"]) throws(() => new Headers({ a: value }), "TypeError", "Invalid header value.");
  eq(new Headers({ a: "x\r\n" }).get("a"), "x");
  eq(new Headers({ a: "é" }).get("a"), "é");
});
test("initialisers", () => {
  eq([...new Headers(new Headers({ a: "1" }))], [["a", "1"]]);
  eq([...new Headers(new Map([["A", "1"], ["b", 2]]))], [["a", "1"], ["b", "2"]]);
  eq([...new Headers()], []);
  throws(() => new Headers([["a"]]), "TypeError", /exactly two elements/);
  throws(() => new Headers([["a", "b", "c"]]), "TypeError", /exactly two elements/);
  for (const bad of [null, 3, "abc"]) throws(() => new Headers(bad), "TypeError", /is not of type 'Headers or Sequence or object'/);
  throws(() => new Headers().append("a"), "TypeError", "Failed to execute 'append' on 'Headers': parameter 2 is not of type 'string'.");
});
test("iterators see changes, as WebIDL says", () => {
  const h = new Headers({ a: "1", b: "2", c: "3" });
  const seen = [];
  for (const [name] of h) {
    seen.push(name);
    h.delete("b");
  }
  eq(seen, ["a", "c"]);
  eq(Object.prototype.toString.call(h.entries()), "[object Headers Iterator]");
  if (__worldKind === "engine") eq(h.entries().map(([k]) => k).toArray(), ["a", "c"]);
});
test("forEach passes value, name, headers, and this", () => {
  const out = [];
  const h = new Headers({ a: "b" });
  h.forEach(function (v, k, o) { out.push(v, k, o === h, this.x); }, { x: 5 });
  eq(out, ["b", "a", true, 5]);
});
test("flat text: untouched text comes back, changed text follows", () => {
  const { headersFromFlat, flatOf } = __world.web;
  const flat = "b\n2\na\n1\n";
  const h = headersFromFlat(flat);
  eq(h.get("a"), "1");
  eq(flatOf(h), flat);
  h.set("c", "3");
  eq(flatOf(h), "b\n2\na\n1\nc\n3\n");
  eq(flatOf(new Headers()), "");
  throws(() => headersFromFlat(flat, true).set("a", "b"), "TypeError", "Can't modify immutable headers.");
});
test("shape of the interface", () => {
  eq(Object.prototype.toString.call(new Headers()), "[object Headers]");
  eq(Headers.length, 0);
  eq(Headers.name, "Headers");
  eq(Headers.prototype[Symbol.iterator], Headers.prototype.entries);
  throws(() => Headers.prototype.get.call({}, "a"), "TypeError");
  throws(() => Headers(), "TypeError");
  eq(Object.keys(globalThis).includes("Headers"), false);
});
