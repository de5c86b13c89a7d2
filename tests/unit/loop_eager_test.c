/* loop_eager_test — when an answer is asked for in place of being slept for, and when it is not. Time, kernel and neighbours are the test's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/loop/eager.h"
#include "lib/loop/loop.h"
#include "lib/loop/loop_limits.h"
#include "lib/sys/sys.h"

#define FD 7
#define NEVER INT64_MAX
#define ASK_US 2                           /* what one question takes */

static struct eager eager;
static int64_t now_us, answer_at_us, yield_us;
static int asked, yielded, processors;
static int answer_fd;                      /* or -1: written to when the answer comes */

static int64_t
test_clock(void)
{
    return now_us;
}

static int
test_is_readable(int fd)
{
    asked++;
    now_us += ASK_US;
    if (now_us < answer_at_us)
        return 0;
    if (answer_fd >= 0)
        assert_int_equal(write(answer_fd, "x", 1), 1);
    answer_fd = -1;
    return 1;
}

static void
test_yield(void)
{
    yielded++;
    now_us += yield_us;
}

static int
test_processors(void)
{
    return processors;
}

static int
setup(void **state)
{
    sys_table.clock_mono_us = test_clock;
    sys_table.is_readable = test_is_readable;
    sys_table.yield = test_yield;
    sys_table.processors = test_processors;
    eager = (struct eager){ 0 };
    now_us = 1000000;
    yield_us = 1;
    processors = 2;
    answer_fd = -1;
    return 0;
}

/* One wait for US whose answer comes AFTER_US from now; how often it was asked for. */
static int
wait_for(int64_t us, int64_t after_us)
{
    asked = 0;
    answer_at_us = after_us == NEVER ? NEVER : now_us + after_us;
    eager_wait(&eager, FD, us);
    return asked;
}

static void
an_answer_is_asked_for_until_it_is_there(void **state)
{
    const int64_t began_us = now_us;

    assert_in_range(wait_for(200, 100), 40, 51);
    assert_in_range(now_us - began_us, 100, 110);
    assert_true(wait_for(200, 100) > 0);   /* and so is the next */
}

static void
one_that_does_not_come_is_slept_for_longer_each_time(void **state)
{
    for (int64_t rest_us = EAGER_REST_US_MIN; rest_us < EAGER_REST_US_MAX; rest_us *= 2) {
        const int64_t began_us = now_us;

        assert_true(wait_for(150, NEVER) > 0);
        assert_in_range(now_us - began_us, 150, 150 + 2 * ASK_US);
        now_us += rest_us - 1;
        assert_int_equal(wait_for(150, 0), 0);
        now_us++;
    }
    assert_true(wait_for(150, NEVER) > 0);
    now_us += EAGER_REST_US_MAX;
    assert_true(wait_for(150, 100) > 0);   /* it comes: all is as at first */
    assert_true(wait_for(150, NEVER) > 0);
    now_us += EAGER_REST_US_MIN;
    assert_true(wait_for(150, NEVER) > 0);
}

static void
nobody_asks_for_longer_than_the_limit(void **state)
{
    const int64_t began_us = now_us;

    assert_true(wait_for(60 * 1000 * 1000, NEVER) > 0);
    assert_in_range(now_us - began_us, EAGER_US_MAX, EAGER_US_MAX + 2 * ASK_US);
}

static void
who_wants_the_processor_gets_it(void **state)
{
    yield_us = EAGER_OTHERS_US + 1;
    assert_int_equal(wait_for(200, 0), 0);
    yield_us = 1;
    now_us += EAGER_REST_US_MAX - 1;
    assert_int_equal(wait_for(200, 0), 0);
    now_us++;
    assert_true(wait_for(200, 0) > 0);
}

static void
on_one_processor_nobody_asks(void **state)
{
    processors = 1;
    yielded = 0;
    assert_int_equal(wait_for(200, 0), 0);
    assert_int_equal(yielded, 0);
}

/* ---- in a loop ---- */

static int handled;

static void
on_readable(void *owner, int events)
{
    const int *fd = owner;
    char c;

    assert_int_equal(read(*fd, &c, 1), 1);
    handled++;
}

static void
nothing(void *owner)
{
}

static void
a_loop_asks_before_its_next_wait_only(void **state)
{
    int fds[2];
    struct loop *loop = loop_create();
    struct loop_poll *poll;
    struct loop_hook *idle;

    assert_int_equal(pipe(fds), 0);
    poll = loop_poll_create(loop, fds[0], on_readable, &fds[0]);
    loop_poll_set(poll, LOOP_READABLE);
    idle = loop_idle(loop, nothing, NULL);
    loop_idle_set(idle, true);
    loop_run_once(loop);                   /* libuv tells the kernel of a new descriptor when it waits, and never waits longer before that */
    loop_idle_set(idle, false);
    handled = asked = 0;
    answer_fd = fds[1];
    answer_at_us = now_us + 100;
    loop_expect_soon(loop, 200);
    loop_run_once(loop);
    assert_true(asked > 1);
    assert_int_equal(handled, 1);

    asked = 0;
    assert_int_equal(write(fds[1], "x", 1), 1);
    loop_run_once(loop);                   /* nothing is expected any more */
    assert_int_equal(asked, 0);
    assert_int_equal(handled, 2);

    loop_idle_set(idle, true);
    loop_expect_soon(loop, 200);
    loop_run_once(loop);                   /* who has something to do does not wait at all */
    assert_int_equal(asked, 0);
    loop_hook_destroy(&idle);
    loop_poll_destroy(&poll);
    loop_destroy(&loop);
    (void)close(fds[0]);                   /* the test's own pipe */
    (void)close(fds[1]);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(an_answer_is_asked_for_until_it_is_there, setup),
        cmocka_unit_test_setup(one_that_does_not_come_is_slept_for_longer_each_time, setup),
        cmocka_unit_test_setup(nobody_asks_for_longer_than_the_limit, setup),
        cmocka_unit_test_setup(who_wants_the_processor_gets_it, setup),
        cmocka_unit_test_setup(on_one_processor_nobody_asks, setup),
        cmocka_unit_test_setup(a_loop_asks_before_its_next_wait_only, setup),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
