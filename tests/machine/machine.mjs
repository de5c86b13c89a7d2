// machine — a machine of its own, with limits of its own, whose power can be cut and whose clock can be set: user-mode-linux as a plain process group.
// Its root is this host's tree, read only; its disk is an image file. SIGKILL of the group is the power cut: what the guest's kernel had not written to the
// image is gone.
import { execFileSync, spawn } from "node:child_process";
import { accessSync, constants, cpSync, readdirSync, readFileSync, truncateSync, writeFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import { ROOT, startDormouse } from "../scenario/lib.mjs";
import { eachLine } from "../oracle/workerd.mjs";

const DISK_BYTES = 3 * 1024 ** 3; // sparse

const onPath = (name) => [...(process.env.PATH ?? "").split(delimiter), "/sbin", "/usr/sbin"].map((dir) => join(dir, name)).find((path) => {
  try { accessSync(path, constants.X_OK); return true; } catch { return false; }
});

/* Why no such machine can run here, or false. */
export function machineMissing() {
  if (process.getuid() !== 0) return "a machine of its own needs root (its init mounts the disk, and sandboxes are built as root)";
  if (!onPath("linux.uml")) return "linux.uml is not installed (apt-get install user-mode-linux)";
  if (!onPath("mkfs.ext4")) return "mkfs.ext4 is not installed (apt-get install e2fsprogs)";
  return false;
}

/* A disk image at PATH, of BYTES, with a copy of the folder DATA in it if there is one. */
export function diskMake(path, data, bytes = DISK_BYTES) {
  writeFileSync(path, "");
  truncateSync(path, bytes);
  execFileSync(onPath("mkfs.ext4"), ["-q", "-F", "-E", "lazy_itable_init=1,lazy_journal_init=1", ...(data ? ["-d", data] : []), path], { stdio: ["ignore", "ignore", "inherit"] });
}

/* A disk in DIR on which APP (a folder of tests/fault) is deployed; the deploy itself needs a bundler, so it is made on the host. */
export async function diskPrepare(dir, app) {
  const data = join(dir, "data"), project = join(dir, "project");
  cpSync(join(ROOT, "tests/fault", app), project, { recursive: true });
  const server = await startDormouse(project, { data });
  await server.stop();
  const tree = join(dir, "tree");
  cpSync(data, join(tree, "data"), { recursive: true, filter: (path) => !path.endsWith(".sock") });
  diskMake(join(dir, "disk"), tree);
}

/* Boots the machine, which runs SCRIPT (below ROOT) with PLAN, under WRAP, and ends with it. LINE gets every line that it prints.
 * MEMORYDIR holds the machine's memory, the pages that it has touched; CPU is the one processor of the host that it may use. cut() takes the
 * power away and waits until nothing of it is left. */
export function boot({ disk, dir, script, plan, wrap = "", memory = "640M", memoryDir = dir, cpu, line }) {
  const planFile = join(dir, "plan.json");
  writeFileSync(planFile, JSON.stringify(plan));
  const words = [
    `mem=${memory}`, "root=/dev/root", "rootfstype=hostfs", "rootflags=/", "ro", `init=${join(ROOT, "tests/machine/init.sh")}`, `ubd0=${disk}`,
    "con=null", "con0=null,fd:1", "con1=null,fd:3", "quiet", `uml_dir=${dir}/`, "umid=machine", `MACHINE_ROOT=${ROOT}`, `MACHINE_NODE=${process.execPath}`, `MACHINE_SCRIPT=${script}`,
    `MACHINE_PLAN=${planFile}`, ...(wrap ? [`MACHINE_WRAP=${wrap}`] : []),
  ];
  const [program, ...rest] = [...(cpu === undefined ? [] : ["taskset", "-c", cpu]), onPath("linux.uml"), ...words];
  const child = spawn(program, rest, { detached: true, stdio: ["ignore", "pipe", "pipe", "pipe"], env: { PATH: process.env.PATH, HOME: dir, TMPDIR: memoryDir } });
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
