/* wire_url_test — cases written from the text of the URL Standard, one table per topic. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/wire/url.h"
#include "lib/wire/url_fast.h"

struct parse_case {
    const char *input;
    const char *base; /* NULL: none */
    const char *href; /* NULL: invalid */
};

static void
check_cases(const struct parse_case *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct parse_case *c = &cases[i];
        struct url base = { 0 };
        struct url url = { 0 };
        bool ok;
        if (c->base != NULL)
            assert_true(url_parse(&base, bytes_of(c->base), NULL));
        ok = url_parse(&url, bytes_of(c->input), c->base == NULL ? NULL : &base);
        if (ok != (c->href != NULL))
            fail_msg("'%s' is %s", c->input, ok ? buf_cstr(&url.href) : "invalid");
        if (ok)
            assert_string_equal(buf_cstr(&url.href), c->href);
        url_fini(&url);
        url_fini(&base);
    }
}
#define CHECK(cases) check_cases(cases, ARRAY_LEN(cases))

static void
schemes_and_slashes(void **state)
{
    static const struct parse_case cases[] = {
        { "http://example.com", NULL, "http://example.com/" },
        { "HTTP://example.com/", NULL, "http://example.com/" },
        { "https:example.com", NULL, "https://example.com/" },
        { "https:\\\\\\example.com\\a", NULL, "https://example.com/a" },
        { " \x01http://example.com/ \x1f", NULL, "http://example.com/" },
        { "ht\ntp://exam\tple.com/\r", NULL, "http://example.com/" },
        { "mailto:ada@example.com", NULL, "mailto:ada@example.com" },
        { "a+1-.b:x", NULL, "a+1-.b:x" },
        { "1a:x", NULL, NULL },
        { "", NULL, NULL },
        { ":x", NULL, NULL },
        { "no-scheme", NULL, NULL },
        { "foo://host", NULL, "foo://host" },
        { "foo:///p", NULL, "foo:///p" },
        { "foo:/p", NULL, "foo:/p" },
        { "foo:", NULL, "foo:" },
        { "foo:/.//p", NULL, "foo:/.//p" },
        { "foo:/a/..//p", NULL, "foo:/.//p" },
        { "data:a b #x", NULL, "data:a b%20#x" },
        { "data:\xc3\xa9\x7f", NULL, "data:%C3%A9%7F" },
    };
    CHECK(cases);
}

static void
relative_references(void **state)
{
    static const struct parse_case cases[] = {
        { "g", "http://a/b/c/d?q", "http://a/b/c/g" },
        { "./g/", "http://a/b/c/d?q", "http://a/b/c/g/" },
        { "/g", "http://a/b/c/d?q", "http://a/g" },
        { "//g", "http://a/b/c/d?q", "http://g/" },
        { "?y", "http://a/b/c/d?q", "http://a/b/c/d?y" },
        { "#s", "http://a/b/c/d?q", "http://a/b/c/d?q#s" },
        { "", "http://u:p@a:9/b?q#f", "http://u:p@a:9/b?q" },
        { "..", "http://a/b/c/d", "http://a/b/" },
        { "../../../../g", "http://a/b/c/d", "http://a/g" },
        { "g;x=1/../y", "http://a/b/c/d", "http://a/b/c/y" },
        { "http:g", "http://a/b/c/d", "http://a/b/c/g" },
        { "https:g", "http://a/b/c/d", "https://g/" },
        { "\\x", "http://a/b", "http://a/x" },
        { "#f", "mailto:x", "mailto:x#f" },
        { "x", "mailto:x", NULL },
        { "x", "foo://h", "foo://h/x" },
        { "..", "foo://h/a/b", "foo://h/" },
        { "//x:y", "foo:/a", NULL },
        { "//", "http://a/", NULL },
    };
    CHECK(cases);
}

static void
paths_queries_and_fragments(void **state)
{
    static const struct parse_case cases[] = {
        { "http://h/a/./b/../c", NULL, "http://h/a/c" },
        { "http://h/%2e/%2E%2e/x", NULL, "http://h/x" },
        { "http://h/a/.%2E", NULL, "http://h/" },
        { "http://h/a//b", NULL, "http://h/a//b" },
        { "http://h/...", NULL, "http://h/..." },
        { "http://h/ \"<>`{}^|'", NULL, "http://h/%20%22%3C%3E%60%7B%7D%5E|'" },
        { "http://h/%zz%", NULL, "http://h/%zz%" },
        { "http://h/\xf0\x9f\x98\x80", NULL, "http://h/%F0%9F%98%80" },
        { "http://h/?a b\"<>'`", NULL, "http://h/?a%20b%22%3C%3E%27`" },
        { "foo://h/?'", NULL, "foo://h/?'" },
        { "http://h/?a?b#c#d", NULL, "http://h/?a?b#c#d" },
        { "http://h/#a b\"<>`{", NULL, "http://h/#a%20b%22%3C%3E%60{" },
        { "http://h?q", NULL, "http://h/?q" },
        { "http://h#f", NULL, "http://h/#f" },
        { "http://h/?", NULL, "http://h/?" },
        { "http://h/#", NULL, "http://h/#" },
    };
    CHECK(cases);
}

static void
authorities(void **state)
{
    static const struct parse_case cases[] = {
        { "http://u@h/", NULL, "http://u@h/" },
        { "http://u:p@h/", NULL, "http://u:p@h/" },
        { "http://:p@h/", NULL, "http://:p@h/" },
        { "http://@h/", NULL, "http://h/" },
        { "http://a@b@c/", NULL, "http://a%40b@c/" },
        { "http://u:a:b@h/", NULL, "http://u:a%3Ab@h/" },
        { "http://u ;@h/", NULL, "http://u%20%3B@h/" },
        { "http://@/", NULL, NULL },
        { "http://u:p@/", NULL, NULL },
        { "http://h:80/", NULL, "http://h/" },
        { "https://h:80/", NULL, "https://h:80/" },
        { "http://h:00081/", NULL, "http://h:81/" },
        { "http://h:/", NULL, "http://h/" },
        { "http://h:65535/", NULL, "http://h:65535/" },
        { "http://h:65536/", NULL, NULL },
        { "http://h:8a/", NULL, NULL },
        { "http://:80/", NULL, NULL },
        { "http:///h", NULL, "http://h/" },
        { "http://", NULL, NULL },
        { "foo://", NULL, "foo://" },
        { "foo://:1", NULL, NULL },
    };
    CHECK(cases);
}

static void
names_and_opaque_hosts(void **state)
{
    static const struct parse_case cases[] = {
        { "http://EXAMPLE.com/", NULL, "http://example.com/" },
        { "http://ex%41mple.com/", NULL, "http://example.com/" },
        { "http://b\xc3\xbc" "cher.de/", NULL, "http://xn--bcher-kva.de/" },
        { "http://fa\xc3\x9f.de/", NULL, "http://xn--fa-hia.de/" },
        { "http://a\xc2\xad" "b/", NULL, "http://ab/" },
        { "http://\xef\xbc\x91.com/", NULL, "http://1.com/" },
        { "http://XN--BCHER-KVA.de/", NULL, "http://xn--bcher-kva.de/" },
        { "http://\xc2\xad/", NULL, NULL },
        { "http://\xff/", NULL, NULL },
        { "http://xn--/", NULL, NULL },
        { "http://a b/", NULL, NULL },
        { "http://a%00b/", NULL, NULL },
        { "http://a%25b/", NULL, NULL },
        { "http://a<b/", NULL, NULL },
        { "http://a^b/", NULL, NULL },
        { "http://a_b~!$&'()*+,;=/", NULL, "http://a_b~!$&'()*+,;=/" },
        { "http://a..b/", NULL, "http://a..b/" },
        { "foo://A b", NULL, NULL },
        { "foo://A%20\xc3\xa9", NULL, "foo://A%20%C3%A9" },
        { "foo://1.2.3", NULL, "foo://1.2.3" },
    };
    CHECK(cases);
}

static void
addresses(void **state)
{
    static const struct parse_case cases[] = {
        { "http://127.0.0.1/", NULL, "http://127.0.0.1/" },
        { "http://127.1/", NULL, "http://127.0.0.1/" },
        { "http://0x7f.0x0.0.01/", NULL, "http://127.0.0.1/" },
        { "http://2130706433/", NULL, "http://127.0.0.1/" },
        { "http://017700000001./", NULL, "http://127.0.0.1/" },
        { "http://0x/", NULL, "http://0.0.0.0/" },
        { "http://255.255.255.256/", NULL, NULL },
        { "http://256.1/", NULL, NULL },
        { "http://4294967296/", NULL, NULL },
        { "http://1.2.3.4.5/", NULL, NULL },
        { "http://1..2/", NULL, NULL },
        { "http://08/", NULL, NULL },
        { "http://a.1/", NULL, NULL },
        { "http://1.a/", NULL, "http://1.a/" },
        { "http://%EF%BC%91%EF%BC%92%EF%BC%97.1/", NULL, "http://127.0.0.1/" },
        { "http://[::1]:8080/", NULL, "http://[::1]:8080/" },
        { "http://[1:0:0:2:0:0:0:3]/", NULL, "http://[1:0:0:2::3]/" },
        { "http://[0:0:0:0:0:0:0:0]/", NULL, "http://[::]/" },
        { "http://[1:2:3:4:5:6:0:8]/", NULL, "http://[1:2:3:4:5:6:0:8]/" },
        { "http://[::FFFF:1.2.3.4]/", NULL, "http://[::ffff:102:304]/" },
        { "http://[1::2::3]/", NULL, NULL },
        { "http://[1:2:3:4:5:6:7]/", NULL, NULL },
        { "http://[1:2:3:4:5:6:7:8:9]/", NULL, NULL },
        { "http://[12345::]/", NULL, NULL },
        { "http://[:1]/", NULL, NULL },
        { "http://[1:]/", NULL, NULL },
        { "http://[::1.2.3]/", NULL, NULL },
        { "http://[::01.2.3.4]/", NULL, NULL },
        { "http://[::256.2.3.4]/", NULL, NULL },
        { "http://[::1%25eth0]/", NULL, NULL },
        { "http://[::1/", NULL, NULL },
        { "foo://[::1]", NULL, "foo://[::1]" },
    };
    CHECK(cases);
}

static void
files(void **state)
{
    static const struct parse_case cases[] = {
        { "file:///a/b", NULL, "file:///a/b" },
        { "file:a", NULL, "file:///a" },
        { "file://localhost/a", NULL, "file:///a" },
        { "file://host/a", NULL, "file://host/a" },
        { "file:///C|/x", NULL, "file:///C:/x" },
        { "file:///C:/../..", NULL, "file:///C:/" },
        { "file://C:/x", NULL, "file:///C:/x" },
        { "/x", "file:///C:/a/b", "file:///C:/x" },
        { "x", "file:///C:/a", "file:///C:/x" },
        { "D:/x", "file:///C:/a", "d:/x" }, /* a letter and a colon without a slash before them are a scheme */
        { "/D:/x", "file:///C:/a", "file:///D:/x" },
        { "..", "file://h/a/b", "file://h/" },
        { "?q", "file:///a?b", "file:///a?q" },
        { "file://h:1/", NULL, NULL },
    };
    CHECK(cases);
}

static void
the_parts_are_found(void **state)
{
    struct url url = { 0 };

    assert_true(url_parse(&url, bytes_of("https://us%40er:pa:ss@Host.example:8443/p/a?q=1#h"), NULL));
    assert_true(bytes_equal_str(url_protocol(&url), "https:"));
    assert_true(bytes_equal_str(url_username(&url), "us%40er"));
    assert_true(bytes_equal_str(url_password(&url), "pa%3Ass"));
    assert_true(bytes_equal_str(url_host(&url), "host.example:8443"));
    assert_true(bytes_equal_str(url_hostname(&url), "host.example"));
    assert_int_equal(url.port, 8443);
    assert_true(bytes_equal_str(url_pathname(&url), "/p/a"));
    assert_true(bytes_equal_str(url_search(&url), "?q=1"));
    assert_true(bytes_equal_str(url_hash(&url), "#h"));
    assert_true(url_parse(&url, bytes_of("http://h/"), NULL));
    assert_int_equal(url_port_or_default(&url), 80);
    assert_int_equal(url_password(&url).len, 0);
    assert_int_equal(url_search(&url).len, 0);
    assert_true(url_parse(&url, bytes_of("foo:/.//x"), NULL));
    assert_true(bytes_equal_str(url_pathname(&url), "//x"));
    assert_int_equal(url_host(&url).len, 0);
    assert_int_equal(url_port_or_default(&url), -1);
    url_fini(&url);
}

static void
an_invalid_url_changes_nothing(void **state)
{
    struct url url = { 0 };

    assert_true(url_parse(&url, bytes_of("http://h/p"), NULL));
    assert_false(url_parse(&url, bytes_of("http://a b/"), NULL));
    assert_string_equal(buf_cstr(&url.href), "http://h/p");
    url_fini(&url);
}

static void
setters_follow_their_rules(void **state)
{
    static const struct { const char *url; enum url_part part; const char *value; const char *href; } cases[] = {
        { "http://h/", URL_PROTOCOL, "https", "https://h/" },
        { "http://h/", URL_PROTOCOL, "WSS:anything", "wss://h/" },
        { "http://h:443/", URL_PROTOCOL, "https:", "https://h/" },
        { "http://h/", URL_PROTOCOL, "foo", "http://h/" },
        { "foo://h/", URL_PROTOCOL, "http", "foo://h/" },
        { "http://u@h/", URL_PROTOCOL, "file", "http://u@h/" },
        { "file:///x", URL_PROTOCOL, "http", "file:///x" },
        { "http://h/", URL_PROTOCOL, "", "http://h/" },
        { "http://h/", URL_USERNAME, "a@b:c", "http://a%40b%3Ac@h/" },
        { "http://u:p@h/", URL_USERNAME, "", "http://:p@h/" },
        { "http://u:p@h/", URL_PASSWORD, "", "http://u@h/" },
        { "file:///x", URL_USERNAME, "u", "file:///x" },
        { "mailto:x", URL_PASSWORD, "u", "mailto:x" },
        { "http://h:81/", URL_HOST, "x", "http://x:81/" },
        { "http://h:81/", URL_HOST, "x:82/ignored", "http://x:82/" },
        { "http://h/", URL_HOST, "x:99999", "http://x/" },
        { "http://h/", URL_HOST, "", "http://h/" },
        { "foo://h/", URL_HOST, "", "foo:///" },
        { "foo://u@h/", URL_HOST, "", "foo://u@h/" },
        { "foo:/p", URL_HOST, "h", "foo://h/p" },
        { "mailto:x", URL_HOST, "h", "mailto:x" },
        { "http://h:81/", URL_HOSTNAME, "x:82", "http://h:81/" },
        { "http://h:81/", URL_HOSTNAME, "[::1]", "http://[::1]:81/" },
        { "file://h/", URL_HOSTNAME, "localhost", "file:///" },
        { "http://h/", URL_PORT, "8080", "http://h:8080/" },
        { "http://h/", URL_PORT, "80 and more", "http://h/" },
        { "http://h:1/", URL_PORT, "", "http://h/" },
        { "http://h:1/", URL_PORT, "x2", "http://h:1/" },
        { "http://h:1/", URL_PORT, "65536", "http://h:1/" },
        { "file:///x", URL_PORT, "1", "file:///x" },
        { "http://h/a?b#c", URL_PATHNAME, "x?y#z", "http://h/x%3Fy%23z?b#c" },
        { "http://h/a", URL_PATHNAME, "", "http://h/" },
        { "http://h/a", URL_PATHNAME, "/b/../c/.", "http://h/c/" },
        { "foo://h/a", URL_PATHNAME, "", "foo://h" },
        { "foo:/a", URL_PATHNAME, "//b", "foo:/.//b" },
        { "mailto:x", URL_PATHNAME, "y", "mailto:x" },
        { "http://h/?a", URL_SEARCH, "b c'#", "http://h/?b%20c%27%23" },
        { "http://h/?a", URL_SEARCH, "?", "http://h/?" },
        { "http://h/?a#f", URL_SEARCH, "", "http://h/#f" },
        { "http://h/#a", URL_HASH, "#b`", "http://h/#b%60" },
        { "http://h/#a", URL_HASH, "", "http://h/" },
        { "http://h/", URL_HASH, "a\tb\n", "http://h/#ab" },
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct url url = { 0 };
        assert_true(url_parse(&url, bytes_of(cases[i].url), NULL));
        url_set(&url, cases[i].part, bytes_of(cases[i].value));
        assert_string_equal(buf_cstr(&url.href), cases[i].href);
        url_fini(&url);
    }
}

static void
attribute_names_are_known(void **state)
{
    enum url_part part = URL_PARTS;

    assert_true(url_part_from_name(&part, BYTES_LIT("protocol")));
    assert_int_equal(part, URL_PROTOCOL);
    assert_true(url_part_from_name(&part, BYTES_LIT("hash")));
    assert_int_equal(part, URL_HASH);
    assert_false(url_part_from_name(&part, BYTES_LIT("href")));
    assert_false(url_part_from_name(&part, BYTES_NONE));
}

static void
the_fast_parser_declines_whatever_needs_a_decision(void **state)
{
    static const char *const plain[] = {
        "http://example.com/", "https://a-b.example/x/y.html?q=1&r=%20#top", "http://localhost:8787/agents/chat/a",
        "ws://10.0.0.1:9/x", "wss://h/?", "http://h/#",
    };
    static const char *const not_plain[] = {
        "http://example.com", "HTTP://example.com/", "http://Example.com/", "http://h:80/", "https://h:443/", "http://h:080/",
        "http://h:70000/", "http://h/./x", "http://h/../x", "http://h/%2e/x", "http://h/a b", "http://h/\\", "http://u@h/",
        "http://1.2.3/", "http://01.2.3.4/", "http://256.1.1.1/", "http://xn--a/", "http://h/?'", "http://h/#`", "ftp://h/",
        "http://h/\n", "http://h./", "http:///", "http://0x7f.1/", "http://a.1/", "http://[::1]/", "http://h/\xc3\xa9", " http://h/",
    };
    struct url url = { 0 };

    for (size_t i = 0; i < ARRAY_LEN(plain); i++) {
        struct url slow = { 0 };
        assert_true(url_parse_fast(&url, bytes_of(plain[i])));
        assert_true(url_parse_slow(&slow, bytes_of(plain[i]), NULL));
        assert_string_equal(buf_cstr(&url.href), buf_cstr(&slow.href));
        assert_int_equal(url.host_end, slow.host_end);
        assert_int_equal(url.port, slow.port);
        assert_int_equal(url.search_start, slow.search_start);
        assert_int_equal(url.hash_start, slow.hash_start);
        url_fini(&slow);
    }
    for (size_t i = 0; i < ARRAY_LEN(not_plain); i++)
        if (url_parse_fast(&url, bytes_of(not_plain[i])))
            fail_msg("'%s' was taken as plain", not_plain[i]);
    url_fini(&url);
}

static void
absurd_sizes_are_refused(void **state)
{
    struct bytes huge = { calloc(1, URL_PARSE_MAX_BYTES + 1), URL_PARSE_MAX_BYTES + 1 };
    struct buf name = { 0 };
    struct url url = { 0 };

    memset((void *)(uintptr_t)huge.data, 'a', huge.len);
    memcpy((void *)(uintptr_t)huge.data, "http://h/", 9);
    assert_false(url_parse(&url, huge, NULL));
    buf_append_str(&name, "http://");
    for (int i = 0; i < 3000; i++)
        buf_append_str(&name, "\xc3\xbc");
    assert_false(url_parse(&url, buf_view(&name), NULL));
    buf_fini(&name);
    free((void *)(uintptr_t)huge.data);
    url_fini(&url);
}

static void
domains_alone(void **state)
{
    struct buf out = { 0 };

    assert_true(url_domain_to_ascii(&out, BYTES_LIT("B\xc3\xbc" "cher.DE")));
    assert_string_equal(buf_cstr(&out), "xn--bcher-kva.de");
    assert_false(url_domain_to_ascii(&out, BYTES_LIT("a b")));
    assert_false(url_domain_to_ascii(&out, BYTES_NONE));
    assert_string_equal(buf_cstr(&out), "xn--bcher-kva.de");
    buf_fini(&out);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(schemes_and_slashes),
        cmocka_unit_test(relative_references),
        cmocka_unit_test(paths_queries_and_fragments),
        cmocka_unit_test(authorities),
        cmocka_unit_test(names_and_opaque_hosts),
        cmocka_unit_test(addresses),
        cmocka_unit_test(files),
        cmocka_unit_test(the_parts_are_found),
        cmocka_unit_test(an_invalid_url_changes_nothing),
        cmocka_unit_test(setters_follow_their_rules),
        cmocka_unit_test(attribute_names_are_known),
        cmocka_unit_test(the_fast_parser_declines_whatever_needs_a_decision),
        cmocka_unit_test(absurd_sizes_are_refused),
        cmocka_unit_test(domains_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
