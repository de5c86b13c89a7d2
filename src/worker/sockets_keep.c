/*
 * sockets_keep — the hibernatable sockets of an agent whose structure leaves memory while its heap, as an image, goes on knowing them.
 *
 * The gateway tells the agent of every end of a socket, and that wakes it: as long as both processes and their link are the same as when it
 * left (an `era`), the packed list is what the gateway has. In another era the gateway is asked, and what it has no more is told as lost.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "lib/sys/sys.h"
#include "src/worker/deliver.h"
#include "src/worker/sockets_internal.h"
#include "src/worker/worker_limits.h"

/* Packed: this, the sockets' numbers, the two texts. */
struct kept {
    uint64_t era;
    uint32_t sockets;
    uint16_t request_bytes, response_bytes;
    uint8_t  is_unasked;               /* JavaScript has not asked for the list yet: it is made anew */
    uint8_t  zeros[7];
};

static uint64_t era;                   /* 0: the gateway is away, or has not said yet who has sockets */

static bool
next_socket_of(const struct agent *a, size_t *cursor, struct ws_info **out)
{
    uint64_t socket;
    void *value;

    if (a->sockets == NULL || !umap_next(a->sockets, cursor, &socket, &value))
        return false;
    *out = value;
    return true;
}

/* ---- packing ---- */

bool
sockets_may_be_packed(const struct agent *a)
{
    size_t cursor = 0;
    struct ws_info *w;

    if (a->sockets == NULL || umap_count(a->sockets) == 0)
        return !sockets_need_listing(a);   /* else it has some that its structure does not know */
    if (a->listing != 0 || era == 0)
        return false;
    while (next_socket_of(a, &cursor, &w))
        if (w->is_live || w->is_closed)
            return false;
    return true;
}

void
sockets_pack(const struct agent *a, struct buf *out)
{
    struct bytes request = bytes_of(a->auto_request), response = bytes_of(a->auto_response);
    struct kept kept = { .era = era, .request_bytes = (uint16_t)request.len, .response_bytes = (uint16_t)response.len };
    size_t cursor = 0, start = out->len;
    struct ws_info *w;

    assert(request.len <= WS_AUTO_MAX_BYTES && response.len <= WS_AUTO_MAX_BYTES);
    if ((a->sockets == NULL || umap_count(a->sockets) == 0) && a->auto_request == NULL)
        return;
    buf_append(out, &kept, sizeof kept);
    while (next_socket_of(a, &cursor, &w)) {
        buf_append(out, &w->socket, sizeof w->socket);
        kept.sockets++;
        kept.is_unasked |= w->listed.len > 0;
    }
    buf_append_bytes(out, request);
    buf_append_bytes(out, response);
    memcpy(out->data + start, &kept, sizeof kept);
}

/* ---- unpacking ---- */

/* Its client closed it: that is what woke its agent. */
static void
mark_closed(struct agent *a)
{
    struct event *e;

    list_each(e, &a->queue, struct event, in_queue) {
        struct ws_info *w = deliver_is_ws_close(e) ? sockets_find(a, e->socket) : NULL;

        if (w != NULL)
            w->is_closed = true;
    }
}

enum sockets_refusal
sockets_unpack(struct agent *a, struct bytes packed)
{
    struct kept kept;
    const uint8_t *at;
    uint64_t socket;

    if (packed.len == 0)
        return sockets_need_listing(a) ? SOCKETS_OTHERS : SOCKETS_FINE;
    if (packed.len < sizeof kept)
        return SOCKETS_MALFORMED;
    memcpy(&kept, packed.data, sizeof kept);
    if (kept.sockets > SOCKETS_PER_AGENT_MAX || kept.request_bytes > WS_AUTO_MAX_BYTES || kept.response_bytes > WS_AUTO_MAX_BYTES ||
        packed.len != sizeof kept + kept.sockets * sizeof socket + kept.request_bytes + kept.response_bytes)
        return SOCKETS_MALFORMED;
    at = packed.data + sizeof kept;
    for (uint32_t i = 0; i < kept.sockets; i++, at += sizeof socket) {
        memcpy(&socket, at, sizeof socket);
        if (sockets_find(a, socket) == NULL)
            (void)sockets_add(a, socket, false, ROLE_GATEWAY);
    }
    sockets_keep_auto(a, bytes_from(at, kept.request_bytes), bytes_from(at + kept.request_bytes, kept.response_bytes));
    mark_closed(a);
    a->known_sockets = kept.is_unasked ? SOCKETS_UNASKED : SOCKETS_ASKED;
    a->are_sockets_stale = kept.sockets > 0 && (kept.is_unasked || kept.era != era);
    return SOCKETS_FINE;
}

/* ---- another era ---- */

static struct ws_info *
first_unheard(const struct agent *a)
{
    size_t cursor = 0;
    struct ws_info *w;

    while (next_socket_of(a, &cursor, &w))
        if (!w->is_live && !w->is_closed && w->role == ROLE_GATEWAY && w->listed.len == 0)
            return w;
    return NULL;
}

/* What a list told again, and the heap has. */
static void
forget_list(struct agent *a)
{
    size_t cursor = 0;
    struct ws_info *w;

    while (a->known_sockets == SOCKETS_ASKED && next_socket_of(a, &cursor, &w))
        buf_fini(&w->listed);
}

void
sockets_compare(struct agent *a)
{
    bool was_pumping = a->is_pumping;
    struct ws_info *w;

    if (a->known_sockets == SOCKETS_NONE)
        return;
    a->is_pumping = true;              /* an event may end the agent and all its sockets */
    while ((w = first_unheard(a)) != NULL) {
        w->is_closed = true;
        deliver_post_ws_close(a, w->socket, WS_CODE_ABNORMAL, false, BYTES_NONE);
    }
    a->is_pumping = was_pumping;
    forget_list(a);
}

void
sockets_list_broken(struct agent *a)
{
    forget_list(a);
}

void
sockets_era_ends(void)
{
    era = 0;
}

/* Those whose heaps know sockets. Others learn of theirs by the list that their constructor waits for. */
static bool
is_to_be_listed(const struct agent *a)
{
    size_t cursor = 0;
    struct ws_info *w;

    if (a->listing != 0 || (a->heap == NULL && a->state != AGENT_WARM))
        return false;
    while (next_socket_of(a, &cursor, &w))
        if (!w->is_live && w->role == ROLE_GATEWAY)
            return true;
    return false;
}

void
sockets_era_begins(void)
{
    size_t cursor = 0;
    struct bytes key;
    void *value;

    while (era == 0)
        era = rng_u64();
    while (bmap_next(worker.agents, &cursor, &key, &value)) {
        struct agent *a = value;
        size_t at = 0;
        struct ws_info *w;

        if (!is_to_be_listed(a))
            continue;
        a->known_sockets = SOCKETS_ASKED;
        while (next_socket_of(a, &at, &w))
            if (w->listed.len > 0)
                a->known_sockets = SOCKETS_UNASKED;
        (void)sockets_list(a);         /* false: away again, it will be asked next time */
    }
}
