// The load of density.mjs, in a process of its own: raw HTTP and WebSocket clients over many connections, which cost a tenth of node's
// own. Takes { id, op, args } and answers { id, result } or { id, failure }; { id, progress } meanwhile. Latencies are in ms.
import { randomBytes } from "node:crypto";
import net from "node:net";
import { setTimeout as delay } from "node:timers/promises";

const LINES_MAX = 512;                    // connections of one load; further requests wait, and their latency counts the wait
const PER_ADDRESS = 10_000;               // connections from one address of 127.0.0.0/8: a port each
const PROGRESS_MS = 10_000;
const shared = Buffer.alloc(64 * 1024);   // what arrives is looked at before the next read

/* A connection that calls HEARD(bytes, length) with what arrives, and GONE(error) once. */
function connect(port, { localAddress, heard, gone }) {
  const socket = net.connect({ port, host: "127.0.0.1", localAddress, noDelay: true, onread: { buffer: shared, callback: (length, bytes) => { heard(bytes, length); return true; } } });
  let error;
  socket.on("error", (why) => { error = why; });
  socket.on("close", () => gone(error ?? new Error("closed")));
  return socket;
}

/* One keep-alive connection; ask(path) gives the status, 0 when it broke. One request at a time. */
class Line {
  constructor(port, localAddress) {
    this.text = "";
    this.isOpen = true;
    this.socket = connect(port, { localAddress, heard: (bytes, length) => this.heard(bytes.latin1Slice(0, length)), gone: () => { this.isOpen = false; this.end(0); } });
  }

  heard(text) {
    this.text += text;
    const head = this.text.indexOf("\r\n\r\n");
    if (head < 0) return;
    const length = /\r\ncontent-length: *(\d+)/i.exec(this.text);
    if (length && this.text.length < head + 4 + Number(length[1])) return;
    if (!length && !this.text.endsWith("0\r\n\r\n")) return;
    const status = Number(this.text.slice(9, 12));
    this.text = "";
    this.end(status);
  }

  end(status) {
    const done = this.done;
    this.done = null;
    done?.(status);
  }

  ask(path) {
    return new Promise((resolve) => {
      if (!this.isOpen) return resolve(0);
      this.done = resolve;
      this.socket.write(`GET ${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`);
    });
  }
}

const pathOf = (path, i) => path.replace("{i}", i);
const progressOf = (tell) => { let at = performance.now(); return (count) => { if (performance.now() - at > PROGRESS_MS) { at = performance.now(); tell(count); } }; };

const open = { lines: [], sockets: [], probe: null };

const OPS = {
  /* COUNT agents once each, INFLIGHT at a time, evenly within SECONDS or longer. */
  async touch({ port, path, count, inFlight, seconds = 0 }, tell) {
    const began = performance.now(), progress = progressOf(tell);
    let next = 0, failed = 0;
    await Promise.all(Array.from({ length: inFlight }, async () => {
      let line = new Line(port);
      while (next < count) {
        if (!line.isOpen) line = new Line(port);
        const i = next++, early = began + (i / count) * seconds * 1000 - performance.now();
        if (early > 0) await delay(early);
        failed += await line.ask(pathOf(path, i)) !== 200;
        progress(next);
      }
      line.socket.destroy();
    }));
    return { failed, seconds: (performance.now() - began) / 1000 };
  },

  /* PERSECOND requests for SECONDS, to one of AGENTS at random, whether or not the earlier ones were answered; latencies from when each was due. */
  async pace({ port, path, agents, perSecond, seconds }) {
    const idle = [], waiting = [], ms = [], asked = [];
    let lines = 0, failed = 0, sent = 0;
    const use = async (line, due) => {
      const status = await line.ask(pathOf(path, Math.floor(Math.random() * agents)));
      ms.push(performance.now() - due);
      failed += status !== 200;
      if (!line.isOpen) lines--;
      else if (waiting.length) await use(line, waiting.shift());
      else idle.push(line);
    };
    const began = performance.now(), all = perSecond * seconds, busy = process.cpuUsage();
    while (sent < all) {
      for (const due = Math.min(all, ((performance.now() - began) / 1000) * perSecond); sent < due; sent++) {
        const wanted = began + (sent / perSecond) * 1000, line = idle.pop();
        if (line || lines < LINES_MAX) asked.push(use(line ?? (lines++, new Line(port)), wanted));
        else waiting.push(wanted);
      }
      await delay(1);
    }
    const { user, system } = process.cpuUsage(busy), took = performance.now() - began;
    await Promise.all(asked);
    for (const line of idle) line.socket.destroy();
    return { ms, failed, lines, generator: (user + system) / 1000 / took };
  },

  /* COUNT connections, open before they are needed. */
  async lines({ port, count }) {
    while (open.lines.length < count) {
      const some = Array.from({ length: Math.min(100, count - open.lines.length) }, (_, i) => new Line(port, `127.0.0.${2 + Math.floor((open.lines.length + i) / PER_ADDRESS)}`));
      await Promise.all(some.map(({ socket }) => new Promise((resolve) => { socket.once("connect", resolve); socket.once("close", resolve); })));
      open.lines.push(...some);
    }
  },

  /* All lines ask agents of their own within SECONDS. */
  async storm({ path, seconds }) {
    const began = performance.now(), { lines } = open, asked = [], ms = [];
    while (asked.length < lines.length) {
      const due = Math.min(lines.length, Math.ceil(((performance.now() - began) / 1000 / seconds) * lines.length));
      while (asked.length < due) {
        const at = performance.now(), i = asked.length;
        asked.push(lines[i].ask(pathOf(path, i)).then((status) => { ms.push(performance.now() - at); return status; }));
      }
      await delay(1);
    }
    const failed = (await Promise.all(asked)).filter((status) => status !== 200).length;
    for (const { socket } of open.lines.splice(0)) socket.destroy();
    return { ms, failed, seconds: (performance.now() - began) / 1000 };
  },

  /* One agent is asked every EVERYMS from now on. */
  probe({ port, path, everyMs }) {
    const idle = [], ms = [], asked = [];
    let failed = 0;
    const timer = setInterval(() => {
      const line = idle.pop() ?? new Line(port), at = performance.now();
      asked.push(line.ask(path).then((status) => { ms.push(performance.now() - at); failed += status !== 200; if (line.isOpen) idle.push(line); }));
    }, everyMs);
    open.probe = async () => {
      clearInterval(timer);
      await Promise.all(asked);
      for (const line of idle) line.socket.destroy();
      return { ms, failed };
    };
  },

  probed: () => open.probe(),

  /* COUNT WebSockets to the agents FROM on, INFLIGHT handshakes at a time, from ADDRESS on. */
  async sockets({ port, path, from, count, inFlight, address }, tell) {
    const progress = progressOf(tell);
    let next = 0;
    await Promise.all(Array.from({ length: inFlight }, async () => {
      while (next < count) {
        const i = next++;
        await shake(port, pathOf(path, from + i), `127.0.${address}.${1 + Math.floor(i / PER_ADDRESS)}`);
        progress(next);
      }
    }));
  },

  /* PERSECOND of the sockets say something, for SECONDS, in an order that spreads over all; the echo's latency from when it was due. */
  async say({ perSecond, seconds }) {
    const began = performance.now(), all = Math.round(perSecond * seconds), ms = [], heard = [];
    let sent = 0;
    while (sent < all) {
      for (const due = Math.min(all, ((performance.now() - began) / 1000) * perSecond); sent < due; sent++) {
        const one = open.sockets[(sent * 7919) % open.sockets.length], wanted = began + (sent / perSecond) * 1000;
        heard.push(new Promise((resolve) => {
          one.heard = () => { one.heard = null; ms.push(performance.now() - wanted); resolve(); };
          one.gone = resolve;
        }));
        if (one.isLost) one.gone();
        one.socket.write(Buffer.from([0x81, 0x82, 0, 0, 0, 0, 0x68, 0x69]));   // "hi", masked with zeros
      }
      await delay(1);
    }
    await Promise.all(heard);
    return { ms, lost: open.sockets.filter(({ isLost }) => isLost).length };
  },

  closeSockets() { for (const { socket } of open.sockets.splice(0)) socket.destroy(); },
};

function shake(port, path, localAddress) {
  return new Promise((resolve, reject) => {
    const one = { heard: null, gone: null, isLost: false };
    one.heard = (bytes, length) => {
      if (bytes.latin1Slice(0, 12) !== "HTTP/1.1 101") return reject(new Error(`${path}: the upgrade was refused: ${bytes.latin1Slice(0, Math.min(length, 80))}`));
      one.heard = null;
      open.sockets.push(one);
      resolve();
    };
    one.socket = connect(port, {
      localAddress,
      heard: (bytes, length) => one.heard?.(bytes, length),
      gone: (why) => { one.isLost = true; one.gone?.(); reject(new Error(`${path} from ${localAddress}: ${why.message}`)); },
    });
    one.socket.write(`GET ${path} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ${randomBytes(16).toString("base64")}\r\n\r\n`);
  });
}

process.on("message", async ({ id, op, args }) => {
  try {
    process.send({ id, result: await OPS[op](args, (progress) => process.send({ id, progress })) });
  } catch (error) {
    process.send({ id, failure: error.message });
  }
});
process.on("disconnect", () => process.exit(0));
