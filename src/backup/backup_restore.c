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
#include "src/backup/backup_list.h"
#include "src/backup/backup_manifest.h"
#include "src/backup/backup_source.h"
#include "src/backup/backup_target.h"

#define LAST_GROUP "node"

struct restore {
    struct target  *target;
    struct packs   *packs;
    struct manifest manifest;
    int             dir;
    struct buf      chunk;
    struct progress progress;
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
    r->dir = sys_open(data, O_RDONLY | O_DIRECTORY, 0);
    if (r->dir < 0)
        return err_set(err, ERR_IO, errno, "open the folder '%s'", data);
    if (!names_read(r->dir, ".", &names, err))
        return false;
    is_empty = names.count == 0;
    names_free(&names);
    return is_empty ? true : err_set(err, ERR_EXISTS, 0, "'%s' is not empty. A restore needs a new folder: name another one, or remove this one.", data);
}

static bool
folders_make(const struct restore *r, const char *path, struct err *err)
{
    char folder[PATH_BYTES];

    for (const char *slash = strchr(path, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        (void)snprintf(folder, sizeof folder, "%.*s", (int)(slash - path), path);
        if (sys_mkdirat(r->dir, folder, 0700) != 0 && errno != EEXIST)
            return err_set(err, errno == ENOSPC ? ERR_DISK_FULL : ERR_IO, errno, "make the folder '%s'", folder);
    }
    return true;
}

static bool
content_write(struct restore *r, int fd, const struct entry *entry, struct err *err)
{
    for (uint32_t i = 0; i < entry->refs_count; i++) {
        buf_clear(&r->chunk);
        if (!packs_read(r->packs, &entry->refs[i], PACKS_ALL, &r->chunk, err))
            return err_add(err, "'%s'", entry->path);
        if (!sys_write_all(fd, r->chunk.data, r->chunk.len))
            return err_set(err, errno == ENOSPC ? ERR_DISK_FULL : ERR_IO, errno, "write '%s'", entry->path);
        r->progress.copied_bytes += r->chunk.len;
        r->progress.bytes += r->chunk.len;
        say_progress(&r->progress, false);
    }
    return true;
}

static bool
file_write(struct restore *r, const struct entry *entry, struct err *err)
{
    int fd;
    bool ok;

    if (!folders_make(r, entry->path, err))
        return false;
    fd = sys_open_beneath(r->dir, entry->path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, entry->mode & 0700);
    if (fd < 0)
        return err_set(err, errno == ENOSPC ? ERR_DISK_FULL : ERR_IO, errno, "create '%s'", entry->path);
    ok = content_write(r, fd, entry, err);
    (void)sys_close(fd);                   /* the whole file system is synced at the end */
    r->progress.files++;
    return ok;
}

static bool
group_write(struct restore *r, const struct group *group, struct err *err)
{
    struct buf bytes = { 0 };
    struct list list = { 0 };
    bool ok = group->list.len == 0 || (packs_read(r->packs, &group->list, PACKS_ONE, &bytes, err) && list_unpack(&list, buf_view(&bytes), r->packs, err));

    buf_fini(&bytes);
    if (!ok)
        return err_add(err, "the files of '%s'", group->name);
    for (size_t i = 0; ok && i < list.count; i++)
        ok = file_write(r, &list.entries[i], err);
    list_fini(&list);
    return ok;
}

static bool
groups_write(struct restore *r, bool is_last, struct err *err)
{
    for (size_t i = 0; i < r->manifest.groups_count; i++)
        if ((strcmp(r->manifest.groups[i].name, LAST_GROUP) == 0) == is_last && !group_write(r, &r->manifest.groups[i], err))
            return false;
    if (sys_syncfs(r->dir) != 0)
        return err_set(err, ERR_IO, errno, "sync the new folder");
    return true;
}

bool
restore_run(const struct job *job, struct err *err)
{
    struct restore r = { .dir = -1, .progress = { .phase = "restore" } };
    char name[BACKUP_ID_BYTES + 16];
    char *id = NULL;
    bool ok;

    if (job->data == NULL)
        return err_set(err, ERR_USAGE, 0, "Where to? Name a new data folder with --data.");
    ok = job_target(&r.target, job, false, on_tick, NULL, err) && job_pick(job, r.target, &id, err);
    if (ok) {
        r.packs = packs_create(r.target, job->pack_bytes);
        backup_name(id, name);
        ok = manifest_read(&r.manifest, r.packs, r.target, name, err) && folder_begin(&r, job->data, err);
    }
    r.progress.files_all = r.manifest.files;
    r.progress.bytes_all = r.manifest.bytes;
    ok = ok && groups_write(&r, false, err) && groups_write(&r, true, err);
    if (ok) {
        say_progress(&r.progress, true);
        say_event("done", json_pack("{s:s, s:I, s:I, s:I, s:s}", "id", id, "at_ms", (json_int_t)r.manifest.cut_ms, "files", (json_int_t)r.progress.files,
                                    "bytes", (json_int_t)r.progress.bytes, "data", job->data));
    }
    (void)sys_close(r.dir);                /* synced, or given up */
    free(id);
    buf_fini(&r.chunk);
    manifest_fini(&r.manifest);
    packs_destroy(&r.packs);
    target_close(&r.target);
    return ok;
}
