// Lists a difference with its reason: node tests/oracle/accept.mjs intended|gap "REASON" "PROGRAM: CASE"…
// intended: Dormouse means to answer so. gap: not built yet; the day it is built, the test asks for the entry to be struck off.
// Records what Dormouse answers now. Without arguments it strikes off every entry that no longer differs.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { start } from "../scenario/lib.mjs";
import { askAll, goldenFile, HERE, scratch, writeProject } from "./run.mjs";

const file = join(HERE, "differences.json");
const listed = JSON.parse(readFileSync(file, "utf8"));
const [kind, reason, ...keys] = process.argv.slice(2);
const programOf = (key) => key.slice(0, key.indexOf(": "));
const caseOf = (key) => key.slice(key.indexOf(": ") + 2);

const wanted = keys.length ? keys : Object.keys(listed);
for (const program of new Set(wanted.map(programOf))) {
  const { dir, remove } = scratch();
  await writeProject(join(dir, "project"), program);
  const server = await start(join(dir, "project"), { data: join(dir, "data") });
  const answers = await askAll(server.url);
  await server.stop();
  remove();
  const golden = JSON.parse(readFileSync(goldenFile(program), "utf8"));
  for (const key of wanted.filter((one) => programOf(one) === program)) {
    const name = caseOf(key);
    const isSame = isDeepStrictEqual(answers[name], golden[name]);
    if (isSame) delete listed[key];
    else if (keys.length) listed[key] = { kind, reason, dormouse: answers[name] };
    if (isSame) console.log(`${key}: no difference`);
  }
}
const sorted = Object.entries(listed).sort(([a], [b]) => (a < b ? -1 : 1));
writeFileSync(file, `{\n${sorted.map(([key, value]) => `  ${JSON.stringify(key)}: ${JSON.stringify(value)}`).join(",\n")}\n}\n`);
