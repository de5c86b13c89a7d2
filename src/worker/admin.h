/* admin — an administrator's questions to a worker (ADMIN, src/control/room.md): show, sql, delete, evict, stats. */
#ifndef DORMOUSE_WORKER_ADMIN_H
#define DORMOUSE_WORKER_ADMIN_H

#include "lib/ipc/link.h"

MUST_USE bool admin_message(struct link *link, struct bytes payload, struct err *err);

#endif
