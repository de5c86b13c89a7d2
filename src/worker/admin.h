/* admin — an administrator's questions to a worker (ADMIN, src/control/room.md): show, sql, delete, evict, stats. */
#ifndef DORMOUSE_WORKER_ADMIN_H
#define DORMOUSE_WORKER_ADMIN_H

#include "lib/ipc/link.h"

struct agent;

MUST_USE bool admin_message(struct link *link, struct bytes payload, struct err *err);
/* AGENT's database is open, or FAILED says why not: questions that waited for it are answered. */
void admin_recalled(struct agent *agent, const char *failed);
/* Packs the answer that REQUEST failed. */
void admin_refuse(struct buf *out, uint32_t request, const char *sentence);

#endif
