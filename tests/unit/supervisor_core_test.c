/* The life of a room with a clock of our own, and the rules of the house. */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>
#include <string.h>

#include "src/supervisor/supervisor_core.h"
#include "src/supervisor/supervisor_limits.h"

static void
test_backoff_doubles_up_to_its_most(void **state)
{
    static const uint32_t expected[] = { 100, 200, 400, 800, 1600, 3200, 6400, 10000, 10000 };

    for (uint32_t i = 0; i < ARRAY_LEN(expected); i++)
        assert_int_equal(backoff_ms(i + 1), expected[i]);
    assert_int_equal(backoff_ms(UINT32_MAX), BACKOFF_MAX_MS);
}

/* Starts LIFE and lets it serve from NOW on. */
static void
serve_at(struct life *life, int64_t now_ms)
{
    assert_int_equal(life_step(life, LIFE_START, now_ms, 0), LIFE_SPAWN);
    assert_int_equal(life_step(life, LIFE_READY, now_ms, 0), LIFE_NOTHING);
    assert_int_equal(life->state, LIFE_SERVING);
    assert_int_equal(life->due_ms, 0);
}

static void
test_a_death_waits_then_starts_again(void **state)
{
    struct life life = { 0 };

    serve_at(&life, 1000);
    assert_int_equal(life_step(&life, LIFE_DIED, 2000, 0), LIFE_WAIT);
    assert_int_equal(life.state, LIFE_WAITING);
    assert_int_equal(life.due_ms, 2100);
    assert_int_equal(life.restarts, 0);
    assert_int_equal(life_step(&life, LIFE_DUE, 2100, 0), LIFE_SPAWN);
    assert_int_equal(life.state, LIFE_STARTING);
    assert_int_equal(life.restarts, 1);
    assert_int_equal(life.due_ms, 2100 + START_LIMIT_MS);
    assert_int_equal(life_step(&life, LIFE_DIED, 2150, 0), LIFE_WAIT);
    assert_int_equal(life.due_ms, 2150 + 200);
}

static void
test_health_forgives_old_failures(void **state)
{
    struct life life = { 0 };
    int64_t now_ms = 0;

    serve_at(&life, now_ms);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(life_step(&life, LIFE_DIED, now_ms, 0), LIFE_WAIT);
        now_ms = life.due_ms;
        assert_int_equal(life_step(&life, LIFE_DUE, now_ms, 0), LIFE_SPAWN);
    }
    assert_int_equal(life.failures, 5);
    assert_int_equal(life_step(&life, LIFE_READY, now_ms, 0), LIFE_NOTHING);
    assert_int_equal(life_step(&life, LIFE_DIED, now_ms + HEALTHY_MS - 1, 0), LIFE_WAIT);
    assert_int_equal(life.failures, 6);
    now_ms = life.due_ms;
    assert_int_equal(life_step(&life, LIFE_DUE, now_ms, 0), LIFE_SPAWN);
    assert_int_equal(life_step(&life, LIFE_READY, now_ms, 0), LIFE_NOTHING);
    assert_int_equal(life_step(&life, LIFE_DIED, now_ms + HEALTHY_MS, 0), LIFE_WAIT);
    assert_int_equal(life.failures, 1);
    assert_int_equal(life.due_ms, now_ms + HEALTHY_MS + BACKOFF_FIRST_MS);
}

static void
test_a_start_that_takes_too_long_is_killed(void **state)
{
    struct life life = { 0 };

    assert_int_equal(life_step(&life, LIFE_START, 5, 0), LIFE_SPAWN);
    assert_int_equal(life.due_ms, 5 + START_LIMIT_MS);
    assert_int_equal(life_step(&life, LIFE_DUE, 5 + START_LIMIT_MS, 0), LIFE_KILL);
    assert_int_equal(life.state, LIFE_STARTING);
    assert_int_equal(life_step(&life, LIFE_DIED, 6 + START_LIMIT_MS, 0), LIFE_WAIT);
}

static void
test_stop_asks_then_kills_then_forgets(void **state)
{
    struct life life = { 0 };

    serve_at(&life, 0);
    assert_int_equal(life_step(&life, LIFE_STOP, 10, 500), LIFE_SEND_STOP);
    assert_int_equal(life.due_ms, 10 + 500 + KILL_MARGIN_MS);
    assert_int_equal(life_step(&life, LIFE_STOP, 20, 500), LIFE_NOTHING);
    assert_int_equal(life.due_ms, 10 + 500 + KILL_MARGIN_MS);
    assert_int_equal(life_step(&life, LIFE_READY, 21, 0), LIFE_NOTHING);
    assert_int_equal(life.state, LIFE_STOPPING);
    assert_int_equal(life_step(&life, LIFE_DUE, 10 + 500 + KILL_MARGIN_MS, 0), LIFE_KILL);
    assert_int_equal(life_step(&life, LIFE_DIED, 2000, 0), LIFE_FORGET);
    assert_int_equal(life.state, LIFE_GONE);
}

static void
test_stop_of_a_room_that_waits_forgets_at_once(void **state)
{
    struct life life = { 0 };

    serve_at(&life, 0);
    assert_int_equal(life_step(&life, LIFE_DIED, 1, 0), LIFE_WAIT);
    assert_int_equal(life_step(&life, LIFE_STOP, 2, 500), LIFE_FORGET);
    assert_int_equal(life.due_ms, 0);
}

static void
test_a_build_lives_once(void **state)
{
    struct life life = { .kind = LIFE_ONCE };

    assert_int_equal(life_step(&life, LIFE_START, 0, 0), LIFE_SPAWN);
    assert_int_equal(life_step(&life, LIFE_READY, 1, 0), LIFE_NOTHING);
    assert_int_equal(life.state, LIFE_STARTING);
    assert_int_equal(life.due_ms, START_LIMIT_MS);
    assert_int_equal(life_step(&life, LIFE_DIED, 2, 0), LIFE_FORGET);
}

static void
test_links_are_the_same_from_both_sides(void **state)
{
    for (int a = ROLE_SUPERVISOR; a < ROLES; a++)
        for (int b = ROLE_SUPERVISOR; b < ROLES; b++)
            assert_int_equal(rooms_are_linked((enum role)a, (enum role)b, true), rooms_are_linked((enum role)b, (enum role)a, true));
    assert_true(rooms_are_linked(ROLE_GATEWAY, ROLE_WORKER, false));
    assert_true(rooms_are_linked(ROLE_WORKER, ROLE_WORKER, true));
    assert_false(rooms_are_linked(ROLE_WORKER, ROLE_WORKER, false));
    assert_true(rooms_are_linked(ROLE_SCHEDULER, ROLE_WORKER, false));
    assert_true(rooms_are_linked(ROLE_EGRESS, ROLE_CONTROL, false));
    assert_false(rooms_are_linked(ROLE_GATEWAY, ROLE_EGRESS, false));
    assert_false(rooms_are_linked(ROLE_GATEWAY, ROLE_SCHEDULER, false));
    assert_true(rooms_are_linked(ROLE_JOURNAL, ROLE_WORKER, false));
    assert_true(rooms_are_linked(ROLE_JOURNAL, ROLE_CONTROL, false));
    assert_false(rooms_are_linked(ROLE_JOURNAL, ROLE_GATEWAY, false));
    assert_true(rooms_are_linked(ROLE_JOURNAL, ROLE_SCHEDULER, false));
    assert_false(rooms_are_linked(ROLE_JOURNAL, ROLE_EGRESS, false));
}

static void
test_the_gateway_stops_first_and_control_last(void **state)
{
    assert_int_equal(stop_phase(ROLE_GATEWAY), 0);
    assert_true(stop_phase(ROLE_WORKER) < stop_phase(ROLE_EGRESS));
    assert_true(stop_phase(ROLE_SCHEDULER) < stop_phase(ROLE_CONTROL));
    assert_true(stop_phase(ROLE_WORKER) < stop_phase(ROLE_JOURNAL));
    assert_true(stop_phase(ROLE_JOURNAL) < stop_phase(ROLE_CONTROL));
    assert_int_equal(stop_phase(ROLE_CONTROL), STOP_PHASES - 1);
}

static void
test_app_names_stay_inside_their_folder(void **state)
{
    static const char *const good[] = { "demo", "a", "My_App-2.v1" };
    static const char *const bad[] = { "", ".", "..", ".hidden", "a/b", "a\"b", "a b", "ü", "a\nb" };
    char longest[APP_NAME_MAX + 2];

    for (size_t i = 0; i < ARRAY_LEN(good); i++)
        assert_true(app_name_is_valid(bytes_of(good[i])));
    for (size_t i = 0; i < ARRAY_LEN(bad); i++)
        assert_false(app_name_is_valid(bytes_of(bad[i])));
    assert_false(app_name_is_valid(bytes_from("a\0b", 3)));
    memset(longest, 'a', sizeof longest);
    assert_true(app_name_is_valid(bytes_from(longest, APP_NAME_MAX)));
    assert_false(app_name_is_valid(bytes_from(longest, APP_NAME_MAX + 1)));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_backoff_doubles_up_to_its_most),
        cmocka_unit_test(test_a_death_waits_then_starts_again),
        cmocka_unit_test(test_health_forgives_old_failures),
        cmocka_unit_test(test_a_start_that_takes_too_long_is_killed),
        cmocka_unit_test(test_stop_asks_then_kills_then_forgets),
        cmocka_unit_test(test_stop_of_a_room_that_waits_forgets_at_once),
        cmocka_unit_test(test_a_build_lives_once),
        cmocka_unit_test(test_links_are_the_same_from_both_sides),
        cmocka_unit_test(test_the_gateway_stops_first_and_control_last),
        cmocka_unit_test(test_app_names_stay_inside_their_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
