// Every write-type system call of thirteen flows is the last of its room (before and after it), or of everything; or fails with EIO, ENOSPC, EINTR;
// or falls short. Each time: what was acknowledged is there, errors are typed, the agent works again, its neighbour never noticed, no room dies
// of an error. Control: calls that lie about their success must be caught.
//   node tests/fault/syscall_rig.mjs [--long] [--points 6] [--faults 7] [--only "first write,kill,EIO"] [--seed N]     0 points: every one; so many faults by chance
import { join } from "node:path";
import { ROOT, allGone, eventually, missing } from "../scenario/lib.mjs";
import { FLOWS, Stage, makeProject, removeForeign } from "./flows.mjs";
import { House } from "./house.mjs";
import { cannotInject, inject } from "./injection.mjs";
import { Load, startWitness } from "./load.mjs";
import { check, overdue, Log } from "./oracle.mjs";
import { Rig } from "./rig.mjs";

const FAULTS = ["kill", "killed", "tree", "EIO", "ENOSPC", "EINTR", "short"];
const KILLS = ["kill", "killed", "tree"];
const HEAL_MS = 5_000;
const DEATHS_PER_TREE = 3; // the back-off doubles with each
const MISSES_MAX = 5; // a flow takes another way now and then, and never comes to the point
const UNMET_MAX = 2; // points in a row that it never comes to: there are no more

const rig = new Rig("syscall", { points: [1, 0], faults: [3, FAULTS.length] });
const why = missing({ only: "dormouse" }) || (await cannotInject());
const wantedFlows = Object.keys(FLOWS).filter((name) => rig.isLong || rig.only || !FLOWS[name].isSlow).filter((name) => !rig.only?.some((one) => one in FLOWS) || rig.wants(name));
const wantedFaults = FAULTS.filter((name) => !rig.only?.some((one) => FAULTS.includes(one)) || rig.wants(name));

class Bench {
  async open() {
    this.witness = await startWitness();
    this.house = new House({ apps: ["ledger"], workers: 1 });
    this.project = makeProject(join(ROOT, "tests/fault/apps/ledger"));
    this.deaths = 0;
    this.number = 0;
    await this.house.up();
    await this.meet();
  }

  /* A neighbour to watch; another one now and then, so that its dump stays small. */
  async meet() {
    this.neighbour = this.load(`neighbour-${this.number}`);
    await this.neighbour.operate(this.neighbour.agents[0], "row");
  }

  async close() {
    await this.house.close();
    await this.witness.close();
    this.project.remove();
    removeForeign();
  }

  load(name) {
    return new Load({ log: new Log({ prefix: `${name}-`, file: rig.logFile }), server: () => this.house.now, witness: this.witness, agents: [name], clients: 0, sockets: 0, random: rig.random });
  }

  async fresh() {
    if (this.deaths < DEATHS_PER_TREE) return;
    this.deaths = 0;
    await this.house.stop();
    await this.house.up();
  }

  pidsOf(flow) { return (flow.rooms ?? ["worker", "scheduler", "journal"]).flatMap((room) => this.house.now.rooms(room)).map(({ pid }) => pid); }

  /* FLOW with FAULT at its AT-th call: what was counted, and the violations. */
  async play(flow, fault, at) {
    await this.fresh();
    const name = `agent-${this.number++}`, { house, witness, project } = this;
    const stage = new Stage({ house, witness, project, name, load: this.load(name) });
    await flow.prepare?.(stage);
    const before = house.family(), server = house.now;
    const kill = fault === "tree" ? before.map(({ pid }) => pid) : [];
    const injection = await inject({ fault: fault === "tree" ? "kill" : fault, at, pids: this.pidsOf(flow), kill, skip: flow.skip, sends: KILLS.includes(fault) });
    stage.isHit = injection.isHit;
    stage.isOver = () => fault === "tree" && injection.isHit();
    const went = await Promise.resolve(flow.act(stage)).then(() => [], (error) => [{ rule: "hang", text: `${name}: ${error.message}` }]);
    const { points, isHit } = await injection.stop();
    const isTreeDead = fault === "tree" && isHit;
    if (isTreeDead) {
      await server.ended;
      await allGone(before);
      await house.up();
    }
    const bad = [...(isTreeDead ? [] : went), ...(await this.judge(flow, stage, { isTreeDead }).catch((error) => [{ rule: "hang", text: `${name}: ${error.message}` }]))];
    if (bad.length) for (const line of server.output.slice(-25)) rig.say(`  | ${line}`);
    await flow.finish?.(stage);
    if (!isTreeDead) bad.push(...this.deathsOf(before, fault, isHit));
    return { points, isHit, bad: bad.map((one) => ({ ...one, text: `${one.text} [${fault} at ${describe(points[at - 1])}]` })) };
  }

  /* The law, typed errors, and that agent and neighbour work (again). */
  async judge(flow, stage, { isTreeDead }) {
    const { house } = this, { name, log } = stage, bad = [];
    for (const op of log.of(name).values()) if (op.state === "unknown" && !isTreeDead && !isTyped(op.error)) bad.push({ rule: "untyped", text: `${name}: '${op.key}' ended with '${op.error}'` });
    if (stage.told === "unknown" && !isTreeDead && !stage.isTyped) bad.push({ rule: "untyped", text: `${name}: ended with '${stage.complaint}'` });
    bad.push(...(await this.heals(stage)));
    const state = await house.dump("ledger", name);
    bad.push(...((await flow.check?.(stage, state)) ?? []), ...check(log, name, state), ...(flow.isDrained ? await this.drained(stage) : []));
    const { log: theirs, agents: [neighbour] } = this.neighbour, op = await this.neighbour.operate(neighbour, "row");
    if (op.state !== "ok") bad.push({ rule: "neighbour", text: `${neighbour}: '${op.key}' ended with '${op.error}'` });
    bad.push(...check(theirs, neighbour, await house.dump("ledger", neighbour)));
    if (theirs.counts.ok >= 50) await this.meet();
    return bad;
  }

  async heals(stage) {
    if (stage.told !== undefined) return []; // its own check asks it
    const isFine = await eventually(async () => (await stage.op("row")).state === "ok" || "no write went well", HEAL_MS + (this.deaths > 1 ? 5_000 : 0)).then(() => true, () => false);
    return isFine ? [] : [{ rule: "heal", text: `${stage.name}: still refused writes after ${HEAL_MS} ms` }];
  }

  async drained(stage) {
    await eventually(async () => (await stage.dump()).armed.length === 0 || "armed").catch(() => {});
    return overdue(stage.log, stage.name, await stage.dump());
  }

  deathsOf(before, fault, isHit) {
    const after = this.house.family();
    /* The first is the server; another without a room's name is ending. */
    const dead = before.filter((one, i) => (i === 0 || one.room !== "dormouse") && !after.some((now) => now.pid === one.pid && now.started === one.started));
    this.deaths += dead.length;
    const allowed = KILLS.includes(fault) && isHit ? 1 : 0;
    return dead.length > allowed ? [{ rule: "died", text: `${dead.map(({ room }) => room).join(", ")} died` }] : [];
  }
}

const isTyped = (error) => /^(500|503|555) \S/.test(error);
const describe = (point) => (point ? `call ${point.number}, ${point.call} ${point.target.replace(/^.*\/(?=[^/]+\/[^/]+$)/, "")} ${point.length}` : "no call");

/* COUNT of a list by chance, in its order; 0: all. */
function choose(list, count) {
  if (count === 0 || count >= list.length) return list;
  const left = [...list], chosen = new Set(Array.from({ length: count }, () => left.splice(Math.floor(rig.random() * left.length), 1)[0]));
  return list.filter((one) => chosen.has(one));
}

const WRITES = ["write", "pwrite64", "writev", "pwritev"];

async function spoil(bench, name, flow) {
  const notes = new Map();
  for (const fault of choose(wantedFaults, rig.numbers.faults)) {
    const isKill = KILLS.includes(fault), title = `${name}: ${isKill ? "killed" : "failing"} at ${rig.isLong ? "every" : "some"} point`;
    const counted = await bench.play(flow, isKill ? "killed" : "none", 0);
    rig.count(title, counted.bad, 0);
    const points = counted.points.filter((point) => fault !== "short" || (WRITES.includes(point.call) && point.length > 1));
    const isMet = async (at) => {
      for (let tries = 0; tries < MISSES_MAX; tries++) {
        const played = await bench.play(flow, fault, at);
        rig.count(title, played.bad, played.isHit ? 1 : 0);
        if (played.isHit) return true;
      }
      return false;
    };
    let hits = 0, all = points.length;
    if (rig.numbers.points > 0) for (const at of choose(points.map((_, i) => i + 1), rig.numbers.points)) hits += await isMet(at);
    else [hits, all] = await everyPoint(isMet);
    notes.set(title, [...(notes.get(title) ?? []), `${fault} ${hits}/${all}`]);
  }
  for (const [title, all] of notes) rig.note(title, all.join(", "));
  const rows = rig.rows.filter((row) => row.fault.startsWith(`${name}: `));
  rig.say(`${name}: ${rows.map((row) => row.note).join(", ")}; ${rows.reduce((sum, row) => sum + row.bad, 0)} bad`);
}

/* One after the other until the flow does not come so far any more (rooms checkpoint meanwhile or not: its calls are never the same number). */
async function everyPoint(isMet) {
  let hits = 0, last = 0;
  for (let at = 1; at - last <= UNMET_MAX; at++) {
    if (!(await isMet(at))) continue;
    hits++;
    last = at;
  }
  return [hits, last];
}

/* Writes that claim success and do nothing, from the first on: what was acknowledged is not there after a crash of everything. */
async function controlLie(bench) {
  const name = "control", stage = new Stage({ house: bench.house, witness: bench.witness, name, load: bench.load(name) });
  await stage.op("row");
  const injection = await inject({ fault: "lie", at: 1, times: 1000, pids: bench.pidsOf({}) });
  for (let i = 0; i < 3; i++) await stage.op("row");
  await bench.house.kill9();
  await injection.stop();
  await bench.house.up();
  const bad = check(stage.log, name, await stage.dump());
  rig.control("writes that lie about their success", bad.some(({ rule }) => rule === "lost"), bad[0]?.text ?? "");
}

if (why) rig.skip(why);
else {
  const bench = new Bench();
  await bench.open();
  for (const name of wantedFlows) await spoil(bench, name, FLOWS[name]);
  await controlLie(bench);
  await bench.close();
}
rig.end();
