/*
 * scheduler_core — which alarm fires when, and what becomes of it: pure state, no clock, no disk, no network.
 *
 * Promise: an alarm that was set and not taken back is either waiting, ready, or running, and becomes due again after every
 * outcome but success and giving up. At most one delivery per agent. The law is the platform's (surface spec 3.2):
 *   · failure of the handler: again after 2 << n s plus up to a quarter, n = 0, 1, … 9; six times, then given up;
 *   · failure of ours (worker lost, deploy, full): the same delays, never counted, never given up;
 *   · an alarm set while its predecessor runs waits for it and then runs instead of any retry of it.
 * Changes to be kept on disk gather in a list (core_changed); what is not taken from there is not lost, only not kept.
 */
#ifndef DORMOUSE_SCHEDULER_CORE_H
#define DORMOUSE_SCHEDULER_CORE_H

#include "lib/base/bytes.h"
#include "lib/base/list.h"
#include "lib/ipc/message.h"

struct core;
struct core_app;

enum alarm_state {
    ALARM_WAITING,                         /* until fire_ms */
    ALARM_READY,                           /* due; its worker is away or busy */
    ALARM_RUNNING,
    ALARM_GONE                             /* only still to be taken off the disk */
};

struct alarm {                             /* read-only for everybody but the core */
    struct core_app *app;
    struct agent_id  agent;
    struct bytes     class_name, name;     /* owned */
    enum alarm_state state;
    int64_t          due_ms;               /* what the agent asked for */
    int64_t          fire_ms;              /* when it may run: due_ms, or the next retry */
    int64_t          queued_ms;            /* set while running; 0: none */
    unsigned         counted;              /* counted failures so far: the retry count that the handler sees */
    unsigned         backoff;
    bool             was_counted;          /* the last failure was the handler's */
    bool             is_retry;             /* fire_ms is a delay of ours, not a date of the agent's */
    bool             is_taken_back;        /* deleted while running */
    bool             is_fed;               /* the feed told it since the index was last incomplete: no scan knows better */
    uint16_t         slot;
    uint32_t         ordinal;              /* RUNNING: the how many-th alarm on this link of its worker */
    int64_t          started_ms;
    size_t           heap_at;
    struct list_node in_list;              /* READY: of its worker; RUNNING: the worker's fresh ones, while fresh */
    struct list_node in_changed;
};

enum alarm_outcome {
    OUTCOME_DONE,
    OUTCOME_FAILED,                        /* the handler: counts */
    OUTCOME_GIVE_UP,                       /* the handler, and it wants no more */
    OUTCOME_LOST,                          /* ours: worker lost, restarting, overloaded */
    OUTCOME_ELSEWHERE                      /* ours: another worker owns the agent */
};

struct core *core_create(void);
void core_destroy(struct core **core);

/*
 * An alarm as the index on disk had it (core_load), as a commit of its agent changed it (core_set; due_ms 0 takes it back), or as
 * it stands in its agent's database (core_found: ignored when the feed has told of it). False: ALARMS_MAX.
 */
struct alarm_spec {
    struct bytes    app, class_name, name;
    struct agent_id agent;
    int64_t         due_ms;
    unsigned        counted;               /* core_load only */
};
MUST_USE bool core_load(struct core *core, const struct alarm_spec *spec);
MUST_USE bool core_set(struct core *core, const struct alarm_spec *spec);
MUST_USE bool core_found(struct core *core, const struct alarm_spec *spec);
/* Changes were missed: what is known may be old, and what scans find counts more until the feed tells again. */
void core_doubt(struct core *core);

/* Worker INDEX of APP is there, or gone: what it ran must be ended by core_end(OUTCOME_LOST). */
void core_worker_up(struct core *core, struct bytes app, uint16_t index);
void core_worker_down(struct core *core, struct bytes app, uint16_t index);

/* The next alarm to deliver at NOW, running from then on, or NULL. Its worker is alarm->slot of core_app_name(alarm->app). */
struct alarm *core_start(struct core *core, int64_t now_ms);
/* Worker INDEX of APP has read the first COUNT alarms that were started on it since it came up. False: so many were not. */
MUST_USE bool core_read(struct core *core, struct bytes app, uint16_t index, uint32_t count);
/* The delivery of ALARM ended. CHANCE: any random number, for the jitter. */
void core_end(struct core *core, struct alarm *alarm, enum alarm_outcome outcome, int64_t now_ms, uint64_t chance);
/* The wall clock was set by DELTA: delays of ours move along, dates of agents do not; one that was due and has not started waits for its date again. */
void core_clock_stepped(struct core *core, int64_t delta_ms);
/* How long from NOW until core_start() may have something, if nothing else happens; -1: for ever. */
int64_t core_wait_ms(const struct core *core, int64_t now_ms);

/* The next alarm whose record changed, or NULL; ALARM_GONE: the record goes. core_kept() says it is on its way to the disk; then
 * core_committed() that all of them are there, or core_undone() that none is: they have changed still. */
struct alarm *core_changed(struct core *core);
void core_kept(struct core *core, struct alarm *alarm);
void core_committed(struct core *core);
void core_undone(struct core *core);

const char *core_app_name(const struct core_app *app);
size_t core_count(const struct core *core);
size_t core_waiting(const struct core *core);          /* of these, not due yet */
/* All invariants; for tests. */
void core_check(const struct core *core);

#endif
