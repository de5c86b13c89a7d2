/* backup_write — see backup_write.h. */
#include "src/backup/backup_write.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

#include "lib/sys/sys.h"
#include "src/backup/backup_limits.h"
#include "src/backup/backup_manifest.h"

#define NOWHERE (-1)

static bool
failed(const char *doing, const char *path, struct err *err)
{
    return err_set(err, errno == ENOSPC || errno == EDQUOT ? ERR_DISK_FULL : ERR_IO, errno, "%s '%s'", doing, path);
}

static bool
folders_make(const struct writer *w, const char *path, struct err *err)
{
    char folder[PATH_BYTES];

    for (const char *slash = strchr(path, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        (void)snprintf(folder, sizeof folder, "%.*s", (int)(slash - path), path);
        if (sys_mkdirat(w->dir, folder, 0700) != 0 && errno != EEXIST)
            return failed("make the folder", folder, err);
    }
    return true;
}

static bool
content(struct writer *w, int fd, const struct entry *entry, struct err *err)
{
    for (uint32_t i = 0; i < entry->refs_count; i++) {
        if (!go_on(err))
            return false;
        if (w->before != NULL)
            w->before(w->owner, entry->refs[i].pack);
        buf_clear(&w->chunk);
        if (!packs_read(w->packs, &entry->refs[i], PACKS_ALL, &w->chunk, err))
            return err_add(err, "'%s'", entry->path);
        if (fd != NOWHERE && !sys_write_all(fd, w->chunk.data, w->chunk.len))
            return failed("write", entry->path, err);
        w->progress.copied_bytes += fd == NOWHERE ? 0 : w->chunk.len;
        w->progress.bytes += w->chunk.len;
        say_progress(&w->progress, false);
    }
    w->progress.files++;
    return true;
}

bool
read_entry(struct writer *writer, const struct entry *entry, struct err *err)
{
    return content(writer, NOWHERE, entry, err);
}

bool
write_entry(struct writer *writer, const struct entry *entry, struct err *err)
{
    int fd;
    bool ok;

    if (!folders_make(writer, entry->path, err))
        return false;
    fd = sys_open_beneath(writer->dir, entry->path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, entry->mode & 0700);
    if (fd < 0)
        return failed("create", entry->path, err);
    ok = content(writer, fd, entry, err);
    (void)sys_close(fd);                   /* synced with all others, or of no importance */
    return ok;
}

bool
read_list(struct packs *packs, const struct group *group, struct list *out_list, struct err *err)
{
    struct buf bytes = { 0 };
    const bool ok = group->list.len == 0 || (packs_read(packs, &group->list, PACKS_ONE, &bytes, err) && list_unpack(out_list, buf_view(&bytes), packs, err));

    buf_fini(&bytes);
    return ok ? true : err_add(err, "the files of '%s'", group->name);
}
