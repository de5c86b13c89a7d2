// An agent says the same to all of its sockets: every one hears it, in order, and it crosses from room to room once.
import assert from "node:assert/strict";
import { spawnSync } from "node:child_process";
import { once } from "node:events";
import { describe, it } from "node:test";
import WebSocket from "ws";
import { DORMOUSE, eventually, fixture, missing, serve } from "./lib.mjs";

const skip = missing({ only: "dormouse" });
const SOCKETS = 100;

async function join(server) {
  const ws = new WebSocket(`${server.url.replace("http", "ws")}/ws`), heard = [];
  ws.on("message", (data) => heard.push(data.length < 100 ? String(data) : data.length));
  await once(ws, "open");
  return { ws, heard };
}

const casts = (server) => JSON.parse(spawnSync(DORMOUSE, ["top", "--once", "--json", "--data", server.data], { encoding: "utf8" }).stdout)
  .rooms.find(({ role }) => role === "gateway").counters.casts;

describe("a broadcast", { skip }, () => {
  it("is one message between the rooms, and in order with what is said to one", async (t) => {
    const server = await serve(t, fixture("room"), { args: ["--workers", "1"] });
    const members = await Promise.all(Array.from({ length: SOCKETS }, () => join(server)));
    for (const how of ["", "&write"]) {
      const before = casts(server);
      assert.equal(await server.json(`/say?bytes=5000&times=3${how}`), SOCKETS);
      await eventually(() => members.every(({ heard }) => heard.length >= 3) || "some hear nothing");
      await eventually(() => members.filter(({ heard }) => heard.length === 6).length === 1 || "nobody was spoken to");
      assert.equal(casts(server) - before, 3);
      for (const said of members.map(({ heard }) => heard.splice(0))) assert.deepEqual(said, said.length === 6 ? [5000, "hello", 5000, "hello", 5000, "hello"] : [5000, 5000, 5000]);
    }
    for (const { ws } of members) ws.terminate();
  });

  it("of a large message costs neither the agent nor the link its life", async (t) => {
    const server = await serve(t, fixture("room"), { args: ["--workers", "1"] });
    const members = await Promise.all(Array.from({ length: SOCKETS }, () => join(server)));
    assert.equal(await server.json("/say?bytes=700000&times=3"), SOCKETS);      // 210 MB in one turn
    await eventually(() => members.every(({ heard }) => heard.filter((one) => one === 700_000).length === 3) || "some have not heard all", 60_000);
    for (const { ws } of members) ws.terminate();
  });
});
