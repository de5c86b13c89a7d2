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

function* naturals() { for (let n = 1; ; n++) yield n; }

export class Sleeper extends DurableObject {
  seen = new Map();
  account = new Account();
  numbers = naturals();
  text = "";
  pattern = /o/g;

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
      case "line": return Response.json(this.filled?.[Number(v)] ?? null);
      case "sql": return Response.json(this.ctx.storage.sql.exec("SELECT count(*) AS n FROM sqlite_master").one());
      case "alarm": await this.ctx.storage.setAlarm(Date.now() + Number(v)); return Response.json("armed");
      case "alarms": return Response.json(this.alarms ?? 0);
      case "ws": {
        const pair = new WebSocketPair();
        this.ctx.acceptWebSocket(pair[1]);
        this.last = pair[1];
        return new Response(null, { status: 101, webSocket: pair[0] });
      }
    }
    return new Response("no such operation", { status: 404 });
  }

  alarm() {
    this.alarms = (this.alarms ?? 0) + 1;
    for (const ws of this.ctx.getWebSockets()) ws.send(`alarm ${this.alarms} ${this.count()}`);
  }

  webSocketMessage(ws, text) {
    ws.send(JSON.stringify({ echo: text, isLast: ws === this.last, ...this.step(text) }));
  }

  webSocketClose(ws) { ws.close(); }
}

export class Forgetful extends Sleeper {}

export default {
  fetch(request, env) {
    const [, kind, name] = new URL(request.url).pathname.split("/");
    const namespace = { s: env.SLEEPER, forgetful: env.FORGETFUL }[kind];
    return namespace ? namespace.getByName(name).fetch(request) : new Response("no such agent", { status: 404 });
  },
};
