/* base_map_test — lib/base/map.h against a plain array, and the walk that takes while it walks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "lib/base/map.h"

#define KEYS 512

/* A fixed generator: the same run every time. */
static uint32_t
next_random(uint32_t *x)
{
    *x ^= *x << 13;
    *x ^= *x >> 17;
    *x ^= *x << 5;
    return *x;
}

static void
numbers_behave_like_an_array(void **state)
{
    static char values[KEYS];
    void *model[KEYS] = { 0 };
    struct umap *map = umap_create();
    uint32_t x = 12345;
    size_t count = 0;

    for (int step = 0; step < 100000; step++) {
        size_t key = next_random(&x) % KEYS;
        void *value = &values[next_random(&x) % KEYS];
        if (next_random(&x) % 2 == 0) {
            assert_ptr_equal(umap_put(map, key, value), model[key]);
            count += model[key] == NULL;
            model[key] = value;
        } else {
            assert_ptr_equal(umap_take(map, key), model[key]);
            count -= model[key] != NULL;
            model[key] = NULL;
        }
        assert_int_equal(umap_count(map), count);
        assert_ptr_equal(umap_get(map, key), model[key]);
    }
    for (size_t key = 0; key < KEYS; key++)
        assert_ptr_equal(umap_get(map, key), model[key]);
    umap_destroy(&map);
    assert_null(map);
    umap_destroy(&map);
}

static void
texts_behave_like_an_array(void **state)
{
    static char values[KEYS];
    void *model[KEYS] = { 0 };
    struct bmap *map = bmap_create();
    uint32_t x = 777;

    for (int step = 0; step < 50000; step++) {
        size_t key = next_random(&x) % KEYS;
        void *value = &values[next_random(&x) % KEYS];
        char text[32];
        struct bytes name = bytes_from(text, (size_t)snprintf(text, sizeof text, "%zu", key * 7919));
        if (key == 0)
            name = BYTES_NONE; /* the empty key is a key */
        if (next_random(&x) % 2 == 0) {
            assert_ptr_equal(bmap_put(map, name, value), model[key]);
            model[key] = value;
        } else {
            assert_ptr_equal(bmap_take(map, name), model[key]);
            model[key] = NULL;
        }
        assert_ptr_equal(bmap_get(map, name), model[key]);
    }
    bmap_destroy(&map);
}

static void
a_walk_meets_each_entry_once_though_it_takes(void **state)
{
    static int values[KEYS];

    for (size_t n = 0; n < KEYS; n += 7) {
        struct umap *map = umap_create();
        bool seen[KEYS] = { false };
        size_t cursor = 0;
        size_t met = 0;
        uint64_t key;
        void *value;
        for (size_t i = 0; i < n; i++)
            (void)umap_put(map, i, &values[i]);
        while (umap_next(map, &cursor, &key, &value)) {
            assert_true(key < n);
            assert_false(seen[key]);
            assert_ptr_equal(value, &values[key]);
            seen[key] = true;
            met++;
            if (key % 3 != 0)
                assert_ptr_equal(umap_take(map, key), value);
        }
        assert_int_equal(met, n);
        assert_int_equal(umap_count(map), (n + 2) / 3);
        umap_destroy(&map);
    }
}

static void
a_walk_over_texts_meets_each_once(void **state)
{
    struct bmap *map = bmap_create();
    static char value;
    size_t cursor = 0;
    size_t met = 0;
    struct bytes key;
    char text[16];

    for (int i = 0; i < 100; i++)
        assert_null(bmap_put(map, bytes_from(text, (size_t)snprintf(text, sizeof text, "k%d", i)), &value));
    while (bmap_next(map, &cursor, &key, NULL)) {
        assert_true(bytes_has_prefix(key, BYTES_LIT("k")));
        assert_ptr_equal(bmap_take(map, key), &value);
        met++;
    }
    assert_int_equal(met, 100);
    assert_int_equal(bmap_count(map), 0);
    bmap_destroy(&map);
}

static void
a_key_is_copied(void **state)
{
    struct bmap *map = bmap_create();
    static char value;
    char text[] = "abc";

    (void)bmap_put(map, bytes_of(text), &value);
    text[0] = 'x';
    assert_ptr_equal(bmap_get(map, BYTES_LIT("abc")), &value);
    assert_null(bmap_get(map, BYTES_LIT("xbc")));
    bmap_destroy(&map);
}

static void
the_hash_depends_on_every_byte_and_the_seed(void **state)
{
    uint8_t data[24] = { 0 };
    uint64_t base = hash_bytes(bytes_from(data, sizeof data), 1);

    assert_int_equal(base, hash_bytes(bytes_from(data, sizeof data), 1));
    assert_int_not_equal(base, hash_bytes(bytes_from(data, sizeof data), 2));
    assert_int_not_equal(base, hash_bytes(bytes_from(data, sizeof data - 1), 1));
    for (size_t i = 0; i < sizeof data; i++) {
        data[i] = 1;
        assert_int_not_equal(base, hash_bytes(bytes_from(data, sizeof data), 1));
        data[i] = 0;
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_behave_like_an_array),
        cmocka_unit_test(texts_behave_like_an_array),
        cmocka_unit_test(a_walk_meets_each_entry_once_though_it_takes),
        cmocka_unit_test(a_walk_over_texts_meets_each_once),
        cmocka_unit_test(a_key_is_copied),
        cmocka_unit_test(the_hash_depends_on_every_byte_and_the_seed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
