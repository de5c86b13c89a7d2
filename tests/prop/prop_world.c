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

#include "lib/base/crc32c.h"
#include "lib/sys/sys.h"
#include "tests/prop/prop_world.h"

struct happening {
    struct happening *next;
    uint64_t          chain;
    enum prop_peer    peer;
    bool              is_late;         /* not before world_hurry() */
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

/* Commits up to TICKET are durable: their alarms are the scheduler's from now on. */
static void
become_durable(uint64_t ticket)
{
    shared->durable_ticket = ticket;
    for (size_t at = 0; at < shared->journal_len;) {
        struct journal_entry e;
        struct msg_COMMIT m;

        memcpy(&e, shared->journal + at, sizeof e);
        if (!e.is_checkpoint && e.ticket == ticket &&
            msg_COMMIT_unpack(&m, bytes_from(shared->journal + at + sizeof e, e.len), NULL) && (m.flags & COMMIT_ALARM) != 0) {
            struct prop_agent *a = world_agent(&m.agent);

            a->alarm_ms = m.alarm_ms;
            a->alarm_retry = 0;
        }
        at += sizeof e + e.len;
    }
}

void
world_happen(uint32_t which)
{
    struct happening **at = &happenings, *h;

    for (; !can_happen(*at) || which-- > 0;)
        at = &(*at)->next;
    h = *at;
    *at = h->next;
    if (h->ticket != 0)
        become_durable(h->ticket);
    world_note("", h->peer, buf_view(&h->frame));
    house_deliver(h->peer, buf_view(&h->frame));
    buf_fini(&h->frame);
    free(h);
}

/* ---- the journal ---- */

static void
journal_keep(const struct agent_id *agent, uint64_t ticket, bool is_checkpoint, struct bytes payload)
{
    struct journal_entry e = { .agent = *agent, .ticket = ticket, .is_checkpoint = is_checkpoint, .len = (uint32_t)payload.len };

    if (shared->journal_len + sizeof e + payload.len > JOURNAL_BYTES)
        prop_fail("the journal is full");
    memcpy(shared->journal + shared->journal_len, &e, sizeof e);
    if (payload.len > 0)
        memcpy(shared->journal + shared->journal_len + sizeof e, payload.data, payload.len);
    shared->journal_len += sizeof e + payload.len;
}

static void
on_commit(struct bytes payload)
{
    struct msg_COMMIT m;
    struct msg_DURABLE durable;
    bool ok = msg_COMMIT_unpack(&m, payload, NULL);

    assert(ok);
    journal_keep(&m.agent, m.ticket, false, payload);
    shared->last_ticket = m.ticket;
    if ((m.flags & COMMIT_MORE) != 0)
        return;
    durable = (struct msg_DURABLE){ .generation = m.generation, .ticket = m.ticket };
    msg_DURABLE_pack(world_later(PEER_JOURNAL, CHAIN_JOURNAL), &durable);
    newest()->ticket = m.ticket;
}

static void
send_record(const struct journal_entry *e, struct bytes payload, uint32_t request)
{
    struct msg_COMMIT m;
    struct msg_RECORD record = { .request = request };
    bool ok = msg_COMMIT_unpack(&m, payload, NULL);

    assert(ok);
    record.seq = m.seq;
    record.flags = m.flags & (COMMIT_MORE | COMMIT_GONE);
    record.pages = m.pages;
    msg_RECORD_pack(world_at_once(PEER_JOURNAL), &record);
}

/* Whether the entry at AT is a durable commit of AGENT (NULL: of anyone) that no checkpoint covers. */
static bool
is_needed(size_t at, const struct agent_id *agent)
{
    struct journal_entry e, later;

    memcpy(&e, shared->journal + at, sizeof e);
    if (e.is_checkpoint || e.ticket > shared->durable_ticket || (agent != NULL && !agent_id_equal(agent, &e.agent)))
        return false;
    for (at += sizeof e + e.len; at < shared->journal_len; at += sizeof later + later.len) {
        memcpy(&later, shared->journal + at, sizeof later);
        if (later.is_checkpoint && agent_id_equal(&later.agent, &e.agent))
            return false;
    }
    return true;
}

static void
on_recall(struct bytes payload)
{
    struct msg_RECALL m;
    struct msg_RECALLED recalled = { .ok = 1 };
    bool ok = msg_RECALL_unpack(&m, payload, NULL);

    assert(ok);
    recalled.request = m.request;
    for (size_t at = 0; at < shared->journal_len;) {
        struct journal_entry e;
        struct msg_COMMIT commit;

        memcpy(&e, shared->journal + at, sizeof e);
        if (is_needed(at, &m.agent)) {
            send_record(&e, bytes_from(shared->journal + at + sizeof e, e.len), m.request);
            if (msg_COMMIT_unpack(&commit, bytes_from(shared->journal + at + sizeof e, e.len), NULL))
                recalled.last_seq = commit.seq;
        }
        at += sizeof e + e.len;
    }
    msg_RECALLED_pack(world_at_once(PEER_JOURNAL), &recalled);
}

static void
tell_suspects(void)
{
    struct msg_SUSPECTS m = { 0 };
    struct buf entries = { 0 }, frame = { 0 };
    const uint16_t len = (uint16_t)strlen(AGENT_CLASS);

    for (uint32_t i = 0; i < shared->agents_count; i++) {
        bool is_suspect = false;

        for (size_t at = 0; at < shared->journal_len;) {
            struct journal_entry e;

            memcpy(&e, shared->journal + at, sizeof e);
            is_suspect |= is_needed(at, &shared->agents[i].id);
            at += sizeof e + e.len;
        }
        if (!is_suspect)
            continue;
        buf_append(&entries, shared->agents[i].id.bytes, 32);
        buf_append(&entries, &len, sizeof len);
        buf_append_str(&entries, AGENT_CLASS);
    }
    m.entries = buf_view(&entries);
    msg_SUSPECTS_pack(&frame, &m);
    house_deliver(PEER_JOURNAL, buf_view(&frame));
    buf_fini(&entries);
    buf_fini(&frame);
}

void
journal_hears(uint16_t type, struct bytes payload)
{
    struct msg_CHECKPOINTED m;

    if (type == MSG_COMMIT)
        on_commit(payload);
    else if (type == MSG_RECALL)
        on_recall(payload);
    else if (type == MSG_CHECKPOINTED && msg_CHECKPOINTED_unpack(&m, payload, NULL))
        journal_keep(&m.agent, 0, true, BYTES_NONE);
}

/* ---- the scheduler ---- */

#define ALARM_CALLS 0x10000u           /* their numbers begin here */

int64_t
world_alarm_due_us(void)
{
    int64_t due = INT64_MAX;

    for (uint32_t i = 0; i < shared->agents_count; i++) {
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

    for (uint32_t i = 0; i < shared->agents_count; i++) {
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
world_agent(const struct agent_id *id)
{
    for (uint32_t i = 0; i < shared->agents_count; i++)
        if (agent_id_equal(&shared->agents[i].id, id))
            return &shared->agents[i];
    prop_fail("an agent that nobody asked for");
}

void
world_hurry(void)
{
    world.is_hurrying = true;
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
        return;
    default:
        answerer_hears(peer, type, payload);
    }
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
world_hear(void)
{
    bool is_more = true;

    while (is_more) {
        is_more = false;
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
survive(struct chance *c)
{
    const uint64_t last = shared->durable_ticket + chance_u64(c) % (shared->last_ticket - shared->durable_ticket + 1);

    while (shared->durable_ticket < last)
        become_durable(shared->durable_ticket + 1);
    for (uint32_t i = 0; i < shared->sockets_count; i++)
        shared->sockets[i].is_closed |= !shared->sockets[i].is_hibernatable;
    for (uint32_t i = 0; i < shared->agents_count; i++)
        shared->agents[i].alarm_in_flight = false;
}

void
world_begin(uint64_t seed, bool is_born_anew)
{
    struct chance c = chance_of(seed, 77);

    if (is_born_anew)
        survive(&c);
    for (int peer = 0; peer < PEERS; peer++)
        house_link_up((enum prop_peer)peer);
    tell_suspects();
    tell_sockets();
    world_hear();
}
