/*
 * supervisor_folders — the data folder: made, locked, and owned by the user that the rooms run as.
 */
#ifndef DORMOUSE_SUPERVISOR_FOLDERS_H
#define DORMOUSE_SUPERVISOR_FOLDERS_H

#include <sys/types.h>

#include "lib/base/err.h"

/* Makes PATH and its parents (0700 for what is ours) and gives it to UID when it belongs to another. */
MUST_USE bool folder_make(const char *path, uid_t uid, gid_t gid, struct err *err);

/* Gives everything beneath PATH to UID, when PATH itself belongs to another (the data of a run with another sandbox).
 * Symbolic links are not followed. */
MUST_USE bool folder_give(const char *path, uid_t uid, gid_t gid, struct err *err);

/* One supervisor per data folder: an exclusive lock that ends with this process. */
MUST_USE bool folder_lock(const char *path, int *out_fd, struct err *err);

/* Can UID pass through every parent of PATH? OUT_BARRIER names the first that it cannot. */
bool folder_is_reachable(const char *path, uid_t uid, gid_t gid, char *out_barrier, size_t size);

#endif
