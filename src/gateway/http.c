/* http — see the header. Reading and routing; the answers are in http_answer.c. */
#include "src/gateway/http.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "src/gateway/asset_serve.h"
#include "src/gateway/calls.h"
#include "src/gateway/http_internal.h"

static void consume(struct http *h, struct bytes in);

/* ---- refusing ---------------------------------------------------------------------------------------------------- */
static void
refuse(struct http *h, int status, const char *reason)
{
    struct request *r = &h->request;

    r->keeps_alive = false;
    answer_error(r, status, status == 503 ? "ERR_OVERLOADED" : "ERR_MALFORMED", bytes_of(reason),
                 status == 503 ? RETRY_AFTER_S : 0);
}

/* ---- routing ----------------------------------------------------------------------------------------------------- */
static struct bytes
path_of(const struct http_head *head)
{
    const uint8_t *query = memchr(head->path.data, '?', head->path.len);

    return query != NULL ? bytes_from(head->path.data, (size_t)(query - head->path.data)) : head->path;
}

/* A browser's navigation: the page itself, not what it loads. */
static bool
is_navigation(const struct http_head *head)
{
    struct bytes mode;

    return http_header_find(head->headers, "sec-fetch-mode", &mode) && bytes_equal_str(mode, "navigate");
}

/* Assets first, where the app says so. True: answered. */
static bool
try_assets(struct request *r, const struct http_head *head, struct bytes path)
{
    const struct asset_config *config = &r->app->assets;
    bool has_worker = r->app->worker_count > 0, with_not_found;
    enum asset_order order = has_worker ? asset_order_of(config, path) : ASSETS_ONLY;

    if (config->dir_fd < 0 || order == WORKER_FIRST || (has_worker && r->wants_socket))
        return false;
    if (!bytes_equal_str(head->method, "GET") && !head->is_head)
        return order == ASSETS_ONLY &&
               (answer_error(r, 405, "ERR_UNSUPPORTED", BYTES_LIT("Assets are only read."), 0), true);
    /* A worker that runs behind the assets gets what is no file; but pages that a browser navigates to, and all
     * addresses of an app that lists its worker's own, have not_found_handling first. */
    with_not_found = order == ASSETS_ONLY || config->pattern_count > 0 || is_navigation(head);
    if (asset_serve(r, config, head, path, with_not_found))
        return true;
    if (order == ASSETS_ONLY && has_worker)
        answer_error(r, 404, "ERR_NOT_FOUND", BYTES_LIT("There is nothing at this address."), 0);
    return order == ASSETS_ONLY && has_worker;
}

/* Its worker (or, just after our start, its app) is away: the request waits a moment, since nobody has seen it yet. */
static void
park(struct http *h, struct bytes body)
{
    struct request *r = &h->request;
    struct gateway *gw = h->gw;

    if (r->park_due_ms == 0)
        r->park_due_ms = gw->now_ms + gw->conf.wait_ms;
    buf_append_bytes(&r->unsent, body);
    list_push_back(&gw->parked, &r->in_worker);
    if (r->is_received)
        return;
    conn_read(h->conn, false);
    conn_deadline(h->conn, DEADLINE_NONE);
}

static void
unavailable(struct request *r)
{
    if (r->app == NULL)
        answer_error(r, 404, "ERR_NOT_FOUND", BYTES_LIT("No app answers to this host name."), 0);
    else
        answer_error(r, 503, "ERR_UNAVAILABLE", BYTES_LIT("The app is starting or restarting. Try again soon."),
                     RETRY_AFTER_S);
}

static void
dispatch(struct http *h, struct bytes body)
{
    struct request *r = &h->request;
    struct gateway *gw = h->gw;
    const struct http_head *head = http_reader_head(h->reader);
    struct bytes path = path_of(head);
    struct worker *worker;

    assert(r->state == REQUEST_READING);
    if (r->app == NULL)
        r->app = app_route(gw, h->conn->listener->name, head->host);
    if (r->app != NULL && try_assets(r, head, path))
        return;
    if (r->app != NULL && r->app->worker_count == 0) {
        answer_error(r, 404, "ERR_NOT_FOUND", BYTES_LIT("There is nothing at this address."), 0);
        return;
    }
    if (gw->calls.open >= gw->conf.requests_max) {
        refuse(h, 503, "Too many requests are in progress. Try again soon.");
        return;
    }
    if (r->app != NULL)
        r->slot_key = app_slot_key(gw, r->app, head->host, path);
    worker = r->app != NULL ? app_pick(gw, r->app, r->slot_key) : NULL;
    if (worker == NULL)
        park(h, body);
    else if (link_is_backed_up(worker->link))
        refuse(h, 503, "The app's worker does not keep up. Try again soon.");
    else
        call_send(r, worker, body);
}

void
http_unpark(struct gateway *gw)
{
    struct list_node batch;

    if (list_is_empty(&gw->parked))
        return;
    batch = gw->parked;
    batch.next->prev = &batch;
    batch.prev->next = &batch;
    list_init(&gw->parked);
    while (!list_is_empty(&batch)) {
        struct request *r = list_entry(batch.next, struct request, in_worker);
        struct http *h = r->http;
        struct conn *conn = h->conn;
        struct buf body = r->unsent;
        list_remove(&r->in_worker);
        memset(&r->unsent, 0, sizeof r->unsent);
        dispatch(h, buf_view(&body));
        buf_fini(&body);
        if (!conn_is_open(conn) || conn->owner != h || r->state != REQUEST_WAITING || r->is_received ||
            r->unsent.len > 0)
            continue;
        conn_read(conn, true);
        conn_deadline(conn, DEADLINE_BODY);
    }
}

void
http_tick(struct gateway *gw)
{
    for (;;) {
        struct request *r = list_first(&gw->parked, struct request, in_worker);
        if (r == NULL || r->park_due_ms > gw->now_ms)
            return;
        list_remove(&r->in_worker);
        buf_fini(&r->unsent);
        r->keeps_alive = r->keeps_alive && r->is_received;
        unavailable(r);
    }
}

/* The WebSocket handshake is checked before the app is asked. False: answered. */
static bool
handshake(struct http *h, const struct http_head *head)
{
    struct request *r = &h->request;
    struct bytes upgrade;

    if (!head->has_upgrade || !bytes_equal_str(head->method, "GET") || head->is_http_1_0)
        return true;
    if (!http_header_find(head->headers, "upgrade", &upgrade) || !http_list_has(upgrade, "websocket"))
        return true;
    if (head->is_chunked || head->content_length > 0) { /* its bytes would be taken for frames */
        refuse(h, 400, "A WebSocket handshake has no body.");
        return false;
    }
    switch (ws_handshake_check(head->headers, r->ws_accept)) {
    case WS_HANDSHAKE_OK:
        r->wants_socket = true;
        return true;
    case WS_HANDSHAKE_BAD:
        refuse(h, 400, "Sec-WebSocket-Key is missing or malformed.");
        return false;
    case WS_HANDSHAKE_VERSION:
        break;
    }
    r->keeps_alive = false;
    answer_start(r, 426, BYTES_NONE, BYTES_LIT("sec-websocket-version\n13\n"), BYTES_NONE, ANSWER_WHOLE);
    return false;
}

/* The head is complete: whose is it, and may it come in? False: answered. */
static bool
on_head(struct http *h)
{
    struct request *r = &h->request;
    const struct http_head *head = http_reader_head(h->reader);

    r->state = REQUEST_READING;
    r->keeps_alive = head->keep_alive && !h->gw->is_stopping;
    r->is_body_dropped = head->is_head;
    r->app = app_route(h->gw, h->conn->listener->name, head->host);
    conn_deadline(h->conn, DEADLINE_BODY);
    if (r->app == NULL && h->gw->now_ms - h->gw->started_ms >= h->gw->conf.wait_ms) {
        r->keeps_alive = false;
        unavailable(r);
        return false;
    }
    if (head->content_length > h->gw->conf.body_bytes_max) {
        refuse(h, 413, "The request body is too large.");
        return false;
    }
    return handshake(h, head);
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */
/* Body bytes of one read. False: answered, read no more. */
static bool
on_body(struct http *h, struct bytes body)
{
    struct request *r = &h->request;

    r->body_bytes += body.len;
    if (r->state == REQUEST_ANSWERED) {
        r->drained_bytes += body.len;
        if (r->drained_bytes > DRAIN_BYTES_MAX) {
            http_end(h);
            return false;
        }
        return true;
    }
    if (r->body_bytes > h->gw->conf.body_bytes_max) {
        if (r->state == REQUEST_ANSWERING) {
            answer_cut(r);
        } else {
            request_cancel(r);
            refuse(h, 413, "The request body is too large.");
        }
        return false;
    }
    if (r->state == REQUEST_WAITING || r->state == REQUEST_ANSWERING) {
        conn_deadline(h->conn, DEADLINE_BODY);
        if (body.len > 0 && !call_body(r, body)) {
            conn_read(h->conn, false);
            conn_deadline(h->conn, DEADLINE_NONE); /* we are who waits */
        }
    }
    return true;
}

/* What one piece of input led to: the head may have been decided, a body may have grown. False: stop. */
static bool
step_end(struct http *h, enum http_step step, struct buf *body)
{
    struct request *r = &h->request;

    r->is_received = step == HTTP_STEP_DONE;
    if (!on_body(h, buf_view(body)))
        return false;
    if (r->is_received)
        conn_deadline(h->conn, DEADLINE_NONE);
    if (r->state == REQUEST_READING) {
        if (!r->is_received && http_reader_head(h->reader)->expects_continue && body->len == 0)
            buf_append_str(conn_out(h->conn), "HTTP/1.1 100 Continue\r\n\r\n");
        dispatch(h, buf_view(body));
    } else if (r->is_received && r->state != REQUEST_NONE) {
        if (r->worker != NULL)
            call_body_end(r);
        if (r->state == REQUEST_ANSWERED)
            request_finish(r);
    }
    return true;
}

static void
on_bad(struct http *h)
{
    struct request *r = &h->request;

    if (r->state == REQUEST_ANSWERING || r->state == REQUEST_ANSWERED) {
        answer_cut(r);
        return;
    }
    request_cancel(r);
    r->state = REQUEST_READING;
    refuse(h, http_reader_status(h->reader), http_reader_reason(h->reader));
}

/* Feeds one piece until the input is used up or the request is complete. Returns what is left; false in *go_on: stop.
 */
static struct bytes
feed(struct http *h, struct bytes in, bool *go_on)
{
    struct buf *body = &h->gw->scratch_body;
    struct request *r = &h->request;
    enum http_step step;
    size_t used;

    if (r->state == REQUEST_NONE && http_reader_is_idle(h->reader))
        conn_deadline(h->conn, DEADLINE_HEAD);
    buf_clear(body);
    do {
        step = http_reader_feed(h->reader, in, &used, body);
        in = bytes_from(in.data + used, in.len - used);
        if (step == HTTP_STEP_HEAD && !on_head(h)) {
            *go_on = false;
            return in;
        }
    } while (step == HTTP_STEP_HEAD);
    if (step == HTTP_STEP_BAD) {
        *go_on = false;
        on_bad(h);
    } else if (r->state != REQUEST_NONE) {
        *go_on = step_end(h, step, body);
    }
    return in;
}

static void
keep_pending(struct http *h, struct bytes in)
{
    buf_append_bytes(&h->pending, in);
    if (h->pending.len > PIPELINE_BYTES_MAX)
        conn_read(h->conn, false);
}

/* Not behind an open request, and not while the answers to earlier ones wait for the client. */
static bool
may_read(const struct http *h)
{
    return h->request.state != REQUEST_NONE ? !h->request.is_received : conn_queued(h->conn) < OUT_HIGH_BYTES;
}

static void
consume(struct http *h, struct bytes in)
{
    struct conn *conn = h->conn;
    bool go_on = true;

    h->is_consuming = true;
    while (in.len > 0 && go_on && conn_is_open(conn) && conn->owner == h && may_read(h))
        in = feed(h, in, &go_on);
    if (!conn_is_open(conn) || conn->owner != h)
        return; /* h may be gone */
    h->is_consuming = false;
    if (in.len > 0)
        keep_pending(h, in);
}

static void
consume_pending(struct http *h)
{
    struct buf pending = h->pending;

    memset(&h->pending, 0, sizeof h->pending);
    consume(h, buf_view(&pending));
    buf_fini(&pending);
}

static void
on_data(struct conn *conn, uint8_t *data, size_t len)
{
    struct http *h = conn->owner;

    if (h->pending.len > 0 || h->request.is_received)
        keep_pending(h, bytes_from(data, len));
    else
        consume(h, bytes_from(data, len));
}

/* ---- ends -------------------------------------------------------------------------------------------------------- */
static void
request_clear(struct request *r)
{
    struct http *h = r->http;

    assert(r->worker == NULL);
    assert(r->file == NULL);
    buf_fini(&r->unsent);
    free(r->ws_url);
    memset(r, 0, sizeof *r);
    r->http = h;
}

static void
http_destroy(struct http *h)
{
    request_cancel(&h->request);
    request_clear(&h->request);
    http_reader_destroy(&h->reader);
    buf_fini(&h->pending);
    free(h);
}

void
http_abort(struct http *h)
{
    struct conn *conn = h->conn;

    conn->owner = NULL;
    conn_close(conn);
    http_destroy(h);
}

void
http_end(struct http *h)
{
    struct conn *conn = h->conn;

    conn->owner = NULL;
    conn_finish(conn);
    http_destroy(h);
}

void
request_finish(struct request *r)
{
    struct http *h = r->http;

    assert(r->state == REQUEST_ANSWERED);
    if (!r->keeps_alive || !r->is_received || h->gw->is_stopping) {
        http_end(h);
        return;
    }
    request_clear(r);
    http_reader_next(h->reader);
    conn_deadline(h->conn, DEADLINE_IDLE);
    conn_read(h->conn, true);
    if (!h->is_consuming && h->pending.len > 0)
        consume_pending(h);
}

void
request_cancel(struct request *r)
{
    if (r->worker != NULL)
        call_cancel(r, "The client disconnected.");
    else
        list_remove(&r->in_worker); /* parked */
    if (r->file != NULL)
        asset_stream_close(&r->file);
}

struct conn *
http_detach(struct http *h, struct buf *out_unread)
{
    struct conn *conn = h->conn;

    *out_unread = h->pending;
    memset(&h->pending, 0, sizeof h->pending);
    conn->owner = NULL;
    conn_deadline(conn, DEADLINE_NONE);
    http_destroy(h);
    return conn;
}

static void
on_gone(struct conn *conn)
{
    http_destroy(conn->owner);
}

static void
on_expired(struct conn *conn, enum deadline deadline)
{
    struct http *h = conn->owner;

    if (deadline == DEADLINE_IDLE || http_reader_is_idle(h->reader)) {
        http_end(h);
        return;
    }
    if (h->request.state == REQUEST_ANSWERING || h->request.state == REQUEST_ANSWERED) {
        answer_cut(&h->request);
        return;
    }
    request_cancel(&h->request);
    h->request.state = REQUEST_READING;
    refuse(h, 408, "The request did not arrive in time.");
}

static void
on_drained(struct conn *conn)
{
    struct http *h = conn->owner;

    if (h->request.file != NULL)
        asset_stream_continue(&h->request);
    else if (h->request.ungranted >= GRANT_BYTES && h->request.worker != NULL)
        call_grant(&h->request);
    else if (h->request.state == REQUEST_NONE && h->pending.len > 0)
        consume_pending(h);
}

static const struct conn_events events = { on_data, on_drained, on_gone, on_expired };

void
http_start(struct conn *conn)
{
    struct http *h = calloc(1, sizeof *h);

    assert(h != NULL);
    h->conn = conn;
    h->gw = conn->gw;
    h->reader = http_reader_create();
    h->request.http = h;
    conn_peer(conn, h->peer, sizeof h->peer);
    conn_own(conn, &events, h);
    conn_deadline(conn, DEADLINE_HEAD);
    conn_read(conn, true);
}
