/*
 * backup_keep — `dormouse backup list` and `prune`: which backups there are, and which stay.
 *
 * Prune deletes manifests first, the oldest first: what is left at any moment is whole. Packs go that no manifest left, and no
 * unfinished backup, refers to; while one is being made elsewhere, nothing goes.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/map.h"
#include "lib/sys/sys.h"
#include "src/backup/backup_job.h"
#include "src/backup/backup_limits.h"
#include "src/backup/backup_manifest.h"
#include "src/backup/backup_target.h"

static void
on_tick(void *owner)
{
}

/* ---- list ---------------------------------------------------------------------------------------------------------------------- */

static void
backup_tell(struct target *target, const char *id)
{
    struct packs *packs = packs_create(target, PACK_BYTES);
    char name[BACKUP_ID_BYTES + 16];
    struct manifest m;
    struct err why = { 0 };

    backup_name(id, name);
    if (manifest_read(&m, packs, target, name, &why)) {
        say_event("backup", json_pack("{s:s, s:I, s:I, s:I, s:I, s:b, s:s, s:s}", "id", id, "at_ms", (json_int_t)m.cut_ms, "files", (json_int_t)m.files,
                                      "bytes", (json_int_t)m.bytes, "written_bytes", (json_int_t)m.written_bytes, "live", (int)m.is_live, "data",
                                      m.data, "host", m.host));
        manifest_fini(&m);
    } else {
        say_event("backup", json_pack("{s:s, s:s}", "id", id, "damaged", why.message));
    }
    packs_destroy(&packs);
}

bool
list_run(const struct job *job, struct err *err)
{
    struct target *target = NULL;
    char **ids = NULL;
    size_t count = 0;
    bool ok = job_target(&target, job, false, on_tick, NULL, err) && backups_list(target, &ids, &count, err);

    for (size_t i = 0; ok && i < count; i++)
        backup_tell(target, ids[i]);
    backups_free(&ids, count);
    target_close(&target);
    return ok;
}

/* ---- prune --------------------------------------------------------------------------------------------------------------------- */

struct doomed {
    struct packs *kept;                    /* packs that a manifest tells of */
    struct bmap  *unused;                  /* names of others → anything */
    uint64_t      bytes;
};

static void
on_pack(void *owner, const char *name, uint64_t bytes)
{
    struct doomed *doomed = owner;
    const char *slash = strrchr(name, '/');
    const struct pack *pack = slash == NULL ? NULL : packs_get(doomed->kept, slash + 1);

    if (pack == NULL || pack->is_known)
        return;                            /* none of ours, or needed */
    (void)bmap_put(doomed->unused, bytes_of(name), doomed);
    doomed->bytes += bytes;
}

/* A pack that only an unreadable manifest knows must not go: so all of them have to be read. */
static bool
kept_read(struct target *target, char *const *ids, size_t count, struct packs *packs, struct err *err)
{
    struct manifest manifest;
    struct err why = { 0 };

    for (size_t i = 0; i < count; i++) {
        char name[BACKUP_ID_BYTES + 16];

        backup_name(ids[i], name);
        if (!manifest_read(&manifest, packs, target, name, err))
            return err_add(err, "Nothing was pruned");
        manifest_fini(&manifest);
    }
    if (!manifest_read(&manifest, packs, target, UNFINISHED_NAME, &why))
        return why.code == ERR_NOT_FOUND ? true : err_set(err, why.code, 0, "Nothing was pruned: %s", why.message);
    if (clock_wall_ms() - manifest.touched_ms < BUSY_MS)
        (void)err_set(err, ERR_EXISTS, 0, "Nothing was pruned: a backup of '%s' on %s is under way, or was just interrupted.", manifest.data, manifest.host);
    manifest_fini(&manifest);
    return err->code == ERR_NONE;
}

static bool
unused_delete(struct target *target, struct doomed *doomed, struct err *err)
{
    struct bytes name;
    size_t cursor = 0;
    void *value;
    bool ok = target_list(target, "packs/", on_pack, doomed, err);

    while (ok && bmap_next(doomed->unused, &cursor, &name, &value)) {
        char *text = bytes_dup(name);

        ok = target_delete(target, text, err);
        free(text);
    }
    return ok;
}

bool
prune(struct target *target, int64_t keep, struct err *err)
{
    struct doomed doomed = { .kept = packs_create(target, PACK_BYTES), .unused = bmap_create() };
    char **ids = NULL;
    size_t count = 0, gone = 0;
    bool ok = backups_list(target, &ids, &count, err);

    assert(keep > 0);
    if (ok && count > (size_t)keep)
        gone = count - (size_t)keep;
    ok = ok && kept_read(target, ids + gone, count - gone, doomed.kept, err);
    for (size_t i = 0; ok && i < gone; i++) {
        char name[BACKUP_ID_BYTES + 16];

        backup_name(ids[i], name);
        ok = target_delete(target, name, err);
    }
    ok = ok && unused_delete(target, &doomed, err);
    if (ok)
        say_event("pruned", json_pack("{s:I, s:I, s:I, s:I}", "backups", (json_int_t)gone, "packs", (json_int_t)bmap_count(doomed.unused), "bytes",
                                      (json_int_t)doomed.bytes, "kept", (json_int_t)(count - gone)));
    backups_free(&ids, count);
    bmap_destroy(&doomed.unused);
    packs_destroy(&doomed.kept);
    return ok;
}

bool
prune_run(const struct job *job, struct err *err)
{
    struct target *target = NULL;
    bool ok;

    if (job->keep < 1)
        return err_set(err, ERR_USAGE, 0, "How many are to stay? Say --keep N, with N at least 1.");
    ok = job_target(&target, job, false, on_tick, NULL, err) && prune(target, job->keep, err);
    target_close(&target);
    return ok;
}
