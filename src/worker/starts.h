/*
 * starts — in which order heaps are made when many agents wake at once.
 *
 * Promise: a heap is made at once while the loop's pass has time for it; else its agent stands in line, first come, first served, and each
 * pass makes some of them. So what comes for agents that are awake waits for STARTS_SLICE_US at most, however many wake.
 */
#ifndef DORMOUSE_WORKER_STARTS_H
#define DORMOUSE_WORKER_STARTS_H

#include "lib/base/macros.h"

struct agent;

void starts_init(void);                /* once the loop is there */
/* AGENT has an event and no heap. False: it stands in line now, and agent_pump() is called when it is its turn. */
MUST_USE bool starts_admit(struct agent *agent);
bool starts_has(const struct agent *agent);    /* it stands in line */
void starts_leave(struct agent *agent);        /* it is going away */
size_t starts_count(void);                     /* how many stand in line */

#endif
