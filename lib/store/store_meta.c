/*
 * store_meta — what is not SQL: key-value pairs, the alarm, the name, the size, and emptying it all.
 *
 * Tables and formats are workerd's: _cf_KV, and _cf_METADATA with the alarm under key 1 as nanoseconds since 1970 or NULL. The
 * name is ours, under a key that workerd does not use.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "lib/store/store_internal.h"

#define META_ALARM 1
#define META_NAME  0x444f524dLL                /* "DORM" */
#define META_RESTORE 0x444f5252LL             /* "DORR" */
#define META_ORIGIN 0x444f5253LL              /* "DORS" */
#define NS_PER_MS  1000000LL

static bool store_write(struct store *store, enum store_table table, struct err *err);

static struct bytes
column_bytes(sqlite3_stmt *stmt, int column)
{
    const void *data = sqlite3_column_blob(stmt, column);

    return bytes_from(data, data == NULL ? 0 : (size_t)sqlite3_column_bytes(stmt, column));
}

/* sqlite3_bind_* with a view; SQLITE_STATIC, because every statement here ends before its caller returns. */
static int
bind_text(sqlite3_stmt *stmt, int place, struct bytes text)
{
    return sqlite3_bind_text64(stmt, place, text.data == NULL ? "" : (const char *)text.data, text.len, SQLITE_STATIC, SQLITE_UTF8);
}

static int
bind_blob(sqlite3_stmt *stmt, int place, struct bytes blob)
{
    return sqlite3_bind_blob64(stmt, place, blob.data == NULL ? (const void *)"" : blob.data, blob.len, SQLITE_STATIC);
}

static void
stmt_done(sqlite3_stmt *stmt)
{
    (void)sqlite3_reset(stmt);                 /* repeats an old failure at most */
    (void)sqlite3_clear_bindings(stmt);        /* never fails */
}

/* Makes ready for a write into TABLE. */
static bool
store_write(struct store *store, enum store_table table, struct err *err)
{
    return store_ready(store, err) && store_begin(store, err) && store_need_table(store, table, err);
}

/* ---- key-value pairs ------------------------------------------------------------------------------------------------- */

bool
store_kv_get(struct store *store, struct bytes key, void (*fn)(void *owner, struct bytes value), void *owner, bool *out_found,
             struct err *err)
{
    sqlite3_stmt *stmt;
    int rc;

    *out_found = false;
    if (!store_ready(store, err) || !store_has_table(store, TABLE_KV, out_found, err))
        return false;
    if (!*out_found)
        return true;
    *out_found = false;
    if (!store_own_stmt(store, OWN_KV_GET, &stmt, err))
        return false;
    rc = bind_text(stmt, 1, key);
    if (rc != SQLITE_OK)
        return store_fail(store, rc, err);
    if (!store_own_step(store, stmt, out_found, err))
        return false;
    if (*out_found)
        fn(owner, column_bytes(stmt, 0));
    stmt_done(stmt);
    return true;
}

bool
store_kv_put(struct store *store, struct bytes key, struct bytes value, struct err *err)
{
    sqlite3_stmt *stmt;
    bool has_row;
    bool ok;
    int rc;

    if (!store_write(store, TABLE_KV, err) || !store_own_stmt(store, OWN_KV_PUT, &stmt, err))
        return false;
    rc = bind_text(stmt, 1, key);
    if (rc == SQLITE_OK)
        rc = bind_blob(stmt, 2, value);
    ok = rc == SQLITE_OK ? store_own_step(store, stmt, &has_row, err) : store_fail(store, rc, err);
    stmt_done(stmt);
    return ok;
}

bool
store_kv_delete(struct store *store, struct bytes key, bool *out_existed, struct err *err)
{
    sqlite3_stmt *stmt;
    bool has_row;
    bool ok;
    int rc;

    if (!store_ready(store, err) || !store_has_table(store, TABLE_KV, out_existed, err))
        return false;
    if (!*out_existed)
        return true;
    if (!store_begin(store, err) || !store_own_stmt(store, OWN_KV_DELETE, &stmt, err))
        return false;
    rc = bind_text(stmt, 1, key);
    ok = rc == SQLITE_OK ? store_own_step(store, stmt, &has_row, err) : store_fail(store, rc, err);
    *out_existed = ok && sqlite3_changes(store->db) > 0;
    stmt_done(stmt);
    return ok;
}

/* The first key behind all that start with PREFIX; false when there is none. */
static bool
prefix_end(struct bytes prefix, struct buf *out)
{
    size_t len = prefix.len;

    while (len > 0 && prefix.data[len - 1] == 0xff)
        len--;
    if (len == 0)
        return false;
    buf_append(out, prefix.data, len);
    out->data[len - 1]++;
    return true;
}

static int
bytes_order(struct bytes a, struct bytes b)
{
    size_t both = a.len < b.len ? a.len : b.len;
    int order = both == 0 ? 0 : memcmp(a.data, b.data, both);

    return order != 0 ? order : (a.len > b.len) - (a.len < b.len);
}

/* The range as one closed start and one open end. False: it is empty. */
static bool
range_bounds(const struct store_range *range, struct buf *start, struct buf *end, bool *out_has_end)
{
    struct buf behind = { 0 };
    bool has_behind = range->prefix.data != NULL && range->prefix.len > 0 && prefix_end(range->prefix, &behind);

    if (range->start_after.data != NULL) {
        buf_append_bytes(start, range->start_after);
        buf_append_byte(start, 0);
    } else if (range->start.data != NULL) {
        buf_append_bytes(start, range->start);
    }
    if (range->prefix.data != NULL && bytes_order(buf_view(start), range->prefix) < 0) {
        buf_clear(start);
        buf_append_bytes(start, range->prefix);
    }
    *out_has_end = range->end.data != NULL || has_behind;
    if (range->end.data != NULL)
        buf_append_bytes(end, range->end);
    if (has_behind && (range->end.data == NULL || bytes_order(buf_view(&behind), range->end) < 0)) {
        buf_clear(end);
        buf_append_bytes(end, buf_view(&behind));
    }
    buf_fini(&behind);
    return !*out_has_end || bytes_order(buf_view(start), buf_view(end)) < 0;
}

static bool
list_run(struct store *store, const struct store_range *range, struct bytes start, struct bytes end, bool has_end,
         bool (*fn)(void *owner, struct bytes key, struct bytes value), void *owner, struct err *err)
{
    enum store_own which = has_end ? (range->reverse ? OWN_KV_LIST_END_REVERSE : OWN_KV_LIST_END)
                                   : (range->reverse ? OWN_KV_LIST_REVERSE : OWN_KV_LIST);
    sqlite3_stmt *stmt;
    bool has_row = true;
    int rc;

    if (!store_own_stmt(store, which, &stmt, err))
        return false;
    rc = bind_text(stmt, 1, start);
    if (rc == SQLITE_OK && has_end)
        rc = bind_text(stmt, 2, end);
    if (rc == SQLITE_OK)
        rc = sqlite3_bind_int64(stmt, 3, range->limit > 0 ? range->limit : -1);
    if (rc != SQLITE_OK)
        return store_fail(store, rc, err);
    while (has_row) {
        if (!store_own_step(store, stmt, &has_row, err)) {
            stmt_done(stmt);
            return false;
        }
        if (has_row)
            has_row = fn(owner, column_bytes(stmt, 0), column_bytes(stmt, 1));
    }
    stmt_done(stmt);
    return true;
}

bool
store_kv_list(struct store *store, const struct store_range *range,
              bool (*fn)(void *owner, struct bytes key, struct bytes value), void *owner, struct err *err)
{
    struct buf start = { 0 };
    struct buf end = { 0 };
    bool has_end = false;
    bool has_table;
    bool ok = true;

    if (!store_ready(store, err) || !store_has_table(store, TABLE_KV, &has_table, err))
        return false;
    if (has_table && range_bounds(range, &start, &end, &has_end))
        ok = list_run(store, range, buf_view(&start), buf_view(&end), has_end, fn, owner, err);
    buf_fini(&start);
    buf_fini(&end);
    return ok;
}

/* ---- metadata -------------------------------------------------------------------------------------------------------- */

/* The statement stands on the row of KEY, or *out_row is NULL. The caller ends it with stmt_done(). */
bool
store_meta_get(struct store *store, int64_t key, sqlite3_stmt **out_row, struct err *err)
{
    sqlite3_stmt *stmt;
    bool has;

    *out_row = NULL;
    if (!store_ready(store, err) || !store_has_table(store, TABLE_META, &has, err))
        return false;
    if (!has)
        return true;
    if (!store_own_stmt(store, OWN_META_GET, &stmt, err))
        return false;
    if (sqlite3_bind_int64(stmt, 1, key) != SQLITE_OK)
        return store_fail(store, SQLITE_NOMEM, err);
    if (!store_own_step(store, stmt, &has, err))
        return false;
    if (has)
        *out_row = stmt;
    else
        stmt_done(stmt);
    return true;
}

/* One of the two values: NS unless it is STORE_ALARM_NONE, else BYTES, else NULL. */
static bool
meta_put(struct store *store, int64_t key, int64_t ns, struct bytes bytes, struct err *err)
{
    sqlite3_stmt *stmt;
    bool has_row;
    bool ok;
    int rc;

    if (!store_write(store, TABLE_META, err) || !store_own_stmt(store, OWN_META_PUT, &stmt, err))
        return false;
    rc = sqlite3_bind_int64(stmt, 1, key);
    if (rc == SQLITE_OK && ns != STORE_ALARM_NONE)
        rc = sqlite3_bind_int64(stmt, 2, ns);
    else if (rc == SQLITE_OK && bytes.data != NULL)
        rc = bind_blob(stmt, 2, bytes);
    ok = rc == SQLITE_OK ? store_own_step(store, stmt, &has_row, err) : store_fail(store, rc, err);
    stmt_done(stmt);
    return ok;
}

bool
store_alarm_get(struct store *store, int64_t *out_ms, struct err *err)
{
    sqlite3_stmt *row;

    if (!store_meta_get(store, META_ALARM, &row, err))
        return false;
    *out_ms = STORE_ALARM_NONE;
    if (row == NULL)
        return true;
    if (sqlite3_column_type(row, 0) == SQLITE_INTEGER)
        *out_ms = sqlite3_column_int64(row, 0) / NS_PER_MS;
    stmt_done(row);
    return true;
}

bool
store_alarm_set(struct store *store, int64_t ms, struct err *err)
{
    int64_t now_ms;

    if (ms != STORE_ALARM_NONE && (ms > INT64_MAX / NS_PER_MS || ms < -(INT64_MAX / NS_PER_MS)))
        return err_set(err, ERR_LIMIT, 0, "alarm time %lld ms is out of range", (long long)ms);
    if (!store_alarm_get(store, &now_ms, err))
        return false;
    if (now_ms == ms)
        return true;
    return meta_put(store, META_ALARM, ms == STORE_ALARM_NONE ? ms : ms * NS_PER_MS, BYTES_NONE, err);
}

/* Appends the bytes of KEY to OUT, if there are any. */
static bool
meta_bytes(struct store *store, int64_t key, struct buf *out, bool *out_found, struct err *err)
{
    sqlite3_stmt *row;

    if (!store_meta_get(store, key, &row, err))
        return false;
    *out_found = row != NULL;
    if (row == NULL)
        return true;
    buf_append_bytes(out, column_bytes(row, 0));
    stmt_done(row);
    return true;
}

bool
store_name_get(struct store *store, struct buf *out, bool *out_found, struct err *err)
{
    return meta_bytes(store, META_NAME, out, out_found, err);
}

bool
store_name_set(struct store *store, struct bytes name, struct err *err)
{
    return meta_put(store, META_NAME, STORE_ALARM_NONE, name.data == NULL ? BYTES_LIT("") : name, err);
}

bool
store_restore_get(struct store *store, struct buf *out, struct err *err)
{
    bool found;

    return meta_bytes(store, META_RESTORE, out, &found, err);
}

bool
store_restore_set(struct store *store, struct bytes what, struct err *err)
{
    return meta_put(store, META_RESTORE, STORE_ALARM_NONE, what.len == 0 ? BYTES_NONE : what, err);
}

bool
store_origin_get(struct store *store, struct buf *out, struct err *err)
{
    bool found;

    return meta_bytes(store, META_ORIGIN, out, &found, err);
}

bool
store_origin_set(struct store *store, struct bytes what, struct err *err)
{
    return meta_put(store, META_ORIGIN, STORE_ALARM_NONE, what, err);
}

/* ---- size and emptying ----------------------------------------------------------------------------------------------- */

static bool
own_number(struct store *store, enum store_own which, int64_t *out, struct err *err)
{
    sqlite3_stmt *stmt;
    bool has_row;

    if (!store_own_stmt(store, which, &stmt, err) || !store_own_step(store, stmt, &has_row, err))
        return false;
    *out = has_row ? sqlite3_column_int64(stmt, 0) : 0;
    stmt_done(stmt);
    return true;
}

bool
store_size(struct store *store, int64_t *out_bytes, struct err *err)
{
    return store_ready(store, err) && own_number(store, OWN_SIZE, out_bytes, err);
}

static bool
exec_trusted(struct store *store, const char *sql, struct err *err)
{
    int rc;

    store->is_trusted = true;
    rc = sqlite3_exec(store->db, sql, NULL, NULL, NULL);
    store->is_trusted = false;
    return rc == SQLITE_OK ? true : store_fail(store, rc, err);
}

/* The statement that drops the next object, or none. Virtual tables go first: they take their shadow tables along. */
static bool
drop_next(struct store *store, struct buf *out_sql, struct err *err)
{
    static const char next[] =
        "SELECT type, name FROM sqlite_schema WHERE type IN ('table', 'view') AND name NOT LIKE 'sqlite\\_%' ESCAPE '\\'"
        " ORDER BY type = 'table', sql NOT LIKE 'create virtual%' LIMIT 1";
    sqlite3_stmt *stmt = NULL;
    bool ok = true;
    int rc;

    buf_clear(out_sql);
    store->is_trusted = true;
    rc = sqlite3_prepare_v2(store->db, next, -1, &stmt, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(stmt);
    store->is_trusted = false;
    if (rc == SQLITE_ROW) {
        char *text = sqlite3_mprintf("DROP %s \"%w\"", sqlite3_column_text(stmt, 0), sqlite3_column_text(stmt, 1));
        assert(text != NULL);
        buf_append_str(out_sql, text);
        sqlite3_free(text);
    } else if (rc != SQLITE_DONE) {
        ok = store_fail(store, rc, err);
    }
    (void)sqlite3_finalize(stmt);              /* repeats the failure */
    return ok;
}

/* Foreign keys and triggers must not slow it down or stop it. sqlite_sequence and statistics are emptied, not dropped. */
static bool
drop_everything(struct store *store, struct err *err)
{
    struct buf sql = { 0 };
    int had_keys = 0;
    bool ok;

    (void)sqlite3_db_config(store->db, SQLITE_DBCONFIG_ENABLE_FKEY, -1, &had_keys);
    (void)sqlite3_db_config(store->db, SQLITE_DBCONFIG_ENABLE_FKEY, 0, NULL);
    for (;;) {
        ok = drop_next(store, &sql, err);
        if (!ok || sql.len == 0)
            break;
        ok = exec_trusted(store, buf_cstr(&sql), err);
        if (!ok)
            break;
    }
    (void)sqlite3_db_config(store->db, SQLITE_DBCONFIG_ENABLE_FKEY, had_keys, NULL);
    buf_fini(&sql);
    return ok;
}

bool
store_delete_all(struct store *store, enum store_keep keep, int64_t *out_pairs, struct err *err)
{
    struct buf name = { 0 };
    int64_t alarm_ms = STORE_ALARM_NONE;
    bool has_name = false;
    bool has_kv;
    bool ok;

    if (store->depth > 0)
        return err_set(err, ERR_APP, 0, "Cannot call deleteAll() within a transaction");
    *out_pairs = 0;
    ok = store_has_table(store, TABLE_KV, &has_kv, err) && (!has_kv || own_number(store, OWN_KV_COUNT, out_pairs, err)) &&
         store_alarm_get(store, &alarm_ms, err) && store_name_get(store, &name, &has_name, err);
    if (ok) {
        store_cursors_cancel(store);
        store_rollback(store);
        store_trim(store);
        ok = store_ready(store, err) && store_begin(store, err) && drop_everything(store, err);
        store->tables_known = false;
    }
    if (ok && has_name)
        ok = store_name_set(store, buf_view(&name), err);
    if (ok && keep == STORE_KEEP_ALARM && alarm_ms != STORE_ALARM_NONE)
        ok = store_alarm_set(store, alarm_ms, err);
    buf_fini(&name);
    return ok;
}
