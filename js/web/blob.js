/*
 * blob: Blob and File (File API). The bytes are kept whole in the heap.
 */
import { host } from "../core/host.js";
import { streamFromBytes } from "./streams.js";
import { bytesOf, concatBytes, copyBytes, finish, usv } from "./util.js";

const MADE = Symbol("made");
let internals;

/* The type as workerd shows it: lower case up to the parameters, "" when it has a character outside of ASCII's printable ones. */
function typeOf(value) {
  const text = `${value}`;
  if (/[^\x20-\x7e]/.test(text)) return "";
  return text.toLowerCase();
}

/* A MIME type as Body.blob() gives it: essence in lower case, parameters as they were, no spaces around ";". */
function bodyType(text) {
  const [essence, ...rest] = text.split(";");
  const parameters = rest.map((part) => part.trim()).filter((part) => part !== "").map((part) => {
    const at = part.indexOf("=");
    return at === -1 ? part.toLowerCase() : part.slice(0, at).toLowerCase() + part.slice(at);
  });
  return [essence.trim().toLowerCase(), ...parameters].join(";");
}

function partBytes(part) {
  if (typeof part === "string") return host.utf8(usv(part));
  const bytes = bytesOf(part);
  if (bytes !== undefined) return bytes;
  return isBlob(part) ? internals.bytes(part) : host.utf8(usv(part));
}

function gather(parts) {
  if (parts === null || typeof parts !== "object" || typeof parts[Symbol.iterator] !== "function")
    throw new TypeError("Failed to construct 'Blob': constructor parameter 1 is not of type 'Array'.");
  const chunks = [];
  let total = 0;
  for (const part of parts) {
    const bytes = partBytes(part);
    chunks.push(bytes);
    total += bytes.byteLength;
  }
  return chunks.length === 1 ? copyBytes(chunks[0]) : concatBytes(chunks, total);
}

/* A place in the range of a slice: negative counts from the end. */
function clamp(value, size, otherwise) {
  if (value === undefined) return otherwise;
  const n = Math.trunc(Number(value)) || 0;
  return n < 0 ? Math.max(size + n, 0) : Math.min(n, size);
}

export class Blob {
  #bytes;
  #type;

  constructor(parts, options, bytes, type) {
    if (parts === MADE) {
      this.#bytes = bytes;
      this.#type = type;
      return;
    }
    if (options !== undefined && options !== null && options.endings !== undefined && options.endings !== "transparent")
      throw new Error("The 'endings' field on 'Options' is not implemented.");
    this.#bytes = parts === undefined ? new Uint8Array(0) : gather(parts);
    this.#type = options?.type === undefined ? "" : typeOf(options.type);
  }

  get size() {
    return this.#bytes.byteLength;
  }
  get type() {
    return this.#type;
  }

  slice(start, end, type) {
    const size = this.#bytes.byteLength;
    const from = clamp(start, size, 0);
    const to = Math.max(clamp(end, size, size), from);
    return new Blob(MADE, undefined, this.#bytes.subarray(from, to), type === undefined ? "" : typeOf(type));
  }

  text() {
    return Promise.resolve(host.text(this.#bytes, false, false));
  }
  arrayBuffer() {
    return Promise.resolve(copyBytes(this.#bytes).buffer);
  }
  bytes() {
    return Promise.resolve(copyBytes(this.#bytes));
  }
  stream() {
    return streamFromBytes(copyBytes(this.#bytes));
  }

  static {
    internals = { bytes: (blob) => blob.#bytes, brand: (value) => #bytes in value };
  }
}
finish(Blob, "Blob", 0);

export class File extends Blob {
  #name;
  #lastModified;

  constructor(parts, name, options, bytes, type) {
    if (parts === MADE) {
      super(MADE, undefined, bytes, type);
    } else {
      if (arguments.length < 2) throw new TypeError("Failed to construct 'File': constructor parameter 2 is not of type 'string'.");
      super(parts, options);
    }
    this.#name = usv(name);
    this.#lastModified = options?.lastModified === undefined ? Date.now() : Math.trunc(Number(options.lastModified)) || 0;
  }

  get name() {
    return this.#name;
  }
  get lastModified() {
    return this.#lastModified;
  }
  get webkitRelativePath() {
    return "";
  }
}
finish(File, "File", 2);

export function isBlob(value) {
  return typeof value === "object" && value !== null && internals.brand(value);
}

/* The bytes themselves: not to be changed. */
export const blobBytes = (blob) => internals.bytes(blob);

/* A Blob over BYTES, which it takes over; TYPE is a Content-Type. */
export function blobFromBytes(bytes, type) {
  return new Blob(MADE, undefined, bytes, bodyType(type));
}

/* A File over the bytes of BLOB, or over BYTES. */
export function fileFromBlob(blob, name) {
  return new File(MADE, name, undefined, internals.bytes(blob), blob.type);
}
export function fileFromBytes(bytes, name, type) {
  return new File(MADE, name, undefined, bytes, type);
}
