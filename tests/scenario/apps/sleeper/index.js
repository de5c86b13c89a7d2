// Agents with much to remember outside of their database: /s/NAME/OPERATION, /forgetful/NAME/OPERATION.
import { DurableObject } from "cloudflare:workers";
import { AsyncLocalStorage } from "node:async_hooks";

const VERSION = "one";
const als = new AsyncLocalStorage();

class Account {
  #balance = 0;
  earn(n) { this.#balance += n; return this; }
  get balance() { return this.#balance; }
}

const told = (fn) => { try { return fn() ?? null; } catch (e) { return String(e); } };

function* naturals() { for (let n = 1; ; n++) yield n; }

export class Sleeper extends DurableObject {
  seen = new Map();
  account = new Account();
  numbers = naturals();
  text = "";
  pattern = /o/g;
  closes = [];

  constructor(ctx, env) {
    super(ctx, env);
    this.started = ctx.storage.kv.get("starts") ?? 0;
    ctx.storage.kv.put("starts", this.started + 1);
    let calls = 0;
    this.count = () => ++calls;
    this.asked = new Promise((resolve) => { this.answer = resolve; });
    this.conversation = als.run("in context", () => this.converse());
  }

  async converse() {
    const heard = await this.asked;
    return `${heard} ${als.getStore()}`;
  }

  // Everything moves by one step; what it says depends on all that was before.
  step(v) {
    this.seen.set(v, (this.seen.get(v) ?? 0) + 1);
    this.text += v + "-foo";
    return {
      calls: this.count(), number: this.numbers.next().value, balance: this.account.earn(5).balance, seen: [...this.seen],
      text: this.text, found: this.pattern.exec(this.text)?.index ?? null, version: VERSION, starts: this.ctx.storage.kv.get("starts"),
    };
  }

  async fetch(request) {
    const url = new URL(request.url);
    const v = url.searchParams.get("v");
    switch (url.pathname.split("/")[3]) {
      case "step": return Response.json(this.step(v));
      case "answer": this.answer(v); return Response.json(await this.conversation);
      case "fill": this.filled = Array.from({ length: Number(v) }, (_, i) => `line ${i} of ${url.pathname}`); return Response.json(this.filled.length);
      case "noise": if (v) { this.noise = new Uint8Array(Number(v)); for (let at = 0; at < this.noise.length; at += 65536) crypto.getRandomValues(this.noise.subarray(at, at + 65536)); } return Response.json(this.noise?.length ?? null);
      case "bomb": for (const all = []; ;) all.push(new Uint8Array(1 << 20).fill(1));
      case "line": return Response.json(this.filled?.[Number(v)] ?? null);
      case "sql": return Response.json(this.ctx.storage.sql.exec("SELECT count(*) AS n FROM sqlite_master").one());
      case "cursor": return Response.json(await this.cursor(v));
      case "auto": this.ctx.setWebSocketAutoResponse(new WebSocketRequestResponsePair("ping", v)); return Response.json("set");
      case "book": return Response.json({
        tagged: this.ctx.getWebSockets(v).map((ws) => [ws === this.last, ws.deserializeAttachment(), this.ctx.getTags(ws)]),
        closes: this.closes, auto: this.ctx.getWebSocketAutoResponse()?.response ?? null, starts: this.started + 1,
      });
      case "alarm": await this.ctx.storage.setAlarm(Date.now() + Number(v)); return Response.json("armed");
      case "alarms": return Response.json(this.alarms ?? 0);
      case "ws": {
        const pair = new WebSocketPair();
        this.ctx.acceptWebSocket(pair[1], v ? [v] : []);
        if (v) pair[1].serializeAttachment({ tagged: v });
        this.last = pair[1];
        return new Response(null, { status: 101, webSocket: pair[0] });
      }
    }
    return this.waiting(url.pathname.split("/")[3], v, request) ?? new Response("no such operation", { status: 404 });
  }

  // Cursors that are kept from one request to the next.
  cursor(v) {
    const { sql } = this.ctx.storage, [what, n] = v.split(":");
    switch (what) {
      case "make":
        sql.exec("CREATE TABLE IF NOT EXISTS rows (id INTEGER PRIMARY KEY, text TEXT, bytes BLOB); DELETE FROM rows");
        sql.exec("WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < ?) INSERT INTO rows SELECT i, 'row ' || i, zeroblob(i % 7) FROM n", Number(n));
        for (let i = 0; i < 40; i++) this.dropped = sql.exec("SELECT id FROM rows").next().value;
        this.cursors = {
          rows: sql.exec("SELECT id, text, bytes, id AS __proto__ FROM rows ORDER BY id"), raw: sql.exec("SELECT id, text FROM rows ORDER BY id DESC").raw(),
          ended: sql.exec("INSERT INTO rows (text) VALUES ('last') RETURNING id"), one: sql.exec("SELECT count(*) AS n FROM rows"),
          read: sql.exec("SELECT id AS x FROM rows LIMIT 3"),
        };
        return [this.cursors.rows.next().value.text, this.cursors.raw.next().value[1], this.cursors.read.toArray().length];
      case "crowd": { // N cursors that all have rows left: what each of them says
        const all = Array.from({ length: Number(n) }, (_, i) => { const one = sql.exec("SELECT ? AS n UNION ALL SELECT -1", i); one.next(); return one; });
        return all.map((one) => told(() => one.next().value.n));
      }
      case "write": return sql.exec(`UPDATE rows SET text = 'new ' || id WHERE id = ${n}`).rowsWritten;
      case "deleteAll": return this.ctx.storage.deleteAll().then(() => "deleted");
      case "next": return told(() => { const { value } = this.cursors.rows.next(); return value && [...Object.keys(value), value.text, value.bytes.byteLength, Object.getPrototypeOf(value) === Object.prototype]; });
      case "rest": {
        const { rows, raw, ended, one, read } = this.cursors;
        const all = [rows.toArray().map(({ text }) => text), [...raw].map(([id]) => id)];
        return { counts: all.map((a) => a.length), ends: all.map((a) => [a[0], a.at(-1)]), names: [rows, ended, read].map((c) => c.columnNames),
          ended: [ended.toArray(), ended.rowsWritten], one: [one.one(), one.rowsRead > 0], read: [read.next().done, read.rowsRead], after: rows.next() };
      }
    }
  }

  // Operations that wait for something; what they heard goes on with what they knew before.
  waiting(operation, v, request) {
    const before = this.count(), local = { map: new Map([["before", before]]) };
    const told = async (heard) => Response.json({ heard, before: local.map.get("before"), calls: this.count(), store: als.getStore() ?? null });
    switch (operation) {
      case "await": return als.run("kept", async () => told(await (await fetch(v)).text()));
      case "stream": return als.run("kept", async () => {
        const pieces = [];
        for await (const piece of (await fetch(v)).body.pipeThrough(new TextDecoderStream())) pieces.push(piece);
        return told(pieces);
      });
      case "body": return (async () => {
        const pieces = [];
        for await (const piece of request.body.pipeThrough(new TextDecoderStream())) pieces.push(piece);
        return told(pieces.join(""));
      })();
      case "peer": return (async () => told(await this.env.SLEEPER.getByName("other").remote(v)))();
      case "section": return (async () => told(await this.ctx.blockConcurrencyWhile(async () => (await fetch(v)).text())))();
      case "transaction": return (async () => told(await this.ctx.storage.transaction(async (tx) => { await tx.put("k", 1); return (await fetch(v)).text(); })))();
      case "until": this.ctx.waitUntil(fetch(v).then((r) => r.text()).then((heard) => { this.heard = heard; })); return told(null);
      case "timer": setTimeout((a) => { this.heard = a + before; }, Number(v), "timer"); return told(null);
      case "heard": return told(this.heard ?? null);
      case "closes": return Response.json(this.ctx.storage.kv.get("closes") ?? []);
      case "alarmAwait": this.url = v; return this.ctx.storage.setAlarm(Date.now()).then(() => told(null));
      case "live": {
        const pair = new WebSocketPair();
        pair[1].accept();
        pair[1].addEventListener("message", ({ data }) => pair[1].send(`${data} ${before} ${this.count()}`));
        return new Response(null, { status: 101, webSocket: pair[0] });
      }
      case "client": return (async () => {
        const { webSocket } = await fetch(v, { headers: { upgrade: "websocket" } });
        webSocket.accept();
        return told(await new Promise((resolve) => webSocket.addEventListener("message", ({ data }) => resolve(data))));
      })();
    }
  }

  async remote(v) { return `${await (await fetch(v)).text()} through ${this.count()}`; }

  async alarm() {
    if (this.url) this.heard = await (await fetch(this.url)).text();
    this.alarms = (this.alarms ?? 0) + 1;
    for (const ws of this.ctx.getWebSockets()) ws.send(`alarm ${this.alarms} ${this.count()}`);
  }

  webSocketMessage(ws, text) {
    ws.send(JSON.stringify({ echo: text, isLast: ws === this.last, ...this.step(text) }));
  }

  webSocketClose(ws, code, reason, wasClean) {
    this.closes.push([code, wasClean, ws.deserializeAttachment()]);
    ws.close();
  }
}

// Never writes, unless it is asked to.
export class Idle extends DurableObject {
  seen = [];

  async fetch(request) {
    const url = new URL(request.url), v = url.searchParams.get("v");
    if (url.pathname.endsWith("/write")) this.ctx.storage.kv.put("v", v);
    if (url.pathname.endsWith("/deleteAll")) await this.ctx.storage.deleteAll();
    if (v) this.seen.push(v);
    return Response.json([this.seen, this.ctx.storage.kv.get("v") ?? null, this.ctx.id.name]);
  }
}

export class Forgetful extends Sleeper {
  webSocketClose(ws, code, reason, wasClean) {
    const { kv } = this.ctx.storage;
    kv.put("closes", [...(kv.get("closes") ?? []), [code, wasClean, ws.deserializeAttachment(), this.ctx.getTags(ws)]]);
  }
}

export default {
  fetch(request, env) {
    const [, kind, name] = new URL(request.url).pathname.split("/");
    const namespace = { s: env.SLEEPER, idle: env.IDLE, forgetful: env.FORGETFUL }[kind];
    return namespace ? namespace.getByName(name).fetch(request) : new Response("no such agent", { status: 404 });
  },
};
