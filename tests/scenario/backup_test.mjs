// A node's backup is the node at one moment: restored, it has every write that was acknowledged before, and its alarms. Made while writers write,
// of what changed only, gone on with after an interruption, checked byte by byte; in a folder and in an S3-compatible store.
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, realpathSync, rmSync, statSync, writeFileSync } from "node:fs";
import { connect } from "node:net";
import { dirname, join } from "node:path";
import { describe, it } from "node:test";
import { DORMOUSE, eachFile, eventually, fixture, missing, scratch, start } from "./lib.mjs";
import { CERTIFICATE, KEYS, startS3 } from "./s3_server.mjs";

const probe = fixture("probe");
const skip = missing({ only: "dormouse" });
const PROGRAMS = dirname(realpathSync(DORMOUSE)); // build/dormouse is a link
const WORKER = join(PROGRAMS, "dormouse-backup");
const PLAIN = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith("AWS_")));

/* A command to its end, beside everything that goes on: { status, events, said }. */
async function dormouse(args, { env = {}, program = DORMOUSE } = {}) {
  const child = spawn(program, args, { env: { ...PLAIN, NO_COLOR: "1", ...env }, stdio: ["ignore", "pipe", "pipe"] });
  let out = "", said = "";
  child.stdout.on("data", (data) => { out += data; });
  child.stderr.on("data", (data) => { said += data; });
  const [status] = await once(child, "close");
  const lines = out.split("\n").filter(Boolean).map((line) => { try { return JSON.parse(line); } catch { return { text: line }; } });
  return { status, events: lines, said: said + out, done: lines.find((line) => line.event === "done"), error: lines.find((line) => line.error)?.error };
}
const backup = (data, target, ...more) => dormouse(["backup", target, "--data", data, "--json", ...more]);
const restore = (target, data, ...more) => dormouse(["restore", target, "--data", data, "--json", ...more]);

/* One question on the admin socket. */
async function ask(data, op) {
  const socket = connect(join(data, "admin.sock"));
  socket.write(JSON.stringify({ id: 1, op }) + "\n");
  const [line] = await once(socket, "data");
  socket.destroy();
  const answer = JSON.parse(line);
  assert.equal(answer.ok, true, String(line));
  return answer;
}

/* A node and folders beside it, all of it gone after the test. */
async function house(t, options = {}) {
  const own = scratch("dormouse-backup-test-"), data = join(own.dir, "one");
  mkdirSync(data);
  const nodes = [await start(probe, { data, ...options })];
  t.after(async () => { for (const node of nodes) await node.stop().catch(() => node.kill9()); own.remove(); });
  return {
    data, node: nodes[0], dir: (name) => join(own.dir, name),
    again: async (name, more = {}) => { nodes.push(await start(probe, { data: join(own.dir, name), isDeployed: true, ...more })); return nodes.at(-1); },
  };
}

const put = async (node, name, from, to) => { for (let i = from; i < to; i++) await node.json(`/p/${name}/put?v=${i}`); };
const upTo = (count) => Array.from({ length: count }, (_, i) => `${i}`);
const filesOf = (dir) => Object.fromEntries(eachFile(dir).map((path) => [path, readFileSync(join(dir, path))]));
const packsIn = (target) => eachFile(target).filter((path) => path.startsWith("packs/") && !path.endsWith(".next"));

/* Writers that go on until they are stopped; acknowledged[name] is how many writes of it were answered. */
function writers(node, names, filler = "") {
  const acknowledged = Object.fromEntries(names.map((name) => [name, 0]));
  let isStopped = false;
  const all = Promise.all(names.map(async (name) => {
    for (let i = 0; !isStopped; i++) {
      await node.json(`/p/${name}/put?v=${i}${filler}`);
      acknowledged[name] = i + 1;
    }
  }));
  return { acknowledged, total: () => Object.values(acknowledged).reduce((a, b) => a + b, 0), stop: () => { isStopped = true; return all; } };
}

/* NODE has of each agent at least what was acknowledged BEFORE, and nothing but a beginning of what was written. */
async function holds(node, before, filler = "") {
  for (const [name, count] of Object.entries(before)) {
    const rows = await node.json(`/p/${name}/all`);
    assert.ok(rows.length >= count, `${name} has ${rows.length} of the ${count} writes that were acknowledged before`);
    assert.deepEqual(rows, rows.map((_, i) => `${i}${filler}`));
  }
}

describe("a backup of a running node", { skip }, () => {
  it("has every write that was acknowledged before, while writers go on", async (t) => {
    const { node, data, dir, again } = await house(t);
    const filler = "x".repeat(3000), names = Array.from({ length: 12 }, (_, i) => `w${i}`);
    const load = writers(node, names, filler);
    await eventually(() => load.total() > 200, 60_000);
    let before;
    for (let i = 0; i < 3; i++) { // the second and third go on from the one before, over databases that change under them
      before = { ...load.acknowledged };
      const made = await backup(data, dir("target"), "--rate", "4");
      assert.equal(made.status, 0, made.said);
      assert.equal(made.done.live, true);
      const then = load.total();
      await eventually(() => load.total() > then + 50, 60_000); // it went on
    }
    await load.stop();
    const whole = await dormouse(["backup", "verify", dir("target"), "--json"]);
    assert.equal(whole.status, 0, whole.said);
    assert.equal((await restore(dir("target"), dir("two"))).status, 0);
    const copy = await again("two");
    await holds(copy, before, filler);
    const written = load.total(), restored = (await Promise.all(names.map((name) => copy.json(`/p/${name}/all`)))).flat().length;
    assert.ok(restored < written, `the copy has ${restored} of ${written} writes: control: the copy is of the moment of the backup, not of now`);
    await put(copy, "new", 0, 3); // and it goes on from there
    assert.deepEqual(await copy.json("/p/new/all"), upTo(3));
    assert.ok(!existsSync(join(data, "journal/hold")));
  });

  for (const history of [10240, 0])
    it(`is of one moment, whatever databases and segments do while it is made (history_mb ${history})`, async (t) => {
      const own = scratch();
      t.after(own.remove);
      writeFileSync(join(own.dir, "conf.json"), JSON.stringify({ history_mb: history }));
      const { node, data, dir, again } = await house(t, { args: ["--config", join(own.dir, "conf.json")] });
      const s3 = await startS3(t), env = { ...KEYS, AWS_ENDPOINT_URL: s3.endpoint }, names = Array.from({ length: 12 }, (_, i) => `a${i}`);
      const evict = () => { for (const name of names) assert.equal(spawnSync(DORMOUSE, ["agents", "evict", `Probe/${name}`, "--data", data]).status, 0); };
      const segments = (folder) => (existsSync(join(data, folder)) ? readdirSync(join(data, folder)).filter((name) => name.endsWith(".seg")) : []);
      for (const name of names) await put(node, name, 0, 5);
      evict(); // the databases have five rows
      for (const name of names) await put(node, name, 5, 10); // these the journal alone has
      let stall, release;
      const stalled = new Promise((resolve) => { stall = resolve; }), released = new Promise((resolve) => { release = resolve; });
      s3.moods.mood = ({ method, key }) => { if (method === "PUT" && key.includes("packs/")) { stall(); return { hold: released }; } };
      // A pack has one database: it stalls when the first is copied, and the others are not.
      const job = { do: "backup", target: `s3://${s3.bucket}`, data, socket: join(data, "admin.sock"), pack_bytes: 16384, chunk_bytes: 16384 };
      const made = dormouse([JSON.stringify(job)], { env, program: WORKER });
      await Promise.race([stalled, made]);
      const oldest = segments("journal")[0];
      for (const name of names) await put(node, name, 10, 12);
      evict(); // the databases have twelve
      for (let i = 0; i < 2; i++) { // and the segment is needed by nobody any more
        await ask(data, "journal_cut");
        await put(node, "other", 50 * i, 50 * i + 50);
        spawnSync(DORMOUSE, ["agents", "evict", "Probe/other", "--data", data]);
      }
      await ask(data, "journal_cut");
      if (history > 0) await eventually(() => segments("journal/history").includes(oldest) || "the segment has not become history");
      else assert.ok(segments("journal").includes(oldest), "it is held");
      release();
      const { status, said } = await made;
      assert.equal(status, 0, said);
      assert.equal((await dormouse(["backup", "verify", `s3://${s3.bucket}`, "--json"], { env })).status, 0);
      assert.equal((await dormouse(["restore", `s3://${s3.bucket}`, "--data", dir("two"), "--json"], { env })).status, 0);
      const copy = await again("two");
      for (const name of names) assert.deepEqual(await copy.json(`/p/${name}/all`), upTo(12), name);
      if (history > 0) return;
      await eventually(async () => { // what goes, goes with the next sync of the whole file system, which others may keep busy
        await put(node, "other", 100, 101);
        await ask(data, "journal_cut");
        return !segments("journal").includes(oldest) || "the segments stay although nobody holds them";
      }, 120_000);
    });

  it("has alarms that fire there", async (t) => {
    const { node, data, dir, again } = await house(t);
    const due = Date.now() + 5000;
    await node.fetch(`/p/a/alarm?in=${due - Date.now()}`);
    const { done, said } = await backup(data, dir("target"));
    assert.ok(done, said);
    await node.kill9();
    assert.equal((await restore(dir("target"), dir("two"))).status, 0);
    const copy = await again("two");
    if (done.at_ms < due) await eventually(async () => (await copy.json("/p/a/all")).includes("alarm 0") || "the alarm has not fired", 30_000);
    assert.ok((await copy.json("/p/a/all")).includes("alarm 0"));
  });

  it("has agents that were deleted, born and restored as they were", async (t) => {
    const { node, data, dir, again } = await house(t);
    await put(node, "gone", 0, 3);
    await put(node, "back", 0, 3);
    assert.equal((await backup(data, dir("target"))).status, 0);
    assert.equal(spawnSync(DORMOUSE, ["agents", "delete", "Probe/gone", "--yes", "--data", data]).status, 0);
    assert.equal(spawnSync(DORMOUSE, ["agents", "delete", "Probe/back", "--yes", "--data", data]).status, 0);
    await put(node, "back", 0, 1);
    await put(node, "born", 0, 2);
    assert.equal((await backup(data, dir("target"))).status, 0);
    assert.equal((await restore(dir("target"), dir("two"))).status, 0);
    const copy = await again("two");
    assert.deepEqual(await copy.json("/p/gone/all"), []);
    assert.deepEqual(await copy.json("/p/back/all"), upTo(1));
    assert.deepEqual(await copy.json("/p/born/all"), upTo(2));
    await copy.stop();
    assert.equal((await restore(dir("target"), dir("three"), "--at", "00000001")).status, 0); // the one before
    const older = await again("three");
    assert.deepEqual(await older.json("/p/gone/all"), upTo(3));
    assert.deepEqual(await older.json("/p/back/all"), upTo(3));
    assert.deepEqual(await older.json("/p/born/all"), []);
  });

  it("has snapshots, with the memory in them", async (t) => {
    const { node, data, dir, again } = await house(t);
    const agents = (where, ...args) => spawnSync(DORMOUSE, ["agents", ...args, "--data", where], { encoding: "utf8" });
    await put(node, "a", 0, 3);
    await node.json("/p/a/keep?v=remembered");
    assert.equal(agents(data, "snapshot", "Probe/a", "--label", "mark").status, 0);
    await put(node, "a", 3, 5);
    assert.equal((await backup(data, dir("target"))).status, 0);
    await node.stop();
    assert.equal((await restore(dir("target"), dir("two"))).status, 0);
    const copy = await again("two");
    assert.deepEqual(await copy.json("/p/a/all"), upTo(5));
    assert.deepEqual(await copy.json("/p/a/kept"), []); // control: memory itself is not in a backup
    const rolled = agents(dir("two"), "rollback", "Probe/a", "--snapshot", "mark");
    assert.equal(rolled.status, 0, rolled.stdout + rolled.stderr);
    assert.deepEqual(await copy.json("/p/a/all"), upTo(3));
    assert.deepEqual(await copy.json("/p/a/kept"), ["remembered"]);
  });

  it("has the history, unless it is not wanted", async (t) => {
    const { node, data, dir, again } = await house(t);
    await put(node, "a", 0, 4);
    const then = new Date(Date.now() + 1).toISOString();
    await eventually(() => Date.now() > Date.parse(then) + 2);
    await put(node, "a", 4, 9);
    await node.stop(); // an orderly stop leaves history only
    assert.equal((await backup(data, dir("target"))).status, 0);
    assert.equal((await restore(dir("target"), dir("two"))).status, 0);
    const copy = await again("two");
    const { status, stderr } = spawnSync(DORMOUSE, ["agents", "restore", "Probe/a", "--at", then, "--data", dir("two")], { encoding: "utf8" });
    assert.equal(status, 0, stderr);
    assert.deepEqual(await copy.json("/p/a/all"), upTo(4));
    assert.equal((await backup(data, dir("other"), "--no-history")).status, 0);
    assert.equal((await restore(dir("other"), dir("three"))).status, 0);
    assert.ok(!existsSync(join(dir("three"), "journal/history")));
  });
});

describe("a backup of a stopped node", { skip }, () => {
  it("is the node, and keeps it from starting meanwhile", async (t) => {
    const { node, data, dir, again } = await house(t);
    await put(node, "a", 0, 5);
    await node.kill9();
    const before = filesOf(data);
    const made = await backup(data, dir("target"));
    assert.equal(made.status, 0, made.said);
    assert.equal(made.done.live, false);
    assert.deepEqual(Object.keys(filesOf(data)).sort(), Object.keys(before).sort()); // it left nothing behind
    assert.equal((await restore(dir("target"), dir("two"))).status, 0);
    const after = filesOf(dir("two"));
    for (const path of Object.keys(after)) assert.deepEqual(after[path], before[path], path);
    for (const path of Object.keys(before)) assert.ok(after[path] || /^(scheduler\/|journal\/era|supervisor\.lock|admin\.sock|.*\/image)/.test(path), `${path} is not in the backup`);
    assert.deepEqual(await (await again("two")).json("/p/a/all"), upTo(5));
  });
});

describe("the second backup", { skip }, () => {
  it("copies what changed only", async (t) => {
    const { node, data, dir } = await house(t);
    for (let i = 0; i < 30; i++) await put(node, `a${i}`, 0, 1);
    await node.stop();
    await eventually(() => Date.now() - statSync(join(data, "control.json")).ctimeMs > 2500); // what was just written is looked at again
    const first = await backup(data, dir("target"));
    assert.ok(first.done.written_bytes > 1_000_000, first.said); // the deploy's template is the most of it
    const second = await backup(data, dir("target"));
    assert.equal(second.done.files, first.done.files);
    assert.equal(second.done.bytes, first.done.bytes);
    assert.equal(second.done.written_bytes, 0, second.said);
    const one = eachFile(data).find((path) => path.endsWith("db.sqlite") && path.startsWith("apps"));
    writeFileSync(join(data, one), Buffer.concat([readFileSync(join(data, one)), Buffer.alloc(4096, 7)]));
    const third = await backup(data, dir("target"));
    assert.ok(third.done.written_bytes > 4096 && third.done.written_bytes < 40_000, third.said);
    assert.equal((await restore(dir("target"), dir("two"))).status, 0);
    assert.deepEqual(readFileSync(join(dir("two"), one)), readFileSync(join(data, one)));
  });

  it("goes on where an interrupted one was", async (t) => {
    const { node, data, dir } = await house(t);
    await put(node, "a", 0, 5);
    await node.stop();
    const job = (target) => JSON.stringify({ do: "backup", target, data, socket: join(data, "admin.sock"), pack_bytes: 65536, chunk_bytes: 65536, checkpoint_ms: 0 });
    const whole = await dormouse([job(dir("whole"))], { program: WORKER });
    const child = spawn(WORKER, [job(dir("target"))], { stdio: "ignore" });
    const ended = once(child, "exit");
    await eventually(() => { if (!existsSync(dir("target"))) return "no target"; return packsIn(dir("target")).length >= 40; });
    child.kill("SIGKILL");
    await ended;
    const left = packsIn(dir("target")).length;
    assert.ok(left < packsIn(dir("whole")).length, "it was interrupted in the middle");
    const none = await dormouse(["backup", "verify", dir("target"), "--json"]);
    assert.match(none.error.message, /There is no backup/); // half a backup is none
    const resumed = await dormouse([job(dir("target"))], { program: WORKER });
    assert.equal(resumed.status, 0, resumed.said);
    assert.equal(resumed.done.resumed, true);
    assert.ok(resumed.done.written_bytes < whole.done.written_bytes - 30 * 65536 * 0.5, `${resumed.done.written_bytes} bytes again, of ${whole.done.written_bytes}`);
    assert.ok(!existsSync(join(dir("target"), "unfinished")));
    assert.equal((await dormouse(["backup", "verify", dir("target"), "--json"])).status, 0);
    assert.equal((await restore(dir("target"), dir("two"))).status, 0);
    assert.equal((await restore(dir("whole"), dir("three"))).status, 0);
    assert.deepEqual(filesOf(dir("two")), filesOf(dir("three")));
  });

  it("stores again what the target lost", async (t) => {
    const { node, data, dir } = await house(t);
    await put(node, "a", 0, 5);
    await node.stop();
    assert.equal((await backup(data, dir("target"))).status, 0);
    cpSync(dir("target"), dir("broken"), { recursive: true, filter: (path) => !path.includes("/packs/") });
    assert.equal((await dormouse(["backup", "verify", dir("broken"), "--json"])).status, 1);
    assert.equal((await backup(data, dir("broken"))).status, 0);
    assert.equal((await dormouse(["backup", "verify", dir("broken"), "--json"])).status, 0);
  });
});

describe("verify, list and prune", { skip }, () => {
  it("finds a flipped bit wherever it is, and a restore does not take it", async (t) => {
    const { node, data, dir } = await house(t);
    await put(node, "a", 0, 5);
    await node.stop();
    assert.equal((await backup(data, dir("target"))).status, 0);
    assert.equal((await dormouse(["restore", dir("target"), "--verify", "--json"])).status, 0); // control
    for (const path of eachFile(dir("target"))) {
      const whole = readFileSync(join(dir("target"), path));
      for (const at of [0, whole.length >> 1, whole.length - 2]) {
        const flipped = Buffer.from(whole);
        flipped[at] ^= 1;
        writeFileSync(join(dir("target"), path), flipped);
        const { status, error } = await dormouse(["backup", "verify", dir("target"), "--json"]);
        assert.equal(status, 1, `${path} at ${at}`);
        assert.equal(error.code, "ERR_CORRUPT");
      }
      if (path.startsWith("packs/")) assert.equal((await restore(dir("target"), dir(`bad-${path.slice(-8)}`))).error.code, "ERR_CORRUPT");
      writeFileSync(join(dir("target"), path), whole);
    }
  });

  it("opens every database with what the journal has of it, and finds what checksums cannot", async (t) => {
    const { node, data, dir } = await house(t);
    for (const name of ["a", "b", "c"]) await put(node, name, 0, 60);
    await node.stop(); // their databases have all of it
    const again = await start(probe, { data, isDeployed: true });
    await put(again, "a", 60, 65);
    await put(again, "only", 0, 3); // the journal alone has these
    await again.kill9();
    const verify = (target, ...more) => dormouse(["backup", "verify", dir(target), "--json", ...more], { env: { TMPDIR: dir("tmp") } });
    mkdirSync(dir("tmp"));
    assert.equal((await backup(data, dir("whole"))).status, 0);
    const whole = await verify("whole");
    assert.equal(whole.status, 0, whole.said); // control
    assert.equal(whole.done.opened, 3);
    assert.deepEqual(readdirSync(dir("tmp")), []); // nothing is left
    const databases = eachFile(data).filter((path) => /^apps\/.*db\.sqlite$/.test(path));
    assert.equal(databases.length, 3);
    let damaged = 0;
    for (const path of databases) { // the disk had changed them before they were copied
      const bytes = readFileSync(join(data, path)), bad = Buffer.from(bytes);
      bad.fill(0xa5, 4096, bytes.length);
      writeFileSync(join(data, path), bad);
      assert.equal((await backup(data, dir("target"))).status, 0);
      writeFileSync(join(data, path), bytes);
      const found = await verify("target"), { done } = found;
      if (done) continue; // all of its pages are in the journal, which makes it whole
      assert.equal(found.error.code, "ERR_CORRUPT", found.said);
      assert.ok(found.events.some(({ event, what }) => event === "damaged" && what === path), found.said);
      assert.equal((await verify("target", "--checksums")).status, 0);
      damaged++;
    }
    assert.ok(damaged >= 2, "the two that the journal has no pages of");
    assert.ok((await backup(data, dir("target"))).done);
    assert.equal((await verify("target")).status, 0);
    const segment = eachFile(data).findLast((path) => /^journal\/[0-9a-f]+\.seg$/.test(path)), records = readFileSync(join(data, segment));
    writeFileSync(join(data, segment), Buffer.from(records).fill(0x5a, 200, 400)); // in the first record of those that the journal alone has
    assert.equal((await backup(data, dir("target"))).status, 0);
    const found = await verify("target");
    assert.equal(found.error.code, "ERR_CORRUPT", found.said);
    assert.equal((await verify("target", "--checksums")).status, 0);
  });

  it("opens them in a sandbox, without the secrets of the store", async (t) => {
    const own = scratch();
    t.after(own.remove);
    const child = spawn(join(PROGRAMS, "dormouse-check"), [own.dir], { stdio: ["pipe", "pipe", "inherit"], env: { PATH: process.env.PATH } });
    const [line] = await once(child.stdout, "data");
    assert.equal(JSON.parse(line).ok, true);
    const state = readFileSync(`/proc/${child.pid}/status`, "utf8");
    assert.match(state, /^NoNewPrivs:\t1$/m);
    assert.match(state, /^Seccomp:\t2$/m);
    child.stdin.end("[\"../..\",\"x\",\"y\"]\n[]\n");
    const answers = (await child.stdout.toArray()).join("").trim().split("\n").map((text) => JSON.parse(text));
    assert.deepEqual(answers.map(({ ok, end }) => ok ?? end), [false, true]);
  });

  it("keeps the newest, and what they need", async (t) => {
    const { node, data, dir, again } = await house(t);
    for (let i = 0; i < 5; i++) {
      await put(node, "a", i, i + 1);
      if (i === 1) writeFileSync(join(data, "apps/probe/names/passing"), randomBytes(1 << 20)); // only the second has it
      assert.equal((await backup(data, dir("target"))).status, 0);
      rmSync(join(data, "apps/probe/names/passing"), { force: true });
    }
    const packs = packsIn(dir("target")).length;
    const listed = (await dormouse(["backup", "list", dir("target"), "--json"])).events;
    assert.deepEqual(listed.map(({ id }) => id.slice(0, 8)), ["00000001", "00000002", "00000003", "00000004", "00000005"]);
    assert.ok(listed.every((one) => one.files > 5 && one.data === data));
    assert.equal((await dormouse(["backup", "prune", dir("target")])).status, 2);
    const pruned = await dormouse(["backup", "prune", dir("target"), "--keep", "2", "--json"]);
    assert.equal(pruned.status, 0, pruned.said);
    assert.equal(pruned.events.at(-1).backups, 3);
    assert.ok(packsIn(dir("target")).length < packs, "the pack that only the second needed is gone");
    for (const id of ["00000004", "00000005"]) assert.equal((await dormouse(["backup", "verify", dir("target"), "--at", id, "--json"])).status, 0);
    assert.equal((await restore(dir("target"), dir("two"), "--at", "00000004")).status, 0);
    assert.deepEqual(await (await again("two")).json("/p/a/all"), upTo(4));
    assert.equal((await backup(data, dir("target"), "--keep", "1")).status, 0);
    assert.equal((await dormouse(["backup", "list", dir("target"), "--json"])).events.length, 1);
    assert.equal((await dormouse(["backup", "verify", dir("target"), "--json"])).status, 0);
  });

  it("says what is wrong, and changes nothing then", async (t) => {
    const { node, data, dir } = await house(t);
    await put(node, "a", 0, 1);
    assert.match((await restore(dir("nowhere"), dir("two"))).error.message, /nowhere/);
    mkdirSync(dir("empty"));
    assert.match((await restore(dir("empty"), dir("two"))).error.message, /There is no backup/);
    assert.match((await backup(dir("empty"), dir("target"))).error.message, /no data folder of Dormouse/);
    assert.equal((await backup(data, dir("target"))).status, 0);
    const before = filesOf(data);
    assert.match((await restore(dir("target"), data)).error.message, /is not empty/);
    assert.deepEqual(Object.keys(filesOf(data)), Object.keys(before));
    assert.match((await restore(dir("target"), dir("two"), "--at", "2020-01-01")).error.message, /younger than that/);
    assert.match((await restore(dir("target"), dir("two"), "--at", "00000099")).error.message, /There is no backup '00000099'/);
    assert.match((await backup(data, "ftp://x/y")).error.message, /folder or to s3:/);
    assert.equal((await dormouse(["restore", dir("target")])).status, 2);
    assert.equal((await dormouse(["backup", "lost", dir("target")])).status, 2);
    const slow = spawn(DORMOUSE, ["backup", dir("slow"), "--data", data, "--rate", "1"], { stdio: "ignore" });
    const ended = once(slow, "exit");
    await eventually(() => existsSync(join(data, "journal/hold")));
    assert.match((await backup(data, dir("target"))).error.message, /Another backup/);
    slow.kill("SIGINT");
    await ended;
    await eventually(() => !existsSync(join(data, "journal/hold")) || "an interrupted backup still holds the journal");
    assert.equal((await backup(data, dir("slow"))).done.resumed, true);
    for (const args of [["backup", "--help"], ["restore", "--help"]]) assert.match((await dormouse(args)).said, /s3:\/\/BUCKET\/PREFIX/);
  });
});

describe("an S3-compatible store", { skip }, () => {
  const at = (s3) => ["--endpoint", s3.endpoint];

  it("takes backups and gives them back, whatever the weather", async (t) => {
    const { node, data, dir, again } = await house(t);
    const s3 = await startS3(t), target = `s3://${s3.bucket}/some & odd/prefix`;
    const names = ["a", "b", "c", "d"], load = writers(node, names);
    await eventually(() => load.total() > 40, 60_000);
    let asked = 0;
    s3.moods.mood = ({ method }) => {
      asked++;
      if (asked % 5 === 1) return { status: asked % 2 ? 503 : 500 };
      if (asked % 11 === 3) return { hangUp: true };
      if (asked % 17 === 5) return { status: 400, code: "RequestTimeout" };
      if (asked % 13 === 4 && method === "GET") return { cut: true };
      if (asked % 7 === 2) return { hold: new Promise((resolve) => setTimeout(resolve, 300)) }; // slow: not waited for by the test
    };
    const before = { ...load.acknowledged };
    const made = await dormouse(["backup", target, "--data", data, "--json", ...at(s3)], { env: KEYS });
    assert.equal(made.status, 0, made.said);
    await load.stop();
    assert.ok(s3.log.some(({ status }) => status === 503) && s3.log.some(({ status }) => status === 400) && s3.log.every(({ status }) => status !== 403), JSON.stringify(s3.log.filter(({ status }) => status === 403)));
    assert.ok([...s3.objects.keys()].every((key) => key.startsWith("some & odd/prefix/")));
    const whole = await dormouse(["backup", "verify", target, "--json", ...at(s3)], { env: KEYS });
    assert.equal(whole.status, 0, whole.said);
    const back = await dormouse(["restore", target, "--data", dir("two"), "--json", ...at(s3)], { env: KEYS });
    assert.equal(back.status, 0, back.said);
    await holds(await again("two"), before);
  });

  it("is talked to over TLS by its own certificate, and by none that is not trusted", async (t) => {
    const { node, data, dir, again } = await house(t);
    const s3 = await startS3(t, { isSecure: true }), target = `s3://${s3.bucket}`, env = { ...KEYS, AWS_CA_BUNDLE: CERTIFICATE };
    await put(node, "a", 0, 3);
    const distrusted = await dormouse(["backup", target, "--data", data, "--json", ...at(s3)], { env: KEYS });
    assert.match(distrusted.error?.message ?? distrusted.said, /certificate of the store is not trusted: .*self.signed.*AWS_CA_BUNDLE/);
    const misled = await dormouse(["backup", target, "--data", data, "--json", ...at(s3)], { env: { ...env, AWS_CA_BUNDLE: dir("nowhere") } });
    assert.match(misled.error?.message ?? misled.said, /^AWS_CA_BUNDLE names no file of certificates: .*nowhere/);
    assert.equal(s3.log.length, 0);
    for (const args of [["backup", target, "--data", data], ["backup", "verify", target], ["restore", target, "--data", dir("two")]]) {
      const done = await dormouse([...args, "--json", ...at(s3)], { env });
      assert.equal(done.status, 0, done.said);
    }
    await holds(await again("two"), { a: 3 });
  });

  it("has the same bytes as a folder, in objects of bounded size, and a small second backup", async (t) => {
    const { node, data, dir } = await house(t);
    const s3 = await startS3(t), target = `s3://${s3.bucket}`, env = { ...KEYS, AWS_ENDPOINT_URL: s3.endpoint };
    await put(node, "a", 0, 5);
    await node.stop();
    const job = (place) => JSON.stringify({ do: "backup", target: place, data, socket: join(data, "admin.sock"), pack_bytes: 262144, chunk_bytes: 65536 });
    assert.equal((await dormouse([job(target)], { env, program: WORKER })).status, 0);
    assert.equal((await dormouse([job(dir("folder"))], { program: WORKER })).status, 0);
    assert.ok(Math.max(...s3.log.map(({ bytes }) => bytes)) <= 262144);
    assert.equal((await dormouse(["restore", target, "--data", dir("two"), "--json"], { env })).status, 0);
    assert.equal((await restore(dir("folder"), dir("three"))).status, 0);
    assert.deepEqual(filesOf(dir("two")), filesOf(dir("three")));
    const first = s3.log.reduce((sum, { method, bytes }) => sum + (method === "PUT" ? bytes : 0), 0), mark = s3.log.length;
    assert.equal((await dormouse([job(target)], { env, program: WORKER })).status, 0);
    const second = s3.log.slice(mark).reduce((sum, { method, bytes }) => sum + (method === "PUT" ? bytes : 0), 0);
    assert.ok(second < first / 50, `${second} bytes after ${first}`);
    const pruned = await dormouse(["backup", "prune", target, "--keep", "1", "--json"], { env });
    assert.equal(pruned.status, 0, pruned.said);
    assert.equal((await dormouse(["backup", "list", target, "--json"], { env })).events.length, 1);
    assert.equal((await dormouse(["backup", "verify", target, "--json"], { env })).status, 0);
    const [name] = [...s3.objects.keys()].filter((key) => key.startsWith("packs/"));
    const flipped = Buffer.from(s3.objects.get(name));
    flipped[flipped.length >> 1] ^= 4;
    s3.objects.set(name, flipped);
    assert.equal((await dormouse(["backup", "verify", target, "--json"], { env })).error.code, "ERR_CORRUPT");
  });

  it("takes a prefix of any characters, and finds again what is below it", async (t) => {
    const { node, data, dir } = await house(t);
    const s3 = await startS3(t), target = `s3://${s3.bucket}/\u0001 a+b&c=<d>"'\tä日\u{1f400}/%41`, env = { ...KEYS, AWS_ENDPOINT_URL: s3.endpoint };
    await put(node, "a", 0, 2);
    await node.stop();
    const job = JSON.stringify({ do: "backup", target, data, socket: join(data, "admin.sock"), pack_bytes: 262144, chunk_bytes: 65536 });
    for (const id of ["00000001", "00000002"]) {
      const made = await dormouse([job], { env, program: WORKER });
      assert.equal(made.status, 0, made.said);
      assert.equal(made.done.id.slice(0, 8), id);
    }
    assert.ok(s3.log.filter(({ prefix }) => prefix?.endsWith("/packs/")).length > 3, "a listing has more than one page");
    assert.equal((await dormouse(["backup", "list", target, "--json"], { env })).events.length, 2);
    assert.equal((await dormouse(["backup", "prune", target, "--keep", "1", "--json"], { env })).events.at(-1).backups, 1);
    assert.equal((await dormouse(["restore", target, "--data", dir("two"), "--json"], { env })).status, 0);
    s3.objects.set("odd", Buffer.from("x"));
    s3.moods.mood = () => ({ prefix: "odd" });
    const odd = await dormouse(["backup", "list", target, "--json"], { env });
    assert.match(odd.error?.message ?? odd.said, /lists other names .*it lists 'odd'/);
  });

  it("goes on where an interrupted backup was", async (t) => {
    const { node, data, dir } = await house(t);
    const s3 = await startS3(t), target = `s3://${s3.bucket}/p`, env = { ...PLAIN, ...KEYS, AWS_ENDPOINT_URL: s3.endpoint };
    await put(node, "a", 0, 5);
    await node.stop();
    const job = JSON.stringify({ do: "backup", target, data, socket: join(data, "admin.sock"), pack_bytes: 65536, chunk_bytes: 65536, checkpoint_ms: 0 });
    let stall;
    const stalled = new Promise((resolve) => { stall = resolve; });
    s3.moods.mood = () => { if (s3.objects.size >= 40) { stall(); return { hold: new Promise(() => {}) }; } };
    const child = spawn(WORKER, [job], { env, stdio: "ignore" });
    const ended = once(child, "exit");
    await Promise.race([stalled, ended]);
    child.kill("SIGKILL");
    await ended;
    s3.moods.mood = () => undefined;
    const mark = s3.log.length, kept = s3.objects.size;
    const resumed = await dormouse([job], { env, program: WORKER });
    assert.equal(resumed.status, 0, resumed.said);
    assert.equal(resumed.done.resumed, true);
    const again = s3.log.slice(mark).filter(({ method, key }) => method === "PUT" && key.includes("packs/")).length, all = [...s3.objects.keys()].filter((key) => key.includes("packs/")).length;
    assert.ok(again <= all - kept + 12, `${again} of ${all} packs were written again, ${kept} objects had been there`);
    assert.equal((await dormouse(["backup", "verify", target, "--json"], { env })).status, 0);
  });

  it("has the backup of one of two nodes that begin in one moment, and the other is told", async (t) => {
    const { node, data, dir } = await house(t);
    const s3 = await startS3(t), target = `s3://${s3.bucket}/p`, env = { ...KEYS, AWS_ENDPOINT_URL: s3.endpoint };
    await node.stop();
    cpSync(data, dir("other"), { recursive: true, filter: (path) => !path.endsWith(".sock") });
    let begun = 0, release;
    const released = new Promise((resolve) => { release = resolve; });
    s3.moods.mood = ({ method, key }) => {
      if (method !== "PUT" || !key.endsWith("/unfinished") || begun === 2) return;
      if (++begun === 2) release();
      return { hold: released };
    };
    const both = await Promise.all([data, dir("other")].map((from) => dormouse(["backup", target, "--data", from, "--json"], { env })));
    assert.deepEqual(both.map(({ status }) => status).sort(), [0, 1], both.map(({ said }) => said).join(""));
    const failed = both.find(({ status }) => status === 1), won = both[0] === failed ? dir("other") : data;
    assert.match(failed.error.message, /Each node needs a target of its own/);
    const { events } = await dormouse(["backup", "list", target, "--json"], { env });
    assert.deepEqual(events.map((one) => one.data), [won]);
    assert.equal((await dormouse(["backup", "verify", target, "--json"], { env })).status, 0);
  });

  it("refuses wrong keys and unknown buckets at once, and gives up on a store that stays away", async (t) => {
    const { node, data, dir } = await house(t);
    const s3 = await startS3(t);
    await node.stop();
    const run = (target, env) => dormouse(["backup", target, "--data", data, "--json", ...at(s3)], { env: { ...KEYS, ...env } });
    const long = `s3://vault/${"ü".repeat(200)}`; // what happened is said before the URL, which may be cut
    assert.match((await run(long, { AWS_SECRET_ACCESS_KEY: "another" })).error.message, /403 SignatureDoesNotMatch\. The secret key/);
    assert.equal(s3.log.length, 1);
    assert.match((await run("s3://vault/x", { AWS_ACCESS_KEY_ID: "another" })).error.message, /403 InvalidAccessKeyId\. The store does not know/);
    assert.match((await run("s3://vault/x", { AWS_REGION: "eu-test-2" })).error.message, /400 AuthorizationHeaderMalformed\. Name the region .*expecting 'eu-test-1'/);
    assert.match((await run("s3://other/x", {})).error.message, /404 NoSuchBucket\. Make the bucket first/);
    for (const aheadMs of [20 * 60_000, -20 * 60_000]) {
      const other = await startS3(t, { aheadMs }), late = await dormouse(["backup", "s3://vault/x", "--data", data, "--json", ...at(other)], { env: KEYS });
      assert.match(late.error.message, /403 RequestTimeTooSkewed\. The clock of this machine/);
    }
    s3.moods.mood = ({ method }) => (method === "PUT" ? { status: 403, code: "QuotaExceeded", message: "Voll: \u00fcber der Grenze" } : undefined);
    assert.match((await run("s3://vault/x", {})).error.message, /403 QuotaExceeded\..*more room.*It says: Voll: \?ber der Grenze \(PUT/);
    s3.moods.mood = () => undefined;
    assert.match((await run("s3://vault/x", { AWS_ACCESS_KEY_ID: "", HOME: dir("nobody") })).error.message, /no credentials/);
    assert.match((await run("s3://Vault", {})).error.message, /names no bucket/);
    for (const more of ["", "x"]) assert.match((await run(`s3://vault/${more}${"ü".repeat(500)}`, {})).error.message, /prefix is too long.*…$/); // cut between characters
    writeFileSync(dir("keys"), `[other]\naws_access_key_id = x\n[default]\naws_access_key_id=${KEYS.AWS_ACCESS_KEY_ID}\n  aws_secret_access_key = ${KEYS.AWS_SECRET_ACCESS_KEY}  \n`);
    const made = await run("s3://vault/x", { AWS_ACCESS_KEY_ID: "", AWS_SECRET_ACCESS_KEY: "", AWS_SHARED_CREDENTIALS_FILE: dir("keys") });
    assert.equal(made.status, 0, made.said);
    assert.ok(readdirSync(data).includes("control.json"));
  });
});
