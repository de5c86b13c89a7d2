/*
 * store_query — SQL of agents: compiling, the statements kept, cursors.
 *
 * A statement that ran is kept by its text. A text that is still being read through a cursor is compiled once more for the
 * next. Statements that write are run to their end in the first step, as SQLite does; rows they RETURN wait in the statement,
 * or, when a commit or savepoint must pass, in the cursor.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lib/store/store_internal.h"

struct store_cursor {
    struct store       *store;
    struct store_stmt  *stmt;                  /* NULL once done */
    struct store_names *names;
    struct list_node    in_store;              /* store.cursors, while stmt is there */
    uint8_t            *bound;                 /* texts and blobs bound to the statement, owned */
    struct store_value *rows;                  /* drained rows, the present one first; owned */
    size_t              rows_count;            /* in values, a multiple of the columns */
    size_t              rows_next;
    struct buf          rows_bytes;
    bool                has_row;
    bool                is_cancelled;
    uint64_t            rows_read;
    uint64_t            rows_written;
};

static bool stmt_take(struct store *store, struct bytes sql, struct store_stmt **out_stmt, struct err *err);
static void stmt_release(struct store *store, struct store_stmt *stmt);
static bool cursor_step(struct store_cursor *cursor, struct err *err);
static void cursor_end(struct store_cursor *cursor);
static void names_unref(struct store_names *names);

/* ---- compiling ------------------------------------------------------------------------------------------------------- */

static bool
stmt_compile(struct store *store, struct bytes sql, unsigned flags, sqlite3_stmt **out_stmt, struct bytes *out_tail,
             struct err *err)
{
    const char *tail = NULL;
    const char *end = (const char *)sql.data + sql.len;
    int rc;

    store->refusal = NULL;
    store->pragma_writes = false;
    *out_stmt = NULL;
    rc = sqlite3_prepare_v3(store->db, (const char *)sql.data, (int)sql.len, flags, out_stmt, &tail);
    if (rc != SQLITE_OK)
        return store_fail(store, rc, err);
    if (*out_stmt == NULL)
        return err_set(err, ERR_APP, 0, "SQL code did not contain a statement.");
    while (tail < end && strchr(" \t\n\r\v\f", *tail) != NULL && *tail != '\0')
        tail++;
    *out_tail = bytes_from(tail, (size_t)(end - tail));
    return true;
}

/* Whether the statement just compiled may write. SQLite calls PRAGMA optimize a reader, and it would commit by itself. */
static bool
stmt_may_write(const struct store *store, sqlite3_stmt *compiled)
{
    return !sqlite3_stmt_readonly(compiled) || store->pragma_writes;
}

/* Runs a statement that is not the last of its text: one step, its rows are nobody's. */
static bool
stmt_run_early(struct store *store, sqlite3_stmt *stmt, struct err *err)
{
    int rc;

    if (sqlite3_bind_parameter_count(stmt) != 0)
        return err_set(err, ERR_APP, 0,
                       "When executing multiple SQL statements in a single call, only the last statement can have parameters.");
    if (stmt_may_write(store, stmt) && !store_begin(store, err))
        return false;
    rc = sqlite3_step(stmt);
    return rc == SQLITE_ROW || rc == SQLITE_DONE ? true : store_fail(store, rc, err);
}

/* Runs all statements of SQL but the last, which is compiled. Texts of one statement are kept for the next time. */
static bool
stmt_take(struct store *store, struct bytes sql, struct store_stmt **out_stmt, struct err *err)
{
    struct store_stmt *kept = bmap_get(store->stmts, sql);
    struct bytes rest = sql;
    struct bytes tail = BYTES_NONE;
    sqlite3_stmt *compiled;
    bool is_only = true;

    if (kept != NULL && !kept->is_busy) {
        list_remove(&kept->in_lru);
        list_push_back(&store->lru, &kept->in_lru);
        kept->is_busy = true;
        *out_stmt = kept;
        return true;
    }
    for (;;) {
        bool ok;
        if (!stmt_compile(store, rest, is_only && kept == NULL ? store_prepare_flags(store) : 0, &compiled, &tail, err))
            return false;
        if (tail.len == 0)
            break;
        ok = stmt_run_early(store, compiled, err);
        (void)sqlite3_finalize(compiled);      /* repeats the failure */
        if (!ok)
            return false;
        is_only = false;
        rest = tail;
    }
    *out_stmt = calloc(1, sizeof **out_stmt);
    assert(*out_stmt != NULL);
    (*out_stmt)->stmt = compiled;
    (*out_stmt)->may_write = stmt_may_write(store, compiled);
    (*out_stmt)->is_busy = true;
    if (is_only && kept == NULL) {
        (*out_stmt)->sql = bytes_from(bytes_dup(sql), sql.len);
        (*out_stmt)->is_cached = true;
        list_push_back(&store->lru, &(*out_stmt)->in_lru);
        (void)bmap_put(store->stmts, sql, *out_stmt);
    }
    return true;
}

static void
stmt_destroy(struct store_stmt *stmt)
{
    (void)sqlite3_finalize(stmt->stmt);        /* repeats an old failure at most */
    names_unref(stmt->names);
    free((void *)(uintptr_t)stmt->sql.data);
    free(stmt);
}

/* Takes the statement out of the cache; a busy one lives on until its cursor ends. */
static void
stmt_forget(struct store *store, struct store_stmt *stmt)
{
    (void)bmap_take(store->stmts, stmt->sql);
    list_remove(&stmt->in_lru);
    store->stmts_bytes -= stmt->memory_bytes;
    stmt->is_cached = false;
    if (!stmt->is_busy)
        stmt_destroy(stmt);
}

/* A cursor is done with it. */
static void
stmt_release(struct store *store, struct store_stmt *stmt)
{
    stmt->is_busy = false;
    if (!stmt->is_cached) {
        stmt_destroy(stmt);
        return;
    }
    (void)sqlite3_reset(stmt->stmt);           /* repeats an old failure at most */
    (void)sqlite3_clear_bindings(stmt->stmt);  /* never fails */
    if (stmt->memory_bytes == 0) {
        stmt->memory_bytes = (size_t)sqlite3_stmt_status(stmt->stmt, SQLITE_STMTSTATUS_MEMUSED, 0) + stmt->sql.len;
        store->stmts_bytes += stmt->memory_bytes;
    }
    while (store->stmts_bytes > STORE_CACHE_BYTES_MAX)
        stmt_forget(store, list_first(&store->lru, struct store_stmt, in_lru));
}

void
store_stmts_drop(struct store *store)
{
    struct store_stmt *stmt;

    list_each(stmt, &store->lru, struct store_stmt, in_lru)
        stmt_forget(store, stmt);
}

/* ---- column names ---------------------------------------------------------------------------------------------------- */

static void
names_unref(struct store_names *names)
{
    if (names != NULL && --names->refs == 0)
        free(names);
}

static struct store_names *
names_create(sqlite3_stmt *stmt)
{
    static uint64_t shapes;
    unsigned count = (unsigned)sqlite3_column_count(stmt);
    size_t bytes = sizeof(struct store_names) + count * sizeof(struct bytes);
    struct store_names *names;
    uint8_t *text;

    for (unsigned i = 0; i < count; i++)
        bytes += strlen(sqlite3_column_name(stmt, (int)i));
    names = malloc(bytes);
    assert(names != NULL);
    names->refs = 1;
    names->count = count;
    names->shape = ++shapes;
    text = (uint8_t *)&names->name[count];
    for (unsigned i = 0; i < count; i++) {
        const char *name = sqlite3_column_name(stmt, (int)i);
        size_t len = strlen(name);
        memcpy(text, name, len);
        names->name[i] = bytes_from(text, len);
        text += len;
    }
    return names;
}

/* After the first step, because that may have compiled the statement anew for a changed schema. */
static struct store_names *
names_take(struct store_stmt *stmt)
{
    int reprepares = sqlite3_stmt_status(stmt->stmt, SQLITE_STMTSTATUS_REPREPARE, 0);

    if (stmt->names == NULL || stmt->reprepares != reprepares) {
        names_unref(stmt->names);
        stmt->names = names_create(stmt->stmt);
        stmt->reprepares = reprepares;
    }
    stmt->names->refs++;
    return stmt->names;
}

/* ---- running ---------------------------------------------------------------------------------------------------------- */

/* Texts and blobs are copied into the cursor when rows may outlast the call. */
static const uint8_t *
bind_keep(struct store_cursor *cursor, struct bytes bytes, size_t *at)
{
    const uint8_t *kept = bytes.data;

    if (cursor->bound != NULL && bytes.len > 0) {
        kept = cursor->bound + *at;
        memcpy(cursor->bound + *at, bytes.data, bytes.len);
        *at += bytes.len;
    }
    return kept != NULL ? kept : (const uint8_t *)"";
}

static int
bind_value(struct store_cursor *cursor, int place, const struct store_value *value, size_t *at)
{
    sqlite3_stmt *stmt = cursor->stmt->stmt;
    const uint8_t *kept;

    switch (value->type) {
    case STORE_NULL:
        return sqlite3_bind_null(stmt, place);
    case STORE_INTEGER:
        return sqlite3_bind_int64(stmt, place, value->integer);
    case STORE_REAL:
        return sqlite3_bind_double(stmt, place, value->real);
    case STORE_TEXT:
        kept = bind_keep(cursor, value->bytes, at);
        return sqlite3_bind_text64(stmt, place, (const char *)kept, value->bytes.len, SQLITE_STATIC, SQLITE_UTF8);
    case STORE_BLOB:
        kept = bind_keep(cursor, value->bytes, at);
        return sqlite3_bind_blob64(stmt, place, kept, value->bytes.len, SQLITE_STATIC);
    }
    return SQLITE_ERROR;
}

static bool
bind_all(struct store_cursor *cursor, const struct store_value *values, size_t count, struct err *err)
{
    sqlite3_stmt *stmt = cursor->stmt->stmt;
    size_t total = 0;
    size_t at = 0;

    if (count != (size_t)sqlite3_bind_parameter_count(stmt))
        return err_set(err, ERR_APP, 0, "Wrong number of parameter bindings for SQL query.");
    for (size_t i = 0; i < count; i++)
        if (values[i].type == STORE_TEXT || values[i].type == STORE_BLOB)
            total += values[i].bytes.len;
    if (total > 0 && sqlite3_column_count(stmt) > 0) {
        cursor->bound = malloc(total);
        assert(cursor->bound != NULL);
    }
    for (size_t i = 0; i < count; i++) {
        int rc = bind_value(cursor, (int)i + 1, &values[i], &at);
        if (rc != SQLITE_OK)
            return store_fail(cursor->store, rc, err);
    }
    return true;
}

static bool
cursor_run(struct store_cursor *cursor, const struct store_value *values, size_t count, struct err *err)
{
    struct store *store = cursor->store;

    if (!bind_all(cursor, values, count, err))
        return false;
    if (cursor->stmt->may_write && !store_begin(store, err))
        return false;
    if (!cursor_step(cursor, err))
        return false;
    cursor->names = names_take(cursor->stmt);
    if (!cursor->has_row)
        cursor_end(cursor);
    return true;
}

bool
store_query(struct store *store, struct bytes sql, const struct store_value *values, size_t values_count,
            struct store_cursor **out_cursor, struct err *err)
{
    struct store_cursor *cursor;
    struct store_stmt *stmt;

    if (!store_ready(store, err))
        return false;
    if (sql.len > (size_t)INT32_MAX)
        return err_set(err, ERR_APP, 0, "statement too long: SQLITE_TOOBIG");
    if (sql.data == NULL)
        sql = BYTES_LIT("");
    if (!stmt_take(store, sql, &stmt, err))
        return false;
    cursor = calloc(1, sizeof *cursor);
    assert(cursor != NULL);
    cursor->store = store;
    cursor->stmt = stmt;
    list_push_back(&store->cursors, &cursor->in_store);
    if (!cursor_run(cursor, values, values_count, err)) {
        store_cursor_close(&cursor);
        return false;
    }
    *out_cursor = cursor;
    return true;
}

static void
cursor_count(struct store_cursor *cursor)
{
    cursor->rows_read = (uint32_t)sqlite3_stmt_status(cursor->stmt->stmt, STMT_ROWS_READ, 0);
    cursor->rows_written = (uint32_t)sqlite3_stmt_status(cursor->stmt->stmt, STMT_ROWS_WRITTEN, 0);
}

static bool
cursor_step(struct store_cursor *cursor, struct err *err)
{
    int rc;

    cursor->store->refusal = NULL;
    rc = sqlite3_step(cursor->stmt->stmt);
    cursor->has_row = rc == SQLITE_ROW;
    if (rc == SQLITE_ROW || rc == SQLITE_DONE)
        return true;
    return store_fail(cursor->store, rc, err);
}

/* Only a keyword at the start counts: behind a comment it costs memory, nothing else. */
static bool
sql_is_definition(struct bytes sql)
{
    static const char *const words[] = { "CREATE", "ALTER", "DROP" };
    size_t at = 0;

    while (at < sql.len && strchr(" \t\n\r\v\f", sql.data[at]) != NULL && sql.data[at] != '\0')
        at++;
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (sql.len - at >= strlen(words[i]) && strncasecmp((const char *)sql.data + at, words[i], strlen(words[i])) == 0)
            return true;
    return false;
}

/* Gives the statement back; what remains answers questions about names and counters, and drained rows. */
static void
cursor_end(struct store_cursor *cursor)
{
    struct store_stmt *stmt = cursor->stmt;

    if (stmt == NULL)
        return;
    cursor_count(cursor);
    (void)sqlite3_stmt_status(stmt->stmt, STMT_ROWS_READ, 1);
    (void)sqlite3_stmt_status(stmt->stmt, STMT_ROWS_WRITTEN, 1);
    cursor->stmt = NULL;
    list_remove(&cursor->in_store);
    /* What changed the schema will hardly come again, and would be compiled anew if it did: a birth of the Agents SDK left 110 KB of it.
     * "IF NOT EXISTS" of what exists touches no row, and is kept. */
    if (cursor->rows_read + cursor->rows_written > 0 && stmt->is_cached && sql_is_definition(stmt->sql))
        stmt_forget(cursor->store, stmt);
    stmt_release(cursor->store, stmt);
    free(cursor->bound);
    cursor->bound = NULL;
}

/* ---- reading ---------------------------------------------------------------------------------------------------------- */

bool
store_cursor_has_row(const struct store_cursor *cursor)
{
    return cursor->has_row;
}

unsigned
store_cursor_columns(const struct store_cursor *cursor)
{
    return cursor->names->count;
}

struct bytes
store_cursor_name(const struct store_cursor *cursor, unsigned column)
{
    assert(column < cursor->names->count);
    return cursor->names->name[column];
}

uint64_t
store_cursor_shape(const struct store_cursor *cursor)
{
    return cursor->names->shape;
}

static void
stmt_value(sqlite3_stmt *stmt, unsigned column, struct store_value *out)
{
    int i = (int)column;
    const void *data;

    memset(out, 0, sizeof *out);
    switch (sqlite3_column_type(stmt, i)) {
    case SQLITE_INTEGER:
        out->type = STORE_INTEGER;
        out->integer = sqlite3_column_int64(stmt, i);
        return;
    case SQLITE_FLOAT:
        out->type = STORE_REAL;
        out->real = sqlite3_column_double(stmt, i);
        return;
    case SQLITE_TEXT:
        out->type = STORE_TEXT;
        data = sqlite3_column_text(stmt, i);
        break;
    case SQLITE_BLOB:
        out->type = STORE_BLOB;
        data = sqlite3_column_blob(stmt, i);
        break;
    default:
        out->type = STORE_NULL;
        return;
    }
    out->bytes = bytes_from(data, data == NULL ? 0 : (size_t)sqlite3_column_bytes(stmt, i));
}

void
store_cursor_value(struct store_cursor *cursor, unsigned column, struct store_value *out_value)
{
    assert(cursor->has_row);
    assert(column < cursor->names->count);
    if (cursor->rows != NULL)
        *out_value = cursor->rows[cursor->rows_next + column];
    else
        stmt_value(cursor->stmt->stmt, column, out_value);
}

bool
store_cursor_next(struct store_cursor *cursor, struct err *err)
{
    if (cursor->is_cancelled)
        return err_set(err, ERR_APP, 0, "SQLite query was canceled because the database was deleted.");
    if (!cursor->has_row)
        return true;
    if (cursor->rows != NULL) {
        cursor->rows_next += cursor->names->count;
        cursor->has_row = cursor->rows_next < cursor->rows_count;
        return true;
    }
    if (!store_ready(cursor->store, err) || !cursor_step(cursor, err)) {
        cursor->has_row = false;
        cursor_end(cursor);
        return false;
    }
    if (!cursor->has_row)
        cursor_end(cursor);
    return true;
}

uint64_t
store_cursor_rows_read(const struct store_cursor *cursor)
{
    return cursor->stmt == NULL ? cursor->rows_read
                                : (uint32_t)sqlite3_stmt_status(cursor->stmt->stmt, STMT_ROWS_READ, 0);
}

uint64_t
store_cursor_rows_written(const struct store_cursor *cursor)
{
    return cursor->stmt == NULL ? cursor->rows_written
                                : (uint32_t)sqlite3_stmt_status(cursor->stmt->stmt, STMT_ROWS_WRITTEN, 0);
}

void
store_cursor_close(struct store_cursor **owned)
{
    struct store_cursor *cursor = *owned;

    if (cursor == NULL)
        return;
    *owned = NULL;
    cursor_end(cursor);
    names_unref(cursor->names);
    free(cursor->rows);
    buf_fini(&cursor->rows_bytes);
    free(cursor);
}

/* ---- cursors in the way of a commit ------------------------------------------------------------------------------------ */

/* Keeps the present row of the statement. Bytes are found again by offset, because the buffer moves as it grows. */
static void
row_keep(struct store_cursor *cursor, size_t *cap)
{
    unsigned columns = cursor->names->count;

    if (cursor->rows_count + columns > *cap) {
        *cap = (*cap + columns) * 2;
        cursor->rows = realloc(cursor->rows, *cap * sizeof *cursor->rows);
        assert(cursor->rows != NULL);
    }
    for (unsigned i = 0; i < columns; i++) {
        struct store_value *value = &cursor->rows[cursor->rows_count++];
        stmt_value(cursor->stmt->stmt, i, value);
        value->integer = value->bytes.data != NULL ? (int64_t)cursor->rows_bytes.len : value->integer;
        if (value->bytes.len > 0)
            buf_append_bytes(&cursor->rows_bytes, value->bytes);
    }
}

static bool
cursor_drain(struct store_cursor *cursor, struct err *err)
{
    size_t cap = 0;
    bool ok = true;

    while (ok && cursor->has_row) {
        row_keep(cursor, &cap);
        ok = cursor_step(cursor, err);
    }
    for (size_t i = 0; i < cursor->rows_count; i++) {
        struct store_value *value = &cursor->rows[i];
        if (value->bytes.len > 0)
            value->bytes.data = cursor->rows_bytes.data + value->integer;
    }
    cursor->has_row = cursor->rows_count > 0;
    cursor_end(cursor);
    return ok;
}

/* SQLite refuses a commit or savepoint while a writing statement has rows left (INSERT … RETURNING). */
bool
store_cursors_drain(struct store *store, struct err *err)
{
    struct store_cursor *cursor;
    bool ok = true;

    list_each(cursor, &store->cursors, struct store_cursor, in_store)
        if (!sqlite3_stmt_readonly(cursor->stmt->stmt))
            ok = cursor_drain(cursor, ok ? err : NULL) && ok;
    return ok;
}

void
store_cursors_cancel(struct store *store)
{
    struct store_cursor *cursor;

    list_each(cursor, &store->cursors, struct store_cursor, in_store) {
        cursor_end(cursor);
        cursor->is_cancelled = true;
        cursor->has_row = false;
    }
}
