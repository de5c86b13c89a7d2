/*
 * journal_log — the segments of the journal's folder as one log: opened, written at its head, retired at its tail.
 *
 * Promise: what log_write() returned LOG_DURABLE for is told to the core again by the next log_open(), whatever dies in between, until it
 * is retired; what it refused never is. A segment whose sync failed is not synced again.
 */
#ifndef DORMOUSE_JOURNAL_LOG_H
#define DORMOUSE_JOURNAL_LOG_H

#include "src/journal/journal_core.h"
#include "src/journal/journal_feed.h"

struct log;

struct log_spec {
    const char *folder;
    uint32_t    segment_bytes;
    uint32_t    history_days;              /* journal_history.h */
    uint64_t    history_bytes;             /* 0: no history */
    /* Words for the operator; level as in LOG. */
    void      (*say)(int level, const char *text);
    struct loop *loop;                     /* full segments are sealed on a thread; NULL: in line */
    void      (*sealed)(void);             /* one was: it may be retired now; NULL */
};

enum log_outcome {
    LOG_DURABLE,
    LOG_REFUSED,                           /* nothing of the batch is kept; the next write tries anew */
    LOG_DEAD,                              /* the same, and no new segment can be begun: the process must end */
};

/* Reads what is there, tells CORE, makes it durable. FOLDER exists. */
MUST_USE bool log_open(struct log **out_log, const struct log_spec *spec, struct core *core, struct err *err);
void log_close(struct log **log);

/* ---- history: what was written to any segment that is still there, needed or not ---- */
/* The highest number of a segment below NUMBER; SEGMENT_NONE: there is none. */
uint32_t log_before(const struct log *log, uint32_t number);
/* Tells FN every record of segment NUMBER in order, by its index when it has one. */
MUST_USE bool log_tell(struct log *log, uint32_t number, void (*fn)(void *owner, const struct found_record *found), void *owner, struct err *err);
struct history *log_history(struct log *log);

/* Appends the records of BATCH and syncs. Gives the segment and the place of the batch in it. */
MUST_USE enum log_outcome log_write(struct log *log, struct buf *batch, uint32_t *out_segment, uint32_t *out_offset, struct err *err);
/* The body of RECORD, also one of the history, without its head. ERR_CORRUPT: it does not verify. */
MUST_USE bool log_read(struct log *log, const struct core_record *record, struct buf *out_body, struct err *err);

/* Ends the segment that is written to: the next write begins another. Gives the highest number there is, SEGMENT_NONE without any: files up to
 * it do not change any more. Between batches only. */
uint32_t log_cut(struct log *log);
/* True once for each segment that is written to no more. */
bool log_take_closed(struct log *log);
/* Segments without kept records, and without alarms that the scheduler has to hear, go, strictly oldest first. ALL: also the one that is
 * written to (at a stop). */
enum log_retire { LOG_RETIRE_CLOSED, LOG_RETIRE_ALL };
void log_retire(struct log *log, const struct core *core, enum log_retire which);

struct feed *log_feed(struct log *log);                              /* the alarms in it; the log's own */
uint64_t log_first_lsn(const struct log *log, uint32_t segment);      /* SEGMENT is there */
uint64_t log_next_lsn(const struct log *log);                        /* above every one there was */
/* Beyond the limit of its space: alarms that only the scheduler pins in the oldest segment are given up. Not at once: first a new segment
 * must say so. */
void log_give_up_alarms(struct log *log, const struct core *core);
uint32_t log_oldest(const struct log *log);                          /* SEGMENT_NONE: there is none */
uint64_t log_bytes(const struct log *log);                           /* that all records take, needed or not */
size_t   log_segments(const struct log *log);

#endif
