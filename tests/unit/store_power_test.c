/*
 * store_power_test — power cuts: what was not synced may be lost, in any part.
 *
 * A run is recorded at the door to the kernel: names made, bytes written, files cut, files and folders synced. Then, for
 * every moment of it, disks are built as a power cut could leave them: synced things are there, each other name and each other
 * 512 bytes by the toss of a coin. Oracle: on every such disk the database opens, is sound, has every acknowledged commit and
 * no commit that nobody asked for; and takes new ones. Control: with syncs ignored the same oracle must find losses.
 */
#include "lib/store/store_internal.h"
#include "tests/unit/store_disk.h"

#define PLAIN_ROWS 24

enum mark { MARK_ACK, MARK_TRY };          /* how many rows */

/* ---- what is recorded ------------------------------------------------------------------------------------------------------ */

static bool
insert(struct store *store, int n, int bytes)
{
    char sql[128];

    (void)snprintf(sql, sizeof sql, "insert into t values(%d, zeroblob(%d))", n, bytes);
    return quiet(store, sql);
}

/* Checkpoints after 12 pages, so that the WAL starts over several times in a session. */
static struct store *
open_hasty(void)
{
    struct store *store = store_must_open("agent");

    (void)sqlite3_wal_autocheckpoint(store->db, 12);
    return store;
}

/* A life: a first commit whose folder sync fails, small and large turns, checkpoints at closing and on the way. */
static void
life(void)
{
    struct store *store = store_must_open("agent");
    uint64_t seq;
    struct err err;
    int n = 0;

    fsync_of_folder_fails = true;
    mark_add(MARK_TRY, 1);
    assert_true(run(store, "create table t(a integer primary key, b)"));
    assert_true(insert(store, n, 10));
    assert_false(store_commit(store, &seq, &err));
    fsync_of_folder_fails = false;
    store_close(&store);
    store = open_hasty();
    /* What was not acknowledged is there or not; here, without a power cut, it is. */
    n = run(store, "select 1 from t") ? (int)number(store, "select count(*) from t") : -1;
    assert_int_equal(n, 1);
    for (; n < PLAIN_ROWS; n++) {
        mark_add(MARK_TRY, n + 1);
        assert_true(insert(store, n, n % 7 == 0 ? 270000 : n % 3 == 0 ? 9000 : 100));
        (void)commit(store);
        mark_add(MARK_ACK, n + 1);
        if (n % 8 == 7) {
            store_close(&store);
            store = open_hasty();
        }
    }
    store_close(&store);
}

/* ---- power cuts -------------------------------------------------------------------------------------------------------------- */

/* The oracle. True: nothing acknowledged is missing, nothing else is there, and it goes on. */
static bool
disk_is_right(const char *cut, int acked, int tried)
{
    struct store *store = NULL;
    char folder[256];
    int64_t rows = 0;
    struct err err;
    bool ok;

    (void)snprintf(folder, sizeof folder, "%s/ab/agent", cut);
    if (!store_open(&store, folder, NULL, &err))
        return false;
    if (run(store, "select 1 from t"))
        rows = number(store, "select count(*) from t");
    ok = rows >= acked && rows <= tried;
    ok = ok && strstr(answer(store, "pragma quick_check"), "| ok") != NULL;
    if (ok && rows == 0)
        ok = run(store, "create table if not exists t(a integer primary key, b)");
    ok = ok && (rows == 0 || number(store, "select max(a) from t") == rows - 1);
    ok = ok && insert(store, (int)rows, 20) && commit(store) > 0;
    store_close(&store);
    if (ok) {
        ok = store_open(&store, folder, NULL, &err) && number(store, "select count(*) from t") == rows + 1;
        store_close(&store);
    }
    return ok;
}

/* Cuts the power after every recorded step, TOSSES times each. Gives how many disks were wrong. */
static int
cut_everywhere(int tosses, bool with_syncs, int *out_disks)
{
    struct disk_file files[NODES_MAX] = { 0 };
    char cut[128];
    int acked = 0;
    int tried = 0;
    int wrong = 0;

    *out_disks = 0;
    cut_choose(cut);
    for (int now = 0; now <= rec->ops_count; now++) {
        for (int toss = 0; toss < tosses && (now == rec->ops_count || rec->ops[now].kind != OP_NAME); toss++) {
            coins_begin(now, toss);
            assert_int_equal(mkdir(cut, 0700), 0);
            disk_build(files, now, cut);
            if (!disk_is_right(cut, acked, tried)) {
                if (with_syncs)
                    print_error("power cut at step %d of %d, toss %d: %d acknowledged, %d tried\n", now, rec->ops_count, toss, acked, tried);
                wrong++;
            }
            disk_clear(cut);
            ++*out_disks;
        }
        if (now == rec->ops_count)
            break;
        if (rec->ops[now].kind == OP_NAME)
            files[rec->ops[now].node].exists = true;
        if (rec->ops[now].kind == OP_SYNC && with_syncs)
            disk_sync(files, rec->ops[now].node, now);
        if (rec->ops[now].kind == OP_MARK)
            *(rec->ops[now].mark == MARK_ACK ? &acked : &tried) = (int)rec->ops[now].at;
    }
    disk_fini(files);
    return wrong;
}

static void
nothing_acknowledged_is_lost(void **state)
{
    struct recording recording = { 0 };
    int disks;

    record(&recording, test_folder);
    life();
    record_stop();
    assert_int_equal(cut_everywhere(3, true, &disks), 0);
    assert_true(disks > 300);
    print_message("%d disks after power cuts, %d steps recorded\n", disks, rec->ops_count);
    /* The control. */
    assert_true(cut_everywhere(1, false, &disks) > 20);
    recording_fini(&recording);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_acknowledged_is_lost),
    };

    real = sys_table;
    return cmocka_run_group_tests(tests, folder_setup, folder_teardown);
}
