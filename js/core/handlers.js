/*
 * handlers: what running an app's fetch() has in common, wherever it runs, and how its answer goes back.
 *
 * Promise: every call is answered once; an answer that is there when the handler returns leaves in the same job.
 */
import { bodyMode, flatOfMessage, isResponse, makeRequest, takeBody } from "../web/index.js";
import { BODY_STREAM, BodySource, firstOf, forget, RECEIVED, sendBody } from "./calls.js";
import { flagsOf, logUncaught, messageOf, packError } from "./errors.js";
import { host } from "./host.js";
import { giveAway } from "./websocket.js";

const NO_UPGRADE_TEXT = "Worker tried to return a WebSocket in a response to a request which did not contain the header " +
  '"Upgrade: websocket".';
const NO_RESPONSE_TEXT = "Incorrect type for Promise: the Promise did not resolve to 'Response'.";

/* The Request of an incoming call. */
export function incoming(call, method, url, headers, mode, body, meta) {
  const given = mode === BODY_STREAM ? new BodySource(call, RECEIVED, body) : body;
  return makeRequest(method, url, headers, mode, given, meta === "" ? meta : cfOf(meta), call);
}

/* META is the cf object itself, or holds it. Most requests bring the same text as the one before. */
let lastMeta = "";
let lastCf = "";

function cfOf(meta) {
  if (meta === lastMeta) return lastCf;
  let text = meta;
  if (meta.startsWith('{"cf":')) {
    const { cf } = JSON.parse(meta);
    text = cf === undefined ? "" : JSON.stringify(cf);
  }
  lastMeta = meta;
  lastCf = text;
  return text;
}

/* fetch() of TARGET: an instance (isClass) or an object of handlers. May return a promise. */
export function runFetch(target, request, env, ctx, isClass) {
  if (typeof target?.fetch !== "function") {
    host.log(2, "Received a FetchEvent but we lack a handler for FetchEvents. Did you remember to export a fetch() function?");
    throw new Error("Handler does not export a fetch() function.");
  }
  return isClass ? target.fetch(request) : target.fetch(request, env, ctx);
}

/* Answers CALL with RESULT: a Response or a promise of one. */
export function answer(call, result, hasUpgrade, fail) {
  if (result instanceof Promise) {
    const state = host.promiseState(result);
    if (state === 1) {
      result = host.promiseResult(result);
    } else {
      result.then((value) => respond(call, value, hasUpgrade, fail), (error) => fail(call, error));
      return;
    }
  } else if (typeof result?.then === "function") {
    Promise.resolve(result).then((value) => respond(call, value, hasUpgrade, fail), (error) => fail(call, error));
    return;
  }
  respond(call, result, hasUpgrade, fail);
}

function respond(call, response, hasUpgrade, fail) {
  try {
    if (!isResponse(response)) throw new TypeError(NO_RESPONSE_TEXT);
    send(call, response, hasUpgrade);
  } catch (error) {
    fail(call, error);
  }
}

function send(call, response, hasUpgrade) {
  const { webSocket, status } = response;
  let socket = 0;
  if (webSocket !== null) {
    if (!hasUpgrade) throw new TypeError(NO_UPGRADE_TEXT);
    socket = giveAway(webSocket);
  } else if (status === 0) {
    throw new TypeError("Return value from serve handler must not be an error response (like Response.error())");
  }
  const mode = bodyMode(response);
  const body = mode === 0 ? undefined : takeBody(response);
  host.reply(call, status, response.statusText, flatOfMessage(response), mode, firstOf(mode, body), socket);
  if (mode === BODY_STREAM) sendBody(call, RECEIVED, body);
  else forget(call);
}

/* The caller of an agent gets the error itself. */
export function failAgent(call, error) {
  forget(call);
  logUncaught(error);
  host.replyFail(call, messageOf(error), packError(error), flagsOf(error));
}
