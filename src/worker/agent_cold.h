/*
 * agent_cold — the images of sleeping agents in their folders (file "image"), and agents made of them again. Those of agents that never wrote,
 * which have no folder, are in agents/.asleep/BOOT/CLASS/ID; what an earlier start of the machine left there is removed.
 *
 * Promise: derived data, never needed: an image is consumed by the wake that reads it, belongs to one commit of its database, and is worth
 * nothing after the machine was started anew. Written without any sync. Whatever is wrong with it: the constructor runs.
 */
#ifndef DORMOUSE_WORKER_AGENT_COLD_H
#define DORMOUSE_WORKER_AGENT_COLD_H

#include "lib/base/macros.h"

struct agent;

/* BOOT names the time since the machine was started; NULL or empty: nobody goes cold. Once the worker knows its slot and has a loop. */
void agent_cold_init(const char *boot);
int64_t agent_cold_bytes(const struct agent *agent);   /* of its image on disk; -1: there is none */
/* Whether nothing of it has to stay in memory. */
bool agent_may_go_cold(const struct agent *agent);
/* Writes the image of AGENT. False: it may not go, or the disk does not take it. */
bool agent_cold_store(struct agent *agent);
/* Makes AGENT's heap of its image on disk; its sockets may have to be listed first. False: there is none, or it was refused and counted; AGENT is as it was. */
MUST_USE bool agent_cold_wake(struct agent *agent);

/* AGENT's image on disk, if any, is worth nothing any more. */
void agent_cold_drop(const struct agent *agent);

#endif
