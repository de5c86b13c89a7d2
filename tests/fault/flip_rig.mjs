// Damage on the disk: bits flipped, sectors zeroed, bytes replaced, files cut short, in agents' databases, in the journal and its index, in the scheduler's book. What
// is damaged is noticed, or does not matter; no more than one agent is kept away for it, with a message that says what to do; everybody else answers
// as before; no room dies.
//   node tests/fault/flip_rig.mjs [--long] [--databases 200] [--journal 600] [--index 200] [--book 200]     (starts of the server; a start has 20 damaged databases)
import { execFile, execFileSync } from "node:child_process";
import { closeSync, fstatSync, ftruncateSync, openSync, readdirSync, readFileSync, readSync, rmSync, statSync, writeFileSync, writeSync } from "node:fs";
import http from "node:http";
import { join } from "node:path";
import { promisify } from "node:util";
import { DORMOUSE, ROOT, eventually, missing, scratch, startDormouse } from "../scenario/lib.mjs";
import { ask } from "./load.mjs";
import { Rig } from "./rig.mjs";

const SECTOR = 512, PAGE = 4096;
const KINDS = [["bit", 45], ["bits", 60], ["sector", 75], ["bytes", 85], ["cut", 100]]; // and up to which of 100 it is chosen
const PLACES = { bits: 8, sector: 2 }; // at most so many records of the journal are hit; else one, or the seam of two
const DAMAGED_PER_START = 20;
const names = (letter, count) => Array.from({ length: count }, (_, i) => `${letter}${i}`);
const IN_FILE = names("d", 30); // all in db.sqlite
const IN_BOTH = names("b", 10); // the newest commits in the journal only
const IN_JOURNAL = names("j", 10); // all in the journal
const WITH_ALARM = names("a", 5);
const LAST = "last"; // its commits are the journal's last: damaged ones cannot be told from what a crash tore, which nobody was told of
const EVERYBODY = [...IN_FILE, ...IN_BOTH, ...IN_JOURNAL, LAST];
const ALARM_IN_MS = 20_000; // after the base was begun; longer than making it takes
const ALARM_MS_MAX = 8000; // an overdue alarm fires, when nobody has to ask for it, within this

const rig = new Rig("flip", { databases: [4, 200], journal: [6, 600], index: [2, 200], book: [3, 200] });
const random = (below) => Math.floor(rig.random() * below);
const pick = (list) => list[random(list.length)];
const connections = new http.Agent({ keepAlive: true, maxSockets: 16 });

const up = (data, isDeployed = true) => startDormouse(join(ROOT, "tests/fault/flip_app"), { data, isDeployed, args: ["--workers", "2"] });
const get = (server, path) => ask({ port: server.port, host: "flip.localhost", agent: connections, method: "GET", path });
async function must(server, path) {
  const answer = await get(server, path);
  if (answer.status !== 200) throw new Error(`${path} answered ${answer.status}: ${answer.text}`);
  return answer;
}

// The disk before it is damaged ----------------------------------------------------------------------------------------

/* A folder of data that a kill -9 has left, and what everybody in it should answer. */
async function makeBase(data) {
  const due = Date.now() + ALARM_IN_MS;
  let server = await up(data, false);
  for (const name of [...IN_FILE, ...IN_BOTH]) await must(server, `/a/${name}/fill?from=0&count=60`);
  for (const name of WITH_ALARM) await must(server, `/a/${name}/arm?due=${due}`);
  await server.stop(); // everything is in its file
  server = await up(data);
  for (const name of IN_BOTH) await must(server, `/a/${name}/fill?from=60&count=20`);
  for (const name of IN_JOURNAL) await must(server, `/a/${name}/fill?from=0&count=30`);
  await promisify(execFile)(DORMOUSE, ["backup", `${data}-backup`, "--data", data]); // it ends the journal's segment, with an index
  for (const name of IN_JOURNAL) await must(server, `/a/${name}/fill?from=30&count=30`);
  for (const from of [0, 5, 10]) await must(server, `/a/${LAST}/fill?from=${from}&count=5`); // no sector has all of these and another's
  await server.kill9();
  if (segmentsOf(data).map((file) => indexOf(join(data, "journal", file)) > 0).join() !== "true,false") throw new Error("there should be two segments, the first with an index");
  return due;
}

const segmentsOf = (data) => readdirSync(join(data, "journal")).filter((name) => name.endsWith(".seg")).sort();

/* Where a segment's index begins; 0: it has none. */
function indexOf(path) {
  const trailer = readFileSync(path).subarray(-16);
  return trailer.subarray(0, 8).toString("latin1") === "DORMJEND" ? trailer.readUInt32LE(8) : 0;
}

async function dumps(server) {
  const found = new Map();
  for (const name of EVERYBODY) found.set(name, (await must(server, `/a/${name}/dump`)).text);
  return found;
}

/* NAME → the file of its database; an agent's file holds its name's rows. */
function databasesOf(data) {
  const root = join(data, "apps/flip/agents"), found = new Map();
  for (const path of readdirSync(root, { recursive: true }).filter((one) => one.endsWith("db.sqlite"))) {
    const name = /\/a\/([a-z]+\d*)\/fill/.exec(readFileSync(join(root, path)).toString("latin1"))?.[1];
    if (name) found.set(name, join("apps/flip/agents", path));
  }
  return found;
}

// Damage ---------------------------------------------------------------------------------------------------------------

/* Spoils PATH somewhere in its first SIZE bytes, but FIRST; what was done. */
function spoil(path, size, first = 0) {
  const fd = openSync(path, "r+"), at = first + random(size - first), dice = random(100);
  const write = (bytes, where) => writeSync(fd, bytes, 0, bytes.length, where);
  const flip = (where) => {
    const byte = Buffer.alloc(1);
    readSync(fd, byte, 0, 1, where);
    byte[0] ^= 1 << random(8);
    write(byte, where);
  };
  const kind = KINDS.find(([, upTo]) => dice < upTo)[0];
  switch (kind) {
    case "bit": flip(at); break;
    case "bits": for (let i = 0; i < 8; i++) flip(first + random(size - first)); break;
    case "sector": write(Buffer.alloc(Math.min(SECTOR - at % SECTOR, size - at)), at); break;
    case "bytes": write(Buffer.from(Array.from({ length: Math.min(64, size - at) }, () => random(256))), at); break;
    case "cut": ftruncateSync(fd, at); break;
  }
  closeSync(fd);
  return { kind, at, toString: () => `${kind} at ${at} of ${size}` };
}

/* How much of a preallocated file was written. */
function writtenBytes(path) {
  const fd = openSync(path, "r"), buffer = Buffer.alloc(1 << 20);
  let end = 0;
  for (let at = 0, n; (n = readSync(fd, buffer, 0, buffer.length, at)) > 0; at += n)
    for (let i = n - 1; i >= 0; i--) if (buffer[i]) { end = at + i + 1; break; }
  const size = fstatSync(fd).size;
  closeSync(fd);
  return Math.min(size, end);
}

// One start ------------------------------------------------------------------------------------------------------------

const said = new Map(); // message → how often

/* A copy of the base, damaged by DAMAGE(data) → victims, brought up; SEE(server) → violations. */
async function start(base, damage, see) {
  const data = `${base}-damaged`, bad = [];
  rmSync(data, { recursive: true, force: true });
  execFileSync("cp", ["-a", "--sparse=always", base, data]);
  const done = damage(data);
  let server;
  try {
    server = await up(data);
  } catch (error) {
    return [`${JSON.stringify([...done])}: the server does not start: ${error.message.slice(0, 500)}`];
  }
  const rooms = server.rooms().map(({ pid }) => pid);
  const violations = await see(server, done).catch((error) => [error.message]);
  bad.push(...violations.map((text) => `${text}   [${[...done].map(([name, what]) => `${name}: ${what}`).join("; ").slice(0, 600)}]`));
  const died = server.output.filter((line) => /killed by signal|Assertion|exited with|ended with/.test(line));
  if (died.length) bad.push(`a room died: ${died.join(" | ").slice(0, 600)}   [${[...done].map(([name, what]) => `${name}: ${what}`).join("; ").slice(0, 600)}]`);
  else if (rooms.some((pid) => !server.rooms().some((room) => room.pid === pid))) bad.push("a room was started again");
  await server.stop();
  rmSync(data, { recursive: true, force: true });
  return bad;
}

/* What everybody answers: "right", "refused", or "silent" (wrong, and nobody says so). */
async function answers(server, expected) {
  const found = new Map();
  for (const name of EVERYBODY) {
    const answer = await get(server, `/a/${name}/dump`);
    if (answer.status === 200) {
      found.set(name, answer.text === expected.get(name) ? "right" : "silent");
    } else {
      found.set(name, "refused");
      const text = answer.text.startsWith("{") ? JSON.parse(answer.text).message : answer.text;
      const message = text.replace(/[0-9a-f]{64}/g, "ID").replace(/'[^']*'/g, "'…'").slice(0, 160);
      said.set(message, (said.get(message) ?? 0) + 1);
    }
  }
  return found;
}

async function databases(base, expected) {
  const files = databasesOf(base), fault = "databases damaged", share = { right: 0, refused: 0 };
  const damaged = (hurt, see) => start(base, (data) => {
    const victims = new Map();
    while (victims.size < DAMAGED_PER_START) {
      const name = pick([...files.keys()]);
      if (!victims.has(name)) victims.set(name, hurt(join(data, files.get(name))));
    }
    return victims;
  }, async (server, victims) => {
    const bad = [];
    for (const [name, how] of await answers(server, expected)) {
      if (!victims.has(name) && how !== "right") bad.push(`${name} is ${how}, whose database was left alone`);
      else if (victims.has(name)) see(name, how, victims.get(name), bad);
    }
    return bad;
  });
  await rig.measure(fault, rig.numbers.databases, () => damaged((path) => spoil(path, statSync(path).size), (name, how, what, bad) => {
    if (how === "silent") bad.push(`${name} answers wrong and nobody says so: ${what}`);
    else share[how]++;
  }));
  rig.note(fault, `${share.right + share.refused} databases: ${share.refused} refused, ${share.right} answered right`);
  let believed = 0;
  await damaged(forge, (name, how) => { believed += how === "silent"; });
  rig.control("a row's own bytes changed, with the checksum that belongs to them", believed > 0, `${believed} seen`);
}

/* Changes a byte of a row and makes the page's checksum right again, as no accident does. */
function forge(path) {
  const file = readFileSync(path), at = file.lastIndexOf("/fill") + 1, page = Math.floor(at / PAGE), start = page * PAGE;
  file[at] ^= 1;
  const number = Buffer.alloc(4);
  number.writeUInt32BE(page + 1);
  file.writeUInt32BE(crc32c(Buffer.concat([number, file.subarray(start, start + PAGE - 4)])), start + PAGE - 4);
  writeFileSync(path, file);
  return `forged at ${at}`;
}

function crc32c(bytes) {
  let sum = 0xffffffff;
  for (const byte of bytes) {
    sum ^= byte;
    for (let i = 0; i < 8; i++) sum = sum >>> 1 ^ (sum & 1 ? 0x82f63b78 : 0);
  }
  return (sum ^ 0xffffffff) >>> 0;
}

async function journal(base, expected) {
  const folder = "journal", fault = "journal damaged", share = { right: 0, refused: 0, last: 0, cut: 0, logged: 0 };
  await rig.measure(fault, rig.numbers.journal, () => start(base, (data) => {
    const files = segmentsOf(data), file = pick(files), path = join(data, folder, file);
    return new Map([[file, Object.assign(spoil(path, indexOf(path) || writtenBytes(path)), { isLast: file === files.at(-1) })]]);
  }, async (server, victims) => {
    const bad = [], found = await answers(server, expected), [{ kind, isLast }] = victims.values();
    const named = (how) => [...found].filter(([name, one]) => one === how && name !== LAST).map(([name]) => name);
    const refused = named("refused"), silent = named("silent");
    const isHeader = server.output.some((line) => /the header of journal segment \d+ is damaged/.test(line)); // then nothing behind it can be read
    const isLogged = server.output.some((line) => /journal segment \d+ is damaged/.test(line));
    if (silent.length && !(kind === "cut" && isLast) && !isLogged) bad.push(`${silent} lost acknowledged rows, and nobody says so`);
    if (kind !== "cut" && !isHeader && refused.length > (PLACES[kind] ?? 2)) bad.push(`${refused.length} agents are kept away: ${refused}`);
    share[kind !== "cut" && silent.length ? "logged" : kind === "cut" && silent.length + refused.length ? "cut" : refused.length ? "refused" : found.get(LAST) === "right" ? "right" : "last"]++;
    return bad;
  }));
  rig.note(fault, `${share.refused} kept agents away, ${share.right} changed nothing, ${share.last} took the last batch, which cannot be told from a torn one, ` +
    `${share.cut} files cut short took what was behind the cut, ${share.logged} spoiled a record so that it names no agent: only the log tells`);
}

/* An index only saves reading: without it nobody notices anything. */
async function index(base, expected) {
  const fault = "journal's index damaged";
  await rig.measure(fault, rig.numbers.index, () => start(base, (data) => {
    const [file] = segmentsOf(data), path = join(data, "journal", file);
    return new Map([[file, spoil(path, statSync(path).size, indexOf(path))]]);
  }, async (server) => [...await answers(server, expected)].filter(([, how]) => how !== "right").map(([name, how]) => `${name} is ${how}`)));
}

/* A damaged book is heard again from the journal and the databases: nobody has to ask an agent for its alarm. */
async function book(base, expected) {
  const fault = "scheduler's book damaged", times = { kept: 0, anew: 0, older: 0 };
  await rig.measure(fault, rig.numbers.book, () => start(base, (data) => {
    const folder = join(data, "scheduler/book"), file = pick(readdirSync(folder).filter((name) => statSync(join(folder, name)).size > 0));
    return new Map([[file, spoil(join(folder, file), statSync(join(folder, file)).size)]]);
  }, async (server) => {
    const bad = [];
    const hasRung = async () => { const rung = (await must(server, "/a/bell/rung")).json; return WITH_ALARM.every((name) => rung.includes(name)) || `only ${rung} have fired`; };
    await eventually(hasRung, ALARM_MS_MAX).catch((error) => bad.push(`an alarm does not fire by itself: ${error.message}`));
    times[server.output.some((line) => /index of alarms is damaged/.test(line)) ? "anew" : server.output.some((line) => /alarms armed: 5/.test(line)) ? "kept" : "older"]++;
    for (const [name, how] of await answers(server, expected)) if (how !== "right") bad.push(`${name} is ${how}`);
    return bad;
  }));
  rig.note(fault, `${times.anew} times it began anew, ${times.older} times it had fallen back and was filled again, ${times.kept} times it had every alarm`);
}

const why = missing({ only: "dormouse" });
if (why) {
  rig.skip(why);
} else {
  const own = scratch("dormouse-flip-"), base = join(own.dir, "base"), clean = `${base}-clean`;
  execFileSync("mkdir", [base]);
  const due = await makeBase(base);
  await eventually(() => Date.now() > due || "the alarms are not due yet", 2 * ALARM_IN_MS);
  execFileSync("cp", ["-a", "--sparse=always", base, clean]);
  const server = await up(clean), expected = await dumps(server);
  await server.stop();
  await databases(base, expected);
  await journal(base, expected);
  await index(base, expected);
  await book(base, expected);
  for (const [message, times] of [...said].sort((a, b) => b[1] - a[1]).slice(0, 12)) rig.say(`${times} times: ${message}`);
  connections.destroy();
  own.remove();
}
rig.end();
