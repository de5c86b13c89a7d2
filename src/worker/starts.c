/* starts — see starts.h. */
#include "src/worker/starts.h"

#include "lib/loop/loop.h"
#include "lib/sys/sys.h"
#include "src/worker/agent.h"
#include "src/worker/log.h"
#include "src/worker/worker.h"
#include "src/worker/worker_limits.h"

static struct {
    struct list_node    line;          /* agents, longest waiting first */
    size_t              count;
    struct loop_hook   *idle;          /* active while somebody stands in line */
    const struct agent *admitted;      /* its turn has come; compared only */
    bool                is_new_pass;   /* no heap was made in it yet */
    int64_t             pass_us;       /* processor time when its first one was begun */
} starts;

/* While memory is starving one heap per pass is enough: others go to sleep between. */
static bool
has_time(int64_t since_us)
{
    return worker.sleep.pressure != SLEEP_STARVING && clock_cpu_us() - since_us < STARTS_SLICE_US;
}

static void
on_pass(void *owner)
{
    starts.is_new_pass = true;
}

static void
on_idle(void *owner)
{
    int64_t begin_us = clock_cpu_us();
    struct agent *a;

    while ((a = list_first(&starts.line, struct agent, in_starts)) != NULL) {
        starts_leave(a);
        starts.admitted = a;
        agent_pump(a);
        starts.admitted = NULL;
        if (!has_time(begin_us))
            break;
    }
    loop_idle_set(starts.idle, starts.count > 0);
    worker_run_loopback();
}

void
starts_init(void)
{
    list_init(&starts.line);
    starts.idle = loop_idle(worker.loop, on_idle, NULL);
    starts.is_new_pass = true;
    (void)loop_before_wait(worker.loop, on_pass, NULL);      /* lives as long as the loop */
}

bool
starts_has(const struct agent *a)
{
    return list_is_linked(&a->in_starts);
}

void
starts_leave(struct agent *a)
{
    if (!starts_has(a))
        return;
    list_remove(&a->in_starts);
    starts.count--;
}

size_t
starts_count(void)
{
    return starts.count;
}

bool
starts_admit(struct agent *a)
{
    if (a->is_entry)
        return true;                   /* every request needs it */
    if (starts.admitted == a)
        return true;
    if (starts.count == 0 && starts.is_new_pass) {
        starts.is_new_pass = false;
        starts.pass_us = clock_cpu_us();
        return true;
    }
    if (starts.count == 0 && has_time(starts.pass_us))
        return true;
    list_push_back(&starts.line, &a->in_starts);
    starts.count++;
    loop_idle_set(starts.idle, true);
    return false;
}
