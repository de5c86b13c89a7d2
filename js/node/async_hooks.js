/*
 * node:async_hooks: AsyncLocalStorage and AsyncResource over the host's async context value.
 *
 * The context value is undefined, or a flat array [storage, value, storage, value…] that is never changed: entering a store makes a
 * new one. One entry per storage, so that contexts nested in time do not grow.
 */
import { host } from "../core/host.js";

function indexOf(context, storage) {
  for (let i = 0; i < context.length; i += 2) if (context[i] === storage) return i;
  return -1;
}

/* CONTEXT with VALUE for STORAGE. */
function withStore(context, storage, value) {
  if (context === undefined) return [storage, value];
  const at = indexOf(context, storage);
  if (at === -1) return [storage, value, ...context];
  const next = context.slice();
  next[at + 1] = value;
  return next;
}

function runIn(context, fn, thisArg, args) {
  const before = host.alsSet(context);
  try {
    return fn.apply(thisArg, args);
  } finally {
    host.alsSet(before);
  }
}

function needFunction(fn, name) {
  if (typeof fn === "function") return;
  const error = new TypeError(`The "${name}" argument must be of type function. Received ${fn === null ? "null" : `type ${typeof fn}`}`);
  error.code = "ERR_INVALID_ARG_TYPE";
  throw error;
}

export class AsyncLocalStorage {
  #defaultValue;
  #name;

  constructor(options) {
    this.#defaultValue = options?.defaultValue;
    this.#name = options?.name === undefined ? "" : `${options.name}`;
  }

  static bind(fn) {
    needFunction(fn, "fn");
    const context = host.als();
    return Object.defineProperty(function (...args) {
      return runIn(context, fn, this, args);
    }, "length", { value: fn.length, configurable: true });
  }

  static snapshot() {
    const context = host.als();
    return (fn, ...args) => runIn(context, fn, undefined, args);
  }

  get name() {
    return this.#name;
  }

  getStore() {
    const context = host.als();
    if (context === undefined) return this.#defaultValue;
    if (context[0] === this) return context[1];
    const at = indexOf(context, this);
    return at === -1 ? this.#defaultValue : context[at + 1];
  }

  run(store, fn, ...args) {
    const before = host.alsSet(withStore(host.als(), this, store));
    try {
      return args.length === 0 ? fn() : fn(...args);
    } finally {
      host.alsSet(before);
    }
  }

  exit(fn, ...args) {
    return this.run(undefined, fn, ...args);
  }

  enterWith(store) {
    host.alsSet(withStore(host.als(), this, store));
  }

  disable() {
    const context = host.als();
    const at = context === undefined ? -1 : indexOf(context, this);
    if (at !== -1) host.alsSet(context.length === 2 ? undefined : context.filter((_, i) => i !== at && i !== at + 1));
  }
}

let lastId = 1;

export class AsyncResource {
  #context;
  #id;

  constructor(type) {
    if (typeof type !== "string") {
      const error = new TypeError(`The "type" argument must be of type string. Received ${type === null ? "null" : `type ${typeof type}`}`);
      error.code = "ERR_INVALID_ARG_TYPE";
      throw error;
    }
    this.#context = host.als();
    this.#id = ++lastId;
  }

  static bind(fn, type, thisArg) {
    return new AsyncResource(type ?? (fn.name || "bound-anonymous-fn")).bind(fn, thisArg);
  }

  runInAsyncScope(fn, thisArg, ...args) {
    needFunction(fn, "fn");
    return runIn(this.#context, fn, thisArg, args);
  }

  bind(fn, thisArg) {
    needFunction(fn, "fn");
    const resource = this;
    return Object.defineProperty(function (...args) {
      return resource.runInAsyncScope(fn, thisArg === undefined ? this : thisArg, ...args);
    }, "length", { value: fn.length, configurable: true });
  }

  emitDestroy() {
    return this;
  }
  asyncId() {
    return this.#id;
  }
  triggerAsyncId() {
    return 0;
  }
}

/* There are no hooks to hear of: libraries that ask are given ones that never fire. */
export function createHook() {
  const hook = { enable: () => hook, disable: () => hook };
  return hook;
}
export const executionAsyncId = () => 0;
export const triggerAsyncId = () => 0;
export const executionAsyncResource = () => ({});
export const asyncWrapProviders = Object.freeze(Object.create(null));

export default {
  AsyncLocalStorage, AsyncResource, asyncWrapProviders, createHook, executionAsyncId, executionAsyncResource, triggerAsyncId,
};
