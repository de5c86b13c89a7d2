/*
 * bench: interpreter time of the hot path, in the engine: `node tests/platform/bench.mjs`. The natives are replaced by ones that answer
 * from a table inside the heap, because crossing from WebAssembly to Node costs more than what is measured.
 */
import { makeWorld } from "./worlds.mjs";

const { run } = await makeWorld("engine");
run(`__world.phase.awake = true;
  const table = new Map();
  for (const name of ["urlParse", "formDecode"]) {
    const real = __world.host[name];
    __world.host[name] = (a, b) => {
      const key = name + a;
      let hit = table.get(key);
      if (hit === undefined) table.set(key, hit = real(a, b));
      return hit.slice();
    };
  }
  const { makeRequest, makeResponse, flatOfMessage, bodyMode, takeBody } = __world.web;
  const flat = "host\\nexample.com\\nuser-agent\\ncurl/8\\naccept\\n*/*\\ncontent-type\\napplication/json\\nx-forwarded-for\\n1.2.3.4\\ncf-connecting-ip\\n1.2.3.4\\n";
  const url = "https://example.com/agents/counter/ada?x=1&y=2";
  const cases = {
    nothing: () => {},
    "makeRequest": () => makeRequest("GET", url, flat, 0, undefined, ""),
    "makeRequest + headers.get": () => makeRequest("GET", url, flat, 0, undefined, "").headers.get("upgrade"),
    "new URL": () => new URL(url),
    "new URL, pathname.split": () => new URL(url).pathname.split("/"),
    "new URL, searchParams.get": () => new URL(url).searchParams.get("x"),
    "new Response(text)": () => new Response("hello"),
    "new Response(text, {status, headers})": () => new Response("hello", { status: 200, headers: { "Content-Type": "text/plain" } }),
    "Response.json": () => Response.json({ a: 1, b: "two" }),
    "JSON.stringify": () => JSON.stringify({ a: 1, b: "two" }),
    "new Headers(record)": () => new Headers({ "Content-Type": "text/plain", "X-Thing": "y" }),
    "new Request(url, {headers})": () => new Request(url, { headers: { "X-Thing": "y" } }),
    "new Request(request, {headers})": (r) => new Request(r, { headers: r.headers }),
    "als run + getStore": () => als.run(1, () => als.getStore()),
    "the hot path": () => {
      const request = makeRequest("GET", url, flat, 0, undefined, "");
      const u = new URL(request.url);
      const parts = u.pathname.split("/");
      const x = u.searchParams.get("x");
      const response = Response.json({ agent: parts[2], x });
      return [response.status, response.statusText, flatOfMessage(response), bodyMode(response), takeBody(response)];
    },
    "the POST path (without promises)": () => {
      const request = makeRequest("POST", url, flat, 1, '{"a":1}', "");
      request.headers.get("upgrade");
      request.text();
      const response = new Response("ok", { status: 201, headers: { "content-type": "text/plain" } });
      return [response.status, response.statusText, flatOfMessage(response), bodyMode(response), takeBody(response)];
    },
  };
  const als = new __world.modules["node:async_hooks"].AsyncLocalStorage();
  globalThis.bench = (name, n) => {
    const fn = cases[name];
    const shared = makeRequest("GET", url, flat, 0, undefined, "");
    for (let i = 0; i < n; i++) fn(shared);
  };
  globalThis.names = () => Object.keys(cases).join("|");`, "bench");

/* CPU time of this process, the least of many rounds: other work on the machine disturbs it less than wall time. */
const COUNT = 2000;
const ROUNDS = 60;
for (const name of run("names()").split("|")) {
  let best = Infinity;
  for (let round = 0; round < ROUNDS; round++) {
    const before = process.cpuUsage();
    run(`bench(${JSON.stringify(name)}, ${COUNT})`);
    const { user, system } = process.cpuUsage(before);
    best = Math.min(best, user + system); /* the kernel divides the sum by guessing */
  }
  console.log(`${name.padEnd(44)} ${(best / COUNT).toFixed(2)} µs`);
}
