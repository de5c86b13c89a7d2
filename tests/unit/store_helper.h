/*
 * store_helper — what the tests of lib/store share: a folder of one's own, one-line queries, and a journal.
 *
 * run_in_all_modes() runs a test file once with stores that sync, and twice with journaled ones: the test journal keeps page sets by folder
 * and gives them back as redo, until a checkpoint; with MODE_RESTING each store is checkpointed before it is closed, too.
 */
#ifndef DORMOUSE_TESTS_STORE_HELPER_H
#define DORMOUSE_TESTS_STORE_HELPER_H

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "lib/store/store.h"

enum test_mode { MODE_SYNCED, MODE_JOURNALED, MODE_RESTING };

static enum test_mode test_mode;
static char test_folder[64];               /* of this test; agents live in test_folder/ab/NAME */

static UNUSED int
folder_setup(void **state)
{
    (void)snprintf(test_folder, sizeof test_folder, "/tmp/dormouse-store-XXXXXX");
    return mkdtemp(test_folder) == NULL ? -1 : 0;
}

static UNUSED int
folder_teardown(void **state)
{
    char command[128];

    (void)snprintf(command, sizeof command, "rm -rf '%s'", test_folder);
    return system(command);
}

static UNUSED const char *
agent_folder(const char *name)
{
    static char path[160];

    (void)snprintf(path, sizeof path, "%s/ab/%s", test_folder, name);
    return path;
}

/* ---- a journal -------------------------------------------------------------------------------------------------------- */

struct test_journal {                      /* one agent's */
    struct test_journal *next;
    char                 folder[256];
    struct store        *store;            /* NULL while it is closed */
    uint64_t             opened_seq;       /* numbers of the open store are told from here */
    uint64_t             seq;
    struct buf           redo;             /* of commits since the last checkpoint */
};

static struct test_journal *journals;

static UNUSED struct test_journal *
journal_of_folder(const char *folder)
{
    struct test_journal *journal = journals;

    while (journal != NULL && strcmp(journal->folder, folder) != 0)
        journal = journal->next;
    if (journal == NULL) {
        journal = calloc(1, sizeof *journal);
        assert_non_null(journal);
        (void)snprintf(journal->folder, sizeof journal->folder, "%s", folder);
        journal->next = journals;
        journals = journal;
    }
    return journal;
}

static UNUSED struct test_journal *
journal_of(const struct store *store)
{
    struct test_journal *journal = journals;

    while (journal != NULL && journal->store != store)
        journal = journal->next;
    assert_non_null(journal);
    return journal;
}

static UNUSED void
journal_forget(struct test_journal *journal)
{
    buf_fini(&journal->redo);
    journal->seq = 0;
}

static UNUSED void
journals_free(void)
{
    while (journals != NULL) {
        struct test_journal *journal = journals;
        journals = journal->next;
        buf_fini(&journal->redo);
        free(journal);
    }
}

static void
journal_append(void *owner, struct bytes pages, bool more)
{
    struct test_journal *journal = owner;

    assert_true(pages.len > 0);
    buf_append_bytes(&journal->redo, pages);
}

/* What a worker does after a commit, with a journal that is always at once durable. */
static UNUSED void
journal_take(struct store *store)
{
    struct test_journal *journal = journal_of(store);

    store_take_pages(store, journal_append, journal);
    journal->seq = store_seq(store);
    store_set_durable(store, journal->seq);
}

static UNUSED bool
test_checkpoint(struct store *store, struct err *err)
{
    if (test_mode == MODE_SYNCED)
        return store_empty_wal(store, err);
    if (!store_checkpoint(store, err))
        return false;
    assert_true(store_is_checkpointed(store));
    buf_fini(&journal_of(store)->redo);
    return true;
}

static UNUSED bool
test_open(struct store **out_store, const char *folder, const struct store_options *options, struct err *err)
{
    struct store_options journaled = { 0 };
    struct test_journal *journal;

    if (test_mode == MODE_SYNCED)
        return store_open(out_store, folder, options, err);
    journal = journal_of_folder(folder);
    if (options != NULL)
        journaled = *options;
    journaled.is_journaled = true;
    journaled.redo = buf_view(&journal->redo);
    journaled.redo_seq = journal->seq;
    if (!store_open(out_store, folder, &journaled, err))
        return false;
    assert_true(store_seq(*out_store) >= journal->seq);
    journal->store = *out_store;
    journal->opened_seq = store_seq(*out_store);
    return true;
}

static UNUSED bool
test_commit(struct store *store, uint64_t *out_seq, struct err *err)
{
    struct err ignored;

    if (!store_commit(store, out_seq, err))
        return false;
    if (test_mode == MODE_SYNCED)
        return true;
    *out_seq -= journal_of(store)->opened_seq;
    journal_take(store);
    if (store_wants_checkpoint(store))
        (void)test_checkpoint(store, &ignored);        /* faults may be armed; the journal keeps the records then */
    return true;
}

static UNUSED void
test_close(struct store **store)
{
    struct test_journal *journal;
    struct err ignored;

    if (*store != NULL && test_mode != MODE_SYNCED) {
        journal = journal_of(*store);
        store_rollback(*store);
        journal_take(*store);
        if (test_mode == MODE_RESTING)
            (void)test_checkpoint(*store, &ignored);   /* as above */
        journal->store = NULL;
    }
    store_close(store);
}

static UNUSED bool
test_remove(const char *folder, struct err *err)
{
    journal_forget(journal_of_folder(folder));
    return store_remove(folder, err);
}

static UNUSED int
run_in_all_modes(int (*tests)(void))
{
    static const char *const names[] = { "synced", "journaled", "journaled, checkpointed at rest" };
    int failed = 0;

    for (int mode = MODE_SYNCED; mode <= MODE_RESTING; mode++) {
        print_message("stores: %s\n", names[mode]);
        test_mode = (enum test_mode)mode;
        failed += tests();
        journals_free();
    }
    return failed;
}

static UNUSED struct store *
store_must_open(const char *name)
{
    struct store *store = NULL;
    struct err err;

    err_clear(&err);
    if (!test_open(&store, agent_folder(name), NULL, &err))
        fail_msg("open: %s", err.message);
    return store;
}

/* Runs SQL for its effect; did it work? */
static UNUSED bool
quiet(struct store *store, const char *sql)
{
    struct store_cursor *cursor;
    struct err err;

    if (!store_query(store, bytes_of(sql), NULL, 0, &cursor, &err))
        return false;
    store_cursor_close(&cursor);
    return true;
}

/* Appends VALUE as a reader would write it; long texts and blobs as their lengths. */
static UNUSED void
value_print(struct buf *out, const struct store_value *value)
{
    switch (value->type) {
    case STORE_NULL:
        buf_append_str(out, "NULL");
        break;
    case STORE_INTEGER:
        buf_printf(out, "%lld", (long long)value->integer);
        break;
    case STORE_REAL:
        buf_printf(out, "%.15g", value->real);
        break;
    case STORE_BLOB:
        buf_printf(out, "blob%zu", value->bytes.len);
        break;
    case STORE_TEXT:
        if (value->bytes.len > 60)
            buf_printf(out, "s%zu", value->bytes.len);
        else
            buf_append_bytes(out, value->bytes);
        break;
    }
}

/* "R read, W written: names | row | row", or "! message". Borrowed until the next call. */
static UNUSED const char *
answer(struct store *store, const char *sql)
{
    static struct buf out;
    struct buf rows = { 0 };
    struct store_cursor *cursor;
    struct err err;
    int kept = 0;

    buf_clear(&out);
    err_clear(&err);
    if (!store_query(store, bytes_of(sql), NULL, 0, &cursor, &err)) {
        buf_printf(&out, "! %s", err.message);
        return buf_cstr(&out);
    }
    while (store_cursor_has_row(cursor)) {
        for (unsigned i = 0; i < store_cursor_columns(cursor) && kept < 5; i++) {
            struct store_value value;
            store_cursor_value(cursor, i, &value);
            buf_append_str(&rows, i == 0 ? " | " : " ");
            value_print(&rows, &value);
        }
        kept++;
        if (!store_cursor_next(cursor, &err)) {
            buf_printf(&out, "! %s", err.message);
            break;
        }
    }
    if (out.len == 0) {
        buf_printf(&out, "%llu read, %llu written: ", (unsigned long long)store_cursor_rows_read(cursor),
                   (unsigned long long)store_cursor_rows_written(cursor));
        for (unsigned i = 0; i < store_cursor_columns(cursor); i++) {
            buf_append_str(&out, i == 0 ? "" : " ");
            buf_append_bytes(&out, store_cursor_name(cursor, i));
        }
        buf_append_bytes(&out, buf_view(&rows));
    }
    buf_fini(&rows);
    store_cursor_close(&cursor);
    return buf_cstr(&out);
}

/* Runs SQL for its effect. */
static UNUSED bool
run(struct store *store, const char *sql)
{
    return answer(store, sql)[0] != '!';
}

/* The first value of the first row, a whole number. */
static UNUSED int64_t
number(struct store *store, const char *sql)
{
    struct store_cursor *cursor;
    struct store_value value;
    struct err err;

    err_clear(&err);
    if (!store_query(store, bytes_of(sql), NULL, 0, &cursor, &err))
        fail_msg("%s: %s", sql, err.message);
    assert_true(store_cursor_has_row(cursor));
    store_cursor_value(cursor, 0, &value);
    assert_int_equal(value.type, STORE_INTEGER);
    store_cursor_close(&cursor);
    return value.integer;
}

static UNUSED uint64_t
commit(struct store *store)
{
    uint64_t seq = 0;
    struct err err;

    err_clear(&err);
    if (!test_commit(store, &seq, &err))
        fail_msg("commit: %s", err.message);
    return seq;
}

#endif
