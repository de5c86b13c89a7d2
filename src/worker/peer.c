/* peer — see peer.h: the tables of calls and what arrives on the wire. Sending is in calls.c, delivery to JavaScript in deliver.c. */
#include "src/worker/peer.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "lib/loop/loop.h"
#include "src/worker/deliver.h"
#include "src/worker/deploy.h"
#include "src/worker/log.h"
#include "src/worker/sockets.h"
#include "src/worker/worker_limits.h"

/* A worker of the app that is not there yet, or not there again. */
struct awaited {
    struct loop_timer *patience;
    struct buf         frames;
    uint16_t           slot;
};

static struct peer *loopback;
static struct buf   loopback_out;
static struct umap *awaited_peers;     /* slot → struct peer */

static struct peer *
create(struct link *link)
{
    struct peer *p = calloc(1, sizeof *p);

    assert(p != NULL);
    p->link = link;
    p->outgoing = umap_create();
    p->incoming = umap_create();
    p->next_id = 1;
    p->refs = 1;
    return p;
}

struct peer *
peer_of_link(struct link *link)
{
    struct peer *p = link_user(link);

    if (p == NULL) {
        p = create(link);
        link_set_user(link, p);
    }
    return p;
}

struct peer *
peer_loopback(void)
{
    if (loopback == NULL)
        loopback = create(NULL);
    return loopback;
}

static struct peer *
peer_or_null(struct link *link)
{
    return link != NULL ? peer_of_link(link) : NULL;
}

static struct buf
awaited_end(struct peer *p)
{
    struct buf frames = p->awaited->frames;

    (void)umap_take(awaited_peers, p->awaited->slot);
    loop_timer_destroy(&p->awaited->patience);
    free(p->awaited);
    p->awaited = NULL;
    return frames;
}

static void
on_patience_over(void *owner)
{
    struct peer *p = owner;
    struct buf frames = awaited_end(p);

    buf_fini(&frames);
    peer_lost(p);
    worker_run_loopback();
}

static struct peer *
peer_awaited(uint16_t slot)
{
    struct peer *p;

    if (awaited_peers == NULL)
        awaited_peers = umap_create();
    p = umap_get(awaited_peers, slot);
    if (p != NULL)
        return p->awaited->frames.len <= PEER_AWAIT_BYTES_MAX ? p : NULL;
    if (worker.is_stopping)
        return NULL;
    p = create(NULL);
    p->awaited = calloc(1, sizeof *p->awaited);
    assert(p->awaited != NULL);
    p->awaited->slot = slot;
    p->awaited->patience = loop_timer_create(worker.loop, on_patience_over, p);
    loop_timer_arm(p->awaited->patience, PEER_AWAIT_MS);
    (void)umap_put(awaited_peers, slot, p);
    return p;
}

struct peer *
peer_of_slot(uint16_t slot)
{
    struct link *link;

    if (slot == worker.slot)
        return peer_loopback();
    link = room_link(worker.room, ROLE_WORKER, slot, worker.app);
    return link != NULL ? peer_of_link(link) : peer_awaited(slot);
}

void
peer_arrived(struct link *link)
{
    struct peer *p = awaited_peers != NULL ? umap_get(awaited_peers, link_peer(link)->index) : NULL;
    struct buf frames;

    if (p == NULL)
        return;
    assert(link_user(link) == NULL);
    frames = awaited_end(p);
    p->link = link;
    link_set_user(link, p);
    buf_append_bytes(link_out(link), buf_view(&frames));
    buf_fini(&frames);
}

struct peer *
peer_of_role(enum role role)
{
    return peer_or_null(room_link(worker.room, role, 0, NULL));
}

void
peer_unref(struct peer *p)
{
    if (p == NULL || --p->refs > 0)
        return;
    umap_destroy(&p->outgoing);
    umap_destroy(&p->incoming);
    free(p);
}

/* Where frames to a peer that is gone end: cleared before each use. */
static struct buf nowhere;

struct buf *
peer_out(struct peer *p)
{
    if (p->is_gone) {
        buf_clear(&nowhere);
        return &nowhere;
    }
    if (p->awaited != NULL)
        return &p->awaited->frames;
    return p->link != NULL ? link_out(p->link) : &loopback_out;
}

static void
call_lost(struct call *c)
{
    static const char text[] = "Network connection lost.";

    if (c->side == SIDE_INCOMING) {
        if (!c->is_dispatched)
            call_free(c);
        else
            deliver_post_cancelled(c);
    } else if (!c->has_reply) {
        deliver_post_fail(c, ERR_LOST, FAIL_RETRYABLE, BYTES_LIT(text), BYTES_NONE);
    } else {
        deliver_post_end(c, BYTES_LIT(text));
    }
}

void
peer_lost(struct peer *p)
{
    struct umap *maps[2] = { p->outgoing, p->incoming };
    uint64_t key;
    void *value;

    p->is_gone = true;
    p->link = NULL;
    for (int m = 0; m < 2; m++) {
        size_t cursor = 0;

        while (umap_next(maps[m], &cursor, &key, &value)) {
            (void)umap_take(maps[m], key);
            call_lost(value);
            cursor = 0;                /* delivering may have changed the map */
        }
    }
    peer_unref(p);
}

/* ---- calls from outside ---- */

static void
refuse(struct peer *p, uint32_t wire, enum err_code code, unsigned flags, const char *message)
{
    struct msg_FAIL fail = { .call = wire, .code = (uint16_t)code, .flags = (uint8_t)flags, .message = bytes_of(message) };

    msg_FAIL_pack(peer_out(p), &fail);
}

static struct agent *
target_of(struct peer *p, const struct msg_CALL *m)
{
    switch (m->kind) {
    case CALL_ENTRY:
    case CALL_SCHEDULED:
    case CALL_EMAIL:
        return agent_entry();
    case CALL_FETCH:
    case CALL_RPC:
    case CALL_ALARM:
        if (agent_id_slot(&m->agent, worker.slots) != worker.slot) {
            refuse(p, m->call, ERR_UNAVAILABLE, FAIL_RETRYABLE, "This worker does not own that agent.");
            return NULL;
        }
        if (worker.deploy == NULL || !deploy_may_have_class(m->class_name)) {
            refuse(p, m->call, ERR_NOT_FOUND, 0, "No such Durable Object class is exported from the worker.");
            return NULL;
        }
        return agent_get(m->class_name, &m->agent, m->name);
    default:
        refuse(p, m->call, ERR_MALFORMED, 0, "A worker does not answer calls of this kind.");
        return NULL;
    }
}

static bool
on_call(struct peer *p, struct bytes payload, struct err *err)
{
    struct msg_CALL m;
    struct agent *a;
    struct call *c;

    if (!msg_CALL_unpack(&m, payload, err))
        return false;
    if (umap_get(p->incoming, m.call) != NULL)
        return err_set(err, ERR_MALFORMED, 0, "call %u is open already", m.call);
    if (umap_count(p->incoming) >= CALLS_MAX) {
        refuse(p, m.call, ERR_OVERLOADED, FAIL_OVERLOADED | FAIL_RETRYABLE, "Too many requests are in flight.");
        return true;
    }
    a = target_of(p, &m);
    if (a == NULL)
        return true;
    worker.calls++;
    c = call_accept(a, p, &m);
    if (m.kind == CALL_RPC && (m.flags & CALL_BODY_MORE) != 0) {
        c->is_gathering = true;
        buf_append_bytes(&c->gather, m.body);
        /* The head is kept at the end of the gathered frame's event: repack without the body. */
        c->head_event = deliver_create_call(c, payload);
        return true;
    }
    deliver_post_call(c, payload);
    return true;
}

/* ---- what arrives about open calls ---- */

static struct call *
find(struct peer *p, uint32_t wire, bool from_opener)
{
    return umap_get(from_opener ? p->incoming : p->outgoing, wire);
}

static bool
on_reply(struct peer *p, struct bytes payload, struct err *err)
{
    struct msg_REPLY m;
    struct call *c;

    if (!msg_REPLY_unpack(&m, payload, err))
        return false;
    c = umap_get(p->outgoing, m.call);
    if (c == NULL)
        return true;                   /* cancelled meanwhile */
    if (c->has_reply)
        return err_set(err, ERR_MALFORMED, 0, "call %u was answered twice", m.call);
    c->has_reply = true;
    c->peer_body_open = (m.flags & CALL_BODY_MORE) != 0;
    if (!c->peer_body_open)
        (void)umap_take(p->outgoing, m.call);
    if (c->kind == CALL_RPC) {
        buf_append_bytes(&c->gather, m.body);
        c->is_gathering = c->peer_body_open;
        if (!c->is_gathering)
            deliver_post_rpc_reply(c);
        return true;
    }
    deliver_post_reply(c, payload);
    return true;
}

static bool
on_fail(struct peer *p, struct bytes payload, struct err *err)
{
    struct msg_FAIL m;
    struct call *c;

    if (!msg_FAIL_unpack(&m, payload, err))
        return false;
    c = umap_take(p->outgoing, m.call);
    if (c != NULL)
        deliver_post_fail(c, m.code < ERR_CODES ? (enum err_code)m.code : ERR_APP, m.flags, m.message, m.detail);
    return true;
}

static bool
on_data(struct peer *p, struct bytes payload, struct err *err)
{
    struct msg_DATA m;
    struct call *c;

    if (!msg_DATA_unpack(&m, payload, err))
        return false;
    c = find(p, m.call, m.from_opener != 0);
    if (c == NULL || !c->peer_body_open)
        return true;
    if (!c->is_gathering) {
        deliver_post_data(c, m.bytes);
        return true;
    }
    if (c->gather.len + m.bytes.len > RPC_BYTES_MAX) {
        if (c->side == SIDE_INCOMING)
            call_fail(c, ERR_LIMIT, 0, BYTES_LIT("The RPC message is larger than 32 MiB."), BYTES_NONE);
        else
            deliver_post_fail(c, ERR_LIMIT, 0, BYTES_LIT("The RPC reply is larger than 32 MiB."), BYTES_NONE);
        return true;
    }
    buf_append_bytes(&c->gather, m.bytes);
    call_grant(c, (uint32_t)m.bytes.len);
    return true;
}

static bool
on_end(struct peer *p, struct bytes payload, struct err *err)
{
    struct msg_END m;
    struct call *c;

    if (!msg_END_unpack(&m, payload, err))
        return false;
    c = find(p, m.call, m.from_opener != 0);
    if (c == NULL || !c->peer_body_open)
        return true;
    c->peer_body_open = false;
    if (c->side == SIDE_OUTGOING)
        (void)umap_take(p->outgoing, m.call);
    if (!c->is_gathering) {
        deliver_post_end(c, m.message);
    } else if (m.message.len > 0) {
        if (c->side == SIDE_INCOMING)
            call_free(c);
        else
            deliver_post_fail(c, ERR_LOST, FAIL_RETRYABLE, m.message, BYTES_NONE);
    } else if (c->side == SIDE_INCOMING) {
        c->is_gathering = false;
        deliver_post_event(STEAL(c->head_event));
    } else {
        c->is_gathering = false;
        deliver_post_rpc_reply(c);
    }
    return true;
}

static bool
on_credit(struct peer *p, struct bytes payload, struct err *err)
{
    struct msg_CREDIT m;
    struct call *c;

    if (!msg_CREDIT_unpack(&m, payload, err))
        return false;
    c = find(p, m.call, m.from_opener != 0);
    if (c != NULL)
        call_credit(c, m.bytes);
    return true;
}

static bool
on_cancel(struct peer *p, struct bytes payload, struct err *err)
{
    struct msg_CANCEL m;
    struct call *c;

    if (!msg_CANCEL_unpack(&m, payload, err))
        return false;
    c = umap_take(m.from_opener ? p->incoming : p->outgoing, m.call);
    if (c == NULL)
        return true;
    if (c->side == SIDE_OUTGOING)      /* the callee wants no more: of the body that we send; or it gave the reply up */
        call_lost(c);
    else if (!c->is_dispatched)
        call_free(c);
    else
        deliver_post_cancelled(c);
    return true;
}

bool
peer_message(struct peer *p, uint16_t type, struct bytes payload, struct err *err)
{
    switch (type) {
    case MSG_CALL: return on_call(p, payload, err);
    case MSG_REPLY: return on_reply(p, payload, err);
    case MSG_FAIL: return on_fail(p, payload, err);
    case MSG_DATA: return on_data(p, payload, err);
    case MSG_END: return on_end(p, payload, err);
    case MSG_CREDIT: return on_credit(p, payload, err);
    case MSG_CANCEL: return on_cancel(p, payload, err);
    default: return sockets_message(p, type, payload, err);
    }
}

bool
peer_loopback_run(void)
{
    struct buf frames = loopback_out;
    size_t at = 0;

    if (frames.len == 0)
        return false;
    loopback_out = (struct buf){ 0 };
    while (frames.len - at >= FRAME_HEADER_BYTES) {
        uint32_t len;
        uint16_t type;
        struct err err = { 0 };

        memcpy(&len, frames.data + at, 4);
        memcpy(&type, frames.data + at + 4, 2);
        at += FRAME_HEADER_BYTES;
        assert(len <= frames.len - at);
        if (!peer_message(peer_loopback(), type, bytes_from(frames.data + at, len), &err))
            room_log(worker.room, 3, "a message to itself was refused: %s", err.message);
        at += len;
    }
    /* Keep the larger of the two buffers: no allocation in the steady state. */
    if (loopback_out.cap == 0) {
        frames.len = 0;
        loopback_out = frames;
    } else {
        buf_fini(&frames);
    }
    return true;
}
