/*
 * abort: AbortController and AbortSignal (DOM standard).
 */
import { defineHandler, Event, EventTarget, listenerCount } from "./event.js";
import { startTimer } from "./timers.js";
import { finish } from "./util.js";

const MADE = Symbol("made");
const SWEEP_MIN = 16;
let internals;

const abortError = () => new DOMException("The operation was aborted", "AbortError");

/* A signal made by any() depends on others. They know it weakly as long as nobody waits for it: one that lives as long as its agent must
 * not keep every signal that was ever derived from it. While somebody listens, they keep it. */
export class AbortSignal extends EventTarget {
  #aborted = false;
  #reason = undefined;
  #steps = null;        /* run before the listeners */
  #dependents = null;   /* Set of WeakRef of signals that follow this one */
  #kept = null;         /* Set of those of them that somebody waits for */
  #sources = null;      /* what this one follows, when any() made it */
  #ref = null;          /* the WeakRef by which the sources know it */

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
    signal.#sources = all;
    signal.#ref = new WeakRef(signal);
    for (const one of all) one.#lead(signal.#ref);
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

  addEventListener(type, callback, options) {
    super.addEventListener(type, callback, options);
    this.#settleKeeping();
  }
  removeEventListener(type, callback, options) {
    super.removeEventListener(type, callback, options);
    this.#settleKeeping();
  }

  /* REF, a WeakRef of a signal, follows this one. Dead ones are swept when the set has doubled. */
  #lead(ref) {
    const set = this.#dependents ?? (this.#dependents = new Set());
    if (set.size >= SWEEP_MIN && (set.size & (set.size - 1)) === 0) for (const one of set) if (one.deref() === undefined) set.delete(one);
    set.add(ref);
  }

  /* Tells the sources whether somebody waits for this signal. */
  #settleKeeping() {
    if (this.#sources === null) return;
    const isAwaited = !this.#aborted && (listenerCount(this, "abort") > 0 || (this.#steps !== null && this.#steps.length > 0) || this.#kept?.size > 0);
    for (const source of this.#sources) {
      if (isAwaited) (source.#kept ??= new Set()).add(this);
      else source.#kept?.delete(this);
      source.#settleKeeping();
    }
  }

  #follow(step) {
    (this.#steps ??= []).push(step);
    this.#settleKeeping();
  }
  #unfollow(step) {
    const at = this.#steps === null ? -1 : this.#steps.indexOf(step);
    if (at !== -1) this.#steps.splice(at, 1);
    this.#settleKeeping();
  }

  #abort(reason) {
    if (this.#aborted) return;
    this.#aborted = true;
    this.#reason = reason === undefined ? abortError() : reason;
    const steps = this.#steps;
    const dependents = this.#dependents;
    this.#steps = this.#dependents = null;
    this.#settleKeeping();
    for (const source of this.#sources ?? []) source.#dependents?.delete(this.#ref);
    this.#sources = null;
    if (steps !== null) for (const step of steps) step();
    if (dependents !== null) for (const ref of dependents) ref.deref()?.#abort(this.#reason);
    this.#kept = null;
    this.dispatchEvent(new Event("abort"));
  }

  static {
    internals = {
      make: () => new AbortSignal(MADE),
      abort: (signal, reason) => signal.#abort(reason),
      follow: (signal, step) => signal.#follow(step),
      unfollow: (signal, step) => signal.#unfollow(step),
      followers: (signal) => signal.#dependents?.size ?? 0,
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

/* How many signals follow SIGNAL, for tests. */
export const followerCount = (signal) => internals.followers(signal);
