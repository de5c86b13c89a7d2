/*
 * backup_folder — a target that is a folder: a disk of its own, a mounted share.
 *
 * An object is written beside its name, synced, renamed, and its folder synced.
 */
#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/sys/sys.h"
#include "src/backup/backup_limits.h"
#include "src/backup/backup_target.h"

#define NEXT_SUFFIX ".next"

struct folder_target {
    struct target base;
    int           dir;
    void        (*tick)(void *owner);
    void         *owner;
};

static struct folder_target *
folder_of(struct target *target)
{
    return container_of(target, struct folder_target, base);
}

static bool
failed(const struct target *target, const char *doing, const char *name, struct err *err)
{
    const enum err_code code = errno == ENOENT ? ERR_NOT_FOUND : errno == ENOSPC || errno == EDQUOT ? ERR_DISK_FULL : ERR_IO;

    return err_set(err, code, errno, "%s '%s/%s'", doing, target->place, name);
}

static bool
dir_sync(struct folder_target *it, const char *path)
{
    int fd = sys_openat(it->dir, path, O_RDONLY | O_DIRECTORY, 0);
    const bool ok = fd >= 0 && sys_fsync(fd) == 0;
    const int kept = errno;

    (void)sys_close(fd);                   /* a folder: nothing to lose */
    errno = kept;
    return ok;
}

/* The folders above NAME; each new one durably. */
static bool
folders_make(struct folder_target *it, const char *name, char folder[PATH_BYTES])
{
    (void)snprintf(folder, PATH_BYTES, ".");
    for (const char *slash = strchr(name, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        char above[PATH_BYTES];

        (void)snprintf(above, sizeof above, "%s", folder);
        (void)snprintf(folder, PATH_BYTES, "%.*s", (int)(slash - name), name);
        if (sys_mkdirat(it->dir, folder, 0700) == 0 ? !dir_sync(it, above) : errno != EEXIST)
            return false;
    }
    return true;
}

static bool
folder_put(struct target *target, const char *name, struct bytes data, struct err *err)
{
    struct folder_target *it = folder_of(target);
    char next[PATH_BYTES], folder[PATH_BYTES];
    int fd;
    bool ok;

    it->tick(it->owner);
    (void)snprintf(next, sizeof next, "%s" NEXT_SUFFIX, name);
    if (!folders_make(it, name, folder))
        return failed(target, "make the folder of", name, err);
    fd = sys_openat(it->dir, next, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return failed(target, "create", name, err);
    ok = sys_write_all(fd, data.data, data.len) && sys_fsync(fd) == 0;
    if (!ok)
        (void)failed(target, "write", name, err);
    (void)sys_close(fd);                   /* it is synced, or given up */
    if (!ok) {
        (void)sys_unlinkat(it->dir, next, 0);   /* overwritten by the next try otherwise */
        return false;
    }
    if (sys_renameat(it->dir, next, it->dir, name) != 0 || !dir_sync(it, folder))
        return failed(target, "write", name, err);
    return true;
}

static bool
file_read(int fd, struct span span, struct buf *out)
{
    uint64_t done = 0;

    while (done < span.len) {
        ssize_t got;

        buf_reserve(out, span.len - done);
        got = sys_pread(fd, out->data + out->len, span.len - done, (off_t)(span.at + done));
        if (got == 0)
            errno = EIO;                   /* it became shorter under our eyes */
        if (got <= 0)
            return false;
        out->len += (size_t)got;
        done += (uint64_t)got;
    }
    return true;
}

static bool
folder_get(struct target *target, const char *name, struct span span, uint64_t bytes_max, struct buf *out, struct err *err)
{
    struct folder_target *it = folder_of(target);
    int fd = sys_openat(it->dir, name, O_RDONLY | O_NOFOLLOW, 0);
    struct stat st;
    bool ok;

    it->tick(it->owner);
    if (fd < 0)
        return failed(target, "open", name, err);
    ok = sys_fstat(fd, &st) == 0 ? true : failed(target, "look at", name, err);
    if (ok && span.len == 0)
        span = (struct span){ 0, (uint64_t)st.st_size };
    if (ok && span.len > bytes_max)
        ok = err_set(err, ERR_LIMIT, 0, "'%s/%s' is too large", target->place, name);
    if (ok && ((uint64_t)st.st_size < span.at || (uint64_t)st.st_size - span.at < span.len))
        ok = err_set(err, ERR_CORRUPT, 0, "'%s/%s' is shorter than it was", target->place, name);
    ok = ok && (file_read(fd, span, out) ? true : failed(target, "read", name, err));
    (void)sys_close(fd);                   /* only read */
    return ok;
}

/* What is beneath PATH. Recursion ends at DEPTH; the tree is ours, two folders deep. */
static bool
walk(struct folder_target *it, const char *path, int depth, void (*fn)(void *owner, const char *name, uint64_t bytes), void *owner, struct err *err)
{
    int fd = sys_openat(it->dir, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
    DIR *list = fd < 0 ? NULL : fdopendir(fd);
    struct dirent *e;
    bool ok = true;

    if (list == NULL && errno == ENOENT)
        return true;
    if (list == NULL) {
        (void)failed(&it->base, "list", path, err);
        (void)sys_close(fd);               /* -1 is fine */
        return false;
    }
    while (ok && (errno = 0, e = readdir(list)) != NULL) {
        const size_t len = strlen(e->d_name);
        char name[PATH_BYTES];
        struct stat st;

        if (e->d_name[0] == '.' || (len > strlen(NEXT_SUFFIX) && strcmp(e->d_name + len - strlen(NEXT_SUFFIX), NEXT_SUFFIX) == 0))
            continue;
        if ((size_t)snprintf(name, sizeof name, "%s/%s", path, e->d_name) >= sizeof name || sys_fstatat(it->dir, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
            continue;                      /* it went meanwhile, or is none of ours */
        if (S_ISREG(st.st_mode))
            fn(owner, name, (uint64_t)st.st_size);
        else if (S_ISDIR(st.st_mode) && depth > 0)
            ok = walk(it, name, depth - 1, fn, owner, err);
    }
    if (ok && errno != 0)
        ok = failed(&it->base, "list", path, err);
    (void)closedir(list);                  /* only read */
    return ok;
}

static bool
folder_list(struct target *target, const char *prefix, void (*fn)(void *owner, const char *name, uint64_t bytes), void *owner, struct err *err)
{
    char path[PATH_BYTES];
    const size_t len = strlen(prefix);

    assert(len > 1 && prefix[len - 1] == '/');
    (void)snprintf(path, sizeof path, "%.*s", (int)(len - 1), prefix);
    return walk(folder_of(target), path, 2, fn, owner, err);
}

static bool
folder_remove(struct target *target, const char *name, struct err *err)
{
    if (sys_unlinkat(folder_of(target)->dir, name, 0) != 0 && errno != ENOENT)
        return failed(target, "delete", name, err);
    return true;
}

static void
folder_close(struct target *target)
{
    struct folder_target *it = folder_of(target);

    (void)sys_close(it->dir);              /* a folder: nothing to lose */
    free(it);
}

bool
folder_target_open(struct target **out_target, const struct target_spec *spec, struct err *err)
{
    static const struct target_kind kind = { folder_put, folder_get, folder_list, folder_remove, folder_close };
    struct folder_target *it;
    int dir;

    if (spec->is_made && sys_mkdirat(AT_FDCWD, spec->place, 0700) != 0 && errno != EEXIST)
        return err_set(err, ERR_IO, errno, "make the folder '%s'", spec->place);
    dir = sys_open(spec->place, O_RDONLY | O_DIRECTORY, 0);
    if (dir < 0)
        return err_set(err, errno == ENOENT ? ERR_NOT_FOUND : ERR_IO, errno, "open the folder of backups '%s'", spec->place);
    it = calloc(1, sizeof *it);
    assert(it != NULL);
    it->base = (struct target){ &kind, bytes_dup(bytes_of(spec->place)) };
    it->dir = dir;
    it->tick = spec->tick;
    it->owner = spec->owner;
    *out_target = &it->base;
    return true;
}
