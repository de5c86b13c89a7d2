/*
 * cli_upload — see cli_upload.h.
 */
#include "src/cli/cli_upload.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/sys/sys.h"
#include "src/cli/cli_limits.h"

struct upload {
    struct client *client;         /* borrowed */
    char          *dir;            /* owned */
    json_t        *files;          /* owned */
    json_t        *need;           /* owned reference; NULL until control said */
    size_t         next;           /* in need */
    uint64_t       left_bytes;     /* of the file being sent */
    int            fd;             /* of it, -1 between files */
    int64_t        id;             /* of our question */
    bool           is_over;
    bool           is_sending;     /* upload_pump will be called once more */
    bool           is_orphan;      /* destroyed meanwhile: upload_pump frees it */
    void         (*done)(void *owner, const json_t *answer, const struct err *err);
    void          *owner;
};

static bool
json_file_load(const char *dir, const char *name, json_t **out, struct err *err)
{
    char path[CLI_PATH_BYTES];
    json_error_t problem;

    if (snprintf(path, sizeof path, "%s/%s", dir, name) >= (int)sizeof path)
        return err_set(err, ERR_LIMIT, 0, "The path '%.80s…' is too long.", dir);
    *out = json_load_file(path, 0, &problem);
    return *out != NULL || err_set(err, ERR_NOT_FOUND, 0, "'%s' is no deploy folder: %s cannot be read (%s).", dir, name, problem.text);
}

static void
upload_tell(struct upload *up, const json_t *answer, const struct err *err)
{
    if (up->is_over)
        return;
    up->is_over = true;
    up->done(up->owner, answer, err);
}

static const json_t *
file_now(const struct upload *up)
{
    return json_array_get(up->files, (size_t)json_integer_value(json_array_get(up->need, up->next)));
}

/* Assets lie where the user has them ("source"), the other files in the deploy folder. */
static bool
file_open(struct upload *up, struct err *err)
{
    const json_t *file = file_now(up);
    const char *source = json_string_value(json_object_get(file, "source"));
    const char *path = json_string_value(json_object_get(file, "path"));
    char full[CLI_PATH_BYTES];

    if (path == NULL)
        return err_set(err, ERR_MALFORMED, 0, "Dormouse asks for a file that the deploy does not have.");
    if (snprintf(full, sizeof full, "%s%s%s", source != NULL ? "" : up->dir, source != NULL ? "" : "/", source != NULL ? source : path) >=
        (int)sizeof full)
        return err_set(err, ERR_LIMIT, 0, "The path of '%s' is too long.", path);
    up->fd = sys_open(full, O_RDONLY, 0);
    if (up->fd < 0)
        return err_set(err, ERR_IO, 0, "Cannot read '%s': %s.", full, strerror(errno));
    up->left_bytes = (uint64_t)json_integer_value(json_object_get(file, "bytes"));
    return true;
}

static void upload_pump(struct upload *up);
static void upload_free(struct upload *up);

static void
on_chunk_sent(void *owner)
{
    struct upload *up = owner;

    up->is_sending = false;
    if (up->is_orphan)
        upload_free(up);
    else
        upload_pump(up);
}

/* Sends one chunk; the file must still be as long as it was when it was listed, or control would wait for ever. */
static bool
chunk_send(struct upload *up, struct err *err)
{
    static uint8_t chunk[SEND_CHUNK_BYTES];
    size_t want = up->left_bytes < sizeof chunk ? (size_t)up->left_bytes : sizeof chunk;
    ssize_t got = sys_read(up->fd, chunk, want);

    if (got <= 0)
        return err_set(err, ERR_IO, 0, "'%s' changed while it was sent: deploy again.",
                       json_string_value(json_object_get(file_now(up), "path")));
    up->left_bytes -= (uint64_t)got;
    up->is_sending = true;
    client_send(up->client, bytes_from(chunk, (size_t)got), on_chunk_sent, up);
    return true;
}

static void
upload_pump(struct upload *up)
{
    struct err err = { 0 };

    while (!up->is_over && up->next < json_array_size(up->need)) {
        if (up->fd < 0 && !file_open(up, &err))
            break;
        if (up->left_bytes > 0) {
            if (chunk_send(up, &err))
                return;
            break;
        }
        (void)sys_close(STEAL_FD(up->fd));
        up->next++;
    }
    if (err.code != ERR_NONE)
        upload_tell(up, NULL, &err);
}

bool
upload_message(struct upload *up, const json_t *message)
{
    const char *event = json_string_value(json_object_get(message, "event"));

    if (json_integer_value(json_object_get(message, "id")) != up->id)
        return false;
    if (event == NULL) {
        upload_tell(up, message, NULL);
    } else if (strcmp(event, "need") == 0 && up->need == NULL) {
        up->need = json_incref(json_object_get(message, "files"));
        upload_pump(up);
    }
    return true;
}

static json_t *
options_json(const struct upload_options *options)
{
    json_t *out = json_object();

    if (options->workers > 0)
        (void)json_object_set_new(out, "workers", json_integer(options->workers));
    if (options->listen != NULL)
        (void)json_object_set_new(out, "listen", json_string(options->listen));
    if (options->is_default)
        (void)json_object_set_new(out, "default", json_true());
    return out;
}

bool
upload_start(struct upload **out_upload, struct client *client, const char *dir, const struct upload_options *options,
             void (*done)(void *owner, const json_t *answer, const struct err *err), void *owner, struct err *err)
{
    json_t *manifest = NULL, *files = NULL, *question;
    struct upload *up;

    if (!json_file_load(dir, "manifest.json", &manifest, err) || !json_file_load(dir, "files.json", &files, err)) {
        json_decref(manifest);
        return false;
    }
    question = json_pack("{s:O?, s:O?, s:O, s:o}", "app", json_object_get(manifest, "app"), "deploy", json_object_get(manifest, "hash"),
                         "files", files, "options", options_json(options));
    json_decref(manifest);
    up = calloc(1, sizeof *up);
    assert(up != NULL);
    assert(question != NULL);
    *up = (struct upload){ .client = client, .dir = strdup(dir), .files = files, .fd = -1, .done = done, .owner = owner };
    assert(up->dir != NULL);
    up->id = client_ask(client, "deploy", question);
    *out_upload = up;
    return true;
}

void
upload_destroy(struct upload **upload)
{
    struct upload *up = STEAL(*upload);

    if (up == NULL)
        return;
    up->is_over = true;
    if (up->is_sending)
        up->is_orphan = true;
    else
        upload_free(up);
}

static void
upload_free(struct upload *up)
{
    (void)sys_close(up->fd);
    json_decref(up->files);
    json_decref(up->need);
    free(up->dir);
    free(up);
}
