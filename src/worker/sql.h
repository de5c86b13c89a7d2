/* sql — storage natives; what else of the worker needs to know of cursors. */
#ifndef DORMOUSE_WORKER_SQL_H
#define DORMOUSE_WORKER_SQL_H

struct agent;

void sql_drop_cursors(struct agent *agent);        /* before its store closes */

#endif
