/* Modes, the report as JSON, and CONF that a sandbox must not be opened by. The sandbox itself: tests/jail. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/jail/jail.h"

static void
test_modes_are_three_words(void **state)
{
    static const char *const bad[] = { "", "Best", "none", "required ", "on" };
    enum jail_mode mode = JAIL_REQUIRED;
    struct err err = { 0 };

    for (int i = JAIL_OFF; i <= JAIL_REQUIRED; i++) {
        assert_true(jail_mode_parse(&mode, jail_mode_name((enum jail_mode)i), &err));
        assert_int_equal(mode, i);
    }
    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        mode = JAIL_REQUIRED;
        assert_false(jail_mode_parse(&mode, bad[i], &err));
        assert_int_equal(err.code, ERR_CONFIG);
        assert_int_equal(mode, JAIL_REQUIRED);
    }
}

static void
test_the_report_is_json_whatever_the_reasons_hold(void **state)
{
    struct jail_report report = { 0 };
    struct buf text = { 0 };
    json_error_t where;
    json_t *json;

    report.layer[LAYER_MOUNTS].state = LAYER_ON;
    (void)snprintf(report.layer[LAYER_USER].reason, JAIL_REASON_MAX, "a \"quoted\\path\"\n\tand a line");
    report.layer[LAYER_NETWORK].state = 200;                 /* a torn report */
    jail_report_json(&report, &text);
    json = json_loadb((const char *)text.data, text.len, 0, &where);
    assert_non_null(json);
    assert_int_equal(json_object_size(json), LAYERS);
    assert_string_equal(json_string_value(json_object_get(json_object_get(json, "mounts"), "state")), "on");
    assert_string_equal(json_string_value(json_object_get(json_object_get(json, "network"), "state")), "absent");
    assert_string_equal(json_string_value(json_object_get(json_object_get(json, "user"), "reason")), "a \"quoted\\path\"  and a line");
    json_decref(json);
    buf_fini(&text);
}

/* None of these may open the process or close it in: they fail before anything is done. */
static void
test_a_wrong_conf_is_refused(void **state)
{
    static const char *const bad[] = {
        "", "[", "{\"sandbox\":\"maybe\"}", "{\"sandbox\":\"best\",\"jail\":{\"write\":[\"relative\"]}}",
        "{\"sandbox\":\"best\",\"jail\":{\"write\":[7]}}", "{\"sandbox\":\"required\",\"jail\":{\"read\":[\"\"]}}",
    };

    for (size_t i = 0; i < ARRAY_LEN(bad); i++) {
        struct err err = { 0 };

        assert_false(jail_enter(ROLE_WORKER, bytes_of(bad[i]), &err));
        assert_int_equal(err.code, ERR_CONFIG);
        assert_non_null(strstr(err.message, "worker"));
    }
}

static void
test_off_means_off(void **state)
{
    struct err err = { 0 };

    assert_true(jail_enter(ROLE_WORKER, BYTES_LIT("{\"sandbox\":\"off\"}"), &err));
    assert_true(jail_enter(ROLE_WORKER, BYTES_LIT("{}"), &err));     /* started by hand, in a test rig */
    assert_int_equal(access("/etc/passwd", R_OK), 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_modes_are_three_words),
        cmocka_unit_test(test_the_report_is_json_whatever_the_reasons_hold),
        cmocka_unit_test(test_a_wrong_conf_is_refused),
        cmocka_unit_test(test_off_means_off),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
