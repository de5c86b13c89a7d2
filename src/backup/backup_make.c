/*
 * backup_make — `dormouse backup`: the data folder of a node, as of one moment, into a target.
 *
 * The order is the promise (docs/decisions/010-backup.md): hold the journal, note its oldest segment; copy databases and deploys; cut the
 * journal; copy what belongs to the node, and the segments from the oldest to the cut; write the manifest.
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/sys/sys.h"
#include "src/backup/backup_copy.h"
#include "src/backup/backup_limits.h"
#include "src/backup/backup_source.h"
#include "src/backup/backup_target.h"

struct make {
    const struct job *job;
    struct source    *source;
    struct target    *target;
    struct packs     *packs;
    struct manifest   previous;            /* the newest complete backup; empty */
    struct manifest   unfinished;          /* one of this folder that was interrupted; empty */
    struct manifest   manifest;            /* this one */
    struct copier     copier;
    int64_t           checkpoint_ms;       /* monotonic: the last one */
    struct buf        control;             /* control.json */
};

/* ---- what is there already ---------------------------------------------------------------------------------------------------- */

/* An interrupted backup of this folder is gone on with; one of another machine that is still alive is not disturbed. */
static bool
unfinished_read(struct make *m, struct err *err)
{
    struct err why = { 0 };
    bool is_ours;

    if (!manifest_read(&m->unfinished, m->packs, m->target, UNFINISHED_NAME, &why))
        return why.code == ERR_NOT_FOUND || why.code == ERR_CORRUPT || why.code == ERR_VERSION ? true : err_set(err, why.code, 0, "%s", why.message);
    is_ours = strcmp(m->unfinished.data, m->manifest.data) == 0 && strcmp(m->unfinished.host, m->manifest.host) == 0;
    if (!is_ours && clock_wall_ms() - m->unfinished.touched_ms < BUSY_MS)
        return err_set(err, ERR_EXISTS, 0, "A backup of '%s' on %s to '%s' is under way. Each node needs a target of its own.", m->unfinished.data,
                       m->unfinished.host, m->job->target);
    if (!is_ours)
        manifest_fini(&m->unfinished);
    return true;
}

static bool
previous_read(struct make *m, struct err *err)
{
    char name[BACKUP_ID_BYTES + 16];
    struct err why = { 0 };
    char **ids;
    size_t count;
    struct pack *pack;
    size_t cursor = 0;

    if (!unfinished_read(m, err))
        return false;
    while (packs_next(m->packs, &cursor, &pack))
        pack->is_thin = false;             /* an unfinished backup does not know yet what it uses */
    if (!backups_list(m->target, &ids, &count, err))
        return false;
    manifest_name(&m->manifest, count == 0 ? NULL : ids[count - 1]);
    for (size_t i = count; i > 0 && m->previous.id[0] == '\0'; i--) {
        backup_name(ids[i - 1], name);
        if (!manifest_read(&m->previous, m->packs, m->target, name, &why))
            say_event("warning", json_pack("{s:o}", "message", json_words(why.message)));
    }
    backups_free(&ids, count);
    return packs_look(m->packs, err);
}

/* The list that MANIFEST has of group NAME; none when it cannot be had: then its files are stored again. */
static void
list_before(struct make *m, const struct manifest *manifest, const char *name, struct list *out_list)
{
    const struct group *group = manifest_find(manifest, name);
    struct buf bytes = { 0 };
    struct err why = { 0 };

    if (group == NULL || group->list.len == 0 || !group->list.pack->is_there)
        return;
    if (!packs_read(m->packs, &group->list, PACKS_ONE, &bytes, &why) || !list_unpack(out_list, buf_view(&bytes), m->packs, &why))
        say_event("warning", json_pack("{s:o}", "message", json_words(why.message)));
    buf_fini(&bytes);
}

/* ---- one group ------------------------------------------------------------------------------------------------------------------ */

static bool
unfinished_write(struct make *m, struct err *err)
{
    m->manifest.touched_ms = clock_wall_ms();
    m->checkpoint_ms = clock_mono_ms();
    return manifest_write(&m->manifest, m->packs, m->target, UNFINISHED_NAME, err);
}

static bool
on_tick(void *owner, struct err *err)
{
    struct make *m = owner;

    source_tick(m->source);
    if (!source_is_held(m->source, err))
        return false;
    if (!go_on(err)) {
        struct err ignored = { 0 };        /* then the next run has a little more to do */

        (void)(packs_flush(m->packs, &ignored) && unfinished_write(m, &ignored));
        return false;
    }
    if (clock_mono_ms() - m->checkpoint_ms < m->job->checkpoint_ms)
        return true;
    return packs_flush(m->packs, err) && unfinished_write(m, err);
}

/* A list that is what it was is not stored again. */
static bool
list_store(struct make *m, const char *name, const struct list *list, struct ref *out_ref, struct err *err)
{
    const struct manifest *const earlier[] = { &m->unfinished, &m->previous };
    struct buf bytes = { 0 };
    uint8_t sum[SUM_BYTES];
    bool ok = true;

    *out_ref = (struct ref){ 0 };
    list_pack(list, &bytes);
    sum_of(buf_view(&bytes), sum);
    for (size_t i = 0; i < ARRAY_LEN(earlier) && out_ref->len == 0; i++) {
        const struct group *group = manifest_find(earlier[i], name);

        if (group != NULL && group->list.len == bytes.len && bytes.len > 0 && memcmp(group->list.sum, sum, SUM_BYTES) == 0 && packs_is_usable(&group->list))
            *out_ref = group->list;
    }
    if (bytes.len > LIST_BYTES_MAX)
        ok = err_set(err, ERR_LIMIT, 0, "'%s' has too many files for a backup", name);
    else if (bytes.len > 0 && out_ref->len == 0)
        ok = packs_add(m->packs, PACK_LISTS, buf_view(&bytes), out_ref, err);
    buf_fini(&bytes);
    return ok;
}

static bool
group_end(struct make *m, const char *name, struct list *list, struct err *err)
{
    struct group group = { .name = bytes_dup(bytes_of(name)), .files = list->count };
    bool ok;

    list_sort(list);
    for (size_t i = 0; i < list->count; i++)
        group.bytes += list->entries[i].size;
    ok = list_store(m, name, list, &group.list, err);
    if (!ok) {
        free(group.name);
        return false;
    }
    list_use(list);
    if (group.list.len > 0)
        packs_use(&group.list);
    manifest_group(&m->manifest, &group);
    m->manifest.recent_count = 0;
    return true;
}

/* The files of group NAME, as FILL gathers them. */
static bool
group_make(struct make *m, const char *name, bool (*fill)(struct make *m, const char *name, struct list *out_list, struct err *err), struct err *err)
{
    struct list before[2] = { 0 };
    struct list now = { 0 };
    bool ok;

    if (manifest_find(&m->manifest, name) != NULL)
        return true;
    list_before(m, &m->unfinished, name, &before[0]);
    list_before(m, &m->previous, name, &before[1]);
    m->copier.before[0] = &before[0];
    m->copier.before[1] = &before[1];
    ok = fill(m, name, &now, err) && group_end(m, name, &now, err);
    for (size_t i = 0; i < ARRAY_LEN(before); i++)
        list_fini(&before[i]);
    list_fini(&now);
    return ok;
}

static bool
fill_tree(struct make *m, const char *name, struct list *out_list, struct err *err)
{
    return copy_tree(&m->copier, name, out_list, err);
}

/* A group of each folder in PATH. */
static bool
groups_make(struct make *m, const char *path, struct err *err)
{
    struct names names;
    bool ok = names_read(source_dir(m->source), path, &names, err);

    for (size_t i = 0; ok && i < names.count; i++) {
        char name[PATH_BYTES / 2];

        if ((size_t)snprintf(name, sizeof name, "%s/%s", path, names.name[i]) < sizeof name)   /* ours are shorter */
            ok = group_make(m, name, fill_tree, err);
    }
    names_free(&names);
    return ok;
}

/* ---- the node --------------------------------------------------------------------------------------------------------------------- */

static bool
agents_make(struct make *m, const char *app, struct err *err)
{
    char path[PATH_BYTES / 4], below[PATH_BYTES / 2];
    struct names classes;
    bool ok;

    if ((size_t)snprintf(path, sizeof path, "apps/%s/agents", app) >= sizeof path)
        return true;                       /* no name of an app is so long */
    ok = names_read(source_dir(m->source), path, &classes, err);
    m->copier.is_agents = true;
    for (size_t i = 0; ok && i < classes.count; i++)
        if (classes.name[i][0] != '.' && (size_t)snprintf(below, sizeof below, "%s/%s", path, classes.name[i]) < sizeof below)   /* ".": images, which are derived */
            ok = groups_make(m, below, err);
    m->copier.is_agents = false;
    names_free(&classes);
    return ok;
}

/* The agents of all apps: a group per first hash level of each class. */
static bool
apps_make(struct make *m, struct err *err)
{
    struct names apps;
    bool ok = names_read(source_dir(m->source), "apps", &apps, err);

    for (size_t i = 0; ok && i < apps.count; i++)
        ok = agents_make(m, apps.name[i], err);
    names_free(&apps);
    return ok;
}

static bool
small_read(struct make *m, const char *path, struct buf *out, struct err *err)
{
    int fd = sys_openat(source_dir(m->source), path, O_RDONLY | O_NOFOLLOW, 0);
    ssize_t got = -1;

    if (fd < 0 && errno == ENOENT)
        return true;
    while (fd >= 0 && out->len < LIST_BYTES_MAX) {
        buf_reserve(out, 4096);
        got = sys_read(fd, out->data + out->len, 4096);
        if (got <= 0)
            break;
        out->len += (size_t)got;
    }
    if (got < 0)
        (void)err_set(err, ERR_IO, errno, "read '%s'", path);
    (void)sys_close(fd);                   /* -1 is fine */
    return got >= 0;
}

/* The deploys that control.json, TEXT, names. */
static bool
deploys_make(struct make *m, struct bytes text, struct err *err)
{
    json_t *json = json_loadb((const char *)text.data, text.len, 0, NULL);
    const json_t *app;
    bool ok = true;
    size_t i;

    json_array_foreach (json_object_get(json, "apps"), i, app) {
        const char *name = json_string_value(json_object_get(app, "app")), *hash = json_string_value(json_object_get(app, "deploy"));
        char path[PATH_BYTES / 2];

        if (ok && name != NULL && hash != NULL && (size_t)snprintf(path, sizeof path, "apps/%s/deploys/%s", name, hash) < sizeof path)
            ok = group_make(m, path, fill_tree, err);
    }
    json_decref(json);
    return ok;
}

static bool
fill_node(struct make *m, const char *name, struct list *out_list, struct err *err)
{
    return m->control.len == 0 || copy_bytes(&m->copier, buf_view(&m->control), "control.json", out_list, err);
}

/* control.json and the deploys that it names: what it named all the while was not deleted meanwhile. */
static bool
node_make(struct make *m, struct err *err)
{
    for (int tries = 0; tries < DEPLOY_TRIES; tries++) {
        struct buf then = { 0 };
        bool ok, is_still;

        ok = small_read(m, "control.json", &then, err) && deploys_make(m, buf_view(&then), err);
        buf_clear(&m->control);
        ok = ok && small_read(m, "control.json", &m->control, err);
        is_still = ok && bytes_equal(buf_view(&then), buf_view(&m->control));
        buf_fini(&then);
        if (!ok || is_still)
            return ok && group_make(m, "node", fill_node, err);
    }
    return err_set(err, ERR_UNAVAILABLE, 0, "Deploys come and go too fast for a backup; run it again.");
}

static bool
names_make(struct make *m, struct err *err)
{
    struct names apps;
    bool ok = names_read(source_dir(m->source), "apps", &apps, err);

    for (size_t i = 0; ok && i < apps.count; i++) {
        char path[PATH_BYTES / 2];

        if ((size_t)snprintf(path, sizeof path, "apps/%s/names", apps.name[i]) < sizeof path)
            ok = group_make(m, path, fill_tree, err);
    }
    names_free(&apps);
    return ok;
}

struct segments { struct make *make; struct list *list; };

static bool
on_segment(void *owner, const char *path, const char *name, bool is_needed, struct err *err)
{
    const struct segments *s = owner;
    char as[PATH_BYTES], moved[PATH_BYTES];
    bool found;

    if (!is_needed && !s->make->job->has_history)
        return true;
    (void)snprintf(as, sizeof as, "%s/%s", is_needed ? "journal" : "journal/history", name);
    (void)snprintf(moved, sizeof moved, "journal/history/%s", name);
    if (!copy_segment(&s->make->copier, path, as, s->list, &found, err))
        return false;
    if (!found && !copy_segment(&s->make->copier, moved, as, s->list, &found, err))   /* it has just moved there */
        return false;
    return found || !is_needed ? true : err_set(err, ERR_UNAVAILABLE, 0, "Journal segment '%s' is gone although the backup needs it. Run it again.", name);
}

static bool
fill_journal(struct make *m, const char *name, struct list *out_list, struct err *err)
{
    return source_segments(m->source, on_segment, &(struct segments){ m, out_list }, err);
}

static bool
all_make(struct make *m, struct err *err)
{
    struct progress *progress = &m->copier.progress;

    progress->phase = "agents";
    if (!apps_make(m, err) || !source_is_held(m->source, err) || !source_cut(m->source, &m->manifest.cut_ms, err))
        return false;
    progress->phase = "node";
    if (!node_make(m, err) || !names_make(m, err))
        return false;
    progress->phase = "journal";
    return group_make(m, "journal", fill_journal, err) && source_is_held(m->source, err) && packs_flush(m->packs, err);
}

/* ---- the run ------------------------------------------------------------------------------------------------------------------- */

/* Two nodes that begin in one moment do not see each other, and may even have one id. The last one to say that it began is the one. */
static bool
is_alone(struct make *m, struct err *err)
{
    struct packs *packs = packs_create(m->target, PACK_BYTES);   /* what another stored is not what we know */
    struct manifest last = { 0 };
    struct err why = { 0 };
    bool ok = manifest_read(&last, packs, m->target, UNFINISHED_NAME, &why);

    if (!ok && why.code != ERR_NOT_FOUND)
        (void)err_set(err, why.code, 0, "%s", why.message);
    else if (!ok)
        (void)err_set(err, ERR_EXISTS, 0, "Another backup to '%s' ended beside this one. Each node needs a target of its own.", m->job->target);
    else if (last.started_ms != m->manifest.started_ms || strcmp(last.data, m->manifest.data) != 0 || strcmp(last.host, m->manifest.host) != 0)
        ok = err_set(err, ERR_EXISTS, 0, "A backup of '%s' on %s to '%s' began beside this one. Each node needs a target of its own.", last.data, last.host,
                     m->job->target);
    manifest_fini(&last);
    packs_destroy(&packs);
    return ok;
}

static bool
finish(struct make *m, struct err *err)
{
    char name[BACKUP_ID_BYTES + 16];

    if (!is_alone(m, err))
        return false;
    m->manifest.recent_count = 0;
    m->manifest.written_bytes = packs_written_bytes(m->packs);
    m->manifest.touched_ms = clock_wall_ms();
    backup_name(m->manifest.id, name);
    if (!manifest_write(&m->manifest, m->packs, m->target, name, err) || !target_delete(m->target, UNFINISHED_NAME, err))
        return false;
    say_progress(&m->copier.progress, true);
    say_event("done", json_pack("{s:s, s:I, s:I, s:I, s:I, s:I, s:b, s:b}", "id", m->manifest.id, "at_ms", (json_int_t)m->manifest.cut_ms, "files",
                                (json_int_t)m->manifest.files, "bytes", (json_int_t)m->manifest.bytes, "written_bytes",
                                (json_int_t)m->manifest.written_bytes, "ms", (json_int_t)(m->manifest.touched_ms - m->manifest.started_ms), "live",
                                (int)m->manifest.is_live, "resumed", (int)(m->unfinished.id[0] != '\0')));
    return m->job->keep == 0 || prune(m->target, m->job->keep, err);
}

static void
on_target_tick(void *owner)
{
    struct make *m = owner;

    if (m->source != NULL)
        source_tick(m->source);
}

static void
make_fini(struct make *m)
{
    source_close(&m->source);
    manifest_fini(&m->previous);
    manifest_fini(&m->unfinished);
    manifest_fini(&m->manifest);
    packs_destroy(&m->packs);
    target_close(&m->target);
    buf_fini(&m->control);
    free(m->copier.chunk);
}

bool
make_run(const struct job *job, struct err *err)
{
    struct make m = { .job = job };
    bool ok;

    if (job->data == NULL || job->socket == NULL)
        return err_set(err, ERR_USAGE, 0, "Of what? Name the data folder with --data.");
    sys_yield_to_others();
    manifest_begin(&m.manifest, job->data, clock_wall_ms());
    ok = job_target(&m.target, job, true, on_target_tick, &m, err) && source_open(&m.source, job->data, job->socket, err);
    if (ok) {
        m.manifest.is_live = source_is_live(m.source);
        m.packs = packs_create(m.target, job->pack_bytes);
        m.copier = (struct copier){ .job = job, .packs = m.packs, .dir = source_dir(m.source), .manifest = &m.manifest, .chunk = malloc(job->chunk_bytes),
                                    .began_ms = clock_mono_ms(), .tick = on_tick, .owner = &m, .progress = { .phase = "start" } };
        assert(m.copier.chunk != NULL);
        ok = previous_read(&m, err);
    }
    if (ok) {
        for (size_t i = 0; i < m.unfinished.recent_count; i++)
            if (m.unfinished.recent[i].pack->is_there)
                packs_know(m.packs, &m.unfinished.recent[i]);
        ok = unfinished_write(&m, err) && all_make(&m, err) && finish(&m, err);
    }
    make_fini(&m);
    return ok;
}
