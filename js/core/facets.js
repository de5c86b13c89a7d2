/*
 * facets: ctx.facets: objects inside an object, each with a heap and a database of its own.
 *
 * A facet is an agent whose id is derived from its owner's id and its name, so it lives where any agent lives; what it shows as
 * ctx.id, its depth and its props travel in its name. Its owner is the only one who can reach it.
 *
 * Promise: get() starts it when it is first called; abort() ends its heap, delete() its database too, both with all facets within.
 * Not here: clone(). A facet started with another class under the same name begins with an empty database.
 */
import { named } from "./base.js";
import { links, SEND } from "./capabilities.js";
import { badArgument, illegalConstructor, messageOf, notSupported } from "./errors.js";
import { host } from "./host.js";
import { Fetcher, FETCH, MADE } from "./stub.js";

const NAME_LENGTH_MAX = 256;               /* surface spec 1.6 */
const DEPTH_MAX = 4;
const CARRIED_BYTES_MAX = 1024;            /* what fits the name of an agent */
const PREFIX = "\u0001facet:";
const DELETED_TEXT = "Facet was deleted.";
export const ABORT_METHOD = "#facet!abort", DELETE_METHOD = "#facet!delete";

/* loopback[CLASS] = {name, props}: what ctx.exports gives as a class. */
export const CLASS = Symbol("class");

/* Who we are; root until setUpFacet() says otherwise. */
const owner = { ns: "", hex: "", depth: 1 };
const running = new Map();                 /* facet name → Facet */

/* What the name of an agent says of the facet it is, or undefined. */
export function facetOf(name) {
  if (name === undefined || !name.startsWith(PREFIX)) return undefined;
  const [hex, shownName, depth, props] = JSON.parse(name.slice(PREFIX.length));
  return { hex, name: shownName ?? undefined, depth, props: props ?? {} };
}

export function setOwner(ns, hex, facet) {
  owner.ns = ns;
  owner.hex = hex;
  owner.depth = facet?.depth ?? 1;
}

function checkName(name) {
  const text = `${name}`;
  if (text.length > NAME_LENGTH_MAX) throw new TypeError(`Facet name is too long (max ${NAME_LENGTH_MAX} characters).`);
  return text;
}

/* One facet as its owner knows it. */
class Facet {
  constructor(name, before = Promise.resolve()) {
    this.name = name;
    this.before = before;              /* its start waits for the end of the one that had this name */
    this.stub = undefined;             /* the agent's stub once it was started */
    this.starting = undefined;         /* promise of it */
    this.ended = undefined;            /* why calls on old stubs fail: abort() or delete() */
  }

  start(getOptions, ownId) {
    if (this.starting === undefined) {
      this.starting = this.before.then(() => getOptions()).then((options) => (this.stub = this.address(options, ownId)));
      this.starting.catch(() => {
        this.starting = undefined;
      });
    }
    return this.starting;
  }

  address(options, ownId) {
    const klass = options?.class?.[CLASS];
    if (klass === undefined)
      throw new TypeError("Incorrect type for the 'class' field on 'StartupOptions': the provided value is not of type 'DurableObjectClass'.");
    const id = options.id ?? ownId;
    const carried = PREFIX + JSON.stringify([String(id), id.name ?? null, owner.depth + 1, klass.props ?? null]);
    if (host.utf8(carried).byteLength > CARRIED_BYTES_MAX) throw new Error("The id's name and the props of this facet are too long together.");
    return links.agentStub(klass.name, host.idFromName(klass.name, `facet\n${owner.ns}\n${owner.hex}\n${this.name}`), carried);
  }

  /* RUN(stub) now or once it was started, in the order of the calls. */
  reach(run, getOptions, ownId) {
    if (this.ended !== undefined) return Promise.reject(this.ended);
    if (this.stub !== undefined) return run(this.stub);
    return this.start(getOptions, ownId).then(run);
  }
}

/* Not a DurableObject stub: it has neither id nor name, and it cannot be passed on. */
class FacetStub extends Fetcher {
  #name;
  #getOptions;
  #ownId;

  constructor(made, name, getOptions, ownId) {
    super(made);
    this.#name = name;
    this.#getOptions = getOptions;
    this.#ownId = ownId;
  }

  #facet() {
    let facet = running.get(this.#name);
    if (facet === undefined) running.set(this.#name, facet = new Facet(this.#name));
    return facet;
  }

  [FETCH](request) {
    return this.#facet().reach((stub) => stub[FETCH](request), this.#getOptions, this.#ownId);
  }

  [SEND](path, args) {
    return this.#facet().reach((stub) => stub[SEND](path, args), this.#getOptions, this.#ownId);
  }
}
named(FacetStub, "Fetcher");

/* Ends FACET by METHODS, one after the other; what is called next under its name starts afresh, after that. */
function finish(facet, methods, reason) {
  const { stub } = facet;
  facet.ended = reason;
  if (stub === undefined) {
    running.delete(facet.name);
    return Promise.resolve();
  }
  const done = methods.reduce((before, method) => before.then(() => stub[SEND](method, [messageOf(reason)]).catch(noop)), Promise.resolve());
  running.set(facet.name, new Facet(facet.name, done));
  host.waitUntil(1);
  done.then(() => host.waitUntil(-1));
  return done;
}

function noop() {}

export class DurableObjectFacets {
  #ownId;

  constructor(made, ownId) {
    if (made !== MADE) throw illegalConstructor();
    this.#ownId = ownId;
  }

  get(name, getOptions) {
    const text = checkName(name);
    if (typeof getOptions !== "function") throw badArgument("get", "DurableObjectFacets", 2, "function");
    if (owner.depth + 1 > DEPTH_MAX)
      throw new Error(`Facet nesting depth limit exceeded. The maximum depth including the root Durable Object is ${DEPTH_MAX}.`);
    return new FacetStub(MADE, text, getOptions, this.#ownId);
  }

  abort(name, reason) {
    const facet = running.get(checkName(name));
    if (facet !== undefined) finish(facet, [ABORT_METHOD], reason ?? new Error("Facet was aborted."));
  }

  delete(name) {
    const text = checkName(name);
    let facet = running.get(text);
    if (facet === undefined || facet.stub === undefined) facet = knownByName(text, this.#ownId);
    if (facet !== undefined) finish(facet, [DELETE_METHOD, ABORT_METHOD], new Error(DELETED_TEXT));
  }

  clone() {
    throw notSupported("ctx.facets.clone()");
  }
}
named(DurableObjectFacets, "DurableObjectFacets");

/* A facet of an earlier life of this heap: the SDK names them "Class\0name". */
function knownByName(text, ownId) {
  const [className] = text.split("\0", 1);
  const klass = links.classByName(className);
  if (className === text || klass === undefined) return undefined;
  const facet = new Facet(text);
  facet.stub = facet.address({ class: klass }, ownId);
  return facet;
}

/* All facets within go when their owner goes. */
async function finishAll(methods, reason) {
  await Promise.all([...running.values()].map((facet) => finish(facet, methods, reason)));
}

/* The owner's two commands, as they arrive at a facet. */
export async function obey(method, args) {
  const reason = new Error(String(args?.[0] ?? DELETED_TEXT));
  if (method === ABORT_METHOD) {
    await finishAll([ABORT_METHOD], reason);
    host.abort(reason.message, false);
  }
  await finishAll([DELETE_METHOD, ABORT_METHOD], reason);
  host.deleteAll(true);
}

/* The facets that ran belong to another, or to another time; those of now are started when they are called. */
export function forgetFacets() {
  running.clear();
}

/* deleteAll() of an owner takes its facets along. */
export function deleteFacets() {
  return running.size === 0 ? undefined : finishAll([DELETE_METHOD, ABORT_METHOD], new Error(DELETED_TEXT));
}
