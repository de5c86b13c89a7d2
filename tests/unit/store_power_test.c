/*
 * store_power_test — power cuts: what was not synced may be lost, in any part.
 *
 * A run is recorded at the door to the kernel: names made, bytes written, files cut, files and folders synced. Then, for
 * every moment of it, disks are built as a power cut could leave them: synced things are there, each other name and each other
 * 512 bytes by the toss of a coin. Oracle: on every such disk the database opens, is sound, has every acknowledged commit and
 * no commit that nobody asked for; and takes new ones. Control: with syncs ignored the same oracle must find losses.
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "lib/store/store_internal.h"
#include "lib/sys/sys.h"
#include "tests/unit/store_helper.h"

#define NODES_MAX  64
#define OPS_MAX    8192
#define FDS_MAX    256
#define SECTOR     512
#define PLAIN_ROWS 24
#define NODE_TOP   (-1)                    /* test_folder itself */
#define NODE_NONE  (-2)                    /* above or beside it */

enum op_kind { OP_NAME, OP_WRITE, OP_TRUNCATE, OP_SYNC, OP_ACK, OP_TRY };

struct op {
    enum op_kind kind;
    int          node;
    int64_t      at;                       /* OP_WRITE: offset; OP_TRUNCATE: size; OP_ACK, OP_TRY: how many */
    struct buf   data;
};

struct node {                              /* a file or folder below test_folder */
    char path[160];
    int  parent;
    bool is_folder;
};

struct disk_file {                         /* during replay */
    struct buf durable;
    size_t     pending_from;               /* ops before this one are in durable, as far as they concern this node */
    bool       exists, name_is_durable;
};

static struct sys_table real;
static struct node nodes[NODES_MAX];
static int nodes_count;
static struct op ops[OPS_MAX];
static int ops_count;
static int fd_node[FDS_MAX];
static bool fsync_of_folder_fails;

/* ---- recording ---------------------------------------------------------------------------------------------------------- */

static struct op *
op_add(enum op_kind kind, int node, int64_t at)
{
    assert_true(ops_count < OPS_MAX);
    ops[ops_count] = (struct op){ .kind = kind, .node = node, .at = at };
    return &ops[ops_count++];
}

static int
node_find(const char *path)
{
    for (int i = 0; i < nodes_count; i++)
        if (strcmp(nodes[i].path, path) == 0)
            return i;
    return strcmp(path, test_folder) == 0 ? NODE_TOP : NODE_NONE;
}

static int
node_make(const char *path, bool is_folder)
{
    int found = node_find(path);
    char parent[160];

    if (found != NODE_NONE || strncmp(path, test_folder, strlen(test_folder)) != 0)
        return found;
    (void)snprintf(parent, sizeof parent, "%s", path);
    *strrchr(parent, '/') = '\0';
    assert_true(nodes_count < NODES_MAX);
    (void)snprintf(nodes[nodes_count].path, sizeof nodes[0].path, "%s", path);
    nodes[nodes_count].is_folder = is_folder;
    nodes[nodes_count].parent = node_find(parent);
    (void)op_add(OP_NAME, nodes_count, 0);
    return nodes_count++;
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

static void
record(void)
{
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

/* ---- what is recorded ------------------------------------------------------------------------------------------------------ */

static bool
insert(struct store *store, int n, int bytes)
{
    char sql[128];

    (void)snprintf(sql, sizeof sql, "insert into t values(%d, zeroblob(%d))", n, bytes);
    return quiet(store, sql);
}

/* Checkpoints after 12 pages, so that the WAL starts over several times in a session. */
static struct store *
open_hasty(void)
{
    struct store *store = store_must_open("agent");

    (void)sqlite3_wal_autocheckpoint(store->db, 12);
    return store;
}

/* A life: a first commit whose folder sync fails, small and large turns, checkpoints at closing and on the way. */
static void
life(void)
{
    struct store *store = store_must_open("agent");
    uint64_t seq;
    struct err err;
    int n = 0;

    fsync_of_folder_fails = true;
    (void)op_add(OP_TRY, -1, 1);
    assert_true(run(store, "create table t(a integer primary key, b)"));
    assert_true(insert(store, n, 10));
    assert_false(store_commit(store, &seq, &err));
    fsync_of_folder_fails = false;
    store_close(&store);
    store = open_hasty();
    /* What was not acknowledged is there or not; here, without a power cut, it is. */
    n = run(store, "select 1 from t") ? (int)number(store, "select count(*) from t") : -1;
    assert_int_equal(n, 1);
    for (; n < PLAIN_ROWS; n++) {
        (void)op_add(OP_TRY, -1, n + 1);
        assert_true(insert(store, n, n % 7 == 0 ? 270000 : n % 3 == 0 ? 9000 : 100));
        (void)commit(store);
        (void)op_add(OP_ACK, -1, n + 1);
        if (n % 8 == 7) {
            store_close(&store);
            store = open_hasty();
        }
    }
    store_close(&store);
}

/* ---- power cuts -------------------------------------------------------------------------------------------------------------- */

static uint64_t coin_seed;
static unsigned coin_kept;                 /* of 16: most, half or little of what was not synced survives */

static bool
coin(void)
{
    coin_seed = coin_seed * 6364136223846793005ULL + 1442695040888963407ULL;
    return (coin_seed >> 40) % 16 < coin_kept;
}

static void
content_write(struct buf *content, const struct op *op, size_t from, size_t len)
{
    size_t end = (size_t)op->at + from + len;

    while (content->len < end)
        buf_append_byte(content, 0);
    memcpy(content->data + op->at + from, op->data.data + from, len);
}

/* Applies OP to CONTENT, wholly or by chance. */
static void
content_apply(struct buf *content, const struct op *op, bool is_sure)
{
    if (op->kind == OP_TRUNCATE && (is_sure || coin())) {
        while (content->len < (size_t)op->at)
            buf_append_byte(content, 0);
        content->len = (size_t)op->at;
    }
    for (size_t from = 0; op->kind == OP_WRITE && from < op->data.len; from += SECTOR) {
        size_t len = op->data.len - from < SECTOR ? op->data.len - from : SECTOR;
        if (is_sure || coin())
            content_write(content, op, from, len);
    }
}

static void
disk_sync(struct disk_file *files, int node, int now)
{
    if (node >= 0)
        for (int i = (int)files[node].pending_from; i < now; i++)
            if (ops[i].node == node)
                content_apply(&files[node].durable, &ops[i], true);
    if (node >= 0)
        files[node].pending_from = (size_t)now;
    for (int i = 0; i < nodes_count; i++)  /* a folder: the names in it */
        if (files[i].exists && nodes[i].parent == node && (node < 0 || nodes[node].is_folder))
            files[i].name_is_durable = true;
}

/* Builds the disk in a folder beside the recorded one, named CUT. */
static void
disk_build(const struct disk_file *files, int now, const char *cut)
{
    for (int i = 0; i < nodes_count; i++) {
        struct buf content = { 0 };
        char path[256];
        int fd;
        if (!files[i].exists || !(files[i].name_is_durable || coin()))
            continue;
        (void)snprintf(path, sizeof path, "%s%s", cut, nodes[i].path + strlen(test_folder));
        if (nodes[i].is_folder) {
            (void)mkdir(path, 0700);       /* its parent may be lost: then it is, too */
            continue;
        }
        buf_append_bytes(&content, buf_view(&files[i].durable));
        for (int k = (int)files[i].pending_from; k < now; k++)
            if (ops[k].node == i)
                content_apply(&content, &ops[k], false);
        fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
        if (fd >= 0) {
            assert_int_equal(write(fd, content.data, content.len), content.len);
            (void)close(fd);
        }
        buf_fini(&content);
    }
}

static void
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

/* The oracle. True: nothing acknowledged is missing, nothing else is there, and it goes on. */
static bool
disk_is_right(const char *cut, int acked, int tried)
{
    struct store *store = NULL;
    char folder[256];
    int64_t rows = 0;
    struct err err;
    bool ok;

    (void)snprintf(folder, sizeof folder, "%s/ab/agent", cut);
    if (!store_open(&store, folder, NULL, &err))
        return false;
    if (run(store, "select 1 from t"))
        rows = number(store, "select count(*) from t");
    ok = rows >= acked && rows <= tried;
    ok = ok && strstr(answer(store, "pragma quick_check"), "| ok") != NULL;
    if (ok && rows == 0)
        ok = run(store, "create table if not exists t(a integer primary key, b)");
    ok = ok && (rows == 0 || number(store, "select max(a) from t") == rows - 1);
    ok = ok && insert(store, (int)rows, 20) && commit(store) > 0;
    store_close(&store);
    if (ok) {
        ok = store_open(&store, folder, NULL, &err) && number(store, "select count(*) from t") == rows + 1;
        store_close(&store);
    }
    return ok;
}

/* Cuts the power after every recorded step, TOSSES times each. Gives how many disks were wrong. */
static int
cut_everywhere(int tosses, bool with_syncs, int *out_disks)
{
    struct disk_file files[NODES_MAX] = { 0 };
    char cut[128];
    int acked = 0;
    int tried = 0;
    int wrong = 0;

    *out_disks = 0;
    (void)snprintf(cut, sizeof cut, "%s-cut", test_folder);
    for (int now = 0; now <= ops_count; now++) {
        for (int toss = 0; toss < tosses && (now == ops_count || ops[now].kind != OP_NAME); toss++) {
            coin_seed = (uint64_t)(now * 7919 + toss) * 0x9e3779b97f4a7c15ULL + 1;
            coin_kept = toss % 3 == 0 ? 8 : toss % 3 == 1 ? 1 : 15;
            assert_int_equal(mkdir(cut, 0700), 0);
            disk_build(files, now, cut);
            if (!disk_is_right(cut, acked, tried)) {
                if (with_syncs)
                    print_error("power cut at step %d of %d, toss %d: %d acknowledged, %d tried\n", now, ops_count, toss, acked, tried);
                wrong++;
            }
            disk_clear(cut);
            ++*out_disks;
        }
        if (now == ops_count)
            break;
        if (ops[now].kind == OP_NAME)
            files[ops[now].node].exists = true;
        if (ops[now].kind == OP_SYNC && with_syncs)
            disk_sync(files, ops[now].node, now);
        if (ops[now].kind == OP_ACK)
            acked = (int)ops[now].at;
        if (ops[now].kind == OP_TRY)
            tried = (int)ops[now].at;
    }
    for (int i = 0; i < nodes_count; i++)
        buf_fini(&files[i].durable);
    return wrong;
}

static void
nothing_acknowledged_is_lost(void **state)
{
    int disks;

    record();
    life();
    sys_table = real;
    sys_table.fsync = no_sync;             /* the built disks are thrown away at once */
    sys_table.fdatasync = no_sync;
    assert_int_equal(cut_everywhere(3, true, &disks), 0);
    assert_true(disks > 300);
    print_message("%d disks after power cuts, %d steps recorded\n", disks, ops_count);
    /* The control. */
    assert_true(cut_everywhere(1, false, &disks) > 20);
    for (int i = 0; i < ops_count; i++)
        buf_fini(&ops[i].data);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_acknowledged_is_lost),
    };

    real = sys_table;
    return cmocka_run_group_tests(tests, folder_setup, folder_teardown);
}
