/* Memory of databases that is kept for the next ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/macros.h"
#include "lib/store/store_blocks.h"
#include "lib/store/store_limits.h"

#define MANY 20000

static uint32_t
next(uint32_t *state)
{
    *state = *state * 1664525u + 1013904223u;
    return *state >> 8;
}

#ifdef __SANITIZE_ADDRESS__
#define KEEPS 0
#else
#define KEEPS 1
#endif

static void
what_is_freed_is_given_again(void **state)
{
    void *first = blocks_take(100), *second;

    blocks_give(first);
    assert_int_equal(blocks_spare(), KEEPS * 128);
    second = blocks_take(120);             /* of the same size */
    if (KEEPS)
        assert_ptr_equal(second, first);
    assert_int_equal(blocks_spare(), 0);
    blocks_give(second);
    blocks_give(NULL);
    blocks_rest();
    assert_int_equal(blocks_spare(), 0);
}

/* Each block is all its owner's, as large as it was asked for. */
static void
blocks_do_not_overlap(void **state)
{
    static struct { uint8_t *data; size_t bytes; uint8_t mark; } held[200];
    uint32_t seed = 7;

    for (int i = 0; i < MANY; i++) {
        const size_t at = next(&seed) % ARRAY_LEN(held);

        for (size_t k = 0; k < held[at].bytes; k++)
            assert_int_equal(held[at].data[k], held[at].mark);
        blocks_give(held[at].data);
        held[at].bytes = next(&seed) % (i % 7 == 0 ? 9000 : 700);
        held[at].mark = (uint8_t)next(&seed);
        held[at].data = blocks_take(held[at].bytes);
        assert_int_equal((uintptr_t)held[at].data % 8, 0);
        memset(held[at].data, held[at].mark, held[at].bytes);
    }
    for (size_t i = 0; i < ARRAY_LEN(held); i++)
        blocks_give(held[i].data);
    blocks_rest();
}

static void
no_more_is_kept_than_the_limit(void **state)
{
    static void *held[2 * STORE_SPARE_BYTES_MAX / 4096];
    size_t kept;

    for (size_t i = 0; i < ARRAY_LEN(held); i++)
        held[i] = blocks_take(4096);
    for (size_t i = 0; i < ARRAY_LEN(held); i++) {
        blocks_give(held[i]);
        assert_true(blocks_spare() <= STORE_SPARE_BYTES_MAX);
    }
    kept = blocks_spare();
    assert_int_equal(kept > STORE_SPARE_BYTES_MAX - 2 * 4096, KEEPS);
    blocks_give(blocks_take(5000));        /* large ones are not kept */
    assert_int_equal(blocks_spare(), kept);
    blocks_rest();
    assert_int_equal(blocks_spare(), 0);
}

static void
slabs_are_bounded(void **state)
{
    static void *held[STORE_SLABS_MAX + 1];

    for (size_t i = 0; i < ARRAY_LEN(held); i++) {
        held[i] = blocks_slab_take();
        assert_int_equal(held[i] != NULL, KEEPS && i < STORE_SLABS_MAX);
        if (held[i] != NULL)
            memset(held[i], (int)i, STORE_SLAB_BYTES);
    }
    for (size_t i = 0; i < ARRAY_LEN(held); i++)
        blocks_slab_give(held[i]);
    assert_int_equal(blocks_spare(), KEEPS * STORE_SLABS_SPARE_MAX * STORE_SLAB_BYTES);
    held[0] = blocks_slab_take();          /* there is one again */
    assert_int_equal(held[0] != NULL, KEEPS);
    blocks_slab_give(held[0]);
    blocks_rest();
    assert_int_equal(blocks_spare(), 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_freed_is_given_again),
        cmocka_unit_test(blocks_do_not_overlap),
        cmocka_unit_test(no_more_is_kept_than_the_limit),
        cmocka_unit_test(slabs_are_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
