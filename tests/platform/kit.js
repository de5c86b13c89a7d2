/*
 * kit: `test`, `eq`, `throws`, `rejects` for the case files, which run inside a test world. A failure carries both values.
 */
(function () {
  const tests = [];
  const text = (value) => {
    if (typeof value === "string") return JSON.stringify(value);
    if (typeof value === "function") return `function ${value.name}`;
    if (typeof value !== "object" || value === null) return Object.is(value, -0) ? "-0" : String(value);
    if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer) {
      const bytes = value instanceof ArrayBuffer ? new Uint8Array(value) : new Uint8Array(value.buffer, value.byteOffset, value.byteLength);
      return `<${[...bytes].join(" ")}>`;
    }
    if (Array.isArray(value)) return `[${value.map(text).join(", ")}]`;
    if (value instanceof Error) return `${value.name}: ${value.message}`;
    if (value instanceof Map) return `Map${text([...value])}`;
    if (value instanceof Set) return `Set${text([...value])}`;
    return `{${Object.keys(value).sort().map((key) => `${key}: ${text(value[key])}`).join(", ")}}`;
  };
  const fail = (message) => {
    throw new Error(message);
  };
  globalThis.test = (name, run) => tests.push({ name, run });
  globalThis.eq = (actual, expected, what = "") => {
    if (text(actual) !== text(expected)) fail(`${what} got ${text(actual)}, wanted ${text(expected)}`);
  };
  globalThis.ok = (value, what = "not true") => {
    if (!value) fail(what);
  };
  const check = (error, name, pattern) => {
    if (error?.name !== name) fail(`wanted a ${name}, got ${text(error)} ${error?.stack ?? ""}`);
    if (pattern !== undefined && !(pattern instanceof RegExp ? pattern.test(error.message) : error.message === pattern))
      fail(`wanted the text ${pattern}, got ${text(error.message)}`);
  };
  globalThis.throws = (run, name, pattern) => {
    let result;
    try {
      result = run();
    } catch (error) {
      check(error, name, pattern);
      return;
    }
    fail(`wanted a ${name}, nothing was thrown but ${text(result)} returned`);
  };
  globalThis.rejects = async (promise, name, pattern) => {
    let result;
    try {
      result = await promise;
    } catch (error) {
      check(error, name, pattern);
      return;
    }
    fail(`wanted a ${name}, the promise was fulfilled with ${text(result)}`);
  };
  globalThis.__runTests = async (only) => {
    const results = [];
    for (const { name, run } of tests) {
      if (only !== undefined && !name.includes(only)) continue;
      try {
        await run();
        results.push({ name, ok: true });
      } catch (error) {
        results.push({ name, ok: false, message: `${error?.message ?? error}\n${error?.stack ?? ""}` });
      }
    }
    return JSON.stringify(results);
  };
})();
