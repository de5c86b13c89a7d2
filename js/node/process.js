/*
 * node:process and the global `process`: environment, nextTick, and fixed answers.
 *
 * process.env is a plain object of strings; js/core fills it from the app's variables (setProcessEnv).
 */
import { host } from "../core/host.js";
import { reportException } from "../web/util.js";
import { EventEmitter } from "./events.js";
import { notHere } from "./errors.js";

export const VERSION = "v22.19.0"; /* the Node release whose behaviour these modules follow */

export function nextTick(callback, ...args) {
  if (typeof callback !== "function") throw new TypeError('The "callback" argument must be of type function.');
  host.microtask(() => {
    try {
      callback(...args);
    } catch (error) {
      reportException(error);
    }
  });
}

function emitWarning(warning, typeOrOptions) {
  const type = typeof typeOrOptions === "object" && typeOrOptions !== null ? typeOrOptions.type : typeOrOptions;
  const error = warning instanceof Error ? warning : Object.assign(new Error(`${warning}`), { name: type ?? "Warning" });
  nextTick(() => {
    if (!process.emit("warning", error)) console.warn(`${error.name}: ${error.message}`);
  });
}

function hrtime(before) {
  const ms = host.mono();
  let seconds = Math.floor(ms / 1000);
  let nanos = Math.floor((ms % 1000) * 1e6);
  if (before !== undefined) {
    seconds -= before[0];
    nanos -= before[1];
    if (nanos < 0) {
      seconds -= 1;
      nanos += 1e9;
    }
  }
  return [seconds, nanos];
}
hrtime.bigint = () => BigInt(Math.floor(host.mono() * 1e6));

const writer = (level) => ({
  isTTY: false,
  writable: true,
  write(text, _encoding, callback) {
    host.log(level, `${text}`.replace(/\n$/, ""));
    const done = typeof _encoding === "function" ? _encoding : callback;
    if (typeof done === "function") nextTick(done);
    return true;
  },
  on() {
    return this;
  },
  once() {
    return this;
  },
  end() {},
});

export const process = Object.assign(Object.create(EventEmitter.prototype), {
  title: "workerd",
  version: VERSION,
  versions: Object.freeze({ node: VERSION.slice(1) }),
  release: Object.freeze({ name: "node", lts: "Jod" }),
  arch: "x64",
  platform: "linux",
  env: {},
  argv: ["workerd"],
  argv0: "workerd",
  execArgv: [],
  execPath: "",
  exitCode: undefined,
  pid: 1,
  ppid: 0,
  features: Object.freeze({}),
  config: Object.freeze({ target_defaults: {}, variables: {} }),
  stdout: writer(1),
  stderr: writer(3),
  nextTick,
  emitWarning,
  hrtime,
  cwd: () => "/bundle",
  chdir() {
    throw notHere("process.chdir()");
  },
  umask: () => 0o022,
  uptime: () => host.mono() / 1000,
  memoryUsage: Object.assign(() => ({ rss: 0, heapTotal: 0, heapUsed: 0, external: 0, arrayBuffers: 0 }), { rss: () => 0 }),
  cpuUsage: () => ({ user: 0, system: 0 }),
  resourceUsage: () => ({}),
  getuid: () => 0,
  getgid: () => 0,
  geteuid: () => 0,
  getegid: () => 0,
  kill() {
    throw notHere("process.kill()");
  },
  exit(code) {
    throw new Error(`process.exit(${code ?? ""}) called: an agent cannot end its process. Use ctx.abort() to reset it.`);
  },
  abort() {
    throw notHere("process.abort()");
  },
  binding() {
    throw notHere("process.binding()");
  },
  getBuiltinModule: (name) => builtin(name),
  allowedNodeEnvironmentFlags: new Set(),
  setUncaughtExceptionCaptureCallback() {},
  hasUncaughtExceptionCaptureCallback: () => false,
  setSourceMapsEnabled() {},
});
Object.defineProperty(process, Symbol.toStringTag, { value: "process", configurable: true });

let builtin = () => undefined;

/* Where process.getBuiltinModule() looks. */
export function setBuiltins(find) {
  builtin = find;
}

/* The variables of the app, as strings. */
export function setProcessEnv(vars) {
  for (const name of Object.keys(vars)) process.env[name] = typeof vars[name] === "string" ? vars[name] : JSON.stringify(vars[name]);
}

export default process;
