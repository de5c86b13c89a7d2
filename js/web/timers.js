/*
 * timers: setTimeout, setInterval, setImmediate and what clears them; scheduler.wait.
 *
 * Ids given to the host are odd numbers, never reused (js/core uses the even ones). A timer runs in the async context and the
 * critical section in which it was started.
 */
import { host, needAwake } from "../core/host.js";
import { finish, reportException } from "./util.js";

const DELAY_MAX_MS = 2147483647; /* more means at once, as in browsers */
const timers = new Map();
let nextId = 1;

let fire;
let stop;

/* What setTimeout returns: an object as in Node.js, which turns into a number. */
export class Timeout {
  #id;
  #callback;
  #args;
  #repeat;
  #delay;
  #context;
  #section;
  #hasRef = true;

  constructor(callback, args, delay, repeat) {
    this.#callback = callback;
    this.#args = args;
    this.#delay = delay;
    this.#repeat = repeat;
    this.#context = host.als();
    this.#section = host.cs();
    this.#id = nextId;
    nextId += 2;
    this.#arm();
  }

  #arm() {
    timers.set(this.#id, this);
    host.timer(this.#id, this.#delay);
  }

  refresh() {
    if (this.#callback !== null) this.#arm();
    return this;
  }
  ref() {
    this.#hasRef = true;
    return this;
  }
  unref() {
    this.#hasRef = false;
    return this;
  }
  hasRef() {
    return this.#hasRef;
  }
  close() {
    this.#stop();
    return this;
  }
  [Symbol.toPrimitive]() {
    return this.#id;
  }
  [Symbol.dispose]() {
    this.#stop();
  }

  #stop() {
    this.#callback = null;
    if (timers.delete(this.#id)) host.timerClear(this.#id);
  }

  #fire() {
    timers.delete(this.#id);
    const callback = this.#callback;
    const before = host.alsSet(this.#context);
    const section = host.csSet(this.#section);
    if (this.#repeat) this.#arm();
    try {
      const args = this.#args;
      if (args === null) callback.call(globalThis);
      else callback.apply(globalThis, args);
    } catch (error) {
      reportException(error);
    }
    host.csSet(section);
    host.alsSet(before);
  }

  static {
    fire = (timer) => timer.#fire();
    stop = (timer) => timer.#stop();
  }
}
finish(Timeout, "Timeout", 0);

/* Event TIMER(id) of the host. */
export function onTimer(id) {
  const timer = timers.get(id);
  if (timer !== undefined) fire(timer);
}

function delayOf(ms) {
  const delay = Number(ms);
  return delay >= 1 && delay <= DELAY_MAX_MS ? Math.trunc(delay) : 0;
}

function describe(value) {
  if (typeof value === "string") return `type string ('${value}')`;
  return value === null || value === undefined ? `${value}` : `type ${typeof value}`;
}

function start(callback, ms, args, repeat) {
  needAwake();
  if (typeof callback !== "function")
    throw new TypeError(`The "callback" argument must be of type function. Received ${describe(callback)}`);
  return new Timeout(callback, args, delayOf(ms), repeat);
}

/* setTimeout for js/web itself. */
export function startTimer(callback, ms) {
  return start(callback, ms, null, false);
}

export function setTimeout(callback, ms, ...args) {
  return start(callback, ms, args.length === 0 ? null : args, false);
}
export function setInterval(callback, ms, ...args) {
  return start(callback, ms, args.length === 0 ? null : args, true);
}
export function setImmediate(callback, ...args) {
  return start(callback, 0, args.length === 0 ? null : args, false);
}

export function clearTimeout(timer) {
  if (timer instanceof Timeout) stop(timer);
  else if (typeof timer === "number" || typeof timer === "string") {
    const known = timers.get(Number(timer));
    if (known !== undefined) stop(known);
  }
}

export class Scheduler {
  wait(ms, options) {
    const signal = options?.signal;
    if (signal?.aborted) return Promise.reject(signal.reason);
    const { promise, resolve, reject } = Promise.withResolvers();
    const timer = startTimer(resolve, ms);
    signal?.addEventListener("abort", () => {
      stop(timer);
      reject(signal.reason);
    }, { once: true });
    return promise.then(() => undefined);
  }
}
finish(Scheduler, "Scheduler", 0);
