/* store_whole_test — a whole database as page sets, be its pages in db.sqlite or in the WAL; and the note that db.sqlite keeps beside its stamp. */
#include <sys/stat.h>

#include "lib/store/store_internal.h"
#include "tests/unit/store_helper.h"
#include "tests/unit/store_taken.h"

/* STORE's image, opened elsewhere as NAME, holds SUM in table t, and is sound. */
static void
assert_image(struct store *store, const char *name, int64_t sum)
{
    struct taken taken = { 0 };
    struct store *copy;
    struct err err;

    err_clear(&err);
    assert_true(store_image(store, taken_add, &taken, &err));
    assert_int_equal(taken.commits, 1);
    assert_true(store_image_bytes(store) > (int64_t)taken.parts - 1);
    copy = open_with(name, buf_view(&taken.bytes), 7);
    assert_int_equal(store_seq(copy), 7);
    assert_int_equal(number(copy, "SELECT sum(v) FROM t"), sum);
    assert_non_null(strstr(answer(copy, "PRAGMA quick_check"), "| ok"));
    store_close(&copy);
    buf_fini(&taken.bytes);
}

static void
commit_away(struct store *store)
{
    struct taken taken = { 0 };

    store_set_durable(store, plain_commit(store));
    store_take_pages(store, taken_add, &taken);
    buf_fini(&taken.bytes);
}

static void
an_image_is_the_whole_database_wherever_its_pages_are(void **state)
{
    struct store *store = open_with("a", BYTES_NONE, 0);
    struct err err;

    err_clear(&err);
    assert_true(store_is_unborn(store));
    exec(store, "CREATE TABLE t (v INTEGER, filler TEXT)");
    exec(store, "WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 400) INSERT INTO t SELECT i, hex(randomblob(2000)) FROM n");
    commit_away(store);
    assert_false(store_is_unborn(store));
    assert_image(store, "in-wal", 80200);
    assert_true(store_checkpoint(store, &err));
    assert_image(store, "in-file", 80200);
    exec(store, "UPDATE t SET v = 0 WHERE v = 200");
    commit_away(store);
    assert_image(store, "in-both", 80000);
    exec(store, "UPDATE t SET v = 1000000");
    assert_image(store, "before-commit", 80000);   /* what is not committed is not of it */
    store_close(&store);
}

static void
the_note_beside_the_stamp_stays_and_sqlite_does_not_see_it(void **state)
{
    const struct store_base note = { .time_s = 0x61626364, .kib = 77, .marks = 3 };
    struct store *store = open_with("a", BYTES_NONE, 0);
    struct taken taken = { 0 };
    struct err err;

    err_clear(&err);
    assert_int_equal(store_base(store).time_s, 0);
    exec(store, "CREATE TABLE t (v INTEGER)");
    commit_away(store);
    store_set_base(store, note);
    assert_true(store_checkpoint(store, &err));
    store_close(&store);
    store = open_with("a", BYTES_NONE, 0);
    assert_int_equal(store_seq(store), 1);
    assert_int_equal(store_base(store).time_s, note.time_s);
    assert_int_equal(store_base(store).kib, note.kib);
    assert_int_equal(store_base(store).marks, note.marks);
    assert_true(store_image(store, taken_add, &taken, &err));
    assert_null(memmem(taken.bytes.data, taken.bytes.len, "abcd", 4));   /* it does not travel */
    buf_fini(&taken.bytes);
    store_close(&store);
}

/* Its pages are where checksums are. */
static void
a_wal_is_emptied_into_the_file(void **state)
{
    struct store *store;
    char wal[200];
    struct stat st;
    struct err err;

    err_clear(&err);
    assert_true(store_open(&store, agent_folder("plain"), NULL, &err));
    exec(store, "CREATE TABLE t (v INTEGER)");
    (void)commit(store);
    (void)snprintf(wal, sizeof wal, "%s/db.sqlite-wal", agent_folder("plain"));
    assert_int_equal(stat(wal, &st), 0);
    assert_true(st.st_size > 0);
    assert_true(store_empty_wal(store, &err));
    store_close(&store);
    assert_true(stat(wal, &st) != 0 || st.st_size == 0);
    assert_true(store_open(&store, agent_folder("plain"), NULL, &err));
    assert_int_equal(number(store, "SELECT count(*) FROM t"), 0);
    store_close(&store);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_image_is_the_whole_database_wherever_its_pages_are, folder_setup, folder_teardown),
        cmocka_unit_test_setup_teardown(the_note_beside_the_stamp_stays_and_sqlite_does_not_see_it, folder_setup, folder_teardown),
        cmocka_unit_test_setup_teardown(a_wal_is_emptied_into_the_file, folder_setup, folder_teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
