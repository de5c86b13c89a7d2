/* image_pages — what a heap changed of its template's pages, packed (image.c). */
#ifndef DORMOUSE_WORKER_IMAGE_PAGES_H
#define DORMOUSE_WORKER_IMAGE_PAGES_H

#include "lib/base/bytes.h"

struct heap;

/* Appends the changes to OUT. False: OUT would be longer than LEN_MAX, or the template cannot be read. */
MUST_USE bool image_pages_pack(struct heap *heap, size_t len_max, struct buf *out);
/* Makes the changes in HEAP, which is as its template. False: PACKED is damaged, and HEAP is good for nothing but heap_destroy. */
MUST_USE bool image_pages_unpack(struct heap *heap, struct bytes packed);

#endif
