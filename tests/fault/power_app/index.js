// A ledger: each write is a unique (lane, seq), kept twice by one commit, never made unique by the table: a write that happened
// twice is to be seen. /a/NAME/OPERATION?lane=&seq=
import { DurableObject } from "cloudflare:workers";

export class Ledger extends DurableObject {
  constructor(ctx, env) {
    super(ctx, env);
    this.sql = ctx.storage.sql;
    for (const table of ["row", "twin", "armed", "fired"]) this.sql.exec(`CREATE TABLE IF NOT EXISTS ${table} (lane INTEGER, seq INTEGER, pad BLOB)`);
    this.sql.exec("CREATE INDEX IF NOT EXISTS row_by_lane ON row (lane, seq)");
  }

  async fetch(request) {
    const url = new URL(request.url), ask = (name) => Number(url.searchParams.get(name) ?? 0);
    const key = [ask("lane"), ask("seq")];
    switch (url.pathname.split("/")[3]) {
      case "put": {
        const pad = new Uint8Array(ask("bytes"));
        pad.fill(key[1] & 255);
        this.sql.exec("INSERT INTO row VALUES (?, ?, ?)", ...key, pad);
        this.sql.exec("INSERT INTO twin VALUES (?, ?, NULL)", ...key);
        return new Response("ok");
      }
      case "arm": // an alarm: what was armed is to be fired
        this.sql.exec("INSERT INTO armed VALUES (?, ?, NULL)", ...key);
        if ((await this.ctx.storage.getAlarm()) === null) await this.ctx.storage.setAlarm(Date.now() + ask("in"));
        return new Response("ok");
      case "check": return Response.json(this.sql.exec("PRAGMA quick_check").toArray().map((row) => Object.values(row)[0]));
      case "ring": return new Response(this.ring(url.searchParams.get("name"), JSON.parse(url.searchParams.get("lanes"))));
      case "rung":
        this.ring("nobody", []);
        return Response.json(this.sql.exec("SELECT name, lane, max(high) AS high FROM bell GROUP BY name, lane").toArray());
      case "dump": return Response.json({ row: this.lanes("row"), twin: this.lanes("twin"), armed: this.lanes("armed"), fired: this.lanes("fired"), bad: this.badPads(ask("from")) });
    }
    return new Response("no such operation", { status: 404 });
  }

  /* Rings the bell, another agent, for all that is armed; so the alarm can be seen without waking this one. */
  async alarm() {
    const lanes = this.sql.exec("SELECT lane, max(seq) AS high FROM armed GROUP BY lane").toArray();
    await this.env.LEDGER.getByName("bell").fetch(`http://bell/a/bell/ring?name=${this.ctx.id.name}&lanes=${encodeURIComponent(JSON.stringify(lanes))}`);
    for (const { lane, high } of lanes) {
      this.sql.exec("INSERT INTO fired SELECT * FROM armed WHERE lane = ? AND seq <= ?", lane, high);
      this.sql.exec("DELETE FROM armed WHERE lane = ? AND seq <= ?", lane, high);
    }
    if (this.sql.exec("SELECT count(*) AS n FROM armed").one().n > 0) await this.ctx.storage.setAlarm(Date.now() + 20);
  }

  ring(name, lanes) {
    this.sql.exec("CREATE TABLE IF NOT EXISTS bell (name TEXT, lane INTEGER, high INTEGER, PRIMARY KEY (name, lane))");
    for (const { lane, high } of lanes) this.sql.exec("INSERT INTO bell VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET high = max(high, excluded.high)", name, lane, high);
    return "rung";
  }

  /* Per lane: [lane, min, max, count], and the seqs themselves unless they are all of min to max, once each. */
  lanes(table) {
    return this.sql.exec(`SELECT lane, min(seq) AS low, max(seq) AS high, count(*) AS n, count(DISTINCT seq) AS distinct_n FROM ${table} GROUP BY lane`).toArray()
      .map(({ lane, low, high, n, distinct_n }) => n === distinct_n && n === high - low + 1 ? [lane, low, high, n]
        : [lane, low, high, n, this.sql.exec(`SELECT seq FROM ${table} WHERE lane = ? ORDER BY seq`, lane).toArray().map((row) => row.seq)]);
  }

  /* How many rows' bytes, from this lane on, are not those that were written. */
  badPads(from) {
    return this.sql.exec("SELECT count(*) AS n FROM row WHERE lane >= ? AND length(pad) > 0 AND hex(pad) <> replace(hex(zeroblob(length(pad))), '00', printf('%02X', seq & 255))", from).one().n;
  }
}

export default {
  fetch(request, env) {
    const [, kind, name] = new URL(request.url).pathname.split("/");
    return kind === "a" && name ? env.LEDGER.getByName(name).fetch(request) : new Response("ledger");
  },
};
