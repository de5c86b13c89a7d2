// Random programs for the heap images' test: event "new SEED" starts one, "go" makes a few random steps of it. Every step uses what
// earlier ones left in the heap; what it sees goes to put(). A program's transcript depends on its seed only.
globalThis.result = (o) => { globalThis.lastOut = o; };

let random, w;

function generator(seed) {
  let a = seed >>> 0;
  return (n) => {
    a = (a + 0x6d2b79f5) >>> 0;
    let t = Math.imul(a ^ (a >>> 15), a | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) % n;
  };
}

const short = (text) => {
  let h = 0;
  for (let i = 0; i < text.length; i++) h = (Math.imul(h, 31) + text.charCodeAt(i)) | 0;
  return text.length < 24 ? text : `${text.length}#${h}`;
};

class Account {
  #secret = 7;
  static made = 0;
  constructor(owner) { this.owner = owner; this.notes = []; Account.made++; }
  get worth() { return this.#secret * this.notes.length; }
  earn(n) { this.#secret += n; this.notes.push(n); return this; }
}
class Savings extends Account {
  earn(n) { return super.earn(n * 2); }
  get [Symbol.toStringTag]() { return "Savings" + this.worth; }
}

function* count(from) { let step = 1; while (from < 1e6) step = (yield (from += step)) ?? step; }
async function* stream(id) { for (let i = 0; i < 50; i++) { await gate("s" + id); yield id + ":" + i; } }

// A promise that a later step settles: the await in between lies across as many sleeps as there are.
function gate(label) {
  return new Promise((resolve, reject) => w.gates.push({ label, resolve, reject }));
}

async function conversation(id) {
  const log = [];
  try {
    for (let i = 0; i < 4; i++) {
      const answer = await als.run({ id, i }, () => gate("c" + id));
      log.push(answer);
      put(`conv${id}/${i}=${short(String(answer))}`);
    }
  } catch (e) {
    put(`conv${id}!${e.message}`);
  } finally {
    put(`conv${id}.${log.length}`);
  }
  return log.length;
}

const pick = (list) => list[random(list.length)];
const text = () => String.fromCharCode(97 + random(26), 97 + random(26), random(9) === 0 ? 0x263a : 48 + random(10));

const steps = [
  () => { const k = text(); w.map.set(k, { n: random(1000), back: w.map }); return w.map.size; },
  () => { const keys = [...w.map.keys()]; return keys.length > 0 ? short(keys.join()) + w.map.delete(pick(keys)) : "-"; },
  () => { w.set.add(random(50)); return [...w.set].slice(-3).join(); },
  () => { const n = random(90); w.closures.push(() => (w.total += n)); return w.closures.length; },
  () => (w.closures.length > 0 ? pick(w.closures)() : "-"),
  () => { w.accounts.push(new (pick([Account, Savings]))(text())); return Account.made; },
  () => (w.accounts.length > 0 ? pick(w.accounts).earn(random(9)).worth + String(pick(w.accounts)) : "-"),
  () => { w.generators.push(count(random(100))); return w.generators.length; },
  () => { const g = pick(w.generators); return g ? JSON.stringify(g.next(random(3) === 0 ? random(10) : undefined)) : "-"; },
  () => { const s = w.streams.push(stream(w.streams.length)) - 1; w.streams[s].next().then((r) => put("st" + r.value)); return s; },
  () => { const s = pick(w.streams); s?.next().then((r) => put("st" + r.value)); return s ? 1 : 0; },
  () => { w.big += text().repeat(1 + random(400)); return short(w.big); },
  () => { w.big = w.big.slice(random(w.big.length + 1)); return w.big.length; },
  () => { const a = new (pick([Uint8Array, Float64Array, Int32Array, BigInt64Array]))(1 + random(3000)); w.arrays.push(a); return a.byteLength; },
  () => { const a = pick(w.arrays); if (!a) return "-"; const i = random(a.length); a[i] = typeof a[0] === "bigint" ? BigInt(random(1e9)) : random(1e9); return `${i}=${a[i]}`; },
  () => { const a = w.arrays.splice(random(w.arrays.length + 1), 1)[0]; return a ? a.reduce((x, y) => x + y).toString() : "-"; },
  () => { const r = (w.regex ??= /([a-z])(?<digit>\d)/g); const m = r.exec(w.big); return m ? m.index + m.groups.digit + r.lastIndex : "none"; },
  () => { w.date ??= new Date(86400000); w.date.setUTCDate(w.date.getUTCDate() + random(40)); return w.date.toISOString(); },
  () => { const o = pick(w.accounts); if (!o) return "-"; w.refs.push(new WeakRef(o)); w.weak.set(o, text()); return short(w.weak.get(o)) + w.refs.filter((r) => r.deref()).length; },
  () => { w.conversations++; conversation(w.conversations); return w.conversations; },
  () => { const g = w.gates.splice(random(w.gates.length + 1), 1)[0]; g?.resolve(text() + (als.get()?.i ?? "")); return g ? g.label : "-"; },
  () => { const g = w.gates.shift(); g?.reject(new Error("no " + text())); return g ? g.label : "-"; },
  () => { Promise.all([gate("a"), gate("b")]).then((r) => put("all" + r), (e) => put("all!" + e.message)); return w.gates.length; },
  () => { w.deep = { was: w.deep, n: random(100), list: [w.deep?.n, , 3] }; if (random(12) === 0) w.deep = null; return short(JSON.stringify(w.deep)); },
  () => { const f = new Function("a", "b", `return (a ${pick(["+", "*", "-", "^"])} ${random(99)}) ${pick(["+", "|", "&"])} b;`); w.functions.push(f); return pick(w.functions)(random(99), random(99)); },
  () => { w.number = w.number * 3n ** BigInt(random(9)) + BigInt(random(99)); if (w.number > 10n ** 200n) w.number %= 10n ** 40n; return short(String(w.number)); },
  () => { const p = new Proxy({}, { get: (t, k) => (t[k] ??= random(9)), has: (t, k) => k.length > 1 }); w.proxies.push(p); return `${pick(w.proxies)[text()]}${"ab" in p}`; },
  () => { const k = Symbol(text()); w.symbols.push(k); w.bag[k] = random(9); w.bag["k" + random(30)] = w.bag; delete w.bag["k" + random(30)]; return Reflect.ownKeys(w.bag).length; },
  () => { Object.defineProperty(w.bag, "g" + random(9), { configurable: true, get: () => w.total }); return short(Object.keys(w.bag).join()); },
  () => { const it = (w.iterator ??= w.map.entries()); const r = it.next(); if (r.done) w.iterator = undefined; return r.done ? "end" : r.value[0] + r.value[1].n; },
  () => { for (let i = 0; i < 3000; i++) { const o = { i, t: "t" + i }; o.self = o; } return "garbage"; },
  () => { w.burst = new Array(random(40)).fill(0).map((_, i) => "x".repeat(1000 + i)); return w.burst.length; },
  () => { Array.prototype["extra" + random(5)] = w.total; String.prototype.shout ??= function () { return this + "!" + w.total; }; return text().shout(); },
  () => { Account.prototype["m" + random(6)] = () => w.total; return Object.getOwnPropertyNames(Account.prototype).length; },
  () => { try { null.f(); } catch (e) { w.errors.push(e); } return w.errors.length + w.errors[0].message; },
  () => { queueMicrotask(() => put("m" + w.total++)); return "micro"; },
  () => { w.view ??= new DataView(new ArrayBuffer(64)); w.view.setFloat32(random(60), random(1000) / 7); return short([...new Uint8Array(w.view.buffer)].join()); },
  () => { Promise.reject(new Error("r" + random(9))); return "rejects"; },
  () => { w.sorted = [...w.sorted, random(1000)].sort((a, b) => a - b).slice(-20); return w.sorted.join(); },
];

export default (event, command) => {
  const [verb, seed] = command.split(" ");
  if (verb === "new") {
    random = generator(Number(seed));
    w = { map: new Map(), set: new Set(), closures: [], accounts: [], generators: [], streams: [], big: "", arrays: [], refs: [], weak: new WeakMap(),
      gates: [], functions: [], proxies: [], symbols: [], bag: {}, errors: [], sorted: [], conversations: 0, total: 0, number: 1n };
    return;
  }
  for (let i = 0; i < 4; i++) {
    const n = random(steps.length);
    put(n + ":" + steps[n]());
  }
};
