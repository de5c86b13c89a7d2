/*
 * egress_http — one outgoing request: CALL (kind CALL_OUT) to REPLY, with both bodies streaming under credit.
 *
 * Promise: exactly one REPLY or FAIL per call that is not cancelled; memory per call is bounded by the credit windows.
 */
#ifndef DORMOUSE_EGRESS_HTTP_H
#define DORMOUSE_EGRESS_HTTP_H

#include "src/egress/egress.h"

struct http_call;

/* Starts the request of CALL; failures answer the client. */
void http_open(struct client *client, const struct msg_CALL *call);
/* Messages of the client about an open call. False with err: it broke the rules. */
MUST_USE bool http_data(struct http_call *call, struct bytes data, struct err *err);
void http_end(struct http_call *call, bool is_broken);
void http_credit(struct http_call *call, uint32_t bytes);
/* No more interest: frees. */
void http_cancel(struct http_call *call);
/* Sends what the call has gathered; may free it. Called once per loop iteration for touched calls. */
void http_flush(struct http_call *call);
struct http_call *http_touched(struct list_node *node);

#endif
