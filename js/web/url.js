/*
 * url: the URL interface (URL standard) over the host's parser.
 *
 * Promise: constructing costs one native call; each getter is a slice of href.
 * #parts is [href, protocol end, username start, host start, host end, port or -1, pathname start, search start or -1,
 * hash start or -1], as docs/host-interface.md says. The host part starts behind "@" when there are credentials.
 */
import { host } from "../core/host.js";
import { linkedParams, resetParams, setURLInternals } from "./urlsearchparams.js";
import { finish, usv } from "./util.js";

const HREF = 0, PROTOCOL_END = 1, USER = 2, HOST = 3, HOST_END = 4, PORT = 5, PATH = 6, SEARCH = 7, HASH = 8;
const PARAMS = 9; /* ours: the searchParams object once it was asked for */
const SPECIAL = /^(?:https?|wss?|ftp):$/;

let internals;

function parse(url, base) {
  return host.urlParse(typeof url === "string" ? url : `${url}`, base === undefined ? undefined : `${base}`);
}

export class URL {
  #parts;

  constructor(url, base) {
    const parts = parse(url, base);
    if (parts === undefined) throw new TypeError("Invalid URL string.");
    this.#parts = parts;
  }

  static canParse(url, base) {
    return parse(url, base) !== undefined;
  }

  static parse(url, base) {
    return parse(url, base) === undefined ? null : new URL(url, base);
  }

  static createObjectURL() {
    throw new Error("URL.createObjectURL() is not implemented");
  }
  static revokeObjectURL() {
    throw new Error("URL.revokeObjectURL() is not implemented");
  }

  get href() {
    return this.#parts[HREF];
  }
  set href(value) {
    const parts = parse(value);
    if (parts === undefined)
      throw new TypeError("Failed to set the 'href' property on 'URL': the provided value is not of type 'valid URL string'.");
    this.#replace(parts);
    this.#refresh();
  }

  get origin() {
    const parts = this.#parts;
    const protocol = parts[HREF].slice(0, parts[PROTOCOL_END]);
    if (SPECIAL.test(protocol)) return protocol + "//" + this.host;
    if (protocol !== "blob:") return "null";
    const inner = host.urlParse(this.pathname, undefined);
    return inner !== undefined && /^https?:/.test(inner[HREF]) ? new URL(inner[HREF]).origin : "null";
  }

  get protocol() {
    return this.#parts[HREF].slice(0, this.#parts[PROTOCOL_END]);
  }
  set protocol(value) {
    this.#set("protocol", value);
  }

  get username() {
    const parts = this.#parts;
    if (parts[USER] >= parts[HOST]) return "";
    const text = parts[HREF].slice(parts[USER], parts[HOST] - 1);
    const colon = text.indexOf(":");
    return colon === -1 ? text : text.slice(0, colon);
  }
  set username(value) {
    this.#set("username", value);
  }

  get password() {
    const parts = this.#parts;
    if (parts[USER] >= parts[HOST]) return "";
    const text = parts[HREF].slice(parts[USER], parts[HOST] - 1);
    const colon = text.indexOf(":");
    return colon === -1 ? "" : text.slice(colon + 1);
  }
  set password(value) {
    this.#set("password", value);
  }

  get host() {
    const parts = this.#parts;
    const name = parts[HREF].slice(parts[HOST], parts[HOST_END]);
    return parts[PORT] === -1 ? name : name + ":" + parts[PORT];
  }
  set host(value) {
    this.#set("host", value);
  }

  get hostname() {
    return this.#parts[HREF].slice(this.#parts[HOST], this.#parts[HOST_END]);
  }
  set hostname(value) {
    this.#set("hostname", value);
  }

  get port() {
    const port = this.#parts[PORT];
    return port === -1 ? "" : `${port}`;
  }
  set port(value) {
    this.#set("port", value);
  }

  get pathname() {
    const parts = this.#parts;
    const end = parts[SEARCH] !== -1 ? parts[SEARCH] : parts[HASH];
    return end === -1 ? parts[HREF].slice(parts[PATH]) : parts[HREF].slice(parts[PATH], end);
  }
  set pathname(value) {
    this.#set("pathname", value);
  }

  get search() {
    const parts = this.#parts;
    const start = parts[SEARCH];
    if (start === -1) return "";
    const text = parts[HASH] === -1 ? parts[HREF].slice(start) : parts[HREF].slice(start, parts[HASH]);
    return text.length === 1 ? "" : text;
  }
  set search(value) {
    this.#set("search", value);
    this.#refresh();
  }

  get hash() {
    const start = this.#parts[HASH];
    if (start === -1) return "";
    const text = this.#parts[HREF].slice(start);
    return text.length === 1 ? "" : text;
  }
  set hash(value) {
    this.#set("hash", value);
  }

  get searchParams() {
    const parts = this.#parts;
    if (parts[PARAMS] !== undefined) return parts[PARAMS];
    const start = parts[SEARCH];
    const query = start === -1 ? "" : parts[HREF].slice(start + 1, parts[HASH] === -1 ? undefined : parts[HASH]);
    return (parts[PARAMS] = linkedParams(query, this));
  }

  toString() {
    return this.#parts[HREF];
  }
  toJSON() {
    return this.#parts[HREF];
  }

  #set(part, value) {
    this.#replace(host.urlSet(this.#parts[HREF], part, usv(value)));
  }

  #replace(parts) {
    const params = this.#parts[PARAMS];
    if (params !== undefined) parts[PARAMS] = params;
    this.#parts = parts;
  }

  /* The query changed behind the back of searchParams. */
  #refresh() {
    const params = this.#parts[PARAMS];
    if (params !== undefined) resetParams(params, this.search.slice(1));
  }

  static {
    internals = { href: (url) => url.#parts[HREF], brand: (value) => #parts in value };
    setURLInternals((url, query) => url.#set("search", query));
  }
}
finish(URL, "URL", 1);

export function isURL(value) {
  return typeof value === "object" && value !== null && internals.brand(value);
}
export const hrefOf = (url) => internals.href(url);
