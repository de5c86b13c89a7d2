/*
 * exports: ctx.exports and `exports` of "cloudflare:workers": the app's own entrypoints and namespaces, by export name.
 *
 * Promise: a class that extends DurableObject is a namespace that is callable too; everything else that handles events is a service
 * stub that runs in this heap, its arguments and results copied as if it ran elsewhere.
 */
import { isResponse } from "../web/index.js";
import { DurableObject, WorkerEntrypoint, named } from "./base.js";
import { currentEnv, isAgentClass } from "./env.js";
import { CLASS } from "./facets.js";
import { runFetch } from "./handlers.js";
import { messageOf, packError, REMOTE, reviveError } from "./errors.js";
import { host } from "./host.js";
import { DurableObjectNamespace } from "./namespace.js";
import { links, received, SEND, transfer } from "./capabilities.js";
import { invoke } from "./rpc.js";
import { Fetcher, FETCH, MADE, requestOf } from "./stub.js";

let cached;

/* The object itself is ordinary: names are known once the bundle is evaluated. */
export function appExports() {
  if (cached !== undefined) return cached;
  cached = {};
  const module = host.exports();
  const names = Object.keys(module);
  if (names.includes("default")) names.unshift(...names.splice(names.indexOf("default"), 1));
  for (const name of names) {
    const loopback = loopbackOf(name, module[name]);
    if (loopback !== undefined) cached[name] = loopback;
  }
  return cached;
}

function isClass(value, base) {
  return typeof value === "function" && (value === base || value.prototype instanceof base);
}

function loopbackOf(name, value) {
  if (isClass(value, DurableObject)) return name === "default" ? undefined : loopbackNamespace(name);
  if (isClass(value, WorkerEntrypoint)) return loopbackService(name, value, {});
  if (typeof value === "object" && value !== null) return loopbackService(name, value, {});
  /* A class without a base may still be an agent's: the namespaces of the app tell. */
  if (typeof value === "function" && isAgentClass(name)) return loopbackNamespace(name);
  return undefined;
}

export class LoopbackDurableObjectNamespace extends DurableObjectNamespace {}
export class LoopbackServiceStub extends Fetcher {}
named(LoopbackDurableObjectNamespace, "LoopbackDurableObjectNamespace");
named(LoopbackServiceStub, "LoopbackServiceStub");

function loopbackNamespace(name) {
  const namespace = new LoopbackDurableObjectNamespace(MADE, name, undefined);
  const callable = (options) => ({ [CLASS]: { name, props: options?.props } });
  Object.defineProperty(callable, CLASS, { value: { name, props: undefined } });
  for (const method of ["newUniqueId", "idFromName", "idFromString", "get", "getByName", "jurisdiction"])
    Object.defineProperty(callable, method, { value: (...args) => namespace[method](...args), configurable: true });
  delete callable.name;
  delete callable.length;
  return Object.setPrototypeOf(callable, LoopbackDurableObjectNamespace.prototype);
}

/* Runs the entrypoint VALUE (class or object of handlers) with PROPS in this heap. */
class LocalService {
  constructor(name, value, props) {
    this.name = name;
    this.value = value;
    this.props = props;
  }

  instance() {
    const ctx = makeLocalContext(this.props);
    return typeof this.value === "function"
      ? { target: new this.value(ctx, currentEnv()), ctx, isClass: true }
      : { target: this.value, ctx, isClass: false };
  }

  async fetch(request) {
    const { target, ctx, isClass: hasClass } = this.instance();
    const response = await runFetch(target, request, currentEnv(), ctx, hasClass);
    if (!isResponse(response)) throw new TypeError("Incorrect type for Promise: the Promise did not resolve to 'Response'.");
    return response;
  }

  async call(path, args) {
    const bytes = args === undefined ? undefined : await transfer(args, true);
    let result;
    try {
      const { target, isClass: hasClass } = this.instance();
      if (!hasClass) throw new TypeError(`The RPC receiver does not implement the method "${path}".`);
      result = await transfer(await invoke(target, path, bytes === undefined ? undefined : received(bytes)), true);
    } catch (error) {
      throw reviveError(messageOf(error), packError(error), REMOTE, undefined);
    }
    return received(result);
  }
}

let makeLocalContext;

/* entry.js gives the class of ctx, which needs this module. */
export function setContextMaker(fn) {
  makeLocalContext = fn;
}

function loopbackService(name, value, props) {
  const service = new LocalService(name, value, props);
  const callable = (options) => loopbackService(name, value, options?.props ?? {});
  Object.defineProperty(callable, FETCH, { value: (request) => service.fetch(requestOf(request)) });
  Object.defineProperty(callable, SEND, { value: (path, args) => service.call(path, args) });
  delete callable.name;
  delete callable.length;
  return Object.setPrototypeOf(callable, LoopbackServiceStub.prototype);
}

links.classByName = (name) => {
  const all = appExports();
  return Object.hasOwn(all, name) && all[name][CLASS] !== undefined ? all[name] : undefined;
};
