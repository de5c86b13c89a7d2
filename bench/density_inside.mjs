// Inside the machine of density_machine.mjs: lifts the limits of its kernel, then runs density.mjs on its disk. Prints what that prints.
import { spawn } from "node:child_process";
import { mkdirSync, readFileSync, writeFileSync, writeSync } from "node:fs";
import { eachLine } from "../tests/oracle/workerd.mjs";

const plan = JSON.parse(readFileSync(process.argv[2], "utf8"));
const say = (line) => writeSync(1, `${line}\n`);

for (const [name, value] of Object.entries(plan.sysctl)) writeFileSync(`/proc/sys/${name.replaceAll(".", "/")}`, value);
mkdirSync("/mnt/tmp", { recursive: true });
const child = spawn("sh", ["-c", `ulimit -n ${plan.files} && exec "$0" bench/density.mjs`, process.execPath], {
  stdio: ["ignore", "pipe", "pipe"], env: { ...process.env, ...plan.env, TMPDIR: "/mnt/tmp" },
});
for (const stream of [child.stdout, child.stderr]) eachLine(stream, say);
child.once("close", (code, signal) => { if (code !== 0) say(`FAILED ${code ?? signal}`); });
