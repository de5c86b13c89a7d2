/* cast — see cast.h. */
#include "src/worker/cast.h"

#include <string.h>

#include "src/worker/agent.h"
#include "src/worker/peer.h"
#include "src/worker/worker_limits.h"

/* The message that is being sent; one, since one turn runs at a time. */
static struct {
    struct agent *agent;               /* whose turn it is; NULL: there is no message */
    struct peer  *peer;                /* borrowed: peers go between turns only */
    uint8_t       flags;
    struct buf    data;
    struct buf    sockets;             /* 8 bytes each */
} cast;

static void
clear(void)
{
    cast.agent = NULL;
    buf_clear(&cast.sockets);
    buf_clear(&cast.data);
    if (cast.data.cap > CAST_KEPT_BYTES_MAX)
        buf_fini(&cast.data);
}

static void
pack(struct agent *a, uint8_t flags, struct bytes data)
{
    struct msg_WS_CAST many = { .flags = flags, .sockets = buf_view(&cast.sockets), .data = data };
    struct msg_WS_MESSAGE one = { .flags = flags, .data = data };

    if (cast.sockets.len > sizeof one.socket) {
        msg_WS_CAST_pack(agent_out(a, cast.peer), &many);
        return;
    }
    memcpy(&one.socket, cast.sockets.data, sizeof one.socket);
    msg_WS_MESSAGE_pack(agent_out(a, cast.peer), &one);
}

void
cast_flush(struct agent *a)
{
    size_t at = 0;

    if (cast.agent != a || a == NULL)
        return;
    cast.agent = NULL;                 /* agent_out() flushes, too */
    do {
        size_t n = cast.data.len - at < CHUNK_MAX_BYTES ? cast.data.len - at : CHUNK_MAX_BYTES;

        pack(a, cast.flags | (at + n == cast.data.len ? WS_FIN : 0), bytes_from(cast.data.data + at, n));
        at += n;
    } while (at < cast.data.len);
    clear();
}

void
cast_drop(const struct agent *a)
{
    if (cast.agent == a)
        clear();
}

void
cast_send(struct agent *a, struct peer *p, uint64_t socket, uint8_t flags, struct bytes data)
{
    const bool is_same = cast.agent == a && cast.peer == p && cast.flags == flags && bytes_equal(buf_view(&cast.data), data) &&
                         cast.sockets.len + sizeof socket <= CHUNK_MAX_BYTES;

    if (!is_same) {
        cast_flush(cast.agent);
        cast.agent = a;
        cast.peer = p;
        cast.flags = flags;
        buf_append_bytes(&cast.data, data);
    }
    buf_append(&cast.sockets, &socket, sizeof socket);
}
