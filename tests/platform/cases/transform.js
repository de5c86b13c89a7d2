/* TransformStream and pipeThrough: every law is checked on the short way (untouched transforms) and on the library's (touched ones). */
const collect = async (stream) => {
  const out = [];
  for await (const chunk of stream) out.push(chunk);
  return out;
};
const from = (...chunks) => ReadableStream.from(chunks);
const tick = () => Promise.resolve();

for (const way of ["short", "library"]) {
  const make = (...args) => {
    const t = new TransformStream(...args);
    if (way === "library") ok(t.readable instanceof ReadableStream && t.writable instanceof WritableStream);
    return t;
  };
  const law = (name, run) => test(`${way}: ${name}`, run);
  const map = (f) => make({ transform(chunk, c) { c.enqueue(f(chunk)); } });

  law("map, identity, drop, multiply", async () => {
    eq(await collect(from(1, 2, 3).pipeThrough(map((x) => x * 2))), [2, 4, 6]);
    eq(await collect(from(1, 2).pipeThrough(make())), [1, 2]);
    eq(await collect(from(1, 2, 3).pipeThrough(make({ transform(x, c) { if (x % 2) { c.enqueue(x); c.enqueue(-x); } } }))), [1, -1, 3, -3]);
    eq(await collect(from().pipeThrough(map((x) => x))), []);
    eq(await collect(from(1).pipeThrough(make({ transform() {} }))), []);
  });
  law("chains, with asynchronous transformers, flush and start", async () => {
    const slow = make({ async transform(x, c) { await tick(); c.enqueue(x); await tick(); c.enqueue(x + 0.5); } });
    const ends = make({ flush(c) { c.enqueue("end"); } });
    const begins = make({ async start(c) { await tick(); c.enqueue("begin"); } });
    const asyncEnd = make({ transform(x, c) { c.enqueue(`<${x}>`); }, async flush(c) { await tick(); c.enqueue("bye"); } });
    eq(await collect(from(1, 2).pipeThrough(slow).pipeThrough(map((x) => x * 10)).pipeThrough(ends).pipeThrough(begins).pipeThrough(asyncEnd)),
      ["<begin>", "<10>", "<15>", "<20>", "<25>", "<end>", "bye"]);
  });
  law("this and the controller", async () => {
    const transformer = { n: 0, transform(x, c) { this.n += x; ok(c instanceof TransformStreamDefaultController || way === "library"); c.enqueue(this.n); } };
    eq(await collect(from(1, 2).pipeThrough(make(transformer))), [1, 3]);
  });
  law("a controller kept by start() works later", async () => {
    let keep;
    const t = make({ start(c) { keep = c; }, transform(x) { if (x === 2) keep.enqueue("two"); } });
    eq(await collect(from(1, 2, 3).pipeThrough(t).pipeThrough(map((x) => x + "!"))), ["two!"]);
    let release;
    const waiting = new ReadableStream({ start(c) { release = c; } });
    const out = waiting.pipeThrough(make({ start(c) { keep = c; } })).pipeThrough(map((x) => [x])).getReader();
    const first = out.read();
    await __world.jobs();
    keep.enqueue("between");
    eq((await first).value, ["between"]);
    release.close();
    eq((await out.read()).done, true);
  });
  law("errors of the transformer reach the reader and cancel the source", async () => {
    let cancelled;
    const source = () => new ReadableStream({ pull(c) { c.enqueue(1); }, cancel(r) { cancelled = r; } });
    await rejects(collect(source().pipeThrough(make({ transform() { throw new RangeError("t"); } })).pipeThrough(map((x) => x))), "RangeError", "t");
    await __world.jobs();
    eq(cancelled?.message, "t");
    await rejects(collect(source().pipeThrough(make({ async transform() { await tick(); throw new RangeError("async"); } }))), "RangeError", "async");
    await rejects(collect(from(1).pipeThrough(make({ flush() { throw new RangeError("flush"); } })).pipeThrough(make())), "RangeError", "flush");
    await rejects(collect(source().pipeThrough(make({ transform(x, c) { c.error(new RangeError("told")); } }))), "RangeError", "told");
    await rejects(collect(new ReadableStream({ pull() { throw new RangeError("source"); } }).pipeThrough(make()).pipeThrough(make())), "RangeError", "source");
    await rejects(collect(from(1).pipeThrough(make({ async start() { throw new RangeError("start"); } }))), "RangeError", "start");
    throws(() => new TransformStream({ start() { throw new RangeError("now"); } }), "RangeError", "now");
  });
  law("terminate() ends the result and cancels the source", async () => {
    let cancelled = false;
    const source = new ReadableStream({ pull(c) { c.enqueue(1); }, cancel() { cancelled = true; } });
    let n = 0;
    const t = make({ transform(x, c) { c.enqueue(++n); if (n === 3) c.terminate(); }, flush() { n = "flushed"; } });
    eq(await collect(source.pipeThrough(t).pipeThrough(make({ flush(c) { c.enqueue("next is flushed"); } }))), [1, 2, 3, "next is flushed"]);
    await __world.jobs();
    eq([cancelled, n], [true, 3]);
  });
  law("cancelling the result cancels the source", async () => {
    let cancelled;
    const source = new ReadableStream({ pull(c) { c.enqueue(1); }, cancel(r) { cancelled = r; } });
    const reader = source.pipeThrough(map((x) => x)).pipeThrough(map((x) => x)).getReader();
    eq((await reader.read()).value, 1);
    await reader.cancel("enough");
    await __world.jobs();
    eq(cancelled, "enough");
  });
  law("locking", async () => {
    const source = from(1);
    const t = make();
    const result = source.pipeThrough(t);
    eq([source.locked, result === t.readable, t.writable.locked, result.locked], [true, true, true, false]);
    throws(() => source.pipeThrough(make()), "TypeError");
    throws(() => from(1).pipeThrough(t), "TypeError");
    const next = result.pipeThrough(make());
    eq([result.locked, await collect(next)], [true, [1]]);
  });
  law("tee, bodies, decoder and encoder streams", async () => {
    const [a, b] = from(1, 2).pipeThrough(map((x) => x + 1)).tee();
    eq([await collect(a), await collect(b)], [[2, 3], [2, 3]]);
    const body = from("a", "b").pipeThrough(map((x) => x.toUpperCase())).pipeThrough(new TextEncoderStream());
    const response = new Response(body);
    eq([await response.text(), response.bodyUsed, body.locked], ["AB", true, true]);
    const lines = new Response("one\ntwo").body.pipeThrough(new TextDecoderStream()).pipeThrough(make({ transform(x, c) { for (const line of x.split("\n")) c.enqueue(line); } }));
    eq(await collect(lines), ["one", "two"]);
  });
  law("backpressure: the source is not read far ahead of the reader", async () => {
    let pulled = 0;
    const source = new ReadableStream({ pull(c) { c.enqueue(++pulled); } }, { highWaterMark: 0 });
    const reader = source.pipeThrough(map((x) => x)).pipeThrough(map((x) => x)).getReader();
    await __world.jobs();
    ok(pulled <= 2, `pulled ${pulled}`);
    await reader.read();
    await __world.jobs();
    ok(pulled <= 4, `pulled ${pulled}`);
  });
  law("a readable strategy lets the result run ahead", async () => {
    let pulled = 0;
    const source = new ReadableStream({ pull(c) { if (pulled === 10) c.close(); else c.enqueue(++pulled); } }, { highWaterMark: 0 });
    const result = source.pipeThrough(make({}, undefined, { highWaterMark: 3 }));
    await __world.jobs();
    await __world.jobs();
    ok(pulled >= 3, `pulled ${pulled}`);
    eq(await collect(result.pipeThrough(make())), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    const eager = from(1, 2, 3).pipeThrough(make({}, undefined, { highWaterMark: 3 })).pipeThrough(make());
    await __world.jobs();
    eq(await collect(eager), [1, 2, 3]);
  });
}
if (__worldKind !== "engine")
  test("sources and transformers run in the async context of pipeThrough(), as in workerd", async () => {
    const als = new (__world.modules["node:async_hooks"].AsyncLocalStorage)();
    const seen = [];
    const note = () => new TransformStream({
      async transform(x, c) { seen.push(als.getStore()); await tick(); seen.push(als.getStore()); c.enqueue(x); },
      flush() { seen.push(als.getStore()); },
    });
    const source = new ReadableStream({ pull(c) { seen.push(`pull ${als.getStore()}`); if (this.done) c.close(); else c.enqueue(1); this.done = true; } }, { highWaterMark: 0 });
    const one = als.run("one", () => source.pipeThrough(note()));
    const two = als.run("two", () => one.pipeThrough(note()));
    await als.run("reader", () => collect(two));
    eq(seen, ["pull one", "one", "one", "two", "two", "pull one", "one", "two"]);
  });
test("subclasses, instanceof, pairs, writable side", async () => {
  class Upper extends TransformStream { constructor() { super({ transform(x, c) { c.enqueue(x.toUpperCase()); } }); } }
  const u = new Upper();
  ok(u instanceof TransformStream && new TextDecoderStream() instanceof TransformStream && new IdentityTransformStream() instanceof TransformStream);
  eq(await collect(from("a").pipeThrough(u)), ["A"]);
  const { readable, writable } = new TransformStream();
  eq(await collect(from("b").pipeThrough({ readable, writable })), ["b"]);
  const t = new TransformStream();
  const w = t.writable.getWriter();
  w.write("c");
  w.close();
  eq(await collect(t.readable), ["c"]);
  const c = new AbortController();
  const piped = new ReadableStream().pipeThrough(new TransformStream(), { signal: c.signal });
  c.abort(new RangeError("stop"));
  await rejects(collect(piped), "RangeError", "stop");
  throws(() => new TransformStream({ transform: 5 }), "TypeError");
  throws(() => new TransformStream({ readableType: "bytes" }), "RangeError");
  throws(() => from(1).pipeThrough(5), "TypeError");
});
