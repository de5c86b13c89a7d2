// Many agents that are wanted at once. GET /one/NAME/… goes to an agent: /arm?due= sets its alarm, which rings the bell; /look answers. GET /rung tells
// how often the bell rang. ?busy_ms= keeps the entry busy first; each answer says how many requests had begun in the entry before it (x-begun).
import { DurableObject } from "cloudflare:workers";

const RING_MS = 3;
let begun = 0;

function busy(ms) {
  const end = performance.now() + ms;
  for (let i = 0; i < 1e9 && performance.now() < end; i++) if (i > ms * 20_000) return; // a clock that stands still during a turn does not end it
}

export class Bell extends DurableObject {
  rings = 0;
  ring() { return ++this.rings; }
  rung() { return this.rings; }
}

export class One extends DurableObject {
  async fetch(request) {
    const url = new URL(request.url);
    if (url.pathname.endsWith("/arm")) await this.ctx.storage.setAlarm(Number(url.searchParams.get("due")));
    return new Response("ok");
  }

  async alarm() {
    busy(RING_MS);
    await this.env.BELL.getByName("bell").ring();
  }
}

export default {
  async fetch(request, env) {
    const url = new URL(request.url), [, kind, name] = url.pathname.split("/"), before = begun++;
    busy(Number(url.searchParams.get("busy_ms") ?? 0));
    if (kind === "rung") return Response.json(await env.BELL.getByName("bell").rung());
    const answer = await env.ONE.getByName(name).fetch(request);
    return new Response(answer.body, { status: answer.status, headers: { "x-begun": String(before) } });
  },
};
