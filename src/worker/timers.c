/* timers — see timers.h. */
#include "src/worker/timers.h"

#include <assert.h>
#include <stdlib.h>

#include "lib/loop/loop.h"
#include "lib/sys/sys.h"
#include "src/worker/async_context.h"
#include "src/worker/deliver.h"
#include "src/worker/log.h"
#include "src/worker/natives.h"
#include "src/worker/snapshot_file.h"
#include "src/worker/worker_limits.h"

#define DELAY_MS_MAX 2147483647.0      /* as in browsers: beyond it the delay overflows to 1 */

struct timer {
    struct agent      *agent;
    struct loop_timer *loop_timer;
    uint32_t           id, section;
    int64_t            due_ms;         /* monotonic */
};

static void
timer_free(struct timer *t)
{
    loop_timer_destroy(&t->loop_timer);
    free(t);
}

static void
on_timer(void *owner)
{
    struct timer *t = owner;
    struct agent *a = t->agent;
    uint32_t id = t->id, section = t->section;

    (void)umap_take(a->timers, id);
    timer_free(t);
    deliver_post_timer(a, id, section);
    worker_run_loopback();
}

void
timers_drop(struct agent *a)
{
    size_t cursor = 0;
    uint64_t id;
    void *value;

    if (a->timers == NULL)
        return;
    while (umap_next(a->timers, &cursor, &id, &value))
        timer_free(value);
    umap_destroy(&a->timers);
}

void
timers_each(const struct agent *a, void (*fn)(void *owner, uint32_t id, int64_t due_mono_ms), void *owner)
{
    size_t cursor = 0;
    uint64_t id;
    void *value;

    while (a->timers != NULL && umap_next(a->timers, &cursor, &id, &value)) {
        const struct timer *t = value;

        fn(owner, t->id, t->due_ms);
    }
}

void
timers_list(const struct agent *a, struct buf *out)
{
    const int64_t now_ms = clock_mono_ms();
    size_t cursor = 0;
    uint64_t id;
    void *value;
    struct event *e;

    while (a->timers != NULL && umap_next(a->timers, &cursor, &id, &value)) {
        const struct timer *t = value;

        snapshot_timer_pack(out, &(struct snapshot_timer){ .id = t->id, .section = t->section, .left_ms = t->due_ms > now_ms ? t->due_ms - now_ms : 0 });
    }
    list_each(e, (struct list_node *)(uintptr_t)&a->queue, struct event, in_queue)
        if (deliver_is_timer(e))
            snapshot_timer_pack(out, &(struct snapshot_timer){ .id = (uint32_t)e->n1, .section = e->section });
}

/* The timer ID of A, made when there is none; NULL: it has too many. */
static struct timer *
timer_of(struct agent *a, uint32_t id)
{
    struct timer *t;

    if (a->timers == NULL)
        a->timers = umap_create();
    t = umap_get(a->timers, id);
    if (t != NULL || umap_count(a->timers) >= TIMERS_MAX)
        return t;
    t = calloc(1, sizeof *t);
    assert(t != NULL);
    t->agent = a;
    t->id = id;
    t->loop_timer = loop_timer_create(worker.loop, on_timer, t);
    umap_put(a->timers, t->id, t);
    return t;
}

static void
arm(struct timer *t, uint32_t section, double ms)
{
    ms = ms >= 0 && ms <= DELAY_MS_MAX ? ms : 0;
    t->section = section;
    t->due_ms = clock_mono_ms() + (int64_t)ms;
    loop_timer_arm(t->loop_timer, (uint64_t)ms);
}

void
timers_arm(struct agent *a, const struct snapshot_timer *timer)
{
    struct timer *t = timer_of(a, timer->id);

    if (t != NULL)
        arm(t, timer->section, (double)timer->left_ms);
}

jsval
native_timer(NATIVE_PARAMS)
{
    struct agent *a = agent_current();
    double id = js_get_double(ARG(0)), ms = js_get_double(ARG(1));
    struct timer *t;

    if (a == NULL || !(id >= 0 && id <= UINT32_MAX))
        return js_throw_type("timer takes an id and milliseconds");
    t = timer_of(a, (uint32_t)id);
    if (t == NULL)
        return js_throw_error("You have exceeded the number of active timeouts you may set. max active timeouts: %d", TIMERS_MAX);
    arm(t, async_context_section(), ms);
    return JSV_UNDEFINED;
}

jsval
native_timer_clear(NATIVE_PARAMS)
{
    struct agent *a = agent_current();
    double id = js_get_double(ARG(0));
    struct timer *t;

    if (a == NULL || a->timers == NULL || !(id >= 0 && id <= UINT32_MAX))
        return JSV_UNDEFINED;
    t = umap_take(a->timers, (uint32_t)id);
    if (t != NULL)
        timer_free(t);
    return JSV_UNDEFINED;
}
