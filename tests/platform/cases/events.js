/* Events, abort, timers: DOM standard and HTML standard. Time is virtual (__world.advance). */
test("Event: fields", () => {
  const e = new Event("a");
  eq([e.type, e.bubbles, e.cancelable, e.composed, e.eventPhase, e.returnValue, e.defaultPrevented, e.target, e.currentTarget, e.isTrusted, e.composedPath(), e.timeStamp],
    ["a", false, false, false, 0, true, false, null, null, false, [], 0]);
  eq([Event.AT_TARGET, e.BUBBLING_PHASE], [2, 3]);
  throws(() => new Event(), "TypeError", "Failed to construct 'Event': constructor parameter 1 is not of type 'string'.");
});
test("EventTarget: order, once, same listener, removal, objects", () => {
  const t = new EventTarget();
  const log = [];
  const a = () => log.push("a");
  t.addEventListener("x", a);
  t.addEventListener("x", a);
  t.addEventListener("x", { handleEvent(e) { log.push(`object ${e.type} ${e.target === t} ${e.eventPhase}`); } });
  t.addEventListener("x", function () { log.push(this === t); }, { once: true });
  t.addEventListener("x", null);
  eq(t.dispatchEvent(new Event("x")), true);
  t.removeEventListener("x", a);
  t.dispatchEvent(new Event("x"));
  eq(log, ["a", "object x true 2", true, "object x true 2"]);
  throws(() => t.addEventListener("x", "y"), "TypeError", /parameter 2 is not of type/);
  throws(() => t.dispatchEvent({}), "TypeError", /parameter 1 is not of type 'Event'/);
});
test("EventTarget: changes during dispatch", () => {
  const t = new EventTarget();
  const log = [];
  const late = () => log.push("late");
  t.addEventListener("x", () => { log.push(1); t.addEventListener("x", late); t.removeEventListener("x", gone); });
  const gone = () => log.push("gone");
  t.addEventListener("x", gone);
  t.dispatchEvent(new Event("x"));
  eq(log, [1]);
  t.dispatchEvent(new Event("x"));
  eq(log, [1, 1, "late"]);
});
test("EventTarget: cancelling, stopping, throwing", () => {
  const t = new EventTarget();
  const log = [];
  t.addEventListener("x", (e) => e.preventDefault());
  t.addEventListener("x", () => { throw new Error("listener"); });
  t.addEventListener("x", (e) => { log.push(e.defaultPrevented); e.stopImmediatePropagation(); });
  t.addEventListener("x", () => log.push("never"));
  const before = __world.lines.length;
  eq([t.dispatchEvent(new Event("x", { cancelable: true })), t.dispatchEvent(new Event("x")), log], [false, true, [true, false]]);
  const logged = __world.lines.slice(before);
  eq([logged.length, logged[0][0]], [2, 3]);
  ok(/listener/.test(logged[0][1]));
  const passive = new EventTarget();
  passive.addEventListener("x", (e) => e.preventDefault(), { passive: true });
  eq(passive.dispatchEvent(new Event("x", { cancelable: true })), true);
});
test("EventTarget: signal option, subclasses", () => {
  class Mine extends EventTarget { #n = 0; hit() { this.dispatchEvent(new CustomEvent("n", { detail: ++this.#n })); } }
  const m = new Mine();
  const seen = [];
  const c = new AbortController();
  m.addEventListener("n", (e) => seen.push(e.detail), { signal: c.signal });
  m.hit();
  c.abort();
  m.hit();
  eq(seen, [1]);
});
test("kinds of events", () => {
  const m = new MessageEvent("message", { data: { a: 1 } });
  eq([m.data, m.origin, m.lastEventId, m.source, m.ports, m instanceof Event], [{ a: 1 }, "", "", null, [], true]);
  const c = new CloseEvent("close", { code: 1001, reason: "r", wasClean: true });
  eq([c.code, c.reason, c.wasClean, new CloseEvent("close").code], [1001, "r", true, 0]);
  const e = new ErrorEvent("error", { message: "m", error: 5, filename: "f", lineno: 1, colno: 2 });
  eq([e.message, e.error, e.filename, e.lineno, e.colno], ["m", 5, "f", 1, 2]);
});
test("AbortController", () => {
  const c = new AbortController();
  let fired = 0;
  c.signal.onabort = (e) => { fired++; eq(e.type, "abort"); };
  c.signal.addEventListener("abort", () => fired++);
  eq([c.signal.aborted, c.signal.reason], [false, undefined]);
  c.signal.throwIfAborted();
  c.abort();
  c.abort("again");
  eq([c.signal.aborted, fired, c.signal.reason.name, c.signal.reason.message, c.signal.reason.code], [true, 2, "AbortError", "The operation was aborted", 20]);
  throws(() => c.signal.throwIfAborted(), "AbortError", "The operation was aborted");
  const d = new AbortController();
  d.abort("why");
  eq(d.signal.reason, "why");
  throws(() => new AbortSignal(), "TypeError", "Illegal constructor");
});
test("AbortSignal.abort, any, timeout", async () => {
  eq(AbortSignal.abort("x").reason, "x");
  const [a, b] = [new AbortController(), new AbortController()];
  const any = AbortSignal.any([a.signal, b.signal]);
  const nested = AbortSignal.any([any]);
  b.abort(4);
  eq([any.aborted, any.reason, nested.reason, AbortSignal.any([a.signal, b.signal]).reason], [true, 4, 4, 4]);
  throws(() => AbortSignal.any([1]), "TypeError", "Incorrect type for array element 0: the provided value is not of type 'AbortSignal'.");
  const t = AbortSignal.timeout(50);
  await __world.advance(49);
  eq(t.aborted, false);
  await __world.advance(1);
  eq([t.aborted, t.reason.name, t.reason.message], [true, "TimeoutError", "The operation was aborted due to timeout"]);
});
test("timers: order, arguments, this, clearing", async () => {
  const log = [];
  setTimeout((...args) => log.push(args), 20, "a", 1);
  setTimeout(function () { log.push(this === globalThis); }, 10);
  const cleared = setTimeout(() => log.push("cleared"), 10);
  clearTimeout(cleared);
  const byNumber = setTimeout(() => log.push("by number"), 10);
  clearTimeout(Number(byNumber));
  setTimeout(() => log.push("now"));
  clearTimeout(undefined);
  clearTimeout({});
  clearTimeout("x");
  await __world.advance(20);
  eq(log, ["now", true, ["a", 1]]);
  throws(() => setTimeout("code", 1), "TypeError", `The "callback" argument must be of type function. Received type string ('code')`);
});
test("timers: intervals, refresh, dispose", async () => {
  let n = 0;
  const interval = setInterval(() => { if (++n === 3) clearInterval(interval); }, 10);
  await __world.advance(100);
  eq(n, 3);
  let fired = 0;
  const t = setTimeout(() => fired++, 10);
  await __world.advance(8);
  ok(t.refresh() === t && t.hasRef() && !t.unref().hasRef());
  await __world.advance(8);
  eq(fired, 0);
  await __world.advance(2);
  eq(fired, 1);
  const d = setTimeout(() => fired++, 10);
  d[Symbol.dispose]?.();
  clearTimeout(d);
  await __world.advance(10);
  eq([fired, __world.pending()], [1, 0]);
});
test("timers: an error is reported and the next timer runs", async () => {
  const before = __world.lines.length;
  let ran = false;
  setTimeout(() => { throw new TypeError("in a timer"); }, 1);
  setTimeout(() => { ran = true; }, 1);
  await __world.advance(1);
  eq(ran, true);
  ok(/^Uncaught TypeError: in a timer/.test(__world.lines[before][1]));
});
test("scheduler.wait", async () => {
  let done = false;
  scheduler.wait(5).then((v) => { done = v === undefined; });
  await __world.advance(5);
  eq(done, true);
  await rejects(scheduler.wait(5, { signal: AbortSignal.abort() }), "AbortError");
  const c = new AbortController();
  const waiting = scheduler.wait(5, { signal: c.signal });
  c.abort();
  await rejects(waiting, "AbortError");
  eq(__world.pending(), 0);
});

test("MessageChannel", async () => {
  const { port1, port2 } = new MessageChannel();
  const seen = [];
  port1.postMessage({ a: 1 });
  port2.onmessage = (e) => { seen.push(e.data); port2.postMessage("back"); };
  port1.addEventListener("message", (e) => seen.push(e.data));
  await __world.jobs();
  eq(seen, [{ a: 1 }]);
  port1.start();
  await __world.jobs();
  eq(seen, [{ a: 1 }, "back"]);
  port2.close();
  port1.postMessage("lost");
  await __world.jobs();
  eq(seen.length, 2);
  throws(() => port1.postMessage(() => {}), "DataCloneError");
});
test("the global scope is an event target", () => {
  let hit = 0;
  const on = () => hit++;
  self.addEventListener("custom", on);
  self.dispatchEvent(new Event("custom"));
  removeEventListener("custom", on);
  dispatchEvent(new Event("custom"));
  eq(hit, 1);
});

test("a signal does not keep what was derived from it, unless somebody waits", async () => {
  const { followerCount, listenerCount } = __world.web;
  const long = new AbortController();
  const seen = [];
  AbortSignal.any([AbortSignal.any([long.signal])]).addEventListener("abort", () => seen.push("listener"));
  AbortSignal.any([long.signal]).onabort = () => seen.push("handler");
  for (let i = 0; i < 500; i++) AbortSignal.any([long.signal]);
  if (__worldKind === "engine") ok(followerCount(long.signal) < 100, `${followerCount(long.signal)} followers`);
  const removed = AbortSignal.any([long.signal]);
  const never = () => seen.push("never");
  removed.addEventListener("abort", never);
  removed.removeEventListener("abort", never);
  long.abort("r");
  eq([seen.sort(), removed.aborted, removed.reason], [["handler", "listener"], true, "r"]);
  const t = new EventTarget();
  const scope = new AbortController();
  for (let i = 0; i < 10; i++) {
    const on = () => {};
    t.addEventListener("x", on, { signal: scope.signal });
    if (i % 2) t.removeEventListener("x", on);
    else t.addEventListener("y", () => {}, { once: true, signal: scope.signal });
  }
  t.dispatchEvent(new Event("y"));
  eq([listenerCount(scope.signal, "abort"), listenerCount(t, "x")], [5, 5]);
  scope.abort();
  eq([listenerCount(t, "x"), listenerCount(scope.signal, "abort")], [0, 0]);
});
