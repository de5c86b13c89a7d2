/*
 * mock-host: the natives of docs/host-interface.md with Node's own facilities, for testing js/web and js/node without the C worker.
 *
 * `natives` take and give only plain data (strings, numbers, arrays, Uint8Array), so that one table serves two worlds: a vm context
 * and the QuickJS engine. What must live inside the world (timers, log, async context, microtasks) is in prelude.js.
 */
import { createHash, createHmac, pbkdf2Sync, randomBytes, randomUUID, timingSafeEqual } from "node:crypto";
import zlib from "node:zlib";
import { keyNatives } from "./mock-keys.mjs";

const HASH = { "SHA-1": "sha1", "SHA-256": "sha256", "SHA-384": "sha384", "SHA-512": "sha512", MD5: "md5" };

/* [href, protocol end, username start, host start, host end, port, pathname start, search start, hash start] of a URL object. */
function partsOf(url) {
  const { href } = url;
  const protocolEnd = url.protocol.length;
  const hasHost = href.startsWith("//", protocolEnd);
  const user = hasHost ? protocolEnd + 2 : protocolEnd;
  let host = user;
  if (hasHost && (url.username !== "" || url.password !== "")) host = href.indexOf("@", user) + 1;
  const hostEnd = hasHost ? host + url.hostname.length : host;
  const port = url.port === "" ? -1 : Number(url.port);
  let path = hostEnd + (port === -1 ? 0 : url.port.length + 1);
  if (!hasHost && href.startsWith("/.//", path)) path += 2;
  const hash = href.indexOf("#", path);
  const question = href.indexOf("?", path);
  const search = question !== -1 && (hash === -1 || question < hash) ? question : -1;
  return [href, protocolEnd, user, host, hostEnd, port, path, search, hash];
}

function decoder(name, fatal, ignoreBOM) {
  return new TextDecoder(name, { fatal, ignoreBOM });
}

const deflates = new Map();
let lastDeflate = 0;

export const natives = {
  ...keyNatives,
  now: () => Date.now(),
  mono: () => performance.now(),
  randomBytes: (n) => new Uint8Array(randomBytes(n)),
  uuid: () => randomUUID(),
  mapStack: (stack) => stack,
  timeZone(zone, ms) {
    try {
      const parts = (options) => Object.fromEntries(new Intl.DateTimeFormat("en-US", { timeZone: zone, hourCycle: "h23", ...options }).formatToParts(ms).map((p) => [p.type, p.value]));
      const p = parts({ year: "numeric", month: "numeric", day: "numeric", hour: "numeric", minute: "numeric", second: "numeric" });
      const local = Date.UTC(p.year, p.month - 1, p.day, p.hour, p.minute, p.second);
      return [Math.round((local - ms) / 60000), parts({ timeZoneName: "short" }).timeZoneName];
    } catch {
      return undefined;
    }
  },
  utf8: (text) => new TextEncoder().encode(text),
  text: (bytes, fatal, ignoreBom) => decoder("utf-8", fatal, ignoreBom).decode(bytes),
  textLabel(label) {
    try {
      return new TextDecoder(label).encoding;
    } catch {
      return undefined;
    }
  },
  textDecode: (name, bytes, fatal) => decoder(name, fatal, true).decode(bytes),
  latin1: (bytes) => Buffer.from(bytes).toString("latin1"),
  atob(text) {
    try {
      return atob(text);
    } catch {
      return undefined;
    }
  },
  btoa(text) {
    try {
      return btoa(text);
    } catch {
      return undefined;
    }
  },
  hex: (bytes) => Buffer.from(bytes).toString("hex"),
  urlParse(input, base) {
    try {
      return partsOf(new URL(input, base));
    } catch {
      return undefined;
    }
  },
  urlSet(href, part, value) {
    const url = new URL(href);
    url[part] = value;
    return partsOf(url);
  },
  domainToASCII: (text) => new URL(`http://${text}`).hostname,
  formEncode(pairs) {
    const params = new URLSearchParams();
    for (let i = 0; i < pairs.length; i += 2) params.append(pairs[i], pairs[i + 1]);
    return params.toString();
  },
  formDecode: (text) => [...new URLSearchParams(text.startsWith("?") ? "%3F" + text.slice(1) : text)].flat(),
  digest: (name, bytes) => new Uint8Array(createHash(HASH[name]).update(bytes).digest()).buffer,
  hmac: (name, key, bytes) => new Uint8Array(createHmac(HASH[name], key).update(bytes).digest()).buffer,
  pbkdf2: (name, key, salt, iterations, size) => new Uint8Array(pbkdf2Sync(key, salt, iterations, size, HASH[name])).buffer,
  equal: (a, b) => timingSafeEqual(a, b),
  deflateOpen(mode, format) {
    deflates.set(++lastDeflate, { mode, format, chunks: [] });
    return lastDeflate;
  },
  deflatePush(id, bytes, isLast) {
    const state = deflates.get(id);
    state.chunks.push(Buffer.from(bytes));
    if (!isLast) return new ArrayBuffer(0);
    const [make, unmake] = { gzip: ["gzipSync", "gunzipSync"], deflate: ["deflateSync", "inflateSync"], "deflate-raw": ["deflateRawSync", "inflateRawSync"] }[state.format];
    try {
      return new Uint8Array(zlib[state.mode === 0 ? make : unmake](Buffer.concat(state.chunks))).buffer;
    } catch (error) {
      throw new TypeError(error.message);
    }
  },
  deflateClose: (id) => void deflates.delete(id),
};


/* Runs a native for a world: failures come back as data. */
export function callNative(name, args) {
  try {
    return { value: natives[name](...args) };
  } catch (error) {
    return { failed: error instanceof TypeError ? "TypeError" : error instanceof RangeError ? "RangeError" : "Error", message: error.message };
  }
}
