/*
 * sim_house — the house in one process: rooms are real programs (sim.mk), their loops, links and supervisor are these.
 *
 * A room's memory is the sections of its program that can be written: they are put back when it is started again, and what it allocated is
 * forgotten. A room runs one iteration of its loop at a time: timers that are due, frames that arrived, hooks; then its links write. It
 * may die in any call to the kernel. Links are FIFO; what a dead room wrote still arrives, unless its successor is linked first.
 */
#include <assert.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/jail/jail.h"
#include "src/journal/journal_files.h"
#include "tests/sim/sim_house.h"

#define ROOMS_MAX       6
#define APP             "shop"
#define CALM_EVENTS_MAX 400000
#define CALM_US_MAX     (4 * 3600 * 1000000ll)

#define PROGRAM(name)                                                                                                  \
    int sim_main_##name(int argc, char **argv);                                                                        \
    extern char __start_simdata_##name[], __stop_simdata_##name[];
PROGRAM(journal)
PROGRAM(scheduler)
PROGRAM(worker0)
PROGRAM(worker1)
#define PROGRAM_OF(name) { sim_main_##name, __start_simdata_##name, __stop_simdata_##name, NULL }

static struct proc procs[ROOMS_MAX] = {
    { .name = "journal", .role = ROLE_JOURNAL, .program = PROGRAM_OF(journal) },
    { .name = "scheduler", .role = ROLE_SCHEDULER, .program = PROGRAM_OF(scheduler) },
    { .name = "worker 0", .role = ROLE_WORKER, .program = PROGRAM_OF(worker0) },
    { .name = "worker 1", .role = ROLE_WORKER, .index = 1, .program = PROGRAM_OF(worker1) },
    { .name = "gateway", .role = ROLE_GATEWAY },
    { .name = "control", .role = ROLE_CONTROL },
};
struct proc *running;
static jmp_buf dying;
static uint32_t die_in;                            /* calls to the kernel from now; 0: it lives on */
static enum sim_death die_how;
static bool is_in_call;
static char boot_id[37];

static void proc_die(struct proc *proc);

/* ---- death ---- */

const void *
house_current(void)
{
    return running;
}

bool
house_dies_now(void)
{
    return die_in == 1;
}

void
house_syscall(void)
{
    if (die_in == 0 || --die_in > 0)
        return;
    is_in_call = true;
    longjmp(dying, 1);
}

/* ---- lib/ipc: rooms and links ---- */

struct buf *
link_out(struct link *link)
{
    return &link->out;
}

void
link_flush(struct link *link)
{
}

static bool
is_backed_up(const struct link *link)
{
    return link->out.len + (link->other != NULL ? link->other->in.len : 0) > plan.backed_up_bytes;
}

bool
link_is_backed_up(const struct link *link)
{
    if (is_backed_up(link))
        ((struct link *)(uintptr_t)link)->was_backed_up = true;
    return is_backed_up(link);
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
    if (room->proc->is_exiting)
        return;
    room->proc->is_exiting = true;
    room->proc->status = status;
}

struct loop *
room_loop(struct room *room)
{
    return &room->proc->loop;
}

/* Nothing comes from it: memory is plenty here. */
struct link *
room_supervisor(struct room *room)
{
    return NULL;
}

struct link *
room_link(struct room *room, enum role role, uint16_t index, const char *app)
{
    for (struct link *link = room->proc->links; link != NULL; link = link->next)
        if (link->is_up && !link->is_replaced && link->peer.role == role && link->peer.index == index)
            return link;
    return NULL;
}

uint16_t
room_index(const struct room *room)
{
    return room->proc->index;
}

void
room_log(struct room *room, int level, const char *fmt, ...)
{
    char text[1024];
    va_list args;

    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args);
    va_end(args);
    sim_trace("%s: %s", room->proc->name, text);
}

bool
jail_enter(enum role role, struct bytes conf, struct err *err)
{
    return true;
}

static void
conf_of(const struct proc *proc, struct buf *out)
{
    switch (proc->role) {
    case ROLE_JOURNAL:
        buf_printf(out, "{\"data\":\"/journal\",\"apps\":\"/apps\",\"segment_bytes\":%u,\"kept_bytes\":%u}", plan.segment_bytes, plan.kept_bytes);
        return;
    case ROLE_SCHEDULER:
        buf_printf(out, "{\"data\":\"/data/scheduler\"}");
        return;
    default:
        buf_printf(out, "{\"mode\":\"serve\",\"app\":\"" APP "\",\"dir\":\"/d\",\"runtime\":\"r\",\"data\":\"/apps/" APP "\",\"deploy\":\"d\","
                        "\"manifest\":{},\"slot\":%u,\"slots\":%u,\"boot\":\"%s\","
                        "\"limits\":{\"idle_ms\":4000,\"warm_ms\":1500,\"cold_ms\":3000}}", proc->index, plan.workers, boot_id);
    }
}

int
room_main(int argc, char **argv, const struct room_spec *spec)
{
    struct buf conf = { 0 };
    struct err err = { 0 };

    running->room = (struct room){ running, spec };
    conf_of(running, &conf);
    if (!spec->start(&running->room, buf_view(&conf), &err)) {
        sim_trace("%s: cannot start: %s", running->name, err.message);
        room_exit(&running->room, 1);
    }
    buf_fini(&conf);
    return 0;
}

/* Memory of rooms is this process's. */
int sim_malloc_trim(size_t pad);
int
sim_malloc_trim(size_t pad)
{
    return 0;
}

/* ---- frames ---- */

static bool
frame_get(const struct buf *in, uint32_t *out_len, uint16_t *out_type)
{
    if (in->len < FRAME_HEADER_BYTES)
        return false;
    memcpy(out_len, in->data, 4);
    memcpy(out_type, in->data + 4, 2);
    return true;
}

/* The journal, which has heard that an agent is gone, may die with the answer: by chance alone that is rare. */
static void
endanger(void)
{
    if (plan.is_calm || plan.journal_kill == 0 || die_in > 0 || sim_below(20) > 0)
        return;
    die_how = DEATH_KILL;
    die_in = 1 + sim_below(6);
}

/* Delivers one frame of LINK. A room that does not like it would end the link: here nobody may have a reason to. */
static void
link_deliver(struct link *link)
{
    struct buf frame = { 0 };
    struct err err = { 0 };
    uint32_t len = 0;
    uint16_t type = 0;
    bool ok = frame_get(&link->in, &len, &type);

    assert(ok && link->in.len >= FRAME_HEADER_BYTES + len);
    buf_append(&frame, link->in.data + FRAME_HEADER_BYTES, len);
    buf_consume(&link->in, FRAME_HEADER_BYTES + len);
    frame_tell(link->proc->name, &link->peer, type, buf_view(&frame));
    frame_look(type, buf_view(&frame));
    if (frame_ends_agent(type, buf_view(&frame)))
        endanger();
    if (link->proc->program.main == NULL)
        world_message(link, type, buf_view(&frame));
    else if (!link->proc->room.spec->message(&link->proc->room, link, type, buf_view(&frame), &err))
        sim_fail("the %s ends its link to %s %u because of %s: %s", link->proc->name, role_name(link->peer.role), link->peer.index,
                 message_name(type), err.message);
    buf_fini(&frame);
}

static void
link_write(struct link *link)
{
    if (link->out.len == 0)
        return;
    house_syscall();
    if (link->other != NULL)
        buf_append_bytes(&link->other->in, buf_view(&link->out));
    buf_clear(&link->out);
}

static void
link_drop(struct proc *proc, struct link *link)
{
    struct link **at = &proc->links;
    struct err err = { 0 };

    (void)err_set(&err, ERR_LOST, 0, "the peer is gone");
    while (*at != link)
        at = &(*at)->next;
    *at = link->next;
    if (link->other != NULL)
        link->other->other = NULL;
    link->other = NULL;
    sim_trace("%s: link to %s %u is down", proc->name, role_name(link->peer.role), link->peer.index);
    if (link->is_up && proc->program.main == NULL)
        world_down(link);
    else if (link->is_up && proc->room.spec->link_down != NULL)
        proc->room.spec->link_down(&proc->room, link, &err);
    buf_fini(&link->in);
    buf_fini(&link->out);
    free(link);
}

static void
link_go(struct proc *proc, struct link *link)
{
    uint32_t count = 1 + sim_below(sim_below(3) == 0 ? 64 : 4);

    link->was_backed_up = link->was_backed_up && is_backed_up(link);
    if (!link->is_up) {
        link->is_up = true;
        if (proc->program.main == NULL)
            world_up(link, proc->role == ROLE_CONTROL);
        else
            proc->room.spec->link_up(&proc->room, link);
    }
    while (count-- > 0 && link->in.len > 0 && !proc->is_exiting)
        link_deliver(link);
    if (link->in.len == 0 && link->other == NULL && !proc->is_exiting)
        link_drop(proc, link);
}

static void
link_connect_one(struct proc *proc, const struct proc *peer, struct link *link)
{
    for (struct link *old = proc->links; old != NULL; old = old->next)
        if (old->peer.role == peer->role && old->peer.index == peer->index)
            old->is_replaced = true;
    link->proc = proc;
    link->peer = (struct msg_HELLO){ .role = (uint8_t)peer->role, .index = peer->index,
                                     .app = peer->role == ROLE_WORKER ? BYTES_LIT(APP) : BYTES_NONE };
    link->next = proc->links;
    proc->links = link;
}

static void
link_connect(struct proc *a, struct proc *b)
{
    struct link *of_a = calloc(1, sizeof *of_a);
    struct link *of_b = calloc(1, sizeof *of_b);

    assert(of_a != NULL && of_b != NULL);
    link_connect_one(a, b, of_a);
    link_connect_one(b, a, of_b);
    of_a->other = of_b;
    of_b->other = of_a;
}

/* ---- an iteration of a room ---- */

static void
timers_run(struct proc *proc)
{
    for (struct loop_timer *timer = proc->timers; timer != NULL; timer = timer->next) {
        if (!timer->is_armed || timer->due_us > sim_now_us || timer->is_gone)
            continue;
        timer->is_armed = false;
        timer->fn(timer->owner);
    }
}

/* The rooms' ends of links, in an order of chance; taken down first, since running changes the list. */
static void
links_run(struct proc *proc)
{
    struct link *links[ROOMS_MAX * 4];
    struct link *next;
    uint32_t count = 0;

    for (struct link *link = proc->links; link != NULL; link = next) {     /* a peer's old link ends before its new one comes up */
        next = link->next;
        if (link->is_replaced)
            link_drop(proc, link);
    }
    for (struct link *link = proc->links; link != NULL; link = link->next) {
        assert(count < ARRAY_LEN(links));
        links[count++] = link;
    }
    while (count > 0) {
        uint32_t i = sim_below(count);
        struct link *link = links[i];

        links[i] = links[--count];
        link_go(proc, link);
    }
}

#define RECOVERY_RUNS 60                           /* iterations of rooms after a power cut in which it may well be cut again */
#define POWER_AGAIN   50000                        /* per million of them */
static uint32_t recovering;

static void
iteration(struct proc *proc)
{
    if (proc->syncer != NULL && proc->syncer->is_running && proc->syncer->end_us <= sim_now_us)
        syncer_end(proc->syncer);
    if (proc->thread != NULL && proc->thread->is_running && proc->thread->end_us <= sim_now_us)
        disk_thread_finish(proc->thread);
    timers_run(proc);
    links_run(proc);
    for (struct loop_hook *hook = proc->hooks; hook != NULL && !proc->is_exiting; hook = hook->next)
        if (!hook->is_idle || hook->is_active)
            hook->fn(hook->owner);
    if (proc->program.main == NULL)
        world_act();
    for (struct link *link = proc->links; link != NULL; link = link->next)
        link_write(link);
}

static void
power_cut(void)
{
    sim_saw(SAW_POWER_CUT);
    if (recovering > 0)
        sim_saw(SAW_POWER_CUT_AGAIN);
    recovering = plan.power > 0 && sim_below(3) == 0 ? RECOVERY_RUNS : 0;
    if (is_in_call)
        sim_saw(SAW_POWER_CUT_IN_CALL);
    sim_trace("---- power cut ----");
    for (int i = 0; i < ROOMS_MAX; i++) {
        if (procs[i].program.main != NULL && procs[i].is_alive)
            proc_die(&procs[i]);
        for (struct link *link = procs[i].links; link != NULL; link = link->next)
            buf_clear(&link->in);
    }
    disk_power_cut();
    for (int i = 0; i < 36; i++)
        boot_id[i] = (char)('a' + sim_below(26));
}

static void
note_death(const struct proc *proc)
{
    if (proc->role == ROLE_JOURNAL)
        sim_saw(is_in_call ? SAW_KILLED_IN_BATCH : SAW_JOURNAL_KILLED);
    else if (proc->role == ROLE_WORKER)
        sim_saw(is_in_call ? SAW_WORKER_KILLED_IN_CALL : SAW_WORKER_KILLED);
    else
        sim_saw(SAW_SCHEDULER_KILLED);
}

static void
proc_run(struct proc *proc, void (*fn)(struct proc *proc))
{
    const uint32_t kill = proc->role == ROLE_JOURNAL ? plan.journal_kill : plan.kill;

    running = proc;
    die_in = 0;
    is_in_call = false;
    recovering -= recovering > 0;
    if (!plan.is_calm && proc->program.main != NULL) {
        die_how = sim_chance(recovering > 0 ? POWER_AGAIN : plan.power) ? DEATH_POWER : sim_chance(kill) ? DEATH_KILL : DEATH_NONE;
        die_in = die_how == DEATH_NONE ? 0 : 1 + sim_below(sim_below(2) == 0 ? 6 : 40);
    }
    if (setjmp(dying) == 0) {
        fn(proc);
        if (die_in > 0)
            is_in_call = false;        /* it dies between two iterations instead */
    }
    running = NULL;
    if (die_how == DEATH_POWER && (die_in > 0 || is_in_call)) {
        power_cut();
    } else if (die_how == DEATH_KILL && (die_in > 0 || is_in_call)) {
        note_death(proc);
        sim_trace("---- %s is killed%s ----", proc->name, is_in_call ? " in a call to the kernel" : "");
        proc_die(proc);
    } else if (proc->is_exiting) {
        sim_trace("---- %s exits with %d ----", proc->name, proc->status);
        if (proc->status != 0)
            sim_saw(SAW_IMPATIENT);
        proc_die(proc);
    }
    die_how = DEATH_NONE;
    die_in = 0;
}

/* ---- the supervisor ---- */

static void
proc_die(struct proc *proc)
{
    struct link *link = proc->links;

    for (; link != NULL; link = link->next)
        if (link->other != NULL)
            link->other->other = NULL;
    disk_close_of(proc);
    proc->links = NULL;                            /* what it had is lost with it, as in a real process */
    proc->timers = NULL;
    proc->hooks = NULL;
    proc->syncer = NULL;
    proc->thread = NULL;
    proc->is_alive = proc->is_exiting = false;
    proc->restart_us = sim_now_us + 1000 * (int64_t)(plan.is_calm ? 50 : 1 + sim_below(sim_below(3) == 0 ? plan.away_ms_max : 100));
}

static bool
are_peers(const struct proc *a, const struct proc *b)
{
    const bool a_works = a->role == ROLE_WORKER, b_works = b->role == ROLE_WORKER;

    return (a_works != b_works) || (a->role == ROLE_JOURNAL && b->role == ROLE_SCHEDULER) || (a->role == ROLE_SCHEDULER && b->role == ROLE_JOURNAL);
}

static void
proc_main(struct proc *proc)
{
    (void)proc->program.main(0, NULL);
}

static void
proc_start(struct proc *proc)
{
    sim_trace("---- %s starts ----", proc->name);
    if (proc->program.main != NULL)
        memcpy(proc->program.start, proc->program.first, (size_t)(proc->program.stop - proc->program.start));
    proc->loop.proc = proc;
    proc->hooks_end = &proc->hooks;
    proc->is_alive = true;
    proc->starts++;
    if (proc->program.main != NULL)
        proc_run(proc, proc_main);
    if (!proc->is_alive)
        return;
    for (int i = 0; i < ROOMS_MAX; i++)
        if (procs[i].is_alive && are_peers(proc, &procs[i]))
            link_connect(proc, &procs[i]);
}

/* ---- time ---- */

static int64_t
soonest(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* When PROC has something to do; INT64_MAX: never. */
static int64_t
proc_next_us(const struct proc *proc)
{
    int64_t next = INT64_MAX;

    if (!proc->is_alive)
        return proc->is_stopped || (proc->role == ROLE_WORKER && proc->index >= plan.workers) ? INT64_MAX : proc->restart_us;
    for (const struct link *link = proc->links; link != NULL; link = link->next)
        if ((link->was_backed_up && !is_backed_up(link)) || link->in.len > 0 || link->out.len > 0 || !link->is_up || link->is_replaced || link->other == NULL)
            next = sim_now_us;
    for (const struct loop_hook *hook = proc->hooks; hook != NULL; hook = hook->next)
        if (hook->is_idle && hook->is_active)
            next = sim_now_us;
    for (const struct loop_timer *timer = proc->timers; timer != NULL; timer = timer->next)
        if (timer->is_armed)
            next = soonest(next, timer->due_us);
    if (proc->syncer != NULL && proc->syncer->is_running)
        next = soonest(next, proc->syncer->end_us);
    if (proc->thread != NULL && proc->thread->is_running)
        next = soonest(next, proc->thread->end_us);
    if (proc->role == ROLE_GATEWAY)
        next = soonest(next, world_next_us());
    return next < proc->stalled_us ? proc->stalled_us : next;
}

/* Keeps the first COUNT frames of what is on its way. */
static void
frames_cut(struct buf *in, uint32_t count)
{
    uint32_t len = 0;
    size_t at = 0;

    while (count-- > 0 && at < in->len) {
        memcpy(&len, in->data + at, sizeof len);
        at += FRAME_HEADER_BYTES + len;
    }
    in->len = at;
}

/* A worker and the journal lose their link, both live on: nobody links them again, until one of them is started anew. */
static void
part(void)
{
    struct proc *worker = &procs[2 + sim_below(plan.workers)];
    struct link *link = worker->is_alive ? worker->links : NULL;

    while (link != NULL && (link->peer.role != ROLE_JOURNAL || !link->is_up || link->is_replaced || link->other == NULL))
        link = link->next;
    if (link == NULL || !link->other->is_up)
        return;
    sim_saw(SAW_PARTED);
    sim_trace("---- %s and the journal lose their link ----", worker->name);
    frames_cut(&link->in, sim_below(4));
    frames_cut(&link->other->in, sim_below(4));
    link->other->other = NULL;
    link->other = NULL;
}

static void
misfortune(void)
{
    static const int64_t scales[] = { 10, 3600, 3600, 365 * 86400 };      /* seconds that a step has at most */

    if (sim_chance(plan.part))
        part();
    if (sim_chance(plan.writeback))
        disk_writeback();
    if (sim_chance(plan.stall)) {
        procs[sim_below(4)].stalled_us = sim_now_us + sim_below(sim_below(4) == 0 ? 12000000 : 300000);
        sim_saw(SAW_STALLED);
    }
    if (sim_chance(plan.step)) {
        sim_clock_step(((int64_t)sim_below(2000000) - 1000000) * scales[sim_below(ARRAY_LEN(scales))]);
        sim_saw(SAW_CLOCK_STEPPED);
    }
}

/* One iteration of one room that has something to do, or the time until there is one. */
static void
step(void)
{
    struct proc *ready[ROOMS_MAX];
    uint32_t count = 0;
    int64_t next = INT64_MAX;

    if (!plan.is_calm)
        misfortune();
    sim_now_us += 1 + sim_below(400);
    for (int i = 0; i < ROOMS_MAX; i++) {
        int64_t when = proc_next_us(&procs[i]);

        next = soonest(next, when);
        if (when <= sim_now_us)
            ready[count++] = &procs[i];
    }
    if (count > 0) {
        struct proc *proc = ready[sim_below(count)];

        if (proc->is_alive)
            proc_run(proc, iteration);
        else
            proc_start(proc);
    } else if (next != INT64_MAX) {    /* else all of them have stopped */
        sim_now_us = next;
    }
}

/* Until everything has come right. */
static void
settle(const char *what)
{
    const int64_t since_us = sim_now_us;

    for (uint32_t i = 0; !world_is_settled(); i++) {
        if (i >= CALM_EVENTS_MAX || sim_now_us - since_us > CALM_US_MAX)
            sim_fail("%s: not everything comes right within %lld s without faults: %s", what, (long long)(sim_now_us - since_us) / 1000000,
                     world_awaited());
        step();
    }
}

/* As the supervisor does it: workers first, so that the journal hears their last words. */
static void
stop_role(enum role role)
{
    for (int i = 0; i < ROOMS_MAX; i++) {
        if (procs[i].role != role || !procs[i].is_alive)
            continue;
        procs[i].is_stopped = true;
        running = &procs[i];
        procs[i].room.spec->stop(&procs[i].room, 5000);
        running = NULL;
    }
    for (int i = 0, steps = 0; i < ROOMS_MAX; i++) {
        for (; procs[i].role == role && procs[i].is_alive; steps++) {
            if (steps > 20000)
                sim_fail("%s does not stop", procs[i].name);
            for (struct loop_timer *t = procs[i].timers; t != NULL && steps % 50 == 49; t = t->next)
                if (t->is_armed)
                    t->due_us = soonest(t->due_us, sim_now_us);
            running = NULL;
            proc_run(&procs[i], iteration);
            step();
        }
    }
}

static void
stop_all(void)
{
    sim_saw(SAW_STOPPED);
    stop_role(ROLE_WORKER);
    stop_role(ROLE_SCHEDULER);
    stop_role(ROLE_JOURNAL);
    for (int i = 0; i < ROOMS_MAX; i++)
        procs[i].is_stopped = false;
}

void
house_run(void)
{
    for (int i = 0; i < 4; i++) {
        struct program *program = &procs[i].program;
        const size_t len = (size_t)(program->stop - program->start);

        program->first = malloc(len);
        assert(program->first != NULL);
        memcpy(program->first, program->start, len);
    }
    for (int i = 0; i < 36; i++)
        boot_id[i] = (char)('a' + sim_below(26));
    for (int i = ROOMS_MAX; i > 0; i--)
        if (procs[i - 1].role != ROLE_WORKER || procs[i - 1].index < plan.workers)
            proc_start(&procs[i - 1]);
    for (uint32_t i = 0; i < plan.events; i++)
        step();
    plan.is_calm = true;
    sim_clock_settle();
    for (int i = 0; i < 4; i++)
        procs[i].stalled_us = 0;
    world_calm();
    settle("after the faults");
    if (sim_below(2) == 0)
        stop_all();
    if (sim_below(3) > 0)
        power_cut();
    world_ask_again();
    settle("after the last start");
}

/* ---- the journal's thread for files: workers do not ask for it here ---------------------------------------------------------------- */

bool
files_create(struct files **out_files, struct loop *loop, struct err *err)
{
    *out_files = NULL;
    return true;
}

void
files_sync(struct files *files, struct link *link, uint32_t request, int fd)
{
    abort();
}

void
files_link_down(struct files *files, const struct link *link)
{
}

int
link_take_fd(struct link *link)
{
    return -1;
}
