/*
 * file_sync — puts a file on disk while agents go on: the journal syncs it, which has threads (journal_files.h).
 *
 * Promise: FN is called once for each file that could not be synced at once. While the journal is away files are synced in line.
 */
#ifndef DORMOUSE_WORKER_FILE_SYNC_H
#define DORMOUSE_WORKER_FILE_SYNC_H

#include "lib/base/bytes.h"
#include "lib/base/err.h"

typedef void file_sync_fn(void *owner, int sys_errno);

/* FD is closed when it is synced, or cannot be. False: it is over, and *out_errno says how (0: on disk); else FN comes later, from the loop. */
MUST_USE bool file_sync(int fd, file_sync_fn *fn, void *owner, int *out_errno);

void file_sync_journal_down(void);     /* what it was asked is synced in line */
MUST_USE bool file_synced(struct bytes payload, struct err *err);     /* FILE_SYNCED */

#endif
