// kill -9 of the whole tree, and of each room, under load: nothing acknowledged is lost, nothing is doubled, neighbours do not notice, no process
// is left behind. Control: agents that acknowledge before they write must be caught.
//   node tests/fault/kill_rig.mjs [--long] [--tree 1000] [--rooms 500] [--only tree,worker,control] [--seed N] [--log FILE]
import { eventually, missing } from "../scenario/lib.mjs";
import { APPS, House } from "./house.mjs";
import { Load, startWitness } from "./load.mjs";
import { Log } from "./oracle.mjs";
import { Rig } from "./rig.mjs";

const ROOMS = ["gateway", "worker", "egress", "scheduler", "control", "journal", "journal+worker"]; // the last: one of each at once
const KILLS_PER_TREE = 4; // of each room: the supervisor's back-off doubles with each
const ROUNDS_PER_EPOCH = 10; // then other agents are used: dumps stay small, and the old ones are read once more when they are cold
const SILENT_MS = 15_000; // an alarm that was acknowledged before a crash fires within this after it

const rig = new Rig("kill", { tree: [8, 1000], rooms: [4, 500] });
const between = (low, high) => low + Math.floor(rig.random() * (high - low));
const pick = (list) => list[Math.floor(rig.random() * list.length)];
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

// The whole tree -------------------------------------------------------------------------------------------------------

async function killTrees() {
  const witness = await startWitness(), house = new House(), kept = { cold: [] };
  await house.up();
  let epoch = await beginEpoch(house, witness, 0);
  let acknowledged = 0, killsInStart = 0;
  await rig.measure("kill -9 of the tree", rig.numbers.tree, async (round) => {
    await epoch.run();
    await house.kill9();
    await epoch.pause();
    if (rig.random() < 0.2) {
      killsInStart++;
      await house.upAndDown(between(5, 300));
    }
    await house.up();
    const bad = [...(await epoch.alarmsCome()), ...(await epoch.judge({ settle: "final" }))];
    if (round % ROUNDS_PER_EPOCH === 0 || round === rig.numbers.tree) {
      bad.push(...(await epoch.judge({ isDrained: true })));
      for (const old of kept.cold.splice(0)) bad.push(...(await house.judge(old)));
      acknowledged += epoch.acknowledged();
      kept.cold = await epoch.end();
      epoch = await beginEpoch(house, witness, round);
    }
    return bad;
  });
  await epoch.end();
  await house.close();
  await witness.close();
  rig.note("kill -9 of the tree", `${acknowledged.toLocaleString("en")} acknowledged; ${killsInStart} more kills while it started`);
}

/* Load on agents of their own: in both apps, and sleepers that nobody asks anything until their alarms have come. */
async function beginEpoch(house, witness, number) {
  const log = new Log({ prefix: `e${number}-`, file: rig.logFile }), server = () => house.now, random = rig.random;
  const names = (kind, count) => Array.from({ length: count }, (_, i) => `${kind}-${number}-${i}`);
  const loads = [
    new Load({ log, server, witness, random, agents: names("ledger", 5), app: "ledger", clients: 8, sockets: 2 }),
    new Load({ log, server, witness, random, agents: names("neighbour", 2), app: "neighbour", clients: 2, sockets: 1 }),
  ];
  const sleepers = new Load({ log, server, witness, random, agents: names("sleeper", 3), app: "ledger", clients: 1, sockets: 0, mix: ["alarm"], alarmMs: 400 });
  const all = [...loads, sleepers];
  const done = () => loads.reduce((sum, load) => sum + load.done, 0);
  return {
    async run() {
      const end = done() + between(30, 250);
      for (const load of all) load.resume();
      await eventually(() => done() >= end || `only ${end - done()} operations are left to do`, 60_000);
      await pause(between(0, 40));
    },
    pause: () => Promise.all(all.map((load) => load.pause())),
    acknowledged: () => log.counts.ok,
    /* The sleepers' alarms are heard of before anybody asks them. */
    async alarmsCome() {
      const silent = () => sleepers.agents.flatMap((name) => [...log.of(name).values()]).filter((op) => op.state === "ok" && witness.heard("fired", op.key) === 0);
      const isDone = await eventually(() => silent().length === 0 || "silent", SILENT_MS).then(() => true, () => false);
      return isDone ? [] : silent().map((op) => ({ rule: "silent", text: `alarm '${op.key}' of ${op.agent} did not fire after the crash` }));
    },
    async judge({ isDrained, settle }) {
      const found = [];
      for (const load of all) found.push(...(await (isDrained ? house.judgeDrained(load, { settle }) : house.judge(load, { settle }))));
      return found;
    },
    async end() { for (const load of all) await load.stop(); return all; },
  };
}

async function controlHasty() {
  const house = new House({ apps: ["ledger"] });
  await house.up();
  const log = new Log({ prefix: "hasty-" });
  const load = new Load({ log, server: () => house.now, agents: ["hasty-0", "hasty-1"], clients: 4, sockets: 0, mix: ["hasty"], random: rig.random });
  let bad = [];
  for (let round = 0; round < 20 && bad.length === 0; round++) {
    const end = load.done + 50;
    load.resume();
    await eventually(() => load.done >= end || "too few operations");
    await house.kill9();
    await load.pause();
    await house.up();
    bad = await house.judge(load);
  }
  await load.stop();
  await house.close();
  rig.control("agents that acknowledge before they write", bad.some(({ rule }) => rule === "lost"), bad[0]?.text ?? "");
}

// One room -------------------------------------------------------------------------------------------------------------

/* Whether OP of APP may end otherwise than well when one ROOM died; TROUBLED: the app whose worker it was. */
function mayFail(room, op, troubled) {
  if (room === "gateway") return op.state === "unknown" && /^(ECONNRESET|EPIPE|ECUT|the socket closed)/.test(op.error);
  if (room.endsWith("worker")) return op.state === "unknown" && op.app === troubled && /^(503|555|the socket closed|ECUT|ECONNRESET)/.test(op.error);
  return false;
}

async function killRooms() {
  const wanted = ROOMS.filter((room) => rig.wants(room));
  const left = new Map(wanted.map((room) => [room, rig.numbers.rooms]));
  const witness = await startWitness(), house = new House();
  let session = 0;
  while ([...left.values()].some((count) => count > 0)) {
    await house.up();
    await killSession(house, witness, left, session++);
    await house.stop();
  }
  await house.close();
  await witness.close();
}

async function killSession(house, witness, left, session) {
  const log = new Log({ prefix: `s${session}-`, file: rig.logFile }), troubles = [], server = () => house.now;
  const loads = APPS.map((app) => new Load({
    log, server, witness, app, agents: Array.from({ length: 4 }, (_, i) => `${app}-r${session}-${i}`), clients: 4, sockets: 2, alarmMs: 100, random: rig.random,
    onEnd(op) { op.app = app; if (op.state !== "ok" && op.kind !== "refuse") troubles.push(op); },
  }));
  const killed = new Map(); // role → how often in this tree
  const isSpent = (room) => room.split("+").some((role) => (killed.get(role) ?? 0) >= KILLS_PER_TREE);
  for (let kill = 0; kill < KILLS_PER_TREE; kill++) {
    for (const [room, count] of left) {
      if (count <= 0 || isSpent(room)) continue;
      for (const role of room.split("+")) killed.set(role, (killed.get(role) ?? 0) + 1);
      if (room.split("+").some((one) => house.now.rooms(one).length === 0)) {
        left.set(room, 0);
        rig.note(`kill -9 of ${room}`, "there is no such room");
        continue;
      }
      left.set(room, count - 1);
      const bad = await killOne(house, loads, room, troubles);
      rig.count(`kill -9 of ${room}`, bad);
      if ((count - 1) % 25 === 0) rig.say(`kill -9 of ${room}: ${rig.row(`kill -9 of ${room}`).rounds} of ${rig.numbers.rooms}, ${rig.row(`kill -9 of ${room}`).bad} bad`);
    }
  }
  for (const load of loads) {
    const bad = await house.judgeDrained(load);
    if (bad.length > 0) rig.count("the end of a tree whose rooms were killed", bad);
    await load.stop();
  }
}

async function killOne(house, loads, room, troubles) {
  const before = house.family();
  for (const load of loads) load.resume();
  await progress(loads, between(5, 40));
  await pause(between(0, 30));
  const roles = room.split("+"), victims = roles.map((role) => pick(house.now.rooms(role)));
  const isVictim = (one) => victims.some(({ pid }) => pid === one.pid);
  for (const { pid } of victims) process.kill(pid, "SIGKILL");
  const bad = [];
  const areBack = () => roles.every((role) => {
    const now = house.now.rooms(role);
    return now.length === before.filter((one) => one.room === role).length && !now.some(isVictim);
  });
  const isBack = await eventually(() => areBack() || "away", 30_000).then(() => progress(loads, 30)).then(() => true, (error) => error);
  if (isBack !== true) bad.push({ rule: "away", text: `after the death of ${room}: ${isBack.message}` });
  await Promise.all(loads.map((load) => load.pause()));
  const after = house.family();
  for (const one of before) if (!isVictim(one) && !after.some((now) => now.pid === one.pid && now.started === one.started)) bad.push({ rule: "neighbour", text: `${one.room} ${one.pid} died with ${room}` });
  const troubled = troubles.find((op) => op.app)?.app;
  for (const op of troubles.splice(0)) if (!mayFail(room, op, troubled)) bad.push({ rule: "neighbour", text: `'${op.key}' of ${op.app} ended with '${op.state} ${op.error}' when ${room} died` });
  for (const load of loads) bad.push(...(await house.judge(load, { settle: room === "gateway" ? "found" : "final" })));
  return bad;
}

/* COUNT operations more that went well, in every app. */
async function progress(loads, count) {
  const goal = loads.map((load) => load.fine() + count);
  await eventually(() => loads.every((load, i) => load.fine() >= goal[i]) || `${loads.map((load, i) => `${load.host} lacks ${goal[i] - load.fine()}`)} operations`, 45_000);
}

const why = missing();
if (why) rig.skip(why);
else {
  if (rig.wants("tree")) await killTrees();
  if (rig.wants("control")) await controlHasty();
  if (ROOMS.some((room) => rig.wants(room))) await killRooms();
}
rig.end();
