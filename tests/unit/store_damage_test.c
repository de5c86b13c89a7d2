/*
 * store_damage_test — damaged files: whatever bytes are there, the worst is an error, for this agent alone.
 *
 * Files of a real agent are cut and overwritten at random. Opening and using them may fail; it must come to an end without a
 * crash, a failure must have a code and a text, and nothing may be deleted by it.
 */
#include <fcntl.h>
#include <sys/stat.h>

#include "lib/sys/sys.h"
#include "tests/unit/store_helper.h"

#define ROUNDS 600

static uint64_t seed = 20261120;

static uint64_t
chance(uint64_t below)
{
    seed = seed * 6364136223846793005ULL + 1442695040888963407ULL;
    return (seed >> 33) % below;
}

static struct buf
file_read(const char *name, const char *file)
{
    struct buf content = { 0 };
    char path[224];
    struct stat st;
    int fd;

    (void)snprintf(path, sizeof path, "%s/%s", agent_folder(name), file);
    fd = open(path, O_RDONLY);
    assert_true(fd >= 0);
    assert_int_equal(fstat(fd, &st), 0);
    buf_reserve(&content, (size_t)st.st_size + 1);
    assert_int_equal(read(fd, content.data, (size_t)st.st_size), st.st_size);
    content.len = (size_t)st.st_size;
    (void)close(fd);
    return content;
}

static void
file_write(const char *name, const char *file, struct bytes content)
{
    char path[224];
    int fd;

    (void)snprintf(path, sizeof path, "%s/%s", agent_folder(name), file);
    fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, content.data, content.len), content.len);
    (void)close(fd);
}

static void
bytes_damage(struct buf *content)
{
    uint64_t times = 1 + chance(12);

    if (content->len == 0)
        return;
    if (chance(8) == 0)
        content->len = (size_t)chance(content->len);
    for (uint64_t i = 0; i < times && content->len > 0; i++) {
        /* Headers decide most: half of the damage goes there. */
        size_t at = (size_t)chance(chance(2) == 0 && content->len > 200 ? 200 : content->len);
        if (chance(4) == 0)
            for (size_t k = at; k < at + chance(600) && k < content->len; k++)
                content->data[k] = (uint8_t)chance(256);
        else
            content->data[at] = (uint8_t)(chance(3) == 0 ? 0xff : chance(256));
    }
}

static bool
pair_count(void *owner, struct bytes key, struct bytes value)
{
    ++*(int *)owner;
    return *(int *)owner < 1000;
}

static bool
time_is_short(void *owner)
{
    return --*(int *)owner > 0;            /* damaged trees may run in circles: the tick ends them */
}

static void
use(const char *name)
{
    static const char *const statements[] = {
        "select * from t", "select * from t where b = 'x5'", "insert into t values(null, 'new', zeroblob(9000))",
        "update t set b = b || '!' where a < 20", "select * from f where f match 'word*'", "insert into f values('more words')",
        "delete from t where a % 3 = 0", "select count(*), max(b) from t", "pragma quick_check", "drop table t",
    };
    int ticks = 200;
    struct store_options options = { .tick = time_is_short, .owner = &ticks };
    struct store_range all = { 0 };
    struct store *store = NULL;
    uint64_t seq;
    int64_t ms;
    int64_t pairs;
    int count = 0;
    struct err err;

    err_clear(&err);
    if (!test_open(&store, agent_folder(name), &options, &err)) {
        assert_true(err.code != ERR_NONE && err.message[0] != '\0');
        return;
    }
    for (size_t i = 0; i < ARRAY_LEN(statements); i++) {
        ticks = 200;
        (void)answer(store, statements[i]);
        if (i % 4 == 3 && !test_commit(store, &seq, &err))
            store_rollback(store);
    }
    ticks = 200;
    if (!store_kv_list(store, &all, pair_count, &count, &err) || !store_alarm_get(store, &ms, &err) ||
        !store_kv_put(store, BYTES_LIT("k1"), BYTES_LIT("v"), &err) || !test_commit(store, &seq, &err))
        assert_true(err.code != ERR_NONE && err.message[0] != '\0');
    err_clear(&err);
    if (store_depth(store) == 0 && !store_delete_all(store, STORE_KEEP_NOTHING, &pairs, &err))
        assert_true(err.code != ERR_NONE && err.message[0] != '\0');
    test_close(&store);
}

/* In a journaled store the records of the journal are damaged in place of the WAL. */
static void
damage_is_an_error_at_worst(void **state)
{
    struct store *store = store_must_open("whole");
    struct test_journal *hurt;
    struct buf db;
    struct buf wal;
    struct err err;
    char path[224];
    struct stat st;

    assert_true(run(store, "create table t(a integer primary key, b text, c blob); create index i on t(b); create virtual table f using fts5(x)"));
    assert_true(run(store, "with recursive n(x) as (select 1 union all select x + 1 from n where x < 200)"
                           " insert into t select x, 'x' || x, zeroblob(x * 20) from n"));
    assert_true(run(store, "insert into f values('some words'), ('other words')"));
    (void)commit(store);
    if (test_mode == MODE_JOURNALED)
        assert_true(test_checkpoint(store, &err));
    test_close(&store);                    /* into the database */
    store = store_must_open("whole");
    for (int i = 0; i < 5; i++) {
        assert_true(store_kv_put(store, BYTES_LIT("key"), BYTES_LIT("value"), &err));
        assert_true(run(store, "insert into t(b) values('later')"));
        assert_true(store_alarm_set(store, 1000 + i, &err));
        (void)commit(store);
    }
    test_close(&store);                    /* stays in the WAL, or in the journal */
    db = file_read("whole", "db.sqlite");
    if (test_mode == MODE_SYNCED)
        wal = file_read("whole", "db.sqlite-wal");
    else
        wal = journal_of_folder(agent_folder("whole"))->redo;
    assert_true(db.len > 100000 && wal.len > (test_mode == MODE_SYNCED ? 20000 : 1000));
    (void)snprintf(path, sizeof path, "%s", agent_folder("hurt"));
    assert_int_equal(mkdir(path, 0700), 0);
    for (int round = 0; round < ROUNDS; round++) {
        struct buf copies[2] = { { 0 }, { 0 } };
        buf_append_bytes(&copies[0], buf_view(&db));
        buf_append_bytes(&copies[1], buf_view(&wal));
        if (round % 3 != 1)
            bytes_damage(&copies[0]);
        if (round % 3 != 0)
            bytes_damage(&copies[1]);
        file_write("hurt", "db.sqlite", buf_view(&copies[0]));
        if (test_mode == MODE_SYNCED) {
            file_write("hurt", "db.sqlite-wal", buf_view(&copies[1]));
        } else {
            hurt = journal_of_folder(agent_folder("hurt"));
            buf_clear(&hurt->redo);
            buf_append_bytes(&hurt->redo, buf_view(&copies[1]));
            hurt->seq = 6;
        }
        use("hurt");
        (void)snprintf(path, sizeof path, "%s/db.sqlite", agent_folder("hurt"));
        assert_int_equal(stat(path, &st), 0);
        buf_fini(&copies[0]);
        buf_fini(&copies[1]);
    }
    buf_fini(&db);
    if (test_mode == MODE_SYNCED)
        buf_fini(&wal);
}

/* Reads all of the table into OUT; false when SQLite or we found damage. */
static bool
all_rows(const char *name, struct buf *out)
{
    struct store *store = NULL;
    struct err err;
    bool ok;

    buf_clear(out);
    if (!test_open(&store, agent_folder(name), NULL, &err))
        return false;
    buf_append_str(out, answer(store, "select group_concat(a || b || hex(c), ' ') from t"));
    ok = !store_is_broken(store);
    test_close(&store);
    return ok;
}

/* Every byte of the file that says anything is vouched for: damage is an error, or changes nothing. */
static void
no_flipped_bit_is_believed(void **state)
{
    struct store *store;
    struct buf db, right = { 0 }, seen = { 0 };
    struct err err;
    unsigned refused = 0;
    char path[224];

    store = store_must_open("summed");
    assert_true(run(store, "create table t(a integer primary key, b text, c blob)"));
    assert_true(run(store, "with recursive n(x) as (select 1 union all select x + 1 from n where x < 60)"
                           " insert into t select x, 'x' || x, randomblob(x * 30) from n"));
    (void)commit(store);
    assert_true(test_checkpoint(store, &err));
    test_close(&store);
    assert_true(all_rows("summed", &right));
    db = file_read("summed", "db.sqlite");
    assert_true(db.len > 10 * STORE_PAGE_BYTES);
    (void)snprintf(path, sizeof path, "%s", agent_folder("flipped"));
    assert_int_equal(mkdir(path, 0700), 0);
    for (int round = 0; round < ROUNDS; round++) {
        size_t at = round < 200 ? (size_t)round : (size_t)chance(db.len);
        uint8_t bit = (uint8_t)(1u << (round < 8 ? (unsigned)round : chance(8)));

        if (round < 8)
            at = 20;                       /* where the file says that it has checksums */
        db.data[at] ^= bit;
        file_write("flipped", "db.sqlite", buf_view(&db));
        db.data[at] ^= bit;
        if (!all_rows("flipped", &seen))
            refused++;
        else
            assert_true(bytes_equal(buf_view(&seen), buf_view(&right)));
    }
    assert_true(refused > ROUNDS * 9 / 10);
    buf_fini(&db);
    buf_fini(&right);
    buf_fini(&seen);
}

/* A page at another's place is damage, too: the disk wrote it elsewhere. */
static void
a_misplaced_page_is_not_believed(void **state)
{
    struct store *store;
    struct buf db, seen = { 0 };
    struct err err;
    char path[224];

    store = store_must_open("placed");
    assert_true(run(store, "create table t(a integer primary key, b text, c blob); insert into t values(1, 'one', zeroblob(20000)), (2, 'two', randomblob(20000))"));
    (void)commit(store);
    assert_true(test_checkpoint(store, &err));
    test_close(&store);
    db = file_read("placed", "db.sqlite");
    memcpy(db.data + 4 * STORE_PAGE_BYTES, db.data + 5 * STORE_PAGE_BYTES, STORE_PAGE_BYTES);
    (void)snprintf(path, sizeof path, "%s", agent_folder("misplaced"));
    assert_int_equal(mkdir(path, 0700), 0);
    file_write("misplaced", "db.sqlite", buf_view(&db));
    assert_false(all_rows("misplaced", &seen));
    buf_fini(&db);
    buf_fini(&seen);
}

static int
no_sync(int fd)
{
    return 0;
}

static int
all_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(damage_is_an_error_at_worst),
        cmocka_unit_test(no_flipped_bit_is_believed),
        cmocka_unit_test(a_misplaced_page_is_not_believed),
    };

    sys_table.fsync = no_sync;             /* nothing here is about power cuts */
    sys_table.fdatasync = no_sync;
    return cmocka_run_group_tests(tests, folder_setup, folder_teardown);
}

int
main(void)
{
    int failed = all_tests();

    test_mode = MODE_JOURNALED;
    failed += all_tests();
    journals_free();
    return failed;
}
