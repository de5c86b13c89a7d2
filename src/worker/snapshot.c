/* snapshot — see snapshot.h: taking them, and their files. Ways back are in snapshot_restore.c. */
#include "src/worker/snapshot.h"

#include <assert.h>
#include <dirent.h>
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
#include "src/worker/log.h"
#include "src/worker/recall.h"
#include "src/worker/snapshot_internal.h"
#include "src/worker/timers.h"
#include "src/worker/worker.h"
#include "src/worker/worker_limits.h"

#define ENTRIES_MAX (4 * SNAPSHOTS_MAX)    /* files looked at; more than we ever make */

struct snapshot_job {                  /* one on its way */
    struct list_node     in_agent;
    struct snapshot_wish wish;
    char                *label;        /* wish.label's */
    uint64_t             ticket;       /* TICKET_NONE: not taken yet */
    struct snapshot_told told;
    struct buf           content;
    snapshot_taken_fn   *taken;        /* NULL: the agent's code asked */
    void                *owner;
    uint32_t             request, section;
};

/* ---- places ---- */

static const char *
folder_of(struct bytes class_name, const struct agent_id *id, char out[SNAPSHOT_PATH_BYTES])
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
    n = snprintf(out, SNAPSHOT_PATH_BYTES, "%s/%s", folder_of(class_name, agent, folder), hex);
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

/* ---- what there is ---- */

struct entry {
    struct snapshot_id id;
    int64_t            bytes, time_ms;
    bool               is_passing, has_label;
};

struct listing {
    size_t       count;
    struct entry entries[ENTRIES_MAX];     /* oldest first */
};

static int
by_id(const void *a, const void *b)
{
    return memcmp(((const struct entry *)a)->id.bytes, ((const struct entry *)b)->id.bytes, SNAPSHOT_ID_BYTES);
}

/* What a crash left of one that was being written goes: nobody writes now. */
static void
note_name(struct listing *l, DIR *dir, const char *name)
{
    const size_t len = strlen(name);
    struct stat st;

    if (len > 4 && strcmp(name + len - 4, ".new") == 0)
        (void)sys_unlinkat(dirfd(dir), name, 0);
    else if (l->count < ENTRIES_MAX && snapshot_id_from_hex(&l->entries[l->count].id, bytes_of(name)) &&
             sys_fstatat(dirfd(dir), name, &st, AT_SYMLINK_NOFOLLOW) == 0)
        l->entries[l->count++].bytes = st.st_size;
}

/* The files of AGENT; the caller frees. NULL: the folder cannot be read. */
static struct listing *
listing_read(const struct agent *a, struct err *err)
{
    char path[SNAPSHOT_PATH_BYTES];
    int fd = sys_open(folder_of(bytes_of(a->class_name), &a->id, path), O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
    const int cause = errno;
    struct listing *l;
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;

    if (dir == NULL && (fd >= 0 || cause != ENOENT)) {
        (void)sys_close(fd);
        (void)err_set(err, ERR_IO, cause, "read '%s'", path);
        return NULL;
    }
    l = calloc(1, sizeof *l);
    assert(l != NULL);
    if (dir == NULL)
        return l;
    for (struct dirent *e = readdir(dir); e != NULL; e = readdir(dir))
        note_name(l, dir, e->d_name);
    (void)closedir(dir);
    qsort(l->entries, l->count, sizeof l->entries[0], by_id);
    return l;
}

/* *HEAD points into ROOM. */
static bool
head_read(const struct agent *a, const struct snapshot_id *id, uint8_t room[SNAPSHOT_HEAD_MAX_BYTES], struct snapshot *head)
{
    char path[SNAPSHOT_PATH_BYTES];
    int fd = sys_open(snapshot_path(bytes_of(a->class_name), &a->id, id, path), O_RDONLY, 0);
    ssize_t n = fd >= 0 ? sys_pread(fd, room, SNAPSHOT_HEAD_MAX_BYTES, 0) : -1;
    struct err ignored = { 0 };

    (void)sys_close(fd);
    return n > 0 && snapshot_unpack_head(head, bytes_from(room, (size_t)n), &ignored) && memcmp(&head->id, id, sizeof *id) == 0;
}

bool
snapshot_each(const struct agent *a, snapshot_each_fn *fn, void *owner, struct err *err)
{
    struct listing *l = listing_read(a, err);
    uint8_t room[SNAPSHOT_HEAD_MAX_BYTES];
    struct snapshot head;

    for (size_t i = 0; l != NULL && i < l->count; i++)
        if (head_read(a, &l->entries[i].id, room, &head) && !head.is_passing)
            fn(owner, &head, l->entries[i].bytes);
    free(l);
    return l != NULL;
}

struct search {
    struct bytes       text;
    bool               is_latest, is_found;
    struct snapshot_id id;
};

static void
search_one(void *owner, const struct snapshot *head, int64_t bytes)
{
    struct search *s = owner;

    if (s->is_latest || (head->label.len > 0 && bytes_equal(head->label, s->text))) {
        s->id = head->id;
        s->is_found = true;
    }
}

bool
snapshot_find(const struct agent *a, struct bytes text, struct snapshot_id *out_id, struct err *err)
{
    struct search search = { .text = text, .is_latest = bytes_equal_str(text, "latest") };
    uint8_t room[SNAPSHOT_HEAD_MAX_BYTES];
    struct snapshot head;

    if (snapshot_id_from_hex(out_id, text) && head_read(a, out_id, room, &head))
        return true;
    if (!snapshot_each(a, search_one, &search, err))
        return false;
    *out_id = search.id;
    return search.is_found ? true : err_set(err, ERR_NOT_FOUND, 0, "the agent has no snapshot '%.*s'", (int)text.len, (const char *)text.data);
}

bool
snapshot_remove(const struct agent *a, const struct snapshot_id *id, struct err *err)
{
    char path[SNAPSHOT_PATH_BYTES];

    if (sys_unlinkat(AT_FDCWD, snapshot_path(bytes_of(a->class_name), &a->id, id, path), 0) == 0)
        return true;
    return errno == ENOENT ? err_set(err, ERR_NOT_FOUND, 0, "there is no such snapshot") : err_set(err, ERR_IO, errno, "remove '%s'", path);
}

void
snapshot_remove_all(struct agent *a)
{
    struct err err = { 0 };
    struct listing *l = listing_read(a, &err);
    char path[SNAPSHOT_PATH_BYTES];

    for (size_t i = 0; l != NULL && i < l->count; i++)
        if (!snapshot_remove(a, &l->entries[i].id, &err))
            worker_log_agent(a, 2, "a snapshot of it stays: %s", err.message);
    (void)sys_unlinkat(AT_FDCWD, folder_of(bytes_of(a->class_name), &a->id, path), AT_REMOVEDIR);
    (void)sys_unlinkat(AT_FDCWD, snapshot_heap_path(a, path), 0);
    free(l);
}

/* What has no readable head has no label. */
static void
entry_look(const struct agent *a, struct entry *e)
{
    uint8_t room[SNAPSHOT_HEAD_MAX_BYTES];
    struct snapshot head = { 0 };

    if (!head_read(a, &e->id, room, &head))
        return;
    e->has_label = head.label.len > 0;
    e->is_passing = head.is_passing;
    e->time_ms = head.time_ms;
}

static bool
is_over(size_t count, int64_t bytes)
{
    return count >= SNAPSHOTS_MAX || bytes > SNAPSHOT_AGENT_BYTES_MAX;
}

/* Makes room for one more of BYTES: the oldest without a label go. Those made for clones do not count; they go when their time is over. */
static bool
make_room(const struct agent *a, const struct snapshot_wish *wish, int64_t bytes, struct err *err)
{
    struct listing *l = listing_read(a, err);
    const int64_t now_ms = clock_wall_ms();
    bool ok = l != NULL;
    size_t count = 0;

    for (size_t i = 0; ok && i < l->count; i++) {
        struct entry *e = &l->entries[i];

        entry_look(a, e);
        if (e->is_passing) {
            ok = now_ms - e->time_ms <= SNAPSHOT_PASSING_MS_MAX || snapshot_remove(a, &e->id, err);
            continue;
        }
        bytes += e->bytes;
        count++;
    }
    for (size_t i = 0; ok && !wish->is_passing && i < l->count && is_over(count, bytes); i++) {
        struct entry *e = &l->entries[i];

        if (e->is_passing || e->has_label)
            continue;
        ok = snapshot_remove(a, &e->id, err);
        bytes -= e->bytes;
        count--;
    }
    if (ok && !wish->is_passing && is_over(count, bytes))
        ok = err_set(err, ERR_LIMIT, 0, "the agent's labelled snapshots fill its room (%d, %lld MiB): delete some", SNAPSHOTS_MAX,
                     SNAPSHOT_AGENT_BYTES_MAX >> 20);
    free(l);
    return ok;
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
database_take(struct agent *a, struct buf *pages, struct err *err)
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
    return store_image(a->store, append_pages, pages, err);
}

/* Fills JOB with AGENT as it is. */
static bool
take_now(struct agent *a, struct snapshot_job *job, struct err *err)
{
    const int64_t now_ms = clock_wall_ms();
    struct snapshot s = { .id = snapshot_id_new(now_ms), .agent = a->id, .time_ms = now_ms, .is_passing = job->wish.is_passing,
                          .class_name = bytes_of(a->class_name), .label = job->wish.label, .heap = SNAPSHOT_UNASKED, .next_incoming = 1 };
    struct buf image = { 0 }, timers = { 0 }, pages = { 0 };
    bool ok = database_take(a, &pages, err) && (!job->wish.with_heap || heap_take(a, &s, &image, &timers, err));

    if (ok) {
        s.seq = store_seq(a->store);
        s.pages = buf_view(&pages);
        if (s.heap == SNAPSHOT_HEAP) {
            s.image = buf_view(&image);
            s.timers = buf_view(&timers);
        }
        snapshot_pack(&job->content, &s);
        job->ticket = a->ticket != TICKET_NONE ? a->ticket : TICKET_SETTLED;
        job->told = (struct snapshot_told){ .id = s.id, .time_ms = now_ms, .bytes = (int64_t)job->content.len, .seq = s.seq, .heap = s.heap };
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
    } else {
        snapshot_id_to_hex(&job->told.id, hex);
        deliver_post_snapshot(a, job->request, job->section, err != NULL, err != NULL ? bytes_of(snapshot_code_text(err)) : bytes_from(hex, SNAPSHOT_ID_HEX));
    }
    job_free(job);
}

static bool
job_store(struct agent *a, struct snapshot_job *job, struct err *err)
{
    const struct bytes class_name = bytes_of(a->class_name);
    char path[SNAPSHOT_PATH_BYTES];

    if (!snapshot_folders_above(a, err) || !snapshot_folder_make(folder_of(class_name, &a->id, path), err) ||
        !make_room(a, &job->wish, (int64_t)job->content.len, err))
        return false;
    if (snapshot_file_write(snapshot_path(class_name, &a->id, &job->told.id, path), buf_view(&job->content), err))
        return true;
    (void)sys_unlinkat(AT_FDCWD, path, 0);     /* nobody knows of it */
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
    struct snapshot_job *job;

    if (list_is_empty(&a->snapshots))
        return;
    a->is_pumping = true;              /* the caller pumps */
    while ((job = list_first(&a->snapshots, struct snapshot_job, in_agent)) != NULL && job->ticket != TICKET_NONE && commits_is_durable(job->ticket)) {
        struct err err = { 0 };
        const bool ok = job_store(a, job, &err);

        if (!ok)
            worker_log_agent(a, 2, "a snapshot of it could not be kept: %s", err.message);
        job_end(a, job, ok ? NULL : &err);
    }
    a->is_pumping = was_pumping;
}

void
snapshot_refused(struct agent *a, const struct err *failure)
{
    struct snapshot_job *job;

    list_each(job, &a->snapshots, struct snapshot_job, in_agent)
        if (job->taken != NULL)
            job_end(a, job, failure);
    snapshot_forget(a);                /* the code that asked is reset with the rest */
}

void
snapshot_forget(struct agent *a)
{
    struct snapshot_job *job;

    a->wants_restore = false;
    list_each(job, &a->snapshots, struct snapshot_job, in_agent)
        if (job->taken == NULL)
            job_free(job);
}
