/*
 * jail_cgroup — memory, processor and process limits per room, with cgroup v1, v2 or both mounted (hybrid).
 *
 * The supervisor makes one group of ours, "dormouse-PID"; each room's child joins a group beneath it before it drops its
 * privileges. With v1 ours lies in the group we were started in. So it does with v2 when that group holds nobody but us (a
 * service or scope with Delegate=yes, a container): since v2 wants processes in leaves only, we move into a leaf of ours then.
 * Else root makes it beneath the root of the mount, and stays where it is.
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

#define CPU_PERIOD_US   100000         /* the kernel's default period */
#define PREFIX          "dormouse-"
#define LEAF            "supervisor"   /* beneath our group, with v2 in a delegated group: where we are */
#define LIMITS_MAX      96             /* "memory (1234567890 MiB), cpu (102400 %), pids (512)" */

enum controller { CTL_MEMORY, CTL_CPU, CTL_PIDS, CONTROLLERS };
static const char *const controller_names[CONTROLLERS] = { "memory", "cpu", "pids" };

static struct {
    enum { GROUP_NONE, GROUP_V1, GROUP_V2 } kind;
    char base[CONTROLLERS][PATH_MAX / 2 + NAME_MAX];   /* our group; v1: one per controller; v2: all the same; "" where there is none */
    char delegated[PATH_MAX / 2];          /* v2: the group that we left for a leaf of ours; "" when we stayed where we were */
    char reason[JAIL_REASON_MAX];          /* why GROUP_NONE */
} group = { .reason = "not opened" };

static bool
file_write(const char *folder, const char *name, const char *text)
{
    char path[PATH_MAX + NAME_MAX];

    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    return jail_file_write(path, text);
}

static bool
text_read(const char *folder, const char *name, char *out, size_t size)
{
    char path[PATH_MAX + NAME_MAX];

    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    return sys_read_text(path, out, size);
}

static bool
folder_make(const char *path)
{
    return sys_mkdirat(AT_FDCWD, path, 0755) == 0 || errno == EEXIST;
}

/* ---- processes of a group (v2) ------------------------------------------------------------------------------------ */

static long
parent_of(long pid)
{
    char path[32];
    char stat[512];
    const char *tail;
    long parent = 0;

    (void)snprintf(path, sizeof path, "/proc/%ld/stat", pid);
    if (!sys_read_text(path, stat, sizeof stat) || (tail = strrchr(stat, ')')) == NULL)   /* a name may hold anything */
        return 0;
    return sscanf(tail, ") %*c %ld", &parent) == 1 ? parent : 0;
}

/* Is PID this process, or the command line that started it, or one of its other children (the bundler, and what that starts)? */
static bool
process_is_ours(long pid)
{
    const long parent = getppid();

    if (pid == getpid())
        return true;
    for (int i = 0; i < JAIL_GENERATIONS_MAX && pid > 1; i++, pid = parent_of(pid))
        if (pid == parent)
            return true;
    return false;
}

typedef bool process_fn(long pid, const char *to);

/* Calls FN for each process of the group FROM; their number, or -1 as soon as FN says no. */
static int
processes_each(const char *from, process_fn *fn, const char *to)
{
    char *text = malloc(JAIL_PROC_FILE_MAX);
    int count = 0;

    if (text == NULL || !text_read(from, "cgroup.procs", text, JAIL_PROC_FILE_MAX))
        count = -1;
    for (char *line = text, *end; count >= 0 && (end = strchr(line, '\n')) != NULL; line = end + 1)
        count = fn(strtol(line, NULL, 10), to) ? count + 1 : -1;
    free(text);
    return count;
}

static bool
process_check(long pid, const char *to)
{
    bool is_ours = process_is_ours(pid);

    errno = EBUSY;
    return is_ours;
}

static bool
process_move(long pid, const char *to)
{
    char text[24];

    (void)snprintf(text, sizeof text, "%ld", pid);
    return file_write(to, "cgroup.procs", text) || errno == ESRCH;   /* it has just ended */
}

/* Moves all processes of the group FROM into TO, until none is left: a moved one may just have forked. */
static bool
processes_move(const char *from, const char *to)
{
    int count = 1;

    for (int i = 0; i < JAIL_MOVES_MAX && count > 0; i++)
        count = processes_each(from, process_move, to);
    return count == 0;
}

/* ---- our group ---------------------------------------------------------------------------------------------------- */

/* Groups that a killed supervisor left behind: named after its process id, empty since its rooms died with it. One with our
 * own id is from before us, too. */
static void
stale_remove(const char *folder)
{
    DIR *dir = opendir(folder);
    struct dirent *entry;

    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        char path[PATH_MAX];
        long pid = strncmp(entry->d_name, PREFIX, strlen(PREFIX)) == 0 ? strtol(entry->d_name + strlen(PREFIX), NULL, 10) : 0;
        DIR *rooms;

        if (pid <= 0 || (pid != getpid() && (kill((pid_t)pid, 0) == 0 || errno != ESRCH)))
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

/* Has the group FOLDER the controllers that we cannot do without? */
static bool
has_controllers(const char *folder)
{
    char have[512];

    return text_read(folder, "cgroup.controllers", have, sizeof have) && jail_list_has(have, "memory", ' ') &&
           jail_list_has(have, "pids", ' ');
}

/* Hands the controllers of the group FOLDER down to the groups beneath it. The processor's may be missing. */
static bool
controllers_hand_down(const char *folder)
{
    return file_write(folder, "cgroup.subtree_control", "+memory +pids") &&
           (file_write(folder, "cgroup.subtree_control", "+cpu") || errno == ENOENT || errno == EINVAL);
}

/* One at a time: a controller that is not there refuses all of a line. */
static void
controllers_take_back(const char *folder)
{
    (void)file_write(folder, "cgroup.subtree_control", "-memory");
    (void)file_write(folder, "cgroup.subtree_control", "-pids");
    (void)file_write(folder, "cgroup.subtree_control", "-cpu");
}

enum where { WHERE_STAY, WHERE_LEAF };     /* are we to move into our group? */

static void
undo_v2(const char *parent, const char *ours, const char *leaf, enum where where)
{
    if (where == WHERE_LEAF) {
        controllers_take_back(ours);
        controllers_take_back(parent);
        (void)processes_move(leaf, parent);                  /* what stays behind keeps the groups; harmless */
        (void)rmdir(leaf);
    }
    (void)rmdir(ours);
}

/* Makes our group beneath PARENT and readies it for rooms. False with errno. */
static bool
group_make_v2(const char *parent, enum where where)
{
    char ours[sizeof group.base[0]];
    char leaf[PATH_MAX];
    char have[512];
    int reason;

    (void)snprintf(ours, sizeof ours, "%s/" PREFIX "%d", parent, (int)getpid());
    (void)snprintf(leaf, sizeof leaf, "%s/" LEAF, ours);
    if (where == WHERE_LEAF && processes_each(parent, process_check, NULL) < 0)
        return false;
    stale_remove(parent);
    if (!folder_make(ours) || (where == WHERE_LEAF && (!folder_make(leaf) || !processes_move(parent, leaf))) ||
        !controllers_hand_down(parent) || !controllers_hand_down(ours) || !text_read(ours, "cgroup.subtree_control", have, sizeof have)) {
        reason = errno;
        undo_v2(parent, ours, leaf, where);
        errno = reason;
        return false;
    }
    for (int i = 0; i < CONTROLLERS; i++)
        (void)snprintf(group.base[i], sizeof group.base[i], "%s", jail_list_has(have, controller_names[i], ' ') ? ours : "");
    (void)snprintf(group.delegated, sizeof group.delegated, "%s", where == WHERE_LEAF ? parent : "");
    group.kind = GROUP_V2;
    return true;
}

static bool
open_v2(void)
{
    struct jail_hierarchy v2;
    char type[64];

    if (!jail_hierarchy_find(NULL, &v2) || !has_controllers(v2.root))
        return false;                                        /* hybrid: v1 has them */
    /* The root of all groups is nobody's to take, even if nobody else were in it; it is the only one without a type. */
    if (text_read(v2.own, "cgroup.type", type, sizeof type) && has_controllers(v2.own) && group_make_v2(v2.own, WHERE_LEAF))
        return true;
    if (jail_is_root() && group_make_v2(v2.root, WHERE_STAY))
        return true;
    if (!jail_is_root() && !has_controllers(v2.own))
        errno = EACCES;
    (void)snprintf(group.reason, sizeof group.reason, "cgroup v2 '%.40s': %.45s; run %sas a service with Delegate=yes",
                   jail_is_root() ? v2.root : v2.own, errno == EBUSY ? "there are processes of others in it" : strerror(errno),
                   jail_is_root() ? "" : "as root, or ");
    return false;
}

static bool
open_v1(void)
{
    struct jail_hierarchy v1;

    for (int i = 0; i < CONTROLLERS; i++) {
        group.base[i][0] = '\0';
        if (!jail_hierarchy_find(controller_names[i], &v1))
            continue;
        (void)snprintf(group.base[i], sizeof group.base[i], "%s/" PREFIX "%d", v1.own, (int)getpid());
        stale_remove(v1.own);
        if (folder_make(group.base[i])) {
            group.kind = GROUP_V1;
            continue;
        }
        (void)snprintf(group.reason, sizeof group.reason, "cgroup v1 '%.60s': %s", v1.own, strerror(errno));
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

void
jail_cgroup_close(void)
{
    char leaf[PATH_MAX];

    if (group.kind == GROUP_V2) {
        (void)snprintf(leaf, sizeof leaf, "%s/" LEAF, group.base[CTL_MEMORY]);
        undo_v2(group.delegated, group.base[CTL_MEMORY], leaf, group.delegated[0] != '\0' ? WHERE_LEAF : WHERE_STAY);
    }
    for (int i = 0; group.kind == GROUP_V1 && i < CONTROLLERS; i++)
        if (group.base[i][0] != '\0')
            (void)rmdir(group.base[i]);
    group.kind = GROUP_NONE;
}

/* ---- a room's group ----------------------------------------------------------------------------------------------- */

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
    const bool is_v2 = group.kind == GROUP_V2;
    char text[32];

    if (bytes == 0)
        return true;
    (void)snprintf(text, sizeof text, "%llu", (unsigned long long)bytes);
    if (!file_write(folder, is_v2 ? "memory.max" : "memory.limit_in_bytes", text))
        return false;
    /* Swap is no way around the limit. Where the kernel does not count it, there is no such file. */
    (void)file_write(folder, is_v2 ? "memory.swap.max" : "memory.memsw.limit_in_bytes", is_v2 ? "0" : text);
    return true;
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

/* Appends what CONTROLLER does for this room: "memory (256 MiB)". */
static void
limit_name(enum controller controller, const struct jail_spec *spec, char *limits)
{
    char limit[32] = "";

    if (controller == CTL_MEMORY && spec->memory_bytes_max > 0)
        (void)snprintf(limit, sizeof limit, " (%llu MiB)", (unsigned long long)spec->memory_bytes_max >> 20);
    else if (controller == CTL_CPU && spec->cpu_percent_max > 0)
        (void)snprintf(limit, sizeof limit, " (%u %%)", spec->cpu_percent_max);
    else if (controller == CTL_PIDS)
        (void)snprintf(limit, sizeof limit, " (%d)", JAIL_PIDS_MAX);
    (void)snprintf(limits + strlen(limits), LIMITS_MAX - strlen(limits), "%s%s%s", limits[0] != '\0' ? ", " : "",
                   controller_names[controller], limit);
}

static bool
is_asked_for(enum controller controller, const struct jail_spec *spec)
{
    return controller == CTL_MEMORY ? spec->memory_bytes_max > 0 : controller == CTL_CPU && spec->cpu_percent_max > 0;
}

bool
jail_cgroup_join(const struct jail_spec *spec, struct jail_report *report)
{
    const char *missing = NULL;
    char folder[PATH_MAX];
    char limits[LIMITS_MAX] = "";

    if (spec->cgroup == NULL || group.kind == GROUP_NONE) {
        report_set(report, LAYER_CGROUP, LAYER_ABSENT, "%s", spec->cgroup == NULL ? "no group was named" : group.reason);
        return false;
    }
    for (int i = 0; i < CONTROLLERS; i++) {
        if (!folder_of((enum controller)i, spec->cgroup, folder, sizeof folder)) {
            missing = is_asked_for((enum controller)i, spec) ? controller_names[i] : missing;
            continue;
        }
        if (!folder_make(folder) || !limit_apply((enum controller)i, folder, spec) || !file_write(folder, "cgroup.procs", "0")) {
            report_set(report, LAYER_CGROUP, LAYER_ABSENT, "cgroup '%.80s' refused: %s", folder, strerror(errno));
            return false;
        }
        limit_name((enum controller)i, spec, limits);
    }
    if (missing != NULL)
        report_set(report, LAYER_CGROUP, LAYER_ABSENT, "%s is not limited as asked: the controller is missing, or not delegated; in force: %s", missing, limits);
    else
        report_set(report, LAYER_CGROUP, LAYER_ON, "v%d: %s", group.kind == GROUP_V2 ? 2 : 1, limits);
    return missing == NULL;
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
    char text[4096];
    const char *at;

    if (!folder_of(CTL_MEMORY, cgroup, folder, sizeof folder))
        return 0;
    if (!text_read(folder, group.kind == GROUP_V2 ? "memory.events" : "memory.oom_control", text, sizeof text) ||
        (at = strstr(text, "oom_kill ")) == NULL)
        return 0;
    return strtoull(at + strlen("oom_kill "), NULL, 10);
}

bool
jail_cgroup_memory_folder(const char *room, char *out_path, size_t size)
{
    return folder_of(CTL_MEMORY, room, out_path, size);
}
