/*
 * journal_past — which records make what an agent's database was: the choice, from what is read of the segments, newest first.
 *
 * Promise: the places that past_places() gives make the state asked for: a base (or nothing, for a life from its birth) and every commit
 * from there on, whole, in order, of one life. When history does not reach back, it says how far it does.
 * A life ends with GONE; its numbers begin at 1 again. Records are put in the order of their numbers, not of the log: a base that was sent
 * again comes after the commit that it belongs before. Copies (carried forward) do not count: their originals are history, too.
 * Pure: no I/O, no clock.
 */
#ifndef DORMOUSE_JOURNAL_PAST_H
#define DORMOUSE_JOURNAL_PAST_H

#include "lib/base/err.h"
#include "src/journal/journal_core.h"

struct past;

struct past_query {
    enum recall_at_mode mode;
    int64_t  time_ms;
    uint64_t seq;
};

struct past_place {
    uint64_t seq;
    int64_t  time_ms;
    uint32_t segment, offset, length, sum, part;
    uint8_t  flags;
};

struct past *past_create(const struct past_query *query);
void past_destroy(struct past **past);

/* One segment's records of the agent, in the order of the log; segments come newest first. */
void past_add(struct past *past, const struct past_place *place);
/* That was all of the segment. True: older ones are not needed. */
MUST_USE bool past_segment_end(struct past *past);

/* After the last segment. The places borrowed from PAST; their bytes in the log. False with err: there is no such state to be had. */
MUST_USE bool past_places(struct past *past, const struct past_place **out_places, size_t *out_count, uint64_t *out_seq, struct err *err);
/* For RECALL_AT_LIST: lines "from_ms to_ms commits bytes", oldest first. */
void past_list(const struct past *past, struct buf *out);

#endif
