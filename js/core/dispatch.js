/*
 * dispatch: the events of the host (docs/host-interface.md, table 2) to those who handle them.
 *
 * Promise: it never throws.
 */
import { onTimer, setSignalSource } from "../web/index.js";
import { bootAgent, onAlarm, onClose, onError, onFetch, onMessage, onRestored, onRpc } from "./agent.js";
import { setFailCall } from "./capabilities.js";
import { failOpen, onBody, onBodyCancelled, onBodyEnd, onCancelled, onDrain, onFail, onReply, onReplyRpc, signalFor } from "./calls.js";
import { onCoreTimer } from "./context.js";
import { bootEntry, onEmail, onEntry, onHung, onScheduled } from "./entry.js";
import { setUp } from "./env.js";
import { logUncaught } from "./errors.js";
import { host, phase } from "./host.js";
import { onRejection } from "./rejections.js";
import { sizeOf } from "./sockets.js";
import { onCursors } from "./sql.js";
import { onSnapshot, onSynced } from "./storage.js";
import { onLiveClose, onLiveError, onLiveMessage } from "./websocket.js";

const BOOT_ENTRY = 1, BOOT_AGENT = 2, ENTRY = 3, FETCH = 4, RPC = 5, ALARM = 6, WS_MESSAGE = 7, WS_CLOSE = 8, WS_ERROR = 9,
  SCHEDULED = 10, EMAIL = 11, PREPARE = 12, REPLY = 20, REPLY_RPC = 21, FAIL = 22, BODY = 23, BODY_END = 24, DRAIN = 25, CANCELLED = 26,
  BODY_CANCELLED = 27, HUNG = 28, TIMER = 30, SYNCED = 31, REJECTION = 32, RESTORED = 33, SNAPSHOT = 34, CURSORS = 35;

let isAgent = false;

setSignalSource(signalFor);
setFailCall(failOpen);

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

function bootEntryHeap(envJson, compatJson) {
  phase.awake = true;
  bootEntry(envJson, compatJson);
}

function bootAgentHeap(envJson, compatJson, className, id, name, props) {
  phase.awake = true;
  isAgent = true;
  bootAgent(envJson, compatJson, className, id, name, props);
}

function timer(id) {
  if (id % 2 === 0) onCoreTimer(id);
  else onTimer(id);
}

const handlers = [];
handlers[BOOT_ENTRY] = bootEntryHeap;
handlers[BOOT_AGENT] = bootAgentHeap;
handlers[PREPARE] = setUp;
handlers[ENTRY] = onEntry;
handlers[FETCH] = onFetch;
handlers[RPC] = onRpc;
handlers[ALARM] = onAlarm;
handlers[WS_MESSAGE] = webSocketMessage;
handlers[WS_CLOSE] = webSocketClose;
handlers[WS_ERROR] = webSocketError;
handlers[SCHEDULED] = onScheduled;
handlers[EMAIL] = onEmail;
handlers[REPLY] = onReply;
handlers[REPLY_RPC] = onReplyRpc;
handlers[FAIL] = onFail;
handlers[BODY] = onBody;
handlers[BODY_END] = onBodyEnd;
handlers[DRAIN] = onDrain;
handlers[CANCELLED] = onCancelled;
handlers[BODY_CANCELLED] = onBodyCancelled;
handlers[HUNG] = onHung;
handlers[TIMER] = timer;
handlers[SYNCED] = onSynced;
handlers[REJECTION] = onRejection;
handlers[RESTORED] = onRestored;
handlers[SNAPSHOT] = onSnapshot;
handlers[CURSORS] = onCursors;

/* An event this library does not know is a host of another version: logged, not fatal. */
export function dispatch(event, a, b, c, d, e, f, g, h) {
  try {
    handlers[event](a, b, c, d, e, f, g, h);
  } catch (error) {
    if (handlers[event] === undefined) host.log(2, `unknown event ${event}`);
    else logUncaught(error);
  }
}
