/*
 * errors: the texts of the platform, and errors on their way between heaps.
 *
 * Promise: an error thrown by a handler arrives at the caller with its name, message, own properties and cause, marked `remote`;
 * a failure of the platform arrives with its flags as properties. Nothing thrown by an app can break the way back.
 */
import { host } from "./host.js";

/* Flags of replyFail and FAIL. */
export const RETRYABLE = 1, OVERLOADED = 2, RESET = 4, REMOTE = 8;

const KIND_ERROR = 0, KIND_VALUE = 1, KIND_DOM = 2;
const CAUSE_DEPTH_MAX = 8;                 /* a chain of causes longer than this is cut, not followed */
const PLATFORM_PROPERTIES = ["remote", "retryable", "overloaded", "durableObjectReset"];

const NATIVE = { Error, TypeError, RangeError, SyntaxError, ReferenceError, EvalError, URIError };

/* TypeError as workerd words it for an argument of the wrong type. */
export function badArgument(method, iface, number, type) {
  return new TypeError(`Failed to execute '${method}' on '${iface}': parameter ${number} is not of type '${type}'.`);
}

export function badConstructor(iface, number, type) {
  return new TypeError(`Failed to construct '${iface}': constructor parameter ${number} is not of type '${type}'.`);
}

export function illegalConstructor() {
  return new TypeError("Illegal constructor");
}

/* What we know about and do not do yet says so in one way. */
export function notSupported(what) {
  return new Error(`${what} is not supported yet.`);
}

/* The text of whatever was thrown: an error's message, else the value as text. */
export function messageOf(thrown) {
  try {
    if (thrown instanceof Error) return String(thrown.message);
    if (typeof thrown === "object" && thrown !== null && typeof thrown.message === "string") return thrown.message;
    return String(thrown);
  } catch {
    return "unknown error";
  }
}

/* For logs: name, message and stack with the positions mapped to the sources. */
export function stackOf(thrown) {
  try {
    if (!(thrown instanceof Error)) return typeof thrown === "string" ? thrown : messageOf(thrown);
    const head = `${thrown.name}: ${thrown.message}`;
    let stack = typeof thrown.stack === "string" ? thrown.stack : "";
    if (stack.startsWith(head)) stack = stack.slice(head.length).replace(/^\n/, "");
    return (stack ? head + "\n" + host.mapStack(stack) : head).trimEnd();
  } catch {
    return messageOf(thrown);
  }
}

/* Logs an error that no code of the app caught, as `wrangler dev` shows it. */
export function logUncaught(thrown, where) {
  host.log(3, `Uncaught ${where ? `(${where}) ` : ""}${stackOf(thrown)}`);
}

function ownProperties(error) {
  let properties;
  for (const key of Object.keys(error)) {
    if (key === "stack" || key === "message" || key === "cause" || PLATFORM_PROPERTIES.includes(key)) continue;
    const value = error[key];
    if (typeof value === "function" || typeof value === "symbol") continue;
    (properties ??= {})[key] = value;
  }
  return properties;
}

function encode(thrown, depth) {
  if (thrown instanceof Error) {
    const isDom = typeof DOMException === "function" && thrown instanceof DOMException;
    const coded = { k: isDom ? KIND_DOM : KIND_ERROR, n: String(thrown.name), m: String(thrown.message) };
    const properties = isDom ? undefined : ownProperties(thrown);
    if (properties !== undefined) coded.p = properties;
    if (Object.hasOwn(thrown, "cause") && depth < CAUSE_DEPTH_MAX) coded.c = encode(thrown.cause, depth + 1);
    return coded;
  }
  if (typeof thrown === "object" && thrown !== null) return { k: KIND_VALUE, v: thrown };
  return depth ? { k: KIND_VALUE, v: thrown } : { k: KIND_ERROR, n: "Error", m: String(thrown) };
}

/* Bytes that reviveError() understands; undefined when even the plainest form cannot be packed. isReset: the object is gone with it. */
export function packError(thrown, isReset) {
  const mark = isReset ? { r: 1 } : undefined;
  try {
    return host.serialize(Object.assign(encode(thrown, 0), mark));
  } catch { /* properties that cannot be cloned: name and message must still arrive */ }
  try {
    return host.serialize({ k: KIND_ERROR, n: String(thrown?.name ?? "Error"), m: messageOf(thrown), ...mark });
  } catch {
    return undefined;
  }
}

function setOwn(object, key, value) {
  Object.defineProperty(object, key, { value, enumerable: true, configurable: true, writable: true });
}

function decode(coded) {
  if (coded.k === KIND_VALUE) return coded.v;
  if (coded.k === KIND_DOM) return new DOMException(coded.m, coded.n);
  const error = new (Object.hasOwn(NATIVE, coded.n) ? NATIVE[coded.n] : Error)(coded.m);
  if (error.name !== coded.n) setOwn(error, "name", coded.n);
  if (coded.p) for (const key of Object.keys(coded.p)) setOwn(error, key, coded.p[key]);
  if (coded.c) setOwn(error, "cause", decode(coded.c));
  return error;
}

/* The error a caller sees for FAIL. agentId: set for calls by method, as the platform does; undefined otherwise. */
export function reviveError(message, detail, flags, agentId) {
  let error;
  if (detail !== undefined) {
    try {
      const coded = host.deserialize(detail);
      error = decode(coded);
      if (coded.r === 1) flags |= RESET;
    } catch { /* packed by an older deploy, or cut: the message is all we have */ }
  }
  if (error === undefined) {
    const known = /^(TypeError|RangeError|SyntaxError|ReferenceError|Error): /.exec(message);
    error = known ? new NATIVE[known[1]](message.slice(known[0].length)) : new Error(message);
  }
  if (typeof error === "object" && error !== null) {
    if (agentId !== undefined && detail !== undefined && !(flags & RESET) && !(error instanceof DOMException)) setOwn(error, "durableObjectId", agentId);
    if (!(flags & RESET) && (flags & REMOTE || detail !== undefined)) setOwn(error, "remote", true);
    if (flags & RETRYABLE) setOwn(error, "retryable", true);
    if (flags & OVERLOADED) setOwn(error, "overloaded", true);
    if (flags & RESET) setOwn(error, "durableObjectReset", true);
  }
  return error;
}

/* The flags an error carries when an app lets a platform failure pass through its own handler. */
export function flagsOf(thrown) {
  if (typeof thrown !== "object" || thrown === null || thrown.remote === true) return 0;
  return (thrown.retryable === true ? RETRYABLE : 0) | (thrown.overloaded === true ? OVERLOADED : 0);
}
