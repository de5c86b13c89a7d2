/* store_faults — the k-th call of one syscall fails: once, from then on, or by half. */
#ifndef DORMOUSE_TESTS_STORE_FAULTS_H
#define DORMOUSE_TESTS_STORE_FAULTS_H

#include <errno.h>

#include "lib/sys/sys.h"
#include "tests/unit/store_helper.h"

enum fault_call { FAULT_PWRITE, FAULT_FSYNC, FAULT_FDATASYNC, FAULT_FTRUNCATE, FAULT_OPEN, FAULT_MKDIR,
                  FAULT_PREAD, FAULT_FSTAT, FAULT_UNLINK, FAULT_CALLS };
static UNUSED const char *const fault_names[] = { "pwrite", "fsync", "fdatasync", "ftruncate", "open", "mkdir", "pread", "fstat", "unlink" };
enum fault_mode { FAULT_ONCE, FAULT_FROM_THEN_ON, FAULT_SHORT };

static struct sys_table real;
static struct {
    enum fault_call call;
    enum fault_mode mode;
    int             sys_errno;
    unsigned        countdown;             /* calls left until it fails; 0: it fails */
    bool            hit;
} fault;

static bool
strikes(enum fault_call call)
{
    if (fault.call != call)
        return false;
    if (fault.countdown > 0) {
        fault.countdown--;
        return false;
    }
    if (fault.hit && fault.mode != FAULT_FROM_THEN_ON)
        return false;
    fault.hit = true;
    errno = fault.sys_errno;
    return true;
}

static ssize_t
faulty_pwrite(int fd, const void *data, size_t len, off_t at)
{
    if (!strikes(FAULT_PWRITE))
        return real.pwrite(fd, data, len, at);
    if (fault.mode == FAULT_SHORT && len > 1)
        return real.pwrite(fd, data, len / 2, at);
    return -1;
}

static int
faulty_fsync(int fd)
{
    return strikes(FAULT_FSYNC) ? -1 : real.fsync(fd);
}

static int
faulty_fdatasync(int fd)
{
    return strikes(FAULT_FDATASYNC) ? -1 : real.fdatasync(fd);
}

static int
faulty_ftruncate(int fd, off_t len)
{
    return strikes(FAULT_FTRUNCATE) ? -1 : real.ftruncate(fd, len);
}

static int
faulty_openat(int dir, const char *path, int flags, mode_t mode)
{
    return strikes(FAULT_OPEN) ? -1 : real.openat(dir, path, flags, mode);
}

static int
faulty_mkdirat(int dir, const char *path, mode_t mode)
{
    return strikes(FAULT_MKDIR) ? -1 : real.mkdirat(dir, path, mode);
}

static ssize_t
faulty_pread(int fd, void *data, size_t len, off_t at)
{
    if (!strikes(FAULT_PREAD))
        return real.pread(fd, data, len, at);
    if (fault.mode == FAULT_SHORT && len > 1)
        return real.pread(fd, data, len / 2, at);
    return -1;
}

static int
faulty_fstat(int fd, struct stat *out)
{
    return strikes(FAULT_FSTAT) ? -1 : real.fstat(fd, out);
}

static int
faulty_unlinkat(int dir, const char *path, int flags)
{
    return strikes(FAULT_UNLINK) ? -1 : real.unlinkat(dir, path, flags);
}

static UNUSED void
faults_arm(enum fault_call call, enum fault_mode mode, int sys_errno, unsigned k)
{
    assert_true(call < FAULT_CALLS);
    fault.call = call;
    fault.mode = mode;
    fault.sys_errno = sys_errno;
    fault.countdown = k;
    fault.hit = false;
    sys_table.pwrite = faulty_pwrite;
    sys_table.fsync = faulty_fsync;
    sys_table.fdatasync = faulty_fdatasync;
    sys_table.ftruncate = faulty_ftruncate;
    sys_table.openat = faulty_openat;
    sys_table.mkdirat = faulty_mkdirat;
    sys_table.pread = faulty_pread;
    sys_table.fstat = faulty_fstat;
    sys_table.unlinkat = faulty_unlinkat;
}

#endif
