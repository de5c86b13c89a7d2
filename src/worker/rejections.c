/* rejections — see rejections.h. */
#include "src/worker/rejections.h"

#include "src/worker/worker_limits.h"

static struct { jsval promise, reason; } pending[REJECTIONS_MAX];
static size_t                            pending_count;

void
rejections_track(void *q, uint32_t ctx, jsval promise, jsval reason, uint32_t is_handled, uint32_t opaque)
{
    if (!is_handled) {
        if (pending_count < REJECTIONS_MAX) {
            pending[pending_count].promise = js_dup(promise);
            pending[pending_count++].reason = js_dup(reason);
        }
        return;
    }
    for (size_t i = 0; i < pending_count; i++) {
        if (pending[i].promise != promise)
            continue;
        js_free(pending[i].promise);
        js_free(pending[i].reason);
        pending[i] = pending[--pending_count];
        return;
    }
}

bool
rejections_take(jsval *out_promise, jsval *out_reason)
{
    if (pending_count == 0)
        return false;
    pending_count--;
    *out_promise = pending[pending_count].promise;
    *out_reason = pending[pending_count].reason;
    return true;
}

void
rejections_reset(void)
{
    pending_count = 0;
}
