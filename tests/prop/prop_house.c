/* prop_house — the worker's loop, links and clock: nothing happens unless the test lets it happen. */
#include <assert.h>
#include <malloc.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/ipc/room.h"
#include "lib/jail/jail.h"
#include "lib/loop/loop.h"
#include "lib/sys/sys.h"
#include "src/worker/agent.h"
#include "src/worker/log.h"
#include "src/worker/worker.h"
#include "tests/prop/prop.h"

int worker_main(int argc, char **argv);            /* worker_main.c's main */

struct loop {
    int unused;
};
struct loop_timer {
    struct loop_timer *next, **at;
    void             (*fn)(void *owner);
    void              *owner;
    int64_t            due_us;
    uint64_t           order;                      /* of arming: timers of one moment fire in it */
    bool               is_armed, is_of_room;
};
struct loop_hook {
    struct loop_hook *next;
    void            (*fn)(void *owner);
    void             *owner;
    bool              is_idle, is_active;
};
struct room {
    const struct room_spec *spec;
    bool                    is_exiting;
};
struct link {
    struct msg_HELLO peer;
    struct buf       out;
    void            *user;
    bool             is_up;
};

const char *const peer_names[PEERS] = { "gateway", "egress", "scheduler", "journal", "control", "worker" };
int64_t house_now_us = 3600 * 1000000ll;
static struct loop the_loop;
static struct room the_room;
static struct loop_timer *timers;
static struct loop_hook *hooks, **hooks_end = &hooks;
static uint64_t last_order;
static struct chance random_bytes, salts;
static struct bytes conf;
static bool has_started;
static struct loop_timer *patience;    /* the room's timer that runs while the journal is away */
static struct link supervisor = { .peer.role = ROLE_SUPERVISOR, .is_up = true };
static struct link links[PEERS] = {
    [PEER_GATEWAY] = { .peer.role = ROLE_GATEWAY }, [PEER_EGRESS] = { .peer.role = ROLE_EGRESS },
    [PEER_SCHEDULER] = { .peer.role = ROLE_SCHEDULER }, [PEER_JOURNAL] = { .peer.role = ROLE_JOURNAL },
    [PEER_CONTROL] = { .peer.role = ROLE_CONTROL }, [PEER_WORKER] = { .peer = { .role = ROLE_WORKER, .index = 1 } },
};

/* ---- chance ---- */

static uint64_t
mixed(uint64_t z)
{
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
    return z ^ (z >> 31);
}

/* Neighbouring seeds must not give the same numbers some places apart. */
struct chance
chance_of(uint64_t seed, uint64_t purpose)
{
    return (struct chance){ mixed(mixed(seed + 0x632be59bd9b4e019ull) ^ purpose * 0xd1b54a32d192ed03ull) };
}

uint64_t
chance_u64(struct chance *c)
{
    return mixed(c->state += 0x9e3779b97f4a7c15ull);
}

uint32_t
chance_below(struct chance *c, uint32_t n)
{
    return (uint32_t)(chance_u64(c) % n);
}

/* ---- the kernel's part ---- */

static int64_t
clock_wall(void)
{
    return HOUSE_WALL_US + house_now_us;
}

static int64_t
clock_mono(void)
{
    return house_now_us;
}

/* The processor's time does not pass: what a slice of it holds must not depend on the machine. */
static int64_t
clock_cpu(void)
{
    return 0;
}

static int
no_sync(int fd)
{
    return 0;
}

#define SALT_BYTES 8                   /* drawn into the heap; all else of this size is drawn onto the stack */
#define STACK_NEAR_BYTES 65536

static int
fill_random(void *out, size_t len)
{
    uint8_t *bytes = out;
    /* A write-ahead log's salt, which is as often drawn anew as the log is: those of who sleeps must not shift all other draws. */
    const bool is_salt = len == SALT_BYTES && (uintptr_t)out - (uintptr_t)&bytes > STACK_NEAR_BYTES;

    for (size_t i = 0; i < len; i++)
        bytes[i] = (uint8_t)chance_u64(is_salt ? &salts : &random_bytes);
    return 0;
}

void
house_chance(struct chance c)
{
    random_bytes = c;
}

/* Giving memory back costs more than a whole step. */
int
malloc_trim(size_t pad)
{
    return 0;
}

/* ---- lib/loop ---- */

static void
timer_unlink(struct loop_timer *timer)
{
    *timer->at = timer->next;
    if (timer->next != NULL)
        timer->next->at = timer->at;
}

struct loop_timer *
loop_timer_create(struct loop *loop, void (*fn)(void *owner), void *owner)
{
    struct loop_timer *timer = calloc(1, sizeof *timer);

    assert(timer != NULL);
    *timer = (struct loop_timer){ .next = timers, .at = &timers, .fn = fn, .owner = owner, .is_of_room = !has_started };
    if (timers != NULL)
        timers->at = &timer->next;
    timers = timer;
    return timer;
}

void
loop_timer_arm(struct loop_timer *timer, uint64_t ms)
{
    timer->is_armed = true;
    timer->due_us = house_now_us + (int64_t)ms * 1000;
    timer->order = ++last_order;
}

void
loop_timer_disarm(struct loop_timer *timer)
{
    timer->is_armed = false;
}

void
loop_timer_destroy(struct loop_timer **timer)
{
    if (*timer != NULL) {
        timer_unlink(*timer);
        free(*timer);
    }
    *timer = NULL;
}

static struct loop_timer *
first_timer(void)
{
    struct loop_timer *first = NULL;

    for (struct loop_timer *t = timers; t != NULL; t = t->next)
        if (t->is_armed && !t->is_of_room &&
            (first == NULL || t->due_us < first->due_us || (t->due_us == first->due_us && t->order < first->order)))
            first = t;
    return first;
}

int64_t
house_timer_due_us(void)
{
    const struct loop_timer *first = first_timer();

    return first != NULL ? first->due_us : INT64_MAX;
}

bool
house_timer_drop(uint32_t which)
{
    uint32_t count = 0;

    for (struct loop_timer *t = timers; t != NULL; t = t->next)
        count += t->is_armed && !t->is_of_room;
    if (count == 0)
        return false;
    which %= count;
    for (struct loop_timer *t = timers; t != NULL; t = t->next)
        if (t->is_armed && !t->is_of_room && which-- == 0)
            t->is_armed = false;
    return true;
}

static struct loop_hook *
hook_create(void (*fn)(void *owner), void *owner, bool is_idle)
{
    struct loop_hook *hook = calloc(1, sizeof *hook);

    assert(hook != NULL);
    *hook = (struct loop_hook){ .fn = fn, .owner = owner, .is_idle = is_idle };
    *hooks_end = hook;
    hooks_end = &hook->next;
    return hook;
}

struct loop_hook *
loop_before_wait(struct loop *loop, void (*fn)(void *owner), void *owner)
{
    return hook_create(fn, owner, false);
}

struct loop_hook *
loop_idle(struct loop *loop, void (*fn)(void *owner), void *owner)
{
    return hook_create(fn, owner, true);
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

#define HOOK_ROUNDS_MAX 1000

static void
run_hooks(void)
{
    bool is_more = true;

    for (int i = 0; is_more && i < HOOK_ROUNDS_MAX; i++) {
        is_more = false;
        for (struct loop_hook *hook = hooks; hook != NULL; hook = hook->next) {
            if (hook->is_idle && !hook->is_active)
                continue;
            hook->fn(hook->owner);
            is_more |= hook->is_idle;
        }
    }
    if (is_more)
        prop_fail("the worker does not come to rest");
}

void
house_timer_fire(void)
{
    struct loop_timer *timer = first_timer();

    assert(timer != NULL);
    timer->is_armed = false;
    if (timer->due_us > house_now_us)
        house_now_us = timer->due_us;
    timer->fn(timer->owner);           /* may destroy it */
    run_hooks();
}

/* ---- lib/ipc ---- */

struct buf *
link_out(struct link *link)
{
    return &link->out;
}

void
link_flush(struct link *link)
{
}

/* The files are synced where they lie, or rather not at all. */
void
link_send_fd(struct link *link, int fd)
{
    (void)sys_close(fd);
}

bool
link_is_backed_up(const struct link *link)
{
    return false;
}

const struct msg_HELLO *
link_peer(const struct link *link)
{
    return &link->peer;
}

void
link_set_user(struct link *link, void *user)
{
    link->user = user;
}

void *
link_user(const struct link *link)
{
    return link->user;
}

void
room_ready(struct room *room)
{
}

void
room_exit(struct room *room, int status)
{
    room->is_exiting = true;
}

bool
house_exits(void)
{
    return the_room.is_exiting;
}

struct loop *
room_loop(struct room *room)
{
    return &the_loop;
}

struct link *
room_link(struct room *room, enum role role, uint16_t index, const char *app)
{
    for (int i = 0; i < PEERS; i++)
        if (links[i].is_up && links[i].peer.role == role && links[i].peer.index == index)
            return &links[i];
    return NULL;
}

struct link *
room_supervisor(struct room *room)
{
    return &supervisor;
}

uint16_t
room_index(const struct room *room)
{
    return 0;
}

void
room_log(struct room *room, int level, const char *fmt, ...)
{
    char text[1024];
    va_list args;

    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    say("the worker logs: %s", text);
}

bool
jail_enter(enum role role, struct bytes conf_json, struct err *err)
{
    return true;
}

int
room_main(int argc, char **argv, const struct room_spec *spec)
{
    struct err err = { 0 };

    the_room.spec = spec;
    if (!spec->start(&the_room, conf, &err))
        prop_fail("the worker does not start: %s", err.message);
    return 0;
}

void
house_start(struct bytes conf_json)
{
    sys_table.clock_wall_us = clock_wall;
    sys_table.clock_mono_us = clock_mono;
    sys_table.clock_cpu_us = clock_cpu;
    sys_table.fsync = sys_table.fdatasync = no_sync;
    sys_table.random = fill_random;
    conf = conf_json;
    (void)worker_main(0, NULL);
    has_started = true;
}

void
house_link_up(enum prop_peer peer)
{
    links[peer].is_up = true;
    the_room.spec->link_up(&the_room, &links[peer]);
}

void
house_link_down(enum prop_peer peer)
{
    struct err err = { 0 };
    struct loop_timer *t;
    uint64_t before;

    links[peer].is_up = false;
    buf_clear(&links[peer].out);
    before = last_order;
    patience = NULL;
    the_room.spec->link_down(&the_room, &links[peer], &err);
    for (t = timers; t != NULL; t = t->next)
        if (t->is_of_room && t->is_armed && t->order > before)
            patience = t;
    run_hooks();
}

void
house_patience_ends(void)
{
    assert(patience != NULL && patience->is_armed);
    patience->is_armed = false;
    if (patience->due_us > house_now_us)
        house_now_us = patience->due_us;
    patience->fn(patience->owner);
    worker_run_loopback();
    run_hooks();
}

#define FINISH_ROUNDS 4

void
house_finish_deploy(void)
{
    for (int i = 0; i < FINISH_ROUNDS; i++) {          /* who moves may ask others, which then are awaited, too */
        agents_finish_deploy(house_now_us / 1000);
        worker_run_loopback();
        run_hooks();
    }
}

void
house_press(enum pressure level)
{
    struct buf frame = { 0 };
    struct err err = { 0 };

    msg_PRESSURE_pack(&frame, &(struct msg_PRESSURE){ .level = (uint8_t)level });
    if (!the_room.spec->message(&the_room, &supervisor, MSG_PRESSURE, bytes_from(frame.data + FRAME_HEADER_BYTES, frame.len - FRAME_HEADER_BYTES), &err))
        prop_fail("the worker ends its link to the supervisor: %s", err.message);
    buf_fini(&frame);
}

struct buf *
house_out(enum prop_peer peer)
{
    return &links[peer].out;
}

void
house_deliver(enum prop_peer peer, struct bytes frame)
{
    struct err err = { 0 };
    uint16_t type;

    assert(frame.len >= FRAME_HEADER_BYTES);
    memcpy(&type, frame.data + 4, sizeof type);
    if (!the_room.spec->message(&the_room, &links[peer], type, bytes_from(frame.data + FRAME_HEADER_BYTES, frame.len - FRAME_HEADER_BYTES), &err))
        prop_fail("the worker ends its link to the %s because of %s: %s", peer_names[peer], message_name(type), err.message);
    run_hooks();
}
