/* wire_ws_test — WebSocket frames in pieces of every size, what RFC 6455 forbids, UTF-8, the handshake, media types. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/wire/mime.h"
#include "lib/wire/utf8.h"
#include "lib/wire/ws_frame.h"
#include "lib/wire/ws_handshake.h"

#define T(s) BYTES_LIT(s)

/* A client's frame: masked. */
static void
frame(struct buf *out, uint8_t first, struct bytes payload)
{
    static const uint8_t mask[4] = { 0x37, 0xfa, 0x21, 0x3d };
    size_t header = out->len;

    ws_frame_header(out, WS_OP_TEXT, true, payload.len);
    out->data[header] = first;
    out->data[header + 1] |= 0x80;
    buf_append(out, mask, sizeof mask);
    for (size_t i = 0; i < payload.len; i++)
        buf_append_byte(out, payload.data[i] ^ mask[i & 3]);
}

/* What came out: "T[hello]" whole messages, "9[x]" control frames, "!1002" the end. */
static void
decode(struct buf *log, struct bytes in, size_t piece, uint64_t message_bytes_max)
{
    struct ws_decoder d = { .message_bytes_max = message_bytes_max };
    struct ws_piece p;
    bool is_open = false;

    for (size_t at = 0; at < in.len; at += piece) {
        uint8_t copy[70000], *data = copy;
        size_t len = in.len - at < piece ? in.len - at : piece;
        assert_true(len <= sizeof copy);
        memcpy(copy, in.data + at, len);
        for (bool more = true; more;) {
            switch (ws_decode(&d, &data, &len, &p)) {
            case WS_STEP_MORE:
                more = false;
                break;
            case WS_STEP_PIECE:
                if (!is_open)
                    buf_append_str(log, p.opcode == WS_OP_TEXT ? "T[" : "B[");
                buf_append_bytes(log, p.data);
                is_open = !p.is_last;
                if (p.is_last)
                    buf_append_str(log, "]");
                break;
            case WS_STEP_CONTROL:
                buf_printf(log, "%u[%.*s]", p.opcode, (int)p.data.len, (const char *)p.data.data);
                break;
            case WS_STEP_BAD:
                buf_printf(log, "!%u", p.close_code);
                return;
            }
        }
    }
}

static void
expect(const struct buf *in, const char *log)
{
    for (size_t piece = 1; piece <= in->len && piece < 400; piece++) {
        struct buf out = { 0 };
        decode(&out, buf_view(in), piece, 1 << 20);
        assert_string_equal(buf_cstr(&out), log);
        buf_fini(&out);
    }
}

static void
messages_and_fragments_come_through(void **state)
{
    struct buf in = { 0 };

    frame(&in, 0x81, T("hello"));
    frame(&in, 0x82, T(""));
    frame(&in, 0x89, T("p"));
    frame(&in, 0x01, T("a\xc3"));
    frame(&in, 0x00, T("\xa4"));
    frame(&in, 0x80, T("b"));
    frame(&in, 0x02, T(""));
    frame(&in, 0x80, T(""));
    frame(&in, 0x8a, T(""));
    frame(&in, 0x88,
          T("\x03\xe8"
            "bye"));
    expect(&in, "T[hello]B[]9[p]T[a\xc3\xa4"
                "b]B[]10[]8[\x03\xe8"
                "bye]");
    buf_fini(&in);
}

static void
control_frames_may_stand_between_fragments(void **state)
{
    struct buf in = { 0 }, out = { 0 };

    frame(&in, 0x01, T("a"));
    frame(&in, 0x89, T("p"));
    frame(&in, 0x80, T("b"));
    decode(&out, buf_view(&in), 3, 100);
    assert_string_equal(buf_cstr(&out), "T[a9[p]b]");
    buf_fini(&in);
    buf_fini(&out);
}

static void
lengths_of_all_sizes_agree_with_the_writer(void **state)
{
    static const size_t sizes[] = { 0, 1, 125, 126, 127, 65535, 65536, 69000 };
    uint8_t *data = calloc(1, 69000);

    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        struct buf in = { 0 }, out = { 0 };
        frame(&in, 0x82, bytes_from(data, sizes[i]));
        decode(&out, buf_view(&in), 997, 1 << 20);
        assert_int_equal(out.len, sizes[i] + 3);
        buf_fini(&in);
        buf_fini(&out);
    }
    free(data);
}

static void
refuse(struct bytes in, const char *end)
{
    struct buf out = { 0 };

    decode(&out, in, 1, 10);
    assert_true(out.len >= 5);
    assert_string_equal(buf_cstr(&out) + out.len - 5, end);
    buf_fini(&out);
}

static void
what_the_standard_forbids_ends_the_socket(void **state)
{
    struct buf in = { 0 };

    refuse(T("\x81\x01z"), "!1002"); /* not masked */
    refuse(T("\xc1\x80"), "!1002");  /* reserved bit */
    refuse(T("\x83\x80"), "!1002");  /* reserved opcode */
    refuse(T("\x8b\x80"), "!1002");
    refuse(T("\x09\x80"), "!1002");             /* a fragmented ping */
    refuse(T("\x89\xfe\x00\x7e"), "!1002");     /* a long ping */
    refuse(T("\x80\x80"), "!1002");             /* a continuation of nothing */
    refuse(T("\x82\xfe\x00\x05zzzz"), "!1002"); /* not the shortest length */
    refuse(T("\x82\xff\0\0\0\0\0\0\xff\xffzzzz"), "!1002");
    refuse(T("\x82\xff\x80\0\0\0\0\0\0\0zzzz"), "!1002");
    refuse(T("\x82\xfe\x01\x00zzzz"), "!1009"); /* above the largest message, before any payload */
    frame(&in, 0x01, T("abc"));
    frame(&in, 0x81, T("d"));
    refuse(buf_view(&in), "!1002"); /* a message inside a message */
    buf_clear(&in);
    frame(&in, 0x02, T("123456"));
    frame(&in, 0x80, T("12345"));
    refuse(buf_view(&in), "!1009"); /* too large in sum */
    buf_clear(&in);
    frame(&in, 0x81, T("a\xff"));
    refuse(buf_view(&in), "!1007");
    buf_clear(&in);
    frame(&in, 0x81, T("a\xc3"));
    refuse(buf_view(&in), "!1007"); /* cut off */
    buf_fini(&in);
}

static void
close_frames_are_read_and_written(void **state)
{
    struct buf out = { 0 };
    uint16_t code;
    struct bytes reason;

    assert_true(ws_close_parse(BYTES_NONE, &code, &reason));
    assert_int_equal(code, 1005);
    assert_true(ws_close_parse(T("\x0f\xa0why"), &code, &reason));
    assert_int_equal(code, 4000);
    assert_true(bytes_equal_str(reason, "why"));
    assert_false(ws_close_parse(T("\x03"), &code, &reason));
    assert_int_equal(code, 1002);
    assert_false(ws_close_parse(T("\x03\xed"), &code, &reason)); /* 1005 on the wire */
    assert_int_equal(code, 1002);
    assert_false(ws_close_parse(T("\x03\xe8\xff"), &code, &reason));
    assert_int_equal(code, 1007);
    ws_frame_close(&out, 1005, T("ignored"));
    assert_true(bytes_equal(buf_view(&out), T("\x88\x00")));
    buf_clear(&out);
    ws_frame_close(&out, 1000, T("ok"));
    assert_true(bytes_equal(buf_view(&out), T("\x88\x04\x03\xe8ok")));
    buf_clear(&out);
    {
        uint8_t text[200];
        for (size_t i = 0; i < sizeof text; i += 2)
            memcpy(text + i, "\xc3\xa4", 2);
        ws_frame_close(&out, 1000, bytes_from(text, sizeof text));
        assert_int_equal(out.data[1], 2 + 122); /* 123 would cut a character */
    }
    buf_fini(&out);
    assert_false(ws_code_is_sendable(999));
    assert_false(ws_code_is_sendable(1004));
    assert_false(ws_code_is_sendable(1006));
    assert_false(ws_code_is_sendable(1015));
    assert_false(ws_code_is_sendable(2999));
    assert_true(ws_code_is_sendable(1013));
    assert_true(ws_code_is_sendable(4999));
    assert_false(ws_code_is_sendable(5000));
}

static void
utf8_is_checked_by_the_book(void **state)
{
    assert_true(utf8_is_valid(T("plain ascii, longer than a word of eight bytes")));
    assert_true(
        utf8_is_valid(T("\xc2\x80 \xdf\xbf \xe0\xa0\x80 \xed\x9f\xbf \xef\xbf\xbf \xf0\x90\x80\x80 \xf4\x8f\xbf\xbf")));
    assert_false(utf8_is_valid(T("\xc0\x80")));
    assert_false(utf8_is_valid(T("\xc1\xbf")));
    assert_false(utf8_is_valid(T("\xe0\x9f\xbf")));
    assert_false(utf8_is_valid(T("\xed\xa0\x80"))); /* a surrogate */
    assert_false(utf8_is_valid(T("\xf0\x8f\xbf\xbf")));
    assert_false(utf8_is_valid(T("\xf4\x90\x80\x80")));
    assert_false(utf8_is_valid(T("\xf5\x80\x80\x80")));
    assert_false(utf8_is_valid(T("12345678\x80")));
    assert_false(utf8_is_valid(T("\xe2\x82")));
}

static void
the_handshake_is_the_standards_example(void **state)
{
    char accept[WS_ACCEPT_BYTES + 1];

    assert_true(ws_accept(T("dGhlIHNhbXBsZSBub25jZQ=="), accept));
    assert_string_equal(accept, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    assert_false(ws_accept(T("dGhlIHNhbXBsZSBub25jZQ="), accept));
    assert_false(ws_accept(T("dGhlIHNhbXBsZSBub25j Q=="), accept));
    assert_int_equal(
        ws_handshake_check(T("sec-websocket-version\n13\nsec-websocket-key\ndGhlIHNhbXBsZSBub25jZQ==\n"), accept),
        WS_HANDSHAKE_OK);
    assert_int_equal(ws_handshake_check(T("sec-websocket-version\n13\nsec-websocket-key\nx\n"), accept),
                     WS_HANDSHAKE_BAD);
    assert_int_equal(ws_handshake_check(T("sec-websocket-version\n8\n"), accept), WS_HANDSHAKE_VERSION);
}

static void
types_follow_the_extension(void **state)
{
    assert_string_equal(mime_of(T("a/b.c/INDEX.HTML")), "text/html; charset=utf-8");
    assert_string_equal(mime_of(T("x.js")), "text/javascript; charset=utf-8");
    assert_string_equal(mime_of(T("x.7z")), "application/x-7z-compressed");
    assert_string_equal(mime_of(T("x.zip")), "application/zip");
    assert_string_equal(mime_of(T("x.woff2")), "font/woff2");
    assert_null(mime_of(T("html")));
    assert_null(mime_of(T("a.b/html")));
    assert_null(mime_of(T("x.")));
    assert_null(mime_of(T("x.averyveryverylongextension")));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_and_fragments_come_through),
        cmocka_unit_test(control_frames_may_stand_between_fragments),
        cmocka_unit_test(lengths_of_all_sizes_agree_with_the_writer),
        cmocka_unit_test(what_the_standard_forbids_ends_the_socket),
        cmocka_unit_test(close_frames_are_read_and_written),
        cmocka_unit_test(utf8_is_checked_by_the_book),
        cmocka_unit_test(the_handshake_is_the_standards_example),
        cmocka_unit_test(types_follow_the_extension),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
