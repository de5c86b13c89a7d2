/*
 * The runtime library: what every heap is made of before the app's bundle is evaluated.
 *
 * Bundled to one classic script, build/js/runtime.js (tools/js.mk); see docs/host-interface.md.
 */
import { cloudflareModules } from "./cloudflare/index.js";
import { dispatch } from "./core/dispatch.js";
import { fetch } from "./core/fetch.js";
import { host } from "./core/host.js";
import { WebSocket, WebSocketPair, WebSocketRequestResponsePair } from "./core/websocket.js";
import { modules as nodeModules, nodeGlobals } from "./node/index.js";
import { installWeb } from "./web/index.js";

/* The engine may lack the symbols of explicit resource management; libraries look for them. */
for (const name of ["dispose", "asyncDispose"]) {
  if (typeof Symbol[name] !== "symbol") Object.defineProperty(Symbol, name, { value: Symbol(`Symbol.${name}`) });
}

/* The bundler renames classes whose names it meets twice; libraries look at constructor.name. */
function keepName(name, value) {
  if (typeof value === "function" && /^[A-Z]/.test(name) && value.name !== name) Object.defineProperty(value, "name", { value: name, configurable: true });
}

installWeb(host, { ...nodeGlobals, fetch, WebSocket, WebSocketPair, WebSocketRequestResponsePair });
for (const name of Object.getOwnPropertyNames(globalThis)) {
  const slot = Object.getOwnPropertyDescriptor(globalThis, name);
  if (slot.value !== undefined) keepName(name, slot.value);
}
for (const module of Object.values(cloudflareModules)) for (const name of Object.keys(module)) keepName(name, module[name]);
/* Modules of Node.js are made when they are first imported: their getters are passed on. */
host.install(dispatch, Object.defineProperties({ ...cloudflareModules }, Object.getOwnPropertyDescriptors(nodeModules)));
