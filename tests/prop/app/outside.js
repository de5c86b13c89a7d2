// Fragments of programs that wait for the world: timers, fetches, bodies, calls between agents, sockets, critical sections.
import { add, als, bytesOf, chance, pause, pick, short, told, word } from "./lib.js";

// http://out/KIND/N: what the other end does (prop_world.c): w whole, s stream, b breaks off, f fails, l late, e counts the upload, u WebSocket.
const out = (kind, n) => `http://out/${kind}/${n}`;
const far = (p, r) => p.env.PROG.get(p.env.PROG.idFromName(pick(r, p.peers.far)));
const near = (p, r) => p.env.PROG.get(p.env.PROG.idFromName(pick(r, p.peers.near)));
const read = async (p, body, label) => {
  let pieces = 0, bytes = 0;
  try { for await (const piece of body) { pieces++; bytes += piece.length; if (pieces % 2) p.put(`${label} piece ${pieces} ${piece[0]}`); } } catch (e) { return `${pieces} ${bytes} ! ${told(e)}`; }
  return `${pieces} ${bytes}`;
};
const trickle = (r, n) => new ReadableStream({ async pull(c) { if (n-- === 0) return c.close(); await pause(r(300)); c.enqueue(bytesOf("u".repeat(10 + n))); } });

add({
  timer: async (p, r) => { const n = r(9000), from = p.w.total; await pause(n); return `${n} ${p.w.total - from}`; },
  timerArguments: (p, r) => { setTimeout((a, b) => p.put(`timer ${a} ${b.n} @${als.getStore()}`), r(500), word(r), { n: r(9) }); return "set"; },
  timerChain: (p, r) => { let n = 2 + r(4); const next = () => { p.put(`chain ${n} ${p.w.total++}`); if (--n > 0) setTimeout(next, r(200)); }; setTimeout(next, 0); return n; },
  timerCleared: (p, r) => { p.w.timeout ??= setTimeout(() => { p.w.timeout = undefined; p.put("not cleared"); }, 4000); if (r(3) === 0) { clearTimeout(p.w.timeout); p.w.timeout = undefined; return "cleared"; } return "left"; },
  interval: (p, r) => { let n = 0; const most = 1 + r(4), id = setInterval(() => { p.put(`interval ${++n} of ${most} @${als.getStore()}`); if (n === most) clearInterval(id); }, 100 + r(900)); return most; },
  timersRace: async (p, r) => Promise.race([pause(r(400)).then(() => "first"), pause(r(400)).then(() => "second"), p.gate("race")]),
  sameTime: (p, r) => { const ms = r(50); for (let i = 0; i < 3; i++) setTimeout(() => p.put(`same ${i}`), ms); return "three"; },
  abortTimeout: async (p, r) => { const s = AbortSignal.any([AbortSignal.timeout(r(2000)), (p.w.controller ??= new AbortController()).signal]); return new Promise((ok) => (s.aborted ? ok("was") : s.addEventListener("abort", () => ok(`${s.reason?.name}`)))); },
  abortNow: (p, r) => { const c = p.w.controller; p.w.controller = undefined; c?.abort(new Error(word(r))); return c ? "aborted" : "-"; },
  fetchWhole: async (p, r) => { const before = p.w.total++, x = await fetch(out("w", r(60))); return `${x.status} ${short(await x.text())} ${x.headers.get("x-out")} ${p.w.total - before}`; },
  fetchJson: async (p, r) => { const x = await fetch(out("w", r(9)), { method: "POST", body: JSON.stringify({ a: word(r) }), headers: { "content-type": "application/json" } }); return x.ok + (await x.text()); },
  fetchStream: async (p, r) => read(p, (await fetch(out("s", 2 + r(5)))).body, "stream"),
  fetchBroken: async (p, r) => read(p, (await fetch(out("b", 1 + r(3)))).body, "broken"),
  fetchText: async (p, r) => short(await (await fetch(out("s", 1 + r(4)))).text()),
  fetchFails: async (p, r) => (await fetch(out("f", r(9)))).status,
  fetchLate: async (p, r) => als.run("late", async () => `${await (await fetch(out("l", r(9)))).text()} @${als.getStore()}`),
  fetchUnread: async (p, r) => { const x = await fetch(out("s", 1 + r(3))); p.w.kept.push(x); return x.status; },
  fetchReadLater: async (p) => { const x = p.w.kept.find((y) => y instanceof Response); p.w.kept = p.w.kept.filter((y) => y !== x); return x ? short(await x.text()) : "-"; },
  fetchCancel: async (p, r) => { const x = await fetch(out("s", 6)); const reader = x.body.getReader(); const first = await reader.read(); await pause(r(20)); await reader.cancel("enough"); return first.value?.length; },
  fetchAbort: async (p, r) => { const c = new AbortController(); setTimeout(() => c.abort(), r(300)); return (await (await fetch(out(pick(r, ["w", "s", "l"]), 5), { signal: c.signal })).text()).length; },
  fetchTee: async (p, r) => { const [a, b] = (await fetch(out("s", 3))).body.tee(); const first = new Response(a).text(); await pause(r(50)); return `${(await first).length} ${(await new Response(b).text()).length}`; },
  fetchPiped: async (p, r) => { let n = 0; const t = new TransformStream({ transform(piece, c) { n += piece.length; c.enqueue(bytesOf(`<${piece.length}>`)); }, flush(c) { c.enqueue(bytesOf("end")); } }); return `${await new Response((await fetch(out("s", 1 + r(4)))).body.pipeThrough(t)).text()} ${n}`; },
  fetchUpload: async (p, r) => (await fetch(out("e", 1), { method: "PUT", body: trickle(r, 1 + r(4)), duplex: "half" })).text(),
  fetchThree: async (p, r) => (await Promise.allSettled([fetch(out("w", r(9))), fetch(out("f", 1)), fetch(out("w", r(9)))])).map((x) => x.value?.status ?? told(x.reason)).join(),
  bodyByHand: async (p, r) => { const reader = (p.w.reader ??= (await fetch(out("s", 5))).body.getReader()); const { done, value } = await reader.read(); if (done) p.w.reader = undefined; return done ? "end" : value.length; },
  streamByHand: async (p, r) => { if (!p.w.hand) { const t = new TransformStream(); p.w.hand = { writer: t.writable.getWriter(), reader: t.readable.getReader() }; } if (r(2)) { p.w.hand.writer.write(word(r)); return "wrote"; } const x = await p.w.hand.reader.read(); return x.value; },
  rpcNear: async (p, r) => { const x = await near(p, r).ask(word(r), r(20)); return `${x.what} ${x.n} ${x.map.get(x.what).getTime()}`; },
  rpcFar: async (p, r) => JSON.stringify(await far(p, r).ask(word(r), r(20))),
  rpcFarFails: async (p, r) => JSON.stringify(await far(p, r).failing(r(20))),
  rpcTwo: async (p, r) => (await Promise.all([near(p, r).ask("a", 3), far(p, r).ask("b", 4), near(p, r).ask("c", 6)])).map((x) => short(JSON.stringify(x))).join(),
  rpcTarget: async (p, r) => { const c = await near(p, r).counter(r(50)); p.w.counters.push(c); return `${await c.more(r(5))} ${await c.slow(r(90))}`; },
  rpcTargetAgain: async (p, r) => { const c = pick(r, p.w.counters); return c ? c.more(1) : "-"; },
  rpcTargetGone: (p) => { const c = p.w.counters.shift(); c?.[Symbol.dispose]?.(); return c ? "disposed" : "-"; },
  rpcPipelined: async (p, r) => near(p, r).counter(r(9)).more(2),
  rpcCallback: async (p, r) => { let n = 0; return near(p, r).callBack(async (i) => { n += i; if (i === 1) await pause(r(60)); return `${i}:${n}`; }, 3); },
  peerFetch: async (p, r) => { const x = await near(p, r).fetch("http://peer/peer"); return `${x.status} ${(await x.text()).length > 4} ${x.headers.get("x-of") !== null}`; },
  peerUpload: async (p, r) => { const x = await near(p, r).fetch("http://peer/up", { method: "POST", body: trickle(r, 3) }); return (await x.text()).split(" up ")[1]; },
  peerStream: async (p, r) => read(p, (await far(p, r).fetch(`http://peer/s/${1 + r(4)}`)).body, "peer"),
  peerSocket: async (p, r) => { const { webSocket } = await near(p, r).fetch(`http://peer/ws?s=${r(1e6)}`, { headers: { upgrade: "websocket" } }); webSocket.accept(); p.w.clients.push(webSocket); webSocket.addEventListener("message", ({ data }) => p.put(`peer says ${data}`)); webSocket.send(word(r)); return "joined"; },
  socketOut: async (p, r) => {
    const { webSocket: ws } = await fetch(out("u", r(9)), { headers: { upgrade: "websocket" } }), n = p.w.clients.push(ws);
    let heard = 0; ws.accept();
    ws.addEventListener("message", ({ data }) => { p.put(`client${n} ${typeof data === "string" ? short(data) : data.byteLength} ${++heard}`); });
    ws.addEventListener("close", ({ code, reason }) => p.put(`client${n} closed ${code} ${reason}`));
    ws.send("hello " + word(r)); return n;
  },
  socketOutSend: (p, r) => { const ws = pick(r, p.w.clients); if (!ws) return "-"; ws.send(r(2) ? word(r) : new Uint8Array(5)); return ws.readyState; },
  socketOutClose: (p, r) => { const ws = p.w.clients.splice(r(p.w.clients.length + 1), 1)[0]; ws?.close(3000 + r(9), word(r).slice(0, 2)); return ws ? "closing" : "-"; },
  socketsAll: (p, r) => { const all = p.ctx.getWebSockets(r(2) ? "tag1" : undefined); for (const ws of all.slice(0, 3)) ws.send(`all ${p.w.total++}`); return all.length; },
  socketClose: (p, r) => { const ws = pick(r, p.ctx.getWebSockets()); ws?.close(4000 + r(9), "server"); return ws ? ws.readyState : "-"; },
  socketLive: (p, r) => { const ws = pick(r, p.w.live); if (!ws) return "-"; try { ws.send(word(r)); return ws.readyState; } catch (e) { return told(e); } },
  socketAttachment: (p) => p.ctx.getWebSockets().map((ws) => JSON.stringify(ws.deserializeAttachment()) + p.ctx.getTags(ws)).join(),
  pair: (p, r) => { if (!p.w.pair) { const { 0: a, 1: b } = new WebSocketPair(); a.accept(); b.accept(); b.addEventListener("message", ({ data }) => b.send(data + p.w.total++)); a.addEventListener("message", ({ data }) => p.put(`pair ${data}`)); p.w.pair = a; } p.w.pair.send(word(r)); return "sent"; },
  waitUntil: (p, r) => { p.ctx.waitUntil(pause(r(2000)).then(() => p.put("until over"))); return "waits"; },
  waitUntilFetch: (p, r) => { p.ctx.waitUntil(fetch(out("w", r(9))).then((x) => x.text()).then((t) => p.put(`until ${t.length}`))); return "waits"; },
  section: async (p, r) => p.ctx.blockConcurrencyWhile(async () => { const n = p.w.total++; await pause(r(700)); p.put(`section ${p.w.total - n}`); return word(r); }),
  sectionFetch: async (p, r) => p.ctx.blockConcurrencyWhile(async () => short(await (await fetch(out(pick(r, ["w", "s"]), 3))).text())),
  sectionNested: async (p, r) => p.ctx.blockConcurrencyWhile(async () => { await pause(r(90)); return p.ctx.blockConcurrencyWhile(async () => { await pause(r(90)); return `inner ${p.w.total++}`; }); }),
  sectionCall: async (p, r) => p.ctx.blockConcurrencyWhile(async () => JSON.stringify(await far(p, r).ask("s", r(9)))),
  sectionFails: async (p, r) => (r(6) > 0 ? "-" : p.ctx.blockConcurrencyWhile(async () => { await pause(r(90)); throw new Error("section failed"); })),
  abort: (p, r) => { if (r(12) === 0) p.ctx.abort("aborted by itself"); return "-"; },
  console: (p, r) => { console.log("said", word(r), { n: p.w.total }); return "said"; },
  requests: async (p, r) => { const q = (p.w.request ??= new Request("http://x/y", { method: "POST", body: "body " + word(r) })); return q.bodyUsed ? ((p.w.request = undefined), "used") : await q.text(); },
  id: (p, r) => `${p.ctx.id.name} ${p.env.PROG.idFromName(pick(r, p.peers.near)).equals(p.ctx.id)} ${p.ctx.id.toString().slice(0, 8)}`,
  own: (p, r) => { const c = chance(p.w.seed ?? r(1e6)); p.w.seed = c(1e6); return p.w.seed; },
});
