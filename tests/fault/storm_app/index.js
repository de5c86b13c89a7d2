// Agents that count how often each of their alarms fired: /a/NAME/OPERATION. Whoever wants to know without waking them asks a bell.
import { DurableObject } from "cloudflare:workers";

export class Storm extends DurableObject {
  rings = 0; // of a bell: since it woke

  constructor(ctx, env) {
    super(ctx, env);
    this.sql = ctx.storage.sql;
  }

  async fetch(request) {
    const url = new URL(request.url);
    switch (url.pathname.split("/")[3]) {
      case "arm":
        this.sql.exec("CREATE TABLE IF NOT EXISTS alarm (due INTEGER, bell TEXT); CREATE TABLE IF NOT EXISTS fired (due INTEGER, at INTEGER, error TEXT)");
        this.sql.exec("INSERT INTO alarm VALUES (?, ?)", Number(url.searchParams.get("due")), url.searchParams.get("bell"));
        await this.ctx.storage.setAlarm(Number(url.searchParams.get("due")));
        return new Response("armed");
      case "fired": return Response.json(this.sql.exec("SELECT due, at, error FROM fired").toArray());
      case "ring": return Response.json(++this.rings);
      case "rings": return Response.json(this.rings);
      case "look": return new Response("here");
    }
    return new Response("no such operation", { status: 404 });
  }

  async alarm() {
    const { due, bell } = this.sql.exec("SELECT due, bell FROM alarm ORDER BY rowid DESC LIMIT 1").one();
    const at = Date.now();
    try {
      await this.env.STORM.getByName(bell).fetch(`http://bell/a/${bell}/ring`);
      this.sql.exec("INSERT INTO fired VALUES (?, ?, NULL)", due, at);
    } catch (error) {
      this.sql.exec("INSERT INTO fired VALUES (?, ?, ?)", due, at, error.message);
      await this.ctx.storage.sync();
      throw error; // the platform tries again
    }
  }
}

export default {
  fetch(request, env) {
    const [, kind, name] = new URL(request.url).pathname.split("/");
    return kind === "a" && name ? env.STORM.getByName(name).fetch(request) : new Response("storm");
  },
};
