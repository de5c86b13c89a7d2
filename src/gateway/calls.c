/* calls — see the header. */
#include "src/gateway/calls.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "src/gateway/asset_calls.h"
#include "src/gateway/http_internal.h"
#include "src/gateway/sockets.h"

/* ---- the table --------------------------------------------------------------------------------------------------- */
void
calls_init(struct gateway *gw)
{
    struct call_table *t = &gw->calls;

    t->size = gw->conf.requests_max + 1;
    t->requests = calloc(t->size, sizeof *t->requests);
    t->generations = calloc(t->size, sizeof *t->generations);
    t->free_list = calloc(t->size, sizeof *t->free_list);
    assert(t->requests != NULL);
    assert(t->generations != NULL);
    assert(t->free_list != NULL);
    for (uint32_t i = t->size; i > 0; i--)
        t->free_list[t->free_len++] = (uint16_t)(i - 1);
}

void
calls_fini(struct gateway *gw)
{
    free(gw->calls.requests);
    free(gw->calls.generations);
    free(gw->calls.free_list);
}

static uint32_t
table_put(struct call_table *t, struct request *r)
{
    uint16_t index;

    assert(t->free_len > 0);
    index = t->free_list[--t->free_len];
    t->requests[index] = r;
    t->open++;
    t->total++;
    return (uint32_t)t->generations[index] << 16 | index;
}

static void
table_take(struct call_table *t, uint32_t call)
{
    uint16_t index = (uint16_t)call;

    assert(t->requests[index] != NULL);
    t->requests[index] = NULL;
    t->generations[index]++;
    t->free_list[t->free_len++] = index;
    t->open--;
}

/* A call of WORKER that is still open; NULL: it ended meanwhile, or the worker makes it up. */
static struct request *
table_find(struct call_table *t, const struct worker *worker, uint32_t call)
{
    uint16_t index = (uint16_t)call;
    struct request *r = index < t->size ? t->requests[index] : NULL;

    return r != NULL && r->call == call && r->worker == worker ? r : NULL;
}

/* ---- the request's headers as the app sees them ------------------------------------------------------------------ */
/* What only the platform may say, and what belongs to the connection. */
static bool
is_withheld(struct bytes name, bool is_upgrade)
{
    if (name.len > 3 && memcmp(name.data, "cf-", 3) == 0)
        return true;
    switch (name.len) {
    case 6:
        return bytes_equal(name, BYTES_LIT("expect"));
    case 7:
    case 10:
        if (is_upgrade && (bytes_equal(name, BYTES_LIT("upgrade")) || bytes_equal(name, BYTES_LIT("connection"))))
            return false;
        break;
    case 9:
        return bytes_equal(name, BYTES_LIT("x-real-ip")) || bytes_equal(name, BYTES_LIT("forwarded"));
    case 14:
        return bytes_equal(name, BYTES_LIT("true-client-ip"));
    case 15:
        return bytes_equal(name, BYTES_LIT("x-forwarded-for"));
    case 16:
        if (bytes_equal(name, BYTES_LIT("x-forwarded-host")))
            return true;
        break;
    case 17:
        if (bytes_equal(name, BYTES_LIT("x-forwarded-proto")))
            return true;
        break;
    default:
        break;
    }
    return http_is_hop_by_hop(name);
}

/* The first address of X-Forwarded-For when the operator trusts who is in front of us. */
static struct bytes
client_address(const struct http *h, struct bytes headers)
{
    struct bytes list = BYTES_NONE;
    size_t n = 0;

    if (!h->gw->conf.trusts_proxy || !http_header_find(headers, "x-forwarded-for", &list))
        return bytes_of(h->peer);
    while (n < list.len && list.data[n] != ',' && list.data[n] != ' ')
        n++;
    return n > 0 && n < INET6_ADDRSTRLEN ? bytes_from(list.data, n) : bytes_of(h->peer);
}

static const char *
client_scheme(const struct http *h, struct bytes headers)
{
    struct bytes proto;

    if (h->gw->conf.trusts_proxy && http_header_find(headers, "x-forwarded-proto", &proto) &&
        bytes_equal_str(proto, "https"))
        return "https";
    return "http";
}

static void
header_add(struct buf *out, const char *name, struct bytes value)
{
    buf_append_str(out, name);
    buf_append_byte(out, '\n');
    buf_append_bytes(out, value);
    buf_append_byte(out, '\n');
}

static void
headers_for_app(const struct request *r, const struct http_head *head, const char *scheme, struct buf *out)
{
    struct bytes rest = head->headers, name, value, options;
    struct bytes address = client_address(r->http, head->headers);
    bool has_options = http_header_find(head->headers, "connection", &options);

    buf_clear(out);
    buf_reserve(out, rest.len + 128);
    while (http_header_next(&rest, &name, &value)) {
        char option[64];
        if (is_withheld(name, r->wants_socket))
            continue;
        if (has_options && !r->wants_socket && name.len < sizeof option) { /* named in Connection: of this hop only */
            memcpy(option, name.data, name.len);
            option[name.len] = 0;
            if (http_list_has(options, option))
                continue;
        }
        buf_append(out, name.data, name.len + 1 + value.len + 1);
    }
    header_add(out, "cf-connecting-ip", address);
    header_add(out, "x-real-ip", address);
    header_add(out, "x-forwarded-proto", bytes_of(scheme));
}

/* ---- sending ----------------------------------------------------------------------------------------------------- */
static void
pack_data(struct request *r, struct bytes bytes)
{
    while (bytes.len > 0) {
        size_t n = bytes.len < CHUNK_MAX_BYTES ? bytes.len : CHUNK_MAX_BYTES;
        struct msg_DATA m = { .call = r->call, .from_opener = 1, .bytes = bytes_from(bytes.data, n) };
        msg_DATA_pack(link_out(r->worker->link), &m);
        bytes = bytes_from(bytes.data + n, bytes.len - n);
    }
}

void
call_send(struct request *r, struct worker *worker, struct bytes body)
{
    static const char meta[] = "{\"httpProtocol\":\"HTTP/1.1\"}"; /* request.cf */
    struct gateway *gw = r->http->gw;
    const struct http_head *head = http_reader_head(r->http->reader);
    const char *scheme = client_scheme(r->http, head->headers);
    struct bytes rest = BYTES_NONE, trace = BYTES_NONE;
    struct msg_CALL m = { .kind = CALL_ENTRY };

    assert(worker->link != NULL);
    if (body.len > CHUNK_MAX_BYTES) {
        rest = bytes_from(body.data + CHUNK_MAX_BYTES, body.len - CHUNK_MAX_BYTES);
        body.len = CHUNK_MAX_BYTES;
    }
    headers_for_app(r, head, scheme, &gw->scratch_headers);
    buf_clear(&gw->scratch_url);
    buf_append_str(&gw->scratch_url, scheme);
    buf_append(&gw->scratch_url, "://", 3);
    buf_append_bytes(&gw->scratch_url, head->host);
    buf_append_bytes(&gw->scratch_url, head->path);
    if (http_header_find(head->headers, "traceparent", &trace) && trace.len > TRACE_MAX_BYTES)
        trace = BYTES_NONE;
    r->worker = worker;
    r->call = table_put(&gw->calls, r);
    list_push_back(&worker->requests, &r->in_worker);
    r->state = REQUEST_WAITING;
    r->send_credit = STREAM_WINDOW_BYTES;
    r->is_body_ended = r->is_received && rest.len == 0;
    m.call = r->call;
    m.flags = (uint8_t)((r->is_body_ended ? 0 : CALL_BODY_MORE) | (r->wants_socket ? CALL_UPGRADE : 0) |
                        (head->is_chunked || head->has_length ? CALL_HAS_BODY : 0));
    m.method = head->method;
    m.url = buf_view(&gw->scratch_url);
    m.headers = buf_view(&gw->scratch_headers);
    m.meta = bytes_from(meta, sizeof meta - 1);
    m.trace = trace;
    m.body = body;
    msg_CALL_pack(link_out(worker->link), &m);
    if (r->wants_socket)
        r->ws_url = bytes_dup(m.url);
    if (rest.len > 0)
        (void)call_body(r, rest); /* within the first window */
    if (r->is_received && !r->is_body_ended)
        call_body_end(r);
}

bool
call_body(struct request *r, struct bytes bytes)
{
    size_t now = 0;

    if (r->worker == NULL || r->is_body_ended)
        return true;
    if (r->unsent.len == 0) {
        now = bytes.len < r->send_credit ? bytes.len : r->send_credit;
        pack_data(r, bytes_from(bytes.data, now));
        r->send_credit -= now;
    }
    buf_append(&r->unsent, bytes.data + now, bytes.len - now);
    return r->unsent.len == 0;
}

void
call_body_end(struct request *r)
{
    struct msg_END m = { .call = r->call, .from_opener = 1 };

    if (r->is_body_ended || r->unsent.len > 0)
        return;
    r->is_body_ended = true;
    msg_END_pack(link_out(r->worker->link), &m);
}

static void
on_credit(struct request *r, uint32_t bytes)
{
    size_t now;

    r->send_credit += bytes;
    if (r->send_credit > STREAM_WINDOW_BYTES * 2)
        r->send_credit = STREAM_WINDOW_BYTES * 2;
    if (r->unsent.len == 0)
        return;
    now = r->unsent.len < r->send_credit ? r->unsent.len : r->send_credit;
    pack_data(r, bytes_from(r->unsent.data, now));
    r->send_credit -= now;
    buf_consume(&r->unsent, now);
    if (r->unsent.len > 0)
        return;
    buf_fini(&r->unsent);
    if (r->is_received) {
        call_body_end(r);
    } else {
        conn_read(r->http->conn, true);
        conn_deadline(r->http->conn, DEADLINE_BODY);
    }
}

void
call_grant(struct request *r)
{
    struct msg_CREDIT m = { .call = r->call, .from_opener = 1, .bytes = (uint32_t)r->ungranted };

    if (r->worker == NULL || r->ungranted == 0)
        return;
    r->ungranted = 0;
    msg_CREDIT_pack(link_out(r->worker->link), &m);
}

void
call_close(struct request *r)
{
    if (r->worker == NULL)
        return;
    table_take(&r->http->gw->calls, r->call);
    list_remove(&r->in_worker);
    r->worker = NULL;
    buf_fini(&r->unsent);
}

void
call_cancel(struct request *r, const char *message)
{
    struct msg_CANCEL m = { .call = r->call, .from_opener = 1, .message = bytes_of(message) };

    if (r->worker == NULL)
        return;
    if (r->worker->link != NULL)
        msg_CANCEL_pack(link_out(r->worker->link), &m);
    call_close(r);
}

void
calls_lost(struct worker *worker)
{
    while (!list_is_empty(&worker->requests)) {
        struct request *r = list_entry(worker->requests.next, struct request, in_worker);
        call_close(r);
        if (r->state == REQUEST_WAITING)
            answer_error(r, 503, "ERR_LOST", BYTES_LIT("The process that ran the request died. It may have run once."),
                         RETRY_AFTER_S);
        else
            answer_cut(r);
    }
}

/* ---- receiving --------------------------------------------------------------------------------------------------- */
static void
reply_end_body(struct request *r)
{
    if (r->is_body_ended)
        call_close(r);
    answer_end(r);
}

static bool
on_reply(struct gateway *gw, struct worker *worker, struct bytes payload, struct err *err)
{
    struct msg_REPLY m;
    struct request *r;
    bool has_more;

    if (!msg_REPLY_unpack(&m, payload, err))
        return false;
    r = table_find(&gw->calls, worker, m.call);
    if (r == NULL)
        return true;
    if (r->state != REQUEST_WAITING)
        return err_set(err, ERR_MALFORMED, 0, "a second REPLY to a call");
    if (m.slot != SLOT_NONE)
        app_advise(gw, r->app, r->slot_key, m.slot);
    if (m.socket != 0) {
        socket_attach(r, &m);
        return true;
    }
    has_more = (m.flags & CALL_BODY_MORE) != 0;
    if (m.status < 200 || m.status > 999) {
        call_cancel(r, "The status is not one of a response.");
        answer_error(r, 500, "ERR_APP", BYTES_LIT("The app's response has no valid status."), 0);
        return true;
    }
    if (!has_more && r->is_body_ended)
        call_close(r);
    answer_start(r, m.status, m.status_text, m.headers, m.body, has_more ? ANSWER_MORE : ANSWER_WHOLE);
    /* r may be gone now, unless its call is still open */
    r = has_more ? table_find(&gw->calls, worker, m.call) : NULL;
    if (r != NULL && r->is_body_dropped) {
        call_cancel(r, "This response has no body.");
        answer_end(r);
    }
    return true;
}

static bool
on_fail(struct gateway *gw, struct worker *worker, struct bytes payload, struct err *err)
{
    struct msg_FAIL m;
    struct request *r;
    const struct err_info *info;

    if (!msg_FAIL_unpack(&m, payload, err))
        return false;
    r = table_find(&gw->calls, worker, m.call);
    if (r == NULL)
        return true;
    call_close(r);
    if (r->state != REQUEST_WAITING) {
        answer_cut(r);
        return true;
    }
    info = err_info(m.code > ERR_NONE && m.code < ERR_CODES ? (enum err_code)m.code : ERR_APP);
    if (m.message.len == 0)
        m.message = bytes_of(info->sentence);
    answer_error(r, (m.flags & FAIL_OVERLOADED) != 0 ? 503 : info->http_status, info->name, m.message,
                 info->may_retry || (m.flags & FAIL_RETRYABLE) != 0 ? RETRY_AFTER_S : 0);
    return true;
}

static bool
on_data(struct gateway *gw, struct worker *worker, struct bytes payload, struct err *err)
{
    struct msg_DATA m;
    struct request *r;

    if (!msg_DATA_unpack(&m, payload, err))
        return false;
    if (m.from_opener != 0)
        return true; /* the body of an asset request: nobody reads it */
    r = table_find(&gw->calls, worker, m.call);
    if (r == NULL)
        return true;
    if (r->state != REQUEST_ANSWERING)
        return err_set(err, ERR_MALFORMED, 0, "DATA before REPLY");
    r->ungranted += m.bytes.len;
    if (r->ungranted > STREAM_WINDOW_BYTES)
        return err_set(err, ERR_MALFORMED, 0, "more DATA than credit");
    answer_body(r, m.bytes);
    r = table_find(&gw->calls, worker, m.call);
    if (r != NULL && r->is_body_dropped && r->ungranted >= GRANT_BYTES)
        call_grant(r);
    return true;
}

static bool
on_end(struct gateway *gw, struct worker *worker, struct bytes payload, struct err *err)
{
    struct msg_END m;
    struct request *r;

    if (!msg_END_unpack(&m, payload, err))
        return false;
    r = m.from_opener == 0 ? table_find(&gw->calls, worker, m.call) : NULL;
    if (r == NULL)
        return true;
    if (r->state != REQUEST_ANSWERING)
        return err_set(err, ERR_MALFORMED, 0, "END before REPLY");
    if (m.message.len > 0)
        answer_cut(r);
    else
        reply_end_body(r);
    return true;
}

static bool
on_credit_message(struct gateway *gw, struct worker *worker, struct bytes payload, struct err *err)
{
    struct msg_CREDIT m;
    struct request *r;

    if (!msg_CREDIT_unpack(&m, payload, err))
        return false;
    if (m.from_opener != 0) {
        asset_call_credit(gw, worker, m.call, m.bytes);
        return true;
    }
    r = table_find(&gw->calls, worker, m.call);
    if (r != NULL)
        on_credit(r, m.bytes);
    return true;
}

static bool
on_cancel(struct gateway *gw, struct worker *worker, struct bytes payload, struct err *err)
{
    struct msg_CANCEL m;
    struct request *r;

    if (!msg_CANCEL_unpack(&m, payload, err))
        return false;
    if (m.from_opener != 0) {
        asset_call_cancel(gw, worker, m.call);
        return true;
    }
    /* The worker wants no more of the request's body, or gave the answer up. */
    r = table_find(&gw->calls, worker, m.call);
    if (r == NULL)
        return true;
    call_close(r);
    if (r->state == REQUEST_WAITING)
        answer_error(r, 500, "ERR_CANCELLED", BYTES_LIT("The app gave the request up."), 0);
    else
        answer_cut(r);
    return true;
}

bool
calls_message(struct gateway *gw, struct worker *worker, uint16_t type, struct bytes payload, struct err *err)
{
    switch (type) {
    case MSG_CALL:
        return asset_call(gw, worker, payload, err);
    case MSG_REPLY:
        return on_reply(gw, worker, payload, err);
    case MSG_FAIL:
        return on_fail(gw, worker, payload, err);
    case MSG_DATA:
        return on_data(gw, worker, payload, err);
    case MSG_END:
        return on_end(gw, worker, payload, err);
    case MSG_CREDIT:
        return on_credit_message(gw, worker, payload, err);
    case MSG_CANCEL:
        return on_cancel(gw, worker, payload, err);
    default:
        return err_set(err, ERR_MALFORMED, 0, "a worker does not send this message here");
    }
}
