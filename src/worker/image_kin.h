/*
 * image_kin — the pages of the first heap of a class that went to sleep: the base of its kin's images.
 *
 * The agents of a class have run the same constructor on the same template: the same objects lie at the same places. A kin's image says
 * only what came after. Kin live as long as their process.
 */
#ifndef DORMOUSE_WORKER_IMAGE_KIN_H
#define DORMOUSE_WORKER_IMAGE_KIN_H

#include "lib/base/bytes.h"

#define PAGE_WORDS 512                 /* of 8 bytes, in a page of 4 KiB */

struct image_kin;
struct image_kin_maker;

struct image_kin_maker *image_kin_begin(void);
/* The next page, by its number: what it is, and what the template's is. Beyond IMAGE_KIN_PAGES_MAX: not taken. */
void image_kin_add(struct image_kin_maker *maker, uint32_t page, const void *own, const void *base);
struct image_kin *image_kin_end(struct image_kin_maker **maker);
void image_kin_drop(struct image_kin_maker **maker);       /* instead of image_kin_end */

void image_kin_destroy(struct image_kin **kin);
uint32_t image_kin_checksum(const struct image_kin *kin);
/* The page as exclusive or with the template's; NULL: the kin (which may be NULL) did not change it. */
const uint64_t *image_kin_page(const struct image_kin *kin, uint32_t page);

#endif
