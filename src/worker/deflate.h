/* deflate — compression streams of agents; what else of the worker needs to know of them. */
#ifndef DORMOUSE_WORKER_DEFLATE_H
#define DORMOUSE_WORKER_DEFLATE_H

struct agent;

void deflate_drop(struct agent *agent);            /* the heap is gone */

#endif
