/* Streams: what Workers add, the conversions, and a few laws of the standard that the rest leans on. */
const collect = async (stream) => {
  const out = [];
  for await (const chunk of stream) out.push(chunk);
  return out;
};
const bytes = (...b) => new Uint8Array(b);

test("ReadableStream: pull, backpressure, cancel, from, tee", async () => {
  let pulled = 0;
  const s = new ReadableStream({ pull(c) { c.enqueue(++pulled); if (pulled === 3) c.close(); } }, { highWaterMark: 1 });
  await __world.jobs();
  eq(pulled, 1);
  eq(await collect(s), [1, 2, 3]);
  eq(await collect(ReadableStream.from(["a", Promise.resolve("b")])), ["a", "b"]);
  let reason;
  await new ReadableStream({ cancel(r) { reason = r; } }).cancel("why");
  eq(reason, "why");
  const [a, b] = ReadableStream.from([1, 2]).tee();
  eq([await collect(a), await collect(b)], [[1, 2], [1, 2]]);
});
test("byte streams and BYOB", async () => {
  const s = new ReadableStream({ type: "bytes", start(c) { c.enqueue(bytes(1, 2, 3)); c.close(); } });
  const reader = s.getReader({ mode: "byob" });
  eq((await reader.read(new Uint8Array(2))).value, bytes(1, 2));
  eq((await reader.read(new Uint8Array(2))).value, bytes(3));
  eq((await reader.read(new Uint8Array(2))).done, true);
  const body = new Response("abc").body.getReader({ mode: "byob" });
  eq((await body.read(new Uint8Array(8))).value, bytes(97, 98, 99));
});
test("TransformStream and pipes", async () => {
  const upper = new TransformStream({ transform(chunk, c) { c.enqueue(chunk.toUpperCase()); }, flush(c) { c.enqueue("!"); } });
  eq(await collect(ReadableStream.from(["a", "b"]).pipeThrough(upper)), ["A", "B", "!"]);
  const seen = [];
  await ReadableStream.from([1, 2]).pipeTo(new WritableStream({ write(c) { seen.push(c); }, close() { seen.push("end"); } }));
  eq(seen, [1, 2, "end"]);
  const controller = new AbortController();
  const pipe = new ReadableStream().pipeTo(new WritableStream(), { signal: controller.signal });
  controller.abort(new Error("stop"));
  await rejects(pipe, "Error", "stop");
});
test("IdentityTransformStream, FixedLengthStream", async () => {
  const write = async (stream, ...chunks) => {
    const writer = stream.writable.getWriter();
    try {
      for (const chunk of chunks) await writer.write(chunk);
      await writer.close();
      return "closed";
    } catch (error) {
      return error.message;
    }
  };
  const both = (stream, ...chunks) => Promise.allSettled([write(stream, ...chunks), collect(stream.readable)]);
  const [, identity] = await both(new IdentityTransformStream(), bytes(1), "é");
  eq(identity.value, [bytes(1), bytes(0xc3, 0xa9)]);
  eq((await both(new FixedLengthStream(3), bytes(1), bytes(2, 3))).map((r) => r.value), ["closed", [bytes(1), bytes(2, 3)]]);
  eq((await both(new FixedLengthStream(1), bytes(1, 2)))[0].value, "Attempt to write too many bytes through a FixedLengthStream.");
  eq((await both(new FixedLengthStream(3), bytes(1)))[0].value, "FixedLengthStream did not see all expected bytes before close().");
  const f = new FixedLengthStream(1);
  ok(f instanceof IdentityTransformStream && f instanceof TransformStream);
  throws(() => new FixedLengthStream(-1), "TypeError");
});
test("TextEncoderStream, TextDecoderStream", async () => {
  eq(await collect(ReadableStream.from(["a\ud83d", "\ude00b", "\ud800"]).pipeThrough(new TextEncoderStream())),
    [bytes(97), bytes(0xf0, 0x9f, 0x98, 0x80, 98), bytes(0xef, 0xbf, 0xbd)]);
  eq((await collect(ReadableStream.from([bytes(0xef, 0xbb), bytes(0xbf, 0xf0, 0x9f), bytes(0x98, 0x80), bytes(0xe2)]).pipeThrough(new TextDecoderStream()))).join("|"), "\u{1f600}|\ufffd");
  eq([new TextDecoderStream("utf-16le").encoding, new TextEncoderStream().encoding], ["utf-16le", "utf-8"]);
});
test("compression, when the host has it", async () => {
  for (const format of ["gzip", "deflate", "deflate-raw"]) {
    const text = "hello ".repeat(100);
    const packed = await new Response(new Response(text).body.pipeThrough(new CompressionStream(format))).bytes();
    ok(packed.length < 100);
    eq(await new Response(new Response(packed).body.pipeThrough(new DecompressionStream(format))).text(), text);
  }
  throws(() => new CompressionStream("zip"), "TypeError", "The compression format must be either 'deflate', 'deflate-raw' or 'gzip'.");
  await rejects(new Response(new Response("no gzip").body.pipeThrough(new DecompressionStream("gzip"))).text(), "TypeError");
});
test("a response can carry a stream while it is written", async () => {
  const { readable, writable } = new TransformStream();
  const response = new Response(readable);
  const writer = writable.getWriter();
  const text = response.text();
  await writer.write(new TextEncoder().encode("one "));
  await writer.write(new TextEncoder().encode("two"));
  await writer.close();
  eq(await text, "one two");
});

test("locked streams refuse with workerd's texts", () => {
  const r = new ReadableStream();
  r.getReader();
  throws(() => r.getReader(), "TypeError", "This ReadableStream is currently locked to a reader.");
  const w = new WritableStream();
  w.getWriter();
  throws(() => w.getWriter(), "TypeError", "This WritableStream is currently locked to a writer.");
  eq([ReadableStream.prototype.getReader.name, ReadableStream.prototype.getReader.length], ["getReader", 0]);
});
