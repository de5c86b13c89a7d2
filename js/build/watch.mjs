// watch — rebuilds when a file that matters changes.
//
// Folders are watched, not files: editors replace files by renaming. inotify tells at once, so a redeploy is not kept waiting
// by polling. A change matters when it is a source of the last build, the configuration, a variables file, an asset, or when
// the last build failed (any file may be the one that was missing).

import fs from "node:fs";
import path from "node:path";

const SETTLE_MS = 30; // an editor's write, rename and chmod count as one change
const FOLDERS_MAX = 4000; // half of the smallest usual fs.inotify.max_user_watches
const NEVER = new Set(["node_modules", ".git", ".dormouse", ".wrangler"]);

export class Watcher {
  constructor(project, { say, sayFailure }) {
    this.project = project;
    this.say = say;
    this.sayFailure = sayFailure;
    this.watches = new Map(); // folder → FSWatcher
    this.changed = new Set(); // files since the last build began
    this.timer = null;
    this.building = false;
    this.failed = false;
    this.commandDue = true;
    this.hash = "";
    this.child = null; // a build command that runs
    this.closed = false;
  }

  async start() {
    this.watchTree(this.project.dir);
    await this.run();
  }

  async close() {
    this.closed = true;
    clearTimeout(this.timer);
    for (const w of this.watches.values()) w.close();
    this.child?.kill("SIGTERM");
    await this.project.close();
  }

  // One build; whatever changed meanwhile is built right after it.
  async run() {
    this.building = true;
    this.changed.clear();
    const start = performance.now();
    try {
      const config = this.project.readConfig();
      this.watchMore(config.watched.map((f) => path.dirname(f)));
      if (this.commandDue) {
        this.commandDue = false;
        await this.project.runCommand((child) => { this.child = child; });
        this.child = null;
        // What the command wrote is part of this build, not a change after it.
        await new Promise((done) => setTimeout(done, SETTLE_MS));
        this.changed.clear();
        this.commandDue = false;
      }
      const built = await this.project.build();
      const ms = Math.round(performance.now() - start);
      const same = built.hash === this.hash && !this.failed;
      this.failed = false;
      this.hash = built.hash;
      this.say(same ? { event: "unchanged", hash: built.hash, ms } : { event: "built", ...built, ms });
    } catch (e) {
      this.failed = true;
      this.child = null;
      this.sayFailure(e);
    }
    this.building = false;
    if (this.closed) return;
    this.watchMore([...this.project.inputs].map((f) => path.dirname(f)).filter((d) => !inNodeModules(d)));
    this.watchMore(this.project.folders);
    for (const d of this.project.config?.build?.watch ?? []) this.watchTree(d);
    if ([...this.changed].some((f) => this.matters(f))) this.schedule();
  }

  schedule() {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => { if (!this.building && !this.closed) this.run(); }, SETTLE_MS);
  }

  onChange(folder, name) {
    const file = name === null ? folder : path.join(folder, name);
    const stat = fs.statSync(file, { throwIfNoEntry: false });
    if (stat?.isDirectory() && !this.watches.has(file) && !isHidden(path.basename(file))) this.watchTree(file);
    if (this.project.config?.build?.watch.some((d) => file === d || file.startsWith(d + path.sep))) this.commandDue = true;
    this.changed.add(file);
    if (!this.building && this.matters(file)) this.schedule();
  }

  matters(file) {
    const p = this.project;
    const inside = (d) => file === d || file.startsWith(d + path.sep);
    if (inside(p.options.out) || /(\.next|~|\.swp|\.swx|^4913)$/.test(path.basename(file))) return false;
    if (this.failed || p.config === null) return true;
    return p.inputs.has(file) || p.config.watched.includes(file) || this.commandDue || (p.config.assets && inside(p.config.assets.root));
  }

  watchTree(root) {
    const folders = [root];
    while (folders.length > 0) {
      const folder = folders.pop();
      if (!this.watchFolder(folder)) return;
      let entries = [];
      try {
        entries = fs.readdirSync(folder, { withFileTypes: true });
      } catch {
        continue; // gone again, or not ours to read
      }
      for (const e of entries) if (e.isDirectory() && !isHidden(e.name)) folders.push(path.join(folder, e.name));
    }
  }

  watchMore(folders) {
    for (const f of new Set(folders)) this.watchFolder(f);
  }

  // False when there is no room for more.
  watchFolder(folder) {
    if (this.watches.has(folder)) return true;
    if (this.watches.size >= FOLDERS_MAX) return false;
    try {
      const w = fs.watch(folder, (_, name) => this.onChange(folder, name));
      w.on("error", () => this.forget(folder));
      this.watches.set(folder, w);
    } catch {
      // The folder went away between the listing and now; its parent tells when it is back.
    }
    return true;
  }

  forget(folder) {
    this.watches.get(folder)?.close();
    this.watches.delete(folder);
  }
}

function isHidden(name) {
  return NEVER.has(name);
}

function inNodeModules(folder) {
  return folder.split(path.sep).includes("node_modules");
}
