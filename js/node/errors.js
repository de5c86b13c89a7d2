/*
 * errors: Node's errors with codes, and modules that are there to import but not to use.
 */
import { inspect } from "../web/inspect.js";

export function withCode(error, code) {
  error.code = code;
  return error;
}

/* How Node words a value of the wrong type. */
export function received(value) {
  if (value === null || value === undefined) return ` Received ${value}`;
  if (typeof value === "function") return ` Received function ${value.name}`;
  if (typeof value === "object")
    return value.constructor?.name ? ` Received an instance of ${value.constructor.name}` : ` Received ${inspect(value, { depth: -1 })}`;
  let text = inspect(value);
  if (text.length > 28) text = text.slice(0, 25) + "...";
  return ` Received type ${typeof value} (${text})`;
}

/* WANTED as in 'of type string' or 'an instance of Buffer'. */
export function badType(name, wanted, value) {
  return withCode(new TypeError(`The "${name}" argument must be ${wanted}.${received(value)}`), "ERR_INVALID_ARG_TYPE");
}

export function outOfRange(name, range, value) {
  return withCode(new RangeError(`The value of "${name}" is out of range. It must be ${range}. Received ${inspect(value)}`), "ERR_OUT_OF_RANGE");
}

export function notHere(what) {
  return withCode(new Error(`${what} is not available in Dormouse: an agent has no files, processes or sockets of its own. Use a workspace for those.`),
    "ERR_METHOD_NOT_IMPLEMENTED");
}

/* A module whose functions exist, can be imported, and fail with a clear text when called. */
export function absentModule(module, names) {
  const out = {};
  for (const name of names) {
    const isClass = /^[A-Z]/.test(name);
    const fail = function () {
      throw notHere(isClass ? `${name} of ${module}` : `${name}() of ${module}`);
    };
    Object.defineProperty(fail, "name", { value: name, configurable: true });
    out[name] = fail;
  }
  out.default = { ...out };
  return out;
}
