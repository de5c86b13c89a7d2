/*
 * app — the deployed apps as the gateway sees them: their hosts and listeners, their workers, where their agents live.
 *
 * Promise: a request finds its app by listener and host in constant time; a change of routes is whole or not at all.
 * Workers come and go; the record of a worker outlives its process, so that what waits for a slot meets the next
 * process in it.
 */
#ifndef DORMOUSE_GATEWAY_APP_H
#define DORMOUSE_GATEWAY_APP_H

#include "src/gateway/asset_rules.h"
#include "src/gateway/gateway.h"

/* One slot of an app's workers. */
struct worker {
    struct app *app;
    struct link *link; /* NULL while the process is away */
    uint16_t slot;
    struct list_node requests; /* struct request.in_worker: calls open on the link */
    struct list_node sockets;  /* struct socket.in_worker: their agents live in this slot */
    struct list_node joined;   /* struct socket.in_peer: their outer ends were taken here (WS_JOIN) */
};

struct app {
    struct list_node in_gateway;
    char *name;
    uint16_t index; /* small number, part of keys */
    bool is_routed; /* ROUTES were given and not taken back */
    bool is_default;
    uint16_t worker_count;
    char **hosts; /* lower case; "*.example.com" allowed */
    size_t host_count;
    char **listeners;
    size_t listener_count;
    uint32_t pending_sockets; /* WebSockets of which one half is missing */
    uint16_t next;            /* round robin for what has no advice */
    struct worker *workers[WORKERS_PER_APP_MAX];
    struct asset_config assets;
};

/* Takes an app's ROUTES; json empty: no more. The message is checked before anything changes. */
MUST_USE bool app_routes(struct gateway *gw, struct bytes name, struct bytes json, struct err *err);
struct app *app_find(struct gateway *gw, struct bytes name);
/* The record of a worker, made when new. NULL above the limits. */
struct worker *app_worker(struct gateway *gw, struct bytes name, uint16_t slot);
void apps_destroy(struct gateway *gw);

/* The app for HOST (with port, any case) on LISTENER; NULL: nobody's. */
struct app *app_route(struct gateway *gw, const char *listener, struct bytes host);
/* Lower case, without port and final dot, into OUT. The length; 0 when it does not fit. */
size_t host_normalize(struct bytes host, char *out, size_t size);

/* The key of a URL in the table of advice. PATH without query. */
uint32_t app_slot_key(const struct gateway *gw, const struct app *app, struct bytes host, struct bytes path);
/* The worker for KEY: the advised one when it is there, else the next that is. NULL: none is there. */
struct worker *app_pick(struct gateway *gw, struct app *app, uint32_t key);
/* A reply said where this URL's agent lives. */
void app_advise(struct gateway *gw, const struct app *app, uint32_t key, uint16_t slot);
/* Where AGENT lives. */
struct worker *app_agent_worker(struct gateway *gw, struct app *app, const struct agent_id *agent);

#endif
