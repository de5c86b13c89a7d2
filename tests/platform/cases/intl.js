/* Intl in English. Expected texts were read from workerd. A vm context has V8's Intl, which stays: only the engine is asked. */
const ENGINE = __worldKind !== "vm";
const winter = new Date(Date.UTC(2025, 0, 5, 15, 4, 9, 87));
const midnight = new Date(Date.UTC(2025, 11, 25));
const text = (run) => {
  try {
    return run();
  } catch (error) {
    return `!${error.message}`;
  }
};

/* Arguments of toLocaleString (winter), toLocaleDateString (winter), toLocaleTimeString (midnight), and what each gives. */
const DATES = [
  [[], "1/5/2025, 3:04:09 PM", "1/5/2025", "12:00:00 AM"],
  [["en-US"], "1/5/2025, 3:04:09 PM", "1/5/2025", "12:00:00 AM"],
  [["en-US", {"weekday": "long", "year": "numeric", "month": "long", "day": "numeric"}], "Sunday, January 5, 2025", "Sunday, January 5, 2025", "Thursday, December 25, 2025 at 12:00:00 AM"],
  [["en-US", {"dateStyle": "full"}], "Sunday, January 5, 2025", "Sunday, January 5, 2025", "!Invalid option : dateStyle"],
  [["en-US", {"dateStyle": "long"}], "January 5, 2025", "January 5, 2025", "!Invalid option : dateStyle"],
  [["en-US", {"dateStyle": "medium"}], "Jan 5, 2025", "Jan 5, 2025", "!Invalid option : dateStyle"],
  [["en-US", {"dateStyle": "short"}], "1/5/25", "1/5/25", "!Invalid option : dateStyle"],
  [["en-US", {"timeStyle": "short"}], "3:04 PM", "!Invalid option : timeStyle", "12:00 AM"],
  [["en-US", {"timeStyle": "medium"}], "3:04:09 PM", "!Invalid option : timeStyle", "12:00:00 AM"],
  [["en-US", {"timeStyle": "long"}], "3:04:09 PM UTC", "!Invalid option : timeStyle", "12:00:00 AM UTC"],
  [["en-US", {"timeStyle": "full"}], "3:04:09 PM Coordinated Universal Time", "!Invalid option : timeStyle", "12:00:00 AM Coordinated Universal Time"],
  [["en-US", {"dateStyle": "full", "timeStyle": "short"}], "Sunday, January 5, 2025 at 3:04 PM", "!Invalid option : timeStyle", "!Invalid option : dateStyle"],
  [["en-US", {"dateStyle": "medium", "timeStyle": "short"}], "Jan 5, 2025, 3:04 PM", "!Invalid option : timeStyle", "!Invalid option : dateStyle"],
  [["en-US", {"dateStyle": "short", "timeStyle": "short"}], "1/5/25, 3:04 PM", "!Invalid option : timeStyle", "!Invalid option : dateStyle"],
  [["en-US", {"month": "short", "day": "numeric"}], "Jan 5", "Jan 5", "Dec 25, 12:00:00 AM"],
  [["en-US", {"month": "long", "year": "numeric"}], "January 2025", "January 2025", "December 2025 at 12:00:00 AM"],
  [["en-US", {"month": "short", "day": "numeric", "year": "numeric", "hour": "numeric", "minute": "2-digit"}], "Jan 5, 2025, 3:04 PM", "Jan 5, 2025, 3:04 PM", "Dec 25, 2025, 12:00 AM"],
  [["en-US", {"weekday": "short"}], "Sun", "Sun", "Thu 12:00:00 AM"],
  [["en-US", {"weekday": "long", "hour": "numeric"}], "Sunday 3 PM", "Sunday 3 PM", "Thursday 12 AM"],
  [["en-US", {"year": "numeric"}], "2025", "2025", "2025, 12:00:00 AM"],
  [["en-US", {"month": "long"}], "January", "January", "December at 12:00:00 AM"],
  [["en-US", {"day": "numeric"}], "5", "5", "25, 12:00:00 AM"],
  [["en-US", {"month": "2-digit", "day": "2-digit", "year": "numeric"}], "01/05/2025", "01/05/2025", "12/25/2025, 12:00:00 AM"],
  [["en-US", {"year": "2-digit", "month": "numeric"}], "1/25", "1/25", "12/25, 12:00:00 AM"],
  [["en-US", {"hour": "numeric"}], "3 PM", "1/5/2025, 3 PM", "12 AM"],
  [["en-US", {"hour": "2-digit", "minute": "2-digit"}], "03:04 PM", "1/5/2025, 03:04 PM", "12:00 AM"],
  [["en-US", {"hour": "numeric", "minute": "numeric", "second": "numeric", "fractionalSecondDigits": 3}], "3:04:09.087 PM", "1/5/2025, 3:04:09.087 PM", "12:00:00.000 AM"],
  [["en-US", {"hour12": false}], "1/5/2025, 15:04:09", "1/5/2025", "00:00:00"],
  [["en-US", {"hour": "2-digit", "minute": "2-digit", "hour12": false}], "15:04", "1/5/2025, 15:04", "00:00"],
  [["en-US", {"hourCycle": "h23", "hour": "numeric", "minute": "2-digit"}], "15:04", "1/5/2025, 15:04", "00:00"],
  [["en-US", {"minute": "numeric", "second": "numeric"}], "04:09", "1/5/2025, 04:09", "00:00"],
  [["en-US", {"weekday": "short", "month": "short", "day": "numeric"}], "Sun, Jan 5", "Sun, Jan 5", "Thu, Dec 25, 12:00:00 AM"],
  [["en-US", {"weekday": "short", "month": "numeric", "day": "numeric"}], "Sun, 1/5", "Sun, 1/5", "Thu, 12/25, 12:00:00 AM"],
  [["en-US", {"timeZoneName": "short"}], "1/5/2025, 3:04:09 PM UTC", "1/5/2025, UTC", "12:00:00 AM UTC"],
  [["en-US", {"hour": "numeric", "minute": "numeric", "timeZoneName": "short"}], "3:04 PM UTC", "1/5/2025, 3:04 PM UTC", "12:00 AM UTC"],
  [["en-US", {"month": "long", "day": "numeric", "hour": "numeric", "minute": "2-digit"}], "January 5 at 3:04 PM", "January 5 at 3:04 PM", "December 25 at 12:00 AM"],
  [["en-US", {"weekday": "long", "month": "long", "day": "numeric", "year": "numeric", "hour": "numeric", "minute": "2-digit", "timeZoneName": "short"}], "Sunday, January 5, 2025 at 3:04 PM UTC", "Sunday, January 5, 2025 at 3:04 PM UTC", "Thursday, December 25, 2025 at 12:00 AM UTC"],
  [["en-GB"], "05/01/2025, 15:04:09", "05/01/2025", "00:00:00"],
  [["en-CA"], "2025-01-05, 3:04:09 p.m.", "2025-01-05", "12:00:00 a.m."],
  [["sv-SE"], "2025-01-05 15:04:09", "2025-01-05", "00:00:00"],
  [["en-CA", {"timeZone": "UTC", "year": "numeric", "month": "2-digit", "day": "2-digit"}], "2025-01-05", "2025-01-05", "2025-12-25, 12:00:00 a.m."],
  [["en-GB", {"dateStyle": "medium", "timeStyle": "short"}], "5 Jan 2025, 15:04", "!Invalid option : timeStyle", "!Invalid option : dateStyle"],
  [["en-GB", {"day": "numeric", "month": "long", "year": "numeric"}], "5 January 2025", "5 January 2025", "25 December 2025 at 00:00:00"],
  [["en-US", {"era": "short"}], "1/5/2025 AD, 3:04:09 PM", "1/5/2025 AD", "AD, 12:00:00 AM"],
  [["en-US", {"weekday": "narrow"}], "S", "S", "T 12:00:00 AM"],
  [["en-US", {"month": "narrow", "day": "numeric"}], "J 5", "J 5", "D 25, 12:00:00 AM"],
];
const NUMBERS = [
  [[1234567.891], "1,234,567.891"],
  [[0], "0"],
  [[-0], "-0"],
  [[-1234.5], "-1,234.5"],
  [[1e+21], "1,000,000,000,000,000,000,000"],
  [[0.30000000000000004], "0.3"],
  [[NaN], "NaN"],
  [[Infinity], "∞"],
  [[12345.6789, "en-US", {"maximumFractionDigits":2}], "12,345.68"],
  [[5, "en-US", {"minimumFractionDigits":2}], "5.00"],
  [[0.256, "en-US", {"style":"percent"}], "26%"],
  [[0.2567, "en-US", {"style":"percent","maximumFractionDigits":1}], "25.7%"],
  [[1234.5, "en-US", {"style":"currency","currency":"USD"}], "$1,234.50"],
  [[-5, "en-US", {"style":"currency","currency":"EUR"}], "-€5.00"],
  [[1234, "en-US", {"style":"currency","currency":"JPY"}], "¥1,234"],
  [[12, "en-US", {"style":"currency","currency":"CHF"}], "CHF 12.00"],
  [[1234567, "en-US", {"notation":"compact"}], "1.2M"],
  [[1234, "en-US", {"notation":"compact"}], "1.2K"],
  [[999999, "en-US", {"notation":"compact"}], "1M"],
  [[1500000000, "en-US", {"notation":"compact","maximumFractionDigits":1}], "1.5B"],
  [[5, "en-US", {"minimumIntegerDigits":2}], "05"],
  [[1234.5678, "en-US", {"maximumSignificantDigits":3}], "1,230"],
  [[0.00012345, "en-US", {"maximumSignificantDigits":2}], "0.00012"],
  [[5, "en-US", {"signDisplay":"always"}], "+5"],
  [[1234, "en-US", {"useGrouping":false}], "1234"],
  [[16, "en-US", {"style":"unit","unit":"kilometer-per-hour"}], "16 km/h"],
  [[3, "en-US", {"style":"unit","unit":"byte"}], "3 byte"],
  [[12, "en-US", {"style":"currency","currency":"USD","maximumFractionDigits":0}], "$12"],
  [[1.005, "en-US", {"maximumFractionDigits":2}], "1.01"],
  [[2.5, "en-US", {"maximumFractionDigits":0}], "3"],
  [[3.5, "en-US", {"maximumFractionDigits":0}], "4"],
  [[1000000000000000], "1,000,000,000,000,000"],
  [[123456789012345680000], "123,456,789,012,345,680,000"],
];

if (ENGINE) {
  for (const [args, all, date, time] of DATES)
    test(`dates: ${JSON.stringify(args)}`, () =>
      eq([text(() => winter.toLocaleString(...args)), text(() => winter.toLocaleDateString(...args)), text(() => midnight.toLocaleTimeString(...args))], [all, date, time]));
  test("numbers", () => {
    for (const [[value, ...args], expected] of NUMBERS) eq(value.toLocaleString(...args), expected, `${value} ${JSON.stringify(args)}`);
    eq([12345678901234567890n.toLocaleString(), new Intl.NumberFormat().format("1234.5"), [1.5, 2].map(new Intl.NumberFormat("en-US", { minimumFractionDigits: 1 }).format)], ["12,345,678,901,234,567,890", "1,234.5", ["1.5", "2.0"]]);
  });
  test("parts and options", () => {
    eq(new Intl.DateTimeFormat("en-US", { dateStyle: "long", timeStyle: "long" }).formatToParts(winter).map((p) => [p.type, p.value]), [["month", "January"], ["literal", " "], ["day", "5"], ["literal", ", "], ["year", "2025"], ["literal", " at "], ["hour", "3"], ["literal", ":"], ["minute", "04"], ["literal", ":"], ["second", "09"], ["literal", " "], ["dayPeriod", "PM"], ["literal", " "], ["timeZoneName", "UTC"]]);
    eq(new Intl.NumberFormat("en-US", { style: "currency", currency: "USD" }).formatToParts(-1234.5).map((p) => [p.type, p.value]), [["minusSign", "-"], ["currency", "$"], ["integer", "1"], ["group", ","], ["integer", "234"], ["decimal", "."], ["fraction", "50"]]);
    eq([new Intl.DateTimeFormat().resolvedOptions(), new Intl.NumberFormat().resolvedOptions()], [{"locale": "en-US", "calendar": "gregory", "numberingSystem": "latn", "timeZone": "UTC", "year": "numeric", "month": "numeric", "day": "numeric"}, {"locale": "en-US", "numberingSystem": "latn", "style": "decimal", "minimumIntegerDigits": 1, "minimumFractionDigits": 0, "maximumFractionDigits": 3, "useGrouping": "auto", "notation": "standard", "signDisplay": "auto", "roundingIncrement": 1, "roundingMode": "halfExpand", "roundingPriority": "auto", "trailingZeroDisplay": "auto"}]);
    eq([new Intl.DateTimeFormat().format(winter), Intl.DateTimeFormat("en-US").formatRange(winter, midnight), new Intl.DateTimeFormat() instanceof Intl.DateTimeFormat], ["1/5/2025", "1/5/2025 – 12/25/2025", true]);
    throws(() => new Intl.DateTimeFormat("en", { timeZone: "Foo/Bar" }), "RangeError", "Invalid time zone specified: Foo/Bar");
    throws(() => new Intl.NumberFormat("en", { style: "currency" }), "TypeError", "Currency code is required with currency style.");
    throws(() => new Intl.DateTimeFormat().format(NaN), "RangeError", "Invalid time value");
    throws(() => Intl.getCanonicalLocales("x_y"), "RangeError", "Invalid language tag: x_y");
    eq([Intl.getCanonicalLocales("EN-us"), new Date(NaN).toLocaleString(), String(Intl)], [["en-US"], "Invalid Date", "[object Intl]"]);
  });
  test("plurals, lists, relative times", () => {
    const plural = new Intl.PluralRules("en");
    const ordinal = new Intl.PluralRules("en", { type: "ordinal" });
    eq([0, 1, 2, 1.5].map((n) => plural.select(n)), ["other", "one", "other", "other"]);
    eq([1, 2, 3, 4, 11, 12, 13, 21, 22, 23, 101, 111].map((n) => ordinal.select(n)), ["one", "two", "few", "other", "other", "other", "other", "one", "two", "few", "one", "other"]);
    eq([[-1, "day"], [1, "day"], [0, "day"], [-3, "month"], [2, "weeks"], [1, "second"]].map((a) => [new Intl.RelativeTimeFormat("en").format(...a), new Intl.RelativeTimeFormat("en", { numeric: "auto" }).format(...a)]), [["1 day ago", "yesterday"], ["in 1 day", "tomorrow"], ["in 0 days", "today"], ["3 months ago", "3 months ago"], ["in 2 weeks", "in 2 weeks"], ["in 1 second", "in 1 second"]]);
    eq([["a"], ["a", "b"], ["a", "b", "c"]].map((a) => [new Intl.ListFormat("en").format(a), new Intl.ListFormat("en", { type: "disjunction" }).format(a), new Intl.ListFormat("en", { type: "unit" }).format(a), new Intl.ListFormat("en", { style: "narrow", type: "unit" }).format(a)]), [["a", "a", "a", "a"], ["a and b", "a or b", "a, b", "a b"], ["a, b, and c", "a, b, or c", "a, b, c", "a b c"]]);
  });
  test("collation", () => {
    const words = ["b", "a", "A", "ä", "Z", "z", "_", "1", "10", "2", "é", "e", "f", " x", "-y", "résumé", "resume", "Résumé", "Resume", "co-op", "coop"];
    const expected = [" x", "_", "-y", "1", "10", "2", "a", "A", "ä", "b", "co-op", "coop", "e", "é", "f", "resume", "Resume", "résumé", "Résumé", "z", "Z"];
    eq([[...words].sort(new Intl.Collator().compare), [...words].sort((a, b) => a.localeCompare(b))], [expected, expected]);
    eq(["a10", "a9", "a1"].sort(new Intl.Collator("en", { numeric: true }).compare), ["a1", "a9", "a10"]);
    eq([new Intl.Collator("en", { sensitivity: "base" }).compare("a", "Ä"), "a".localeCompare("B"), "a".localeCompare("A"), "a".localeCompare("a"), "a".localeCompare("á", undefined, { sensitivity: "accent" })], [0, -1, -1, 0, -1]);
  });
  test("segments", () => {
    const cut = (granularity, input) => [...new Intl.Segmenter("en", { granularity }).segment(input)];
    eq(cut("grapheme", "a\u0301\u{1f468}\u200d\u{1f469}\u200d\u{1f467}\u{1f1e9}\u{1f1ea}e").map((s) => [s.segment, s.index]), [["á", 0], ["👨‍👩‍👧", 2], ["🇩🇪", 10], ["e", 14]]);
    eq(cut("word", "Hi, it's 3.14 ok.").map((s) => [s.segment, s.isWordLike]), [["Hi", true], [",", false], [" ", false], ["it's", true], [" ", false], ["3.14", true], [" ", false], ["ok", true], [".", false]]);
    eq(cut("sentence", "Hi there. How? Yes!").map((s) => s.segment), ["Hi there. ", "How? ", "Yes!"]);
    for (const granularity of ["grapheme", "word", "sentence"])
      for (const input of ["", "plain", "\ud800x", "a\r\nb", "한국어 각", "日本語。", "x".repeat(1000)]) eq(cut(granularity, input).map((s) => s.segment).join(""), input);
  });
  test("dates as strings name the time zone", () => eq([String(new Date(0)), new Date(0).toTimeString(), new Date(0).toDateString(), String(new Date(NaN))], ["Thu Jan 01 1970 00:00:00 GMT+0000 (Coordinated Universal Time)", "00:00:00 GMT+0000 (Coordinated Universal Time)", "Thu Jan 01 1970", "Invalid Date"]));
  if (typeof __world.host.timeZone === "function")
    test("time zones through the host", () => {
      const at = (date, timeZone, more = {}) => date.toLocaleString("en-US", { timeZone, ...more });
      eq([at(winter, "America/New_York"), at(winter, "America/New_York", { hour: "numeric", timeZoneName: "short" }), at(new Date(Date.UTC(2025, 6, 5, 15)), "America/New_York", { hour: "numeric", timeZoneName: "short" })],
        ["1/5/2025, 10:04:09 AM", "10 AM EST", "11 AM EDT"]);
      eq([at(winter, "Asia/Kolkata", { timeStyle: "short" }), at(winter, "+02:30", { timeStyle: "short" }), winter.toLocaleDateString("en-CA", { timeZone: "Asia/Tokyo" }), at(winter, "Europe/Berlin", { hour: "numeric", timeZoneName: "short" })],
        ["8:34 PM", "5:34 PM", "2025-01-06", "4 PM GMT+1"]);
      eq(new Intl.DateTimeFormat("en-US", { timeZone: "America/New_York" }).resolvedOptions().timeZone, "America/New_York");
    });
}
test("there is an Intl", () => eq([typeof Intl.DateTimeFormat, typeof Intl.NumberFormat, Intl.DateTimeFormat.name], ["function", "function", "DateTimeFormat"]));
