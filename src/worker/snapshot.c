/* snapshot — see snapshot.h: taking them. What there is of them is in snapshot_list.c, ways back are in snapshot_restore.c. */
#include "src/worker/snapshot.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/store/store.h"
#include "lib/sys/sys.h"
#include "src/worker/agent.h"
#include "src/worker/async_context.h"
#include "src/worker/commits.h"
#include "src/worker/deliver.h"
#include "src/worker/deploy.h"
#include "src/worker/file_sync.h"
#include "src/worker/log.h"
#include "src/worker/recall.h"
#include "src/worker/snapshot_internal.h"
#include "src/worker/timers.h"
#include "src/worker/worker.h"
#include "src/worker/worker_limits.h"

enum snapshot_step {
    STEP_COMMIT,                       /* waits until its commit is durable, and for those before it */
    STEP_FILES,                        /* its files are being synced */
    STEP_NAMES,                        /* … and their names */
};

struct snapshot_job {                  /* one on its way */
    struct list_node     in_agent;
    struct snapshot_wish wish;
    char                *label;        /* wish.label's */
    uint64_t             ticket;       /* TICKET_NONE: not taken yet */
    struct snapshot_told told;
    struct buf           content, pack;        /* its file; the pages that no other snapshot has, empty when they are in the file */
    struct snapshot_chain chain;       /* the packs that it names */
    snapshot_taken_fn   *taken;        /* NULL: the agent's code asked */
    void                *owner;
    uint32_t             request, section;
    enum snapshot_step   step;
    struct agent        *agent;
    unsigned             syncs;        /* under way */
    int                  sync_errno;   /* what failed of them, or 0 */
    bool                 is_doomed;    /* its agent is deleted, or who asked is gone: nothing of it is to stay */
};

/* ---- places ---- */

const char *
snapshot_folder_of(struct bytes class_name, const struct agent_id *id, char out[SNAPSHOT_PATH_BYTES])
{
    char folder[SNAPSHOT_PATH_BYTES - 128];

    (void)snprintf(out, SNAPSHOT_PATH_BYTES, "%s.snapshots", agent_folder_of(class_name, id, folder, sizeof folder));
    return out;
}

const char *
snapshot_path(struct bytes class_name, const struct agent_id *agent, const struct snapshot_id *id, char out[SNAPSHOT_PATH_BYTES])
{
    char folder[SNAPSHOT_PATH_BYTES], hex[SNAPSHOT_ID_HEX + 1];
    int n;

    snapshot_id_to_hex(id, hex);
    n = snprintf(out, SNAPSHOT_PATH_BYTES, "%s/%s", snapshot_folder_of(class_name, agent, folder), hex);
    assert(n > 0 && n < SNAPSHOT_PATH_BYTES);
    return out;
}

bool
snapshot_folders_above(const struct agent *a, struct err *err)
{
    char own[SNAPSHOT_PATH_BYTES];

    (void)agent_folder(a, own, sizeof own);
    *strrchr(own, '/') = '\0';
    return store_folder_make(own, err);
}

const char *
snapshot_code_text(const struct err *err)
{
    return err->code == ERR_IO || err->code == ERR_DISK_FULL ? agent_storage_text(err->code) : err->message;
}

/* ---- taking ---- */

static bool
heap_take(struct agent *a, struct snapshot *s, struct buf *image, struct buf *timers, struct err *err)
{
    const struct image_label label = { .commit = SNAPSHOT_COMMIT };
    bool ok;

    if (!deploy_keeps_heap(a->deploy != NULL ? a->deploy : worker.deploy, bytes_of(a->class_name)))
        s->heap = SNAPSHOT_DISCARDED;
    else if (a->state == AGENT_ABSENT)
        s->heap = SNAPSHOT_ABSENT;
    else
        s->heap = SNAPSHOT_HEAP;
    if (s->heap != SNAPSHOT_HEAP)
        return true;
    if (a->state != AGENT_AWAKE && a->state != AGENT_WARM)
        return err_set(err, ERR_UNAVAILABLE, 0, "the agent is starting; try again, or without its memory");
    if (a->sections_count > 0)
        return err_set(err, ERR_UNAVAILABLE, 0, "the agent is in a critical section (blockConcurrencyWhile, transaction); try again, or without its memory");
    ok = a->state == AGENT_AWAKE ? image_take(a->heap, &label, image) : image_alone(buf_view(&a->image), a->deploy->template, &label, image);
    timers_list(a, timers);
    s->heap = ok ? SNAPSHOT_HEAP : SNAPSHOT_LARGE;
    s->next_incoming = a->next_incoming;
    s->last_cursor = a->last_cursor;
    s->last_deflate_stream = a->last_deflate_stream;
    s->wait_until = a->wait_until > 0 ? (uint32_t)a->wait_until : 0;
    if (timers->len > TIMERS_MAX * sizeof(struct snapshot_timer))
        return err_set(err, ERR_LIMIT, 0, "more than %d timers are armed", TIMERS_MAX);
    return true;
}

static void
append_pages(void *owner, struct bytes pages, bool more)
{
    buf_append_bytes(owner, pages);
}

static bool
database_open(struct agent *a, struct err *err)
{
    if (recall_is_needed(a))
        return err_set(err, ERR_UNAVAILABLE, 0, "the agent is waking; try again");
    if (a->store == NULL && !agent_open_store(a, BYTES_NONE, 0, err))
        return false;
    if (store_depth(a->store) > 0 || store_is_dirty(a->store))
        return err_set(err, ERR_UNAVAILABLE, 0, "the agent is inside a transaction; try again");
    if (store_image_bytes(a->store) > RESTORE_BYTES_MAX)
        return err_set(err, ERR_LIMIT, 0, "its database is %lld MiB, more than the %lld MiB that a snapshot takes", (long long)(store_image_bytes(a->store) >> 20),
                       (long long)(RESTORE_BYTES_MAX >> 20));
    return true;
}

/* Small ones go into the snapshot's own file. */
static bool
pages_take(struct agent *a, const struct snapshot_id *id, struct snapshot_job *job, struct buf *pages, struct err *err)
{
    struct snapshot_known *known;
    bool ok;

    if (store_image_bytes(a->store) < SNAPSHOT_SHARE_BYTES_MIN)
        return store_image(a->store, append_pages, pages, err);
    known = snapshot_newest_known(a, &job->chain);
    ok = snapshot_pages_take(a->store, id, &a->id, known, &job->chain, &job->pack, err);
    snapshot_known_free(&known);
    return ok;
}

/* Fills JOB with AGENT as it is. */
static bool
take_now(struct agent *a, struct snapshot_job *job, struct err *err)
{
    const int64_t now_ms = clock_wall_ms();
    struct snapshot s = { .id = snapshot_id_new(now_ms), .agent = a->id, .time_ms = now_ms, .is_passing = job->wish.is_passing,
                          .class_name = bytes_of(a->class_name), .label = job->wish.label, .heap = SNAPSHOT_UNASKED, .next_incoming = 1 };
    struct buf image = { 0 }, timers = { 0 }, pages = { 0 };
    bool ok = database_open(a, err) && pages_take(a, &s.id, job, &pages, err) && (!job->wish.with_heap || heap_take(a, &s, &image, &timers, err));

    if (ok) {
        s.seq = store_seq(a->store);
        s.pages = buf_view(&pages);
        s.packs = bytes_from(job->chain.packs, job->chain.count * sizeof job->chain.packs[0]);
        if (s.heap == SNAPSHOT_HEAP) {
            s.image = buf_view(&image);
            s.timers = buf_view(&timers);
        }
        snapshot_pack(&job->content, &s);
        job->ticket = a->ticket != TICKET_NONE ? a->ticket : TICKET_SETTLED;
        job->told = (struct snapshot_told){ .id = s.id, .time_ms = now_ms, .bytes = (int64_t)(job->content.len + job->pack.len), .seq = s.seq, .heap = s.heap };
    }
    buf_fini(&image);
    buf_fini(&timers);
    buf_fini(&pages);
    return ok;
}

bool
snapshot_is_full(const struct agent *a)
{
    unsigned count = 0;

    for (const struct list_node *n = a->snapshots.next; n != &a->snapshots; n = n->next)
        count++;
    return count >= SNAPSHOTS_UNDER_WAY_MAX;
}

static struct snapshot_job *
job_create(struct agent *a, const struct snapshot_wish *wish)
{
    struct snapshot_job *job = calloc(1, sizeof *job);

    assert(job != NULL);
    assert(wish->label.len <= SNAPSHOT_LABEL_BYTES_MAX);
    assert(!snapshot_is_full(a));
    job->agent = a;
    job->wish = *wish;
    job->label = bytes_dup(wish->label);
    job->wish.label = bytes_of(job->label);
    list_push_back(&a->snapshots, &job->in_agent);
    return job;
}

static void
job_free(struct snapshot_job *job)
{
    list_remove(&job->in_agent);
    buf_fini(&job->content);
    buf_fini(&job->pack);
    free(job->label);
    free(job);
}

/* Tells whoever asked, and forgets it. ERR is NULL when it is there. */
static void
job_end(struct agent *a, struct snapshot_job *job, const struct err *err)
{
    char hex[SNAPSHOT_ID_HEX + 1];

    list_remove(&job->in_agent);       /* what follows may look at the list again */
    if (job->taken != NULL) {
        job->taken(a, err == NULL ? &job->told : NULL, err, job->owner);
    } else if (!job->is_doomed) {
        snapshot_id_to_hex(&job->told.id, hex);
        deliver_post_snapshot(a, job->request, job->section, err != NULL, err != NULL ? bytes_of(snapshot_code_text(err)) : bytes_from(hex, SNAPSHOT_ID_HEX));
    }
    job_free(job);
}

/* ---- to disk ---- */

struct job_paths {
    char folder[SNAPSHOT_PATH_BYTES], file[SNAPSHOT_PATH_BYTES], pack[SNAPSHOT_PATH_BYTES + sizeof SNAPSHOT_PACK_SUFFIX];
};

static void
job_paths(const struct agent *a, const struct snapshot_job *job, struct job_paths *out)
{
    const struct bytes class_name = bytes_of(a->class_name);

    snapshot_folder_of(class_name, &a->id, out->folder);
    snapshot_path(class_name, &a->id, &job->told.id, out->file);
    (void)snprintf(out->pack, sizeof out->pack, "%s" SNAPSHOT_PACK_SUFFIX, out->file);
}

static void on_synced(void *owner, int sys_errno);

/* FD, or -1 with ERR said, is one more that JOB waits for. */
static bool
job_sync(struct snapshot_job *job, int fd)
{
    int sys_errno;

    if (fd < 0)
        return false;
    if (file_sync(fd, on_synced, job, &sys_errno))
        job->syncs++;
    else if (sys_errno != 0)
        job->sync_errno = sys_errno;
    return true;
}

static bool
job_write(struct agent *a, struct snapshot_job *job, struct err *err)
{
    struct job_paths p;

    job_paths(a, job, &p);
    if (!snapshot_folders_above(a, err) || !snapshot_folder_make(p.folder, err) ||
        !snapshot_make_room(a, &job->wish, (int64_t)(job->content.len + job->pack.len), err))
        return false;
    job->step = STEP_FILES;
    /* The folder's name too: a crash may have come between it and the first snapshot. */
    return job_sync(job, snapshot_folder_open(p.folder, err)) && (job->pack.len == 0 || job_sync(job, snapshot_file_begin(p.pack, buf_view(&job->pack), err))) &&
           job_sync(job, snapshot_file_begin(p.file, buf_view(&job->content), err));
}

/* The pack first: what a crash leaves of it alone is swept with the next snapshot that goes. */
static bool
job_name(struct agent *a, struct snapshot_job *job, struct err *err)
{
    struct job_paths p;

    job_paths(a, job, &p);
    job->step = STEP_NAMES;
    return (job->pack.len == 0 || snapshot_file_name(p.pack, err)) && snapshot_file_name(p.file, err) && job_sync(job, snapshot_folder_open(p.file, err));
}

/* Nobody knows of it. */
static void
job_drop_files(struct agent *a, const struct snapshot_job *job)
{
    struct job_paths p;

    job_paths(a, job, &p);
    snapshot_file_drop(p.file);
    snapshot_file_drop(p.pack);
    (void)sys_unlinkat(AT_FDCWD, p.folder, AT_REMOVEDIR);      /* if there are no others */
}

/* Goes on with JOB, for which nothing is being synced, until something is or it has ended. */
static void
job_go_on(struct agent *a, struct snapshot_job *job)
{
    struct err err = { 0 };
    bool ok = true;

    while (ok && job->syncs == 0) {
        if (job->sync_errno != 0)
            ok = err_set(&err, job->sync_errno == ENOSPC || job->sync_errno == EDQUOT ? ERR_DISK_FULL : ERR_IO, job->sync_errno, "sync a snapshot");
        else if (job->is_doomed)
            ok = err_set(&err, ERR_UNAVAILABLE, 0, "the agent was deleted or reset meanwhile");
        else if (job->step == STEP_COMMIT)
            ok = job_write(a, job, &err);
        else if (job->step == STEP_FILES)
            ok = job_name(a, job, &err);
        else
            break;
    }
    if (job->syncs > 0) {              /* those first, whatever failed: then it ends */
        job->sync_errno = ok ? job->sync_errno : err.sys_errno != 0 ? err.sys_errno : EIO;
        return;
    }
    if (!ok) {
        worker_log_agent(a, 2, "a snapshot of it could not be kept: %s", err.message);
        job_drop_files(a, job);
    }
    job_end(a, job, ok ? NULL : &err);
}

/* One after the other: each shares the pages of the one before. */
static void
jobs_go_on(struct agent *a)
{
    struct snapshot_job *job;

    while ((job = list_first(&a->snapshots, struct snapshot_job, in_agent)) != NULL && job->step == STEP_COMMIT && job->ticket != TICKET_NONE &&
           commits_is_durable(job->ticket))
        job_go_on(a, job);
}

static void
on_synced(void *owner, int sys_errno)
{
    struct snapshot_job *job = owner;
    struct agent *a = job->agent;
    const bool was_pumping = a->is_pumping;

    job->sync_errno = sys_errno != 0 ? sys_errno : job->sync_errno;
    if (--job->syncs > 0)
        return;
    a->is_pumping = true;
    job_go_on(a, job);
    jobs_go_on(a);
    a->is_pumping = was_pumping;
    agent_pump(a);                     /* it may be gone */
}

bool
snapshot_is_storing(const struct agent *a)
{
    const struct snapshot_job *job = list_first((struct list_node *)(uintptr_t)&a->snapshots, struct snapshot_job, in_agent);

    return job != NULL && job->step != STEP_COMMIT;
}

void
snapshot_doom_all(struct agent *a)
{
    struct snapshot_job *job;

    list_each(job, &a->snapshots, struct snapshot_job, in_agent)
        job->is_doomed = true;
}

bool
snapshot_is_on_its_way(const struct agent *a, const struct snapshot_id *pack)
{
    for (const struct list_node *n = a->snapshots.next; n != &a->snapshots; n = n->next) {
        const struct snapshot_job *job = list_entry(n, struct snapshot_job, in_agent);

        for (size_t i = 0; i < job->chain.count; i++)
            if (memcmp(&job->chain.packs[i], pack, sizeof *pack) == 0)
                return true;
    }
    return false;
}

bool
snapshot_take(struct agent *a, const struct snapshot_wish *wish, snapshot_taken_fn *taken, void *owner, struct err *err)
{
    struct snapshot_job *job;

    assert(!a->is_running);
    if (wish->with_heap && a->state == AGENT_ABSENT)
        agent_resume(a);
    if (a->is_leaving)
        return err_set(err, ERR_UNAVAILABLE, 0, "the agent is being restored or deleted; try again");
    if (snapshot_is_full(a))
        return err_set(err, ERR_OVERLOADED, 0, "%d snapshots of the agent are on their way to disk; try again", SNAPSHOTS_UNDER_WAY_MAX);
    job = job_create(a, wish);
    job->taken = taken;
    job->owner = owner;
    if (!take_now(a, job, err)) {
        job_free(job);
        return false;
    }
    snapshot_settled(a);
    return true;
}

void
snapshot_ask(struct agent *a, uint32_t request, const struct snapshot_wish *wish)
{
    struct snapshot_job *job = job_create(a, wish);

    job->request = request;
    job->section = async_context_section();
}

void
snapshot_end_turn(struct agent *a)
{
    const bool was_pumping = a->is_pumping;
    struct snapshot_job *job;

    if (list_is_empty(&a->snapshots))
        return;
    a->is_pumping = true;              /* the caller pumps */
    list_each(job, &a->snapshots, struct snapshot_job, in_agent) {
        struct err err = { 0 };

        if (job->ticket == TICKET_NONE && !take_now(a, job, &err))
            job_end(a, job, &err);
    }
    a->is_pumping = was_pumping;
}

void
snapshot_settled(struct agent *a)
{
    const bool was_pumping = a->is_pumping;

    if (list_is_empty(&a->snapshots))
        return;
    a->is_pumping = true;              /* the caller pumps */
    jobs_go_on(a);
    a->is_pumping = was_pumping;
}

void
snapshot_refused(struct agent *a, const struct err *failure)
{
    struct snapshot_job *job;

    list_each(job, &a->snapshots, struct snapshot_job, in_agent)
        if (job->taken != NULL && job->step == STEP_COMMIT)
            job_end(a, job, failure);
    snapshot_forget(a);                /* the code that asked is reset with the rest */
}

void
snapshot_forget(struct agent *a)
{
    struct snapshot_job *job;

    a->wants_restore = false;
    list_each(job, &a->snapshots, struct snapshot_job, in_agent) {
        if (job->taken == NULL && job->step == STEP_COMMIT)
            job_free(job);
        else if (job->taken == NULL)
            job->is_doomed = true;
    }
}
