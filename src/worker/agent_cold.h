/*
 * agent_cold — the images of sleeping agents in their folders (file "image"), and agents made of them again.
 *
 * Promise: derived data, never needed: an image is consumed by the wake that reads it, belongs to one commit of its database, and is worth
 * nothing after the machine was started anew. Written without any sync. Whatever is wrong with it: the constructor runs.
 */
#ifndef DORMOUSE_WORKER_AGENT_COLD_H
#define DORMOUSE_WORKER_AGENT_COLD_H

#include "lib/base/macros.h"

struct agent;

/* BOOT names the time since the machine was started; NULL or empty: nobody goes cold. */
void agent_cold_init(const char *boot);
int64_t agent_cold_bytes(const struct agent *agent);   /* of the image in its folder; -1: there is none */
/* Whether nothing of it has to stay in memory. */
bool agent_may_go_cold(const struct agent *agent);
/* Writes the image of AGENT. False: it may not go, or the disk does not take it. */
bool agent_cold_store(struct agent *agent);
/* Makes AGENT's heap of the image in its folder; its sockets may have to be listed first. False: there is none, or it was refused and counted; AGENT is as it was. */
MUST_USE bool agent_cold_wake(struct agent *agent);

/* The image in AGENT's folder, if any, is worth nothing any more. */
void agent_cold_drop(const struct agent *agent);

#endif
