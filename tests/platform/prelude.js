/*
 * prelude: runs first inside a test world and puts `__host` there: the natives through `__bridge(name, args)`, and what must live in
 * the world itself. Time is virtual: `__world.advance(ms)` fires the timers that are due.
 */
(function () {
  const bridge = globalThis.__bridge;
  const nativeAls = globalThis.__als; /* the vm world has a real one; the engine world a plain variable */
  delete globalThis.__bridge;
  delete globalThis.__als;

  const host = {};
  const copy = (value) => {
    if (value === undefined || value === null || typeof value !== "object") return value;
    if (Array.isArray(value)) return Array.from(value, copy);
    const tag = Object.prototype.toString.call(value);
    if (tag === "[object ArrayBuffer]") {
      const mine = new Uint8Array(value.byteLength);
      mine.set(new Uint8Array(value));
      return mine.buffer;
    }
    if (tag === "[object Uint8Array]") {
      const mine = new Uint8Array(value.byteLength);
      mine.set(value);
      return mine;
    }
    return value;
  };
  const errors = { TypeError, RangeError, Error };
  for (const name of ["now", "mono", "uuid", "mapStack", "timeZone", "utf8", "text", "textLabel", "textDecode", "latin1", "atob", "btoa", "hex", "urlParse",
    "urlSet", "domainToASCII", "formEncode", "formDecode", "digest", "hmac", "pbkdf2", "equal", "deflateOpen", "deflatePush", "deflateClose", "cipher", "keyImport",
    "keyExport", "keyGenerate", "sign", "verify", "derive"]) {
    host[name] = (...args) => {
      const { value, failed, message } = bridge(name, args);
      if (failed !== undefined) throw new errors[failed](message);
      return copy(value);
    };
  }
  host.rand = () => bridge("randomBytes", [4]).value.reduce((sum, byte) => sum / 256 + byte / 256, 0);
  host.random = (view) => {
    const { value } = bridge("randomBytes", [view.byteLength]);
    new Uint8Array(view.buffer, view.byteOffset, view.byteLength).set(value);
  };
  host.utf8Into = (text, target) => {
    let read = 0;
    let written = 0;
    for (const character of text) {
      const bytes = host.utf8(character);
      if (written + bytes.length > target.length) break;
      target.set(bytes, written);
      written += bytes.length;
      read += character.length;
    }
    return [read, written];
  };

  const lines = [];
  host.log = (level, text) => lines.push([level, text]);

  let store;
  host.als = nativeAls ? nativeAls.get : () => store;
  host.alsSet = nativeAls ? nativeAls.set : (value) => {
    const before = store;
    store = value;
    return before;
  };
  let section = 0;
  host.cs = () => section;
  host.csSet = (n) => {
    const before = section;
    section = n;
    return before;
  };
  host.microtask = (fn) => void Promise.resolve().then(fn);
  host.promiseState = () => 0;
  host.promiseResult = () => undefined;
  host.clone = (value, transfer) => cloneValue(value, transfer ?? []);

  /* Structured clone of what the tests use. */
  function cloneValue(value, transfer) {
    const seen = new Map();
    const walk = (v) => {
      if (typeof v === "function" || typeof v === "symbol") throw new DOMException(`${String(v)} could not be cloned.`, "DataCloneError");
      if (typeof v !== "object" || v === null) return v;
      if (seen.has(v)) return seen.get(v);
      const out = emptyOf(v, transfer);
      seen.set(v, out);
      if (v instanceof Map) for (const [k, w] of v) out.set(walk(k), walk(w));
      else if (v instanceof Set) for (const w of v) out.add(walk(w));
      else if (!(v instanceof ArrayBuffer) && !ArrayBuffer.isView(v)) for (const k of Object.keys(v)) out[k] = walk(v[k]);
      return out;
    };
    return walk(value);
  }
  function emptyOf(v, transfer) {
    if (Array.isArray(v)) return [];
    if (v instanceof Map) return new Map();
    if (v instanceof Set) return new Set();
    if (v instanceof Date) return new Date(v);
    if (v instanceof ArrayBuffer) return transfer.includes(v) && v.transfer ? v.transfer() : v.slice(0);
    if (ArrayBuffer.isView(v)) return v.slice();
    return {};
  }

  const due = new Map();
  let clock = 0;
  host.timer = (id, ms) => void due.set(id, { at: clock + ms, order: ++host.order });
  host.order = 0;
  host.timerClear = (id) => void due.delete(id);
  globalThis.__host = host;

  const jobs = () => new Promise((resolve) => {
    let left = 20;
    const next = () => (left-- === 0 ? resolve() : Promise.resolve().then(next));
    next();
  });
  globalThis.__world = {
    lines,
    onTimer: undefined,
    jobs,
    async advance(ms) {
      const end = clock + ms;
      for (;;) {
        await jobs();
        const next = [...due].filter(([, t]) => t.at <= end).sort((a, b) => a[1].at - b[1].at || a[1].order - b[1].order)[0];
        if (next === undefined) break;
        due.delete(next[0]);
        clock = next[1].at;
        this.onTimer(next[0]);
      }
      clock = end;
      await jobs();
    },
    pending: () => due.size,
  };
})();
