/*
 * cli_dev — `dormouse dev`: a node of our own, the bundler watching, a deploy at every build, agents' output streaming by.
 *
 * Promise: a build or deploy that fails leaves the old version running. Ctrl-C ends everything; so does our own death.
 */
#include <assert.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/loop/loop.h"
#include "lib/sys/sys.h"
#include "src/cli/cli_bundle.h"
#include "src/cli/cli_child.h"
#include "src/cli/cli_commands.h"
#include "src/cli/cli_node.h"
#include "src/cli/cli_out.h"
#include "src/cli/cli_project.h"
#include "src/cli/cli_upload.h"
#include "src/cli/cli_where.h"

enum { STATUS_AGAIN_MS = 20 };     /* between questions whether the gateway serves */

struct dev_options {
    struct common    common;
    const char      *host, *data, *config, *env, *app, *secrets, *sandbox;
    long             port, workers;
    struct text_list vars;
    bool             is_verbose, is_public_only;
};

struct dev {
    struct dev_options options;
    struct loop       *loop;
    struct node       *node;
    struct bundler    *bundler;
    struct upload     *upload;
    struct loop_timer *status_timer, *stop_timer;
    char               project[CLI_PATH_BYTES], data[CLI_PATH_BYTES], out[CLI_PATH_BYTES];
    char              *waiting;    /* a built folder that is to be deployed; the newest wins */
    char              *sending;    /* the one being deployed */
    int64_t            started_ms, built_ms;
    int64_t            logs_id, status_id;
    int                log_fd;     /* .dormouse/dormouse.log: what rooms say */
    bool               is_ready, is_stopping;
    int                status;
};

static void deploy_next(struct dev *dev);

/* ---- the end ---------------------------------------------------------------------------------------------------- */

static void
on_patience_over(void *owner)
{
    struct dev *dev = owner;

    node_stop(dev->node);
}

static void
dev_stop(struct dev *dev, int status)
{
    if (!dev->is_stopping)
        dev->status = status;
    else
        node_stop(dev->node);      /* a second Ctrl-C */
    if (dev->is_stopping)
        return;
    dev->is_stopping = true;
    bundler_stop(dev->bundler);
    node_stop(dev->node);
    loop_timer_arm(dev->stop_timer, DEV_STOP_MS);
    if (dev->node == NULL && dev->bundler == NULL)
        loop_stop(dev->loop);
}

static void
on_signal(void *owner, int signo)
{
    struct dev *dev = owner;

    if (!dev->is_stopping)
        out_say("\nStopping …");
    dev_stop(dev, 0);
}

static void
part_ended(struct dev *dev)
{
    if (dev->node == NULL && dev->bundler == NULL)
        loop_stop(dev->loop);
}

/* ---- readiness -------------------------------------------------------------------------------------------------- */

static void
status_ask(void *owner)
{
    struct dev *dev = owner;

    if (node_client(dev->node) != NULL)
        dev->status_id = client_ask(node_client(dev->node), "status", NULL);
    else
        loop_timer_arm(dev->status_timer, STATUS_AGAIN_MS);
}

static void
on_status(struct dev *dev, const json_t *answer)
{
    const char *address, *name = NULL;
    char url[CLI_PATH_BYTES];
    json_t *app;
    size_t i;

    if (!status_is_ready(answer, &address) || address == NULL) {
        loop_timer_arm(dev->status_timer, STATUS_AGAIN_MS);
        return;
    }
    dev->is_ready = true;
    json_array_foreach (json_object_get(answer, "apps"), i, app)
        if (json_is_true(json_object_get(app, "default")))   /* every deploy of ours is; others are of another name's days */
            name = json_string_value(json_object_get(app, "app"));
    address_url(address, url);
    out_event("ready", json_pack("{s:s, s:s?, s:I}", "url", url, "app", name, "ms", (json_int_t)(clock_mono_ms() - dev->started_ms)));
    out_say("%sReady on %s%s %s(%s, %.2f s)%s", out_colour(COLOUR_GREEN), url, out_off(), out_colour(COLOUR_DIM), name != NULL ? name : "",
            (double)(clock_mono_ms() - dev->started_ms) / 1000, out_off());
}

/* ---- deploys ---------------------------------------------------------------------------------------------------- */

static void
on_deployed(void *owner, const json_t *answer, const struct err *err)
{
    struct dev *dev = owner;
    long long ms = (long long)(clock_mono_ms() - dev->built_ms);

    upload_destroy(&dev->upload);
    free(STEAL(dev->sending));
    if (answer != NULL && json_is_true(json_object_get(answer, "ok"))) {
        out_event("deployed", json_pack("{s:O, s:I}", "deploy", json_object_get(answer, "deploy"), "ms", (json_int_t)ms));
        if (dev->is_ready)
            out_say("%sRedeployed%s %sin %lld ms%s", out_colour(COLOUR_GREEN), out_off(), out_colour(COLOUR_DIM), ms, out_off());
        else
            status_ask(dev);
    } else {
        if (answer != NULL)
            (void)out_deploy_failed(stdout, answer, dev->project);
        else
            (void)out_fail(err);
        out_say("%s%s%s", out_colour(COLOUR_DIM), dev->is_ready ? "The old version keeps running." : "Waiting for a change …", out_off());
    }
    deploy_next(dev);
}

static void
deploy_next(struct dev *dev)
{
    struct client *client = dev->node != NULL ? node_client(dev->node) : NULL;
    struct err err = { 0 };

    if (dev->waiting == NULL || dev->upload != NULL || client == NULL || dev->is_stopping)
        return;
    if (!upload_start(&dev->upload, client, dev->waiting, &(struct upload_options){ .is_default = true }, on_deployed, dev, &err))
        (void)out_fail(&err);
    free(dev->sending);
    dev->sending = STEAL(dev->waiting);
}

static void
on_built(void *owner, const json_t *event)
{
    struct dev *dev = owner;
    json_t *warning;
    size_t i;

    json_array_foreach (json_object_get(event, "warnings"), i, warning)
        out_warn("%s", json_string_value(warning));
    out_event("built", json_pack("{s:O?, s:O?, s:O?, s:O?}", "app", json_object_get(event, "app"), "hash", json_object_get(event, "hash"), "ms",
                                 json_object_get(event, "ms"), "warnings", json_object_get(event, "warnings")));
    free(dev->waiting);
    dev->waiting = strdup(json_string_value(json_object_get(event, "dir")));
    assert(dev->waiting != NULL);
    dev->built_ms = clock_mono_ms() - (int64_t)json_integer_value(json_object_get(event, "ms"));
    deploy_next(dev);
}

static void
on_build_failed(void *owner, const json_t *errors)
{
    struct dev *dev = owner;

    out_event("error", json_pack("{s:O}", "errors", errors));
    if (out_is_json())
        return;
    out_build_errors(stdout, errors);
    out_say("\n%s%s%s", out_colour(COLOUR_DIM), dev->is_ready ? "The old version keeps running." : "Waiting for a change …", out_off());
}

static void
on_bundler_ended(void *owner, bool is_ok)
{
    struct dev *dev = owner;

    bundler_destroy(&dev->bundler);
    if (!dev->is_stopping)
        dev_stop(dev, 1);
    part_ended(dev);
}

/* ---- the node --------------------------------------------------------------------------------------------------- */

static void
on_up(void *owner)
{
    struct dev *dev = owner;

    if (dev->upload != NULL && dev->waiting == NULL)   /* control was restarted in the middle of it: again */
        dev->waiting = STEAL(dev->sending);
    upload_destroy(&dev->upload);
    dev->logs_id = client_ask(node_client(dev->node), "logs", json_pack("{s:b}", "follow", 1));
    deploy_next(dev);
}

static void
on_message(void *owner, const json_t *message)
{
    struct dev *dev = owner;
    json_int_t id = json_integer_value(json_object_get(message, "id"));

    if (id == dev->logs_id)
        out_log_line(message, false);
    else if (id == dev->status_id)
        on_status(dev, message);
    else if (dev->upload != NULL)
        (void)upload_message(dev->upload, message);
}

/* Is the line one that the log does not bring? It brings all but control's and the supervisor's own, while control is there. */
static bool
line_is_ours(struct dev *dev, struct bytes line)
{
    bool is_error = memmem(line.data, line.len, "error: ", 7) != NULL && !dev->is_stopping;

    return dev->options.is_verbose || (is_error && (node_client(dev->node) == NULL || bytes_has_prefix(line, BYTES_LIT("control:")) ||
                                                    bytes_has_prefix(line, BYTES_LIT("supervisor:"))));
}

static void
on_line(void *owner, struct bytes line)
{
    struct dev *dev = owner;
    struct buf text = { 0 };

    buf_append_bytes(&text, line);
    buf_append_byte(&text, '\n');
    (void)sys_write_all(dev->log_fd, text.data, text.len);   /* a convenience: without it the terminal still shows failures */
    buf_fini(&text);
    if (out_is_json() || !line_is_ours(dev, line))
        return;
    printf("%s", out_colour(COLOUR_DIM));
    out_untrusted(line);
    printf("%s\n", out_off());
}

static void
on_node_ended(void *owner, bool is_ok)
{
    struct dev *dev = owner;

    if (!dev->is_stopping) {
        enum { WORDS_SHOWN = 400 };    /* of a long complaint: the end of it, within a struct err */
        const char *words = node_last_words(dev->node);
        size_t len = strlen(words);
        struct err err = { 0 };

        (void)err_set(&err, ERR_UNAVAILABLE, 0, "Dormouse ended.%s%s", len > 0 ? "\n" : "", words + (len > WORDS_SHOWN ? len - WORDS_SHOWN : 0));
        (void)out_fail(&err);
    }
    node_destroy(&dev->node);
    upload_destroy(&dev->upload);
    if (!dev->is_stopping)
        dev_stop(dev, 1);
    part_ended(dev);
}

/* ---- the beginning ---------------------------------------------------------------------------------------------- */

static bool
folders_make(struct dev *dev, struct err *err)
{
    char path[CLI_PATH_BYTES];
    int fd;

    if (dev->options.data != NULL ? !where_absolute(dev->options.data, dev->data, err)
                                  : snprintf(dev->data, sizeof dev->data, "%s/.dormouse", dev->project) >= (int)sizeof dev->data)
        return err->code != ERR_NONE ? false : err_set(err, ERR_LIMIT, 0, "The path '%.80s…' is too long.", dev->project);
    if (snprintf(dev->out, sizeof dev->out, "%s/build", dev->data) >= (int)sizeof dev->out)
        return err_set(err, ERR_LIMIT, 0, "The path '%.80s…' is too long.", dev->data);
    if (!where_make(dev->out, err))
        return false;
    (void)snprintf(path, sizeof path, "%.4000s/.gitignore", dev->data);
    fd = sys_open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
    if (fd >= 0)
        (void)sys_write_all(fd, "*\n", 2);       /* a convenience */
    (void)sys_close(fd);
    (void)snprintf(path, sizeof path, "%.4000s/dormouse.log", dev->data);
    dev->log_fd = sys_open(path, O_WRONLY | O_CREAT | O_TRUNC | O_APPEND, 0600);
    return true;
}

static bool
parts_start(struct dev *dev, struct err *err)
{
    static const struct node_events node_events = { on_up, on_message, on_line, on_node_ended };
    static const struct bundle_events bundle_events = { on_built, on_build_failed, on_bundler_ended };
    const struct dev_options *o = &dev->options;
    char address[CLI_PATH_BYTES];
    struct text_list listen = { .count = 1 };

    if (!address_print(o->host, o->port, address, err))
        return false;
    listen.item[0] = address;
    return node_start(&dev->node, dev->loop,
                      &(struct node_spec){ .data = dev->data, .listen = &listen, .workers = o->workers, .sandbox = o->sandbox,
                                           .allow_private = !o->is_public_only, .is_quiet = true },
                      &node_events, dev, err) &&
           bundler_start(&dev->bundler, dev->loop,
                         &(struct bundle_spec){ .mode = BUNDLE_WATCH, .is_dev = true, .project = dev->project, .out = dev->out,
                                                .config = o->config, .env = o->env, .app = o->app, .secrets = o->secrets, .vars = &o->vars },
                         &bundle_events, dev, err);
}

static const struct option dev_table[] = {
    { "port", 'p', OPTION_NUMBER, "N", "port (8787; 0 takes a free one)", offsetof(struct dev_options, port), 0, 65535 },
    { "host", 0, OPTION_TEXT, "H", "address to listen at (127.0.0.1)", offsetof(struct dev_options, host), 0, 0 },
    { "data", 0, OPTION_TEXT, "DIR", "data folder (DIR/.dormouse)", offsetof(struct dev_options, data), 0, 0 },
    { "var", 0, OPTION_LIST, "K:V", "a variable; over those of wrangler.jsonc and .dev.vars", offsetof(struct dev_options, vars), 0, 0 },
    { "secrets", 0, OPTION_TEXT, "FILE", "more variables, NAME=value lines", offsetof(struct dev_options, secrets), 0, 0 },
    { "app", 0, OPTION_TEXT, "NAME", "the app's name (that of wrangler.jsonc)", offsetof(struct dev_options, app), 0, 0 },
    { "env", 'e', OPTION_TEXT, "NAME", "the env.NAME section of wrangler.jsonc", offsetof(struct dev_options, env), 0, 0 },
    { "config", 'c', OPTION_TEXT, "FILE", "another wrangler file", offsetof(struct dev_options, config), 0, 0 },
    { "workers", 0, OPTION_NUMBER, "N", "worker processes (1)", offsetof(struct dev_options, workers), 1, 256 },
    { "sandbox", 0, OPTION_TEXT, "MODE", "best, required or off", offsetof(struct dev_options, sandbox), 0, 0 },
    { "public-only", 0, OPTION_FLAG, NULL, "agents may not fetch loopback and private addresses",
      offsetof(struct dev_options, is_public_only), 0, 0 },
    { "verbose", 0, OPTION_FLAG, NULL, "show what the rooms say, too", offsetof(struct dev_options, is_verbose), 0, 0 },
    COMMON_JSON, COMMON_HELP, OPTIONS_END,
};
static const struct command dev_command = {
    "dev", "[DIR]", "Runs the project in DIR (here): bundles it, serves it, and redeploys it at every change.",
    "The agents' data is kept in DIR/.dormouse between runs. Ctrl-C stops everything.", dev_table, 0, 1,
};

int
command_dev(int argc, char **argv)
{
    struct dev dev = { .options = { .host = "127.0.0.1", .port = 8787, .workers = 1, .sandbox = "best" }, .log_fd = -1 };
    struct text_list operands;
    struct err err = { 0 };
    static const int signals[] = { SIGINT, SIGTERM, SIGHUP };
    struct loop_hook *hooks[ARRAY_LEN(signals)];
    bool ok;

    if (!command_begin(&dev_command, argc, argv, &dev.options, &operands, &dev.status))
        return dev.status;
    dev.started_ms = clock_mono_ms();
    if (!project_find(operands.count > 0 ? operands.item[0] : NULL, dev.options.config, dev.project, &err) || !folders_make(&dev, &err))
        return out_fail(&err);
    (void)signal(SIGPIPE, SIG_IGN);
    dev.loop = loop_create();
    dev.status_timer = loop_timer_create(dev.loop, status_ask, &dev);
    dev.stop_timer = loop_timer_create(dev.loop, on_patience_over, &dev);
    for (size_t i = 0; i < ARRAY_LEN(signals); i++)
        hooks[i] = signals[i] == SIGHUP && signal_is_ignored(SIGHUP) ? NULL : loop_signal(dev.loop, signals[i], on_signal, &dev);
    ok = parts_start(&dev, &err);
    if (!ok) {
        dev.status = out_fail(&err);
        dev_stop(&dev, dev.status);
    }
    if (ok || dev.node != NULL || dev.bundler != NULL)
        loop_run(dev.loop);
    upload_destroy(&dev.upload);
    free(dev.waiting);
    free(dev.sending);
    (void)sys_close(dev.log_fd);
    loop_timer_destroy(&dev.status_timer);
    loop_timer_destroy(&dev.stop_timer);
    for (size_t i = 0; i < ARRAY_LEN(signals); i++)
        loop_hook_destroy(&hooks[i]);
    loop_destroy(&dev.loop);
    return dev.status;
}
