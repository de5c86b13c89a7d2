// Inside the machine whose power will be cut: starts Dormouse, reads every agent of the plan, then writes until the power goes. Each line
// goes to the host as soon as it is true; the host is the one that remembers (power_rig.mjs).
//
//   B                     the machine has booted
//   S MS                  the server is ready, so many ms after it was started
//   D NAME JSON           what agent NAME has now: {check, row, twin, armed, fired, bad}
//   X NAME LANE SEQ       this alarm should have fired by now
//   V                     all agents of the plan are told, all alarms of the plan have fired (or X)
//   A NAME LANE SEQ       this put was acknowledged          W NAME LANE SEQ    this alarm was
//   F TEXT                a request was not answered as it should
//   E TEXT                the end: nothing more comes
import { spawn } from "node:child_process";
import { readFileSync, writeSync } from "node:fs";
import http from "node:http";

const plan = JSON.parse(readFileSync(process.argv[2], "utf8"));
const say = (...words) => writeSync(1, words.join(" ") + "\n");
const agent = new http.Agent({ keepAlive: true, maxSockets: 64 });
const random = (n) => Math.floor(Math.random() * n);

say("B");
const startedAt = performance.now();
const server = spawn(plan.dormouse, ["serve", "--port", "8787", "--data", "/mnt/data", "--workers", "2"], { stdio: ["ignore", "pipe", "pipe"] });
const output = [];
const ready = new Promise((resolve, reject) => {
  for (const stream of [server.stdout, server.stderr])
    stream.setEncoding("utf8").on("data", (text) => {
      output.push(text);
      if (plan.isLoud) for (const line of text.split("\n").filter(Boolean)) say("L", line);
      if (output.join("").includes("Ready on")) resolve();
    });
  server.once("exit", (code, signal) => reject(new Error(`the server ended (${code ?? signal}): ${output.join("").slice(-2000)}`)));
});

function ask(path) {
  return new Promise((resolve, reject) => {
    const request = http.get({ host: "127.0.0.1", port: 8787, path, agent, timeout: 60_000 }, (answer) => {
      let text = "";
      answer.setEncoding("utf8").on("data", (more) => { text += more; }).on("error", reject);
      answer.on("end", () => resolve({ status: answer.statusCode, text }));
    });
    request.on("error", reject).on("timeout", () => request.destroy(new Error(`no answer to ${path}`)));
  });
}

async function must(path) {
  const { status, text } = await ask(path);
  if (status !== 200) throw new Error(`${path} answered ${status} ${text.slice(0, 300).replaceAll("\n", " ")}`);
  return text;
}

/* All of TASKS, a few at a time. */
async function each(tasks, width, run) {
  const todo = [...tasks];
  await Promise.all(Array.from({ length: width }, async () => { while (todo.length) await run(todo.shift()); }));
}

async function tell(name) {
  const check = JSON.parse(await must(`/a/${name}/check`));
  say("D", name, JSON.stringify({ check, ...JSON.parse(await must(`/a/${name}/dump?from=${plan.padsFrom}`)) }));
}

/* Waits until all alarms of the plan have rung the bell. Their agents are not asked: that would wake them. */
async function alarmsFire() {
  for (const end = performance.now() + plan.alarmMsMax; plan.alarms.length; ) {
    const rung = new Map(JSON.parse(await must("/a/bell/rung")).map(({ name, lane, high }) => [`${name} ${lane}`, high]));
    const missing = plan.alarms.filter(([name, lane, seq]) => !(rung.get(`${name} ${lane}`) >= seq));
    if (!missing.length) return;
    if (performance.now() > end) return missing.forEach((one) => say("X", ...one));
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/* One write after the other, until the power goes. A failed one is unknown; its number is never used again. */
async function lane(word, name, number, path, pause) {
  for (let seq = 1; ; seq++) {
    const { status, text } = await ask(`/a/${name}/${path()}&lane=${plan.epoch * 100 + number}&seq=${seq}`).catch((error) => ({ status: 0, text: error.message }));
    if (status === 200) say(word, name, plan.epoch * 100 + number, seq);
    else say("F", `${path()} of ${name} answered ${status} ${text.slice(0, 200).replaceAll("\n", " ")}`);
    if (pause || status !== 200) await new Promise((resolve) => setTimeout(resolve, pause || 100));
  }
}

const put = () => `put?bytes=${random(8) === 0 ? random(60_000) : random(300)}`;

async function born() {
  for (let i = 0; ; i++)
    for (let seq = 1; seq <= 2; seq++) {
      const name = `b${plan.epoch}-${i}`, { status } = await ask(`/a/${name}/put?bytes=10&lane=${plan.epoch * 100}&seq=${seq}`).catch(() => ({ status: 0 }));
      if (status === 200) say("A", name, plan.epoch * 100, seq);
      else say("F", `put of ${name} answered ${status}`);
    }
}

async function main() {
  await ready;
  say("S", Math.round(performance.now() - startedAt));
  await alarmsFire();
  await each(plan.tell, 4, tell);
  say("V");
  if (plan.isLast) return say("E done");
  const all = [born()];
  for (const name of plan.busy) for (let i = 1; i <= 3; i++) all.push(lane("A", name, i, put));
  for (const name of plan.resting) all.push(lane("A", name, 1, put, 1300)); // longer than an agent's rest: its database closes in between
  for (const name of plan.alarmed) all.push(lane("W", name, 9, () => `arm?in=${20 + random(1500)}`, 150));
  await Promise.all(all);
}

main().catch((error) => { say("E", `${error.message.replaceAll("\n", " | ")}`); process.exit(1); }).then(() => process.exit(0));
