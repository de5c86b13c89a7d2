/*
 * journal_era — see journal_era.h.
 */
#include "src/journal/journal_era.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>

#include "lib/base/bytes.h"
#include "lib/sys/sys.h"

struct era {
    char    *path;
    int      fd;                           /* -1: there is no file, and no need of one: the number is this process's own */
    uint32_t now;
};

static bool
note(const struct era *era, uint32_t number)
{
    return era->fd < 0 || sys_pwrite_all(era->fd, &number, sizeof number, 0);
}

struct era *
era_open(const char *folder)
{
    struct era *era = calloc(1, sizeof *era);
    struct buf path = { 0 };

    assert(era != NULL);
    buf_printf(&path, "%s/%s", folder, ERA_NAME);
    era->path = bytes_dup(buf_view(&path));
    buf_fini(&path);
    era->fd = sys_open(era->path, O_RDWR | O_CREAT | O_NOFOLLOW, 0600);
    if (era->fd >= 0 && sys_pread(era->fd, &era->now, sizeof era->now, 0) == (ssize_t)sizeof era->now)
        return era;
    rng_bytes(&era->now, sizeof era->now);
    if (!note(era, era->now)) {
        (void)sys_close(era->fd);          /* it has nothing */
        era->fd = -1;
    }
    return era;
}

uint32_t
era_now(const struct era *era)
{
    return era->now;
}

bool
era_sync_begin(struct era *era, struct err *err)
{
    return note(era, era->now + 1) ? true : err_set(err, ERR_IO, errno, "note a sync in '%s'", era->path);
}

void
era_sync_end(struct era *era, bool is_synced)
{
    if (!is_synced)
        era->now++;                        /* as the file says already */
    else
        (void)note(era, era->now);         /* else the next journal asks workers in vain to write again */
}

void
era_remove(struct era *era)
{
    (void)sys_unlinkat(AT_FDCWD, era->path, 0);        /* who finds it takes its number on */
}
