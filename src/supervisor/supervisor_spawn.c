/*
 * supervisor_spawn — see supervisor_spawn.h.
 */
#include "src/supervisor/supervisor_spawn.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/close_range.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "lib/sys/sys.h"

#define LINK_FD      3             /* lib/ipc/room.h */
#define ENV_MAX      32            /* variables handed on */
#define FIRST_FREE   10            /* descriptors move up here first, so that 0 to 3 can be laid out */

/* Nothing secret can be in these. Sanitizers and failpoints: builds for tests. The certificate store: egress only reads it. */
static const char *const env_names[] = { "PATH", "LANG", "LC_ALL", "TZ", "ASAN_OPTIONS", "UBSAN_OPTIONS", "LSAN_OPTIONS",
                                         "FAILPOINTS", "SSL_CERT_FILE", "SSL_CERT_DIR", NULL };

extern char **environ;

static void
env_pick(char **out_env)
{
    size_t count = 0;

    for (char **var = environ; *var != NULL && count < ENV_MAX; var++)
        for (const char *const *name = env_names; *name != NULL; name++)
            if (strncmp(*var, *name, strlen(*name)) == 0 && (*var)[strlen(*name)] == '=')
                out_env[count++] = *var;
    out_env[count] = NULL;
}

static bool
descriptors_lay_out(int link_fd, int *report_fd, struct err *err)
{
    int null_fd = sys_open("/dev/null", O_RDWR, 0);
    int high_link = fcntl(link_fd, F_DUPFD_CLOEXEC, FIRST_FREE);
    int high_report = fcntl(*report_fd, F_DUPFD_CLOEXEC, FIRST_FREE);

    if (null_fd < 0 || high_link < 0 || high_report < 0)
        return err_set(err, ERR_IO, errno, "prepare descriptors");
    if (dup2(null_fd, STDIN_FILENO) < 0 || dup2(high_link, LINK_FD) < 0)
        return err_set(err, ERR_IO, errno, "lay out descriptors");
    *report_fd = high_report;
    /* Close-on-exec for all others, rather than closed: the report must get through until exec. */
    if (syscall(SYS_close_range, LINK_FD + 1, ~0u, CLOSE_RANGE_CLOEXEC) != 0)
        return err_set(err, ERR_UNSUPPORTED, errno, "close_range (Linux 5.11 or later is needed)");
    return true;
}

static void
signals_reset(void)
{
    sigset_t none;

    (void)sigemptyset(&none);
    (void)sigprocmask(SIG_SETMASK, &none, NULL);
    for (int signo = 1; signo < NSIG; signo++)
        (void)signal(signo, SIG_DFL);                        /* refused for KILL, STOP and the C library's own: fine */
}

/* An agent's worker goes first when memory runs out: it restarts, and loses nothing that was acknowledged. */
static void
oom_score_raise(enum role role)
{
    int fd = role == ROLE_WORKER ? sys_open("/proc/self/oom_score_adj", O_WRONLY, 0) : -1;

    if (fd >= 0)
        (void)sys_write(fd, "500", 3);                       /* a preference; without it the kernel's own choice holds */
    sys_close(fd);
}

static bool
die_with_parent(pid_t parent, struct err *err)
{
    /* After the change of user, which clears it. The parent may be gone already: then nobody would tell us. */
    if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) != 0)
        return err_set(err, ERR_DENIED, errno, "set the parent-death signal");
    return getppid() == parent ? true : err_set(err, ERR_LOST, 0, "the supervisor is gone");
}

static void
program_run(const struct spawn_spec *spec, int program_fd, struct err *err)
{
    char index[8];
    char *env[ENV_MAX + 1];
    char *args[] = { (char *)spec->jail.exec_path, index, (char *)spec->app, NULL };

    (void)snprintf(index, sizeof index, "%u", (unsigned)spec->index);
    env_pick(env);
    (void)execve(spec->jail.exec_path, args, env);
    if (errno == EACCES)                                     /* beneath a closed folder, without a root of its own */
        (void)syscall(SYS_execveat, program_fd, "", args, env, AT_EMPTY_PATH);
    (void)err_set(err, ERR_IO, errno, "run '%s'", spec->jail.exec_path);
}

static NORETURN void
child_run(const struct spawn_spec *spec, pid_t parent, int link_fd, int report_fd)
{
    struct spawn_report report = { .is_ok = true };
    int low_fd = sys_open(spec->jail.exec_path, O_PATH, 0);
    int program_fd = low_fd < 0 ? -1 : fcntl(low_fd, F_DUPFD_CLOEXEC, FIRST_FREE);

    if (spec->probed != NULL)
        report.jail = *spec->probed;
    if (program_fd < 0)
        (void)err_set(&report.err, ERR_IO, errno, "open the program '%s'", spec->jail.exec_path);
    signals_reset();
    (void)setsid();                                          /* a fresh fork is no group leader: cannot fail */
    oom_score_raise(spec->jail.role);
    if (program_fd < 0)
        report.is_ok = false;
    else if (descriptors_lay_out(link_fd, &report_fd, &report.err) &&
             jail_prepare(&spec->jail, &report.jail, &report.err) && die_with_parent(parent, &report.err)) {
        (void)sys_write_all(report_fd, &report, sizeof report);
        program_run(spec, program_fd, &report.err);
    }
    report.is_ok = false;
    (void)sys_write_all(report_fd, &report, sizeof report);
    _exit(127);
}

bool
room_spawn(const struct spawn_spec *spec, struct spawned *out_spawned, struct err *err)
{
    const pid_t parent = getpid();
    int link_fds[2];
    int report_fds[2];
    pid_t pid;

    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, link_fds) != 0)
        return err_set(err, ERR_LIMIT, errno, "open a link");
    if (pipe2(report_fds, O_CLOEXEC | O_NONBLOCK) != 0) {
        sys_close(link_fds[0]);
        sys_close(link_fds[1]);
        return err_set(err, ERR_LIMIT, errno, "open a pipe");
    }
    pid = fork();
    if (pid == 0)
        child_run(spec, parent, link_fds[1], report_fds[1]);
    sys_close(link_fds[1]);
    sys_close(report_fds[1]);
    *out_spawned = (struct spawned){ pid, pid < 0 ? -1 : (int)syscall(SYS_pidfd_open, pid, 0), link_fds[0], report_fds[0] };
    if (pid > 0 && out_spawned->pid_fd >= 0)
        return true;
    (void)err_set(err, ERR_LIMIT, errno, "%s", pid < 0 ? "start a process" : "watch a process");
    if (pid > 0)
        (void)kill(pid, SIGKILL);
    sys_close(link_fds[0]);
    sys_close(report_fds[0]);
    return false;
}
