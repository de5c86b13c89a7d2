/* ident: the ids are workerd's. The expected ids were printed by workerd with uniqueKey "counter-Counter". */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

#include "lib/ident/ident.h"

static struct ident_key
counter_key(void)
{
    struct ident_key key;

    ident_key_init(&key, BYTES_LIT("counter"), BYTES_LIT("Counter"));
    return key;
}

static void
names_give_workerds_ids(void **state)
{
    static const struct {
        const char *name;
        const char *hex;
    } rows[] = {
        { "ada", "33bea5506d780734250fe94c09d0c57c9b8e44308d7d7829cc0761bd40004331" },
        { "", "fd2686b6179ca9e34aeebf6e50318e179562e9eba2a1514eeef0c81b666bcd14" },
        { "grüße", "0864e548d01fc4b3c05146baf85ab2ca84c50658fd1eabcc6c10895c0d61e7aa" },
    };
    struct ident_key key = counter_key();

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct agent_id id;
        char hex[65];

        ident_from_name(&key, bytes_of(rows[i].name), &id);
        agent_id_to_hex(&id, hex);
        assert_string_equal(hex, rows[i].hex);
        assert_true(ident_is_of(&key, &id));
    }
}

static void
other_namespaces_and_forged_ids_are_refused(void **state)
{
    struct ident_key key = counter_key(), other_class, other_app;
    struct agent_id id;

    ident_key_init(&other_class, BYTES_LIT("counter"), BYTES_LIT("Room"));
    ident_key_init(&other_app, BYTES_LIT("rooms"), BYTES_LIT("Counter"));
    ident_from_name(&key, BYTES_LIT("ada"), &id);
    assert_false(ident_is_of(&other_class, &id));
    assert_false(ident_is_of(&other_app, &id));
    for (size_t i = 0; i < sizeof id.bytes; i++) {
        id.bytes[i] ^= 1;
        assert_false(ident_is_of(&key, &id));
        id.bytes[i] ^= 1;
    }
    assert_true(ident_is_of(&key, &id));
}

static void
new_ids_differ_and_are_valid(void **state)
{
    struct ident_key key = counter_key();
    struct agent_id a, b;

    ident_new(&key, &a);
    ident_new(&key, &b);
    assert_true(ident_is_of(&key, &a));
    assert_true(ident_is_of(&key, &b));
    assert_false(memcmp(&a, &b, sizeof a) == 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_give_workerds_ids),
        cmocka_unit_test(other_namespaces_and_forged_ids_are_refused),
        cmocka_unit_test(new_ids_differ_and_are_valid),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
