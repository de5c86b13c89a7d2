/*
 * context: what surrounds the code of an app: timers of our own, critical sections, work that outlives its event.
 *
 * Promise: while a critical section runs, only what it started is delivered; sections of one level run one after the other, in the
 * order they were asked for; a section that fails or takes 30 s resets the object.
 */
import { host } from "./host.js";
import { badArgument, logUncaught, messageOf } from "./errors.js";

const SECTION_MS_MAX = 30000;              /* surface spec 3.1 */
const SECTION_DEPTH_MAX = 64;              /* surface spec 3.1 */

const TOO_LONG_TEXT = "A call to blockConcurrencyWhile() in a Durable Object waited for too long. The call was canceled and the " +
  "Durable Object was reset.";
const TOO_DEEP_TEXT = "blockConcurrencyWhile() calls are nested too deeply.";

/* ---- timers of the core: even numbers; odd ones belong to js/web (web-contract.md) -------------------------------- */

const timers = new Map();
let lastTimer = 0;

export function startTimer(ms, callback) {
  lastTimer += 2;
  timers.set(lastTimer, callback);
  host.timer(lastTimer, ms);
  return lastTimer;
}

export function stopTimer(id) {
  if (timers.delete(id)) host.timerClear(id);
}

export function onCoreTimer(id) {
  const callback = timers.get(id);
  timers.delete(id);
  callback?.();
}

/* ---- critical sections -------------------------------------------------------------------------------------------- */

class Section {
  constructor(number, parent, depth) {
    this.number = number;
    this.parent = parent;              /* number of the section around it; 0 outside */
    this.depth = depth;
    this.last = undefined;             /* settles when the last section inside this one ends */
  }
}

const OUTSIDE = new Section(0, 0, 0);
const sections = new Map([[0, OUTSIDE]]);
let lastSection = 0;

function noop() {}

/* Runs CALLBACK as a critical section inside the current one. When FATAL, its failure resets the object. */
export function criticalSection(callback, isFatal) {
  const parent = sections.get(host.cs()) ?? OUTSIDE;
  if (parent.depth >= SECTION_DEPTH_MAX) throw new Error(TOO_DEEP_TEXT);
  /* Two jobs later even on an idle level: the code that asked, and what it queued, runs first, as on the platform. */
  const before = parent.last ?? Promise.resolve().then(noop);
  const run = before.then(() => runSection(parent, callback, isFatal));
  const done = run.then(noop, noop);
  parent.last = done;
  done.then(() => {
    if (parent.last === done) parent.last = undefined;
  });
  return run;
}

function runSection(parent, callback, isFatal) {
  const section = new Section(++lastSection, parent.number, parent.depth + 1);
  const { number } = section;
  sections.set(number, section);
  const outer = host.csSet(number);
  const timer = startTimer(SECTION_MS_MAX, () => reset(new Error(TOO_LONG_TEXT)));
  host.block(number);
  let result;
  try {
    result = callback();
  } catch (error) {
    result = Promise.reject(error);
  }
  host.csSet(outer);
  return Promise.resolve(result).then((value) => {
    end(section, timer);
    return value;
  }, (error) => {
    end(section, timer);
    if (isFatal) reset(error);
    throw error;
  });
}

function end(section, timer) {
  stopTimer(timer);
  host.unblock(section.number);
  sections.delete(section.number);
}

function reset(error) {
  logUncaught(error, "blockConcurrencyWhile");
  if (constructing.fail !== undefined) constructing.fail(error);
  else host.abort(nameAndMessage(error), true);
}

/* While an object is constructed, a section that fails is a constructor that fails. */
const constructing = { fail: undefined };

/* Settles once with DONE() or FAIL(error) when all sections that the constructor opened have ended. */
export function afterSections(done, fail) {
  constructing.fail = (error) => {
    constructing.fail = undefined;
    fail(error);
  };
  const wait = () => {
    if (constructing.fail === undefined) return;
    if (OUTSIDE.last !== undefined) {
      OUTSIDE.last.then(wait);
      return;
    }
    constructing.fail = undefined;
    done();
  };
  wait();
}

/* "TypeError: text": reviveError() at the caller reads the class back. */
export function nameAndMessage(error) {
  const name = error instanceof Error ? error.name : "Error";
  return name === "Error" ? messageOf(error) : `${name}: ${messageOf(error)}`;
}

/* ctx.blockConcurrencyWhile */
export function blockConcurrencyWhile(callback) {
  if (typeof callback !== "function") return Promise.reject(badArgument("blockConcurrencyWhile", "DurableObjectState", 1, "function"));
  let promise;
  try {
    promise = criticalSection(callback, true);
  } catch (error) {
    promise = Promise.reject(error);
  }
  return promise;
}

/* ---- work that outlives its event ---------------------------------------------------------------------------------- */

/* ctx.waitUntil: the heap stays awake until PROMISE settles; a rejection is logged, nobody else hears of it. */
export function waitUntil(promise) {
  if (typeof promise?.then !== "function") return;
  host.waitUntil(1);
  promise.then(() => host.waitUntil(-1), (error) => {
    host.waitUntil(-1);
    logUncaught(error, "waitUntil");
  });
}
