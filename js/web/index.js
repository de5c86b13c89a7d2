/*
 * index: the web platform of the runtime library; what js/core uses of it (js/core/web-contract.md).
 */
import { AbortController, AbortSignal } from "./abort.js";
import { atob, btoa } from "./base64.js";
import { Blob, File } from "./blob.js";
import { Cache, CacheStorage, makeCaches } from "./caches.js";
import { installCodegen } from "./codegen.js";
import { CompressionStream, DecompressionStream } from "./compression.js";
import { console, reportError } from "./console.js";
import { Crypto, makeCrypto } from "./crypto.js";
import { TextDecoder, TextDecoderStream, TextEncoder, TextEncoderStream } from "./encoding.js";
import {
  CloseEvent, CustomEvent, ErrorEvent, Event, EventTarget, ExtendableEvent, MessageEvent, PromiseRejectionEvent,
} from "./event.js";
import { FormData } from "./formdata.js";
import { EventSource } from "./event_source.js";
import { installErrors } from "./errors.js";
import { flatOf, Headers, headersFromFlat } from "./headers.js";
import { installIntl } from "./intl.js";
import { MessageChannel, MessagePort } from "./message_channel.js";
import { Navigator } from "./navigator.js";
import { Performance, PerformanceEntry, PerformanceMark, PerformanceMeasure } from "./performance.js";
import { makeRequest, Request } from "./request.js";
import { makeResponse, Response, setSocketClass } from "./response.js";
import { installStreams } from "./streams.js";
import { CryptoKey, SubtleCrypto } from "./subtle.js";
import { clearTimeout, Scheduler, setImmediate, setInterval, setTimeout } from "./timers.js";
import { URL } from "./url.js";
import { URLPattern } from "./urlpattern.js";
import { URLSearchParams } from "./urlsearchparams.js";
import { hidden } from "./util.js";
import { WebAssembly } from "./wasm.js";

const CLASSES = {
  AbortController, AbortSignal, Blob, Cache, CacheStorage, CloseEvent, CompressionStream, Crypto, CryptoKey, CustomEvent,
  DecompressionStream, ErrorEvent, Event, EventSource, EventTarget, ExtendableEvent, File, FormData, Headers, MessageChannel, MessageEvent, MessagePort, Navigator, Performance,
  PerformanceEntry, PerformanceMark, PerformanceMeasure, PromiseRejectionEvent, Request, Response, Scheduler, SubtleCrypto, TextDecoder,
  TextDecoderStream, TextEncoder, TextEncoderStream, URL, URLPattern, URLSearchParams, WebAssembly,
};

const FUNCTIONS = {
  atob, btoa, clearImmediate: clearTimeout, clearInterval: clearTimeout, clearTimeout, reportError, setImmediate, setInterval, setTimeout,
};

/* queueMicrotask and structuredClone, with the platform's texts around the host's natives. */
function natives(host) {
  return {
    queueMicrotask(callback) {
      if (typeof callback !== "function")
        throw new TypeError("Failed to execute 'queueMicrotask' on 'ServiceWorkerGlobalScope': parameter 1 is not of type 'function'.");
      host.microtask(() => {
        try {
          callback();
        } catch (error) {
          reportError(error);
        }
      });
    },
    structuredClone(value, options) {
      if (arguments.length === 0)
        throw new TypeError("Failed to execute 'structuredClone' on 'ServiceWorkerGlobalScope': parameter 1 is not of type 'Value'.");
      return host.clone(value, options?.transfer === undefined ? undefined : [...options.transfer]);
    },
  };
}

/* The global scope as an EventTarget: js/core dispatches unhandledrejection to it. */
const scope = new EventTarget();
const SCOPE = {
  addEventListener: (type, listener, options) => scope.addEventListener(type, listener, options),
  removeEventListener: (type, listener, options) => scope.removeEventListener(type, listener, options),
  dispatchEvent: (event) => scope.dispatchEvent(event),
};

/* Defines every global of the web platform, and those of EXTRA (js/core: fetch, WebSocket, …) in the same way. */
export function installWeb(host, extra = {}) {
  const target = globalThis;
  const objects = {
    Cloudflare: { compatibilityFlags: { nodejs_compat: true, nodejs_compat_v2: true } }, caches: makeCaches(), console, crypto: makeCrypto(), global: target, navigator: new Navigator(), origin: "null",
    performance: new Performance(), scheduler: new Scheduler(), self: target,
  };
  installStreams(target);
  for (const name of Object.keys(FUNCTIONS))
    if (!name.startsWith("clear")) Object.defineProperty(FUNCTIONS[name], "name", { value: name, configurable: true });
  for (const table of [CLASSES, FUNCTIONS, SCOPE, natives(host), objects, extra])
    for (const name of Object.keys(table)) hidden(target, name, table[name]);
  if (extra.WebSocket !== undefined) setSocketClass(extra.WebSocket);
  Object.defineProperty(target, Symbol.toStringTag, { value: "ServiceWorkerGlobalScope", configurable: true });
  installCodegen(target);
  installErrors();
  installIntl(target);
  /* The engine's own generator lives in the heap: copied from a template, all agents would draw the same numbers. */
  if (typeof host.rand === "function") {
    Object.defineProperty(host.rand, "name", { value: "random", configurable: true });
    hidden(Math, "random", host.rand);
  }
}

/* The engine's own class, for js/core. */
const { DOMException } = globalThis;

export { followerCount, onAbort } from "./abort.js";
export { bodyMode, flatOfMessage, sourceOf, takeBody } from "./body.js";
export { errorTitle, format, inspect } from "./inspect.js";
export { defineHandler, listenerCount } from "./event.js";
export { cfTextOf, isRequest, lazySignal, setSignalSource, signalIfAny } from "./request.js";
export { encodeBodyOf, isResponse } from "./response.js";
export { ReadableStream, readerOf, streamFromBytes, streamFromSource, TransformStream, WritableStream } from "./streams.js";
export { onTimer, startTimer } from "./timers.js";
export { isURL, hrefOf } from "./url.js";
export { scope as globalTarget };
export { reportException } from "./util.js";
export {
  AbortController, AbortSignal, Blob, CloseEvent, console, DOMException, ErrorEvent, Event, EventTarget, File, flatOf, FormData, Headers,
  headersFromFlat, makeRequest, makeResponse, MessageEvent, reportError, Request, Response, URL, URLSearchParams,
};
