// config — a user's wrangler file, as it is, turned into what Dormouse needs to know.
//
// Promise: a field that works here is checked, with file, line and frame when it is wrong; a field that would change the
// program's behaviour but does not work here yet is named in one warning; any other field is accepted and left alone.

import fs from "node:fs";
import path from "node:path";
import { parseTree, getNodeValue, findNodeAtLocation, printParseErrorCode } from "jsonc-parser";
import { parse as parseToml, TomlError } from "smol-toml";
import { BuildError, fail, failAt, frameOf } from "./errors.mjs";
import { readDotenv } from "./dotenv.mjs";

const CONFIG_NAMES = ["wrangler.json", "wrangler.jsonc", "wrangler.toml"]; // wrangler's own order
const NAME_MAX = 63; // a DNS label: NAME.localhost is the app's address

// Bindings and features that change behaviour and have no counterpart here yet.
const UNSUPPORTED = [
  "agent_memory", "ai", "ai_search", "ai_search_namespaces", "analytics_engine_datasets", "artifacts", "browser", "containers",
  "d1_databases", "data_blobs", "dispatch_namespaces", "flagship", "hyperdrive", "images", "kv_namespaces", "logfwdr", "media",
  "mtls_certificates", "pipelines", "queues", "r2_buckets", "ratelimits", "secrets_store_secrets", "send_email", "services",
  "site", "stream", "streaming_tail_consumers", "tail_consumers", "text_blobs", "unsafe", "vectorize", "version_metadata",
  "vpc_networks", "vpc_services", "wasm_modules", "websearch", "worker_loaders", "workflows",
];

// Sections that an `env.NAME` section does not inherit from the top level (wrangler's non-inheritable keys).
const NOT_INHERITED = new Set(["vars", "durable_objects", "define", "secrets", "cloudchamber", ...UNSUPPORTED.filter((k) => k !== "site")]);

// The configuration file of PROJECT, or a BuildError that says what was looked for.
export function findConfig(dir, explicit) {
  if (explicit) {
    const file = path.resolve(dir, explicit);
    if (!fs.existsSync(file)) throw fail(`The configuration file '${explicit}' does not exist.`, explicit);
    return file;
  }
  for (const name of CONFIG_NAMES) {
    const file = path.join(dir, name);
    if (fs.existsSync(file)) return file;
  }
  throw fail(`No wrangler.jsonc, wrangler.json or wrangler.toml in '${dir}'. Is this the project's folder?`);
}

// Build tools (Cloudflare's Vite plugin) leave a finished configuration and say where: .wrangler/deploy/config.json. As in wrangler
// it takes the place of the project's own. → its path, or undefined.
function redirectOf(file, options) {
  const pointer = path.join(path.dirname(file), ".wrangler", "deploy", "config.json");
  if (options.config || !fs.existsSync(pointer)) return undefined;
  const shown = path.join(".wrangler", "deploy", "config.json");
  const target = parseText(shown, fs.readFileSync(pointer, "utf8")).raw.configPath;
  if (typeof target !== "string") throw fail("'configPath' is missing: build the project again.", shown);
  if (options.env) throw fail("--env cannot be used: a build tool made the configuration for one environment. Choose it when building.", shown);
  const found = path.resolve(path.dirname(pointer), target);
  if (!fs.existsSync(found)) throw fail(`The configuration '${target}' that it names does not exist: build the project again.`, shown);
  return found;
}

// Text → {raw, at}: raw is the plain value; at(pathArray) gives [offset, length] of a field, for frames.
function parseText(file, text) {
  if (file.endsWith(".toml")) return parseTomlText(file, text);
  const errors = [];
  const tree = parseTree(text, errors, { allowTrailingComma: true });
  if (errors.length > 0)
    throw new BuildError(errors.slice(0, 5).map((e) => failAt(`Not valid JSON: ${jsonSentence(e)}.`, file, text, e.offset, e.length).errors[0]));
  if (!tree || tree.type !== "object") throw fail("The configuration must be a JSON object.", file);
  const at = (keys) => {
    for (let n = keys.length; n > 0; n--) {
      const node = findNodeAtLocation(tree, keys.slice(0, n));
      if (node) return [node.offset, node.length];
    }
    return [0, 1];
  };
  return { raw: getNodeValue(tree), at };
}

function jsonSentence(error) {
  return printParseErrorCode(error.error).replace(/([a-z])([A-Z])/g, "$1 $2").toLowerCase();
}

function parseTomlText(file, text) {
  let raw;
  try {
    raw = parseToml(text);
  } catch (e) {
    if (!(e instanceof TomlError)) throw e;
    const sentence = e.message.split("\n")[0].replace(/^Invalid TOML document: /, "");
    throw new BuildError([{ file, line: e.line, column: e.column, text: `Not valid TOML: ${sentence}.`, frame: frameOf(text, e.line, e.column) }]);
  }
  // smol-toml keeps no positions: the last name of the path, at the start of a line or inside a table, is near enough.
  const at = (keys) => {
    for (const key of [...keys].reverse()) {
      if (typeof key !== "string") continue;
      const found = new RegExp(`(^|[\\s{,.\\["])${key.replace(/[^A-Za-z0-9_-]/g, "\\$&")}["\\s]*[=\\].]`, "m").exec(text);
      if (found) return [found.index + found[1].length, key.length];
    }
    return [0, 1];
  };
  return { raw, at };
}

// Merges `env.NAME` over the top level by wrangler's rules.
function selectEnv(raw, env, wrong) {
  if (!env) return { merged: { ...raw }, prefix: () => [] };
  const section = raw.env?.[env];
  if (section === undefined || section === null || typeof section !== "object") {
    const known = Object.keys(raw.env ?? {});
    throw wrong(["env"], `There is no environment '${env}' in the configuration${known.length ? ` (there is: ${known.join(", ")})` : ""}.`);
  }
  const merged = {};
  for (const [key, value] of Object.entries(raw)) if (key !== "env" && !NOT_INHERITED.has(key)) merged[key] = value;
  Object.assign(merged, section);
  if (section.name === undefined && typeof raw.name === "string") merged.name = `${raw.name}-${env}`;
  return { merged, prefix: (key) => (section[key] !== undefined ? ["env", env] : []) };
}

// Reads everything a build needs. options: {config, env, dev, app, vars: ["K:V"], secretsFile}.
export function readProject(dir, options) {
  const own = findConfig(dir, options.config);
  const redirect = redirectOf(own, options);
  const file = redirect ?? own;
  const text = fs.readFileSync(file, "utf8").replace(/^\uFEFF/, "");
  const shown = path.relative(dir, file) || file;
  const { raw, at } = parseText(shown, text);
  const wrong = (keys, sentence) => failAt(sentence, shown, text, ...at(keys));
  const { merged, prefix } = selectEnv(raw, options.env, wrong);
  const read = reader(merged, (keys, sentence) => wrong([...prefix(keys[0]), ...keys], sentence));
  const base = path.dirname(file);

  const project = {
    file, shown, base,
    name: appName(read, options.app ?? undefined, base),
    main: read("main", "string"),
    baseDir: read("base_dir", "string"),
    compatibilityDate: compatibilityDate(read),
    compatibilityFlags: strings(read, "compatibility_flags"),
    bindings: durableBindings(read),
    crons: strings(read, "triggers", "crons"),
    limits: read("limits", "object") ?? {},
    heap: heapRule(merged, read),
    observability: read("observability", "object"),
    hosts: hosts(read),
    assets: assets(read, base),
    build: buildStep(read, base),
    bundle: bundleOptions(read, merged),
    secrets: strings(read, "secrets", "required"),
    warnings: redirect ? [`Using the configuration that a build tool made: ${shown}.`] : [],
    watched: [own, file, path.join(path.dirname(own), ".wrangler", "deploy", "config.json")],
    where: (keys, sentence) => wrong([...prefix(keys[0]), ...keys], sentence).errors[0],
  };
  project.classes = durableClasses(read, project.name, project.bindings);
  if (project.main === undefined && project.assets === undefined)
    throw read.wrong(["name"], "The configuration has neither 'main' (the program) nor 'assets' (files to serve).");
  readVariables(project, merged, read, dir, options);
  warnUnsupported(project, merged);
  return project;
}

// read("a", "b", …, type) → the value of a.b, undefined when absent, an error with its place when of another type.
function reader(root, wrong) {
  const read = (...args) => {
    const type = args.pop();
    let value = root;
    for (let i = 0; i < args.length; i++) {
      if (value === undefined || value === null) return undefined;
      if (typeof value !== "object" || Array.isArray(value)) throw wrong(args.slice(0, i), `'${args.slice(0, i).join(".")}' must be an object.`);
      value = value[args[i]];
    }
    if (value === undefined || value === null) return undefined;
    const is = Array.isArray(value) ? "array" : typeof value;
    if (is !== type) throw wrong(args, `'${args.join(".")}' must be ${type === "array" || type === "object" ? "an" : "a"} ${type}, not ${is === "array" || is === "object" ? "an" : "a"} ${is}.`);
    return value;
  };
  read.wrong = wrong;
  return read;
}

function strings(read, ...keys) {
  const list = read(...keys, "array") ?? [];
  list.forEach((v, i) => {
    if (typeof v !== "string") throw read.wrong([...keys, i], `'${keys.join(".")}' must hold strings only.`);
  });
  return list;
}

// What becomes of an agent's memory while it sleeps: "keep" or "discard", for all classes or by class.
function heapRule(merged, read) {
  const rule = typeof merged.heap === "string" ? { heap: merged.heap } : read("heap", "object") ?? {};
  for (const [name, value] of Object.entries(rule)) {
    if (value !== "keep" && value !== "discard") throw read.wrong(typeof merged.heap === "string" ? ["heap"] : ["heap", name], "'heap' is \"keep\" or \"discard\".");
  }
  return merged.heap ?? undefined;
}

function appName(read, given, base) {
  const written = given ?? read("name", "string");
  const name = written ?? path.basename(base).toLowerCase().replace(/[^a-z0-9-]+/g, "-").replace(/^-+|-+$/g, "").slice(0, NAME_MAX);
  if (!/^[a-z0-9]([a-z0-9_-]{0,61}[a-z0-9])?$/.test(name)) {
    const sentence = `'${name}' is no name for an app: lower-case letters, digits and dashes, at most ${NAME_MAX} characters.`;
    throw given === undefined && written !== undefined ? read.wrong(["name"], sentence) : fail(sentence);
  }
  return name;
}

function compatibilityDate(read) {
  const date = read("compatibility_date", "string");
  if (date === undefined) return new Date().toISOString().slice(0, 10);
  if (!/^\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])$/.test(date)) throw read.wrong(["compatibility_date"], `'compatibility_date' must look like 2026-11-01, not '${date}'.`);
  return date;
}

function durableBindings(read) {
  const list = read("durable_objects", "bindings", "array") ?? [];
  return list.map((b, i) => {
    const at = ["durable_objects", "bindings", i];
    if (typeof b !== "object" || b === null) throw read.wrong(at, "A Durable Object binding must be an object with 'name' and 'class_name'.");
    for (const key of ["name", "class_name"])
      if (typeof b[key] !== "string" || b[key] === "") throw read.wrong([...at, key], `A Durable Object binding needs '${key}' (a string).`);
    if (b.script_name !== undefined && typeof b.script_name !== "string") throw read.wrong([...at, "script_name"], "'script_name' must be a string.");
    return { binding: b.name, class: b.class_name, script: b.script_name, at };
  });
}

// Names of all classes that hold agents: bound here, or declared by migrations or exports.
function durableClasses(read, name, bindings) {
  const classes = new Map();
  for (const b of bindings) if (b.script === undefined || b.script === name) classes.set(b.class, [...b.at, "class_name"]);
  const migrations = read("migrations", "array") ?? [];
  const exported = read("exports", "object");
  if (migrations.length > 0 && exported !== undefined) throw read.wrong(["exports"], "'migrations' and 'exports' cannot both be given.");
  migrations.forEach((m, i) => {
    const list = (key) => (m !== null && typeof m === "object" && Array.isArray(m[key]) ? m[key] : []);
    for (const key of ["new_classes", "new_sqlite_classes"]) for (const c of list(key)) if (!classes.has(c)) classes.set(String(c), ["migrations", i, key]);
    for (const r of list("renamed_classes")) { classes.delete(r?.from); if (r?.to && !classes.has(r.to)) classes.set(r.to, ["migrations", i, "renamed_classes"]); }
    for (const r of list("transferred_classes")) if (r?.to && !classes.has(r.to)) classes.set(r.to, ["migrations", i, "transferred_classes"]);
    for (const c of list("deleted_classes")) classes.delete(c);
  });
  for (const [c, e] of Object.entries(exported ?? {})) {
    if (e?.type !== "durable-object") continue;
    const gone = ["deleted", "renamed", "transferred"].includes(e.state);
    if (!gone) classes.set(c, ["exports", c]);
    else if (![...bindings].some((b) => b.class === c)) classes.delete(c);
  }
  return classes;
}

// Host names from routes: "example.com/*", {pattern, custom_domain}; the path part is not used for choosing an app.
function hosts(read) {
  const raw = [...(read("routes", "array") ?? [])];
  const single = read("route", "string");
  if (single !== undefined) raw.push(single);
  const out = new Set();
  raw.forEach((r, i) => {
    const pattern = typeof r === "string" ? r : r?.pattern;
    if (typeof pattern !== "string") throw read.wrong(["routes", i], "A route must be a string or an object with 'pattern'.");
    const host = pattern.replace(/^[a-z]+:\/\//i, "").replace(/[/?].*$/s, "").replace(/:\d+$/, "").toLowerCase();
    if (host === "" || host === "*") return;
    if (!/^(\*\.?)?[a-z0-9_-]+(\.[a-z0-9_-]+)*$/.test(host)) throw read.wrong(["routes", i], `'${pattern}' is no host pattern.`);
    out.add(host.replace(/^\*(?!\.)/, "*."));
  });
  return [...out];
}

const HTML_HANDLING = ["auto-trailing-slash", "force-trailing-slash", "drop-trailing-slash", "none"];
const NOT_FOUND_HANDLING = ["none", "single-page-application", "404-page"];

function assets(read, base) {
  if (read("assets", "object") === undefined) return undefined;
  const directory = read("assets", "directory", "string");
  if (directory === undefined) return undefined; // a binding alone: the Vite plugin's way; nothing to serve
  const html = read("assets", "html_handling", "string") ?? "auto-trailing-slash";
  const missing = read("assets", "not_found_handling", "string") ?? "none";
  if (!HTML_HANDLING.includes(html)) throw read.wrong(["assets", "html_handling"], `'assets.html_handling' must be one of ${HTML_HANDLING.join(", ")}.`);
  if (!NOT_FOUND_HANDLING.includes(missing)) throw read.wrong(["assets", "not_found_handling"], `'assets.not_found_handling' must be one of ${NOT_FOUND_HANDLING.join(", ")}.`);
  return {
    root: path.resolve(base, directory),
    written: directory,
    options: {
      directory: "assets", html_handling: html, not_found_handling: missing,
      binding: read("assets", "binding", "string"), run_worker_first: workerFirst(read),
    },
  };
}

function workerFirst(read) {
  const assetsSection = read("assets", "object");
  const value = assetsSection.run_worker_first;
  if (value === undefined || typeof value === "boolean") return value ?? false;
  if (Array.isArray(value) && value.every((v) => typeof v === "string" && /^!?\//.test(v))) return value;
  throw read.wrong(["assets", "run_worker_first"], "'assets.run_worker_first' must be true, false or a list of paths such as \"/api/*\" and \"!/api/docs/*\".");
}

function buildStep(read, base) {
  const command = read("build", "command", "string");
  if (command === undefined) return undefined;
  const section = read("build", "object");
  const dirs = section.watch_dir === undefined ? ["./src"] : [section.watch_dir].flat();
  if (!dirs.every((d) => typeof d === "string")) throw read.wrong(["build", "watch_dir"], "'build.watch_dir' must be a string or a list of strings.");
  return { command, cwd: path.resolve(base, read("build", "cwd", "string") ?? "."), watch: dirs.map((d) => path.resolve(base, d)) };
}

function bundleOptions(read, merged) {
  const rules = read("rules", "array") ?? [];
  rules.forEach((r, i) => {
    if (typeof r?.type !== "string" || !Array.isArray(r.globs) || !r.globs.every((g) => typeof g === "string"))
      throw read.wrong(["rules", i], "A rule needs 'type' and 'globs'.");
  });
  const alias = read("alias", "object") ?? {};
  for (const [k, v] of Object.entries(alias)) if (typeof v !== "string") throw read.wrong(["alias", k], "An alias must be a string.");
  const define = read("define", "object") ?? {};
  for (const [k, v] of Object.entries(define)) if (typeof v !== "string") throw read.wrong(["define", k], "A definition must be a string of JavaScript.");
  return {
    rules, alias, define,
    minify: read("minify", "boolean") ?? false,
    tsconfig: read("tsconfig", "string"),
    jsxFactory: merged.jsx_factory, jsxFragment: merged.jsx_fragment,
  };
}

// vars of the file, then .dev.vars or .env (dev only), then the secrets file, then --var: each over the one before.
function readVariables(project, merged, read, dir, options) {
  const vars = { ...(read("vars", "object") ?? {}) };
  const files = [];
  if (options.dev) {
    const devVars = [options.env && `.dev.vars.${options.env}`, ".dev.vars"].filter(Boolean).map((n) => path.join(project.base, n));
    const dotenv = [".env", ".env.local", options.env && `.env.${options.env}`, options.env && `.env.${options.env}.local`];
    const found = devVars.find((f) => fs.existsSync(f));
    if (found) files.push(found);
    else for (const n of dotenv.filter(Boolean)) { const f = path.join(project.base, n); if (fs.existsSync(f)) files.push(f); }
    project.watched.push(...devVars, ...dotenv.filter(Boolean).map((n) => path.join(project.base, n)));
  }
  if (options.secretsFile) {
    const f = path.resolve(dir, options.secretsFile);
    if (!fs.existsSync(f)) throw fail(`The secrets file '${options.secretsFile}' does not exist.`, options.secretsFile);
    files.push(f);
  }
  for (const f of files) Object.assign(vars, readDotenv(f, path.relative(dir, f)));
  for (const pair of options.vars ?? []) {
    const colon = pair.indexOf(":");
    if (colon < 1) throw fail(`--var takes NAME:VALUE, not '${pair}'.`);
    vars[pair.slice(0, colon)] = pair.slice(colon + 1);
  }
  project.vars = vars;
  const missing = project.secrets.filter((s) => vars[s] === undefined);
  if (missing.length > 0) project.warnings.push(`Required secrets without a value: ${missing.join(", ")}.${options.dev ? " Put them into .dev.vars." : " Give them with --secrets FILE."}`);
}

function bindingNames(value) {
  const names = new Set();
  const visit = (v, depth) => {
    if (v === null || typeof v !== "object" || depth > 3) return;
    if (!Array.isArray(v)) for (const key of ["binding", "name"]) if (typeof v[key] === "string") { names.add(v[key]); return; }
    for (const inner of Object.values(v)) visit(inner, depth + 1);
  };
  visit(value, 0);
  return [...names];
}

function isEmpty(value) {
  return value === undefined || value === null || (typeof value === "object" && Object.keys(value).length === 0);
}

function warnUnsupported(project, merged) {
  const found = [];
  for (const key of UNSUPPORTED) {
    if (isEmpty(merged[key])) continue;
    const names = bindingNames(merged[key]);
    found.push(names.length ? `${key} (${names.join(", ")})` : key);
  }
  const foreign = project.bindings.filter((b) => b.script !== undefined && b.script !== project.name);
  if (foreign.length) found.push(`durable_objects of other scripts (${foreign.map((b) => b.binding).join(", ")})`);
  if (project.crons.length) found.push("triggers.crons");
  if (found.length) project.warnings.push(`Not supported yet, so left out: ${found.join("; ")}. Bindings named there are undefined in env.`);
}
