/*
 * store_fault_journaled_test — the k-th call of each syscall fails under a journaled store, for every k until a run is left in peace.
 *
 * Oracle: a commit that returned true is there afterwards, one that returned false is not; a checkpoint that fails says so, and the
 * store goes on from its WAL; when the disk works again, so does everything. The test's journal never fails.
 */
#include <sqlite3.h>
#include <sys/stat.h>

#include "tests/unit/store_faults.h"

#define TURNS   9
#define FIXTURE "tests/unit/golden/store-wal-file"

static bool
turn(struct store *store, int n)
{
    char sql[128];
    uint64_t seq;
    struct err err;

    (void)snprintf(sql, sizeof sql, "insert into t values(%d, zeroblob(%d))", n, n % 2 == 0 ? 100000 : 100);
    return quiet(store, "create table if not exists t(a integer primary key, b)") && quiet(store, sql) && test_commit(store, &seq, &err);
}

static void
checkpoint_try(struct store *store)
{
    struct err err;

    err_clear(&err);
    if (test_checkpoint(store, &err))
        return;
    assert_true(err.code == ERR_IO || err.code == ERR_DISK_FULL);
    assert_true(err.sys_errno != 0);
    assert_non_null(strstr(err.message, "checkpoint '"));
    assert_false(store_is_checkpointed(store));
    assert_false(store_is_broken(store));
}

/* Turns, checkpoints and reopenings; *out_sum: of the rows' numbers. Gives how many rows were committed. */
static int
scenario(const char *name, int64_t *out_sum)
{
    struct store *store = NULL;
    struct err err;
    int rows = 0;

    *out_sum = 0;
    for (int n = 1; n <= TURNS; n++) {
        if (store == NULL && !test_open(&store, agent_folder(name), NULL, &err)) {
            assert_true(err.code != ERR_NONE && err.code != ERR_CORRUPT);
            continue;
        }
        if (turn(store, n)) {
            rows++;
            *out_sum += n;
        } else {
            store_rollback(store);
        }
        if (n % 2 == 0)
            checkpoint_try(store);
        store_trim(store);                 /* the next turn reads from the file */
        if (n % 3 == 0 || store_is_broken(store))
            test_close(&store);
    }
    test_close(&store);
    return rows;
}

static void
verify(const char *name, int rows, int64_t sum, const char *what)
{
    struct store *store = store_must_open(name);
    struct err err;

    if (rows > 0 && (number(store, "select count(*) from t") != rows || number(store, "select sum(a) from t") != sum))
        fail_msg("%s: %d rows with sum %lld expected", what, rows, (long long)sum);
    store_rollback(store);
    for (int n = 100; n < 102; n++)
        if (!turn(store, n))
            fail_msg("%s: no commit afterwards", what);
    if (!test_checkpoint(store, &err))
        fail_msg("%s: no checkpoint afterwards: %s", what, err.message);
    test_close(&store);
    assert_int_equal(journal_of_folder(agent_folder(name))->redo.len, 0);
    store = store_must_open(name);
    assert_int_equal(number(store, "select count(*) from t"), rows + 2);
    assert_non_null(strstr(answer(store, "pragma quick_check"), "| ok"));
    test_close(&store);
}

static void
each_fault(enum fault_call call, enum fault_mode mode, int sys_errno)
{
    struct err err;
    char what[64];
    char name[64];
    unsigned k;

    for (k = 0; k < 500; k++) {
        int64_t sum;
        int rows;
        (void)snprintf(what, sizeof what, "%s %u errno %d mode %d", fault_names[call], k, sys_errno, (int)mode);
        (void)snprintf(name, sizeof name, "%s-%d-%u/victim", fault_names[call], (int)mode, k);
        faults_arm(call, mode, sys_errno, k);
        rows = scenario(name, &sum);
        sys_table = real;
        if (mode == FAULT_SHORT || !fault.hit)
            assert_int_equal(rows, TURNS);
        verify(name, rows, sum, what);
        assert_true(test_remove(agent_folder(name), &err));
        if (!fault.hit)
            break;
    }
    assert_true(k > 0);
    assert_true(k < 500);
}

static void
writes_that_fail(void **state)
{
    each_fault(FAULT_PWRITE, FAULT_ONCE, EIO);
    each_fault(FAULT_PWRITE, FAULT_FROM_THEN_ON, ENOSPC);
    each_fault(FAULT_PWRITE, FAULT_SHORT, 0);
}

/* A checkpoint that was cut off left more than the database has. */
static void
a_file_that_cannot_be_cut(void **state)
{
    struct store *store = store_must_open("cut");
    char path[224];
    struct stat st;
    int64_t size;
    struct err err;

    assert_true(turn(store, 1));
    assert_true(test_checkpoint(store, &err));
    (void)snprintf(path, sizeof path, "%s/db.sqlite", agent_folder("cut"));
    assert_int_equal(stat(path, &st), 0);
    size = st.st_size;
    assert_int_equal(truncate(path, size + 50000), 0);
    assert_true(turn(store, 3));
    faults_arm(FAULT_FTRUNCATE, FAULT_ONCE, EIO, 0);
    checkpoint_try(store);
    assert_true(fault.hit);
    sys_table = real;
    assert_false(store_is_checkpointed(store));
    assert_true(test_checkpoint(store, &err));
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_size, size);
    test_close(&store);
}

static void
names_that_fail(void **state)
{
    each_fault(FAULT_OPEN, FAULT_ONCE, EMFILE);
    each_fault(FAULT_OPEN, FAULT_FROM_THEN_ON, ENOSPC);
    each_fault(FAULT_MKDIR, FAULT_ONCE, ENOSPC);
}

static void
reads_that_fail(void **state)
{
    each_fault(FAULT_PREAD, FAULT_ONCE, EIO);
    each_fault(FAULT_PREAD, FAULT_FROM_THEN_ON, EIO);
    each_fault(FAULT_PREAD, FAULT_SHORT, 0);
    each_fault(FAULT_FSTAT, FAULT_ONCE, EIO);
}

/* SQLite gets BYTES more than it has now: what fails then is undone, whatever it was. */
static void
memory_that_runs_out(void **state)
{
    struct store *store = store_must_open("memory");
    int64_t rows = 0;
    int failed = 0;
    struct err err;

    assert_true(turn(store, 0));
    rows++;
    for (int64_t bytes = 0; bytes < 400000; bytes += bytes < 40000 ? 97 : 4999) {
        char sql[200];
        uint64_t seq;
        bool ok;
        store_trim(store);
        (void)sqlite3_hard_heap_limit64(sqlite3_memory_used() + bytes);
        (void)snprintf(sql, sizeof sql, "with recursive c(n) as (select 1 union all select n + 1 from c where n < %d)"
                                        " insert into t select null, zeroblob(3000) from c", bytes % 3 == 0 ? 200 : 1);
        ok = store_txn_begin(store, &err) && quiet(store, sql) && store_txn_commit(store, &err);
        ok = ok && test_commit(store, &seq, &err);
        (void)sqlite3_hard_heap_limit64(STORE_HEAP_HARD_BYTES);
        if (ok)
            rows += bytes % 3 == 0 ? 200 : 1;
        failed += !ok;
        store_rollback(store);
        if (store_is_broken(store)) {
            test_close(&store);
            store = store_must_open("memory");
        }
        if (number(store, "select count(*) from t") != rows)
            fail_msg("%lld bytes: not %lld rows", (long long)bytes, (long long)rows);
    }
    assert_true(failed > 20);
    assert_non_null(strstr(answer(store, "pragma quick_check"), "| ok"));
    test_close(&store);
}

/* ---- files of the last release ------------------------------------------------------------------------------------------------ */

static void
taking_in_that_fails(enum fault_call call, int sys_errno)
{
    char command[512];
    char name[64];
    unsigned k;

    for (k = 0; k < 100; k++) {
        struct store *store = NULL;
        struct err err;
        (void)snprintf(name, sizeof name, "former-%s-%d-%u", fault_names[call], sys_errno, k);
        (void)snprintf(command, sizeof command, "mkdir -p '%s' && cp " FIXTURE "/db.sqlite " FIXTURE "/db.sqlite-wal '%s'", agent_folder(name),
                       agent_folder(name));
        assert_int_equal(system(command), 0);
        faults_arm(call, FAULT_FROM_THEN_ON, sys_errno, k);
        err_clear(&err);
        if (!test_open(&store, agent_folder(name), NULL, &err))
            assert_true(err.code == ERR_IO || err.code == ERR_DISK_FULL);
        test_close(&store);
        sys_table = real;
        store = store_must_open(name);
        assert_int_equal(number(store, "select count(*) from t"), 4);
        assert_non_null(strstr(answer(store, "pragma quick_check"), "| ok"));
        test_close(&store);
        if (!fault.hit)
            break;
    }
    assert_true(k > 0);
    assert_true(k < 100);
}

static void
the_last_releases_files_survive_faults(void **state)
{
    static const enum fault_call calls[] = { FAULT_PWRITE, FAULT_FSYNC,  FAULT_FDATASYNC, FAULT_FTRUNCATE,
                                             FAULT_OPEN,   FAULT_PREAD, FAULT_FSTAT,     FAULT_UNLINK };

    for (size_t i = 0; i < ARRAY_LEN(calls); i++) {
        taking_in_that_fails(calls[i], EIO);
        taking_in_that_fails(calls[i], ENOSPC);
    }
}

/* ---- a redo that is written to the file --------------------------------------------------------------------------------------- */

static void
a_long_redo_that_fails_is_done_again(void **state)
{
    static const struct { enum fault_call call; int sys_errno; } faults[] = {
        { FAULT_PWRITE, EIO }, { FAULT_PWRITE, ENOSPC }, { FAULT_OPEN, EMFILE }, { FAULT_MKDIR, ENOSPC },
    };
    struct store *store = store_must_open("long");
    uint64_t seq;
    struct err err;
    int failed = 0;

    assert_true(quiet(store, "create table t(a integer primary key, b)"));
    assert_true(quiet(store, "with recursive c(n) as (select 1 union all select n + 1 from c where n < 2600) insert into t select n, randomblob(4000) from c"));
    assert_true(store_commit(store, &seq, &err));      /* not checkpointed, long as it is */
    test_close(&store);
    for (size_t i = 0; i < ARRAY_LEN(faults); i++) {
        for (unsigned k = 0; k < 170; k += faults[i].call == FAULT_PWRITE ? 23 : 1) {
            faults_arm(faults[i].call, FAULT_ONCE, faults[i].sys_errno, k);
            err_clear(&err);
            if (test_open(&store, agent_folder("long"), NULL, &err)) {
                test_close(&store);
            } else {
                failed++;
                assert_true(err.code == ERR_IO || err.code == ERR_DISK_FULL);
                assert_true(err.sys_errno == faults[i].sys_errno || faults[i].call == FAULT_OPEN);
            }
            sys_table = real;
            if (!fault.hit)
                break;
        }
    }
    assert_true(failed > 10);
    store = store_must_open("long");
    assert_int_equal(number(store, "select count(distinct b) from t"), 2600);
    assert_true(store_is_checkpointed(store));
    test_close(&store);
}

static int
no_sync(int fd)
{
    return 0;
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(writes_that_fail),
        cmocka_unit_test(a_file_that_cannot_be_cut),
        cmocka_unit_test(names_that_fail),
        cmocka_unit_test(reads_that_fail),
        cmocka_unit_test(memory_that_runs_out),
        cmocka_unit_test(the_last_releases_files_survive_faults),
        cmocka_unit_test(a_long_redo_that_fails_is_done_again),
    };
    int failed;

    sys_table.fsync = no_sync;
    sys_table.fdatasync = no_sync;
    real = sys_table;
    test_mode = MODE_JOURNALED;
    failed = cmocka_run_group_tests(tests, folder_setup, folder_teardown);
    journals_free();
    return failed;
}
