// Namespaces, ids and stubs: derivation, equality, names, parsing and its errors.
import { CaseObject, caught, caughtAsync, oracle } from "../suite.mjs";

const HEX = "0123456789abcdef".repeat(4);

const inside = {
  "ctx.id.name": (ctx) => ctx.id.name,
  "ctx.id is 64 hex digits": (ctx) => /^[0-9a-f]{64}$/.test(ctx.id.toString()),
  "ctx.id equals the namespace's": (ctx, env) => ctx.id.equals(env.IdObject.idFromName(ctx.id.name)),
  "what ctx holds": (ctx) => ["id", "storage", "waitUntil", "blockConcurrencyWhile", "acceptWebSocket", "getWebSockets", "getTags", "abort", "exports", "facets", "props", "setWebSocketAutoResponse", "setHibernatableWebSocketEventTimeout"].map((key) => `${key} ${typeof ctx[key]}`),
  "id in template text": (ctx) => `${ctx.id}` === ctx.id.toString(),
};

const outside = {
  "idFromName is stable": (env) => env.IdObject.idFromName("a").toString() === env.IdObject.idFromName("a").toString(),
  "different names, different ids": (env) => env.IdObject.idFromName("a").equals(env.IdObject.idFromName("b")),
  "idFromName keeps the name": (env) => env.IdObject.idFromName("ünï").name,
  "idFromName of the empty name": (env) => [env.IdObject.idFromName("").name, env.IdObject.idFromName("").toString().length],
  "idFromName of a number": (env) => env.IdObject.idFromName(5).name,
  "idFromName without a name": (env) => caught(() => env.IdObject.idFromName()),
  "the same name in two namespaces": (env) => env.IdObject.idFromName("a").toString() === env.OtherIdObject.idFromName("a").toString(),
  "newUniqueId is unique": (env) => { const a = env.IdObject.newUniqueId(), b = env.IdObject.newUniqueId(); return [a.equals(b), a.name, a.toString().length]; },
  "idFromString of an id": (env) => { const id = env.IdObject.idFromName("a"); const back = env.IdObject.idFromString(id.toString()); return [back.equals(id), back.name]; },
  "idFromString of a unique id": (env) => { const id = env.IdObject.newUniqueId(); return env.IdObject.idFromString(id.toString()).equals(id); },
  "idFromString in capitals": (env) => { const id = env.IdObject.idFromName("a"); return env.IdObject.idFromString(id.toString().toUpperCase()).equals(id); },
  "idFromString, too short": (env) => caught(() => env.IdObject.idFromString("abc")),
  "idFromString, not hex": (env) => caught(() => env.IdObject.idFromString("z".repeat(64))),
  "idFromString, not of this namespace": (env) => caught(() => env.IdObject.idFromString(HEX)),
  "idFromString, of another namespace": (env) => caught(() => env.IdObject.idFromString(env.OtherIdObject.idFromName("a").toString())),
  "get without an id": (env) => caught(() => env.IdObject.get()),
  "get of a string": (env) => caught(() => env.IdObject.get(HEX)),
  "get of an id of another namespace": (env) => caught(() => typeof env.IdObject.get(env.OtherIdObject.idFromName("a"))),
  "a stub knows its id and name": (env) => { const stub = env.IdObject.getByName("x"); return [stub.name, stub.id.name, stub.id.equals(env.IdObject.idFromName("x"))]; },
  "getByName is get of idFromName": async (env) => { const a = await env.IdObject.getByName("x").whoami(), b = await env.IdObject.get(env.IdObject.idFromName("x")).whoami(); return a === b; },
  "getByName without a name": (env) => caught(() => env.IdObject.getByName()),
  "an object reached by a unique id has no name": (env) => env.IdObject.get(env.IdObject.newUniqueId()).nameOf(),
  "an object reached by a parsed id": (env) => env.IdObject.get(env.IdObject.idFromString(env.IdObject.idFromName("parsed").toString())).nameOf(),
  "a name of 1,024 bytes": async (env) => (await env.IdObject.getByName("n".repeat(1024)).nameOf())?.length,
  "a name of 1,025 bytes": async (env) => (await env.IdObject.getByName("n".repeat(1025)).nameOf())?.length,
  "locationHint is accepted": (env) => env.IdObject.get(env.IdObject.idFromName("x"), { locationHint: "weur" }).nameOf(),
  "equals of something else": (env) => caught(() => env.IdObject.idFromName("a").equals("a")),
  "one object per id": async (env) => { const ns = env.IdObject; await ns.getByName("one").set("v"); return [await ns.getByName("one").get(), await ns.getByName("two").get()]; },
  "objects share no fields across classes": async (env) => { await env.IdObject.getByName("s").set("v"); return env.OtherIdObject.getByName("s").get(); },
  "an id cannot be made": (env) => { const Id = env.IdObject.idFromName("a").constructor; return [Id.name, caught(() => new Id())]; },
  "typeof a namespace": (env) => [typeof env.IdObject, env.IdObject.constructor.name, typeof env.IdObject.idFromName],
  "jurisdiction of a plain id": (env) => env.IdObject.idFromName("a").jurisdiction,
};

class Keeper extends CaseObject {
  cases = inside;
  set(value) { this.value = value; }
  get() { return this.value; }
  whoami() { return this.ctx.id.toString(); }
  nameOf() { return this.ctx.id.name; }
}
export class IdObject extends Keeper {}
export class OtherIdObject extends Keeper {}

export default oracle({ inside, object: "IdObject", outside });
