/* asset_calls — see the header. */
#include "src/gateway/asset_calls.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "lib/sys/sys.h"
#include "src/gateway/asset_files.h"

/* A file on its way to a worker. There are few: only files above one chunk, and only while they are read. */
struct asset_transfer {
    struct list_node in_gateway; /* gw.asset_calls */
    struct worker *worker;
    uint32_t call;
    int fd;
    uint64_t at, left;
    uint64_t credit;
};

static void
transfer_destroy(struct gateway *gw, struct asset_transfer *t)
{
    list_remove(&t->in_gateway);
    gw->asset_streams--;
    (void)sys_close(t->fd);
    free(t);
}

static struct asset_transfer *
transfer_find(struct gateway *gw, const struct worker *worker, uint32_t call)
{
    struct asset_transfer *t;

    list_each(t, &gw->asset_calls, struct asset_transfer,
              in_gateway) if (t->worker == worker && t->call == call) return t;
    return NULL;
}

static void
transfer_run(struct gateway *gw, struct asset_transfer *t)
{
    static uint8_t piece[CHUNK_MAX_BYTES];
    struct msg_END end = { .call = t->call };

    while (t->left > 0 && t->credit > 0) {
        uint64_t n = t->left < t->credit ? t->left : t->credit;
        struct msg_DATA m = { .call = t->call };
        ssize_t got = sys_pread(t->fd, piece, n < sizeof piece ? (size_t)n : sizeof piece, (off_t)t->at);
        if (got <= 0) {
            end.message = BYTES_LIT("The file could not be read.");
            break;
        }
        m.bytes = bytes_from(piece, (size_t)got);
        msg_DATA_pack(link_out(t->worker->link), &m);
        t->at += (uint64_t)got;
        t->left -= (uint64_t)got;
        t->credit -= (uint64_t)got;
    }
    if (t->left > 0 && end.message.len == 0)
        return;
    msg_END_pack(link_out(t->worker->link), &end);
    transfer_destroy(gw, t);
}

static void
reply_plain(struct worker *worker, uint32_t call, uint16_t status, struct bytes headers, struct bytes body)
{
    struct msg_REPLY m = { .call = call, .status = status, .slot = SLOT_NONE, .headers = headers, .body = body };

    m.flags = body.len > 0 ? CALL_HAS_BODY : 0;
    if (headers.len > HEADERS_MAX_BYTES) { /* of many rules in _headers */
        m.status = 500;
        m.headers = BYTES_NONE;
    }
    msg_REPLY_pack(link_out(worker->link), &m);
}

static void
reply_file(struct gateway *gw, struct worker *worker, uint32_t call, struct asset_result *a)
{
    static uint8_t first[CHUNK_MAX_BYTES];
    struct msg_REPLY m = { .call = call, .status = (uint16_t)a->status, .slot = SLOT_NONE };
    size_t n = a->length < sizeof first ? (size_t)a->length : sizeof first;
    ssize_t got = sys_pread(a->fd, first, n, (off_t)a->at);
    struct asset_transfer *t;

    if (got <= 0 || gw->asset_streams >= ASSET_STREAMS_MAX || a->headers.len + 64 > HEADERS_MAX_BYTES) {
        (void)sys_close(a->fd);
        reply_plain(worker, call, 503, BYTES_NONE, BYTES_NONE);
        return;
    }
    buf_printf(&a->headers, "content-length\n%llu\n", (unsigned long long)a->length);
    m.headers = buf_view(&a->headers);
    m.body = bytes_from(first, (size_t)got);
    m.flags = CALL_HAS_BODY;
    if ((uint64_t)got < a->length)
        m.flags |= CALL_BODY_MORE;
    msg_REPLY_pack(link_out(worker->link), &m);
    if ((uint64_t)got == a->length) {
        (void)sys_close(a->fd);
        return;
    }
    t = calloc(1, sizeof *t);
    assert(t != NULL);
    *t = (struct asset_transfer){ .worker = worker,
                                  .call = call,
                                  .fd = a->fd,
                                  .at = a->at + (uint64_t)got,
                                  .left = a->length - (uint64_t)got,
                                  .credit = STREAM_WINDOW_BYTES };
    gw->asset_streams++;
    list_push_back(&gw->asset_calls, &t->in_gateway);
    transfer_run(gw, t);
}

/* Path and query of an absolute URL. */
static void
url_split(struct bytes url, struct bytes *out_path, struct bytes *out_query)
{
    const uint8_t *at, *slash, *query;
    size_t from;

    *out_path = BYTES_LIT("/");
    *out_query = BYTES_NONE;
    if (url.len == 0)
        return;
    at = memmem(url.data, url.len, "://", 3);
    from = at != NULL ? (size_t)(at + 3 - url.data) : 0;
    slash = memchr(url.data + from, '/', url.len - from);
    if (slash == NULL)
        return;
    query = memchr(slash, '?', url.len - (size_t)(slash - url.data));
    if (query == NULL)
        query = url.data + url.len;
    *out_path = bytes_from(slash, (size_t)(query - slash));
    *out_query = bytes_from(query, url.len - (size_t)(query - url.data));
}

bool
asset_call(struct gateway *gw, struct worker *worker, struct bytes payload, struct err *err)
{
    struct asset_result a;
    struct asset_request q = { .with_not_found = true };
    struct msg_CALL m;
    const struct asset_config *config = &worker->app->assets;

    if (!msg_CALL_unpack(&m, payload, err))
        return false;
    if (m.kind != CALL_ASSETS)
        return err_set(err, ERR_MALFORMED, 0, "the gateway answers calls for assets only");
    q.method = m.method;
    q.headers = m.headers;
    url_split(m.url, &q.path, &q.query);
    if (!bytes_equal_str(m.method, "GET") && !bytes_equal_str(m.method, "HEAD"))
        reply_plain(worker, m.call, 405, BYTES_NONE, BYTES_LIT("Method Not Allowed"));
    else if (config->dir_fd < 0 || !asset_find(config, &q, &a))
        reply_plain(worker, m.call, 404, BYTES_NONE, BYTES_NONE);
    else if (a.fd < 0)
        reply_plain(worker, m.call, (uint16_t)a.status, buf_view(&a.headers), BYTES_NONE), buf_fini(&a.headers);
    else
        reply_file(gw, worker, m.call, &a), buf_fini(&a.headers);
    return true;
}

void
asset_call_credit(struct gateway *gw, struct worker *worker, uint32_t call, uint32_t bytes)
{
    struct asset_transfer *t = transfer_find(gw, worker, call);

    if (t == NULL)
        return;
    t->credit += bytes;
    if (t->credit > STREAM_WINDOW_BYTES * 2)
        t->credit = STREAM_WINDOW_BYTES * 2;
    transfer_run(gw, t);
}

void
asset_call_cancel(struct gateway *gw, struct worker *worker, uint32_t call)
{
    struct asset_transfer *t = transfer_find(gw, worker, call);

    if (t != NULL)
        transfer_destroy(gw, t);
}

void
asset_calls_lost(struct gateway *gw, struct worker *worker)
{
    struct asset_transfer *t;

    list_each(t, &gw->asset_calls, struct asset_transfer, in_gateway) if (t->worker == worker) transfer_destroy(gw, t);
}
