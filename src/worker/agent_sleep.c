/* agent_sleep — see agent_sleep.h. */
#include "src/worker/agent_sleep.h"

#include <assert.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>

#include "lib/loop/loop.h"
#include "lib/store/store.h"
#include "lib/sys/sys.h"
#include "src/worker/agent.h"
#include "src/worker/agent_cold.h"
#include "src/worker/commits.h"
#include "src/worker/deploy.h"
#include "src/worker/heap.h"
#include "src/worker/image.h"
#include "src/worker/log.h"
#include "src/worker/recall.h"
#include "src/worker/sql.h"
#include "src/worker/worker.h"
#include "src/worker/worker_limits.h"

#define COMMIT_UNKNOWN 0               /* of an image that stays in this process: nobody else commits */

/* Where addresses are few (ulimit -v, an unusual kernel), a part of them is kept for heaps beyond: who is busy cannot sleep. */
static uint32_t
awake_max(void)
{
    const size_t possible = heaps_possible(SLEEP_AWAKE_MAX);

    return (uint32_t)(possible == SLEEP_AWAKE_MAX ? possible : possible - possible / SLEEP_SPARE_PART);
}

void
agent_sleep_init(void)
{
    struct sleep_limits limits = {
        .warm_after_ms = worker.warm_ms, .stay_ms_max = worker.warm_ms > SLEEP_STAY_MS_MAX ? worker.warm_ms : SLEEP_STAY_MS_MAX,
        .discard_after_ms = worker.idle_ms, .cold_after_ms = worker.cold_ms,
        .stay_warm_ms_max = worker.cold_ms < UINT32_MAX / SLEEP_STAY_WARM_TIMES ? worker.cold_ms * SLEEP_STAY_WARM_TIMES : UINT32_MAX, .awake_max = awake_max(), .warm_bytes_max = SLEEP_WARM_BYTES_MAX,
    };

    sleep_book_init(&worker.sleep, &limits);
}

static bool
is_kept(const struct agent *a)
{
    return !a->is_entry && a->deploy != NULL && deploy_keeps_heap(a->deploy, bytes_of(a->class_name));
}

/* Whether its heap may be away: nothing runs in it, and nothing can be delivered to it now. What it waits for (calls, timers, sockets,
 * critical sections) is its structure's, which stays; what comes of it is an event, and wakes it. */
static bool
may_sleep(const struct agent *a)
{
    return a->state == AGENT_AWAKE && !a->is_running && !a->wants_reset && !a->is_leaving && !a->wants_checkpoint && !agent_has_event(a) &&
           (a->store == NULL || (store_depth(a->store) == 0 && !store_is_dirty(a->store)));
}

const char *
agent_why_awake(const struct agent *a)
{
    if (a->state == AGENT_RECALLING)
        return "the journal is asked for what its database lacks";
    if (a->state == AGENT_LISTING)
        return "the gateway is listing its sockets";
    if (a->state == AGENT_BOOTING)
        return "its constructor is waiting (blockConcurrencyWhile)";
    if (a->is_leaving)
        return "it is being deleted or restored";
    if (a->wants_checkpoint)
        return "its database must be brought up to date first";
    if (a->is_running || agent_has_event(a))
        return "it is about to handle an event";
    if (a->store != NULL && store_depth(a->store) > 0)
        return "a transaction is open";
    return may_sleep(a) ? NULL : "its last writes are not committed yet";
}

/* ---- what happens to it ---- */

void
agent_touched(struct agent *a, bool is_own)
{
    if (is_own)
        sleep_stir(&worker.sleep, &a->sleeper, clock_mono_ms());
    else
        sleep_touch(&worker.sleep, &a->sleeper, clock_mono_ms());
}

void
agent_is_quiet(struct agent *a)
{
    bool is_idle = agent_is_idle(a);

    if (a->state == AGENT_ABSENT || (!is_idle && !may_sleep(a)))
        return;
    a->idle_since_ms = clock_mono_ms();
    if (is_idle && (a->state != AGENT_WARM || a->store != NULL)) {
        list_remove(&a->in_idle);
        if (a->is_young && list_is_empty(&worker.young))
            loop_timer_arm(worker.idle_timer, AGENT_YOUNG_REST_MS);
        list_push_back(a->is_young ? &worker.young : &worker.idle, &a->in_idle);
        a->is_young = false;
    }
    if (a->state != AGENT_AWAKE)
        return;
    if (a->sleeper.was_touched)
        a->sleeper.discards = !is_kept(a);
    a->sleeper.is_costly = a->store != NULL;
    if (is_idle || !a->sleeper.discards)
        sleep_idle(&worker.sleep, &a->sleeper, a->idle_since_ms);
}

void
agent_heap_made(struct agent *a)
{
    heap_set_user(a->heap, a);
    sleep_note(&worker.sleep, &a->sleeper, SLEEP_STARTED, 0, clock_mono_ms());
}

void
agent_heap_drop(struct agent *a)
{
    if (a->state == AGENT_WARM && a->deploy != worker.deploy)
        worker.images_refused[IMAGE_TEMPLATE]++;
    heap_destroy(&a->heap);
    buf_fini(&a->image);
    deploy_unref(&a->deploy);
    sleep_note(&worker.sleep, &a->sleeper, SLEEP_LOST, 0, clock_mono_ms());
}

/* ---- warm ---- */

/* Kept in a piece of memory of just its size: images stay for long. */
static void
keep_image(struct agent *a, struct bytes image)
{
    a->image = (struct buf){ .data = (uint8_t *)bytes_dup(image), .len = image.len, .cap = image.len };
    heap_destroy(&a->heap);
    a->state = AGENT_WARM;
    worker.sleeps++;
    sleep_note(&worker.sleep, &a->sleeper, SLEEP_IMAGED, image.len + SLEEP_WARM_BYTES, clock_mono_ms());
}

/* Of an agent that waits for nothing. */
static void
drop_empty_maps(struct agent *a)
{
    struct umap **maps[] = { &a->incoming, &a->outgoing, &a->timers, &a->cursors, &a->deflate_streams };

    for (size_t i = 0; i < ARRAY_LEN(maps); i++)
        if (*maps[i] != NULL && umap_count(*maps[i]) == 0)
            umap_destroy(maps[i]);
}

static bool
go_warm(struct agent *a)
{
    static struct buf image;           /* kept: the next one needs it too */
    int64_t start_us = clock_cpu_us();
    struct image_label label = { .commit = COMMIT_UNKNOWN, .kin = deploy_kin(a->deploy, bytes_of(a->class_name)) };

    buf_clear(&image);
    if (!image_take(a->heap, &label, &image))
        return false;
    keep_image(a, buf_view(&image));
    if (agent_is_idle(a))
        drop_empty_maps(a);
    if (image.cap > SLEEP_SCRATCH_BYTES_MAX)
        buf_fini(&image);
    worker.sleep_us += clock_cpu_us() - start_us;
    return true;
}

bool
agent_wake(struct agent *a)
{
    int64_t start_us = clock_cpu_us();
    enum image_refusal refusal;
    struct bytes about;

    assert(a->state == AGENT_WARM && a->heap == NULL);
    /* A database that would have to be recalled first is not what the heap has seen. */
    refusal = recall_is_needed(a) ? IMAGE_COMMIT
                                  : image_apply(buf_view(&a->image), a->deploy->template, worker.heap_bytes_max, COMMIT_UNKNOWN, &a->heap, &about);
    if (refusal != IMAGE_FINE) {
        worker.images_refused[refusal]++;
        worker_log_agent(a, 2, "its heap cannot wake (%s): it starts from its database", image_refusal_text(refusal));
        agent_reset(a, ERR_LOST, FAIL_RESET | FAIL_RETRYABLE, "The object's memory was lost while it slept.");
        return false;
    }
    buf_fini(&a->image);
    a->cursors_stay = false;
    if (a->incoming == NULL)
        a->incoming = umap_create();
    if (a->outgoing == NULL)
        a->outgoing = umap_create();
    a->state = AGENT_AWAKE;
    worker.warm_wakes++;
    worker.wake_us += clock_cpu_us() - start_us;
    agent_heap_made(a);
    return true;
}

/* ---- the clock's part ---- */

static bool
has_cursors(const struct agent *a)
{
    return a->cursors != NULL && umap_count(a->cursors) > 0;
}

/* False: A was reset, or has an event now: the caller pumps it. */
static bool
rest(struct agent *a)
{
    list_remove(&a->in_idle);
    if (has_cursors(a) && may_sleep(a) && (!sql_rest_cursors(a, 0) || !may_sleep(a)))
        return false;
    if (has_cursors(a))
        return true;                   /* they need it */
    /* Closed, not trimmed: what is left of a trimmed one is spread thin over our own heap (210 KB held for 44 KB used), and its
     * descriptor stays. Opening again takes a quarter of a millisecond, at the first statement. One whose file cannot be written now
     * stays open: its heap may not open the file again without it. */
    if (commits_checkpoint(a))
        commits_close_store(a);
    return true;
}

static void
fall_asleep(struct agent *a)
{
    if (go_warm(a))
        return;
    a->sleeper.discards = true;        /* too large: it waits as those do that are thrown away */
    sleep_defer(&worker.sleep, &a->sleeper, clock_mono_ms());
}

/* A is warm, with cursors that have rows left: those go into its heap, as they are now, and it is warm again. False: it is not; the caller
 * pumps it. */
static bool
take_cursors_along(struct agent *a)
{
    if (!agent_wake(a) || !sql_rest_cursors(a, CURSOR_REST_BYTES_MAX) || !may_sleep(a))
        return false;
    a->cursors_stay = has_cursors(a);
    sleep_idle(&worker.sleep, &a->sleeper, a->sleeper.idle_since_ms);
    if (!rest(a))
        return false;
    fall_asleep(a);
    return a->state == AGENT_WARM;
}

/* From warm to its folder. Who has sockets stays while there is room: its constructor need not run for the sake of memory. False: it
 * stays, also because something is pending. */
static bool
leave(struct agent *a)
{
    bool is_stored;

    if ((has_cursors(a) && !a->cursors_stay && agent_is_idle(a) && !take_cursors_along(a)) || (a->store != NULL && !rest(a))) {
        agent_pump(a);
        return true;
    }
    is_stored = agent_cold_store(a);
    if (is_stored) {
        sleep_note(&worker.sleep, &a->sleeper, SLEEP_STORED, 0, clock_mono_ms());
        worker.colds++;
    }
    if ((is_stored || agent_may_go_cold(a) || worker.sleep.warm_bytes > SLEEP_WARM_BYTES_MAX) && agent_evict(a))
        return true;
    sleep_defer(&worker.sleep, &a->sleeper, clock_mono_ms());
    return false;
}

bool
agent_sleep_now(struct agent *a)
{
    if (a->state == AGENT_WARM)
        return true;
    if (!may_sleep(a) || !is_kept(a))
        return false;
    return rest(a) && go_warm(a);
}

/* It is time for A; if it cannot be now, then after another idle time. False: to ask for the next one at once may be in vain too. */
static bool
put_to_sleep(struct agent *a)
{
    if (a->state == AGENT_WARM)
        return leave(a);
    if (!may_sleep(a) || (a == worker.entry && (worker.sleep.pressure != SLEEP_AT_EASE || sleep_is_crowded(&worker.sleep)))) {
        agent_touched(a, false);       /* one heap, which every request needs, is no relief */
    } else if (a->sleeper.discards) {
        if (!agent_evict(a))           /* else A is gone */
            agent_touched(a, false);
    } else if (rest(a)) {
        fall_asleep(a);
    } else {
        agent_pump(a);
    }
    return true;
}

/* A heap that stays for long gives back the pages that are as in the template again; of the others an image is made soon. */
static bool
stays_long(const struct agent *a)
{
    return a->sleeper.discards || worker.warm_ms > AGENT_SHARE_MS_MIN;
}

enum youth { OLD, YOUNG };

/* Rests those of LIST that are idle for REST_MS, longest first; counts them and lowers *next to the time until the next one. */
static unsigned
rest_all(struct list_node *list, int64_t now, int64_t rest_ms, enum youth youth, int64_t *next)
{
    struct agent *a;
    unsigned count = 0;

    for (; (a = list_first(list, struct agent, in_idle)) != NULL && now - a->idle_since_ms >= rest_ms; count++) {
        if (!rest(a))
            agent_pump(a);
        else if (a->heap != NULL && (youth == YOUNG ? stays_long(a) : a->sleeper.discards))
            (void)heap_share_again(a->heap);
    }
    if (a != NULL && rest_ms - (now - a->idle_since_ms) < *next)
        *next = rest_ms - (now - a->idle_since_ms);
    return count;
}

/* Heaps are being made at such a pace that what is free is taken again at once: to give it back now would be paid in faults, 80 us for each. */
static bool
is_in_demand(int64_t passed_ms)
{
    static uint64_t last;
    const uint64_t made = worker.wakes + worker.warm_wakes, since = made - last;

    if (worker.sleep.pressure != SLEEP_AT_EASE || passed_ms >= GIVE_BACK_MS_MAX || since * GIVE_BACK_MS <= (uint64_t)passed_ms * GIVE_BACK_STARTS) {
        last = made;
        return false;
    }
    return true;
}

/* Statements, pages and schemas are small blocks all over our own heap: what is free of it goes back, but not more often than it is worth
 * (a call costs 50 us to milliseconds, and what is given back too early is faulted in again). */
static void
give_back(bool is_more_free, int64_t now)
{
    static bool is_due;
    static int64_t last_ms;
    const int64_t passed_ms = now - last_ms;

    is_due |= is_more_free;
    if (passed_ms < (worker.sleep.pressure == SLEEP_AT_EASE ? GIVE_BACK_MS : GIVE_BACK_PRESSED_MS) || is_in_demand(passed_ms))
        return;
    last_ms = now;
    heap_pool_rest(worker.sleep.pressure == SLEEP_AT_EASE ? HEAP_POOL_IN_USE : HEAP_POOL_ALL);
    if (is_due) {
        store_give_back();
        (void)malloc_trim(0);
    }
    is_due = false;
}

void
agents_make_room(void)
{
    const int64_t now = clock_mono_ms();
    int64_t ignored = AGENT_REST_MS;
    struct sleeper *s;

    for (unsigned i = 0; i < STARVING_LEAVES && (s = sleep_next(&worker.sleep, now, &ignored)) != NULL; i++)
        (void)put_to_sleep(container_of(s, struct agent, sleeper));
    give_back(true, now);
}

int64_t
agents_rest(void)
{
    int64_t now = clock_mono_ms(), next = AGENT_REST_MS;
    struct sleeper *s = NULL;
    unsigned gone = 0;
    const int64_t stuck_ms = worker.sleep.pressure == SLEEP_AT_EASE ? AGENT_REST_MS : PRESSED_REST_MS;
    bool is_stuck = false;

    agents_finish_deploy(now);
    gone += rest_all(&worker.young, now, AGENT_YOUNG_REST_MS, YOUNG, &next);
    gone += rest_all(&worker.idle, now, AGENT_REST_MS, OLD, &next);
    for (unsigned i = 0; i < SLEEPS_PER_ROUND && (s = sleep_next(&worker.sleep, now, &next)) != NULL; i++, gone++)
        is_stuck |= !put_to_sleep(container_of(s, struct agent, sleeper));
    give_back(gone > 0, now);
    if (next > stuck_ms)
        next = stuck_ms;
    return s == NULL ? (next > 0 ? next : 1) : is_stuck ? stuck_ms : 1;
}

void
agents_press(enum pressure level)
{
    static const enum sleep_pressure pressures[PRESSURES] = {
        [PRESSURE_EASE] = SLEEP_AT_EASE, [PRESSURE_TIGHT] = SLEEP_TIGHT, [PRESSURE_STARVING] = SLEEP_STARVING,
    };

    worker.sleep.pressure = pressures[level];
    loop_timer_arm(worker.idle_timer, 0);
}
