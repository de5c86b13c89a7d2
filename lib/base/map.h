/*
 * map — hash maps from a 64-bit number or from bytes to a pointer.
 *
 * Promise: average O(1); iteration in no order. Keys of struct bmap are copied. Hashing is keyed by a per-process random
 * seed (map_seed), so that outsiders cannot choose colliding keys. Values are the caller's.
 */
#ifndef DORMOUSE_BASE_MAP_H
#define DORMOUSE_BASE_MAP_H

#include "lib/base/bytes.h"

struct umap;                                             /* uint64_t → void* */
struct umap *umap_create(void);
void         umap_destroy(struct umap **map);            /* values are not freed; NULL is fine */
void        *umap_get(const struct umap *map, uint64_t key);
void        *umap_put(struct umap *map, uint64_t key, void *value);   /* returns the value replaced, or NULL */
void        *umap_take(struct umap *map, uint64_t key);  /* removes; NULL when absent */
size_t       umap_count(const struct umap *map);
/* Iterates: *cursor starts at 0; false at the end. The map must not grow meanwhile; taking the current key is fine. */
bool         umap_next(const struct umap *map, size_t *cursor, uint64_t *out_key, void **out_value);

struct bmap;                                             /* bytes → void* */
struct bmap *bmap_create(void);
void         bmap_destroy(struct bmap **map);
void        *bmap_get(const struct bmap *map, struct bytes key);
void        *bmap_put(struct bmap *map, struct bytes key, void *value);
void        *bmap_take(struct bmap *map, struct bytes key);
size_t       bmap_count(const struct bmap *map);
bool         bmap_next(const struct bmap *map, size_t *cursor, struct bytes *out_key, void **out_value);

void     map_seed(uint64_t seed);                        /* once, before the first map */
uint64_t map_seed_now(void);
uint64_t hash_bytes(struct bytes b, uint64_t seed);      /* stable across processes for a given seed */

#endif
