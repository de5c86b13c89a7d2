/*
 * response: the Response interface (Fetch standard, with workerd's rules and texts).
 *
 * Promise: `new Response(text, init)` and `Response.json(value)` build the flat headers and keep the text; no Headers object, no
 * stream is made unless the app touches them.
 */
import { host } from "../core/host.js";
import { Body, extractBody, flatOfMessage, forkBody, hostBody, takeExtractedType, withType } from "./body.js";
import { flatFromInit } from "./headers.js";
import { finish } from "./util.js";

const MADE = Symbol("made");
const JSON_FLAT = "content-type\napplication/json\n";
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

function moreOf(init) {
  const { webSocket, cf, encodeBody } = init;
  if ((webSocket === undefined || webSocket === null) && cf === undefined && encodeBody === undefined) return PLAIN;
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

/* The parts of a response under construction; read by the constructor, which must call super() first. */
const build = { status: 200, statusText: "", more: PLAIN, flat: "", body: null };

function checkStatus(value, more) {
  const status = typeof value === "number" ? value : Number(value);
  if (more.webSocket !== null) {
    if (status !== 101) throw new RangeError("Responses with a WebSocket must have status code 101.");
  } else if (!(status >= 200 && status <= 599)) {
    throw new RangeError("Responses may only be constructed with status codes in the range 200 to 599, inclusive.");
  }
  return Math.trunc(status);
}

function prepare(body, init) {
  if (init === null || typeof init !== "object")
    throw new TypeError("Failed to construct 'Response': constructor parameter 2 is not of type 'InitializerDict or Response'.");
  const { status, statusText, headers } = init;
  const more = moreOf(init);
  build.more = more;
  build.status = status === undefined && more.webSocket === null ? 200 : checkStatus(status === undefined ? 200 : status, more);
  build.statusText = statusText === undefined || statusText === "" ? "" : statusTextOf(statusText);
  build.flat = headers === undefined || headers === null ? "" : isResponse(init) ? flatOfMessage(init) : flatFromInit(headers);
  if (isNullStatus(build.status) && body !== null && body !== undefined) {
    if (body !== "") throw new TypeError("Response with null body status (101, 204, 205, or 304) cannot have a body.");
    body = null;
  }
  build.body = extractBody(body);
  build.flat = withType(build.flat, takeExtractedType());
}

let internals;

export class Response extends Body {
  #status;
  #statusText;
  #more;

  constructor(body, init, status, statusText, flat, more) {
    if (init === MADE) {
      super(body, flat, more.immutable === true);
      this.#status = status;
      this.#statusText = statusText;
      this.#more = more;
      return;
    }
    if (init === undefined) {
      const whole = extractBody(body);
      super(whole, withType("", takeExtractedType()), false);
      this.#status = 200;
      this.#statusText = "";
      this.#more = PLAIN;
      return;
    }
    prepare(body, init);
    super(build.body, build.flat, false);
    this.#status = build.status;
    this.#statusText = build.statusText;
    this.#more = build.more;
    build.body = null;
  }

  static json(data, init) {
    const text = JSON.stringify(data);
    const body = text === undefined ? "undefined" : text;
    if (init === undefined) return new Response(body, MADE, 200, "", JSON_FLAT, PLAIN);
    prepare(null, init);
    if (isNullStatus(build.status)) throw new TypeError("Response with null body status (101, 204, 205, or 304) cannot have a body.");
    const flat = build.flat === "" ? JSON_FLAT : withType(build.flat, "application/json");
    return new Response(body.isWellFormed() ? body : body.toWellFormed(), MADE, build.status, build.statusText, flat, build.more);
  }

  static redirect(url, status = 302) {
    const parts = host.urlParse(`${url}`, undefined);
    if (parts === undefined) throw new TypeError("Unable to parse URL: " + url);
    const code = Number(status);
    if (!REDIRECTS.includes(code))
      throw new RangeError(`${status} is not a redirect status code. It must be one of: 301, 302, 303, 307, or 308.`);
    return new Response(null, MADE, code, "", "location\n" + parts[0] + "\n", IMMUTABLE);
  }

  static error() {
    const more = Object.assign(new More(), { type: "error", immutable: true });
    return new Response(null, MADE, 0, "", "", more);
  }

  get status() {
    return this.#status;
  }
  get statusText() {
    return this.#statusText;
  }
  get ok() {
    return this.#status >= 200 && this.#status <= 299;
  }
  get type() {
    return this.#more.type;
  }
  get url() {
    return this.#more.url;
  }
  get redirected() {
    return this.#more.redirected;
  }
  get webSocket() {
    return this.#more.webSocket;
  }
  get cf() {
    return this.#more.cf;
  }

  clone() {
    if (this.#more.webSocket !== null) throw new TypeError("Cannot clone a response to a WebSocket handshake.");
    return new Response(forkBody(this), MADE, this.#status, this.#statusText, flatOfMessage(this), this.#more);
  }

  static {
    internals = {
      more: (response) => response.#more,
      brand: (value) => #status in value,
    };
  }
}
finish(Response, "Response", 0);

const IMMUTABLE = Object.freeze(Object.assign(new More(), { immutable: true }));

export function isResponse(value) {
  return typeof value === "object" && value !== null && internals.brand(value);
}

/* A Response that came from elsewhere: nothing is checked, headers are immutable. */
export function makeResponse(status, statusText, flat, mode, body, url, webSocket, redirected = false) {
  const more = new More();
  more.immutable = true;
  more.url = url === undefined ? "" : url;
  more.webSocket = webSocket === undefined ? null : webSocket;
  more.redirected = redirected;
  return new Response(mode === 0 ? null : hostBody(mode, body), MADE, status, statusText, flat, more);
}

/* "automatic" or "manual": whether the host may compress the body. */
export function encodeBodyOf(response) {
  return internals.more(response).encodeBody;
}
