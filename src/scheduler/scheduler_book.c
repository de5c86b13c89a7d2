/* scheduler_book — see scheduler_book.h. */
#include "src/scheduler/scheduler_book.h"

#include <assert.h>
#include <stdlib.h>

#include "lib/store/store.h"

#define CREATE_SQL                                                                                                     \
    "CREATE TABLE IF NOT EXISTS alarm (app TEXT, agent BLOB, class TEXT NOT NULL, name TEXT NOT NULL,"                 \
    " due_ms INTEGER NOT NULL, counted INTEGER NOT NULL, PRIMARY KEY (app, agent)) WITHOUT ROWID"
#define LOAD_SQL "SELECT app, agent, class, name, due_ms, counted FROM alarm"
#define PUT_SQL  "INSERT OR REPLACE INTO alarm (app, agent, class, name, due_ms, counted) VALUES (?, ?, ?, ?, ?, ?)"
#define DROP_SQL "DELETE FROM alarm WHERE app = ? AND agent = ?"

#define CREATE_SCANNED_SQL "CREATE TABLE IF NOT EXISTS scanned (app TEXT PRIMARY KEY) WITHOUT ROWID"
#define LOAD_SCANNED_SQL   "SELECT app FROM scanned"
#define PUT_SCANNED_SQL    "INSERT OR IGNORE INTO scanned (app) VALUES (?)"
#define CLEAR_SCANNED_SQL  "DELETE FROM scanned"

#define CREATE_FEED_SQL "CREATE TABLE IF NOT EXISTS feed (one INTEGER PRIMARY KEY, lsn INTEGER NOT NULL)"
#define LOAD_FEED_SQL   "SELECT lsn FROM feed WHERE one = 1"
#define PUT_FEED_SQL    "INSERT OR REPLACE INTO feed (one, lsn) VALUES (1, ?)"

struct book {
    struct store *store;
};

static bool
book_run(struct book *book, struct bytes sql, const struct store_value *values, size_t count, struct err *err)
{
    struct store_cursor *cursor;

    if (!store_query(book->store, sql, values, count, &cursor, err))
        return false;
    store_cursor_close(&cursor);
    return true;
}

static struct store_value
value_text(struct bytes text)
{
    return (struct store_value){ .type = STORE_TEXT, .bytes = text };
}

static struct store_value
value_number(int64_t number)
{
    return (struct store_value){ .type = STORE_INTEGER, .integer = number };
}

/* One row into CORE. A row that is not ours to understand is damage. */
static bool
row_load(struct store_cursor *cursor, void *core, struct err *err)
{
    struct store_value value[6];
    struct alarm_spec spec;

    for (unsigned i = 0; i < ARRAY_LEN(value); i++)
        store_cursor_value(cursor, i, &value[i]);
    if (value[0].type != STORE_TEXT || value[1].type != STORE_BLOB || value[1].bytes.len != sizeof spec.agent.bytes ||
        value[2].type != STORE_TEXT || value[2].bytes.len > NAME_MAX_BYTES || value[3].type != STORE_TEXT ||
        value[3].bytes.len > AGENT_NAME_MAX_BYTES || value[4].type != STORE_INTEGER || value[5].type != STORE_INTEGER ||
        value[0].bytes.len > NAME_MAX_BYTES || value[4].integer <= 0 || value[5].integer < 0)
        return err_set(err, ERR_CORRUPT, 0, "an alarm in the scheduler's book is damaged");
    spec = (struct alarm_spec){ .app = value[0].bytes, .class_name = value[2].bytes, .name = value[3].bytes,
                                .due_ms = value[4].integer, .counted = value[5].integer > 6 ? 6 : (unsigned)value[5].integer };
    __builtin_memcpy(spec.agent.bytes, value[1].bytes.data, sizeof spec.agent.bytes);
    if (!core_load(core, &spec))
        return err_set(err, ERR_LIMIT, 0, "too many alarms in the scheduler's book");
    return true;
}

/* FN for each row of SQL. */
static bool
rows_load(struct book *book, struct bytes sql, bool (*fn)(struct store_cursor *cursor, void *owner, struct err *err), void *owner,
          struct err *err)
{
    struct store_cursor *cursor;
    bool ok = true;

    if (!store_query(book->store, sql, NULL, 0, &cursor, err))
        return false;
    while (ok && store_cursor_has_row(cursor))
        ok = fn(cursor, owner, err) && store_cursor_next(cursor, err);
    store_cursor_close(&cursor);
    return ok;
}

static bool
scanned_load(struct store_cursor *cursor, void *scans, struct err *err)
{
    struct store_value app;

    store_cursor_value(cursor, 0, &app);
    if (app.type != STORE_TEXT || app.bytes.len > NAME_MAX_BYTES)
        return err_set(err, ERR_CORRUPT, 0, "the list of scanned apps in the scheduler's book is damaged");
    scans_put(scans, app.bytes);
    return true;
}

static bool
feed_load(struct store_cursor *cursor, void *out_lsn, struct err *err)
{
    struct store_value lsn;

    store_cursor_value(cursor, 0, &lsn);
    if (lsn.type != STORE_INTEGER || lsn.integer < 0)
        return err_set(err, ERR_CORRUPT, 0, "how far the scheduler's book has heard is damaged");
    *(uint64_t *)out_lsn = (uint64_t)lsn.integer;
    return true;
}

static bool
book_make(struct book *book, struct err *err)
{
    return book_run(book, BYTES_LIT(CREATE_SQL), NULL, 0, err) && book_run(book, BYTES_LIT(CREATE_SCANNED_SQL), NULL, 0, err) &&
           book_run(book, BYTES_LIT(CREATE_FEED_SQL), NULL, 0, err) && book_commit(book, err);
}

bool
book_open(struct book **out_book, const char *folder, struct core *core, struct scans *scans, uint64_t *out_lsn, struct err *err)
{
    struct book *book = calloc(1, sizeof *book);

    assert(book != NULL);
    if (core != NULL)
        *out_lsn = 0;
    if (store_open(&book->store, folder, NULL, err) && book_make(book, err) &&
        (core == NULL || (rows_load(book, BYTES_LIT(LOAD_SQL), row_load, core, err) &&
                          rows_load(book, BYTES_LIT(LOAD_SCANNED_SQL), scanned_load, scans, err) &&
                          rows_load(book, BYTES_LIT(LOAD_FEED_SQL), feed_load, out_lsn, err)))) {
        *out_book = book;
        return true;
    }
    book_close(&book);
    return false;
}

bool
book_remove(const char *folder, struct err *err)
{
    return store_remove(folder, err);
}

bool
book_settle(struct book *book, struct err *err)
{
    return store_empty_wal(book->store, err);
}

void
book_close(struct book **owned)
{
    struct book *book = *owned;

    if (book == NULL)
        return;
    *owned = NULL;
    store_close(&book->store);
    free(book);
}

bool
book_keep(struct book *book, const struct alarm *alarm, struct err *err)
{
    bool is_gone = alarm->state == ALARM_GONE || (alarm->is_taken_back && alarm->queued_ms == 0);
    bool is_queued = alarm->queued_ms != 0;
    struct store_value values[6] = {
        value_text(bytes_of(core_app_name(alarm->app))),
        { .type = STORE_BLOB, .bytes = bytes_from(alarm->agent.bytes, sizeof alarm->agent.bytes) },
        value_text(alarm->class_name),
        value_text(alarm->name),
        value_number(is_queued ? alarm->queued_ms : alarm->due_ms),
        value_number(is_queued ? 0 : (int64_t)alarm->counted),
    };

    return is_gone ? book_run(book, BYTES_LIT(DROP_SQL), values, 2, err)
                   : book_run(book, BYTES_LIT(PUT_SQL), values, ARRAY_LEN(values), err);
}

bool
book_heard(struct book *book, uint64_t lsn, struct err *err)
{
    struct store_value value = value_number((int64_t)lsn);

    assert(lsn <= INT64_MAX);
    return book_run(book, BYTES_LIT(PUT_FEED_SQL), &value, 1, err);
}

bool
book_scanned(struct book *book, struct bytes app, struct err *err)
{
    struct store_value value = value_text(app);

    return book_run(book, BYTES_LIT(PUT_SCANNED_SQL), &value, 1, err);
}

bool
book_forget_scanned(struct book *book, struct err *err)
{
    return book_run(book, BYTES_LIT(CLEAR_SCANNED_SQL), NULL, 0, err);
}

bool
book_commit(struct book *book, struct err *err)
{
    uint64_t seq;

    return store_commit(book->store, &seq, err);
}
