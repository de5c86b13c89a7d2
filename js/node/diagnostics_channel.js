/*
 * node:diagnostics_channel: named channels within one heap. A subscriber that throws does not stop the publisher.
 */
import { reportException } from "../web/util.js";

const channels = new Map();

export class Channel {
  #subscribers = [];
  #stores = new Map();

  constructor(name) {
    this.name = name;
  }

  get hasSubscribers() {
    return this.#subscribers.length > 0 || this.#stores.size > 0;
  }

  subscribe(subscriber) {
    if (typeof subscriber !== "function") {
      const error = new TypeError('The "subscription" argument must be of type function.');
      error.code = "ERR_INVALID_ARG_TYPE";
      throw error;
    }
    this.#subscribers = [...this.#subscribers, subscriber];
  }

  unsubscribe(subscriber) {
    const at = this.#subscribers.indexOf(subscriber);
    if (at === -1) return false;
    this.#subscribers = this.#subscribers.filter((_, i) => i !== at);
    return true;
  }

  publish(message) {
    for (const subscriber of this.#subscribers) {
      try {
        subscriber(message, this.name);
      } catch (error) {
        reportException(error);
      }
    }
  }

  bindStore(store, transform) {
    this.#stores.set(store, transform);
  }
  unbindStore(store) {
    return this.#stores.delete(store);
  }

  runStores(message, fn, thisArg, ...args) {
    let run = () => {
      this.publish(message);
      return fn.apply(thisArg, args);
    };
    for (const [store, transform] of this.#stores) {
      const inner = run;
      run = () => {
        let value = message;
        try {
          if (transform !== undefined) value = transform(message);
        } catch (error) {
          reportException(error);
          return inner();
        }
        return store.run(value, inner);
      };
    }
    return run();
  }
}

export function channel(name) {
  if (typeof name !== "string" && typeof name !== "symbol") {
    const error = new TypeError('The "channel" argument must be of type string or symbol.');
    error.code = "ERR_INVALID_ARG_TYPE";
    throw error;
  }
  let found = channels.get(name);
  if (found === undefined) {
    found = new Channel(name);
    channels.set(name, found);
  }
  return found;
}

export const hasSubscribers = (name) => channels.get(name)?.hasSubscribers ?? false;
export const subscribe = (name, subscriber) => channel(name).subscribe(subscriber);
export const unsubscribe = (name, subscriber) => channel(name).unsubscribe(subscriber);

const EVENTS = ["start", "end", "asyncStart", "asyncEnd", "error"];

export class TracingChannel {
  constructor(nameOrChannels) {
    for (const event of EVENTS)
      this[event] = typeof nameOrChannels === "string" ? channel(`tracing:${nameOrChannels}:${event}`) : nameOrChannels[event];
  }

  get hasSubscribers() {
    return EVENTS.some((event) => this[event]?.hasSubscribers);
  }

  subscribe(handlers) {
    for (const event of EVENTS) if (handlers[event] !== undefined) this[event].subscribe(handlers[event]);
  }
  unsubscribe(handlers) {
    let isDone = true;
    for (const event of EVENTS) if (handlers[event] !== undefined && !this[event].unsubscribe(handlers[event])) isDone = false;
    return isDone;
  }

  traceSync(fn, context = {}, thisArg, ...args) {
    return this.start.runStores(context, () => {
      try {
        const result = fn.apply(thisArg, args);
        context.result = result;
        return result;
      } catch (error) {
        context.error = error;
        this.error.publish(context);
        throw error;
      } finally {
        this.end.publish(context);
      }
    });
  }

  tracePromise(fn, context = {}, thisArg, ...args) {
    const settle = (key, value) => {
      context[key] = value;
      if (key === "error") this.error.publish(context);
      this.asyncStart.publish(context);
      this.asyncEnd.publish(context);
    };
    return this.start.runStores(context, () => {
      try {
        return Promise.resolve(fn.apply(thisArg, args)).then((result) => {
          settle("result", result);
          return result;
        }, (error) => {
          settle("error", error);
          throw error;
        });
      } catch (error) {
        context.error = error;
        this.error.publish(context);
        throw error;
      } finally {
        this.end.publish(context);
      }
    });
  }

  traceCallback(fn, position = -1, context = {}, thisArg, ...args) {
    const at = position < 0 ? args.length + position : position;
    const callback = args[at];
    args[at] = (...results) => {
      if (results[0]) {
        context.error = results[0];
        this.error.publish(context);
      } else {
        context.result = results[1];
      }
      return this.asyncStart.runStores(context, () => {
        try {
          return callback?.(...results);
        } finally {
          this.asyncEnd.publish(context);
        }
      });
    };
    return this.traceSync(fn, context, thisArg, ...args);
  }
}
export const tracingChannel = (nameOrChannels) => new TracingChannel(nameOrChannels);

export default { Channel, channel, hasSubscribers, subscribe, tracingChannel, TracingChannel, unsubscribe };
