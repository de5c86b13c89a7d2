/* store_file — an open file of SQLite's, and what both of our VFSes do with it. Only store_vfs*.c include this. */
#ifndef DORMOUSE_STORE_FILE_H
#define DORMOUSE_STORE_FILE_H

#include <sqlite3.h>

#include "lib/base/bytes.h"
#include "lib/store/store.h"
#include "lib/store/store_frames.h"
#include "lib/store/store_limits.h"
#include "lib/store/store_vfs.h"

enum file_kind { FILE_MAIN, FILE_WAL, FILE_OTHER };

struct vfs_file {
    sqlite3_file     base;                 /* first: SQLite's handle */
    enum file_kind   kind;
    int              fd;                   /* -1: not there yet, or in memory */
    const char      *path;                 /* SQLite's, lives as long as the file */
    struct vfs_file *main;                 /* of a WAL: its database (SQLite closes the WAL first) */
    struct vfs_file *wal;                  /* of a database: its WAL while that is open */
    bool             is_unborn;            /* main: no first page on disk, reads give the constant page */
    bool             is_headless;          /* main, journaled: what is at its start is no first page: torn, or damaged */
    bool             is_marked;            /* main: carries IMAGE_MARK; its folders are not known to be durable */
    bool             is_new_name;          /* wal: created by us, its name not yet synced */
    bool             is_locked;
    bool             is_rollback_mode;     /* main: not in WAL mode when it was opened */
    bool             has_sums;             /* main: its pages on disk carry checksums (store_image.h) */
    bool             ignores_sums;         /* main: they are another program's, and wrong */
    bool             is_copied;            /* main, journaled: has every page of the WAL; SQLite may believe that it wrote them */
    uint64_t         stamp;                /* main: the commit number in its first page */
    struct store_base base_memo;           /* … and what is noted beside it */
    bool             has_lost_note;        /* … neither of which is right in the file */
    struct frames   *frames;               /* main, journaled: the WAL; owned */
    struct buf       pending;              /* wal: written by SQLite, not yet by us */
    int64_t          pending_at;
    int64_t          disk_bytes;           /* wal: size of the file */
    int64_t          durable_bytes;        /* wal: this generation is on disk up to here */
    uint64_t         syncs;
    struct vfs_failure failure;            /* main: sticky, of both files */
    int              last_errno;           /* main */
};

struct vfs_file *file_of(sqlite3_file *file);
struct vfs_file *file_of_db(sqlite3 *db);                  /* the main file; NULL when there is none */
void file_note(struct vfs_file *file, int sys_errno);      /* vfs_last_errno() */
bool errno_is_full(int sys_errno);
MUST_USE bool folder_of(const char *path, char out_folder[STORE_PATH_MAX_BYTES + 1]);
/* Nobody else may have the database open, SQLite's shell included. SQLITE_OK or SQLITE_BUSY. */
int main_lock(struct vfs_file *file);
/* Whether the first page's checksum is right but for the byte that says that there are any. */
bool main_lost_sums(const struct vfs_file *file);
/* A read beyond the end gives zeros and says so. */
int read_tail(uint8_t *data, size_t wanted, size_t got);
int read_image(uint8_t *data, size_t len, int64_t at);
/* Reads what FILE's descriptor has, without the stamp. */
int read_disk(struct vfs_file *file, uint8_t *to, size_t len, int64_t at);

/* Methods that do the same for all files. */
int file_lock(sqlite3_file *base, int level);
int file_unlock(sqlite3_file *base, int level);
int file_check_reserved(sqlite3_file *base, int *out_reserved);
int file_control(sqlite3_file *base, int op, void *arg);
int file_sector_size(sqlite3_file *base);
int file_characteristics(sqlite3_file *base);

/* store_vfs_system.c */
int vfs_full_path(sqlite3_vfs *vfs, const char *name, int out_bytes, char *out_path);
int vfs_randomness(sqlite3_vfs *vfs, int len, char *out);
int vfs_sleep(sqlite3_vfs *vfs, int us);
int vfs_time_ms(sqlite3_vfs *vfs, sqlite3_int64 *out_ms);
int vfs_time(sqlite3_vfs *vfs, double *out_days);
int vfs_get_last_error(sqlite3_vfs *vfs, int len, char *out);

/* store_vfs_journaled.c: registers the second VFS, which shares BASE's clock and chance. */
int vfs_journaled_register(const sqlite3_vfs *base);

#endif
