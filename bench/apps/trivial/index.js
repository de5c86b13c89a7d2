// The smallest useful agent: GET /a/NAME/get one SELECT, /put one INSERT, /ws a hibernatable echo, /hello no agent at all.
import { DurableObject } from "cloudflare:workers";

export class Trivial extends DurableObject {
  constructor(ctx, env) {
    super(ctx, env);
    this.sql = ctx.storage.sql;
    this.sql.exec("CREATE TABLE IF NOT EXISTS t (id INTEGER PRIMARY KEY, v TEXT)");
  }

  async fetch(request) {
    const { pathname } = new URL(request.url);
    switch (pathname.split("/")[3]) {
      case "get": return Response.json(this.sql.exec("SELECT count(*) AS n, max(id) AS last FROM t").one());
      case "put": return Response.json(this.sql.exec("INSERT INTO t (v) VALUES (?) RETURNING id", "hello").one());
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
    if (kind === "hello") return new Response("hello");
    if (kind !== "a" || !name) return new Response("not found", { status: 404 });
    return env.AGENT.getByName(name).fetch(request);
  },
};
