/*
 * The entry's heap: the default export, stubs, namespaces, loopback exports, outgoing fetch and WebSockets.
 */
import assert from "node:assert/strict";
import { before, test } from "node:test";
import { bootEntry, EVENT, later, makeWorld, pack, settle, unpack } from "./core-host.mjs";

const APP = `
import { DurableObject, WorkerEntrypoint, RpcPromise, RpcProperty, env, exports, withEnv, waitUntil } from "cloudflare:workers";
export class Room extends DurableObject {}
export class Service extends WorkerEntrypoint {
  greet(name) { return { text: this.env.GREETING + " " + name, props: this.ctx.props }; }
  fail() { throw Object.assign(new RangeError("far"), { code: 3 }); }
  fetch() { return new Response("from the service"); }
}
globalThis.test = { RpcPromise, RpcProperty, env, exports, withEnv, waitUntil };
export default {
  fetch(request, env, ctx) { return globalThis.test.handle(request, env, ctx); },
  scheduled(controller, env, ctx) { globalThis.test.scheduled = [controller.cron, controller.scheduledTime, env.GREETING]; },
  async email(message) { globalThis.test.email = [message.from, message.to, await new Response(message.raw).text(), message.headers.get("subject")]; },
};
`;

let world;
let app;
before(async () => {
  world = await makeWorld(APP);
  app = globalThis.test;
  await bootEntry(world);
});

const entry = (handle, options) => {
  app.handle = handle;
  return world.request(EVENT.ENTRY, options?.method ?? "GET", options?.url ?? "http://a/b", options);
};
const inside = async (run) => {
  let value;
  await entry(async (request, env, ctx) => {
    try {
      value = await run(request, env, ctx);
    } catch (error) {
      value = error;
    }
    return new Response();
  });
  return value;
};

test("an error that nobody caught is a 500 without details", async () => {
  const [native, , status, , headers, , body] = await entry(() => {
    throw new Error("secret");
  });
  assert.deepEqual([native, status, body], ["reply", 500, "Internal Server Error"]);
  assert.match(headers, /^content-type\ntext\/plain/);
  assert.match(world.logs.pop()[1], /^Uncaught Error: secret/);
});

test("a platform failure that nobody caught says when to come back", async () => {
  const [, , status, , headers] = await entry(() => Promise.reject(Object.assign(new Error("gone"), { retryable: true })));
  assert.equal(status, 503);
  assert.match(headers, /retry-after\n1\n/);
});

test("a request goes on to an agent untouched, and its answer back", async () => {
  const answered = entry((request, env) => env.ROOMS.get(env.ROOMS.idFromName("x")).fetch(request), {
    method: "POST", headers: "a\nb\n", body: "in", cf: '{"colo":"here"}',
  });
  await settle();
  const [call, ns, id, name, method, url, headers, mode, body, meta] = world.last("fetchAgent");
  assert.deepEqual([ns, id.length, name, method, url, headers, mode, body, meta],
    ["Room", 64, "x", "POST", "http://a/b", "a\nb\n", 1, "in", '{"colo":"here"}']);
  await world.event(EVENT.REPLY, call, 203, "Fine", "c\nd\n", 1, "out", 0);
  assert.deepEqual((await answered ?? world.calls.find((entry) => entry[0] === "reply" && entry[2] === 203)).slice(2), [203, "Fine", "c\nd\n", 1, "out", 0]);
});

test("cf may come wrapped", async () => {
  let cf;
  await entry((request) => {
    ({ cf } = request);
    return new Response();
  }, { cf: '{"cf":{"colo":"x"},"other":1}' });
  assert.deepEqual(cf, { colo: "x" });
});

test("a stub is an ordinary object with callable names", async () => {
  const stub = await inside((request, env) => ({ stub: env.ROOMS.getByName("x") })).then((box) => box.stub);
  assert.equal(typeof stub, "object");
  assert.deepEqual(Object.keys(stub), ["name", "id"]);
  assert.equal(stub.constructor.name, "DurableObject");
  assert.equal(Object.prototype.toString.call(stub), "[object DurableObject]");
  assert.equal(typeof stub.anything, "function");
  assert.equal(stub.anything.constructor.name, "RpcProperty");
  assert.deepEqual(Object.getOwnPropertyNames(stub.anything), []);
  assert.equal(stub.then, undefined);
  assert.ok("anything" in stub && !("then" in stub));
  assert.equal(typeof stub.toString, "function");
});

test("methods of agents: arguments, results with a disposer, pipelined names", async () => {
  world.on.rpcAgent = (call) => later(() => world.dispatch(EVENT.REPLY_RPC, call, pack({ a: { b: 5 } }).buffer));
  const result = await inside((request, env) => {
    const stub = env.ROOMS.getByName("x");
    const promise = stub.ask(1, "two");
    assert.ok(promise instanceof app.RpcPromise);
    return promise;
  });
  assert.deepEqual({ ...result }, { a: { b: 5 } });
  assert.equal(typeof result[Symbol.dispose], "function");
  const [, ns, , name, method, bytes] = world.last("rpcAgent");
  assert.deepEqual([ns, name, method, [...bytes]], ["Room", "x", "ask", [...pack([1, "two"])]]);
  assert.equal(await inside((request, env) => env.ROOMS.getByName("x").ask().a.b), 5);
  await inside((request, env) => env.ROOMS.getByName("x").deep.path);
  assert.deepEqual(world.last("rpcAgent").slice(4).map((part) => (typeof part === "string" ? part : [...part])), ["deep.path", [...pack(undefined)]]);
});

test("results by reference: called, pipelined, disposed", async () => {
  const filler = ["stub", "Room", "cd".repeat(32), "y", 3, "ef01"];
  const answers = { make: pack({ "\u0000rpc": 1, v: { counter: { "\u0000hole": 0 }, n: 1 }, x: [filler] }), "#3:ef01.add": pack(7), "#3:ef01!": pack(undefined) };
  world.on.rpcAgent = (call, ns, hex, name, method) => later(() => world.dispatch(EVENT.REPLY_RPC, call, answers[method].buffer));
  const sum = await inside(async (request, env) => {
    const result = await env.ROOMS.getByName("x").make();
    const value = await result.counter.add(2);
    result[Symbol.dispose]();
    return value;
  });
  assert.equal(sum, 7);
  assert.deepEqual(world.all("rpcAgent").slice(-3).map((call) => call[4]), ["make", "#3:ef01.add", "#3:ef01!"]);
  assert.equal(await inside((request, env) => env.ROOMS.getByName("x").make().counter.add(2)), 7);
});

test("an agent calls the entry's functions back while the call is open", async () => {
  const WISH = "\u0000wish";
  const outcomes = [];
  world.on.rpcAgent = (call, ns, hex, name, method, bytes) => later(() => {
    const sent = unpack(bytes);
    if (method === "take") {
      const [kind, id] = sent.x[0];
      assert.equal(kind, "back");
      world.dispatch(EVENT.REPLY_RPC, call, pack({ [WISH]: 1, t: 9, i: id, p: "", a: pack([20]) }).buffer);
    } else if (outcomes.length === 0) {
      outcomes.push([method, sent[0], unpack(sent[1])]);
      world.dispatch(EVENT.REPLY_RPC, call, pack({ [WISH]: 2, t: 9, i: 999, p: "", a: pack([]) }).buffer);
    } else {
      outcomes.push([method, sent[0], sent[3]]);
      world.dispatch(EVENT.REPLY_RPC, call, pack("the end").buffer);
    }
  });
  assert.equal(await inside((request, env) => env.ROOMS.getByName("x").take((n) => n + 1)), "the end");
  assert.deepEqual(outcomes[0], ["#back:9", 1, 21]);
  assert.deepEqual(outcomes[1].slice(0, 2), ["#back:9", 2]);
  assert.match(outcomes[1][2], /is gone/, "an object that was not passed cannot be called");
});

test("streams are read before they are passed", async () => {
  world.on.rpcAgent = (call) => later(() => world.dispatch(EVENT.REPLY_RPC, call, pack(1).buffer));
  await inside((request, env) => env.ROOMS.getByName("x").take(new Response("text").body, new Headers({ a: "b" }), env.ROOMS.getByName("z")));
  const { x } = unpack(world.last("rpcAgent")[5]);
  assert.deepEqual([Buffer.from(x[0][1]).toString(), x[1], x[2].slice(0, 2), x[2][3]], ["text", ["headers", "a\nb\n"], ["agent", "Room"], "z"]);
});

test("errors of agents arrive with name, properties and marks", async () => {
  world.on.rpcAgent = (call) => later(() => world.dispatch(EVENT.FAIL, call, "no", pack({ k: 0, n: "Oops", m: "no", p: { code: 7 }, c: { k: 0, n: "TypeError", m: "why" } }), 8));
  const error = await inside((request, env) => env.ROOMS.getByName("x").ask());
  assert.ok(error instanceof Error);
  assert.deepEqual([error.name, error.message, error.code, error.remote, error.cause.name], ["Oops", "no", 7, true, "TypeError"]);
  assert.equal(error.durableObjectId.length, 64);
  world.on.rpcAgent = (call) => later(() => world.dispatch(EVENT.FAIL, call, "TypeError: reset", undefined, 1 | 4));
  const reset = await inside((request, env) => env.ROOMS.getByName("x").ask());
  assert.deepEqual([reset.name, reset.message, reset.retryable, reset.durableObjectReset, reset.remote], ["TypeError", "reset", true, true, undefined]);
});

test("ids", async () => {
  const { ROOMS } = app.env;
  const id = ROOMS.idFromName("a");
  assert.ok(id.equals(ROOMS.idFromString(String(id).toUpperCase())));
  assert.equal(ROOMS.idFromString(String(id)).name, undefined);
  assert.equal(ROOMS.newUniqueId().name, undefined);
  assert.equal(ROOMS.jurisdiction("eu").idFromName("a").jurisdiction, "eu");
  for (const [run, text] of [
    [() => ROOMS.idFromString("x"), "Invalid Durable Object ID: must be 64 hex digits"],
    [() => ROOMS.idFromString("0".repeat(64)), "Durable Object ID is not valid for this namespace."],
    [() => ROOMS.get("x"), "Failed to execute 'get' on 'DurableObjectNamespace': parameter 1 is not of type 'DurableObjectId'."],
    [() => ROOMS.idFromName(), "Failed to execute 'idFromName' on 'DurableObjectNamespace': parameter 1 is not of type 'string'."],
    [() => id.equals({}), "Failed to execute 'equals' on 'DurableObjectId': parameter 1 is not of type 'DurableObjectId'."],
    [() => ROOMS.get(id, { routingMode: "x" }), "unknown routingMode: x"],
  ]) assert.throws(run, { message: text });
  assert.equal(ROOMS.idFromName("n".repeat(1025)).name, undefined, "long names do not travel");
});

test("ctx.exports: namespaces and services by export name", async () => {
  await inside(async (request, env, ctx) => {
    assert.deepEqual(Object.keys(ctx.exports).sort(), ["Room", "Service", "default"]);
    assert.equal(typeof ctx.exports.Room, "function");
    assert.equal(ctx.exports.Room.idFromName("a").toString(), env.ROOMS.idFromName("a").toString());
    const result = await ctx.exports.Service({ props: { p: 1 } }).greet("you");
    assert.deepEqual({ ...result }, { text: "hello you", props: { p: 1 } });
    assert.equal(await (await ctx.exports.Service.fetch("http://x/")).text(), "from the service");
    await assert.rejects(async () => ctx.exports.Service.fail(), { name: "RangeError", message: "far", code: 3, remote: true });
    await assert.rejects(async () => ctx.exports.Service.nope(), { message: 'The RPC receiver does not implement the method "nope".' });
    assert.equal(app.exports.Service, ctx.exports.Service);
  }).then((error) => assert.ifError(error));
});

test("env can be imported, and replaced for a callback", () => {
  assert.equal(app.env.GREETING, "hello");
  assert.deepEqual(Object.keys(app.env), ["GREETING", "ROOMS", "ASSETS"]);
  assert.deepEqual(app.withEnv({ other: 1 }, () => Object.keys(app.env)), ["other"]);
  assert.equal(app.env.other, undefined);
});

test("scheduled and email events", async () => {
  assert.deepEqual((await world.call(EVENT.SCHEDULED, "* * * * *", 5)).slice(2), [0]);
  assert.deepEqual(app.scheduled, ["* * * * *", 5, "hello"]);
  const meta = JSON.stringify({ from: "a@x", to: "b@x", headers: [["Subject", "hi"]] });
  assert.deepEqual((await world.call(EVENT.EMAIL, meta, new TextEncoder().encode("raw text").buffer)).slice(2), [0]);
  assert.deepEqual(app.email, ["a@x", "b@x", "raw text", "hi"]);
});

test("waitUntil keeps the heap awake and logs what fails", async () => {
  let reject;
  await inside((request, env, ctx) => ctx.waitUntil(new Promise((_, no) => {
    reject = no;
  })));
  assert.equal(world.held, 1);
  reject(new Error("later"));
  await settle();
  assert.equal(world.held, 0);
  assert.match(world.logs.pop()[1], /^Uncaught \(waitUntil\) Error: later/);
});

/* ---- outgoing fetch -------------------------------------------------------------------------------------------------- */

/* Answers fetchOut by URL: {url: [status, headers, body]}. */
function serve(table) {
  world.on.fetchOut = (call, method, url) => later(() => {
    const [status, headers, body] = table[url];
    world.dispatch(EVENT.REPLY, call, status, "", headers, body === undefined ? 0 : 1, body, 0);
  });
}

test("redirects are followed by the rules", async () => {
  serve({ "http://one/a": [303, "location\nhttp://two/b\n"], "http://two/b": [302, "location\n/c#frag\n"], "http://two/c": [200, "", "end"] });
  const from = world.all("fetchOut").length;
  const response = await inside(() => fetch("http://one/a", { method: "POST", body: "x", headers: { authorization: "secret", "x-k": "1" } }));
  assert.deepEqual([response.url, response.redirected, await response.text()], ["http://two/c", true, "end"]);
  const hops = world.all("fetchOut").slice(from).map(([, method, url, headers, mode]) => [method, url, headers, mode]);
  assert.deepEqual(hops[0], ["POST", "http://one/a", "authorization\nsecret\nx-k\n1\ncontent-type\ntext/plain;charset=UTF-8\n", 1]);
  assert.deepEqual(hops[1], ["GET", "http://two/b", "x-k\n1\ncontent-type\ntext/plain;charset=UTF-8\n", 0], "no body, no credentials for another origin");
});

test("redirect: manual gives the redirect itself", async () => {
  serve({ "http://one/a": [302, "location\n/b\n"] });
  const response = await inside(() => fetch("http://one/a", { redirect: "manual" }));
  assert.deepEqual([response.status, response.headers.get("location"), response.redirected], [302, "/b", false]);
});

test("a loop of redirects ends", async () => {
  serve({ "http://one/a": [302, "location\n/a\n"] });
  assert.equal((await inside(() => fetch("http://one/a"))).message, `Too many redirects.${Array(21).fill("http://one/a").join(", ")}`);
});

test("an aborted fetch is cancelled", async () => {
  world.on.fetchOut = () => {};
  const error = await inside(() => {
    const controller = new AbortController();
    later(() => controller.abort(new Error("enough")));
    return fetch("http://one/a", { signal: controller.signal });
  });
  assert.equal(error.message, "enough");
  assert.deepEqual(world.last("cancel"), [world.last("fetchOut")[0]]);
  assert.equal((await inside(() => fetch("http://one/a", { signal: AbortSignal.abort() }))).name, "AbortError");
});

test("a streaming answer reaches the reader, and back-pressure the sender", async () => {
  world.on.fetchOut = (call) => later(() => {
    world.dispatch(EVENT.REPLY, call, 200, "", "", 2, new TextEncoder().encode("one ").buffer, 0);
    world.dispatch(EVENT.BODY, call, 1, new TextEncoder().encode("two").buffer);
    world.dispatch(EVENT.BODY_END, call, 1, undefined);
  });
  assert.equal(await inside(async () => (await fetch("http://one/a")).text()), "one two");
  assert.equal(await inside(async () => {
    let text = "";
    for await (const chunk of (await fetch("http://one/a")).body.pipeThrough(new TextDecoderStream())) text += chunk;
    return text;
  }), "one two");
});

test("a body that breaks off is an error for its reader", async () => {
  world.on.fetchOut = (call) => later(() => {
    world.dispatch(EVENT.REPLY, call, 200, "", "", 2, undefined, 0);
    world.dispatch(EVENT.BODY_END, call, 1, "Network connection lost.");
  });
  assert.equal((await inside(async () => (await fetch("http://one/a")).text())).message, "Network connection lost.");
});

test("fetch wants http or https", async () => {
  assert.equal((await inside(() => fetch("ftp://x/"))).name, "TypeError");
  assert.equal((await inside(() => fetch())).name, "TypeError");
});

test("a WebSocket by fetch: taken over when it is accepted", async () => {
  world.on.fetchOut = (call) => later(() => world.dispatch(EVENT.REPLY, call, 101, "", "sec-websocket-protocol\nchat\n", 0, undefined, 77));
  const response = await inside(() => fetch("http://one/ws", { headers: { Upgrade: "websocket" } }));
  assert.equal(world.last("fetchOut")[6], true);
  const socket = response.webSocket;
  assert.equal(response.webSocket, socket);
  const got = [];
  socket.addEventListener("message", (event) => got.push(event.data));
  socket.accept();
  assert.deepEqual(world.last("wsJoin"), [77]);
  const ours = world.lastSocket;
  await world.call(EVENT.WS_MESSAGE, ours, "hi");
  socket.send("yo");
  assert.deepEqual([got, world.last("wsSend")], [["hi"], [ours, "yo"]]);
});

test("a WebSocket that is passed through is never touched", async () => {
  world.on.fetchOut = (call) => later(() => world.dispatch(EVENT.REPLY, call, 101, "", "", 0, undefined, 88));
  const joins = world.all("wsJoin").length;
  app.handle = (request) => fetch(request);
  world.request(EVENT.ENTRY, "GET", "http://a/ws", { headers: "upgrade\nwebsocket\n", upgrade: true });
  const call = world.lastCall;
  await settle();
  await settle();
  assert.deepEqual([world.answerOf(call)[2], world.answerOf(call)[7], world.all("wsJoin").length], [101, 88, joins]);
});

test("new WebSocket(url) opens, or fails with 1006", async () => {
  const events = [];
  world.on.fetchOut = (call) => later(() => world.dispatch(EVENT.REPLY, call, 101, "", "sec-websocket-protocol\nb\n", 0, undefined, 99));
  const { socket } = await inside(() => {
    const made = new WebSocket("wss://one/ws", ["a", "b"]);
    made.onopen = () => events.push("open");
    events.push(made.readyState);
    return { socket: made };
  });
  assert.deepEqual(world.last("fetchOut").slice(1, 4), ["GET", "https://one/ws", "upgrade\nwebsocket\nsec-websocket-protocol\na, b\n"]);
  await settle();
  assert.deepEqual([events, socket.readyState, socket.protocol, socket.url], [[0, "open"], 1, "b", "wss://one/ws"]);
  world.on.fetchOut = (call) => later(() => world.dispatch(EVENT.REPLY, call, 404, "", "", 0, undefined, 0));
  await inside(() => {
    const failed = new WebSocket("ws://one/ws");
    failed.addEventListener("error", () => events.push("error"));
    failed.addEventListener("close", (event) => events.push(event.code));
  });
  await settle();
  assert.deepEqual(events, [0, "open", "error", 1006]);
  assert.throws(() => new WebSocket("http://x"), { name: "SyntaxError", message: "WebSocket Constructor: The url scheme must be ws or wss." });
});

test("the assets binding", async () => {
  world.on.fetchAssets = (call) => later(() => world.dispatch(EVENT.REPLY, call, 200, "", "content-type\ntext/css\n", 1, "body{}", 0));
  assert.equal(await inside(async (request, env) => (await env.ASSETS.fetch("http://a/x.css")).text()), "body{}");
  assert.deepEqual(world.last("fetchAssets").slice(1), ["GET", "http://a/x.css", ""]);
});

test("class names survive the bundler", () => {
  for (const name of ["WebSocket", "WebSocketPair", "Request", "Response", "Headers", "URL", "AbortSignal", "Event"])
    assert.equal(globalThis[name].name, name);
});
