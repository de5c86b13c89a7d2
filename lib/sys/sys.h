/*
 * sys — the one door to the kernel: files, clock, randomness.
 *
 * Every call that can fail goes through a switchable table (sys_table), so that tests own faults, time and chance. Semantics
 * are the kernel's: -1 and errno. Every descriptor is close-on-exec. EINTR is retried inside where the kernel's manual
 * allows it; short writes are completed by sys_write_all/sys_pwrite_all only.
 */
#ifndef DORMOUSE_SYS_H
#define DORMOUSE_SYS_H

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "lib/base/macros.h"

struct sys_table {
    int     (*openat)(int dir, const char *path, int flags, mode_t mode);
    int     (*close)(int fd);
    ssize_t (*read)(int fd, void *data, size_t len);
    ssize_t (*write)(int fd, const void *data, size_t len);
    ssize_t (*pread)(int fd, void *data, size_t len, off_t at);
    ssize_t (*pwrite)(int fd, const void *data, size_t len, off_t at);
    ssize_t (*recvmsg)(int fd, struct msghdr *msg, int flags);
    ssize_t (*sendmsg)(int fd, const struct msghdr *msg, int flags);
    int     (*fsync)(int fd);
    int     (*fdatasync)(int fd);
    int     (*ftruncate)(int fd, off_t len);
    int     (*fallocate)(int fd, int mode, off_t at, off_t len);
    int     (*syncfs)(int fd);
    int     (*fstat)(int fd, struct stat *out);
    int     (*fstatat)(int dir, const char *path, struct stat *out, int flags);
    int     (*mkdirat)(int dir, const char *path, mode_t mode);
    int     (*unlinkat)(int dir, const char *path, int flags);
    int     (*renameat)(int from_dir, const char *from, int to_dir, const char *to);
    void   *(*mmap)(void *addr, size_t len, int prot, int flags, int fd, off_t at);
    int     (*munmap)(void *addr, size_t len);
    int     (*madvise)(void *addr, size_t len, int advice);
    int64_t (*clock_wall_us)(void);        /* since 1970 UTC */
    int64_t (*clock_mono_us)(void);        /* CLOCK_MONOTONIC */
    int64_t (*clock_cpu_us)(void);         /* CPU time of this thread */
    int     (*random)(void *out, size_t len);
    int     (*open_beneath)(int dir, const char *path, int flags, mode_t mode);
    int     (*lock)(int fd, off_t at, off_t len);
    int     (*is_readable)(int fd);        /* poll() */
    void    (*yield)(void);
    int     (*processors)(void);
};
extern struct sys_table sys_table;         /* the kernel's, unless a test replaced a member */

int     sys_openat(int dir, const char *path, int flags, mode_t mode);   /* adds O_CLOEXEC */
int     sys_open(const char *path, int flags, mode_t mode);
/* openat2 with RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS: PATH cannot leave DIR. */
int     sys_open_beneath(int dir, const char *path, int flags, mode_t mode);
int     sys_close(int fd);                                                /* -1 is ignored */
ssize_t sys_read(int fd, void *data, size_t len);
ssize_t sys_write(int fd, const void *data, size_t len);
ssize_t sys_pread(int fd, void *data, size_t len, off_t at);
ssize_t sys_pwrite(int fd, const void *data, size_t len, off_t at);
ssize_t sys_recvmsg(int fd, struct msghdr *msg, int flags);
ssize_t sys_sendmsg(int fd, const struct msghdr *msg, int flags);
/* Waits until FD takes bytes again: 1, 0 after TIMEOUT_MS, or -1. Only for a process that is about to exit: rooms wait in their loop. */
int     sys_wait_writable(int fd, int timeout_ms);
/* Without waiting; an error of FD is something to read. */
bool    sys_is_readable(int fd);
/* Lets others run that want this processor; returns at once when nobody does. */
void    sys_yield(void);
int     sys_processors(void);              /* that this process may use */
bool    sys_write_all(int fd, const void *data, size_t len);
bool    sys_pwrite_all(int fd, const void *data, size_t len, off_t at);
/* The first SIZE - 1 bytes of a file of the kernel's, which may be shorter than it says, as a string. */
bool    sys_read_text(const char *path, char *out, size_t size);
/* The path of the program NAME in the folder of our own. False: errno. */
bool    sys_program_beside(const char *name, char *out, size_t size);
int     sys_fsync(int fd);
int     sys_fdatasync(int fd);
int     sys_ftruncate(int fd, off_t len);
int     sys_fallocate(int fd, int mode, off_t at, off_t len);
int     sys_syncfs(int fd);                /* the whole file system that FD is on; the one call that threads make too */
/* Write-locks the range for as long as FD's open file lives; never waits: -1 and EAGAIN when somebody else holds any of it. */
int     sys_lock(int fd, off_t at, off_t len);
int     sys_fstat(int fd, struct stat *out);
int     sys_fstatat(int dir, const char *path, struct stat *out, int flags);
int     sys_mkdirat(int dir, const char *path, mode_t mode);
int     sys_unlinkat(int dir, const char *path, int flags);
int     sys_renameat(int from_dir, const char *from, int to_dir, const char *to);
void   *sys_mmap(void *addr, size_t len, int prot, int flags, int fd, off_t at);
int     sys_munmap(void *addr, size_t len);
int     sys_madvise(void *addr, size_t len, int advice);
int64_t sys_thread_faults(void);           /* page faults of this thread so far; -1 when nobody counts them */

/* For a program of one task, never for a room: waits MS. */
void    clock_wait_ms(int64_t ms);
/* This process takes processor and disk only when others leave them. What the kernel refuses is not needed. */
void    sys_yield_to_others(void);

int64_t clock_wall_ms(void);
int64_t clock_wall_us(void);
int64_t clock_mono_ms(void);
int64_t clock_mono_us(void);
int64_t clock_cpu_us(void);
void    rng_bytes(void *out, size_t len);  /* cryptographic; dies when the kernel refuses */
uint64_t rng_u64(void);

#endif
