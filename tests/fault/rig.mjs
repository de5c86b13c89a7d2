// What every rig shares: options from the command line, rounds with progress, and the report that run.mjs reads.
//
//   const rig = new Rig("kill", { rounds: [20, 1000] });      the short run's number, the long one's; --rounds N wins, --long chooses
//   await rig.measure("the whole tree", rounds, async (round) => violations)
//   rig.control("…", isCaught) · rig.skip("why") · rig.end()
//
// The report is the last line on stdout: RESULT {rig, rows: [{ fault, rounds, bad, note }], skipped}; the exit status is 0 when nothing was bad.
import { parseArgs } from "node:util";

export class Rig {
  constructor(name, numbers = {}) {
    const options = Object.fromEntries(Object.keys(numbers).map((key) => [key, { type: "string" }]));
    const { values } = parseArgs({ options: { long: { type: "boolean" }, only: { type: "string" }, seed: { type: "string" }, log: { type: "string" }, ...options } });
    this.name = name;
    this.isLong = values.long ?? false;
    this.only = values.only?.split(",");
    this.numbers = Object.fromEntries(Object.entries(numbers).map(([key, [short, long]]) => [key, Number(values[key] ?? (this.isLong ? long : short))]));
    this.seed = Number(values.seed ?? Date.now() % 1_000_000);
    this.logFile = values.log;
    this.random = randomFrom(this.seed);
    this.rows = [];
    this.startedAt = Date.now();
    this.say(`seed ${this.seed}`);
  }

  wants(part) { return !this.only || this.only.some((one) => part.startsWith(one)); }
  say(text) { process.stderr.write(`${this.name}: ${text}\n`); }

  row(fault) {
    let row = this.rows.find((one) => one.fault === fault);
    if (!row) this.rows.push((row = { fault, rounds: 0, bad: 0, note: "" }));
    return row;
  }

  /* Counts COUNT tries of FAULT and the violations they showed. */
  count(fault, violations, count = 1) {
    const row = this.row(fault);
    row.rounds += count;
    if (violations.length > 0) row.bad++;
    for (const one of violations.slice(0, 5)) this.say(`BAD ${fault}, round ${row.rounds}: ${one.rule ?? ""} ${one.text ?? one}`);
    return row;
  }

  async measure(fault, rounds, one) {
    const started = Date.now();
    for (let round = 1, saidAt = Date.now(); round <= rounds; round++) {
      this.count(fault, await one(round));
      if (Date.now() - saidAt > 10_000 || round === rounds) {
        saidAt = Date.now();
        this.say(`${fault}: ${round} of ${rounds}, ${this.row(fault).bad} bad, ${Math.round((Date.now() - started) / 1000)} s`);
      }
    }
  }

  note(fault, text) { this.row(fault).note = text; }

  /* A control is bad when it passes: the rig would not have noticed. */
  control(what, isCaught, note = "") {
    Object.assign(this.row(`control: ${what}`), { rounds: 1, bad: isCaught ? 0 : 1, note: note || (isCaught ? "caught" : "NOT caught") });
    if (!isCaught) this.say(`BAD control: ${what} was not caught`);
  }

  skip(why) {
    this.say(`skipped: ${why}`);
    this.skipped = why;
  }

  end() {
    const bad = this.rows.reduce((sum, row) => sum + row.bad, 0);
    process.stdout.write(`RESULT ${JSON.stringify({ rig: this.name, rows: this.rows, skipped: this.skipped, seconds: Math.round((Date.now() - this.startedAt) / 1000), seed: this.seed })}\n`);
    process.exitCode = bad > 0 ? 1 : 0;
  }
}

/* Mulberry32: the same numbers for the same seed. */
export function randomFrom(seed) {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), state | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4_294_967_296;
  };
}
