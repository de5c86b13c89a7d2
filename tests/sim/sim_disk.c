/*
 * sim_disk — a disk in memory behind lib/sys' table: what programs see, and what a power cut leaves.
 *
 * A file has a cache and a disk side. Writes go to the cache; each 512 bytes of it reach the disk when synced, when the kernel feels like it,
 * or at a power cut: whole, not at all, or the front of it. Names likewise: changes of a folder are durable once it is synced; a power cut keeps
 * any of the others (or only the first of them, as a journaling file system would). A sync that fails leaves sectors that the
 * kernel takes for written and that never are, until they are written again.
 */
#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/sys/sys.h"
#include "tests/sim/sim_disk.h"

struct inode *inodes;
uint64_t clock_writes;
static struct inode *root;
static struct file files[FDS_MAX];

/* ---- faults ---- */

static bool
strikes(uint32_t per_million)
{
    return !plan.is_calm && sim_chance(per_million);
}

static int
fails(int sys_errno)
{
    errno = sys_errno;
    return -1;
}

/* ---- inodes ---- */

static struct inode *
inode_new(bool is_folder)
{
    struct inode *inode = calloc(1, sizeof *inode);

    assert(inode != NULL);
    inode->is_folder = is_folder;
    inode->number = ++clock_writes;
    inode->next = inodes;
    inodes = inode;
    return inode;
}

static void
inode_reserve(struct inode *inode, size_t size)
{
    size_t cap = (size + 8 * SECTOR - 1) / (8 * SECTOR) * (8 * SECTOR);

    if (cap <= inode->cap)
        return;
    if (cap < inode->cap * 2)
        cap = inode->cap * 2;
    inode->cache = realloc(inode->cache, cap);
    inode->disk = realloc(inode->disk, cap);
    inode->state = realloc(inode->state, cap / SECTOR);
    inode->when = realloc(inode->when, cap / SECTOR * sizeof inode->when[0]);
    assert(inode->cache != NULL && inode->disk != NULL && inode->state != NULL && inode->when != NULL);
    memset(inode->cache + inode->cap, 0, cap - inode->cap);
    memset(inode->disk + inode->cap, 0, cap - inode->cap);
    memset(inode->state + inode->cap / SECTOR, 0, (cap - inode->cap) / SECTOR);
    memset(inode->when + inode->cap / SECTOR, 0, (cap - inode->cap) / SECTOR * sizeof inode->when[0]);
    inode->cap = cap;
}

static void
sectors_touch(struct inode *inode, size_t from, size_t to)
{
    clock_writes++;
    for (size_t s = from / SECTOR; s * SECTOR < to; s++) {
        if (inode->state[s] != DIRTY)
            inode->when[s] = clock_writes;
        inode->state[s] = DIRTY;
    }
}

void
sector_flush(struct inode *inode, size_t s)
{
    memcpy(inode->disk + s * SECTOR, inode->cache + s * SECTOR, SECTOR);
    inode->state[s] = CLEAN;
}

static void
file_resize(struct inode *inode, size_t size)
{
    size_t before = inode->size;

    inode_reserve(inode, size > before ? size : before);
    if (size < before) {
        memset(inode->cache + size, 0, before - size);
        sectors_touch(inode, size, before);
    }
    inode->size = size;
}

void
file_sync(struct inode *inode)
{
    for (size_t s = 0; s < inode->cap / SECTOR; s++)
        if (inode->state[s] == DIRTY)
            sector_flush(inode, s);
    inode->disk_size = inode->size;
}

/* A sync that fails: some of it was written; the rest never will be. */
void
file_sync_badly(struct inode *inode, uint64_t until)
{
    for (size_t s = 0; s < inode->cap / SECTOR; s++) {
        if (inode->state[s] != DIRTY || inode->when[s] > until)
            continue;
        if (sim_below(2) == 0)
            sector_flush(inode, s);
        else
            inode->state[s] = LOST;
    }
}

/* ---- names ---- */

static struct entry *
entry_find(struct entries *names, const char *name)
{
    for (size_t i = 0; i < names->count; i++)
        if (strcmp(names->at[i].name, name) == 0)
            return &names->at[i];
    return NULL;
}

void
entry_put(struct entries *names, const char *name, struct inode *inode)
{
    struct entry *entry = entry_find(names, name);

    if (entry == NULL) {
        if (names->count == names->cap) {
            names->cap = names->cap == 0 ? 8 : names->cap * 2;
            names->at = realloc(names->at, names->cap * sizeof names->at[0]);
            assert(names->at != NULL);
        }
        entry = &names->at[names->count++];
        (void)snprintf(entry->name, sizeof entry->name, "%s", name);
    }
    entry->inode = inode;
}

static void
entry_drop(struct entries *names, const char *name)
{
    struct entry *entry = entry_find(names, name);

    if (entry != NULL)
        *entry = names->at[--names->count];
}

void
change_apply(struct entries *names, const struct change *change)
{
    switch (change->kind) {
    case CHANGE_LINK:
        entry_put(names, change->name, change->inode);
        break;
    case CHANGE_UNLINK: {
        struct entry *entry = entry_find(names, change->name);
        if (entry != NULL && entry->inode == change->inode)
            entry_drop(names, change->name);
        break;
    }
    case CHANGE_RENAME: {
        struct entry *entry = entry_find(names, change->name);
        if (entry != NULL && entry->inode == change->inode) {
            entry_drop(names, change->name);
            entry_put(names, change->to, change->inode);
        }
        break;
    }
    }
}

static void
folder_change(struct inode *folder, enum change_kind kind, const char *name, const char *to, struct inode *inode)
{
    struct change *change;

    if (folder->changes_count == folder->changes_cap) {
        folder->changes_cap = folder->changes_cap == 0 ? 8 : folder->changes_cap * 2;
        folder->changes = realloc(folder->changes, folder->changes_cap * sizeof folder->changes[0]);
        assert(folder->changes != NULL);
    }
    change = &folder->changes[folder->changes_count++];
    *change = (struct change){ .kind = kind, .when = ++clock_writes, .inode = inode };
    (void)snprintf(change->name, sizeof change->name, "%s", name);
    (void)snprintf(change->to, sizeof change->to, "%s", to);
    change_apply(&folder->names, change);
}

void
folder_sync(struct inode *folder, uint64_t until)
{
    size_t left = 0;

    for (size_t i = 0; i < folder->changes_count; i++) {
        if (folder->changes[i].when <= until)
            change_apply(&folder->disk_names, &folder->changes[i]);
        else
            folder->changes[left++] = folder->changes[i];
    }
    folder->changes_count = left;
}

/* The folder of PATH, its last name in OUT. NULL with errno. */
static struct inode *
path_parent(int dir, const char *path, char out[NAME_SIZE])
{
    struct inode *at = path[0] == '/' ? root : dir >= FD_FIRST ? files[dir - FD_FIRST].inode : NULL;

    assert(at != NULL);
    for (;;) {
        size_t len;
        struct entry *entry;

        while (*path == '/')
            path++;
        len = strcspn(path, "/");
        assert(len < NAME_SIZE);
        memcpy(out, path, len);
        out[len] = '\0';
        path += len;
        if (path[strspn(path, "/")] == '\0')
            return at;
        entry = strcmp(out, ".") == 0 ? NULL : entry_find(&at->names, out);
        if (strcmp(out, ".") != 0 && entry == NULL) {
            errno = ENOENT;
            return NULL;
        }
        at = entry != NULL ? entry->inode : at;
        if (!at->is_folder) {
            errno = ENOTDIR;
            return NULL;
        }
    }
}

static struct inode *
path_find(int dir, const char *path)
{
    char name[NAME_SIZE];
    struct inode *folder = path_parent(dir, path, name);
    struct entry *entry;

    if (folder == NULL || name[0] == '\0' || strcmp(name, ".") == 0)
        return folder;
    entry = entry_find(&folder->names, name);
    if (entry == NULL)
        errno = ENOENT;
    return entry != NULL ? entry->inode : NULL;
}

/* ---- the calls ---- */

static struct file *
file_of(int fd)
{
    assert(fd >= FD_FIRST && fd < FD_FIRST + FDS_MAX);
    assert(files[fd - FD_FIRST].inode != NULL);
    return &files[fd - FD_FIRST];
}

static int
file_open(struct inode *inode, const char *path)
{
    const size_t len = strlen(path);

    for (int i = 0; i < FDS_MAX; i++) {
        if (files[i].inode != NULL)
            continue;
        files[i] = (struct file){ .inode = inode, .owner = house_current() };
        files[i].is_segment = len > 4 && strcmp(path + len - 4, ".seg") == 0;
        files[i].is_database = len > 9 && strcmp(path + len - 9, "db.sqlite") == 0;
        return FD_FIRST + i;
    }
    return fails(EMFILE);
}

static int
sim_openat(int dir, const char *path, int flags, mode_t mode)
{
    char name[NAME_SIZE];
    struct inode *inode;

    house_syscall();
    if (strikes(plan.name_eio))
        return fails(EIO);
    inode = path_find(dir, path);
    if (inode == NULL && (errno != ENOENT || (flags & O_CREAT) == 0))
        return -1;
    if (inode != NULL && (flags & O_CREAT) != 0 && (flags & O_EXCL) != 0)
        return fails(EEXIST);
    if (inode != NULL && (flags & O_DIRECTORY) != 0 && !inode->is_folder)
        return fails(ENOTDIR);
    if (inode == NULL) {
        struct inode *folder = path_parent(dir, path, name);

        if (folder == NULL)
            return -1;
        if (strikes(plan.write_full))
            return fails(ENOSPC);
        inode = inode_new(false);
        folder_change(folder, CHANGE_LINK, name, "", inode);
    }
    if ((flags & O_TRUNC) != 0)
        file_resize(inode, 0);
    return file_open(inode, path);
}

static int
sim_close(int fd)
{
    struct file *file = file_of(fd);

    if (file->inode->lock_fd == fd)
        file->inode->lock_fd = 0;
    file->inode = NULL;
    return 0;
}

static ssize_t
sim_pread(int fd, void *data, size_t len, off_t at)
{
    struct inode *inode = file_of(fd)->inode;

    house_syscall();
    if (strikes(plan.read_eio))
        return fails(EIO);
    if ((size_t)at >= inode->size)
        return 0;
    if (len > inode->size - (size_t)at)
        len = inode->size - (size_t)at;
    memcpy(data, inode->cache + at, len);
    return (ssize_t)len;
}

static void
file_write(struct inode *inode, const void *data, size_t len, size_t at)
{
    inode_reserve(inode, at + len);
    memcpy(inode->cache + at, data, len);
    sectors_touch(inode, at, at + len);
    if (at + len > inode->size)
        inode->size = at + len;
}

static ssize_t
sim_pwrite(int fd, const void *data, size_t len, off_t at)
{
    struct file *file = file_of(fd);
    struct inode *inode = file->inode;

    if (file->is_segment)
        segment_look(data, len, at);
    if (house_dies_now()) {
        if (len > 0)
            file_write(inode, data, sim_below((uint32_t)len + 1), (size_t)at);
        house_syscall();
    }
    house_syscall();
    if (strikes(plan.write_eio)) {
        if (len > 0)
            file_write(inode, data, sim_below((uint32_t)len + 1), (size_t)at);
        return fails(EIO);
    }
    if (strikes(plan.write_full)) {
        sim_saw(SAW_NO_SPACE);
        return fails(ENOSPC);
    }
    if (len > 1 && strikes(plan.write_short)) {
        sim_saw(SAW_WRITE_SHORT);
        len = 1 + sim_below((uint32_t)len - 1);
    }
    file_write(inode, data, len, (size_t)at);
    return (ssize_t)len;
}

static ssize_t
sim_write(int fd, const void *data, size_t len)
{
    struct file *file = file_of(fd);
    ssize_t done = sim_pwrite(fd, data, len, (off_t)file->at);

    if (done > 0)
        file->at += (size_t)done;
    return done;
}

static int
sim_fdatasync(int fd)
{
    struct file *file = file_of(fd);
    struct inode *inode = file->inode;

    if (house_dies_now() && sim_below(2) == 0 && !inode->is_folder)
        file_sync(inode);
    house_syscall();
    if (strikes(plan.sync_eio)) {
        if (!inode->is_folder)
            file_sync_badly(inode, UINT64_MAX);
        if (file->is_segment)
            sim_saw(SAW_SYNC_FAILED);
        return fails(EIO);
    }
    if (inode->is_folder)
        folder_sync(inode, UINT64_MAX);
    else
        file_sync(inode);
    return 0;
}

static int
sim_ftruncate(int fd, off_t len)
{
    house_syscall();
    if (strikes(plan.write_eio))
        return fails(EIO);
    file_resize(file_of(fd)->inode, (size_t)len);
    return 0;
}

static int
sim_fallocate(int fd, int mode, off_t at, off_t len)
{
    struct inode *inode = file_of(fd)->inode;

    house_syscall();
    if (strikes(plan.write_full)) {
        sim_saw(SAW_NO_SPACE);
        return fails(ENOSPC);
    }
    if (mode == 0 && (size_t)(at + len) > inode->size)
        file_resize(inode, (size_t)(at + len));
    return 0;
}

static int
stat_fill(const struct inode *inode, struct stat *out)
{
    *out = (struct stat){ .st_mode = inode->is_folder ? S_IFDIR | 0700 : S_IFREG | 0600, .st_nlink = 1, .st_ino = inode->number };
    out->st_size = (off_t)inode->size;
    return 0;
}

static int
sim_fstat(int fd, struct stat *out)
{
    return stat_fill(file_of(fd)->inode, out);
}

static int
sim_fstatat(int dir, const char *path, struct stat *out, int flags)
{
    struct inode *inode = path_find(dir, path);

    house_syscall();
    return inode == NULL ? -1 : stat_fill(inode, out);
}

static int
sim_mkdirat(int dir, const char *path, mode_t mode)
{
    char name[NAME_SIZE];
    struct inode *folder = path_parent(dir, path, name);

    house_syscall();
    if (folder == NULL)
        return -1;
    if (entry_find(&folder->names, name) != NULL)
        return fails(EEXIST);
    if (strikes(plan.name_eio))
        return fails(EIO);
    folder_change(folder, CHANGE_LINK, name, "", inode_new(true));
    return 0;
}

static int
sim_unlinkat(int dir, const char *path, int flags)
{
    char name[NAME_SIZE];
    struct inode *folder = path_parent(dir, path, name);
    struct entry *entry = folder != NULL ? entry_find(&folder->names, name) : NULL;
    const size_t len = strlen(path);

    house_syscall();
    if (entry == NULL)
        return fails(ENOENT);
    if (((flags & AT_REMOVEDIR) != 0) != entry->inode->is_folder)
        return fails(entry->inode->is_folder ? EISDIR : ENOTDIR);
    if (entry->inode->is_folder && entry->inode->names.count > 0)
        return fails(ENOTEMPTY);
    if (strikes(plan.name_eio))
        return fails(EIO);
    if (len > 4 && strcmp(path + len - 4, ".seg") == 0)
        sim_saw(SAW_RETIRED);
    folder_change(folder, CHANGE_UNLINK, name, "", entry->inode);
    return 0;
}

static int
sim_renameat(int from_dir, const char *from, int to_dir, const char *to)
{
    char from_name[NAME_SIZE], to_name[NAME_SIZE];
    struct inode *folder = path_parent(from_dir, from, from_name);
    struct inode *to_folder = path_parent(to_dir, to, to_name);
    struct entry *entry = folder != NULL ? entry_find(&folder->names, from_name) : NULL;
    struct entry *over = to_folder != NULL ? entry_find(&to_folder->names, to_name) : NULL;

    house_syscall();
    if (entry == NULL || to_folder == NULL)
        return fails(ENOENT);
    assert(folder == to_folder);
    if (over != NULL && over->inode->is_folder && over->inode->names.count > 0)
        return fails(ENOTEMPTY);
    if (strikes(plan.name_eio))
        return fails(EIO);
    folder_change(folder, CHANGE_RENAME, from_name, to_name, entry->inode);
    return 0;
}

static int
sim_lock(int fd, off_t at, off_t len)
{
    struct inode *inode = file_of(fd)->inode;

    if (inode->lock_fd != 0 && inode->lock_fd != fd)
        return fails(EAGAIN);
    inode->lock_fd = fd;
    return 0;
}

static int64_t
sim_mono(void)
{
    return sim_now_us;
}

static int64_t
sim_cpu(void)
{
    return 0;                                      /* no turn takes any */
}

static int
sim_random(void *out, size_t len)
{
    uint8_t *at = out;

    for (size_t i = 0; i < len; i++)
        at[i] = (uint8_t)(sim_u64() >> 32);
    return 0;
}

/* ---- listing: the rooms' fdopendir, readdir and closedir are renamed to these ---- */

struct listing {
    int           fd;
    struct inode *folder;
    size_t        next;
    struct dirent entry;
};
DIR *sim_fdopendir(int fd);
struct dirent *sim_readdir(DIR *dir);
int sim_closedir(DIR *dir);

DIR *
sim_fdopendir(int fd)
{
    struct listing *listing = calloc(1, sizeof *listing);

    assert(listing != NULL);
    listing->fd = fd;
    listing->folder = file_of(fd)->inode;
    return (DIR *)(void *)listing;
}

struct dirent *
sim_readdir(DIR *dir)
{
    struct listing *listing = (struct listing *)(void *)dir;
    const struct entry *entry;

    if (listing->next >= listing->folder->names.count)
        return NULL;
    entry = &listing->folder->names.at[listing->next++];
    listing->entry.d_type = entry->inode->is_folder ? DT_DIR : DT_REG;
    listing->entry.d_ino = entry->inode->number;
    (void)snprintf(listing->entry.d_name, sizeof listing->entry.d_name, "%s", entry->name);
    return &listing->entry;
}

int
sim_closedir(DIR *dir)
{
    struct listing *listing = (struct listing *)(void *)dir;

    (void)sim_close(listing->fd);
    free(listing);
    return 0;
}

/* ---- what happens to the disk ---- */

void
disk_close_of(const void *owner)
{
    for (int i = 0; i < FDS_MAX; i++)
        if (files[i].inode != NULL && files[i].owner == owner)
            (void)sim_close(FD_FIRST + i);
}

void
disk_make_folder(const char *path)
{
    char name[NAME_SIZE];
    struct inode *folder = path_parent(-1, path, name);

    assert(folder != NULL);
    folder_change(folder, CHANGE_LINK, name, "", inode_new(true));
    folder_sync(folder, UINT64_MAX);
}

void
disk_init(void)
{
    root = inode_new(true);
    sys_table.openat = sim_openat;
    sys_table.open_beneath = sim_openat;
    sys_table.close = sim_close;
    sys_table.pread = sim_pread;
    sys_table.pwrite = sim_pwrite;
    sys_table.write = sim_write;
    sys_table.fsync = sim_fdatasync;
    sys_table.fdatasync = sim_fdatasync;
    sys_table.ftruncate = sim_ftruncate;
    sys_table.fallocate = sim_fallocate;
    sys_table.fstat = sim_fstat;
    sys_table.fstatat = sim_fstatat;
    sys_table.mkdirat = sim_mkdirat;
    sys_table.unlinkat = sim_unlinkat;
    sys_table.renameat = sim_renameat;
    sys_table.lock = sim_lock;
    sys_table.random = sim_random;
    sys_table.clock_mono_us = sim_mono;
    sys_table.clock_wall_us = sim_wall_us;
    sys_table.clock_cpu_us = sim_cpu;
}
