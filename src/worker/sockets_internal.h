/* sockets_internal — what sockets.c and sockets_keep.c share. */
#ifndef DORMOUSE_WORKER_SOCKETS_INTERNAL_H
#define DORMOUSE_WORKER_SOCKETS_INTERNAL_H

#include "src/worker/sockets.h"

#define WS_CODE_ABNORMAL 1006

struct ws_info {
    uint64_t      socket;
    struct agent *agent;
    enum role     role;                /* who holds it: ROLE_GATEWAY or ROLE_EGRESS */
    bool          is_live, is_closed;
    struct buf    listed;              /* payload of its WS_SOCKET, until JavaScript asked for the list */
};

struct ws_info *sockets_add(struct agent *agent, uint64_t socket, bool is_live, enum role role);
struct ws_info *sockets_find(struct agent *agent, uint64_t socket);    /* NULL: not its own, or closed and forgotten */
/* The texts of the auto-response; empty: none. */
void sockets_keep_auto(struct agent *agent, struct bytes request, struct bytes response);
/* The gateway is away: when it is back, it may have lost sockets. */
void sockets_era_ends(void);
/* It is (back) here: agents in memory that have sockets have them listed. */
void sockets_era_begins(void);
/* The gateway has LISTED all sockets of AGENT: what its heap knows besides is told as lost, to be delivered when the caller pumps. */
void sockets_compare(struct agent *agent);
/* The list will not be completed. */
void sockets_list_broken(struct agent *agent);

#endif
