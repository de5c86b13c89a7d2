/* socket_book — the records and indexes of sockets.h. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "src/gateway/sockets.h"

#define AGENT_KEY_BYTES (sizeof(uint16_t) + sizeof(struct agent_id))

static struct bytes
agent_key(uint8_t *out, const struct app *app, const struct agent_id *id)
{
    memcpy(out, &app->index, sizeof app->index);
    memcpy(out + sizeof app->index, id->bytes, sizeof id->bytes);
    return bytes_from(out, AGENT_KEY_BYTES);
}

void
sockets_init(struct gateway *gw)
{
    gw->sockets = umap_create();
    gw->joins = umap_create();
    gw->agents = bmap_create();
    list_init(&gw->pending);
    list_init(&gw->ghosts);
    list_init(&gw->idle_agents);
}

void
sockets_fini(struct gateway *gw)
{
    size_t cursor = 0;
    uint64_t id;
    void *value;

    while (umap_next(gw->sockets, &cursor, &id, &value))
        socket_destroy(value);
    while (!list_is_empty(&gw->idle_agents)) {
        struct socket_agent *a = list_entry(gw->idle_agents.next, struct socket_agent, in_idle);
        buf_fini(&a->auto_request);
        agent_review(gw, a);
    }
    umap_destroy(&gw->sockets);
    umap_destroy(&gw->joins);
    bmap_destroy(&gw->agents);
}

struct socket *
socket_find(struct gateway *gw, uint64_t id)
{
    return umap_get(gw->sockets, id);
}

struct socket *
socket_create(struct gateway *gw, struct app *app, uint64_t id, enum socket_state state)
{
    struct socket *s = calloc(1, sizeof *s);

    assert(s != NULL);
    assert(umap_get(gw->sockets, id) == NULL);
    s->id = id;
    s->gw = gw;
    s->app = app;
    s->state = (uint8_t)state;
    s->decoder.message_bytes_max = WS_MESSAGE_BYTES_MAX;
    app->pending_sockets++; /* both ways to be created lack a half */
    (void)umap_put(gw->sockets, id, s);
    return s;
}

void
socket_unjoin(struct socket *s)
{
    if (s->peer == NULL)
        return;
    (void)umap_take(s->gw->joins, s->peer_id);
    list_remove(&s->in_peer);
    s->peer = NULL;
}

void
socket_destroy(struct socket *s)
{
    struct gateway *gw = s->gw;

    assert(s->conn == NULL);
    (void)umap_take(gw->sockets, s->id);
    socket_unjoin(s);
    list_remove(&s->in_worker);
    list_remove(&s->in_wait);
    if (s->state == SOCKET_GHOST)
        gw->ghost_count--;
    gw->ws_out_bytes -= s->queued;
    gw->ws_held_bytes -= s->kept_counted;
    if (s->state == SOCKET_OPENED || s->state == SOCKET_ATTACHED)
        s->app->pending_sockets--;
    if (s->agent != NULL) {
        list_remove(&s->in_agent);
        if (s->mode == WS_HIBERNATABLE)
            s->agent->hibernatable--;
        agent_review(gw, s->agent);
    }
    free(s->url);
    free(s->protocol);
    buf_fini(&s->tags);
    attachment_fini(&s->attachment);
    buf_fini(&s->partial);
    buf_fini(&s->held);
    buf_fini(&s->early);
    buf_fini(&s->unread);
    free(s);
}

void
socket_own(struct socket *s, struct worker *worker, struct socket_agent *agent, enum ws_mode mode)
{
    assert(s->agent == NULL);
    s->agent = agent;
    s->mode = (uint8_t)mode;
    list_push_back(&agent->sockets, &s->in_agent);
    agent_review(s->gw, agent);
    if (mode == WS_HIBERNATABLE)
        agent->hibernatable++;
    socket_move(s, worker);
}

void
socket_move(struct socket *s, struct worker *worker)
{
    list_remove(&s->in_worker);
    s->worker = worker;
    list_push_back(&worker->sockets, &s->in_worker);
}

void
socket_account_kept(struct socket *s)
{
    size_t kept = s->held.len + s->early.len;

    s->gw->ws_held_bytes += kept - s->kept_counted;
    s->kept_counted = kept;
    if (kept > 0 && s->gw->ws_held_bytes > WS_HELD_TOTAL_BYTES_MAX)
        s->is_overrun = true;
}

void
socket_wait(struct socket *s, struct list_node *list)
{
    list_remove(&s->in_wait);
    s->wait_due_ms = s->gw->now_ms + s->gw->conf.ws_pending_ms;
    if (list != NULL)
        list_push_back(list, &s->in_wait);
}

/* ---- agents ------------------------------------------------------------------------------------------------------ */
struct socket_agent *
agent_find(struct gateway *gw, struct app *app, const struct agent_id *id)
{
    uint8_t key[AGENT_KEY_BYTES];

    return bmap_get(gw->agents, agent_key(key, app, id));
}

struct socket_agent *
agent_get(struct gateway *gw, struct app *app, const struct agent_id *id, struct bytes class_name, struct bytes name)
{
    uint8_t key[AGENT_KEY_BYTES];
    struct socket_agent *a = agent_find(gw, app, id);

    if (a != NULL)
        return a;
    a = calloc(1, sizeof *a);
    assert(a != NULL);
    a->app = app;
    a->id = *id;
    a->class_name = bytes_dup(class_name);
    a->name = bytes_dup(name);
    list_init(&a->sockets);
    (void)bmap_put(gw->agents, agent_key(key, app, id), a);
    return a;
}

static void
agent_destroy(struct gateway *gw, struct socket_agent *a)
{
    uint8_t key[AGENT_KEY_BYTES];

    (void)bmap_take(gw->agents, agent_key(key, a->app, &a->id));
    list_remove(&a->in_idle);
    gw->idle_agent_count -= a->is_idle ? 1 : 0;
    free(a->class_name);
    free(a->name);
    buf_fini(&a->auto_request);
    buf_fini(&a->auto_response);
    free(a);
}

void
agent_review(struct gateway *gw, struct socket_agent *a)
{
    if (!list_is_empty(&a->sockets)) {
        if (a->is_idle) {
            list_remove(&a->in_idle);
            a->is_idle = false;
            gw->idle_agent_count--;
        }
        return;
    }
    if (a->auto_request.len == 0) {
        agent_destroy(gw, a);
        return;
    }
    if (!a->is_idle) {
        a->is_idle = true;
        gw->idle_agent_count++;
        list_push_back(&gw->idle_agents, &a->in_idle);
    }
    if (gw->idle_agent_count > IDLE_AGENTS_MAX)
        agent_destroy(gw, list_entry(gw->idle_agents.next, struct socket_agent, in_idle));
}
