/*
 * prop_world — gateway, egress, scheduler, journal, control and the other worker, as one program of the test meets them.
 *
 * Whatever the worker sends is noted in the transcript; what comes of it waits until the run lets it happen (world_happen). Things of one
 * chain (a call, a socket, the journal) happen in order.
 */
#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/sys/sys.h"
#include "tests/prop/prop_world.h"

struct happening {
    struct happening *next;
    uint64_t          chain;
    enum prop_peer    peer;
    bool              is_late;         /* not before world_hurry() */
    bool              is_past;         /* FRAME is a RECALL_AT: answered as things are when it happens */
    uint64_t          ticket;          /* of DURABLE, else 0 */
    struct buf        frame;
};

struct prop_shared *shared;
struct world world;
static struct happening *happenings;
static struct buf at_once[PEERS];      /* frames that are no event of the schedule */

/* ---- what waits ---- */

struct buf *
world_later(enum prop_peer peer, uint64_t chain)
{
    struct happening **at = &happenings, *h = calloc(1, sizeof *h);

    assert(h != NULL);
    h->peer = peer;
    h->chain = chain;
    while (*at != NULL)
        at = &(*at)->next;
    *at = h;
    return &h->frame;
}

static struct happening *
newest(void)
{
    struct happening *h = happenings;

    while (h->next != NULL)
        h = h->next;
    return h;
}

void
world_make_late(void)
{
    newest()->is_late = true;
}

void
world_newest_tells(uint64_t ticket)
{
    newest()->ticket = ticket;
}

struct buf *
world_at_once(enum prop_peer peer)
{
    return &at_once[peer];
}

void
world_forget(uint64_t chain)
{
    for (struct happening **at = &happenings; *at != NULL;) {
        struct happening *h = *at;

        if (h->chain != chain) {
            at = &h->next;
            continue;
        }
        *at = h->next;
        buf_fini(&h->frame);
        free(h);
    }
}

bool
world_has(uint64_t chain)
{
    const struct happening *h = happenings;

    while (h != NULL && h->chain != chain)
        h = h->next;
    return h != NULL;
}

static bool
can_happen(const struct happening *h)
{
    if (h->is_late && !world.is_hurrying)
        return false;
    for (const struct happening *before = happenings; before != h; before = before->next)
        if (before->chain == h->chain)
            return false;
    return true;
}

uint32_t
world_waiting(void)
{
    uint32_t count = 0;

    for (const struct happening *h = happenings; h != NULL; h = h->next)
        count += can_happen(h);
    return count;
}

/* Calls FN for each frame of FRAMES, which is empty then. */
static void
each_frame(struct buf *frames, enum prop_peer peer, void (*fn)(enum prop_peer peer, struct bytes frame))
{
    struct buf all = *frames;

    *frames = (struct buf){ 0 };
    for (size_t at = 0; at + FRAME_HEADER_BYTES <= all.len;) {
        uint32_t len;

        memcpy(&len, all.data + at, sizeof len);
        fn(peer, bytes_from(all.data + at, FRAME_HEADER_BYTES + len));
        at += FRAME_HEADER_BYTES + len;
    }
    buf_fini(&all);
}

void
world_answer_past(struct bytes question)
{
    buf_append_bytes(world_later(PEER_JOURNAL, CHAIN_PAST), question);
    newest()->is_past = true;
}

static bool
is_piece(const struct happening *h)
{
    uint16_t type;

    memcpy(&type, h->frame.data + 4, sizeof type);
    return type == MSG_DATA;
}

void
world_happen(uint32_t which)
{
    struct happening **at = &happenings, *h;
    struct buf answer = { 0 };

    for (; !can_happen(*at) || which-- > 0;)
        at = &(*at)->next;
    h = *at;
    *at = h->next;
    if (h->ticket != 0)
        journal_becomes_durable(h->ticket);
    if (h->is_past) {
        say("the journal tells what was");
        journal_answers_past(buf_view(&h->frame), &answer);
        each_frame(&answer, h->peer, house_deliver);
    } else if (world.fault == FAULT_PIECE && shared->spoiled == 0 && shared->steps > 8 && is_piece(h)) {
        shared->spoiled++;             /* it gets lost */
    } else {
        world_note("", h->peer, buf_view(&h->frame));
        if (h->ticket != 0)
            journal_packs_durable(&answer, h->ticket);
        house_deliver(h->peer, h->ticket != 0 ? buf_view(&answer) : buf_view(&h->frame));
    }
    buf_fini(&answer);
    buf_fini(&h->frame);
    free(h);
}

/* ---- the scheduler ---- */

#define ALARM_CALLS 0x10000u           /* their numbers begin here */

int64_t
world_alarm_due_us(void)
{
    int64_t due = INT64_MAX;

    for (uint32_t i = 0; i < AGENTS_MAX; i++) {
        const struct prop_agent *a = &shared->agents[i];

        if (a->alarm_ms > 0 && !a->alarm_in_flight && a->alarm_ms * 1000 - HOUSE_WALL_US < due)
            due = a->alarm_ms * 1000 - HOUSE_WALL_US;
    }
    return due;
}

void
world_alarm_fire(void)
{
    struct msg_CALL m = { .kind = CALL_ALARM, .class_name = BYTES_LIT(AGENT_CLASS) };
    struct buf frame = { 0 };
    int64_t due = world_alarm_due_us();

    for (uint32_t i = 0; i < AGENTS_MAX; i++) {
        struct prop_agent *a = &shared->agents[i];

        if (a->alarm_ms == 0 || a->alarm_in_flight || a->alarm_ms * 1000 - HOUSE_WALL_US != due)
            continue;
        if (due > house_now_us)
            house_now_us = due;
        a->alarm_in_flight = true;
        a->alarm_fired_ms = a->alarm_ms;
        m.call = ALARM_CALLS + world.last_alarm++ * AGENTS_MAX + i;
        m.agent = a->id;
        m.name = bytes_of(a->name);
        m.n1 = a->alarm_ms;
        m.n2 = a->alarm_retry;
        msg_CALL_pack(&frame, &m);
        world_note("", PEER_SCHEDULER, buf_view(&frame));
        house_deliver(PEER_SCHEDULER, buf_view(&frame));
        buf_fini(&frame);
        return;
    }
}

#define RETRY_MS 2000

void
scheduler_hears(uint16_t type, struct bytes payload)
{
    struct msg_REPLY reply;
    struct msg_FAIL fail;
    struct prop_agent *a;

    if (type == MSG_REPLY && msg_REPLY_unpack(&reply, payload, NULL)) {
        a = &shared->agents[(reply.call - ALARM_CALLS) % AGENTS_MAX];
        a->alarm_in_flight = false;
        if (a->alarm_ms != a->alarm_fired_ms)
            return;                    /* another one has been set */
        a->alarm_retry++;
        if (reply.status != 202)
            a->alarm_ms = 0;
    } else if (type == MSG_FAIL && msg_FAIL_unpack(&fail, payload, NULL)) {
        a = &shared->agents[(fail.call - ALARM_CALLS) % AGENTS_MAX];
        a->alarm_in_flight = false;
    } else {
        return;
    }
    if (a->alarm_ms > 0)
        a->alarm_ms = (HOUSE_WALL_US + house_now_us) / 1000 + RETRY_MS;
}

/* ---- all of them ---- */

struct prop_agent *
world_agent(const struct agent_id *id, struct bytes class_name)
{
    struct prop_agent *part = &shared->agents[AGENTS_MAX + shared->parts_count];

    for (uint32_t i = 0; i < AGENTS_MAX + shared->parts_count; i++)
        if (agent_id_equal(&shared->agents[i].id, id))
            return &shared->agents[i];
    if (!bytes_equal_str(class_name, PART_CLASS) || shared->parts_count == PARTS_MAX)
        prop_fail("an agent that nobody asked for");
    *part = (struct prop_agent){ .id = *id, .is_part = true, .trail = -1 };
    shared->parts_count++;
    return part;
}

void
world_hurry(void)
{
    world.is_hurrying = true;
    if (journal_is_away())
        journal_returns();
}

static void
hear(enum prop_peer peer, struct bytes frame)
{
    struct bytes payload = bytes_from(frame.data + FRAME_HEADER_BYTES, frame.len - FRAME_HEADER_BYTES);
    uint16_t type;

    memcpy(&type, frame.data + 4, sizeof type);
    world_note("  ", peer, frame);
    switch (peer) {
    case PEER_GATEWAY:
        gateway_hears(type, payload);
        return;
    case PEER_JOURNAL:
        journal_hears(type, payload);
        return;
    case PEER_SCHEDULER:
        scheduler_hears(type, payload);
        return;
    case PEER_CONTROL:
        control_hears(type, payload);
        return;
    default:
        answerer_hears(peer, type, payload);
    }
}

void
world_hear(void)
{
    bool is_more = true;

    while (is_more) {
        is_more = false;
        each_frame(house_out(PEER_CONTROL), PEER_CONTROL, hear);       /* first: what a state was is said before a restore ends it */
        for (int peer = 0; peer < PEERS; peer++)
            each_frame(house_out((enum prop_peer)peer), (enum prop_peer)peer, hear);
        for (int peer = 0; peer < PEERS; peer++) {
            is_more |= at_once[peer].len > 0;
            each_frame(&at_once[peer], (enum prop_peer)peer, house_deliver);
        }
    }
}

static void
tell_sockets(void)
{
    struct buf frame = { 0 };
    struct buf ids = { 0 };

    for (uint32_t i = 0; i < shared->sockets_count; i++) {
        const struct prop_socket *s = &shared->sockets[i];

        if (s->is_hibernatable && !s->is_over && s->agent >= 0)
            buf_append(&ids, shared->agents[s->agent].id.bytes, 32);
    }
    if (ids.len > 0) {
        msg_WS_AGENTS_pack(&frame, &(struct msg_WS_AGENTS){ .present = 1, .ids = buf_view(&ids) });
        house_deliver(PEER_GATEWAY, buf_view(&frame));
        buf_clear(&frame);
    }
    msg_WS_AGENTS_pack(&frame, &(struct msg_WS_AGENTS){ .present = 1 });
    house_deliver(PEER_GATEWAY, buf_view(&frame));
    buf_fini(&frame);
    buf_fini(&ids);
}

/* What dies with a worker: calls, live sockets, alarms in flight; some of the commits that it had no answer for. */
static void
survive(void)
{
    for (uint32_t i = 0; i < shared->sockets_count; i++)
        shared->sockets[i].is_closed |= !shared->sockets[i].is_hibernatable;
    for (uint32_t i = 0; i < AGENTS_MAX + shared->parts_count; i++)
        shared->agents[i].alarm_in_flight = false;
}

void
world_begin(uint64_t seed, bool is_born_anew)
{
    struct chance c = chance_of(seed, 77);

    for (int peer = 0; peer < PEERS; peer++)
        house_link_up((enum prop_peer)peer);
    journal_begins(is_born_anew ? &c : NULL);
    if (is_born_anew)
        survive();
    tell_sockets();
    world_hear();
}
