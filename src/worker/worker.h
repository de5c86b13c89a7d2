/*
 * worker — the process as a whole: its peers, its deployments, its agents.
 *
 * Threads: one. Every structure below belongs to the one loop.
 */
#ifndef DORMOUSE_WORKER_H
#define DORMOUSE_WORKER_H

#include "lib/base/idset.h"
#include "lib/base/list.h"
#include "lib/base/map.h"
#include "lib/ident/ident.h"
#include "lib/ipc/room.h"
#include "src/worker/image.h"
#include "src/worker/sleep.h"

struct agent;
struct deploy;
struct peer;

struct worker {
    struct room    *room;
    struct loop    *loop;
    char           *app;
    char           *data;              /* DATA/apps/APP */
    uint16_t        slot, slots;
    struct deploy  *deploy;            /* the newest; new turns use it */
    struct agent   *entry;             /* the app's entry; NULL before its first event */
    struct bmap    *agents;            /* key: agent_key; those in memory only */
    struct list_node idle;             /* agents with nothing to do, longest idle first */
    struct list_node young;            /* the same, for the first time since their start */
    struct sleep_book sleep;           /* who sleeps next */
    struct list_node stalled;          /* agents whose events wait because too much is on its way to the journal */
    struct list_node settled;          /* agents whose commits became durable and were not looked at yet */
    struct list_node detached;         /* entries of older deployments that still finish something */
    int64_t          deployed_ms;      /* when the newest deployment came, while older heaps may be left; 0 */
    unsigned         open_calls;       /* of others, not answered yet */
    struct umap    *socket_owners;     /* live and joined sockets → struct ws_end */
    struct idset   *with_sockets;      /* agents with hibernatable sockets at the gateway */
    struct loop_timer *idle_timer;
    uint32_t        idle_ms, warm_ms, cold_ms, cpu_ms, heap_bytes_max;
    bool            is_stopping;
    uint64_t        turns, wakes, evictions, resets;   /* counters for `stats` */
    int64_t         sleep_us, wake_us; /* processor time: images made, heaps made of them */
    uint64_t        births, calls;     /* agents that exist since then; events that came as CALL */
    uint64_t        sleeps, colds, warm_wakes, cold_wakes, images_refused[IMAGE_REFUSALS];
};

extern struct worker worker;

struct link *worker_control(void);     /* NULL while control is away */
struct link *worker_journal(void);     /* NULL while the journal is away */
void worker_start_loopback(void);      /* once the loop is there */

#endif
