/*
 * scheduler_clock_test — the room while its wall clock is set: an hour and a year, forth and back, at the worst moments.
 *
 * This program owns the wall clock of its forked child, the scheduler, and is its supervisor, its journal and its worker. Law: no alarm arrives more than a
 * second before its date by the wall clock of that moment, none is lost, and a retry keeps its delay, whatever the date says meanwhile.
 */
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "src/scheduler/scheduler_limits.h"
#include "src/scheduler/scheduler_shell.h"
#include "tests/unit/room_rig.h"

#define WAIT_MS       60000                /* a hang fails the test, never a slow machine */
#define EARLY_MS_MAX  1000                 /* src/scheduler/room.md */
#define AGENTS        16
#define HOUR_MS       3600000LL
#define YEAR_MS       (365 * 24 * HOUR_MS)
#define LONG_MS       (5 * YEAR_MS)        /* further away than any step */

/* One agent each. */
enum { SOON, IN_HALF_A_STEP, FAILS_BEFORE, FAILS_AFTER, LOST_AFTER, FAR, PROBE, READY_EARLY };

struct arrival {
    unsigned times;
    uint32_t call, retry;
    int64_t  due_ms;                       /* what the agent asked for last */
    int64_t  mono_ms;                      /* of the last arrival */
};

static int64_t *step_ms;                   /* shared with the room */
static char folder[64];
static struct link *supervisor, *journal, *worker;
static unsigned ready;
static uint64_t last_lsn;
static const char *app;                    /* whose alarms are set */
static struct arrival arrivals[AGENTS];

static int64_t (*real_wall_us)(void);

static int64_t
stepped_wall_us(void)
{
    return real_wall_us() + __atomic_load_n(step_ms, __ATOMIC_SEQ_CST) * 1000;
}

static void
step_by(int64_t delta_ms)
{
    (void)__atomic_add_fetch(step_ms, delta_ms, __ATOMIC_SEQ_CST);
}

static bool
on_message(void *owner, struct link *link, uint16_t type, struct bytes payload, struct err *err)
{
    struct msg_CALL call;

    ready += type == MSG_READY;
    if (type == MSG_CALL) {
        struct arrival *one;
        assert_true(msg_CALL_unpack(&call, payload, err));
        assert_in_range(call.agent.bytes[7], 0, AGENTS - 1);
        one = &arrivals[call.agent.bytes[7]];
        /* A retry follows its own delay. */
        if (one->times == 0 && clock_wall_ms() < one->due_ms - EARLY_MS_MAX)
            fail_msg("alarm %d is %lld ms early", call.agent.bytes[7], (long long)(one->due_ms - clock_wall_ms()));
        one->times++;
        one->call = call.call;
        one->retry = call.n2;
        one->mono_ms = clock_mono_ms();
    }
    if (type == MSG_ALARM_PACE) {
        struct msg_ALARM_PACE pace;
        assert_true(msg_ALARM_PACE_unpack(&pace, payload, err));
        msg_ALARM_PACE_pack(link_out(link), &pace);
    }
    return true;
}

static void
on_closed(void *owner, struct link *link, const struct err *err)
{
}

static const struct link_events events = { .message = on_message, .closed = on_closed };

static void
worker_join(void)
{
    worker = rig_link(rig_introduce(supervisor, ROLE_WORKER, 0, "shop"), ROLE_WORKER, 0, "shop", &events, NULL);
}

static int
setup(void **state)
{
    static char name[] = "dormouse-scheduler";
    static char index[] = "0";
    char *argv[] = { name, index, NULL };
    char conf[128];

    (void)snprintf(folder, sizeof folder, "/tmp/dormouse-clock-XXXXXX");
    if (mkdtemp(folder) == NULL)
        return -1;
    *step_ms = 0;
    ready = 0;
    last_lsn = 0;
    app = "shop";
    memset(arrivals, 0, sizeof arrivals);
    rig_open(WAIT_MS);
    supervisor = rig_link(rig_fork(2, argv, &scheduler_room), ROLE_SUPERVISOR, 0, "", &events, NULL);
    (void)snprintf(conf, sizeof conf, "{\"data\":\"%s\"}", folder);
    msg_CONF_pack(link_out(supervisor), &(struct msg_CONF){ bytes_of(conf) });
    RUN_UNTIL(ready == 1);
    journal = rig_link(rig_introduce(supervisor, ROLE_JOURNAL, 0, ""), ROLE_JOURNAL, 0, "", &events, NULL);
    msg_ALARM_FEED_pack(link_out(journal), &(struct msg_ALARM_FEED){ .lsn = 0 });
    worker_join();
    return 0;
}

static int
teardown(void **state)
{
    char command[96];

    (void)kill(child, SIGKILL);
    (void)waitpid(child, NULL, 0);
    link_destroy(&worker);
    link_destroy(&journal);
    link_destroy(&supervisor);
    rig_close();
    (void)snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command);
}

static void
alarm_set(uint8_t n, int64_t due_ms)
{
    struct msg_ALARM_CHANGED set = { .lsn = ++last_lsn, .app = bytes_of(app), .agent = { { [7] = n, [31] = 1 } }, .due_ms = due_ms,
                                     .class_name = BYTES_LIT("Clock"), .name = BYTES_LIT("ada") };

    arrivals[n].due_ms = due_ms;
    msg_ALARM_CHANGED_pack(link_out(journal), &set);
}

/* Written now: the room reads it before, or together with, what is sent on another link later. */
static void
answer(uint8_t n, uint16_t status)
{
    msg_REPLY_pack(link_out(worker), &(struct msg_REPLY){ .call = arrivals[n].call, .status = status, .slot = SLOT_NONE });
    link_flush(worker);
}

/* An alarm that is running now. */
static void
start(uint8_t n)
{
    alarm_set(n, clock_wall_ms() - 1);
    RUN_UNTIL(arrivals[n].times == 1);
}

/* The first retry of N, FROM_MS after the failure, comes after 2 to 2.5 s, not sooner, and not when the date says. */
static void
retry_comes(uint8_t n, int64_t from_ms, unsigned retry)
{
    int64_t delay_ms;

    RUN_UNTIL(arrivals[n].times == 2);
    delay_ms = arrivals[n].mono_ms - from_ms;
    if (delay_ms < ALARM_BACKOFF_FIRST_S * 1000 - EARLY_MS_MAX)
        fail_msg("the retry of alarm %d came after %lld ms", n, (long long)delay_ms);
    assert_int_equal(arrivals[n].retry, retry);
    answer(n, 200);
}

/* The clock is set by DELTA while an alarm waits, while one waits for its retry, and just before one fails and one loses its worker. */
static void
set_the_clock(int64_t delta_ms)
{
    int64_t failed_ms;

    alarm_set(FAR, clock_wall_ms() + LONG_MS);
    alarm_set(IN_HALF_A_STEP, clock_wall_ms() + (delta_ms > 0 ? delta_ms / 2 : 500));
    start(FAILS_BEFORE);
    start(FAILS_AFTER);
    start(LOST_AFTER);
    failed_ms = clock_mono_ms();
    answer(FAILS_BEFORE, 202);
    start(PROBE);                          /* the room has read the answer */
    step_by(delta_ms);
    answer(FAILS_AFTER, 202);
    alarm_set(SOON, clock_wall_ms() + 50);
    RUN_UNTIL(arrivals[SOON].times == 1);
    link_destroy(&worker);                 /* LOST_AFTER, and PROBE and SOON */
    worker_join();
    retry_comes(FAILS_BEFORE, failed_ms, 1);
    retry_comes(FAILS_AFTER, failed_ms, 1);
    retry_comes(LOST_AFTER, failed_ms, 0);
    if (delta_ms < 0) {
        assert_int_equal(arrivals[IN_HALF_A_STEP].times, 0);
        step_by(-delta_ms);
    }
    RUN_UNTIL(arrivals[IN_HALF_A_STEP].times >= 1);
    assert_int_equal(arrivals[FAR].times, 0);
    step_by(LONG_MS);
    RUN_UNTIL(arrivals[FAR].times == 1);
}

static void
an_hour_forth(void **state)
{
    set_the_clock(HOUR_MS);
}

static void
an_hour_back(void **state)
{
    set_the_clock(-HOUR_MS);
}

static void
a_year_forth(void **state)
{
    set_the_clock(YEAR_MS);
}

static void
a_year_back(void **state)
{
    set_the_clock(-YEAR_MS);
}

/* Due by a clock that was wrong, and not started because its worker is away: by the right clock it has to wait. */
static void
an_alarm_that_was_ready_waits_again(void **state)
{
    struct link *other;

    alarm_set(READY_EARLY, clock_wall_ms() + HOUR_MS);
    link_destroy(&worker);
    step_by(2 * HOUR_MS);
    /* Another app's worker shows that the room has read the clock: its alarm comes. */
    other = rig_link(rig_introduce(supervisor, ROLE_WORKER, 0, "mill"), ROLE_WORKER, 0, "mill", &events, NULL);
    worker = other;
    app = "mill";
    start(PROBE);
    app = "shop";
    assert_int_equal(arrivals[READY_EARLY].times, 0);
    step_by(-2 * HOUR_MS);
    worker_join();
    start(SOON);
    assert_int_equal(arrivals[READY_EARLY].times, 0);
    step_by(HOUR_MS);
    RUN_UNTIL(arrivals[READY_EARLY].times == 1);
    link_destroy(&other);
}

/* A strobing clock: alarms keep coming, none is early. */
static void
a_clock_that_does_not_rest(void **state)
{
    for (unsigned turn = 0; turn < 200; turn++) {
        uint8_t n = (uint8_t)(turn % 8);
        unsigned before = arrivals[n].times;
        step_by(turn % 2 == 0 ? 288000 : -288000);
        alarm_set(n, clock_wall_ms() + turn % 3);
        RUN_UNTIL(arrivals[n].times > before);
        answer(n, 200);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_hour_forth, setup, teardown),
        cmocka_unit_test_setup_teardown(an_hour_back, setup, teardown),
        cmocka_unit_test_setup_teardown(a_year_forth, setup, teardown),
        cmocka_unit_test_setup_teardown(a_year_back, setup, teardown),
        cmocka_unit_test_setup_teardown(an_alarm_that_was_ready_waits_again, setup, teardown),
        cmocka_unit_test_setup_teardown(a_clock_that_does_not_rest, setup, teardown),
    };

    step_ms = mmap(NULL, sizeof *step_ms, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (step_ms == MAP_FAILED)
        return 1;
    real_wall_us = sys_table.clock_wall_us;
    sys_table.clock_wall_us = stepped_wall_us;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
