/*
 * journal_history — segments that nobody needs any more to make a database whole, kept to rebuild what databases were.
 *
 * Promise: a segment is in the journal's folder or in its history, never in neither, until it is pruned: oldest first, when it is older
 * than the history reaches or all of it is larger than it may be; never while somebody copies the journal (HISTORY_HOLD_NAME).
 */
#ifndef DORMOUSE_JOURNAL_HISTORY_H
#define DORMOUSE_JOURNAL_HISTORY_H

#include "src/journal/journal_segment.h"

struct history;

struct history_spec {
    int         dir;                       /* the journal's folder; borrowed */
    const char *folder;                    /* … its path, for words */
    uint32_t    days;                      /* that databases can be rebuilt of */
    uint64_t    bytes_max;                 /* 0: no history, segments are deleted */
};

MUST_USE bool history_open(struct history **out_history, const struct history_spec *spec, struct err *err);
void history_close(struct history **history);

/* Takes the file of segment NUMBER out of the journal's folder, durably. */
MUST_USE bool history_take(struct history *history, uint32_t number, struct err *err);
/* What is too old or too much at NOW_MS goes. Gives how many segments went. */
size_t history_prune(struct history *history, int64_t now_ms);
/* The oldest segments go to make room for a new one. */
size_t history_make_room(struct history *history, uint64_t bytes);

size_t   history_count(const struct history *history);
uint32_t history_number(const struct history *history, size_t i);    /* the I-th, rising */
uint32_t history_last(const struct history *history);                /* the highest number that ever was there; SEGMENT_NONE */
/* The segment, open; the caller closes it. */
MUST_USE bool history_segment(const struct history *history, uint32_t number, struct segment **out_segment, struct err *err);
/* While held (a count) nothing is pruned. */
void history_hold(struct history *history);
void history_release(struct history *history);

#endif
