/*
 * event_source: EventSource (HTML standard, 9.2) over the global fetch(), and workerd's EventSource.from(stream).
 *
 * Promise: lines are split whatever way the bytes are cut; a lost connection is opened again after the server's `retry` with the last
 * event id; an answer that is no event stream ends it.
 */
import { defineHandler, Event, EventTarget, MessageEvent } from "./event.js";
import { ReadableStream, readerOf } from "./streams.js";
import { TextDecoder } from "./encoding.js";
import { clearTimeout, startTimer } from "./timers.js";
import { constants, finish } from "./util.js";

const CONNECTING = 0, OPEN = 1, CLOSED = 2;
const RETRY_MS = 2000;
const LINE_MAX = 16 * 1024 * 1024; /* characters of one event: what comes from outside is bounded */
const MADE = Symbol("made");

export class EventSource extends EventTarget {
  #url;
  #fetcher;
  #state = CONNECTING;
  #retryMs = RETRY_MS;
  #lastId = "";
  #controller = null;
  #timer = null;
  #fields = { type: "", data: "", hasData: false };

  constructor(url, init) {
    super();
    if (url === MADE) {
      this.#url = "";
      return;
    }
    if (init?.withCredentials) throw new DOMException("The init.withCredentials option is not supported. It must be false or undefined.", "NotSupportedError");
    try {
      this.#url = new URL(`${url}`).href;
    } catch {
      throw new DOMException(`Cannot open an EventSource to '${url}'. The URL is invalid.`, "SyntaxError");
    }
    this.#fetcher = init?.fetcher;
    this.#connect();
  }

  /* The events of a stream of bytes, without a connection of its own. */
  static from(stream) {
    if (!(stream instanceof ReadableStream)) throw new TypeError("Failed to execute 'from' on 'EventSource': parameter 1 is not of type 'ReadableStream'.");
    const source = new EventSource(MADE);
    source.#run(stream).then(() => source.#end(), () => source.#end());
    return source;
  }

  get url() {
    return this.#url;
  }
  get withCredentials() {
    return false;
  }
  get readyState() {
    return this.#state;
  }

  close() {
    this.#state = CLOSED;
    this.#controller?.abort();
    if (this.#timer !== null) clearTimeout(this.#timer);
  }

  async #connect() {
    const headers = { accept: "text/event-stream", "cache-control": "no-cache" };
    if (this.#lastId !== "") headers["last-event-id"] = this.#lastId;
    this.#controller = new AbortController();
    try {
      const init = { headers, signal: this.#controller.signal };
      const response = await (this.#fetcher === undefined ? globalThis.fetch(this.#url, init) : this.#fetcher.fetch(this.#url, init));
      if (this.#state === CLOSED) return;
      if (response.status === 204) {
        this.#end();
        return;
      }
      if (!response.ok || !/^text\/event-stream(?:;|$)/i.test(response.headers.get("content-type") ?? "")) {
        await response.body?.cancel();
        this.#end();
        return;
      }
      if (response.body !== null) await this.#run(response.body);
    } catch {
      /* Lost: what the standard calls reestablishing the connection follows. */
    }
    this.#again();
  }

  #again() {
    if (this.#state === CLOSED) return;
    this.#state = CONNECTING;
    this.dispatchEvent(new Event("error"));
    if (this.#state !== CLOSED) this.#timer = startTimer(() => this.#connect(), this.#retryMs);
  }

  #end() {
    if (this.#state === CLOSED) return;
    this.#state = CLOSED;
    this.dispatchEvent(new Event("error"));
  }

  async #run(stream) {
    this.#state = OPEN;
    this.dispatchEvent(new Event("open"));
    const reader = readerOf(stream);
    const decoder = new TextDecoder();
    let rest = "";
    this.#fields = { type: "", data: "", hasData: false };
    while (this.#state === OPEN) {
      const { value, done } = await reader.read();
      if (done) return;
      rest = this.#lines(rest + decoder.decode(value, { stream: true }));
      if (rest.length + this.#fields.data.length > LINE_MAX) throw new Error("an event is too long");
    }
    await reader.cancel();
  }

  /* Handles the whole lines of TEXT; returns what follows the last one. A CR at the end may be half of a CRLF. */
  #lines(text) {
    const lines = text.split(/\r\n|\n|\r(?!$)/);
    const rest = lines.pop();
    for (const line of lines) if (this.#state === OPEN) this.#line(line);
    return rest;
  }

  #line(line) {
    const fields = this.#fields;
    if (line === "") {
      this.#dispatch();
      return;
    }
    const colon = line.indexOf(":");
    if (colon === 0) return;
    const name = colon === -1 ? line : line.slice(0, colon);
    const value = colon === -1 ? "" : line.slice(line[colon + 1] === " " ? colon + 2 : colon + 1);
    if (name === "data") {
      fields.data += fields.hasData ? `\n${value}` : value;
      fields.hasData = true;
    } else if (name === "event") fields.type = value;
    else if (name === "id" && !value.includes("\0")) this.#lastId = value;
    else if (name === "retry" && /^\d+$/.test(value)) this.#retryMs = Number(value);
  }

  #dispatch() {
    const { type, data, hasData } = this.#fields;
    this.#fields = { type: "", data: "", hasData: false };
    if (!hasData) return;
    const origin = this.#url === "" ? "" : new URL(this.#url).origin;
    this.dispatchEvent(new MessageEvent(type === "" ? "message" : type, { data, lastEventId: this.#lastId, origin }));
  }
}
finish(EventSource, "EventSource", 1);
constants(EventSource, { CONNECTING, OPEN, CLOSED });
for (const name of ["open", "message", "error"]) defineHandler(EventSource, name);
