// Faults at system calls of running rooms, by inject.c (make fault-tools): which there are, and one at a time.
import { spawn } from "node:child_process";
import { existsSync, realpathSync } from "node:fs";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { DORMOUSE, withTimeout } from "../scenario/lib.mjs";

const tool = () => join(dirname(realpathSync(DORMOUSE)), "../fault/inject");

/* Why no fault can be injected here, or false. */
export async function cannotInject() {
  if (!existsSync(tool())) return `${tool()} is not built (make fault-tools)`;
  const sleeper = spawn("sleep", ["60"], { stdio: "ignore" });
  try {
    await (await inject({ fault: "none", at: 0, pids: [sleeper.pid] })).stop();
    return false;
  } catch (error) {
    return `processes cannot be traced here: ${error.message}`;
  } finally {
    sleeper.kill("SIGKILL");
  }
}

/* Attached to PIDS when it resolves. The AT-th write-type call from now on (over all of them; WHERE { pid, call, glob }: of these) meets FAULT; stop()
 * lets them go and tells { points: [{ number, pid, call, target, length }], isHit }. KILL: who dies with it; SKIP: calls that are left out. */
export async function inject({ fault, at, pids, where, sends = false, kill = [], skip = [], times = 1 }) {
  const words = [fault, String(at), ...(sends ? ["--sends"] : []), "--times", String(times), ...(skip.length ? ["--skip", skip.join(",")] : []), ...(where ? ["--where", String(where.pid), where.call, where.glob] : []), ...(kill.length ? ["--kill", kill.join(",")] : []), ...pids.map(String)];
  const child = spawn(tool(), words, { stdio: ["ignore", "pipe", "pipe"] });
  const points = [];
  let isHit = false, complaint = "", onHit;
  const hit = new Promise((resolve) => { onHit = resolve; });
  const closed = new Promise((resolve) => child.once("close", resolve));
  const attached = new Promise((resolve, reject) => {
    child.stderr.on("data", (text) => { complaint += text; });
    createInterface({ input: child.stdout }).on("line", (line) => {
      const [word, number, pid, call, target, length] = line.split(" ");
      if (word === "attached") resolve();
      else if (word === "hit") { isHit = true; onHit(); }
      else if (word === "point") points.push({ number: Number(number), pid: Number(pid), call, target, length: Number(length) });
    });
    closed.then(() => reject(new Error(complaint.trim() || "inject ended")));
  });
  await withTimeout(attached, 10_000, "inject did not attach").catch((error) => { child.kill("SIGKILL"); throw error; });
  attached.catch(() => {});
  return {
    hit,
    isHit: () => isHit,
    async stop() {
      child.kill("SIGTERM");
      await closed;
      return { points, isHit };
    },
  };
}
