// One Counter per name: /counters/tea and /counters/coffee are two objects, each with a database of its own.
//   GET  /counters/NAME          the value and the last changes
//   POST /counters/NAME?by=-2    changes it, then answers the same
import { DurableObject } from "cloudflare:workers";

interface Env {
  COUNTER: DurableObjectNamespace<Counter>;
}

export class Counter extends DurableObject<Env> {
  sql = this.ctx.storage.sql;

  constructor(ctx: DurableObjectState, env: Env) {
    super(ctx, env);
    this.sql.exec("CREATE TABLE IF NOT EXISTS change (id INTEGER PRIMARY KEY, amount INTEGER NOT NULL, at INTEGER NOT NULL)");
  }

  read() {
    const { value, count } = this.sql
      .exec<{ value: number; count: number }>("SELECT coalesce(sum(amount), 0) AS value, count(*) AS count FROM change")
      .one();
    const recent = this.sql.exec("SELECT amount, at FROM change ORDER BY id DESC LIMIT 5").toArray();
    return { name: this.ctx.id.name, value, count, recent };
  }

  /* The answer leaves only when the row is safely on disk; no code here has to wait for that. */
  add(amount: number) {
    this.sql.exec("INSERT INTO change (amount, at) VALUES (?, ?)", amount, Date.now());
    return this.read();
  }
}

export default {
  async fetch(request: Request, env: Env) {
    const url = new URL(request.url);
    const name = /^\/counters\/([^/]{1,100})$/.exec(url.pathname)?.[1];
    if (!name) return new Response("Try /counters/NAME\n", { status: 404 });

    const counter = env.COUNTER.getByName(decodeURIComponent(name));
    if (request.method === "GET") return Response.json(await counter.read());
    if (request.method !== "POST") return new Response("GET or POST\n", { status: 405, headers: { allow: "GET, POST" } });

    const by = Number(url.searchParams.get("by") ?? 1);
    if (!Number.isSafeInteger(by)) return new Response("by: a whole number\n", { status: 400 });
    return Response.json(await counter.add(by));
  },
};
