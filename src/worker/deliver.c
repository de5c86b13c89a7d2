/* deliver — see deliver.h. Functions named run_* run inside the entered heap and may leave by a trap: they own nothing. */
#include "src/worker/deliver.h"

#include <assert.h>
#include <string.h>

#include "lib/store/store.h"
#include "src/worker/alarms.h"
#include "src/worker/heap.h"
#include "src/worker/worker_limits.h"

static jsval
text(struct bytes b)
{
    return js_new_string(b);
}

static jsval
text_or_undefined(struct bytes b)
{
    return b.len > 0 ? js_new_string(b) : JSV_UNDEFINED;
}

static jsval
buffer_or_undefined(struct bytes b)
{
    return b.len > 0 ? js_new_array_buffer(b) : JSV_UNDEFINED;
}

static jsval
number(double d)
{
    return js_new_number(d);
}

static struct event *
create(struct call *c, void (*run)(struct agent *, struct event *), struct bytes frame)
{
    struct event *e = event_create(run, frame.len);

    e->call = c;
    e->section = c->section;
    if (frame.len > 0)
        memcpy(e->frame, frame.data, frame.len);
    return e;
}

static struct bytes
frame_of(const struct event *e)
{
    return bytes_from(e->frame, e->len);
}

/* ---- new turns ---- */

/* Body modes of the host interface: 0 none, 1 whole, 2 stream. */
static int
body_mode(unsigned flags)
{
    return (flags & CALL_BODY_MORE) != 0 ? 2 : (flags & CALL_HAS_BODY) != 0 ? 1 : 0;
}

static void
run_http(const struct msg_CALL *m, struct call *c)
{
    jsval args[8] = {
        number(c->number), text(m->method), text(m->url), text(m->headers), number(body_mode(m->flags)),
        (m->flags & (CALL_HAS_BODY | CALL_BODY_MORE)) != 0 ? js_new_array_buffer(m->body) : JSV_UNDEFINED, text(m->meta),
        js_new_bool((m->flags & CALL_UPGRADE) != 0),
    };
    heap_dispatch(m->kind == CALL_FETCH ? JS_FETCH : JS_ENTRY, 8, args);
}

static void
run_call(struct agent *a, struct event *e)
{
    struct call *c = e->call;
    struct msg_CALL m;
    struct bytes body;

    if (!msg_CALL_unpack(&m, frame_of(e), NULL))
        engine_trap(TRAP_FAULT);       /* cannot be: it was unpacked when it came */
    call_number(c);
    body = c->gather.len > 0 ? buf_view(&c->gather) : m.body;
    switch (m.kind) {
    case CALL_RPC: {
        jsval args[3] = { number(c->number), text(m.method), js_new_array_buffer(body) };
        heap_dispatch(JS_RPC, 3, args);
        break;
    }
    case CALL_ALARM: {
        if (!alarms_begin(a, c))
            break;
        jsval args[3] = { number(c->number), number((double)m.n1), number(m.n2) };
        heap_dispatch(JS_ALARM, 3, args);
        break;
    }
    case CALL_SCHEDULED: {
        jsval args[3] = { number(c->number), text(m.meta), number((double)m.n1) };
        heap_dispatch(JS_SCHEDULED, 3, args);
        break;
    }
    case CALL_EMAIL: {
        jsval args[3] = { number(c->number), text(m.meta), js_new_array_buffer(body) };
        heap_dispatch(JS_EMAIL, 3, args);
        break;
    }
    default:
        run_http(&m, c);
    }
}

struct event *
deliver_create_call(struct call *c, struct bytes payload)
{
    struct event *e = create(c, run_call, payload);

    e->is_outside = true;
    return e;
}

void
deliver_post_event(struct event *e)
{
    agent_post(e->call->agent, e);
}

void
deliver_post_call(struct call *c, struct bytes payload)
{
    agent_post(c->agent, deliver_create_call(c, payload));
}

/* ---- answers to what the agent started ---- */

static void
run_reply(struct agent *a, struct event *e)
{
    struct call *c = e->call;
    uint32_t n = c->number;
    struct msg_REPLY m;

    if (!msg_REPLY_unpack(&m, frame_of(e), NULL))
        engine_trap(TRAP_FAULT);
    if (!(m.flags & CALL_BODY_MORE))
        call_free(c);
    jsval args[7] = {
        number(n), number(m.status), text(m.status_text), text(m.headers), number(body_mode(m.flags)),
        (m.flags & (CALL_HAS_BODY | CALL_BODY_MORE)) != 0 ? js_new_array_buffer(m.body) : JSV_UNDEFINED, number((double)m.socket),
    };
    heap_dispatch(JS_REPLY, 7, args);
}

void
deliver_post_reply(struct call *c, struct bytes payload)
{
    agent_post(c->agent, create(c, run_reply, payload));
}

static void
run_rpc_reply(struct agent *a, struct event *e)
{
    jsval args[2] = { number(e->call->number), js_new_array_buffer(buf_view(&e->call->gather)) };

    call_free(e->call);
    heap_dispatch(JS_REPLY_RPC, 2, args);
}

void
deliver_post_rpc_reply(struct call *c)
{
    agent_post(c->agent, create(c, run_rpc_reply, BYTES_NONE));
}

static void
run_fail(struct agent *a, struct event *e)
{
    uint32_t n = e->call->number;
    struct msg_FAIL m;

    if (!msg_FAIL_unpack(&m, frame_of(e), NULL))
        engine_trap(TRAP_FAULT);
    call_free(e->call);
    jsval args[4] = { number(n), text(m.message), buffer_or_undefined(m.detail), number(m.flags) };
    heap_dispatch(JS_FAIL, 4, args);
}

void
deliver_post_fail(struct call *c, enum err_code code, unsigned flags, struct bytes message, struct bytes detail)
{
    struct msg_FAIL m = { .call = c->wire, .code = (uint16_t)code, .flags = (uint8_t)flags, .message = message, .detail = detail };
    struct buf frame = { 0 };

    (void)umap_take(c->peer->outgoing, c->wire);
    msg_FAIL_pack(&frame, &m);
    agent_post(c->agent, create(c, run_fail, bytes_from(frame.data + FRAME_HEADER_BYTES, frame.len - FRAME_HEADER_BYTES)));
    buf_fini(&frame);
}

/* ---- bodies ---- */

static void
run_data(struct agent *a, struct event *e)
{
    jsval args[3] = { number(e->call->number), number(e->call->side), js_new_array_buffer(frame_of(e)) };

    heap_dispatch(JS_BODY, 3, args);
}

void
deliver_post_data(struct call *c, struct bytes data)
{
    agent_post(c->agent, create(c, run_data, data));
}

static void
run_end(struct agent *a, struct event *e)
{
    jsval args[3] = { number(e->call->number), number(e->call->side), text_or_undefined(frame_of(e)) };

    if (e->call->side == SIDE_OUTGOING)
        call_free(e->call);
    heap_dispatch(JS_BODY_END, 3, args);
}

void
deliver_post_end(struct call *c, struct bytes message)
{
    agent_post(c->agent, create(c, run_end, message));
}

static void
run_drain(struct agent *a, struct event *e)
{
    jsval args[2] = { number(e->call->number), number(e->call->side) };

    heap_dispatch(JS_DRAIN, 2, args);
}

void
deliver_post_drain(struct call *c)
{
    agent_post(c->agent, create(c, run_drain, BYTES_NONE));
}

static void
run_cancelled(struct agent *a, struct event *e)
{
    jsval args[1] = { number(e->call->number) };

    heap_dispatch(JS_CANCELLED, 1, args);
}

/* The caller of a running call is gone: nothing more is sent; the handler may finish. */
void
deliver_post_cancelled(struct call *c)
{
    c->peer_body_open = false;
    c->is_cancelled = true;
    c->out.is_open = false;
    buf_clear(&c->out.waiting);
    if (c->is_replied) {
        struct event *e = create(c, run_cancelled, BYTES_NONE);

        struct agent *a = c->agent;

        e->call = NULL;                /* the call ends here; the event carries its number */
        e->n1 = c->number;
        e->deliver = deliver_run_cancelled_number;
        call_free(c);
        agent_post(a, e);
        return;
    }
    agent_post(c->agent, create(c, run_cancelled, BYTES_NONE));
}

void
deliver_run_cancelled_number(struct agent *a, struct event *e)
{
    jsval args[1] = { number((double)e->n1) };

    heap_dispatch(JS_CANCELLED, 1, args);
}

static void
run_hung(struct agent *a, struct event *e)
{
    jsval args[1] = { number(e->call->number) };

    heap_dispatch(JS_HUNG, 1, args);
}

void
deliver_post_hung(struct call *c)
{
    c->is_hung = true;
    agent_post(c->agent, create(c, run_hung, BYTES_NONE));
}

/* ---- timers and storage ---- */

static void
run_timer(struct agent *a, struct event *e)
{
    jsval args[1] = { number((double)e->n1) };

    heap_dispatch(JS_TIMER, 1, args);
}

static void
post_number(struct agent *a, void (*run)(struct agent *, struct event *), uint32_t n, uint32_t section)
{
    struct event *e = event_create(run, 0);

    e->n1 = n;
    e->section = section;
    agent_post(a, e);
}

void
deliver_post_timer(struct agent *a, uint32_t id, uint32_t section)
{
    post_number(a, run_timer, id, section);
}

bool
deliver_is_own(const struct event *e)
{
    return e->deliver == run_data || e->deliver == run_drain || (!e->is_outside && (e->call == NULL || e->call->side == SIDE_OUTGOING));
}

bool
deliver_is_timer(const struct event *e)
{
    return e->deliver == run_timer;
}

static void
run_snapshot(struct agent *a, struct event *e)
{
    jsval args[3] = { number((double)e->n1), js_new_bool(e->n2 != 0), text(frame_of(e)) };

    heap_dispatch(JS_SNAPSHOT, 3, args);
}

void
deliver_post_snapshot(struct agent *a, uint32_t request, uint32_t section, bool is_failure, struct bytes said)
{
    struct event *e = event_create(run_snapshot, said.len);

    e->n1 = request;
    e->n2 = is_failure;
    e->section = section;
    if (said.len > 0)
        memcpy(e->frame, said.data, said.len);
    agent_post(a, e);
}

static void
run_synced(struct agent *a, struct event *e)
{
    jsval args[1] = { number((double)e->n1) };

    heap_dispatch(JS_SYNCED, 1, args);
}

void
deliver_post_synced(struct agent *a, uint32_t request, uint32_t section)
{
    post_number(a, run_synced, request, section);
}

/* ---- WebSockets ---- */

static void
run_ws_message(struct agent *a, struct event *e)
{
    call_number(e->call);
    jsval args[3] = {
        number(e->call->number), number((double)e->socket), e->n1 ? text(frame_of(e)) : js_new_array_buffer(frame_of(e)),
    };
    heap_dispatch(JS_WS_MESSAGE, 3, args);
}

static struct event *
create_ws(struct agent *a, void (*run)(struct agent *, struct event *), uint64_t socket, struct bytes frame)
{
    struct call *c = call_local(a, CALL_WS_EVENT);
    struct event *e = create(c, run, frame);

    c->socket = socket;
    e->socket = socket;
    e->is_outside = true;
    return e;
}

void
deliver_post_ws_message(struct agent *a, uint64_t socket, bool is_text, struct bytes data)
{
    struct event *e = create_ws(a, run_ws_message, socket, data);

    e->n1 = is_text;
    e->call->event_bytes = data.len;
    agent_post(a, e);
}

static void
run_ws_close(struct agent *a, struct event *e)
{
    call_number(e->call);
    jsval args[5] = {
        number(e->call->number), number((double)e->socket), number((double)e->n1), text(frame_of(e)), js_new_bool(e->n2 != 0),
    };
    heap_dispatch(JS_WS_CLOSE, 5, args);
}

void
deliver_post_ws_close(struct agent *a, uint64_t socket, uint16_t code, bool was_clean, struct bytes reason)
{
    struct event *e = create_ws(a, run_ws_close, socket, reason);

    e->n1 = code;
    e->n2 = was_clean;
    e->is_last = true;
    agent_post(a, e);
}

bool
deliver_is_ws_close(const struct event *e)
{
    return e->deliver == run_ws_close;
}
