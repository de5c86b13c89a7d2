// What every oracle program shares: named cases, run inside an object or in the entry, answered as plain JSON.
//
//   export class ThingObject extends CaseObject { cases = inside; }      classes named …Object are bound by that name
//   export default oracle({ inside, object: "ThingObject", outside });
//
// GET /list answers the names; GET /run?case=NAME runs one, inside a fresh object of that name or in the entry.
// A case returns any value. Answers never hold a time, a random number or a stack, so that they can be compared.
import { DurableObject } from "cloudflare:workers";

export class CaseObject extends DurableObject {
  async fetch(request) {
    const name = new URL(request.url).searchParams.get("case");
    return Response.json(await outcome(() => this.cases[name](this.ctx, this.env, this, request)));
  }
}

export function oracle({ inside = {}, object, outside = {} }) {
  return {
    async fetch(request, env, ctx) {
      const url = new URL(request.url);
      if (url.pathname === "/list") return Response.json([...Object.keys(inside), ...Object.keys(outside)]);
      const name = url.searchParams.get("case");
      if (Object.hasOwn(inside, name)) return env[object].get(env[object].idFromName(`case ${name}`)).fetch(request);
      if (Object.hasOwn(outside, name)) return Response.json(await outcome(() => outside[name](env, ctx, request)));
      return new Response("no such case", { status: 404 });
    },
  };
}

/* Runs FN and tells what it did, in JSON. */
export async function outcome(fn) {
  try {
    return { value: show(await fn()) };
  } catch (error) {
    return { threw: show(error) };
  }
}

/* The same for code that must not throw asynchronously: the error of a synchronous call as a value. */
export function caught(fn) {
  try {
    return { value: fn() };
  } catch (error) {
    return error;
  }
}

export async function caughtAsync(fn) {
  try {
    return { value: await fn() };
  } catch (error) {
    return error;
  }
}

/* A gate that a case opens itself: no case waits for time to pass. */
export function gate() {
  let open, fail;
  const opened = new Promise((resolve, reject) => { open = resolve; fail = reject; });
  return { opened, open, fail };
}

export function show(value, depth = 0) {
  if (depth > 12) return "<too deep>";
  switch (typeof value) {
    case "string": case "boolean": return value;
    case "number": return Number.isFinite(value) && !Object.is(value, -0) ? value : `<${Object.is(value, -0) ? "-0" : value}>`;
    case "bigint": return `<${value}n>`;
    case "undefined": return "<undefined>";
    case "symbol": return `<${String(value)}>`;
    case "function": return `<function ${value.name}>`;
  }
  if (value === null) return null;
  const inner = (other) => show(other, depth + 1);
  if (value instanceof Error || value instanceof DOMException) return showError(value, inner);
  if (Array.isArray(value)) return value.map(inner);
  if (value instanceof Date) return `<Date ${Number.isNaN(value.getTime()) ? "invalid" : value.toISOString()}>`;
  if (value instanceof RegExp) return `<RegExp ${value}>`;
  if (value instanceof Map) return { "<Map>": [...value].map(inner) };
  if (value instanceof Set) return { "<Set>": [...value].map(inner) };
  if (value instanceof Headers) return { "<Headers>": [...value].map(inner) };
  if (value instanceof ArrayBuffer) return `<ArrayBuffer ${[...new Uint8Array(value)]}>`;
  if (value instanceof DataView) return `<DataView ${value.byteLength}>`;
  if (ArrayBuffer.isView(value)) return `<${value.constructor.name} ${[...value]}>`;
  if (value instanceof Number || value instanceof String || value instanceof Boolean) return { [`<boxed>`]: inner(value.valueOf()) };
  const shown = Object.fromEntries(Object.keys(value).map((key) => [key, inner(value[key])]));
  const proto = Object.getPrototypeOf(value);
  return proto === null || proto === Object.prototype ? shown : { "<class>": value.constructor?.name, ...shown };
}

function showError(error, inner) {
  const shown = { error: error.name, message: error.message };
  if (error instanceof DOMException) shown.code = error.code;
  for (const key of ["remote", "retryable", "overloaded", "durableObjectReset"]) if (key in error) shown[key] = inner(error[key]);
  if (error.cause !== undefined) shown.cause = inner(error.cause);
  return shown;
}
