// Builds what an example's page needs, into public/: the shared design, and src/client.* when there is one.
// Each wrangler.jsonc names this file in build.command and is started in the example's own folder.
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const design = fileURLToPath(new URL("quiet.css", import.meta.url));
const client = ["src/client.tsx", "src/client.ts"].find((path) => existsSync(path));

await build({
  entryPoints: { quiet: design, ...(client && { client }) },
  outdir: "public",
  outExtension: { ".js": ".bundle.js", ".css": ".bundle.css" },
  bundle: true,
  minify: true,
  format: "esm",
  target: "es2022",
  jsx: "automatic",
  define: { "process.env.NODE_ENV": '"production"' },
  logLevel: "warning",
});
