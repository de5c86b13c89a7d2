/*
 * http — one client's HTTP/1.1 connection: its requests one after the other, each answered by a worker, an asset or an
 * error.
 *
 * Promise: answers leave in the order of the requests, each complete or the connection is cut; a body moves only as
 * fast as its receiver takes it, both ways; every request ends, when its worker dies too.
 */
#ifndef DORMOUSE_GATEWAY_HTTP_H
#define DORMOUSE_GATEWAY_HTTP_H

#include "lib/wire/http_reader.h"
#include "lib/wire/ws_handshake.h"
#include "src/gateway/app.h"
#include "src/gateway/conn.h"

struct asset_stream;
struct http;

enum request_state {
    REQUEST_NONE,      /* between requests, or reading a head */
    REQUEST_READING,   /* the head is complete, nothing was decided yet */
    REQUEST_WAITING,   /* a worker has it; no answer yet */
    REQUEST_ANSWERING, /* the head of the answer is out; its body follows */
    REQUEST_ANSWERED   /* the answer is complete; the request's body may not be */
};

struct request {
    enum request_state state;
    struct http *http; /* borrowed: contains us */
    struct app *app;
    struct worker *worker;      /* whose link carries the call; NULL: none does */
    struct list_node in_worker; /* worker.requests, or gw.parked */
    int64_t park_due_ms;        /* 0: was never parked */
    uint32_t call;
    uint32_t slot_key;
    bool is_received;       /* the whole request was read */
    bool wants_socket;      /* a valid WebSocket handshake */
    bool keeps_alive;       /* after this answer */
    bool is_body_dropped;   /* the answer's body is not sent: HEAD */
    bool is_body_ended;     /* we sent END, or the call carried the whole body */
    uint64_t body_bytes;    /* of the request, so far */
    uint64_t drained_bytes; /* of it, thrown away behind the answer */
    size_t send_credit;
    struct buf unsent; /* of the request body, waiting for credit */
    enum http_framing framing;
    uint64_t remaining; /* of the answer's Content-Length */
    size_t ungranted;   /* of the answer's body, sent or queued, not yet granted */
    struct asset_stream *file;
    char ws_accept[WS_ACCEPT_BYTES + 1];
    char *ws_url; /* owned; for the book of sockets */
};

struct http {
    struct conn *conn;
    struct gateway *gw;
    struct http_reader *reader;
    struct buf pending; /* bytes behind the open request */
    bool is_consuming;
    char peer[INET6_ADDRSTRLEN];
    struct request request;
};

/* Takes the connection over. */
void http_start(struct conn *conn);
/* The connection becomes something else (a WebSocket): the http is freed, its unread bytes go to *out_unread (owned).
 */
struct conn *http_detach(struct http *http, struct buf *out_unread);

/* ---- for the answers (http_answer.c, asset_serve.c) ---- */
/* Starts the answer. headers flat. body: all of it, or its first bytes when MORE. Takes care of HEAD, 204, 304,
 * HTTP/1.0. */
enum answer_more { ANSWER_WHOLE, ANSWER_MORE };
void answer_start(struct request *r, int status, struct bytes status_text, struct bytes headers, struct bytes body,
                  enum answer_more more);
/* LENGTH bytes will follow by answer_body(); DROPPED (HEAD, 304): none will. */
void answer_start_length(struct request *r, int status, struct bytes headers, uint64_t length);
void answer_body(struct request *r, struct bytes bytes);
/* Room for N bytes of an answer started by answer_start_length(), to be filled in place (at most what is left of it).
 */
uint8_t *answer_room(struct request *r, size_t n);
void answer_filled(struct request *r, size_t n);
void answer_end(struct request *r);
/* The answer broke off: its connection is cut, so that the client knows. */
void answer_cut(struct request *r);
/* A whole answer of our own. retry_after_s 0: no such header. */
void answer_error(struct request *r, int status, const char *code, struct bytes message, int retry_after_s);
/* The answer is out; goes on with the next request when this one was read too. */
void request_finish(struct request *r);
/* Routes or a worker came: requests that waited for them go on. */
void http_unpark(struct gateway *gw);
/* Those that waited long enough are answered 503. */
void http_tick(struct gateway *gw);
/* The client is gone, or we cut it off: whoever works on it is told. */
void request_cancel(struct request *r);

#endif
