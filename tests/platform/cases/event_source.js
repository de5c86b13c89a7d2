/* EventSource: HTML standard, 9.2. The network is a function; time is virtual. */
const answers = [];
const calls = [];
const fetcher = { fetch: async (url, init) => { calls.push([url, init.headers]); return answers.shift() ?? new Response(null, { status: 204 }); } };
const stream = (...chunks) => new Response(new ReadableStream({ start(c) { for (const chunk of chunks) c.enqueue(new TextEncoder().encode(chunk)); c.close(); } }), { headers: { "content-type": "text/event-stream;charset=utf-8" } });
const listen = (source, ...names) => {
  const log = [];
  for (const name of names) source.addEventListener(name, (e) => log.push(e instanceof MessageEvent ? [name, e.data, e.lastEventId] : name));
  return log;
};

test("events, however the bytes are cut", async () => {
  const text = "\ufeff: comment\nid: 1\ndata: one\n\nevent: named\r\ndata:two\r\ndata: lines\r\n\r\ndata\rid\r\r: nothing\n\nevent: empty\n\ndata: é€\nunknown: x\n\ndata: unfinished\n";
  const whole = new TextEncoder().encode(text);
  for (let size = 1; size < 12; size++) {
    const chunks = [];
    for (let i = 0; i < whole.length; i += size) chunks.push(whole.slice(i, i + size));
    const source = EventSource.from(new ReadableStream({ start(c) { for (const chunk of chunks) c.enqueue(chunk); c.close(); } }));
    const log = listen(source, "message", "named", "empty", "error");
    for (let i = 0; i < 20; i++) await __world.jobs();
    eq([log, source.readyState], [[["message", "one", "1"], ["named", "two\nlines", "1"], ["message", "", ""], ["message", "é€", ""], "error"], 2], `chunks of ${size}`);
  }
});
test("connects again with the last id after the server's time", async () => {
  calls.length = 0;
  answers.push(stream("retry: 50\nid: 7\ndata: a\n\n"), stream("data: b\n\n"));
  const source = new EventSource("http://h/events", { fetcher });
  const log = listen(source, "open", "message", "error");
  eq([source.readyState, source.url, source.withCredentials], [0, "http://h/events", false]);
  await __world.advance(49);
  eq(calls.length, 1);
  await __world.advance(1);
  await __world.advance(50);
  eq(log, ["open", ["message", "a", "7"], "error", "open", ["message", "b", "7"], "error", "error"]);
  eq([calls.length, calls[0][1]["last-event-id"], calls[1][1]["last-event-id"], source.readyState], [3, undefined, "7", 2]);
  eq(__world.pending(), 0);
});
test("other answers end it; close() ends it", async () => {
  for (const answer of [new Response("x", { status: 500 }), new Response("x", { headers: { "content-type": "text/html" } })]) {
    answers.push(answer);
    const source = new EventSource("http://h/", { fetcher });
    const log = listen(source, "open", "error");
    await __world.jobs();
    eq([log, source.readyState], [["error"], 2]);
  }
  answers.push(stream("data: x\n\n"));
  const source = new EventSource("http://h/", { fetcher });
  source.onmessage = () => source.close();
  await __world.jobs();
  await __world.jobs();
  eq([source.readyState, __world.pending(), EventSource.CLOSED, source.OPEN], [2, 0, 2, 1]);
  throws(() => new EventSource("no url"), "SyntaxError");
});
