// Writes clone.inc: what V8 itself makes of each expression. usage: node tests/unit/golden/clone.mjs > tests/unit/golden/clone.inc
import v8 from "node:v8";
const expressions = [
  "undefined", "null", "true", "false", "0", "-1", "42", "2147483647", "-2147483648", "2147483648", "1.5", "-0", "NaN", "Infinity", "1e300",
  "0n", "1n", "-1n", "123456789012345678901234567890n", "-(2n ** 64n)",
  "''", "'abc'", "'h\\u00e9'", "'\\u20ac'", "'x\\u20ac'", "'\\ud83d\\ude00'", "'\\ud800'", "'a'.repeat(300)",
  "({})", "({ a: 1, b: 'two', c: null })", "({ 1: 'one', 0: 'zero', x: 2 })", "({ '\\u20ac': 1 })",
  "[]", "[1, 'a', null, undefined]", "[[], [[]]]", "[1, , 3]", "Object.assign([1, 2], { extra: true })",
  "new Date(0)", "new Date(1795174610148)", "new Date(NaN)", "/a+b/gi", "/x/dsuy", "new RegExp('')",
  "new Map([['k', 1], [{ a: 1 }, [2]]])", "new Map()", "new Set([1, 'two', 1])", "new Set()",
  "Object(1)", "Object('s')", "Object(true)", "Object(false)", "Object(7n)",
  "new Uint8Array([1, 2, 3]).buffer", "new Uint8Array([1, 2, 3])", "new Int16Array([-1, 256])", "new Float64Array([0.5])",
  "new BigUint64Array([1n])", "new Uint8ClampedArray([255])", "new DataView(new ArrayBuffer(3), 1, 2)", "new Uint8Array(new Uint8Array([9, 8, 7, 6]).buffer, 1, 2)",
  "(() => { const b = new ArrayBuffer(2); return [new Uint8Array(b), new Uint8Array(b, 1), b]; })()",
  "(() => { const o = {}; o.self = o; return o; })()", "(() => { const s = { v: 1 }; return [s, s, { s }]; })()",
  "(() => { const m = new Map(); m.set('m', m); return m; })()",
];
console.log("/* Made by clone.mjs with V8 %s. GOLDEN(expression, bytes in hex) */", process.versions.v8.split("-")[0]);
for (const e of expressions) {
  const s = new v8.Serializer();
  s.writeHeader();
  s.writeValue((0, eval)(`(${e})`));
  console.log(`GOLDEN(${JSON.stringify(e)}, "${s.releaseBuffer().toString("hex")}")`);
}
