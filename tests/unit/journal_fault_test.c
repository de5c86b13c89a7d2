/*
 * journal_fault_test — the k-th call of each syscall fails, for every k until a run is left in peace; a kill at every such moment.
 *
 * Oracle: what was said to be durable is there after a restart with a working disk, with the contents it had then; what was refused is not;
 * numbers have no holes. Then the same journal takes commits. Control: a disk that only pretends to write must be found out.
 */
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

#include "tests/unit/journal_rig.h"

#define AGENTS 3
#define ROUNDS 14

enum call { CALL_PWRITE, CALL_SHORT, CALL_FSYNC, CALL_FDATASYNC, CALL_FTRUNCATE, CALL_FALLOCATE, CALL_OPEN, CALL_UNLINK, CALL_PREAD, CALL_FSTAT, CALLS };

static const char *const call_names[] = { "pwrite", "short pwrite", "fsync", "fdatasync", "ftruncate", "fallocate", "openat", "unlinkat", "pread", "fstat" };

static struct sys_table real;
static struct {
    enum call call;
    int       sys_errno;
    bool      is_forever;                  /* from then on; else once */
    unsigned  countdown;
    bool      hit;
    bool      is_lying;                    /* pwrite says that it wrote, and did not: the control */
} fault;

static char folder[64];

static bool
strikes(enum call call)
{
    if (fault.call != call || (fault.hit && !fault.is_forever))
        return false;
    if (!fault.hit && fault.countdown > 0) {
        fault.countdown--;
        return false;
    }
    fault.hit = true;
    errno = fault.sys_errno;
    return true;
}

static ssize_t
faulty_pwrite(int fd, const void *data, size_t len, off_t at)
{
    if (strikes(CALL_PWRITE))
        return fault.is_lying ? (ssize_t)len : -1;
    if (strikes(CALL_SHORT)) {             /* half of it is written before the disk fails */
        (void)real.pwrite(fd, data, len / 2, at);
        return -1;
    }
    return real.pwrite(fd, data, len, at);
}

/* Real ones cost time and prove nothing here: journal_power_test is about them. */
static int faulty_fsync(int fd) { return strikes(CALL_FSYNC) ? -1 : 0; }
static int faulty_fdatasync(int fd) { return strikes(CALL_FDATASYNC) ? -1 : 0; }
static int faulty_ftruncate(int fd, off_t len) { return strikes(CALL_FTRUNCATE) ? -1 : real.ftruncate(fd, len); }
static int faulty_fallocate(int fd, int mode, off_t at, off_t len) { return strikes(CALL_FALLOCATE) ? -1 : real.fallocate(fd, mode, at, len); }
static int faulty_openat(int dir, const char *path, int flags, mode_t mode) { return strikes(CALL_OPEN) ? -1 : real.openat(dir, path, flags, mode); }
static int faulty_unlinkat(int dir, const char *path, int flags) { return strikes(CALL_UNLINK) ? -1 : real.unlinkat(dir, path, flags); }
static ssize_t faulty_pread(int fd, void *data, size_t len, off_t at) { return strikes(CALL_PREAD) ? -1 : real.pread(fd, data, len, at); }
static int faulty_fstat(int fd, struct stat *out) { return strikes(CALL_FSTAT) ? -1 : real.fstat(fd, out); }

static void
disk_fails(enum call call, int sys_errno, bool is_forever, unsigned k)
{
    fault.call = call;
    fault.sys_errno = sys_errno;
    fault.is_forever = is_forever;
    fault.countdown = k;
    fault.hit = false;
}

static void
disk_works(void)
{
    fault.call = CALLS;
}

/* ---- the model ---------------------------------------------------------------------------------------------------------- */

struct model {
    uint64_t durable[AGENTS], forgotten[AGENTS];
    uint8_t  fill[AGENTS][256];            /* of each durable commit */
    unsigned refusals, deaths;
};

static uint8_t next_fill;

static void
folder_make(void)
{
    (void)snprintf(folder, sizeof folder, "/tmp/dormouse-fault-XXXXXX");
    assert_non_null(mkdtemp(folder));
}

static void
folder_remove(void)
{
    char command[96];

    (void)snprintf(command, sizeof command, "rm -rf '%s'", folder);
    assert_int_equal(system(command), 0);
}

/* One batch: two agents' commits. False: the process must end. */
static bool
round_run(struct rig *rig, struct model *model, unsigned round)
{
    uint64_t seq[AGENTS];
    uint8_t fill[AGENTS] = { 0 };
    struct err err = { 0 };
    enum log_outcome outcome;

    memcpy(seq, model->durable, sizeof seq);
    for (unsigned i = 0; i < 2; i++) {
        const unsigned n = (round + i) % AGENTS;

        fill[n] = ++next_fill;
        rig_commit(rig, n + 1, ++seq[n], 0, fill[n], 900);
    }
    outcome = rig_flush(rig, &err);
    if (outcome == LOG_DURABLE) {
        for (unsigned n = 0; n < AGENTS; n++)
            if (seq[n] > model->durable[n])
                model->fill[n][seq[n]] = fill[n];
        memcpy(model->durable, seq, sizeof seq);
        return true;
    }
    assert_true(err.code == ERR_DISK_FULL || err.code == ERR_IO);
    assert_true(strstr(err.message, "journal segment") != NULL);
    model->refusals++;
    model->deaths += outcome == LOG_DEAD;
    return outcome != LOG_DEAD;
}

static void
forget(struct rig *rig, struct model *model, unsigned n)
{
    rig_forget(rig, n + 1);
    model->forgotten[n] = model->durable[n];
}

/* Everything that was durable is there, and nothing else. */
static bool
check(struct rig *rig, const struct model *model)
{
    static struct rig_kept kept;
    bool ok = true;

    for (unsigned n = 0; n < AGENTS; n++) {
        rig_recall(rig, n + 1, &kept);
        ok = ok && kept.is_ok;
        if (kept.count == 0) {
            ok = ok && model->forgotten[n] == model->durable[n];
            continue;
        }
        /* What is forgotten may come back as long as its segment is there; nothing beyond it may be missing. */
        ok = ok && kept.seq[0] <= model->forgotten[n] + 1 && kept.seq[kept.count - 1] == model->durable[n];
        for (size_t i = 0; ok && i < kept.count; i++)
            ok = kept.seq[i] == kept.seq[0] + i && kept.fill[i] == model->fill[n][kept.seq[i]];
    }
    return ok;
}

/* A run with the fault in it, then a kill, then a restart with a working disk. False: the oracle found a loss. */
static bool
run(struct model *model)
{
    struct rig rig = { 0 };
    struct err err = { 0 };
    bool ok = true;

    *model = (struct model){ 0 };
    folder_make();
    for (unsigned round = 0; round < ROUNDS; round++) {
        if (rig.core == NULL && !rig_open(&rig, folder, &err))
            continue;                      /* the next round tries again, as the supervisor does */
        if (!round_run(&rig, model, round))
            rig_close(&rig);
        else if (round == 8 || round == 11)
            forget(&rig, model, round == 8 ? 0 : 1);
        else if (round == 10)
            rig_close(&rig);               /* a kill in the middle */
    }
    rig_close(&rig);
    disk_works();
    for (int i = 0; i < 2 && ok; i++) {
        err = (struct err){ 0 };
        if (!rig_open(&rig, folder, &err))
            fail_msg("%s", err.message);
        ok = check(&rig, model);
        if (ok)
            assert_true(round_run(&rig, model, 20u + (unsigned)i) && model->durable[(20 + i) % AGENTS] > 0);
        ok = ok && check(&rig, model);
        rig_close(&rig);
    }
    folder_remove();
    return ok;
}

/* ---- tests --------------------------------------------------------------------------------------------------------------- */

static void
every_call_fails_once_and_for_good(void **state)
{
    static const int errnos[] = { EIO, ENOSPC };

    for (int call = 0; call < CALLS; call++) {
        unsigned runs = 0, refusals = 0;

        for (int mode = 0; mode < 4; mode++) {
            struct model model;

            for (unsigned k = 0;; k++, runs++) {
                disk_fails((enum call)call, errnos[mode % 2], mode >= 2, k);
                if (!run(&model))
                    fail_msg("%s number %u, errno %d, %s: a commit is lost or came back", call_names[call], k, errnos[mode % 2], mode >= 2 ? "for good" : "once");
                refusals += model.refusals;
                if (fault.countdown > 0)
                    break;                 /* the run had fewer of them */
            }
        }
        assert_true(runs >= 4);            /* the call is made, so that this proves something */
        if (call == CALL_PWRITE || call == CALL_FDATASYNC || call == CALL_FALLOCATE)
            assert_true(refusals > 0);
    }
}

static void
a_full_disk_refuses_and_heals(void **state)
{
    struct rig rig;
    struct model model = { 0 };
    struct err err = { 0 };

    folder_make();
    disk_works();
    assert_true(rig_open(&rig, folder, &err));
    assert_true(round_run(&rig, &model, 0));
    disk_fails(CALL_PWRITE, ENOSPC, true, 0);
    for (unsigned round = 1; round < 4; round++)
        assert_true(round_run(&rig, &model, round));
    assert_int_equal(model.refusals, 3);
    assert_true(check(&rig, &model));
    disk_works();
    assert_true(round_run(&rig, &model, 1));
    assert_int_equal(model.refusals, 3);
    assert_true(check(&rig, &model));
    rig_close(&rig);
    folder_remove();
}

static unsigned fdatasyncs_of[256];
static int failed_fd = -1;

static int
counting_fdatasync(int fd)
{
    fdatasyncs_of[fd]++;
    if (strikes(CALL_FDATASYNC)) {
        failed_fd = fd;
        return -1;
    }
    return 0;
}

static void
a_handle_whose_sync_failed_is_never_synced_again(void **state)
{
    struct rig rig;
    struct model model = { 0 };
    struct err err = { 0 };
    unsigned before;

    folder_make();
    disk_works();
    sys_table.fdatasync = counting_fdatasync;
    assert_true(rig_open(&rig, folder, &err));
    assert_true(round_run(&rig, &model, 0));
    disk_fails(CALL_FDATASYNC, EIO, false, 0);
    assert_true(round_run(&rig, &model, 1));
    assert_int_equal(model.refusals, 1);
    assert_true(failed_fd >= 0);
    before = fdatasyncs_of[failed_fd];
    for (unsigned round = 2; round < 8; round++)
        assert_true(round_run(&rig, &model, round));
    assert_int_equal(model.refusals, 1);
    assert_int_equal(fdatasyncs_of[failed_fd], before);
    assert_true(check(&rig, &model));
    disk_fails(CALL_FDATASYNC, EIO, true, 0);
    assert_false(round_run(&rig, &model, 2));      /* and no new segment can be begun: the process must end */
    assert_int_equal(model.deaths, 1);
    disk_works();
    rig_close(&rig);
    assert_true(rig_open(&rig, folder, &err));
    assert_true(check(&rig, &model));
    rig_close(&rig);
    sys_table.fdatasync = faulty_fdatasync;
    folder_remove();
}

static void
a_disk_that_only_pretends_is_found_out(void **state)
{
    struct model model;
    unsigned found = 0;

    fault.is_lying = true;
    for (unsigned k = 1; k < 8; k++) {
        disk_fails(CALL_PWRITE, 0, false, k);
        found += !run(&model);
    }
    fault.is_lying = false;
    assert_true(found > 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_call_fails_once_and_for_good),
        cmocka_unit_test(a_full_disk_refuses_and_heals),
        cmocka_unit_test(a_handle_whose_sync_failed_is_never_synced_again),
        cmocka_unit_test(a_disk_that_only_pretends_is_found_out),
    };

    real = sys_table;
    sys_table.pwrite = faulty_pwrite;
    sys_table.fsync = faulty_fsync;
    sys_table.fdatasync = faulty_fdatasync;
    sys_table.ftruncate = faulty_ftruncate;
    sys_table.fallocate = faulty_fallocate;
    sys_table.openat = faulty_openat;
    sys_table.unlinkat = faulty_unlinkat;
    sys_table.pread = faulty_pread;
    sys_table.fstat = faulty_fstat;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
