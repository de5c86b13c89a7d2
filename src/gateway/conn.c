/* conn — see the header. */
#include "src/gateway/conn.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "lib/sys/sys.h"

struct conn_write {
    uv_write_t req;
    struct conn *conn;
    struct buf data;
};

/* ---- life -------------------------------------------------------------------------------------------------------- */
struct conn *
conn_accept(struct listener *listener)
{
    struct gateway *gw = listener->gw;
    struct conn *c = calloc(1, sizeof *c);

    assert(c != NULL);
    c->gw = gw;
    c->listener = listener;
    c->deadline = DEADLINE_NONE;
    if (uv_tcp_init(gw->uv, &c->tcp) != 0) {
        free(c);
        return NULL;
    }
    list_push_back(&gw->conns, &c->in_gateway);
    gw->conn_count++;
    if (uv_accept((uv_stream_t *)&listener->tcp, (uv_stream_t *)&c->tcp) != 0) {
        conn_close(c);
        return NULL;
    }
    (void)uv_tcp_nodelay(&c->tcp, 1); /* a failure costs latency only */
    return c;
}

void
conn_own(struct conn *c, const struct conn_events *events, void *owner)
{
    c->events = events;
    c->owner = owner;
}

static void
spare_put(struct gateway *gw, struct buf *b)
{
    if (b->data == NULL)
        return;
    if (gw->spare_len == SPARE_BUFFERS_MAX || b->cap > SPARE_BUFFER_BYTES_MAX) {
        buf_fini(b);
        return;
    }
    buf_clear(b);
    gw->spare[gw->spare_len++] = *b;
    memset(b, 0, sizeof *b);
}

static void
on_closed(uv_handle_t *handle)
{
    struct conn *c = container_of(handle, struct conn, tcp);

    free(c);
}

void
conn_close(struct conn *c)
{
    if (c->is_closing)
        return;
    c->is_closing = true;
    list_remove(&c->in_gateway);
    list_remove(&c->in_dirty);
    list_remove(&c->in_deadline);
    list_remove(&c->in_stalled);
    c->gw->conn_count--;
    spare_put(c->gw, &c->out);
    uv_close((uv_handle_t *)&c->tcp, on_closed);
}

/* The connection ended by itself: tell the owner, who must not touch it any more. */
static void
conn_gone(struct conn *c)
{
    if (c->is_closing)
        return;
    if (!c->is_finishing)
        c->events->gone(c);
    conn_close(c);
}

bool
conn_is_open(const struct conn *c)
{
    return !c->is_closing && !c->is_finishing;
}

void
conn_peer(const struct conn *c, char *out, size_t size)
{
    struct sockaddr_storage addr;
    int len = sizeof addr;
    int ok;

    out[0] = 0;
    if (uv_tcp_getpeername(&c->tcp, (struct sockaddr *)&addr, &len) != 0)
        return;
    if (addr.ss_family == AF_INET)
        ok = uv_ip4_name((struct sockaddr_in *)&addr, out, size);
    else if (addr.ss_family == AF_INET6)
        ok = uv_ip6_name((struct sockaddr_in6 *)&addr, out, size);
    else
        ok = -1;
    if (ok != 0)
        out[0] = 0;
    if (strncmp(out, "::ffff:", 7) == 0 && strchr(out, '.') != NULL)
        memmove(out, out + 7, strlen(out + 7) + 1);
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */
static void
on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *out)
{
    struct conn *c = container_of(handle, struct conn, tcp);

    out->base = (char *)c->gw->read_buffer;
    out->len = READ_BUFFER_BYTES;
}

static void
linger_read(struct conn *c, size_t len)
{
    c->linger_bytes += (uint32_t)len;
    if (c->linger_bytes > LINGER_BYTES_MAX)
        conn_close(c);
}

static void
on_read(uv_stream_t *stream, ssize_t n, const uv_buf_t *buf)
{
    struct conn *c = container_of(stream, struct conn, tcp);

    if (n == 0)
        return;
    if (n < 0 && c->is_finishing && n == UV_EOF && conn_queued(c) > 0) {
        c->saw_eof = true; /* a client that only reads on still gets its answer */
        conn_read(c, false);
        return;
    }
    if (n < 0)
        conn_gone(c);
    else if (c->is_finishing)
        linger_read(c, (size_t)n);
    else
        c->events->data(c, (uint8_t *)buf->base, (size_t)n);
}

void
conn_read(struct conn *c, bool wanted)
{
    if (c->is_closing || c->is_reading == wanted)
        return;
    c->is_reading = wanted;
    if (wanted && uv_read_start((uv_stream_t *)&c->tcp, on_alloc, on_read) != 0)
        c->is_reading = false;
    else if (!wanted)
        uv_read_stop((uv_stream_t *)&c->tcp);
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */
struct buf *
conn_out(struct conn *c)
{
    struct gateway *gw = c->gw;

    assert(!c->is_closing);
    if (c->out.data == NULL && gw->spare_len > 0)
        c->out = gw->spare[--gw->spare_len];
    if (!list_is_linked(&c->in_dirty))
        list_push_back(&gw->dirty, &c->in_dirty);
    return &c->out;
}

size_t
conn_queued(const struct conn *c)
{
    return c->out.len + (c->writing != NULL ? uv_stream_get_write_queue_size((const uv_stream_t *)&c->tcp) : 0);
}

static void
on_shut(uv_shutdown_t *req, int status)
{
    free(req); /* a failure means that the peer is gone: the read end tells */
}

/* Everything is written: say so to the client and wait for its end of the connection. */
static void
finish_now(struct conn *c)
{
    uv_shutdown_t *req;

    if (c->is_shut)
        return;
    c->is_shut = true;
    if (c->saw_eof) {
        conn_close(c);
        return;
    }
    req = malloc(sizeof *req);
    assert(req != NULL);
    if (uv_shutdown(req, (uv_stream_t *)&c->tcp, on_shut) != 0) {
        free(req);
        conn_close(c);
        return;
    }
    conn_deadline(c, DEADLINE_LINGER);
    conn_read(c, true);
}

static void
on_written(uv_write_t *req, int status)
{
    struct conn_write *w = container_of(req, struct conn_write, req);
    struct conn *c = w->conn;
    bool is_closing = c->is_closing;

    buf_fini(&w->data);
    free(w);
    if (is_closing)
        return;
    c->writing = NULL;
    list_remove(&c->in_stalled);
    if (status < 0) {
        conn_gone(c);
        return;
    }
    if (c->out.len > 0) {
        if (!list_is_linked(&c->in_dirty))
            list_push_back(&c->gw->dirty, &c->in_dirty);
    } else if (c->is_finishing) {
        finish_now(c);
    }
    if (conn_is_open(c))
        c->events->drained(c);
}

/* What the kernel did not take goes into a write of its own. */
static void
write_rest(struct conn *c, size_t taken)
{
    struct conn_write *w = malloc(sizeof *w);
    uv_buf_t b;

    assert(w != NULL);
    w->conn = c;
    w->data = c->out;
    memset(&c->out, 0, sizeof c->out);
    c->writing = w;
    b = uv_buf_init((char *)w->data.data + taken, (unsigned)(w->data.len - taken));
    if (uv_write(&w->req, (uv_stream_t *)&c->tcp, &b, 1, on_written) != 0) {
        c->writing = NULL;
        buf_fini(&w->data);
        free(w);
        conn_gone(c);
        return;
    }
    c->stall_left = conn_queued(c);
    c->stall_due_ms = c->gw->now_ms + c->gw->conf.stall_ms;
    list_push_back(&c->gw->stalled, &c->in_stalled);
}

void
conn_write(struct conn *c, struct bytes head, struct bytes body)
{
    uv_buf_t parts[2] = { uv_buf_init((char *)(uintptr_t)head.data, (unsigned)head.len),
                          uv_buf_init((char *)(uintptr_t)body.data, (unsigned)body.len) };
    size_t taken = 0;

    assert(conn_is_open(c));
    if (c->out.len == 0 && c->writing == NULL) {
        int n = uv_try_write((uv_stream_t *)&c->tcp, parts, 2);
        taken = n > 0 ? (size_t)n : 0; /* an error comes again when the rest is written, and is told then */
    }
    if (taken == head.len + body.len)
        return;
    if (taken < head.len)
        buf_append(conn_out(c), head.data + taken, head.len - taken);
    taken = taken > head.len ? taken - head.len : 0;
    buf_append(conn_out(c), body.data + taken, body.len - taken);
}

static void
conn_flush(struct conn *c)
{
    uv_buf_t b;
    int n;

    if (c->writing != NULL || c->out.len == 0) {
        if (c->writing == NULL && c->is_finishing)
            finish_now(c);
        return;
    }
    b = uv_buf_init((char *)c->out.data, (unsigned)c->out.len);
    n = uv_try_write((uv_stream_t *)&c->tcp, &b, 1);
    if (n == UV_EAGAIN)
        n = 0;
    if (n < 0) {
        conn_gone(c);
    } else if ((size_t)n < c->out.len) {
        write_rest(c, (size_t)n);
    } else {
        spare_put(c->gw, &c->out);
        if (c->is_finishing)
            finish_now(c);
        else
            c->events->drained(c);
    }
}

void
conn_flush_all(struct gateway *gw)
{
    struct list_node batch;

    /* A drained() may queue more. After some rounds others get their turn: the loop then looks at its descriptors, but
     * does not wait. */
    for (int round = 0; round < FLUSH_ROUNDS_MAX && !list_is_empty(&gw->dirty); round++) {
        list_init(&batch);
        batch = gw->dirty;
        batch.next->prev = &batch;
        batch.prev->next = &batch;
        list_init(&gw->dirty);
        while (!list_is_empty(&batch)) {
            struct conn *c = list_entry(batch.next, struct conn, in_dirty);
            list_remove(&c->in_dirty);
            conn_flush(c);
        }
    }
    loop_idle_set(gw->flush_again, !list_is_empty(&gw->dirty));
}

void
conn_finish(struct conn *c)
{
    if (!conn_is_open(c))
        return;
    c->is_finishing = true;
    conn_deadline(c, DEADLINE_NONE);
    conn_read(c, true);
    if (!list_is_linked(&c->in_dirty))
        list_push_back(&c->gw->dirty, &c->in_dirty);
}

/* ---- time -------------------------------------------------------------------------------------------------------- */
void
conn_deadline(struct conn *c, enum deadline deadline)
{
    if (c->is_closing)
        return;
    list_remove(&c->in_deadline);
    c->deadline = (uint8_t)deadline;
    if (deadline == DEADLINE_NONE)
        return;
    c->due_ms = c->gw->now_ms + c->gw->conf.deadline_ms[deadline];
    list_push_back(&c->gw->deadlines[deadline], &c->in_deadline);
}

static void
tick_deadlines(struct gateway *gw, enum deadline deadline)
{
    for (;;) {
        struct conn *c = list_first(&gw->deadlines[deadline], struct conn, in_deadline);
        if (c == NULL || c->due_ms > gw->now_ms)
            return;
        list_remove(&c->in_deadline);
        c->deadline = DEADLINE_NONE;
        if (deadline == DEADLINE_LINGER || c->is_finishing)
            conn_close(c);
        else
            c->events->expired(c, deadline);
    }
}

static void
tick_stalled(struct gateway *gw)
{
    for (;;) {
        struct conn *c = list_first(&gw->stalled, struct conn, in_stalled);
        size_t left;
        if (c == NULL || c->stall_due_ms > gw->now_ms)
            return;
        list_remove(&c->in_stalled);
        left = uv_stream_get_write_queue_size((const uv_stream_t *)&c->tcp);
        if (left >= c->stall_left) {
            conn_gone(c);
            continue;
        }
        c->stall_left = left;
        c->stall_due_ms = gw->now_ms + gw->conf.stall_ms;
        list_push_back(&gw->stalled, &c->in_stalled);
    }
}

void
conn_tick(struct gateway *gw)
{
    for (int i = 0; i < DEADLINES; i++)
        tick_deadlines(gw, (enum deadline)i);
    tick_stalled(gw);
}

void
conn_idle_close(struct gateway *gw)
{
    struct conn *c;

    list_each(c, &gw->deadlines[DEADLINE_IDLE], struct conn, in_deadline) c->events->expired(c, DEADLINE_IDLE);
}
