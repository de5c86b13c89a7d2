/* Databases in folders that are not there yet. */
#include "lib/sys/sys.h"
#include "tests/unit/store_helper.h"

static struct sys_table real;
static int looked_for;

static int
counting_stat(int dir, const char *path, struct stat *out, int flags)
{
    looked_for++;
    return real.fstatat(dir, path, out, flags);
}

static void
ignore(void *owner, struct bytes pages, bool more)
{
}

/* One commit, which is durable at once, and copied into db.sqlite. */
static void
commit_and_copy(struct store *store)
{
    struct err err;
    uint64_t seq;

    assert_true(store_commit(store, &seq, &err));
    store_take_pages(store, ignore, NULL);
    store_set_durable(store, seq);
    assert_true(store_checkpoint(store, &err));
}

static struct store *
open_as(const char *name, bool is_new)
{
    const struct store_options options = { .is_journaled = true, .is_new = is_new };
    struct store *store = NULL;
    struct err err;

    assert_true(store_open(&store, agent_folder(name), &options, &err));
    return store;
}

/* Whoever knows that there is no folder opens without another look, and gets the same database. */
static void
nothing_is_looked_for_in_a_new_folder(void **state)
{
    for (int is_new = 0; is_new <= 1; is_new++) {
        const char *name = is_new ? "new" : "unknown";
        struct store *store;

        looked_for = 0;
        sys_table.fstatat = counting_stat;
        store = open_as(name, is_new);
        sys_table = real;
        assert_int_equal(looked_for == 0, is_new);
        assert_true(run(store, "create table t(a)"));
        assert_true(run(store, "insert into t values(7)"));
        commit_and_copy(store);
        store_close(&store);
        store = open_as(name, false);
        assert_int_equal(number(store, "select a from t"), 7);
        store_close(&store);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(nothing_is_looked_for_in_a_new_folder) };

    real = sys_table;
    return cmocka_run_group_tests(tests, folder_setup, folder_teardown);
}
