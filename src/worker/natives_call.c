/* natives_call — calls and bodies (docs/host-interface.md): answering what came in, opening what goes out. */
#include <string.h>

#include "src/worker/alarms.h"
#include "src/worker/async_context.h"
#include "src/worker/deliver.h"
#include "src/worker/deploy.h"
#include "src/worker/entry_line.h"
#include "src/worker/log.h"
#include "src/worker/natives.h"
#include "src/worker/peer.h"
#include "src/worker/sockets.h"
#include "src/worker/worker_limits.h"

enum { BODY_NONE = 0, BODY_WHOLE = 1, BODY_STREAM = 2 };

static struct call *
call_arg(jsval v, int side)
{
    double d = js_get_double(v);
    struct agent *a = agent_current();

    if (a == NULL || !(d >= 0 && d <= UINT32_MAX))
        return NULL;
    return call_find(a, (uint32_t)d, side);
}

static bool
text_arg(jsval v, size_t max, const char *what, struct bytes *out)
{
    *out = BYTES_NONE;
    if (js_is_nullish(v))
        return true;
    if (!js_to_utf8(v, out))
        return false;
    if (out->len > max) {
        js_throw_type("%s is longer than %zu bytes", what, max);
        return false;
    }
    return true;
}

/* A body given with its head: MODE and the first or only bytes. */
struct given_body {
    int          mode;
    struct bytes bytes;
};

static bool
body_arg(jsval mode, jsval body, struct given_body *out)
{
    out->mode = (int)js_get_double(mode);
    out->bytes = BYTES_NONE;
    if (out->mode == BODY_NONE || js_is_nullish(body))
        return true;
    return js_to_bytes(body, "a body", &out->bytes);
}

static uint8_t
body_flags(const struct given_body *b)
{
    bool is_more = b->mode == BODY_STREAM || b->bytes.len > INLINE_BODY_BYTES;

    return (uint8_t)(b->mode == BODY_NONE ? 0 : CALL_HAS_BODY | (is_more ? CALL_BODY_MORE : 0));
}

static struct bytes
body_inline(const struct given_body *b)
{
    return bytes_from(b->bytes.data, b->bytes.len > INLINE_BODY_BYTES ? INLINE_BODY_BYTES : b->bytes.len);
}

/* After the head was packed: sends what did not fit, and ends a whole body. Nothing may touch C afterwards: an answer that is out is its end. */
static void
body_rest(struct call *c, const struct given_body *b)
{
    if (!(body_flags(b) & CALL_BODY_MORE)) {
        call_end_if_done(c);
        return;
    }
    c->out.is_open = true;
    if (b->bytes.len > INLINE_BODY_BYTES)
        (void)call_body_send(c, bytes_from(b->bytes.data + INLINE_BODY_BYTES, b->bytes.len - INLINE_BODY_BYTES));
    if (b->mode == BODY_WHOLE)
        call_body_end(c, NULL);
}

/* ---- answers ---- */

jsval
native_reply(NATIVE_PARAMS)
{
    struct call *c = call_arg(ARG(0), SIDE_INCOMING);
    struct given_body body;
    struct msg_REPLY m = { .slot = SLOT_NONE };
    double status = js_get_double(ARG(1)), socket = js_get_double(ARG(6));

    if (c == NULL || c->is_replied)
        return JSV_UNDEFINED;          /* it went away meanwhile */
    if (!text_arg(ARG(2), TOKEN_MAX_BYTES, "the status text", &m.status_text) ||
        !text_arg(ARG(3), HEADERS_MAX_BYTES, "the header section", &m.headers) || !body_arg(ARG(4), ARG(5), &body))
        return JSV_EXCEPTION;
    if (!(status >= 100 && status <= 999))
        return js_throw_range("a status is a number from 100 to 999");
    c->is_replied = true;
    if (c->is_cancelled || c->peer == NULL) {
        call_free(c);
        return JSV_UNDEFINED;
    }
    m.call = c->wire;
    m.status = (uint16_t)status;
    m.flags = body_flags(&body);
    m.body = body_inline(&body);
    m.socket = socket > 0 ? (uint64_t)socket : 0;
    entry_line_answered(c);
    m.slot = c->agent->is_entry ? (c->slot != SLOT_NONE ? c->slot : c->agent->turn_slot) : worker.slot;
    msg_REPLY_pack(agent_out(c->agent, c->peer), &m);
    body_rest(c, &body);
    return JSV_UNDEFINED;
}

jsval
native_reply_rpc(NATIVE_PARAMS)
{
    struct call *c = call_arg(ARG(0), SIDE_INCOMING);
    struct given_body body = { .mode = BODY_WHOLE };
    struct msg_REPLY m = { .status = 200, .slot = worker.slot };

    if (c == NULL || c->is_replied)
        return JSV_UNDEFINED;
    if (!js_to_bytes(ARG(1), "a result", &body.bytes))
        return JSV_EXCEPTION;
    if (body.bytes.len > RPC_BYTES_MAX)
        return js_throw_range("The RPC result is larger than 32 MiB.");
    c->is_replied = true;
    if (c->is_cancelled || c->peer == NULL) {
        call_free(c);
        return JSV_UNDEFINED;
    }
    m.call = c->wire;
    m.flags = body_flags(&body);
    m.body = body_inline(&body);
    msg_REPLY_pack(agent_out(c->agent, c->peer), &m);
    body_rest(c, &body);
    return JSV_UNDEFINED;
}

jsval
native_reply_fail(NATIVE_PARAMS)
{
    struct call *c = call_arg(ARG(0), SIDE_INCOMING);
    struct bytes message, detail = BYTES_NONE;
    double flags = js_get_double(ARG(3));

    if (c == NULL)
        return JSV_UNDEFINED;
    if (!text_arg(ARG(1), SIZE_MAX, "the message", &message) || (!js_is_nullish(ARG(2)) && !js_to_bytes(ARG(2), "the detail", &detail)))
        return JSV_EXCEPTION;
    if (c->is_cancelled || c->peer == NULL)
        call_free(c);
    else
        call_fail(c, ERR_APP, FAIL_REMOTE | (flags > 0 && flags < 256 ? (unsigned)flags : 0), message, detail);
    return JSV_UNDEFINED;
}

jsval
native_done(NATIVE_PARAMS)
{
    struct call *c = call_arg(ARG(0), SIDE_INCOMING);
    double outcome = js_get_double(ARG(1));
    struct agent *a = agent_current();

    if (c == NULL)
        return JSV_UNDEFINED;
    if (c->kind == CALL_ALARM) {
        alarms_done(a, c, outcome >= 1 && outcome <= 2 ? (int)outcome : 0);
    } else if (c->kind == CALL_WS_EVENT) {
        sockets_event_done(a, c->socket, 0);
        call_free(c);
    } else {
        struct msg_REPLY m = { .call = c->wire, .status = outcome == 0 ? 200 : 500, .slot = SLOT_NONE };

        if (!c->is_cancelled && c->peer != NULL)
            msg_REPLY_pack(agent_out(a, c->peer), &m);
        call_free(c);
    }
    return JSV_UNDEFINED;
}

jsval
native_wait_until(NATIVE_PARAMS)
{
    agent_current()->wait_until += js_get_double(ARG(0)) < 0 ? -1 : 1;
    return JSV_UNDEFINED;
}

/* ---- outgoing ---- */

static bool
number_arg(jsval v, uint32_t *out)
{
    double d = js_get_double(v);

    if (!(d >= 0 && d <= UINT32_MAX)) {
        js_throw_type("a call number is expected");
        return false;
    }
    *out = (uint32_t)d;
    return true;
}

/* Opens call NUMBER to PEER; when there is none, the caller hears of it by an event, as with any other loss. */
static struct call *
open_to(struct peer *p, uint8_t kind, uint32_t number, const char *missing)
{
    struct agent *a = agent_current();
    struct call *c;

    if (call_find(a, number, SIDE_OUTGOING) != NULL || a->open_outgoing >= CALLS_MAX) {
        js_throw_error("Too many calls are open.");
        return NULL;
    }
    c = call_open(a, p != NULL ? p : peer_loopback(), kind, number);
    c->section = async_context_section();
    if (p == NULL)
        deliver_post_fail(c, ERR_UNAVAILABLE, FAIL_RETRYABLE, bytes_of(missing), BYTES_NONE);
    return p != NULL ? c : NULL;
}

/* The agent that a call goes to: class, id, name; and its worker's slot. */
static bool
target_args(uint32_t argc, uint32_t argv, struct msg_CALL *m, uint16_t *out_slot)
{
    struct bytes hex;

    if (!text_arg(ARG(1), NAME_MAX_BYTES, "a class name", &m->class_name) || !text_arg(ARG(2), 64, "an id", &hex) ||
        !text_arg(ARG(3), AGENT_NAME_MAX_BYTES, "a name", &m->name))
        return false;
    if (!agent_id_from_hex(&m->agent, hex)) {
        js_throw_type("Invalid Durable Object ID: must be 64 hex digits");
        return false;
    }
    *out_slot = agent_id_slot(&m->agent, worker.slots);
    if (agent_current()->turn_call != NULL)
        agent_current()->turn_call->slot = *out_slot;
    return true;
}

static jsval
send_call(struct call *c, struct msg_CALL *m, const struct given_body *body)
{
    if (c == NULL)
        return JSV_UNDEFINED;
    call_describe(c, m);
    m->call = c->wire;
    m->flags |= body_flags(body);
    m->body = body_inline(body);
    msg_CALL_pack(agent_out(c->agent, c->peer), m);
    body_rest(c, body);
    return JSV_UNDEFINED;
}

/* Does the flat header section hold "upgrade: websocket"? */
static bool
asks_for_socket(struct bytes headers)
{
    static const char field[] = "upgrade\nwebsocket\n";
    const size_t len = sizeof field - 1;

    for (size_t at = 0; headers.len - at >= len && at < headers.len; at++) {
        const uint8_t *line = headers.data + at, *end;

        if (bytes_equal_nocase(bytes_from(line, len), BYTES_LIT(field)))
            return true;
        end = memchr(line, '\n', headers.len - at);            /* name */
        end = end != NULL ? memchr(end + 1, '\n', (size_t)(headers.data + headers.len - end - 1)) : NULL;   /* value */
        if (end == NULL)
            return false;
        at = (size_t)(end - headers.data);
    }
    return false;
}

jsval
native_fetch_agent(NATIVE_PARAMS)
{
    struct msg_CALL m = { .kind = CALL_FETCH };
    struct given_body body;
    struct call *c;
    uint32_t number;
    uint16_t slot;

    if (!number_arg(ARG(0), &number) || !target_args(argc, argv, &m, &slot) ||
        !text_arg(ARG(4), TOKEN_MAX_BYTES, "the method", &m.method) || !text_arg(ARG(5), URL_MAX_BYTES, "the URL", &m.url) ||
        !text_arg(ARG(6), HEADERS_MAX_BYTES, "the header section", &m.headers) || !body_arg(ARG(7), ARG(8), &body) ||
        !text_arg(ARG(9), META_MAX_BYTES, "the request's metadata", &m.meta))
        return JSV_EXCEPTION;
    if (asks_for_socket(m.headers))
        m.flags |= CALL_UPGRADE;
    c = open_to(peer_of_slot(slot), CALL_FETCH, number, "Network connection lost.");
    if (c != NULL)
        c->slot = slot;
    return send_call(c, &m, &body);
}

jsval
native_rpc_agent(NATIVE_PARAMS)
{
    struct msg_CALL m = { .kind = CALL_RPC };
    struct given_body body = { .mode = BODY_WHOLE };
    struct call *c;
    uint32_t number;
    uint16_t slot;

    if (!number_arg(ARG(0), &number) || !target_args(argc, argv, &m, &slot) ||
        !text_arg(ARG(4), TOKEN_MAX_BYTES, "the method", &m.method) || !js_to_bytes(ARG(5), "the arguments", &body.bytes))
        return JSV_EXCEPTION;
    if (body.bytes.len > RPC_BYTES_MAX)
        return js_throw_range("The RPC message is larger than 32 MiB.");
    c = open_to(peer_of_slot(slot), CALL_RPC, number, "Network connection lost.");
    if (c != NULL)
        c->slot = slot;
    return send_call(c, &m, &body);
}

jsval
native_fetch_out(NATIVE_PARAMS)
{
    struct agent *a = agent_current();
    struct msg_CALL m = { .kind = CALL_OUT };
    struct given_body body;
    uint32_t number;

    if (!number_arg(ARG(0), &number) || !text_arg(ARG(1), TOKEN_MAX_BYTES, "the method", &m.method) ||
        !text_arg(ARG(2), URL_MAX_BYTES, "the URL", &m.url) ||
        !text_arg(ARG(3), HEADERS_MAX_BYTES, "the header section", &m.headers) || !body_arg(ARG(4), ARG(5), &body) ||
        !text_arg(ARG(7), META_MAX_BYTES, "the request's metadata", &m.meta))
        return JSV_EXCEPTION;
    if (js_to_bool(ARG(6)))
        m.flags |= CALL_UPGRADE;
    if (!a->is_entry) {
        m.agent = a->id;
        m.class_name = bytes_of(a->class_name);
        m.name = bytes_of(a->name);
    }
    return send_call(open_to(peer_of_role(ROLE_EGRESS), CALL_OUT, number, "Network connection lost."), &m, &body);
}

jsval
native_fetch_assets(NATIVE_PARAMS)
{
    struct msg_CALL m = { .kind = CALL_ASSETS };
    struct given_body body = { .mode = BODY_NONE };
    uint32_t number;

    if (!number_arg(ARG(0), &number) || !text_arg(ARG(1), TOKEN_MAX_BYTES, "the method", &m.method) ||
        !text_arg(ARG(2), URL_MAX_BYTES, "the URL", &m.url) || !text_arg(ARG(3), HEADERS_MAX_BYTES, "the header section", &m.headers))
        return JSV_EXCEPTION;
    return send_call(open_to(peer_of_role(ROLE_GATEWAY), CALL_ASSETS, number, "Network connection lost."), &m, &body);
}

jsval
native_cancel(NATIVE_PARAMS)
{
    struct call *c = call_arg(ARG(0), SIDE_OUTGOING);

    if (c != NULL)
        call_cancel(c, "cancelled");
    return JSV_UNDEFINED;
}

/* ---- bodies ---- */

static struct call *
body_call(uint32_t argc, uint32_t argv)
{
    return call_arg(ARG(0), js_get_double(ARG(1)) == 0 ? SIDE_INCOMING : SIDE_OUTGOING);
}

jsval
native_body_send(NATIVE_PARAMS)
{
    struct bytes data;
    struct call *c;

    if (!js_to_bytes(ARG(2), "a chunk", &data))
        return JSV_EXCEPTION;
    c = body_call(argc, argv);
    if (c == NULL || c->is_cancelled)
        return js_new_number(STREAM_WINDOW_BYTES);
    return js_new_number((double)call_body_send(c, data));
}

jsval
native_body_end(NATIVE_PARAMS)
{
    struct bytes message;
    struct call *c;

    if (!text_arg(ARG(2), SIZE_MAX, "the message", &message))
        return JSV_EXCEPTION;
    c = body_call(argc, argv);
    if (c != NULL)
        call_body_end(c, js_is_nullish(ARG(2)) ? NULL : (const char *)message.data);
    return JSV_UNDEFINED;
}

jsval
native_body_read(NATIVE_PARAMS)
{
    struct call *c = body_call(argc, argv);
    double n = js_get_double(ARG(2));

    if (c != NULL && n > 0 && n <= UINT32_MAX)
        call_grant(c, (uint32_t)n);
    return JSV_UNDEFINED;
}

/* The reader wants no more: of a reply, the call ends; of a request's body, the rest is thrown away as it comes. */
jsval
native_body_cancel(NATIVE_PARAMS)
{
    struct call *c = body_call(argc, argv);

    if (c == NULL)
        return JSV_UNDEFINED;
    if (c->side == SIDE_OUTGOING)
        call_cancel(c, "the body was cancelled");
    else
        c->peer_body_open = false;
    return JSV_UNDEFINED;
}
