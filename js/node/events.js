/*
 * node:events: EventEmitter, once, on, and their relatives.
 */
import { badType, withCode } from "./errors.js";
import { inspect } from "../web/inspect.js";

const CAPTURE = Symbol.for("nodejs.rejection");
const MONITOR = Symbol("events.errorMonitor");
let defaultMaxListeners = 10;

function needListener(listener) {
  if (typeof listener !== "function") throw badType("listener", "of type function", listener);
}

/* A function, not a class: old code calls it on its own objects (EventEmitter.call(this)). */
export function EventEmitter(options) {
  EventEmitter.init.call(this, options);
}

EventEmitter.init = function () {
  if (this._events === undefined || this._events === Object.getPrototypeOf(this)._events) {
    this._events = Object.create(null);
    this._eventsCount = 0;
  }
  this._maxListeners ??= undefined;
};

function add(emitter, type, listener, isFirst) {
  needListener(listener);
  const events = emitter._events ?? (emitter._events = Object.create(null));
  if (events.newListener !== undefined) emitter.emit("newListener", type, listener.listener ?? listener);
  const list = emitter._events[type];
  if (list === undefined) emitter._eventsCount = (emitter._eventsCount ?? 0) + 1;
  /* Lists are replaced, never changed: emit() walks the one it took. */
  emitter._events[type] = list === undefined ? [listener] : isFirst ? [listener, ...list] : [...list, listener];
  const max = emitter.getMaxListeners();
  const { length } = emitter._events[type];
  if (max > 0 && length > max && !emitter._warned?.has(type)) {
    (emitter._warned ??= new Set()).add(type);
    console.warn(`MaxListenersExceededWarning: Possible EventEmitter memory leak detected. ${length} ${String(type)} listeners added to ` +
      `${inspect(emitter, { depth: -1 })}. MaxListeners is ${max}. Use emitter.setMaxListeners() to increase limit`);
  }
  return emitter;
}

function wrapOnce(emitter, type, listener) {
  needListener(listener);
  const wrapped = function (...args) {
    emitter.removeListener(type, wrapped);
    return listener.apply(emitter, args);
  };
  wrapped.listener = listener;
  return wrapped;
}

function throwUnheard(error) {
  if (error instanceof Error) throw error;
  throw Object.assign(withCode(new Error(`Unhandled error. (${typeof error === "string" ? `'${error}'` : inspect(error)})`), "ERR_UNHANDLED_ERROR"),
    { context: error });
}

const methods = {
  setMaxListeners(n) {
    this._maxListeners = n;
    return this;
  },
  getMaxListeners() {
    return this._maxListeners ?? defaultMaxListeners;
  },

  emit(type, ...args) {
    const events = this._events;
    if (type === "error") {
      if (events?.[MONITOR] !== undefined) this.emit(MONITOR, ...args);
      if (events?.error === undefined) throwUnheard(args[0]);
    }
    const list = events?.[type];
    if (list === undefined) return false;
    for (const listener of list) listener.apply(this, args);
    return true;
  },

  addListener(type, listener) {
    return add(this, type, listener, false);
  },
  prependListener(type, listener) {
    return add(this, type, listener, true);
  },
  once(type, listener) {
    return this.on(type, wrapOnce(this, type, listener));
  },
  prependOnceListener(type, listener) {
    return this.prependListener(type, wrapOnce(this, type, listener));
  },

  removeListener(type, listener) {
    needListener(listener);
    const list = this._events?.[type];
    if (list === undefined) return this;
    const at = list.findLastIndex((one) => one === listener || one.listener === listener);
    if (at === -1) return this;
    const removed = list[at];
    if (list.length === 1) {
      delete this._events[type];
      this._eventsCount--;
    } else {
      this._events[type] = list.filter((_, i) => i !== at);
    }
    if (this._events.removeListener !== undefined) this.emit("removeListener", type, removed.listener ?? removed);
    return this;
  },

  removeAllListeners(type) {
    if (this._events === undefined) return this;
    const types = type === undefined ? Reflect.ownKeys(this._events) : [type];
    if (this._events.removeListener === undefined) {
      for (const one of types) delete this._events[one];
    } else {
      for (const one of types.filter((t) => t !== "removeListener"))
        for (const listener of [...(this._events[one] ?? [])].reverse()) this.removeListener(one, listener);
      if (type === undefined || type === "removeListener") delete this._events.removeListener;
    }
    this._eventsCount = Reflect.ownKeys(this._events).length;
    return this;
  },

  listeners(type) {
    return (this._events?.[type] ?? []).map((one) => one.listener ?? one);
  },
  rawListeners(type) {
    return [...(this._events?.[type] ?? [])];
  },
  listenerCount(type, listener) {
    const list = this._events?.[type] ?? [];
    return listener === undefined ? list.length : list.filter((one) => one === listener || one.listener === listener).length;
  },
  eventNames() {
    return this._events === undefined ? [] : Reflect.ownKeys(this._events);
  },
};
for (const name of Object.keys(methods)) EventEmitter.prototype[name] = methods[name];
EventEmitter.prototype.on = EventEmitter.prototype.addListener;
EventEmitter.prototype.off = EventEmitter.prototype.removeListener;
EventEmitter.prototype._events = undefined;
EventEmitter.prototype._eventsCount = 0;
EventEmitter.prototype._maxListeners = undefined;

const abortError = (signal) =>
  Object.assign(new Error("The operation was aborted", { cause: signal.reason }), { code: "ABORT_ERR", name: "AbortError" });

/* Listens on an EventEmitter or an EventTarget; returns the function that stops. */
function listen(emitter, type, listener) {
  if (typeof emitter.on === "function") {
    emitter.on(type, listener);
    return () => emitter.removeListener(type, listener);
  }
  if (typeof emitter.addEventListener !== "function") throw badType("emitter", "an instance of EventEmitter", emitter);
  emitter.addEventListener(type, listener);
  return () => emitter.removeEventListener(type, listener);
}

export function once(emitter, type, options) {
  const signal = options?.signal;
  if (signal?.aborted) return Promise.reject(abortError(signal));
  const { promise, resolve, reject } = Promise.withResolvers();
  const stops = [];
  const settle = (how, value) => {
    for (const stop of stops) stop();
    how(value);
  };
  stops.push(listen(emitter, type, (...args) => settle(resolve, args)));
  if (type !== "error" && typeof emitter.on === "function") stops.push(listen(emitter, "error", (error) => settle(reject, error)));
  if (signal !== undefined) stops.push(listen(signal, "abort", () => settle(reject, abortError(signal))));
  return promise;
}

/* An async iterator over the arguments of every TYPE event. */
export function on(emitter, type, options) {
  const signal = options?.signal;
  if (signal?.aborted) throw abortError(signal);
  const waiting = [];
  const ready = [];
  let failure;
  let isDone = false;
  const stops = [];
  const close = () => {
    isDone = true;
    for (const stop of stops) stop();
    for (const { resolve } of waiting.splice(0)) resolve({ value: undefined, done: true });
    return Promise.resolve({ value: undefined, done: true });
  };
  const fail = (error) => {
    for (const stop of stops) stop();
    isDone = true;
    const next = waiting.shift();
    if (next === undefined) failure = { error };
    else next.reject(error);
  };
  stops.push(listen(emitter, type, (...args) => {
    const next = waiting.shift();
    if (next === undefined) ready.push(args);
    else next.resolve({ value: args, done: false });
  }));
  if (type !== "error" && typeof emitter.on === "function") stops.push(listen(emitter, "error", fail));
  for (const name of options?.close ?? []) stops.push(listen(emitter, name, close));
  if (signal !== undefined) stops.push(listen(signal, "abort", () => fail(abortError(signal))));
  return {
    next() {
      if (ready.length > 0) return Promise.resolve({ value: ready.shift(), done: false });
      if (failure !== undefined) {
        const { error } = failure;
        failure = undefined;
        return Promise.reject(error);
      }
      if (isDone) return Promise.resolve({ value: undefined, done: true });
      const slot = Promise.withResolvers();
      waiting.push(slot);
      return slot.promise;
    },
    return: close,
    throw(error) {
      fail(error);
      return Promise.reject(error);
    },
    [Symbol.asyncIterator]() {
      return this;
    },
  };
}

export const errorMonitor = MONITOR;
export const captureRejectionSymbol = CAPTURE;
export const getEventListeners = (emitter, type) => emitter.listeners(type);
export const listenerCount = (emitter, type) => emitter.listenerCount(type);
export const getMaxListeners = (emitter) => emitter.getMaxListeners();
export function setMaxListeners(n = defaultMaxListeners, ...emitters) {
  if (emitters.length === 0) defaultMaxListeners = n;
  for (const emitter of emitters) emitter.setMaxListeners?.(n);
}
export function addAbortListener(signal, listener) {
  const stop = listen(signal, "abort", listener);
  return { [Symbol.dispose]: stop };
}

EventEmitter.EventEmitter = EventEmitter;
EventEmitter.errorMonitor = MONITOR;
EventEmitter.captureRejectionSymbol = CAPTURE;
Object.defineProperty(EventEmitter, "defaultMaxListeners", {
  get: () => defaultMaxListeners,
  set(n) {
    defaultMaxListeners = n;
  },
  enumerable: true,
});
Object.assign(EventEmitter, { addAbortListener, getEventListeners, getMaxListeners, listenerCount, on, once, setMaxListeners });

export { EventEmitter as default, defaultMaxListeners };
