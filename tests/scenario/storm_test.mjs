// Thousands of agents wake at once: those that are awake are served meanwhile, and nobody is overtaken by far.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { once } from "node:events";
import net from "node:net";
import { describe, it } from "node:test";
import { DORMOUSE, eventually, fixture, missing, serve } from "./lib.mjs";

const sleeper = fixture("sleeper");
const skip = missing({ only: "dormouse" });
const AGENTS = 1000;
const CROWD = 400;
const ASKED = 10;
const SOON = { warm_ms: 500, idle_ms: 3_600_000, cold_ms: 3_600_000 };

/* A connection that is open before it is needed; ask() resolves with the status once the answer begins. */
async function line(server) {
  const socket = net.connect(server.port, "127.0.0.1");
  await once(socket, "connect");
  let text;
  return {
    header: (name) => new RegExp(`\r\n${name}: (.*)\r\n`, "i").exec(text)?.[1],
    ask: (path) => new Promise((resolve, reject) => {
      socket.once("data", (bytes) => { text = bytes.toString("latin1"); resolve(Number(text.split(" ")[1])); });
      socket.once("error", reject);
      socket.write(`GET ${path} HTTP/1.1\r\nhost: localhost\r\n\r\n`);
    }),
    close: () => socket.destroy(),
  };
}

describe("a wake storm", { skip }, () => {
  it("is admitted in order, and does not keep awake agents waiting", async (t) => {
    const server = await serve(t, sleeper, { limits: SOON, args: ["--workers", "1"] });
    await server.json("/forgetful/awake/step?v=a");    // of a class that does not sleep
    const lines = [];
    for (let i = 0; i < AGENTS; i += 50) lines.push(...await Promise.all(Array.from({ length: 50 }, () => line(server))));
    const chosen = await line(server);
    const top = () => JSON.parse(spawnSync(DORMOUSE, ["top", "--once", "--json", "--data", server.data], { encoding: "utf8" }).stdout);
    const asleep = () => top().rooms.find(({ role }) => role === "worker").counters.warm;
    for (let i = 0; i < AGENTS; i += 100) await Promise.all(lines.slice(i, i + 100).map((one, at) => one.ask(`/s/agent-${i + at}/step?v=a`)));
    await eventually(() => asleep() === AGENTS, 30_000);
    const arrived = [];
    const all = lines.map((one, i) => one.ask(`/s/agent-${i}/step?v=a`).then((status) => { arrived.push(i); return status; }));
    const before = arrived.length;
    assert.equal(await chosen.ask("/forgetful/awake/step?v=a"), 200);
    const overtaken = AGENTS - arrived.length;
    assert.deepEqual(new Set(await Promise.all(all)), new Set([200]));
    assert.equal(before, 0);
    assert.ok(overtaken > AGENTS / 2, `when the awake agent answered, ${overtaken} of ${AGENTS} were still to wake`);
    const firstHalf = arrived.slice(0, AGENTS / 2), early = firstHalf.filter((i) => i < AGENTS * 0.6).length;
    assert.ok(early > firstHalf.length * 0.9, `${early} of the first ${firstHalf.length} answers belong to the first 60 % of the questions`);
    for (const one of [...lines, chosen]) one.close();
  });

  it("lets requests for an agent that was just asked pass those for others", async (t) => {
    const server = await serve(t, fixture("crowd"), { limits: { warm_ms: 60_000 }, args: ["--workers", "1"] });
    const lines = await Promise.all(Array.from({ length: CROWD }, () => line(server))), chosen = await line(server);
    assert.equal(await chosen.ask("/one/chosen/look"), 200);
    const all = lines.map((one, i) => one.ask(`/one/other-${i}/look?busy_ms=3`));
    assert.equal(await Promise.race(all), 200);      // they have come, and begun
    assert.equal(await chosen.ask("/one/chosen/look"), 200);
    const passed = CROWD - Number(chosen.header("x-begun"));
    assert.deepEqual(new Set(await Promise.all(all)), new Set([200]));
    assert.ok(passed > CROWD / 2, `it passed ${passed} of ${CROWD}`);
    for (const one of [...lines, chosen]) one.close();
  });

  it("wakes who is asked before those whose alarms are due", async (t) => {
    const server = await serve(t, fixture("crowd"), { limits: SOON, args: ["--workers", "1"] });
    const asked = await line(server), lines = await Promise.all(Array.from({ length: 50 }, () => line(server)));
    const each = async (path) => {
      for (let i = 0; i < CROWD; i += lines.length) await Promise.all(lines.map((one, at) => one.ask(path(i + at))));
    };
    const began = Date.now();
    await each((i) => `/one/alarmed-${i}/look`);
    for (let i = 0; i < ASKED; i++) await asked.ask(`/one/asked-${i}/look`);
    const due = Date.now() + 2000 + 2 * (Date.now() - began);      // by then they are armed, and asleep again
    await each((i) => `/one/alarmed-${i}/arm?due=${due}`);
    await eventually(async () => Number(await server.json("/rung")) > CROWD / 20 || "no alarm rings", 60_000);
    for (let i = 0; i < ASKED; i++) assert.equal(await asked.ask(`/one/asked-${i}/look`), 200);
    const rung = Number(await server.json("/rung"));
    assert.ok(rung < CROWD, `when ${ASKED} sleeping agents had answered one by one, ${rung} of ${CROWD} alarms had rung`);
    await eventually(async () => Number(await server.json("/rung")) === CROWD || "alarms are missing", 60_000);
    for (const one of [...lines, asked]) one.close();
  });
});
