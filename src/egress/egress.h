/*
 * egress — what the files of the room share: the room, its workers ("clients"), and who gets which message.
 */
#ifndef DORMOUSE_EGRESS_H
#define DORMOUSE_EGRESS_H

#include "lib/base/list.h"
#include "lib/base/map.h"
#include "lib/ipc/room.h"
#include "lib/wire/url.h"
#include "src/egress/egress_outlet.h"

extern const struct room_spec egress_room;

struct egress {
    struct room *room;
    struct loop *loop;
    struct outlet *outlet;
    struct egress_policy *policy;
    struct outlet_limits limits;
    struct loop_hook *hook;            /* sends what the calls have gathered, once per iteration */
    struct list_node touched;          /* http_call.in_touched */
    struct umap *sockets;              /* id → struct ws_client */
    uint64_t next_socket;
    size_t calls;
    size_t calls_max;                  /* EGRESS_CALLS_MAX, or what the limit of descriptors allows */
    size_t request_bytes;              /* http_call.held of all */
    uint64_t calls_total;              /* opened since the start */
    bool is_stopping;
};

struct client {                        /* a linked worker */
    struct egress *egress;
    struct link *link;
    struct umap *http;                 /* call → struct http_call */
    struct umap *upgrades;             /* call → struct ws_client whose handshake is under way */
    size_t uploads;                    /* calls whose bodies come in pieces and are not sent yet */
};

/* Who asked, for log lines. */
struct asker {
    struct agent_id agent;
    char *class_name;
    char *name;
};
void asker_set(struct asker *asker, const struct msg_CALL *call);
void asker_fini(struct asker *asker);

/* What a failed connection is called: FAIL's code, flags and text. */
struct failure {
    enum err_code code;
    uint8_t flags;
    char text[ERR_MESSAGE_MAX + 128];
};
void failure_of(struct failure *out, const struct exchange *exchange, CURLcode result);
void send_fail(struct client *client, uint32_t call, const struct failure *failure);
/* A line in the log of the agent that asked. */
void log_for(struct egress *egress, const struct asker *asker, const char *fmt, ...) PRINTF(3, 4);

/* The URL of a call: http(s), ws(s) read as http(s), without credentials and fragment. */
MUST_USE bool target_parse(struct url *out_url, struct bytes text, struct err *err);
/* A blob's fields that are not the transport's, as curl's list. False with err: not fields. */
MUST_USE bool target_headers(struct curl_slist **inout_list, struct bytes blob, struct err *err);

#endif
