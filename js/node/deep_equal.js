/*
 * deep_equal: Node's deep equality, loose and strict.
 */
const TypedArray = Object.getPrototypeOf(Uint8Array);
const isObject = (value) => typeof value === "object" && value !== null;

function samePrimitive(a, b, isStrict) {
  // eslint-disable-next-line eqeqeq
  return isStrict ? Object.is(a, b) : a == b || (Number.isNaN(a) && Number.isNaN(b));
}

export function isDeepEqual(a, b, isStrict) {
  return same(a, b, isStrict, []);
}

function same(a, b, isStrict, open) {
  if (a === b) return a !== 0 || !isStrict || Object.is(a, b);
  if (!isObject(a) || !isObject(b)) {
    if (isStrict && (typeof a === "function" || typeof b === "function")) return false;
    return isObject(a) || isObject(b) ? false : samePrimitive(a, b, isStrict);
  }
  if (isStrict && Object.getPrototypeOf(a) !== Object.getPrototypeOf(b)) return false;
  if (Object.prototype.toString.call(a) !== Object.prototype.toString.call(b)) return false;
  if (Array.isArray(a) !== Array.isArray(b)) return false;
  /* A pair that is being compared already is equal as far as this comparison goes. */
  if (open.some(([x, y]) => x === a && y === b)) return true;
  open.push([a, b]);
  const result = sameKind(a, b, isStrict, open) && sameKeys(a, b, isStrict, open);
  open.pop();
  return result;
}

function sameKind(a, b, isStrict, open) {
  if (Array.isArray(a)) return a.length === b.length;
  if (a instanceof Date) return b instanceof Date && Object.is(a.getTime(), b.getTime());
  if (a instanceof RegExp) return b instanceof RegExp && a.source === b.source && a.flags === b.flags && a.lastIndex === b.lastIndex;
  if (a instanceof Error) return b instanceof Error && a.message === b.message && a.name === b.name && same(a.cause, b.cause, isStrict, open);
  if (a instanceof Map) return b instanceof Map && sameMaps(a, b, isStrict, open);
  if (a instanceof Set) return b instanceof Set && sameSets(a, b, isStrict, open);
  if (a instanceof TypedArray) return a.length === b.length && (a instanceof Float32Array || a instanceof Float64Array
    ? a.every((value, i) => samePrimitive(value, b[i], isStrict)) : a.every((value, i) => value === b[i]));
  if (a instanceof ArrayBuffer) return same(new Uint8Array(a), new Uint8Array(b), isStrict, open);
  if (a instanceof Number || a instanceof String || a instanceof Boolean || a instanceof BigInt || a instanceof Symbol)
    return Object.is(a.valueOf(), b.valueOf());
  if (a instanceof Promise || a instanceof WeakMap || a instanceof WeakSet) return false;
  return true;
}

function sameMaps(a, b, isStrict, open) {
  if (a.size !== b.size) return false;
  const rest = [...b];
  for (const [key, value] of a) {
    const at = rest.findIndex(([k, v]) => same(key, k, isStrict, open) && same(value, v, isStrict, open));
    if (at === -1) return false;
    rest.splice(at, 1);
  }
  return true;
}

function sameSets(a, b, isStrict, open) {
  if (a.size !== b.size) return false;
  const rest = [...b];
  for (const value of a) {
    const at = rest.findIndex((v) => same(value, v, isStrict, open));
    if (at === -1) return false;
    rest.splice(at, 1);
  }
  return true;
}

function ownKeys(value, isStrict) {
  const keys = value instanceof TypedArray ? [] : Object.keys(value);
  if (isStrict)
    for (const symbol of Object.getOwnPropertySymbols(value)) if (Object.prototype.propertyIsEnumerable.call(value, symbol)) keys.push(symbol);
  return keys;
}

function sameKeys(a, b, isStrict, open) {
  const keys = ownKeys(a, isStrict);
  if (keys.length !== ownKeys(b, isStrict).length) return false;
  return keys.every((key) => Object.hasOwn(b, key) && same(a[key], b[key], isStrict, open));
}
