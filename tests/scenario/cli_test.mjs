// The command line: what it says, with which exit status, and what a running Dormouse answers through it.
import assert from "node:assert/strict";
import { once } from "node:events";
import { readFileSync, rmSync, writeFileSync } from "node:fs";
import http from "node:http";
import net from "node:net";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import test from "node:test";
import { fileURLToPath } from "node:url";
import { Dev, DORMOUSE, built, run, scratch } from "./cli_rig.mjs";

const options = { skip: built() };
const COUNTER = `import { DurableObject } from "cloudflare:workers";
export class Counter extends DurableObject {
  constructor(ctx, env) { super(ctx, env); ctx.storage.sql.exec("CREATE TABLE IF NOT EXISTS hit (at INTEGER)"); }
  async fetch(request) { this.ctx.storage.sql.exec("INSERT INTO hit VALUES (1)"); console.log("hit", this.ctx.id.name);
    return Response.json({ id: this.ctx.id.toString(), n: this.ctx.storage.sql.exec("SELECT count(*) AS n FROM hit").one().n }); }
}
export default { async fetch(request, env) { return env.COUNTER.getByName(new URL(request.url).pathname.slice(1)).fetch(request); } };
`;
const counter = (name, extra = {}) => ({
  "wrangler.json": JSON.stringify({ name, main: "i.js", compatibility_date: "2026-11-01", durable_objects: { bindings: [{ name: "COUNTER", class_name: "Counter" }] }, migrations: [{ tag: "1", new_sqlite_classes: ["Counter"] }], ...extra }),
  "i.js": COUNTER,
});
const page = (name, text) => ({ "wrangler.json": JSON.stringify({ name, assets: { directory: "public" } }), "public/index.html": text });

// GET by host name without DNS: the Host header decides.
function get(port, host, path = "/") {
  return new Promise((done, fails) => {
    http.get({ host: "127.0.0.1", port, path, headers: { host } }, (res) => {
      let body = "";
      res.on("data", (c) => { body += c; });
      res.on("end", () => done({ status: res.statusCode, body }));
    }).on("error", fails);
  });
}

test("every command explains itself", options, async () => {
  const whole = await run(["--help"]);
  assert.equal(whole.status, 0);
  const commands = [...whole.out.matchAll(/^  (\w+) +/gm)].map((m) => m[1]);
  assert.ok(commands.length >= 10);
  for (const command of commands) {
    assert.match(whole.out, new RegExp(`  ${command} `));
    const help = await run([command, "--help"]);
    assert.equal(help.status, 0, command);
    assert.match(help.out, new RegExp(`^usage: dormouse ${command}`));
    assert.match(help.out, /--json/);
  }
});

test("version, for people and for programs", options, async () => {
  const version = readFileSync(join(dirname(fileURLToPath(import.meta.url)), "../../VERSION"), "utf8").trim();
  assert.equal((await run(["version"])).out, `dormouse ${version}\n`);
  assert.equal((await run(["--version"])).out, `dormouse ${version}\n`);
  assert.deepEqual(JSON.parse((await run(["version", "--json"])).out), { version });
});

const WRONG = [
  [[], 2, /usage: dormouse COMMAND/],
  [["serv"], 2, /no command 'serv'.*Did you mean 'serve'/],
  [["dev", "--prot", "1"], 2, /no option '--prot'.*'--port'/],
  [["dev", "--port"], 2, /'--port' needs a value/],
  [["dev", "--port", "eight"], 2, /number from 0 to 65535, not 'eight'/],
  [["dev", "--port=99999"], 2, /number from 0 to 65535/],
  [["dev", "--verbose=yes"], 2, /takes no value/],
  [["dev", "a", "b"], 2, /one word too many/],
  [["dev", "/nowhere/at/all"], 1, /no folder '\/nowhere\/at\/all'/],
  [["dev", DORMOUSE], 2, /is no folder/],
  [["build", ".", "--var", "foo", "--config", "package.json", "--out", "/tmp/x"], 2, /'--var' takes NAME:VALUE, not 'foo'/],
  [["dev", tmpdir()], 1, /No wrangler\.jsonc/],
  [["serve", "--deploy", "/nowhere", "--data", "/tmp/x"], 1, /no folder '\/nowhere'/],
  [["serve", "--app-port", "counter", "--data", "/tmp/x"], 2, /NAME=PORT/],
  [["agents"], 2, /Something is missing/],
  [["agents", "lst"], 2, /Did you mean 'list'/],
  [["agents", "show", "Counter"], 2, /CLASS\/NAME/],
  [["agents", "sql", "Counter/x"], 2, /dormouse agents/],
  [["apps", "--data", "/tmp/dormouse-nothing-here"], 1, /No Dormouse is running at '\/tmp\/dormouse-nothing-here\/admin\.sock'/],
  [["logs", "--data", "/tmp/dormouse-nothing-here"], 1, /No Dormouse is running/],
  [["doctor", "--socket", "/tmp/dormouse-nothing-here.sock"], 1, /No Dormouse is running.*What the sandbox finds.*seccomp +on.*Node\.js v\d+/s],
];
for (const [args, status, text] of WRONG)
  test(`wrong: dormouse ${args.join(" ")}`, options, async () => {
    const result = await run(args);
    assert.equal(result.status, status, result.out + result.err);
    assert.match(result.out + result.err, text);
    assert.doesNotMatch(result.out + result.err, /\u001b\[/, "no colours in a pipe");
  });

test("errors are JSON with --json", options, async () => {
  const result = await run(["apps", "--json", "--data", "/tmp/dormouse-nothing-here"]);
  assert.equal(result.status, 1);
  assert.equal(JSON.parse(result.out).error.code, "ERR_UNAVAILABLE");
  assert.equal(result.err, "");
});

test("a port that is taken is named", options, async (t) => {
  const other = net.createServer().listen(0, "127.0.0.1");
  await once(other, "listening");
  t.after(() => other.close());
  const dir = scratch(t, page("taken", "x"));
  for (const command of [["dev", dir], ["serve", "--data", join(dir, "data")]]) {
    const result = await run([...command, "--port", String(other.address().port)]);
    assert.equal(result.status, 1);
    assert.match(result.out + result.err, new RegExp(`${other.address().port}.*in use|in use.*${other.address().port}`, "s"));
  }
});

test("one node, several apps: hosts, default, own port; agents through the command line; a restart", options, async (t) => {
  const one = scratch(t, counter("one"));
  const two = scratch(t, { ...page("two", "second"), "wrangler.json": JSON.stringify({ name: "two", assets: { directory: "public" }, routes: ["two.example.com/*"] }) });
  const data = join(scratch(t, {}), "data");
  const args = ["serve", "--data", data, "--port", "0", "--workers", "2"];
  let server = new Dev(t, [...args, "--deploy", one, "--deploy", two, "--app-port", "two=0"]);
  let ready = await server.until("ready");
  let port = Number(new URL(ready.url).port);
  assert.deepEqual(ready.apps.map((a) => [a.app, a.state, a.default]), [["one", "up", true], ["two", "up", false]]);

  const first = JSON.parse((await get(port, "localhost", "/ada")).body);
  assert.equal(first.n, 1);
  assert.equal(JSON.parse((await get(port, "one.localhost", "/ada")).body).n, 2);
  const own = Number(ready.apps[1].listen.split(":")[1]);
  assert.equal((await get(own, "whatever.example")).body, "second", "its own port is its own, whatever the host");
  assert.equal((await get(port, "two.localhost")).body, "second");
  assert.equal((await get(port, `two.example.com:${port}`)).body, "second");
  for (let i = 0; i < 5; i++) await get(port, "localhost", `/agent-${i}`);

  const ask = async (...words) => {
    const result = await run([...words, "--data", data, "--json"]);
    assert.equal(result.status, 0, result.out + result.err);
    return result.out.trim().split("\n").map((l) => JSON.parse(l));
  };
  assert.deepEqual((await ask("apps")).map((a) => a.app), ["one", "two"]);
  const listed = [];
  for (let after; ; ) {
    const [answer] = await ask("agents", "list", "--limit", "2", ...(after ? ["--after", after] : []));
    listed.push(...answer.agents);
    after = answer.after;
    if (!after) break;
    assert.equal(answer.agents.length, 2);
  }
  assert.deepEqual(listed.map((a) => a.name).sort(), ["ada", "agent-0", "agent-1", "agent-2", "agent-3", "agent-4"]);
  assert.equal(listed.find((a) => a.name === "ada").id, first.id, "the same id as the app's own");

  const [shown] = await ask("agents", "show", "Counter/ada");
  assert.equal(shown.id, first.id);
  assert.deepEqual(shown.tables, [{ name: "hit", rows: 2 }]);
  const [byId] = await ask("agents", "show", `Counter/${first.id}`);
  assert.equal(byId.name, "ada");
  const [rows] = await ask("agents", "sql", "Counter/ada", "SELECT count(*) AS n, 'x' AS t FROM hit");
  assert.deepEqual([rows.columns, rows.rows], [["n", "t"], [[2, "x"]]]);
  const bad = await run(["agents", "sql", "Counter/ada", "SELEC", "--data", data]);
  assert.equal(bad.status, 1);
  assert.match(bad.err, /syntax error/);
  assert.match((await run(["agents", "show", "Nope/ada", "--data", data])).err, /no class 'Nope'/);
  assert.match((await run(["agents", "list", "--app", "nope", "--data", data])).err, /no app 'nope'/);
  assert.match((await run(["agents", "show", `Counter/${"0".repeat(64)}`, "--data", data])).err, /not one of class/);

  const said = await ask("logs", "Counter/ada");
  const lines = said.filter((l) => l.event === "log");
  assert.deepEqual(lines.map((l) => [l.app, l.class, l.name, l.text]), [["one", "Counter", "ada", "hit ada"], ["one", "Counter", "ada", "hit ada"]]);

  const refused = await run(["agents", "delete", "Counter/agent-0", "--data", data, "--json"]);
  assert.notEqual(refused.status, 0, "never without being sure");
  await ask("agents", "delete", "Counter/agent-0", "--yes");
  assert.ok(!(await ask("agents", "list"))[0].agents.some((a) => a.name === "agent-0"));
  assert.equal(JSON.parse((await get(port, "localhost", "/agent-0")).body).n, 1, "a new life");

  const doctor = await run(["doctor", "--data", data]);
  assert.equal(doctor.status, 0, doctor.out);
  assert.match(doctor.out, /gateway +0 +ready/);
  assert.match(doctor.out, /All rooms are ready/);

  await server.stop();
  server = new Dev(t, args); // without --deploy: the apps come back by themselves
  ready = await server.until("ready");
  port = Number(new URL(ready.url).port);
  assert.equal((await get(port, "two.localhost")).body, "second");
  assert.equal(JSON.parse((await get(port, "localhost", "/ada")).body).n, 3);

  const busy = await run(["deploy", two, "--listen", `127.0.0.1:${port}`, "--data", data]);
  assert.equal(busy.status, 1);
  assert.match(busy.out + busy.err, /'two' is deployed, but cannot listen at 127\.0\.0\.1:\d+: .*in use/);
  const deployed = await run(["deploy", scratch(t, page("three", "third")), "--data", data]);
  assert.equal(deployed.status, 0, deployed.out + deployed.err);
  assert.match(deployed.out, /Deployed three/);
  assert.equal((await get(port, "three.localhost")).body, "third");
  assert.equal((await run(["remove", "three", "--data", data])).status, 0);
  assert.notEqual((await get(port, "three.localhost")).body, "third");
  const again = await run(["serve", "--data", data, "--port", "0"]);
  assert.equal(again.status, 1);
  assert.match(again.err, /running with this data folder already/);
  await server.stop();
});

test("a build goes elsewhere and is deployed without its project", options, async (t) => {
  const dir = scratch(t, { ...counter("moved"), "public/a.txt": "asset" });
  writeFileSync(join(dir, "wrangler.json"), JSON.stringify({ ...JSON.parse(readFileSync(join(dir, "wrangler.json"), "utf8")), assets: { directory: "public" } }));
  const out = join(scratch(t, {}), "deploy");
  assert.equal((await run(["build", dir, "--out", out])).status, 0);
  rmSync(dir, { recursive: true });
  const server = new Dev(t, ["serve", "--data", join(out, "../data"), "--port", "0", "--deploy", out], { DORMOUSE_NODE: "/nowhere/node" });
  const port = Number(new URL((await server.until("ready")).url).port);
  assert.equal((await get(port, "localhost", "/a.txt")).body, "asset");
  assert.equal(JSON.parse((await get(port, "localhost", "/x")).body).n, 1);
  const late = await run(["deploy", out, "--var", "A:1", "--data", join(out, "../data")]);
  assert.equal(late.status, 2);
  assert.match(late.err, /'--var' has no effect here: '.*deploy' is bundled already\. Give it to 'dormouse build'\./);
  await server.stop();
});

test("deploying what does not build: exit 1, and the old version goes on", options, async (t) => {
  const dir = scratch(t, counter("steady"));
  const data = join(dir, "data");
  const server = new Dev(t, ["serve", "--data", data, "--port", "0", "--deploy", dir]);
  const port = Number(new URL((await server.until("ready")).url).port);
  for (const [change, text] of [
    ["const x: = 1", /i\.js:1:8/],
    ["throw new Error('while evaluated');", /while evaluated/],
    ["await fetch('http://127.0.0.1/');", /Disallowed operation|global scope/],
  ]) {
    writeFileSync(join(dir, "i.js"), `${change}\n${COUNTER}`);
    const result = await run(["deploy", dir, "--data", data]);
    assert.equal(result.status, 1, result.out + result.err);
    assert.match(result.err, text);
    assert.equal(result.out, "");
    assert.equal((await get(port, "localhost", "/x")).status, 200);
  }
  await server.stop();
});

test("hostile words on the admin socket harm no one else", options, async (t) => {
  const dir = scratch(t, page("calm", "calm"));
  const data = join(dir, "data");
  const server = new Dev(t, ["serve", "--data", data, "--port", "0", "--deploy", dir]);
  const port = Number(new URL((await server.until("ready")).url).port);
  const talk = async (...pieces) => {
    const socket = net.connect(join(data, "admin.sock"));
    let said = "";
    socket.on("data", (c) => { said += c; });
    socket.on("error", () => {});
    await once(socket, "connect");
    for (const piece of pieces) socket.write(piece);
    socket.end();
    await new Promise((done) => socket.on("close", done));
    return said.trim().split("\n").filter(Boolean).map((l) => JSON.parse(l));
  };
  const line = (value) => `${JSON.stringify(value)}\n`;
  const hash = "0123456789abcdef0123456789abcdef";
  const file = (path, bytes = 2) => ({ path, bytes, sha256: "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a" });
  for (const words of [
    ["\n"], ["{}\n"], ["[]\n"], ["nonsense\n"], [Buffer.from([0, 255, 254, 10])], [line({ id: "1", op: "ping" })], [line({ id: 1 })],
    ['{"id":1,"id":2,"op":"ping"}\n'], [`${"[".repeat(100000)}\n`], ["x".repeat(9 * 1024 * 1024)],
  ]) {
    const answers = await talk(...words);
    assert.equal(answers.length <= 1, true);
    if (answers.length) assert.equal(answers[0].ok, false);
  }
  for (const request of [
    { op: "nope" }, { op: "deploy" }, { op: "deploy", app: "../x", deploy: hash, files: [] }, { op: "deploy", app: "x", deploy: "../../etc", files: [] },
    { op: "deploy", app: "x", deploy: hash, files: {} }, { op: "deploy", app: "x", deploy: hash, files: [file("../../../x"), file("manifest.json")] },
    { op: "deploy", app: "x", deploy: hash, files: [file("bundle.js")] }, { op: "deploy", app: "x", deploy: hash, files: [file("manifest.json", -1)] },
    { op: "deploy", app: "x", deploy: hash, files: [file("manifest.json")], options: { workers: 0 } },
    { op: "deploy", app: "x", deploy: hash, files: [file("manifest.json")], options: { listen: "x".repeat(1000) } },
    { op: "agents", app: "../calm" }, { op: "agents", app: "calm", after: "../../x" }, { op: "agent", app: "calm", do: "drop", class: "C" }, { op: "agent", app: "calm", do: "show", class: "../C", name: "x" },
    { op: "logs", agent: "zz" }, { op: "stats", app: "calm", slot: 99 }, { op: "remove" }, { op: "remove", app: "gone" },
  ]) {
    const [answer] = await talk(line({ id: 7, ...request }));
    assert.equal(answer.id, 7);
    assert.equal(answer.ok, false, JSON.stringify(request));
    assert.match(answer.error.code, /^ERR_/);
    assert.ok(answer.error.message.length > 5);
  }
  // A manifest that is not one, and one that is another deploy's.
  for (const text of ["{}", "[]", "no"]) {
    const sum = { "{}": "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a", "[]": "4f53cda18c2baa0c0354bb5f9a3ecbe5ed12ab4d8e11ba873c2f11161202b945", no: "9390298f3fb0c5b160498935d79cb139aef28e1c47358b4bbba61862b9c26e59" }[text];
    const answers = await talk(line({ id: 1, op: "deploy", app: "x", deploy: hash, files: [{ path: "manifest.json", bytes: text.length, sha256: sum }] }), text);
    assert.equal(answers.at(-1).ok, false);
  }
  const half = await talk(line({ id: 1, op: "deploy", app: "x", deploy: hash, files: [file("manifest.json")] }), "{"); // and gone
  assert.equal(half[0].event, "need");
  const crowd = await Promise.all(Array.from({ length: 100 }, () => talk(line({ id: 1, op: "ping" }))));
  assert.ok(crowd.filter((a) => a[0]?.ok).length >= 60, "as many as are allowed are answered");
  assert.equal((await talk(line({ id: 1, op: "ping" }) + line({ id: 2, op: "ping" }), line({ id: 3, op: "ping" }))).length, 3);
  assert.equal((await get(port, "localhost")).body, "calm");
  assert.deepEqual((await talk(line({ id: 1, op: "apps" })))[0].apps.map((a) => a.app), ["calm"]);
  const rooms = JSON.parse((await run(["doctor", "--json", "--data", data])).out).supervisor.rooms;
  assert.equal(rooms.find((r) => r.role === "control").restarts, 0);
  await server.stop();
});

test("another number of workers moves agents and loses nothing", options, async (t) => {
  const dir = scratch(t, counter("wide"));
  const data = join(dir, "data");
  let server = new Dev(t, ["serve", "--data", data, "--port", "0", "--workers", "1", "--deploy", dir]);
  let port = Number(new URL((await server.until("ready")).url).port);
  const names = Array.from({ length: 12 }, (_, i) => `a${i}`);
  const hit = async () => Promise.all(names.map(async (n) => JSON.parse((await get(port, "localhost", `/${n}`)).body).n));
  assert.ok((await hit()).every((n) => n === 1));
  const wider = await run(["deploy", dir, "--workers", "3", "--data", data]);
  assert.equal(wider.status, 0, wider.out + wider.err);
  assert.equal(JSON.parse((await run(["apps", "--json", "--data", data])).out).workers, 3);
  assert.ok((await hit()).every((n) => n === 2));
  await server.stop();
  server = new Dev(t, ["serve", "--data", data, "--port", "0", "--workers", "1"]);
  const ready = await server.until("ready");
  port = Number(new URL(ready.url).port);
  assert.equal(ready.apps[0].workers, 3, "what the deploy asked for holds");
  assert.ok((await hit()).every((n) => n === 3));
  await server.stop();
});

test("a template that another engine left is built again at the start", options, async (t) => {
  const dir = scratch(t, counter("aged"));
  const data = join(dir, "data");
  let server = new Dev(t, ["serve", "--data", data, "--port", "0", "--workers", "2", "--deploy", dir]);
  let port = Number(new URL((await server.until("ready")).url).port);
  assert.equal(JSON.parse((await get(port, "localhost", "/x")).body).n, 1);
  const { deploy } = JSON.parse((await run(["apps", "--json", "--data", data])).out);
  await server.stop();
  const template = join(data, "apps/aged/deploys", deploy, "template");
  const old = readFileSync(template);
  writeFileSync(template, Buffer.alloc(old.length, 7));
  server = new Dev(t, ["serve", "--data", data, "--port", "0", "--workers", "2"]);
  port = Number(new URL((await server.until("ready")).url).port);
  assert.equal(JSON.parse((await get(port, "localhost", "/x")).body).n, 2);
  assert.ok(!readFileSync(template).subarray(0, 64).equals(Buffer.alloc(64, 7)));
  await server.stop();
});
