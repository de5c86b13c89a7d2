/*
 * journal_power_test — power cuts: what was not synced may be lost, in any part.
 *
 * A run is recorded at the door to the kernel: files made and deleted, bytes written, files cut and reserved, files and the folder synced.
 * Then, for every moment of it, disks are built as a power cut could leave them: synced things are there, every other name, deletion, length and
 * 512 bytes by the toss of a coin. Oracle: on each such disk the journal starts, every agent is whole and has at least what was said to be
 * durable, with its contents; and it takes more; also when the power is cut again while it starts on such a disk. Controls: with syncs
 * ignored, or those of the folder only, the same oracle finds losses.
 *   journal_power_test [DISKS [SEED]]     so many disks at least (make crash-images)
 */
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/journal_rig.h"

#define AGENTS    3
#define ROUNDS    26
#define FILES_MAX 32
#define OPS_MAX   2048
#define FDS_MAX   256
#define DISKS_MIN 2000
#define SEED      7
#define AGAIN_OF  4                        /* every so manieth disk is cut twice */
#define SECTOR    512
#define NODE_NONE   (-1)
#define NODE_FOLDER (-2)

enum op_kind { OP_MAKE, OP_DELETE, OP_WRITE, OP_SIZE, OP_SYNC, OP_ACK };

struct model {
    uint64_t durable[AGENTS], forgotten[AGENTS];
    uint8_t  fill[AGENTS][128];
};

struct op {
    enum op_kind  kind;
    int           file;                    /* or NODE_FOLDER */
    int64_t       at;                      /* OP_WRITE: offset; OP_SIZE: the new one */
    bool          only_grows;              /* OP_SIZE: fallocate */
    struct buf    data;
    struct model *model;                   /* OP_ACK */
};

static struct sys_table real;
static char folder[64];                    /* where the run is */
static char disk[64];                      /* where disks are built */
struct recording {
    char      names[FILES_MAX][SEGMENT_NAME_BYTES];
    int       names_count;
    struct op ops[OPS_MAX];
    int       ops_count;
};

static struct recording run, again;        /* the second: what a start does on a disk of the first */
static struct recording *rec = &run;
static int disks_wanted = DISKS_MIN;
static uint32_t first_seed = SEED;
static int fd_node[FDS_MAX];
static bool is_recording;
static bool is_killed_in_sync;             /* the next sync of a file finds its process dead: nothing that follows has any effect */
static bool is_dead;
static int fail_sync_in;                   /* so many syncs of files later one fails; -1: none */

/* ---- recording ---------------------------------------------------------------------------------------------------------- */

static struct op *
op_add(enum op_kind kind, int file, int64_t at)
{
    assert_true(rec->ops_count < OPS_MAX);
    rec->ops[rec->ops_count] = (struct op){ .kind = kind, .file = file, .at = at };
    return &rec->ops[rec->ops_count++];
}

static int
file_find(const char *name)
{
    for (int i = 0; i < rec->names_count; i++)
        if (strcmp(rec->names[i], name) == 0)
            return i;
    return NODE_NONE;
}

static int
recording_openat(int dir, const char *path, int flags, mode_t mode)
{
    int fd = is_dead ? -1 : real.openat(dir, path, flags, mode);

    if (!is_recording || fd < 0)
        return fd;
    assert_true(fd < FDS_MAX);
    fd_node[fd] = strcmp(path, ".") == 0 || strcmp(path, folder) == 0 || strcmp(path, disk) == 0 ? NODE_FOLDER : file_find(path);
    if ((flags & O_CREAT) != 0) {
        assert_true(rec->names_count < FILES_MAX);
        assert_int_equal(fd_node[fd], NODE_NONE);
        (void)snprintf(rec->names[rec->names_count], sizeof rec->names[0], "%s", path);
        fd_node[fd] = rec->names_count++;
        (void)op_add(OP_MAKE, fd_node[fd], 0);
    }
    return fd;
}

static ssize_t
recording_pwrite(int fd, const void *data, size_t len, off_t at)
{
    ssize_t done = real.pwrite(fd, data, len, at);

    if (is_recording && done > 0 && fd_node[fd] >= 0)
        buf_append(&op_add(OP_WRITE, fd_node[fd], at)->data, data, (size_t)done);
    return done;
}

static int
recording_ftruncate(int fd, off_t len)
{
    if (is_dead)
        return -1;
    if (is_recording && fd_node[fd] >= 0)
        (void)op_add(OP_SIZE, fd_node[fd], len);
    return real.ftruncate(fd, len);
}

static int
recording_fallocate(int fd, int mode, off_t at, off_t len)
{
    if (is_recording && fd_node[fd] >= 0)
        op_add(OP_SIZE, fd_node[fd], at + len)->only_grows = true;
    return real.fallocate(fd, mode, at, len);
}

static int
recording_unlinkat(int dir, const char *path, int flags)
{
    int rc = real.unlinkat(dir, path, flags);

    if (is_recording && rc == 0)
        (void)op_add(OP_DELETE, file_find(path), 0);
    return rc;
}

/* Only ever away from what counts. */
static int
recording_renameat(int dir, const char *from, int to_dir, const char *to)
{
    int rc = real.renameat(dir, from, to_dir, to);

    if (is_recording && rc == 0)
        (void)op_add(OP_DELETE, file_find(from), 0);
    return rc;
}

/* No real sync is needed: the machine stays on. */
static int
recording_sync(int fd)
{
    if (!is_recording)
        return 0;
    if (fd_node[fd] >= 0 && is_killed_in_sync) {
        is_killed_in_sync = false;
        is_dead = true;
    }
    if (is_dead)
        return -1;
    if (fd_node[fd] >= 0 && fail_sync_in >= 0 && fail_sync_in-- == 0) {
        errno = EIO;                       /* what was to be synced is on the disk or not: coins decide */
        return -1;
    }
    (void)op_add(OP_SYNC, fd_node[fd], 0);
    return 0;
}

static void
ack(const struct model *model)
{
    struct op *op = op_add(OP_ACK, NODE_NONE, 0);

    op->model = malloc(sizeof *model);
    assert_non_null(op->model);
    *op->model = *model;
}

/* ---- the run -------------------------------------------------------------------------------------------------------------- */

static void
commit_some(struct rig *rig, struct model *model, unsigned round)
{
    struct model next = *model;
    struct err err = { 0 };
    static uint8_t fill;

    for (unsigned i = 0; i < 2; i++) {
        const unsigned n = (round + i) % AGENTS;
        const uint64_t seq = ++next.durable[n];

        next.fill[n][seq] = ++fill;
        if (round % 4 == 0)
            rig_commit(rig, n + 1, seq, COMMIT_MORE, fill, 300);
        rig_commit(rig, n + 1, seq, 0, fill, 700);
    }
    if (rig_flush(rig, &err) != LOG_DURABLE)
        return;
    *model = next;
    ack(model);
}

/* The kernel gives up on the last write: it is in memory, as if it were clean, and never on the disk. */
static void
last_write_is_lost(void)
{
    int i = rec->ops_count;

    while (i > 0 && rec->ops[i - 1].kind != OP_WRITE)
        i--;
    assert_true(i > 0);
    rec->ops[i - 1].file = NODE_NONE;
}

enum kill { KILL_BEFORE_SYNC, KILL_AFTER_FAILED_SYNC };

/* A kill between the write of a batch and the end of its sync. The next start finds the batch, and what it found counts as durable. */
static void
kill_in_sync(struct rig *rig, struct model *model, unsigned round, enum kill kill)
{
    static struct rig_kept kept;
    struct err err = { 0 };
    uint64_t found = 0;

    is_killed_in_sync = true;
    commit_some(rig, model, round);
    rig_close(rig);
    is_dead = false;
    if (kill == KILL_AFTER_FAILED_SYNC)
        last_write_is_lost();
    assert_true(rig_open(rig, folder, &err));
    for (unsigned n = 0; n < AGENTS; n++) {
        rig_recall(rig, n + 1, &kept);
        for (size_t i = 0; i < kept.count; i++) {
            found += kept.seq[i] > model->durable[n];
            model->fill[n][kept.seq[i]] = kept.fill[i];
        }
        if (kept.count > 0)
            model->durable[n] = kept.seq[kept.count - 1];
    }
    assert_true(found > 0);
    ack(model);
}

static void
run_record(void)
{
    struct rig rig;
    struct model model = { 0 };
    struct err err = { 0 };

    is_recording = true;
    assert_true(rig_open(&rig, folder, &err));
    for (unsigned round = 0; round < ROUNDS; round++) {
        fail_sync_in = round == 5 || round == 17 ? 0 : -1;
        commit_some(&rig, &model, round);
        if (round % 6 == 4) {
            const unsigned n = round / 6 % AGENTS;

            model.forgotten[n] = model.durable[n];     /* from here on it may be missing */
            ack(&model);
            rig_forget(&rig, n + 1);
        }
        if (round == 12 || round == 22)                /* copied forward, so that old segments go */
            for (unsigned n = 0; n < AGENTS; n++)
                rig_carry(&rig, n + 1);
        if (round == 8 || round == 15)
            kill_in_sync(&rig, &model, round + 1, round == 8 ? KILL_BEFORE_SYNC : KILL_AFTER_FAILED_SYNC);
        if (round == 9 || round == 18) {               /* a kill */
            rig_close(&rig);
            assert_true(rig_open(&rig, folder, &err));
        }
    }
    rig_close(&rig);
    is_recording = false;
}

/* ---- disks ------------------------------------------------------------------------------------------------------------------ */

static uint32_t seed;

static uint32_t
next_random(void)
{
    seed = seed * 1664525u + 1013904223u;
    return seed >> 16;
}

static bool
coin(void)
{
    return (next_random() & 1) != 0;
}

enum syncs { SYNCS_WORK, SYNCS_OF_FILES_ONLY, SYNCS_IGNORED };

/* The last sync of NODE before op END, by its index; -1: none. */
static int
last_sync(int node, int end, enum syncs syncs)
{
    if (syncs == SYNCS_IGNORED || (syncs == SYNCS_OF_FILES_ONLY && node == NODE_FOLDER))
        return -1;
    while (--end >= 0)
        if (rec->ops[end].kind == OP_SYNC && rec->ops[end].file == node)
            return end;
    return -1;
}

static bool
file_exists(int file, int end, enum syncs syncs)
{
    const int synced = last_sync(NODE_FOLDER, end, syncs);
    bool exists = false;

    for (int i = 0; i < end; i++) {
        if (rec->ops[i].file != file || (rec->ops[i].kind != OP_MAKE && rec->ops[i].kind != OP_DELETE))
            continue;
        if (i < synced || coin())
            exists = rec->ops[i].kind == OP_MAKE;
    }
    return exists;
}

static void
size_set(struct buf *content, const struct op *op)
{
    const size_t size = (size_t)op->at;

    if (size > content->len) {
        const size_t before = content->len;

        buf_reserve(content, size - before);
        memset(content->data + before, 0, size - before);
        content->len = size;
    } else if (!op->only_grows) {
        content->len = size;
    }
}

static void
write_some(struct buf *content, const struct op *op, bool is_whole)
{
    const size_t from = (size_t)op->at, to = from + op->data.len;

    for (size_t at = from; at < to;) {
        const size_t end = (at / SECTOR + 1) * SECTOR < to ? (at / SECTOR + 1) * SECTOR : to;

        if (is_whole || coin()) {
            if (content->len < end)
                size_set(content, &(struct op){ .at = (int64_t)end });
            memcpy(content->data + at, op->data.data + (at - from), end - at);
        }
        at = end;
    }
}

static void
file_build(int file, int end, enum syncs syncs)
{
    const int synced = last_sync(file, end, syncs);
    struct buf content = { 0 };
    char path[128];
    int fd;

    for (int i = 0; i < end; i++) {
        if (rec->ops[i].file != file)
            continue;
        if (rec->ops[i].kind == OP_SIZE && (i < synced || coin()))
            size_set(&content, &rec->ops[i]);
        if (rec->ops[i].kind == OP_WRITE)
            write_some(&content, &rec->ops[i], i < synced);
    }
    (void)snprintf(path, sizeof path, "%.63s/%.23s", disk, rec->names[file]);
    fd = sys_open(path, O_CREAT | O_TRUNC | O_RDWR, 0600);
    assert_true(fd >= 0);
    assert_true(sys_pwrite_all(fd, content.data, content.len, 0));
    sys_close(fd);
    buf_fini(&content);
}

static void
disk_clear(void)
{
    static const char *const forms[] = { "%s/%016x.seg", "%s/%016x.seg.bad" };
    char path[128];

    for (unsigned number = 1; number < 2 * FILES_MAX; number++) {
        for (int i = 0; i < 2; i++) {
            (void)snprintf(path, sizeof path, i == 0 ? forms[0] : forms[1], disk, number);
            (void)sys_unlinkat(AT_FDCWD, path, 0);     /* most are not there */
        }
    }
}

static bool
is_as_promised(struct rig *rig, const struct model *model)
{
    static struct rig_kept kept;

    for (unsigned n = 0; n < AGENTS; n++) {
        uint64_t seq = 0;

        rig_recall(rig, n + 1, &kept);
        if (!kept.is_ok)
            return false;
        if (kept.count == 0 && model->forgotten[n] != model->durable[n])
            return false;
        if (kept.count > 0 && (kept.seq[0] > model->forgotten[n] + 1 || kept.seq[kept.count - 1] < model->durable[n]))
            return false;
        for (size_t i = 0; i < kept.count; i++) {
            if (seq != 0 && kept.seq[i] != seq && kept.seq[i] != seq + 1)
                return false;
            seq = kept.seq[i];
            if (seq <= model->durable[n] && kept.fill[i] != model->fill[n][seq])
                return false;
        }
    }
    return true;
}

/* A disk as a cut at op END of the present recording could leave it. */
static void
disk_build(int end, enum syncs syncs)
{
    disk_clear();
    for (int file = 0; file < rec->names_count; file++)
        if (file_exists(file, end, syncs))
            file_build(file, end, syncs);
}

static void
recording_fini(struct recording *recording)
{
    for (int i = 0; i < recording->ops_count; i++) {
        buf_fini(&recording->ops[i].data);
        free(recording->ops[i].model);
    }
    recording->ops_count = recording->names_count = 0;
}

/* The disk that is built now is what the second recording begins with, all of it durable. */
static void
recording_begin_here(void)
{
    rec = &again;
    for (int i = 0; i < run.names_count; i++) {
        const int file = rec->names_count;
        char path[128];
        struct stat st;
        struct op *op;
        int fd;

        (void)snprintf(path, sizeof path, "%.63s/%.23s", disk, run.names[i]);
        fd = sys_open(path, O_RDONLY, 0);
        if (fd < 0)
            continue;
        assert_int_equal(fstat(fd, &st), 0);
        memcpy(rec->names[rec->names_count++], run.names[i], sizeof run.names[i]);
        (void)op_add(OP_MAKE, file, 0);
        op = op_add(OP_WRITE, file, 0);
        buf_reserve(&op->data, (size_t)st.st_size + 1);
        assert_int_equal(read(fd, op->data.data, (size_t)st.st_size), st.st_size);
        op->data.len = (size_t)st.st_size;
        (void)op_add(OP_SYNC, file, 0);
        (void)sys_close(fd);
    }
    (void)op_add(OP_SYNC, NODE_FOLDER, 0);
}

/* The journal starts on the disk that is built now and writes a little, and the power goes again: anywhere in there. */
static bool
cut_again(void)
{
    struct rig rig = { 0 };
    struct err err = { 0 };
    int first, end;
    bool ok;

    recording_begin_here();
    first = rec->ops_count;
    is_recording = true;
    ok = rig_open(&rig, disk, &err);
    if (ok) {
        rig_commit(&rig, 9, 1, 0, 9, 100);
        ok = rig_flush(&rig, &err) == LOG_DURABLE;
    }
    rig_close(&rig);
    is_recording = false;
    end = first + (int)(next_random() % (uint32_t)(rec->ops_count - first + 1));
    disk_build(end, SYNCS_WORK);
    recording_fini(&again);
    rec = &run;
    return ok;
}

struct tally {
    int disks, again, lost;
};

static bool
cut_is_survived(int end, enum syncs syncs, bool is_cut_again)
{
    struct model model = { 0 };
    struct rig rig = { 0 };
    struct err err = { 0 };
    bool ok;

    for (int i = 0; i < end; i++)
        if (rec->ops[i].kind == OP_ACK)
            model = *rec->ops[i].model;
    disk_build(end, syncs);
    ok = !is_cut_again || cut_again();
    ok = ok && rig_open(&rig, disk, &err) && is_as_promised(&rig, &model);
    if (ok) {                              /* it goes on, and a second start finds the same */
        rig_commit(&rig, 10, 1, 0, 9, 100);
        ok = rig_flush(&rig, &err) == LOG_DURABLE;
        rig_close(&rig);
        ok = ok && rig_open(&rig, disk, &err) && is_as_promised(&rig, &model);
    }
    rig_close(&rig);
    return ok;
}

static void
cut_everywhere(enum syncs syncs, int step, int tosses, struct tally *tally)
{
    for (int end = 0; end <= rec->ops_count; end += step) {
        for (int toss = 0; toss < tosses; toss++) {
            const bool is_cut_again = syncs == SYNCS_WORK && toss % AGAIN_OF == AGAIN_OF - 1;

            tally->lost += !cut_is_survived(end, syncs, is_cut_again);
            tally->disks++;
            tally->again += is_cut_again;
        }
    }
}

static unsigned
deletions(void)
{
    unsigned count = 0;

    for (int i = 0; i < rec->ops_count; i++)
        count += rec->ops[i].kind == OP_DELETE;
    return count;
}

static void
nothing_durable_is_lost_by_a_power_cut(void **state)
{
    struct tally tally = { 0 };

    assert_true(deletions() > 3);          /* so that their order is tried, too */
    seed = first_seed;
    while (tally.disks < disks_wanted)
        cut_everywhere(SYNCS_WORK, 1, 2 * AGAIN_OF, &tally);
    print_message("%d disks after power cuts, %d of them cut twice, %d steps recorded: %d are wrong\n", tally.disks, tally.again, rec->ops_count, tally.lost);
    assert_int_equal(tally.lost, 0);
}

static void
the_oracle_finds_what_missing_syncs_lose(void **state)
{
    struct tally ignored = { 0 }, files_only = { 0 };

    seed = first_seed;
    cut_everywhere(SYNCS_IGNORED, 5, 2, &ignored);
    cut_everywhere(SYNCS_OF_FILES_ONLY, 5, 2, &files_only);
    assert_true(ignored.lost > 10);
    assert_true(files_only.lost > 10);
}

static int
group_setup(void **state)
{
    (void)snprintf(folder, sizeof folder, "/tmp/dormouse-power-XXXXXX");
    (void)snprintf(disk, sizeof disk, "/tmp/dormouse-disk-XXXXXX");
    if (mkdtemp(folder) == NULL || mkdtemp(disk) == NULL)
        return -1;
    real = sys_table;
    sys_table.openat = recording_openat;
    sys_table.pwrite = recording_pwrite;
    sys_table.ftruncate = recording_ftruncate;
    sys_table.fallocate = recording_fallocate;
    sys_table.unlinkat = recording_unlinkat;
    sys_table.renameat = recording_renameat;
    sys_table.fsync = sys_table.fdatasync = recording_sync;
    run_record();
    return rec->ops_count > 100 ? 0 : -1;
}

static int
group_teardown(void **state)
{
    char command[160];

    recording_fini(&run);
    (void)snprintf(command, sizeof command, "rm -rf '%s' '%s'", folder, disk);
    return system(command);
}

int
main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_durable_is_lost_by_a_power_cut),
        cmocka_unit_test(the_oracle_finds_what_missing_syncs_lose),
    };

    disks_wanted = argc > 1 ? (int)strtol(argv[1], NULL, 10) : DISKS_MIN;
    first_seed = argc > 2 ? (uint32_t)strtoul(argv[2], NULL, 10) : SEED;
    return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
