/*
 * Facets: from the side of their owner, and as the heap of one. The same process is both, one after the other: BOOT_AGENT again.
 */
import assert from "node:assert/strict";
import { before, test } from "node:test";
import { bootAgent, COMPAT, ENV, EVENT, later, makeWorld, pack, settle, unpack, until } from "./core-host.mjs";

const APP = `
import { DurableObject } from "cloudflare:workers";
export class Room extends DurableObject {
  constructor(ctx, env) { super(ctx, env); globalThis.room = this; }
  alarm() {}
  ping() { return "pong"; }
}
export class Child extends Room {}
`;

let world;
let room;
before(async () => {
  world = await makeWorld(APP);
  await bootAgent(world);
  room = globalThis.room;
});

const sent = () => world.all("rpcAgent").map(([, ns, , , method]) => `${ns} ${method}`);

function answering(value) {
  world.on.rpcAgent = (call) => later(() => world.dispatch(EVENT.REPLY_RPC, call, pack(value).buffer));
}

test("a facet is started when it is first called, once, and reached in order", async () => {
  let starts = 0;
  answering("done");
  const start = async () => {
    starts++;
    return { class: room.ctx.exports.Child, id: room.ctx.exports.Room.idFromName("shown") };
  };
  const stub = room.ctx.facets.get("kid", start);
  assert.equal(starts, 0);
  assert.deepEqual(await Promise.all([stub.one(), stub.two(), room.ctx.facets.get("kid", start).three()]), ["done", "done", "done"]);
  assert.equal(starts, 1);
  assert.deepEqual(sent(), ["Child one", "Child two", "Child three"]);
});

test("its address depends on its owner, its name and nothing else", async () => {
  const [, ns, hex, name] = world.all("rpcAgent")[0];
  assert.equal(ns, "Child");
  const other = room.ctx.facets.get("other kid", () => ({ class: room.ctx.exports.Child }));
  await other.ping();
  const [, , otherHex, otherName] = world.last("rpcAgent");
  assert.notEqual(hex, otherHex);
  assert.deepEqual(JSON.parse(name.slice("\u0001facet:".length)), [String(room.ctx.exports.Room.idFromName("shown")), "shown", 2, null]);
  assert.deepEqual(JSON.parse(otherName.slice("\u0001facet:".length)), [String(room.ctx.id), "lobby", 2, null], "without an id it shows its owner's");
});

test("props travel to the facet", async () => {
  await room.ctx.facets.get("with props", () => ({ class: room.ctx.exports.Child({ props: { p: 1 } }) })).ping();
  assert.deepEqual(JSON.parse(world.last("rpcAgent")[3].slice("\u0001facet:".length))[3], { p: 1 });
});

test("abort ends it; calls in its old stub's name start it again, after that", async () => {
  const before = sent().length;
  const stub = room.ctx.facets.get("kid", () => ({ class: room.ctx.exports.Child }));
  room.ctx.facets.abort("kid", new Error("enough"));
  assert.equal(await stub.again(), "done");
  assert.deepEqual(sent().slice(before), ["Child #facet!abort", "Child again"]);
  await until(() => world.held === 0);
});

test("delete wipes it first", async () => {
  const before = sent().length;
  room.ctx.facets.delete("kid");
  await until(() => world.held === 0);
  assert.deepEqual(sent().slice(before), ["Child #facet!delete", "Child #facet!abort"]);
  room.ctx.facets.delete("Child\0from an earlier life");
  await until(() => world.held === 0);
  assert.deepEqual(sent().slice(before + 2), ["Child #facet!delete", "Child #facet!abort"]);
});

test("what the platform refuses", async () => {
  const { facets } = room.ctx;
  assert.throws(() => facets.get("x".repeat(257), () => {}), { name: "TypeError", message: "Facet name is too long (max 256 characters)." });
  assert.throws(() => facets.get("x"), { message: "Failed to execute 'get' on 'DurableObjectFacets': parameter 2 is not of type 'function'." });
  await assert.rejects(async () => facets.get("classless", () => ({})).ping(), { message: /'class' field/ });
  assert.throws(() => facets.clone("a", "b"), { message: "ctx.facets.clone() is not supported yet." });
  const [, , message] = await world.call(EVENT.RPC, "#facet!abort", pack(["x"]));
  assert.match(message, /does not implement/, "only facets obey their owner");
});

test("deleteAll of the owner takes the facets along", async () => {
  await room.ctx.facets.get("last", () => ({ class: room.ctx.exports.Child })).ping();
  const before = sent().length;
  await room.ctx.storage.deleteAll();
  assert.ok(sent().slice(before).includes("Child #facet!delete"));
});

test("as a facet: it shows the id it was given, has no alarms, nests to depth 4, and obeys", async () => {
  const name = `\u0001facet:${JSON.stringify(["cd".repeat(32), "shown", 4, { p: 1 }])}`;
  await world.event(EVENT.BOOT_AGENT, ENV, COMPAT, "Child", "ef".repeat(32), name, undefined);
  const facet = globalThis.room;
  assert.notEqual(facet, room);
  assert.deepEqual([String(facet.ctx.id), facet.ctx.id.name, facet.ctx.props], ["cd".repeat(32), "shown", { p: 1 }]);
  await assert.rejects(facet.ctx.storage.setAlarm(world.now + 5), { message: "Facets currently cannot set alarms." });
  assert.throws(() => facet.ctx.facets.get("deeper", () => {}), { message: /^Facet nesting depth limit exceeded\. The maximum depth including the root Durable Object is 4\.$/ });
  facet.ctx.storage.kv.put("k", 1);
  const [native, , bytes] = await world.call(EVENT.RPC, "#facet!delete", pack(["Facet was deleted."]));
  assert.deepEqual([native, unpack(bytes), world.kv.size], ["replyRpc", undefined, 0]);
  world.dispatch(EVENT.RPC, 99999, "#facet!abort", pack(["enough"]));
  await settle();
  assert.deepEqual(world.aborted, { message: "enough", retryAlarm: false });
});
