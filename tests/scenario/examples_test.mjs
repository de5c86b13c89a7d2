// The examples, driven by the clients that people use: fetch, partysocket, AgentClient.
import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { AgentClient } from "agents/client";
import { PartySocket } from "partysocket";
import WebSocket from "ws";
import { eventually, example, message, missing, serve, withTimeout } from "./lib.mjs";

const skip = missing();
const post = { method: "POST" };

describe("00-home", { skip }, () => {
  it("serves its page, its script and its style, and nothing else", async (t) => {
    const home = await serve(t, example("00-home"));
    const page = await home.fetch("/");
    assert.equal(page.status, 200);
    assert.match(page.headers.get("content-type"), /text\/html/);
    const html = await page.text();
    for (const app of ["counter", "rooms", "state", "reminders"]) assert.match(html, new RegExp(`data-app="${app}"`));
    assert.match((await home.fetch("/links.js")).headers.get("content-type"), /javascript/);
    assert.match((await home.fetch("/quiet.bundle.css")).headers.get("content-type"), /text\/css/);
    assert.equal((await home.fetch("/nothing")).status, 404);
  });
});

describe("01-counter", { skip }, () => {
  it("counts, each name for itself", async (t) => {
    const app = await serve(t, example("01-counter"));
    assert.equal((await app.json("/counters/tea")).value, 0);
    assert.equal((await app.json("/counters/tea?by=5", post)).value, 5);
    assert.equal((await app.json("/counters/tea?by=-2", post)).value, 3);
    assert.equal((await app.json("/counters/coffee", post)).value, 1);
    const tea = await app.json("/counters/tea");
    assert.deepEqual([tea.name, tea.count, tea.recent.map((row) => row.amount)], ["tea", 2, [-2, 5]]);
  });

  it("refuses what it cannot count", async (t) => {
    const app = await serve(t, example("01-counter"));
    assert.equal((await app.fetch("/counters/tea?by=x", post)).status, 400);
    assert.equal((await app.fetch("/counters/tea", { method: "DELETE" })).status, 405);
    assert.equal((await app.fetch("/elsewhere")).status, 404);
    assert.equal((await app.fetch("/")).status, 200);
  });

  it("counts a hundred at once without losing one", async (t) => {
    const app = await serve(t, example("01-counter"));
    const seen = await Promise.all(Array.from({ length: 100 }, () => app.json("/counters/busy", post)));
    assert.deepEqual(seen.map((one) => one.value).sort((a, b) => a - b), Array.from({ length: 100 }, (_, i) => i + 1));
  });
});

function enter(t, app, who, room = "lobby") {
  const socket = new PartySocket({ host: app.host, party: "room", room, query: { who }, WebSocket });
  const came = [];
  socket.addEventListener("message", ({ data }) => came.push(JSON.parse(data)));
  t.after(() => socket.close());
  return { socket, came, has: (wanted) => eventually(() => came.some(wanted) || `${who} saw only ${JSON.stringify(came)}`) };
}

describe("02-rooms", { skip }, () => {
  it("shows who is here and carries what they say", async (t) => {
    const app = await serve(t, example("02-rooms"));
    const ada = enter(t, app, "Ada");
    await ada.has((event) => event.type === "people" && event.people.join() === "Ada");
    const bob = enter(t, app, "Bob");
    await ada.has((event) => event.type === "people" && event.people.join() === "Ada,Bob");
    bob.socket.send("hello 🐭");
    await ada.has((event) => event.type === "line" && event.line.who === "Bob" && event.line.text === "hello 🐭");

    bob.socket.close();
    await eventually(() => ada.came.at(-1).type === "people" && ada.came.at(-1).people.join() === "Ada" || JSON.stringify(ada.came.at(-1)));
    const eve = enter(t, app, "Eve");
    await eve.has((event) => event.type === "history" && event.lines.map((line) => line.text).join() === "hello 🐭");
  });

  it("keeps rooms apart", async (t) => {
    const app = await serve(t, example("02-rooms"));
    const ada = enter(t, app, "Ada", "one");
    const bob = enter(t, app, "Bob", "two");
    await ada.has((event) => event.type === "people");
    await bob.has((event) => event.type === "people");
    ada.socket.send("only here");
    await ada.has((event) => event.type === "line");
    bob.socket.send("only there");
    await bob.has((event) => event.type === "line");
    assert.deepEqual(bob.came.filter((event) => event.type === "line").map((event) => event.line.text), ["only there"]);
  });
});

function agent(t, app, name, instance, options = {}) {
  const client = new AgentClient({ agent: name, name: instance, host: app.host, WebSocket, ...options });
  t.after(() => client.close());
  return client;
}

describe("03-state", { skip }, () => {
  it("keeps two clients in step", async (t) => {
    const app = await serve(t, example("03-state"));
    const states = [];
    const one = agent(t, app, "canvas", "shared");
    const two = agent(t, app, "canvas", "shared", { onStateUpdate: (state, source) => states.push({ state, source }) });
    await withTimeout(Promise.all([one.ready, two.ready]), 20_000, "no identity came");
    assert.equal(await one.call("paint", [3, 5]), 1);
    await eventually(() => states.at(-1)?.state.cells[3] === 5 || JSON.stringify(states.at(-1)));
    one.setState({ ...states.at(-1).state, title: "Two mice" });
    await eventually(() => states.at(-1).state.title === "Two mice");
    assert.equal(states.at(-1).source, "server");
    assert.equal(await one.call("paint", [4, 2]), 2);
  });

  it("tells the caller what is wrong", async (t) => {
    const app = await serve(t, example("03-state"));
    const errors = [];
    const client = agent(t, app, "canvas", "strict", { onStateUpdateError: (error) => errors.push(error) });
    await client.ready;
    await assert.rejects(client.call("paint", [999, 1]), /no cell 999/);
    await assert.rejects(client.call("paint", [1, 99]), /no colour 99/);
    await assert.rejects(client.call("validateStateChange", [{}]), /not callable/);
    client.setState({ title: "x".repeat(61), cells: [] });
    await eventually(() => errors.length === 1);
  });

  it("keeps its state for the next client", async (t) => {
    const app = await serve(t, example("03-state"));
    const first = agent(t, app, "canvas", "kept");
    await first.ready;
    await first.call("paint", [0, 1]);
    first.close();
    const second = agent(t, app, "canvas", "kept");
    const { state } = await message(second, (event) => event.type === "cf_agent_state");
    assert.equal(state.cells[0], 1);
  });
});

describe("04-reminders", { skip }, () => {
  it("fires after a delay, at a date and at an interval", async (t) => {
    const app = await serve(t, example("04-reminders"));
    let state;
    const client = agent(t, app, "reminders", "mine", { onStateUpdate: (next) => { state = next; } });
    await client.ready;
    await client.call("remind", ["delay", { kind: "delay", seconds: 1 }]);
    await client.call("remind", ["date", { kind: "date", at: new Date(Date.now() + 1500).toISOString() }]);
    await client.call("remind", ["every", { kind: "every", seconds: 1 }]);
    const fired = (text) => state.fired.filter((one) => one.text === text).length;
    await eventually(() => (fired("delay") === 1 && fired("date") === 1 && fired("every") >= 2) || JSON.stringify(state), 20_000);
    assert.deepEqual(state.armed.map((one) => one.text), ["every"]);
  });

  it("arms cron, lists and cancels", async (t) => {
    const app = await serve(t, example("04-reminders"));
    let state;
    const client = agent(t, app, "reminders", "list", { onStateUpdate: (next) => { state = next; } });
    await client.ready;
    const id = await client.call("remind", ["yearly", { kind: "cron", cron: "0 0 1 1 *" }]);
    await eventually(() => state?.armed.length === 1);
    const next = new Date(state.armed[0].next);
    assert.deepEqual([next.getUTCMonth(), next.getUTCDate(), next.getUTCHours()], [0, 1, 0]);
    assert.equal(await client.call("cancel", [id]), true);
    await eventually(() => state.armed.length === 0);
    await assert.rejects(client.call("remind", ["bad", { kind: "cron", cron: "nonsense" }]));
  });
});
