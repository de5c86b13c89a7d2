/* admin_snapshot — administrators' questions about snapshots (admin.h). Their agent's commits are recalled already. */
#include <string.h>

#include "lib/ipc/message.h"
#include "lib/sys/sys.h"
#include "src/worker/admin_ops.h"
#include "src/worker/agent.h"
#include "src/worker/bookmark.h"
#include "src/worker/snapshot.h"
#include "src/worker/worker_limits.h"

static struct bytes
text_of(const json_t *q, const char *field)
{
    const json_t *value = json_object_get(q, field);

    return bytes_from(json_string_value(value), json_string_length(value));
}

static json_t *
id_json(const struct snapshot_id *id)
{
    char hex[SNAPSHOT_ID_HEX + 1];

    snapshot_id_to_hex(id, hex);
    return json_string(hex);
}

static void
taken(struct agent *a, const struct snapshot_told *told, const struct err *failure, void *owner)
{
    json_t *o = json_object();

    if (told != NULL) {
        json_object_set_new(o, "snapshot", id_json(&told->id));
        json_object_set_new(o, "time_ms", json_integer(told->time_ms));
        json_object_set_new(o, "bytes", json_integer(told->bytes));
        json_object_set_new(o, "heap", json_boolean(told->heap == SNAPSHOT_HEAP));
        json_object_set_new(o, "why", json_string(snapshot_heap_text(told->heap)));
    }
    admin_answer((uint32_t)(uintptr_t)owner, o, failure);
}

bool
op_snapshot(const json_t *q, struct subject *s, json_t *out, struct err *err)
{
    struct snapshot_wish wish = {
        .with_heap = !json_is_false(json_object_get(q, "heap")), .is_passing = json_is_true(json_object_get(q, "passing")), .label = text_of(q, "label"),
    };

    if (wish.label.len > SNAPSHOT_LABEL_BYTES_MAX)
        return err_set(err, ERR_USAGE, 0, "a label has at most %d bytes", SNAPSHOT_LABEL_BYTES_MAX);
    s->is_answered_later = snapshot_take(s->agent, &wish, taken, (void *)(uintptr_t)s->request, err);
    return s->is_answered_later;
}

static void
list_one(void *owner, const struct snapshot *head, int64_t bytes)
{
    json_t *o = json_object(), *label = json_stringn((const char *)head->label.data, head->label.len);

    json_object_set_new(o, "snapshot", id_json(&head->id));
    json_object_set_new(o, "label", label != NULL && head->label.len > 0 ? json_incref(label) : json_null());
    json_object_set_new(o, "time_ms", json_integer(head->time_ms));
    json_object_set_new(o, "bytes", json_integer(bytes));
    json_object_set_new(o, "heap", json_boolean(head->heap == SNAPSHOT_HEAP));
    json_array_append_new(owner, o);
    json_decref(label);
}

bool
op_snapshots(const json_t *q, struct subject *s, json_t *out, struct err *err)
{
    json_t *list = json_array();
    const bool ok = snapshot_each(s->agent, list_one, list, err);

    json_object_set_new(out, "snapshots", list);
    return ok;
}

bool
op_find(const json_t *q, struct subject *s, json_t *out, struct err *err)
{
    struct snapshot_id id;

    return snapshot_find(s->agent, text_of(q, "snapshot"), &id, err) && json_object_set_new(out, "snapshot", id_json(&id)) == 0;
}

bool
op_forget(const json_t *q, struct subject *s, json_t *out, struct err *err)
{
    struct snapshot_id id;

    return snapshot_find(s->agent, text_of(q, "snapshot"), &id, err) && snapshot_remove(s->agent, &id, err) &&
           json_object_set_new(out, "snapshot", id_json(&id)) == 0;
}

static void
restored(struct agent *a, const struct snapshot_restored *done, const struct err *failure, void *owner)
{
    char undo[BOOKMARK_BYTES + 1] = "";
    json_t *o = json_object();

    if (done != NULL) {
        if (done->seq > 1)
            bookmark_print(&(struct bookmark){ .time_ms = clock_wall_ms(), .mode = RECALL_AT_COMMIT, .seq = done->seq - 1 }, undo);
        json_object_set_new(o, "heap", json_boolean(done->has_heap));
        json_object_set_new(o, "why", json_string(done->why));
        json_object_set_new(o, "undo", json_string(undo));
    }
    admin_answer((uint32_t)(uintptr_t)owner, o, failure);
}

bool
op_rollback(const json_t *q, struct subject *s, json_t *out, struct err *err)
{
    struct snapshot_way way = { .source = s->agent->id, .without_heap = json_is_false(json_object_get(q, "heap")) };

    if (!snapshot_find(s->agent, text_of(q, "snapshot"), &way.id, err))
        return false;
    s->is_answered_later = snapshot_restore(s->agent, &way, restored, (void *)(uintptr_t)s->request, err);
    return s->is_answered_later;
}

/* The agent asked about is the one to be made. */
bool
op_clone(const json_t *q, struct subject *s, json_t *out, struct err *err)
{
    struct snapshot_way way = { .with_alarm = json_is_true(json_object_get(q, "alarm")), .without_heap = json_is_false(json_object_get(q, "heap")) };

    if (!agent_id_from_hex(&way.source, text_of(q, "source")) || !snapshot_id_from_hex(&way.id, text_of(q, "snapshot")))
        return err_set(err, ERR_USAGE, 0, "the question names no snapshot of an agent");
    if (memcmp(&way.source, &s->agent->id, sizeof way.source) == 0)
        return err_set(err, ERR_EXISTS, 0, "an agent cannot be a clone of itself; that is a rollback");
    s->is_answered_later = snapshot_restore(s->agent, &way, restored, (void *)(uintptr_t)s->request, err);
    return s->is_answered_later;
}
