/*
 * response: the Response interface (Fetch standard, with workerd's rules and texts).
 *
 * Promise: `new Response(text, init)` and `Response.json(value)` build the flat headers and keep the text; no Headers object, no
 * stream is made unless the app touches them.
 */
import { host } from "../core/host.js";
import {
  BODY, Body, extractBody, FLAT, flatOfMessage, forkBody, hostBody, IMMUTABLE, OWN, takeExtractedType,
} from "./body.js";
import { flatFromInit, flatHas, hasType } from "./headers.js";
import { finish } from "./util.js";

const MADE = Symbol("made");
const JSON_FLAT = "content-type\napplication/json\n";
const NULL_STATUS = "Response with null body status (101, 204, 205, or 304) cannot have a body.";
const REDIRECTS = [301, 302, 303, 307, 308];
const isNullStatus = (status) => status === 204 || status === 205 || status === 304 || status === 101;

class More {
  type = "default";
  url = "";
  redirected = false;
  webSocket = null;
  cf = undefined;
  encodeBody = "automatic";
}
const PLAIN = Object.freeze(new More());
let SocketClass;

/* The class that `webSocket` must be an instance of (js/core's WebSocket). */
export function setSocketClass(klass) {
  SocketClass = klass;
}

function statusTextOf(value) {
  const text = `${value}`;
  if (/[\0-\x08\x0a-\x1f\x7f]/.test(text)) throw new TypeError("Invalid statusText");
  return text;
}

function socketOf(value) {
  if (SocketClass !== undefined && !(value instanceof SocketClass))
    throw new TypeError("Incorrect type for the 'webSocket' field on 'InitializerDict': the provided value is not of type 'WebSocket'.");
  return value;
}

function moreOf(webSocket, cf, encodeBody) {
  const more = new More();
  if (webSocket !== undefined && webSocket !== null) more.webSocket = socketOf(webSocket);
  if (cf !== undefined && cf !== null) more.cf = cf;
  if (encodeBody !== undefined) {
    if (encodeBody !== "automatic" && encodeBody !== "manual")
      throw new TypeError("encodeBody: unexpected value: " + encodeBody);
    more.encodeBody = encodeBody;
  }
  return more;
}

function checkStatus(value, more) {
  const status = typeof value === "number" ? value : Number(value);
  if (more.webSocket !== null) {
    if (status !== 101) throw new RangeError("Responses with a WebSocket must have status code 101.");
  } else if (!(status >= 200 && status <= 599)) {
    throw new RangeError("Responses may only be constructed with status codes in the range 200 to 599, inclusive.");
  }
  return Math.trunc(status);
}

const STATUS = OWN;
const STATUS_TEXT = OWN + 1;
const MORE = OWN + 2;
let internals;

/* The state of `new Response(body, init)`, without the body. */
function stateOf(init) {
  if (init === null || typeof init !== "object")
    throw new TypeError("Failed to construct 'Response': constructor parameter 2 is not of type 'InitializerDict or Response'.");
  const { status, statusText, headers, webSocket, cf, encodeBody } = init;
  const more = webSocket == null && cf === undefined && encodeBody === undefined ? PLAIN : moreOf(webSocket, cf, encodeBody);
  const code = status === undefined && more.webSocket === null ? 200 : checkStatus(status === undefined ? 200 : status, more);
  return [null, false, headers == null ? "" : flatFromInit(headers), null, false, code,
    statusText === undefined || statusText === "" ? "" : statusTextOf(statusText), more];
}

function stateWithBody(body, init) {
  if (init === undefined) {
    const whole = extractBody(body);
    const type = takeExtractedType();
    return [whole, false, type === null ? "" : "content-type\n" + type + "\n", null, false, 200, "", PLAIN];
  }
  const state = stateOf(init);
  if (body === undefined || body === null) return state;
  const known = state[FLAT] === "" ? false : hasType;
  if (isNullStatus(state[STATUS])) {
    if (body !== "") throw new TypeError(NULL_STATUS);
    return state;
  }
  state[BODY] = extractBody(body);
  const type = takeExtractedType();
  if (type !== null && !(known ?? flatHas(state[FLAT], "content-type"))) state[FLAT] += "content-type\n" + type + "\n";
  return state;
}

export class Response extends Body {
  #state;

  constructor(body, init) {
    const state = init === MADE ? body : stateWithBody(body, init);
    super(state);
    this.#state = state;
  }

  static json(data, init) {
    const text = JSON.stringify(data) ?? "undefined";
    if (init === undefined) return new Response([text, false, JSON_FLAT, null, false, 200, "", PLAIN], MADE);
    const state = stateOf(init);
    if (isNullStatus(state[STATUS])) throw new TypeError(NULL_STATUS);
    state[BODY] = text;
    if (state[FLAT] === "" || !(hasType ?? flatHas(state[FLAT], "content-type"))) state[FLAT] += JSON_FLAT;
    return new Response(state, MADE);
  }

  static redirect(url, status = 302) {
    const parts = host.urlParse(`${url}`, undefined);
    if (parts === undefined) throw new TypeError("Unable to parse URL: " + url);
    const code = Number(status);
    if (!REDIRECTS.includes(code))
      throw new RangeError(`${status} is not a redirect status code. It must be one of: 301, 302, 303, 307, or 308.`);
    return new Response([null, false, "location\n" + parts[0] + "\n", null, true, code, "", PLAIN], MADE);
  }

  static error() {
    const more = new More();
    more.type = "error";
    return new Response([null, false, "", null, true, 0, "", more], MADE);
  }

  get status() {
    return this.#state[STATUS];
  }
  get statusText() {
    return this.#state[STATUS_TEXT];
  }
  get ok() {
    return this.#state[STATUS] >= 200 && this.#state[STATUS] <= 299;
  }
  get type() {
    return this.#state[MORE].type;
  }
  get url() {
    return this.#state[MORE].url;
  }
  get redirected() {
    return this.#state[MORE].redirected;
  }
  get webSocket() {
    return this.#state[MORE].webSocket;
  }
  get cf() {
    return this.#state[MORE].cf;
  }

  clone() {
    if (this.#state[MORE].webSocket !== null) throw new TypeError("Cannot clone a response to a WebSocket handshake.");
    const state = this.#state;
    return new Response([forkBody(this), false, flatOfMessage(this), null, state[IMMUTABLE], state[STATUS], state[STATUS_TEXT], state[MORE]],
      MADE);
  }

  static {
    internals = { more: (response) => response.#state[MORE], brand: (value) => #state in value };
  }
}
finish(Response, "Response", 0);

export function isResponse(value) {
  return typeof value === "object" && value !== null && internals.brand(value);
}

/* A Response that came from elsewhere: nothing is checked, headers are immutable. */
export function makeResponse(status, statusText, flat, mode, body, url, webSocket, redirected = false) {
  let more = PLAIN;
  if (url || webSocket || redirected) {
    more = new More();
    more.url = url === undefined ? "" : url;
    more.webSocket = webSocket === undefined ? null : webSocket;
    more.redirected = redirected;
  }
  return new Response([mode === 0 ? null : hostBody(mode, body), false, flat, null, true, status, statusText, more], MADE);
}

/* "automatic" or "manual": whether the host may compress the body. */
export function encodeBodyOf(response) {
  return internals.more(response).encodeBody;
}
