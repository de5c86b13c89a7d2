/*
 * http_reader — see the header. Callbacks of llhttp write the head into one buffer: target "\n" then the flat headers.
 */
#include "lib/wire/http_reader.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include <llhttp/llhttp.h>

#define HEAD_KEEP_BYTES (8 * 1024) /* an idle connection keeps at most this much of its head buffer */

/* PHASE_END: the head said that there is no body; the next feed reports HTTP_STEP_DONE. */
enum phase { PHASE_IDLE, PHASE_HEAD, PHASE_BODY, PHASE_END, PHASE_DONE, PHASE_BAD };

struct http_reader {
    llhttp_t parser;
    enum phase phase;
    struct buf store; /* target, then flat headers */
    size_t target_bytes;
    size_t name_start; /* where the header under way starts in store */
    size_t value_start;
    uint32_t lines;
    uint32_t extension_bytes; /* of chunks, so far */
    uint8_t last;             /* previous raw byte of the head, for the line checks across pieces */
    bool head_reported;
    int status;
    const char *reason;
    struct http_head head;
    struct buf *body; /* borrowed during feed */
};

static int
bad(struct http_reader *r, int status, const char *reason)
{
    if (r->phase != PHASE_BAD) {
        r->phase = PHASE_BAD;
        r->status = status;
        r->reason = reason;
    }
    return -1;
}

/* ---- callbacks of the parser ------------------------------------------------------------------------------------- */
static int
on_url(llhttp_t *parser, const char *at, size_t len)
{
    struct http_reader *r = parser->data;

    if (r->store.len + len > HTTP_TARGET_MAX_BYTES)
        return bad(r, 414, "The request target is too long.");
    buf_append(&r->store, at, len);
    return 0;
}

static int
on_url_complete(llhttp_t *parser)
{
    struct http_reader *r = parser->data;

    r->target_bytes = r->store.len;
    r->name_start = r->store.len;
    return 0;
}

static bool
head_has_room(const struct http_reader *r, size_t more)
{
    return r->store.len - r->target_bytes + more <= HTTP_HEAD_MAX_BYTES;
}

static int
on_field(llhttp_t *parser, const char *at, size_t len)
{
    struct http_reader *r = parser->data;

    if (r->head_reported)
        return bad(r, 400, "Trailer fields are not accepted.");
    if (!head_has_room(r, len + 2))
        return bad(r, 431, "The header section is too large.");
    buf_reserve(&r->store, len + 1);
    for (size_t i = 0; i < len; i++) {
        uint8_t c = (uint8_t)at[i];
        r->store.data[r->store.len++] = c >= 'A' && c <= 'Z' ? (uint8_t)(c | 0x20) : c;
    }
    return 0;
}

static int
on_field_complete(llhttp_t *parser)
{
    struct http_reader *r = parser->data;

    if (r->store.len == r->name_start)
        return bad(r, 400, "A header has no name.");
    buf_append_byte(&r->store, '\n');
    r->value_start = r->store.len;
    return 0;
}

static int
on_value(llhttp_t *parser, const char *at, size_t len)
{
    struct http_reader *r = parser->data;

    if (!head_has_room(r, len * 2 + 2))
        return bad(r, 431, "The header section is too large.");
    buf_reserve(&r->store, len * 2 + 1);
    for (size_t i = 0; i < len; i++) {
        uint8_t c = (uint8_t)at[i];
        if ((c < 0x20 && c != '\t') || c == 0x7f)
            return bad(r, 400, "A header value holds a control character.");
        if (c >= 0x80) {
            r->store.data[r->store.len++] = (uint8_t)(0xc0 | c >> 6);
            c = (uint8_t)(0x80 | (c & 0x3f));
        }
        r->store.data[r->store.len++] = c;
    }
    return 0;
}

static int
on_value_complete(llhttp_t *parser)
{
    struct http_reader *r = parser->data;

    while (r->store.len > r->value_start &&
           (r->store.data[r->store.len - 1] == ' ' || r->store.data[r->store.len - 1] == '\t'))
        r->store.len--;
    buf_append_byte(&r->store, '\n');
    r->name_start = r->store.len;
    if (++r->lines > HTTP_HEADER_LINES_MAX)
        return bad(r, 431, "There are too many header lines.");
    return 0;
}

static int
on_headers_complete(llhttp_t *parser)
{
    struct http_reader *r = parser->data;

    r->phase = PHASE_BODY;
    return HPE_PAUSED;
}

static int
on_chunk_extension(llhttp_t *parser, const char *at, size_t len)
{
    struct http_reader *r = parser->data;

    r->extension_bytes += (uint32_t)len;
    return r->extension_bytes > HTTP_CHUNK_EXTENSIONS_MAX_BYTES ? bad(r, 400, "The chunk extensions are too long.") : 0;
}

static int
on_body(llhttp_t *parser, const char *at, size_t len)
{
    struct http_reader *r = parser->data;

    buf_append(r->body, at, len);
    return 0;
}

static int
on_message_complete(llhttp_t *parser)
{
    struct http_reader *r = parser->data;

    r->phase = PHASE_DONE;
    return HPE_PAUSED;
}

static const llhttp_settings_t settings = {
    .on_url = on_url,
    .on_url_complete = on_url_complete,
    .on_header_field = on_field,
    .on_header_field_complete = on_field_complete,
    .on_header_value = on_value,
    .on_header_value_complete = on_value_complete,
    .on_headers_complete = on_headers_complete,
    .on_chunk_extension_name = on_chunk_extension,
    .on_chunk_extension_value = on_chunk_extension,
    .on_body = on_body,
    .on_message_complete = on_message_complete,
};

struct http_reader *
http_reader_create(void)
{
    struct http_reader *r = calloc(1, sizeof *r);

    assert(r != NULL);
    llhttp_init(&r->parser, HTTP_REQUEST, &settings);
    r->parser.data = r;
    return r;
}

void
http_reader_destroy(struct http_reader **reader)
{
    if (*reader == NULL)
        return;
    buf_fini(&(*reader)->store);
    free(*reader);
    *reader = NULL;
}

void
http_reader_next(struct http_reader *r)
{
    assert(r->phase == PHASE_DONE);

    llhttp_init(&r->parser, HTTP_REQUEST, &settings);
    r->parser.data = r;
    r->phase = PHASE_IDLE;
    if (r->store.cap > HEAD_KEEP_BYTES)
        buf_fini(&r->store);
    buf_clear(&r->store);
    r->target_bytes = r->name_start = r->value_start = 0;
    r->lines = r->extension_bytes = 0;
    r->last = 0;
    r->head_reported = false;
    memset(&r->head, 0, sizeof r->head);
}

bool
http_reader_is_idle(const struct http_reader *r)
{
    return r->phase == PHASE_IDLE;
}
int
http_reader_status(const struct http_reader *r)
{
    return r->status;
}
const char *
http_reader_reason(const struct http_reader *r)
{
    return r->reason;
}
const struct http_head *
http_reader_head(const struct http_reader *r)
{
    return &r->head;
}

/* ---- what the parser does not check ------------------------------------------------------------------------------ */
/* Every LF has its CR, every CR its LF, and no line of the head begins with a blank (obs-fold, or a blank before the
 * first header). */
static bool
lines_are_strict(struct http_reader *r, struct bytes raw)
{
    uint8_t last = r->last;

    for (size_t i = 0; i < raw.len; i++) {
        uint8_t c = raw.data[i];
        if (c > ' ' && last > '\r') {
            last = c;
            continue;
        }
        if ((c == '\n') != (last == '\r'))
            return false;
        if (last == '\n' && (c == ' ' || c == '\t'))
            return false;
        if (c == 0)
            return false;
        last = c;
    }
    r->last = last;
    return true;
}

/* CULPRIT: the first byte that did not fit, 0 when unknown. */
static int
bad_for(struct http_reader *r, llhttp_errno_t code, uint8_t culprit)
{
    switch (code) {
    case HPE_INVALID_METHOD: /* another word, or no word at all: TLS, or noise */
        return culprit > ' ' && culprit < 0x7f ? bad(r, 501, "The method is not known.")
                                               : bad(r, 400, "This is not HTTP.");
    case HPE_INVALID_VERSION:
    case HPE_PAUSED_H2_UPGRADE:
        return bad(r, 505, "Only HTTP/1.0 and HTTP/1.1 are spoken here.");
    case HPE_INVALID_CHUNK_SIZE:
        return bad(r, 400, "A chunk of the body is malformed.");
    case HPE_INVALID_CONTENT_LENGTH:
    case HPE_UNEXPECTED_CONTENT_LENGTH:
        return bad(r, 400, "Content-Length is wrong or stands twice.");
    case HPE_INVALID_TRANSFER_ENCODING:
        return bad(r, 400, "Transfer-Encoding is not understood.");
    default:
        return bad(r, 400, "The request is malformed.");
    }
}

bool
http_number(struct bytes text, uint64_t *out)
{
    uint64_t n = 0;

    if (text.len == 0 || text.len > 18)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] < '0' || text.data[i] > '9')
            return false;
        n = n * 10 + (uint64_t)(text.data[i] - '0');
    }
    *out = n;
    return true;
}

bool
http_header_next(struct bytes *rest, struct bytes *out_name, struct bytes *out_value)
{
    const uint8_t *name_end, *value_end;

    if (rest->len == 0)
        return false;
    name_end = memchr(rest->data, '\n', rest->len);
    if (name_end == NULL)
        return false;
    value_end = memchr(name_end + 1, '\n', rest->len - (size_t)(name_end + 1 - rest->data));
    if (value_end == NULL)
        return false;
    *out_name = bytes_from(rest->data, (size_t)(name_end - rest->data));
    *out_value = bytes_from(name_end + 1, (size_t)(value_end - name_end - 1));
    rest->len -= (size_t)(value_end + 1 - rest->data);
    rest->data = value_end + 1;
    return true;
}

bool
http_header_find(struct bytes headers, const char *name, struct bytes *out_value)
{
    struct bytes found, want = bytes_of(name);

    while (http_header_next(&headers, &found, out_value))
        if (bytes_equal(found, want))
            return true;
    *out_value = BYTES_NONE;
    return false;
}

bool
http_list_has(struct bytes value, const char *token)
{
    size_t at = 0;

    while (at < value.len) {
        const uint8_t *comma = memchr(value.data + at, ',', value.len - at);
        size_t end = comma != NULL ? (size_t)(comma - value.data) : value.len, from = at, to = end;
        while (from < to && (value.data[from] == ' ' || value.data[from] == '\t'))
            from++;
        while (to > from && (value.data[to - 1] == ' ' || value.data[to - 1] == '\t'))
            to--;
        if (bytes_equal_nocase(bytes_from(value.data + from, to - from), bytes_of(token)))
            return true;
        at = end + 1;
    }
    return false;
}

static bool
is_host_byte(uint8_t c, bool is_in_brackets)
{
    bool is_digit = c >= '0' && c <= '9', is_hex_letter = (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');

    if (is_in_brackets)
        return is_digit || is_hex_letter || c == ':' || c == '.';
    return is_digit || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '.' || c == '-' || c == '_';
}

/* A name or address that a URL can be made of, and a port: no user information, no escapes. */
static bool
host_is_valid(struct bytes host)
{
    bool is_in_brackets = host.len > 0 && host.data[0] == '[';
    size_t i = is_in_brackets ? 1 : 0, from = i;
    uint64_t port;

    if (host.len > HTTP_HOST_MAX_BYTES)
        return false;
    while (i < host.len && is_host_byte(host.data[i], is_in_brackets))
        i++;
    if (i == from)
        return false;
    if (is_in_brackets && (i == host.len || host.data[i++] != ']'))
        return false;
    if (i == host.len)
        return true;
    if (host.data[i++] != ':')
        return false;
    return i == host.len || (http_number(bytes_from(host.data + i, host.len - i), &port) && port <= UINT16_MAX);
}

/* What one header means for the message. Counts are kept so that doubles are seen. */
struct seen {
    unsigned hosts, lengths, codings;
    bool is_upgrade_named;
};

static bool
header_note(struct http_reader *r, struct seen *seen, struct bytes name, struct bytes value)
{
    struct http_head *h = &r->head;

    switch (name.len) {
    case 4:
        if (bytes_equal(name, BYTES_LIT("host"))) {
            seen->hosts++;
            h->host = value;
        }
        return true;
    case 6:
        if (bytes_equal(name, BYTES_LIT("expect")))
            h->expects_continue = !h->is_http_1_0 && bytes_equal_nocase(value, BYTES_LIT("100-continue"));
        return true;
    case 7:
        if (bytes_equal(name, BYTES_LIT("upgrade")))
            seen->is_upgrade_named = true;
        return true;
    case 10:
        if (bytes_equal(name, BYTES_LIT("connection"))) {
            if (http_list_has(value, "close"))
                h->keep_alive = false;
            else if (h->is_http_1_0 && http_list_has(value, "keep-alive"))
                h->keep_alive = true;
            h->has_upgrade = h->has_upgrade || http_list_has(value, "upgrade");
        }
        return true;
    case 14:
        if (bytes_equal(name, BYTES_LIT("content-length"))) {
            seen->lengths++;
            h->has_length = true;
            return http_number(value, &h->content_length);
        }
        return true;
    case 17:
        if (bytes_equal(name, BYTES_LIT("transfer-encoding"))) {
            seen->codings++;
            h->is_chunked = true;
            return bytes_equal_nocase(value, BYTES_LIT("chunked"));
        }
        return true;
    default:
        return true;
    }
}

/* Splits the target. Absolute form names the host itself (RFC 9112 section 3.2.2). */
static bool
target_split(struct http_reader *r)
{
    struct http_head *h = &r->head;
    struct bytes t = bytes_from(r->store.data, r->target_bytes);
    const uint8_t *slash;

    for (size_t i = 0; i < t.len; i++)
        if (t.data[i] <= ' ' || t.data[i] >= 0x7f || t.data[i] == '#')
            return false;
    if (t.len == 1 && t.data[0] == '*' && bytes_equal_str(h->method, "OPTIONS")) {
        h->path = BYTES_LIT("/");
        return true;
    }
    if (t.len > 0 && t.data[0] == '/') {
        h->path = t;
        return true;
    }
    if (t.len < 8 || (!bytes_equal_nocase(bytes_from(t.data, 7), BYTES_LIT("http://")) &&
                      !bytes_equal_nocase(bytes_from(t.data, 8), BYTES_LIT("https://"))))
        return false;
    t = bytes_from(t.data + (t.data[4] == ':' ? 7 : 8), t.len - (t.data[4] == ':' ? 7 : 8));
    slash = memchr(t.data, '/', t.len);
    h->host = bytes_from(t.data, slash != NULL ? (size_t)(slash - t.data) : t.len);
    h->path = slash != NULL ? bytes_from(slash, t.len - h->host.len) : BYTES_LIT("/");
    return memchr(h->host.data, '?', h->host.len) == NULL;
}

static int
head_finish(struct http_reader *r)
{
    struct http_head *h = &r->head;
    struct seen seen = { 0 };
    struct bytes rest = bytes_from(r->store.data + r->target_bytes, r->store.len - r->target_bytes), name, value;

    if (r->parser.http_major != 1 || r->parser.http_minor > 1)
        return bad(r, 505, "Only HTTP/1.0 and HTTP/1.1 are spoken here.");
    h->method = bytes_of(llhttp_method_name(r->parser.method));
    h->headers = rest;
    h->is_http_1_0 = r->parser.http_minor == 0;
    h->keep_alive = !h->is_http_1_0;
    h->is_head = r->parser.method == HTTP_HEAD;
    if (r->parser.method == HTTP_CONNECT || r->parser.method == HTTP_PRI)
        return bad(r, 501, "The method is not supported.");
    if (r->parser.method == HTTP_TRACE)
        return bad(r, 405, "The method is not supported.");
    while (http_header_next(&rest, &name, &value))
        if (!header_note(r, &seen, name, value))
            return bad(r, 400, "Content-Length or Transfer-Encoding is malformed.");
    h->has_upgrade = h->has_upgrade && seen.is_upgrade_named;
    if (seen.lengths > 1 || seen.codings > 1 || (seen.lengths > 0 && seen.codings > 0) ||
        (seen.codings > 0 && h->is_http_1_0))
        return bad(r, 400, "The length of the body is ambiguous.");
    if (seen.hosts > 1 || (seen.hosts == 0 && !h->is_http_1_0))
        return bad(r, 400, "The request needs exactly one Host header.");
    if (seen.hosts == 1 && !host_is_valid(h->host))
        return bad(r, 400, "The Host header is malformed.");
    if (!target_split(r))
        return bad(r, 400, "The request target is malformed.");
    if (h->host.len == 0)
        h->host = BYTES_LIT("localhost");
    if (!host_is_valid(h->host))
        return bad(r, 400, "The host in the request target is malformed.");
    return 0;
}

enum http_step
http_reader_feed(struct http_reader *r, struct bytes in, size_t *out_used, struct buf *body)
{
    bool is_in_head = r->phase == PHASE_IDLE || r->phase == PHASE_HEAD;
    llhttp_errno_t code;
    size_t used;

    assert(r->phase != PHASE_DONE);
    *out_used = 0;
    if (r->phase == PHASE_BAD)
        return HTTP_STEP_BAD;
    if (r->phase == PHASE_END)
        return r->phase = PHASE_DONE, HTTP_STEP_DONE;
    if (in.len == 0)
        return HTTP_STEP_MORE;
    r->body = body;
    if (r->phase == PHASE_IDLE)
        r->phase = PHASE_HEAD;
    code = llhttp_execute(&r->parser, (const char *)in.data, in.len);
    used = code == HPE_OK ? in.len : (size_t)(llhttp_get_error_pos(&r->parser) - (const char *)in.data);
    *out_used = used;
    if (is_in_head && r->phase != PHASE_BAD && !lines_are_strict(r, bytes_from(in.data, used)))
        bad(r, 400, "A line of the head does not end in CR LF, or is folded.");
    if (r->phase == PHASE_BAD)
        return HTTP_STEP_BAD;
    if (code != HPE_OK && code != HPE_PAUSED && code != HPE_PAUSED_UPGRADE)
        return bad_for(r, code, used < in.len ? in.data[used] : 0), HTTP_STEP_BAD;
    if (code == HPE_PAUSED)
        llhttp_resume(&r->parser);
    if (r->phase == PHASE_HEAD)
        return HTTP_STEP_MORE;
    if (!r->head_reported) {
        r->head_reported = true;
        if (head_finish(r) != 0)
            return HTTP_STEP_BAD;
        if (!r->head.is_chunked && r->head.content_length == 0)
            r->phase = PHASE_END;
        return HTTP_STEP_HEAD;
    }
    return r->phase == PHASE_DONE ? HTTP_STEP_DONE : HTTP_STEP_MORE;
}
