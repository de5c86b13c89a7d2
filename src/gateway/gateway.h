/*
 * gateway — what the files of this room share: the room's state and its configuration.
 *
 * Threads: none; one loop.
 */
#ifndef DORMOUSE_GATEWAY_H
#define DORMOUSE_GATEWAY_H

#include <uv.h>

#include "lib/base/bytes.h"
#include "lib/base/list.h"
#include "lib/base/map.h"
#include "lib/ipc/room.h"
#include "lib/loop/loop.h"
#include "lib/wire/http_writer.h"
#include "src/gateway/gateway_limits.h"

struct app;
struct conn;
struct request;

/* A deadline is one list in order of its time, since each kind has one duration. */
enum deadline {
    DEADLINE_HEAD,
    DEADLINE_IDLE,
    DEADLINE_BODY,
    DEADLINE_LINGER,
    DEADLINE_CLOSE,
    DEADLINES,
    DEADLINE_NONE = DEADLINES
};

struct gateway_conf {
    uint64_t body_bytes_max;
    uint32_t connections_max;
    uint32_t requests_max;
    uint64_t ws_out_total_bytes_max;
    bool trusts_proxy; /* X-Forwarded-* of the client are believed */
    int64_t deadline_ms[DEADLINES];
    int64_t stall_ms;
    int64_t ws_pending_ms;
    int64_t wait_ms; /* for a worker that is away, or for routes just after our start */
};

struct listener {
    uv_tcp_t tcp;
    struct gateway *gw;
    struct list_node in_gateway;
    char name[NAME_MAX_BYTES + 1];
};

/* Open calls to workers: an index with a generation, so that a late answer meets nobody else. */
struct call_table {
    struct request **requests; /* by index; NULL: free */
    uint16_t *generations;
    uint16_t *free_list;
    uint32_t free_len, size, open;
    uint64_t total; /* opened since the start */
};

struct gateway {
    struct room *room;
    struct loop *loop;
    uv_loop_t *uv;
    struct gateway_conf conf;
    uint64_t seed;    /* of hashes */
    bool is_stopping; /* STOP came: no new connections, no keep-alive */
    bool is_closing;  /* requests are done or out of time */
    int64_t stop_due_ms, exit_due_ms;
    int64_t now_ms; /* monotonic, of this loop iteration's start or later */
    int64_t date_s;
    char date[HTTP_DATE_BYTES + 1];
    struct loop_timer *tick;
    struct loop_timer *grace;
    struct loop_hook *flush;
    struct loop_hook *flush_again; /* active: output is left, do not wait */

    struct list_node listeners;
    struct list_node conns;
    struct list_node dirty; /* conns with output to flush before the loop waits */
    struct list_node deadlines[DEADLINES];
    struct list_node stalled; /* conns with a write under way */
    uint32_t conn_count, conn_peak;
    uint8_t *read_buffer;
    struct buf spare[SPARE_BUFFERS_MAX];
    uint32_t spare_len;

    struct list_node apps;
    struct bmap *hosts;         /* host → struct app */
    struct bmap *listener_apps; /* listener name → the one app behind it */
    struct app *fallback;
    uint32_t app_count;
    uint8_t *slots; /* SLOT_TABLE_SIZE; 0: no advice, else slot + 1 (255 slots) */

    struct list_node parked; /* requests that wait for a worker, oldest first */
    int64_t started_ms;
    struct call_table calls;
    struct buf scratch_headers, scratch_url, scratch_body;

    struct umap *sockets; /* id → struct socket */
    struct bmap *agents;  /* app index, id → struct socket_agent */
    struct umap *joins;   /* the other end's id → struct socket (WS_JOIN) */
    struct list_node idle_agents;
    uint32_t idle_agent_count;
    uint32_t listing_round;
    struct list_node pending; /* sockets that wait for their other half, oldest first */
    struct list_node ghosts;  /* closed sockets whose agent has not handled it */
    uint32_t ghost_count;
    uint64_t casts_total; /* messages to many sockets, since the start */
    uint64_t ws_out_bytes, ws_held_bytes;
    struct list_node asset_calls; /* answers to CALL_ASSETS that still stream */
    uint32_t asset_streams;
};

/* The date header's value, formatted at most once a second. */
struct bytes gateway_date(struct gateway *gw);

/* Reads CONF. Unknown fields are for others; wrong types are an error. */
MUST_USE bool gateway_conf_parse(struct gateway_conf *out_conf, struct bytes json, struct err *err);

#endif
