/*
 * journal_record — see journal_record.h.
 */
#include "src/journal/journal_record.h"

#include <assert.h>
#include <string.h>

#include "lib/base/crc32c.h"
#include "src/journal/journal_limits.h"

static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "numbers are written as the processor has them");

#define TYPE_COMMIT 1

bool
take_number(struct bytes *in, void *out, size_t size)
{
    struct bytes raw;

    if (!take_bytes(in, size, &raw))
        return false;
    memcpy(out, raw.data, size);
    return true;
}

void
record_head_get(struct record_head *out_head, const uint8_t *at)
{
    memcpy(out_head, at, RECORD_HEAD_BYTES);
}

void
record_head_put(uint8_t *at, const struct record_head *head)
{
    static_assert(sizeof *head == RECORD_HEAD_BYTES, "the head is as in memory");
    memcpy(at, head, RECORD_HEAD_BYTES);
}

uint32_t
record_check(const uint8_t id[SEGMENT_ID_BYTES], const struct record_head *head)
{
    const uint32_t fields[] = { head->length, head->marks, head->sum };
    const uint32_t sum = crc32c(crc32c(0, id, SEGMENT_ID_BYTES), fields, sizeof fields);

    return crc32c(sum, &head->time_ms, sizeof head->time_ms);
}

static void
pad(struct buf *out, uint32_t length)
{
    static const uint8_t zeros[RECORD_ALIGN];

    buf_append(out, zeros, (size_t)(record_stride(length) - RECORD_HEAD_BYTES - length));
}

void
record_pack_body(struct buf *out, struct bytes body, uint32_t marks, uint32_t sum)
{
    const struct record_head head = { .length = (uint32_t)body.len, .marks = marks, .sum = sum };

    buf_append(out, &head, sizeof head);
    buf_append_bytes(out, body);
    pad(out, head.length);
}

void
record_pack(struct buf *out, const struct record *record, uint32_t marks, uint32_t *out_length, uint32_t *out_sum)
{
    const size_t start = out->len;
    struct record_head head = { .marks = marks };

    buf_append(out, &head, sizeof head);
    buf_append_byte(out, TYPE_COMMIT);
    buf_append_byte(out, record->flags);
    put_u16(out, (uint16_t)record->app.len);
    put_u16(out, (uint16_t)record->class_name.len);
    put_u16(out, (uint16_t)record->name.len);
    put_u16(out, record->slot);
    put_u32(out, record->pid);
    put_u32(out, record->epoch);
    put_u32(out, record->part);
    put_u64(out, record->ticket);
    put_u64(out, record->seq);
    put_u64(out, (uint64_t)record->alarm_ms);
    buf_append(out, record->agent.bytes, sizeof record->agent.bytes);
    buf_append_bytes(out, record->app);
    buf_append_bytes(out, record->class_name);
    buf_append_bytes(out, record->name);
    buf_append_bytes(out, record->pages);
    head.length = (uint32_t)(out->len - start - RECORD_HEAD_BYTES);
    assert(head.length <= BODY_BYTES_MAX);
    head.sum = crc32c(0, out->data + start + RECORD_HEAD_BYTES, head.length);
    record_head_put(out->data + start, &head);
    pad(out, head.length);
    *out_length = head.length;
    *out_sum = head.sum;
}

bool
record_unpack(struct record *out_record, struct bytes body)
{
    struct record record = { 0 };
    struct bytes id;
    uint8_t type;
    uint16_t app_len, class_len, name_len;

    if (!take_number(&body, &type, sizeof type) || type != TYPE_COMMIT || !take_number(&body, &record.flags, sizeof record.flags) ||
        !take_number(&body, &app_len, sizeof app_len) || !take_number(&body, &class_len, sizeof class_len) ||
        !take_number(&body, &name_len, sizeof name_len) || !take_number(&body, &record.slot, sizeof record.slot) ||
        !take_number(&body, &record.pid, sizeof record.pid) || !take_number(&body, &record.epoch, sizeof record.epoch) ||
        !take_number(&body, &record.part, sizeof record.part) || !take_number(&body, &record.ticket, sizeof record.ticket) ||
        !take_number(&body, &record.seq, sizeof record.seq) ||
        !take_number(&body, &record.alarm_ms, sizeof record.alarm_ms) || !take_bytes(&body, sizeof record.agent.bytes, &id) ||
        !take_bytes(&body, app_len, &record.app) || !take_bytes(&body, class_len, &record.class_name) ||
        !take_bytes(&body, name_len, &record.name))
        return false;
    memcpy(record.agent.bytes, id.data, id.len);
    record.pages = body;
    if (app_len > NAME_MAX_BYTES || class_len == 0 || class_len > NAME_MAX_BYTES || name_len > AGENT_NAME_MAX_BYTES ||
        record.pages.len > COMMIT_PART_MAX_BYTES || (record.flags & ~RECORD_FLAGS) != 0)
        return false;
    *out_record = record;
    return true;
}
