/*
 * inspect: values as text for people, in the style of Node's util.inspect, for console.* and node:util.
 *
 * Promise: never throws, whatever a getter or proxy of the app does; bounded in depth, in items and in length.
 */
import { host } from "../core/host.js";

export const CUSTOM = Symbol.for("nodejs.util.inspect.custom");

const DEFAULTS = {
  depth: 2, showHidden: false, compact: 3, breakLength: 80, maxArrayLength: 100, maxStringLength: 10000, sorted: false, getters: false,
  colors: false, customInspect: true,
};
const LINE_MAX = 72;            /* an object that fits in this many columns stays on one line */
const TOTAL_MAX = 256 * 1024;   /* characters of one inspected value: a log line must not hold a whole heap */
const IDENTIFIER = /^[A-Za-z_$][\w$]*$/;
const TypedArray = Object.getPrototypeOf(Uint8Array);

const ESCAPES = { "\b": "\\b", "\t": "\\t", "\n": "\\n", "\f": "\\f", "\r": "\\r", "\\": "\\\\" };
// eslint-disable-next-line no-control-regex
const SPECIAL = /[\x00-\x1f\x7f-\x9f\\]/g;

/* TEXT in the quotes that need the fewest escapes. */
export function quoteString(text) {
  let quote = "'";
  if (text.includes("'")) quote = !text.includes('"') ? '"' : !text.includes("`") && !text.includes("${") ? "`" : "'";
  const body = text.replace(SPECIAL, (c) => ESCAPES[c] ?? "\\x" + c.charCodeAt(0).toString(16).toUpperCase().padStart(2, "0"));
  return quote + (quote === "'" ? body.replaceAll("'", "\\'") : body) + quote;
}

class State {
  constructor(options) {
    this.options = options;
    this.seen = [];
    this.circular = new Map();
    this.left = TOTAL_MAX;
    this.deepest = 0; /* of the object shown last: what holds more than `compact` levels gets lines of its own */
  }
}

export function inspect(value, options, ...rest) {
  let chosen = DEFAULTS;
  if (typeof options === "boolean") chosen = { ...DEFAULTS, showHidden: options, depth: rest[0] === undefined ? 2 : rest[0] };
  else if (typeof options === "object" && options !== null) chosen = { ...DEFAULTS, ...options };
  if (chosen.depth === null) chosen = { ...chosen, depth: Infinity };
  return show(value, new State(chosen), 0, 0, false);
}
inspect.custom = CUSTOM;
inspect.defaultOptions = DEFAULTS;

/* The text of VALUE at DEPTH; INDENT columns are already used to its left. */
function show(value, state, depth, indent, isInner) {
  if (state.left <= 0) return "...";
  const text = typeof value === "object" && value !== null || typeof value === "function"
    ? showObject(value, state, depth, indent)
    : showPrimitive(value, state, isInner);
  state.left -= text.length;
  return text;
}

function showPrimitive(value, state, isInner) {
  switch (typeof value) {
    case "string": {
      const max = state.options.maxStringLength ?? Infinity;
      if (value.length <= max) return quoteString(value);
      const more = value.length - max;
      return `${quoteString(value.slice(0, max))}... ${more} more character${more > 1 ? "s" : ""}`;
    }
    case "number":
      return Object.is(value, -0) ? "-0" : `${value}`;
    case "bigint":
      return `${value}n`;
    case "symbol":
      return value.toString();
    default:
      return `${value}`;
  }
}

function showObject(value, state, depth, indent) {
  const { seen } = state;
  if (seen.includes(value)) {
    if (!state.circular.has(value)) state.circular.set(value, state.circular.size + 1);
    return `[Circular *${state.circular.get(value)}]`;
  }
  try {
    const custom = state.options.customInspect ? value[CUSTOM] : undefined;
    if (typeof custom === "function" && custom !== inspect) {
      const result = custom.call(value, state.options.depth - depth, { ...state.options, stylize: (text) => `${text}` }, inspect);
      if (typeof result === "string") return result.replaceAll("\n", "\n" + " ".repeat(indent));
      if (result !== value) return show(result, state, depth, indent, false);
    }
    seen.push(value);
    const text = showParts(value, state, depth, indent);
    seen.pop();
    const mark = state.circular.get(value);
    return mark === undefined ? text : `<ref *${mark}> ${text}`;
  } catch (error) {
    seen.length = Math.max(0, seen.indexOf(value));
    return `[${tryName(value)}: inspection failed${error instanceof RangeError ? " (too deep)" : ""}]`;
  }
}

function tryName(value) {
  try {
    return constructorName(value) ?? "Object";
  } catch {
    return "Object";
  }
}

/* The name of the class that made VALUE, or null for objects without a prototype. */
function constructorName(value) {
  for (let proto = value; proto !== null; proto = Object.getPrototypeOf(proto)) {
    const slot = Object.getOwnPropertyDescriptor(proto, "constructor");
    if (slot !== undefined && typeof slot.value === "function" && slot.value.name !== "" && value instanceof slot.value)
      return slot.value.name;
  }
  return null;
}

/* "Name", "Name [Tag]" or "[Name: null prototype]", with a size in brackets when there is one. */
function prefix(value, fallback, size) {
  const name = constructorName(value);
  const count = size === undefined ? "" : `(${size})`;
  if (name === null) return `[${fallback}${count}: null prototype] `;
  const tag = value[Symbol.toStringTag];
  const suffix = typeof tag === "string" && tag !== "" && tag !== name && !Object.hasOwn(value, Symbol.toStringTag) ? ` [${tag}]` : "";
  return `${name}${count}${suffix} `;
}

function showParts(value, state, depth, indent) {
  const isDeep = depth > state.options.depth;
  const kind = kindOf(value);
  if (isDeep && kind.deep !== undefined) return `[${prefix(value, kind.deep).trim()}]`;
  const keys = kind.hasIndexes ? plainKeys(value, state).filter((key) => typeof key === "symbol" || !/^\d+$/.test(key)) : plainKeys(value, state);
  const inner = indent + 2;
  state.deepest = depth;
  const items = kind.items === undefined ? [] : kind.items(value, state, depth + 1, inner);
  for (const key of keys) {
    if (kind.skip?.includes(key)) continue;
    items.push(showProperty(value, key, state, depth + 1, inner));
  }
  const head = kind.head(value, items.length === 0, indent);
  if (kind.isAtom && items.length === 0) return head;
  const [open, close] = kind.isList ? ["[", "]"] : ["{", "}"];
  if (items.length === 0) return head + open + close;
  const lead = kind.isAtom ? head + " " : head;
  const isShallow = state.options.compact === true || state.deepest - depth < state.options.compact;
  return layOut(lead, open, close, items, indent, kind.isList === true, isShallow, state);
}

function plainKeys(value, state) {
  const keys = state.options.showHidden ? Object.getOwnPropertyNames(value) : Object.keys(value);
  for (const symbol of Object.getOwnPropertySymbols(value))
    if (state.options.showHidden || Object.getOwnPropertyDescriptor(value, symbol)?.enumerable) keys.push(symbol);
  return state.options.sorted ? keys.sort() : keys;
}

function keyText(key) {
  if (typeof key === "symbol") return `[${key.toString()}]`;
  return IDENTIFIER.test(key) ? key : quoteString(key);
}

function showProperty(value, key, state, depth, indent) {
  const slot = Object.getOwnPropertyDescriptor(value, key);
  const name = slot !== undefined && !slot.enumerable ? `[${String(key)}]` : keyText(key);
  if (slot === undefined) return `${name}: ${show(value[key], state, depth, indent, true)}`;
  if (slot.get !== undefined) {
    const kind = slot.set === undefined ? "[Getter]" : "[Getter/Setter]";
    return `${name}: ${kind}`;
  }
  if (slot.set !== undefined) return `${name}: [Setter]`;
  return `${name}: ${show(slot.value, state, depth, indent, true)}`;
}

/* One line when it is short, one item per line otherwise; long lists of short items in columns. */
function layOut(head, open, close, items, indent, isList, isShallow, state) {
  const isFlat = !items.some((item) => item.includes("\n"));
  const width = items.reduce((sum, item) => sum + item.length + 2, 0) + head.length + indent;
  const limit = Math.min(LINE_MAX + 4, state.options.breakLength);
  if (isFlat && isShallow && (isList ? items.length <= 6 : true) && width <= limit)
    return `${head}${open} ${items.join(", ")} ${close}`;
  const pad = " ".repeat(indent + 2);
  const lines = isFlat && isList && items.length > 6 ? columns(items, limit) : items;
  return `${head}${open}\n${pad}${lines.join(",\n" + pad)}\n${" ".repeat(indent)}${close}`;
}

function columns(items, limit) {
  const longest = Math.max(...items.map((item) => item.length)) + 2;
  const count = Math.min(Math.max(Math.floor(Math.sqrt(2.5 * longest * items.length) / longest), 1), Math.floor(limit / longest), 15);
  if (count <= 1) return items;
  const isNumeric = items.every((item) => /^-?[\d.]+n?$/.test(item));
  const lines = [];
  for (let i = 0; i < items.length; i += count) {
    const row = items.slice(i, i + count);
    const cells = row.map((item, j) => {
      const widest = Math.max(...items.filter((_, k) => k % count === j).map((one) => one.length));
      return isNumeric ? item.padStart(widest) : j === row.length - 1 ? item : (item + ",").padEnd(widest + 1).replace(/,(\s*)$/, "$1");
    });
    lines.push(isNumeric ? cells.join(", ") : row.map((item, j) => (j === row.length - 1 ? item : item + ", ")).join(""));
  }
  return lines;
}

const more = (left) => `... ${left} more item${left > 1 ? "s" : ""}`;
const limitOf = (state) => state.options.maxArrayLength ?? Infinity;

/* ---- kinds of objects ---------------------------------------------------------------------------------------------- */

const plain = {
  deep: "Object",
  head: (value) => {
    const text = prefix(value, "Object");
    return text === "Object " ? "" : text;
  },
};

const list = {
  deep: "Array", isList: true, hasIndexes: true,
  head: (value) => (constructorName(value) === "Array" ? "" : prefix(value, "Array", value.length)),
  items(value, state, depth, indent) {
    const out = [];
    const max = Math.min(value.length, limitOf(state));
    let holes = 0;
    const flush = () => {
      if (holes > 0) out.push(`<${holes} empty item${holes > 1 ? "s" : ""}>`);
      holes = 0;
    };
    for (let i = 0; i < max; i++) {
      if (!Object.hasOwn(value, i)) {
        holes++;
        continue;
      }
      flush();
      out.push(show(value[i], state, depth, indent, true));
    }
    flush();
    if (value.length > max) out.push(more(value.length - max));
    return out;
  },
};

const typed = {
  deep: "TypedArray", isList: true, hasIndexes: true,
  head: (value) => prefix(value, "TypedArray", value.length),
  items(value, state) {
    const max = Math.min(value.length, limitOf(state));
    const out = [];
    for (let i = 0; i < max; i++) out.push(showPrimitive(value[i], state));
    if (value.length > max) out.push(more(value.length - max));
    return out;
  },
};

const map = {
  deep: "Map",
  head: (value) => prefix(value, "Map", value.size),
  items(value, state, depth, indent) {
    const out = [];
    for (const [k, v] of Map.prototype.entries.call(value)) {
      if (out.length >= limitOf(state)) {
        out.push(more(value.size - out.length));
        break;
      }
      out.push(`${show(k, state, depth, indent, true)} => ${show(v, state, depth, indent, true)}`);
    }
    return out;
  },
};

const set = {
  deep: "Set",
  head: (value) => prefix(value, "Set", value.size),
  items(value, state, depth, indent) {
    const out = [];
    for (const v of Set.prototype.values.call(value)) {
      if (out.length >= limitOf(state)) {
        out.push(more(value.size - out.length));
        break;
      }
      out.push(show(v, state, depth, indent, true));
    }
    return out;
  },
};

const func = { isAtom: true, head: functionText, skip: ["prototype"] };

function functionText(value) {
  const source = Function.prototype.toString.call(value);
  const name = typeof value.name === "string" ? value.name : "";
  if (source.startsWith("class")) {
    const parent = Object.getPrototypeOf(value);
    const base = typeof parent === "function" && parent.name ? ` extends ${parent.name}` : "";
    return `[class ${name === "" ? "(anonymous)" : name}${base}]`;
  }
  const kind = Object.getPrototypeOf(value)?.[Symbol.toStringTag] ?? "Function";
  return name === "" ? `[${kind} (anonymous)]` : `[${kind}: ${name}]`;
}

const error = {
  isAtom: true, skip: ["stack", "message", "name"],
  head: errorText,
  items(value, state, depth, indent) {
    const out = [];
    const slot = Object.getOwnPropertyDescriptor(value, "cause");
    if (slot !== undefined && !slot.enumerable) out.push(`[cause]: ${show(value.cause, state, depth, indent, true)}`);
    if (Array.isArray(value.errors) && !Object.keys(value).includes("errors"))
      out.push(`[errors]: ${show(value.errors, state, depth, indent, true)}`);
    return out;
  },
};

/* "Name: message" and the stack below it. The engine's stack has no first line, unlike V8's. */
function errorText(value, _isEmpty, indent) {
  const title = errorTitle(value);
  const stack = typeof value.stack === "string" ? value.stack.trimEnd() : "";
  if (stack === "") return `[${title}]`;
  const lines = stack.startsWith(title) ? stack : `${title}\n${stack}`;
  let text = lines;
  try {
    text = host.mapStack(lines);
  } catch {
    text = lines;
  }
  return indent === 0 ? text : text.replaceAll("\n", "\n" + " ".repeat(indent));
}

export function errorTitle(value) {
  const name = `${value.name ?? "Error"}`;
  const message = `${value.message ?? ""}`;
  return message === "" ? name : `${name}: ${message}`;
}

const atom = (text) => ({ isAtom: true, head: text });
const date = atom((value) => (Number.isNaN(value.getTime()) ? "Invalid Date" : value.toISOString()));
const regexp = atom((value) => RegExp.prototype.toString.call(value));
const weak = atom((value) => `${prefix(value, "WeakMap").trim()} { <items unknown> }`);
const boxed = {
  isAtom: true,
  hasIndexes: true,
  head(value) {
    const inner = value.valueOf();
    const type = typeof inner;
    return `[${type[0].toUpperCase()}${type.slice(1)}: ${typeof inner === "string" ? quoteString(inner) : String(inner)}]`;
  },
};

const buffer = {
  deep: "ArrayBuffer",
  head: (value) => prefix(value, "ArrayBuffer"),
  items(value) {
    const bytes = new Uint8Array(value);
    const shown = [...bytes.subarray(0, 50)].map((byte) => byte.toString(16).padStart(2, "0")).join(" ");
    const rest = bytes.length > 50 ? ` ... ${bytes.length - 50} more byte${bytes.length > 51 ? "s" : ""}` : "";
    return [`[Uint8Contents]: <${shown}${rest}>`, `byteLength: ${bytes.length}`];
  },
};

const view = {
  deep: "DataView",
  head: (value) => prefix(value, "DataView"),
  items: (value, state, depth, indent) => ["byteLength", "byteOffset", "buffer"].map((key) => `${key}: ${show(value[key], state, depth, indent, true)}`),
};

const promise = {
  deep: "Promise",
  head: (value) => prefix(value, "Promise"),
  items(value, state, depth, indent) {
    const status = host.promiseState(value);
    if (status === 0) return ["<pending>"];
    const result = show(host.promiseResult(value), state, depth, indent, true);
    return [status === 2 ? `<rejected> ${result}` : result];
  },
};

/* Interfaces whose pairs are what they are: Headers, URLSearchParams, FormData. */
const pairs = {
  deep: "Object",
  head: (value) => `${constructorName(value)}${value.size === undefined ? "" : `(${value.size})`} `,
  items: (value, state, depth, indent) =>
    [...value.entries()].map(([k, v]) => `${show(k, state, depth, indent, true)} => ${show(v, state, depth, indent, true)}`),
};

/* Interfaces that keep everything behind getters: show what the getters say. */
const getters = (names) => ({
  deep: "Object",
  head: (value) => prefix(value, "Object"),
  items: (value, state, depth, indent) => names.map((name) => `${name}: ${show(value[name], state, depth, indent, true)}`),
});

const interfaces = new Map([
  ["Headers", pairs], ["URLSearchParams", pairs], ["FormData", pairs],
  ["URL", getters(["href", "origin", "protocol", "username", "password", "host", "hostname", "port", "pathname", "search", "searchParams", "hash"])],
  ["Request", getters(["method", "url", "headers", "redirect", "signal", "cf", "bodyUsed"])],
  ["Response", getters(["status", "statusText", "headers", "ok", "redirected", "url", "webSocket", "type", "bodyUsed"])],
  ["AbortSignal", getters(["aborted", "reason"])], ["Blob", getters(["size", "type"])], ["File", getters(["name", "size", "type", "lastModified"])],
  ["Event", getters(["type", "defaultPrevented"])], ["MessageEvent", getters(["type", "data"])],
  ["CloseEvent", getters(["type", "code", "reason", "wasClean"])], ["ErrorEvent", getters(["type", "message", "error"])],
  ["ReadableStream", getters(["locked"])], ["WritableStream", getters(["locked"])],
  ["CryptoKey", getters(["type", "extractable", "algorithm", "usages"])],
  ["WebSocket", getters(["readyState", "url", "protocol"])],
]);

function kindOf(value) {
  if (Array.isArray(value)) return list;
  if (typeof value === "function") return func;
  if (value instanceof Error || Object.prototype.toString.call(value) === "[object Error]") return error;
  if (value instanceof Map) return map;
  if (value instanceof Set) return set;
  if (value instanceof Date) return date;
  if (value instanceof RegExp) return regexp;
  if (value instanceof Promise) return promise;
  if (value instanceof TypedArray) return typed;
  if (value instanceof ArrayBuffer) return buffer;
  if (value instanceof DataView) return view;
  if (value instanceof WeakMap || value instanceof WeakSet) return weak;
  if (value instanceof String || value instanceof Number || value instanceof Boolean || value instanceof Symbol || value instanceof BigInt)
    return boxed;
  const tag = value[Symbol.toStringTag];
  if (typeof tag === "string" && tag !== "" && !Object.hasOwn(value, Symbol.toStringTag)) {
    const known = interfaces.get(tag);
    if (known !== undefined && Object.getPrototypeOf(value) !== Object.prototype && !Object.hasOwn(value, "constructor")) return known;
  }
  return plain;
}

/* ---- printf style -------------------------------------------------------------------------------------------------- */

const SHALLOW = { depth: 0 };

function formatOne(kind, value) {
  switch (kind) {
    case "s":
      if (typeof value === "string") return value;
      if (typeof value === "bigint") return `${value}n`;
      if (typeof value === "object" && value !== null) return hasOwnText(value) ? `${value}` : inspect(value, SHALLOW);
      return typeof value === "symbol" ? value.toString() : Object.is(value, -0) ? "-0" : `${value}`;
    case "d":
      return typeof value === "bigint" ? `${value}n` : typeof value === "symbol" || typeof value === "object" ? "NaN" : `${Number(value)}`;
    case "i":
      return typeof value === "bigint" ? `${value}n` : typeof value === "symbol" || typeof value === "object" ? "NaN" : `${Number.parseInt(value, 10)}`;
    case "f":
      return typeof value === "symbol" ? "NaN" : `${Number.parseFloat(value)}`;
    case "j":
      return jsonText(value);
    case "o":
      return inspect(value, { showHidden: true, depth: 4 });
    case "O":
      return inspect(value);
    default:
      return "";
  }
}

function hasOwnText(value) {
  if (value instanceof Error) return true;
  const { toString } = value;
  return typeof toString === "function" && toString !== Object.prototype.toString && !Array.isArray(value) && !(value instanceof Date);
}

function jsonText(value) {
  try {
    return JSON.stringify(value);
  } catch {
    return "[Circular]";
  }
}

/* The text of console arguments: a first string may hold %s %d %i %f %j %o %O %c. */
export function format(...args) {
  if (args.length === 1) return typeof args[0] === "string" ? args[0] : inspect(args[0]);
  let at = 0;
  let text = "";
  if (typeof args[0] === "string") {
    at = 1;
    text = args[0].replace(/%[sdifjoOc%]/g, (found) => {
      if (found === "%%") return "%";
      if (at >= args.length) return found;
      return formatOne(found[1], args[at++]);
    });
  }
  for (; at < args.length; at++) {
    const value = args[at];
    text += (at === 0 ? "" : " ") + (typeof value === "string" ? value : inspect(value));
  }
  return text;
}
