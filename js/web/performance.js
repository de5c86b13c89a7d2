/*
 * performance: now, timeOrigin, marks and measures (User Timing, without an observer).
 *
 * now() counts from the heap's first use of it; while the template is made time stands still, as on the platform.
 */
import { host, phase } from "../core/host.js";
import { finish } from "./util.js";

const ENTRIES_MAX = 1024; /* an agent lives for months: old entries make room */

export class PerformanceEntry {
  #fields;
  constructor(fields) {
    this.#fields = fields;
  }
  get name() {
    return this.#fields.name;
  }
  get entryType() {
    return this.#fields.entryType;
  }
  get startTime() {
    return this.#fields.startTime;
  }
  get duration() {
    return this.#fields.duration;
  }
  get detail() {
    return this.#fields.detail;
  }
  toJSON() {
    return { ...this.#fields };
  }
}
finish(PerformanceEntry, "PerformanceEntry", 0);

export class PerformanceMark extends PerformanceEntry {
  constructor(name, options) {
    const startTime = options?.startTime ?? now();
    super({ name: `${name}`, entryType: "mark", startTime, duration: 0, detail: options?.detail ?? null });
  }
}
finish(PerformanceMark, "PerformanceMark", 1);

export class PerformanceMeasure extends PerformanceEntry {}
finish(PerformanceMeasure, "PerformanceMeasure", 0);

let origin;
let entries = [];

/* The origin is taken at the first use within a heap: a template must not carry one. */
function ensureOrigin() {
  if (origin === undefined) origin = { wall: host.now(), mono: host.mono() };
  return origin;
}

function now() {
  if (!phase.awake) return 0;
  const { mono } = ensureOrigin();
  return host.mono() - mono;
}

function add(entry) {
  if (entries.length >= ENTRIES_MAX) entries.shift();
  entries.push(entry);
  return entry;
}

/* The time of a mark by name, or the number itself. */
function timeOf(mark, otherwise) {
  if (mark === undefined) return otherwise;
  if (typeof mark === "number") return mark;
  const found = entries.findLast((entry) => entry.entryType === "mark" && entry.name === mark);
  if (found === undefined) throw new DOMException(`The "${mark}" performance mark has not been set`, "SyntaxError");
  return found.startTime;
}

export class Performance {
  get timeOrigin() {
    return phase.awake ? ensureOrigin().wall : 0;
  }
  now() {
    return now();
  }
  mark(name, options) {
    return add(new PerformanceMark(name, options));
  }
  measure(name, from, to) {
    const isOptions = typeof from === "object" && from !== null;
    const start = timeOf(isOptions ? from.start : from, 0);
    const end = timeOf(isOptions ? from.end : to, now());
    return add(new PerformanceMeasure({
      name: `${name}`, entryType: "measure", startTime: start, duration: end - start, detail: isOptions ? from.detail ?? null : null,
    }));
  }
  clearMarks(name) {
    entries = entries.filter((entry) => entry.entryType !== "mark" || (name !== undefined && entry.name !== name));
  }
  clearMeasures(name) {
    entries = entries.filter((entry) => entry.entryType !== "measure" || (name !== undefined && entry.name !== name));
  }
  clearResourceTimings() {}
  setResourceTimingBufferSize() {}
  getEntries() {
    return [...entries];
  }
  getEntriesByName(name, type) {
    return entries.filter((entry) => entry.name === name && (type === undefined || entry.entryType === type));
  }
  getEntriesByType(type) {
    return entries.filter((entry) => entry.entryType === type);
  }
  toJSON() {
    return { timeOrigin: this.timeOrigin };
  }
}
finish(Performance, "Performance", 0);
