/*
 * WebSockets: pairs within a heap, hibernatable and live sockets over the host, attachments, close rules.
 */
import assert from "node:assert/strict";
import { before, test } from "node:test";
import { bootAgent, EVENT, makeWorld, pack, settle, unpack } from "./core-host.mjs";

const APP = `
import { DurableObject } from "cloudflare:workers";
export class Room extends DurableObject {
  constructor(ctx, env) { super(ctx, env); globalThis.room = this; this.seen = []; }
  fetch(request) { return this.handle(request); }
  webSocketMessage(ws, message) { this.seen.push(["message", ws, message]); if (message === "bad") throw new Error("in handler"); }
  webSocketClose(ws, ...rest) { this.seen.push(["close", ws, ...rest, ws.readyState, this.ctx.getWebSockets().length]); }
  webSocketError(ws, error) { this.seen.push(["error", ws, error.message]); }
}
`;

let world;
let room;
before(async () => {
  world = await makeWorld(APP);
  world.sockets = [[41, ["old"], pack({ kept: true }).buffer, "http://a/ws", "chat", 1234]];
  await bootAgent(world);
  room = globalThis.room;
});

const upgrade = { upgrade: true, headers: "upgrade\nwebsocket\n" };
const answer = () => world.request(EVENT.FETCH, "GET", "http://a/ws", upgrade);

test("sockets of an earlier life come back with tags, attachment, url and protocol, and keep their identity", () => {
  const [socket] = room.ctx.getWebSockets("old");
  assert.equal(room.ctx.getWebSockets()[0], socket);
  assert.deepEqual([socket.deserializeAttachment(), socket.url, socket.protocol, socket.readyState], [{ kept: true }, "http://a/ws", "chat", 1]);
  assert.deepEqual(room.ctx.getTags(socket), ["old"]);
  assert.equal(room.ctx.getWebSocketAutoResponseTimestamp(socket).getTime(), 1234);
  socket.mark = 1;
  assert.equal(room.ctx.getWebSockets("old")[0].mark, 1);
});

test("a hibernatable socket is the host's from the start", async () => {
  let ours;
  room.handle = () => {
    const [client, server] = Object.values(new WebSocketPair());
    room.ctx.acceptWebSocket(server, ["a", "b", "a"]);
    server.serializeAttachment({ n: 1 });
    server.send("hello");
    ours = server;
    return new Response(null, { status: 101, webSocket: client });
  };
  const [, , status, , , , , socket] = await answer();
  assert.equal(status, 101);
  assert.deepEqual(world.last("wsOpen"), [socket, 1, ["a", "b"], undefined]);
  assert.deepEqual(unpack(world.last("wsAttach")[1]), { n: 1 });
  assert.deepEqual(world.last("wsSend"), [socket, "hello"]);
  const [, ...done] = await world.call(EVENT.WS_MESSAGE, socket, "päck");
  assert.equal(done[1], 0);
  assert.deepEqual(room.seen.pop(), ["message", ours, "päck"]);
  assert.deepEqual(world.last("wsDone"), [socket, 5], "counted in bytes");
  assert.deepEqual(room.ctx.getWebSockets().map((ws) => room.ctx.getTags(ws)[0]), ["a", "old"], "newest first");
  await world.call(EVENT.WS_CLOSE, socket, 4001, "bye", true);
  assert.deepEqual(room.seen.pop(), ["close", ours, 4001, "bye", true, 2, 2]);
  assert.deepEqual(world.last("wsClose"), [socket, 4001, "bye"], "the close is answered for the handler");
  assert.equal(room.ctx.getWebSockets().length, 1);
  assert.equal(ours.readyState, 3);
});

test("a handler that throws is logged and the socket lives on", async () => {
  assert.equal((await world.call(EVENT.WS_MESSAGE, 41, "bad"))[2], 0);
  assert.match(world.logs.pop()[1], /^Uncaught \(webSocketMessage\) Error: in handler/);
  assert.equal(room.ctx.getWebSockets("old").length, 1);
});

test("a connection that broke is closed with 1006 and not answered", async () => {
  const closes = world.all("wsClose").length;
  await world.call(EVENT.WS_CLOSE, 41, 1006, "", false);
  assert.deepEqual(room.seen.pop().slice(2), [1006, "WebSocket disconnected without sending Close frame.", false, 2, 1]);
  assert.equal(world.all("wsClose").length, closes);
});

test("a live socket speaks through events", async () => {
  const events = [];
  room.handle = () => {
    const pair = new WebSocketPair();
    pair[1].accept();
    pair[1].send("before the handshake");
    pair[1].addEventListener("message", (event) => events.push(event.data));
    pair[1].onclose = (event) => events.push([event.code, event.reason, event.wasClean, pair[1].readyState]);
    return new Response(null, { status: 101, webSocket: pair[0] });
  };
  const socket = (await answer())[7];
  assert.deepEqual(world.last("wsOpen").slice(0, 2), [socket, 2]);
  assert.deepEqual(world.last("wsSend"), [socket, "before the handshake"]);
  await world.call(EVENT.WS_MESSAGE, socket, "in");
  await world.call(EVENT.WS_CLOSE, socket, 1000, "done", true);
  assert.deepEqual(events, ["in", [1000, "done", true, 3]]);
  assert.deepEqual(world.last("wsClose"), [socket, 1000, "done"]);
});

test("messages wait for an end that is accepted after it was given away", async () => {
  const events = [];
  let pair;
  room.handle = () => {
    pair = new WebSocketPair();
    return new Response(null, { status: 101, webSocket: pair[0] });
  };
  const socket = (await answer())[7];
  await world.call(EVENT.WS_MESSAGE, socket, "early");
  pair[1].addEventListener("message", (event) => events.push(event.data));
  pair[1].accept();
  await settle();
  await world.call(EVENT.WS_MESSAGE, socket, "late");
  assert.deepEqual(events, ["early", "late"]);
});

test("without an upgrade a socket cannot be returned", async () => {
  room.handle = () => new Response(null, { status: 101, webSocket: new WebSocketPair()[0] });
  const [native, , message] = await world.request(EVENT.FETCH, "GET", "http://a/");
  assert.equal(native, "replyFail");
  assert.match(message, /^Worker tried to return a WebSocket in a response to a request which did not contain/);
});

test("two ends in one heap: order, close with its answer, late accept", async () => {
  const [a, b] = Object.values(new WebSocketPair());
  const got = [];
  a.accept();
  a.send("queued");
  for (const [name, end] of [["a", a], ["b", b]]) {
    end.addEventListener("message", (event) => got.push(`${name}:${event.data}`));
    end.addEventListener("close", (event) => got.push(`${name} closed ${event.code} ${event.reason} ${end.readyState}`));
  }
  b.accept();
  b.send("two");
  got.push("still in this job");
  await settle();
  a.close(1001, "x");
  assert.deepEqual([a.readyState, b.readyState], [2, 1]);
  await settle();
  assert.deepEqual(got, ["still in this job", "b:queued", "a:two", "b closed 1001 x 3", "a closed 1001 x 3"]);
  assert.throws(() => a.send("late"), { name: "TypeError", message: "Can't call WebSocket send() after close()." });
});

test("half-open ends close each on their own", async () => {
  const [a, b] = Object.values(new WebSocketPair());
  a.accept({ allowHalfOpen: true });
  b.accept({ allowHalfOpen: true });
  const got = [];
  a.addEventListener("message", (event) => got.push(event.data));
  a.close();
  await settle();
  assert.deepEqual([a.readyState, b.readyState], [2, 2]);
  b.send("more");
  b.close(3000);
  await settle();
  assert.deepEqual([a.readyState, b.readyState, got], [3, 3, ["more"]]);
});

test("binary messages are Blobs for listeners, as the compatibility date says, or ArrayBuffers on demand", async () => {
  const [a, b] = Object.values(new WebSocketPair());
  a.accept();
  b.accept();
  const got = [];
  b.addEventListener("message", (event) => got.push(Object.prototype.toString.call(event.data)));
  a.send(new Uint8Array([1]));
  await settle();
  b.binaryType = "arraybuffer";
  a.send(new Uint8Array([2]));
  await settle();
  assert.deepEqual(got, ["[object Blob]", "[object ArrayBuffer]"]);
});

for (const [what, run, expected] of [
  ["send before accept", (ws) => ws.send("x"), { name: "TypeError", message: /^You must call one of accept\(\) or state\.acceptWebSocket\(\)/ }],
  ["close codes below 1000", (ws) => ws.close(999), { name: "InvalidAccessError", message: "Invalid WebSocket close code: 999." }],
  ["close code 1005", (ws) => ws.close(1005), { name: "InvalidAccessError" }],
  ["a reason without a code", (ws) => ws.close(undefined, "x"), { message: "If you specify a WebSocket close reason, you must also specify a code." }],
  ["a long reason", (ws) => ws.close(1000, "ü".repeat(62)), { name: "SyntaxError" }],
  ["an attachment too large", (ws) => ws.serializeAttachment("x".repeat(20000)), { message: /^A WebSocket 'attachment' cannot be larger than 16384 bytes\.'attachment' was \d+ bytes\.$/ }],
  ["a missing attachment", (ws) => ws.serializeAttachment(), { message: "Failed to execute 'serializeAttachment' on 'WebSocket': parameter 1 is not of type 'Value'." }],
  ["tags of a socket that has none", (ws) => room.ctx.getTags(ws), { message: /^you must call 'acceptWebSocket\(\)' before/ }],
  ["11 tags", (ws) => room.ctx.acceptWebSocket(ws, Array.from({ length: 11 }, (_, i) => `${i}`)), { message: "a Hibernatable WebSocket cannot have more than 10 tags" }],
  ["a long tag", (ws) => room.ctx.acceptWebSocket(ws, ["x".repeat(257)]), { message: /is longer than the max tag length \(256 characters\)\.$/ }],
  ["something else", () => room.ctx.acceptWebSocket({}), { message: "Failed to execute 'acceptWebSocket' on 'DurableObjectState': parameter 1 is not of type 'WebSocket'." }],
]) {
  test(`refused: ${what}`, () => assert.throws(() => run(new WebSocketPair()[1]), expected));
}

test("an end that was accepted cannot be given away or hibernate", async () => {
  const [a, b] = Object.values(new WebSocketPair());
  a.accept();
  assert.throws(() => room.ctx.acceptWebSocket(a), { message: /already accepted via `accept\(\)`$/ });
  assert.throws(() => room.ctx.acceptWebSocket(b), { message: /its pair has already been accepted or used in a Response\.$/ });
  room.handle = () => new Response(null, { status: 101, webSocket: a });
  assert.equal((await answer())[2], "Can't return WebSocket in a Response after calling accept().");
});

test("the auto response is the host's", () => {
  room.ctx.setWebSocketAutoResponse(new WebSocketRequestResponsePair("ping", "pong"));
  assert.deepEqual(world.last("wsAuto"), ["ping", "pong"]);
  assert.equal(room.ctx.getWebSocketAutoResponse().response, "pong");
  room.ctx.setWebSocketAutoResponse();
  assert.deepEqual(world.last("wsAuto"), [undefined, undefined]);
  assert.equal(room.ctx.getWebSocketAutoResponse(), null);
  assert.throws(() => room.ctx.setWebSocketAutoResponse(new WebSocketRequestResponsePair("x".repeat(2049), "")), {
    name: "RangeError", message: "Request cannot be larger than 2048 bytes. A request of size 2049 was provided.",
  });
});

test("constants are in both styles on the class and its instances", () => {
  const [a] = Object.values(new WebSocketPair());
  assert.deepEqual([WebSocket.OPEN, WebSocket.READY_STATE_CLOSED, a.CLOSING, a.READY_STATE_CONNECTING], [1, 3, 2, 0]);
});
