/*
 * alarms — an agent's alarm: kept in its database, known to the scheduler, handled as the platform's law says (surface spec 3.2).
 *
 * Promise: every commit that changes the alarm carries it to the journal (commits.c), which tells the scheduler.
 */
#ifndef DORMOUSE_WORKER_ALARMS_H
#define DORMOUSE_WORKER_ALARMS_H

#include "src/worker/agent.h"

/* In the turn of CALL_ALARM: is there still such an alarm to handle? False: the call is answered already. */
bool alarms_begin(struct agent *agent, struct call *call);
/* The handler ended: 0 ok, 1 failed, 2 failed and not to be retried. Answers the call. */
void alarms_done(struct agent *agent, struct call *call, int outcome);
/* AGENT's database was opened: an index that does not know its alarm (the database was put in place from elsewhere) does so now. */
void alarms_remind(struct agent *agent);
/* The heap ended while an alarm ran (abort, limit): answers the call so that the retry counts, or not at all. */
void alarms_reset(struct agent *agent, struct call *call, bool retry);

/* sync(): answered when nothing of this agent waits to become durable. */
void alarms_sync(struct agent *agent, uint32_t request);
void alarms_post_synced(struct agent *agent);

#endif
