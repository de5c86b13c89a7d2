/*
 * store_disk — a disk that is recorded at the door to the kernel, and rebuilt as a power cut could have left it.
 *
 * Recorded are names made, bytes written, files cut, files and folders synced, below one folder; and marks of the test's own. A built
 * disk has what was synced; each other name and each other sector, as it was at one moment, by the toss of a coin.
 */
#ifndef DORMOUSE_TESTS_STORE_DISK_H
#define DORMOUSE_TESTS_STORE_DISK_H

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "lib/sys/sys.h"
#include "tests/unit/store_helper.h"

#define NODES_MAX  64
#define OPS_MAX    65536
#define FDS_MAX    256
#define SECTOR     512
#define NODE_TOP   (-1)                    /* the recorded folder itself */
#define NODE_NONE  (-2)                    /* above or beside it */

enum op_kind { OP_NAME, OP_WRITE, OP_TRUNCATE, OP_SYNC, OP_SYNC_ALL, OP_MARK };

struct op {
    enum op_kind kind;
    int          node;
    int64_t      at;                       /* OP_WRITE: offset; OP_TRUNCATE: size; OP_MARK: the test's */
    int          mark;
    struct buf   data;
};

struct node {                              /* a file or folder below the recorded one */
    char path[160];
    int  parent;
    bool is_folder;
};

struct disk_file {                         /* during replay */
    struct buf durable;
    size_t     pending_from;               /* ops before this one are in durable, as far as they concern this node */
    bool       exists, name_is_durable;
};

struct recording {
    char        root[160];
    struct node nodes[NODES_MAX];
    int         nodes_count;
    struct op  *ops;
    int         ops_count;
    int         ops_cap;
};

static struct sys_table real;
static struct recording *rec;              /* the present one */
static int fd_node[FDS_MAX];
static bool fsync_of_folder_fails;

/* ---- recording ---------------------------------------------------------------------------------------------------------- */

static struct op *
op_add(enum op_kind kind, int node, int64_t at)
{
    assert_true(rec->ops_count < OPS_MAX);
    if (rec->ops_count == rec->ops_cap) {
        rec->ops_cap = rec->ops_cap == 0 ? 256 : rec->ops_cap * 2;
        rec->ops = realloc(rec->ops, (size_t)rec->ops_cap * sizeof *rec->ops);
        assert_non_null(rec->ops);
    }
    rec->ops[rec->ops_count] = (struct op){ .kind = kind, .node = node, .at = at };
    return &rec->ops[rec->ops_count++];
}

static UNUSED void
mark_add(int mark, int64_t at)
{
    op_add(OP_MARK, -1, at)->mark = mark;
}

static int
node_find(const char *path)
{
    for (int i = 0; i < rec->nodes_count; i++)
        if (strcmp(rec->nodes[i].path, path) == 0)
            return i;
    return strcmp(path, rec->root) == 0 ? NODE_TOP : NODE_NONE;
}

static int
node_make(const char *path, bool is_folder)
{
    int found = node_find(path);
    char parent[160];

    if (found != NODE_NONE || strncmp(path, rec->root, strlen(rec->root)) != 0)
        return found;
    (void)snprintf(parent, sizeof parent, "%s", path);
    *strrchr(parent, '/') = '\0';
    assert_true(rec->nodes_count < NODES_MAX);
    (void)snprintf(rec->nodes[rec->nodes_count].path, sizeof rec->nodes[0].path, "%s", path);
    rec->nodes[rec->nodes_count].is_folder = is_folder;
    rec->nodes[rec->nodes_count].parent = node_find(parent);
    (void)op_add(OP_NAME, rec->nodes_count, 0);
    return rec->nodes_count++;
}

static int
recording_openat(int dir, const char *path, int flags, mode_t mode)
{
    int fd = real.openat(dir, path, flags, mode);

    if (fd >= 0 && fd < FDS_MAX)
        fd_node[fd] = (flags & O_CREAT) ? node_make(path, false) : node_find(path);
    return fd;
}

static int
recording_mkdirat(int dir, const char *path, mode_t mode)
{
    int rc = real.mkdirat(dir, path, mode);

    if (rc == 0)
        (void)node_make(path, true);
    return rc;
}

static ssize_t
recording_pwrite(int fd, const void *data, size_t len, off_t at)
{
    ssize_t done = real.pwrite(fd, data, len, at);

    if (done > 0 && fd_node[fd] >= 0)
        buf_append(&op_add(OP_WRITE, fd_node[fd], at)->data, data, (size_t)done);
    return done;
}

static int
recording_ftruncate(int fd, off_t len)
{
    int rc = real.ftruncate(fd, len);

    if (rc == 0 && fd_node[fd] >= 0)
        (void)op_add(OP_TRUNCATE, fd_node[fd], len);
    return rc;
}

static int
recording_sync(int fd)
{
    struct stat st;

    if (fsync_of_folder_fails && real.fstat(fd, &st) == 0 && S_ISDIR(st.st_mode)) {
        errno = EIO;
        return -1;
    }
    (void)op_add(OP_SYNC, fd_node[fd], 0);
    return 0;                              /* the real disk is not what is tested here */
}

/* Records what happens below ROOT from now on. */
static UNUSED void
record(struct recording *recording, const char *root)
{
    rec = recording;
    (void)snprintf(rec->root, sizeof rec->root, "%s", root);
    sys_table.openat = recording_openat;
    sys_table.mkdirat = recording_mkdirat;
    sys_table.pwrite = recording_pwrite;
    sys_table.ftruncate = recording_ftruncate;
    sys_table.fsync = recording_sync;
    sys_table.fdatasync = recording_sync;
}

static int
no_sync(int fd)
{
    return 0;
}

/* Built disks are thrown away at once: syncs would only take time. */
static UNUSED void
record_stop(void)
{
    sys_table = real;
    sys_table.fsync = no_sync;
    sys_table.fdatasync = no_sync;
}

static UNUSED void
recording_fini(struct recording *recording)
{
    for (int i = 0; i < recording->ops_count; i++)
        buf_fini(&recording->ops[i].data);
    free(recording->ops);
    memset(recording, 0, sizeof *recording);
}

/* ---- power cuts -------------------------------------------------------------------------------------------------------------- */

static uint64_t coin_seed;
static UNUSED uint64_t coin_salt;          /* of a life: other coins at the same moments */
static unsigned coin_kept;                 /* of 16: most, half or little of what was not synced survives */

/* Starts the coins of one disk. */
static UNUSED void
coins_begin(int now, int toss)
{
    coin_seed = ((uint64_t)(now * 7919 + toss) + coin_salt) * 0x9e3779b97f4a7c15ULL + 1;
    coin_kept = toss % 3 == 0 ? 8 : toss % 3 == 1 ? 1 : 15;
}

static bool
coin(void)
{
    coin_seed = coin_seed * 6364136223846793005ULL + 1442695040888963407ULL;
    return (coin_seed >> 40) % 16 < coin_kept;
}

static void
content_size(struct buf *content, size_t size)
{
    while (content->len < size)
        buf_append_byte(content, 0);
}

/* Applies OP to the bytes as programs see them. */
static void
cache_apply(struct buf *cache, const struct op *op)
{
    if (op->kind == OP_TRUNCATE) {
        content_size(cache, (size_t)op->at);
        cache->len = (size_t)op->at;
    }
    if (op->kind == OP_WRITE) {
        content_size(cache, (size_t)op->at + op->data.len);
        memcpy(cache->data + op->at, op->data.data, op->data.len);
    }
}

/* What of OP reached the disk: whole sectors, each as the cache has it after OP. */
static void
content_apply(struct buf *content, const struct op *op, const struct buf *cache)
{
    if (op->kind == OP_TRUNCATE && coin()) {
        content_size(content, (size_t)op->at);
        content->len = (size_t)op->at;
    }
    for (size_t at = (size_t)op->at / SECTOR * SECTOR; op->kind == OP_WRITE && at < (size_t)op->at + op->data.len; at += SECTOR) {
        size_t len = cache->len - at < SECTOR ? cache->len - at : SECTOR;
        if (!coin())
            continue;
        content_size(content, at + len);
        memcpy(content->data + at, cache->data + at, len);
    }
}

static UNUSED void
disk_sync(struct disk_file *files, int node, int now)
{
    if (node >= 0)
        for (int i = (int)files[node].pending_from; i < now; i++)
            if (rec->ops[i].node == node)
                cache_apply(&files[node].durable, &rec->ops[i]);
    if (node >= 0)
        files[node].pending_from = (size_t)now;
    for (int i = 0; i < rec->nodes_count; i++)  /* a folder: the names in it */
        if (files[i].exists && rec->nodes[i].parent == node && (node < 0 || rec->nodes[node].is_folder))
            files[i].name_is_durable = true;
}

/* Where disks are built: in memory when there is such a place. Thousands are made and thrown away. */
static UNUSED void
cut_choose(char out[128])
{
    const char *name = strrchr(test_folder, '/');

    if (access("/dev/shm", W_OK) == 0)
        (void)snprintf(out, 128, "/dev/shm%s-cut", name);
    else
        (void)snprintf(out, 128, "%s-cut", test_folder);
}

/* Builds the disk of NOW in CUT. */
static UNUSED void
disk_build(const struct disk_file *files, int now, const char *cut)
{
    for (int i = 0; i < rec->nodes_count; i++) {
        struct buf content = { 0 };
        struct buf cache = { 0 };
        char path[256];
        int fd;
        if (!files[i].exists || !(files[i].name_is_durable || coin()))
            continue;
        (void)snprintf(path, sizeof path, "%s%s", cut, rec->nodes[i].path + strlen(rec->root));
        if (rec->nodes[i].is_folder) {
            (void)mkdir(path, 0700);       /* its parent may be lost: then it is, too */
            continue;
        }
        buf_append_bytes(&content, buf_view(&files[i].durable));
        buf_append_bytes(&cache, buf_view(&files[i].durable));
        for (int k = (int)files[i].pending_from; k < now; k++) {
            if (rec->ops[k].node != i)
                continue;
            cache_apply(&cache, &rec->ops[k]);
            content_apply(&content, &rec->ops[k], &cache);
        }
        fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
        if (fd >= 0) {
            assert_int_equal(write(fd, content.data, content.len), content.len);
            (void)close(fd);
        }
        buf_fini(&content);
        buf_fini(&cache);
    }
}

static UNUSED void
disk_clear(const char *cut)
{
    static const char *const names[] = { "/ab/agent/db.sqlite", "/ab/agent/db.sqlite-wal", "/ab/agent", "/ab", "" };
    char path[256];

    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        (void)snprintf(path, sizeof path, "%s%s", cut, names[i]);
        if (remove(path) != 0)
            assert_int_equal(errno, ENOENT);
    }
}

/* Everything is durable: syncfs(). */
static UNUSED void
disk_sync_all(struct disk_file *files, int now)
{
    for (int i = 0; i < rec->nodes_count; i++) {
        if (!files[i].exists)
            continue;
        disk_sync(files, i, now);
        files[i].name_is_durable = true;
    }
}

static UNUSED void
disk_fini(struct disk_file *files)
{
    for (int i = 0; i < NODES_MAX; i++)
        buf_fini(&files[i].durable);
}

#endif
