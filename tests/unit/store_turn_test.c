/* store_turn_test — turns, transactions, pairs, alarm and name, emptying, and what is on disk afterwards. */
#include <fcntl.h>
#include <sys/stat.h>

#include "lib/store/store_internal.h"
#include "tests/unit/store_helper.h"

static bool
exists(const char *name, const char *file)
{
    char path[224];
    struct stat st;

    (void)snprintf(path, sizeof path, "%s%s", agent_folder(name), file);
    return stat(path, &st) == 0;
}

static void
nothing_written_leaves_nothing(void **state)
{
    struct store *store = store_must_open("unborn");

    assert_string_equal(answer(store, "select count(*) from sqlite_schema"), "0 read, 0 written: count(*) | 0");
    assert_int_equal(commit(store), 0);
    assert_false(store_is_dirty(store));
    assert_true(run(store, "create table t(a)"));
    assert_true(store_is_dirty(store));
    store_rollback(store);
    assert_false(store_is_dirty(store));
    test_close(&store);
    assert_false(exists("unborn", ""));
}

static void
a_commit_survives_and_its_successor_without_commit_does_not(void **state)
{
    struct store *store = store_must_open("turns");
    uint64_t seq = 0;
    struct err err;

    assert_true(run(store, "create table t(a)"));
    assert_true(run(store, "insert into t values(1)"));
    assert_int_equal(commit(store), 1);
    assert_int_equal(commit(store), 1);    /* nothing new */
    assert_true(run(store, "create table if not exists t(a)"));
    assert_int_equal(commit(store), 1);    /* a write that wrote nothing */
    assert_true(run(store, "insert into t values(2)"));
    assert_true(test_commit(store, &seq, &err));
    assert_int_equal(seq, 2);
    assert_int_equal(store_durable_seq(store), 2);
    assert_true(run(store, "insert into t values(3)"));
    test_close(&store);
    store = store_must_open("turns");
    assert_int_equal(number(store, "select sum(a) from t"), 3);
    test_close(&store);
}

/* SQLite calls it a reader and commits what it writes by itself; here it is a part of its turn. */
static void
optimizing_is_part_of_the_turn(void **state)
{
    struct store *store = store_must_open("optimize");
    uint64_t seq;

    assert_true(run(store, "create table t(a integer primary key, b); create index i on t(b)"));
    assert_true(run(store, "with recursive c(n) as (select 1 union all select n + 1 from c where n < 1000) insert into t select n, n % 7 from c"));
    (void)commit(store);
    assert_true(run(store, "select count(*) from t where b = 3"));
    for (int round = 0; round < 2; round++) {
        seq = store_seq(store);
        assert_true(run(store, round == 0 ? "pragma optimize(65538)" : "/* now */ PRAGMA optimize(65538); select 1"));
        assert_true(store_is_dirty(store));
        assert_true(store_seq(store) == seq);
        assert_true(run(store, "select * from sqlite_stat1"));
        store_rollback(store);
        assert_false(run(store, "select * from sqlite_stat1"));
    }
    assert_true(run(store, "pragma optimize(65538)"));
    (void)commit(store);
    assert_true(store_seq(store) == seq + 1);
    assert_true(run(store, "pragma optimize(65538)"));   /* from the cache; nothing to do */
    (void)commit(store);
    assert_true(store_seq(store) == seq + 1);
    test_close(&store);
}

static void
transactions_nest(void **state)
{
    struct store *store = store_must_open("nest");
    uint64_t seq = 9;
    struct err err;

    assert_true(run(store, "create table t(a)"));
    assert_true(store_txn_begin(store, &err));
    assert_true(run(store, "insert into t values(1)"));
    assert_true(store_txn_begin(store, &err));
    assert_true(run(store, "insert into t values(2); create table gone(a)"));
    assert_true(store_txn_rollback(store, &err));
    assert_true(store_txn_begin(store, &err));
    assert_true(run(store, "insert into t values(4)"));
    assert_true(store_txn_commit(store, &err));
    assert_int_equal(store_depth(store), 1);
    assert_true(test_commit(store, &seq, &err));
    assert_int_equal(seq, 0);              /* still open: nothing is committed */
    assert_true(store_txn_commit(store, &err));
    assert_int_equal(commit(store), 1);
    test_close(&store);
    store = store_must_open("nest");
    assert_int_equal(number(store, "select sum(a) from t"), 5);
    assert_false(run(store, "select * from gone"));
    test_close(&store);
}

/* More than fits the page cache and SQLite's own threshold: what a rollback needs must not go to a file that is not ours. */
static void
a_large_transaction_can_be_undone(void **state)
{
    struct store *store = store_must_open("large");
    struct err err;

    assert_true(run(store, "create table t(a integer primary key, b); create index i on t(b)"));
    assert_true(run(store, "with recursive c(x) as (select 1 union all select x + 1 from c where x < 3000)"
                           " insert into t select x, hex(randomblob(200)) from c"));
    (void)commit(store);
    assert_true(store_txn_begin(store, &err));
    assert_true(run(store, "update t set b = hex(randomblob(250))"));
    assert_false(run(store, "insert into t select a + 2900, b from t"));   /* a statement that fails in the middle */
    assert_int_equal(number(store, "select count(*) from t"), 3000);
    assert_true(run(store, "delete from t where a % 2"));
    assert_int_equal(number(store, "select count(*) from (select distinct b from t order by b desc)"), 1500);
    assert_true(store_txn_rollback(store, &err));
    assert_int_equal(number(store, "select count(*) from t where length(b) = 400"), 3000);
    (void)commit(store);
    assert_non_null(strstr(answer(store, "pragma quick_check"), "| ok"));
    test_close(&store);
}

static void
a_rollback_takes_our_tables_along(void **state)
{
    struct store *store = store_must_open("tables");
    bool found = true;
    int64_t ms = 0;
    struct err err;

    assert_true(store_kv_put(store, BYTES_LIT("k"), BYTES_LIT("v"), &err));
    assert_true(store_alarm_set(store, 5000, &err));
    store_rollback(store);
    assert_true(store_kv_delete(store, BYTES_LIT("k"), &found, &err));
    assert_false(found);
    assert_true(store_alarm_get(store, &ms, &err));
    assert_true(ms == STORE_ALARM_NONE);
    assert_true(store_txn_begin(store, &err));
    assert_true(store_kv_put(store, BYTES_LIT("k"), BYTES_LIT("v"), &err));
    assert_true(store_txn_rollback(store, &err));
    assert_true(store_kv_put(store, BYTES_LIT("k"), BYTES_LIT("v"), &err));
    assert_int_equal(commit(store), 1);
    test_close(&store);
}

static void
deferred_constraints_undo_the_turn(void **state)
{
    struct store *store = store_must_open("fk");
    uint64_t seq;
    struct err err;

    assert_true(run(store, "create table p(a integer primary key); create table c(a references p(a) deferrable initially deferred)"));
    assert_int_equal(commit(store), 1);
    assert_true(run(store, "insert into c values(5)"));
    err_clear(&err);
    assert_false(test_commit(store, &seq, &err));
    assert_string_equal(err.message,
                        "Durable Object was reset and rolled back to its last known good state because the application left the "
                        "database in a state where constraints were violated: FOREIGN KEY constraint failed: SQLITE_CONSTRAINT "
                        "(extended: SQLITE_CONSTRAINT_FOREIGNKEY)");
    assert_int_equal(number(store, "select count(*) from c"), 0);
    assert_true(run(store, "insert into p values(5); insert into c values(5)"));
    assert_int_equal(commit(store), 2);
    test_close(&store);
}

/* ---- pairs ------------------------------------------------------------------------------------------------------------ */

static bool
keys_gather(void *owner, struct bytes key, struct bytes value)
{
    struct buf *out = owner;

    buf_append_bytes(out, key);
    buf_append_str(out, "=");
    buf_append_bytes(out, value);
    buf_append_str(out, " ");
    return true;
}

static const char *
list(struct store *store, struct store_range range)
{
    static struct buf out;
    struct err err;

    buf_clear(&out);
    assert_true(store_kv_list(store, &range, keys_gather, &out, &err));
    return buf_cstr(&out);
}

static void
value_copy(void *owner, struct bytes value)
{
    buf_append_bytes(owner, value);
}

static void
pairs_are_found_in_order(void **state)
{
    struct store *store = store_must_open("pairs");
    static const char *const keys[] = { "b", "a", "ba", "c", "bb", "", "a\xff", "\xff\xff" };
    struct buf value = { 0 };
    bool found;
    struct err err;

    assert_string_equal(list(store, (struct store_range){ 0 }), "");
    for (size_t i = 0; i < ARRAY_LEN(keys); i++) {
        char text[2] = { (char)('0' + i), 0 };
        assert_true(store_kv_put(store, bytes_of(keys[i]), bytes_of(text), &err));
    }
    assert_string_equal(list(store, (struct store_range){ 0 }), "=5 a=1 a\xff=6 b=0 ba=2 bb=4 c=3 \xff\xff=7 ");
    assert_string_equal(list(store, (struct store_range){ .prefix = BYTES_LIT("b") }), "b=0 ba=2 bb=4 ");
    assert_string_equal(list(store, (struct store_range){ .prefix = BYTES_LIT("a\xff") }), "a\xff=6 ");
    assert_string_equal(list(store, (struct store_range){ .prefix = BYTES_LIT("\xff") }), "\xff\xff=7 ");
    assert_string_equal(list(store, (struct store_range){ .start = BYTES_LIT("b"), .end = BYTES_LIT("c") }), "b=0 ba=2 bb=4 ");
    assert_string_equal(list(store, (struct store_range){ .start_after = BYTES_LIT("b"), .limit = 1 }), "ba=2 ");
    assert_string_equal(list(store, (struct store_range){ .prefix = BYTES_LIT("b"), .start = BYTES_LIT("ba") }), "ba=2 bb=4 ");
    assert_string_equal(list(store, (struct store_range){ .prefix = BYTES_LIT("b"), .end = BYTES_LIT("bb") }), "b=0 ba=2 ");
    assert_string_equal(list(store, (struct store_range){ .prefix = BYTES_LIT("b"), .end = BYTES_LIT("a") }), "");
    assert_string_equal(list(store, (struct store_range){ .prefix = BYTES_LIT("a"), .start = BYTES_LIT("c") }), "");
    assert_string_equal(list(store, (struct store_range){ .start = BYTES_LIT("a"), .end = BYTES_LIT("c"), .reverse = true, .limit = 2 }),
                        "bb=4 ba=2 ");
    assert_string_equal(list(store, (struct store_range){ .end = BYTES_LIT("") }), "");

    assert_true(store_kv_put(store, BYTES_LIT("a\0b"), BYTES_NONE, &err));
    assert_true(store_kv_get(store, BYTES_LIT("a\0b"), value_copy, &value, &found, &err));
    assert_true(found && value.len == 0);
    assert_true(store_kv_get(store, BYTES_LIT("bb"), value_copy, &value, &found, &err));
    assert_true(found && bytes_equal_str(buf_view(&value), "4"));
    assert_true(store_kv_delete(store, BYTES_LIT("bb"), &found, &err));
    assert_true(found);
    assert_true(store_kv_delete(store, BYTES_LIT("bb"), &found, &err));
    assert_false(found);
    assert_true(store_kv_get(store, BYTES_LIT("bb"), value_copy, &value, &found, &err));
    assert_false(found);
    assert_string_equal(answer(store, "select * from _cf_KV"), "! access to _cf_KV.key is prohibited: SQLITE_AUTH");
    buf_fini(&value);
    test_close(&store);
}

static void
a_value_too_big_is_refused(void **state)
{
    struct store *store = store_must_open("bigpair");
    uint8_t *value = calloc(1, STORE_VALUE_MAX_BYTES + 1);
    struct err err;

    err_clear(&err);
    assert_false(store_kv_put(store, BYTES_LIT("k"), bytes_from(value, STORE_VALUE_MAX_BYTES + 1), &err));
    assert_string_equal(err.message, "string or blob too big: SQLITE_TOOBIG");
    assert_int_equal(err.code, ERR_APP);
    assert_true(store_kv_put(store, BYTES_LIT("k"), bytes_from(value, 8000000), &err));
    assert_int_equal(commit(store), 1);
    free(value);
    test_close(&store);
}

static void
alarm_and_name_are_kept(void **state)
{
    struct store *store = store_must_open("alarm");
    struct buf name = { 0 };
    int64_t ms;
    bool found;
    struct err err;

    assert_true(store_name_get(store, &name, &found, &err));
    assert_false(found);
    assert_true(store_alarm_set(store, 1796173682538, &err));
    assert_true(store_name_set(store, BYTES_LIT("Ada"), &err));
    assert_int_equal(commit(store), 1);
    assert_true(store_alarm_set(store, 1796173682538, &err));
    assert_int_equal(commit(store), 1);    /* the same alarm costs nothing */
    test_close(&store);
    store = store_must_open("alarm");
    assert_true(store_alarm_get(store, &ms, &err));
    assert_true(ms == 1796173682538);
    assert_true(store_name_get(store, &name, &found, &err));
    assert_true(found && bytes_equal_str(buf_view(&name), "Ada"));
    assert_true(store_alarm_set(store, STORE_ALARM_NONE, &err));
    assert_true(store_alarm_get(store, &ms, &err));
    assert_true(ms == STORE_ALARM_NONE);
    err_clear(&err);
    assert_false(store_alarm_set(store, INT64_MAX, &err));
    assert_int_equal(err.code, ERR_LIMIT);
    buf_fini(&name);
    test_close(&store);
}

/* ---- emptying and size -------------------------------------------------------------------------------------------------- */

static void
delete_all_leaves_the_name(void **state)
{
    struct store *store = store_must_open("empty");
    struct store_cursor *cursor;
    struct buf name = { 0 };
    int64_t pairs;
    int64_t size;
    int64_t ms;
    bool found;
    struct err err;

    assert_true(store_name_set(store, BYTES_LIT("Ada"), &err));
    assert_true(store_alarm_set(store, 77, &err));
    assert_true(store_kv_put(store, BYTES_LIT("a"), BYTES_LIT("1"), &err));
    assert_true(store_kv_put(store, BYTES_LIT("b"), BYTES_LIT("2"), &err));
    assert_true(run(store, "create table p(a integer primary key autoincrement); create table c(a references p(a)); create view v as select 1;"
                           "create virtual table f using fts5(x); create virtual table r using rtree(i,a,b);"
                           "create trigger t after delete on p begin select raise(abort, 'no'); end;"
                           "insert into p values(1); insert into c values(1); insert into f values('hello'); insert into r values(1,2,3)"));
    assert_int_equal(commit(store), 1);
    assert_true(store_query(store, BYTES_LIT("select 1 union select 2"), NULL, 0, &cursor, &err));
    assert_true(store_txn_begin(store, &err));
    err_clear(&err);
    assert_false(store_delete_all(store, STORE_KEEP_ALARM, &pairs, &err));
    assert_string_equal(err.message, "Cannot call deleteAll() within a transaction");
    assert_true(store_txn_rollback(store, &err));
    assert_true(run(store, "insert into p values(2)"));
    assert_true(store_delete_all(store, STORE_KEEP_ALARM, &pairs, &err));
    assert_int_equal(pairs, 2);
    err_clear(&err);
    assert_false(store_cursor_next(cursor, &err));
    assert_string_equal(err.message, "SQLite query was canceled because the database was deleted.");
    store_cursor_close(&cursor);
    assert_int_equal(number(store, "select count(*) from sqlite_schema where name not like '\\_cf\\_%' escape '\\' and name not like 'sqlite\\_%' escape '\\'"), 0);
    assert_int_equal(commit(store), 2);
    assert_true(store_size(store, &size, &err));
    assert_in_range(size, 1, 4 * STORE_PAGE_BYTES);
    test_close(&store);
    store = store_must_open("empty");
    assert_true(store_alarm_get(store, &ms, &err));
    assert_int_equal(ms, 77);
    assert_true(store_name_get(store, &name, &found, &err) && found);
    assert_true(store_delete_all(store, STORE_KEEP_NOTHING, &pairs, &err));
    assert_int_equal(pairs, 0);
    assert_true(store_alarm_get(store, &ms, &err));
    assert_true(ms == STORE_ALARM_NONE);
    store_rollback(store);
    assert_true(store_alarm_get(store, &ms, &err));
    assert_int_equal(ms, 77);
    buf_fini(&name);
    test_close(&store);
}

static void
a_long_wal_is_moved_into_the_database(void **state)
{
    struct store *store;
    char path[224];
    struct stat st;

    if (test_mode != MODE_SYNCED)
        return;
    store = store_must_open("wal");
    assert_true(run(store, "create table t(a)"));
    for (int i = 0; i < 200; i++) {
        assert_true(run(store, "insert into t values(zeroblob(30000))"));
        (void)commit(store);
    }
    (void)snprintf(path, sizeof path, "%s/db.sqlite", agent_folder("wal"));
    assert_int_equal(stat(path, &st), 0);
    assert_true(st.st_size > 100 * 20000);
    (void)snprintf(path, sizeof path, "%s/db.sqlite-wal", agent_folder("wal"));
    assert_int_equal(stat(path, &st), 0);
    assert_true(st.st_size < 1200 * 4200);
    test_close(&store);
    store = store_must_open("wal");
    assert_int_equal(number(store, "select count(*) from t"), 200);
    assert_string_equal(answer(store, "pragma quick_check"), "202 read, 0 written: quick_check | ok");
    test_close(&store);
}

static void
two_cannot_have_it(void **state)
{
    struct store *store = store_must_open("lock");
    struct store *second = NULL;
    struct err err;

    assert_true(run(store, "create table t(a)"));
    assert_int_equal(commit(store), 1);
    if (test_mode != MODE_SYNCED)
        assert_true(test_checkpoint(store, &err));     /* before there is no file to have */
    err_clear(&err);
    assert_false(test_open(&second, agent_folder("lock"), NULL, &err));
    assert_int_equal(err.code, ERR_UNAVAILABLE);
    test_close(&store);
    second = store_must_open("lock");
    test_close(&second);
}

static void
file_put(const char *name, const char *file, const char *data, size_t len)
{
    char path[224];
    int fd;

    (void)snprintf(path, sizeof path, "%s/ab", test_folder);
    (void)mkdir(path, 0700);               /* may be there */
    (void)mkdir(agent_folder(name), 0700);
    (void)snprintf(path, sizeof path, "%s/%s", agent_folder(name), file);
    fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, data, len), len);
    (void)close(fd);
}

static void
damage_is_refused_and_kept(void **state)
{
    static char junk[8192];
    struct store *store = store_must_open("bad");
    char path[224];
    struct stat st;
    struct err err;

    assert_true(run(store, "create table t(a)"));
    assert_int_equal(commit(store), 1);
    test_close(&store);
    memset(junk, 'j', sizeof junk);
    file_put("bad", "db.sqlite", junk, sizeof junk);
    file_put("bad", "db.sqlite-wal", "", 0);   /* a whole WAL would heal it */
    err_clear(&err);
    assert_false(test_open(&store, agent_folder("bad"), NULL, &err));
    assert_int_equal(err.code, ERR_CORRUPT);
    (void)snprintf(path, sizeof path, "%s/db.sqlite", agent_folder("bad"));
    assert_non_null(strstr(err.message, path));
    assert_int_equal(stat(path, &st), 0);
    assert_int_equal(st.st_size, sizeof junk);
}

/* A WAL that went on after a checkpoint is nothing without its database. */
static void
a_lost_database_is_told(void **state)
{
    struct store *store;
    struct err err;

    if (test_mode != MODE_SYNCED)
        return;
    store = store_must_open("lost");
    assert_true(run(store, "create table t(a)"));
    for (int i = 0; i < 40; i++)
        assert_true(run(store, "insert into t values(zeroblob(9000))"));
    assert_int_equal(commit(store), 1);
    test_close(&store);                   /* long enough to be moved into the database */
    store = store_must_open("lost");
    assert_true(run(store, "insert into t values(1)"));
    assert_int_equal(commit(store), 1);
    test_close(&store);
    file_put("lost", "db.sqlite", "", 0);
    err_clear(&err);
    assert_false(test_open(&store, agent_folder("lost"), NULL, &err));
    assert_int_equal(err.code, ERR_CORRUPT);
    assert_non_null(strstr(err.message, "restore it from a backup"));
}

static void
a_lost_first_page_comes_back(void **state)
{
    struct store *store;
    char path[224];

    if (test_mode == MODE_RESTING)
        return;                            /* the records are not needed any more, and gone */
    store = store_must_open("page");
    assert_true(run(store, "create table t(a); insert into t values(42)"));
    assert_int_equal(commit(store), 1);
    test_close(&store);
    file_put("page", "db.sqlite", "", 0);
    store = store_must_open("page");
    assert_int_equal(number(store, "select a from t"), 42);
    test_close(&store);
    (void)snprintf(path, sizeof path, "%s/db.sqlite", agent_folder("page"));
    assert_int_equal(unlink(path), 0);
    store = store_must_open("page");
    assert_int_equal(number(store, "select a from t"), 42);
    test_close(&store);
}

static void
files_of_others_are_taken_in(void **state)
{
    struct store *store;
    char path[224];
    struct err err;
    int64_t ms;
    int fd;

    if (test_mode == MODE_JOURNALED)
        return;                            /* it leaves no file */
    store = store_must_open("import");
    /* A database in rollback-journal mode, as sqlite3 makes it: the image's mode bytes are 1. */
    assert_true(run(store, "create table t(a); insert into t values(1)"));
    assert_true(store_alarm_set(store, 12, &err));
    for (int i = 0; i < 40; i++) {
        assert_true(run(store, "insert into t values(zeroblob(9000))"));
        (void)commit(store);
    }
    test_close(&store);
    (void)snprintf(path, sizeof path, "%s/db.sqlite-wal", agent_folder("import"));
    (void)unlink(path);
    (void)snprintf(path, sizeof path, "%s/db.sqlite", agent_folder("import"));
    fd = open(path, O_RDWR);
    assert_int_equal(pwrite(fd, "\1\1", 2, 18), 2);
    (void)close(fd);
    store = store_must_open("import");
    assert_int_equal(number(store, "select count(*) from t"), 41);
    assert_true(run(store, "insert into t values(2)"));
    assert_int_equal(commit(store), 1);
    assert_true(store_alarm_get(store, &ms, &err) && ms == 12);
    assert_int_equal(exists("import", "/db.sqlite-wal"), test_mode == MODE_SYNCED);
    test_close(&store);
}

static void
a_cursor_may_be_closed_after_its_store(void **state)
{
    struct store *store = store_must_open("late");
    struct store_cursor *cursor;
    struct err err;

    assert_true(run(store, "create table t(a); insert into t values(1),(2)"));
    assert_true(store_query(store, BYTES_LIT("select a from t"), NULL, 0, &cursor, &err));
    test_close(&store);
    assert_false(store_cursor_has_row(cursor));
    assert_true(bytes_equal_str(store_cursor_name(cursor, 0), "a"));
    store_cursor_close(&cursor);
}

static void
a_removed_agent_is_gone(void **state)
{
    struct store *store = store_must_open("gone");
    struct err err;

    assert_true(run(store, "create table t(a)"));
    assert_int_equal(commit(store), 1);
    test_close(&store);
    assert_true(test_remove(agent_folder("gone"), &err));
    assert_false(exists("gone", ""));
    assert_false(exists("gone", ".gone"));
    assert_true(test_remove(agent_folder("gone"), &err));
}

static int
all_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_written_leaves_nothing),
        cmocka_unit_test(a_commit_survives_and_its_successor_without_commit_does_not),
        cmocka_unit_test(optimizing_is_part_of_the_turn),
        cmocka_unit_test(transactions_nest),
        cmocka_unit_test(a_large_transaction_can_be_undone),
        cmocka_unit_test(a_rollback_takes_our_tables_along),
        cmocka_unit_test(deferred_constraints_undo_the_turn),
        cmocka_unit_test(pairs_are_found_in_order),
        cmocka_unit_test(a_value_too_big_is_refused),
        cmocka_unit_test(alarm_and_name_are_kept),
        cmocka_unit_test(delete_all_leaves_the_name),
        cmocka_unit_test(a_long_wal_is_moved_into_the_database),
        cmocka_unit_test(two_cannot_have_it),
        cmocka_unit_test(damage_is_refused_and_kept),
        cmocka_unit_test(a_lost_database_is_told),
        cmocka_unit_test(a_lost_first_page_comes_back),
        cmocka_unit_test(files_of_others_are_taken_in),
        cmocka_unit_test(a_cursor_may_be_closed_after_its_store),
        cmocka_unit_test(a_removed_agent_is_gone),
    };

    return cmocka_run_group_tests(tests, folder_setup, folder_teardown);
}

int
main(void)
{
    return run_in_all_modes(all_tests);
}
