#!/usr/bin/env node
// bundle — turns a user's project folder into a deploy folder, once or at every change.
//
//   node bundle.mjs DIR --out OUT (--once [--copy] | --watch) [--dev] [--config FILE] [--env NAME] [--app NAME] [--var NAME:VALUE]… [--secrets FILE]
//
// Speaks JSON lines on stdout:
//   {"event":"built","app","dir","hash","ms","warnings":[…]}      dir: a complete deploy folder
//   {"event":"error","errors":[{"file","line","column","text","frame"}]}
//   {"event":"unchanged","hash","ms"}                              (watch) a change that changed nothing
// --once writes into OUT itself and exits 0 or 1; with --copy the assets are in OUT too, so that it can be moved. --watch writes OUT/HASH, keeps the last three, and ends
// when its standard input ends, so that it never outlives who started it.

import path from "node:path";
import { parseArgs } from "node:util";
import { BuildError, fail } from "./errors.mjs";
import { Project } from "./project.mjs";
import { Watcher } from "./watch.mjs";

const OPTIONS = {
  out: { type: "string" }, once: { type: "boolean" }, copy: { type: "boolean" }, watch: { type: "boolean" }, dev: { type: "boolean" },
  config: { type: "string" }, env: { type: "string" }, app: { type: "string" }, var: { type: "string", multiple: true }, secrets: { type: "string" },
};

function say(event) {
  process.stdout.write(`${JSON.stringify(event)}\n`);
}

// What a failure looks like to the reader of our lines; a bug of ours keeps its stack.
function sayFailure(e) {
  if (e instanceof BuildError) say({ event: "error", errors: e.errors });
  else say({ event: "error", errors: fail(`The bundler failed: ${e?.stack ?? e}`).errors });
}

async function buildOnce(project) {
  const start = performance.now();
  project.readConfig();
  await project.runCommand();
  const built = await project.build();
  say({ event: "built", ...built, ms: Math.round(performance.now() - start) });
}

function watch(project) {
  const watcher = new Watcher(project, { say, sayFailure });
  process.stdin.on("end", () => watcher.close().finally(() => process.exit(0)));
  process.stdin.on("error", () => process.exit(0));
  process.stdin.resume();
  return watcher.start();
}

async function main() {
  const { values, positionals } = parseArgs({ options: OPTIONS, allowPositionals: true });
  if (positionals.length !== 1 || !values.out || Boolean(values.once) === Boolean(values.watch)) {
    process.stderr.write("usage: bundle.mjs DIR --out OUT (--once [--copy] | --watch) [--dev] [--config FILE] [--env NAME] [--app NAME] [--var NAME:VALUE] [--secrets FILE]\n");
    process.exit(2);
  }
  const options = {
    out: path.resolve(values.out), dev: values.dev ?? false, flat: values.once ?? false, copyAssets: values.copy ?? false,
    config: values.config, env: values.env, app: values.app, vars: values.var, secretsFile: values.secrets,
  };
  const project = new Project(path.resolve(positionals[0]), options);
  if (values.watch) return watch(project);
  try {
    await buildOnce(project);
  } catch (e) {
    sayFailure(e);
    process.exitCode = 1;
  } finally {
    await project.close();
  }
}

await main();
