/* console and inspect: what Node prints for the same values. */
const INSPECT = [
  [1, "1"], [-0, "-0"], [12n, "12n"], ["it's", `"it's"`], ["a\nb", "'a\\nb'"], [null, "null"], [undefined, "undefined"], [Symbol("s"), "Symbol(s)"], [true, "true"],
  [[], "[]"], [[1, "a"], "[ 1, 'a' ]"], [[1, , 3], "[ 1, <1 empty item>, 3 ]"], [{}, "{}"], [{ a: 1, "b-c": [2] }, "{ a: 1, 'b-c': [ 2 ] }"],
  [{ a: { b: { c: { d: 1 } } } }, "{ a: { b: { c: [Object] } } }"], [new Map([["a", 1]]), "Map(1) { 'a' => 1 }"], [new Set([1, "b"]), "Set(2) { 1, 'b' }"],
  [new Date(0), "1970-01-01T00:00:00.000Z"], [/a/g, "/a/g"], [function foo() {}, "[Function: foo]"], [() => {}, "[Function (anonymous)]"], [class A {}, "[class A]"],
  [class B extends Map {}, "[class B extends Map]"], [async function f() {}, "[AsyncFunction: f]"], [Object.create(null), "[Object: null prototype] {}"], [new (class Foo { x = 1; })(), "Foo { x: 1 }"],
  [new Uint8Array([1, 2]), "Uint8Array(2) [ 1, 2 ]"], [new Uint8Array([1, 255]).buffer, "ArrayBuffer { [Uint8Contents]: <01 ff>, byteLength: 2 }"],
  [Object("x"), "[String: 'x']"], [Object(1), "[Number: 1]"], [new WeakMap(), "WeakMap { <items unknown> }"], [{ get a() { return 1; } }, "{ a: [Getter] }"],
  [{ get a() { return 1; }, set a(v) {} }, "{ a: [Getter/Setter] }"], [{ [Symbol("k")]: 1 }, "{ [Symbol(k)]: 1 }"], [Promise.resolve(1), /^Promise \{.*\}$/s],
  [Array.from({ length: 120 }, () => 0), /\.\.\. 20 more items/], [new Headers({ a: "b" }), "Headers { 'a' => 'b' }"], [new URLSearchParams("a=b"), "URLSearchParams(1) { 'a' => 'b' }"],
  [Buffer.from("hi"), "<Buffer 68 69>"], [{ s: "x".repeat(90) }, `{\n  s: '${"x".repeat(90)}'\n}`],
];
for (const [value, expected] of INSPECT)
  test(`inspect gives ${String(expected).slice(0, 40)}`, () => {
    const text = __world.web.inspect(value);
    if (expected instanceof RegExp) ok(expected.test(text), text);
    else eq(text, expected);
  });
test("inspect: circular, shared, deep, hostile", () => {
  const { inspect } = __world.web;
  const a = { name: "a" };
  a.self = a;
  eq(inspect(a), "<ref *1> { name: 'a', self: [Circular *1] }");
  const shared = { x: 1 };
  eq(inspect([shared, shared]), "[ { x: 1 }, { x: 1 } ]");
  eq(inspect({ a: { b: { c: { d: 1 } } } }, { depth: 0 }), "{ a: [Object] }");
  eq(inspect({ a: { b: { c: { d: 1 } } } }, { depth: 5 }), "{\n  a: { b: { c: { d: 1 } } }\n}");
  ok(inspect({ get [Symbol.toStringTag]() { throw new Error("no"); } }).includes("inspection failed"));
  ok(inspect(new Proxy({}, { ownKeys() { throw new Error("no"); } })).includes("inspection failed"));
  eq(inspect({ [Symbol.for("nodejs.util.inspect.custom")]: () => "mine" }), "mine");
  let deep = {};
  for (let i = 0; i < 5000; i++) deep = { deep };
  ok(inspect(deep, { depth: Infinity }).length > 0);
});
test("inspect: errors with causes and fields", () => {
  const { inspect } = __world.web;
  const error = Object.assign(new TypeError("bad", { cause: new Error("why") }), { code: "E_X" });
  const text = inspect(error);
  ok(text.startsWith("TypeError: bad\n    at "), text);
  ok(text.includes("[cause]: Error: why") && text.includes("code: 'E_X'"), text);
  ok(inspect(new DOMException("gone", "AbortError")).startsWith("AbortError: gone"));
});
const logged = (run) => {
  const before = __world.lines.length;
  run();
  return __world.lines.slice(before);
};
const FORMATS = [[["a", 1, { b: 2 }], "a 1 { b: 2 }"], [["%s is %d years and %i", "Ada", 36.5, 2.9], "Ada is 36.5 years and 2"], [["%o", [1]], "[ 1, [length]: 1 ]"],
  [["%O %j", { a: 1 }, { b: 2 }], '{ a: 1 } {"b":2}'], [["100%", 5], "100% 5"], [["%%s", 5], "%s 5"], [["%c red", "color: red"], " red"], [["%s"], "%s"], [[], ""], [["a", "b"], "a b"], [[1, "a"], "1 a"]];
for (const [args, text] of FORMATS) test(`console.log ${JSON.stringify(args)}`, () => eq(logged(() => console.log(...args)), [[1, text]]));
test("levels, groups, counts, timers, assert, table, trace", () => {
  eq(logged(() => { console.debug("d"); console.info("i"); console.warn("w"); console.error("e"); }).map(([level]) => level), [0, 1, 2, 3]);
  eq(logged(() => { console.group("g"); console.log("a\nb"); console.groupEnd(); console.log("c"); }), [[1, "g"], [1, "  a\n  b"], [1, "c"]]);
  eq(logged(() => { console.count(); console.count("x"); console.count(); console.countReset(); console.count(); }).map(([, t]) => t), ["default: 1", "x: 1", "default: 2", "default: 1"]);
  const times = logged(() => { console.time("t"); console.timeLog("t", 5); console.timeEnd("t"); console.timeEnd("t"); });
  ok(/^t: [\d.]+ms 5$/.test(times[0][1]) && /^t: [\d.]+ms$/.test(times[1][1]) && times[2][0] === 2, JSON.stringify(times));
  eq(logged(() => { console.assert(true, "no"); console.assert(false, "yes %s", 1); console.assert(false); }), [[3, "Assertion failed: yes 1"], [3, "Assertion failed"]]);
  eq(logged(() => console.table([{ a: 1, b: "x" }, { a: 2 }]))[0][1], [
    "┌─────────┬───┬─────┐", "│ (index) │ a │ b   │", "├─────────┼───┼─────┤", "│ 0       │ 1 │ 'x' │", "│ 1       │ 2 │     │", "└─────────┴───┴─────┘"].join("\n"));
  ok(/^Trace: here\n\s+at /.test(logged(() => console.trace("here"))[0][1]));
  const { log } = console;
  eq(logged(() => log("unbound")), [[1, "unbound"]]);
});

test("stacks begin with the error's name and message", () => {
  class Mine extends Error { constructor(m) { super(m); this.name = "Mine"; } }
  for (const [error, title] of [[new TypeError("bad"), "TypeError: bad"], [new Mine("x"), "Mine: x"], [new Error(), "Error"]])
    if (__worldKind === "engine") ok(error.stack.startsWith(`${title}\n    at `), error.stack);
    else ok(/^\w+/.test(error.stack));
  const error = new Error("a");
  error.stack = "mine";
  eq([error.stack, Object.keys(error)], ["mine", []]);
  const plain = { name: "N", message: "m" };
  Error.captureStackTrace(plain);
  ok(plain.stack.startsWith("N: m\n    at "), plain.stack);
  const hostile = new Error("x");
  Object.defineProperty(hostile, "name", { get() { throw new Error("no"); } });
  if (__worldKind === "engine") ok(typeof hostile.stack === "string");
});
