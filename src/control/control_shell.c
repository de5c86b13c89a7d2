/*
 * control_shell — see control_shell.h. One control per process.
 */
#include "src/control/control_shell.h"

#include <assert.h>
#include <stdlib.h>

#include "lib/jail/jail.h"
#include "lib/loop/loop.h"
#include "lib/sys/sys.h"
#include "src/control/control.h"
#include "src/control/control_census.h"

enum { BIRTHS_WRITE_MS = 200 };    /* a burst of births is written as one append per index file */

static struct control control;

/* ---- births ----------------------------------------------------------------------------------------------------- */

static void
on_births_due(void *owner)
{
    struct control *c = owner;
    struct err err = { 0 };

    c->births_are_due = false;
    if (births_write(c->births, &err)) {
        c->births_failed = false;
        return;
    }
    if (!c->births_failed)
        room_log(c->room, 2, "names of new agents are missing from listings: %s", err.message);
    c->births_failed = true;
}

static void
agent_born(struct control *c, const struct link *worker, const struct msg_AGENT_BORN *msg)
{
    struct app *app = apps_find(&c->apps, link_peer(worker)->app);

    if (app == NULL || !app_has_class(app, msg->class_name))
        return;
    births_add(c->births, app->name, msg);
    if (births_count(c->births) >= BIRTHS_MAX)
        on_births_due(c);
    else if (!c->births_are_due)
        loop_timer_arm(c->births_timer, BIRTHS_WRITE_MS);
    c->births_are_due = births_count(c->births) > 0;
}

/* ---- the room --------------------------------------------------------------------------------------------------- */

static void
on_admin_bytes(void *owner, uint64_t connection, struct bytes data)
{
    deploy_bytes(owner, connection, data);
}

static void
on_admin_closed(void *owner, uint64_t connection)
{
    struct control *c = owner;

    logs_unfollow(c->logs, connection);
    deploy_connection_closed(c, connection);
}

static void
control_listen(struct room *room, struct bytes name, struct bytes address, int fd)
{
    static const struct admin_events events = { ops_request, on_admin_bytes, on_admin_closed };

    if (!bytes_equal_str(name, "admin") || control.admin != NULL) {
        (void)sys_close(fd);
        return;
    }
    control.admin = admin_create(room_loop(room), fd, &events, &control);
}

static bool
conf_read(struct control *c, struct bytes conf_json, const char **out_data, json_t **out_conf, struct err *err)
{
    json_error_t problem;
    json_t *conf = json_loadb((const char *)conf_json.data, conf_json.len, 0, &problem);
    json_int_t workers = json_integer_value(json_object_get(conf, "workers"));

    *out_conf = conf;
    *out_data = json_string_value(json_object_get(conf, "data"));
    if (*out_data == NULL || (*out_data)[0] != '/')
        return err_set(err, ERR_CONFIG, 0, "control's CONF needs 'data', an absolute path");
    if (workers < 1 || workers > APP_WORKERS_MAX)
        return err_set(err, ERR_CONFIG, 0, "control's CONF needs 'workers', from 1 to %d", APP_WORKERS_MAX);
    c->workers_default = (uint16_t)workers;
    c->limits = json_incref(json_object_get(conf, "limits"));
    return true;
}

static bool
state_load(struct control *c, struct err *err)
{
    struct buf text = { 0 };
    bool ok = disk_state_read(&c->disk, &text, err) && (text.len == 0 || apps_load(&c->apps, buf_view(&text), err));

    buf_fini(&text);
    return ok || err_add(err, "'%s/control.json'", c->disk.data);
}

static bool
control_start(struct room *room, struct bytes conf_json, struct err *err)
{
    struct control *c = &control;
    const char *data;
    json_t *conf;
    struct app *app;
    bool ok;

    c->room = room;
    apps_init(&c->apps);
    ok = conf_read(c, conf_json, &data, &conf, err) && disk_open(&c->disk, data, err) && state_load(c, err) &&
         jail_enter(ROLE_CONTROL, conf_json, err);
    json_decref(conf);
    if (!ok)
        return false;
    c->logs = logs_create();
    c->births = births_create(&c->disk);
    c->births_timer = loop_timer_create(room_loop(room), on_births_due, c);
    c->questions = umap_create();
    list_init(&c->censuses);
    list_each(app, &c->apps.list, struct app, in_apps)
        deploy_resume(c, app);
    room_ready(room);
    return true;
}

/* A HELLO is what the peer says of itself; the supervisor's LINK is what it is. A worker that claims another app's name or slot
 * could end that app's builds and write into its logs. */
static bool
peer_is_true(struct room *room, struct link *link)
{
    const struct msg_HELLO *peer = link_peer(link);
    char *app = bytes_dup(peer->app);
    bool is_true = room_link(room, peer->role, peer->index, app) == link;

    free(app);
    return is_true;
}

static void
control_link_up(struct room *room, struct link *link)
{
    static char verified;          /* its address marks the links whose peers are who they say */
    const struct msg_HELLO *peer = link_peer(link);

    if (!peer_is_true(room, link)) {
        room_log(room, 3, "a room calls itself %s %u, which it is not", role_name(peer->role), (unsigned)peer->index);
        return;                    /* its first message closes the link */
    }
    link_set_user(link, &verified);
    if (peer->role == ROLE_GATEWAY)
        tell_all_routes(&control);
    else if (peer->role == ROLE_WORKER)
        deploy_worker_up(&control, link);
}

static void
control_link_down(struct room *room, struct link *link, const struct err *err)
{
    if (link_user(link) == NULL)
        return;
    census_link_lost(&control, link);
    if (link_peer(link)->role == ROLE_JOURNAL)
        ops_worker_lost(&control, link);
    if (link_peer(link)->role != ROLE_WORKER)
        return;
    deploy_worker_down(&control, link);
    ops_worker_lost(&control, link);
}

static void
status_take(struct control *c, struct bytes json)
{
    json_decref(c->status);
    c->status = json_loadb((const char *)json.data, json.len, 0, NULL);
    deploy_status(c, json_object_get(c->status, "rooms"));
}

static bool
supervisor_message(struct control *c, uint16_t type, struct bytes payload, struct err *err)
{
    struct msg_BUILD_DONE built;
    struct msg_STATUS status;
    struct msg_LISTEN_DONE listened;

    switch (type) {
    case MSG_BUILD_DONE:
        if (!msg_BUILD_DONE_unpack(&built, payload, err))
            return false;
        deploy_build_done(c, NULL, &built);
        return true;
    case MSG_STATUS:
        if (!msg_STATUS_unpack(&status, payload, err))
            return false;
        status_take(c, status.json);
        return true;
    case MSG_LISTEN_DONE:
        if (!msg_LISTEN_DONE_unpack(&listened, payload, err))
            return false;
        deploy_listened(c, &listened);
        return true;
    default:
        return err_set(err, ERR_MALFORMED, 0, "control does not take message %u from the supervisor", (unsigned)type);
    }
}

static bool
log_message(struct control *c, struct link *link, struct bytes payload, struct err *err)
{
    const struct msg_HELLO *peer = link_peer(link);
    struct msg_LOG line;

    if (!msg_LOG_unpack(&line, payload, err))
        return false;
    logs_add(c->logs, c->admin, peer->app, role_name(peer->role), &line);
    return true;
}

static bool
worker_message(struct control *c, struct link *link, uint16_t type, struct bytes payload, struct err *err)
{
    struct msg_BUILD_DONE built;
    struct msg_DEPLOYED deployed;
    struct msg_ADMIN_REPLY answer;
    struct msg_AGENT_BORN born;

    switch (type) {
    case MSG_BUILD_DONE:
        if (!msg_BUILD_DONE_unpack(&built, payload, err))
            return false;
        deploy_build_done(c, link, &built);
        return true;
    case MSG_DEPLOYED:
        if (!msg_DEPLOYED_unpack(&deployed, payload, err))
            return false;
        deploy_taken(c, link, &deployed);
        return true;
    case MSG_ADMIN_REPLY:
        if (!msg_ADMIN_REPLY_unpack(&answer, payload, err))
            return false;
        ops_worker_answered(c, &answer);
        return true;
    case MSG_AGENT_BORN:
        if (!msg_AGENT_BORN_unpack(&born, payload, err))
            return false;
        agent_born(c, link, &born);
        return true;
    default:
        return err_set(err, ERR_MALFORMED, 0, "control does not take message %u from a worker", (unsigned)type);
    }
}

static bool
journal_message(struct control *c, struct link *link, uint16_t type, struct bytes payload, struct err *err)
{
    struct msg_JOURNAL_CUT_DONE done;

    if (type != MSG_JOURNAL_CUT_DONE)
        return err_set(err, ERR_MALFORMED, 0, "control does not take message %u from the journal", (unsigned)type);
    if (!msg_JOURNAL_CUT_DONE_unpack(&done, payload, err))
        return false;
    ops_journal_answered(c, link, &done);
    return true;
}

static bool
control_message(struct room *room, struct link *link, uint16_t type, struct bytes payload, struct err *err)
{
    if (link != room_supervisor(room) && link_user(link) == NULL)
        return err_set(err, ERR_DENIED, 0, "the peer is not who it says");
    if (type == MSG_LOG)
        return log_message(&control, link, payload, err);
    if (type == MSG_COUNTED)
        return census_message(&control, link, payload, err);
    if (link == room_supervisor(room))
        return supervisor_message(&control, type, payload, err);
    if (link_peer(link)->role == ROLE_WORKER)
        return worker_message(&control, link, type, payload, err);
    if (link_peer(link)->role == ROLE_JOURNAL)
        return journal_message(&control, link, type, payload, err);
    return err_set(err, ERR_MALFORMED, 0, "control does not take message %u from this room", (unsigned)type);
}

static void
control_stop(struct room *room, uint32_t grace_ms)
{
    struct control *c = &control;

    deploy_abandon_all(c);
    ops_worker_lost(c, NULL);
    census_end_all(c);
    births_destroy(&c->births);
    admin_destroy(&c->admin);
    room_exit(room, 0);
}

const struct room_spec control_room = {
    .role = ROLE_CONTROL,
    .name = "control",
    .start = control_start,
    .link_up = control_link_up,
    .link_down = control_link_down,
    .message = control_message,
    .listen = control_listen,
    .stop = control_stop,
};
