/* store_internal — what the files of lib/store share. Nobody else includes this. */
#ifndef DORMOUSE_STORE_INTERNAL_H
#define DORMOUSE_STORE_INTERNAL_H

#include <sqlite3.h>

#include "lib/base/list.h"
#include "lib/base/map.h"
#include "lib/store/store.h"
#include "lib/store/store_vfs.h"

#define STMT_ROWS_READ    1025                 /* sqlite.patch */
#define STMT_ROWS_WRITTEN 1026

enum store_own {                               /* statements of ours, prepared when first used (store.c) */
    OWN_BEGIN, OWN_COMMIT, OWN_ROLLBACK, OWN_SAVEPOINT, OWN_RELEASE, OWN_ROLLBACK_TO, OWN_SIZE,
    OWN_KV_CREATE, OWN_KV_GET, OWN_KV_PUT, OWN_KV_DELETE, OWN_KV_COUNT,
    OWN_KV_LIST, OWN_KV_LIST_END, OWN_KV_LIST_REVERSE, OWN_KV_LIST_END_REVERSE,
    OWN_META_CREATE, OWN_META_GET, OWN_META_PUT,
    OWN_COUNT
};

enum store_table { TABLE_KV, TABLE_META, TABLES };

struct store_names {                           /* column names of a statement; outlives it while a cursor needs them */
    unsigned     refs;
    unsigned     count;
    uint64_t     shape;
    struct bytes name[];
};

struct store_stmt {                            /* a compiled statement of the agent's */
    sqlite3_stmt      *stmt;
    struct store_names *names;                 /* owned reference; NULL before the first run */
    int                reprepares;             /* when names were taken */
    struct bytes       sql;                    /* owned; the cache's key */
    size_t             memory_bytes;
    bool               is_cached;
    bool               is_busy;                /* a cursor runs it */
    bool               may_write;              /* it belongs into the turn's transaction */
    struct list_node   in_lru;
};

struct store {
    sqlite3          *db;
    char             *path;                    /* of db.sqlite */
    void             *slab;                    /* of blocks_slab_take(): SQLite's lookaside memory for DB; NULL: none */
    struct store_options options;
    sqlite3_stmt     *own[OWN_COUNT];
    struct list_node  cursors;                 /* open ones that run a statement */
    struct bmap      *stmts;                   /* SQL text → struct store_stmt */
    struct list_node  lru;                     /* the same, least recently used first */
    size_t            stmts_bytes;
    bool              has_table[TABLES];
    bool              tables_known;            /* has_table is right; false after a rollback */
    bool              is_trusted;              /* the statement being compiled or run is ours */
    bool              in_txn;                  /* BEGIN was run */
    unsigned          depth;                   /* savepoints */
    bool              pragma_writes;           /* the statement being compiled is a pragma that writes */
    const char       *refusal;                 /* why the authorizer said no, when it has more to say */
    uint64_t          seq;                     /* the last commit */
    uint64_t          durable_seq;             /* journaled: commits up to this one are */
    struct err       *broken;                  /* NULL while all is well */
};

/* store.c */
MUST_USE bool store_ready(struct store *store, struct err *err);            /* false when it is broken */
MUST_USE bool store_begin(struct store *store, struct err *err);            /* opens the turn's transaction */
/* Turns SQLite's last failure RC into ERR with workerd's words; marks the store broken when it must be. Always false. */
bool store_fail(struct store *store, int rc, struct err *err);
/* A statement of ours, reset and without bindings. */
MUST_USE bool store_own_stmt(struct store *store, enum store_own which, sqlite3_stmt **out_stmt, struct err *err);
/* Steps a statement of ours once. *out_row: it has a row; otherwise it is done. */
MUST_USE bool store_own_step(struct store *store, sqlite3_stmt *stmt, bool *out_row, struct err *err);
MUST_USE bool store_own_run(struct store *store, enum store_own which, struct err *err);
MUST_USE bool store_has_table(struct store *store, enum store_table table, bool *out_has, struct err *err);
MUST_USE bool store_need_table(struct store *store, enum store_table table, struct err *err);
unsigned store_prepare_flags(const struct store *store);                     /* of statements that stay */
int  store_tick(void *store);                                               /* sqlite3_progress_handler */
/* store_journaled.c */
/* PATH: of db.sqlite. *out_bytes: what files beside it hold. */
bool store_adopt_is_due(const char *path, int64_t *out_bytes);
/* Moves what files beside db.sqlite hold into it, durably, and removes them. */
MUST_USE bool store_adopt(const char *path, struct err *err);
MUST_USE bool store_redo(struct store *store, struct err *err);             /* options.redo, and where numbers go on */
/* store_query.c */
void store_stmts_drop(struct store *store);                                 /* empties the cache */
MUST_USE bool store_cursors_drain(struct store *store, struct err *err);    /* writers give their rows up front */
void store_cursors_cancel(struct store *store);
/* store_policy.c */
void policy_apply(struct store *store);
/* store_error.c */
void store_message(sqlite3 *db, int rc, struct buf *out);
/* store_meta.c */
MUST_USE bool store_meta_get(struct store *store, int64_t key, sqlite3_stmt **out_row, struct err *err);

#endif
