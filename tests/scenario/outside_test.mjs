// What agents may do outside: fetch, streams, redirects, aborts, WebSockets; and what they may not.
import assert from "node:assert/strict";
import { once } from "node:events";
import http from "node:http";
import { after, before, describe, it } from "node:test";
import { gzipSync } from "node:zlib";
import { WebSocketServer } from "ws";
import { eventually, fixture, missing, scratch, serve, start } from "./lib.mjs";

const skip = missing({ only: "dormouse" });

/* The world outside: a small HTTP server on loopback that tells what it was asked. */
async function outside() {
  const seen = { aborted: 0, requests: [] };
  let world;
  const server = http.createServer((request, response) => {
    const { pathname } = new URL(request.url, "http://x");
    let body = "";
    seen.requests.push(request.headers);
    request.on("data", (data) => { body += data; });
    request.on("end", () => {
      switch (pathname) {
        case "/mirror": return response.setHeader("x-seen", "yes").end(JSON.stringify({ method: request.method, body, a: request.headers["x-a"] ?? null, agent: request.headers["user-agent"] ?? null }));
        case "/slow-chunks": response.write("one"); return setImmediate(() => { response.write("two"); setImmediate(() => response.end("three")); });
        case "/redirect": return response.writeHead(302, { location: "/mirror" }).end();
        case "/loop": return response.writeHead(302, { location: "/loop" }).end();
        case "/touched": return world.onTouched();
        case "/teapot": return response.writeHead(418, "Short And Stout").end("tea");
        case "/gzip": return response.writeHead(200, { "content-encoding": "gzip" }).end(gzipSync("unpacked"));
        case "/broken": response.writeHead(200, { "content-length": "100" }).write("not all"); return setImmediate(() => response.destroy());
        case "/never": return response.on("close", () => seen.aborted++);
        case "/large": return response.end("x".repeat(3_000_000));
      }
      response.writeHead(404).end();
    });
  });
  const sockets = new WebSocketServer({ server, path: "/socket" });
  sockets.on("connection", (ws) => ws.on("message", (data) => (String(data) === "close" ? ws.close(4009, "asked to") : ws.send(`outside ${data}`))));
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address();
  world = { seen, url: `http://127.0.0.1:${port}`, ws: `ws://127.0.0.1:${port}`, close: () => { sockets.clients.forEach((one) => one.terminate()); server.closeAllConnections(); server.close(); } };
  return world;
}

const asking = (server) => async (operation, what) => {
  const answer = await server.json(`/${operation}`, { method: "POST", body: JSON.stringify(what) });
  return answer.saw ?? answer;
};

describe("an agent's calls outside", { skip }, () => {
  let world, server, data, ask;
  before(async () => {
    world = await outside();
    data = scratch();
    server = await start(fixture("outside"), { data: data.dir, args: ["--allow-private"] });
    ask = asking(server);
  });
  after(async () => {
    await server?.stop();
    world?.close();
    data?.remove();
  });

  it("carry method, headers and body", async () => {
    const { status, headers, text } = await ask("fetch", { url: `${world.url}/mirror`, init: { method: "PUT", body: "payload", headers: { "x-a": "1" } } });
    assert.deepEqual([status, headers["x-seen"], JSON.parse(text).method, JSON.parse(text).body, JSON.parse(text).a], [200, "yes", "PUT", "payload", "1"]);
  });

  it("bring back status and text", async () => {
    const { status, statusText, text } = await ask("fetch", { url: `${world.url}/teapot` });
    assert.deepEqual([status, statusText, text], [418, "Short And Stout", "tea"]);
  });

  it("follow redirects, or not", async () => {
    const followed = await ask("fetch", { url: `${world.url}/redirect` });
    assert.deepEqual([followed.status, followed.redirected, followed.url], [200, true, `${world.url}/mirror`]);
    const manual = await ask("fetch", { url: `${world.url}/redirect`, init: { redirect: "manual" } });
    assert.deepEqual([manual.status, manual.headers.location], [302, "/mirror"]);
    assert.match((await ask("fetch", { url: `${world.url}/loop` })).message, /[Rr]edirect/);
  });

  it("stream down and up", async () => {
    assert.equal((await ask("chunks", { url: `${world.url}/slow-chunks` })).replaceAll("|", ""), "onetwothree");
    assert.equal(JSON.parse(await ask("upload", { url: `${world.url}/mirror`, chunks: ["a", "b", "c"] })).body, "abc");
    assert.equal((await ask("fetch", { url: `${world.url}/large` })).text.length, 3_000_000);
  });

  it("unpack what is packed", async () => assert.equal((await ask("fetch", { url: `${world.url}/gzip` })).text, "unpacked"));

  it("fail when the answer breaks off", async () => assert.ok((await ask("fetch", { url: `${world.url}/broken` })).message));

  it("fail when nobody listens", async () => assert.ok((await ask("fetch", { url: "http://127.0.0.1:9/" })).message));

  it("refuse what is no web address", async () => {
    assert.ok((await ask("fetch", { url: "file:///etc/passwd" })).message);
    assert.ok((await ask("fetch", { url: "gopher://127.0.0.1/" })).message);
  });

  it("can be aborted", async () => {
    const gone = world.seen.aborted;
    const { name } = await ask("abort", { url: `${world.url}/never` });
    assert.equal(name, "AbortError");
    await eventually(() => world.seen.aborted === gone + 1 || "the server outside did not notice");
  });

  it("run beside each other", async () => assert.equal(await ask("parallel", { url: `${world.url}/mirror`, count: 40 }), 40));

  it("open WebSockets, by upgrade and by constructor", async () => {
    assert.deepEqual(await ask("upgrade", { url: `${world.url}/socket` }), [101, "outside hello", [4009, "asked to"]]);
    assert.deepEqual(await ask("socket", { url: `${world.ws}/socket` }), [1, "outside hello", [4009, "asked to"]]);
  });

});

describe("a call outside", { skip }, () => {
  it("leaves only when the write before it would survive kill -9", async (t) => {
    const world = await outside();
    t.after(world.close);
    const data = scratch();
    t.after(data.remove);
    const options = { data: data.dir, args: ["--allow-private"] };
    for (let round = 0; round < 5; round++) {
      const server = await start(fixture("outside"), options);
      const killed = new Promise((resolve) => { world.onTouched = () => resolve(server.kill9()); });
      const asked = asking(server)("writeFirst", { key: `round ${round}`, url: `${world.url}/touched` }).catch(() => "unanswered");
      await killed; // at the very moment the world outside heard of it
      await asked;
      const again = await start(fixture("outside"), options);
      assert.deepEqual(await asking(again)("written", { key: `round ${round}` }), true);
      await again.stop();
    }
  });
});

describe("an agent's calls to private addresses", { skip }, () => {
  it("are refused unless the operator allows them", async (t) => {
    const world = await outside();
    t.after(world.close);
    const server = await serve(t, fixture("outside"));
    const ask = asking(server);
    const names = [`${world.url}/mirror`, world.url.replace("127.0.0.1", "[::1]"), world.url.replace("127.0.0.1", "localhost"), "http://169.254.169.254/latest", "http://10.0.0.1/", "http://0x7f000001/", "http://[::ffff:127.0.0.1]/"];
    for (const url of names) assert.ok((await ask("fetch", { url })).message, `${url} was answered`);
    assert.ok((await ask("socket", { url: `${world.ws}/socket` })).message, "a WebSocket was opened");
    assert.equal(world.seen.requests.length, 0);
  });
});
