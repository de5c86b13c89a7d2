/* calls — the life of one call, and the bytes of the body that it sends (peer.h). */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "lib/sys/sys.h"
#include "src/worker/deliver.h"
#include "src/worker/entry_line.h"
#include "src/worker/peer.h"
#include "src/worker/worker_limits.h"

static struct call *
create(struct agent *a, struct peer *p, int side, uint8_t kind, uint32_t wire)
{
    struct call *c = calloc(1, sizeof *c);

    assert(c != NULL);
    c->agent = a;
    c->peer = p;
    if (p != NULL)
        p->refs++;
    c->side = (uint8_t)side;
    c->kind = kind;
    c->wire = wire;
    c->slot = SLOT_NONE;
    c->since_ms = clock_mono_ms();
    c->out.credit = STREAM_WINDOW_BYTES;
    list_push_back(&a->calls, &c->in_agent);
    if (side == SIDE_INCOMING) {
        a->open_incoming++;
        worker.open_calls += p != NULL;
    } else {
        a->open_outgoing++;
    }
    return c;
}

void
call_describe(struct call *c, const struct msg_CALL *m)
{
    const uint8_t *query = m->url.len > 0 ? memchr(m->url.data, '?', m->url.len) : NULL;
    size_t url_len = query != NULL ? (size_t)(query - m->url.data) : m->url.len;
    size_t method_len = m->method.len < CALL_ABOUT_BYTES_MAX ? m->method.len : CALL_ABOUT_BYTES_MAX;

    if (method_len == 0)
        return;
    url_len = url_len < CALL_ABOUT_BYTES_MAX ? url_len : CALL_ABOUT_BYTES_MAX;
    c->about = malloc(method_len + 1 + url_len + 1);
    assert(c->about != NULL);
    memcpy(c->about, m->method.data, method_len);
    c->about[method_len] = url_len > 0 ? ' ' : '\0';
    if (url_len > 0)
        memcpy(c->about + method_len + 1, m->url.data, url_len);
    c->about[method_len + 1 + url_len] = '\0';
}

struct call *
call_accept(struct agent *a, struct peer *p, const struct msg_CALL *m)
{
    struct call *c = create(a, p, SIDE_INCOMING, m->kind, m->call);

    c->peer_body_open = (m->flags & CALL_BODY_MORE) != 0;
    c->alarm_ms = m->n1;
    c->alarm_retry = m->n2;
    call_describe(c, m);
    umap_put(p->incoming, m->call, c);
    return c;
}

struct call *
call_local(struct agent *a, uint8_t kind)
{
    return create(a, NULL, SIDE_INCOMING, kind, 0);
}

void
call_number(struct call *c)
{
    c->number = c->agent->next_incoming++;
    c->is_dispatched = true;
    umap_put(c->agent->incoming, c->number, c);
}

struct call *
call_open(struct agent *a, struct peer *p, uint8_t kind, uint32_t number)
{
    struct call *c;

    while (p->next_id == 0 || umap_get(p->outgoing, p->next_id) != NULL)
        p->next_id++;
    c = create(a, p, SIDE_OUTGOING, kind, p->next_id++);
    c->number = number;
    umap_put(p->outgoing, c->wire, c);
    umap_put(a->outgoing, number, c);
    return c;
}

struct call *
call_find(struct agent *a, uint32_t number, int side)
{
    return umap_get(side == SIDE_INCOMING ? a->incoming : a->outgoing, number);
}

void
call_free(struct call *c)
{
    struct agent *a = c->agent;
    struct event *e;

    if (c->peer != NULL) {
        struct umap *map = c->side == SIDE_INCOMING ? c->peer->incoming : c->peer->outgoing;

        if (umap_get(map, c->wire) == c)
            (void)umap_take(map, c->wire);
    }
    if (c->queued > 0)                     /* 10,000 may wait there, and each of them ends once */
        list_each(e, &a->queue, struct event, in_queue)
            if (e->call == c) {
                entry_line_remove(a, e);
                free(e);
            }
    if (c->side == SIDE_INCOMING) {
        a->open_incoming--;
        worker.open_calls -= c->peer != NULL;
        if (c->is_dispatched && a->incoming != NULL && umap_get(a->incoming, c->number) == c)
            (void)umap_take(a->incoming, c->number);
    } else {
        a->open_outgoing--;
        if (umap_get(a->outgoing, c->number) == c)
            (void)umap_take(a->outgoing, c->number);
    }
    if (a->turn_call == c)
        a->turn_call = NULL;
    list_remove(&c->in_agent);
    free(c->head_event);
    buf_fini(&c->gather);
    buf_fini(&c->out.waiting);
    free(c->out.break_message);
    free(c->about);
    peer_unref(c->peer);
    free(c);
}

/* An incoming call is over when it is answered and the body of the answer is out. */
void
call_end_if_done(struct call *c)
{
    if (c->side == SIDE_INCOMING && c->is_replied && !c->out.is_open)
        call_free(c);
}

static void
pack_end(struct call *c)
{
    struct msg_END end = { .call = c->wire, .from_opener = c->side == SIDE_OUTGOING, .message = bytes_of(c->out.break_message) };

    if (end.message.len > TEXT_MAX_BYTES)
        end.message.len = TEXT_MAX_BYTES;
    msg_END_pack(agent_out(c->agent, c->peer), &end);
    c->out.is_open = false;
}

/* Sends what the credit allows of WAITING. */
static void
body_flush(struct call *c)
{
    struct body_out *o = &c->out;
    size_t sent = 0;

    while (sent < o->waiting.len && o->credit > 0) {
        size_t n = o->waiting.len - sent;

        if (n > CHUNK_MAX_BYTES)
            n = CHUNK_MAX_BYTES;
        if ((int64_t)n > o->credit)
            n = (size_t)o->credit;
        struct msg_DATA data = { .call = c->wire, .from_opener = c->side == SIDE_OUTGOING, .bytes = { o->waiting.data + sent, n } };
        msg_DATA_pack(agent_out(c->agent, c->peer), &data);
        sent += n;
        o->credit -= (int64_t)n;
    }
    buf_consume(&o->waiting, sent);
    if (o->is_ending && o->waiting.len == 0 && o->is_open) {
        pack_end(c);
        call_end_if_done(c);
    }
}

int64_t
call_body_send(struct call *c, struct bytes data)
{
    if (!c->out.is_open || c->out.is_ending)
        return STREAM_WINDOW_BYTES;
    buf_append_bytes(&c->out.waiting, data);
    body_flush(c);
    c->out.wants_drain = c->out.waiting.len > 0 || c->out.credit <= 0;
    return c->out.credit - (int64_t)c->out.waiting.len;
}

void
call_body_end(struct call *c, const char *break_message)
{
    if (!c->out.is_open || c->out.is_ending)
        return;
    c->out.is_ending = true;
    c->out.wants_drain = false;
    if (break_message != NULL) {
        c->out.break_message = bytes_dup(bytes_of(break_message[0] != '\0' ? break_message : "the body broke off"));
        buf_clear(&c->out.waiting);
    }
    body_flush(c);
}

void
call_credit(struct call *c, uint32_t bytes)
{
    if (!c->out.is_open)
        return;
    c->out.credit += bytes;
    if (c->out.credit > 2 * STREAM_WINDOW_BYTES)
        c->out.credit = 2 * STREAM_WINDOW_BYTES;   /* a peer cannot grant without bound */
    if (c->out.wants_drain && c->out.credit > (int64_t)c->out.waiting.len) {
        c->out.wants_drain = false;
        body_flush(c);
        deliver_post_drain(c);   /* last: it runs guest code, which may end the call */
    } else {
        body_flush(c);
    }
}

void
call_grant(struct call *c, uint32_t bytes)
{
    struct msg_CREDIT credit = { .call = c->wire, .from_opener = c->side == SIDE_OUTGOING, .bytes = bytes };

    if (c->peer != NULL && c->peer_body_open)
        msg_CREDIT_pack(peer_out(c->peer), &credit);
}

void
call_cancel(struct call *c, const char *why)
{
    struct msg_CANCEL cancel = { .call = c->wire, .from_opener = 1, .message = bytes_of(why) };

    assert(c->side == SIDE_OUTGOING);
    if (cancel.message.len > TEXT_MAX_BYTES)
        cancel.message.len = TEXT_MAX_BYTES;
    if (umap_get(c->peer->outgoing, c->wire) == c)
        msg_CANCEL_pack(agent_out(c->agent, c->peer), &cancel);
    call_free(c);
}

void
call_fail(struct call *c, enum err_code code, unsigned flags, struct bytes message, struct bytes detail)
{
    assert(c->side == SIDE_INCOMING);
    if (message.len > TEXT_MAX_BYTES)
        message.len = TEXT_MAX_BYTES;
    if (detail.len > CHUNK_MAX_BYTES)
        detail = BYTES_NONE;
    if (c->peer != NULL && c->is_replied) {
        if (c->out.is_open) {
            buf_clear(&c->out.waiting);
            free(c->out.break_message);
            c->out.break_message = bytes_dup(message);
            pack_end(c);
        }
    } else if (c->peer != NULL) {
        struct msg_FAIL fail = { .call = c->wire, .code = (uint16_t)code, .flags = (uint8_t)flags, .message = message, .detail = detail };

        msg_FAIL_pack(agent_out(c->agent, c->peer), &fail);
    }
    call_free(c);
}
