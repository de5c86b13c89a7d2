/* counters — what this worker has done and holds, as numbers: the answer to COUNT. */
#ifndef DORMOUSE_WORKER_COUNTERS_H
#define DORMOUSE_WORKER_COUNTERS_H

#include "lib/ipc/room.h"

void counters_put(struct room *room, struct buf *json);

#endif
