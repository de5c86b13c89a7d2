/*
 * sys — see sys.h. The kernel's own behaviour is below, in the functions named kernel_*; the doors call the table.
 *
 * Threads: the table is written by tests only, before they start threads.
 */
#include "lib/sys/sys.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/openat2.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h> /* renameat */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static int
kernel_openat(int dir, const char *path, int flags, mode_t mode)
{
    return openat(dir, path, flags, mode);
}

static int
kernel_fstatat(int dir, const char *path, struct stat *out, int flags)
{
    return fstatat(dir, path, out, flags);
}

static int
kernel_fstat(int fd, struct stat *out)
{
    return fstat(fd, out);
}

static int64_t
kernel_clock_us(clockid_t id)
{
    struct timespec now;
    int rc = clock_gettime(id, &now);

    assert(rc == 0); /* the three clocks below always exist on Linux */
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static int64_t
kernel_clock_wall_us(void)
{
    return kernel_clock_us(CLOCK_REALTIME);
}

static int64_t
kernel_clock_mono_us(void)
{
    return kernel_clock_us(CLOCK_MONOTONIC);
}

static int64_t
kernel_clock_cpu_us(void)
{
    return kernel_clock_us(CLOCK_THREAD_CPUTIME_ID);
}

static int
kernel_random(void *out, size_t len)
{
    uint8_t *at = out;

    while (len > 0) {
        ssize_t got = getrandom(at, len, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return -1;
        at += got;
        len -= (size_t)got;
    }
    return 0;
}

/* One component of a path below DIR, never through a link. */
static int
open_component(int dir, const char *name, size_t len, int flags, mode_t mode)
{
    char component[NAME_MAX + 1];

    if (len > NAME_MAX) {
        errno = ENAMETOOLONG;
        return -1;
    }
    memcpy(component, name, len);
    component[len] = '\0';
    if (strcmp(component, "..") == 0) {
        errno = EXDEV;
        return -1;
    }
    return openat(dir, component, flags | O_NOFOLLOW | O_CLOEXEC, mode);
}

/* openat2 for kernels that lack it: component by component. */
static int
walk_beneath(int dir, const char *path, int flags, mode_t mode)
{
    int at = dir;

    if (path[0] == '/') {
        errno = EXDEV;
        return -1;
    }
    for (;;) {
        size_t len = strcspn(path, "/");
        const char *rest = path + len + strspn(path + len, "/");
        bool is_last = *rest == '\0';
        int next = open_component(at, path, len, is_last ? flags : O_PATH | O_DIRECTORY, mode);
        int saved = errno;
        if (at != dir)
            (void)close(at); /* an O_PATH descriptor has nothing to lose */
        errno = saved;
        if (next < 0 || is_last)
            return next;
        at = next;
        path = rest;
    }
}

static int
kernel_open_beneath(int dir, const char *path, int flags, mode_t mode)
{
    struct open_how how = {
        .flags = (uint64_t)(unsigned)flags | O_CLOEXEC,
        .mode = (flags & (O_CREAT | O_TMPFILE)) != 0 ? mode : 0,
        .resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS,
    };
    long fd = syscall(SYS_openat2, dir, path, &how, sizeof how);

    if (fd < 0 && errno == ENOSYS)
        return walk_beneath(dir, path, flags, mode);
    return (int)fd;
}

static int
kernel_lock(int fd, off_t at, off_t len)
{
    struct flock lock = { .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = at, .l_len = len };

    return fcntl(fd, F_OFD_SETLK, &lock);
}

static int
kernel_is_readable(int fd)
{
    struct pollfd pollfd = { .fd = fd, .events = POLLIN };

    return poll(&pollfd, 1, 0);
}

static void
kernel_yield(void)
{
    (void)sched_yield(); /* cannot fail on Linux */
}

static int
kernel_processors(void)
{
    cpu_set_t set;

    /* On a machine with more than the set holds it fails: those are many. */
    return sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : CPU_SETSIZE;
}

struct sys_table sys_table = {
    .openat = kernel_openat,
    .close = close,
    .read = read,
    .write = write,
    .pread = pread,
    .pwrite = pwrite,
    .recvmsg = recvmsg,
    .sendmsg = sendmsg,
    .fsync = fsync,
    .fdatasync = fdatasync,
    .ftruncate = ftruncate,
    .fallocate = fallocate,
    .syncfs = syncfs,
    .fstat = kernel_fstat,
    .fstatat = kernel_fstatat,
    .mkdirat = mkdirat,
    .unlinkat = unlinkat,
    .renameat = renameat,
    .mmap = mmap,
    .munmap = munmap,
    .madvise = madvise,
    .clock_wall_us = kernel_clock_wall_us,
    .clock_mono_us = kernel_clock_mono_us,
    .clock_cpu_us = kernel_clock_cpu_us,
    .random = kernel_random,
    .open_beneath = kernel_open_beneath,
    .lock = kernel_lock,
    .is_readable = kernel_is_readable,
    .yield = kernel_yield,
    .processors = kernel_processors,
};

/* Repeats CALL while a signal interrupts it. */
#define RETRY(call)                                                                                                    \
    ({                                                                                                                 \
        __typeof__(call) result_;                                                                                      \
        do                                                                                                             \
            result_ = (call);                                                                                          \
        while (result_ < 0 && errno == EINTR);                                                                         \
        result_;                                                                                                       \
    })

int
sys_openat(int dir, const char *path, int flags, mode_t mode)
{
    return RETRY(sys_table.openat(dir, path, flags | O_CLOEXEC, mode));
}

int
sys_open(const char *path, int flags, mode_t mode)
{
    return sys_openat(AT_FDCWD, path, flags, mode);
}

int
sys_open_beneath(int dir, const char *path, int flags, mode_t mode)
{
    return RETRY(sys_table.open_beneath(dir, path, flags, mode));
}

int
sys_close(int fd)
{
    /* Not retried: Linux frees the descriptor also when close is interrupted. */
    return fd < 0 ? 0 : sys_table.close(fd);
}

ssize_t
sys_read(int fd, void *data, size_t len)
{
    return RETRY(sys_table.read(fd, data, len));
}

ssize_t
sys_write(int fd, const void *data, size_t len)
{
    return RETRY(sys_table.write(fd, data, len));
}

ssize_t
sys_pread(int fd, void *data, size_t len, off_t at)
{
    return RETRY(sys_table.pread(fd, data, len, at));
}

ssize_t
sys_pwrite(int fd, const void *data, size_t len, off_t at)
{
    return RETRY(sys_table.pwrite(fd, data, len, at));
}

ssize_t
sys_recvmsg(int fd, struct msghdr *msg, int flags)
{
    return RETRY(sys_table.recvmsg(fd, msg, flags | MSG_CMSG_CLOEXEC));
}

ssize_t
sys_sendmsg(int fd, const struct msghdr *msg, int flags)
{
    return RETRY(sys_table.sendmsg(fd, msg, flags | MSG_NOSIGNAL));
}

int
sys_wait_writable(int fd, int timeout_ms)
{
    struct pollfd pollfd = { .fd = fd, .events = POLLOUT };

    return RETRY(poll(&pollfd, 1, timeout_ms));
}

bool
sys_is_readable(int fd)
{
    return sys_table.is_readable(fd) > 0;
}

void
sys_yield(void)
{
    sys_table.yield();
}

int
sys_processors(void)
{
    return sys_table.processors();
}

void
clock_wait_ms(int64_t ms)
{
    (void)poll(NULL, 0, ms > INT_MAX ? INT_MAX : (int)ms);   /* a signal ends it early: who waits looks at the clock */
}

void
sys_yield_to_others(void)
{
    enum { NICEST = 19, IO_CLASS_SHIFT = 13, IO_BEST_EFFORT = 2, IO_LOWEST = 7, IO_WHO_PROCESS = 1 };

    (void)setpriority(PRIO_PROCESS, 0, NICEST);
    (void)syscall(SYS_ioprio_set, IO_WHO_PROCESS, 0, IO_BEST_EFFORT << IO_CLASS_SHIFT | IO_LOWEST);
}

bool
sys_write_all(int fd, const void *data, size_t len)
{
    const uint8_t *at = data;

    while (len > 0) {
        ssize_t done = sys_write(fd, at, len);
        if (done <= 0) {
            errno = done == 0 ? ENOSPC : errno;
            return false;
        }
        at += done;
        len -= (size_t)done;
    }
    return true;
}

bool
sys_read_text(const char *path, char *out, size_t size)
{
    int fd = sys_open(path, O_RDONLY, 0);
    size_t len = 0;
    ssize_t n = 0;

    if (fd < 0)
        return false;
    while (len < size - 1 && (n = sys_read(fd, out + len, size - 1 - len)) > 0)
        len += (size_t)n;
    (void)sys_close(fd);
    out[len] = '\0';
    return n >= 0;
}

bool
sys_program_beside(const char *name, char *out, size_t size)
{
    const size_t name_bytes = strlen(name) + 1;
    const ssize_t len = readlink("/proc/self/exe", out, size - name_bytes - 1);

    if (len <= 0)
        return false;
    out[len] = '\0';
    memcpy(strrchr(out, '/') + 1, name, name_bytes);
    return true;
}

bool
sys_pwrite_all(int fd, const void *data, size_t len, off_t at)
{
    const uint8_t *from = data;

    while (len > 0) {
        ssize_t done = sys_pwrite(fd, from, len, at);
        if (done <= 0) {
            errno = done == 0 ? ENOSPC : errno;
            return false;
        }
        from += done;
        at += done;
        len -= (size_t)done;
    }
    return true;
}

int
sys_fsync(int fd)
{
    return RETRY(sys_table.fsync(fd));
}

int
sys_fdatasync(int fd)
{
    return RETRY(sys_table.fdatasync(fd));
}

int
sys_ftruncate(int fd, off_t len)
{
    return RETRY(sys_table.ftruncate(fd, len));
}

int
sys_fallocate(int fd, int mode, off_t at, off_t len)
{
    return RETRY(sys_table.fallocate(fd, mode, at, len));
}

int
sys_syncfs(int fd)
{
    return RETRY(sys_table.syncfs(fd));
}

int
sys_lock(int fd, off_t at, off_t len)
{
    return RETRY(sys_table.lock(fd, at, len));
}

int
sys_fstat(int fd, struct stat *out)
{
    return sys_table.fstat(fd, out);
}

int
sys_fstatat(int dir, const char *path, struct stat *out, int flags)
{
    return sys_table.fstatat(dir, path, out, flags);
}

int
sys_mkdirat(int dir, const char *path, mode_t mode)
{
    return sys_table.mkdirat(dir, path, mode);
}

int
sys_unlinkat(int dir, const char *path, int flags)
{
    return sys_table.unlinkat(dir, path, flags);
}

int
sys_renameat(int from_dir, const char *from, int to_dir, const char *to)
{
    return sys_table.renameat(from_dir, from, to_dir, to);
}

void *
sys_mmap(void *addr, size_t len, int prot, int flags, int fd, off_t at)
{
    return sys_table.mmap(addr, len, prot, flags, fd, at);
}

int
sys_munmap(void *addr, size_t len)
{
    return sys_table.munmap(addr, len);
}

int
sys_madvise(void *addr, size_t len, int advice)
{
    return sys_table.madvise(addr, len, advice);
}

int64_t
sys_thread_faults(void)
{
    struct rusage usage;

    return getrusage(RUSAGE_THREAD, &usage) == 0 ? (int64_t)usage.ru_minflt + usage.ru_majflt : -1;
}

int64_t
clock_wall_us(void)
{
    return sys_table.clock_wall_us();
}

int64_t
clock_wall_ms(void)
{
    return clock_wall_us() / 1000;
}

int64_t
clock_mono_us(void)
{
    return sys_table.clock_mono_us();
}

int64_t
clock_mono_ms(void)
{
    return clock_mono_us() / 1000;
}

int64_t
clock_cpu_us(void)
{
    return sys_table.clock_cpu_us();
}

void
rng_bytes(void *out, size_t len)
{
    if (sys_table.random(out, len) != 0)
        abort(); /* no randomness, no secrets: nothing may go on */
}

uint64_t
rng_u64(void)
{
    uint64_t v;

    rng_bytes(&v, sizeof v);
    return v;
}
