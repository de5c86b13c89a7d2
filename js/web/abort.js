/*
 * abort: AbortController and AbortSignal (DOM standard).
 */
import { defineHandler, Event, EventTarget } from "./event.js";
import { startTimer } from "./timers.js";
import { finish } from "./util.js";

const MADE = Symbol("made");
let internals;

const abortError = () => new DOMException("The operation was aborted", "AbortError");

export class AbortSignal extends EventTarget {
  #aborted = false;
  #reason = undefined;
  #steps = null;

  constructor(made) {
    if (made !== MADE) throw new TypeError("Illegal constructor");
    super();
  }

  static abort(reason) {
    const signal = new AbortSignal(MADE);
    signal.#aborted = true;
    signal.#reason = reason === undefined ? abortError() : reason;
    return signal;
  }

  static timeout(ms) {
    const signal = new AbortSignal(MADE);
    startTimer(() => signal.#abort(new DOMException("The operation was aborted due to timeout", "TimeoutError")), ms);
    return signal;
  }

  static any(signals) {
    const all = [...signals];
    for (let i = 0; i < all.length; i++)
      if (!isSignal(all[i])) throw new TypeError(`Incorrect type for array element ${i}: the provided value is not of type 'AbortSignal'.`);
    const aborted = all.find((one) => one.#aborted);
    if (aborted !== undefined) return AbortSignal.abort(aborted.#reason);
    const signal = new AbortSignal(MADE);
    for (const one of all) one.#follow(() => signal.#abort(one.#reason));
    return signal;
  }

  get aborted() {
    return this.#aborted;
  }
  get reason() {
    return this.#reason;
  }

  throwIfAborted() {
    if (this.#aborted) throw this.#reason;
  }

  /* STEP runs when the signal aborts, before its listeners. */
  #follow(step) {
    (this.#steps ??= []).push(step);
  }

  #abort(reason) {
    if (this.#aborted) return;
    this.#aborted = true;
    this.#reason = reason === undefined ? abortError() : reason;
    const steps = this.#steps;
    this.#steps = null;
    if (steps !== null) for (const step of steps) step();
    this.dispatchEvent(new Event("abort"));
  }

  static {
    internals = {
      make: () => new AbortSignal(MADE),
      abort: (signal, reason) => signal.#abort(reason),
      follow: (signal, step) => signal.#follow(step),
      unfollow: (signal, step) => {
        const at = signal.#steps === null ? -1 : signal.#steps.indexOf(step);
        if (at !== -1) signal.#steps.splice(at, 1);
      },
      brand: (value) => #aborted in value,
    };
  }
}
finish(AbortSignal, "AbortSignal", 0);
defineHandler(AbortSignal, "abort");

export class AbortController {
  #signal = internals.make();
  get signal() {
    return this.#signal;
  }
  abort(reason) {
    internals.abort(this.#signal, reason);
  }
}
finish(AbortController, "AbortController", 0);

export function isSignal(value) {
  return typeof value === "object" && value !== null && internals.brand(value);
}

/* A signal that nobody will abort. */
export const neverAborted = () => internals.make();

/* STEP runs once when SIGNAL aborts (at once when it has); the function returned forgets it. */
export function onAbort(signal, step) {
  if (signal.aborted) {
    step();
    return () => {};
  }
  internals.follow(signal, step);
  return () => internals.unfollow(signal, step);
}
