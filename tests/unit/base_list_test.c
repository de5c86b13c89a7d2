/* base_list_test — intrusive lists: order, removal while walking, nested walks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "lib/base/list.h"

struct item {
    int value;
    struct list_node node;
};

static void
items_keep_their_order(void **state)
{
    struct list_node head;
    struct item a = { .value = 1 }, b = { .value = 2 }, c = { .value = 3 };

    list_init(&head);
    assert_true(list_is_empty(&head));
    assert_null(list_first(&head, struct item, node));
    list_push_back(&head, &b.node);
    list_push_back(&head, &c.node);
    list_push_front(&head, &a.node);
    assert_ptr_equal(list_first(&head, struct item, node), &a);
    assert_true(list_is_linked(&b.node));
    list_remove(&b.node);
    assert_false(list_is_linked(&b.node));
    list_remove(&b.node); /* again: nothing happens */
    assert_ptr_equal(a.node.next, &c.node);
    assert_ptr_equal(c.node.prev, &a.node);
}

static void
a_walk_may_remove_and_nest(void **state)
{
    struct list_node head;
    struct item items[5];
    struct item *outer;
    struct item *inner;
    int pairs = 0;
    int left = 0;

    list_init(&head);
    for (int i = 0; i < 5; i++) {
        items[i] = (struct item){ .value = i };
        list_push_back(&head, &items[i].node);
    }
    list_each (outer, &head, struct item, node)
        list_each (inner, &head, struct item, node)
            pairs += outer->value < inner->value;
    assert_int_equal(pairs, 10);
    list_each (outer, &head, struct item, node)
        if (outer->value % 2 == 0)
            list_remove(&outer->node);
    list_each (outer, &head, struct item, node) {
        assert_int_equal(outer->value % 2, 1);
        left++;
    }
    assert_int_equal(left, 2);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(items_keep_their_order),
        cmocka_unit_test(a_walk_may_remove_and_nest),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
