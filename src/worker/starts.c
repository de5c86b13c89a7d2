/* starts — see starts.h. */
#include "src/worker/starts.h"

#include "lib/loop/loop.h"
#include "lib/sys/sys.h"
#include "src/worker/agent.h"
#include "src/worker/agent_sleep.h"
#include "src/worker/log.h"
#include "src/worker/peer.h"
#include "src/worker/worker.h"
#include "src/worker/worker_limits.h"

static struct {
    struct list_node    line;          /* agents that a request or message wakes, longest waiting first */
    struct list_node    alarms;        /* agents that nothing but an alarm wakes, the same */
    struct list_node    entries;       /* entries with requests that have not begun */
    size_t              count;         /* in line and alarms */
    struct loop_hook   *idle;          /* active while somebody waits */
    const struct agent *admitted;      /* its turn has come; compared only */
    unsigned            admissions;    /* counted, for the alarms' part */
    unsigned            passes;        /* in which requests began and no heap was made */
    bool                is_new_pass;   /* no heap was made in it yet */
    bool                is_new_begin;  /* no request has begun in it yet */
    int64_t             pass_us;       /* processor time when its first heap was begun */
    int64_t             begin_us;      /* … and its first request */
} starts;

/* Memory is starving, or more are awake than should be: one heap per pass is enough, others go to sleep between. */
static bool
is_short_of_room(void)
{
    return worker.sleep.pressure == SLEEP_STARVING || sleep_is_crowded(&worker.sleep);
}

static bool
has_time(int64_t since_us)
{
    return !is_short_of_room() && clock_cpu_us() - since_us < STARTS_SLICE_US;
}

static void
look_idle(void)
{
    loop_idle_set(starts.idle, starts.count > 0 || !list_is_empty(&starts.entries));
}

static void
on_pass(void *owner)
{
    starts.is_new_pass = starts.is_new_begin = true;
}

/* Whose turn it is: alarms have a part of the turns, and those that nobody else wants. */
static struct agent *
next_of_line(void)
{
    struct agent *asked = list_first(&starts.line, struct agent, in_starts);
    struct agent *rung = list_first(&starts.alarms, struct agent, in_starts);

    starts.admissions++;
    return asked != NULL && (rung == NULL || starts.admissions % STARTS_ALARMS_PART != 0) ? asked : rung;
}

static void
make_heaps(void)
{
    int64_t since_us = clock_cpu_us();
    struct agent *a;

    /* Who comes waits until others have gone: the supervisor looks at the memory now and then, a crowd takes 10 MB in that time. */
    if (is_short_of_room() && starts.count > 0)
        agents_make_room();

    while ((a = next_of_line()) != NULL) {
        starts_leave(a);
        starts.admitted = a;
        agent_pump(a);
        starts.admitted = NULL;
        if (!has_time(since_us))
            break;
    }
}

static void
on_idle(void *owner)
{
    struct agent *entry = list_first(&starts.entries, struct agent, in_starts);

    if (entry != NULL) {
        list_remove(&entry->in_starts);
        starts.is_new_begin = true;
        agent_pump(entry);
    }
    if (list_is_empty(&starts.entries) || ++starts.passes >= STARTS_PASSES) {
        starts.passes = 0;
        make_heaps();
    }
    look_idle();
    worker_run_loopback();
}

void
starts_init(void)
{
    list_init(&starts.line);
    list_init(&starts.alarms);
    list_init(&starts.entries);
    starts.idle = loop_idle(worker.loop, on_idle, NULL);
    on_pass(NULL);
    (void)loop_before_wait(worker.loop, on_pass, NULL);      /* lives as long as the loop */
}

bool
starts_has(const struct agent *a)
{
    return !a->is_entry && list_is_linked(&a->in_starts);
}

void
starts_leave(struct agent *a)
{
    if (!list_is_linked(&a->in_starts))
        return;
    list_remove(&a->in_starts);
    starts.count -= !a->is_entry;
}

size_t
starts_count(void)
{
    return starts.count;
}

static bool
is_alarm(const struct event *e)
{
    return e->call != NULL && e->call->kind == CALL_ALARM;
}

void
starts_hurry(struct agent *a, const struct event *e)
{
    if (!starts_has(a) || !a->is_rung || is_alarm(e))
        return;
    a->is_rung = false;
    list_remove(&a->in_starts);
    list_push_back(&starts.line, &a->in_starts);
}

static bool
is_nobody_before(const struct event *e)
{
    return list_is_empty(&starts.entries) && list_is_empty(&starts.line) && (!is_alarm(e) || list_is_empty(&starts.alarms));
}

bool
starts_admit(struct agent *a, const struct event *e)
{
    if (a->is_entry)
        return true;                   /* every request needs it */
    if (starts.admitted == a)
        return true;
    if (is_nobody_before(e) && !is_short_of_room()) {
        if (starts.is_new_pass)
            starts.pass_us = clock_cpu_us();
        if (starts.is_new_pass || has_time(starts.pass_us)) {
            starts.is_new_pass = false;
            return true;
        }
    }
    a->is_rung = is_alarm(e);
    list_push_back(a->is_rung ? &starts.alarms : &starts.line, &a->in_starts);
    starts.count++;
    look_idle();
    return false;
}

bool
starts_may_begin(struct agent *entry)
{
    if (starts.is_new_begin) {
        starts.is_new_begin = false;
        starts.begin_us = clock_cpu_us();
        return true;
    }
    if (clock_cpu_us() - starts.begin_us < STARTS_SLICE_US)
        return true;
    if (!list_is_linked(&entry->in_starts))
        list_push_back(&starts.entries, &entry->in_starts);
    look_idle();
    return false;
}
