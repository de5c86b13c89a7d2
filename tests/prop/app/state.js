// Fragments of programs whose data goes and comes back: everything deleted, bookmarks, snapshots; and objects inside the object.
import { DurableObject } from "cloudflare:workers";
import { add, bytesOf, pause, pick, short, told, word } from "./lib.js";

// Rarely: what goes back takes everything with it that was to be seen.
const rarely = (r) => r(3) > 0;

add({
  wipe: (p, r) => (rarely(r) || p.isBusy ? "-" : p.wipe()),
  bookmark: async (p) => { p.w.bookmarks.push(await p.ctx.storage.getCurrentBookmark()); return p.w.bookmarks.at(-1); },
  bookmarkOfTime: async (p, r) => { const b = await p.ctx.storage.getBookmarkForTime(Date.now() - r(3000)); p.w.bookmarks.push(b); return b; },
  goBack: async (p, r) => {
    const b = pick(r, p.w.bookmarks); if (!b || rarely(r) || p.isBusy) return "-";
    p.put(`undone by ${await p.ctx.storage.onNextSessionRestoreBookmark(b)}`); p.ctx.abort("goes back");
  },
  goBackLater: async (p, r) => {
    const b = pick(r, p.w.bookmarks); if (!b || rarely(r) || p.isBusy) return "-";
    const undo = await p.ctx.storage.onNextSessionRestoreBookmark(b); p.w.bookmarks.push(undo); await pause(r(900)); p.ctx.abort("goes back later");
  },
  snapshot: async (p, r) => `took ${await p.ctx.storage.snapshot({ name: r(2) ? "s" + r(3) : undefined, heap: r(4) > 0 && p.mayGoBack })}`,
  snapshotAndWait: async (p, r) => { const n = p.w.total++, id = await p.ctx.storage.snapshot({ heap: p.mayGoBack }); await pause(r(2000)); return `${id} ${p.w.total - n}`; },
  snapshotAndWrite: async (p, r) => { const a = p.trail(["kv", "snap", r(99)]), taken = p.ctx.storage.snapshot({ name: "w", heap: p.mayGoBack }), b = p.trail(["kv", "snap", r(99)]); return `${a} ${b} ${await taken} ${p.k}`; },
  snapshotList: async (p) => short((await p.ctx.storage.snapshots()).map((x) => `${x.id} ${x.name} ${+x.time} ${x.heap}`).join()),
  snapshotRestore: async (p, r) => { const x = pick(r, await p.ctx.storage.snapshots()); return x && !rarely(r) && !p.isBusy ? p.ctx.storage.restore(x.id) : "-"; },
  snapshotRestoreNamed: async (p, r) => (rarely(r) || p.isBusy ? "-" : p.ctx.storage.restore(pick(r, ["latest", "s0", "w"]))),
  snapshotForget: async (p, r) => { const x = pick(r, await p.ctx.storage.snapshots()); if (x) await p.ctx.storage.deleteSnapshot(x.id); return x?.id; },
  facet: async (p, r) => JSON.stringify(await p.part(r).earn(r(9))),
  facetWaits: async (p, r) => JSON.stringify(await p.part(r).slowly(r(9), r(800))),
  facetFetch: async (p, r) => { const x = await p.part(r).fetch(`http://part/${r(9)}`, { method: "POST", body: word(r) }); return `${x.status} ${short(await x.text())}`; },
  facetCallsBack: async (p, r) => short(JSON.stringify(await p.part(r).tell((x) => { p.put(`facet says ${short(JSON.stringify(x))}`); return p.w.total++; }, r(9)))),
  facetInner: async (p, r) => JSON.stringify(await p.part(r).inner(r(9))),
  facetTwo: async (p, r) => (await Promise.allSettled([p.part(r).slowly(1, r(90)), p.part(r).earn(2), p.ctx.facets.get("f0", p.partOptions).slowly(3, r(90))])).map((x) => (x.value ? JSON.stringify(x.value) : told(x.reason))).join(),
  facetAbort: (p, r) => { p.ctx.facets.abort("f" + r(2), new Error("facet, stop")); return "aborted"; },
  facetDelete: (p, r) => { if (r(2)) return "-"; p.ctx.facets.delete("f" + r(2)); return "deleted"; },
  fetchPieces: async (p, r) => { let n = 0, s = ""; const d = new TextDecoder(); for await (const piece of (await fetch(`http://out/p/${1 + r(9)}`)).body) { n++; s += d.decode(piece, { stream: true }); } return `${n} ${s}${d.decode()}`; },
  fetchPiecesSlowly: async (p, r) => { const reader = (await fetch(`http://out/p/${1 + r(9)}`)).body.getReader(); let n = 0; for (;;) { const { done, value } = await reader.read(); if (done) return n; n += value.length; if (n % 3 === 0) await pause(r(200)); } },
  fetchPiecesByob: async (p, r) => { const reader = (await fetch(`http://out/p/${2 + r(9)}`)).body.getReader({ mode: "byob" }), sizes = []; for (;;) { const { done, value } = await reader.read(new Uint8Array(3)); if (done) return sizes.join(); sizes.push(value.length); } },
  uploadPieces: async (p, r) => { let n = 3 + r(7); return (await fetch("http://out/e/1", { method: "PUT", body: new ReadableStream({ pull(c) { if (n-- === 0) c.close(); else c.enqueue(bytesOf("p")); } }), duplex: "half" })).text(); },
}, "state");

// What ctx.facets shows: a sum in memory, and its parts in a database of its own; they have to agree.
export class Part extends DurableObject {
  #sum = 0; #calls = 0;
  constructor(ctx, env) {
    super(ctx, env);
    ctx.storage.sql.exec("CREATE TABLE IF NOT EXISTS parts (n INTEGER)");
    this.#sum = this.stored();
  }
  stored() { return this.ctx.storage.sql.exec("SELECT total(n) AS s FROM parts").one().s; }
  earn(n) {
    this.#calls++;
    this.ctx.storage.sql.exec("INSERT INTO parts VALUES (?)", n);
    this.#sum += n;
    if (this.#sum !== this.stored()) throw new Error(`the facet knows ${this.#sum}, its database ${this.stored()}`);
    return { sum: this.#sum, calls: this.#calls };
  }
  async slowly(n, ms) { const before = this.#sum; await pause(ms); return { ...this.earn(n), before }; }
  async tell(f, n) { const heard = []; for (let i = 0; i < 3; i++) { heard.push(await f({ i, ...this.earn(n) })); await pause(20 * i); } return heard; }
  async inner(n) { return this.ctx.facets.get("inner", () => ({ class: this.ctx.exports.Part })).earn(n); }
  async fetch(request) { const text = await request.text(); await pause(text.length * 10); return Response.json({ text, ...this.earn(1) }); }
}
