/*
 * cast — one message to many WebSockets, sent by a loop over them.
 *
 * Promise: sends of the same message, one after the other in a turn, cross to the gateway as one body with a list of sockets. Nothing that the agent sends
 * is overtaken: whatever else leaves, and the turn's end, sends the message first.
 */
#ifndef DORMOUSE_WORKER_CAST_H
#define DORMOUSE_WORKER_CAST_H

#include "lib/base/bytes.h"

struct agent;
struct peer;

/* AGENT, whose turn it is, sends DATA to SOCKET, which PEER, the gateway, holds. flags: WS_TEXT or 0. */
void cast_send(struct agent *agent, struct peer *peer, uint64_t socket, uint8_t flags, struct bytes data);
/* What AGENT has sent so far goes into its output now. */
void cast_flush(struct agent *agent);
/* What AGENT has sent and did not leave is undone. */
void cast_drop(const struct agent *agent);

#endif
