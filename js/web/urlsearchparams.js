/*
 * urlsearchparams: URLSearchParams (URL standard). The pairs live in one flat array; parsing and writing are the host's.
 */
import { host } from "../core/host.js";
import { findPair, finish, pairIterator, usv } from "./util.js";

const MADE = Symbol("made");
let internals;
let setQuery;

/* js/web/url.js gives the function that writes a URL's query. */
export function setURLInternals(fn) {
  setQuery = fn;
}

function need(count, wanted, operation) {
  if (count < wanted)
    throw new TypeError(`Failed to execute '${operation}' on 'URLSearchParams': parameter ${count + 1} is not of type 'USVString'.`);
}

function fromSequence(sequence) {
  const list = [];
  for (const entry of sequence) {
    if (entry === null || typeof entry !== "object" || typeof entry[Symbol.iterator] !== "function")
      throw new TypeError("Invalid URL search params sequence.");
    const pair = Array.isArray(entry) ? entry : [...entry];
    if (pair.length !== 2) throw new TypeError("Invalid URL search params sequence.");
    list.push(usv(pair[0]), usv(pair[1]));
  }
  return list;
}

function fromInit(init) {
  if (init === undefined || init === "") return [];
  if (typeof init === "object" && init !== null) {
    if (isSearchParams(init)) return [...internals.list(init)];
    if (init[Symbol.iterator] !== undefined) return fromSequence(init);
    return fromRecord(init);
  }
  if (typeof init === "function") return fromRecord(init);
  const text = usv(init);
  return host.formDecode(text.startsWith("?") ? text.slice(1) : text);
}

function fromRecord(init) {
  const list = [];
  for (const key of Object.keys(init)) {
    const name = usv(key);
    const value = usv(init[key]);
    const at = findPair(list, name, 0);
    if (at === -1) list.push(name, value);
    else list[at + 1] = value;
  }
  return list;
}

export class URLSearchParams {
  #list;
  #owner;

  constructor(init, list, owner) {
    this.#owner = owner;
    this.#list = init === MADE ? list : fromInit(init);
  }

  get size() {
    return this.#list.length / 2;
  }

  get(name) {
    if (arguments.length === 0) need(0, 1, "get");
    const list = this.#list;
    const at = findPair(list, typeof name === "string" ? name : usv(name), 0);
    return at === -1 ? null : list[at + 1];
  }

  getAll(name) {
    need(arguments.length, 1, "getAll");
    const key = usv(name);
    const list = this.#list;
    const all = [];
    for (let i = findPair(list, key, 0); i !== -1; i = findPair(list, key, i + 2)) all.push(list[i + 1]);
    return all;
  }

  has(name, value) {
    need(arguments.length, 1, "has");
    const key = usv(name);
    const list = this.#list;
    if (value === undefined) return findPair(list, key, 0) !== -1;
    const wanted = usv(value);
    for (let i = findPair(list, key, 0); i !== -1; i = findPair(list, key, i + 2)) if (list[i + 1] === wanted) return true;
    return false;
  }

  append(name, value) {
    need(arguments.length, 2, "append");
    this.#list.push(usv(name), usv(value));
    this.#changed();
  }

  set(name, value) {
    need(arguments.length, 2, "set");
    const key = usv(name);
    const text = usv(value);
    const list = this.#list;
    const at = findPair(list, key, 0);
    if (at === -1) {
      list.push(key, text);
    } else {
      list[at + 1] = text;
      for (let i = findPair(list, key, at + 2); i !== -1; i = findPair(list, key, i)) list.splice(i, 2);
    }
    this.#changed();
  }

  delete(name, value) {
    need(arguments.length, 1, "delete");
    const key = usv(name);
    const wanted = value === undefined ? undefined : usv(value);
    const list = this.#list;
    for (let i = findPair(list, key, 0); i !== -1; i = findPair(list, key, i)) {
      if (wanted === undefined || list[i + 1] === wanted) list.splice(i, 2);
      else i += 2;
    }
    this.#changed();
  }

  /* By the code units of the names; equal names keep their order. */
  sort() {
    const list = this.#list;
    const pairs = [];
    for (let i = 0; i < list.length; i += 2) pairs.push([list[i], list[i + 1]]);
    pairs.sort((a, b) => (a[0] < b[0] ? -1 : a[0] > b[0] ? 1 : 0));
    list.length = 0;
    for (const [name, value] of pairs) list.push(name, value);
    this.#changed();
  }

  forEach(callback, thisArg) {
    if (typeof callback !== "function")
      throw new TypeError("Failed to execute 'forEach' on 'URLSearchParams': parameter 1 is not of type 'Function'.");
    for (let i = 0; i < this.#list.length; i += 2) callback.call(thisArg, this.#list[i + 1], this.#list[i], this);
  }
  entries() {
    return new URLSearchParamsIterator(this, 0);
  }
  keys() {
    return new URLSearchParamsIterator(this, 1);
  }
  values() {
    return new URLSearchParamsIterator(this, 2);
  }
  toString() {
    return host.formEncode(this.#list);
  }

  #changed() {
    if (this.#owner !== undefined) setQuery(this.#owner, host.formEncode(this.#list));
  }

  static {
    internals = {
      list: (params) => params.#list,
      brand: (value) => #list in value,
      reset: (params, query) => {
        params.#list = query === "" ? [] : host.formDecode(query);
      },
    };
  }
}

const URLSearchParamsIterator = pairIterator("URLSearchParams", (params) => internals.list(params));
finish(URLSearchParams, "URLSearchParams", 0);
Object.defineProperty(URLSearchParams.prototype, Symbol.iterator,
  { value: URLSearchParams.prototype.entries, writable: true, enumerable: false, configurable: true });

export function isSearchParams(value) {
  return typeof value === "object" && value !== null && internals.brand(value);
}

/* The searchParams object of URL, whose query (without "?") is QUERY. */
export function linkedParams(query, url) {
  return new URLSearchParams(MADE, query === "" ? [] : host.formDecode(query), url);
}

/* The URL's query became QUERY by other means. */
export function resetParams(params, query) {
  internals.reset(params, query);
}
