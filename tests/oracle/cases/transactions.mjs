// transactionSync, transaction, and the implicit transaction of a turn: what a throw or a reset takes back.
import { CaseObject, caught, caughtAsync, oracle } from "../suite.mjs";

const setup = ({ storage }) => storage.sql.exec("CREATE TABLE IF NOT EXISTS t(v)");
const add = ({ storage }, v) => storage.sql.exec("INSERT INTO t VALUES(?)", v);
const all = ({ storage }) => storage.sql.exec("SELECT v FROM t ORDER BY rowid").toArray().map((row) => row.v);

const inside = {
  "transactionSync returns the value": (ctx) => ctx.storage.transactionSync(() => 42),
  "transactionSync commits": (ctx) => { setup(ctx); ctx.storage.transactionSync(() => { add(ctx, 1); add(ctx, 2); }); return all(ctx); },
  "transactionSync rolls back on a throw": (ctx) => { setup(ctx); const e = caught(() => ctx.storage.transactionSync(() => { add(ctx, 1); throw new RangeError("no"); })); return [e, all(ctx)]; },
  "transactionSync rolls back kv": (ctx) => { caught(() => ctx.storage.transactionSync(() => { ctx.storage.kv.put("k", 1); throw new Error("no"); })); return ctx.storage.kv.get("k"); },
  "transactionSync nests": (ctx) => { setup(ctx); ctx.storage.transactionSync(() => { add(ctx, 1); caught(() => ctx.storage.transactionSync(() => { add(ctx, 2); throw new Error("inner"); })); add(ctx, 3); }); return all(ctx); },
  "outer throw takes the inner one along": (ctx) => { setup(ctx); caught(() => ctx.storage.transactionSync(() => { ctx.storage.transactionSync(() => add(ctx, 1)); throw new Error("outer"); })); return all(ctx); },
  "transactionSync of an async function": (ctx) => { setup(ctx); return caught(() => ctx.storage.transactionSync(async () => add(ctx, 1)) instanceof Promise); },
  "transactionSync without a function": (ctx) => caught(() => ctx.storage.transactionSync()),
  "a failed statement does not end the transaction": (ctx) => { setup(ctx); ctx.storage.transactionSync(() => { add(ctx, 1); caught(() => ctx.storage.sql.exec("SELEC")); add(ctx, 2); }); return all(ctx); },
  "BEGIN inside transactionSync": (ctx) => ctx.storage.transactionSync(() => caught(() => ctx.storage.sql.exec("BEGIN"))),
  "create table rolls back": (ctx) => { caught(() => ctx.storage.transactionSync(() => { ctx.storage.sql.exec("CREATE TABLE x(a)"); throw new Error("no"); })); return ctx.storage.sql.exec("SELECT count(*) AS n FROM sqlite_master WHERE name = 'x'").one(); },
  "an alarm rolls back": async (ctx) => { caught(() => ctx.storage.transactionSync(() => { ctx.storage.setAlarm(4e12); throw new Error("no"); })); return ctx.storage.getAlarm(); },
  "a cursor from before the transaction": (ctx) => { setup(ctx); add(ctx, 1); add(ctx, 2); const c = ctx.storage.sql.exec("SELECT v FROM t"); c.next(); ctx.storage.transactionSync(() => add(ctx, 3)); return caught(() => c.toArray()); },
  "transaction returns the value": (ctx) => ctx.storage.transaction(async () => 42),
  "transaction commits": async (ctx) => { await ctx.storage.transaction(async (txn) => { await txn.put("a", 1); await txn.put("b", 2); }); return ctx.storage.list(); },
  "transaction rolls back on a throw": async (ctx) => { const e = await caughtAsync(() => ctx.storage.transaction(async (txn) => { await txn.put("a", 1); throw new TypeError("no"); })); return [e, await ctx.storage.list()]; },
  "transaction.rollback": async (ctx) => { await ctx.storage.transaction(async (txn) => { await txn.put("a", 1); txn.rollback(); }); return ctx.storage.list(); },
  "use after rollback": (ctx) => ctx.storage.transaction(async (txn) => { txn.rollback(); return caughtAsync(() => txn.put("a", 1)); }),
  "transaction across an await": async (ctx) => { setup(ctx); await caughtAsync(() => ctx.storage.transaction(async () => { add(ctx, 1); await Promise.resolve(); add(ctx, 2); throw new Error("no"); })); return all(ctx); },
  "sql inside a transaction": async (ctx) => { setup(ctx); await ctx.storage.transaction(async () => { add(ctx, 1); }); return all(ctx); },
  "nested transactions": async (ctx) => { setup(ctx); await ctx.storage.transaction(async () => { add(ctx, 1); await caughtAsync(() => ctx.storage.transaction(async () => { add(ctx, 2); throw new Error("no"); })); }); return all(ctx); },
  "two transactions at once run one by one": async (ctx) => { const order = []; const run = (name) => ctx.storage.transaction(async () => { order.push(`${name} in`); await Promise.resolve(); await Promise.resolve(); order.push(`${name} out`); }); await Promise.all([run("a"), run("b")]); return order; },
  "transaction reads its own writes": (ctx) => ctx.storage.transaction(async (txn) => { await txn.put("a", 1); return [await txn.get("a"), await txn.list(), await txn.delete("a"), await txn.get("a")]; }),
  "a throw without a transaction keeps what was written": async (ctx) => { setup(ctx); await caughtAsync(async () => { add(ctx, 1); throw new Error("no"); }); return all(ctx); },
};

const outside = {
  "a handler that throws keeps what it wrote": async (env) => { const stub = env.TxnObject.getByName("throws"); const e = await caughtAsync(() => stub.writeThenThrow("kept")); return [e, await stub.all()]; },
  "abort takes back what the turn wrote": async (env) => { const ns = env.TxnObject; await ns.getByName("aborts").write("before"); const e = await caughtAsync(() => ns.getByName("aborts").writeThenAbort("lost")); return [e, await ns.getByName("aborts").all()]; },
  "abort after an await keeps the earlier turn": async (env) => { const ns = env.TxnObject; const e = await caughtAsync(() => ns.getByName("aborts later").writeSyncAbort("kept")); return [e, await ns.getByName("aborts later").all()]; },
  "a throwing constructor takes back what it wrote": async (env) => { const ns = env.FussyTxnObject; const first = await caughtAsync(() => ns.getByName("fussy").count()); const second = await caughtAsync(() => ns.getByName("fussy").count()); return [first, second]; },
};

export class TxnObject extends CaseObject {
  cases = inside;
  all() { setup(this.ctx); return all(this.ctx); }
  write(v) { setup(this.ctx); add(this.ctx, v); }
  writeThenThrow(v) { this.write(v); throw new Error("after the write"); }
  writeThenAbort(v) { this.write(v); this.ctx.abort("aborted on purpose"); }
  async writeSyncAbort(v) { this.write(v); await this.ctx.storage.sync(); this.write("lost"); this.ctx.abort("aborted later"); }
}

// Its constructor writes a row and throws; whether the row stays shows in the next one's message.
export class FussyTxnObject extends CaseObject {
  constructor(ctx, env) {
    super(ctx, env);
    setup(ctx);
    add(ctx, 1);
    throw new Error(`constructed over ${all(ctx).length} rows`);
  }
  count() { return all(this.ctx).length; }
}

export default oracle({ inside, object: "TxnObject", outside });
