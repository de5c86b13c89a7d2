/*
 * egress_answer_fuzz — what a hostile server can answer: handshakes in pieces, header lines, redirects. The first byte
 * says how large the pieces are.
 */
#include <assert.h>
#include <string.h>

#include "lib/ipc/message.h"
#include "src/egress/egress_handshake.h"
#include "src/egress/egress_headers.h"
#include "src/egress/egress_limits.h"
#include "src/egress/egress_redirect.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* A blob is pairs of lines with token names, whatever the server sent. */
static void
check_blob(struct bytes blob)
{
    struct bytes name, value;
    bool bad;

    while (headers_next(&blob, &name, &value, &bad)) {
        struct buf line = { 0 };
        struct err err = { 0 };
        if (memchr(value.data == NULL ? (const uint8_t *)"" : value.data, '\r', value.len) == NULL)
            assert(headers_line(&line, name, value, &err)); /* what came in can go out */
        buf_fini(&line);
    }
    assert(!bad);
}

/* What the room makes of it: packing asserts the message's maxima. */
static void
check_reply(const struct handshake *h)
{
    struct buf out = { 0 };

    check_blob(handshake_headers(h));
    msg_REPLY_pack(&out, &(struct msg_REPLY){
                             .status = (uint16_t)handshake_status(h),
                             .status_text = handshake_status_text(h),
                             .headers = handshake_headers(h),
                             .body = handshake_body(h),
                         });
    buf_fini(&out);
}

static void
try_handshake(struct bytes in, size_t piece)
{
    static const uint8_t key[16] = { 1, 2, 3 };
    struct handshake *h = NULL;
    struct url url = { 0 };
    struct err err = { 0 };
    enum handshake_state state = HANDSHAKE_MORE;

    assert(url_parse(&url, BYTES_LIT("http://h/"), NULL));
    assert(handshake_create(&h, &url, BYTES_LIT("sec-websocket-protocol\na\n"), key, &err));
    while (in.len > 0 && state == HANDSHAKE_MORE) {
        size_t n = in.len < piece ? in.len : piece;
        size_t used = 0;
        state = handshake_feed(h, bytes_from(in.data, n), &used);
        assert(used <= n);
        in = bytes_from(in.data + n, in.len - n);
    }
    if (state == HANDSHAKE_MORE)
        state = handshake_eof(h);
    assert(state != HANDSHAKE_MORE);
    assert(handshake_body(h).len <= EGRESS_WS_REFUSAL_MAX_BYTES);
    if (state != HANDSHAKE_BROKEN)
        check_reply(h);
    handshake_destroy(&h);
    url_fini(&url);
}

static void
try_lines(struct bytes in)
{
    struct buf blob = { 0 };

    while (in.len > 0) {
        const uint8_t *end = memchr(in.data, '\n', in.len);
        size_t n = end == NULL ? in.len : (size_t)(end - in.data);
        (void)headers_add_wire(&blob, bytes_from(in.data, n));
        in = bytes_from(in.data + n + (end != NULL), in.len - n - (end != NULL));
    }
    check_blob(buf_view(&blob));
    buf_fini(&blob);
}

static void
try_redirect(struct bytes location)
{
    struct redirect_request r = { 0 };
    struct err err = { 0 };

    assert(url_parse(&r.url, BYTES_LIT("http://a/b"), NULL));
    buf_append_str(&r.method, "POST");
    buf_append_str(&r.headers, "cookie\na\nx\ny\n");
    if (redirect_follow(&r, 302, location, &err))
        assert(bytes_equal_str(url_protocol(&r.url), "http:") || bytes_equal_str(url_protocol(&r.url), "https:"));
    url_fini(&r.url);
    buf_fini(&r.method);
    buf_fini(&r.headers);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    if (len == 0)
        return 0;
    try_handshake(bytes_from(data + 1, len - 1), (size_t)data[0] + 1);
    try_lines(bytes_from(data + 1, len - 1));
    try_redirect(bytes_from(data + 1, len - 1));
    return 0;
}
