/*
 * agent: the instance of an agent in its heap: construction, fetch, methods, alarms, sockets.
 *
 * Promise: a constructor that throws leaves no half-made instance behind: the callers hear of it and the next event tries again.
 */
import { alarmTurn, forgetStorage, instance as storageInstance, rules as storageRules } from "./storage.js";
import { DurableObject, named } from "./base.js";
import { afterSections, nameAndMessage } from "./context.js";
import { currentEnv, setUp } from "./env.js";
import { logUncaught, messageOf, packError, flagsOf } from "./errors.js";
import { dropCalls } from "./calls.js";
import { ABORT_METHOD, DELETE_METHOD, deleteFacets, facetOf, forgetFacets, obey, setOwner } from "./facets.js";
import { answer, failAgent, incoming, runFetch } from "./handlers.js";
import { host } from "./host.js";
import { dropSessions, isBack, onBack, unpackArguments } from "./callbacks.js";
import { callReference, dropCapabilities, isReference, setSelf, transfer } from "./capabilities.js";
import { idBecomes } from "./namespace.js";
import { invoke } from "./rpc.js";
import { dropAgentSockets, onAgentClose, onAgentError, onAgentMessage } from "./sockets.js";
import { makeState } from "./state.js";
import { dropLiveSockets } from "./websocket.js";

const NO_BASE_TEXT = "The receiving Durable Object does not support RPC, because its class was not declared with `extends " +
  "DurableObject`. In order to enable RPC, make sure your class extends the special class `DurableObject`, which can be imported " +
  'from the module "cloudflare:workers".';
export const ALARM_OK = 0, ALARM_RETRY = 1, ALARM_GIVE_UP = 2;

let instance;
let isFacet = false;
let ownId;                                 /* ctx.id, whatever became of ctx */

export function bootAgent(envJson, compatJson, className, hex, name, propsJson) {
  setUp(envJson, compatJson);
  setSelf(className, hex, name);
  const facet = facetOf(name);
  setOwner(className, hex, facet);
  isFacet = facet !== undefined;
  storageRules.isFacet = isFacet;
  storageRules.deleteFacets = deleteFacets;
  try {
    const klass = host.exports()[className];
    if (typeof klass !== "function") throw new TypeError(`The app does not export a class named "${className}".`);
    const state = isFacet ? makeState(facet.hex, facet.name, facet.props) : makeState(hex, name, propsJson ? JSON.parse(propsJson) : {});
    ownId = state.id;
    instance = new klass(state, currentEnv());
    storageInstance.current = instance;
  } catch (error) {
    logUncaught(error, `constructor of ${className}`);
    failBoot(error);
    return;
  }
  afterSections(() => host.booted(true, "", undefined), failBoot);
}

const RESTORED_TEXT = "The Durable Object was restored from a snapshot: what it waited for then is lost.";
const CLONED_TEXT = "The Durable Object is a clone: what it waited for when the snapshot was taken is the original's.";

/* This heap was another agent's, or this one's at an earlier time (docs/storage.md, snapshots). All that waits for something outside of
 * the heap is rejected; timers go on. */
export function onRestored(className, hex, name, snapshot, isClone) {
  const error = Object.assign(new Error(isClone ? CLONED_TEXT : RESTORED_TEXT), { restored: true, snapshot });
  const facet = facetOf(name);
  setSelf(className, hex, name);
  setOwner(className, hex, facet);
  if (facet === undefined) idBecomes(ownId, hex, name);
  forgetFacets();
  dropCapabilities();
  dropSessions();
  forgetStorage(error);
  dropAgentSockets();
  dropLiveSockets();
  dropCalls(error);
}

function failBoot(error) {
  host.booted(false, nameAndMessage(error), packError(error, true));
}

export function onFetch(call, method, url, headers, mode, body, cf, upgrade) {
  let result;
  try {
    result = runFetch(instance, incoming(call, method, url, headers, mode, body, cf), undefined, undefined, true);
  } catch (error) {
    failAgent(call, error);
    return;
  }
  answer(call, result, upgrade, failAgent);
}

/* ---- methods --------------------------------------------------------------------------------------------------------- */

export function onRpc(call, method, bytes) {
  if (isBack(method)) {
    onBack(call, method, bytes);
    return;
  }
  let result;
  let session;
  try {
    if (!(instance instanceof DurableObject)) throw new TypeError(NO_BASE_TEXT);
    const unpacked = unpackArguments(call, bytes);
    ({ session } = unpacked);
    const given = Array.isArray(unpacked.args) ? unpacked.args : undefined;
    if (isReference(method)) result = callReference(method, given);
    else if (isFacet && (method === ABORT_METHOD || method === DELETE_METHOD)) result = obey(method, given);
    else result = invoke(instance, method, given);
  } catch (error) {
    failRpc(call, error, session);
    return;
  }
  if (typeof result === "object" && result !== null && typeof result.then === "function") {
    if (result instanceof Promise && host.promiseState(result) === 1) result = host.promiseResult(result);
    else {
      Promise.resolve(result).then((value) => answerRpc(call, value, session), (error) => failRpc(call, error, session));
      return;
    }
  }
  answerRpc(call, result, session);
}

function answerRpc(call, value, session) {
  let bytes;
  try {
    bytes = transfer(value);
  } catch (error) {
    failRpc(call, error, session);
    return;
  }
  if (bytes instanceof Promise) bytes.then((ready) => sendResult(call, ready, session), (error) => failRpc(call, error, session));
  else sendResult(call, bytes, session);
}

function sendResult(call, bytes, session) {
  if (session === undefined) replyOrFail(call, bytes);
  else session.finish((open) => replyOrFail(open, bytes));
}

/* The host refuses results that are too large: the caller must learn of it, or it would wait for ever. */
function replyOrFail(call, bytes) {
  try {
    host.replyRpc(call, bytes);
  } catch (error) {
    host.replyFail(call, messageOf(error), packError(error), flagsOf(error));
  }
}

/* Errors of methods belong to the caller: they are not logged here unless nobody there catches them. */
function failRpc(call, error, session) {
  const fail = (open) => host.replyFail(open, messageOf(error), packError(error), flagsOf(error));
  if (session === undefined) fail(call);
  else session.finish(fail);
}

/* ---- alarms ---------------------------------------------------------------------------------------------------------- */

class AlarmInvocationInfo {
  constructor(scheduledTime, retryCount) {
    this.isRetry = retryCount > 0;
    this.retryCount = retryCount;
    this.scheduledTime = scheduledTime;
  }
}

named(AlarmInvocationInfo, "AlarmInvocationInfo");

export function onAlarm(call, scheduledTime, retryCount) {
  alarmTurn.isRunning = true;
  alarmTurn.scheduledMs = scheduledTime;
  alarmTurn.isSet = false;
  alarmTurn.isDeleted = false;
  if (typeof instance.alarm !== "function") {
    host.log(2, "Attempted to run a scheduled alarm without a handler, did you remember to export an alarm() function?");
    finishAlarm(call, ALARM_GIVE_UP);
    return;
  }
  let result;
  try {
    result = instance.alarm(new AlarmInvocationInfo(scheduledTime, retryCount));
  } catch (error) {
    failAlarm(call, error);
    return;
  }
  Promise.resolve(result).then(() => finishAlarm(call, ALARM_OK), (error) => failAlarm(call, error));
}

function failAlarm(call, error) {
  logUncaught(error, "alarm");
  /* An alarm set or deleted by the handler itself takes the place of the retry. */
  finishAlarm(call, alarmTurn.isSet || alarmTurn.isDeleted ? ALARM_GIVE_UP : ALARM_RETRY);
}

/* The host takes the alarm that fired away with the handler's last commit, unless alarmSet() was called meanwhile or it will retry. */
function finishAlarm(call, outcome) {
  alarmTurn.isRunning = false;
  host.done(call, outcome);
}

/* ---- sockets --------------------------------------------------------------------------------------------------------- */

export function onMessage(call, socket, data) {
  onAgentMessage(instance, call, socket, data);
}

export function onClose(call, socket, code, reason, wasClean) {
  onAgentClose(instance, call, socket, code, reason, wasClean);
}

export function onError(call, socket, message) {
  onAgentError(instance, call, socket, message);
}
