/*
 * worlds: two places where the runtime library runs under test: a fresh node:vm context, and the engine itself (npm quickjs-wasi).
 *
 * runCases(world, file) → [{name, ok, message?}]
 */
import { AsyncLocalStorage } from "node:async_hooks";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";
import vm from "node:vm";
import { build } from "esbuild";
import { QuickJS } from "quickjs-wasi";
import { callNative } from "./mock-host.mjs";

const here = (name) => fileURLToPath(new URL(name, import.meta.url));
const read = (name) => readFileSync(here(name), "utf8");

let bundled;
export async function bundle() {
  if (bundled === undefined) {
    const result = await build({
      entryPoints: [here("world-entry.js")], bundle: true, format: "iife", target: "es2023", minifySyntax: true, keepNames: true,
      charset: "utf8", write: false, logLevel: "error",
    });
    bundled = result.outputFiles[0].text;
  }
  return bundled;
}

/* DOMException, which the engine has and a fresh vm context lacks. */
const DOM_EXCEPTION = `(function () {
  const CODES = { IndexSizeError: 1, NotFoundError: 8, NotSupportedError: 9, InvalidStateError: 11, SyntaxError: 12, InvalidAccessError: 15,
    TypeMismatchError: 17, NetworkError: 19, AbortError: 20, QuotaExceededError: 22, TimeoutError: 23, DataCloneError: 25, InvalidCharacterError: 5 };
  class DOMException extends Error {
    #name;
    constructor(message = "", options = "Error") { super(message); this.#name = typeof options === "string" ? options : options.name ?? "Error"; }
    get name() { return this.#name; }
    get code() { return CODES[this.#name] ?? 0; }
  }
  Object.defineProperty(globalThis, "DOMException", { value: DOMException, writable: true, configurable: true });
})();`;

/* What the engine has and older Node releases lack. */
const NEWER = `(function () {
  Promise.withResolvers ??= function () {
    const out = {};
    out.promise = new this((resolve, reject) => { out.resolve = resolve; out.reject = reject; });
    return out;
  };
  String.prototype.toWellFormed ??= function () {
    return this.replace(/[\\ud800-\\udbff](?![\\udc00-\\udfff])|(?<![\\ud800-\\udbff])[\\udc00-\\udfff]/g, "\\ufffd");
  };
  String.prototype.isWellFormed ??= function () { return this.toWellFormed() === String(this); };
  Array.prototype.findLast ??= function (f) { for (let i = this.length; i-- > 0;) if (f(this[i], i, this)) return this[i]; };
})();`;

async function vmWorld() {
  const storage = new AsyncLocalStorage();
  const context = vm.createContext({
    __bridge: callNative,
    __als: {
      get: () => storage.getStore(),
      set: (value) => {
        const before = storage.getStore();
        storage.enterWith(value);
        return before;
      },
    },
  });
  vm.runInContext("delete globalThis.WebAssembly; delete globalThis.console; delete globalThis.SharedArrayBuffer", context);
  vm.runInContext(DOM_EXCEPTION, context);
  vm.runInContext(NEWER, context);
  const run = (code, filename) => vm.runInContext(code, context, { filename });
  return { run, finish: (code) => storage.run(undefined, () => vm.runInContext(code, context)) };
}

export async function engineWorld() {
  /* Node's own stack is small: the engine must give up before it does. */
  const engine = await QuickJS.create({ maxStackSize: 128 * 1024, wasm: readFileSync(createRequire(import.meta.url).resolve("quickjs-wasi/quickjs.wasm")) });
  const bridge = engine.newFunction("__bridge", (name, args) => engine.hostToHandle(callNative(engine.dump(name), engine.dump(args))));
  engine.setProp(engine.global, "__bridge", bridge);
  const run = (code, filename) => engine.dump(engine.evalCode(code, filename));
  const finish = async (code) => {
    run(`globalThis.__result = undefined; (${code}).then((v) => { globalThis.__result = v; }, (e) => { globalThis.__result = "!" + e + e.stack; });`, "finish");
    engine.executePendingJobs();
    const result = run("globalThis.__result", "result");
    if (result === undefined) throw new Error("the tests did not finish: a promise stayed pending");
    if (result.startsWith("!")) throw new Error(result);
    return result;
  };
  return { run, finish, engine };
}

const makers = { vm: vmWorld, engine: engineWorld };

/* A world with the runtime library in it, awake. */
export async function makeWorld(kind) {
  const world = await makers[kind]();
  world.run(read("prelude.js"), "prelude.js");
  world.run(await bundle(), "runtime.js");
  world.run(read("kit.js"), "kit.js");
  return world;
}

export async function runCases(kind, file) {
  const world = await makeWorld(kind);
  world.run(`globalThis.__worldKind = "${kind}"`, "kind");
  world.run(read(`cases/${file}`), file);
  world.run("__world.phase.awake = true", "awake");
  return JSON.parse(await world.finish("__runTests()"));
}
