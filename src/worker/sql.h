/* sql — storage natives; what else of the worker needs to know of cursors. */
#ifndef DORMOUSE_WORKER_SQL_H
#define DORMOUSE_WORKER_SQL_H

#include <stdbool.h>
#include <stddef.h>

struct agent;

void sql_drop_cursors(struct agent *agent);        /* before its store closes */
/* Between turns of an agent with a heap: forgets the cursors that its JavaScript has dropped, and gives it the names and counts of those that
 * ended. Of those that have rows left it takes up to ROWS_BYTES_MAX of rows each; 0: they stay as they are, and see what is written
 * meanwhile. False: the agent was reset. */
bool sql_rest_cursors(struct agent *agent, size_t rows_bytes_max);

#endif
