/*
 * egress_http — see egress_http.h.
 *
 * curl's callbacks only gather; everything is sent from http_flush(), just before the loop waits, so that a small
 * response leaves as one REPLY. Threads: none.
 */
#include "src/egress/egress_http.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/egress/egress_headers.h"
#include "src/egress/egress_limits.h"
#include "src/egress/egress_redirect.h"

struct http_call {
    struct client *client; /* borrowed: a client ends its calls first */
    uint32_t id;
    struct asker asker;
    struct exchange exchange;
    struct curl_slist *fields;
    struct redirect_request request;
    enum redirect_mode redirect;
    int hops;

    struct buf up;      /* request body; kept from its start for as long as it is small, for redirects and retries */
    size_t up_at;       /* next byte that curl gets */
    size_t up_credited; /* up to here the client has its credit back */
    bool up_dropped;    /* bytes before `up` are gone: it cannot be sent again */
    uint32_t up_window; /* how much more the client may send */
    uint32_t up_used;   /* to be granted again */
    bool has_up;
    bool up_more;    /* DATA may follow */
    bool up_streams; /* comes in pieces */
    bool up_broken;
    bool up_paused;
    bool is_upload;     /* counted in client.uploads */
    size_t held;        /* of egress.request_bytes, ours */

    int status; /* of the head being read; 0: none yet */
    struct buf status_text;
    struct buf headers;
    size_t header_count;
    bool has_head; /* complete */
    bool is_replied;
    bool more_promised; /* REPLY said CALL_BODY_MORE */
    struct buf down;    /* response body not sent yet */
    uint32_t down_credit;
    bool down_paused;
    bool is_done;
    CURLcode result;
    struct list_node in_touched; /* egress.touched */
};

/* ---- the end -------------------------------------------------------------------------------------------------- */

/* Counts what the request holds until it is sent. */
static void
account_request(struct http_call *c, size_t held, bool is_upload)
{
    c->client->egress->request_bytes += held - c->held;
    c->client->uploads += is_upload;
    c->client->uploads -= c->is_upload;
    c->held = held;
    c->is_upload = is_upload;
}

static void
http_free(struct http_call *c)
{
    outlet_release(&c->exchange);
    account_request(c, 0, false);
    curl_slist_free_all(c->fields);
    (void)umap_take(c->client->http, c->id);
    c->client->egress->calls--;
    list_remove(&c->in_touched);
    url_fini(&c->request.url);
    buf_fini(&c->request.method);
    buf_fini(&c->request.headers);
    buf_fini(&c->up);
    buf_fini(&c->status_text);
    buf_fini(&c->headers);
    buf_fini(&c->down);
    asker_fini(&c->asker);
    free(c);
}

static void
touch(struct http_call *c)
{
    if (!list_is_linked(&c->in_touched))
        list_push_back(&c->client->egress->touched, &c->in_touched);
}

struct http_call *
http_touched(struct list_node *node)
{
    return list_entry(node, struct http_call, in_touched);
}

/* What has come of the request body and was not sent counts as taken. */
static void
drop_upload(struct http_call *c)
{
    if (c->up_streams)
        c->up_used += (uint32_t)(c->up.len - c->up_credited);
    c->up_streams = false;
    c->up_at = c->up_credited = 0;
    buf_clear(&c->up);
}

static void
fail(struct http_call *c, const struct failure *failure)
{
    send_fail(c->client, c->id, failure);
    http_free(c);
}

static void
fail_with(struct http_call *c, enum err_code code, const char *text)
{
    struct failure failure = { .code = code };

    (void)snprintf(failure.text, sizeof failure.text, "%s", text); /* a longer one is cut */
    fail(c, &failure);
}

/* ---- the response, as curl reads it --------------------------------------------------------------------------- */

static bool
is_redirected(const struct http_call *c)
{
    return c->redirect != REDIRECT_MANUAL && redirect_is_status(c->status) &&
           headers_find(buf_view(&c->headers), "location").data != NULL;
}

/* "HTTP/1.1 200 Some text" */
static void
read_status(struct http_call *c, struct bytes line)
{
    const uint8_t *space = memchr(line.data, ' ', line.len);
    size_t at = space == NULL ? line.len : (size_t)(space - line.data) + 1;

    c->status = 0;
    c->header_count = 0;
    buf_clear(&c->headers);
    buf_clear(&c->status_text);
    for (int i = 0; i < 3 && at < line.len && line.data[at] >= '0' && line.data[at] <= '9'; i++)
        c->status = c->status * 10 + (line.data[at++] - '0');
    if (at < line.len)
        latin1_to_utf8(&c->status_text, bytes_from(line.data + at + 1, line.len - at - 1));
}

/* curl decodes the body, so the fields that speak of the encoded one would be lies. */
static void
drop_encoding(struct http_call *c)
{
    struct bytes encoding = headers_find(buf_view(&c->headers), "content-encoding");

    if (encoding.data == NULL || bytes_equal_nocase(encoding, BYTES_LIT("identity")))
        return;
    headers_remove(&c->headers, "content-encoding");
    headers_remove(&c->headers, "content-length");
}

static size_t
on_header(char *data, size_t one, size_t len, void *owner)
{
    struct http_call *c = owner;
    struct bytes line = bytes_from(data, len);

    if (c->has_head)
        return len; /* trailers */
    while (line.len > 0 && (line.data[line.len - 1] == '\n' || line.data[line.len - 1] == '\r'))
        line.len--;
    if (bytes_has_prefix(line, BYTES_LIT("HTTP/"))) {
        read_status(c, line);
        return len;
    }
    if (line.len > 0) {
        if (++c->header_count > EGRESS_HEADERS_MAX || c->headers.len + 2 * line.len + 2 > HEADERS_MAX_BYTES)
            return 0;
        (void)headers_add_wire(&c->headers, line); /* a line that is no field is skipped, as browsers do */
        return len;
    }
    if (c->status < 200)
        return len; /* 1xx: another head follows */
    c->has_head = true;
    drop_encoding(c);
    touch(c);
    return len;
}

static size_t
on_body(char *data, size_t one, size_t len, void *owner)
{
    struct http_call *c = owner;
    size_t room = c->down_credit + (c->is_replied ? 0 : CHUNK_MAX_BYTES);

    if (is_redirected(c))
        return len; /* the next hop's body counts */
    if (c->down.len + len > room || link_is_backed_up(c->client->link)) {
        c->down_paused = true;
        touch(c);
        return CURL_WRITEFUNC_PAUSE;
    }
    buf_append(&c->down, data, len);
    touch(c);
    return len;
}

static void
on_done(struct exchange *exchange, CURLcode result)
{
    struct http_call *c = container_of(exchange, struct http_call, exchange);

    c->is_done = true;
    c->result = result;
    touch(c);
}

/* ---- the request, as curl sends it ---------------------------------------------------------------------------- */

static size_t
on_upload(char *to, size_t one, size_t cap, void *owner)
{
    struct http_call *c = owner;
    size_t left = c->up.len - c->up_at;
    size_t len = left < cap ? left : cap;

    if (c->up_broken)
        return CURL_READFUNC_ABORT;
    if (len == 0 && c->up_more) {
        c->up_paused = true;
        return CURL_READFUNC_PAUSE;
    }
    if (len == 0)
        return 0;
    memcpy(to, c->up.data + c->up_at, len);
    c->up_at += len;
    if (c->up_streams || c->is_replied)
        touch(c);
    return len;
}

/* curl sends a request again when a connection that it reused turns out to be dead. */
static int
on_seek(void *owner, curl_off_t offset, int origin)
{
    struct http_call *c = owner;

    if (c->up_dropped || origin != SEEK_SET || offset < 0 || (size_t)offset > c->up.len)
        return CURL_SEEKFUNC_FAIL;
    c->up_at = (size_t)offset;
    return CURL_SEEKFUNC_OK;
}

static bool
wants_length(struct bytes method)
{
    return bytes_equal_str(method, "POST") || bytes_equal_str(method, "PUT") || bytes_equal_str(method, "PATCH");
}

/* The length that the caller announced for a body that streams; -1: chunked. */
static curl_off_t
announced_length(const struct http_call *c)
{
    struct bytes text = headers_find(buf_view(&c->request.headers), "content-length");
    curl_off_t len = 0;

    if (text.len == 0 || text.len > 15)
        return -1;
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return -1;
        len = len * 10 + (text.data[i] - '0');
    }
    return len;
}

static void
set_body(struct http_call *c)
{
    CURL *easy = c->exchange.easy;
    struct bytes method = buf_view(&c->request.method);

    (void)curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, buf_cstr(&c->request.method));
    if (bytes_equal_str(method, "HEAD")) {
        (void)curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
        return;
    }
    if (!c->has_up && !wants_length(method))
        return;
    (void)curl_easy_setopt(easy, CURLOPT_UPLOAD, 1L);
    (void)curl_easy_setopt(easy, CURLOPT_READFUNCTION, on_upload);
    (void)curl_easy_setopt(easy, CURLOPT_READDATA, c);
    (void)curl_easy_setopt(easy, CURLOPT_SEEKFUNCTION, on_seek);
    (void)curl_easy_setopt(easy, CURLOPT_SEEKDATA, c);
    (void)curl_easy_setopt(easy, CURLOPT_INFILESIZE_LARGE, c->up_streams ? announced_length(c) : (curl_off_t)c->up.len);
}

/* Everything that curl offers is offered to the server and decoded here; "identity" is the way to say no. */
static void
set_encoding(struct http_call *c)
{
    struct bytes wanted = headers_find(buf_view(&c->request.headers), "accept-encoding");

    (void)curl_easy_setopt(c->exchange.easy, CURLOPT_ACCEPT_ENCODING,
                           bytes_equal_nocase(wanted, BYTES_LIT("identity")) ? "identity" : "");
}

/* Starts one hop. False with err: the request cannot be one. */
static bool
start_hop(struct http_call *c, struct err *err)
{
    struct egress *egress = c->client->egress;
    CURL *easy;

    curl_slist_free_all(STEAL(c->fields));
    if (!target_headers(&c->fields, buf_view(&c->request.headers), err))
        return false;
    outlet_prepare(egress->outlet, &c->exchange, buf_cstr(&c->request.url.href));
    easy = c->exchange.easy;
    c->exchange.hostname = url_hostname(&c->request.url);
    c->exchange.done = on_done;
    c->has_head = c->is_done = false;
    c->status = 0;
    c->up_at = 0;
    set_body(c);
    set_encoding(c);
    (void)curl_easy_setopt(easy, CURLOPT_HTTPHEADER, c->fields);
    (void)curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header);
    (void)curl_easy_setopt(easy, CURLOPT_HEADERDATA, c);
    (void)curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
    (void)curl_easy_setopt(easy, CURLOPT_WRITEDATA, c);
    (void)curl_easy_setopt(easy, CURLOPT_BUFFERSIZE, (long)EGRESS_BUFFER_BYTES);
    (void)curl_easy_setopt(easy, CURLOPT_UPLOAD_BUFFERSIZE, (long)EGRESS_UP_BUFFER_BYTES);
    (void)curl_easy_setopt(easy, CURLOPT_LOW_SPEED_LIMIT, 1L);
    (void)curl_easy_setopt(easy, CURLOPT_LOW_SPEED_TIME, (egress->limits.idle_ms + 999) / 1000);
    outlet_start(&c->exchange);
    return true;
}

void
http_open(struct client *client, const struct msg_CALL *m)
{
    struct http_call *c = calloc(1, sizeof *c);
    struct err err = { 0 };

    assert(c != NULL);
    c->client = client;
    c->id = m->call;
    c->up_window = STREAM_WINDOW_BYTES;
    c->down_credit = STREAM_WINDOW_BYTES;
    c->up_more = (m->flags & CALL_BODY_MORE) != 0;
    c->up_streams = c->up_more;
    c->has_up = (m->flags & (CALL_HAS_BODY | CALL_BODY_MORE)) != 0;
    c->request.keeps_body = true;
    asker_set(&c->asker, m);
    account_request(c, m->body.len + 2 * m->headers.len, c->up_streams);    /* headers: as they came, and for curl */
    buf_append_bytes(&c->up, m->body);
    buf_append_bytes(&c->request.method, m->method);
    buf_append_bytes(&c->request.headers, m->headers);
    client->egress->calls++;
    client->egress->calls_total++;
    (void)umap_put(client->http, c->id, c); /* the caller made sure that the number is free */
    if (!target_parse(&c->request.url, m->url, &err) || !redirect_mode_parse(&c->redirect, m->meta, &err) ||
        !start_hop(c, &err))
        fail_with(c, err.code, err.message);
}

/* ---- what the client says ------------------------------------------------------------------------------------- */

static void
resume_upload(struct http_call *c)
{
    if (!c->up_paused || c->exchange.easy == NULL)
        return;
    c->up_paused = false;
    (void)curl_easy_pause(c->exchange.easy, c->down_paused
                                                ? CURLPAUSE_RECV
                                                : CURLPAUSE_CONT); /* a failure ends the exchange, which tells us */
}

bool
http_data(struct http_call *c, struct bytes data, struct err *err)
{
    if (!c->up_more)
        return err_set(err, ERR_MALFORMED, 0, "DATA of a body that has ended");
    if (data.len > c->up_window)
        return err_set(err, ERR_MALFORMED, 0, "DATA of %zu bytes with a credit of %u", data.len, c->up_window);
    c->up_window -= (uint32_t)data.len;
    if (!c->has_up) {
        c->up_used += (uint32_t)data.len;
        touch(c);
        return true;
    }
    buf_append_bytes(&c->up, data);
    resume_upload(c);
    return true;
}

void
http_end(struct http_call *c, bool is_broken)
{
    c->up_more = false;
    c->up_broken = is_broken;
    resume_upload(c);
}

void
http_credit(struct http_call *c, uint32_t bytes)
{
    /* More than the window cannot be owed; a client that grants it gets the window. */
    c->down_credit = bytes > STREAM_WINDOW_BYTES - c->down_credit ? STREAM_WINDOW_BYTES : c->down_credit + bytes;
    touch(c);
}

void
http_cancel(struct http_call *c)
{
    http_free(c);
}

/* ---- what the client is told ---------------------------------------------------------------------------------- */

/* Gives back the credit of what curl took. */
static void
flush_upload(struct http_call *c)
{
    if (c->up_streams && c->up_at > c->up_credited) {
        c->up_used += (uint32_t)(c->up_at - c->up_credited);
        c->up_credited = c->up_at;
    }
    if (c->up_streams && c->up.len > EGRESS_REWIND_MAX_BYTES) {
        buf_consume(&c->up, c->up_at);
        c->up_credited -= c->up_at;
        c->up_at = 0;
        c->up_dropped = true;
    }
    if (c->up_used == 0 || !c->up_more)
        return;
    msg_CREDIT_pack(link_out(c->client->link),
                    &(struct msg_CREDIT){ .call = c->id, .from_opener = 0, .bytes = c->up_used });
    c->up_window += c->up_used;
    c->up_used = 0;
}

/* The answer has begun: the request will not be sent again, and a stream of tokens may last for long. */
static void
forget_request(struct http_call *c)
{
    if (c->up_more || c->up_at < c->up.len || c->fields == NULL)
        return;
    if (!c->is_done)
        (void)curl_easy_setopt(c->exchange.easy, CURLOPT_HTTPHEADER, NULL);
    curl_slist_free_all(STEAL(c->fields));
    buf_fini(&c->request.headers);
    buf_fini(&c->up);
    c->up_at = c->up_credited = 0;
    account_request(c, 0, false);
}

static bool
has_no_body(const struct http_call *c)
{
    return c->status == 204 || c->status == 205 || c->status == 304 ||
           bytes_equal_str(buf_view(&c->request.method), "HEAD");
}

static struct bytes
at_most(struct bytes b, size_t max)
{
    return b.len > max ? bytes_from(b.data, max) : b;
}

static void
send_reply(struct http_call *c)
{
    struct bytes body = at_most(buf_view(&c->down), CHUNK_MAX_BYTES);
    bool is_whole = c->is_done && c->result == CURLE_OK && body.len == c->down.len;

    c->is_replied = true;
    c->more_promised = !is_whole;
    if (!c->is_done)
        (void)curl_easy_setopt(c->exchange.easy, CURLOPT_LOW_SPEED_TIME, (long)EGRESS_STREAM_IDLE_MS / 1000);
    msg_REPLY_pack(link_out(c->client->link),
                   &(struct msg_REPLY){
                       .call = c->id,
                       .status = (uint16_t)c->status,
                       .flags = (uint8_t)((has_no_body(c) ? 0 : CALL_HAS_BODY) | (is_whole ? 0 : CALL_BODY_MORE)),
                       .slot = SLOT_NONE,
                       .status_text = at_most(buf_view(&c->status_text), TOKEN_MAX_BYTES),
                       .headers = buf_view(&c->headers),
                       .body = body,
                   });
    buf_consume(&c->down, body.len);
    buf_fini(&c->status_text);
    buf_fini(&c->headers);
}

static void
send_down(struct http_call *c)
{
    size_t at = 0;

    while (at < c->down.len) {
        struct bytes piece = at_most(bytes_from(c->down.data + at, c->down.len - at), CHUNK_MAX_BYTES);
        assert(piece.len <= c->down_credit); /* on_body took no more */
        msg_DATA_pack(link_out(c->client->link), &(struct msg_DATA){ .call = c->id, .from_opener = 0, .bytes = piece });
        c->down_credit -= (uint32_t)piece.len;
        at += piece.len;
    }
    buf_fini(&c->down); /* the next token may be seconds away */
}

static void
resume_download(struct http_call *c)
{
    if (!c->down_paused || c->down_credit < EGRESS_BUFFER_BYTES)
        return;
    if (link_is_backed_up(c->client->link)) {
        touch(c); /* asked again when the link has written */
        return;
    }
    c->down_paused = false;
    (void)curl_easy_pause(c->exchange.easy, c->up_paused ? CURLPAUSE_SEND : CURLPAUSE_CONT); /* as in resume_upload */
}

/* A redirect that the caller wants followed, or refused. The body of the response has been dropped. */
static void
next_hop(struct http_call *c)
{
    struct bytes location = headers_find(buf_view(&c->headers), "location");
    struct buf copy = { 0 };
    struct err err = { 0 };
    bool ok;

    outlet_release(&c->exchange);
    if (c->redirect == REDIRECT_ERROR) {
        fail_with(c, ERR_NETWORK, "Unexpected redirect.");
        return;
    }
    if (++c->hops > EGRESS_REDIRECTS_MAX) {
        fail_with(c, ERR_NETWORK, "Too many redirects.");
        return;
    }
    buf_append_bytes(&copy, location);
    ok = redirect_follow(&c->request, c->status, buf_view(&copy), &err);
    buf_fini(&copy);
    if (ok && !c->request.keeps_body) {
        c->has_up = false;
        drop_upload(c);
        touch(c);
    } else if (ok && c->up_streams) {
        ok = err_set(
            &err, ERR_NETWORK, 0,
            "A request with a one-time-use body encountered a redirect requiring the body to be retransmitted.");
    }
    if (!ok || !start_hop(c, &err))
        fail_with(c, err.code, err.message);
}

static void
end_early(struct http_call *c)
{
    struct failure failure;

    failure_of(&failure, &c->exchange, c->result);
    log_for(c->client->egress, &c->asker, "fetch %s: %s", buf_cstr(&c->request.url.href),
            c->exchange.error[0] != '\0' ? c->exchange.error : curl_easy_strerror(c->result));
    if (!c->is_replied) {
        fail(c, &failure);
        return;
    }
    msg_END_pack(link_out(c->client->link),
                 &(struct msg_END){ .call = c->id, .from_opener = 0, .message = bytes_of(failure.text) });
    http_free(c); /* what still comes of the request body is for nobody */
}

void
http_flush(struct http_call *c)
{
    bool failed = c->is_done && c->result != CURLE_OK;

    flush_upload(c);
    if (c->is_done && !failed && c->has_head && is_redirected(c)) {
        next_hop(c);
        return;
    }
    if (!c->has_head || is_redirected(c)) {
        if (c->is_done)
            end_early(c);
        return;
    }
    /* At an error status curl sends no more of the request, but a pause would keep it from noticing the end. */
    if (c->status >= 300)
        resume_upload(c);
    if (!c->is_replied && !(failed && c->down.len == 0))
        send_reply(c);
    if (c->is_replied)
        send_down(c);
    if (failed) {
        end_early(c);
        return;
    }
    if (!c->is_done) {
        forget_request(c);
        resume_download(c);
        return;
    }
    if (c->more_promised)
        msg_END_pack(link_out(c->client->link), &(struct msg_END){ .call = c->id, .from_opener = 0 });
    http_free(c); /* what still comes of the request body is for nobody */
}
