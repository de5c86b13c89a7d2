/*
 * node:timers, node:timers/promises.
 */
import { clearTimeout, Scheduler, setImmediate, setInterval, setTimeout } from "../web/timers.js";
import { badType } from "./errors.js";

const abortError = (signal) =>
  Object.assign(new Error("The operation was aborted", { cause: signal.reason }), { code: "ABORT_ERR", name: "AbortError" });

/* Promise of VALUE after START(fire) has fired; rejects when the signal of OPTIONS aborts. */
function wait(start, value, options) {
  const signal = options?.signal;
  if (signal !== undefined && typeof signal?.addEventListener !== "function") return Promise.reject(badType("options.signal", "an instance of AbortSignal", signal));
  if (signal?.aborted) return Promise.reject(abortError(signal));
  const { promise, resolve, reject } = Promise.withResolvers();
  const onAbort = () => {
    clearTimeout(timer);
    reject(abortError(signal));
  };
  const timer = start(() => {
    signal?.removeEventListener("abort", onAbort);
    resolve(value);
  });
  signal?.addEventListener("abort", onAbort, { once: true });
  return promise;
}

async function* every(ms, value, options) {
  const signal = options?.signal;
  let fired = 0;
  let wake = () => {};
  const timer = setInterval(() => {
    fired++;
    wake();
  }, ms);
  const onAbort = () => wake();
  signal?.addEventListener("abort", onAbort);
  try {
    for (;;) {
      if (signal?.aborted) throw abortError(signal);
      if (fired === 0) await new Promise((resolve) => {
        wake = resolve;
      });
      for (; fired > 0; fired--) yield value;
    }
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", onAbort);
  }
}

export const promises = {
  setTimeout: (ms, value, options) => wait((fire) => setTimeout(fire, ms), value, options),
  setImmediate: (value, options) => wait((fire) => setImmediate(fire), value, options),
  setInterval: every,
  scheduler: { wait: (ms, options) => new Scheduler().wait(ms, options), yield: () => wait((fire) => setImmediate(fire)) },
};

const CUSTOM = Symbol.for("nodejs.util.promisify.custom");
Object.defineProperty(setTimeout, CUSTOM, { value: promises.setTimeout });
Object.defineProperty(setImmediate, CUSTOM, { value: promises.setImmediate });

const clearInterval = clearTimeout;
const clearImmediate = clearTimeout;
export { clearImmediate, clearInterval, clearTimeout, setImmediate, setInterval, setTimeout };
export default { clearImmediate, clearInterval, clearTimeout, promises, setImmediate, setInterval, setTimeout };
