/*
 * util: small helpers shared by the interfaces of the web platform.
 *
 * Promise: no state, no host calls; nothing here is reachable from app code except through the interfaces.
 */

const define = Object.defineProperty;

/* A scalar value string (WebIDL USVString): what the web calls a string. Symbols throw a TypeError. */
export function usv(value) {
  const text = typeof value === "string" ? value : `${value}`;
  return text.isWellFormed() ? text : text.toWellFormed();
}

/* The bundler may have renamed a function whose name is also that of a global. */
function rename(fn, name) {
  if (fn.name !== name) define(fn, "name", { value: name, configurable: true });
}

/* Defines NAME on TARGET as browsers define their globals: writable, configurable, not enumerable. */
export function hidden(target, name, value) {
  define(target, name, { value, writable: true, enumerable: false, configurable: true });
}

/* What WebIDL wants of an interface: members enumerable, a toStringTag, a constructor length. */
export function finish(klass, tag, length) {
  rename(klass, tag);
  define(klass.prototype, Symbol.toStringTag, { value: tag, configurable: true });
  for (const name of Object.getOwnPropertyNames(klass.prototype)) {
    if (name === "constructor") continue;
    const slot = Object.getOwnPropertyDescriptor(klass.prototype, name);
    slot.enumerable = true;
    define(klass.prototype, name, slot);
  }
  if (length !== undefined) define(klass, "length", { value: length, configurable: true });
}

/* Constants as WebIDL defines them: on the interface and on its prototype, neither writable nor configurable. */
export function constants(klass, table) {
  for (const name of Object.keys(table)) {
    const slot = { value: table[name], enumerable: true, writable: false, configurable: false };
    define(klass, name, slot);
    define(klass.prototype, name, slot);
  }
}

const IteratorPrototype = Object.getPrototypeOf(Object.getPrototypeOf([][Symbol.iterator]()));

/* Makes the iterator class of a pair iterable. LIST(owner) returns the current flat array [k, v, k, v…]; it is asked again at
 * each step, so that changes made while iterating are seen, as WebIDL says. KIND: 0 entries, 1 keys, 2 values. */
export function pairIterator(tag, list) {
  class PairIterator {
    #owner;
    #kind;
    #at = 0;
    constructor(owner, kind) {
      this.#owner = owner;
      this.#kind = kind;
    }
    next() {
      const pairs = list(this.#owner);
      const at = this.#at;
      if (at >= pairs.length) return { value: undefined, done: true };
      this.#at = at + 2;
      const kind = this.#kind;
      return { value: kind === 0 ? [pairs[at], pairs[at + 1]] : pairs[at + kind - 1], done: false };
    }
  }
  const proto = PairIterator.prototype;
  delete proto.constructor;
  define(proto, "next", { value: proto.next, writable: true, enumerable: true, configurable: true });
  define(proto, Symbol.toStringTag, { value: tag + " Iterator", configurable: true });
  Object.setPrototypeOf(proto, IteratorPrototype);
  return PairIterator;
}

/* The index of NAME at an even place of the flat array PAIRS, from FROM on, or -1. */
export function findPair(pairs, name, from) {
  let i = pairs.indexOf(name, from);
  while (i !== -1 && (i & 1) === 1) i = pairs.indexOf(name, i + 1);
  return i;
}

/* The bytes of a BufferSource as a Uint8Array over the same memory; undefined when VALUE is something else. */
export function bytesOf(value) {
  if (value instanceof Uint8Array) return value;
  if (value instanceof ArrayBuffer || (typeof SharedArrayBuffer === "function" && value instanceof SharedArrayBuffer))
    return new Uint8Array(value);
  if (ArrayBuffer.isView(value)) return new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
  return undefined;
}

/* A copy of BYTES that is a plain Uint8Array: slice() of a subclass (Node's Buffer) may share the memory. */
export function copyBytes(bytes) {
  return new Uint8Array(bytes);
}

/* TEXT without HTTP white space at its ends. By hand: a pattern would look at inner white space again and again. */
export function trimText(text) {
  let from = 0;
  let to = text.length;
  while (from < to && isSpace(text.charCodeAt(from))) from++;
  while (to > from && isSpace(text.charCodeAt(to - 1))) to--;
  return text.slice(from, to);
}
const isSpace = (code) => code === 32 || code === 9 || code === 10 || code === 13;

/* One Uint8Array from many; a single one is returned as it is. */
export function concatBytes(chunks, total) {
  if (chunks.length === 1) return chunks[0];
  const all = new Uint8Array(total);
  let at = 0;
  for (const chunk of chunks) {
    all.set(chunk, at);
    at += chunk.byteLength;
  }
  return all;
}

/* The ArrayBuffer that holds exactly the bytes of VIEW; copies only when the view is a part of a larger buffer. */
export function exactBuffer(view) {
  const { buffer } = view;
  if (view.byteOffset === 0 && view.byteLength === buffer.byteLength) return buffer;
  return buffer.slice(view.byteOffset, view.byteOffset + view.byteLength);
}

/* What a callback of an app threw outside of any caller: logged, like workerd does, never swallowed. */
let reporter = (error) => void error;
export function setReporter(fn) {
  reporter = fn;
}
export function reportException(error) {
  reporter(error);
}
