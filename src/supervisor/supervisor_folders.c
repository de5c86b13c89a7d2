/*
 * supervisor_folders — see supervisor_folders.h.
 */
#include "src/supervisor/supervisor_folders.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include "lib/sys/sys.h"

#define WALK_FDS_MAX 32                /* folders that the walk keeps open at once */

static struct { uid_t uid; gid_t gid; } walk_owner;      /* nftw() passes nothing to its callback */

static int
walk_give(const char *path, const struct stat *st, int kind, struct FTW *at)
{
    if (st->st_uid == walk_owner.uid)
        return 0;
    if (lchown(path, walk_owner.uid, walk_owner.gid) != 0)
        return errno;
    return 0;
}

bool
folder_give(const char *path, uid_t uid, gid_t gid, struct err *err)
{
    struct stat st;
    int rc;

    if (sys_fstatat(AT_FDCWD, path, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return err_set(err, ERR_IO, errno, "look at '%s'", path);
    if (st.st_uid == uid || geteuid() != 0)
        return true;
    walk_owner.uid = uid;
    walk_owner.gid = gid;
    /* Depth first: PATH itself comes last, so that an interrupted walk is done again at the next start. */
    rc = nftw(path, walk_give, WALK_FDS_MAX, FTW_PHYS | FTW_DEPTH | FTW_MOUNT);
    if (rc != 0)
        return err_set(err, ERR_IO, rc > 0 ? rc : errno, "give '%s' to uid %u", path, (unsigned)uid);
    return true;
}

/* Makes the name of the folder PATH[0..len) durable: what rooms write into it must not be lost with its name. */
static void
name_sync(const char *path, size_t len)
{
    char above[PATH_MAX];
    int fd;

    while (len > 1 && path[len - 1] != '/')
        len--;
    memcpy(above, path, len);
    above[len] = '\0';
    fd = sys_open(above, O_RDONLY | O_DIRECTORY, 0);
    if (fd >= 0)
        (void)sys_fsync(fd);                                 /* a file system that cannot do this has no names to lose */
    sys_close(fd);
}

bool
folder_make(const char *path, uid_t uid, gid_t gid, struct err *err)
{
    char part[PATH_MAX];
    size_t len = strlen(path);

    if (len >= sizeof part || path[0] != '/')
        return err_set(err, ERR_CONFIG, 0, "'%s' cannot be a data folder", path);
    for (size_t i = 1; i <= len; i++) {
        if (path[i] != '/' && path[i] != '\0')
            continue;
        memcpy(part, path, i);
        part[i] = '\0';
        if (sys_mkdirat(AT_FDCWD, part, i == len ? 0700 : 0755) == 0)
            name_sync(part, i);
        else if (errno != EEXIST)
            return err_set(err, ERR_IO, errno, "make the folder '%s'", part);
    }
    return folder_give(path, uid, gid, err);
}

bool
folder_lock(const char *path, int *out_fd, struct err *err)
{
    char file[PATH_MAX];
    int fd;

    (void)snprintf(file, sizeof file, "%s/supervisor.lock", path);
    fd = sys_open(file, O_CREAT | O_RDWR | O_NOFOLLOW, 0600);
    if (fd < 0)
        return err_set(err, ERR_IO, errno, "open '%s'", file);
    if (flock(fd, LOCK_EX | LOCK_NB) != 0) {
        (void)err_set(err, ERR_EXISTS, errno, "another dormouse uses the data folder '%s'; stop it first, or choose another one", path);
        sys_close(fd);
        return false;
    }
    *out_fd = fd;
    return true;
}

bool
folder_is_reachable(const char *path, uid_t uid, gid_t gid, char *out_barrier, size_t size)
{
    char part[PATH_MAX];
    struct stat st;

    for (size_t i = 0; path[i] != '\0' && i < sizeof part - 1; i++) {
        mode_t needed = S_IXOTH;

        if (path[i] != '/')
            continue;
        memcpy(part, path, i + 1);
        part[i + 1] = '\0';
        if (sys_fstatat(AT_FDCWD, part, &st, 0) != 0)
            continue;                                        /* it will be made, and passable */
        if (st.st_uid == uid)
            needed = S_IXUSR;
        else if (st.st_gid == gid)
            needed = S_IXGRP;
        if ((st.st_mode & needed) == 0) {
            (void)snprintf(out_barrier, size, "%s", part);
            return false;
        }
    }
    return true;
}
