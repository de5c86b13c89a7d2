/* commits — see commits.h. Suspects and their records are in recall.c. */
#include "src/worker/commits.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "lib/loop/loop.h"
#include "lib/store/store.h"
#include "lib/sys/sys.h"
#include "src/worker/agent.h"
#include "src/worker/file_sync.h"
#include "src/worker/history.h"
#include "src/worker/log.h"
#include "src/worker/recall.h"
#include "src/worker/snapshot.h"
#include "src/worker/sql.h"
#include "src/worker/worker.h"
#include "src/worker/worker_limits.h"

#define EPOCH_ALONE 1                  /* the owner's epoch on a node without a cluster */

struct commit {                        /* on its way: kept until durable, so that a restarted journal hears it again */
    struct list_node in_flight;
    struct agent    *agent;
    uint64_t         ticket, seq;
    struct buf       frames;           /* its COMMIT messages */
    bool             is_sent;          /* a journal may have it already: it is told so when it is sent again */
    bool             is_birth;
    void           (*gone)(struct agent *agent, const struct err *err, void *owner);   /* deletes the agent; else NULL */
    void           (*done)(struct agent *agent, const struct err *err, void *owner);   /* of commits_send_image(); else NULL */
    void            *owner;            /* of either */
};

static struct {
    struct list_node   flight;         /* struct commit, in order */
    size_t             bytes;
    uint64_t           last_ticket, durable_ticket;
    uint32_t           generation;
    struct loop_timer *patience;       /* runs while the journal is away */
    unsigned           patience_lost;
    unsigned           lone;           /* commits in a row that were durable before the next one came */
} commits;

static void refuse(enum err_code code, const char *message);

static void
on_impatient(void *owner)
{
    refuse(ERR_UNAVAILABLE, "The journal is away: the write may or may not have happened. Try again.");
    if (++commits.patience_lost < JOURNAL_PATIENCE_TIMES) {
        loop_timer_arm(commits.patience, JOURNAL_PATIENCE_MS);
        return;
    }
    /* It lives and ended our link, or never comes back: a new worker gets a new link. */
    room_log(worker.room, 3, "the journal has been away for %d s: this worker starts over", JOURNAL_PATIENCE_TIMES * JOURNAL_PATIENCE_MS / 1000);
    room_exit(worker.room, 1);
}

void
commits_init(void)
{
    list_init(&commits.flight);
    list_init(&worker.stalled);
    list_init(&worker.settled);
    commits.generation = 1;
    commits.last_ticket = commits.durable_ticket = TICKET_SETTLED;
    commits.patience = loop_timer_create(worker.loop, on_impatient, NULL);
    recall_init();
}

bool
commits_is_durable(uint64_t ticket)
{
    return ticket <= commits.durable_ticket;
}

bool
commits_are_durable(const struct agent *a)
{
    return commits_is_durable(a->ticket);
}

bool
commits_are_full(void)
{
    return commits.bytes > COMMITS_BYTES_MAX;
}

bool
commits_are_none(void)
{
    return list_is_empty(&commits.flight);
}

uint64_t
commits_count(void)
{
    return commits.last_ticket > TICKET_SETTLED ? commits.last_ticket - TICKET_SETTLED : 0;
}

/* ---- out ---- */

static struct commit *
commit_create(struct agent *a)
{
    struct commit *c = calloc(1, sizeof *c);

    assert(c != NULL);
    c->agent = a;
    c->ticket = a->ticket = ++commits.last_ticket;
    list_push_back(&commits.flight, &c->in_flight);
    return c;
}

static void
commit_free(struct commit *c)
{
    list_remove(&c->in_flight);
    commits.bytes -= c->frames.len;
    buf_fini(&c->frames);
    free(c);
}

static void
dispatch(struct commit *c)
{
    struct link *link = worker_journal();

    commits.bytes += c->frames.len;
    c->is_sent = link != NULL;
    if (link == NULL)
        return;
    buf_append_bytes(link_out(link), buf_view(&c->frames));
    if (list_first(&commits.flight, struct commit, in_flight) != c)
        commits.lone = 0;
    else if (commits.lone >= JOURNAL_SOON_LONE_MIN)
        loop_expect_soon(worker.loop, JOURNAL_SOON_US);
}

struct packing {
    struct commit    *commit;
    struct msg_COMMIT m;
};

static void
pack_part(void *owner, struct bytes pages, bool more)
{
    struct packing *p = owner;

    p->m.pages = pages;
    p->m.flags = (uint8_t)((p->m.flags & ~COMMIT_MORE) | (more ? COMMIT_MORE : 0));
    msg_COMMIT_pack(&p->commit->frames, &p->m);
}

static void
send_commit(struct agent *a)
{
    struct packing p = { .commit = commit_create(a) };
    int64_t alarm_ms = STORE_ALARM_NONE;
    struct err ignored;

    p.commit->seq = a->sent_seq = store_seq(a->store);
    p.commit->is_birth = a->is_birth;
    a->is_birth = false;
    p.m = (struct msg_COMMIT){ .ticket = p.commit->ticket, .generation = commits.generation, .agent = a->id, .seq = p.commit->seq,
                               .epoch = EPOCH_ALONE, .class_name = bytes_of(a->class_name) };
    if (a->alarm_changed && store_alarm_get(a->store, &alarm_ms, &ignored)) {
        p.m.flags |= COMMIT_ALARM;
        p.m.alarm_ms = alarm_ms == STORE_ALARM_NONE ? 0 : alarm_ms;
        p.m.name = bytes_of(a->name);
        a->alarm_changed = false;
    }
    store_take_pages(a->store, pack_part, &p);
    dispatch(p.commit);
    history_after_commit(a, p.commit->frames.len);
    if (store_wants_checkpoint(a->store))
        a->wants_checkpoint = true;
}

bool
commits_commit(struct agent *a, struct err *err)
{
    uint64_t seq;

    history_before_commit(a);
    if (!store_commit(a->store, &seq, err))
        return false;
    if (seq != a->sent_seq)            /* nothing is sent twice, and no commit, whoever made it, stays here */
        send_commit(a);
    return true;
}

bool
commits_send_image(struct agent *a, const struct commits_image *image, struct err *err)
{
    const uint64_t ticket = a->ticket;
    struct packing p = { .commit = commit_create(a) };

    p.commit->seq = image->seq;
    p.m = (struct msg_COMMIT){ .ticket = p.commit->ticket, .generation = commits.generation, .agent = a->id, .seq = image->seq,
                               .epoch = EPOCH_ALONE, .flags = image->flags, .alarm_ms = image->alarm_ms,
                               .class_name = bytes_of(a->class_name) };
    if (image->flags & COMMIT_ALARM)
        p.m.name = bytes_of(a->name);
    if (!store_image(image->from, pack_part, &p, err)) {
        commit_free(p.commit);
        commits.last_ticket--;
        a->ticket = ticket;
        return false;
    }
    p.commit->done = image->done;
    p.commit->owner = image->owner;
    dispatch(p.commit);
    return true;
}

void
commits_send_gone(struct agent *a, void (*done)(struct agent *, const struct err *, void *), void *owner)
{
    struct commit *c = commit_create(a);
    struct msg_COMMIT m = { .ticket = c->ticket, .generation = commits.generation, .agent = a->id, .epoch = EPOCH_ALONE,
                            .flags = COMMIT_GONE | COMMIT_ALARM, .class_name = bytes_of(a->class_name), .name = bytes_of(a->name) };
    uint8_t mark[8];                   /* so that a journal does not take it for the end of an earlier life when it is sent again */

    assert(a->store == NULL && a->state == AGENT_ABSENT);
    a->is_leaving = true;
    c->gone = done;
    c->owner = owner;
    rng_bytes(mark, sizeof mark);
    m.pages = bytes_from(mark, sizeof mark);
    msg_COMMIT_pack(&c->frames, &m);
    dispatch(c);
}

/* ---- checkpoints ---- */

bool
commits_checkpoint(struct agent *a)
{
    struct err err = { 0 };

    if (a->store == NULL)
        return true;
    if (store_is_checkpointed(a->store)) {
        /* Its records left nothing to be copied: they went into the file at once, or were but a deletion. */
        if (recall_is_suspect(bytes_of(a->class_name), &a->id))
            recall_vouch(&a->id, bytes_of(a->class_name));
        return true;
    }
    if (!commits_are_durable(a) || store_is_dirty(a->store) || store_is_broken(a->store))
        return false;
    if (!store_checkpoint(a->store, &err)) {
        recall_suspect(a);             /* its file may be torn */
        worker_log_agent(a, 2, "its database cannot be written now; its commits stay in the journal: %s", err.message);
        return false;
    }
    recall_vouch(&a->id, bytes_of(a->class_name));
    return true;
}

void
commits_close_store(struct agent *a)
{
    if (a->store == NULL)
        return;
    if (!store_is_checkpointed(a->store)) {
        recall_suspect(a);
        recall_later(a);
    }
    store_close(&a->store);
}

/* ---- what became of them ---- */

static void
settle(struct agent *a)
{
    if (!list_is_linked(&a->in_settled))
        list_push_back(&worker.settled, &a->in_settled);
}

/* The agent's data is gone for good in the journal: now the folder. */
static void
finish_gone(struct commit *c, struct err *failure)
{
    struct agent *a = c->agent;
    struct err err = { 0 };
    char folder[4096];

    if (failure == NULL && !store_remove(agent_folder(a, folder, sizeof folder), &err))
        failure = &err;
    if (failure == NULL)
        recall_vouch(&a->id, bytes_of(a->class_name));
    else
        recall_suspect(a);             /* the journal may have its end: its next start asks, and tries again */
    a->is_leaving = false;
    c->gone(a, failure, c->owner);
}

static void
become_durable(struct commit *c)
{
    struct agent *a = c->agent;

    if (c->gone != NULL)
        finish_gone(c, NULL);
    else if (a->store != NULL && c->seq <= store_seq(a->store))
        store_set_durable(a->store, c->seq);
    if (c->is_birth)
        worker_tell_born(a, false);
    if (c->done != NULL)
        c->done(a, NULL, c->owner);
    settle(a);
    commit_free(c);
    commits.lone += list_is_empty(&commits.flight);
}

static void
run_settled(void)
{
    struct agent *a;

    while ((a = list_first(&worker.settled, struct agent, in_settled)) != NULL) {
        list_remove(&a->in_settled);
        gate_settled(a);               /* may be the end of the agent */
    }
    while (!commits_are_full() && (a = list_first(&worker.stalled, struct agent, in_idle)) != NULL) {
        list_remove(&a->in_idle);
        agent_pump(a);
    }
}

static bool
on_durable(struct bytes payload, struct err *err)
{
    struct msg_DURABLE m;
    struct commit *c;

    if (!msg_DURABLE_unpack(&m, payload, err))
        return false;
    if (m.generation != commits.generation)
        return true;                   /* of commits that were given up since */
    if (m.ticket > commits.last_ticket)
        return err_set(err, ERR_MALFORMED, 0, "DURABLE for a ticket that was not given out");
    if (m.ticket > commits.durable_ticket)
        commits.durable_ticket = m.ticket;
    while ((c = list_first(&commits.flight, struct commit, in_flight)) != NULL && c->ticket <= commits.durable_ticket)
        become_durable(c);
    run_settled();
    return true;
}

/* All that is under way is lost, or its fate unknown: the agents start over from what is durable. */
static void
refuse(enum err_code code, const char *message)
{
    const char *said = code == ERR_IO ? TEXT_STORAGE_FAILED : message;
    unsigned flags = FAIL_RESET | (code == ERR_DISK_FULL ? 0 : FAIL_RETRYABLE);
    struct err failure = { 0 };
    struct commit *c;
    struct agent *a;

    if (commits_are_none())
        return;
    (void)err_set(&failure, code, 0, "%s", message);
    commits.generation++;
    commits.durable_ticket = commits.last_ticket;
    while ((c = list_first(&commits.flight, struct commit, in_flight)) != NULL) {
        settle(c->agent);
        c->agent->is_born_told = c->agent->is_born_told && !c->is_birth;
        if (c->gone != NULL)
            finish_gone(c, &failure);
        if (c->done != NULL)
            c->done(c->agent, &failure, c->owner);
        commit_free(c);
    }
    list_each(a, &worker.settled, struct agent, in_settled) {
        worker_log_agent(a, 3, "its latest commits were refused, their turns are undone: %s", message);
        gate_drop(a, GATE_ALL, code, flags, said);
        snapshot_refused(a, &failure);
        a->ticket = TICKET_NONE;
        a->wants_checkpoint = false;
        if (a->store != NULL)
            store_rollback(a->store);
        sql_drop_cursors(a);
        commits_close_store(a);
        if (a->state != AGENT_ABSENT && a->state != AGENT_RECALLING)   /* what waits for records has not run */
            agent_reset(a, code, flags, said);
    }
    run_settled();
}

static bool
on_refused(struct bytes payload, struct err *err)
{
    struct msg_REFUSED m;
    char *message;

    if (!msg_REFUSED_unpack(&m, payload, err))
        return false;
    if (m.generation != commits.generation)
        return true;
    message = bytes_dup(m.message);
    refuse(m.code > ERR_NONE && m.code < ERR_CODES ? (enum err_code)m.code : ERR_IO, message);
    free(message);
    return true;
}

/* ---- the journal comes and goes ---- */

static void
send_again(struct commit *c, struct link *link)
{
    for (size_t at = 0; c->frames.len - at >= FRAME_HEADER_BYTES;) {
        struct msg_COMMIT m;
        uint32_t len;
        bool ok;

        memcpy(&len, c->frames.data + at, 4);
        ok = msg_COMMIT_unpack(&m, bytes_from(c->frames.data + at + FRAME_HEADER_BYTES, len), NULL);
        assert(ok);                    /* we packed it */
        m.flags |= c->is_sent ? COMMIT_AGAIN : 0;
        msg_COMMIT_pack(link_out(link), &m);
        at += FRAME_HEADER_BYTES + len;
    }
    c->is_sent = true;
}

void
commits_journal_up(struct link *link)
{
    struct commit *c;

    loop_timer_disarm(commits.patience);
    commits.patience_lost = 0;
    list_each(c, &commits.flight, struct commit, in_flight)
        send_again(c, link);
    recall_journal_up();
    history_journal_up();
}

void
commits_journal_down(void)
{
    file_sync_journal_down();
    loop_timer_arm(commits.patience, JOURNAL_PATIENCE_MS);
}

bool
commits_message(uint16_t type, struct bytes payload, struct err *err)
{
    switch (type) {
    case MSG_DURABLE:
        return on_durable(payload, err);
    case MSG_REFUSED:
        return on_refused(payload, err);
    case MSG_SUSPECTS:
        return recall_suspects(payload, err);
    case MSG_RECORD:
        return history_is_asked(payload) ? history_record(payload, err) : recall_record(payload, err);
    case MSG_RECALLED:
        return history_is_asked(payload) ? history_recalled(payload, err) : recall_recalled(payload, err);
    case MSG_CHECKPOINT_WANTED:
        return recall_checkpoint_wanted(payload, err);
    case MSG_FILE_SYNCED:
        return file_synced(payload, err);
    default:
        return err_set(err, ERR_MALFORMED, 0, "the journal sent %s", message_name(type) != NULL ? message_name(type) : "an unknown message");
    }
}
