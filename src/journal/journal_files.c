/* journal_files — see journal_files.h. */
#include "src/journal/journal_files.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "lib/base/list.h"
#include "lib/ipc/link.h"
#include "lib/sys/sys.h"
#include "src/journal/journal_thread.h"

struct file {
    struct list_node in_list;
    struct link     *link;                 /* NULL: gone */
    uint32_t         request;
    int              fd, sys_errno;
};

struct files {
    struct list_node    queued, syncing;   /* struct file; while the thread runs it has the fd and sys_errno of the second */
    struct disk_thread *thread;
};

static void
files_run(void *owner)
{
    struct files *files = owner;

    for (struct list_node *n = files->syncing.next; n != &files->syncing; n = n->next) {
        struct file *f = list_entry(n, struct file, in_list);

        f->sys_errno = sys_fsync(f->fd) == 0 ? 0 : errno;
    }
}

static void
files_start(struct files *files)
{
    struct file *f;

    if (disk_thread_is_running(files->thread) || list_is_empty(&files->queued))
        return;
    while ((f = list_first(&files->queued, struct file, in_list)) != NULL) {
        list_remove(&f->in_list);
        list_push_back(&files->syncing, &f->in_list);
    }
    disk_thread_start(files->thread);
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
files_done(void *owner)
{
    struct files *files = owner;

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
    if (!disk_thread_create(&files->thread, loop, (struct disk_work){ files_run, files_done, files }, err)) {
        free(files);
        return false;
    }
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
    disk_thread_destroy(&it->thread);
    drop_all(&it->queued);
    drop_all(&it->syncing);
    free(it);
}
