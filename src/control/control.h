/* control — what the files of the shell share. Not for others. */
#ifndef DORMOUSE_CONTROL_H
#define DORMOUSE_CONTROL_H

#include <jansson.h>

#include "lib/base/list.h"
#include "lib/base/map.h"
#include "lib/ipc/room.h"
#include "src/control/control_admin.h"
#include "src/control/control_agents.h"
#include "src/control/control_apps.h"
#include "src/control/control_core.h"
#include "src/control/control_disk.h"
#include "src/control/control_logs.h"

struct control {
    struct room       *room;
    struct disk        disk;
    uint16_t           workers_default;
    json_t            *limits;         /* of the node; owned, may be NULL */
    json_t            *status;         /* the supervisor's last STATUS; owned, may be NULL */
    struct apps        apps;
    struct admin      *admin;          /* NULL until the supervisor hands us the socket */
    struct logs       *logs;
    struct births     *births;
    struct loop_timer *births_timer;
    bool               births_are_due; /* the timer is armed */
    bool               births_failed;  /* said so once; not again until it works */
    uint32_t           next_build;
    struct umap       *questions;      /* ADMIN in flight: request → struct question (control_ops.c) */
    uint32_t           next_question;
    struct list_node   censuses;       /* under way (control_census.c) */
    uint32_t           next_census, censuses_count;
};

struct deployment {                    /* one deploy on its way; app->deployment */
    struct control    *control;
    struct app        *app;
    enum deploy_state  state;
    char               hash[HASH_BYTES_MAX + 1];
    uint16_t           workers;        /* known with the manifest */
    uint16_t           workers_wanted; /* as in struct app */
    bool               was_built;      /* the build was skipped: it was done by an earlier deploy */
    bool               was_rebuilt;    /* the workers could not take the template, and it was built anew: once */
    unsigned           restarts_before;/* of the app's workers, when it was built anew */
    bool               wants_default;
    bool               is_opening;     /* done but for the app's own address */
    char               listen[128];
    json_t            *manifest;       /* owned; NULL while receiving */
    struct upload     *upload;         /* owned; while receiving */
    uint32_t           build;          /* 0: none asked for */
    int64_t            started_ms;     /* monotonic */
    struct admin_ref   asker;          /* connection 0: nobody (a restart) */
    struct loop_timer *timer;          /* of the state */
    struct err         err;            /* why it failed */
    json_t            *detail;         /* diagnostics of the build; owned, may be NULL */
};

static inline struct conf_facts
control_facts(const struct control *c)
{
    return (struct conf_facts){ .data = c->disk.data, .limits = c->limits };
}

/* control_deploy.c */
void deploy_request(struct control *c, struct admin_ref from, const json_t *request);
void deploy_bytes(struct control *c, uint64_t connection, struct bytes data);
void deploy_connection_closed(struct control *c, uint64_t connection);
/* BUILDER: the build's own link, or NULL when the supervisor says it. */
void deploy_build_done(struct control *c, const struct link *builder, const struct msg_BUILD_DONE *msg);
void deploy_listened(struct control *c, const struct msg_LISTEN_DONE *msg);
void deploy_taken(struct control *c, struct link *worker, const struct msg_DEPLOYED *msg);
/* A start: brings an app that was deployed before up again. */
void deploy_resume(struct control *c, struct app *app);
void deploy_worker_up(struct control *c, struct link *worker);
void deploy_worker_down(struct control *c, const struct link *worker);
/* The supervisor's list of rooms changed: workers may be dying of a deploy. */
void deploy_status(struct control *c, const json_t *rooms);
void deploy_abandon_all(struct control *c);

/* control_tell.c: what other rooms are told about an app */
void tell_app_start(struct control *c, const struct app *app, const char *hash, uint16_t workers, const json_t *manifest);
void tell_build(struct control *c, const struct app *app, uint32_t build, const char *hash, const json_t *manifest);
void tell_deploy(struct link *worker, const char *hash, const json_t *manifest);
void tell_workers(struct control *c, const struct app *app, uint16_t workers, const char *hash, const json_t *manifest);
void tell_routes(struct control *c, const struct app *app);
void tell_all_routes(struct control *c);     /* to a gateway that came up, and when the default changes */
void tell_listen(struct control *c, const struct app *app);
/* The worker in a slot, NULL while it is away. */
struct link *worker_link(struct control *c, const struct app *app, uint16_t slot);
bool app_is_up(struct control *c, const struct app *app);

/* control_top.c: counters of all rooms */
void op_top(struct control *c, struct admin_ref from, const json_t *request);
void op_metrics(struct control *c, struct admin_ref from, const json_t *request);

/* control_ops.c: what operators ask for */
struct worker_said {
    const json_t *fields;          /* the worker's answer; NULL: it refused, or did not answer */
    enum err_code code;            /* … and why */
    const char   *sentence;
};
typedef void worker_said_fn(struct control *c, const struct worker_said *said, void *owner);
/* Asks the worker of SLOT; BODY is stolen. SAID is called once, maybe at once. */
void ops_ask_worker(struct control *c, const struct app *app, uint16_t slot, json_t *body, worker_said_fn *said, void *owner);
void ops_request(void *control, struct admin_ref from, const char *op, const json_t *request);
void ops_worker_answered(struct control *c, const struct msg_ADMIN_REPLY *msg);
void ops_worker_lost(struct control *c, const struct link *worker);
void ops_journal_answered(struct control *c, const struct link *journal, const struct msg_JOURNAL_CUT_DONE *msg);

/* control_clone.c: {"do":"clone","to":name} of an agent: a snapshot by its worker, then the clone by that of the new name. */
void clone_request(struct control *c, struct admin_ref from, const struct app *app, const char *class_name, const struct agent_id *source, const json_t *request);

#endif
