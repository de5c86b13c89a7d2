/*
 * journal_record — one record of a segment as bytes.
 *
 * A record is a head of 24 bytes {u32 length of the body, u32 check, u32 marks, u32 sum, i64 time} and a body, padded to 8 bytes. sum is
 * the body's crc32c, time that of its batch in ms since 1970. check is that of the segment's id, length, marks, sum and time: bytes of another segment, or of this file's former
 * life, never verify. All numbers are little-endian. Pure: no I/O.
 */
#ifndef DORMOUSE_JOURNAL_RECORD_H
#define DORMOUSE_JOURNAL_RECORD_H

#include "lib/ipc/message.h"

#define RECORD_HEAD_BYTES 24
#define RECORD_ALIGN      8
#define SEGMENT_ID_BYTES  16

/* What the journal itself says about a record; not part of its body. */
enum record_mark {
    MARK_BATCH       = 1,          /* first of its batch: everything before it in its segment was durable when it was written */
    MARK_CARRY       = 2,          /* copied forward from an older segment */
    MARK_CARRY_FIRST = 4,          /* … the first of its agent's records */
    MARK_CARRY_LAST  = 8,          /* … the last: from here on the copies count, and the originals do not */
    MARK_INDEX       = 16,         /* not a commit: the index of a sealed segment, its last record */
    MARKS_ALL        = 31,
};

struct record {                    /* views into its bytes */
    struct bytes    app, class_name, name, pages;
    struct agent_id agent;
    uint64_t        seq;
    uint64_t        ticket;        /* with pid and slot: which commit of which worker; a resend has the same */
    uint32_t        pid;
    uint16_t        slot;
    uint32_t        epoch;
    uint32_t        part;          /* of its commit, from 0 */
    uint8_t         flags;         /* enum commit_flag: RECORD_FLAGS */
    int64_t         alarm_ms;
};

#define RECORD_FLAGS (COMMIT_MORE | COMMIT_ALARM | COMMIT_GONE | COMMIT_BASE | COMMIT_RESTORED)

struct record_head {
    uint32_t length, check, marks, sum;
    int64_t  time_ms;
};

/* Appends head (its check is set by record_stamp) and padded body. Gives the body's length and sum. */
void record_pack(struct buf *out, const struct record *record, uint32_t marks, uint32_t *out_length, uint32_t *out_sum);
/* The same for a body that is bytes already. */
void record_pack_body(struct buf *out, struct bytes body, uint32_t marks, uint32_t sum);
/* False: BODY is not one that record_pack makes. */
MUST_USE bool record_unpack(struct record *out_record, struct bytes body);

void record_head_get(struct record_head *out_head, const uint8_t *at);
void record_head_put(uint8_t *at, const struct record_head *head);
uint32_t record_check(const uint8_t id[SEGMENT_ID_BYTES], const struct record_head *head);
/* How many bytes a record with a body of LENGTH takes. */
static inline uint64_t record_stride(uint32_t length)
{
    return RECORD_HEAD_BYTES + (((uint64_t)length + RECORD_ALIGN - 1) & ~(uint64_t)(RECORD_ALIGN - 1));
}

static inline void put_u16(struct buf *out, uint16_t v) { buf_append(out, &v, sizeof v); }
static inline void put_u32(struct buf *out, uint32_t v) { buf_append(out, &v, sizeof v); }
static inline void put_u64(struct buf *out, uint64_t v) { buf_append(out, &v, sizeof v); }

/* Takes the next LEN bytes of *IN; false when there are fewer. */
static inline bool take_bytes(struct bytes *in, size_t len, struct bytes *out)
{
    if (in->len < len)
        return false;
    *out = bytes_from(in->data, len);
    *in = bytes_from(in->data + len, in->len - len);
    return true;
}
MUST_USE bool take_number(struct bytes *in, void *out, size_t size);

#endif
