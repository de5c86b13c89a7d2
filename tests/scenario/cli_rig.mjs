// cli_rig — runs the command line: once to its end, or as a server whose JSON events are awaited. Nothing is left behind.
import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

export const ROOT = resolve(dirname(fileURLToPath(import.meta.url)), "../..");
export const DORMOUSE = resolve(process.env.DORMOUSE ?? join(ROOT, "build/dormouse"));

// For { skip } of node:test.
export const built = () => (existsSync(DORMOUSE) ? false : `${DORMOUSE} is not built`);

// A temporary folder with FILES (path → text), removed after the test.
export function scratch(t, files) {
  const dir = mkdtempSync(join(tmpdir(), "dormouse-cli-"));
  t.after(() => rmSync(dir, { recursive: true, force: true, maxRetries: 5 }));
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(dir, name)), { recursive: true });
    writeFileSync(join(dir, name), text);
  }
  return dir;
}

// One command to its end. → {status, out, err}
export async function run(args, env = {}) {
  const child = spawn(DORMOUSE, args, { env: { ...process.env, ...env }, stdio: ["ignore", "pipe", "pipe"], cwd: tmpdir() });
  let out = "", err = "";
  child.stdout.on("data", (c) => { out += c; });
  child.stderr.on("data", (c) => { err += c; });
  const [status] = await once(child, "close");
  return { status, out, err };
}

// The processes below PID, without it.
export function descendants(pid) {
  const rows = execFileSync("ps", ["-eo", "pid=,ppid="], { encoding: "utf8" }).trim().split("\n").map((l) => l.trim().split(/\s+/).map(Number));
  const out = [pid];
  for (let i = 0; i < out.length; i++) for (const [p, parent] of rows) if (parent === out[i]) out.push(p);
  return out.slice(1);
}

const isAlive = (pid) => {
  try {
    process.kill(pid, 0);
    // A zombie that nobody has reaped yet is no process any more.
    return !/^\d+ \(.*\) Z/.test(execFileSync("cat", [`/proc/${pid}/stat`], { encoding: "utf8", stdio: ["ignore", "pipe", "ignore"] }));
  } catch {
    return false;
  }
};

// `dormouse dev` or `serve` with --json.
export class Dev {
  constructor(t, args, env = {}) {
    this.child = spawn(DORMOUSE, [...args, "--json"], { env: { ...process.env, ...env }, stdio: ["ignore", "pipe", "pipe"], cwd: tmpdir() });
    this.complaints = "";
    this.child.stderr.on("data", (c) => { this.complaints += c; });
    this.events = createInterface({ input: this.child.stdout })[Symbol.asyncIterator]();
    this.seen = [];
    this.closed = once(this.child, "exit");
    t.after(() => this.stop("SIGKILL"));
  }

  // The next event of this name; an "error" or "failed" that was not asked for is a failure of the test.
  async until(name) {
    for (;;) {
      const { value, done } = await this.events.next();
      assert.ok(!done, `it ended before '${name}':\n${this.seen.join("\n")}\n${this.complaints}`);
      this.seen.push(value);
      const event = JSON.parse(value);
      if (event.event === name) return event;
      assert.ok(!["error", "failed"].includes(event.event) && !event.error, `'${name}' was awaited, not ${value}\n${this.complaints}`);
    }
  }

  // Ends it and checks that no process of its tree is left. → [code, signal]
  async stop(signal = "SIGINT") {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return [this.child.exitCode, this.child.signalCode];
    const tree = descendants(this.child.pid);
    this.child.kill(signal);
    const result = await this.closed;
    for (let i = 0; tree.some(isAlive); i++) {
      assert.ok(i < 400, `processes left: ${tree.filter(isAlive)}`);
      await new Promise((done) => setTimeout(done, 25));
    }
    return result;
  }
}
