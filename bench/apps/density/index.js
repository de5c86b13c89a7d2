// An agent that remembers outside of its database: GET /a/NAME/call counts in memory (and wrote one row when it was born), /model?url=
// reads a stream on its own and answers at once, /heard says how much of it came, /ws is a hibernatable echo.
import { DurableObject } from "cloudflare:workers";

export class Dense extends DurableObject {
  calls = 0;
  heard = 0;
  isDone = false;

  constructor(ctx, env) {
    super(ctx, env);
    ctx.storage.sql.exec("CREATE TABLE IF NOT EXISTS born (at INTEGER)");
    if (ctx.storage.sql.exec("SELECT count(*) AS n FROM born").one().n === 0) ctx.storage.sql.exec("INSERT INTO born VALUES (?)", Date.now());
  }

  async listen(url) {
    const answer = await fetch(url);
    for await (const piece of answer.body) this.heard += piece.length;
    this.isDone = true;
  }

  async fetch(request) {
    const url = new URL(request.url);
    switch (url.pathname.split("/")[3]) {
      case "call": return Response.json(++this.calls);
      case "model": this.listen(url.searchParams.get("url")).catch((error) => { this.failure = String(error); }); return new Response("listening");
      case "heard": return Response.json({ heard: this.heard, isDone: this.isDone, failure: this.failure });
      case "ws": {
        const pair = new WebSocketPair();
        this.ctx.acceptWebSocket(pair[1]);
        return new Response(null, { status: 101, webSocket: pair[0] });
      }
    }
    return new Response("no such operation", { status: 404 });
  }

  webSocketMessage(ws, message) { ws.send(message); }
}

export default {
  async fetch(request, env) {
    const [, kind, name] = new URL(request.url).pathname.split("/");
    if (kind !== "a" || !name) return new Response("not found", { status: 404 });
    return env.AGENT.getByName(name).fetch(request);
  },
};
