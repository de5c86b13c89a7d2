/*
 * cli_doctor — `dormouse doctor`: how are the rooms, which layers of the sandbox hold, is the bundler's Node.js there?
 *
 * Asks the running Dormouse; where none runs, the supervisor probes what the machine offers.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "lib/loop/loop.h"
#include "src/cli/cli_child.h"
#include "src/cli/cli_client.h"
#include "src/cli/cli_commands.h"
#include "src/cli/cli_out.h"
#include "src/cli/cli_where.h"

struct listener {                  /* of a child that is run to its end */
    struct loop *loop;
    struct buf   said;
    bool         is_ok;
};

static void
on_line(void *owner, enum child_stream stream, struct bytes line)
{
    struct listener *l = owner;

    if (stream != CHILD_OUT || l->said.len > LOG_TAIL_BYTES)
        return;
    buf_append_bytes(&l->said, line);
    buf_append_byte(&l->said, '\n');
}

static void
on_ended(void *owner, int status)
{
    struct listener *l = owner;

    l->is_ok = WIFEXITED(status) && WEXITSTATUS(status) == 0;
    loop_stop(l->loop);
}

/* Runs the program and gathers what it says; false when it cannot be run or fails. */
static bool
run_to_end(const char *const *argv, struct buf *out_said)
{
    static const struct child_events events = { on_line, on_ended };
    struct listener l = { .loop = loop_create() };
    struct child *child = NULL;
    struct err err = { 0 };

    if (child_start(&child, l.loop, &(struct child_spec){ .argv = argv, .is_piped = { true, true }, .keep_fd = -1 }, &events, &l, &err))
        loop_run(l.loop);
    child_destroy(&child);
    loop_destroy(&l.loop);
    *out_said = l.said;
    return l.is_ok;
}

static json_t *
text_or_empty(const json_t *object, const char *field)
{
    json_t *value = json_object_get(object, field);

    if (json_is_integer(value))
        return json_sprintf("%" JSON_INTEGER_FORMAT, json_integer_value(value));
    return json_is_string(value) ? json_incref(value) : json_string("");
}

/* How many rooms are not ready. */
static size_t
rooms_say(const json_t *status)
{
    static const char *const header[] = { "ROOM", "APP", "SLOT", "STATE", "PID", "RESTARTS" };
    static const char *const fields[] = { "role", "app", "index", "state", "pid", "restarts" };
    json_t *rows = json_array(), *room;
    size_t i, ill = 0;

    json_array_foreach (json_object_get(status, "rooms"), i, room) {
        const char *state = json_string_value(json_object_get(room, "state"));
        json_t *cells = json_array();

        for (size_t j = 0; j < ARRAY_LEN(fields); j++)
            (void)json_array_append_new(cells, text_or_empty(room, fields[j]));
        if (json_is_true(json_object_get(room, "build"))) {
            json_decref(cells);
            continue;              /* a builder comes and goes */
        }
        ill += state == NULL || strcmp(state, "ready") != 0;
        (void)json_array_append_new(rows, cells);
    }
    if (!out_is_json())
        out_table(header, ARRAY_LEN(header), rows);
    json_decref(rows);
    return ill;
}

static void
layers_say(json_t *layers)
{
    const char *layer;
    json_t *report;

    json_object_foreach (layers, layer, report) {
        const char *state = json_string_value(json_object_get(report, "state")), *reason = json_string_value(json_object_get(report, "reason"));
        bool is_absent = state != NULL && strcmp(state, "absent") == 0;

        out_say("    %s%-14s %-10s%s %s", out_colour(is_absent ? COLOUR_YELLOW : COLOUR_GREEN), layer, state != NULL ? state : "", out_off(),
                reason != NULL ? reason : "");
    }
}

static void
node_say(void)
{
    const char *node = getenv("DORMOUSE_NODE");
    const char *const argv[] = { node != NULL && node[0] != '\0' ? node : "node", "--version", NULL };
    struct buf said = { 0 };
    bool ok = run_to_end(argv, &said);
    long major = ok && said.len > 1 && said.data[0] == 'v' ? strtol(buf_cstr(&said) + 1, NULL, 10) : 0;

    if (ok && said.len > 0)
        said.len--;                /* the newline */
    if (major >= 18)
        out_say("\nNode.js %s bundles projects.", buf_cstr(&said));
    else
        out_say("\n%sNode.js 18 or newer is needed to bundle projects (dev, deploy, build); %s.%s", out_colour(COLOUR_YELLOW),
                ok ? "this one is older" : "none was found", out_off());
    buf_fini(&said);
}

static int
examine_running(json_t *answer)
{
    json_t *status = json_object_get(answer, "supervisor"), *sandbox = json_object_get(status, "sandbox"), *layers;
    const char *role;
    size_t ill;

    out_say("Dormouse %s, data in %s\n", json_string_value(json_object_get(answer, "version")), json_string_value(json_object_get(answer, "data")));
    ill = rooms_say(status);
    out_say("\nsandbox: %s", json_string_value(json_object_get(sandbox, "mode")));
    json_object_foreach (json_object_get(sandbox, "rooms"), role, layers) {
        out_say("  %s%s%s", out_colour(COLOUR_BOLD), role, out_off());
        layers_say(layers);
    }
    node_say();
    out_say("\n%s", ill == 0 ? "All rooms are ready." : "Not all rooms are ready; see 'dormouse logs'.");
    if (out_is_json())
        out_json(answer);
    return ill == 0 ? 0 : 1;
}

/* Nothing runs: what would the sandbox be here? */
static int
examine_machine(const struct err *why)
{
    static const char *const modes[] = { "best", "required" };
    char program[CLI_PATH_BYTES];
    const char *const argv[] = { program, "--probe", NULL };
    struct buf said = { 0 };
    struct err err = { 0 };
    json_t *probe = NULL;

    if (where_supervisor(program, &err) && run_to_end(argv, &said))
        probe = json_loadb((const char *)said.data, said.len, 0, NULL);
    buf_fini(&said);
    if (probe == NULL)
        return out_fail(why);
    out_say("%s", why->message);
    out_say("\nWhat the sandbox finds on this machine:");
    for (size_t i = 0; i < ARRAY_LEN(modes); i++) {
        const json_t *mode = json_object_get(probe, modes[i]);
        bool works = json_is_true(json_object_get(mode, "works"));
        const char *reason = json_string_value(json_object_get(mode, "reason"));

        out_say("  %s%s%s %s%s", out_colour(COLOUR_BOLD), modes[i], out_off(), works ? "works" : "does not work: ", works || reason == NULL ? "" : reason);
        if (i == 0)
            layers_say(json_object_get(mode, "layers"));
    }
    node_say();
    if (out_is_json())
        out_json(probe);
    json_decref(probe);
    return 1;
}

int
command_doctor(int argc, char **argv)
{
    static const struct option options[] = { COMMON_RUNNING, COMMON_JSON, COMMON_HELP, OPTIONS_END };
    static const struct command command = { "doctor", "", "Asks a running Dormouse how its rooms are and which layers of the sandbox hold here.",
                                            "Where none runs, it tells what the sandbox finds on this machine.\n"
                                            "Exit status 1 when none runs or a room is not ready.", options, 0, 0 };
    char socket[CLI_PATH_BYTES];
    struct common common = { 0 };
    struct text_list operands;
    struct err err = { 0 };
    json_t *answer = NULL;
    int status;

    if (!command_begin(&command, argc, argv, &common, &operands, &status))
        return status;
    if (!where_running(common.socket, common.data, socket, &err))
        return out_fail(&err);
    if (!client_call(socket, "status", NULL, &answer, &err))
        return err.code == ERR_UNAVAILABLE ? examine_machine(&err) : out_fail(&err);
    status = examine_running(answer);
    json_decref(answer);
    return status;
}
