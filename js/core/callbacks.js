/*
 * callbacks: functions and targets that the entry passes to an agent.
 *
 * The entry's heap has no address, so the agent cannot call it. Instead the agent answers the open call with what it wants to call;
 * the entry runs it and opens the next call with the result, method "#back:TOKEN", whose answer is the next wish or the final result.
 *
 * Promise: such a stub works until the call that passed it is over, as the platform promises for stubs in arguments.
 */
import { addressless, callValue, received, receivedArguments, stubOf, transfer } from "./capabilities.js";
import { failOpen, openCall } from "./calls.js";
import { flagsOf, messageOf, packError, reviveError } from "./errors.js";
import { host } from "./host.js";

const WISH = "\u0000wish";
const OVER_TEXT = "The call that passed this stub is over.";
const BACK = "#back:";

/* ---- the side that passes ------------------------------------------------------------------------------------------- */

/* An RPC to the agent {ns, hex, name} whose arguments hold objects of this heap. PACKED: what transfer() made of them, bytes or a promise. */
export function callWithObjects(agent, path, packed, agentId) {
  const open = (method, bytes) => openCall((call) => {
    const hand = (ready) => host.rpcAgent(call, agent.ns, agent.hex, agent.name, method, ready);
    if (bytes instanceof Promise) bytes.then(hand).catch((error) => failOpen(call, error));
    else hand(bytes);
  }, (reply) => granted(open, reply, packed), agentId, undefined);
  return open(path, packed).finally(() => addressless.letGoAll(packed));
}

/* An answer: the result, or a wish that is granted first. */
function granted(open, bytes, packed) {
  const value = host.deserialize(bytes);
  if (typeof value !== "object" || value === null || !Object.hasOwn(value, WISH)) return received(bytes);
  return grant(value, packed).then((outcome) => open(BACK + value.t, outcome));
}

async function grant({ [WISH]: number, i: id, p: path, a: args }, packed) {
  try {
    const given = received(args);
    const result = await callValue(addressless.get(id), path, Array.isArray(given) ? given : undefined);
    const bytes = transfer(result);
    addressless.noteMore(packed);
    return host.serialize([number, await bytes, undefined, ""], true);
  } catch (error) {
    return host.serialize([number, undefined, packError(error), messageOf(error)]);
  }
}

/* ---- the side that calls back ---------------------------------------------------------------------------------------- */

const sessions = new Map();                /* token → Session */
let lastToken = 0;
let arriving;                              /* {call, session} while arguments are unpacked */

/* One invocation of a method with such stubs, over all the calls it takes. */
class Session {
  constructor(call) {
    this.token = ++lastToken;
    this.call = call;                      /* the open incoming call; 0 while the caller runs a callback */
    this.wishes = [];
    this.waiting = new Map();              /* number of a wish → {resolve, reject} */
    this.lastWish = 0;
    this.final = undefined;                /* answers the call for good */
    this.isOver = false;
    sessions.set(this.token, this);
  }

  wish(id, path, args) {
    if (this.isOver) return Promise.reject(new Error(OVER_TEXT));
    return Promise.resolve(transfer(args)).then((bytes) => new Promise((resolve, reject) => {
      const number = ++this.lastWish;
      this.waiting.set(number, { resolve, reject });
      this.wishes.push({ [WISH]: number, t: this.token, i: id, p: path, a: bytes });
      this.pump();
    }));
  }

  /* FINAL(call) gives the result or the failure, when a call is open. */
  finish(final) {
    this.final = final;
    this.isOver = true;
    this.pump();
  }

  pump() {
    if (this.call === 0) return;
    const { call } = this;
    if (this.wishes.length > 0) {
      this.call = 0;
      host.waitUntil(1);
      host.replyRpc(call, host.serialize(this.wishes.shift(), true));
    } else if (this.final !== undefined) {
      this.call = 0;
      sessions.delete(this.token);
      for (const { reject } of this.waiting.values()) reject(new Error(OVER_TEXT));
      this.final(call);
    }
  }

  back(call, [number, result, detail, message]) {
    const waiting = this.waiting.get(number);
    if (waiting === undefined) throw new TypeError("unknown answer to a call back");
    const { resolve, reject } = waiting;
    this.waiting.delete(number);
    host.waitUntil(-1);
    this.call = call;
    if (detail !== undefined || result === undefined) reject(reviveError(message, detail, 0, undefined));
    else resolve(unpackFor(this, call, result));
    this.pump();
  }
}

function unpackFor(session, call, bytes) {
  arriving = { call, session };
  try {
    return received(bytes);
  } finally {
    arriving = undefined;
  }
}

/* The arguments of CALL and the Session they need, if any. */
export function unpackArguments(call, bytes) {
  arriving = { call, session: undefined };
  try {
    const args = receivedArguments(bytes);
    return { args, session: arriving.session };
  } finally {
    arriving = undefined;
  }
}

/* This heap goes on elsewhere or later: the callers that it calls back are not there. */
export function dropSessions() {
  for (const session of sessions.values()) {
    session.isOver = true;
    session.final = undefined;
    session.wishes.length = 0;
    if (session.call === 0) host.waitUntil(-1);
    for (const { reject } of session.waiting.values()) reject(new Error(OVER_TEXT));
  }
  sessions.clear();
}

class BackHandle {
  constructor(session, id) {
    this.session = session;
    this.id = id;
    this.holders = 0;
  }

  call(path, args) {
    return this.session.wish(this.id, path, args);
  }

  release() {}
}

addressless.refill = (id) => {
  if (arriving === undefined) throw new Error(OVER_TEXT);
  arriving.session ??= new Session(arriving.call);
  return stubOf(new BackHandle(arriving.session, id));
};

export function isBack(method) {
  return method.startsWith(BACK);
}

/* The next call of a session: the outcome of a wish. A caller whose agent was reset meanwhile hears of it. */
export function onBack(call, method, bytes) {
  const session = sessions.get(Number(method.slice(BACK.length)));
  try {
    if (session === undefined || session.call !== 0) throw new Error("The Durable Object was reset while it called back.");
    session.back(call, host.deserialize(bytes));
  } catch (error) {
    host.replyFail(call, messageOf(error), packError(error, true), flagsOf(error));
  }
}
