// Figures of writes that wait for the disk. Each write is one INSERT of a 100-byte row, in the turn of its own request.
import { load, rows, sleep, syncUs, syncsDuring, touch, written } from "./measure.mjs";
import { failures, round, speed, trivial } from "./rig.mjs";

const PATH = "/a/agent-{i}/row";
const IDLE_S = 20; // long enough for both to have put the agents to sleep and their logs into the databases

/* What USE finds, and the speed of the disk around it: others may be writing, too. */
async function besideDisk(server, use) {
  const before = syncUs(server.data), { value, note } = await use();
  return { value, note: `${note}; disk alone ${round(before)} µs before, ${round(syncUs(server.data))} µs after` };
}

/* FIELD of a load of writes, every answered one of which must be there afterwards. */
const writes = (server, agents, connections, field) => besideDisk(server, async () => {
  await touch({ server, path: PATH, count: agents, inFlight: 4 });
  const seen = await load({ server, path: PATH, agents, connections });
  const stored = await rows(server, agents), expected = seen.answered - seen.failed + agents;
  const missing = stored < expected ? `, ${expected - stored} ROWS MISSING` : "";
  return { value: seen[field], note: `${speed(seen)}${missing}` };
});

const rate = (agents, connections) => ({
  title: `durable write, ${round(agents)} agent${agents === 1 ? "" : "s"}, ${connections} connections`, unit: "writes/s", isHigherBetter: true, app: trivial,
  ask: (server) => writes(server, agents, connections, "perSecond"),
});

const first = (inFlight) => ({
  title: `new trivial agent, first write; ${inFlight} in flight`, unit: "agents/s", isHigherBetter: true, app: trivial,
  ask: (server) => besideDisk(server, async () => {
    await touch({ server, path: "/a/warm/put", count: 1 });
    const seen = await load({ server, path: "/a/new-{i}/put", connections: inFlight, isNew: true });
    return { value: seen.perSecond, note: speed(seen) };
  }),
});

export const DURABLE = {
  "durable-100": rate(100, 32),
  "durable-1": rate(1, 32),
  "durable-1000": rate(1000, 128),
  "durable-alone": { title: "durable write, one at a time, 1 agent", unit: "ms", digits: 2, app: trivial, ask: (server) => writes(server, 1, 1, "p50") },
  "first-write": first(4),
  "first-write-16": first(16),
  "first-write-32": first(32),
  "syncs": { title: "syncs per durable write, 100 agents, 32 in flight", unit: "calls", digits: 2, app: trivial, async ask(server) {
    await touch({ server, path: PATH, count: 100, inFlight: 4 });
    const count = async (inFlight) => (await syncsDuring(server.pid, () => touch({ server, path: PATH, count: 1000, agents: 100, inFlight }))) / 1000;
    const alone = await count(1);
    return { value: await count(32), note: `${round(alone, 2)} one at a time` };
  } },
  "amplification": { title: "bytes to disk per 100-byte row, 100 agents, 32 in flight", unit: "bytes", app: trivial, async ask(server) {
    await touch({ server, path: PATH, count: 100, inFlight: 4 });
    const before = written(server.pid, server.data);
    const seen = await touch({ server, path: PATH, count: 4000, agents: 100, inFlight: 32 });
    const answered = written(server.pid, server.data);
    await sleep(IDLE_S);
    const after = written(server.pid, server.data);
    const each = (then, field) => round((then[field] - before[field]) / 4000);
    return {
      value: (after.bytes - before.bytes) / 4000,
      note: `${each(answered, "bytes")} when answered; the device wrote ${each(answered, "deviceBytes")} and ${each(after, "deviceBytes")} for everybody, file system included${failures(seen)}`,
    };
  } },
};
