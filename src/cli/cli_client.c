/*
 * cli_client — see cli_client.h.
 */
#include "src/cli/cli_client.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <uv.h>

#include "lib/loop/loop.h"
#include "lib/sys/sys.h"
#include "src/cli/cli_limits.h"

enum { READ_BYTES = 64 * 1024 };

struct client {
    uv_pipe_t                   pipe;
    struct buf                  in;
    size_t                      scanned_bytes;
    int64_t                     last_id;
    bool                        is_over;       /* closed was told, or the owner destroyed us */
    const struct client_events *events;
    void                       *owner;
};

struct write {
    uv_write_t req;
    void     (*done)(void *owner);
    void      *owner;
    uint8_t    bytes[];
};

static void
client_over(struct client *client)
{
    if (client->is_over)
        return;
    client->is_over = true;
    uv_read_stop((uv_stream_t *)&client->pipe);
    client->events->closed(client->owner);
}

static void
client_digest(struct client *client)
{
    size_t at = 0;

    while (!client->is_over) {
        const uint8_t *from = client->in.data + at, *end;
        json_t *message;

        if (client->in.len == at)
            break;
        end = memchr(from + client->scanned_bytes, '\n', client->in.len - at - client->scanned_bytes);
        if (end == NULL) {
            client->scanned_bytes = client->in.len - at;
            break;
        }
        client->scanned_bytes = 0;
        message = json_loadb((const char *)from, (size_t)(end - from), 0, NULL);
        at += (size_t)(end - from) + 1;
        if (json_is_object(message))
            client->events->message(client->owner, message);
        else
            client_over(client);
        json_decref(message);
    }
    buf_consume(&client->in, at);
    if (client->in.len > ADMIN_LINE_MAX_BYTES)
        client_over(client);
}

static void
on_alloc(uv_handle_t *handle, size_t hint, uv_buf_t *out)
{
    struct client *client = handle->data;

    buf_reserve(&client->in, READ_BYTES);
    *out = uv_buf_init((char *)client->in.data + client->in.len, READ_BYTES);
}

static void
on_read(uv_stream_t *stream, ssize_t len, const uv_buf_t *data)
{
    struct client *client = stream->data;

    if (len < 0) {
        client_over(client);
        return;
    }
    client->in.len += (size_t)len;
    client_digest(client);
}

static bool
socket_connect(const char *path, int *out_fd, struct err *err)
{
    struct sockaddr_un address = { .sun_family = AF_UNIX };
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return err_set(err, ERR_IO, 0, "Cannot make a socket: %s.", strerror(errno));
    if (strlen(path) >= sizeof address.sun_path) {
        (void)sys_close(fd);
        return err_set(err, ERR_USAGE, 0, "The path of the admin socket is too long: '%s'.", path);
    }
    memcpy(address.sun_path, path, strlen(path) + 1);
    if (connect(fd, (const struct sockaddr *)&address, sizeof address) == 0) {
        *out_fd = fd;
        return true;
    }
    if (errno == EACCES)
        (void)err_set(err, ERR_DENIED, 0, "You may not talk to the Dormouse at '%s': run this as the user that started it.", path);
    else
        (void)err_set(err, ERR_UNAVAILABLE, 0,
                      "No Dormouse is running at '%s'. Start one with 'dormouse dev' or 'dormouse serve', or name its folder with --data.",
                      path);
    (void)sys_close(fd);
    return false;
}

bool
client_open(struct client **out_client, struct loop *loop, const char *socket, const struct client_events *events, void *owner,
            struct err *err)
{
    struct client *client;
    int fd = -1;

    if (!socket_connect(socket, &fd, err))
        return false;
    client = calloc(1, sizeof *client);
    assert(client != NULL);
    client->events = events;
    client->owner = owner;
    (void)uv_pipe_init(loop_uv(loop), &client->pipe, 0);
    client->pipe.data = client;
    if (uv_pipe_open(&client->pipe, fd) != 0 || uv_read_start((uv_stream_t *)&client->pipe, on_alloc, on_read) != 0) {
        client->is_over = true;
        client_destroy(&client);
        return err_set(err, ERR_IO, 0, "Cannot use the connection to '%s'.", socket);
    }
    *out_client = client;
    return true;
}

static void
on_closed(uv_handle_t *handle)
{
    struct client *client = handle->data;

    buf_fini(&client->in);
    free(client);
}

void
client_destroy(struct client **client)
{
    struct client *c = STEAL(*client);

    if (c == NULL)
        return;
    c->is_over = true;
    uv_close((uv_handle_t *)&c->pipe, on_closed);
}

static void
on_written(uv_write_t *req, int status)
{
    struct write *write = container_of(req, struct write, req);
    struct client *client = req->handle->data;

    /* A failed write shows as the end of the connection in on_read; the sender goes no further. */
    if (status == 0 && !client->is_over && write->done != NULL)
        write->done(write->owner);
    free(write);
}

void
client_send(struct client *client, struct bytes data, void (*done)(void *owner), void *owner)
{
    struct write *write = malloc(sizeof *write + data.len);
    uv_buf_t piece;

    assert(write != NULL);
    write->done = done;
    write->owner = owner;
    memcpy(write->bytes, data.data, data.len);
    piece = uv_buf_init((char *)write->bytes, (unsigned int)data.len);
    if (uv_write(&write->req, (uv_stream_t *)&client->pipe, &piece, 1, on_written) != 0) {
        free(write);
        client_over(client);
    }
}

int64_t
client_ask(struct client *client, const char *op, json_t *fields)
{
    json_t *line = json_pack("{s:I, s:s}", "id", (json_int_t)++client->last_id, "op", op);
    struct buf text = { 0 };
    char *dumped;

    if (fields != NULL)
        (void)json_object_update_missing(line, fields);
    json_decref(fields);
    dumped = json_dumps(line, JSON_COMPACT);
    assert(dumped != NULL);
    buf_append_str(&text, dumped);
    buf_append_byte(&text, '\n');
    client_send(client, buf_view(&text), NULL, NULL);
    buf_fini(&text);
    free(dumped);
    json_decref(line);
    return client->last_id;
}

void
client_error(const json_t *answer, struct err *err)
{
    const json_t *error = json_object_get(answer, "error");
    const char *name = json_string_value(json_object_get(error, "code"));
    const char *message = json_string_value(json_object_get(error, "message"));
    enum err_code code = ERR_UNAVAILABLE;

    for (int i = 1; name != NULL && i < ERR_CODES; i++)
        if (strcmp(err_info((enum err_code)i)->name, name) == 0)
            code = (enum err_code)i;
    (void)err_set(err, code, 0, "%s", message != NULL ? message : "Dormouse gave no reason.");
}

/* ---- one question ----------------------------------------------------------------------------------------------- */

struct call {
    struct loop *loop;
    json_t      *answer;
};

static void
on_call_message(void *owner, const json_t *message)
{
    struct call *call = owner;

    if (json_object_get(message, "ok") == NULL)
        return;
    call->answer = json_incref((json_t *)message);
    loop_stop(call->loop);
}

static void
on_call_closed(void *owner)
{
    struct call *call = owner;

    loop_stop(call->loop);
}

bool
client_call(const char *socket, const char *op, json_t *fields, json_t **out_answer, struct err *err)
{
    static const struct client_events events = { on_call_message, on_call_closed };
    struct call call = { .loop = loop_create() };
    struct client *client = NULL;
    bool ok = client_open(&client, call.loop, socket, &events, &call, err);

    if (ok) {
        (void)client_ask(client, op, fields);
        loop_run(call.loop);
    } else {
        json_decref(fields);
    }
    client_destroy(&client);
    loop_destroy(&call.loop);
    if (!ok)
        return false;
    if (call.answer == NULL)
        return err_set(err, ERR_LOST, 0, "Dormouse closed the connection. Did it stop?");
    if (json_is_true(json_object_get(call.answer, "ok"))) {
        *out_answer = call.answer;
        return true;
    }
    client_error(call.answer, err);
    json_decref(call.answer);
    return false;
}
