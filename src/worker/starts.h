/*
 * starts — whose turn it is when there is more to do than fits a moment.
 *
 * Promise: what comes for agents that are awake, and answers that a request waits for, are handled at once. New requests begin, and heaps are made,
 * for STARTS_SLICE_US per pass of the loop each, first come, first served; between the slices all that is ready leaves, and all that has come is read.
 * New requests go first, since they may be for agents that are awake; every STARTS_PASSES passes heaps have a slice in any case.
 * Agents that only an alarm wakes stand in a line of their own, which has each STARTS_ALARMS_PARTth turn.
 */
#ifndef DORMOUSE_WORKER_STARTS_H
#define DORMOUSE_WORKER_STARTS_H

#include "lib/base/macros.h"

struct agent;
struct event;

void starts_init(void);                /* once the loop is there */
/* AGENT has EVENT and no heap. False: it stands in line now, and agent_pump() is called when it is its turn. */
MUST_USE bool starts_admit(struct agent *agent, const struct event *event);
/* EVENT came for AGENT: one that stands in line for its alarm stands among those who are asked now. */
void starts_hurry(struct agent *agent, const struct event *event);
/* May ENTRY begin a request now? False: agent_pump() is called when there is time. */
MUST_USE bool starts_may_begin(struct agent *entry);
bool starts_has(const struct agent *agent);    /* it stands in line for a heap */
void starts_leave(struct agent *agent);        /* it is going away */
size_t starts_count(void);                     /* how many stand in line for a heap */

#endif
