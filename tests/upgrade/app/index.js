// What a release keeps for its agents: rows, values of all kinds, alarms, memory. /k/NAME/OPERATION
import { DurableObject } from "cloudflare:workers";

const VALUE = { list: [1, null, "drei"], when: new Date(86_400_000), map: new Map([["key", new Set([1n])]]), bytes: new Uint8Array([0, 255]), text: "ключ".repeat(40) };

export class Keeper extends DurableObject {
  heard = [];

  constructor(ctx, env) {
    super(ctx, env);
    ctx.storage.sql.exec("CREATE TABLE IF NOT EXISTS rows (id INTEGER PRIMARY KEY, v TEXT NOT NULL, filler BLOB)");
  }

  rows() { return this.ctx.storage.sql.exec("SELECT v, length(filler) AS bytes FROM rows ORDER BY id").toArray(); }

  async fetch(request) {
    const { pathname, searchParams } = new URL(request.url), { storage } = this.ctx, v = searchParams.get("v");
    switch (pathname.split("/")[3]) {
      case "put": storage.sql.exec("INSERT INTO rows (v, filler) VALUES (?, zeroblob(?))", v, Number(searchParams.get("bytes") ?? 10)); this.heard.push(v); break;
      case "value": await storage.put("value", VALUE); break;
      case "alarm": await storage.setAlarm(Number(v)); break;
      case "index": storage.sql.exec("CREATE INDEX rows_v ON rows (v)"); break;
      case "search": storage.sql.exec("CREATE VIRTUAL TABLE words USING fts5(text)"); storage.sql.exec("INSERT INTO words VALUES ('one two'), ('two three')"); break;
      case "found": return Response.json(storage.sql.exec("SELECT text FROM words WHERE words MATCH ?", v).toArray());
      case "bookmark": return Response.json(await storage.getCurrentBookmark());
      case "heard": return Response.json(this.heard);
    }
    const value = await storage.get("value");
    return Response.json({
      rows: this.rows(), name: this.ctx.id.name ?? null, alarm: await storage.getAlarm(), fired: (await storage.get("fired")) ?? 0, note: this.env.NOTE,
      value: value === undefined ? null : [value.list, value.when.getTime(), [...value.map].map(([key, set]) => [key, [...set].map(String)]), [...value.bytes], value.text.length],
    });
  }

  async alarm() { await this.ctx.storage.put("fired", ((await this.ctx.storage.get("fired")) ?? 0) + 1); }
}

export default {
  fetch(request, env) { return env.KEEPER.getByName(decodeURIComponent(new URL(request.url).pathname.split("/")[2])).fetch(request); },
};
