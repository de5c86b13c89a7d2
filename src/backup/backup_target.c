/* backup_target — see backup_target.h. Which kind a place is, and the calls to it. */
#include "src/backup/backup_target.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

bool
target_open(struct target **out_target, const struct target_spec *spec, struct err *err)
{
    const char *scheme = strstr(spec->place, "://");

    assert(spec->tick != NULL);
    if (strncmp(spec->place, "s3://", 5) == 0)
        return s3_target_open(out_target, spec, err);
    if (scheme != NULL)
        return err_set(err, ERR_USAGE, 0, "A backup goes to a folder or to s3://BUCKET/PREFIX, not to '%s'.", spec->place);
    return folder_target_open(out_target, spec, err);
}

void
target_close(struct target **target)
{
    struct target *it = STEAL(*target);

    if (it == NULL)
        return;
    free(STEAL(it->place));
    it->kind->close(it);
}

const char *
target_place(const struct target *target)
{
    return target->place;
}

bool
target_put(struct target *target, const char *name, struct bytes data, struct err *err)
{
    return target->kind->put(target, name, data, err);
}

bool
target_get(struct target *target, const char *name, struct span span, uint64_t bytes_max, struct buf *out, struct err *err)
{
    return target->kind->get(target, name, span, bytes_max, out, err);
}

bool
target_list(struct target *target, const char *prefix, void (*fn)(void *owner, const char *name, uint64_t bytes), void *owner, struct err *err)
{
    return target->kind->list(target, prefix, fn, owner, err);
}

bool
target_delete(struct target *target, const char *name, struct err *err)
{
    return target->kind->remove(target, name, err);
}
