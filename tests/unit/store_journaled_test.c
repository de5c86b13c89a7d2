/* store_journaled_test — stores whose commits go to a journal: numbers, page sets, redo, checkpoints, files of before. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "lib/store/store_frames.h"
#include "lib/store/store_image.h"
#include "lib/store/store_internal.h"
#include "lib/store/store_pages.h"
#include "lib/sys/sys.h"
#include "tests/unit/store_helper.h"
#include "tests/unit/store_taken.h"

#define FIXTURE "tests/unit/golden/store-wal-file"

static struct sys_table real;

static const char *
file_path(const char *name, const char *file)
{
    static char path[224];

    (void)snprintf(path, sizeof path, "%s/%s", agent_folder(name), file);
    return path;
}

static int64_t
file_bytes(const char *name, const char *file)
{
    struct stat st;

    return stat(file_path(name, file), &st) == 0 ? st.st_size : -1;
}

static uint64_t
file_stamp(const char *name)
{
    uint8_t header[IMAGE_HEADER_BYTES];
    int fd = open(file_path(name, "db.sqlite"), O_RDONLY);

    assert_true(fd >= 0);
    assert_int_equal(read(fd, header, sizeof header), sizeof header);
    (void)close(fd);
    return image_stamp_of(header, sizeof header);
}

static int
descriptors(void)
{
    DIR *dir = opendir("/proc/self/fd");
    int count = 0;

    while (readdir(dir) != NULL)
        count++;
    (void)closedir(dir);
    return count;
}

static unsigned
pages_in(struct bytes sets, uint32_t *out_size)
{
    struct pages_reader reader = { .rest = sets, .pages_max = STORE_BYTES_MAX / STORE_PAGE_BYTES };
    struct pages_part part;
    struct err err;
    unsigned count = 0;
    bool end = false;

    for (;;) {
        err_clear(&err);
        if (!pages_next(&reader, &part, &end, &err))
            fail_msg("%s", err.message);
        if (end)
            break;
        count += part.count;
        *out_size = part.size_pages;
    }
    pages_reader_fini(&reader);
    return count;
}

/* ---- commits ------------------------------------------------------------------------------------------------------------ */

static void
a_commit_is_numbered_and_given_once(void **state)
{
    struct store *store = open_with("commit", BYTES_NONE, 0);
    int before = descriptors();
    struct taken taken = { 0 };
    uint32_t size = 0;

    exec(store, "create table t(a)");
    assert_int_equal(plain_commit(store), 1);
    assert_int_equal(plain_commit(store), 1);          /* nothing new */
    exec(store, "insert into t values(1)");
    assert_int_equal(plain_commit(store), 2);
    assert_int_equal(store_seq(store), 2);
    assert_int_equal(store_durable_seq(store), 0);
    assert_false(store_is_checkpointed(store));
    store_take_pages(store, taken_add, &taken);
    assert_int_equal(taken.parts, 2);
    assert_int_equal(taken.commits, 2);
    assert_int_equal(pages_in(buf_view(&taken.bytes), &size), 3);      /* the schema and the table's page; the table's page */
    assert_int_equal(size, 2);
    store_take_pages(store, taken_add, &taken);
    assert_int_equal(taken.parts, 2);
    store_set_durable(store, 1);
    assert_int_equal(store_durable_seq(store), 1);
    store_set_durable(store, 2);
    store_set_durable(store, 1);
    assert_int_equal(store_durable_seq(store), 2);
    assert_int_equal(descriptors(), before);           /* no file, no descriptor */
    store_close(&store);
    assert_int_equal(file_bytes("commit", ""), -1);

    store = open_with("commit", buf_view(&taken.bytes), 2);
    assert_int_equal(store_seq(store), 2);
    assert_int_equal(store_durable_seq(store), 2);
    assert_int_equal(number(store, "select count(*) from t"), 1);
    exec(store, "insert into t values(2)");
    assert_int_equal(plain_commit(store), 3);
    buf_clear(&taken.bytes);
    taken.parts = 0;
    store_take_pages(store, taken_add, &taken);
    assert_int_equal(taken.parts, 1);                  /* what came as redo is not given again */
    store_close(&store);
    buf_fini(&taken.bytes);
}

#define FILL "with recursive c(x) as (select 1 union all select x + 1 from c where x < %d) insert into t select x, zeroblob(3000) from c"

static void
fill(struct store *store, int rows)
{
    char sql[256];

    (void)snprintf(sql, sizeof sql, FILL, rows);
    exec(store, sql);
}

/* Rows of 3000 bytes: more than the page cache, so that frames are written before the end of the transaction. */
static void
what_is_rolled_back_never_leaves(void **state)
{
    struct store *store = open_with("undo", BYTES_NONE, 0);
    struct taken taken = { 0 };
    size_t memory;
    uint32_t size;
    struct err err;

    exec(store, "create table t(a integer primary key, b)");
    (void)plain_commit(store);
    store_take_pages(store, taken_add, &taken);
    memory = store_memory(store);
    fill(store, 600);
    assert_true(store_memory(store) > memory + 600 * 3000);
    store_rollback(store);
    store_trim(store);
    assert_true(store_memory(store) < memory + 100000);
    assert_true(store_txn_begin(store, &err));
    fill(store, 600);
    assert_true(store_txn_rollback(store, &err));
    exec(store, "insert into t values(1, 'kept')");
    buf_clear(&taken.bytes);
    assert_int_equal(plain_commit(store), 2);
    store_take_pages(store, taken_add, &taken);
    assert_int_equal(taken.commits, 2);
    assert_true(pages_in(buf_view(&taken.bytes), &size) <= 3);
    assert_int_equal(size, 2);
    store_close(&store);
    buf_fini(&taken.bytes);
}

/* A page that left the cache early is written again later: its last image counts. Large commits come in parts. */
static void
a_large_commit_comes_in_parts(void **state)
{
    struct store *store = open_with("parts", BYTES_NONE, 0);
    struct taken taken = { 0 };
    uint32_t size = 0;

    exec(store, "create table t(a integer primary key, b); create index i on t(b)");
    exec(store, "with recursive c(x) as (select 1 union all select x + 1 from c where x < 1500) insert into t select x, randomblob(3000) from c");
    exec(store, "update t set b = randomblob(3000) where a % 3 = 0");
    exec(store, "update t set b = randomblob(3000) where a < 400");
    assert_int_equal(plain_commit(store), 1);
    store_take_pages(store, taken_add, &taken);
    assert_int_equal(taken.commits, 1);
    assert_true(taken.parts > 4);
    assert_true(taken.part_max <= PAGES_PART_MAX_BYTES);
    assert_true(pages_in(buf_view(&taken.bytes), &size) <= size);
    store_close(&store);
    store = open_with("parts", buf_view(&taken.bytes), 1);      /* beyond STORE_REDO_BYTES_MAX: written to the file */
    assert_true(store_is_checkpointed(store));
    assert_int_equal(file_stamp("parts"), 1);
    assert_int_equal(file_bytes("parts", "db.sqlite"), (int64_t)size * STORE_PAGE_BYTES);
    assert_non_null(strstr(answer(store, "pragma quick_check"), "| ok"));
    assert_int_equal(number(store, "select count(distinct b) from t"), 1500);
    store_close(&store);
    buf_fini(&taken.bytes);
}

static void
a_transaction_has_a_limit(void **state)
{
    struct store *store = open_with("limit", BYTES_NONE, 0);
    struct taken taken = { 0 };
    struct err err;

    exec(store, "create table t(a integer primary key, b)");
    exec(store, "insert into t values(0, 'before')");
    assert_int_equal(plain_commit(store), 1);
    assert_string_equal(answer(store, "with recursive c(x) as (select 1 union all select x + 1 from c where x < 300)"
                                      " insert into t select x, zeroblob(300000) from c"),
                        "! database or disk is full: SQLITE_FULL");
    store_rollback(store);
    assert_true(store_is_broken(store));   /* the turn before the statement is gone, too: it must start over */
    store_take_pages(store, taken_add, &taken);
    assert_int_equal(taken.commits, 1);
    store_set_durable(store, 1);
    assert_true(store_checkpoint(store, &err));        /* what was committed is as good as before */
    store_close(&store);
    store = open_with("limit", BYTES_NONE, 0);
    assert_int_equal(store_seq(store), 1);
    assert_int_equal(number(store, "select count(*) from t"), 1);
    exec(store, "insert into t values(1, 'after')");
    assert_int_equal(plain_commit(store), 2);
    store_close(&store);
    buf_fini(&taken.bytes);
}

/* Agents that keep transactions open share what there is. */
static void
all_stores_together_have_a_limit(void **state)
{
    struct store *greedy = open_with("greedy", BYTES_NONE, 0);
    struct store *modest = open_with("modest", BYTES_NONE, 0);
    struct taken taken = { 0 };
    char sql[256];
    struct err err;

    frames_bytes_max = 4 * 1024 * 1024;
    exec(greedy, "create table t(a integer primary key, b)");
    exec(modest, "create table t(a integer primary key, b)");
    (void)plain_commit(greedy);
    (void)plain_commit(modest);
    assert_true(store_txn_begin(greedy, &err));
    fill(greedy, 1000);                    /* what the page cache does not hold: 3.5 MB */
    exec(modest, "insert into t values(1000, 1)");
    assert_int_equal(plain_commit(modest), 2);
    (void)snprintf(sql, sizeof sql, FILL, 700);
    assert_string_equal(answer(modest, sql), "! database or disk is full: SQLITE_FULL");
    store_rollback(modest);
    store_take_pages(modest, taken_add, &taken);
    assert_int_equal(taken.commits, 2);
    store_rollback(greedy);                /* gives it back */
    store_close(&modest);
    modest = open_with("modest", buf_view(&taken.bytes), 2);
    fill(modest, 700);
    assert_int_equal(plain_commit(modest), 3);
    assert_int_equal(number(modest, "select count(*) from t"), 701);
    store_close(&greedy);
    store_close(&modest);
    buf_fini(&taken.bytes);
    frames_bytes_max = STORE_FRAMES_BYTES_MAX;
}

/* ---- checkpoints --------------------------------------------------------------------------------------------------------- */

static unsigned syncs;

static int
counting_sync(int fd)
{
    syncs++;
    return 0;
}

static void
settle(struct store *store)
{
    struct taken taken = { 0 };

    (void)plain_commit(store);
    store_take_pages(store, taken_add, &taken);
    store_set_durable(store, store_seq(store));
    buf_fini(&taken.bytes);
}

static void
must_checkpoint(struct store *store)
{
    struct err err;

    err_clear(&err);
    if (!store_checkpoint(store, &err))
        fail_msg("checkpoint: %s", err.message);
    assert_true(store_is_checkpointed(store));
}

#define PAGE_ROWS "with recursive n(i) as (values(1) union all select i + 1 from n where i < %u) insert into big(b) select zeroblob(3000) from n"

/* What the store holds more after a commit of ROWS pages. */
static size_t
held_after(struct store *store, unsigned rows)
{
    size_t before = store_memory(store);
    char sql[200];

    (void)snprintf(sql, sizeof sql, PAGE_ROWS, rows);
    exec(store, sql);
    settle(store);
    return store_memory(store) - before;
}

static void
pages_of_a_large_commit_are_held_once(void **state)
{
    struct store *store = open_with("large", BYTES_NONE, 0);

    exec(store, "create table big(a integer primary key, b)");
    settle(store);
    assert_true(held_after(store, 10) >= 2 * 10 * STORE_PAGE_BYTES);       /* in the WAL and in the cache, for the next turn */
    assert_true(held_after(store, 100) < (100 + 10) * STORE_PAGE_BYTES);   /* in the WAL only */
    assert_int_equal(number(store, "select sum(length(b)) from big"), 110 * 3000);
    store_close(&store);
}

static void
a_checkpoint_makes_the_file(void **state)
{
    struct store *store = open_with("checkpoint", BYTES_NONE, 0);
    int before = descriptors();
    size_t memory;

    sys_table.fsync = counting_sync;
    sys_table.fdatasync = counting_sync;
    syncs = 0;
    assert_true(store_is_checkpointed(store));
    must_checkpoint(store);
    assert_int_equal(file_bytes("checkpoint", ""), -1);        /* nothing written: nothing made */
    exec(store, "create table t(a integer primary key, b)");
    settle(store);
    assert_false(store_wants_checkpoint(store));
    memory = store_memory(store);
    must_checkpoint(store);
    assert_true(store_memory(store) <= memory - 2 * STORE_PAGE_BYTES);
    assert_int_equal(file_bytes("checkpoint", "db.sqlite"), 2 * STORE_PAGE_BYTES);
    assert_int_equal(file_bytes("checkpoint", "db.sqlite-wal"), -1);
    assert_int_equal(file_stamp("checkpoint"), 1);
    assert_int_equal(descriptors(), before + 1);
    for (int i = 0; i < 3; i++) {
        fill(store, 100);
        settle(store);
        assert_int_equal(file_stamp("checkpoint"), 1 + 2 * i);
        exec(store, "delete from t");
        settle(store);
        must_checkpoint(store);
        assert_int_equal(file_stamp("checkpoint"), 3 + 2 * i);
    }
    for (int i = 0; !store_wants_checkpoint(store); i++) {
        assert_true(i < 300);
        exec(store, "insert into t values(null, zeroblob(4000))");
        settle(store);
    }
    exec(store, "insert into t values(null, 1)");
    (void)plain_commit(store);
    assert_true(store_wants_checkpoint(store));        /* durable or not: its owner waits for that */
    settle(store);
    must_checkpoint(store);
    assert_false(store_wants_checkpoint(store));
    assert_int_equal(syncs, 0);
    sys_table = real;
    store_close(&store);
    store = open_with("checkpoint", BYTES_NONE, 0);
    assert_int_equal(store_seq(store), file_stamp("checkpoint"));
    assert_non_null(strstr(answer(store, "pragma quick_check"), "| ok"));
    store_close(&store);
}

/* The number of the file's last commit is vouched for like its pages; the records know it as well. */
static void
a_spoiled_number_is_not_believed(void **state)
{
    struct store *store = open_with("number", BYTES_NONE, 0);
    struct taken taken = { 0 };
    uint8_t note[IMAGE_STAMP_BYTES + IMAGE_MEMO_BYTES];
    struct err err;
    int fd;

    exec(store, "create table t(a)");
    store_set_durable(store, plain_commit(store));
    store_take_pages(store, taken_add, &taken);
    must_checkpoint(store);
    store_close(&store);
    fd = open(file_path("number", "db.sqlite"), O_RDWR);
    assert_int_equal(pread(fd, note, sizeof note, IMAGE_STAMP_OFFSET), sizeof note);
    for (size_t bit = 0; bit < sizeof note * 8; bit++) {
        note[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_int_equal(pwrite(fd, note, sizeof note, IMAGE_STAMP_OFFSET), sizeof note);
        note[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_false(store_open(&store, agent_folder("number"), &(struct store_options){ .is_journaled = true }, &err));
        assert_int_equal(err.code, ERR_CORRUPT);
    }
    (void)close(fd);
    for (int i = 0; i < 2; i++) {          /* the records put it right */
        store = open_with("number", i == 0 ? buf_view(&taken.bytes) : BYTES_NONE, i == 0);
        assert_int_equal(store_seq(store), 1);
        must_checkpoint(store);
        store_close(&store);
    }
    buf_fini(&taken.bytes);
}

/* SQLite cannot start the WAL over then; the pages go all the same, and the cursor reads on. */
static void
an_open_cursor_does_not_stop_a_checkpoint(void **state)
{
    struct store *store = open_with("cursor", BYTES_NONE, 0);
    struct store_cursor *cursor;
    struct store_value value;
    struct err err;
    size_t memory;
    int64_t rows = 0;

    exec(store, "create table t(a integer primary key, b); create table u(a, b)");
    fill(store, 400);
    settle(store);
    must_checkpoint(store);
    memory = store_memory(store);
    assert_true(store_query(store, BYTES_LIT("select a from t where length(b) = 3000"), NULL, 0, &cursor, &err));
    for (int round = 0; round < 20; round++) {
        exec(store, "update t set b = zeroblob(3000) where a > 390");
        exec(store, "insert into u select a, zeroblob(3000) from t limit 50");
        settle(store);
        exec(store, "insert into u values(1, 1)");
        store_rollback(store);
        must_checkpoint(store);
        assert_true(store_cursor_next(cursor, &err));
        rows++;
    }
    assert_true(store_memory(store) < memory + 1000000);       /* of 6 MB written: the page cache and the heads of frames */
    assert_int_equal(number(store, "select count(*) from u"), 1000);
    while (store_cursor_has_row(cursor)) {
        store_cursor_value(cursor, 0, &value);
        assert_int_equal(value.integer, ++rows);
        assert_true(store_cursor_next(cursor, &err));
    }
    assert_int_equal(rows, 400);
    store_cursor_close(&cursor);
    store_trim(store);
    assert_non_null(strstr(answer(store, "pragma quick_check"), "| ok"));
    exec(store, "insert into u values(1, 1)");
    settle(store);
    must_checkpoint(store);
    store_close(&store);
    store = open_with("cursor", BYTES_NONE, 0);
    assert_non_null(strstr(answer(store, "pragma quick_check"), "| ok"));
    assert_int_equal(number(store, "select count(*) from u"), 1001);
    store_close(&store);
}

/* What a transaction under way has written stays out of it, and in memory. */
static void
an_open_transaction_does_not_stop_a_checkpoint(void **state)
{
    struct store *store = open_with("open", BYTES_NONE, 0);
    struct err err;

    exec(store, "create table t(a integer primary key, b)");
    fill(store, 300);
    settle(store);
    for (int round = 0; round < 4; round++) {
        exec(store, "insert into t values(null, 'kept')");
        settle(store);
        assert_true(store_txn_begin(store, &err));
        exec(store, "update t set b = zeroblob(2500) where length(b) > 10");    /* more than the page cache */
        must_checkpoint(store);
        assert_true(store_is_dirty(store));
        exec(store, "insert into t values(null, 'with it')");
        if (round % 2 == 0) {
            store_rollback(store);
        } else {
            assert_true(store_txn_commit(store, &err));
            settle(store);
        }
        assert_int_equal(number(store, "select count(*) from t where length(b) > 10"), 300);
        assert_int_equal(number(store, "select max(length(b)) from t"), round == 0 ? 3000 : 2500);
        assert_non_null(strstr(answer(store, "pragma quick_check"), "| ok"));
    }
    exec(store, "create table if not exists t(a)");            /* begins, and writes nothing */
    must_checkpoint(store);
    store_close(&store);
    store = open_with("open", BYTES_NONE, 0);
    assert_int_equal(number(store, "select count(*) from t"), 306);
    assert_int_equal(number(store, "select max(length(b)) from t"), 2500);
    assert_non_null(strstr(answer(store, "pragma quick_check"), "| ok"));
    store_close(&store);
}

/* ---- redo ----------------------------------------------------------------------------------------------------------------- */

static bool
opens(const char *name, struct bytes redo, uint64_t redo_seq, struct err *err)
{
    struct store_options options = { .is_journaled = true, .redo = redo, .redo_seq = redo_seq };
    struct store *store = NULL;
    bool ok;

    err_clear(err);
    ok = store_open(&store, agent_folder(name), &options, err);
    store_close(&store);
    return ok;
}

static void
records_must_fit_the_file(void **state)
{
    struct store *store = open_with("fit", BYTES_NONE, 0);
    struct taken first = { 0 };
    struct taken later = { 0 };
    struct err err;

    exec(store, "create table t(a integer primary key, b)");
    fill(store, 20);
    (void)plain_commit(store);
    store_take_pages(store, taken_add, &first);
    exec(store, "insert into t values(100, 1)");
    (void)plain_commit(store);
    store_take_pages(store, taken_add, &later);
    store_set_durable(store, 2);
    /* Records that continue a file which is not there. */
    assert_false(opens("nofile", buf_view(&later.bytes), 2, &err));
    assert_int_equal(err.code, ERR_CORRUPT);
    assert_non_null(strstr(err.message, "is missing or empty"));
    /* A file that is newer than its records. */
    must_checkpoint(store);
    store_close(&store);
    assert_false(opens("fit", buf_view(&first.bytes), 1, &err));
    assert_int_equal(err.code, ERR_CORRUPT);
    assert_non_null(strstr(err.message, "newer than the journal's records"));
    assert_true(opens("fit", buf_view(&later.bytes), 2, &err));
    /* Half a record, and a number that goes on. */
    assert_false(opens("fit", bytes_from(later.bytes.data, later.bytes.len - 1), 2, &err));
    assert_int_equal(err.code, ERR_CORRUPT);
    store = open_with("fit", BYTES_NONE, 7);
    assert_int_equal(store_seq(store), 7);
    assert_int_equal(number(store, "select count(*) from t"), 21);
    store_close(&store);
    buf_fini(&first.bytes);
    buf_fini(&later.bytes);
}

/* A power cut in the first checkpoint: the file is there, its first page is not. */
static void
a_file_without_its_first_page_is_its_records(void **state)
{
    struct store *store = open_with("headless", BYTES_NONE, 0);
    static const uint8_t zeros[STORE_PAGE_BYTES];
    struct taken taken = { 0 };
    struct err err;
    int fd;

    exec(store, "create table t(a integer primary key, b)");
    fill(store, 20);
    (void)plain_commit(store);
    store_take_pages(store, taken_add, &taken);
    store_set_durable(store, 1);
    must_checkpoint(store);
    store_close(&store);
    fd = open(file_path("headless", "db.sqlite"), O_RDWR);
    assert_int_equal(pwrite(fd, zeros, sizeof zeros, 0), sizeof zeros);
    assert_int_equal(pwrite(fd, "junk", 4, 3 * STORE_PAGE_BYTES), 4);
    (void)close(fd);
    assert_false(opens("headless", BYTES_NONE, 0, &err));
    assert_int_equal(err.code, ERR_CORRUPT);
    store = open_with("headless", buf_view(&taken.bytes), 1);
    assert_non_null(strstr(answer(store, "pragma quick_check"), "| ok"));
    assert_int_equal(number(store, "select count(*) from t"), 20);
    must_checkpoint(store);
    store_close(&store);
    store = open_with("headless", BYTES_NONE, 0);
    assert_non_null(strstr(answer(store, "pragma quick_check"), "| ok"));
    assert_int_equal(number(store, "select count(*) from t"), 20);
    store_close(&store);
    buf_fini(&taken.bytes);
}

/* A power cut in the first checkpoint leaves the front of the first sector at best. Records that are whole need nothing of the file. */
static void
a_torn_first_page_is_its_records(void **state)
{
    static const int kept_bytes[] = { 1, 5, 15, 16, 17, 18, 19, 20, 21, 23, 24, 28, 40, 75, 80, 92, 99, 100, 300 };
    struct store *store = open_with("torn", BYTES_NONE, 0);
    struct taken taken = { 0 }, later = { 0 };
    uint8_t page[STORE_PAGE_BYTES];
    struct err err;
    int fd;

    exec(store, "create table t(a integer primary key, b)");
    fill(store, 20);
    (void)plain_commit(store);
    store_take_pages(store, taken_add, &taken);
    exec(store, "update t set b = 'x' where a = 3");
    (void)plain_commit(store);
    store_take_pages(store, taken_add, &later);
    buf_append_bytes(&taken.bytes, buf_view(&later.bytes));
    store_set_durable(store, 2);
    must_checkpoint(store);
    store_close(&store);
    for (size_t i = 0; i < ARRAY_LEN(kept_bytes); i++) {
        fd = open(file_path("torn", "db.sqlite"), O_RDWR);
        assert_int_equal(pread(fd, page, sizeof page, 0), sizeof page);
        memset(page + kept_bytes[i], 0, sizeof page - (size_t)kept_bytes[i]);
        assert_int_equal(pwrite(fd, page, sizeof page, 0), sizeof page);
        (void)close(fd);
        if (kept_bytes[i] < 20) {          /* else it begins as a database does; whether it is one, SQLite judges */
            assert_false(opens("torn", BYTES_NONE, 0, &err));
            assert_int_equal(err.code, ERR_CORRUPT);
            assert_false(opens("torn", buf_view(&later.bytes), 2, &err));      /* they need what is not there */
            assert_int_equal(err.code, ERR_CORRUPT);
            assert_non_null(strstr(err.message, "is damaged"));
        }
        store = open_with("torn", buf_view(&taken.bytes), 2);
        assert_non_null(strstr(answer(store, "pragma quick_check"), "| ok"));
        assert_int_equal(number(store, "select count(*) from t"), 20);
        must_checkpoint(store);
        store_close(&store);
        store = open_with("torn", BYTES_NONE, 0);
        assert_non_null(strstr(answer(store, "pragma quick_check"), "| ok"));
        assert_int_equal(number(store, "select count(*) from t"), 20);
        store_close(&store);
    }
    buf_fini(&taken.bytes);
    buf_fini(&later.bytes);
}

/* ---- files of before -------------------------------------------------------------------------------------------------------- */

static void
fixture_copy(const char *name)
{
    char command[512];

    (void)snprintf(command, sizeof command, "mkdir -p '%s' && cp " FIXTURE "/db.sqlite " FIXTURE "/db.sqlite-wal '%s'", agent_folder(name),
                   agent_folder(name));
    assert_int_equal(system(command), 0);
}

/* FIXTURE was made by the release that kept the WAL in a file; it ended without closing. */
static void
the_last_releases_files_are_taken_in(void **state)
{
    struct buf name = { 0 };
    struct store *store;
    bool found;
    int64_t ms;
    struct err err;

    fixture_copy("former");
    assert_true(file_bytes("former", "db.sqlite-wal") > 0);
    assert_false(opens("former", BYTES_LIT("records"), 5, &err));      /* not after it was taken in: who knows which is newer? */
    assert_int_equal(err.code, ERR_CORRUPT);
    assert_non_null(strstr(err.message, "has a -wal file"));
    assert_true(file_bytes("former", "db.sqlite-wal") > 0);
    sys_table.fsync = counting_sync;
    sys_table.fdatasync = counting_sync;
    syncs = 0;
    store = open_with("former", BYTES_NONE, 0);
    assert_true(syncs >= 4);               /* the WAL, the database, its folder and the one above */
    sys_table = real;
    assert_int_equal(store_seq(store), 0);
    assert_true(store_is_checkpointed(store));
    assert_int_equal(file_bytes("former", "db.sqlite-wal"), -1);
    assert_string_equal(answer(store, "select a, b from t"),
                        "4 read, 0 written: a b | 1 in the database | 10 in the log | 11 in the log | 12 in the log");
    assert_true(store_alarm_get(store, &ms, &err));
    assert_true(ms == 1796173682538);
    assert_true(store_name_get(store, &name, &found, &err));
    assert_true(found && bytes_equal_str(buf_view(&name), "Ada"));
    assert_true(store_kv_delete(store, BYTES_LIT("key"), &found, &err));
    assert_true(found);
    settle(store);
    assert_int_equal(store_seq(store), 1);
    must_checkpoint(store);
    store_close(&store);
    store = open_with("former", BYTES_NONE, 0);
    assert_int_equal(store_seq(store), 1);
    assert_int_equal(number(store, "select count(*) from t"), 4);
    assert_true(store_kv_delete(store, BYTES_LIT("key"), &found, &err));
    assert_false(found);
    store_close(&store);
    /* A self-synced store leaves the number alone. */
    assert_true(store_open(&store, agent_folder("former"), NULL, &err));
    exec(store, "insert into t values(50, 'by hand')");
    assert_int_equal(plain_commit(store), 1);
    store_close(&store);
    store = open_with("former", BYTES_NONE, 0);
    assert_int_equal(store_seq(store), 1);
    assert_int_equal(number(store, "select count(*) from t"), 5);
    store_close(&store);
    buf_fini(&name);
}

/* ---- page sets ---------------------------------------------------------------------------------------------------------------- */

static bool
reads(struct bytes sets, struct err *err)
{
    struct pages_reader reader = { .rest = sets, .pages_max = 1000 };
    struct pages_part part;
    bool end = false;
    bool ok = true;

    err_clear(err);
    while (ok && !end)
        ok = pages_next(&reader, &part, &end, err);
    pages_reader_fini(&reader);
    return ok;
}

static void
page_sets_are_checked(void **state)
{
    static const struct { size_t at; uint8_t value; } damages[] = {
        { 0, 2 }, { 1, 2 }, { 2, 1 }, { 3, 1 }, { 4, 6 }, { 5, 9 }, { 8, 0 }, { 8, 4 }, { 9, 1 }, { 12, 1 }, { 15, 1 },
        { 16, 0 }, { 16, 4 }, { 17, 5 }, { 24, 8 },
    };
    static uint8_t page[4][STORE_PAGE_BYTES];
    struct page_image many[PAGES_PART_MAX];
    struct page_image images[] = { { .number = 1, .data = page[0] }, { .number = 4, .data = page[1] }, { .number = 7, .data = page[2] } };
    struct buf set = { 0 };
    struct err err;

    memset(page[1], 'b', sizeof page[1]);
    pages_pack(&set, images, 3, 7);
    assert_true(set.len < 200);
    assert_true(reads(buf_view(&set), &err));
    for (size_t i = 0; i < set.len; i++) {
        assert_false(reads(bytes_from(set.data, i), &err) && i > 0);
        assert_int_equal(i == 0 ? ERR_MALFORMED : err.code, ERR_MALFORMED);
    }
    for (size_t i = 0; i < ARRAY_LEN(damages); i++) {
        uint8_t was = set.data[damages[i].at];
        set.data[damages[i].at] = damages[i].value;
        if (reads(buf_view(&set), &err))
            fail_msg("byte %zu may be %u", damages[i].at, damages[i].value);
        set.data[damages[i].at] = was;
    }
    /* Parts: numbers rise from one to the next, and the last must come. */
    buf_clear(&set);
    pages_pack(&set, images, 1, 0);
    assert_false(reads(buf_view(&set), &err));
    pages_pack(&set, images + 1, 2, 7);
    assert_true(reads(buf_view(&set), &err));
    pages_pack(&set, images + 1, 1, 0);
    pages_pack(&set, images, 1, 7);
    assert_false(reads(buf_view(&set), &err));
    /* What does not compress is kept as it is. */
    rng_bytes(page, sizeof page);
    buf_clear(&set);
    pages_pack(&set, images, 3, 7);
    assert_int_equal(set.len, PAGES_HEAD_BYTES + 3 * (4 + STORE_PAGE_BYTES));
    assert_true(reads(buf_view(&set), &err));
    buf_append_byte(&set, 0);
    assert_false(reads(buf_view(&set), &err));
    for (size_t i = 0; i < PAGES_PART_MAX; i++)
        many[i] = (struct page_image){ .number = (uint32_t)i + 1, .data = page[i % 3] + i };
    rng_bytes(page, sizeof page);
    buf_clear(&set);
    pages_pack(&set, many, PAGES_PART_MAX, PAGES_PART_MAX);
    assert_true(set.len <= PAGES_PART_MAX_BYTES);
    assert_true(reads(buf_view(&set), &err));
    buf_fini(&set);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_commit_is_numbered_and_given_once),
        cmocka_unit_test(what_is_rolled_back_never_leaves),
        cmocka_unit_test(a_spoiled_number_is_not_believed),
        cmocka_unit_test(a_large_commit_comes_in_parts),
        cmocka_unit_test(a_transaction_has_a_limit),
        cmocka_unit_test(all_stores_together_have_a_limit),
        cmocka_unit_test(pages_of_a_large_commit_are_held_once),
        cmocka_unit_test(a_checkpoint_makes_the_file),
        cmocka_unit_test(an_open_cursor_does_not_stop_a_checkpoint),
        cmocka_unit_test(an_open_transaction_does_not_stop_a_checkpoint),
        cmocka_unit_test(records_must_fit_the_file),
        cmocka_unit_test(a_file_without_its_first_page_is_its_records),
        cmocka_unit_test(a_torn_first_page_is_its_records),
        cmocka_unit_test(the_last_releases_files_are_taken_in),
        cmocka_unit_test(page_sets_are_checked),
    };

    real = sys_table;
    return cmocka_run_group_tests(tests, folder_setup, folder_teardown);
}
