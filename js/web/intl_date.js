/*
 * intl_date: Intl.DateTimeFormat in English: en-US, en-GB, en-CA and, because code uses it to get ISO dates, sv-SE. Other locales resolve to
 * en-US, as the standard allows.
 *
 * Time zones: UTC and fixed offsets; all others through the host's optional timeZone(name, ms) → [offset in minutes, short name].
 */
import { host } from "../core/host.js";
import { finish } from "./util.js";

const MONTHS = "January February March April May June July August September October November December".split(" ");
const DAYS = "Sunday Monday Tuesday Wednesday Thursday Friday Saturday".split(" ");
const LOCALES = {
  "en-US": { order: "mdy", separator: "/", textOrder: "mdy", is12: true, am: "AM", pm: "PM" },
  "en-GB": { order: "dmy", separator: "/", isPadded: true, textOrder: "dmy", is12: false, am: "am", pm: "pm" },
  "en-CA": { order: "ymd", separator: "-", isPadded: true, textOrder: "mdy", is12: true, am: "a.m.", pm: "p.m." },
  "sv-SE": { order: "ymd", separator: "-", isPadded: true, textOrder: "dmy", is12: false, am: "fm", pm: "em", glue: " " },
};
const VALUES = {
  weekday: ["narrow", "short", "long"], era: ["narrow", "short", "long"], year: ["2-digit", "numeric"],
  month: ["2-digit", "numeric", "narrow", "short", "long"], day: ["2-digit", "numeric"], dayPeriod: ["narrow", "short", "long"],
  hour: ["2-digit", "numeric"], minute: ["2-digit", "numeric"], second: ["2-digit", "numeric"], fractionalSecondDigits: [1, 2, 3],
  timeZoneName: ["short", "long", "shortOffset", "longOffset", "shortGeneric", "longGeneric"],
};
const DATE_STYLES = {
  full: { weekday: "long", year: "numeric", month: "long", day: "numeric" }, long: { year: "numeric", month: "long", day: "numeric" },
  medium: { year: "numeric", month: "short", day: "numeric" }, short: { year: "2-digit", month: "numeric", day: "numeric" },
};
const TIME = { hour: "numeric", minute: "2-digit" };
const TIME_STYLES = {
  full: { ...TIME, second: "2-digit", timeZoneName: "long" }, long: { ...TIME, second: "2-digit", timeZoneName: "short" },
  medium: { ...TIME, second: "2-digit" }, short: TIME,
};

/* The tag of a locale in canonical case; a RangeError when it is none. */
export function canonicalTag(tag) {
  const text = `${tag}`;
  if (!/^[A-Za-z]{2,8}(?:-[A-Za-z0-9]{1,8})*$/.test(text)) throw new RangeError(`Invalid language tag: ${text}`);
  return text.split("-").map((part, i) => {
    if (i === 0) return part.toLowerCase();
    if (part.length === 2) return part.toUpperCase();
    return part.length === 4 && /^[A-Za-z]+$/.test(part) ? part[0].toUpperCase() + part.slice(1).toLowerCase() : part.toLowerCase();
  }).join("-");
}

export function canonicalLocales(locales) {
  if (locales === undefined) return [];
  if (locales === null) throw new TypeError("Cannot convert null to object");
  const list = typeof locales === "string" || !Array.isArray(locales) ? [locales] : locales;
  return [...new Set(list.map(canonicalTag))];
}

/* The first of LOCALES that KNOWN has, else en-US. */
export function chooseLocale(locales, known) {
  return canonicalLocales(locales).find((tag) => known.includes(tag) || tag === "en") ?? "en-US";
}

function zoneOf(name) {
  if (name === undefined) return "UTC";
  const text = `${name}`;
  if (/^(?:utc|gmt|etc\/utc|etc\/gmt|z)$/i.test(text)) return "UTC";
  if (/^[+-]\d\d(?::?\d\d)?$/.test(text)) return text;
  const found = typeof host.timeZone === "function" ? host.timeZone(text, 0) : undefined;
  if (found === undefined) throw new RangeError(`Invalid time zone specified: ${text}`);
  return text;
}

/* [offset in minutes, short name] of ZONE at MS. */
function offsetOf(zone, ms) {
  if (zone === "UTC") return [0, "UTC"];
  const fixed = /^([+-])(\d\d):?(\d\d)?$/.exec(zone);
  if (fixed === null) return host.timeZone(zone, ms);
  const minutes = (fixed[1] === "-" ? -1 : 1) * (Number(fixed[2]) * 60 + Number(fixed[3] ?? 0));
  return [minutes, offsetName(minutes)];
}

function offsetName(minutes) {
  const size = Math.abs(minutes);
  const rest = size % 60 === 0 ? "" : `:${String(size % 60).padStart(2, "0")}`;
  return minutes === 0 ? "GMT" : `GMT${minutes < 0 ? "-" : "+"}${Math.floor(size / 60)}${rest}`;
}

const two = (n) => String(n).padStart(2, "0");
const literal = (value) => ({ type: "literal", value });

function joined(groups, glue) {
  const out = [];
  for (const group of groups) {
    if (group.length === 0) continue;
    if (out.length > 0) out.push(literal(typeof glue === "string" ? glue : glue(group)));
    out.push(...group);
  }
  return out;
}

function monthText(style, month) {
  const name = MONTHS[month];
  return style === "long" ? name : style === "short" ? name.slice(0, 3) : name[0];
}

/* The chosen fields and the rules of the locale. */
function resolve(locales, options, required, defaults) {
  const given = options === undefined ? {} : Object(options);
  const locale = chooseLocale(locales, Object.keys(LOCALES));
  const chosen = { locale: locale === "en" ? "en" : locale, timeZone: zoneOf(given.timeZone), fields: {} };
  for (const name of Object.keys(VALUES)) {
    if (given[name] === undefined) continue;
    const value = name === "fractionalSecondDigits" ? Number(given[name]) : `${given[name]}`;
    if (!VALUES[name].includes(value)) throw new RangeError(`Value ${given[name]} out of range for Intl.DateTimeFormat options property ${name}`);
    chosen.fields[name] = value;
  }
  styleFields(chosen, given, required);
  const rules = LOCALES[locale] ?? LOCALES["en-US"];
  chosen.rules = rules;
  if (!chosen.hasStyle) addDefaults(chosen.fields, required, defaults);
  chosen.is12 = given.hour12 !== undefined ? !!given.hour12 : given.hourCycle !== undefined ? /^h1[12]$/.test(given.hourCycle) : rules.is12;
  return chosen;
}

function styleFields(chosen, given, required) {
  const { dateStyle, timeStyle } = given;
  chosen.hasStyle = dateStyle !== undefined || timeStyle !== undefined;
  chosen.dateStyle = dateStyle;
  chosen.timeStyle = timeStyle;
  if (!chosen.hasStyle) return;
  if (required === "date" && timeStyle !== undefined) throw new TypeError("Invalid option : timeStyle");
  if (required === "time" && dateStyle !== undefined) throw new TypeError("Invalid option : dateStyle");
  const explicit = Object.keys(chosen.fields)[0];
  if (explicit !== undefined) throw new TypeError(`Can't set option ${explicit} when ${dateStyle !== undefined ? "dateStyle" : "timeStyle"} is used`);
  for (const [name, style, table] of [["dateStyle", dateStyle, DATE_STYLES], ["timeStyle", timeStyle, TIME_STYLES]]) {
    if (style === undefined) continue;
    if (!Object.hasOwn(table, style)) throw new RangeError(`Value ${style} out of range for Intl.DateTimeFormat options property ${name}`);
    Object.assign(chosen.fields, table[style]);
  }
}

function addDefaults(fields, required, defaults) {
  const has = (names) => names.some((name) => fields[name] !== undefined);
  const date = ["weekday", "year", "month", "day"];
  const time = ["dayPeriod", "hour", "minute", "second", "fractionalSecondDigits"];
  const isGiven = (required !== "time" && has(date)) || (required !== "date" && has(time));
  if (isGiven) return;
  if (defaults !== "time") Object.assign(fields, { year: "numeric", month: "numeric", day: "numeric" });
  if (defaults !== "date") Object.assign(fields, { hour: "numeric", minute: "2-digit", second: "2-digit" });
}

/* ---- the parts of a date --------------------------------------------------------------------------------------------- */

function dateParts(chosen, date) {
  const { fields, rules } = chosen;
  const { year, month, day, weekday, era } = fields;
  const isText = month !== undefined && !["numeric", "2-digit"].includes(month);
  const isPadded = rules.isPadded === true && !isText && year !== undefined && month !== undefined && day !== undefined;
  const number = (style, n) => (style === "2-digit" || isPadded ? two(n) : String(n));
  const part = {
    y: year === undefined ? [] : [{ type: "year", value: year === "2-digit" ? two(date.getUTCFullYear() % 100) : String(Math.abs(date.getUTCFullYear())) }],
    m: month === undefined ? [] : [{ type: "month", value: isText ? monthText(month, date.getUTCMonth()) : number(month, date.getUTCMonth() + 1) }],
    d: day === undefined ? [] : [{ type: "day", value: number(day, date.getUTCDate()) }],
  };
  const order = [...(isText ? rules.textOrder : rules.order)].map((key) => part[key]);
  let parts = joined(order, (group) => {
    if (!isText) return rules.separator;
    return group === part.y && part.d.length > 0 && rules.textOrder === "mdy" ? ", " : " ";
  });
  if (weekday !== undefined) {
    const name = DAYS[date.getUTCDay()];
    const shown = [{ type: "weekday", value: weekday === "long" ? name : weekday === "short" ? name.slice(0, 3) : name[0] }];
    parts = joined([shown, parts], rules.textOrder === "dmy" && isText && weekday === "long" ? " " : ", ");
  }
  if (era !== undefined) parts = joined([parts, [{ type: "era", value: date.getUTCFullYear() > 0 ? "AD" : "BC" }]], " ");
  return parts;
}

function timeParts(chosen, date) {
  const { fields, rules, is12 } = chosen;
  const { hour, minute, second, fractionalSecondDigits } = fields;
  const groups = [];
  if (hour !== undefined) {
    const h = date.getUTCHours();
    const shown = is12 ? h % 12 || 12 : h;
    groups.push([{ type: "hour", value: hour === "2-digit" || !is12 ? two(shown) : String(shown) }]);
  }
  if (minute !== undefined)
    groups.push([{ type: "minute", value: hour !== undefined || second !== undefined || minute === "2-digit" ? two(date.getUTCMinutes()) : String(date.getUTCMinutes()) }]);
  if (second !== undefined)
    groups.push([{ type: "second", value: minute !== undefined || second === "2-digit" ? two(date.getUTCSeconds()) : String(date.getUTCSeconds()) }]);
  let parts = joined(groups, ":");
  if (fractionalSecondDigits !== undefined) {
    const fraction = String(date.getUTCMilliseconds()).padStart(3, "0").slice(0, fractionalSecondDigits);
    parts = joined([parts, [{ type: "fractionalSecond", value: fraction }]], ".");
  }
  if (hour !== undefined && is12) parts = joined([parts, [{ type: "dayPeriod", value: date.getUTCHours() < 12 ? rules.am : rules.pm }]], " ");
  return parts;
}

function zoneText(style, zone, [minutes, name]) {
  if (/^(?:short|long)Offset$/.test(style)) return offsetName(minutes);
  if (zone !== "UTC" || style.startsWith("short")) return name;
  return "Coordinated Universal Time";
}

function formatParts(chosen, value) {
  const ms = value === undefined ? Date.now() : Number(value);
  if (!Number.isFinite(ms) || Math.abs(ms) > 8.64e15) throw new RangeError("Invalid time value");
  const offset = offsetOf(chosen.timeZone, ms);
  const date = new Date(ms + offset[0] * 60000);
  const { fields, rules } = chosen;
  const days = dateParts(chosen, date);
  let time = timeParts(chosen, date);
  if (fields.timeZoneName !== undefined) {
    const zone = [{ type: "timeZoneName", value: zoneText(fields.timeZoneName, chosen.timeZone, offset) }];
    time = time.length === 0 ? zone : joined([time, zone], " ");
  }
  const isLong = chosen.dateStyle === "full" || chosen.dateStyle === "long" || (chosen.dateStyle === undefined && fields.month === "long");
  const isDayOnly = fields.weekday !== undefined && fields.month === undefined && fields.day === undefined && fields.year === undefined;
  return joined([days, time], isDayOnly ? " " : isLong && fields.hour !== undefined ? " at " : rules.glue ?? ", ");
}

const textOf = (parts) => {
  let text = "";
  for (const { value } of parts) text += value;
  return text;
};

/* For Date.prototype.toLocale*String. */
export function formatDate(ms, locales, options, required, defaults) {
  return textOf(formatParts(resolve(locales, options, required, defaults), ms));
}

export class DateTimeFormat {
  #chosen;
  #format;

  constructor(locales, options) {
    this.#chosen = resolve(locales, options, "any", "date");
  }
  static supportedLocalesOf(locales) {
    return canonicalLocales(locales).filter((tag) => tag === "en" || Object.hasOwn(LOCALES, tag));
  }
  /* Bound, as the standard says: it is handed to map() and the like. */
  get format() {
    return (this.#format ??= (value) => textOf(formatParts(this.#chosen, value)));
  }
  formatToParts(value) {
    return formatParts(this.#chosen, value);
  }
  formatRange(from, to) {
    const [a, b] = [this.format(from), this.format(to)];
    return a === b ? a : `${a} – ${b}`;
  }
  formatRangeToParts(from, to) {
    const tag = (source) => (part) => ({ ...part, source });
    return [...this.formatToParts(from).map(tag("startRange")), { ...literal(" – "), source: "shared" }, ...this.formatToParts(to).map(tag("endRange"))];
  }
  resolvedOptions() {
    const { locale, timeZone, fields, is12, dateStyle, timeStyle, hasStyle } = this.#chosen;
    return {
      locale, calendar: "gregory", numberingSystem: "latn", timeZone,
      ...(fields.hour === undefined ? {} : { hourCycle: is12 ? "h12" : "h23", hour12: is12 }),
      ...(hasStyle ? { ...(dateStyle && { dateStyle }), ...(timeStyle && { timeStyle }) } : fields),
    };
  }
}
finish(DateTimeFormat, "Intl.DateTimeFormat", 0);
Object.defineProperty(DateTimeFormat, "name", { value: "DateTimeFormat", configurable: true });
