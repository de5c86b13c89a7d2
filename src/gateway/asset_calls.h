/*
 * asset_calls — CALL_ASSETS from workers (env.ASSETS.fetch): the same answers as a client gets, over the link.
 *
 * Promise: a file goes only as fast as its reader grants credit; what is open is closed when the worker cancels or
 * dies.
 */
#ifndef DORMOUSE_GATEWAY_ASSET_CALLS_H
#define DORMOUSE_GATEWAY_ASSET_CALLS_H

#include "src/gateway/app.h"

MUST_USE bool asset_call(struct gateway *gw, struct worker *worker, struct bytes payload, struct err *err);
void asset_call_credit(struct gateway *gw, struct worker *worker, uint32_t call, uint32_t bytes);
void asset_call_cancel(struct gateway *gw, struct worker *worker, uint32_t call);
void asset_calls_lost(struct gateway *gw, struct worker *worker);

#endif
