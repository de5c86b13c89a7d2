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

let nextOf;
let restOf;

export class Cursor {
  #id;
  #isDone = false;
  #names;

  constructor(made, id) {
    if (made !== MADE) throw illegalConstructor();
    this.#id = id;
  }

  next() {
    const row = this.#step(false);
    return row === undefined ? { done: true, value: undefined } : { done: false, value: row };
  }

  toArray() {
    if (this.#isDone) return [];
    this.#isDone = true;
    return host.sqlAll(this.#id, false);
  }

  one() {
    if (this.#isDone) throw new Error("Expected exactly one result from SQL query, but got no results.");
    this.#isDone = true;
    return host.sqlOne(this.#id);
  }

  raw() {
    return new RawIterator(this);
  }

  get columnNames() {
    return (this.#names ??= host.sqlNames(this.#id));
  }

  get rowsRead() {
    return host.sqlStats(this.#id)[0];
  }

  get rowsWritten() {
    return host.sqlStats(this.#id)[1];
  }

  [Symbol.iterator]() {
    return new RowIterator(this);
  }

  #step(isRaw) {
    if (this.#isDone) return undefined;
    const row = host.sqlNext(this.#id, isRaw);
    if (row === undefined) this.#isDone = true;
    return row;
  }

  static {
    nextOf = (cursor, isRaw) => cursor.#step(isRaw);
    restOf = (cursor, isRaw) => {
      if (cursor.#isDone) return [];
      cursor.#isDone = true;
      return host.sqlAll(cursor.#id, isRaw);
    };
  }
}
named(Cursor, "Cursor");

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
    return new Cursor(MADE, host.sqlExec(typeof query === "string" ? query : `${query}`, bindings));
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
