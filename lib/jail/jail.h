/*
 * jail — the sandbox of a room, in layers that each stand alone.
 *
 * Promise: after jail_prepare() (in the child, before exec) and jail_enter() (in the room, when initialised) a room can do
 * what its role needs and nothing else, even when hostile native code runs in it: no other files than the given folders, no
 * network but egress's, no new programs, no other processes. What the machine does not offer is reported by name, never
 * silently left out; below the floor (seccomp and no_new_privs) a room refuses to run unless the mode is JAIL_OFF.
 *
 * In a room:  uses := … lib/jail  in room.mk, and as the last step of start(), before room_ready():
 *     if (!jail_enter(ROLE_GATEWAY, conf_json, err))
 *         return false;
 * Afterwards these fail or kill the process (docs/operating.md): exec, fork, threads (but egress and journal), socket(), connect() (but
 * egress), paths outside of the folders given, PROT_EXEC memory, signals to others. Open what you need from /proc, /usr or
 * /etc before. Sockets, files and links that are open already keep working.
 * Mode JAIL_BEST names the forbidden syscall on stderr before the room dies; JAIL_REQUIRED lets the kernel kill it at once.
 * Threads: call both with one thread only.
 */
#ifndef DORMOUSE_JAIL_H
#define DORMOUSE_JAIL_H

#include <sys/types.h>

#include "lib/base/bytes.h"
#include "lib/base/err.h"
#include "lib/ipc/message.h"
#include "lib/jail/jail_limits.h"

enum jail_mode {
    JAIL_OFF,                      /* "off": nothing at all; for debuggers and builds with sanitizers */
    JAIL_BEST,                     /* "best": every layer that this machine offers, at least the floor */
    JAIL_REQUIRED,                 /* "required": floor, another user than root, and folders confined; else refuse */
};
MUST_USE bool jail_mode_parse(enum jail_mode *out_mode, const char *text, struct err *err);
const char *jail_mode_name(enum jail_mode mode);

enum jail_layer {
    LAYER_USER,                    /* an unprivileged uid and gid */
    LAYER_CAPABILITIES,            /* none, and none to be had: bounding set, securebits, no_new_privs */
    LAYER_MOUNTS,                  /* a root of its own that holds only what the role needs */
    LAYER_NETWORK,                 /* an empty network namespace (all but egress) */
    LAYER_NAMESPACES,              /* ipc, uts and cgroup namespaces */
    LAYER_LANDLOCK,                /* the kernel's path rules: a second wall behind the mounts */
    LAYER_RLIMITS,                 /* descriptors, file size, no core dumps */
    LAYER_CGROUP,                  /* memory, processor and process limits */
    LAYER_SECCOMP,                 /* the list of allowed syscalls */
    LAYERS
};

enum layer_state { LAYER_ABSENT, LAYER_ON, LAYER_NOT_NEEDED };

struct jail_report {               /* plain data: it travels through a pipe */
    struct {
        uint8_t state;             /* enum layer_state */
        char    reason[JAIL_REASON_MAX];   /* why ABSENT; which kind when ON ("landlock ABI 7") */
    } layer[LAYERS];
};

struct jail_spec {                 /* what the supervisor decides about one room; strings borrowed */
    enum role       role;
    enum jail_mode  mode;
    uid_t           uid;           /* become this when started as root */
    gid_t           gid;
    const char     *exec_path;     /* the program that will be executed, absolute */
    const char     *write[JAIL_PATHS_MAX + 1];   /* folders to read and write, absolute, NULL-terminated; they exist */
    const char     *read[JAIL_PATHS_MAX + 1];    /* folders or files to read; a missing one is left out */
    const char     *cgroup;        /* this room's group ("worker-demo-0") beneath ours; NULL: none */
    uint64_t        memory_bytes_max;  /* 0: no limit of ours */
    uint32_t        cpu_percent_max;   /* of one core; 0: no limit of ours */
};

/* Which user rooms run as: 'dormouse' when it exists, else JAIL_FALLBACK_ID; ourselves when not started as root. */
void jail_user(uid_t *out_uid, gid_t *out_gid);

/* In the child, between fork and exec: all layers but seccomp. REPORT is filled on success and failure; it starts zeroed, or as
 * jail_probe() left it: then mounts that did not work there are not tried again. One thread. */
MUST_USE bool jail_prepare(const struct jail_spec *spec, struct jail_report *report, struct err *err);

/* In the room: the inner path rules, then seccomp. CONF_JSON is the room's CONF: fields "sandbox" (mode) and "jail"
 * ({"write": […], "read": […]}), both put there by the supervisor. Without "sandbox" (started by hand): JAIL_OFF. */
MUST_USE bool jail_enter(enum role role, struct bytes conf_json, struct err *err);

/* jail_enter with its inputs spelled out (tests). */
MUST_USE bool jail_enter_spec(const struct jail_spec *spec, struct jail_report *report, struct err *err);

/* What this machine offers to ROLE: tries everything in a child of its own and reports. Needs no privilege. */
MUST_USE bool jail_probe(const struct jail_spec *spec, struct jail_report *out_report, struct err *err);

/* The supervisor's part of the cgroups: makes a group of ours (moving this process into a leaf where v2 wants it).
 * Returns false when there is none to be had; err says why and jail_prepare() will report the same. */
MUST_USE bool jail_cgroup_open(struct err *err);
void          jail_cgroup_remove(const char *cgroup);   /* after the room died */
/* How often the kernel killed in this room's group for want of memory; 0 when unknown. */
uint64_t      jail_cgroup_oom_kills(const char *cgroup);
/* The folder of ROOM's group with its memory files; of ours for "". False: there is none. */
MUST_USE bool jail_cgroup_memory_folder(const char *room, char *out_path, size_t size);
void          jail_cgroup_close(void);                  /* removes what is empty */

/* The report as a JSON object {"user": {"state": "on"|"absent"|"not needed", "reason": "…"}, …}, appended to OUT. */
void jail_report_json(const struct jail_report *report, struct buf *out);
const char *jail_layer_name(enum jail_layer layer);

#endif
