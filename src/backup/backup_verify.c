/*
 * backup_verify — `dormouse backup verify`: every byte that a backup refers to is read and compared with its checksum, and every database is
 * opened with what the backup's journal has of it, as a worker would.
 *
 * The second needs a scratch folder, for the segments that the databases need and one agent's files at a time.
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/sys/sys.h"
#include "src/backup/backup_limits.h"
#include "src/backup/backup_manifest.h"
#include "src/backup/backup_opens.h"
#include "src/backup/backup_source.h"
#include "src/backup/backup_target.h"
#include "src/backup/backup_write.h"

#define HISTORY "journal/history/"

struct verify {
    const struct job *job;
    struct target    *target;
    struct packs     *packs;
    struct manifest   manifest;
    char             *id;                  /* owned */
    struct writer     writer;              /* its folder is the scratch one */
    char             *scratch;             /* owned; NULL: databases are not opened */
    struct opens     *opens;
    uint64_t          damaged, opened;
};

static void
on_tick(void *owner)
{
}

/* Damage is told and counted; it does not end the verification. */
static void
complain(struct verify *v, const char *what, const char *message)
{
    v->damaged++;
    say_event("damaged", json_pack("{s:s, s:s, s:o}", "id", v->id, "what", what, "message", json_words(message)));
}

static void
pack_verify(void *owner, struct pack *pack)
{
    struct verify *v = owner;
    struct err why = { 0 };
    char name[PACK_NAME_BYTES];

    pack_name(pack, name);
    if (!packs_check(v->packs, pack, &why))
        complain(v, name, why.message);
}

/* ---- the scratch folder -------------------------------------------------------------------------------------------------------- */

/* What is below PATH goes. Recursion ends at DEPTH; the tree is ours. */
static void
empty(int dir, const char *path, int depth)
{
    struct names names;
    struct err ignored = { 0 };            /* what stays is found by whoever looks into the folder for temporary files */

    if (depth == 0 || !names_read(dir, path, &names, &ignored))
        return;
    for (size_t i = 0; i < names.count; i++) {
        char below[PATH_BYTES];

        if ((size_t)snprintf(below, sizeof below, "%s/%s", path, names.name[i]) >= sizeof below || sys_unlinkat(dir, below, 0) == 0)
            continue;
        empty(dir, below, depth - 1);
        (void)sys_unlinkat(dir, below, AT_REMOVEDIR);
    }
    names_free(&names);
}

static bool
scratch_make(struct verify *v, struct err *err)
{
    const char *parent = getenv("TMPDIR");
    struct buf path = { 0 };

    buf_printf(&path, "%s/dormouse-verify-%016llx", parent != NULL && parent[0] == '/' ? parent : "/var/tmp", (unsigned long long)rng_u64());
    v->scratch = bytes_dup(buf_view(&path));
    buf_fini(&path);
    if (sys_mkdirat(AT_FDCWD, v->scratch, 0700) != 0)
        return err_set(err, ERR_IO, errno, "make the scratch folder '%s' (TMPDIR says where); --checksums does without", v->scratch);
    v->writer.dir = sys_open(v->scratch, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
    return v->writer.dir >= 0 ? true : err_set(err, ERR_IO, errno, "open the scratch folder '%s'", v->scratch);
}

static void
scratch_remove(struct verify *v)
{
    if (v->writer.dir >= 0) {
        empty(v->writer.dir, ".", DEPTH_MAX);
        (void)sys_unlinkat(AT_FDCWD, v->scratch, AT_REMOVEDIR);
    }
    (void)sys_close(STEAL_FD(v->writer.dir));
    free(STEAL(v->scratch));
}

/* ---- groups ----------------------------------------------------------------------------------------------------------------------- */

static bool
group_read(struct verify *v, const struct group *group, struct list *out_list)
{
    struct err why = { 0 };

    if (read_list(v->packs, group, out_list, &why))
        return true;
    complain(v, group->name, why.message);
    return false;
}

/* The whole of ENTRY is read, and written to the scratch folder when IS_WANTED there. */
static bool
entry_verify(struct verify *v, const struct entry *entry, bool is_wanted, struct err *err)
{
    struct err why = { 0 };

    if (is_wanted && v->scratch != NULL ? write_entry(&v->writer, entry, &why) : read_entry(&v->writer, entry, &why))
        return true;
    if (why.code == ERR_IO || why.code == ERR_DISK_FULL || why.code == ERR_CANCELLED)       /* ours, not the backup's */
        return err_set(err, why.code, 0, "%s", why.message);
    complain(v, entry->path, why.message);
    return true;
}

/* The segments that databases need come first: dormouse-check starts its journal over them. */
static bool
journal_verify(struct verify *v, struct err *err)
{
    const struct group *group = manifest_find(&v->manifest, "journal");
    struct list list = { 0 };
    bool ok = true;

    if (group == NULL || !group_read(v, group, &list))
        return true;
    for (size_t i = 0; ok && i < list.count; i++)
        ok = entry_verify(v, &list.entries[i], strncmp(list.entries[i].path, HISTORY, strlen(HISTORY)) != 0, err);
    list_fini(&list);
    return ok;
}

/* apps/APP/agents/CLASS/ab/ID of a file in it: the three names, in COPY. */
static bool
agent_of(const char *path, char copy[PATH_BYTES], const char *out_names[3])
{
    char *at = copy;
    char *part[8] = { NULL };
    size_t count = 0;

    (void)snprintf(copy, PATH_BYTES, "%s", path);
    while (count < ARRAY_LEN(part) && at != NULL)
        part[count++] = strsep(&at, "/");
    if (count < 7 || at != NULL || strcmp(part[0], "apps") != 0 || strcmp(part[2], "agents") != 0)
        return false;
    out_names[0] = part[1];
    out_names[1] = part[3];
    out_names[2] = part[5];
    return strcmp(part[6], "db.sqlite") == 0;
}

static size_t
folder_len(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash == NULL ? 0 : (size_t)(slash - path);
}

/* The files in LIST from FIRST to END are one folder's, and lie in the scratch folder. */
static bool
agent_open(struct verify *v, const struct list *list, size_t first, size_t end, struct err *err)
{
    struct err why = { 0 };
    const char *names[3];
    char copy[PATH_BYTES];

    for (size_t i = first; i < end; i++) {
        if (!agent_of(list->entries[i].path, copy, names))
            continue;
        v->opened++;
        if (opens_agent(v->opens, names[0], names[1], names[2], &why))
            continue;
        if (why.code == ERR_LOST)
            return err_set(err, why.code, 0, "%s", why.message);
        complain(v, list->entries[i].path, why.message);
    }
    (void)snprintf(copy, sizeof copy, "%.*s", (int)folder_len(list->entries[first].path), list->entries[first].path);
    empty(v->writer.dir, copy, DEPTH_MAX);
    return true;
}

static bool
agents_verify(struct verify *v, const struct group *group, struct err *err)
{
    struct list list = { 0 };
    size_t first = 0;
    bool ok = true;

    if (!group_read(v, group, &list))
        return true;
    for (size_t i = 0; ok && i < list.count; i++) {
        const char *path = list.entries[i].path;
        const bool is_last = i + 1 == list.count || folder_len(list.entries[i + 1].path) != folder_len(path) ||
                             strncmp(list.entries[i + 1].path, path, folder_len(path)) != 0;

        ok = entry_verify(v, &list.entries[i], true, err);
        if (!ok || !is_last)
            continue;
        ok = v->opens == NULL || agent_open(v, &list, first, i + 1, err);
        first = i + 1;
    }
    list_fini(&list);
    return ok;
}

static bool
other_verify(struct verify *v, const struct group *group, struct err *err)
{
    struct list list = { 0 };
    bool ok = true;

    if (!group_read(v, group, &list))
        return true;
    for (size_t i = 0; ok && i < list.count; i++)
        ok = entry_verify(v, &list.entries[i], false, err);
    list_fini(&list);
    return ok;
}

/* "apps/APP/…" */
static bool
app_of(const struct group *group, char out[PATH_BYTES])
{
    if (strncmp(group->name, "apps/", 5) != 0)
        return false;
    (void)snprintf(out, PATH_BYTES, "%.*s", (int)strcspn(group->name + 5, "/"), group->name + 5);
    return out[0] != '\0' && out[0] != '.';
}

static bool
groups_verify(struct verify *v, struct err *err)
{
    char app[PATH_BYTES];
    bool ok = journal_verify(v, err);

    if (ok && v->scratch != NULL)
        ok = opens_start(&v->opens, v->scratch, err);
    for (size_t i = 0; ok && i < v->manifest.groups_count; i++) {
        const struct group *group = &v->manifest.groups[i];

        if (v->opens != NULL && app_of(group, app))
            ok = opens_app(v->opens, app, err);
        if (!ok || strcmp(group->name, "journal") == 0)
            continue;
        ok = strstr(group->name, "/agents/") != NULL ? agents_verify(v, group, err) : other_verify(v, group, err);
    }
    return ok;
}

static void
on_rest(void *owner, const char *what, const char *message)
{
    complain(owner, what, message != NULL ? message : "it does not open");
}

/* What a restore would read; then the packs as they were written, also where this backup does not use them. */
static bool
all_verify(struct verify *v, struct err *err)
{
    struct pack *pack;
    size_t cursor = 0;

    if (!groups_verify(v, err) || (v->opens != NULL && !opens_rest(v->opens, on_rest, v, err)))
        return false;
    while (packs_next(v->packs, &cursor, &pack))
        pack_verify(v, pack);
    say_progress(&v->writer.progress, true);
    if (v->damaged > 0)
        return err_set(err, ERR_CORRUPT, 0, "Backup %s is damaged in %llu places. Keep it, and make a new one in another place.", v->id,
                       (unsigned long long)v->damaged);
    say_event("done", json_pack("{s:s, s:I, s:I, s:I}", "id", v->id, "files", (json_int_t)v->writer.progress.files, "bytes",
                                (json_int_t)v->writer.progress.bytes, "opened", (json_int_t)v->opened));
    return true;
}

bool
verify_run(const struct job *job, struct err *err)
{
    struct verify v = { .job = job, .writer = { .dir = -1, .before = pack_verify, .progress = { .phase = "verify" } } };
    char name[BACKUP_ID_BYTES + 16];
    bool ok = job_target(&v.target, job, false, on_tick, NULL, err) && job_pick(job, v.target, &v.id, err);

    if (ok) {
        v.writer.packs = v.packs = packs_create(v.target, job->pack_bytes);
        v.writer.owner = &v;
        backup_name(v.id, name);
        ok = manifest_read(&v.manifest, v.packs, v.target, name, err);
    }
    v.writer.progress.files_all = v.manifest.files;
    v.writer.progress.bytes_all = v.manifest.bytes;
    ok = ok && (!job->is_opening || scratch_make(&v, err)) && all_verify(&v, err);
    opens_end(&v.opens);
    scratch_remove(&v);
    free(v.id);
    buf_fini(&v.writer.chunk);
    manifest_fini(&v.manifest);
    packs_destroy(&v.packs);
    target_close(&v.target);
    return ok;
}
