/* store_wal — whether a WAL holds a whole database, or continues one that must be there. */
#ifndef DORMOUSE_STORE_WAL_H
#define DORMOUSE_STORE_WAL_H

#include "lib/base/macros.h"

#define WAL_HEADER_BYTES 32

enum wal_state {
    WAL_ABSENT,                            /* no file, or an empty one */
    WAL_WHOLE,                             /* with the constant first page beneath, its commits are a database */
    WAL_CONTINUES,                         /* pages are missing that only the database file could have */
    WAL_UNREADABLE                         /* errno */
};
/* Reads the whole file at PATH; for the rare case that the database beside it is missing. */
enum wal_state wal_state(const char *path);

#endif
