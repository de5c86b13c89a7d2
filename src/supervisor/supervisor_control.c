/*
 * supervisor_control — what control asks of the supervisor: workers for an app, a build, a listening socket; and STATUS back.
 *
 * Control is a room like others: its names and numbers are checked here as if they came from outside.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/conf/conf.h"
#include "src/supervisor/supervisor_house.h"
#include "src/supervisor/supervisor_use.h"

static struct link *
control_link(struct house *house)
{
    struct house_room *control = house_find(house, ROLE_CONTROL, 0, "");

    return control != NULL ? control->link : NULL;
}

/* ---- apps ------------------------------------------------------------------------------------------------------- */

static struct app *
app_find(struct house *house, struct bytes name)
{
    struct app *app;

    list_each (app, &house->apps, struct app, in_house)
        if (bytes_equal_str(name, app->name))
            return app;
    return NULL;
}

static bool
is_worker_of(const struct house_room *room, const struct app *app)
{
    return room->role == ROLE_WORKER && room->build_conf == NULL && strcmp(room->app, app->name) == 0;
}

static size_t
app_workers(struct house *house, const struct app *app)
{
    struct house_room *room;
    size_t count = 0;

    list_each (room, &house->rooms, struct house_room, in_house)
        count += is_worker_of(room, app) ? 1 : 0;
    return count;
}

static void
app_stop_workers(struct house *house, const struct app *app)
{
    struct house_room *room;

    list_each (room, &house->rooms, struct house_room, in_house)
        if (is_worker_of(room, app))
            room_event(room, LIFE_STOP, WORKER_GRACE_MS);
}

/* An agent has one owner: workers for another number of slots start only when those for the old number are gone. */
void
apps_settle(struct house *house)
{
    struct app *app;

    list_each (app, &house->apps, struct app, in_house) {
        if (app_workers(house, app) > 0)
            continue;
        for (uint16_t slot = 0; slot < app->count; slot++) {
            struct house_room *room = room_add(house, ROLE_WORKER, slot, app->name);

            room->slots = app->count;
            room_event(room, LIFE_START, 0);
        }
        if (app->count == 0) {
            list_remove(&app->in_house);
            free(app->conf);
            free(app);
        }
    }
}

static bool
app_start(struct house *house, struct bytes payload, struct err *err)
{
    struct msg_APP_START msg;
    struct app *app;
    bool is_new_count;

    if (!msg_APP_START_unpack(&msg, payload, err))
        return false;
    if (!app_name_is_valid(msg.app))
        return err_set(err, ERR_MALFORMED, 0, "APP_START with an app name that cannot be a folder");
    if (msg.count == 0 || msg.count > WORKERS_PER_APP_MAX)
        return err_set(err, ERR_LIMIT, 0, "APP_START of %u workers; 1 to %d are possible", msg.count, WORKERS_PER_APP_MAX);
    app = app_find(house, msg.app);
    if (app == NULL && house->rooms_count + msg.count > ROOMS_MAX)
        return err_set(err, ERR_LIMIT, 0, "more than %d rooms", ROOMS_MAX);
    if (app == NULL) {
        app = calloc(1, sizeof *app);
        assert(app != NULL);
        memcpy(app->name, msg.app.data, msg.app.len);
        list_push_back(&house->apps, &app->in_house);
    }
    is_new_count = app->count != msg.count;
    app->count = msg.count;
    free(app->conf);
    app->conf = bytes_dup(msg.json);
    if (is_new_count)
        app_stop_workers(house, app);
    house_work_soon(house);
    return true;
}

static bool
app_stop(struct house *house, struct bytes payload, struct err *err)
{
    struct msg_APP_STOP msg;
    struct app *app;

    if (!msg_APP_STOP_unpack(&msg, payload, err))
        return false;
    app = app_find(house, msg.app);
    if (app == NULL)
        return true;                                         /* idempotent */
    app->count = 0;
    app_stop_workers(house, app);
    house_work_soon(house);
    return true;
}

/* ---- builds ----------------------------------------------------------------------------------------------------- */

static bool
build_start(struct house *house, struct bytes payload, struct err *err)
{
    struct house_room *room;
    struct msg_BUILD msg;
    uint16_t index;
    char *app;

    if (!msg_BUILD_unpack(&msg, payload, err))
        return false;
    if (!app_name_is_valid(msg.app))
        return err_set(err, ERR_MALFORMED, 0, "BUILD with an app name that cannot be a folder");
    index = (uint16_t)(BUILD_INDEX_BASE | (msg.build & (BUILD_INDEX_BASE - 1)));
    if (house->rooms_count >= ROOMS_MAX)
        return err_set(err, ERR_LIMIT, 0, "more than %d rooms", ROOMS_MAX);
    app = bytes_dup(msg.app);
    if (house_find(house, ROLE_WORKER, index, app) != NULL) {
        free(app);
        return err_set(err, ERR_MALFORMED, 0, "BUILD %u runs already", msg.build);
    }
    room = room_add(house, ROLE_WORKER, index, app);
    free(app);
    room->build = msg.build;
    room->build_conf = bytes_dup(msg.json);
    room->life.kind = LIFE_ONCE;
    room_event(room, LIFE_START, 0);
    return true;
}

void
build_ended(struct house_room *room, const char *why)
{
    struct link *control = control_link(room->house);
    struct buf json = { 0 };

    if (why == NULL || control == NULL)
        return;
    buf_printf(&json, "{\"message\":\"the build's process %s\",\"stack\":\"\"}", why);   /* our own words: nothing to escape */
    msg_BUILD_DONE_pack(link_out(control), &(struct msg_BUILD_DONE){ .build = room->build, .ok = 0, .json = buf_view(&json) });
    buf_fini(&json);
}

/* ---- listening sockets ------------------------------------------------------------------------------------------ */

static bool
listen_open(struct house *house, struct bytes payload, struct err *err)
{
    struct link *control = control_link(house);
    const struct listener *listener = NULL;
    struct msg_LISTEN_OPEN msg;
    struct err why = { 0 };
    char *name;
    char *address;
    bool ok;

    if (!msg_LISTEN_OPEN_unpack(&msg, payload, err))
        return false;
    name = bytes_dup(msg.name);
    address = bytes_dup(msg.address);
    ok = house_listen(house, name, address, &listener, &why);
    if (ok)
        listener_announce(house, listener);
    if (control != NULL)
        msg_LISTEN_DONE_pack(link_out(control), &(struct msg_LISTEN_DONE){
            .name = msg.name, .ok = ok ? 1 : 0, .message = bytes_of(ok ? listener->address : why.message)
        });
    free(name);
    free(address);
    return true;
}

/* ---- counters --------------------------------------------------------------------------------------------------- */

static bool
count_rooms(struct house *house, struct bytes payload, struct err *err)
{
    struct link *control = control_link(house);
    struct msg_COUNT msg;
    struct house_room *room;
    struct buf json = { 0 };
    const char *comma = "";

    if (!msg_COUNT_unpack(&msg, payload, err))
        return false;
    if (control == NULL)
        return true;
    buf_append_str(&json, "{\"rooms\":[");
    list_each (room, &house->rooms, struct house_room, in_house) {
        struct process_use use = { 0 };

        if (room->pid == 0 || room->build_conf != NULL || !process_use_read(room->pid, &use))
            continue;
        buf_printf(&json, "%s{\"role\":\"%s\",\"app\":\"%s\",\"index\":%u,\"pid\":%d,\"cpu_us\":%llu,\"memory_bytes\":%llu}", comma,
                   role_name(room->role), room->app, (unsigned)room->index, (int)room->pid, (unsigned long long)use.cpu_us,
                   (unsigned long long)use.memory_bytes);
        comma = ",";
    }
    buf_append_str(&json, "]}");
    msg_COUNTED_pack(link_out(control), &(struct msg_COUNTED){ .request = msg.request, .json = buf_view(&json) });
    buf_fini(&json);
    return true;
}

bool
control_message(struct house *house, uint16_t type, struct bytes payload, struct err *err)
{
    if (house->is_stopping)
        return true;                                         /* too late for all of them */
    switch (type) {
    case MSG_APP_START:   return app_start(house, payload, err);
    case MSG_APP_STOP:    return app_stop(house, payload, err);
    case MSG_BUILD:       return build_start(house, payload, err);
    case MSG_LISTEN_OPEN: return listen_open(house, payload, err);
    case MSG_COUNT:       return count_rooms(house, payload, err);
    default:              return err_set(err, ERR_MALFORMED, 0, "message %u is not one that control sends", type);
    }
}

/* ---- STATUS ----------------------------------------------------------------------------------------------------- */

static void
status_rooms(const struct house *house, struct buf *out)
{
    struct house_room *room;
    const char *comma = "";

    list_each (room, &house->rooms, struct house_room, in_house) {
        buf_printf(out, "%s{\"role\":\"%s\",\"index\":%u,\"app\":\"%s\",\"pid\":%d,\"state\":\"%s\",\"restarts\":%u,\"build\":%s}", comma,
                   role_name(room->role), (unsigned)room->index, room->app, (int)room->pid,
                   life_state_name(room->life.state), (unsigned)room->life.restarts, room->build_conf != NULL ? "true" : "false");
        comma = ",";
    }
}

/* One report per role is enough: rooms of a role are alike. */
static void
status_sandbox(const struct house *house, struct buf *out)
{
    bool has_role[ROLES] = { false };
    struct house_room *room;
    const char *comma = "";

    buf_printf(out, "{\"mode\":\"%s\",\"rooms\":{", jail_mode_name(house->config->sandbox));
    list_each (room, &house->rooms, struct house_room, in_house) {
        if (has_role[room->role] || room->pid == 0 || room->build_conf != NULL)
            continue;
        has_role[room->role] = true;
        buf_printf(out, "%s\"%s\":", comma, role_name(room->role));
        jail_report_json(&room->report, out);
        comma = ",";
    }
    buf_append_str(out, "}}");
}

static void
status_listeners(const struct house *house, struct buf *out)
{
    const char *comma = "";

    for (size_t i = 0; i < house->listeners_count; i++) {
        if (house->listeners[i].role != ROLE_GATEWAY)
            continue;
        buf_printf(out, "%s{\"name\":", comma);
        conf_put_text(out, house->listeners[i].name);        /* control's words: they may hold anything */
        buf_append_str(out, ",\"address\":");
        conf_put_text(out, house->listeners[i].address);
        buf_append_byte(out, '}');
        comma = ",";
    }
}

void
status_send(struct house *house)
{
    struct link *control = control_link(house);
    struct buf json = { 0 };

    house->is_status_due = false;
    if (control == NULL)
        return;
    buf_append_str(&json, "{\"rooms\":[");
    status_rooms(house, &json);
    buf_append_str(&json, "],\"listeners\":[");
    status_listeners(house, &json);
    buf_append_str(&json, "],\"sandbox\":");
    status_sandbox(house, &json);
    buf_append_byte(&json, '}');
    if (!bytes_equal(buf_view(&json), buf_view(&house->status_sent))) {
        msg_STATUS_pack(link_out(control), &(struct msg_STATUS){ .json = buf_view(&json) });
        buf_clear(&house->status_sent);
        buf_append_bytes(&house->status_sent, buf_view(&json));
    }
    buf_fini(&json);
}
