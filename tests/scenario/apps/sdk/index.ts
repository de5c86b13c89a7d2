// One agent that uses what the SDK offers beyond the examples: streams, queue, retries, SQL, read-only connections, requests, context.
import { Agent, callable, type Connection, type ConnectionContext, getAgentByName, getCurrentAgent, routeAgentRequest, type StreamingResponse } from "agents";

interface Env {
  Everything: DurableObjectNamespace<Everything>;
  Sleepy: DurableObjectNamespace<Sleepy>;
  GREETING: string;
}

export class Everything extends Agent<Env, { n: number; log: string[] }> {
  initialState = { n: 0, log: [] };
  attempts = 0;
  starts = 0;

  async onStart() {
    this.starts++;
    this.sql`CREATE TABLE IF NOT EXISTS note (id INTEGER PRIMARY KEY, text TEXT UNIQUE)`;
  }

  onConnect(connection: Connection, { request }: ConnectionContext) {
    connection.send(JSON.stringify({ type: "welcome", name: this.name, path: new URL(request.url).pathname }));
  }
  shouldConnectionBeReadonly(_connection: Connection, { request }: ConnectionContext) {
    return new URL(request.url).searchParams.has("readonly");
  }
  onMessage(connection: Connection, message: string) {
    connection.send(`echo ${message}`);
  }
  onStateChanged(state: { n: number }, source: Connection | "server") {
    this.changes = [...(this.changes ?? []), `${state.n} from ${source === "server" ? "server" : "client"}`];
  }
  changes?: string[];

  async onRequest(request: Request) {
    const path = new URL(request.url).pathname.split("/").slice(4).join("/");
    if (path === "state") return Response.json(this.state);
    if (path === "notes") return Response.json(this.notes());
    if (path === "stream") return new Response(new Blob(["streamed ", "from ", "an agent"]).stream());
    if (path === "throw") throw new RangeError("request failed");
    return Response.json({ name: this.name, method: request.method, path, starts: this.starts, body: await request.text() });
  }

  @callable() greet(who: string) { return `${this.env.GREETING} ${who}`; }
  @callable() add(by: number) { this.setState({ ...this.state, n: this.state.n + by }); return this.state.n; }
  @callable() changesSeen() { return this.changes ?? []; }
  @callable() fails() { throw new TypeError("method failed"); }
  @callable() note(text: string) { return this.sql`INSERT INTO note (text) VALUES (${text}) RETURNING id, text`; }
  @callable() notes() { return this.sql`SELECT text FROM note ORDER BY id`; }
  @callable() echo(value: unknown) { return value; }
  @callable() who() { const { agent, connection } = getCurrentAgent<Everything>(); return { same: agent === this, hasConnection: connection !== undefined }; }
  @callable() async ask(name: string) { return (await getAgentByName(this.env.Everything, name)).greet(`from ${this.name}`); }
  @callable() connectionsOpen() { return [...this.getConnections()].length; }
  hidden() { return "must not be callable"; }

  @callable({ streaming: true })
  async count(stream: StreamingResponse, to: number) {
    for (let i = 1; i <= to; i++) { stream.send(i); await Promise.resolve(); }
    stream.end("done");
  }

  @callable() async enqueue(texts: string[]) { for (const text of texts) await this.queue("work", text); }
  async work(text: string) { this.setState({ ...this.state, log: [...this.state.log, text] }); }

  @callable() async flaky() { return this.retry(async () => { if (++this.attempts < 3) throw new Error("not yet"); return this.attempts; }, { maxAttempts: 5, baseDelayMs: 1, maxDelayMs: 2 }); }

  @callable() async later(ms: number) { return (await this.schedule(new Date(Date.now() + ms), "work", "scheduled")).id; }
  @callable() async child(name: string) { const child = await this.subAgent(Sleepy, name); return child.nap(this.name); }
  @callable() async wipe() { await this.destroy(); }
}

export class Sleepy extends Agent<Env> {
  async nap(by: string) {
    this.sql`CREATE TABLE IF NOT EXISTS nap (by TEXT)`;
    this.sql`INSERT INTO nap VALUES (${by})`;
    return { name: this.name, naps: this.sql<{ n: number }>`SELECT count(*) AS n FROM nap`[0].n };
  }
}

export default {
  async fetch(request: Request, env: Env) {
    const url = new URL(request.url);
    if (url.pathname.startsWith("/direct/")) {
      const agent = await getAgentByName(env.Everything, url.pathname.slice(8));
      return Response.json(await agent.greet("direct"));
    }
    return (await routeAgentRequest(request, env, { cors: true })) ?? new Response("Not found\n", { status: 404 });
  },
};
