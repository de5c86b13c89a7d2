/* The states of sleep and the policy, without an engine: who goes, when, and in which order. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "src/worker/sleep.h"

static const struct sleep_limits limits = {
    .warm_after_ms = 2000, .stay_ms_max = 16000, .discard_after_ms = 10000, .cold_after_ms = 60000, .stay_warm_ms_max = 360000, .awake_max = 100, .warm_bytes_max = 1000,
};

#define LATER 1000000

static struct sleeper *
next(struct sleep_book *book, int64_t now_ms)
{
    int64_t ms = LATER;

    return sleep_next(book, now_ms, &ms);
}

static int64_t
wait_ms(struct sleep_book *book, int64_t now_ms)
{
    int64_t ms = LATER;

    assert_null(sleep_next(book, now_ms, &ms));
    return ms;
}

static void
start_idle(struct sleep_book *book, struct sleeper *s, int64_t now_ms)
{
    sleep_note(book, s, SLEEP_STARTED, 0, now_ms);
    sleep_idle(book, s, now_ms);
}

static void
test_the_table_is_full(void **state)
{
    unsigned possible = 0;

    for (int s = 0; s < SLEEP_STATES; s++)
        for (int e = 0; e < SLEEP_EVENTS; e++)
            possible += sleep_after((enum sleep_state)s, (enum sleep_event)e) != SLEEP_STATES;
    assert_int_equal(possible, 9);
    for (int s = 0; s < SLEEP_STATES; s++)
        assert_int_equal(sleep_after((enum sleep_state)s, SLEEP_LOST), SLEEP_ABSENT);
    assert_int_equal(sleep_after(SLEEP_WARM, SLEEP_STORED), SLEEP_COLD);
    assert_int_equal(sleep_after(SLEEP_AWAKE, SLEEP_STORED), SLEEP_STATES);
}

static void
test_idle_goes_warm_then_cold(void **state)
{
    struct sleep_book book;
    struct sleeper a = { 0 };

    sleep_book_init(&book, &limits);
    start_idle(&book, &a, 1000);
    assert_int_equal(wait_ms(&book, 1000), 2000);
    assert_int_equal(wait_ms(&book, 2999), 1);
    assert_int_equal(sleep_left_ms(&book, &a, 1500), 1500);
    assert_int_equal(sleep_left_ms(&book, &a, 5000), 0);
    assert_ptr_equal(next(&book, 3000), &a);
    assert_ptr_equal(next(&book, 3000), &a);       /* until it is noted */
    sleep_note(&book, &a, SLEEP_IMAGED, 400, 3001);
    assert_int_equal(book.warm_bytes, 400);
    assert_int_equal(book.count[SLEEP_AWAKE], 0);
    assert_int_equal(book.count[SLEEP_WARM], 1);
    assert_int_equal(wait_ms(&book, 3001), 60000);
    assert_int_equal(sleep_left_ms(&book, &a, 3011), 59990);
    assert_ptr_equal(next(&book, 63001), &a);
    sleep_note(&book, &a, SLEEP_STORED, 0, 63001);
    assert_int_equal(a.state, SLEEP_COLD);
    assert_int_equal(book.warm_bytes, 0);
    assert_int_equal(book.count[SLEEP_WARM], 0);
    assert_int_equal(wait_ms(&book, 999999), LATER);
}

static void
test_a_touch_takes_it_out(void **state)
{
    struct sleep_book book;
    struct sleeper a = { 0 };

    sleep_book_init(&book, &limits);
    start_idle(&book, &a, 1000);
    sleep_touch(&book, &a, 2900);
    assert_int_equal(wait_ms(&book, 900000), LATER);       /* busy for as long as it likes */
    sleep_idle(&book, &a, 900000);
    sleep_idle(&book, &a, 901000);                         /* said twice: since the first time */
    assert_int_equal(a.idle_since_ms, 900000);
    sleep_note(&book, &a, SLEEP_LOST, 0, 901000);
    assert_int_equal(a.state, SLEEP_ABSENT);
    assert_int_equal(book.count[SLEEP_AWAKE], 0);
    assert_int_equal(wait_ms(&book, 999999), LATER);
}

static void
test_a_wake_leaves_the_warm(void **state)
{
    struct sleep_book book;
    struct sleeper a = { 0 };

    sleep_book_init(&book, &limits);
    start_idle(&book, &a, 1000);
    sleep_note(&book, &a, SLEEP_IMAGED, 400, 3000);
    sleep_touch(&book, &a, 9000);
    sleep_note(&book, &a, SLEEP_STARTED, 0, 9000);
    assert_int_equal(book.warm_bytes, 0);
    assert_int_equal(book.count[SLEEP_AWAKE], 1);
    assert_int_equal(wait_ms(&book, 999999), LATER);
    assert_int_equal(a.gap_ms, 8000);
}

/* One usually comes back while its image would have been on disk for a while, one later: the image of the first stays in memory longer. */
static void
test_who_comes_back_soon_stays_warm(void **state)
{
    struct sleep_book book;
    struct sleeper soon = { 0 }, late = { 0 }, once = { 0 };

    sleep_book_init(&book, &limits);
    sleep_recall(&book, &soon, 100000, 0, 1000);
    sleep_recall(&book, &late, 0, 1, 500000);                  /* it idled for 500 s */
    assert_int_equal(late.gap_ms, 499999);
    start_idle(&book, &soon, 500000);
    start_idle(&book, &late, 500000);
    start_idle(&book, &once, 500000);
    sleep_note(&book, &soon, SLEEP_IMAGED, 1, 502000);
    sleep_note(&book, &late, SLEEP_IMAGED, 1, 502001);
    sleep_note(&book, &once, SLEEP_IMAGED, 1, 502002);
    assert_int_equal(wait_ms(&book, 502002), 59999);
    assert_ptr_equal(next(&book, 562001), &late);
    sleep_note(&book, &late, SLEEP_STORED, 0, 562001);
    assert_ptr_equal(next(&book, 562002), &once);
    sleep_defer(&book, &once, 562002);
    assert_int_equal(wait_ms(&book, 562002), 60000);
    assert_int_equal(sleep_left_ms(&book, &once, 562002), 60000);
    assert_int_equal(sleep_left_ms(&book, &soon, 562002), 299998);
    sleep_note(&book, &once, SLEEP_LOST, 0, 562002);
    assert_int_equal(wait_ms(&book, 861999), 1);
    assert_ptr_equal(next(&book, 862000), &soon);
    book.pressure = SLEEP_STARVING;
    assert_ptr_equal(next(&book, 600000), &soon);
}

/* Touched every 5 s: it stays. Touched every 30 s: waiting would be for nothing. */
static void
test_who_is_touched_often_stays(void **state)
{
    struct sleep_book book;
    struct sleeper often = { 0 }, seldom = { 0 };
    int64_t now = 1000;

    sleep_book_init(&book, &limits);
    start_idle(&book, &often, now);
    start_idle(&book, &seldom, now);
    for (int i = 0; i < 6; i++) {
        now += 5000;
        sleep_touch(&book, &often, now);
        sleep_touch(&book, &often, now + 10);
        sleep_idle(&book, &often, now + 20);
        if (i == 5) {
            sleep_touch(&book, &seldom, now);
            sleep_idle(&book, &seldom, now + 20);
        }
    }
    now += 20;
    assert_ptr_equal(next(&book, now + 2000), &seldom);
    sleep_note(&book, &seldom, SLEEP_IMAGED, 1, now + 2000);
    assert_null(next(&book, now + 15999));
    assert_ptr_equal(next(&book, now + 16000), &often);
}

/* A piece of a stream each 3 s: it goes half a second after each, and its gap is that between its requests. */
/* A piece comes AT_MS; A goes after IDLE_MS, not before. */
static void
stir_and_go(struct sleep_book *book, struct sleeper *a, int64_t at_ms, int64_t idle_ms)
{
    sleep_stir(book, a, at_ms);
    if (a->state == SLEEP_WARM)
        sleep_note(book, a, SLEEP_STARTED, 0, at_ms);
    sleep_idle(book, a, at_ms);
    assert_null(next(book, at_ms + idle_ms - 1));
    assert_ptr_equal(next(book, at_ms + idle_ms), a);
}

static void
test_pieces_of_a_stream_keep_nobody(void **state)
{
    struct sleep_book book;
    struct sleeper a = { 0 };
    int64_t now = 1000;

    sleep_book_init(&book, &limits);
    start_idle(&book, &a, now);
    for (int i = 0; i < 5; i++) {
        now += 3000;
        stir_and_go(&book, &a, now, 25);
        sleep_note(&book, &a, SLEEP_IMAGED, 1, now + 25);
    }
    assert_int_equal(a.gap_ms, 0);
    sleep_touch(&book, &a, 31000);
    sleep_note(&book, &a, SLEEP_STARTED, 0, 31000);
    assert_int_equal(a.gap_ms, 30000);
    sleep_idle(&book, &a, 31001);
    assert_null(next(&book, 31001 + limits.warm_after_ms - 1));
    assert_ptr_equal(next(&book, 31001 + limits.warm_after_ms), &a);
}

static void
test_who_was_asked_lately_stays_whatever_it_does_by_itself(void **state)
{
    struct sleep_book book;
    struct sleeper a = { 0 };

    sleep_book_init(&book, &limits);
    start_idle(&book, &a, 1000);
    stir_and_go(&book, &a, 1000 + limits.warm_after_ms - 1, limits.warm_after_ms);
    stir_and_go(&book, &a, 1000 + limits.warm_after_ms + 600, 25);
}

static void
test_quick_pieces_and_open_databases_keep_for_a_moment(void **state)
{
    struct sleep_book book;
    struct sleeper a = { 0 };
    int64_t now = 4000;

    sleep_book_init(&book, &limits);
    start_idle(&book, &a, 1000);
    stir_and_go(&book, &a, now, 25);   /* the first one was long in coming */
    for (int i = 0; i < 20; i++)
        stir_and_go(&book, &a, now += 100, i < 5 ? 25 : limits.warm_after_ms / 4);
    stir_and_go(&book, &a, now += 3000, 25);
    a.is_costly = true;
    stir_and_go(&book, &a, now + 3000, limits.warm_after_ms / 4);
}

static void
test_a_crowd_of_pieces_goes_at_once(void **state)
{
    struct sleep_book book;
    struct sleeper s[70] = { 0 };

    sleep_book_init(&book, &limits);
    for (int i = 0; i < 70; i++)
        start_idle(&book, &s[i], 1000);
    for (int i = 0; i < 70; i++)
        sleep_stir(&book, &s[i], 4000);
    for (int i = 0; i < 70; i++) {
        sleep_idle(&book, &s[i], 4000);
        assert_int_equal(next(&book, 4000) != NULL, i >= 64);
    }
    for (int i = 0; i < 6; i++) {
        assert_ptr_equal(next(&book, 4000), &s[i]);
        sleep_note(&book, &s[i], SLEEP_IMAGED, 1, 4000);
    }
    assert_null(next(&book, 4024));
    assert_ptr_equal(next(&book, 4025), &s[6]);
}

static void
test_bursts_teach_nothing(void **state)
{
    struct sleep_book book;
    struct sleeper a = { 0 };

    sleep_book_init(&book, &limits);
    start_idle(&book, &a, 1000);
    for (int i = 1; i < 50; i++) {
        sleep_touch(&book, &a, 1000 + i * 20);
        sleep_idle(&book, &a, 1001 + i * 20);
    }
    assert_int_equal(a.gap_ms, 0);
}

static void
test_discarders_wait_longer_and_go_without_image(void **state)
{
    struct sleep_book book;
    struct sleeper a = { .discards = true };

    sleep_book_init(&book, &limits);
    start_idle(&book, &a, 1000);
    assert_int_equal(wait_ms(&book, 1000), 10000);
    assert_ptr_equal(next(&book, 11000), &a);
    sleep_note(&book, &a, SLEEP_LOST, 0, 11000);
    assert_int_equal(wait_ms(&book, 11000), LATER);
}

static void
test_pressure_takes_the_longest_idle_first(void **state)
{
    struct sleep_book book;
    struct sleeper s[5] = { 0 };

    sleep_book_init(&book, &limits);
    s[1].discards = true;
    s[2].gap_ms = 5000;                /* of a class of its own */
    for (int i = 0; i < 5; i++)
        start_idle(&book, &s[i], 1000 + i);
    assert_null(next(&book, 1005));
    book.pressure = SLEEP_TIGHT;
    for (int i = 0; i < 5; i++) {
        assert_ptr_equal(next(&book, 1005), &s[i]);
        sleep_note(&book, &s[i], i == 1 ? SLEEP_LOST : SLEEP_IMAGED, 10, 1005 + i);
    }
    assert_null(next(&book, 1010));    /* images stay in memory */
    book.pressure = SLEEP_STARVING;
    assert_ptr_equal(next(&book, 1010), &s[0]);
    sleep_note(&book, &s[0], SLEEP_STORED, 0, 1010);
    assert_ptr_equal(next(&book, 1010), &s[2]);
    book.pressure = SLEEP_AT_EASE;
    assert_null(next(&book, 1010));
}

static void
test_limits_come_before_idle_times(void **state)
{
    struct sleep_limits small = limits;
    struct sleep_book book;
    struct sleeper s[4] = { 0 };

    small.awake_max = 3;
    sleep_book_init(&book, &small);
    for (int i = 0; i < 4; i++)
        start_idle(&book, &s[i], 1000 + i);
    assert_ptr_equal(next(&book, 1004), &s[0]);
    sleep_note(&book, &s[0], SLEEP_IMAGED, 600, 1004);
    assert_null(next(&book, 1004));
    sleep_note(&book, &s[1], SLEEP_IMAGED, 600, 1005);     /* 1,200 bytes are more than 1,000 */
    assert_ptr_equal(next(&book, 1005), &s[0]);
    sleep_note(&book, &s[0], SLEEP_STORED, 0, 1005);
    assert_null(next(&book, 1005));
    assert_int_equal(book.warm_bytes, 600);
}

static void
test_who_cannot_go_now_waits_again(void **state)
{
    struct sleep_book book;
    struct sleeper a = { 0 }, b = { 0 };

    sleep_book_init(&book, &limits);
    start_idle(&book, &a, 1000);
    start_idle(&book, &b, 1001);
    assert_ptr_equal(next(&book, 3001), &a);
    a.discards = true;                 /* its image was refused */
    sleep_defer(&book, &a, 3001);
    assert_ptr_equal(next(&book, 3001), &b);
    sleep_note(&book, &b, SLEEP_IMAGED, 1, 3001);
    assert_null(next(&book, 13000));
    assert_ptr_equal(next(&book, 13001), &a);
    sleep_defer(&book, &a, 13001);
    assert_ptr_equal(next(&book, 70000), &a);
    sleep_note(&book, &a, SLEEP_LOST, 0, 70000);
    assert_ptr_equal(next(&book, 70000), &b);
    sleep_defer(&book, &b, 70000);
    assert_null(next(&book, 129999));
    assert_ptr_equal(next(&book, 130000), &b);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_table_is_full),
        cmocka_unit_test(test_idle_goes_warm_then_cold),
        cmocka_unit_test(test_a_touch_takes_it_out),
        cmocka_unit_test(test_a_wake_leaves_the_warm),
        cmocka_unit_test(test_who_comes_back_soon_stays_warm),
        cmocka_unit_test(test_who_is_touched_often_stays),
        cmocka_unit_test(test_pieces_of_a_stream_keep_nobody),
        cmocka_unit_test(test_who_was_asked_lately_stays_whatever_it_does_by_itself),
        cmocka_unit_test(test_a_crowd_of_pieces_goes_at_once),
        cmocka_unit_test(test_quick_pieces_and_open_databases_keep_for_a_moment),
        cmocka_unit_test(test_bursts_teach_nothing),
        cmocka_unit_test(test_discarders_wait_longer_and_go_without_image),
        cmocka_unit_test(test_pressure_takes_the_longest_idle_first),
        cmocka_unit_test(test_who_cannot_go_now_waits_again),
        cmocka_unit_test(test_limits_come_before_idle_times),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
