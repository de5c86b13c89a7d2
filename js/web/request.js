/*
 * request: the Request interface (Fetch standard, with workerd's rules and texts).
 *
 * Promise: a Request made from an incoming call costs one object: headers, cf, signal and body are looked at only when touched.
 */
import { host } from "../core/host.js";
import { isSignal, neverAborted } from "./abort.js";
import { Body, extractBody, flatOfMessage, forkBody, hostBody, rawBody, takeBody, takeExtractedType, withType } from "./body.js";
import { flatFromInit } from "./headers.js";
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

let internals;

/* The parts of a request under construction; read by the constructor, which must call super() first. */
const build = { url: "", method: "", more: PLAIN, flat: "", body: null };

function prepare(input, init) {
  const from = isRequest(input) ? input : undefined;
  build.url = from === undefined ? urlOf(input) : internals.url(from);
  build.method = from === undefined ? "GET" : internals.method(from);
  build.more = from === undefined ? PLAIN : internals.more(from);
  build.flat = from === undefined ? "" : flatOfMessage(from);
  build.body = null;
  if (init === null || (init !== undefined && typeof init !== "object"))
    throw new TypeError("Failed to construct 'Request': constructor parameter 2 is not of type 'RequestInitializerDict or Request'.");
  if (init === undefined) {
    if (from !== undefined) build.body = moveBody(from);
    return;
  }
  prepareInit(init, from);
}

function prepareInit(init, from) {
  const { method, headers, body } = init;
  if (method !== undefined) build.method = methodOf(method);
  build.more = moreOf(init, build.more);
  if (headers !== undefined) build.flat = headers === null ? "" : flatFromInit(headers);
  const bare = build.method === "GET" || build.method === "HEAD";
  if (body !== undefined && body !== null) {
    if (bare) throw new TypeError("Request with a GET or HEAD method cannot have a body.");
    build.body = isRequest(init) ? moveBody(init) : extractBody(body);
    build.flat = withType(build.flat, isRequest(init) ? null : takeExtractedType());
  } else if (from !== undefined && body === undefined) {
    if (bare && rawBody(from) !== null) throw new TypeError("Request with a GET or HEAD method cannot have a body.");
    build.body = moveBody(from);
  }
}

/* The body of another request, which is used from now on. */
function moveBody(from) {
  if (from.bodyUsed) throw new TypeError("Cannot reconstruct a Request with a used body.");
  if (rawBody(from) === null) return null;
  return takeBody(from);
}

export class Request extends Body {
  #method;
  #url;
  #more;

  constructor(input, init, url, flat, body, more) {
    if (input === MADE) {
      super(body, flat, more.immutable === true);
      this.#method = init;
      this.#url = url;
      this.#more = more;
      return;
    }
    if (input === undefined)
      throw new TypeError("Failed to construct 'Request': constructor parameter 1 is not of type 'Request or string'.");
    prepare(input, init);
    super(build.body, build.flat, false);
    this.#method = build.method;
    this.#url = build.url;
    this.#more = build.more;
    build.body = null;
  }

  get method() {
    return this.#method;
  }
  get url() {
    return this.#url;
  }
  get redirect() {
    return this.#more.redirect;
  }
  get cache() {
    return this.#more.cache;
  }
  get integrity() {
    return this.#more.integrity;
  }
  get keepalive() {
    return this.#more.keepalive;
  }
  get fetcher() {
    return this.#more.fetcher;
  }

  get signal() {
    const more = this.#own();
    if (more.signal === undefined || more.signal === null)
      more.signal = more.makeSignal === undefined ? neverAborted() : more.makeSignal();
    return more.signal;
  }

  get cf() {
    const more = this.#more;
    if (more.cf === undefined && more.cfText !== "") return (this.#own().cf = JSON.parse(more.cfText));
    return more.cf;
  }

  clone() {
    const more = this.#more;
    return new Request(MADE, this.#method, this.#url, flatOfMessage(this), forkBody(this),
      Object.isFrozen(more) ? more : Object.assign(new More(), more));
  }

  /* The rare fields, no longer shared. */
  #own() {
    if (Object.isFrozen(this.#more)) this.#more = Object.assign(new More(), this.#more);
    return this.#more;
  }

  static {
    internals = {
      url: (request) => request.#url,
      method: (request) => request.#method,
      more: (request) => request.#more,
      own: (request) => request.#own(),
      brand: (value) => #url in value,
    };
  }
}
finish(Request, "Request", 1);

const INCOMING = Object.freeze(Object.assign(new More(), { immutable: true }));

export function isRequest(value) {
  return typeof value === "object" && value !== null && internals.brand(value);
}

/* A Request of an incoming call: nothing is checked. MODE 0 none, 1 whole, 2 BODY is a BodySource. CF: JSON text or "". */
export function makeRequest(method, url, flat, mode, body, cf) {
  let more = INCOMING;
  if (cf !== undefined && cf !== "") {
    more = Object.assign(new More(), INCOMING);
    more.cfText = cf;
  }
  return new Request(MADE, method, url, flat, mode === 0 ? null : hostBody(mode, body), more);
}

/* FN() gives the signal when `.signal` is touched for the first time. */
export function lazySignal(request, fn) {
  internals.own(request).makeSignal = fn;
}

/* The signal that was set or touched, or undefined: for fetch(), which need not make one. */
export function signalIfAny(request) {
  const { signal, makeSignal } = internals.more(request);
  return signal ?? (makeSignal === undefined ? undefined : request.signal);
}

/* The cf object as JSON text, or "". */
export function cfTextOf(request) {
  const { cf, cfText } = internals.more(request);
  return cf === undefined || cf === null ? cfText : JSON.stringify(cf);
}
