/*
 * jail_mounts — namespaces, and a root of its own that holds only what the role needs, at the same paths as outside.
 *
 * How: the named folders are taken as detached copies (open_tree), an empty tmpfs is laid over a folder that exists
 * everywhere, the copies are moved into it, and pivot_root makes it the only world. Same paths, so that no room has to know.
 * Parent folders in the new root are ours and passable: data beneath a closed home folder works for an unprivileged user.
 */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/mount.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/jail/jail_internal.h"
#include "lib/sys/sys.h"

#define STAGE_PATH  "/usr"         /* covered by the tmpfs for a moment, in our namespace only; exists everywhere */
#define TREES_MAX   (2 * JAIL_PATHS_MAX + 32)
#define MS_REC_PRIVATE_FLAGS (0x4000 | 0x40000)     /* MS_REC | MS_PRIVATE of sys/mount.h, which clashes with linux/mount.h */
#define DETACH      2              /* MNT_DETACH, the same */

int mount(const char *source, const char *target, const char *type, unsigned long flags, const void *data);
int umount2(const char *target, int flags);

enum tree_mode { TREE_READ, TREE_WRITE };

struct tree {                      /* one folder or file on its way into the new root */
    const char *path;
    int         fd;                /* owned: a detached copy; -1 for a symbolic link */
    bool        is_folder;
    char        link[PATH_MAX];    /* where a symbolic link leads; "" for others */
};

struct trees {
    struct tree at[TREES_MAX];
    size_t      count;
};

/* A user namespace gives an ordinary user the right to the other namespaces; it stays the same user inside. */
static bool
user_namespace_enter(struct err *err)
{
    uid_t uid = geteuid();
    gid_t gid = getegid();
    char map[64];

    if (unshare(CLONE_NEWUSER) != 0)
        return err_set(err, ERR_DENIED, errno, "no user namespace");
    (void)jail_file_write("/proc/self/setgroups", "deny");     /* older kernels have no such file; the map decides */
    (void)snprintf(map, sizeof map, "%u %u 1", (unsigned)uid, (unsigned)uid);
    if (!jail_file_write("/proc/self/uid_map", map))
        return err_set(err, ERR_DENIED, errno, "map uid %u", (unsigned)uid);
    (void)snprintf(map, sizeof map, "%u %u 1", (unsigned)gid, (unsigned)gid);
    if (!jail_file_write("/proc/self/gid_map", map))
        return err_set(err, ERR_DENIED, errno, "map gid %u", (unsigned)gid);
    return true;
}

static bool
tree_is_covered(const struct trees *trees, const char *path)
{
    for (size_t i = 0; i < trees->count; i++) {
        size_t len = strlen(trees->at[i].path);

        if (trees->at[i].link[0] == '\0' && strncmp(trees->at[i].path, path, len) == 0 &&
            (path[len] == '/' || path[len] == '\0'))
            return true;
    }
    return false;
}

/* Takes a detached copy of PATH. A path that does not exist is left out. */
static bool
tree_take(struct trees *trees, const char *path, enum tree_mode mode, struct err *err)
{
    struct mount_attr attr = { .attr_set = MOUNT_ATTR_NOSUID | (mode == TREE_READ ? MOUNT_ATTR_RDONLY : MOUNT_ATTR_NOEXEC) };
    struct tree *tree = &trees->at[trees->count];
    struct stat st;
    ssize_t len;

    if (mode == TREE_READ && tree_is_covered(trees, path))
        return true;
    if (trees->count == TREES_MAX)
        return err_set(err, ERR_LIMIT, 0, "more than %d paths for one room", TREES_MAX);
    if (sys_fstatat(AT_FDCWD, path, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return true;
    *tree = (struct tree){ .path = path, .fd = -1, .is_folder = S_ISDIR(st.st_mode) };
    len = S_ISLNK(st.st_mode) ? readlink(path, tree->link, sizeof tree->link - 1) : 0;
    if (S_ISLNK(st.st_mode) && mode == TREE_READ && strncmp(path, "/etc/", 5) != 0 && len > 0) {
        tree->link[len] = '\0';
        trees->count++;
        return true;                                     /* /lib → usr/lib: kept as a link */
    }
    tree->link[0] = '\0';
    tree->fd = (int)syscall(SYS_open_tree, AT_FDCWD, path, OPEN_TREE_CLONE | O_CLOEXEC | AT_RECURSIVE);
    if (tree->fd < 0)
        return errno == ENOENT ? true : err_set(err, ERR_DENIED, errno, "take '%s'", path);
    if (S_ISLNK(st.st_mode) && sys_fstatat(AT_FDCWD, path, &st, 0) == 0)
        tree->is_folder = S_ISDIR(st.st_mode);
    trees->count++;
    if (syscall(SYS_mount_setattr, tree->fd, "", AT_EMPTY_PATH | AT_RECURSIVE, &attr, sizeof attr) != 0)
        return err_set(err, ERR_DENIED, errno, "make '%s' read-only", path);
    return true;
}

static bool
trees_take_each(struct trees *trees, const char *const *paths, enum tree_mode mode, struct err *err)
{
    for (; *paths != NULL; paths++)
        if (!tree_take(trees, *paths, mode, err))
            return false;
    return true;
}

static bool
trees_take(struct trees *trees, const struct jail_spec *spec, struct err *err)
{
    return trees_take_each(trees, spec->write, TREE_WRITE, err) &&
           trees_take_each(trees, jail_system_paths, TREE_READ, err) &&
           trees_take_each(trees, jail_role_paths(spec->role), TREE_READ, err) &&
           tree_take(trees, "/dev/null", TREE_READ, err) && trees_take_each(trees, spec->read, TREE_READ, err) &&
           (spec->exec_path == NULL || tree_take(trees, spec->exec_path, TREE_READ, err));
}

/* mkdir -p of the parents of PATH (absolute), relative to the folder we stand in. */
static bool
parents_make(const char *path, struct err *err)
{
    char part[PATH_MAX];
    size_t len = strlen(path);

    if (len >= sizeof part)
        return err_set(err, ERR_LIMIT, 0, "path of %zu bytes", len);
    for (size_t i = 1; i < len; i++) {
        if (path[i] != '/')
            continue;
        memcpy(part, path + 1, i - 1);
        part[i - 1] = '\0';
        if (part[0] != '\0' && sys_mkdirat(AT_FDCWD, part, 0755) != 0 && errno != EEXIST)
            return err_set(err, ERR_IO, errno, "make '%s' in the new root", part);
    }
    return true;
}

static bool
tree_place(const struct tree *tree, struct err *err)
{
    const char *at = tree->path + 1;
    int fd;

    if (!parents_make(tree->path, err))
        return false;
    if (tree->link[0] != '\0')
        return symlink(tree->link, at) == 0 || errno == EEXIST
                   ? true
                   : err_set(err, ERR_IO, errno, "link '%s' in the new root", at);
    if (tree->is_folder && sys_mkdirat(AT_FDCWD, at, 0755) != 0 && errno != EEXIST)
        return err_set(err, ERR_IO, errno, "make '%s' in the new root", at);
    if (!tree->is_folder) {
        fd = sys_open(at, O_CREAT | O_WRONLY, 0644);
        if (fd < 0 && errno != EEXIST)
            return err_set(err, ERR_IO, errno, "make '%s' in the new root", at);
        sys_close(fd);
    }
    if (syscall(SYS_move_mount, tree->fd, "", AT_FDCWD, at, MOVE_MOUNT_F_EMPTY_PATH) != 0)
        return err_set(err, ERR_DENIED, errno, "move '%s' into the new root", at);
    return true;
}

/* Shallow paths first, so that a folder beneath /usr is laid over it and not under it. */
static int
tree_compare(const void *a, const void *b)
{
    const size_t first = strlen(((const struct tree *)a)->path);
    const size_t second = strlen(((const struct tree *)b)->path);

    return first < second ? -1 : first > second;
}

static bool
root_make(struct trees *trees, struct err *err)
{
    struct mount_attr attr = { .attr_set = MOUNT_ATTR_RDONLY };

    if (mount("dormouse", STAGE_PATH, "tmpfs", MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV, "mode=755,size=" JAIL_ROOT_BYTES_MAX) != 0)
        return err_set(err, ERR_DENIED, errno, "mount an empty root");
    if (chdir(STAGE_PATH) != 0)
        return err_set(err, ERR_IO, errno, "enter the new root");
    qsort(trees->at, trees->count, sizeof trees->at[0], tree_compare);
    for (size_t i = 0; i < trees->count; i++)
        if (!tree_place(&trees->at[i], err))
            return false;
    if (syscall(SYS_pivot_root, ".", ".") != 0)
        return err_set(err, ERR_DENIED, errno, "pivot_root");
    if (umount2(".", DETACH) != 0 || chdir("/") != 0)
        return err_set(err, ERR_DENIED, errno, "leave the old root");
    if (syscall(SYS_mount_setattr, AT_FDCWD, "/", 0, &attr, sizeof attr) != 0)
        return err_set(err, ERR_DENIED, errno, "make the new root read-only");
    return true;
}

static bool
mounts_enter(const struct jail_spec *spec, struct err *err)
{
    struct trees *trees = calloc(1, sizeof *trees);
    mode_t mask = umask(022);
    bool ok;

    if (trees == NULL)
        return err_set(err, ERR_LIMIT, errno, "allocate the list of mounts");
    if (unshare(CLONE_NEWNS) != 0)
        ok = err_set(err, ERR_DENIED, errno, "no mount namespace");
    else if (mount(NULL, "/", NULL, MS_REC_PRIVATE_FLAGS, NULL) != 0)
        ok = err_set(err, ERR_DENIED, errno, "make mounts private");
    else
        ok = trees_take(trees, spec, err) && root_make(trees, err);
    for (size_t i = 0; i < trees->count; i++)
        sys_close(trees->at[i].fd);
    free(trees);
    (void)umask(mask);
    return ok;
}

static void
unshare_layer(struct jail_report *report, enum jail_layer layer, int flags, const char *what)
{
    if (unshare(flags) == 0)
        report_set(report, layer, LAYER_ON, "%s", what);
    else
        report_set(report, layer, LAYER_ABSENT, "no %s namespace: %s", what, strerror(errno));
}

bool
jail_enter_namespaces(const struct jail_spec *spec, struct jail_report *report, struct err *err)
{
    struct err why = { 0 };

    if (!jail_is_root() && !user_namespace_enter(&why)) {
        report_set(report, LAYER_MOUNTS, LAYER_ABSENT, "%s", why.message);
        report_set(report, LAYER_NETWORK, LAYER_ABSENT, "%s", why.message);
        report_set(report, LAYER_NAMESPACES, LAYER_ABSENT, "%s", why.message);
        return true;
    }
    unshare_layer(report, LAYER_NAMESPACES, CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWCGROUP, "ipc, uts, cgroup");
    if (spec->role == ROLE_EGRESS)
        report_set(report, LAYER_NETWORK, LAYER_NOT_NEEDED, "egress is the way out");
    else
        unshare_layer(report, LAYER_NETWORK, CLONE_NEWNET, "network");
#ifdef __SANITIZE_ADDRESS__
    report_set(report, LAYER_MOUNTS, LAYER_ABSENT, "this is a build with sanitizers, which read /proc");
#endif
    if (report->layer[LAYER_MOUNTS].state == LAYER_ABSENT && report->layer[LAYER_MOUNTS].reason[0] != '\0')
        return true;                                     /* the probe found that it does not work here */
    if (!mounts_enter(spec, &why)) {
        report_set(report, LAYER_MOUNTS, LAYER_ABSENT, "%s", why.message);
        return err_set(err, ERR_DENIED, 0, "%s", why.message);
    }
    report_set(report, LAYER_MOUNTS, LAYER_ON, "own root");
    return true;
}
