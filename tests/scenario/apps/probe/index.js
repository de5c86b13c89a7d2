// An agent that does what a test tells it, good or bad: /p/NAME/OPERATION. /fussy/NAME has a constructor that may throw.
import { DurableObject } from "cloudflare:workers";

const VERSION = "one";

export class Probe extends DurableObject {
  inMemory = [];

  constructor(ctx, env) {
    super(ctx, env);
    this.sql = ctx.storage.sql;
    this.sql.exec("CREATE TABLE IF NOT EXISTS t (id INTEGER PRIMARY KEY, v TEXT NOT NULL)");
  }

  rows() { return this.sql.exec("SELECT v FROM t ORDER BY id").toArray().map((row) => row.v); }
  put(v) { return this.sql.exec("INSERT INTO t (v) VALUES (?) RETURNING id", v).one().id; }
  /* docs/operating.md: a retry finds what the first try did. */
  once(id, v) {
    this.sql.exec("CREATE TABLE IF NOT EXISTS done (id TEXT PRIMARY KEY, answer TEXT NOT NULL)");
    const done = this.sql.exec("SELECT answer FROM done WHERE id = ?", id).toArray()[0];
    if (done) return done.answer;
    const answer = `row ${this.put(v)}`;
    this.sql.exec("INSERT INTO done (id, answer) VALUES (?, ?)", id, answer);
    return answer;
  }

  tell(event) { for (const ws of this.ctx.getWebSockets()) ws.send(JSON.stringify(event)); }

  async fetch(request) {
    const url = new URL(request.url);
    const v = url.searchParams.get("v");
    switch (url.pathname.split("/")[3]) {
      case "version": return new Response(VERSION);
      case "outlive": return new Response(await this.outlive());
      case "put": return Response.json({ id: this.put(v) });
      case "once": return new Response(this.once(request.headers.get("X-Request-Id"), v));
      case "pair": return Response.json({ ids: [this.put(`${v} left`), this.put(`${v} right`)] });
      case "nothing": this.sql.exec("CREATE TABLE IF NOT EXISTS t (id INTEGER)"); return new Response("nothing was written");
      case "all": return Response.json(this.rows());
      case "keep": this.inMemory.push(v); return Response.json(this.inMemory);
      case "kept": return Response.json(this.inMemory);
      case "bookmark": return Response.json(await this.ctx.storage.getCurrentBookmark());
      case "bookmarkAt": return Response.json(await this.ctx.storage.getBookmarkForTime(new Date(v)));
      case "restore": return Response.json(await this.ctx.storage.onNextSessionRestoreBookmark(v));
      case "restoreNow": this.put("lost"); await this.ctx.storage.onNextSessionRestoreBookmark(v); return this.ctx.abort("to be restored");
      case "alarm": await this.ctx.storage.setAlarm(Date.now() + Number(url.searchParams.get("in"))); return new Response("armed");
      case "due": return Response.json(await this.ctx.storage.getAlarm());
      case "ws": return this.accept(v);
      case "throw": throw new RangeError("thrown on purpose");
      case "abort": return this.ctx.abort("aborted on purpose");
      case "syncAbort": this.put(v); await this.ctx.storage.sync(); return this.ctx.abort("aborted after a sync");
      case "hang": this.tell({ hanging: true }); return new Promise(() => {});
      case "wait": return new Response(await new Promise((resolve) => { this.release = resolve; this.tell({ waiting: true }); }));
      case "release": this.release(v); return new Response("released");
      case "loop": for (;;);
      case "bomb": for (const hoard = []; ; ) hoard.push(new Array(100_000).fill(hoard.length));
      case "deep": return new Response(caught(() => { (function deeper() { deeper(); })(); }));
      case "rejection": Promise.reject(new Error("nobody listens")); return new Response("rejected");
      case "large": return new Response("x".repeat(Number(v)));
      case "global": globalThis.shared = (globalThis.shared ?? 0) + 1; return Response.json(globalThis.shared);
    }
    return new Response("no such operation", { status: 404 });
  }

  /* Goes on until another agent runs newer code than this one. */
  async outlive() {
    this.tell({ outliving: true });
    for (;;) {
      const other = await (await this.env.PROBE.getByName("other").fetch("http://x/p/other/version")).text();
      if (other !== VERSION) return `${VERSION} has seen ${other}`;
    }
  }

  accept(who) {
    const pair = new WebSocketPair();
    this.ctx.acceptWebSocket(pair[1], [who ?? "anybody"]);
    pair[1].serializeAttachment({ who, seen: 0 });
    return new Response(null, { status: 101, webSocket: pair[0] });
  }

  webSocketMessage(ws, text) {
    if (text === "hang") {
      ws.send("hanging");
      return new Promise(() => {});
    }
    const { who, seen } = ws.deserializeAttachment();
    ws.serializeAttachment({ who, seen: seen + 1 });
    if (text.startsWith("put ")) this.put(text.slice(4));
    ws.send(JSON.stringify({ echo: text, who, seen: seen + 1, tags: this.ctx.getTags(ws), version: VERSION }));
  }

  webSocketClose(ws, code, reason) {
    this.put(`closed ${code} ${reason}`);
    try { ws.close(code, reason); } catch { /* the platform has answered already */ }
  }

  alarm({ retryCount }) {
    this.put(`alarm ${retryCount}`);
    this.tell({ alarm: retryCount });
  }
}

export class Fussy extends DurableObject {
  constructor(ctx, env) {
    super(ctx, env);
    if (ctx.id.name === "bad") throw new TypeError("not constructed on purpose");
  }
  fetch() { return new Response("fine"); }
}

function caught(fn) {
  try { fn(); return "nothing"; } catch (error) { return error.name; }
}

export default {
  async fetch(request, env) {
    const [, kind, name] = new URL(request.url).pathname.split("/");
    const namespace = { p: env.PROBE, fussy: env.FUSSY }[kind];
    if (!namespace || !name) return new Response("hello");
    try {
      return await namespace.getByName(decodeURIComponent(name)).fetch(request);
    } catch (error) {
      const { name: kindOf, message, remote, retryable, overloaded, durableObjectReset } = error;
      if (new URL(request.url).searchParams.has("raw")) throw error;
      return Response.json({ name: kindOf, message, remote, retryable, overloaded, durableObjectReset }, { status: 555 });
    }
  },
};
