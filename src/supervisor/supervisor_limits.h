/* The limits of the supervisor, each with its reason. */
#ifndef DORMOUSE_SUPERVISOR_LIMITS_H
#define DORMOUSE_SUPERVISOR_LIMITS_H

#define ROOMS_MAX              1024            /* processes; beyond it the machine is too small for so many apps */
#define WORKERS_PER_APP_MAX    256             /* placement is a modulo; more workers than cores help nobody */
#define LISTENERS_MAX          64              /* listening sockets: the main ones and one per app that wants its own */
#define APP_NAME_MAX           63              /* it is a host name label and a folder name */
#define BACKOFF_FIRST_MS       100             /* a worker that died once is back before a client retries */
#define BACKOFF_MAX_MS         10000           /* a room that cannot start is tried six times a minute */
#define HEALTHY_MS             30000           /* having served this long, a death counts as the first again */
#define START_LIMIT_MS         60000           /* a room that is not READY by then is stuck; builds end here as well */
#define STOP_GRACE_MS          30000           /* SIGTERM: what runs may finish */
#define STOP_PHASE_MS          3000            /* of that, what each later phase is sure to have */
#define WORKER_GRACE_MS        10000           /* APP_STOP and a new number of workers */
#define KILL_MARGIN_MS         1000            /* beyond the grace that a room was told, before it is killed */
#define LINKS_PER_FLUSH        24              /* LINK messages to one room between flushes; the link holds 64 descriptors */
#define BREACH_MS              1000            /* until a broken link counts: the other room's death is known by then, if it was that */
#define BREACHES_MAX           4096            /* one per pair at a time; beyond it somebody invents them */
#define LISTEN_BACKLOG         4096            /* connections that wait while the gateway restarts */
#define HISTORY_DAYS_DEFAULT   30              /* as on Cloudflare */
#define HISTORY_MB_DEFAULT     10240           /* a tenth of a small disk; older history goes first */
#define TIGHT_PART             10              /* memory is tight when less than this part of a limit is left … */
#define TIGHT_LEFT_BYTES       (48ull << 20)   /* … or, under small limits, than this: 0.2 s of new agents at full speed */
#define STARVING_PART          20              /* the same for starving */
#define STARVING_LEFT_BYTES    (24ull << 20)
#define PRESSURE_EASE_PART     4               /* a level ends when a quarter more is left than what it began with: else it would flap */
#define STALLED_PERCENT        10              /* of ten seconds spent waiting for memory: tight, too … */
#define STALLED_LEFT_PART      4               /* … while less than a quarter of the limit is left */
#define PRESSURE_NEAR_TIMES    4               /* with less left than so many times what is tight, the next look comes soon */
#define PRESSURE_NEAR_MS       20              /* a worker maps some 5 MB in that time */
#define PRESSURE_FAR_MS        500
#define BUILD_INDEX_BASE       0x8000u         /* build workers' indexes start here: no slot is that high */

#endif
