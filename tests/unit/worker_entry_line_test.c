/* worker_entry_line_test — the order in which events of the app's entry begin, against a plain list that is searched. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "src/worker/entry_line.h"
#include "src/worker/peer.h"
#include "src/worker/worker.h"

#define EVENTS 400
#define STEPS  20000

struct one {
    struct event event;
    struct call  call;
    bool         is_in;
    unsigned     came;                     /* the how manieth */
};

static char known_url[] = "GET http://a/known", other_url[] = "GET http://a/other";

static void
agent_make(struct agent *a, bool is_entry)
{
    memset(a, 0, sizeof *a);
    a->is_entry = is_entry;
    list_init(&a->queue);
    worker.warm_ms = 1000000;
    entry_line_answered(&(struct call){ .kind = CALL_ENTRY, .about = known_url });
}

/* An event of ORDER, as what makes it one of that order comes. */
static void
one_make(struct one *one, enum event_order order)
{
    memset(one, 0, sizeof *one);
    one->event.call = &one->call;
    one->event.is_outside = order != EVENT_BEGUN;
    one->call = (struct call){ .kind = CALL_ENTRY, .about = order == EVENT_KNOWN ? known_url : other_url,
                               .side = order == EVENT_BEGUN ? SIDE_OUTGOING : SIDE_INCOMING };
}

/* What shall come first: of the highest order, who came first. */
static struct one *
soonest(struct one *ones)
{
    struct one *best = NULL;

    for (size_t i = 0; i < EVENTS; i++)
        if (ones[i].is_in && (best == NULL || ones[i].event.order > best->event.order ||
                              (ones[i].event.order == best->event.order && ones[i].came < best->came)))
            best = &ones[i];
    return best;
}

static void
the_order_is_that_of_a_search(void **state)
{
    static struct one ones[EVENTS];
    unsigned came = 0, random = 7;
    size_t count = 0;
    struct agent a;

    agent_make(&a, true);
    memset(ones, 0, sizeof ones);
    for (unsigned step = 0; step < STEPS; step++) {
        struct one *one;

        random = random * 1103515245 + 12345;
        one = &ones[(random >> 16) % EVENTS];
        if (one->is_in) {                  /* also out of the middle, as a call's end takes its events */
            entry_line_remove(&a, &one->event);
            one->is_in = false;
            count--;
            assert_int_equal(one->call.queued, 0);
        } else {
            enum event_order order = (random >> 8) % EVENT_ORDERS;

            one_make(one, order);
            one->came = came++;
            entry_line_add(&a, &one->event);
            one->is_in = true;
            count++;
            assert_int_equal(one->event.order, order);
            assert_int_equal(one->call.queued, 1);
        }
        assert_int_equal(a.queued, count);
        assert_ptr_equal(list_first(&a.queue, struct event, in_queue), soonest(ones) == NULL ? NULL : &soonest(ones)->event);
    }
    for (struct one *one; (one = soonest(ones)) != NULL; one->is_in = false) {
        assert_ptr_equal(list_first(&a.queue, struct event, in_queue), &one->event);
        entry_line_remove(&a, &one->event);
    }
    assert_int_equal(a.queued, 0);
    for (unsigned order = 0; order < EVENT_ORDERS; order++)
        assert_null(a.line_last[order]);
}

/* An answer in pieces that comes to an empty queue: its first piece is begun work, too, and no later one may overtake it. */
static void
begun_is_first_come_first_served_from_the_first(void **state)
{
    struct one first, second;
    struct agent a;

    agent_make(&a, true);
    one_make(&first, EVENT_BEGUN);
    one_make(&second, EVENT_BEGUN);
    entry_line_add(&a, &first.event);
    entry_line_add(&a, &second.event);
    assert_ptr_equal(list_first(&a.queue, struct event, in_queue), &first.event);
}

static void
others_have_a_part_of_the_turns(void **state)
{
    struct one known[8], other;
    unsigned turns_of_other = 0;
    struct agent a;

    agent_make(&a, true);
    for (size_t i = 0; i < 8; i++) {
        one_make(&known[i], EVENT_KNOWN);
        entry_line_add(&a, &known[i].event);
    }
    one_make(&other, EVENT_OTHER);
    entry_line_add(&a, &other.event);
    for (size_t i = 0; i < 8; i++)
        turns_of_other += entry_line_next(&a, &known[0].event) == &other.event;
    assert_int_equal(turns_of_other, 2);
}

static void
other_agents_take_what_comes(void **state)
{
    struct one begun, outside;
    struct agent a;

    agent_make(&a, false);
    one_make(&outside, EVENT_OTHER);
    one_make(&begun, EVENT_BEGUN);
    entry_line_add(&a, &outside.event);
    entry_line_add(&a, &begun.event);
    assert_ptr_equal(list_first(&a.queue, struct event, in_queue), &outside.event);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_order_is_that_of_a_search),
        cmocka_unit_test(begun_is_first_come_first_served_from_the_first),
        cmocka_unit_test(others_have_a_part_of_the_turns),
        cmocka_unit_test(other_agents_take_what_comes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
