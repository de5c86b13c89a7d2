/*
 * journal_segment — see journal_segment.h. This file: making, writing, sealing, reading one record. Scanning: journal_scan.c.
 */
#include "src/journal/journal_segment.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/crc32c.h"
#include "lib/sys/sys.h"
#include "src/journal/journal_limits.h"
#include "src/journal/journal_segment_internal.h"

#define FORMAT_VERSION 2u

struct header {                            /* as on disk */
    uint8_t  magic[8];
    uint32_t version;
    uint32_t check;                        /* crc32c of what follows */
    uint32_t number, previous, previous_bytes, zero;
    uint8_t  id[SEGMENT_ID_BYTES];
    uint64_t first_lsn, alarms_forgotten;
};
static_assert(sizeof(struct header) == SEGMENT_HEADER_BYTES, "the header is as in memory");

static const uint8_t header_magic[8] = "DORMJRNL";

static uint32_t
header_check(const struct header *header)
{
    return crc32c(0, &header->number, sizeof *header - offsetof(struct header, number));
}

void
segment_name(char out[SEGMENT_NAME_BYTES], uint32_t number)
{
    (void)snprintf(out, SEGMENT_NAME_BYTES, "%016x.seg", number);
}

bool
segment_name_parse(const char *name, uint32_t *out_number)
{
    char expected[SEGMENT_NAME_BYTES];
    char *end = NULL;
    unsigned long long number;

    errno = 0;
    number = strtoull(name, &end, 16);
    if (errno != 0 || number == 0 || number >= UINT32_MAX)
        return false;
    segment_name(expected, (uint32_t)number);
    *out_number = (uint32_t)number;
    return strcmp(name, expected) == 0;
}

bool
disk_err(struct err *err, int sys_errno, const char *doing, uint32_t number)
{
    const bool is_full = sys_errno == ENOSPC || sys_errno == EDQUOT;

    return err_set(err, is_full ? ERR_DISK_FULL : ERR_IO, sys_errno, "%s journal segment %u%s", doing, number,
                   is_full ? "; free space on the data disk, the journal then goes on by itself" : "; look into the system log for the disk");
}

static struct segment *
segment_new(int fd, uint32_t number)
{
    struct segment *segment = calloc(1, sizeof *segment);

    assert(segment != NULL);
    segment->fd = fd;
    segment->number = number;
    segment->end = segment->durable = SEGMENT_HEADER_BYTES;
    return segment;
}

static void
index_forget(struct segment *segment)
{
    umap_destroy(&segment->index.by_agent);
    buf_fini(&segment->index.agents);
    buf_fini(&segment->index.records);
}

void
segment_close(struct segment **segment)
{
    if (*segment == NULL)
        return;
    index_forget(*segment);
    (void)sys_close((*segment)->fd);       /* what counts was synced before */
    free(*segment);
    *segment = NULL;
}

bool
folder_sync(int dir, uint32_t number, struct err *err)
{
    int fd = sys_openat(dir, ".", O_RDONLY | O_DIRECTORY, 0);
    bool ok = fd >= 0 && sys_fsync(fd) == 0;

    if (!ok)
        (void)disk_err(err, errno, "make durable the name of", number);
    (void)sys_close(fd);                   /* opened to be synced, nothing was written through it */
    return ok;
}

static bool
header_write(struct segment *segment, uint32_t bytes, struct err *err)
{
    struct header header = { .version = FORMAT_VERSION, .number = segment->number, .previous = segment->previous,
                             .previous_bytes = segment->previous_bytes, .first_lsn = segment->first_lsn,
                             .alarms_forgotten = segment->alarms_forgotten };

    memcpy(header.magic, header_magic, sizeof header.magic);
    memcpy(header.id, segment->id, sizeof header.id);
    header.check = header_check(&header);
    /* A file system that cannot preallocate writes where it can; one that is full says so now rather than with a commit. */
    if (sys_fallocate(segment->fd, 0, 0, bytes) != 0 && errno != EOPNOTSUPP)
        return disk_err(err, errno, "reserve space for", segment->number);
    if (!sys_pwrite_all(segment->fd, &header, sizeof header, 0))
        return disk_err(err, errno, "write the header of", segment->number);
    if (sys_fdatasync(segment->fd) != 0) {
        (void)disk_err(err, errno, "sync the header of", segment->number);
        err->code = ERR_IO;                /* also when it says that it is full: what a sync lost is lost */
        return false;
    }
    return true;
}

bool
segment_create(struct segment **out_segment, int dir, const struct segment_spec *spec, struct err *err)
{
    char name[SEGMENT_NAME_BYTES];
    struct segment *segment;
    int fd;

    assert(spec->number > spec->previous);
    segment_name(name, spec->number);
    fd = sys_openat(dir, name, O_RDWR | O_CREAT | O_EXCL, 0600);
    if (fd < 0)
        return disk_err(err, errno, "make", spec->number);
    segment = segment_new(fd, spec->number);
    segment->previous = spec->previous;
    segment->previous_bytes = spec->previous_bytes;
    segment->first_lsn = spec->first_lsn;
    segment->alarms_forgotten = spec->alarms_forgotten;
    rng_bytes(segment->id, sizeof segment->id);
    if (!header_write(segment, spec->bytes, err) || !folder_sync(dir, spec->number, err)) {
        segment_close(&segment);
        (void)sys_unlinkat(dir, name, 0);  /* one that stays is empty and is found to be so at the next start */
        return false;
    }
    segment->index.by_agent = umap_create();
    *out_segment = segment;
    return true;
}

bool
segment_open(struct segment **out_segment, int dir, uint32_t number, struct err *err)
{
    char name[SEGMENT_NAME_BYTES];
    struct segment *segment;
    struct header header;
    ssize_t got;
    int fd;

    segment_name(name, number);
    fd = sys_openat(dir, name, O_RDWR | O_NOFOLLOW, 0);
    if (fd < 0)
        return disk_err(err, errno, "open", number);
    got = sys_pread(fd, &header, sizeof header, 0);
    if (got < 0) {
        (void)disk_err(err, errno, "read the header of", number);
        (void)sys_close(fd);               /* nothing was written */
        return false;
    }
    if (got != sizeof header || memcmp(header.magic, header_magic, sizeof header.magic) != 0 || header.version != FORMAT_VERSION ||
        header.check != header_check(&header) || header.number != number || header.previous >= number) {
        (void)sys_close(fd);               /* the same */
        return err_set(err, ERR_CORRUPT, 0, "the header of journal segment %u does not verify", number);
    }
    segment = segment_new(fd, number);
    segment->previous = header.previous;
    segment->previous_bytes = header.previous_bytes;
    segment->first_lsn = header.first_lsn;
    segment->alarms_forgotten = header.alarms_forgotten;
    memcpy(segment->id, header.id, sizeof segment->id);
    *out_segment = segment;
    return true;
}

uint32_t
segment_number(const struct segment *segment)
{
    return segment->number;
}

uint32_t
segment_previous(const struct segment *segment, uint32_t *out_bytes)
{
    *out_bytes = segment->previous_bytes;
    return segment->previous;
}

uint64_t
segment_first_lsn(const struct segment *segment)
{
    return segment->first_lsn;
}

uint64_t
segment_alarms_forgotten(const struct segment *segment)
{
    return segment->alarms_forgotten;
}

uint32_t
segment_end(const struct segment *segment)
{
    return segment->end;
}

uint32_t
segment_durable(const struct segment *segment)
{
    return segment->durable;
}

bool
segment_is_sealed(const struct segment *segment)
{
    return segment->is_sealed;
}

bool
segment_awaits_seal(const struct segment *segment)
{
    return !segment->is_sealed && segment->index.by_agent != NULL;
}

/* ---- writing ------------------------------------------------------------------------------------------------------------ */

/* Of index.by_agent: one word. Number 0 is kept as 1, so that the word is never 0. */
static void *
place_word(size_t offset, size_t number)
{
    return (void *)((uintptr_t)offset << 32 | (uintptr_t)(number + 1));
}

static bool
is_agent_at(const struct segment *segment, uintptr_t place, struct bytes key)
{
    size_t offset = place >> 32;

    return key.len <= segment->index.agents.len - offset && memcmp(segment->index.agents.data + offset, key.data, key.len) == 0;
}

/* The number of the agent whose entry in `agents` KEY is. The entry says its own length: no other agent's begins with it. */
static uint32_t
index_agent(struct segment *segment, struct bytes key)
{
    uint64_t hash = hash_bytes(key, map_seed_now());
    uintptr_t place;
    size_t number;

    /* Two agents of one hash: the second has the next free one. */
    while ((place = (uintptr_t)umap_get(segment->index.by_agent, hash)) != 0 && !is_agent_at(segment, place, key))
        hash++;
    if (place != 0)
        return (uint32_t)place - 1;
    number = umap_count(segment->index.by_agent);
    assert(segment->index.agents.len <= UINT32_MAX);
    (void)umap_put(segment->index.by_agent, hash, place_word(segment->index.agents.len, number));
    buf_append_bytes(&segment->index.agents, key);
    return (uint32_t)number;
}

void
index_add(struct segment *segment, const struct record *record, uint32_t offset, const struct record_head *head)
{
    static struct buf key;                 /* kept: the next record needs it too */
    struct index_entry entry = { .offset = offset, .length = head->length, .sum = head->sum, .part = record->part,
                                 .marks = (uint16_t)head->marks, .flags = record->flags, .seq = record->seq, .time_ms = head->time_ms };

    buf_clear(&key);
    buf_append(&key, record->agent.bytes, sizeof record->agent.bytes);
    put_u16(&key, (uint16_t)record->app.len);
    put_u16(&key, (uint16_t)record->class_name.len);
    buf_append_bytes(&key, record->app);
    buf_append_bytes(&key, record->class_name);
    entry.agent = index_agent(segment, buf_view(&key));
    buf_append(&segment->index.records, &entry, sizeof entry);
}

/* Gives each record of BATCH its time and check; returns nothing to fail: the batch is ours. */
static void
batch_stamp(struct segment *segment, struct buf *batch)
{
    const int64_t now_ms = clock_wall_ms();
    size_t at = 0;

    while (at < batch->len) {
        struct record_head head;

        record_head_get(&head, batch->data + at);
        head.time_ms = now_ms;
        head.marks = (head.marks & ~(uint32_t)MARK_BATCH) | (at == 0 ? MARK_BATCH : 0);
        head.check = record_check(segment->id, &head);
        record_head_put(batch->data + at, &head);
        at += record_stride(head.length);
    }
    assert(at == batch->len);
}

static void
batch_index(struct segment *segment, const struct buf *batch, uint32_t offset)
{
    size_t at = 0;

    while (at < batch->len) {
        struct record_head head;
        struct record record;
        bool ok;

        record_head_get(&head, batch->data + at);
        ok = record_unpack(&record, bytes_from(batch->data + at + RECORD_HEAD_BYTES, head.length));
        assert(ok);                        /* record_pack made it */
        index_add(segment, &record, offset + (uint32_t)at, &head);
        at += record_stride(head.length);
    }
}

bool
segment_write(struct segment *segment, struct buf *batch, uint32_t *out_offset, bool *out_is_lost, struct err *err)
{
    assert(!segment->is_sealed);
    assert(segment->index.by_agent != NULL);
    assert(segment->end == segment->durable);
    *out_is_lost = false;
    batch_stamp(segment, batch);
    if (!sys_pwrite_all(segment->fd, batch->data, batch->len, segment->end)) {
        (void)disk_err(err, errno, "write", segment->number);
        /* Part of it may be in the file, and must not be taken for commits by a later start. */
        *out_is_lost = sys_ftruncate(segment->fd, segment->durable) != 0;
        return false;
    }
    batch_index(segment, batch, segment->end);
    *out_offset = segment->end;
    segment->end += (uint32_t)batch->len;
    return true;
}

bool
segment_sync(struct segment *segment, struct err *err)
{
    if (sys_fdatasync(segment->fd) != 0) {
        (void)disk_err(err, errno, "sync", segment->number);
        err->code = ERR_IO;
        return false;
    }
    segment->durable = segment->end;
    return true;
}

void
segment_cut(struct segment *segment)
{
    /* For a start without a crash of the machine in between; after one the next segment's header says the length. */
    (void)sys_ftruncate(segment->fd, segment->durable);
    segment->end = segment->durable;
    index_forget(segment);
}

/* ---- sealing ------------------------------------------------------------------------------------------------------------ */

static void
index_pack(const struct segment *segment, struct buf *out)
{
    struct buf body = { 0 };
    struct record_head head;
    struct trailer trailer = { .offset = segment->end };

    put_u32(&body, (uint32_t)umap_count(segment->index.by_agent));
    put_u32(&body, (uint32_t)(segment->index.records.len / sizeof(struct index_entry)));
    buf_append_bytes(&body, buf_view(&segment->index.agents));
    buf_append_bytes(&body, buf_view(&segment->index.records));
    record_pack_body(out, buf_view(&body), MARK_INDEX, crc32c(0, body.data, body.len));
    record_head_get(&head, out->data);
    head.check = record_check(segment->id, &head);
    record_head_put(out->data, &head);
    memcpy(trailer.magic, trailer_magic, sizeof trailer.magic);
    trailer.check = trailer_check(segment, &trailer);
    buf_append(out, &trailer, sizeof trailer);
    buf_fini(&body);
}

bool
segment_seal_write(const struct segment *segment, struct err *err)
{
    struct buf out = { 0 };
    bool ok;

    assert(segment->index.by_agent != NULL);
    assert(segment->end == segment->durable);
    if (segment->index.agents.len + segment->index.records.len > INDEX_BYTES_MAX)
        return err_set(err, ERR_LIMIT, 0, "the index of journal segment %u would be larger than %u bytes", segment->number, INDEX_BYTES_MAX);
    index_pack(segment, &out);
    ok = sys_pwrite_all(segment->fd, out.data, out.len, segment->end) &&
         sys_ftruncate(segment->fd, (off_t)segment->end + (off_t)out.len) == 0;
    if (!ok)
        (void)disk_err(err, errno, "seal", segment->number);
    buf_fini(&out);
    return ok;
}

void
segment_seal_end(struct segment *segment, bool is_written)
{
    segment->is_sealed = is_written;
    index_forget(segment);
}

bool
segment_seal(struct segment *segment, struct err *err)
{
    const bool ok = segment_seal_write(segment, err);

    segment_seal_end(segment, ok);
    return ok;
}

/* ---- reading ------------------------------------------------------------------------------------------------------------ */

bool
segment_pread(struct segment *segment, void *out, size_t len, off_t at, size_t *out_got, struct err *err)
{
    uint8_t *to = out;
    size_t done = 0;

    while (done < len) {
        ssize_t got = sys_pread(segment->fd, to + done, len - done, at + (off_t)done);

        if (got < 0)
            return disk_err(err, errno, "read", segment->number);
        if (got == 0)
            break;
        done += (size_t)got;
    }
    *out_got = done;
    return true;
}

bool
segment_read(struct segment *segment, uint32_t offset, uint32_t length, uint32_t sum, struct buf *out, struct err *err)
{
    struct record_head head;
    size_t want = RECORD_HEAD_BYTES + (size_t)length;
    size_t got = 0;

    buf_clear(out);
    buf_reserve(out, want);
    if (!segment_pread(segment, out->data, want, offset, &got, err))
        return false;
    if (got == want)
        record_head_get(&head, out->data);
    if (got != want || head.length != length || head.sum != sum || head.check != record_check(segment->id, &head) ||
        crc32c(0, out->data + RECORD_HEAD_BYTES, length) != sum)
        return err_set(err, ERR_CORRUPT, 0, "the record at byte %u of journal segment %u does not verify", offset, segment->number);
    out->len = want;
    buf_consume(out, RECORD_HEAD_BYTES);
    return true;
}

bool
segment_sync_found(struct segment *segment, struct err *err)
{
    const size_t len = segment->end > segment->batch_at ? segment->end - segment->batch_at : 0;
    struct buf batch = { 0 };
    size_t got = 0;
    bool ok;

    buf_reserve(&batch, len + 1);
    ok = segment_pread(segment, batch.data, len, segment->batch_at, &got, err);
    if (ok && !sys_pwrite_all(segment->fd, batch.data, got, segment->batch_at))
        ok = disk_err(err, errno, "write again the last batch of", segment->number);
    if (ok && sys_fsync(segment->fd) != 0)
        ok = disk_err(err, errno, "sync", segment->number);
    if (ok)
        segment->durable = segment->end;
    buf_fini(&batch);
    return ok;
}
