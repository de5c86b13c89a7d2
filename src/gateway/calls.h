/*
 * calls — requests on their way through workers: CALL out, REPLY or FAIL, DATA, END, CREDIT, CANCEL.
 *
 * Promise: a call that was sent ends: by its answer, by CANCEL, or by the loss of its link.
 */
#ifndef DORMOUSE_GATEWAY_CALLS_H
#define DORMOUSE_GATEWAY_CALLS_H

#include "src/gateway/http.h"

void calls_init(struct gateway *gw);
void calls_fini(struct gateway *gw);

/* Sends R with the BODY bytes read so far to WORKER (whose link is up). */
void call_send(struct request *r, struct worker *worker, struct bytes body);
/* More of the request's body. Returns false when there is no credit for all: stop reading. */
bool call_body(struct request *r, struct bytes bytes);
void call_body_end(struct request *r);
/* Credit for the answer's body that left. */
void call_grant(struct request *r);
/* No more interest; sends CANCEL when the other side still works on it. */
void call_cancel(struct request *r, const char *message);
/* Forgets without a word. */
void call_close(struct request *r);
/* WORKER's link is gone: its requests are answered or cut. */
void calls_lost(struct worker *worker);

/* Messages from workers about calls that we opened (and, by asset_calls, about theirs). */
MUST_USE bool calls_message(struct gateway *gw, struct worker *worker, uint16_t type, struct bytes payload,
                            struct err *err);

#endif
