/* why — what an agent waits for, and why its heap is in memory: for people and for `dormouse agents show`. Reads only. */
#ifndef DORMOUSE_WORKER_WHY_H
#define DORMOUSE_WORKER_WHY_H

#include <jansson.h>

#include "src/worker/agent.h"

/* Adds to OUT: `state`, `asleep` (a sentence: why it is, or is not, and what comes next), `waits_for` (an array of {what, …}: calls with what
 * they ask for and since when, timers with when they are due, sockets, waitUntil, critical sections, transactions, commits). */
void why_show(const struct agent *agent, json_t *out);
/* One line: "2 incoming and 1 outgoing calls, …". */
void why_busy(const struct agent *agent, struct buf *out);

#endif
