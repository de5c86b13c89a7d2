/*
 * world-entry: what is bundled for a test world: the web platform, the Node modules, and hooks for the tests.
 */
import { host, phase } from "../../js/core/host.js";
import * as web from "../../js/web/index.js";
import { nodeGlobals, modules } from "../../js/node/index.js";

web.installWeb(host, nodeGlobals);
Object.assign(globalThis.__world, { host, phase, web, modules, onTimer: web.onTimer });
