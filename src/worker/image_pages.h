/* image_pages — what a heap changed of its template's pages, packed (image.c). */
#ifndef DORMOUSE_WORKER_IMAGE_PAGES_H
#define DORMOUSE_WORKER_IMAGE_PAGES_H

#include "lib/base/bytes.h"
#include "src/worker/image_kin.h"

struct heap;
struct template;

/* Appends the changes to OUT, as differences from KIN unless it is NULL. MAKER, unless it is NULL, learns the pages (then KIN is NULL). False: OUT would be
 * longer than LEN_MAX, or the template cannot be read. */
MUST_USE bool image_pages_pack(struct heap *heap, const struct image_kin *kin, size_t len_max, struct buf *out,
                               struct image_kin_maker *maker);
/* How many pages of HEAP are not as KIN, or where that is NULL the template, says. */
size_t image_pages_unlike(struct heap *heap, const struct image_kin *kin);
/* Makes the changes in HEAP, which is as KIN says, or as its template where that is NULL. False: PACKED is damaged, and HEAP is good for
 * nothing but heap_destroy. */
MUST_USE bool image_pages_unpack(struct heap *heap, const struct image_kin *kin, struct bytes packed);
/* Appends PACKED, of a heap of TEMPLATE with HEAP_PAGES of 64 KiB, to OUT without KIN. False: PACKED is damaged, or the template cannot be
 * read. */
MUST_USE bool image_pages_repack(struct template *template, uint64_t heap_pages, const struct image_kin *kin, struct bytes packed,
                                 struct buf *out);

#endif
