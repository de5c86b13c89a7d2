/*
 * journal_sync — syncfs() of the databases' file system on a thread of its own, so that commits go on meanwhile.
 */
#ifndef DORMOUSE_JOURNAL_SYNC_H
#define DORMOUSE_JOURNAL_SYNC_H

#include "lib/base/bytes.h"
#include "lib/base/err.h"

struct loop;
struct syncer;

/* FOLDER is opened now: the sandbox may hide it later. FN is told of each end; sys_errno 0: all that was written before is durable. */
MUST_USE bool syncer_create(struct syncer **out_syncer, struct loop *loop, const char *folder, void (*fn)(int sys_errno), struct err *err);
void syncer_start(struct syncer *syncer);          /* not while it is running */
/* Is there anything of NAME in the folder? What cannot be looked at is there. */
bool syncer_has(const struct syncer *syncer, struct bytes name);
bool syncer_is_running(const struct syncer *syncer);
void syncer_destroy(struct syncer **syncer);       /* waits for the thread */

#endif
