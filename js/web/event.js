/*
 * event: Event, its kinds, and EventTarget (DOM standard without a tree).
 *
 * A listener that throws does not stop the others, nor dispatchEvent(): the error is reported.
 */
import { constants, finish, reportException } from "./util.js";

const PHASES = { NONE: 0, CAPTURING_PHASE: 1, AT_TARGET: 2, BUBBLING_PHASE: 3 };
let internals;

/* The state is one array: an allocation of its own is cheaper in this engine than as many private fields. */
const TYPE = 0;
const INIT = 1; /* bits: what the constructor was told */
const TARGET = 2;
const MARKS = 3; /* bits: what happened since */
const BUBBLES = 1, CANCELABLE = 2, COMPOSED = 4;
const DISPATCHING = 1, STOPPED = 2, STOPPED_NOW = 4, CANCELED = 8, PASSIVE = 16;

export class Event {
  #state;

  constructor(type, init) {
    if (arguments.length === 0) throw new TypeError("Failed to construct 'Event': constructor parameter 1 is not of type 'string'.");
    let bits = 0;
    if (init !== undefined && init !== null)
      bits = (init.bubbles ? BUBBLES : 0) | (init.cancelable ? CANCELABLE : 0) | (init.composed ? COMPOSED : 0);
    this.#state = [typeof type === "string" ? type : `${type}`, bits, null, 0];
  }

  get type() {
    return this.#state[TYPE];
  }
  get eventPhase() {
    return this.#state[MARKS] & DISPATCHING ? PHASES.AT_TARGET : PHASES.NONE;
  }
  get composed() {
    return (this.#state[INIT] & COMPOSED) !== 0;
  }
  get bubbles() {
    return (this.#state[INIT] & BUBBLES) !== 0;
  }
  get cancelable() {
    return (this.#state[INIT] & CANCELABLE) !== 0;
  }
  get defaultPrevented() {
    return (this.#state[MARKS] & CANCELED) !== 0;
  }
  get returnValue() {
    return (this.#state[MARKS] & CANCELED) === 0;
  }
  set returnValue(value) {
    if (!value) this.preventDefault();
  }
  get currentTarget() {
    return this.#state[MARKS] & DISPATCHING ? this.#state[TARGET] : null;
  }
  get target() {
    return this.#state[TARGET];
  }
  get srcElement() {
    return this.#state[TARGET];
  }
  get timeStamp() {
    return 0;
  }
  get isTrusted() {
    return false;
  }
  get cancelBubble() {
    return (this.#state[MARKS] & STOPPED) !== 0;
  }
  set cancelBubble(value) {
    if (value) this.#state[MARKS] |= STOPPED;
  }

  stopImmediatePropagation() {
    this.#state[MARKS] |= STOPPED | STOPPED_NOW;
  }
  preventDefault() {
    if (this.#state[INIT] & CANCELABLE && !(this.#state[MARKS] & PASSIVE)) this.#state[MARKS] |= CANCELED;
  }
  stopPropagation() {
    this.#state[MARKS] |= STOPPED;
  }
  composedPath() {
    return this.#state[MARKS] & DISPATCHING ? [this.#state[TARGET]] : [];
  }

  static {
    internals = { state: (event) => event.#state, brand: (value) => #state in value };
  }
}
finish(Event, "Event", 1);
constants(Event, PHASES);

class Listener {
  constructor(callback, capture, once, passive) {
    this.callback = callback;
    this.capture = capture;
    this.once = once;
    this.passive = passive;
    this.removed = false;
    this.signal = undefined; /* what removes it when it aborts, by calling stop() */
    this.stop = undefined;
  }
}

function invoke(target, listener, event, state) {
  const { callback } = listener;
  if (listener.passive) state[MARKS] |= PASSIVE;
  try {
    if (typeof callback === "function") callback.call(target, event);
    else callback.handleEvent(event);
  } catch (error) {
    reportException(error);
  }
  if (listener.passive) state[MARKS] &= ~PASSIVE;
}

/* The map of listeners is made with the first one. */
export class EventTarget {
  #listeners = null;

  addEventListener(type, callback, options) {
    if (callback === null || callback === undefined) return;
    if (typeof callback !== "function" && typeof callback !== "object")
      throw new TypeError("Failed to execute 'addEventListener' on 'EventTarget': parameter 2 is not of type 'function or HandlerObject'.");
    const isObject = typeof options === "object" && options !== null;
    const signal = isObject ? options.signal : undefined;
    if (signal !== undefined && signal.aborted) return;
    const capture = isObject ? !!options.capture : !!options;
    const name = `${type}`;
    const map = this.#listeners ?? (this.#listeners = new Map());
    const list = map.get(name);
    if (list !== undefined && list.some((l) => l.callback === callback && l.capture === capture)) return;
    const listener = new Listener(callback, capture, isObject && !!options.once, isObject && !!options.passive);
    if (list === undefined) map.set(name, [listener]);
    else map.set(name, [...list, listener]);
    if (signal !== undefined) {
      listener.stop = () => this.removeEventListener(name, callback, capture);
      listener.signal = signal;
      signal.addEventListener("abort", listener.stop, { once: true });
    }
  }

  removeEventListener(type, callback, options) {
    const map = this.#listeners;
    if (map === null) return;
    const capture = typeof options === "object" && options !== null ? !!options.capture : !!options;
    const name = `${type}`;
    const list = map.get(name);
    const found = list?.find((l) => l.callback === callback && l.capture === capture);
    if (found !== undefined) this.#remove(name, found);
  }

  dispatchEvent(event) {
    if (typeof event !== "object" || event === null || !internals.brand(event))
      throw new TypeError("Failed to execute 'dispatchEvent' on 'EventTarget': parameter 1 is not of type 'Event'.");
    const state = internals.state(event);
    if (state[MARKS] & DISPATCHING) throw new DOMException("The event is already being dispatched.", "InvalidStateError");
    state[TARGET] = this;
    state[MARKS] = (state[MARKS] & ~STOPPED_NOW) | DISPATCHING;
    const name = state[TYPE];
    const list = this.#listeners?.get(name);
    /* Lists are replaced, never changed: a listener added or removed now is seen by the next event (removed ones at once). */
    if (list !== undefined) {
      for (let i = 0; i < list.length; i++) {
        const listener = list[i];
        if (listener.removed) continue;
        if (listener.once) this.#remove(name, listener);
        invoke(this, listener, event, state);
        if (state[MARKS] & STOPPED_NOW) break;
      }
    }
    state[MARKS] &= ~(DISPATCHING | STOPPED | STOPPED_NOW);
    return (state[MARKS] & CANCELED) === 0;
  }

  #remove(name, listener) {
    listener.removed = true;
    /* A signal may live much longer than what listened under it. */
    if (listener.signal !== undefined && !listener.signal.aborted) listener.signal.removeEventListener("abort", listener.stop);
    const rest = this.#listeners.get(name).filter((l) => l !== listener);
    if (rest.length === 0) this.#listeners.delete(name);
    else this.#listeners.set(name, rest);
  }

  static {
    internals.count = (target, name) => target.#listeners?.get(name)?.length ?? 0;
  }
}
finish(EventTarget, "EventTarget", 0);

/* How many listeners TARGET has for NAME. */
export const listenerCount = (target, name) => internals.count(target, name);

/* Defines the attribute `on`NAME of an event handler on a class. */
export function defineHandler(klass, name) {
  const handlers = new WeakMap();
  Object.defineProperty(klass.prototype, "on" + name, {
    get() {
      return handlers.get(this)?.callback ?? null;
    },
    set(value) {
      const callback = typeof value === "function" || (typeof value === "object" && value !== null) ? value : null;
      const slot = handlers.get(this);
      if (slot !== undefined) {
        slot.callback = callback;
      } else if (callback !== null) {
        const fresh = { callback };
        handlers.set(this, fresh);
        this.addEventListener(name, function (event) {
          if (typeof fresh.callback === "function") return fresh.callback.call(this, event);
        });
      }
    },
    enumerable: true,
    configurable: true,
  });
}

export class CustomEvent extends Event {
  #detail;
  constructor(type, init) {
    super(type, init);
    this.#detail = init?.detail ?? null;
  }
  get detail() {
    return this.#detail;
  }
}
finish(CustomEvent, "CustomEvent", 1);

export class MessageEvent extends Event {
  #data;
  #init;
  constructor(type, init) {
    super(type, init);
    this.#data = init?.data === undefined ? null : init.data;
    this.#init = init;
  }
  get data() {
    return this.#data;
  }
  get origin() {
    return this.#init?.origin === undefined ? "" : `${this.#init.origin}`;
  }
  get lastEventId() {
    return this.#init?.lastEventId === undefined ? "" : `${this.#init.lastEventId}`;
  }
  get source() {
    return this.#init?.source ?? null;
  }
  get ports() {
    return this.#init?.ports ?? [];
  }
}
finish(MessageEvent, "MessageEvent", 1);

export class CloseEvent extends Event {
  #code;
  #reason;
  #wasClean;
  constructor(type, init) {
    super(type, init);
    this.#code = init?.code === undefined ? 0 : Number(init.code);
    this.#reason = init?.reason === undefined ? "" : `${init.reason}`;
    this.#wasClean = !!init?.wasClean;
  }
  get code() {
    return this.#code;
  }
  get reason() {
    return this.#reason;
  }
  get wasClean() {
    return this.#wasClean;
  }
}
finish(CloseEvent, "CloseEvent", 1);

export class ErrorEvent extends Event {
  #init;
  constructor(type, init) {
    super(type, init);
    this.#init = init ?? {};
  }
  get message() {
    return this.#init.message === undefined ? "" : `${this.#init.message}`;
  }
  get filename() {
    return this.#init.filename === undefined ? "" : `${this.#init.filename}`;
  }
  get lineno() {
    return Number(this.#init.lineno ?? 0);
  }
  get colno() {
    return Number(this.#init.colno ?? 0);
  }
  get error() {
    return this.#init.error;
  }
}
finish(ErrorEvent, "ErrorEvent", 1);

export class PromiseRejectionEvent extends Event {
  #promise;
  #reason;
  constructor(type, init) {
    super(type, init);
    this.#promise = init?.promise;
    this.#reason = init?.reason;
  }
  get promise() {
    return this.#promise;
  }
  get reason() {
    return this.#reason;
  }
}
finish(PromiseRejectionEvent, "PromiseRejectionEvent", 1);

/* waitUntil() and the like belong to handlers of the old style, which Dormouse does not run. */
export class ExtendableEvent extends Event {
  waitUntil() {
    throw new TypeError("waitUntil() can only be called on the event of a running handler.");
  }
}
finish(ExtendableEvent, "ExtendableEvent", 1);
