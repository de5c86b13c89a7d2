/* timers — setTimeout of heaps: one-shot, by an id that JavaScript chose. Each keeps its heap awake. */
#ifndef DORMOUSE_WORKER_TIMERS_H
#define DORMOUSE_WORKER_TIMERS_H

#include "src/worker/agent.h"

struct snapshot_timer;

void timers_drop(struct agent *agent);             /* all of them: the heap is gone */
void timers_each(const struct agent *agent, void (*fn)(void *owner, uint32_t id, int64_t due_mono_ms), void *owner);
/* Appends a struct snapshot_timer for each, those included that have fired and were not delivered. */
void timers_list(const struct agent *agent, struct buf *out);
void timers_arm(struct agent *agent, const struct snapshot_timer *timer);   /* of a snapshot's heap */

#endif
