/*
 * rpc: methods of objects in other heaps: the calling side's properties and promises, the receiving side's rules.
 *
 * Promise: `stub.anything` is callable for any name and fetches a property when awaited; values are copied by structured clone; what
 * the receiver does not declare on its class is not reachable. Stubs of functions and targets come later: see transfer().
 */
import { host } from "./host.js";
import { illegalConstructor, notSupported } from "./errors.js";
import { DurableObject, named, RpcTarget, WorkerEntrypoint } from "./base.js";

/* The calling side of anything with methods: object[SEND](path, args or undefined for a read) → promise of the result. */
export const SEND = Symbol("send");

const SCAN_DEPTH_MAX = 6;                  /* how deep we look for the part of a value that could not be copied */
const RESERVED = new Set(["constructor", "dup"]);
const RESERVED_ENTRY = new Set(["constructor", "dup", "fetch", "connect", "alarm", "scheduled", "email", "queue", "tail", "tailStream",
  "trace", "test", "webSocketMessage", "webSocketClose", "webSocketError"]);

/* ---- the calling side ---------------------------------------------------------------------------------------------- */

const ObjectPrototype = Object.prototype;

/* The end of a stub's prototype chain: it alone is a Proxy, so that declared members never meet it. */
export const wildcard = new Proxy(ObjectPrototype, {
  get(target, name, receiver) {
    if (typeof name === "symbol" || name in ObjectPrototype) return Reflect.get(ObjectPrototype, name, receiver);
    if (name === "then") return undefined;
    return makeProperty(receiver, name);
  },
  has(target, name) {
    return typeof name === "symbol" ? name in ObjectPrototype : name !== "then";
  },
  getPrototypeOf() {
    return ObjectPrototype;
  },
  set(target, name, value, receiver) {
    return Reflect.defineProperty(receiver, name, { value, writable: true, enumerable: true, configurable: true });
  },
});

const baseOf = new WeakMap();              /* RpcProperty → {base, path} for reads and deeper names */

function makeProperty(base, path) {
  const property = (...args) => new RpcPromise(base[SEND](path, args));
  delete property.name;
  delete property.length;
  baseOf.set(property, { base, path });
  return Object.setPrototypeOf(property, RpcProperty.prototype);
}

export class RpcProperty {
  constructor() {
    throw illegalConstructor();
  }

  then(fulfilled, rejected) {
    const { base, path } = baseOf.get(this);
    return base[SEND](path, undefined).then(fulfilled, rejected);
  }

  catch(rejected) {
    return this.then(undefined, rejected);
  }

  finally(callback) {
    return Promise.resolve(this).finally(callback);
  }
}

/* Deeper names of a property extend its path; what a function can do stays reachable. */
Object.setPrototypeOf(RpcProperty.prototype, new Proxy(ObjectPrototype, {
  get(target, name, receiver) {
    if (typeof name === "symbol" || name in ObjectPrototype) return Reflect.get(ObjectPrototype, name, receiver);
    if (name === "call" || name === "apply" || name === "bind") return Function.prototype[name];
    const { base, path } = baseOf.get(receiver);
    return makeProperty(base, `${path}.${name}`);
  },
  has: () => true,
}));

/* The result of a call: a thenable whose members can be asked for before it is there. */
export class RpcPromise {
  #promise;

  constructor(promise) {
    if (!(promise instanceof Promise)) throw illegalConstructor();
    this.#promise = promise;
  }

  then(fulfilled, rejected) {
    return this.#promise.then(fulfilled, rejected);
  }

  catch(rejected) {
    return this.#promise.catch(rejected);
  }

  finally(callback) {
    return this.#promise.finally(callback);
  }

  [SEND](path, args) {
    return this.#promise.then((value) => follow(value, path, args));
  }

  [Symbol.dispose]() {
    this.#promise.then((value) => value?.[Symbol.dispose]?.(), () => {});
  }
}
Object.setPrototypeOf(RpcPromise.prototype, wildcard);
named(RpcPromise, "RpcPromise", "JsRpcPromise");
named(RpcProperty, "RpcProperty", "JsRpcProperty");

/* PATH within a value that has arrived; as if the receiver had followed it. */
async function follow(value, path, args) {
  const found = lookUp(value, path, undefined);
  if (args === undefined) return found.value;
  if (typeof found.value !== "function") throw new TypeError(`"${path}" is not a function.`);
  return found.value.apply(found.owner, args);
}

/* ---- values on the way --------------------------------------------------------------------------------------------- */

/* Bytes of VALUE for another heap. Functions, targets and streams will become stubs here. */
export function transfer(value) {
  try {
    return host.serialize(value, true);
  } catch (error) {
    const part = uncopied(value, 0);
    throw part === undefined ? error : notSupported(`Passing ${part} over RPC`);
  }
}

function uncopied(value, depth) {
  if (typeof value === "function") return "a function";
  if (typeof value !== "object" || value === null || depth > SCAN_DEPTH_MAX) return undefined;
  if (value instanceof RpcTarget) return "an RpcTarget";
  const kind = ObjectPrototype.toString.call(value).slice(8, -1);
  if (/^(ReadableStream|WritableStream|Request|Response|Headers|AbortSignal|DurableObject|Fetcher|JsRpc.*)$/.test(kind)) return `a ${kind}`;
  const members = value instanceof Map ? [...value.keys(), ...value.values()] : value instanceof Set ? [...value] : Object.values(value);
  for (const member of members) {
    const part = uncopied(member, depth + 1);
    if (part !== undefined) return part;
  }
  return undefined;
}

function dispose() {}

/* A result as the caller gets it: its own copy, with a disposer. */
export function received(bytes) {
  return withDisposer(host.deserialize(bytes));
}

function withDisposer(value) {
  if (typeof value === "object" && value !== null && Object.isExtensible(value) && !Object.hasOwn(value, Symbol.dispose))
    Object.defineProperty(value, Symbol.dispose, { value: dispose, writable: true, configurable: true });
  return value;
}

/* ---- the receiving side -------------------------------------------------------------------------------------------- */

function missing(name) {
  return new TypeError(`The RPC receiver does not implement the method "${name}".`);
}

function isTarget(object) {
  return object instanceof RpcTarget || object instanceof DurableObject || object instanceof WorkerEntrypoint;
}

function memberOf(object, name, reserved) {
  if (reserved.has(name)) throw new TypeError(`'${name}' is a reserved method and cannot be called over RPC.`);
  if (isTarget(object)) {
    if (Object.hasOwn(object, name)) throw missing(name);
    const value = object[name];
    if (value === ObjectPrototype[name]) throw missing(name);
    return value;
  }
  if (!Object.hasOwn(object, name)) throw missing(name);
  return object[name];
}

/* Follows the dotted PATH from ROOT. Returns the value and the object it was found on. */
function lookUp(root, path, reserved) {
  let owner = root;
  let names = reserved ?? RESERVED;
  if (!path.includes(".")) {
    if ((typeof owner !== "object" && typeof owner !== "function") || owner === null) throw missing(path);
    return { value: memberOf(owner, path, names), owner };
  }
  const steps = path.split(".");
  const last = steps.pop();
  for (const step of steps) {
    if ((typeof owner !== "object" && typeof owner !== "function") || owner === null) throw missing(step);
    const next = memberOf(owner, step, names);
    const isPlain = typeof next === "object" && next !== null && (Object.getPrototypeOf(next) === ObjectPrototype || isTarget(next));
    if (!isPlain && typeof next !== "function") throw missing(step);
    owner = next;
    names = RESERVED;
  }
  return { value: memberOf(owner, last, names), owner };
}

/* Runs the method (or reads the property, ARGS undefined) PATH of the entry object ROOT. May return a promise. */
export function invoke(root, path, args) {
  const { value, owner } = lookUp(root, path, RESERVED_ENTRY);
  if (args === undefined) return value;
  if (typeof value !== "function") throw new TypeError(`"${path}" is not a function.`);
  return Reflect.apply(value, owner, args);
}
