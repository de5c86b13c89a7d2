/*
 * store_vfs — see store_vfs.h.
 *
 * Two kinds of file are special. The main database is virtual until its first commit and then made from a constant page. Its WAL
 * is opened when the first frame is written; frames gather in memory and reach the kernel in one write per commit.
 */
#include "lib/store/store_vfs.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/store/store_blocks.h"
#include "lib/store/store_file.h"
#include "lib/store/store_image.h"
#include "lib/store/store_limits.h"
#include "lib/store/store_wal.h"
#include "lib/sys/sys.h"

static const sqlite3_io_methods file_methods;

struct vfs_file *
file_of(sqlite3_file *file)
{
    return (struct vfs_file *)(void *)file;
}

/* The database that a file's troubles are counted on. */
static struct vfs_file *
file_head(struct vfs_file *file)
{
    return file->main != NULL ? file->main : file;
}

void
file_note(struct vfs_file *file, int sys_errno)
{
    file_head(file)->last_errno = sys_errno;
}

bool
errno_is_full(int sys_errno)
{
    return sys_errno == ENOSPC || sys_errno == EDQUOT || sys_errno == EFBIG;
}

/* Remembers that nothing more can be trusted. Returns what SQLite is to hear. */
static int
file_break(struct vfs_file *file, int sys_errno, int rc)
{
    struct vfs_file *head = file_head(file);

    file_note(file, sys_errno);
    if (head->failure.trouble == VFS_WELL) {
        head->failure.trouble = errno_is_full(sys_errno) ? VFS_DISK_FULL : VFS_IO;
        head->failure.sys_errno = sys_errno;
    }
    return errno_is_full(sys_errno) ? SQLITE_FULL : rc;
}

static bool
file_is_broken(struct vfs_file *file)
{
    return file_head(file)->failure.trouble != VFS_WELL;
}

/* ---- birth ---------------------------------------------------------------------------------------------------------- */

bool
folder_of(const char *path, char out_folder[STORE_PATH_MAX_BYTES + 1])
{
    const char *slash = strrchr(path, '/');
    size_t len = slash == NULL ? 0 : (size_t)(slash - path);

    if (len == 0 || len > STORE_PATH_MAX_BYTES)
        return false;
    memcpy(out_folder, path, len);
    out_folder[len] = '\0';
    return true;
}

/* The lock is on the bytes that SQLite's shell locks (file format, section 2.3). */
int
main_lock(struct vfs_file *file)
{
    if (file->fd < 0 || file->is_locked)
        return SQLITE_OK;
    if (sys_lock(file->fd, 0x40000000, 512) != 0) {
        file_note(file, errno);
        return SQLITE_BUSY;
    }
    file->is_locked = true;
    return SQLITE_OK;
}

bool
main_lost_sums(const struct vfs_file *file)
{
    uint8_t page[STORE_PAGE_BYTES];

    if (sys_pread(file->fd, page, sizeof page, 0) != (ssize_t)sizeof page)
        return false;
    page[IMAGE_RESERVE_OFFSET] = IMAGE_SUM_BYTES;
    return image_sum_is_right(page, 1);
}

/* Puts the constant page into the empty file. Needs no sync (store_image.c); the mark stays until the folders are durable. */
static bool
main_write_image(struct vfs_file *file)
{
    uint8_t page[STORE_PAGE_BYTES];

    memcpy(page, image_page(), sizeof page);
    page[IMAGE_MARK_OFFSET] = IMAGE_MARK;
    if (!sys_pwrite_all(file->fd, page, sizeof page, 0))
        return false;
    file->is_marked = file->has_sums = true;
    file->is_unborn = false;
    return true;
}

static int
main_create(struct vfs_file *file)
{
    char folder[STORE_PATH_MAX_BYTES + 1];
    int sys_errno = 0;

    if (!folder_of(file->path, folder))
        return file_break(file, ENAMETOOLONG, SQLITE_CANTOPEN);
    file->fd = vfs_path_open(file->path, O_RDWR | O_CREAT | O_NOFOLLOW, 0600);
    if (file->fd < 0 && errno == ENOENT) {
        if (!vfs_folder_create(folder, &sys_errno))
            return file_break(file, sys_errno, SQLITE_CANTOPEN);
        file->fd = vfs_path_open(file->path, O_RDWR | O_CREAT | O_NOFOLLOW, 0600);
    }
    if (file->fd < 0)
        return file_break(file, errno, SQLITE_CANTOPEN);
    if (main_lock(file) != SQLITE_OK)
        return file_break(file, EAGAIN, SQLITE_BUSY);
    if (!main_write_image(file))
        return file_break(file, errno, SQLITE_IOERR_WRITE);
    return SQLITE_OK;
}

/* After the WAL's first sync: the names. Then the mark can go; losing its removal costs one needless sync some day. */
static int
wal_sync_names(struct vfs_file *wal)
{
    struct vfs_file *head = file_head(wal);
    char folder[STORE_PATH_MAX_BYTES + 1];
    const uint8_t none = 0;
    int sys_errno = EIO;

    if (!wal->is_new_name && !head->is_marked)
        return SQLITE_OK;
    if (!folder_of(wal->path, folder) ||
        !vfs_folder_sync(folder, head->is_marked ? VFS_FOLDERS_ABOVE : VFS_FOLDER_ONLY, &sys_errno))
        return file_break(wal, sys_errno, SQLITE_IOERR_DIR_FSYNC);
    wal->is_new_name = false;
    if (head->is_marked && sys_pwrite_all(head->fd, &none, 1, IMAGE_MARK_OFFSET))
        head->is_marked = false;
    return SQLITE_OK;
}

/* ---- the WAL's writes ----------------------------------------------------------------------------------------------- */

static int
wal_create(struct vfs_file *wal)
{
    struct vfs_file *head = wal->main;

    if (head != NULL && head->is_unborn) {
        int rc = main_create(head);
        if (rc != SQLITE_OK)
            return rc;
    }
    wal->fd = vfs_path_open(wal->path, O_RDWR | O_CREAT | O_NOFOLLOW, 0600);
    if (wal->fd < 0)
        return file_break(wal, errno, SQLITE_CANTOPEN);
    wal->is_new_name = true;
    return SQLITE_OK;
}

static int
wal_flush(struct vfs_file *wal)
{
    int64_t end = wal->pending_at + (int64_t)wal->pending.len;
    int rc;

    if (wal->pending.len == 0)
        return SQLITE_OK;
    if (file_is_broken(wal))
        return SQLITE_IOERR_WRITE;
    if (wal->fd < 0) {
        rc = wal_create(wal);
        if (rc != SQLITE_OK)
            return rc;
    }
    if (wal->pending_at == 0)
        wal->durable_bytes = 0;            /* a new generation: nothing behind it counts any more */
    if (!sys_pwrite_all(wal->fd, wal->pending.data, wal->pending.len, wal->pending_at))
        return file_break(wal, errno, SQLITE_IOERR_WRITE);
    if (end > wal->disk_bytes)
        wal->disk_bytes = end;
    buf_fini(&wal->pending);               /* an agent between turns holds no buffer */
    return SQLITE_OK;
}

static int
wal_write(struct vfs_file *wal, const void *data, size_t len, int64_t at)
{
    if (wal->pending.len > 0 &&
        (at != wal->pending_at + (int64_t)wal->pending.len || wal->pending.len + len > STORE_WAL_BUFFER_BYTES)) {
        int rc = wal_flush(wal);
        if (rc != SQLITE_OK)
            return rc;
    }
    if (wal->pending.len == 0)
        wal->pending_at = at;
    buf_append(&wal->pending, data, len);
    return SQLITE_OK;
}

/*
 * A sync that fails may have lost any page written since the last good one, and the kernel now calls those pages clean. So the
 * file is cut back to what is surely there: whoever opens it next must not build on frames that only memory has.
 */
static int
wal_sync_failed(struct vfs_file *wal, int sys_errno)
{
    (void)sys_ftruncate(wal->fd, wal->durable_bytes);   /* best effort: the store is broken either way */
    return file_break(wal, sys_errno, SQLITE_IOERR_FSYNC);
}

static int
wal_sync(struct vfs_file *wal)
{
    int64_t end = wal->pending_at + (int64_t)wal->pending.len;
    int rc;

    /* SQLite syncs a new header first, lest old frames behind it come back to life. A file that is not there yet has none. */
    if (wal->fd < 0 && wal->pending_at == 0 && wal->pending.len == WAL_HEADER_BYTES)
        return SQLITE_OK;
    rc = wal_flush(wal);
    if (rc != SQLITE_OK)
        return rc;
    if (wal->fd < 0)
        return SQLITE_OK;
    if (file_is_broken(wal))
        return SQLITE_IOERR_FSYNC;
    if (sys_fdatasync(wal->fd) != 0)
        return wal_sync_failed(wal, errno);
    rc = wal_sync_names(wal);
    if (rc != SQLITE_OK)
        return rc;
    if (end > wal->durable_bytes)
        wal->durable_bytes = end;
    file_head(wal)->syncs++;
    return SQLITE_OK;
}

/* ---- sqlite3_io_methods --------------------------------------------------------------------------------------------- */

static int
file_close(sqlite3_file *base)
{
    struct vfs_file *file = file_of(base);

    if (file->main != NULL && file->main->wal == file)
        file->main->wal = NULL;
    buf_fini(&file->pending);              /* frames that no commit asked to sync */
    (void)sys_close(file->fd);             /* everything promised was synced before; -1 is fine */
    file->fd = -1;
    file->base.pMethods = NULL;
    return SQLITE_OK;
}

int
read_tail(uint8_t *data, size_t wanted, size_t got)
{
    if (got == wanted)
        return SQLITE_OK;
    memset(data + got, 0, wanted - got);
    return SQLITE_IOERR_SHORT_READ;
}

int
read_image(uint8_t *data, size_t len, int64_t at)
{
    size_t got = 0;

    if (at < STORE_PAGE_BYTES) {
        got = (size_t)(STORE_PAGE_BYTES - at) < len ? (size_t)(STORE_PAGE_BYTES - at) : len;
        memcpy(data, image_page() + at, got);
    }
    return read_tail(data, len, got);
}

int
read_disk(struct vfs_file *file, uint8_t *to, size_t len, int64_t at)
{
    size_t got = 0;

    while (file->fd >= 0 && got < len) {
        ssize_t n = sys_pread(file->fd, to + got, len - got, at + (int64_t)got);
        if (n < 0) {
            file_note(file, errno);
            return SQLITE_IOERR_READ;
        }
        if (n == 0)
            break;
        got += (size_t)n;
    }
    if (file->kind == FILE_MAIN)
        image_hide_stamp(to, got, at);
    return read_tail(to, len, got);
}

/* What the WAL has is never read here: a page that a cut left torn does not count. */
static int
main_read(struct vfs_file *file, void *data, size_t len, int64_t at)
{
    const int rc = read_disk(file, data, len, at);

    if (!file->has_sums || file->ignores_sums || len != STORE_PAGE_BYTES || (rc != SQLITE_OK && rc != SQLITE_IOERR_SHORT_READ))
        return rc;
    return rc == SQLITE_OK && image_sum_is_right(data, (uint32_t)(at / STORE_PAGE_BYTES + 1)) ? SQLITE_OK : SQLITE_CORRUPT;
}

static int
file_read(sqlite3_file *base, void *data, int len, sqlite3_int64 at)
{
    struct vfs_file *file = file_of(base);

    if (file->is_unborn)
        return read_image(data, (size_t)len, at);
    if (file->pending.len > 0) {
        int rc = wal_flush(file);
        if (rc != SQLITE_OK)
            return SQLITE_IOERR_READ;
    }
    return file->kind == FILE_MAIN ? main_read(file, data, (size_t)len, at) : read_disk(file, data, (size_t)len, at);
}

/* A checkpoint: SQLite does not know of the stamp in a first page, nor of checksums. */
static bool
page_write(struct vfs_file *file, const void *data, size_t len, int64_t at)
{
    uint8_t page[STORE_PAGE_BYTES];

    if (file->kind != FILE_MAIN || len != sizeof page)
        return sys_pwrite_all(file->fd, data, len, at);
    memcpy(page, data, sizeof page);
    if (at == 0)
        file->has_sums = image_has_sums(page);
    if (at == 0 && file->stamp != 0)
        image_stamp(page, file->stamp);
    if (file->has_sums)
        image_sum_put(page, (uint32_t)(at / STORE_PAGE_BYTES + 1));
    return sys_pwrite_all(file->fd, page, sizeof page, at);
}

static int
file_write(sqlite3_file *base, const void *data, int len, sqlite3_int64 at)
{
    struct vfs_file *file = file_of(base);

    if (file_is_broken(file))
        return SQLITE_IOERR_WRITE;
    if (file->kind == FILE_WAL)
        return wal_write(file, data, (size_t)len, at);
    if (file->is_unborn) {
        int rc = main_create(file);
        if (rc != SQLITE_OK)
            return rc;
    }
    if (page_write(file, data, (size_t)len, at))
        return SQLITE_OK;
    /* A checkpoint that cannot write is tried again later; the WAL still has everything. */
    file_note(file, errno);
    return errno_is_full(errno) ? SQLITE_FULL : SQLITE_IOERR_WRITE;
}

static int
file_truncate(sqlite3_file *base, sqlite3_int64 size)
{
    struct vfs_file *file = file_of(base);
    int rc = wal_flush(file);

    if (rc != SQLITE_OK)
        return rc;
    if (file_is_broken(file))
        return SQLITE_IOERR_TRUNCATE;
    if (file->fd < 0)
        return SQLITE_OK;
    if (sys_ftruncate(file->fd, size) != 0) {
        file_note(file, errno);
        return SQLITE_IOERR_TRUNCATE;
    }
    if (file->kind == FILE_WAL)
        file->disk_bytes = size;
    return SQLITE_OK;
}

static int
file_sync(sqlite3_file *base, int flags)
{
    struct vfs_file *file = file_of(base);

    if (file->kind == FILE_WAL)
        return wal_sync(file);
    if (file_is_broken(file))
        return SQLITE_IOERR_FSYNC;
    if (file->fd < 0)
        return SQLITE_OK;
    if (sys_fdatasync(file->fd) != 0)
        return file_break(file, errno, SQLITE_IOERR_FSYNC);
    return SQLITE_OK;
}

static int
file_size(sqlite3_file *base, sqlite3_int64 *out_size)
{
    struct vfs_file *file = file_of(base);
    struct stat st;

    if (file->is_unborn) {
        *out_size = STORE_PAGE_BYTES;
        return SQLITE_OK;
    }
    if (wal_flush(file) != SQLITE_OK)
        return SQLITE_IOERR_FSTAT;
    if (file->fd < 0) {
        *out_size = 0;
        return SQLITE_OK;
    }
    if (sys_fstat(file->fd, &st) != 0) {
        file_note(file, errno);
        return SQLITE_IOERR_FSTAT;
    }
    *out_size = st.st_size;
    return SQLITE_OK;
}

int
file_lock(sqlite3_file *base, int level)
{
    struct vfs_file *file = file_of(base);

    return file->kind == FILE_MAIN ? main_lock(file) : SQLITE_OK;
}

int
file_unlock(sqlite3_file *base, int level)
{
    return SQLITE_OK;                      /* held until the descriptor is closed */
}

int
file_check_reserved(sqlite3_file *base, int *out_reserved)
{
    *out_reserved = 0;                     /* nobody else has it: we hold the lock */
    return SQLITE_OK;
}

int
file_control(sqlite3_file *base, int op, void *arg)
{
    return SQLITE_NOTFOUND;
}

int
file_sector_size(sqlite3_file *base)
{
    return STORE_PAGE_BYTES;
}

int
file_characteristics(sqlite3_file *base)
{
    return SQLITE_IOCAP_POWERSAFE_OVERWRITE | SQLITE_IOCAP_UNDELETABLE_WHEN_OPEN;
}

/* Version 1: no shared memory, no mapping. */
static const sqlite3_io_methods file_methods = {
    .iVersion = 1,
    .xClose = file_close,
    .xRead = file_read,
    .xWrite = file_write,
    .xTruncate = file_truncate,
    .xSync = file_sync,
    .xFileSize = file_size,
    .xLock = file_lock,
    .xUnlock = file_unlock,
    .xCheckReservedLock = file_check_reserved,
    .xFileControl = file_control,
    .xSectorSize = file_sector_size,
    .xDeviceCharacteristics = file_characteristics,
};

/* ---- sqlite3_vfs ---------------------------------------------------------------------------------------------------- */

/* The first page is not there: because nobody made it durable, or because something is lost? */
static int
main_restore(struct vfs_file *file)
{
    char wal_path[STORE_PATH_MAX_BYTES + 5];
    enum wal_state state;

    (void)snprintf(wal_path, sizeof wal_path, "%s-wal", file->path);
    state = wal_state(wal_path);
    if (state == WAL_UNREADABLE)
        return file_break(file, errno, SQLITE_IOERR_READ);
    if (state == WAL_CONTINUES) {
        file->failure.trouble = VFS_DAMAGED;   /* vfs_failure() tells; nothing is touched */
        return SQLITE_OK;
    }
    if (file->fd < 0 && state == WAL_ABSENT) {
        file->is_unborn = file->has_sums = true;
        return SQLITE_OK;
    }
    if (file->fd < 0)
        return main_create(file);
    return main_write_image(file) ? SQLITE_OK : file_break(file, errno, SQLITE_IOERR_WRITE);
}

/* A cut may have left only some sectors of a page that was never synced. */
static bool
is_first_page_whole(const struct vfs_file *file)
{
    uint8_t page[STORE_PAGE_BYTES];

    return sys_pread(file->fd, page, sizeof page, 0) == (ssize_t)sizeof page && image_sum_is_right(page, 1);
}

/* Looks at the start of an existing database file; puts the first page back when it was never made durable. */
static int
main_adopt(struct vfs_file *file)
{
    uint8_t header[IMAGE_HEADER_BYTES];
    struct stat st;
    ssize_t got;

    if (sys_fstat(file->fd, &st) != 0)
        return file_break(file, errno, SQLITE_IOERR_FSTAT);
    got = sys_pread(file->fd, header, sizeof header, 0);
    if (got < 0)
        return file_break(file, errno, SQLITE_IOERR_READ);
    file->stamp = image_stamp_of(header, (size_t)got);
    file->has_sums = (size_t)got == sizeof header && image_has_sums(header);
    if (!file->has_sums && main_lost_sums(file)) {
        file->failure.trouble = VFS_DAMAGED;
        return SQLITE_OK;
    }
    switch (image_state(header, (size_t)got, st.st_size)) {
    case IMAGE_SOUND:
        file->is_rollback_mode = got > IMAGE_MODE_OFFSET && header[IMAGE_MODE_OFFSET] == IMAGE_MODE_JOURNAL;
        file->ignores_sums = file->is_rollback_mode;   /* another program made it so */
        break;
    case IMAGE_MARKED:
        file->is_marked = true;
        if (file->has_sums && st.st_size <= STORE_PAGE_BYTES && !is_first_page_whole(file))
            return main_restore(file);
        break;
    case IMAGE_MISSING:
        return main_restore(file);
    }
    return SQLITE_OK;
}

static int
open_main(struct vfs_file *file)
{
    int rc;

    file->fd = vfs_path_open(file->path, O_RDWR | O_NOFOLLOW, 0);
    if (file->fd < 0 && errno == ENOENT)
        return main_restore(file);
    if (file->fd < 0) {
        file_note(file, errno);
        return SQLITE_CANTOPEN;
    }
    rc = main_lock(file);
    return rc != SQLITE_OK ? rc : main_adopt(file);
}

static int
open_wal(struct vfs_file *file, sqlite3_filename name)
{
    struct stat st;

    file->main = file_of(sqlite3_database_file_object(name));
    file->main->wal = file;
    file->fd = vfs_path_open(file->path, O_RDWR | O_NOFOLLOW, 0);
    if (file->fd < 0) {
        file_note(file, errno);
        return errno == ENOENT ? SQLITE_OK : SQLITE_CANTOPEN;
    }
    if (sys_fstat(file->fd, &st) != 0) {
        file_note(file, errno);
        return SQLITE_IOERR_FSTAT;
    }
    file->disk_bytes = st.st_size;
    file->durable_bytes = st.st_size;      /* what was there before us was synced, or is no frame of a commit that was told */
    return SQLITE_OK;
}

static int
vfs_open(sqlite3_vfs *vfs, sqlite3_filename name, sqlite3_file *base, int flags, int *out_flags)
{
    struct vfs_file *file = file_of(base);
    int rc;

    memset(file, 0, sizeof *file);
    file->fd = -1;
    file->path = name;
    if (name == NULL)
        return SQLITE_CANTOPEN;            /* temporary files: TEMP_STORE=3 keeps them in memory */
    if (flags & SQLITE_OPEN_MAIN_DB) {
        file->kind = FILE_MAIN;
        rc = open_main(file);
    } else if (flags & SQLITE_OPEN_WAL) {
        file->kind = FILE_WAL;
        rc = open_wal(file, name);
    } else {
        file->kind = FILE_OTHER;
        file->fd = vfs_path_open(name, O_RDWR | O_NOFOLLOW | ((flags & SQLITE_OPEN_CREATE) ? O_CREAT : 0), 0600);
        rc = file->fd < 0 ? SQLITE_CANTOPEN : SQLITE_OK;
    }
    if (rc != SQLITE_OK) {
        (void)sys_close(file->fd);         /* -1 is fine */
        if (file->main != NULL)
            file->main->wal = NULL;
        return rc;                         /* pMethods is NULL: SQLite will not call xClose */
    }
    file->base.pMethods = &file_methods;
    if (out_flags != NULL)
        *out_flags = flags;
    return SQLITE_OK;
}

static int
vfs_delete(sqlite3_vfs *vfs, const char *name, int sync_folder)
{
    char folder[STORE_PATH_MAX_BYTES + 1];
    int sys_errno;

    if (sys_unlinkat(AT_FDCWD, name, 0) != 0)
        return errno == ENOENT ? SQLITE_IOERR_DELETE_NOENT : SQLITE_IOERR_DELETE;
    if (sync_folder && folder_of(name, folder) && !vfs_folder_sync(folder, VFS_FOLDER_ONLY, &sys_errno))
        return SQLITE_IOERR_DIR_FSYNC;
    return SQLITE_OK;
}

static int
vfs_access(sqlite3_vfs *vfs, const char *name, int flags, int *out_exists)
{
    struct stat st;

    *out_exists = sys_fstatat(AT_FDCWD, name, &st, 0) == 0 && st.st_size > 0;
    return SQLITE_OK;
}

static sqlite3_vfs the_vfs = {
    .iVersion = 2,
    .szOsFile = sizeof(struct vfs_file),
    .mxPathname = STORE_PATH_MAX_BYTES,
    .zName = "dormouse",
    .xOpen = vfs_open,
    .xDelete = vfs_delete,
    .xAccess = vfs_access,
    .xFullPathname = vfs_full_path,
    .xRandomness = vfs_randomness,
    .xSleep = vfs_sleep,
    .xCurrentTime = vfs_time,
    .xGetLastError = vfs_get_last_error,
    .xCurrentTimeInt64 = vfs_time_ms,
};

/* SQLite was built without a system layer (SQLITE_OS_OTHER) and asks for one here. */
int sqlite3_os_init(void);
int sqlite3_os_end(void);

int
sqlite3_os_init(void)
{
    int rc = sqlite3_vfs_register(&the_vfs, 1);

    return rc == SQLITE_OK ? vfs_journaled_register(&the_vfs) : rc;
}

int
sqlite3_os_end(void)
{
    return SQLITE_OK;
}

/* ---- for the rest of lib/store -------------------------------------------------------------------------------------- */

void
vfs_init(void)
{
    int rc;

    blocks_init();
    rc = sqlite3_initialize();
    assert(rc == SQLITE_OK);               /* it only fails without memory */
    (void)sqlite3_soft_heap_limit64(STORE_HEAP_SOFT_BYTES);
    (void)sqlite3_hard_heap_limit64(STORE_HEAP_HARD_BYTES);
}

struct vfs_file *
file_of_db(sqlite3 *db)
{
    sqlite3_file *file = NULL;

    if (sqlite3_file_control(db, "main", SQLITE_FCNTL_FILE_POINTER, &file) != SQLITE_OK || file == NULL ||
        file->pMethods == NULL)
        return NULL;
    return file_of(file);
}

struct vfs_failure
vfs_failure(sqlite3 *db)
{
    struct vfs_file *file = file_of_db(db);

    return file == NULL ? (struct vfs_failure){ VFS_IO, EBADF } : file->failure;
}

int
vfs_last_errno(sqlite3 *db)
{
    struct vfs_file *file = file_of_db(db);

    return file == NULL ? 0 : file->last_errno;
}

void
vfs_ignore_sums(sqlite3 *db)
{
    struct vfs_file *file = file_of_db(db);

    if (file != NULL)
        file->ignores_sums = true;
}

bool
vfs_is_unborn(sqlite3 *db)
{
    struct vfs_file *file = file_of_db(db);

    return file != NULL && file->is_unborn;
}

bool
vfs_is_rollback_mode(sqlite3 *db)
{
    struct vfs_file *file = file_of_db(db);

    return file != NULL && file->is_rollback_mode;
}

int64_t
vfs_wal_bytes(sqlite3 *db)
{
    struct vfs_file *file = file_of_db(db);

    return file == NULL || file->wal == NULL ? 0 : file->wal->disk_bytes;
}

uint64_t
vfs_sync_count(sqlite3 *db)
{
    struct vfs_file *file = file_of_db(db);

    return file == NULL ? 0 : file->syncs;
}
