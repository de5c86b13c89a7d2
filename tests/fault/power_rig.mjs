// The power-cut rig: Dormouse, all of it, in a machine of its own (tests/machine) whose power goes at a random moment, again and again. After each
// cut the machine boots, the server recovers, and every agent tells what it has; the judge is power_ledger.mjs. A quarter of the cuts hit the recovery.
//
//   node tests/fault/power_rig.mjs [--long] [--cuts 20] [--control 1] [--loud 1] [--seed N]
//
// The control: fsync, fdatasync, syncfs do nothing; the rig must then find losses, else it proves nothing.
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { DORMOUSE, ROOT } from "../scenario/lib.mjs";
import { ledger } from "./power_ledger.mjs";
import { boot, diskPrepare, machineMissing } from "../machine/machine.mjs";
import { Rig } from "./rig.mjs";

const READY_MS_MAX = 120_000; // boot, recovery and telling, on a busy machine
const RUN_MS_MAX = 3_500; // of load before a cut
const RECOVERY_MS_MAX = 900; // after the boot, when the cut is to hit the recovery
const CONTROL_CUTS_MAX = 12; // the file system writes by itself every 5 s: a long life may lose nothing
const BORN_TOLD_MAX = 25; // of the agents born in the life before
const ALARM_MS_MAX = 20_000; // an alarm is overdue since the boot, its worker may need a retry
const GENERATION = 25; // so many cuts the busy agents keep their names: their tables stay small
const TOLD_MAX = 60; // agents per boot: a process of this machine has 512 GiB of addresses, an awake agent's heap reserves more than 4
const BUSY = 5, RESTING = 3, ALARMED = 2;

const names = (letter, generation, count) => Array.from({ length: count }, (_, i) => `${letter}${generation}-${i}`);
const generationOf = (epoch) => Math.floor(epoch / GENERATION);
const steady = (generation) => [...names("s", generation, BUSY), ...names("r", generation, RESTING)];

/* One life of the machine: recover, tell, write, until the power goes. CUT_MS null: until the machine has told everything. */
function live(campaign, plan, { duringRecovery, cutMs }) {
  return new Promise((resolve, reject) => {
    const seen = { isReady: false, isTold: false, error: null };
    const machine = boot({
      disk: join(campaign.dir, "disk"), dir: campaign.dir, script: "tests/fault/power_inside.mjs", plan, wrap: campaign.wrap,
      line(text) {
        const [word, ...rest] = text.split(" ");
        if (campaign.isLoud && word !== "A" && word !== "D") console.log(`      ${text}`);
        const take = {
          B: () => { if (duringRecovery) cutAfter(cutMs); },
          S: () => { seen.isReady = true; campaign.readyMs.push(Number(rest[0])); },
          D: () => campaign.ledger.judge(plan.epoch, rest[0], JSON.parse(text.slice(text.indexOf(" ", 2)))),
          X: () => { campaign.ledger.fail(plan.epoch, `the alarm ${rest.join(" ")} has not fired`); },
          V: () => { seen.isTold = true; campaign.alarms = campaign.alarms.filter((one) => !plan.alarms.includes(one)); if (!duringRecovery && cutMs !== null) cutAfter(cutMs); },
          A: () => campaign.ledger.ack("row", rest[0], Number(rest[1]), Number(rest[2])),
          W: () => { campaign.ledger.ack("alarm", rest[0], Number(rest[1]), Number(rest[2])); campaign.alarms.push([rest[0], Number(rest[1]), Number(rest[2])]); },
          F: () => campaign.ledger.fail(plan.epoch, `a request failed without a fault: ${rest.join(" ")}`),
          E: () => { if (text !== "E done") seen.error = rest.join(" "); cutAfter(0); },
          L: () => {},
        }[word];
        if (take) take();
        else seen.error ??= `a line of no kind: ${text}`;
        if (word === "A" && rest[0].startsWith("b")) campaign.born.add(rest[0]);
      },
    });
    let timer = setTimeout(() => { seen.error ??= `nothing came for ${READY_MS_MAX} ms:\n${machine.kernel.slice(-30).join("\n")}`; cutAfter(0); }, READY_MS_MAX);
    function cutAfter(ms) {
      clearTimeout(timer);
      timer = setTimeout(() => machine.cut().then(() => (seen.error ? reject(new Error(seen.error)) : resolve(seen)), reject), ms);
    }
    machine.ended.then(() => cutAfter(0));
  });
}

function planOf(campaign, epoch) {
  const now = generationOf(epoch), alarmed = names("w", epoch, ALARMED);
  for (const name of alarmed) campaign.armedNames.add(name);
  return { dormouse: DORMOUSE, epoch, isLoud: campaign.isLoud, busy: names("s", now, BUSY), resting: names("r", now, RESTING), alarmed,
           tell: [...steady(now), ...(epoch % GENERATION === 0 ? steady(now - 1) : []), ...campaign.bornLately],
           alarms: [...campaign.alarms], alarmMsMax: ALARM_MS_MAX, padsFrom: (epoch - 2) * 100 };
}

/* Every agent there ever was, in parts that one boot can hold. */
function everybody(campaign, epoch) {
  const all = [...Array.from({ length: generationOf(epoch) + 1 }, (_, generation) => steady(generation)).flat(), ...campaign.born, ...campaign.armedNames];
  return Array.from({ length: Math.ceil(all.length / TOLD_MAX) }, (_, i) => all.slice(i * TOLD_MAX, (i + 1) * TOLD_MAX));
}

/* One machine and its disk, cut again and again. */
class Campaign {
  constructor({ rig, wrap = "", dir }) {
    Object.assign(this, { dir, wrap, random: (below) => Math.floor(rig.random() * below), isLoud: rig.numbers.loud > 0, ledger: ledger() });
    Object.assign(this, { alarms: [], armedNames: new Set(), born: new Set(), bornLately: [], readyMs: [], inRecovery: 0, cuts: 0, isDead: false });
  }

  /* The violations that this life shows. */
  async live(plan, options) {
    const before = this.ledger.failures.length;
    await live(this, plan, options).catch((error) => {
      this.isDead = true;
      this.ledger.fail(this.cuts, `the server did not come back: ${error.message}`);
    });
    return this.ledger.failures.slice(before);
  }

  async cut(epoch) {
    if (this.isDead) return [];
    const duringRecovery = epoch > 1 && this.random(4) === 0, before = new Set(this.born);
    const found = await this.live(planOf(this, epoch), { duringRecovery, cutMs: this.random(duringRecovery ? RECOVERY_MS_MAX : RUN_MS_MAX) });
    this.cuts++;
    if (duringRecovery) this.inRecovery++;
    else this.bornLately = [...this.born].filter((name) => !before.has(name)).slice(-BORN_TOLD_MAX);
    return found;
  }

  async readAll() {
    const found = [], epoch = this.cuts + 1;
    for (const some of everybody(this, epoch))
      if (!this.isDead) found.push(...(await this.live({ ...planOf(this, epoch), tell: some, isLast: true, padsFrom: 0 }, { cutMs: null })));
    return found;
  }

  note() {
    const { acks, alarms, dumps } = this.ledger.counts, ready = this.readyMs.sort((a, b) => a - b);
    return `${acks.toLocaleString("en")} acknowledged writes, ${alarms} alarms, ${this.born.size} agents born, ${dumps} agents read, ${this.ledger.unheard.size} writes kept that nobody was told of; ` +
      `${this.inRecovery} cuts in recovery; ready after ${ready[ready.length >> 1]} ms (median), ${ready.at(-1)} ms (longest)`;
  }
}

async function within(use) {
  const dir = mkdtempSync(join(tmpdir(), "dormouse-power-"));
  await diskPrepare(dir, "power_app");
  const isToBeKept = await use(dir);
  if (isToBeKept) rig.say(`kept: ${dir}/disk (ext4; the data folder is data/ in it)`);
  else rmSync(dir, { recursive: true, force: true, maxRetries: 5 });
}

async function cutThePower() {
  await within(async (dir) => {
    const campaign = new Campaign({ rig, dir });
    await rig.measure("power cut", rig.numbers.cuts, (round) => campaign.cut(round));
    rig.note("power cut", campaign.note());
    rig.count("every agent once more", campaign.isDead ? ["the server did not come back"] : await campaign.readAll());
    return campaign.ledger.failures.length > 0;
  });
}

async function controlMustFail() {
  const wrap = [process.env.POWER_NOSYNC, join(ROOT, "build/release/fault/power_nosync")].find((path) => path && existsSync(path));
  if (!wrap) return rig.control("syncs that do nothing", false, "power_nosync is not built (make fault-tools)");
  await within(async (dir) => {
    const campaign = new Campaign({ rig, wrap, dir }), lost = () => campaign.ledger.failures.filter((text) => text.includes("LOST")).length;
    while (!lost() && !campaign.isDead && campaign.cuts < CONTROL_CUTS_MAX) await campaign.cut(campaign.cuts + 1);
    const isCaught = lost() > 0 || campaign.isDead;
    rig.control("syncs that do nothing", isCaught, `${campaign.cuts} cuts, ${campaign.ledger.counts.acks} acknowledged writes, ${lost()} lanes lost rows`);
    return false;
  });
}

const rig = new Rig("power", { cuts: [2, 300], control: [0, 1], loud: [0, 0] });
const missing = machineMissing();
if (missing) {
  rig.skip(missing);
} else {
  await cutThePower();
  if (rig.numbers.control) await controlMustFail();
}
rig.end();
