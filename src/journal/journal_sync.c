/*
 * journal_sync — see journal_sync.h.
 */
#include "src/journal/journal_sync.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include "lib/sys/sys.h"
#include "src/journal/journal_thread.h"

struct syncer {
    int                 folder;            /* its handle sees each error of the file system once, from now on */
    int                 sys_errno;         /* of the sync; the thread's while it runs */
    struct disk_thread *thread;
    void              (*fn)(int sys_errno);
};

static void
sync_run(void *owner)
{
    struct syncer *syncer = owner;

    syncer->sys_errno = sys_syncfs(syncer->folder) == 0 ? 0 : errno;
}

static void
sync_done(void *owner)
{
    struct syncer *syncer = owner;

    syncer->fn(syncer->sys_errno);
}

bool
syncer_create(struct syncer **out_syncer, struct loop *loop, const char *folder, void (*fn)(int sys_errno), struct err *err)
{
    struct syncer *syncer = calloc(1, sizeof *syncer);
    bool ok;

    assert(syncer != NULL);
    syncer->fn = fn;
    syncer->folder = sys_open(folder, O_RDONLY | O_DIRECTORY, 0);
    ok = syncer->folder >= 0 || err_set(err, ERR_IO, errno, "open the databases' folder '%s'", folder);
    if (!ok || !disk_thread_create(&syncer->thread, loop, (struct disk_work){ sync_run, sync_done, syncer }, err)) {
        (void)sys_close(syncer->folder);   /* a folder: nothing to lose */
        free(syncer);
        return false;
    }
    *out_syncer = syncer;
    return true;
}

void
syncer_start(struct syncer *syncer)
{
    disk_thread_start(syncer->thread);
}

bool
syncer_has(const struct syncer *syncer, struct bytes name)
{
    char path[NAME_MAX + 1];
    struct stat st;

    if (name.len == 0 || name.len > NAME_MAX || memchr(name.data, '/', name.len) != NULL)
        return true;
    memcpy(path, name.data, name.len);
    path[name.len] = '\0';
    return sys_fstatat(syncer->folder, path, &st, AT_SYMLINK_NOFOLLOW) == 0 || errno != ENOENT;
}

bool
syncer_is_running(const struct syncer *syncer)
{
    return disk_thread_is_running(syncer->thread);
}

void
syncer_destroy(struct syncer **syncer)
{
    struct syncer *it = STEAL(*syncer);

    if (it == NULL)
        return;
    disk_thread_destroy(&it->thread);
    (void)sys_close(it->folder);           /* the same as above */
    free(it);
}
