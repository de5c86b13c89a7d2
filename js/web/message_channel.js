/*
 * message_channel: MessageChannel and MessagePort (HTML standard) within one heap.
 *
 * A message is cloned when it is sent and delivered in a later job, in the async context of the sender.
 */
import { host } from "../core/host.js";
import { defineHandler, EventTarget, MessageEvent } from "./event.js";
import { finish } from "./util.js";

const MADE = Symbol("made");
let internals;

export class MessagePort extends EventTarget {
  #other = null;
  #queue = [];
  #isStarted = false;
  #isClosed = false;

  constructor(made) {
    if (made !== MADE) throw new TypeError("Illegal constructor");
    super();
  }

  postMessage(message, options) {
    const transfer = Array.isArray(options) ? options : options?.transfer;
    const data = host.clone(message, transfer === undefined ? undefined : [...transfer]);
    const target = this.#other;
    if (this.#isClosed || target === null || target.#isClosed) return;
    target.#queue.push(data);
    target.#schedule();
  }

  start() {
    this.#isStarted = true;
    this.#schedule();
  }

  close() {
    this.#isClosed = true;
    this.#queue = [];
  }

  #schedule() {
    if (this.#isStarted && this.#queue.length > 0) host.microtask(() => this.#deliver());
  }

  #deliver() {
    if (this.#isClosed || this.#queue.length === 0) return;
    this.dispatchEvent(new MessageEvent("message", { data: this.#queue.shift() }));
  }

  static {
    internals = {
      join: (a, b) => {
        a.#other = b;
        b.#other = a;
      },
    };
  }
}
finish(MessagePort, "MessagePort", 0);
defineHandler(MessagePort, "message");
defineHandler(MessagePort, "messageerror");

/* Setting onmessage starts the port, unlike addEventListener. */
const handler = Object.getOwnPropertyDescriptor(MessagePort.prototype, "onmessage");
Object.defineProperty(MessagePort.prototype, "onmessage", {
  ...handler,
  set(value) {
    handler.set.call(this, value);
    this.start();
  },
});

export class MessageChannel {
  #ports;
  constructor() {
    this.#ports = [new MessagePort(MADE), new MessagePort(MADE)];
    internals.join(...this.#ports);
  }
  get port1() {
    return this.#ports[0];
  }
  get port2() {
    return this.#ports[1];
  }
}
finish(MessageChannel, "MessageChannel", 0);
