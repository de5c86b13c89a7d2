/*
 * entry: the app's default export: fetch, scheduled, email; one context per event.
 */
import { WorkerEntrypoint, named } from "./base.js";
import { waitUntil } from "./context.js";
import { EmailMessage } from "../cloudflare/email.js";
import { currentEnv, settings, setUp } from "./env.js";
import { logUncaught, messageOf, notSupported, stackOf } from "./errors.js";
import { appExports, setContextMaker } from "./exports.js";
import { answer, incoming, runFetch } from "./handlers.js";
import { host } from "./host.js";
import { breakReply, forget } from "./calls.js";
import { Headers, ReadableStream } from "../web/index.js";

const HUNG_TEXT = "The Workers runtime canceled this request because it detected that your Worker's code had hung and would never " +
  "generate a response. Refer to: https://developers.cloudflare.com/workers/observability/errors/";
const RETRY_AFTER_S = 1;                   /* a worker or agent is back within this time, as a rule */

export class ExecutionContext {
  constructor(props) {
    this.props = props;
  }

  get exports() {
    return appExports();
  }

  waitUntil(promise) {
    waitUntil(promise);
  }

  passThroughOnException() {}

  abort(reason) {
    host.abort(reason === undefined ? "Execution context aborted." : messageOf(reason), true);
  }
}
named(ExecutionContext, "ExecutionContext");

setContextMaker((props) => new ExecutionContext(props));

let main;                                  /* default export: class or object */
let isClass = false;

export function bootEntry(envJson, compatJson) {
  setUp(envJson, compatJson);
  main = host.exports().default;
  isClass = typeof main === "function" && main.prototype instanceof WorkerEntrypoint;
}

function target(ctx) {
  return isClass ? new main(ctx, currentEnv()) : main;
}

export function onEntry(call, method, url, headers, mode, body, cf, upgrade) {
  let result;
  try {
    const ctx = new ExecutionContext({});
    result = runFetch(target(ctx), incoming(call, method, url, headers, mode, body, cf), currentEnv(), ctx, isClass);
  } catch (error) {
    failEntry(call, error);
    return;
  }
  answer(call, result, upgrade, failEntry);
}

/* What nobody in the app caught: a page for the developer, a plain sentence for everybody else. */
function failEntry(call, error) {
  forget(call);
  logUncaught(error);
  const isPlatform = error?.remote !== true && (error?.retryable === true || error?.overloaded === true);
  const status = isPlatform ? 503 : 500;
  const text = settings.isDev ? stackOf(error) : isPlatform ? "Service Unavailable" : "Internal Server Error";
  const headers = "content-type\ntext/plain;charset=UTF-8\n" + (isPlatform ? `retry-after\n${RETRY_AFTER_S}\n` : "");
  host.reply(call, status, "", headers, 1, text, 0);
}

/* Nothing is pending that could end this call (the text is workerd's). */
export function onHung(call) {
  const error = new Error(HUNG_TEXT);
  if (breakReply(call, error)) logUncaught(error);
  else failEntry(call, error);
}

/* Runs HANDLER; the host hears when it has settled. */
function runEvent(call, name, run) {
  const finish = (outcome) => host.done(call, outcome);
  let result;
  try {
    result = run();
  } catch (error) {
    logUncaught(error, name);
    finish(1);
    return;
  }
  Promise.resolve(result).then(() => finish(0), (error) => {
    logUncaught(error, name);
    finish(1);
  });
}

class ScheduledController {
  constructor(cron, scheduledTime) {
    this.cron = cron;
    this.scheduledTime = scheduledTime;
  }

  noRetry() {}
}

export function onScheduled(call, cron, scheduledTime) {
  runEvent(call, "scheduled", () => {
    const ctx = new ExecutionContext({});
    const handler = target(ctx);
    if (typeof handler?.scheduled !== "function") throw new Error("Handler does not export a scheduled() function");
    const controller = new ScheduledController(cron, scheduledTime);
    return isClass ? handler.scheduled(controller) : handler.scheduled(controller, currentEnv(), ctx);
  });
}

/* The message an email() handler gets; sending on and answering need an outbound mail service. */
class ForwardableEmailMessage extends EmailMessage {
  constructor(meta, bytes) {
    super(meta.from, meta.to, bytes);
    this.headers = new Headers(meta.headers ?? []);
    this.rawSize = bytes.byteLength;
    const raw = new Uint8Array(bytes);
    Object.defineProperty(this, "raw", {
      enumerable: true,
      value: new ReadableStream({
        type: "bytes",
        start(controller) {
          if (raw.byteLength) controller.enqueue(raw);
          controller.close();
        },
      }),
    });
    this.rejectReason = undefined;
  }

  setReject(reason) {
    this.rejectReason = `${reason}`;
  }

  forward() {
    return Promise.reject(notSupported("forward() of an email"));
  }

  reply() {
    return Promise.reject(notSupported("reply() to an email"));
  }
}

export function onEmail(call, metaJson, bytes) {
  runEvent(call, "email", async () => {
    const ctx = new ExecutionContext({});
    const handler = target(ctx);
    if (typeof handler?.email !== "function") throw new Error("Handler does not export an email() function");
    const message = new ForwardableEmailMessage(JSON.parse(metaJson || "{}"), bytes);
    await (isClass ? handler.email(message) : handler.email(message, currentEnv(), ctx));
    if (message.rejectReason !== undefined) throw new Error(`rejected: ${message.rejectReason}`);
  });
}
