/*
 * node:url: the web's URL, conversions, and the old parser as far as well-formed URLs go.
 */
import { host } from "../core/host.js";
import { URL } from "../web/url.js";
import { URLPattern } from "../web/urlpattern.js";
import { URLSearchParams } from "../web/urlsearchparams.js";
import { badType, withCode } from "./errors.js";
import querystring from "./querystring.js";

export function fileURLToPath(url) {
  const parsed = typeof url === "string" ? new URL(url) : url;
  if (parsed?.protocol !== "file:") throw withCode(new TypeError("The URL must be of scheme file"), "ERR_INVALID_URL_SCHEME");
  if (parsed.hostname !== "") throw withCode(new TypeError('File URL host must be "localhost" or empty on linux'), "ERR_INVALID_FILE_URL_HOST");
  if (/%2f/i.test(parsed.pathname)) throw withCode(new TypeError("File URL path must not include encoded / characters"), "ERR_INVALID_FILE_URL_PATH");
  return decodeURIComponent(parsed.pathname);
}

export function pathToFileURL(path) {
  if (typeof path !== "string") throw badType("path", "of type string", path);
  const url = new URL("file:///");
  url.pathname = path.replace(/[%\\\n\r\t?#]/g, encodeURIComponent);
  return url;
}

export const domainToASCII = (domain) => host.domainToASCII(`${domain}`) ?? "";
export const domainToUnicode = (domain) => host.domainToASCII(`${domain}`) ?? "";

export function urlToHttpOptions(url) {
  return {
    protocol: url.protocol, hostname: url.hostname, hash: url.hash, search: url.search, pathname: url.pathname,
    path: `${url.pathname}${url.search}`, href: url.href, ...(url.port === "" ? {} : { port: Number(url.port) }),
    ...(url.username || url.password ? { auth: `${decodeURIComponent(url.username)}:${decodeURIComponent(url.password)}` } : {}),
  };
}

export class Url {
  protocol = null;
  slashes = null;
  auth = null;
  host = null;
  port = null;
  hostname = null;
  hash = null;
  search = null;
  query = null;
  pathname = null;
  path = null;
  href = "";
}

const SPLIT = /^(?:([a-z][a-z0-9+.-]*:))?(\/\/(?:([^/?#@]*)@)?([^/?#:]*|\[[^\]]*\])(?::(\d*))?)?([^?#]*)(\?[^#]*)?(#.*)?$/is;

export function parse(text, parseQuery = false) {
  if (typeof text !== "string") throw badType("url", "of type string", text);
  const [, protocol, authority, auth, name, port, pathname, search, hash] = SPLIT.exec(text.trim());
  const url = new Url();
  url.protocol = protocol?.toLowerCase() ?? null;
  if (authority !== undefined) {
    url.slashes = true;
    url.auth = auth === undefined ? null : decodeURIComponent(auth);
    url.hostname = name.toLowerCase();
    url.port = port ? port : null;
    url.host = url.port === null ? url.hostname : `${url.hostname}:${url.port}`;
  }
  url.pathname = pathname === "" ? (authority !== undefined && /^(?:https?|wss?|ftp):$/.test(url.protocol ?? "") ? "/" : null) : pathname;
  url.search = search ?? (parseQuery ? "" : null);
  url.query = parseQuery ? querystring.parse((search ?? "").slice(1)) : search === undefined ? null : search.slice(1);
  url.hash = hash ?? null;
  url.path = url.pathname === null && url.search === null ? null : `${url.pathname ?? ""}${url.search ?? ""}`;
  url.href = format(url);
  return url;
}

export function format(url, options) {
  if (url instanceof URL) {
    const copy = new URL(url.href);
    if (options?.fragment === false) copy.hash = "";
    if (options?.search === false) copy.search = "";
    if (options?.auth === false) copy.username = copy.password = "";
    return copy.href;
  }
  if (typeof url === "string") return parse(url).href;
  const protocol = url.protocol ? (url.protocol.endsWith(":") ? url.protocol : url.protocol + ":") : "";
  const auth = url.auth ? `${encodeURIComponent(url.auth).replace(/%3A/i, ":")}@` : "";
  const name = url.host ?? (url.hostname ? `${url.hostname}${url.port ? ":" + url.port : ""}` : undefined);
  const slashes = name !== undefined && name !== null && (url.slashes || protocol === "" || /^(?:https?|wss?|ftp|file):$/.test(protocol));
  const query = url.query !== null && typeof url.query === "object" ? querystring.stringify(url.query) : "";
  const search = url.search || (query === "" ? "" : `?${query}`);
  const hash = url.hash ? (url.hash.startsWith("#") ? url.hash : `#${url.hash}`) : "";
  const pathname = url.pathname ?? "";
  return protocol + (slashes ? `//${auth}${name}` : "") + pathname.replace(/[?#]/g, encodeURIComponent) +
    (search === "" || search.startsWith("?") ? search : `?${search}`) + hash;
}

export function resolve(from, to) {
  const base = new URL(from, "resolve://");
  const url = new URL(to, base);
  if (url.protocol !== "resolve:") return url.toString();
  return `${url.pathname}${url.search}${url.hash}`;
}

export { URL, URLPattern, URLSearchParams };
export default {
  domainToASCII, domainToUnicode, fileURLToPath, format, parse, pathToFileURL, resolve, URL, Url, URLPattern, URLSearchParams, urlToHttpOptions,
};
