/* why — see why.h. */
#include "src/worker/why.h"

#include <fcntl.h>
#include <string.h>

#include "lib/store/store.h"
#include "lib/sys/sys.h"
#include "src/worker/agent_cold.h"
#include "src/worker/agent_sleep.h"
#include "src/worker/commits.h"
#include "src/worker/deliver.h"
#include "src/worker/peer.h"
#include "src/worker/timers.h"
#include "src/worker/worker.h"
#include "src/worker/worker_limits.h"

void
why_busy(const struct agent *a, struct buf *out)
{
    buf_printf(out, "%u incoming and %u outgoing calls, %zu timers, %u live sockets, %d waitUntil, %zu queued events%s", a->open_incoming,
               a->open_outgoing, a->timers != NULL ? umap_count(a->timers) : 0, a->live_sockets, a->wait_until, a->queued,
               commits_are_durable(a) ? "" : ", commits on their way to disk");
}

/* ---- what it waits for ---- */

struct waits {
    json_t *list;
    size_t  left_out;
};

/* ITEM is stolen. */
static void
add(struct waits *w, json_t *item)
{
    if (json_array_size(w->list) < WHY_ITEMS_MAX) {
        (void)json_array_append_new(w->list, item);
        return;
    }
    w->left_out++;
    json_decref(item);
}

static void
add_count(struct waits *w, const char *what, long long count)
{
    if (count > 0)
        add(w, json_pack("{s:s, s:I}", "what", what, "count", (json_int_t)count));
}

static const char *
incoming_name(const struct call *c)
{
    switch (c->kind) {
    case CALL_FETCH:    return "a request to it";
    case CALL_ENTRY:    return "a request to the app";
    case CALL_RPC:      return "a method call to it";
    case CALL_ALARM:    return "its alarm";
    case CALL_WS_EVENT: return "a WebSocket event";
    default:            return "an event";
    }
}

static const char *
outgoing_name(const struct call *c)
{
    switch (c->kind) {
    case CALL_OUT:    return "a fetch of it";
    case CALL_FETCH:  return "a request of it to an agent";
    case CALL_RPC:    return "a method call of it to an agent";
    case CALL_ASSETS: return "an asset";
    default:          return "a call of it";
    }
}

/* Which part of the call is still to come. */
static const char *
stage_of(const struct call *c)
{
    if (c->side == SIDE_OUTGOING)
        return !c->has_reply ? "no answer yet" : c->peer_body_open ? "the answer's body streams" : "the answer waits to be delivered";
    if (c->is_gathering || c->head_event != NULL)
        return "its body is coming";
    if (!c->is_dispatched)
        return "waits to be delivered";
    return c->is_replied ? "the answer's body streams" : "not answered yet";
}

static void
add_calls(struct waits *w, const struct agent *a, int64_t now)
{
    struct call *c;

    list_each(c, (struct list_node *)(uintptr_t)&a->calls, struct call, in_agent) {
        json_t *item = json_pack("{s:s, s:s, s:I}", "what", c->side == SIDE_INCOMING ? incoming_name(c) : outgoing_name(c), "stage", stage_of(c),
                                 "age_ms", (json_int_t)(now - c->since_ms));
        json_t *about = c->about != NULL ? json_string(c->about) : NULL;

        if (about != NULL)
            (void)json_object_set_new(item, "about", about);
        add(w, item);
    }
}

static void
add_timer(void *owner, uint32_t id, int64_t due_ms)
{
    add(owner, json_pack("{s:s, s:I, s:I}", "what", "a timer", "id", (json_int_t)id, "due_in_ms", (json_int_t)(due_ms - clock_mono_ms())));
}

static void
add_all(struct waits *w, const struct agent *a)
{
    add_calls(w, a, clock_mono_ms());
    timers_each(a, add_timer, w);
    add_count(w, "waitUntil", a->wait_until);
    add_count(w, "a critical section (blockConcurrencyWhile)", a->sections_count);
    add_count(w, "a transaction", a->store != NULL ? store_depth(a->store) : 0);
    add_count(w, "a socket that is not hibernatable", a->live_sockets);
    add_count(w, "a hibernatable socket", a->sockets != NULL ? (long long)umap_count(a->sockets) - a->live_sockets : 0);
    add_count(w, "an event that is queued", (long long)a->queued);
    add_count(w, "a commit on its way to disk", !commits_are_durable(a));
}

/* ---- whether it is asleep ---- */

static json_t *
seconds(const char *before, int64_t ms, const char *after)
{
    return json_sprintf("%s%lld.%lld s%s", before, (long long)(ms / 1000), (long long)(ms % 1000 / 100), after);
}

static json_t *
sentence_awake(const struct agent *a)
{
    const char *keeps = agent_why_awake(a);
    int64_t left_ms;

    if (keeps != NULL)
        return json_sprintf("no: %s", keeps);
    left_ms = sleep_left_ms(&worker.sleep, &a->sleeper, clock_mono_ms());
    return a->sleeper.discards ? seconds("not with its memory: its class discards it (heap: discard), or it is too large; in ", left_ms, " it is thrown away, unless it waits for something")
                               : seconds("not yet: nothing keeps it awake; in ", left_ms, " it is, unless something comes");
}

static json_t *
sentence_warm(const struct agent *a)
{
    if (!list_is_empty(&a->queue))
        return json_string("yes, and it wakes: an event waits");
    if (!agent_is_idle(a))
        return json_string("yes, in memory: it stays there until what it waits for has come");
    if (!agent_may_go_cold(a))
        return json_string("yes, in memory");
    return seconds("yes, in memory; in ", sleep_left_ms(&worker.sleep, &a->sleeper, clock_mono_ms()), " on disk");
}

static void
show_warm(const struct agent *a, json_t *out)
{
    (void)json_object_set_new(out, "image_bytes", json_integer((json_int_t)a->image.len));
    (void)json_object_set_new(out, "asleep_ms", json_integer(clock_mono_ms() - a->sleeper.warm_since_ms));
}

void
why_show(const struct agent *a, json_t *out)
{
    static const char *const names[AGENT_STATES] = { "absent", "recalling", "waking", "booting", "awake", "warm" };
    struct waits waits = { .list = json_array() };
    int64_t image_bytes = a->state == AGENT_ABSENT ? agent_cold_bytes(a) : -1;
    json_t *asleep;

    if (a->state == AGENT_WARM) {
        asleep = sentence_warm(a);
        show_warm(a, out);
    } else if (image_bytes >= 0) {
        asleep = json_string("yes, on disk");
        (void)json_object_set_new(out, "image_bytes", json_integer(image_bytes));
    } else if (a->state == AGENT_ABSENT) {
        asleep = json_string("it has no memory: its next event runs the constructor");
    } else {
        asleep = sentence_awake(a);
    }
    add_all(&waits, a);
    if (waits.left_out > 0)
        (void)json_array_append_new(waits.list, json_pack("{s:s, s:I}", "what", "and more", "count", (json_int_t)waits.left_out));
    (void)json_object_set_new(out, "state", json_string(image_bytes >= 0 ? "cold" : names[a->state]));
    (void)json_object_set_new(out, "asleep", asleep);
    (void)json_object_set_new(out, "waits_for", waits.list);
}
