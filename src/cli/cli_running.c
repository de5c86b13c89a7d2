/*
 * cli_running — the commands that ask a running Dormouse: apps, agents, logs, remove.
 */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "lib/loop/loop.h"
#include "lib/sys/sys.h"
#include "src/cli/cli_client.h"
#include "src/cli/cli_commands.h"
#include "src/cli/cli_out.h"
#include "src/cli/cli_when.h"
#include "src/cli/cli_where.h"

static bool
ask(const struct common *common, const char *op, json_t *fields, json_t **out_answer, struct err *err)
{
    char socket[CLI_PATH_BYTES];

    if (where_running(common->socket, common->data, socket, err))
        return client_call(socket, op, fields, out_answer, err);
    json_decref(fields);
    return false;
}

static json_t *
text_cell(const json_t *object, const char *field)
{
    json_t *value = json_object_get(object, field);

    if (json_is_string(value))
        return json_incref(value);
    if (json_is_integer(value))
        return json_sprintf("%" JSON_INTEGER_FORMAT, json_integer_value(value));
    return json_string(json_is_true(value) ? "yes" : "");
}

/* ---- apps ------------------------------------------------------------------------------------------------------- */

int
command_apps(int argc, char **argv)
{
    static const struct option options[] = { COMMON_RUNNING, COMMON_JSON, COMMON_HELP, OPTIONS_END };
    static const struct command command = { "apps", "", "Lists the apps of a running Dormouse.", NULL, options, 0, 0 };
    static const char *const header[] = { "APP", "STATE", "WORKERS", "DEPLOY", "DEFAULT", "HOSTS" };
    struct common common = { 0 };
    struct text_list operands;
    struct err err = { 0 };
    json_t *answer = NULL, *rows, *app, *host;
    size_t i, j;
    int status;

    if (!command_begin(&command, argc, argv, &common, &operands, &status))
        return status;
    if (!ask(&common, "apps", NULL, &answer, &err))
        return out_fail(&err);
    rows = json_array();
    json_array_foreach (json_object_get(answer, "apps"), i, app) {
        struct buf hosts = { 0 };

        if (common.is_json)
            out_json(app);
        json_array_foreach (json_object_get(app, "hosts"), j, host)
            buf_printf(&hosts, "%s%s", j > 0 ? " " : "", json_string_value(host));
        if (json_object_get(app, "listen") != NULL)
            buf_printf(&hosts, " %s", json_string_value(json_object_get(app, "listen")));
        (void)json_array_append_new(rows, json_pack("[o, o, o, o, o, s]", text_cell(app, "app"), text_cell(app, "state"),
                                                    text_cell(app, "workers"), text_cell(app, "deploy"), text_cell(app, "default"),
                                                    buf_cstr(&hosts)));
        buf_fini(&hosts);
    }
    if (!common.is_json)
        out_table(header, ARRAY_LEN(header), rows);
    json_decref(rows);
    json_decref(answer);
    return 0;
}

int
command_remove(int argc, char **argv)
{
    static const struct option options[] = { COMMON_RUNNING, COMMON_JSON, COMMON_HELP, OPTIONS_END };
    static const struct command command = { "remove", "APP", "Stops an app and forgets its deploy; its agents' data stays on disk.", NULL,
                                            options, 1, 1 };
    struct common common = { 0 };
    struct text_list operands;
    struct err err = { 0 };
    json_t *answer = NULL;
    int status;

    if (!command_begin(&command, argc, argv, &common, &operands, &status))
        return status;
    if (!ask(&common, "remove", json_pack("{s:s}", "app", operands.item[0]), &answer, &err))
        return out_fail(&err);
    if (common.is_json)
        out_json(answer);
    out_say("Removed %s.", operands.item[0]);
    json_decref(answer);
    return 0;
}

/* ---- agents ----------------------------------------------------------------------------------------------------- */

struct agents_options {
    struct common common;
    const char   *app, *after, *at, *label, *snapshot;
    long          limit;
    bool          is_sure, is_without_heap, takes_alarm;
};

static const struct option agents_table[] = {
    { "app", 0, OPTION_TEXT, "NAME", "the app (the default one)", offsetof(struct agents_options, app), 0, 0 },
    { "limit", 0, OPTION_NUMBER, "N", "list: at most so many (100)", offsetof(struct agents_options, limit), 1, 1000 },
    { "after", 0, OPTION_TEXT, "CURSOR", "list: go on behind this one", offsetof(struct agents_options, after), 0, 0 },
    { "at", 0, OPTION_TEXT, "TIME", "restore: a time (2026-11-20T14:30Z, -10m) or a bookmark", offsetof(struct agents_options, at), 0, 0 },
    { "label", 0, OPTION_TEXT, "TEXT", "snapshot: its label; one that has a label is kept until it is forgotten", offsetof(struct agents_options, label), 0, 0 },
    { "no-heap", 0, OPTION_FLAG, NULL, "snapshot, rollback, clone: the database only", offsetof(struct agents_options, is_without_heap), 0, 0 },
    { "snapshot", 0, OPTION_TEXT, "WHICH", "rollback, clone, forget: an id, a label, or 'latest'", offsetof(struct agents_options, snapshot), 0, 0 },
    { "alarm", 0, OPTION_FLAG, NULL, "clone: with its alarm", offsetof(struct agents_options, takes_alarm), 0, 0 },
    { "yes", 'y', OPTION_FLAG, NULL, "delete: without asking", offsetof(struct agents_options, is_sure), 0, 0 },
    COMMON_RUNNING, COMMON_JSON, COMMON_HELP, OPTIONS_END,
};
static const struct command agents_command = {
    "agents", "list [CLASS] | show CLASS/NAME | sql CLASS/NAME QUERY | sleep CLASS/NAME | evict CLASS/NAME | delete CLASS/NAME | "
    "history CLASS/NAME | restore CLASS/NAME --at TIME | snapshot CLASS/NAME | snapshots CLASS/NAME | forget CLASS/NAME --snapshot WHICH | "
    "rollback CLASS/NAME --snapshot WHICH | clone CLASS/NAME NEWNAME",
    "Lists agents, shows one, asks its database, puts it to sleep, takes its memory away, deletes it with all its data, takes its data back to what it was, "
    "keeps what it is with its memory, goes back to that, or begins another agent with it.",
    "Instead of CLASS/NAME, CLASS/ID with the agent's 64 hex digits does as well.", agents_table, 1, 3,
};

static bool
is_hex_id(const char *text)
{
    return strlen(text) == 64 && strspn(text, "0123456789abcdefABCDEF") == 64;
}

/* "CLASS/NAME" into the fields of the op `agent`. Names may hold slashes, classes do not. */
static json_t *
agent_fields(const struct agents_options *o, const char *verb, const char *which, struct err *err)
{
    const char *slash = strchr(which, '/');
    json_t *fields;

    if (slash == NULL || slash == which) {
        (void)err_set(err, ERR_USAGE, 0, "Which agent? Say CLASS/NAME or CLASS/ID, not '%s'.", which);
        return NULL;
    }
    fields = json_pack("{s:s, s:s%, s:s}", "do", verb, "class", which, (size_t)(slash - which), is_hex_id(slash + 1) ? "agent" : "name",
                       slash + 1);
    if (fields == NULL)
        (void)err_set(err, ERR_USAGE, 0, "The agent's name is not UTF-8.");
    else if (o->app != NULL)
        (void)json_object_set_new(fields, "app", json_string(o->app));
    return fields;
}

static int
agents_list(const struct agents_options *o, const char *class_name)
{
    static const char *const header[] = { "CLASS", "NAME", "ID" };
    json_t *fields = json_pack("{s:I, s:s*, s:s*, s:s*}", "limit", (json_int_t)(o->limit > 0 ? o->limit : 100), "class", class_name, "app",
                               o->app, "after", o->after);
    json_t *answer = NULL, *rows, *agent;
    struct err err = { 0 };
    const char *after;
    size_t i;

    if (!ask(&o->common, "agents", fields, &answer, &err))
        return out_fail(&err);
    rows = json_array();
    json_array_foreach (json_object_get(answer, "agents"), i, agent)
        (void)json_array_append_new(rows, json_pack("[o, o, o]", text_cell(agent, "class"), text_cell(agent, "name"), text_cell(agent, "id")));
    after = json_string_value(json_object_get(answer, "after"));
    if (o->common.is_json)
        out_json(answer);
    else if (json_array_size(rows) == 0)
        out_say("No agents.");
    else
        out_table(header, ARRAY_LEN(header), rows);
    if (after != NULL)
        out_say("%sThere are more: --after %s%s", out_colour(COLOUR_DIM), after, out_off());
    json_decref(rows);
    json_decref(answer);
    return 0;
}

/* The cell of a SQL result or a field of `show`, for people. */
static json_t *
value_text(const json_t *value)
{
    char *dumped;
    json_t *text;

    if (json_is_string(value))
        return json_incref((json_t *)value);
    dumped = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
    text = json_string(dumped != NULL ? dumped : "");
    free(dumped);
    return text;
}

static void
sql_say(const json_t *result)
{
    json_t *columns = json_object_get(result, "columns"), *rows = json_array(), *row, *cell;
    size_t count = json_array_size(columns), i, j;
    const char **header = calloc(count + 1, sizeof *header);

    if (header == NULL)
        return;
    for (i = 0; i < count; i++)
        header[i] = json_string_value(json_array_get(columns, i)) != NULL ? json_string_value(json_array_get(columns, i)) : "";
    json_array_foreach (json_object_get(result, "rows"), i, row) {
        json_t *cells = json_array();

        json_array_foreach (row, j, cell)
            (void)json_array_append_new(cells, value_text(cell));
        (void)json_array_append_new(rows, cells);
    }
    if (count > 0)
        out_table(header, count, rows);
    out_say("%s%zu rows; %lld read, %lld written%s", out_colour(COLOUR_DIM), json_array_size(rows),
            (long long)json_integer_value(json_object_get(result, "rows_read")),
            (long long)json_integer_value(json_object_get(result, "rows_written")), out_off());
    json_decref(rows);
    free(header);
}

/* "a fetch of it: GET https://… (no answer yet, 3.2 s)" */
static void
wait_say(const json_t *item)
{
    const json_t *what = json_object_get(item, "what"), *about = json_object_get(item, "about"), *count = json_object_get(item, "count");
    const json_t *due = json_object_get(item, "due_in_ms");
    const char *stage = json_string_value(json_object_get(item, "stage"));

    printf("%-16s ", "waits for");
    out_untrusted(bytes_from(json_string_value(what), json_string_length(what)));
    if (about != NULL) {
        printf(": ");
        out_untrusted(bytes_from(json_string_value(about), json_string_length(about)));
    }
    if (json_integer_value(count) > 1)
        printf(" (%lld)", (long long)json_integer_value(count));
    if (due != NULL)
        printf(", due in %.1f s", (double)json_integer_value(due) / 1000);
    if (stage != NULL)
        printf(" (%s, %.1f s)", stage, (double)json_integer_value(json_object_get(item, "age_ms")) / 1000);
    putchar('\n');
}

static void
show_say(json_t *result)
{
    const json_t *waits = json_object_get(result, "waits_for");
    const char *field;
    json_t *value;

    json_object_foreach (result, field, value) {
        json_t *text = value_text(value);

        if (strcmp(field, "ok") != 0 && value != waits) {
            printf("%-16s ", field);
            out_untrusted(bytes_from(json_string_value(text), json_string_length(text)));
            putchar('\n');
        }
        json_decref(text);
    }
    for (size_t i = 0; i < json_array_size(waits); i++)
        wait_say(json_array_get(waits, i));
}

static void
history_say(const json_t *result)
{
    static const char *const header[] = { "FROM", "TO", "COMMITS", "BYTES" };
    json_t *rows = json_array(), *span;
    size_t i;

    json_array_foreach (json_object_get(result, "history"), i, span) {
        char from[WHEN_BYTES], to[WHEN_BYTES];

        when_print(json_integer_value(json_object_get(span, "from_ms")), from);
        when_print(json_integer_value(json_object_get(span, "to_ms")), to);
        (void)json_array_append_new(rows, json_pack("[s, s, o, o]", from, to, text_cell(span, "commits"), text_cell(span, "bytes")));
    }
    if (json_array_size(rows) == 0)
        out_say("No commits are in the history.");
    else
        out_table(header, ARRAY_LEN(header), rows);
    json_decref(rows);
}

static bool
restore_fields(const struct agents_options *o, json_t *fields, struct err *err)
{
    const size_t bookmark_bytes = 59;
    int64_t at_ms = 0;

    if (o->at == NULL)
        return err_set(err, ERR_USAGE, 0, "Restore to when? Say --at 2026-11-20T14:30, --at -10m, or --at BOOKMARK.");
    if (strlen(o->at) == bookmark_bytes && strspn(o->at, "0123456789abcdef-") == bookmark_bytes) {
        (void)json_object_set_new(fields, "bookmark", json_string(o->at));
        return true;
    }
    if (!when_parse(o->at, clock_wall_ms(), &at_ms, err))
        return false;
    (void)json_object_set_new(fields, "at_ms", json_integer(at_ms));
    return true;
}

static void
restore_say(const struct agents_options *o, const char *which, const json_t *result)
{
    out_say("Restored %s to %s. To undo it:\n  dormouse agents restore %s --at %s", which, o->at, which,
            json_string_value(json_object_get(result, "undo")));
}

static void
snapshots_say(const json_t *result)
{
    static const char *const header[] = { "SNAPSHOT", "TAKEN", "BYTES", "MEMORY", "LABEL" };
    json_t *rows = json_array(), *one;
    size_t i;

    json_array_foreach (json_object_get(result, "snapshots"), i, one) {
        char when[WHEN_BYTES];

        when_print(json_integer_value(json_object_get(one, "time_ms")), when);
        (void)json_array_append_new(rows, json_pack("[o, s, o, o, o]", text_cell(one, "snapshot"), when, text_cell(one, "bytes"), text_cell(one, "heap"),
                                                    text_cell(one, "label")));
    }
    if (json_array_size(rows) == 0)
        out_say("No snapshots.");
    else
        out_table(header, ARRAY_LEN(header), rows);
    json_decref(rows);
}

/* What snapshot, rollback, clone say of the agent's memory. */
static const char *
memory_text(const json_t *result)
{
    return json_is_true(json_object_get(result, "heap")) ? "with its memory" : json_string_value(json_object_get(result, "why"));
}

static void
snapshot_say(const char *verb, const char *which, const json_t *result)
{
    const char *undo = json_string_value(json_object_get(result, "undo")), *why = memory_text(result);

    why = why != NULL ? why : "";
    if (strcmp(verb, "snapshots") == 0)
        snapshots_say(result);
    else if (strcmp(verb, "forget") == 0)
        out_say("Forgot snapshot %s of %s.", json_string_value(json_object_get(result, "snapshot")), which);
    else if (strcmp(verb, "snapshot") == 0)
        out_say("%s  %s, %lld bytes (%s)", json_string_value(json_object_get(result, "snapshot")), which,
                (long long)json_integer_value(json_object_get(result, "bytes")), why);
    else if (strcmp(verb, "clone") == 0)
        out_say("Cloned %s to %s (%s).", which, json_string_value(json_object_get(result, "id")), why);
    else if (undo != NULL && undo[0] != '\0')
        out_say("%s is as it was (%s). To have back the data of before:\n  dormouse agents restore %s --at %s", which, why, which, undo);
    else
        out_say("%s is as it was (%s).", which, why);
}

/* The fields of snapshot, forget, rollback, clone. */
static bool
snapshot_fields(const struct agents_options *o, const char *verb, const char *to, json_t *fields, struct err *err)
{
    const bool needs_one = strcmp(verb, "forget") == 0 || strcmp(verb, "rollback") == 0;
    bool ok = true;

    if (needs_one && o->snapshot == NULL)
        return err_set(err, ERR_USAGE, 0, "Which snapshot? Say --snapshot ID, --snapshot LABEL, or --snapshot latest.");
    if (o->is_without_heap)
        ok = json_object_set_new(fields, "heap", json_false()) == 0;
    if (o->takes_alarm)
        ok = json_object_set_new(fields, "alarm", json_true()) == 0 && ok;
    if (o->label != NULL)
        ok = json_object_set_new(fields, "label", json_string(o->label)) == 0 && ok;
    if (o->snapshot != NULL)
        ok = json_object_set_new(fields, "snapshot", json_string(o->snapshot)) == 0 && ok;
    if (to != NULL)
        ok = json_object_set_new(fields, "to", json_string(to)) == 0 && ok;
    return ok ? true : err_set(err, ERR_USAGE, 0, "A name or label is not UTF-8.");
}

static bool
is_about_snapshots(const char *verb)
{
    static const char *const verbs[] = { "snapshot", "snapshots", "forget", "rollback", "clone" };

    for (size_t i = 0; i < ARRAY_LEN(verbs); i++)
        if (strcmp(verb, verbs[i]) == 0)
            return true;
    return false;
}

static bool
is_confirmed(const struct agents_options *o, const char *which)
{
    char line[16];

    if (o->is_sure)
        return true;
    if (o->common.is_json)
        return false;
    fprintf(stderr, "Delete agent %s and all its data? [y/N] ", which);
    return fgets(line, sizeof line, stdin) != NULL && (line[0] == 'y' || line[0] == 'Y');
}

static int
agents_one(const struct agents_options *o, const char *verb, const char *which, const char *third)
{
    struct err err = { 0 };
    json_t *fields = agent_fields(o, verb, which, &err), *answer = NULL, *result;

    if (fields == NULL)
        return out_fail(&err);
    if (strcmp(verb, "sql") == 0)
        (void)json_object_set_new(fields, "query", json_string(third));
    if ((strcmp(verb, "restore") == 0 && !restore_fields(o, fields, &err)) ||
        (is_about_snapshots(verb) && !snapshot_fields(o, verb, third, fields, &err))) {
        json_decref(fields);
        return out_fail(&err);
    }
    if (strcmp(verb, "delete") == 0 && !is_confirmed(o, which)) {
        json_decref(fields);
        (void)err_set(&err, ERR_USAGE, 0, "Not deleted. Say --yes to delete without being asked.");
        return out_fail(&err);
    }
    if (!ask(&o->common, "agent", fields, &answer, &err))
        return out_fail(&err);
    result = json_object_get(answer, "result");
    if (o->common.is_json)
        out_json(result);
    else if (strcmp(verb, "sql") == 0)
        sql_say(result);
    else if (strcmp(verb, "show") == 0)
        show_say(result);
    else if (strcmp(verb, "history") == 0)
        history_say(result);
    else if (strcmp(verb, "restore") == 0)
        restore_say(o, which, result);
    else if (is_about_snapshots(verb))
        snapshot_say(verb, which, result);
    else
        out_say("%s: %s.", which, strcmp(verb, "delete") == 0 ? "deleted" : strcmp(verb, "sleep") == 0 ? "asleep" : "evicted");
    json_decref(answer);
    return 0;
}

int
command_agents(int argc, char **argv)
{
    static const char *const verbs[] = { "list", "show", "sql", "sleep", "evict", "delete", "history", "restore",
                                         "snapshot", "snapshots", "forget", "rollback", "clone", NULL };
    struct agents_options o = { 0 };
    struct text_list operands;
    struct err err = { 0 };
    const char *verb, *nearest;
    size_t needed;
    int status;

    if (!command_begin(&agents_command, argc, argv, &o, &operands, &status))
        return status;
    verb = operands.item[0];
    if (strcmp(verb, "list") == 0 && operands.count <= 2)
        return agents_list(&o, operands.count > 1 ? operands.item[1] : NULL);
    needed = strcmp(verb, "sql") == 0 || strcmp(verb, "clone") == 0 ? 3 : 2;
    for (size_t i = 1; verbs[i] != NULL; i++)
        if (strcmp(verb, verbs[i]) == 0 && operands.count == needed)
            return agents_one(&o, verb, operands.item[1], needed == 3 ? operands.item[2] : NULL);
    nearest = args_nearest(verb, verbs);
    if (nearest != NULL && strcmp(nearest, verb) != 0)
        (void)err_set(&err, ERR_USAGE, 0, "There is no 'dormouse agents %s'. Did you mean '%s'?", verb, nearest);
    else
        (void)err_set(&err, ERR_USAGE, 0, "Say: dormouse agents %s", agents_command.operands);
    return out_fail(&err);
}

/* ---- logs ------------------------------------------------------------------------------------------------------- */

struct logs_options {
    struct common common;
    const char   *app;
    long          lines, level;
    bool          is_following;
};

struct logs_reader {
    struct loop *loop;
    bool         is_following, has_failed, is_interrupted;
    struct err   err;
};

static void
on_log_message(void *owner, const json_t *message)
{
    struct logs_reader *r = owner;
    const char *event = json_string_value(json_object_get(message, "event"));

    if (event == NULL) {
        r->has_failed = !json_is_true(json_object_get(message, "ok"));
        if (r->has_failed)
            client_error(message, &r->err);
        if (r->has_failed || !r->is_following)
            loop_stop(r->loop);
    } else if (strcmp(event, "log") == 0) {
        out_log_line(message, true);
    } else if (strcmp(event, "dropped") == 0) {
        out_warn("%lld lines were lost: they came faster than they were read.", (long long)json_integer_value(json_object_get(message, "lines")));
    }
}

static void
on_log_closed(void *owner)
{
    struct logs_reader *r = owner;

    r->has_failed = true;
    (void)err_set(&r->err, ERR_LOST, 0, "Dormouse closed the connection. Did it stop?");
    loop_stop(r->loop);
}

static void
on_interrupt(void *owner, int signo)
{
    struct logs_reader *r = owner;

    loop_stop(r->loop);
}

static json_t *
logs_fields(const struct logs_options *o, const char *which, struct err *err)
{
    json_t *fields = json_pack("{s:b, s:I, s:I, s:s*}", "follow", (int)o->is_following, "backlog", (json_int_t)o->lines, "level",
                               (json_int_t)o->level, "app", o->app);
    const char *slash = which != NULL ? strchr(which, '/') : NULL;

    if (fields == NULL) {
        (void)err_set(err, ERR_USAGE, 0, "An option is not UTF-8.");
        return NULL;
    }
    if (which != NULL)
        (void)json_object_set_new(fields, "class", json_stringn(which, slash != NULL ? (size_t)(slash - which) : strlen(which)));
    if (slash != NULL)
        (void)json_object_set_new(fields, is_hex_id(slash + 1) ? "agent" : "name", json_string(slash + 1));
    return fields;
}

int
command_logs(int argc, char **argv)
{
    static const struct option options[] = {
        { "follow", 'f', OPTION_FLAG, NULL, "go on with what comes", offsetof(struct logs_options, is_following), 0, 0 },
        { "lines", 'n', OPTION_NUMBER, "N", "how many of the past (100)", offsetof(struct logs_options, lines), 0, 20000 },
        { "level", 0, OPTION_NUMBER, "N", "0 debug, 1 info, 2 warnings, 3 errors, and above", offsetof(struct logs_options, level), 0, 3 },
        { "app", 0, OPTION_TEXT, "NAME", "of this app only", offsetof(struct logs_options, app), 0, 0 },
        COMMON_RUNNING, COMMON_JSON, COMMON_HELP, OPTIONS_END,
    };
    static const struct command command = { "logs", "[CLASS[/NAME]]", "Shows what agents and rooms said: all, a class's, or one agent's.", NULL,
                                            options, 0, 1 };
    static const struct client_events events = { on_log_message, on_log_closed };
    struct logs_options o = { .lines = 100 };
    struct logs_reader r = { 0 };
    struct client *client = NULL;
    struct loop_hook *hooks[2];
    struct text_list operands;
    char socket[CLI_PATH_BYTES];
    json_t *fields;
    bool ok;
    int status;

    if (!command_begin(&command, argc, argv, &o, &operands, &status))
        return status;
    if (!where_running(o.common.socket, o.common.data, socket, &r.err) ||
        (fields = logs_fields(&o, operands.count > 0 ? operands.item[0] : NULL, &r.err)) == NULL)
        return out_fail(&r.err);
    r.is_following = o.is_following;
    r.loop = loop_create();
    hooks[0] = loop_signal(r.loop, SIGINT, on_interrupt, &r);
    hooks[1] = loop_signal(r.loop, SIGTERM, on_interrupt, &r);
    ok = client_open(&client, r.loop, socket, &events, &r, &r.err);
    if (ok) {
        (void)client_ask(client, "logs", fields);
        loop_run(r.loop);
    } else {
        json_decref(fields);
    }
    client_destroy(&client);
    loop_hook_destroy(&hooks[0]);
    loop_hook_destroy(&hooks[1]);
    loop_destroy(&r.loop);
    return ok && !r.has_failed ? 0 : out_fail(&r.err);
}
