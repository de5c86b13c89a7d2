/* deliver — turns what arrived into events of the host interface (docs/host-interface.md, table 2). Each function queues one event. */
#ifndef DORMOUSE_WORKER_DELIVER_H
#define DORMOUSE_WORKER_DELIVER_H

#include "src/worker/js_events.h"
#include "src/worker/peer.h"

/* Local kinds of struct call beside enum call_kind. */
enum { CALL_WS_EVENT = 100 };

struct event *deliver_create_call(struct call *call, struct bytes call_payload);
void deliver_post_event(struct event *event);                  /* of deliver_create_call */
void deliver_post_call(struct call *call, struct bytes call_payload);
void deliver_post_reply(struct call *call, struct bytes reply_payload);
void deliver_post_rpc_reply(struct call *call);                /* call.gather holds the result */
/* Ends the call. */
void deliver_post_fail(struct call *call, enum err_code code, unsigned flags, struct bytes message, struct bytes detail);
void deliver_post_data(struct call *call, struct bytes data);
void deliver_post_end(struct call *call, struct bytes message);    /* of an outgoing call: ends it */
void deliver_post_drain(struct call *call);
void deliver_post_cancelled(struct call *call);
/* An ENTRY call that nothing pending can end any more: it fails, or its body breaks off. */
void deliver_post_hung(struct call *call);
void deliver_run_cancelled_number(struct agent *agent, struct event *event);
void deliver_post_timer(struct agent *agent, uint32_t id, uint32_t section);
/* Nobody asks with it: a part of a body or room for the next one, an answer to the agent, its timer. */
bool deliver_is_own(const struct event *event);
bool deliver_is_timer(const struct event *event);               /* n1 is its id */
/* What became of a snapshot (TEXT is its id) or of a restore that cannot be (the reason). */
void deliver_post_snapshot(struct agent *agent, uint32_t request, uint32_t section, bool is_failure, struct bytes text);
void deliver_post_synced(struct agent *agent, uint32_t request, uint32_t section);
void deliver_post_ws_message(struct agent *agent, uint64_t socket, bool is_text, struct bytes data);
void deliver_post_ws_close(struct agent *agent, uint64_t socket, uint16_t code, bool was_clean, struct bytes reason);
bool deliver_is_ws_close(const struct event *event);

#endif
