/*
 * store_blocks — memory of SQLite, and the pages of WALs: blocks that were freed are kept for the next statement or database.
 *
 * Promise: a database that opens, runs a few statements and closes again leaves the C library's allocator as it was; what is kept is bounded
 * (STORE_SPARE_BYTES_MAX), and goes back when blocks_rest() is called.
 * Threads: none. Under the address sanitizer nothing is kept, so that it sees every use of freed memory.
 */
#ifndef DORMOUSE_STORE_BLOCKS_H
#define DORMOUSE_STORE_BLOCKS_H

#include <stddef.h>

/* Has SQLite use it. Before SQLite is initialized; any number of times. */
void blocks_init(void);
/* Never NULL; aligned to 8. What it holds is whatever was there. */
void *blocks_take(size_t bytes);
void blocks_give(void *block);             /* NULL is fine */
/* STORE_SLAB_BYTES for all that one database takes in small pieces, aligned to 8. NULL: too many databases have one, it goes on without. */
void *blocks_slab_take(void);
void blocks_slab_give(void *slab);         /* NULL is fine */
void blocks_rest(void);                    /* all that is kept goes back to the C library */
size_t blocks_spare(void);                 /* bytes that are kept */

#endif
