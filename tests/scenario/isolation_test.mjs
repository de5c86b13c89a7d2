// One agent's trouble is its own: loops, bombs, recursion, throws. And two agents share nothing.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { connect, fixture, missing, serve } from "./lib.mjs";

const probe = fixture("probe");
const skip = missing();
const onlyHere = missing({ only: "dormouse" });
const LIMITS = { limits: { cpu_ms: 300, memory_mb: 64 } };

const trouble = async (server, path) => {
  const answer = await server.fetch(path);
  const text = await answer.text();
  return { status: answer.status, ...(text.startsWith("{") ? JSON.parse(text) : { text }) };
};

describe("two agents", { skip }, () => {
  it("have databases of their own", async (t) => {
    const server = await serve(t, probe);
    await server.json("/p/one/put?v=1");
    await server.json("/p/two/put?v=2");
    assert.deepEqual([await server.json("/p/one/all"), await server.json("/p/two/all")], [["1"], ["2"]]);
  });

  it("have globals of their own", { skip: onlyHere }, async (t) => {
    const server = await serve(t, probe);
    assert.deepEqual([await server.json("/p/one/global"), await server.json("/p/one/global"), await server.json("/p/two/global")], [1, 2, 1]);
  });

  it("with names that look alike are two", async (t) => {
    const server = await serve(t, probe);
    const names = ["a", "A", "a%20", "%2e%2e%2fa", "a%00b", "ä", "a%CC%88"];
    for (const [i, name] of names.entries()) await server.json(`/p/${name}/put?v=${i}`);
    for (const [i, name] of names.entries()) assert.deepEqual(await server.json(`/p/${name}/all`), [String(i)], name);
  });
});

describe("an answer", { skip }, () => {
  it("may be of any size, and leaves its worker alone", async (t) => {
    const server = await serve(t, probe);
    assert.deepEqual(await server.json("/p/one/keep?v=1"), ["1"]);
    for (const size of [65_536, 65_537, 100_000, 320_000, 400_000, 2_000_000]) assert.equal((await (await server.fetch(`/p/one/large?v=${size}`)).text()).length, size);
    assert.deepEqual(await server.json("/p/one/kept"), ["1"]);
  });
});

describe("an agent in trouble", { skip }, () => {
  it("that throws tells the caller, and goes on", async (t) => {
    const server = await serve(t, probe);
    await server.json("/p/a/put?v=kept");
    const seen = await trouble(server, "/p/a/throw");
    assert.deepEqual([seen.status, seen.name, seen.message, seen.remote], [555, "RangeError", "thrown on purpose", true]);
    assert.equal((await server.fetch("/p/a/throw?raw")).status, 500);
    assert.deepEqual(await server.json("/p/a/all"), ["kept"]);
  });

  it("that recurses too deep gets a RangeError", async (t) => {
    const server = await serve(t, probe);
    assert.equal((await trouble(server, "/p/a/deep")).text, "RangeError");
    assert.deepEqual(await server.json("/p/a/all"), []);
  });

  it("that aborts is reset; the caller sees the reason", async (t) => {
    const server = await serve(t, probe);
    await server.json("/p/a/keep?v=x");
    const seen = await trouble(server, "/p/a/abort");
    assert.deepEqual([seen.status, seen.message, seen.durableObjectReset], [555, "aborted on purpose", true]);
    assert.deepEqual(await server.json("/p/a/kept"), []);
  });

  it("that aborts when its write is kept takes nobody along", { skip: onlyHere }, async (t) => {
    const server = await serve(t, probe);
    await server.json("/p/other/keep?v=mine");
    const workers = server.rooms("worker").map(({ pid }) => pid);
    const seen = await trouble(server, "/p/a/syncAbort?v=kept");
    assert.deepEqual([seen.status, seen.message, seen.durableObjectReset], [555, "aborted after a sync", true]);
    assert.deepEqual(await server.json("/p/a/all"), ["kept"]);
    assert.deepEqual(await server.json("/p/other/kept"), ["mine"]);
    assert.deepEqual(server.rooms("worker").map(({ pid }) => pid), workers);
  });

  it("that is reset knows the socket that opened while its last one closed", { skip: onlyHere }, async (t) => {
    const server = await serve(t, probe, { args: ["--workers", "1"] });
    for (let i = 0; i < 12; i++) { // a race: most of them meet it
      const left = await connect(server.ws(`/p/${i}/ws`));
      left.ws.close(1000);
      const stays = await connect(server.ws(`/p/${i}/ws`));
      await left.closed;
      await trouble(server, `/p/${i}/abort`);
      const hangs = new AbortController();
      const answer = server.fetch(`/p/${i}/hang`, { signal: hangs.signal }).catch(() => {});
      assert.deepEqual(JSON.parse(await stays.next()), { hanging: true });
      hangs.abort();
      await answer;
      stays.drop();
    }
  });

  it("that cannot be constructed says so every time, and only it", async (t) => {
    const server = await serve(t, probe);
    for (let i = 0; i < 2; i++) {
      const seen = await trouble(server, "/fussy/bad");
      assert.deepEqual([seen.status, seen.name, seen.message], [555, "TypeError", "not constructed on purpose"]);
    }
    assert.equal((await trouble(server, "/fussy/good")).text, "fine");
  });

  it("that leaves a rejection unhandled goes on", async (t) => {
    const server = await serve(t, probe);
    assert.equal((await trouble(server, "/p/a/rejection")).text, "rejected");
    assert.deepEqual(await server.json("/p/a/put?v=1"), { id: 1 });
  });

  it("that loops for ever is stopped; the others go on meanwhile", { skip: onlyHere }, async (t) => {
    const server = await serve(t, probe, LIMITS);
    const names = Array.from({ length: 8 }, (_, i) => `other ${i}`);
    for (const name of names) await server.json(`/p/${name}/put?v=1`);
    const looping = trouble(server, "/p/loops/loop");
    for (const name of names) assert.deepEqual(await server.json(`/p/${name}/all`), ["1"]);
    const seen = await looping;
    assert.equal(seen.status, 555);
    assert.match(seen.message, /CPU/);
    assert.deepEqual(await server.json("/p/loops/all"), []);
  });

  it("that hoards memory is stopped with the platform's words; the others keep theirs", { skip: onlyHere }, async (t) => {
    const server = await serve(t, probe, LIMITS);
    const client = await connect(server.ws("/p/other/ws?v=ada"));
    await server.json("/p/other/keep?v=mine");
    const seen = await trouble(server, "/p/hoards/bomb");
    assert.equal(seen.status, 555);
    assert.match(seen.message, /exceeded its memory limit and was reset/);
    assert.deepEqual(await server.json("/p/other/kept"), ["mine"]);
    assert.deepEqual(await server.json("/p/hoards/all"), []);
    client.send("still here");
    assert.equal(JSON.parse(await client.next()).echo, "still here");
    client.drop();
  });
});

describe("sockets", { skip }, () => {
  it("tell the agent how they were closed", async (t) => {
    const server = await serve(t, probe);
    const [one, two] = [await connect(server.ws("/p/a/ws")), await connect(server.ws("/p/a/ws"))];
    const over = await one.close(4001, "because");
    assert.deepEqual(over, { code: 4001, reason: "because" });
    two.send("ping");
    await two.next(); // the close was delivered before this message
    assert.deepEqual(await server.json("/p/a/all"), ["closed 4001 because"]);
    two.drop();
  });

  it("see a write only after it is on disk, and in order", async (t) => {
    const server = await serve(t, probe);
    const client = await connect(server.ws("/p/a/ws"));
    for (let i = 0; i < 50; i++) client.send(`put ${i}`);
    for (let i = 0; i < 50; i++) assert.equal(JSON.parse(await client.next()).echo, `put ${i}`);
    assert.deepEqual(await server.json("/p/a/all"), Array.from({ length: 50 }, (_, i) => `${i}`));
    client.drop();
  });
});
