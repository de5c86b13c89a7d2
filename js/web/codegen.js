/*
 * codegen: no code from strings once the app is loaded, as on the platform (at global scope it is allowed, as in workerd).
 *
 * Every way to the engine's compiler is closed: eval, Function, and the constructors of the other kinds of functions, which are only
 * reachable through prototypes.
 */
import { phase } from "../core/host.js";
import { hidden } from "./util.js";

const TEXT = "Code generation from strings disallowed for this context";

/* A constructor that looks like ORIGINAL, takes its place on the prototype, and works only at global scope. */
function closedFunction(original) {
  const replacement = function (...args) {
    if (phase.awake) throw new EvalError(TEXT);
    return new.target === undefined ? original(...args) : Reflect.construct(original, args, new.target);
  };
  Object.defineProperty(replacement, "name", { value: original.name, configurable: true });
  Object.defineProperty(replacement, "length", { value: 1, configurable: true });
  Object.defineProperty(replacement, "prototype", { value: original.prototype, writable: false, enumerable: false, configurable: false });
  Object.setPrototypeOf(replacement, Object.getPrototypeOf(original));
  Object.defineProperty(original.prototype, "constructor",
    { ...Object.getOwnPropertyDescriptor(original.prototype, "constructor"), value: replacement });
  return replacement;
}

export function installCodegen(target) {
  const kinds = [async function () {}, function* () {}, async function* () {}];
  const NewFunction = closedFunction(Function);
  for (const kind of kinds) {
    const made = closedFunction(Object.getPrototypeOf(kind).constructor);
    Object.setPrototypeOf(made, NewFunction);
  }
  hidden(target, "Function", NewFunction);
  const nativeEval = target.eval;
  hidden(target, "eval", {
    eval(code) {
      if (typeof code !== "string") return code;
      if (phase.awake) throw new EvalError(TEXT);
      return nativeEval(code);
    },
  }.eval);
}
