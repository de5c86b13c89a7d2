/*
 * egress_ws — WebSockets to the outside: CALL with CALL_UPGRADE, then WS_MESSAGE and WS_CLOSE with a socket id of ours.
 *
 * Promise: ids have bit 51 set and are never reused; a server's Close is answered at once and told to the worker once; a worker
 * that handles nothing stops the reading, a server that reads nothing is dropped.
 */
#ifndef DORMOUSE_EGRESS_WS_H
#define DORMOUSE_EGRESS_WS_H

#include "src/egress/egress.h"

#define EGRESS_SOCKET_BIT (1ull << 51)

struct ws_client;

/* Connects and shakes hands; answers REPLY 101 with a socket, another REPLY when the server refused, or FAIL. */
void ws_open(struct client *client, const struct msg_CALL *call);
/* Messages of the client. SOCKET is its own, or the message is ignored: it may have closed a moment ago. */
void ws_message(struct client *client, const struct msg_WS_MESSAGE *msg);
void ws_close(struct client *client, const struct msg_WS_CLOSE *msg);
void ws_credit(struct client *client, const struct msg_WS_CREDIT *msg);
void ws_join(struct client *client, const struct msg_WS_JOIN *msg);
/* The call was cancelled before the handshake ended: frees. */
void ws_cancel(struct ws_client *ws);
/* The client is gone: its sockets are closed (1001) and freed. */
void ws_client_lost(struct client *client);

#endif
