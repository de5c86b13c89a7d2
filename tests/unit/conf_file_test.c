/* Configuration values, their defaults, and errors that name the field. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

#include "lib/conf/conf.h"

static struct conf *
parse(const char *text)
{
    struct conf *conf = NULL;
    struct err err = { 0 };

    assert_true(conf_parse(&conf, bytes_of(text), "test.json", &err));
    return conf;
}

static void
test_values_and_defaults(void **state)
{
    struct conf *conf = parse("{\"data\":\"/d\",\"on\":true,\"n\":7,\"list\":[\"a\",\"b\"],\"limits\":{\"x\":1}}");
    const char *text = "default";
    bool flag = false;
    int64_t number = 3;
    size_t count = 9;
    struct buf json = { 0 };
    struct err err = { 0 };

    assert_true(conf_get_text(conf, "data", &text, &err));
    assert_string_equal(text, "/d");
    text = "default";
    assert_true(conf_get_text(conf, "absent", &text, &err));
    assert_string_equal(text, "default");
    assert_true(conf_get_flag(conf, "on", &flag, &err));
    assert_true(flag);
    assert_true(conf_get_number(conf, "n", 1, 10, &number, &err));
    assert_int_equal(number, 7);
    assert_true(conf_count(conf, "list", 2, &count, &err));
    assert_int_equal(count, 2);
    assert_string_equal(conf_text_at(conf, "list", 1), "b");
    assert_true(conf_count(conf, "absent", 2, &count, &err));
    assert_int_equal(count, 0);
    assert_true(conf_copy_json(conf, "limits", &json));
    assert_string_equal(buf_cstr(&json), "{\"x\":1}");
    assert_false(conf_copy_json(conf, "absent", &json));
    buf_fini(&json);
    conf_destroy(&conf);
    assert_null(conf);
}

static void
expect_config_error(bool ok, const struct err *err, const char *field)
{
    assert_false(ok);
    assert_int_equal(err->code, ERR_CONFIG);
    assert_non_null(strstr(err->message, field));
    assert_non_null(strstr(err->message, "test.json"));
}

static void
test_wrong_types_name_file_and_field(void **state)
{
    struct conf *conf = parse("{\"data\":1,\"on\":\"yes\",\"n\":1.5,\"big\":99,\"list\":[1],\"many\":[\"a\",\"b\"]}");
    const char *text = NULL;
    bool flag = false;
    int64_t number = 0;
    size_t count;
    struct err err = { 0 };

    expect_config_error(conf_get_text(conf, "data", &text, &err), &err, "'data'");
    expect_config_error(conf_get_flag(conf, "on", &flag, &err), &err, "'on'");
    expect_config_error(conf_get_number(conf, "n", 0, 9, &number, &err), &err, "'n'");
    expect_config_error(conf_get_number(conf, "big", 0, 98, &number, &err), &err, "'big'");
    expect_config_error(conf_count(conf, "list", 4, &count, &err), &err, "'list'");
    expect_config_error(conf_count(conf, "many", 1, &count, &err), &err, "'many'");
    assert_null(text);
    assert_int_equal(number, 0);
    conf_destroy(&conf);
}

static void
test_unknown_fields_are_refused(void **state)
{
    static const char *const known[] = { "data", NULL };
    struct conf *conf = parse("{\"data\":\"x\",\"dta\":\"y\"}");
    struct err err = { 0 };

    expect_config_error(conf_check(conf, known, &err), &err, "'dta'");
    conf_destroy(&conf);
}

static void
test_text_that_is_no_object_is_refused(void **state)
{
    static const char *const bad[] = { "", "[1]", "{", "{\"a\":1}x", "{\"a\":1,\"a\":2}", "nul" };

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct conf *conf = NULL;
        struct err err = { 0 };

        expect_config_error(conf_parse(&conf, bytes_of(bad[i]), "test.json", &err), &err, "test.json");
        assert_null(conf);
    }
}

static void
test_a_missing_file_is_named(void **state)
{
    struct conf *conf = NULL;
    struct err err = { 0 };

    assert_false(conf_load(&conf, "/nonexistent/dormouse.json", &err));
    assert_int_equal(err.code, ERR_CONFIG);
    assert_non_null(strstr(err.message, "/nonexistent/dormouse.json"));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values_and_defaults),
        cmocka_unit_test(test_wrong_types_name_file_and_field),
        cmocka_unit_test(test_unknown_fields_are_refused),
        cmocka_unit_test(test_text_that_is_no_object_is_refused),
        cmocka_unit_test(test_a_missing_file_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
