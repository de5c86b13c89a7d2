/*
 * intl_text: Intl.Collator, ListFormat, RelativeTimeFormat, Segmenter, Locale and DisplayNames in English.
 *
 * Collation follows the order of the Unicode root for ASCII and Latin letters with marks: punctuation, digits, letters; then accents;
 * then case. Other scripts sort by code point.
 */
import { canonicalLocales, canonicalTag } from "./intl_date.js";
import { formatNumber } from "./intl_number.js";
import { finish } from "./util.js";

const ORDER = "\t\n\v\f\r _-,;:!?.'\"()[]{}@*/\\&#%`^+<=>|~$0123456789";
const WEIGHTS = new Uint8Array(128);
for (let code = 0; code < 128; code++) {
  const c = String.fromCharCode(code);
  const letter = c.toLowerCase().charCodeAt(0) - 97;
  WEIGHTS[code] = letter >= 0 && letter < 26 ? 80 + letter : ORDER.indexOf(c) + 1;
}
const PRIMARY = 1, ACCENT = 2, CASE = 4;
const LEVELS = { base: PRIMARY, accent: PRIMARY | ACCENT, case: PRIMARY | CASE, variant: PRIMARY | ACCENT | CASE };

const isUpper = (c) => c !== c.toLowerCase();

/* Three keys of TEXT: weights, marks, cases. */
function keysOf(text, isNumeric) {
  const weights = [];
  const marks = [];
  const cases = [];
  for (const [token] of text.normalize("NFD").matchAll(isNumeric ? /\d+|\P{M}|\p{M}/gu : /\P{M}|\p{M}/gu)) {
    if (/^\p{M}/u.test(token)) {
      marks.push(weights.length, token.codePointAt(0));
      continue;
    }
    if (isNumeric && /^\d/.test(token)) {
      weights.push(WEIGHTS[48], Number(token));
    } else {
      const code = token.toLowerCase().codePointAt(0);
      weights.push(code < 128 ? WEIGHTS[code] : 1000 + code);
    }
    cases.push(isUpper(token) ? 1 : 0);
  }
  return [weights, marks, cases];
}

function compareLists(a, b) {
  const size = Math.min(a.length, b.length);
  for (let i = 0; i < size; i++) if (a[i] !== b[i]) return a[i] < b[i] ? -1 : 1;
  return a.length === b.length ? 0 : a.length < b.length ? -1 : 1;
}

/* Strings of ASCII that differ early are the rule: decided without keys. Undefined when that is not enough. */
function compareFast(a, b) {
  const size = Math.min(a.length, b.length);
  for (let i = 0; i < size; i++) {
    const left = a.charCodeAt(i);
    const right = b.charCodeAt(i);
    if (left >= 128 || right >= 128) return undefined;
    if (left !== right && WEIGHTS[left] !== WEIGHTS[right]) {
      /* A mark behind one of them would bind to it, but cannot change its weight. */
      return WEIGHTS[left] < WEIGHTS[right] ? -1 : 1;
    }
  }
  return undefined;
}

/* Like String.prototype.localeCompare. */
export function compareText(a, b, levels = LEVELS.variant, isNumeric = false) {
  if (a === b) return 0;
  const fast = isNumeric ? undefined : compareFast(a, b);
  if (fast !== undefined) return fast;
  const [left, right] = [keysOf(a, isNumeric), keysOf(b, isNumeric)];
  return compareLists(left[0], right[0]) || (levels & ACCENT ? compareLists(left[1], right[1]) : 0) || (levels & CASE ? compareLists(left[2], right[2]) : 0);
}

export function collation(options) {
  const sensitivity = options?.sensitivity ?? "variant";
  if (!Object.hasOwn(LEVELS, sensitivity)) throw new RangeError(`Value ${sensitivity} out of range for Intl.Collator options property sensitivity`);
  return { sensitivity, levels: LEVELS[sensitivity], isNumeric: !!options?.numeric };
}

const supported = (locales) => canonicalLocales(locales).filter((tag) => tag === "en" || tag.startsWith("en-"));
function named(klass, name) {
  finish(klass, `Intl.${name}`, 0);
  Object.defineProperty(klass, "name", { value: name, configurable: true });
  Object.defineProperty(klass, "supportedLocalesOf", { value: supported, writable: true, enumerable: false, configurable: true });
}

export class Collator {
  #rules;
  #compare;
  constructor(locales, options) {
    canonicalLocales(locales);
    this.#rules = collation(options);
  }
  get compare() {
    return (this.#compare ??= (a, b) => compareText(`${a}`, `${b}`, this.#rules.levels, this.#rules.isNumeric));
  }
  resolvedOptions() {
    return { locale: "en-US", usage: "sort", sensitivity: this.#rules.sensitivity, ignorePunctuation: false, collation: "default", numeric: this.#rules.isNumeric, caseFirst: "false" };
  }
}
named(Collator, "Collator");

export class ListFormat {
  #word;
  #style;
  constructor(locales, options) {
    canonicalLocales(locales);
    this.#style = options?.style ?? "long";
    this.#word = { conjunction: "and", disjunction: "or", unit: "" }[options?.type ?? "conjunction"];
  }
  format(list) {
    return this.formatToParts(list).map(({ value }) => value).join("");
  }
  formatToParts(list) {
    const items = [...list];
    const comma = this.#word === "" && this.#style === "narrow" ? " " : ", ";
    const out = [];
    items.forEach((item, i) => {
      if (i > 0) {
        const isLast = i === items.length - 1;
        const word = isLast && this.#word !== "" ? `${items.length === 2 ? " " : ", "}${this.#word} ` : comma;
        out.push({ type: "literal", value: word });
      }
      out.push({ type: "element", value: `${item}` });
    });
    return out;
  }
  resolvedOptions() {
    return { locale: "en-US", type: { and: "conjunction", or: "disjunction" }[this.#word] ?? "unit", style: this.#style };
  }
}
named(ListFormat, "ListFormat");

const NEAR = { day: ["yesterday", "today", "tomorrow"], year: ["last year", "this year", "next year"], month: ["last month", "this month", "next month"], week: ["last week", "this week", "next week"],
  quarter: ["last quarter", "this quarter", "next quarter"], hour: [undefined, "this hour"], minute: [undefined, "this minute"], second: [undefined, "now"] };

export class RelativeTimeFormat {
  #isAuto;
  constructor(locales, options) {
    canonicalLocales(locales);
    this.#isAuto = options?.numeric === "auto";
  }
  format(value, unit) {
    const n = Number(value);
    const name = `${unit}`.replace(/s$/, "");
    if (!Object.hasOwn(NEAR, name)) throw new RangeError(`Invalid unit argument for format() '${unit}'`);
    if (!Number.isFinite(n)) throw new RangeError("The number is not finite");
    const near = this.#isAuto ? NEAR[name][n + 1] : undefined;
    if (near !== undefined) return near;
    const size = Math.abs(n);
    const text = `${formatNumber(size)} ${name}${size === 1 ? "" : "s"}`;
    return n < 0 || Object.is(n, -0) ? `${text} ago` : `in ${text}`;
  }
  formatToParts(value, unit) {
    return [{ type: "literal", value: this.format(value, unit) }];
  }
  resolvedOptions() {
    return { locale: "en-US", style: "long", numeric: this.#isAuto ? "auto" : "always", numberingSystem: "latn" };
  }
}
named(RelativeTimeFormat, "RelativeTimeFormat");

/* Unicode segmentation as far as it takes: marks, joiners, flags, skin tones, Hangul; words by letters and digits; sentences by their ends. */
const PATTERNS = {
  grapheme: /\r\n|\p{RI}\p{RI}|\p{Emoji}(?:\p{EMod}|\ufe0f)?\u20e3?(?:\u200d\p{Emoji}(?:\p{EMod}|\ufe0f)?)*\p{M}*|[\u1100-\u115f]+[\u1160-\u11a7]*[\u11a8-\u11ff]*|\P{M}[\p{M}\u200d]*|\p{M}+/gu,
  word: /\r\n|[\p{L}\p{N}\p{M}_]+(?:['’.:·,](?=[\p{L}\p{N}])[\p{L}\p{N}\p{M}_]+)*|[ \u3000]+|\p{Emoji_Presentation}(?:\u200d\p{Emoji})*|[^]/gu,
  sentence: /[^]*?[.!?…]+["'”’)\]]*(?:\s+|$)|[^]+$/gu,
};

export class Segmenter {
  #granularity;
  constructor(locales, options) {
    canonicalLocales(locales);
    this.#granularity = options?.granularity ?? "grapheme";
    if (!Object.hasOwn(PATTERNS, this.#granularity)) throw new RangeError(`Value ${this.#granularity} out of range for Intl.Segmenter options property granularity`);
  }
  segment(input) {
    const text = `${input}`;
    const granularity = this.#granularity;
    function* segments() {
      for (const found of text.matchAll(PATTERNS[granularity])) {
        const segment = { segment: found[0], index: found.index, input: text };
        if (granularity === "word") segment.isWordLike = /[\p{L}\p{N}]/u.test(found[0]);
        yield segment;
      }
    }
    return {
      [Symbol.iterator]: segments,
      containing(index = 0) {
        const at = Math.trunc(Number(index)) || 0;
        for (const one of segments()) if (at >= one.index && at < one.index + one.segment.length) return one;
        return undefined;
      },
    };
  }
  resolvedOptions() {
    return { locale: "en-US", granularity: this.#granularity };
  }
}
named(Segmenter, "Segmenter");

export class Locale {
  #tag;
  constructor(tag) {
    if (typeof tag !== "string" && !(tag instanceof Locale)) throw new TypeError("First argument to Intl.Locale constructor can't be empty or missing");
    this.#tag = canonicalTag(tag);
  }
  get baseName() {
    return this.#tag.split(/-[a-z0-9]-/)[0];
  }
  get language() {
    return this.#tag.split("-")[0];
  }
  get script() {
    return this.#tag.split("-").find((part) => /^[A-Z][a-z]{3}$/.test(part));
  }
  get region() {
    return this.#tag.split("-").find((part, i) => i > 0 && /^(?:[A-Z]{2}|\d{3})$/.test(part));
  }
  toString() {
    return this.#tag;
  }
}
finish(Locale, "Intl.Locale", 1);
Object.defineProperty(Locale, "name", { value: "Locale", configurable: true });
