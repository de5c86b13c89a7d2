/*
 * store_vfs_journaled — SQLite's files when commits go to a journal: db.sqlite, and a WAL in memory.
 *
 * SQLite never writes db.sqlite here. vfs_pages_write() does, in a checkpoint or to apply what the journal gave back; nothing is
 * ever synced: the journal keeps every record until the whole disk was (docs/decisions/007-journal.md). Until a first page is there,
 * reads give the constant one: a database whose file a power cut left empty is its records on top of that page.
 *
 * Pages in the file carry checksums, put when they are written there and checked when they are read from there; what is on its way has the
 * journal's. A database of an older release, or an import, has no room for them and goes on without.
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <string.h>

#include "lib/store/store_file.h"
#include "lib/store/store_image.h"
#include "lib/sys/sys.h"

#define RUN_PAGES 16                       /* neighbours written by one call; 64 KiB */

/* ---- sqlite3_io_methods ---------------------------------------------------------------------------------------------- */

static int
journaled_close(sqlite3_file *base)
{
    struct vfs_file *file = file_of(base);

    if (file->main != NULL && file->main->wal == file)
        file->main->wal = NULL;
    frames_destroy(&file->frames);
    (void)sys_close(file->fd);             /* nothing was promised about it; -1 is fine */
    file->fd = -1;
    file->base.pMethods = NULL;
    return SQLITE_OK;
}

static int
read_main(struct vfs_file *file, uint8_t *data, size_t len, int64_t at)
{
    uint32_t number = (uint32_t)(at / STORE_PAGE_BYTES + 1);
    bool is_glance;
    int rc;

    if (file->is_unborn)
        return read_image(data, len, at);
    rc = read_disk(file, data, len, at);
    /* The header, and the first page before the WAL is open, only tell SQLite that there is a WAL: it reads that page again, from there when
     * the journal gave it back. */
    is_glance = len != STORE_PAGE_BYTES || (number == 1 && file->wal == NULL && frames_size_pages(file->frames) > 0);
    if (!file->has_sums || is_glance || (rc != SQLITE_OK && rc != SQLITE_IOERR_SHORT_READ))
        return rc;
    return rc == SQLITE_OK && image_sum_is_right(data, number) ? SQLITE_OK : SQLITE_CORRUPT;       /* short: the file was cut */
}

static int
journaled_read(sqlite3_file *base, void *data, int len, sqlite3_int64 at)
{
    struct vfs_file *file = file_of(base);
    size_t got;

    if (file->kind == FILE_MAIN)
        return read_main(file, data, (size_t)len, at);
    if (!frames_read(file->main->frames, file->main->fd, file->main->has_sums, data, (size_t)len, at, &got)) {
        if (errno == EBADMSG)
            return SQLITE_CORRUPT;
        file_note(file->main, errno);
        return SQLITE_IOERR_READ;
    }
    return read_tail(data, (size_t)len, got);
}

static int
journaled_write(sqlite3_file *base, const void *data, int len, sqlite3_int64 at)
{
    struct vfs_file *file = file_of(base);

    if (file->kind == FILE_MAIN)
        return file->is_copied ? SQLITE_OK : SQLITE_IOERR_WRITE;
    return frames_write(file->main->frames, bytes_from(data, (size_t)len), at) ? SQLITE_OK : SQLITE_FULL;
}

static int
journaled_truncate(sqlite3_file *base, sqlite3_int64 size)
{
    struct vfs_file *file = file_of(base);

    if (file->kind == FILE_MAIN)
        return file->is_copied ? SQLITE_OK : SQLITE_IOERR_TRUNCATE;
    frames_truncate(file->main->frames, size);
    return SQLITE_OK;
}

static int
journaled_sync(sqlite3_file *base, int flags)
{
    return SQLITE_OK;                      /* the journal's work */
}

static int
journaled_size(sqlite3_file *base, sqlite3_int64 *out_size)
{
    struct vfs_file *file = file_of(base);
    struct stat st;

    if (file->kind == FILE_WAL) {
        *out_size = frames_bytes(file->main->frames);
        return SQLITE_OK;
    }
    if (file->is_unborn) {
        *out_size = STORE_PAGE_BYTES;
        return SQLITE_OK;
    }
    if (sys_fstat(file->fd, &st) != 0) {
        file_note(file, errno);
        return SQLITE_IOERR_FSTAT;
    }
    *out_size = st.st_size;
    return SQLITE_OK;
}

/* Version 1: no shared memory, no mapping. */
static const sqlite3_io_methods journaled_methods = {
    .iVersion = 1,
    .xClose = journaled_close,
    .xRead = journaled_read,
    .xWrite = journaled_write,
    .xTruncate = journaled_truncate,
    .xSync = journaled_sync,
    .xFileSize = journaled_size,
    .xLock = file_lock,
    .xUnlock = file_unlock,
    .xCheckReservedLock = file_check_reserved,
    .xFileControl = file_control,
    .xSectorSize = file_sector_size,
    .xDeviceCharacteristics = file_characteristics,
};

/* ---- sqlite3_vfs ---------------------------------------------------------------------------------------------------- */

/* Looks at the start of the file. All zero: a checkpoint was cut off before its first page reached the disk. */
static int
main_look(struct vfs_file *file)
{
    uint8_t header[IMAGE_HEADER_BYTES] = { 0 };
    static const uint8_t zeros[IMAGE_HEADER_BYTES];
    struct stat st;
    ssize_t got;

    if (sys_fstat(file->fd, &st) != 0) {
        file_note(file, errno);
        return SQLITE_IOERR_FSTAT;
    }
    got = sys_pread(file->fd, header, sizeof header, 0);
    if (got < 0) {
        file_note(file, errno);
        return SQLITE_IOERR_READ;
    }
    file->disk_bytes = st.st_size;
    file->is_unborn = memcmp(header, zeros, sizeof header) == 0;
    file->has_sums = file->is_unborn || image_has_sums(header);
    file->is_headless = file->is_unborn ? st.st_size > STORE_PAGE_BYTES : !image_is_head(header) || (!file->has_sums && main_lost_sums(file));
    if (file->is_headless)
        return SQLITE_OK;                  /* the rest of it is no more to be trusted */
    file->is_rollback_mode = header[IMAGE_MODE_OFFSET] == IMAGE_MODE_JOURNAL;
    file->has_lost_note = !image_note_is_right(header);
    if (file->has_lost_note)
        return SQLITE_OK;
    file->stamp = image_stamp_of(header, (size_t)got);
    file->base_memo = image_memo_of(header, (size_t)got);
    return SQLITE_OK;
}

static int
open_main(struct vfs_file *file)
{
    int rc;

    file->fd = vfs_path_open(file->path, O_RDWR | O_NOFOLLOW, 0);
    if (file->fd < 0 && errno != ENOENT) {
        file_note(file, errno);
        return SQLITE_CANTOPEN;
    }
    file->is_unborn = file->has_sums = file->fd < 0;
    rc = main_lock(file);
    if (rc == SQLITE_OK && file->fd >= 0)
        rc = main_look(file);
    if (rc == SQLITE_OK)
        file->frames = frames_create();
    return rc;
}

static int
journaled_open(sqlite3_vfs *vfs, sqlite3_filename name, sqlite3_file *base, int flags, int *out_flags)
{
    struct vfs_file *file = file_of(base);
    int rc = SQLITE_OK;

    memset(file, 0, sizeof *file);
    file->fd = -1;
    file->path = name;
    if (name == NULL || !(flags & (SQLITE_OPEN_MAIN_DB | SQLITE_OPEN_WAL)))
        return SQLITE_CANTOPEN;            /* no rollback journals; temporary files live in memory */
    if (flags & SQLITE_OPEN_MAIN_DB) {
        file->kind = FILE_MAIN;
        rc = open_main(file);
    } else {
        file->kind = FILE_WAL;
        file->main = file_of(sqlite3_database_file_object(name));
        file->main->wal = file;
    }
    if (rc != SQLITE_OK) {
        (void)sys_close(file->fd);         /* -1 is fine */
        return rc;                         /* pMethods is NULL: SQLite will not call xClose */
    }
    file->base.pMethods = &journaled_methods;
    if (out_flags != NULL)
        *out_flags = flags;
    return SQLITE_OK;
}

static int
journaled_delete(sqlite3_vfs *vfs, const char *name, int sync_folder)
{
    return SQLITE_IOERR_DELETE;            /* it has nothing to delete */
}

static int
journaled_access(sqlite3_vfs *vfs, const char *name, int flags, int *out_exists)
{
    *out_exists = 0;                       /* files beside the database were taken in before it was opened */
    return SQLITE_OK;
}

int
vfs_journaled_register(const sqlite3_vfs *base)
{
    static sqlite3_vfs vfs;

    if (vfs.zName != NULL)
        return SQLITE_OK;
    vfs = *base;
    vfs.pNext = NULL;
    vfs.zName = VFS_JOURNALED;
    vfs.xOpen = journaled_open;
    vfs.xDelete = journaled_delete;
    vfs.xAccess = journaled_access;
    return sqlite3_vfs_register(&vfs, 0);
}

/* ---- for the rest of lib/store -------------------------------------------------------------------------------------- */

static struct vfs_file *
journaled_of_db(sqlite3 *db)
{
    struct vfs_file *file = file_of_db(db);

    assert(file != NULL && file->frames != NULL);
    return file;
}

struct frames *
vfs_frames(sqlite3 *db)
{
    return journaled_of_db(db)->frames;
}

uint64_t
vfs_stamp(sqlite3 *db)
{
    return journaled_of_db(db)->stamp;
}

bool
vfs_is_headless(sqlite3 *db)
{
    return journaled_of_db(db)->is_headless;
}

void
vfs_set_unborn(sqlite3 *db)
{
    struct vfs_file *file = journaled_of_db(db);

    file->is_unborn = file->has_sums = true;
}

void
vfs_set_copied(sqlite3 *db, bool is_copied)
{
    journaled_of_db(db)->is_copied = is_copied;
}

bool
vfs_file_make(sqlite3 *db, int *out_errno)
{
    struct vfs_file *file = journaled_of_db(db);
    char folder[STORE_PATH_MAX_BYTES + 1];

    if (file->fd < 0) {
        if (!folder_of(file->path, folder)) {
            *out_errno = ENAMETOOLONG;
            return false;
        }
        if (!vfs_folder_create(folder, out_errno))     /* first: without a file there is no folder either, mostly */
            return false;
        file->fd = vfs_path_open(file->path, O_RDWR | O_CREAT | O_NOFOLLOW, 0600);
    }
    *out_errno = errno;
    if (file->fd < 0)
        return false;
    if (main_lock(file) != SQLITE_OK) {
        *out_errno = EAGAIN;
        return false;
    }
    if (file->is_unborn && !sys_pwrite_all(file->fd, image_page(), STORE_PAGE_BYTES, 0)) {
        *out_errno = errno;
        return false;
    }
    return true;
}

bool
vfs_pages_write(sqlite3 *db, const struct page_image *images, size_t count, int *out_errno)
{
    static uint8_t run[RUN_PAGES * STORE_PAGE_BYTES];
    struct vfs_file *file = journaled_of_db(db);
    size_t i = 0;

    assert(file->fd >= 0);
    while (i < count) {
        uint32_t first = images[i].number;
        size_t n = 0;
        do {
            memcpy(run + n++ * STORE_PAGE_BYTES, images[i++].data, STORE_PAGE_BYTES);
        } while (n < RUN_PAGES && i < count && images[i].number == first + n);
        if (first == 1) {
            image_note_pack(run + IMAGE_STAMP_OFFSET, file->stamp, file->base_memo);    /* the old number, until all is written */
            file->has_sums = image_has_sums(run);
        }
        for (size_t k = 0; file->has_sums && k < n; k++)
            image_sum_put(run + k * STORE_PAGE_BYTES, first + (uint32_t)k);
        if (!sys_pwrite_all(file->fd, run, n * STORE_PAGE_BYTES, (int64_t)(first - 1) * STORE_PAGE_BYTES)) {
            *out_errno = errno;
            return false;
        }
    }
    return true;
}

bool
vfs_stamp_write(sqlite3 *db, uint32_t size_pages, uint64_t stamp, int *out_errno)
{
    struct vfs_file *file = journaled_of_db(db);
    int64_t bytes = (int64_t)size_pages * STORE_PAGE_BYTES;
    uint8_t packed[IMAGE_STAMP_BYTES + IMAGE_MEMO_BYTES];
    struct stat st;

    assert(file->fd >= 0);
    image_note_pack(packed, stamp, file->base_memo);
    if (sys_fstat(file->fd, &st) != 0 || (st.st_size != bytes && sys_ftruncate(file->fd, bytes) != 0) ||
        !sys_pwrite_all(file->fd, packed, sizeof packed, IMAGE_STAMP_OFFSET)) {
        *out_errno = errno;
        return false;
    }
    file->stamp = stamp;
    file->is_unborn = file->has_lost_note = false;
    return true;
}

bool
vfs_has_lost_note(sqlite3 *db)
{
    return journaled_of_db(db)->has_lost_note;
}

struct store_base *
vfs_base_memo(sqlite3 *db)
{
    return &journaled_of_db(db)->base_memo;
}

bool
vfs_file_pages(sqlite3 *db, uint32_t *out_pages, int *out_errno)
{
    struct vfs_file *file = journaled_of_db(db);
    struct stat st;

    *out_pages = 1;
    if (file->is_unborn)
        return true;
    *out_errno = EIO;
    if (sys_fstat(file->fd, &st) != 0) {
        *out_errno = errno;
        return false;
    }
    *out_pages = (uint32_t)(st.st_size / STORE_PAGE_BYTES);
    return true;
}

bool
vfs_pages_read(sqlite3 *db, uint32_t first, size_t count, uint8_t *out, int *out_errno)
{
    struct vfs_file *file = journaled_of_db(db);
    int rc;

    if (file->is_unborn) {
        memset(out, 0, count * STORE_PAGE_BYTES);
        if (first == 1)
            memcpy(out, image_page(), STORE_PAGE_BYTES);
        return true;
    }
    rc = read_disk(file, out, count * STORE_PAGE_BYTES, (int64_t)(first - 1) * STORE_PAGE_BYTES);
    *out_errno = errno;
    return rc == SQLITE_OK || rc == SQLITE_IOERR_SHORT_READ;
}

bool
vfs_page_is_right(sqlite3 *db, const uint8_t *page, uint32_t number)
{
    const struct vfs_file *file = journaled_of_db(db);

    return !file->has_sums || number == STORE_PENDING_PAGE || image_sum_is_right(page, number);
}

/* Puts a checksum into each page of the file FD. */
static bool
sums_put(int fd)
{
    uint8_t page[STORE_PAGE_BYTES];
    uint32_t number = 1;
    ssize_t n;

    for (; (n = sys_pread(fd, page, sizeof page, (int64_t)(number - 1) * STORE_PAGE_BYTES)) == sizeof page; number++) {
        if (number == 1 && !image_has_sums(page))
            return true;
        image_sum_put(page, number);
        if (!sys_pwrite_all(fd, page, sizeof page, (int64_t)(number - 1) * STORE_PAGE_BYTES))
            return false;
    }
    return n >= 0 && sys_fdatasync(fd) == 0;
}

bool
vfs_sums_renew(const char *path, int *out_errno)
{
    int fd = vfs_path_open(path, O_RDWR | O_NOFOLLOW, 0);
    bool ok = fd >= 0 && sums_put(fd);

    *out_errno = errno;
    (void)sys_close(fd);
    return ok;
}
