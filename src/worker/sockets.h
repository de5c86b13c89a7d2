/*
 * sockets — an agent's WebSockets as the worker sees them: ids. The gateway (or egress) holds the connections.
 *
 * Promise: an agent can send on its own sockets only; hibernatable ones outlive its heap, live ones end with it.
 */
#ifndef DORMOUSE_WORKER_SOCKETS_H
#define DORMOUSE_WORKER_SOCKETS_H

#include "lib/ipc/message.h"
#include "src/worker/agent.h"

bool sockets_need_listing(const struct agent *agent);
void sockets_list(struct agent *agent);            /* asks the gateway; agent_listed() is called with the answer */
void sockets_drop(struct agent *agent);            /* the heap failed: live sockets close, the rest is the gateway's */
void sockets_forget(struct agent *agent);          /* the agent's structure goes away */
MUST_USE bool sockets_message(struct peer *peer, uint16_t type, struct bytes payload, struct err *err);
/* A WebSocket event was handled: back-pressure, and a closed socket is forgotten. */
void sockets_event_done(struct agent *agent, uint64_t socket, uint64_t bytes);
/* The agent started over while an event of SOCKET, or what came of it, was under way: a hibernatable one closes, for nobody can know what became of it. */
void sockets_event_lost(struct agent *agent, uint64_t socket);
void sockets_holder_lost(enum role role);          /* gateway or egress: every connection is gone with it */

#endif
