/* snapshot_format — the first bytes of a snapshot (snapshot_file.c, and tests that damage one on purpose). */
#ifndef DORMOUSE_WORKER_SNAPSHOT_FORMAT_H
#define DORMOUSE_WORKER_SNAPSHOT_FORMAT_H

#include <stddef.h>

#include "lib/base/crc32c.h"
#include "src/worker/snapshot_file.h"

#define SNAPSHOT_MAGIC   0x50414e5345534f44ull /* "DOSESNAP" */
#define SNAPSHOT_VERSION 2
#define SNAPSHOT_VERSION_ALONE 1               /* without packs, and their number: still read */

/* Then class, label, ids of packs, timers, pages, image, end to end. */
struct snapshot_header {
    uint64_t magic;
    uint32_t version;
    uint32_t head_check;               /* of the header behind this, class and label */
    uint32_t body_check;               /* of what follows */
    uint32_t heap;
    uint64_t bytes;                    /* of the whole file */
    uint8_t  id[SNAPSHOT_ID_BYTES], agent[32];
    int64_t  time_ms;
    uint64_t seq;
    uint32_t is_passing, next_incoming, last_cursor, last_deflate_stream, wait_until;
    uint32_t class_bytes, label_bytes, timers_bytes;
    uint64_t pages_bytes, image_bytes;
    uint64_t packs_bytes;
};
#define SNAPSHOT_HEADER_ALONE_BYTES offsetof(struct snapshot_header, packs_bytes)

static inline size_t
snapshot_header_bytes(uint32_t version)
{
    return version == SNAPSHOT_VERSION_ALONE ? SNAPSHOT_HEADER_ALONE_BYTES : sizeof(struct snapshot_header);
}

static inline size_t
snapshot_head_bytes(const struct snapshot_header *h)
{
    return snapshot_header_bytes(h->version) + h->class_bytes + h->label_bytes + (size_t)h->packs_bytes;
}

static inline uint32_t
snapshot_head_check(const uint8_t *file, const struct snapshot_header *h)
{
    const size_t from = offsetof(struct snapshot_header, body_check);

    return crc32c(0, file + from, snapshot_head_bytes(h) - from);
}

#endif
