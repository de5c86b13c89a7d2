// A chat room with presence, on partyserver. Clients connect to /parties/room/NAME.
import { type Connection, type ConnectionContext, routePartykitRequest, Server } from "partyserver";

interface Env {
  Room: DurableObjectNamespace<Room>;
}

type Line = { id: number; who: string; text: string; at: number };
type Person = { who: string };

const LINES_KEPT = 200; // a newcomer gets the whole list in one frame

export class Room extends Server<Env> {
  // The room sleeps between messages while its sockets stay open; what a socket's setState kept wakes with it.
  static options = { hibernate: true };

  onStart() {
    this.sql`CREATE TABLE IF NOT EXISTS line (id INTEGER PRIMARY KEY, who TEXT NOT NULL, text TEXT NOT NULL, at INTEGER NOT NULL)`;
  }

  onConnect(connection: Connection<Person>, { request }: ConnectionContext) {
    const who = (new URL(request.url).searchParams.get("who") ?? "").trim().slice(0, 40) || "somebody";
    connection.setState({ who });
    connection.send(JSON.stringify({ type: "history", lines: this.sql<Line>`SELECT * FROM line ORDER BY id` }));
    this.tellWhoIsHere();
  }

  onMessage(connection: Connection<Person>, message: string) {
    const text = String(message).trim().slice(0, 2000);
    if (!text) return;
    const [line] = this.sql<Line>`
      INSERT INTO line (who, text, at) VALUES (${connection.state!.who}, ${text}, ${Date.now()}) RETURNING *`;
    this.sql`DELETE FROM line WHERE id <= ${line.id - LINES_KEPT}`;
    this.broadcast(JSON.stringify({ type: "line", line }));
  }

  onClose(connection: Connection<Person>) {
    this.tellWhoIsHere(connection.id);
  }

  tellWhoIsHere(gone?: string) {
    const here = [...this.getConnections<Person>()].filter((other) => other.id !== gone);
    const people = here.map((other) => other.state?.who ?? "").filter(Boolean).sort();
    this.broadcast(JSON.stringify({ type: "people", people }), gone ? [gone] : []);
  }
}

export default {
  async fetch(request: Request, env: Env) {
    return (await routePartykitRequest(request, env)) ?? new Response("Not found\n", { status: 404 });
  },
};
