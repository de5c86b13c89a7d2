/*
 * cli_node — see cli_node.h.
 */
#include "src/cli/cli_node.h"

#include <assert.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "lib/loop/loop.h"
#include "lib/sys/sys.h"
#include "src/cli/cli_child.h"
#include "src/cli/cli_where.h"

struct node {
    struct loop              *loop;
    struct child             *supervisor;
    struct client            *client;
    struct loop_timer        *timer;       /* tries to connect */
    char                      socket[CLI_PATH_BYTES];
    struct buf                words;       /* the end of its stderr */
    bool                      is_stopping;
    const struct node_events *events;
    void                     *owner;
};

static bool
config_file_load(const char *path, json_t **out, struct err *err)
{
    json_error_t problem;

    if (path == NULL) {
        *out = json_object();
        return true;
    }
    *out = json_load_file(path, JSON_REJECT_DUPLICATES, &problem);
    if (*out == NULL)
        return err_set(err, ERR_CONFIG, 0, "The configuration '%s', line %d: %s.", path, problem.line, problem.text);
    return json_is_object(*out) || err_set(err, ERR_CONFIG, 0, "The configuration '%s' must be a JSON object.", path);
}

bool
node_config(const struct node_spec *spec, char **out_text, struct err *err)
{
    char socket[CLI_PATH_BYTES];
    json_t *config = NULL, *listen;

    if (!config_file_load(spec->config_file, &config, err) || !where_socket(spec->data, socket, err)) {
        json_decref(config);
        return false;
    }
    (void)json_object_set_new(config, "data", json_string(spec->data));
    (void)json_object_set_new(config, "admin", json_string(socket));
    if (spec->listen->count > 0) {
        listen = json_array();
        for (size_t i = 0; i < spec->listen->count; i++)
            (void)json_array_append_new(listen, json_string(spec->listen->item[i]));
        (void)json_object_set_new(config, "listen", listen);
    }
    if (spec->workers > 0)
        (void)json_object_set_new(config, "workers", json_integer(spec->workers));
    if (spec->sandbox != NULL)
        (void)json_object_set_new(config, "sandbox", json_string(spec->sandbox));
    if (spec->allow_private)
        (void)json_object_set_new(config, "allow_private", json_true());
    *out_text = json_dumps(config, JSON_INDENT(1));
    json_decref(config);
    return *out_text != NULL || err_set(err, ERR_CONFIG, 0, "A path or an option is not UTF-8.");
}

/* The configuration goes through memory: a file in the data folder could be changed by what it configures. */
static bool
config_pass(const struct node_spec *spec, int *out_fd, struct err *err)
{
    char *text = NULL;
    bool ok;

    if (!node_config(spec, &text, err))
        return false;
    *out_fd = memfd_create("dormouse.json", MFD_CLOEXEC);
    ok = *out_fd >= 0 && sys_write_all(*out_fd, text, strlen(text));
    free(text);
    return ok || err_set(err, ERR_IO, 0, "Cannot write the configuration: %s.", strerror(errno));
}

static void node_connect(void *owner);

static void
on_message(void *owner, const json_t *message)
{
    struct node *node = owner;

    node->events->message(node->owner, message);
}

static void
on_client_closed(void *owner)
{
    struct node *node = owner;

    client_destroy(&node->client);
    if (!node->is_stopping)
        loop_timer_arm(node->timer, ADMIN_CONNECT_MS);
}

static void
node_connect(void *owner)
{
    static const struct client_events events = { on_message, on_client_closed };
    struct node *node = owner;
    struct err not_yet = { 0 };

    if (node->is_stopping || node->client != NULL)
        return;
    if (client_open(&node->client, node->loop, node->socket, &events, node, &not_yet))
        node->events->up(node->owner);
    else
        loop_timer_arm(node->timer, ADMIN_CONNECT_MS);
}

static void
on_line(void *owner, enum child_stream stream, struct bytes line)
{
    struct node *node = owner;

    buf_append_bytes(&node->words, line);
    buf_append_byte(&node->words, '\n');
    if (node->words.len > LOG_TAIL_BYTES)
        buf_consume(&node->words, node->words.len - LOG_TAIL_BYTES);
    node->events->line(node->owner, line);
}

static void
on_ended(void *owner, int status)
{
    struct node *node = owner;

    node->is_stopping = true;
    loop_timer_disarm(node->timer);
    node->events->ended(node->owner, WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* Whoever listens at our socket now is not the one that we are about to start: it would take our questions. */
static bool
socket_is_free(struct node *node, struct err *err)
{
    static const struct client_events events = { on_message, on_client_closed };
    struct err none = { 0 };

    if (!client_open(&node->client, node->loop, node->socket, &events, node, &none))
        return true;
    client_destroy(&node->client);
    return err_set(err, ERR_EXISTS, 0, "A Dormouse is running with this data folder already (admin socket '%s').", node->socket);
}

bool
node_start(struct node **out_node, struct loop *loop, const struct node_spec *spec, const struct node_events *events, void *owner,
           struct err *err)
{
    static const struct child_events child_events = { on_line, on_ended };
    char program[CLI_PATH_BYTES], config[32];
    struct node *node = calloc(1, sizeof *node);
    int fd = -1;
    bool ok;

    assert(node != NULL);
    node->loop = loop;
    node->events = events;
    node->owner = owner;
    ok = where_supervisor(program, err) && where_make(spec->data, err) && where_socket(spec->data, node->socket, err) &&
         socket_is_free(node, err) && config_pass(spec, &fd, err);
    if (ok) {
        (void)snprintf(config, sizeof config, "/proc/self/fd/%d", fd);
        ok = child_start(&node->supervisor, loop,
                         &(struct child_spec){ .argv = (const char *const[]){ program, config, NULL }, .keep_fd = fd,
                                               .is_piped = { spec->is_quiet, spec->is_quiet } },
                         &child_events, node, err);
    }
    (void)sys_close(fd);
    if (!ok) {
        free(node);
        return false;
    }
    node->timer = loop_timer_create(loop, node_connect, node);
    loop_timer_arm(node->timer, ADMIN_CONNECT_MS);
    *out_node = node;
    return true;
}

struct client *
node_client(struct node *node)
{
    return node->client;
}

void
node_stop(struct node *node)
{
    if (node == NULL)
        return;
    node->is_stopping = true;
    child_signal(node->supervisor, SIGTERM);
}

const char *
node_last_words(struct node *node)
{
    return buf_cstr(&node->words);
}

void
node_destroy(struct node **node)
{
    struct node *n = STEAL(*node);

    if (n == NULL)
        return;
    client_destroy(&n->client);
    child_destroy(&n->supervisor);
    loop_timer_destroy(&n->timer);
    buf_fini(&n->words);
    free(n);
}

bool
status_is_ready(const json_t *answer, const char **out_address)
{
    const json_t *status = json_object_get(answer, "supervisor");
    json_t *room, *listener;
    bool is_ready = false;
    size_t i;

    json_t *app;

    *out_address = NULL;
    if (!json_is_true(json_object_get(answer, "gateway")))
        return false;
    json_array_foreach (json_object_get(answer, "apps"), i, app) {
        const char *state = json_string_value(json_object_get(app, "state"));

        if (state != NULL && (strcmp(state, "deploying") == 0 || strcmp(state, "starting") == 0))
            return false;
    }
    json_array_foreach (json_object_get(status, "rooms"), i, room) {
        const char *role = json_string_value(json_object_get(room, "role"));
        const char *state = json_string_value(json_object_get(room, "state"));

        if (role != NULL && state != NULL && strcmp(role, "gateway") == 0)
            is_ready = strcmp(state, "ready") == 0;
    }
    json_array_foreach (json_object_get(status, "listeners"), i, listener) {
        const char *name = json_string_value(json_object_get(listener, "name"));

        if (name != NULL && strcmp(name, "main") == 0 && *out_address == NULL)
            *out_address = json_string_value(json_object_get(listener, "address"));
    }
    return is_ready;
}
