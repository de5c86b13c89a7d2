/* loop_loop_test — timers on a test clock, descriptors, hooks. No test waits for real time to pass. */
#include <setjmp.h>
#include <stdarg.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/loop/loop.h"
#include "lib/sys/sys.h"

static int64_t test_time_us;
static struct loop *loop;
static char log_text[128];

static int64_t
test_clock(void)
{
    return test_time_us;
}

static int
setup(void **state)
{
    test_time_us = 1000000;
    sys_table.clock_mono_us = test_clock;
    loop = loop_create();
    log_text[0] = '\0';
    return 0;
}

static int
teardown(void **state)
{
    loop_destroy(&loop);
    assert_null(loop);
    return 0;
}

static void
note(char c)
{
    size_t len = strlen(log_text);

    assert_true(len + 1 < sizeof log_text);
    log_text[len] = c;
    log_text[len + 1] = '\0';
}

/* An owner that is noted as one letter. */
#define LETTER(text) ((void *)(uintptr_t)(text))

static void
note_owner(void *owner)
{
    note(*(const char *)owner);
}

static void
spin(void *owner)
{
}

/* Runs iterations without ever waiting. */
static void
run_iterations(int n)
{
    struct loop_hook *idle = loop_idle(loop, spin, NULL);

    loop_idle_set(idle, true);
    for (int i = 0; i < n; i++)
        loop_run_once(loop);
    loop_hook_destroy(&idle);
}

static void
timers_fire_by_due_time_then_order(void **state)
{
    struct loop_timer *a = loop_timer_create(loop, note_owner, LETTER("a"));
    struct loop_timer *b = loop_timer_create(loop, note_owner, LETTER("b"));
    struct loop_timer *c = loop_timer_create(loop, note_owner, LETTER("c"));
    struct loop_timer *d = loop_timer_create(loop, note_owner, LETTER("d"));

    loop_timer_arm(a, 30);
    loop_timer_arm(b, 10);
    loop_timer_arm(c, 10);
    loop_timer_arm(d, 5);
    loop_timer_disarm(d);
    run_iterations(3);
    assert_string_equal(log_text, "");
    test_time_us += 10 * 1000;
    loop_timer_arm(d, 0); /* makes the loop look at the clock */
    run_iterations(3);
    assert_string_equal(log_text, "bcd");
    loop_timer_arm(a, 0);
    run_iterations(3);
    assert_string_equal(log_text, "bcda");
    test_time_us += 1000 * 1000;
    loop_timer_arm(d, 0);
    run_iterations(3);
    assert_string_equal(log_text, "bcdad");
    loop_timer_destroy(&a);
    loop_timer_destroy(&b);
    loop_timer_destroy(&c);
    loop_timer_destroy(&d);
}

static struct loop_timer *again;
static int again_count;

static void
arm_again(void *owner)
{
    again_count++;
    loop_timer_arm(again, 0);
}

static void
a_timer_that_rearms_at_zero_fires_once_per_iteration(void **state)
{
    again = loop_timer_create(loop, arm_again, NULL);
    again_count = 0;
    loop_timer_arm(again, 0);
    for (int i = 0; i < 5; i++)
        loop_run_once(loop);
    assert_in_range(again_count, 4, 5);
    loop_timer_destroy(&again);
}

static struct loop_timer *victim;

static void
destroy_victim(void *owner)
{
    note('k');
    loop_timer_destroy(&victim);
}

static void
a_timer_may_destroy_another(void **state)
{
    struct loop_timer *killer = loop_timer_create(loop, destroy_victim, NULL);

    victim = loop_timer_create(loop, note_owner, LETTER("v"));
    loop_timer_arm(killer, 0);
    loop_timer_arm(victim, 0);
    run_iterations(3);
    assert_string_equal(log_text, "k");
    loop_timer_destroy(&killer);
}

static void
many_timers_keep_their_order(void **state)
{
    struct loop_timer *timers[100];
    static const char letters[] = "0123456789";

    for (size_t i = 0; i < 100; i++) {
        timers[i] = loop_timer_create(loop, note_owner, (void *)&letters[(i * 37 % 100) / 10]);
        loop_timer_arm(timers[i], i * 37 % 100);
    }
    for (size_t i = 0; i < 100; i += 2)
        loop_timer_disarm(timers[i]);
    test_time_us += 200 * 1000;
    loop_timer_arm(timers[0], 500);
    victim = loop_timer_create(loop, note_owner, LETTER("!"));
    loop_timer_arm(victim, 0);
    run_iterations(2);
    assert_string_equal(log_text, "00000111112222233333444445555566666777778888899999!");
    loop_timer_destroy(&victim);
    for (size_t i = 0; i < 100; i++)
        loop_timer_destroy(&timers[i]);
}

static void
stop_loop(void *owner)
{
    loop_stop(owner);
}

static void
timers_fire_on_the_real_clock(void **state)
{
    struct loop_timer *timer;

    sys_table.clock_mono_us = *state;
    timer = loop_timer_create(loop, stop_loop, loop);
    loop_timer_arm(timer, 1);
    loop_run(loop);
    loop_timer_destroy(&timer);
}

static int pipe_fds[2];

static void
on_readable(void *owner, int events)
{
    char c;

    assert_int_equal(events, LOOP_READABLE);
    assert_int_equal(sys_read(pipe_fds[0], &c, 1), 1);
    note(c);
    if (c == '!')
        loop_stop(loop);
}

static void
a_descriptor_reports_until_it_is_paused(void **state)
{
    struct loop_poll *poll;

    assert_int_equal(pipe2(pipe_fds, O_CLOEXEC), 0);
    poll = loop_poll_create(loop, pipe_fds[0], on_readable, NULL);
    loop_poll_set(poll, LOOP_READABLE);
    assert_true(sys_write_all(pipe_fds[1], "ab!cd", 5));
    loop_run(loop);
    assert_string_equal(log_text, "ab!");
    loop_poll_set(poll, 0);
    run_iterations(3);
    assert_string_equal(log_text, "ab!");
    loop_poll_destroy(&poll);
    sys_close(pipe_fds[0]);
    sys_close(pipe_fds[1]);
}

static void
hooks_run_in_order_and_writers_last(void **state)
{
    struct loop_hook *w = loop_before_wait_ordered(loop, LOOP_HOOK_WRITE, note_owner, LETTER("w"));
    struct loop_hook *a = loop_before_wait(loop, note_owner, LETTER("a"));
    struct loop_hook *b = loop_before_wait(loop, note_owner, LETTER("b"));

    run_iterations(2);
    assert_string_equal(log_text, "abwabw");
    loop_hook_destroy(&a);
    run_iterations(1);
    assert_string_equal(log_text, "abwabwbw");
    loop_hook_destroy(&b);
    loop_hook_destroy(&w);
}

static struct loop_hook *next_hook;

static void
destroy_next_hook(void *owner)
{
    note('k');
    loop_hook_destroy(&next_hook);
}

static void
a_hook_may_destroy_another(void **state)
{
    struct loop_hook *killer = loop_before_wait(loop, destroy_next_hook, NULL);

    next_hook = loop_before_wait(loop, note_owner, LETTER("v"));
    run_iterations(2);
    assert_string_equal(log_text, "kk");
    loop_hook_destroy(&killer);
}

static void
on_signal(void *owner, int signo)
{
    assert_int_equal(signo, SIGUSR1);
    note('s');
    loop_stop(loop);
}

static void
a_signal_reaches_its_hook(void **state)
{
    struct loop_hook *hook = loop_signal(loop, SIGUSR1, on_signal, NULL);

    assert_int_equal(raise(SIGUSR1), 0);
    loop_run(loop);
    assert_string_equal(log_text, "s");
    loop_hook_destroy(&hook);
}

static void
a_loop_stopped_before_it_ran_can_be_destroyed(void **state)
{
    loop_stop(loop);
    loop_destroy(&loop);
    assert_null(loop);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(timers_fire_by_due_time_then_order, setup, teardown),
        cmocka_unit_test_setup_teardown(a_timer_that_rearms_at_zero_fires_once_per_iteration, setup, teardown),
        cmocka_unit_test_setup_teardown(a_timer_may_destroy_another, setup, teardown),
        cmocka_unit_test_setup_teardown(many_timers_keep_their_order, setup, teardown),
        cmocka_unit_test_prestate_setup_teardown(timers_fire_on_the_real_clock, setup, teardown,
                                                 (void *)sys_table.clock_mono_us),
        cmocka_unit_test_setup_teardown(a_descriptor_reports_until_it_is_paused, setup, teardown),
        cmocka_unit_test_setup_teardown(hooks_run_in_order_and_writers_last, setup, teardown),
        cmocka_unit_test_setup_teardown(a_hook_may_destroy_another, setup, teardown),
        cmocka_unit_test_setup_teardown(a_signal_reaches_its_hook, setup, teardown),
        cmocka_unit_test_setup_teardown(a_loop_stopped_before_it_ran_can_be_destroyed, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
