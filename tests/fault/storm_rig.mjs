// Alarms by the thousand, due within one second: while the server runs, after it was stopped meanwhile, and with kill -9 of it in their midst. All
// fire, none early, none twice without a crash; and whoever asks meanwhile is answered soon.
//   node tests/fault/storm_rig.mjs [--long] [--alarms 10000] [--p99 200]
import http from "node:http";
import { join } from "node:path";
import { ROOT, eventually, missing, scratch, startDormouse } from "../scenario/lib.mjs";
import { ask } from "./load.mjs";
import { Rig } from "./rig.mjs";

const BELLS = 8;
const WITHIN_MS = 1000; // all are due within this
const EARLY_MS_MAX = 1000; // src/scheduler/room.md
const FIRE_MS_MAX = 120_000; // after that an alarm is lost
const GET_EVERY_MS = 10;
const QUIET_MS = 2000;
const WIDTH = 24; // requests at a time while agents are armed and read
const KILLS = 3;

const rig = new Rig("storm", { alarms: [300, 10_000], p99: [20_000, 200] }); // the short run, on any machine, looks for hangs only
const now = () => performance.timeOrigin + performance.now();
const untilTime = (ms) => new Promise((resolve) => setTimeout(resolve, Math.max(0, ms - Date.now())));

class Storm {
  constructor(count) {
    this.count = count;
    this.own = scratch("dormouse-storm-");
    this.names = Array.from({ length: count }, (_, i) => `a${i}`);
    this.connections = new http.Agent({ keepAlive: true, maxSockets: 128 });
    this.isDeployed = false;
    this.phase = 0;
  }

  async up() {
    this.server = await startDormouse(join(ROOT, "tests/fault/storm_app"), { data: this.own.dir, isDeployed: this.isDeployed, args: ["--workers", "2"] });
    this.isDeployed = true;
  }

  async get(path) {
    const answer = await ask({ port: this.server.port, host: "storm.localhost", agent: this.connections, method: "GET", path });
    if (answer.status !== 200) throw new Error(`${path} answered ${answer.status}: ${answer.text.slice(0, 200)}`);
    return answer;
  }

  async each(run) {
    const todo = this.names.keys();
    await Promise.all(Array.from({ length: WIDTH }, async () => { for (const i of todo) await run(this.names[i], i); }));
  }

  /* Arms every agent for the second after LEAD_MS from now; the arming itself must be over by then. */
  async arm(leadMs) {
    this.phase++;
    rig.say(`phase ${this.phase}: ${this.count} alarms are armed within ${leadMs} ms`);
    this.from = Date.now() + leadMs;
    this.due = (i) => this.from + (i * 7919) % WITHIN_MS;
    await this.each((name, i) => this.get(`/a/${name}/arm?due=${this.due(i)}&bell=bell${this.phase}-${i % BELLS}`));
    if (Date.now() > this.from) throw new Error(`arming took longer than ${leadMs} ms: the storm would be none`);
  }

  /* How many alarms have rung, as the bells tell. */
  async rung() {
    const rings = await Promise.all(Array.from({ length: BELLS }, async (_, i) => (await this.get(`/a/bell${this.phase}-${i}/rings`)).json));
    return rings.reduce((sum, one) => sum + one, 0);
  }

  /* GETs at a fixed rate, of an agent without an alarm and of one in the storm by turns, until DONE; how long each took. */
  async askAround(done) {
    const took = [], open = new Set();
    let isDone = false, turn = 0, failed = 0;
    done.then(() => { isDone = true; }, () => { isDone = true; });
    for (let next = now(); !isDone; next += GET_EVERY_MS) {
      await untilTime(next);
      const started = now(), name = turn++ % 2 ? "bystander" : this.names[Math.floor(rig.random() * this.count)];
      const one = this.get(`/a/${name}/look`).then(() => took.push(now() - Math.min(started, next)), () => { failed++; }).finally(() => open.delete(one));
      open.add(one);
    }
    await Promise.all(open);
    took.sort((a, b) => a - b);
    return { count: took.length, failed, p50: took[took.length >> 1], p99: took[Math.ceil(took.length * 0.99) - 1], max: took.at(-1) };
  }

  async allRing() {
    await eventually(async () => { const rung = await this.rung(); return rung >= this.count || `${rung} of ${this.count} alarms have fired`; }, FIRE_MS_MAX);
  }

  /* What the agents themselves have written down of this phase's alarms. */
  async violations({ isOnce }) {
    const bad = [];
    this.lastAt = 0;
    this.errors = new Map();
    await this.each(async (name, i) => {
      const tries = (await this.get(`/a/${name}/fired`)).json.filter(({ due }) => due === this.due(i)), fired = tries.filter(({ error }) => error === null);
      for (const { error } of tries) if (error !== null) this.errors.set(error, (this.errors.get(error) ?? 0) + 1);
      if (fired.length === 0) bad.push(`the alarm of ${name} is lost`);
      if (fired.length > 1 && isOnce) bad.push(`the alarm of ${name} fired ${fired.length} times`);
      for (const { due, at } of tries) {
        if (at < due - EARLY_MS_MAX) bad.push(`the alarm of ${name} came ${due - at} ms early`);
        this.lastAt = Math.max(this.lastAt, at);
      }
    });
    if (isOnce) for (const [error, times] of this.errors) bad.push(`${times} handlers failed, though nothing had died: ${error}`);
    return bad;
  }
}

const tell = ({ count, failed, p50, p99, max }) => `GET p50 ${p50.toFixed(1)}, p99 ${p99.toFixed(0)}, longest ${max.toFixed(0)} ms of ${count}${failed ? `, ${failed} FAILED` : ""}`;
const failures = ({ errors }) => [...errors].map(([error, times]) => `; ${times} handlers failed first: ${error}`).join("");
const late = ({ p99, failed }, quiet) => [...(p99 > Math.max(rig.numbers.p99, 3 * quiet.p99) ? [`GET p99 ${p99.toFixed(0)} ms, without a storm ${quiet.p99.toFixed(0)} ms`] : []), ...(failed ? [`${failed} GETs failed`] : [])];

async function dueTogether(storm, leadMs, quiet) {
  const fault = "alarms due together";
  await storm.arm(leadMs);
  await untilTime(storm.from);
  const ringing = storm.allRing();
  const gets = await storm.askAround(ringing);
  await ringing;
  const over = await storm.violations({ isOnce: true });
  rig.count(fault, [...over, ...late(gets, quiet)], storm.count);
  rig.note(fault, `all fired ${((storm.lastAt - storm.from) / 1000).toFixed(1)} s after the first was due; ${tell(gets)}`);
}

async function overdueAfterRestart(storm, leadMs, quiet) {
  const fault = "restart with alarms overdue";
  await storm.arm(leadMs);
  await storm.server.stop();
  await untilTime(storm.from + WITHIN_MS);
  await storm.up();
  const readyAt = Date.now(), ringing = storm.allRing();
  const gets = await storm.askAround(ringing);
  await ringing;
  const over = await storm.violations({ isOnce: true });
  rig.count(fault, [...over, ...late(gets, quiet)], storm.count);
  rig.note(fault, `all fired ${((storm.lastAt - readyAt) / 1000).toFixed(1)} s after the server was ready; ${tell(gets)}`);
}

/* The bells forget with each kill; the agents' own books decide. */
async function killedMeanwhile(storm, leadMs) {
  const fault = "kill -9 in the storm";
  await storm.arm(leadMs);
  for (let kill = 0; kill < KILLS; kill++) {
    await untilTime(storm.from);
    const before = await storm.rung();
    await eventually(async () => (await storm.rung()) > before + storm.count / 20 || "no alarm comes", FIRE_MS_MAX).catch(() => {}); // the last ones may be through
    await storm.server.kill9();
    await storm.up();
  }
  let left = storm.names.map((_, i) => i);
  await eventually(async () => {
    const still = [];
    for (const i of left) {
      if (!(await storm.get(`/a/${storm.names[i]}/fired`)).json.some(({ due, error }) => due === storm.due(i) && error === null)) still.push(i);
      if (still.length > 20) return `${left.length} alarms are not there yet`; // asking all of them again and again would be the storm
    }
    left = still;
    return left.length === 0 || `${left.length} alarms have not fired`;
  }, FIRE_MS_MAX).catch(() => {});
  rig.count(fault, await storm.violations({ isOnce: false }), storm.count);
  rig.note(fault, `${KILLS} kills${failures(storm)}`);
}

const why = missing({ only: "dormouse" });
if (why) {
  rig.skip(why);
} else {
  const storm = new Storm(rig.numbers.alarms), started = Date.now();
  await storm.up();
  await storm.get("/a/bystander/look");
  await storm.each((name) => storm.get(`/a/${name}/arm?due=${Date.now() + 86_400_000}&bell=none`)); // their first commits, to learn how long arming takes
  const leadMs = Math.round(2000 + 1.5 * (Date.now() - started));
  const quiet = await storm.askAround(untilTime(Date.now() + QUIET_MS));
  rig.say(`without a storm: ${tell(quiet)}`);
  await dueTogether(storm, leadMs, quiet);
  await overdueAfterRestart(storm, leadMs, quiet);
  await killedMeanwhile(storm, leadMs);
  await storm.server.stop();
  storm.connections.destroy();
  storm.own.remove();
}
rig.end();
