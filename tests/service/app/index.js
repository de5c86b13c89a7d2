// What the service's checks need besides an example: a request that takes its time, and a hungry agent. /NAME/OPERATION
import { DurableObject } from "cloudflare:workers";

const SLOW_MS = 1500, EATEN_BYTES = 90 * 2 ** 20;

export class Guest extends DurableObject {
  seen() {
    return this.ctx.storage.kv.get("seen") ?? 0;
  }

  see() {
    this.ctx.storage.kv.put("seen", this.seen() + 1);
  }

  async slow() {
    await this.env.GUEST.getByName("witness").see(); // so that one knows that this is under way
    await new Promise((done) => setTimeout(done, SLOW_MS));
    this.see();
    return "took its time";
  }

  eat() {
    this.eaten = new Uint8Array(EATEN_BYTES).fill(1);
    return "ate";
  }
}

export default {
  async fetch(request, env) {
    const [, name, operation] = new URL(request.url).pathname.split("/"), guest = env.GUEST.getByName(name || "nobody");
    switch (operation) {
      case "seen": return new Response(`${await guest.seen()}`);
      case "slow": return new Response(await guest.slow());
      case "eat": return new Response(await guest.eat());
    }
    return new Response("no such operation", { status: 404 });
  },
};
