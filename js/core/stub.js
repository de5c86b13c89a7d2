/*
 * stub: the calling side of an agent, and of the app's assets.
 *
 * Promise: fetch() passes a Request on without parsing it; calls made on one stub arrive in the order they were made.
 */
import { named } from "./base.js";
import { bodyMode, cfTextOf, flatOfMessage, isRequest, makeResponse, Request, signalIfAny, takeBody } from "../web/index.js";
import { callWithObjects } from "./callbacks.js";
import { beginCall, BODY_STREAM, failOpen, firstOf, lastOpened, openCall, OPENED, sendBody, watch } from "./calls.js";
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

/* REPLY of an agent or of the assets as a Response; redirects are followed unless the request leaves them to its client. */
function responseOf(status, statusText, headers, mode, body, socket, out) {
  const { request, stub } = out;
  if ((status < 300 || status > 308) && request.method !== "HEAD")
    return makeResponse(status, statusText, headers, mode, body, "", socket ? fromOuter(socket) : null);
  const reply = replyFields(status, statusText, headers, mode, body, socket);
  const state = stateOf(request, out.body);
  if (request.redirect !== "follow") return toResponse(reply, state, false);
  return followAll(state, reply, ({ method, url, flat, mode: bodyMode, body: again, signal }) =>
    openCall((call) => stub[HAND](call, method, url, flat, bodyMode, again, ""), replyFields, undefined, signal));
}

/* The common part of fetch() on stubs: stub[HAND](call, method, url, flat, mode, body, cf) gives the call to the host. */
const HAND = Symbol("hand");

function fetchBy(stub, request) {
  const signal = signalIfAny(request);
  if (signal !== undefined && signal.aborted) return Promise.reject(signal.reason);
  const mode = bodyMode(request);
  const body = mode === 0 ? undefined : takeBody(request);
  const promise = beginCall(responseOf, undefined, request, stub, body);
  const call = lastOpened();
  try {
    stub[HAND](call, request.method, request.url, flatOfMessage(request), mode, body, cfTextOf(request));
  } catch (error) {
    failOpen(call, error);
    return promise;
  }
  if (signal !== undefined) watch(signal, call);
  return promise;
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
    return fetchBy(this, request);
  }

  [HAND](call, method, url, flat, mode, body, cf) {
    host.fetchAgent(call, this.#ns, this.#hex, this.name, method, withoutFragment(url), flat, mode, firstOf(mode, body), cf);
    if (mode === BODY_STREAM) sendBody(call, OPENED, body);
  }

  [SEND](path, args) {
    let bytes;
    try {
      bytes = transfer(args);
    } catch (error) {
      return Promise.reject(error);
    }
    if (addressless.note(bytes)) return callWithObjects({ ns: this.#ns, hex: this.#hex, name: this.name }, path, bytes, this.#hex);
    const promise = beginCall(received, this.#hex, undefined, undefined, undefined);
    const call = lastOpened();
    if (bytes instanceof Promise) later(bytes, call, (ready) => host.rpcAgent(call, this.#ns, this.#hex, this.name, path, ready));
    else this.#hand(call, path, bytes);
    return promise;
  }

  #hand(call, path, bytes) {
    try {
      host.rpcAgent(call, this.#ns, this.#hex, this.name, path, bytes);
    } catch (error) {
      failOpen(call, error);
    }
  }

  [WIRE]() {
    return ["agent", this.#ns, this.#hex, this.name];
  }
}
Object.setPrototypeOf(DurableObjectStub, Fetcher);
Object.setPrototypeOf(DurableObjectStub.prototype, Fetcher.prototype);
named(DurableObjectStub, "DurableObject");

/* `stub.constructor(…)` could be a method of an agent that is called by mistake: it says what the platform says. */
function DurableObject() {
  throw illegalConstructor();
}
Object.defineProperty(DurableObject, "name", { value: "DurableObject" });
DurableObject.prototype = DurableObjectStub.prototype;
Object.defineProperty(DurableObjectStub.prototype, "constructor", { value: DurableObject, writable: true, configurable: true });

/* env.ASSETS */
export class AssetsFetcher extends Fetcher {
  [FETCH](request) {
    return fetchBy(this, request);
  }

  [HAND](call, method, url, flat) {
    host.fetchAssets(call, method, withoutFragment(url), flat);
  }

  [SEND](path) {
    return Promise.reject(new TypeError(`The RPC receiver does not implement the method "${path}".`));
  }
}
named(AssetsFetcher, "Fetcher");
