/*
 * sql — the storage natives over lib/store: SQL cursors, key-value pairs, transactions (docs/host-interface.md).
 *
 * Promise: rows become JavaScript values without a detour; a cursor is a number that means something for its own agent only.
 */
#include "src/worker/sql.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "lib/store/store.h"
#include "src/worker/agent.h"
#include "src/worker/clone.h"
#include "src/worker/engine.h"
#include "src/worker/heap.h"
#include "src/worker/js_events.h"
#include "src/worker/natives.h"
#include "src/worker/worker_limits.h"

#define BINDINGS_MAX 32768             /* SQLite's own limit is far lower; this bounds the scratch memory */
#define COLUMNS_MAX 2048
#define ENGINE_THROW_TEXT_MAX 255      /* JS_ThrowPlainError formats into 256 bytes */

struct cursor {
    struct store_cursor *store_cursor;
    uint64_t             shape;        /* of the column names that ATOMS were made from */
    unsigned             columns;
    uint32_t            *atoms;        /* owned; one per column, in the agent's heap */
    bool                 is_held;      /* by JavaScript, when it was asked last */
};

/* ---- values ---- */

static bool
to_value(jsval v, struct store_value *out)
{
    if (js_is_nullish(v)) {
        *out = (struct store_value){ .type = STORE_NULL };
        return true;
    }
    if (js_is_number(v)) {             /* JavaScript has no integers: everything is a double, as workerd binds it */
        *out = (struct store_value){ .type = STORE_REAL, .real = js_get_double(v) };
        return true;
    }
    if (js_is_bigint(v)) {
        js_throw_type("Cannot convert a BigInt value to a number");
        return false;
    }
    if (js_is_symbol(v)) {
        js_throw_type("Cannot convert a Symbol value to a string");
        return false;
    }
    if (js_is_object(v) && js_view_bytes(v, &out->bytes)) {
        out->type = STORE_BLOB;
        return true;
    }
    out->type = STORE_TEXT;            /* strings, booleans ("true"), and String(v) of the rest */
    return js_to_utf8(v, &out->bytes);
}

/* Text as workerd reads it: a lone surrogate, three bytes in the database, is no UTF-8 and becomes three U+FFFD. */
static jsval
new_text(struct bytes text)
{
    uint8_t *copy;
    size_t n = 0;

    for (size_t i = 0; i + 1 < text.len; i++)
        n += text.data[i] == 0xed && text.data[i + 1] >= 0xa0;
    if (n == 0)
        return js_new_string(text);
    copy = guest_scratch(text.len + 6 * n + 6);
    n = 0;
    for (size_t i = 0; i < text.len; i++) {
        if (text.data[i] == 0xed && i + 2 < text.len && text.data[i + 1] >= 0xa0) {
            memcpy(copy + n, "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd", 9);
            n += 9;
            i += 2;
        } else {
            copy[n++] = text.data[i];
        }
    }
    return js_new_string(bytes_from(copy, n));
}

static jsval
from_value(const struct store_value *v)
{
    switch (v->type) {
    case STORE_INTEGER: return js_new_number((double)v->integer);
    case STORE_REAL: return js_new_number(v->real);
    case STORE_TEXT: return new_text(v->bytes);
    case STORE_BLOB: return js_new_array_buffer(v->bytes);
    default: return JSV_NULL;
    }
}

/* ERR's message as the exception that JavaScript sees. */
static jsval
throw_store(const struct err *err)
{
    jsval error;

    if (err->code == ERR_TIMEOUT && engine_cpu_is_over())
        engine_trap(TRAP_CPU);
    (void)js_throw_error("%s", err->message);
    if (strlen(err->message) < ENGINE_THROW_TEXT_MAX)
        return JSV_EXCEPTION;
    error = js_take_exception();           /* the engine cut it: put the whole text in */
    if (!js_set(error, A(message), js_new_string(bytes_of(err->message))))
        return JSV_EXCEPTION;
    return js_throw(error);
}

/* ---- cursors ---- */

#define LIMIT_TEXT(limit)  LIMIT_TEXT_(limit)
#define LIMIT_TEXT_(limit) #limit

static struct cursor *
cursor_arg(jsval v)
{
    struct agent *a = agent_current();
    double n = js_get_double(v);
    struct cursor *c = a != NULL && a->cursors != NULL && n >= 1 && n <= UINT32_MAX ? umap_get(a->cursors, (uint32_t)n) : NULL;

    if (c == NULL)
        js_throw_error("The SQL cursor was closed, because its object has opened " LIMIT_TEXT(CURSORS_MAX) " newer ones. Read its rows with toArray() before you open so many.");
    return c;
}

static void
cursor_free(struct cursor *c)
{
    if (c->store_cursor != NULL)
        store_cursor_close(&c->store_cursor);
    free(c->atoms);
    free(c);
}

void
sql_drop_cursors(struct agent *a)
{
    size_t at = 0;
    uint64_t number;
    void *value;

    if (a->cursors == NULL)
        return;
    while (umap_next(a->cursors, &at, &number, &value))
        cursor_free(value);
    umap_destroy(&a->cursors);
}

/* ---- cursors of an agent with nothing to do ---- */

static void
run_cursors(void *arg)
{
    jsval args[1] = { js_new_number(*(const double *)arg) };

    heap_dispatch(JS_CURSORS, 1, args);
}

bool
sql_rest_cursors(struct agent *a, size_t rows_bytes_max)
{
    double bytes_max = (double)rows_bytes_max;
    size_t at = 0;
    uint64_t number;
    void *value;

    if (a->cursors == NULL || umap_count(a->cursors) == 0)
        return true;
    while (umap_next(a->cursors, &at, &number, &value))
        ((struct cursor *)value)->is_held = false;
    if (!agent_run_aside(a, run_cursors, &bytes_max))
        return false;
    at = 0;
    while (umap_next(a->cursors, &at, &number, &value)) {
        if (!((struct cursor *)value)->is_held)
            cursor_free(umap_take(a->cursors, number));
    }
    return true;
}

/* Makes room by closing the oldest cursors: a program that forgets them by the thousand must not keep statements for ever. */
static void
cursors_bound(struct agent *a)
{
    while (umap_count(a->cursors) >= CURSORS_MAX) {
        struct cursor *c = umap_take(a->cursors, a->oldest_cursor++);

        if (c != NULL)
            cursor_free(c);
    }
}

jsval
native_sql_exec(NATIVE_PARAMS)
{
    struct agent *a = agent_current();
    struct store *store = agent_current_store();
    struct bytes query;
    struct store_value *values;
    struct store_cursor *made = NULL;
    struct err err = { 0 };
    struct cursor *c;
    int64_t n = 0;

    if (store == NULL || !js_to_utf8(ARG(0), &query) || (!js_is_nullish(ARG(1)) && !js_get_length(ARG(1), &n)))
        return JSV_EXCEPTION;
    if (n > BINDINGS_MAX)
        return js_throw_range("too many bindings");
    values = guest_scratch((size_t)(n > 0 ? n : 1) * sizeof *values);
    for (int64_t i = 0; i < n; i++) {
        jsval v = js_get_index(ARG(1), (uint32_t)i);

        if (js_is_exception(v) || !to_value(v, &values[i]))
            return JSV_EXCEPTION;
        js_free(v);                    /* views stay valid: the array still holds the object */
    }
    if (!store_query(store, query, values, (size_t)n, &made, &err))
        return throw_store(&err);
    if (a->cursors == NULL)
        a->cursors = umap_create();
    cursors_bound(a);
    c = calloc(1, sizeof *c);
    assert(c != NULL);
    c->store_cursor = made;
    c->shape = UINT64_MAX;
    umap_put(a->cursors, ++a->last_cursor, c);
    return js_new_number(a->last_cursor);
}

/* Atoms of the column names, made once per cursor. They stay with the heap: column names are few. */
static bool
cursor_atoms(struct cursor *c)
{
    uint64_t shape = store_cursor_shape(c->store_cursor);

    if (c->atoms != NULL && c->shape == shape)
        return true;
    c->columns = store_cursor_columns(c->store_cursor);
    if (c->columns > COLUMNS_MAX)
        c->columns = COLUMNS_MAX;
    free(c->atoms);
    c->atoms = calloc(c->columns + 1, sizeof *c->atoms);
    assert(c->atoms != NULL);
    for (unsigned i = 0; i < c->columns; i++) {
        c->atoms[i] = js_new_atom(store_cursor_name(c->store_cursor, i));
        if (c->atoms[i] == 0)
            return false;
    }
    c->shape = shape;
    return true;
}

/* The present row, as an object or an array; then steps on. */
static jsval
take_row(struct cursor *c, bool is_raw)
{
    jsval row = is_raw ? js_new_array() : js_new_object();
    struct err err = { 0 };

    if (!cursor_atoms(c))
        return JSV_EXCEPTION;
    for (unsigned i = 0; i < c->columns; i++) {
        struct store_value v;

        store_cursor_value(c->store_cursor, i, &v);
        if (!(is_raw ? js_set_index(row, i, from_value(&v)) : js_define_atom(row, c->atoms[i], from_value(&v))))
            return JSV_EXCEPTION;
    }
    if (!store_cursor_next(c->store_cursor, &err)) {
        js_free(row);
        return throw_store(&err);
    }
    return row;
}

jsval
native_sql_next(NATIVE_PARAMS)
{
    struct cursor *c = cursor_arg(ARG(0));
    struct err err = { 0 };

    if (c == NULL)
        return JSV_EXCEPTION;
    if (store_cursor_has_row(c->store_cursor))
        return take_row(c, js_to_bool(ARG(1)));
    return store_cursor_next(c->store_cursor, &err) ? JSV_UNDEFINED : throw_store(&err);   /* deleteAll() ended it */
}

jsval
native_sql_all(NATIVE_PARAMS)
{
    struct cursor *c = cursor_arg(ARG(0));
    bool is_raw = js_to_bool(ARG(1));
    struct err err = { 0 };
    uint32_t n = 0;
    jsval rows;

    if (c == NULL)
        return JSV_EXCEPTION;
    if (!store_cursor_has_row(c->store_cursor) && !store_cursor_next(c->store_cursor, &err))
        return throw_store(&err);
    rows = js_new_array();
    while (store_cursor_has_row(c->store_cursor)) {
        jsval row = take_row(c, is_raw);

        if (js_is_exception(row) || !js_set_index(rows, n++, row))
            return JSV_EXCEPTION;
    }
    return rows;
}

jsval
native_sql_one(NATIVE_PARAMS)
{
    struct cursor *c = cursor_arg(ARG(0));
    jsval row;

    if (c == NULL)
        return JSV_EXCEPTION;
    if (!store_cursor_has_row(c->store_cursor))
        return js_throw_error("Expected exactly one result from SQL query, but got no results.");
    row = take_row(c, false);
    if (!js_is_exception(row) && store_cursor_has_row(c->store_cursor)) {
        js_free(row);
        return js_throw_error("Expected exactly one result from SQL query, but got multiple results.");
    }
    return row;
}

jsval
native_sql_names(NATIVE_PARAMS)
{
    struct cursor *c = cursor_arg(ARG(0));
    jsval names;

    if (c == NULL)
        return JSV_EXCEPTION;
    names = js_new_array();
    for (unsigned i = 0; i < store_cursor_columns(c->store_cursor) && i < COLUMNS_MAX; i++)
        if (!js_set_index(names, i, js_new_string(store_cursor_name(c->store_cursor, i))))
            return JSV_EXCEPTION;
    return names;
}

jsval
native_sql_stats(NATIVE_PARAMS)
{
    struct cursor *c = cursor_arg(ARG(0));
    jsval pair;

    if (c == NULL)
        return JSV_EXCEPTION;
    pair = js_new_array();
    if (!js_set_index(pair, 0, js_new_number((double)store_cursor_rows_read(c->store_cursor))) ||
        !js_set_index(pair, 1, js_new_number((double)store_cursor_rows_written(c->store_cursor))))
        return JSV_EXCEPTION;
    return pair;
}

/* Rows of C from the present one on, until they have BYTES_MAX: arrays in ROWS. False: a JavaScript exception is pending. What the database
 * says instead of a row, be it at the end (deleteAll), goes to *out_failure. */
static bool
take_rows(struct cursor *c, size_t bytes_max, jsval rows, jsval *out_failure)
{
    struct err err = { 0 };
    size_t bytes = 0;
    uint32_t n = 0;

    while (store_cursor_has_row(c->store_cursor) && bytes < bytes_max) {
        jsval row = js_new_array();

        for (unsigned i = 0; i < store_cursor_columns(c->store_cursor) && i < COLUMNS_MAX; i++) {
            struct store_value v;

            store_cursor_value(c->store_cursor, i, &v);
            bytes += sizeof v + v.bytes.len;
            if (!js_set_index(row, i, from_value(&v)))
                return false;
        }
        if (!js_set_index(rows, n++, row))
            return false;
        if (!store_cursor_next(c->store_cursor, &err))
            break;
    }
    if (!store_cursor_has_row(c->store_cursor) && (err.code != ERR_NONE || !store_cursor_next(c->store_cursor, &err)))
        *out_failure = js_new_string(bytes_of(err.message));
    return true;
}

/* (cursor, bytes): JavaScript still has it. undefined: the host does not; false: it has rows left, and BYTES is 0. */
jsval
native_sql_keep(NATIVE_PARAMS)
{
    struct agent *a = agent_current();
    double n = js_get_double(ARG(0)), bytes_max = js_get_double(ARG(1));
    struct cursor *c = a != NULL && a->cursors != NULL && n >= 1 && n <= UINT32_MAX ? umap_get(a->cursors, (uint32_t)n) : NULL;
    jsval all, rows, failure = JSV_UNDEFINED, names, stats;
    bool has_more;

    if (c == NULL)
        return JSV_UNDEFINED;
    c->is_held = true;
    if (store_cursor_has_row(c->store_cursor) && !(bytes_max > 0))
        return JSV_FALSE;
    all = js_new_array();
    rows = js_new_array();
    if (!take_rows(c, bytes_max > 0 && bytes_max < 0x1p32 ? (size_t)bytes_max : 0, rows, &failure))
        return JSV_EXCEPTION;
    has_more = store_cursor_has_row(c->store_cursor);
    names = native_sql_names(q, ctx, this_val, argc, argv);
    stats = native_sql_stats(q, ctx, this_val, argc, argv);
    if (js_is_exception(names) || js_is_exception(stats) || !js_set_index(all, 0, names) || !js_set_index(all, 1, stats) ||
        !js_set_index(all, 2, rows) || !js_set_index(all, 3, js_new_bool(has_more)) || !js_set_index(all, 4, failure))
        return JSV_EXCEPTION;
    if (!has_more)
        cursor_free(umap_take(a->cursors, (uint32_t)n));
    return all;
}

jsval
native_sql_size(NATIVE_PARAMS)
{
    struct store *store = agent_current_store();
    struct err err = { 0 };
    int64_t size;

    if (store == NULL)
        return JSV_EXCEPTION;
    return store_size(store, &size, &err) ? js_new_number((double)size) : throw_store(&err);
}

/* ---- key-value pairs ---- */

/* Values come while SQLite is inside a statement, where no JavaScript may run: they are copied out first. */

static void
take_value(void *owner, struct bytes value)
{
    struct bytes *out = owner;
    uint8_t *copy = guest_scratch(value.len + 1);

    if (value.len > 0)
        memcpy(copy, value.data, value.len);
    *out = bytes_from(copy, value.len);
}

jsval
native_kv_get(NATIVE_PARAMS)
{
    struct store *store = agent_current_store();
    struct bytes key, value = BYTES_NONE;
    struct err err = { 0 };
    bool found;

    if (store == NULL || !js_to_utf8(ARG(0), &key))
        return JSV_EXCEPTION;
    if (!store_kv_get(store, key, take_value, &value, &found, &err))
        return throw_store(&err);
    return found ? clone_read(value) : JSV_UNDEFINED;
}

jsval
native_kv_put(NATIVE_PARAMS)
{
    struct store *store = agent_current_store();
    struct bytes key, value;
    struct err err = { 0 };

    if (store == NULL || !js_to_utf8(ARG(0), &key) || !clone_write(ARG(1), CLONE_STORAGE, &value))
        return JSV_EXCEPTION;
    return store_kv_put(store, key, value, &err) ? JSV_UNDEFINED : throw_store(&err);
}

jsval
native_kv_delete(NATIVE_PARAMS)
{
    struct store *store = agent_current_store();
    struct err err = { 0 };
    struct bytes key;
    bool existed;

    if (store == NULL || !js_to_utf8(ARG(0), &key))
        return JSV_EXCEPTION;
    return store_kv_delete(store, key, &existed, &err) ? js_new_bool(existed) : throw_store(&err);
}

/* Pairs of a listing, in scratch memory, until the statement is over. */
struct pairs {
    struct pair {
        struct pair *next;
        struct bytes key, value;
    } *first, **last;
};

static bool
take_pair(void *owner, struct bytes key, struct bytes value)
{
    struct pairs *pairs = owner;
    struct pair *p = guest_scratch(sizeof *p);

    p->next = NULL;
    take_value(&p->key, key);
    take_value(&p->value, value);
    *pairs->last = p;
    pairs->last = &p->next;
    return true;
}

static bool
range_text(jsval v, struct bytes *out)
{
    *out = BYTES_NONE;
    return js_is_nullish(v) || js_to_utf8(v, out);
}

jsval
native_kv_list(NATIVE_PARAMS)
{
    struct store *store = agent_current_store();
    struct store_range range = { .reverse = js_to_bool(ARG(4)) };
    struct pairs pairs = { NULL, &pairs.first };
    double limit = js_is_nullish(ARG(5)) ? 0 : js_get_double(ARG(5));
    struct err err = { 0 };
    uint32_t n = 0;
    jsval list;

    if (store == NULL || !range_text(ARG(0), &range.start) || !range_text(ARG(1), &range.start_after) ||
        !range_text(ARG(2), &range.end) || !range_text(ARG(3), &range.prefix))
        return JSV_EXCEPTION;
    range.limit = limit > 0 && limit < 0x1p53 ? (int64_t)limit : 0;
    if (!store_kv_list(store, &range, take_pair, &pairs, &err))
        return throw_store(&err);
    list = js_new_array();
    for (const struct pair *p = pairs.first; p != NULL; p = p->next) {
        jsval value = clone_read(p->value);

        if (js_is_exception(value) || !js_set_index(list, n++, js_new_string(p->key)) || !js_set_index(list, n++, value))
            return JSV_EXCEPTION;
    }
    return list;
}

/* ---- transactions ---- */

enum txn_op { TXN_BEGIN, TXN_COMMIT, TXN_ROLLBACK, TXN_BEGIN_LONG };

/* What the turn wrote so far must not wait for a transaction that outlives it: its effects leave with the turn. */
static void
commit_before_long(struct agent *a)
{
    struct err err = { 0 };

    if (gate_commit(a, &err))
        return;
    free(a->abort_message);
    a->abort_message = bytes_dup(bytes_of(err.code == ERR_DISK_FULL ? err.message : TEXT_STORAGE_FAILED));
    engine_trap(TRAP_ABORT);           /* its writes are undone: the turn cannot go on as if they were there */
}

/* What is rolled back has not changed the alarm. Beyond 64 levels the next commit may say again what stands. */
static void
note_alarm(struct agent *a, unsigned depth, enum txn_op op)
{
    const uint64_t level = depth >= 1 && depth <= 64 ? 1ull << (depth - 1) : 0;

    if (op == TXN_BEGIN)
        a->alarm_changed_before = a->alarm_changed ? a->alarm_changed_before | level : a->alarm_changed_before & ~level;
    else if (op == TXN_ROLLBACK && level != 0)
        a->alarm_changed = (a->alarm_changed_before & level) != 0;
}

jsval
native_txn(NATIVE_PARAMS)
{
    struct agent *a = agent_current();
    struct store *store = agent_current_store();
    double given = js_get_double(ARG(0));
    struct err err = { 0 };
    enum txn_op op;
    unsigned depth;
    bool ok;

    if (store == NULL)
        return JSV_EXCEPTION;
    if (!(given >= TXN_BEGIN && given <= TXN_BEGIN_LONG))
        return js_throw_type("txn takes 0 to 3");
    op = (enum txn_op)given;
    if (op == TXN_BEGIN_LONG) {
        commit_before_long(a);
        op = TXN_BEGIN;
    }
    depth = store_depth(store);
    if (op == TXN_BEGIN)
        ok = store_txn_begin(store, &err);
    else if (depth == 0)
        return js_throw_error("no transaction is open");
    else
        ok = op == TXN_COMMIT ? store_txn_commit(store, &err) : store_txn_rollback(store, &err);
    if (ok)
        note_alarm(a, op == TXN_BEGIN ? depth + 1 : depth, op);
    return ok ? JSV_UNDEFINED : throw_store(&err);
}

jsval
native_delete_all(NATIVE_PARAMS)
{
    struct agent *a = agent_current();
    struct store *store = agent_current_store();
    bool with_alarm = js_to_bool(ARG(0));
    struct err err = { 0 };
    int64_t pairs;

    if (store == NULL)
        return JSV_EXCEPTION;
    if (!store_delete_all(store, with_alarm ? STORE_KEEP_NOTHING : STORE_KEEP_ALARM, &pairs, &err))
        return throw_store(&err);
    if (with_alarm)
        a->alarm_changed = true;
    return js_new_number((double)pairs);
}
