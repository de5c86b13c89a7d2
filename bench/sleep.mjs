// Figures of sleep: what it costs to make an image of a heap, and what a request waits longer because its agent sleeps.
import http from "node:http";
import { stats } from "../tests/scenario/lib.mjs";
import { GIVEN_BACK_S, get, load, memory, sleep, touch } from "./measure.mjs";
import { chat, failures, round, sdk, trivial, withServer } from "./rig.mjs";

const COUNT = 500;
const TRIVIAL = "/a/agent-{i}/get", PONG = "/a/agent-{i}/pong", MINIMAL = "/agents/minimal/agent-{i}", CHAT = "/agents/chat/agent-{i}";
const WARM = { warm_ms: 1000, cold_ms: 3_600_000 }, COLD = { warm_ms: 500, cold_ms: 500 };

const ROUND_S_MAX = 60;
const BEFORE = 50;                     // agents that had been there before memory is looked at

/* Waits until no agent is awake but the app's entries, and none warm when they go COLD. */
async function asleep(server, limits, count = COUNT) {
  for (let i = 0; i < ROUND_S_MAX * 10; i++) {
    const now = await stats(server);
    if (now.awake <= server.rooms("worker").length && (limits === COLD ? now.warm === 0 : now.warm >= count)) return now;
    await sleep(0.1);
  }
  throw new Error(`the agents were not asleep after ${ROUND_S_MAX} s`);
}

/* COUNT agents, asked once, asleep; then each is asked twice in a row: asleep, and awake. */
async function wakeAll(server, path, limits) {
  await touch({ server, path: path.replace("get", "put"), count: COUNT, inFlight: 4 });
  const before = await asleep(server, limits);
  const agent = new http.Agent({ keepAlive: true, maxSockets: 1 }), first = [], second = [], more = [];
  let failed = 0;
  for (let i = 0; i < COUNT; i++) {
    const url = server.url + path.replace("{i}", i);
    const one = await get(url, agent), two = await get(url, agent);
    failed += [one, two].filter(({ status }) => status === 0 || status >= 500).length;
    first.push(one.took), second.push(two.took), more.push(one.took - two.took);
  }
  agent.destroy();
  return { before, first, second, more, failed, after: await stats(server) };
}

const at = (values, part) => [...values].sort((a, b) => a - b)[Math.floor(values.length * part)];
const p50p99 = (values) => `p50 ${round(at(values, 0.5), 2)} p99 ${round(at(values, 0.99), 2)} ms`;

const goingWarm = (app, path, name) => ({
  title: `${name} going warm: processor time of its worker`, unit: "µs", app, limits: WARM, only: "dormouse", async ask(server) {
    const { before, failed } = await wakeAll(server, path, WARM), after = await asleep(server, WARM);
    return {
      value: (after.sleep_us - before.sleep_us) / (after.sleeps - before.sleeps),
      note: `${after.sleeps - before.sleeps} times; ${round(after.warm_bytes / after.warm)} bytes kept of each, with its structure${failures({ failed })}`,
    };
  },
});

const waking = (app, path, name, limits, depth) => ({
  title: `${name} ${depth}: its first answer, over its next`, unit: "ms", digits: 2, app, limits, only: "dormouse", async ask(server) {
    const { before, first, second, more, failed, after } = await wakeAll(server, path, limits);
    const wakes = after.warm_wakes + after.cold_wakes - before.warm_wakes - before.cold_wakes, refused = Object.entries(after.images_refused);
    return {
      value: at(more, 0.5),
      note: `${p50p99(first)}, the next ${p50p99(second)}, the difference ${p50p99(more)}; ${round((after.wake_us - before.wake_us) / wakes)} µs CPU to make the heap of its image` +
        `, ${wakes} wakes${refused.length ? `, REFUSED ${JSON.stringify(refused)}` : ""}${failures({ failed })}`,
    };
  },
});

/* What COUNT agents take in memory, all rooms, when they are warm: after less before, when a few had been there already. */
const memoryWarm = (app, path, name) => ({
  title: `${name} warm: PSS of all rooms`, unit: "KiB", digits: 1, app, limits: WARM, only: "dormouse", async ask(server) {
    await touch({ server, path: path.replace("agent-", "before-"), count: BEFORE });
    await asleep(server, WARM, BEFORE);
    await sleep(GIVEN_BACK_S);
    const before = memory(server.pid).pssKb, had = await stats(server);
    const { failed } = await touch({ server, path, count: COUNT, inFlight: 4 });
    const now = await asleep(server, WARM, COUNT + BEFORE);
    await sleep(GIVEN_BACK_S);
    return {
      value: (memory(server.pid).pssKb - before) / COUNT,
      note: `${COUNT} agents, ${round((now.warm_bytes - had.warm_bytes) / (now.warm - had.warm))} bytes of image and structure each${failures({ failed })}`,
    };
  },
});

const OFTEN = 1000; // agents that share the load
const MAY_SLEEP = { never: { warm_ms: 600_000, idle_ms: 600_000 }, "by default": {}, "after 50 ms": { warm_ms: 50 } };

/* The load of OFTEN agents by a server whose agents sleep as LIMITS say. */
const often = (name, app, limits) => withServer(name, { app, limits }, async (server) => {
  await touch({ server, path: TRIVIAL.replace("get", "put"), count: OFTEN, inFlight: 4 });
  const before = await stats(server), seen = await load({ server, path: TRIVIAL, agents: OFTEN, connections: 8 }), after = await stats(server);
  return { ...seen, woken: (after.warm_wakes - before.warm_wakes) / seen.answered };
});

const throughputAsleep = {
  title: "1,000 trivial agents touched uniformly, 8 connections: requests/s with sleep by default, of those without", unit: "%", isHigherBetter: true, only: "dormouse", async whole(name) {
    const seen = {};
    for (const [when, limits] of Object.entries(MAY_SLEEP)) seen[when] = await often(name, trivial, limits);
    const part = (when) => (100 * seen[when].perSecond) / seen.never.perSecond;
    const say = (when) => `${when} ${round(seen[when].perSecond)}/s (${round(part(when))} %; ${round(seen[when].cpuUs)} µs CPU each; ${round(100 * seen[when].woken, 1)} % of them woke an agent; p99 ${round(seen[when].p99, 1)} ms${failures(seen[when])})`;
    return { value: part("by default"), note: `asleep ${Object.keys(MAY_SLEEP).map(say).join(", ")}` };
  },
};

export const SLEEP = {
  "going-warm": goingWarm(trivial, TRIVIAL, "a trivial agent"),
  "going-warm-sdk": goingWarm(sdk, MINIMAL, "a minimal SDK agent"),
  "going-warm-chat": goingWarm(chat, CHAT, "an SDK agent with 100 messages"),
  "memory-warm-chat": memoryWarm(chat, CHAT, "an SDK agent with 100 messages"),
  "waking": waking(trivial, TRIVIAL, "a trivial agent", WARM, "warm"),
  "waking-handler": waking(trivial, PONG, "a trivial agent that leaves its database alone", WARM, "warm"),
  "waking-sdk": waking(sdk, MINIMAL, "a minimal SDK agent", WARM, "warm"),
  "waking-cold": waking(trivial, TRIVIAL, "a trivial agent", COLD, "cold"),
  "waking-cold-sdk": waking(sdk, MINIMAL, "a minimal SDK agent", COLD, "cold"),
  "waking-chat": waking(chat, CHAT, "an SDK agent with 100 messages", WARM, "warm"),
  "waking-cold-chat": waking(chat, CHAT, "an SDK agent with 100 messages", COLD, "cold"),
  "throughput-asleep": throughputAsleep,
};
