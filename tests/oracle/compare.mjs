// For the one who mends a difference: node tests/oracle/compare.mjs [PROGRAM…] prints what differs and is not listed, one case per line pair.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { isDeepStrictEqual } from "node:util";
import { start } from "../scenario/lib.mjs";
import { askAll, goldenFile, HERE, PROGRAMS, scratch, writeProject } from "./run.mjs";

const listed = JSON.parse(readFileSync(join(HERE, "differences.json"), "utf8"));
for (const program of process.argv.length > 2 ? process.argv.slice(2) : PROGRAMS) {
  const { dir, remove } = scratch();
  await writeProject(join(dir, "project"), program);
  let server;
  try {
    server = await start(join(dir, "project"), { data: join(dir, "data") });
    const golden = JSON.parse(readFileSync(goldenFile(program), "utf8"));
    const answers = await askAll(server.url);
    const wrong = Object.keys(golden).filter((name) => !isDeepStrictEqual(answers[name], listed[`${program}: ${name}`]?.dormouse ?? golden[name]));
    console.log(`${program}: ${Object.keys(golden).length - wrong.length} of ${Object.keys(golden).length} agree`);
    for (const name of wrong) console.log(`  ${name}\n    workerd   ${JSON.stringify(golden[name])}\n    dormouse  ${JSON.stringify(answers[name])}`);
  } catch (error) {
    console.log(`${program}: ${error.message}`);
  } finally {
    await server?.stop().catch((error) => console.log(`${program}: ${error.message}`));
    remove();
  }
}
