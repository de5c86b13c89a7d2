/*
 * control_deploy — a deployment's effects: control_core.c says what follows what, this file does it.
 */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/loop/loop.h"
#include "lib/sys/sys.h"
#include "src/control/control.h"

struct waiting {                   /* a deploy that came while another was under way */
    struct admin_ref asker;
    json_t          *request;      /* owned */
};

static void deployment_event(struct deployment *d, enum deploy_event event);
static void deployment_cannot_listen(struct deployment *d, struct bytes why);
static bool deployment_builds_again(struct deployment *d);

static void
waiting_destroy(struct waiting **waiting)
{
    struct waiting *w = STEAL(*waiting);

    if (w == NULL)
        return;
    json_decref(w->request);
    free(w);
}

static void
deployment_end(struct deployment *d)
{
    struct control *c = d->control;
    struct app *app = d->app;
    struct waiting *next = STEAL(app->waiting);

    app->deployment = NULL;
    loop_timer_destroy(&d->timer);
    upload_abandon(&d->upload);
    json_decref(d->manifest);
    json_decref(d->detail);
    free(d);
    if (app->hash[0] == '\0')      /* its first deploy failed: nothing is left of it */
        apps_remove(&c->apps, &app);
    if (next != NULL)
        deploy_request(c, next->asker, next->request);
    waiting_destroy(&next);
}

static void
deployment_fail(struct deployment *d)
{
    assert(d->err.code != ERR_NONE);
    deployment_event(d, DEPLOY_WENT_WRONG);
}

static void
on_timeout(void *owner)
{
    struct deployment *d = owner;

    if (d->was_built && deployment_builds_again(d))
        return;
    if (d->is_opening) {
        deployment_cannot_listen(d, BYTES_LIT("the supervisor does not answer"));
        return;
    }
    if (d->state == DEPLOY_BUILDING)
        (void)err_set(&d->err, ERR_TIMEOUT, 0, "the app '%s' took longer than %d s to evaluate", d->app->name, BUILD_MS_MAX / 1000);
    else
        (void)err_set(&d->err, ERR_TIMEOUT, 0, "the workers of '%s' did not take the deploy within %d s", d->app->name, TAKE_MS_MAX / 1000);
    deployment_fail(d);
}

/* ---- effects ---------------------------------------------------------------------------------------------------- */

static void
deployment_build(struct deployment *d)
{
    struct control *c = d->control;

    d->was_built = false;
    d->build = ++c->next_build;
    tell_build(c, d->app, d->build, d->hash, d->manifest);
    loop_timer_arm(d->timer, BUILD_MS_MAX);
}

static void
deployment_check_taken(struct deployment *d)
{
    if (d->state == DEPLOY_TAKING && app_all_took(d->app, d->workers, d->hash))
        deployment_event(d, DEPLOY_ALL_TOOK);
}

/* The supervisor gets the new CONF before the workers are asked: one that dies meanwhile comes back with the new deploy. */
static void
deployment_offer(struct deployment *d)
{
    struct control *c = d->control;

    tell_app_start(c, d->app, d->hash, d->workers, d->manifest);
    /* Another number of workers means other processes: those that run now are stopping and are not asked. */
    if (d->app->workers == d->workers)
        tell_workers(c, d->app, d->workers, d->hash, d->manifest);
    else
        memset(d->app->taken, 0, sizeof d->app->taken);
    loop_timer_arm(d->timer, d->was_built ? TAKE_BUILT_MS_MAX : TAKE_MS_MAX);
    deployment_check_taken(d);
}

static void
state_save(struct control *c)
{
    struct err err = { 0 };
    char *text = apps_save(&c->apps);

    if (!disk_state_write(&c->disk, text, &err))
        room_log(c->room, 3, "the state of the apps is not saved, a restart will not know the last deploy: %s", err.message);
    free(text);
}

static json_t *
warnings_of(const json_t *manifest)
{
    json_t *list = json_object_get(manifest, "warnings");

    return json_is_array(list) ? json_incref(list) : json_array();
}

static void
deployment_answer(struct deployment *d)
{
    struct control *c = d->control;
    struct app *app = d->app;

    admin_ok(c->admin, d->asker,
             json_pack("{s:s, s:s, s:I, s:o, s:o, s:b, s:s*}", "app", app->name, "deploy", app->hash, "ms",
                       (json_int_t)(clock_mono_ms() - d->started_ms), "hosts", app_hosts(app), "warnings", warnings_of(d->manifest),
                       "default", (int)(apps_default(&c->apps) == app), "listen", app->listening[0] != '\0' ? app->listening : NULL));
    deployment_end(d);
}

static void
deployment_commit(struct deployment *d)
{
    struct control *c = d->control;
    struct app *app = d->app, *other, *default_before = apps_default(&c->apps);
    uint16_t workers_before = app->workers;

    if (d->wants_default)
        list_each(other, &c->apps.list, struct app, in_apps)
            other->is_default_wanted = other == app;
    if (strcmp(app->listen, d->listen) != 0)
        app->listening[0] = '\0';
    (void)snprintf(app->listen, sizeof app->listen, "%s", d->listen);
    app_take(app, d->hash, d->workers, json_incref(d->manifest));
    app->workers_wanted = d->workers_wanted;
    if (workers_before > 0 && app->workers == 0)
        msg_APP_STOP_pack(link_out(room_supervisor(c->room)), &(struct msg_APP_STOP){ .app = bytes_of(app->name) });
    if (d->asker.connection != 0)
        state_save(c);
    if (apps_default(&c->apps) != default_before)
        tell_all_routes(c);
    else
        tell_routes(c, app);
    disk_deploys_trim(&c->disk, app->name, app->hash);
    if (app->listen[0] == '\0' || app->listening[0] != '\0') {
        deployment_answer(d);
        return;
    }
    d->is_opening = true;
    tell_listen(c, app);
    loop_timer_arm(d->timer, LISTEN_MS_MAX);
}

/* The deploy stays; only its own address is not to be had. */
static void
deployment_cannot_listen(struct deployment *d, struct bytes why)
{
    struct control *c = d->control;
    struct err err = { 0 };

    (void)err_set(&err, ERR_NETWORK, 0, "'%s' is deployed, but cannot listen at %s: %.*s", d->app->name, d->app->listen, (int)why.len,
                  (const char *)why.data);
    if (d->asker.connection == 0)
        room_log(c->room, 3, "%s", err.message);
    admin_fail(c->admin, d->asker, &err, NULL);
    deployment_end(d);
}

void
deploy_listened(struct control *c, const struct msg_LISTEN_DONE *msg)
{
    const struct bytes prefix = BYTES_LIT("app:");
    struct app *app = bytes_has_prefix(msg->name, prefix)
                          ? apps_find(&c->apps, bytes_from(msg->name.data + prefix.len, msg->name.len - prefix.len))
                          : NULL;
    struct deployment *d = app != NULL ? app->deployment : NULL;

    if (app == NULL)
        return;                    /* removed meanwhile */
    if (msg->ok)
        (void)snprintf(app->listening, sizeof app->listening, "%.*s", (int)msg->message.len, (const char *)msg->message.data);
    if (d == NULL || !d->is_opening)
        return;
    if (msg->ok)
        deployment_answer(d);
    else
        deployment_cannot_listen(d, msg->message);
}

static void
deployment_report(struct deployment *d)
{
    d->app->is_down = d->asker.connection == 0;
    if (d->asker.connection == 0)
        room_log(d->control->room, 3, "app '%s' cannot be brought up: %s", d->app->name, d->err.message);
    admin_fail(d->control->admin, d->asker, &d->err, d->detail);
    deployment_end(d);
}

static void
deployment_roll_back(struct deployment *d)
{
    struct control *c = d->control;
    struct app *app = d->app;

    if (app->hash[0] != '\0' && app->manifest != NULL && d->asker.connection != 0) {
        tell_app_start(c, app, app->hash, app->workers, app->manifest);
        tell_workers(c, app, app->workers, app->hash, app->manifest);
    } else if (app->hash[0] == '\0') {
        msg_APP_STOP_pack(link_out(room_supervisor(c->room)), &(struct msg_APP_STOP){ .app = bytes_of(app->name) });
    }
    deployment_report(d);
}

static void
deployment_event(struct deployment *d, enum deploy_event event)
{
    switch (deploy_step(&d->state, event)) {
    case DEPLOY_NOTHING:
        break;
    case DEPLOY_BUILD:
        deployment_build(d);
        break;
    case DEPLOY_OFFER:
        deployment_offer(d);
        break;
    case DEPLOY_COMMIT:
        deployment_commit(d);
        break;
    case DEPLOY_REPORT:
        deployment_report(d);
        break;
    case DEPLOY_ROLL_BACK:
        deployment_roll_back(d);
        break;
    }
}

/* ---- the files come --------------------------------------------------------------------------------------------- */

static uint16_t
deployment_workers(const struct deployment *d)
{
    if (!manifest_has_code(d->manifest))
        return 0;
    return d->workers_wanted > 0 ? d->workers_wanted : d->control->workers_default;
}

static void
deployment_files_came(struct deployment *d)
{
    struct control *c = d->control;

    if (!upload_finish(&d->upload, &d->err) || !disk_manifest_read(&c->disk, d->app->name, d->hash, &d->manifest, &d->err) ||
        !manifest_check(d->manifest, d->app->name, d->hash, &d->err)) {
        if (strcmp(d->hash, d->app->hash) != 0)
            disk_deploy_remove(&c->disk, d->app->name, d->hash);   /* or the right one could never come under this hash */
        deployment_fail(d);
        return;
    }
    d->workers = deployment_workers(d);
    d->was_built = d->workers > 0 && disk_is_built(&c->disk, d->app->name, d->hash, DORMOUSE_VERSION);
    deployment_event(d, d->workers == 0 || d->was_built ? DEPLOY_FILES_CAME_BUILT : DEPLOY_FILES_CAME);
}

static struct deployment *
deployment_create(struct control *c, struct app *app, const char *hash, struct admin_ref asker)
{
    struct deployment *d = calloc(1, sizeof *d);

    assert(d != NULL);
    assert(app->deployment == NULL);
    d->control = c;
    d->app = app;
    d->state = DEPLOY_RECEIVING;
    d->asker = asker;
    d->started_ms = clock_mono_ms();
    d->timer = loop_timer_create(room_loop(c->room), on_timeout, d);
    d->workers_wanted = app->workers_wanted;
    (void)snprintf(d->hash, sizeof d->hash, "%s", hash);
    (void)snprintf(d->listen, sizeof d->listen, "%s", app->listen);
    app->deployment = d;
    return d;
}

static bool
options_read(struct deployment *d, const json_t *options, struct err *err)
{
    const json_t *workers = json_object_get(options, "workers"), *listen = json_object_get(options, "listen");

    if (workers != NULL) {
        json_int_t count = json_integer_value(workers);

        if (!json_is_integer(workers) || count < 1 || count > APP_WORKERS_MAX)
            return err_set(err, ERR_USAGE, 0, "'workers' must be a number from 1 to %d", APP_WORKERS_MAX);
        d->workers_wanted = (uint16_t)count;
    }
    if (listen != NULL) {
        if (!json_is_string(listen) || json_string_length(listen) >= sizeof d->listen)
            return err_set(err, ERR_USAGE, 0, "'listen' must be an address such as 127.0.0.1:9000");
        (void)snprintf(d->listen, sizeof d->listen, "%s", json_string_value(listen));
    }
    d->wants_default = json_is_true(json_object_get(options, "default"));
    return true;
}

/* The app to deploy to, made when new. */
static struct app *
app_for_deploy(struct control *c, const char *name, struct err *err)
{
    struct app *app;

    if (name == NULL || !app_name_is_valid(bytes_of(name))) {
        (void)err_set(err, ERR_USAGE, 0, "'app' must be lower-case letters, digits and dashes, at most %d", APP_NAME_MAX_BYTES);
        return NULL;
    }
    app = apps_find(&c->apps, bytes_of(name));
    if (app == NULL)
        app = apps_add(&c->apps, name);
    if (app == NULL)
        (void)err_set(err, ERR_LIMIT, 0, "this node has %d apps already", APPS_MAX);
    return app;
}

/* True when the deploy must wait for the one under way. Only the newest waits. What a restart is bringing up again is no
 * reason to wait, unless it is being built: two builders must not write one template. */
static bool
deploy_waits(struct control *c, struct app *app, struct admin_ref from, const json_t *request)
{
    struct err err = { 0 };

    if (app->deployment != NULL && app->deployment->asker.connection == 0 && app->deployment->state == DEPLOY_TAKING)
        deployment_end(app->deployment);
    if (app->deployment == NULL)
        return false;
    if (app->waiting != NULL) {
        (void)err_set(&err, ERR_CANCELLED, 0, "a newer deploy of '%s' took its place", app->name);
        admin_fail(c->admin, app->waiting->asker, &err, NULL);
        waiting_destroy(&app->waiting);
    }
    app->waiting = calloc(1, sizeof *app->waiting);
    assert(app->waiting != NULL);
    *app->waiting = (struct waiting){ .asker = from, .request = json_incref((json_t *)request) };
    return true;
}

void
deploy_request(struct control *c, struct admin_ref from, const json_t *request)
{
    const char *hash = json_string_value(json_object_get(request, "deploy"));
    json_t *need = NULL;
    struct deployment *d;
    struct err err = { 0 };
    struct app *app;
    uint64_t bytes = 0;

    if (hash == NULL || !hash_is_valid(bytes_of(hash)))
        (void)err_set(&err, ERR_USAGE, 0, "'deploy' must be the deploy's hash");
    app = err.code == ERR_NONE ? app_for_deploy(c, json_string_value(json_object_get(request, "app")), &err) : NULL;
    if (app == NULL) {
        admin_fail(c->admin, from, &err, NULL);
        return;
    }
    if (deploy_waits(c, app, from, request))
        return;
    d = deployment_create(c, app, hash, from);
    if (!options_read(d, json_object_get(request, "options"), &d->err) ||
        !upload_begin(&d->upload, &c->disk, app->name, hash, app->hash, json_object_get(request, "files"), &need, &bytes, &d->err)) {
        deployment_fail(d);
        return;
    }
    admin_event(c->admin, from, "need", json_pack("{s:o, s:I}", "files", need, "bytes", (json_int_t)bytes));
    admin_expect_bytes(c->admin, from.connection, bytes);
    if (bytes == 0)
        deployment_files_came(d);
}

static struct deployment *
deployment_receiving_from(struct control *c, uint64_t connection)
{
    struct app *app;

    list_each(app, &c->apps.list, struct app, in_apps)
        if (app->deployment != NULL && app->deployment->asker.connection == connection && app->deployment->state == DEPLOY_RECEIVING)
            return app->deployment;
    return NULL;
}

void
deploy_bytes(struct control *c, uint64_t connection, struct bytes data)
{
    struct deployment *d = deployment_receiving_from(c, connection);

    if (d == NULL)
        return;                    /* it failed; the connection is being closed */
    if (!upload_bytes(d->upload, data, &d->err)) {
        deployment_fail(d);
        admin_hang_up(c->admin, connection);   /* what still comes are bytes of files, not lines */
    } else if (upload_is_complete(d->upload)) {
        deployment_files_came(d);
    }
}

/* An operator who leaves while files come takes them along; later the deploy goes on without anyone to tell. */
void
deploy_connection_closed(struct control *c, uint64_t connection)
{
    struct deployment *d;
    struct app *app;

    list_each(app, &c->apps.list, struct app, in_apps)
        if (app->waiting != NULL && app->waiting->asker.connection == connection)
            waiting_destroy(&app->waiting);
    d = deployment_receiving_from(c, connection);
    if (d == NULL)
        return;
    (void)err_set(&d->err, ERR_CANCELLED, 0, "the sender of the deploy went away");
    deployment_fail(d);
}

/* ---- what other rooms answer ------------------------------------------------------------------------------------ */

static struct deployment *
deployment_by_build(struct control *c, uint32_t build)
{
    struct app *app;

    list_each(app, &c->apps.list, struct app, in_apps)
        if (app->deployment != NULL && app->deployment->build == build)
            return app->deployment;
    return NULL;
}

/* JSON {message, stack} from the sandbox: hostile, so only strings are taken out of it. */
static void
diagnostics_read(struct deployment *d, struct bytes json)
{
    json_t *said = json_loadb((const char *)json.data, json.len, 0, NULL);
    const char *message = json_string_value(json_object_get(said, "message"));
    json_t *stack = json_object_get(said, "stack");

    (void)err_set(&d->err, ERR_BUILD, 0, "%s", message != NULL ? message : "the app could not be evaluated");
    if (json_is_string(stack))
        d->detail = json_pack("{s:O}", "stack", stack);
    json_decref(said);
}

void
deploy_build_done(struct control *c, const struct link *builder, const struct msg_BUILD_DONE *msg)
{
    struct deployment *d = msg->build != 0 ? deployment_by_build(c, msg->build) : NULL;

    if (d == NULL || (builder != NULL && !bytes_equal_str(link_peer(builder)->app, d->app->name)))
        return;                    /* given up meanwhile, or another app's worker lies */
    if (!msg->ok) {
        if (d->state != DEPLOY_BUILDING)
            return;                /* it was written, and the builder died afterwards */
        diagnostics_read(d, msg->json);
        deployment_fail(d);
        return;
    }
    if (d->state == DEPLOY_BUILDING && !disk_set_built(&c->disk, d->app->name, d->hash, DORMOUSE_VERSION, &d->err)) {
        deployment_fail(d);
        return;
    }
    deployment_event(d, DEPLOY_BUILT);
}

/* A template of another engine or runtime library is refused: built before an update of Dormouse. Once, it is built again. A worker that cannot
 * even start with it dies before it can say so: the supervisor's STATUS or the clock tells. */
static bool
deployment_builds_again(struct deployment *d)
{
    if (d->was_rebuilt || d->state != DEPLOY_TAKING)
        return false;
    d->was_rebuilt = true;
    d->state = DEPLOY_BUILDING;
    deployment_build(d);
    return true;
}

/* How often workers of the app were started anew, in all; *out_is_waiting: one of them is dead just now. */
static unsigned
restarts_count(const json_t *rooms, const char *app, bool *out_is_waiting)
{
    unsigned restarts = 0;
    json_t *room;
    size_t i;

    *out_is_waiting = false;
    json_array_foreach ((json_t *)rooms, i, room) {
        const char *of = json_string_value(json_object_get(room, "app")), *state = json_string_value(json_object_get(room, "state"));

        if (of == NULL || strcmp(of, app) != 0 || state == NULL)
            continue;
        restarts += (unsigned)json_integer_value(json_object_get(room, "restarts"));
        *out_is_waiting = *out_is_waiting || strcmp(state, "waiting") == 0;
    }
    return restarts;
}

void
deploy_status(struct control *c, const json_t *rooms)
{
    struct app *app;

    list_each(app, &c->apps.list, struct app, in_apps) {
        struct deployment *d = app->deployment;
        bool is_waiting;
        unsigned restarts;

        if (d == NULL || d->state != DEPLOY_TAKING)
            continue;
        restarts = restarts_count(rooms, app->name, &is_waiting);
        if (!is_waiting)
            continue;
        if (deployment_builds_again(d)) {
            d->restarts_before = restarts;
        } else if (restarts >= d->restarts_before + TAKE_DEATHS_MAX) {
            (void)err_set(&d->err, ERR_UNAVAILABLE, 0, "the workers of '%s' end as soon as they start; Dormouse's own output says why", app->name);
            deployment_fail(d);
        }
    }
}

void
deploy_taken(struct control *c, struct link *worker, const struct msg_DEPLOYED *msg)
{
    const struct msg_HELLO *peer = link_peer(worker);
    struct app *app = apps_find(&c->apps, peer->app);
    struct deployment *d = app != NULL ? app->deployment : NULL;

    if (app == NULL || peer->index >= APP_WORKERS_MAX || !hash_is_valid(msg->hash))
        return;
    if (msg->ok) {
        (void)snprintf(app->taken[peer->index], sizeof app->taken[0], "%.*s", (int)msg->hash.len, (const char *)msg->hash.data);
        if (d != NULL)
            deployment_check_taken(d);
        return;
    }
    if (d == NULL || d->state != DEPLOY_TAKING || !bytes_equal_str(msg->hash, d->hash)) {
        room_log(c->room, 3, "worker %u of '%s' refused the deploy: %.*s", (unsigned)peer->index, app->name, (int)msg->message.len,
                 (const char *)msg->message.data);
        return;
    }
    if (deployment_builds_again(d))
        return;
    (void)err_set(&d->err, ERR_APP, 0, "%.*s", (int)msg->message.len, (const char *)msg->message.data);
    deployment_fail(d);
}

void
deploy_worker_up(struct control *c, struct link *worker)
{
    const struct msg_HELLO *peer = link_peer(worker);
    struct app *app = apps_find(&c->apps, peer->app);

    if (app == NULL || peer->index >= APP_WORKERS_MAX)
        return;
    app->taken[peer->index][0] = '\0';
    if (app->deployment != NULL && app->deployment->state == DEPLOY_TAKING)
        tell_deploy(worker, app->deployment->hash, app->deployment->manifest);
    else if (app->manifest != NULL)
        tell_deploy(worker, app->hash, app->manifest);
}

void
deploy_worker_down(struct control *c, const struct link *worker)
{
    const struct msg_HELLO *peer = link_peer(worker);
    struct app *app = apps_find(&c->apps, peer->app);

    if (app != NULL && peer->index < APP_WORKERS_MAX)
        app->taken[peer->index][0] = '\0';
}

/* ---- start and stop --------------------------------------------------------------------------------------------- */

void
deploy_resume(struct control *c, struct app *app)
{
    struct deployment *d = deployment_create(c, app, app->hash, (struct admin_ref){ 0, 0 });

    if (!disk_app_prepare(&c->disk, app->name, &d->err) ||
        !disk_manifest_read(&c->disk, app->name, app->hash, &d->manifest, &d->err) ||
        !manifest_check(d->manifest, app->name, app->hash, &d->err)) {
        deployment_fail(d);
        return;
    }
    d->workers = deployment_workers(d);
    app_take(app, d->hash, d->workers, json_incref(d->manifest));
    tell_routes(c, app);           /* requests wait or get 503 instead of "no such app" while the workers start */
    d->was_built = d->workers > 0 && disk_is_built(&c->disk, app->name, app->hash, DORMOUSE_VERSION);
    deployment_event(d, d->workers == 0 || d->was_built ? DEPLOY_FILES_CAME_BUILT : DEPLOY_FILES_CAME);
}

void
deploy_abandon_all(struct control *c)
{
    struct app *app;

    list_each(app, &c->apps.list, struct app, in_apps) {
        waiting_destroy(&app->waiting);
        if (app->deployment != NULL)
            deployment_end(app->deployment);
    }
}
