/* URL and URLSearchParams: URL standard, sections 5 and 6. The parser itself is the host's; here is the glue. */
const PARTS = ["href", "origin", "protocol", "username", "password", "host", "hostname", "port", "pathname", "search", "hash"];
const TABLE = [
  ["https://example.com/a/b?x=1#y", "https://example.com/a/b?x=1#y", "https://example.com", "https:", "", "", "example.com", "example.com", "", "/a/b", "?x=1", "#y"],
  ["http://u:p@h:8080", "http://u:p@h:8080/", "http://h:8080", "http:", "u", "p", "h:8080", "h", "8080", "/", "", ""],
  ["http://u@h/", "http://u@h/", "http://h", "http:", "u", "", "h", "h", "", "/", "", ""],
  ["HTTP://EX:80/../x", "http://ex/x", "http://ex", "http:", "", "", "ex", "ex", "", "/x", "", ""],
  ["http://h/?", "http://h/?", "http://h", "http:", "", "", "h", "h", "", "/", "", ""],
  ["http://h/#", "http://h/#", "http://h", "http:", "", "", "h", "h", "", "/", "", ""],
  ["http://h/#a?b", "http://h/#a?b", "http://h", "http:", "", "", "h", "h", "", "/", "", "#a?b"],
  ["http://[::1]:3/", "http://[::1]:3/", "http://[::1]:3", "http:", "", "", "[::1]:3", "[::1]", "3", "/", "", ""],
  ["mailto:a@b?c", "mailto:a@b?c", "null", "mailto:", "", "", "", "", "", "a@b", "?c", ""],
  ["file:///a/b", "file:///a/b", "null", "file:", "", "", "", "", "", "/a/b", "", ""],
  ["blob:https://h/x", "blob:https://h/x", "https://h", "blob:", "", "", "", "", "", "https://h/x", "", ""],
  ["wss://h:443/a@b", "wss://h/a@b", "wss://h", "wss:", "", "", "h", "h", "", "/a@b", "", ""],
];
for (const [input, ...expected] of TABLE)
  test(`parts of ${input}`, () => {
    const url = new URL(input);
    eq(PARTS.map((part) => url[part]), expected);
    eq(String(url), url.href);
    eq(JSON.stringify({ url }), JSON.stringify({ url: url.href }));
  });
test("base, canParse, parse, failures", () => {
  eq(new URL("../c", "http://h/a/b/d").href, "http://h/a/c");
  eq(new URL("?q", new URL("http://h/a")).href, "http://h/a?q");
  eq([URL.canParse("x"), URL.canParse("x", "http://h"), URL.parse("x"), URL.parse("x", "http://h").href], [false, true, null, "http://h/x"]);
  throws(() => new URL("x"), "TypeError", "Invalid URL string.");
  throws(() => new URL("x", "y"), "TypeError", "Invalid URL string.");
  throws(() => { new URL("http://h").href = "y"; }, "TypeError", /'href' property on 'URL'/);
});
test("setters", () => {
  const url = new URL("http://u:p@h:81/a?b#c");
  url.protocol = "https";
  url.username = "x";
  url.password = "";
  url.host = "k:82";
  url.pathname = "z z";
  url.search = "q=1";
  url.hash = "w";
  eq(url.href, "https://x@k:82/z%20z?q=1#w");
  url.port = "";
  url.hostname = "m";
  url.search = "";
  url.hash = "";
  eq(url.href, "https://x@m/z%20z");
  url.href = "http://n/";
  eq(url.host, "n");
});
test("searchParams and search follow each other", () => {
  const url = new URL("http://h/?a=1&b=2#f");
  const params = url.searchParams;
  ok(params === url.searchParams);
  params.append("c", "3 4");
  eq(url.href, "http://h/?a=1&b=2&c=3+4#f");
  url.search = "?z=9";
  eq([...params], [["z", "9"]]);
  params.delete("z");
  eq(url.href, "http://h/#f");
  url.href = "http://h/?k=v";
  eq(params.get("k"), "v");
  url.pathname = "/p";
  ok(params === url.searchParams);
  params.set("k", "w");
  eq(url.href, "http://h/p?k=w");
});
const INITS = [
  ["", []], ["?", []], ["a=1&b=2", [["a", "1"], ["b", "2"]]], ["?a=1&a=2&c", [["a", "1"], ["a", "2"], ["c", ""]]],
  ["a+b=%20c", [["a b", " c"]]], [[["x", "y"], ["x", 2]], [["x", "y"], ["x", "2"]]], [{ a: 1, b: null }, [["a", "1"], ["b", "null"]]],
  [undefined, []], [new URLSearchParams("q=1"), [["q", "1"]]], [new Map([["m", "1"]]), [["m", "1"]]],
];
for (const [init, expected] of INITS) test(`URLSearchParams of ${typeof init === "string" ? JSON.stringify(init) : String(init)}`, () => eq([...new URLSearchParams(init)], expected));
test("URLSearchParams methods", () => {
  const p = new URLSearchParams("a=1&b=2&a=3");
  eq([p.get("a"), p.get("z"), p.getAll("a"), p.has("b"), p.has("b", "9"), p.has("a", "3"), p.size], ["1", null, ["1", "3"], true, false, true, 3]);
  p.set("a", "x");
  eq(p.toString(), "a=x&b=2");
  p.append("a", "y");
  p.delete("a", "x");
  eq(p.toString(), "b=2&a=y");
  p.sort();
  eq([...p.keys()], ["a", "b"]);
  eq([...p.values()], ["y", "2"]);
  const seen = [];
  p.forEach((v, k, o) => seen.push(k, v, o === p));
  eq(seen, ["a", "y", true, "b", "2", true]);
  throws(() => new URLSearchParams([["a"]]), "TypeError", "Invalid URL search params sequence.");
  throws(() => p.append("a"), "TypeError", "Failed to execute 'append' on 'URLSearchParams': parameter 2 is not of type 'USVString'.");
  eq(Object.prototype.toString.call(p), "[object URLSearchParams]");
});
test("a value equal to a key is not found as one", () => {
  const p = new URLSearchParams([["a", "b"], ["b", "c"]]);
  eq([p.get("b"), p.getAll("b")], ["c", ["c"]]);
  p.delete("b");
  eq(p.toString(), "a=b");
});
test("URLPattern", () => {
  const pattern = new URLPattern({ pathname: "/agents/:name/*" });
  const match = pattern.exec("https://h/agents/ada/chat?x");
  eq([match.pathname.groups.name, match.pathname.groups[0]], ["ada", "chat"]);
  eq([pattern.test("https://h/other"), new URLPattern("https://*.h/(\\d+)").test("https://a.h/12")], [false, true]);
});
