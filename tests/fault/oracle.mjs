// The oracle: a log of what clients asked and were told, and the check of what agents hold against it.
//
//   const log = new Log();
//   const op = log.invoke("ada", "row");            a key of its own; then exactly one of:
//   op.ok({ ids: [7] }) · op.fail() · op.unknown()   told that it happened · told that it did not · nobody knows
//   check(log, "ada", state)                         → the violations, first one first; [] when all is well
//
// The law: what was told ok is there exactly once, in the order that clients can know of; what failed is not there; what is unknown is there
// at most once; writes of one turn are there together; what anybody has seen or heard of stays. Nothing is there that nobody wrote.
import { appendFileSync } from "node:fs";

/* What an operation of each kind leaves behind: rows, a stored value, an alarm. */
const TRACES = {
  row: { rows: (key) => [key] },
  ws: { rows: (key) => [key] },
  out: { rows: (key) => [key] },
  big: { rows: (key) => [key] },
  careless: { rows: (key) => [key] },
  hasty: { rows: (key) => [key] },
  refuse: { rows: (key) => [key] },
  pair: { rows: (key) => [`${key}<`, `${key}>`] },
  txn: { rows: (key) => [key], kv: true },
  kv: { kv: true },
  alarm: { alarm: true },
  swap: { slot: true },
};
const FOREVER = Infinity;

export class Log {
  constructor({ prefix = "", file } = {}) {
    this.prefix = prefix;
    this.file = file; // every event as a line of JSON, for whoever must understand a violation
    this.agents = new Map(); // name → Map(key → op)
    this.time = 0; // counts events; who came first is all that matters
    this.counts = { ok: 0, fail: 0, unknown: 0 };
  }

  of(agent) {
    if (!this.agents.has(agent)) this.agents.set(agent, new Map());
    return this.agents.get(agent);
  }

  invoke(agent, kind) {
    const op = { key: `${this.prefix}${kind}-${this.time}`, agent, kind, state: "open", invoked: ++this.time, ended: FOREVER, ids: null, isSeen: false, error: null };
    const end = (state, more) => {
      if (op.state !== "open") throw new Error(`${op.key} ended twice: ${op.state}, ${state}`);
      Object.assign(op, { state, ended: state === "ok" ? ++this.time : FOREVER }, more);
      this.counts[state]++;
      this.note({ event: state, key: op.key, ids: op.ids, error: op.error });
    };
    op.ok = ({ ids = null } = {}) => end("ok", { ids });
    op.fail = (error = null) => end("fail", { error });
    op.unknown = (error = null) => end("unknown", { error });
    this.of(agent).set(op.key, op);
    this.note({ event: "invoke", agent, kind, key: op.key });
    return op;
  }

  /* Somebody was shown KEY of AGENT, or heard of it: from now on it has happened. */
  saw(agent, key) {
    const op = this.of(agent).get(key.replace(/[<>]$/, ""));
    if (op) op.isSeen = true;
  }

  /* After a crash and a check: what is there must stay; what is not must not turn up later, when everything that could know of it died (ISFINAL). */
  settle(agent, state, isFinal = true) {
    const there = new Set([...state.rows.map(([, key]) => key.replace(/[<>]$/, "")), ...state.kv.map(([key]) => key), ...state.armed, ...state.fired.map(({ key }) => key), state.slot]);
    for (const op of this.of(agent).values()) {
      if (op.state === "unknown" && op.kind !== "swap" && (isFinal || there.has(op.key))) op.state = there.has(op.key) ? "found" : "absent";
    }
  }

  note(event) {
    if (this.file) appendFileSync(this.file, JSON.stringify({ time: this.time, ...event }) + "\n");
  }
}

const mustBeThere = (op) => op.state === "ok" || op.state === "found" || op.isSeen;
const mustBeAbsent = (op) => op.state === "fail" || op.state === "absent";
const why = (op) => (op.state === "ok" ? "was acknowledged" : op.isSeen ? "was seen" : op.state === "found" ? "was there after the crash before" : op.state === "fail" ? "was refused" : "is unknown");

/* The violations of the law in STATE (a dump of the ledger) of AGENT. */
export function check(log, agent, state) {
  const ops = log.of(agent), found = [];
  const say = (rule, text) => found.push({ rule, agent, text: `${agent}: ${text}` });
  checkTold(ops, state, say);
  checkInvented(ops, state, say);
  checkOrder(ops, state, say);
  checkAlarms(ops, state, say);
  checkSlot([...ops.values()].filter((op) => op.kind === "swap"), state, say);
  if (state.count !== state.rows.length) say("torn", `${state.rows.length} rows, but ${state.count} were counted in the same turns`);
  return found;
}

function tally(keys) {
  const times = new Map();
  for (const key of keys) times.set(key, (times.get(key) ?? 0) + 1);
  return (key) => times.get(key) ?? 0;
}

function checkTold(ops, state, say) {
  const rows = tally(state.rows.map(([, key]) => key)), kv = tally(state.kv.map(([key]) => key));
  const idOf = new Map(state.rows.map(([id, key]) => [key, id]));
  for (const op of ops.values()) {
    const traces = TRACES[op.kind];
    const parts = [...(traces.rows?.(op.key) ?? []).map((key) => [key, rows(key)]), ...(traces.kv ? [[`value of ${op.key}`, kv(op.key)]] : [])];
    for (const [what, times] of parts) {
      if (times > 1) say("twice", `'${what}' is there ${times} times`);
      if (times === 0 && mustBeThere(op)) say("lost", `'${what}' ${why(op)}, and is not there`);
      if (times > 0 && mustBeAbsent(op)) say("undead", `'${what}' ${op.state === "fail" ? "was refused" : "was not there after the crash before"}, and is there`);
    }
    if (parts.length > 1 && new Set(parts.map(([, times]) => times > 0)).size > 1) say("torn", `of '${op.key}' only a part is there`);
    if (op.state === "ok" && op.ids) checkIds(op, idOf, say);
  }
}

function checkIds(op, idOf, say) {
  const keys = TRACES[op.kind].rows(op.key);
  op.ids.forEach((id, i) => {
    const at = idOf.get(keys[i]);
    if (at !== undefined && at !== id) say("moved", `'${keys[i]}' was told to be row ${id} and is row ${at}`);
  });
}

function checkInvented(ops, state, say) {
  const known = new Set();
  for (const op of ops.values()) for (const key of TRACES[op.kind].rows?.(op.key) ?? []) known.add(key);
  for (const [id, key] of state.rows) if (!known.has(key)) say("invented", `row ${id} '${key}' was never written`);
  for (const [key, value] of state.kv) {
    if (!TRACES[ops.get(key)?.kind]?.kv) say("invented", `value '${key}' was never written`);
    else if (value !== key) say("invented", `the value of '${key}' is '${value}'`);
  }
}

/* When one operation had ended before another began, its rows come first. */
function checkOrder(ops, state, say) {
  let latest = null, idBefore = 0;
  for (const [id, key] of state.rows) {
    if (id <= idBefore) say("order", `row ${id} follows row ${idBefore}`);
    idBefore = id;
    const op = ops.get(key.replace(/[<>]$/, ""));
    if (!op) continue;
    if (latest && op.ended < latest.invoked) say("order", `'${key}' was acknowledged before '${latest.key}' was asked for, and comes after it`);
    if (!latest || op.invoked > latest.invoked) latest = op;
  }
}

function checkAlarms(ops, state, say) {
  const armed = tally(state.armed), fired = tally(state.fired.map(({ key }) => key));
  for (const op of ops.values()) {
    if (op.kind !== "alarm") continue;
    const times = armed(op.key) + fired(op.key);
    if (times > 1) say("twice", `alarm '${op.key}' is there ${times} times`);
    if (times === 0 && mustBeThere(op)) say("lost", `alarm '${op.key}' ${why(op)}, and is neither armed nor fired`);
    if (times > 0 && mustBeAbsent(op)) say("undead", `alarm '${op.key}' ${why(op)}, and is there`);
  }
  for (const key of [...state.armed, ...state.fired.map((one) => one.key)]) if (ops.get(key)?.kind !== "alarm") say("invented", `alarm '${key}' was never set`);
  for (const { key, due, at } of state.fired) if (at < due) say("early", `alarm '${key}' fired ${due - at} ms early`);
}

/* One place that each swap writes over: what is there is of a swap that none, known to have happened, came wholly after. */
function checkSlot(swaps, { slot }, say) {
  const there = swaps.find((op) => op.key === slot);
  if (slot !== null && !there) return say("invented", `the slot's '${slot}' was never written`);
  if (there && mustBeAbsent(there)) say("undead", `the slot's '${slot}' ${why(there)}`);
  const newer = swaps.find((op) => mustBeThere(op) && (!there || op.invoked > there.ended));
  if (newer) say("lost", `'${newer.key}' ${why(newer)}, and the slot has ${there ? "the older" : "nothing"}${there ? ` '${slot}'` : ""}`);
}

/* For a STATE from long after the last date: alarms that did not fire. */
export function overdue(log, agent, state) {
  return state.armed.filter((key) => mustBeThere(log.of(agent).get(key) ?? {})).map((key) => ({ rule: "silent", agent, text: `${agent}: alarm '${key}' did not fire` }));
}
