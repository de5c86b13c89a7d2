/*
 * request: the Request interface (Fetch standard, with workerd's rules and texts).
 *
 * Promise: a Request made from an incoming call costs one object: headers, cf, signal and body are looked at only when touched.
 */
import { host } from "../core/host.js";
import { isSignal, neverAborted } from "./abort.js";
import {
  BODY, Body, extractBody, FLAT, flatOfMessage, forkBody, hostBody, IMMUTABLE, OWN, rawBody, takeBody, takeExtractedType,
} from "./body.js";
import { flatFromInit, flatHas, hasType } from "./headers.js";
import { hrefOf, isURL } from "./url.js";
import { finish } from "./util.js";

const MADE = Symbol("made");
const METHODS = new Map();
for (const method of ("GET HEAD POST PUT DELETE PATCH PURGE OPTIONS TRACE COPY LOCK MKCOL MOVE PROPFIND PROPPATCH SEARCH UNLOCK " +
  "ACL REPORT MKACTIVITY CHECKOUT MERGE MSEARCH NOTIFY SUBSCRIBE UNSUBSCRIBE QUERY BAN").split(" ")) {
  METHODS.set(method, method);
  METHODS.set(method.toLowerCase(), method);
}
METHODS.set("M-SEARCH", "M-SEARCH");

/* What few requests have; one shared object for all the others. */
class More {
  redirect = "follow";
  signal = undefined;
  makeSignal = undefined;
  cf = undefined;
  cfText = "";
  cache = undefined;
  integrity = "";
  keepalive = false;
  fetcher = null;
}
const PLAIN = Object.freeze(new More());
/* A request that came in is passed on with its redirects left to the client, as on workerd. */
const INCOMING = Object.freeze(Object.assign(new More(), { redirect: "manual" }));

function methodOf(value) {
  const text = `${value}`;
  const method = METHODS.get(text) ?? METHODS.get(text.toUpperCase());
  if (method === undefined) throw new TypeError("Invalid HTTP method string: " + text);
  return method;
}

function urlOf(input) {
  if (isURL(input)) return hrefOf(input);
  const text = `${input}`;
  const parts = host.urlParse(text, undefined);
  if (parts === undefined) throw new TypeError("Invalid URL: " + text);
  return parts[0];
}

function redirectOf(value) {
  if (value === "follow" || value === "manual") return value;
  throw new TypeError('Invalid redirect value, must be one of "follow" or "manual" ("error" won\'t be implemented since it does ' +
    "not make sense at the edge; use \"manual\" and check the response status code).");
}

function cacheOf(value) {
  if (value === "no-store" || value === "no-cache") return value;
  throw new TypeError("Unsupported cache mode: " + value);
}

function signalOf(value) {
  if (value === null) return null;
  if (!isSignal(value))
    throw new TypeError("Incorrect type for the 'signal' field on 'RequestInitializerDict': " +
      "the provided value is not of type 'AbortSignal'.");
  return value;
}

/* The rare fields of INIT over those of BASE; PLAIN when there is nothing to say. */
function moreOf(init, base) {
  const { redirect, signal, cf, cache, integrity, keepalive, fetcher } = init;
  if (redirect === undefined && signal === undefined && cf === undefined && cache === undefined && integrity === undefined &&
      keepalive === undefined && fetcher === undefined)
    return base;
  const more = Object.assign(new More(), base);
  if (redirect !== undefined) more.redirect = redirectOf(`${redirect}`);
  if (signal !== undefined) {
    more.signal = signalOf(signal);
    more.makeSignal = undefined;
  }
  if (cf !== undefined) more.cf = cf;
  if (cache !== undefined) more.cache = cacheOf(`${cache}`);
  if (integrity !== undefined) more.integrity = `${integrity}`;
  if (keepalive !== undefined) more.keepalive = !!keepalive;
  if (fetcher !== undefined) more.fetcher = fetcher;
  return more;
}

const METHOD = OWN;
const URL_TEXT = OWN + 1;
const MORE = OWN + 2;
const CALL = OWN + 3; /* the number of the incoming call, or undefined */
let internals;

/* The state of `new Request(input, init)`. */
function stateOf(input, init) {
  if (input === undefined)
    throw new TypeError("Failed to construct 'Request': constructor parameter 1 is not of type 'Request or string'.");
  const from = isRequest(input) ? input : undefined;
  const base = from === undefined ? undefined : internals.state(from);
  const state = base === undefined
    ? [null, false, "", null, false, "GET", urlOf(input), PLAIN]
    : [null, false, flatOfMessage(from), null, false, base[METHOD], base[URL_TEXT], Object.isFrozen(base[MORE]) ? base[MORE] : Object.assign(new More(), base[MORE]), base[CALL]];
  if (init === undefined) {
    if (from !== undefined && base[BODY] !== null) state[BODY] = moveBody(from);
    return state;
  }
  if (init === null || typeof init !== "object")
    throw new TypeError("Failed to construct 'Request': constructor parameter 2 is not of type 'RequestInitializerDict or Request'.");
  applyInit(state, init, from);
  return state;
}

/* A Request as INIT: its fields are taken as they are, without making objects by touching its getters. */
function applyRequest(state, init) {
  const base = internals.state(init);
  state[METHOD] = base[METHOD];
  state[MORE] = Object.isFrozen(base[MORE]) ? base[MORE] : Object.assign(new More(), base[MORE]);
  state[FLAT] = flatOfMessage(init);
  state[BODY] = moveBody(init);
}

function applyInit(state, init, from) {
  if (isRequest(init)) {
    applyRequest(state, init);
    return;
  }
  const { method, headers, body } = init;
  if (method !== undefined) state[METHOD] = methodOf(method);
  state[MORE] = moreOf(init, state[MORE]);
  if (headers !== undefined) state[FLAT] = headers === null ? "" : flatFromInit(headers);
  const known = headers === undefined ? undefined : hasType;
  const isBare = state[METHOD] === "GET" || state[METHOD] === "HEAD";
  if (body !== undefined && body !== null) {
    if (isBare) throw new TypeError("Request with a GET or HEAD method cannot have a body.");
    state[BODY] = extractBody(body);
    const type = takeExtractedType();
    if (type !== null && !(known ?? flatHas(state[FLAT], "content-type"))) state[FLAT] += "content-type\n" + type + "\n";
  } else if (from !== undefined && body === undefined) {
    if (isBare && rawBody(from) !== null) throw new TypeError("Request with a GET or HEAD method cannot have a body.");
    state[BODY] = moveBody(from);
  }
}

/* The body of another request, which is used from now on. */
function moveBody(from) {
  if (from.bodyUsed) throw new TypeError("Cannot reconstruct a Request with a used body.");
  return takeBody(from) ?? null;
}

export class Request extends Body {
  #state;

  constructor(input, init) {
    const state = input === MADE ? init : stateOf(input, init);
    super(state);
    this.#state = state;
  }

  get method() {
    return this.#state[METHOD];
  }
  get url() {
    return this.#state[URL_TEXT];
  }
  get redirect() {
    return this.#state[MORE].redirect;
  }
  get cache() {
    return this.#state[MORE].cache;
  }
  get integrity() {
    return this.#state[MORE].integrity;
  }
  get keepalive() {
    return this.#state[MORE].keepalive;
  }
  get fetcher() {
    return this.#state[MORE].fetcher;
  }

  get signal() {
    const more = this.#own();
    if (more.signal === undefined || more.signal === null)
      more.signal = this.#makeSignal(more);
    return more.signal;
  }

  #makeSignal(more) {
    const call = this.#state[CALL];
    if (more.makeSignal !== undefined) return more.makeSignal();
    return call === undefined || signalSource === undefined ? neverAborted() : signalSource(call);
  }

  get cf() {
    const more = this.#state[MORE];
    if (more.cf === undefined && more.cfText !== "") return (this.#own().cf = JSON.parse(more.cfText));
    return more.cf;
  }

  clone() {
    const state = this.#state;
    const more = state[MORE];
    return new Request(MADE, [forkBody(this), false, flatOfMessage(this), null, state[IMMUTABLE], state[METHOD], state[URL_TEXT],
      Object.isFrozen(more) ? more : Object.assign(new More(), more)]);
  }

  /* The rare fields, no longer shared. */
  #own() {
    const state = this.#state;
    if (Object.isFrozen(state[MORE])) state[MORE] = Object.assign(new More(), state[MORE]);
    return state[MORE];
  }

  static {
    internals = { state: (request) => request.#state, own: (request) => request.#own(), brand: (value) => #state in value };
  }
}
finish(Request, "Request", 1);

export function isRequest(value) {
  return typeof value === "object" && value !== null && internals.brand(value);
}

/* A Request of an incoming call: nothing is checked. MODE 0 none, 1 whole, 2 BODY is a BodySource. CF: JSON text or "". */
export function makeRequest(method, url, flat, mode, body, cf, call) {
  let more = INCOMING;
  if (cf !== undefined && cf !== "") {
    more = new More();
    more.redirect = "manual";
    more.cfText = cf;
  }
  return new Request(MADE, [mode === 0 ? null : hostBody(mode, body), false, flat, null, true, method, url, more, call]);
}

/* FN(call) gives the signal of an incoming request when it is touched for the first time. */
let signalSource;
export function setSignalSource(fn) {
  signalSource = fn;
}

/* FN() gives the signal when `.signal` is touched for the first time. */
export function lazySignal(request, fn) {
  internals.own(request).makeSignal = fn;
}

/* The signal that was set or touched, or undefined: for fetch(), which need not make one. */
export function signalIfAny(request) {
  const { signal, makeSignal } = internals.state(request)[MORE];
  return signal ?? (makeSignal === undefined ? undefined : request.signal);
}

/* The cf object as JSON text, or "". */
export function cfTextOf(request) {
  const { cf, cfText } = internals.state(request)[MORE];
  return cf === undefined || cf === null ? cfText : JSON.stringify(cf);
}
