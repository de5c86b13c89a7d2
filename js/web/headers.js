/*
 * headers: the Headers interface (Fetch standard, with workerd's texts).
 *
 * Promise: a Headers object made from the host's flat text ("name\nvalue\n…", names in lower case) is not parsed before it is
 * touched, and gives the very same text back when nobody changed it.
 * Values outside ASCII are kept as they are; the host writes them as UTF-8, as workerd does.
 */
import { findPair, finish, pairIterator, trimText } from "./util.js";

const NAME = /^[!#$%&'*+\-.^_`|~0-9A-Za-z]+$/;
const MADE = Symbol("made");
const ITERATOR = Symbol.iterator;

/* The spellings that code uses most: found here, a name needs neither checking nor folding. */
const known = new Map();
for (const name of [
  "Accept", "Accept-Encoding", "Accept-Language", "Access-Control-Allow-Credentials", "Access-Control-Allow-Headers",
  "Access-Control-Allow-Methods", "Access-Control-Allow-Origin", "Access-Control-Expose-Headers", "Access-Control-Max-Age",
  "Authorization", "Cache-Control", "Connection", "Content-Disposition", "Content-Encoding", "Content-Length", "Content-Type",
  "Cookie", "Date", "ETag", "Host", "If-Modified-Since", "If-None-Match", "Last-Event-ID", "Last-Modified", "Location",
  "Mcp-Session-Id", "Origin", "Range", "Referer", "Sec-WebSocket-Key", "Sec-WebSocket-Protocol", "Sec-WebSocket-Version",
  "Server", "Set-Cookie", "Transfer-Encoding", "Upgrade", "User-Agent", "Vary", "WWW-Authenticate", "X-Forwarded-For",
  "X-PartyKit-Props", "X-PartyKit-Room", "X-Request-Id",
]) {
  const lower = name.toLowerCase();
  known.set(name, lower);
  known.set(lower, lower);
}

const KNOWN_MAX = 512; /* the table above and as many names of the app's own; each costs the agent about 100 bytes */

/* NAME in lower case; a TypeError when it is no HTTP token. */
export function headerName(name) {
  const hit = known.get(name);
  if (hit !== undefined) return hit;
  const text = `${name}`;
  if (!NAME.test(text)) throw new TypeError("Invalid header name.");
  const lower = text.toLowerCase();
  if (known.size < KNOWN_MAX && text.length <= 64) known.set(text, lower);
  return lower;
}

/* Values that code sets most: found here, they need no checking. */
const safe = new Set([
  "application/json", "application/json; charset=utf-8", "application/octet-stream", "text/plain", "text/plain;charset=UTF-8",
  "text/plain; charset=utf-8", "text/html", "text/html; charset=utf-8", "text/event-stream", "no-cache", "no-store", "no-cache, no-transform",
  "keep-alive", "websocket", "true", "*", "chunked", "identity",
]);

/* VALUE without white space around it; a TypeError when it could break out of its line. */
export function headerValue(value) {
  if (safe.has(value)) return value;
  let text = typeof value === "string" ? value : `${value}`;
  if (text.charCodeAt(0) <= 32 || text.charCodeAt(text.length - 1) <= 32) text = trimText(text);
  if (text.includes("\n") || text.includes("\r") || text.includes("\0")) throw new TypeError("Invalid header value.");
  return text;
}

/* Whether the HeadersInit that flatFromInit() saw last has a content type; undefined when that takes a search. */
export let hasType = false;

function addPair(flat, name, value) {
  const lower = headerName(name);
  if (lower === "content-type") hasType = true;
  return flat + lower + "\n" + headerValue(value) + "\n";
}

function flatFromSequence(sequence) {
  let flat = "";
  for (const entry of sequence) {
    if (entry === null || typeof entry !== "object" || typeof entry[Symbol.iterator] !== "function") throw pairError();
    const pair = Array.isArray(entry) ? entry : [...entry];
    if (pair.length !== 2) throw pairError();
    flat = addPair(flat, pair[0], pair[1]);
  }
  return flat;
}

function pairError() {
  return new TypeError(
    "To initialize a Headers object from a sequence, each inner sequence must have exactly two elements.");
}

/* The flat text of a HeadersInit, checked. */
export function flatFromInit(init) {
  hasType = false;
  if (init === undefined) return "";
  if (init === null || (typeof init !== "object" && typeof init !== "function"))
    throw new TypeError("Failed to construct 'Headers': constructor parameter 1 is not of type 'Headers or Sequence or object'.");
  if (init[ITERATOR] === undefined) return flatFromRecord(init);
  if (!isHeaders(init)) return flatFromSequence(init);
  hasType = undefined;
  return flatOf(init);
}

function flatFromRecord(init) {
  const keys = Object.keys(init);
  let flat = "";
  for (let i = 0; i < keys.length; i++) {
    const key = keys[i];
    flat = addPair(flat, key, init[key]);
  }
  return flat;
}

let flatOfHeaders;
let sortedOf;
let brand;

/* The state is one array: an allocation of its own is cheaper in this engine than as many private fields. */
const FLAT = 0; /* the text, or null when LIST is newer */
const LIST = 1; /* [name, value, …] in the order of appearance, or null when not parsed yet */
const SORTED = 2; /* the same as iteration shows it, or null */
const IMMUTABLE = 3;

function read(state) {
  if (state[LIST] !== null) return state[LIST];
  const flat = state[FLAT];
  const list = flat === "" ? [] : flat.split("\n");
  if (flat !== "") list.length -= 1;
  return (state[LIST] = list);
}

/* The list for a change: the texts made from it are forgotten. */
function write(state) {
  if (state[IMMUTABLE]) throw new TypeError("Can't modify immutable headers.");
  const list = read(state);
  state[FLAT] = null;
  state[SORTED] = null;
  return list;
}

/* The pairs as iteration shows them: by name, equal names joined, cookies apart. */
function sort(state) {
  if (state[SORTED] !== null) return state[SORTED];
  const list = read(state);
  const values = new Map();
  for (let i = 0; i < list.length; i += 2) {
    const name = list[i];
    const seen = values.get(name);
    if (name === "set-cookie") values.set(name, seen === undefined ? [list[i + 1]] : [...seen, list[i + 1]]);
    else values.set(name, seen === undefined ? list[i + 1] : seen + ", " + list[i + 1]);
  }
  const sorted = [];
  for (const name of [...values.keys()].sort()) {
    const value = values.get(name);
    if (typeof value === "string") sorted.push(name, value);
    else for (const cookie of value) sorted.push(name, cookie);
  }
  return (state[SORTED] = sorted);
}

export class Headers {
  #state;

  constructor(init, made) {
    this.#state = init === MADE ? made : [flatFromInit(init), null, null, false];
  }

  get(name) {
    const state = this.#state;
    const lower = known.get(name) ?? `${name}`.toLowerCase();
    /* Most headers that code asks for are not there: no need to parse for those. */
    if (state[LIST] === null && !state[FLAT].includes(lower)) {
      headerName(name);
      return null;
    }
    const list = read(state);
    let i = findPair(list, lower, 0);
    if (i === -1) {
      headerName(name);
      return null;
    }
    let value = list[i + 1];
    while ((i = findPair(list, lower, i + 2)) !== -1) value += ", " + list[i + 1];
    return value;
  }

  getAll(name) {
    if (headerName(name) !== "set-cookie")
      throw new TypeError('getAll() can only be used with the header name "Set-Cookie".');
    return this.getSetCookie();
  }

  getSetCookie() {
    const list = read(this.#state);
    const cookies = [];
    let i = -2;
    while ((i = findPair(list, "set-cookie", i + 2)) !== -1) cookies.push(list[i + 1]);
    return cookies;
  }

  has(name) {
    return findPair(read(this.#state), headerName(name), 0) !== -1;
  }

  set(name, value) {
    if (arguments.length < 2) throw new TypeError("Failed to execute 'set' on 'Headers': parameter 2 is not of type 'string'.");
    const lower = headerName(name);
    const text = headerValue(value);
    const list = write(this.#state);
    const i = findPair(list, lower, 0);
    if (i === -1) {
      list.push(lower, text);
      return;
    }
    list[i + 1] = text;
    let j = i + 2;
    while ((j = findPair(list, lower, j)) !== -1) list.splice(j, 2);
  }

  append(name, value) {
    if (arguments.length < 2)
      throw new TypeError("Failed to execute 'append' on 'Headers': parameter 2 is not of type 'string'.");
    const lower = headerName(name);
    const text = headerValue(value);
    write(this.#state).push(lower, text);
  }

  delete(name) {
    const lower = headerName(name);
    const list = write(this.#state);
    let i = 0;
    while ((i = findPair(list, lower, i)) !== -1) list.splice(i, 2);
  }

  forEach(callback, thisArg) {
    if (typeof callback !== "function")
      throw new TypeError("Failed to execute 'forEach' on 'Headers': parameter 1 is not of type 'Function'.");
    for (let i = 0; ; i += 2) {
      const pairs = sort(this.#state);
      if (i >= pairs.length) return;
      callback.call(thisArg, pairs[i + 1], pairs[i], this);
    }
  }

  entries() {
    read(this.#state);
    return new HeadersIterator(this, 0);
  }
  keys() {
    read(this.#state);
    return new HeadersIterator(this, 1);
  }
  values() {
    read(this.#state);
    return new HeadersIterator(this, 2);
  }

  static {
    flatOfHeaders = (headers) => {
      const state = headers.#state;
      if (state[FLAT] === null) state[FLAT] = state[LIST].length === 0 ? "" : state[LIST].join("\n") + "\n";
      return state[FLAT];
    };
    sortedOf = (headers) => sort(headers.#state);
    brand = (value) => #state in value;
  }
}

const HeadersIterator = pairIterator("Headers", (headers) => sortedOf(headers));
finish(Headers, "Headers", 0);
Object.defineProperty(Headers.prototype, Symbol.iterator,
  { value: Headers.prototype.entries, writable: true, enumerable: false, configurable: true });

export function isHeaders(value) {
  return typeof value === "object" && value !== null && brand(value);
}

/* The flat text of HEADERS; the very text it was made from when nothing changed. */
export function flatOf(headers) {
  return flatOfHeaders(headers);
}

/* A Headers object over flat text the host or this library made: not checked again. */
export function headersFromFlat(flat, immutable = false) {
  return new Headers(MADE, [flat, null, null, immutable]);
}

/* Whether the flat text has the header NAME (lower case). */
export function flatHas(flat, name) {
  if (flat === "") return false;
  if (flat.startsWith(name + "\n")) return true;
  /* A value may look like a name: only then look closer. */
  return flat.includes("\n" + name + "\n") && findPair(flat.split("\n"), name, 0) !== -1;
}
