/*
 * alarm_scan — tells the scheduler the alarms that stand in this worker's databases, for an index that was lost.
 *
 * Promise: what is told is durable. The end is told only when every agent on disk has been looked at, those first whose database is
 * whole; the others (commits under way, suspects) as soon as they are. Requests pass between slices of a few milliseconds.
 */
#ifndef DORMOUSE_WORKER_ALARM_SCAN_H
#define DORMOUSE_WORKER_ALARM_SCAN_H

#include "lib/base/bytes.h"
#include "lib/base/err.h"

/* ALARM_SCAN: begins, or begins anew. */
MUST_USE bool alarm_scan_message(struct bytes payload, struct err *err);
/* The scheduler went away: its successor asks again. */
void alarm_scan_stop(void);

#endif
