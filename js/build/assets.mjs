// assets — the static files of a project: which ones, how large, and their hashes (kept between builds by size and time).

import crypto from "node:crypto";
import fs from "node:fs";
import path from "node:path";
import { fail } from "./errors.mjs";
import { globToRegExp } from "./plugins.mjs";

export const ASSET_BYTES_MAX = 100 * 1024 * 1024; // one file; src/control/control_limits.h has the same
export const ASSETS_MAX = 20000; // Cloudflare's own limit
const NEVER = new Set(["node_modules", ".git", ".dormouse", ".wrangler", ".DS_Store"]);

const known = new Map(); // file → {bytes, changed, sha256}

// All files beneath project.assets.root as [{path: "assets/…", source, bytes, sha256}], sorted by path; and the folders, to watch.
export function listAssets(project) {
  const root = project.assets.root;
  const stat = fs.statSync(root, { throwIfNoEntry: false });
  if (!stat?.isDirectory()) throw fail(`The folder '${project.assets.written}' named by 'assets.directory' does not exist.`, project.shown);
  const ignored = ignoreRules(root);
  const files = [];
  const folders = [];
  const walk = (folder, relative) => {
    folders.push(folder);
    for (const entry of fs.readdirSync(folder, { withFileTypes: true })) {
      const name = relative === "" ? entry.name : `${relative}/${entry.name}`;
      if (NEVER.has(entry.name) || name === ".assetsignore" || name === "_worker.js") continue;
      const file = path.join(folder, entry.name);
      const isFolder = entry.isDirectory();
      if (ignored(name, isFolder)) continue;
      if (isFolder) { walk(file, name); continue; }
      const info = fs.statSync(file, { throwIfNoEntry: false });
      if (!info?.isFile()) continue; // dangling links, links to folders, sockets
      if (info.size > ASSET_BYTES_MAX) throw fail(`The asset '${name}' has ${info.size} bytes; at most ${ASSET_BYTES_MAX} are served.`, name);
      if (files.length >= ASSETS_MAX) throw fail(`'${project.assets.written}' holds more than ${ASSETS_MAX} files.`, project.shown);
      files.push({ path: `assets/${name}`, source: file, ...digest(file, info) });
    }
  };
  walk(root, "");
  files.sort((a, b) => (a.path < b.path ? -1 : 1));
  return { files, folders };
}

function digest(file, info) {
  const seen = known.get(file);
  if (seen && seen.bytes === info.size && seen.changed === info.mtimeMs) return { bytes: seen.bytes, sha256: seen.sha256 };
  const content = fs.readFileSync(file);
  const sha256 = crypto.createHash("sha256").update(content).digest("hex");
  known.set(file, { bytes: content.length, changed: info.mtimeMs, sha256 });
  return { bytes: content.length, sha256 };
}

// .assetsignore: lines as in .gitignore; the last that matches decides, "!" takes back.
function ignoreRules(root) {
  const file = path.join(root, ".assetsignore");
  if (!fs.existsSync(file)) return () => false;
  const rules = fs.readFileSync(file, "utf8").split(/\r?\n/).map((l) => l.trim()).filter((l) => l !== "" && !l.startsWith("#")).map((line) => {
    const back = line.startsWith("!");
    let glob = back ? line.slice(1) : line;
    const foldersOnly = glob.endsWith("/");
    if (foldersOnly) glob = glob.slice(0, -1);
    const anchored = glob.includes("/");
    const match = globToRegExp(glob.replace(/^\//, ""));
    return { back, foldersOnly, match: anchored ? new RegExp(`^${match.source.slice("(?:^|/)".length)}`) : match };
  });
  return (name, isFolder) => {
    let out = false;
    for (const r of rules) if ((isFolder || !r.foldersOnly) && r.match.test(name)) out = !r.back;
    return out;
  };
}
