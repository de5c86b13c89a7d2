// Every write-type system call of sixteen flows is the last of its room (before and after it), or of everything; or fails with EIO, ENOSPC, EINTR;
// or falls short. Each time: what was acknowledged is there, errors are typed, the agent works again, its neighbour never noticed, no room dies
// of an error. Control: calls that lie about their success must be caught.
//   node tests/fault/syscall_rig.mjs [--long] [--points 6] [--faults 7] [--only "first write,kill,EIO"] [--seed N]     0 points: every one; so many faults by chance
import { rmdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { ROOT, allGone, eventually, missing } from "../scenario/lib.mjs";
import { FLOWS, Stage, idOf, makeProject, removeForeign } from "./flows.mjs";
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
const LATE_MS = 500; // what is written after the answer is written by then
const QUIET_MS = 250; // nobody writes any more, longer than anything waits to be written

const rig = new Rig("syscall", { points: [1, 0], faults: [3, FAULTS.length] });
const [COUNTS, MET_MIN] = rig.isLong ? [3, 2] : [1, 1]; // a point of a flow is one that it came to in two of three; the short run believes the first
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
    await this.calm(this.neighbour.agents[0]);
  }

  /* Checkpointed and awake: its writes are not in the way of others' points. */
  async calm(name) {
    await this.stage(name, this.neighbour).admin("evict").catch(() => {});
    await this.house.dump("ledger", name);
  }

  stage(name, load) { return new Stage({ house: this.house, witness: this.witness, project: this.project, name, load }); }

  /* Nothing of the agent is left that would be written while the next one is watched. */
  async leave(stage) {
    await stage.admin("delete").catch(() => stage.admin("evict")).catch(() => {});
    const shard = join(this.house.data, "apps/ledger/agents/Ledger", idOf(stage.name).slice(0, 2));
    try { rmdirSync(shard); } catch { /* it has others */ }
    await quiet([...BOOK.map((name) => join(this.house.data, "scheduler/book", name)), shard]);
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

  async fresh(isWanted) {
    if (this.deaths < DEATHS_PER_TREE && !isWanted) return;
    this.deaths = 0;
    await this.house.stop();
    await this.house.up();
    if (!isWanted) await this.meet();
  }

  pidsOf(flow) { return (flow.rooms ?? ["worker", "scheduler", "journal"]).flatMap((room) => this.house.now.rooms(room)).map(({ pid }) => pid); }

  /* FLOW with FAULT at POINT (null: none): the points it came to, and the violations. */
  async play(flow, fault, point) {
    await this.fresh(flow.isFresh);
    const name = `agent-${this.number++}`, { house } = this, stage = this.stage(name, this.load(name));
    await flow.prepare?.(stage);
    const before = house.family().filter(({ room }) => room !== "ending"), server = house.now;
    const kill = fault === "tree" ? before.map(({ pid }) => pid) : [];
    const where = point && { pid: before.find(({ room }) => room === point.room)?.pid, call: point.call, glob: globOf(point, name) };
    const injection = await inject({ fault: fault === "tree" ? "kill" : fault, at: point?.nth ?? 0, where, pids: this.pidsOf(flow), kill, skip: flow.skip, sends: KILLS.includes(fault) });
    stage.isHit = injection.isHit;
    stage.isOver = () => fault === "tree" && injection.isHit();
    const went = await Promise.resolve(flow.act(stage)).then(() => [], (error) => [{ rule: "hang", text: `${name}: ${error.message}` }]);
    if (!injection.isHit()) await Promise.race([injection.hit, new Promise((resolve) => setTimeout(resolve, LATE_MS))]);
    const { points, isHit } = await injection.stop();
    const isTreeDead = fault === "tree" && isHit;
    if (isTreeDead) {
      await server.ended;
      await allGone(before);
      /* A room that was being started when the family was counted dies with its parent a moment later. */
      await eventually(() => house.up().then(() => true, (error) => error.message));
    }
    const bad = [...(isTreeDead ? [] : went), ...(await this.judge(flow, stage, { isTreeDead }).catch((error) => [{ rule: "hang", text: `${name}: ${error.message}` }]))];
    if (bad.length) for (const line of server.output.slice(-25)) rig.say(`  | ${line}`);
    if (!isTreeDead) bad.push(...this.deathsOf(before, fault, isHit));
    await this.leave(stage);
    return { points: pointsOf(points, name, before), isHit, bad: bad.map((one) => ({ ...one, text: `${one.text} [${fault} at ${describe(point)}]` })) };
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
    await (theirs.counts.ok >= 50 ? this.meet() : this.calm(neighbour));
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
    const dead = before.filter((one) => !after.some((now) => now.pid === one.pid && now.started === one.started));
    this.deaths += dead.length;
    const allowed = KILLS.includes(fault) && isHit ? 1 : 0;
    return dead.length > allowed ? [{ rule: "died", text: `${dead.map(({ room }) => room).join(", ")} died` }] : [];
  }
}

const isTyped = (error) => /^(500|503|555) \S/.test(error);
const describe = (point) => (point ? `${point.room}.${point.call} ${point.place} #${point.nth}` : "no call");

// Points -------------------------------------------------------------------------------------------------------------------
// A point is the n-th call of its kind by a room to a place, which is the same in every play: IDs of this agent are ID and AB, all others a star.
const BOOK = ["db.sqlite", "db.sqlite-wal"];

const placeOf = (target, id) => (target.startsWith("socket:") ? "socket:*"
  : `*${target.split("/").slice(-2).join("/")}`.replaceAll(id, "ID").replace(`Ledger/${id.slice(0, 2)}`, "Ledger/AB").replace(/[0-9a-f]{16,}/g, "*"));
const globOf = ({ place }, name) => place.replaceAll("[", "\\[").replaceAll("ID", idOf(name)).replaceAll("Ledger/AB", `Ledger/${idOf(name).slice(0, 2)}`);

/* Another agent's file: it comes in between. */
function isForeign(target, id) {
  const other = /Ledger\/([0-9a-f]{2})(?:\/([0-9a-f]{64}))?/.exec(target);
  return Boolean(other) && (other[1] !== id.slice(0, 2) || (other[2] !== undefined && other[2] !== id));
}

/* What a play came to, in its order: { room, call, place, nth, length }. */
function pointsOf(seen, name, family) {
  const id = idOf(name), times = new Map();
  return seen.filter(({ target }) => !isForeign(target, id)).map(({ pid, call, target, length }) => {
    const room = family.find((one) => one.pid === pid)?.room ?? "?", place = placeOf(target, id), key = `${room} ${call} ${place}`;
    times.set(key, (times.get(key) ?? 0) + 1);
    return { room, call, place, nth: times.get(key), length };
  });
}

/* The points that MET_MIN of PLAYS or more came to. */
function common(plays) {
  const all = new Map();
  for (const points of plays) for (const point of points) all.set(describe(point), { point, met: (all.get(describe(point))?.met ?? 0) + 1 });
  return [...all.values()].filter(({ met }) => met >= MET_MIN).map(({ point }) => point);
}

/* Until none of PATHS was changed within QUIET_MS. */
async function quiet(paths) {
  const from = Date.now();
  const last = () => Math.max(from, ...paths.map((path) => { try { return statSync(path).mtimeMs; } catch { return 0; } }));
  await eventually(() => Date.now() - last() > QUIET_MS || "still writing");
}

/* COUNT of a list by chance, in its order; 0: all. */
function choose(list, count) {
  if (count === 0 || count >= list.length) return list;
  const left = [...list], chosen = new Set(Array.from({ length: count }, () => left.splice(Math.floor(rig.random() * left.length), 1)[0]));
  return list.filter((one) => chosen.has(one));
}

const WRITES = ["write", "pwrite64", "writev", "pwritev"];

async function spoil(bench, name, flow) {
  const notes = new Map(), known = new Map();
  const pointsFor = async (fault, title) => {
    const isKill = KILLS.includes(fault), plays = [];
    if (!known.has(isKill)) {
      while (plays.length < COUNTS) {
        const counted = await bench.play(flow, isKill ? "killed" : "none", null);
        rig.count(title, counted.bad, 0);
        plays.push(counted.points);
      }
      known.set(isKill, common(plays));
    }
    return known.get(isKill).filter((point) => fault !== "short" || (WRITES.includes(point.call) && point.length > 1));
  };
  for (const fault of choose(wantedFaults, rig.numbers.faults)) {
    const title = `${name}: ${KILLS.includes(fault) ? "killed" : "failing"} at ${rig.isLong ? "every" : "some"} point`;
    const points = choose(await pointsFor(fault, title), rig.numbers.points), unmet = [];
    for (const point of points) if (!(await isMet(bench, flow, fault, point, title))) unmet.push(describe(point));
    notes.set(title, [...(notes.get(title) ?? []), `${fault} ${points.length - unmet.length}/${points.length}${unmet.length ? ` (not: ${unmet.join("; ")})` : ""}`]);
  }
  for (const [title, all] of notes) rig.note(title, all.join(", "));
  const rows = rig.rows.filter((row) => row.fault.startsWith(`${name}: `));
  rig.say(`${name}: ${rows.map((row) => row.note).join(", ")}; ${rows.reduce((sum, row) => sum + row.bad, 0)} bad`);
}

async function isMet(bench, flow, fault, point, title) {
  for (let tries = 0; tries < MISSES_MAX; tries++) {
    const played = await bench.play(flow, fault, point);
    rig.count(title, played.bad, played.isHit ? 1 : 0);
    if (played.isHit) return true;
  }
  return false;
}

/* Writes that claim success and do nothing, from the first on: what was acknowledged is not there after a crash of everything. */
async function controlLie(bench) {
  const name = "control", stage = bench.stage(name, bench.load(name));
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
