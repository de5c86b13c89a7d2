/*
 * node:util.
 */
import { TextDecoder, TextEncoder } from "../web/encoding.js";
import { format, inspect } from "../web/inspect.js";
import { isDeepEqual } from "./deep_equal.js";
import { badType, withCode } from "./errors.js";
import { types } from "./util_types.js";

const PROMISIFY = Symbol.for("nodejs.util.promisify.custom");

export function promisify(original) {
  if (typeof original !== "function") throw badType("original", "of type function", original);
  const custom = original[PROMISIFY];
  if (custom !== undefined) return custom;
  const promised = function (...args) {
    return new Promise((resolve, reject) => {
      original.call(this, ...args, (error, ...values) => {
        if (error) reject(error);
        else resolve(values[0]);
      });
    });
  };
  Object.setPrototypeOf(promised, Object.getPrototypeOf(original));
  return Object.defineProperties(promised, Object.getOwnPropertyDescriptors(original));
}
promisify.custom = PROMISIFY;

export function callbackify(original) {
  if (typeof original !== "function") throw badType("original", "of type function", original);
  return function (...args) {
    const callback = args.pop();
    if (typeof callback !== "function") throw badType("last argument", "of type function", callback);
    const later = (...results) => queueMicrotask(() => callback.apply(this, results));
    original.apply(this, args).then((value) => later(null, value), (error) => {
      later(error || withCode(Object.assign(new Error("Promise was rejected with a falsy value"), { reason: error }), "ERR_FALSY_VALUE_REJECTION"));
    });
  };
}

export function inherits(constructor, parent) {
  if (typeof constructor !== "function") throw badType("ctor", "of type function", constructor);
  if (typeof parent !== "function") throw badType("superCtor", "of type function", parent);
  Object.defineProperty(constructor, "super_", { value: parent, writable: true, configurable: true });
  Object.setPrototypeOf(constructor.prototype, parent.prototype);
}

const warned = new Set();

export function deprecate(fn, text, code) {
  const wrapped = function (...args) {
    const key = code ?? fn;
    if (!warned.has(key)) {
      warned.add(key);
      console.warn(`DeprecationWarning: ${text}`);
    }
    return new.target === undefined ? fn.apply(this, args) : Reflect.construct(fn, args, new.target);
  };
  Object.setPrototypeOf(wrapped, fn);
  if (fn.prototype !== undefined) wrapped.prototype = fn.prototype;
  return wrapped;
}

export const debuglog = () => Object.assign(() => {}, { enabled: false });
export const debug = debuglog;
export const isArray = Array.isArray;
export const isDeepStrictEqual = (a, b) => isDeepEqual(a, b, true);
// eslint-disable-next-line no-control-regex
export const stripVTControlCharacters = (text) => text.replace(/\u001b(?:\[[0-9;?]*[ -/]*[@-~]|\][^\u0007]*\u0007|[@-_])/g, "");
export const toUSVString = (text) => `${text}`.toWellFormed();
export const formatWithOptions = (_options, ...args) => format(...args);
export const styleText = (_style, text) => text;
export const getSystemErrorName = (code) => `Unknown system error ${code}`;
export const getCallSites = () => [];
export const aborted = (signal) => new Promise((resolve) => {
  if (signal.aborted) resolve();
  else signal.addEventListener("abort", () => resolve(), { once: true });
});

const quoteIf = (value) => (/^[\w!#$%&'*+\-.^`|~]+$/.test(value) ? value : `"${value.replace(/(["\\])/g, "\\$1")}"`);

/* A MIME type (RFC 2045), as node:util has it. */
export class MIMEType {
  #essence;
  constructor(text) {
    const found = /^\s*([^\s/;]+)\/([^\s;]+)\s*(?:;(.*))?$/s.exec(`${text}`);
    if (found === null) throw withCode(new TypeError(`The MIME syntax for a type in "${text}" is invalid`), "ERR_INVALID_MIME_SYNTAX");
    this.#essence = `${found[1]}/${found[2]}`.toLowerCase();
    this.params = new Map();
    for (const [, name, quoted, bare] of (found[3] ?? "").matchAll(/\s*([^=;\s]+)=(?:"((?:[^"\\]|\\.)*)"|([^;]*))/g))
      this.params.set(name.toLowerCase(), quoted === undefined ? bare.trim() : quoted.replace(/\\(.)/g, "$1"));
  }
  get essence() {
    return this.#essence;
  }
  get type() {
    return this.#essence.split("/")[0];
  }
  get subtype() {
    return this.#essence.split("/")[1];
  }
  toString() {
    return [this.#essence, ...[...this.params].map(([name, value]) => `${name}=${quoteIf(value)}`)].join(";");
  }
}

export function parseArgs() {
  throw withCode(new Error("util.parseArgs() is not available in Dormouse: an agent has no command line."), "ERR_METHOD_NOT_IMPLEMENTED");
}

export function _extend(target, source) {
  return source === null || typeof source !== "object" ? target : Object.assign(target, source);
}

export { format, inspect, TextDecoder, TextEncoder, types };
export default {
  _extend, aborted, callbackify, debug, debuglog, deprecate, format, formatWithOptions, getCallSites, getSystemErrorName, inherits, inspect,
  isArray, isDeepStrictEqual, MIMEType, parseArgs, promisify, stripVTControlCharacters, styleText, TextDecoder, TextEncoder, toUSVString, types,
};
