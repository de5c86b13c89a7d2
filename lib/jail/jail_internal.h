/* jail_internal — what the files of lib/jail share. Not for others. */
#ifndef DORMOUSE_JAIL_INTERNAL_H
#define DORMOUSE_JAIL_INTERNAL_H

#include <limits.h>

#include "lib/jail/jail.h"

/* Sets one row of the report; the reason is cut when too long. */
void report_set(struct jail_report *report, enum jail_layer layer, enum layer_state state, const char *fmt, ...)
    PRINTF(4, 5);

/* Writes TEXT to an existing file of /proc or a cgroup; errno says why not. */
bool jail_file_write(const char *path, const char *text);

/* jail_user.c, in this order */
void jail_close_doors(void);
bool jail_drop_user(const struct jail_spec *spec, struct jail_report *report, struct err *err);
bool jail_drop_capabilities(struct jail_report *report, struct err *err);
bool jail_is_root(void);

/* jail_mounts.c: namespaces of every kind, and the empty root with what the spec names. */
bool jail_enter_namespaces(const struct jail_spec *spec, struct jail_report *report, struct err *err);

/* jail_landlock.c. PREPARE leaves what exec and the dynamic linker need; ENTER leaves the role's folders only. */
enum landlock_stage { LANDLOCK_PREPARE, LANDLOCK_ENTER };
bool jail_landlock(const struct jail_spec *spec, enum landlock_stage stage, struct jail_report *report, struct err *err);

/* jail_hierarchy.c */
struct jail_hierarchy {
    char root[PATH_MAX / 4];       /* where it is mounted */
    char own[PATH_MAX / 2];        /* the folder of the group that we are in */
};
/* The v1 hierarchy of CONTROLLER, or the v2 one (NULL). False when there is none. */
bool jail_hierarchy_find(const char *controller, struct jail_hierarchy *out);
/* Is WORD one of the items of LIST, separated by SEPARATOR? */
bool jail_list_has(const char *list, const char *word, char separator);

/* jail_cgroup.c */
bool jail_cgroup_join(const struct jail_spec *spec, struct jail_report *report);

/* jail_seccomp.c */
bool jail_seccomp(const struct jail_spec *spec, struct jail_report *report, struct err *err);

/* What every program needs to be started, and what a role reads of the system. NULL-terminated. */
extern const char *const jail_system_paths[];
const char *const *jail_role_paths(enum role role);

#endif
