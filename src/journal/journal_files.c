/* journal_files — see journal_files.h. */
#include "src/journal/journal_files.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "lib/base/list.h"
#include "lib/ipc/link.h"
#include "lib/loop/loop.h"
#include "lib/sys/sys.h"

struct file {
    struct list_node in_list;
    struct link     *link;                 /* NULL: gone */
    uint32_t         request;
    int              fd, sys_errno;
};

struct files {
    int               ends[2];             /* a pipe: a byte when the thread is done */
    struct loop_poll *poll;
    struct list_node  queued, syncing;     /* struct file; while the thread runs it has the fd and sys_errno of the second */
    pthread_t         thread;
    bool              is_running, has_thread;
};

static void *
files_run(void *owner)
{
    struct files *files = owner;

    for (struct list_node *n = files->syncing.next; n != &files->syncing; n = n->next) {
        struct file *f = list_entry(n, struct file, in_list);

        f->sys_errno = sys_fsync(f->fd) == 0 ? 0 : errno;
    }
    (void)sys_write_all(files->ends[1], "", 1);    /* a pipe that is read once per thread cannot be full */
    return NULL;
}

static void
files_start(struct files *files)
{
    sigset_t all, before;
    struct file *f;

    if (files->is_running || list_is_empty(&files->queued))
        return;
    while ((f = list_first(&files->queued, struct file, in_list)) != NULL) {
        list_remove(&f->in_list);
        list_push_back(&files->syncing, &f->in_list);
    }
    files->is_running = true;
    (void)sigfillset(&all);
    (void)pthread_sigmask(SIG_SETMASK, &all, &before);     /* signals are the loop's; cannot fail with a set of ours */
    files->has_thread = pthread_create(&files->thread, NULL, files_run, files) == 0;
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (!files->has_thread)
        (void)files_run(files);            /* no thread to be had: commits wait, nothing is lost */
}

static void
thread_join(struct files *files)
{
    int rc;

    if (!files->has_thread)
        return;
    files->has_thread = false;
    rc = pthread_join(files->thread, NULL);
    assert(rc == 0);
}

static void
drop_all(struct list_node *list)
{
    struct file *f;

    while ((f = list_first(list, struct file, in_list)) != NULL) {
        list_remove(&f->in_list);
        (void)sys_close(f->fd);            /* the worker has its own, and was told what came of it */
        free(f);
    }
}

static void
on_end(void *owner, int events)
{
    struct files *files = owner;
    char byte;

    if (sys_read(files->ends[0], &byte, 1) != 1)
        return;
    thread_join(files);
    files->is_running = false;
    for (struct list_node *n = files->syncing.next; n != &files->syncing; n = n->next) {
        const struct file *f = list_entry(n, struct file, in_list);
        const struct msg_FILE_SYNCED told = { f->request, (uint32_t)f->sys_errno };

        if (f->link != NULL)
            msg_FILE_SYNCED_pack(link_out(f->link), &told);
    }
    drop_all(&files->syncing);
    files_start(files);
}

bool
files_create(struct files **out_files, struct loop *loop, struct err *err)
{
    struct files *files = calloc(1, sizeof *files);

    assert(files != NULL);
    list_init(&files->queued);
    list_init(&files->syncing);
    if (pipe2(files->ends, O_CLOEXEC | O_NONBLOCK) != 0) {
        free(files);
        return err_set(err, ERR_IO, errno, "make a pipe");
    }
    files->poll = loop_poll_create(loop, files->ends[0], on_end, files);
    loop_poll_set(files->poll, LOOP_READABLE);
    *out_files = files;
    return true;
}

void
files_sync(struct files *files, struct link *link, uint32_t request, int fd)
{
    struct file *f = calloc(1, sizeof *f);

    assert(f != NULL);
    *f = (struct file){ .link = link, .request = request, .fd = fd };
    list_push_back(&files->queued, &f->in_list);
    files_start(files);
}

static void
forget_link(struct list_node *list, const struct link *link)
{
    for (struct list_node *n = list->next; n != list; n = n->next) {
        struct file *f = list_entry(n, struct file, in_list);

        if (f->link == link)
            f->link = NULL;
    }
}

void
files_link_down(struct files *files, const struct link *link)
{
    forget_link(&files->queued, link);
    forget_link(&files->syncing, link);
}

void
files_destroy(struct files **files)
{
    struct files *it = STEAL(*files);

    if (it == NULL)
        return;
    thread_join(it);
    drop_all(&it->queued);
    drop_all(&it->syncing);
    loop_poll_destroy(&it->poll);
    (void)sys_close(it->ends[0]);          /* a pipe: nothing to lose */
    (void)sys_close(it->ends[1]);          /* the same */
    free(it);
}
