/*
 * websocket: WebSocket and WebSocketPair.
 *
 * Promise: two ends of a pair accepted in one heap talk to each other in order; an end given away in a response becomes a socket of
 * the host and its other end keeps working; a socket object keeps its identity while the heap is awake.
 *
 * An end is in one of five states; the texts of the errors are workerd's.
 */
import { Blob, CloseEvent, ErrorEvent, Event, EventTarget, MessageEvent } from "../web/index.js";
import { openCall } from "./calls.js";
import { badArgument, badConstructor, logUncaught } from "./errors.js";
import { host, needAwake } from "./host.js";

const CONNECTING = 0, AWAITING = 1, HIBERNATABLE = 3, RELEASED = 4;
export const ACCEPTED = 2;
const MADE = Symbol("made");

const MODE_HIBERNATABLE = 1, MODE_LIVE = 2;
const ATTACHMENT_BYTES_MAX = 16384;        /* surface spec 3.3 */
const REASON_BYTES_MAX = 123;              /* RFC 6455 section 5.5 */
const NO_CODE = 1005;
const ABNORMAL = 1006;
const LOST_TEXT = "WebSocket disconnected without sending Close frame.";
const ACCEPT_FIRST_TEXT = "You must call one of accept() or state.acceptWebSocket() on this WebSocket before sending messages.";

/* From compatibility dates; set by env.js. */
export const rules = { isBlobDefault: true, isReasonLimited: true, isHalfOpenDefault: false };

/* What a WebSocket knows; plain fields, reached through one private slot. */
class End {
  state = AWAITING;
  peer = null;                             /* the other End of a pair in this heap */
  self = null;                             /* the WebSocket */
  socket = 0;                              /* the host's id of our end */
  outer = 0;                               /* the host's id of an outer end that came with a response, not yet taken */
  inbox = undefined;                       /* items sent by the peer, not delivered yet */
  isFlushing = false;
  closedIn = false;
  closedOut = false;
  isLost = false;                          /* the connection broke: nothing goes out any more */
  isHalfOpen = rules.isHalfOpenDefault;
  binaryType = rules.isBlobDefault ? "blob" : "arraybuffer";
  url = null;
  protocol = "";
  extensions = "";
  tags = undefined;
  attachment = undefined;                  /* serialized */
  autoMs = undefined;
  call = 0;                                /* new WebSocket(url): closes before it is open cancel this */
}

const live = new Map();                    /* host id → End of a live socket */
const waiting = new Map();                 /* host id → End not accepted yet whose other end was given away */
let endOf;

export class WebSocket extends EventTarget {
  #end;

  constructor(url, protocols) {
    super();
    if (url === MADE) {
      this.#end = protocols;
      protocols.self = this;
      return;
    }
    if (url === undefined) throw badConstructor("WebSocket", 1, "string");
    const end = new End();
    end.self = this;
    end.state = CONNECTING;
    this.#end = end;
    connect(end, `${url}`, protocols);
  }

  accept(options) {
    const end = this.#end;
    if (end.state === CONNECTING) throw new TypeError("Websockets obtained from the 'new WebSocket()' constructor cannot call accept");
    if (end.state === RELEASED) throw new TypeError("Can't accept() WebSocket that was already used in a response.");
    if (end.state === HIBERNATABLE) throw new TypeError("Can't accept() WebSocket after enabling hibernation.");
    if (end.state === ACCEPTED) return;
    if (options?.allowHalfOpen !== undefined) end.isHalfOpen = Boolean(options.allowHalfOpen);
    acceptEnd(end);
  }

  send(message) {
    if (arguments.length === 0) throw badArgument("send", "WebSocket", 1, "ArrayBuffer or ArrayBufferView or string");
    const end = this.#end;
    if (end.closedOut) throw new TypeError("Can't call WebSocket send() after close().");
    if (end.isLost || end.state === RELEASED) return;
    if (end.state !== ACCEPTED && end.state !== HIBERNATABLE) throw new TypeError(ACCEPT_FIRST_TEXT);
    const isBytes = typeof message === "object" && message !== null && (message instanceof ArrayBuffer || ArrayBuffer.isView(message));
    sendOn(end, isBytes || typeof message === "string" ? message : `${message}`);
  }

  close(code, reason) {
    closeEnd(this.#end, checkCode(code), checkReason(reason, code));
  }

  serializeAttachment(value) {
    if (arguments.length === 0) throw badArgument("serializeAttachment", "WebSocket", 1, "Value");
    const end = this.#end;
    const bytes = host.serialize(value);
    if (bytes.byteLength > ATTACHMENT_BYTES_MAX)
      throw new Error(`A WebSocket 'attachment' cannot be larger than ${ATTACHMENT_BYTES_MAX} bytes.'attachment' was ${bytes.byteLength} bytes.`);
    end.attachment = bytes;
    if (end.state === HIBERNATABLE && !end.isLost) host.wsAttach(end.socket, bytes);
  }

  deserializeAttachment() {
    const { attachment } = this.#end;
    return attachment === undefined ? null : host.deserialize(attachment);
  }

  get readyState() {
    const end = this.#end;
    if (end.closedIn && end.closedOut) return 3;
    if (end.closedIn || end.closedOut) return 2;
    return end.state === CONNECTING ? 0 : 1;
  }

  get bufferedAmount() {
    return 0;
  }

  get url() {
    return this.#end.url;
  }

  get protocol() {
    return this.#end.protocol;
  }

  get extensions() {
    return this.#end.extensions;
  }

  get binaryType() {
    return this.#end.binaryType;
  }

  set binaryType(value) {
    const text = `${value}`;
    if (text === "blob" || text === "arraybuffer") this.#end.binaryType = text;
  }

  static {
    endOf = (socket) => (typeof socket === "object" && socket !== null && #end in socket ? socket.#end : undefined);
    const states = { CONNECTING: 0, OPEN: 1, CLOSING: 2, CLOSED: 3 };
    for (const name of Object.keys(states)) {
      for (const key of [`READY_STATE_${name}`, name]) {
        for (const place of [this, this.prototype])
          Object.defineProperty(place, key, { value: states[name], enumerable: true, writable: false, configurable: false });
      }
    }
    Object.defineProperty(this.prototype, Symbol.toStringTag, { value: "WebSocket", configurable: true });
  }
}

export class WebSocketPair {
  constructor() {
    needAwake();
    const a = new End();
    const b = new End();
    a.peer = b;
    b.peer = a;
    this[0] = new WebSocket(MADE, a);
    this[1] = new WebSocket(MADE, b);
  }

  *[Symbol.iterator]() {
    yield this[0];
    yield this[1];
  }
}

export class WebSocketRequestResponsePair {
  #request;
  #response;

  constructor(request, response) {
    if (request === undefined) throw badConstructor("WebSocketRequestResponsePair", 1, "string");
    if (response === undefined) throw badConstructor("WebSocketRequestResponsePair", 2, "string");
    this.#request = `${request}`;
    this.#response = `${response}`;
  }

  get request() {
    return this.#request;
  }

  get response() {
    return this.#response;
  }
}

/* The outer end of a socket that arrived with a response. */
export function fromOuter(socket) {
  const end = new End();
  end.outer = socket;
  return new WebSocket(MADE, end);
}

export function isWebSocket(value) {
  return endOf(value) !== undefined;
}

/* ---- closing ------------------------------------------------------------------------------------------------------- */

function invalidAccess(text) {
  return new DOMException(text, "InvalidAccessError");
}

function checkCode(code) {
  if (code === undefined) return undefined;
  const number = Math.trunc(Number(code)) || 0;
  if (number < 1000 || number >= 5000 || number === 1004 || number === NO_CODE || number === ABNORMAL || number === 1015)
    throw invalidAccess(`Invalid WebSocket close code: ${number}.`);
  return number;
}

function checkReason(reason, code) {
  if (reason === undefined) return "";
  const text = `${reason}`.toWellFormed();
  if (rules.isReasonLimited && text.length * 3 > REASON_BYTES_MAX && host.utf8(text).byteLength > REASON_BYTES_MAX)
    throw new DOMException("WebSocket close reason must not be longer than 123 bytes when UTF-8 encoded.", "SyntaxError");
  if (code === undefined) throw invalidAccess("If you specify a WebSocket close reason, you must also specify a code.");
  return text;
}

function closeEnd(end, code, reason) {
  if (end.state === CONNECTING) {
    if (end.call) host.cancel(end.call);
    end.state = RELEASED;
    end.closedIn = true;
    end.closedOut = true;
    return;
  }
  if (end.closedOut || end.isLost || end.state === RELEASED) return;
  if (end.state !== ACCEPTED && end.state !== HIBERNATABLE) throw new TypeError(ACCEPT_FIRST_TEXT);
  closeOn(end, code ?? NO_CODE, reason);
}

function closeOn(end, code, reason) {
  end.closedOut = true;
  if (end.socket) toHost(() => host.wsClose(end.socket, code, reason));
  else if (end.peer) deliver(end.peer, { code, reason });
  if (end.closedIn) dropLive(end);
}

/* The host may know before us that a socket is gone; a message that nobody can get any more is not the app's mistake. */
function toHost(action) {
  try {
    action();
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
  }
}

function dropLive(end) {
  if (end.socket && end.state === ACCEPTED) live.delete(end.socket);
}

/* ---- sending within the heap ---------------------------------------------------------------------------------------- */

function sendOn(end, message) {
  if (end.socket) {
    toHost(() => host.wsSend(end.socket, message));
    return;
  }
  if (end.peer === null) return;
  deliver(end.peer, typeof message === "string" ? message : copyOf(message));
}

function copyOf(bytes) {
  if (bytes instanceof ArrayBuffer) return bytes.slice(0);
  return bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength);
}

/* ITEM: string, ArrayBuffer, or {code, reason} of a close. */
function deliver(end, item) {
  (end.inbox ??= []).push(item);
  if (end.state === ACCEPTED) flushSoon(end);
}

function flushSoon(end) {
  if (end.isFlushing) return;
  end.isFlushing = true;
  host.microtask(() => {
    end.isFlushing = false;
    const items = end.inbox;
    end.inbox = undefined;
    if (items !== undefined) for (const item of items) arrive(end, item);
  });
}

function arrive(end, item) {
  if (typeof item === "string" || item instanceof ArrayBuffer) gotMessage(end, item);
  else gotClose(end, item.code, item.reason, true);
}

/* ---- events --------------------------------------------------------------------------------------------------------- */

function emit(end, event) {
  const socket = end.self;
  const handler = socket[`on${event.type}`];
  if (typeof handler === "function") {
    try {
      handler.call(socket, event);
    } catch (error) {
      logUncaught(error, "WebSocket listener");
    }
  }
  socket.dispatchEvent(event);
}

function gotMessage(end, data) {
  if (typeof data !== "string" && end.binaryType === "blob") data = new Blob([data]);
  emit(end, new MessageEvent("message", { data }));
}

function gotClose(end, code, reason, wasClean) {
  if (end.closedIn) return;
  end.closedIn = true;
  if (code === ABNORMAL) end.isLost = true;
  else if (!end.isHalfOpen && !end.closedOut) closeOn(end, code, reason);
  emit(end, new CloseEvent("close", { code, reason, wasClean }));
  if (end.closedOut || end.isLost) dropLive(end);
}

function gotError(end, error) {
  end.isLost = true;
  emit(end, new ErrorEvent("error", { message: `Uncaught Error: ${error.message}`, error }));
}

/* ---- accepting ------------------------------------------------------------------------------------------------------ */

function acceptEnd(end) {
  end.state = ACCEPTED;
  if (end.outer) {
    end.socket = host.wsJoin(end.outer);
    end.outer = 0;
  }
  if (end.socket) {
    waiting.delete(end.socket);
    live.set(end.socket, end);
  }
  if (end.inbox !== undefined) flushSoon(end);
}

/* ctx.acceptWebSocket: our end of SOCKET becomes the host's, hibernatable. Returns the End. */
export function hibernate(socket, tags) {
  const end = endOf(socket);
  if (end.state !== AWAITING)
    throw new Error("Cannot call `acceptWebSocket()` if the WebSocket was already accepted via `accept()`");
  const { peer } = end;
  if (peer === null || peer.state !== AWAITING || end.socket)
    throw new Error("Cannot call `acceptWebSocket()` on this WebSocket because its pair has already been accepted or used in a Response.");
  end.socket = host.wsOpen(MODE_HIBERNATABLE, tags, end.attachment);
  end.state = HIBERNATABLE;
  end.tags = tags;
  return end;
}

/* A hibernatable socket that this heap has not seen since it woke. */
export function revive(socket, tags, attachment, url, protocol, autoMs) {
  const end = new End();
  end.state = HIBERNATABLE;
  end.socket = socket;
  end.tags = tags;
  end.attachment = attachment;
  end.url = url || null;
  end.protocol = protocol ?? "";
  end.autoMs = autoMs || undefined;
  new WebSocket(MADE, end);
  return end;
}

export { endOf };

/* The host's id of the end that RESPONSE gives away; from now on the host carries it. */
export function giveAway(socket) {
  const end = endOf(socket);
  if (end.state === CONNECTING) throw new TypeError("Can't return WebSocket in a Response if it was created with `new WebSocket()`");
  if (end.state === RELEASED) throw new TypeError("Can't return WebSocket that was already used in a response.");
  if (end.state === HIBERNATABLE) throw new TypeError("Can't return WebSocket in a Response after calling acceptWebSocket().");
  if (end.state === ACCEPTED) throw new TypeError("Can't return WebSocket in a Response after calling accept().");
  end.state = RELEASED;
  if (end.outer) return end.outer;
  const { peer } = end;
  if (peer.socket) return peer.socket;
  const id = host.wsOpen(MODE_LIVE, [], undefined);
  peer.socket = id;
  if (peer.state === ACCEPTED) {
    live.set(id, peer);
  } else {
    peer.inbox ??= [];
    waiting.set(id, peer);
  }
  const items = end.inbox;
  end.inbox = undefined;
  if (items !== undefined) for (const item of items) forward(id, item);
  return id;
}

function forward(id, item) {
  if (typeof item === "string" || item instanceof ArrayBuffer) host.wsSend(id, item);
  else host.wsClose(id, item.code, item.reason);
}

/* ---- events of the host for live sockets; each tells whether the socket is one of them ------------------------------- */

function liveEnd(socket) {
  return live.get(socket) ?? waiting.get(socket);
}

export function onLiveMessage(socket, data) {
  const end = liveEnd(socket);
  if (end === undefined) return false;
  if (end.inbox !== undefined) end.inbox.push(data);
  else gotMessage(end, data);
  return true;
}

export function onLiveClose(socket, code, reason, wasClean) {
  const end = liveEnd(socket);
  if (end === undefined) return false;
  if (end.inbox !== undefined) end.inbox.push({ code, reason });
  else gotClose(end, code, code === ABNORMAL && reason === "" ? LOST_TEXT : reason, wasClean);
  return true;
}

export function onLiveError(socket, message) {
  const end = liveEnd(socket);
  if (end === undefined) return false;
  gotError(end, new Error(message || "Network connection lost."));
  return true;
}

/* This heap goes on elsewhere or later: its connections do not. */
export function dropLiveSockets() {
  for (const end of [...live.values(), ...waiting.values()]) {
    end.inbox = undefined;
    gotClose(end, ABNORMAL, LOST_TEXT, false);
  }
  live.clear();
  waiting.clear();
}

/* ---- new WebSocket(url) ---------------------------------------------------------------------------------------------- */

function syntaxError(text) {
  return new DOMException(`WebSocket Constructor: ${text}`, "SyntaxError");
}

function protocolText(protocols) {
  if (protocols === undefined) return "";
  const isList = Array.isArray(protocols);
  const list = isList ? protocols.map((item) => `${item}`) : [`${protocols}`];
  for (const item of list) {
    if (!/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/.test(item))
      throw syntaxError(isList ? "One of the protocol header tokens is invalid." : "The protocol header token is invalid.");
  }
  if (new Set(list).size !== list.length) throw syntaxError("The protocols header cannot have repeating values.");
  return list.join(", ");
}

function connect(end, url, protocols) {
  const parts = host.urlParse(url, undefined);
  if (parts === undefined) throw syntaxError("The url is invalid.");
  const [href] = parts;
  if (!/^wss?:/.test(href)) throw syntaxError("The url scheme must be ws or wss.");
  if (href.includes("#")) throw syntaxError("The url fragment must be empty.");
  const wanted = protocolText(protocols);
  needAwake();
  end.url = url;
  const headers = "upgrade\nwebsocket\n" + (wanted === "" ? "" : `sec-websocket-protocol\n${wanted}\n`);
  openCall((call) => {
    end.call = call;
    host.fetchOut(call, "GET", `http${href.slice(2)}`, headers, 0, undefined, true);
  }, (status, statusText, flat, mode, body, socket) => {
    body?.cancel?.();
    return { status, flat, socket };
  }, undefined, undefined).then((reply) => opened(end, reply), (error) => refused(end, error));
}

function opened(end, { status, flat, socket }) {
  if (end.state !== CONNECTING) return;
  if (!socket) {
    refused(end, new TypeError("Failed to establish the WebSocket connection: expected server to reply with HTTP status code 101 " +
      `(switching protocols), but received ${status} instead.`));
    return;
  }
  const fields = flat.split("\n");
  for (let i = 0; i + 1 < fields.length; i += 2) if (fields[i] === "sec-websocket-protocol") end.protocol = fields[i + 1];
  end.outer = socket;
  acceptEnd(end);
  emit(end, new Event("open"));
}

function refused(end, error) {
  if (end.state !== CONNECTING) return;
  end.state = RELEASED;
  end.closedIn = true;
  end.closedOut = true;
  emit(end, new ErrorEvent("error", { message: `Uncaught ${error.name}: ${error.message}`, error }));
  emit(end, new CloseEvent("close", { code: ABNORMAL, reason: "Failed to establish websocket connection", wasClean: false }));
}
