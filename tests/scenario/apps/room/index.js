// One agent with many sockets: /ws joins; /say?bytes=&times= says the same to everybody, "hello" to the first one between, and so on.
import { DurableObject } from "cloudflare:workers";

export class Room extends DurableObject {
  fetch(request) {
    const url = new URL(request.url);
    if (url.pathname === "/ws") {
      const pair = new WebSocketPair();
      this.ctx.acceptWebSocket(pair[1]);
      return new Response(null, { status: 101, webSocket: pair[0] });
    }
    const sockets = this.ctx.getWebSockets(), text = "x".repeat(Number(url.searchParams.get("bytes"))), write = url.searchParams.has("write");
    for (let i = 0; i < Number(url.searchParams.get("times")); i++) {
      for (const ws of sockets) ws.send(text);
      if (write) this.ctx.storage.sql.exec("CREATE TABLE IF NOT EXISTS said (i INTEGER)");
      sockets[0].send("hello");
    }
    return Response.json(sockets.length);
  }
}

export default { fetch: (request, env) => env.ROOM.getByName("room").fetch(request) };
