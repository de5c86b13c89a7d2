/*
 * host: the natives of docs/host-interface.md, taken from the global scope once, before any code of an app runs.
 *
 * Promise: after this module nobody else can reach the natives.
 */
export const host = globalThis.__host;
delete globalThis.__host;

/* What the heap is doing; natives that a template must not call check it. `awake` is false while the bundle is evaluated
 * (global scope), and true from the first event on, in every heap copied from the template. */
export const phase = { awake: false };

export const GLOBAL_SCOPE_TEXT =
  "Disallowed operation called within global scope. Asynchronous I/O (ex: fetch() or connect()), setting a timeout, and " +
  "generating random values are not allowed within global scope. To fix this error, perform this operation within a " +
  "handler. https://developers.cloudflare.com/workers/runtime-apis/handlers/";

/* Throws workerd's error while the bundle is evaluated. */
export function needAwake() {
  if (!phase.awake) throw new Error(GLOBAL_SCOPE_TEXT);
}
