// power_machine — a machine of its own whose power can be cut and whose clock can be set: user-mode-linux as a plain process group. Its root is this host's tree, read
// only; its disk is an image file. SIGKILL of the group is the power cut: what the guest's kernel had not written to the image is gone.
import { execFileSync, spawn } from "node:child_process";
import { accessSync, constants, cpSync, existsSync, readdirSync, readFileSync, truncateSync, writeFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";
import { dirname, resolve } from "node:path";
import { startDormouse } from "../scenario/lib.mjs";
import { eachLine } from "../oracle/workerd.mjs";

export const ROOT = resolve(dirname(fileURLToPath(import.meta.url)), "../..");
const MEMORY = "640M";
const DISK_BYTES = 3 * 1024 ** 3; // sparse

const onPath = (name) => [...(process.env.PATH ?? "").split(delimiter), "/sbin", "/usr/sbin"].map((dir) => join(dir, name)).find((path) => {
  try { accessSync(path, constants.X_OK); return true; } catch { return false; }
});

/* Why no such machine can run here, or false. */
export function machineMissing() {
  if (process.getuid() !== 0) return "this rig needs root (its machine mounts the disk and builds sandboxes as root)";
  if (!onPath("linux.uml")) return "linux.uml is not installed (apt-get install user-mode-linux)";
  if (!onPath("mkfs.ext4")) return "mkfs.ext4 is not installed (apt-get install e2fsprogs)";
  return false;
}

/* A disk image at PATH with a copy of the folder DATA in it. */
function diskMake(path, data) {
  writeFileSync(path, "");
  truncateSync(path, DISK_BYTES);
  execFileSync(onPath("mkfs.ext4"), ["-q", "-F", "-E", "lazy_itable_init=1,lazy_journal_init=1", "-d", data, path], { stdio: ["ignore", "ignore", "inherit"] });
}

/* A disk in DIR on which APP (a folder of this one) is deployed; the deploy itself needs a bundler, so it is made on the host. */
export async function diskPrepare(dir, app) {
  const data = join(dir, "data"), project = join(dir, "project");
  cpSync(join(ROOT, "tests/fault", app), project, { recursive: true });
  const server = await startDormouse(project, { data });
  await server.stop();
  const tree = join(dir, "tree");
  cpSync(data, join(tree, "data"), { recursive: true, filter: (path) => !path.endsWith(".sock") });
  diskMake(join(dir, "disk"), tree);
}

/* Boots the machine with SCRIPT. LINE gets every line of its protocol (power_inside.mjs). cut() takes the power away and waits until nothing of it is left. */
export function boot({ disk, plan, dir, script = "tests/fault/power_inside.mjs", wrap = "", line }) {
  const planFile = join(dir, "plan.json");
  writeFileSync(planFile, JSON.stringify(plan));
  const child = spawn(onPath("linux.uml"), [
    `mem=${MEMORY}`, "root=/dev/root", "rootfstype=hostfs", "rootflags=/", "ro", `init=${join(ROOT, "tests/fault/power_init.sh")}`, `ubd0=${disk}`,
    "con=null", "con0=null,fd:1", "con1=null,fd:3", "quiet", `uml_dir=${dir}/`, "umid=machine", `POWER_ROOT=${ROOT}`, `POWER_NODE=${process.execPath}`, `POWER_SCRIPT=${script}`, `POWER_PLAN=${planFile}`,
    ...(wrap ? [`POWER_WRAP=${wrap}`] : []),
  ], { detached: true, stdio: ["ignore", "pipe", "pipe", "pipe"], env: { PATH: process.env.PATH, HOME: dir, TMPDIR: dir } });
  const kernel = [];
  for (const stream of [child.stdout, child.stderr]) eachLine(stream, (text) => { kernel.push(text); if (kernel.length > 400) kernel.shift(); });
  const told = new Promise((done) => child.stdio[3].once("close", done));
  eachLine(child.stdio[3], (text) => line(text.replace(/\r$/, "")));
  const ended = new Promise((done) => child.once("exit", done));
  return {
    ended, kernel,
    async cut() {
      try { process.kill(-child.pid, "SIGKILL"); } catch { /* it has ended by itself */ }
      await ended;
      await told; // what it had said before is heard
      while (groupMembers(child.pid).length) await new Promise((done) => setTimeout(done, 5));
    },
  };
}

/* The processes of a group; a killed one may take a moment. */
function groupMembers(group) {
  return readdirSync("/proc").filter((name) => /^\d+$/.test(name)).filter((pid) => {
    try {
      const [, state, , pgrp] = /\) (\S) (\d+) (\d+)/.exec(readFileSync(`/proc/${pid}/stat`, "utf8"));
      return Number(pgrp) === group && state !== "Z";
    } catch { return false; }
  });
}

export const nosyncPath = () => [process.env.POWER_NOSYNC, join(ROOT, "build/release/fault/power_nosync")].find((path) => path && existsSync(path));
