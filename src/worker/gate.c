/*
 * gate — the output gate of an agent: effects leave only when the commits they could reflect are durable.
 *
 * Promise: the first law. A frame produced while the turn has uncommitted writes, or while commits of the agent are on their way, is
 * held under the ticket of the last of them (commits.c) and sent, in order, when that is durable; a commit that fails drops it.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "lib/store/store.h"
#include "src/worker/admin.h"
#include "src/worker/alarms.h"
#include "src/worker/cast.h"
#include "src/worker/commits.h"
#include "src/worker/log.h"
#include "src/worker/peer.h"
#include "src/worker/snapshot.h"
#include "src/worker/sockets.h"

/* Uncommitted writes outside of an explicit transaction: those join a later commit, and what waits for them would wait for itself.
 * A broken store has lost some: the commit says so. */
static bool
has_uncommitted(const struct agent *a)
{
    if (a->store == NULL)
        return false;
    return store_is_broken(a->store) || (store_is_dirty(a->store) && store_depth(a->store) == 0);
}

static bool
is_closed(const struct agent *a)
{
    return !list_is_empty(&a->outbox) || has_uncommitted(a) || !commits_are_durable(a);
}

struct buf *
agent_out(struct agent *a, struct peer *p)
{
    uint64_t ticket = a->is_running || has_uncommitted(a) ? TICKET_NONE : a->ticket;
    struct held_frame *h;

    cast_flush(a);
    if (!is_closed(a))
        return peer_out(p);
    h = list_is_empty(&a->outbox) ? NULL : list_entry(a->outbox.prev, struct held_frame, in_outbox);
    if (h == NULL || h->peer != p || h->ticket != ticket) {
        h = calloc(1, sizeof *h);
        assert(h != NULL);
        h->ticket = ticket;
        h->peer = p;
        p->refs++;
        list_push_back(&a->outbox, &h->in_outbox);
    }
    return &h->frames;
}

static void
held_free(struct held_frame *h)
{
    list_remove(&h->in_outbox);
    buf_fini(&h->frames);
    peer_unref(h->peer);
    free(h);
}

/* An answer that may not leave any more: its caller must not wait for it. */
static void
answer_lost(struct agent *a, struct peer *p, uint16_t type, struct bytes payload, const struct msg_FAIL *failure)
{
    struct msg_FAIL fail = *failure;
    struct msg_REPLY reply;
    struct msg_FAIL given;
    struct msg_END end;
    struct msg_ADMIN_REPLY question;
    struct msg_WS_CREDIT credit;

    if (type == MSG_REPLY && msg_REPLY_unpack(&reply, payload, NULL)) {
        fail.call = reply.call;
        msg_FAIL_pack(peer_out(p), &fail);
    } else if (type == MSG_FAIL && msg_FAIL_unpack(&given, payload, NULL)) {
        fail.call = given.call;
        msg_FAIL_pack(peer_out(p), &fail);
    } else if (type == MSG_END && msg_END_unpack(&end, payload, NULL)) {
        end.message = failure->message;    /* of a body whose head is out already; unknown calls are ignored there */
        msg_END_pack(peer_out(p), &end);
    } else if (type == MSG_ADMIN_REPLY && msg_ADMIN_REPLY_unpack(&question, payload, NULL)) {
        admin_refuse(peer_out(p), question.request, (const char *)failure->message.data);
    } else if (type == MSG_WS_CREDIT && msg_WS_CREDIT_unpack(&credit, payload, NULL)) {
        sockets_event_lost(a, credit.socket);  /* its message was handled, and undone */
    }
}

void
gate_drop(struct agent *a, enum gate_which which, enum err_code code, unsigned flags, const char *message)
{
    struct msg_FAIL failure = { .code = (uint16_t)code, .flags = (uint8_t)flags, .message = bytes_of(message) };
    struct held_frame *h;

    cast_drop(a);
    if (failure.message.len > TEXT_MAX_BYTES)
        failure.message.len = TEXT_MAX_BYTES;
    list_each(h, &a->outbox, struct held_frame, in_outbox) {
        if (which == GATE_UNCOMMITTED && h->ticket != TICKET_NONE)
            continue;
        for (size_t at = 0; h->frames.len - at >= FRAME_HEADER_BYTES;) {
            uint32_t len;
            uint16_t type;

            memcpy(&len, h->frames.data + at, 4);
            memcpy(&type, h->frames.data + at + 4, 2);
            at += FRAME_HEADER_BYTES;
            answer_lost(a, h->peer, type, bytes_from(h->frames.data + at, len), &failure);
            at += len;
        }
        held_free(h);
    }
}

/* What the first effects could reflect is durable: let them go. */
void
gate_flush(struct agent *a)
{
    struct held_frame *h;

    while ((h = list_first(&a->outbox, struct held_frame, in_outbox)) != NULL && h->ticket != TICKET_NONE && commits_is_durable(h->ticket)) {
        buf_append_bytes(peer_out(h->peer), buf_view(&h->frames));
        held_free(h);
    }
}

/* The first commit of an agent carries its name, so that an agent found on disk can be told by its name. */
static bool
keep_name(struct agent *a, struct err *err)
{
    struct buf name = { 0 };
    bool is_known, ok;

    if (a->is_born_told)
        return true;
    if (a->name == NULL) {
        a->is_birth = store_seq(a->store) == 0;
        a->is_born_told = true;
        return true;
    }
    ok = store_name_get(a->store, &name, &is_known, err) && (is_known || store_name_set(a->store, bytes_of(a->name), err));
    buf_fini(&name);
    if (ok) {
        a->is_birth = !is_known;
        a->is_born_told = true;
    }
    return ok;
}

static void
commit_failed(struct agent *a, const struct err *err)
{
    worker_log_agent(a, 3, "a commit failed, the turn is undone: %s", err->message);
    agent_reset(a, err->code, FAIL_RESET | (err->code == ERR_DISK_FULL || err->code == ERR_CORRUPT ? 0 : FAIL_RETRYABLE),
                err->code == ERR_DISK_FULL ? err->message : agent_storage_text(err->code));
}

/* What this turn made waits for the agent's last commit, be it of this turn or an earlier one. */
static void
tag_turn(struct agent *a)
{
    uint64_t ticket = a->ticket != TICKET_NONE ? a->ticket : TICKET_SETTLED;
    struct sync_request *s;

    for (struct list_node *n = a->outbox.prev; n != &a->outbox; n = n->prev) {
        struct held_frame *h = list_entry(n, struct held_frame, in_outbox);

        if (h->ticket != TICKET_NONE)
            break;
        h->ticket = ticket;
    }
    list_each(s, &a->syncs, struct sync_request, in_agent)
        if (s->ticket == TICKET_NONE)
            s->ticket = ticket;
}

bool
gate_commit(struct agent *a, struct err *err)
{
    return !has_uncommitted(a) || (keep_name(a, err) && commits_commit(a, err));
}

bool
gate_end_turn(struct agent *a)
{
    struct err err = { 0 };

    if (a->wants_reset)
        return true;                   /* the constructor threw: its writes are undone by the reset */
    if (!gate_commit(a, &err)) {
        commit_failed(a, &err);
        return false;
    }
    tag_turn(a);
    gate_flush(a);
    alarms_post_synced(a);
    snapshot_end_turn(a);
    snapshot_settled(a);
    return true;
}

void
gate_settled(struct agent *a)
{
    gate_flush(a);
    alarms_post_synced(a);
    snapshot_settled(a);
    if (a->wants_checkpoint && commits_are_durable(a)) {
        a->wants_checkpoint = false;
        (void)commits_checkpoint(a);   /* tried again when the WAL has grown on */
    }
    agent_pump(a);
}
