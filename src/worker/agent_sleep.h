/*
 * agent_sleep — what becomes of an agent that has nothing to run: it rests, sleeps warm, and leaves (sleep.h has the policy).
 *
 * Promise: an agent that slept goes on where it stood; when its image cannot be used it starts from its database, and the reason is
 * counted. Its structure, and all that waits for it outside of the heap, stays in memory while it is warm.
 */
#ifndef DORMOUSE_WORKER_AGENT_SLEEP_H
#define DORMOUSE_WORKER_AGENT_SLEEP_H

#include "lib/base/macros.h"

struct agent;

void agent_sleep_init(void);           /* once the limits are known */
/* An event is about to be delivered: its OWN, which nobody asked for, or one that may tell when the next comes. */
void agent_touched(struct agent *agent, bool is_own);
/* Its queue is empty. */
void agent_is_quiet(struct agent *agent);
/* Its heap was made. */
void agent_heap_made(struct agent *agent);
/* Its heap, or its image, is thrown away; neither is fine. */
void agent_heap_drop(struct agent *agent);
/* From AGENT_WARM to AGENT_AWAKE. False: the image was refused, the agent is as after a reset. */
MUST_USE bool agent_wake(struct agent *agent);
/* Why the heap of AGENT, in whatever state with one, cannot be away now; NULL: nothing keeps it. */
const char *agent_why_awake(const struct agent *agent);
/* Before its time. False: it is not asleep, because it is busy, its class discards its heap, or the heap is too large. */
MUST_USE bool agent_sleep_now(struct agent *agent);
/* Memory being starved, before heaps are made: the longest idle go first. Not within a walk over agents. */
void agents_make_room(void);

#endif
