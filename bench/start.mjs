// Figures of starts: spawn to first answer, with many agents on disk, and after a crash with many commits in the log only.
import { copyFileSync, linkSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { get, median, touch } from "./measure.mjs";
import { SERVERS, round, trivial, withData } from "./rig.mjs";

const ON_DISK = Number(process.env.AGENTS_ON_DISK ?? 100_000);
const LOGGED = Math.min(10_000, ON_DISK);
const LINKS_PER_FILE = 50_000; // ext4 allows 65,000

async function begin(name, figure, data, use, { isDeployed = true, end = "stop" } = {}) {
  const server = await SERVERS[name](figure.app, data, figure, isDeployed);
  try {
    return await use(server);
  } finally {
    await server[end]();
  }
}

/* Fills a data folder. workerd's files are linked, for it would need minutes to make them. */
async function fill(name, figure, data) {
  if (name === "workerd") {
    await begin(name, figure, data, (server) => get(`${server.url}/a/known/put`));
    const folder = join(data, "do", "peer-Trivial");
    const [one] = readdirSync(folder).filter((file) => /^[0-9a-f]{64}\.sqlite$/.test(file));
    let source = join(folder, one);
    for (let i = 0; i < ON_DISK; i++) {
      const file = join(folder, `${i.toString(16).padStart(64, "0")}.sqlite`);
      if (i % LINKS_PER_FILE === 0) copyFileSync(source, file), (source = file);
      else linkSync(source, file);
    }
  } else {
    await begin(name, figure, data, (server) => touch({ server, path: "/a/agent-{i}/put", count: ON_DISK, inFlight: 16 }), { isDeployed: false });
    await begin(name, figure, data, (server) => get(`${server.url}/a/known/put`));
  }
}

/* A request that must succeed: what it took. */
async function ask(server, path) {
  const { took, status } = await get(server.url + path);
  if (status !== 200) throw new Error(`${path} answered ${status}`);
  return took;
}

const timeStart = (name, figure) => withData(async (data) => {
  await fill(name, figure, data);
  const seen = [];
  for (let i = 0; i < 3; i++) {
    seen.push(await begin(name, figure, data, async (server) => { await ask(server, "/a/known/get"); return performance.now() - server.spawnedAt; }));
  }
  return { value: median(seen), note: `${seen.map((ms) => round(ms)).join(", ")} ms` };
});

/* Agents that hold a timer keep their commits in the log; then everything dies at once. */
const timeRecovery = (name, figure) => withData(async (data) => {
  const seen = [];
  let failed = 0;
  await fill(name, figure, data);
  for (let i = 0; i < 3; i++) {
    await begin(name, figure, data, async (server) => { failed += (await touch({ server, path: "/a/agent-{i}/hold", count: LOGGED, inFlight: 16 })).failed; }, { end: "kill9" });
    seen.push(await begin(name, figure, data, async (server) => {
      await ask(server, "/a/known/get");
      const firstAnswer = performance.now() - server.spawnedAt;
      return { firstAnswer, logged: await ask(server, `/a/agent-${i}/get`), write: await ask(server, "/a/known/row"), again: await ask(server, `/a/agent-${LOGGED - 1 - i}/get`) };
    }));
  }
  const of = (field) => round(median(seen.map((one) => one[field])), 1);
  return {
    value: median(seen.map((one) => one.firstAnswer)),
    note: `${seen.map((one) => round(one.firstAnswer)).join(", ")} ms; then an agent with logged commits ${of("logged")} ms, a durable write ${of("write")} ms, another logged one ${of("again")} ms${failed ? `, ${failed} FAILED` : ""}`,
  };
});

export const START = {
  "start": { title: `start to first answer with ${round(ON_DISK)} agents on disk`, unit: "ms", app: trivial, whole: timeStart },
  "start-recovery": { title: `restart after a crash with ${round(ON_DISK)} agents, ${round(LOGGED)} of them with commits not yet checkpointed`, unit: "ms", app: trivial, only: "dormouse", whole: timeRecovery },
};
