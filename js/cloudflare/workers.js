/*
 * The module "cloudflare:workers".
 */
import { DurableObject, RpcTarget, ServiceStub, WorkerEntrypoint, WorkflowEntrypoint } from "../core/base.js";
import { RpcStub } from "../core/capabilities.js";
import { waitUntil } from "../core/context.js";
import { currentEnv, currentExportsOverride, withEnv, withEnvAndExports, withExports } from "../core/env.js";
import { messageOf, notSupported } from "../core/errors.js";
import { appExports } from "../core/exports.js";
import { host, needAwake } from "../core/host.js";
import { RpcPromise, RpcProperty } from "../core/rpc.js";
import { tracing } from "./tracing.js";

/* An object that stands for another one, which depends on the async context. */
function standIn(current, isWritable) {
  const traps = {
    get: (_, name) => Reflect.get(current() ?? {}, name),
    has: (_, name) => Reflect.has(current() ?? {}, name),
    ownKeys: () => Reflect.ownKeys(current() ?? {}),
    getOwnPropertyDescriptor(_, name) {
      const slot = Reflect.getOwnPropertyDescriptor(current() ?? {}, name);
      if (slot !== undefined) slot.configurable = true;      /* a Proxy may not show others that its target lacks */
      return slot;
    },
  };
  if (isWritable) {
    traps.set = (_, name, value) => Reflect.set(current() ?? {}, name, value);
    traps.deleteProperty = (_, name) => Reflect.deleteProperty(current() ?? {}, name);
    traps.defineProperty = (_, name, slot) => Reflect.defineProperty(current() ?? {}, name, slot);
  } else {
    traps.set = () => false;
  }
  return new Proxy({}, traps);
}

const env = standIn(currentEnv, true);
const exports = standIn(() => currentExportsOverride() ?? appExports(), false);
const cache = standIn(() => undefined, false);

function moduleWaitUntil(promise) {
  needAwake();
  waitUntil(promise);
}
Object.defineProperty(moduleWaitUntil, "name", { value: "waitUntil" });

function restore() {
  throw notSupported("restore()");
}

function abortIsolate(reason) {
  host.abort(reason === undefined ? "The isolate was aborted." : messageOf(reason), true);
}

export {
  abortIsolate, cache, DurableObject, env, exports, restore, RpcPromise, RpcProperty, RpcStub, RpcTarget, ServiceStub, tracing,
  moduleWaitUntil as waitUntil, withEnv, withEnvAndExports, withExports, WorkerEntrypoint, WorkflowEntrypoint,
};
