// A scripted model, in a process of its own: answers GET /?first_ms=&step_ms= with ten tokens, the first after first_ms. Prints its port.
import http from "node:http";

const TOKENS = 10;
const server = http.createServer((request, response) => {
  const query = new URL(request.url, "http://model").searchParams, stepMs = Number(query.get("step_ms"));
  let sent = 0, timer;
  const say = () => {
    response.write(`data: token ${sent}\n\n`);
    if (++sent === TOKENS) response.end();
    else timer = setTimeout(say, stepMs);
  };
  response.writeHead(200, { "content-type": "text/event-stream" });
  response.flushHeaders();
  timer = setTimeout(say, Number(query.get("first_ms")));
  response.on("close", () => clearTimeout(timer));
});
server.keepAliveTimeout = 1000;
server.listen({ port: 0, host: "127.0.0.1", backlog: 4096 }, () => console.log(server.address().port));
process.on("disconnect", () => process.exit(0));
