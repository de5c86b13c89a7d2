// The gateway's WebSockets: frames, closing, the book, and what survives a worker.
import assert from "node:assert/strict";
import test from "node:test";
import WebSocket from "ws";
import { connect, frame, rig, skip, upgrade } from "./http_rig.mjs";

/* A raw connection behind its handshake. */
async function socket(g, path = "/ws", more) {
  const c = connect(g.port);
  c.send(upgrade(path, more));
  const r = await c.response();
  assert.equal(r.status, 101);
  return Object.assign(c, { id: (await g.event("ws")).socket, headers: r.headers });
}

/* The next frame of the server: [first byte, payload]. */
async function read(c) {
  const [first, second] = await c.bytes(2);
  let n = second & 127;
  assert.equal(second & 128, 0, "a server does not mask");
  if (n === 126) n = (await c.bytes(2)).readUInt16BE();
  else if (n === 127) n = Number((await c.bytes(8)).readBigUInt64BE());
  return [first, n ? (await c.bytes(n)).toString("latin1") : ""];
}

const closeFrame = (code, reason = "") => frame(0x88, Buffer.concat([Buffer.from([code >> 8, code & 255]), Buffer.from(reason)]));
const codeOf = ([first, payload]) => [first, payload.length ? payload.charCodeAt(0) * 256 + payload.charCodeAt(1) : 1005];

/* A worker process of slot 0 dies and another takes its place. */
async function restart(g) {
  await g.tell("kill 0");
  await g.tell("link 0");
}

test("the handshake and an echo", { skip }, async (t) => {
  const g = await rig(t);
  const c = await socket(g, "/ws?protocol", "Sec-WebSocket-Protocol: chat\r\nSec-WebSocket-Extensions: permessage-deflate\r\n");
  assert.equal(c.headers["sec-websocket-accept"], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
  assert.equal(c.headers["sec-websocket-protocol"], "chat");
  assert.equal(c.headers["sec-websocket-extensions"], undefined);
  assert.equal(c.headers["content-length"], undefined);
  c.send(frame(0x81, "hello"));
  assert.deepEqual(await read(c), [0x81, "hello"]);
  const e = await g.event("ws_message");
  assert.deepEqual([e.name, e.flags, e.data], ["agent", 3, "hello"]);
  c.send(frame(0x82, ""));
  assert.deepEqual(await read(c), [0x82, ""]);
  c.send(frame(0x89, "are you there"));
  assert.deepEqual(await read(c), [0x8a, "are you there"]);
  c.destroy();
});

test("frames in the same packet as the handshake are not lost", { skip }, async (t) => {
  const g = await rig(t);
  const c = connect(g.port);
  c.send(Buffer.concat([Buffer.from(upgrade("/ws?late")), frame(0x81, "one"), frame(0x81, "two")]));
  assert.equal((await c.response()).status, 101);
  assert.deepEqual(await read(c), [0x81, "one"]);
  assert.deepEqual(await read(c), [0x81, "two"]);
  c.destroy();
});

test("fragments, large messages and messages cut at every byte", { skip }, async (t) => {
  const g = await rig(t);
  const c = await socket(g);
  c.send(Buffer.concat([frame(0x01, "a"), frame(0x00, "b"), frame(0x89, ""), frame(0x80, "c")]));
  assert.deepEqual(await read(c), [0x8a, ""]);
  assert.deepEqual(await read(c), [0x81, "abc"]);
  const bytes = frame(0x81, "cut häre");
  for (const b of bytes) { c.send(Buffer.from([b])); await new Promise((r) => setImmediate(r)); }
  assert.equal((await read(c))[1], Buffer.from("cut häre").toString("latin1"));
  c.destroy();
  const ws = new WebSocket(`${g.url}/ws`.replace("http", "ws"), { maxPayload: 1 << 26 });
  await new Promise((r) => ws.on("open", r));
  for (const n of [65536, 70000, 5_000_000, 32 << 20]) {
    const data = Buffer.alloc(n, "0123456789");
    ws.send(data);
    const [back, isBinary] = await new Promise((r) => ws.once("message", (...a) => r(a)));
    assert.ok(isBinary && back.equals(data), `${n} bytes`);
  }
  const done = new Promise((r) => ws.on("close", (code) => r(code)));
  ws.send(Buffer.alloc((32 << 20) + 1));
  assert.equal(await done, 1009);
  const e = await g.event("ws_close", (x) => x.code === 1006 && x.reason !== "WebSocket disconnected without sending Close frame.");
  assert.equal(e.clean, 0);
});

const BROKEN = {
  "an unmasked frame": [1002, Buffer.from([0x81, 1, 65])],
  "a reserved bit": [1002, frame(0xc1, "a")],
  "a reserved opcode": [1002, frame(0x83, "a")],
  "a fragmented ping": [1002, frame(0x09, "a")],
  "a continuation of nothing": [1002, frame(0x80, "a")],
  "a message in a message": [1002, Buffer.concat([frame(0x01, "a"), frame(0x81, "b")])],
  "text that is not UTF-8": [1007, frame(0x81, Buffer.from([0xc3, 0x28]))],
  "text cut in a character": [1007, frame(0x81, Buffer.from([0xc3]))],
  "a Close of one byte": [1002, frame(0x88, "a")],
  "a Close with 1005": [1002, closeFrame(1005)],
  "a Close whose reason is not UTF-8": [1007, frame(0x88, Buffer.from([3, 0xe8, 0xff]))],
  "a message above 32 MiB, announced": [1009, Buffer.concat([Buffer.from([0x82, 0xff, 0, 0, 0, 0, 2, 0, 0, 1]), Buffer.alloc(4)])],
};
for (const [name, [code, bytes]] of Object.entries(BROKEN))
  test(`closed with ${code}: ${name}`, { skip }, async (t) => {
    const g = await rig(t);
    const c = await socket(g);
    c.send(bytes);
    assert.deepEqual(codeOf(await read(c)), [0x88, code]);
    await c.closed();
    const e = await g.event("ws_close");
    assert.deepEqual([e.socket, e.clean, e.code], [c.id, 0, 1006]);
  });

test("a client's Close is answered and told", { skip }, async (t) => {
  const g = await rig(t);
  for (const [code, told] of [[1000, 1000], [4321, 4321]]) {
    const c = await socket(g);
    c.send(closeFrame(code, "good bye"));
    assert.deepEqual(codeOf(await read(c)), [0x88, code]);
    assert.equal((await c.closed()).length, 0);
    const e = await g.event("ws_close");
    assert.deepEqual([e.socket, e.code, e.reason, e.clean], [c.id, told, "good bye", 1]);
  }
  const c = await socket(g);
  c.send(frame(0x88));
  assert.deepEqual(await read(c), [0x88, ""]);
  assert.deepEqual(((e) => [e.code, e.clean])(await g.event("ws_close")), [1005, 1]);
  const lost = await socket(g);
  lost.socket.resetAndDestroy();
  assert.deepEqual(((e) => [e.code, e.clean, e.reason])(await g.event("ws_close")),
    [1006, 0, "WebSocket disconnected without sending Close frame."]);
});

test("an agent's close waits for the client's, and forbidden codes never leave", { skip }, async (t) => {
  const g = await rig(t);
  const c = await socket(g);
  await g.tell(`close ${c.id} 4002`);
  assert.deepEqual(codeOf(await read(c)), [0x88, 4002]);
  await g.tell(`send ${c.id} too late`);
  c.send(Buffer.concat([frame(0x81, "quiet: still delivered"), closeFrame(4002)]));
  assert.equal((await g.event("ws_message")).data, "quiet: still delivered");
  assert.deepEqual(((e) => [e.code, e.clean])(await g.event("ws_close")), [4002, 1]);
  assert.equal((await c.closed()).length, 0);
  const none = await socket(g);
  await g.tell(`close ${none.id} 1005`);
  assert.deepEqual(await read(none), [0x88, ""]);
  none.destroy();
  const dropped = await socket(g);
  await g.tell(`close ${dropped.id} 1006`);
  assert.equal((await dropped.closed()).length, 0, "no Close frame says 1006");
});

test("what an agent sends before the handshake's answer comes after it", { skip }, async (t) => {
  const g = await rig(t);
  for (const path of ["/ws?early", "/ws?early&late"]) {
    const c = await socket(g, path);
    assert.deepEqual(await read(c), [0x81, "early"]);
    c.destroy();
  }
  const c = await socket(g, "/ws?early&shut");
  assert.deepEqual(await read(c), [0x81, "early"]);
  assert.deepEqual(codeOf(await read(c)), [0x88, 4001]);
  c.destroy();
});

test("the book: tags, attachment, url, protocol, auto-response", { skip }, async (t) => {
  const g = await rig(t);
  const c = await socket(g, "/ws?protocol&x=1");
  await g.tell("auto ping pong pong");
  await g.tell("list");
  await g.event("ws_socket");
  assert.equal((await g.event("ws_listed")).request, "ping", "it is known before the client says it");
  c.send(Buffer.concat([frame(0x81, "ping"), frame(0x01, "pi"), frame(0x80, "ng"), frame(0x82, "ping")]));
  assert.deepEqual(await read(c), [0x81, "pong pong"]);
  assert.deepEqual(await read(c), [0x81, "pong pong"]);
  assert.deepEqual(await read(c), [0x82, "ping"], "a binary message is none");
  assert.equal((await g.event("ws_message")).flags, 2);
  await g.tell(`attach ${c.id} other note`);
  await g.tell("list");
  const e = await g.event("ws_socket");
  assert.deepEqual([e.socket, e.auto, e.tags, e.attachment, e.url, e.protocol],
    [c.id, true, "red\nblue\n", "other note", "http://a/ws?protocol&x=1", "chat"]);
  assert.equal((await g.event("ws_listed")).request, "ping");
  c.destroy();
});

test("hibernatable sockets survive their worker; what is sent meanwhile waits", { skip }, async (t) => {
  const g = await rig(t);
  const sockets = await Promise.all(Array.from({ length: 5 }, async () => await socket(g)));
  await g.event("ws_agents", (e) => e.present === 1 && e.count > 0); // the agent's first
  await g.tell("kill 0");
  sockets[0].send(frame(0x81, "waited"));
  sockets[1].send(frame(0x88));
  sockets[2].socket.resetAndDestroy();
  await g.tell("link 0");
  assert.equal((await g.event("ws_agents", (e) => e.present === 1 && e.count > 0)).count, 1);
  assert.deepEqual(await read(sockets[0]), [0x81, "waited"]);
  assert.deepEqual(await read(sockets[1]), [0x88, ""]);
  const closes = [await g.event("ws_close"), await g.event("ws_close")].map((e) => e.socket).sort();
  assert.deepEqual(closes, [sockets[1].id, sockets[2].id].sort());
  for (const c of sockets.slice(3)) {
    c.send(frame(0x81, "again"));
    assert.deepEqual(await read(c), [0x81, "again"]);
  }
  await g.tell("list");
  for (let i = 0; i < 3; i++) await g.event("ws_socket");
  await g.event("ws_listed");
  assert.equal(g.seen.filter((e) => e.event === "ws_socket").length, 0);
  for (const c of sockets) c.destroy();
});

test("a closed socket is listed until its agent was told, and no longer", { skip }, async (t) => {
  const g = await rig(t);
  await g.tell("credit off");
  const c = await socket(g);
  c.send(closeFrame(4000));
  await g.event("ws_close");
  await g.tell("list");
  assert.equal((await g.event("ws_socket")).socket, c.id, "an agent that wakes for it asks for its tags");
  await g.event("ws_listed");
  await g.tell("credit on");
  const other = await socket(g);
  other.send(closeFrame(4000));
  await g.event("ws_close");
  await g.tell(`close ${c.id} 1000`);
  await g.event("ws_agents", (e) => e.present === 0);
  await g.tell("list");
  await g.event("ws_listed");
  assert.equal(g.seen.filter((e) => e.event === "ws_socket").length, 0);
});

test("a message that may be lost with its worker closes the socket", { skip }, async (t) => {
  const g = await rig(t);
  await g.tell("credit off");
  const c = await socket(g), half = await socket(g);
  c.send(frame(0x81, "not credited"));
  await read(c);
  await g.tell(`fragment ${half.id} beginning`);
  assert.deepEqual(await read(half), [0x01, "beginning"]);
  await g.tell("kill 0");
  assert.deepEqual(codeOf(await read(c)), [0x88, 1012]);
  assert.deepEqual(codeOf(await read(half)), [0x88, 1012]);
  await g.tell("link 0");
  const told = [await g.event("ws_close"), await g.event("ws_close")];
  assert.deepEqual(told.map((e) => e.socket).sort(), [c.id, half.id].sort());
});

test("live sockets die with their worker", { skip }, async (t) => {
  const g = await rig(t);
  const c = await socket(g, "/ws?live");
  await restart(g);
  assert.deepEqual(codeOf(await read(c)), [0x88, 1012]);
  await c.closed();
});

test("an agent that does not keep up is not sent more", { skip }, async (t) => {
  const g = await rig(t);
  await g.tell("credit off");
  const c = await socket(g);
  const message = frame(0x82, Buffer.alloc(60000, "quiet"));
  for (let i = 0; i < 100; i++) c.socket.write(message);
  let received = 0;
  while (received < 256 * 1024) received += (await g.event("ws_message")).bytes;
  const other = await socket(g); // the gateway is alive
  other.destroy();
  await g.event("ws_close");
  assert.ok(received + g.seen.filter((e) => e.event === "ws_message").length * 60000 < 400_000, "the window holds");
  c.destroy();
});

test("a client that reads nothing is dropped at a limit", { skip }, async (t) => {
  const g = await rig(t, { conf: { limits: { ws_out_total_bytes_max: 4 << 20 } } });
  const c = await socket(g), other = await socket(g);
  c.socket.pause();
  await g.tell(`flood ${c.id} ${32 << 20}`);
  const e = await g.event("ws_close");
  assert.deepEqual([e.socket, e.clean], [c.id, 0]);
  other.send(frame(0x81, "still here"));
  assert.deepEqual(await read(other), [0x81, "still here"]);
  c.destroy();
  other.destroy();
});

test("two workers joined by a socket", { skip }, async (t) => {
  const g = await rig(t);
  const c = connect(g.port);
  c.send(upgrade("/ws?join"));
  assert.equal((await c.response()).body.toString(), "joined");
  const { socket: id } = await g.event("ws");
  const outer = id + 1000000;
  const first = await g.event("ws_message");
  assert.deepEqual([first.socket, first.data], [outer, "to the joined end"]);
  await g.tell(`send ${outer} from the joined end`);
  const second = await g.event("ws_message");
  assert.deepEqual([second.socket, second.data, second.name], [id, "from the joined end", "agent"]);
  assert.equal((await g.event("ws_message")).socket, outer, "the agent's echo");
  await g.tell(`close ${outer} 4005`);
  const closes = [await g.event("ws_close"), await g.event("ws_close")];
  assert.deepEqual(closes.map((e) => [e.socket, e.code, e.clean]).sort(), [[id, 4005, 1], [outer, 4005, 1]].sort());
  c.destroy();
});

test("when the number of workers changes, sockets go where their agent lives now", { skip }, async (t) => {
  const g = await rig(t, { workers: 2 });
  const c = await socket(g);
  const send = async (text) => (c.send(frame(0x81, text)), await read(c), (await g.event("ws_message", (e) => e.data === text)).slot);
  await send("two workers");
  await g.tell("routes " + JSON.stringify({ default: true, workers: 1 }));
  await g.tell("kill 1");
  assert.equal(await send("one worker"), 0);
  await g.tell("list");
  assert.equal((await g.event("ws_socket")).socket, c.id);
  c.send(closeFrame(1000));
  await g.event("ws_close");
  assert.equal((await g.event("ws_agents", (e) => e.present === 0)).count, 1, "its last socket");
});

test("an app that is removed takes its sockets along", { skip }, async (t) => {
  const g = await rig(t);
  const c = await socket(g);
  await g.tell("routes");
  assert.deepEqual(codeOf(await read(c)), [0x88, 1001]);
});

test("sockets whose other half does not come end", { skip }, async (t) => {
  const g = await rig(t, { conf: { limits: { ws_pending_timeout_ms: 300, ws_close_timeout_ms: 300 } } });
  const c = await socket(g, "/ws?unopened"); // no WS_OPEN ever
  assert.deepEqual(codeOf(await read(c)), [0x88, 1011]);
  const plain = connect(g.port);
  plain.send(upgrade("/plain"));
  assert.equal((await plain.response()).body.toString(), "hello");
  const mute = await socket(g);
  await g.tell(`close ${mute.id} 1000`); // and the client never answers
  assert.deepEqual(codeOf(await read(mute)), [0x88, 1000]);
  const e = await g.event("ws_close");
  assert.deepEqual([e.socket, e.code, e.clean], [mute.id, 1006, 0]);
  await mute.closed();
  for (const x of [c, plain, mute]) x.destroy();
});

test("one message to many sockets", { skip }, async (t) => {
  const g = await rig(t), all = [];
  for (let i = 0; i < 20; i++) all.push(await socket(g));
  const [first] = all, last = all.at(-1), long = "l".repeat(4000);     // longer ones are not gathered
  assert.equal(last.id - first.id, all.length - 1);
  first.socket.pause();
  for (let i = 0; i < 1000; i++) await g.tell(`cast ${first.id} ${last.id} ${long}`);   // more than the kernel takes for one who does not read
  await g.tell(`send ${first.id} between`);
  await g.tell(`cast 0 ${last.id + 1000} end`);     // some of them are nobody's
  first.socket.resume();
  for (const c of all) {
    for (let i = 0; i < 1000; i++) assert.deepEqual(await read(c), [0x81, long]);
    if (c === first) assert.deepEqual(await read(c), [0x81, "between"]);
    assert.deepEqual(await read(c), [0x81, "end"]);
    c.destroy();
  }
});

test("at the end clients are told to come back", { skip }, async (t) => {
  const g = await rig(t);
  const c = await socket(g);
  await g.tell("stop 100");
  assert.deepEqual(codeOf(await read(c)), [0x88, 1012]);
  c.socket.end();
  const end = await g.event("exit");
  assert.deepEqual([end.status, end.signal], [0, 0]);
  await g.ended;
});

test("many sockets at once, opened and closed in disorder", { skip }, async (t) => {
  const g = await rig(t, { workers: 2 });
  const all = [];
  for (let i = 0; i < 300; i++) {
    const c = connect(g.port);
    c.send(upgrade(`/ws?i=${i}${i % 3 ? "" : "&late"}`));
    all.push(c);
  }
  for (const c of all) assert.equal((await c.response()).status, 101);
  all.forEach((c, i) => c.send(frame(0x81, `m${i}`)));
  for (let i = 0; i < all.length; i++) assert.equal((await read(all[i]))[1], `m${i}`);
  all.forEach((c, i) => (i % 2 ? c.send(closeFrame(1000)) : c.socket.resetAndDestroy()));
  for (let i = 0; i < all.length; i++) await g.event("ws_close");
  assert.equal(g.seen.filter((e) => e.event === "ws_close").length, 0, "each end is told once");
});
