/* scheduler_core — see scheduler_core.h. */
#include "src/scheduler/scheduler_core.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/map.h"
#include "src/scheduler/scheduler_limits.h"

struct core_worker {
    bool             is_up;
    struct list_node ready;                /* due, oldest first */
    size_t           ready_count;
    struct list_node fresh;                /* running since less than ALARMS_FRESH_MS, oldest first */
    unsigned         fresh_count;
    unsigned         in_flight;
    uint32_t         started, read;        /* alarms since it came up */
};

struct core_app {
    char               *name;
    uint16_t            slots;             /* highest index seen + 1 since a worker was last there; 0: none is known */
    unsigned            up_count;
    struct core_worker *workers;           /* APP_WORKERS_MAX */
    struct list_node    in_core;
    struct list_node    homeless;          /* ready while slots is 0 */
};

struct core {
    struct bmap     *alarms;               /* app, 0, agent → struct alarm */
    struct bmap     *apps_by_name;
    struct list_node apps;                 /* rotated: no app is always first */
    struct alarm   **heap;                 /* waiting ones, by fire_ms */
    size_t           heap_count, heap_cap;
    struct list_node changed, keeping;     /* keeping: on their way to the disk, until its commit */
};

static void alarm_wait(struct core *core, struct alarm *alarm, int64_t fire_ms);
static void alarm_drop(struct core *core, struct alarm *alarm);

/* ---- the heap -------------------------------------------------------------------------------------------------------- */

static void
heap_put(struct core *core, size_t at, struct alarm *alarm)
{
    core->heap[at] = alarm;
    alarm->heap_at = at;
}

static void
heap_up(struct core *core, size_t at)
{
    struct alarm *alarm = core->heap[at];

    while (at > 0 && core->heap[(at - 1) / 2]->fire_ms > alarm->fire_ms) {
        heap_put(core, at, core->heap[(at - 1) / 2]);
        at = (at - 1) / 2;
    }
    heap_put(core, at, alarm);
}

static void
heap_down(struct core *core, size_t at)
{
    struct alarm *alarm = core->heap[at];

    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= core->heap_count)
            break;
        if (child + 1 < core->heap_count && core->heap[child + 1]->fire_ms < core->heap[child]->fire_ms)
            child++;
        if (core->heap[child]->fire_ms >= alarm->fire_ms)
            break;
        heap_put(core, at, core->heap[child]);
        at = child;
    }
    heap_put(core, at, alarm);
}

static void
heap_add(struct core *core, struct alarm *alarm)
{
    if (core->heap_count == core->heap_cap) {
        core->heap_cap = core->heap_cap == 0 ? 64 : core->heap_cap * 2;
        core->heap = realloc(core->heap, core->heap_cap * sizeof core->heap[0]);
        assert(core->heap != NULL);
    }
    heap_put(core, core->heap_count++, alarm);
    heap_up(core, core->heap_count - 1);
}

static void
heap_remove(struct core *core, struct alarm *alarm)
{
    size_t at = alarm->heap_at;
    struct alarm *last = core->heap[--core->heap_count];

    assert(core->heap[at] == alarm || last == alarm);
    if (last == alarm)
        return;
    heap_put(core, at, last);
    heap_up(core, at);
    heap_down(core, last->heap_at);
}

/* ---- apps and workers ------------------------------------------------------------------------------------------------ */

static struct core_app *
app_get(struct core *core, struct bytes name)
{
    struct core_app *app = bmap_get(core->apps_by_name, name);

    if (app != NULL)
        return app;
    app = calloc(1, sizeof *app);
    assert(app != NULL);
    app->name = bytes_dup(name);
    app->workers = calloc(APP_WORKERS_MAX, sizeof app->workers[0]);
    assert(app->workers != NULL);
    for (size_t i = 0; i < APP_WORKERS_MAX; i++) {
        list_init(&app->workers[i].ready);
        list_init(&app->workers[i].fresh);
    }
    list_init(&app->homeless);
    list_push_back(&core->apps, &app->in_core);
    (void)bmap_put(core->apps_by_name, name, app);
    return app;
}

/* Puts a due alarm where it waits for its worker. */
static void
alarm_ready(struct alarm *alarm)
{
    struct core_app *app = alarm->app;
    struct core_worker *worker;

    alarm->state = ALARM_READY;
    if (app->slots == 0) {
        list_push_back(&app->homeless, &alarm->in_list);
        return;
    }
    alarm->slot = agent_id_slot(&alarm->agent, app->slots);
    worker = &app->workers[alarm->slot];
    list_push_back(&worker->ready, &alarm->in_list);
    worker->ready_count++;
}

static void
alarm_unready(struct alarm *alarm)
{
    list_remove(&alarm->in_list);
    if (alarm->app->slots > 0)
        alarm->app->workers[alarm->slot].ready_count--;
}

/* The number of workers changed: every ready alarm finds its worker anew. */
static void
app_set_slots(struct core_app *app, uint16_t slots)
{
    struct list_node all;
    struct alarm *alarm;

    list_init(&all);
    list_each (alarm, &app->homeless, struct alarm, in_list) {
        list_remove(&alarm->in_list);
        list_push_back(&all, &alarm->in_list);
    }
    for (uint16_t i = 0; i < app->slots; i++) {
        list_each (alarm, &app->workers[i].ready, struct alarm, in_list) {
            list_remove(&alarm->in_list);
            list_push_back(&all, &alarm->in_list);
        }
        app->workers[i].ready_count = 0;
    }
    app->slots = slots;
    list_each (alarm, &all, struct alarm, in_list) {
        list_remove(&alarm->in_list);
        alarm_ready(alarm);
    }
}

void
core_worker_up(struct core *core, struct bytes name, uint16_t index)
{
    struct core_app *app = app_get(core, name);

    if (index >= APP_WORKERS_MAX)
        return;
    if (!app->workers[index].is_up)
        app->up_count++;
    app->workers[index].is_up = true;
    app->workers[index].started = app->workers[index].read = 0;
    if (index >= app->slots)
        app_set_slots(app, (uint16_t)(index + 1));
}

/* When the last one goes, the next ones may be another number: an app's workers change their number only all together. */
void
core_worker_down(struct core *core, struct bytes name, uint16_t index)
{
    struct core_app *app = app_get(core, name);

    if (index >= APP_WORKERS_MAX || !app->workers[index].is_up)
        return;
    app->workers[index].is_up = false;
    if (--app->up_count == 0)
        app_set_slots(app, 0);
}

/* ---- alarms ---------------------------------------------------------------------------------------------------------- */

static struct buf
alarm_key(struct bytes app, const struct agent_id *agent)
{
    struct buf key = { 0 };

    buf_append_bytes(&key, app);
    buf_append_byte(&key, 0);
    buf_append(&key, agent->bytes, sizeof agent->bytes);
    return key;
}

static void
text_set(struct bytes *owned, struct bytes text)
{
    if (bytes_equal(*owned, text))
        return;
    free((void *)(uintptr_t)owned->data);
    *owned = bytes_from(bytes_dup(text), text.len);
}

static void
alarm_changed(struct core *core, struct alarm *alarm)
{
    if (!list_is_linked(&alarm->in_changed))
        list_push_back(&core->changed, &alarm->in_changed);
}

static void
alarm_free(struct core *core, struct alarm *alarm)
{
    struct buf key = alarm_key(bytes_of(alarm->app->name), &alarm->agent);

    if (bmap_get(core->alarms, buf_view(&key)) == alarm)
        (void)bmap_take(core->alarms, buf_view(&key));
    buf_fini(&key);
    list_remove(&alarm->in_changed);
    free((void *)(uintptr_t)alarm->class_name.data);
    free((void *)(uintptr_t)alarm->name.data);
    free(alarm);
}

/* Takes the alarm out of whatever holds it. */
static void
alarm_leave(struct core *core, struct alarm *alarm)
{
    struct core_worker *worker = &alarm->app->workers[alarm->slot];

    switch (alarm->state) {
    case ALARM_WAITING:
        heap_remove(core, alarm);
        break;
    case ALARM_READY:
        alarm_unready(alarm);
        break;
    case ALARM_RUNNING:
        if (list_is_linked(&alarm->in_list)) {
            list_remove(&alarm->in_list);
            worker->fresh_count--;
        }
        worker->in_flight--;
        break;
    case ALARM_GONE:
        break;
    }
}

static void
alarm_wait(struct core *core, struct alarm *alarm, int64_t fire_ms)
{
    alarm->state = ALARM_WAITING;
    alarm->fire_ms = fire_ms;
    heap_add(core, alarm);
}

/* The alarm starts over with a new date. */
static void
alarm_renew(struct core *core, struct alarm *alarm, int64_t due_ms)
{
    alarm->due_ms = due_ms;
    alarm->queued_ms = 0;
    alarm->counted = 0;
    alarm->backoff = 0;
    alarm->was_counted = false;
    alarm->is_retry = false;
    alarm->is_taken_back = false;
    alarm_wait(core, alarm, due_ms);
    alarm_changed(core, alarm);
}

static void
alarm_drop(struct core *core, struct alarm *alarm)
{
    alarm->state = ALARM_GONE;
    alarm_changed(core, alarm);
}

static struct alarm *
alarm_find(struct core *core, const struct alarm_spec *spec)
{
    struct buf key = alarm_key(spec->app, &spec->agent);
    struct alarm *alarm = bmap_get(core->alarms, buf_view(&key));

    buf_fini(&key);
    return alarm;
}

static struct alarm *
alarm_create(struct core *core, const struct alarm_spec *spec)
{
    struct buf key = alarm_key(spec->app, &spec->agent);
    struct alarm *alarm = calloc(1, sizeof *alarm);

    assert(alarm != NULL);
    alarm->app = app_get(core, spec->app);
    alarm->agent = spec->agent;
    alarm->state = ALARM_GONE;
    (void)bmap_put(core->alarms, buf_view(&key), alarm);
    buf_fini(&key);
    return alarm;
}

static void
alarm_take_back(struct core *core, struct alarm *alarm)
{
    if (alarm->state == ALARM_RUNNING) {
        alarm->queued_ms = 0;
        alarm->is_taken_back = true;
        alarm->is_fed = true;
        alarm_changed(core, alarm);
        return;
    }
    alarm_leave(core, alarm);
    alarm_drop(core, alarm);
}

static bool
alarm_set(struct core *core, const struct alarm_spec *spec, bool is_fed)
{
    struct alarm *alarm = alarm_find(core, spec);

    if (spec->due_ms <= 0) {
        if (alarm != NULL && alarm->state != ALARM_GONE)
            alarm_take_back(core, alarm);
        return true;
    }
    if (alarm == NULL) {
        if (bmap_count(core->alarms) >= ALARMS_MAX)
            return false;
        alarm = alarm_create(core, spec);
    }
    alarm->is_fed = is_fed;
    text_set(&alarm->class_name, spec->class_name);
    if (spec->name.len > 0 || alarm->name.data == NULL)
        text_set(&alarm->name, spec->name);    /* a later word without the name does not take it away */
    if (alarm->state == ALARM_RUNNING) {
        alarm->queued_ms = spec->due_ms;
        alarm->is_taken_back = false;
        alarm_changed(core, alarm);
        return true;
    }
    alarm_leave(core, alarm);
    alarm_renew(core, alarm, spec->due_ms);
    return true;
}

bool
core_set(struct core *core, const struct alarm_spec *spec)
{
    return alarm_set(core, spec, true);
}

bool
core_found(struct core *core, const struct alarm_spec *spec)
{
    struct alarm *alarm = alarm_find(core, spec);

    assert(spec->due_ms > 0);
    if (alarm != NULL && alarm->state != ALARM_GONE &&
        (alarm->is_fed || (alarm->queued_ms != 0 ? alarm->queued_ms : alarm->due_ms) == spec->due_ms))
        return true;
    return alarm_set(core, spec, false);
}

void
core_doubt(struct core *core)
{
    struct bytes key;
    size_t at = 0;
    void *alarm;

    while (bmap_next(core->alarms, &at, &key, &alarm))
        ((struct alarm *)alarm)->is_fed = false;
}

bool
core_load(struct core *core, const struct alarm_spec *spec)
{
    struct alarm *alarm;

    if (!alarm_set(core, spec, false))
        return false;
    alarm = alarm_find(core, spec);
    if (alarm == NULL)
        return true;
    alarm->counted = spec->counted;
    alarm->backoff = spec->counted;
    alarm->was_counted = spec->counted > 0;
    list_remove(&alarm->in_changed);           /* the disk has it */
    return true;
}

/* ---- running --------------------------------------------------------------------------------------------------------- */

static void
worker_age(struct core_worker *worker, int64_t now_ms)
{
    struct alarm *alarm;

    list_each (alarm, &worker->fresh, struct alarm, in_list) {
        /* A start in the future means that the clock was set back. */
        if (alarm->started_ms > now_ms - ALARMS_FRESH_MS && alarm->started_ms <= now_ms)
            break;
        list_remove(&alarm->in_list);
        worker->fresh_count--;
    }
}

/* Only its own word can give it room. */
static bool
worker_is_full(const struct core_worker *worker)
{
    return !worker->is_up || worker->in_flight >= ALARMS_IN_FLIGHT_MAX || worker->started - worker->read >= ALARMS_UNREAD_MAX;
}

static struct alarm *
worker_start(struct core_worker *worker, int64_t now_ms)
{
    struct alarm *alarm = list_first(&worker->ready, struct alarm, in_list);

    worker_age(worker, now_ms);
    if (alarm == NULL || worker_is_full(worker) || worker->fresh_count >= ALARMS_FRESH_MAX)
        return NULL;
    alarm_unready(alarm);
    alarm->state = ALARM_RUNNING;
    alarm->started_ms = now_ms;
    alarm->ordinal = ++worker->started;
    list_push_back(&worker->fresh, &alarm->in_list);
    worker->fresh_count++;
    worker->in_flight++;
    return alarm;
}

struct alarm *
core_start(struct core *core, int64_t now_ms)
{
    struct core_app *app;

    while (core->heap_count > 0 && core->heap[0]->fire_ms <= now_ms) {
        struct alarm *due = core->heap[0];
        heap_remove(core, due);
        alarm_ready(due);
    }
    list_each (app, &core->apps, struct core_app, in_core) {
        for (uint16_t i = 0; i < app->slots; i++) {
            struct alarm *alarm = worker_start(&app->workers[i], now_ms);
            if (alarm == NULL)
                continue;
            list_remove(&app->in_core);        /* the others go first next time */
            list_push_back(&core->apps, &app->in_core);
            return alarm;
        }
    }
    return NULL;
}

bool
core_read(struct core *core, struct bytes name, uint16_t index, uint32_t count)
{
    struct core_app *app = app_get(core, name);
    struct core_worker *worker = index < APP_WORKERS_MAX ? &app->workers[index] : NULL;

    if (worker == NULL || count - worker->read > worker->started - worker->read)
        return false;
    worker->read = count;
    return true;
}

static int64_t
retry_delay_ms(struct alarm *alarm, uint64_t chance)
{
    unsigned step = alarm->backoff < ALARM_BACKOFF_STEPS ? alarm->backoff : ALARM_BACKOFF_STEPS;
    int64_t delay_ms = (int64_t)(ALARM_BACKOFF_FIRST_S << step) * 1000;

    alarm->backoff = step + 1;
    return delay_ms + (int64_t)(chance % (uint64_t)(delay_ms / ALARM_JITTER_PARTS + 1));
}

static void
alarm_retry(struct core *core, struct alarm *alarm, enum alarm_outcome outcome, int64_t now_ms, uint64_t chance)
{
    bool is_counted = outcome == OUTCOME_FAILED;

    alarm->is_retry = true;
    if (outcome == OUTCOME_ELSEWHERE) {
        alarm_wait(core, alarm, now_ms + ALARM_ELSEWHERE_MS);
        return;
    }
    if (is_counted) {
        alarm->counted++;
        if (!alarm->was_counted)
            alarm->backoff = 0;                /* delays for failures of ours are not the handler's fault */
        alarm_changed(core, alarm);
    }
    alarm->was_counted = is_counted;
    alarm_wait(core, alarm, now_ms + retry_delay_ms(alarm, chance));
}

void
core_end(struct core *core, struct alarm *alarm, enum alarm_outcome outcome, int64_t now_ms, uint64_t chance)
{
    bool is_ours = outcome == OUTCOME_LOST || outcome == OUTCOME_ELSEWHERE;

    assert(alarm->state == ALARM_RUNNING);
    alarm_leave(core, alarm);
    if (alarm->queued_ms != 0)
        alarm_renew(core, alarm, alarm->queued_ms);
    else if (alarm->is_taken_back || outcome == OUTCOME_DONE || outcome == OUTCOME_GIVE_UP ||
             (!is_ours && alarm->counted >= ALARM_RETRIES_MAX))
        alarm_drop(core, alarm);
    else
        alarm_retry(core, alarm, outcome, now_ms, chance);
}

/* What was due by the old clock waits for its date again. */
static void
list_unready(struct core *core, struct list_node *ready)
{
    struct alarm *alarm;

    list_each (alarm, ready, struct alarm, in_list) {
        if (alarm->is_retry)
            continue;
        alarm_unready(alarm);
        alarm_wait(core, alarm, alarm->fire_ms);
    }
}

void
core_clock_stepped(struct core *core, int64_t delta_ms)
{
    struct core_app *app;

    list_each (app, &core->apps, struct core_app, in_core) {
        list_unready(core, &app->homeless);
        for (uint16_t i = 0; i < app->slots; i++)
            list_unready(core, &app->workers[i].ready);
    }
    for (size_t i = 0; i < core->heap_count; i++)
        if (core->heap[i]->is_retry)
            core->heap[i]->fire_ms += delta_ms;
    for (size_t i = core->heap_count / 2; i-- > 0;)
        heap_down(core, i);
}

int64_t
core_wait_ms(const struct core *core, int64_t now_ms)
{
    int64_t wait_ms = core->heap_count == 0 ? -1 : core->heap[0]->fire_ms - now_ms;
    struct core_app *app;

    if (core->heap_count > 0 && wait_ms < 0)
        wait_ms = 0;
    list_each (app, &core->apps, struct core_app, in_core) {
        for (uint16_t i = 0; i < app->slots; i++) {
            const struct core_worker *worker = &app->workers[i];
            if (worker->ready_count == 0 || worker_is_full(worker))
                continue;
            if (wait_ms < 0 || wait_ms > ALARMS_FRESH_MS)
                wait_ms = worker->fresh_count < ALARMS_FRESH_MAX ? 0 : ALARMS_FRESH_MS;
        }
    }
    return wait_ms;
}

/* ---- the list of changes, life --------------------------------------------------------------------------------------- */

struct alarm *
core_changed(struct core *core)
{
    return list_first(&core->changed, struct alarm, in_changed);
}

void
core_kept(struct core *core, struct alarm *alarm)
{
    list_remove(&alarm->in_changed);
    list_push_back(&core->keeping, &alarm->in_changed);
}

void
core_committed(struct core *core)
{
    struct alarm *alarm;

    while ((alarm = list_first(&core->keeping, struct alarm, in_changed)) != NULL) {
        list_remove(&alarm->in_changed);
        if (alarm->state == ALARM_GONE)
            alarm_free(core, alarm);
    }
}

/* In their order before what changed since: a record that goes and its successor must not change places. */
void
core_undone(struct core *core)
{
    while (!list_is_empty(&core->keeping)) {
        struct list_node *last = core->keeping.prev;

        list_remove(last);
        list_push_front(&core->changed, last);
    }
}

const char *
core_app_name(const struct core_app *app)
{
    return app->name;
}

size_t
core_count(const struct core *core)
{
    return bmap_count(core->alarms);
}

size_t
core_waiting(const struct core *core)
{
    return core->heap_count;
}

struct core *
core_create(void)
{
    struct core *core = calloc(1, sizeof *core);

    assert(core != NULL);
    core->alarms = bmap_create();
    core->apps_by_name = bmap_create();
    list_init(&core->apps);
    list_init(&core->changed);
    list_init(&core->keeping);
    return core;
}

void
core_destroy(struct core **owned)
{
    struct core *core = *owned;
    struct core_app *app;
    struct bytes key;
    size_t at = 0;
    void *alarm;

    if (core == NULL)
        return;
    *owned = NULL;
    while (bmap_next(core->alarms, &at, &key, &alarm))
        alarm_free(core, alarm);
    list_each (app, &core->apps, struct core_app, in_core) {
        free(app->name);
        free(app->workers);
        free(app);
    }
    bmap_destroy(&core->alarms);
    bmap_destroy(&core->apps_by_name);
    free(core->heap);
    free(core);
}

void
core_check(const struct core *core)
{
    size_t waiting = 0;
    size_t at = 0;
    struct bytes key;
    void *value;

    while (bmap_next(core->alarms, &at, &key, &value)) {
        const struct alarm *alarm = value;
        assert(alarm->counted <= ALARM_RETRIES_MAX);
        if (alarm->state == ALARM_WAITING) {
            waiting++;
            assert(core->heap[alarm->heap_at] == alarm);
        }
        if (alarm->state == ALARM_GONE)
            assert(list_is_linked(&alarm->in_changed));
        if (alarm->state != ALARM_RUNNING)
            assert(alarm->queued_ms == 0);
        if (alarm->state == ALARM_RUNNING) {
            const struct core_worker *worker = &alarm->app->workers[alarm->slot];
            assert(worker->in_flight > 0);
            assert(worker->started - worker->read <= ALARMS_UNREAD_MAX);
        }
    }
    assert(waiting == core->heap_count);
    for (size_t i = 1; i < core->heap_count; i++)
        assert(core->heap[(i - 1) / 2]->fire_ms <= core->heap[i]->fire_ms);
}
