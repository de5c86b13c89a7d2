// An agent that calls out: POST /OPERATION with the JSON { url, … }; answers what it saw, or the error.
import { DurableObject } from "cloudflare:workers";

export class Caller extends DurableObject {
  async fetch(request) {
    const operation = new URL(request.url).pathname.slice(1);
    try {
      return Response.json({ saw: await this[`do_${operation}`](await request.json()) });
    } catch (error) {
      return Response.json({ name: error.name, message: error.message });
    }
  }

  async do_fetch({ url, init }) {
    const answer = await fetch(url, init);
    const { status, statusText, redirected } = answer;
    return { status, statusText, redirected, url: answer.url, headers: Object.fromEntries(answer.headers), text: await answer.text() };
  }

  async do_chunks({ url }) {
    const seen = [];
    for await (const chunk of (await fetch(url)).body.pipeThrough(new TextDecoderStream())) seen.push(chunk);
    return seen.join("|");
  }

  async do_upload({ url, chunks }) {
    const { readable, writable } = new TransformStream();
    const writer = writable.getWriter();
    const going = fetch(url, { method: "POST", body: readable });
    for (const chunk of chunks) await writer.write(new TextEncoder().encode(chunk));
    await writer.close();
    return (await going).text();
  }

  async do_abort({ url }) {
    const controller = new AbortController();
    const going = fetch(url, { signal: controller.signal });
    setTimeout(() => controller.abort(), 20);
    return (await going).status;
  }

  async do_parallel({ url, count }) {
    const answers = await Promise.all(Array.from({ length: count }, (_, i) => fetch(`${url}?${i}`).then((one) => one.text())));
    return answers.length;
  }

  async do_upgrade({ url }) {
    const answer = await fetch(url, { headers: { upgrade: "websocket" } });
    const socket = answer.webSocket;
    socket.accept();
    return this.talk(socket, answer.status);
  }

  async do_socket({ url }) {
    const socket = new WebSocket(url);
    await new Promise((resolve, reject) => { socket.addEventListener("open", resolve); socket.addEventListener("error", () => reject(new Error("no connection"))); });
    return this.talk(socket, socket.readyState);
  }

  async talk(socket, first) {
    const got = new Promise((resolve) => socket.addEventListener("message", ({ data }) => resolve(data)));
    const closed = new Promise((resolve) => socket.addEventListener("close", ({ code, reason }) => resolve([code, reason])));
    socket.send("hello");
    const message = await got;
    socket.send("close");
    return [first, message, await closed];
  }

  // The write is on disk before anything leaves.
  async do_writeFirst({ key, url }) {
    this.ctx.storage.kv.put(key, true);
    return (await fetch(url)).status;
  }
  do_written({ key }) { return this.ctx.storage.kv.get(key) ?? false; }
}

export default {
  fetch(request, env) {
    return env.CALLER.getByName("caller").fetch(request);
  },
};
