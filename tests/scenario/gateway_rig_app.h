/* gateway_rig_app — what the rig's made-up workers do: the path of a request chooses (see serve_… in the .c file). */
#ifndef DORMOUSE_GATEWAY_RIG_APP_H
#define DORMOUSE_GATEWAY_RIG_APP_H

#include "lib/base/map.h"
#include "lib/ipc/link.h"

struct worker {
    struct link *link;
    uint16_t slot;
    struct umap *calls; /* open calls of the gateway */
};

extern const struct link_events rig_worker_events; /* owner: struct worker */
extern bool rig_gives_credit;                      /* WS_CREDIT and CREDIT are sent */

struct agent_id rig_agent(struct bytes name);
void rig_ws_text(struct worker *w, uint64_t socket, const char *text);
void rig_calls_forget(struct worker *w); /* its link is gone */
void rig_end_line(void);                 /* the end of an event on stdout */

#endif
