// The app of the sleep property test: what a program is made of. /go?s=SEED&n=COUNT runs COUNT fragments (fragments.js's) chosen by SEED; all
// that they see goes to the transcript, and all that they leave behind is what later ones, timers, answers and sockets go on with.
//
// Writes to the database leave a trail: a numbered row per operation, in the operation's own commit. So the whole database can be told
// from its trail (verify()), and how far it got from one number, which every answer carries.
import { DurableObject, RpcTarget } from "cloudflare:workers";
import { als, bytesOf, chance, fragments, hash, pause, short, themes, told } from "./lib.js";
import "./heap.js";
import "./outside.js";
import "./storage.js";
import "./state.js";

export { Part } from "./state.js";

// The test builds the app once more with each number.
const EDITION = 0;

export class Prog extends DurableObject {
  #turns = 0;
  lines = [];
  k = 0;                               // how long the trail is
  h = 7;
  isBusy = false;                      // an asynchronous transaction is open: what others write would be a part of it
  w = fresh();

  constructor(ctx, env) {
    super(ctx, env);
    this.makeTables();
    for (const { n, h } of ctx.storage.sql.exec("SELECT n, h FROM trail ORDER BY n DESC LIMIT 1")) [this.k, this.h] = [n, h];
    this.mark();
    ctx.blockConcurrencyWhile(async () => { this.greeting = (await ctx.storage.get("t:greeting")) ?? "none"; });
    this.put(`born ${this.k} ${this.ctx.getWebSockets().length} edition ${EDITION}`);
  }

  makeTables() {
    const { sql } = this.ctx.storage;
    sql.exec("CREATE TABLE IF NOT EXISTS trail (n INTEGER PRIMARY KEY, g INTEGER, size INTEGER, op TEXT, h INTEGER)");
    sql.exec("CREATE TABLE IF NOT EXISTS rows (id INTEGER PRIMARY KEY, text TEXT)");
  }

  // Told at once, whether or not it is ever committed: the test knows each state that the database may be in.
  mark() { console.debug(`mark ${this.k} ${this.h}`); }

  put(text) {
    const store = als.getStore();
    this.lines.push(`${short(String(text))}${store === undefined ? "" : ` @${store}`}`);
    if (this.lines.length > 400) this.lines.splice(0, 200);
  }

  // What there is to say since the last answer.
  report() { return `k=${this.k},${this.h};${this.#turns++} ${EDITION};${this.read()}${this.lines.splice(0).join("\n")}`; }

  // The next row of the cursor that is kept, or what can still be told of it and of one that ended.
  read() {
    if (this.w.cursor === undefined) return "";
    const { done, value } = this.w.cursor.next();
    if (!done) return `${Object.entries(value)};`;
    const { cursor, ended } = this.w;
    this.w.cursor = undefined;
    return `${cursor.columnNames} ${cursor.rowsRead} ${ended.columnNames} ${ended.rowsRead} ${ended.rowsWritten};`;
  }

  run(seed, count) {
    const r = chance(seed);
    if (this.theme !== undefined) this.ctx.storage.getCurrentBookmark().then((b) => this.w.bookmarks.push(b), () => {});
    for (let i = 0; i < count; i++) {
      const list = this.theme !== undefined && r(2) === 0 ? this.theme : fragments;
      const [name, fragment] = list[r(list.length)], own = chance(r(1 << 30));
      const call = () => this.start(name, fragment, own);
      if (r(4) === 0) als.run(name + i, call);
      else call();
    }
  }

  start(name, fragment, r) {
    let value;
    try {
      value = fragment(this, r);
    } catch (e) {
      value = `threw ${told(e)}`;
    }
    if (typeof value?.then !== "function") return this.put(`[${name}] ${value}`);
    this.put(`[${name}] …`);
    value.then((v) => this.put(`{${name}} ${v}`), (e) => this.put(`{${name}} threw ${told(e)}`));
  }

  // A promise that a later fragment settles: the await in between lies across as many sleeps as there are.
  gate(label) { return new Promise((resolve, reject) => this.w.gates.push({ label, resolve, reject })); }

  // ---- the database

  apply(op) {
    const { storage } = this.ctx;
    switch (op[0]) {
      case "put": return void storage.put("t:" + op[1], op[2]);
      case "kv": return storage.kv.put("t:" + op[1], op[2]);
      case "del": return storage.kv.delete("t:" + op[1]);
      case "row": return storage.sql.exec("INSERT OR REPLACE INTO rows VALUES (?, ?)", op[1], op[2]);
      case "drop": return storage.sql.exec("DELETE FROM rows WHERE id = ?", op[1]);
      case "add": return storage.sql.exec("UPDATE rows SET text = substr(text || ?, -90) WHERE id % 4 = ?", op[2], op[1]);
    }
  }

  trail(...ops) {
    if (this.isBusy) return "busy";
    const first = this.k + 1;
    for (const op of ops) {
      const text = JSON.stringify(op);
      this.h = hash(text, this.h);
      this.ctx.storage.sql.exec("INSERT INTO trail VALUES (?, ?, ?, ?, ?)", ++this.k, first, ops.length, text, this.h);
      this.apply(op);
    }
    this.mark();
    return this.k;
  }

  // The trail begins anew, with what the last one was.
  wipe() {
    const was = this.h;
    this.w.cursor = undefined;
    this.ctx.storage.deleteAll()?.catch?.((e) => this.put(`wipe ${told(e)}`));
    [this.k, this.h] = [0, 7];
    this.mark();
    this.makeTables();
    if (this.leaves) this.ctx.storage.kv.put("t:left", was);
    return this.trail(["kv", "wiped", was]);
  }

  partOptions = () => ({ class: this.ctx.exports.Part });
  part(r) { return this.ctx.facets.get("f" + r(2), this.partOptions); }

  // The database as its trail tells it; the heap has to agree. "" when all is well.
  verify() {
    const rows = new Map(), keys = new Map(), { sql, kv } = this.ctx.storage, trail = sql.exec("SELECT * FROM trail ORDER BY n").toArray();
    let h = 7;
    if (trail.length !== this.k) return `the heap knows ${this.k} operations, the trail ${trail.length}`;
    for (const [i, { n, g, size, op, h: noted }] of trail.entries()) {
      const [what, key, value] = JSON.parse(op);
      h = hash(op, h);
      if (n !== i + 1 || noted !== h || g + size <= n) return `row ${n} of the trail is wrong`;
      if (what === "put" || what === "kv") keys.set("t:" + key, value);
      else if (what === "del") keys.delete("t:" + key);
      else if (what === "row") rows.set(key, value);
      else if (what === "drop") rows.delete(key);
      else for (const [id, text] of rows) if (id % 4 === key) rows.set(id, (text + value).slice(-90));
    }
    const last = trail.at(-1);
    if (last && last.g + last.size - 1 !== last.n) return `half of a commit: ${JSON.stringify(last)}`;
    const order = (entries) => JSON.stringify([...entries].sort(([a], [b]) => (a < b ? -1 : 1)));
    const haveRows = order(sql.exec("SELECT id, text FROM rows").raw()), haveKeys = order(kv.list({ prefix: "t:" }));
    if (haveRows !== order(rows)) return `rows ${haveRows}, but the trail says ${order(rows)}`;
    if (haveKeys !== order(keys)) return `keys ${haveKeys}, but the trail says ${order(keys)}`;
    return "";
  }

  // What has gone to disk has the rows of its cursors in its heap, what has not would lose them with a heap that comes back.
  get mayRead() { return this.theme === undefined && !this.isAsked; }
  get mayGoBack() { return this.w.cursor === undefined && this.w.reading === 0; }

  // ---- what comes from outside

  async fetch(request) {
    const url = new URL(request.url), r = chance(Number(url.searchParams.get("s")) + 1);
    if (url.searchParams.has("near")) {
      this.theme = themes[url.searchParams.get("theme")];
      this.isAsked = url.searchParams.has("asked");    // for snapshots, by an administrator
    }
    this.leaves = request.headers.has("x-leave");
    this.peers = { near: url.searchParams.get("near")?.split(",") ?? [], far: url.searchParams.get("far")?.split(",") ?? [] };
    switch (url.pathname) {
      case "/go": {
        this.run(Number(url.searchParams.get("s")), Number(url.searchParams.get("n")));
        return this.answer(r);
      }
      case "/up": {
        const sizes = [];
        for await (const piece of request.body) { sizes.push(piece.length); this.put(`up ${piece.length} ${piece[0]}`); }
        return new Response(`${this.report()} up ${sizes}`);
      }
      case "/ws": return this.accept(r);
      case "/end": return new Response(`${this.report()};;${this.h};;${this.verify()}`);
      case "/peer": return new Response(`peer ${this.report()}`, { headers: { "x-of": String(this.k) } });
    }
    return new Response("what?", { status: 404 });
  }

  // At once, after a wait, or bit by bit.
  async answer(r) {
    switch (r(9)) {
      case 0: await pause(r(3000)); break;
      case 1: await Promise.race([this.gate("answer"), pause(5000)]); break;
      case 2: return new Response(this.ticking(r, 1 + r(5)));
      case 3: {
        const { readable, writable } = new TransformStream(), writer = writable.getWriter();
        const write = async () => {
          for (let i = 0; i < 3; i++) { await pause(r(900)); await writer.write(bytesOf(`t${i}${this.#turns} `)); }
          await writer.close();
        };
        write().catch((e) => this.put(`answer broke ${told(e)}`));
        return new Response(readable, { headers: { "x-kind": "transform" } });
      }
      case 4: if (r(3) === 0) throw new RangeError(`no answer ${this.report()}`); break;
      case 5: return Response.json({ said: this.report() });
      case 6: if (r(3) === 0) return new Response(this.pieces(this.report()));
        if (r(6) === 0) return new Response("large ".repeat(30000) + this.report());
    }
    return new Response(this.report());
  }

  ticking(r, count) {
    let left = count;
    return new ReadableStream({
      pull: async (c) => {
        if (left-- <= 0) return c.close();
        await pause(r(400));
        c.enqueue(bytesOf(left === 0 ? this.report() : `tick ${left} ${this.k}\n`));
      },
      cancel: (why) => this.put(`ticking cancelled ${told(why)}`),
    });
  }

  // Three bytes at a time, and more than one at a time is asked for.
  pieces(text) {
    const bytes = bytesOf(text).subarray(0, 60);
    let at = 0;
    return new ReadableStream({
      async pull(c) { if (at % 4 === 0) await null; if (at >= bytes.length) c.close(); else c.enqueue(bytes.slice(at, (at += 3))); },
    }, { highWaterMark: 4 });
  }

  accept(r) {
    const { 0: client, 1: server } = new WebSocketPair(), id = ++this.w.sockets;
    if (r(3) > 0) {
      this.ctx.acceptWebSocket(server, [`tag${id % 3}`, "all"]);
      server.serializeAttachment({ id, at: this.k });
      if (r(4) === 0) this.ctx.setWebSocketAutoResponse(new WebSocketRequestResponsePair("ping", "pong" + id));
      if (r(2) === 0) server.send(`welcome ${id}`);
    } else {
      server.accept();
      let heard = 0;
      server.addEventListener("message", ({ data }) => { heard++; this.put(`live${id} ${typeof data} ${heard}`); server.send(`live ${id} ${heard}`); });
      server.addEventListener("close", ({ code, wasClean }) => this.put(`live${id} closed ${code} ${wasClean} after ${heard}`));
      this.w.live.push(server);
    }
    this.w.last = server;
    return new Response(null, { status: 101, webSocket: client });
  }

  async webSocketMessage(ws, data) {
    const { id, seen = 0 } = ws.deserializeAttachment() ?? {}, text = typeof data === "string" ? data : `bytes ${new Uint8Array(data)}`;
    ws.serializeAttachment({ id, seen: seen + 1 });
    const r = chance(hash(text));
    if (r(3) === 0) this.trail(["kv", "ws", `${id} ${seen}`]);
    if (r(3) === 0) await pause(r(700));
    if (r(5) === 0) this.run(r(1 << 30), 2);
    ws.send(`${text} ${id} ${seen} ${ws === this.w.last} ${this.ctx.getTags(ws)} ${this.k}`);
  }

  webSocketClose(ws, code, reason, wasClean) {
    this.put(`closed ${ws.deserializeAttachment()?.id} ${code} ${reason} ${wasClean} left ${this.ctx.getWebSockets().length}`);
    ws.close(code === 1005 ? 1000 : code, "bye");
  }

  webSocketError(ws, e) { this.put(`socket error ${told(e)}`); }

  async alarm(info) {
    const n = ++this.w.alarms, r = chance(n);
    this.put(`alarm ${n} retry ${info?.retryCount} ${await this.ctx.storage.getAlarm()}`);
    if (r(3) === 0) await pause(r(1500));
    if (r(3) === 0) this.put(`alarm heard ${short(await (await fetch(`http://out/w/${n}`)).text())}`);
    this.trail(["kv", "alarm", n]);
    if (n % 5 === 3 && info?.retryCount < 2) throw new Error(`alarm ${n} failed`);
    if (n < 4 && r(2) === 0) await this.ctx.storage.setAlarm(Date.now() + 1 + r(9000));
  }

  // ---- what agents ask each other

  async ask(what, n) {
    this.put(`asked ${what} ${n}`);
    if (n % 3 === 0) await pause(n * 7);
    if (n % 4 === 1) this.trail(["kv", "asked", what]);
    if (n % 7 === 5) throw new TypeError(`ask ${n}`);
    return { what, n, k: this.k, map: new Map([[what, new Date(n)]]) };
  }

  counter(from) { return new Counter(this, from); }

  async callBack(f, n) {
    const heard = [];
    for (let i = 0; i < n; i++) { heard.push(await f(i)); if (i === 1) await pause(50); }
    return heard.join();
  }
}

class Counter extends RpcTarget {
  #p; #n;
  constructor(p, n) { super(); this.#p = p; this.#n = n; }
  more(by) { this.#p.put(`counter ${this.#n} ${by}`); return (this.#n += by); }
  async slow(by) { await pause(by); return this.more(by); }
}

// What a heap remembers between fragments.
function fresh() {
  return {
    gates: [], map: new Map(), set: new Set(), weak: new WeakMap(), objects: [], refs: [], closures: [], total: 0, accounts: [], generators: [], streams: [],
    big: "", arrays: [], buffers: [], number: 1n, bag: {}, errors: [], sorted: [], symbols: [], proxies: [], dates: [], regexes: [], sockets: 0, live: [],
    clients: [], alarms: 0, intervals: 0, responses: [], readers: [], controllers: [], emitter: undefined, urls: [], counters: [], decoders: [],
    encoders: [], promises: [], kept: [], iterators: [], snapshots: [], templates: [], bookmarks: [], reading: 0,
  };
}

export default {
  async fetch(request, env) {
    const url = new URL(request.url), name = url.searchParams.get("of");
    return env.PROG.get(env.PROG.idFromName(name)).fetch(request);
  },
};
