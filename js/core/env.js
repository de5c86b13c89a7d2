/*
 * env: the bindings an app sees, made from the host's JSON, and what its compatibility date means for the core.
 *
 * env JSON: {vars: {NAME: value}, namespaces: [{binding, class}], assets: {binding}, classes: [names of the app's object classes]};
 * every field may be absent. compat JSON: {date: "YYYY-MM-DD", flags: [names], dev: boolean}.
 */
import { modules, setProcessEnv } from "../node/index.js";
import { DurableObjectNamespace } from "./namespace.js";
import { rules as storageRules } from "./storage.js";
import { AssetsFetcher, MADE } from "./stub.js";
import { rules as socketRules } from "./websocket.js";

let base;                                  /* the env of this heap */
let overrides;                             /* AsyncLocalStorage of withEnv(), made when first used */
let classNames = new Set();
let preparedWith = {};                     /* the host's texts */

/* What of the app's settings other modules ask for. */
export const settings = { isDev: false };

/* The value of a name from text that an app's author wrote: never through a setter of Object.prototype. */
function bind(env, name, value) {
  Object.defineProperty(env, name, { value, writable: true, enumerable: true, configurable: true });
}

/* Once per text: what the template was prepared with is there when a heap is born, with what the app's module did to it. */
export function setUp(envJson, compatJson) {
  if (envJson === preparedWith.env && compatJson === preparedWith.compat) return base;
  preparedWith = { env: envJson, compat: compatJson };
  const given = envJson ? JSON.parse(envJson) : {};
  const env = {};
  for (const name of Object.keys(given.vars ?? {})) bind(env, name, given.vars[name]);
  classNames = new Set(given.classes ?? []);
  for (const { binding, class: className } of given.namespaces ?? []) {
    classNames.add(className);
    bind(env, binding, new DurableObjectNamespace(MADE, className, undefined));
  }
  if (given.assets?.binding) bind(env, given.assets.binding, new AssetsFetcher(MADE));
  base = env;
  setProcessEnv(given.vars ?? {});
  applyCompatibility(compatJson ? JSON.parse(compatJson) : {});
  return env;
}

export function isAgentClass(name) {
  return classNames.has(name);
}

/* A behaviour that is on from DATE on, unless a flag says otherwise. */
function isOn(compat, date, enable, disable) {
  const flags = compat.flags ?? compat.compatibility_flags ?? [];
  if (flags.includes(enable)) return true;
  if (flags.includes(disable)) return false;
  const chosen = compat.date ?? compat.compatibility_date;
  return chosen === undefined || chosen >= date;
}

function applyCompatibility(compat) {
  settings.isDev = compat.dev === true;
  storageRules.doesDeleteAllDeleteAlarm = isOn(compat, "2026-02-24", "delete_all_deletes_alarm", "delete_all_preserves_alarm");
  socketRules.isBlobDefault = isOn(compat, "2026-03-17", "websocket_standard_binary_type", "no_websocket_standard_binary_type");
  socketRules.isReasonLimited = isOn(compat, "2026-03-03", "websocket_close_reason_byte_limit", "no_websocket_close_reason_byte_limit");
  socketRules.isHalfOpenDefault = !isOn(compat, "2026-04-07", "web_socket_auto_reply_to_close", "web_socket_manual_reply_to_close");
}

/* ---- importable env and exports (withEnv, withExports) -------------------------------------------------------------- */

export function currentEnv() {
  return overrides?.getStore()?.env ?? base;
}

export function currentExportsOverride() {
  return overrides?.getStore()?.exports;
}

function withOverride(change, callback) {
  overrides ??= new modules["node:async_hooks"].AsyncLocalStorage();
  return overrides.run({ ...overrides.getStore(), ...change }, callback);
}

export function withEnv(env, callback) {
  return withOverride({ env }, callback);
}

export function withExports(exports, callback) {
  return withOverride({ exports }, callback);
}

export function withEnvAndExports(env, exports, callback) {
  return withOverride({ env, exports }, callback);
}
