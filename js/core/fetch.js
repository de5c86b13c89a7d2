/*
 * fetch: the global fetch(): through egress, with redirects followed here.
 *
 * Promise: a redirect is followed as the Fetch standard says, 20 times at most; credentials do not follow to another origin; a body
 * that cannot be sent twice is not.
 */
import { bodyMode, flatOfMessage, makeResponse, Request, signalIfAny, takeBody, isRequest } from "../web/index.js";
import { BODY_STREAM, openCall, OPENED, sendBody } from "./calls.js";
import { badArgument } from "./errors.js";
import { host, needAwake } from "./host.js";
import { firstOf } from "./stub.js";
import { fromOuter } from "./websocket.js";

const REDIRECTS_MAX = 20;                  /* Fetch standard, "HTTP-redirect fetch" */
const BODY_HEADERS = ["content-encoding", "content-language", "content-location", "content-type", "content-length"];
const CREDENTIALS = ["authorization", "cookie", "proxy-authorization"];

/* Flat headers without NAMES. A value may equal a name: names stand on even lines only. */
function without(flat, names) {
  const lines = flat.split("\n");
  let kept = "";
  for (let i = 0; i + 1 < lines.length; i += 2) if (!names.includes(lines[i])) kept += `${lines[i]}\n${lines[i + 1]}\n`;
  return kept;
}

function valueOf(flat, name) {
  if (!flat.includes(`${name}\n`)) return undefined;
  const lines = flat.split("\n");
  for (let i = 0; i + 1 < lines.length; i += 2) if (lines[i] === name) return lines[i + 1];
  return undefined;
}

function originOf(href) {
  return /^[a-z][a-z0-9+.-]*:\/\/[^/?#]*/i.exec(href)?.[0] ?? "";
}

/* One hop; gives the fields of its reply. */
function hop(state) {
  const { method, url, flat, mode, body, signal } = state;
  const wantsSocket = valueOf(flat, "upgrade")?.toLowerCase() === "websocket";
  return openCall((call) => {
    host.fetchOut(call, method, url, flat, mode, firstOf(mode, body), wantsSocket);
    if (mode === BODY_STREAM) sendBody(call, OPENED, body);
  }, (status, statusText, headers, replyMode, replyBody, socket) => ({ status, statusText, headers, replyMode, replyBody, socket }),
  undefined, signal);
}

function isRedirect(status) {
  return status === 301 || status === 302 || status === 303 || status === 307 || status === 308;
}

/* Changes STATE to the next hop. */
function follow(state, status, location) {
  const parts = host.urlParse(location, state.url);
  if (parts === undefined || !/^https?:/.test(parts[0])) throw new TypeError(`Invalid redirect location: ${location}`);
  const toGet = (status === 303 && state.method !== "HEAD") || ((status === 301 || status === 302) && state.method === "POST");
  if (toGet && state.method !== "GET") {
    state.method = "GET";
    state.mode = 0;
    state.body = undefined;
    state.flat = without(state.flat, BODY_HEADERS);
  } else if (state.mode === BODY_STREAM) {
    throw new TypeError("A request with a one-time-use body (it was initialized from a stream, not a buffer) encountered a redirect " +
      "requiring the body to be retransmitted. To avoid this error in the future, construct this request from a buffer-like body initializer.");
  }
  if (originOf(parts[0]) !== originOf(state.url)) state.flat = without(state.flat, CREDENTIALS);
  state.url = parts[0];
}

async function run(request) {
  const state = {
    method: request.method, url: request.url, flat: flatOfMessage(request), mode: bodyMode(request), body: undefined,
    signal: signalIfAny(request),
  };
  if (state.mode !== 0) state.body = takeBody(request);
  const isFollowing = request.redirect === "follow";
  for (let count = 0; ; count++) {
    const reply = await hop(state);
    const location = isFollowing && isRedirect(reply.status) ? valueOf(reply.headers, "location") : undefined;
    if (location === undefined) {
      return makeResponse(reply.status, reply.statusText, reply.headers, reply.replyMode, reply.replyBody, state.url.split("#", 1)[0],
        reply.socket ? fromOuter(reply.socket) : null, count > 0);
    }
    reply.replyBody?.cancel?.();
    if (count >= REDIRECTS_MAX) throw new TypeError("Too many redirects.");
    follow(state, reply.status, location);
  }
}

export function fetch(input, init) {
  try {
    needAwake();
    if (input === undefined) throw badArgument("fetch", "ServiceWorkerGlobalScope", 1, "Request or string");
    const request = init === undefined && isRequest(input) ? input : new Request(input, init);
    if (!/^https?:/.test(request.url)) throw new TypeError(`Fetch API cannot load: ${request.url}`);
    return run(request);
  } catch (error) {
    return Promise.reject(error);
  }
}
