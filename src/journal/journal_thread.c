/* journal_thread — see journal_thread.h. */
#include "src/journal/journal_thread.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/loop/loop.h"
#include "lib/sys/sys.h"

struct disk_thread {
    struct disk_work  work;
    int               ends[2];             /* a pipe: a byte when the work is done */
    struct loop_poll *poll;
    pthread_t         thread;
    bool              is_running, has_thread;
};

static void *
run(void *owner)
{
    struct disk_thread *thread = owner;

    thread->work.work(thread->work.owner);
    (void)sys_write_all(thread->ends[1], "", 1);   /* a pipe that is read once per start cannot be full */
    return NULL;
}

static void
join(struct disk_thread *thread)
{
    int rc;

    if (!thread->has_thread)
        return;
    thread->has_thread = false;
    rc = pthread_join(thread->thread, NULL);
    assert(rc == 0);
}

static void
on_end(void *owner, int events)
{
    struct disk_thread *thread = owner;
    char byte;

    if (sys_read(thread->ends[0], &byte, 1) != 1)
        return;
    join(thread);
    thread->is_running = false;
    thread->work.done(thread->work.owner);
}

bool
disk_thread_create(struct disk_thread **out_thread, struct loop *loop, struct disk_work work, struct err *err)
{
    struct disk_thread *thread = calloc(1, sizeof *thread);

    assert(thread != NULL);
    thread->work = work;
    if (pipe2(thread->ends, O_CLOEXEC | O_NONBLOCK) != 0) {
        free(thread);
        return err_set(err, ERR_IO, errno, "make a pipe");
    }
    thread->poll = loop_poll_create(loop, thread->ends[0], on_end, thread);
    loop_poll_set(thread->poll, LOOP_READABLE);
    *out_thread = thread;
    return true;
}

void
disk_thread_start(struct disk_thread *thread)
{
    sigset_t all, before;

    assert(!thread->is_running);
    thread->is_running = true;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);       /* signals are the loop's; cannot fail with a set of ours */
    thread->has_thread = pthread_create(&thread->thread, NULL, run, thread) == 0;
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (!thread->has_thread)
        (void)run(thread);                 /* no thread to be had: commits wait, nothing is lost */
}

void
disk_thread_finish(struct disk_thread *thread)
{
    if (!thread->is_running)
        return;
    join(thread);                          /* the end of the pipe is written by now */
    on_end(thread, 0);
}

bool
disk_thread_is_running(const struct disk_thread *thread)
{
    return thread->is_running;
}

void
disk_thread_destroy(struct disk_thread **thread)
{
    struct disk_thread *it = STEAL(*thread);

    if (it == NULL)
        return;
    join(it);
    loop_poll_destroy(&it->poll);
    (void)sys_close(it->ends[0]);          /* a pipe: nothing to lose */
    (void)sys_close(it->ends[1]);          /* the same */
    free(it);
}
