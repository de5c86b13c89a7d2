/*
 * snapshot — an agent's database and heap as of one moment, kept in a file; agents taken back to one, or begun from one (decision 011).
 *
 * Promise: a snapshot shows one commit, and the heap that had made it and nothing since; it is told when it and that commit are on disk. A
 * restore or a clone is one commit: durable before it is told, nothing before. Its heap is loaded by its next event, once, if it has
 * committed nothing meanwhile; else the constructor runs.
 */
#ifndef DORMOUSE_WORKER_SNAPSHOT_H
#define DORMOUSE_WORKER_SNAPSHOT_H

#include "src/worker/image.h"
#include "src/worker/snapshot_file.h"

struct agent;

/* ---- taking ---- */
struct snapshot_wish {
    bool         with_heap;
    bool         is_passing;           /* for one clone: not listed */
    struct bytes label;                /* up to SNAPSHOT_LABEL_BYTES_MAX; with one it is never thrown away for another */
};
struct snapshot_told {
    struct snapshot_id id;
    int64_t            time_ms, bytes;
    uint64_t           seq;
    enum snapshot_heap heap;
};
/* *told is NULL with ERR. */
typedef void snapshot_taken_fn(struct agent *agent, const struct snapshot_told *told, const struct err *err, void *owner);
/* Between turns: takes AGENT as it is now; TAKEN comes when it is on disk, maybe at once. An agent that is not in memory is woken, if it has an
 * image; no constructor runs. False: it cannot be now; nothing happened. */
MUST_USE bool snapshot_take(struct agent *agent, const struct snapshot_wish *wish, snapshot_taken_fn *taken, void *owner, struct err *err);
bool snapshot_is_full(const struct agent *agent);  /* SNAPSHOTS_UNDER_WAY_MAX are: no more now */
/* From the agent's code, in a turn: as it is at the end of this turn. Answered by the event SNAPSHOT. Not when it is full. */
void snapshot_ask(struct agent *agent, uint32_t request, const struct snapshot_wish *wish);
void snapshot_end_turn(struct agent *agent);       /* its writes are committed: takes what this turn asked for */
void snapshot_settled(struct agent *agent);        /* commits of it are durable: snapshots that waited for them go to disk */
void snapshot_refused(struct agent *agent, const struct err *failure);     /* its commits under way never will be */
void snapshot_forget(struct agent *agent);         /* its heap is gone: who asked is not there any more */

/* ---- what there is ---- */
/* Calls FN for each of AGENT's, oldest first; HEAD as snapshot_unpack_head() gives it. Files that cannot be read are left out. */
typedef void snapshot_each_fn(void *owner, const struct snapshot *head, int64_t bytes);
MUST_USE bool snapshot_each(const struct agent *agent, snapshot_each_fn *fn, void *owner, struct err *err);
/* The one that TEXT means: an id, the label of the newest one with it, or "latest". */
MUST_USE bool snapshot_find(const struct agent *agent, struct bytes text, struct snapshot_id *out_id, struct err *err);
MUST_USE bool snapshot_remove(const struct agent *agent, const struct snapshot_id *id, struct err *err);
void snapshot_remove_all(struct agent *agent);       /* the agent is about to be deleted */

/* ---- going back, and going on elsewhere ---- */
struct snapshot_way {
    struct agent_id    source;         /* whose snapshot: the agent's own, or that of the one it becomes a clone of */
    struct snapshot_id id;
    bool               with_alarm;     /* of a clone: it takes the alarm along */
    bool               without_heap;   /* the database only */
};
struct snapshot_restored {
    bool        has_heap;
    const char *why;                   /* … or why not */
    uint64_t    seq;                   /* of its commit */
};
/* *restored is NULL with ERR. The agent may go on after it. */
typedef void snapshot_restored_fn(struct agent *agent, const struct snapshot_restored *restored, const struct err *err, void *owner);
/* AGENT becomes what the snapshot shows; one with another SOURCE has no data yet (ERR_EXISTS), and keeps its own name. False: not now, or
 * never; it has its database as it was, and unless the disk failed its heap. */
MUST_USE bool snapshot_restore(struct agent *agent, const struct snapshot_way *way, snapshot_restored_fn *done, void *owner, struct err *err);
/* From the agent's code, in a turn: after it. When it cannot be, the event SNAPSHOT says so. */
void snapshot_ask_restore(struct agent *agent, uint32_t request, const struct snapshot_id *id);
void snapshot_after_turn(struct agent *agent);     /* does it; the agent may have no heap afterwards */
/* Makes AGENT's heap of what a restore left beside its folder. False: there is none, or it was refused and counted; AGENT is as it was. */
MUST_USE bool snapshot_wake(struct agent *agent);

#endif
