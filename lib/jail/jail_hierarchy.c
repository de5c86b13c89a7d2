/*
 * jail_hierarchy — where a cgroup hierarchy is mounted, and where we are in it.
 */
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/jail/jail_internal.h"
#include "lib/sys/sys.h"

bool
jail_list_has(const char *list, const char *word, char separator)
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
        if (controller != NULL && !jail_list_has(options, controller, ','))
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
        if (controller == NULL ? names[0] == '\0' : jail_list_has(names, controller, ',')) {
            (void)snprintf(out_path, size, "%s", strcmp(path, "/") == 0 ? "" : path);
            return true;
        }
    }
    return false;
}

bool
jail_hierarchy_find(const char *controller, struct jail_hierarchy *out)
{
    char *text = malloc(JAIL_PROC_FILE_MAX);
    char place[PATH_MAX / 4];
    bool ok = text != NULL && sys_read_text("/proc/self/mountinfo", text, JAIL_PROC_FILE_MAX) &&
              mount_find(text, controller == NULL ? "cgroup2" : "cgroup", controller, out->root, sizeof out->root) &&
              sys_read_text("/proc/self/cgroup", text, JAIL_PROC_FILE_MAX) &&
              place_find(text, controller, place, sizeof place);

    free(text);
    if (!ok)
        return false;
    (void)snprintf(out->own, sizeof out->own, "%s%s", out->root, place);
    if (access(out->own, F_OK) != 0)                         /* a container shows the mount, not our place in it */
        (void)snprintf(out->own, sizeof out->own, "%s", out->root);
    return true;
}
