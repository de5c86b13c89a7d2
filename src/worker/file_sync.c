/* file_sync — see file_sync.h. */
#include "src/worker/file_sync.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#include "lib/base/map.h"
#include "lib/ipc/link.h"
#include "lib/sys/sys.h"
#include "src/worker/worker.h"

struct file {
    int           fd;
    file_sync_fn *fn;
    void         *owner;
};

static struct umap *asked;             /* request → struct file */
static uint32_t last_request;

static int
sync_now(int fd)
{
    const int sys_errno = sys_fsync(fd) == 0 ? 0 : errno;

    (void)sys_close(fd);               /* it was synced, or is thrown away */
    return sys_errno;
}

bool
file_sync(int fd, file_sync_fn *fn, void *owner, int *out_errno)
{
    struct link *journal = worker_journal();
    const int sent = journal != NULL ? fcntl(fd, F_DUPFD_CLOEXEC, 0) : -1;
    struct file *f;

    if (sent < 0) {
        *out_errno = sync_now(fd);
        return false;
    }
    f = calloc(1, sizeof *f);
    assert(f != NULL);
    *f = (struct file){ fd, fn, owner };
    if (asked == NULL)
        asked = umap_create();
    umap_put(asked, ++last_request, f);
    msg_FILE_SYNC_pack(link_out(journal), &(struct msg_FILE_SYNC){ last_request });
    link_send_fd(journal, sent);
    return true;
}

static void
end(struct file *f, int sys_errno)
{
    f->fn(f->owner, sys_errno);
    free(f);
}

void
file_sync_journal_down(void)
{
    size_t at = 0;
    uint64_t request;
    void *value;

    while (asked != NULL && umap_next(asked, &at, &request, &value)) {
        struct file *f = umap_take(asked, request);

        end(f, sync_now(f->fd));
        at = 0;                        /* it may have asked for another */
    }
}

bool
file_synced(struct bytes payload, struct err *err)
{
    struct msg_FILE_SYNCED m;
    struct file *f;

    if (!msg_FILE_SYNCED_unpack(&m, payload, err))
        return false;
    f = asked != NULL ? umap_take(asked, m.request) : NULL;
    if (f == NULL)
        return true;                   /* of before the link broke */
    (void)sys_close(f->fd);            /* it was synced, or is thrown away */
    end(f, (int)m.sys_errno);
    return true;
}
