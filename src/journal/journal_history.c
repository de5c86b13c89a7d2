/*
 * journal_history — see journal_history.h.
 *
 * The age of a segment is that of its file's last change: when it was sealed.
 */
#include "src/journal/journal_history.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "lib/sys/sys.h"
#include "src/journal/journal_limits.h"

#define FOLDER_NAME "history"
#define DAY_MS      (24ll * 60 * 60 * 1000)

struct entry {
    uint32_t number;
    int64_t  newest_ms;
    uint64_t bytes;
};

struct history {
    struct history_spec spec;
    int           dir;                     /* -1: there is no history */
    struct entry *entries;                 /* numbers rising */
    size_t        count, cap;
    uint64_t      bytes;
    uint32_t      last;
    unsigned      holds;
};

static int
by_number(const void *a, const void *b)
{
    const struct entry *left = a, *right = b;

    return left->number < right->number ? -1 : left->number > right->number;
}

static bool
entry_add(struct history *history, uint32_t number)
{
    char name[SEGMENT_NAME_BYTES];
    struct stat st;

    segment_name(name, number);
    if (sys_fstatat(history->dir, name, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return false;
    if (history->count == history->cap) {
        history->cap = history->cap == 0 ? 64 : history->cap * 2;
        history->entries = realloc(history->entries, history->cap * sizeof history->entries[0]);
        assert(history->entries != NULL);
    }
    history->entries[history->count++] =
        (struct entry){ number, (int64_t)st.st_mtim.tv_sec * 1000 + st.st_mtim.tv_nsec / 1000000, (uint64_t)st.st_size };
    history->bytes += (uint64_t)st.st_size;
    if (number > history->last)
        history->last = number;
    return true;
}

static bool
folder_read(struct history *history, struct err *err)
{
    int fd = sys_openat(history->dir, ".", O_RDONLY | O_DIRECTORY, 0);
    DIR *list = fd < 0 ? NULL : fdopendir(fd);
    struct dirent *entry;
    int failed;

    if (list == NULL) {
        (void)err_set(err, ERR_IO, errno, "list the journal's history '%s/" FOLDER_NAME "'", history->spec.folder);
        (void)sys_close(fd);               /* only read */
        return false;
    }
    while ((errno = 0, entry = readdir(list)) != NULL) {
        uint32_t number;

        if (segment_name_parse(entry->d_name, &number))
            (void)entry_add(history, number);   /* one that is gone already is none */
    }
    failed = errno;
    (void)closedir(list);                  /* the same */
    if (history->count > 1)
        qsort(history->entries, history->count, sizeof history->entries[0], by_number);
    return failed == 0 ? true : err_set(err, ERR_IO, failed, "list the journal's history '%s/" FOLDER_NAME "'", history->spec.folder);
}

bool
history_open(struct history **out_history, const struct history_spec *spec, struct err *err)
{
    struct history *history = calloc(1, sizeof *history);
    bool ok;

    assert(history != NULL);
    history->spec = *spec;
    history->dir = -1;
    /* One that is switched off stays readable as long as it is there. */
    if (spec->bytes_max > 0 && sys_mkdirat(spec->dir, FOLDER_NAME, 0700) != 0 && errno != EEXIST)
        ok = err_set(err, ERR_IO, errno, "make the journal's history '%s/" FOLDER_NAME "'", spec->folder);
    else
        ok = true;
    if (ok)
        history->dir = sys_openat(spec->dir, FOLDER_NAME, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
    if (ok && history->dir < 0 && (spec->bytes_max > 0 || errno != ENOENT))
        ok = err_set(err, ERR_IO, errno, "open the journal's history '%s/" FOLDER_NAME "'", spec->folder);
    ok = ok && (history->dir < 0 || folder_read(history, err));
    if (!ok)
        history_close(&history);
    else
        (void)history_prune(history, clock_wall_ms());
    *out_history = history;
    return ok;
}

void
history_close(struct history **history)
{
    struct history *it = STEAL(*history);

    if (it == NULL)
        return;
    (void)sys_close(it->dir);              /* a folder: nothing to lose */
    free(it->entries);
    free(it);
}

/* ---- segments come ---------------------------------------------------------------------------------------------------- */

/* Is somebody copying the journal? Who does touches the file from time to time; a dead one is forgotten. */
static bool
is_held(const struct history *history)
{
    struct stat st;

    return history->holds > 0 || (sys_fstatat(history->spec.dir, HISTORY_HOLD_NAME, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
                                  clock_wall_ms() - (int64_t)st.st_mtim.tv_sec * 1000 < HISTORY_HOLD_MS);
}

static bool
segment_delete(int dir, uint32_t number, struct err *err)
{
    char name[SEGMENT_NAME_BYTES];

    segment_name(name, number);
    if (sys_unlinkat(dir, name, 0) != 0 && errno != ENOENT)
        return disk_err(err, errno, "delete", number);
    return folder_sync(dir, number, err);
}

bool
history_take(struct history *history, uint32_t number, struct err *err)
{
    char name[SEGMENT_NAME_BYTES];

    if (history->spec.bytes_max == 0 && is_held(history))
        return err_set(err, ERR_UNAVAILABLE, 0, "journal segment %u stays until the backup that is being made has it", number);
    if (history->spec.bytes_max == 0)
        return segment_delete(history->spec.dir, number, err);
    segment_name(name, number);
    if (sys_renameat(history->spec.dir, name, history->dir, name) != 0 && errno != ENOENT)
        return disk_err(err, errno, "move to the history", number);
    /* The new name first: a power cut may leave both, not none. */
    if (!folder_sync(history->dir, number, err) || !folder_sync(history->spec.dir, number, err))
        return false;
    if (history->count == 0 || history->entries[history->count - 1].number < number)   /* else a power cut left it there before */
        (void)entry_add(history, number);
    (void)history_prune(history, clock_wall_ms());
    return true;
}

/* ---- and go --------------------------------------------------------------------------------------------------------------- */

static bool
oldest_drop(struct history *history)
{
    struct err ignored = { 0 };            /* what cannot be deleted now is tried again with the next one */

    if (!segment_delete(history->dir, history->entries[0].number, &ignored))
        return false;
    history->bytes -= history->entries[0].bytes;
    history->count--;
    memmove(history->entries, history->entries + 1, history->count * sizeof history->entries[0]);
    return true;
}

size_t
history_prune(struct history *history, int64_t now_ms)
{
    const int64_t oldest_ms = now_ms - (int64_t)(history->spec.days + HISTORY_BASE_DAYS) * DAY_MS;
    size_t gone = 0;

    while (history->count > 0 && !is_held(history) &&
           (history->bytes > history->spec.bytes_max || history->entries[0].newest_ms < oldest_ms) && oldest_drop(history))
        gone++;
    return gone;
}

size_t
history_make_room(struct history *history, uint64_t bytes)
{
    const uint64_t wanted = history->bytes > bytes ? history->bytes - bytes : 0;
    size_t gone = 0;

    while (history->count > 0 && history->bytes > wanted && !is_held(history) && oldest_drop(history))
        gone++;
    return gone;
}

/* ---- reading ---------------------------------------------------------------------------------------------------------------- */

size_t
history_count(const struct history *history)
{
    return history->count;
}

uint32_t
history_number(const struct history *history, size_t i)
{
    assert(i < history->count);
    return history->entries[i].number;
}

uint32_t
history_last(const struct history *history)
{
    return history->last;
}

bool
history_segment(const struct history *history, uint32_t number, struct segment **out_segment, struct err *err)
{
    if (history->dir < 0)
        return err_set(err, ERR_CORRUPT, 0, "journal segment %u is gone", number);
    return segment_open(out_segment, history->dir, number, err);
}

void
history_hold(struct history *history)
{
    history->holds++;
}

void
history_release(struct history *history)
{
    assert(history->holds > 0);
    history->holds--;
}
