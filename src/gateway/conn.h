/*
 * conn — one TCP connection from outside: reading, gathered writing, deadlines, an orderly end.
 *
 * Promise: what is packed into conn_out() is written once, before the loop next waits; an idle connection holds no
 * buffers. The owner hears of the end exactly once, unless it ended the connection itself.
 */
#ifndef DORMOUSE_GATEWAY_CONN_H
#define DORMOUSE_GATEWAY_CONN_H

#include "src/gateway/gateway.h"

struct conn_events {
    /* Bytes arrived. DATA may be changed in place; it is valid during the call. The owner may end the connection. */
    void (*data)(struct conn *conn, uint8_t *data, size_t len);
    /* Everything queued was handed to the kernel, after there was more than it took at once. */
    void (*drained)(struct conn *conn);
    /* The peer closed, or it broke. The conn is freed afterwards. */
    void (*gone)(struct conn *conn);
    /* A deadline passed. The owner answers or ends the connection; the deadline is not set any more. */
    void (*expired)(struct conn *conn, enum deadline deadline);
};

struct conn_write;

struct conn {
    uv_tcp_t tcp;
    struct gateway *gw;
    const struct conn_events *events;
    void *owner;                  /* struct http or struct socket */
    struct buf out;               /* gathered */
    struct conn_write *writing;   /* what the kernel did not take at once; NULL mostly */
    struct list_node in_gateway;  /* gw.conns */
    struct list_node in_dirty;    /* gw.dirty */
    struct list_node in_deadline; /* gw.deadlines[deadline] */
    struct list_node in_stalled;  /* gw.stalled, while writing */
    int64_t due_ms;
    int64_t stall_due_ms;
    size_t stall_left; /* unsent bytes at the last look */
    uint32_t linger_bytes;
    uint8_t deadline; /* enum deadline */
    bool is_reading, is_closing, is_finishing, is_shut, saw_eof;
    struct listener *listener; /* borrowed: listeners live as long as the room */
};

/* Takes a connection waiting at LISTENER; NULL when there is none. Reading is not started. */
struct conn *conn_accept(struct listener *listener);
void conn_own(struct conn *conn, const struct conn_events *events, void *owner);
/* The buffer that output is packed into. Never for a closing connection: ask conn_is_open(). */
struct buf *conn_out(struct conn *conn);
/* HEAD, then BODY: to the kernel at once when nothing is queued before it, so that only what it does not take is copied. */
void conn_write(struct conn *conn, struct bytes head, struct bytes body);
bool conn_is_open(const struct conn *conn);  /* takes output: neither closing nor finishing */
size_t conn_queued(const struct conn *conn); /* bytes not yet taken by the kernel */
void conn_read(struct conn *conn, bool wanted);
void conn_deadline(struct conn *conn, enum deadline deadline); /* from now; DEADLINE_NONE: none */
/* Writes what is queued, then closes so that the client can read it. No event follows. */
void conn_finish(struct conn *conn);
/* Closes at once. No event follows. */
void conn_close(struct conn *conn);
void conn_flush_all(struct gateway *gw);  /* the hook before the loop waits */
void conn_idle_close(struct gateway *gw); /* at the end: those between two requests */
void conn_tick(struct gateway *gw);       /* deadlines */
/* The peer's address as text, "" when unknown. */
void conn_peer(const struct conn *conn, char *out, size_t size);

#endif
