/* backup_copy — see backup_copy.h. */
#include "src/backup/backup_copy.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/sys/sys.h"
#include "src/backup/backup_limits.h"
#include "src/backup/backup_source.h"

/* ---- one file --------------------------------------------------------------------------------------------------------------- */

static void
entry_look(struct entry *entry, const char *path, const struct stat *st)
{
    *entry = (struct entry){ .path = bytes_dup(bytes_of(path)), .mode = st->st_mode & 0777, .size = (uint64_t)st->st_size,
                             .mtime_ns = (int64_t)st->st_mtim.tv_sec * 1000000000 + st->st_mtim.tv_nsec,
                             .ctime_ns = (int64_t)st->st_ctim.tv_sec * 1000000000 + st->st_ctim.tv_nsec, .inode = st->st_ino };
    entry->is_fresh = clock_wall_ms() - entry->ctime_ns / 1000000 < RACY_MS;
}

static const struct entry *
before(const struct copier *c, const char *path)
{
    for (size_t i = 0; i < ARRAY_LEN(c->before); i++) {
        const struct entry *found = c->before[i] == NULL ? NULL : list_find(c->before[i], path);

        if (found != NULL && entry_is_usable(found))
            return found;
    }
    return NULL;
}

static bool
is_same(const struct entry *now, const struct entry *then)
{
    return then != NULL && !then->is_fresh && now->size == then->size && now->mtime_ns == then->mtime_ns && now->ctime_ns == then->ctime_ns &&
           now->inode == then->inode;
}

/* Not faster than the job wants. */
static void
pace(const struct copier *c)
{
    const int64_t due_ms = c->job->rate_bytes == 0 ? 0 : c->began_ms + (int64_t)(c->progress.copied_bytes * 1000 / (uint64_t)c->job->rate_bytes);
    const int64_t ahead_ms = due_ms - clock_mono_ms();

    if (ahead_ms > 0)
        clock_wait_ms(ahead_ms < 1000 ? ahead_ms : 1000);
}

static bool
chunk_take(struct copier *c, struct bytes chunk, const struct entry *then, struct entry *entry, struct err *err)
{
    const uint32_t i = entry->refs_count;
    struct ref ref;

    if (then != NULL && i < then->refs_count && then->refs[i].len == chunk.len) {
        uint8_t sum[SUM_BYTES];

        sum_of(chunk, sum);
        if (memcmp(sum, then->refs[i].sum, SUM_BYTES) == 0) {
            entry_ref(entry, &then->refs[i]);
            return true;
        }
    }
    if (!packs_add(c->packs, PACK_FILES, chunk, &ref, err))
        return false;
    entry_ref(entry, &ref);
    if (ref.pack->is_new)
        manifest_recent(c->manifest, &ref);
    c->progress.copied_bytes += chunk.len;
    pace(c);
    return true;
}

/* A whole chunk, but at the end of the file. */
static bool
chunk_read(struct copier *c, int fd, uint64_t at, size_t *out_len)
{
    *out_len = 0;
    while (*out_len < c->job->chunk_bytes) {
        const ssize_t got = sys_pread(fd, c->chunk + *out_len, c->job->chunk_bytes - *out_len, (off_t)(at + *out_len));

        if (got < 0)
            return false;
        if (got == 0)
            break;
        *out_len += (size_t)got;
    }
    return true;
}

static bool
content_copy(struct copier *c, int fd, const struct entry *then, struct entry *entry, struct err *err)
{
    const uint64_t looked = entry->size;
    size_t len;

    entry->size = 0;
    do {
        if (!c->tick(c->owner, err))
            return false;
        if (!chunk_read(c, fd, entry->size, &len))
            return err_set(err, ERR_IO, errno, "read '%s'", entry->path);
        if (len > 0 && !chunk_take(c, bytes_from(c->chunk, len), then, entry, err))
            return false;
        entry->size += len;
        c->progress.bytes += len;
        say_progress(&c->progress, false);
    } while (len == c->job->chunk_bytes);
    entry->is_fresh = entry->is_fresh || entry->size != looked;
    return true;
}

/* PATH as AS, which was THEN (NULL: not known). ANY_CTIME: it never changes, so that another ctime means a new name only. */
enum copy_times { COPY_ALL_TIMES, COPY_ANY_CTIME };
struct copied { const char *path, *as; const struct entry *then; enum copy_times times; };
static bool
file_copy(struct copier *c, const struct copied *what, struct list *out_list, bool *out_found, struct err *err)
{
    const struct entry *then = what->then;
    struct entry entry;
    struct stat st;
    int fd;
    bool ok = true;

    *out_found = false;
    fd = sys_open_beneath(c->dir, what->path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0);
    if (fd < 0)
        return errno == ENOENT || errno == ELOOP || errno == ENXIO ? true : err_set(err, ERR_IO, errno, "open '%s'", what->path);
    if (sys_fstat(fd, &st) != 0 || !S_ISREG(st.st_mode)) {
        (void)sys_close(fd);               /* only looked at */
        return true;
    }
    *out_found = true;
    entry_look(&entry, what->as, &st);
    if (then != NULL && what->times == COPY_ANY_CTIME)
        entry.ctime_ns = then->ctime_ns;
    if (is_same(&entry, then)) {
        entry_reuse(&entry, then);
        c->progress.bytes += entry.size;
    } else {
        ok = content_copy(c, fd, then, &entry, err);
    }
    (void)sys_close(fd);                   /* only read */
    c->progress.files++;
    if (ok)
        list_push(out_list, &entry);
    entry_fini(&entry);
    return ok;
}

bool
copy_segment(struct copier *copier, const char *path, const char *as, struct list *out_list, bool *out_found, struct err *err)
{
    const char *slash = strrchr(path, '/');
    char live[PATH_BYTES];
    struct copied what = { path, as, before(copier, as), COPY_ANY_CTIME };

    assert(slash != NULL);
    (void)snprintf(live, sizeof live, "journal%s", slash);
    if (what.then == NULL)                 /* it was in the journal's folder then, and is history now */
        what.then = before(copier, live);
    return file_copy(copier, &what, out_list, out_found, err);
}

bool
copy_bytes(struct copier *copier, struct bytes bytes, const char *as, struct list *out_list, struct err *err)
{
    struct entry entry = { .path = bytes_dup(bytes_of(as)), .size = bytes.len, .mode = 0600, .is_fresh = true };
    bool ok = true;

    for (size_t at = 0; ok && at < bytes.len; at += copier->job->chunk_bytes) {
        const size_t left = bytes.len - at;

        ok = chunk_take(copier, bytes_from(bytes.data + at, left < copier->job->chunk_bytes ? left : copier->job->chunk_bytes), before(copier, as), &entry, err);
    }
    copier->progress.files++;
    copier->progress.bytes += bytes.len;
    if (ok)
        list_push(out_list, &entry);
    entry_fini(&entry);
    return ok;
}

/* ---- folders ----------------------------------------------------------------------------------------------------------------- */

static bool
ends_with(const char *text, const char *end)
{
    const size_t len = strlen(text), end_len = strlen(end);

    return len > end_len && strcmp(text + len - end_len, end) == 0;
}

/* Sleep images are derived; the others are on their way to be or to go, and a start finishes or removes them. */
static bool
is_left_out(const char *name)
{
    static const char *const ends[] = { ".gone", ".restore", ".next", ".new" };

    if (strcmp(name, "image") == 0 || strncmp(name, "image.", 6) == 0)
        return true;
    for (size_t i = 0; i < ARRAY_LEN(ends); i++)
        if (ends_with(name, ends[i]))
            return true;
    return false;
}

/* Every file of ours has such a name. */
static bool
is_utf8(const char *name)
{
    json_t *text = json_string(name);
    const bool is_text = text != NULL;

    json_decref(text);
    return is_text;
}

static bool
has_part_beside(const struct names *names)
{
    for (size_t i = 0; i < names->count; i++)
        if (ends_with(names->name[i], "-wal") || ends_with(names->name[i], "-journal"))
            return true;
    return false;
}

/* Are the files in LIST from FIRST on still what was copied? */
static bool
is_still(const struct copier *c, const struct list *list, size_t first)
{
    for (size_t i = first; i < list->count; i++) {
        const struct entry *e = &list->entries[i];
        struct stat st;
        struct entry now;
        bool is_equal;

        if (sys_fstatat(c->dir, e->path, &st, AT_SYMLINK_NOFOLLOW) != 0)
            return false;
        entry_look(&now, e->path, &st);
        is_equal = now.size == e->size && now.mtime_ns == e->mtime_ns && now.inode == e->inode;
        entry_fini(&now);
        if (!is_equal)
            return false;
    }
    return true;
}

static bool folder_copy(struct copier *c, const char *path, int depth, struct list *out_list, struct err *err);

static bool
names_copy(struct copier *c, const char *path, const struct names *names, int depth, struct list *out_list, struct err *err)
{
    for (size_t i = 0; i < names->count; i++) {
        char below[PATH_BYTES / 2];
        struct stat st;
        bool found;

        if ((c->is_agents && is_left_out(names->name[i])) || !is_utf8(names->name[i]))
            continue;
        if ((size_t)snprintf(below, sizeof below, "%s/%s", path, names->name[i]) >= sizeof below)
            return err_set(err, ERR_LIMIT, 0, "the path '%.80s…' is too long for a backup", path);
        if (sys_fstatat(c->dir, below, &st, AT_SYMLINK_NOFOLLOW) != 0)
            continue;
        if (S_ISDIR(st.st_mode) ? !folder_copy(c, below, depth - 1, out_list, err)
                                : !file_copy(c, &(struct copied){ below, below, before(c, below), COPY_ALL_TIMES }, out_list, &found, err))
            return false;
    }
    return true;
}

/* Recursion ends at DEPTH. */
static bool
folder_copy(struct copier *c, const char *path, int depth, struct list *out_list, struct err *err)
{
    const size_t first = out_list->count;
    struct names names;
    bool ok = true;

    if (depth == 0)
        return err_set(err, ERR_LIMIT, 0, "'%.80s…' is deeper than %d folders", path, DEPTH_MAX);
    for (int tries = 0; tries < WAL_TRIES; tries++) {
        bool is_apart;

        if (!names_read(c->dir, path, &names, err))
            return false;
        is_apart = has_part_beside(&names);
        ok = names_copy(c, path, &names, depth, out_list, err);
        names_free(&names);
        if (!ok || !is_apart || is_still(c, out_list, first))
            return ok;
        list_cut(out_list, first);
    }
    return err_set(err, ERR_UNAVAILABLE, 0, "'%s' changes while it is copied; run the backup again", path);
}

bool
copy_tree(struct copier *copier, const char *path, struct list *out_list, struct err *err)
{
    return folder_copy(copier, path, DEPTH_MAX, out_list, err);
}
