/*
 * supervisor_spawn — one room's process: fork, sandbox, exec.
 *
 * Promise: the child starts with descriptors 0 (/dev/null), 1, 2 and 3 (the link) and nothing else, in a session of its own,
 * with an environment of a few named variables, and dies with the supervisor.
 */
#ifndef DORMOUSE_SUPERVISOR_SPAWN_H
#define DORMOUSE_SUPERVISOR_SPAWN_H

#include "lib/jail/jail.h"

struct spawn_spec {
    struct jail_spec          jail;
    const struct jail_report *probed;  /* what the probe found; the child's report starts from it */
    uint16_t                  index;
    const char               *app;     /* "" for rooms that are not per app */
};

struct spawned {
    pid_t pid;
    int   pid_fd;                  /* readable when the process has ended */
    int   link_fd;                 /* the supervisor's end */
    int   report_fd;               /* one struct spawn_report, then end of file */
};

struct spawn_report {              /* plain data, through a pipe */
    struct jail_report jail;
    struct err         err;        /* when is_ok is false: why the room was not started */
    bool               is_ok;
};

MUST_USE bool room_spawn(const struct spawn_spec *spec, struct spawned *out_spawned, struct err *err);

#endif
