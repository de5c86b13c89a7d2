/* asset_serve — see the header. */
#include "src/gateway/asset_serve.h"

#include <assert.h>
#include <stdlib.h>

#include "lib/sys/sys.h"

struct asset_stream {
    struct gateway *gw;
    int fd;
    uint64_t at, left;
};

void
asset_stream_close(struct asset_stream **stream)
{
    struct asset_stream *s = *stream;

    if (s == NULL)
        return;
    s->gw->asset_streams--;
    (void)sys_close(s->fd);
    free(s);
    *stream = NULL;
}

void
asset_stream_continue(struct request *r)
{
    struct asset_stream *s = r->file;
    size_t n = s->left < ASSET_PIECE_BYTES ? (size_t)s->left : ASSET_PIECE_BYTES;
    ssize_t got = sys_pread(s->fd, answer_room(r, n), n, (off_t)s->at);

    if (got <= 0) { /* the disk failed, or the file became shorter */
        answer_cut(r);
        return;
    }
    answer_filled(r, (size_t)got);
    s->at += (uint64_t)got;
    s->left -= (uint64_t)got;
    if (s->left > 0)
        return;
    asset_stream_close(&r->file);
    answer_end(r);
}

static void
file_send(struct request *r, struct asset_result *a)
{
    struct asset_stream *s;

    answer_start_length(r, a->status, buf_view(&a->headers), a->length);
    if (r->state != REQUEST_ANSWERING) {
        (void)sys_close(a->fd);
        return;
    }
    if (a->fd < 0 || r->is_body_dropped) {
        (void)sys_close(a->fd);
        r->is_body_dropped = true;
        answer_end(r);
        return;
    }
    s = calloc(1, sizeof *s);
    assert(s != NULL);
    *s = (struct asset_stream){ r->http->gw, a->fd, a->at, a->length };
    s->gw->asset_streams++;
    r->file = s;
    asset_stream_continue(r);
}

bool
asset_serve(struct request *r, const struct asset_config *config, const struct http_head *head, struct bytes path,
            bool with_not_found)
{
    struct asset_result a;
    struct asset_request q = {
        .method = head->method,
        .path = path,
        .query = bytes_from(path.data + path.len, head->path.len - path.len),
        .headers = head->headers,
        .with_not_found = with_not_found,
    };

    if (!asset_find(config, &q, &a))
        return false;
    if (r->http->gw->asset_streams >= ASSET_STREAMS_MAX && a.fd >= 0) {
        (void)sys_close(a.fd);
        answer_error(r, 503, "ERR_OVERLOADED", BYTES_LIT("Too many files are being sent. Try again soon."),
                     RETRY_AFTER_S);
    } else if (a.status >= 300 && a.status != 304 && a.status != 404) {
        answer_start(r, a.status, BYTES_NONE, buf_view(&a.headers), BYTES_NONE, ANSWER_WHOLE);
    } else {
        file_send(r, &a);
    }
    buf_fini(&a.headers);
    return true;
}
