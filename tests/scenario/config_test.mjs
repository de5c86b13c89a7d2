// A user's wrangler project, as it is, becomes a deploy folder; a mistake in it is shown with file, line and frame.
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { createInterface } from "node:readline";
import test from "node:test";
import { fileURLToPath, pathToFileURL } from "node:url";

const ROOT = resolve(dirname(fileURLToPath(import.meta.url)), "../..");
const BUNDLER = join(ROOT, "js/build/bundle.mjs");
const MAIN = "export default { fetch() { return new Response('ok') } }\n";
const COUNTER = 'import { DurableObject } from "cloudflare:workers";\nexport class Counter extends DurableObject {}\n' + MAIN;

// A project in a temporary folder; FILES: path → text or bytes.
function project(t, files) {
  const dir = mkdtempSync(join(tmpdir(), "dormouse-config-"));
  t.after(() => rmSync(dir, { recursive: true, force: true }));
  for (const [name, text] of Object.entries(files)) put(dir, name, text);
  return dir;
}

function put(dir, name, text) {
  mkdirSync(dirname(join(dir, name)), { recursive: true });
  writeFileSync(join(dir, name), typeof text === "object" && !(text instanceof Uint8Array) ? JSON.stringify(text) : text);
}

// Bundles once. → {status, events, manifest, code, out}
async function bundle(dir, ...args) {
  const out = join(dir, ".out");
  const child = spawn(process.execPath, [BUNDLER, dir, "--out", out, "--once", ...args], { stdio: ["ignore", "pipe", "pipe"] });
  const events = [];
  let complaints = "";
  child.stderr.on("data", (c) => { complaints += c; });
  const lines = createInterface({ input: child.stdout });
  lines.on("line", (l) => events.push(JSON.parse(l)));
  const [[status]] = await Promise.all([once(child, "exit"), once(lines, "close")]);
  assert.equal(complaints, "", "the bundler must not complain on stderr");
  const built = events.find((e) => e.event === "built");
  const load = (name) => (built && existsSync(join(out, name)) ? readFileSync(join(out, name), "utf8") : undefined);
  return { status, events, built, out, manifest: built && JSON.parse(load("manifest.json")), code: load("bundle.js"), errors: events.find((e) => e.event === "error")?.errors };
}

async function fails(dir, ...args) {
  const result = await bundle(dir, ...args);
  assert.equal(result.status, 1);
  assert.equal(result.built, undefined);
  assert.ok(result.errors?.length > 0);
  return result.errors[0];
}

test("wrangler.jsonc with comments and trailing commas", async (t) => {
  const dir = project(t, {
    "wrangler.jsonc": `{ // the project
      "name": "my-app", "main": "src/index.ts", "compatibility_date": "2026-11-01", "compatibility_flags": ["nodejs_compat"],
      "durable_objects": { "bindings": [{ "name": "COUNTER", "class_name": "Counter" }, { "name": "OTHER", "class_name": "Thing", "script_name": "elsewhere" }] },
      "migrations": [{ "tag": "v1", "new_sqlite_classes": ["Counter"] }],
      "vars": { "TEXT": "a", "LIST": [1, { "deep": true }] }, "limits": { "cpu_ms": 77 }, "unknown_field": { "x": 1 },
      "routes": ["example.com/api/*", { "pattern": "*.example.org/*", "zone_name": "example.org" }, { "pattern": "shop.example.net", "custom_domain": true }],
      "triggers": { "crons": ["*/5 * * * *"] }, "kv_namespaces": [{ "binding": "CACHE", "id": "1" }], "r2_buckets": [], "ai": { "binding": "AI" },
    }`,
    "src/index.ts": COUNTER.replace("fetch()", "fetch(r: Request): Response"),
  });
  const { status, manifest, built, code } = await bundle(dir);
  assert.equal(status, 0);
  assert.equal(manifest.app, "my-app");
  assert.equal(manifest.main, "bundle.js");
  assert.equal(manifest.compatibility_date, "2026-11-01");
  assert.deepEqual(manifest.compatibility_flags, ["nodejs_compat"]);
  assert.deepEqual(manifest.namespaces, [{ binding: "COUNTER", class: "Counter" }]);
  assert.deepEqual(manifest.classes, ["Counter"]);
  assert.deepEqual(manifest.vars, { TEXT: "a", LIST: [1, { deep: true }] });
  assert.deepEqual(manifest.hosts, ["example.com", "*.example.org", "shop.example.net"]);
  assert.deepEqual(manifest.crons, ["*/5 * * * *"]);
  assert.equal(manifest.limits.cpu_ms, 77);
  assert.match(manifest.hash, /^[0-9a-f]{32}$/);
  assert.equal(manifest.hash, built.hash);
  const warnings = built.warnings.filter((w) => w.startsWith("Not supported yet"));
  assert.equal(warnings.length, 1, "what does not work is named in one warning");
  assert.match(warnings[0], /ai \(AI\).*kv_namespaces \(CACHE\).*durable_objects of other scripts \(OTHER\).*triggers\.crons/);
  assert.doesNotMatch(warnings[0], /r2_buckets|unknown_field/);
  assert.match(code, /import \{ DurableObject \} from "cloudflare:workers"/);
  const map = JSON.parse(readFileSync(join(dir, ".out/bundle.js.map"), "utf8"));
  assert.ok(map.sources.includes("src/index.ts"), "sources are named from the project's folder");
});

test("wrangler.toml, and the same hash for the same content", async (t) => {
  const dir = project(t, {
    "wrangler.toml": `name = "toml-app"\nmain = "index.js"\ncompatibility_date = "2026-11-01"\n[vars]\nA = "1"\n[[durable_objects.bindings]]\nname = "C"\nclass_name = "Counter"\n[[migrations]]\ntag = "v1"\nnew_sqlite_classes = ["Counter"]\n`,
    "index.js": COUNTER,
  });
  const first = await bundle(dir);
  assert.deepEqual(first.manifest.vars, { A: "1" });
  assert.deepEqual(first.manifest.namespaces, [{ binding: "C", class: "Counter" }]);
  const second = await bundle(dir);
  assert.equal(second.manifest.hash, first.manifest.hash);
  const third = await bundle(dir, "--var", "A:2");
  assert.notEqual(third.manifest.hash, first.manifest.hash, "a variable is part of a deploy");
  assert.equal(third.manifest.vars.A, "2");
});

test("classes from migrations and from exports", async (t) => {
  const dir = project(t, {
    "wrangler.json": {
      name: "m", main: "i.js",
      migrations: [
        { tag: "1", new_classes: ["A"], new_sqlite_classes: ["B", "C"] },
        { tag: "2", renamed_classes: [{ from: "B", to: "B2" }], deleted_classes: ["C"] },
        { tag: "3", transferred_classes: [{ from: "X", from_script: "y", to: "D" }] },
      ],
    },
    "i.js": `export class A {}\nexport class B2 {}\nexport class D {}\n${MAIN}`,
  });
  assert.deepEqual((await bundle(dir)).manifest.classes, ["A", "B2", "D"]);
  put(dir, "wrangler.json", { name: "m", main: "i.js", exports: { A: { type: "durable-object", storage: "sqlite" }, Gone: { type: "durable-object", state: "deleted" }, Else: { type: "worker" } } });
  assert.deepEqual((await bundle(dir)).manifest.classes, ["A"]);
  put(dir, "wrangler.json", { name: "m", main: "i.js", exports: { A: { type: "durable-object" } }, migrations: [{ tag: "1" }] });
  assert.match((await fails(dir)).text, /'migrations' and 'exports' cannot both/);
});

test("variables: the file, .dev.vars or .env in dev only, --var last", async (t) => {
  const dir = project(t, {
    "wrangler.json": { name: "v", main: "i.js", vars: { A: "file", B: "file" }, secrets: { required: ["KEY", "OTHER"] } },
    ".dev.vars": '# comment\nB=dev\nKEY="two\\nlines" # tail\nexport SINGLE=\'a\\nb\'\nEMPTY=\nHASH=a#b\n',
    ".env": "B=dotenv\n",
    "i.js": MAIN,
  });
  assert.deepEqual((await bundle(dir)).manifest.vars, { A: "file", B: "file" });
  const dev = await bundle(dir, "--dev", "--var", "A:arg:with:colons");
  assert.deepEqual(dev.manifest.vars, { A: "arg:with:colons", B: "dev", KEY: "two\nlines", SINGLE: "a\\nb", EMPTY: "", HASH: "a" });
  assert.ok(dev.built.warnings.some((w) => /OTHER/.test(w) && !/KEY/.test(w)));
  rmSync(join(dir, ".dev.vars"));
  assert.equal((await bundle(dir, "--dev")).manifest.vars.B, "dotenv");
  put(dir, "prod.env", "KEY=k\nOTHER=o\n");
  const secret = await bundle(dir, "--secrets", "prod.env");
  assert.equal(secret.manifest.vars.KEY, "k");
  assert.deepEqual(secret.built.warnings, []);
  put(dir, ".dev.vars", "A=1\nnot a variable\n");
  const error = await fails(dir, "--dev");
  assert.equal(error.file, ".dev.vars");
  assert.equal(error.line, 2);
});

test("env sections inherit what wrangler lets them inherit", async (t) => {
  const dir = project(t, {
    "wrangler.json": {
      name: "e", main: "i.js", compatibility_date: "2026-01-02", vars: { A: "top", T: "top" }, limits: { cpu_ms: 5 },
      env: { staging: { vars: { A: "staging" } }, named: { name: "other", compatibility_date: "2026-03-04" } },
    },
    "i.js": MAIN,
  });
  const staging = (await bundle(dir, "--env", "staging")).manifest;
  assert.equal(staging.app, "e-staging");
  assert.deepEqual(staging.vars, { A: "staging" });
  assert.equal(staging.compatibility_date, "2026-01-02");
  assert.equal(staging.limits.cpu_ms, 5);
  const named = (await bundle(dir, "--env", "named")).manifest;
  assert.equal(named.app, "other");
  assert.deepEqual(named.vars, {});
  assert.equal(named.compatibility_date, "2026-03-04");
  assert.match((await fails(dir, "--env", "nope")).text, /no environment 'nope'.*staging, named/);
});

test("TypeScript, JSX, standard decorators, text and data modules, JSON, define, alias", async (t) => {
  const dir = project(t, {
    "wrangler.json": {
      name: "langs", main: "src/index.tsx", define: { VERSION: '"1.2.3"' }, alias: { "the-alias": "./src/aliased.ts" }, jsx_factory: "h", rules: [{ type: "Text", globs: ["**/*.md"] }],
    },
    "src/index.tsx": `
      import note from "./note.txt"; import page from "./page.md"; import blob from "./blob.bin"; import data from "./data.json"; import { x } from "the-alias";
      const h = (tag: string, props: unknown, ...kids: unknown[]) => ({ tag, kids });
      const seen: string[] = [];
      function mark(value: Function, context: ClassMethodDecoratorContext) { seen.push(String(context.name)); }
      export class Thing { @mark method() { return 1; } static inner = class {}; #p = 2; get p() { return this.#p ?? 0; } }
      enum Colour { Red = 7 }
      export const all = { note, page, blob, data, x, element: <b>hi</b>, seen, name: Thing.name, version: VERSION, red: Colour.Red, mode: process.env.NODE_ENV };
      declare const VERSION: string;
      export default { fetch() { return new Response("") } };`,
    "src/note.txt": "text ü", "src/page.md": "# md", "src/blob.bin": new Uint8Array([0, 255, 7]), "src/data.json": { k: [1] }, "src/aliased.ts": "export const x: number = 42;",
  });
  const { status, out, code } = await bundle(dir);
  assert.equal(status, 0);
  assert.doesNotMatch(code, /@mark/, "decorators are lowered: the engine has none");
  renameSync(join(out, "bundle.js"), join(out, "bundle.mjs"));
  const { all } = await import(pathToFileURL(join(out, "bundle.mjs")));
  assert.equal(all.note, "text ü");
  assert.equal(all.page, "# md");
  assert.ok(all.blob instanceof ArrayBuffer);
  assert.deepEqual([...new Uint8Array(all.blob)], [0, 255, 7]);
  assert.deepEqual(all.data, { k: [1] });
  assert.equal(all.x, 42);
  assert.deepEqual(all.element, { tag: "b", kids: ["hi"] });
  assert.deepEqual(all.seen, ["method"]);
  assert.equal(all.name, "Thing");
  assert.equal(all.version, "1.2.3");
  assert.equal(all.red, 7);
  assert.equal(all.mode, "production");
});

test("class names survive minification", async (t) => {
  const dir = project(t, {
    "wrangler.json": { name: "min", main: "i.js", minify: true },
    "i.js": `class LongInternalName {}\nexport class Agent extends LongInternalName {}\nexport const names = [LongInternalName.name, Agent.name];\n${MAIN}`,
  });
  const { out, code } = await bundle(dir);
  assert.ok(code.split("\n").length < 10);
  renameSync(join(out, "bundle.js"), join(out, "bundle.mjs"));
  assert.deepEqual((await import(pathToFileURL(join(out, "bundle.mjs")))).names, ["LongInternalName", "Agent"]);
});

test("runtime modules stay imports, also when CommonJS packages require them", async (t) => {
  const dir = project(t, {
    "wrangler.json": { name: "cjs", main: "i.js" },
    "i.js": `import legacy from "legacy";\nimport { join } from "path";\nimport os from "node:os";\nimport { env } from "cloudflare:workers";\nexport const r = [legacy, join, os, () => env, import("node:util")];\n${MAIN}`,
    "node_modules/legacy/package.json": { name: "legacy", main: "index.js", exports: { workerd: "./workerd.js", default: "./index.js" } },
    "node_modules/legacy/workerd.js": `const path = require("path"); const { EventEmitter } = require("node:events"); module.exports = { isWorkerd: true, joined: path.join("a", "b"), E: EventEmitter };`,
    "node_modules/legacy/index.js": "module.exports = { isWorkerd: false };",
  });
  const { status, code } = await bundle(dir);
  assert.equal(status, 0);
  for (const name of ["node:path", "node:events", "node:os", "cloudflare:workers"]) assert.match(code, new RegExp(`^import .*"${name}"`, "m"));
  assert.doesNotMatch(code, /require\("/);
  assert.match(code, /isWorkerd: true/, "the condition 'workerd' chooses");
  assert.match(code, /import\("node:util"\)/);
});

test("assets: listed, hashed, ignored as .assetsignore says", async (t) => {
  const dir = project(t, {
    "wrangler.jsonc": '{"name":"files","assets":{"directory":"./public","not_found_handling":"single-page-application","run_worker_first":["/api/*","!/api/docs"]}}',
    "public/index.html": "<h1>hi</h1>", "public/a/b.css": "b{}", "public/.assetsignore": "*.map\nprivate/\n!keep.map\n", "public/x.map": "x", "public/keep.map": "k",
    "public/private/key": "s", "public/node_modules/m/i.js": "m", "public/_headers": "/*\n  x: y\n",
  });
  const copied = await bundle(dir, "--copy");
  assert.equal(copied.manifest.main, null);
  assert.deepEqual(copied.manifest.assets, { directory: "assets", html_handling: "auto-trailing-slash", not_found_handling: "single-page-application", run_worker_first: ["/api/*", "!/api/docs"] });
  const files = JSON.parse(readFileSync(join(copied.out, "files.json"), "utf8"));
  assert.deepEqual(files.map((f) => f.path), ["manifest.json", "assets/_headers", "assets/a/b.css", "assets/index.html", "assets/keep.map"]);
  assert.ok(files.every((f) => f.source === undefined), "a copied deploy does not point into the project");
  assert.equal(readFileSync(join(copied.out, "assets/a/b.css"), "utf8"), "b{}");
  put(dir, "public/a/b.css", "b{color:red}");
  assert.notEqual((await bundle(dir)).manifest.hash, copied.manifest.hash, "assets are part of a deploy");
});

const WRONG = [
  ["no configuration", {}, /No wrangler\.jsonc/, "", 0],
  ["broken JSON", { "wrangler.jsonc": '{\n  "name": "x",\n  "main" "i.js"\n}' }, /Not valid JSON/, "wrangler.jsonc", 3],
  ["broken TOML", { "wrangler.toml": 'name = "x"\nmain = \n' }, /Not valid TOML/, "wrangler.toml", 2],
  ["neither main nor assets", { "wrangler.json": { name: "x" } }, /neither 'main'/, "wrangler.json", 1],
  ["main is missing", { "wrangler.json": '{\n "name": "x",\n "main": "src/nope.ts"\n}' }, /'src\/nope\.ts'.*does not exist/, "wrangler.json", 3],
  ["main of a wrong type", { "wrangler.json": '{\n "name": "x",\n "main": 7\n}' }, /'main' must be a string/, "wrangler.json", 3],
  ["a bad name", { "wrangler.json": '{"name": "Über Uns", "main": "i.js"}', "i.js": MAIN }, /no name for an app/, "wrangler.json", 1],
  ["a bad date", { "wrangler.json": '{"name":"x","main":"i.js",\n"compatibility_date":"tomorrow"}', "i.js": MAIN }, /2026-11-01/, "wrangler.json", 2],
  ["a class that is not exported", { "wrangler.json": '{"name":"x","main":"i.js",\n"durable_objects":{"bindings":[\n{"name":"C","class_name":"Contuer"}]}}', "i.js": COUNTER }, /does not export the class 'Contuer' \(it exports Counter\)/, "wrangler.json", 3],
  ["a binding without a class", { "wrangler.json": '{"name":"x","main":"i.js",\n"durable_objects":{"bindings":[{"name":"C"}]}}', "i.js": MAIN }, /needs 'class_name'/, "wrangler.json", 2],
  ["a syntax error", { "wrangler.json": { name: "x", main: "i.ts" }, "i.ts": "const a = 1;\nconst b: = 2;\n" }, /Unexpected/, "i.ts", 2],
  ["an import that is not there", { "wrangler.json": { name: "x", main: "i.ts" }, "i.ts": 'import x from "./gone";\nexport default x;\n' }, /Could not resolve/, "i.ts", 1],
  ["WebAssembly", { "wrangler.json": { name: "x", main: "i.js" }, "i.js": `import m from "./m.wasm";\nexport const x = m;\n${MAIN}`, "m.wasm": new Uint8Array([0, 97, 115, 109]) }, /WebAssembly/, "", 0],
  ["no export at all", { "wrangler.json": { name: "x", main: "i.js" }, "i.js": "addEventListener('fetch', () => {});\n" }, /exports nothing/, "i.js", 0],
  ["assets that are not there", { "wrangler.json": { name: "x", assets: { directory: "dist" } } }, /'dist'.*does not exist/, "wrangler.json", 0],
  ["a bad assets option", { "wrangler.json": '{"name":"x","assets":{"directory":".",\n"html_handling":"maybe"}}' }, /html_handling/, "wrangler.json", 2],
  ["a build command that fails", { "wrangler.json": { name: "x", main: "i.js", build: { command: "echo broken pipe; exit 3" } }, "i.js": MAIN }, /failed \(exit 3\):\nbroken pipe/, "wrangler.json", 0],
];
for (const [title, files, text, file, line] of WRONG)
  test(`wrong: ${title}`, async (t) => {
    const error = await fails(project(t, files));
    assert.match(error.text, text);
    if (file) assert.equal(error.file, file);
    if (line) {
      assert.equal(error.line, line);
      assert.match(error.frame, new RegExp(`^\\s*${line} │ `, "m"), "the frame shows the line");
      assert.match(error.frame, /╵ +[~^]/, "and marks the place");
    }
  });

test("the configuration that a build tool left takes the place of the project's own", async (t) => {
  const dir = project(t, {
    "wrangler.jsonc": '{ "name": "vite", "main": "src/gone.ts", "assets": { "not_found_handling": "single-page-application" } }',
    ".wrangler/deploy/config.json": { configPath: "../../dist/vite/wrangler.json" },
    "dist/vite/wrangler.json": { name: "vite", main: "index.js", no_bundle: true, rules: [{ type: "ESModule", globs: ["**/*.js"] }], assets: { directory: "../client" } },
    "dist/vite/index.js": 'import "./chunk.js";\nexport default { fetch() { return new Response("built") } };', "dist/vite/chunk.js": "globalThis.chunk = 1;",
    "dist/client/index.html": "<p>",
  });
  const { status, manifest, built, code, out } = await bundle(dir);
  assert.equal(status, 0);
  assert.equal(manifest.app, "vite");
  assert.match(code, /"built"/);
  assert.match(code, /chunk = 1/);
  assert.ok(JSON.parse(readFileSync(join(out, "files.json"), "utf8")).some((f) => f.path === "assets/index.html"));
  assert.ok(built.warnings.some((w) => w.includes("dist/vite/wrangler.json")), "it is said");
  assert.match((await fails(dir, "--env", "x")).text, /--env cannot be used/);
  rmSync(join(dir, "dist"), { recursive: true });
  assert.match((await fails(dir)).text, /does not exist: build the project again/);
  assert.match((await fails(dir, "--config", "wrangler.jsonc")).text, /src\/gone\.ts/, "--config means that one");
});

test("build.command runs first and may make the program", async (t) => {
  const dir = project(t, { "wrangler.json": { name: "b", main: "dist/i.js", build: { command: "mkdir -p dist && cp src.txt dist/i.js", cwd: "." } }, "src.txt": MAIN });
  assert.equal((await bundle(dir)).status, 0);
});

test("the SDK bundles as it comes from npm", async (t) => {
  const dir = project(t, {
    "wrangler.json": { name: "sdk", main: "i.ts", compatibility_flags: ["nodejs_compat"], durable_objects: { bindings: [{ name: "A", class_name: "A" }] } },
    "i.ts": 'import { Agent, callable, routeAgentRequest } from "agents";\nexport class A extends Agent { @callable() m() { return 1; } }\nexport default { fetch: (r: Request, e: unknown) => routeAgentRequest(r, e as never) };\n',
  });
  symlinkSync(join(ROOT, "node_modules"), join(dir, "node_modules"));
  const { status, code, built } = await bundle(dir);
  assert.equal(status, 0);
  assert.deepEqual(built.warnings, []);
  assert.doesNotMatch(code, /__require\("/);
});

// ---- watch ---------------------------------------------------------------------------------------------------------

// A bundler that watches; next() is the next event.
function watch(t, dir, ...args) {
  const child = spawn(process.execPath, [BUNDLER, dir, "--out", join(dir, ".out"), "--watch", ...args], { stdio: ["pipe", "pipe", "inherit"] });
  t.after(() => child.kill("SIGKILL"));
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const next = async () => JSON.parse((await lines.next()).value);
  return { child, next };
}

test("watching: source, configuration, variables and assets make a new build; errors recover", async (t) => {
  const dir = project(t, {
    "wrangler.json": { name: "w", main: "src/i.js", assets: { directory: "public" } }, "src/i.js": `import "./lib.js";\n${MAIN}`, "src/lib.js": "globalThis.x = 1;", "public/a.txt": "1",
  });
  const { child, next } = watch(t, dir, "--dev");
  const hashes = new Set();
  const built = async () => {
    const event = await next();
    assert.equal(event.event, "built", JSON.stringify(event));
    assert.ok(existsSync(join(event.dir, "files.json")));
    assert.ok(!hashes.has(event.hash), "a change makes another hash");
    hashes.add(event.hash);
    return event;
  };
  await built();
  put(dir, "src/lib.js", "globalThis.x = 2;");
  await built();
  writeFileSync(join(dir, "src/lib.tmp"), "globalThis.x = 3;");
  renameSync(join(dir, "src/lib.tmp"), join(dir, "src/lib.js")); // as editors save
  await built();
  put(dir, ".dev.vars", "A=1\n");
  await built();
  put(dir, "public/b.txt", "2");
  await built();
  put(dir, "public/deep/er/c.txt", "3");
  const afterNew = await built();
  put(dir, "src/lib.js", "globalThis.x = ;");
  const error = await next();
  assert.equal(error.event, "error");
  assert.equal(error.errors[0].file, "src/lib.js");
  assert.ok(existsSync(join(afterNew.dir, "files.json")), "the good build is still there");
  put(dir, "src/lib.js", "globalThis.x = 4;");
  await built();
  put(dir, "wrangler.json", { name: "w", main: "src/other.js", assets: { directory: "public" } });
  assert.match((await next()).errors[0].text, /src\/other\.js/);
  put(dir, "src/other.js", MAIN);
  await built();
  child.stdin.end(); // whoever started us is gone
  const [status] = await once(child, "exit");
  assert.equal(status, 0);
});

test("watching: the build command runs again for its folder, and its output does not make it run for ever", async (t) => {
  const dir = project(t, {
    "wrangler.json": { name: "w", main: "i.js", assets: { directory: "public" }, build: { command: "mkdir -p public && cat client/*.js > public/app.js && echo run >> runs.txt", watch_dir: "client" } },
    "i.js": MAIN, "client/a.js": "1;",
  });
  const { next } = watch(t, dir);
  assert.equal((await next()).event, "built");
  put(dir, "client/a.js", "2;");
  assert.equal((await next()).event, "built");
  assert.equal(readFileSync(join(dir, "public/app.js"), "utf8"), "2;");
  put(dir, "i.js", `${MAIN}// changed\nexport const y = 1;\n`);
  assert.equal((await next()).event, "built");
  assert.equal(readFileSync(join(dir, "runs.txt"), "utf8"), "run\nrun\n");
});
