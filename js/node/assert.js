/*
 * node:assert.
 */
import { inspect } from "../web/inspect.js";
import { isDeepEqual } from "./deep_equal.js";
import { badType } from "./errors.js";

export class AssertionError extends Error {
  constructor({ message, actual, expected, operator, stackStartFn }) {
    super(message ?? `${inspect(actual)} ${operator} ${inspect(expected)}`);
    this.generatedMessage = message === undefined;
    this.actual = actual;
    this.expected = expected;
    this.operator = operator;
    this.code = "ERR_ASSERTION";
    Error.captureStackTrace?.(this, stackStartFn ?? this.constructor);
  }
  get name() {
    return "AssertionError";
  }
}

/* Throws MESSAGE when it is an error, an AssertionError otherwise. */
function failed(message, standard, actual, expected, operator, stackStartFn) {
  if (message instanceof Error) throw message;
  const error = new AssertionError({ message: message ?? standard, actual, expected, operator, stackStartFn });
  error.generatedMessage = message === undefined;
  throw error;
}

export function ok(value, message) {
  if (value) return;
  const standard = arguments.length === 0 ? "No value argument passed to `assert.ok()`" : "The expression evaluated to a falsy value";
  failed(message, standard, value, true, "==", ok);
}

export function fail(message = "Failed") {
  failed(message, undefined, undefined, undefined, "fail", fail);
}

const two = (title, a, b) => `${title}:\n\n${inspect(a)}\n\nshould equal\n\n${inspect(b)}`;

export function equal(actual, expected, message) {
  // eslint-disable-next-line eqeqeq
  if (!(actual == expected || (Number.isNaN(actual) && Number.isNaN(expected))))
    failed(message, `${inspect(actual)} == ${inspect(expected)}`, actual, expected, "==", equal);
}
export function notEqual(actual, expected, message) {
  // eslint-disable-next-line eqeqeq
  if (actual == expected || (Number.isNaN(actual) && Number.isNaN(expected)))
    failed(message, `${inspect(actual)} != ${inspect(expected)}`, actual, expected, "!=", notEqual);
}
export function strictEqual(actual, expected, message) {
  if (!Object.is(actual, expected))
    failed(message, `Expected values to be strictly equal:\n\n${inspect(actual)} !== ${inspect(expected)}\n`, actual, expected, "strictEqual", strictEqual);
}
export function notStrictEqual(actual, expected, message) {
  if (Object.is(actual, expected))
    failed(message, `Expected "actual" to be strictly unequal to: ${inspect(expected)}`, actual, expected, "notStrictEqual", notStrictEqual);
}
export function deepEqual(actual, expected, message) {
  if (!isDeepEqual(actual, expected, false))
    failed(message, two("Expected values to be loosely deep-equal", actual, expected), actual, expected, "deepEqual", deepEqual);
}
export function notDeepEqual(actual, expected, message) {
  if (isDeepEqual(actual, expected, false))
    failed(message, `Expected "actual" not to be loosely deep-equal to: ${inspect(expected)}`, actual, expected, "notDeepEqual", notDeepEqual);
}
export function deepStrictEqual(actual, expected, message) {
  if (!isDeepEqual(actual, expected, true))
    failed(message, two("Expected values to be strictly deep-equal", actual, expected), actual, expected, "deepStrictEqual", deepStrictEqual);
}
export function notDeepStrictEqual(actual, expected, message) {
  if (isDeepEqual(actual, expected, true))
    failed(message, `Expected "actual" not to be strictly deep-equal to: ${inspect(expected)}`, actual, expected, "notDeepStrictEqual", notDeepStrictEqual);
}

function needString(text) {
  if (typeof text !== "string") throw badType("string", "of type string", text);
}
export function match(text, pattern, message) {
  needString(text);
  if (!pattern.test(text)) failed(message, `The input did not match the regular expression ${inspect(pattern)}. Input:\n\n${inspect(text)}\n`, text, pattern, "match", match);
}
export function doesNotMatch(text, pattern, message) {
  needString(text);
  if (pattern.test(text)) failed(message, `The input was expected to not match the regular expression ${inspect(pattern)}. Input:\n\n${inspect(text)}\n`, text, pattern, "doesNotMatch", doesNotMatch);
}

/* Whether ERROR is as WANTED says: a class, a pattern, a function that approves, or an object of properties. */
function checkError(error, wanted, message, operator) {
  if (wanted === undefined) return;
  if (wanted instanceof RegExp) {
    if (!wanted.test(`${error}`)) failed(message, `The input did not match the regular expression ${inspect(wanted)}. Input:\n\n${inspect(`${error}`)}\n`, error, wanted, operator);
    return;
  }
  if (typeof wanted === "function") {
    if (wanted.prototype !== undefined && error instanceof wanted) return;
    if (Object.prototype.isPrototypeOf.call(Error, wanted) || wanted === Error) throw error;
    if (wanted.call({}, error) !== true) failed(message, "The validation function is expected to return \"true\".", error, wanted, operator);
    return;
  }
  for (const key of wanted instanceof Error ? ["name", "message", ...Object.keys(wanted)] : Object.keys(wanted)) {
    const isMatch = wanted[key] instanceof RegExp && typeof error[key] === "string" ? wanted[key].test(error[key]) : isDeepEqual(error[key], wanted[key], true);
    if (!isMatch) failed(message, `Expected "${key}" to be ${inspect(wanted[key])}, got ${inspect(error[key])}`, error, wanted, operator);
  }
}

const splitArgs = (wanted, message) => (typeof wanted === "string" ? [undefined, wanted] : [wanted, message]);

export function throws(fn, expected, text) {
  if (typeof fn !== "function") throw badType("fn", "of type function", fn);
  const [wanted, message] = splitArgs(expected, text);
  let caught;
  try {
    fn();
  } catch (error) {
    caught = { error };
  }
  if (caught === undefined) failed(message, "Missing expected exception.", undefined, wanted, "throws", throws);
  checkError(caught.error, wanted, message, "throws");
}
export function doesNotThrow(fn, expected, text) {
  const [, message] = splitArgs(expected, text);
  try {
    fn();
  } catch (error) {
    failed(message, `Got unwanted exception.\nActual message: "${error?.message}"`, error, expected, "doesNotThrow", doesNotThrow);
  }
}

const promiseOf = async (value) => (typeof value === "function" ? value() : value);

export async function rejects(promise, expected, text) {
  const [wanted, message] = splitArgs(expected, text);
  let caught;
  try {
    await promiseOf(promise);
  } catch (error) {
    caught = { error };
  }
  if (caught === undefined) failed(message, "Missing expected rejection.", undefined, wanted, "rejects", rejects);
  checkError(caught.error, wanted, message, "rejects");
}
export async function doesNotReject(promise, expected, text) {
  const [, message] = splitArgs(expected, text);
  try {
    await promiseOf(promise);
  } catch (error) {
    failed(message, `Got unwanted rejection.\nActual message: "${error?.message}"`, error, expected, "doesNotReject", doesNotReject);
  }
}
export function ifError(value) {
  if (value !== null && value !== undefined) throw value instanceof Error ? value : new AssertionError({ message: `ifError got unwanted exception: ${inspect(value)}`, actual: value, expected: null, operator: "ifError" });
}

function assert(...args) {
  ok(...args);
}
const common = { AssertionError, doesNotMatch, doesNotReject, doesNotThrow, fail, ifError, match, notDeepStrictEqual, notStrictEqual, ok, rejects, throws, deepStrictEqual, strictEqual };
Object.assign(assert, common, { deepEqual, equal, notDeepEqual, notEqual });
export const strict = Object.assign((...args) => ok(...args), common, {
  deepEqual: deepStrictEqual, equal: strictEqual, notDeepEqual: notDeepStrictEqual, notEqual: notStrictEqual,
});
strict.strict = strict;
assert.strict = strict;

export default assert;
