/*
 * cli_serve — `dormouse serve`: a node in the foreground, and the projects that are to be deployed at its start, in their order.
 *
 * Promise: "Ready on" is said when the gateway serves and every project was deployed or its failure was told. A project that
 * fails does not stop the others.
 */
#include <assert.h>
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

enum { STATUS_AGAIN_MS = 20 };

struct serve_options {
    struct common    common;
    const char      *data, *config, *sandbox, *default_app, *host, *secrets;
    struct text_list listen, deploy, app_ports, vars;
    long             workers, port;
    bool             allow_private, is_dev;
};

enum job_state { JOB_WAITING, JOB_BUNDLING, JOB_BUNDLED, JOB_DEPLOYING, JOB_DONE, JOB_FAILED };

struct job {                       /* one --deploy */
    struct serve   *serve;
    enum job_state  state;
    char            project[CLI_PATH_BYTES];
    char            folder[CLI_PATH_BYTES];     /* to deploy: temporary unless the project was built already */
    bool            is_temporary;
    char           *app;           /* known once bundled */
    struct bundler *bundler;
};

struct serve {
    struct serve_options options;
    struct loop         *loop;
    struct node         *node;
    struct upload       *upload;   /* of the job that is deploying */
    struct loop_timer   *status_timer;
    struct job          *jobs;
    size_t               job_count;
    char                 data[CLI_PATH_BYTES];
    int64_t              started_ms, status_id;
    bool                 is_ready, is_stopping;
    int                  status;
};

static void jobs_go_on(struct serve *serve);

/* ---- jobs ------------------------------------------------------------------------------------------------------- */

static void
job_end(struct job *job, enum job_state state)
{
    job->state = state;
    if (job->is_temporary)
        folder_discard(job->folder);
    job->is_temporary = false;
}

static void
on_deployed(void *owner, const json_t *answer, const struct err *err)
{
    struct job *job = owner;
    struct serve *serve = job->serve;
    struct err problem = { 0 };
    bool ok = answer != NULL && json_is_true(json_object_get(answer, "ok"));

    upload_destroy(&serve->upload);
    if (ok) {
        out_event("deployed", json_pack("{s:O?, s:O?, s:O?}", "app", json_object_get(answer, "app"), "deploy", json_object_get(answer, "deploy"),
                                        "ms", json_object_get(answer, "ms")));
        out_say("Deployed %s%s%s", out_colour(COLOUR_BOLD), job->app, out_off());
    } else if (answer != NULL) {
        out_say("%s cannot be deployed:", job->project);
        (void)out_deploy_failed(stderr, answer, job->project);
    } else {
        problem = *err;
        (void)err_add(&problem, "%s", job->project);
        (void)out_fail(&problem);
    }
    job_end(job, ok ? JOB_DONE : JOB_FAILED);
    jobs_go_on(serve);
}

static void
job_deploy(struct job *job)
{
    struct serve *serve = job->serve;
    const struct serve_options *o = &serve->options;
    const char *port = pair_find(&o->app_ports, job->app);
    char address[CLI_PATH_BYTES];
    struct upload_options options = { 0 };
    struct err err = { 0 };

    if (port != NULL && address_print(o->host, strtol(port, NULL, 10), address, &err))
        options.listen = address;
    options.is_default = o->default_app != NULL ? strcmp(o->default_app, job->app) == 0 : job == serve->jobs;
    job->state = JOB_DEPLOYING;
    if (err.code == ERR_NONE && upload_start(&serve->upload, node_client(serve->node), job->folder, &options, on_deployed, job, &err))
        return;
    (void)out_fail(&err);
    job_end(job, JOB_FAILED);
}

static void
on_built(void *owner, const json_t *event)
{
    struct job *job = owner;
    json_t *warning;
    size_t i;

    json_array_foreach (json_object_get(event, "warnings"), i, warning)
        out_warn("%s: %s", job->project, json_string_value(warning));
    job->app = strdup(json_string_value(json_object_get(event, "app")));
    assert(job->app != NULL);
    job->state = JOB_BUNDLED;
}

static void
on_build_failed(void *owner, const json_t *errors)
{
    struct job *job = owner;

    out_event("error", json_pack("{s:s, s:O}", "project", job->project, "errors", errors));
    if (!out_is_json()) {
        out_say("%s does not build:", job->project);
        out_build_errors(stderr, errors);
    }
}

static void
on_bundler_ended(void *owner, bool is_ok)
{
    struct job *job = owner;

    bundler_destroy(&job->bundler);
    if (job->state == JOB_BUNDLING)
        job_end(job, JOB_FAILED);
    jobs_go_on(job->serve);
}

/* A folder that `dormouse build` made needs no bundling. */
static bool
job_is_built(struct job *job)
{
    char path[CLI_PATH_BYTES];
    json_t *manifest;
    const char *app;

    if (!project_is_deploy(job->project) || snprintf(path, sizeof path, "%s/manifest.json", job->project) >= (int)sizeof path)
        return false;
    manifest = json_load_file(path, 0, NULL);
    app = json_string_value(json_object_get(manifest, "app"));
    if (app != NULL) {
        job->app = strdup(app);
        memcpy(job->folder, job->project, sizeof job->folder);
        job->state = JOB_BUNDLED;
    }
    json_decref(manifest);
    return app != NULL;
}

static void
job_bundle(struct job *job)
{
    static const struct bundle_events events = { on_built, on_build_failed, on_bundler_ended };
    const struct serve_options *o = &job->serve->options;
    struct err err = { 0 };

    if (job_is_built(job)) {
        if (o->vars.count > 0 || o->secrets != NULL || o->is_dev)
            out_warn("'%s' is bundled already: '--var', '--secrets' and '--dev-vars' do not reach it. Give them to 'dormouse build'.", job->project);
        return;
    }
    job->state = JOB_BUNDLING;
    job->is_temporary = folder_temporary(job->folder, &err);
    if (job->is_temporary &&
        bundler_start(&job->bundler, job->serve->loop,
                      &(struct bundle_spec){ .mode = BUNDLE_ONCE, .is_dev = o->is_dev, .project = job->project, .out = job->folder,
                                             .secrets = o->secrets, .vars = &o->vars },
                      &events, job, &err))
        return;
    (void)out_fail(&err);
    job_end(job, JOB_FAILED);
}

static void
status_ask(void *owner)
{
    struct serve *serve = owner;

    if (serve->node != NULL && node_client(serve->node) != NULL)
        serve->status_id = client_ask(node_client(serve->node), "status", NULL);
    else
        loop_timer_arm(serve->status_timer, STATUS_AGAIN_MS);
}

/* Bundles a few at a time, deploys one after the other in the order given, then asks whether all is ready. */
static void
jobs_go_on(struct serve *serve)
{
    size_t bundling = 0, ended = 0;

    if (serve->is_stopping)
        return;
    for (size_t i = 0; i < serve->job_count; i++)
        bundling += serve->jobs[i].state == JOB_BUNDLING;
    for (size_t i = 0; i < serve->job_count && bundling < BUNDLERS_AT_ONCE; i++)
        if (serve->jobs[i].state == JOB_WAITING) {
            job_bundle(&serve->jobs[i]);
            bundling += serve->jobs[i].state == JOB_BUNDLING;
        }
    for (size_t i = 0; i < serve->job_count; i++) {
        struct job *job = &serve->jobs[i];

        if (job->state == JOB_BUNDLED && serve->upload == NULL && node_client(serve->node) != NULL)
            job_deploy(job);
        if (job->state != JOB_DONE && job->state != JOB_FAILED)
            break;                 /* in their order */
        ended++;
    }
    if (ended == serve->job_count && !serve->is_ready && serve->status_id == 0)
        status_ask(serve);
}

/* ---- readiness -------------------------------------------------------------------------------------------------- */

static void
apps_say(const json_t *answer, const char *port)
{
    json_t *app, *host;
    size_t i, j;

    json_array_foreach (json_object_get(answer, "apps"), i, app) {
        const char *listen = json_string_value(json_object_get(app, "listen"));

        json_array_foreach (json_object_get(app, "hosts"), j, host)
            out_say("  %-16s http://%s:%s", j == 0 ? json_string_value(json_object_get(app, "app")) : "", json_string_value(host), port);
        if (listen != NULL)
            out_say("  %-16s http://%s", "", listen);
    }
}

static void
on_status(struct serve *serve, const json_t *answer)
{
    const char *address;
    char url[CLI_PATH_BYTES];

    if (serve->is_ready)
        return;
    if (!status_is_ready(answer, &address) || address == NULL) {
        loop_timer_arm(serve->status_timer, STATUS_AGAIN_MS);
        return;
    }
    serve->is_ready = true;
    address_url(address, url);
    out_event("ready", json_pack("{s:s, s:O?, s:I}", "url", url, "apps", json_object_get(answer, "apps"), "ms",
                                 (json_int_t)(clock_mono_ms() - serve->started_ms)));
    if (!out_is_json())
        apps_say(answer, address_port(address));
    out_say("%sReady on %s%s %s(%.2f s)%s", out_colour(COLOUR_GREEN), url, out_off(), out_colour(COLOUR_DIM),
            (double)(clock_mono_ms() - serve->started_ms) / 1000, out_off());
}

/* ---- the node --------------------------------------------------------------------------------------------------- */

static void
on_up(void *owner)
{
    struct serve *serve = owner;

    if (serve->upload != NULL) {   /* control was restarted in the middle of a deploy: that one is sent again */
        upload_destroy(&serve->upload);
        for (size_t i = 0; i < serve->job_count; i++)
            if (serve->jobs[i].state == JOB_DEPLOYING)
                serve->jobs[i].state = JOB_BUNDLED;
    }
    if (!serve->is_ready)
        serve->status_id = 0;
    jobs_go_on(serve);
}

static void
on_message(void *owner, const json_t *message)
{
    struct serve *serve = owner;

    if (json_integer_value(json_object_get(message, "id")) == serve->status_id)
        on_status(serve, message);
    else if (serve->upload != NULL)
        (void)upload_message(serve->upload, message);
}

static void
on_line(void *owner, struct bytes line)
{
    /* The rooms' lines go straight to our stderr: see is_quiet. */
}

static void
on_node_ended(void *owner, bool is_ok)
{
    struct serve *serve = owner;

    serve->status = serve->is_stopping && is_ok ? 0 : 1;
    loop_stop(serve->loop);
}

static void
on_signal(void *owner, int signo)
{
    struct serve *serve = owner;

    serve->is_stopping = true;
    for (size_t i = 0; i < serve->job_count; i++)
        bundler_stop(serve->jobs[i].bundler);
    node_stop(serve->node);
}

/* ---- the beginning ---------------------------------------------------------------------------------------------- */

static bool
jobs_make(struct serve *serve, struct err *err)
{
    const struct text_list *deploy = &serve->options.deploy;

    serve->jobs = calloc(deploy->count + 1, sizeof *serve->jobs);
    assert(serve->jobs != NULL);
    for (size_t i = 0; i < deploy->count; i++) {
        struct job *job = &serve->jobs[i];

        job->serve = serve;
        if (!where_absolute(deploy->item[i], job->project, err))
            return false;
        if (!project_is_deploy(job->project) && !project_find(deploy->item[i], NULL, job->project, err))
            return false;
        serve->job_count++;
    }
    return true;
}

static bool
serve_start(struct serve *serve, struct err *err)
{
    static const struct node_events events = { on_up, on_message, on_line, on_node_ended };
    const struct serve_options *o = &serve->options;
    char address[CLI_PATH_BYTES];
    struct text_list listen = o->listen;

    if (listen.count == 0 && (o->config == NULL || o->port >= 0)) {
        if (!address_print(o->host, o->port >= 0 ? o->port : 8787, address, err))
            return false;
        listen.item[listen.count++] = address;
    }
    return where_data(o->data, serve->data, err) && pairs_check_ports(&o->app_ports, err) && jobs_make(serve, err) &&
           node_start(&serve->node, serve->loop,
                      &(struct node_spec){ .data = serve->data, .listen = &listen, .workers = o->workers, .sandbox = o->sandbox,
                                           .allow_private = o->allow_private, .config_file = o->config },
                      &events, serve, err);
}

static const struct option serve_table[] = {
    { "data", 0, OPTION_TEXT, "DIR", "data folder ($DORMOUSE_DATA, /var/lib/dormouse, ~/.local/share/dormouse)",
      offsetof(struct serve_options, data), 0, 0 },
    { "listen", 0, OPTION_LIST, "H:P", "address to listen at; repeatable", offsetof(struct serve_options, listen), 0, 0 },
    { "port", 'p', OPTION_NUMBER, "N", "port, instead of --listen (8787; 0 takes a free one)", offsetof(struct serve_options, port), 0, 65535 },
    { "host", 0, OPTION_TEXT, "H", "host of --port and --app-port (127.0.0.1)", offsetof(struct serve_options, host), 0, 0 },
    { "deploy", 0, OPTION_LIST, "DIR", "deploy this project at the start; repeatable", offsetof(struct serve_options, deploy), 0, 0 },
    { "default", 0, OPTION_TEXT, "NAME", "the app that answers what no other claims (the first --deploy)",
      offsetof(struct serve_options, default_app), 0, 0 },
    { "app-port", 0, OPTION_LIST, "NAME=PORT", "a port of its own for an app; repeatable", offsetof(struct serve_options, app_ports), 0, 0 },
    { "var", 0, OPTION_LIST, "K:V", "a variable for the projects of --deploy", offsetof(struct serve_options, vars), 0, 0 },
    { "secrets", 0, OPTION_TEXT, "FILE", "more variables for them, NAME=value lines", offsetof(struct serve_options, secrets), 0, 0 },
    { "dev-vars", 0, OPTION_FLAG, NULL, "read the projects' .dev.vars and .env, as dev does", offsetof(struct serve_options, is_dev), 0, 0 },
    { "workers", 0, OPTION_NUMBER, "N", "worker processes per app (number of cores)", offsetof(struct serve_options, workers), 1, 256 },
    { "sandbox", 0, OPTION_TEXT, "MODE", "best, required or off", offsetof(struct serve_options, sandbox), 0, 0 },
    { "allow-private", 0, OPTION_FLAG, NULL, "agents may fetch loopback and private addresses",
      offsetof(struct serve_options, allow_private), 0, 0 },
    { "config", 'c', OPTION_TEXT, "FILE", "JSON with the fields of docs/configuration.md; options win",
      offsetof(struct serve_options, config), 0, 0 },
    COMMON_JSON, COMMON_HELP, OPTIONS_END,
};
static const struct command serve_command = {
    "serve", "", "Runs Dormouse in the foreground until SIGTERM or Ctrl-C.",
    "Apps deployed before come up again by themselves. An app answers at NAME.localhost, at the hosts of its routes,\n"
    "and at its own port; the default app answers everything else.", serve_table, 0, 0,
};

int
command_serve(int argc, char **argv)
{
    struct serve serve = { .options = { .host = "127.0.0.1", .port = -1 } };
    static const int signals[] = { SIGINT, SIGTERM, SIGHUP };
    struct loop_hook *hooks[ARRAY_LEN(signals)];
    struct text_list operands;
    struct err err = { 0 };

    if (!command_begin(&serve_command, argc, argv, &serve.options, &operands, &serve.status))
        return serve.status;
    serve.started_ms = clock_mono_ms();
    (void)signal(SIGPIPE, SIG_IGN);
    serve.loop = loop_create();
    serve.status_timer = loop_timer_create(serve.loop, status_ask, &serve);
    for (size_t i = 0; i < ARRAY_LEN(signals); i++)
        hooks[i] = signals[i] == SIGHUP && signal_is_ignored(SIGHUP) ? NULL : loop_signal(serve.loop, signals[i], on_signal, &serve);
    if (serve_start(&serve, &err)) {
        jobs_go_on(&serve);
        loop_run(serve.loop);
    } else {
        serve.status = out_fail(&err);
    }
    for (size_t i = 0; i < serve.job_count; i++) {
        bundler_destroy(&serve.jobs[i].bundler);
        job_end(&serve.jobs[i], JOB_FAILED);
        free(serve.jobs[i].app);
    }
    free(serve.jobs);
    upload_destroy(&serve.upload);
    node_destroy(&serve.node);
    loop_timer_destroy(&serve.status_timer);
    for (size_t i = 0; i < ARRAY_LEN(signals); i++)
        loop_hook_destroy(&hooks[i]);
    loop_destroy(&serve.loop);
    return serve.status;
}
