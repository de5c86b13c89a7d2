// The smallest useful agent: GET /a/NAME/get one SELECT, /put one INSERT, /row one of 100 bytes, /hold the same by an agent
// that stays awake for ten minutes, /ws a hibernatable echo, /pong no SQL, /hello no agent at all.
import { DurableObject } from "cloudflare:workers";

const ROW = "x".repeat(100);

export class Trivial extends DurableObject {
  constructor(ctx, env) {
    super(ctx, env);
    this.sql = ctx.storage.sql;
    this.sql.exec("CREATE TABLE IF NOT EXISTS t (id INTEGER PRIMARY KEY, v TEXT)");
  }

  async fetch(request) {
    const { pathname } = new URL(request.url);
    switch (pathname.split("/")[3]) {
      case "pong": return new Response("pong");
      case "get": return Response.json(this.sql.exec("SELECT count(*) AS n, max(id) AS last FROM t").one());
      case "put": return Response.json(this.sql.exec("INSERT INTO t (v) VALUES (?) RETURNING id", "hello").one());
      case "hold": setTimeout(() => {}, 600_000); // and on to the row
      case "row": {
        this.sql.exec("INSERT INTO t (v) VALUES (?)", ROW);
        return new Response("ok");
      }
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
