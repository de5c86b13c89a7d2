// Fragments of programs that use their database. What leaves a trail goes through p.trail().
import { add, bytesOf, pause, pick, short, told, word } from "./lib.js";

// An asynchronous transaction of keys without a trail; whoever leaves a trail meanwhile does not.
async function transaction(p, work) {
  if (p.isBusy) return "busy";
  p.isBusy = true;
  try { return await p.ctx.storage.transaction(work); } catch (e) { return told(e); } finally { p.isBusy = false; }
}

add({
  trailKv: (p, r) => p.trail(["kv", "k" + r(9), word(r)]),
  trailPut: (p, r) => p.trail(["put", "k" + r(9), { n: r(100), s: word(r) }]),
  trailDelete: (p, r) => p.trail(["del", "k" + r(9)]),
  trailRow: (p, r) => p.trail(["row", r(30), word(r).repeat(1 + r(20))]),
  trailMany: (p, r) => p.trail(...Array.from({ length: 2 + r(6) }, () => ["row", r(30), word(r)]), ["kv", "many", r(99)]),
  trailUpdate: (p, r) => p.trail(["add", r(4), word(r)], ["drop", r(30)]),
  trailGreeting: (p, r) => p.trail(["kv", "greeting", word(r)]),
  trailThenWait: async (p, r) => { const a = p.trail(["kv", "before", r(99)]); await pause(r(300)); return `${a} ${p.trail(["kv", "after", r(99)])}`; },
  trailThenFetch: async (p, r) => { p.trail(["kv", "asking", r(99)]); const x = await (await fetch(`http://out/w/${r(9)}`)).text(); return p.trail(["kv", "asked", x.length]); },
  rolledBack: (p, r) => {
    const { k, h } = p;
    try { p.ctx.storage.transactionSync(() => { p.trail(["row", r(30), "never"], ["kv", "never", 1]); throw new Error("back"); }); } catch (e) { [p.k, p.h] = [k, h]; return told(e); }
  },
  nestedTransaction: (p, r) => p.ctx.storage.transactionSync(() => {
    const { k, h } = p;
    try { p.ctx.storage.transactionSync(() => { p.trail(["row", r(30), "inner"]); if (r(2)) throw new Error("inner"); }); } catch { [p.k, p.h] = [k, h]; }
    return p.trail(["row", r(30), "outer"]);
  }),
  transactionAwaits: (p, r) => transaction(p, async (tx) => { const n = (await tx.get("x:n")) ?? 0; await tx.put("x:n", n + 1); await pause(r(400)); await tx.put("x:m", n); return n; }),
  transactionFetches: (p, r) => transaction(p, async (tx) => { await tx.put("x:f", r(9)); const t = await (await fetch("http://out/w/3")).text(); await tx.put("x:t", t); return t.length; }),
  transactionRolledBack: (p, r) => transaction(p, async (tx) => { await tx.put("x:n", -1); await pause(r(100)); tx.rollback(); return "rolled back"; }),
  transactionThrows: (p, r) => transaction(p, async (tx) => { await tx.put("x:n", -2); await pause(r(100)); throw new Error("out of it"); }),
  get: async (p, r) => JSON.stringify(await p.ctx.storage.get("t:k" + r(9))),
  getMany: async (p) => short(JSON.stringify([...(await p.ctx.storage.list({ prefix: "t:k", limit: 5, reverse: true }))])),
  putMany: async (p, r) => { await p.ctx.storage.put({ "y:a": new Map([[r(9), bytesOf(word(r))]]), "y:b": new Date(r(1e9)), "y:c": [1n, undefined, /x/g] }); const m = await p.ctx.storage.get(["y:a", "y:b", "y:c"]); return `${[...m.get("y:a").keys()]} ${m.get("y:b").toJSON()} ${m.get("y:c")}`; },
  deleteMany: async (p) => p.ctx.storage.delete(["y:a", "y:b", "z"]),
  sync: async (p, r) => { const k = p.trail(["kv", "synced", r(99)]); await p.ctx.storage.sync(); return `${k} ${p.k}`; },
  rows: (p) => short(p.ctx.storage.sql.exec("SELECT id, text FROM rows ORDER BY id").raw().toArray().join()),
  // Every later answer reads on in it (index.js). Of rows that nobody changes: what is written behind a cursor is not seen any more once its agent
  // went to disk (core.md).
  cursorKept: (p, r) => {
    const { sql } = p.ctx.storage;
    if (!p.mayRead) return "-";
    sql.exec("SELECT n FROM trail").next();
    p.w.cursor = sql.exec("WITH RECURSIVE n (i) AS (SELECT ? UNION ALL SELECT i + 1 FROM n LIMIT ?) SELECT i, printf('%.*c', i % 9, 'x') AS x, i AS __proto__ FROM n", r(99), 2 + r(9));
    p.w.ended = sql.exec("SELECT 1 AS one, 2 AS two LIMIT ?", r(2));
    return p.w.ended.toArray().length;
  },
  cursorWaits: async (p, r) => {
    if (!p.mayRead) return "-";
    const c = p.ctx.storage.sql.exec("SELECT n, op FROM trail ORDER BY n"), seen = [];
    p.w.reading++;
    try { for (let i = 0; i < 3; i++) { const { done, value } = c.next(); seen.push(done ? "end" : value.n); if (i < 2) await pause(r(300)); } } finally { p.w.reading--; }
    return `${seen} ${c.columnNames}`;
  },
  cursorDone: (p) => { const c = p.ctx.storage.sql.exec("SELECT count(*) AS n, max(n) AS last FROM trail"); const { n } = c.one(); return `${n} ${c.rowsRead} ${c.rowsWritten} ${c.columnNames}`; },
  cursorRaw: (p, r) => { const it = p.ctx.storage.sql.exec("SELECT id, length(text) FROM rows WHERE id > ? ORDER BY id", r(15)).raw(); const first = it.next(); return `${first.value ?? "-"} ${[...it].length}`; },
  sqlError: (p, r) => { try { p.ctx.storage.sql.exec("INSERT INTO nowhere VALUES (?)", r(9)); } catch (e) { return told(e); } },
  sqlTypes: (p, r) => JSON.stringify(p.ctx.storage.sql.exec("SELECT ? AS a, ? AS b, typeof(?) AS c, json_array(1, ?) AS d, ? AS e", r(9), word(r), null, "x", r(100) / 7).one()),
  sqlBlob: (p, r) => { const b = p.ctx.storage.sql.exec("SELECT ? AS b", new Uint8Array([r(9), 2, 3])).one().b; p.w.blobs = [...(p.w.blobs ?? []), b].slice(-3); return p.w.blobs.map((x) => new Uint8Array(x)).join(";"); },
  sqlTable: (p, r) => { p.ctx.storage.sql.exec(`CREATE TABLE IF NOT EXISTS extra${r(3)} (a, b); CREATE INDEX IF NOT EXISTS extra_i ON rows (text)`); return p.ctx.storage.sql.exec("SELECT count(*) AS n FROM sqlite_master").one().n; },
  sqlTemporary: (p, r) => { const { sql } = p.ctx.storage; sql.exec("INSERT INTO rows SELECT 1000 + ?, 'x' WHERE NOT EXISTS (SELECT 1 FROM rows WHERE id = 1000 + ?)", r(2), 5); return sql.exec("DELETE FROM rows WHERE id >= 1000").rowsWritten; },
  size: (p) => p.ctx.storage.sql.databaseSize > 4096,
  alarmSet: async (p, r) => { await p.ctx.storage.setAlarm(Date.now() + r(8000)); return r(8); },
  alarmDelete: async (p, r) => { const was = await p.ctx.storage.getAlarm(); if (r(2)) await p.ctx.storage.deleteAlarm(); return `${was} ${await p.ctx.storage.getAlarm()}`; },
  large: (p, r) => { const v = "v".repeat(r(9) ? 900 : 6000 + r(9000)); p.trail(["kv", "large", v]); return p.ctx.storage.kv.get("t:large").length; },
});
