/* entry_line — see entry_line.h. */
#include "src/worker/entry_line.h"

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
    struct event *other;

    if (!a->is_entry || list_is_empty(&a->queue)) {
        list_push_back(&a->queue, &e->in_queue);
        return;
    }
    e->order = entry_line_is_begun(e) ? EVENT_BEGUN : is_request(e) && is_known(e) ? EVENT_KNOWN : EVENT_OTHER;
    if (e->order != EVENT_OTHER)
        list_each(other, &a->queue, struct event, in_queue)
            if (other->order < e->order) {
                list_push_back(&other->in_queue, &e->in_queue);    /* before it */
                return;
            }
    list_push_back(&a->queue, &e->in_queue);
}

struct event *
entry_line_next(struct agent *a, struct event *first)
{
    struct event *e;

    if (first->order != EVENT_KNOWN || ++a->known_turns % ENTRY_OTHERS_PART != 0)
        return first;
    list_each(e, &a->queue, struct event, in_queue)
        if (e->order == EVENT_OTHER && !is_body_of_waiting(e))
            return e;
    return first;
}
