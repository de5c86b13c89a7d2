/*
 * prop_journal — the journal as workers meet it: keeps commits, gives them back, refuses some, dies and comes again, knows what databases were.
 *
 * A journal that dies has kept some of what it had not answered, and none of the rest. COMMIT_BASE is kept for nobody: this one keeps all commits.
 */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "src/worker/worker.h"
#include "tests/prop/prop_world.h"

static struct {
    uint32_t generation;               /* of the worker's commits */
    bool     is_away;
    uint64_t bases[64];                /* tickets of COMMIT_BASEs: transcripts count the others */
    uint32_t bases_count;
} journal = { .generation = 1 };

/* ---- what is kept ---- */

static struct journal_entry *
entry_at(size_t at)
{
    return (struct journal_entry *)(void *)(shared->journal + at);
}

static struct journal_entry *
entry_next(struct journal_entry *e)
{
    return (struct journal_entry *)(void *)((uint8_t *)(e + 1) + (e->len + 7) / 8 * 8);
}

static struct journal_entry *
entry_end(void)
{
    return entry_at(shared->journal_len);
}

static struct bytes
entry_payload(struct journal_entry *e)
{
    return bytes_from(e + 1, e->len);
}

static struct journal_entry *
keep(const struct agent_id *agent, uint64_t ticket, struct bytes payload)
{
    struct journal_entry *e = entry_end();

    if (shared->journal_len + sizeof *e + payload.len + 8 > JOURNAL_BYTES)
        prop_fail("the journal is full");
    *e = (struct journal_entry){ .agent = *agent, .ticket = ticket, .len = (uint32_t)payload.len, .time_ms = (HOUSE_WALL_US + house_now_us) / 1000 };
    if (payload.len > 0)
        memcpy(e + 1, payload.data, payload.len);
    shared->journal_len = (size_t)((uint8_t *)entry_next(e) - shared->journal);
    return e;
}

static bool
is_durable(const struct journal_entry *e, const struct agent_id *agent)
{
    return !e->is_checkpoint && !e->is_void && e->ticket <= shared->durable_ticket && (agent == NULL || agent_id_equal(agent, &e->agent));
}

/* Whether E is a durable commit of AGENT that no checkpoint covers. */
static bool
is_needed(struct journal_entry *e, const struct agent_id *agent)
{
    if (!is_durable(e, agent))
        return false;
    for (struct journal_entry *later = entry_next(e); later < entry_end(); later = entry_next(later))
        if (later->is_checkpoint && agent_id_equal(&later->agent, &e->agent))
            return false;
    return true;
}

int64_t
journal_first_ms(const struct agent_id *agent)
{
    int64_t first = INT64_MAX;

    for (struct journal_entry *e = entry_at(0); e < entry_end(); e = entry_next(e))
        if (is_durable(e, agent))
            first = (e->flags & COMMIT_GONE) != 0 ? INT64_MAX : e->time_ms < first ? e->time_ms : first;
    return first;
}

/* Commits up to TICKET are durable: their alarms are the scheduler's from now on. */
void
journal_becomes_durable(uint64_t ticket)
{
    const uint64_t before = shared->durable_ticket;

    if (ticket <= before)
        return;
    shared->durable_ticket = ticket;
    for (struct journal_entry *e = entry_at(0); e < entry_end(); e = entry_next(e)) {
        struct msg_COMMIT m;

        if (e->ticket > before && is_durable(e, NULL) && msg_COMMIT_unpack(&m, entry_payload(e), NULL) && (m.flags & COMMIT_ALARM) != 0) {
            struct prop_agent *a = world_agent(&m.agent, m.class_name);

            a->alarm_ms = m.alarm_ms;
            a->alarm_retry = 0;
        }
    }
}

/* What is not durable is as if it had never been. */
static void
lose_the_rest(void)
{
    for (struct journal_entry *e = entry_at(0); e < entry_end(); e = entry_next(e))
        e->is_void |= !e->is_checkpoint && e->ticket > shared->durable_ticket;
}

/* ---- commits ---- */

uint64_t
journal_ticket_shown(uint64_t ticket)
{
    uint64_t shown = ticket;

    for (uint32_t i = 0; i < journal.bases_count; i++)
        shown -= journal.bases[i] < ticket;
    return shown;
}

static bool
is_base(uint64_t ticket)
{
    for (uint32_t i = 0; i < journal.bases_count; i++)
        if (journal.bases[i] == ticket)
            return true;
    return false;
}

/* Whether there is one may depend on who has slept: it is no event of its own. What waits before or behind it answers for it, too. */
static void
on_base(const struct msg_COMMIT *m)
{
    if (journal.bases_count == ARRAY_LEN(journal.bases))
        prop_fail("too many bases");
    if (!is_base(m->ticket))
        journal.bases[journal.bases_count++] = m->ticket;
    if (!world_has(CHAIN_JOURNAL))
        msg_DURABLE_pack(world_at_once(PEER_JOURNAL), &(struct msg_DURABLE){ .generation = m->generation, .ticket = m->ticket });
}

void
journal_packs_durable(struct buf *out, uint64_t ticket)
{
    while (is_base(ticket + 1))
        ticket++;
    msg_DURABLE_pack(out, &(struct msg_DURABLE){ .generation = journal.generation, .ticket = ticket });
}

/* Who looks back at the state that M makes sees what it may have been before, too. */
static void
note_life(const struct msg_COMMIT *m)
{
    struct prop_agent *a = world_agent(&m->agent, m->class_name);

    if (!a->is_part)
        control_hears_of_clone((uint32_t)(a - shared->agents));
    if (!a->is_part && (m->flags & (COMMIT_RESTORED | COMMIT_GONE)) != 0)
        marks_come_back((uint32_t)(a - shared->agents));
}

static void
on_commit(struct bytes payload)
{
    struct msg_COMMIT m;
    struct msg_DURABLE durable;
    struct journal_entry *e;
    bool ok = msg_COMMIT_unpack(&m, payload, NULL);

    assert(ok);
    if (m.generation < journal.generation)
        return;                        /* it was refused on its way */
    journal.generation = m.generation;
    if ((m.flags & COMMIT_BASE) != 0) {
        if ((m.flags & COMMIT_MORE) == 0)
            on_base(&m);
        return;
    }
    if ((m.flags & COMMIT_AGAIN) == 0 || m.ticket > shared->durable_ticket) {
        e = keep(&m.agent, m.ticket, payload);
        e->seq = m.seq;
        e->flags = m.flags;
        if (m.ticket > shared->last_ticket)
            shared->last_ticket = m.ticket;
        note_life(&m);
    }
    if ((m.flags & COMMIT_MORE) != 0)
        return;
    durable = (struct msg_DURABLE){ .generation = m.generation, .ticket = m.ticket };
    msg_DURABLE_pack(world_later(PEER_JOURNAL, CHAIN_JOURNAL), &durable);
    world_newest_tells(m.ticket);
}

/* ---- what was ---- */

static void
send_record(struct buf *out, struct journal_entry *e, uint32_t request)
{
    struct msg_COMMIT m;
    struct msg_RECORD record = { .request = request };
    bool ok = msg_COMMIT_unpack(&m, entry_payload(e), NULL);

    assert(ok);
    record.seq = m.seq;
    record.flags = m.flags & (COMMIT_MORE | COMMIT_GONE);
    record.pages = m.pages;
    msg_RECORD_pack(out, &record);
}

static void
on_recall(struct bytes payload)
{
    struct msg_RECALL m;
    struct msg_RECALLED recalled = { .ok = RECALLED_OK };
    bool ok = msg_RECALL_unpack(&m, payload, NULL);

    assert(ok);
    recalled.request = m.request;
    for (struct journal_entry *e = entry_at(0); e < entry_end(); e = entry_next(e)) {
        if (!is_needed(e, &m.agent))
            continue;
        send_record(world_at_once(PEER_JOURNAL), e, m.request);
        recalled.last_seq = e->seq;
    }
    msg_RECALLED_pack(world_at_once(PEER_JOURNAL), &recalled);
}

/* The last part of the commit that M means, or NULL. */
static struct journal_entry *
state_of(const struct msg_RECALL_AT *m)
{
    struct journal_entry *found = NULL, *before = NULL;

    for (struct journal_entry *e = entry_at(0); e < entry_end(); e = entry_next(e)) {
        if (!is_durable(e, &m->agent))
            continue;
        if (m->mode == RECALL_AT_UNDO && e->time_ms >= m->time_ms && (e->flags & COMMIT_RESTORED) != 0)
            return before;
        if (m->mode == RECALL_AT_UNDO && (e->flags & COMMIT_GONE) != 0 && e->time_ms >= m->time_ms)
            return NULL;
        if (m->mode == RECALL_AT_TIME ? e->time_ms <= m->time_ms : m->mode == RECALL_AT_COMMIT && e->seq == m->seq)
            found = e;
        if ((e->flags & COMMIT_GONE) != 0 && m->mode == RECALL_AT_COMMIT)
            found = NULL;              /* a bookmark of an earlier life */
        before = e;
    }
    return m->mode == RECALL_AT_UNDO ? before : found;
}

/* The entry that END's state begins with: of its life, or a whole database. */
static struct journal_entry *
beginning_of(struct journal_entry *end)
{
    struct journal_entry *first = NULL, *previous = NULL;

    for (struct journal_entry *e = entry_at(0); e <= end; e = entry_next(e)) {
        if (!is_durable(e, &end->agent))
            continue;
        if ((e->flags & COMMIT_GONE) != 0)
            first = NULL;
        else if (first == NULL || ((e->flags & COMMIT_RESTORED) != 0 && (previous->seq != e->seq || (previous->flags & COMMIT_MORE) == 0)))
            first = e;
        previous = e;
    }
    return first;
}

void
journal_answers_past(struct bytes question, struct buf *out)
{
    struct msg_RECALL_AT m;
    struct msg_RECALLED recalled = { .ok = RECALLED_OK };
    bool ok = msg_RECALL_AT_unpack(&m, question, NULL);
    struct journal_entry *end, *first = NULL;

    assert(ok);
    recalled.request = m.request;
    end = state_of(&m);
    if (end != NULL && (end->flags & COMMIT_GONE) == 0)
        first = beginning_of(end);
    if (world.fault == FAULT_PAST && first != NULL && first->seq < end->seq) {
        const uint64_t seq = end->seq;

        for (struct journal_entry *e = first; e < end; e = entry_next(e))
            if (is_durable(e, &m.agent) && e->seq < seq && (e->flags & COMMIT_MORE) == 0)
                end = e->seq > end->seq || end->seq == seq ? e : end;
        shared->spoiled++;
    }
    for (struct journal_entry *e = first; e != NULL && e <= end; e = entry_next(e))
        if (is_durable(e, &m.agent))
            send_record(out, e, m.request);
    if (first != NULL)
        recalled.last_seq = end->seq;
    else if (m.mode != RECALL_AT_COMMIT || m.seq != 0)     /* 0: before the first one */
        recalled.ok = RECALLED_DAMAGED;
    recalled.message = first == NULL ? BYTES_LIT("nothing of then is kept") : BYTES_NONE;
    msg_RECALLED_pack(out, &recalled);
}

/* ---- suspects ---- */

static void
tell_suspects(void)
{
    struct msg_SUSPECTS m = { 0 };
    struct buf entries = { 0 }, frame = { 0 };

    for (uint32_t i = 0; i < AGENTS_MAX + shared->parts_count; i++) {
        const char *class_name = shared->agents[i].is_part ? PART_CLASS : AGENT_CLASS;
        const uint16_t len = (uint16_t)strlen(class_name);
        bool is_suspect = false;

        if (i >= shared->agents_count && i < AGENTS_MAX)
            continue;
        for (struct journal_entry *e = entry_at(0); e < entry_end(); e = entry_next(e))
            is_suspect |= is_needed(e, &shared->agents[i].id);
        if (!is_suspect)
            continue;
        buf_append(&entries, shared->agents[i].id.bytes, 32);
        buf_append(&entries, &len, sizeof len);
        buf_append_str(&entries, class_name);
    }
    m.entries = buf_view(&entries);
    msg_SUSPECTS_pack(&frame, &m);
    house_deliver(PEER_JOURNAL, buf_view(&frame));
    buf_fini(&entries);
    buf_fini(&frame);
}

/* ---- its life ---- */

void
journal_begins(struct chance *c)
{
    if (c != NULL) {                   /* the worker was killed: some of what it had no answer for is durable */
        journal_becomes_durable(shared->durable_ticket + chance_u64(c) % (shared->last_ticket - shared->durable_ticket + 1));
        lose_the_rest();
        for (struct journal_entry *e = entry_at(0); e < entry_end(); e = entry_next(e))
            e->ticket = 0;
        shared->durable_ticket = shared->last_ticket = 1;
    }
    tell_suspects();
}

bool
journal_is_away(void)
{
    return journal.is_away;
}

bool
journal_refuses(struct chance *c)
{
    struct msg_REFUSED m = { .generation = journal.generation, .code = chance_below(c, 2) == 0 ? ERR_IO : ERR_DISK_FULL, .message = BYTES_LIT("the disk is bad") };
    struct buf frame = { 0 };

    if (journal.is_away || shared->last_ticket <= shared->durable_ticket)
        return false;
    if (world.fault == FAULT_REFUSED) {
        journal_becomes_durable(shared->last_ticket);
        shared->spoiled++;
    }
    lose_the_rest();
    shared->durable_ticket = shared->last_ticket;      /* what comes now has later ones */
    journal.generation++;
    world_forget(CHAIN_JOURNAL);
    msg_REFUSED_pack(&frame, &m);
    world_note("", PEER_JOURNAL, buf_view(&frame));
    house_deliver(PEER_JOURNAL, buf_view(&frame));
    buf_fini(&frame);
    return true;
}

/* Whose database lacks commits, and whose does not, must not depend on who has been asleep: all that can be whole are. */
static void
make_whole(void)
{
    for (uint32_t i = 0; i < AGENTS_MAX + shared->parts_count; i++) {
        const struct prop_agent *a = &shared->agents[i];
        struct buf frame = { 0 };

        if (i >= shared->agents_count && i < AGENTS_MAX)
            continue;
        msg_CHECKPOINT_WANTED_pack(&frame, &(struct msg_CHECKPOINT_WANTED){ .agent = a->id, .class_name = bytes_of(a->is_part ? PART_CLASS : AGENT_CLASS) });
        house_deliver(PEER_JOURNAL, buf_view(&frame));
        world_hear();
        buf_fini(&frame);
    }
}

void
journal_dies(struct chance *c)
{
    const uint64_t pending = shared->last_ticket - shared->durable_ticket;

    say("the journal dies");
    make_whole();
    journal_becomes_durable(shared->durable_ticket + chance_u64(c) % (pending + 1));
    lose_the_rest();
    shared->last_ticket = shared->durable_ticket;
    if (world.fault == FAULT_JOURNAL) {        /* it forgets what it said was durable, and that the file has not */
        for (struct journal_entry *e = entry_at(0); e < entry_end(); e = entry_next(e)) {
            shared->spoiled += is_needed(e, NULL);
            e->is_void |= is_needed(e, NULL);
        }
    }
    world_forget(CHAIN_JOURNAL);
    world_forget(CHAIN_PAST);          /* it is asked again */
    world_forget(CHAIN_FILES);         /* the worker syncs them itself */
    journal.is_away = true;
    house_link_down(PEER_JOURNAL);
}

void
journal_returns(void)
{
    say("the journal is back");
    journal.is_away = false;
    house_link_up(PEER_JOURNAL);
    world_hear();
    tell_suspects();
}

void
journal_hears(uint16_t type, struct bytes payload)
{
    struct msg_CHECKPOINTED m;
    struct msg_FILE_SYNC sync;

    if (type == MSG_COMMIT)
        on_commit(payload);
    else if (type == MSG_RECALL)
        on_recall(payload);
    else if (type == MSG_RECALL_AT)
        world_answer_past(payload);
    else if (type == MSG_FILE_SYNC && msg_FILE_SYNC_unpack(&sync, payload, NULL))
        msg_FILE_SYNCED_pack(world_later(PEER_JOURNAL, CHAIN_FILES), &(struct msg_FILE_SYNCED){ .request = sync.request });
    else if (type == MSG_CHECKPOINTED && msg_CHECKPOINTED_unpack(&m, payload, NULL))
        keep(&m.agent, 0, BYTES_NONE)->is_checkpoint = true;
}
