/*
 * journal_scan — what a segment holds, after any end: by its index when it was sealed, else record by record.
 *
 * Where records stop verifying, three things can be: the end; a tail that a crash tore (never acknowledged: the end, too); or damage
 * to what was durable. It is damage when another segment says that the file is longer, or when a later batch follows, which was
 * written only when everything before it was durable. Then the scan goes on behind it.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "lib/sys/sys.h"
#include "src/journal/journal_limits.h"
#include "src/journal/journal_segment_internal.h"

struct scan {
    struct segment     *segment;
    uint32_t            limit;             /* 0: not known */
    uint64_t            size;              /* of the file */
    struct buf          window;            /* bytes of the file from window_at on */
    uint64_t            window_at;
    void              (*fn)(void *owner, const struct found_record *found);
    void               *owner;
    struct scan_result *result;
    struct err         *err;
    bool                is_failed;         /* the file cannot be read */
};

/* The bytes of the file at AT, LEN of them; NULL when there are fewer, or the disk fails. */
static const uint8_t *
bytes_at(struct scan *scan, uint64_t at, size_t len)
{
    size_t want, got = 0;

    assert(len <= SCAN_WINDOW_BYTES);
    if (at + len > scan->size)
        return NULL;
    if (at >= scan->window_at && at + len <= scan->window_at + scan->window.len)
        return scan->window.data + (at - scan->window_at);
    want = scan->size - at < SCAN_WINDOW_BYTES ? (size_t)(scan->size - at) : SCAN_WINDOW_BYTES;
    buf_clear(&scan->window);
    buf_reserve(&scan->window, want);
    if (!segment_pread(scan->segment, scan->window.data, want, (off_t)at, &got, scan->err)) {
        scan->is_failed = true;
        return NULL;
    }
    scan->window.len = got;
    scan->window_at = at;
    return got >= len ? scan->window.data : NULL;
}

static bool
head_at(struct scan *scan, uint64_t at, struct record_head *out_head)
{
    const uint8_t *bytes = bytes_at(scan, at, RECORD_HEAD_BYTES);

    if (bytes == NULL)
        return false;
    record_head_get(out_head, bytes);
    return out_head->length > 0 && (out_head->length <= BODY_BYTES_MAX || (out_head->marks & MARK_INDEX) != 0) &&
           (out_head->marks & ~(uint32_t)MARKS_ALL) == 0 && out_head->check == record_check(scan->segment->id, out_head) &&
           (scan->limit == 0 || (out_head->marks & MARK_INDEX) != 0 || at + record_stride(out_head->length) <= scan->limit);
}

/* Is there a whole record at AT? The body may be damaged: *out_is_damaged; record is then what it looks like, or all zero. */
static bool
record_at(struct scan *scan, uint64_t at, struct found_record *out)
{
    struct record_head head;
    const uint8_t *body;

    *out = (struct found_record){ 0 };
    if (!head_at(scan, at, &head))
        return false;
    out->offset = (uint32_t)at;
    out->length = head.length;
    out->sum = head.sum;
    out->marks = head.marks;
    out->time_ms = head.time_ms;
    if ((head.marks & MARK_INDEX) != 0)
        return true;
    body = bytes_at(scan, at, RECORD_HEAD_BYTES + (size_t)head.length);
    if (body == NULL)
        return false;
    body += RECORD_HEAD_BYTES;
    out->is_damaged = crc32c(0, body, head.length) != head.sum;
    if (!record_unpack(&out->record, bytes_from(body, head.length))) {
        out->record = (struct record){ 0 };
        out->is_damaged = true;
    }
    return true;
}

/* The next record behind damage at AT that shows that it was durable; 0: there is none. */
static uint64_t
record_behind(struct scan *scan, uint64_t at)
{
    const uint64_t end = scan->limit != 0 ? scan->limit : at + BATCH_BYTES_MAX + 2 * record_stride(BODY_BYTES_MAX);
    struct found_record found;

    for (at += RECORD_ALIGN; at + RECORD_HEAD_BYTES <= end && !scan->is_failed; at += RECORD_ALIGN) {
        const uint8_t *bytes = bytes_at(scan, at, RECORD_HEAD_BYTES);
        uint32_t length;

        if (bytes == NULL)
            return 0;
        memcpy(&length, bytes, sizeof length);
        if (length == 0 || !record_at(scan, at, &found))
            continue;
        if (scan->limit != 0 || (found.marks & (MARK_BATCH | MARK_INDEX)) != 0)
            return at;
    }
    return 0;
}

static void
tell(struct scan *scan, const struct found_record *found)
{
    const struct record_head head = { .length = found->length, .sum = found->sum, .marks = found->marks, .time_ms = found->time_ms };

    if ((found->marks & MARK_BATCH) != 0)
        scan->segment->batch_at = found->offset;
    scan->fn(scan->owner, found);
    if (found->record.class_name.len > 0)
        index_add(scan->segment, &found->record, found->offset, &head);
}

static uint64_t
scan_records(struct scan *scan)
{
    uint64_t at = SEGMENT_HEADER_BYTES;

    while (!scan->is_failed && (scan->limit == 0 || at < scan->limit)) {
        struct found_record found;
        const bool is_there = record_at(scan, at, &found);
        uint64_t next;

        if (is_there && (found.marks & MARK_INDEX) != 0)
            return at;
        if (is_there && !found.is_damaged) {
            tell(scan, &found);
            at += record_stride(found.length);
            continue;
        }
        next = is_there && scan->limit != 0 ? at + record_stride(found.length) : record_behind(scan, at);
        if (next == 0 && scan->limit == 0)
            return at;
        scan->result->damaged++;
        /* The search moved the window: what the record looks like is read again. */
        if (is_there && record_at(scan, at, &found))
            tell(scan, &found);
        at = next == 0 ? scan->limit : next;
    }
    return at;
}

/* ---- the index ---------------------------------------------------------------------------------------------------------- */

static bool
index_agents(struct bytes *in, uint32_t count, struct record *out_agents)
{
    for (uint32_t i = 0; i < count; i++) {
        struct bytes id;
        uint16_t app_len, class_len;

        if (!take_bytes(in, sizeof out_agents[i].agent.bytes, &id) || !take_number(in, &app_len, sizeof app_len) ||
            !take_number(in, &class_len, sizeof class_len) || !take_bytes(in, app_len, &out_agents[i].app) ||
            !take_bytes(in, class_len, &out_agents[i].class_name) || class_len == 0 || class_len > NAME_MAX_BYTES || app_len > NAME_MAX_BYTES)
            return false;
        memcpy(out_agents[i].agent.bytes, id.data, id.len);
    }
    return true;
}

static bool
entry_is_sound(const struct index_entry *entry, uint32_t agents, uint32_t end)
{
    return entry->agent < agents && entry->length > 0 && entry->length <= BODY_BYTES_MAX && entry->offset >= SEGMENT_HEADER_BYTES &&
           entry->offset + record_stride(entry->length) <= end && (entry->marks & ~(MARKS_ALL & ~MARK_INDEX)) == 0 &&
           (entry->flags & ~RECORD_FLAGS) == 0;
}

static struct found_record
found_of_entry(const struct index_entry *entry, const struct record *agent)
{
    struct found_record found = { .record = *agent, .offset = entry->offset, .length = entry->length, .sum = entry->sum,
                                  .marks = entry->marks, .time_ms = entry->time_ms };

    found.record.seq = entry->seq;
    found.record.part = entry->part;
    found.record.flags = (uint8_t)entry->flags;
    return found;
}

bool
segment_tell(const struct segment *segment, void (*fn)(void *owner, const struct found_record *found), void *owner)
{
    const uint32_t count = segment->index.by_agent == NULL ? 0 : (uint32_t)umap_count(segment->index.by_agent);
    struct bytes in = buf_view(&segment->index.agents);
    struct record *agents;
    bool ok;

    if (segment->index.by_agent == NULL)
        return false;
    agents = calloc((size_t)count + 1, sizeof *agents);
    assert(agents != NULL);
    ok = index_agents(&in, count, agents);
    assert(ok);                            /* index_add made it */
    for (size_t at = 0; at < segment->index.records.len; at += sizeof(struct index_entry)) {
        struct index_entry entry;
        struct found_record found;

        memcpy(&entry, segment->index.records.data + at, sizeof entry);
        found = found_of_entry(&entry, &agents[entry.agent]);
        fn(owner, &found);
    }
    free(agents);
    return true;
}

/* Two passes, so that an unsound index tells nothing. */
static bool
index_tell(struct scan *scan, struct bytes in, uint32_t end)
{
    uint32_t agents_count, records_count;
    struct record *agents;
    bool ok = take_number(&in, &agents_count, sizeof agents_count) && take_number(&in, &records_count, sizeof records_count) &&
              agents_count <= in.len / sizeof(struct agent_id);

    if (!ok)
        return false;
    agents = calloc((size_t)agents_count + 1, sizeof *agents);
    assert(agents != NULL);
    ok = index_agents(&in, agents_count, agents) && in.len == (size_t)records_count * sizeof(struct index_entry);
    for (int pass = 0; pass < 2; pass++) {
        for (uint32_t i = 0; ok && i < records_count; i++) {
            struct index_entry entry;
            struct found_record found;

            memcpy(&entry, in.data + i * sizeof entry, sizeof entry);
            if (!entry_is_sound(&entry, agents_count, end)) {
                ok = false;
                break;
            }
            if (pass == 0)
                continue;
            found = found_of_entry(&entry, &agents[entry.agent]);
            scan->fn(scan->owner, &found);
        }
    }
    free(agents);
    return ok;
}

static bool
file_bytes(struct segment *segment, uint64_t *out_bytes, struct err *err)
{
    struct stat st;

    if (sys_fstat(segment->fd, &st) != 0)
        return disk_err(err, errno, "look at", segment->number);
    *out_bytes = (uint64_t)st.st_size;
    return true;
}

/* The index's body into OUT; false when there is none that verifies. */
static bool
index_find(struct scan *scan, struct trailer *out_trailer, struct buf *out)
{
    const uint64_t size = scan->size;
    struct segment *segment = scan->segment;
    struct record_head head;
    size_t got = 0;

    if (size < SEGMENT_HEADER_BYTES + RECORD_HEAD_BYTES + sizeof *out_trailer ||
        !segment_pread(segment, out_trailer, sizeof *out_trailer, (off_t)(size - sizeof *out_trailer), &got, scan->err) ||
        got != sizeof *out_trailer || memcmp(out_trailer->magic, trailer_magic, sizeof trailer_magic) != 0 ||
        out_trailer->check != trailer_check(segment, out_trailer) || out_trailer->offset < SEGMENT_HEADER_BYTES ||
        (scan->limit != 0 && out_trailer->offset != scan->limit) ||
        !segment_pread(segment, &head, sizeof head, out_trailer->offset, &got, scan->err) || got != sizeof head ||
        head.check != record_check(segment->id, &head) || head.marks != MARK_INDEX || head.length > INDEX_BYTES_MAX + 8 ||
        out_trailer->offset + record_stride(head.length) + sizeof *out_trailer != size)
        return false;
    buf_reserve(out, head.length);
    if (!segment_pread(segment, out->data, head.length, (off_t)out_trailer->offset + RECORD_HEAD_BYTES, &got, scan->err) ||
        got != head.length || crc32c(0, out->data, head.length) != head.sum)
        return false;
    out->len = head.length;
    return true;
}

bool
segment_scan(struct segment *segment, uint32_t limit, void (*fn)(void *owner, const struct found_record *found), void *owner,
             struct scan_result *out_result, struct err *err)
{
    struct scan scan = { .segment = segment, .limit = limit, .fn = fn, .owner = owner, .result = out_result, .err = err };
    struct trailer trailer;
    struct buf index = { 0 };

    *out_result = (struct scan_result){ 0 };
    if (!file_bytes(segment, &scan.size, err))
        return false;
    if (index_find(&scan, &trailer, &index) && index_tell(&scan, buf_view(&index), trailer.offset)) {
        segment->end = segment->durable = trailer.offset;
        segment->is_sealed = out_result->is_indexed = true;
    } else {
        umap_destroy(&segment->index.by_agent);
        buf_clear(&segment->index.agents);
        buf_clear(&segment->index.records);
        segment->index.by_agent = umap_create();
        segment->batch_at = SEGMENT_HEADER_BYTES;
        segment->end = (uint32_t)scan_records(&scan);
        segment->durable = SEGMENT_HEADER_BYTES;   /* until segment_sync_found() */
    }
    buf_fini(&index);
    buf_fini(&scan.window);
    return !scan.is_failed;
}
