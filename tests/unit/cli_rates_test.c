/* cli: what happened per second between two answers to `top`. */
#include <setjmp.h>
#include <stdarg.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "src/cli/cli_rates.h"

static json_t *
answer(int seconds, int pid, int sleeps, int cpu_ms)
{
    return json_pack("{s:i, s:i, s:[{s:s, s:s, s:i, s:i, s:i, s:i, s:{s:i, s:i}}]}", "time_ms", 1, "mono_us", seconds * 1000000, "rooms", "role",
                     "worker", "app", "shop", "index", 0, "pid", pid, "cpu_us", cpu_ms * 1000, "memory_bytes", 2048, "counters", "sleeps",
                     sleeps, "warm", 4);
}

static double
number(const json_t *rates, const char *field, const char *name)
{
    json_t *room = json_array_get(json_object_get(rates, "rooms"), 0);

    return json_real_value(name == NULL ? json_object_get(room, field) : json_object_get(json_object_get(room, field), name));
}

static void
rates_are_per_second(void **state)
{
    json_t *before = answer(10, 77, 100, 500), *now = answer(12, 77, 130, 1500), *rates = rates_between(before, now);

    assert_true(fabs(number(rates, "per_second", "sleeps") - 15.0) < 1e-9);
    assert_true(fabs(number(rates, "cpu", NULL) - 0.5) < 1e-9);
    assert_null(json_object_get(json_object_get(json_array_get(json_object_get(rates, "rooms"), 0), "per_second"), "warm"));
    json_decref(before);
    json_decref(now);
    json_decref(rates);
}

static void
a_room_that_was_started_again_counts_from_zero(void **state)
{
    json_t *before = answer(10, 77, 100, 500), *now = answer(12, 78, 30, 100), *rates = rates_between(before, now);

    assert_true(fabs(number(rates, "per_second", "sleeps") - 15.0) < 1e-9);
    json_decref(rates);
    rates = rates_between(NULL, now);
    assert_true(number(rates, "per_second", "sleeps") == 0);
    json_decref(before);
    json_decref(now);
    json_decref(rates);
}

static void
people_read_lines(void **state)
{
    json_t *before = answer(10, 77, 100, 500), *now = answer(12, 77, 130, 1500), *rates = rates_between(before, now);
    struct buf text = { 0 };

    rates_print(rates, &text);
    assert_non_null(strstr(buf_cstr(&text), "\nshop/0 "));
    assert_non_null(strstr(buf_cstr(&text), " 2.0K   50%\n"));
    buf_fini(&text);
    json_decref(before);
    json_decref(now);
    json_decref(rates);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rates_are_per_second),
        cmocka_unit_test(a_room_that_was_started_again_counts_from_zero),
        cmocka_unit_test(people_read_lines),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
