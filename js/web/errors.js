/*
 * errors: `error.stack` as V8 writes it: "Name: message" above the frames. Logs and error pages all over the world rely on it; the
 * engine's own stacks are the frames alone.
 *
 * The line is added when the stack is read, so that making an error costs nothing more.
 */

/* The first line; never throws, whatever the app did to the error. */
function titleOf(error) {
  try {
    const name = error.name === undefined ? "Error" : `${error.name}`;
    const message = error.message === undefined ? "" : `${error.message}`;
    if (name === "") return message;
    return message === "" ? name : `${name}: ${message}`;
  } catch {
    return "Error";
  }
}

const withTitle = (error, frames) => (frames === "" ? titleOf(error) : `${titleOf(error)}\n${frames.trimEnd()}`);

export function installErrors() {
  const slot = Object.getOwnPropertyDescriptor(Error.prototype, "stack");
  if (slot?.get === undefined) return; /* an engine whose errors have stacks of their own: V8, in tests */
  const nativeGet = slot.get;
  Object.defineProperty(Error.prototype, "stack", {
    get() {
      const frames = nativeGet.call(this);
      return typeof frames === "string" ? withTitle(this, frames) : frames;
    },
    set(value) {
      Object.defineProperty(this, "stack", { value, writable: true, enumerable: false, configurable: true });
    },
    enumerable: false,
    configurable: true,
  });
  const nativeCapture = Error.captureStackTrace;
  Object.defineProperty(Error, "captureStackTrace", {
    value: function captureStackTrace(target, above) {
      nativeCapture(target, above);
      const own = Object.getOwnPropertyDescriptor(target, "stack");
      if (typeof own?.value === "string" && own.configurable)
        Object.defineProperty(target, "stack", { ...own, value: withTitle(target, own.value) });
    },
    writable: true, enumerable: false, configurable: true,
  });
}
