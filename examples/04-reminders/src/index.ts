// Reminders that outlive everything: each is a schedule in the agent's own database. Clients connect to /agents/reminders/NAME.
import { Agent, callable, routeAgentRequest, type Schedule } from "agents";
import type { RemindersState, When } from "./reminders";

interface Env {
  Reminders: DurableObjectNamespace<Reminders>;
}

const FIRED_KEPT = 20;

export class Reminders extends Agent<Env, RemindersState> {
  initialState: RemindersState = { armed: [], fired: [] };

  @callable()
  async remind(text: string, when: When) {
    const what = { text: String(text).slice(0, 200) };
    const schedule = await this.arm(when, what);
    await this.show();
    return schedule.id;
  }

  @callable()
  async cancel(id: string) {
    const was = await this.cancelSchedule(id);
    await this.show();
    return was;
  }

  arm(when: When, what: { text: string }) {
    switch (when.kind) {
      case "delay": return this.schedule(when.seconds, "fire", what);
      case "date": return this.schedule(new Date(when.at), "fire", what);
      case "cron": return this.schedule(when.cron, "fire", what);
      case "every": return this.scheduleEvery(when.seconds, "fire", what);
    }
    throw new Error("when: delay, date, cron or every");
  }

  // Called by name when a schedule is due, in a process that may have started long after it was armed.
  async fire({ text }: { text: string }, schedule: Schedule<{ text: string }>) {
    const fired = [{ text, kind: schedule.type, at: Date.now() }, ...this.state.fired].slice(0, FIRED_KEPT);
    await this.show(fired, schedule);
  }

  async show(fired = this.state.fired, done?: Schedule<{ text: string }>) {
    const isOver = (s: Schedule<unknown>) => s.id === done?.id && (s.type === "delayed" || s.type === "scheduled");
    const schedules = (await this.listSchedules()) as Schedule<{ text: string }>[];
    const armed = schedules
      .filter((s) => !isOver(s))
      .map((s) => ({ id: s.id, text: s.payload.text, kind: s.type, next: s.time * 1000 }));
    this.setState({ armed: armed.sort((a, b) => a.next - b.next), fired });
  }
}

export default {
  async fetch(request: Request, env: Env) {
    return (await routeAgentRequest(request, env)) ?? new Response("Not found\n", { status: 404 });
  },
};
