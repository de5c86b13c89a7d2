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
#define LISTEN_BACKLOG         4096            /* connections that wait while the gateway restarts */
#define HISTORY_DAYS_DEFAULT   30              /* as on Cloudflare */
#define HISTORY_MB_DEFAULT     10240           /* a tenth of a small disk; older history goes first */
#define BUILD_INDEX_BASE       0x8000u         /* build workers' indexes start here: no slot is that high */

#endif
