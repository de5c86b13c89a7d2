/*
 * cgroup_run — are the limits of a room in force in the group that this program was started in?
 *
 * usage: cgroup_run NAME v1|v2 PARENT [threads]   our group must appear beneath PARENT, bite, and be gone at the end; "threads" tries
 *                                                 the limit of processes, too, which takes seconds
 *        cgroup_run NAME refused TEXT             there must be none, for a reason that has TEXT in it
 *        cgroup_run NAME partial TEXT             some limit is not to be had, and the report has TEXT in it
 * Prints a line "ok" or "FAIL" per check, each with NAME. It stands for the supervisor, what started it for the command line.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/jail/jail.h"

#define ROOM            "worker-test-0"
#define MEMORY_MB       32
#define CPU_PERCENT     20
#define THROTTLED_MIN   3          /* periods of 100 ms in which the kernel held the room back */
#define TRIES_MAX       1000       /* looks at the throttling, 10 ms apart */
#define STACK_BYTES     (16 * 1024)

static const char *situation;
static const char *parent;         /* the folder that our group must lie in */
static const char *version;        /* "v1" or "v2" */
static char program[512];

typedef int room_fn(int pipe_fd);
enum limits { LIMIT_PIDS, LIMIT_MEMORY, LIMIT_ALL };       /* a room that is held back would take its time with the others */

static void
check(bool ok, const char *what, const char *detail)
{
    printf("%-5s %s: %s%s%s\n", ok ? "ok" : "FAIL", situation, what, ok ? "" : ": ", ok ? "" : detail);
}

/* ---- rooms -------------------------------------------------------------------------------------------------------- */

static int
eat_memory(int pipe_fd)
{
    const size_t bytes = 2u * MEMORY_MB << 20;
    char *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    for (size_t i = 0; at != MAP_FAILED && i < bytes; i += 4096)
        at[i] = 1;
    return 0;
}

static void *
wait_for_ever(void *argument)
{
    for (;;)
        (void)pause();
    return argument;
}

static int
start_threads(int pipe_fd)
{
    pthread_attr_t attr;
    pthread_t thread;
    int count = 1;

    (void)pthread_attr_init(&attr);
    (void)pthread_attr_setstacksize(&attr, STACK_BYTES);
    while (count <= 2 * JAIL_PIDS_MAX && pthread_create(&thread, &attr, wait_for_ever, NULL) == 0)
        count++;
    return write(pipe_fd, &count, sizeof count) == (ssize_t)sizeof count ? 0 : 1;
}

static int
spin(int pipe_fd)
{
    static volatile unsigned turns;
    int ready = 0;

    if (write(pipe_fd, &ready, sizeof ready) != (ssize_t)sizeof ready)
        return 1;
    for (;;)
        turns++;
}

static int
end_at_once(int pipe_fd)
{
    return 0;
}

static NORETURN void
room_run(room_fn *fn, enum limits limits, int pipe_fd)
{
    struct jail_spec spec = { .role = ROLE_WORKER, .mode = JAIL_BEST, .exec_path = program, .cgroup = ROOM,
                              .memory_bytes_max = limits >= LIMIT_MEMORY ? (uint64_t)MEMORY_MB << 20 : 0,
                              .cpu_percent_max = limits == LIMIT_ALL ? CPU_PERCENT : 0 };
    struct jail_report report = { 0 };
    struct err err = { 0 };

    jail_user(&spec.uid, &spec.gid);
    (void)alarm(60);
    if (!jail_prepare(&spec, &report, &err))
        (void)fprintf(stderr, "jail_prepare: %s\n", err.message);
    if (write(pipe_fd, &report.layer[LAYER_CGROUP], sizeof report.layer[0]) != (ssize_t)sizeof report.layer[0])
        _exit(3);
    _exit(fn(pipe_fd));
}

struct room {
    pid_t pid;
    int   fd;
    bool  is_limited;              /* as asked, says the report */
    char  told[JAIL_REASON_MAX];   /* what it says of the groups */
};

static bool
number_read(const struct room *room, int *out)
{
    return read(room->fd, out, sizeof *out) == (ssize_t)sizeof *out;
}

static void
room_start(struct room *room, room_fn *fn, enum limits limits)
{
    struct jail_report report = { 0 };
    int fds[2];

    if (pipe(fds) != 0 || (room->pid = fork()) < 0)
        exit(3);
    if (room->pid == 0)
        room_run(fn, limits, fds[1]);
    (void)close(fds[1]);
    room->fd = fds[0];
    if (read(room->fd, &report.layer[0], sizeof report.layer[0]) != (ssize_t)sizeof report.layer[0])
        exit(3);
    room->is_limited = report.layer[0].state == LAYER_ON;
    (void)snprintf(room->told, sizeof room->told, "%s", report.layer[0].reason);
}

static int
room_end(struct room *room)
{
    int status = 0;

    (void)waitpid(room->pid, &status, 0);
    (void)close(room->fd);
    return status;
}

/* ---- checks ------------------------------------------------------------------------------------------------------- */

static void
check_memory(void)
{
    struct room room;
    char text[128];
    int status;

    room_start(&room, eat_memory, LIMIT_MEMORY);
    status = room_end(&room);
    (void)snprintf(text, sizeof text, "status %d, %llu kills counted", status, (unsigned long long)jail_cgroup_oom_kills(ROOM));
    check(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL && jail_cgroup_oom_kills(ROOM) == 1, "twice its memory kills a room, and is counted", text);
}

static void
check_pids(void)
{
    struct room room;
    char text[64];
    int count = 0;

    room_start(&room, start_threads, LIMIT_PIDS);
    (void)number_read(&room, &count);
    (void)room_end(&room);
    (void)snprintf(text, sizeof text, "%d threads", count);
    check(count == JAIL_PIDS_MAX, "threads end at their limit", text);
}

/* How often the kernel held back the group of PID. */
static long
throttled(pid_t pid)
{
    char path[512];
    char line[256];
    char group[256] = "";
    long count = -1;
    FILE *file;

    (void)snprintf(path, sizeof path, "/proc/%d/cgroup", (int)pid);
    file = fopen(path, "re");
    while (file != NULL && fgets(line, sizeof line, file) != NULL)
        if (strstr(line, strcmp(version, "v2") == 0 ? "0::" : ":cpu:") != NULL)
            (void)sscanf(strrchr(line, ':'), ":%255s", group);
    if (file != NULL)
        (void)fclose(file);
    (void)snprintf(path, sizeof path, "/sys/fs/cgroup%s%s/cpu.stat", strcmp(version, "v2") == 0 ? "" : "/cpu", group);
    file = fopen(path, "re");
    while (file != NULL && fgets(line, sizeof line, file) != NULL)
        (void)sscanf(line, "nr_throttled %ld", &count);
    if (file != NULL)
        (void)fclose(file);
    return count;
}

static void
check_cpu(void)
{
    struct room room;
    char text[128];
    long count = 0;
    int ready;

    room_start(&room, spin, LIMIT_ALL);
    (void)number_read(&room, &ready);
    for (int i = 0; i < TRIES_MAX && count < THROTTLED_MIN; i++) {
        (void)poll(NULL, 0, 10);
        count = throttled(room.pid);
    }
    (void)kill(room.pid, SIGKILL);
    (void)room_end(&room);
    (void)snprintf(text, sizeof text, "throttled %ld times", count);
    check(count >= THROTTLED_MIN, "a busy room is held back", text);
    (void)snprintf(text, sizeof text, "%s: memory (%d MiB), cpu (%d %%), pids (%d)", version, MEMORY_MB, CPU_PERCENT, JAIL_PIDS_MAX);
    check(room.is_limited && strcmp(room.told, text) == 0, "the report names the limits", room.told);
}

static bool
has_group(long pid)
{
    struct stat st;
    char path[512];

    (void)snprintf(path, sizeof path, "%s/dormouse-%ld", parent, pid);
    return stat(path, &st) == 0;
}

/* A supervisor that dies with its room's group made; only where it stays outside of its group. */
static long
crash(void)
{
    struct err err = { 0 };
    struct room room;
    pid_t pid = fork();

    if (pid == 0) {
        if (jail_cgroup_open(&err)) {
            room_start(&room, end_at_once, LIMIT_ALL);
            (void)room_end(&room);
        }
        (void)raise(SIGKILL);
    }
    (void)waitpid(pid, NULL, 0);
    return pid;
}

static bool
is_within(pid_t pid, const char *folder)
{
    char path[512];
    char procs[8192];
    char word[32];
    ssize_t len;
    int fd;

    (void)snprintf(path, sizeof path, "%s/cgroup.procs", folder);
    (void)snprintf(word, sizeof word, "\n%d\n", (int)pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    procs[0] = '\n';
    len = fd < 0 ? 0 : read(fd, procs + 1, sizeof procs - 2);
    procs[1 + (len > 0 ? len : 0)] = '\0';
    (void)close(fd);
    return strstr(procs, word) != NULL;
}

static void
check_all(bool has_time)
{
    const bool is_delegated = is_within(getpid(), parent);   /* nobody but us is in it: we have to leave it for a leaf */
    const bool has_shell = is_within(getppid(), parent);
    const bool stays = strcmp(parent, "/sys/fs/cgroup") == 0 || strcmp(version, "v1") == 0;
    struct err err = { 0 };
    long crashed = stays ? crash() : 0;

    if (crashed != 0)
        check(has_group(crashed), "a killed supervisor leaves its group behind", "it did not: nothing is proven");
    check(jail_cgroup_open(&err), "there are groups", err.message);
    check(has_group(getpid()), "our group is where it should be", parent);
    if (crashed != 0)
        check(!has_group(crashed), "the next one removes it", "it is still there");
    if (!stays)
        check(is_delegated && !is_within(getpid(), parent) && !is_within(getppid(), parent), "we have left the group that is divided", "we are in it");
    check_memory();
    if (has_time)
        check_pids();
    check_cpu();
    jail_cgroup_remove(ROOM);
    jail_cgroup_close();
    check(!has_group(getpid()), "nothing is left of our group", "it is still there");
    if (!stays)
        check(is_within(getpid(), parent) && is_within(getppid(), parent) == has_shell, "we are where we were", "we are not");
}

static void
check_partial(const char *text)
{
    struct err err = { 0 };
    struct room room;

    check(jail_cgroup_open(&err), "there are groups", err.message);
    room_start(&room, end_at_once, LIMIT_ALL);
    (void)room_end(&room);
    check(!room.is_limited && strstr(room.told, text) != NULL, "the report names what is missing and what is there", room.told);
    jail_cgroup_remove(ROOM);
    jail_cgroup_close();
}

int
main(int argc, char **argv)
{
    struct err err = { 0 };
    ssize_t len = readlink("/proc/self/exe", program, sizeof program - 1);

    (void)setvbuf(stdout, NULL, _IOLBF, 0);
    if ((argc != 4 && argc != 5) || len < 0) {
        (void)fprintf(stderr, "usage: cgroup_run NAME v1|v2 PARENT [threads] | NAME refused|partial TEXT\n");
        return 2;
    }
    situation = argv[1];
    version = argv[2];
    parent = argv[3];
    if (strcmp(version, "refused") == 0)
        check(!jail_cgroup_open(&err) && strstr(err.message, parent) != NULL, "no groups, and why", err.message);
    else if (strcmp(version, "partial") == 0)
        check_partial(parent);
    else
        check_all(argc == 5);
    return 0;
}
