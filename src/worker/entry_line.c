/* entry_line — see entry_line.h. */
#include "src/worker/entry_line.h"

#include <assert.h>

#include "lib/base/map.h"
#include "lib/sys/sys.h"
#include "src/worker/peer.h"
#include "src/worker/worker.h"
#include "src/worker/worker_limits.h"

/* When URLs were answered last, by their hash. Who is overwritten, or taken for somebody else, is early or late once. */
static struct {
    uint32_t hash;
    uint32_t at_ms;
} answered[ENTRY_ANSWERED_MAX];

static uint32_t
hash_of(const struct call *c)
{
    uint32_t hash = (uint32_t)hash_bytes(bytes_of(c->about), 0);    /* without the query */

    return hash != 0 ? hash : 1;
}

static bool
is_request(const struct event *e)
{
    return e->is_outside && e->call != NULL && e->call->kind == CALL_ENTRY;
}

/* Its request may stand among the known ones still, which it must not overtake. */
static bool
is_body_of_waiting(const struct event *e)
{
    return !e->is_outside && e->call != NULL && e->call->side == SIDE_INCOMING && !e->call->is_dispatched;
}

static bool
is_known(const struct event *e)
{
    uint32_t hash = hash_of(e->call);
    uint32_t i = hash % ENTRY_ANSWERED_MAX;

    return answered[i].hash == hash && (uint32_t)clock_mono_ms() - answered[i].at_ms < worker.warm_ms;
}

void
entry_line_answered(const struct call *c)
{
    uint32_t hash;

    if (c->kind != CALL_ENTRY)
        return;
    hash = hash_of(c);
    answered[hash % ENTRY_ANSWERED_MAX].hash = hash;
    answered[hash % ENTRY_ANSWERED_MAX].at_ms = (uint32_t)clock_mono_ms();
}

bool
entry_line_is_begun(const struct event *e)
{
    return !e->is_outside && (e->call == NULL || e->call->side == SIDE_OUTGOING);
}

void
entry_line_add(struct agent *a, struct event *e)
{
    unsigned order;

    e->order = !a->is_entry ? EVENT_OTHER : entry_line_is_begun(e) ? EVENT_BEGUN : is_request(e) && is_known(e) ? EVENT_KNOWN : EVENT_OTHER;
    for (order = e->order; order < EVENT_ORDERS && a->line_last[order] == NULL;)
        order++;
    list_push_front(order < EVENT_ORDERS ? &a->line_last[order]->in_queue : &a->queue, &e->in_queue);    /* behind it */
    a->line_last[e->order] = e;
    a->queued++;
    if (e->call != NULL)
        e->call->queued++;
}

void
entry_line_remove(struct agent *a, struct event *e)
{
    struct event *before = e->in_queue.prev != &a->queue ? list_entry(e->in_queue.prev, struct event, in_queue) : NULL;

    assert(a->queued > 0);
    if (a->line_last[e->order] == e)
        a->line_last[e->order] = before != NULL && before->order == e->order ? before : NULL;
    list_remove(&e->in_queue);
    a->queued--;
    if (e->call != NULL)
        e->call->queued--;
}

struct event *
entry_line_next(struct agent *a, struct event *first)
{
    struct list_node *at;
    struct event *e;

    if (first->order != EVENT_KNOWN || ++a->known_turns % ENTRY_OTHERS_PART != 0)
        return first;
    if (a->line_last[EVENT_KNOWN] == NULL)
        return first;
    for (at = a->line_last[EVENT_KNOWN]->in_queue.next; at != &a->queue; at = at->next) {
        e = list_entry(at, struct event, in_queue);
        if (!is_body_of_waiting(e))
            return e;
    }
    return first;
}
