/*
 * journal_log — see journal_log.h.
 */
#include "src/journal/journal_log.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/sys/sys.h"
#include "src/journal/journal_history.h"
#include "src/journal/journal_limits.h"
#include "src/journal/journal_seal.h"

#define SAY_BYTES (ERR_MESSAGE_MAX + 256)

struct log {
    struct log_spec  spec;
    int              dir;
    struct segment **segments;             /* oldest first */
    size_t           count, cap;
    bool             has_head;             /* the last of them is written to */
    uint32_t         head_bytes;           /* reserved for it */
    bool             is_abandoned;         /* the last of them lost its handle to a failed sync, and no new one is there yet */
    uint32_t         number_last;          /* also of files that are no segments */
    struct sealer   *sealer;               /* NULL: without a loop */
    struct history  *history;
    struct segment  *past;                 /* the one of the history that was read last; NULL */
    struct feed     *feed;
    uint64_t         next_lsn;
    uint64_t         giving_up;            /* alarms up to this lsn go once a new segment says so; 0: none */
    bool             is_closed;            /* log_take_closed() */
};

static void say(const struct log *log, int level, const char *fmt, ...) PRINTF(3, 4);
static void on_sealed(void *owner, const struct err *failure);

static void
say(const struct log *log, int level, const char *fmt, ...)
{
    char text[SAY_BYTES];
    va_list args;

    va_start(args, fmt);
    (void)vsnprintf(text, sizeof text, fmt, args);           /* a longer one is cut */
    va_end(args);
    log->spec.say(level, text);
}

static void
segments_push(struct log *log, struct segment *segment)
{
    if (log->count == log->cap) {
        log->cap = log->cap == 0 ? 16 : log->cap * 2;
        log->segments = realloc(log->segments, log->cap * sizeof log->segments[0]);
        assert(log->segments != NULL);
    }
    log->segments[log->count++] = segment;
}

static struct segment *
head(const struct log *log)
{
    return log->has_head ? log->segments[log->count - 1] : NULL;
}

/* ---- opening ------------------------------------------------------------------------------------------------------------ */

struct tell {
    struct core *core;
    struct feed *feed;
    uint32_t     segment;
    uint64_t     first_lsn;
};

static void
on_found(void *owner, const struct found_record *found)
{
    const struct tell *tell = owner;

    core_found(tell->core, tell->segment, found);
    if (!found->is_damaged && feed_is_told(found->record.flags, found->marks))
        feed_add(tell->feed, &(struct feed_record){ tell->first_lsn + found->offset, tell->segment, found->offset, found->length, found->sum });
}

static int
by_number(const void *a, const void *b)
{
    const uint32_t left = *(const uint32_t *)a, right = *(const uint32_t *)b;

    return left < right ? -1 : left > right;
}

static bool
folder_list(struct log *log, uint32_t *out_numbers, size_t *out_count, struct err *err)
{
    int fd = sys_openat(log->dir, ".", O_RDONLY | O_DIRECTORY, 0);
    DIR *list = fd < 0 ? NULL : fdopendir(fd);
    struct dirent *entry;
    size_t count = 0;
    int failed;

    if (list == NULL) {
        (void)err_set(err, ERR_IO, errno, "list the journal's folder '%s'", log->spec.folder);
        (void)sys_close(fd);               /* only read */
        return false;
    }
    while ((errno = 0, entry = readdir(list)) != NULL) {
        if (count == SEGMENTS_MAX)
            break;
        if (segment_name_parse(entry->d_name, &out_numbers[count]))
            count++;
    }
    failed = errno;
    (void)closedir(list);                  /* the same */
    if (failed != 0 || count == SEGMENTS_MAX)
        return err_set(err, failed != 0 ? ERR_IO : ERR_LIMIT, failed, "list the journal's folder '%s': more than %d segments, or it cannot be read",
                       log->spec.folder, SEGMENTS_MAX - 1);
    qsort(out_numbers, count, sizeof out_numbers[0], by_number);
    *out_count = count;
    return true;
}

struct lost {                              /* segments whose header does not verify */
    uint32_t *numbers;                     /* rising */
    size_t    count;
};

static bool
segments_open(struct log *log, const uint32_t *numbers, size_t count, struct lost *out_lost, struct err *err)
{
    for (size_t i = 0; i < count; i++) {
        struct segment *segment = NULL;
        struct err why = { 0 };

        log->number_last = numbers[i] > log->number_last ? numbers[i] : log->number_last;
        if (segment_open(&segment, log->dir, numbers[i], &why))
            segments_push(log, segment);
        else if (why.code == ERR_CORRUPT)
            out_lost->numbers[out_lost->count++] = numbers[i];
        else
            return err_set(err, why.code, 0, "%s", why.message);
    }
    return true;
}

/* Was anything ever written to the file NAME? What cannot be read counts. */
static bool
has_bytes(const struct log *log, const char *name)
{
    uint8_t bytes[16384];
    bool found = false;
    off_t at = 0;
    ssize_t got;
    int fd = sys_openat(log->dir, name, O_RDONLY | O_NOFOLLOW, 0);

    if (fd < 0)
        return true;
    while (!found && (got = sys_pread(fd, bytes, sizeof bytes, at)) != 0) {
        for (ssize_t i = 0; i < got && !found; i++)
            found = bytes[i] != 0;
        found = found || got < 0;
        at += got;
    }
    (void)sys_close(fd);                   /* only read */
    return found;
}

/* A segment that another one follows had records: only then does one follow it. */
static bool
is_followed(const struct log *log, uint32_t number)
{
    uint32_t bytes;

    for (size_t i = 0; i < log->count; i++)
        if (segment_previous(log->segments[i], &bytes) == number && bytes > SEGMENT_HEADER_BYTES)
            return true;
    return false;
}

/* A header is synced before anything follows it: a file of zeros was never begun (a crash, a full disk), all else is damage and kept for the
 * operator. Leaves the damaged ones in LOST. */
static void
headers_lost(struct log *log, struct lost *lost)
{
    size_t damaged = 0;

    for (size_t i = 0; i < lost->count; i++) {
        char name[SEGMENT_NAME_BYTES];
        char bad[SEGMENT_NAME_BYTES + 4];

        segment_name(name, lost->numbers[i]);
        if (!is_followed(log, lost->numbers[i]) && !has_bytes(log, name)) {
            (void)sys_unlinkat(log->dir, name, 0);   /* found again at the next start otherwise */
            continue;
        }
        (void)snprintf(bad, sizeof bad, "%s.bad", name);
        (void)sys_renameat(log->dir, name, log->dir, bad);       /* the same */
        say(log, 3, "the header of journal segment %u is damaged: its commits are lost, its file is kept as '%s/%s'; "
            "agents whose commits have a hole are quarantined", lost->numbers[i], log->spec.folder, bad);
        lost->numbers[damaged++] = lost->numbers[i];
    }
    lost->count = damaged;
}

static bool
is_lost(const struct lost *lost, uint32_t number)
{
    for (size_t i = 0; i < lost->count; i++)
        if (lost->numbers[i] == number)
            return true;
    return false;
}

/* How long a later segment says that segment I is; 0: none says it. */
static uint32_t
limit_of(const struct log *log, size_t i)
{
    for (size_t next = i + 1; next < log->count; next++) {
        uint32_t bytes;

        if (segment_previous(log->segments[next], &bytes) == segment_number(log->segments[i]))
            return bytes;
    }
    return 0;
}

/* Commits from before SEGMENT, the I-th, are gone, and nothing that was retired. */
static bool
is_after_hole(struct log *log, size_t i, const struct lost *lost)
{
    uint32_t bytes;
    const uint32_t previous = segment_previous(log->segments[i], &bytes);

    if (is_lost(lost, previous))
        return true;
    if (i == 0 || previous <= segment_number(log->segments[i - 1]) || bytes <= SEGMENT_HEADER_BYTES)
        return false;
    say(log, 3, "journal segment %u is missing: its commits are lost; agents whose commits have a hole are quarantined", previous);
    return true;
}

static bool
segments_scan(struct log *log, const struct lost *lost, struct core *core, struct err *err)
{
    for (size_t i = 0; i < log->count; i++) {
        struct segment *segment = log->segments[i];
        struct tell tell = { core, log->feed, segment_number(segment), segment_first_lsn(segment) };
        struct scan_result result;
        struct err why = { 0 };

        feed_give_up(log->feed, is_after_hole(log, i, lost) ? tell.first_lsn - 1 : segment_alarms_forgotten(segment));
        if (!segment_scan(segment, limit_of(log, i), on_found, &tell, &result, err))
            return false;
        if (result.damaged > 0)
            feed_give_up(log->feed, tell.first_lsn + segment_end(segment) - 1);
        if (result.damaged > 0)
            say(log, 3, "journal segment %u is damaged in %u places: those commits are lost; agents whose commits have a hole are quarantined",
                segment_number(segment), result.damaged);
        if (segment_is_sealed(segment))
            continue;
        if (!segment_sync_found(segment, err))
            return false;
        if (!segment_seal(segment, &why))
            say(log, 2, "%s; the next start reads it record by record", why.message);
    }
    core_found_all(core);
    return true;
}

/* Never below what any segment gave out, also one that is lost: the wall clock in nanoseconds is ahead of a journal that writes less
 * than a gigabyte per second, year in, year out. */
static void
lsn_begin(struct log *log, const struct lost *lost)
{
    const bool is_end_lost = lost->count > 0 && (log->count == 0 || segment_number(log->segments[log->count - 1]) < lost->numbers[lost->count - 1]);


    log->next_lsn = (uint64_t)clock_wall_us() * 1000;
    for (size_t i = 0; i < log->count; i++) {
        const uint64_t end = segment_first_lsn(log->segments[i]) + segment_end(log->segments[i]);

        if (end > log->next_lsn)
            log->next_lsn = end;
    }
    if (is_end_lost)
        feed_give_up(log->feed, log->next_lsn - 1);
}

bool
log_open(struct log **out_log, const struct log_spec *spec, struct core *core, struct err *err)
{
    struct log *log = calloc(1, sizeof *log);
    uint32_t *numbers = calloc(SEGMENTS_MAX, sizeof *numbers);
    struct lost lost = { .numbers = calloc(SEGMENTS_MAX, sizeof *numbers) };
    size_t count = 0;
    bool ok;

    assert(log != NULL);
    assert(numbers != NULL);
    assert(lost.numbers != NULL);
    log->spec = *spec;
    log->feed = feed_create();
    log->dir = sys_open(spec->folder, O_RDONLY | O_DIRECTORY, 0);
    ok = log->dir >= 0 || err_set(err, ERR_IO, errno, "open the journal's folder '%s'", spec->folder);
    ok = ok && history_open(&log->history, &(struct history_spec){ log->dir, spec->folder, spec->history_days, spec->history_bytes }, err);
    if (ok)
        log->number_last = history_last(log->history);
    ok = ok && folder_list(log, numbers, &count, err) && segments_open(log, numbers, count, &lost, err);
    if (ok)
        headers_lost(log, &lost);
    ok = ok && segments_scan(log, &lost, core, err) && (spec->loop == NULL || sealer_create(&log->sealer, spec->loop, on_sealed, log, err));
    if (ok)
        lsn_begin(log, &lost);
    free(numbers);
    free(lost.numbers);
    if (!ok)
        log_close(&log);
    *out_log = log;
    return ok;
}

void
log_close(struct log **log)
{
    struct log *it = STEAL(*log);

    if (it == NULL)
        return;
    sealer_destroy(&it->sealer);
    for (size_t i = 0; i < it->count; i++)
        segment_close(&it->segments[i]);
    free(it->segments);
    segment_close(&it->past);
    history_close(&it->history);
    feed_destroy(&it->feed);
    (void)sys_close(it->dir);              /* a folder: nothing to lose */
    free(it);
}

/* ---- writing ------------------------------------------------------------------------------------------------------------ */

/* A full disk: new commits are worth more than old ones. */
static bool
room_make(struct log *log, const struct err *why)
{
    const size_t gone = why->code == ERR_DISK_FULL ? history_make_room(log->history, HISTORY_ROOM_SEGMENTS * (uint64_t)log->spec.segment_bytes) : 0;

    if (gone > 0)
        say(log, 2, "the disk is full: the oldest %zu segments of the history are deleted to make room", gone);
    return gone > 0;
}

/* A disk that has no room for a whole segment may have room for commits: a smaller one, for NEED bytes at least. */
static bool
segment_begin(struct log *log, struct segment_spec *spec, size_t need, struct segment **out_segment, struct err *err)
{
    const size_t least = need > SEGMENT_BYTES_SPARE ? need : SEGMENT_BYTES_SPARE;

    if (segment_create(out_segment, log->dir, spec, err) || (room_make(log, err) && segment_create(out_segment, log->dir, spec, err)))
        return true;
    while (err->code == ERR_DISK_FULL && spec->bytes / 2 >= least) {
        spec->bytes /= 2;
        if (segment_create(out_segment, log->dir, spec, err))
            return true;
    }
    return false;
}

static bool
head_begin(struct log *log, size_t need, struct err *err)
{
    const uint64_t forgotten = feed_forgotten(log->feed);
    struct segment_spec spec = { .number = log->number_last + 1, .bytes = log->spec.segment_bytes, .first_lsn = log->next_lsn,
                                 .alarms_forgotten = log->giving_up > forgotten ? log->giving_up : forgotten };
    struct segment *segment = NULL;

    if (log->count > 0) {
        spec.previous = segment_number(log->segments[log->count - 1]);
        spec.previous_bytes = segment_durable(log->segments[log->count - 1]);
    }
    log->number_last++;                    /* also of one that fails: its file may stay */
    if (!segment_begin(log, &spec, need + SEGMENT_HEADER_BYTES, &segment, err))
        return false;
    log->head_bytes = spec.bytes;
    feed_give_up(log->feed, log->giving_up);
    log->giving_up = 0;
    segments_push(log, segment);
    log->next_lsn = spec.first_lsn + SEGMENT_HEADER_BYTES;
    log->has_head = true;
    log->is_abandoned = false;
    return true;
}

/* Oldest first. log_retire() may be at it: what it has let go is NULL. */
static void
seal_next(struct log *log)
{
    for (size_t i = 0; i < log->count && sealer_segment(log->sealer) == NULL; i++)
        if (log->segments[i] != NULL && log->segments[i] != head(log) && segment_awaits_seal(log->segments[i]))
            sealer_start(log->sealer, log->segments[i]);
}

static void
on_sealed(void *owner, const struct err *failure)
{
    struct log *log = owner;

    if (failure != NULL)
        say(log, 2, "%s; the next start reads it record by record", failure->message);
    seal_next(log);
    if (log->spec.sealed != NULL)
        log->spec.sealed();
}

static void
head_end(struct log *log)
{
    struct segment *segment = head(log);
    struct err why = { 0 };

    log->has_head = false;
    log->is_closed = true;
    if (log->sealer != NULL)
        seal_next(log);
    else if (!segment_seal(segment, &why))
        say(log, 2, "%s; the next start reads it record by record", why.message);
}

uint32_t
log_cut(struct log *log)
{
    if (log->has_head)
        head_end(log);
    while (log->sealer != NULL && sealer_segment(log->sealer) != NULL)
        sealer_finish(log->sealer);
    return log->number_last;
}

static void
head_abandon(struct log *log)
{
    segment_cut(head(log));
    log->has_head = false;
    log->is_abandoned = true;
    log->is_closed = true;
}

static enum log_outcome
outcome_of_begin(const struct log *log, const struct err *err)
{
    return log->is_abandoned && err->code != ERR_DISK_FULL ? LOG_DEAD : LOG_REFUSED;
}

enum log_outcome
log_write(struct log *log, struct buf *batch, uint32_t *out_segment, uint32_t *out_offset, struct err *err)
{
    struct err why = { 0 };
    bool is_lost = false;

    if (log->has_head && segment_end(head(log)) > SEGMENT_HEADER_BYTES && segment_end(head(log)) + batch->len > log->head_bytes)
        head_end(log);
    if (!log->has_head && !head_begin(log, batch->len, err))
        return outcome_of_begin(log, err);
    *out_segment = segment_number(head(log));
    if (!segment_write(head(log), batch, out_offset, &is_lost, err)) {
        if (is_lost)
            head_abandon(log);
        (void)room_make(log, err);         /* the next write tries again */
        return LOG_REFUSED;
    }
    log->next_lsn = segment_first_lsn(head(log)) + segment_end(head(log));
    if (segment_sync(head(log), err))
        return LOG_DURABLE;
    head_abandon(log);
    if (head_begin(log, 0, &why))
        return LOG_REFUSED;
    say(log, 3, "%s", why.message);
    return outcome_of_begin(log, &why);
}

/* ---- reading ------------------------------------------------------------------------------------------------------------ */

/* log->past is segment NUMBER. */
static bool
past_open(struct log *log, uint32_t number, struct err *err)
{
    if (log->past != NULL && segment_number(log->past) == number)
        return true;
    segment_close(&log->past);
    return history_segment(log->history, number, &log->past, err);
}

bool
log_read(struct log *log, const struct core_record *record, struct buf *out_body, struct err *err)
{
    for (size_t i = log->count; i > 0; i--)
        if (segment_number(log->segments[i - 1]) == record->segment)
            return segment_read(log->segments[i - 1], record->offset, record->length, record->sum, out_body, err);
    return past_open(log, record->segment, err) && segment_read(log->past, record->offset, record->length, record->sum, out_body, err);
}

uint32_t
log_before(const struct log *log, uint32_t number)
{
    for (size_t i = log->count; i > 0; i--)
        if (segment_number(log->segments[i - 1]) < number)
            return segment_number(log->segments[i - 1]);
    for (size_t i = history_count(log->history); i > 0; i--)
        if (history_number(log->history, i - 1) < number)
            return history_number(log->history, i - 1);
    return SEGMENT_NONE;
}

bool
log_tell(struct log *log, uint32_t number, void (*fn)(void *owner, const struct found_record *found), void *owner, struct err *err)
{
    struct segment *other = NULL;
    struct scan_result result;
    uint32_t limit = 0;
    bool ok;

    for (size_t i = log->count; i > 0; i--) {
        struct segment *segment = log->segments[i - 1];

        if (segment_number(segment) != number)
            continue;
        if (!segment_is_sealed(segment) && segment_tell(segment, fn, owner))
            return true;
        limit = segment_is_sealed(segment) ? 0 : segment_durable(segment);
        /* Through a handle of its own: the scan says anew what is valid, and the journal knows better. */
        ok = segment_open(&other, log->dir, number, err) && segment_scan(other, limit, fn, owner, &result, err);
        segment_close(&other);
        return ok;
    }
    return past_open(log, number, err) && segment_scan(log->past, 0, fn, owner, &result, err);
}

struct history *
log_history(struct log *log)
{
    return log->history;
}

/* ---- retiring ------------------------------------------------------------------------------------------------------------ */

/* A segment that nobody needs is history. */
static bool
segment_retire(struct log *log, struct segment *segment)
{
    struct err why = { 0 };

    /* Before the next one goes it is durable that this one did: one that came back without those after it would undo commits. */
    if (history_take(log->history, segment_number(segment), &why))
        return true;
    if (why.code != ERR_UNAVAILABLE)       /* a backup holds it: said by who makes the backup, and over with it */
        say(log, 2, "%s", why.message);
    return false;
}

/* Does the scheduler still have to hear of something in SEGMENT? */
static bool
has_unheard(const struct log *log, const struct segment *segment)
{
    return feed_floor(log->feed) < segment_first_lsn(segment) + segment_end(segment);
}

void
log_give_up_alarms(struct log *log, const struct core *core)
{
    const struct segment *oldest = log->count > 1 ? log->segments[0] : NULL;

    if (oldest != NULL && core_segment_kept(core, segment_number(oldest)) == 0 && has_unheard(log, oldest))
        log->giving_up = segment_first_lsn(oldest) + segment_end(oldest) - 1;
}

void
log_retire(struct log *log, const struct core *core, enum log_retire which)
{
    size_t gone = 0;

    while (gone < log->count) {
        struct segment *oldest = log->segments[gone];
        const bool is_head = log->has_head && gone + 1 == log->count;
        const bool is_last = gone + 1 == log->count;

        /* The last one stays while there may be a next one, which must say how long it is. */
        if ((is_head || is_last) && which != LOG_RETIRE_ALL)
            break;
        if (core_segment_kept(core, segment_number(oldest)) > 0 || has_unheard(log, oldest) || (is_last && !feed_is_done(log->feed)))
            break;
        if (is_head)
            head_end(log);
        while (which == LOG_RETIRE_ALL && segment_awaits_seal(oldest))
            sealer_finish(log->sealer);
        if (segment_awaits_seal(oldest) || !segment_retire(log, oldest))
            break;
        segment_close(&log->segments[gone]);
        gone++;
    }
    if (gone == 0)
        return;
    log->count -= gone;
    memmove(log->segments, log->segments + gone, log->count * sizeof log->segments[0]);
}

bool
log_take_closed(struct log *log)
{
    const bool is_closed = log->is_closed;

    log->is_closed = false;
    return is_closed;
}

struct feed *
log_feed(struct log *log)
{
    return log->feed;
}

uint64_t
log_first_lsn(const struct log *log, uint32_t number)
{
    for (size_t i = log->count; i > 0; i--)
        if (segment_number(log->segments[i - 1]) == number)
            return segment_first_lsn(log->segments[i - 1]);
    assert(false);
    return 0;
}

uint64_t
log_next_lsn(const struct log *log)
{
    return log->next_lsn;
}

uint32_t
log_oldest(const struct log *log)
{
    return log->count == 0 ? SEGMENT_NONE : segment_number(log->segments[0]);
}

uint64_t
log_bytes(const struct log *log)
{
    uint64_t bytes = 0;

    for (size_t i = 0; i < log->count; i++)
        bytes += segment_end(log->segments[i]);
    return bytes;
}

size_t
log_segments(const struct log *log)
{
    return log->count;
}
