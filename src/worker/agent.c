/* agent — see agent.h: life, queue, turns, idleness. Its database is in agent_store.c, gates in gate.c, calls in peer.c, sockets in sockets.c. */
#include "src/worker/agent.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "lib/loop/loop.h"
#include "lib/store/store.h"
#include "lib/sys/sys.h"
#include "src/worker/agent_cold.h"
#include "src/worker/agent_sleep.h"
#include "src/worker/alarms.h"
#include "src/worker/cast.h"
#include "src/worker/commits.h"
#include "src/worker/deflate.h"
#include "src/worker/deliver.h"
#include "src/worker/deploy.h"
#include "src/worker/entry_line.h"
#include "src/worker/heap.h"
#include "src/worker/history.h"
#include "src/worker/js_events.h"
#include "src/worker/log.h"
#include "src/worker/peer.h"
#include "src/worker/recall.h"
#include "src/worker/snapshot.h"
#include "src/worker/sockets.h"
#include "src/worker/sql.h"
#include "src/worker/starts.h"
#include "src/worker/timers.h"
#include "src/worker/worker.h"
#include "src/worker/worker_limits.h"

#define KEY_MAX (NAME_MAX_BYTES + 1 + 32)

static struct bytes
agent_key(uint8_t out[KEY_MAX], struct bytes class_name, const struct agent_id *id)
{
    assert(class_name.len <= NAME_MAX_BYTES);
    if (class_name.len > 0)
        memcpy(out, class_name.data, class_name.len);
    out[class_name.len] = 0;
    memcpy(out + class_name.len + 1, id->bytes, 32);
    return bytes_from(out, class_name.len + 33);
}

static struct agent *
create(void)
{
    struct agent *a = calloc(1, sizeof *a);

    assert(a != NULL);
    list_init(&a->queue);
    list_init(&a->calls);
    list_init(&a->outbox);
    list_init(&a->syncs);
    list_init(&a->snapshots);
    a->turn_slot = SLOT_NONE;
    a->alarm_running_ms = STORE_ALARM_NONE;
    a->next_incoming = 1;
    return a;
}

struct agent *
agent_find(struct bytes class_name, const struct agent_id *id)
{
    uint8_t key[KEY_MAX];

    return bmap_get(worker.agents, agent_key(key, class_name, id));
}

struct agent *
agent_get(struct bytes class_name, const struct agent_id *id, struct bytes name)
{
    uint8_t key[KEY_MAX];
    struct agent *a = agent_find(class_name, id);

    if (a == NULL) {
        a = create();
        a->id = *id;
        a->class_name = bytes_dup(class_name);
        bmap_put(worker.agents, agent_key(key, class_name, id), a);
    }
    if (a->name == NULL && name.len > 0)
        a->name = bytes_dup(name);
    return a;
}

struct agent *
agent_entry(void)
{
    if (worker.entry == NULL) {
        worker.entry = create();
        worker.entry->is_entry = true;
        worker.entry->class_name = bytes_dup(BYTES_NONE);
    }
    return worker.entry;
}

struct agent *
agent_current(void)
{
    return heap_current_user();
}

struct event *
event_create(void (*deliver)(struct agent *, struct event *), size_t len)
{
    struct event *e = calloc(1, sizeof *e + len);

    assert(e != NULL);
    e->deliver = deliver;
    e->len = len;
    return e;
}

static void
event_free(struct event *e)
{
    free(e);
}

/* ---- the heap ---- */

static struct umap *
umap_fresh(struct umap *old)
{
    if (old != NULL)
        umap_destroy(&old);
    return umap_create();
}

struct boot {
    struct agent *agent;
};

static void
deliver_boot(void *arg)
{
    struct agent *a = ((struct boot *)arg)->agent;
    char hex[65];
    jsval args[6];
    int n = 0;

    args[n++] = js_new_string(bytes_of(a->deploy->env_json));
    args[n++] = js_new_string(bytes_of(a->deploy->compat_json));
    if (!a->is_entry) {
        agent_id_to_hex(&a->id, hex);
        args[n++] = js_new_string(bytes_of(a->class_name));
        args[n++] = js_new_string(bytes_from(hex, 64));
        args[n++] = a->name != NULL ? js_new_string(bytes_of(a->name)) : JSV_UNDEFINED;
        args[n++] = JSV_UNDEFINED;
    }
    heap_dispatch(a->is_entry ? JS_BOOT_ENTRY : JS_BOOT_AGENT, n, args);
    if (a->is_entry)
        agent_booted(a, NULL, BYTES_NONE);     /* an entry has no constructor to wait for */
}

static const struct {
    enum err_code code;
    const char   *agent_text, *entry_text;
} trap_errors[] = {
    [TRAP_FAULT] = { ERR_LOST, "Internal error: the object's heap faulted and the object was reset.", "Internal error: the heap faulted." },
    [TRAP_STACK] = { ERR_LOST, "The object exhausted its native stack and was reset.", "The native stack is exhausted." },
    [TRAP_MEMORY] = { ERR_LIMIT, "Durable Object's isolate exceeded its memory limit and was reset.", "Worker exceeded memory limit." },
    [TRAP_CPU] = { ERR_TIMEOUT, "Durable Object exceeded its CPU time limit and was reset.", "Worker exceeded CPU time limit." },
    [TRAP_ABORT] = { ERR_APP, "Application called abort() to reset Durable Object.", "abort() was called." },
};

static void
handle_trap(struct agent *a, enum trap trap)
{
    const char *text = a->is_entry ? trap_errors[trap].entry_text : trap_errors[trap].agent_text;

    if (trap == TRAP_ABORT && a->abort_message != NULL)
        text = a->abort_message;
    else if (trap != TRAP_ABORT)
        worker_log_agent(a, 3, "%s (%s)", text, trap_text(trap));
    worker.resets++;
    agent_reset(a, trap_errors[trap].code, FAIL_RESET, text);
    free(a->abort_message);
    a->abort_message = NULL;
    a->abort_stops_alarm = false;
}

/* Enters the heap and runs FN(ARG); the caller ends the turn at the gate. False: the agent was reset. */
static bool
run_turn(struct agent *a, void (*fn)(void *), void *arg)
{
    enum trap trap;

    a->turn = ++worker.turns;
    a->is_running = true;
    heap_enter(a->heap);
    engine_cpu_limit(clock_cpu_us() + (int64_t)worker.cpu_ms * 1000);
    trap = engine_run(fn, arg);
    heap_leave();
    cast_flush(a);                     /* as the turn's: what it sends has no ticket yet */
    a->is_running = false;
    if (trap != TRAP_NONE) {
        handle_trap(a, trap);
        a->turn = 0;
        return false;
    }
    return true;
}

/* The turn's commit, or its end as a failure: what is logged from here on belongs to no turn. */
static bool
turn_end(struct agent *a)
{
    bool ok = gate_end_turn(a);

    a->turn = 0;
    return ok;
}

/* After booting: a constructor that threw ends the heap. */
static void
reset_if_wanted(struct agent *a)
{
    char *text;

    if (!a->wants_reset)
        return;
    text = STEAL(a->abort_message);
    agent_reset(a, ERR_APP, FAIL_REMOTE, text);
    free(text);
}

/* The heap is another life's: it learns who it is now, and what of it is not there any more. */
static void
deliver_restored(void *arg)
{
    struct agent *a = arg;
    struct snapshot_id id;
    char hex[65], snapshot[SNAPSHOT_ID_HEX + 1];
    jsval args[5];
    int n = 0;

    agent_id_to_hex(&a->id, hex);
    memcpy(id.bytes, a->restore_id, sizeof id.bytes);
    snapshot_id_to_hex(&id, snapshot);
    args[n++] = js_new_string(bytes_of(a->class_name));
    args[n++] = js_new_string(bytes_from(hex, 64));
    args[n++] = a->name != NULL ? js_new_string(bytes_of(a->name)) : JSV_UNDEFINED;
    args[n++] = js_new_string(bytes_from(snapshot, SNAPSHOT_ID_HEX));
    args[n++] = js_new_bool(a->resumed_as_clone);
    heap_dispatch(JS_RESTORED, n, args);
}

/* The first turn of a heap. */
static bool
boot(struct agent *a)
{
    struct boot b = { a };

    if (a->is_resumed) {
        a->is_resumed = false;
        a->state = AGENT_AWAKE;
        return run_turn(a, deliver_restored, a) && turn_end(a);
    }
    a->state = AGENT_BOOTING;
    if (!run_turn(a, deliver_boot, &b))
        return false;
    /* What the constructor wrote joins the commit of the event that it was started for: one instead of two. */
    if (a->state == AGENT_AWAKE && a->sections_count == 0 && !list_is_empty(&a->queue))
        return true;
    return turn_end(a);
}

static bool
list_or_boot(struct agent *a)
{
    if (!a->is_entry && sockets_need_listing(a)) {
        a->state = AGENT_LISTING;      /* agent_listed() goes on */
        if (sockets_list(a))
            return true;
    }
    return boot(a);
}

static void
take_deploy(struct agent *a)
{
    a->deploy = worker.deploy;
    deploy_ref(a->deploy);
    a->incoming = umap_fresh(a->incoming);
    a->outgoing = umap_fresh(a->outgoing);
}

void
agent_resume(struct agent *a)
{
    if (a->state != AGENT_ABSENT || a->is_entry || a->is_leaving || recall_is_needed(a) || !recall_knows_sockets() || worker.deploy == NULL ||
        history_begin_session(a))
        return;
    take_deploy(a);
    if (agent_cold_wake(a))
        return;
    if (snapshot_wake(a))
        (void)list_or_boot(a);
    else
        deploy_unref(&a->deploy);
}

static bool
start(struct agent *a)
{
    assert(a->state == AGENT_ABSENT && a->heap == NULL);
    if (recall_is_needed(a) || (!a->is_entry && !recall_knows_sockets())) {
        enum err_code failed = recall_failed(bytes_of(a->class_name), &a->id);

        if (failed != ERR_NONE) {
            recall_refuse(a, failed);
            return false;
        }
        recall_begin(a);
        return true;
    }
    if (history_begin_session(a))
        return true;
    if (worker.deploy == NULL) {
        agent_reset(a, ERR_UNAVAILABLE, FAIL_RETRYABLE, "The app is not deployed yet.");
        return false;
    }
    take_deploy(a);
    if (agent_cold_wake(a))
        return true;
    if (snapshot_wake(a))
        return list_or_boot(a);
    a->heap = heap_create(a->deploy->template, worker.heap_bytes_max);
    if (a->heap == NULL) {
        agent_reset(a, ERR_OVERLOADED, FAIL_OVERLOADED | FAIL_RETRYABLE, "Out of address space for heaps.");
        return false;
    }
    agent_heap_made(a);
    a->is_young = true;
    worker.wakes++;
    return list_or_boot(a);
}

void
agent_listed(struct agent *a)
{
    if (a->state == AGENT_LISTING && a->known_sockets == SOCKETS_NONE)
        (void)boot(a);
    else if (a->state == AGENT_LISTING)
        a->state = AGENT_AWAKE;        /* its heap was made of an image */
    agent_pump(a);
}

/* The library tells that BOOT_AGENT or BOOT_ENTRY is done. */
void
agent_booted(struct agent *a, const char *failure, struct bytes detail)
{
    if (a->state != AGENT_BOOTING)
        return;
    if (failure == NULL) {
        a->state = AGENT_AWAKE;
        a->boots_failed = 0;
        return;
    }
    a->boots_failed++;
    free(a->abort_message);
    a->abort_message = bytes_dup(bytes_of(failure));
    buf_clear(&a->boot_detail);
    buf_append_bytes(&a->boot_detail, detail);
    a->wants_reset = true;             /* after the turn: the heap is entered now */
}

/* It starts a turn, or is the body of a call that has not started one: it waits with that call. */
static bool
is_of_new_turn(const struct event *e)
{
    return e->is_outside || (e->call != NULL && e->call->side == SIDE_INCOMING && !e->call->is_dispatched);
}

enum dropping { DROP_ALL, DROP_BUT_NEW_TURNS };

static void
drop_events(struct agent *a, enum dropping which)
{
    struct event *e;

    list_each(e, &a->queue, struct event, in_queue) {
        if (which == DROP_BUT_NEW_TURNS && is_of_new_turn(e))
            continue;
        entry_line_remove(a, e);
        if (e->drop != NULL)
            e->drop(a, e);
        event_free(e);
    }
}

static void
drop_calls(struct agent *a, enum err_code code, unsigned flags, const char *message)
{
    struct call *c;

    list_each(c, &a->calls, struct call, in_agent) {
        /* Calls whose event still waits have not run: they go to the next heap. */
        if (c->side == SIDE_INCOMING && !c->is_dispatched)
            continue;
        if (c->kind == CALL_ALARM && (flags & FAIL_RESET) != 0)
            alarms_reset(a, c, !a->abort_stops_alarm);
        else if (c->side == SIDE_OUTGOING)
            call_cancel(c, message);
        else {
            if (c->kind == CALL_WS_EVENT)
                sockets_event_lost(a, c->socket);
            call_fail(c, code, flags, bytes_of(message), buf_view(&a->boot_detail));
        }
    }
}

static void
drop_syncs(struct agent *a)
{
    struct sync_request *s;

    list_each(s, &a->syncs, struct sync_request, in_agent) {
        list_remove(&s->in_agent);
        free(s);
    }
}

void
agent_reset(struct agent *a, enum err_code code, unsigned flags, const char *message)
{
    bool boot_failed = a->state == AGENT_BOOTING || a->state == AGENT_ABSENT || a->state == AGENT_RECALLING;

    assert(!a->is_running);
    recall_forget(a);
    gate_drop(a, GATE_UNCOMMITTED, code, flags, message);
    /* Else the answers below would wait for a commit that never comes. */
    sql_drop_cursors(a);
    if (a->store != NULL && store_is_broken(a->store))
        commits_close_store(a);        /* the next heap would go on with it, too */
    else if (a->store != NULL)
        store_rollback(a->store);
    drop_calls(a, code, flags, message);
    drop_events(a, DROP_BUT_NEW_TURNS);
    if (boot_failed) {
        /* Whoever waits for an agent that cannot start learns why; the next event tries again. */
        struct event *e;

        list_each(e, &a->queue, struct event, in_queue)
            if (e->call != NULL)
                e->call->is_dispatched = true;
        drop_events(a, DROP_ALL);
        drop_calls(a, code, flags, message);
    }
    timers_drop(a);
    sockets_drop(a);
    drop_syncs(a);
    snapshot_forget(a);
    a->is_resumed = false;
    deflate_drop(a);
    a->sections_count = 0;
    a->wait_until = 0;
    a->wants_reset = false;
    buf_clear(&a->boot_detail);
    a->alarm_running_ms = STORE_ALARM_NONE;
    a->alarm_set_while_running = a->alarm_changed = false;
    agent_heap_drop(a);
    a->state = AGENT_ABSENT;
}

/* ---- the queue ---- */

/* A newer deployment is there: what runs may finish, new turns wait for the new code. */
static bool
is_outdated(const struct agent *a)
{
    return a->deploy != NULL && a->deploy != worker.deploy && (a->state == AGENT_AWAKE || a->state == AGENT_WARM);
}

static struct event *
next_event(struct agent *a)
{
    struct event *e;
    bool is_blocked = a->sections_count > 0, is_booting = a->state == AGENT_BOOTING || is_outdated(a);
    uint32_t inner = is_blocked ? a->sections[a->sections_count - 1] : 0;

    if (a->state == AGENT_LISTING || a->state == AGENT_RECALLING || a->is_leaving || a->wants_checkpoint)
        return NULL;
    if (!is_blocked && !is_booting)
        return list_first(&a->queue, struct event, in_queue);
    list_each(e, &a->queue, struct event, in_queue)
        if (!is_of_new_turn(e) && (!is_blocked || e->section == inner))
            return e;
    return NULL;
}

bool
agent_has_event(const struct agent *a)
{
    return next_event((struct agent *)(uintptr_t)a) != NULL;
}

static void
deliver_event(void *arg)
{
    struct event *e = arg;

    e->deliver(agent_current(), e);
}

static bool
run_event(struct agent *a, struct event *e)
{
    bool ok;

    entry_line_remove(a, e);
    a->turn_call = e->call != NULL && e->call->side == SIDE_INCOMING ? e->call : NULL;
    a->turn_slot = e->call != NULL && e->call->side == SIDE_OUTGOING ? e->call->slot : SLOT_NONE;
    ok = run_turn(a, deliver_event, e) && turn_end(a);
    a->turn_call = NULL;
    event_free(e);
    return ok;
}

bool
agent_run_aside(struct agent *a, void (*fn)(void *), void *arg)
{
    const uint64_t turns = worker.turns;
    bool ok;

    assert(a->heap != NULL && !a->is_running && !a->is_pumping);
    a->is_pumping = true;
    ok = run_turn(a, fn, arg) && turn_end(a);
    a->is_pumping = false;
    worker.turns = turns;              /* turns are events: who sleeps has as many as who does not */
    return ok;
}

#define CODE_UPDATED "Durable Object reset because its code was updated."

/* Calls that JavaScript is answering: events that still wait do not count. */
static bool
has_running_calls(const struct agent *a)
{
    struct call *c;

    list_each(c, (struct list_node *)(uintptr_t)&a->calls, struct call, in_agent)
        if (c->side == SIDE_INCOMING && c->is_dispatched)
            return true;
    return false;
}

/* Ends an outdated heap once nothing runs in it, or its time is over. True: it is gone. */
static bool
move_on(struct agent *a, bool is_time_over)
{
    if (!is_outdated(a) || a->is_running || (!is_time_over && (has_running_calls(a) || a->wait_until > 0)))
        return false;
    agent_reset(a, ERR_UNAVAILABLE, FAIL_RESET | FAIL_RETRYABLE, CODE_UPDATED);
    return true;
}

/* Whether something that C is to be told, or the peer to send, may go on with what JavaScript waits for. */
static bool
call_may_bring_events(const struct call *c)
{
    return c->side == SIDE_OUTGOING || !c->is_dispatched || c->kind != CALL_ENTRY || c->is_gathering || c->head_event != NULL ||
           (c->peer_body_open && !c->is_cancelled) || (c->is_replied && c->out.waiting.len > 0) || c->out.wants_drain;
}

/* A request of the entry whose promise nothing can settle any more: no call of the entry's own, no timer, no socket, no body is pending, for
 * none of its requests. workerd cancels those ("your Worker's code had hung"), and only of the entry: an agent's next request may settle
 * what an earlier one waits for. NULL: none. */
static struct call *
hung_call(const struct agent *a)
{
    struct call *c, *hung = NULL;

    if (!a->is_entry || a->state != AGENT_AWAKE || a->open_outgoing > 0 || a->live_sockets > 0 || !list_is_empty(&a->queue) ||
        !list_is_empty(&a->syncs) || (a->timers != NULL && umap_count(a->timers) > 0))
        return NULL;
    list_each(c, (struct list_node *)(uintptr_t)&a->calls, struct call, in_agent) {
        if (call_may_bring_events(c))
            return NULL;
        if (!c->is_hung)
            hung = c;
    }
    return hung;
}

void
agent_pump(struct agent *a)
{
    struct call *hung;
    struct event *e;

    /* The end of a turn posts events of its own (SYNCED): they must not be run, and the agent not put away, below that turn. */
    if (a->is_running || a->is_pumping || starts_has(a))
        return;
    a->is_pumping = true;
    list_remove(&a->in_idle);
    do {
        while ((e = next_event(a)) != NULL) {
            if (e->is_outside && commits_are_full()) {
                list_push_back(&worker.stalled, &a->in_idle);
                a->is_pumping = false;
                return;
            }
            if ((a->heap == NULL && !starts_admit(a, e)) || (a->is_entry && !entry_line_is_begun(e) && !starts_may_begin(a))) {
                a->is_pumping = false;
                return;
            }
            if (a->is_entry && a->state == AGENT_AWAKE && a->sections_count == 0)
                e = entry_line_next(a, e);
            agent_touched(a, deliver_is_own(e));
            if (a->state == AGENT_WARM && !agent_wake(a))
                continue;              /* it starts anew, and E may be gone */
            if (a->state == AGENT_ABSENT) {
                if (!start(a) && a->heap == NULL && a->state == AGENT_ABSENT && list_is_empty(&a->queue))
                    break;
            } else {
                (void)run_event(a, e);
            }
            reset_if_wanted(a);
            snapshot_after_turn(a);
            (void)move_on(a, false);
        }
    } while (move_on(a, false) && !list_is_empty(&a->queue));
    a->is_pumping = false;
    hung = hung_call(a);
    if (hung != NULL) {
        deliver_post_hung(hung);       /* and the next one: this function runs again below */
        return;
    }
    agent_is_quiet(a);
    if (a->state == AGENT_ABSENT && list_is_empty(&a->queue))
        (void)agent_evict(a);
}

void
agent_post(struct agent *a, struct event *e)
{
    if (e->is_outside && !e->is_last && a->queued >= (a->is_entry ? CALLS_MAX : AGENT_QUEUE_MAX)) {
        if (e->call != NULL)
            call_fail(e->call, ERR_OVERLOADED, FAIL_OVERLOADED | FAIL_RETRYABLE,
                      BYTES_LIT("Durable Object is overloaded. Too many requests queued."), BYTES_NONE);
        event_free(e);
        return;
    }
    entry_line_add(a, e);
    starts_hurry(a, e);
    agent_pump(a);
}

/* ---- idleness ---- */

bool
agent_is_idle(const struct agent *a)
{
    return !a->is_running && list_is_empty(&a->queue) && list_is_empty(&a->calls) && list_is_empty(&a->outbox) && list_is_empty(&a->snapshots) &&
           commits_are_durable(a) && !a->is_leaving && a->wait_until <= 0 && a->sections_count == 0 &&
           a->state != AGENT_LISTING && a->state != AGENT_RECALLING && a->state != AGENT_BOOTING && (a->timers == NULL || umap_count(a->timers) == 0) &&
           a->live_sockets == 0 && (a->store == NULL || store_depth(a->store) == 0);
}

static void
destroy(struct agent *a)
{
    assert(list_is_empty(&a->calls) && list_is_empty(&a->queue) && list_is_empty(&a->outbox));
    list_remove(&a->in_idle);
    list_remove(&a->in_settled);
    starts_leave(a);
    recall_forget(a);
    sockets_forget(a);
    if (a->timers != NULL)
        umap_destroy(&a->timers);
    if (a->incoming != NULL)
        umap_destroy(&a->incoming);
    if (a->outgoing != NULL)
        umap_destroy(&a->outgoing);
    free(a->class_name);
    free(a->name);
    free(a->abort_message);
    buf_fini(&a->boot_detail);
    free(a);
}

bool
agent_evict(struct agent *a)
{
    uint8_t key[KEY_MAX];

    if (!agent_is_idle(a))
        return false;
    if (a->may_restore) {
        if (a->state != AGENT_ABSENT)
            agent_reset(a, ERR_UNAVAILABLE, FAIL_RESET | FAIL_RETRYABLE, "The session is over.");   /* nobody waits: it is idle */
        if (history_begin_session(a) || !agent_is_idle(a))
            return false;              /* idle no more: what it took back is on its way */
    }
    timers_drop(a);
    deflate_drop(a);
    sql_drop_cursors(a);
    (void)commits_checkpoint(a);       /* else the journal has it */
    commits_close_store(a);
    agent_heap_drop(a);
    if (a->state != AGENT_ABSENT)
        worker.evictions++;
    if (a->is_detached)
        list_remove(&a->in_detached);
    else if (a->is_entry)
        worker.entry = NULL;
    else
        bmap_take(worker.agents, agent_key(key, bytes_of(a->class_name), &a->id));
    destroy(a);
    return true;
}

enum move {
    MOVE_FREE,                         /* those in which nothing runs */
    MOVE_AWAITED,                      /* and those that keep new turns waiting: a stream that stays open must not stall its agent */
    MOVE_ALL,
};

/* Agents in memory, taken down first: moving one changes the map. */
static void
move_all(enum move which)
{
    size_t count = bmap_count(worker.agents), n = 0, cursor = 0;
    struct agent **list = calloc(count + 1, sizeof *list);
    struct bytes key;
    void *value;

    assert(list != NULL);
    while (n < count && bmap_next(worker.agents, &cursor, &key, &value))
        list[n++] = value;
    for (size_t i = 0; i < n; i++) {
        struct agent *a = list[i];

        if (is_outdated(a) && !agent_evict(a) && move_on(a, which == MOVE_ALL || (which == MOVE_AWAITED && a->queued > 0)))
            agent_pump(a);
    }
    free(list);
}

void
agents_on_deploy(void)
{
    /* The entry has no identity: the next event makes a new one, the old one finishes what it has. */
    if (worker.entry != NULL && worker.entry->deploy != NULL) {
        worker.entry->is_detached = true;
        list_push_back(&worker.detached, &worker.entry->in_detached);
        worker.entry = NULL;
    }
    worker.deployed_ms = clock_mono_ms();
    move_all(MOVE_FREE);
}

void
agents_finish_deploy(int64_t now)
{
    struct agent *a;

    list_each(a, &worker.detached, struct agent, in_detached) {
        if (now - worker.deployed_ms >= DEPLOY_GRACE_MS && !a->is_running)
            agent_reset(a, ERR_UNAVAILABLE, FAIL_RETRYABLE, "The code was updated while this request ran.");
        (void)agent_evict(a);
    }
    if (worker.deployed_ms == 0)
        return;
    if (now - worker.deployed_ms >= DEPLOY_GRACE_MS) {
        worker.deployed_ms = 0;
        move_all(MOVE_ALL);
    } else if (now - worker.deployed_ms >= DEPLOY_WAIT_MS) {
        move_all(MOVE_AWAITED);
    }
}

void
agents_put_away(void)
{
    size_t cursor = 0;
    struct bytes key;
    void *value;

    while (bmap_next(worker.agents, &cursor, &key, &value)) {
        struct agent *a = value;

        if (a->store != NULL && !store_is_broken(a->store)) {
            store_rollback(a->store);
            (void)commits_checkpoint(a);       /* else the journal has it */
        }
        (void)agent_cold_store(a);     /* else its constructor runs */
    }
}
