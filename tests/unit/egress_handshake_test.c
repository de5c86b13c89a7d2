/* egress_handshake_test — the client's side of RFC 6455 section 4, answers fed byte by byte and whole. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "src/egress/egress_handshake.h"
#include "src/egress/egress_limits.h"

/* "the sample nonce", the key of RFC 6455 section 1.3, whose accept value is given there. */
static const uint8_t key[16] = { 't', 'h', 'e', ' ', 's', 'a', 'm', 'p', 'l', 'e', ' ', 'n', 'o', 'n', 'c', 'e' };
#define ACCEPT "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
#define HEAD   "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: keep-alive, Upgrade\r\n"

static struct handshake *
start(const char *headers)
{
    struct handshake *h = NULL;
    struct url url = { 0 };
    struct err err = { 0 };

    assert_true(url_parse(&url, BYTES_LIT("http://example.com:81/chat?a=b"), NULL));
    assert_true(handshake_create(&h, &url, bytes_of(headers), key, &err));
    url_fini(&url);
    return h;
}

static void
the_request_is_complete(void **state)
{
    struct handshake *h = start("x-a\n1\nhost\nevil\nupgrade\nh2c\nsec-websocket-key\nx\nsec-websocket-extensions\nfoo\nsec-websocket-protocol\nmcp\n");

    assert_true(bytes_equal_str(handshake_request(h),
                                "GET /chat?a=b HTTP/1.1\r\nHost: example.com:81\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                                "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
                                "x-a: 1\r\nsec-websocket-protocol: mcp\r\n\r\n"));
    handshake_destroy(&h);
    assert_null(h);
}

/* Feeds ANSWER whole and byte by byte: both must come to STATE. */
static struct handshake *
answer(const char *headers, struct bytes text, enum handshake_state want, size_t *out_used)
{
    struct handshake *h = start(headers);
    enum handshake_state state = HANDSHAKE_MORE;
    size_t used = 0;

    for (size_t i = 0; i < text.len && state == HANDSHAKE_MORE; i++)
        state = handshake_feed(h, bytes_from(text.data + i, 1), &used);
    assert_int_equal(state, want);
    handshake_destroy(&h);
    h = start(headers);
    assert_int_equal(handshake_feed(h, text, out_used), want);
    return h;
}

static void
check(const char *headers, const char *text, enum handshake_state want)
{
    size_t used;
    struct handshake *h = answer(headers, bytes_of(text), want, &used);

    handshake_destroy(&h);
}

static void
a_good_answer_opens(void **state)
{
    size_t used;
    struct bytes text = BYTES_LIT(HEAD "Sec-WebSocket-Accept: " ACCEPT "\r\nX-Who: caf\xe9\r\n\r\n\x81\x02hi");
    struct handshake *h = answer("", text, HANDSHAKE_OPEN, &used);

    assert_int_equal(used, text.len - 4); /* the frame behind it is not the handshake's */
    assert_int_equal(handshake_status(h), 101);
    assert_true(bytes_equal_str(handshake_status_text(h), "Switching Protocols"));
    assert_true(bytes_has_prefix(handshake_headers(h), BYTES_LIT("upgrade\nwebsocket\n")));
    assert_non_null(memmem(handshake_headers(h).data, handshake_headers(h).len, "x-who\ncaf\xc3\xa9\n", 12));
    handshake_destroy(&h);
    check("sec-websocket-protocol\na, b\n", HEAD "Sec-WebSocket-Accept: " ACCEPT "\r\nSec-WebSocket-Protocol: b\r\n\r\n", HANDSHAKE_OPEN);
    check("", "HTTP/1.1 103 Early Hints\r\nX: y\r\n\r\n" HEAD "Sec-WebSocket-Accept: " ACCEPT "\r\n\r\n", HANDSHAKE_OPEN);
}

static void
a_bad_101_does_not(void **state)
{
    check("", HEAD "\r\n", HANDSHAKE_BROKEN);
    check("", HEAD "Sec-WebSocket-Accept: AAAALMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n", HANDSHAKE_BROKEN);
    check("", HEAD "Sec-WebSocket-Accept: " ACCEPT "\r\nSec-WebSocket-Protocol: x\r\n\r\n", HANDSHAKE_BROKEN);
    check("", HEAD "Sec-WebSocket-Accept: " ACCEPT "\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n", HANDSHAKE_BROKEN);
    check("", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " ACCEPT "\r\n\r\n", HANDSHAKE_BROKEN);
    check("", "SSH-2.0-OpenSSH_9.2\r\n", HANDSHAKE_BROKEN);
}

static void
other_answers_are_handed_on(void **state)
{
    size_t used;
    struct handshake *h = answer("", BYTES_LIT("HTTP/1.1 401 Who are you\r\nContent-Length: 3\r\nX-A: b\r\n\r\nno!"), HANDSHAKE_REFUSED, &used);

    assert_int_equal(handshake_status(h), 401);
    assert_true(bytes_equal_str(handshake_status_text(h), "Who are you"));
    assert_true(bytes_equal_str(handshake_body(h), "no!"));
    assert_true(bytes_equal_str(handshake_headers(h), "content-length\n3\nx-a\nb\n"));
    handshake_destroy(&h);
    h = answer("", BYTES_LIT("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"), HANDSHAKE_REFUSED, &used);
    assert_true(bytes_equal_str(handshake_body(h), "abc"));
    handshake_destroy(&h);
    h = answer("", BYTES_LIT("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nuntil the end"), HANDSHAKE_MORE, &used);
    assert_int_equal(handshake_eof(h), HANDSHAKE_REFUSED);
    assert_true(bytes_equal_str(handshake_body(h), "until the end"));
    handshake_destroy(&h);
    h = answer("", BYTES_LIT("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\ncut"), HANDSHAKE_MORE, &used);
    assert_int_equal(handshake_eof(h), HANDSHAKE_BROKEN);
    handshake_destroy(&h);
}

static void
endless_answers_end(void **state)
{
    struct handshake *h = start("");
    enum handshake_state now = HANDSHAKE_MORE;
    char block[4096];
    size_t used;
    size_t fed = 0;

    assert_int_equal(handshake_feed(h, BYTES_LIT("HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n"), &used), HANDSHAKE_MORE);
    memset(block, 'x', sizeof block);
    for (; now == HANDSHAKE_MORE; fed += sizeof block)
        now = handshake_feed(h, bytes_from(block, sizeof block), &used);
    assert_int_equal(now, HANDSHAKE_REFUSED);
    assert_int_equal(handshake_body(h).len, EGRESS_WS_REFUSAL_MAX_BYTES);
    assert_true(fed <= EGRESS_WS_REFUSAL_MAX_BYTES + sizeof block);
    handshake_destroy(&h);

    h = start("");
    now = handshake_feed(h, BYTES_LIT("HTTP/1.1 101 X\r\nX-Long: "), &used);
    for (fed = 0; now == HANDSHAKE_MORE; fed += sizeof block) {
        assert_true(fed < 1024 * 1024);
        now = handshake_feed(h, bytes_from(block, sizeof block), &used);
    }
    assert_int_equal(now, HANDSHAKE_BROKEN);
    handshake_destroy(&h);
}

static void
headers_that_are_none_are_refused(void **state)
{
    struct handshake *h = NULL;
    struct url url = { 0 };
    struct err err = { 0 };

    assert_true(url_parse(&url, BYTES_LIT("http://h/"), NULL));
    assert_false(handshake_create(&h, &url, BYTES_LIT("x-a\n1\r\nb: c\n"), key, &err));
    assert_false(handshake_create(&h, &url, BYTES_LIT("x-a\n1"), key, &err));
    assert_null(h);
    assert_int_equal(err.code, ERR_MALFORMED);
    url_fini(&url);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_request_is_complete),
        cmocka_unit_test(a_good_answer_opens),
        cmocka_unit_test(a_bad_101_does_not),
        cmocka_unit_test(other_answers_are_handed_on),
        cmocka_unit_test(endless_answers_end),
        cmocka_unit_test(headers_that_are_none_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
