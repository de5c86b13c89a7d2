// Requests to objects and their answers: methods, headers, bodies, streams, redirects, aborts.
import { CaseObject, caughtAsync, oracle } from "../suite.mjs";

const stub = (env, name = "bodies") => env.BodyObject.getByName(name);
const mirror = async (env, init, path = "/mirror") => (await stub(env).fetch(`http://host.example${path}`, init)).json();
const stream = (...parts) => new ReadableStream({ start(c) { for (const part of parts) c.enqueue(new TextEncoder().encode(part)); c.close(); } });
const text = async (env, path, init) => { const r = await stub(env).fetch(`http://x${path}`, init); return [r.status, await r.text()]; };

const outside = {
  "the object sees method, URL and headers": (env) => mirror(env, { headers: { "X-Two": "2", "x-one": "1" } }, "/mirror?a=1&b=%20#hash"),
  "POST with text": (env) => mirror(env, { method: "POST", body: "hello" }),
  "POST with bytes": (env) => mirror(env, { method: "POST", body: new Uint8Array([104, 105]) }),
  "POST with URLSearchParams": (env) => mirror(env, { method: "POST", body: new URLSearchParams({ a: "1 2", b: "é" }) }),
  "POST with a Blob": (env) => mirror(env, { method: "POST", body: new Blob(["x"], { type: "text/weird" }) }),
  "POST with a stream": (env) => mirror(env, { method: "POST", body: stream("one ", "two") }),
  "PUT with an empty text": (env) => mirror(env, { method: "PUT", body: "" }),
  "DELETE without a body": (env) => mirror(env, { method: "DELETE" }),
  "a method in lower case": (env) => mirror(env, { method: "post", body: "x" }),
  "a method of one's own": (env) => mirror(env, { method: "FROBNICATE" }),
  "a GET with a body": (env) => mirror(env, { method: "GET", body: "x" }),
  "a FormData body": async (env) => { const form = new FormData(); form.append("a", "1"); form.append("f", new File(["file text"], "f.txt", { type: "text/plain" })); const r = await stub(env).fetch("http://x/form", { method: "POST", body: form }); return r.json(); },
  "repeated headers": (env) => { const headers = new Headers(); headers.append("x-a", "1"); headers.append("x-a", "2"); return mirror(env, { headers }); },
  "a request object passed on": async (env) => (await stub(env).fetch(new Request("http://y/mirror", { method: "PATCH", body: "p" }))).json(),
  "a request and new options": async (env) => (await stub(env).fetch(new Request("http://y/mirror", { method: "POST", body: "old" }), { method: "PUT", body: "new" })).json(),
  "a relative URL": (env) => caughtAsync(() => stub(env).fetch("/mirror")),
  "status and status text": async (env) => { const r = await stub(env).fetch("http://x/teapot"); return [r.status, r.statusText, r.ok]; },
  "status 204": async (env) => { const r = await stub(env).fetch("http://x/204"); return [r.status, r.body, await r.text()]; },
  "status 304": async (env) => { const r = await stub(env).fetch("http://x/304"); return [r.status, r.headers.get("etag")]; },
  "HEAD": async (env) => { const r = await stub(env).fetch("http://x/long", { method: "HEAD" }); return [r.status, await r.text()]; },
  "several set-cookie": async (env) => { const r = await stub(env).fetch("http://x/cookies"); return [r.headers.getSetCookie(), r.headers.get("set-cookie")]; },
  "a streamed answer": (env) => text(env, "/stream"),
  "a streamed answer, chunk by chunk": async (env) => { const r = await stub(env).fetch("http://x/stream"); let all = ""; for await (const chunk of r.body) all += new TextDecoder().decode(chunk); return all; },
  "a streamed answer that breaks": async (env) => { const r = await stub(env).fetch("http://x/broken"); const e = await caughtAsync(() => r.text()); return e instanceof Error; },
  "an answer through a TransformStream": (env) => text(env, "/transform"),
  "an answer of 1 MB": async (env) => (await text(env, "/megabyte"))[1].length,
  "an upload of 1 MB": async (env) => (await text(env, "/length", { method: "POST", body: "x".repeat(1_000_000) })),
  "an upload that the object never reads": (env) => text(env, "/ignore", { method: "POST", body: "x".repeat(100_000) }),
  "an upload piped back": (env) => text(env, "/pipe", { method: "POST", body: stream("a", "b", "c") }),
  "the answer's body may be cancelled": async (env) => { const r = await stub(env).fetch("http://x/endless"); const reader = r.body.getReader(); const { value } = await reader.read(); await reader.cancel(); return value.byteLength > 0; },
  "the object learns of the cancelled answer": async (env) => { const r = await stub(env, "cancel").fetch("http://x/endless"); const reader = r.body.getReader(); await reader.read(); await reader.cancel("enough"); return stub(env, "cancel").cancelled(); },
  "redirects are followed": async (env) => { const r = await stub(env).fetch("http://x/redirect"); return [r.status, r.redirected, r.url, await r.text()]; },
  "redirect: manual": async (env) => { const r = await stub(env).fetch("http://x/redirect", { redirect: "manual" }); return [r.status, r.headers.get("location")]; },
  "redirect: error": (env) => caughtAsync(async () => (await stub(env).fetch("http://x/redirect", { redirect: "error" })).status),
  "a 303 after a POST becomes a GET": async (env) => (await stub(env).fetch("http://x/see-other", { method: "POST", body: "x" })).json(),
  "a 307 keeps method and body": async (env) => (await stub(env).fetch("http://x/temporary", { method: "POST", body: "kept" })).json(),
  "a redirect loop": async (env) => { const e = await caughtAsync(async () => (await stub(env).fetch("http://x/loop")).status); return e instanceof Error ? e.message : e; },
  "an aborted fetch": async (env) => { const controller = new AbortController(); const going = caughtAsync(() => stub(env).fetch("http://x/never", { signal: controller.signal })); controller.abort(); return going; },
  "an already aborted signal": (env) => caughtAsync(() => stub(env).fetch("http://x/mirror", { signal: AbortSignal.abort(new RangeError("why")) })),
  "a handler that throws": (env) => caughtAsync(async () => (await stub(env).fetch("http://x/throw")).status),
  "a handler that answers no Response": (env) => caughtAsync(async () => (await stub(env).fetch("http://x/nothing")).status),
  "a handler that answers text": (env) => caughtAsync(async () => (await stub(env).fetch("http://x/text")).status),
  "Response.json with init": async (env) => { const r = await stub(env).fetch("http://x/json"); return [r.status, r.headers.get("content-type"), await r.json()]; },
  "content-length of a whole body": async (env) => { const r = await stub(env).fetch("http://x/whole"); return [r.headers.get("content-length"), r.headers.get("content-type")]; },
  "the answer used twice": async (env) => { const r = await stub(env).fetch("http://x/whole"); await r.text(); return [r.bodyUsed, await caughtAsync(() => r.text())]; },
  "a clone of the answer": async (env) => { const r = await stub(env).fetch("http://x/whole"); const copy = r.clone(); return [await r.text(), await copy.text()]; },
  "headers of an answer from elsewhere are immutable": async (env) => { const r = await stub(env).fetch("http://x/whole"); return caughtAsync(() => r.headers.set("x", "y")); },
  "new Response(r.body, r) is mutable": async (env) => { const r = await stub(env).fetch("http://x/whole"); const copy = new Response(r.body, r); copy.headers.set("x-new", "1"); return [copy.status, copy.headers.get("x-new"), await copy.text()]; },
  "headers of the incoming request are immutable": (env, ctx, request) => caughtAsync(() => request.headers.set("x", "y")),
  "new Request(request) is mutable": (env, ctx, request) => { const copy = new Request(request); copy.headers.set("x-new", "1"); return copy.headers.get("x-new"); },
  "read the body twice": (env) => caughtAsync(async () => (await stub(env).fetch("http://x/twice", { method: "POST", body: "x" })).text()),
};

export class BodyObject extends CaseObject {
  wasCancelled = Promise.withResolvers();
  cancelled() { return this.wasCancelled.promise; }

  async fetch(request) {
    const url = new URL(request.url);
    const path = url.pathname.slice(1);
    const redirect = (status, location) => new Response(null, { status, headers: { location } });
    switch (path) {
      case "mirror": {
        const headers = [...request.headers].filter(([key]) => !["content-length", "transfer-encoding"].includes(key));
        return Response.json({ method: request.method, url: request.url, headers, body: await request.text(), hasBody: request.body !== null });
      }
      case "form": return Response.json(await Promise.all([...(await request.formData())].map(async ([key, value]) => [key, typeof value === "string" ? value : [value.name, value.type, await value.text()]])));
      case "teapot": return new Response("short and stout", { status: 418, statusText: "I am" });
      case "204": return new Response(null, { status: 204 });
      case "304": return new Response(null, { status: 304, headers: { etag: '"x"' } });
      case "long": return new Response("long body");
      case "cookies": return new Response("", { headers: [["set-cookie", "a=1"], ["set-cookie", "b=2; Path=/"]] });
      case "stream": return new Response(stream("first ", "second ", "third"));
      case "broken": return new Response(new ReadableStream({ start(c) { c.enqueue(new Uint8Array([65])); }, pull(c) { c.error(new Error("broke off")); } }));
      case "transform": return new Response(stream("lower ", "case").pipeThrough(new TransformStream({ transform(chunk, c) { c.enqueue(new TextEncoder().encode(new TextDecoder().decode(chunk).toUpperCase())); } })));
      case "megabyte": return new Response("y".repeat(1_000_000));
      case "length": return new Response(String((await request.arrayBuffer()).byteLength));
      case "ignore": return new Response("ignored");
      case "pipe": return new Response(request.body);
      case "endless": return new Response(new ReadableStream({ pull: (c) => { c.enqueue(new Uint8Array(1024)); }, cancel: () => this.wasCancelled.resolve("cancelled") }));
      case "redirect": return redirect(302, "/whole");
      case "see-other": return redirect(303, "/mirror");
      case "temporary": return redirect(307, "/mirror");
      case "loop": return redirect(302, "/loop");
      case "never": return new Promise(() => {});
      case "throw": throw new RangeError("thrown on purpose");
      case "nothing": return undefined;
      case "text": return "text";
      case "json": return Response.json({ a: 1 }, { status: 202 });
      case "whole": return new Response("whole");
      case "twice": await request.text(); return new Response(await request.text());
    }
    return new Response("no such path", { status: 404 });
  }
}

export default oracle({ outside });
