/*
 * control_files — see control_files.h.
 */
#include "src/control/control_files.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "lib/sys/sys.h"

#define FOLDER_DEPTH_MAX 64        /* a path of DEPLOY_PATH_MAX_BYTES may be deeper; what is deeper stays, and is seen again */

void
path_print(char out[PATH_BYTES], const char *fmt, ...)
{
    va_list args;
    int len;

    va_start(args, fmt);
    len = vsnprintf(out, PATH_BYTES, fmt, args);
    va_end(args);
    assert(len > 0);
    assert(len < PATH_BYTES);
}

bool
file_read(int dir, const char *path, size_t bytes_max, struct buf *out, struct err *err)
{
    int fd = sys_open_beneath(dir, path, O_RDONLY | O_CLOEXEC, 0);
    size_t start = out->len;
    ssize_t got = 0;

    if (fd < 0)
        return err_set(err, errno == ENOENT ? ERR_NOT_FOUND : ERR_IO, errno, "open '%s'", path);
    do {
        buf_reserve(out, 64 * 1024);
        got = sys_read(fd, out->data + out->len, 64 * 1024);
        if (got > 0)
            out->len += (size_t)got;
    } while (got > 0 && out->len - start <= bytes_max);
    (void)sys_close(fd);
    if (got < 0)
        return err_set(err, ERR_IO, errno, "read '%s'", path);
    if (out->len - start > bytes_max)
        return err_set(err, ERR_LIMIT, 0, "'%s' is larger than %zu bytes", path, bytes_max);
    return true;
}

bool
folder_sync_of(int dir, const char *path)
{
    char folder[PATH_BYTES];
    const char *slash = strrchr(path, '/');
    int fd, status;

    path_print(folder, "%.*s", slash != NULL ? (int)(slash - path) : 1, slash != NULL ? path : ".");
    fd = sys_openat(dir, folder, O_RDONLY | O_DIRECTORY, 0);
    if (fd < 0)
        return false;
    status = sys_fsync(fd);
    (void)sys_close(fd);
    return status == 0;
}

bool
file_replace(int dir, const char *path, struct bytes text, struct err *err)
{
    char next[PATH_BYTES];
    int fd;
    bool ok;

    path_print(next, "%s.next", path);
    fd = sys_open_beneath(dir, next, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0)
        return err_set(err, ERR_IO, errno, "create '%s'", next);
    ok = sys_write_all(fd, text.data, text.len) && sys_fsync(fd) == 0;
    if (!ok)
        (void)err_set(err, errno == ENOSPC ? ERR_DISK_FULL : ERR_IO, errno, "write '%s'", next);
    (void)sys_close(fd);
    if (!ok)
        return false;
    if (sys_renameat(dir, next, dir, path) != 0 || !folder_sync_of(dir, path))
        return err_set(err, ERR_IO, errno, "replace '%s'", path);
    return true;
}

bool
file_append(int dir, const char *path, struct bytes text, struct err *err)
{
    int fd = sys_open_beneath(dir, path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    bool ok;

    if (fd < 0)
        return err_set(err, ERR_IO, errno, "open '%s'", path);
    ok = sys_write_all(fd, text.data, text.len) || err_set(err, ERR_IO, errno, "append to '%s'", path);
    (void)sys_close(fd);
    return ok;
}

bool
folder_make(int dir, const char *path, struct err *err)
{
    if (sys_mkdirat(dir, path, 0700) != 0 && errno != EEXIST)
        return err_set(err, errno == ENOSPC ? ERR_DISK_FULL : ERR_IO, errno, "create the folder '%s'", path);
    return true;
}

DIR *
folder_list(int dir, const char *path)
{
    int fd = sys_openat(dir, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
    DIR *list = fd >= 0 ? fdopendir(fd) : NULL;

    if (list == NULL)
        (void)sys_close(fd);
    return list;
}

static bool
is_dots(const char *name)
{
    return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

/* Recursion is bounded by DEPTH; the tree is one that we made. */
static void
folder_empty(int dir, const char *path, int depth)
{
    DIR *list = folder_list(dir, path);

    if (list == NULL || depth <= 0) {
        if (list != NULL)
            (void)closedir(list);
        return;
    }
    for (struct dirent *e = readdir(list); e != NULL; e = readdir(list)) {
        if (is_dots(e->d_name))
            continue;
        if (sys_unlinkat(dirfd(list), e->d_name, 0) == 0 || errno == ENOENT)
            continue;
        folder_empty(dirfd(list), e->d_name, depth - 1);
        (void)sys_unlinkat(dirfd(list), e->d_name, AT_REMOVEDIR);   /* what stays is found again by the next trim */
    }
    (void)closedir(list);
}

void
folder_remove(int dir, const char *path)
{
    folder_empty(dir, path, FOLDER_DEPTH_MAX);
    (void)sys_unlinkat(dir, path, AT_REMOVEDIR);
}
