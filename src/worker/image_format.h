/* image_format — the first bytes of a heap's image (image.c, and tests that damage one on purpose). */
#ifndef DORMOUSE_WORKER_IMAGE_FORMAT_H
#define DORMOUSE_WORKER_IMAGE_FORMAT_H

#include <stddef.h>

#include "lib/base/crc32c.h"

#define IMAGE_MAGIC 0x47414d4945534f44ull          /* "DOSEIMAG" */
#define IMAGE_VERSION 1

struct image_header {
    uint64_t magic;
    uint32_t version;
    uint32_t checksum;                 /* of everything behind it */
    uint64_t commit;
    uint64_t bytes;                    /* of the whole image */
    uint32_t heap_pages;               /* of 64 KiB */
    uint32_t about_bytes;              /* they follow the header; the pages follow them */
    uint32_t kin, kin_checksum;        /* 0: stands alone */
    uint8_t  engine_hash[32], template_identity[32];
};

static inline uint32_t
image_checksum(const uint8_t *image, size_t len)
{
    size_t from = offsetof(struct image_header, commit);

    return crc32c(0, image + from, len - from);
}

#endif
