/*
 * egress_ws — see egress_ws.h. curl connects (names, TCP, TLS) and carries the bytes; wslay makes and reads the frames.
 *
 * Threads: none.
 */
#include "src/egress/egress_ws.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <wslay/wslay.h>

#include "lib/loop/loop.h"
#include "lib/sys/sys.h"
#include "lib/wire/ws_frame.h"
#include "src/egress/egress_handshake.h"
#include "src/egress/egress_limits.h"

#define CLOSE_ABNORMAL   1006
#define CLOSE_GOING_AWAY 1001
#define CLOSE_TOO_BIG    1009
#define CLOSE_NO_CODE    1005
#define READ_BYTES       (16 * 1024)  /* one TLS record */
#define PUMP_READ_BYTES  (256 * 1024) /* read at most, so that other sockets get their turn */
#define BACKED_UP_MS     20           /* look again at a link that was full */

enum ws_state { WS_CONNECTING, WS_SHAKING, WS_WAITING /* for WS_JOIN */, WS_OPENED };

struct ws_client {
    struct client *client; /* borrowed: a client ends its sockets first */
    struct egress *egress;
    enum ws_state state;
    uint32_t call;
    uint64_t socket;
    struct asker asker;
    struct url url;
    struct exchange exchange;
    struct handshake *handshake;
    size_t handshake_sent;
    struct loop_poll *poll;
    struct loop_timer *timer; /* the handshake's, the join's or the close's deadline */
    struct loop_timer *again; /* goes on reading what a poll might not report: TLS keeps bytes of its own */
    size_t budget;            /* what may still be read in this turn */
    wslay_event_context_ptr wslay;
    struct buf in; /* came behind the handshake; read before the connection is */
    size_t in_at;
    struct buf arriving; /* a piece of a message for the worker */
    bool is_text;
    bool in_control;        /* the frame under way is a control frame */
    uint64_t message_bytes; /* of the message from the server that is under way */
    struct buf leaving;     /* fragments of a message of the worker */
    uint64_t unhandled;     /* whole messages given to the worker, not credited yet: it credits no parts */
    bool is_too_big;        /* the message under way */
    bool is_lost;
    bool is_close_told; /* the worker knows that it is over */
};

/* ---- the end -------------------------------------------------------------------------------------------------- */

static void
ws_free(struct ws_client *ws)
{
    if (ws->state == WS_CONNECTING || ws->state == WS_SHAKING)
        (void)umap_take(ws->client->upgrades, ws->call);
    else
        (void)umap_take(ws->egress->sockets, ws->socket);
    ws->egress->calls -= ws->state == WS_CONNECTING || ws->state == WS_SHAKING;
    loop_poll_destroy(&ws->poll);
    loop_timer_destroy(&ws->timer);
    loop_timer_destroy(&ws->again);
    if (ws->wslay != NULL)
        wslay_event_context_free(ws->wslay);
    outlet_release(&ws->exchange);
    handshake_destroy(&ws->handshake);
    url_fini(&ws->url);
    buf_fini(&ws->in);
    buf_fini(&ws->arriving);
    buf_fini(&ws->leaving);
    asker_fini(&ws->asker);
    free(ws);
}

static void
tell_close(struct ws_client *ws, uint16_t code, bool was_clean, struct bytes reason)
{
    if (ws->is_close_told)
        return;
    ws->is_close_told = true;
    msg_WS_CLOSE_pack(
        link_out(ws->client->link),
        &(struct msg_WS_CLOSE){
            .socket = ws->socket,
            .code = code,
            .was_clean = was_clean,
            .reason = reason.len > WS_REASON_MAX_BYTES ? bytes_from(reason.data, WS_REASON_MAX_BYTES) : reason,
        });
}

/* An open socket is over. */
static void
ws_end(struct ws_client *ws)
{
    tell_close(ws, CLOSE_ABNORMAL, false, BYTES_NONE);
    ws_free(ws);
}

static void
ws_fail(struct ws_client *ws, const struct failure *failure)
{
    send_fail(ws->client, ws->call, failure);
    ws_free(ws);
}

static void
ws_fail_with(struct ws_client *ws, enum err_code code, uint8_t flags, const char *text)
{
    struct failure failure = { .code = code, .flags = flags };

    (void)snprintf(failure.text, sizeof failure.text, "%s", text); /* fits */
    ws_fail(ws, &failure);
}

/* ---- bytes ---------------------------------------------------------------------------------------------------- */

/* What is left of the handshake's bytes first. -1: nothing now; 0: the end (is_lost). */
static ssize_t
read_some(struct ws_client *ws, uint8_t *to, size_t cap)
{
    size_t left = ws->in.len - ws->in_at;
    size_t got = 0;
    CURLcode rc;

    if (left > 0) {
        got = left < cap ? left : cap;
        memcpy(to, ws->in.data + ws->in_at, got);
        ws->in_at += got;
        if (ws->in_at == ws->in.len)
            buf_fini(&ws->in), ws->in_at = 0;
        return (ssize_t)got;
    }
    rc = curl_easy_recv(ws->exchange.easy, to, cap, &got);
    if (rc == CURLE_AGAIN)
        return -1;
    if (rc == CURLE_OK && got > 0)
        return (ssize_t)got;
    ws->is_lost = true;
    return 0;
}

static ssize_t
write_some(struct ws_client *ws, const uint8_t *from, size_t len)
{
    size_t sent = 0;
    CURLcode rc = curl_easy_send(ws->exchange.easy, from, len, &sent);

    if (rc == CURLE_AGAIN || (rc == CURLE_OK && sent == 0))
        return -1;
    if (rc == CURLE_OK)
        return (ssize_t)sent;
    ws->is_lost = true;
    return 0;
}

/* ---- frames: wslay's callbacks -------------------------------------------------------------------------------- */

static bool
may_read(const struct ws_client *ws)
{
    return ws->state == WS_OPENED && ws->unhandled < EGRESS_WS_WINDOW_BYTES;
}

static ssize_t
on_recv(wslay_event_context_ptr ctx, uint8_t *to, size_t cap, int flags, void *owner)
{
    struct ws_client *ws = owner;
    ssize_t got = -1;

    if (ws->budget == 0 || link_is_backed_up(ws->client->link))
        loop_timer_arm(ws->again, ws->budget == 0 ? 0 : BACKED_UP_MS);
    else if (may_read(ws) && !ws->is_too_big)
        got = read_some(ws, to, cap);
    if (got > 0) {
        ws->budget -= (size_t)got < ws->budget ? (size_t)got : ws->budget;
        return got;
    }
    wslay_event_set_error(ctx, got < 0 ? WSLAY_ERR_WOULDBLOCK : WSLAY_ERR_CALLBACK_FAILURE);
    return -1;
}

static ssize_t
on_send(wslay_event_context_ptr ctx, const uint8_t *from, size_t len, int flags, void *owner)
{
    ssize_t sent = write_some(owner, from, len);

    if (sent > 0)
        return sent;
    wslay_event_set_error(ctx, sent < 0 ? WSLAY_ERR_WOULDBLOCK : WSLAY_ERR_CALLBACK_FAILURE);
    return -1;
}

static int
on_mask(wslay_event_context_ptr ctx, uint8_t *to, size_t len, void *owner)
{
    rng_bytes(to, len);
    return 0;
}

static void
send_piece(struct ws_client *ws, bool is_last)
{
    msg_WS_MESSAGE_pack(link_out(ws->client->link),
                        &(struct msg_WS_MESSAGE){
                            .socket = ws->socket,
                            .flags = (uint8_t)((ws->is_text ? WS_TEXT : 0) | (is_last ? WS_FIN : 0)),
                            .data = buf_view(&ws->arriving),
                        });
    buf_clear(&ws->arriving);
}

static bool
is_data(uint8_t opcode)
{
    return opcode == WSLAY_CONTINUATION_FRAME || opcode == WSLAY_TEXT_FRAME || opcode == WSLAY_BINARY_FRAME;
}

static void
on_frame_start(wslay_event_context_ptr ctx, const struct wslay_event_on_frame_recv_start_arg *arg, void *owner)
{
    struct ws_client *ws = owner;

    ws->in_control = !is_data(arg->opcode);
    if (ws->in_control)
        return;
    if (arg->opcode != WSLAY_CONTINUATION_FRAME) {
        ws->is_text = arg->opcode == WSLAY_TEXT_FRAME;
        ws->message_bytes = 0;
    }
    ws->message_bytes += arg->payload_length; /* wslay refuses frames that are too large themselves: no overflow */
    ws->is_too_big = ws->message_bytes > EGRESS_WS_MESSAGE_MAX_BYTES;
}

/* Comes for control frames too, whose payload wslay keeps for on_whole. */
static void
on_frame_chunk(wslay_event_context_ptr ctx, const struct wslay_event_on_frame_recv_chunk_arg *arg, void *owner)
{
    struct ws_client *ws = owner;
    size_t at = ws->in_control || ws->is_too_big ? arg->data_length : 0;

    while (at < arg->data_length) {
        size_t room = CHUNK_MAX_BYTES - ws->arriving.len;
        size_t len = arg->data_length - at < room ? arg->data_length - at : room;
        buf_append(&ws->arriving, arg->data + at, len);
        at += len;
        if (ws->arriving.len == CHUNK_MAX_BYTES)
            send_piece(ws, false);
    }
}

static void
on_whole(wslay_event_context_ptr ctx, const struct wslay_event_on_msg_recv_arg *arg, void *owner)
{
    struct ws_client *ws = owner;
    bool has_code = arg->msg_length >= 2;

    if (is_data(arg->opcode)) {
        send_piece(ws, true);
        ws->unhandled += ws->message_bytes;
    } else if (arg->opcode == WSLAY_CONNECTION_CLOSE) {
        tell_close(ws, has_code ? arg->status_code : CLOSE_NO_CODE, true,
                   has_code ? bytes_from(arg->msg + 2, arg->msg_length - 2) : BYTES_NONE);
    }
}

static void
wslay_open(struct ws_client *ws)
{
    static const struct wslay_event_callbacks callbacks = {
        .recv_callback = on_recv,
        .send_callback = on_send,
        .genmask_callback = on_mask,
        .on_frame_recv_start_callback = on_frame_start,
        .on_frame_recv_chunk_callback = on_frame_chunk,
        .on_msg_recv_callback = on_whole,
    };
    int rc = wslay_event_context_client_init(&ws->wslay, &callbacks, ws);

    assert(rc == 0);
    wslay_event_config_set_no_buffering(ws->wslay, 1);
    wslay_event_config_set_max_recv_msg_length(ws->wslay, EGRESS_WS_MESSAGE_MAX_BYTES);
}

/* ---- an open socket ------------------------------------------------------------------------------------------- */

static void
queue_close(struct ws_client *ws, uint16_t code, struct bytes reason)
{
    uint16_t status = code == CLOSE_NO_CODE ? 0 : code;

    (void)wslay_event_queue_close(ws->wslay, status, status == 0 ? NULL : reason.data,
                                  status == 0 ? 0 : reason.len); /* no-op when one is queued */
    loop_timer_arm(ws->timer, EGRESS_CLOSE_MS);
}

/* Moves everything that can move; may free the socket. */
static void
pump(struct ws_client *ws)
{
    int rc = 0;

    ws->budget = PUMP_READ_BYTES;
    if (wslay_event_want_read(ws->wslay))
        rc = wslay_event_recv(ws->wslay);
    if (rc == 0 && ws->is_too_big)
        queue_close(ws, CLOSE_TOO_BIG, BYTES_NONE);
    if (rc == 0 && wslay_event_want_write(ws->wslay))
        rc = wslay_event_send(ws->wslay);
    if (rc != 0 || ws->is_lost || ws->is_too_big ||
        (!wslay_event_want_read(ws->wslay) && !wslay_event_want_write(ws->wslay))) {
        ws_end(ws);
        return;
    }
    loop_poll_set(ws->poll, (may_read(ws) && wslay_event_want_read(ws->wslay) ? LOOP_READABLE : 0) |
                                (wslay_event_want_write(ws->wslay) ? LOOP_WRITABLE : 0));
}

static void
on_again(void *owner)
{
    pump(owner);
}

static void
start_reading(struct ws_client *ws)
{
    if (ws->state != WS_WAITING)
        return;
    ws->state = WS_OPENED;
    loop_timer_disarm(ws->timer);
    pump(ws);
}

/* ---- the handshake -------------------------------------------------------------------------------------------- */

static void
reply(struct ws_client *ws)
{
    const struct handshake *h = ws->handshake;

    msg_REPLY_pack(link_out(ws->client->link), &(struct msg_REPLY){
                                                   .call = ws->call,
                                                   .status = (uint16_t)handshake_status(h),
                                                   .flags = handshake_status(h) == 101 ? 0 : CALL_HAS_BODY,
                                                   .slot = SLOT_NONE,
                                                   .socket = ws->socket,
                                                   .status_text = handshake_status_text(h),
                                                   .headers = handshake_headers(h),
                                                   .body = handshake_body(h),
                                               });
}

/* 101: the socket gets its id, and is not read before the worker has taken it. */
static void
opened(struct ws_client *ws)
{
    struct egress *egress = ws->egress;

    egress->next_socket = (egress->next_socket + 1) & (EGRESS_SOCKET_BIT - 1);
    ws->socket = EGRESS_SOCKET_BIT | egress->next_socket;
    reply(ws);
    (void)umap_take(ws->client->upgrades, ws->call);
    egress->calls--;
    ws->state = WS_WAITING;
    (void)umap_put(egress->sockets, ws->socket, ws); /* the id is new */
    handshake_destroy(&ws->handshake);
    wslay_open(ws);
    loop_poll_set(ws->poll, 0);
    loop_timer_arm(ws->timer, EGRESS_JOIN_MS);
}

static void
handshake_done(struct ws_client *ws, enum handshake_state state)
{
    switch (state) {
    case HANDSHAKE_OPEN:
        opened(ws);
        return;
    case HANDSHAKE_REFUSED:
        reply(ws);
        ws_free(ws);
        return;
    default:
        ws_fail_with(ws, ERR_NETWORK, 0, "The server's answer to the WebSocket handshake is not a valid one.");
        return;
    }
}

static void
read_answer(struct ws_client *ws)
{
    uint8_t bytes[READ_BYTES];
    enum handshake_state state = HANDSHAKE_MORE;

    while (state == HANDSHAKE_MORE) {
        size_t used = 0;
        ssize_t got = read_some(ws, bytes, sizeof bytes);
        if (got < 0)
            return;
        if (got == 0) {
            handshake_done(ws, handshake_eof(ws->handshake));
            return;
        }
        state = handshake_feed(ws->handshake, bytes_from(bytes, (size_t)got), &used);
        buf_append(&ws->in, bytes + used, (size_t)got - used);
    }
    handshake_done(ws, state);
}

/* False: not all is sent yet. */
static bool
send_request(struct ws_client *ws)
{
    struct bytes request = handshake_request(ws->handshake);

    while (ws->handshake_sent < request.len && !ws->is_lost) {
        ssize_t sent = write_some(ws, request.data + ws->handshake_sent, request.len - ws->handshake_sent);
        if (sent < 0)
            return false;
        ws->handshake_sent += (size_t)sent;
    }
    loop_poll_set(ws->poll, LOOP_READABLE);
    return true;
}

static void
on_poll(void *owner, int events)
{
    struct ws_client *ws = owner;

    if (ws->state != WS_SHAKING) {
        pump(ws);
        return;
    }
    if (!send_request(ws))
        return;
    if (ws->is_lost)
        ws_fail_with(ws, ERR_NETWORK, FAIL_RETRYABLE, "Network connection lost.");
    else
        read_answer(ws);
}

static void
on_deadline(void *owner)
{
    struct ws_client *ws = owner;

    switch (ws->state) {
    case WS_CONNECTING:
    case WS_SHAKING:
        ws_fail_with(ws, ERR_TIMEOUT, FAIL_RETRYABLE, "Network connection lost.");
        return;
    case WS_WAITING:
        start_reading(ws);
        return;
    case WS_OPENED:
        ws_end(ws); /* a Close frame was not answered */
        return;
    }
}

static void
on_connected(struct exchange *exchange, CURLcode result)
{
    struct ws_client *ws = container_of(exchange, struct ws_client, exchange);
    curl_socket_t fd = CURL_SOCKET_BAD;

    if (result == CURLE_OK)
        (void)curl_easy_getinfo(exchange->easy, CURLINFO_ACTIVESOCKET, &fd); /* stays BAD when it fails */
    if (fd == CURL_SOCKET_BAD) {
        struct failure failure;
        failure_of(&failure, exchange, result == CURLE_OK ? CURLE_COULDNT_CONNECT : result);
        log_for(ws->egress, &ws->asker, "WebSocket %s: %s", buf_cstr(&ws->url.href),
                exchange->error[0] != '\0' ? exchange->error : curl_easy_strerror(result));
        ws_fail(ws, &failure);
        return;
    }
    ws->state = WS_SHAKING;
    ws->poll = loop_poll_create(ws->egress->loop, fd, on_poll, ws);
    loop_poll_set(ws->poll, LOOP_WRITABLE);
}

void
ws_open(struct client *client, const struct msg_CALL *m)
{
    struct ws_client *ws = calloc(1, sizeof *ws);
    struct egress *egress = client->egress;
    struct err err = { 0 };
    uint8_t key[16];

    assert(ws != NULL);
    ws->client = client;
    ws->egress = egress;
    ws->call = m->call;
    asker_set(&ws->asker, m);
    egress->calls++;
    egress->calls_total++;
    (void)umap_put(client->upgrades, m->call, ws); /* the caller made sure that the number is free */
    rng_bytes(key, sizeof key);
    if (umap_count(egress->sockets) >= EGRESS_SOCKETS_MAX) {
        ws_fail_with(ws, ERR_OVERLOADED, FAIL_OVERLOADED, "Too many outgoing WebSockets are open.");
        return;
    }
    if (!bytes_equal_str(m->method, "GET") || (m->flags & CALL_BODY_MORE) != 0 || m->body.len > 0) {
        ws_fail_with(ws, ERR_MALFORMED, 0, "A WebSocket handshake is a GET request without a body.");
        return;
    }
    if (!target_parse(&ws->url, m->url, &err) || !handshake_create(&ws->handshake, &ws->url, m->headers, key, &err)) {
        ws_fail_with(ws, err.code, 0, err.message);
        return;
    }
    ws->timer = loop_timer_create(egress->loop, on_deadline, ws);
    ws->again = loop_timer_create(egress->loop, on_again, ws);
    loop_timer_arm(ws->timer, EGRESS_HANDSHAKE_MS);
    outlet_prepare(egress->outlet, &ws->exchange, buf_cstr(&ws->url.href));
    ws->exchange.hostname = url_hostname(&ws->url);
    ws->exchange.done = on_connected;
    (void)curl_easy_setopt(ws->exchange.easy, CURLOPT_CONNECT_ONLY, 1L);
    outlet_start(&ws->exchange);
}

/* ---- what the client says ------------------------------------------------------------------------------------- */

static struct ws_client *
find(struct client *client, uint64_t socket)
{
    struct ws_client *ws = umap_get(client->egress->sockets, socket);

    return ws != NULL && ws->client == client ? ws : NULL;
}

void
ws_message(struct client *client, const struct msg_WS_MESSAGE *m)
{
    struct ws_client *ws = find(client, m->socket);
    struct wslay_event_msg msg = { .opcode = (m->flags & WS_TEXT) != 0 ? WSLAY_TEXT_FRAME : WSLAY_BINARY_FRAME };

    if (ws == NULL || ws->is_close_told)
        return;
    if (ws->leaving.len + m->data.len > EGRESS_WS_MESSAGE_MAX_BYTES ||
        wslay_event_get_queued_msg_length(ws->wslay) > EGRESS_WS_OUT_MAX_BYTES) {
        ws_end(ws);
        return;
    }
    if (ws->leaving.len > 0 || (m->flags & WS_FIN) == 0)
        buf_append_bytes(&ws->leaving, m->data);
    if ((m->flags & WS_FIN) == 0)
        return;
    msg.msg = ws->leaving.len > 0 ? ws->leaving.data : m->data.data;
    msg.msg_length = ws->leaving.len > 0 ? ws->leaving.len : m->data.len;
    (void)wslay_event_queue_msg(ws->wslay, &msg); /* refused after a Close frame: then nobody reads it */
    buf_fini(&ws->leaving);
    if (ws->state == WS_WAITING)
        start_reading(ws); /* who sends has taken the socket */
    else
        pump(ws);
}

void
ws_close(struct client *client, const struct msg_WS_CLOSE *m)
{
    struct ws_client *ws = find(client, m->socket);

    if (ws == NULL || ws->is_close_told)
        return;
    if (m->code != CLOSE_NO_CODE && !ws_code_is_sendable(m->code)) {
        ws->is_close_told = true; /* the worker asked for an end without ceremony */
        ws_free(ws);
        return;
    }
    if (ws->state == WS_WAITING) {
        ws->state = WS_OPENED;
        loop_timer_disarm(ws->timer);
    }
    queue_close(ws, m->code, m->reason);
    pump(ws);
}

void
ws_credit(struct client *client, const struct msg_WS_CREDIT *m)
{
    struct ws_client *ws = find(client, m->socket);

    if (ws == NULL)
        return;
    ws->unhandled = m->bytes > ws->unhandled ? 0 : ws->unhandled - m->bytes;
    if (ws->state == WS_WAITING)
        start_reading(ws);
    else
        pump(ws);
}

void
ws_join(struct client *client, const struct msg_WS_JOIN *m)
{
    struct ws_client *ws = find(client, m->socket);

    if (ws != NULL)
        start_reading(ws);
}

void
ws_cancel(struct ws_client *ws)
{
    ws_free(ws);
}

void
ws_client_lost(struct client *client)
{
    size_t cursor = 0;
    uint64_t socket;
    void *value;

    while (umap_next(client->upgrades, &cursor, NULL, &value))
        ws_free(value);
    cursor = 0;
    while (umap_next(client->egress->sockets, &cursor, &socket, &value)) {
        struct ws_client *ws = value;
        if (ws->client != client)
            continue;
        (void)wslay_event_queue_close(ws->wslay, CLOSE_GOING_AWAY, NULL, 0); /* best effort: one try to be polite */
        (void)wslay_event_send(ws->wslay);
        ws_free(ws);
    }
}
