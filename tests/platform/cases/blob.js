/* Blob, File (File API) and FormData (XHR standard), with multipart/form-data (RFC 7578). */
test("Blob", async () => {
  const b = new Blob(["ab", new Uint8Array([99]), new Blob(["d"]), 5], { type: "A/B" });
  eq([b.size, b.type, await b.text(), await b.slice(1, -1, "X/Y").text(), b.slice(1, 2, "X/Y").type], [5, "a/b", "abcd5", "bcd", "x/y"]);
  eq([await b.slice(-2).text(), await b.slice(3, 1).text(), b.slice().size], ["d5", "", 5]);
  eq(await b.arrayBuffer(), new Uint8Array([97, 98, 99, 100, 53]).buffer);
  eq(new Blob().size, 0);
  eq(new Blob([], { type: "é" }).type, "");
  throws(() => new Blob("ab"), "TypeError", /parameter 1 is not of type 'Array'/);
  const out = [];
  for await (const chunk of b.stream()) out.push(...chunk);
  eq(out.length, 5);
  eq(await b.text(), "abcd5");
});
test("File", () => {
  const f = new File(["a"], "n.txt", { lastModified: 5, type: "text/plain" });
  eq([f.name, f.lastModified, f.type, f.size, f instanceof Blob], ["n.txt", 5, "text/plain", 1, true]);
  throws(() => new File(["a"]), "TypeError", /parameter 2/);
});
test("FormData: entries", () => {
  const f = new FormData();
  f.append("a", "1");
  f.append("b", new Blob(["x"], { type: "q/r" }), "name.bin");
  f.append("a", 2);
  eq([f.get("a"), f.getAll("a"), f.has("b"), f.has("z"), f.get("z")], ["1", ["1", "2"], true, false, null]);
  eq([f.get("b").name, f.get("b").type, f.get("b") instanceof File], ["name.bin", "q/r", true]);
  f.set("a", "3");
  eq([...f.keys()], ["a", "b"]);
  f.delete("b");
  eq([...f], [["a", "3"]]);
  throws(() => f.append("b"), "TypeError", /parameter 2 is not of type 'File or Blob or string'/);
});
test("FormData: there and back", async () => {
  const f = new FormData();
  f.append('na"me\r\n', "väl\r\nue");
  f.append("empty", "");
  const r = new Response(f);
  const boundary = /^multipart\/form-data; boundary=(\S+)$/.exec(r.headers.get("content-type"))[1];
  const g = await r.formData();
  eq([...g], [['na"me\r\n', "väl\r\nue"], ["empty", ""]]);
  f.append("file", new File([new Uint8Array([0, 255, 13, 10, 45, 45]), boundary], "ü.bin", { type: "a/b" }));
  f.append("plain", new Blob([]));
  const h = await new Request("http://x/", { method: "POST", body: f }).formData();
  eq([h.get("file").name, h.get("file").type, [...(await h.get("file").bytes())].slice(0, 6)], ["ü.bin", "a/b", [0, 255, 13, 10, 45, 45]]);
  eq([h.get("plain").size, h.get("plain").type], [0, "application/octet-stream"]);
});
test("FormData: parsing what others send", async () => {
  const parse = (text, type = "multipart/form-data; boundary=x") => new Response(text, { headers: { "content-type": type } }).formData();
  const part = (head, body) => `--x\r\n${head}\r\n\r\n${body}\r\n`;
  const f = await parse(`preamble\r\n${part('content-disposition: FORM-DATA; name=a', "1")}${part('X: y\r\nContent-Disposition: form-data; filename="q.txt"; name="f"\r\nContent-Type: Text/HTML', "<p>")}--x--\r\nepilogue`);
  eq([f.get("a"), f.get("f").name, f.get("f").type, await f.get("f").text()], ["1", "q.txt", "text/html", "<p>"]);
  eq([...(await parse(part('Content-Disposition: form-data; name="e"', "") + "--x--"))], [["e", ""]]);
  eq([...(await parse("a=1&b=%20", "application/x-www-form-urlencoded;charset=UTF-8"))], [["a", "1"], ["b", " "]]);
  eq([...(await parse("--x--"))], []);
  eq((await parse(part('Content-Disposition: form-data; name="a"', "1") + "--x--", 'multipart/form-data; boundary="x"')).get("a"), "1");
  for (const [text, pattern] of [
    ["nothing", /No initial boundary string/], [part("Content-Disposition: form-data", "1") + "--x--", "Content-Disposition header in FormData part is missing a name."],
    [part("X: y", "1") + "--x--", "No valid Content-Disposition header found in FormData part."], ['--x\r\nContent-Disposition: form-data; name="a"\r\n\r\n1', /No subsequent boundary/],
    ["--x\r\n", /No valid Content-Disposition/], ["--xyz\r\n", /between boundary and part headers/],
  ]) await rejects(parse(text), "TypeError", pattern);
  await rejects(parse("a", "multipart/form-data"), "TypeError", /No boundary string in Content-Type header/);
  await rejects(parse("a", "text/plain"), "TypeError", /Unrecognized Content-Type header value/);
  await rejects(new Response().formData(), "TypeError", "Parsing a Body as FormData requires a Content-Type header.");
});
