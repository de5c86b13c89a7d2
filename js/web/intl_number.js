/*
 * intl_number: Intl.NumberFormat and Intl.PluralRules in English. Rounds decimals as they are written (half away from zero), like ICU.
 */
import { canonicalLocales, chooseLocale } from "./intl_date.js";
import { finish } from "./util.js";

const SYMBOLS = {
  USD: "$", EUR: "€", GBP: "£", JPY: "¥", INR: "₹", CNY: "CN¥", KRW: "₩", BRL: "R$", CAD: "CA$", AUD: "A$", MXN: "MX$", NZD: "NZ$", HKD: "HK$",
  ILS: "₪", VND: "₫", TWD: "NT$", PHP: "₱",
};
const NO_CENTS = ["JPY", "KRW", "VND", "CLP", "ISK", "UGX", "XAF", "XOF", "XPF", "PYG", "RWF"];
const MILLS = ["BHD", "KWD", "JOD", "OMR", "TND", "IQD", "LYD"];
const UNITS = {
  kilometer: "km", meter: "m", centimeter: "cm", millimeter: "mm", mile: "mi", foot: "ft", inch: "in", kilogram: "kg", gram: "g", pound: "lb", ounce: "oz",
  liter: "L", milliliter: "mL", byte: "byte", bit: "bit", kilobyte: "kB", megabyte: "MB", gigabyte: "GB", terabyte: "TB", petabyte: "PB", second: "sec", minute: "min", hour: "hr",
  millisecond: "ms", celsius: "°C", fahrenheit: "°F", percent: "%", day: "day", week: "wk", month: "mth", year: "yr",
};
const PER = { hour: "h", second: "s", minute: "min", day: "d" };
const COMPACT = ["", "K", "M", "B", "T"];
const DIGITS_MAX = 100;

/* A number of digits between LOW and HIGH; a RangeError otherwise. */
function digits(options, name, low, high, otherwise) {
  const value = options[name];
  if (value === undefined) return otherwise;
  const n = Math.floor(Number(value));
  if (!(n >= low && n <= high)) throw new RangeError(`${name} value is out of range.`);
  return n;
}

function resolve(locales, options) {
  const given = options === undefined ? {} : Object(options);
  const style = given.style ?? "decimal";
  if (!["decimal", "percent", "currency", "unit"].includes(style)) throw new RangeError(`Value ${style} out of range for Intl.NumberFormat options property style`);
  if (style === "currency" && given.currency === undefined) throw new TypeError("Currency code is required with currency style.");
  if (style === "unit" && given.unit === undefined) throw new TypeError("Required unit is not specified.");
  const currency = given.currency === undefined ? undefined : `${given.currency}`.toUpperCase();
  if (currency !== undefined && !/^[A-Z]{3}$/.test(currency)) throw new RangeError(`Invalid currency code : ${given.currency}`);
  const notation = given.notation ?? "standard";
  const cents = NO_CENTS.includes(currency) ? 0 : MILLS.includes(currency) ? 3 : 2;
  const base = style === "currency" ? [cents, cents] : style === "percent" || notation === "compact" ? [0, 0] : [0, 3];
  let min = digits(given, "minimumFractionDigits", 0, DIGITS_MAX, undefined);
  let max = digits(given, "maximumFractionDigits", 0, DIGITS_MAX, undefined);
  const isPlain = min === undefined && max === undefined;
  if (min === undefined) min = max === undefined ? base[0] : Math.min(base[0], max);
  if (max === undefined) max = Math.max(base[1], min);
  if (min > max) throw new RangeError("maximumFractionDigits value is out of range.");
  const hasSignificant = given.minimumSignificantDigits !== undefined || given.maximumSignificantDigits !== undefined;
  return {
    locale: chooseLocale(locales, ["en-US", "en-GB", "en-CA"]), style, currency, unit: given.unit, notation, min, max, isPlain,
    currencyDisplay: given.currencyDisplay ?? "symbol", integers: digits(given, "minimumIntegerDigits", 1, 21, 1),
    least: hasSignificant ? digits(given, "minimumSignificantDigits", 1, 21, 1) : undefined,
    most: hasSignificant ? digits(given, "maximumSignificantDigits", 1, 21, 21) : undefined,
    grouping: given.useGrouping === false || given.useGrouping === "false" ? false : given.useGrouping ?? "auto", sign: given.signDisplay ?? "auto",
  };
}

/* The decimal digits of a finite number without its sign, and how many of them stand before the point. */
function decimal(value) {
  const text = typeof value === "bigint" ? `${value < 0n ? -value : value}` : `${Math.abs(value)}`;
  const [mantissa, exponent] = text.split("e");
  const [whole, fraction = ""] = mantissa.split(".");
  const all = (whole + fraction).replace(/^0+(?=\d)/, "");
  return { digits: all, point: whole.length + Number(exponent ?? 0) - (whole.length + fraction.length - all.length) };
}

/* Keeps KEEP digits, the last one rounded half up. */
function round({ digits: all, point }, keep) {
  if (keep >= all.length) return { digits: all, point };
  if (keep < 0) return { digits: "0", point: 1 };
  const kept = [...all.slice(0, keep)].map(Number);
  if (Number(all[keep]) >= 5) {
    let i = keep - 1;
    while (i >= 0 && kept[i] === 9) kept[i--] = 0;
    if (i >= 0) kept[i]++;
    else {
      kept.unshift(1);
      return { digits: kept.join(""), point: point + 1 };
    }
  }
  return { digits: kept.join("") || "0", point: kept.length === 0 ? 1 : point };
}

/* [integer digits, fraction digits] of a decimal. */
function split({ digits: all, point }) {
  if (point <= 0) return ["0", "0".repeat(-point) + all];
  return point >= all.length ? [all + "0".repeat(point - all.length), ""] : [all.slice(0, point), all.slice(point)];
}

function rounded(chosen, value) {
  const isZero = /^0*$/.test(value.digits);
  if (chosen.most !== undefined) {
    const [whole, fraction] = split(isZero ? value : round(value, chosen.most));
    const significant = (whole + fraction).replace(/^0+/, "").length;
    return [whole, trim(fraction, 0).padEnd(trim(fraction, 0).length + Math.max(0, chosen.least - Math.max(significant, 1)), "0")];
  }
  /* Compact numbers show two digits when they are small. */
  const max = chosen.notation === "compact" && chosen.isPlain ? Math.max(0, 2 - Math.max(value.point, 1)) : chosen.max;
  const [whole, fraction] = split(isZero ? value : round(value, value.point + max));
  return [whole, trim(fraction.slice(0, max), chosen.min).padEnd(chosen.min, "0")];
}

function trim(fraction, min) {
  let end = fraction.length;
  while (end > min && fraction[end - 1] === "0") end--;
  return fraction.slice(0, end);
}

function groupParts(whole, isGrouped) {
  if (!isGrouped || whole.length <= 3) return [{ type: "integer", value: whole }];
  const out = [];
  const head = whole.length % 3;
  if (head > 0) out.push({ type: "integer", value: whole.slice(0, head) });
  for (let i = head; i < whole.length; i += 3) {
    if (out.length > 0) out.push({ type: "group", value: "," });
    out.push({ type: "integer", value: whole.slice(i, i + 3) });
  }
  return out;
}

function numberParts(chosen, value) {
  if (typeof value === "number" && !Number.isFinite(value)) return [Number.isNaN(value) ? { type: "nan", value: "NaN" } : { type: "infinity", value: "∞" }];
  let exact = decimal(value);
  if (chosen.style === "percent" && !/^0*$/.test(exact.digits)) exact = { digits: exact.digits, point: exact.point + 2 };
  let power = 0;
  if (chosen.notation === "compact" && !/^0*$/.test(exact.digits)) {
    power = Math.min(Math.max(Math.floor((exact.point - 1) / 3), 0), COMPACT.length - 1);
    const scaled = { digits: exact.digits, point: exact.point - 3 * power };
    if (rounded(chosen, scaled)[0].length > 3 && power < COMPACT.length - 1) power++;
    exact = { digits: exact.digits, point: exact.point - 3 * power };
  }
  const [whole, fraction] = rounded(chosen, exact);
  const isGrouped = chosen.grouping !== false && (chosen.notation !== "compact" || whole.length > 4);
  const out = groupParts(whole.padStart(chosen.integers, "0"), isGrouped);
  if (fraction !== "") out.push({ type: "decimal", value: "." }, { type: "fraction", value: fraction });
  if (power > 0) out.push({ type: "compact", value: COMPACT[power] });
  return out;
}

function signOf(chosen, value, parts) {
  const isNegative = value < 0 || Object.is(value, -0);
  const isZero = !parts.some(({ type, value: text }) => (type === "integer" || type === "fraction") && /[1-9]/.test(text)) && !parts.some(({ type }) => type === "infinity");
  switch (chosen.sign) {
    case "never":
      return "";
    case "always":
      return isNegative ? "-" : "+";
    case "exceptZero":
      return isZero || Number.isNaN(value) ? "" : isNegative ? "-" : "+";
    case "negative":
      return isNegative && !isZero ? "-" : "";
    default:
      return isNegative ? "-" : "";
  }
}

function unitParts(chosen) {
  const [unit, per] = `${chosen.unit}`.split("-per-");
  const text = (UNITS[unit] ?? unit) + (per === undefined ? "" : `/${PER[per] ?? UNITS[per] ?? per}`);
  const isTight = unit === "percent" || unit === "celsius" || unit === "fahrenheit";
  return isTight ? [{ type: "unit", value: text }] : [{ type: "literal", value: " " }, { type: "unit", value: text }];
}

function formatParts(chosen, input) {
  const value = typeof input === "bigint" ? input : Number(input);
  const parts = numberParts(chosen, value);
  const sign = signOf(chosen, value, parts);
  const before = sign === "" ? [] : [{ type: sign === "-" ? "minusSign" : "plusSign", value: sign }];
  if (chosen.style === "currency") {
    const symbol = chosen.currencyDisplay === "symbol" || chosen.currencyDisplay === "narrowSymbol" ? SYMBOLS[chosen.currency] : undefined;
    before.push({ type: "currency", value: symbol ?? chosen.currency });
    if (symbol === undefined) before.push({ type: "literal", value: "\u00a0" });
  }
  if (chosen.style === "percent") parts.push({ type: "percentSign", value: "%" });
  if (chosen.style === "unit") parts.push(...unitParts(chosen));
  return [...before, ...parts];
}

const textOf = (parts) => {
  let text = "";
  for (const { value } of parts) text += value;
  return text;
};

/* For Number.prototype.toLocaleString. */
export const formatNumber = (value, locales, options) => textOf(formatParts(resolve(locales, options), value));

export class NumberFormat {
  #chosen;
  #format;
  constructor(locales, options) {
    this.#chosen = resolve(locales, options);
  }
  static supportedLocalesOf(locales) {
    return canonicalLocales(locales).filter((tag) => tag === "en" || tag.startsWith("en-"));
  }
  get format() {
    return (this.#format ??= (value) => textOf(formatParts(this.#chosen, value)));
  }
  formatToParts(value) {
    return formatParts(this.#chosen, value);
  }
  formatRange(from, to) {
    return `${this.format(from)}–${this.format(to)}`;
  }
  resolvedOptions() {
    const { locale, style, currency, currencyDisplay, unit, integers, min, max, least, most, grouping, notation, sign } = this.#chosen;
    return {
      locale, numberingSystem: "latn", style, ...(style === "currency" ? { currency, currencyDisplay, currencySign: "standard" } : {}),
      ...(style === "unit" ? { unit, unitDisplay: "short" } : {}), minimumIntegerDigits: integers,
      ...(most === undefined ? { minimumFractionDigits: min, maximumFractionDigits: max } : { minimumSignificantDigits: least, maximumSignificantDigits: most }),
      useGrouping: grouping, notation, signDisplay: sign, roundingIncrement: 1, roundingMode: "halfExpand", roundingPriority: "auto", trailingZeroDisplay: "auto",
    };
  }
}
finish(NumberFormat, "Intl.NumberFormat", 0);
Object.defineProperty(NumberFormat, "name", { value: "NumberFormat", configurable: true });

export class PluralRules {
  #isOrdinal;
  constructor(locales, options) {
    canonicalLocales(locales);
    this.#isOrdinal = options?.type === "ordinal";
  }
  static supportedLocalesOf(locales) {
    return NumberFormat.supportedLocalesOf(locales);
  }
  select(value) {
    const n = Number(value);
    if (!this.#isOrdinal) return n === 1 ? "one" : "other";
    const [ten, hundred] = [n % 10, n % 100];
    if (ten === 1 && hundred !== 11) return "one";
    if (ten === 2 && hundred !== 12) return "two";
    return ten === 3 && hundred !== 13 ? "few" : "other";
  }
  resolvedOptions() {
    return { locale: "en-US", type: this.#isOrdinal ? "ordinal" : "cardinal", pluralCategories: this.#isOrdinal ? ["few", "one", "two", "other"] : ["one", "other"] };
  }
}
finish(PluralRules, "Intl.PluralRules", 0);
Object.defineProperty(PluralRules, "name", { value: "PluralRules", configurable: true });
