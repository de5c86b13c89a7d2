// An agent that slept goes on where it stood; when it cannot, it starts from its database, and the reason is counted.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { chownSync, cpSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { describe, it } from "node:test";
import { ask, connect, DORMOUSE, eventually, fixture, missing, scratch, serve, slowWorld, start, stats } from "./lib.mjs";

const sleeper = fixture("sleeper");
const skip = missing({ only: "dormouse" });
const LONG = { warm_ms: 3_600_000, idle_ms: 3_600_000, cold_ms: 3_600_000 }; // nobody sleeps but who is told to

function dormouse(server, ...words) {
  const done = spawnSync(DORMOUSE, [...words, "--data", server.data, "--json"], { encoding: "utf8" });
  assert.equal(done.status, 0, done.stderr + done.stdout);
  return JSON.parse(done.stdout.trim().split("\n").at(-1));
}

const putToSleep = (server, agent) => assert.equal(dormouse(server, "agents", "sleep", agent).is, "warm");

const steps = async (server, path, sleep) => {
  const told = [];
  for (const v of ["a", "b", "a", "c", "b", "a"]) {
    told.push(await server.json(`${path}/step?v=${v}`));
    await sleep?.();
  }
  return told;
};

describe("sleep", { skip }, () => {
  it("keeps variables, closures, Maps, private fields, generators, regular expressions", async (t) => {
    const server = await serve(t, sleeper, { limits: LONG });
    const awake = await steps(server, "/s/awake");
    const slept = await steps(server, "/s/slept", () => putToSleep(server, "Sleeper/slept"));
    assert.deepEqual(slept, awake);
    assert.equal(slept.at(-1).starts, 1);
    const { sleeps, warm_wakes } = await stats(server);
    assert.deepEqual([sleeps, warm_wakes], [6, 5]);
  });

  it("control: a class that discards its heap, and an evicted agent, start from the database", async (t) => {
    const server = await serve(t, sleeper, { limits: { ...LONG, idle_ms: 50 } });
    const first = await server.json("/forgetful/f/step?v=a");
    await eventually(async () => (await stats(server)).awake === 0);   // the app's entry too
    const second = await server.json("/forgetful/f/step?v=a");
    assert.deepEqual([first.calls, first.starts, second.calls, second.starts], [1, 1, 1, 2]);
    assert.equal((await stats(server)).sleeps, 0);
    await server.json("/s/evicted/step?v=a");
    dormouse(server, "agents", "evict", "Sleeper/evicted");
    const anew = await server.json("/s/evicted/step?v=a");
    assert.deepEqual([anew.calls, anew.starts], [1, 2]);
  });

  it("comes by itself after an idle time", async (t) => {
    const server = await serve(t, sleeper, { limits: { warm_ms: 30 } });
    const awake = await steps(server, "/s/awake");
    let asleep = 0;
    const slept = await steps(server, "/s/slept", async () => {
      await eventually(async () => (await stats(server)).sleeps > asleep && (await stats(server)).awake <= 1); // the entry does not sleep
      asleep = (await stats(server)).sleeps;
    });
    assert.deepEqual(slept, awake);
  });

  it("keeps a promise that waits, with its context", async (t) => {
    const server = await serve(t, sleeper, { limits: LONG });
    await server.json("/s/p/step?v=a");
    putToSleep(server, "Sleeper/p");
    assert.equal(await server.json("/s/p/answer?v=hello"), "hello in context");
  });

  it("keeps large heaps", async (t) => {
    const server = await serve(t, sleeper, { limits: LONG });
    assert.equal(await server.json("/s/l/fill?v=50000"), 50000);
    putToSleep(server, "Sleeper/l");
    assert.equal(await server.json("/s/l/line?v=49999"), "line 49999 of /s/l/fill");
  });

  it("keeps hibernated sockets as the same objects, and alarms", async (t) => {
    const server = await serve(t, sleeper, { limits: LONG });
    const client = await connect(server.ws("/s/w/ws"));
    client.send("one");
    assert.equal(JSON.parse(await client.next()).calls, 1);
    putToSleep(server, "Sleeper/w");
    client.send("two");
    const { calls, isLast } = JSON.parse(await client.next());
    assert.deepEqual([calls, isLast], [2, true]);
    await server.json("/s/w/alarm?v=300");
    putToSleep(server, "Sleeper/w");
    assert.equal(await client.next(), "alarm 1 3");
    client.drop();
  });

  it("lets its database be asked and changed meanwhile", async (t) => {
    const server = await serve(t, sleeper, { limits: LONG });
    await server.json("/s/d/step?v=a");
    putToSleep(server, "Sleeper/d");
    dormouse(server, "agents", "sql", "Sleeper/d", "CREATE TABLE more (x)");
    assert.equal(dormouse(server, "agents", "show", "Sleeper/d").state, "warm");
    assert.ok((await server.json("/s/d/sql")).n > 0);
    assert.equal((await server.json("/s/d/step?v=a")).calls, 2);
  });
});

/* Asks every cursor for what it has left, after SLEEP between each of the steps. */
async function cursors(server, path, sleep) {
  const ask = (v) => server.json(`${path}/cursor?v=${v}`);
  const told = [await ask("make:1500")];
  for (const v of ["next", "next", "rest"]) {
    await sleep?.();
    told.push(await ask(v));
  }
  return told;
}

describe("cursors of sleepers", { skip }, () => {
  it("control: of more than 128 that are open the oldest are closed, and say why", async (t) => {
    const server = await serve(t, sleeper, { limits: LONG });
    const said = await server.json("/s/crowd/cursor?v=crowd:131");
    assert.deepEqual(said.slice(3), Array(128).fill(-1));
    for (const text of said.slice(0, 3)) assert.match(text, /^Error: The SQL cursor was closed, because its object has opened 128 newer ones\. Read its rows with toArray\(\)/);
  });

  it("are read on after a sleep, and see what was written meanwhile", async (t) => {
    const server = await serve(t, sleeper, { limits: LONG });
    const awake = await cursors(server, "/s/awake");
    assert.deepEqual(awake[1], ["id", "text", "bytes", "__proto__", "row 2", 2, true]);
    assert.deepEqual(awake[3].counts, [1498, 1499]);
    assert.deepEqual(await cursors(server, "/s/slept", () => putToSleep(server, "Sleeper/slept")), awake);
    await server.json("/s/w/cursor?v=make:9");
    putToSleep(server, "Sleeper/w");
    assert.equal(await server.json("/s/w/cursor?v=write:3"), 1);
    assert.equal((await server.json("/s/w/cursor?v=next"))[4], "row 2"); // it was there already
    putToSleep(server, "Sleeper/w");
    assert.equal((await server.json("/s/w/cursor?v=next"))[4], "new 3");
    await server.json("/s/w/cursor?v=deleteAll");
    putToSleep(server, "Sleeper/w");
    assert.equal(await server.json("/s/w/cursor?v=next"), "Error: SQLite query was canceled because the database was deleted.");
  });

  it("go to disk with the heap, rows included", async (t) => {
    const server = await serve(t, sleeper, { limits: COLD });
    const awake = await cursors(await serve(t, sleeper, { limits: LONG }), "/s/awake");
    let colds = 0;
    assert.deepEqual(await cursors(server, "/s/cold", () => goneCold(server, ++colds)), awake);
    assert.equal((await stats(server)).cold_wakes, 3);
  });

  it("keep their agent in memory when there are more rows than the heap takes", async (t) => {
    const server = await serve(t, sleeper, { limits: COLD });
    await server.json("/s/small/cursor?v=make:10");
    await server.json("/s/long/cursor?v=make:60000");
    await goneCold(server, 1);
    await eventually(async () => (await stats(server)).warm === 1 && (await stats(server)).awake <= 1);
    assert.equal((await server.json("/s/long/cursor?v=rest")).counts[0], 60000);
    await goneCold(server, 2);
  });
});

const COLD = { warm_ms: 20, cold_ms: 20 };

/* The image files of the app's agents. */
const images = (data) => readdirSync(join(data, "apps/sleeper/agents"), { recursive: true }).filter((path) => path.endsWith("/image"))
  .map((path) => join(data, "apps/sleeper/agents", path));

/* Those of agents that have no folder. */
const asleep = (data) => readdirSync(join(data, "apps/sleeper/agents"), { recursive: true }).filter((path) => /^\.asleep\/.*\/[0-9a-f]{64}$/.test(path))
  .map((path) => join(data, "apps/sleeper/agents", path));

const goneCold = (server, count) => eventually(async () => (await stats(server)).colds === count);

describe("sleep on disk", { skip }, () => {
  it("keeps everything, and an image is gone once it was used", async (t) => {
    const server = await serve(t, sleeper, { limits: COLD });
    const reference = await serve(t, sleeper, { limits: LONG });
    const awake = await steps(reference, "/s/a");
    let colds = 0;
    const slept = await steps(server, "/s/a", () => goneCold(server, ++colds));
    assert.deepEqual(slept, awake);
    assert.equal(images(server.data).length, 1);
    assert.equal((await stats(server)).cold_wakes, 5);
    await server.json("/s/a/answer?v=hello");
    assert.deepEqual((await stats(server)).images_refused, {});
  });

  it("is over when its agent is evicted, with a folder and without", async (t) => {
    const server = await serve(t, sleeper, { limits: COLD });
    await server.json("/s/a/step?v=a");
    await server.json("/idle/b/x?v=x");
    await goneCold(server, 2);
    assert.deepEqual([images(server.data).length, asleep(server.data).length], [1, 1]);
    for (const name of ["Sleeper/a", "Idle/b"]) assert.equal(dormouse(server, "agents", "evict", name).ok, true);
    assert.deepEqual([images(server.data).length, asleep(server.data).length], [0, 0]);
    const anew = await server.json("/s/a/step?v=a");
    assert.deepEqual([anew.calls, anew.starts, (await server.json("/idle/b/x"))[0]], [1, 2, []]);
    assert.equal((await stats(server)).cold_wakes, 0);
  });

  it("survives kill -9 of the worker, and a restart of the server", async (t) => {
    const data = scratch();
    t.after(data.remove);
    const one = await start(sleeper, { data: data.dir, limits: COLD });
    await one.json("/s/killed/step?v=a");
    await goneCold(one, 1);
    for (const { pid } of one.rooms("worker")) process.kill(pid, "SIGKILL");
    let after;
    await eventually(async () => {
      const response = await one.fetch("/s/killed/step?v=a");
      const text = await response.text();
      if (response.status === 200) after = JSON.parse(text);
      return after !== undefined;
    });
    assert.deepEqual([after.calls, after.starts], [2, 1]);
    await one.stop();
    const two = await start(sleeper, { data: data.dir, limits: LONG, isDeployed: true });
    t.after(() => two.stop());
    await two.json("/s/stopped/step?v=a");
    putToSleep(two, "Sleeper/stopped");
    await two.stop();
    const three = await start(sleeper, { data: data.dir, limits: LONG, isDeployed: true });
    t.after(() => three.stop());
    const { calls, starts } = await three.json("/s/stopped/step?v=a");
    assert.deepEqual([calls, starts], [2, 1]);
  });

  it("is refused when it is damaged, or its database has gone on: the constructor runs", async (t) => {
    const server = await serve(t, sleeper, { limits: COLD });
    await server.json("/s/a/step?v=a");
    await goneCold(server, 1);
    const [file] = images(server.data);
    const bytes = readFileSync(file);
    bytes[bytes.length - 1] ^= 1;
    writeFileSync(file, bytes);
    const damaged = await server.json("/s/a/step?v=a");
    assert.deepEqual([damaged.calls, damaged.starts], [1, 2]);
    await goneCold(server, 2);
    dormouse(server, "agents", "sql", "Sleeper/a", "CREATE TABLE more (x)");
    const overtaken = await server.json("/s/a/step?v=a");
    assert.deepEqual([overtaken.calls, overtaken.starts], [1, 3]);
    assert.deepEqual((await stats(server)).images_refused, { damaged: 1, "another commit": 1 });
  });

  it("goes with its agent when that is deleted", async (t) => {
    const server = await serve(t, sleeper, { limits: COLD });
    await server.json("/s/a/step?v=a");
    await goneCold(server, 1);
    dormouse(server, "agents", "delete", "Sleeper/a", "--yes");
    assert.deepEqual(images(server.data), []);
    const { calls, starts } = await server.json("/s/a/step?v=a");
    assert.deepEqual([calls, starts], [1, 1]);
  });

  it("takes agents along that never wrote, and makes no agents of them", async (t) => {
    const server = await serve(t, sleeper, { limits: COLD }), COUNT = 40, path = (i) => `/idle/i${i}/x`;
    for (let i = 0; i < COUNT; i++) await server.json(`${path(i)}?v=a`);
    await goneCold(server, COUNT);
    await eventually(async () => (await stats(server)).agents_in_memory === 0);
    assert.deepEqual([images(server.data), asleep(server.data).length], [[], COUNT]);
    assert.deepEqual(dormouse(server, "agents", "list").agents ?? [], []);
    assert.equal(dormouse(server, "agents", "show", "Idle/i0").state, "cold");
    assert.deepEqual(await server.json(`${path(1)}?v=b`), [["a", "b"], null, "i1"]);
    assert.equal(asleep(server.data).length, COUNT - 1);
    // One that writes then has a folder, and one that lost all it wrote keeps it.
    assert.deepEqual(await server.json("/idle/i2/write?v=b"), [["a", "b"], "b", "i2"]);
    await eventually(() => images(server.data).length === 1);
    assert.deepEqual(await server.json("/idle/i2/deleteAll?v=c"), [["a", "b", "c"], null, "i2"]);
    await eventually(() => images(server.data).length === 1);
    assert.deepEqual(await server.json(path(2)), [["a", "b", "c"], null, "i2"]);
    // What goes on without its heap, or is deleted, starts anew.
    dormouse(server, "agents", "sql", "Idle/i3", "CREATE TABLE more (x)");
    assert.deepEqual(await server.json(path(3)), [[], null, "i3"]);
    dormouse(server, "agents", "delete", "Idle/i4", "--yes");
    assert.deepEqual(await server.json(path(4)), [[], null, "i4"]);
    for (const { pid } of server.rooms("worker")) process.kill(pid, "SIGKILL");
    await eventually(async () => (await server.fetch(path(5))).status === 200);
    assert.deepEqual((await server.json(path(6)))[0], ["a"]);
    const elsewhere = scratch(), backup = join(elsewhere.dir, "backup"), copy = join(elsewhere.dir, "copy");
    t.after(elsewhere.remove);
    dormouse(server, "backup", backup);
    const restored = spawnSync(DORMOUSE, ["restore", backup, "--data", copy], { encoding: "utf8" });
    assert.equal(restored.status, 0, restored.stderr);
    assert.deepEqual(readdirSync(join(copy, "apps/sleeper/agents")), ["Idle"]);
    const [damaged] = asleep(server.data);
    writeFileSync(damaged, readFileSync(damaged).subarray(0, 999));
    const seen = await Promise.all(Array.from({ length: COUNT - 7 }, (_, i) => server.json(path(i + 7))));
    assert.deepEqual(seen.filter(([texts]) => texts.length === 0).length, 1);
    assert.deepEqual((await stats(server)).images_refused, { "cut short": 1 });
  });

  it("leaves nothing behind of agents that never wrote when the machine starts anew", async (t) => {
    const data = scratch(), folder = join(data.dir, "apps/sleeper/agents/.asleep");
    t.after(data.remove);
    await (await start(sleeper, { data: data.dir, limits: LONG })).stop();
    for (let i = 0; i < 3; i++) {
      const boot = join(folder, `0000000${i}-0000-0000-0000-000000000000/Idle`);
      mkdirSync(boot, { recursive: true });
      for (let n = 0; n < 250; n++) writeFileSync(join(boot, `${n}`.padStart(64, "0")), "");
    }
    const { uid, gid } = statSync(dirname(folder)); // a room's own
    for (const path of ["", ...readdirSync(folder, { recursive: true })]) chownSync(join(folder, path), uid, gid);
    const server = await serve(t, sleeper, { data: data.dir, limits: COLD, isDeployed: true });
    await server.json("/idle/kept/x?v=a");
    await eventually(() => readdirSync(folder).length === 1 && asleep(data.dir).length === 1);
    assert.deepEqual(await server.json("/idle/kept/x"), [["a"], null, "kept"]);
  });

});

describe("sleep on disk with hibernated sockets", { skip }, () => {
  const NAME = "room";

  async function asleep(t, count = 1) {
    const server = await serve(t, sleeper, { limits: COLD });
    const client = await connect(server.ws(`/s/${NAME}/ws?v=a`));
    await goneCold(server, count);
    assert.equal(images(server.data).length, 1);
    return { server, client };
  }
  const echo = async (client, text) => {
    client.send(text);
    const { echo, isLast, calls, starts } = JSON.parse(await client.next());
    return [echo, isLast, calls, starts];
  };
  const kill = async (server, room) => {
    const before = server.rooms(room).map(({ pid }) => pid);
    for (const pid of before) process.kill(pid, "SIGKILL");
    await eventually(() => server.rooms(room).some(({ pid }) => !before.includes(pid)));
  };
  const book = async (server) => {
    let told;
    await eventually(async () => {
      const answer = await server.fetch(`/s/${NAME}/book?v=a`).catch(() => null), text = await answer?.text();
      if (answer?.status === 200) told = JSON.parse(text);
      return told !== undefined;
    });
    return told;
  };

  it("they wake it, and are the same objects with tags, attachments and automatic response", async (t) => {
    const { server, client } = await asleep(t);
    await server.json(`/s/${NAME}/auto?v=pong`);
    await goneCold(server, 2);
    client.send("ping");
    assert.equal(await client.next(), "pong");
    assert.equal((await stats(server)).cold_wakes, 1);
    assert.deepEqual(await echo(client, "one"), ["one", true, 1, 1]);
    await goneCold(server, 3);
    assert.deepEqual(await echo(client, "two"), ["two", true, 2, 1]);
    await goneCold(server, 4);
    assert.deepEqual(await book(server), { tagged: [[true, { tagged: "a" }, ["a"]]], closes: [], auto: "pong", starts: 1 });
    assert.deepEqual((await stats(server)).images_refused, {});
    client.drop();
  });

  it("a client that leaves meanwhile is told once", async (t) => {
    const { server, client } = await asleep(t);
    await client.close(4001, "bye");
    await goneCold(server, 2);
    assert.deepEqual(await book(server), { tagged: [], closes: [[4001, true, { tagged: "a" }]], auto: null, starts: 1 });
    const again = await connect(server.ws(`/s/${NAME}/ws?v=a`));
    assert.equal((await book(server)).tagged.length, 1);
    again.drop();
  });

  it("a class that discards its heap is told with tags and attachment, also when it has to start for it", async (t) => {
    const server = await serve(t, sleeper, { limits: { ...LONG, idle_ms: 50 } });
    const gone = async () => (await stats(server)).awake === 0;
    for (const [v, leave] of [["a", (client) => client.close(4001, "bye")], ["b", (client) => client.drop()]]) {
      const client = await connect(server.ws(`/forgetful/f/ws?v=${v}`));
      await eventually(gone);
      await leave(client);
      await eventually(async () => (await server.json("/forgetful/f/closes")).some(([, , kept]) => kept?.tagged === v));
    }
    assert.deepEqual(await server.json("/forgetful/f/closes"), [[4001, true, { tagged: "a" }, ["a"]], [1006, false, { tagged: "b" }, ["b"]]]);
    await eventually(gone);
    assert.deepEqual((await server.json("/forgetful/f/book")).tagged, [], "no socket is left");
  });

  it("outlives its worker's death: messages, and the loss of a socket in between, reach the same heap", async (t) => {
    const { server, client } = await asleep(t);
    const other = await connect(server.ws(`/s/${NAME}/ws?v=b`));
    await goneCold(server, 2);
    await kill(server, "worker");
    assert.deepEqual(await echo(client, "one"), ["one", false, 1, 1]);
    await goneCold(server, 1);
    await kill(server, "worker");
    other.drop();
    await eventually(async () => (await book(server)).closes.length > 0);
    const { tagged, closes, starts } = await book(server);
    assert.deepEqual([tagged.length, closes, starts], [1, [[1006, false, { tagged: "b" }]], 1]);
    assert.deepEqual((await stats(server)).images_refused, {});
    client.drop();
  });

  for (const depth of ["cold", "warm", "awake"]) {
    it(`the gateway's death is the end of its sockets, which an agent that is ${depth} hears once`, async (t) => {
      const server = await serve(t, sleeper, { limits: depth === "cold" ? COLD : LONG });
      await connect(server.ws(`/s/${NAME}/ws?v=a`));
      if (depth === "cold") await goneCold(server, 1);
      if (depth === "warm") putToSleep(server, `Sleeper/${NAME}`);
      await kill(server, "gateway");
      await eventually(async () => (await book(server)).closes.length > 0);
      assert.deepEqual(await book(server), { tagged: [], closes: [[1006, false, { tagged: "a" }]], auto: null, starts: 1 });
    });
  }
});

describe("sleep in the middle of", { skip }, () => {
  const open = async (t) => ({ world: await slowWorld(t), server: await serve(t, sleeper, { limits: LONG, args: ["--allow-private"] }) });

  for (const [operation, heard] of [["await", "answer"], ["peer", "answer through 1"], ["section", "answer"]]) {
    it(`${{ await: "a fetch", peer: "a call to another agent", section: "blockConcurrencyWhile" }[operation]}`, async (t) => {
      const { world, server } = await open(t);
      const told = server.json(`/s/a/${operation}?v=${world.url("x")}`);
      const answer = await world.asked("x");
      putToSleep(server, "Sleeper/a");
      if (operation === "peer") putToSleep(server, "Sleeper/other");
      answer.end("answer");
      const { heard: was, before, calls, store } = await told;
      assert.deepEqual([was, before, calls, store], [heard, 1, 2, operation === "await" ? "kept" : null]);
      assert.equal((await stats(server)).warm_wakes, operation === "peer" ? 2 : 1);
    });
  }

  it("a streaming answer, between any two pieces", async (t) => {
    const { world, server } = await open(t);
    const told = server.json(`/s/a/stream?v=${world.url("x")}`);
    const answer = await world.asked("x");
    for (let i = 0; i < 5; i++) {
      const { warm_wakes } = await stats(server);
      putToSleep(server, "Sleeper/a");
      answer.write(`piece ${i} `);
      await eventually(async () => (await stats(server)).warm_wakes > warm_wakes);
    }
    putToSleep(server, "Sleeper/a");
    answer.end();
    const { heard, store } = await told;
    assert.deepEqual([heard.join(""), store], ["piece 0 piece 1 piece 2 piece 3 piece 4 ", "kept"]);
  });

  it("a request's body", async (t) => {
    const { server } = await open(t);
    let send;
    const body = new ReadableStream({ start(controller) { send = controller; } });
    const told = server.json("/s/a/body", { method: "POST", body, duplex: "half" });
    for (let i = 0; i < 3; i++) {
      send.enqueue(new TextEncoder().encode(`part ${i} `));
      await eventually(async () => (await stats(server)).turns > 0);
      await eventually(() => spawnSync(DORMOUSE, ["agents", "sleep", "Sleeper/a", "--data", server.data]).status === 0);
    }
    send.close();
    assert.equal((await told).heard, "part 0 part 1 part 2 ");
  });

  it("waitUntil and a timer", async (t) => {
    const { world, server } = await open(t);
    await server.json(`/s/u/until?v=${world.url("x")}`);
    const answer = await world.asked("x");
    putToSleep(server, "Sleeper/u");
    answer.end("later");
    await eventually(async () => (await stats(server)).warm_wakes === 1);
    assert.equal((await server.json("/s/u/heard")).heard, "later");
    await server.json("/s/t/timer?v=400");
    putToSleep(server, "Sleeper/t");
    await eventually(async () => (await stats(server)).warm_wakes === 2);
    assert.equal((await server.json("/s/t/heard")).heard, "timer1");
  });

  it("an alarm's handler", async (t) => {
    const { world, server } = await open(t);
    await server.json(`/s/a/alarmAwait?v=${world.url("x")}`);
    const answer = await world.asked("x");
    putToSleep(server, "Sleeper/a");
    answer.end("rang");
    await eventually(async () => (await stats(server)).warm_wakes === 1);
    assert.equal((await server.json("/s/a/heard")).heard, "rang");
  });

  it("sockets that are not hibernatable: accepted ones and its own", async (t) => {
    const { world, server } = await open(t);
    const client = await connect(server.ws("/s/l/live"));
    putToSleep(server, "Sleeper/l");
    client.send("hello");
    assert.equal(await client.next(), "hello 1 2");
    client.drop();
    const told = server.json(`/s/c/client?v=${world.url("x")}`);
    const ws = await world.asked("x");
    putToSleep(server, "Sleeper/c");
    ws.send("from outside");
    assert.deepEqual([(await told).heard], ["from outside"]);
  });

  it("nothing while a transaction is open", async (t) => {
    const { world, server } = await open(t);
    const told = server.json(`/s/a/transaction?v=${world.url("x")}`);
    const answer = await world.asked("x");
    const refused = spawnSync(DORMOUSE, ["agents", "sleep", "Sleeper/a", "--data", server.data], { encoding: "utf8" });
    assert.match(refused.stderr, /cannot sleep/);
    answer.end("done");
    assert.equal((await told).heard, "done");
  });

  it("many waits at once: each one of fifty agents goes on with its own", async (t) => {
    const { world, server } = await open(t);
    const names = Array.from({ length: 50 }, (_, i) => `agent${i}`);
    const told = names.map((name) => server.json(`/s/${name}/await?v=${world.url(name)}`));
    const answers = await Promise.all(names.map((name) => world.asked(name)));
    for (const name of names) putToSleep(server, `Sleeper/${name}`);
    assert.equal((await stats(server)).warm, 50);
    answers.forEach((answer, i) => answer.end(`to ${names[i]}`));
    assert.deepEqual((await Promise.all(told)).map(({ heard, calls }) => `${heard} ${calls}`), names.map((name) => `to ${name} 2`));
  });

  it("a wait that a deploy ends: the caller is told", async (t) => {
    const { world, server } = await open(t);
    const copy = scratch();
    t.after(copy.remove);
    cpSync(sleeper, copy.dir, { recursive: true });
    const told = server.fetch(`/s/a/await?v=${world.url("x")}`);
    const answer = await world.asked("x");
    putToSleep(server, "Sleeper/a");
    const source = join(copy.dir, "index.js");
    writeFileSync(source, readFileSync(source, "utf8").replace('VERSION = "one"', 'VERSION = "two"'));
    dormouse(server, "deploy", copy.dir);
    answer.end("in time");             // what was under way finishes on the old code
    const done = await told;
    assert.deepEqual([done.status, (await done.json()).heard], [200, "in time"]);
    assert.equal((await server.json("/s/a/step?v=a")).version, "two");
  });
});

/* What one process holds: KiB of its own, mappings, descriptors. */
function held(pid) {
  const own = /^Private_Dirty:\s+(\d+)/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, "utf8"))[1];
  const maps = readFileSync(`/proc/${pid}/maps`, "utf8");
  const isPlain = !maps.includes("/libasan"); // which keeps freed memory aside, to find errors
  return { kib: isPlain ? Number(own) : 0, maps: isPlain ? maps.split("\n").length : 0, fds: readdirSync(`/proc/${pid}/fd`).length };
}

const GARBAGE_MAX = 64 << 10; // in an image: what 128 KiB of cycles that nobody can reach are packed

describe("sleeping and waking again and again", { skip }, () => {
  /* CYCLE often enough for whatever is made once; then COUNT times more leave the workers as they were. */
  async function leavesNothing(server, cycle, count) {
    for (let i = 0; i < count / 10; i++) await cycle();
    const before = server.rooms("worker").map(({ pid }) => [pid, held(pid)]), { warm_bytes, resets } = await stats(server);
    for (let i = 0; i < count; i++) await cycle();
    for (const [pid, was] of before) {
      const is = held(pid);
      assert.ok(is.kib - was.kib < 512, `${is.kib - was.kib} KiB more after ${count} cycles`);
      assert.ok(is.maps - was.maps <= 4, `${is.maps - was.maps} mappings more`); // the heap's own range may have moved in the pool
      assert.equal(is.fds, was.fds);
    }
    const after = await stats(server);
    assert.ok(after.warm_bytes < 2 * warm_bytes + GARBAGE_MAX, `${after.warm_bytes} bytes warm after ${warm_bytes}`);
    assert.deepEqual([after.resets, after.images_refused], [resets, {}]);
  }

  it("1,000 times warm leaves its heap and its worker where they were", async (t) => {
    const server = await serve(t, sleeper, { limits: LONG });
    const client = await connect(server.ws("/s/w/ws?v=a"));
    await leavesNothing(server, async () => {
      assert.equal((await server.json("/s/w/book?v=a")).tagged.length, 1);
      const { ok, result } = await ask(server, { op: "agent", do: "sleep", class: "Sleeper", name: "w" });
      assert.deepEqual([ok, result.is], [true, "warm"]);
    }, 1000);
    assert.equal((await stats(server)).warm_wakes, 1099);
    client.drop();
  });

  it("30 times cold too, with its socket", async (t) => {
    const server = await serve(t, sleeper, { limits: { warm_ms: 1, cold_ms: 1 } });
    const client = await connect(server.ws("/s/w/ws?v=a"));
    let size;
    await leavesNothing(server, async () => {
      await eventually(() => images(server.data).length === 1);
      const now = readFileSync(images(server.data)[0]).length;
      size ??= now;
      assert.ok(now < 2 * size + GARBAGE_MAX, `an image of ${now} bytes after one of ${size}`);
      assert.equal((await server.json("/s/w/book?v=a")).tagged.length, 1);
    }, 30);
    client.drop();
  });
});

describe("a heap that cannot wake", { skip }, () => {
  it("is of another deployment: the constructor runs, and it is counted", async (t) => {
    const copy = scratch();
    t.after(copy.remove);
    cpSync(sleeper, copy.dir, { recursive: true });
    const server = await serve(t, copy.dir, { limits: LONG });
    await server.json("/s/a/step?v=a");
    await server.json("/s/b/step?v=a");
    putToSleep(server, "Sleeper/a");
    putToSleep(server, "Sleeper/b");
    const source = join(copy.dir, "index.js");
    writeFileSync(source, readFileSync(source, "utf8").replace('VERSION = "one"', 'VERSION = "two"'));
    dormouse(server, "deploy", copy.dir);
    for (const name of ["a", "b"]) {
      const { calls, starts, version } = await server.json(`/s/${name}/step?v=a`);
      assert.deepEqual([calls, starts, version], [1, 2, "two"]);
    }
    assert.deepEqual((await stats(server)).images_refused, { "another deployment": 2 });
  });

  it("is gone with its worker: the constructor runs", async (t) => {
    const server = await serve(t, sleeper, { limits: LONG });
    await server.json("/s/a/step?v=a");
    putToSleep(server, "Sleeper/a");
    for (const { pid } of server.rooms("worker")) process.kill(pid, "SIGKILL");
    let answer;
    await eventually(async () => {
      const response = await server.fetch("/s/a/step?v=a");
      const text = await response.text();
      if (response.status === 200) answer = JSON.parse(text);
      return answer !== undefined;
    });
    assert.deepEqual([answer.calls, answer.starts], [1, 2]);
  });
});
