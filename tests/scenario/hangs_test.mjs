// A request to the entry that nothing can answer any more is ended at once, as workerd does; whoever may still be answered waits.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { eventually, fixture, missing, serve } from "./lib.mjs";

const skip = missing();

describe("code that hangs", { skip }, () => {
  it("is answered with an error when it is the entry", async (t) => {
    const server = await serve(t, fixture("hangs"));
    assert.equal((await server.fetch("/hang")).status, 500);
    assert.equal((await server.fetch("/hang-after-reading", { method: "POST", body: "x".repeat(300_000) })).status, 500);
    assert.equal(await (await server.fetch("/fine")).text(), "fine");
  });

  it("breaks off an answer that has begun", async (t) => {
    const server = await serve(t, fixture("hangs"));
    await assert.rejects(async () => (await server.fetch("/hang-in-the-body")).text());
    assert.equal(await (await server.fetch("/fine")).text(), "fine");
  });

  it("does not end requests that wait for something, nor those of an object", async (t) => {
    const server = await serve(t, fixture("hangs"));
    const waiting = server.fetch("/object"), late = server.fetch("/timer");
    const hung = [1, 2, 3].map(() => server.fetch("/hang"));
    assert.equal(await (await late).text(), "late");
    assert.equal((await (await server.fetch("/microtasks")).text()).length, 1000);
    await eventually(async () => (await (await server.fetch("/object/release")).json()) === 1);
    assert.equal(await (await waiting).text(), "released");
    for (const answer of await Promise.all(hung)) assert.equal(answer.status, 500);
  });
});
