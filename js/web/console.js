/*
 * console: the Console standard over the host's log, with Node's formatting.
 */
import { host } from "../core/host.js";
import { errorTitle, format, inspect } from "./inspect.js";
import { setReporter } from "./util.js";

const DEBUG = 0, INFO = 1, WARN = 2, ERROR = 3;
const LABELS_MAX = 1000; /* counters and timers of an agent that lives for months */

const counts = new Map();
const starts = new Map();
let groupIndent = "";

function write(level, text) {
  host.log(level, groupIndent === "" ? text : groupIndent + text.replaceAll("\n", "\n" + groupIndent));
}

function remember(map, label, value) {
  if (map.size >= LABELS_MAX && !map.has(label)) map.delete(map.keys().next().value);
  map.set(label, value);
}

function duration(ms) {
  if (ms >= 60000) return `${Math.floor(ms / 60000)}:${((ms % 60000) / 1000).toFixed(3).padStart(6, "0")} (m:ss.mmm)`;
  if (ms >= 1000) return `${(ms / 1000).toFixed(3)}s`;
  return `${Number(ms.toPrecision(4))}ms`;
}

function timeLog(label, rest, isEnd) {
  const name = label === undefined ? "default" : `${label}`;
  const start = starts.get(name);
  if (start === undefined) {
    write(WARN, `Warning: No such label '${name}' for console.${isEnd ? "timeEnd" : "timeLog"}()`);
    return;
  }
  const text = `${name}: ${duration(host.mono() - start)}`;
  write(INFO, rest.length === 0 ? text : `${text} ${format(...rest)}`);
  if (isEnd) starts.delete(name);
}

/* The stack of the caller, without this file's own frames. */
function stackHere(skip) {
  const lines = (new Error().stack ?? "").split("\n").filter((line) => /^\s+at /.test(line)).slice(skip);
  return host.mapStack(lines.join("\n"));
}

/* ---- console.table ------------------------------------------------------------------------------------------------- */

const INDEX = "(index)";
const VALUES = "Values";

function rowsOf(data) {
  if (data instanceof Map) return [...data].map(([k, v], i) => [i, { Key: k, Values: v }]);
  if (data instanceof Set) return [...data].map((v, i) => [i, v]);
  return Object.keys(data).map((key) => [key, data[key]]);
}

function table(data, columns) {
  if (data === null || typeof data !== "object") {
    write(INFO, format(data));
    return;
  }
  const names = [];
  let hasValues = false;
  const rows = rowsOf(data).map(([index, row]) => {
    const cells = new Map([[INDEX, `${index}`]]);
    if (row !== null && typeof row === "object") {
      for (const key of Object.keys(row)) {
        if (columns !== undefined && !columns.includes(key)) continue;
        if (!names.includes(key)) names.push(key);
        cells.set(key, inspect(row[key], { depth: 0 }));
      }
    } else {
      hasValues = true;
      cells.set(VALUES, inspect(row, { depth: 0 }));
    }
    return cells;
  });
  const heads = [INDEX, ...(columns ?? names), ...(hasValues ? [VALUES] : [])];
  write(INFO, drawTable(heads, rows));
}

function drawTable(heads, rows) {
  const widths = heads.map((head) => Math.max(head.length, ...rows.map((cells) => (cells.get(head) ?? "").length)) + 2);
  const line = (cells) => "│" + cells.map((cell, i) => " " + cell.padEnd(widths[i] - 1)).join("│") + "│";
  const rule = (left, middle, right) => left + widths.map((width) => "─".repeat(width)).join(middle) + right;
  return [
    rule("┌", "┬", "┐"), line(heads), rule("├", "┼", "┤"),
    ...rows.map((cells) => line(heads.map((head) => cells.get(head) ?? ""))), rule("└", "┴", "┘"),
  ].join("\n");
}

/* ---- the object ---------------------------------------------------------------------------------------------------- */

export const console = {
  debug(...args) {
    write(DEBUG, format(...args));
  },
  error(...args) {
    write(ERROR, format(...args));
  },
  info(...args) {
    write(INFO, format(...args));
  },
  log(...args) {
    write(INFO, format(...args));
  },
  warn(...args) {
    write(WARN, format(...args));
  },
  dir(value, options) {
    write(INFO, inspect(value, { customInspect: false, ...options }));
  },
  dirxml(...args) {
    write(INFO, format(...args));
  },
  table,
  trace(...args) {
    const title = args.length === 0 ? "Trace" : `Trace: ${format(...args)}`;
    write(ERROR, `${title}\n${stackHere(2)}`);
  },
  group(...args) {
    if (args.length > 0) write(INFO, format(...args));
    groupIndent += "  ";
  },
  groupCollapsed(...args) {
    console.group(...args);
  },
  groupEnd() {
    groupIndent = groupIndent.slice(2);
  },
  clear() {},
  count(label = "default") {
    const name = `${label}`;
    const count = (counts.get(name) ?? 0) + 1;
    remember(counts, name, count);
    write(INFO, `${name}: ${count}`);
  },
  countReset(label = "default") {
    counts.delete(`${label}`);
  },
  assert(condition, ...args) {
    if (condition) return;
    if (typeof args[0] === "string") args[0] = `Assertion failed: ${args[0]}`;
    else args.unshift("Assertion failed");
    write(ERROR, format(...args));
  },
  profile() {},
  profileEnd() {},
  time(label = "default") {
    const name = `${label}`;
    if (starts.has(name)) write(WARN, `Warning: Label '${name}' already exists for console.time()`);
    else remember(starts, name, host.mono());
  },
  timeEnd(label) {
    timeLog(label, [], true);
  },
  timeLog(label, ...args) {
    timeLog(label, args, false);
  },
  timeStamp() {},
  createTask() {
    throw new Error("console.createTask is not implemented");
  },
};
Object.defineProperty(console, Symbol.toStringTag, { value: "console", configurable: true });

/* reportError() and whatever a callback of the app threw outside of a caller. */
export function reportError(error) {
  write(ERROR, `Uncaught ${inspect(error)}`);
}
setReporter(reportError);

export { errorTitle, format, inspect };
