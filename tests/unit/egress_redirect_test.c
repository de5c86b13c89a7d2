/* egress_redirect_test — the next request of a redirect. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "src/egress/egress_redirect.h"

#define HEADERS "authorization\nx\ncontent-type\ntext/plain\ncookie\na=1\nx-keep\n1\n"

struct hop {
    const char *method;
    int status;
    const char *location;
    const char *next_method; /* NULL: refused */
    const char *next_url;
    const char *next_headers;
    bool keeps_body;
};

static void
hops_follow_the_standard(void **state)
{
    static const struct hop hops[] = {
        { "GET", 302, "/b", "GET", "http://a/b", HEADERS, true },
        { "POST", 301, "b", "GET", "http://a/x/b", "authorization\nx\ncookie\na=1\nx-keep\n1\n", false },
        { "POST", 302, "b", "GET", "http://a/x/b", "authorization\nx\ncookie\na=1\nx-keep\n1\n", false },
        { "PUT", 302, "b", "PUT", "http://a/x/b", HEADERS, true },
        { "PUT", 303, "b", "GET", "http://a/x/b", "authorization\nx\ncookie\na=1\nx-keep\n1\n", false },
        { "HEAD", 303, "b", "HEAD", "http://a/x/b", HEADERS, true },
        { "POST", 307, "b", "POST", "http://a/x/b", HEADERS, true },
        { "POST", 308, "b", "POST", "http://a/x/b", HEADERS, true },
        { "GET", 302, "http://c/", "GET", "http://c/", "content-type\ntext/plain\nx-keep\n1\n", true },
        { "GET", 302, "//a:81/", "GET", "http://a:81/", "content-type\ntext/plain\nx-keep\n1\n", true },
        { "GET", 302, "https://a/", "GET", "https://a/", "content-type\ntext/plain\nx-keep\n1\n", true },
        { "GET", 302, "file:///etc/passwd", NULL, NULL, NULL, true },
        { "GET", 302, "javascript:1", NULL, NULL, NULL, true },
        { "GET", 302, "http://a b/", NULL, NULL, NULL, true },
    };

    for (size_t i = 0; i < ARRAY_LEN(hops); i++) {
        struct redirect_request r = { .keeps_body = true };
        struct err err = { 0 };
        bool ok;
        assert_true(url_parse(&r.url, BYTES_LIT("http://a/x/y"), NULL));
        buf_append_str(&r.method, hops[i].method);
        buf_append_str(&r.headers, HEADERS);
        ok = redirect_follow(&r, hops[i].status, bytes_of(hops[i].location), &err);
        assert_int_equal(ok, hops[i].next_method != NULL);
        if (ok) {
            assert_string_equal(buf_cstr(&r.method), hops[i].next_method);
            assert_string_equal(buf_cstr(&r.url.href), hops[i].next_url);
            assert_string_equal(buf_cstr(&r.headers), hops[i].next_headers);
            assert_int_equal(r.keeps_body, hops[i].keeps_body);
        } else {
            assert_int_equal(err.code, ERR_NETWORK);
            assert_string_equal(buf_cstr(&r.url.href), "http://a/x/y");
        }
        url_fini(&r.url);
        buf_fini(&r.method);
        buf_fini(&r.headers);
    }
}

static void
the_mode_is_read_from_the_meta(void **state)
{
    enum redirect_mode mode = REDIRECT_ERROR;
    struct err err = { 0 };

    assert_true(redirect_mode_parse(&mode, BYTES_NONE, &err));
    assert_int_equal(mode, REDIRECT_MANUAL);
    assert_true(redirect_mode_parse(&mode, BYTES_LIT("{\"redirect\":\"follow\",\"cf\":{}}"), &err));
    assert_int_equal(mode, REDIRECT_FOLLOW);
    assert_true(redirect_mode_parse(&mode, BYTES_LIT("{\"redirect\":\"error\"}"), &err));
    assert_int_equal(mode, REDIRECT_ERROR);
    assert_true(redirect_mode_parse(&mode, BYTES_LIT("{\"cf\":{}}"), &err));
    assert_int_equal(mode, REDIRECT_MANUAL);
    assert_false(redirect_mode_parse(&mode, BYTES_LIT("{\"redirect\":\"x\"}"), &err));
    assert_false(redirect_mode_parse(&mode, BYTES_LIT("{"), &err));
    assert_int_equal(err.code, ERR_MALFORMED);
}

static void
statuses_that_redirect(void **state)
{
    for (int status = 300; status < 400; status++)
        assert_int_equal(redirect_is_status(status), status == 301 || status == 302 || status == 303 || status == 307 || status == 308);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hops_follow_the_standard),
        cmocka_unit_test(the_mode_is_read_from_the_meta),
        cmocka_unit_test(statuses_that_redirect),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
