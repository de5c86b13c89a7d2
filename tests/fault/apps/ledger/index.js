// An agent that writes down what it is told, each thing under its key: /l/NAME/OPERATION?key=KEY. What oracle.mjs checks is kept here:
// every operation that wrote rows counts them in KV in the same turn, alarms are told to the witness before they are crossed off.
import { DurableObject } from "cloudflare:workers";

const HASTY_MS = 20;

export class Ledger extends DurableObject {
  constructor(ctx, env) {
    super(ctx, env);
    this.sql = ctx.storage.sql;
    this.kv = ctx.storage.kv;
    this.make();
  }

  make() {
    this.sql.exec(`CREATE TABLE IF NOT EXISTS entry (id INTEGER PRIMARY KEY, key TEXT NOT NULL);
      CREATE TABLE IF NOT EXISTS slot (id INTEGER PRIMARY KEY CHECK (id = 1), key TEXT NOT NULL);
      CREATE TABLE IF NOT EXISTS armed (key TEXT NOT NULL, due INTEGER NOT NULL, witness TEXT NOT NULL);
      CREATE TABLE IF NOT EXISTS fired (key TEXT NOT NULL, due INTEGER NOT NULL, at INTEGER NOT NULL);`);
  }

  put(key) {
    const { id } = this.sql.exec("INSERT INTO entry (key) VALUES (?) RETURNING id", key).one();
    this.kv.put("count", (this.kv.get("count") ?? 0) + 1);
    return id;
  }

  async fetch(request) {
    const url = new URL(request.url);
    const key = url.searchParams.get("key");
    switch (url.pathname.split("/")[3]) {
      case "row": return Response.json({ id: this.put(key) });
      case "pair": return Response.json({ ids: [this.put(`${key}<`), this.put(`${key}>`)] });
      case "kv": await this.ctx.storage.put(`k:${key}`, { key }); return Response.json({ key });
      case "txn": return Response.json({ id: await this.ctx.storage.transaction(async (txn) => { await txn.put(`k:${key}`, { key }); return this.put(key); }) });
      case "refuse": return this.refuse(key);
      case "alarm": await this.arm(key, Number(url.searchParams.get("in")), url.searchParams.get("witness")); return Response.json({ key });
      case "out": return this.tell(this.put(key), `${url.searchParams.get("witness")}/told?key=${key}`);
      case "big": return this.big(key, Number(url.searchParams.get("bytes")));
      case "careless": return this.careless(key, Number(url.searchParams.get("bytes")));
      case "free": this.sql.exec("DELETE FROM ballast"); return Response.json({ key });
      case "swap": this.sql.exec("INSERT INTO slot (id, key) VALUES (1, ?) ON CONFLICT (id) DO UPDATE SET key = excluded.key", key); return Response.json({ key });
      case "seen": return Response.json({ keys: this.sql.exec("SELECT key FROM entry ORDER BY id DESC LIMIT 3").toArray().map((row) => row.key) });
      case "hasty": setTimeout(() => this.put(key), HASTY_MS); return Response.json({ key });
      case "empty": await this.ctx.storage.deleteAll(); this.make(); return Response.json({ key });
      case "ws": return this.accept();
      case "dump": return Response.json(this.dump());
    }
    return new Response("no such operation", { status: 404 });
  }

  /* What a transaction wrote that was thrown out of is not there, and the caller knows. */
  refuse(key) {
    try {
      this.ctx.storage.transactionSync(() => { this.put(key); throw new Error("refused on purpose"); });
    } catch {
      return Response.json({ refused: key }, { status: 409 });
    }
  }

  /* The row is acknowledged whether or not the world outside could be told; it can have heard of durable rows only. */
  async tell(id, url) {
    const isTold = await fetch(url, { method: "POST" }).then((answer) => answer.ok, () => false);
    return Response.json({ id, isTold });
  }

  big(key, bytes) {
    this.sql.exec("CREATE TABLE IF NOT EXISTS ballast (data BLOB)");
    this.sql.exec("INSERT INTO ballast (data) VALUES (randomblob(?))", bytes);
    return Response.json({ id: this.put(key) });
  }

  /* Goes on when the second write fails; the platform knows that the first may be undone with it. */
  careless(key, bytes) {
    const id = this.put(key);
    try { this.sql.exec("INSERT INTO ballast (data) VALUES (randomblob(?))", bytes); } catch { /* on purpose */ }
    return Response.json({ id });
  }

  async arm(key, delayMs, witness) {
    this.sql.exec("INSERT INTO armed (key, due, witness) VALUES (?, ?, ?)", key, Date.now() + delayMs, witness ?? "");
    await this.setNext();
  }

  async setNext() {
    const { due } = this.sql.exec("SELECT min(due) AS due FROM armed").one();
    if (due !== null) await this.ctx.storage.setAlarm(due);
  }

  async alarm() {
    for (const { rowid, key, due, witness } of this.sql.exec("SELECT rowid, key, due, witness FROM armed WHERE due <= ? ORDER BY due", Date.now()).toArray()) {
      if (witness && !(await fetch(`${witness}/fired?key=${key}`, { method: "POST" })).ok) throw new Error("the witness does not listen");
      if (this.sql.exec("DELETE FROM armed WHERE rowid = ?", rowid).rowsWritten > 0) this.sql.exec("INSERT INTO fired (key, due, at) VALUES (?, ?, ?)", key, due, Date.now());
    }
    await this.setNext();
  }

  accept() {
    const [client, server] = Object.values(new WebSocketPair());
    this.ctx.acceptWebSocket(server);
    return new Response(null, { status: 101, webSocket: client });
  }

  webSocketMessage(ws, key) {
    try {
      ws.send(JSON.stringify({ key, id: this.put(key) }));
    } catch (error) {
      ws.send(JSON.stringify({ key, error: error.message }));
    }
  }

  webSocketClose(ws, code) { try { ws.close(code === 1005 || code === 1006 ? 1000 : code); } catch { /* the platform has answered already */ } }

  dump() {
    const rows = (query) => this.sql.exec(query).toArray();
    return {
      rows: rows("SELECT id, key FROM entry ORDER BY id").map(({ id, key }) => [id, key]),
      kv: [...this.kv.list({ prefix: "k:" })].map(([name, value]) => [name.slice(2), value.key]),
      count: this.kv.get("count") ?? 0,
      armed: rows("SELECT key FROM armed").map((row) => row.key),
      fired: rows("SELECT key, due, at FROM fired"),
      slot: rows("SELECT key FROM slot")[0]?.key ?? null,
      now: Date.now(),
    };
  }
}

export default {
  async fetch(request, env) {
    const [, kind, name] = new URL(request.url).pathname.split("/");
    if (kind !== "l" || !name) return new Response("hello");
    try {
      return await env.LEDGER.getByName(name).fetch(request);
    } catch (error) {
      return Response.json({ name: error.name, message: error.message, retryable: error.retryable ?? false }, { status: 555 });
    }
  },
};
