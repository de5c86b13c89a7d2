/* admin — see admin.h. Answers carry {"ok": true, …} or {"ok": false, "error": sentence}; a bad question never ends the link. */
#include "src/worker/admin.h"

#include <assert.h>
#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "lib/ident/ident.h"
#include "lib/store/store.h"
#include "lib/sys/sys.h"
#include "src/worker/admin_ops.h"
#include "src/worker/agent.h"
#include "src/worker/agent_cold.h"
#include "src/worker/agent_sleep.h"
#include "src/worker/commits.h"
#include "src/worker/deploy.h"
#include "src/worker/engine.h"
#include "src/worker/heap.h"
#include "src/worker/history.h"
#include "src/worker/log.h"
#include "src/worker/peer.h"
#include "src/worker/recall.h"
#include "src/worker/snapshot.h"
#include "src/worker/sql.h"
#include "src/worker/why.h"
#include "src/worker/worker.h"

#define ADMIN_ROWS_MAX 1000            /* of one answer: a page of a terminal many times over */
#define ADMIN_REPLY_BYTES_MAX (900 * 1024)

static json_t *
failure_of(const char *sentence)
{
    json_t *o = json_object();

    json_object_set_new(o, "ok", json_false());
    json_object_set_new(o, "error", json_string(sentence));
    return o;
}

static void
reply(struct buf *out, uint32_t request, const json_t *answer)
{
    struct msg_ADMIN_REPLY m = { .request = request };
    char *text = json_dumps(answer, JSON_COMPACT);
    json_t *too_large = NULL;

    if (text == NULL || strlen(text) > ADMIN_REPLY_BYTES_MAX) {
        free(text);
        too_large = failure_of("The answer is larger than 900 KB: ask for fewer rows or columns.");
        text = json_dumps(too_large, JSON_COMPACT);
    }
    assert(text != NULL);
    m.json = bytes_of(text);
    msg_ADMIN_REPLY_pack(out, &m);
    free(text);
    json_decref(too_large);
}

void
admin_refuse(struct buf *out, uint32_t request, const char *sentence)
{
    json_t *o = failure_of(sentence);

    reply(out, request, o);
    json_decref(o);
}

static json_t *
text_json(struct bytes b)
{
    json_t *s = json_stringn((const char *)b.data, b.len);

    return s != NULL ? s : json_string("(not UTF-8)");
}

struct question {                      /* waits until its agent's commits were recalled */
    struct list_node in_waiting;
    struct agent    *agent;
    uint32_t         request;
    json_t          *json;
};
static struct list_node waiting = { &waiting, &waiting };

static bool
subject_find(const json_t *q, struct subject *s, struct err *err)
{
    const char *class_name = json_string_value(json_object_get(q, "class")), *hex = json_string_value(json_object_get(q, "id"));
    const char *name = json_string_value(json_object_get(q, "name"));
    struct agent_id id;

    if (class_name == NULL || hex == NULL || !agent_id_from_hex(&id, bytes_of(hex)))
        return err_set(err, ERR_USAGE, 0, "the question names no class and id");
    if (worker.deploy == NULL || !deploy_has_class(worker.deploy, bytes_of(class_name)))
        return err_set(err, ERR_NOT_FOUND, 0, "the app exports no class '%s'", class_name);
    if (agent_id_slot(&id, worker.slots) != worker.slot)
        return err_set(err, ERR_USAGE, 0, "another worker runs that agent");
    s->agent = agent_get(bytes_of(class_name), &id, bytes_of(name));
    return true;
}

/* Opens the agent's database for the question when it is not; a resting agent closes it again. */
static bool
subject_open(struct subject *s, struct err *err)
{
    engine_cpu_limit(clock_cpu_us() + (int64_t)worker.cpu_ms * 1000);
    return s->agent->store != NULL || agent_open_store(s->agent, BYTES_NONE, 0, err);
}

/* A name that nothing was ever written for, and that has no memory, is no agent: to open it would invent one. */
static bool
subject_is_there(const struct subject *s, struct err *err)
{
    char folder[4096];
    struct stat st;

    if (s->agent->state != AGENT_ABSENT || s->agent->store != NULL || recall_is_needed(s->agent) ||
        sys_fstatat(AT_FDCWD, agent_folder(s->agent, folder, sizeof folder), &st, 0) == 0 || agent_cold_bytes(s->agent) >= 0)
        return true;
    return err_set(err, ERR_NOT_FOUND, 0, "there is no agent '%s' of class %s", s->agent->name != NULL ? s->agent->name : "of this id",
                   s->agent->class_name);
}

static void
subject_done(struct subject *s)
{
    if (s->agent != NULL)
        agent_pump(s->agent);          /* lets it rest, or go, again */
}

static json_t *
value_json(const struct store_value *v)
{
    switch (v->type) {
    case STORE_INTEGER: return json_integer(v->integer);
    case STORE_REAL: return json_real(v->real);
    case STORE_TEXT: return text_json(v->bytes);
    case STORE_BLOB: {
        struct buf hex = { 0 };
        json_t *o = json_object();

        for (size_t i = 0; i < v->bytes.len && i < 256; i++)
            buf_printf(&hex, "%02x", v->bytes.data[i]);
        json_object_set_new(o, "blob", json_string(buf_cstr(&hex)));
        json_object_set_new(o, "bytes", json_integer((json_int_t)v->bytes.len));
        buf_fini(&hex);
        return o;
    }
    default: return json_null();
    }
}

static struct store_value
value_from_json(const json_t *v)
{
    if (json_is_integer(v))
        return (struct store_value){ .type = STORE_INTEGER, .integer = json_integer_value(v) };
    if (json_is_real(v))
        return (struct store_value){ .type = STORE_REAL, .real = json_real_value(v) };
    if (json_is_string(v))
        return (struct store_value){ .type = STORE_TEXT, .bytes = bytes_from(json_string_value(v), json_string_length(v)) };
    if (json_is_boolean(v))
        return (struct store_value){ .type = STORE_INTEGER, .integer = json_is_true(v) };
    return (struct store_value){ .type = STORE_NULL };
}

/* Rows of CURSOR as arrays; *out_cut when there were more than an answer holds. */
static bool
rows_json(struct store_cursor *cursor, json_t *rows, bool *out_cut, struct err *err)
{
    *out_cut = false;
    while (store_cursor_has_row(cursor)) {
        json_t *row = json_array();

        if (json_array_size(rows) >= ADMIN_ROWS_MAX) {
            json_decref(row);
            *out_cut = true;
            return true;
        }
        for (unsigned i = 0; i < store_cursor_columns(cursor); i++) {
            struct store_value v;

            store_cursor_value(cursor, i, &v);
            json_array_append_new(row, value_json(&v));
        }
        json_array_append_new(rows, row);
        if (!store_cursor_next(cursor, err))
            return false;
    }
    return true;
}

static bool
query(struct store *store, const char *sql, const json_t *bindings, json_t *out, struct err *err)
{
    struct store_value values[100];    /* the platform's limit of bound parameters */
    size_t n = json_array_size(bindings) < ARRAY_LEN(values) ? json_array_size(bindings) : ARRAY_LEN(values);
    struct store_cursor *cursor = NULL;
    json_t *columns = json_array(), *rows = json_array();
    bool is_cut = false, ok;

    for (size_t i = 0; i < n; i++)
        values[i] = value_from_json(json_array_get(bindings, i));
    ok = store_query(store, bytes_of(sql), values, n, &cursor, err) && rows_json(cursor, rows, &is_cut, err);
    if (ok) {
        for (unsigned i = 0; i < store_cursor_columns(cursor); i++)
            json_array_append_new(columns, text_json(store_cursor_name(cursor, i)));
        json_object_set(out, "columns", columns);
        json_object_set(out, "rows", rows);
        json_object_set_new(out, "rows_read", json_integer((json_int_t)store_cursor_rows_read(cursor)));
        json_object_set_new(out, "rows_written", json_integer((json_int_t)store_cursor_rows_written(cursor)));
        json_object_set_new(out, "truncated", json_boolean(is_cut));
    }
    json_decref(columns);
    json_decref(rows);
    if (cursor != NULL)
        store_cursor_close(&cursor);
    return ok;
}

static bool
op_sql(const json_t *q, struct subject *s, json_t *out, struct err *err)
{
    const char *sql = json_string_value(json_object_get(q, "query"));

    if (sql == NULL)
        return err_set(err, ERR_USAGE, 0, "the question has no query");
    if (!subject_open(s, err))
        return false;
    if (store_depth(s->agent->store) > 0)
        return err_set(err, ERR_UNAVAILABLE, 0, "the agent is inside a transaction; try again");
    if (query(s->agent->store, sql, json_object_get(q, "bindings"), out, err))
        return commits_commit(s->agent, err);
    store_rollback(s->agent->store);
    return false;
}

static const char *
state_name(const struct agent *a)
{
    static const char *const names[AGENT_STATES] = { "absent", "waking", "waking", "waking", "awake", "warm" };

    return names[a->state];
}

static void
show_tables(struct store *store, json_t *out)
{
    struct store_cursor *cursor = NULL;
    struct err err = { 0 };
    json_t *names = json_object(), *tables = json_array();
    size_t i;
    json_t *row;

    if (query(store, "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE '\\_cf\\_%' ESCAPE '\\' ORDER BY name", NULL, names,
              &err)) {
        json_array_foreach(json_object_get(names, "rows"), i, row) {
            const char *name = json_string_value(json_array_get(row, 0));
            struct buf sql = { 0 };
            json_t *t = json_object(), *count = json_object();

            buf_append_str(&sql, "SELECT count(*) FROM \"");
            for (const char *c = name; c != NULL && *c != '\0'; c++) {
                if (*c == '"')
                    buf_append_byte(&sql, '"');
                buf_append_byte(&sql, (uint8_t)*c);
            }
            buf_append_str(&sql, "\"");
            json_object_set_new(t, "name", json_string(name != NULL ? name : ""));
            if (query(store, buf_cstr(&sql), NULL, count, &err))
                json_object_set(t, "rows", json_array_get(json_array_get(json_object_get(count, "rows"), 0), 0));
            json_array_append_new(tables, t);
            json_decref(count);
            buf_fini(&sql);
        }
    }
    (void)cursor;
    json_object_set_new(out, "tables", tables);
    json_decref(names);
}

static bool
count_pair(void *owner, struct bytes key, struct bytes value)
{
    ++*(json_int_t *)owner;
    return true;
}

static bool
op_show(const json_t *q, struct subject *s, json_t *out, struct err *err)
{
    struct agent *a = s->agent;
    struct buf name = { 0 };
    int64_t alarm = STORE_ALARM_NONE, bytes = 0;
    json_int_t pairs = 0;
    struct store_range all = { 0 };
    bool has_name = false;
    char hex[65];

    if (!subject_open(s, err))
        return false;
    if (!store_alarm_get(s->agent->store, &alarm, err) || !store_size(s->agent->store, &bytes, err) ||
        !store_kv_list(s->agent->store, &all, count_pair, &pairs, err) || !store_name_get(s->agent->store, &name, &has_name, err)) {
        buf_fini(&name);
        return false;
    }
    agent_id_to_hex(&a->id, hex);
    json_object_set_new(out, "id", json_string(hex));
    json_object_set_new(out, "class", json_string(a->class_name));
    json_object_set_new(out, "name", has_name ? text_json(buf_view(&name)) : a->name != NULL ? json_string(a->name) : json_null());
    why_show(a, out);
    json_object_set_new(out, "alarm", alarm == STORE_ALARM_NONE ? json_null() : json_integer(alarm));
    json_object_set_new(out, "database_bytes", json_integer(bytes));
    json_object_set_new(out, "kv_keys", json_integer(pairs));
    json_object_set_new(out, "sockets", json_integer(a->sockets != NULL ? (json_int_t)umap_count(a->sockets) : 0));
    json_object_set_new(out, "exists", json_boolean(bytes > 0));
    if (a->heap != NULL)
        json_object_set_new(out, "database_memory", json_integer((json_int_t)store_memory(s->agent->store)));
    show_tables(s->agent->store, out);
    if (!store_is_dirty(a->store) && store_depth(a->store) == 0)
        store_rollback(a->store);
    buf_fini(&name);
    return true;
}

static void
deleted(struct agent *a, const struct err *failure, void *owner)
{
    struct link *control = worker_control();
    json_t *o = failure == NULL ? json_object() : failure_of(failure->message);

    if (failure == NULL) {
        json_object_set_new(o, "ok", json_true());
        worker_tell_born(a, true);
        a->is_born_told = false;       /* who waits for it begins its next life */
    }
    if (control != NULL)
        reply(link_out(control), (uint32_t)(uintptr_t)owner, o);
    json_decref(o);
}

static bool
op_delete(const json_t *q, struct subject *s, json_t *out, struct err *err)
{
    struct agent *a = s->agent;

    if (a->is_leaving || a->state == AGENT_RECALLING)
        return err_set(err, ERR_UNAVAILABLE, 0, a->is_leaving ? "the agent is being deleted already" : "the agent is waking; try again");
    agent_reset(a, ERR_APP, FAIL_RESET, "The agent was deleted by an administrator.");
    snapshot_remove_all(a);            /* first: none may outlive it */
    agent_cold_drop(a);
    sql_drop_cursors(a);
    commits_close_store(a);            /* should the journal refuse, what is not in its file is recalled */
    s->is_answered_later = true;
    commits_send_gone(a, deleted, (void *)(uintptr_t)s->request);
    return true;
}

void
admin_answer(uint32_t request, json_t *fields, const struct err *failure)
{
    struct link *control = worker_control();
    json_t *o = failure == NULL ? fields : failure_of(failure->message);

    if (failure == NULL)
        json_object_set_new(o, "ok", json_true());
    else
        json_decref(fields);
    if (control != NULL)
        reply(link_out(control), request, o);
    json_decref(o);
}

static void
restored(struct agent *a, const struct bookmark *undo, const struct err *failure, void *owner)
{
    char text[BOOKMARK_BYTES + 1] = "";

    if (undo != NULL)
        bookmark_print(undo, text);
    admin_answer((uint32_t)(uintptr_t)owner, json_pack("{s:s}", "undo", text), failure);
}

static bool
op_restore(const json_t *q, struct subject *s, json_t *out, struct err *err)
{
    const char *text = json_string_value(json_object_get(q, "bookmark"));
    struct bookmark bookmark = { .time_ms = json_integer_value(json_object_get(q, "at_ms")), .mode = RECALL_AT_TIME };

    if (text != NULL ? !bookmark_parse(bytes_of(text), &bookmark) : bookmark.time_ms <= 0)
        return err_set(err, ERR_USAGE, 0, text != NULL ? "'%s' is no bookmark" : "the question says no time", text);
    if (!history_restore(s->agent, &bookmark, restored, (void *)(uintptr_t)s->request, err))
        return false;
    s->is_answered_later = true;
    return true;
}

static void
history_listed(struct bytes lines, const struct err *failure, void *owner)
{
    json_t *spans = json_array();
    struct buf text = { 0 };
    char *rest;

    buf_append_bytes(&text, lines);
    rest = (char *)(uintptr_t)buf_cstr(&text);
    while (*rest != '\0') {
        json_t *span = json_object();

        json_object_set_new(span, "from_ms", json_integer(strtoll(rest, &rest, 10)));
        json_object_set_new(span, "to_ms", json_integer(strtoll(rest, &rest, 10)));
        json_object_set_new(span, "commits", json_integer(strtoll(rest, &rest, 10)));
        json_object_set_new(span, "bytes", json_integer(strtoll(rest, &rest, 10)));
        json_array_append_new(spans, span);
        rest += strspn(rest, "\n");
    }
    buf_fini(&text);
    admin_answer((uint32_t)(uintptr_t)owner, json_pack("{s:o}", "history", spans), failure);
}

static bool
op_history(const json_t *q, struct subject *s, json_t *out, struct err *err)
{
    s->is_answered_later = history_list(s->agent, history_listed, (void *)(uintptr_t)s->request, err);
    return s->is_answered_later;
}

static bool
op_evict(const json_t *q, struct subject *s, json_t *out, struct err *err)
{
    struct buf why = { 0 };

    if (s->agent->state != AGENT_ABSENT && !agent_is_idle(s->agent)) {
        why_busy(s->agent, &why);
        err_set(err, ERR_UNAVAILABLE, 0, "the agent is busy: %s", buf_cstr(&why));
        buf_fini(&why);
        return false;
    }
    json_object_set_new(out, "was", json_string(state_name(s->agent)));
    agent_cold_drop(s->agent);             /* it starts anew from its database, wherever its memory was */
    (void)agent_evict(s->agent);
    s->agent = NULL;
    return true;
}

static bool
op_sleep(const json_t *q, struct subject *s, json_t *out, struct err *err)
{
    struct buf why = { 0 };

    json_object_set_new(out, "was", json_string(state_name(s->agent)));
    if (s->agent->state == AGENT_ABSENT || agent_sleep_now(s->agent)) {
        json_object_set_new(out, "is", json_string(state_name(s->agent)));
        return true;
    }
    why_busy(s->agent, &why);
    err_set(err, ERR_UNAVAILABLE, 0, "the agent cannot sleep with its memory now: %s", buf_cstr(&why));
    buf_fini(&why);
    return false;
}

static json_t *
images_refused(void)
{
    json_t *o = json_object();

    for (int i = IMAGE_FINE + 1; i < IMAGE_REFUSALS; i++)
        if (worker.images_refused[i] > 0)
            json_object_set_new(o, image_refusal_text((enum image_refusal)i), json_integer((json_int_t)worker.images_refused[i]));
    return o;
}

static json_t *
op_stats(void)
{
    json_t *o = json_object();

    json_object_set_new(o, "ok", json_true());
    json_object_set_new(o, "slot", json_integer(worker.slot));
    json_object_set_new(o, "deploy", worker.deploy != NULL ? json_string(worker.deploy->hash) : json_null());
    json_object_set_new(o, "template_bytes", json_integer(worker.deploy != NULL ? (json_int_t)template_bytes(worker.deploy->template) : 0));
    json_object_set_new(o, "agents_in_memory", json_integer((json_int_t)bmap_count(worker.agents)));
    json_object_set_new(o, "turns", json_integer((json_int_t)worker.turns));
    json_object_set_new(o, "wakes", json_integer((json_int_t)worker.wakes));
    json_object_set_new(o, "awake", json_integer(worker.sleep.count[SLEEP_AWAKE]));
    json_object_set_new(o, "warm", json_integer(worker.sleep.count[SLEEP_WARM]));
    json_object_set_new(o, "warm_bytes", json_integer((json_int_t)worker.sleep.warm_bytes));
    json_object_set_new(o, "sleeps", json_integer((json_int_t)worker.sleeps));
    json_object_set_new(o, "warm_wakes", json_integer((json_int_t)worker.warm_wakes));
    json_object_set_new(o, "colds", json_integer((json_int_t)worker.colds));
    json_object_set_new(o, "cold_wakes", json_integer((json_int_t)worker.cold_wakes));
    json_object_set_new(o, "sleep_us", json_integer((json_int_t)worker.sleep_us));
    json_object_set_new(o, "wake_us", json_integer((json_int_t)worker.wake_us));
    json_object_set_new(o, "images_refused", images_refused());
    json_object_set_new(o, "evictions", json_integer((json_int_t)worker.evictions));
    json_object_set_new(o, "resets", json_integer((json_int_t)worker.resets));
    return o;
}

static const struct op {
    const char *name;
    bool      (*run)(const json_t *q, struct subject *s, json_t *out, struct err *err);
} ops[] = { { "show", op_show }, { "sql", op_sql }, { "delete", op_delete }, { "evict", op_evict },
            { "sleep", op_sleep }, { "restore", op_restore }, { "history", op_history }, { "snapshot", op_snapshot },
            { "snapshots", op_snapshots }, { "find", op_find }, { "forget", op_forget }, { "rollback", op_rollback }, { "clone", op_clone } };

static void
wait_for_recall(struct subject *s, json_t *q)
{
    struct question *waits = calloc(1, sizeof *waits);

    assert(waits != NULL);
    waits->agent = s->agent;
    waits->request = s->request;
    waits->json = json_incref(q);
    list_push_back(&waiting, &waits->in_waiting);
    if (s->agent->state == AGENT_ABSENT)
        recall_begin(s->agent);
}

/* Answers Q, or keeps it: then NULL. */
static json_t *
run(const struct op *op, json_t *q, struct subject *s)
{
    struct err err = { 0 };
    json_t *out;

    if (!subject_find(q, s, &err))
        return failure_of(err.message);
    /* Nobody opens its database now: it would be that of before. */
    if (s->agent->is_leaving && op->run != op_evict && op->run != op_sleep && op->run != op_history)
        return failure_of("the agent is being restored or deleted; try again");
    if (recall_is_needed(s->agent) && op->run != op_delete && op->run != op_evict && op->run != op_sleep && op->run != op_history) {
        wait_for_recall(s, q);
        return NULL;
    }
    out = json_object();
    json_object_set_new(out, "ok", json_true());
    /* One that was deleted has a history, too; a clone is made where nothing is. */
    if ((op->run != op_restore && op->run != op_history && op->run != op_clone && !subject_is_there(s, &err)) || !op->run(q, s, out, &err)) {
        json_decref(out);
        out = failure_of(err.message);
    } else if (s->is_answered_later) {
        json_decref(out);
        out = NULL;
    }
    return out;
}

static void
answer(struct link *link, uint32_t request, json_t *q)
{
    const char *name = json_string_value(json_object_get(q, "op"));
    struct subject s = { .request = request };
    json_t *out = NULL;
    size_t i = 0;

    while (i < ARRAY_LEN(ops) && (name == NULL || strcmp(name, ops[i].name) != 0))
        i++;
    if (i < ARRAY_LEN(ops))
        out = run(&ops[i], q, &s);
    else if (name != NULL && strcmp(name, "stats") == 0)
        out = op_stats();
    else
        out = failure_of("The worker knows no such question.");
    /* Behind the gate, like everything that could reflect a commit. */
    if (out != NULL)
        reply(s.agent != NULL ? agent_out(s.agent, peer_of_link(link)) : link_out(link), request, out);
    json_decref(out);
    subject_done(&s);
}

void
admin_recalled(struct agent *a, const char *failed)
{
    struct link *control = worker_control();
    struct question *q;

    list_each(q, &waiting, struct question, in_waiting) {
        if (q->agent != a)
            continue;
        list_remove(&q->in_waiting);
        if (control != NULL && failed == NULL)
            answer(control, q->request, q->json);
        else if (control != NULL)
            admin_refuse(link_out(control), q->request, failed);
        json_decref(q->json);
        free(q);
    }
}

bool
admin_message(struct link *link, struct bytes payload, struct err *err)
{
    struct msg_ADMIN m;
    json_t *q;

    if (!msg_ADMIN_unpack(&m, payload, err))
        return false;
    q = json_loadb((const char *)m.json.data, m.json.len, 0, NULL);
    if (json_is_object(q))
        answer(link, m.request, q);
    else
        admin_refuse(link_out(link), m.request, "The question is not a JSON object.");
    json_decref(q);
    return true;
}
