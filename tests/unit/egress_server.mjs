// egress_server: what egress talks to in egress_room_test: HTTP and WebSocket on loopback, without npm. Prints its port; ends with stdin.
import { createServer } from "node:http";
import { createHash } from "node:crypto";
import { gzipSync, brotliCompressSync, deflateSync } from "node:zlib";

const echo = (req, res) => {
  const parts = [];
  req.on("data", (part) => parts.push(part));
  req.on("end", () => {
    const body = Buffer.concat(parts);
    res.setHeader("content-type", "application/json");
    res.end(JSON.stringify({ method: req.method, url: req.url, raw: req.rawHeaders, length: body.length,
      sha1: createHash("sha1").update(body).digest("hex"), port: req.socket.remotePort }));
  });
  req.on("error", () => {});
};

const encodings = { gzip: gzipSync, br: brotliCompressSync, deflate: deflateSync };
let broken = 0; // how many requests saw their body break off

const routes = {
  "/hello": (req, res) => {
    res.writeHead(200, "Fine", [["X-One", "1"], ["Set-Cookie", "a=1"], ["Set-Cookie", "b=2"], ["X-Latin", "caf\xe9"], ["Content-Type", "text/plain"]].flat());
    res.end("hello");
  },
  "/echo": echo,
  "/empty": (req, res) => res.writeHead(204).end(),
  "/status/500": (req, res) => res.writeHead(500).end("oops"),
  "/large": (req, res) => {
    // 3 MiB whose bytes depend on their place; written as fast as the socket takes them
    const block = Buffer.alloc(65536);
    let at = 0;
    const more = () => {
      while (at < 48) {
        block.fill(at);
        if (!res.write(Buffer.from(block), undefined) && ++at < 48) return res.once("drain", more);
        else if (at < 48) at++;
      }
      res.end();
    };
    more();
  },
  "/stream": (req, res) => {
    res.writeHead(200);
    res.write("first");
    res.go = () => { res.write("second"); res.end(); };
    streams.push(res);
  },
  "/stream/go": (req, res) => { streams.splice(0).forEach((r) => r.go()); res.end("gone"); },
  "/break": (req, res) => { res.writeHead(200, { "content-length": "100" }); res.write("some", () => req.socket.destroy()); },
  "/drop": (req) => req.socket.destroy(),
  "/early": (req, res) => res.writeHead(413).end("too much"),
  // answers once per connection and then is gone, as a server that closes a connection while a request is on its way
  "/once": (req, res) => { if (req.socket.used) { req.resume(); req.on("end", () => req.socket.destroy()); } else { req.socket.used = true; echo(req, res); } },
  "/redirect": (req, res) => res.writeHead(302, { location: "/echo?from=redirect" }).end("elsewhere"),
  "/redirect307": (req, res) => res.writeHead(307, { location: "/echo?from=307" }).end(),
  "/loop": (req, res) => res.writeHead(302, { location: "/loop" }).end(),
  "/private": (req, res) => res.writeHead(302, { location: "http://127.0.0.2:1/" }).end(),
  "/silent": (req) => req.resume(),
  "/hang": (req) => { req.on("close", () => { hung++; waiting.splice(0).forEach((f) => f()); }); req.resume(); },
  "/hung": (req, res) => { const done = () => res.end(String(hung)); if (hung > 0) done(); else waiting.push(done); },
  "/broken": (req, res) => { req.resume(); req.on("error", () => {}); req.on("close", () => { if (!req.complete) { broken++; waiting.splice(0).forEach((f) => f()); } }); },
  "/brokens": (req, res) => { const done = () => res.end(String(broken)); if (broken > 0) done(); else waiting.push(done); },
  "/many-headers": (req, res) => { const h = []; for (let i = 0; i < 200; i++) h.push(`x-${i}`, "v".repeat(1000)); req.socket.end(`HTTP/1.1 200 OK\r\n${h.map((v, i) => i % 2 ? `${v}\r\n` : `${v}: `).join("")}\r\n`); },
};
for (const name of Object.keys(encodings)) {
  routes[`/${name}`] = (req, res) => {
    const body = encodings[name](Buffer.from("compressed ".repeat(1000)));
    res.writeHead(200, { "content-encoding": name, "content-length": body.length, "x-asked": req.headers["accept-encoding"] ?? "" }).end(body);
  };
}
const streams = [];
const waiting = [];
let hung = 0;

const server = createServer((req, res) => {
  const route = routes[req.url.split("?")[0]];
  if (route === undefined) res.writeHead(404).end("nothing here");
  else route(req, res);
});

// ---- WebSocket: /ws echoes; text commands do more

const frame = (opcode, data, fin = true) => {
  const body = Buffer.from(data);
  const head = body.length < 126 ? Buffer.from([0, body.length])
    : body.length < 65536 ? Buffer.from([0, 126, body.length >> 8, body.length & 255])
      : Buffer.concat([Buffer.from([0, 127, 0, 0, 0, 0]), Buffer.from([body.length >>> 24, body.length >> 16 & 255, body.length >> 8 & 255, body.length & 255])]);
  head[0] = (fin ? 0x80 : 0) | opcode;
  return Buffer.concat([head, body]);
};
const closeFrame = (code, reason) => frame(8, Buffer.concat([Buffer.from([code >> 8, code & 255]), Buffer.from(reason)]));

function onFrame(socket, opcode, fin, body) {
  if (opcode === 8) return socket.end(frame(8, body));
  if (opcode === 10) return socket.write(frame(1, `pong ${body}`));
  const text = opcode === 1 ? body.toString() : "";
  if (text === "close me") return socket.write(closeFrame(4001, "as you wish"));
  if (text === "drop me") return socket.destroy();
  if (text === "bad frame") return socket.write(Buffer.from([0xf1, 0]));
  if (text === "bad text") return socket.write(frame(1, Buffer.from([0xff])));
  if (text === "ping me") return socket.write(frame(9, "are you there"));
  if (text === "pieces") return socket.write(Buffer.concat([frame(1, "one ", false), frame(9, "between"), frame(0, "two ", false), frame(0, "three")]));
  if (text === "large") return socket.write(frame(2, Buffer.alloc(200000, 7)));
  if (text === "endless") { // fragments of one message, as fast as they are taken
    const part = Buffer.alloc(1 << 20, 65);
    const more = () => { while (!socket.destroyed && socket.write(frame(0, part, false))); socket.once("drain", more); };
    socket.write(frame(1, "start", false));
    return more();
  }
  if (text === "flood") { for (let i = 0; i < 100; i++) socket.write(frame(2, Buffer.alloc(60000, i))); return undefined; }
  return socket.write(frame(opcode, body));
}

server.on("upgrade", (req, socket, head) => {
  socket.on("error", () => {});
  if (!req.url.startsWith("/ws")) return socket.end("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello");
  if (req.url === "/ws/refuse") return socket.end("HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\nX-Why: tired\r\n\r\nno");
  if (req.url === "/ws/wrong") return socket.end("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n\r\n");
  const accept = createHash("sha1").update(req.headers["sec-websocket-key"] + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest("base64");
  const protocol = req.headers["sec-websocket-protocol"];
  socket.write(`HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n` +
    (protocol ? `Sec-WebSocket-Protocol: ${protocol.split(",")[0].trim()}\r\n` : "") + "\r\n");
  if (req.url === "/ws/greet") socket.write(frame(1, `hello ${req.headers["x-who"]} at ${req.headers.host.split(":")[0]}`));
  let held = head;
  socket.on("data", (data) => {
    held = Buffer.concat([held, data]);
    for (;;) {
      if (held.length < 2) return;
      if (!(held[1] & 0x80)) return socket.destroy(new Error("not masked"));
      let len = held[1] & 0x7f;
      let at = 2;
      if (len === 126) { if (held.length < 4) return; len = held.readUInt16BE(2); at = 4; }
      else if (len === 127) { if (held.length < 10) return; len = held.readUInt32BE(6); at = 10; }
      if (held.length < at + 4 + len) return;
      const mask = held.subarray(at, at + 4);
      const body = Buffer.from(held.subarray(at + 4, at + 4 + len));
      for (let i = 0; i < len; i++) body[i] ^= mask[i & 3];
      const [first] = held;
      held = held.subarray(at + 4 + len);
      onFrame(socket, first & 15, (first & 0x80) !== 0, body);
    }
  });
  return undefined;
});

server.keepAliveTimeout = 60000;
server.listen(0, "127.0.0.1", () => console.log(server.address().port));
process.stdin.on("end", () => process.exit(0)).resume();
