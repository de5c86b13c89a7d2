// An agent with a few pages of rows, an index over them and pairs: /a/NAME/OPERATION. What it holds follows from what was written.
import { DurableObject } from "cloudflare:workers";

export class Flip extends DurableObject {
  async fetch(request) {
    const url = new URL(request.url), sql = this.ctx.storage.sql, from = Number(url.searchParams.get("from") ?? 0);
    switch (url.pathname.split("/")[3]) {
      case "fill":
        sql.exec("CREATE TABLE IF NOT EXISTS t (id INTEGER PRIMARY KEY, word TEXT, n REAL, bytes BLOB); CREATE INDEX IF NOT EXISTS by_word ON t (word)");
        for (let id = from; id < from + Number(url.searchParams.get("count")); id++)
          sql.exec("INSERT INTO t VALUES (?, ?, ?, ?)", id, `word ${(id * 7919) % 1000} of ${url.pathname}`, id / 7, new Uint8Array(id % 40).fill(id));
        for (let id = 0; id < 8; id++) this.ctx.storage.kv.put(`key ${id}`, { id, from });
        return new Response("filled");
      case "arm":
        sql.exec("CREATE TABLE fired (at INTEGER)");
        await this.ctx.storage.setAlarm(Number(url.searchParams.get("due")));
        return new Response("armed");
      case "fired": return Response.json(sql.exec("SELECT count(*) AS n FROM fired").one().n);
      case "rung": return Response.json([...(this.rung ?? [])]);
      case "ring": (this.rung ??= new Set()).add(url.searchParams.get("name")); return new Response("rung");
      case "dump": return Response.json({
        rows: sql.exec("SELECT id, word, n, hex(bytes) AS bytes FROM t ORDER BY id").raw().toArray(),
        words: sql.exec("SELECT word FROM t WHERE word > '' ORDER BY word").raw().toArray().flat(),
        pairs: [...this.ctx.storage.kv.list()],
      });
    }
    return new Response("no such operation", { status: 404 });
  }

  async alarm() {
    this.ctx.storage.sql.exec("INSERT INTO fired VALUES (?)", Date.now());
    await this.env.FLIP.getByName("bell").fetch(`http://bell/a/bell/ring?name=${this.ctx.id.name}`);
  }
}

export default {
  async fetch(request, env) {
    const [, kind, name] = new URL(request.url).pathname.split("/");
    if (kind !== "a" || !name) return new Response("flip");
    try {
      return await env.FLIP.getByName(name).fetch(request);
    } catch (error) {
      return Response.json({ name: error.name, message: error.message }, { status: 555 });
    }
  },
};
