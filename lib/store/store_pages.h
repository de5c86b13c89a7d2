/*
 * store_pages — page sets: what one commit changed, as bytes that stand alone.
 *
 * Promise: what the reader accepts is complete and within its bounds: version, codec, counts, exact lengths, page numbers that rise
 * within a commit and lie within the database and the quota. Anything else is ERR_MALFORMED; the bytes may come from anywhere.
 *
 * A commit is one part or more, each at most PAGES_PART_MAX_BYTES, all but the last with size 0. All numbers little-endian:
 *     u8 version (1) · u8 codec (enum pages_codec) · u16 flags (0) · u32 size of the database after the commit, in pages, 0 in parts
 *     that are not the last · u32 count · u32 bytes of the body · count × u32 page number · body: the pages, end to end,
 *     or one LZ4 block of them when that is smaller.
 */
#ifndef DORMOUSE_STORE_PAGES_H
#define DORMOUSE_STORE_PAGES_H

#include "lib/base/bytes.h"
#include "lib/base/err.h"
#include "lib/store/store_limits.h"

#define PAGES_HEAD_BYTES     16
#define PAGES_PART_MAX_BYTES (1024 * 1024) /* what a message to the journal takes */
#define PAGES_PART_MAX       ((PAGES_PART_MAX_BYTES - PAGES_HEAD_BYTES) / (4 + STORE_PAGE_BYTES))   /* also when nothing compresses */

enum pages_codec { PAGES_RAW, PAGES_LZ4 };

struct page_image {
    uint32_t       number;                 /* from 1 */
    uint32_t       order;                  /* among images of the same page: the later, the greater */
    const uint8_t *data;                   /* STORE_PAGE_BYTES; borrowed */
};

/* Appends one part: 1 to PAGES_PART_MAX images, numbers rising. SIZE_PAGES: of the database, 0 when another part follows. */
void pages_pack(struct buf *out, const struct page_image *images, size_t count, uint32_t size_pages);

/* Keeps the last image of each page within a database of SIZE_PAGES, numbers rising, at the front of IMAGES; gives how many. */
size_t pages_latest(struct page_image *images, size_t count, uint32_t size_pages);

struct pages_reader {
    struct bytes rest;                     /* set to the page sets, end to end; the rest 0 */
    uint32_t     pages_max;                /* the quota */
    uint32_t     last;                     /* of the commit under way */
    struct buf   unpacked;
};

struct pages_part {
    uint32_t       size_pages;             /* 0: another part of the same commit follows */
    uint32_t       count;
    const uint8_t *numbers;
    const uint8_t *pages;                  /* borrowed until the next call */
};

/* The next part; *out_end: there is none, and the last commit was whole. */
MUST_USE bool pages_next(struct pages_reader *reader, struct pages_part *out_part, bool *out_end, struct err *err);
struct page_image pages_image(const struct pages_part *part, uint32_t index);
void pages_reader_fini(struct pages_reader *reader);

#endif
