// The server under fault: two apps of ledgers on one data folder, brought up, killed and brought up again, and the still picture of its agents.
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { ROOT, allGone, descendants, killTree, scratch, startDormouse, withTimeout } from "../scenario/lib.mjs";
import { check, overdue } from "./oracle.mjs";
import { HANG_MS, ask } from "./load.mjs";

export const APPS = ["ledger", "neighbour"];
const appFolder = (name) => join(ROOT, "tests/fault/apps", name);
const DRAIN_MS = 60_000; // alarms that a kill interrupted are tried again after 2, 4, 8 … seconds

export class House {
  constructor({ data = null, apps = APPS, workers = 2, args = [], limits } = {}) {
    this.own = data ? null : scratch("dormouse-fault-");
    this.data = data ?? this.own.dir;
    Object.assign(this, { apps, workers, args, limits, now: null, isDeployed: false, everSeen: new Map() });
  }

  async up(options = {}) {
    const more = this.isDeployed ? [] : this.apps.slice(1).flatMap((name) => ["--deploy", appFolder(name)]);
    this.now = await startDormouse(appFolder(this.apps[0]), {
      data: this.data, isDeployed: this.isDeployed, limits: this.limits, args: ["--allow-private", "--workers", String(this.workers), ...more, ...this.args], ...options,
    });
    this.isDeployed = true;
    this.family();
    return this.now;
  }

  /* Starts it and kills it with everything below after MS, ready or not. */
  async upAndDown(ms) {
    let timer, family = [];
    const onSpawn = (child) => { timer = setTimeout(() => { family = killTree(child.pid); }, ms); };
    const isUp = await this.up({ onSpawn }).then(() => true, () => false);
    clearTimeout(timer);
    if (isUp) await this.kill9();
    await allGone([...family, ...this.strays().flatMap(killTree)]);
  }

  /* Supervisors of this data folder that began to live while their parent was killed. */
  strays() {
    return readdirSync("/proc").filter((name) => /^\d+$/.test(name)).map(Number).filter((pid) => {
      try {
        return readFileSync(`/proc/${pid}/cmdline`, "utf8").includes(this.data);
      } catch {
        return false; // it ended meanwhile
      }
    });
  }

  /* Every process there is, remembered for the end. */
  family() {
    const family = descendants(this.now.pid);
    for (const one of family) this.everSeen.set(`${one.pid} ${one.started}`, one);
    return family;
  }

  async kill9() {
    const server = this.now;
    this.now = null;
    await server.kill9();
  }

  async stop() {
    const server = this.now;
    this.now = null;
    await server?.stop();
  }

  /* No process is left of any that ever was there. */
  async close() {
    await this.stop();
    await allGone([...this.everSeen.values()]);
    this.own?.remove();
  }

  ask(app, path) { return ask({ port: this.now.port, host: `${app}.localhost`, path }); }

  /* What NAME holds; asked again while the server says "later", for as long as a hang is long. */
  async dump(app, name) {
    for (const end = Date.now() + HANG_MS; ; ) {
      const answer = await this.ask(app, `/l/${name}/dump`);
      if (answer.status === 200) return answer.json;
      const isLater = answer.status === 503 || (answer.status === 555 && answer.json.retryable);
      if (!isLater || Date.now() > end) throw new Error(`the dump of ${app}/${name} answered ${answer.status}: ${answer.text.slice(0, 300)}`);
    }
  }

  /* The violations of all agents of LOAD, which is paused; with SETTLE what was unknown is decided ("final": also against it). */
  async judge(load, { settle, isDrained = false } = {}) {
    const app = load.host.split(".")[0];
    for (const key of load.witness?.toldKeys() ?? []) for (const name of load.agents) load.log.saw(name, key);
    const found = await Promise.all(load.agents.map(async (name) => {
      const state = await this.dump(app, name);
      const bad = [...check(load.log, name, state), ...(isDrained ? overdue(load.log, name, state) : [])];
      if (settle) load.log.settle(name, state, settle === "final");
      return bad;
    }));
    return found.flat();
  }

  /* Waits until no agent of LOAD has an alarm left, then judges. */
  async judgeDrained(load, options) {
    const app = load.host.split(".")[0];
    const drained = async () => {
      for (const name of load.agents) while ((await this.dump(app, name)).armed.length > 0) await new Promise((resolve) => setTimeout(resolve, 100));
    };
    await withTimeout(drained(), DRAIN_MS, "alarms are left").catch(() => {});
    return this.judge(load, { ...options, isDrained: true });
  }
}
