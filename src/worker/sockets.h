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
/* Asks the gateway; agent_listed() is called after the answer. False: it is away, and will be asked when it is back. */
bool sockets_list(struct agent *agent);
void sockets_drop(struct agent *agent);            /* the heap failed: live sockets close, the rest is the gateway's */
void sockets_forget(struct agent *agent);          /* the agent's structure goes away */
MUST_USE bool sockets_message(struct peer *peer, uint16_t type, struct bytes payload, struct err *err);
/* A WebSocket event was handled: back-pressure, and a closed socket is forgotten. */
void sockets_event_done(struct agent *agent, uint64_t socket, uint64_t bytes);
/* The agent started over while an event of SOCKET, or what came of it, was under way: a hibernatable one closes, for nobody can know what became of it. */
void sockets_event_lost(struct agent *agent, uint64_t socket);
void sockets_holder_lost(enum role role);          /* gateway or egress: every connection is gone with it */

/* ---- for an agent whose structure leaves memory (sockets_keep.c) ---- */
bool sockets_may_be_packed(const struct agent *agent);
/* Appends what the agent needs to go on with its hibernatable sockets; nothing when it has none. */
void sockets_pack(const struct agent *agent, struct buf *out);
enum sockets_refusal { SOCKETS_FINE, SOCKETS_MALFORMED, SOCKETS_OTHERS /* the gateway has sockets of it that its heap does not know */ };
/* Gives AGENT (whose heap is of the image) its sockets back; agent.are_sockets_stale: they have to be listed. */
enum sockets_refusal sockets_unpack(struct agent *agent, struct bytes packed);

#endif
