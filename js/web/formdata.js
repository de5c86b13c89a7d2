/*
 * formdata: FormData (XHR standard), and multipart/form-data both ways (RFC 7578).
 *
 * Bodies come from outside: the parser bounds everything by the body itself and never scans a byte twice for one part.
 */
import { host } from "../core/host.js";
import { blobBytes, File, fileFromBlob, fileFromBytes, isBlob } from "./blob.js";
import { concatBytes, finish, pairIterator, usv } from "./util.js";

let internals;

function entryValue(value, filename, count, operation) {
  if (count < 2)
    throw new TypeError(`Failed to execute '${operation}' on 'FormData': parameter 2 is not of type 'File or Blob or string'.`);
  if (!isBlob(value)) return usv(value);
  if (value instanceof File && filename === undefined) return value;
  return fileFromBlob(value, filename === undefined ? (value.name ?? "blob") : filename);
}

export class FormData {
  #list = [];

  constructor(form) {
    if (form !== undefined) throw new TypeError("Failed to construct 'FormData': constructor parameter 1 is not of type 'undefined'.");
  }

  append(name, value, filename) {
    const entry = entryValue(value, filename, arguments.length, "append");
    this.#list.push(usv(name), entry);
  }

  set(name, value, filename) {
    const entry = entryValue(value, filename, arguments.length, "set");
    const key = usv(name);
    const list = this.#list;
    const at = this.#find(key, 0);
    if (at === -1) {
      list.push(key, entry);
      return;
    }
    list[at + 1] = entry;
    for (let i = this.#find(key, at + 2); i !== -1; i = this.#find(key, i)) list.splice(i, 2);
  }

  delete(name) {
    const key = usv(name);
    for (let i = this.#find(key, 0); i !== -1; i = this.#find(key, i)) this.#list.splice(i, 2);
  }

  get(name) {
    const at = this.#find(usv(name), 0);
    return at === -1 ? null : this.#list[at + 1];
  }

  getAll(name) {
    const key = usv(name);
    const all = [];
    for (let i = this.#find(key, 0); i !== -1; i = this.#find(key, i + 2)) all.push(this.#list[i + 1]);
    return all;
  }

  has(name) {
    return this.#find(usv(name), 0) !== -1;
  }

  forEach(callback, thisArg) {
    for (let i = 0; i < this.#list.length; i += 2) callback.call(thisArg, this.#list[i + 1], this.#list[i], this);
  }
  entries() {
    return new FormDataIterator(this, 0);
  }
  keys() {
    return new FormDataIterator(this, 1);
  }
  values() {
    return new FormDataIterator(this, 2);
  }

  #find(name, from) {
    const list = this.#list;
    for (let i = from; i < list.length; i += 2) if (list[i] === name) return i;
    return -1;
  }

  static {
    internals = { list: (form) => form.#list, brand: (value) => #list in value };
  }
}

const FormDataIterator = pairIterator("FormData", (form) => internals.list(form));
finish(FormData, "FormData", 0);
Object.defineProperty(FormData.prototype, Symbol.iterator,
  { value: FormData.prototype.entries, writable: true, enumerable: false, configurable: true });

export function isFormData(value) {
  return typeof value === "object" && value !== null && internals.brand(value);
}

const ESCAPES = { '"': "%22", "\r": "%0D", "\n": "%0A" };
const quote = (text) => text.replace(/["\r\n]/g, (c) => ESCAPES[c]);

/* FORM as a body: a string when it holds no files, bytes otherwise. */
export function encodeMultipart(form, boundary) {
  const list = internals.list(form);
  const chunks = [];
  let text = "";
  for (let i = 0; i < list.length; i += 2) {
    const value = list[i + 1];
    text += `--${boundary}\r\nContent-Disposition: form-data; name="${quote(list[i])}"`;
    if (typeof value === "string") {
      text += `\r\n\r\n${value}\r\n`;
      continue;
    }
    text += `; filename="${quote(value.name)}"\r\nContent-Type: ${value.type === "" ? "application/octet-stream" : value.type}\r\n\r\n`;
    chunks.push(host.utf8(text), blobBytes(value));
    text = "\r\n";
  }
  text += `--${boundary}--`;
  if (chunks.length === 0) return text;
  chunks.push(host.utf8(text));
  return concatBytes(chunks, chunks.reduce((sum, chunk) => sum + chunk.byteLength, 0));
}

/* The parameters of a header value such as `form-data; name="a"; filename="b"`, names in lower case. */
function parameters(value) {
  const found = new Map();
  const pattern = /;\s*([^\s=;]+)\s*=\s*(?:"((?:[^"\\]|\\["\\])*)"|([^\s;]*))/g;
  for (const [, name, quoted, bare] of value.matchAll(pattern))
    found.set(name.toLowerCase(), quoted === undefined ? bare : quoted.replace(/\\(["\\])/g, "$1"));
  return found;
}

/* The names of a part are percent-encoded only for quotes and line ends (HTML standard). */
const unquote = (text) => text.replace(/%22/g, '"').replace(/%0D/gi, "\r").replace(/%0A/gi, "\n");

/* Parses BYTES as TYPE (a Content-Type) says; a TypeError when it cannot. */
export function parseFormBody(bytes, type) {
  const essence = type.split(";", 1)[0].trim().toLowerCase();
  if (essence === "application/x-www-form-urlencoded") {
    const form = new FormData();
    const pairs = host.formDecode(host.text(bytes, false, true));
    for (let i = 0; i < pairs.length; i += 2) internals.list(form).push(pairs[i], pairs[i + 1]);
    return form;
  }
  if (essence !== "multipart/form-data")
    throw new TypeError("Unrecognized Content-Type header value. FormData can only parse the following MIME types: " +
      "multipart/form-data, application/x-www-form-urlencoded");
  const boundary = parameters(type).get("boundary");
  if (boundary === undefined || boundary === "")
    throw new TypeError("No boundary string in Content-Type header. The multipart/form-data MIME type requires a boundary " +
      "parameter, e.g. 'Content-Type: multipart/form-data; boundary=\"abcd\"'. See RFC 7578, section 4.");
  return parseMultipart(bytes, boundary);
}

/* Works on a binary string (one character per byte), whose search is native. */
function parseMultipart(bytes, boundary) {
  const text = host.latin1(bytes);
  const mark = host.latin1(host.utf8("--" + boundary));
  const form = new FormData();
  const list = internals.list(form);
  let at = text.startsWith(mark) ? 0 : text.indexOf("\r\n" + mark);
  if (at === -1) throw new TypeError("No initial boundary string (or you have a truncated message).");
  at += text.startsWith(mark) ? mark.length : mark.length + 2;
  while (!text.startsWith("--", at)) {
    const line = text.indexOf("\r\n", at);
    if (line === -1 || text.slice(at, line).trim() !== "") throw new TypeError("No delimiter between boundary and part headers.");
    const head = text.indexOf("\r\n\r\n", line);
    if (head === -1) throw new TypeError("No valid Content-Disposition header found in FormData part.");
    const end = text.indexOf("\r\n" + mark, head + 2);
    if (end === -1) throw new TypeError("No subsequent boundary string after multipart message.");
    addPart(list, text.slice(line + 2, head), bytes, head + 4, Math.max(end, head + 4));
    at = end + 2 + mark.length;
  }
  return form;
}

const fromLatin1 = (text) => host.text(Uint8Array.from(text, (c) => c.charCodeAt(0)), false, true);

function addPart(list, head, bytes, from, to) {
  let disposition;
  let type = "";
  for (const line of head.split("\r\n")) {
    const colon = line.indexOf(":");
    const name = line.slice(0, colon).trim().toLowerCase();
    if (name === "content-disposition") disposition = fromLatin1(line.slice(colon + 1));
    else if (name === "content-type") type = line.slice(colon + 1).trim();
  }
  if (disposition === undefined || !/^\s*form-data\s*(;|$)/i.test(disposition))
    throw new TypeError("No valid Content-Disposition header found in FormData part.");
  const found = parameters(disposition);
  const name = found.get("name");
  if (name === undefined) throw new TypeError("Content-Disposition header in FormData part is missing a name.");
  const filename = found.get("filename");
  const body = bytes.subarray(from, to);
  list.push(unquote(name), filename === undefined
    ? host.text(body, false, true)
    : fileFromBytes(body.slice(), unquote(filename), type === "" ? "text/plain" : type.toLowerCase()));
}
