/*
 * egress_handshake — see egress_handshake.h. llhttp reads the answer.
 *
 * Threads: none; pure.
 */
#include "src/egress/egress_handshake.h"

#include <assert.h>
#include <llhttp/llhttp.h>
#include <stdlib.h>
#include <string.h>

#include "lib/ipc/ipc_limits.h"
#include "lib/wire/ws_handshake.h"
#include "src/egress/egress_headers.h"
#include "src/egress/egress_limits.h"

#define KEY_TEXT_BYTES 24 /* base64 of 16 bytes */

struct handshake {
    struct buf request;
    struct buf protocols;             /* what was asked for */
    char accept[WS_ACCEPT_BYTES + 1]; /* what must come back */
    llhttp_t parser;
    struct buf status_text;
    struct buf headers;
    size_t header_count;
    struct buf name;
    struct buf value;
    struct buf body;
    bool is_complete;
    bool is_too_large;
};

/* ---- the request ---------------------------------------------------------------------------------------------- */

static void
base64(struct buf *out, const uint8_t *in, size_t len)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

    for (size_t i = 0; i < len; i += 3) {
        size_t left = len - i;
        uint32_t group = (uint32_t)in[i] << 16 | (left > 1 ? (uint32_t)in[i + 1] << 8 : 0) | (left > 2 ? in[i + 2] : 0);
        buf_append_byte(out, (uint8_t)digits[group >> 18]);
        buf_append_byte(out, (uint8_t)digits[group >> 12 & 63]);
        buf_append_byte(out, left > 1 ? (uint8_t)digits[group >> 6 & 63] : '=');
        buf_append_byte(out, left > 2 ? (uint8_t)digits[group & 63] : '=');
    }
}

/* Fields of the handshake that are ours to write. */
static bool
is_handshake_field(struct bytes name)
{
    return bytes_equal_nocase(name, BYTES_LIT("sec-websocket-key")) ||
           bytes_equal_nocase(name, BYTES_LIT("sec-websocket-version")) ||
           bytes_equal_nocase(name, BYTES_LIT("sec-websocket-extensions")) ||
           bytes_equal_nocase(name, BYTES_LIT("sec-websocket-accept"));
}

static bool
write_fields(struct handshake *h, struct bytes blob, struct err *err)
{
    struct bytes name;
    struct bytes value;
    size_t count = 0;
    bool bad;

    while (headers_next(&blob, &name, &value, &bad)) {
        if (headers_is_transport(name) || is_handshake_field(name))
            continue;
        if (++count > EGRESS_HEADERS_MAX)
            return err_set(err, ERR_LIMIT, 0, "a request has more than %d headers", EGRESS_HEADERS_MAX);
        if (!headers_line(&h->request, name, value, err))
            return false;
        buf_append_str(&h->request, "\r\n");
        if (bytes_equal_nocase(name, BYTES_LIT("sec-websocket-protocol"))) {
            if (h->protocols.len > 0)
                buf_append_byte(&h->protocols, ',');
            buf_append_bytes(&h->protocols, value);
        }
    }
    return !bad || err_set(err, ERR_MALFORMED, 0, "the header section is not in pairs of lines");
}

static bool
write_request(struct handshake *h, const struct url *url, struct bytes headers, const uint8_t key[16], struct err *err)
{
    struct buf text = { 0 };

    base64(&text, key, 16);
    assert(text.len == KEY_TEXT_BYTES);
    if (!ws_accept(buf_view(&text), h->accept))
        assert(false); /* it is base64 of 16 bytes */
    buf_append_str(&h->request, "GET ");
    buf_append_bytes(&h->request, url_pathname(url));
    buf_append_bytes(&h->request, url_search(url));
    buf_append_str(&h->request, " HTTP/1.1\r\nHost: ");
    buf_append_bytes(&h->request, url_host(url));
    buf_append_str(&h->request,
                   "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ");
    buf_append_bytes(&h->request, buf_view(&text));
    buf_append_str(&h->request, "\r\n");
    buf_fini(&text);
    if (!write_fields(h, headers, err))
        return false;
    buf_append_str(&h->request, "\r\n");
    return true;
}

/* ---- the answer ----------------------------------------------------------------------------------------------- */

static int
on_status(llhttp_t *parser, const char *at, size_t len)
{
    struct handshake *h = parser->data;

    if (h->status_text.len + 2 * len > TOKEN_MAX_BYTES) /* Latin-1 may double */
        return HPE_USER;
    latin1_to_utf8(&h->status_text, bytes_from(at, len));
    return 0;
}

static int
append_bounded(struct handshake *h, struct buf *to, const char *at, size_t len)
{
    /* Latin-1 may double, and the blob has two line ends per field. */
    if (h->headers.len + 2 * (h->name.len + h->value.len + len) + 2 > HEADERS_MAX_BYTES)
        return HPE_USER;
    buf_append(to, at, len);
    return 0;
}

static int
on_name(llhttp_t *parser, const char *at, size_t len)
{
    struct handshake *h = parser->data;

    return append_bounded(h, &h->name, at, len);
}

static int
on_value(llhttp_t *parser, const char *at, size_t len)
{
    struct handshake *h = parser->data;

    return append_bounded(h, &h->value, at, len);
}

static int
on_value_complete(llhttp_t *parser)
{
    struct handshake *h = parser->data;

    if (++h->header_count > EGRESS_HEADERS_MAX)
        return HPE_USER;
    (void)headers_add_field(&h->headers, buf_view(&h->name), buf_view(&h->value)); /* what is no field is skipped */
    buf_clear(&h->name);
    buf_clear(&h->value);
    return 0;
}

static int
on_answer_body(llhttp_t *parser, const char *at, size_t len)
{
    struct handshake *h = parser->data;
    size_t room = EGRESS_WS_REFUSAL_MAX_BYTES - h->body.len;

    buf_append(&h->body, at, len < room ? len : room);
    h->is_too_large = len > room;
    return h->is_too_large ? HPE_USER : 0;
}

static int
on_complete(llhttp_t *parser)
{
    struct handshake *h = parser->data;

    if (parser->status_code >= 200 || parser->status_code == 101)
        h->is_complete = true;
    return 0;
}

static int
on_headers_end(llhttp_t *parser)
{
    struct handshake *h = parser->data;

    /* 1xx other than 101: another head follows. */
    if (parser->status_code < 200 && parser->status_code != 101) {
        buf_clear(&h->headers);
        buf_clear(&h->status_text);
        h->header_count = 0;
    }
    return 0;
}

static const llhttp_settings_t settings = {
    .on_status = on_status,
    .on_header_field = on_name,
    .on_header_value = on_value,
    .on_header_value_complete = on_value_complete,
    .on_headers_complete = on_headers_end,
    .on_body = on_answer_body,
    .on_message_complete = on_complete,
};

bool
handshake_create(struct handshake **out_handshake, const struct url *url, struct bytes headers, const uint8_t key[16],
                 struct err *err)
{
    struct handshake *h = calloc(1, sizeof *h);

    assert(h != NULL);
    llhttp_init(&h->parser, HTTP_RESPONSE, &settings);
    h->parser.data = h;
    if (!write_request(h, url, headers, key, err)) {
        handshake_destroy(&h);
        return false;
    }
    *out_handshake = h;
    return true;
}

void
handshake_destroy(struct handshake **handshake)
{
    struct handshake *h = *handshake;

    if (h == NULL)
        return;
    buf_fini(&h->request);
    buf_fini(&h->protocols);
    buf_fini(&h->status_text);
    buf_fini(&h->headers);
    buf_fini(&h->name);
    buf_fini(&h->value);
    buf_fini(&h->body);
    free(h);
    *handshake = NULL;
}

struct bytes
handshake_request(const struct handshake *handshake)
{
    return buf_view(&handshake->request);
}

/* Is ITEM one of the comma-separated LIST? */
static bool
list_has(struct bytes list, struct bytes item, bool ignores_case)
{
    while (list.len > 0) {
        const uint8_t *comma = memchr(list.data, ',', list.len);
        struct bytes part = bytes_from(list.data, comma == NULL ? list.len : (size_t)(comma - list.data));
        list = comma == NULL ? BYTES_NONE : bytes_from(comma + 1, list.len - part.len - 1);
        while (part.len > 0 && (part.data[0] == ' ' || part.data[0] == '\t'))
            part = bytes_from(part.data + 1, part.len - 1);
        while (part.len > 0 && (part.data[part.len - 1] == ' ' || part.data[part.len - 1] == '\t'))
            part.len--;
        if (ignores_case ? bytes_equal_nocase(part, item) : bytes_equal(part, item))
            return true;
    }
    return false;
}

/* RFC 6455 section 4.1, what the client must check. */
static bool
is_good_101(const struct handshake *h)
{
    struct bytes fields = buf_view(&h->headers);
    struct bytes protocol = headers_find(fields, "sec-websocket-protocol");

    return list_has(headers_find(fields, "upgrade"), BYTES_LIT("websocket"), true) &&
           list_has(headers_find(fields, "connection"), BYTES_LIT("upgrade"), true) &&
           bytes_equal_str(headers_find(fields, "sec-websocket-accept"), h->accept) &&
           headers_find(fields, "sec-websocket-extensions").data == NULL &&
           (protocol.data == NULL || list_has(buf_view(&h->protocols), protocol, false));
}

static enum handshake_state
state_now(const struct handshake *h)
{
    if (!h->is_complete)
        return HANDSHAKE_MORE;
    if (h->parser.status_code != 101)
        return HANDSHAKE_REFUSED;
    return is_good_101(h) ? HANDSHAKE_OPEN : HANDSHAKE_BROKEN;
}

enum handshake_state
handshake_feed(struct handshake *h, struct bytes in, size_t *out_used)
{
    llhttp_errno_t code = llhttp_execute(&h->parser, (const char *)in.data, in.len);

    *out_used = in.len;
    if (code == HPE_PAUSED_UPGRADE)
        *out_used = (size_t)(llhttp_get_error_pos(&h->parser) - (const char *)in.data);
    else if (code != HPE_OK)
        return h->is_too_large ? HANDSHAKE_REFUSED : HANDSHAKE_BROKEN;
    return state_now(h);
}

enum handshake_state
handshake_eof(struct handshake *h)
{
    if (llhttp_finish(&h->parser) != HPE_OK || !h->is_complete)
        return HANDSHAKE_BROKEN;
    return state_now(h);
}

int
handshake_status(const struct handshake *handshake)
{
    return handshake->parser.status_code;
}

struct bytes
handshake_status_text(const struct handshake *handshake)
{
    return buf_view(&handshake->status_text);
}

struct bytes
handshake_headers(const struct handshake *handshake)
{
    return buf_view(&handshake->headers);
}

struct bytes
handshake_body(const struct handshake *handshake)
{
    return buf_view(&handshake->body);
}
