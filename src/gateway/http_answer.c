/* http_answer — the answers of http.h: framing, errors, the end of a request. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/gateway/calls.h"
#include "src/gateway/http.h"
#include "src/gateway/http_internal.h"

static enum http_connection
connection_of(const struct request *r)
{
    if (!r->keeps_alive)
        return HTTP_CLOSE;
    return http_reader_head(r->http->reader)->is_http_1_0 ? HTTP_KEEP_1_0 : HTTP_KEEP;
}

/* How the answer's body is framed. LENGTH: of the whole body when known, else of nothing. */
static void
framing_choose(struct request *r, struct http_answer *a, struct bytes body, enum answer_more more)
{
    struct bytes value;
    uint64_t declared;
    bool has_declared = http_header_find(a->headers, "content-length", &value) && http_number(value, &declared);

    a->framing = HTTP_FRAMING_LENGTH;
    if (a->status == 204 || a->status == 304 || a->status < 200) {
        a->framing = HTTP_FRAMING_NONE;
        r->is_body_dropped = true;
    } else if (r->is_body_dropped) {
        if (has_declared)
            a->length = declared;
        else if (more == ANSWER_WHOLE && body.len > 0)
            a->length = body.len;
        else
            a->framing = HTTP_FRAMING_NONE; /* HEAD, and nobody knows */
    } else if (more == ANSWER_WHOLE) {
        a->length = body.len;
    } else if (has_declared) {
        a->length = declared;
    } else if (http_reader_head(r->http->reader)->is_http_1_0) {
        a->framing = HTTP_FRAMING_CLOSE;
        r->keeps_alive = false;
    } else {
        a->framing = HTTP_FRAMING_CHUNKED;
    }
    r->framing = a->framing;
    r->remaining = a->framing == HTTP_FRAMING_LENGTH ? a->length : 0;
}

/* Packs the head; when a header is not sendable, an error takes the place of the whole answer, and false is returned.
 */
static bool
head_write(struct request *r, struct http_answer *a)
{
    struct http *h = r->http;
    struct err err = { 0 };

    a->connection = connection_of(r);
    a->date = gateway_date(h->gw);
    if (http_answer_write(conn_out(h->conn), a, &err)) {
        r->state = REQUEST_ANSWERING;
        return true;
    }
    room_log(h->gw->room, 2, "app '%s': %s", r->app != NULL ? r->app->name : "", err.message);
    call_cancel(r, "The response has an invalid header.");
    answer_error(r, 500, "ERR_APP", BYTES_LIT("The app's response has an invalid header."), 0);
    return false;
}

void
answer_start(struct request *r, int status, struct bytes status_text, struct bytes headers, struct bytes body,
             enum answer_more more)
{
    struct http_answer a = { .status = status, .status_text = status_text, .headers = headers };

    assert(r->state == REQUEST_READING || r->state == REQUEST_WAITING);
    framing_choose(r, &a, body, more);
    if (!head_write(r, &a))
        return;
    if (body.len > 0)
        answer_body(r, body);
    if (more == ANSWER_WHOLE && r->state == REQUEST_ANSWERING)
        answer_end(r);
}

void
answer_start_length(struct request *r, int status, struct bytes headers, uint64_t length)
{
    struct http_answer a = { .status = status, .headers = headers, .framing = HTTP_FRAMING_LENGTH, .length = length };

    assert(r->state == REQUEST_READING || r->state == REQUEST_WAITING);
    if (status == 304) {
        a.framing = HTTP_FRAMING_NONE;
        r->is_body_dropped = true;
    }
    r->framing = a.framing;
    r->remaining = a.framing == HTTP_FRAMING_LENGTH ? length : 0;
    (void)head_write(r, &a); /* false: another answer went out instead; the state tells */
}

void
answer_body(struct request *r, struct bytes bytes)
{
    struct buf *out;

    assert(r->state == REQUEST_ANSWERING);
    if (r->is_body_dropped || bytes.len == 0)
        return;
    if (r->framing == HTTP_FRAMING_LENGTH && bytes.len > r->remaining) {
        answer_cut(r);
        return;
    }
    out = conn_out(r->http->conn);
    if (r->framing == HTTP_FRAMING_CHUNKED)
        http_chunk_header(out, bytes.len);
    buf_append_bytes(out, bytes);
    if (r->framing == HTTP_FRAMING_CHUNKED)
        buf_append(out, "\r\n", 2);
    if (r->framing == HTTP_FRAMING_LENGTH)
        r->remaining -= bytes.len;
}

uint8_t *
answer_room(struct request *r, size_t n)
{
    struct buf *out = conn_out(r->http->conn);

    assert(r->state == REQUEST_ANSWERING);
    buf_reserve(out, n);
    return out->data + out->len;
}

void
answer_filled(struct request *r, size_t n)
{
    assert(r->framing == HTTP_FRAMING_LENGTH);
    assert(n <= r->remaining);
    r->http->conn->out.len += n;
    r->remaining -= n;
}

void
answer_end(struct request *r)
{
    struct http *h = r->http;

    assert(r->state == REQUEST_ANSWERING);
    if (!r->is_body_dropped && r->framing == HTTP_FRAMING_LENGTH && r->remaining > 0) {
        answer_cut(r);
        return;
    }
    if (!r->is_body_dropped && r->framing == HTTP_FRAMING_CHUNKED)
        buf_append(conn_out(h->conn), "0\r\n\r\n", 5);
    if (r->worker != NULL)
        call_cancel(r, "The response is complete.");
    r->state = REQUEST_ANSWERED;
    if (r->is_received || !r->keeps_alive) {
        request_finish(r);
        return;
    }
    /* The rest of the request is read and thrown away, so that the connection can be used again. */
    buf_clear(&r->unsent);
    conn_read(h->conn, true);
    conn_deadline(h->conn, DEADLINE_BODY);
}

void
answer_cut(struct request *r)
{
    struct http *h = r->http;

    request_cancel(r);
    if (r->framing == HTTP_FRAMING_CLOSE && r->state == REQUEST_ANSWERING)
        http_abort(h);
    else
        http_end(h);
}

/* ---- errors ------------------------------------------------------------------------------------------------------ */
static void
json_escape(struct buf *out, struct bytes text)
{
    for (size_t i = 0; i < text.len; i++) {
        uint8_t c = text.data[i];
        if (c == '"' || c == '\\') {
            buf_append_byte(out, '\\');
            buf_append_byte(out, c);
        } else if (c < 0x20) {
            buf_printf(out, "\\u%04x", c);
        } else {
            buf_append_byte(out, c);
        }
    }
}

static void
html_escape(struct buf *out, struct bytes text)
{
    for (size_t i = 0; i < text.len; i++) {
        switch (text.data[i]) {
        case '<':
            buf_append_str(out, "&lt;");
            break;
        case '>':
            buf_append_str(out, "&gt;");
            break;
        case '&':
            buf_append_str(out, "&amp;");
            break;
        case '"':
            buf_append_str(out, "&quot;");
            break;
        default:
            buf_append_byte(out, text.data[i]);
        }
    }
}

static bool
contains(struct bytes text, const char *part)
{
    return text.len > 0 && memmem(text.data, text.len, part, strlen(part)) != NULL;
}

static void
error_body(struct buf *out, struct bytes accept, int status, const char *code, struct bytes message,
           const char **out_type)
{
    struct bytes title = http_reason(status);

    if (contains(accept, "text/html")) {
        *out_type = "text/html; charset=utf-8";
        buf_printf(
            out,
            "<!doctype html><meta charset=utf-8><meta name=color-scheme content=\"light dark\"><title>%d %.*s</title>"
            "<style>body{font:1rem/1.5 system-ui,sans-serif;max-width:36rem;margin:20vh auto;padding:0 1rem}"
            "small{opacity:.6}</style><h1>%.*s</h1><p>",
            status, (int)title.len, (const char *)title.data, (int)title.len, (const char *)title.data);
        html_escape(out, message);
        buf_printf(out, "</p><small>%d %s</small>\n", status, code);
    } else if (contains(accept, "json")) {
        *out_type = "application/json";
        buf_printf(out, "{\"error\":{\"code\":\"%s\",\"message\":\"", code);
        json_escape(out, message);
        buf_append_str(out, "\"}}\n");
    } else {
        *out_type = "text/plain; charset=utf-8";
        buf_append_bytes(out, message);
        buf_append_byte(out, '\n');
    }
}

void
answer_error(struct request *r, int status, const char *code, struct bytes message, int retry_after_s)
{
    struct buf body = { 0 }, headers = { 0 };
    struct bytes accept = BYTES_NONE;
    const char *type;

    assert(r->worker == NULL);
    if (message.len > ERROR_MESSAGE_BYTES_MAX)
        message.len = ERROR_MESSAGE_BYTES_MAX;
    (void)http_header_find(http_reader_head(r->http->reader)->headers, "accept", &accept); /* none: plain text */
    error_body(&body, accept, status, code, message, &type);
    buf_printf(&headers, "content-type\n%s\ncache-control\nno-store\n", type);
    if (retry_after_s > 0)
        buf_printf(&headers, "retry-after\n%d\n", retry_after_s);
    answer_start(r, status, BYTES_NONE, buf_view(&headers), buf_view(&body), ANSWER_WHOLE);
    buf_fini(&body);
    buf_fini(&headers);
}
