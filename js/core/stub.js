/*
 * stub: the calling side of an agent, and of the app's assets.
 *
 * Promise: fetch() passes a Request on without parsing it; calls made on one stub arrive in the order they were made.
 */
import { named } from "./base.js";
import { bodyMode, cfTextOf, flatOfMessage, isRequest, makeResponse, Request, signalIfAny, takeBody } from "../web/index.js";
import { BODY_STREAM, openCall, OPENED, sendBody } from "./calls.js";
import { badArgument, illegalConstructor, notSupported } from "./errors.js";
import { host } from "./host.js";
import { received, SEND, transfer, wildcard } from "./rpc.js";
import { fromOuter } from "./websocket.js";

/* object[FETCH](request) → promise of a Response. Symbols, since every name may be a method of an agent. */
export const FETCH = Symbol("fetch");
export const MADE = Symbol("made");

/* The request that fetch(input, init) means. */
export function requestOf(input, init) {
  if (init === undefined && isRequest(input)) return input;
  if (input === undefined) throw badArgument("fetch", "Fetcher", 1, "Request or string");
  return new Request(input, init);
}

/* REPLY as a Response. */
export function responseOf(status, statusText, headers, mode, body, socket) {
  return makeResponse(status, statusText, headers, mode, body, "", socket ? fromOuter(socket) : null);
}

/* What of a streaming body can go with the call itself. */
export function firstOf(mode, body) {
  return mode !== BODY_STREAM ? body : typeof body.take === "function" ? body.take() : undefined;
}

export class Fetcher {
  constructor(made) {
    if (made !== MADE) throw illegalConstructor();
  }

  fetch(input, init) {
    try {
      return this[FETCH](requestOf(input, init));
    } catch (error) {
      return Promise.reject(error);
    }
  }

  connect() {
    throw notSupported("connect() of a stub");
  }
}
Object.setPrototypeOf(Fetcher.prototype, wildcard);
named(Fetcher, "Fetcher");

/* Made for every get(): not derived by `extends`, whose constructors cost more; the prototype chain is set below. */
export class DurableObjectStub {
  name = undefined;                        /* fields: a mere assignment would ask the whole chain, and so the Proxy */
  id = undefined;
  #ns;
  #hex;

  constructor(made, ns, id, hex) {
    if (made !== MADE) throw illegalConstructor();
    this.name = id.name;
    this.id = id;
    this.#ns = ns;
    this.#hex = hex;
  }

  [FETCH](request) {
    const mode = bodyMode(request);
    const body = mode === 0 ? undefined : takeBody(request);
    return openCall((call) => {
      host.fetchAgent(call, this.#ns, this.#hex, this.name, request.method, request.url, flatOfMessage(request), mode,
        firstOf(mode, body), cfTextOf(request));
      if (mode === BODY_STREAM) sendBody(call, OPENED, body);
    }, responseOf, undefined, signalIfAny(request));
  }

  [SEND](path, args) {
    return openCall((call) => {
      host.rpcAgent(call, this.#ns, this.#hex, this.name, path, transfer(args));
    }, received, this.#hex, undefined);
  }
}
Object.setPrototypeOf(DurableObjectStub, Fetcher);
Object.setPrototypeOf(DurableObjectStub.prototype, Fetcher.prototype);
named(DurableObjectStub, "DurableObject");

/* env.ASSETS */
export class AssetsFetcher extends Fetcher {
  [FETCH](request) {
    return openCall((call) => host.fetchAssets(call, request.method, request.url, flatOfMessage(request)), responseOf, undefined,
      signalIfAny(request));
  }

  [SEND](path) {
    return Promise.reject(new TypeError(`The RPC receiver does not implement the method "${path}".`));
  }
}
named(AssetsFetcher, "Fetcher");
