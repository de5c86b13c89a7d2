/* natives_snapshot — snapshots for JavaScript: of this agent, by this agent (decision 011). */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "lib/store/store.h"
#include "src/worker/agent.h"
#include "src/worker/natives.h"
#include "src/worker/snapshot.h"
#include "src/worker/snapshot_internal.h"
#include "src/worker/worker_limits.h"

#define LIST_BYTES_MAX ((size_t)4 * SNAPSHOTS_MAX * (6 * SNAPSHOT_LABEL_BYTES_MAX + 128))   /* labels as JSON writes control characters */

static bool
request_arg(jsval v, uint32_t *out)
{
    double d = js_get_double(v);

    *out = d >= 0 && d <= UINT32_MAX ? (uint32_t)d : 0;
    if (d >= 0 && d <= UINT32_MAX)
        return true;
    js_throw_type("a request number is expected");
    return false;
}

/* (request, with heap, label or undefined): as it is at the end of this turn; event SNAPSHOT. */
jsval
native_snapshot(NATIVE_PARAMS)
{
    struct store *store = agent_current_store();
    struct snapshot_wish wish = { .with_heap = js_to_bool(ARG(1)) };
    uint32_t request;

    if (store == NULL || !request_arg(ARG(0), &request) || (!js_is_nullish(ARG(2)) && !js_to_utf8(ARG(2), &wish.label)))
        return JSV_EXCEPTION;
    if (store_depth(store) > 0)
        return js_throw_error("snapshot() cannot be called within a transaction.");
    if (wish.label.len > SNAPSHOT_LABEL_BYTES_MAX)
        return js_throw_range("The name of a snapshot has at most %d bytes.", SNAPSHOT_LABEL_BYTES_MAX);
    if (snapshot_is_full(agent_current()))
        return js_throw_error("Too many snapshots of this Durable Object are on their way.");
    snapshot_ask(agent_current(), request, &wish);
    return JSV_UNDEFINED;
}

static void
list_one(void *owner, const struct snapshot *head, int64_t bytes)
{
    char hex[SNAPSHOT_ID_HEX + 1];
    json_t *label = json_stringn((const char *)head->label.data, head->label.len);

    snapshot_id_to_hex(&head->id, hex);
    json_array_append_new(owner, json_pack("[s, o, I, I, b]", hex, label != NULL ? label : json_string(""), (json_int_t)head->time_ms,
                                           (json_int_t)bytes, (int)(head->heap == SNAPSHOT_HEAP)));
}

/* JSON: [id, label or "", ms since 1970, bytes, has heap] each, oldest first. */
jsval
native_snapshots(NATIVE_PARAMS)
{
    json_t *list;
    struct err err = { 0 };
    char *text, *scratch;
    size_t len;

    if (agent_current_store() == NULL)
        return JSV_EXCEPTION;
    scratch = guest_scratch(LIST_BYTES_MAX);
    list = json_array();
    text = snapshot_each(agent_current(), list_one, list, &err) ? json_dumps(list, JSON_COMPACT) : NULL;
    json_decref(list);
    if (text == NULL)
        return js_throw_error("%s", snapshot_code_text(&err));
    len = strlen(text);
    if (len < LIST_BYTES_MAX)
        memcpy(scratch, text, len);
    free(text);                        /* what follows may leave by a trap */
    return len < LIST_BYTES_MAX ? js_new_string(bytes_from(scratch, len)) : js_throw_error("The list of snapshots is too long.");
}

static bool
find_arg(jsval v, struct snapshot_id *out)
{
    struct bytes text;
    struct err err = { 0 };

    if (agent_current_store() == NULL || !js_to_utf8(v, &text))
        return false;
    if (snapshot_find(agent_current(), text, out, &err))
        return true;
    js_throw_error("%s", snapshot_code_text(&err));
    return false;
}

jsval
native_snapshot_forget(NATIVE_PARAMS)
{
    struct snapshot_id id;
    struct err err = { 0 };

    if (!find_arg(ARG(0), &id))
        return JSV_EXCEPTION;
    return snapshot_remove(agent_current(), &id, &err) ? JSV_UNDEFINED : js_throw_error("%s", snapshot_code_text(&err));
}

/* (request, id or label): after this turn; event SNAPSHOT when it cannot be. */
jsval
native_snapshot_restore(NATIVE_PARAMS)
{
    struct snapshot_id id;
    uint32_t request;

    if (!request_arg(ARG(0), &request) || !find_arg(ARG(1), &id))
        return JSV_EXCEPTION;
    if (agent_current()->state != AGENT_AWAKE)
        return js_throw_error("restore() cannot be called while the constructor runs.");
    snapshot_ask_restore(agent_current(), request, &id);
    return JSV_UNDEFINED;
}
