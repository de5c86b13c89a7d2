// The flows whose every write-type system call the syscall rig spoils. A flow works on an agent of its own:
//   prepare(stage)   before the fault is armed     act(stage)   meets it     check(stage, state)   violations beyond the oracle's law
import { execFile, execFileSync } from "node:child_process";
import { createHash, createHmac } from "node:crypto";
import { chownSync, cpSync, existsSync, mkdirSync, readFileSync, readdirSync, statSync, writeFileSync } from "node:fs";
import net from "node:net";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import { DORMOUSE, eventually, scratch } from "../scenario/lib.mjs";

const FIRE_MS = 600;       // time to attach before an alarm is due
const SEGMENT_BYTES = 64 << 20; // of the journal
const FAR_MS = 3_600_000;  // an alarm that must stay armed

/* What flows are given: an agent NAME of HOUSE's, and ways to ask it under the log's eyes. */
export class Stage {
  constructor({ house, load, witness, name, project }) {
    Object.assign(this, { house, load, witness, name, project, log: load.log });
  }

  op(kind, alarmMs) { return this.load.operate(this.name, kind, alarmMs); }
  dump() { return this.house.dump("ledger", this.name); }
  admin(what) { return admin(this.house.data, { op: "agent", app: "ledger", class: "Ledger", name: this.name, do: what }); }
}

/* One question over the admin socket: the answer; throws when there is none, or it is an error. */
function admin(data, question) {
  return new Promise((resolve, reject) => {
    const socket = net.connect(join(data, "admin.sock"));
    let text = "";
    socket.setTimeout(30_000, () => socket.destroy(new Error("no answer from the admin socket")));
    socket.on("error", reject);
    socket.on("close", () => reject(new Error("the admin socket closed")));
    socket.setEncoding("utf8").on("data", (piece) => {
      text += piece;
      if (!text.includes("\n")) return;
      const answer = JSON.parse(text);
      socket.destroy();
      if (answer.ok && answer.result?.ok !== false) resolve(answer);
      else reject(Object.assign(new Error(answer.error?.message ?? answer.result?.error ?? text), { isTyped: true }));
    });
    socket.write(`${JSON.stringify({ id: 1, ...question })}\n`);
  });
}

const book = (stage) => join(stage.house.data, "scheduler/book/db.sqlite-wal");
const bookTime = (stage) => { try { return statSync(book(stage)).mtimeMs; } catch { return 0; } };

/* Arms an alarm, and waits until the scheduler's book has it: what comes later is not of this. */
async function armed(stage, ms) {
  const before = bookTime(stage), op = await stage.op("alarm", ms);
  await eventually(() => bookTime(stage) !== before || "the scheduler's book was not written");
  return op;
}

async function threeAndRest(stage) {
  await three(stage);
  await stage.admin("evict");
}

const deleteAgent = (stage) => attempt(stage, () => stage.admin("delete"));

/* The write is here, not before: an agent that waits for the fault to be armed rests by itself. */
async function rowAndRest(stage) {
  await stage.op("row");
  await attempt(stage, () => stage.admin("evict"));
}

/* Until it fired, and its handler has ended; or all of it was stopped. */
async function firedAndDone(stage) {
  const { key } = stage.armed;
  await eventually(() => stage.witness.heard("fired", key) > 0 || stage.isOver() || "the alarm did not fire");
  await stage.dump().catch(() => {}); // judged afterwards
  await stage.op("row");
}

const three = async (stage) => { for (const kind of ["row", "kv", "row"]) await stage.op(kind); };

/* An operation outside of the oracle's kinds: how it ended. */
async function attempt(stage, work) {
  try {
    await work();
    stage.told = "ok";
  } catch (error) {
    stage.told = "unknown";
    stage.complaint = error.message;
    stage.isTyped = error.isTyped ?? /closed|ECONNREFUSED|ENOENT/.test(`${error.code} ${error.message}`);
  }
}

/* After DELETEALL or a delete: all of it is gone, or (unless it was acknowledged) all of it is there. */
function allOrNothing(stage, state) {
  const isEmpty = state.kv.length === 0 && state.rows.length === 0 && state.armed.length === 0;
  if (isEmpty) stage.log.agents.delete(stage.name); // the law is kept by emptiness; what follows starts anew
  else if (stage.told === "ok") return [{ rule: "undead", text: `${stage.name}: was deleted, and has ${state.rows.length} rows, ${state.kv.length} values` }];
  return [];
}

// The namespace's key and the agent's id as workerd derives them.
export function idOf(name) {
  const key = createHash("sha256").update("ledger-Ledger").digest();
  const first = createHmac("sha256", key).update(name).digest().subarray(0, 16);
  return Buffer.concat([first, createHmac("sha256", key).update(first).digest().subarray(0, 16)]).toString("hex");
}

/* A database as workerd leaves it, rows in its WAL too; made by SQLite itself, in a process that dies before it could tidy up. */
function makeForeign(dir) {
  const script = `
import os, sqlite3, sys
db = sqlite3.connect(sys.argv[1], isolation_level=None)
db.execute("PRAGMA journal_mode = WAL")
db.execute("CREATE TABLE entry (id INTEGER PRIMARY KEY, key TEXT NOT NULL)")
db.execute("CREATE TABLE _cf_KV (key TEXT PRIMARY KEY, value BLOB) WITHOUT ROWID")
db.execute("INSERT INTO entry (key) VALUES ('foreign-1')")
db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
db.execute("INSERT INTO entry (key) VALUES ('foreign-2'), ('foreign-3')")
os.kill(os.getpid(), 9)
`;
  try { execFileSync("python3", ["-c", script, join(dir, "db.sqlite")], { stdio: "ignore" }); } catch { /* it killed itself */ }
  for (const name of ["db.sqlite", "db.sqlite-wal"]) if (!existsSync(join(dir, name))) throw new Error(`python3 did not make ${name}`);
}

let foreign = null;
export function removeForeign() { foreign?.remove(); foreign = null; }

function importForeign(stage) {
  if (!foreign) makeForeign((foreign = scratch("dormouse-foreign-")).dir);
  putInPlace(stage.house.data, stage.name, foreign.dir);
}

/* Puts the database files in FROM in place as the agent's, with the owner of its neighbours; its folder. */
export function putInPlace(data, agent, from) {
  const id = idOf(agent), agents = join(data, "apps/ledger/agents"), folder = join(agents, "Ledger", id.slice(0, 2), id);
  const { uid, gid } = statSync(agents);
  mkdirSync(folder, { recursive: true });
  for (const name of readdirSync(from)) execFileSync("cp", ["--sparse=always", join(from, name), folder]);
  for (const path of [join(agents, "Ledger"), dirname(folder), folder, ...readdirSync(folder).map((name) => join(folder, name))]) chownSync(path, uid, gid);
  return folder;
}

const FOREIGN = ["foreign-1", "foreign-2", "foreign-3"];

function checkForeign(stage, state) {
  const theirs = state.rows.splice(0, 3).map(([, key]) => key);
  return theirs.join() === FOREIGN.join() ? [] : [{ rule: "lost", text: `${stage.name}: of the imported rows there are only '${theirs.join()}'` }];
}

/* A copy of the app whose answer says which version it is, for deploys. */
export function makeProject(ledgerFolder) {
  const project = scratch("dormouse-deploys-");
  cpSync(ledgerFolder, project.dir, { recursive: true });
  const file = join(project.dir, "index.js"), source = readFileSync(file, "utf8");
  return { ...project, version: 0, next() { this.version++; writeFileSync(file, source.replace('"hello"', `"version ${this.version}"`)); return this.version; } };
}

/* Always of a version that the server has not seen. */
async function deploy(stage) {
  const { project } = stage;
  stage.version = project.next();
  await attempt(stage, () => promisify(execFile)(DORMOUSE, ["deploy", project.dir, "--data", stage.house.data], { timeout: 60_000 }).catch((error) => {
    const text = `${error.stdout}${error.stderr}`.trim();
    throw Object.assign(new Error(text || error.message), { isTyped: error.code === 1 && text.startsWith("error: ") });
  }));
}

/* Fills a segment of the journal and begins the next, with rows that do not compress; a few more after the fault. */
async function fillSegment(stage) {
  const bytes = 900_000;
  for (let i = 0, after = 0; i * bytes < SEGMENT_BYTES + 8 * bytes && after < 4; i++) {
    await stage.op("big", bytes);
    if (stage.isHit()) after++;
  }
}

async function checkDeploy(stage) {
  const { status, text } = await stage.house.ask("ledger", "/");
  const isRight = stage.told === "ok" ? text === `version ${stage.version}` : /^(hello|version \d+)$/.test(text);
  return status === 200 && isRight ? [] : [{ rule: "deploy", text: `deploying version ${stage.version} was told ${stage.told}, and the app answers ${status} '${text.slice(0, 100)}'` }];
}

/* isFresh: rooms that have not done it before; isSlow: in the long run only; rooms: who is spoilt; skip: calls that are not. */
export const FLOWS = {
  "first segment": { isFresh: true, act: (stage) => stage.op("row") },
  "first write": { act: (stage) => stage.op("row") },
  "update": { prepare: three, act: (stage) => stage.op("swap") },
  "transaction": { prepare: three, act: (stage) => stage.op("txn") },
  "KV put": { prepare: three, act: (stage) => stage.op("kv") },
  "alarm set": { prepare: three, act: (stage) => stage.op("alarm", FAR_MS) },
  "alarm fires": {
    async prepare(stage) { stage.armed = await armed(stage, FIRE_MS); },
    act: firedAndDone,
    isDrained: true,
  },
  "deleteAll": {
    async prepare(stage) { await three(stage); await armed(stage, FAR_MS); },
    act: (stage) => attempt(stage, async () => {
      const { status, text } = await stage.house.ask("ledger", `/l/${stage.name}/empty`);
      if (status !== 200) throw Object.assign(new Error(`${status} ${text}`), { isTyped: true });
    }),
    check: allOrNothing,
  },
  "rest": { act: rowAndRest },
  "rest again": { prepare: threeAndRest, act: rowAndRest },
  "wake": { prepare: threeAndRest, act: (stage) => stage.op("row") },
  "agent delete": { prepare: threeAndRest, act: deleteAgent, check: allOrNothing },
  "delete awake": { async act(stage) { await stage.op("row"); await deleteAgent(stage); }, check: allOrNothing },
  "import": { isFresh: true, prepare: importForeign, act: (stage) => stage.op("row"), check: checkForeign },
  // Of every commit these calls are spoilt in the other flows; here those that it takes to change segments.
  "new segment": { act: fillSegment, skip: ["pwrite64", "fdatasync", "sendmsg", "write"], isSlow: true },
  "deploy": { act: deploy, check: checkDeploy, rooms: ["worker", "scheduler", "journal", "control"] },
};
