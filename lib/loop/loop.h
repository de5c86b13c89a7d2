/*
 * loop — an event loop: descriptors, timers, signals, idle work. A thin cover over libuv.
 *
 * Threads: one loop per process. Time inside comes from lib/sys (clock_mono_ms), so that tests own it.
 */
#ifndef DORMOUSE_LOOP_H
#define DORMOUSE_LOOP_H

#include "lib/base/macros.h"

struct loop;
struct loop_timer;
struct loop_poll;

struct loop *loop_create(void);
void loop_destroy(struct loop **loop);
void loop_run(struct loop *loop);                  /* until loop_stop() */
void loop_run_once(struct loop *loop);             /* one iteration: waits until something happened (tests, tools) */
void loop_stop(struct loop *loop);
struct uv_loop_s *loop_uv(struct loop *loop);      /* for the room that speaks libuv itself (gateway, egress) */

/* One-shot timer, re-armable. MS from now. The callback may re-arm or destroy it. */
struct loop_timer *loop_timer_create(struct loop *loop, void (*fn)(void *owner), void *owner);
void loop_timer_arm(struct loop_timer *timer, uint64_t ms);
void loop_timer_disarm(struct loop_timer *timer);
void loop_timer_destroy(struct loop_timer **timer);

enum { LOOP_READABLE = 1, LOOP_WRITABLE = 2 };
struct loop_poll *loop_poll_create(struct loop *loop, int fd, void (*fn)(void *owner, int events), void *owner);
void loop_poll_set(struct loop_poll *poll, int events);          /* 0 pauses */
void loop_poll_destroy(struct loop_poll **poll);                 /* does not close fd */

/* Called once per iteration, just before the loop waits, in the order of creation. Links write after all of them, so that
 * what a hook sends leaves at once. */
struct loop_hook;
struct loop_hook *loop_before_wait(struct loop *loop, void (*fn)(void *owner), void *owner);
enum loop_hook_order { LOOP_HOOK_WORK, LOOP_HOOK_WRITE, LOOP_HOOK_ORDERS };   /* WRITE: for links only */
struct loop_hook *loop_before_wait_ordered(struct loop *loop, enum loop_hook_order order, void (*fn)(void *owner), void *owner);
void loop_hook_destroy(struct loop_hook **hook);
/* While set, the loop does not wait: fn is called in every iteration (a worker with queued turns). */
struct loop_hook *loop_idle(struct loop *loop, void (*fn)(void *owner), void *owner);
void loop_idle_set(struct loop_hook *idle, bool active);
/* What was just sent is answered within some US, most likely: the next wait asks for it so long before it sleeps (eager.h). */
void loop_expect_soon(struct loop *loop, uint32_t us);
/* Calls fn(owner, signo) for the signal. */
struct loop_hook *loop_signal(struct loop *loop, int signo, void (*fn)(void *owner, int signo), void *owner);

#endif
