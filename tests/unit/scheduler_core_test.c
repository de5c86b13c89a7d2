/* scheduler_core_test — every row of the alarms' law, admission, moved clocks, and a long random run against the invariants. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/sys/sys.h"
#include "src/scheduler/scheduler_core.h"
#include "src/scheduler/scheduler_limits.h"
#include "src/scheduler/scheduler_scans.h"

#define T0 1000000000LL

static struct agent_id
id_of(uint32_t n)
{
    struct agent_id id = { { 0 } };

    for (int i = 0; i < 4; i++)
        id.bytes[4 + i] = (uint8_t)(n >> (24 - 8 * i));
    id.bytes[31] = 1;
    return id;
}

static void
set(struct core *core, uint32_t n, int64_t due_ms)
{
    struct alarm_spec spec = { .app = BYTES_LIT("app"), .class_name = BYTES_LIT("Agent"), .name = BYTES_LIT("ada"),
                               .agent = id_of(n), .due_ms = due_ms };

    assert_true(core_set(core, &spec));
    core_check(core);
}

static struct core *
core_with_worker(void)
{
    struct core *core = core_create();

    core_worker_up(core, BYTES_LIT("app"), 0);
    return core;
}

/* The next alarm, which its worker reads at once. */
static struct alarm *
start_and_read(struct core *core, int64_t now_ms)
{
    struct alarm *alarm = core_start(core, now_ms);

    if (alarm != NULL)
        assert_true(core_read(core, bytes_of(core_app_name(alarm->app)), alarm->slot, alarm->ordinal));
    return alarm;
}

static struct alarm *
must_start(struct core *core, int64_t now_ms)
{
    struct alarm *alarm = start_and_read(core, now_ms);

    assert_non_null(alarm);
    core_check(core);
    return alarm;
}

static void
keep_all(struct core *core)
{
    struct alarm *alarm;

    while ((alarm = core_changed(core)) != NULL)
        core_kept(core, alarm);
    core_committed(core);
}

static void
what_the_disk_did_not_take_has_changed_still(void **state)
{
    struct core *core = core_with_worker();
    struct alarm *first, *second;

    set(core, 1, T0);
    set(core, 2, T0 + 1);
    first = core_changed(core);
    core_kept(core, first);
    second = core_changed(core);
    assert_ptr_not_equal(first, second);
    core_kept(core, second);
    assert_null(core_changed(core));
    core_undone(core);
    assert_ptr_equal(core_changed(core), first);
    core_kept(core, first);
    assert_ptr_equal(core_changed(core), second);
    keep_all(core);
    assert_null(core_changed(core));
    core_undone(core);
    assert_null(core_changed(core));

    /* One that is gone is there until the disk knows. */
    first = must_start(core, T0);
    core_end(core, first, OUTCOME_DONE, T0, 0);
    core_kept(core, first);
    core_undone(core);
    assert_ptr_equal(core_changed(core), first);
    assert_int_equal(first->state, ALARM_GONE);
    keep_all(core);
    assert_int_equal(core_count(core), 1);
    core_check(core);
    core_destroy(&core);
}

static void
an_alarm_fires_at_its_time_and_is_gone(void **state)
{
    struct core *core = core_with_worker();
    struct alarm *alarm;

    set(core, 1, T0);
    assert_null(core_start(core, T0 - 1));
    assert_int_equal(core_wait_ms(core, T0 - 7), 7);
    assert_int_equal(core_wait_ms(core, T0 + 7), 0);
    alarm = must_start(core, T0);
    assert_int_equal(alarm->due_ms, T0);
    assert_int_equal(alarm->counted, 0);
    assert_null(core_start(core, T0 + 100));
    core_end(core, alarm, OUTCOME_DONE, T0 + 5, 0);
    assert_ptr_equal(core_changed(core), alarm);
    assert_int_equal(alarm->state, ALARM_GONE);
    keep_all(core);
    assert_int_equal(core_count(core), 0);
    assert_int_equal(core_wait_ms(core, T0), -1);
    core_destroy(&core);
}

/* Fails the running alarm and gives the delay until its next start. */
static int64_t
fail_once(struct core *core, struct alarm **alarm, enum alarm_outcome outcome, int64_t *now_ms, uint64_t chance)
{
    int64_t delay_ms;

    core_end(core, *alarm, outcome, *now_ms, chance);
    core_check(core);
    delay_ms = (*alarm)->fire_ms - *now_ms;
    assert_null(core_start(core, (*alarm)->fire_ms - 1));
    *now_ms = (*alarm)->fire_ms;
    *alarm = must_start(core, *now_ms);
    return delay_ms;
}

static void
six_counted_retries_then_none(void **state)
{
    struct core *core = core_with_worker();
    int64_t now_ms = T0;
    struct alarm *alarm;

    set(core, 1, T0);
    alarm = must_start(core, T0);
    for (unsigned n = 0; n < 6; n++) {
        assert_int_equal(fail_once(core, &alarm, OUTCOME_FAILED, &now_ms, 0), 2000 << n);
        assert_int_equal(alarm->counted, n + 1);
        assert_int_equal(alarm->due_ms, T0);
    }
    core_end(core, alarm, OUTCOME_FAILED, now_ms, 0);
    assert_int_equal(alarm->state, ALARM_GONE);
    keep_all(core);
    assert_int_equal(core_count(core), 0);
    core_destroy(&core);
}

static void
jitter_is_a_quarter_at_most(void **state)
{
    for (uint64_t chance = 0; chance < 5000; chance++) {
        struct core *core = core_with_worker();
        struct alarm *alarm;
        int64_t delay_ms;

        set(core, 1, T0);
        alarm = must_start(core, T0);
        core_end(core, alarm, OUTCOME_FAILED, T0, chance * 0x9e3779b97f4a7c15ULL);
        delay_ms = alarm->fire_ms - T0;
        assert_in_range(delay_ms, 2000, 2500);
        core_destroy(&core);
    }
}

static void
failures_of_ours_are_never_counted(void **state)
{
    struct core *core = core_with_worker();
    int64_t now_ms = T0;
    struct alarm *alarm;

    set(core, 1, T0);
    alarm = must_start(core, T0);
    for (unsigned n = 0; n < 30; n++) {
        int64_t expected = 2000LL << (n < 9 ? n : 9);
        assert_int_equal(fail_once(core, &alarm, OUTCOME_LOST, &now_ms, 0), expected);
        assert_int_equal(alarm->counted, 0);
    }
    /* The handler's first failure after them starts with the shortest delay. */
    assert_int_equal(fail_once(core, &alarm, OUTCOME_FAILED, &now_ms, 0), 2000);
    assert_int_equal(fail_once(core, &alarm, OUTCOME_FAILED, &now_ms, 0), 4000);
    for (unsigned n = 2; n < 6; n++)
        (void)fail_once(core, &alarm, OUTCOME_FAILED, &now_ms, 0);
    assert_int_equal(alarm->counted, 6);
    /* Not even after six counted ones does a failure of ours end it. */
    (void)fail_once(core, &alarm, OUTCOME_LOST, &now_ms, 0);
    core_end(core, alarm, OUTCOME_FAILED, now_ms, 0);
    assert_int_equal(alarm->state, ALARM_GONE);
    core_destroy(&core);
}

static void
giving_up_is_at_once(void **state)
{
    struct core *core = core_with_worker();
    struct alarm *alarm;

    set(core, 1, T0);
    alarm = must_start(core, T0);
    core_end(core, alarm, OUTCOME_GIVE_UP, T0, 0);
    assert_int_equal(alarm->state, ALARM_GONE);
    core_destroy(&core);
}

static void
set_while_running_runs_after_instead_of_a_retry(void **state)
{
    static const enum alarm_outcome outcomes[] = { OUTCOME_DONE, OUTCOME_FAILED, OUTCOME_GIVE_UP, OUTCOME_LOST };

    for (size_t i = 0; i < ARRAY_LEN(outcomes); i++) {
        struct core *core = core_with_worker();
        struct alarm *alarm;

        set(core, 1, T0);
        alarm = must_start(core, T0);
        set(core, 1, T0 + 500);
        assert_null(core_start(core, T0 + 1000));   /* one delivery per agent */
        core_end(core, alarm, outcomes[i], T0 + 1000, 0);
        alarm = must_start(core, T0 + 1000);
        assert_int_equal(alarm->due_ms, T0 + 500);
        assert_int_equal(alarm->counted, 0);
        core_destroy(&core);
    }
}

static void
taken_back_while_running_ends_with_it(void **state)
{
    struct core *core = core_with_worker();
    struct alarm *alarm;

    set(core, 1, T0);
    alarm = must_start(core, T0);
    set(core, 1, T0 + 50);
    set(core, 1, 0);
    core_end(core, alarm, OUTCOME_FAILED, T0, 0);
    assert_int_equal(alarm->state, ALARM_GONE);
    keep_all(core);

    set(core, 1, T0);
    alarm = must_start(core, T0);
    set(core, 1, 0);
    set(core, 1, T0 + 60);                 /* and set again: that one stands */
    core_end(core, alarm, OUTCOME_DONE, T0, 0);
    assert_int_equal(alarm->fire_ms, T0 + 60);
    core_destroy(&core);
}

static void
setting_again_starts_over(void **state)
{
    struct core *core = core_with_worker();
    struct alarm *alarm;

    set(core, 1, T0);
    alarm = must_start(core, T0);
    core_end(core, alarm, OUTCOME_FAILED, T0, 0);
    set(core, 1, T0 + 100);
    alarm = must_start(core, T0 + 100);
    assert_int_equal(alarm->counted, 0);
    core_end(core, alarm, OUTCOME_FAILED, T0 + 100, 0);
    set(core, 1, 0);
    assert_null(core_start(core, T0 + 100000));
    set(core, 1, T0 + 200);                /* before the disk heard that it was gone */
    assert_int_equal(core_count(core), 1);
    assert_non_null(core_start(core, T0 + 200));
    core_destroy(&core);
}

static void
alarms_wait_for_their_worker(void **state)
{
    struct core *core = core_create();
    struct alarm *alarm;

    set(core, 1, T0);
    set(core, 2, T0);
    assert_null(core_start(core, T0 + 5));
    assert_int_equal(core_wait_ms(core, T0 + 5), -1);
    core_worker_up(core, BYTES_LIT("app"), 1);
    core_worker_up(core, BYTES_LIT("app"), 0);
    alarm = must_start(core, T0 + 5);
    assert_int_equal(alarm->slot, agent_id_slot(&alarm->agent, 2));
    alarm = must_start(core, T0 + 5);
    assert_int_equal(alarm->slot, agent_id_slot(&alarm->agent, 2));
    core_worker_down(core, BYTES_LIT("app"), alarm->slot);
    core_end(core, alarm, OUTCOME_LOST, T0 + 5, 0);
    assert_null(core_start(core, T0 + 5000));      /* its worker is the only one that may run it */
    core_worker_up(core, BYTES_LIT("app"), alarm->slot);
    assert_ptr_equal(core_start(core, T0 + 5000), alarm);
    core_destroy(&core);
}

static void
the_number_of_workers_is_learned_anew(void **state)
{
    struct core *core = core_create();
    struct alarm *alarm;
    int started = 0;

    for (uint16_t i = 0; i < 4; i++)
        core_worker_up(core, BYTES_LIT("app"), i);
    for (uint16_t i = 0; i < 4; i++)
        core_worker_down(core, BYTES_LIT("app"), i);
    for (uint32_t n = 0; n < 20; n++)
        set(core, n, T0);
    assert_null(core_start(core, T0));
    core_worker_up(core, BYTES_LIT("app"), 0);
    while ((alarm = start_and_read(core, T0)) != NULL) {
        assert_int_equal(alarm->slot, 0);
        started++;
    }
    assert_int_equal(started, 20);
    core_check(core);
    core_destroy(&core);
}

static void
ten_thousand_at_once_are_spread(void **state)
{
    struct core *core = core_with_worker();
    struct alarm **running = calloc(10000, sizeof *running);
    int64_t now_ms = T0;
    size_t started = 0;

    for (uint32_t n = 0; n < 10000; n++)
        set(core, n, T0);
    while (started < ALARMS_IN_FLIGHT_MAX) {
        struct alarm *alarm;
        unsigned burst = 0;
        while ((alarm = start_and_read(core, now_ms)) != NULL) {
            running[started++] = alarm;
            burst++;
        }
        assert_in_range(burst, 1, ALARMS_FRESH_MAX);
        now_ms += core_wait_ms(core, now_ms) < 0 ? 1 : core_wait_ms(core, now_ms);
    }
    assert_true(now_ms - T0 < 4000);
    assert_int_equal(core_wait_ms(core, now_ms), -1);
    /* Those that end make room at once. */
    core_end(core, running[0], OUTCOME_DONE, now_ms + 30, 0);
    assert_int_equal(core_wait_ms(core, now_ms + 30) , 20);
    assert_non_null(core_start(core, now_ms + 30));
    assert_null(core_start(core, now_ms + 30));
    core_check(core);
    free(running);
    core_destroy(&core);
}

static void
a_slow_worker_gets_what_it_can_read(void **state)
{
    struct core *core = core_with_worker();

    for (uint32_t n = 0; n < 100; n++)
        set(core, n, T0);
    for (unsigned n = 1; n <= ALARMS_UNREAD_MAX; n++)
        assert_int_equal(core_start(core, T0)->ordinal, n);
    assert_null(core_start(core, T0 + 10000));
    assert_int_equal(core_wait_ms(core, T0 + 10000), -1);    /* only its word gives it room */
    assert_false(core_read(core, BYTES_LIT("app"), 0, ALARMS_UNREAD_MAX + 1));
    assert_true(core_read(core, BYTES_LIT("app"), 0, ALARMS_PACE));
    assert_int_equal(core_wait_ms(core, T0 + 10000), 0);
    for (unsigned n = 0; n < ALARMS_PACE; n++)
        assert_non_null(core_start(core, T0 + 10000));
    assert_null(core_start(core, T0 + 10000));
    core_check(core);
    core_worker_down(core, BYTES_LIT("app"), 0);
    core_worker_up(core, BYTES_LIT("app"), 0);               /* a new one has read everything that it was sent: nothing */
    assert_int_equal(core_start(core, T0 + 20000)->ordinal, 1);
    core_check(core);
    core_destroy(&core);
}

static void
a_moved_clock_moves_delays_not_dates(void **state)
{
    struct core *core = core_with_worker();
    struct alarm *alarm;

    set(core, 1, T0);
    set(core, 2, T0 + 3600000);
    alarm = must_start(core, T0);
    core_end(core, alarm, OUTCOME_FAILED, T0, 0);
    core_clock_stepped(core, -1800000);
    core_check(core);
    assert_int_equal(alarm->fire_ms, T0 + 2000 - 1800000);
    assert_ptr_equal(must_start(core, T0 + 2000 - 1800000), alarm);
    assert_null(core_start(core, T0 + 3599999));
    assert_non_null(core_start(core, T0 + 3600000));
    core_destroy(&core);
}

static void
a_loaded_alarm_keeps_its_count(void **state)
{
    struct core *core = core_create();
    struct alarm_spec spec = { .app = BYTES_LIT("app"), .class_name = BYTES_LIT("Agent"), .agent = id_of(5), .due_ms = T0, .counted = 3 };
    struct alarm *alarm;

    assert_true(core_load(core, &spec));
    assert_null(core_changed(core));
    core_worker_up(core, BYTES_LIT("app"), 0);
    alarm = must_start(core, T0 + 99999);  /* overdue: at once */
    assert_int_equal(alarm->counted, 3);
    core_end(core, alarm, OUTCOME_FAILED, T0 + 99999, 0);
    assert_int_equal(alarm->fire_ms - (T0 + 99999), 2000 << 3);
    core_destroy(&core);
}

static void
another_apps_alarms_are_not_starved(void **state)
{
    struct core *core = core_with_worker();
    struct alarm_spec spec = { .app = BYTES_LIT("other"), .class_name = BYTES_LIT("Agent"), .agent = id_of(1), .due_ms = T0 };
    bool seen = false;

    for (uint32_t n = 0; n < 1000; n++)
        set(core, n, T0 - 1);
    assert_true(core_set(core, &spec));
    core_worker_up(core, BYTES_LIT("other"), 0);
    for (int i = 0; i < 3; i++)
        seen |= strcmp(core_app_name(must_start(core, T0)->app), "other") == 0;
    assert_true(seen);
    core_destroy(&core);
}

static void
found(struct core *core, uint32_t n, int64_t due_ms)
{
    struct alarm_spec spec = { .app = BYTES_LIT("app"), .class_name = BYTES_LIT("Agent"), .agent = id_of(n), .due_ms = due_ms };

    assert_true(core_found(core, &spec));
    core_check(core);
}

static void
the_answer_and_the_feed_may_come_in_either_order(void **state)
{
    static const struct { size_t fed_count; int64_t fed[3]; enum alarm_outcome outcome; int64_t left_ms; } cases[] = {
        { 1, { 0 }, OUTCOME_DONE, 0 },                    /* the handler ended well: its alarm is gone */
        { 1, { T0 + 9000 }, OUTCOME_DONE, T0 + 9000 },    /* … and set the next one */
        { 1, { T0 + 9000 }, OUTCOME_FAILED, T0 + 9000 },  /* … or set it and failed */
        { 1, { T0 + 9000 }, OUTCOME_LOST, T0 + 9000 },
        { 1, { 0 }, OUTCOME_GIVE_UP, 0 },
        { 1, { 0 }, OUTCOME_FAILED, 0 },                  /* taken back before it failed */
        { 2, { 0, T0 + 9000 }, OUTCOME_DONE, T0 + 9000 }, /* moved before the worker looked */
        { 2, { T0 + 7000, 0 }, OUTCOME_DONE, 0 },
        { 3, { T0 + 7000, 0, T0 + 9000 }, OUTCOME_LOST, T0 + 9000 },
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        size_t fed = cases[i].fed_count;

        for (size_t before = 0; before <= fed; before++) {       /* how much of the feed is heard before the answer */
            struct core *core = core_with_worker();
            struct alarm *alarm;

            set(core, 1, T0);
            alarm = must_start(core, T0);
            for (size_t k = 0; k < before; k++)
                set(core, 1, cases[i].fed[k]);
            core_end(core, alarm, cases[i].outcome, T0 + 10, 0);
            keep_all(core);
            for (size_t k = before; k < fed; k++)
                set(core, 1, cases[i].fed[k]);
            keep_all(core);
            assert_int_equal(core_count(core), cases[i].left_ms != 0);
            if (cases[i].left_ms != 0) {
                assert_null(core_start(core, cases[i].left_ms - 1));
                alarm = must_start(core, cases[i].left_ms);
                assert_int_equal(alarm->due_ms, cases[i].left_ms);
                assert_int_equal(alarm->counted, 0);
            }
            core_destroy(&core);
        }
    }
}

static void
a_found_alarm_counts_unless_the_feed_told(void **state)
{
    struct core *core = core_with_worker();
    struct alarm_spec loaded = { .app = BYTES_LIT("app"), .class_name = BYTES_LIT("Agent"), .name = BYTES_LIT("ada"), .agent = id_of(3),
                                 .due_ms = T0 + 50, .counted = 2 };
    struct alarm *alarm;

    found(core, 1, T0);                    /* the index has none */
    set(core, 2, T0 + 70);
    found(core, 2, T0 + 1);                /* read before the feed told */
    assert_true(core_load(core, &loaded));
    found(core, 3, T0 + 50);               /* known: its count stays */
    assert_int_equal(must_start(core, T0)->agent.bytes[7], 1);
    assert_null(core_start(core, T0 + 49));
    alarm = must_start(core, T0 + 50);
    assert_int_equal(alarm->counted, 2);
    assert_int_equal(must_start(core, T0 + 70)->agent.bytes[7], 2);
    core_destroy(&core);
}

static void
a_doubtful_index_believes_what_is_found(void **state)
{
    struct core *core = core_with_worker();
    struct alarm *alarm;

    set(core, 1, T0 + 1000);
    set(core, 2, T0);
    alarm = must_start(core, T0);          /* 2 runs while changes are missed */
    core_doubt(core);
    found(core, 1, T0 + 5);
    found(core, 2, T0 + 6);
    assert_int_equal(must_start(core, T0 + 5)->agent.bytes[7], 1);
    core_end(core, alarm, OUTCOME_DONE, T0 + 5, 0);
    assert_int_equal(must_start(core, T0 + 6)->due_ms, T0 + 6);
    core_destroy(&core);

    core = core_with_worker();             /* the feed tells again: that counts more than a scan */
    set(core, 1, T0 + 1000);
    core_doubt(core);
    set(core, 1, T0 + 20);
    found(core, 1, T0 + 5);
    assert_null(core_start(core, T0 + 19));
    alarm = must_start(core, T0 + 20);
    core_doubt(core);
    set(core, 1, 0);                       /* also when it tells that there is none */
    found(core, 1, T0 + 5);
    core_end(core, alarm, OUTCOME_DONE, T0 + 20, 0);
    assert_null(core_start(core, T0 + 90));
    core_destroy(&core);
}

static void
an_app_is_scanned_when_all_its_workers_told(void **state)
{
    struct scans *scans = scans_create();
    struct bytes app = BYTES_LIT("app"), other = BYTES_LIT("other");
    uint32_t number = scans_number(scans);

    assert_false(scans_told(scans, app, number, 0, 3));
    assert_false(scans_told(scans, app, number, 0, 3));        /* twice is once */
    assert_false(scans_told(scans, app, number, 1, 3));
    assert_false(scans_has(scans, app));
    assert_true(scans_told(scans, app, number, 2, 3));
    assert_true(scans_has(scans, app));
    assert_false(scans_told(scans, app, number, 2, 3));        /* not news */
    assert_false(scans_has(scans, other));
    assert_false(scans_told(scans, other, number, 0, 2));
    assert_false(scans_told(scans, other, number, 1, 4));      /* shared out anew: 0 of 2 does not count */
    assert_false(scans_told(scans, other, number, 0, 4));
    assert_false(scans_told(scans, other, number, 9, 4));      /* nonsense */
    assert_false(scans_told(scans, other, number, 0, 0));
    assert_false(scans_told(scans, other, number + 1, 2, 4));
    assert_false(scans_told(scans, other, number, 2, 4));
    scans_forget_all(scans);
    assert_false(scans_has(scans, app));
    assert_int_not_equal(scans_number(scans), number);
    assert_false(scans_told(scans, other, number, 3, 4));      /* of a scan that began before */
    assert_false(scans_told(scans, app, number, 0, 1));
    assert_true(scans_told(scans, app, scans_number(scans), 0, 1));
    scans_put(scans, other);
    assert_true(scans_has(scans, other));
    scans_forget(scans, other);
    assert_false(scans_has(scans, other));
    assert_true(scans_has(scans, app));
    scans_destroy(&scans);
}

/* Any order of events keeps the invariants, and in the end every alarm that still stands has fired. */
static void
random_runs_lose_nothing(void **state)
{
    uint64_t seed = 1;

    for (int round = 0; round < 200; round++) {
        struct core *core = core_with_worker();
        struct alarm *running[64];
        size_t count = 0;
        int64_t now_ms = T0;

        for (int step = 0; step < 400; step++) {
            struct alarm *alarm;
            seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
            switch ((seed >> 33) % 6) {
            case 0:
            case 1:
                set(core, (uint32_t)(seed >> 40) % 20, now_ms + (int64_t)((seed >> 20) % 5000));
                break;
            case 2:
                set(core, (uint32_t)(seed >> 40) % 20, 0);
                break;
            case 3:
                now_ms += (int64_t)((seed >> 20) % 3000);
                if (count < ARRAY_LEN(running) && (alarm = start_and_read(core, now_ms)) != NULL)
                    running[count++] = alarm;
                break;
            case 4:
                if (count > 0)
                    core_end(core, running[--count], (enum alarm_outcome)((seed >> 40) % 5), now_ms, seed);
                break;
            default:
                keep_all(core);
                break;
            }
            core_check(core);
        }
        while (count > 0)
            core_end(core, running[--count], OUTCOME_DONE, now_ms, seed);
        for (int i = 0; i < 100000 && core_wait_ms(core, now_ms) >= 0; i++) {
            struct alarm *alarm = start_and_read(core, now_ms);
            if (alarm != NULL)
                core_end(core, alarm, OUTCOME_DONE, now_ms, seed);
            else
                now_ms += core_wait_ms(core, now_ms);
        }
        keep_all(core);
        assert_int_equal(core_count(core), 0);
        core_destroy(&core);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_alarm_fires_at_its_time_and_is_gone),
        cmocka_unit_test(what_the_disk_did_not_take_has_changed_still),
        cmocka_unit_test(six_counted_retries_then_none),
        cmocka_unit_test(jitter_is_a_quarter_at_most),
        cmocka_unit_test(failures_of_ours_are_never_counted),
        cmocka_unit_test(giving_up_is_at_once),
        cmocka_unit_test(set_while_running_runs_after_instead_of_a_retry),
        cmocka_unit_test(taken_back_while_running_ends_with_it),
        cmocka_unit_test(setting_again_starts_over),
        cmocka_unit_test(alarms_wait_for_their_worker),
        cmocka_unit_test(the_number_of_workers_is_learned_anew),
        cmocka_unit_test(ten_thousand_at_once_are_spread),
        cmocka_unit_test(a_slow_worker_gets_what_it_can_read),
        cmocka_unit_test(a_moved_clock_moves_delays_not_dates),
        cmocka_unit_test(a_loaded_alarm_keeps_its_count),
        cmocka_unit_test(another_apps_alarms_are_not_starved),
        cmocka_unit_test(the_answer_and_the_feed_may_come_in_either_order),
        cmocka_unit_test(a_found_alarm_counts_unless_the_feed_told),
        cmocka_unit_test(a_doubtful_index_believes_what_is_found),
        cmocka_unit_test(an_app_is_scanned_when_all_its_workers_told),
        cmocka_unit_test(random_runs_lose_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
