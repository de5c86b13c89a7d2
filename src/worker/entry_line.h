/*
 * entry_line — in which order requests begin when more of them come than the app's entry can begin at once.
 *
 * Promise: answers to what has begun come before what is new. Requests for a URL that was answered within warm_ms come before others: their
 * agent is awake, most likely, and shall not wait for those who must be woken. Others have each ENTRY_OTHERS_PARTth turn at least. Each kind is
 * first come, first served.
 */
#ifndef DORMOUSE_WORKER_ENTRY_LINE_H
#define DORMOUSE_WORKER_ENTRY_LINE_H

#include "src/worker/agent.h"

/* Puts EVENT, of ENTRY or of any other agent, into its queue; takes it out again. Both in a time that does not depend on how many wait. */
void entry_line_add(struct agent *agent, struct event *event);
void entry_line_remove(struct agent *agent, struct event *event);
/* Which event of ENTRY's queue is next, where FIRST is the first one that may be delivered. */
struct event *entry_line_next(struct agent *entry, struct event *first);
/* It begins no turn, but goes on with one; never changes in an event's life. */
bool entry_line_is_begun(const struct event *event);
/* CALL is answered now. */
void entry_line_answered(const struct call *call);

#endif
