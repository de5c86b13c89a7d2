/*
 * journal_sync — see journal_sync.h.
 */
#include "src/journal/journal_sync.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/loop/loop.h"
#include "lib/sys/sys.h"

struct syncer {
    int               folder;              /* its handle sees each error of the file system once, from now on */
    int               ends[2];             /* a pipe: one int per sync */
    struct loop_poll *poll;
    void            (*fn)(int sys_errno);
    pthread_t         thread;
    bool              is_running;
    bool              has_thread;
};

static void *
sync_run(void *owner)
{
    const struct syncer *syncer = owner;
    int result = sys_syncfs(syncer->folder) == 0 ? 0 : errno;

    (void)sys_write_all(syncer->ends[1], &result, sizeof result);    /* a pipe that is read once per sync cannot be full */
    return NULL;
}

static void
thread_join(struct syncer *syncer)
{
    int rc;

    if (!syncer->has_thread)
        return;
    syncer->has_thread = false;
    rc = pthread_join(syncer->thread, NULL);
    assert(rc == 0);
}

static void
on_end(void *owner, int events)
{
    struct syncer *syncer = owner;
    int result;

    if (sys_read(syncer->ends[0], &result, sizeof result) != (ssize_t)sizeof result)
        return;
    thread_join(syncer);
    syncer->is_running = false;
    syncer->fn(result);
}

bool
syncer_create(struct syncer **out_syncer, struct loop *loop, const char *folder, void (*fn)(int sys_errno), struct err *err)
{
    struct syncer *syncer = calloc(1, sizeof *syncer);

    assert(syncer != NULL);
    syncer->fn = fn;
    syncer->folder = sys_open(folder, O_RDONLY | O_DIRECTORY, 0);
    if (syncer->folder < 0 || pipe2(syncer->ends, O_CLOEXEC | O_NONBLOCK) != 0) {
        (void)err_set(err, ERR_IO, errno, "open the databases' folder '%s'", folder);
        (void)sys_close(syncer->folder);   /* a folder: nothing to lose */
        free(syncer);
        return false;
    }
    syncer->poll = loop_poll_create(loop, syncer->ends[0], on_end, syncer);
    loop_poll_set(syncer->poll, LOOP_READABLE);
    *out_syncer = syncer;
    return true;
}

void
syncer_start(struct syncer *syncer)
{
    sigset_t all, before;

    assert(!syncer->is_running);
    syncer->is_running = true;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);       /* signals are the loop's; cannot fail with a set of ours */
    syncer->has_thread = pthread_create(&syncer->thread, NULL, sync_run, syncer) == 0;
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (!syncer->has_thread)
        (void)sync_run(syncer);            /* no thread to be had: commits wait, nothing is lost */
}

bool
syncer_is_running(const struct syncer *syncer)
{
    return syncer->is_running;
}

void
syncer_destroy(struct syncer **syncer)
{
    struct syncer *it = STEAL(*syncer);

    if (it == NULL)
        return;
    thread_join(it);
    loop_poll_destroy(&it->poll);
    (void)sys_close(it->folder);           /* the same as above */
    (void)sys_close(it->ends[0]);
    (void)sys_close(it->ends[1]);
    free(it);
}
