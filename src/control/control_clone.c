/*
 * control_clone — clones of agents: two workers may have to do with one.
 *
 * The agent's worker takes a snapshot (or finds the one that was named), the worker of the new name makes the clone of it, and a snapshot that
 * was made for this alone goes. Whatever dies in between: there is a whole clone or none, and what is left of the snapshot goes with the agent's next one.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "lib/ident/ident.h"
#include "src/control/control.h"

struct cloning {
    struct admin_ref asker;
    char            *app, *class_name, *to;    /* owned */
    char             source_hex[65], target_hex[65];
    struct agent_id  source, target;
    bool             with_alarm, with_heap;
    json_t          *name;                     /* the agent's, when it was given by its name; owned */
    json_t          *label;                    /* of a snapshot that is there; owned, NULL: one is made */
    json_t          *snapshot;                 /* its id; owned, NULL before it is known */
    struct err       failure;                  /* of the clone */
    json_t          *result;                   /* … or its fields; owned */
};

static void
cloning_end(struct control *c, struct cloning *k)
{
    if (k->failure.code != ERR_NONE)
        admin_fail(c->admin, k->asker, &k->failure, NULL);
    else
        admin_ok(c->admin, k->asker, json_pack("{s:O}", "result", k->result));
    json_decref(k->name);
    json_decref(k->label);
    json_decref(k->snapshot);
    json_decref(k->result);
    free(k->app);
    free(k->class_name);
    free(k->to);
    free(k);
}

/* Asks the worker that one of the two belongs to; the app may have gone meanwhile. */
static void
ask(struct control *c, struct cloning *k, const struct agent_id *whose, json_t *body, worker_said_fn *said)
{
    struct app *app = apps_find(&c->apps, bytes_of(k->app));
    const struct worker_said gone = { .code = ERR_NOT_FOUND, .sentence = "the app was removed meanwhile" };

    if (app != NULL && app->workers > 0) {
        ops_ask_worker(c, app, agent_id_slot(whose, app->workers), body, said, k);
        return;
    }
    json_decref(body);
    said(c, &gone, k);
}

/* It was only for this clone; what stays goes with the agent's next snapshot. */
static void
on_forgotten(struct control *c, const struct worker_said *said, void *owner)
{
    cloning_end(c, owner);
}

static void
on_cloned(struct control *c, const struct worker_said *said, void *owner)
{
    struct cloning *k = owner;

    if (said->fields == NULL) {
        (void)err_set(&k->failure, said->code, 0, "%s", said->sentence);
    } else {
        k->result = json_copy((json_t *)(uintptr_t)said->fields);
        (void)json_object_set_new(k->result, "id", json_string(k->target_hex));
        (void)json_object_set_new(k->result, "name", json_string(k->to));
    }
    if (k->label != NULL)
        cloning_end(c, k);
    else
        ask(c, k, &k->source, json_pack("{s:s, s:s, s:s, s:O}", "op", "forget", "class", k->class_name, "id", k->source_hex, "snapshot", k->snapshot),
            on_forgotten);
}

static void
on_snapshot(struct control *c, const struct worker_said *said, void *owner)
{
    struct cloning *k = owner;

    k->snapshot = json_incref(json_object_get(said->fields, "snapshot"));
    if (said->fields == NULL || !json_is_string(k->snapshot)) {
        (void)err_set(&k->failure, said->fields == NULL ? said->code : ERR_MALFORMED, 0, "%s",
                      said->fields == NULL ? said->sentence : "the worker's answer names no snapshot");
        cloning_end(c, k);
        return;
    }
    ask(c, k, &k->target, json_pack("{s:s, s:s, s:s, s:s, s:s, s:O, s:b, s:b}", "op", "clone", "class", k->class_name, "id", k->target_hex, "name", k->to,
                                    "source", k->source_hex, "snapshot", k->snapshot, "alarm", (int)k->with_alarm, "heap", (int)k->with_heap), on_cloned);
}

void
clone_request(struct control *c, struct admin_ref from, const struct app *app, const char *class_name, const struct agent_id *source, const json_t *request)
{
    const json_t *to = json_object_get(request, "to"), *snapshot = json_object_get(request, "snapshot");
    struct ident_key key;
    struct cloning *k;
    struct err err = { 0 };

    if (!json_is_string(to) || json_string_length(to) == 0 || json_string_length(to) > AGENT_NAME_MAX_BYTES) {
        (void)err_set(&err, ERR_USAGE, 0, "'to' must be the name of the clone, of 1 to %d bytes", AGENT_NAME_MAX_BYTES);
        admin_fail(c->admin, from, &err, NULL);
        return;
    }
    k = calloc(1, sizeof *k);
    assert(k != NULL);
    k->asker = from;
    k->app = bytes_dup(bytes_of(app->name));
    k->class_name = bytes_dup(bytes_of(class_name));
    k->to = bytes_dup(bytes_of(json_string_value(to)));
    k->name = json_incref(json_object_get(request, "name"));
    k->source = *source;
    k->with_alarm = json_is_true(json_object_get(request, "alarm"));
    k->with_heap = !json_is_false(json_object_get(request, "heap"));
    ident_key_init(&key, bytes_of(app->name), bytes_of(class_name));
    ident_from_name(&key, bytes_of(k->to), &k->target);
    agent_id_to_hex(&k->source, k->source_hex);
    agent_id_to_hex(&k->target, k->target_hex);
    if (json_is_string(snapshot)) {
        k->label = json_incref((json_t *)(uintptr_t)snapshot);
        ask(c, k, &k->source, json_pack("{s:s, s:s, s:s, s:O*, s:O}", "op", "find", "class", class_name, "id", k->source_hex, "name", k->name, "snapshot",
                                        k->label), on_snapshot);
    } else {
        ask(c, k, &k->source, json_pack("{s:s, s:s, s:s, s:O*, s:b, s:b}", "op", "snapshot", "class", class_name, "id", k->source_hex, "name",
                                        k->name, "passing", 1, "heap", (int)k->with_heap), on_snapshot);
    }
}
