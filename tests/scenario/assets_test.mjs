// The gateway's static assets: as a browser meets them, and as env.ASSETS does.
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import test from "node:test";
import { ask, connect, rig, skip } from "./http_rig.mjs";

const BIG = Buffer.alloc(5 << 20, "0123456789");
const FILES = {
  "index.html": "<h1>home</h1>", "about.html": "about", "docs/index.html": "docs", "app.js": "1", "big.bin": BIG, "empty.txt": "",
  "404.html": "not here", "docs/404.html": "not in docs", ".assetsignore": "x", ".well-known/ok": "ok", "sp ace.txt": "blank",
  _headers: "/app.js\n  X-Test: yes\n  Cache-Control: immutable\n/docs/*\n  ! ETag\n", _redirects: "/old/* /docs/:splat 301\n/gone https://x.example/ 302\n",
};

function folder(t, files = FILES) {
  const dir = mkdtempSync(join(tmpdir(), "dormouse-assets-"));
  t.after(() => rmSync(dir, { recursive: true }));
  for (const [name, text] of Object.entries(files)) {
    mkdirSync(dirname(join(dir, name)), { recursive: true });
    writeFileSync(join(dir, name), text);
  }
  return dir;
}

const get = (path, more = "") => `GET ${path} HTTP/1.1\r\nHost: a\r\n${more}\r\n`;

async function site(t, options = {}, workers = 0) {
  const dir = folder(t);
  const g = await rig(t, { workers, routes: { assets: { dir, ...options } } });
  return Object.assign(g, { dir, get: (path, more) => ask(g.port, get(path, more)) });
}

test("files, types, validators", { skip }, async (t) => {
  const g = await site(t);
  const home = await g.get("/?q=1");
  assert.deepEqual([home.status, home.body.toString()], [200, "<h1>home</h1>"]);
  assert.equal(home.headers["content-type"], "text/html; charset=utf-8");
  assert.equal(home.headers["cache-control"], "public, max-age=0, must-revalidate");
  assert.match(home.headers.etag, /^"[^"]+"$/);
  const same = await g.get("/", `If-None-Match: "x", W/${home.headers.etag}\r\n`);
  assert.deepEqual([same.status, same.body.length, same.headers["content-length"]], [304, 0, undefined]);
  assert.equal((await g.get("/", 'If-None-Match: "x"\r\n')).status, 200);
  const head = await ask(g.port, "HEAD /about HTTP/1.1\r\nHost: a\r\n\r\n");
  assert.deepEqual([head.status, head.headers["content-length"], head.body.length], [200, "5", 0]);
  assert.equal((await g.get("/empty.txt")).headers["content-length"], "0");
  assert.equal((await g.get("/sp%20ace.txt")).body.toString(), "blank");
  assert.equal((await g.get("/.well-known/ok")).body.toString(), "ok");
  assert.equal((await ask(g.port, "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")).status, 405);
});

test("large files, slowly read, several on one connection", { skip }, async (t) => {
  const g = await site(t);
  const c = connect(g.port);
  c.send(get("/big.bin") + get("/about"));
  c.socket.pause();
  await new Promise((r) => setImmediate(r));
  c.socket.resume();
  assert.ok((await c.response()).body.equals(BIG));
  assert.equal((await c.response()).body.toString(), "about");
  const gone = connect(g.port);
  gone.socket.pause();
  gone.send(get("/big.bin"));
  assert.equal((await g.get("/about")).status, 200);
  gone.destroy();
  c.destroy();
});

test("ranges", { skip }, async (t) => {
  const g = await site(t);
  const range = async (value, more = "") => {
    const r = await g.get("/big.bin", `Range: ${value}\r\n${more}`);
    return [r.status, r.headers["content-range"], r.body.length];
  };
  const n = BIG.length;
  assert.deepEqual(await range("bytes=0-9"), [206, `bytes 0-9/${n}`, 10]);
  assert.deepEqual(await range("bytes=10-"), [206, `bytes 10-${n - 1}/${n}`, n - 10]);
  assert.deepEqual(await range("bytes=-5"), [206, `bytes ${n - 5}-${n - 1}/${n}`, 5]);
  assert.deepEqual(await range(`bytes=${n - 1}-${n + 99}`), [206, `bytes ${n - 1}-${n - 1}/${n}`, 1]);
  assert.deepEqual(await range(`bytes=${n}-`), [416, `bytes */${n}`, 0]);
  assert.deepEqual(await range("bytes=-0"), [416, `bytes */${n}`, 0]);
  for (const odd of ["bytes=9-1", "bytes=a-b", "lines=1-2", "bytes=0-1,3-4", "bytes=5"]) assert.equal((await range(odd))[0], 200, odd);
  assert.equal((await range("bytes=0-9", 'If-Range: "other"\r\n'))[0], 200);
  assert.deepEqual((await g.get("/big.bin", "Range: bytes=5-8\r\n")).body.toString(), "5678");
});

test("addresses, redirects, headers", { skip }, async (t) => {
  const g = await site(t);
  const to = async (path) => { const r = await g.get(path); return [r.status, r.headers.location ?? r.body.toString()]; };
  assert.deepEqual(await to("/about.html?x=1"), [307, "/about?x=1"]);
  assert.deepEqual(await to("/docs"), [307, "/docs/"]);
  assert.deepEqual(await to("/docs/"), [200, "docs"]);
  assert.deepEqual(await to("/old/a/b?c=d"), [301, "/docs/a/b?c=d"]);
  assert.deepEqual(await to("/gone"), [302, "https://x.example/"]);
  const js = await g.get("/app.js");
  assert.deepEqual([js.headers["x-test"], js.headers["cache-control"]], ["yes", "immutable"]);
  assert.equal((await g.get("/docs/")).headers.etag, undefined);
});

test("nothing outside of the folder, nothing that configures it", { skip }, async (t) => {
  const g = await site(t);
  for (const path of ["/../etc/passwd", "/..%2fetc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/docs/..%5c..", "/docs/%2e%2e/about.html", "//etc/passwd",
    "/_headers", "/_redirects", "/.assetsignore", "/docs%00", "/%zz", "/docs/../_headers"])
    assert.equal((await g.get(path)).status, 404, path);
  symlinkSync("/etc", join(g.dir, "link"));
  symlinkSync("/etc/passwd", join(g.dir, "passwd"));
  await g.tell("routes " + JSON.stringify({ default: true, workers: 0, assets: { dir: g.dir } }));
  for (const path of ["/link/passwd", "/passwd"]) assert.equal((await g.get(path)).status, 404, path);
});

test("pages for what is not there", { skip }, async (t) => {
  const g = await site(t, { not_found_handling: "404-page" });
  assert.deepEqual(((r) => [r.status, r.body.toString()])(await g.get("/nothing")), [404, "not here"]);
  assert.deepEqual(((r) => [r.status, r.body.toString()])(await g.get("/docs/nothing/at/all")), [404, "not in docs"]);
  const spa = await site(t, { not_found_handling: "single-page-application" });
  assert.deepEqual(((r) => [r.status, r.body.toString()])(await spa.get("/any/where")), [200, "<h1>home</h1>"]);
});

test("assets and a worker share the addresses", { skip }, async (t) => {
  const g = await site(t, { not_found_handling: "single-page-application" }, 1);
  assert.equal((await g.get("/about")).body.toString(), "about");
  assert.equal((await g.get("/api")).body.toString(), "hello", "the worker answers what is no file");
  assert.equal((await g.get("/api", "Sec-Fetch-Mode: navigate\r\n")).body.toString(), "<h1>home</h1>", "a navigation gets the page");
  assert.equal((await ask(g.port, "POST /about HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")).body.toString(), "hello");
  const first = await site(t, { run_worker_first: true }, 1);
  assert.equal((await first.get("/about")).body.toString(), "hello");
  const some = await site(t, { run_worker_first: ["/d*", "!/docs/*"] }, 1);
  assert.equal((await some.get("/docs/")).body.toString(), "docs");
  assert.equal((await some.get("/docs")).body.toString(), "hello");
  assert.equal((await some.get("/docs/none")).status, 404, "what the list excepts is never the worker's");
  assert.equal((await some.get("/none")).body.toString(), "hello");
  const listed = await site(t, { run_worker_first: ["/api/*"], not_found_handling: "single-page-application" }, 1);
  assert.equal((await listed.get("/any/page")).body.toString(), "<h1>home</h1>");
  assert.equal((await listed.get("/api/x")).body.toString(), "hello");
  const paged = await site(t, { not_found_handling: "404-page" }, 1);
  assert.equal((await paged.get("/any")).body.toString(), "hello");
  assert.equal((await paged.get("/any", "Sec-Fetch-Mode: navigate\r\n")).status, 404);
});

test("env.ASSETS.fetch", { skip }, async (t) => {
  const g = await site(t, { run_worker_first: true, not_found_handling: "404-page" }, 1);
  const r = await g.get("/asset-of/about");
  assert.deepEqual([r.status, r.body.toString(), r.headers["content-type"]], [200, "about", "text/html; charset=utf-8"]);
  assert.equal((await g.get("/asset-of/docs")).headers.location, "/docs/");
  assert.equal((await g.get("/asset-of/nothing")).body.toString(), "not here");
  assert.equal((await g.get("/asset-of/big.bin", "Range: bytes=1-3\r\n")).body.toString(), "123");
  assert.equal((await g.get("/asset-of/big.bin")).body.toString(), String(BIG.length), "streamed under credit, all of it");
  assert.equal((await ask(g.port, "POST /asset-of/about HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n")).status, 405);
});
