/*
 * rejections: promises that were rejected and that nobody handled within the turn.
 */
import { logUncaught } from "./errors.js";

/* Apps may listen for `unhandledrejection` on the global scope; what they do not prevent is logged. */
export function onRejection(reason, promise) {
  if (typeof globalThis.dispatchEvent === "function" && typeof globalThis.PromiseRejectionEvent === "function") {
    const event = new globalThis.PromiseRejectionEvent("unhandledrejection", { promise, reason, cancelable: true });
    globalThis.dispatchEvent(event);
    if (event.defaultPrevented) return;
  }
  logUncaught(reason, "in promise");
}
