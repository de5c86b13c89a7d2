/* control_census — see control_census.h. */
#include "src/control/control_census.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "lib/loop/loop.h"
#include "src/control/control.h"
#include "src/control/control_limits.h"

struct asked {                         /* a room that has not answered yet */
    const struct link *link;           /* compared only */
    enum role          role;
    const char        *app;            /* into the census's texts: apps may go meanwhile */
    uint16_t           index;
};

struct census {
    struct list_node   in_control;
    struct control    *control;
    uint32_t           request;
    struct loop_timer *timer;
    struct asked      *asked;          /* owned */
    size_t             asked_count, asked_cap;
    json_t            *rooms;          /* owned: who answered */
    json_t            *processes;      /* owned: the supervisor's answer; NULL */
    void             (*done)(void *owner, const json_t *rooms);
    void              *owner;
};

static void
census_free(struct census *census)
{
    list_remove(&census->in_control);
    census->control->censuses_count--;
    loop_timer_destroy(&census->timer);
    for (size_t i = 0; i < census->asked_count; i++)
        free((char *)(uintptr_t)census->asked[i].app);
    free(census->asked);
    json_decref(census->rooms);
    json_decref(census->processes);
    free(census);
}

static json_t *
room_of(const json_t *rooms, const json_t *process)
{
    json_t *room;
    size_t i;

    json_array_foreach ((json_t *)(uintptr_t)rooms, i, room)
        if (json_equal(json_object_get(room, "role"), json_object_get(process, "role")) &&
            json_equal(json_object_get(room, "app"), json_object_get(process, "app")) &&
            json_equal(json_object_get(room, "index"), json_object_get(process, "index")))
            return room;
    return NULL;
}

/* What the kernel says of the rooms goes beside what they say themselves; those that did not answer are in the list as well. */
static void
merge_processes(struct census *census)
{
    json_t *process;
    size_t i;

    json_array_foreach (json_object_get(census->processes, "rooms"), i, process) {
        json_t *room = room_of(census->rooms, process);

        if (room != NULL)
            (void)json_object_update_missing(room, process);
        else if (json_is_object(process))
            (void)json_array_append(census->rooms, process);
    }
}

static void
census_finish(struct census *census)
{
    merge_processes(census);
    census->done(census->owner, census->rooms);
    census_free(census);
}

static void
on_timeout(void *owner)
{
    census_finish(owner);
}

static void
ask(struct census *census, struct link *link, enum role role, const char *app, uint16_t index)
{
    if (link == NULL)
        return;
    if (census->asked_count == census->asked_cap) {
        census->asked_cap = 2 * census->asked_cap + 8;
        census->asked = realloc(census->asked, census->asked_cap * sizeof *census->asked);
        assert(census->asked != NULL);
    }
    census->asked[census->asked_count++] = (struct asked){ link, role, bytes_dup(bytes_of(app)), index };
    msg_COUNT_pack(link_out(link), &(struct msg_COUNT){ census->request });
}

bool
census_begin(struct control *c, void (*done)(void *owner, const json_t *rooms), void *owner)
{
    static const enum role single[] = { ROLE_GATEWAY, ROLE_EGRESS, ROLE_SCHEDULER, ROLE_JOURNAL };
    struct census *census;
    struct app *app;

    if (c->censuses_count >= CENSUSES_MAX)
        return false;
    census = calloc(1, sizeof *census);
    assert(census != NULL);
    *census = (struct census){ .control = c, .request = ++c->next_census, .rooms = json_array(), .done = done, .owner = owner };
    list_push_back(&c->censuses, &census->in_control);
    c->censuses_count++;
    census->timer = loop_timer_create(room_loop(c->room), on_timeout, census);
    loop_timer_arm(census->timer, CENSUS_MS);
    ask(census, room_supervisor(c->room), ROLE_SUPERVISOR, "", 0);
    for (size_t i = 0; i < ARRAY_LEN(single); i++)
        ask(census, room_link(c->room, single[i], 0, ""), single[i], "", 0);
    list_each (app, &c->apps.list, struct app, in_apps)
        for (uint16_t slot = 0; slot < app->workers; slot++)
            ask(census, worker_link(c, app, slot), ROLE_WORKER, app->name, slot);
    return true;
}

static struct asked *
asked_find(struct census *census, const struct link *link)
{
    for (size_t i = 0; i < census->asked_count; i++)
        if (census->asked[i].link == link)
            return &census->asked[i];
    return NULL;
}

/* True: that was the last one. */
static bool
asked_forget(struct census *census, struct asked *asked)
{
    free((char *)(uintptr_t)asked->app);
    *asked = census->asked[--census->asked_count];
    return census->asked_count == 0;
}

static void
take_answer(struct census *census, const struct asked *asked, json_t *counters)
{
    if (asked->role == ROLE_SUPERVISOR) {
        census->processes = counters;
        return;
    }
    (void)json_array_append_new(census->rooms, json_pack("{s:s, s:s, s:i, s:o}", "role", role_name(asked->role), "app", asked->app, "index",
                                                         (int)asked->index, "counters", counters));
}

bool
census_message(struct control *c, const struct link *link, struct bytes payload, struct err *err)
{
    struct msg_COUNTED msg;
    struct census *census;
    json_t *counters;

    if (!msg_COUNTED_unpack(&msg, payload, err))
        return false;
    list_each (census, &c->censuses, struct census, in_control) {
        struct asked *asked = census->request == msg.request ? asked_find(census, link) : NULL;

        if (asked == NULL)
            continue;
        counters = json_loadb((const char *)msg.json.data, msg.json.len, JSON_REJECT_DUPLICATES, NULL);
        if (!json_is_object(counters)) {
            json_decref(counters);
            return err_set(err, ERR_MALFORMED, 0, "the counters are no JSON object");
        }
        take_answer(census, asked, counters);
        if (asked_forget(census, asked))
            census_finish(census);
        return true;
    }
    return true;                       /* too late */
}

void
census_link_lost(struct control *c, const struct link *link)
{
    struct census *census;

    list_each (census, &c->censuses, struct census, in_control) {
        struct asked *asked = asked_find(census, link);

        if (asked != NULL && asked_forget(census, asked))
            census_finish(census);
    }
}

void
census_end_all(struct control *c)
{
    struct census *census;

    list_each (census, &c->censuses, struct census, in_control)
        census_finish(census);
}
