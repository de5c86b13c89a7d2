/* store_helper — what the tests of lib/store share: a folder of one's own, one-line queries. */
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

static UNUSED struct store *
store_must_open(const char *name)
{
    struct store *store = NULL;
    struct err err;

    err_clear(&err);
    if (!store_open(&store, agent_folder(name), NULL, &err))
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
    if (!store_commit(store, &seq, &err))
        fail_msg("commit: %s", err.message);
    return seq;
}

#endif
