// Runs an app on workerd, so that tests and benchmarks can ask both servers the same question.
// startWorkerd({ dir | main, data, className… }) bundles the app as wrangler would, writes a Cap'n Proto
// configuration into DATA and waits until workerd says that it listens. Loopback only.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";
import { parse } from "jsonc-parser";

const ROOT = resolve(dirname(fileURLToPath(import.meta.url)), "../..");
// The binary itself: the package's own launcher would keep descriptor 3 to itself.
export const WORKERD = createRequire(import.meta.url).resolve(`@cloudflare/workerd-linux-${process.arch === "x64" ? "64" : process.arch}/bin/workerd`);
export const COMPATIBILITY_DATE = "2026-11-01";

// cloudflare:email exists only behind Miniflare and in production; the SDK imports it for a class it may never make.
const EMAIL = "export class EmailMessage { constructor(from, to, raw) { Object.assign(this, { from, to, raw }); } }";

const peerModules = {
  name: "peer-modules",
  setup(esbuild) {
    esbuild.onResolve({ filter: /^cloudflare:email$/ }, () => ({ path: "email", namespace: "peer" }));
    esbuild.onLoad({ filter: /.*/, namespace: "peer" }, () => ({ contents: EMAIL }));
  },
};

export function readProject(dir) {
  return parse(readFileSync(join(dir, "wrangler.jsonc"), "utf8"));
}

export async function bundle(main) {
  const made = await build({
    entryPoints: [main],
    bundle: true,
    write: false,
    format: "esm",
    target: "es2024",
    keepNames: true,
    conditions: ["workerd", "worker", "browser"],
    external: ["cloudflare:*", "node:*", "path", "fs", "os", "crypto", "util", "events", "stream", "buffer", "async_hooks"],
    define: { "process.env.NODE_ENV": '"production"' },
    plugins: [peerModules],
    absWorkingDir: ROOT,
    logLevel: "error",
  });
  return made.outputFiles[0].text;
}

/* Starts workerd and resolves to { port, url, process, stop }. Options:
 *   dir          a wrangler project, or:
 *   main, classes  an entry file and the classes to bind, each under its own name
 *   data         a folder of the caller's: configuration and databases
 *   evict        false keeps idle objects in memory (for measurements)
 *   log          called with each line workerd writes */
export async function startWorkerd({ dir, main, classes, data, port = 0, evict = true, vars = {}, log = () => {} }) {
  const project = dir ? readProject(dir) : {};
  const bindings = dir ? project.durable_objects?.bindings ?? [] : classes.map((name) => ({ name, class_name: name }));
  const entry = dir ? project.main && join(dir, project.main) : main;
  const assets = project.assets && resolve(dir, project.assets.directory);

  mkdirSync(join(data, "do"), { recursive: true });
  writeFileSync(join(data, "app.js"), entry ? await bundle(entry) : "export default {};");
  writeFileSync(join(data, "front.js"), frontModule(assets, Boolean(entry)));
  writeFileSync(join(data, "config.capnp"), config({ port, data, assets, bindings, evict, vars: { ...project.vars, ...vars } }));

  const spawnedAt = performance.now();
  const child = spawn(WORKERD, ["serve", "--control-fd=3", join(data, "config.capnp")], { stdio: ["ignore", "pipe", "pipe", "pipe"] });
  const output = [];
  for (const stream of [child.stdout, child.stderr]) eachLine(stream, (line) => { output.push(line); log(line); });
  const listening = await firstListen(child, output);

  return {
    port: listening,
    url: `http://127.0.0.1:${listening}`,
    process: child,
    spawnedAt,
    output,
    async stop(signal = "SIGTERM") {
      if (child.exitCode !== null || child.signalCode !== null) return;
      child.kill(signal);
      await once(child, "exit");
    },
  };
}

function firstListen(child, output) {
  return new Promise((listens, fails) => {
    eachLine(child.stdio[3], (line) => {
      const event = JSON.parse(line);
      if (event.event === "listen") listens(event.port);
    });
    child.once("exit", (code) => fails(new Error(`workerd ended with ${code} before it listened:\n${output.join("\n")}`)));
  });
}

export function eachLine(stream, take) {
  let rest = "";
  stream.setEncoding("utf8");
  stream.on("data", (text) => {
    const lines = (rest + text).split("\n");
    rest = lines.pop();
    lines.forEach(take);
  });
}

// wrangler's assets in a few lines: a file answers first, the program gets the rest.
function frontModule(assets, hasProgram) {
  if (!assets) return 'export * from "app.js"; export { default } from "app.js";';
  return `
import app from "app.js";
export * from "app.js";
const TYPES = ${JSON.stringify({ ".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".css": "text/css; charset=utf-8" })};
export default {
  async fetch(request, env, ctx) {
    const { pathname } = new URL(request.url);
    if (request.method === "GET" && !request.headers.has("upgrade")) {
      const path = pathname.endsWith("/") ? pathname + "index.html" : pathname;
      const file = await env.PEER_ASSETS.fetch("http://assets" + path);
      const type = TYPES[path.slice(path.lastIndexOf("."))];
      if (file.ok && type) return new Response(file.body, { headers: { "content-type": type } });
    }
    return ${hasProgram ? "app.fetch(request, env, ctx)" : 'new Response("Not found", { status: 404 })'};
  },
};`;
}

function config({ port, data, assets, bindings, evict, vars }) {
  const text = JSON.stringify;
  const namespaces = bindings.map(({ class_name: name }) =>
    `(className = ${text(name)}, uniqueKey = ${text(`peer-${name}`)}, enableSql = true${evict ? "" : ", preventEviction = true"})`);
  const bound = [
    ...bindings.map(({ name, class_name }) => `(name = ${text(name)}, durableObjectNamespace = ${text(class_name)})`),
    ...Object.entries(vars).map(([name, value]) => typeof value === "string"
      ? `(name = ${text(name)}, text = ${text(value)})` : `(name = ${text(name)}, json = ${text(JSON.stringify(value))})`),
    ...(assets ? ['(name = "PEER_ASSETS", service = "assets")'] : []),
  ];
  return `using Workerd = import "/workerd/workerd.capnp";
const config :Workerd.Config = (
  services = [
    (name = "main", worker = .app),
    (name = "disk", disk = (path = ${text(join(data, "do"))}, writable = true)),
    ${assets ? `(name = "assets", disk = (path = ${text(assets)})),` : ""}
  ],
  sockets = [ (name = "http", address = "127.0.0.1:${port}", http = (), service = "main") ],
);
const app :Workerd.Worker = (
  modules = [ (name = "front.js", esModule = embed "front.js"), (name = "app.js", esModule = embed "app.js") ],
  compatibilityDate = "${COMPATIBILITY_DATE}",
  durableObjectNamespaces = [ ${namespaces.join(", ")} ],
  durableObjectStorage = (localDisk = "disk"),
  bindings = [ ${bound.join(", ")} ],
);
`;
}
