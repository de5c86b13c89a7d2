/*
 * egress_outlet — libcurl's multi handle on our loop: connections, names, TLS, reuse. Nothing else here knows curl's events.
 *
 * Promise: no connection is opened that the policy does not allow, whatever a name resolves to. `done` comes from the loop, never
 * from within a call of ours.
 */
#ifndef DORMOUSE_EGRESS_OUTLET_H
#define DORMOUSE_EGRESS_OUTLET_H

#include <curl/curl.h>

#include "src/egress/egress_policy.h"

struct loop;
struct outlet;

struct outlet_limits {
    long connect_ms;
    long idle_ms;
    const char *certificates;          /* a file of trusted ones instead of the system's; NULL: the system's. Borrowed for ever */
};

/* One use of curl; embedded in its owner. */
struct exchange {
    CURL *easy;                        /* owned; NULL: not set up */
    struct outlet *outlet;             /* borrowed */
    struct bytes hostname;             /* borrowed from the owner: what the policy is asked about */
    char refusal[160];                 /* not empty: the policy refused, and why */
    char error[CURL_ERROR_SIZE];       /* curl's words when it failed */
    void (*done)(struct exchange *exchange, CURLcode result);
    bool is_running;
};

struct outlet *outlet_create(struct loop *loop, const struct egress_policy *policy, const struct outlet_limits *limits);
void outlet_destroy(struct outlet **outlet);

/* Prepares EXCHANGE for URL (no credentials, no fragment): what holds for every connection. The owner adds its own options. */
void outlet_prepare(struct outlet *outlet, struct exchange *exchange, const char *url);
/* Starts it. */
void outlet_start(struct exchange *exchange);
/* Stops it if it runs and frees what it holds; it can be prepared again. */
void outlet_release(struct exchange *exchange);

#endif
