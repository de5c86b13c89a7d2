// `dormouse dev`: a project's folder is all it takes; saving redeploys; mistakes keep the old version; nothing is left behind.
import assert from "node:assert/strict";
import { once } from "node:events";
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import test from "node:test";
import { built, descendants, Dev, run, scratch } from "./cli_rig.mjs";

const options = { skip: built() };
const program = (word) => `import { DurableObject } from "cloudflare:workers";
export class Box extends DurableObject {
  async add(text) { const all = (await this.ctx.storage.get("all")) ?? []; all.push(text); await this.ctx.storage.put("all", all); console.log("added", text); return all; }
}
export default {
  async fetch(request, env) {
    const url = new URL(request.url);
    if (url.pathname === "/add") return Response.json({ word: "${word}", all: await env.BOX.getByName("the box").add(decodeURIComponent(url.search.slice(1))), v: env.V });
    if (url.pathname === "/throw") throw new Error("thrown on purpose");
    return new Response("${word}");
  },
};
`;
const project = (t, files = {}) => scratch(t, {
  "wrangler.jsonc": `{ "name": "box", "main": "src/main.ts", "compatibility_date": "2026-11-01", "vars": { "V": "file" },
    "durable_objects": { "bindings": [{ "name": "BOX", "class_name": "Box" }] }, "migrations": [{ "tag": "1", "new_sqlite_classes": ["Box"] }] }`,
  "src/main.ts": program("one"), ...files,
});
const start = async (t, dir, ...args) => {
  const dev = new Dev(t, ["dev", dir, "--port", "0", ...args]);
  const ready = await dev.until("ready");
  dev.get = async (path) => {
    const answer = await fetch(ready.url + path);
    return { status: answer.status, text: await answer.text() };
  };
  return dev;
};

test("saving redeploys and keeps the data; mistakes keep the old version; Ctrl-C ends everything", options, async (t) => {
  const dir = project(t);
  const dev = await start(t, dir);
  const save = (text) => writeFileSync(join(dir, "src/main.ts"), text);
  assert.deepEqual(JSON.parse((await dev.get("/add?a")).text), { word: "one", all: ["a"], v: "file" });

  save(program("two"));
  await dev.until("deployed");
  assert.deepEqual(JSON.parse((await dev.get("/add?b")).text), { word: "two", all: ["a", "b"], v: "file" });

  save(program("two").replace("export default {", "export default { {"));
  const broken = await dev.until("error");
  assert.equal(broken.errors[0].file, "src/main.ts");
  assert.equal((await dev.get("/")).text, "two");

  save(`${program("two")}\nconst t: string = missing();\n`);
  const thrown = await dev.until("failed");
  assert.equal(thrown.error.code, "ERR_BUILD");
  assert.match(thrown.error.message, /missing/);
  assert.match(thrown.error.stack, /src\/main\.ts:\d+/, "positions are the source's");
  assert.equal((await dev.get("/")).text, "two");

  save(program("three"));
  await dev.until("deployed");
  assert.equal((await dev.get("/")).text, "three");
  writeFileSync(join(dir, ".dev.vars"), "V=secret\n");
  await dev.until("deployed");
  assert.deepEqual(JSON.parse((await dev.get("/add?c")).text), { word: "three", all: ["a", "b", "c"], v: "secret" });
  assert.deepEqual(await dev.stop("SIGINT"), [0, null]);

  const again = await start(t, dir, "--var", "V:argument");
  assert.deepEqual(JSON.parse((await again.get("/add?d")).text).all, ["a", "b", "c", "d"], "the data is still there");
  assert.equal(JSON.parse((await again.get("/add?e")).text).v, "argument");
  assert.deepEqual(await again.stop("SIGTERM"), [0, null]);
  assert.equal(readFileSync(join(dir, ".dormouse/.gitignore"), "utf8"), "*\n");
});

test("console output and errors of agents stream by", options, async (t) => {
  const dev = await start(t, project(t));
  await dev.get("/add?hello");
  const line = await dev.until("log");
  assert.deepEqual([line.app, line.class, line.name, line.text, line.level], ["box", "Box", "the box", "added hello", 1]);
  assert.match(line.agent, /^[0-9a-f]{64}$/);
  const answer = await dev.get("/throw");
  assert.equal(answer.status, 500);
  const error = await dev.until("log");
  assert.match(error.text, /thrown on purpose/);
  assert.match(error.text, /src\/main\.ts:\d+/);
  await dev.stop();
});

test("killed with -9, it leaves no process", options, async (t) => {
  const dev = await start(t, project(t));
  assert.ok(descendants(dev.child.pid).length >= 6, "supervisor, four rooms, a worker, a bundler");
  assert.deepEqual(await dev.stop("SIGKILL"), [null, "SIGKILL"]);
});

test("without its supervisor or its bundler it says so and ends", options, async (t) => {
  for (const victim of ["dormouse-supervisor", "node"]) {
    const dev = await start(t, project(t));
    const tree = descendants(dev.child.pid);
    const pid = tree.find((p) => readFileSync(`/proc/${p}/cmdline`, "utf8").split("\0")[0].endsWith(victim));
    process.kill(pid, "SIGKILL");
    const [status] = await dev.closed;
    assert.equal(status, 1);
    const rest = [];
    for await (const line of { [Symbol.asyncIterator]: () => dev.events }) rest.push(line);
    assert.match(rest.join("\n"), victim === "node" ? /bundler ended/ : /Dormouse ended/);
    for (const p of tree) for (let i = 0; existsSync(`/proc/${p}`); i++) { assert.ok(i < 400, `process ${p} is left`); await new Promise((done) => setTimeout(done, 25)); }
  }
});

test("a killed room comes back and the address keeps answering", options, async (t) => {
  const dir = project(t);
  const dev = await start(t, dir);
  await dev.get("/add?a");
  const pids = async () => JSON.parse((await run(["doctor", "--json", "--data", join(dir, ".dormouse")])).out).supervisor.rooms;
  for (const role of ["control", "worker", "gateway"]) {
    const before = (await pids()).find((r) => r.role === role);
    process.kill(before.pid, "SIGKILL");
    for (let i = 0; ; i++) {
      assert.ok(i < 400, `${role} did not come back`);
      await new Promise((done) => setTimeout(done, 25));
      const rooms = await pids().catch(() => []);
      const now = rooms.find((r) => r.role === role);
      if (now && now.pid !== before.pid && now.state === "ready") break;
    }
    for (let i = 0; ; i++) {
      const answer = await dev.get("/").catch(() => ({ status: 0 }));
      if (answer.status === 200) break;
      assert.ok(i < 400 && [0, 404, 503].includes(answer.status), `${role}: ${answer.status} ${answer.text}`);
      await new Promise((done) => setTimeout(done, 25));
    }
  }
  writeFileSync(join(dir, "src/main.ts"), program("after"));
  await dev.until("deployed");
  assert.equal((await dev.get("/")).text, "after");
  assert.deepEqual(JSON.parse((await dev.get("/add?b")).text).all, ["a", "b"]);
  await dev.stop();
});

test("a first build that fails waits for the repair", options, async (t) => {
  const dir = project(t, { "src/main.ts": "export default {\n" });
  const dev = new Dev(t, ["dev", dir, "--port", "0"]);
  const error = await dev.until("error");
  assert.equal(error.errors[0].file, "src/main.ts");
  assert.match(error.errors[0].frame, /╵/);
  writeFileSync(join(dir, "src/main.ts"), program("repaired"));
  const ready = await dev.until("ready");
  assert.equal(await (await fetch(ready.url)).text(), "repaired");
  await dev.stop();
});

test("a second one in the same folder says so and ends; the first goes on", options, async (t) => {
  const dir = project(t);
  const dev = await start(t, dir);
  const second = await run(["dev", dir, "--port", "0"]);
  assert.equal(second.status, 1, second.out + second.err);
  assert.match(second.err, /is running with this data folder already/);
  assert.equal((await dev.get("/")).text, "one");
});

test("a result that is too large to travel is an error for who called", options, async (t) => {
  const dir = project(t, { "src/main.ts": `import { DurableObject } from "cloudflare:workers";
export class Box extends DurableObject { big() { return "y".repeat(33 << 20); } }
export default { async fetch(request, env) {
  try { return Response.json((await env.BOX.getByName("b").big()).length); } catch (error) { return new Response(error.message, { status: 500 }); }
} };` });
  const { status, text } = await (await start(t, dir)).get("/");
  assert.equal(status, 500);
  assert.match(text, /larger than 32 MiB/);
});

test("for people: a ready line, frames, and no escapes in a pipe", options, async (t) => {
  const dir = project(t);
  const { spawn } = await import("node:child_process");
  const { DORMOUSE } = await import("./cli_rig.mjs");
  const child = spawn(DORMOUSE, ["dev", dir, "--port", "0"], { stdio: ["ignore", "pipe", "pipe"] });
  t.after(() => child.kill("SIGKILL"));
  let out = "";
  const says = (text) => new Promise((done) => {
    const look = () => { if (text.test(out)) { child.stdout.off("data", look); done(); } };
    child.stdout.on("data", look);
    look();
  });
  child.stdout.on("data", (c) => { out += c; });
  await says(/^Ready on http:\/\/127\.0\.0\.1:\d+ \(box, \d+\.\d\d s\)$/m);
  const url = /Ready on (\S+)/.exec(out)[1];
  await fetch(`${url}/add?${encodeURIComponent("\u001b[31mred")}`);
  await says(/\[Box\/the box\] added \\x1b\[31mred/);
  writeFileSync(join(dir, "src/main.ts"), "const x: = 1;\n");
  await says(/src\/main\.ts:1:10\n +1 │ const x: = 1;\n +╵ +\^\n\nThe old version keeps running\./);
  writeFileSync(join(dir, "src/main.ts"), program("next"));
  await says(/Redeployed in \d+ ms/);
  assert.doesNotMatch(out, /\u001b/);
  child.kill("SIGINT");
  assert.deepEqual(await once(child, "exit"), [0, null]);
  assert.ok(existsSync(join(dir, ".dormouse/dormouse.log")));
  rmSync(join(dir, ".dormouse"), { recursive: true });
});
