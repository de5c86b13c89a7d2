// project — one build: a user's folder in, a deploy folder out.
//
// A deploy folder holds bundle.js, bundle.js.map, manifest.json and files.json: the list of every file of the deploy with its
// length, SHA-256 and where its bytes are (assets stay where the user has them, or are copied with `copyAssets`).
// Promise: the folder OUT/HASH is complete before it is announced, and is never changed afterwards.

import { spawn } from "node:child_process";
import crypto from "node:crypto";
import fs from "node:fs";
import path from "node:path";
import esbuild from "esbuild";
import { BuildError, fail, fromEsbuild } from "./errors.mjs";
import { readProject } from "./config.mjs";
import { moduleRules, runtimeModules } from "./plugins.mjs";
import { listAssets } from "./assets.mjs";

const COMMAND_OUTPUT_MAX = 64 * 1024; // the end of a failed build command's output is what helps
const KEPT_BUILDS = 3; // the one in use, the one being taken, and one in reserve

export class Project {
  // options: {out, dev, copyAssets, flat, config, env, app, vars, secretsFile}
  constructor(dir, options) {
    this.dir = dir;
    this.options = options;
    this.context = null; // esbuild's, kept between builds while its options stay the same
    this.contextKey = "";
    this.inputs = new Set(); // absolute paths of the last build's sources
    this.folders = []; // of assets, to watch
    this.config = null;
  }

  readConfig() {
    this.config = readProject(this.dir, this.options);
    return this.config;
  }

  // Runs build.command. Its output belongs to the user: shown when it fails.
  async runCommand(onChild = () => {}) {
    const step = this.config.build;
    if (!step) return;
    const bin = this.binFolders(step.cwd);
    const env = { ...process.env, PATH: [...bin, process.env.PATH].join(path.delimiter), WRANGLER_COMMAND: this.options.dev ? "dev" : "deploy" };
    const child = spawn(step.command, { cwd: step.cwd, env, shell: true, stdio: ["ignore", "pipe", "pipe"] });
    onChild(child);
    let output = "";
    const gather = (chunk) => { output = (output + chunk).slice(-COMMAND_OUTPUT_MAX); };
    child.stdout.on("data", gather);
    child.stderr.on("data", gather);
    const status = await new Promise((done) => {
      child.on("error", (e) => { gather(String(e)); done(1); });
      child.on("close", (code, signal) => done(code ?? signal));
    });
    if (status !== 0) throw fail(`The build command '${step.command}' failed (${typeof status === "number" ? `exit ${status}` : status}):\n${output.trimEnd()}`, this.config.shown);
  }

  // node_modules/.bin of the folder and all above it, as npm scripts have them.
  binFolders(from) {
    const out = [];
    for (let at = from; ; at = path.dirname(at)) {
      out.push(path.join(at, "node_modules", ".bin"));
      if (path.dirname(at) === at) return out;
    }
  }

  esbuildOptions(main) {
    const c = this.config;
    const mode = JSON.stringify(this.options.dev ? "development" : "production");
    return {
      absWorkingDir: this.dir,
      entryPoints: [main],
      outfile: path.join(this.options.out, "bundle.js"),
      bundle: true, write: false, metafile: true, sourcemap: "external", sourcesContent: false,
      format: "esm", target: "es2022", platform: "browser", charset: "utf8", legalComments: "none", logLevel: "silent",
      mainFields: ["workerd", "browser", "module", "main"],
      conditions: ["workerd", "worker", "browser"],
      loader: { ".js": "jsx", ".mjs": "jsx", ".cjs": "jsx" },
      keepNames: true,
      minify: c.bundle.minify,
      define: {
        "process.env.NODE_ENV": mode, "global.process.env.NODE_ENV": mode, "globalThis.process.env.NODE_ENV": mode,
        "navigator.userAgent": '"Cloudflare-Workers"',
        ...c.bundle.define,
      },
      alias: c.bundle.alias,
      tsconfig: c.bundle.tsconfig && path.resolve(c.base, c.bundle.tsconfig),
      jsxFactory: c.bundle.jsxFactory, jsxFragment: c.bundle.jsxFragment,
      plugins: [runtimeModules, moduleRules(c.bundle.rules, this.dir)],
    };
  }

  async bundle() {
    const c = this.config;
    const main = path.resolve(c.base, c.main);
    if (!fs.statSync(main, { throwIfNoEntry: false })?.isFile())
      throw new BuildError([c.where(["main"], `The program '${c.main}' named by 'main' does not exist.`)]);
    const key = JSON.stringify([main, c.bundle, c.base]);
    let result;
    try {
      if (this.context === null || this.contextKey !== key) {
        await this.context?.dispose();
        this.context = null;
        this.context = await esbuild.context(this.esbuildOptions(main));
        this.contextKey = key;
      }
      result = await this.context.rebuild();
    } catch (e) {
      if (!Array.isArray(e.errors)) throw e;
      throw new BuildError(fromEsbuild(e.errors));
    }
    return result;
  }

  // One build, start to end. → {dir, hash, files, warnings, app}
  async build() {
    const c = this.config;
    const warnings = [...c.warnings];
    const files = [];
    let classes = [...c.classes.keys()];
    if (c.main !== undefined) {
      const result = await this.bundle();
      this.inputs = new Set(Object.keys(result.metafile.inputs).filter((n) => !/^[a-z-]+:/.test(n)).map((n) => path.resolve(this.dir, n)));
      for (const w of fromEsbuild(result.warnings)) if (!/(^|\/)node_modules\//.test(w.file)) warnings.push(w.file ? `${w.file}:${w.line}: ${w.text}` : w.text);
      classes = this.checkExports(result, warnings);
      const [map, code] = ["bundle.js.map", "bundle.js"].map((n) => result.outputFiles.find((f) => f.path.endsWith(n)));
      files.push(inline("bundle.js", code.contents), inline("bundle.js.map", this.readableMap(map.text)));
    }
    let assets = [];
    this.folders = [];
    if (c.assets) ({ files: assets, folders: this.folders } = listAssets(c));
    const manifest = this.manifest(classes, warnings);
    const hash = hashOf(manifest, files, assets);
    manifest.hash = hash;
    files.push(inline("manifest.json", Buffer.from(JSON.stringify(manifest, null, 1))));
    const dir = this.write(hash, files, assets);
    return { dir, hash, app: c.name, warnings };
  }

  // Every bound class must be exported; a declared but unbound one that is not exported is only said.
  checkExports(result, warnings) {
    const c = this.config;
    const output = Object.entries(result.metafile.outputs).find(([n]) => n.endsWith("bundle.js"))[1];
    const exported = new Set(output.exports);
    const errors = [];
    const classes = [];
    for (const [name, at] of c.classes) {
      if (exported.has(name)) { classes.push(name); continue; }
      const bound = at[0] === "durable_objects" || at[0] === "exports";
      const list = [...exported].filter((n) => n !== "default");
      const sentence = `'${c.main}' does not export the class '${name}'${list.length ? ` (it exports ${list.join(", ")})` : ""}.`;
      if (bound) errors.push(c.where(at, sentence));
      else warnings.push(sentence);
    }
    if (errors.length) throw new BuildError(errors);
    if (exported.size === 0) throw fail(`'${c.main}' exports nothing. A program exports a default object with fetch(), classes, or both. The service-worker format is not supported.`, c.main);
    return classes;
  }

  // Sources named from the project's folder, so that stacks read like the user's tree.
  readableMap(text) {
    const map = JSON.parse(text);
    const from = this.options.out;
    map.sources = map.sources.map((s) => (/^[a-z-]+:/.test(s) ? s : path.relative(this.dir, path.resolve(from, s)).split(path.sep).join("/")));
    return Buffer.from(JSON.stringify(map));
  }

  manifest(classes, warnings) {
    const c = this.config;
    const own = (b) => b.script === undefined || b.script === c.name;
    return {
      version: 1,
      app: c.name,
      main: c.main === undefined ? null : "bundle.js",
      compatibility_date: c.compatibilityDate,
      compatibility_flags: c.compatibilityFlags,
      namespaces: c.bindings.filter(own).map((b) => ({ binding: b.binding, class: b.class })),
      classes,
      vars: c.vars,
      ...(c.assets ? { assets: c.assets.options } : {}),
      crons: c.crons,
      limits: c.limits,
      ...(c.heap !== undefined ? { heap: c.heap } : {}),
      hosts: c.hosts,
      observability: c.observability ?? {},
      warnings,
    };
  }

  write(hash, files, assets) {
    const dir = this.options.flat ? this.options.out : path.join(this.options.out, hash);
    const list = [...files.map(({ contents, ...f }) => f), ...assets];
    if (!this.options.flat && fs.existsSync(path.join(dir, "files.json"))) {
      fs.utimesSync(dir, new Date(), new Date());
      // Same content, but the places of the assets may have moved.
      replace(path.join(dir, "files.json"), JSON.stringify(list));
      return dir;
    }
    fs.mkdirSync(dir, { recursive: true });
    for (const f of files) replace(path.join(dir, f.path), f.contents);
    if (this.options.copyAssets) for (const a of assets) {
      fs.mkdirSync(path.dirname(path.join(dir, a.path)), { recursive: true });
      fs.copyFileSync(a.source, path.join(dir, a.path), fs.constants.COPYFILE_FICLONE);
      delete a.source;
    }
    replace(path.join(dir, "files.json"), JSON.stringify(list)); // last: its presence says the folder is complete
    if (!this.options.flat) forgetOld(this.options.out, hash);
    return dir;
  }

  async close() {
    await this.context?.dispose();
    this.context = null;
  }
}

function inline(name, contents) {
  return { path: name, bytes: contents.length, sha256: crypto.createHash("sha256").update(contents).digest("hex"), contents };
}

function hashOf(manifest, files, assets) {
  const h = crypto.createHash("sha256");
  const { warnings, ...meaning } = manifest;
  h.update(JSON.stringify(meaning));
  for (const f of [...files, ...assets]) h.update(`\n${f.path}\0${f.sha256}`);
  return h.digest("hex").slice(0, 32);
}

// Variables may be secrets: files are the owner's only.
function replace(file, contents) {
  const next = `${file}.next`;
  fs.writeFileSync(next, contents, { mode: 0o600 });
  fs.renameSync(next, file);
}

function forgetOld(out, keep) {
  const builds = fs.readdirSync(out, { withFileTypes: true })
    .filter((e) => e.isDirectory() && /^[0-9a-f]{32}$/.test(e.name) && e.name !== keep)
    .map((e) => ({ dir: path.join(out, e.name), at: fs.statSync(path.join(out, e.name)).mtimeMs }))
    .sort((a, b) => b.at - a.at);
  for (const b of builds.slice(KEPT_BUILDS - 1)) fs.rmSync(b.dir, { recursive: true, force: true });
}
