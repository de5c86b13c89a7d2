// What the node says of itself: `dormouse top`, the same as metrics, and why an agent is not asleep.
import assert from "node:assert/strict";
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import http from "node:http";
import { describe, it } from "node:test";
import { connect, DORMOUSE, eventually, fixture, missing, serve } from "./lib.mjs";

const sleeper = fixture("sleeper");
const skip = missing({ only: "dormouse" });
const LONG = { warm_ms: 3_600_000, idle_ms: 3_600_000, cold_ms: 3_600_000 };

function dormouse(server, ...words) {
  const done = spawnSync(DORMOUSE, [...words, "--data", server.data], { encoding: "utf8", env: { ...process.env, TERM: "xterm" } });
  assert.equal(done.status, 0, done.stderr + done.stdout);
  return done.stdout;
}
const json = (server, ...words) => JSON.parse(dormouse(server, ...words, "--json").trim().split("\n").at(-1));
const workers = (top) => top.rooms.filter(({ role }) => role === "worker");
const sum = (rooms, name) => rooms.reduce((all, { counters }) => all + counters[name], 0);

/* The samples of the metrics: "name{labels}" → value. */
const samples = (text) => new Map(text.split("\n").filter((line) => line && !line.startsWith("#")).map((line) => [line.slice(0, line.lastIndexOf(" ")), Number(line.slice(line.lastIndexOf(" ") + 1))]));
const total = (all, name) => [...all].reduce((n, [key, value]) => n + (key === name || key.startsWith(`${name}{`) ? value : 0), 0);

describe("top", { skip }, () => {
  it("counts agents and what they do; metrics say the same", async (t) => {
    const server = await serve(t, sleeper, { limits: LONG, args: ["--workers", "2"] });
    for (const name of ["a", "b", "c"]) await server.json(`/s/${name}/step?v=a`);
    json(server, "agents", "sleep", "Sleeper/a");
    json(server, "agents", "sleep", "Sleeper/b");
    await server.json("/s/b/step?v=b");
    const client = await connect(server.ws("/s/c/ws"));
    const top = json(server, "top", "--once");
    assert.ok(top.seconds >= 0.9, `${top.seconds} s`);
    assert.deepEqual(top.rooms.map(({ role, index }) => `${role} ${index}`).sort(), ["control 0", "egress 0", "gateway 0", "journal 0", "scheduler 0", "worker 0", "worker 1"]);
    for (const { role, memory_bytes, pid } of top.rooms) assert.ok(memory_bytes > 50_000 && pid > 1, role);
    const of = (name) => sum(workers(top), name);
    assert.deepEqual([of("warm"), of("births"), of("sleeps"), of("warm_wakes"), of("resets")], [1, 3, 2, 1, 0]);
    assert.ok(of("warm_bytes") > 100 && of("commits") >= 3 && of("calls") >= 8);
    const gateway = top.rooms.find(({ role }) => role === "gateway").counters;
    assert.deepEqual([gateway.requests, gateway.sockets], [5, 1]);

    const metrics = samples(dormouse(server, "metrics"));
    const agents = (state) => [...metrics].filter(([key]) => key.startsWith("dormouse_agents{") && key.includes(`state="${state}"`)).reduce((n, [, value]) => n + value, 0);
    assert.deepEqual([agents("warm"), agents("awake")], [1, of("awake")]);
    assert.equal(total(metrics, "dormouse_agents_born_total"), 3);
    assert.equal(total(metrics, "dormouse_http_requests_total"), 5);
    assert.equal(metrics.get('dormouse_websockets{side="in"}'), 1);
    assert.ok(total(metrics, "dormouse_journal_commits_total") >= 3);
    assert.ok(total(metrics, "dormouse_room_memory_bytes") > 1_000_000);
    client.drop();
  });

  it("says what happens per second, and which images were refused", async (t) => {
    const server = await serve(t, sleeper, { limits: LONG });
    await server.json("/s/a/step?v=a");
    json(server, "agents", "sleep", "Sleeper/a");
    const child = spawn(DORMOUSE, ["top", "--data", server.data, "--json"], { stdio: ["ignore", "pipe", "ignore"] });
    t.after(() => child.kill());
    let seen;
    child.stdout.on("data", (line) => { seen = line.toString(); });
    await once(child.stdout, "data");
    await server.json("/s/a/step?v=a");
    await eventually(() => JSON.parse(seen.trim().split("\n").at(-1)).rooms.some(({ per_second }) => per_second?.warm_wakes > 0 && per_second.calls > 0));
    child.kill("SIGINT");
    const [status] = await once(child, "exit");
    assert.equal(status, 0, "Ctrl-C ends it in order");
    json(server, "agents", "sleep", "Sleeper/a");
    spawnSync(DORMOUSE, ["deploy", sleeper, "--data", server.data, "--var", "CHANGED:yes"]);
    await server.json("/s/a/step?v=a");
    assert.match(dormouse(server, "metrics"), /dormouse_images_refused_total\{app="[^"]+",worker="\d+",reason="another deployment"\} 1\n/);
    const plain = dormouse(server, "top");
    assert.match(plain, /images refused: 1, another deployment/);
    assert.doesNotMatch(plain, /\u001b/, "no colours and no screen in a pipe");
  });

  it("on a terminal: a screen, until q", async (t) => {
    const server = await serve(t, sleeper, { limits: LONG });
    const child = spawn("script", ["-qec", `${DORMOUSE} top --data ${server.data}`, "/dev/null"], { stdio: ["pipe", "pipe", "ignore"], env: { ...process.env, TERM: "xterm", NO_COLOR: "" } });
    let seen = "";
    child.stdout.on("data", (bytes) => { seen += bytes; });
    await eventually(() => seen.includes("APP/WORKER") && seen.split("\u001b[H").length > 3);
    assert.ok(seen.startsWith("\u001b[?1049h"), JSON.stringify(seen.slice(0, 40)));
    child.stdin.write("q");
    const [status] = await once(child, "exit");
    assert.equal(status, 0);
    assert.ok(seen.includes("\u001b[?1049l"), "the screen is given back");
  });
});

/* A server that never answers; asked(n) resolves once it was asked N times. */
async function silentWorld(t) {
  const held = [];
  const server = http.createServer((request, response) => { held.push(response); server.emit("asked"); });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  t.after(() => { server.closeAllConnections(); server.close(); });
  return {
    url: (path) => encodeURIComponent(`http://127.0.0.1:${server.address().port}/${path}`),
    async asked(n) { while (held.length < n) await once(server, "asked"); },
    answer: () => held.forEach((one) => one.end("late")),
  };
}

describe("agents show says why an agent is not asleep", { skip }, () => {
  const show = (server, name, cls = "Sleeper") => json(server, "agents", "show", `${cls}/${name}`);

  it("which fetch and which request it waits for, awake and asleep", async (t) => {
    const world = await silentWorld(t);
    const server = await serve(t, sleeper, { limits: LONG, args: ["--allow-private"] });
    const told = server.json(`/s/a/await?v=${world.url("model?key=secret")}`);
    await world.asked(1);
    const awake = show(server, "a");
    assert.equal(awake.state, "awake");
    assert.match(awake.asleep, /^not yet: nothing keeps it awake; in \d+\.\d s/);
    const fetches = (shown) => shown.waits_for.filter(({ what }) => what === "a fetch of it");
    assert.match(fetches(awake)[0].about, /^GET http:\/\/127\.0\.0\.1:\d+\/model$/, "without the query: it may hold a secret");
    assert.equal(fetches(awake)[0].stage, "no answer yet");
    assert.ok(awake.waits_for.some(({ what, about, stage }) => what === "a request to it" && about.endsWith("/s/a/await") && stage === "not answered yet"), JSON.stringify(awake.waits_for));
    json(server, "agents", "sleep", "Sleeper/a");
    const warm = show(server, "a");
    assert.equal(warm.state, "warm");
    assert.match(warm.asleep, /^yes, in memory: it stays there until what it waits for has come/);
    assert.ok(warm.image_bytes > 0 && warm.asleep_ms >= 0);
    assert.deepEqual(fetches(warm).map(({ about }) => about), fetches(awake).map(({ about }) => about));
    assert.ok(fetches(warm)[0].age_ms >= fetches(awake)[0].age_ms);
    const text = dormouse(server, "agents", "show", "Sleeper/a");
    assert.match(text, /waits for +a fetch of it: GET http:.*\/model \(no answer yet, \d+\.\d s\)/);
    world.answer();
    await told;
    assert.deepEqual(show(server, "a").waits_for, []);
  });

  it("timers, sockets, waitUntil, a transaction, a constructor's section", async (t) => {
    const world = await silentWorld(t);
    const server = await serve(t, sleeper, { limits: LONG, args: ["--allow-private"] });
    const has = (name, kind) => show(server, name).waits_for.find(({ what }) => what.startsWith(kind));
    await server.json("/s/t/timer?v=60000");
    assert.ok(has("t", "a timer").due_in_ms > 30_000 && has("t", "a timer").due_in_ms <= 60_000);
    const hibernating = await connect(server.ws("/s/h/ws"));
    assert.equal(has("h", "a hibernatable socket").count, 1);
    const live = await connect(server.ws("/s/l/live"));
    assert.equal(has("l", "a socket that is not").count, 1);
    await server.json(`/s/u/until?v=${world.url("x")}`);
    await world.asked(1);
    assert.equal(has("u", "waitUntil").count, 1);
    const inTransaction = server.json(`/s/x/transaction?v=${world.url("x")}`);
    await world.asked(2);
    assert.equal(has("x", "a transaction").count, 1);
    assert.equal(show(server, "x").asleep, "no: a transaction is open");
    const inSection = server.json(`/s/b/section?v=${world.url("x")}`);
    await world.asked(3);
    assert.equal(has("b", "a critical section").count, 1);
    world.answer();
    await Promise.all([inTransaction, inSection]);
    hibernating.drop();
    live.drop();
  });

  it("what comes next: warm, on disk, thrown away", async (t) => {
    const server = await serve(t, sleeper, { limits: { warm_ms: 20, cold_ms: 60, idle_ms: 3_600_000 } });
    await server.json("/s/a/step?v=a");
    await eventually(() => show(server, "a").state === "cold");
    assert.equal(show(server, "a").asleep, "yes, on disk");
    assert.ok(show(server, "a").image_bytes > 0);
    await server.json("/forgetful/f/step?v=a");
    assert.match(show(server, "f", "Forgetful").asleep, /^not with its memory: its class discards it .* in \d+\.\d s it is thrown away/);
  });
});
