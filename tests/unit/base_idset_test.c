/* base_idset_test — lib/base/idset.h against a plain array: ids come, stay and go while it grows and shrinks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/idset.h"

#define IDS 600

static uint32_t
next_random(uint32_t *x)
{
    *x ^= *x << 13;
    *x ^= *x >> 17;
    *x ^= *x << 5;
    return *x;
}

/* Never all zero; the first ones differ from zero in their last byte only. */
static const uint8_t *
id_of(uint32_t n)
{
    static uint8_t id[IDSET_ID_BYTES];

    memset(id, 0, sizeof id);
    id[IDSET_ID_BYTES - 1] = (uint8_t)(n % 255 + 1);
    id[0] = (uint8_t)(n / 255);
    return id;
}

static void
check_all(const struct idset *set, const bool *model)
{
    for (uint32_t i = 0; i < IDS; i++)
        assert_int_equal(idset_has(set, id_of(i)), model[i]);
}

static void
ids_behave_like_an_array(void **state)
{
    static bool model[IDS];
    struct idset *set = idset_create();
    uint32_t x = 99;
    size_t count = 0;

    for (int step = 0; step < 60000; step++) {
        uint32_t i = next_random(&x) % IDS;
        bool adds = next_random(&x) % 8 < (step / 6000 % 2 == 0 ? 6u : 1u);   /* crowds come and go */

        if (adds)
            idset_add(set, id_of(i));
        else
            idset_remove(set, id_of(i));
        count += (size_t)adds - (size_t)model[i];
        model[i] = adds;
        assert_int_equal(idset_count(set), count);
        if (step % 500 == 0)
            check_all(set, model);
    }
    check_all(set, model);
    for (uint32_t i = 0; i < IDS; i++)
        idset_remove(set, id_of(i));
    assert_int_equal(idset_count(set), 0);
    idset_destroy(&set);
    assert_null(set);
    idset_destroy(&set);
}

static void
nothing_is_never_in_it(void **state)
{
    static const uint8_t zero[IDSET_ID_BYTES];
    struct idset *set = idset_create();

    idset_add(set, id_of(1));
    assert_false(idset_has(set, zero));
    idset_remove(set, zero);
    assert_int_equal(idset_count(set), 1);
    idset_destroy(&set);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_behave_like_an_array),
        cmocka_unit_test(nothing_is_never_in_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
