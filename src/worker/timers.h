/* timers — setTimeout of heaps: one-shot, by an id that JavaScript chose. Each keeps its heap awake. */
#ifndef DORMOUSE_WORKER_TIMERS_H
#define DORMOUSE_WORKER_TIMERS_H

#include "src/worker/agent.h"

void timers_drop(struct agent *agent);             /* all of them: the heap is gone */
void timers_each(const struct agent *agent, void (*fn)(void *owner, uint32_t id, int64_t due_mono_ms), void *owner);

#endif
