/*
 * storage: ctx.storage: key-value (async and sync), transactions, alarms.
 *
 * Promise: every write is part of the turn's commit; what the natives do is done when they return, so that promises here settle
 * within the turn and nothing else is delivered in between (the input gate).
 */
import { named } from "./base.js";
import { criticalSection } from "./context.js";
import { badArgument, illegalConstructor } from "./errors.js";
import { host } from "./host.js";
import { makeSql } from "./sql.js";

const MADE = Symbol("made");
const CHECK = Symbol("check");             /* [CHECK](name) throws when a transaction is over */
const IFACE = Symbol("interface");         /* the name in error texts */
const KEYS_MAX = 128;                      /* surface spec 3.4 */
const DATE_MAX = 8.64e15;
const PUT_TEXT = "put() may only be called with a single key-value pair and optional options as put(key, value, options) or with " +
  "multiple key-value pairs and optional options as put(entries, options)";

export const BEGIN = 0, COMMIT = 1, ROLLBACK = 2, BEGIN_LONG = 3;

/* What the platform does differently by compatibility date; set by env.js. */
export const rules = { doesDeleteAllDeleteAlarm: true, isFacet: false, deleteFacets: undefined };

/* The alarm that is being handled, if any: getAlarm() hides it, deleteAlarm() stops its retries. Set by agent.js. */
export const alarmTurn = { isRunning: false, scheduledMs: 0, isSet: false, isDeleted: false };

/* What setAlarm() needs to know of the instance; agent.js sets it when the constructor has returned. */
export const instance = { current: undefined };

/* ---- key-value ------------------------------------------------------------------------------------------------------ */

function keyText(key) {
  return typeof key === "string" ? key : `${key}`;
}

function checkCount(count, what) {
  if (count > KEYS_MAX) throw new RangeError(`Maximum number of ${what} is ${KEYS_MAX}.`);
}

function getMany(keys) {
  checkCount(keys.length, "keys");
  const found = new Map();
  /* Ordered by key, as a read of the store is. */
  for (const key of [...new Set(keys.map(keyText))].sort(byBytes)) {
    const value = host.kvGet(key);
    if (value !== undefined) found.set(key, value);
  }
  return found;
}

/* UTF-8 order is code point order; UTF-16 order differs only where surrogates are. */
function byBytes(a, b) {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    const x = a.charCodeAt(i), y = b.charCodeAt(i);
    if (x === y) continue;
    const isHighX = x >= 0xd800 && x <= 0xdfff, isHighY = y >= 0xd800 && y <= 0xdfff;
    if (isHighX !== isHighY) return isHighX ? 1 : -1;
    return x - y;
  }
  return a.length - b.length;
}

function putMany(entries) {
  const keys = Object.keys(entries);
  checkCount(keys.length, "pairs");
  for (const key of keys) {
    const value = entries[key];
    if (value !== undefined) host.kvPut(key, value);
  }
}

function deleteMany(keys) {
  checkCount(keys.length, "keys");
  let count = 0;
  for (const key of keys) if (host.kvDelete(keyText(key))) count++;
  return count;
}

function optionText(value) {
  return value === undefined || value === null ? undefined : `${value}`;
}

function listFlat(options) {
  const start = optionText(options?.start);
  const startAfter = optionText(options?.startAfter);
  if (start !== undefined && startAfter !== undefined)
    throw new TypeError("list() cannot be called with both start and startAfter values.");
  let limit;
  if (options?.limit !== undefined && options.limit !== null) {
    limit = Math.trunc(Number(options.limit)) || 0;
    if (limit <= 0) throw new TypeError("List limit must be positive.");
  }
  return host.kvList(start, startAfter, optionText(options?.end), optionText(options?.prefix), Boolean(options?.reverse), limit);
}

function isList(value) {
  return typeof value === "object" && value !== null && (Array.isArray(value) || typeof value[Symbol.iterator] === "function");
}

/* The operations that storage and a transaction share. */
class Operations {
  get(keys, options) {
    return attempt(() => {
      this[CHECK]("get");
      if (arguments.length === 0) throw badArgument("get", this[IFACE], 1, "string or Array");
      return isList(keys) ? getMany([...keys]) : host.kvGet(keyText(keys));
    });
  }

  list(options) {
    return attempt(() => {
      this[CHECK]("list");
      const flat = listFlat(options);
      const found = new Map();
      for (let i = 0; i < flat.length; i += 2) found.set(flat[i], flat[i + 1]);
      return found;
    });
  }

  put(key, value, options) {
    return attempt(() => {
      this[CHECK]("put");
      if (arguments.length === 0) throw badArgument("put", this[IFACE], 1, "string or object");
      if (typeof key === "object" && key !== null) {
        if (value !== undefined && (typeof value !== "object" || value === null)) throw new TypeError(PUT_TEXT);
        putMany(key);
        return;
      }
      if (value === undefined) throw new TypeError("put() called with undefined value.");
      host.kvPut(keyText(key), value);
    });
  }

  delete(keys, options) {
    return attempt(() => {
      this[CHECK]("delete");
      if (arguments.length === 0) throw badArgument("delete", this[IFACE], 1, "string or Array");
      return isList(keys) ? deleteMany([...keys]) : host.kvDelete(keyText(keys));
    });
  }

  getAlarm(options) {
    return attempt(() => {
      this[CHECK]("getAlarm");
      const due = host.alarmGet() ?? null;
      return alarmTurn.isRunning && !alarmTurn.isSet ? null : due;
    });
  }

  setAlarm(time, options) {
    return attempt(() => {
      this[CHECK]("setAlarm");
      if (rules.isFacet) throw new Error("Facets currently cannot set alarms.");
      const due = alarmTime(time, this[IFACE]);
      if (instance.current !== undefined && typeof instance.current.alarm !== "function")
        throw new TypeError("Your Durable Object class must have an alarm() handler in order to call setAlarm()");
      host.alarmSet(Math.max(due, host.now()));
      alarmTurn.isSet = true;
      alarmTurn.isDeleted = false;
    });
  }

  deleteAlarm(options) {
    return attempt(() => {
      this[CHECK]("deleteAlarm");
      host.alarmSet(null);
      alarmTurn.isSet = false;
      alarmTurn.isDeleted = true;
    });
  }
}

/* A promise of what ACTION returns or throws. */
function attempt(action) {
  try {
    return Promise.resolve(action());
  } catch (error) {
    return Promise.reject(error);
  }
}

function alarmTime(time, iface) {
  const isDate = time instanceof Date;
  if (!isDate && typeof time !== "number") throw badArgument("setAlarm", iface, 1, "date");
  const ms = Math.trunc(Number(time));
  if (!(Math.abs(ms) <= DATE_MAX)) throw new TypeError("The value cannot be converted because it is not a valid Date.");
  if (ms <= 0) throw new TypeError("setAlarm() cannot be called with an alarm time <= 0");
  return ms;
}

/* ---- transactions ---------------------------------------------------------------------------------------------------- */

let checkOpen;
let finishTxn;

export class DurableObjectTransaction {
  #state = "open";

  constructor(made) {
    if (made !== MADE) throw illegalConstructor();
  }

  deleteAll() {
    throw new Error("Cannot call deleteAll() within a transaction");
  }

  rollback() {
    if (this.#state === "rolled back") return;
    this[CHECK]("rollback");
    host.txn(ROLLBACK);
    this.#state = "rolled back";
  }

  static {
    checkOpen = (txn, name) => {
      if (txn.#state === "rolled back") throw new Error(`Cannot ${name}() on rolled back transaction`);
      if (txn.#state !== "open")
        throw new Error(`Cannot call ${name}() on transaction that has already committed: did you move \`txn\` outside of the closure?`);
    };
    finishTxn = (txn, operation) => {
      if (txn.#state !== "open") return;
      txn.#state = operation === COMMIT ? "committed" : "rolled back";
      host.txn(operation);
    };
  }
}

async function runTransaction(callback) {
  host.txn(BEGIN_LONG);
  const txn = new DurableObjectTransaction(MADE);
  try {
    const value = await callback(txn);
    finishTxn(txn, COMMIT);
    return { value };
  } catch (error) {
    finishTxn(txn, ROLLBACK);
    return { error, isError: true };
  }
}

/* ---- the two stores -------------------------------------------------------------------------------------------------- */

class KvListIterator {
  #flat;
  #at = 0;

  constructor(flat) {
    this.#flat = flat;
  }

  next() {
    const at = this.#at;
    if (at >= this.#flat.length) return { done: true, value: undefined };
    this.#at = at + 2;
    return { done: false, value: [this.#flat[at], this.#flat[at + 1]] };
  }
}
Object.defineProperty(KvListIterator, "name", { value: "ListIterator" });
Object.setPrototypeOf(KvListIterator.prototype, Object.getPrototypeOf(Object.getPrototypeOf([][Symbol.iterator]())));

export class SyncKvStorage {
  constructor(made) {
    if (made !== MADE) throw illegalConstructor();
  }

  get(key) {
    if (arguments.length === 0) throw badArgument("get", "SyncKvStorage", 1, "string");
    return host.kvGet(keyText(key));
  }

  list(options) {
    return new KvListIterator(listFlat(options));
  }

  put(key, value) {
    if (arguments.length < 2) throw badArgument("put", "SyncKvStorage", arguments.length + 1, arguments.length ? "Value" : "string");
    host.kvPut(keyText(key), value);
  }

  delete(key) {
    if (arguments.length === 0) throw badArgument("delete", "SyncKvStorage", 1, "string");
    return host.kvDelete(keyText(key));
  }
}
named(SyncKvStorage, "SyncKvStorage");

const syncs = new Map();
let lastSync = 0;
const asked = new Map();                   /* number → {resolve, reject} of a snapshot or restore */
let lastAsked = 0;

function ask(start) {
  return new Promise((resolve, reject) => {
    start(++lastAsked);
    asked.set(lastAsked, { resolve, reject });
  });
}

/* A snapshot was taken (TEXT: its id), or it, or a restore, cannot be. */
export function onSnapshot(number, isFailure, text) {
  const waiting = asked.get(number);
  asked.delete(number);
  if (isFailure) waiting?.reject(new Error(text));
  else waiting?.resolve(text);
}

/* This heap goes on elsewhere or later: what it had written is durable, what it had asked for is answered to another. */
export function forgetStorage(error) {
  for (const request of [...syncs.keys()]) onSynced(request);
  for (const { reject } of asked.values()) reject(error);
  asked.clear();
  Object.assign(alarmTurn, { isRunning: false, isSet: false, isDeleted: false });
}

export function onSynced(request) {
  const resolve = syncs.get(request);
  syncs.delete(request);
  resolve?.();
}

export class DurableObjectStorage {
  constructor(made) {
    if (made !== MADE) throw illegalConstructor();
    this.kv = new SyncKvStorage(MADE);
    this.sql = makeSql();
  }

  deleteAll(options) {
    return attempt(() => {
      host.deleteAll(rules.doesDeleteAllDeleteAlarm);
      const facetsGone = rules.deleteFacets?.();
      if (rules.doesDeleteAllDeleteAlarm) {
        alarmTurn.isSet = false;
        alarmTurn.isDeleted = true;
      }
      return facetsGone;
    });
  }

  transaction(callback, options) {
    if (typeof callback !== "function") return Promise.reject(badArgument("transaction", "DurableObjectStorage", 1, "function"));
    return attempt(() => criticalSection(() => runTransaction(callback), false)).then((result) => {
      if (result.isError) throw result.error;
      return result.value;
    });
  }

  sync() {
    return new Promise((resolve) => {
      syncs.set(++lastSync, resolve);
      host.sync(lastSync);
    });
  }

  transactionSync(callback) {
    if (typeof callback !== "function") throw badArgument("transactionSync", "DurableObjectStorage", 1, "function");
    host.txn(BEGIN);
    let value;
    try {
      value = callback();
    } catch (error) {
      host.txn(ROLLBACK);
      throw error;
    }
    host.txn(COMMIT);
    return value;
  }

  getCurrentBookmark() {
    return attempt(() => host.bookmark());
  }

  getBookmarkForTime(time) {
    return attempt(() => {
      if (arguments.length === 0) throw badArgument("getBookmarkForTime", this[IFACE], 1, "Date or number");
      return host.bookmarkForTime(Number(time));
    });
  }

  onNextSessionRestoreBookmark(bookmark) {
    return attempt(() => {
      if (arguments.length === 0) throw badArgument("onNextSessionRestoreBookmark", this[IFACE], 1, "string");
      return host.bookmarkRestore(`${bookmark}`);
    });
  }

  /* Dormouse's own: docs/storage.md, snapshots. */
  snapshot(options) {
    const name = options?.name;
    return ask((number) => host.snapshot(number, options?.heap !== false, name === undefined ? undefined : `${name}`));
  }

  snapshots() {
    return attempt(() => JSON.parse(host.snapshots()).map(([id, name, ms, bytes, heap]) => ({
      id, name: name === "" ? undefined : name, time: new Date(ms), bytes, heap,
    })));
  }

  restore(snapshot) {
    if (arguments.length === 0) return Promise.reject(badArgument("restore", this[IFACE], 1, "string"));
    return ask((number) => host.snapshotRestore(number, `${snapshot}`));
  }

  deleteSnapshot(snapshot) {
    return attempt(() => {
      if (arguments.length === 0) throw badArgument("deleteSnapshot", this[IFACE], 1, "string");
      host.snapshotForget(`${snapshot}`);
    });
  }
}

/* Both classes have the shared operations as members of their own, as the platform's have. */
for (const [klass, iface] of [[DurableObjectStorage, "DurableObjectStorage"], [DurableObjectTransaction, "DurableObjectTransaction"]]) {
  for (const name of Object.getOwnPropertyNames(Operations.prototype)) {
    if (name !== "constructor") Object.defineProperty(klass.prototype, name, Object.getOwnPropertyDescriptor(Operations.prototype, name));
  }
  Object.defineProperty(klass.prototype, IFACE, { value: iface });
  named(klass, iface);
}
Object.defineProperty(DurableObjectStorage.prototype, CHECK, { value() {} });
Object.defineProperty(DurableObjectTransaction.prototype, CHECK, {
  value(name) {
    checkOpen(this, name);
  },
});

export function makeStorage() {
  return new DurableObjectStorage(MADE);
}
