/* gateway_shell — see the header. One gateway per process. */
#include "src/gateway/gateway_shell.h"

#include <assert.h>
#include <malloc.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "lib/jail/jail.h"
#include "lib/sys/sys.h"
#include "src/gateway/asset_calls.h"
#include "src/gateway/calls.h"
#include "src/gateway/sockets.h"

static struct gateway *gateway; /* the room's state; the room API has no place for it */

struct bytes
gateway_date(struct gateway *gw)
{
    int64_t wall_ms = clock_wall_ms();

    if (wall_ms / 1000 != gw->date_s) {
        gw->date_s = wall_ms / 1000;
        http_date(gw->date, wall_ms > 0 ? wall_ms : 0);
    }
    return bytes_from(gw->date, HTTP_DATE_BYTES);
}

/* ---- the beginning ----------------------------------------------------------------------------------------------- */
static void
on_before_wait(void *owner)
{
    struct gateway *gw = owner;

    conn_flush_all(gw);
}

static void
on_flush_again(void *owner)
{
    /* Its being active is the point: the loop looks at its descriptors without waiting, and flushes again. */
}

/* After a crowd has left, its memory goes back to the system. */
static void
memory_review(struct gateway *gw)
{
    if (gw->conn_count > gw->conn_peak)
        gw->conn_peak = gw->conn_count;
    if (gw->conn_count + CROWD_CONNS_MIN > gw->conn_peak / 2)
        return;
    gw->conn_peak = gw->conn_count;
    (void)malloc_trim(0); /* whether there was something to give back does not matter */
}

static void
on_tick(void *owner)
{
    struct gateway *gw = owner;

    gw->now_ms = clock_mono_ms();
    conn_tick(gw);
    http_tick(gw);
    sockets_tick(gw);
    memory_review(gw);
    loop_timer_arm(gw->tick, TICK_MS);
}

static bool
on_start(struct room *room, struct bytes conf_json, struct err *err)
{
    struct gateway *gw = calloc(1, sizeof *gw);

    assert(gw != NULL);
    if (!gateway_conf_parse(&gw->conf, conf_json, err)) {
        free(gw);
        return false;
    }
    (void)signal(SIGPIPE, SIG_IGN); /* a client that is gone is told by EPIPE */
    gateway = gw;
    gw->room = room;
    gw->loop = room_loop(room);
    gw->uv = loop_uv(gw->loop);
    gw->seed = rng_u64();
    gw->now_ms = clock_mono_ms();
    list_init(&gw->listeners);
    list_init(&gw->conns);
    list_init(&gw->dirty);
    list_init(&gw->stalled);
    list_init(&gw->apps);
    list_init(&gw->parked);
    gw->started_ms = gw->now_ms;
    list_init(&gw->asset_calls);
    for (size_t i = 0; i < DEADLINES; i++)
        list_init(&gw->deadlines[i]);
    gw->read_buffer = malloc(READ_BUFFER_BYTES);
    gw->slots = calloc(SLOT_TABLE_SIZE, 1);
    assert(gw->read_buffer != NULL);
    assert(gw->slots != NULL);
    gw->hosts = bmap_create();
    gw->listener_apps = bmap_create();
    calls_init(gw);
    sockets_init(gw);
    gw->flush = loop_before_wait(gw->loop, on_before_wait, gw);
    gw->flush_again = loop_idle(gw->loop, on_flush_again, gw);
    gw->tick = loop_timer_create(gw->loop, on_tick, gw);
    loop_timer_arm(gw->tick, TICK_MS);
    if (!jail_enter(ROLE_GATEWAY, conf_json, err))
        return false;
    room_ready(room);
    return true;
}

/* ---- listeners --------------------------------------------------------------------------------------------------- */
static void
on_connection(uv_stream_t *server, int status)
{
    struct listener *l = container_of(server, struct listener, tcp);
    struct conn *c;

    if (status < 0)
        return; /* this one connection is lost; the listener stays */
    l->gw->now_ms = clock_mono_ms();
    c = conn_accept(l);
    if (c == NULL)
        return;
    if (l->gw->conn_count > l->gw->conf.connections_max)
        conn_close(c);
    else
        http_start(c);
}

static void
on_listen(struct room *room, struct bytes name, struct bytes address, int fd)
{
    struct gateway *gw = gateway;
    struct listener *l = calloc(1, sizeof *l);
    int code;

    assert(l != NULL);
    assert(name.len < sizeof l->name);
    l->gw = gw;
    memcpy(l->name, name.data, name.len);
    (void)uv_tcp_init(gw->uv, &l->tcp);
    list_push_back(&gw->listeners, &l->in_gateway);
    code = uv_tcp_open(&l->tcp, fd);
    if (code == 0)
        code = uv_listen((uv_stream_t *)&l->tcp, LISTEN_BACKLOG, on_connection);
    if (code != 0) /* the record stays: it is harmless, and its name is told */
        room_log(room, 3, "cannot listen on %.*s: %s", (int)address.len, (const char *)address.data, uv_strerror(code));
}

/* ---- links ------------------------------------------------------------------------------------------------------- */
static void
on_link_up(struct room *room, struct link *link)
{
    const struct msg_HELLO *peer = link_peer(link);
    struct worker *worker = peer->role == ROLE_WORKER ? app_worker(gateway, peer->app, peer->index) : NULL;

    if (worker == NULL)
        return;
    gateway->now_ms = clock_mono_ms();
    link_set_user(link, worker);
    worker->link = link;
    sockets_link_up(gateway, worker);
    http_unpark(gateway);
}

static void
on_link_down(struct room *room, struct link *link, const struct err *err)
{
    struct worker *worker = link_user(link);

    if (worker == NULL || worker->link != link)
        return;
    gateway->now_ms = clock_mono_ms();
    worker->link = NULL;
    calls_lost(worker);
    asset_calls_lost(gateway, worker);
    sockets_link_down(gateway, worker);
}

static bool
on_routes(struct gateway *gw, struct room *room, struct bytes payload, struct err *err)
{
    struct msg_ROUTES m;
    struct err why = { 0 };
    struct app *app;

    if (!msg_ROUTES_unpack(&m, payload, err))
        return false;
    if (!app_routes(gw, m.app, m.json, &why)) {
        room_log(room, 3, "%s", why.message); /* the old routes stay */
        return true;
    }
    app = app_find(gw, m.app);
    if (app != NULL && app->is_routed)
        sockets_rehome(gw, app);
    else if (app != NULL)
        sockets_unroute(app);
    http_unpark(gw);
    return true;
}

static bool
on_message(struct room *room, struct link *link, uint16_t type, struct bytes payload, struct err *err)
{
    struct worker *worker;

    gateway->now_ms = clock_mono_ms();
    if (type == MSG_ROUTES && link_peer(link)->role == ROLE_CONTROL)
        return on_routes(gateway, room, payload, err);
    worker = link_user(link);
    if (worker == NULL || worker->link != link)
        return err_set(err, ERR_MALFORMED, 0, "an unexpected message from %s", role_name(link_peer(link)->role));
    if (type >= MSG_WS_OPEN && type <= MSG_WS_CAST)
        return sockets_message(gateway, worker, type, payload, err);
    return calls_message(gateway, worker, type, payload, err);
}

/* ---- the end ----------------------------------------------------------------------------------------------------- */
static void
exit_when_done(struct gateway *gw)
{
    if (list_is_empty(&gw->conns))
        room_exit(gw->room, 0);
    else
        loop_timer_arm(gw->grace, STOP_POLL_MS);
}

static bool
is_busy(const struct gateway *gw)
{
    return gw->calls.open > 0 || gw->asset_streams > 0 || !list_is_empty(&gw->parked) || !list_is_empty(&gw->stalled);
}

/* Requests had their time: sockets are told to come back, and what is left is written. */
static void
on_grace(void *owner)
{
    struct gateway *gw = owner;
    int64_t now = clock_mono_ms();

    gw->now_ms = now;
    if (is_busy(gw) && now < gw->stop_due_ms) {
        loop_timer_arm(gw->grace, STOP_POLL_MS);
        return;
    }
    if (!gw->is_closing) {
        gw->is_closing = true;
        gw->exit_due_ms = now + LINGER_TIMEOUT_MS;
        sockets_stop(gw);
    }
    if (now >= gw->exit_due_ms)
        room_exit(gw->room, 0);
    else
        exit_when_done(gw);
}

static void
on_stop(struct room *room, uint32_t grace_ms)
{
    struct gateway *gw = gateway;
    struct listener *l;

    if (gw->is_stopping) {
        room_exit(room, 0);
        return;
    }
    gw->is_stopping = true;
    gw->now_ms = clock_mono_ms();
    gw->stop_due_ms = gw->now_ms + grace_ms;
    list_each(l, &gw->listeners, struct listener, in_gateway) uv_close((uv_handle_t *)&l->tcp, NULL);

    conn_idle_close(gw);
    gw->grace = loop_timer_create(gw->loop, on_grace, gw);
    loop_timer_arm(gw->grace, 0);
}

static void
on_count(struct room *room, struct buf *json)
{
    const struct gateway *gw = gateway;

    count_put(json, "requests", gw->calls.total);
    count_put(json, "requests_open", gw->calls.open);
    count_put(json, "connections", gw->conn_count);
    count_put(json, "sockets", umap_count(gw->sockets));
    count_put(json, "casts", gw->casts_total);
    count_put(json, "socket_bytes_unsent", gw->ws_out_bytes);
}

const struct room_spec gateway_room = {
    .role = ROLE_GATEWAY,
    .name = "gateway",
    .start = on_start,
    .link_up = on_link_up,
    .link_down = on_link_down,
    .message = on_message,
    .listen = on_listen,
    .stop = on_stop,
    .count = on_count,
};
