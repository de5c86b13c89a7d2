/* ALTER TABLE … ADD COLUMN reads one table's definition again (sqlite.patch): the schema in memory must be what a new open finds on disk. */
#include "tests/unit/store_helper.h"

/* Each schema ends with the table `t` that gets columns; some have what makes SQLite read everything again. */
static const char *const schemas[] = {
    "create table t(a)",
    "create table u(x); create table T(a integer primary key, b text unique, c); create index t_b on t(b, c); create index \"t c\" on T(c) where c > 1",
    "create table \"it's\"(q); create table t(a text primary key, b) without rowid; create index t_e on t(b || a)",
    "create table p(id integer primary key); insert into p values (70), (80); create table t(a unique references p(id) on delete cascade, b unique); create table c(z references t(a), y references t(b))",
    "create table t(a integer primary key autoincrement, b, g as (b * 2), s as (b + 1) stored); create index t_g on t(g)",
    "create table u(x); create table t(a, b check(b > 0)); create index u_x on u(x)",
    "create table t(a, b); create view w as select * from t; create view w2 as select count(*) as n from w",
    "create table u(x); create table t(a, b); create trigger t_i after insert on t begin insert into u values (new.a); end",
    "create table t(a, b); create index t_a on t(a); insert into t values (1, 2), (3, 4), (5, 6); analyze",
    "create virtual table f using fts5(body); create table t(a, b)",
};

static const char *const columns[] = {
    "add column n1", "add column n2 text not null default 'x'", "add n3 integer references t(a)", "add column n4 int check(n4 is null or n4 < 9) default 3",
    "add column n5 as (coalesce(a, 0) || 'g')", "add column \"n 6\" collate nocase",
};

/* What the agent can learn of the schema, in an order of its own: how tables are hashed is nobody's business. */
static const char *const questions[] = {
    "select group_concat(x, char(10)) from (select l.name || ':' || l.type || ':' || l.ncol || ':' || l.wr || ':' || i.cid || ':' || i.name || ':' || i.type || ':' || i.\"notnull\""
    " || ':' || coalesce(i.dflt_value, '-') || ':' || i.pk || ':' || i.hidden as x from pragma_table_list as l, pragma_table_xinfo(l.name) as i where l.schema = 'main' order by x)",
    "select group_concat(x, char(10)) from (select m.name || ':' || l.seq || ':' || l.name || ':' || l.\"unique\" || ':' || l.origin || ':' || l.partial || ':' || x.seqno || ':' ||"
    " x.cid || ':' || coalesce(x.name, '-') || ':' || x.coll as x from sqlite_schema as m, pragma_index_list(m.name) as l, pragma_index_xinfo(l.name) as x where m.type = 'table' order by x)",
    "select group_concat(x, char(10)) from (select m.name || ':' || f.id || ':' || f.seq || ':' || f.\"table\" || ':' || f.\"from\" || ':' || f.\"to\" || ':' || f.on_delete as x"
    " from sqlite_schema as m, pragma_foreign_key_list(m.name) as f where m.type = 'table' order by x)",
    "select group_concat(type || name || tbl_name || coalesce(sql, '-'), char(10)) from sqlite_schema",
    "pragma quick_check",
    "select group_concat(n1 || n2 || coalesce(n3, '-') || coalesce(n4, '-') || n5, char(10)) from (select * from t order by 1)",
};

static void
same_as_on_disk(struct store **store, const char *folder, const char *schema)
{
    char *seen[ARRAY_LEN(questions)];

    for (size_t i = 0; i < ARRAY_LEN(questions); i++) {
        seen[i] = strdup(answer(*store, questions[i]));
        if (seen[i][0] == '!')
            fail_msg("after '%s': %s: %s", schema, questions[i], seen[i]);
    }
    test_close(store);
    *store = store_must_open(folder);
    for (size_t i = 0; i < ARRAY_LEN(questions); i++) {
        const char *on_disk = answer(*store, questions[i]);

        if (strcmp(seen[i], on_disk) != 0)
            fail_msg("after '%s' question %zu was answered\n%s\nand after opening again\n%s", schema, i, seen[i], on_disk);
        free(seen[i]);
    }
}

#define ROWS "insert into t(a) values (70), (80)"

static void
columns_are_as_on_disk(void **state)
{
    char folder[32], sql[200];

    for (size_t i = 0; i < ARRAY_LEN(schemas); i++) {
        struct store *store;

        (void)snprintf(folder, sizeof folder, "same%zu", i);
        store = store_must_open(folder);
        assert_true(run(store, schemas[i]));
        if (!run(store, ROWS))
            fail_msg("%s: %s", schemas[i], answer(store, ROWS));
        for (size_t j = 0; j < ARRAY_LEN(columns); j++) {
            (void)snprintf(sql, sizeof sql, "alter table t %s", columns[j]);
            if (!run(store, sql))
                fail_msg("%s: %s: %s", schemas[i], sql, answer(store, sql));
            assert_true(run(store, "select * from t"));
        }
        (void)commit(store);
        same_as_on_disk(&store, folder, schemas[i]);
        test_close(&store);
    }
}

static void
a_refused_column_is_not_there(void **state)
{
    struct store *store = store_must_open("refused");

    assert_true(run(store, "create table t(a, check(a is not 5)); create index t_a on t(a)"));
    assert_true(run(store, "insert into t values (1)"));
    (void)commit(store);
    assert_string_equal(answer(store, "alter table t add b check (b = 2) default 1"), "! CHECK constraint failed: SQLITE_ERROR");
    assert_false(run(store, "select b from t"));
    assert_true(run(store, "alter table t add b default 7"));
    assert_int_equal(number(store, "select b from t where a = 1"), 7);
    store_rollback(store);
    assert_false(run(store, "select b from t"));
    assert_true(run(store, "alter table t add b default 8"));
    assert_int_equal(number(store, "select b from t indexed by t_a where a = 1"), 8);
    test_close(&store);
}

static void
compiled_statements_learn_of_it(void **state)
{
    struct store *store = store_must_open("compiled");

    assert_true(run(store, "create table p(id integer primary key); create table t(a, b references p(id)); create index t_a on t(a)"));
    for (int i = 0; i < 3; i++)
        assert_true(run(store, "insert into t(a) values (1)"));
    assert_string_equal(answer(store, "select * from t where a = 1 limit 1"), "1 read, 0 written: a b | 1 NULL");
    assert_true(run(store, "alter table t add c default 'new'"));
    assert_string_equal(answer(store, "select * from t where a = 1 limit 1"), "1 read, 0 written: a b c | 1 NULL new");
    assert_true(run(store, "insert into t(a) values (1)"));
    assert_false(run(store, "insert into t(a, b) values (1, 9)"));         /* the foreign key is still known */
    assert_non_null(strstr(answer(store, "pragma quick_check"), "| ok"));
    test_close(&store);
}

static int
all_tests(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(columns_are_as_on_disk),
        cmocka_unit_test(a_refused_column_is_not_there),
        cmocka_unit_test(compiled_statements_learn_of_it),
    };

    return cmocka_run_group_tests(tests, folder_setup, folder_teardown);
}

int
main(void)
{
    return run_in_all_modes(all_tests);
}
