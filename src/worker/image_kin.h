/*
 * image_kin — the pages of a heap that went to sleep: the base of its kin's images, and what their ranges say while nobody lives in them.
 *
 * The agents of a class have run the same constructor on the same template: the same objects lie at the same places, but for shifts (names are
 * of different lengths). A kin's image says only what came after. Kin live as long as their template.
 */
#ifndef DORMOUSE_WORKER_IMAGE_KIN_H
#define DORMOUSE_WORKER_IMAGE_KIN_H

#include "lib/base/bytes.h"

#define IMAGE_PAGE_BYTES 4096

struct image_kin;
struct image_kin_maker;

struct image_kin_maker *image_kin_begin(uint32_t end);
/* The next page, by its number. Beyond IMAGE_KIN_PAGES_MAX, or from the page END on: not taken. */
void image_kin_add(struct image_kin_maker *maker, uint32_t page, const void *content);
struct image_kin *image_kin_end(struct image_kin_maker **maker);
void image_kin_drop(struct image_kin_maker **maker);       /* instead of image_kin_end */

void image_kin_destroy(struct image_kin **kin);
uint32_t image_kin_checksum(const struct image_kin *kin);
/* The pages that KIN, which may be NULL, changed: how many, and their numbers, ascending. */
uint32_t image_kin_count(const struct image_kin *kin);
uint32_t image_kin_number(const struct image_kin *kin, uint32_t index);
/* NULL: KIN (which may be NULL) did not change it: it is the template's. */
const uint8_t *image_kin_page(const struct image_kin *kin, uint32_t page);

#endif
