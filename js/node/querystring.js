/*
 * node:querystring.
 */
const KEEP = /[^A-Za-z0-9\-_.!~*'()]/;

export function escape(value) {
  const text = typeof value === "string" ? value : `${value}`;
  return KEEP.test(text) ? encodeURIComponent(text) : text;
}

export function unescape(text) {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

const primitive = (value) => {
  if (typeof value === "string") return value;
  if (typeof value === "number") return Number.isFinite(value) ? `${value}` : "";
  return typeof value === "bigint" || typeof value === "boolean" ? `${value}` : "";
};

export function stringify(object, separator = "&", equals = "=", options) {
  if (object === null || typeof object !== "object") return "";
  const encode = options?.encodeURIComponent ?? querystring.escape;
  const out = [];
  for (const key of Object.keys(object)) {
    const name = encode(key);
    const values = Array.isArray(object[key]) ? object[key] : [object[key]];
    for (const value of values) out.push(name + equals + encode(primitive(value)));
  }
  return out.join(separator);
}

export function parse(text, separator = "&", equals = "=", options) {
  const out = Object.create(null);
  if (typeof text !== "string" || text === "") return out;
  const decode = options?.decodeURIComponent ?? querystring.unescape;
  const keysMax = options?.maxKeys ?? 1000;
  let parts = text.split(separator);
  if (keysMax > 0) parts = parts.slice(0, keysMax);
  for (const part of parts) {
    if (part === "") continue;
    const at = part.indexOf(equals);
    const name = decode((at === -1 ? part : part.slice(0, at)).replaceAll("+", " "));
    const value = at === -1 ? "" : decode(part.slice(at + equals.length).replaceAll("+", " "));
    if (out[name] === undefined) out[name] = value;
    else if (Array.isArray(out[name])) out[name].push(value);
    else out[name] = [out[name], value];
  }
  return out;
}

export const encode = stringify;
export const decode = parse;
const querystring = { decode, encode, escape, parse, stringify, unescape };
export default querystring;
