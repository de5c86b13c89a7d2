// The Agents SDK with its own client: calls, streams, state, queue, schedules, requests, agents that ask agents.
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { AgentClient } from "agents/client";
import WebSocket from "ws";
import { connect, eventually, fixture, message, missing, scratch, start, withTimeout } from "./lib.mjs";

const skip = missing();

describe("an agent of the SDK", { skip }, () => {
  let server, data;
  before(async () => {
    data = scratch();
    server = await start(fixture("sdk"), { data: data.dir });
  });
  after(async () => {
    await server?.stop();
    data?.remove();
  });

  let count = 0;
  async function client(t, options = {}) {
    const one = new AgentClient({ agent: "everything", name: `agent ${count++}`, host: server.host, WebSocket, ...options });
    t.after(() => one.close());
    await withTimeout(one.ready, 20_000, "no identity came");
    return one;
  }

  it("greets", async (t) => assert.equal(await (await client(t)).call("greet", ["you"]), "hello you"));

  it("has a stub", async (t) => assert.equal(await (await client(t)).stub.greet("stub"), "hello stub"));

  it("says who it is", async (t) => {
    const one = await client(t, { name: "named" });
    assert.deepEqual([one.name, one.agent], ["named", "everything"]);
  });

  it("carries values there and back", async (t) => {
    const one = await client(t);
    for (const value of [null, "ü🐭", 1.5, [1, [2]], { a: { b: [] } }, "x".repeat(300_000)]) assert.deepEqual(await one.call("echo", [value]), value);
  });

  it("answers calls made at once in any number", async (t) => {
    const one = await client(t);
    assert.deepEqual(await Promise.all(Array.from({ length: 50 }, (_, i) => one.call("echo", [i]))), Array.from({ length: 50 }, (_, i) => i));
  });

  it("tells what a method threw", async (t) => assert.rejects((await client(t)).call("fails"), /method failed/));

  it("keeps methods without @callable to itself", async (t) => assert.rejects((await client(t)).call("hidden"), /not callable/));

  it("streams", async (t) => {
    const chunks = [];
    const result = await (await client(t)).call("count", [5], { stream: { onChunk: (chunk) => chunks.push(chunk) } });
    assert.deepEqual([chunks, result], [[1, 2, 3, 4, 5], "done"]);
  });

  it("keeps SQL rows, and reports a broken constraint", async (t) => {
    const one = await client(t);
    assert.deepEqual(await one.call("note", ["first"]), [{ id: 1, text: "first" }]);
    await assert.rejects(one.call("note", ["first"]), /UNIQUE constraint failed: note\.text/);
    assert.deepEqual(await one.call("notes"), [{ text: "first" }]);
  });

  it("knows itself and the connection while it is called", async (t) => assert.deepEqual(await (await client(t)).call("who"), { same: true, hasConnection: true }));

  it("asks another agent", async (t) => assert.equal(await (await client(t, { name: "asker" })).call("ask", ["answerer"]), "hello from asker"));

  it("asks itself without locking up", async (t) => assert.equal(await (await client(t, { name: "itself" })).call("ask", ["itself"]), "hello from itself"));

  it("works through its queue in order", async (t) => {
    let state;
    const one = await client(t, { onStateUpdate: (next) => { state = next; } });
    await one.call("enqueue", [["a", "b", "c"]]);
    await eventually(() => state?.log.join() === "a,b,c" || JSON.stringify(state));
  });

  it("retries", async (t) => assert.equal(await (await client(t)).call("flaky"), 3));

  it("runs what it scheduled", async (t) => {
    let state;
    const one = await client(t, { onStateUpdate: (next) => { state = next; } });
    await one.call("later", [50]);
    await eventually(() => state?.log.join() === "scheduled" || JSON.stringify(state));
  });

  it("tells who changed its state", async (t) => {
    const one = await client(t);
    await one.call("add", [2]);
    one.setState({ n: 9, log: [] });
    await eventually(async () => { const seen = await one.call("changesSeen"); return seen.length === 3 || JSON.stringify(seen); });
    assert.deepEqual(await one.call("changesSeen"), ["0 from server", "2 from server", "9 from client"]);
  });

  it("lets a read-only connection read", async (t) => {
    const errors = [];
    const one = await client(t, { query: { readonly: "1" }, onStateUpdateError: (error) => errors.push(error) });
    one.setState({ n: 5, log: [] });
    await eventually(() => errors.length === 1);
    assert.match(errors[0], /readonly/i);
  });

  it("sends identity, state and its own welcome, in that order", async (t) => {
    const socket = await connect(server.ws("/agents/everything/fresh"));
    const seen = [];
    for (let i = 0; i < 4; i++) seen.push(JSON.parse(await socket.next()).type);
    assert.deepEqual(seen, ["cf_agent_identity", "cf_agent_state", "cf_agent_mcp_servers", "welcome"]);
    socket.send("plain");
    assert.equal(await socket.next(), "echo plain");
    socket.drop();
  });

  it("answers requests: path, method, body", async () => {
    const answer = await server.json("/agents/everything/http/some/path", { method: "POST", body: "text" });
    assert.deepEqual(answer, { name: "http", method: "POST", path: "some/path", starts: 1, body: "text" });
  });

  it("streams an answer", async () => assert.equal(await (await server.fetch("/agents/everything/http/stream")).text(), "streamed from an agent"));

  it("answers 500 when a request handler throws, and goes on", async () => {
    assert.equal((await server.fetch("/agents/everything/thrower/throw")).status, 500);
    assert.equal((await server.fetch("/agents/everything/thrower/state")).status, 200);
  });

  it("answers a preflight", async () => {
    const answer = await server.fetch("/agents/everything/http", { method: "OPTIONS" });
    assert.equal(answer.headers.get("access-control-allow-origin"), "*");
  });

  it("is reached by name from the program", async () => assert.equal(await server.json("/direct/some"), "hello direct"));

  it("answers 404 to what is no agent", async () => {
    assert.equal((await server.fetch("/agents/nobody/x")).status, 400);
    assert.equal((await server.fetch("/elsewhere")).status, 404);
  });

  it("sees its connections come and go", async (t) => {
    const one = await client(t, { name: "counted" });
    const two = await connect(server.ws("/agents/everything/counted"));
    assert.equal(await one.call("connectionsOpen"), 2);
    await two.close(1000);
    await eventually(async () => (await one.call("connectionsOpen")) === 1);
  });

  it("tells every client, except the one that changed it", async (t) => {
    const seen = { one: [], two: [] };
    const one = await client(t, { name: "both", onStateUpdate: (state, source) => seen.one.push([state.n, source]) });
    const two = await client(t, { name: "both", onStateUpdate: (state, source) => seen.two.push([state.n, source]) });
    const told = message(two, (event) => event.type === "cf_agent_state" && event.state.n === 7);
    one.setState({ n: 7, log: [] });
    await told;
    assert.deepEqual(seen.one.at(-1), [7, "client"]);
    assert.deepEqual(seen.two.at(-1), [7, "server"]);
  });

  it("has agents of its own", async (t) => {
    const one = await client(t, { name: "parent" });
    assert.deepEqual(await one.call("child", ["kid"]), { name: "kid", naps: 1 });
    assert.deepEqual(await one.call("child", ["kid"]), { name: "kid", naps: 2 });
    assert.deepEqual(await one.call("child", ["other kid"]), { name: "other kid", naps: 1 });
  });

  it("can be destroyed and begins anew", async (t) => {
    const one = await client(t, { name: "mortal" });
    await one.call("note", ["before"]);
    one.call("wipe").catch(() => {}); // the agent may end before it answers
    await eventually(async () => (await server.json("/agents/everything/mortal/notes").catch((error) => [error.message])).length === 0);
  });
});
