/*
 * sockets: the hibernatable WebSockets of this agent.
 *
 * Promise: one object per socket while the heap is awake, also for sockets accepted in an earlier life; a socket leaves the list
 * when its close has been handled. webSocketMessage, webSocketClose and webSocketError run here.
 */
import { logUncaught } from "./errors.js";
import { host } from "./host.js";
import { ACCEPTED, endOf, hibernate, revive } from "./websocket.js";

const ABNORMAL = 1006;
const LOST_TEXT = "WebSocket disconnected without sending Close frame.";

/* host id → End, oldest first; undefined until somebody asks: most turns of most agents have no sockets. */
let sockets;

function loaded() {
  if (sockets !== undefined) return sockets;
  sockets = new Map();
  for (const [id, tags, attachment, url, protocol, autoMs] of host.wsList())
    sockets.set(id, revive(id, tags, attachment, url, protocol, autoMs));
  return sockets;
}

function socketOf(id) {
  const known = loaded();
  let end = known.get(id);
  if (end === undefined) {
    end = revive(id, [], undefined, undefined, undefined, undefined);
    known.set(id, end);
  }
  return end;
}

export function acceptAgentSocket(socket, tags) {
  const known = loaded();
  const end = hibernate(socket, tags);
  known.set(end.socket, end);
}

/* This heap goes on elsewhere or later: the sockets it knew are another's; those that the agent has now are asked for anew. */
export function dropAgentSockets() {
  for (const end of sockets?.values() ?? []) {
    end.isLost = true;
    end.closedIn = true;
    end.closedOut = true;
  }
  sockets = undefined;
  if (auto.request !== undefined) host.wsAuto(auto.request, auto.response);
}

/* The End of a hibernatable SOCKET; throws the platform's texts for others, unless they are TOLERATED. */
export function agentSocket(socket, isTolerated) {
  const end = endOf(socket);
  if (end.tags !== undefined || isTolerated) return end;
  if (end.state === ACCEPTED) throw new Error("only hibernatable websockets can have tags.");
  throw new Error("you must call 'acceptWebSocket()' before attempting to access the tags of a WebSocket.");
}

/* All of them newest first; those with a tag oldest first, as workerd lists them. */
export function agentSockets(tag) {
  const found = [];
  for (const end of loaded().values()) if (tag === undefined || end.tags.includes(tag)) found.push(end.self);
  return tag === undefined ? found.reverse() : found;
}

/* How many bytes a message was on the wire: the window of the sender is counted in them. */
export function sizeOf(data) {
  if (typeof data !== "string") return data.byteLength;
  return /[^\0-\x7f]/.test(data) ? host.utf8(data).byteLength : data.length;
}

/* Runs a handler of INSTANCE; DONE() once it has settled. */
function run(instance, name, args, done) {
  const handler = instance[name];
  let result;
  if (typeof handler === "function") {
    try {
      result = Reflect.apply(handler, instance, args);
    } catch (error) {
      logUncaught(error, name);
    }
  }
  if (typeof result?.then !== "function" || (result instanceof Promise && host.promiseState(result) === 1)) {
    done();
    return;
  }
  result.then(done, (error) => {
    logUncaught(error, name);
    done();
  });
}

/* The automatic answer; the gateway gives it without waking us, but not to sockets that another heap of this node took over. */
export const auto = { request: undefined, response: undefined };

export function onAgentMessage(instance, call, id, data) {
  const end = socketOf(id);
  const size = sizeOf(data);
  if (data === auto.request && auto.request !== undefined) {
    end.autoMs = host.now();
    host.wsSend(id, auto.response);
    host.wsDone(id, size);
    host.done(call, 0);
    return;
  }
  run(instance, "webSocketMessage", [end.self, data], () => {
    host.wsDone(id, size);
    host.done(call, 0);
  });
}

export function onAgentClose(instance, call, id, code, reason, wasClean) {
  const end = socketOf(id);
  end.closedIn = true;
  const text = code === ABNORMAL && !reason ? LOST_TEXT : reason;
  run(instance, "webSocketClose", [end.self, code, text, wasClean], () => {
    sockets?.delete(id);
    if (code === ABNORMAL) end.isLost = true;
    else if (!end.isHalfOpen && !end.closedOut) reciprocate(end, code, reason);
    host.done(call, 0);
  });
}

/* The close handshake is completed for handlers that do not do it themselves. */
function reciprocate(end, code, reason) {
  end.closedOut = true;
  try {
    host.wsClose(end.socket, code, reason);
  } catch (error) {
    if (!(error instanceof TypeError)) throw error;
  }
}

export function onAgentError(instance, call, id, message) {
  const end = socketOf(id);
  end.isLost = true;
  end.closedIn = true;
  end.closedOut = true;
  run(instance, "webSocketError", [end.self, new Error(message || "Network connection lost.")], () => {
    sockets?.delete(id);
    host.done(call, 0);
  });
}
