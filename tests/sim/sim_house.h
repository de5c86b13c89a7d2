/*
 * sim_house — a room's process as the simulator has it: shared by the house (sim_house.c) and its loops (sim_loop.c).
 */
#ifndef DORMOUSE_SIM_HOUSE_H
#define DORMOUSE_SIM_HOUSE_H

#include "src/journal/journal_thread.h"
#include "lib/ipc/room.h"
#include "lib/loop/loop.h"
#include "tests/sim/sim.h"

struct loop {
    struct proc *proc;
};
struct loop_timer {
    struct loop_timer *next;
    void             (*fn)(void *owner);
    void              *owner;
    int64_t            due_us;
    bool               is_armed, is_gone;
};
struct loop_hook {
    struct loop_hook *next;
    void            (*fn)(void *owner);
    void             *owner;
    bool              is_idle, is_active;
};
struct room {
    struct proc            *proc;
    const struct room_spec *spec;
};
struct link {
    struct link     *next;
    struct proc     *proc;                         /* whose end this is */
    struct link     *other;                        /* NULL: the other side is dead */
    struct msg_HELLO peer;
    struct buf       in, out;
    void            *user;
    bool             is_up, is_replaced;
    bool             was_backed_up;                /* its room waits until it can be written to again */
};
struct syncer {
    struct syncer *next;
    void         (*fn)(int sys_errno);
    uint64_t       begun;
    int64_t        end_us;
    bool           is_running;
};

/* Of the segment that is sealed: the work happens when it ends, so that a crash meanwhile finds nothing of it. */
struct disk_thread {
    struct disk_work work;
    int64_t          end_us;
    bool             is_running;
};

struct program {                                   /* of sim.mk */
    int (*main)(int argc, char **argv);
    char *start, *stop;
    char *first;                                   /* what is between them before anything ran */
};

struct proc {
    const char        *name;
    enum role          role;
    uint16_t           index;
    struct program     program;                    /* main NULL: the outside, which lives for ever */
    struct room        room;
    struct loop        loop;
    struct loop_timer *timers;
    struct loop_hook  *hooks, **hooks_end;
    struct link       *links;
    struct syncer     *syncer;
    struct disk_thread *thread;
    bool               is_alive, is_exiting, is_stopped;
    int                status;
    int64_t            restart_us, stalled_us;
    unsigned           starts;
};

void syncer_end(struct syncer *syncer);             /* its time has come (sim_thread.c) */
extern struct proc *running;                       /* NULL between iterations */

#endif
