/* The limits of agents' databases, each with its reason. Those marked workerd are part of the compatible surface. */
#ifndef DORMOUSE_STORE_LIMITS_H
#define DORMOUSE_STORE_LIMITS_H

#define STORE_VALUE_MAX_BYTES     8388642            /* workerd, measured: SQLITE_LIMIT_LENGTH, one row, string or blob */
#define STORE_SQL_MAX_BYTES       100000             /* workerd: one call's SQL text */
#define STORE_COLUMNS_MAX         100                /* workerd */
#define STORE_BINDINGS_MAX        100                /* workerd */
#define STORE_EXPR_DEPTH_MAX      100                /* workerd */
#define STORE_COMPOUND_MAX        5                  /* workerd: terms of a UNION and its like */
#define STORE_VDBE_OPS_MAX        25000              /* workerd: size of one compiled statement */
#define STORE_FUNCTION_ARGS_MAX   127                /* workerd: json_object() with many pairs is in use */
#define STORE_LIKE_PATTERN_MAX    50                 /* workerd: LIKE and GLOB are quadratic */
#define STORE_TRIGGER_DEPTH_MAX   10                 /* workerd */
#define STORE_BYTES_MAX           (10LL * 1024 * 1024 * 1024)   /* one agent's database, unless the options say otherwise */

#define STORE_PAGE_BYTES          4096               /* workerd's page size, so that files move both ways; a disk block */
#define STORE_PENDING_PAGE        ((uint32_t)(0x40000000 / STORE_PAGE_BYTES + 1))   /* where SQLite's locks are: never written (file format, section 1.4) */
#define STORE_CACHE_BYTES_MAX     (1024 * 1024)      /* workerd: compiled statements kept, here by the memory they take */
#define STORE_PAGES_BYTES_MAX     (512 * 1024)       /* page cache while a turn runs; store_trim() gives it back */
#define STORE_WAL_PAGES_MAX       1000               /* a longer WAL is moved into the database at the next commit */
#define STORE_WAL_PAGES_IDLE_MAX  64                 /* a longer WAL is moved at close: reading 256 KiB back costs a wake < 1 ms */
#define STORE_WAL_HELD_PAGES_MAX  256                /* journaled: pages held in memory before the store wants a checkpoint; 1 MiB per busy agent */
#define STORE_COMMIT_CACHED_PAGES 16                 /* journaled: pages of a larger commit (a birth, an import) leave the page cache: the WAL has them in memory */
#define STORE_TXN_BYTES_MAX   (64 * 1024 * 1024)     /* journaled: one transaction's pages; in memory until durable, and 65 messages to the journal */
#define STORE_FRAMES_BYTES_MAX (512LL * 1024 * 1024) /* journaled: WALs of all databases of the process, when agents keep transactions open or the journal is slow */
#define STORE_REDO_BYTES_MAX  (8 * 1024 * 1024)      /* journaled: a longer redo is written to db.sqlite at open instead of held in memory */
#define STORE_WAL_BUFFER_BYTES    (256 * 1024)       /* frames gathered before they are written: one syscall per commit, mostly */
#define STORE_TICK_OPS            10000              /* virtual machine steps between two looks at the clock: about 0.1 ms */
#define STORE_HEAP_SOFT_BYTES     (128LL * 1024 * 1024)  /* workerd: above it page caches are given back first */
#define STORE_HEAP_HARD_BYTES     (512LL * 1024 * 1024)  /* all databases of the process: sorting happens in memory */
#define STORE_SPARE_BYTES_MAX     (2 * 1024 * 1024)  /* freed blocks kept for the next statement or database: what some fifty databases hold */
#define STORE_SLAB_BYTES          (32 * 1024)        /* of an open database, for what SQLite takes in pieces of up to STORE_SLAB_PIECE_BYTES: a few statements and a small schema */
#define STORE_SLAB_PIECE_BYTES    512
#define STORE_SLABS_MAX           512                /* databases that have one: 16 MiB */
#define STORE_SLABS_SPARE_MAX     64                 /* kept for the next ones */
#define STORE_PATH_MAX_BYTES      1000               /* of a database file; SQLite keeps buffers of this size */
#define STORE_DEPTH_MAX           64                 /* nested transactions: as deep as critical sections may nest */
#define STORE_FOLDERS_MAX         8                  /* folders above an agent's own that may be missing: APP/agents/NAMESPACE/ab, and spare */

#endif
