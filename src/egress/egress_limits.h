/* The limits of egress, each with its reason. */
#ifndef DORMOUSE_EGRESS_LIMITS_H
#define DORMOUSE_EGRESS_LIMITS_H

#define EGRESS_CALLS_MAX            32768              /* open requests in all: agents wait here for models, 15 KB each (80 with TLS) */
#define EGRESS_CALLS_PER_LINK_MAX   16384              /* as many as a worker can have open (CALLS_MAX of its own) */
#define EGRESS_CALLS_PART           2                  /* one worker must not take all of them: half of what the descriptors allow */
#define EGRESS_CALLS_MIN            64                 /* taken however few descriptors there are */
#define EGRESS_UPLOADS_PER_LINK_MAX 1024               /* whose bodies come in pieces: half a megabyte each until they are sent */
#define EGRESS_REQUEST_BYTES_MAX    (512ull << 20)     /* heads and whole bodies of requests that are not answered yet */
#define EGRESS_SOCKETS_MAX          4096               /* open WebSockets to the outside */
#define EGRESS_CONNECTIONS_MAX      (EGRESS_CALLS_MAX + EGRESS_SOCKETS_MAX) /* a lower one would let calls wait in curl, unseen */
#define EGRESS_FILES_KEPT           1024               /* descriptors not for requests: links, names being looked up, idle connections, certificates */
#define EGRESS_IDLE_CONNECTIONS_MAX 256                /* kept for reuse: saves a handshake of some 100 ms */
#define EGRESS_REDIRECTS_MAX        20                 /* Fetch standard, "HTTP-redirect fetch" */
#define EGRESS_CONNECT_MS           15000              /* names, TCP and TLS; beyond it nobody is there */
#define EGRESS_IDLE_MS              300000             /* no byte either way before the response: models think for minutes, not for more than five */
#define EGRESS_STREAM_IDLE_MS       3600000            /* the same for a response that has begun: event streams may be silent for long */
#define EGRESS_HANDSHAKE_MS         30000              /* a WebSocket's, after it is connected */
#define EGRESS_CLOSE_MS             10000              /* how long a server may take to answer a Close frame */
#define EGRESS_JOIN_MS              1000               /* frames wait this long for WS_JOIN: workers that do not say it lose none */
#define EGRESS_BUFFER_BYTES         (64 * 1024)        /* what curl reads at once: one chunk of ours */
#define EGRESS_UP_BUFFER_BYTES      (16 * 1024)        /* what curl sends at once: a TLS record, and it keeps the buffer until the call ends */
#define EGRESS_REWIND_MAX_BYTES     (256 * 1024)       /* of a streaming body kept, in case that a reused connection was dead */
#define EGRESS_HEADERS_MAX          1024               /* fields of one request or response */
#define EGRESS_ALLOW_MAX            1024               /* entries of "allow"; each is looked at for each private address */
#define EGRESS_WS_REFUSAL_MAX_BYTES (64 * 1024)        /* body of an answer that refuses a WebSocket; the rest is cut */
#define EGRESS_WS_MESSAGE_MAX_BYTES (32 * 1024 * 1024) /* surface spec 3.3 */
#define EGRESS_WS_OUT_MAX_BYTES     (64 * 1024 * 1024) /* unsent to one server; then it is dropped */
#define EGRESS_WS_WINDOW_BYTES      (1024 * 1024)      /* unhandled by the agent: then the socket is not read */

#endif
