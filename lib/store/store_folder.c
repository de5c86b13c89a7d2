/*
 * store_folder — folders that databases live in: made when missing, and known to be on disk.
 *
 * A file is durable when its bytes are and every name on its path is. An agent's own folder is synced for each new agent; the
 * folders above are shared, so this process remembers which of them it has made durable: about 256 per namespace.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "lib/base/map.h"
#include "lib/store/store.h"
#include "lib/store/store_image.h"
#include "lib/store/store_vfs.h"
#include "lib/sys/sys.h"

static struct {
    int    fd;
    size_t len;
    char   path[STORE_PATH_MAX_BYTES + 1];
} root = { .fd = -1 };

static struct bmap *durable_folders;       /* path → itself; folders whose own name is on disk */

static size_t parent_length(const char *path, size_t len);

bool
store_root_set(const char *path, struct err *err)
{
    size_t len = strlen(path);
    int fd;

    if (len > STORE_PATH_MAX_BYTES)
        return err_set(err, ERR_LIMIT, ENAMETOOLONG, "open the folder of databases '%s'", path);
    fd = sys_open(path, O_PATH | O_DIRECTORY, 0);
    if (fd < 0)
        return err_set(err, ERR_IO, errno, "open the folder of databases '%s'", path);
    (void)sys_close(root.fd);      /* a folder: nothing to lose; -1 is fine */
    root.fd = fd;
    root.len = len;
    memcpy(root.path, path, len + 1);
    return true;
}

int
vfs_path_open(const char *path, int flags, mode_t mode)
{
    const char *below = path + root.len;

    if (root.fd < 0 || strncmp(path, root.path, root.len) != 0 || *below != '/')
        return sys_open(path, flags, mode);
    return sys_open_beneath(root.fd, below + 1, flags, mode);
}

bool
vfs_folder_create(const char *folder, int *out_errno)
{
    char path[STORE_PATH_MAX_BYTES + 1];
    size_t full = strlen(folder);
    size_t len = full;
    int missing = 0;

    if (full > STORE_PATH_MAX_BYTES) {
        *out_errno = ENAMETOOLONG;
        return false;
    }
    memcpy(path, folder, full + 1);
    /* Downwards until a folder can be made, upwards again until all are. */
    for (;;) {
        path[len] = '\0';
        if (sys_mkdirat(AT_FDCWD, path, 0700) == 0 || errno == EEXIST) {
            if (len == full)
                return true;
            path[len] = '/';
            len += 1 + strcspn(path + len + 1, "/");
            continue;
        }
        if (errno != ENOENT || ++missing > STORE_FOLDERS_MAX || parent_length(path, len) == 0)
            break;
        len = parent_length(path, len);
    }
    *out_errno = errno;
    return false;
}

/* Syncs the folder at the first LEN bytes of PATH. *out_reached false: it is above what this process may open. */
static bool
folder_sync_one(const char *path, size_t len, bool *out_reached, int *out_errno)
{
    char name[STORE_PATH_MAX_BYTES + 1];
    int fd;
    int rc;

    memcpy(name, path, len);
    name[len] = '\0';
    fd = vfs_path_open(name, O_RDONLY | O_DIRECTORY, 0);
    *out_reached = fd >= 0;
    if (fd < 0) {
        *out_errno = errno;
        return false;
    }
    rc = sys_fsync(fd);
    if (rc != 0)
        *out_errno = errno;
    (void)sys_close(fd);           /* nothing was written through it */
    return rc == 0;
}

bool
vfs_folder_sync(const char *folder, enum vfs_reach reach, int *out_errno)
{
    size_t len = strlen(folder);
    bool reached;

    if (len > STORE_PATH_MAX_BYTES) {
        *out_errno = ENAMETOOLONG;
        return false;
    }
    if (!folder_sync_one(folder, len, &reached, out_errno))
        return false;
    if (reach == VFS_FOLDER_ONLY)
        return true;
    if (durable_folders == NULL)
        durable_folders = bmap_create();
    for (int level = 0; level < STORE_FOLDERS_MAX; level++) {
        size_t above = parent_length(folder, len);
        if (above == 0)
            break;
        if (!folder_sync_one(folder, above, &reached, out_errno)) {
            /* What the sandbox hides was made by somebody else, before us. */
            if (!reached && (*out_errno == EACCES || *out_errno == EPERM))
                break;
            return false;
        }
        /* Now the name of folder[0..len) is durable. The agent's own folder is not remembered: there may be millions. */
        if (level > 0)
            (void)bmap_put(durable_folders, bytes_from(folder, len), durable_folders);
        if (bmap_get(durable_folders, bytes_from(folder, above)) != NULL)
            break;
        len = above;
    }
    return true;
}

bool
store_folder_make(const char *folder, struct err *err)
{
    int sys_errno = 0;

    if (durable_folders != NULL && bmap_get(durable_folders, bytes_of(folder)) != NULL)
        return true;
    if (!vfs_folder_create(folder, &sys_errno) || !vfs_folder_sync(folder, VFS_FOLDERS_ABOVE, &sys_errno))
        return err_set(err, sys_errno == ENOSPC || sys_errno == EDQUOT ? ERR_DISK_FULL : ERR_IO, sys_errno, "make the folder '%s'", folder);
    (void)bmap_put(durable_folders, bytes_of(folder), durable_folders);
    return true;
}

/* Removes what an agent leaves in FOLDER, then FOLDER. Others' files keep it. */
static void
folder_clear(const char *folder)
{
    static const char *const names[] = { "db.sqlite", "db.sqlite-wal", "image" };
    char path[STORE_PATH_MAX_BYTES + 32];

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        (void)snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        (void)sys_unlinkat(AT_FDCWD, path, 0);     /* what stays is found again by the next removal */
    }
    (void)sys_unlinkat(AT_FDCWD, folder, AT_REMOVEDIR);
}

bool
store_remove(const char *folder, struct err *err)
{
    char gone[STORE_PATH_MAX_BYTES + 8];
    size_t len = strlen(folder);
    int sys_errno = 0;
    bool reached;

    if (len > STORE_PATH_MAX_BYTES)
        return err_set(err, ERR_LIMIT, ENAMETOOLONG, "remove '%s'", folder);
    (void)snprintf(gone, sizeof gone, "%s.gone", folder);
    folder_clear(gone);
    if (sys_renameat(AT_FDCWD, folder, AT_FDCWD, gone) != 0) {
        if (errno == ENOENT)
            return true;
        return err_set(err, ERR_IO, errno, "remove '%s'", folder);
    }
    if (!folder_sync_one(folder, parent_length(folder, len), &reached, &sys_errno))
        return err_set(err, ERR_IO, sys_errno, "remove '%s'", folder);
    folder_clear(gone);
    return true;
}

bool
store_peek_seq(const char *folder, uint64_t *out_seq)
{
    char path[STORE_PATH_MAX_BYTES + 32];
    uint8_t header[IMAGE_HEADER_BYTES];
    ssize_t got;
    int fd;

    (void)snprintf(path, sizeof path, "%s/db.sqlite", folder);
    fd = vfs_path_open(path, O_RDONLY, 0);
    *out_seq = 0;
    if (fd < 0)
        return errno == ENOENT;
    got = sys_pread(fd, header, sizeof header, 0);
    (void)sys_close(fd);
    if (got > 0)
        *out_seq = image_stamp_of(header, (size_t)got);
    return got >= 0 && (got < (ssize_t)sizeof header || image_note_is_right(header));
}

/* The length of the path above PATH[0..len), 0 when there is none. "/" counts as none: nobody makes agents there. */
static size_t
parent_length(const char *path, size_t len)
{
    while (len > 0 && path[len - 1] == '/')
        len--;
    while (len > 0 && path[len - 1] != '/')
        len--;
    while (len > 0 && path[len - 1] == '/')
        len--;
    return len;
}
