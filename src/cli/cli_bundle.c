/*
 * cli_bundle — see cli_bundle.h.
 */
#include "src/cli/cli_bundle.h"

#include <assert.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "src/cli/cli_child.h"
#include "src/cli/cli_where.h"

enum { WORDS_MAX = 24 + 2 * CLI_LIST_MAX, EXIT_NO_PROGRAM = 127 };

struct bundler {
    struct child               *child;
    struct buf                  complaints;    /* the end of its stderr: a Node that is too old says so there */
    enum bundle_mode            mode;
    bool                        has_spoken;    /* an event came */
    bool                        is_stopping;
    const struct bundle_events *events;
    void                       *owner;
};

static void
say_failure(struct bundler *b, const char *text)
{
    json_t *errors = json_pack("[{s:s, s:i, s:i, s:s, s:s}]", "file", "", "line", 0, "column", 0, "text", text, "frame", "");

    if (errors != NULL)
        b->events->failed(b->owner, errors);
    json_decref(errors);
}

static void
on_line(void *owner, enum child_stream stream, struct bytes line)
{
    struct bundler *b = owner;
    json_t *event;
    const char *name;

    if (stream == CHILD_ERR) {
        buf_append_bytes(&b->complaints, line);
        buf_append_byte(&b->complaints, '\n');
        if (b->complaints.len > LOG_TAIL_BYTES)
            buf_consume(&b->complaints, b->complaints.len - LOG_TAIL_BYTES);
        return;
    }
    event = json_loadb((const char *)line.data, line.len, 0, NULL);
    name = json_string_value(json_object_get(event, "event"));
    if (name != NULL && !b->is_stopping) {
        b->has_spoken = true;
        if (strcmp(name, "built") == 0)
            b->events->built(b->owner, event);
        else if (strcmp(name, "error") == 0)
            b->events->failed(b->owner, json_object_get(event, "errors"));
    }
    json_decref(event);
}

static void
on_ended(void *owner, int status)
{
    struct bundler *b = owner;
    bool is_ok = WIFEXITED(status) && WEXITSTATUS(status) == 0;

    /* Once: its last word says why it failed. Watching: it was not to end at all. */
    if (!b->is_stopping && (b->mode == BUNDLE_WATCH || (!is_ok && !b->has_spoken))) {
        if (WIFEXITED(status) && WEXITSTATUS(status) == EXIT_NO_PROGRAM && b->complaints.len == 0)
            say_failure(b, "Node.js is needed to bundle the project, version 18 or newer: no program 'node' is in PATH.");
        else
            say_failure(b, b->complaints.len > 0 ? buf_cstr(&b->complaints) : "The bundler ended without a word.");
    }
    b->events->ended(b->owner, is_ok);
}

static void
words_add(const char **words, size_t *count, const char *option, const char *value)
{
    if (value == NULL)
        return;
    assert(*count + 2 < WORDS_MAX);
    words[(*count)++] = option;
    words[(*count)++] = value;
}

/* NAME:VALUE each; here rather than in the bundler, which would wait for the project to change. */
static bool
vars_check(const struct text_list *vars, struct err *err)
{
    for (size_t i = 0; vars != NULL && i < vars->count; i++)
        if (strchr(vars->item[i], ':') == NULL || vars->item[i][0] == ':')
            return err_set(err, ERR_USAGE, 0, "'--var' takes NAME:VALUE, not '%.200s'.", vars->item[i]);
    return true;
}

bool
bundler_start(struct bundler **out_bundler, struct loop *loop, const struct bundle_spec *spec, const struct bundle_events *events,
              void *owner, struct err *err)
{
    static const struct child_events child_events = { on_line, on_ended };
    static const char *const modes[] = { [BUNDLE_ONCE] = "--once", [BUNDLE_COPY] = "--once", [BUNDLE_WATCH] = "--watch" };
    const char *node = getenv("DORMOUSE_NODE"), *words[WORDS_MAX];
    char program[CLI_PATH_BYTES];
    struct bundler *b;
    size_t count = 0;
    bool ok;

    if (!vars_check(spec->vars, err) || !where_bundler(program, err))
        return false;
    words[count++] = node != NULL && node[0] != '\0' ? node : "node";
    words[count++] = program;
    words[count++] = spec->project;
    words[count++] = modes[spec->mode];
    if (spec->mode == BUNDLE_COPY)
        words[count++] = "--copy";
    if (spec->is_dev)
        words[count++] = "--dev";
    words_add(words, &count, "--out", spec->out);
    words_add(words, &count, "--config", spec->config);
    words_add(words, &count, "--env", spec->env);
    words_add(words, &count, "--app", spec->app);
    words_add(words, &count, "--secrets", spec->secrets);
    for (size_t i = 0; spec->vars != NULL && i < spec->vars->count; i++)
        words_add(words, &count, "--var", spec->vars->item[i]);
    words[count] = NULL;
    b = calloc(1, sizeof *b);
    assert(b != NULL);
    b->mode = spec->mode;
    b->events = events;
    b->owner = owner;
    ok = child_start(&b->child, loop,
                     &(struct child_spec){ .argv = words, .has_input = true, .is_piped = { true, true }, .keep_fd = -1 }, &child_events, b, err);
    if (!ok)
        free(b);
    else
        *out_bundler = b;
    return ok;
}

void
bundler_stop(struct bundler *bundler)
{
    if (bundler == NULL)
        return;
    bundler->is_stopping = true;
    child_end_input(bundler->child);
    child_signal(bundler->child, SIGTERM);
}

void
bundler_destroy(struct bundler **bundler)
{
    struct bundler *b = STEAL(*bundler);

    if (b == NULL)
        return;
    child_destroy(&b->child);
    buf_fini(&b->complaints);
    free(b);
}
