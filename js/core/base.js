/*
 * base: the classes an app extends. They only keep what they are given; dispatch looks at instances.
 */
import { badConstructor, illegalConstructor } from "./errors.js";

/* Gives KLASS the name that apps see, whatever the bundler called it, and its instances the tag. */
export function named(klass, name, tag = name) {
  Object.defineProperty(klass, "name", { value: name, configurable: true });
  Object.defineProperty(klass.prototype, Symbol.toStringTag, { value: tag, configurable: true });
}

/* Marks what may be handed to a DurableObject's constructor; set by state.js on its class. */
export const STATE = Symbol("state");

export class DurableObject {
  constructor(ctx, env) {
    if (typeof ctx !== "object" || ctx === null || ctx[STATE] !== true) throw badConstructor("DurableObjectBase", 1, "DurableObjectState");
    this.ctx = ctx;
    this.env = env;
  }
}

export class WorkerEntrypoint {
  constructor(ctx, env) {
    if (typeof ctx !== "object" || ctx === null) throw badConstructor("WorkerEntrypoint", 1, "Object");
    this.ctx = ctx;
    this.env = env;
  }
}

export class WorkflowEntrypoint {
  constructor(ctx, env) {
    if (typeof ctx !== "object" || ctx === null) throw badConstructor("WorkflowEntrypoint", 1, "Object");
    this.ctx = ctx;
    this.env = env;
  }
}

export class RpcTarget {}

/* Service stubs are given by the platform, never made. */
export class ServiceStub {
  constructor() {
    throw illegalConstructor();
  }
}

for (const [klass, name] of [[DurableObject, "DurableObject"], [WorkerEntrypoint, "WorkerEntrypoint"], [WorkflowEntrypoint, "WorkflowEntrypoint"],
  [RpcTarget, "RpcTarget"], [ServiceStub, "ServiceStub"]])
  Object.defineProperty(klass, "name", { value: name, configurable: true });
