// What was acknowledged stays, whatever dies: writes, alarms, sockets, deploys. Each rig has a control that must fail.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { cpSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, it } from "node:test";
import { allGone, connect, descendants, DORMOUSE, eachFile, eventually, fixture, missing, scratch, serve, start } from "./lib.mjs";

const probe = fixture("probe");
const skip = missing();
const onlyHere = missing({ only: "dormouse" });

/* A server that the test restarts on the same data. */
async function restartable(t) {
  const data = scratch();
  const house = { data: data.dir, now: null, async up(options) { house.now = await start(probe, { data: data.dir, ...options }); return house.now; } };
  t.after(async () => { await house.now?.stop(); data.remove(); });
  await house.up();
  return house;
}

const killWorkers = (server) => {
  const workers = server.rooms("worker");
  assert.ok(workers.length > 0, "there is no worker to kill");
  for (const { pid } of workers) process.kill(pid, "SIGKILL");
  return workers.map(({ pid }) => pid);
};

/* Writers that never stop until STOP; every write has a key of its own and ends as ok or unknown. */
function writers(server, agents, count) {
  const ok = agents.map(() => new Set()), unknown = agents.map(() => new Set());
  let isStopped = false, next = 0, acknowledged = 0;
  const one = async () => {
    while (!isStopped) {
      const at = next % agents.length, v = `write ${next++}`;
      unknown[at].add(v);
      try {
        const answer = await server.fetch(`/p/${agents[at]}/put?v=${encodeURIComponent(v)}`);
        await answer.text();
        if (answer.status !== 200) continue;
        unknown[at].delete(v);
        ok[at].add(v);
        acknowledged++;
      } catch {
        if (isStopped) return;
        await new Promise((resolve) => setTimeout(resolve, 5)); // the server is going away
      }
    }
  };
  const running = Promise.all(Array.from({ length: count }, one));
  return { ok, unknown, acknowledged: () => acknowledged, async stop() { isStopped = true; await running; } };
}

describe("writes", { skip }, () => {
  it("survive kill -9 of everything: each acknowledged one is there once, each unknown one at most once", async (t) => {
    const house = await restartable(t);
    const agents = ["a", "b", "c", "d"];
    for (let round = 0; round < 3; round++) {
      const before = await Promise.all(agents.map((name) => house.now.json(`/p/${name}/all`)));
      const writing = writers(house.now, agents, 8);
      await eventually(() => writing.acknowledged() >= 200 || `only ${writing.acknowledged()} writes`);
      await house.now.kill9();
      await writing.stop();
      await house.up();
      for (const [i, name] of agents.entries()) {
        const there = (await house.now.json(`/p/${name}/all`)).slice(before[i].length);
        for (const v of writing.ok[i]) assert.equal(there.filter((one) => one === v).length, 1, `round ${round}: "${v}" of ${name} was acknowledged`);
        for (const v of new Set(there)) {
          assert.equal(there.filter((one) => one === v).length, 1, `round ${round}: "${v}" of ${name} is there twice`);
          assert.ok(writing.ok[i].has(v) || writing.unknown[i].has(v), `round ${round}: nobody wrote "${v}" to ${name}`);
        }
      }
      for (const name of agents) await house.now.fetch(`/p/${name}/put?v=end-of-round-${round}`);
    }
  });

  it("control: what was kept in memory only does not survive the same", async (t) => {
    const house = await restartable(t);
    assert.deepEqual(await house.now.json("/p/a/keep?v=x"), ["x"]);
    assert.deepEqual(await house.now.json("/p/a/kept"), ["x"]);
    await house.now.kill9();
    await house.up();
    assert.deepEqual(await house.now.json("/p/a/kept"), []);
  });

  it("of one turn are there together or not at all", async (t) => {
    const house = await restartable(t);
    let isStopped = false;
    const writing = (async () => { for (let i = 0; !isStopped; i++) await house.now.json(`/p/pairs/pair?v=${i}`).catch(() => { isStopped = true; }); })();
    await eventually(async () => (await house.now.json("/p/pairs/all")).length > 60);
    await house.now.kill9();
    await writing;
    await house.up();
    const there = await house.now.json("/p/pairs/all");
    for (const v of there) assert.ok(there.includes(v.endsWith("left") ? v.replace("left", "right") : v.replace("right", "left")), `"${v}" is alone`);
  });

  it("survive an orderly stop", async (t) => {
    const house = await restartable(t);
    for (let i = 0; i < 20; i++) await house.now.json(`/p/stop/put?v=${i}`);
    await house.now.stop();
    await house.up();
    assert.equal((await house.now.json("/p/stop/all")).length, 20);
  });
});

describe("an agent whose commits are only in the journal", { skip: onlyHere }, () => {
  it("comes to rest after a turn that wrote nothing, and its database has them", async (t) => {
    const house = await restartable(t), workers = () => house.now.rooms("worker").map(({ pid }) => pid), before = workers();
    const databases = () => eachFile(house.data).filter((path) => /Probe.*db\.sqlite$/.test(path));
    await house.now.json("/p/a/put?v=before");
    await house.now.fetch("/p/a/nothing"); // CREATE TABLE IF NOT EXISTS opens a transaction that writes nothing
    await eventually(() => databases().some((path) => readFileSync(join(house.data, path)).includes("before")) || "its database does not have them yet");
    assert.deepEqual(workers(), before);
  });
});

describe("a worker that dies", { skip: onlyHere }, () => {
  it("is replaced, and its agents have lost nothing acknowledged", async (t) => {
    const server = await serve(t, probe);
    await server.json("/p/a/put?v=before");
    const killed = killWorkers(server);
    await eventually(async () => (await server.fetch("/p/a/all")).status === 200);
    assert.deepEqual(await server.json("/p/a/all"), ["before"]);
    assert.ok(server.rooms("worker").every(({ pid }) => !killed.includes(pid)));
  });

  it("answers its open requests with 503 and Retry-After", async (t) => {
    const server = await serve(t, probe);
    const watcher = await connect(server.ws("/p/a/ws"));
    const hanging = server.fetch("/p/a/hang");
    assert.deepEqual(JSON.parse(await watcher.next()), { hanging: true });
    killWorkers(server);
    const answer = await hanging;
    assert.equal(answer.status, 503);
    assert.match(answer.headers.get("retry-after") ?? "", /^\d+$/);
    watcher.drop();
  });

  it("leaves open what became of a request; its id makes trying again safe", async (t) => {
    const server = await serve(t, probe);
    let next = 0, acknowledged = 0, retries = 0;
    const client = async () => {
      while (retries === 0) {
        const id = `request ${next++}`, once = () => server.fetch(`/p/a/once?v=${encodeURIComponent(id)}`, { headers: { "X-Request-Id": id } });
        for (let status = 0; status !== 200; retries += status === 200 ? 0 : 1) {
          const answer = await once();
          status = answer.status;
          await answer.text();
          assert.ok(status === 200 || status === 503, `${status}`);
        }
        acknowledged++;
      }
    };
    const clients = Promise.all(Array.from({ length: 8 }, client));
    for (let kills = 0; retries === 0; kills++) {
      assert.ok(kills < 20, "no kill has met a request");
      const before = acknowledged;
      await eventually(() => retries > 0 || acknowledged > before + 20 || "the clients stand still");
      if (retries === 0) killWorkers(server);
    }
    await clients;
    const rows = await server.json("/p/a/all");
    assert.deepEqual([...rows].sort(), Array.from({ length: next }, (_, i) => `request ${i}`).sort());
  });

  it("leaves its WebSockets open; the next message finds the agent, the attachment and the tags", async (t) => {
    const server = await serve(t, probe);
    const client = await connect(server.ws("/p/a/ws?v=ada"));
    client.send("one");
    assert.deepEqual(JSON.parse(await client.next()), { echo: "one", who: "ada", seen: 1, tags: ["ada"], version: "one" });
    for (let round = 2; round < 5; round++) {
      await server.json("/p/a/all"); // answered after the message was done with, so nothing is under way
      killWorkers(server);
      await eventually(async () => (await server.fetch("/p/a/all")).status === 200); // nor sent to one that is dead already
      client.send("again");
      const { seen, who, tags } = JSON.parse(await client.next());
      assert.deepEqual([seen, who, tags], [round, "ada", ["ada"]]);
      assert.ok(client.isOpen());
    }
    client.drop();
  });

  it("closes a WebSocket whose message was under way, for nobody can know what became of it", async (t) => {
    const server = await serve(t, probe);
    const client = await connect(server.ws("/p/a/ws"));
    client.send("hang");
    assert.equal(await client.next(), "hanging");
    killWorkers(server);
    assert.equal((await client.closed).code, 1012);
  });

  it("lets the other sockets of the agent be reached from a request", async (t) => {
    const server = await serve(t, probe);
    const client = await connect(server.ws("/p/a/ws"));
    killWorkers(server);
    await eventually(async () => (await server.fetch("/p/a/alarm?in=1")).status === 200);
    assert.deepEqual(JSON.parse(await client.next()), { alarm: 0 });
    client.drop();
  });
});

describe("kill -9 of one room under writers", { skip: onlyHere }, () => {
  for (const room of ["gateway", "worker", "scheduler", "control", "egress", "journal"]) {
    it(`${room}: the others go on, it comes back, nothing acknowledged is lost`, async (t) => {
      const server = await serve(t, probe);
      const agents = ["a", "b", "c"];
      const writing = writers(server, agents, 6);
      await eventually(() => writing.acknowledged() >= 50 || `only ${writing.acknowledged()} writes`);
      for (let round = 0; round < 3; round++) {
        await eventually(() => server.rooms(room).length > 0 || `there is no ${room}`);
        const killed = server.rooms(room);
        for (const { pid } of killed) process.kill(pid, "SIGKILL");
        await eventually(() => server.rooms(room).length >= killed.length && server.rooms(room).every((now) => killed.every((was) => was.pid !== now.pid)) || `no new ${room}`);
        const before = writing.acknowledged();
        await eventually(() => writing.acknowledged() >= before + 50 || `only ${writing.acknowledged() - before} writes after round ${round}`, 30_000);
      }
      await writing.stop();
      for (const [i, name] of agents.entries()) {
        const there = await server.json(`/p/${name}/all`);
        assert.equal(new Set(there).size, there.length, `a write of ${name} is there twice`);
        for (const v of writing.ok[i]) assert.ok(there.includes(v), `"${v}" of ${name} was acknowledged`);
      }
    });
  }

  it("supervisor: all the others end with it", async (t) => {
    const house = await restartable(t);
    const family = descendants(house.now.pid);
    const [supervisor] = house.now.rooms("supervisor");
    process.kill(supervisor.pid, "SIGKILL");
    await house.now.ended;
    await allGone(family);
    await house.up();
    assert.deepEqual(await house.now.json("/p/a/all"), []);
  });
});

describe("sleep", { skip: onlyHere }, () => {
  const dormouse = (server, ...words) => {
    const done = spawnSync(DORMOUSE, [...words, "--data", server.data, "--json"], { encoding: "utf8" });
    assert.equal(done.status, 0, done.stderr + done.stdout);
    return done.stdout;
  };

  it("keeps database, sockets, attachments and the alarm", async (t) => {
    const server = await serve(t, probe);
    const client = await connect(server.ws("/p/a/ws?v=ada"));
    client.send("put before");
    await client.next();
    await server.fetch("/p/a/alarm?in=400");
    dormouse(server, "agents", "evict", "Probe/a");
    assert.deepEqual(JSON.parse(await client.next()), { alarm: 0 });
    client.send("after");
    const { who, seen, tags } = JSON.parse(await client.next());
    assert.deepEqual([who, seen, tags], ["ada", 2, ["ada"]]);
    assert.deepEqual(await server.json("/p/a/all"), ["before", "alarm 0"]);
    client.drop();
  });

  it("is not needed by a busy agent: its commits reach its file while it goes on", async (t) => {
    const server = await serve(t, probe);
    const text = "x".repeat(4000);
    let isStopped = false;
    const writing = Promise.all(Array.from({ length: 4 }, async () => {
      while (!isStopped) assert.equal((await server.fetch(`/p/busy/put?v=${text}`)).status, 200);
    }));
    const files = () => readdirSync(join(server.data, "apps"), { recursive: true }).filter((path) => path.endsWith("db.sqlite"));
    await eventually(() => files().some((path) => statSync(join(server.data, "apps", path)).size > 3 << 20) || "3 MiB of its rows are in no file yet");
    isStopped = true;
    await writing;
  });

  it("shows what exists, and its tables", async (t) => {
    const server = await serve(t, probe);
    await server.json("/p/a/put?v=x");
    await server.json("/p/b/put?v=y");
    const list = dormouse(server, "agents", "list");
    for (const name of ["a", "b"]) assert.match(list, new RegExp(`"name":\\s*"${name}"`));
    assert.match(dormouse(server, "agents", "sql", "Probe/b", "SELECT v FROM t"), /"y"/);
  });
});

describe("alarms", { skip }, () => {
  it("fire", async (t) => {
    const server = await serve(t, probe);
    const client = await connect(server.ws("/p/a/ws"));
    await server.fetch("/p/a/alarm?in=50");
    assert.deepEqual(JSON.parse(await client.next()), { alarm: 0 });
    assert.deepEqual(await server.json("/p/a/all"), ["alarm 0"]);
    client.drop();
  });

  it("survive an orderly restart and kill -9, and fire when they were due meanwhile", async (t) => {
    const house = await restartable(t);
    await house.now.fetch("/p/stopped/alarm?in=300");
    await house.now.stop();
    await house.up();
    await eventually(async () => (await house.now.json("/p/stopped/all")).join() === "alarm 0");
    await house.now.fetch("/p/killed/alarm?in=300");
    await house.now.kill9();
    await house.up();
    await eventually(async () => (await house.now.json("/p/killed/all")).join() === "alarm 0");
    assert.equal(await house.now.json("/p/killed/due"), null);
  });

  it("fire without anybody asking the agent first", async (t) => {
    const house = await restartable(t);
    await house.now.fetch("/p/sleeper/alarm?in=200");
    await house.now.kill9();
    await house.up();
    const client = await connect(house.now.ws("/p/other/ws")); // another agent, so that the sleeper stays untouched
    await house.now.fetch("/p/other/alarm?in=1000");
    await client.next(); // its alarm was due later than the sleeper's
    assert.deepEqual(await house.now.json("/p/sleeper/all"), ["alarm 0"]);
    client.drop();
  });

  it("come although the scheduler has lost its book, once their agent has woken", { skip: onlyHere }, async (t) => {
    const house = await restartable(t);
    await house.now.fetch("/p/sleeper/alarm?in=1");
    await eventually(async () => (await house.now.json("/p/sleeper/all")).join() === "alarm 0");
    await house.now.fetch("/p/sleeper/alarm?in=400");
    await house.now.stop();
    rmSync(join(house.data, "scheduler"), { recursive: true });
    await house.up();
    await eventually(async () => (await house.now.json("/p/sleeper/all")).join() === "alarm 0,alarm 0");
    assert.equal(await house.now.json("/p/sleeper/due"), null);
  });

  it("are kept when the scheduler dies", { skip: onlyHere }, async (t) => {
    const server = await serve(t, probe);
    const client = await connect(server.ws("/p/a/ws"));
    await server.fetch("/p/a/alarm?in=1500");
    for (const { pid } of server.rooms("scheduler")) process.kill(pid, "SIGKILL");
    assert.deepEqual(JSON.parse(await client.next()), { alarm: 0 });
    client.drop();
  });
});

describe("a journal that dies", { skip: onlyHere }, () => {
  it("takes no worker with it, and writes go on with the next one", async (t) => {
    const server = await serve(t, probe);
    await server.json("/p/a/put?v=before");
    const workers = server.rooms("worker").map(({ pid }) => pid).sort();
    const [{ pid }] = server.rooms("journal");
    process.kill(pid, "SIGKILL");
    await eventually(() => server.rooms("journal").some((now) => now.pid !== pid) || "no new journal");
    await server.json("/p/a/put?v=after");
    assert.deepEqual(await server.json("/p/a/all"), ["before", "after"]);
    assert.deepEqual(server.rooms("worker").map((now) => now.pid).sort(), workers);
  });
});

/* Does WORK for each of NAMES, a few at a time. */
async function forEach(names, work, width = 32) {
  const left = [...names];
  await Promise.all(Array.from({ length: width }, async () => { for (let name; (name = left.pop()) !== undefined; ) await work(name); }));
}

const named = (prefix, count) => Array.from({ length: count }, (_, i) => `${prefix}${i}`);

/* Every alarm of NAMES has run, once; nobody asked the agents before. */
async function allFired(server, names) {
  await eventually(async () => {
    const text = await (await server.fetch(`/p/${names.at(-1)}/all`)).text();
    return text === '["alarm 0"]' || `${names.at(-1)} has ${text}`;
  }, 60_000);
  await forEach(names, (name) => eventually(async () => {
    const text = await (await server.fetch(`/p/${name}/all`)).text();
    return text === '["alarm 0"]' || `${name} has ${text}`;
  }, 60_000), 4);
}

describe("the index of alarms", { skip: onlyHere }, () => {
  it("may be lost: all alarms are found in the databases", async (t) => {
    const house = await restartable(t);
    const names = named("found", 2000);
    await forEach(names, (name) => house.now.fetch(`/p/${name}/alarm?in=4000`));
    await house.now.stop();
    rmSync(join(house.data, "scheduler"), { recursive: true });
    rmSync(join(house.data, "journal"), { recursive: true }); // after an orderly stop databases need nothing of it
    await house.up({ isDeployed: true });
    await allFired(house.now, names);
  });

  it("may be lost with everything else that ran: the journal tells the alarms again", async (t) => {
    const house = await restartable(t);
    const names = named("told", 200);
    await forEach(names, (name) => house.now.fetch(`/p/${name}/alarm?in=3000`));
    await house.now.kill9();
    rmSync(join(house.data, "scheduler"), { recursive: true });
    await house.up({ isDeployed: true });
    await allFired(house.now, names);
  });

  it("may be lost while agents are awake, whose databases have no files yet", async (t) => {
    const server = await serve(t, probe);
    const names = named("awake", 100);
    await forEach(names, (name) => server.fetch(`/p/${name}/alarm?in=2500`));
    rmSync(join(server.data, "scheduler/book"), { recursive: true });
    for (const { pid } of server.rooms("scheduler")) process.kill(pid, "SIGKILL");
    await allFired(server, names);
  });

  it("lacks none that was acknowledged while the scheduler was killed again and again", async (t) => {
    const server = await serve(t, probe);
    const names = named("armed", 400);
    let armed = 0;
    const arming = forEach(names, async (name) => { assert.equal((await server.fetch(`/p/${name}/alarm?in=${armed % 3000}`)).status, 200); armed++; }, 4);
    for (let kills = 0, last = 0; kills < 5; kills++) {
      await eventually(() => armed >= Math.min(names.length, kills * 60) && server.rooms("scheduler").some(({ pid }) => pid !== last));
      [{ pid: last }] = server.rooms("scheduler");
      process.kill(last, "SIGKILL");
    }
    await arming;
    await allFired(server, names);
  });

  it("holds an alarm whose journal was killed at the same moment, if it was acknowledged", async (t) => {
    const server = await serve(t, probe);
    for (let round = 0; round < 6; round++) {
      const names = named(`round${round}-`, 12);
      const ok = [];
      const [{ pid }] = server.rooms("journal");
      const asked = forEach(names, async (name) => { if ((await server.fetch(`/p/${name}/alarm?in=20`)).status === 200) ok.push(name); }, 12);
      await server.fetch(`/p/${names[0]}/due`).then((answer) => answer.text());
      process.kill(pid, "SIGKILL");
      await asked;
      await eventually(() => server.rooms("journal").some((one) => one.pid !== pid));
      assert.ok(ok.length > 0, "none was acknowledged: nothing was tested");
      await allFired(server, ok);
    }
  });
});

describe("a deploy", { skip: onlyHere }, () => {
  it("drops no request and no socket", async (t) => {
    const project = scratch();
    cpSync(probe, project.dir, { recursive: true });
    const server = await serve(t, project.dir, { watch: true });
    t.after(project.remove);
    const client = await connect(server.ws("/p/a/ws?v=ada"));
    client.send("one");
    assert.equal(JSON.parse(await client.next()).version, "one");
    await server.json("/p/a/put?v=before");

    const seen = new Map();
    let isStopped = false;
    const asking = (async () => { while (!isStopped) { const answer = await server.fetch("/p/a/version"); const what = `${answer.status} ${await answer.text()}`; seen.set(what, (seen.get(what) ?? 0) + 1); } })();
    const file = join(project.dir, "index.js");
    writeFileSync(file, readFileSync(file, "utf8").replace('VERSION = "one"', 'VERSION = "two"'));
    await eventually(() => seen.has("200 two") || JSON.stringify([...seen]));
    isStopped = true;
    await asking;
    assert.deepEqual([...seen.keys()], ["200 one", "200 two"]);

    client.send("two");
    const { version, seen: count, who } = JSON.parse(await client.next());
    assert.deepEqual([version, count, who], ["two", 2, "ada"]);
    assert.deepEqual(await server.json("/p/a/all"), ["before"]);
    client.drop();
  });

  it("lets a request in flight finish in the code that it began with", async (t) => {
    const project = scratch();
    cpSync(probe, project.dir, { recursive: true });
    const server = await serve(t, project.dir, { watch: true });
    t.after(project.remove);
    const watcher = await connect(server.ws("/p/a/ws"));
    const going = server.fetch("/p/a/outlive");
    assert.deepEqual(JSON.parse(await watcher.next()), { outliving: true });
    const file = join(project.dir, "index.js");
    writeFileSync(file, readFileSync(file, "utf8").replace('VERSION = "one"', 'VERSION = "two"'));
    const answer = await going;
    assert.deepEqual([answer.status, await answer.text()], [200, "one has seen two"]);
    await eventually(async () => (await (await server.fetch("/p/a/version")).text()) === "two");
    watcher.drop();
  });

  it("that is broken changes nothing", async (t) => {
    const project = scratch();
    cpSync(probe, project.dir, { recursive: true });
    const server = await serve(t, project.dir, { watch: true });
    t.after(project.remove);
    const file = join(project.dir, "index.js"), good = readFileSync(file, "utf8");
    writeFileSync(file, `${good}\nthrow new Error("broken on purpose");`);
    await eventually(() => server.output.some((line) => line.includes("broken on purpose")) || server.output.slice(-3).join("\n"));
    assert.equal(await (await server.fetch("/p/a/version")).text(), "one");
    writeFileSync(file, good.replace('VERSION = "one"', 'VERSION = "mended"'));
    await eventually(async () => (await (await server.fetch("/p/a/version")).text()) === "mended");
  });
});
