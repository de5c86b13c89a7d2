/* log — lines about agents, and the worker's own small duties towards control. */
#ifndef DORMOUSE_WORKER_LOG_H
#define DORMOUSE_WORKER_LOG_H

#include "src/worker/agent.h"

/* A line of the platform about AGENT. level: 0 debug 1 info 2 warn 3 error. */
void worker_log_agent(struct agent *agent, int level, const char *fmt, ...) PRINTF(3, 4);
/* A line that the agent's code wrote (console). */
void worker_log_console(struct agent *agent, int level, struct bytes text);
void worker_tell_born(struct agent *agent, bool is_deleted);
/* Delivers what the worker sent to itself. At the end of whatever the loop called; never inside a turn. */
void worker_run_loopback(void);

#endif
