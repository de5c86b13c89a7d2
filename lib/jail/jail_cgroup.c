/*
 * jail_cgroup — memory, processor and process limits per room, with cgroup v1, v2 or both mounted (hybrid).
 *
 * The supervisor opens one group of ours; each room's child joins a group beneath it before it drops its privileges.
 * v2 allows processes in leaves only, so the supervisor (and the command line that started it) moves into a leaf first.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/jail/jail_internal.h"
#include "lib/sys/sys.h"

#define FILE_MAX        (64 * 1024)    /* /proc/self/mountinfo of a busy host */
#define CPU_PERIOD_US   100000         /* the kernel's default period */
#define LEAF            "supervisor"
#define PREFIX          "dormouse-"

enum controller { CTL_MEMORY, CTL_CPU, CTL_PIDS, CONTROLLERS };
static const char *const controller_names[CONTROLLERS] = { "memory", "cpu", "pids" };

static struct {
    enum { GROUP_NONE, GROUP_V1, GROUP_V2 } kind;
    char base[CONTROLLERS][PATH_MAX / 2];  /* v1: one folder per controller ("" when absent); v2: all the same */
    char reason[JAIL_REASON_MAX];          /* why GROUP_NONE */
} group = { .reason = "not opened" };

static bool
file_read(const char *path, char *out, size_t size)
{
    int fd = sys_open(path, O_RDONLY, 0);
    size_t len = 0;
    ssize_t n = 0;

    if (fd < 0)
        return false;
    while (len < size - 1 && (n = sys_read(fd, out + len, size - 1 - len)) > 0)
        len += (size_t)n;
    sys_close(fd);
    out[len] = '\0';
    return n >= 0;
}

static bool
file_write(const char *folder, const char *name, const char *text)
{
    char path[PATH_MAX + NAME_MAX];

    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    return jail_file_write(path, text);
}

/* Is WORD one of the items of LIST, separated by SEPARATOR? */
static bool
list_has(const char *list, const char *word, char separator)
{
    size_t len = strlen(word);

    for (const char *at = list; at != NULL && *at != '\0'; at = strchr(at, separator), at = at != NULL ? at + 1 : NULL)
        if (strncmp(at, word, len) == 0 && (at[len] == separator || at[len] == '\0' || at[len] == '\n'))
            return true;
    return false;
}

/* Where a hierarchy is mounted: TYPE "cgroup2", or "cgroup" with CONTROLLER among its options. */
static bool
mount_find(char *mounts, const char *type, const char *controller, char *out_path, size_t size)
{
    char *save = NULL;

    for (char *line = strtok_r(mounts, "\n", &save); line != NULL; line = strtok_r(NULL, "\n", &save)) {
        char *tail = strstr(line, " - ");
        char kind[32];
        char options[512];
        char root[PATH_MAX / 4];
        char point[PATH_MAX / 4];

        if (tail == NULL || sscanf(tail, " - %31s %*s %511s", kind, options) != 2 || strcmp(kind, type) != 0)
            continue;
        if (controller != NULL && !list_has(options, controller, ','))
            continue;
        if (sscanf(line, "%*s %*s %*s %1023s %1023s", root, point) != 2)
            continue;
        (void)snprintf(out_path, size, "%s", point);
        return true;
    }
    return false;
}

/* Our own place in a hierarchy, from /proc/self/cgroup: lines of "number:controllers:path". */
static bool
place_find(char *places, const char *controller, char *out_path, size_t size)
{
    char *save = NULL;

    for (char *line = strtok_r(places, "\n", &save); line != NULL; line = strtok_r(NULL, "\n", &save)) {
        char *names = strchr(line, ':');
        char *path = names != NULL ? strchr(names + 1, ':') : NULL;

        if (path == NULL)
            continue;
        *path++ = '\0';
        names++;
        if (controller == NULL ? names[0] == '\0' : list_has(names, controller, ',')) {
            (void)snprintf(out_path, size, "%s", strcmp(path, "/") == 0 ? "" : path);
            return true;
        }
    }
    return false;
}

static bool
hierarchy_find(const char *controller, char *out_folder, size_t size)
{
    char *text = malloc(FILE_MAX);
    char point[PATH_MAX / 4];
    char place[PATH_MAX / 4];
    bool ok = text != NULL && file_read("/proc/self/mountinfo", text, FILE_MAX) &&
              mount_find(text, controller == NULL ? "cgroup2" : "cgroup", controller, point, sizeof point) &&
              file_read("/proc/self/cgroup", text, FILE_MAX) && place_find(text, controller, place, sizeof place);

    free(text);
    if (!ok)
        return false;
    (void)snprintf(out_folder, size, "%s%s", point, place);
    if (access(out_folder, F_OK) != 0)                       /* a container shows the mount, not our place in it */
        (void)snprintf(out_folder, size, "%s", point);
    return true;
}

static bool
folder_make(const char *path)
{
    return sys_mkdirat(AT_FDCWD, path, 0755) == 0 || errno == EEXIST;
}

/* Moves the processes of the group FROM into TO, when all of them are ours: this process and the one that started it. */
static bool
leaf_enter(const char *from, const char *to)
{
    char pids[4096];
    char path[PATH_MAX];
    char *save = NULL;
    bool has_parent = false;

    (void)snprintf(path, sizeof path, "%s/cgroup.procs", from);
    if (!file_read(path, pids, sizeof pids))
        return false;
    for (char *pid = strtok_r(pids, "\n", &save); pid != NULL; pid = strtok_r(NULL, "\n", &save)) {
        long number = strtol(pid, NULL, 10);

        has_parent = has_parent || number == getppid();
        if (number != getpid() && number != getppid()) {
            errno = EBUSY;
            return false;
        }
    }
    (void)snprintf(pids, sizeof pids, "%d", (int)getppid());
    return file_write(to, "cgroup.procs", "0") && (!has_parent || file_write(to, "cgroup.procs", pids));
}

static bool
open_v2(void)
{
    char base[PATH_MAX / 2];
    char leaf[PATH_MAX];
    char have[512];

    if (!hierarchy_find(NULL, base, sizeof base))
        return false;
    (void)snprintf(leaf, sizeof leaf, "%s/cgroup.controllers", base);
    if (!file_read(leaf, have, sizeof have) || !list_has(have, "memory", ' ') || !list_has(have, "pids", ' '))
        return false;
    (void)snprintf(leaf, sizeof leaf, "%s/" LEAF, base);
    if (!folder_make(leaf) || !leaf_enter(base, leaf) ||
        !file_write(base, "cgroup.subtree_control", list_has(have, "cpu", ' ') ? "+memory +pids +cpu" : "+memory +pids")) {
        (void)snprintf(group.reason, sizeof group.reason, "cgroup v2 '%.60s': %s; run as a service with Delegate=yes", base,
                       strerror(errno));
        (void)rmdir(leaf);                                   /* not empty once we are in it */
        return false;
    }
    for (int i = 0; i < CONTROLLERS; i++)
        (void)snprintf(group.base[i], sizeof group.base[i], "%s", base);
    group.kind = GROUP_V2;
    return true;
}

/* Groups that a killed supervisor left behind: named after its process id, empty since its rooms died with it. */
static void
stale_remove(const char *folder)
{
    DIR *dir = opendir(folder);
    struct dirent *entry;

    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        char path[PATH_MAX];
        long pid = strncmp(entry->d_name, PREFIX, strlen(PREFIX)) == 0 ? strtol(entry->d_name + strlen(PREFIX), NULL, 10) : 0;
        DIR *rooms;

        if (pid <= 0 || kill((pid_t)pid, 0) == 0 || errno != ESRCH)
            continue;
        (void)snprintf(path, sizeof path, "%s/%s", folder, entry->d_name);
        rooms = opendir(path);
        while (rooms != NULL && (entry = readdir(rooms)) != NULL)
            if (entry->d_type == DT_DIR && entry->d_name[0] != '.')
                (void)unlinkat(dirfd(rooms), entry->d_name, AT_REMOVEDIR);   /* not empty: still in use, stays */
        if (rooms != NULL)
            (void)closedir(rooms);
        (void)rmdir(path);
    }
    if (dir != NULL)
        (void)closedir(dir);
}

static bool
open_v1(void)
{
    char folder[PATH_MAX / 4];

    for (int i = 0; i < CONTROLLERS; i++) {
        group.base[i][0] = '\0';
        if (!hierarchy_find(controller_names[i], folder, sizeof folder))
            continue;
        (void)snprintf(group.base[i], sizeof group.base[i], "%s/" PREFIX "%d", folder, (int)getpid());
        stale_remove(folder);
        if (folder_make(group.base[i])) {
            group.kind = GROUP_V1;
            continue;
        }
        (void)snprintf(group.reason, sizeof group.reason, "cgroup v1 '%.60s': %s", folder, strerror(errno));
        group.base[i][0] = '\0';
    }
    return group.kind == GROUP_V1;
}

bool
jail_cgroup_open(struct err *err)
{
    group.kind = GROUP_NONE;
    (void)snprintf(group.reason, sizeof group.reason, "no memory and pids controllers are mounted");
    if (open_v2() || open_v1())
        return true;
    return err_set(err, ERR_UNSUPPORTED, 0, "%s", group.reason);
}

static bool
folder_of(enum controller controller, const char *cgroup, char *out_path, size_t size)
{
    if (group.kind == GROUP_NONE || group.base[controller][0] == '\0')
        return false;
    (void)snprintf(out_path, size, "%s/%s", group.base[controller], cgroup);
    return true;
}

static bool
limit_memory(const char *folder, uint64_t bytes)
{
    char text[32];

    if (bytes == 0)
        return true;
    (void)snprintf(text, sizeof text, "%llu", (unsigned long long)bytes);
    return file_write(folder, group.kind == GROUP_V2 ? "memory.max" : "memory.limit_in_bytes", text);
}

static bool
limit_cpu(const char *folder, uint32_t percent)
{
    char text[48];

    if (percent == 0)
        return true;
    if (group.kind == GROUP_V2) {
        (void)snprintf(text, sizeof text, "%u %d", percent * (CPU_PERIOD_US / 100), CPU_PERIOD_US);
        return file_write(folder, "cpu.max", text);
    }
    (void)snprintf(text, sizeof text, "%u", percent * (CPU_PERIOD_US / 100));
    return file_write(folder, "cpu.cfs_quota_us", text);
}

static bool
limit_apply(enum controller controller, const char *folder, const struct jail_spec *spec)
{
    char pids[16];

    switch (controller) {
    case CTL_MEMORY:
        return limit_memory(folder, spec->memory_bytes_max);
    case CTL_CPU:
        return limit_cpu(folder, spec->cpu_percent_max);
    case CTL_PIDS:
    case CONTROLLERS:
        break;
    }
    (void)snprintf(pids, sizeof pids, "%d", JAIL_PIDS_MAX);
    return file_write(folder, "pids.max", pids);
}

bool
jail_cgroup_join(const struct jail_spec *spec, struct jail_report *report)
{
    char folder[PATH_MAX];
    char joined[64] = "";

    if (spec->cgroup == NULL || group.kind == GROUP_NONE) {
        report_set(report, LAYER_CGROUP, LAYER_ABSENT, "%s", spec->cgroup == NULL ? "no group was named" : group.reason);
        return false;
    }
    for (int i = 0; i < CONTROLLERS; i++) {
        if (!folder_of((enum controller)i, spec->cgroup, folder, sizeof folder))
            continue;
        if (!folder_make(folder) || !limit_apply((enum controller)i, folder, spec) || !file_write(folder, "cgroup.procs", "0")) {
            report_set(report, LAYER_CGROUP, LAYER_ABSENT, "cgroup '%.80s' refused: %s", folder, strerror(errno));
            return false;
        }
        (void)snprintf(joined + strlen(joined), sizeof joined - strlen(joined), " %s", controller_names[i]);
    }
    report_set(report, LAYER_CGROUP, LAYER_ON, "v%d:%s", group.kind == GROUP_V2 ? 2 : 1, joined);
    return true;
}

void
jail_cgroup_remove(const char *cgroup)
{
    char folder[PATH_MAX];

    for (int i = 0; i < CONTROLLERS; i++)
        if (folder_of((enum controller)i, cgroup, folder, sizeof folder))
            (void)rmdir(folder);                             /* not empty or gone already: nothing to do */
}

uint64_t
jail_cgroup_oom_kills(const char *cgroup)
{
    char folder[PATH_MAX];
    char path[PATH_MAX + 32];
    char text[4096];
    const char *at;

    if (!folder_of(CTL_MEMORY, cgroup, folder, sizeof folder))
        return 0;
    (void)snprintf(path, sizeof path, "%s/%s", folder, group.kind == GROUP_V2 ? "memory.events" : "memory.oom_control");
    if (!file_read(path, text, sizeof text) || (at = strstr(text, "oom_kill ")) == NULL)
        return 0;
    return strtoull(at + strlen("oom_kill "), NULL, 10);
}

void
jail_cgroup_close(void)
{
    for (int i = 0; group.kind == GROUP_V1 && i < CONTROLLERS; i++)
        if (group.base[i][0] != '\0')
            (void)rmdir(group.base[i]);
    group.kind = GROUP_NONE;
}
