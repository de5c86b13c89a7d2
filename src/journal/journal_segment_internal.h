/* journal_segment_internal — what journal_segment.c and journal_scan.c share. Not for others. */
#ifndef DORMOUSE_JOURNAL_SEGMENT_INTERNAL_H
#define DORMOUSE_JOURNAL_SEGMENT_INTERNAL_H

#include <string.h>

#include "lib/base/crc32c.h"
#include "lib/base/map.h"
#include "src/journal/journal_segment.h"

struct segment {
    int      fd;
    uint32_t number;
    uint32_t previous, previous_bytes;
    uint64_t first_lsn, alarms_forgotten;
    uint8_t  id[SEGMENT_ID_BYTES];
    uint32_t end, durable;
    uint32_t batch_at;                     /* after a scan: where the last batch begins; everything before it was synced */
    bool     is_sealed;
    struct {                               /* of what is in the file; until it is sealed */
        struct umap *by_agent;             /* hash of an agent as in `agents` → where it begins there and its number; NULL: no index is kept */
        struct buf   agents;               /* id, u16 and u16 lengths, app, class, each */
        struct buf   records;              /* struct index_entry each */
    } index;
};

struct index_entry {                       /* as on disk */
    uint32_t agent;
    uint32_t offset, length, sum, part;
    uint16_t marks, flags;
    uint64_t seq;
    int64_t  time_ms;
};
static_assert(sizeof(struct index_entry) == 40, "an entry is as in memory");

struct trailer {                           /* the last bytes of a sealed file */
    uint8_t  magic[8];
    uint32_t offset;                       /* of the index's head */
    uint32_t check;
};
static_assert(sizeof(struct trailer) == 16, "the trailer is as in memory");

static const uint8_t trailer_magic[8] = "DORMJEND";

static inline uint32_t
trailer_check(const struct segment *segment, const struct trailer *trailer)
{
    return crc32c(crc32c(0, segment->id, sizeof segment->id), &trailer->offset, sizeof trailer->offset);
}

void index_add(struct segment *segment, const struct record *record, uint32_t offset, const struct record_head *head);
/* Up to LEN bytes; fewer at the end of the file. */
MUST_USE bool segment_pread(struct segment *segment, void *out, size_t len, off_t at, size_t *out_got, struct err *err);

#endif
