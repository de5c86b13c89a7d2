/* socket_worker — the agents' side of sockets.h: what workers say, and their coming and going. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "src/gateway/sockets.h"

/* Frames for the agent: into its worker's link, or kept until there is one. */
static struct buf *
to_agent(struct socket *s)
{
    if (s->worker->link != NULL && s->held.len == 0)
        return link_out(s->worker->link);
    return &s->held;
}

void
socket_deliver(struct socket *s, uint8_t flags, struct bytes data)
{
    struct msg_WS_MESSAGE m = {
        .socket = s->id,
        .flags = flags,
        .agent = s->agent->id,
        .class_name = bytes_of(s->agent->class_name),
        .name = bytes_of(s->agent->name),
        .data = data,
    };

    assert(data.len <= CHUNK_MAX_BYTES);
    msg_WS_MESSAGE_pack(to_agent(s), &m);
    socket_account_kept(s);
    s->unhandled += data.len;
    s->is_in_open = (flags & WS_FIN) == 0;
}

void
socket_deliver_close(struct socket *s, uint16_t code, struct bytes reason, bool was_clean)
{
    struct gateway *gw = s->gw;
    struct msg_WS_CLOSE m = {
        .socket = s->id,
        .code = code,
        .was_clean = was_clean,
        .agent = s->agent->id,
        .class_name = bytes_of(s->agent->class_name),
        .name = bytes_of(s->agent->name),
        .reason = bytes_from(reason.data, reason.len < WS_REASON_MAX_BYTES ? reason.len : WS_REASON_MAX_BYTES),
    };

    assert(s->conn == NULL);
    if (s->state == SOCKET_GHOST)
        return;
    msg_WS_CLOSE_pack(to_agent(s), &m);
    if (s->mode != WS_HIBERNATABLE) {
        socket_destroy(s);
        return;
    }
    socket_unjoin(s);
    s->state = SOCKET_GHOST;
    gw->ghost_count++;
    socket_wait(s, &gw->ghosts); /* sockets_tick() keeps them few */
}

/* The agent was told that S is closed: nobody asks for its tags any more. */
static void
ghost_rests(struct socket *s, struct worker *worker)
{
    struct msg_WS_AGENTS none = { .ids = bytes_from(s->agent->id.bytes, sizeof s->agent->id.bytes) };

    assert(s->state == SOCKET_GHOST);
    if (s->agent->hibernatable == 1)
        msg_WS_AGENTS_pack(link_out(worker->link), &none);
    socket_destroy(s);
}

/* ---- messages of workers ----------------------------------------------------------------------------------------- */
/* SOCKET when it is this worker's app's. Ids of others are treated as unknown. */
static struct socket *
find_own(struct gateway *gw, const struct worker *worker, uint64_t id)
{
    struct socket *s = socket_find(gw, id);

    return s != NULL && s->app == worker->app ? s : NULL;
}

static bool
on_open(struct gateway *gw, struct worker *worker, struct bytes payload, struct err *err)
{
    struct msg_WS_OPEN m;
    struct socket *s;
    struct socket_agent *agent;
    bool is_first;

    if (!msg_WS_OPEN_unpack(&m, payload, err))
        return false;
    if (m.mode != WS_HIBERNATABLE && m.mode != WS_LIVE)
        return err_set(err, ERR_MALFORMED, 0, "WS_OPEN with an unknown mode");
    s = socket_find(gw, m.socket);
    if (s != NULL && (s->app != worker->app || s->state != SOCKET_ATTACHED))
        return err_set(err, ERR_MALFORMED, 0, "WS_OPEN for a socket that is open");
    if (s == NULL) {
        s = socket_create(gw, worker->app, m.socket, SOCKET_OPENED);
        socket_wait(s, &gw->pending);
    }
    agent = agent_get(gw, worker->app, &m.agent, m.class_name, m.name);
    is_first = agent->hibernatable == 0;
    socket_own(s, worker, agent, (enum ws_mode)m.mode);
    buf_append_bytes(&s->tags, m.tags);
    attachment_set(&s->attachment, m.attachment);
    if (m.mode == WS_HIBERNATABLE && is_first) {
        /* Also to the worker that opened it: word that the agent's last one was gone may be on its way there. */
        struct worker *home = app_agent_worker(gw, worker->app, &m.agent);
        struct msg_WS_AGENTS present = { .present = 1, .ids = bytes_from(m.agent.bytes, sizeof m.agent.bytes) };
        if (home != NULL && home->link != NULL)
            msg_WS_AGENTS_pack(link_out(home->link), &present);
    }
    if (agent->hibernatable > SOCKETS_PER_AGENT_MAX)
        socket_break(s, 1013, "The agent has too many WebSockets.");
    else if (worker->app->pending_sockets > PENDING_PER_APP_MAX)
        socket_break(s, 1013, "The app has too many WebSockets that nobody took.");
    else if (s->state == SOCKET_ATTACHED)
        socket_begin(s);
    return true;
}

static bool
on_join(struct gateway *gw, struct worker *worker, struct bytes payload, struct err *err)
{
    struct msg_WS_JOIN m;
    struct socket *s;

    if (!msg_WS_JOIN_unpack(&m, payload, err))
        return false;
    s = find_own(gw, worker, m.socket);
    if (s != NULL && s->state != SOCKET_OPENED)
        return err_set(err, ERR_MALFORMED, 0, "WS_JOIN of a socket that is taken");
    if (umap_get(gw->joins, m.local) != NULL || m.local == m.socket)
        return err_set(err, ERR_MALFORMED, 0, "WS_JOIN with an id that is in use");
    if (s == NULL) { /* the agent's worker is slower to say WS_OPEN */
        if (socket_find(gw, m.socket) != NULL)
            return err_set(err, ERR_MALFORMED, 0, "WS_JOIN of another app's socket");
        if (worker->app->pending_sockets > PENDING_PER_APP_MAX)
            return true; /* its opener is refused too */
        s = socket_create(gw, worker->app, m.socket, SOCKET_ATTACHED);
        socket_wait(s, &gw->pending);
    }
    s->peer = worker;
    s->peer_id = m.local;
    list_push_back(&worker->joined, &s->in_peer);
    (void)umap_put(gw->joins, m.local, s);
    if (s->agent != NULL)
        socket_begin(s);
    return true;
}

static void
pass_on(struct gateway *gw, struct worker *worker, uint64_t id, uint8_t flags, struct bytes data)
{
    struct socket *s = umap_get(gw->joins, id);

    if (s != NULL && s->peer == worker) {
        if (s->state == SOCKET_OPEN)
            socket_deliver(s, flags, data);
        return;
    }
    s = find_own(gw, worker, id);
    if (s != NULL && s->agent != NULL)
        socket_send(s, flags, data);
}

static bool
on_message(struct gateway *gw, struct worker *worker, struct bytes payload, struct err *err)
{
    struct msg_WS_MESSAGE m;

    if (!msg_WS_MESSAGE_unpack(&m, payload, err))
        return false;
    pass_on(gw, worker, m.socket, m.flags, m.data);
    return true;
}

static bool
on_cast(struct gateway *gw, struct worker *worker, struct bytes payload, struct err *err)
{
    struct msg_WS_CAST m;
    uint64_t id;

    if (!msg_WS_CAST_unpack(&m, payload, err))
        return false;
    if (m.sockets.len % sizeof id != 0)
        return err_set(err, ERR_MALFORMED, 0, "WS_CAST with a list of %zu bytes", m.sockets.len);
    gw->casts_total++;
    for (size_t at = 0; at < m.sockets.len; at += sizeof id) {
        memcpy(&id, m.sockets.data + at, sizeof id);
        pass_on(gw, worker, id, m.flags, m.data);
    }
    return true;
}

/* The joined end closed: like a client's Close frame. */
static void
join_close(struct socket *s, uint16_t code, struct bytes reason)
{
    struct msg_WS_CLOSE echo = { .socket = s->peer_id, .code = code, .was_clean = 1, .reason = reason };

    msg_WS_CLOSE_pack(link_out(s->peer->link), &echo);
    if (s->agent != NULL)
        socket_deliver_close(s, code, reason, true);
    else
        socket_destroy(s);
}

static bool
on_close(struct gateway *gw, struct worker *worker, struct bytes payload, struct err *err)
{
    struct msg_WS_CLOSE m;
    struct socket *s;

    if (!msg_WS_CLOSE_unpack(&m, payload, err))
        return false;
    s = umap_get(gw->joins, m.socket);
    if (s != NULL && s->peer == worker) {
        join_close(s, m.code, m.reason);
        return true;
    }
    s = find_own(gw, worker, m.socket);
    if (s != NULL && s->state == SOCKET_GHOST)
        ghost_rests(s, worker);
    else if (s != NULL && s->agent != NULL)
        socket_close(s, m.code, m.reason);
    return true;
}

static bool
on_credit(struct gateway *gw, struct worker *worker, struct bytes payload, struct err *err)
{
    struct msg_WS_CREDIT m;
    struct socket *s;

    if (!msg_WS_CREDIT_unpack(&m, payload, err))
        return false;
    s = find_own(gw, worker, m.socket);
    if (s == NULL)
        return true;
    if (s->state == SOCKET_GHOST && m.bytes == 0) {
        ghost_rests(s, worker);
        return true;
    }
    s->unhandled -= m.bytes < s->unhandled ? m.bytes : s->unhandled;
    socket_read(s);
    return true;
}

static bool
on_attach(struct gateway *gw, struct worker *worker, struct bytes payload, struct err *err)
{
    struct msg_WS_ATTACH m;
    struct socket *s;

    if (!msg_WS_ATTACH_unpack(&m, payload, err))
        return false;
    s = find_own(gw, worker, m.socket);
    if (s == NULL)
        return true;
    attachment_set(&s->attachment, m.attachment);
    return true;
}

static bool
on_auto(struct gateway *gw, struct worker *worker, struct bytes payload, struct err *err)
{
    struct msg_WS_AUTO m;
    struct socket_agent *agent;

    if (!msg_WS_AUTO_unpack(&m, payload, err))
        return false;
    agent = agent_get(gw, worker->app, &m.agent, m.class_name, BYTES_NONE);
    buf_clear(&agent->auto_request);
    buf_clear(&agent->auto_response);
    buf_append_bytes(&agent->auto_request, m.request);
    buf_append_bytes(&agent->auto_response, m.response);
    agent_review(gw, agent);
    return true;
}

static void
list_one(struct worker *worker, uint32_t request, const struct socket *s)
{
    static struct buf scratch; /* kept: the next socket of the list needs it too */
    struct msg_WS_SOCKET m = {
        .request = request,
        .socket = s->id,
        .auto_ms = s->auto_ms,
        .tags = buf_view(&s->tags),
        .attachment = attachment_get(&s->attachment, &scratch),
        .url = bytes_of(s->url),
        .protocol = bytes_of(s->protocol),
    };

    msg_WS_SOCKET_pack(link_out(worker->link), &m);
}

static bool
on_list(struct gateway *gw, struct worker *worker, struct bytes payload, struct err *err)
{
    struct msg_WS_LIST m;
    struct msg_WS_LISTED end = { 0 };
    struct socket_agent *agent;
    struct socket *s;

    if (!msg_WS_LIST_unpack(&m, payload, err))
        return false;
    end.request = m.request;
    agent = agent_find(gw, worker->app, &m.agent);
    if (agent != NULL) {
        /* A ghost's client is gone, but its agent was not told yet: it is listed, so that the handler finds its tags.
         */
        list_each(s, &agent->sockets, struct socket, in_agent) if (s->mode == WS_HIBERNATABLE)
            list_one(worker, m.request, s);
        end.auto_request = buf_view(&agent->auto_request);
        end.auto_response = buf_view(&agent->auto_response);
    }
    msg_WS_LISTED_pack(link_out(worker->link), &end);
    return true;
}

bool
sockets_message(struct gateway *gw, struct worker *worker, uint16_t type, struct bytes payload, struct err *err)
{
    switch (type) {
    case MSG_WS_OPEN:
        return on_open(gw, worker, payload, err);
    case MSG_WS_JOIN:
        return on_join(gw, worker, payload, err);
    case MSG_WS_MESSAGE:
        return on_message(gw, worker, payload, err);
    case MSG_WS_CAST:
        return on_cast(gw, worker, payload, err);
    case MSG_WS_CLOSE:
        return on_close(gw, worker, payload, err);
    case MSG_WS_CREDIT:
        return on_credit(gw, worker, payload, err);
    case MSG_WS_ATTACH:
        return on_attach(gw, worker, payload, err);
    case MSG_WS_AUTO:
        return on_auto(gw, worker, payload, err);
    case MSG_WS_LIST:
        return on_list(gw, worker, payload, err);
    default:
        return err_set(err, ERR_MALFORMED, 0, "a worker does not send this message");
    }
}

/* ---- coming and going -------------------------------------------------------------------------------------------- */
#define IDS_PER_MESSAGE (CHUNK_MAX_BYTES / sizeof(struct agent_id))

static void
agents_announce(struct worker *worker, struct buf *ids)
{
    struct msg_WS_AGENTS m = { .present = 1, .ids = buf_view(ids) };

    msg_WS_AGENTS_pack(link_out(worker->link), &m);
    buf_clear(ids);
}

void
sockets_link_up(struct gateway *gw, struct worker *worker)
{
    struct buf ids = { 0 };
    struct socket *s;

    gw->listing_round++;
    list_each(s, &worker->sockets, struct socket, in_worker)
    {
        if (s->mode != WS_HIBERNATABLE || s->agent->listed_round == gw->listing_round)
            continue;
        s->agent->listed_round = gw->listing_round;
        buf_append(&ids, s->agent->id.bytes, sizeof s->agent->id.bytes);
        if (ids.len >= IDS_PER_MESSAGE * sizeof(struct agent_id))
            agents_announce(worker, &ids);
    }
    if (ids.len > 0)
        agents_announce(worker, &ids);
    agents_announce(worker, &ids);         /* empty: that was all */
    buf_fini(&ids);
    list_each(s, &worker->sockets, struct socket, in_worker)
    {
        const bool was_told = s->held.len == 0;

        if (!was_told)
            buf_append_bytes(link_out(worker->link), buf_view(&s->held));
        buf_fini(&s->held);
        socket_account_kept(s);
        if (s->state != SOCKET_GHOST)
            socket_read(s);
        else if (was_told)
            socket_destroy(s);         /* the former process was, and handled it or died of it */
    }
}

/* Can the socket go on with another process, or did a message get lost half-way? */
static bool
survives(const struct socket *s)
{
    return s->mode == WS_HIBERNATABLE && s->peer == NULL && s->unhandled == 0 && !s->is_out_open && !s->is_in_open &&
           s->state != SOCKET_OPENED;
}

void
sockets_link_down(struct gateway *gw, struct worker *worker)
{
    struct socket *s;

    assert(worker->link == NULL);
    list_each(s, &worker->sockets, struct socket, in_worker)
    {
        if (s->state == SOCKET_GHOST)
            continue;
        if (s->state == SOCKET_OPENED)
            socket_destroy(s);
        else if (survives(s))
            socket_read(s);
        else
            socket_break(s, 1012, "The agent's process was restarted.");
    }
    while (!list_is_empty(&worker->joined))
        socket_break(list_entry(worker->joined.next, struct socket, in_peer), 1006, "The other end is gone.");
}

void
sockets_rehome(struct gateway *gw, struct app *app)
{
    for (size_t i = 0; i < WORKERS_PER_APP_MAX; i++) {
        struct worker *worker = app->workers[i], *home;
        struct socket *s;
        if (worker == NULL)
            continue;
        list_each(s, &worker->sockets, struct socket, in_worker)
        {
            home = s->mode == WS_HIBERNATABLE ? app_agent_worker(gw, app, &s->agent->id) : worker;
            if (home == NULL || home == worker)
                continue;
            socket_move(s, home);
            if (home->link != NULL) {
                struct msg_WS_AGENTS m = { .present = 1,
                                           .ids = bytes_from(s->agent->id.bytes, sizeof s->agent->id.bytes) };
                msg_WS_AGENTS_pack(link_out(home->link), &m);
            }
            socket_read(s);
        }
    }
}

void
sockets_unroute(struct app *app)
{
    for (size_t i = 0; i < WORKERS_PER_APP_MAX; i++) {
        struct socket *s;
        if (app->workers[i] == NULL)
            continue;
        list_each(s, &app->workers[i]->sockets, struct socket, in_worker)
        {
            if (s->state == SOCKET_GHOST)
                socket_destroy(s);
            else
                socket_break(s, 1001, "The app was removed.");
        }
    }
}

void
sockets_tick(struct gateway *gw)
{
    while (gw->ghost_count > WS_GHOSTS_MAX)
        socket_destroy(list_entry(gw->ghosts.next, struct socket, in_wait));
    for (;;) {
        struct socket *s = list_first(&gw->pending, struct socket, in_wait);
        if (s == NULL || s->wait_due_ms > gw->now_ms)
            return;
        socket_break(s, 1011, "The connection was not completed in time.");
    }
}

void
sockets_stop(struct gateway *gw)
{
    size_t cursor = 0;
    uint64_t id;
    void *value;

    while (umap_next(gw->sockets, &cursor, &id, &value)) {
        struct socket *s = value;
        if (s->state != SOCKET_GHOST)
            socket_break(s, 1012, "The server is restarting.");
    }
}
