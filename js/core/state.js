/*
 * state: DurableObjectState: what an agent's constructor is given as `ctx`.
 */
import { STATE, named } from "./base.js";
import { blockConcurrencyWhile, waitUntil } from "./context.js";
import { badArgument, illegalConstructor } from "./errors.js";
import { appExports } from "./exports.js";
import { DurableObjectFacets } from "./facets.js";
import { host } from "./host.js";
import { idForAgent } from "./namespace.js";
import { acceptAgentSocket, agentSocket, agentSockets, auto } from "./sockets.js";
import { makeStorage } from "./storage.js";
import { MADE as FACETS } from "./stub.js";
import { isWebSocket, WebSocketRequestResponsePair } from "./websocket.js";

const MADE = Symbol("made");
const TAGS_MAX = 10;                       /* surface spec 3.3 */
const TAG_LENGTH_MAX = 256;
const AUTO_BYTES_MAX = 2048;
const EVENT_TIMEOUT_MS_MAX = 604800000;
const ABORT_TEXT = "Application called abort() to reset Durable Object.";

function badState(method, number, type) {
  return badArgument(method, "DurableObjectState", number, type);
}

/* The tags of a new socket: no duplicates, within the limits. */
function distinctTags(tags) {
  if (tags === undefined) return [];
  if (typeof tags !== "object" || tags === null || typeof tags[Symbol.iterator] !== "function") throw badState("acceptWebSocket", 2, "Array");
  const seen = new Set();
  for (const item of tags) {
    const tag = `${item}`;
    if (seen.size >= TAGS_MAX) throw new Error(`a Hibernatable WebSocket cannot have more than ${TAGS_MAX} tags`);
    if (tag.length > TAG_LENGTH_MAX) throw new Error(`"${tag}" is longer than the max tag length (${TAG_LENGTH_MAX} characters).`);
    seen.add(tag);
  }
  return [...seen];
}

function checkAuto(what, text) {
  const size = host.utf8(text).byteLength;
  if (size > AUTO_BYTES_MAX)
    throw new RangeError(`${what} cannot be larger than ${AUTO_BYTES_MAX} bytes. A ${what.toLowerCase()} of size ${size} was provided.`);
}

export class DurableObjectState {
  #exports;
  #eventTimeoutMs = null;
  #autoPair;

  constructor(made, id, props) {
    if (made !== MADE) throw illegalConstructor();
    this.id = id;
    this.storage = makeStorage();
    this.props = props;
    this.facets = new DurableObjectFacets(FACETS, id);
    this.container = undefined;
  }

  get exports() {
    return (this.#exports ??= appExports());
  }

  waitUntil(promise) {
    waitUntil(promise);
  }

  blockConcurrencyWhile(callback) {
    return blockConcurrencyWhile(callback);
  }

  acceptWebSocket(socket, tags) {
    if (!isWebSocket(socket)) throw badState("acceptWebSocket", 1, "WebSocket");
    acceptAgentSocket(socket, distinctTags(tags));
  }

  getWebSockets(tag) {
    return agentSockets(tag === undefined ? undefined : `${tag}`);
  }

  getTags(socket) {
    if (!isWebSocket(socket)) throw badState("getTags", 1, "WebSocket");
    return [...agentSocket(socket).tags];
  }

  setWebSocketAutoResponse(pair) {
    if (pair === undefined) {
      this.#autoPair = null;
      auto.request = undefined;
      host.wsAuto(undefined, undefined);
      return;
    }
    if (!(pair instanceof WebSocketRequestResponsePair)) throw badState("setWebSocketAutoResponse", 1, "WebSocketRequestResponsePair");
    checkAuto("Request", pair.request);
    checkAuto("Response", pair.response);
    this.#autoPair = pair;
    auto.request = pair.request;
    auto.response = pair.response;
    host.wsAuto(pair.request, pair.response);
  }

  getWebSocketAutoResponse() {
    if (this.#autoPair === undefined) {
      const known = host.wsAutoGet();
      this.#autoPair = known === undefined ? null : new WebSocketRequestResponsePair(known[0], known[1]);
    }
    return this.#autoPair;
  }

  getWebSocketAutoResponseTimestamp(socket) {
    if (!isWebSocket(socket)) throw badState("getWebSocketAutoResponseTimestamp", 1, "WebSocket");
    const { autoMs } = agentSocket(socket, true);
    return autoMs === undefined ? null : new Date(autoMs);
  }

  setHibernatableWebSocketEventTimeout(ms) {
    const timeout = ms === undefined ? 0 : Math.trunc(Number(ms)) || 0;
    if (timeout > EVENT_TIMEOUT_MS_MAX) throw new Error(`Event timeout should not exceed ${EVENT_TIMEOUT_MS_MAX} ms.`);
    this.#eventTimeoutMs = timeout > 0 ? timeout : null;
  }

  getHibernatableWebSocketEventTimeout() {
    return this.#eventTimeoutMs;
  }

  abort(reason, options) {
    host.abort(reason === undefined ? ABORT_TEXT : `${reason}`, options?.retryAlarm !== false);
  }
}
DurableObjectState.prototype[STATE] = true;
named(DurableObjectState, "DurableObjectState");

export function makeState(hex, name, props) {
  return new DurableObjectState(MADE, idForAgent(hex, name), props);
}
