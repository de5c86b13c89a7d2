/*
 * sim_loop — lib/loop for rooms in the simulator: timers and hooks are kept; the house runs them.
 */
#include <assert.h>
#include <stdlib.h>

#include "tests/sim/sim_house.h"

struct loop_timer *
loop_timer_create(struct loop *loop, void (*fn)(void *owner), void *owner)
{
    struct loop_timer *timer = calloc(1, sizeof *timer);

    assert(timer != NULL);
    timer->fn = fn;
    timer->owner = owner;
    timer->next = loop->proc->timers;
    loop->proc->timers = timer;
    return timer;
}

void
loop_timer_arm(struct loop_timer *timer, uint64_t ms)
{
    timer->is_armed = true;
    timer->due_us = sim_now_us + (int64_t)ms * 1000;
}

void
loop_timer_disarm(struct loop_timer *timer)
{
    timer->is_armed = false;
}

void
loop_timer_destroy(struct loop_timer **timer)
{
    if (*timer == NULL)
        return;
    (*timer)->is_armed = false;
    (*timer)->is_gone = true;
    *timer = NULL;
}

static struct loop_hook *
hook_create(struct loop *loop, void (*fn)(void *owner), void *owner, bool is_idle)
{
    struct loop_hook *hook = calloc(1, sizeof *hook);

    assert(hook != NULL);
    hook->fn = fn;
    hook->owner = owner;
    hook->is_idle = is_idle;
    *loop->proc->hooks_end = hook;
    loop->proc->hooks_end = &hook->next;
    return hook;
}

struct loop_hook *
loop_before_wait(struct loop *loop, void (*fn)(void *owner), void *owner)
{
    return hook_create(loop, fn, owner, false);
}

struct loop_hook *
loop_idle(struct loop *loop, void (*fn)(void *owner), void *owner)
{
    return hook_create(loop, fn, owner, true);
}

void
loop_idle_set(struct loop_hook *idle, bool active)
{
    idle->is_active = active;
}

void
loop_expect_soon(struct loop *loop, uint32_t us)
{
    /* Nobody waits here: whose turn it is is not a matter of time. */
}
