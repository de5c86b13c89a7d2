/*
 * namespace: DurableObjectNamespace and DurableObjectId: names of agents.
 */
import { named } from "./base.js";
import { links } from "./capabilities.js";
import { badArgument, illegalConstructor } from "./errors.js";
import { host } from "./host.js";
import { DurableObjectStub, MADE } from "./stub.js";

const NAME_BYTES_MAX = 1024;               /* surface spec 1.3: longer names do not travel with the id */
const JURISDICTIONS = ["eu", "fedramp", "fedramp-high", "us"];

let hexOf;
let become;

/* An id; made by a namespace or for ctx.id. */
export class DurableObjectId {
  #hex;
  name = undefined;
  jurisdiction = undefined;

  constructor(made, hex, name, jurisdiction) {
    if (made !== MADE) throw illegalConstructor();
    this.#hex = hex;
    this.name = name;
    this.jurisdiction = jurisdiction;
  }

  toString() {
    return this.#hex;
  }

  equals(other) {
    if (typeof other !== "object" || other === null || !(#hex in other)) throw badArgument("equals", "DurableObjectId", 1, "DurableObjectId");
    return this.#hex === other.#hex;
  }

  static {
    become = (id, hex, name) => {
      id.#hex = hex;
      Reflect.defineProperty(id, "name", { value: name, writable: true, enumerable: true, configurable: true }); // false, not a throw, when code froze it
    };
    hexOf = (id) => (typeof id === "object" && id !== null && #hex in id ? id.#hex : undefined);
  }
}
named(DurableObjectId, "DurableObjectId");

/* The id of an agent as its own heap sees it. */
export function idForAgent(hex, name) {
  return new DurableObjectId(MADE, hex, name, undefined);
}

/* The same object for another agent: its heap went on there. */
export function idBecomes(id, hex, name) {
  become(id, hex, name);
}

function textOf(value, method) {
  if (value === undefined) throw badArgument(method, "DurableObjectNamespace", 1, "string");
  return `${value}`;
}

function checkJurisdiction(value) {
  if (value === undefined || value === null) return undefined;
  const text = `${value}`;
  if (!JURISDICTIONS.includes(text)) throw new TypeError(`Invalid jurisdiction: ${text}`);
  return text;
}

/* A name travels with calls unless it is too long; most names are short enough to tell without counting bytes. */
function carried(name) {
  return name.length * 3 <= NAME_BYTES_MAX || host.utf8(name).byteLength <= NAME_BYTES_MAX ? name : undefined;
}

export class DurableObjectNamespace {
  #ns;
  #jurisdiction;

  constructor(made, ns, jurisdiction) {
    if (made !== MADE) throw illegalConstructor();
    this.#ns = ns;
    this.#jurisdiction = jurisdiction;
  }

  newUniqueId(options) {
    return new DurableObjectId(MADE, host.idNew(this.#ns), undefined, checkJurisdiction(options?.jurisdiction) ?? this.#jurisdiction);
  }

  idFromName(name) {
    const text = textOf(name, "idFromName");
    return new DurableObjectId(MADE, host.idFromName(this.#ns, text), carried(text), this.#jurisdiction);
  }

  idFromString(text) {
    const hex = textOf(text, "idFromString");
    if (!/^[0-9a-fA-F]{64}$/.test(hex)) throw new TypeError("Invalid Durable Object ID: must be 64 hex digits");
    const lower = hex.toLowerCase();
    if (!host.idCheck(this.#ns, lower)) throw new TypeError("Durable Object ID is not valid for this namespace.");
    return new DurableObjectId(MADE, lower, undefined, this.#jurisdiction);
  }

  get(id, options) {
    const hex = hexOf(id);
    if (hex === undefined) throw badArgument("get", "DurableObjectNamespace", 1, "DurableObjectId");
    if (this.#jurisdiction !== undefined && id.jurisdiction !== this.#jurisdiction)
      throw new TypeError("get called on jurisdictional subnamespace with an ID from a different jurisdiction");
    if (options !== undefined) checkOptions(options);
    return new DurableObjectStub(MADE, this.#ns, id, hex);
  }

  getByName(name, options) {
    const text = textOf(name, "getByName");
    if (options !== undefined) checkOptions(options);
    const hex = host.idFromName(this.#ns, text);
    return new DurableObjectStub(MADE, this.#ns, new DurableObjectId(MADE, hex, carried(text), this.#jurisdiction), hex);
  }

  jurisdiction(name) {
    return new DurableObjectNamespace(MADE, this.#ns, checkJurisdiction(name));
  }
}
named(DurableObjectNamespace, "DurableObjectNamespace");

/* Location hints and retry options are advice: accepted, without effect on one node. */
function checkOptions(options) {
  const routing = options?.routingMode;
  if (routing !== undefined && routing !== "primary-only") throw new RangeError(`unknown routingMode: ${routing}`);
}

links.agentStub = (ns, hex, name) => new DurableObjectStub(MADE, ns, new DurableObjectId(MADE, hex, name, undefined), hex);
