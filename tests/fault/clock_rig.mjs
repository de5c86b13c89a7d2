// The clock rig: Dormouse in a machine of its own (tests/machine), whose wall clock is put on and back by an hour and a year, whose time zone's clocks
// change, also while the server is stopped. By the clock as it then is no alarm rings more than a second early, or is lost; setTimeout() takes no notice.
//
//   node tests/fault/clock_rig.mjs [--long] [--rounds 10] [--control 1]
//
// The controls: agents that use setTimeout() for alarms and alarms for timers, which must be found early, late, and of the wrong length.
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DORMOUSE } from "../scenario/lib.mjs";
import { boot, diskPrepare, machineMissing } from "../machine/machine.mjs";
import { Rig } from "./rig.mjs";

const LIFE_MS_MAX = 300_000; // of a machine with all its steps, on a busy host
const LATE_MS_MAX = 10_000; // the clock is looked at every 2 s; the rest is for a busy host
const HOUR_MS = 3_600_000, YEAR_MS = 365 * 24 * HOUR_MS;

/* When summer time begins (month 2) or ends (9) in Europe, in the YEAR. */
function changeOf(year, month) {
  const end = new Date(Date.UTC(year, month + 1, 0, 1));
  return end.getTime() - end.getUTCDay() * 24 * HOUR_MS;
}

const year = new Date().getUTCFullYear() + 2; // the clock has been put on by a year, and goes only on
const put = (title, byMs) => ({ title, kind: "step", byMs });
const PUTS = [put("put on by 1 h", HOUR_MS), put("put back by 1 h, and on again", -HOUR_MS)];
const YEARS = [put("put on by 1 y", YEAR_MS), put("put back by 1 y, and on again", -YEAR_MS)];
const ZONES = [
  { title: "summer time begins", kind: "change", at: changeOf(year, 2) },
  { title: "summer time ends", kind: "change", at: changeOf(year, 9) },
  { title: "put on by 1 h while stopped, another time zone", kind: "away", byMs: HOUR_MS, tz: "America/New_York" },
];

/* One life of the machine: its reports. Throws when it does not come to its end. */
async function live(dir, plan) {
  const reports = [];
  let end = null;
  const machine = boot({
    script: "tests/fault/clock_inside.mjs", disk: join(dir, "disk"), dir, plan: { dormouse: DORMOUSE, tz: "Europe/Berlin", lateMs: LATE_MS_MAX, ...plan },
    line(text) {
      if (text.startsWith("R ")) reports.push(JSON.parse(text.slice(2)));
      else if (text.startsWith("E ")) { end = text.slice(2); void machine.cut(); }
    },
  });
  const timer = setTimeout(() => { end ??= `no end after ${LIFE_MS_MAX} ms`; void machine.cut(); }, LIFE_MS_MAX);
  await machine.ended;
  clearTimeout(timer);
  await machine.cut();
  if (end !== "done") throw new Error(`the machine ended: ${end ?? machine.kernel.slice(-30).join("\n")}`);
  return reports;
}

const copy = (dir, from, to) => execFileSync("cp", ["--sparse=always", join(dir, from), join(dir, to)]);

/* USE(dir) with a disk on which the app is deployed. */
async function within(use) {
  const dir = mkdtempSync(join(tmpdir(), "dormouse-clock-"));
  try {
    await diskPrepare(dir, "clock_app");
    copy(dir, "disk", "fresh");
    await use(dir);
  } finally {
    rmSync(dir, { recursive: true, force: true, maxRetries: 5 });
  }
}

async function setClocks(dir) {
  const latest = new Map(), steps = rig.isLong ? [...PUTS, ...YEARS, ...ZONES] : PUTS;
  await rig.measure("all of a life", rig.numbers.rounds, async () => {
    copy(dir, "fresh", "disk");
    const reports = await live(dir, { steps }).catch((error) => { rig.count("a life's end", [error.message]); return []; });
    for (const { title, bad, rings, latestMs } of reports) {
      const row = rig.count(title, bad), most = latest.get(title);
      latest.set(title, { rings: (most?.rings ?? 0) + rings, latestMs: Math.max(most?.latestMs ?? 0, latestMs) });
      row.note = `${latest.get(title).rings} alarms, ${latest.get(title).latestMs} ms late at most`;
    }
    return [];
  });
}

async function controlSwapped(dir) {
  copy(dir, "fresh", "disk");
  const all = (await live(dir, { steps: PUTS, isSwapped: true })).flatMap(({ bad }) => bad), found = (what) => all.find((text) => text.includes(what));
  rig.control("timers for alarms: late when the clock is put on", Boolean(found("did not ring")), found("did not ring"));
  rig.control("timers for alarms: early when it is put back", Boolean(found("ms early")), found("ms early"));
  rig.control("alarms for timers: of the wrong length", Boolean(found("a timer of")), found("a timer of"));
}

const rig = new Rig("clock", { rounds: [1, 20], control: [0, 1] });
const missing = machineMissing();
if (missing) rig.skip(missing);
else {
  await within(async (dir) => {
    await setClocks(dir);
    if (rig.numbers.control) await controlSwapped(dir);
  });
}
rig.end();
