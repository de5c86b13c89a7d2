/*
 * control_census — asks every room of the node for its counters at once, and says them together: for `dormouse top` and for metrics.
 *
 * Promise: one answer per question, at the latest CENSUS_MS after it; a room that does not answer in time, or dies, is missing in it.
 */
#ifndef DORMOUSE_CONTROL_CENSUS_H
#define DORMOUSE_CONTROL_CENSUS_H

#include <jansson.h>

#include "lib/ipc/link.h"

struct census;
struct control;

/* DONE gets an array of rooms, borrowed: {role, app, index, counters:{…}, pid, cpu_us, memory_bytes}; the last ones when the
 * supervisor answered. False: CENSUSES_MAX are under way. */
MUST_USE bool census_begin(struct control *control, void (*done)(void *owner, const json_t *rooms), void *owner);
/* LINK said COUNTED. */
MUST_USE bool census_message(struct control *control, const struct link *link, struct bytes payload, struct err *err);
void census_link_lost(struct control *control, const struct link *link);
/* The room stops: all get what came so far. */
void census_end_all(struct control *control);

#endif
