/*
 * journal_feed — see journal_feed.h.
 */
#include "src/journal/journal_feed.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "lib/ipc/link.h"
#include "src/journal/journal_log.h"

struct feed {
    struct feed_record *records;           /* in the order of lsn; those before `first` are forgotten */
    size_t              first, count, cap;
    uint64_t            forgotten;
    uint64_t            kept;              /* what the scheduler said last */
    struct link        *link;              /* the scheduler's; NULL */
    bool                is_open;           /* it said how far it is */
    size_t              next;              /* what it is told next */
    struct buf          body;
};

struct feed *
feed_create(void)
{
    struct feed *feed = calloc(1, sizeof *feed);

    assert(feed != NULL);
    return feed;
}

void
feed_destroy(struct feed **feed)
{
    struct feed *it = STEAL(*feed);

    if (it == NULL)
        return;
    free(it->records);
    buf_fini(&it->body);
    free(it);
}

/* ---- what is kept ---------------------------------------------------------------------------------------------------------- */

/* Makes place at the front when half of the array is forgotten. */
static void
records_compact(struct feed *feed)
{
    if (feed->first < feed->count / 2 || feed->first == 0)
        return;
    feed->count -= feed->first;
    feed->next -= feed->first;
    memmove(feed->records, feed->records + feed->first, feed->count * sizeof feed->records[0]);
    feed->first = 0;
}

void
feed_add(struct feed *feed, const struct feed_record *record)
{
    const uint64_t last = feed->count > feed->first ? feed->records[feed->count - 1].lsn : 0;

    if (record->lsn <= last) {             /* of a file that is not ours: it cannot be told, so it is missing */
        feed->forgotten = last;
        return;
    }
    if (feed->count == feed->cap) {
        feed->cap = feed->cap == 0 ? 64 : feed->cap * 2;
        feed->records = realloc(feed->records, feed->cap * sizeof feed->records[0]);
        assert(feed->records != NULL);
    }
    feed->records[feed->count++] = *record;
}

bool
feed_is_told(uint8_t flags, uint32_t marks)
{
    return (flags & COMMIT_ALARM) != 0 && (flags & COMMIT_MORE) == 0 && (marks & MARK_CARRY) == 0;
}

static void
records_forget(struct feed *feed, uint64_t lsn)
{
    while (feed->first < feed->count && feed->records[feed->first].lsn <= lsn)
        feed->forgotten = feed->records[feed->first++].lsn;
    if (feed->next < feed->first)
        feed->next = feed->first;
    records_compact(feed);
}

static void
say_begin(struct feed *feed, bool is_gap, uint64_t lsn)
{
    msg_ALARM_FEED_pack(link_out(feed->link), &(struct msg_ALARM_FEED){ .gap = is_gap, .lsn = lsn });
}

void
feed_give_up(struct feed *feed, uint64_t lsn)
{
    const bool is_unheard = feed->is_open && feed->next < feed->count && feed->records[feed->next].lsn <= lsn;

    records_forget(feed, lsn);
    if (lsn > feed->forgotten)
        feed->forgotten = lsn;
    if (is_unheard)
        say_begin(feed, true, feed->forgotten);
}

uint64_t
feed_forgotten(const struct feed *feed)
{
    return feed->forgotten;
}

uint64_t
feed_floor(const struct feed *feed)
{
    return feed->first < feed->count ? feed->records[feed->first].lsn : LSN_NONE;
}

bool
feed_is_done(const struct feed *feed)
{
    return feed->first == feed->count && feed->kept >= feed->forgotten;
}

/* ---- the scheduler --------------------------------------------------------------------------------------------------------- */

void
feed_up(struct feed *feed, struct link *link)
{
    feed->link = link;
    feed->is_open = false;
}

void
feed_down(struct feed *feed)
{
    feed->link = NULL;
    feed->is_open = false;
}

bool
feed_is_up(const struct feed *feed)
{
    return feed->link != NULL;
}

bool
feed_kept(struct feed *feed, uint64_t lsn, uint64_t next_lsn, struct err *err)
{
    const bool is_ahead = lsn >= next_lsn;                     /* of another journal's life */
    const bool is_gap = is_ahead || lsn < feed->forgotten;

    if (feed->is_open && is_ahead)
        return err_set(err, ERR_MALFORMED, 0, "the scheduler has kept alarms up to %llu, the journal is at %llu", (unsigned long long)lsn,
                       (unsigned long long)next_lsn);
    feed->kept = is_gap ? 0 : lsn;
    if (!is_gap) {
        records_forget(feed, lsn);
        feed->forgotten = lsn;             /* also what this journal never had: an index that is behind that has lost it */
    }
    if (feed->is_open)
        return true;
    feed->is_open = true;
    feed->next = feed->first;
    say_begin(feed, is_gap, is_gap ? feed->forgotten : lsn);
    return true;
}

static void
say_record(struct feed *feed, const struct feed_record *at, struct log *log, void (*say)(int level, const char *text))
{
    const struct core_record place = { .segment = at->segment, .offset = at->offset, .length = at->length, .sum = at->sum };
    struct record record;
    struct err why = { 0 };

    if (!log_read(log, &place, &feed->body, &why) || !record_unpack(&record, buf_view(&feed->body))) {
        say(3, why.code != ERR_NONE ? why.message : "a record with an alarm does not verify");
        say_begin(feed, true, at->lsn);    /* the database may still be told it by a scan */
        return;
    }
    msg_ALARM_CHANGED_pack(link_out(feed->link), &(struct msg_ALARM_CHANGED){ .lsn = at->lsn, .agent = record.agent, .due_ms = record.alarm_ms,
                                                                               .app = record.app, .class_name = record.class_name, .name = record.name });
}

void
feed_run(struct feed *feed, struct log *log, void (*say)(int level, const char *text))
{
    while (feed->is_open && feed->next < feed->count && !link_is_backed_up(feed->link))
        say_record(feed, &feed->records[feed->next++], log, say);
}
