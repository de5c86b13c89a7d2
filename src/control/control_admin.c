/*
 * control_admin — see control_admin.h. Connections are libuv pipes in a map by number.
 */
#include "src/control/control_admin.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <uv.h>

#include "lib/base/map.h"
#include "lib/loop/loop.h"
#include "lib/sys/sys.h"
#include "src/control/control_limits.h"

struct connection {
    uv_pipe_t     pipe;
    struct admin *admin;           /* borrowed: outlives its connections but for the close callback */
    uint64_t      number;
    struct buf    in;              /* an incomplete line */
    size_t        scanned_bytes;   /* of in, known to hold no newline */
    uint64_t      raw_bytes;       /* still to come as bytes, not lines */
    bool          is_closing;      /* hang up after the last write */
    uint32_t      writes;          /* in flight */
};

struct admin {
    struct loop              *loop;
    int                       fd;
    struct loop_poll         *poll;
    struct umap              *connections;
    uint64_t                  next_number;
    const struct admin_events *events;
    void                     *owner;
};

struct line_out {
    uv_write_t req;
    char      *text;
};

static void connection_shut(struct connection *c);

static void
on_pipe_closed(uv_handle_t *handle)
{
    struct connection *c = handle->data;

    buf_fini(&c->in);
    free(c);
}

static void
connection_shut(struct connection *c)
{
    struct admin *admin = c->admin;

    if (uv_is_closing((uv_handle_t *)&c->pipe))
        return;
    (void)umap_take(admin->connections, c->number);
    uv_close((uv_handle_t *)&c->pipe, on_pipe_closed);
    admin->events->closed(admin->owner, c->number);
}

static void
on_written(uv_write_t *req, int status)
{
    struct line_out *out = container_of(req, struct line_out, req);
    struct connection *c = req->handle->data;

    free(out->text);
    free(out);
    c->writes--;
    if (status != 0 || (c->is_closing && c->writes == 0))
        connection_shut(c);
}

static void
connection_say(struct connection *c, json_t *line)
{
    struct line_out *out = calloc(1, sizeof *out);
    char *text = json_dumps(line, JSON_COMPACT | JSON_ENSURE_ASCII);
    size_t len;
    uv_buf_t piece;

    json_decref(line);
    assert(out != NULL);
    assert(text != NULL);
    len = strlen(text);
    text[len] = '\n';              /* in place of the NUL: the length travels beside it */
    out->text = text;
    piece = uv_buf_init(text, (unsigned int)(len + 1));
    c->writes++;
    if (uv_write(&out->req, (uv_stream_t *)&c->pipe, &piece, 1, on_written) != 0) {
        c->writes--;
        free(text);
        free(out);
        connection_shut(c);
    }
}

static void
connection_refuse(struct connection *c, const char *sentence)
{
    connection_say(c, json_pack("{s:n, s:b, s:{s:s, s:s}}", "id", "ok", 0, "error", "code", "ERR_MALFORMED", "message", sentence));
    c->is_closing = true;
    uv_read_stop((uv_stream_t *)&c->pipe);
}

static void
connection_line(struct connection *c, struct bytes line)
{
    struct admin *admin = c->admin;
    json_error_t problem;
    json_t *request = json_loadb((const char *)line.data, line.len, JSON_REJECT_DUPLICATES, &problem);
    const json_t *id = json_object_get(request, "id");
    const char *op = json_string_value(json_object_get(request, "op"));

    if (!json_is_object(request) || op == NULL || !json_is_integer(id))
        connection_refuse(c, "A request is one line of JSON with an integer 'id' and an 'op'.");
    else
        admin->events->request(admin->owner, (struct admin_ref){ c->number, json_integer_value(id) }, op, request);
    json_decref(request);
}

/* Hands on what is complete in c->in. The connection may ask to be closed, or for raw bytes, between two lines. */
static void
connection_digest(struct connection *c)
{
    struct admin *admin = c->admin;
    size_t at = 0;

    while (at < c->in.len && !c->is_closing && !uv_is_closing((uv_handle_t *)&c->pipe)) {
        const uint8_t *end;
        size_t scanned = c->scanned_bytes;

        if (c->raw_bytes > 0) {
            size_t take = c->in.len - at < c->raw_bytes ? c->in.len - at : (size_t)c->raw_bytes;

            c->raw_bytes -= take;
            admin->events->bytes(admin->owner, c->number, bytes_from(c->in.data + at, take));
            at += take;
            continue;
        }
        end = memchr(c->in.data + at + scanned, '\n', c->in.len - at - scanned);
        if (end == NULL) {
            c->scanned_bytes = c->in.len - at;
            break;
        }
        c->scanned_bytes = 0;
        connection_line(c, bytes_from(c->in.data + at, (size_t)(end - (c->in.data + at))));
        at = (size_t)(end - c->in.data) + 1;
    }
    buf_consume(&c->in, at);
    if (c->in.len > ADMIN_LINE_MAX_BYTES && !c->is_closing)
        connection_refuse(c, "The line is too long.");
}

static void
on_alloc(uv_handle_t *handle, size_t hint, uv_buf_t *out)
{
    struct connection *c = handle->data;

    buf_reserve(&c->in, CHUNK_READ_BYTES);
    out->base = (char *)c->in.data + c->in.len;
    out->len = CHUNK_READ_BYTES;
}

static void
on_read(uv_stream_t *stream, ssize_t len, const uv_buf_t *data)
{
    struct connection *c = stream->data;

    if (len < 0) {
        connection_shut(c);
        return;
    }
    c->in.len += (size_t)len;
    connection_digest(c);
}

static void
connection_open(struct admin *admin, int fd)
{
    struct connection *c = calloc(1, sizeof *c);

    assert(c != NULL);
    c->admin = admin;
    c->number = ++admin->next_number;
    (void)uv_pipe_init(loop_uv(admin->loop), &c->pipe, 0);
    c->pipe.data = c;
    (void)umap_put(admin->connections, c->number, c);
    if (uv_pipe_open(&c->pipe, fd) != 0) {
        (void)sys_close(fd);
        connection_shut(c);
        return;
    }
    if (umap_count(admin->connections) > ADMIN_CONNECTIONS_MAX) {
        connection_refuse(c, "Too many connections to the admin socket.");
        return;
    }
    if (uv_read_start((uv_stream_t *)&c->pipe, on_alloc, on_read) != 0)
        connection_shut(c);
}

static void
on_acceptable(void *owner, int events)
{
    struct admin *admin = owner;

    for (int i = 0; i < ADMIN_CONNECTIONS_MAX; i++) {
        int fd = accept4(admin->fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

        if (fd < 0)
            return;                /* none waiting; or out of descriptors, and the next event tries again */
        connection_open(admin, fd);
    }
}

struct admin *
admin_create(struct loop *loop, int fd, const struct admin_events *events, void *owner)
{
    struct admin *admin = calloc(1, sizeof *admin);

    assert(fd >= 0);
    assert(admin != NULL);
    admin->loop = loop;
    admin->fd = fd;
    admin->events = events;
    admin->owner = owner;
    admin->connections = umap_create();
    admin->poll = loop_poll_create(loop, fd, on_acceptable, admin);
    loop_poll_set(admin->poll, LOOP_READABLE);
    return admin;
}

void
admin_destroy(struct admin **admin)
{
    struct admin *a = STEAL(*admin);
    size_t cursor = 0;
    uint64_t number;
    void *value;

    if (a == NULL)
        return;
    loop_poll_destroy(&a->poll);
    (void)sys_close(a->fd);
    while (umap_next(a->connections, &cursor, &number, &value))
        connection_shut(value);
    umap_destroy(&a->connections);
    free(a);
}

static struct connection *
connection_find(const struct admin *admin, uint64_t number)
{
    struct connection *c = admin != NULL ? umap_get(admin->connections, number) : NULL;

    return c != NULL && !c->is_closing ? c : NULL;
}

/* Says LINE with FIELDS (NULL: none) in it, when the connection is still there. Takes both. */
static void
say_with(struct admin *admin, struct admin_ref to, json_t *line, json_t *fields)
{
    struct connection *c = connection_find(admin, to.connection);

    if (fields != NULL)
        (void)json_object_update_missing(line, fields);
    json_decref(fields);
    if (c != NULL)
        connection_say(c, line);
    else
        json_decref(line);
}

void
admin_ok(struct admin *admin, struct admin_ref to, json_t *fields)
{
    say_with(admin, to, json_pack("{s:I, s:b}", "id", (json_int_t)to.id, "ok", 1), fields);
}

void
admin_fail(struct admin *admin, struct admin_ref to, const struct err *err, const json_t *detail)
{
    struct connection *c = connection_find(admin, to.connection);
    json_t *error;

    assert(err->code != ERR_NONE);
    if (c == NULL)
        return;
    error = json_pack("{s:s, s:s}", "code", err_info(err->code)->name, "message", err->message);
    if (error == NULL)             /* the sentence quotes bytes that are no UTF-8 */
        error = json_pack("{s:s, s:s}", "code", err_info(err->code)->name, "message", err_info(err->code)->sentence);
    if (detail != NULL)
        (void)json_object_update(error, (json_t *)detail);
    connection_say(c, json_pack("{s:I, s:b, s:o}", "id", (json_int_t)to.id, "ok", 0, "error", error));
}

void
admin_event(struct admin *admin, struct admin_ref to, const char *name, json_t *fields)
{
    say_with(admin, to, json_pack("{s:I, s:s}", "id", (json_int_t)to.id, "event", name), fields);
}

void
admin_expect_bytes(struct admin *admin, uint64_t connection, uint64_t len)
{
    struct connection *c = connection_find(admin, connection);

    if (c != NULL)
        c->raw_bytes = len;
}

void
admin_hang_up(struct admin *admin, uint64_t connection)
{
    struct connection *c = connection_find(admin, connection);

    if (c == NULL)
        return;
    c->is_closing = true;
    uv_read_stop((uv_stream_t *)&c->pipe);
    if (c->writes == 0)
        connection_shut(c);
}

size_t
admin_unsent_bytes(const struct admin *admin, uint64_t connection)
{
    const struct connection *c = connection_find(admin, connection);

    return c != NULL ? uv_stream_get_write_queue_size((const uv_stream_t *)&c->pipe) : SIZE_MAX;
}
