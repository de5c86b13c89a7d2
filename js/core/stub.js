/*
 * stub: the calling side of an agent, and of the app's assets.
 *
 * Promise: fetch() passes a Request on without parsing it; calls made on one stub arrive in the order they were made.
 */
import { named } from "./base.js";
import { cfTextOf, isRequest, makeResponse, Request } from "../web/index.js";
import { callWithObjects } from "./callbacks.js";
import { BODY_STREAM, firstOf, openCall, OPENED, sendBody } from "./calls.js";
import { badArgument, illegalConstructor, notSupported } from "./errors.js";
import { followAll, replyFields, stateOf, toResponse, withoutFragment } from "./fetch.js";
import { host } from "./host.js";
import { addressless, later, received, SEND, transfer, WIRE } from "./capabilities.js";
import { wildcard } from "./rpc.js";
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

/* REPLY as a Response, when nothing more is to be done. */
function responseOf(status, statusText, headers, mode, body, socket) {
  return makeResponse(status, statusText, headers, mode, body, "", socket ? fromOuter(socket) : null);
}

function isPlain(status) {
  return status < 300 || status > 308 || status === 304;
}

/* Sends REQUEST by START(state, make): the usual case without a second look, redirects and HEAD with it. */
function fetchBy(request, start) {
  const state = stateOf(request);
  const isHead = state.method === "HEAD";
  return start(state, (status, statusText, headers, mode, body, socket) => {
    if (isPlain(status) && !isHead) return responseOf(status, statusText, headers, mode, body, socket);
    const reply = replyFields(status, statusText, headers, mode, body, socket);
    if (request.redirect !== "follow") return toResponse(reply, state, false);
    return followAll(state, reply, (next) => start(next, replyFields));
  });
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
    const cf = cfTextOf(request);
    return fetchBy(request, ({ method, url, flat, mode, body, signal }, make) => openCall((call) => {
      host.fetchAgent(call, this.#ns, this.#hex, this.name, method, withoutFragment(url), flat, mode, firstOf(mode, body), cf);
      if (mode === BODY_STREAM) sendBody(call, OPENED, body);
    }, make, undefined, signal));
  }

  [SEND](path, args) {
    let bytes;
    try {
      bytes = transfer(args);
    } catch (error) {
      return Promise.reject(error);
    }
    if (addressless.note(bytes)) return callWithObjects({ ns: this.#ns, hex: this.#hex, name: this.name }, path, bytes, this.#hex);
    return openCall((call) => {
      if (!(bytes instanceof Promise)) host.rpcAgent(call, this.#ns, this.#hex, this.name, path, bytes);
      else later(bytes, call, (ready) => host.rpcAgent(call, this.#ns, this.#hex, this.name, path, ready));
    }, received, this.#hex, undefined);
  }

  [WIRE]() {
    return ["agent", this.#ns, this.#hex, this.name];
  }
}
Object.setPrototypeOf(DurableObjectStub, Fetcher);
Object.setPrototypeOf(DurableObjectStub.prototype, Fetcher.prototype);
named(DurableObjectStub, "DurableObject");

/* env.ASSETS */
export class AssetsFetcher extends Fetcher {
  [FETCH](request) {
    return fetchBy(request, ({ method, url, flat, signal }, make) =>
      openCall((call) => host.fetchAssets(call, method, withoutFragment(url), flat), make, undefined, signal));
  }

  [SEND](path) {
    return Promise.reject(new TypeError(`The RPC receiver does not implement the method "${path}".`));
  }
}
named(AssetsFetcher, "Fetcher");
