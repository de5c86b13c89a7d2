/* The limits of the sandbox, each with its reason. */
#ifndef DORMOUSE_JAIL_LIMITS_H
#define DORMOUSE_JAIL_LIMITS_H

#define JAIL_PATHS_MAX        32               /* directories one room may be given; the largest role needs 14 */
#define JAIL_REASON_MAX       160              /* one sentence with a path */
#define JAIL_FALLBACK_ID      65534            /* "nobody": used when root starts us and no user 'dormouse' exists */
#define JAIL_USER_NAME        "dormouse"       /* the system user that the package creates */
#define JAIL_FILES_MAX        (1024 * 1024)    /* descriptors: 100,000 sockets, two per awake agent, and room to spare */
#define JAIL_FILE_BYTES_MAX   (16ull << 30)    /* one file: a 10 GB database, its log and a margin */
#define JAIL_PIDS_MAX         512              /* threads of one room: egress resolves each new name in a thread, the others have one or two */
#define JAIL_PROC_FILE_MAX    (64 * 1024)      /* /proc/self/mountinfo of a busy host */
#define JAIL_GENERATIONS_MAX  8                /* the bundler's helper is three below the command line */
#define JAIL_MOVES_MAX        16               /* rounds of moving processes that fork meanwhile; one is the rule */
#define JAIL_ROOT_BYTES_MAX   "256k"           /* the empty root holds mount points only */

#endif
