/* store — see store.h. This file: a store's life, its turns and transactions, and what becomes of failures. */
#include "lib/store/store.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/store/store_blocks.h"
#include "lib/store/store_frames.h"
#include "lib/store/store_internal.h"

#define DB_NAME "/db.sqlite"
#define CONSTRAINTS_VIOLATED                                                                                           \
    "Durable Object was reset and rolled back to its last known good state because the application left the database " \
    "in a state where constraints were violated"

#define TABLE_ABSENT "no such table column: "      /* what SQLite says when it is asked for a table without naming a column */

static bool store_setup(struct store *store, struct err *err);
static void store_break(struct store *store, const struct err *err);
static void statements_drop(struct store *store);

/* The names start with _cf_, where agents cannot reach; KV and METADATA are workerd's tables, so that its files import. */
static const char *const own_sql[OWN_COUNT] = {
    [OWN_BEGIN] = "BEGIN",
    [OWN_COMMIT] = "COMMIT",
    [OWN_ROLLBACK] = "ROLLBACK",
    [OWN_SAVEPOINT] = "SAVEPOINT _cf_txn",
    [OWN_RELEASE] = "RELEASE _cf_txn",
    [OWN_ROLLBACK_TO] = "ROLLBACK TO _cf_txn",
    [OWN_SIZE] = ("SELECT ((SELECT page_count FROM pragma_page_count) - (SELECT freelist_count FROM pragma_freelist_count))"
                  " * (SELECT page_size FROM pragma_page_size)"),
    [OWN_KV_CREATE] = "CREATE TABLE IF NOT EXISTS _cf_KV (key TEXT PRIMARY KEY, value BLOB) WITHOUT ROWID",
    [OWN_KV_GET] = "SELECT value FROM _cf_KV WHERE key = ?",
    [OWN_KV_PUT] = "INSERT INTO _cf_KV VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value",
    [OWN_KV_DELETE] = "DELETE FROM _cf_KV WHERE key = ?",
    [OWN_KV_COUNT] = "SELECT count(*) FROM _cf_KV",
    [OWN_KV_LIST] = "SELECT * FROM _cf_KV WHERE key >= ?1 ORDER BY key LIMIT ?3",
    [OWN_KV_LIST_END] = "SELECT * FROM _cf_KV WHERE key >= ?1 AND key < ?2 ORDER BY key LIMIT ?3",
    [OWN_KV_LIST_REVERSE] = "SELECT * FROM _cf_KV WHERE key >= ?1 ORDER BY key DESC LIMIT ?3",
    [OWN_KV_LIST_END_REVERSE] = "SELECT * FROM _cf_KV WHERE key >= ?1 AND key < ?2 ORDER BY key DESC LIMIT ?3",
    [OWN_META_CREATE] = "CREATE TABLE IF NOT EXISTS _cf_METADATA (key INTEGER PRIMARY KEY, value BLOB)",
    [OWN_META_GET] = "SELECT value FROM _cf_METADATA WHERE key = ?",
    [OWN_META_PUT] = "INSERT INTO _cf_METADATA VALUES (?, ?) ON CONFLICT DO UPDATE SET value = excluded.value",
};

/* ---- life ---------------------------------------------------------------------------------------------------------- */

bool
store_open(struct store **out_store, const char *folder, const struct store_options *options, struct err *err)
{
    struct store *store;
    size_t len = strlen(folder);

    vfs_init();
    if (len + sizeof DB_NAME + sizeof "-wal" > STORE_PATH_MAX_BYTES)
        return err_set(err, ERR_LIMIT, ENAMETOOLONG, "open '%s'", folder);
    store = calloc(1, sizeof *store);
    assert(store != NULL);
    store->path = malloc(len + sizeof DB_NAME);
    assert(store->path != NULL);
    memcpy(store->path, folder, len);
    memcpy(store->path + len, DB_NAME, sizeof DB_NAME);
    if (options != NULL)
        store->options = *options;
    list_init(&store->cursors);
    list_init(&store->lru);
    store->stmts = bmap_create();
    if (!store_setup(store, err)) {
        store_close(&store);
        return false;
    }
    *out_store = store;
    return true;
}

static bool
open_failed(struct store *store, int rc, struct err *err)
{
    int sys_errno = store->db == NULL ? 0 : sqlite3_system_errno(store->db);

    if (rc == SQLITE_CANTOPEN)
        return err_set(err, ERR_IO, sys_errno != 0 ? sys_errno : EIO, "cannot open '%s'", store->path);
    if (rc == SQLITE_BUSY)
        return err_set(err, ERR_UNAVAILABLE, EAGAIN, "'%s' is open in another process", store->path);
    (void)store_fail(store, rc, err);
    return err_add(err, "open '%s'", store->path);
}

static bool
quota_apply(struct store *store, struct err *err)
{
    char text[64];
    int rc;

    if (store->options.bytes_max == 0)
        return true;                       /* compiled in: room.mk, SQLITE_MAX_PAGE_COUNT */
    (void)snprintf(text, sizeof text, "PRAGMA max_page_count=%lld", (long long)(store->options.bytes_max / STORE_PAGE_BYTES));
    store->is_trusted = true;
    rc = sqlite3_exec(store->db, text, NULL, NULL, NULL);
    store->is_trusted = false;
    return rc == SQLITE_OK ? true : store_fail(store, rc, err);
}

static bool
mode_apply(struct store *store, struct err *err)
{
    int rc;

    if (!vfs_is_rollback_mode(store->db))
        return true;
    store->is_trusted = true;
    rc = sqlite3_exec(store->db, "PRAGMA journal_mode=WAL", NULL, NULL, NULL);
    store->is_trusted = false;
    return rc == SQLITE_OK ? true : store_fail(store, rc, err);
}

static bool
db_open(struct store *store, struct err *err)
{
    const char *vfs = store->options.is_journaled ? VFS_JOURNALED : "dormouse";
    int rc = sqlite3_open_v2(store->path, &store->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, vfs);

    if (rc != SQLITE_OK)
        return open_failed(store, rc, err);
    if (store->slab == NULL)
        store->slab = blocks_slab_take();
    if (store->slab != NULL)               /* fails only while some of it is in use */
        (void)sqlite3_db_config(store->db, SQLITE_DBCONFIG_LOOKASIDE, store->slab, STORE_SLAB_PIECE_BYTES, STORE_SLAB_BYTES / STORE_SLAB_PIECE_BYTES);
    if (vfs_failure(store->db).trouble == VFS_DAMAGED)
        return err_set(err, ERR_CORRUPT, 0, "'%s' has no first page although its -wal file continues it, or has a damaged one; restore it from a backup",
                       store->path);
    if (store->options.is_foreign)
        vfs_ignore_sums(store->db);
    return true;
}

static bool
journaled_open(struct store *store, struct err *err)
{
    int64_t beside_bytes = 0;
    bool is_due = !store->options.is_new && store_adopt_is_due(store->path, &beside_bytes);

    /* The journal has records only of commits after what was beside was taken in: one of the two came from elsewhere. */
    if (beside_bytes > 0 && store->options.redo.len > 0)
        return err_set(err, ERR_CORRUPT, 0, "'%s' has a -wal file, and records in the journal that are not of it; remove the -wal file if it is older",
                       store->path);
    if (is_due && !store_adopt(store->path, err))
        return false;
    if (!db_open(store, err))
        return false;
    if (vfs_is_rollback_mode(store->db)) {
        (void)sqlite3_close(store->db);    /* nothing was done with it yet */
        store->db = NULL;
        if (!store_adopt(store->path, err) || !db_open(store, err))
            return false;
    }
    return store_redo(store, err);
}

static bool
store_setup(struct store *store, struct err *err)
{
    bool has;

    if (!(store->options.is_journaled ? journaled_open(store, err) : db_open(store, err)))
        return false;
    policy_apply(store);
    (void)sqlite3_db_config(store->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);   /* fails for unknown verbs only */
    if (!store->options.is_journaled)
        (void)sqlite3_wal_autocheckpoint(store->db, STORE_WAL_PAGES_MAX);           /* never fails */
    if (store->options.tick != NULL)
        sqlite3_progress_handler(store->db, STORE_TICK_OPS, store_tick, store);
    if (vfs_is_unborn(store->db) && store_is_checkpointed(store)) {
        store->tables_known = true;
        return quota_apply(store, err);
    }
    /* Reads the first page and the WAL: whatever is damaged there shows now. */
    if (!store_has_table(store, TABLE_KV, &has, err)) {
        if (err != NULL && err->code == ERR_CORRUPT)
            return err_set(err, ERR_CORRUPT, 0, "'%s' is damaged; restore it from a backup", store->path);
        return err_add(err, "open '%s'", store->path);
    }
    return mode_apply(store, err) && quota_apply(store, err);
}

void
store_close(struct store **owned)
{
    struct store *store = *owned;
    int rc;

    if (store == NULL)
        return;
    *owned = NULL;
    store_cursors_cancel(store);
    if (store->db != NULL) {
        store_rollback(store);
        if (store->broken == NULL && !store->options.is_journaled && vfs_wal_bytes(store->db) > (int64_t)STORE_WAL_PAGES_IDLE_MAX * STORE_PAGE_BYTES)
            (void)sqlite3_wal_checkpoint_v2(store->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);   /* else next time */
        statements_drop(store);
        rc = sqlite3_close(store->db);
        assert(rc == SQLITE_OK);           /* otherwise a statement of ours is still there */
    }
    blocks_slab_give(store->slab);
    bmap_destroy(&store->stmts);
    free(store->broken);
    free(store->path);
    free(store);
}

bool
store_empty_wal(struct store *store, struct err *err)
{
    int rc;

    assert(!store->options.is_journaled);
    store_rollback(store);
    rc = sqlite3_wal_checkpoint_v2(store->db, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
    return rc == SQLITE_OK ? true : store_fail(store, rc, err);
}

bool
store_is_broken(const struct store *store)
{
    return store->broken != NULL;
}

static void
statements_drop(struct store *store)
{
    store_stmts_drop(store);
    for (int i = 0; i < OWN_COUNT; i++) {
        (void)sqlite3_finalize(store->own[i]);     /* repeats an old failure at most; NULL is fine */
        store->own[i] = NULL;
    }
}

void
store_trim(struct store *store)
{
    statements_drop(store);
    (void)sqlite3_db_release_memory(store->db);    /* never fails */
}

void
store_give_back(void)
{
    blocks_rest();
}

size_t
store_memory(const struct store *store)
{
    static const int parts[] = { SQLITE_DBSTATUS_CACHE_USED, SQLITE_DBSTATUS_SCHEMA_USED, SQLITE_DBSTATUS_STMT_USED };
    size_t bytes = sizeof *store;
    int now;
    int high;

    for (size_t i = 0; i < ARRAY_LEN(parts); i++)
        if (sqlite3_db_status(store->db, parts[i], &now, &high, 0) == SQLITE_OK)
            bytes += (size_t)now;
    return bytes + (store->options.is_journaled ? frames_memory(vfs_frames(store->db)) : 0);
}

/* ---- failures -------------------------------------------------------------------------------------------------------- */

bool
store_ready(struct store *store, struct err *err)
{
    if (store->broken == NULL)
        return true;
    if (err != NULL)
        *err = *store->broken;
    return false;
}

static void
store_break(struct store *store, const struct err *err)
{
    if (store->broken != NULL)
        return;
    store->broken = malloc(sizeof *store->broken);
    assert(store->broken != NULL);
    *store->broken = *err;
}

static enum err_code
code_of(int rc)
{
    switch (rc & 0xff) {
    case SQLITE_FULL:
        return ERR_DISK_FULL;
    case SQLITE_IOERR:
    case SQLITE_CANTOPEN:
    case SQLITE_PROTOCOL:
        return ERR_IO;
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return ERR_CORRUPT;
    case SQLITE_INTERRUPT:
        return ERR_TIMEOUT;
    case SQLITE_NOMEM:
        return ERR_LIMIT;
    default:
        return ERR_APP;
    }
}

bool
store_fail(struct store *store, int rc, struct err *err)
{
    struct buf text = { 0 };
    struct err local;
    enum err_code code = code_of(rc);
    int whole = sqlite3_extended_errcode(store->db);

    assert((rc & 0xff) != SQLITE_MISUSE);
    err_clear(&local);
    if (whole == SQLITE_CORRUPT_VTAB)
        code = ERR_APP;                    /* an agent can do this to its own full-text index, with nothing else damaged */
    if (rc == SQLITE_AUTH && store->refusal != NULL)
        buf_append_str(&text, store->refusal);
    else
        store_message(store->db, rc, &text);
    (void)err_set(&local, code, 0, "%s", buf_cstr(&text));   /* the agent must see exactly this: no errno behind it */
    local.sys_errno = code == ERR_IO || code == ERR_DISK_FULL ? vfs_last_errno(store->db) : 0;
    buf_fini(&text);
    /* SQLite undoes the whole transaction after some failures. What the agent did before is gone: it must start over. */
    if (code == ERR_CORRUPT || vfs_failure(store->db).trouble != VFS_WELL ||
        (store->in_txn && sqlite3_get_autocommit(store->db)))
        store_break(store, &local);
    if (err != NULL)
        *err = local;
    return false;
}

int
store_tick(void *owner)
{
    struct store *store = owner;

    return store->is_trusted || store->options.tick(store->options.owner) ? 0 : 1;
}

/* ---- statements of ours ------------------------------------------------------------------------------------------------ */

/* SQLite keeps such statements out of its lookaside memory, which is scarce elsewhere. */
unsigned
store_prepare_flags(const struct store *store)
{
    return store->slab == NULL ? SQLITE_PREPARE_PERSISTENT : 0;
}

bool
store_own_stmt(struct store *store, enum store_own which, sqlite3_stmt **out_stmt, struct err *err)
{
    int rc = SQLITE_OK;

    if (store->own[which] == NULL) {
        store->is_trusted = true;
        rc = sqlite3_prepare_v3(store->db, own_sql[which], -1, store_prepare_flags(store), &store->own[which], NULL);
        store->is_trusted = false;
    }
    *out_stmt = store->own[which];
    if (*out_stmt != NULL && sqlite3_stmt_busy(*out_stmt))
        (void)sqlite3_reset(*out_stmt);    /* a caller's callback left by a long jump */
    return rc == SQLITE_OK ? true : store_fail(store, rc, err);
}

bool
store_own_step(struct store *store, sqlite3_stmt *stmt, bool *out_row, struct err *err)
{
    int rc;

    store->is_trusted = true;
    rc = sqlite3_step(stmt);
    store->is_trusted = false;
    *out_row = rc == SQLITE_ROW;
    if (rc == SQLITE_ROW || rc == SQLITE_DONE)
        return true;
    (void)store_fail(store, rc, err);
    (void)sqlite3_reset(stmt);             /* repeats the failure */
    return false;
}

bool
store_own_run(struct store *store, enum store_own which, struct err *err)
{
    sqlite3_stmt *stmt;
    bool has_row;

    if (!store_own_stmt(store, which, &stmt, err) || !store_own_step(store, stmt, &has_row, err))
        return false;
    (void)sqlite3_reset(stmt);             /* it succeeded */
    return true;
}

/* Asks SQLite's own list of tables, which it reads now if it has not yet: no statement to be compiled, run and kept. */
static bool
table_look(struct store *store, const char *name, bool *out_has, struct err *err)
{
    int rc;

    store->is_trusted = true;
    rc = sqlite3_table_column_metadata(store->db, "main", name, NULL, NULL, NULL, NULL, NULL, NULL);
    store->is_trusted = false;
    *out_has = rc == SQLITE_OK;
    /* The same code says that the schema is of no format that SQLite knows. */
    return rc == SQLITE_OK || (rc == SQLITE_ERROR && strncmp(sqlite3_errmsg(store->db), TABLE_ABSENT, strlen(TABLE_ABSENT)) == 0) ? true : store_fail(store, rc, err);
}

static bool
tables_load(struct store *store, struct err *err)
{
    if (!table_look(store, "_cf_KV", &store->has_table[TABLE_KV], err) || !table_look(store, "_cf_METADATA", &store->has_table[TABLE_META], err))
        return false;
    store->tables_known = true;
    return true;
}

bool
store_has_table(struct store *store, enum store_table table, bool *out_has, struct err *err)
{
    if (!store->tables_known && !tables_load(store, err))
        return false;
    *out_has = store->has_table[table];
    return true;
}

bool
store_need_table(struct store *store, enum store_table table, struct err *err)
{
    bool has;

    if (!store_has_table(store, table, &has, err))
        return false;
    if (has)
        return true;
    if (!store_own_run(store, table == TABLE_KV ? OWN_KV_CREATE : OWN_META_CREATE, err))
        return false;
    store->has_table[table] = true;
    return true;
}

/* ---- turns ----------------------------------------------------------------------------------------------------------- */

bool
store_begin(struct store *store, struct err *err)
{
    if (store->in_txn)
        return true;
    if (!store_own_run(store, OWN_BEGIN, err))
        return false;
    store->in_txn = true;
    return true;
}

static bool
turn_failed(struct store *store)
{
    store_rollback(store);
    return false;
}

bool
store_commit(struct store *store, uint64_t *out_seq, struct err *err)
{
    uint64_t syncs;
    size_t held;

    if (!store_ready(store, err))
        return false;
    if (store->in_txn && store->depth == 0) {
        syncs = vfs_sync_count(store->db);
        held = store->options.is_journaled ? frames_held(vfs_frames(store->db)) : 0;
        if (!store_cursors_drain(store, err))
            return turn_failed(store);
        if (!store_own_run(store, OWN_COMMIT, err)) {
            if ((sqlite3_errcode(store->db) & 0xff) == SQLITE_CONSTRAINT)
                (void)err_add(err, CONSTRAINTS_VIOLATED);   /* deferred foreign keys are checked here; false is returned below */
            return turn_failed(store);
        }
        store->in_txn = false;
        if (vfs_sync_count(store->db) != syncs)
            store->seq++;                  /* of a journaled store the WAL's hook counts */
        if (store->options.is_journaled && frames_held(vfs_frames(store->db)) > held + STORE_COMMIT_CACHED_PAGES)
            (void)sqlite3_db_release_memory(store->db);   /* never fails */
    }
    *out_seq = store->seq;
    return true;
}

void
store_rollback(struct store *store)
{
    struct err ignored;

    if (!store->in_txn)
        return;
    if (!sqlite3_get_autocommit(store->db) && !store_own_run(store, OWN_ROLLBACK, &ignored))
        store_break(store, &ignored);      /* closing the database undoes it too */
    if (store->options.is_journaled)
        frames_rollback(vfs_frames(store->db));
    store->in_txn = false;
    store->depth = 0;
    store->tables_known = false;
}

bool
store_is_dirty(const struct store *store)
{
    return store->in_txn && sqlite3_txn_state(store->db, "main") == SQLITE_TXN_WRITE;
}

uint64_t
store_durable_seq(const struct store *store)
{
    return store->options.is_journaled ? store->durable_seq : store->seq;
}

unsigned
store_depth(const struct store *store)
{
    return store->depth;
}

bool
store_txn_begin(struct store *store, struct err *err)
{
    if (!store_ready(store, err))
        return false;
    if (store->depth >= STORE_DEPTH_MAX)
        return err_set(err, ERR_LIMIT, 0, "Transactions are nested too deeply.");
    if (!store_begin(store, err) || !store_cursors_drain(store, err) || !store_own_run(store, OWN_SAVEPOINT, err))
        return false;
    store->depth++;
    return true;
}

bool
store_txn_commit(struct store *store, struct err *err)
{
    assert(store->depth > 0 || store->broken != NULL);
    if (!store_ready(store, err))
        return false;
    if (!store_cursors_drain(store, err) || !store_own_run(store, OWN_RELEASE, err))
        return false;
    store->depth--;
    return true;
}

bool
store_txn_rollback(struct store *store, struct err *err)
{
    assert(store->depth > 0 || store->broken != NULL);
    if (!store_ready(store, err))
        return false;
    if (!store_cursors_drain(store, err))
        err_clear(err);                    /* its rows are being undone anyway */
    if (!store_own_run(store, OWN_ROLLBACK_TO, err) || !store_own_run(store, OWN_RELEASE, err))
        return false;
    store->tables_known = false;
    store->depth--;
    return true;
}
