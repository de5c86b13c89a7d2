// Alarms: setting, reading, overwriting, firing, retrying. Nothing here tells a time; far times stand for "not yet".
import { CaseObject, caughtAsync, oracle } from "../suite.mjs";

const FAR = 4_000_000_000_000;

const inside = {
  "no alarm at first": ({ storage }) => storage.getAlarm(),
  "set and get": async ({ storage }) => { await storage.setAlarm(FAR); return storage.getAlarm(); },
  "set with a Date": async ({ storage }) => { await storage.setAlarm(new Date(FAR)); return storage.getAlarm(); },
  "set overwrites": async ({ storage }) => { await storage.setAlarm(FAR); await storage.setAlarm(FAR + 5); return storage.getAlarm(); },
  "set is seen before it is awaited": ({ storage }) => { storage.setAlarm(FAR); return storage.getAlarm(); },
  "fractions of a millisecond": async ({ storage }) => { await storage.setAlarm(FAR + 0.7); return storage.getAlarm(); },
  "delete": async ({ storage }) => { await storage.setAlarm(FAR); const done = await storage.deleteAlarm(); return [done, await storage.getAlarm()]; },
  "delete of none": ({ storage }) => storage.deleteAlarm(),
  "set to zero": ({ storage }) => caughtAsync(() => storage.setAlarm(0)),
  "set to a negative time": ({ storage }) => caughtAsync(() => storage.setAlarm(-5)),
  "set to NaN": ({ storage }) => caughtAsync(() => storage.setAlarm(NaN)),
  "set to an invalid date": ({ storage }) => caughtAsync(() => storage.setAlarm(new Date(NaN))),
  "set to text": ({ storage }) => caughtAsync(() => storage.setAlarm("soon")),
  "set without a time": ({ storage }) => caughtAsync(() => storage.setAlarm()),
  "set in a class without alarm()": (ctx, env) => env.MuteAlarmObject.getByName("mute").trySet(),
  "deleteAll takes the alarm along": async ({ storage }) => { await storage.setAlarm(FAR); await storage.deleteAll(); return storage.getAlarm(); },
  "alarm in a transaction that commits": async ({ storage }) => { storage.transactionSync(() => { storage.setAlarm(FAR); }); return storage.getAlarm(); },
  "options are accepted": async ({ storage }) => { await storage.setAlarm(FAR, { allowUnconfirmed: true, allowConcurrency: true }); return storage.getAlarm({ allowConcurrency: true }); },
};

const fire = (env, name) => env.AlarmObject.getByName(name);

const outside = {
  "fires at once when the time is past": (env) => fire(env, "past").run(["note"]),
  "what alarm() is given": (env) => fire(env, "info").run(["info"]),
  "getAlarm inside alarm()": (env) => fire(env, "inside").run(["get"]),
  "setting the next one inside alarm()": (env) => fire(env, "next").run(["again", "note"]),
  "ctx.id.name inside alarm()": (env) => fire(env, "named").run(["name"]),
  "getAlarm after alarm() is null": async (env) => { const stub = fire(env, "after"); await stub.run(["note"]); return stub.due(); },
  "a throw is retried, with its count": (env) => fire(env, "retry").run(["throw", "info"]),
  "a rejected promise is retried": (env) => fire(env, "reject").run(["reject", "info"]),
  "what alarm() wrote before it threw stays": (env) => fire(env, "wrote").run(["writeThrow", "read"]),
  "a new alarm set before the throw is kept for later": async (env) => { const stub = fire(env, "set and throw"); await stub.run(["farThrow"]); return stub.due(); },
  "deleteAlarm inside alarm()": async (env) => { const stub = fire(env, "deletes"); const seen = await stub.run(["deleteInside"]); return [seen, await stub.due()]; },
  "a fetch runs while alarm() waits": async (env) => fire(env, "meanwhile").meanwhile(),
};

export class AlarmObject extends CaseObject {
  cases = inside;
  seen = [];

  /* Arms an alarm in the past and resolves when every planned step has run. */
  async run(plan) {
    this.plan = [...plan];
    this.finished = new Promise((resolve) => { this.finish = resolve; });
    await this.ctx.storage.setAlarm(1);
    await this.finished;
    return this.seen;
  }

  due() { return this.ctx.storage.getAlarm(); }

  async alarm(info) {
    const step = this.plan?.shift();
    const last = () => { if (this.plan.length === 0) this.finish(); };
    try {
      await this[`step_${step}`]?.(info);
    } finally {
      last();
    }
  }

  step_note() { this.seen.push("fired"); }
  step_info(info) { this.seen.push({ keys: Object.keys(info).sort(), isRetry: info.isRetry, retryCount: info.retryCount, isTime: typeof info.scheduledTime }); }
  async step_get() { this.seen.push(await this.ctx.storage.getAlarm()); }
  async step_again() { this.seen.push("first"); await this.ctx.storage.setAlarm(1); }
  step_name() { this.seen.push(this.ctx.id.name); }
  step_throw() { this.seen.push("throws"); throw new Error("alarm failed on purpose"); }
  step_reject() { this.seen.push("rejects"); return Promise.reject(new Error("alarm failed on purpose")); }
  step_writeThrow() { this.ctx.storage.kv.put("k", "kept"); throw new Error("alarm failed on purpose"); }
  step_read() { this.seen.push(this.ctx.storage.kv.get("k")); }
  async step_farThrow() { await this.ctx.storage.setAlarm(FAR); throw new Error("alarm failed on purpose"); }
  async step_deleteInside() { this.seen.push(await this.ctx.storage.deleteAlarm()); }

  async meanwhile() {
    this.plan = ["wait"];
    this.finished = new Promise((resolve) => { this.finish = resolve; });
    const started = new Promise((resolve) => { this.step_wait = () => { resolve(); return new Promise((done) => { this.release = done; }); }; });
    await this.ctx.storage.setAlarm(1);
    await started;
    const self = this.env.AlarmObject.getByName("meanwhile");
    const order = ["alarm waits", await self.hello()];
    this.release();
    await this.finished;
    return [...order, "alarm done"];
  }
  hello() { return "hello"; }
}

export class MuteAlarmObject extends CaseObject {
  trySet() { return caughtText(() => this.ctx.storage.setAlarm(FAR)); }
}

const caughtText = async (fn) => { try { await fn(); return "accepted"; } catch (error) { return `${error.name}: ${error.message}`; } };

export default oracle({ inside, object: "AlarmObject", outside });
