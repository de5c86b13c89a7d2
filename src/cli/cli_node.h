/*
 * cli_node — a Dormouse of our own: the supervisor as a child, and a connection to its control.
 *
 * Promise: it ends with us. When control is restarted the connection comes back by itself, and `up` is told again.
 */
#ifndef DORMOUSE_CLI_NODE_H
#define DORMOUSE_CLI_NODE_H

#include <jansson.h>

#include "src/cli/cli_args.h"
#include "src/cli/cli_client.h"

struct node;

struct node_spec {
    const char             *data;          /* absolute; made when absent */
    const struct text_list *listen;        /* "HOST:PORT", at least one */
    long                    workers;       /* 0: the supervisor decides */
    const char             *sandbox;       /* "best", "required", "off" */
    bool                    allow_private; /* agents may fetch private addresses */
    const char             *config_file;   /* JSON whose fields come first; NULL: none */
    bool                    is_quiet;      /* the rooms' own output comes as `line`; else it goes to our stderr */
};

struct node_events {
    void (*up)(void *owner);
    void (*message)(void *owner, const json_t *message);   /* of node_client() */
    void (*line)(void *owner, struct bytes line);
    void (*ended)(void *owner, bool is_ok);
};

MUST_USE bool node_start(struct node **out_node, struct loop *loop, const struct node_spec *spec, const struct node_events *events,
                         void *owner, struct err *err);
/* NULL while there is no connection. */
struct client *node_client(struct node *node);
void node_stop(struct node *node);         /* asks it to end in order; the second time, at once. `ended` follows */
/* What it said last on stderr (is_quiet only). */
const char *node_last_words(struct node *node);
void node_destroy(struct node **node);

/* The JSON of the supervisor's configuration for SPEC. The caller frees. */
MUST_USE bool node_config(const struct node_spec *spec, char **out_text, struct err *err);

/* From control's `status`: is the gateway ready, is every app up or given up, and at which address does it listen?
 * ADDRESS may be NULL meanwhile. */
bool status_is_ready(const json_t *answer, const char **out_address);

#endif
