// plugins — what esbuild must know about the worker's runtime: which modules it provides, and which files are text or bytes.

import fs from "node:fs";
import path from "node:path";
import { builtinModules } from "node:module";

const BARE = new Set(builtinModules.filter((n) => !n.startsWith("_")).map((n) => n.replace(/^node:/, "")));
const REQUIRED = "required-builtin";

// The specifier under which the runtime offers PATH, or undefined when it is not the runtime's.
export function runtimeModule(specifier) {
  if (specifier.startsWith("cloudflare:") || specifier.startsWith("node:")) return specifier;
  return BARE.has(specifier) ? `node:${specifier}` : undefined;
}

// node:*, cloudflare:* and bare names of Node's modules stay imports. CommonJS packages require() them: the call becomes a
// tiny module that imports the real one, since the bundle is an ES module and has no require.
export const runtimeModules = {
  name: "runtime-modules",
  setup(build) {
    const filter = new RegExp(`^(node:|cloudflare:|(${[...BARE].map((n) => n.replace(/[/.]/g, "\\$&")).join("|")})$)`);
    build.onResolve({ filter }, (args) => {
      const name = runtimeModule(args.path);
      if (name === undefined) return undefined;
      if (args.kind === "require-call" || args.kind === "require-resolve") return { path: name, namespace: REQUIRED };
      return { path: name, external: true, sideEffects: args.path.startsWith("cloudflare:") ? false : undefined };
    });
    build.onLoad({ filter: /.*/, namespace: REQUIRED }, (args) => {
      const from = JSON.stringify(args.path);
      const contents = args.path.startsWith("cloudflare:")
        ? `import * as all from ${from};\nmodule.exports = all;`
        : `import whole from ${from};\nmodule.exports = whole;`;
      return { contents, loader: "js" };
    });
  },
};

const DEFAULT_RULES = [
  { type: "Text", globs: ["**/*.txt", "**/*.html", "**/*.sql"] },
  { type: "Data", globs: ["**/*.bin"] },
  { type: "CompiledWasm", globs: ["**/*.wasm", "**/*.wasm?module"] },
];

// A glob of wrangler's rules (*, **, ?) as a regular expression over a path with forward slashes.
export function globToRegExp(glob) {
  let out = "";
  for (let i = 0; i < glob.length; i++) {
    const c = glob[i];
    if (c === "*" && glob[i + 1] === "*") {
      i++;
      if (glob[i + 1] === "/") { i++; out += "(?:.*/)?"; } else out += ".*";
    } else if (c === "*") out += "[^/]*";
    else out += c.replace(/[\\^$+?.()|[\]{}]/g, "\\$&");
  }
  return new RegExp(`(?:^|/)${out}$`);
}

// Rules in order; the first that matches decides, as in wrangler without `fallthrough`.
export function moduleRules(rules, base) {
  const table = [...rules, ...DEFAULT_RULES].flatMap((r) => r.globs.map((g) => ({ type: r.type, match: globToRegExp(g) })));
  const typeOf = (file) => table.find((r) => r.match.test(file))?.type;
  return {
    name: "module-rules",
    setup(build) {
      build.onLoad({ filter: /.*/ }, (args) => {
        const file = path.relative(base, args.path).split(path.sep).join("/") + (args.suffix ?? "");
        switch (args.with?.type ?? typeOf(file)) {
          case "Text":
          case "text":
            return { contents: fs.readFileSync(args.path, "utf8"), loader: "text" };
          case "Data":
          case "bytes":
            return { contents: dataModule(fs.readFileSync(args.path)), loader: "js" };
          case "CompiledWasm":
            return { errors: [{ text: `'${file}' is WebAssembly, which agents cannot run here: their engine has none. Use a JavaScript build of the package.` }] };
          case "PythonModule":
          case "PythonRequirement":
            return { errors: [{ text: `'${file}' is Python, which is not supported.` }] };
          default:
            return undefined;
        }
      });
    },
  };
}

function dataModule(bytes) {
  return `export default Uint8Array.from(atob(${JSON.stringify(bytes.toString("base64"))}), (c) => c.charCodeAt(0)).buffer;`;
}
