/* socket_client — the client's side of sockets.h: the handshake's end, frames in and out, closing. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "lib/sys/sys.h"
#include "src/gateway/calls.h"
#include "src/gateway/http_internal.h"
#include "src/gateway/sockets.h"

#define LOST_REASON "WebSocket disconnected without sending Close frame."

static const struct conn_events events;

/* ---- output ------------------------------------------------------------------------------------------------------ */
/* Keeps the node's sum of unsent bytes. */
static void
account(struct socket *s)
{
    size_t now = s->conn != NULL ? conn_queued(s->conn) : 0;

    s->gw->ws_out_bytes += now;
    s->gw->ws_out_bytes -= s->queued;
    s->queued = now;
}

/* The client is dropped without another word from us; its agent is told. */
static void
drop(struct socket *s, const char *reason)
{
    struct conn *conn = STEAL(s->conn);

    conn->owner = NULL;
    conn_close(conn);
    account(s);
    socket_deliver_close(s, 1006, bytes_of(reason), false);
}

static bool
is_over_limits(const struct socket *s)
{
    if (s->queued > WS_OUT_BYTES_MAX)
        return true;
    return s->gw->ws_out_bytes > s->gw->conf.ws_out_total_bytes_max && s->queued > OUT_HIGH_BYTES;
}

/* What an agent sent before the outer end came, kept as records. */
struct early {
    uint8_t is_close;
    uint8_t flags;
    uint16_t code;
    uint32_t len;
};

static void
early_add(struct socket *s, struct early record, struct bytes data)
{
    if (s->early.len + sizeof record + data.len > WS_PENDING_BYTES_MAX)
        s->is_overrun = true; /* socket_begin() ends it: a stream with a gap is worse than none */
    if (s->is_overrun)
        return;
    record.len = (uint32_t)data.len;
    buf_append(&s->early, &record, sizeof record);
    buf_append_bytes(&s->early, data);
    socket_account_kept(s);
}

static void
relay_message(struct socket *s, uint8_t flags, struct bytes data)
{
    struct msg_WS_MESSAGE m = { .socket = s->peer_id, .flags = flags, .data = data };

    if (s->peer->link != NULL)
        msg_WS_MESSAGE_pack(link_out(s->peer->link), &m);
}

void
socket_send(struct socket *s, uint8_t flags, struct bytes data)
{
    static struct buf head; /* kept for the next frame */

    if (s->state == SOCKET_OPENED) {
        early_add(s, (struct early){ .flags = flags }, data);
        return;
    }
    if (s->state != SOCKET_OPEN)
        return; /* closing: nothing may follow a Close frame */
    if (s->peer != NULL) {
        relay_message(s, flags, data);
        return;
    }
    buf_clear(&head);
    ws_frame_header(&head,
                    s->is_out_open           ? WS_OP_CONTINUATION
                    : (flags & WS_TEXT) != 0 ? WS_OP_TEXT
                                             : WS_OP_BINARY,
                    (flags & WS_FIN) != 0, data.len);
    if (data.len >= WS_DIRECT_BYTES_MIN) {
        conn_write(s->conn, buf_view(&head), data);
    } else {
        buf_append_bytes(conn_out(s->conn), buf_view(&head));
        buf_append_bytes(conn_out(s->conn), data);
    }
    s->is_out_open = (flags & WS_FIN) == 0;
    account(s);
    if (is_over_limits(s))
        drop(s, "The client does not read what it is sent.");
}

/* ---- closing ----------------------------------------------------------------------------------------------------- */
static void
close_frame(struct socket *s, uint16_t code, struct bytes reason)
{
    if (conn_is_open(s->conn))
        ws_frame_close(conn_out(s->conn), code == 1005 || ws_code_is_sendable(code) ? code : 1011, reason);
}

/* Our last frame is packed: the connection ends when it is out. */
static void
finish(struct socket *s)
{
    struct conn *conn = STEAL(s->conn);

    conn->owner = NULL;
    conn_finish(conn);
    account(s);
}

void
socket_close(struct socket *s, uint16_t code, struct bytes reason)
{
    if (s->state == SOCKET_OPENED) {
        s->is_closed = true;
        early_add(s, (struct early){ .is_close = 1, .code = code }, reason);
        return;
    }
    if (s->state != SOCKET_OPEN)
        return;
    if (s->peer != NULL) {
        struct msg_WS_CLOSE m = { .socket = s->peer_id, .code = code, .was_clean = 1, .reason = reason };
        if (s->peer->link != NULL)
            msg_WS_CLOSE_pack(link_out(s->peer->link), &m);
        socket_deliver_close(s, code, reason, true);
        return;
    }
    if (code == 1006 || code == 1015) { /* never on the wire: the agent means a loss */
        drop(s, LOST_REASON);
        return;
    }
    close_frame(s, code, reason);
    s->state = SOCKET_CLOSING;
    conn_deadline(s->conn, DEADLINE_CLOSE);
}

void
socket_break(struct socket *s, uint16_t code, const char *reason)
{
    if (s->conn != NULL) {
        if (s->state == SOCKET_OPEN || s->state == SOCKET_ATTACHED)
            close_frame(s, code, bytes_of(reason));
        finish(s);
    } else if (s->peer != NULL && s->peer->link != NULL) {
        struct msg_WS_CLOSE m = { .socket = s->peer_id, .code = 1006, .reason = bytes_of(reason) };
        msg_WS_CLOSE_pack(link_out(s->peer->link), &m);
    }
    if (s->agent != NULL)
        socket_deliver_close(s, 1006, bytes_of(reason), false);
    else
        socket_destroy(s);
}

/* The client's Close frame: answered at once, as the platform does since 2026-04-07, and told to the agent. */
static void
on_close_frame(struct socket *s, struct bytes payload)
{
    struct bytes reason;
    uint16_t code;
    uint8_t copy[WS_CONTROL_MAX_BYTES];

    if (!ws_close_parse(payload, &code, &reason)) {
        socket_break(s, code, "The Close frame is malformed.");
        return;
    }
    memcpy(copy, reason.data != NULL ? reason.data : (const uint8_t *)"", reason.len); /* it lives in the decoder */
    reason.data = copy;
    if (s->state != SOCKET_CLOSING)
        close_frame(s, code, code == 1005 ? BYTES_NONE : reason);
    finish(s);
    if (s->agent != NULL)
        socket_deliver_close(s, code, reason, true);
    else
        socket_destroy(s);
}

/* ---- input ------------------------------------------------------------------------------------------------------- */
/* The agent's answer to a fixed text, without the agent. */
static bool
auto_respond(struct socket *s, uint8_t opcode, struct bytes message)
{
    const struct socket_agent *a = s->agent;

    if (opcode != WS_OP_TEXT || s->mode != WS_HIBERNATABLE || a == NULL || a->auto_request.len == 0 ||
        !bytes_equal(message, buf_view(&a->auto_request)))
        return false;
    s->auto_ms = clock_wall_ms();
    if (s->state == SOCKET_OPEN)
        socket_send(s, WS_TEXT | WS_FIN, buf_view(&a->auto_response));
    return true;
}

/* All of a message, or (FIN not set) a part of it, in pieces that fit a message between rooms. */
static void
deliver(struct socket *s, uint8_t flags, struct bytes data)
{
    while (data.len > CHUNK_MAX_BYTES) {
        socket_deliver(s, flags & (uint8_t)~WS_FIN, bytes_from(data.data, CHUNK_MAX_BYTES));
        data = bytes_from(data.data + CHUNK_MAX_BYTES, data.len - CHUNK_MAX_BYTES);
    }
    socket_deliver(s, flags, data);
}

static void
on_piece(struct socket *s, const struct ws_piece *piece)
{
    uint8_t flags = piece->opcode == WS_OP_TEXT ? WS_TEXT : 0;

    if (piece->is_last && s->partial.len == 0) {
        if (s->is_in_open || !auto_respond(s, piece->opcode, piece->data))
            deliver(s, flags | WS_FIN, piece->data);
        return;
    }
    buf_append_bytes(&s->partial, piece->data);
    if (piece->is_last) {
        struct buf whole = s->partial; /* ours now: an answer may end the socket */
        memset(&s->partial, 0, sizeof s->partial);
        if (s->is_in_open || !auto_respond(s, piece->opcode, buf_view(&whole)))
            deliver(s, flags | WS_FIN, buf_view(&whole));
        buf_fini(&whole);
    } else if (s->partial.len >= CHUNK_MAX_BYTES) {
        deliver(s, flags, buf_view(&s->partial));
        buf_clear(&s->partial);
    }
}

static void
on_control(struct socket *s, const struct ws_piece *piece)
{
    struct buf *out;

    if (piece->opcode == WS_OP_CLOSE) {
        on_close_frame(s, piece->data);
        return;
    }
    if (piece->opcode != WS_OP_PING || s->state == SOCKET_CLOSING)
        return;
    out = conn_out(s->conn);
    ws_frame_header(out, WS_OP_PONG, true, piece->data.len);
    buf_append_bytes(out, piece->data);
    account(s);
    if (is_over_limits(s))
        drop(s, "The client does not read what it is sent.");
}

/* No message begins while the agent is behind, or away. What is under way comes to its end: only whole messages can be
 * handled. */
static bool
must_wait(const struct socket *s)
{
    bool is_between = s->decoder.message_opcode == 0 && !s->decoder.is_in_frame;

    return is_between && (s->unhandled >= WS_INBOUND_WINDOW_BYTES || s->worker->link == NULL);
}

/* Handles what the client sent. The socket may be gone afterwards. */
static void
feed(struct socket *s, uint8_t *data, size_t len)
{
    struct conn *conn = s->conn;
    struct ws_piece piece;

    while (conn_is_open(conn) && conn->owner == s) {
        if (must_wait(s)) {
            buf_append(&s->unread, data, len);
            conn_read(conn, false);
            return;
        }
        switch (ws_decode(&s->decoder, &data, &len, &piece)) {
        case WS_STEP_MORE:
            conn_read(conn, !must_wait(s));
            return;
        case WS_STEP_PIECE:
            on_piece(s, &piece);
            if (conn->owner == s && s->is_overrun) {
                socket_break(s, 1013, "Too much waits for the agent's process.");
                return;
            }
            break;
        case WS_STEP_CONTROL:
            on_control(s, &piece);
            break;
        case WS_STEP_BAD:
            socket_break(s, piece.close_code,
                         piece.close_code == 1009   ? "The message is too large."
                         : piece.close_code == 1007 ? "The text is not UTF-8."
                                                    : "A frame is malformed.");
            return;
        }
    }
}

static void
on_data(struct conn *conn, uint8_t *data, size_t len)
{
    feed(conn->owner, data, len);
}

void
socket_read(struct socket *s)
{
    struct buf unread = s->unread;

    if (s->conn == NULL || (s->state != SOCKET_OPEN && s->state != SOCKET_CLOSING))
        return;
    if (must_wait(s)) {
        conn_read(s->conn, false);
        return;
    }
    if (unread.len == 0) {
        conn_read(s->conn, true);
        return;
    }
    memset(&s->unread, 0, sizeof s->unread);
    feed(s, unread.data, unread.len);
    buf_fini(&unread);
}

static void
on_drained(struct conn *conn)
{
    account(conn->owner);
}

static void
on_gone(struct conn *conn)
{
    struct socket *s = conn->owner;

    s->conn = NULL;
    account(s);
    if (s->agent != NULL)
        socket_deliver_close(s, 1006, BYTES_LIT(LOST_REASON), false);
    else
        socket_destroy(s);
}

/* The client did not answer our Close frame. */
static void
on_expired(struct conn *conn, enum deadline deadline)
{
    drop(conn->owner, LOST_REASON);
}

static const struct conn_events events = { on_data, on_drained, on_gone, on_expired };

/* ---- the two halves meet ----------------------------------------------------------------------------------------- */
void
socket_begin(struct socket *s)
{
    struct buf early = s->early;
    size_t at = 0;
    uint64_t id = s->id;
    struct gateway *gw = s->gw;

    memset(&s->early, 0, sizeof s->early);
    s->state = SOCKET_OPEN;
    s->app->pending_sockets--;
    socket_account_kept(s);
    socket_wait(s, NULL);
    if (s->is_overrun) {
        buf_fini(&early);
        socket_break(s, 1011, "Too much was sent before the connection was made.");
        return;
    }
    while (at < early.len) {
        struct early record;
        memcpy(&record, early.data + at, sizeof record);
        at += sizeof record;
        if (record.is_close != 0)
            socket_close(s, record.code, bytes_from(early.data + at, record.len));
        else
            socket_send(s, record.flags, bytes_from(early.data + at, record.len));
        at += record.len;
        if (socket_find(gw, id) != s)
            break;
    }
    buf_fini(&early);
    if (socket_find(gw, id) == s)
        socket_read(s);
}

/* 101 to the client. False: a header of the agent's cannot be sent; the client got an error instead. */
static bool
switch_protocols(struct request *r, const struct msg_REPLY *reply, char **out_protocol)
{
    struct http_answer a = { .status = 101, .framing = HTTP_FRAMING_NONE, .connection = HTTP_UPGRADE };
    struct buf *headers = &r->http->gw->scratch_headers;
    struct bytes rest = reply->headers, name, value;
    struct err err = { 0 };

    *out_protocol = NULL;
    buf_clear(headers);
    buf_printf(headers, "sec-websocket-accept\n%s\n", r->ws_accept);
    while (http_header_next(&rest, &name, &value)) {
        if (bytes_equal_str(name, "sec-websocket-accept") || bytes_equal_str(name, "sec-websocket-extensions"))
            continue; /* extensions are the platform's, and there are none */
        if (bytes_equal_str(name, "sec-websocket-protocol") && *out_protocol == NULL && value.len <= TOKEN_MAX_BYTES)
            *out_protocol = bytes_dup(value);
        buf_append(headers, name.data, name.len + 1 + value.len + 1);
    }
    a.headers = buf_view(headers);
    if (http_answer_write(conn_out(r->http->conn), &a, &err))
        return true;
    free(STEAL(*out_protocol));
    answer_error(r, 500, "ERR_APP", BYTES_LIT("The app's response has an invalid header."), 0);
    return false;
}

static void
attach_refuse(struct request *r, struct socket *s, const char *message)
{
    if (s != NULL && s->state == SOCKET_OPENED && s->app == r->app)
        socket_destroy(s);
    answer_error(r, 500, "ERR_APP", bytes_of(message), 0);
}

void
socket_attach(struct request *r, const struct msg_REPLY *reply)
{
    struct gateway *gw = r->http->gw;
    struct socket *s = socket_find(gw, reply->socket);
    struct app *app = r->app;
    char *protocol, *url;

    call_close(r);
    if (!r->wants_socket) {
        attach_refuse(r, s, "The app answered with a WebSocket, but the request was no WebSocket handshake.");
        return;
    }
    if (s != NULL && (s->app != app || s->state != SOCKET_OPENED)) {
        attach_refuse(r, NULL, "The app answered with a WebSocket that is not free.");
        return;
    }
    if (!switch_protocols(r, reply, &protocol)) {
        if (s != NULL)
            socket_destroy(s);
        return;
    }
    url = STEAL(r->ws_url);
    if (s == NULL) {
        s = socket_create(gw, app, reply->socket, SOCKET_ATTACHED);
        socket_wait(s, &gw->pending);
    }
    s->url = url;
    s->protocol = protocol;
    s->conn = http_detach(r->http, &s->unread); /* a client may send before it saw our 101 */
    conn_own(s->conn, &events, s);
    conn_read(s->conn, false);
    (void)uv_tcp_keepalive(&s->conn->tcp, 1, WS_KEEPALIVE_S); /* finds dead clients without a timer of ours */
    if (s->agent != NULL)
        socket_begin(s);
}
