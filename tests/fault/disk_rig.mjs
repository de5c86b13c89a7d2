// Out of space: a file system that is full, and one agent at its quota. Nothing is acknowledged that is not kept, errors are typed, agents that nobody
// writes to are read as ever, no room dies of it; with space again every agent works within five seconds. Control: agents that acknowledge before they write.
//   node tests/fault/disk_rig.mjs [--long] [--full 20] [--quota 5] [--only full,quota,control] [--seed N]
import { execFileSync, spawnSync } from "node:child_process";
import { mkdirSync, rmSync, statfsSync } from "node:fs";
import { join } from "node:path";
import { eventually, missing, scratch } from "../scenario/lib.mjs";
import { putInPlace } from "./flows.mjs";
import { APPS, House } from "./house.mjs";
import { Load, MIX, ask, startWitness } from "./load.mjs";
import { Log, check } from "./oracle.mjs";
import { Rig } from "./rig.mjs";

const DISK_MIB = 1280;
const SPACE_MIB_MIN = 256; // without the ballast: what the rounds write, and segments of the journal, must not fill the disk by themselves
const HEAL_MS = 5_000;
const REFUSALS_MIN = 20; // so many operations end badly before there is space again
const ROUNDS_PER_DISK = 4; // the last with a kill -9 of everything
const REFUSAL_MS_MAX = 10_000; // nothing waits for space
const SMALLEST_BYTES = 4096;
const PAGE_BYTES = 4096;
const QUOTA_PAGES = 2_621_440; // lib/store: 10 GB
const PAGES_LEFT = 40;

const rig = new Rig("disk", { full: [1, 40], quota: [1, 10] });

// A small disk -------------------------------------------------------------------------------------------------------------

/* A small ext4 in an image, or where loop devices are missing a tmpfs: { dir, kind, fill(), free(), remove() }. Throws when neither can be mounted. */
function smallDisk() {
  const own = scratch("dormouse-disk-"), dir = join(own.dir, "mnt"), image = join(own.dir, "image"), ballast = join(dir, "ballast");
  mkdirSync(dir);
  const run = (command, ...words) => spawnSync(command, words, { encoding: "utf8" });
  run("truncate", "-s", `${DISK_MIB}M`, image);
  let kind = "ext4";
  run("mkfs.ext4", "-q", "-F", "-m", "0", image);
  let mounted = run("mount", "-o", "loop", image, dir);
  if (mounted.status !== 0) {
    kind = "tmpfs";
    mounted = run("mount", "-t", "tmpfs", "-o", `size=${DISK_MIB}M`, "tmpfs", dir);
  }
  if (mounted.status !== 0) {
    own.remove();
    throw new Error(`no file system can be mounted here: ${mounted.stderr?.trim()}`);
  }
  execFileSync("chmod", ["755", own.dir, dir]);
  mkdirSync(join(dir, "data"));
  let files = 0;
  return {
    data: join(dir, "data"), kind,
    /* Takes what is left, in ever smaller pieces. */
    fill() {
      mkdirSync(ballast, { recursive: true });
      for (let bytes = DISK_MIB * 1024 * 1024; bytes >= SMALLEST_BYTES; )
        if (run("fallocate", "-l", String(bytes), join(ballast, String(files++))).status !== 0) bytes = Math.floor(bytes / 2);
    },
    free() { rmSync(ballast, { recursive: true, force: true }); },
    leftBytes() { const { bavail, bsize } = statfsSync(dir); return bavail * bsize; },
    remove() {
      const end = run("umount", dir);
      if (end.status !== 0) throw new Error(`'${dir}' stays mounted: ${end.stderr.trim()}`);
      own.remove();
    },
  };
}

/* A disk lasts for some rounds: what they wrote stays on it. */
async function fillDisks() {
  const seen = { refused: 0, acknowledged: 0, slowestMs: 0, restarts: 0 }, rounds = rig.wants("full") ? rig.numbers.full : 0;
  for (let done = 0; done < rounds; done += ROUNDS_PER_DISK) await fillDisk(seen, Math.min(ROUNDS_PER_DISK, rounds - done), false);
  if (rig.wants("control")) await fillDisk(seen, 0, true);
}

async function fillDisk(seen, rounds, isControl) {
  const disk = smallDisk(), witness = await startWitness(), house = new House({ data: disk.data });
  const title = `a full disk (${disk.kind}, ${DISK_MIB} MiB)`;
  try {
    await house.up();
    if (rounds > 0) await rig.measure(title, rounds, (round) => fillOnce({ disk, witness, house, seen, round }));
    if (rounds > 0) rig.note(title, `${seen.refused} refused, ${seen.acknowledged} acknowledged; works again after at most ${Math.round(seen.slowestMs)} ms; ${seen.restarts} kill -9 of all while full`);
    if (isControl) await controlHasty(disk, house);
  } finally {
    disk.free();
    await house.close();
    await witness.close();
    disk.remove();
  }
}

async function fillOnce({ disk, witness, house, seen, round }) {
  const log = new Log({ prefix: `f${round}-`, file: rig.logFile }), bad = [], troubles = [];
  const loads = APPS.map((app) => new Load({
    log, witness, app, server: () => house.now, agents: [0, 1, 2].map((i) => `${app}-f${round}-${i}`), clients: 4, sockets: 1, random: rig.random, bigBytes: 1_000_000, mix: [...MIX, "big", "big"],
    onEnd(op) { if (op.state === "unknown") troubles.push(op); },
  }));
  const quiet = new Load({ log, witness, server: () => house.now, agents: [0, 1, 2].map((i) => `quiet-f${round}-${i}`), clients: 0, sockets: 0, random: rig.random });
  for (const name of quiet.agents) await quiet.operate(name, "pair");
  const all = (work) => Promise.all(loads.map(work));
  await all((load) => load.resume());
  await eventually(() => loads.every((load) => load.fine() >= 30) || "too few operations before the disk was full", 30_000);
  const before = house.family();
  disk.fill();
  const isRefused = (kind) => troubles.some((op) => op.kind === kind);
  await eventually(() => (troubles.length >= REFUSALS_MIN && isRefused("alarm")) || `only ${troubles.length} operations were refused by the full disk, ${isRefused("alarm") ? "" : "not "}one that sets an alarm among them`, 30_000).catch((error) => bad.push({ rule: "full", text: error.message }));
  bad.push(...(await readsGoOn(house, quiet)));
  const isKilled = round % ROUNDS_PER_DISK === 0;
  if (isKilled) {
    seen.restarts++;
    await house.kill9();
    await all((load) => load.pause());
    disk.free();
    await house.up();
    await all((load) => load.resume());
  } else disk.free();
  if (disk.leftBytes() < SPACE_MIB_MIN * 1024 * 1024) throw new Error(`the rig's own disk is too small: ${disk.leftBytes() >> 20} MiB are left without the ballast`);
  bad.push(...(await heals(loads, seen)));
  await all((load) => load.pause());
  for (const op of troubles) if (!/^(500|503|555) \S/.test(op.error) && !(op.kind === "ws" && op.error === "the socket closed") && !isKilled) bad.push({ rule: "untyped", text: `'${op.key}' ended with '${op.error}'` });
  if (!isKilled) for (const op of troubles) if (op.endedAt - op.at > REFUSAL_MS_MAX) bad.push({ rule: "slow", text: `'${op.key}' (${op.kind}) was refused after ${Math.round(op.endedAt - op.at)} ms` });
  if (!isKilled) bad.push(...deaths(before, house.family()));
  if (bad.length > 0) rig.say(`  | ${disk.leftBytes() >> 20} MiB are left: ${spawnSync("du", ["-m", "--max-depth=2", disk.data], { encoding: "utf8" }).stdout.trim().split("\n").map((line) => line.split("\t").map((word) => word.replace(disk.data, ".")).join(" ")).join(", ")}`);
  if (bad.length > 0) for (const line of distinct(house.now.output).slice(-60)) rig.say(`  | ${line}`);
  for (const load of [...loads, quiet]) bad.push(...(await house.judgeDrained(load)));
  await Promise.all([all((load) => load.stop()), quiet.stop()]);
  seen.refused += log.counts.unknown;
  seen.acknowledged += log.counts.ok;
  return bad;
}

/* A full disk says the same again and again: each kind of line once, where it came last, and how often. */
function distinct(lines) {
  const kinds = new Map();
  for (const line of lines) {
    const kind = line.replace(/\d+/g, "0"), times = (kinds.get(kind)?.times ?? 0) + 1;
    kinds.delete(kind);
    kinds.set(kind, { line, times });
  }
  return [...kinds.values()].map(({ line, times }) => (times > 1 ? `${line} (${times} times like this)` : line));
}

async function readsGoOn(house, load) {
  const found = await Promise.all(load.agents.map(async (name) => {
    const { status, text } = await ask({ port: house.now.port, host: load.host, path: `/l/${name}/seen` }).catch((error) => ({ status: 0, text: error.code }));
    return status === 200 ? [] : [{ rule: "read", text: `a read of ${name} while the disk was full answered ${status} ${text.slice(0, 200)}` }];
  }));
  return found.flat();
}

/* With space again: each agent has taken a write within HEAL_MS. */
async function heals(loads, seen) {
  const start = performance.now(), bad = [];
  await Promise.all(loads.flatMap((load) => load.agents.map(async (name) => {
    const isFine = await eventually(async () => (await load.operate(name, "row")).state === "ok" || "refused", HEAL_MS).then(() => true, () => false);
    if (!isFine) bad.push({ rule: "heal", text: `${name} refuses writes ${HEAL_MS} ms after there was space` });
  })));
  seen.slowestMs = Math.max(seen.slowestMs, performance.now() - start);
  return bad;
}

function deaths(before, after) {
  const dead = before.filter((one) => !after.some((now) => now.pid === one.pid && now.started === one.started));
  return dead.map(({ room, pid }) => ({ rule: "died", text: `${room} ${pid} died of the full disk` }));
}

/* The same full disk, and agents that answer before they write: what they acknowledged is lost, and the oracle says so. */
async function controlHasty(disk, house) {
  const log = new Log({ prefix: "hasty-" }), load = new Load({ log, server: () => house.now, agents: ["hasty-0", "hasty-1"], clients: 2, sockets: 0, mix: ["hasty"], random: rig.random });
  load.resume();
  await eventually(() => load.fine() >= 10 || "too few operations");
  disk.fill();
  /* What the journal had room for already, it still takes. */
  await eventually(async () => (await load.operate("probe", "big", 1_000_000)).state !== "ok" || "a full disk takes writes", 60_000);
  const end = load.done + 300;
  await eventually(() => load.done >= end || "too few operations", 60_000);
  await load.pause();
  await house.kill9();
  disk.free();
  await house.up();
  const bad = await house.judge(load);
  await load.stop();
  rig.control("agents that acknowledge before they write, on a full disk", bad.some(({ rule }) => rule === "lost"), bad[0]?.text ?? "");
}

// One agent at its quota ---------------------------------------------------------------------------------------------------

/* A database that SQLite takes for almost 10 GB: its header says so, and the file is that long, with a hole in it. */
function makeHuge(dir) {
  const script = `
import os, sqlite3, struct, sys
path, pages, page_bytes = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
db = sqlite3.connect(path, isolation_level=None)
db.execute("CREATE TABLE before (v TEXT)")
db.execute("INSERT INTO before VALUES ('was there')")
db.close()
with open(path, "r+b") as file:
    file.seek(28)
    file.write(struct.pack(">I", pages))
    file.truncate(pages * page_bytes)
`;
  execFileSync("python3", ["-c", script, join(dir, "db.sqlite"), String(QUOTA_PAGES - PAGES_LEFT), String(PAGE_BYTES)]);
}

async function fillAgents() {
  const house = new House(), witness = await startWitness(), huge = scratch("dormouse-huge-");
  makeHuge(huge.dir);
  await house.up();
  await rig.measure("one agent at its quota of 10 GB", rig.numbers.quota, (round) => fillAgent({ house, witness, huge, round }));
  await house.close();
  await witness.close();
  huge.remove();
}

async function fillAgent({ house, witness, huge, round }) {
  const log = new Log({ prefix: `q${round}-`, file: rig.logFile }), name = `full-${round}`, bad = [], troubles = [];
  const options = { log, witness, server: () => house.now, sockets: 1, random: rig.random };
  const neighbours = new Load({ ...options, agents: [0, 1, 2, 3].map((i) => `near-${round}-${i}`), clients: 4, onEnd(op) { if (op.state === "unknown") troubles.push(op); } });
  const own = new Load({ ...options, agents: [name], clients: 0, sockets: 0 });
  const folder = putInPlace(house.data, name, huge.dir), before = house.family();
  neighbours.resume();
  let refused = 0, accepted = 0;
  for (let i = 0; i < 40 && refused < 5; i++) {
    const op = await own.operate(name, "big", 5 * PAGE_BYTES);
    if (op.state === "ok") accepted++;
    else if (/^555 .*(full|SQLITE_FULL)/.test(op.error)) refused++;
    else bad.push({ rule: "untyped", text: `'${op.key}' ended with '${op.error}'` });
  }
  const careless = await own.operate(name, "careless", 5 * PAGE_BYTES);
  if (careless.state !== "ok" && !/^555 .*full/.test(careless.error)) bad.push({ rule: "untyped", text: `'${careless.key}' ended with '${careless.error}'` });
  if (accepted === 0 || refused === 0) bad.push({ rule: "quota", text: `${accepted} writes were accepted, ${refused} refused` });
  const held = await house.dump("ledger", name).catch((error) => ({ error }));
  bad.push(...(held.error ? [{ rule: "read", text: `reading the full agent: ${held.error.message}` }] : check(log, name, held)));
  const freed = await house.ask("ledger", `/l/${name}/free`);
  if (freed.status !== 200) bad.push({ rule: "heal", text: `deleting in a full agent answered ${freed.status} ${freed.text}` });
  bad.push(...(await heals([own], { slowestMs: 0 })));
  if ((await own.operate(name, "big", 5 * PAGE_BYTES)).state !== "ok") bad.push({ rule: "heal", text: "freed pages are not used again" });
  await neighbours.pause();
  for (const op of troubles) bad.push({ rule: "neighbour", text: `'${op.key}' of ${op.agent} ended with '${op.error}' beside a full agent` });
  bad.push(...deaths(before, house.family()), ...(await house.judge(neighbours)), ...(await house.judge(own)));
  await neighbours.stop();
  await own.stop();
  rmSync(folder, { recursive: true, force: true });
  return bad;
}

const why = missing({ only: "dormouse" }) || (process.getuid() !== 0 && "a small file system can be mounted by root only");
if (why) rig.skip(why);
else {
  if (rig.wants("full") || rig.wants("control")) await fillDisks();
  if (rig.wants("quota")) await fillAgents();
}
rig.end();
