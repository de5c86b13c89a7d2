// Runs the fault rigs, one after the other, and prints a table:  node tests/fault/run.mjs [--long] [RIG … [-- OPTIONS of the rig]]
// A rig is a program of its own, tests/fault/NAME_rig.mjs; what it must print is in rig.mjs. New ones are found by their name.
import { spawn } from "node:child_process";
import { readdirSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const HERE = dirname(fileURLToPath(import.meta.url));
const FIRST = ["kill", "syscall", "disk"]; // the rest follows in the order of the alphabet

const rigs = readdirSync(HERE).filter((name) => name.endsWith("_rig.mjs")).map((name) => basename(name, "_rig.mjs"))
  .sort((a, b) => (FIRST.indexOf(a) + 1 || 99) - (FIRST.indexOf(b) + 1 || 99) || a.localeCompare(b));

const words = process.argv.slice(2), split = words.indexOf("--");
const more = split < 0 ? [] : words.splice(split).slice(1);
const isLong = words.includes("--long"), wanted = words.filter((word) => word !== "--long");
for (const name of wanted) if (!rigs.includes(name)) { console.error(`there is no rig '${name}': ${rigs.join(" ")}`); process.exit(2); }

/* One rig to its end: its report, or what it died of. */
async function run(name) {
  const child = spawn(process.execPath, [join(HERE, `${name}_rig.mjs`), ...(isLong ? ["--long"] : []), ...more], { stdio: ["ignore", "pipe", "inherit"] });
  let result = null;
  const closed = new Promise((resolve) => child.once("close", resolve));
  for await (const line of createInterface({ input: child.stdout })) {
    if (line.startsWith("RESULT ")) result = JSON.parse(line.slice(7));
    else console.log(line);
  }
  const status = await closed;
  if (!result) return { rig: name, rows: [{ fault: "the rig itself", rounds: 0, bad: 1, note: `ended with ${status} and no result` }], seconds: 0 };
  if (status !== 0 && result.rows.every((row) => row.bad === 0)) result.rows.push({ fault: "the rig itself", rounds: 0, bad: 1, note: `ended with ${status}` });
  return result;
}

const results = [];
for (const name of wanted.length ? wanted : rigs) results.push(await run(name));

const rows = results.flatMap(({ rig, rows, skipped, seconds, seed }) => [
  ...rows.map((row) => [rig, row.fault, row.rounds.toLocaleString("en"), String(row.bad), row.note ?? ""]),
  skipped ? [rig, "skipped", "0", "0", skipped] : [rig, `(${seconds} s, seed ${seed})`, "", "", ""],
]);
const head = ["rig", "fault", "tries", "bad", "note"];
const widths = head.map((_, at) => (at === 4 ? 0 : Math.max(...[head, ...rows].map((row) => row[at].length))));
for (const row of [head, ...rows]) console.log(row.map((cell, at) => (at === 2 || at === 3 ? cell.padStart(widths[at]) : cell.padEnd(widths[at]))).join("  ").trimEnd());

for (const [rig, fault, tries, bad, note] of rows) if (Number(bad) > 0) console.log(`FAIL  ${rig}: ${fault}: ${bad} bad of ${tries}${note ? `; ${note}` : ""}`);

const failed = rows.filter((row) => Number(row[3]) > 0).length, passed = results.flatMap(({ rows: all }) => all).length - failed;
console.log(`${passed} passed, ${failed} failed`);
process.exitCode = failed > 0 ? 1 : 0;
