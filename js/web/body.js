/*
 * body: what Request and Response share: a body that is used once, and the headers.
 *
 * Promise: a body that came whole (string or bytes) never becomes a stream unless the app touches `.body`; one that still arrives
 * (a BodySource of js/core: read() → Promise of Uint8Array or undefined at its end; cancel(reason)) is drained without one.
 *
 * A body is one of: null · string (well formed) · Uint8Array (ours alone) · BodySource · ReadableStream.
 */
import { host } from "../core/host.js";
import { blobBytes, blobFromBytes, isBlob } from "./blob.js";
import { encodeMultipart, isFormData, parseFormBody } from "./formdata.js";
import { flatOf, headersFromFlat } from "./headers.js";
import { isDisturbed, ReadableStream, readerOf, streamFromBytes, streamFromSource, takeChainReader, takeSource } from "./streams.js";
import { isSearchParams } from "./urlsearchparams.js";
import { bytesOf, concatBytes, copyBytes, exactBuffer, finish } from "./util.js";

export const BODY_NONE = 0;
export const BODY_WHOLE = 1;
export const BODY_STREAM = 2;

const USED_TEXT = "Body has already been used. It can only be used once. Use tee() first if you need to read it twice.";
const LOCKED = "This ReadableStream is currently locked to a reader.";
const NO_BYTES = "This ReadableStream did not return bytes.";
const TEXT_TYPE = "text/plain;charset=UTF-8";
const FORM_TYPE = "application/x-www-form-urlencoded;charset=UTF-8";

/* The content type of the body that extractBody() saw last, or null: a second result without an allocation. */
let extractedType = null;
export function takeExtractedType() {
  return extractedType;
}

/* Turns a BodyInit into what #body holds. */
export function extractBody(init) {
  extractedType = null;
  if (init === null || init === undefined) return null;
  if (typeof init === "string") {
    extractedType = TEXT_TYPE;
    return init.isWellFormed() ? init : init.toWellFormed();
  }
  if (typeof init === "object") return extractObject(init);
  extractedType = TEXT_TYPE;
  return `${init}`;
}

function extractObject(init) {
  const bytes = bytesOf(init);
  if (bytes !== undefined) return copyBytes(bytes);
  if (init instanceof ReadableStream) {
    if (init.locked) throw new TypeError("This ReadableStream is locked to a reader, and cannot be used as a body.");
    if (isDisturbed(init)) throw new TypeError("This ReadableStream is disturbed (has already been read from), and cannot be used as a body.");
    return init;
  }
  if (isBlob(init)) {
    extractedType = init.type === "" ? null : init.type;
    return copyBytes(blobBytes(init));
  }
  if (isSearchParams(init)) {
    extractedType = FORM_TYPE;
    return init.toString();
  }
  if (isFormData(init)) {
    const boundary = host.uuid().replaceAll("-", "");
    extractedType = "multipart/form-data; boundary=" + boundary;
    return encodeMultipart(init, boundary);
  }
  if (typeof init[Symbol.asyncIterator] === "function" || (typeof init[Symbol.iterator] === "function" && !(init instanceof String)))
    return ReadableStream.from(init);
  extractedType = TEXT_TYPE;
  return `${init}`;
}

/* Drains SOURCE (BodySource or a stream's reader adapter) into one Uint8Array. What is there already (take) needs no promise. */
async function drain(source) {
  const chunks = [];
  let total = 0;
  for (;;) {
    const chunk = source.take?.() ?? await source.read();
    if (chunk === undefined) break;
    chunks.push(chunk);
    total += chunk.byteLength;
  }
  return concatBytes(chunks, total);
}

/* A reader of a stream as a BodySource: one shape for everything that reads a body. */
class StreamSource {
  #reader;
  constructor(reader) {
    this.#reader = reader;
  }
  /* Nothing is ever here already. */
  take() {
    return undefined;
  }
  async read() {
    for (;;) {
      const { value, done } = await this.#reader.read();
      if (done) return undefined;
      const bytes = bytesOf(value);
      if (bytes === undefined) {
        const error = new TypeError(NO_BYTES);
        this.#reader.cancel(error).catch(() => {});
        throw error;
      }
      if (bytes.byteLength > 0) return bytes.constructor === Uint8Array ? bytes : new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength);
    }
  }
  cancel(reason) {
    return this.#reader.cancel(reason);
  }
}

/* BODY as takeBody() gave it in mode 2 (or a ReadableStream of the app), as something with read() and cancel(). */
export function sourceOf(body) {
  return body instanceof ReadableStream ? takeSource(body) ?? new StreamSource(readerOf(body)) : body;
}

const isWhole = (body) => typeof body === "string" || body instanceof Uint8Array;
const strip = (text) => (text.charCodeAt(0) === 0xfeff ? text.slice(1) : text);
const asText = (body) => (typeof body === "string" ? strip(body) : host.text(body, false, false));
const asBytes = (body) => (typeof body === "string" ? host.utf8(body) : body);

/* The state of a message is one array: cheaper in this engine than as many private fields. Request and Response append theirs. */
export const BODY = 0; /* null, string, Uint8Array, BodySource or ReadableStream */
export const USED = 1;
export const FLAT = 2; /* the flat headers; HEADERS is newer when it is there */
export const HEADERS = 3; /* the Headers object once it was asked for, else null */
export const IMMUTABLE = 4; /* the guard of the headers */
export const OWN = 5; /* the first index of the subclass */

/* What `.body` shows when the body went elsewhere before: the source itself must not be touched, somebody is reading it. */
function usedStream() {
  const stream = streamFromBytes(new Uint8Array(0));
  stream.cancel().catch(() => {});
  return stream;
}

let internals;

export class Body {
  #state;

  constructor(state) {
    this.#state = state;
  }

  get headers() {
    const state = this.#state;
    return state[HEADERS] ?? (state[HEADERS] = headersFromFlat(state[FLAT], state[IMMUTABLE]));
  }

  get body() {
    const state = this.#state;
    const body = state[BODY];
    if (body === null || body instanceof ReadableStream) return body;
    return (state[BODY] = state[USED] ? usedStream() : isWhole(body) ? streamFromBytes(asBytes(body)) : streamFromSource(body));
  }

  get bodyUsed() {
    const state = this.#state;
    return state[USED] || (state[BODY] instanceof ReadableStream && isDisturbed(state[BODY]));
  }

  /* The body, whole, passed through CONVERT; a promise. */
  #consume(convert) {
    try {
      const body = take(this.#state);
      if (body === null) return Promise.resolve(convert(""));
      if (isWhole(body)) return Promise.resolve(convert(body));
      return drain(sourceOf(body)).then(convert);
    } catch (error) {
      return Promise.reject(error);
    }
  }

  text() {
    return this.#consume(asText);
  }
  json() {
    return this.#consume((body) => JSON.parse(asText(body)));
  }
  arrayBuffer() {
    return this.#consume((body) => exactBuffer(asBytes(body)));
  }
  bytes() {
    return this.#consume(asBytes);
  }
  blob() {
    return this.#consume((body) => blobFromBytes(asBytes(body), this.headers.get("content-type") ?? ""));
  }
  formData() {
    let type;
    try {
      type = this.headers.get("content-type");
    } catch (error) {
      return Promise.reject(error);
    }
    if (type === null) return Promise.reject(new TypeError("Parsing a Body as FormData requires a Content-Type header."));
    return this.#consume((body) => parseFormBody(asBytes(body), type));
  }

  static {
    internals = { state: (message) => message.#state, brand: (value) => #state in value };
  }
}
finish(Body, "Body");

export const isMessage = (value) => typeof value === "object" && value !== null && internals.brand(value);

/* Marks the body used and gives what it was. Throws when it was used before. */
function take(state) {
  const body = state[BODY];
  if (state[USED]) throw new TypeError(USED_TEXT);
  if (body === null) return null;
  if (body instanceof ReadableStream) {
    if (isDisturbed(body)) throw new TypeError(USED_TEXT);
    if (body.locked) throw new TypeError(LOCKED);
  }
  state[USED] = true;
  return body;
}

/* Splits the body in two: the message keeps one half, the other is returned. */
export function forkBody(message) {
  const state = internals.state(message);
  const body = state[BODY];
  if (state[USED]) throw new TypeError(USED_TEXT);
  if (body === null || typeof body === "string") return body;
  if (body instanceof Uint8Array) return copyBytes(body);
  const stream = message.body;
  if (stream.locked) throw new TypeError(LOCKED);
  if (isDisturbed(stream)) throw new TypeError(USED_TEXT);
  const [ours, theirs] = stream.tee();
  state[BODY] = ours;
  return theirs;
}

export const rawBody = (message) => internals.state(message)[BODY];

/* The flat headers of a Request or Response. */
export function flatOfMessage(message) {
  const state = internals.state(message);
  return state[HEADERS] === null ? state[FLAT] : flatOf(state[HEADERS]);
}

/* 0 none, 1 whole, 2 stream. */
export function bodyMode(message) {
  const body = internals.state(message)[BODY];
  if (body === null) return BODY_NONE;
  return isWhole(body) ? BODY_WHOLE : BODY_STREAM;
}

/* Marks the body used and returns it: undefined (mode 0), string or Uint8Array (1), BodySource or ReadableStream (2). */
export function takeBody(message) {
  const body = take(internals.state(message));
  if (body === null) return undefined;
  return body instanceof ReadableStream ? plainBody(body) : body;
}

/* A stream as the source behind it, when nobody has touched it: whoever sends it need not pull it through a stream. */
function plainBody(stream) {
  const source = takeSource(stream);
  if (source !== undefined) return source;
  const reader = takeChainReader(stream);
  return reader === undefined ? stream : new StreamSource(reader);
}

/* What the host gave (mode, body) as BODY. */
export function hostBody(mode, body) {
  if (mode === BODY_NONE) return null;
  if (mode === BODY_WHOLE && typeof body !== "string") return body instanceof Uint8Array ? body : new Uint8Array(body);
  return body;
}
