/* store_query_test — SQL of agents: the same answers, counters and refusals as workerd's; cursors; limits. */
#include "tests/unit/store_helper.h"

static const struct {
    const char *sql;
    const char *expected;
} goldens[] = {
#define GOLDEN(sql, expected) { sql, expected },
#include "tests/unit/store_golden.inc"
#undef GOLDEN
};

static void
answers_are_workerds(void **state)
{
    struct store *store = store_must_open("golden");
    int wrong = 0;

    for (size_t i = 0; i < ARRAY_LEN(goldens); i++) {
        const char *got = answer(store, goldens[i].sql);
        if (goldens[i].expected[0] != '\0' && strcmp(got, goldens[i].expected) != 0) {
            print_error("%s\n  expected: %s\n  got:      %s\n", goldens[i].sql, goldens[i].expected, got);
            wrong++;
        }
    }
    assert_int_equal(wrong, 0);
    test_close(&store);
}

static bool
query(struct store *store, const char *sql, const struct store_value *values, size_t count, struct store_cursor **cursor,
      struct err *err)
{
    err_clear(err);
    return store_query(store, bytes_of(sql), values, count, cursor, err);
}

static void
bindings_reach_the_last_statement(void **state)
{
    struct store *store = store_must_open("bind");
    struct store_cursor *cursor;
    struct store_value value;
    struct err err;
    char text[] = "text";
    struct store_value values[] = {
        { .type = STORE_INTEGER, .integer = INT64_MAX },
        { .type = STORE_REAL, .real = 1.5 },
        { .type = STORE_TEXT, .bytes = bytes_of(text) },
        { .type = STORE_BLOB, .bytes = BYTES_LIT("\0\1") },
        { .type = STORE_BLOB },
        { .type = STORE_NULL },
    };

    assert_true(query(store, "select 1; select ?, ?, ?, ?, typeof(?), typeof(?)", values, 6, &cursor, &err));
    memset(text, 'x', sizeof text);        /* the cursor must have its own copy */
    store_cursor_value(cursor, 0, &value);
    assert_true(value.type == STORE_INTEGER && value.integer == INT64_MAX);
    store_cursor_value(cursor, 1, &value);
    assert_true(value.type == STORE_REAL && value.real == 1.5);
    store_cursor_value(cursor, 2, &value);
    assert_true(value.type == STORE_TEXT && bytes_equal_str(value.bytes, "text"));
    store_cursor_value(cursor, 3, &value);
    assert_true(value.type == STORE_BLOB && bytes_equal(value.bytes, BYTES_LIT("\0\1")));
    store_cursor_value(cursor, 4, &value);
    assert_true(bytes_equal_str(value.bytes, "blob"));
    store_cursor_value(cursor, 5, &value);
    assert_true(bytes_equal_str(value.bytes, "null"));
    assert_true(store_cursor_next(cursor, &err));
    assert_false(store_cursor_has_row(cursor));
    store_cursor_close(&cursor);

    assert_false(query(store, "select ?; select 1", values, 1, &cursor, &err));
    assert_string_equal(err.message, "When executing multiple SQL statements in a single call, only the last statement can have parameters.");
    assert_false(query(store, "select ?, ?", values, 1, &cursor, &err));
    assert_string_equal(err.message, "Wrong number of parameter bindings for SQL query.");
    test_close(&store);
}

static void
a_text_can_run_twice_at_once(void **state)
{
    struct store *store = store_must_open("twice");
    struct store_cursor *one;
    struct store_cursor *two;
    struct store_value value;
    struct err err;

    assert_true(run(store, "create table t(a); insert into t values(1),(2),(3)"));
    assert_true(query(store, "select a from t", NULL, 0, &one, &err));
    assert_true(store_cursor_next(one, &err));
    assert_true(query(store, "select a from t", NULL, 0, &two, &err));
    store_cursor_value(one, 0, &value);
    assert_int_equal(value.integer, 2);
    store_cursor_value(two, 0, &value);
    assert_int_equal(value.integer, 1);
    store_cursor_close(&one);
    /* The kept one is free again, and the other goes on. */
    assert_true(query(store, "select a from t", NULL, 0, &one, &err));
    assert_true(store_cursor_next(two, &err));
    store_cursor_value(two, 0, &value);
    assert_int_equal(value.integer, 2);
    store_cursor_close(&one);
    store_cursor_close(&two);
    test_close(&store);
}

static void
names_follow_the_schema(void **state)
{
    struct store *store = store_must_open("names");
    struct store_cursor *before;
    struct store_cursor *after;
    struct err err;

    assert_true(run(store, "create table t(a); insert into t values(1)"));
    assert_true(query(store, "select * from t", NULL, 0, &before, &err));
    assert_true(store_cursor_next(before, &err));
    assert_true(run(store, "alter table t add column b"));
    assert_true(query(store, "select * from t", NULL, 0, &after, &err));
    assert_int_equal(store_cursor_columns(before), 1);
    assert_int_equal(store_cursor_columns(after), 2);
    assert_true(bytes_equal_str(store_cursor_name(after, 1), "b"));
    assert_true(store_cursor_shape(before) != store_cursor_shape(after));
    store_cursor_close(&before);
    store_cursor_close(&after);
    assert_true(query(store, "select * from t", NULL, 0, &before, &err));
    assert_true(query(store, "select * from t where 1", NULL, 0, &after, &err));
    assert_true(store_cursor_shape(before) != store_cursor_shape(after));
    store_cursor_close(&before);
    store_cursor_close(&after);
    test_close(&store);
}

static void
rows_of_a_write_outlive_its_commit(void **state)
{
    struct store *store = store_must_open("returning");
    struct store_cursor *cursor;
    struct store_value value;
    struct err err;

    assert_true(run(store, "create table t(a, b)"));
    assert_true(query(store, "insert into t values(1,'one'),(2,''),(3,x'03') returning a, b", NULL, 0, &cursor, &err));
    assert_int_equal(commit(store), 1);
    store_cursor_value(cursor, 1, &value);
    assert_true(value.type == STORE_TEXT && bytes_equal_str(value.bytes, "one"));
    assert_true(store_cursor_next(cursor, &err));
    store_cursor_value(cursor, 0, &value);
    assert_int_equal(value.integer, 2);
    store_cursor_value(cursor, 1, &value);
    assert_true(value.type == STORE_TEXT && value.bytes.len == 0);
    assert_true(store_txn_begin(store, &err));
    assert_true(store_txn_commit(store, &err));
    assert_true(store_cursor_next(cursor, &err));
    store_cursor_value(cursor, 1, &value);
    assert_true(value.type == STORE_BLOB && bytes_equal(value.bytes, BYTES_LIT("\3")));
    assert_true(store_cursor_next(cursor, &err));
    assert_false(store_cursor_has_row(cursor));
    assert_int_equal(store_cursor_rows_written(cursor), 3);
    store_cursor_close(&cursor);
    test_close(&store);
}

static void
a_reader_goes_on_across_commits(void **state)
{
    struct store *store = store_must_open("reader");
    struct store_cursor *cursor;
    struct err err;
    int rows = 0;

    assert_true(run(store, "create table t(a); insert into t values(1),(2),(3),(4)"));
    (void)commit(store);
    assert_true(query(store, "select a from t order by rowid", NULL, 0, &cursor, &err));
    while (store_cursor_has_row(cursor)) {
        rows++;
        assert_true(run(store, "update t set a = a + 10 where rowid = 1"));
        (void)commit(store);
        assert_true(store_cursor_next(cursor, &err));
    }
    assert_int_equal(rows, 4);
    store_cursor_close(&cursor);
    test_close(&store);
}

static bool
tick_stop(void *owner)
{
    return --*(int *)owner > 0;
}

static void
a_statement_that_runs_on_is_stopped(void **state)
{
    int ticks = 5;
    struct store_options options = { .tick = tick_stop, .owner = &ticks };
    struct store *store = NULL;
    struct store_cursor *cursor;
    struct err err;

    err_clear(&err);
    assert_true(test_open(&store, agent_folder("tick"), &options, &err));
    assert_false(query(store, "with recursive c(x) as (select 1 union all select x + 1 from c) select count(*) from c", NULL, 0,
                       &cursor, &err));
    assert_int_equal(err.code, ERR_TIMEOUT);
    assert_string_equal(err.message, "interrupted: SQLITE_INTERRUPT");
    assert_int_equal(ticks, 0);
    assert_false(store_is_broken(store));
    test_close(&store);
}

static void
a_full_quota_breaks_the_turn_only(void **state)
{
    struct store_options options = { .bytes_max = 64 * 1024 };
    struct store *store = NULL;
    struct err err;

    err_clear(&err);
    assert_true(test_open(&store, agent_folder("quota"), &options, &err));
    assert_true(run(store, "create table t(a)"));
    (void)commit(store);
    assert_string_equal(answer(store, "insert into t values(zeroblob(100000))"), "! database or disk is full: SQLITE_FULL");
    store_rollback(store);
    test_close(&store);
    assert_true(test_open(&store, agent_folder("quota"), &options, &err));
    assert_true(run(store, "insert into t values(zeroblob(30000))"));
    (void)commit(store);
    assert_int_equal(number(store, "select count(*) from t"), 1);
    test_close(&store);
}

static void
long_texts_are_judged_not_read(void **state)
{
    struct store *store = store_must_open("long");
    char *text = malloc(200001);
    struct store_cursor *cursor;
    struct err err;

    memset(text, ' ', 200000);
    memcpy(text, "select 1", 8);
    text[200000] = '\0';
    assert_false(query(store, text, NULL, 0, &cursor, &err));
    assert_string_equal(err.message, "statement too long: SQLITE_TOOBIG");
    assert_false(query(store, "", NULL, 0, &cursor, &err));
    assert_string_equal(err.message, "SQL code did not contain a statement.");
    err_clear(&err);
    assert_false(store_query(store, bytes_from("select 1;\0select 2", 18), NULL, 0, &cursor, &err));
    free(text);
    test_close(&store);
}

static void
the_cache_has_an_end(void **state)
{
    struct store *store = store_must_open("cache");
    size_t before = store_memory(store);
    char sql[64];

    for (int i = 0; i < 3000; i++) {
        (void)snprintf(sql, sizeof sql, "select %d as a, %d as b", i, i);
        assert_true(run(store, sql));
    }
    assert_true(store_memory(store) < before + 2 * STORE_CACHE_BYTES_MAX);
    store_trim(store);
    assert_true(store_memory(store) < before + 64 * 1024);
    assert_int_equal(number(store, "select 7 as a, 7 as b"), 7);
    test_close(&store);
}

/* Runs FIRST and SECOND in turn, 100 times, each time as other texts; how much more the store holds afterwards. */
static size_t
growth_by(struct store *store, const char *first, const char *second)
{
    size_t before = store_memory(store), after;
    char sql[96];

    for (int i = 0; i < 100; i++) {
        (void)snprintf(sql, sizeof sql, "%s /* %d */", first, i);
        assert_true(run(store, sql));
        (void)snprintf(sql, sizeof sql, "%s /* %d */", second, i);
        assert_true(run(store, sql));
    }
    after = store_memory(store);
    return after > before ? after - before : 0;
}

static void
what_changed_the_schema_is_not_kept(void **state)
{
    struct store *store = store_must_open("definitions");

    assert_true(run(store, "create table t (a)"));
    assert_true(run(store, "insert into t values (1)"));
    assert_true(growth_by(store, "create table u (a, b, c)", " \n\tDROP table u") < 16 * 1024);
    assert_true(growth_by(store, "create table if not exists t (a)", "select a from t") > 100 * 1024);
    assert_int_equal(number(store, "select a from t"), 1);
    test_close(&store);
}

static int
all_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_are_workerds),
        cmocka_unit_test(bindings_reach_the_last_statement),
        cmocka_unit_test(a_text_can_run_twice_at_once),
        cmocka_unit_test(names_follow_the_schema),
        cmocka_unit_test(rows_of_a_write_outlive_its_commit),
        cmocka_unit_test(a_reader_goes_on_across_commits),
        cmocka_unit_test(a_statement_that_runs_on_is_stopped),
        cmocka_unit_test(a_full_quota_breaks_the_turn_only),
        cmocka_unit_test(long_texts_are_judged_not_read),
        cmocka_unit_test(the_cache_has_an_end),
        cmocka_unit_test(what_changed_the_schema_is_not_kept),
    };

    return cmocka_run_group_tests(tests, folder_setup, folder_teardown);
}

int
main(void)
{
    return run_in_all_modes(all_tests);
}
