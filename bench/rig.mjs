// What the figures share: the apps, the two servers, and how numbers are written.
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ROOT, startDormouse, startPeer } from "../tests/scenario/lib.mjs";

export const trivial = join(ROOT, "bench/apps/trivial");
export const sdk = join(ROOT, "bench/apps/sdk");
export const chat = join(ROOT, "bench/apps/chat");
const STAY_AWAKE = { warm_ms: 600_000, idle_ms: 600_000 };
export const SERVERS = {
  workerd: (dir, data, figure) => startPeer(dir, { data, evict: !figure.keepAwake }),
  dormouse: (dir, data, figure, isDeployed) => startDormouse(dir, { data, isDeployed, limits: figure.keepAwake ? STAY_AWAKE : figure.limits }),
};

export const round = (value, digits = 0) => (value === undefined ? "–" : value.toLocaleString("en", { maximumFractionDigits: digits, minimumFractionDigits: digits }));
const percent = (share) => `${round(share * 100)} %`;
export const failures = ({ failed }) => (failed ? `, ${failed} FAILED` : "");

/* What a note says of a run of wrk or touch(). A generator that has no time left measures itself. */
export const speed = ({ p50, p99, cpuUs, generator, others, failed }) => [
  `p50 ${round(p50, 2)} p99 ${round(p99, 1)} ms`,
  cpuUs === undefined ? "" : `, ${round(cpuUs)} µs CPU each`,
  `, load generator ${percent(generator)} of a core${generator > 0.85 ? ": THE LIMIT" : ""}`,
  others > 0.1 ? `, ${percent(others)} of the machine used by others` : "",
  failures({ failed }),
].join("");

const used = [];
process.once("exit", () => used.forEach((data) => rmSync(data, { recursive: true, force: true, maxRetries: 5 })));
for (const signal of ["SIGINT", "SIGTERM"]) process.once(signal, () => process.exit(1));

/* USE on a data folder of its own. They are removed together at the end: ext4 without a journal makes a new file three times as slow in the
 * minute after others were deleted. What is still to be written of one must not be written during the next figure. */
export async function withData(use) {
  const data = mkdtempSync(join(tmpdir(), "dormouse-bench-"));
  used.push(data);
  try {
    return await use(data);
  } finally {
    execFileSync("sync", ["-f", data]);
  }
}

export function withServer(name, figure, use) {
  return withData(async (data) => {
    const server = await SERVERS[name](figure.app, data, figure);
    try {
      return await use(server);
    } finally {
      await server.kill9();
    }
  });
}
