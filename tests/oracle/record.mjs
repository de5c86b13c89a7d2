// Records what workerd answers to every case: `make oracle`, or `node tests/oracle/record.mjs NAME…` for some programs.
// Every program is asked twice on fresh data; a case that answers differently is not an oracle and fails the recording.
import { mkdirSync, writeFileSync } from "node:fs";
import { isDeepStrictEqual } from "node:util";
import { askAll, classesOf, goldenFile, HERE, programFile, PROGRAMS, scratch } from "./run.mjs";
import { startWorkerd } from "./workerd.mjs";

async function askWorkerd(name) {
  const { dir, remove } = scratch();
  const main = programFile(name);
  const server = await startWorkerd({ main, classes: await classesOf(main), data: dir });
  try {
    return await askAll(server.url);
  } finally {
    await server.stop("SIGKILL");
    remove();
  }
}

let total = 0;
mkdirSync(`${HERE}/golden`, { recursive: true });
for (const name of process.argv.length > 2 ? process.argv.slice(2) : PROGRAMS) {
  const [first, second] = [await askWorkerd(name), await askWorkerd(name)];
  const unsteady = Object.keys(first).filter((key) => !isDeepStrictEqual(first[key], second[key]));
  if (unsteady.length) {
    for (const key of unsteady) console.error(`${name}: "${key}" answers differently:`, JSON.stringify(first[key]), JSON.stringify(second[key]));
    process.exitCode = 1;
    continue;
  }
  const lines = Object.entries(first).map(([key, value]) => `  ${JSON.stringify(key)}: ${JSON.stringify(value)}`);
  writeFileSync(goldenFile(name), `{\n${lines.join(",\n")}\n}\n`);
  total += lines.length;
  console.log(`${name}: ${lines.length} cases`);
}
console.log(`${total} cases recorded`);
