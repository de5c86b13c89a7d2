/*
 * supervisor_breach — links that broke between rooms that live on: one of them broke the rules of the other, or lost its place in the stream.
 *
 * Promise: such a pair is linked again, by starting anew the one whose loss costs less. What the two had under way is then treated as after
 * a death, which every room knows; a new link between old processes would be a case of its own for each of them.
 */
#include <assert.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "lib/loop/loop.h"
#include "lib/sys/sys.h"
#include "src/supervisor/supervisor_house.h"
#include "src/supervisor/supervisor_limits.h"

struct breach_end {
    enum role role;
    uint16_t  index;
    char      app[APP_NAME_MAX + 1];
};

struct breach {
    struct list_node  in_house;
    struct breach_end ends[2];
    uint32_t          generation;      /* of the link */
    int64_t           due_ms;
};

static void on_mend(void *owner);

void
breaches_begin(struct house *house)
{
    list_init(&house->breaches);
    house->mend = loop_timer_create(house->loop, on_mend, house);
}

static void
breach_free(struct house *house, struct breach *breach)
{
    list_remove(&breach->in_house);
    house->breaches_count--;
    free(breach);
}

void
breaches_end(struct house *house)
{
    struct breach *breach;

    if (house->mend == NULL)
        return;
    list_each (breach, &house->breaches, struct breach, in_house)
        breach_free(house, breach);
    loop_timer_destroy(&house->mend);
}

static struct breach_end
end_of(const struct house_room *room)
{
    struct breach_end end = { .role = room->role, .index = room->index };

    memcpy(end.app, room->app, sizeof end.app);
    return end;
}

/* The room if the link of GENERATION is of its present process and nothing stops it; else NULL: its end explains the link's. */
static struct house_room *
end_alive(struct house *house, const struct breach_end *end, uint32_t generation)
{
    struct house_room *room = house_find(house, end->role, end->index, end->app);

    return room != NULL && room->life.state == LIFE_SERVING && room->link != NULL && room->born < generation ? room : NULL;
}

/* Low: soon back, and few notice. A worker's agents are on disk; the gateway has everybody's connections. */
static unsigned
worth(const struct house_room *room)
{
    static const unsigned ranks[ROLES] = {
        [ROLE_WORKER] = 0, [ROLE_CONTROL] = 1, [ROLE_SCHEDULER] = 2, [ROLE_EGRESS] = 3, [ROLE_JOURNAL] = 4, [ROLE_GATEWAY] = 5,
    };

    return ranks[room->role];
}

static void
mend(struct house *house, const struct breach *breach)
{
    struct house_room *a = end_alive(house, &breach->ends[0], breach->generation);
    struct house_room *b = end_alive(house, &breach->ends[1], breach->generation);
    struct house_room *chosen, *other;
    char label[ROOM_LABEL_MAX], other_label[ROOM_LABEL_MAX];

    if (a == NULL || b == NULL || a == b)
        return;
    chosen = worth(a) < worth(b) || (worth(a) == worth(b) && a->index > b->index) ? a : b;
    other = chosen == a ? b : a;
    room_label(chosen, label);
    room_label(other, other_label);
    house_log(house, 3, "the link between %s and %s broke, and both live on: %s is started anew", label, other_label, label);
    link_destroy(&chosen->link);       /* so that its other broken links are not looked at again */
    (void)kill(chosen->pid, SIGKILL);  /* it is our child and not reaped: the id is its own */
}

static void
on_mend(void *owner)
{
    struct house *house = owner;
    const int64_t now_ms = clock_mono_ms();
    struct breach *breach;

    while ((breach = list_first(&house->breaches, struct breach, in_house)) != NULL && breach->due_ms <= now_ms) {
        if (!house->is_stopping)
            mend(house, breach);
        breach_free(house, breach);
    }
    if (breach != NULL)
        loop_timer_arm(house->mend, (uint64_t)(breach->due_ms - now_ms));
}

bool
breach_message(struct house_room *room, struct bytes payload, struct err *err)
{
    struct house *house = room->house;
    struct msg_LINK_LOST msg;
    struct breach *breach;

    if (!msg_LINK_LOST_unpack(&msg, payload, err))
        return false;
    if (msg.role == 0 || msg.role >= ROLES || msg.app.len > APP_NAME_MAX)
        return err_set(err, ERR_MALFORMED, 0, "LINK_LOST names role %u", msg.role);
    if (house->is_stopping || room->build_conf != NULL || house->breaches_count == BREACHES_MAX)
        return true;
    breach = calloc(1, sizeof *breach);
    assert(breach != NULL);
    breach->ends[0] = end_of(room);
    breach->ends[1] = (struct breach_end){ .role = msg.role, .index = msg.index };
    if (msg.app.len > 0)
        memcpy(breach->ends[1].app, msg.app.data, msg.app.len);
    breach->generation = msg.generation;
    breach->due_ms = clock_mono_ms() + BREACH_MS;
    list_push_back(&house->breaches, &breach->in_house);
    if (house->breaches_count++ == 0)
        loop_timer_arm(house->mend, BREACH_MS);
    return true;
}
