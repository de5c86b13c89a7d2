/*
 * store_fault_test — the k-th call of each syscall that writes fails, for every k until a run is left in peace.
 *
 * Oracle: a commit that returned true is there after reopening; what was never committed is not; the database is sound. Then
 * the same store, opened again with a working disk, takes commits.
 */
#include "tests/unit/store_faults.h"

#define TURNS 6

/* One turn: a row whose number is the turn, and enough bytes that closing half-way checkpoints the WAL. */
static bool
turn(struct store *store, int n)
{
    char sql[128];
    uint64_t seq;
    struct err err;

    (void)snprintf(sql, sizeof sql, "insert into t values(%d, zeroblob(100000))", n);
    return (n > 0 || quiet(store, "create table t(a integer primary key, b)")) && quiet(store, sql) &&
           store_commit(store, &seq, &err);
}

/* Runs turns until one fails or all are done; reopens once on the way. Gives the number acknowledged; *out_tried one more. */
static int
scenario(const char *name, int *out_tried)
{
    struct store *store = NULL;
    struct err err;
    int done = 0;

    *out_tried = 0;
    while (done < TURNS) {
        if (store == NULL && !store_open(&store, agent_folder(name), NULL, &err))
            break;
        *out_tried = done + 1;
        if (!turn(store, done))
            break;
        if (++done == TURNS / 2)
            store_close(&store);
    }
    store_close(&store);
    return done;
}

static void
verify(const char *name, int done, int tried, const char *what)
{
    struct store *store = store_must_open(name);
    int64_t rows = 0;
    char expected[64];

    if (run(store, "select 1 from t"))
        rows = number(store, "select count(*) from t");
    if (rows < done || rows > tried)
        fail_msg("%s: %d acknowledged, %d tried, %lld found", what, done, tried, (long long)rows);
    if (rows > 0) {
        (void)snprintf(expected, sizeof expected, "select count(*) from t where a < %lld", (long long)rows);
        assert_int_equal(number(store, expected), rows);
        assert_non_null(strstr(answer(store, "pragma quick_check"), "| ok"));
    }
    /* The disk works again: so does the agent. */
    for (int n = (int)rows; n < (int)rows + 2; n++)
        if (!turn(store, n))
            fail_msg("%s: no commit after reopening", what);
    store_close(&store);
    store = store_must_open(name);
    assert_int_equal(number(store, "select count(*) from t"), rows + 2);
    store_close(&store);
}

static void
each_fault(enum fault_call call, enum fault_mode mode, int sys_errno)
{
    struct err err;
    char what[64];
    char name[64];
    unsigned k;

    for (k = 0; k < 500; k++) {
        int tried;
        int done;
        (void)snprintf(what, sizeof what, "%s %u errno %d mode %d", fault_names[call], k, sys_errno, (int)mode);
        (void)snprintf(name, sizeof name, "%s-%d-%u/victim", fault_names[call], (int)mode, k);   /* folders of its own */
        faults_arm(call, mode, sys_errno, k);
        done = scenario(name, &tried);
        sys_table = real;
        if (mode == FAULT_SHORT)
            assert_int_equal(done, TURNS);               /* a short write is no failure: it is finished */
        verify(name, done, tried, what);
        assert_true(store_remove(agent_folder(name), &err));
        if (!fault.hit)
            break;
    }
    assert_true(k > 0 || call == FAULT_FTRUNCATE);
    assert_true(k < 500);
}

static void
writes_that_fail(void **state)
{
    each_fault(FAULT_PWRITE, FAULT_ONCE, EIO);
    each_fault(FAULT_PWRITE, FAULT_FROM_THEN_ON, ENOSPC);
    each_fault(FAULT_PWRITE, FAULT_SHORT, 0);
}

static void
syncs_that_fail(void **state)
{
    each_fault(FAULT_FDATASYNC, FAULT_ONCE, EIO);
    each_fault(FAULT_FDATASYNC, FAULT_FROM_THEN_ON, ENOSPC);
    each_fault(FAULT_FSYNC, FAULT_ONCE, EIO);
    each_fault(FAULT_FSYNC, FAULT_FROM_THEN_ON, EIO);
}

static void
names_that_fail(void **state)
{
    each_fault(FAULT_OPEN, FAULT_ONCE, EMFILE);
    each_fault(FAULT_OPEN, FAULT_FROM_THEN_ON, ENOSPC);
    each_fault(FAULT_MKDIR, FAULT_ONCE, ENOSPC);
    each_fault(FAULT_FTRUNCATE, FAULT_ONCE, EIO);
}

/* A failed sync is the end of that handle, and of what nobody was told: the frames it may have lost are not built upon. */
static void
a_failed_sync_is_never_asked_again(void **state)
{
    struct store *store = store_must_open("sync");
    struct err err;
    uint64_t seq;

    assert_true(turn(store, 0));
    assert_true(quiet(store, "insert into t values(1, 'x')"));
    faults_arm(FAULT_FDATASYNC, FAULT_ONCE, EIO, 0);
    err_clear(&err);
    assert_false(store_commit(store, &seq, &err));
    assert_int_equal(err.code, ERR_IO);
    assert_int_equal(err.sys_errno, EIO);
    assert_true(store_is_broken(store));
    assert_false(quiet(store, "insert into t values(2, 'x')"));
    assert_false(quiet(store, "select 1"));
    assert_false(store_commit(store, &seq, &err));
    store_close(&store);
    sys_table = real;
    store = store_must_open("sync");
    assert_int_equal(number(store, "select count(*) from t"), 1);
    store_close(&store);
}

/* Control: without the syncs the oracle of the power cut would have nothing to find. Here: they are really asked for. */
static unsigned syncs;

static int
counting_fdatasync(int fd)
{
    syncs++;
    return real.fdatasync(fd);
}

static int
counting_fsync(int fd)
{
    syncs += 100;
    return real.fsync(fd);
}

static void
every_commit_asks_for_one_sync(void **state)
{
    struct store *store = store_must_open("count");
    unsigned first;

    sys_table.fdatasync = counting_fdatasync;
    sys_table.fsync = counting_fsync;
    syncs = 0;
    assert_true(quiet(store, "create table t(a)"));
    (void)commit(store);
    first = syncs;
    assert_int_equal(first % 100, 1);      /* the WAL */
    assert_true(first / 100 >= 2);         /* its folder and the one above */
    for (int i = 0; i < 20; i++) {
        assert_true(quiet(store, "insert into t values(1)"));
        (void)commit(store);
    }
    assert_int_equal(syncs - first, 20);
    assert_true(run(store, "select count(*) from t"));
    (void)commit(store);
    assert_int_equal(syncs - first, 20);   /* reading costs none */
    store_close(&store);
    store = store_must_open("count");
    assert_true(quiet(store, "insert into t values(1)"));
    (void)commit(store);
    assert_int_equal(syncs - first, 21);   /* and the names are known to be there */
    store_close(&store);
    sys_table = real;
}

/* Power stays on here (store_power_test cuts it): thousands of real syncs would only take time. */
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
        cmocka_unit_test(syncs_that_fail),
        cmocka_unit_test(names_that_fail),
        cmocka_unit_test(a_failed_sync_is_never_asked_again),
        cmocka_unit_test(every_commit_asks_for_one_sync),
    };

    sys_table.fsync = no_sync;
    sys_table.fdatasync = no_sync;
    real = sys_table;
    return cmocka_run_group_tests(tests, folder_setup, folder_teardown);
}
