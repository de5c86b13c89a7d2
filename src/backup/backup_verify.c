/*
 * backup_verify — `dormouse backup verify`: every byte that a backup refers to is read and compared with its checksum.
 */
#include <stdlib.h>
#include <string.h>

#include "src/backup/backup_job.h"
#include "src/backup/backup_limits.h"
#include "src/backup/backup_list.h"
#include "src/backup/backup_manifest.h"
#include "src/backup/backup_target.h"

struct verify {
    const struct job *job;
    struct target    *target;
    struct packs     *packs;               /* of the backup at hand */
    struct buf        chunk;
    struct progress   progress;
    uint64_t          damaged;
};

static void
on_tick(void *owner)
{
}

/* Damage is told and counted; it does not end the verification. */
static void
complain(struct verify *v, const char *id, const char *what, const struct err *why)
{
    v->damaged++;
    say_event("damaged", json_pack("{s:s, s:s, s:s}", "id", id, "what", what, "message", why->message));
}

static void
pack_verify(struct verify *v, const char *id, struct pack *pack)
{
    struct err why = { 0 };
    char name[PACK_NAME_BYTES];

    pack_name(pack, name);
    if (!packs_check(v->packs, pack, &why))
        complain(v, id, name, &why);
}

static void
group_verify(struct verify *v, const char *id, const struct group *group)
{
    struct buf bytes = { 0 };
    struct list list = { 0 };
    struct err why = { 0 };

    if (group->list.len == 0)
        return;
    if (!packs_read(v->packs, &group->list, PACKS_ONE, &bytes, &why) || !list_unpack(&list, buf_view(&bytes), v->packs, &why))
        complain(v, id, group->name, &why);
    buf_fini(&bytes);
    for (size_t i = 0; i < list.count; i++) {
        const struct entry *entry = &list.entries[i];
        bool ok = true;

        for (uint32_t j = 0; ok && j < entry->refs_count; j++) {
            pack_verify(v, id, entry->refs[j].pack);
            buf_clear(&v->chunk);
            ok = packs_read(v->packs, &entry->refs[j], PACKS_ALL, &v->chunk, &why);
            v->progress.bytes += v->chunk.len;
            say_progress(&v->progress, false);
        }
        if (!ok)
            complain(v, id, entry->path, &why);
        v->progress.files++;
    }
    list_fini(&list);
}

/* What a restore would read; then the packs as they were written, also where this backup does not use them. */
static void
backup_verify(struct verify *v, const char *id)
{
    char name[BACKUP_ID_BYTES + 16];
    struct manifest manifest;
    struct err why = { 0 };
    struct pack *pack;
    size_t cursor = 0;

    v->packs = packs_create(v->target, v->job->pack_bytes);
    backup_name(id, name);
    if (!manifest_read(&manifest, v->packs, v->target, name, &why)) {
        complain(v, id, name, &why);
        packs_destroy(&v->packs);
        return;
    }
    v->progress.files_all += manifest.files;
    v->progress.bytes_all += manifest.bytes;
    for (size_t i = 0; i < manifest.groups_count; i++)
        group_verify(v, id, &manifest.groups[i]);
    while (packs_next(v->packs, &cursor, &pack))
        pack_verify(v, id, pack);
    manifest_fini(&manifest);
    packs_destroy(&v->packs);
}

bool
verify_run(const struct job *job, struct err *err)
{
    struct verify v = { .job = job, .progress = { .phase = "verify" } };
    char *id = NULL;
    bool ok = job_target(&v.target, job, false, on_tick, NULL, err) && job_pick(job, v.target, &id, err);

    if (ok) {
        backup_verify(&v, id);
        say_progress(&v.progress, true);
        if (v.damaged > 0)
            ok = err_set(err, ERR_CORRUPT, 0, "Backup %s is damaged in %llu places. Keep it, and make a new one in another place.", id, (unsigned long long)v.damaged);
        else
            say_event("done", json_pack("{s:s, s:I, s:I}", "id", id, "files", (json_int_t)v.progress.files, "bytes", (json_int_t)v.progress.bytes));
    }
    free(id);
    buf_fini(&v.chunk);
    target_close(&v.target);
    return ok;
}
