/*
 * store_vfs — SQLite's only way to the disk, over lib/sys.
 *
 * Promise: a commit's xSync returns success only when the WAL, the database file and the folders that name them are all on
 * disk. A file whose write or sync failed refuses everything after (vfs_failure): nobody syncs the same descriptor again.
 * Nothing is created before the first byte is written: an absent database reads as an empty one in WAL mode.
 *
 * Two VFSes: "dormouse" syncs each commit; "dormouse-journaled" keeps the WAL in memory (store_frames.h) for a journal elsewhere.
 * Not here: locks between threads (there is one thread), shared memory (locking is exclusive, the WAL index is in our heap).
 */
#ifndef DORMOUSE_STORE_VFS_H
#define DORMOUSE_STORE_VFS_H

#include <sqlite3.h>
#include <sys/types.h>

#include "lib/base/bytes.h"
#include "lib/base/err.h"

/* Registers with SQLite and sets the heap limits. Any number of times. */
void vfs_init(void);

enum vfs_trouble {
    VFS_WELL,
    VFS_DISK_FULL,
    VFS_IO,
    VFS_DAMAGED                            /* a WAL lost the database it continues */
};
struct vfs_failure {
    enum vfs_trouble trouble;
    int              sys_errno;
};
/* What went wrong on the files of DB since it was opened; sticky unless VFS_WELL. */
struct vfs_failure vfs_failure(sqlite3 *db);
/* errno of the last syscall that failed on the files of DB, sticky or not; 0 for none. */
int vfs_last_errno(sqlite3 *db);
/* Another program wrote it last: the checksums in it say nothing. */
void vfs_ignore_sums(sqlite3 *db);
/* Whether the database exists only in our heads so far. */
bool vfs_is_unborn(sqlite3 *db);
/* Whether the file came to us in rollback-journal mode (an import). */
bool vfs_is_rollback_mode(sqlite3 *db);
/* Pages in the WAL that the database file lacks, at most. */
int64_t vfs_wal_bytes(sqlite3 *db);
/* How often a WAL write of DB was made durable. */
uint64_t vfs_sync_count(sqlite3 *db);

/* ---- databases opened with the VFS VFS_JOURNALED: their WAL is in memory, db.sqlite changes in vfs_checkpoint() only ---- */
#define VFS_JOURNALED "dormouse-journaled"
struct frames;
struct frames *vfs_frames(sqlite3 *db);                    /* the WAL; belongs to DB */
uint64_t vfs_stamp(sqlite3 *db);                           /* the number of the last commit that db.sqlite has */
/* Whether db.sqlite has content, but no first page: a power cut tore it, or it is damaged. */
bool vfs_is_headless(sqlite3 *db);
/* Its pages are right, but the stamp and what is noted beside it are not: both read as zero. */
bool vfs_has_lost_note(sqlite3 *db);
/* What db.sqlite has counts no more; the next vfs_file_make() begins it anew. */
void vfs_set_unborn(sqlite3 *db);
/* Writing db.sqlite, in three steps; each fails with errno. First: make it, when it is not there. No folder or file is ever synced. */
MUST_USE bool vfs_file_make(sqlite3 *db, int *out_errno);
/* Second, any number of times: pages, numbers rising. The old stamp stays. */
struct page_image;
MUST_USE bool vfs_pages_write(sqlite3 *db, const struct page_image *images, size_t count, int *out_errno);
/* Third: its size, then the new stamp, with vfs_base_memo() beside it. */
MUST_USE bool vfs_stamp_write(sqlite3 *db, uint32_t size_pages, uint64_t stamp, int *out_errno);
/* What is noted beside the stamp; to be changed in place. */
struct store_base *vfs_base_memo(sqlite3 *db);
/* COUNT pages from FIRST on as db.sqlite has them, zeros beyond its end, without the stamp; the constant first page when there is none. */
MUST_USE bool vfs_pages_read(sqlite3 *db, uint32_t first, size_t count, uint8_t *out, int *out_errno);
/* Whether PAGE, as vfs_pages_read() gave it, has the right checksum, or none. False also for one that a power cut tore and the WAL has anew. */
MUST_USE bool vfs_page_is_right(sqlite3 *db, const uint8_t *page, uint32_t number);
/* Puts new checksums into the closed database PATH, if its pages have room for them, and syncs it. */
MUST_USE bool vfs_sums_renew(const char *path, int *out_errno);
MUST_USE bool vfs_file_pages(sqlite3 *db, uint32_t *out_pages, int *out_errno);
/* Between true and false, SQLite's own checkpoint believes that it writes pages, which are there already. */
void vfs_set_copied(sqlite3 *db, bool is_copied);

/* sys_open() that stays below store_root_set()'s folder, when PATH is. */
int vfs_path_open(const char *path, int flags, mode_t mode);
/* Makes FOLDER exist (with the folders above it) and, when DURABLE, known to the disk. */
MUST_USE bool vfs_folder_create(const char *folder, int *out_errno);
/* Makes the names inside FOLDER durable, and FOLDER's own and those above it when ALSO_ABOVE. */
enum vfs_reach { VFS_FOLDER_ONLY, VFS_FOLDERS_ABOVE };
MUST_USE bool vfs_folder_sync(const char *folder, enum vfs_reach reach, int *out_errno);

#endif
