// Makes the folder of data that a release leaves behind, for tests/scenario/upgrade_test.mjs, which every later release has to open:
//   DORMOUSE=build/release/bin/dormouse node tests/upgrade/make.mjs 0.1.0      writes data/0.1.0.tar.gz and what is in it, data/0.1.0.json
// Once per release, with its own build. A folder that is there stays as it is.
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, readdirSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { DORMOUSE, eachFile, eventually, scratch, startDormouse } from "../scenario/lib.mjs";

const HERE = fileURLToPath(new URL(".", import.meta.url));
const [name] = process.argv.slice(2);
if (!/^[\w.-]+$/.test(name ?? "")) throw new Error("usage: make.mjs NAME");
const archive = join(HERE, "data", `${name}.tar.gz`);
if (existsSync(archive)) throw new Error(`${archive} is there already`);

const { dir: data, remove } = scratch("dormouse-upgrade-");
const app = join(HERE, "app"), FAR = Date.UTC(2100, 0), expected = {};
const agents = (...words) => {
  const { status, stdout, stderr } = spawnSync(DORMOUSE, ["agents", ...words, "--json", "--data", data], { encoding: "utf8" });
  if (status !== 0) throw new Error(stdout + stderr);
  return JSON.parse(stdout);
};

let server = await startDormouse(app, { data, config: { limits: { warm_ms: 200, cold_ms: 400 } } });
const ask = (agent, rest = "look") => server.json(`/k/${encodeURIComponent(agent)}/${rest}`);
const put = async (agent, ...values) => { for (const v of values) await ask(agent, `put?v=${v}`); };
await put("plain", "a", "b", "c");
await put("Ünïcode 🐭/name", "x");
for (const rest of ["value", `alarm?v=${FAR}`, "index", "search", "put?v=large&bytes=300000"]) await ask("rich", rest);
await put("past", 1, 2, 3);
expected.bookmark = await ask("past", "bookmark");
await put("past", 4, 5);
await put("kept", "before");
agents("snapshot", "Keeper/kept", "--label", "then");
await put("kept", "after");
await put("gone", 1);
agents("delete", "Keeper/gone", "--yes");
await put("dreamer", "heard");
await eventually(() => eachFile(data).some((file) => file.endsWith("/image")) || "nobody is asleep on disk");
await server.stop();

server = await startDormouse(app, { data, isDeployed: true }); // what is in the journal only: nobody rests before the end
await put("plain", "d");
await put("newborn", "only in the journal");
await ask("overdue", `alarm?v=${Date.now() + 30_000}`);
for (const agent of ["plain", "Ünïcode 🐭/name", "rich", "past", "kept", "newborn"]) expected[agent] = await ask(agent);
await put("plain", "last");
expected.plain = await ask("plain");
await server.kill9();

/* Templates are of one build of the engine; each release makes its own. */
for (const file of eachFile(data)) if (file.endsWith("/template")) rmSync(join(data, file));
for (const left of ["admin.sock", "config.json", "lock"]) rmSync(join(data, left), { force: true });
/* Owners stay: rooms that root starts are nobody, on each Debian the same number. */
execFileSync("tar", ["--sparse", "--sort=name", "--numeric-owner", "-czf", archive, "-C", data, ...readdirSync(data)]);
writeFileSync(join(HERE, "data", `${name}.json`), JSON.stringify(expected, null, 1) + "\n");
console.log(`${archive}: ${statSync(archive).size} bytes, ${eachFile(data).length} files`);
remove();
