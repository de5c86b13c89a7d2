/*
 * async_context — the async context of the running code: one JavaScript value (AsyncLocalStorage's) and the number of the critical section.
 *
 * Promise: what is current when `then`, `await`, `for await`, an async generator's step, a thenable's job or a microtask is
 * registered is current again when it runs. Timers, events and calls carry it by themselves (heap_note).
 * How: every reaction passes through perform_promise_then and every other job through JS_EnqueueJob; the build interposes on
 * both (tools/engine-build). Nothing is wrapped while the context is the empty one.
 */
#ifndef DORMOUSE_WORKER_ASYNC_CONTEXT_H
#define DORMOUSE_WORKER_ASYNC_CONTEXT_H

#include "src/worker/guest.h"

jsval    async_context_value(void);              /* borrowed */
/* Takes VALUE, returns the previous one (owned by the caller). */
jsval    async_context_swap(jsval value);
uint32_t async_context_section(void);
uint32_t async_context_set_section(uint32_t section);
/* The empty context, without freeing: when a heap is entered or left. */
void     async_context_reset(void);

#endif
