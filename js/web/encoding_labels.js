/*
 * encoding_labels: the encodings that need no native: UTF-8, UTF-16 and windows-1252, with their labels (Encoding standard, 4.2).
 *
 * All others are the host's `textLabel` and `textDecode`, when it has them.
 */
import { host } from "../core/host.js";
import { trimText } from "./util.js";

const LABELS = new Map();
for (const [name, labels] of [
  ["utf-8", "utf-8 utf8 unicode-1-1-utf-8 unicode11utf8 unicode20utf8 x-unicode20utf8"],
  ["utf-16le", "utf-16le utf-16 ucs-2 unicode unicodefeff iso-10646-ucs-2 csunicode"],
  ["utf-16be", "utf-16be unicodefffe"],
  ["windows-1252", "windows-1252 latin1 ascii us-ascii iso-8859-1 iso8859-1 iso88591 iso_8859-1 iso_8859-1:1987 iso-ir-100 l1 cp1252 " +
    "x-cp1252 cp819 ibm819 csisolatin1 ansi_x3.4-1968"],
])
  for (const label of labels.split(" ")) LABELS.set(label, name);

/* The canonical name of LABEL, or undefined. */
export function encodingName(label) {
  const key = trimText(label).toLowerCase();
  return LABELS.get(key) ?? (typeof host.textLabel === "function" ? host.textLabel(key) : undefined);
}

/* What windows-1252 has in 0x80–0x9F, where ISO 8859-1 has controls. */
const HIGH = "\u20ac\x81\u201a\u0192\u201e\u2026\u2020\u2021\u02c6\u2030\u0160\u2039\u0152\x8d\u017d\x8f\x90\u2018\u2019\u201c\u201d\u2022" +
  "\u2013\u2014\u02dc\u2122\u0161\u203a\u0153\x9d\u017e\u0178";
const UNITS_MAX = 4096; /* arguments of one call of String.fromCharCode: they lie on the engine's stack */

function decodeUtf16(bytes, isBig) {
  const count = bytes.byteLength >> 1;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let text = "";
  for (let at = 0; at < count; at += UNITS_MAX) {
    const units = new Array(Math.min(UNITS_MAX, count - at));
    for (let i = 0; i < units.length; i++) units[i] = view.getUint16(2 * (at + i), !isBig);
    text += String.fromCharCode.apply(null, units);
  }
  return bytes.byteLength & 1 ? text + "\ufffd" : text;
}

/* The text of BYTES; throws a TypeError when FATAL and they are not well formed. The byte order mark is kept. */
export function decodeLegacy(name, bytes, isFatal) {
  if (name === "windows-1252") return host.latin1(bytes).replace(/[\x80-\x9f]/g, (c) => HIGH[c.charCodeAt(0) - 0x80]);
  if (name !== "utf-16le" && name !== "utf-16be") return host.textDecode(name, bytes, isFatal);
  const text = decodeUtf16(bytes, name === "utf-16be");
  if (isFatal && (!text.isWellFormed() || (bytes.byteLength & 1) === 1)) throw new TypeError("Failed to decode input.");
  return text.toWellFormed();
}
