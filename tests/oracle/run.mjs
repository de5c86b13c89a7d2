// Asks one oracle program all its questions. The program's file decides its classes: exports named …Object.
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { bundle, COMPATIBILITY_DATE } from "./workerd.mjs";

export const HERE = dirname(fileURLToPath(import.meta.url));
export const PROGRAMS = readdirSync(join(HERE, "cases")).filter((name) => name.endsWith(".mjs")).map((name) => name.slice(0, -4));
export const programFile = (name) => join(HERE, "cases", `${name}.mjs`);
export const goldenFile = (name) => join(HERE, "golden", `${name}.json`);
export const CASE_MS_MAX = 20_000; // the slowest cases wait for a real alarm

export async function classesOf(file) {
  const { metafile } = await build({
    entryPoints: [file], bundle: true, write: false, metafile: true, format: "esm", outfile: "x.js",
    external: ["cloudflare:*", "node:*"], logLevel: "error",
  });
  return Object.values(metafile.outputs)[0].exports.filter((name) => name.endsWith("Object"));
}

/* Resolves to { case: outcome } in the program's own order. A case that gets no JSON answer is recorded as that. */
export async function askAll(url) {
  const names = await (await fetch(`${url}/list`)).json();
  const answers = {};
  for (const name of names) answers[name] = await ask(url, name);
  return answers;
}

async function ask(url, name) {
  try {
    const answer = await fetch(`${url}/run?case=${encodeURIComponent(name)}`, { signal: AbortSignal.timeout(CASE_MS_MAX) });
    const text = await answer.text();
    if (answer.status === 200) return JSON.parse(text);
    return { status: answer.status, text: text.slice(0, 300) };
  } catch (error) {
    return { noAnswer: String(error.cause?.code ?? error.name) };
  }
}

/* Writes the same program as a wrangler project, for Dormouse. */
export async function writeProject(dir, name) {
  const file = programFile(name);
  const classes = await classesOf(file);
  mkdirSync(dir, { recursive: true });
  writeFileSync(join(dir, "index.js"), await bundle(file));
  writeFileSync(join(dir, "wrangler.jsonc"), JSON.stringify({
    name: `oracle-${name}`,
    main: "index.js",
    compatibility_date: COMPATIBILITY_DATE,
    durable_objects: { bindings: classes.map((name) => ({ name, class_name: name })) },
    migrations: [{ tag: "v1", new_sqlite_classes: classes }],
  }, null, 2));
}

export function scratch(prefix = "dormouse-oracle-") {
  const dir = mkdtempSync(join(tmpdir(), prefix));
  return { dir, remove: () => rmSync(dir, { recursive: true, force: true, maxRetries: 3 }) };
}
