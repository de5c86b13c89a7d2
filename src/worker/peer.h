/*
 * peer — the other ends of calls: gateway, egress, scheduler, other workers, and this worker itself (loopback).
 *
 * Promise: a call is opened once and ends once: by REPLY with its body's END, by FAIL, by CANCEL, or by the loss of the link,
 * which both sides learn. Body bytes beyond the peer's credit wait here.
 */
#ifndef DORMOUSE_WORKER_PEER_H
#define DORMOUSE_WORKER_PEER_H

#include "src/worker/agent.h"
#include "src/worker/worker.h"

struct peer {
    struct link *link;                 /* NULL: loopback, or awaited */
    struct umap *outgoing;             /* wire id → struct call, opened by us */
    struct umap *incoming;             /* wire id → struct call, opened by them */
    uint32_t     next_id;
    bool         is_gone;              /* the link is lost; kept until no call refers to it */
    uint32_t     refs;                 /* calls and gated frames */
    struct awaited *awaited;           /* NULL: it is there, or is gone */
};

enum { SIDE_INCOMING = 0, SIDE_OUTGOING = 1 };     /* of a call, as the host interface counts */

/* One direction of a body that we send. */
struct body_out {
    int64_t    credit;
    struct buf waiting;                /* beyond the credit */
    bool       is_open, is_ending, wants_drain;
    char      *break_message;          /* owned; NULL: complete */
};

struct call {
    struct peer     *peer;             /* a reference */
    uint32_t         wire;             /* id on the wire */
    uint8_t          side;             /* SIDE_* */
    uint8_t          kind;             /* enum call_kind */
    uint32_t         number;           /* what JavaScript calls it: chosen by us for incoming, by it for outgoing */
    uint32_t         section;          /* critical section it was started in */
    uint16_t         slot;             /* outgoing: the slot it went to; incoming: advice to give */
    struct agent    *agent;            /* who answers it, or who opened it; NULL once that heap is gone */
    struct list_node in_agent;         /* agent.calls */
    struct body_out  out;
    struct buf       gather;           /* whole bodies of RPC */
    struct event    *head_event;       /* owned: posted when the body is complete */
    size_t           queued;           /* events about it in its agent's queue */
    uint64_t         socket;           /* CALL_WS_EVENT */
    bool             is_cancelled;     /* the caller went away: nothing is sent any more */
    bool             is_gathering, is_replied, has_reply, is_dispatched, is_hung;
    bool             peer_body_open;   /* the peer still sends */
    int64_t          since_ms;         /* monotonic */
    char            *about;            /* for people: "GET https://…"; NULL */
    int64_t          alarm_ms;         /* CALL_ALARM */
    uint32_t         alarm_retry;
    uint64_t         event_bytes;      /* WS events made into calls */
};

struct peer *peer_of_link(struct link *link);      /* creates on first use; user data of the link */
struct peer *peer_loopback(void);
/* A worker that is away is awaited: what is sent to it goes when its link comes up, or is lost after PEER_AWAIT_MS. NULL: no use waiting. */
struct peer *peer_of_slot(uint16_t slot);
void peer_arrived(struct link *link);              /* a worker's link came up */
struct peer *peer_of_role(enum role role);         /* NULL while that room is away */
void peer_lost(struct peer *peer);                 /* the link closed: fails what is open */
void peer_unref(struct peer *peer);
struct buf *peer_out(struct peer *peer);           /* frames to send now (no gate) */

/* Frames of a call from PEER. PAYLOAD is valid during the call. */
MUST_USE bool peer_message(struct peer *peer, uint16_t type, struct bytes payload, struct err *err);

/* Delivers what this worker sent to itself; true when there was something. */
bool peer_loopback_run(void);

/* ---- calls ---- */
struct call *call_find(struct agent *agent, uint32_t number, int side);
struct call *call_accept(struct agent *agent, struct peer *peer, const struct msg_CALL *m);
/* Remembers what C is about, for people: of M's method, URL (without its query, which may hold secrets) and name. */
void call_describe(struct call *call, const struct msg_CALL *m);
struct call *call_local(struct agent *agent, uint8_t kind);   /* an event counted like a call, with no one to answer */
void call_number(struct call *call);               /* gives it its number for JavaScript, when it is delivered */
/* Opens a call for AGENT; NUMBER is JavaScript's. The caller packs CALL with call->wire into agent_out(). */
struct call *call_open(struct agent *agent, struct peer *peer, uint8_t kind, uint32_t number);
/* Sends body bytes, as far as the credit goes; the rest waits. Returns the credit left after all of it. */
int64_t call_body_send(struct call *call, struct bytes data);
void call_body_end(struct call *call, const char *break_message);
void call_credit(struct call *call, uint32_t bytes);   /* the peer granted more */
void call_grant(struct call *call, uint32_t bytes);
void call_cancel(struct call *call, const char *why);
/* Answers an incoming call; ends it unless its reply has a streaming body. */
void call_fail(struct call *call, enum err_code code, unsigned flags, struct bytes message, struct bytes detail);
void call_end_if_done(struct call *call);
void call_free(struct call *call);                 /* both maps forget it; nothing is sent */

#endif
