/*
 * loop — see loop.h. Timers are a heap of ours over the clock of lib/sys; libuv only wakes us for the soonest one.
 *
 * Threads: none; one loop per process.
 */
#include "lib/loop/loop.h"

#include <assert.h>
#include <stdlib.h>
#include <uv.h>

#include "lib/base/list.h"
#include "lib/loop/eager.h"
#include "lib/sys/sys.h"

#define TIMER_NOT_ARMED SIZE_MAX
#define TIMERS_CAP_MIN  16
#define TIMER_MS_MAX    (365ull * 24 * 3600 * 1000) /* a year: later ones only overflow sums */

struct loop_timer {
    struct loop *loop; /* borrowed: a loop outlives its timers */
    void (*fn)(void *owner);
    void *owner;
    int64_t due_us;
    uint64_t seq;    /* order of arming: decides between equal due times */
    size_t heap_pos; /* or TIMER_NOT_ARMED */
};

struct loop_poll {
    uv_poll_t uv;
    void (*fn)(void *owner, int events);
    void *owner;
};

enum hook_kind { HOOK_BEFORE_WAIT, HOOK_IDLE, HOOK_SIGNAL };

struct loop_hook {
    enum hook_kind kind;
    union {
        uv_handle_t handle;
        uv_idle_t idle;
        uv_signal_t signal;
    } uv; /* not for HOOK_BEFORE_WAIT */
    struct loop *loop;
    void (*fn)(void *owner);
    void (*signal_fn)(void *owner, int signo);
    void *owner;
    struct list_node in_loop; /* HOOK_BEFORE_WAIT: loop.hooks[] */
    bool is_dead;             /* destroyed while the hooks were being called */
};

struct loop {
    uv_loop_t uv;
    uv_timer_t wake; /* armed for the soonest timer */
    uv_prepare_t prepare;
    struct list_node hooks[LOOP_HOOK_ORDERS];
    unsigned hooks_running; /* depth of run_hooks() */
    struct loop_timer **heap;
    size_t heap_len;
    size_t heap_cap;
    uint64_t next_seq;
    int64_t wake_due_us; /* what `wake` is armed for; -1 when it is not */
    struct eager eager;
    int64_t expected_us; /* loop_expect_soon(), for the next wait; 0: nothing */
};

/* ---- timers --------------------------------------------------------------------------------------------------- */

static bool
is_sooner(const struct loop_timer *a, const struct loop_timer *b)
{
    return a->due_us != b->due_us ? a->due_us < b->due_us : a->seq < b->seq;
}

static void
heap_set(struct loop *loop, size_t pos, struct loop_timer *timer)
{
    loop->heap[pos] = timer;
    timer->heap_pos = pos;
}

static void
heap_up(struct loop *loop, size_t pos)
{
    struct loop_timer *timer = loop->heap[pos];

    while (pos > 0 && is_sooner(timer, loop->heap[(pos - 1) / 2])) {
        heap_set(loop, pos, loop->heap[(pos - 1) / 2]);
        pos = (pos - 1) / 2;
    }
    heap_set(loop, pos, timer);
}

static void
heap_down(struct loop *loop, size_t pos)
{
    struct loop_timer *timer = loop->heap[pos];

    for (;;) {
        size_t child = pos * 2 + 1;
        if (child >= loop->heap_len)
            break;
        if (child + 1 < loop->heap_len && is_sooner(loop->heap[child + 1], loop->heap[child]))
            child++;
        if (!is_sooner(loop->heap[child], timer))
            break;
        heap_set(loop, pos, loop->heap[child]);
        pos = child;
    }
    heap_set(loop, pos, timer);
}

struct loop_timer *
loop_timer_create(struct loop *loop, void (*fn)(void *owner), void *owner)
{
    struct loop_timer *timer = calloc(1, sizeof *timer);

    assert(timer != NULL);
    assert(fn != NULL);
    timer->loop = loop;
    timer->fn = fn;
    timer->owner = owner;
    timer->heap_pos = TIMER_NOT_ARMED;
    return timer;
}

void
loop_timer_arm(struct loop_timer *timer, uint64_t ms)
{
    struct loop *loop = timer->loop;

    loop_timer_disarm(timer);
    if (ms > TIMER_MS_MAX)
        ms = TIMER_MS_MAX;
    timer->due_us = clock_mono_us() + (int64_t)ms * 1000;
    timer->seq = loop->next_seq++;
    if (loop->heap_len == loop->heap_cap) {
        loop->heap_cap = loop->heap_cap == 0 ? TIMERS_CAP_MIN : loop->heap_cap * 2;
        loop->heap = realloc(loop->heap, loop->heap_cap * sizeof *loop->heap);
        assert(loop->heap != NULL);
    }
    loop->heap[loop->heap_len] = timer;
    heap_up(loop, loop->heap_len++);
}

void
loop_timer_disarm(struct loop_timer *timer)
{
    struct loop *loop = timer->loop;
    size_t pos = timer->heap_pos;
    struct loop_timer *last;

    if (pos == TIMER_NOT_ARMED)
        return;
    assert(pos < loop->heap_len);
    timer->heap_pos = TIMER_NOT_ARMED;
    last = loop->heap[--loop->heap_len];
    if (last == timer)
        return;
    heap_set(loop, pos, last);
    heap_up(loop, pos);
    heap_down(loop, last->heap_pos);
}

void
loop_timer_destroy(struct loop_timer **timer)
{
    if (*timer == NULL)
        return;
    loop_timer_disarm(*timer);
    free(*timer);
    *timer = NULL;
}

/* Fires what is due now. A callback that arms with 0 ms gets its turn in the next iteration, so that descriptors do
 * too. */
static void
fire_due(struct loop *loop)
{
    int64_t now_us = clock_mono_us();
    uint64_t seq_end = loop->next_seq;

    while (loop->heap_len > 0 && loop->heap[0]->due_us <= now_us && loop->heap[0]->seq < seq_end) {
        struct loop_timer *timer = loop->heap[0];
        loop_timer_disarm(timer);
        timer->fn(timer->owner);
    }
}

static void
on_wake(uv_timer_t *uv)
{
    struct loop *loop = uv->data;

    loop->wake_due_us = -1;
    fire_due(loop);
}

static void
arm_wake(struct loop *loop)
{
    int64_t due_us = loop->heap_len == 0 ? -1 : loop->heap[0]->due_us;
    int64_t left_us;
    int rc;

    if (due_us < 0) {
        (void)uv_timer_stop(&loop->wake); /* cannot fail on a live handle */
        loop->wake_due_us = -1;
        return;
    }
    left_us = due_us - clock_mono_us();
    /* Already armed for it; but a test clock may have jumped past it, which libuv cannot know. */
    if (due_us == loop->wake_due_us && left_us > 0)
        return;
    loop->wake_due_us = due_us;
    uv_update_time(&loop->uv); /* its clock stands still while callbacks run */
    rc = uv_timer_start(&loop->wake, on_wake, left_us <= 0 ? 0 : (uint64_t)(left_us + 999) / 1000, 0);
    assert(rc == 0);
}

/* ---- hooks ---------------------------------------------------------------------------------------------------- */

static void
sweep_hooks(struct loop *loop)
{
    struct loop_hook *hook;

    for (int order = 0; order < LOOP_HOOK_ORDERS; order++) {
        list_each (hook, &loop->hooks[order], struct loop_hook, in_loop) {
            if (!hook->is_dead)
                continue;
            list_remove(&hook->in_loop);
            free(hook);
        }
    }
}

static void
run_hooks(struct loop *loop, enum loop_hook_order order)
{
    struct list_node *node;

    loop->hooks_running++;
    for (node = loop->hooks[order].next; node != &loop->hooks[order]; node = node->next) {
        struct loop_hook *hook = list_entry(node, struct loop_hook, in_loop);
        if (!hook->is_dead)
            hook->fn(hook->owner);
    }
    loop->hooks_running--;
    if (loop->hooks_running == 0)
        sweep_hooks(loop);
}

/* libuv asks the same descriptor next, and finds at once what was found here. */
static void
wait_eagerly(struct loop *loop)
{
    const int64_t expected_us = loop->expected_us;

    loop->expected_us = 0;
    if (expected_us > 0 && uv_backend_timeout(&loop->uv) != 0)
        eager_wait(&loop->eager, uv_backend_fd(&loop->uv), expected_us);
}

static void
on_prepare(uv_prepare_t *uv)
{
    struct loop *loop = uv->data;

    run_hooks(loop, LOOP_HOOK_WORK);
    run_hooks(loop, LOOP_HOOK_WRITE);
    arm_wake(loop);
    wait_eagerly(loop);
}

static struct loop_hook *
hook_create(struct loop *loop, enum hook_kind kind, void *owner)
{
    struct loop_hook *hook = calloc(1, sizeof *hook);

    assert(hook != NULL);
    hook->kind = kind;
    hook->loop = loop;
    hook->owner = owner;
    return hook;
}

struct loop_hook *
loop_before_wait_ordered(struct loop *loop, enum loop_hook_order order, void (*fn)(void *owner), void *owner)
{
    struct loop_hook *hook = hook_create(loop, HOOK_BEFORE_WAIT, owner);

    hook->fn = fn;
    list_push_back(&loop->hooks[order], &hook->in_loop);
    return hook;
}

struct loop_hook *
loop_before_wait(struct loop *loop, void (*fn)(void *owner), void *owner)
{
    return loop_before_wait_ordered(loop, LOOP_HOOK_WORK, fn, owner);
}

static void
on_idle(uv_idle_t *uv)
{
    struct loop_hook *hook = uv->data;

    hook->fn(hook->owner);
}

struct loop_hook *
loop_idle(struct loop *loop, void (*fn)(void *owner), void *owner)
{
    struct loop_hook *hook = hook_create(loop, HOOK_IDLE, owner);
    int rc = uv_idle_init(&loop->uv, &hook->uv.idle);

    assert(rc == 0);
    hook->fn = fn;
    hook->uv.idle.data = hook;
    return hook;
}

void
loop_idle_set(struct loop_hook *idle, bool active)
{
    int rc;

    assert(idle->kind == HOOK_IDLE);
    rc = active ? uv_idle_start(&idle->uv.idle, on_idle) : uv_idle_stop(&idle->uv.idle);
    assert(rc == 0);
}

static void
on_signal(uv_signal_t *uv, int signo)
{
    struct loop_hook *hook = uv->data;

    hook->signal_fn(hook->owner, signo);
}

struct loop_hook *
loop_signal(struct loop *loop, int signo, void (*fn)(void *owner, int signo), void *owner)
{
    struct loop_hook *hook = hook_create(loop, HOOK_SIGNAL, owner);
    int rc = uv_signal_init(&loop->uv, &hook->uv.signal);

    assert(rc == 0);
    hook->signal_fn = fn;
    hook->uv.signal.data = hook;
    rc = uv_signal_start(&hook->uv.signal, on_signal, signo);
    assert(rc == 0);
    return hook;
}

static void
on_hook_closed(uv_handle_t *handle)
{
    free(handle->data);
}

void
loop_hook_destroy(struct loop_hook **hook)
{
    struct loop_hook *h = *hook;

    *hook = NULL;
    if (h == NULL)
        return;
    if (h->kind != HOOK_BEFORE_WAIT) {
        uv_close(&h->uv.handle, on_hook_closed);
        return;
    }
    h->is_dead = true;
    if (h->loop->hooks_running > 0)
        return;
    list_remove(&h->in_loop);
    free(h);
}

/* ---- descriptors ---------------------------------------------------------------------------------------------- */

static void
on_poll(uv_poll_t *uv, int status, int events)
{
    struct loop_poll *poll = uv->data;
    int out = 0;

    /* An error of the descriptor is reported as readiness: the owner's next read or write meets it with its errno. */
    if (status < 0)
        out = LOOP_READABLE | LOOP_WRITABLE;
    if ((events & (UV_READABLE | UV_DISCONNECT)) != 0)
        out |= LOOP_READABLE;
    if ((events & UV_WRITABLE) != 0)
        out |= LOOP_WRITABLE;
    poll->fn(poll->owner, out);
}

struct loop_poll *
loop_poll_create(struct loop *loop, int fd, void (*fn)(void *owner, int events), void *owner)
{
    struct loop_poll *poll = calloc(1, sizeof *poll);
    int rc;

    assert(poll != NULL);
    assert(fd >= 0);
    rc = uv_poll_init(&loop->uv, &poll->uv, fd);
    assert(rc == 0); /* fails only for a descriptor that cannot be polled, or twice for one: our bug */
    poll->uv.data = poll;
    poll->fn = fn;
    poll->owner = owner;
    return poll;
}

void
loop_poll_set(struct loop_poll *poll, int events)
{
    int want = ((events & LOOP_READABLE) != 0 ? UV_READABLE : 0) | ((events & LOOP_WRITABLE) != 0 ? UV_WRITABLE : 0);
    int rc = want == 0 ? uv_poll_stop(&poll->uv) : uv_poll_start(&poll->uv, want, on_poll);

    assert(rc == 0);
}

static void
on_poll_closed(uv_handle_t *handle)
{
    free(handle->data);
}

void
loop_poll_destroy(struct loop_poll **poll)
{
    if (*poll == NULL)
        return;
    uv_close((uv_handle_t *)&(*poll)->uv, on_poll_closed);
    *poll = NULL;
}

/* ---- the loop ------------------------------------------------------------------------------------------------- */

struct loop *
loop_create(void)
{
    struct loop *loop = calloc(1, sizeof *loop);
    int rc;

    assert(loop != NULL);
    rc = uv_loop_init(&loop->uv);
    assert(rc == 0);
    rc = uv_timer_init(&loop->uv, &loop->wake);
    assert(rc == 0);
    rc = uv_prepare_init(&loop->uv, &loop->prepare);
    assert(rc == 0);
    loop->wake.data = loop;
    loop->prepare.data = loop;
    loop->wake_due_us = -1;
    for (int order = 0; order < LOOP_HOOK_ORDERS; order++)
        list_init(&loop->hooks[order]);
    rc = uv_prepare_start(&loop->prepare, on_prepare);
    assert(rc == 0);
    return loop;
}

static void
close_if_open(uv_handle_t *handle, void *unused)
{
    (void)unused;
    if (!uv_is_closing(handle))
        uv_close(handle, NULL);
}

void
loop_destroy(struct loop **loop)
{
    struct loop *l = *loop;
    int rc;

    *loop = NULL;
    if (l == NULL)
        return;
    assert(l->hooks_running == 0);
    uv_close((uv_handle_t *)&l->prepare, NULL);
    uv_close((uv_handle_t *)&l->wake, NULL);
    uv_walk(&l->uv, close_if_open, NULL);
    /* Runs the close callbacks; nothing else is left. A loop that was stopped before it ran returns from the first run at once. */
    while (uv_run(&l->uv, UV_RUN_DEFAULT) != 0)
        ;
    rc = uv_loop_close(&l->uv);
    assert(rc == 0);
    for (size_t i = 0; i < l->heap_len; i++)
        l->heap[i]->heap_pos = TIMER_NOT_ARMED;
    free(l->heap);
    free(l);
}

void
loop_run(struct loop *loop)
{
    (void)uv_run(&loop->uv,
                 UV_RUN_DEFAULT); /* its result tells of handles that are still open: the prepare always is */
}

void
loop_run_once(struct loop *loop)
{
    (void)uv_run(&loop->uv, UV_RUN_ONCE); /* as in loop_run */
}

void
loop_stop(struct loop *loop)
{
    uv_stop(&loop->uv);
}

void
loop_expect_soon(struct loop *loop, uint32_t us)
{
    loop->expected_us = us;
}

struct uv_loop_s *
loop_uv(struct loop *loop)
{
    return &loop->uv;
}
