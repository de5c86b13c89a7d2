/*
 * journal_log — the segments of the journal's folder as one log: opened, written at its head, retired at its tail.
 *
 * Promise: what log_write() returned LOG_DURABLE for is told to the core again by the next log_open(), whatever dies in between, until it
 * is retired; what it refused never is. A segment whose sync failed is not synced again.
 */
#ifndef DORMOUSE_JOURNAL_LOG_H
#define DORMOUSE_JOURNAL_LOG_H

#include "src/journal/journal_core.h"

struct log;

struct log_spec {
    const char *folder;
    uint32_t    segment_bytes;
    /* Words for the operator; level as in LOG. */
    void      (*say)(int level, const char *text);
};

enum log_outcome {
    LOG_DURABLE,
    LOG_REFUSED,                           /* nothing of the batch is kept; the next write tries anew */
    LOG_DEAD,                              /* the same, and no new segment can be begun: the process must end */
};

/* Reads what is there, tells CORE, makes it durable. FOLDER exists. */
MUST_USE bool log_open(struct log **out_log, const struct log_spec *spec, struct core *core, struct err *err);
void log_close(struct log **log);

/* Appends the records of BATCH and syncs. Gives the segment and the place of the batch in it. */
MUST_USE enum log_outcome log_write(struct log *log, struct buf *batch, uint32_t *out_segment, uint32_t *out_offset, struct err *err);
/* The body of RECORD, without its head. ERR_CORRUPT: it does not verify. */
MUST_USE bool log_read(struct log *log, const struct core_record *record, struct buf *out_body, struct err *err);

/* True once for each segment that is written to no more. */
bool log_take_closed(struct log *log);
/* Segments without kept records go, strictly oldest first. with_head: also the one that is written to (at a stop). */
enum log_retire { LOG_RETIRE_CLOSED, LOG_RETIRE_ALL };
void log_retire(struct log *log, const struct core *core, enum log_retire which);

uint32_t log_oldest(const struct log *log);                          /* SEGMENT_NONE: there is none */
uint64_t log_bytes(const struct log *log);                           /* that all records take, needed or not */
size_t   log_segments(const struct log *log);

#endif
