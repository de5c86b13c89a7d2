// Agents in the middle of a conversation, which can be snapshot, cloned, taken back: /t/NAME/OPERATION, /forgetful/NAME/OPERATION, /blank/NAME/OPERATION.
import { DurableObject } from "cloudflare:workers";

const VERSION = "one";

export class Twin extends DurableObject {
  notes = [];

  constructor(ctx, env) {
    super(ctx, env);
    ctx.storage.sql.exec("CREATE TABLE IF NOT EXISTS lines (n INTEGER PRIMARY KEY, text TEXT NOT NULL)");
    ctx.storage.kv.put("starts", (ctx.storage.kv.get("starts") ?? 0) + 1);
    this.id = ctx.id; // kept, as frameworks do
    this.talk = this.converse();
    this.talk.next();
  }

  // Knows by its place in the code what was said before; half of what it knows is in memory only.
  async* converse() {
    let before = "nothing";
    for (let turn = 1; ; turn++) {
      const text = yield { turn, before };
      this.ctx.storage.sql.exec("INSERT INTO lines (text) VALUES (?)", text);
      before = `${before}, ${text}`;
    }
  }

  lines() { return this.ctx.storage.sql.exec("SELECT text FROM lines ORDER BY n").toArray().map((row) => row.text); }

  digest() { return this.ctx.storage.sql.exec("SELECT rowid, length(b), hex(substr(b, 1, 6)), hex(substr(b, -6)) FROM filled ORDER BY rowid").raw().toArray().join(); }

  async say(text) {
    const { value } = await this.talk.next(text);
    return { ...value, lines: this.lines(), name: this.ctx.id.name, kept: this.id.name, id: this.ctx.id.toString(), starts: this.ctx.storage.kv.get("starts"), version: VERSION };
  }

  async fetch(request) {
    const url = new URL(request.url), v = url.searchParams.get("v"), { storage } = this.ctx;
    switch (url.pathname.split("/")[3]) {
      case "say": return Response.json(await this.say(v));
      case "lines": return Response.json(this.lines());
      case "notes": return Response.json(this.notes);
      case "random": return Response.json([Math.random(), crypto.randomUUID(), crypto.getRandomValues(new Uint32Array(2)).join()]);
      case "self": return Response.json(await this.env.TWIN.get(this.ctx.id).whoami());
      case "await": return this.attempt(async () => (await fetch(v)).text());
      case "read": return this.attempt(async () => {
        const pieces = [];
        for await (const piece of (await fetch(v)).body.pipeThrough(new TextDecoderStream())) { pieces.push(piece); this.notes.push(`piece ${piece}`); }
        return pieces.join("");
      });
      case "peer": return this.attempt(() => this.env.TWIN.getByName("peer").slow(v));
      case "section": return this.attempt(() => this.ctx.blockConcurrencyWhile(async () => (await fetch(v)).text()));
      case "until": this.ctx.waitUntil(fetch(v).then((r) => r.text()).catch((e) => this.notes.push(`until: ${e.message}`))); return Response.json("waits");
      case "timer": setTimeout(() => this.notes.push(`timer of ${this.ctx.id.name}`), Number(v)); return Response.json("armed");
      case "alarm": await storage.setAlarm(Date.now() + Number(v)); return Response.json("armed");
      case "due": return Response.json(await storage.getAlarm());
      case "fill": storage.sql.exec("CREATE TABLE IF NOT EXISTS filled (b BLOB)"); storage.sql.exec("INSERT INTO filled VALUES (randomblob(?))", Number(v)); return Response.json(storage.sql.databaseSize);
      case "touch": storage.sql.exec("UPDATE filled SET b = randomblob(length(b)) WHERE rowid = ?", Number(v)); return Response.json(this.digest());
      case "digest": return Response.json(this.digest());
      case "hold": this.stub = await this.env.TWIN.getByName("holder").give(); return Response.json(await this.stub.ask("first"));
      case "held": return this.attempt(async () => this.stub.ask("again"));
      case "ws": {
        const pair = new WebSocketPair();
        this.ctx.acceptWebSocket(pair[1]);
        return new Response(null, { status: 101, webSocket: pair[0] });
      }
      case "sockets": return Response.json(this.ctx.getWebSockets().length);
      case "live": {
        const pair = new WebSocketPair();
        pair[1].accept();
        pair[1].addEventListener("close", ({ code }) => this.notes.push(`closed ${code}`));
        pair[1].addEventListener("message", ({ data }) => pair[1].send(`live ${data}`));
        return new Response(null, { status: 101, webSocket: pair[0] });
      }
      default: return this.snapshots(url, v);
    }
  }

  async snapshots(url, v) {
    const { storage } = this.ctx;
    switch (url.pathname.split("/")[3]) {
      case "snapshot": return Response.json(await storage.snapshot({ heap: !url.searchParams.has("noheap"), name: v ?? undefined }));
      case "snapshots": return Response.json(await storage.snapshots());
      case "restore": return this.attempt(() => storage.restore(v), false);
      case "forget": return this.attempt(() => storage.deleteSnapshot(v));
      case "many": return Response.json(await Promise.allSettled(Array.from({ length: 10 }, () => storage.snapshot())));
      case "plans": return Response.json(await this.plans());
      case "inTransaction": return this.attempt(() => storage.transaction(() => storage.snapshot()));
      case "inTurn": { // what is written after the call, in the same turn, belongs to it
        const taken = storage.snapshot();
        storage.sql.exec("INSERT INTO lines (text) VALUES ('same turn')");
        return Response.json(await taken);
      }
    }
    return new Response("no such operation", { status: 404 });
  }

  // Tries plan after plan from the same point: memory and database of a failed one are gone, except for what the error tells.
  async plans() {
    this.notes.push("planning");
    try {
      this.point = await this.ctx.storage.snapshot();
    } catch (error) {
      this.notes.push(`${error.restored} ${error.snapshot.length}`);
      await this.say("plan B");
      return "nobody hears this";
    }
    await this.say("plan A");
    this.notes.push("plan A failed");
    await this.ctx.storage.restore(this.point);
  }

  // What comes of WORK, noted too: after a restore nobody is there to be answered.
  async attempt(work, isNoted = true) {
    let said;
    try {
      said = { done: (await work()) ?? null };
    } catch (error) {
      said = { failed: error.message, restored: error.restored };
      if (isNoted) this.notes.push(error.message);
    }
    return Response.json(said);
  }

  whoami() { return [this.ctx.id.name, this.ctx.id.toString()]; }
  async slow(url) { return (await fetch(url)).text(); }
  give() { return { ask: (text) => `${text} asked` }; }
  alarm() { this.notes.push(`alarm of ${this.ctx.id.name}`); }
  webSocketMessage(ws, text) { ws.send(`${text} to ${this.ctx.id.name}, ${this.ctx.getWebSockets().length} here`); }
}

export class Forgetful extends Twin {}

// Writes nothing: what it is is in memory only.
export class Blank extends DurableObject {
  count = 0;

  async fetch(request) {
    const url = new URL(request.url), { storage } = this.ctx;
    switch (url.pathname.split("/")[3]) {
      case "snapshot": return Response.json(await storage.snapshot());
      case "restore": return Response.json(await storage.restore(url.searchParams.get("v")));
    }
    return Response.json(++this.count);
  }
}

export default {
  fetch(request, env) {
    const [, kind, name] = new URL(request.url).pathname.split("/");
    const namespace = { t: env.TWIN, forgetful: env.FORGETFUL, blank: env.BLANK }[kind];
    return namespace ? namespace.getByName(name).fetch(request) : new Response("no such agent", { status: 404 });
  },
};
