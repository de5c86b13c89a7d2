/*
 * rpc: methods of objects in other heaps: the calling side's properties and promises, the receiving side's rules.
 *
 * Promise: `stub.anything` is callable for any name and fetches a property when awaited; what the receiver does not declare on its
 * class is not reachable. How values travel is in capabilities.js.
 */
import { links, RpcStub, SEND } from "./capabilities.js";
import { illegalConstructor } from "./errors.js";
import { DurableObject, named, RpcTarget, WorkerEntrypoint } from "./base.js";

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

const BASE = Symbol("base");               /* of a property, for reads and deeper names */
const PATH = Symbol("path");

function makeProperty(base, path) {
  const property = (...args) => new RpcPromise(base[SEND](path, args));
  delete property.name;
  delete property.length;
  property[BASE] = base;                   /* before the prototype is set: behind it is the Proxy; a WeakMap costs as much as all of this */
  property[PATH] = path;
  return Object.setPrototypeOf(property, RpcProperty.prototype);
}

export class RpcProperty {
  constructor() {
    throw illegalConstructor();
  }

  then(fulfilled, rejected) {
    return this[BASE][SEND](this[PATH], undefined).then(fulfilled, rejected);
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
    return makeProperty(receiver[BASE], `${receiver[PATH]}.${name}`);
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

/* PATH within a value that has arrived: the rest of it goes on to the first stub that is met. */
function follow(value, path, args) {
  let owner = value;
  const steps = path.split(".");
  for (let i = 0; i < steps.length - 1 && !isStub(owner); i++) {
    owner = memberOfAny(owner, steps[i]);
    if (isStub(owner)) return owner[SEND](steps.slice(i + 1).join("."), args);
  }
  if (isStub(owner)) return owner[SEND](path, args);
  const last = steps[steps.length - 1];
  const found = memberOfAny(owner, last);
  if (args === undefined) return found;
  if (typeof found !== "function") throw new TypeError(`"${path}" is not a function.`);
  return Reflect.apply(found, owner, args);
}

function isStub(value) {
  return (typeof value === "object" || typeof value === "function") && value !== null && typeof value[SEND] === "function";
}

function memberOfAny(owner, name) {
  if ((typeof owner !== "object" && typeof owner !== "function") || owner === null) throw missing(name);
  return memberOf(owner, name, RESERVED);
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
  let names = reserved;
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
  return run(lookUp(root, path, RESERVED_ENTRY), path, args);
}

function run({ value, owner }, path, args) {
  if (args === undefined) return value;
  if (typeof value !== "function") throw new TypeError(`"${path}" is not a function.`);
  return Reflect.apply(value, owner, args);
}

links.invoke = (root, path, args) => run(lookUp(root, path, RESERVED), path, args);
links.makePromise = (promise) => new RpcPromise(promise);
Object.setPrototypeOf(RpcStub.prototype, wildcard);
