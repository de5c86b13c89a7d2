/*
 * journal_files — files that workers want on disk, synced in a thread: a worker has none, and its agents must not wait for each other's disk.
 *
 * Promise: FILE_SYNCED follows each file, in no order, when its sync ended; not when its link did.
 * Threads: one at a time, for the syncs; all else belongs to the loop.
 */
#ifndef DORMOUSE_JOURNAL_FILES_H
#define DORMOUSE_JOURNAL_FILES_H

#include "lib/base/err.h"

struct files;
struct link;
struct loop;

MUST_USE bool files_create(struct files **out_files, struct loop *loop, struct err *err);
/* FD is closed when it is synced. */
void files_sync(struct files *files, struct link *link, uint32_t request, int fd);
void files_link_down(struct files *files, const struct link *link);
/* Waits for what is being synced. */
void files_destroy(struct files **files);

#endif
