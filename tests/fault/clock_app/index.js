// Alarms and timers under a clock that is set: /a/NAME/OPERATION. An alarm rings the bell, another agent, so that nobody has to ask (and wake) its own.
import { DurableObject } from "cloudflare:workers";

export class Clock extends DurableObject {
  constructor(ctx, env) {
    super(ctx, env);
    this.sql = ctx.storage.sql;
    this.sql.exec("CREATE TABLE IF NOT EXISTS rung (name TEXT, at INTEGER)");
  }

  async fetch(request) {
    const url = new URL(request.url), number = (name) => Number(url.searchParams.get(name)), isSwapped = url.searchParams.has("swapped");
    switch (url.pathname.split("/")[3]) {
      case "arm": await (isSwapped ? this.timer(number("due") - Date.now()) : this.alarmAt(number("due"))); return new Response("armed");
      case "timer": this.over = isSwapped ? this.alarmIn(number("ms")) : new Promise((resolve) => setTimeout(resolve, number("ms"))); return new Response("running");
      case "over": await this.over; return new Response("over");
      case "ring": this.sql.exec("INSERT INTO rung VALUES (?, ?)", url.searchParams.get("name"), number("at")); return new Response("rung");
      case "rung": return Response.json(this.sql.exec("SELECT name, min(at) AS at, count(*) AS times FROM rung GROUP BY name").toArray());
    }
    return new Response("no such operation", { status: 404 });
  }

  alarmAt(due) { return this.ctx.storage.setAlarm(due); }

  // Swapped, for the rig's controls: a timer for what asks for an alarm, an alarm for what asks for a timer.
  timer(ms) { setTimeout(() => this.ring(), ms); }
  alarmIn(ms) {
    void this.ctx.storage.setAlarm(Date.now() + ms);
    return new Promise((resolve) => { this.onAlarm = resolve; });
  }

  async alarm() {
    if (this.onAlarm) this.onAlarm();
    else await this.ring();
  }

  ring() { return this.env.CLOCK.getByName("bell").fetch(`http://bell/a/bell/ring?name=${this.ctx.id.name}&at=${Date.now()}`); }
}

export default {
  fetch(request, env) {
    const [, kind, name] = new URL(request.url).pathname.split("/");
    return kind === "a" && name ? env.CLOCK.getByName(name).fetch(request) : new Response("clock");
  },
};
