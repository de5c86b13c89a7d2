/* alarms — see alarms.h. */
#include "src/worker/alarms.h"

#include <assert.h>
#include <stdlib.h>

#include "lib/store/store.h"
#include "lib/sys/sys.h"
#include "src/worker/async_context.h"
#include "src/worker/commits.h"
#include "src/worker/deliver.h"
#include "src/worker/log.h"
#include "src/worker/natives.h"
#include "src/worker/peer.h"

enum { ALARM_OK = 200, ALARM_RETRY = 202, ALARM_STOP = 203 };   /* messages.def, alarms */
#define ALARM_RETRIES_MAX 6            /* surface spec 3.2: counted retries */

static void
answer(struct call *c, uint16_t status)
{
    struct msg_REPLY reply = { .call = c->wire, .status = status, .slot = SLOT_NONE };

    if (!c->is_cancelled)
        msg_REPLY_pack(agent_out(c->agent, c->peer), &reply);
    call_free(c);
}

static bool
forget(struct agent *a)
{
    struct err err = { 0 };

    if (a->store == NULL)
        return true;
    if (store_alarm_set(a->store, STORE_ALARM_NONE, &err)) {
        a->alarm_changed = true;
        return true;
    }
    worker_log_agent(a, 3, "take back its alarm: %s", err.message);
    return false;
}

bool
alarms_begin(struct agent *a, struct call *c)
{
    struct store *store = agent_current_store();
    struct err err = { 0 };
    int64_t ms = STORE_ALARM_NONE;

    if (store == NULL || !store_alarm_get(store, &ms, &err)) {
        if (store == NULL)
            js_free(js_take_exception());
        call_fail(c, ERR_IO, FAIL_RETRYABLE, BYTES_LIT("the agent's database cannot be read"), BYTES_NONE);
        return false;
    }
    if (ms == STORE_ALARM_NONE || (ms != c->alarm_ms && ms > clock_wall_ms())) {
        answer(c, ALARM_OK);           /* deleted or moved since: the index is behind, the feed brings it what stands */
        return false;
    }
    a->alarm_running_ms = ms;
    a->alarm_set_while_running = false;
    return true;
}

void
alarms_done(struct agent *a, struct call *c, int outcome)
{
    bool is_last = outcome == 2 || (outcome == 1 && c->alarm_retry >= ALARM_RETRIES_MAX);

    a->alarm_running_ms = STORE_ALARM_NONE;
    /* An alarm set by the handler stands; else success, or giving up, takes the old one away in this turn's commit. */
    if (!a->alarm_set_while_running && (outcome == 0 || is_last))
        (void)forget(a);
    answer(c, outcome == 0 ? ALARM_OK : outcome == 1 ? ALARM_RETRY : ALARM_STOP);
}

void
alarms_reset(struct agent *a, struct call *c, bool retry)
{
    bool is_last = !retry || c->alarm_retry >= ALARM_RETRIES_MAX;
    struct err err = { 0 };

    if (a->store != NULL) {
        store_rollback(a->store);
        if (is_last && (!forget(a) || !commits_commit(a, &err)))
            worker_log_agent(a, 3, "take back its alarm: %s", err.message);
    }
    answer(c, retry ? ALARM_RETRY : ALARM_STOP);
}

void
alarms_remind(struct agent *a)
{
    struct msg_ALARM_FOUND m = { .agent = a->id, .class_name = bytes_of(a->class_name), .name = bytes_of(a->name) };
    struct peer *scheduler = peer_of_role(ROLE_SCHEDULER);
    struct err ignored;                /* a database that cannot be read says so to who uses it */

    if (a->is_alarm_known || scheduler == NULL)
        return;
    a->is_alarm_known = true;
    if (store_alarm_get(a->store, &m.due_ms, &ignored) && m.due_ms > 0)
        msg_ALARM_FOUND_pack(peer_out(scheduler), &m);
}

void
alarms_sync(struct agent *a, uint32_t request)
{
    struct sync_request *s = calloc(1, sizeof *s);

    assert(s != NULL);
    s->request = request;
    s->section = async_context_section();
    list_push_back(&a->syncs, &s->in_agent);
}

void
alarms_post_synced(struct agent *a)
{
    bool was_pumping = a->is_pumping;
    struct sync_request *s;

    if (list_is_empty(&a->syncs))
        return;

    a->is_pumping = true;              /* the caller pumps: an event may end the agent and all its other requests */
    list_each(s, &a->syncs, struct sync_request, in_agent) {
        if (s->ticket == TICKET_NONE || !commits_is_durable(s->ticket))
            break;
        list_remove(&s->in_agent);
        deliver_post_synced(a, s->request, s->section);
        free(s);
    }
    a->is_pumping = was_pumping;
}

/* ---- natives ---- */

jsval
native_alarm_get(NATIVE_PARAMS)
{
    struct agent *a = agent_current();
    struct store *store = agent_current_store();
    struct err err = { 0 };
    int64_t ms;

    if (store == NULL)
        return JSV_EXCEPTION;
    if (a->alarm_running_ms != STORE_ALARM_NONE && !a->alarm_set_while_running)
        return JSV_NULL;
    if (!store_alarm_get(store, &ms, &err))
        return js_throw_error("%s", err.message);
    return ms == STORE_ALARM_NONE ? JSV_NULL : js_new_number((double)ms);
}

/* The same date again starts the alarm over: that must make a commit, too. *out_changes: false when there was none to take away. */
static bool
set_anew(struct store *store, int64_t ms, bool *out_changes, struct err *err)
{
    int64_t now_ms;

    if (!store_alarm_get(store, &now_ms, err))
        return false;
    *out_changes = ms != STORE_ALARM_NONE || now_ms != STORE_ALARM_NONE;
    return (now_ms != ms || store_alarm_set(store, STORE_ALARM_NONE, err)) && store_alarm_set(store, ms, err);
}

jsval
native_alarm_set(NATIVE_PARAMS)
{
    struct agent *a = agent_current();
    struct store *store = agent_current_store();
    bool is_none = js_is_nullish(ARG(0)), changes;
    double ms = js_get_double(ARG(0));
    struct err err = { 0 };

    if (store == NULL)
        return JSV_EXCEPTION;
    if (!is_none && !(ms > 0 && ms < 8.64e15))
        return js_throw_type("setAlarm() cannot be called with an alarm time <= 0");
    if (!set_anew(store, is_none ? STORE_ALARM_NONE : (int64_t)ms, &changes, &err))
        return js_throw_error("%s", err.message);
    a->alarm_changed |= changes;
    if (a->alarm_running_ms != STORE_ALARM_NONE && !is_none)
        a->alarm_set_while_running = true;
    return JSV_UNDEFINED;
}

jsval
native_sync(NATIVE_PARAMS)
{
    double request = js_get_double(ARG(0));

    if (!(request >= 0 && request <= UINT32_MAX))
        return js_throw_type("sync takes a request number");
    alarms_sync(agent_current(), (uint32_t)request);
    return JSV_UNDEFINED;
}
