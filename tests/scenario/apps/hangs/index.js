// Promises that nothing settles, in the entry and in an object, beside some that look alike and are settled.
import { DurableObject } from "cloudflare:workers";

const never = () => new Promise(() => {});

export class Waiter extends DurableObject {
  waiting = [];

  fetch(request) {
    if (new URL(request.url).pathname.endsWith("/release")) return Response.json(this.waiting.splice(0).map((settle) => settle(new Response("released"))).length);
    return new Promise((settle) => this.waiting.push(settle));
  }
}

export default {
  async fetch(request, env) {
    const { pathname } = new URL(request.url);
    switch (pathname) {
      case "/hang": return never();
      case "/hang-after-reading": await request.text(); return never();
      case "/hang-in-the-body": {
        const { readable, writable } = new TransformStream();
        writable.getWriter().write(new TextEncoder().encode("the beginning"));
        return new Response(readable);
      }
      case "/timer": return new Promise((settle) => setTimeout(() => settle(new Response("late")), 50));
      case "/microtasks": { let text = ""; for (let i = 0; i < 1000; i++) text += await "."; return new Response(text); }
      case "/object": case "/object/release": return env.WAITER.getByName("one").fetch(request);
    }
    return new Response("fine");
  },
};
