// Fragments of programs that need nothing but their heap: what the language and the runtime library's objects remember.
import { EventEmitter } from "node:events";
import { Buffer } from "node:buffer";
import { add, als, bytesOf, hash, pause, pick, short, told, word } from "./lib.js";

class Account {
  #secret = 7;
  static made = 0;
  static #all = new Set();
  constructor(owner) { this.owner = owner; this.notes = []; Account.made++; Account.#all.add(this); if (Account.#all.size > 9) Account.#all.clear(); }
  get worth() { return this.#secret * this.notes.length; }
  set worth(n) { this.#secret = n; }
  earn(n) { this.#secret += n; this.notes.push(n); return this; }
  static get count() { return Account.#all.size; }
  static is(o) { return #secret in o; }
}
class Savings extends Account {
  earn(n) { return super.earn(n * 2); }
  get [Symbol.toStringTag]() { return "Savings" + this.worth; }
}
class List extends Array {
  sum() { return this.reduce((a, b) => a + b, 0); }
}

function* count(from) { let step = 1; try { while (from < 1e6) step = (yield (from += step)) ?? step; } finally { step = -1; } }
function* nested(a, b) { const x = yield* count(a); return [x, yield* [b, b + 1]]; }
async function* stream(p, id) {
  try {
    for (let i = 0; i < 50; i++) { if (i % 2) await p.gate("s" + id); else await pause(i * 10); yield id + ":" + i; }
  } finally { p.put(`stream${id} over`); }
}
function* tree(n) { if (n > 0) { yield* tree(n - 1); yield n; yield* tree(n - 1); } }
const tag = (strings, ...values) => ({ strings, text: String.raw(strings, ...values) });
const template = (x) => tag`a${x}b\n${x + 1}`;

add({
  mapSet: ({ w }, r) => { const k = word(r); w.map.set(k, { n: r(1000), back: w.map }); return w.map.size; },
  mapDelete: ({ w }, r) => { const keys = [...w.map.keys()]; return keys.length > 0 ? short(keys.join()) + w.map.delete(pick(r, keys)) : "-"; },
  mapOfObjects({ w }, r) {
    const o = { id: w.objects.length }; w.objects.push(o); w.byObject ??= new Map(); w.byObject.set(o, r(99)); w.byObject.set(NaN, r(9)).set(-0, r(9)); const some = pick(r, w.objects);
    return `${w.byObject.get(some)} ${w.byObject.get(NaN)} ${w.byObject.get(0)} ${w.byObject.size}`;
  },
  setAdd: ({ w }, r) => { w.set.add(r(50)); return [...w.set].slice(-3).join(); },
  setOperations: ({ w }, r) => { const other = new Set([r(50), r(50), r(50)]); return [...w.set].filter((x) => other.has(x)).join() + w.set.delete(r(50)); },
  iterateWhileChanging({ w }, r) {
    w.walk ??= w.map.entries(); const next = w.walk.next(); if (next.done) w.walk = undefined; if (r(3) === 0) w.map.delete(next.value?.[0]);
    return next.done ? "end" : next.value[0] + next.value[1].n;
  },
  weakMap({ w }, r) { const o = w.accounts[r(w.accounts.length + 1)]; if (!o) return "-"; const was = w.weak.get(o); w.weak.set(o, word(r)); return `${was} ${w.weak.get(o).length}`; },
  weakRef({ w }, r) {
    let o = { n: r(100) }; w.refs.push(new WeakRef(o)); if (r(2) === 0) w.objects.push(o); if (r(6) === 0) w.objects.splice(0, 2); o = null;
    return w.refs.map((x) => x.deref()?.n ?? "gone").slice(-6).join();
  },
  finalization(p, r) {
    p.w.registry ??= new FinalizationRegistry((held) => p.put(`finalized ${held}`)); const o = { r: r(9) }; p.w.registry.register(o, `f${p.w.total++}`, o);
    if (r(2) === 0) p.w.objects.push(o); if (r(4) === 0) p.w.registry.unregister(o); return p.w.objects.length;
  },
  weakSet: ({ w }, r) => { w.weakSet ??= new WeakSet(); const o = pick(r, w.objects) ?? w; const had = w.weakSet.has(o); w.weakSet.add(o); return had; },
  cycles: () => { for (let i = 0; i < 500; i++) { const o = { i, t: "t" + i }; o.self = { o }; } return "garbage"; },
  closure: ({ w }, r) => { const n = r(90); let calls = 0; w.closures.push(() => `${(w.total += n)} ${++calls}`); return w.closures.length; },
  callClosure: ({ w }, r) => (w.closures.length > 0 ? pick(r, w.closures)() : "-"),
  sharedVariable: ({ w }, r) => { let n = r(9); w.shared ??= [() => n++, () => n--, () => n]; return w.shared.map((f) => f()).join(); },
  account: ({ w }, r) => { w.accounts.push(new (pick(r, [Account, Savings]))(word(r))); return `${Account.made} ${Account.count}`; },
  earn: ({ w }, r) => (w.accounts.length > 0 ? pick(r, w.accounts).earn(r(9)).worth + String(pick(r, w.accounts)) + Account.is(w) : "-"),
  setter: ({ w }, r) => { const a = pick(r, w.accounts); if (!a) return "-"; a.worth = r(100); return a.worth; },
  prototype: ({ w }, r) => { Account.prototype["m" + r(6)] = () => w.total; return Object.getOwnPropertyNames(Account.prototype).length; },
  changedBuiltin: ({ w }, r) => { w.shout ??= (String.prototype.shout = function () { return this + "!" + w.total; }); return word(r).shout(); },
  subclassedArray: ({ w }, r) => { w.list ??= new List(); w.list.push(r(9)); return w.list.map((x) => x * 2).sum() + w.list.constructor.name; },
  generator: ({ w }, r) => { w.generators.push(r(2) ? count(r(100)) : nested(r(100), r(9))); return w.generators.length; },
  generatorNext: ({ w }, r) => { const g = pick(r, w.generators); return g ? JSON.stringify(g.next(r(3) === 0 ? r(10) : undefined)) : "-"; },
  generatorEnd({ w }, r) {
    const g = w.generators.splice(r(w.generators.length + 1), 1)[0]; if (!g) return "-";
    try { return JSON.stringify(r(2) ? g.return(r(9)) : g.throw(new Error("stop"))); } catch (e) { return told(e); }
  },
  generatorTree: ({ w }) => { w.tree = w.tree && !w.tree.done ? w.tree : { it: tree(5), done: false }; const n = w.tree.it.next(); w.tree.done = n.done; return n.value ?? "end"; },
  streamNew: (p) => { p.w.streams.push(stream(p, p.w.streams.length)); return p.w.streams.at(-1).next().then((x) => x.value); },
  streamNext: async (p, r) => JSON.stringify(await pick(r, p.w.streams)?.next()),
  streamReturn: async ({ w }, r) => JSON.stringify(await w.streams.splice(r(w.streams.length + 1), 1)[0]?.return("early")),
  streamLoop: async (p, r) => { let seen = ""; for await (const x of stream(p, "loop")) { seen += x; if (seen.length > 20 + r(30)) break; } return seen; },
  bigString: ({ w }, r) => { w.big += word(r).repeat(1 + r(200)); if (w.big.length > 3000) w.big = ""; return short(w.big); },
  cutString: ({ w }, r) => { w.big = w.big.slice(r(w.big.length + 1)); return w.big.length; },
  hugeString: ({ w }, r) => { const s = word(r).repeat(r(30) ? 900 : 30000 + r(9000)); w.kept = [s.slice(5), [...s.slice(0, 9)].reverse().join("")]; return short(w.kept[0]) + w.kept[1]; },
  rope: ({ w }, r) => { let s = w.rope ?? ""; for (let i = 0; i < 60; i++) s = r(2) ? s + word(r) : word(r) + s; w.rope = s.slice(-3000); return short(s); },
  surrogates: ({ w }, r) => { w.pairs = (w.pairs ?? "") + String.fromCodePoint(0x1f600 + r(60)); return `${w.pairs.length} ${w.pairs.codePointAt(w.pairs.length - 2)} ${encodeURIComponent(w.pairs.slice(-2))} ${w.pairs.at(-1).isWellFormed?.()}`; },
  typedArray: ({ w }, r) => { w.arrays.push(new (pick(r, [Uint8Array, Float64Array, Int32Array, BigInt64Array, Uint8ClampedArray]))(1 + r(r(40) ? 200 : 9000))); return w.arrays.length; },
  typedWrite: ({ w }, r) => { const a = pick(r, w.arrays); if (!a) return "-"; const i = r(a.length); a[i] = typeof a[0] === "bigint" ? BigInt(r(1e9)) : r(1e9) / 3; return `${i}=${a[i]}`; },
  typedSum: ({ w }, r) => { const a = w.arrays.splice(r(w.arrays.length + 1), 1)[0]; return a ? a.subarray(0, 300).reduce((x, y) => x + y).toString() : "-"; },
  sharedBuffer: ({ w }, r) => { w.buffer ??= new ArrayBuffer(256); w.views ??= [new Uint8Array(w.buffer, 3, 60), new DataView(w.buffer), new Float32Array(w.buffer, 64)]; w.views[1].setFloat32(r(60), r(1000) / 7); w.views[2][r(40)] = r(99); return hash(w.views[0].join()); },
  subarray: ({ w }, r) => { const a = (w.sub ??= new Uint16Array(500)); a.subarray(r(400)).fill(r(70), 3, 30); a.copyWithin(r(90), 200); return hash(a.join()); },
  transfer: ({ w }, r) => { const b = (w.moving ?? new ArrayBuffer(64)); new Uint8Array(b)[r(64)] = r(256); w.moving = structuredClone(b, { transfer: [b] }); return `${b.byteLength} ${hash(new Uint8Array(w.moving).join())}`; },
  cloned: ({ w }, r) => { w.clone = structuredClone({ was: w.clone?.n, n: r(99), m: new Map([[1, new Set([r(5)])]]), d: new Date(r(1e9)), e: new RangeError("x"), b: 5n, re: /x/gi, z: [, 1] }); return short(JSON.stringify(w.clone, (k, v) => (typeof v === "bigint" ? "n" : v))); },
  bigint: ({ w }, r) => { w.number = w.number * 3n ** BigInt(r(9)) + BigInt(r(99)); if (w.number > 10n ** 200n) w.number %= 10n ** 40n; return short(`${w.number} ${BigInt.asIntN(64, w.number)}`); },
  regexGlobal: ({ w }) => { const re = (w.regex ??= /([a-z])(?<digit>\d)/g), m = re.exec(w.big); return m ? m.index + m.groups.digit + re.lastIndex : "none"; },
  regexSticky: ({ w }, r) => { const re = (w.sticky ??= /[a-z]{2}./y); const ok = re.test(w.big); if (r(5) === 0) re.lastIndex = r(50); return `${ok} ${re.lastIndex}`; },
  regexUnicode: ({ w }, r) => { w.regexes.push(new RegExp(`${word(r).slice(0, 1)}+(?=.)`, pick(r, ["g", "gu", "gi", "d"]))); return w.regexes.map((x) => x.exec(w.big)?.index + ":" + x.lastIndex).slice(-5).join(); },
  matchAll: ({ w }) => { w.matches ??= w.big.matchAll(/[aeiou]/g); const n = w.matches.next(); if (n.done) w.matches = undefined; return n.done ? "end" : n.value.index; },
  replaced: ({ w }) => short(w.big.slice(0, 300).replace(/\d/g, (d, at) => String(w.total + at + Number(d)))),
  date: ({ w }, r) => { w.date ??= new Date(86400000); w.date.setUTCDate(w.date.getUTCDate() + r(40)); return w.date.toISOString() + w.date.getDay(); },
  dates: ({ w }, r) => { w.dates.push(new Date()); return `${w.dates.at(-1) - w.dates[0]} ${w.dates[r(w.dates.length)].toJSON()}`; },
  now: ({ w }) => { const was = w.now ?? Date.now(); w.now = Date.now(); return `${w.now - was} ${Math.floor(performance.now())}`; },
  random: ({ w }) => { w.luck = [...(w.luck ?? []), Math.random()].slice(-4); return w.luck.map((x) => x.toFixed(6)).join(); },
  uuid: ({ w }) => { w.uuids = [...(w.uuids ?? []), crypto.randomUUID()].slice(-3); return w.uuids.join(); },
  randomValues: () => hash(crypto.getRandomValues(new Uint8Array(20)).join()),
  digest: async ({ w }) => hash(new Uint8Array(await crypto.subtle.digest("SHA-256", bytesOf(w.big.slice(0, 500)))).join()),
  hmac: async ({ w }, r) => { w.key ??= await crypto.subtle.importKey("raw", bytesOf("secret"), { name: "HMAC", hash: "SHA-256" }, false, ["sign", "verify"]); return hash(new Uint8Array(await crypto.subtle.sign("HMAC", w.key, bytesOf(word(r)))).join()); },
  error: ({ w }) => { try { null.f(); } catch (e) { w.errors.push(new Error("outer", { cause: e })); } return w.errors.length + w.errors[0].cause.message + w.errors[0].stack.split("\n").length; },
  aggregate: async ({ w }) => { const e = await Promise.any(w.errors.slice(0, 3).map((x) => Promise.reject(x))).catch((x) => x); return `${e.name} ${e.errors?.length} ${e.errors?.[0] === w.errors[0]}`; },
  recursion: () => { const f = (n) => f(n + 1) + 1; try { f(0); } catch (e) { return told(e); } },
  json: ({ w }, r) => { w.deep = { was: w.deep, n: r(100), list: [w.deep?.n, null, 3] }; if (r(12) === 0) w.deep = null; return short(JSON.stringify(w.deep)); },
  revived: ({ w }) => short(JSON.stringify(JSON.parse('{"a":[1,{"b":2}],"c":"x"}', function (k, v) { return typeof v === "number" ? v + w.total % 10 : v; }))),
  proxy: ({ w }, r) => { w.proxies.push(new Proxy({}, { get: (t, k) => (t[k] ??= r(9)), has: (t, k) => k.length > 1, ownKeys: (t) => [...Reflect.ownKeys(t), "more"] })); return `${pick(r, w.proxies)[word(r)]}${"ab" in w.proxies[0]}${Reflect.ownKeys(w.proxies[0])}`; },
  revoked: ({ w }) => { w.revocable ??= Proxy.revocable({ n: 1 }, {}); try { w.revocable.proxy.n++; if (w.revocable.proxy.n > 2) w.revocable.revoke(); return "ok"; } catch (e) { return told(e); } },
  symbol: ({ w }, r) => { const k = Symbol(word(r)); w.symbols.push(k); w.bag[k] = r(9); w.bag["k" + r(30)] = 1; delete w.bag["k" + r(30)]; return `${Reflect.ownKeys(w.bag).length} ${Symbol.for("a" + r(2)) === Symbol.for("a1")} ${w.symbols[0].description}`; },
  getter: ({ w }, r) => { Object.defineProperty(w.bag, "g" + r(9), { configurable: true, enumerable: r(2) === 0, get: () => w.total }); return short(Object.keys(w.bag).join()); },
  frozen: ({ w }, r) => { w.ice ??= Object.freeze({ a: [1] }); try { w.ice.a.push(r(5)); w.ice.b = 1; } catch (e) { return told(e) + w.ice.a.length; } return "?"; },
  sorted: ({ w }, r) => { w.sorted = [...w.sorted, r(1000)].sort((a, b) => a - b).slice(-20); return `${w.sorted.join()} ${w.sorted.findLast((x) => x % 2)}`; },
  holes: ({ w }, r) => { w.holes ??= []; w.holes[r(300)] = r(9); return `${w.holes.length} ${Object.keys(w.holes).length} ${w.holes.flat().length}`; },
  grouped: ({ w }) => JSON.stringify(Object.groupBy(w.sorted, (x) => "m" + (x % 3))),
  taggedTemplate: ({ w }, r) => { const t = template(r(9)); w.templates.push(t.strings); return `${t.text} ${w.templates[0] === t.strings}`; },
  functionNew: ({ w }, r) => { try { w.made = new Function("a", `return a + ${r(99)}`); return w.made(1); } catch (e) { return told(e); } },
  labelled: ({ w }, r) => { let n = 0; outer: for (const a of w.sorted) { for (const b of w.sorted) { n += a * b; if (n % 7 === r(7)) continue outer; } } return n; },
  emitter: (p, r) => { if (!p.w.emitter) { p.w.emitter = new EventEmitter(); p.w.emitter.on("x", (n) => p.put(`emitted ${n} ${++p.w.total}`)); } if (r(3) === 0) p.w.emitter.once("x", () => p.put("once")); p.w.emitter.emit("x", r(9)); return p.w.emitter.listenerCount("x"); },
  nodeBuffer: ({ w }, r) => { w.nodeBuffer = Buffer.concat([w.nodeBuffer ?? Buffer.from("start"), Buffer.from(word(r))]).subarray(-60); return w.nodeBuffer.toString("base64"); },
  url: ({ w }, r) => { w.url ??= new URL("https://example.com/a?b=1#c"); w.params ??= w.url.searchParams; w.params.append(word(r), "é"); w.url.pathname += r(9); return short(w.url.href); },
  headers: ({ w }, r) => { w.headers ??= new Headers({ a: "1" }); w.headers.append("x-" + r(5), word(r).slice(0, 2)); return short([...w.headers].join(";")); },
  formData: ({ w }, r) => { w.form ??= new FormData(); w.form.append(word(r), new File([word(r)], "f.txt")); return [...w.form.keys()].length; },
  blob: async ({ w }, r) => { w.blob = new Blob([w.blob ?? "", word(r)], { type: "text/plain" }); return short(await w.blob.slice(-40).text()); },
  responseKept: ({ w }, r) => { w.responses.push(new Response(word(r).repeat(9), { status: 201, headers: { k: "v" } })); return w.responses.length; },
  responseRead: async ({ w }) => { const x = w.responses.shift(); return x ? `${x.status} ${await x.clone().text()} ${x.bodyUsed}` : "-"; },
  decoder: ({ w }, r) => { const d = (w.decoder ??= new TextDecoder()), b = bytesOf("é☺" + word(r)), at = r(b.length); const s = d.decode(b.subarray(0, at), { stream: true }) + "|" + d.decode(b.subarray(at), { stream: true }); return s + b.length; },
  compress: async ({ w }, r) => {
    if (!w.gzip) { const c = new CompressionStream("gzip"); w.gzip = { writer: c.writable.getWriter(), out: new Response(c.readable.pipeThrough(new DecompressionStream("gzip"))).text(), n: 0 }; }
    const z = w.gzip; if (z.n++ < 3) { z.writer.write(bytesOf(word(r).repeat(50))); return z.n; }
    w.gzip = undefined; z.writer.close(); return short(await z.out);
  },
  eventTarget: (p, r) => { if (!p.w.target) { p.w.target = new EventTarget(); p.w.target.addEventListener("e", (e) => p.put(`event ${e.detail} ${als.getStore()}`)); } p.w.target.dispatchEvent(new CustomEvent("e", { detail: r(9) })); return "sent"; },
  microtask: (p) => { queueMicrotask(() => p.put("micro" + p.w.total++)); return "queued"; },
  gate: async (p) => `passed ${await p.gate("g")}`,
  gates: async (p, r) => { const n = 1 + r(3); return (await Promise[pick(r, ["all", "allSettled", "race"])](Array.from({ length: n }, (_, i) => p.gate("all" + i))))?.length; },
  conversation: async (p, r) => {
    const log = [];
    try { for (let i = 0; i < 3; i++) log.push(await als.run("c" + i, () => p.gate("c" + i)), als.getStore()); } catch (e) { p.put(`conv ! ${e.message}`); } finally { p.put(`conv . ${log.length}`); }
    return log.join();
  },
  open: ({ w }, r) => { const g = w.gates.splice(r(w.gates.length + 1), 1)[0]; g?.resolve(word(r) + (als.getStore() ?? "")); return g ? g.label : "-"; },
  openAll: ({ w }) => { const all = w.gates.splice(0); for (const g of all) g.resolve("all"); return all.length; },
  refuse: ({ w }, r) => { const g = w.gates.shift(); g?.reject(new Error("no " + word(r))); return g ? g.label : "-"; },
  thenable: async (p, r) => { const n = r(9), v = await { then(ok) { p.put(`then called @${als.getStore()}`); p.gate("t").then((x) => ok(x + n)); } }; return v; },
  withResolvers: async ({ w }) => { const { promise, resolve } = Promise.withResolvers(); w.later?.("later"); w.later = resolve; return promise; },
  unhandled: (p, r) => { p.w.promises.push(Promise.reject(new Error("r" + r(9)))); return "rejects"; },
  handledLate: (p) => { const x = p.w.promises.shift(); x?.catch((e) => p.put(`late ${e.message}`)); return x ? "handled" : "-"; },
  alsNested: async (p) => als.run("outer", async () => { await pause(5); const inner = await als.run("inner", async () => { await p.gate("n"); return als.getStore(); }); return `${inner} ${als.getStore()}`; }),
  alsSnapshot: ({ w }, r) => { if (r(2)) w.snapshots.push(als.constructor.snapshot()); const s = pick(r, w.snapshots); return s ? s(() => String(als.getStore())) : "-"; },
  alsBind: ({ w }, r) => { if (r(2)) w.bound = als.constructor.bind(() => als.getStore() + "," + w.total++); return w.bound?.() ?? "-"; },
  alsExit: async () => `${als.exit(() => als.getStore())} ${await als.exit(async () => { await pause(1); return als.getStore(); })}`,
  asyncDisposal: async (p) => { const log = []; try { await p.gate("d"); log.push(1); throw new Error("d"); } catch (e) { log.push(e.message); await pause(3); } finally { await pause(2); log.push("f"); } return log.join(); },
});
