/* store_root_test — databases below one folder: a symbolic link on the way to one leads nowhere. */
#include <fcntl.h>
#include <sys/stat.h>

#include "lib/sys/sys.h"
#include "tests/unit/store_helper.h"

/* An agent's database with one row, made and closed. */
static void
database_make(const char *folder)
{
    struct store_cursor *cursor = NULL;
    struct store *store = NULL;
    struct err err = { 0 };
    uint64_t seq;

    assert_true(store_open(&store, folder, NULL, &err));
    assert_true(store_query(store, bytes_of("CREATE TABLE t AS SELECT 7 AS n"), NULL, 0, &cursor, &err));
    store_cursor_close(&cursor);
    assert_true(store_commit(store, &seq, &err));
    store_close(&store);
}

static bool
opens(const char *folder, struct err *err)
{
    struct store *store = NULL;
    bool ok = store_open(&store, folder, NULL, err);

    store_close(&store);
    return ok;
}

static void
a_link_in_place_of_a_folder_is_refused(void **state)
{
    char app[96], other[160], link[160];
    struct err err = { 0 };

    (void)snprintf(app, sizeof app, "%s/app", test_folder);
    (void)snprintf(other, sizeof other, "%s/neighbour/agent", test_folder);
    (void)snprintf(link, sizeof link, "%s/app/agent", test_folder);
    database_make(other);
    assert_int_equal(mkdir(app, 0700), 0);
    assert_int_equal(symlink(other, link), 0);
    assert_true(opens(link, &err));            /* control: without a root it leads there */
    assert_true(store_root_set(app, &err));
    assert_false(opens(link, &err));
    assert_non_null(strstr(err.message, link));
    assert_true(opens(other, &err));           /* elsewhere: as ever */
    assert_int_equal(unlink(link), 0);
    database_make(link);                       /* a folder of its own now */
    assert_true(opens(link, &err));
}

static void
a_root_that_is_not_there_is_said(void **state)
{
    char missing[96];
    struct err err = { 0 };

    (void)snprintf(missing, sizeof missing, "%s/missing", test_folder);
    assert_false(store_root_set(missing, &err));
    assert_non_null(strstr(err.message, missing));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_link_in_place_of_a_folder_is_refused, folder_setup, folder_teardown),
        cmocka_unit_test_setup_teardown(a_root_that_is_not_there_is_said, folder_setup, folder_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
