/* The limits of the gateway, each with its reason. Those marked (conf) can be set in CONF. */
#ifndef DORMOUSE_GATEWAY_LIMITS_H
#define DORMOUSE_GATEWAY_LIMITS_H

/* connections */
#define CONNECTIONS_MAX        (120 * 1000) /* (conf) 100,000 idle sockets and room for requests */
#define CROWD_CONNS_MIN        500          /* fewer leaving at once are no reason to tidy the memory */
#define LISTEN_BACKLOG         1024         /* what the kernel queues while one loop iteration runs */
#define READ_BUFFER_BYTES      (64 * 1024)  /* one buffer for all connections: a read is handled before the next */
#define SPARE_BUFFERS_MAX      64           /* output buffers kept for the next iteration */
#define SPARE_BUFFER_BYTES_MAX (64 * 1024)  /* larger ones are given back to the allocator */
#define FLUSH_ROUNDS_MAX       8            /* of one connection's pieces before the others are looked at */
#define PIPELINE_BYTES_MAX     (64 * 1024)  /* further requests behind an open one; beyond it the socket is not read */

/* time, in ms; checked every TICK_MS, so that no socket has a timer of its own */
#define TICK_MS             500
#define HEAD_TIMEOUT_MS     (15 * 1000) /* (conf) a whole request head, from its first byte: slowloris */
#define IDLE_TIMEOUT_MS     (75 * 1000) /* (conf) between requests; what browsers expect */
#define BODY_TIMEOUT_MS     (30 * 1000) /* (conf) between two pieces of a request body that we want to read */
#define STALL_TIMEOUT_MS    (60 * 1000) /* (conf) a client that takes no byte of what we have for it */
#define LINGER_TIMEOUT_MS   2000        /* after our last byte, so that a reset does not overtake it */
#define LINGER_BYTES_MAX    (64u << 20) /* thrown away meanwhile: the rest of a message that was too large */
#define STOP_POLL_MS        50          /* how often a stopping gateway looks whether it is done */
#define WAIT_MS             2000        /* (conf) a request for a worker that is away; a restart takes a tenth of it */
#define WS_CLOSE_TIMEOUT_MS (10 * 1000) /* (conf) for the client's answer to our Close frame */
#define WS_PENDING_TIMEOUT_MS                                                                                          \
    (30 * 1000) /* (conf) a socket whose other half (WS_OPEN, REPLY.socket, WS_JOIN) does not come */

/* requests */
#define REQUESTS_MAX            (64 * 1024 - 1) /* in flight; the call table's indexes have 16 bits */
#define REQUESTS_DEFAULT        8192            /* (conf) beyond it: 503 with Retry-After */
#define BODY_BYTES_MAX          (100u << 20)    /* (conf) Cloudflare's limit for a request body */
#define GRANT_BYTES             (64 * 1024)     /* credit is granted in quarters of a window: fewer messages */
#define OUT_HIGH_BYTES          (128 * 1024)    /* more than this unsent to a client: grant its agent nothing */
#define DRAIN_BYTES_MAX         (1024 * 1024)   /* of a request body that nobody wants, to save the connection */
#define ERROR_MESSAGE_BYTES_MAX 1024            /* what of an error's text is shown to a client */
#define RETRY_AFTER_S           1               /* a worker restarts in less */

/* apps */
#define APPS_MAX            4096        /* one node's apps; a listing of them must stay cheap */
#define WORKERS_PER_APP_MAX 256         /* slots are kept as one byte in the advice table */
#define SLOT_TABLE_SIZE     (64 * 1024) /* advice per hash of app, host and path: 64 KB */
#define HOSTS_PER_APP_MAX   256
#define PATTERNS_MAX        100 /* Cloudflare's limit for run_worker_first */

/* assets */
#define ASSET_PATH_BYTES_MAX  2048         /* a path of a file; PATH_MAX less the folder */
#define ASSET_INLINE_BYTES    (64 * 1024)  /* smaller files leave with their head in one write */
#define ASSET_PIECE_BYTES     (128 * 1024) /* of a larger file at a time */
#define ASSET_STREAMS_MAX     4096         /* open files */
#define ASSET_FILES_MAX       20000        /* Cloudflare's limit for one deploy */
#define ASSET_RULES_BYTES_MAX (256 * 1024) /* _headers and _redirects */
#define ASSET_LINE_BYTES_MAX  2000         /* Cloudflare's limit for a line of those; longer ones are skipped */
#define ASSET_LOCATION_BYTES_MAX                                                                                       \
    (8 * 1024)                     /* of a redirect with everything filled in; above it the rule does not match */
#define ASSET_HEADER_RULES_MAX 100 /* Cloudflare's limits */
#define ASSET_REDIRECTS_MAX    2100

/* WebSockets */
#define SOCKETS_PER_AGENT_MAX   32768         /* surface spec 3.3 */
#define WS_MESSAGE_BYTES_MAX    (32u << 20)   /* surface spec 3.3 */
#define WS_INBOUND_WINDOW_BYTES (256 * 1024)  /* messages an agent has not handled yet; then the socket is not read */
#define ATTACHMENT_PLAIN_BYTES_MAX 256       /* larger ones are compressed: 16 KiB take 20 us once, and 5 in each list of sockets */
#define WS_DIRECT_BYTES_MIN  512           /* of a message: larger ones are not copied before the kernel has them; smaller ones gather */
#define WS_KEEPALIVE_S          60            /* TCP keep-alive of sockets: dead clients are found by the kernel */
#define WS_PENDING_BYTES_MAX    (1024 * 1024) /* frames sent before the socket's other half came */
#define WS_OUT_BYTES_MAX        (40u << 20)   /* unsent to one client: one message of the largest size, and then some */
#define WS_OUT_TOTAL_BYTES_MAX  (512u << 20)  /* (conf) unsent to all clients */
#define WS_HELD_TOTAL_BYTES_MAX (256u << 20)  /* of messages under way when their worker went away, until it is back */
#define PENDING_PER_APP_MAX                                                                                            \
    10000 /* WebSockets without their other half; each lasts 30 s at most, usually a millisecond */
#define IDLE_AGENTS_MAX                                                                                                \
    10000 /* auto-responses of agents without sockets; the oldest goes, its agent will say it again */
#define WS_GHOSTS_MAX (100 * 1000) /* closed sockets whose agent is not told yet, its worker being away */

#endif
