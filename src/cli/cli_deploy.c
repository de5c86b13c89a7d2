/*
 * cli_deploy — `dormouse deploy` and `dormouse build`: bundle once; then send it, or keep the folder.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/loop/loop.h"
#include "src/cli/cli_bundle.h"
#include "src/cli/cli_commands.h"
#include "src/cli/cli_out.h"
#include "src/cli/cli_project.h"
#include "src/cli/cli_upload.h"
#include "src/cli/cli_where.h"

struct deploy_options {
    struct common    common;
    const char      *config, *env, *app, *secrets, *listen, *out;
    struct text_list vars;
    long             workers;
    bool             is_default, is_dev;
};

struct deploy {
    struct deploy_options options;
    struct loop          *loop;
    struct bundler       *bundler;
    struct client        *client;
    struct upload        *upload;
    bool                  is_bundled, is_done;
    json_t               *answer;
    char                  project[CLI_PATH_BYTES];
};

static void
warnings_say(const json_t *warnings)
{
    json_t *warning;
    size_t i;

    json_array_foreach ((json_t *)warnings, i, warning)
        out_warn("%s", json_string_value(warning));
}

static void
on_built(void *owner, const json_t *event)
{
    struct deploy *d = owner;

    d->is_bundled = true;
    warnings_say(json_object_get(event, "warnings"));
    out_event("built", json_pack("{s:O?, s:O?, s:O?, s:O?}", "app", json_object_get(event, "app"), "hash", json_object_get(event, "hash"), "ms",
                                 json_object_get(event, "ms"), "warnings", json_object_get(event, "warnings")));
}

static void
on_build_failed(void *owner, const json_t *errors)
{
    out_event("error", json_pack("{s:O}", "errors", errors));
    if (!out_is_json())
        out_build_errors(stderr, errors);
}

static void
on_bundler_ended(void *owner, bool is_ok)
{
    struct deploy *d = owner;

    loop_stop(d->loop);
}

static bool
bundle(struct deploy *d, enum bundle_mode mode, const char *project, const char *out, struct err *err)
{
    static const struct bundle_events events = { on_built, on_build_failed, on_bundler_ended };
    const struct deploy_options *o = &d->options;

    if (!bundler_start(&d->bundler, d->loop,
                       &(struct bundle_spec){ .mode = mode, .is_dev = o->is_dev, .project = project, .out = out, .config = o->config,
                                              .env = o->env, .app = o->app, .secrets = o->secrets, .vars = &o->vars },
                       &events, d, err))
        return false;
    loop_run(d->loop);
    bundler_destroy(&d->bundler);
    return true;
}

/* ---- deploy ----------------------------------------------------------------------------------------------------- */

static void
on_deployed(void *owner, const json_t *answer, const struct err *err)
{
    struct deploy *d = owner;

    upload_destroy(&d->upload);
    loop_stop(d->loop);
    d->is_done = answer != NULL && json_is_true(json_object_get(answer, "ok"));
    if (d->is_done) {
        d->answer = json_incref((json_t *)answer);
        return;
    }
    if (answer != NULL)
        (void)out_deploy_failed(stderr, answer, d->project);
    else
        (void)out_fail(err);
}

static void
on_message(void *owner, const json_t *message)
{
    struct deploy *d = owner;

    if (d->upload != NULL)
        (void)upload_message(d->upload, message);
}

static void
on_closed(void *owner)
{
    struct deploy *d = owner;
    struct err err = { 0 };

    if (d->upload == NULL)
        return;
    (void)err_set(&err, ERR_LOST, 0, "Dormouse closed the connection in the middle of the deploy. Did it stop?");
    on_deployed(d, NULL, &err);
}

static bool
send(struct deploy *d, const char *socket, const char *folder, struct err *err)
{
    static const struct client_events events = { on_message, on_closed };
    const struct deploy_options *o = &d->options;
    struct upload_options options = { .workers = o->workers, .listen = o->listen, .is_default = o->is_default };
    bool ok = client_open(&d->client, d->loop, socket, &events, d, err) &&
              upload_start(&d->upload, d->client, folder, &options, on_deployed, d, err);

    if (ok)
        loop_run(d->loop);
    upload_destroy(&d->upload);
    client_destroy(&d->client);
    return ok;
}

static void
answer_say(const json_t *answer)
{
    json_t *host;
    size_t i;

    out_say("Deployed %s%s%s %s(%s, %lld ms)%s", out_colour(COLOUR_BOLD), json_string_value(json_object_get(answer, "app")), out_off(),
            out_colour(COLOUR_DIM), json_string_value(json_object_get(answer, "deploy")),
            (long long)json_integer_value(json_object_get(answer, "ms")), out_off());
    json_array_foreach (json_object_get(answer, "hosts"), i, host)
        out_say("  %s", json_string_value(host));
    if (json_is_string(json_object_get(answer, "listen")))
        out_say("  http://%s", json_string_value(json_object_get(answer, "listen")));
    if (out_is_json())
        out_json(answer);
}

#define BUNDLE_OPTIONS                                                                                                                  \
    { "var", 0, OPTION_LIST, "K:V", "a variable; over those of wrangler.jsonc", offsetof(struct deploy_options, vars), 0, 0 },          \
    { "secrets", 0, OPTION_TEXT, "FILE", "more variables, NAME=value lines", offsetof(struct deploy_options, secrets), 0, 0 },          \
    { "app", 0, OPTION_TEXT, "NAME", "the app's name (that of wrangler.jsonc)", offsetof(struct deploy_options, app), 0, 0 },           \
    { "env", 'e', OPTION_TEXT, "NAME", "the env.NAME section of wrangler.jsonc", offsetof(struct deploy_options, env), 0, 0 },          \
    { "config", 'c', OPTION_TEXT, "FILE", "another wrangler file", offsetof(struct deploy_options, config), 0, 0 },                     \
    { "dev-vars", 0, OPTION_FLAG, NULL, "read .dev.vars and .env, as dev does", offsetof(struct deploy_options, is_dev), 0, 0 }

static const struct option deploy_table[] = {
    BUNDLE_OPTIONS,
    { "workers", 0, OPTION_NUMBER, "N", "worker processes for this app", offsetof(struct deploy_options, workers), 1, 256 },
    { "listen", 0, OPTION_TEXT, "H:P", "an address of its own for this app", offsetof(struct deploy_options, listen), 0, 0 },
    { "default", 0, OPTION_FLAG, NULL, "it answers what no other app claims", offsetof(struct deploy_options, is_default), 0, 0 },
    COMMON_RUNNING, COMMON_JSON, COMMON_HELP, OPTIONS_END,
};
static const struct command deploy_command = {
    "deploy", "[DIR]", "Bundles the project in DIR (here) and brings it to a running Dormouse.",
    "DIR may also be a folder that 'dormouse build' made. When the deploy fails, the old version keeps running.\n"
    "Running turns end on the old version, new ones begin on the new one; connections stay.", deploy_table, 0, 1,
};

/* What only the bundler can do does not reach a folder that is bundled. */
static bool
options_fit_built(const struct deploy_options *o, const char *folder, struct err *err)
{
    const struct { const char *name; bool is_given; } options[] = {
        { "var", o->vars.count > 0 }, { "secrets", o->secrets != NULL }, { "app", o->app != NULL },
        { "env", o->env != NULL }, { "config", o->config != NULL }, { "dev-vars", o->is_dev },
    };

    for (size_t i = 0; i < ARRAY_LEN(options); i++)
        if (options[i].is_given)
            return err_set(err, ERR_USAGE, 0, "'--%s' has no effect here: '%.1000s' is bundled already. Give it to 'dormouse build'.",
                           options[i].name, folder);
    return true;
}

int
command_deploy(int argc, char **argv)
{
    struct deploy d = { 0 };
    struct text_list operands;
    char socket[CLI_PATH_BYTES], folder[CLI_PATH_BYTES] = "";
    struct err err = { 0 };
    bool is_built;
    int status = 1;

    if (!command_begin(&deploy_command, argc, argv, &d.options, &operands, &status))
        return status;
    (void)signal(SIGPIPE, SIG_IGN);
    if (!where_absolute(operands.count > 0 ? operands.item[0] : ".", d.project, &err) ||
        !where_running(d.options.common.socket, d.options.common.data, socket, &err))
        return out_fail(&err);
    is_built = project_is_deploy(d.project);
    if (is_built && !options_fit_built(&d.options, d.project, &err))
        return out_fail(&err);
    if (!is_built && (!project_find(operands.count > 0 ? operands.item[0] : NULL, d.options.config, d.project, &err) ||
                      !folder_temporary(folder, &err)))
        return out_fail(&err);
    d.loop = loop_create();
    d.is_bundled = is_built;
    if ((!is_built && !bundle(&d, BUNDLE_ONCE, d.project, folder, &err)) ||
        (d.is_bundled && !send(&d, socket, is_built ? d.project : folder, &err)))
        status = out_fail(&err);
    else if (d.is_done)
        answer_say(d.answer);
    if (!is_built)
        folder_discard(folder);
    json_decref(d.answer);
    loop_destroy(&d.loop);
    return d.is_done ? 0 : status;
}

/* ---- build ------------------------------------------------------------------------------------------------------ */

static const struct option build_table[] = {
    { "out", 'o', OPTION_TEXT, "DIR", "where to put it (DIR/.dormouse/deploy)", offsetof(struct deploy_options, out), 0, 0 },
    BUNDLE_OPTIONS, COMMON_JSON, COMMON_HELP, OPTIONS_END,
};
static const struct command build_command = {
    "build", "[DIR]", "Bundles the project in DIR (here) into a folder with everything a deploy needs.",
    "'dormouse deploy' and 'dormouse serve --deploy' take that folder, on a machine without Node.js too.", build_table, 0, 1,
};

int
command_build(int argc, char **argv)
{
    struct deploy d = { 0 };
    struct text_list operands;
    char project[CLI_PATH_BYTES], out[CLI_PATH_BYTES];
    struct err err = { 0 };
    int status = 1;

    if (!command_begin(&build_command, argc, argv, &d.options, &operands, &status))
        return status;
    if (!project_find(operands.count > 0 ? operands.item[0] : NULL, d.options.config, project, &err))
        return out_fail(&err);
    if (d.options.out != NULL ? !where_absolute(d.options.out, out, &err)
                              : snprintf(out, sizeof out, "%.4000s/.dormouse/deploy", project) < 0)
        return out_fail(&err);
    if (!where_make(out, &err))
        return out_fail(&err);
    d.loop = loop_create();
    if (!bundle(&d, BUNDLE_COPY, project, out, &err))
        status = out_fail(&err);
    else if (d.is_bundled)
        out_say("Built %s", out);
    loop_destroy(&d.loop);
    return d.is_bundled ? 0 : status;
}
