/* snapshot_restore — see snapshot.h: rollbacks and clones, and the heaps that they leave for the next event. */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/store/store.h"
#include "lib/sys/sys.h"
#include "src/worker/adopt.h"
#include "src/worker/agent.h"
#include "src/worker/agent_cold.h"
#include "src/worker/agent_sleep.h"
#include "src/worker/async_context.h"
#include "src/worker/deliver.h"
#include "src/worker/deploy.h"
#include "src/worker/log.h"
#include "src/worker/recall.h"
#include "src/worker/snapshot.h"
#include "src/worker/snapshot_internal.h"
#include "src/worker/timers.h"
#include "src/worker/worker.h"

#define TEXT_RESTORED "Durable Object reset because it is being restored from a snapshot."

/* What the database says of where its state came from: the heap beside the folder is this state's if both say the same snapshot, and
 * nothing was committed since. */
struct origin {
    uint8_t  id[SNAPSHOT_ID_BYTES];
    uint64_t seq;
};

struct restoring {                     /* one on its way */
    struct agent             *agent;
    struct snapshot_way       way;
    struct snapshot_restored  restored;
    bool                      is_clone;
    snapshot_restored_fn     *done;
    void                     *owner;
};

const char *
snapshot_heap_path(const struct agent *a, char out[SNAPSHOT_PATH_BYTES])
{
    char folder[SNAPSHOT_PATH_BYTES - 16];

    (void)snprintf(out, SNAPSHOT_PATH_BYTES, "%s.heap", agent_folder(a, folder, sizeof folder));
    return out;
}

/* ---- the state ---- */

static bool
prepare(struct store *store, void *owner, struct err *err)
{
    const struct restoring *r = owner;
    struct origin origin = { .seq = r->restored.seq };

    memcpy(origin.id, r->way.id.bytes, sizeof origin.id);
    if (r->is_clone && r->agent->name != NULL && !store_name_set(store, bytes_of(r->agent->name), err))
        return false;
    if (r->is_clone && !r->way.with_alarm && !store_alarm_set(store, STORE_ALARM_NONE, err))
        return false;
    return store_origin_set(store, bytes_from(&origin, sizeof origin), err);
}

static void
heap_drop(const struct agent *a)
{
    char path[SNAPSHOT_PATH_BYTES];

    (void)sys_unlinkat(AT_FDCWD, snapshot_heap_path(a, path), 0);  /* what stays is refused: the database tells */
}

/* The heap, without the database, to where the agent's next start looks for it. */
static bool
heap_put(const struct agent *a, const struct snapshot *s, struct err *err)
{
    struct snapshot only = *s;
    struct buf file = { 0 };
    char path[SNAPSHOT_PATH_BYTES];
    bool ok;

    only.pages = only.packs = BYTES_NONE;
    snapshot_pack(&file, &only);
    ok = snapshot_folders_above(a, err) && snapshot_file_write(snapshot_heap_path(a, path), buf_view(&file), err);
    buf_fini(&file);
    return ok;
}

/* ---- restores ---- */

/* The pages of S that are in packs, in PAGES. */
static bool
packs_load(const struct agent *a, struct snapshot *s, struct buf *pages, struct err *err)
{
    char folder[SNAPSHOT_PATH_BYTES];
    const struct snapshot_place place = { .folder = snapshot_folder_of(bytes_of(a->class_name), &s->agent, folder), .agent = s->agent };
    struct snapshot_chain chain = { .count = s->packs.len / SNAPSHOT_ID_BYTES };

    if (chain.count == 0)
        return true;
    memcpy(chain.packs, s->packs.data, s->packs.len);
    if (!snapshot_pages_read(pages, &place, &chain, err))
        return false;
    s->pages = buf_view(pages);
    return true;
}

/* S points into FILE and PAGES. */
static bool
snapshot_load(const struct agent *a, const struct snapshot_way *way, struct buf *file, struct buf *pages, struct snapshot *s, struct err *err)
{
    char path[SNAPSHOT_PATH_BYTES];

    if (!snapshot_file_read(snapshot_path(bytes_of(a->class_name), &way->source, &way->id, path), file, err) ||
        !snapshot_unpack(s, buf_view(file), err))
        return false;
    if (memcmp(&s->id, &way->id, sizeof s->id) != 0 || memcmp(&s->agent, &way->source, sizeof s->agent) != 0 ||
        !bytes_equal(s->class_name, bytes_of(a->class_name)))
        return err_set(err, ERR_CORRUPT, 0, "the snapshot is another agent's");
    return packs_load(a, s, pages, err);
}

/* Whether the heap could be this deployment's. */
static void
judge_heap(const struct agent *a, const struct snapshot *s, bool is_wanted, struct snapshot_restored *out)
{
    enum image_refusal refusal;

    out->has_heap = false;
    out->why = snapshot_heap_text(is_wanted ? s->heap : SNAPSHOT_UNASKED);
    if (s->heap != SNAPSHOT_HEAP || !is_wanted)
        return;
    if (!deploy_keeps_heap(worker.deploy, bytes_of(a->class_name))) {
        out->why = snapshot_heap_text(SNAPSHOT_DISCARDED);
        return;
    }
    refusal = image_check(s->image, worker.deploy->template, worker.heap_bytes_max, SNAPSHOT_COMMIT);
    out->has_heap = refusal == IMAGE_FINE;
    out->why = out->has_heap ? snapshot_heap_text(SNAPSHOT_HEAP) : image_refusal_text(refusal);
}

static void
on_sent(struct agent *a, const struct err *failure, void *owner)
{
    struct restoring *r = owner;

    adopt_end(a, failure);
    if (failure != NULL) {
        heap_drop(a);
    } else {
        agent_cold_drop(a);
        if (r->is_clone)
            worker_tell_born(a, false);
        a->is_born_told = a->is_born_told || r->is_clone;
    }
    r->done(a, failure == NULL ? &r->restored : NULL, failure, r->owner);
    free(r);
}

static bool
is_busy(const struct agent *a, struct err *err)
{
    if (!a->is_leaving && !recall_is_needed(a) && (a->state != AGENT_RECALLING || a->store != NULL))
        return false;
    (void)err_set(err, ERR_UNAVAILABLE, 0, "the agent is being restored, deleted or started; try again");
    return true;
}

/* A clone is made where nothing is. */
static bool
is_free(struct agent *a, struct err *err)
{
    char folder[SNAPSHOT_PATH_BYTES];
    struct stat st;

    if (a->state == AGENT_ABSENT && (a->store == NULL || store_is_unborn(a->store)) &&
        sys_fstatat(AT_FDCWD, agent_folder(a, folder, sizeof folder), &st, 0) != 0)
        return true;
    return err_set(err, ERR_EXISTS, 0, "there is an agent '%s' of class %s already", a->name != NULL ? a->name : "of this id", a->class_name);
}

/* An awake agent has no heap on disk that could be lost, and one that is not has none in memory: so nothing is given up before it must be. */
static bool
begin(struct restoring *r, const struct snapshot *s, struct err *err)
{
    struct agent *a = r->agent;
    const bool was_absent = a->state == AGENT_ABSENT;
    const struct adoption adoption = { .records = s->pages, .records_seq = s->seq, .prepare = prepare, .done = on_sent, .owner = r };

    if (r->restored.has_heap && !was_absent && !heap_put(a, s, err))
        return false;
    if (!adopt_begin(a, TEXT_RESTORED, &r->restored.seq, err))
        return false;
    if (!r->restored.has_heap)
        heap_drop(a);
    if ((!r->restored.has_heap || !was_absent || heap_put(a, s, err)) && adopt_send(a, r->restored.seq, &adoption, err))
        return true;
    adopt_end(a, err);
    heap_drop(a);
    return false;
}

bool
snapshot_restore(struct agent *a, const struct snapshot_way *way, snapshot_restored_fn *done, void *owner, struct err *err)
{
    struct restoring *r = calloc(1, sizeof *r);
    struct buf file = { 0 }, pages = { 0 };
    struct snapshot s;
    bool ok;

    assert(r != NULL);
    assert(!a->is_running);
    *r = (struct restoring){ .agent = a, .way = *way, .done = done, .owner = owner };
    r->is_clone = memcmp(&way->source, &a->id, sizeof a->id) != 0;
    ok = !is_busy(a, err) && (!r->is_clone || is_free(a, err)) && snapshot_load(a, way, &file, &pages, &s, err);
    if (ok) {
        judge_heap(a, &s, !way->without_heap, &r->restored);
        ok = begin(r, &s, err);
    }
    buf_fini(&file);
    buf_fini(&pages);
    if (!ok)
        free(r);
    return ok;
}

/* ---- from code ---- */

void
snapshot_ask_restore(struct agent *a, uint32_t request, const struct snapshot_id *id)
{
    a->wants_restore = true;
    a->restore_request = request;
    a->restore_section = async_context_section();
    memcpy(a->restore_id, id->bytes, sizeof a->restore_id);
}

static void
on_code_restored(struct agent *a, const struct snapshot_restored *restored, const struct err *err, void *owner)
{
    if (err != NULL)
        worker_log_agent(a, 3, "it could not be restored from a snapshot, and goes on from its database: %s", err->message);
    else if (!restored->has_heap)
        worker_log_agent(a, 1, "restored from a snapshot without its memory: %s", restored->why);
}

void
snapshot_after_turn(struct agent *a)
{
    struct snapshot_way way = { .source = a->id };
    struct err err = { 0 };

    if (!a->wants_restore || a->state != AGENT_AWAKE)
        return;
    a->wants_restore = false;
    memcpy(way.id.bytes, a->restore_id, sizeof a->restore_id);
    if (snapshot_restore(a, &way, on_code_restored, NULL, &err))
        return;
    worker_log_agent(a, 3, "it could not be restored from a snapshot: %s", err.message);
    if (a->state == AGENT_AWAKE)
        deliver_post_snapshot(a, a->restore_request, a->restore_section, true, bytes_of(snapshot_code_text(&err)));
}

/* ---- waking ---- */

/* Reads the file and removes it: whatever becomes of this wake, it is never used again. */
static bool
consume(const struct agent *a, struct buf *out)
{
    char path[SNAPSHOT_PATH_BYTES];
    struct err err = { 0 };

    snapshot_heap_path(a, path);
    return snapshot_file_read(path, out, &err) && sys_unlinkat(AT_FDCWD, path, 0) == 0;
}

static bool
is_of_this_state(struct agent *a, const struct snapshot *s)
{
    struct buf said = { 0 };
    struct origin origin;
    struct err err = { 0 };
    bool ok = (a->store != NULL || agent_open_store(a, BYTES_NONE, 0, &err)) && store_origin_get(a->store, &said, &err) && said.len == sizeof origin;

    if (ok) {
        memcpy(&origin, said.data, sizeof origin);
        ok = memcmp(origin.id, s->id.bytes, sizeof origin.id) == 0 && origin.seq == store_seq(a->store);
    }
    buf_fini(&said);
    return ok;
}

static enum image_refusal
apply(struct agent *a, const struct snapshot *s)
{
    struct bytes about;

    if (!deploy_keeps_heap(worker.deploy, bytes_of(a->class_name)))
        return IMAGE_TEMPLATE;
    if (s->heap != SNAPSHOT_HEAP || !image_is_alone(s->image))
        return IMAGE_FORMAT;
    if (!is_of_this_state(a, s))
        return IMAGE_COMMIT;
    return image_apply(s->image, worker.deploy->template, worker.heap_bytes_max, SNAPSHOT_COMMIT, &a->heap, &about);
}

/* What the host kept of the heap beside it. */
static void
take_over(struct agent *a, const struct snapshot *s)
{
    a->next_incoming = s->next_incoming > 0 ? s->next_incoming : 1;
    a->last_cursor = s->last_cursor;
    a->oldest_cursor = s->last_cursor + 1;
    a->last_deflate_stream = s->last_deflate_stream;
    a->wait_until = s->wait_until <= INT32_MAX / 2 ? (int)s->wait_until : 0;
    for (size_t i = 0; i < snapshot_timers_count(s); i++) {
        const struct snapshot_timer t = snapshot_timer_at(s, i);

        timers_arm(a, &t);
    }
}

bool
snapshot_wake(struct agent *a)
{
    struct buf file = { 0 };
    struct snapshot s;
    struct err err = { 0 };
    enum image_refusal refusal;

    assert(a->state == AGENT_ABSENT && a->heap == NULL);
    if (a->is_entry || !consume(a, &file)) {
        buf_fini(&file);
        return false;
    }
    refusal = snapshot_unpack(&s, buf_view(&file), &err) ? apply(a, &s) : IMAGE_DAMAGED;
    if (refusal != IMAGE_FINE) {
        worker.images_refused[refusal]++;
        worker_log_agent(a, 2, "the memory of its snapshot cannot be used (%s): it starts from its database", image_refusal_text(refusal));
    } else {
        take_over(a, &s);
        a->state = AGENT_AWAKE;
        a->is_resumed = true;
        a->resumed_as_clone = memcmp(&s.agent, &a->id, sizeof a->id) != 0;
        memcpy(a->restore_id, s.id.bytes, sizeof a->restore_id);
        agent_heap_made(a);
    }
    buf_fini(&file);
    return refusal == IMAGE_FINE;
}
