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
const SOON = { warm_ms: 500, idle_ms: 3_600_000, cold_ms: 3_600_000 };

/* A connection that is open before it is needed; ask() resolves with the status once the answer begins. */
async function line(server) {
  const socket = net.connect(server.port, "127.0.0.1");
  await once(socket, "connect");
  return {
    ask: (path) => new Promise((resolve, reject) => {
      socket.once("data", (bytes) => resolve(Number(bytes.toString("latin1").split(" ")[1])));
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
});
