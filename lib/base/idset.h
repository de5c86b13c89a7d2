/*
 * idset — a set of ids of IDSET_ID_BYTES each, which are not all zero.
 *
 * Promise: average O(1), in one piece of memory: 64 bytes an id on the average, and nothing between other blocks of the heap that would keep
 * their pages. Hashing is keyed as in map.h.
 */
#ifndef DORMOUSE_BASE_IDSET_H
#define DORMOUSE_BASE_IDSET_H

#include "lib/base/bytes.h"

#define IDSET_ID_BYTES 32

struct idset;

struct idset *idset_create(void);
void          idset_destroy(struct idset **set);       /* NULL is fine */
bool          idset_has(const struct idset *set, const uint8_t *id);
void          idset_add(struct idset *set, const uint8_t *id);
void          idset_remove(struct idset *set, const uint8_t *id);
size_t        idset_count(const struct idset *set);

#endif
