/*
 * store — one agent's database: SQL with workerd's rules and words, key-value pairs, an alarm, a name.
 *
 * Promise: what store_commit() returned true for survives any crash and power cut. Before that, nothing a turn wrote is on disk
 * to stay: a crash or store_rollback() undoes all of it. A store whose disk failed under it refuses everything that follows
 * (store_is_broken); close it and open it again to continue from the last durable commit. Damaged files are refused with
 * ERR_CORRUPT and left as they are. A database that nothing was ever written to takes no file, no folder and no descriptor.
 *
 * Turns: the first statement that may write opens a transaction by itself; store_commit() at the end of the turn closes it.
 * Cursors may stay open across commits. SQL text is the agent's and hostile: it is held to the policy in store_policy.c.
 *
 * On disk: FOLDER/db.sqlite, and FOLDER/db.sqlite-wal of a store that syncs (docs/storage.md). Two descriptors at most; a journaled store has one,
 * and none before its first checkpoint. One process at a time; nothing keeps a second one from a database that has no file yet.
 * Errors: err->message is exactly what the agent's code must see; err->code says whose failure it was: ERR_APP the statement's,
 * ERR_DISK_FULL quota or disk, ERR_TIMEOUT the tick said stop, ERR_IO, ERR_CORRUPT, ERR_UNAVAILABLE another process has it.
 * Threads: none; all stores of a process belong to one thread.
 */
#ifndef DORMOUSE_STORE_H
#define DORMOUSE_STORE_H

#include "lib/base/bytes.h"
#include "lib/base/err.h"
#include "lib/store/store_limits.h"

struct store;
struct store_cursor;

enum store_type { STORE_NULL, STORE_INTEGER, STORE_REAL, STORE_TEXT, STORE_BLOB };

struct store_value {
    enum store_type type;
    int64_t         integer;           /* STORE_INTEGER */
    double          real;              /* STORE_REAL */
    struct bytes    bytes;             /* STORE_TEXT (UTF-8 when the agent stored UTF-8), STORE_BLOB; borrowed */
};

struct store_options {
    int64_t bytes_max;                 /* quota; 0: STORE_BYTES_MAX */
    /* Asked every STORE_TICK_OPS steps of a running statement; false ends it with ERR_TIMEOUT. NULL: no limit. */
    bool  (*tick)(void *owner);
    void   *owner;
    /* Commits go to a journal (below); otherwise each is synced here. */
    bool         is_journaled;
    bool         is_foreign;           /* not journaled: another program wrote it last, and no checksums */
    bool         is_new;               /* the caller has seen that there is no FOLDER: nothing is looked for in it */
    struct bytes redo;                 /* journaled: page sets of commits that db.sqlite may lack, oldest first, end to end; borrowed */
    uint64_t     redo_seq;             /* the number of the last of them: numbers go on from here, or from db.sqlite's */
};

/* ---- where ---------------------------------------------------------------------------------------------------------- */
/* From now on no file of a database below the folder ROOT is opened through a symbolic link, or outside of it, whatever its path says: a folder that was
 * put in place of another's shows itself as an error. For a process whose databases are all below one folder; what is elsewhere is opened as ever. */
MUST_USE bool store_root_set(const char *root, struct err *err);

/* ---- life ---------------------------------------------------------------------------------------------------------- */
/* Opens the database in FOLDER. The folder appears with the first commit when it is absent. OPTIONS may be NULL. */
MUST_USE bool store_open(struct store **out_store, const char *folder, const struct store_options *options, struct err *err);
/* Undoes what is not committed, ends cursors that are still open (their owners close them still, before or after), frees. */
void store_close(struct store **store);
/* Not journaled: moves all commits into db.sqlite, whose pages have checksums, and leaves nothing in the WAL. Between turns. */
MUST_USE bool store_empty_wal(struct store *store, struct err *err);
bool store_is_broken(const struct store *store);
/* Gives back memory: compiled statements, cached pages. For an agent with nothing to do. */
void store_trim(struct store *store);
/* Memory that closed databases left for the next ones goes back to the C library. */
void store_give_back(void);
/* What SQLite holds in memory for this store, in bytes. */
size_t store_memory(const struct store *store);
/* The number of the last commit in FOLDER's database, which need not be open; 0 when there is none. False: it cannot be read. */
MUST_USE bool store_peek_seq(const char *folder, uint64_t *out_seq);
/* Makes FOLDER, and those above it that are missing, durably: one that agents share, for what stands beside their folders. It is remembered. */
MUST_USE bool store_folder_make(const char *folder, struct err *err);
/* Takes FOLDER away, with the database in it, which must not be open: renamed to FOLDER.gone first, so that a crash leaves all or
 * nothing. Files that are not ours stay in FOLDER.gone. True when FOLDER is durably gone; an absent one is. */
MUST_USE bool store_remove(const char *folder, struct err *err);

/* ---- turns --------------------------------------------------------------------------------------------------------- */
/* Makes the turn's writes durable and gives the number of the last commit (gapless, from 1 in each open store). Writes nothing
 * when nothing was written, and nothing either while a transaction is open (store_depth > 0): its writes join a later commit.
 * False: the turn's writes are undone, or their fate is unknown until the store is opened again (store_is_broken). */
MUST_USE bool store_commit(struct store *store, uint64_t *out_seq, struct err *err);
void store_rollback(struct store *store);                  /* undoes the turn, open transactions included */
bool store_is_dirty(const struct store *store);            /* something waits for store_commit() */
uint64_t store_durable_seq(const struct store *store);     /* commits up to this number are durable */

/*
 * ---- journaled stores (docs/decisions/007-journal.md) ----
 * The WAL lives in memory. store_commit() numbers and captures a commit; whoever opened the store takes its pages, makes them durable
 * elsewhere and says so. Numbers go on where db.sqlite's stamp, or the redo, ends. store_close() writes nothing: what was not
 * checkpointed must come back as redo.
 */
uint64_t store_seq(const struct store *store);             /* the last commit */
/* Gives FN the page sets of the commits captured since the last call (bytes borrowed); more: another part of the same commit follows. */
void store_take_pages(struct store *store, void (*fn)(void *owner, struct bytes pages, bool more), void *owner);
void store_set_durable(struct store *store, uint64_t seq); /* commits up to SEQ are durable; never goes back */
bool store_wants_checkpoint(const struct store *store);    /* the WAL is long: checkpoint once all of it is durable */
/* The whole database as of the last commit, for history: gives FN its page sets, as of one commit. Between turns, or before store_commit(). */
MUST_USE bool store_image(struct store *store, void (*fn)(void *owner, struct bytes pages, bool more), void *owner, struct err *err);
/* The same, of the pages that IS_WANTED (it must not use the store), as one commit that stands on another state with the rest; nothing when it wants none. */
MUST_USE bool store_image_part(struct store *store, bool (*is_wanted)(void *owner, uint32_t number, const uint8_t *page),
                               void (*fn)(void *owner, struct bytes pages, bool more), void *owner, struct err *err);
/* A note that db.sqlite keeps for the caller, from the next checkpoint on: when the last such image was taken, how much was committed
 * since, and marks of the caller's. Zeros: not known. */
struct store_base { uint32_t time_s, kib, marks; };
struct store_base store_base(const struct store *store);
int64_t store_image_bytes(const struct store *store);      /* of the database as of the last commit */
bool store_is_unborn(const struct store *store);           /* nothing was ever committed */
void store_set_base(struct store *store, struct store_base base);
bool store_is_checkpointed(const struct store *store);     /* db.sqlite, as the kernel has it, holds every commit */
/* Copies the WAL into db.sqlite, without a sync, and stamps the number of the last commit there. Only between turns, when every commit is
 * durable (asserted). False: db.sqlite may be torn until the same commits are applied again; the store itself goes on from its WAL. */
MUST_USE bool store_checkpoint(struct store *store, struct err *err);

/* Nested transactions within the turn (transactionSync): each ends by exactly one of the two. */
MUST_USE bool store_txn_begin(struct store *store, struct err *err);
MUST_USE bool store_txn_commit(struct store *store, struct err *err);
MUST_USE bool store_txn_rollback(struct store *store, struct err *err);
unsigned store_depth(const struct store *store);

/* ---- SQL ----------------------------------------------------------------------------------------------------------- */
/* Runs all statements of SQL; VALUES are bound to the last one, which is stepped to its first row. */
MUST_USE bool store_query(struct store *store, struct bytes sql, const struct store_value *values, size_t values_count,
                          struct store_cursor **out_cursor, struct err *err);
bool     store_cursor_has_row(const struct store_cursor *cursor);      /* a row is there to be read */
unsigned store_cursor_columns(const struct store_cursor *cursor);
struct bytes store_cursor_name(const struct store_cursor *cursor, unsigned column);
/* The same number as long as the column names are the same array: lets a caller keep what it derived from them. */
uint64_t store_cursor_shape(const struct store_cursor *cursor);
/* A value of the present row; bytes are borrowed until the next call on the cursor. */
void store_cursor_value(struct store_cursor *cursor, unsigned column, struct store_value *out_value);
/* Goes to the next row, if any. At the end the statement is given back at once; names and counters stay. */
MUST_USE bool store_cursor_next(struct store_cursor *cursor, struct err *err);
uint64_t store_cursor_rows_read(const struct store_cursor *cursor);
uint64_t store_cursor_rows_written(const struct store_cursor *cursor);
void store_cursor_close(struct store_cursor **cursor);

MUST_USE bool store_size(struct store *store, int64_t *out_bytes, struct err *err);   /* sql.databaseSize */

/* ---- key-value pairs ------------------------------------------------------------------------------------------------- */
/* The value goes to FN (bytes borrowed during the call); *out_found tells whether there is one. FN must not use the store. */
MUST_USE bool store_kv_get(struct store *store, struct bytes key, void (*fn)(void *owner, struct bytes value), void *owner,
                           bool *out_found, struct err *err);
MUST_USE bool store_kv_put(struct store *store, struct bytes key, struct bytes value, struct err *err);
MUST_USE bool store_kv_delete(struct store *store, struct bytes key, bool *out_existed, struct err *err);

struct store_range {                   /* keys in byte order; views with data NULL are absent */
    struct bytes start;                /* included */
    struct bytes start_after;          /* excluded; instead of start */
    struct bytes end;                  /* excluded */
    struct bytes prefix;
    bool         reverse;
    int64_t      limit;                /* 0: none */
};
/* Calls FN for each pair in order until it returns false. FN must not use the store. */
MUST_USE bool store_kv_list(struct store *store, const struct store_range *range,
                            bool (*fn)(void *owner, struct bytes key, struct bytes value), void *owner, struct err *err);

/* ---- what the agent is ------------------------------------------------------------------------------------------------ */
#define STORE_ALARM_NONE INT64_MIN
MUST_USE bool store_alarm_get(struct store *store, int64_t *out_ms, struct err *err);   /* since 1970, or STORE_ALARM_NONE */
MUST_USE bool store_alarm_set(struct store *store, int64_t ms, struct err *err);        /* STORE_ALARM_NONE: no alarm */
/* The agent's name, kept with its data. Appends to OUT; *out_found false: never set. */
MUST_USE bool store_name_get(struct store *store, struct buf *out, bool *out_found, struct err *err);
MUST_USE bool store_name_set(struct store *store, struct bytes name, struct err *err);

/* What the agent is to be restored to at its next start: the caller's bytes; empty: nothing. */
MUST_USE bool store_restore_get(struct store *store, struct buf *out, struct err *err);
MUST_USE bool store_restore_set(struct store *store, struct bytes what, struct err *err);

/* Where this state came from, when it was put here as a whole: the caller's bytes; empty: nobody said. */
MUST_USE bool store_origin_get(struct store *store, struct buf *out, struct err *err);
MUST_USE bool store_origin_set(struct store *store, struct bytes what, struct err *err);

enum store_keep { STORE_KEEP_NOTHING, STORE_KEEP_ALARM };
/* Empties the database: tables, pairs, and the alarm unless it is kept; the name stays. Undoes the turn's earlier writes and
 * ends all cursors. Part of the turn's commit like any write. Fails inside a transaction. *out_pairs: how many pairs there were. */
MUST_USE bool store_delete_all(struct store *store, enum store_keep keep, int64_t *out_pairs, struct err *err);

#endif
