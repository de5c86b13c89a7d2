/*
 * control_files — whole small files and folders beneath a descriptor.
 *
 * Promise: nothing here follows a symbolic link out of the folder; a replaced file is either the old or the new one.
 */
#ifndef DORMOUSE_CONTROL_FILES_H
#define DORMOUSE_CONTROL_FILES_H

#include <dirent.h>

#include "lib/base/bytes.h"
#include "lib/base/err.h"

#define PATH_BYTES      2048       /* our own prefixes and one path of a deploy (DEPLOY_PATH_MAX_BYTES) */
#define INCOMING_PREFIX ".incoming-"

/* Prints a path; a longer one than PATH_BYTES is our bug, since its parts were checked. */
void path_print(char out[PATH_BYTES], const char *fmt, ...) PRINTF(2, 3);
/* Appends the file to OUT. Fails with ERR_LIMIT beyond BYTES_MAX; a missing file is ERR_NOT_FOUND with ENOENT. */
MUST_USE bool file_read(int dir, const char *path, size_t bytes_max, struct buf *out, struct err *err);
/* Writes beside, syncs, renames, syncs the folder. Mode 0600. */
MUST_USE bool file_replace(int dir, const char *path, struct bytes text, struct err *err);
/* Appends TEXT in one write; creates the file. Not synced. */
MUST_USE bool file_append(int dir, const char *path, struct bytes text, struct err *err);
MUST_USE bool folder_make(int dir, const char *path, struct err *err);   /* fine when it is there */
/* Makes the entry PATH durable in its folder. */
bool folder_sync_of(int dir, const char *path);
/* NULL when it cannot be read. closedir() it. */
DIR *folder_list(int dir, const char *path);
/* Removes the folder and all in it, as far as possible. */
void folder_remove(int dir, const char *path);

#endif
