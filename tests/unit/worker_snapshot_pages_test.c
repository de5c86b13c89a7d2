/* Pages that snapshots share: whatever happens to a database, each chain makes it as it was; packs hold what is new, and damage is found. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "lib/store/store.h"
#include "lib/sys/sys.h"
#include "src/worker/snapshot_pages.h"

#define SHOTS 60

static char folder[128];
static const struct agent_id owner = { { 7 } };

struct shot {
    struct snapshot_id    id;
    struct snapshot_chain chain;
    uint64_t              seq;
    struct buf            dump;
    size_t                pack_bytes;
};

static const char *
path_of(const char *name)
{
    static char path[256];

    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static const char *
pack_path(const struct snapshot_id *id)
{
    char hex[SNAPSHOT_ID_HEX + 1], name[SNAPSHOT_ID_HEX + 16];

    snapshot_id_to_hex(id, hex);
    (void)snprintf(name, sizeof name, "%s" SNAPSHOT_PACK_SUFFIX, hex);
    return path_of(name);
}

static struct snapshot_place
place(void)
{
    return (struct snapshot_place){ .folder = folder, .agent = owner };
}

static struct store *
open_store(const char *name, struct bytes redo, uint64_t redo_seq)
{
    struct store_options options = { .is_journaled = true, .redo = redo, .redo_seq = redo_seq };
    struct store *store = NULL;
    struct err err = { 0 };

    if (!store_open(&store, path_of(name), &options, &err))
        fail_msg("%s", err.message);
    return store;
}

static void
run(struct store *store, const char *sql)
{
    struct store_cursor *cursor = NULL;
    struct err err = { 0 };

    if (!store_query(store, bytes_of(sql), NULL, 0, &cursor, &err))
        fail_msg("%s: %s", sql, err.message);
    while (store_cursor_has_row(cursor))
        assert_true(store_cursor_next(cursor, &err));
    store_cursor_close(&cursor);
}

static void
forget_pages(void *unused, struct bytes pages, bool more)
{
}

static void
commit(struct store *store)
{
    struct err err = { 0 };
    uint64_t seq;

    assert_true(store_commit(store, &seq, &err));
    store_take_pages(store, forget_pages, NULL);
    store_set_durable(store, seq);
}

/* All that the database says of its contents. */
static void
dump(struct store *store, struct buf *out)
{
    static const char sql[] = "SELECT id, length(b), hex(substr(b, 1, 20)), hex(substr(b, -20)) FROM t ORDER BY id";
    struct store_cursor *cursor = NULL;
    struct err err = { 0 };

    assert_true(store_query(store, BYTES_LIT(sql), NULL, 0, &cursor, &err));
    while (store_cursor_has_row(cursor)) {
        for (unsigned i = 0; i < 4; i++) {
            struct store_value v;

            store_cursor_value(cursor, i, &v);
            if (v.type == STORE_TEXT)
                buf_append_bytes(out, v.bytes);
            else
                buf_printf(out, " %lld ", (long long)v.integer);
        }
        assert_true(store_cursor_next(cursor, &err));
    }
    store_cursor_close(&cursor);
    buf_printf(out, " %lld", (long long)store_image_bytes(store));
}

static void
write_file(const char *path, struct bytes data)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

    assert_true(fd >= 0 && write(fd, data.data, data.len) == (ssize_t)data.len);
    (void)close(fd);
}

static void
shoot(struct store *store, const struct shot *parent, struct shot *out, int64_t now_ms)
{
    struct snapshot_place at = place();
    struct snapshot_known *known = NULL;
    struct buf pack = { 0 };
    struct err err = { 0 };

    struct snapshot_chain chain = { 0 };

    if (parent != NULL)
        chain = parent->chain;
    buf_fini(&out->dump);
    *out = (struct shot){ .id = snapshot_id_new(now_ms), .seq = store_seq(store), .chain = chain };
    if (parent != NULL) {
        assert_true(snapshot_known_read(&known, &at, &out->chain, &err));
    }
    assert_true(snapshot_pages_take(store, &out->id, &owner, known, &out->chain, &pack, &err));
    snapshot_known_free(&known);
    out->pack_bytes = pack.len;
    if (pack.len > 0)
        write_file(pack_path(&out->id), buf_view(&pack));
    buf_fini(&pack);
    dump(store, &out->dump);
}

static void
check(const struct shot *shot)
{
    struct snapshot_place at = place();
    struct buf records = { 0 }, now = { 0 };
    struct err err = { 0 };
    struct store *store;

    if (!snapshot_pages_read(&records, &at, &shot->chain, &err))
        fail_msg("%s", err.message);
    store = open_store("copy", buf_view(&records), shot->seq);
    dump(store, &now);
    assert_int_equal(now.len, shot->dump.len);
    assert_memory_equal(now.data, shot->dump.data, now.len);
    run(store, "PRAGMA quick_check");
    store_close(&store);
    assert_true(store_remove(path_of("copy"), &err));
    buf_fini(&records);
    buf_fini(&now);
}

static unsigned
chance(unsigned n)
{
    static uint64_t state = 12345;

    state = state * 6364136223846793005u + 1442695040888963407u;
    return (unsigned)(state >> 33) % n;
}

static void
change(struct store *store)
{
    char sql[256];
    struct err err = { 0 };
    int64_t pairs;

    switch (chance(12)) {
    case 0:
        assert_true(store_delete_all(store, STORE_KEEP_NOTHING, &pairs, &err));
        run(store, "CREATE TABLE t (id INTEGER PRIMARY KEY, b BLOB)");
        return;
    case 1:
        run(store, "DELETE FROM t");
        return;
    case 2: case 3:
        (void)snprintf(sql, sizeof sql, "DELETE FROM t WHERE id %% %u = 0", 2 + chance(5));
        break;
    case 4: case 5: case 6:
        (void)snprintf(sql, sizeof sql, "UPDATE t SET b = randomblob(%u) WHERE id = %u", 1 + chance(9000), chance(300));
        break;
    default:
        (void)snprintf(sql, sizeof sql, "INSERT INTO t (b) SELECT randomblob(%u) FROM (WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT %u) SELECT i FROM n)",
                       1 + chance(3000), 1 + chance(60));
    }
    run(store, sql);
}

/* The parent of each is any of the earlier ones, as after a restore; the store is checkpointed now and then. */
static void
test_any_history_comes_back(void **state)
{
    static struct shot shots[SHOTS];
    struct store *store = open_store("agent", BYTES_NONE, 0);
    struct err err = { 0 };

    run(store, "CREATE TABLE t (id INTEGER PRIMARY KEY, b BLOB)");
    commit(store);
    for (int i = 0; i < SHOTS; i++) {
        shoot(store, i > 0 ? &shots[chance(4) > 0 ? (unsigned)i - 1 : chance((unsigned)i)] : NULL, &shots[i], i);
        check(&shots[i]);
        for (unsigned n = chance(3); n > 0; n--)
            change(store);
        commit(store);
        if (chance(3) == 0)
            assert_true(store_checkpoint(store, &err));
    }
    for (int i = 0; i < SHOTS; i++) {
        check(&shots[i]);
        buf_fini(&shots[i].dump);
    }
    store_close(&store);
}

static void
test_a_row_more_costs_its_pages(void **state)
{
    struct store *store = open_store("agent", BYTES_NONE, 0);
    struct shot shots[SNAPSHOT_PACKS_MAX + 2] = { 0 }, same = { 0 };
    struct err err = { 0 };

    run(store, "CREATE TABLE t (id INTEGER PRIMARY KEY, b BLOB)");
    run(store, "INSERT INTO t (b) SELECT randomblob(3000) FROM (WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 700) SELECT i FROM n)");
    commit(store);
    for (size_t i = 0; i < ARRAY_LEN(shots); i++) {
        shoot(store, i > 0 ? &shots[i - 1] : NULL, &shots[i], (int64_t)i);
        assert_int_equal(shots[i].chain.count, i < SNAPSHOT_PACKS_MAX ? i + 1 : i - SNAPSHOT_PACKS_MAX + 1);   /* then it begins anew */
        assert_true(i % SNAPSHOT_PACKS_MAX == 0 ? shots[i].pack_bytes > 2000000 : shots[i].pack_bytes < 40000);
        run(store, "UPDATE t SET b = randomblob(3000) WHERE id = 350");
        commit(store);
    }
    shoot(store, &shots[1], &shots[0], 1000);
    shoot(store, &shots[0], &same, 1001);
    assert_int_equal(same.pack_bytes, 0);      /* nothing is new */
    assert_true(store_checkpoint(store, &err));
    shoot(store, &same, &same, 1001);
    assert_true(same.pack_bytes < 2000);       /* but the number of the commit in page 1 */
    assert_int_equal(same.chain.count, shots[0].chain.count);
    run(store, "UPDATE t SET b = randomblob(3000)");
    commit(store);
    shoot(store, &same, &shots[0], 1002);
    assert_int_equal(shots[0].chain.count, same.chain.count + 1);
    run(store, "UPDATE t SET b = randomblob(3000)");
    commit(store);
    shoot(store, &shots[0], &same, 1003);      /* it would be three times the database */
    assert_int_equal(same.chain.count, 1);
    check(&same);
    buf_fini(&same.dump);
    for (size_t i = 0; i < ARRAY_LEN(shots); i++)
        buf_fini(&shots[i].dump);
    store_close(&store);
}

static void
test_damage_is_found(void **state)
{
    struct store *store = open_store("agent", BYTES_NONE, 0);
    struct snapshot_place at = place(), others = at;
    struct snapshot_known *known = NULL;
    struct buf records = { 0 }, file = { 0 };
    struct err err = { 0 };
    struct shot shot = { 0 };

    run(store, "CREATE TABLE t (id INTEGER PRIMARY KEY, b BLOB)");
    run(store, "INSERT INTO t (b) SELECT zeroblob(900) FROM (WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 20) SELECT i FROM n)");
    commit(store);
    shoot(store, NULL, &shot, 1);
    assert_true(snapshot_file_read(pack_path(&shot.id), &file, &err));
    for (size_t i = 0; i < file.len; i++) {
        file.data[i] ^= 4;
        write_file(pack_path(&shot.id), buf_view(&file));
        buf_clear(&records);
        assert_false(snapshot_pages_read(&records, &at, &shot.chain, NULL));
        file.data[i] ^= 4;
    }
    for (size_t len = 0; len < file.len; len += 7) {
        write_file(pack_path(&shot.id), bytes_from(file.data, len));
        assert_false(snapshot_pages_read(&records, &at, &shot.chain, NULL));
    }
    write_file(pack_path(&shot.id), buf_view(&file));
    others.agent.bytes[0] ^= 1;
    assert_false(snapshot_pages_read(&records, &others, &shot.chain, &err));
    assert_int_equal(err.code, ERR_CORRUPT);
    check(&shot);
    assert_int_equal(unlink(pack_path(&shot.id)), 0);
    assert_false(snapshot_known_read(&known, &at, &shot.chain, &err));
    assert_null(known);
    buf_fini(&records);
    buf_fini(&file);
    buf_fini(&shot.dump);
    store_close(&store);
}

static int
setup(void **state)
{
    (void)snprintf(folder, sizeof folder, "/tmp/dormouse-pages-test-%d", (int)getpid());
    return mkdir(folder, 0700);
}

static int
teardown(void **state)
{
    char command[256];

    (void)snprintf(command, sizeof command, "rm -rf '%s'", folder);
    return system(command) == 0 ? 0 : -1;
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_any_history_comes_back, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_row_more_costs_its_pages, setup, teardown),
        cmocka_unit_test_setup_teardown(test_damage_is_found, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
