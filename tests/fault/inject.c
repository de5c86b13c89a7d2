/*
 * inject — makes the n-th write-type system call of running processes fail, fall short, lie, or be their last.
 *
 *   inject FAULT N [--sends] [--times K] [--skip CALL,CALL…] [--where PID CALL GLOB] [--kill PID,PID…] PID…
 *
 * FAULT: kill (before the call), killed (after it), EIO ENOSPC EINTR EDQUOT (it does nothing and fails), short (half of the bytes),
 * lie (it does nothing and claims success: for controls), none (only count). Write-type: data and size of regular files, their
 * names, and syncs; with --sends messages on sockets, too. Calls that the fault makes sense for are counted from 1 over all PIDs since
 * "attached" was printed.
 * --kill: who dies when it hits (else the process that called); --times: this many calls from the n-th on; --skip: calls that are not there;
 * --where: only calls CALL of PID whose target matches GLOB count for N.
 * Prints "attached", then "point N PID CALL TARGET LENGTH" per call, "hit N" when the fault is done, "gone PID". SIGTERM detaches and ends.
 * x86-64 only. Needs the right to trace them.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <linux/openat2.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <linux/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <unistd.h>

#define THREADS_MAX 256
#define VICTIMS_MAX 256

enum effect { NONE, KILL_BEFORE, KILL_AFTER, FAIL, SHORT, LIE };
enum place { FD, PATH_0, PATH_1 };                /* which argument makes the call fail harmlessly when spoilt */

struct call {
    long nr;
    const char *name;
    enum place place;
    bool has_length;                              /* argument 2 counts bytes (or pieces), which are what it returns */
    bool is_send;
};

static const struct call calls[] = {
    { SYS_write, "write", FD, true, false },
    { SYS_pwrite64, "pwrite64", FD, true, false },
    { SYS_writev, "writev", FD, true, false },
    { SYS_pwritev, "pwritev", FD, true, false },
    { SYS_fsync, "fsync", FD, false, false },
    { SYS_fdatasync, "fdatasync", FD, false, false },
    { SYS_syncfs, "syncfs", FD, false, false },
    { SYS_sync_file_range, "sync_file_range", FD, false, false },
    { SYS_ftruncate, "ftruncate", FD, false, false },
    { SYS_fallocate, "fallocate", FD, false, false },
    { SYS_openat, "openat", PATH_1, false, false },
    { SYS_openat2, "openat2", PATH_1, false, false },
    { SYS_open, "open", PATH_0, false, false },
    { SYS_mkdir, "mkdir", PATH_0, false, false },
    { SYS_mkdirat, "mkdirat", PATH_1, false, false },
    { SYS_unlink, "unlink", PATH_0, false, false },
    { SYS_rmdir, "rmdir", PATH_0, false, false },
    { SYS_unlinkat, "unlinkat", PATH_1, false, false },
    { SYS_rename, "rename", PATH_0, false, false },
    { SYS_renameat, "renameat", PATH_1, false, false },
    { SYS_renameat2, "renameat2", PATH_1, false, false },
    { SYS_sendmsg, "sendmsg", FD, false, true },
};

struct thread {
    pid_t tid;
    const struct call *call;                      /* under way with a fault at its end; NULL otherwise */
    long answer;                                  /* what it shall return; LONG_MIN: as it comes */
    bool dies;
};

static struct {
    enum effect effect;
    long error, at, times;
    long seen, count;                             /* calls; those that count for AT */
    bool with_sends;
    pid_t where_pid;                              /* 0: every call counts */
    const char *where_call, *where_glob;
    const char *skip;                             /* names, commas between them; NULL: none */
    pid_t victims[VICTIMS_MAX];
    size_t victim_count;
    struct thread threads[THREADS_MAX];
} own;

#define AS_IT_COMES INT64_MIN

static void
die(const char *what)
{
    fprintf(stderr, "inject: %s: %s\n", what, strerror(errno));
    exit(2);
}

static struct thread *
thread_of(pid_t tid)
{
    struct thread *empty = NULL;

    for (size_t i = 0; i < THREADS_MAX; i++) {
        if (own.threads[i].tid == tid)
            return &own.threads[i];
        if (own.threads[i].tid == 0 && empty == NULL)
            empty = &own.threads[i];
    }
    if (empty == NULL)
        die("too many threads");
    *empty = (struct thread){ .tid = tid };
    return empty;
}

static pid_t
process_of(pid_t tid)
{
    char path[64], line[256];
    pid_t process = tid;
    FILE *file;

    (void)snprintf(path, sizeof path, "/proc/%d/status", tid);
    file = fopen(path, "r");
    while (file != NULL && fgets(line, sizeof line, file) != NULL)
        (void)sscanf(line, "Tgid: %d", &process);
    if (file != NULL)
        (void)fclose(file);
    return process;
}

static void
text_read(pid_t tid, uint64_t at, char *out, size_t size)
{
    struct iovec here = { out, size - 1 }, there = { (void *)at, size - 1 };
    ssize_t got;

    /* A string at the end of its page is shorter than what is asked for. */
    while ((got = process_vm_readv(tid, &here, 1, &there, 1, 0)) < 0 && here.iov_len > 1)
        here.iov_len = there.iov_len = here.iov_len / 2;
    out[got > 0 ? got : 0] = '\0';
    for (char *c = out; *c != '\0'; c++)
        if (*c <= ' ')
            *c = '?';
}

/* Where it goes; false when that is no regular file (nor, for sends, a socket). */
static bool
target_find(pid_t tid, const struct call *call, const struct ptrace_syscall_info *info, char *out, size_t size)
{
    char path[64];
    struct stat is;
    ssize_t len;

    if (call->place != FD) {
        text_read(tid, info->entry.args[call->place == PATH_0 ? 0 : 1], out, size);
        return true;
    }
    (void)snprintf(path, sizeof path, "/proc/%d/fd/%d", tid, (int)info->entry.args[0]);
    len = readlink(path, out, size - 1);
    out[len > 0 ? len : 0] = '\0';
    if (len <= 0 || stat(path, &is) != 0)
        return false;
    return call->is_send ? S_ISSOCK(is.st_mode) : S_ISREG(is.st_mode) || S_ISDIR(is.st_mode);
}

static bool
makes_file(pid_t tid, const struct call *call, const struct ptrace_syscall_info *info)
{
    struct open_how how = { 0 };
    struct iovec here = { &how, sizeof how }, there = { (void *)info->entry.args[2], sizeof how };

    if (call->nr == SYS_open)
        return (info->entry.args[1] & O_CREAT) != 0;
    if (call->nr == SYS_openat)
        return (info->entry.args[2] & O_CREAT) != 0;
    if (call->nr == SYS_openat2)
        return process_vm_readv(tid, &here, 1, &there, 1, 0) > 0 && (how.flags & O_CREAT) != 0;
    return true;
}

static void
victims_kill(pid_t tid)
{
    if (own.victim_count == 0)
        (void)kill(process_of(tid), SIGKILL);
    for (size_t i = 0; i < own.victim_count; i++)
        (void)kill(own.victims[i], SIGKILL);
}

static void
registers_spoil(pid_t tid, const struct call *call)
{
    struct user_regs_struct regs;

    if (ptrace(PTRACE_GETREGS, tid, 0, &regs) != 0)
        return;                                   /* it died meanwhile */
    if (call->place == FD)
        regs.rdi = (unsigned long long)-1;
    else if (call->place == PATH_0)
        regs.rdi = 0;
    else
        regs.rsi = 0;
    (void)ptrace(PTRACE_SETREGS, tid, 0, &regs);
}

static bool
length_halve(pid_t tid)
{
    struct user_regs_struct regs;

    if (ptrace(PTRACE_GETREGS, tid, 0, &regs) != 0 || regs.rdx < 2)
        return false;
    regs.rdx /= 2;
    return ptrace(PTRACE_SETREGS, tid, 0, &regs) == 0;
}

/* What the call under way at THREAD gets; false when the fault makes no sense for it. */
static bool
fault_begin(struct thread *thread, const struct call *call, const struct ptrace_syscall_info *info)
{
    thread->answer = AS_IT_COMES;
    switch (own.effect) {
    case KILL_BEFORE: victims_kill(thread->tid); return true;
    case KILL_AFTER: thread->dies = true; break;
    case SHORT:
        if (!length_halve(thread->tid))
            return false;
        break;
    case FAIL:
        registers_spoil(thread->tid, call);
        thread->answer = -own.error;
        break;
    case LIE:
        registers_spoil(thread->tid, call);
        thread->answer = call->has_length ? (long)info->entry.args[2] : 0;
        break;
    case NONE: return false;
    }
    thread->call = call;
    return true;
}

static bool
is_skipped(const struct call *call)
{
    size_t len = strlen(call->name);

    for (const char *at = own.skip; at != NULL && *at != '\0'; at += strcspn(at, ","), at += *at == ',')
        if (strncmp(at, call->name, len) == 0 && (at[len] == ',' || at[len] == '\0'))
            return true;
    return false;
}

/* Only what writes bytes can fall short; a descriptor cannot be invented. */
static bool
fault_fits(const struct call *call, const struct ptrace_syscall_info *info)
{
    if (own.effect == SHORT)
        return call->has_length && info->entry.args[2] >= 2;
    return own.effect != LIE || call->place == FD;
}

static bool
is_wanted(pid_t tid, const struct call *call, const char *target)
{
    return own.where_pid == 0 || (strcmp(call->name, own.where_call) == 0 && process_of(tid) == own.where_pid && fnmatch(own.where_glob, target, 0) == 0);
}

static void
entry_take(struct thread *thread, const struct ptrace_syscall_info *info)
{
    char target[512];

    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        const struct call *call = &calls[i];
        if ((long)info->entry.nr != call->nr || (call->is_send && !own.with_sends) || is_skipped(call) || !fault_fits(call, info) ||
            !makes_file(thread->tid, call, info) || !target_find(thread->tid, call, info, target, sizeof target))
            continue;
        own.seen++;
        printf("point %ld %d %s %s %ld\n", own.seen, process_of(thread->tid), call->name, target,
               call->has_length ? (long)info->entry.args[2] : 0L);
        if (!is_wanted(thread->tid, call, target))
            continue;
        own.count++;
        if (own.count >= own.at && own.count < own.at + own.times && fault_begin(thread, call, info))
            printf("hit %ld\n", own.seen);
    }
}

static void
exit_take(struct thread *thread)
{
    struct user_regs_struct regs;

    if (thread->call == NULL)
        return;
    thread->call = NULL;
    if (thread->dies) {
        victims_kill(thread->tid);
        return;
    }
    if (thread->answer == AS_IT_COMES || ptrace(PTRACE_GETREGS, thread->tid, 0, &regs) != 0)
        return;
    regs.rax = (unsigned long long)thread->answer;
    (void)ptrace(PTRACE_SETREGS, thread->tid, 0, &regs);
}

static void
stop_take(pid_t tid, int status)
{
    struct thread *thread = thread_of(tid);
    struct ptrace_syscall_info info;
    int signo = WSTOPSIG(status), event = status >> 16;

    if (signo == (SIGTRAP | 0x80)) {
        if (ptrace(PTRACE_GET_SYSCALL_INFO, tid, sizeof info, &info) > 0) {
            if (info.op == PTRACE_SYSCALL_INFO_ENTRY)
                entry_take(thread, &info);
            else if (info.op == PTRACE_SYSCALL_INFO_EXIT)
                exit_take(thread);
        }
        signo = 0;
    } else if (event != 0 || signo == SIGTRAP) {
        signo = 0;
    }
    (void)ptrace(PTRACE_SYSCALL, tid, 0, signo);  /* fails when it was killed: the next wait tells */
}

static void
children_take(void)
{
    int status;
    pid_t tid;

    while ((tid = waitpid(-1, &status, WNOHANG | __WALL)) > 0) {
        if (WIFSTOPPED(status)) {
            stop_take(tid, status);
        } else {
            thread_of(tid)->tid = 0;
            printf("gone %d\n", tid);
        }
    }
}

/* Every thread of PID, stopped once, so that each runs from one system call to the next. */
static void
process_attach(pid_t pid)
{
    char path[64];
    struct dirent *entry;
    DIR *tasks;

    (void)snprintf(path, sizeof path, "/proc/%d/task", pid);
    tasks = opendir(path);
    if (tasks == NULL)
        die("no such process");
    while ((entry = readdir(tasks)) != NULL) {
        pid_t tid = (pid_t)strtol(entry->d_name, NULL, 10);
        int status;

        if (tid == 0)
            continue;
        if (ptrace(PTRACE_SEIZE, tid, 0, PTRACE_O_TRACESYSGOOD | PTRACE_O_TRACECLONE) != 0 || ptrace(PTRACE_INTERRUPT, tid, 0, 0) != 0)
            die("cannot trace");
        if (waitpid(tid, &status, __WALL) != tid || !WIFSTOPPED(status))
            die("it ended");
        (void)thread_of(tid);
        (void)ptrace(PTRACE_SYSCALL, tid, 0, 0);
    }
    (void)closedir(tasks);
}

static void
fault_parse(const char *name)
{
    static const struct { const char *name; enum effect effect; long error; } faults[] = {
        { "none", NONE, 0 }, { "kill", KILL_BEFORE, 0 }, { "killed", KILL_AFTER, 0 }, { "short", SHORT, 0 }, { "lie", LIE, 0 },
        { "EIO", FAIL, EIO }, { "ENOSPC", FAIL, ENOSPC }, { "EINTR", FAIL, EINTR }, { "EDQUOT", FAIL, EDQUOT },
    };

    for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
        if (strcmp(name, faults[i].name) != 0)
            continue;
        own.effect = faults[i].effect;
        own.error = faults[i].error;
        return;
    }
    errno = EINVAL;
    die(name);
}

int
main(int argc, char **argv)
{
    sigset_t signals;
    int at = 3;

    if (argc < 4) {
        fprintf(stderr, "usage: inject FAULT N [--sends] [--times K] [--skip CALL,…] [--where PID CALL GLOB] [--kill PID,…] PID…\n");
        return 2;
    }
    setvbuf(stdout, NULL, _IOLBF, 0);
    (void)sigemptyset(&signals);
    (void)sigaddset(&signals, SIGCHLD);
    (void)sigaddset(&signals, SIGTERM);
    (void)sigprocmask(SIG_BLOCK, &signals, NULL);
    fault_parse(argv[1]);
    own.at = strtol(argv[2], NULL, 10);
    own.times = 1;
    for (; at < argc && argv[at][0] == '-'; at++) {
        if (strcmp(argv[at], "--sends") == 0)
            own.with_sends = true;
        else if (strcmp(argv[at], "--times") == 0 && at + 1 < argc)
            own.times = strtol(argv[++at], NULL, 10);
        else if (strcmp(argv[at], "--skip") == 0 && at + 1 < argc)
            own.skip = argv[++at];
        else if (strcmp(argv[at], "--where") == 0 && at + 3 < argc) {
            own.where_pid = (pid_t)strtol(argv[++at], NULL, 10);
            own.where_call = argv[++at];
            own.where_glob = argv[++at];
        } else if (strcmp(argv[at], "--kill") == 0 && at + 1 < argc)
            for (char *rest = argv[++at]; *rest != '\0' && own.victim_count < VICTIMS_MAX; rest += strspn(rest, ","))
                own.victims[own.victim_count++] = (pid_t)strtol(rest, &rest, 10);
    }
    for (; at < argc; at++)
        process_attach((pid_t)strtol(argv[at], NULL, 10));
    printf("attached\n");
    children_take();
    while (sigwaitinfo(&signals, NULL) != SIGTERM)
        children_take();
    return 0;                                     /* the kernel lets go of all of them */
}
