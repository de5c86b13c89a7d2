/* wire_http_test — requests as RFC 9112 wants them, in pieces of every size; what it refuses; response heads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/wire/http_reader.h"
#include "lib/wire/http_writer.h"

struct outcome {
    enum http_step last;
    size_t used;
    struct buf body;
    char head[8192]; /* method, host, path and headers of the last head */
    struct http_head flags;
    int status;
};

/* Feeds TEXT in pieces of PIECE bytes until the message ends, is bad, or all is used. */
static void
read_in_pieces(struct outcome *o, struct bytes text, size_t piece)
{
    struct http_reader *r = http_reader_create();
    size_t at = 0, used;

    memset(o, 0, sizeof *o);
    for (;;) {
        size_t n = text.len - at < piece ? text.len - at : piece;
        struct bytes in = bytes_from(text.data + at, n);
        enum http_step step = http_reader_feed(r, in, &used, &o->body);
        at += used;
        o->last = step;
        if (step == HTTP_STEP_HEAD) {
            const struct http_head *h = http_reader_head(r);
            o->flags = *h;
            snprintf(o->head, sizeof o->head, "%.*s|%.*s|%.*s|%.*s", (int)h->method.len, (const char *)h->method.data,
                     (int)h->host.len, (const char *)h->host.data, (int)h->path.len, (const char *)h->path.data,
                     (int)h->headers.len, (const char *)h->headers.data);
            continue;
        }
        if (step != HTTP_STEP_MORE || at == text.len)
            break;
    }
    o->used = at;
    o->status = o->last == HTTP_STEP_BAD ? http_reader_status(r) : 0;
    http_reader_destroy(&r);
}

static void
expect(struct bytes text, const char *head, const char *body, size_t used)
{
    struct outcome o;

    for (size_t piece = 1; piece <= text.len; piece++) {
        read_in_pieces(&o, text, piece);
        assert_int_equal(o.last, HTTP_STEP_DONE);
        assert_string_equal(o.head, head);
        assert_true(bytes_equal_str(buf_view(&o.body), body));
        assert_int_equal(o.used, used);
        buf_fini(&o.body);
    }
}

static void
refuse(struct bytes text, int status)
{
    struct outcome o;

    for (size_t piece = 1; piece <= text.len; piece += piece < 8 ? 1 : 7) {
        read_in_pieces(&o, text, piece);
        if (o.last != HTTP_STEP_BAD || o.status != status)
            print_message("piece %zu: %.*s\n", piece, (int)text.len, (const char *)text.data);
        assert_int_equal(o.last, HTTP_STEP_BAD);
        assert_int_equal(o.status, status);
        buf_fini(&o.body);
    }
}

#define T(s) BYTES_LIT(s)

static void
requests_are_read_in_any_pieces(void **state)
{
    struct bytes get = T("GET /a/b?c=d HTTP/1.1\r\nHost: Example.com:80\r\nX-Name:  a b \t\r\nX-E:\r\n\r\nGET /next");
    struct bytes post = T("POST / HTTP/1.1\r\nhost: a\r\nContent-Length: 5\r\n\r\nhelloGET");
    struct bytes chunked =
        T("PUT /x HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: Chunked\r\n\r\n4\r\nwiki\r\n5;x=y\r\npedia\r\n0\r\n\r\nX");

    expect(get, "GET|Example.com:80|/a/b?c=d|host\nExample.com:80\nx-name\na b\nx-e\n\n", "", get.len - 9);
    expect(post, "POST|a|/|host\na\ncontent-length\n5\n", "hello", post.len - 3);
    expect(chunked, "PUT|a|/x|host\na\ntransfer-encoding\nChunked\n", "wikipedia", chunked.len - 1);
}

static void
an_upgrade_nobody_takes_is_a_plain_request(void **state)
{
    struct bytes post =
        T("POST / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: h2c\r\nContent-Length: 5\r\n\r\nhelloGET");
    struct bytes chunked = T("POST / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: h2c\r\nTransfer-Encoding: "
                             "chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\nGET");

    expect(post, "POST|a|/|host\na\nconnection\nupgrade\nupgrade\nh2c\ncontent-length\n5\n", "hello", post.len - 3);
    expect(chunked, "POST|a|/|host\na\nconnection\nupgrade\nupgrade\nh2c\ntransfer-encoding\nchunked\n", "hello",
           chunked.len - 3);
}

static void
hosts_are_names_or_addresses(void **state)
{
    static const char *const good[] = { "a", "a.b-c_d.", "a:80", "a:", "1.2.3.4:65535", "[::1]", "[::ffff:1.2.3.4]:1" };
    static const char *const bad[] = { "a:b", "a:65536", "a:1:2", ":80", "[",   "[]", "[::1", "[::1]x", "[g]",
                                       "a b", "a%41",    "a,b",   "a\"", "::1", "a?", "a#",   "a\\b" };
    char text[256];
    struct outcome o;

    for (size_t i = 0; i < ARRAY_LEN(good); i++) {
        snprintf(text, sizeof text, "GET / HTTP/1.1\r\nHost: %s\r\n\r\n", good[i]);
        read_in_pieces(&o, bytes_of(text), 99);
        assert_int_equal(o.last, HTTP_STEP_DONE);
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        snprintf(text, sizeof text, "GET / HTTP/1.1\r\nHost: %s\r\n\r\n", bad[i]);
        refuse(bytes_of(text), 400);
        snprintf(text, sizeof text, "GET http://%s/ HTTP/1.1\r\nHost: a\r\n\r\n", bad[i]);
        refuse(bytes_of(text), 400);
    }
}

static void
targets_have_several_forms(void **state)
{
    expect(T("GET http://b.example/p?q HTTP/1.1\r\nHost: a\r\n\r\n"), "GET|b.example|/p?q|host\na\n", "", 46);
    expect(T("GET HTTP://b.example HTTP/1.1\r\nHost: a\r\n\r\n"), "GET|b.example|/|host\na\n", "", 42);
    expect(T("OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n"), "OPTIONS|a|/|host\na\n", "", 31);
    expect(T("GET / HTTP/1.0\r\n\r\n"), "GET|localhost|/|", "", 18);
}

static void
header_values_are_latin_1(void **state)
{
    expect(T("GET / HTTP/1.1\r\nHost: a\r\nX: b\xe4r\r\n\r\n"), "GET|a|/|host\na\nx\nb\xc3\xa4r\n", "", 35);
}

static void
flags_follow_the_headers(void **state)
{
    struct outcome o;

    read_in_pieces(&o, T("GET / HTTP/1.1\r\nHost: a\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n\r\n"),
                   99);
    assert_int_equal(o.last, HTTP_STEP_DONE);
    assert_true(o.flags.has_upgrade);
    assert_true(o.flags.keep_alive);
    read_in_pieces(&o, T("GET / HTTP/1.1\r\nHost: a\r\nConnection: Close\r\n\r\n"), 99);
    assert_false(o.flags.keep_alive);
    read_in_pieces(&o, T("GET / HTTP/1.0\r\nHost: a\r\n\r\n"), 99);
    assert_false(o.flags.keep_alive);
    read_in_pieces(&o, T("HEAD / HTTP/1.0\r\nHost: a\r\nConnection: Keep-Alive\r\n\r\n"), 99);
    assert_true(o.flags.keep_alive);
    assert_true(o.flags.is_head);
    read_in_pieces(&o, T("PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 7\r\nExpect: 100-Continue\r\n\r\n"), 999);
    assert_true(o.flags.expects_continue);
    assert_int_equal(o.flags.content_length, 7);
}

static void
what_is_ambiguous_is_refused(void **state)
{
    refuse(T("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), 400);
    refuse(T("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n"), 400);
    refuse(T("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello"), 400);
    refuse(T("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5, 5\r\n\r\nhello"), 400);
    refuse(T("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\nhello"), 400);
    refuse(T("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: -5\r\n\r\nhello"), 400);
    refuse(T("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 99999999999999999999\r\n\r\n"), 400);
    refuse(T("POST / HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n"), 400);
    refuse(T("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"), 400);
    refuse(T("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: identity\r\n\r\n"), 400);
    refuse(T("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"),
           400);
    refuse(T("POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding : chunked\r\n\r\n0\r\n\r\n"), 400);
    refuse(T("POST / HTTP/1.0\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), 400);
    refuse(T("GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"), 400);
    refuse(T("GET / HTTP/1.1\r\nX: a\r\n\r\n"), 400);
    refuse(T("GET / HTTP/1.1\r\nHost:\r\n\r\n"), 400);
    refuse(T("GET / HTTP/1.1\r\nHost: user@a\r\n\r\n"), 400);
    refuse(T("GET / HTTP/1.1\r\nHost: a/b\r\n\r\n"), 400);
    refuse(T("GET http://user:pw@a/ HTTP/1.1\r\nHost: a\r\n\r\n"), 400);
}

static void
lines_end_in_cr_lf_and_are_not_folded(void **state)
{
    refuse(T("GET / HTTP/1.1\r\nHost: a\r\nX: b\r\n c\r\n\r\n"), 400);
    refuse(T("GET / HTTP/1.1\r\nHost: a\r\nX: b\r\n\tc\r\n\r\n"), 400);
    refuse(T("GET / HTTP/1.1\r\n Content-Length: 5\r\nHost: a\r\n\r\n"), 400);
    refuse(T("GET / HTTP/1.1\nHost: a\r\n\r\n"), 400);
    refuse(T("GET / HTTP/1.1\r\nHost: a\nX: b\r\n\r\n"), 400);
    refuse(T("GET / HTTP/1.1\r\nHost: a\rX: b\r\n\r\n"), 400);
    refuse(T("GET / HTTP/1.1\r\nHost: a\r\nX: b\rc\r\n\r\n"), 400);
    refuse(T("GET / HTTP/1.1\r\nHost: a\r\nX: b\0c\r\n\r\n"), 400);
    refuse(T("GET / HTTP/1.1\r\nHost: a\r\nX: b\x01\r\n\r\n"), 400);
    refuse(T("GET / HTTP/1.1\r\nHost: a\r\n: b\r\n\r\n"), 400);
    refuse(T("GET / HTTP/1.1\r\nHost: a\r\nX y: b\r\n\r\n"), 400);
    refuse(T("GET /\x80 HTTP/1.1\r\nHost: a\r\n\r\n"), 400);
    refuse(T("GET /#f HTTP/1.1\r\nHost: a\r\n\r\n"), 400);
}

static void
chunks_are_strict(void **state)
{
    static const char *const bad[] = { "g\r\n",
                                       "-1\r\n",
                                       "0x1\r\na\r\n",
                                       "1\na\r\n0\r\n\r\n",
                                       "1\r\naX\r\n",
                                       "1\r\na\n0\r\n\r\n",
                                       "fffffffffffffffff\r\n",
                                       " 1\r\na\r\n",
                                       "0\r\nX: y\r\n\r\n" };

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        char text[256];
        snprintf(text, sizeof text, "PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n%s", bad[i]);
        refuse(bytes_of(text), 400);
    }
}

static void
methods_versions_and_sizes_have_answers_of_their_own(void **state)
{
    struct buf big = { 0 };

    refuse(T("BREW / HTTP/1.1\r\nHost: a\r\n\r\n"), 501);
    refuse(T("CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n"), 501);
    refuse(T("TRACE / HTTP/1.1\r\nHost: a\r\n\r\n"), 405);
    refuse(T("GET / HTTP/2.0\r\nHost: a\r\n\r\n"), 505);
    refuse(T("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), 505);
    buf_append_str(&big, "GET /");
    for (int i = 0; i < HTTP_TARGET_MAX_BYTES; i++)
        buf_append_byte(&big, 'a');
    {
        struct outcome o;
        read_in_pieces(&o, buf_view(&big), 1000);
        assert_int_equal(o.status, 414);
        buf_clear(&big);
        buf_append_str(&big, "GET / HTTP/1.1\r\nHost: a\r\nX: ");
        for (int i = 0; i < HTTP_HEAD_MAX_BYTES; i++)
            buf_append_byte(&big, 'a');
        read_in_pieces(&o, buf_view(&big), 4096);
        assert_int_equal(o.status, 431);
        buf_clear(&big);
        buf_append_str(&big, "GET / HTTP/1.1\r\nHost: a\r\n");
        for (int i = 0; i <= HTTP_HEADER_LINES_MAX; i++)
            buf_append_str(&big, "a: b\r\n");
        read_in_pieces(&o, buf_view(&big), 4096);
        assert_int_equal(o.status, 431);
    }
    buf_fini(&big);
}

static void
requests_follow_one_another(void **state)
{
    struct bytes text =
        T("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhiGET /2 HTTP/1.1\r\nHost: b\r\n\r\n");
    struct http_reader *r = http_reader_create();
    struct buf body = { 0 };
    size_t used, at = 0;

    for (int i = 0; i < 2; i++) {
        enum http_step step;
        do {
            step = http_reader_feed(r, bytes_from(text.data + at, text.len - at), &used, &body);
            at += used;
        } while (step == HTTP_STEP_HEAD);
        assert_int_equal(step, HTTP_STEP_DONE);
        assert_true(bytes_equal_str(http_reader_head(r)->path, i == 0 ? "/" : "/2"));
        http_reader_next(r);
        assert_true(http_reader_is_idle(r));
    }
    assert_int_equal(at, text.len);
    assert_true(bytes_equal_str(buf_view(&body), "hi"));
    buf_fini(&body);
    http_reader_destroy(&r);
}

/* ---- responses --------------------------------------------------------------------------------------------------- */
static void
heads_are_written_and_hop_by_hop_headers_left_out(void **state)
{
    struct buf out = { 0 };
    struct err err;
    struct http_answer a = {
        .status = 201,
        .headers = T("content-type\ntext/"
                     "plain\nconnection\nx\ntransfer-encoding\nchunked\ncontent-length\n9\nset-cookie\na\nset-"
                     "cookie\nb\nx\n\xc3\xa9\n"),
        .framing = HTTP_FRAMING_LENGTH,
        .length = 1234567890123,
        .connection = HTTP_KEEP,
        .date = T("Sun, 06 Nov 1994 08:49:37 GMT"),
    };

    assert_true(http_answer_write(&out, &a, &err));
    assert_string_equal(
        buf_cstr(&out),
        "HTTP/1.1 201 Created\r\ncontent-type: text/plain\r\nset-cookie: a\r\nset-cookie: b\r\nx: \xe9\r\n"
        "content-length: 1234567890123\r\ndate: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\n");
    buf_clear(&out);
    a = (struct http_answer){
        .status = 299, .status_text = T("Fine\r\nX: y"), .framing = HTTP_FRAMING_CHUNKED, .connection = HTTP_CLOSE
    };
    assert_true(http_answer_write(&out, &a, &err));
    assert_string_equal(buf_cstr(&out), "HTTP/1.1 299 \r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n");
    buf_fini(&out);
}

static void
no_header_splits_a_response(void **state)
{
    static const char *const bad[] = { "x\na\rb\n", "x\na\x01\n", "x y\nb\n", "\nb\n", "x:\nb\n",  "x\n\xe2\x82\xac\n",
                                       "x\n\xc3\n", "x\n\xff\n",  "x",        "x\na",  "x\n\x7f\n" };
    struct buf out = { 0 };
    struct err err;

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct http_answer a = { .status = 200, .headers = bytes_of(bad[i]), .framing = HTTP_FRAMING_NONE };
        buf_append_str(&out, "kept");
        assert_false(http_answer_write(&out, &a, &err));
        assert_int_equal(err.code, ERR_MALFORMED);
        assert_string_equal(buf_cstr(&out), "kept");
        buf_clear(&out);
    }
    buf_fini(&out);
}

static void
chunk_headers_are_hexadecimal(void **state)
{
    struct buf out = { 0 };

    http_chunk_header(&out, 1);
    http_chunk_header(&out, 0xabc0);
    assert_string_equal(buf_cstr(&out), "1\r\nabc0\r\n");
    buf_fini(&out);
}

static void
dates_go_both_ways(void **state)
{
    char text[HTTP_DATE_BYTES + 1];
    static const int64_t seconds[] = { 0, 784111777, 951782400, 951868799, 1709164800, 1798761599, 4102444800 };

    http_date(text, 784111777000);
    assert_string_equal(text, "Sun, 06 Nov 1994 08:49:37 GMT");
    http_date(text, 951782400000);
    assert_string_equal(text, "Tue, 29 Feb 2000 00:00:00 GMT");
    for (size_t i = 0; i < ARRAY_LEN(seconds); i++) {
        http_date(text, seconds[i] * 1000);
        assert_int_equal(http_date_parse(bytes_of(text)), seconds[i]);
    }
    assert_int_equal(http_date_parse(T("Sunday, 06-Nov-94 08:49:37 GMT")), -1);
    assert_int_equal(http_date_parse(T("Sun, 06 Nov 1994 28:49:37 GMT")), -1);
}

static void
lists_and_numbers(void **state)
{
    uint64_t n;

    assert_true(http_list_has(T("a, Keep-Alive ,b"), "keep-alive"));
    assert_false(http_list_has(T("a, keep-alivee"), "keep-alive"));
    assert_false(http_list_has(T(""), "x"));
    assert_true(http_number(T("0"), &n));
    assert_true(http_number(T("123456789012345678"), &n));
    assert_int_equal(n, 123456789012345678);
    assert_false(http_number(T(""), &n));
    assert_false(http_number(T(" 1"), &n));
    assert_false(http_number(T("1234567890123456789"), &n));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_are_read_in_any_pieces),
        cmocka_unit_test(an_upgrade_nobody_takes_is_a_plain_request),
        cmocka_unit_test(hosts_are_names_or_addresses),
        cmocka_unit_test(targets_have_several_forms),
        cmocka_unit_test(header_values_are_latin_1),
        cmocka_unit_test(flags_follow_the_headers),
        cmocka_unit_test(what_is_ambiguous_is_refused),
        cmocka_unit_test(lines_end_in_cr_lf_and_are_not_folded),
        cmocka_unit_test(chunks_are_strict),
        cmocka_unit_test(methods_versions_and_sizes_have_answers_of_their_own),
        cmocka_unit_test(requests_follow_one_another),
        cmocka_unit_test(heads_are_written_and_hop_by_hop_headers_left_out),
        cmocka_unit_test(no_header_splits_a_response),
        cmocka_unit_test(chunk_headers_are_hexadecimal),
        cmocka_unit_test(dates_go_both_ways),
        cmocka_unit_test(lists_and_numbers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
