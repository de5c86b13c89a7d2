/*
 * journal_feed — the alarms in the journal's records, for the scheduler: which of them it has not kept yet, and telling them.
 *
 * Promise: on each link the scheduler hears, in the order of lsn, every durable change of an alarm beyond what it has on disk, or learns
 * that some are gone (gap). A change is forgotten when the scheduler has kept it, or when its record had to make place.
 * An lsn is a place in the journal: its segment's first_lsn plus the record's offset.
 */
#ifndef DORMOUSE_JOURNAL_FEED_H
#define DORMOUSE_JOURNAL_FEED_H

#include "src/journal/journal_core.h"

struct feed;
struct link;
struct log;

#define LSN_NONE UINT64_MAX

struct feed *feed_create(void);
void feed_destroy(struct feed **feed);

/* A durable record with an alarm, in the order of lsn. */
struct feed_record {
    uint64_t lsn;
    uint32_t segment, offset, length, sum;
};
void feed_add(struct feed *feed, const struct feed_record *record);
/* Is RECORD the one of its commit that tells an alarm? Copies do not: their originals did. */
bool feed_is_told(uint8_t flags, uint32_t marks);
/* Changes up to LSN need not be kept for the scheduler: they make place, or were damaged. */
void feed_give_up(struct feed *feed, uint64_t lsn);
/* The highest lsn of a change that is not kept here any more; 0: none. */
uint64_t feed_forgotten(const struct feed *feed);
/* The first change that the scheduler has not kept; LSN_NONE: there is none. */
uint64_t feed_floor(const struct feed *feed);
/* The scheduler has all there ever was, and said so: no gap needs to be remembered. */
bool feed_is_done(const struct feed *feed);

/* The scheduler's link: it came up, told how far it is (ALARMS_KEPT; false: nonsense), went down. NEXT_LSN: where the journal goes on. */
void feed_up(struct feed *feed, struct link *link);
MUST_USE bool feed_kept(struct feed *feed, uint64_t lsn, uint64_t next_lsn, struct err *err);
void feed_down(struct feed *feed);
bool feed_is_up(const struct feed *feed);
/* Tells what is new, as fast as the scheduler reads. SAY: what the operator must know. */
void feed_run(struct feed *feed, struct log *log, void (*say)(int level, const char *text));

#endif
