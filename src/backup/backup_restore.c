/*
 * backup_restore — `dormouse restore`: a backup becomes the data folder of a node.
 *
 * Promise: only an absent or empty folder is written to. control.json, without which a start finds no app, is written last, when all
 * else is on the disk: a restore that was interrupted cannot be taken for a whole one.
 */
#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/sys/sys.h"
#include "src/backup/backup_job.h"
#include "src/backup/backup_limits.h"
#include "src/backup/backup_manifest.h"
#include "src/backup/backup_source.h"
#include "src/backup/backup_target.h"
#include "src/backup/backup_write.h"

#define LAST_GROUP "node"

struct restore {
    struct target  *target;
    struct packs   *packs;
    struct manifest manifest;
    struct writer   writer;
};

static void
on_tick(void *owner)
{
}

static bool
folder_begin(struct restore *r, const char *data, struct err *err)
{
    struct names names;
    bool is_empty;

    if (sys_mkdirat(AT_FDCWD, data, 0700) != 0 && errno != EEXIST)
        return err_set(err, ERR_IO, errno, "make the folder '%s'", data);
    r->writer.dir = sys_open(data, O_RDONLY | O_DIRECTORY, 0);
    if (r->writer.dir < 0)
        return err_set(err, ERR_IO, errno, "open the folder '%s'", data);
    if (!names_read(r->writer.dir, ".", &names, err))
        return false;
    is_empty = names.count == 0;
    names_free(&names);
    return is_empty ? true : err_set(err, ERR_EXISTS, 0, "'%s' is not empty. A restore needs a new folder: name another one, or remove this one.", data);
}

static bool
group_write(struct restore *r, const struct group *group, struct err *err)
{
    struct list list = { 0 };
    bool ok = read_list(r->packs, group, &list, err);

    for (size_t i = 0; ok && i < list.count; i++)
        ok = write_entry(&r->writer, &list.entries[i], err);
    list_fini(&list);
    return ok;
}

static bool
groups_write(struct restore *r, bool is_last, struct err *err)
{
    for (size_t i = 0; i < r->manifest.groups_count; i++)
        if ((strcmp(r->manifest.groups[i].name, LAST_GROUP) == 0) == is_last && !group_write(r, &r->manifest.groups[i], err))
            return false;
    if (sys_syncfs(r->writer.dir) != 0)
        return err_set(err, ERR_IO, errno, "sync the new folder");
    return true;
}

bool
restore_run(const struct job *job, struct err *err)
{
    struct restore r = { .writer = { .dir = -1, .progress = { .phase = "restore" } } };
    char name[BACKUP_ID_BYTES + 16];
    char *id = NULL;
    bool ok;

    if (job->data == NULL)
        return err_set(err, ERR_USAGE, 0, "Where to? Name a new data folder with --data.");
    ok = job_target(&r.target, job, false, on_tick, NULL, err) && job_pick(job, r.target, &id, err);
    if (ok) {
        r.writer.packs = r.packs = packs_create(r.target, job->pack_bytes);
        backup_name(id, name);
        ok = manifest_read(&r.manifest, r.packs, r.target, name, err) && folder_begin(&r, job->data, err);
    }
    r.writer.progress.files_all = r.manifest.files;
    r.writer.progress.bytes_all = r.manifest.bytes;
    ok = ok && groups_write(&r, false, err) && groups_write(&r, true, err);
    if (ok) {
        say_progress(&r.writer.progress, true);
        say_event("done", json_pack("{s:s, s:I, s:I, s:I, s:s}", "id", id, "at_ms", (json_int_t)r.manifest.cut_ms, "files", (json_int_t)r.writer.progress.files,
                                    "bytes", (json_int_t)r.writer.progress.bytes, "data", job->data));
    }
    (void)sys_close(r.writer.dir);                /* synced, or given up */
    free(id);
    buf_fini(&r.writer.chunk);
    manifest_fini(&r.manifest);
    packs_destroy(&r.packs);
    target_close(&r.target);
    return ok;
}
