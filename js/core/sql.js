/*
 * sql: ctx.storage.sql: exec() and its cursors.
 *
 * Promise: rows come from the database as they are asked for; shapes, prototypes and texts are workerd's.
 */
import { named } from "./base.js";
import { badArgument, illegalConstructor } from "./errors.js";
import { host } from "./host.js";

const MADE = Symbol("made");
const IteratorPrototype = Object.getPrototypeOf(Object.getPrototypeOf([][Symbol.iterator]()));
const END = Object.freeze({ done: true, value: undefined });

const ILLEGAL_INVOCATION_TEXT = "Illegal invocation: function called with incorrect `this` reference. See " +
  "https://developers.cloudflare.com/workers/observability/errors/#illegal-invocation-errors for details.";

const defineProperty = Object.defineProperty;
const WeakReference = WeakRef;

let nextOf;
let restOf;
let keepOf;

/* The newest cursors, as many as the host knows, until the agent has nothing to do: then who else holds them tells which are needed. An array of
 * the template's would live for ever, and all in it. */
const RECENT_MAX = 128;                    /* the host's CURSORS_MAX */
let recent;
let recentCount = 0;

export class Cursor {
  #id;
  #isDone = false;
  #names;
  #kept;                                   /* what the host gave it to keep: names, stats, rows from `at` on, hasMore, failure */

  constructor(made, id) {
    if (made !== MADE) throw illegalConstructor();
    this.#id = id;
  }

  next() {
    const row = this.#step(false);
    return row === undefined ? { done: true, value: undefined } : { done: false, value: row };
  }

  toArray() {
    return restOf(this, false);
  }

  one() {
    if (this.#isDone) throw new Error("Expected exactly one result from SQL query, but got no results.");
    if (this.#kept !== undefined) return this.#oneKept();
    this.#isDone = true;
    return host.sqlOne(this.#id);
  }

  raw() {
    return new RawIterator(this);
  }

  get columnNames() {
    return (this.#names ??= this.#kept?.names ?? host.sqlNames(this.#id));
  }

  get rowsRead() {
    return this.#stats()[0];
  }

  get rowsWritten() {
    return this.#stats()[1];
  }

  [Symbol.iterator]() {
    return new RowIterator(this);
  }

  #stats() {
    const kept = this.#kept;
    return kept === undefined || kept.hasMore ? host.sqlStats(this.#id) : kept.stats;
  }

  #step(isRaw) {
    if (this.#isDone) return undefined;
    const row = this.#kept === undefined ? host.sqlNext(this.#id, isRaw) : this.#stepKept(isRaw);
    if (row === undefined) this.#isDone = true;
    return row;
  }

  #stepKept(isRaw) {
    const kept = this.#kept;
    if (kept.at === kept.rows.length) {
      if (kept.failure !== undefined) throw new Error(kept.failure);
      return kept.hasMore ? host.sqlNext(this.#id, isRaw) : undefined;
    }
    const row = kept.rows[kept.at];
    kept.rows[kept.at++] = undefined;
    return isRaw ? row : toObject(kept.names, row);
  }

  #oneKept() {
    const row = this.#step(false);
    if (row === undefined) throw new Error("Expected exactly one result from SQL query, but got no results.");
    if (this.#step(false) !== undefined) {
      this.#isDone = true;
      throw new Error("Expected exactly one result from SQL query, but got multiple results.");
    }
    return row;
  }

  /* Whether nothing of it is the host's any more. */
  #keep(bytesMax) {
    const kept = this.#kept;
    if (kept !== undefined && !kept.hasMore) return true;
    const told = host.sqlKeep(this.#id, kept !== undefined && kept.at < kept.rows.length ? 0 : bytesMax);
    if (told === undefined) return true;
    if (told === false) return false;
    this.#kept = { names: told[0], stats: told[1], rows: told[2], at: 0, hasMore: told[3], failure: told[4] };
    return !told[3];
  }

  static {
    nextOf = (cursor, isRaw) => cursor.#step(isRaw);
    restOf = (cursor, isRaw) => {
      if (cursor.#isDone) return [];
      if (cursor.#kept !== undefined) return restKept(cursor, isRaw);
      cursor.#isDone = true;
      return host.sqlAll(cursor.#id, isRaw);
    };
    keepOf = (cursor, bytesMax) => cursor.#keep(bytesMax);
  }
}
named(Cursor, "Cursor");

function restKept(cursor, isRaw) {
  const rows = [];
  for (let row = nextOf(cursor, isRaw); row !== undefined; row = nextOf(cursor, isRaw)) rows[rows.length] = row;
  return rows;
}

function toObject(names, row) {
  const object = {};
  for (let i = 0; i < row.length; i++) defineProperty(object, names[i], { __proto__: null, value: row[i], writable: true, enumerable: true, configurable: true });
  return object;
}

function remember(cursor) {
  (recent ??= [])[recentCount++ % RECENT_MAX] = cursor;
}

/* Takes `recent`: what nobody else holds is collected at once. */
function takeRecent() {
  const refs = [];
  for (let i = 0; recent !== undefined && i < recent.length; i++) refs[i] = new WeakReference(recent[i]);
  recent = undefined;
  recentCount = 0;
  return refs;
}

/* The agent has nothing to do. Cursors that ended are told what may still be asked of them; from those with rows left BYTESMAX of rows are taken,
 * 0: they stay open. The host closes those that it is not asked of. */
export function onCursors(bytesMax) {
  const refs = takeRecent();
  for (let i = 0; i < refs.length; i++) {
    const cursor = refs[i].deref();
    if (cursor !== undefined && !keepOf(cursor, bytesMax)) remember(cursor);
  }
}

class RowIterator {
  #cursor;

  constructor(cursor) {
    this.#cursor = cursor;
  }

  next() {
    const row = nextOf(this.#cursor, false);
    return row === undefined ? END : { done: false, value: row };
  }
}

class RawIterator {
  #cursor;

  constructor(cursor) {
    this.#cursor = cursor;
  }

  next() {
    const row = nextOf(this.#cursor, true);
    return row === undefined ? END : { done: false, value: row };
  }

  toArray() {
    return restOf(this.#cursor, true);
  }
}
Object.defineProperty(RowIterator, "name", { value: "RowIterator" });
Object.defineProperty(RawIterator, "name", { value: "RawIterator" });
Object.setPrototypeOf(RowIterator.prototype, IteratorPrototype);
Object.setPrototypeOf(RawIterator.prototype, IteratorPrototype);

/* Prepared statements belong to an experimental flag of the platform; the name exists for `instanceof`. */
class Statement {
  constructor() {
    throw illegalConstructor();
  }
}

export class SqlStorage {
  #isOurs = true;

  constructor(made) {
    if (made !== MADE) throw illegalConstructor();
  }

  exec(query, ...bindings) {
    if (!(#isOurs in this)) throw new TypeError(ILLEGAL_INVOCATION_TEXT);
    if (query === undefined) throw badArgument("exec", "SqlStorage", 1, "String");
    const cursor = new Cursor(MADE, host.sqlExec(typeof query === "string" ? query : `${query}`, bindings));
    remember(cursor);
    return cursor;
  }

  get databaseSize() {
    return host.sqlSize();
  }

  get Cursor() {
    return Cursor;
  }

  get Statement() {
    return Statement;
  }
}
named(SqlStorage, "SqlStorage");

export function makeSql() {
  return new SqlStorage(MADE);
}
