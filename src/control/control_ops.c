/*
 * control_ops — the questions of operators: one function per `op` of room.md.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "lib/ident/ident.h"
#include "lib/loop/loop.h"
#include "lib/sys/sys.h"
#include "src/control/control.h"

struct question {                  /* to a worker or the journal */
    struct control    *control;
    uint32_t           request;
    struct admin_ref   asker;      /* the operator on whose behalf, unless … */
    worker_said_fn    *said;       /* … somebody here asked; NULL */
    void              *owner;
    const struct link *worker;     /* or the journal's; compared only */
    struct loop_timer *timer;
};

static const char *
text_of(const json_t *request, const char *field)
{
    return json_string_value(json_object_get(request, field));
}

static void
refuse(struct control *c, struct admin_ref to, enum err_code code, const char *sentence)
{
    struct err err = { 0 };

    (void)err_set(&err, code, 0, "%s", sentence);
    admin_fail(c->admin, to, &err, NULL);
}

/* The app a request names; without a name the only or the default one. NULL after the refusal was sent. */
static struct app *
request_app(struct control *c, struct admin_ref from, const json_t *request)
{
    const char *name = text_of(request, "app");
    struct app *app = name != NULL ? apps_find(&c->apps, bytes_of(name)) : apps_default(&c->apps);
    struct err err = { 0 };

    if (app != NULL)
        return app;
    if (name != NULL)
        (void)err_set(&err, ERR_NOT_FOUND, 0, "there is no app '%s'; `dormouse apps` lists them", name);
    else
        (void)err_set(&err, ERR_NOT_FOUND, 0, "no app is deployed");
    admin_fail(c->admin, from, &err, NULL);
    return NULL;
}

/* ---- apps and status -------------------------------------------------------------------------------------------- */

static json_t *
app_json(struct control *c, struct app *app)
{
    const char *state = app->deployment != NULL ? "deploying" : app_is_up(c, app) ? "up" : app->is_down ? "down" : "starting";
    json_t *out = json_pack("{s:s, s:s, s:i, s:s, s:o, s:b}", "app", app->name, "deploy", app->hash, "workers", (int)app->workers, "state",
                            state, "hosts", app_hosts(app), "default", (int)(apps_default(&c->apps) == app));
    json_t *classes = json_object_get(app->manifest, "classes");

    assert(out != NULL);
    if (app->listening[0] != '\0')
        (void)json_object_set_new(out, "listen", json_string(app->listening));
    if (classes != NULL)
        (void)json_object_set(out, "classes", classes);
    return out;
}

static json_t *
apps_json(struct control *c)
{
    json_t *list = json_array();
    struct app *app;

    list_each(app, &c->apps.list, struct app, in_apps)
        (void)json_array_append_new(list, app_json(c, app));
    return list;
}

static void
op_apps(struct control *c, struct admin_ref from, const json_t *request)
{
    admin_ok(c->admin, from, json_pack("{s:o}", "apps", apps_json(c)));
}

static void
op_status(struct control *c, struct admin_ref from, const json_t *request)
{
    json_t *status = c->status != NULL ? json_incref(c->status) : json_null();

    admin_ok(c->admin, from, json_pack("{s:s, s:o, s:o, s:s, s:b}", "version", DORMOUSE_VERSION, "supervisor", status, "apps", apps_json(c),
                                       "data", c->disk.data, "gateway", (int)(room_link(c->room, ROLE_GATEWAY, 0, "") != NULL)));
}

static void
op_ping(struct control *c, struct admin_ref from, const json_t *request)
{
    admin_ok(c->admin, from, json_pack("{s:s}", "version", DORMOUSE_VERSION));
}

static void
op_remove(struct control *c, struct admin_ref from, const json_t *request)
{
    struct link *gateway = room_link(c->room, ROLE_GATEWAY, 0, "");
    struct app *app = text_of(request, "app") != NULL ? request_app(c, from, request) : NULL;
    struct err err = { 0 };
    char *text;

    if (text_of(request, "app") == NULL) {
        refuse(c, from, ERR_USAGE, "'app' must name the app to remove");
        return;
    }
    if (app == NULL)
        return;
    if (app->deployment != NULL) {
        refuse(c, from, ERR_OVERLOADED, "a deploy of this app is going on; wait for it");
        return;
    }
    msg_APP_STOP_pack(link_out(room_supervisor(c->room)), &(struct msg_APP_STOP){ .app = bytes_of(app->name) });
    if (gateway != NULL) {
        msg_ROUTES_pack(link_out(gateway), &(struct msg_ROUTES){ .app = bytes_of(app->name) });
        link_flush(gateway);
    }
    apps_remove(&c->apps, &app);
    tell_all_routes(c);            /* another may be the default now */
    text = apps_save(&c->apps);
    if (disk_state_write(&c->disk, text, &err))
        admin_ok(c->admin, from, NULL);
    else
        admin_fail(c->admin, from, &err, NULL);
    free(text);
}

/* ---- agents ----------------------------------------------------------------------------------------------------- */

static void
op_agents(struct control *c, struct admin_ref from, const json_t *request)
{
    struct app *app = request_app(c, from, request);
    json_int_t limit = json_integer_value(json_object_get(request, "limit"));
    struct agents_query query;
    struct err err = { 0 };
    json_t *page;

    if (app == NULL)
        return;
    query = (struct agents_query){ .app = app->name, .class_name = text_of(request, "class"), .after = text_of(request, "after") };
    query.limit = limit < 1 ? 100 : limit > LISTING_PAGE_MAX ? LISTING_PAGE_MAX : (size_t)limit;
    if (births_count(c->births) > 0)
        (void)births_write(c->births, &err);   /* names are hints: the page is right without them */
    err_clear(&err);
    page = agents_page(&c->disk, &query, &err);
    if (page == NULL) {
        admin_fail(c->admin, from, &err, NULL);
        return;
    }
    (void)json_object_set_new(page, "app", json_string(app->name));
    admin_ok(c->admin, from, page);
}

static void
question_drop(struct question *q)
{
    (void)umap_take(q->control->questions, q->request);
    loop_timer_destroy(&q->timer);
    free(q);
}

/* Forgets it, then tells: who is told may ask again. */
static void
question_end(struct question *q, const struct worker_said *said)
{
    const struct question was = *q;

    question_drop(q);
    if (was.said != NULL)
        was.said(was.control, said, was.owner);
    else if (said->fields != NULL)
        admin_ok(was.control->admin, was.asker, json_pack("{s:O}", "result", said->fields));
    else
        refuse(was.control, was.asker, said->code, said->sentence);
}

static void
question_fail(struct question *q, enum err_code code, const char *sentence)
{
    question_end(q, &(struct worker_said){ .code = code, .sentence = sentence });
}

static void
on_question_timeout(void *owner)
{
    question_fail(owner, ERR_TIMEOUT, "the room that was asked did not answer in time");
}

/* A question to the room at LINK. */
static struct question *
question_begin(struct control *c, struct admin_ref from, const struct link *link)
{
    struct question *q = calloc(1, sizeof *q);

    assert(q != NULL);
    *q = (struct question){ .control = c, .request = ++c->next_question, .asker = from, .worker = link };
    q->timer = loop_timer_create(room_loop(c->room), on_question_timeout, q);
    loop_timer_arm(q->timer, ADMIN_ANSWER_MS);
    (void)umap_put(c->questions, q->request, q);
    return q;
}

/* Sends BODY, which is stolen, to the worker of SLOT. NULL with *REFUSAL: that cannot be. */
static struct question *
worker_question(struct control *c, struct admin_ref from, const struct app *app, uint16_t slot, json_t *body, struct worker_said *refusal)
{
    struct link *worker = worker_link(c, app, slot);
    char *text = json_dumps(body, JSON_COMPACT);
    struct question *q = NULL;

    json_decref(body);
    assert(text != NULL);
    if (worker == NULL) {
        *refusal = (struct worker_said){ .code = ERR_UNAVAILABLE, .sentence = "the worker of this agent is starting; try again" };
    } else if (umap_count(c->questions) >= ADMIN_REQUESTS_MAX || strlen(text) > JSON_MAX_BYTES) {
        *refusal = (struct worker_said){ .code = ERR_LIMIT, .sentence = "too large, or too many questions at once" };
    } else {
        q = question_begin(c, from, worker);
        msg_ADMIN_pack(link_out(worker), &(struct msg_ADMIN){ .request = q->request, .json = bytes_of(text) });
    }
    free(text);
    return q;
}

static void
ask_worker(struct control *c, struct admin_ref from, const struct app *app, uint16_t slot, json_t *body)
{
    struct worker_said refusal;

    if (worker_question(c, from, app, slot, body, &refusal) == NULL)
        refuse(c, from, refusal.code, refusal.sentence);
}

void
ops_ask_worker(struct control *c, const struct app *app, uint16_t slot, json_t *body, worker_said_fn *said, void *owner)
{
    struct worker_said refusal;
    struct question *q = worker_question(c, (struct admin_ref){ 0 }, app, slot, body, &refusal);

    if (q == NULL) {
        said(c, &refusal, owner);
        return;
    }
    q->said = said;
    q->owner = owner;
}

void
ops_worker_answered(struct control *c, const struct msg_ADMIN_REPLY *msg)
{
    struct question *q = umap_get(c->questions, msg->request);
    json_t *said = json_loadb((const char *)msg->json.data, msg->json.len, 0, NULL);
    const char *error = json_string_value(json_object_get(said, "error"));

    if (q == NULL) {
        json_decref(said);
        return;                    /* too late */
    }
    if (!json_is_object(said))
        question_fail(q, ERR_MALFORMED, "the worker's answer is no JSON object");
    else if (!json_is_true(json_object_get(said, "ok")))
        question_fail(q, ERR_APP, error != NULL ? error : "the worker refused");
    else
        question_end(q, &(struct worker_said){ .fields = said });
    json_decref(said);
}

void
ops_worker_lost(struct control *c, const struct link *worker)
{
    size_t cursor = 0;
    uint64_t request;
    void *value;

    while (umap_next(c->questions, &cursor, &request, &value)) {
        struct question *q = value;

        if (worker != NULL && q->worker != worker)
            continue;
        question_fail(q, ERR_LOST, "the room that was asked died; try again");
        cursor = 0;                /* who was told may have asked again */
    }
}

/* ---- backups ---------------------------------------------------------------------------------------------------- */

static void
op_journal_cut(struct control *c, struct admin_ref from, const json_t *request)
{
    struct link *journal = room_link(c->room, ROLE_JOURNAL, 0, "");
    struct err err = { 0 };

    if (journal == NULL || umap_count(c->questions) >= ADMIN_REQUESTS_MAX) {
        refuse(c, from, journal == NULL ? ERR_UNAVAILABLE : ERR_LIMIT, journal == NULL ? "the journal is starting; try again" : "too many questions at once");
        return;
    }
    if (births_count(c->births) > 0)
        (void)births_write(c->births, &err);   /* names are hints: the copy is right without the latest */
    msg_JOURNAL_CUT_pack(link_out(journal), &(struct msg_JOURNAL_CUT){ question_begin(c, from, journal)->request });
}

void
ops_journal_answered(struct control *c, const struct link *journal, const struct msg_JOURNAL_CUT_DONE *msg)
{
    struct question *q = umap_get(c->questions, msg->request);
    char *why;

    if (q == NULL || q->worker != journal)
        return;                    /* too late */
    if (msg->ok) {
        admin_ok(c->admin, q->asker, json_pack("{s:I, s:I}", "segment", (json_int_t)msg->segment, "time_ms", (json_int_t)clock_wall_ms()));
        question_drop(q);
        return;
    }
    why = bytes_dup(msg->message);
    question_fail(q, ERR_UNAVAILABLE, why);
    free(why);
}

static bool
is_one_of(const char *text, const char *const *list)
{
    for (; *list != NULL; list++)
        if (strcmp(text, *list) == 0)
            return true;
    return false;
}

/* Which agent a request means: {"agent": hex} or {"name": text}, checked against the class. */
static bool
request_agent(const struct app *app, const json_t *request, const char *class_name, struct agent_id *out, struct err *err)
{
    const json_t *name = json_object_get(request, "name");
    const char *hex = text_of(request, "agent");
    struct ident_key key;

    ident_key_init(&key, bytes_of(app->name), bytes_of(class_name));
    if (json_is_string(name)) {
        ident_from_name(&key, bytes_from(json_string_value(name), json_string_length(name)), out);
        return true;
    }
    if (hex == NULL || !agent_id_from_hex(out, bytes_of(hex)))
        return err_set(err, ERR_USAGE, 0, "an agent is given by 'name', or by 'agent' (64 hex digits)");
    if (!ident_is_of(&key, out))
        return err_set(err, ERR_NOT_FOUND, 0, "the id %s is not one of class '%s' of app '%s'", hex, class_name, app->name);
    return true;
}

static void
op_agent(struct control *c, struct admin_ref from, const json_t *request)
{
    static const char *const known[] = { "show",     "sql",       "delete", "evict",    "sleep", "restore", "history",
                                         "snapshot", "snapshots", "forget", "rollback", "clone", NULL };
    static const char *const passed[] = { "name", "query", "bindings", "at_ms", "bookmark", "heap", "label", "snapshot", NULL };
    struct app *app = request_app(c, from, request);
    const char *class_name = text_of(request, "class"), *verb = text_of(request, "do");
    struct agent_id id;
    struct err err = { 0 };
    char hex[65];
    json_t *body;

    if (app == NULL)
        return;
    if (verb == NULL || !is_one_of(verb, known) || class_name == NULL) {
        refuse(c, from, ERR_USAGE, "'do' must be show, sql, delete, evict, sleep, restore, history, snapshot, snapshots, forget, rollback or clone, and 'class' a class");
        return;
    }
    if (app->workers == 0 || !app_has_class(app, bytes_of(class_name))) {
        (void)err_set(&err, ERR_NOT_FOUND, 0, "app '%s' has no class '%s'", app->name, class_name);
        admin_fail(c->admin, from, &err, NULL);
        return;
    }
    if (!request_agent(app, request, class_name, &id, &err)) {
        admin_fail(c->admin, from, &err, NULL);
        return;
    }
    if (strcmp(verb, "clone") == 0) {
        clone_request(c, from, app, class_name, &id, request);
        return;
    }
    agent_id_to_hex(&id, hex);
    body = json_pack("{s:s, s:s, s:s}", "op", verb, "class", class_name, "id", hex);
    for (size_t i = 0; passed[i] != NULL; i++)
        if (json_object_get(request, passed[i]) != NULL)
            (void)json_object_set(body, passed[i], json_object_get(request, passed[i]));
    ask_worker(c, from, app, agent_id_slot(&id, app->workers), body);
}

static void
op_stats(struct control *c, struct admin_ref from, const json_t *request)
{
    struct app *app = request_app(c, from, request);
    json_int_t slot = json_integer_value(json_object_get(request, "slot"));

    if (app == NULL)
        return;
    if (slot < 0 || slot >= app->workers)
        refuse(c, from, ERR_USAGE, "'slot' must be a worker of this app");
    else
        ask_worker(c, from, app, (uint16_t)slot, json_pack("{s:s}", "op", "stats"));
}

/* ---- logs ------------------------------------------------------------------------------------------------------- */

static struct bytes
bytes_field(const json_t *request, const char *field)
{
    const json_t *value = json_object_get(request, field);

    return bytes_from(json_string_value(value), json_string_length(value));
}

static void
op_logs(struct control *c, struct admin_ref from, const json_t *request)
{
    struct log_filter filter = {
        .app = bytes_field(request, "app"),
        .class_name = bytes_field(request, "class"),
        .name = bytes_field(request, "name"),
        .level_min = (uint8_t)(json_integer_value(json_object_get(request, "level")) & 3),
    };
    json_int_t backlog = json_integer_value(json_object_get(request, "backlog"));
    const char *hex = text_of(request, "agent");

    if (hex != NULL && !agent_id_from_hex(&filter.agent, bytes_of(hex))) {
        refuse(c, from, ERR_USAGE, "'agent' must be 64 hex digits");
        return;
    }
    logs_replay(c->logs, c->admin, from, &filter, backlog < 0 ? 0 : backlog > LOG_LINES_MAX ? LOG_LINES_MAX : (size_t)backlog);
    if (json_is_true(json_object_get(request, "follow")))
        logs_follow(c->logs, from, &filter);
    else
        admin_ok(c->admin, from, NULL);
}

/* ---- which op --------------------------------------------------------------------------------------------------- */

void
ops_request(void *control, struct admin_ref from, const char *op, const json_t *request)
{
    static const struct {
        const char *op;
        void (*run)(struct control *c, struct admin_ref from, const json_t *request);
    } table[] = {
        { "agent", op_agent }, { "agents", op_agents }, { "apps", op_apps },     { "deploy", deploy_request },
        { "journal_cut", op_journal_cut }, { "logs", op_logs },
        { "ping", op_ping },   { "remove", op_remove }, { "stats", op_stats },   { "status", op_status },
        { "top", op_top },     { "metrics", op_metrics },
    };

    for (size_t i = 0; i < ARRAY_LEN(table); i++)
        if (strcmp(op, table[i].op) == 0) {
            table[i].run(control, from, request);
            return;
        }
    refuse(control, from, ERR_USAGE, "unknown op");
}
