// Inside the machine whose clock is set (clock_rig.mjs): starts Dormouse, arms alarms, sets the clock, and judges what rings by the clock as it then is.
// Lines for the host:  B booted · R JSON { title, bad, alarms, latestMs } after each step · E TEXT the end
import { execFileSync, spawn } from "node:child_process";
import { readFileSync, writeSync } from "node:fs";
import http from "node:http";

const EARLY_MS_MAX = 1_000;
const POLL_MS = 50;
const SOON_MS = 4_000;
const TIMER_MS = 3_000;
const HOUR_MS = 3_600_000;

const plan = JSON.parse(readFileSync(process.argv[2], "utf8"));
const say = (...words) => writeSync(1, words.join(" ") + "\n");
const swapped = plan.isSwapped ? "&swapped" : "";
const alarms = new Map(); // name → { due, dueSince (monotonic ms), isRung }
let server = null, bad = [], latestMs = 0, rings = 0, count = 0;

function ask(path) {
  return new Promise((resolve, reject) => {
    const request = http.get({ host: "127.0.0.1", port: 8787, path, timeout: plan.lateMs + 30_000 }, (answer) => {
      let text = "";
      answer.setEncoding("utf8").on("data", (more) => { text += more; }).on("error", reject);
      answer.on("end", () => (answer.statusCode === 200 ? resolve(text) : reject(new Error(`${path} answered ${answer.statusCode} ${text.slice(0, 300)}`))));
    });
    request.on("error", reject).on("timeout", () => request.destroy(new Error(`no answer to ${path}`)));
  });
}

/* In time zone TZ. */
async function start(tz) {
  const output = [];
  server = spawn(plan.dormouse, ["serve", "--port", "8787", "--data", "/mnt/data", "--workers", "2"], { stdio: ["ignore", "pipe", "pipe"], env: { ...process.env, TZ: tz } });
  await new Promise((resolve, reject) => {
    for (const stream of [server.stdout, server.stderr]) stream.setEncoding("utf8").on("data", (text) => { output.push(text); if (output.join("").includes("Ready on")) resolve(); });
    server.once("exit", (code, signal) => reject(new Error(`the server ended (${code ?? signal}): ${output.join("").slice(-2000)}`)));
  });
}

async function stop() {
  const ended = new Promise((resolve) => server.once("exit", resolve));
  server.kill("SIGTERM");
  await ended;
}

const setClock = (ms) => execFileSync("date", ["-u", "-s", `@${(ms / 1000).toFixed(3)}`], { stdio: "ignore" });

async function arm(due) {
  const name = `a${count++}`;
  await ask(`/a/${name}/arm?due=${due}${swapped}`);
  alarms.set(name, { due, dueSince: null, isRung: false });
  return name;
}

/* One look at the bell, and at what should have rung by now. */
async function look() {
  const rung = JSON.parse(await ask("/a/bell/rung")), wall = Date.now(), mono = performance.now();
  for (const alarm of alarms.values()) if (wall >= alarm.due) alarm.dueSince ??= mono;
  for (const { name, at, times } of rung) {
    const alarm = alarms.get(name);
    if (!alarm || alarm.isRung) continue;
    alarm.isRung = true;
    rings++;
    if (Math.min(at, wall) < alarm.due - EARLY_MS_MAX) bad.push(`${name} rang ${alarm.due - Math.min(at, wall)} ms early`);
    if (times > 1 && !alarm.mayRepeat) bad.push(`${name} rang ${times} times`);
    latestMs = Math.max(latestMs, mono - (alarm.dueSince ?? mono));
  }
  for (const [name, alarm] of alarms) {
    if (alarm.isRung || alarm.dueSince === null || mono - alarm.dueSince <= plan.lateMs) continue;
    alarm.isRung = true; // told once
    bad.push(`${name} did not ring within ${plan.lateMs} ms of its date`);
  }
}

/* Until all that is due now, or within MS, has rung, or will not any more; for MS at least. */
async function watch(ms) {
  const until = performance.now() + ms, horizon = Date.now() + ms;
  while (performance.now() < until || [...alarms.values()].some((one) => !one.isRung && one.due <= horizon)) {
    await look();
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}

/* A setTimeout(), running when this resolves, that takes as long as it was asked to whatever happens meanwhile: resolves to a function that waits and judges. */
async function timer() {
  const from = performance.now(), name = `t${from.toFixed(0)}`;
  await ask(`/a/${name}/timer?ms=${TIMER_MS}${swapped}`);
  const over = ask(`/a/${name}/over`).then(() => performance.now() - from);
  over.catch(() => {});
  return async () => {
    const took = await over;
    if (took < TIMER_MS - 10 || took > TIMER_MS + plan.lateMs) bad.push(`a timer of ${TIMER_MS} ms took ${took.toFixed(0)} ms`);
  };
}

const shift = (ms) => setClock(Date.now() + ms);

/* An alarm that is due SOON_MS from now, as the clock is set by BYMS; on a machine so busy that it may have come before that, again. */
async function armAndShift(byMs) {
  for (;;) {
    const from = performance.now(), name = await arm(Date.now() + SOON_MS);
    if (performance.now() - from < SOON_MS / 2) shift(byMs);
    else continue;
    if (performance.now() - from < SOON_MS - EARLY_MS_MAX) return;
    alarms.delete(name);
    shift(-byMs);
  }
}

/* What happens to alarms and a timer when the clock is put on or back by MS; back: and on again. */
async function step({ byMs }) {
  const now = Date.now(), running = await timer();
  for (const due of [now + byMs + 6_000, now + Math.max(byMs, 0) + HOUR_MS / 2]) if (due > now) await arm(due);
  await armAndShift(byMs);
  if (byMs < 0) await arm(Date.now() + 2_000);
  await watch(SOON_MS + 3_000);
  await running();
  if (byMs >= 0) return;
  shift(-byMs);
  await watch(1_000);
}

/* Over the moment AT at which the time zone's clocks are put on or back. */
async function change({ at }) {
  setClock(at - 3_000);
  for (const due of [at - 1_000, at + 500, at + 2_500, at + HOUR_MS + 500]) await arm(due);
  await watch(6_000);
}

/* The clock is put on, and the time zone changed, while the server is stopped. */
async function away({ byMs, tz }) {
  const now = Date.now();
  for (const due of [now + 2_000, now + byMs + 10_000, now + byMs + HOUR_MS / 2]) await arm(due);
  for (const alarm of alarms.values()) alarm.mayRepeat = true; // one that is ringing when the server stops
  await stop();
  shift(byMs);
  await start(tz);
  await watch(10_000);
}

async function main() {
  await start(plan.tz);
  for (const one of plan.steps) {
    [bad, latestMs, rings] = [[], 0, 0];
    await { step, change, away }[one.kind](one).catch((error) => bad.push(error.message.replaceAll("\n", " | ")));
    say("R", JSON.stringify({ title: one.title, bad, rings, latestMs: Math.round(latestMs) }));
  }
}

say("B");
main().then(() => say("E done"), (error) => say("E", error.message.replaceAll("\n", " | "))).then(() => process.exit(0));
