// WebSockets: pairs, hibernation, tags, attachments, automatic answers, closing, and what goes wrong.
import { CaseObject, caught, oracle } from "../suite.mjs";

const pairOf = () => { const pair = new WebSocketPair(); return [pair[0], pair[1]]; };
const next = (ws, type) => new Promise((resolve) => ws.addEventListener(type, resolve, { once: true }));
const closeOf = ({ code, reason, wasClean }) => ({ code, reason, wasClean });
const hibernatable = (ctx, tags) => { const [client, server] = pairOf(); ctx.acceptWebSocket(server, tags); client.accept(); return { client, server }; };

const inside = {
  "a pair has two ends": () => { const pair = new WebSocketPair(); return [Object.keys(pair), Object.values(pair).length, pair[0].constructor.name, pair[0] !== pair[1]]; },
  "a pair is iterable by Object.values": () => { const [a, b] = Object.values(new WebSocketPair()); return [a.readyState, b.readyState]; },
  "constants": () => [WebSocket.CONNECTING, WebSocket.OPEN, WebSocket.CLOSING, WebSocket.CLOSED, WebSocket.READY_STATE_OPEN, WebSocket.READY_STATE_CLOSED],
  "readyState through a life": async () => { const [a, b] = pairOf(); const seen = [a.readyState]; a.accept(); b.accept(); seen.push(a.readyState); const closed = next(b, "close"); a.close(1000, "bye"); seen.push(a.readyState); await closed; seen.push(b.readyState); return seen; },
  "text goes across": async () => { const [a, b] = pairOf(); a.accept(); b.accept(); const got = next(b, "message"); a.send("hello 🐭"); return (await got).data; },
  "bytes go across": async () => { const [a, b] = pairOf(); a.accept(); b.accept(); const got = next(b, "message"); a.send(new Uint8Array([1, 2, 3]).subarray(1)); const { data } = await got; return data instanceof ArrayBuffer ? data : data.constructor.name; },
  "binaryType by default": () => pairOf()[0].binaryType,
  "messages keep their order": async () => { const [a, b] = pairOf(); a.accept(); b.accept(); const got = []; const all = new Promise((resolve) => b.addEventListener("message", ({ data }) => { got.push(data); if (got.length === 5) resolve(); })); for (let i = 0; i < 5; i++) a.send(`${i}`); await all; return got; },
  "send of a number": async () => { const [a, b] = pairOf(); a.accept(); b.accept(); const got = next(b, "message"); a.send(5); return (await got).data; },
  "send before accept": () => { const [a] = pairOf(); return caught(() => a.send("x")); },
  "send after close": () => { const [a, b] = pairOf(); a.accept(); b.accept(); a.close(1000); return caught(() => a.send("x")); },
  "send without arguments": () => { const [a] = pairOf(); a.accept(); return caught(() => a.send()); },
  "accept twice": () => { const [a] = pairOf(); a.accept(); return caught(() => a.accept()); },
  "close tells code and reason": async () => { const [a, b] = pairOf(); a.accept(); b.accept(); const got = next(b, "close"); a.close(4001, "because"); return closeOf(await got); },
  "close without a code": async () => { const [a, b] = pairOf(); a.accept(); b.accept(); const got = next(b, "close"); a.close(); return closeOf(await got); },
  "close twice": () => { const [a, b] = pairOf(); a.accept(); b.accept(); a.close(1000); return caught(() => a.close(1000)); },
  "close with code 1005": () => { const [a] = pairOf(); a.accept(); return caught(() => a.close(1005)); },
  "close with code 999": () => { const [a] = pairOf(); a.accept(); return caught(() => a.close(999)); },
  "close with code 1001": () => { const [a, b] = pairOf(); a.accept(); b.accept(); return caught(() => a.close(1001)); },
  "close with code 5000": () => { const [a] = pairOf(); a.accept(); return caught(() => a.close(5000)); },
  "close with a reason of 124 bytes": () => { const [a] = pairOf(); a.accept(); return caught(() => a.close(1000, "x".repeat(124))); },
  "close with a reason but no code": () => { const [a] = pairOf(); a.accept(); return caught(() => a.close(undefined, "why")); },
  "both ends learn of the close": async () => { const [a, b] = pairOf(); a.accept(); b.accept(); const both = [next(a, "close"), next(b, "close")]; a.close(1000, "done"); b.addEventListener("close", () => { try { b.close(1000, "done"); } catch {} }); return (await Promise.all(both)).map(closeOf); },
  "onmessage property": async () => { const [a, b] = pairOf(); a.accept(); b.accept(); const got = new Promise((resolve) => { b.onmessage = resolve; }); a.send("x"); const settled = await Promise.race([got.then((e) => e.data), new Promise((resolve) => setTimeout(() => resolve("not called"), 50))]); return settled; },
  "message events": async () => { const [a, b] = pairOf(); a.accept(); b.accept(); const got = next(b, "message"); a.send("x"); const e = await got; return [e instanceof MessageEvent, e.type, e.target === b]; },
  // hibernatable
  "acceptWebSocket and getWebSockets": (ctx) => { const { server } = hibernatable(ctx); return [ctx.getWebSockets().length, ctx.getWebSockets()[0] === server, server.readyState]; },
  "tags": (ctx) => { const { server } = hibernatable(ctx, ["a", "b"]); hibernatable(ctx, ["b"]); return [ctx.getTags(server), ctx.getWebSockets("a").length, ctx.getWebSockets("b").length, ctx.getWebSockets("none").length]; },
  "tags of a socket that is not ours": (ctx) => caught(() => ctx.getTags(pairOf()[0])),
  "ten tags": (ctx) => { const { server } = hibernatable(ctx, Array.from({ length: 10 }, (_, i) => `t${i}`)); return ctx.getTags(server).length; },
  "eleven tags": (ctx) => caught(() => { hibernatable(ctx, Array.from({ length: 11 }, (_, i) => `t${i}`)); }),
  "a tag of 256 characters": (ctx) => caught(() => ctx.getTags(hibernatable(ctx, ["x".repeat(256)]).server)[0].length),
  "a tag of 257 characters": (ctx) => caught(() => { hibernatable(ctx, ["x".repeat(257)]); }),
  "the same tag twice": (ctx) => caught(() => ctx.getTags(hibernatable(ctx, ["a", "a"]).server)),
  "an empty tag": (ctx) => caught(() => ctx.getTags(hibernatable(ctx, [""]).server)),
  "tags that are not an array": (ctx) => caught(() => { hibernatable(ctx, "a"); }),
  "acceptWebSocket twice": (ctx) => { const { server } = hibernatable(ctx); return caught(() => ctx.acceptWebSocket(server)); },
  "acceptWebSocket after accept": (ctx) => { const [, server] = pairOf(); server.accept(); return caught(() => ctx.acceptWebSocket(server)); },
  "accept after acceptWebSocket": (ctx) => { const { server } = hibernatable(ctx); return caught(() => server.accept()); },
  "acceptWebSocket of something else": (ctx) => caught(() => ctx.acceptWebSocket({})),
  "attachment": (ctx) => { const { server } = hibernatable(ctx); const before = server.deserializeAttachment(); server.serializeAttachment({ a: [1, new Date(0)] }); return [before, server.deserializeAttachment()]; },
  "attachment is a copy": (ctx) => { const { server } = hibernatable(ctx); const value = { n: 1 }; server.serializeAttachment(value); value.n = 2; return server.deserializeAttachment(); },
  "attachment through the prototype": (ctx) => { const { server } = hibernatable(ctx); WebSocket.prototype.serializeAttachment.call(server, "x"); return WebSocket.prototype.deserializeAttachment.call(server); },
  "attachment of 16,000 characters": (ctx) => { const { server } = hibernatable(ctx); return caught(() => { server.serializeAttachment("x".repeat(16000)); return server.deserializeAttachment().length; }); },
  "attachment that is too large": (ctx) => { const { server } = hibernatable(ctx); return caught(() => server.serializeAttachment("x".repeat(16385))); },
  "attachment that cannot be cloned": (ctx) => { const { server } = hibernatable(ctx); return caught(() => server.serializeAttachment(() => 1)); },
  "attachment set to null": (ctx) => { const { server } = hibernatable(ctx); server.serializeAttachment(1); server.serializeAttachment(null); return server.deserializeAttachment(); },
  "own properties stay on the socket": (ctx) => { const { server } = hibernatable(ctx); Object.defineProperties(server, { id: { value: "mine", configurable: true } }); return ctx.getWebSockets()[0].id; },
  "a WeakMap finds the socket again": (ctx) => { const { server } = hibernatable(ctx); const known = new WeakMap([[server, "yes"]]); return known.get(ctx.getWebSockets()[0]); },
  "automatic answer pair": (ctx) => { ctx.setWebSocketAutoResponse(new WebSocketRequestResponsePair("ping", "pong")); const pair = ctx.getWebSocketAutoResponse(); return [pair.request, pair.response, pair.constructor.name]; },
  "automatic answer, none": (ctx) => ctx.getWebSocketAutoResponse(),
  "automatic answer, unset": (ctx) => { ctx.setWebSocketAutoResponse(new WebSocketRequestResponsePair("a", "b")); ctx.setWebSocketAutoResponse(); return ctx.getWebSocketAutoResponse(); },
  "automatic answer, too long": (ctx) => caught(() => ctx.setWebSocketAutoResponse(new WebSocketRequestResponsePair("x".repeat(2049), "y"))),
  "automatic answer, answer too long": (ctx) => caught(() => ctx.setWebSocketAutoResponse(new WebSocketRequestResponsePair("x", "y".repeat(2049)))),
  "automatic answer timestamp before any": (ctx) => ctx.getWebSocketAutoResponseTimestamp(hibernatable(ctx).server),
  "event timeout": (ctx) => { const before = ctx.getHibernatableWebSocketEventTimeout(); ctx.setHibernatableWebSocketEventTimeout(1000); return [before, ctx.getHibernatableWebSocketEventTimeout()]; },
  "event timeout, too long": (ctx) => caught(() => ctx.setHibernatableWebSocketEventTimeout(604_800_001)),
  "a response with a socket": () => { const [client] = pairOf(); const response = new Response(null, { status: 101, webSocket: client }); return [response.status, response.webSocket === client]; },
  "a response with a socket and status 200": () => caught(() => new Response(null, { webSocket: pairOf()[0] })),
  "a response with status 101 and no socket": () => caught(() => new Response(null, { status: 101 })),
  "a response with a socket and a body": () => caught(() => new Response("x", { status: 101, webSocket: pairOf()[0] })),
};

/* Connects to the object NAME the way a client does, and hands over its end. */
async function connect(env, name, path = "/connect") {
  const response = await env.SocketObject.getByName(name).fetch(`http://x${path}`, { headers: { upgrade: "websocket" } });
  response.webSocket.accept();
  return response.webSocket;
}
const answers = (ws, count) => new Promise((resolve) => { const got = []; ws.addEventListener("message", ({ data }) => { got.push(data); if (got.length === count) resolve(got); }); });

const outside = {
  "upgrade answers 101 with a socket": async (env) => { const r = await env.SocketObject.getByName("u").fetch("http://x/connect", { headers: { upgrade: "websocket" } }); return [r.status, r.webSocket.constructor.name, r.body]; },
  "echo through webSocketMessage": async (env) => { const ws = await connect(env, "echo"); const got = answers(ws, 2); ws.send("one"); ws.send(new Uint8Array([7])); return got; },
  "messages sent before the answer arrive": async (env) => { const ws = await connect(env, "greets", "/greet"); return answers(ws, 2); },
  "webSocketClose is told code and reason": async (env) => { const ws = await connect(env, "closes"); ws.close(4002, "leaving"); return env.SocketObject.getByName("closes").firstClose(); },
  "webSocketClose without a code": async (env) => { const ws = await connect(env, "closes plainly"); ws.close(); return env.SocketObject.getByName("closes plainly").firstClose(); },
  "the object closes": async (env) => { const ws = await connect(env, "sender"); const closed = next(ws, "close"); ws.send("close me"); return closeOf(await closed); },
  "after a throw the socket still works": async (env) => { const ws = await connect(env, "thrower 2"); ws.send("throw"); const got = answers(ws, 1); ws.send("again"); return got; },
  "broadcast to all sockets": async (env) => { const [a, b] = [await connect(env, "many"), await connect(env, "many")]; const got = Promise.all([answers(a, 1), answers(b, 1)]); a.send("all hello"); return got; },
  "the automatic answer reaches the client": async (env) => { const ws = await connect(env, "auto", "/auto"); const got = answers(ws, 2); ws.send("ping"); ws.send("not ping"); const seen = await got; return [seen.sort(), await env.SocketObject.getByName("auto").autoSeen()]; },
  "tags and attachment in webSocketMessage": async (env) => { const ws = await connect(env, "tagged", "/tagged"); const got = answers(ws, 1); ws.send("who"); return got; },
  "a large message": async (env) => { const ws = await connect(env, "large"); const got = answers(ws, 1); ws.send("size " + "x".repeat(1_000_000)); return got; },
  "url and protocol of a server socket": async (env) => { const ws = await connect(env, "meta"); const got = answers(ws, 1); ws.send("meta"); return got; },
  "a live socket echoes": async (env) => { const ws = await connect(env, "live", "/live"); const got = answers(ws, 1); ws.send("x"); return got; },
  "a live socket is not in getWebSockets": async (env) => { const ws = await connect(env, "live list", "/live"); const n = await env.SocketObject.getByName("live list").count(); ws.close(); return n; },
  "fetch without the upgrade header": async (env) => { const r = await env.SocketObject.getByName("no upgrade").fetch("http://x/plain"); return [r.status, r.webSocket, await r.text()]; },
  "handlers defined on the instance in its constructor win": async (env) => { const response = await env.OwnHandlerSocketObject.getByName("own").fetch("http://x/connect", { headers: { upgrade: "websocket" } }); response.webSocket.accept(); const got = answers(response.webSocket, 1); response.webSocket.send("x"); return got; },
};

export class SocketObject extends CaseObject {
  cases = inside;

  async fetch(request) {
    const { pathname } = new URL(request.url);
    if (pathname === "/run") return super.fetch(request);
    if (pathname === "/plain") return new Response(`upgrade: ${request.headers.get("upgrade")}`);
    const [client, server] = pairOf();
    if (pathname === "/live") {
      server.accept();
      server.addEventListener("message", ({ data }) => server.send(`live ${data}`));
      return new Response(null, { status: 101, webSocket: client });
    }
    this.ctx.acceptWebSocket(server, pathname === "/tagged" ? ["red", "blue"] : []);
    if (pathname === "/tagged") server.serializeAttachment({ who: "mouse" });
    if (pathname === "/greet") { server.send("first"); server.send("second"); }
    if (pathname === "/auto") this.ctx.setWebSocketAutoResponse(new WebSocketRequestResponsePair("ping", "pong"));
    return new Response(null, { status: 101, webSocket: client });
  }

  webSocketMessage(ws, message) {
    if (typeof message !== "string") return ws.send(message);
    if (message === "throw") throw new Error("message failed");
    if (message === "close me") return ws.close(4003, "as you wish");
    if (message.startsWith("all ")) return this.ctx.getWebSockets().forEach((one) => one.send(message.slice(4)));
    if (message === "who") return ws.send(JSON.stringify([this.ctx.getTags(ws), ws.deserializeAttachment()]));
    if (message.startsWith("size ")) return ws.send(String(message.length));
    if (message === "meta") return ws.send(JSON.stringify([ws.url, ws.protocol, ws.extensions, ws.readyState]));
    ws.send(`echo ${message}`);
  }
  first = Promise.withResolvers();
  webSocketClose(ws, code, reason, wasClean) { this.first.resolve({ code, reason, wasClean }); }
  firstClose() { return this.first.promise; }
  count() { return this.ctx.getWebSockets().length; }
  autoSeen() { return this.ctx.getWebSockets().map((ws) => this.ctx.getWebSocketAutoResponseTimestamp(ws) instanceof Date); }
}

export class OwnHandlerSocketObject extends SocketObject {
  constructor(ctx, env) {
    super(ctx, env);
    Object.defineProperty(this, "webSocketMessage", { value: (ws) => ws.send("from the instance") });
  }
}

export default oracle({ inside, object: "SocketObject", outside });
