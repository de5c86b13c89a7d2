/*
 * jail_seccomp — which syscalls a role may make, and with which arguments. Everything else ends the process.
 *
 * A row here is a door that hostile native code may use too: add one only with the feature that needs it.
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/prctl.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "lib/jail/jail_internal.h"

#ifndef PR_SET_VMA
#define PR_SET_VMA 0x53564d41
#endif

#define LIST_END (-1)

/* Memory, time, waiting, signals to ourselves, and talking over descriptors that are open already. */
static const int calls_all[] = {
    SCMP_SYS(read), SCMP_SYS(write), SCMP_SYS(readv), SCMP_SYS(writev), SCMP_SYS(close), SCMP_SYS(close_range),
    SCMP_SYS(dup), SCMP_SYS(dup3), SCMP_SYS(fstat), SCMP_SYS(lseek),
    SCMP_SYS(recvmsg), SCMP_SYS(sendmsg), SCMP_SYS(recvfrom), SCMP_SYS(sendto), SCMP_SYS(shutdown),
    SCMP_SYS(getsockopt), SCMP_SYS(getsockname), SCMP_SYS(getpeername),
    SCMP_SYS(munmap), SCMP_SYS(mremap), SCMP_SYS(madvise), SCMP_SYS(brk), SCMP_SYS(mincore), SCMP_SYS(msync),
    SCMP_SYS(futex), SCMP_SYS(set_robust_list), SCMP_SYS(rseq), SCMP_SYS(membarrier),
    SCMP_SYS(epoll_create1), SCMP_SYS(epoll_ctl), SCMP_SYS(epoll_wait), SCMP_SYS(epoll_pwait), SCMP_SYS(epoll_pwait2),
    SCMP_SYS(poll), SCMP_SYS(ppoll), SCMP_SYS(select), SCMP_SYS(pselect6), SCMP_SYS(eventfd2), SCMP_SYS(timerfd_create),
    SCMP_SYS(timerfd_settime), SCMP_SYS(timerfd_gettime), SCMP_SYS(signalfd4), SCMP_SYS(pipe2),
    SCMP_SYS(clock_gettime), SCMP_SYS(clock_getres), SCMP_SYS(clock_nanosleep), SCMP_SYS(nanosleep),
    SCMP_SYS(gettimeofday), SCMP_SYS(time), SCMP_SYS(getitimer), SCMP_SYS(setitimer), SCMP_SYS(timer_create),
    SCMP_SYS(timer_settime), SCMP_SYS(timer_gettime), SCMP_SYS(timer_delete), SCMP_SYS(timer_getoverrun),
    SCMP_SYS(getrandom), SCMP_SYS(getpid), SCMP_SYS(getppid), SCMP_SYS(gettid), SCMP_SYS(getuid), SCMP_SYS(geteuid),
    SCMP_SYS(getgid), SCMP_SYS(getegid), SCMP_SYS(getrusage), SCMP_SYS(getrlimit), SCMP_SYS(uname), SCMP_SYS(sysinfo),
    SCMP_SYS(times), SCMP_SYS(sched_yield), SCMP_SYS(sched_getaffinity), SCMP_SYS(getcpu),
    SCMP_SYS(rt_sigprocmask), SCMP_SYS(rt_sigreturn), SCMP_SYS(rt_sigpending), SCMP_SYS(rt_sigtimedwait),
    SCMP_SYS(sigaltstack), SCMP_SYS(restart_syscall), SCMP_SYS(exit), SCMP_SYS(exit_group), LIST_END,
};

/* Files: paths are confined by Landlock and mounts, not here (seccomp cannot follow a pointer). */
static const int calls_read_files[] = {
    SCMP_SYS(open), SCMP_SYS(openat), SCMP_SYS(openat2), SCMP_SYS(pread64), SCMP_SYS(preadv), SCMP_SYS(preadv2),
    SCMP_SYS(stat), SCMP_SYS(lstat), SCMP_SYS(newfstatat), SCMP_SYS(statx), SCMP_SYS(fstatfs), SCMP_SYS(statfs),
    SCMP_SYS(access), SCMP_SYS(faccessat), SCMP_SYS(faccessat2), SCMP_SYS(readlink), SCMP_SYS(readlinkat),
    SCMP_SYS(getdents64), SCMP_SYS(getcwd), SCMP_SYS(fadvise64), SCMP_SYS(readahead), SCMP_SYS(sendfile), LIST_END,
};

static const int calls_write_files[] = {
    SCMP_SYS(pwrite64), SCMP_SYS(pwritev), SCMP_SYS(pwritev2), SCMP_SYS(fsync), SCMP_SYS(fdatasync),
    SCMP_SYS(sync_file_range), SCMP_SYS(ftruncate), SCMP_SYS(fallocate), SCMP_SYS(copy_file_range), SCMP_SYS(flock),
    SCMP_SYS(mkdir), SCMP_SYS(mkdirat), SCMP_SYS(rmdir), SCMP_SYS(unlink), SCMP_SYS(unlinkat), SCMP_SYS(rename),
    SCMP_SYS(renameat), SCMP_SYS(renameat2), SCMP_SYS(link), SCMP_SYS(linkat), SCMP_SYS(fchmod), SCMP_SYS(umask),
    SCMP_SYS(utimensat), SCMP_SYS(memfd_create), LIST_END,
};

/* Listening sockets come from the supervisor; accepting is all there is to do with them. */
static const int calls_accept[] = { SCMP_SYS(accept), SCMP_SYS(accept4), SCMP_SYS(listen), SCMP_SYS(setsockopt), LIST_END };

static const int calls_egress[] = {
    SCMP_SYS(connect), SCMP_SYS(bind), SCMP_SYS(setsockopt), SCMP_SYS(sendmmsg), SCMP_SYS(recvmmsg), SCMP_SYS(rt_sigsuspend),
    LIST_END,
};

/* Refused politely: libraries ask for these and know what to do without. */
static const struct { int call; int answer; } calls_refused[] = {
    { SCMP_SYS(clone3), ENOSYS }, { SCMP_SYS(io_uring_setup), ENOSYS }, { SCMP_SYS(sched_setaffinity), EPERM },
    { SCMP_SYS(sched_setscheduler), EPERM }, { SCMP_SYS(sched_getparam), EPERM }, { SCMP_SYS(sched_getscheduler), EPERM },
    { SCMP_SYS(setpriority), EPERM }, { SCMP_SYS(fchown), EPERM }, { SCMP_SYS(chmod), EPERM }, { SCMP_SYS(mlock), EPERM },
    { SCMP_SYS(mlock2), EPERM }, { SCMP_SYS(munlock), EPERM }, { SCMP_SYS(getxattr), EOPNOTSUPP },
};

struct filter {
    scmp_filter_ctx context;
    int             rc;            /* the first failure, negative errno */
};

static void
allow(struct filter *filter, int call)
{
    if (filter->rc == 0)
        filter->rc = seccomp_rule_add(filter->context, SCMP_ACT_ALLOW, call, 0);
}

static void
allow_when(struct filter *filter, int call, struct scmp_arg_cmp when)
{
    if (filter->rc == 0)
        filter->rc = seccomp_rule_add(filter->context, SCMP_ACT_ALLOW, call, 1, when);
}

static void
refuse_when(struct filter *filter, int answer, int call, struct scmp_arg_cmp when)
{
    if (filter->rc == 0)
        filter->rc = seccomp_rule_add(filter->context, SCMP_ACT_ERRNO((uint32_t)answer), call, 1, when);
}

static void
allow_each(struct filter *filter, const int *calls)
{
    for (; *calls != LIST_END; calls++)
        allow(filter, *calls);
}

static void
rules_of_memory(struct filter *filter)
{
    /* No new code: pages are never made executable. dlopen (name service modules) gets an error it can live with. */
    allow_when(filter, SCMP_SYS(mmap), SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
    allow_when(filter, SCMP_SYS(mprotect), SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0));
    refuse_when(filter, EACCES, SCMP_SYS(mmap), SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, PROT_EXEC));
    refuse_when(filter, EACCES, SCMP_SYS(mprotect), SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, PROT_EXEC));
}

static void
rules_of_process(struct filter *filter)
{
    static const int options[] = { PR_SET_NAME, PR_GET_NAME, PR_SET_VMA, PR_GET_DUMPABLE, PR_SET_TIMERSLACK };
    const unsigned self = (unsigned)getpid();

    /* abort() and raise(), to nobody but ourselves. */
    allow_when(filter, SCMP_SYS(tgkill), SCMP_A0(SCMP_CMP_EQ, self));
    allow_when(filter, SCMP_SYS(kill), SCMP_A0(SCMP_CMP_EQ, self));
    /* The handler that names a forbidden syscall stays. */
    allow_when(filter, SCMP_SYS(rt_sigaction), SCMP_A0(SCMP_CMP_NE, SIGSYS));
    for (size_t i = 0; i < ARRAY_LEN(options); i++)
        allow_when(filter, SCMP_SYS(prctl), SCMP_A0(SCMP_CMP_EQ, (unsigned)options[i]));
    /* Ask for limits, never set them. */
    allow_when(filter, SCMP_SYS(prlimit64), SCMP_A2(SCMP_CMP_EQ, 0));
}

static void
rules_of_descriptors(struct filter *filter)
{
    static const int commands[] = { F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_DUPFD, F_DUPFD_CLOEXEC, F_GETLK, F_SETLK,
                                    F_SETLKW, F_OFD_GETLK, F_OFD_SETLK, F_OFD_SETLKW, F_ADD_SEALS, F_GET_SEALS, F_SETPIPE_SZ };
    static const unsigned requests[] = { FIONBIO, FIONREAD, FIOCLEX, FIONCLEX, 0x5401 /* TCGETS: isatty() */ };

    for (size_t i = 0; i < ARRAY_LEN(commands); i++)
        allow_when(filter, SCMP_SYS(fcntl), SCMP_A1(SCMP_CMP_EQ, (unsigned)commands[i]));
    for (size_t i = 0; i < ARRAY_LEN(requests); i++)
        allow_when(filter, SCMP_SYS(ioctl), SCMP_A1(SCMP_CMP_EQ, requests[i]));
    allow_when(filter, SCMP_SYS(socketpair), SCMP_A0(SCMP_CMP_EQ, AF_UNIX));
}

/* Unix sockets are refused to egress: a local service (a container engine, our own admin socket) is not the network.
 * Netlink is what getaddrinfo() asks for the machine's addresses. Threads: curl resolves names in them. */
static void
rules_of_egress(struct filter *filter)
{
    const unsigned long thread = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD;

    allow_each(filter, calls_egress);
    allow_when(filter, SCMP_SYS(socket), SCMP_A0(SCMP_CMP_EQ, AF_INET));
    allow_when(filter, SCMP_SYS(socket), SCMP_A0(SCMP_CMP_EQ, AF_INET6));
    allow_when(filter, SCMP_SYS(socket), SCMP_A0(SCMP_CMP_EQ, AF_NETLINK));
    refuse_when(filter, EAFNOSUPPORT, SCMP_SYS(socket), SCMP_A0(SCMP_CMP_EQ, AF_UNIX));
    allow_when(filter, SCMP_SYS(clone), SCMP_A0(SCMP_CMP_MASKED_EQ, thread, thread));
}

/* A thread, and what it is for: the sync of the databases' file system. */
static void
rules_of_journal(struct filter *filter)
{
    const unsigned long thread = CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD;

    allow(filter, SCMP_SYS(syncfs));
    allow_when(filter, SCMP_SYS(clone), SCMP_A0(SCMP_CMP_MASKED_EQ, thread, thread));
}

static void
rules_of_role(struct filter *filter, enum role role)
{
    allow_each(filter, calls_all);
    allow_each(filter, calls_read_files);
    rules_of_memory(filter);
    rules_of_process(filter);
    rules_of_descriptors(filter);
    if (role == ROLE_WORKER || role == ROLE_SCHEDULER || role == ROLE_CONTROL || role == ROLE_JOURNAL)
        allow_each(filter, calls_write_files);
    if (role == ROLE_GATEWAY || role == ROLE_CONTROL)
        allow_each(filter, calls_accept);
    if (role == ROLE_EGRESS)
        rules_of_egress(filter);
    if (role == ROLE_JOURNAL)
        rules_of_journal(filter);
    for (size_t i = 0; i < ARRAY_LEN(calls_refused); i++)
        if (filter->rc == 0)
            filter->rc = seccomp_rule_add(filter->context, SCMP_ACT_ERRNO((uint32_t)calls_refused[i].answer),
                                          calls_refused[i].call, 0);
}

static const char *trap_role = "?";

/* Runs in a signal handler: plain writes only. */
static void
trap_report(int signo, siginfo_t *info, void *context)
{
    char text[160];
    char *name = seccomp_syscall_resolve_num_arch(SCMP_ARCH_NATIVE, info->si_syscall);
    int len = snprintf(text, sizeof text, "%s: sandbox: syscall %d (%s) is not on the list (lib/jail/jail_seccomp.c)\n",
                       trap_role, info->si_syscall, name != NULL ? name : "?");

    if (len > 0)
        (void)!write(STDERR_FILENO, text, (size_t)len);
    _exit(128 + SIGSYS);
}

static bool
trap_install(enum role role, struct err *err)
{
    struct sigaction action = { .sa_sigaction = trap_report, .sa_flags = SA_SIGINFO | SA_NODEFER };

    trap_role = role_name(role);
    if (sigaction(SIGSYS, &action, NULL) != 0)
        return err_set(err, ERR_DENIED, errno, "install the handler of forbidden syscalls");
    return true;
}

bool
jail_seccomp(const struct jail_spec *spec, struct jail_report *report, struct err *err)
{
    const uint32_t otherwise = spec->mode == JAIL_REQUIRED ? SCMP_ACT_KILL_PROCESS : SCMP_ACT_TRAP;
    struct filter filter = { .context = seccomp_init(otherwise) };

    if (filter.context == NULL)
        return err_set(err, ERR_UNSUPPORTED, 0, "seccomp is not available; sandbox \"off\" is the only mode that runs here");
    if (spec->mode != JAIL_REQUIRED && !trap_install(spec->role, err)) {
        seccomp_release(filter.context);
        return false;
    }
    filter.rc = seccomp_attr_set(filter.context, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
    if (filter.rc == 0)
        filter.rc = seccomp_attr_set(filter.context, SCMP_FLTATR_CTL_OPTIMIZE, 2);
    rules_of_role(&filter, spec->role);
    if (filter.rc == 0)
        filter.rc = seccomp_load(filter.context);
    seccomp_release(filter.context);
    if (filter.rc != 0)
        return err_set(err, ERR_UNSUPPORTED, -filter.rc, "load the syscall list");
    report_set(report, LAYER_SECCOMP, LAYER_ON, "allow list, otherwise %s",
               spec->mode == JAIL_REQUIRED ? "killed" : "named and ended");
    return true;
}
