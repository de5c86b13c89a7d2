/*
 * intl: the Intl object, and the toLocale… methods of the language, in English. A stand-in for ICU: see docs/web-platform.md for its limits.
 *
 * Nothing happens when the engine has Intl of its own.
 */
import { canonicalLocales, DateTimeFormat, formatDate } from "./intl_date.js";
import { formatNumber, NumberFormat, PluralRules } from "./intl_number.js";
import { Collator, collation, compareText, ListFormat, Locale, RelativeTimeFormat, Segmenter } from "./intl_text.js";
import { hidden } from "./util.js";

/* Classes of Intl may be called without new (except the newer ones). */
function callable(klass) {
  const made = function (locales, options) {
    return Reflect.construct(klass, [locales, options], new.target === undefined || new.target === made ? klass : new.target);
  };
  Object.defineProperty(made, "name", { value: klass.name, configurable: true });
  Object.defineProperty(made, "length", { value: 0, configurable: true });
  Object.defineProperty(made, "prototype", { value: klass.prototype, writable: false });
  hidden(klass.prototype, "constructor", made);
  hidden(made, "supportedLocalesOf", klass.supportedLocalesOf);
  return made;
}

/* The time zone's name, which V8 appends. The engine runs in UTC. */
const withZone = (text) => (text.endsWith("GMT+0000") ? `${text} (Coordinated Universal Time)` : text);

function installDates() {
  const { toString, toTimeString, getTime } = Date.prototype;
  const localized = (required, defaults) => function (locales, options) {
    const ms = getTime.call(this);
    return Number.isNaN(ms) ? "Invalid Date" : formatDate(ms, locales, options, required, defaults);
  };
  const methods = {
    toString() {
      return withZone(toString.call(this));
    },
    toTimeString() {
      return withZone(toTimeString.call(this));
    },
    toLocaleString: localized("any", "all"),
    toLocaleDateString: localized("date", "date"),
    toLocaleTimeString: localized("time", "time"),
  };
  for (const name of Object.keys(methods)) hidden(Date.prototype, name, Object.defineProperty(methods[name], "name", { value: name }));
}

export function installIntl(target) {
  if (typeof target.Intl === "object") return;
  const Intl = {};
  Object.defineProperty(Intl, Symbol.toStringTag, { value: "Intl", configurable: true });
  hidden(Intl, "getCanonicalLocales", function getCanonicalLocales(locales) {
    return canonicalLocales(locales);
  });
  for (const klass of [DateTimeFormat, NumberFormat, Collator]) hidden(Intl, klass.name, callable(klass));
  for (const klass of [PluralRules, RelativeTimeFormat, ListFormat, Locale, Segmenter]) hidden(Intl, klass.name, klass);
  hidden(target, "Intl", Intl);
  installDates();
  const { valueOf: numberValue } = Number.prototype;
  const { valueOf: bigValue } = BigInt.prototype;
  hidden(Number.prototype, "toLocaleString", function toLocaleString(locales, options) {
    return formatNumber(numberValue.call(this), locales, options);
  });
  hidden(BigInt.prototype, "toLocaleString", function toLocaleString(locales, options) {
    return formatNumber(bigValue.call(this), locales, options);
  });
  hidden(String.prototype, "localeCompare", function localeCompare(other, locales, options) {
    if (options === undefined) return compareText(`${this}`, `${other}`);
    const { levels, isNumeric } = collation(options);
    return compareText(`${this}`, `${other}`, levels, isNumeric);
  });
}
