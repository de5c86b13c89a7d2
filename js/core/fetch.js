/*
 * fetch: the global fetch(): through egress, with redirects followed here.
 *
 * Promise: a redirect is followed as the Fetch standard says, 20 times at most; credentials do not follow to another origin; a body
 * that cannot be sent twice is not.
 */
import { bodyMode, flatOfMessage, makeResponse, Request, signalIfAny, takeBody, isRequest } from "../web/index.js";
import { BODY_STREAM, firstOf, openCall, OPENED, sendBody } from "./calls.js";
import { badArgument } from "./errors.js";
import { host, needAwake } from "./host.js";
import { fromOuter } from "./websocket.js";

const REDIRECTS_MAX = 20;                  /* Fetch standard, "HTTP-redirect fetch" */
const BODY_HEADERS = ["content-length"];    /* workerd keeps the others, content-type too */
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

/* What is left to do of a fetch after its first reply: follows redirects by SEND(state) → promise of the reply's fields. */
export async function followAll(state, reply, send) {
  const urls = [];
  for (;;) {
    const location = isRedirect(reply.status) ? valueOf(reply.headers, "location") : undefined;
    if (location === undefined) return toResponse(reply, state, urls.length > 0);
    reply.body?.cancel?.();
    urls.push(state.url);
    if (urls.length > REDIRECTS_MAX) throw new TypeError(`Too many redirects.${urls.join(", ")}`);
    follow(state, reply.status, location);
    reply = await send(state);
  }
}

export function toResponse(reply, state, isRedirected) {
  const isHead = state.method === "HEAD";
  if (isHead) reply.body?.cancel?.();
  return makeResponse(reply.status, reply.statusText, reply.headers, isHead ? 0 : reply.mode, reply.body, withoutFragment(state.url),
    reply.socket ? fromOuter(reply.socket) : null, isRedirected);
}

/* A fetch on its way: REQUEST taken apart; BODY is what takeBody() gave. */
export function stateOf(request, body) {
  return {
    method: request.method, url: request.url, flat: flatOfMessage(request), mode: bodyMode(request), body, signal: signalIfAny(request),
  };
}

export function withoutFragment(url) {
  const hash = url.indexOf("#");
  return hash === -1 ? url : url.slice(0, hash);
}

/* REPLY as fields. */
export function replyFields(status, statusText, headers, mode, body, socket) {
  return { status, statusText, headers, mode, body, socket };
}

function sendOut(state) {
  const { method, url, flat, mode, body, signal } = state;
  const wantsSocket = valueOf(flat, "upgrade")?.toLowerCase() === "websocket";
  return openCall((call) => {
    host.fetchOut(call, method, withoutFragment(url), flat, mode, firstOf(mode, body), wantsSocket);
    if (mode === BODY_STREAM) sendBody(call, OPENED, body);
  }, replyFields, undefined, signal);
}

async function run(request) {
  const state = stateOf(request, bodyMode(request) === 0 ? undefined : takeBody(request));
  const reply = await sendOut(state);
  return request.redirect === "follow" ? followAll(state, reply, sendOut) : toResponse(reply, state, false);
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
