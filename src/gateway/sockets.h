/*
 * sockets — the WebSockets of this node: whose they are, what their agents keep with them, what waits for whom.
 *
 * Promise: a hibernatable socket outlives its agent's heap and its worker; what the client sends meanwhile waits.
 * Messages of a socket stay in order. Its agent hears of its end once. An idle socket costs one descriptor and no
 * timer.
 *
 *   socket_book.c    records and indexes
 *   socket_client.c  the client's side: frames, handshake, closing
 *   socket_worker.c  the agents' side: messages of workers, their coming and going
 */
#ifndef DORMOUSE_GATEWAY_SOCKETS_H
#define DORMOUSE_GATEWAY_SOCKETS_H

#include "lib/wire/ws_frame.h"
#include "src/gateway/app.h"
#include "src/gateway/attachment.h"
#include "src/gateway/conn.h"
#include "src/gateway/http.h"

/*
 *            WS_OPEN            REPLY.socket, WS_JOIN      agent's WS_CLOSE     client's Close       client lost
 * (none)     OPENED             ATTACHED                   –                    –                    –
 * OPENED     error, ignored     OPEN                       OPENED, is_closed    –                    –
 * ATTACHED   OPEN               error 500                  –                    gone                 gone
 * OPEN       error, ignored     error 500                  CLOSING              told, GHOST          told, GHOST
 * CLOSING    error, ignored     error 500                  CLOSING              told, GHOST          told, GHOST
 * GHOST      error, ignored     error 500                  gone                 –                    –
 *
 * GHOST (of hibernatable ones; others are gone): the client has left, and the agent has not said yet that it handled that (WS_CREDIT of 0 bytes), perhaps
 * because its worker is away. An agent that is woken for it asks for its tags and attachment.
 */
enum socket_state { SOCKET_OPENED, SOCKET_ATTACHED, SOCKET_OPEN, SOCKET_CLOSING, SOCKET_GHOST };

/* One agent that has sockets, or an auto-response for future ones. */
struct socket_agent {
    struct app *app;
    struct agent_id id; /* none: the entry's heap */
    char *class_name;
    char *name;
    struct list_node sockets; /* struct socket.in_agent */
    uint32_t hibernatable;    /* how many of them */
    struct buf auto_request, auto_response;
    struct list_node in_idle; /* gw.idle_agents: no sockets, kept for its auto-response only */
    bool is_idle;
    uint32_t listed_round; /* of the last WS_AGENTS that named it */
};

struct socket {
    uint64_t id;
    struct gateway *gw;
    struct app *app;
    struct conn *conn;     /* the client; NULL: none yet, a relay, or a ghost */
    struct worker *worker; /* where its agent lives; NULL before WS_OPEN */
    struct list_node in_worker;
    struct socket_agent *agent; /* NULL before WS_OPEN */
    struct list_node in_agent;
    struct worker *peer; /* WS_JOIN: the worker that took the outer end; NULL: a client has it */
    struct list_node in_peer;
    uint64_t peer_id;
    struct list_node in_wait; /* gw.pending or gw.ghosts */
    int64_t wait_due_ms;
    uint8_t state;    /* enum socket_state */
    uint8_t mode;     /* enum ws_mode */
    bool is_closed;   /* OPENED only: its agent closed it already */
    bool is_overrun;  /* more had to be kept than may be: it ends */
    bool is_out_open; /* a fragmented message to the client is under way */
    bool is_in_open;  /* fragments of a message were sent to the worker */
    int64_t auto_ms;  /* of the last auto-response; 0: none */
    char *url;
    char *protocol;
    struct buf tags;
    struct attachment attachment;
    struct buf partial;  /* of the message under way */
    struct buf held;     /* frames for the worker while it is away */
    struct buf unread;   /* of the client: its agent's end is not known, behind, or away */
    struct buf early;    /* what the agent sent before the outer end came: struct early records */
    size_t unhandled;    /* bytes of messages the agent has not handled */
    size_t kept_counted; /* of gw.ws_held_bytes, ours */
    size_t queued;       /* of gw.ws_out_bytes, ours */
    struct ws_decoder decoder;
};

/* ---- the book (socket_book.c) ---- */
void sockets_init(struct gateway *gw);
void sockets_fini(struct gateway *gw);
struct socket *socket_find(struct gateway *gw, uint64_t id);
struct socket *socket_create(struct gateway *gw, struct app *app, uint64_t id, enum socket_state state);
/* Forgets it. Neither client nor agent is told. */
void socket_destroy(struct socket *s);
/* A relay no more: the joined end is gone, or was told so. */
void socket_unjoin(struct socket *s);
/* Its agent's end: WORKER, AGENT, mode. */
void socket_own(struct socket *s, struct worker *worker, struct socket_agent *agent, enum ws_mode mode);
void socket_move(struct socket *s, struct worker *worker);
void socket_wait(struct socket *s, struct list_node *list);
/* After held or early changed: keeps the node's sum. Above its limit the socket that added last is marked is_overrun.
 */
void socket_account_kept(struct socket *s);
struct socket_agent *agent_find(struct gateway *gw, struct app *app, const struct agent_id *id);
struct socket_agent *agent_get(struct gateway *gw, struct app *app, const struct agent_id *id, struct bytes class_name,
                               struct bytes name);
/* After its sockets or auto-response changed: forgets it when nothing is left. */
void agent_review(struct gateway *gw, struct socket_agent *agent);

/* ---- the client's side (socket_client.c) ---- */
/* REPLY.socket: R's client gets the outer end. R is finished, whatever comes of it. */
void socket_attach(struct request *r, const struct msg_REPLY *reply);
/* Both halves are there: what waited goes out, reading begins. */
void socket_begin(struct socket *s);
/* A message (or fragment) of the agent, to its client or relay. */
void socket_send(struct socket *s, uint8_t flags, struct bytes data);
/* The agent closes. */
void socket_close(struct socket *s, uint16_t code, struct bytes reason);
/* We close, telling the client CODE; the agent is told that it was lost. */
void socket_break(struct socket *s, uint16_t code, const char *reason);
/* Reads from the client, or not, as window and worker allow. What was read before and had to wait is handled: S may be
 * gone then. */
void socket_read(struct socket *s);

/* ---- the agents' side (socket_worker.c) ---- */
/* A message (or fragment) for the agent. */
void socket_deliver(struct socket *s, uint8_t flags, struct bytes data);
/* The client's end is over: the agent is told, now or when its worker is back, and the socket forgotten. */
void socket_deliver_close(struct socket *s, uint16_t code, struct bytes reason, bool was_clean);
MUST_USE bool sockets_message(struct gateway *gw, struct worker *worker, uint16_t type, struct bytes payload,
                              struct err *err);
void sockets_link_up(struct gateway *gw, struct worker *worker);
void sockets_link_down(struct gateway *gw, struct worker *worker);
/* The app's number of workers changed: hibernatable sockets go where their agents live now. */
void sockets_rehome(struct gateway *gw, struct app *app);
/* The app is gone: so are its sockets. */
void sockets_unroute(struct app *app);
void sockets_tick(struct gateway *gw);
/* The gateway ends: clients are told to come back. */
void sockets_stop(struct gateway *gw);

#endif
