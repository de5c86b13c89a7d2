/*
 * journal_past — see journal_past.h.
 */
#include "src/journal/journal_past.h"

#include <assert.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "src/journal/journal_limits.h"

#define TIME_NONE INT64_MAX
#define TEXT_TIME 32

struct places {
    struct past_place *at;
    size_t             count, cap;
};

struct span {                              /* commits of one stretch of time */
    int64_t  from_ms, to_ms;
    uint64_t commits, bytes;
};

struct past {
    struct past_query query;
    struct places segment;                 /* of the segment being read, oldest first */
    struct places found;                   /* those that the state may need */
    bool          has_target;              /* UNDO: it is known which commit the state is */
    bool          is_over;                 /* older records are of another life, or before what matters */
    bool          is_after_gone;           /* the life asked for begins where reading stopped */
    bool          was_deleted;             /* since the state asked for: a bookmark of an earlier life */
    int64_t       oldest_ms;               /* of a state that can be had, TIME_NONE: none was seen */
    struct span   spans[LOOKUP_SPANS_MAX];
    size_t        spans_count;             /* newest first */
    int64_t       span_ms;                 /* how much time one stands for */
};

struct past *
past_create(const struct past_query *query)
{
    struct past *past = calloc(1, sizeof *past);

    assert(past != NULL);
    past->query = *query;
    past->oldest_ms = TIME_NONE;
    past->span_ms = 1000;
    past->has_target = query->mode != RECALL_AT_UNDO;
    return past;
}

void
past_destroy(struct past **past)
{
    struct past *it = STEAL(*past);

    if (it == NULL)
        return;
    free(it->segment.at);
    free(it->found.at);
    free(it);
}

static void
places_push(struct places *places, const struct past_place *place)
{
    if (places->count == places->cap) {
        places->cap = places->cap == 0 ? 64 : places->cap * 2;
        places->at = realloc(places->at, places->cap * sizeof places->at[0]);
        assert(places->at != NULL);
    }
    places->at[places->count++] = *place;
}

void
past_add(struct past *past, const struct past_place *place)
{
    places_push(&past->segment, place);
}

/* ---- the list ------------------------------------------------------------------------------------------------------------- */

/* Neighbours that lie in the same stretch of time become one. */
static void
spans_merge(struct past *past)
{
    size_t kept = 0;

    for (size_t i = 0; i < past->spans_count; i++) {
        struct span *last = kept == 0 ? NULL : &past->spans[kept - 1];
        const struct span *span = &past->spans[i];

        if (last == NULL || last->from_ms / past->span_ms != span->from_ms / past->span_ms) {
            past->spans[kept++] = *span;
            continue;
        }
        last->from_ms = span->from_ms < last->from_ms ? span->from_ms : last->from_ms;
        last->to_ms = span->to_ms > last->to_ms ? span->to_ms : last->to_ms;
        last->commits += span->commits;
        last->bytes += span->bytes;
    }
    past->spans_count = kept;
}

static void
span_add(struct past *past, const struct past_place *place)
{
    struct span span = { place->time_ms, place->time_ms, (place->flags & COMMIT_MORE) == 0, place->length };

    if ((place->flags & COMMIT_BASE) != 0)
        return;
    while (past->spans_count == LOOKUP_SPANS_MAX) {
        past->span_ms *= 2;
        spans_merge(past);
    }
    past->spans[past->spans_count++] = span;
    if (past->spans_count > 1)
        spans_merge(past);
}

void
past_list(const struct past *past, struct buf *out)
{
    for (size_t i = past->spans_count; i > 0; i--) {
        const struct span *span = &past->spans[i - 1];

        buf_printf(out, "%" PRId64 " %" PRId64 " %" PRIu64 " %" PRIu64 "\n", span->from_ms, span->to_ms, span->commits, span->bytes);
    }
}

/* ---- reading backwards ------------------------------------------------------------------------------------------------------ */

/* UNDO: the state is the one before the first restore from the bookmark's time on; records come newest first. */
static void
target_look(struct past *past, const struct past_place *place)
{
    if (past->query.mode != RECALL_AT_UNDO)
        return;
    if (place->time_ms >= past->query.time_ms && (place->flags & COMMIT_RESTORED) != 0) {
        past->has_target = true;
        past->query.seq = place->seq - 1;
        past->found.count = 0;
    }
}

static bool
is_wanted(const struct past *past, const struct past_place *place)
{
    if (past->query.mode == RECALL_AT_TIME)
        return place->time_ms <= past->query.time_ms;
    return past->has_target && place->seq <= past->query.seq;
}

static void
gone_look(struct past *past, const struct past_place *place)
{
    past->found.count = place->time_ms > past->query.time_ms ? 0 : past->found.count;
    if (place->time_ms <= past->query.time_ms) {
        past->is_over = past->is_after_gone = true;
    } else if (past->query.mode != RECALL_AT_TIME) {
        past->is_over = past->was_deleted = true;
    }
}

static void
place_look(struct past *past, const struct past_place *place)
{
    if (past->query.mode == RECALL_AT_LIST) {
        span_add(past, place);
        return;
    }
    if ((place->flags & COMMIT_GONE) != 0) {
        gone_look(past, place);
        return;
    }
    target_look(past, place);
    if ((place->seq == 1 || (place->flags & (COMMIT_BASE | COMMIT_RESTORED)) != 0) && place->time_ms < past->oldest_ms)
        past->oldest_ms = place->time_ms;
    if (is_wanted(past, place))
        places_push(&past->found, place);
}

/* ---- the choice ------------------------------------------------------------------------------------------------------------- */

/* By number, a base after the commit that it is the state of; its parts in order. */
static int
by_number(const void *a, const void *b)
{
    const struct past_place *x = a, *y = b;
    const bool x_base = (x->flags & COMMIT_BASE) != 0, y_base = (y->flags & COMMIT_BASE) != 0;

    if (x->seq != y->seq)
        return x->seq < y->seq ? -1 : 1;
    if (x_base != y_base)
        return x_base ? 1 : -1;
    if (x->part != y->part)
        return x->part < y->part ? -1 : 1;
    if (x->segment != y->segment)
        return x->segment < y->segment ? -1 : 1;
    return x->offset < y->offset ? -1 : x->offset > y->offset;
}

/* One of each place that was written twice: the newest. */
static void
twice_drop(struct places *places)
{
    size_t kept = 0;

    for (size_t i = 0; i < places->count; i++) {
        const struct past_place *next = i + 1 < places->count ? &places->at[i + 1] : NULL;
        const struct past_place *place = &places->at[i];

        if (next == NULL || next->seq != place->seq || next->part != place->part || ((next->flags ^ place->flags) & COMMIT_BASE) != 0)
            places->at[kept++] = *place;
    }
    places->count = kept;
}

/* The parts that end before END are those of one commit or base, all of them: where they begin; END when some are missing. */
static size_t
whole_begin(const struct places *places, size_t end)
{
    size_t at = end - 1;

    if ((places->at[at].flags & COMMIT_MORE) != 0)
        return end;
    while (places->at[at].part > 0) {
        const struct past_place *place = &places->at[at];

        if (at == 0 || places->at[at - 1].seq != place->seq || places->at[at - 1].part != place->part - 1 ||
            ((places->at[at - 1].flags ^ place->flags) & COMMIT_BASE) != 0 || (places->at[at - 1].flags & COMMIT_MORE) == 0)
            return end;
        at--;
    }
    return at;
}

/* Walks down from the newest place of found, which is in order: where the state begins, or found.count when something is missing. */
static size_t
state_begin(const struct past *past)
{
    const struct places *found = &past->found;
    uint64_t wanted = found->count == 0 ? 0 : found->at[found->count - 1].seq;
    size_t end = found->count;

    while (end > 0) {
        const struct past_place *last = &found->at[end - 1];
        const bool is_base = (last->flags & COMMIT_BASE) != 0;
        const size_t begin = whole_begin(found, end);

        if (last->seq != wanted)
            break;
        if (begin < end && (is_base || (last->flags & COMMIT_RESTORED) != 0))
            return begin;
        if (begin < end) {
            /* A database that was there before the journal has a base at 0; one that was born has nothing there. */
            if (wanted == 1 && (begin == 0 || whole_begin(found, begin) == begin))
                return begin;
            wanted--;
            end = begin;
            continue;
        }
        if (!is_base)
            break;
        while (end > 0 && found->at[end - 1].seq == wanted && (found->at[end - 1].flags & COMMIT_BASE) != 0)
            end--;                         /* a base of which parts are missing: the commits below it will do */
    }
    return found->count;
}

static bool
has_state(struct past *past)
{
    struct places *found = &past->found;

    if (found->count == 0)
        return false;
    qsort(found->at, found->count, sizeof found->at[0], by_number);
    twice_drop(found);
    /* The time asked for may lie between the parts of a commit: then it was not there yet. */
    while (past->query.mode == RECALL_AT_TIME && found->count > 0 && (found->at[found->count - 1].flags & COMMIT_MORE) != 0)
        found->count--;
    if (found->count == 0)
        return false;
    if (past->query.mode != RECALL_AT_TIME && found->at[found->count - 1].seq != past->query.seq)
        return false;
    return state_begin(past) < found->count;
}

bool
past_segment_end(struct past *past)
{
    const size_t before = past->found.count;
    bool is_past_time = false;

    for (size_t i = past->segment.count; i > 0 && !past->is_over; i--) {
        place_look(past, &past->segment.at[i - 1]);
        is_past_time = past->segment.at[i - 1].time_ms < past->query.time_ms;
    }
    past->segment.count = 0;
    if (past->is_over)
        return true;
    if (past->query.mode == RECALL_AT_LIST || (past->query.mode == RECALL_AT_UNDO && !is_past_time))
        return false;
    /* A bookmark is of the life that its time lies in: that no deletion came since must be seen. */
    if (past->query.mode == RECALL_AT_COMMIT && !is_past_time && past->query.seq > 0)
        return false;
    return past->found.count > before && has_state(past);
}

static void
time_text(int64_t ms, char out[TEXT_TIME])
{
    const time_t seconds = (time_t)(ms / 1000);
    struct tm tm;

    (void)gmtime_r(&seconds, &tm);
    (void)strftime(out, TEXT_TIME, "%Y-%m-%dT%H:%M:%SZ", &tm);
}

static bool
refuse(const struct past *past, struct err *err)
{
    char oldest[TEXT_TIME] = "";

    if (past->was_deleted)
        return err_set(err, ERR_NOT_FOUND, 0, "the agent was deleted after this bookmark was made; restore it to a time instead");
    if (past->is_after_gone)
        return err_set(err, ERR_NOT_FOUND, 0, "the agent did not exist at that time: it had been deleted");
    if (past->query.mode == RECALL_AT_UNDO && !past->has_target)
        return err_set(err, ERR_NOT_FOUND, 0, "nothing was restored since this bookmark was made");
    if (past->oldest_ms == TIME_NONE)
        return err_set(err, ERR_NOT_FOUND, 0, "there is no history of this agent that reaches back to then");
    time_text(past->oldest_ms, oldest);
    return err_set(err, ERR_NOT_FOUND, 0, "the history of this agent does not reach back to then; the oldest time that it does is %s", oldest);
}

/* What begins at BEGIN without bases that are not whole, which lie between the commits. */
static void
bases_drop(struct places *found, size_t begin)
{
    const struct past_place first = found->at[begin];
    size_t kept = begin;

    for (size_t i = begin; i < found->count; i++)
        if ((found->at[i].flags & COMMIT_BASE) == 0 || ((first.flags & COMMIT_BASE) != 0 && found->at[i].seq == first.seq))
            found->at[kept++] = found->at[i];
    found->count = kept;
}

bool
past_places(struct past *past, const struct past_place **out_places, size_t *out_count, uint64_t *out_seq, struct err *err)
{
    size_t begin;

    *out_count = 0;
    *out_seq = past->query.mode == RECALL_AT_TIME ? 0 : past->query.seq;
    *out_places = past->found.at;
    /* Before its first commit a database is empty: that needs no records. */
    if (!past->was_deleted && past->query.mode != RECALL_AT_TIME && past->has_target && past->query.seq == 0 && past->found.count == 0)
        return true;
    if (!has_state(past))
        return refuse(past, err);
    begin = state_begin(past);
    bases_drop(&past->found, begin);
    *out_places = past->found.at + begin;
    *out_count = past->found.count - begin;
    *out_seq = past->found.at[past->found.count - 1].seq;
    return true;
}
