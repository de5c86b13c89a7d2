// make bench-density MACHINE=uml: density.mjs in a machine of its own (tests/machine), whose root may lift what this shell may not: descriptors,
// ports, the kernel's memory for sockets. One processor, and syscalls take some ten times as long as here: memory is right, times are upper bounds.
//   SECTIONS=sockets  what is asked for by default
//   MACHINE_MB=8192   its memory, in /dev/shm: only what it touches is taken
//   MACHINE_CPU=0     the processor that it has: it is twice as slow when its processes wander
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { boot, diskMake, machineMissing } from "../tests/machine/machine.mjs";

const FILES = 1 << 20;
const DISK_BYTES = 16 * 1024 ** 3;       // sparse
const MEMORY_MB = Number(process.env.MACHINE_MB ?? 8192);
const SOCKETS = Number(process.env.SOCKETS ?? 60_000);
const ASKED = { SECTIONS: "sockets", SOCKETS: String(SOCKETS), AGENTS: String(SOCKETS) };
const PASSED = ["AGENTS", "SOCKETS", "WAITING", "ACTIVE_S", "SECTIONS", "DORMOUSE"];
const SYSCTL = {
  "fs.nr_open": String(FILES), "fs.file-max": String(8 * FILES), "net.core.somaxconn": "4096", "net.ipv4.ip_local_port_range": "1024 65535",
  "net.ipv4.tcp_mem": "262144 524288 1048576", "net.ipv4.tcp_max_orphans": "262144",   // the first in pages: 1, 2 and 4 GiB
};

const missing = machineMissing();
if (missing) throw new Error(missing);
const dir = mkdtempSync(join(tmpdir(), "dormouse-bench-"));
let machine, failed = null;
const end = async (code) => { await machine?.cut(); rmSync(dir, { recursive: true, force: true }); process.exit(code); };
for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => end(1));
diskMake(join(dir, "disk"), null, DISK_BYTES);
machine = boot({
  disk: join(dir, "disk"), dir,
  memory: `${MEMORY_MB}M`, memoryDir: "/dev/shm", cpu: process.env.MACHINE_CPU ?? "0", script: "bench/density_inside.mjs",
  plan: { files: FILES, sysctl: SYSCTL, env: { ...ASKED, ...Object.fromEntries(PASSED.filter((name) => process.env[name]).map((name) => [name, process.env[name]])) } },
  line(text) {
    if (text.startsWith("FAILED") || text.startsWith("E ")) failed = text;
    console.log(text);
  },
});
await machine.ended;
if (failed) console.error(machine.kernel.slice(-30).join("\n"));
await end(failed ? 1 : 0);
