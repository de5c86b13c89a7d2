/* gateway_assets_test — which file answers which path: html_handling, not_found_handling, patterns, _headers,
 * _redirects. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "src/gateway/asset_rules.h"

#define T(s) BYTES_LIT(s)

static const char *const site[] = {
    "index.html", "both.html", "both/index.html", "file.html", "folder/index.html", "404.html", "deep/404.html",
    "bin",        "a b.txt",   "_headers",        "index",     "only/index",        NULL
};

static bool
exists(void *files, const char *file)
{
    for (const char *const *f = files; *f != NULL; f++)
        if (strcmp(*f, file) == 0)
            return true;
    return false;
}

/* "200 file", "307 /location" or "-". */
static const char *
ask(struct asset_config *c, const char *path, bool with_not_found)
{
    static char text[4096];
    struct asset_answer a = { 0 };

    switch (asset_decide(c, bytes_of(path), with_not_found, exists, (void *)(uintptr_t)site, &a)) {
    case ASSET_NONE:
        snprintf(text, sizeof text, "-");
        break;
    case ASSET_FILE:
        snprintf(text, sizeof text, "%d %s", a.status, a.file);
        break;
    case ASSET_REDIRECT:
        snprintf(text, sizeof text, "%d %s", a.status, buf_cstr(&a.location));
        break;
    }
    buf_fini(&a.location);
    return text;
}

struct row {
    const char *path, *automatic, *force, *drop, *none;
};
static const struct row rows[] = {
    { "/", "200 index.html", "200 index.html", "200 index.html", "-" },
    { "//", "200 index.html", "200 index.html", "200 index.html", "-" },
    { "/index.html", "307 /", "307 /", "307 /", "200 index.html" },
    { "/bin", "200 bin", "200 bin", "200 bin", "200 bin" },
    { "/a%20b.txt", "200 a b.txt", "200 a b.txt", "200 a b.txt", "200 a b.txt" },
    { "/file", "200 file.html", "307 /file/", "200 file.html", "-" },
    { "/file.html", "307 /file", "307 /file/", "307 /file", "200 file.html" },
    { "/file/", "307 /file", "200 file.html", "307 /file", "-" },
    { "/file/index", "307 /file", "307 /file/", "307 /file", "-" },
    { "/file/index.html", "307 /file", "307 /file/", "307 /file", "-" },
    { "/folder", "307 /folder/", "307 /folder/", "200 folder/index.html", "-" },
    { "/folder.html", "307 /folder/", "307 /folder/", "307 /folder", "-" },
    { "/folder/", "200 folder/index.html", "200 folder/index.html", "307 /folder", "-" },
    { "/folder/index", "307 /folder/", "307 /folder/", "307 /folder", "-" },
    { "/folder/index.html", "307 /folder/", "307 /folder/", "307 /folder", "200 folder/index.html" },
    { "/both", "200 both.html", "307 /both/", "200 both.html", "-" },
    { "/both/", "200 both/index.html", "200 both/index.html", "307 /both", "-" },
    { "/both.html", "307 /both", "200 both.html", "307 /both", "200 both.html" },
    { "/both/index.html", "307 /both/", "307 /both/", "200 both/index.html", "200 both/index.html" },
    { "/only/index", "200 only/index", "200 only/index", "200 only/index", "200 only/index" },
    { "/_headers", "-", "-", "-", "-" },
    { "/missing", "-", "-", "-", "-" },
    { "/../etc", "-", "-", "-", "-" },
    { "/%2e%2e/bin", "-", "-", "-", "-" },
    { "/folder%2findex.html", "-", "-", "-", "-" },
    { "/x/..%5cbin", "-", "-", "-", "-" },
    { "/bin%00", "-", "-", "-", "-" },
    { "/bin%zz", "-", "-", "-", "-" },
    { "/bin%", "-", "-", "-", "-" },
};

static void
html_handling_is_cloudflares(void **state)
{
    struct asset_config c;

    asset_config_init(&c);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const char *want[] = { rows[i].automatic, rows[i].force, rows[i].drop, rows[i].none };
        for (int mode = HTML_AUTO; mode <= HTML_NONE; mode++) {
            c.html = (enum html_handling)mode;
            if (strcmp(ask(&c, rows[i].path, false), want[mode]) != 0)
                print_message("%s in mode %d\n", rows[i].path, mode);
            assert_string_equal(ask(&c, rows[i].path, false), want[mode]);
        }
    }
    asset_config_fini(&c);
}

static void
not_found_handling_finds_a_page(void **state)
{
    struct asset_config c;

    asset_config_init(&c);
    assert_string_equal(ask(&c, "/deep/er/x", true), "-");
    c.not_found = NOT_FOUND_PAGE;
    assert_string_equal(ask(&c, "/deep/er/x", true), "404 deep/404.html");
    assert_string_equal(ask(&c, "/deeper/x", true), "404 404.html");
    assert_string_equal(ask(&c, "/deeper/x", false), "-");
    assert_string_equal(ask(&c, "/bin", true), "200 bin");
    c.not_found = NOT_FOUND_SPA;
    assert_string_equal(ask(&c, "/any/thing", true), "200 index.html");
    c.html = HTML_NONE;
    assert_string_equal(ask(&c, "/any/thing", true), "200 index.html");
    asset_config_fini(&c);
}

static void
redirects_come_first(void **state)
{
    struct asset_config c;

    asset_config_init(&c);
    asset_redirects_parse(
        &c, T("# comment\n/old /new 301\n/blog/* https://b.example/:splat\n/u/:name/x /people/:name?n=:name 303\n"
              "/in /bin 200\n/bad\n/bad2 /x 999\nnot/a/path /x\n/all/* /:splat\n/out example.com\n"));
    assert_int_equal(c.redirect_count, 5);
    assert_string_equal(ask(&c, "/old", false), "301 /new");
    assert_string_equal(ask(&c, "/blog/a/b", false), "302 https://b.example/a/b");
    assert_string_equal(ask(&c, "/u/ann/x", false), "303 /people/ann?n=ann");
    assert_string_equal(ask(&c, "/in", false), "200 bin");
    assert_string_equal(ask(&c, "/all//evil.example", false), "302 /evil.example"); /* not to another host */
    assert_string_equal(ask(&c, "/bin", false), "200 bin");
    asset_config_fini(&c);
}

static bool
matches(const char *pattern, const char *path)
{
    return asset_pattern_match(pattern, bytes_of(path), NULL, NULL);
}

static void
patterns_match_like_globs(void **state)
{
    struct buf out = { 0 };

    assert_true(matches("/*", "/"));
    assert_true(matches("/*", "/a/b"));
    assert_true(matches("*", ""));
    assert_true(matches("/api/*", "/api/x"));
    assert_false(matches("/api/*", "/api"));
    assert_true(matches("/*.js", "/a/b.js"));
    assert_true(matches("/*.js", "/a.js/b.js"));
    assert_false(matches("/*.js", "/a.jsx"));
    assert_true(matches("/*a*b*c", "/xxaxxbxbxxc"));
    assert_false(matches("/*a*b*c", "/xxbxxaxxc"));
    assert_true(matches("/:x/y", "/anything/y"));
    assert_false(matches("/:x/y", "/any/thing/y"));
    assert_false(matches("/:x", "/"));
    assert_true(matches("/a:b", "/aZZ"));
    assert_true(asset_pattern_match("/:a/*/z", T("/one/two/three/z"), "/:splat-:a-:none", &out));
    assert_string_equal(buf_cstr(&out), "/two/three-one-:none");
    buf_fini(&out);
    {
        /* Many stars against a long path: the time must not explode. */
        char path[2001] = "/";
        memset(path + 1, 'a', sizeof path - 2);
        assert_false(matches("/*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*b", path));
    }
}

static void
what_is_too_long_is_no_rule(void **state)
{
    struct asset_config c;
    struct buf text = { 0 }, path = { 0 };

    asset_config_init(&c);
    buf_append_str(&text, "/a /b\n/long/* /");
    for (int i = 0; i < 300; i++)
        buf_append_str(&text, ":splat");
    buf_append_str(&text, "\n/x ");
    for (int i = 0; i < ASSET_LINE_BYTES_MAX; i++)
        buf_append_byte(&text, '/');
    asset_redirects_parse(&c, buf_view(&text));
    assert_int_equal(c.redirect_count, 2);
    buf_append_str(&path, "/long/");
    for (int i = 0; i < 1000; i++)
        buf_append_byte(&path, 'a');
    assert_string_equal(ask(&c, "/long/a", false) + 300, "aaaaa");
    assert_string_equal(ask(&c, buf_cstr(&path), false), "-");
    buf_fini(&text);
    buf_fini(&path);
    asset_config_fini(&c);
}

static void
worker_first_may_be_a_list(void **state)
{
    struct asset_config c;
    static const char *patterns[] = { "/api/*", "!/api/docs/*" };

    asset_config_init(&c);
    assert_int_equal(asset_order_of(&c, T("/api/x")), ASSETS_FIRST);
    c.patterns = (char **)(uintptr_t)patterns;
    c.pattern_count = 2;
    assert_int_equal(asset_order_of(&c, T("/api/x")), WORKER_FIRST);
    assert_int_equal(asset_order_of(&c, T("/api/docs/x")), ASSETS_ONLY);
    assert_int_equal(asset_order_of(&c, T("/")), ASSETS_FIRST);
    c.pattern_count = 0;
    c.patterns = NULL;
    c.worker_first = true;
    assert_int_equal(asset_order_of(&c, T("/")), WORKER_FIRST);
    asset_config_fini(&c);
}

static void
header_rules_are_read(void **state)
{
    struct asset_config c;

    asset_config_init(&c);
    asset_headers_parse(
        &c, T("/*\n  X-Frame-Options: DENY\r\n  ! Cache-Control\n  Bad Name: x\n  Connection: x\n  no colon\n"
              "# note\n/a\n\tX-A:  b: c \nhttps://x/y\n  X-Never: 1\n"));
    assert_int_equal(c.header_rule_count, 3);
    assert_string_equal(c.header_rules[0].name, "x-frame-options");
    assert_string_equal(c.header_rules[0].value, "DENY");
    assert_null(c.header_rules[1].value);
    assert_string_equal(c.header_rules[2].pattern, "/a");
    assert_string_equal(c.header_rules[2].value, "b: c");
    asset_config_fini(&c);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(html_handling_is_cloudflares), cmocka_unit_test(not_found_handling_finds_a_page),
        cmocka_unit_test(redirects_come_first),         cmocka_unit_test(patterns_match_like_globs),
        cmocka_unit_test(what_is_too_long_is_no_rule),  cmocka_unit_test(worker_first_may_be_a_list),
        cmocka_unit_test(header_rules_are_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
