/* journal_seal — see journal_seal.h. */
#include "src/journal/journal_seal.h"

#include <assert.h>
#include <stdlib.h>

#include "src/journal/journal_segment.h"
#include "src/journal/journal_thread.h"

struct sealer {
    struct disk_thread *thread;
    struct segment     *segment;           /* borrowed; NULL: none is being sealed */
    bool                ok;                /* the thread's while it runs, as are the segment's index and its failure */
    struct err          failure;
    void              (*fn)(void *owner, const struct err *failure);
    void               *owner;
};

static void
seal_run(void *owner)
{
    struct sealer *sealer = owner;

    sealer->failure = (struct err){ 0 };
    sealer->ok = segment_seal_write(sealer->segment, &sealer->failure);
}

static void
seal_done(void *owner)
{
    struct sealer *sealer = owner;

    segment_seal_end(sealer->segment, sealer->ok);
    sealer->segment = NULL;
    sealer->fn(sealer->owner, sealer->ok ? NULL : &sealer->failure);
}

bool
sealer_create(struct sealer **out_sealer, struct loop *loop, void (*fn)(void *owner, const struct err *failure), void *owner, struct err *err)
{
    struct sealer *sealer = calloc(1, sizeof *sealer);

    assert(sealer != NULL);
    sealer->fn = fn;
    sealer->owner = owner;
    if (!disk_thread_create(&sealer->thread, loop, (struct disk_work){ seal_run, seal_done, sealer }, err)) {
        free(sealer);
        return false;
    }
    *out_sealer = sealer;
    return true;
}

void
sealer_start(struct sealer *sealer, struct segment *segment)
{
    assert(sealer->segment == NULL);
    sealer->segment = segment;
    disk_thread_start(sealer->thread);
}

const struct segment *
sealer_segment(const struct sealer *sealer)
{
    return sealer->segment;
}

void
sealer_finish(struct sealer *sealer)
{
    if (sealer->segment != NULL)
        disk_thread_finish(sealer->thread);
}

void
sealer_destroy(struct sealer **sealer)
{
    struct sealer *it = *sealer;

    *sealer = NULL;
    if (it == NULL)
        return;
    disk_thread_destroy(&it->thread);
    free(it);
}
