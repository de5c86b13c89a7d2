/*
 * rejections — promises of the current heap that were rejected while nobody handled them.
 *
 * Promise: at the end of a turn each such promise is reported once (event REJECTION), unless a handler was added in the same turn.
 */
#ifndef DORMOUSE_WORKER_REJECTIONS_H
#define DORMOUSE_WORKER_REJECTIONS_H

#include "src/worker/guest.h"

/* HostPromiseRejectionTracker of the engine. */
void rejections_track(void *q, uint32_t ctx, jsval promise, jsval reason, uint32_t is_handled, uint32_t opaque);
/* Takes the next one; the caller frees both values. False: none left. */
bool rejections_take(jsval *out_promise, jsval *out_reason);
/* Forgets all without freeing (the heap is gone). */
void rejections_reset(void);

#endif
