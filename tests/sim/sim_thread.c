/*
 * sim_thread — the journal's threads: syncs of the databases and sealing of segments that end some time after they began.
 */
#include <assert.h>
#include <stdlib.h>

#include "src/journal/journal_sync.h"
#include "tests/sim/sim_house.h"

bool
syncer_create(struct syncer **out_syncer, struct loop *loop, const char *folder, void (*fn)(int sys_errno), struct err *err)
{
    struct syncer *syncer = calloc(1, sizeof *syncer);

    assert(syncer != NULL);
    syncer->fn = fn;
    running->syncer = syncer;
    *out_syncer = syncer;
    return true;
}

void
syncer_start(struct syncer *syncer)
{
    assert(!syncer->is_running);
    syncer->is_running = true;
    syncer->begun = disk_now();
    syncer->end_us = sim_now_us + sim_below(sim_below(4) == 0 ? 2000000 : 30000);
}

/* Nobody removes an app here. */
bool
syncer_has(const struct syncer *syncer, struct bytes name)
{
    return true;
}

bool
syncer_is_running(const struct syncer *syncer)
{
    return syncer->is_running;
}

void
syncer_destroy(struct syncer **syncer)
{
    *syncer = NULL;
}

void
syncer_end(struct syncer *syncer)
{
    bool is_ok = plan.is_calm || !sim_chance(plan.syncfs_eio);

    syncer->is_running = false;
    disk_syncfs_end(syncer->begun, is_ok);
    sim_trace("syncfs of the databases: %s", is_ok ? "done" : "failed");
    if (!is_ok)
        sim_saw(SAW_SYNCFS_FAILED);
    syncer->fn(is_ok ? 0 : 5 /* EIO */);
}

bool
disk_thread_create(struct disk_thread **out_thread, struct loop *loop, struct disk_work work, struct err *err)
{
    struct disk_thread *thread = calloc(1, sizeof *thread);

    assert(thread != NULL);
    thread->work = work;
    running->thread = *out_thread = thread;
    return true;
}

void
disk_thread_start(struct disk_thread *thread)
{
    assert(!thread->is_running);
    thread->is_running = true;
    thread->end_us = sim_now_us + sim_below(sim_below(4) == 0 ? 1000000 : 20000);
}

void
disk_thread_finish(struct disk_thread *thread)
{
    if (!thread->is_running)
        return;
    thread->is_running = false;
    thread->work.work(thread->work.owner);
    thread->work.done(thread->work.owner);
}

void
disk_thread_destroy(struct disk_thread **thread)
{
    *thread = NULL;
}
