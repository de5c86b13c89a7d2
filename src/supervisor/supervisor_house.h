/* supervisor_house — what the files of the shell share. Not for others. */
#ifndef DORMOUSE_SUPERVISOR_HOUSE_H
#define DORMOUSE_SUPERVISOR_HOUSE_H

#include "lib/base/list.h"
#include "lib/ipc/link.h"
#include "lib/jail/jail.h"
#include "src/supervisor/supervisor_core.h"
#include "src/supervisor/supervisor_listen.h"
#include "src/supervisor/supervisor_shell.h"
#include "src/supervisor/supervisor_spawn.h"

#define ROOM_LABEL_MAX 96              /* "worker-APP-65535": in logs, and the name of its cgroup */

struct app {
    struct list_node in_house;
    char     name[APP_NAME_MAX + 1];
    uint16_t count;                    /* workers it shall have; 0: it is being removed */
    char    *conf;                     /* owned; the JSON of APP_START */
};

struct house_room {
    struct list_node   in_house;
    struct house      *house;          /* borrowed: the house owns us */
    enum role          role;
    uint16_t           index;
    char               app[APP_NAME_MAX + 1];    /* "" when not per app */
    uint16_t           slots;          /* workers: how many the app had when this one was made */
    char              *build_conf;     /* owned; builds only: the JSON of BUILD */
    uint32_t           build;          /* builds only */
    struct life        life;
    struct loop_timer *timer;          /* owned; life.due_ms */
    pid_t              pid;            /* 0: no process */
    int                pid_fd;
    struct loop_poll  *death;          /* owned; pid_fd */
    struct link       *link;           /* owned; NULL when there is no process or it closed */
    struct loop_poll  *report_poll;    /* owned; report_fd */
    int                report_fd;
    struct jail_report report;
    unsigned           links_unflushed;
    uint32_t           born;           /* house.generation before this process got its links */
    enum pressure      own_pressure;   /* of its own cgroup */
    enum pressure      told_pressure;  /* what the worker was told last */
};

struct listener {
    char name[NAME_MAX_BYTES + 1];
    char asked[LISTEN_ADDRESS_MAX];  /* as the configuration or control named it */
    char address[LISTEN_ADDRESS_MAX];/* what it became (port 0) */
    int  fd;                           /* owned */
    enum role role;                    /* who gets it: gateway or control */
};

struct house {
    const struct supervisor_config *config;   /* borrowed */
    struct loop       *loop;
    struct list_node   rooms;
    struct list_node   apps;
    size_t             rooms_count;
    struct listener    listeners[LISTENERS_MAX];
    size_t             listeners_count;
    uid_t              uid;
    gid_t              gid;
    int                lock_fd;
    uint32_t           generation;     /* of links: each new pair gets the next */
    struct jail_report probed;
    bool               is_status_due;
    struct buf         status_sent;    /* the last STATUS that control got */
    bool               is_stopping;
    int                phase;          /* of the stop */
    int64_t            stop_deadline_ms;
    bool               had_to_kill;
    struct loop_timer *work;           /* owned; at 0: what must not run within a walk over rooms */
    struct loop_timer *watch;          /* owned; memory is looked at */
    struct list_node   breaches;       /* struct breach: supervisor_breach.c */
    size_t             breaches_count;
    struct loop_timer *mend;           /* owned; breaches are looked at */
    enum pressure      node_pressure;  /* of what is around all rooms */
    int64_t            node_looked_ms;
    bool               node_is_far;    /* … from any pressure, at that time */
};

void house_log(struct house *house, int level, const char *fmt, ...) PRINTF(3, 4);
struct house_room *house_find(struct house *house, enum role role, uint16_t index, const char *app);
/* What a worker may write beneath its app's folder: agents, and a build the deploys. Neither gets what the other writes. */
const char *worker_folder(const struct house_room *room);
void room_label(const struct house_room *room, char out[ROOM_LABEL_MAX]);

/* supervisor_shell.c */
void house_work_soon(struct house *house);     /* the next step of a stop, or workers that an app lacks; from the loop */
struct house_room *room_add(struct house *house, enum role role, uint16_t index, const char *app);
void room_event(struct house_room *room, enum life_event event, uint32_t grace_ms);

/* supervisor_watch.c */
void watch_begin(struct house *house);

/* supervisor_breach.c: links that broke between rooms that live on. */
void breaches_begin(struct house *house);
void breaches_end(struct house *house);
MUST_USE bool breach_message(struct house_room *room, struct bytes payload, struct err *err);

/* supervisor_process.c */
void room_start_process(struct house_room *room);

/* supervisor_links.c: what a room is told when it starts, and its peers with it. */
void room_introduce(struct house_room *room);
/* Once the room's program runs (its HELLO came): a worker's own page map. */
void room_send_pagemap(const struct house_room *room);
void listener_announce(struct house *house, const struct listener *listener);
MUST_USE bool house_listen(struct house *house, const char *name, const char *address, const struct listener **out_listener,
                           struct err *err);

/* supervisor_control.c: what control asks for. */
bool control_message(struct house *house, uint16_t type, struct bytes payload, struct err *err);
void apps_settle(struct house *house);         /* starts what an app lacks once its old workers are gone */
void build_ended(struct house_room *room, const char *why);   /* tells control, unless why is NULL */
void status_send(struct house *house);

#endif
