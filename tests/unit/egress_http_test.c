/* egress_http_test — requests through the room: bodies both ways, credit, failures, redirects, the policy. */
#include "tests/unit/egress_rig.h"

#include <dlfcn.h>
#include <netdb.h>

/* Stands before the C library's for curl's resolver threads: a name server that never answers for one name. */
int
getaddrinfo(const char *name, const char *service, const struct addrinfo *hints, struct addrinfo **out)
{
    int (*real)(const char *, const char *, const struct addrinfo *, struct addrinfo **) =
        (__typeof__(real))dlsym(RTLD_NEXT, "getaddrinfo");

    while (name != NULL && strcmp(name, "silent.example") == 0)
        pause();
    return real(name, service, hints, out);
}

static void
a_small_response_is_one_message(void **state)
{
    struct seen *s = FETCH(1, .path = "/hello");

    assert_true(s->is_replied);
    assert_int_equal(s->status, 200);
    assert_string_equal(text_of(&s->text), "Fine");
    assert_string_equal(text_of(&s->body), "hello");
    assert_int_equal(s->flags, CALL_HAS_BODY);
    assert_int_equal(s->pieces, 0);
    assert_has(&s->headers,
               "x-one\n1\nset-cookie\na=1\nset-cookie\nb=2\nx-latin\ncaf\xc3\xa9\ncontent-type\ntext/plain\n");
}

static void
the_request_arrives_as_it_was_asked_for(void **state)
{
    struct seen *s = FETCH(
        1, .method = "PATCH", .path = "/echo?q=%20", .flags = CALL_HAS_BODY, .body = BYTES_LIT("abc"),
        .headers = "x-a\n1\nx-latin\nf\xc3\xbcr\nx-empty\n\nhost\nevil.example\nconnection\nclose\ncontent-length\n9\n"
                   "transfer-encoding\nchunked\ncontent-type\ntext/plain\n");

    assert_has(&s->body, "\"method\":\"PATCH\",\"url\":\"/echo?q=%20\"");
    assert_has(&s->body, "\"x-a\",\"1\"");
    assert_has(&s->body, "\"x-latin\",\"f\xc3\xbcr\"");
    assert_has(&s->body, "\"x-empty\",\"\"");
    assert_has(&s->body, "\"content-type\",\"text/plain\"");
    assert_has(&s->body, "\"Content-Length\",\"3\"");
    assert_has(&s->body, "\"Host\",\"127.0.0.1:");
    assert_has(&s->body, "a9993e364706816aba3e25717850c26c9cd0d89d");
    assert_has_not(&s->body, "evil");
    assert_has_not(&s->body, "xpect");
    assert_has_not(&s->body, "ser-Agent");
    assert_has_not(&s->body, "hunked");
    assert_has_not(&s->body, "*/*");
}

static void
bodiless_methods_and_statuses(void **state)
{
    struct seen *s = FETCH(1, .method = "POST", .path = "/echo");

    assert_has(&s->body, "\"Content-Length\",\"0\"");
    s = FETCH(2, .path = "/echo");
    assert_has_not(&s->body, "Content-Length");
    s = FETCH(3, .method = "HEAD", .path = "/hello");
    assert_int_equal(s->status, 200);
    assert_int_equal(s->flags, 0);
    assert_int_equal(s->body.len, 0);
    s = FETCH(4, .path = "/empty");
    assert_int_equal(s->status, 204);
    assert_int_equal(s->flags, 0);
    s = FETCH(5, .path = "/status/500");
    assert_int_equal(s->status, 500);
    assert_string_equal(text_of(&s->body), "oops");
    s = FETCH(6, .method = "DELETE", .path = "/echo");
    assert_has(&s->body, "\"method\":\"DELETE\"");
}

static void
connections_are_reused(void **state)
{
    struct seen *first = FETCH(1, .path = "/echo");
    struct seen *second = FETCH(2, .path = "/echo");
    const char *a = strstr(text_of(&first->body), "\"port\":");
    const char *b = strstr(text_of(&second->body), "\"port\":");

    assert_non_null(a);
    assert_non_null(b);
    assert_string_equal(a, b);
}

static void
bodies_are_decoded(void **state)
{
    static const char *const paths[] = { "/gzip", "/deflate", "/br" };
    struct seen *s;

    for (uint32_t i = 0; i < 3; i++) {
        s = FETCH(i + 1, .path = paths[i]);
        assert_int_equal(s->body.len, 11000);
        assert_memory_equal(s->body.data, "compressed compressed ", 22);
        assert_has_not(&s->headers, "content-encoding");
        assert_has_not(&s->headers, "content-length");
        assert_has(&s->headers, "gzip");
    }
    s = FETCH(4, .path = "/gzip", .headers = "accept-encoding\nidentity\n");
    assert_has(&s->headers, "x-asked\nidentity\n");
}

static void
a_large_response_waits_for_credit(void **state)
{
    struct seen *s = &calls[1];
    size_t have;

    open_call(1, (struct request){ .path = "/large" });
    s->grants = false;
    RUN_UNTIL(s->is_replied && s->body.len + EGRESS_BUFFER_BYTES > STREAM_WINDOW_BYTES);
    FETCH(2, .path = "/hello"); /* meanwhile nothing more of it comes */
    FETCH(3, .path = "/hello");
    have = s->body.len;
    assert_in_range(have, 1, STREAM_WINDOW_BYTES + CHUNK_MAX_BYTES);
    assert_false(s->is_ended);
    s->grants = true;
    msg_CREDIT_pack(link_out(worker), &(struct msg_CREDIT){ 1, 1, STREAM_WINDOW_BYTES });
    RUN_UNTIL(s->is_ended);
    assert_false(s->is_broken);
    assert_int_equal(s->body.len, 48 * 65536);
    for (size_t i = 0; i < s->body.len; i += 4096)
        assert_int_equal(s->body.data[i], i / 65536);
}

static void
a_streamed_response_comes_in_time(void **state)
{
    struct seen *s = &calls[1];

    open_call(1, (struct request){ .path = "/stream" });
    RUN_UNTIL(s->is_replied && s->body.len == 5);
    assert_string_equal(text_of(&s->body), "first");
    assert_false(s->is_ended);
    FETCH(2, .path = "/stream/go");
    RUN_UNTIL(s->is_ended);
    assert_string_equal(text_of(&s->body), "firstsecond");
    assert_int_equal(s->message.len, 0);
}

static void
a_streamed_request_body_is_sent_under_credit(void **state)
{
    static uint8_t bytes[CHUNK_MAX_BYTES];
    struct seen *s = &calls[1];
    uint32_t window = STREAM_WINDOW_BYTES;
    uint32_t granted = 0;

    open_call(1, (struct request){ .method = "POST",
                                   .path = "/echo",
                                   .flags = CALL_HAS_BODY | CALL_BODY_MORE,
                                   .body = BYTES_LIT("start") });
    for (int sent = 0; sent < 20; sent++) {
        if (window < sizeof bytes) {
            RUN_UNTIL(s->credit > granted + sizeof bytes);
            window += s->credit - granted;
            granted = s->credit;
        }
        msg_DATA_pack(link_out(worker), &(struct msg_DATA){ 1, 1, bytes_from(bytes, sizeof bytes) });
        window -= sizeof bytes;
    }
    assert_false(s->is_replied);
    msg_END_pack(link_out(worker), &(struct msg_END){ .call = 1, .from_opener = 1 });
    RUN_UNTIL(s->is_replied && s->is_ended);
    assert_has(&s->body, "\"length\":1310725");
    assert_has(&s->body, "\"chunked\"");
}

static void
a_request_body_with_a_length_is_not_chunked(void **state)
{
    struct seen *s = &calls[1];

    open_call(1, (struct request){ .method = "PUT",
                                   .path = "/echo",
                                   .flags = CALL_HAS_BODY | CALL_BODY_MORE,
                                   .headers = "content-length\n6\n" });
    msg_DATA_pack(link_out(worker), &(struct msg_DATA){ 1, 1, BYTES_LIT("abcdef") });
    msg_END_pack(link_out(worker), &(struct msg_END){ .call = 1, .from_opener = 1 });
    RUN_UNTIL(s->is_replied && s->is_ended);
    assert_has(&s->body, "\"Content-Length\",\"6\"");
    assert_has(&s->body, "\"length\":6");
}

static void
a_body_that_breaks_off_breaks_the_request(void **state)
{
    struct seen *s = &calls[1];

    open_call(1, (struct request){ .method = "POST",
                                   .path = "/broken",
                                   .flags = CALL_HAS_BODY | CALL_BODY_MORE,
                                   .body = BYTES_LIT("some") });
    msg_END_pack(link_out(worker),
                 &(struct msg_END){ .call = 1, .from_opener = 1, .message = BYTES_LIT("the reader threw") });
    RUN_UNTIL(s->is_failed);
    FETCH(2, .path = "/brokens");
    assert_string_equal(text_of(&calls[2].body), "1");
}

static void
an_early_answer_ends_the_call(void **state)
{
    static uint8_t bytes[CHUNK_MAX_BYTES];
    struct seen *s = &calls[1];

    open_call(1, (struct request){ .method = "POST", .path = "/early", .flags = CALL_HAS_BODY | CALL_BODY_MORE });
    RUN_UNTIL(s->is_replied && s->is_ended);
    assert_int_equal(s->status, 413);
    assert_string_equal(text_of(&s->body), "too much");
    for (int i = 0; i < 4; i++) /* on its way before the answer was seen */
        msg_DATA_pack(link_out(worker), &(struct msg_DATA){ 1, 1, bytes_from(bytes, sizeof bytes) });
    FETCH(2, .path = "/hello");
    assert_false(is_worker_closed);
    assert_int_equal(s->credit, 0);
}

static void
lost_connections_say_so(void **state)
{
    struct seen *s = FETCH(1, .path = "/drop");

    assert_true(s->is_failed);
    assert_string_equal(text_of(&s->message), "Network connection lost.");
    assert_int_equal(s->flags, FAIL_RETRYABLE);
    assert_int_equal(s->code, ERR_NETWORK);
    s = FETCH(2, .path = "/break");
    assert_true(s->is_replied);
    assert_true(s->is_broken);
    assert_string_equal(text_of(&s->body), "some");
    assert_string_equal(text_of(&s->message), "Network connection lost.");
    s = FETCH(3, .url = "http://127.0.0.1:1/");
    assert_string_equal(text_of(&s->message), "Network connection lost.");
    RUN_UNTIL(strstr(log_text, "127.0.0.1:1") != NULL); /* the reason is in the agent's log */
    s = FETCH(4, .path = "/many-headers");
    assert_true(s->is_failed);
}

static void
a_server_that_says_nothing_is_given_up(void **state)
{
    struct seen *s = FETCH(1, .path = "/silent");

    assert_true(s->is_failed);
    assert_int_equal(s->code, ERR_TIMEOUT);
    assert_int_equal(s->flags, FAIL_RETRYABLE);
    assert_string_equal(text_of(&s->message), "Network connection lost.");
}

static void
a_silent_name_server_holds_up_nobody_else(void **state)
{
    open_call(1, (struct request){ .url = "http://silent.example/" });
    open_call(2, (struct request){ .url = "ws://silent.example/", .flags = CALL_UPGRADE });
    FETCH(3, .path = "/hello");
    msg_CANCEL_pack(link_out(worker), &(struct msg_CANCEL){ .call = 1, .from_opener = 1 });
    msg_CANCEL_pack(link_out(worker), &(struct msg_CANCEL){ .call = 2, .from_opener = 1 });
    FETCH(4, .path = "/hello");
    assert_string_equal(text_of(&calls[4].body), "hello");
}

static void
a_dead_connection_is_not_the_callers_trouble(void **state)
{
    static uint8_t bytes[CHUNK_MAX_BYTES];
    struct seen *s = &calls[3];

    FETCH(1, .path = "/once");
    FETCH(2, .method = "PUT", .path = "/once", .flags = CALL_HAS_BODY, .body = BYTES_LIT("whole"));
    assert_has(&calls[2].body, "\"length\":5");
    open_call(3, (struct request){ .method = "POST",
                                   .path = "/once",
                                   .flags = CALL_HAS_BODY | CALL_BODY_MORE,
                                   .body = BYTES_LIT("in pieces") });
    for (int i = 0; i < 3; i++)
        msg_DATA_pack(link_out(worker), &(struct msg_DATA){ 3, 1, bytes_from(bytes, sizeof bytes) });
    msg_END_pack(link_out(worker), &(struct msg_END){ .call = 3, .from_opener = 1 });
    RUN_UNTIL(s->is_failed || (s->is_replied && s->is_ended));
    assert_has(&s->body, "\"length\":196617");
}

static void
a_cancelled_call_ends_the_connection(void **state)
{
    open_call(1, (struct request){ .path = "/hang" });
    FETCH(2, .path = "/hello");
    msg_CANCEL_pack(link_out(worker), &(struct msg_CANCEL){ .call = 1, .from_opener = 1 });
    FETCH(3, .path = "/hung");
    assert_string_equal(text_of(&calls[3].body), "1");
    assert_false(calls[1].is_replied || calls[1].is_failed);
    FETCH(1, .path = "/hello"); /* the number is free again */
}

static void
redirects_are_the_callers_choice(void **state)
{
    struct seen *s = FETCH(1, .path = "/redirect");

    assert_int_equal(s->status, 302);
    assert_has(&s->headers, "location\n/echo?from=redirect\n");
    assert_string_equal(text_of(&s->body), "elsewhere");
    s = FETCH(2, .method = "POST", .path = "/redirect", .meta = "{\"redirect\":\"follow\"}", .flags = CALL_HAS_BODY,
              .body = BYTES_LIT("body"), .headers = "content-type\ntext/plain\nx-keep\n1\n");
    assert_int_equal(s->status, 200);
    assert_has(&s->body, "\"method\":\"GET\",\"url\":\"/echo?from=redirect\"");
    assert_has(&s->body, "\"length\":0");
    assert_has(&s->body, "x-keep");
    assert_has_not(&s->body, "content-type");
    s = FETCH(3, .method = "POST", .path = "/redirect307", .meta = "{\"redirect\":\"follow\"}", .flags = CALL_HAS_BODY,
              .body = BYTES_LIT("body"));
    assert_has(&s->body, "\"method\":\"POST\",\"url\":\"/echo?from=307\"");
    assert_has(&s->body, "\"length\":4");
    s = FETCH(4, .path = "/redirect", .meta = "{\"redirect\":\"error\"}");
    assert_true(s->is_failed);
    s = FETCH(5, .path = "/loop", .meta = "{\"redirect\":\"follow\"}");
    assert_string_equal(text_of(&s->message), "Too many redirects.");
    s = FETCH(6, .path = "/hello", .meta = "{\"redirect\":\"sideways\"}");
    assert_int_equal(s->code, ERR_MALFORMED);
}

static void
requests_that_are_none_are_refused(void **state)
{
    static const struct request bad[] = {
        { .method = "GET", .url = "http://a b/" },
        { .method = "GET", .url = "ftp://127.0.0.1/" },
        { .method = "GET", .url = "file:///etc/passwd" },
        { .method = "G T", .path = "/hello" },
        { .method = "connect", .path = "/hello" },
        { .method = "GET", .path = "/hello", .headers = "x-a\n1\r\nx-b: 2\n" },
        { .method = "GET", .path = "/hello", .headers = "x a\n1\n" },
    };

    for (uint32_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct seen *s = fetch(i + 1, bad[i]);
        assert_true(s->is_failed);
        assert_int_equal(s->code, ERR_MALFORMED);
        assert_int_equal(s->flags, 0);
    }
}

static void
a_worker_that_breaks_the_rules_is_cut_off(void **state)
{
    static uint8_t bytes[CHUNK_MAX_BYTES];

    open_call(1, (struct request){ .method = "POST", .path = "/hang", .flags = CALL_HAS_BODY | CALL_BODY_MORE });
    for (int i = 0; i < 64; i++)
        msg_DATA_pack(link_out(worker),
                      &(struct msg_DATA){ 1, 1, bytes_from(bytes, sizeof bytes) }); /* without waiting for credit */
    open_call(1, (struct request){ .path = "/hello" });                             /* a number in use */
    RUN_UNTIL(is_worker_closed);
    assert_null(worker);
}

/* ---- policy --------------------------------------------------------------------------------------------------- */

static void
private_addresses_are_closed_by_default(void **state)
{
    static const char *const urls[] = {
        "http://127.0.0.1/",
        "http://localhost/",
        "http://[::1]/",
        "http://10.0.0.1/",
        "http://169.254.169.254/latest/meta-data/",
        "http://2130706433/",
        "http://[::ffff:127.0.0.1]/",
    };

    for (uint32_t i = 0; i < ARRAY_LEN(urls); i++) {
        struct seen *s = FETCH(i + 1, .url = urls[i]);
        assert_true(s->is_failed);
        assert_int_equal(s->code, ERR_DENIED);
        assert_int_equal(s->flags, 0);
        assert_has(&s->message, "is not allowed");
    }
}

static void
the_allow_list_opens_what_it_names(void **state)
{
    struct seen *s = FETCH(1, .path = "/hello");

    assert_int_equal(s->status, 200);
    s = FETCH(2, .path = "/private", .meta = "{\"redirect\":\"follow\"}"); /* each hop is asked about */
    assert_true(s->is_failed);
    assert_int_equal(s->code, ERR_DENIED);
    assert_has(&s->message, "127.0.0.2 (loopback)");
    s = FETCH(3, .url = "ws://127.0.0.2:1/", .flags = CALL_UPGRADE);
    assert_int_equal(s->code, ERR_DENIED);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_small_response_is_one_message),
        TEST(the_request_arrives_as_it_was_asked_for),
        TEST(bodiless_methods_and_statuses),
        TEST(connections_are_reused),
        TEST(bodies_are_decoded),
        TEST(a_large_response_waits_for_credit),
        TEST(a_streamed_response_comes_in_time),
        TEST(a_streamed_request_body_is_sent_under_credit),
        TEST(a_request_body_with_a_length_is_not_chunked),
        TEST(a_body_that_breaks_off_breaks_the_request),
        TEST(an_early_answer_ends_the_call),
        TEST(lost_connections_say_so),
        TEST_WITH(a_server_that_says_nothing_is_given_up, "{\"allow_private\":true,\"limits\":{\"egress_idle_ms\":1}}"),
        TEST(a_silent_name_server_holds_up_nobody_else),
        TEST(a_dead_connection_is_not_the_callers_trouble),
        TEST(a_cancelled_call_ends_the_connection),
        TEST(redirects_are_the_callers_choice),
        TEST(requests_that_are_none_are_refused),
        TEST(a_worker_that_breaks_the_rules_is_cut_off),
        TEST_WITH(private_addresses_are_closed_by_default, "{}"),
        TEST_WITH(the_allow_list_opens_what_it_names, "{\"allow\":[\"127.0.0.1\",\"nothing.example:80\"]}"),
    };
    return cmocka_run_group_tests(tests, start_server, stop_server);
}
