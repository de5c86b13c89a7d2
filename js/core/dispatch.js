/*
 * dispatch: the events of the host (docs/host-interface.md, table 2) to those who handle them.
 *
 * Promise: it never throws.
 */
import { onTimer } from "../web/index.js";
import { bootAgent, onAlarm, onClose, onError, onFetch, onMessage, onRpc } from "./agent.js";
import { onBody, onBodyCancelled, onBodyEnd, onCancelled, onDrain, onFail, onReply, onReplyRpc } from "./calls.js";
import { onCoreTimer } from "./context.js";
import { bootEntry, onEmail, onEntry, onScheduled } from "./entry.js";
import { logUncaught } from "./errors.js";
import { host, phase } from "./host.js";
import { onRejection } from "./rejections.js";
import { sizeOf } from "./sockets.js";
import { onSynced } from "./storage.js";
import { onLiveClose, onLiveError, onLiveMessage } from "./websocket.js";

const BOOT_ENTRY = 1, BOOT_AGENT = 2, ENTRY = 3, FETCH = 4, RPC = 5, ALARM = 6, WS_MESSAGE = 7, WS_CLOSE = 8, WS_ERROR = 9,
  SCHEDULED = 10, EMAIL = 11, REPLY = 20, REPLY_RPC = 21, FAIL = 22, BODY = 23, BODY_END = 24, DRAIN = 25, CANCELLED = 26,
  BODY_CANCELLED = 27, TIMER = 30, SYNCED = 31, REJECTION = 32;

let isAgent = false;

/* Live sockets first: they exist in every heap. Hibernatable ones belong to agents. */
function webSocketMessage(call, socket, data) {
  if (onLiveMessage(socket, data)) {
    host.wsDone(socket, sizeOf(data));
    host.done(call, 0);
  } else if (isAgent) {
    onMessage(call, socket, data);
  } else {
    host.done(call, 0);
  }
}

function webSocketClose(call, socket, code, reason, wasClean) {
  if (!onLiveClose(socket, code, reason, wasClean) && isAgent) onClose(call, socket, code, reason, wasClean);
  else host.done(call, 0);
}

function webSocketError(call, socket, message) {
  if (!onLiveError(socket, message) && isAgent) onError(call, socket, message);
  else host.done(call, 0);
}

function handle(event, a, b, c, d, e, f, g, h) {
  switch (event) {
    case ENTRY: return onEntry(a, b, c, d, e, f, g, h);
    case FETCH: return onFetch(a, b, c, d, e, f, g, h);
    case REPLY: return onReply(a, b, c, d, e, f, g);
    case RPC: return onRpc(a, b, c);
    case REPLY_RPC: return onReplyRpc(a, b);
    case WS_MESSAGE: return webSocketMessage(a, b, c);
    case TIMER: return a % 2 === 0 ? onCoreTimer(a) : onTimer(a);
    case BODY: return onBody(a, b, c);
    case BODY_END: return onBodyEnd(a, b, c);
    case DRAIN: return onDrain(a, b);
    case FAIL: return onFail(a, b, c, d);
    case CANCELLED: return onCancelled(a);
    case BODY_CANCELLED: return onBodyCancelled(a, b);
    case ALARM: return onAlarm(a, b, c);
    case WS_CLOSE: return webSocketClose(a, b, c, d, e);
    case WS_ERROR: return webSocketError(a, b, c);
    case SYNCED: return onSynced(a);
    case SCHEDULED: return onScheduled(a, b, c);
    case EMAIL: return onEmail(a, b, c);
    case REJECTION: return onRejection(a, b);
    case BOOT_ENTRY:
      phase.awake = true;
      return bootEntry(a, b);
    case BOOT_AGENT:
      phase.awake = true;
      isAgent = true;
      return bootAgent(a, b, c, d, e, f);
    default:
      host.log(2, `unknown event ${event}`);
      return undefined;
  }
}

export function dispatch(event, a, b, c, d, e, f, g, h) {
  try {
    handle(event, a, b, c, d, e, f, g, h);
  } catch (error) {
    logUncaught(error);
  }
}
