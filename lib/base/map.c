/*
 * map — see map.h. Open addressing with linear probing and back-shift deletion: no tombstones, so a map that
 * churns does not decay.
 *
 * Threads: none.
 */
#include "lib/base/map.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define MAP_CAP_MIN 16 /* slots; a power of two */

static uint64_t seed_now = 0x9E3779B97F4A7C15u;

void
map_seed(uint64_t seed)
{
    seed_now = seed;
}

uint64_t
map_seed_now(void)
{
    return seed_now;
}

/* The finaliser of MurmurHash3: every input bit reaches every output bit. */
static uint64_t
mix(uint64_t h)
{
    h ^= h >> 33;
    h *= 0xFF51AFD7ED558CCDu;
    h ^= h >> 33;
    h *= 0xC4CEB9FE1A85EC53u;
    h ^= h >> 33;
    return h;
}

static uint64_t
rotl(uint64_t x, int bits)
{
    return (x << bits) | (x >> (64 - bits));
}

static uint64_t
load_le64(const uint8_t *p, size_t len)
{
    uint64_t v = 0;

    for (size_t i = 0; i < len; i++)
        v |= (uint64_t)p[i] << (8 * i);
    return v;
}

static void
sip_round(uint64_t v[4])
{
    v[0] += v[1];
    v[1] = rotl(v[1], 13) ^ v[0];
    v[0] = rotl(v[0], 32);
    v[2] += v[3];
    v[3] = rotl(v[3], 16) ^ v[2];
    v[0] += v[3];
    v[3] = rotl(v[3], 21) ^ v[0];
    v[2] += v[1];
    v[1] = rotl(v[1], 17) ^ v[2];
    v[2] = rotl(v[2], 32);
}

/* SipHash-1-3, keyed by SEED twice: outsiders who do not know it cannot construct collisions. */
uint64_t
hash_bytes(struct bytes b, uint64_t seed)
{
    uint64_t k0 = seed;
    uint64_t k1 = mix(seed ^ 0x5851F42D4C957F2Du);
    uint64_t v[4] = { 0x736F6D6570736575u ^ k0, 0x646F72616E646F6Du ^ k1, 0x6C7967656E657261u ^ k0,
                      0x7465646279746573u ^ k1 };
    size_t whole = b.len & ~(size_t)7;
    uint64_t last = (uint64_t)b.len << 56;

    for (size_t i = 0; i < whole; i += 8) {
        uint64_t word = load_le64(b.data + i, 8);
        v[3] ^= word;
        sip_round(v);
        v[0] ^= word;
    }
    if (b.len > whole)
        last |= load_le64(b.data + whole, b.len - whole);
    v[3] ^= last;
    sip_round(v);
    v[0] ^= last;
    v[2] ^= 0xFF;
    for (int i = 0; i < 3; i++)
        sip_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

/* ---- struct umap ------------------------------------------------------------------------------------------ */

struct uslot {
    uint64_t key;
    void *value; /* NULL: the slot is free */
};

struct umap {
    struct uslot *slots;
    size_t cap;
    size_t count;
    uint64_t seed;
};

static size_t
umap_home(const struct umap *map, uint64_t key)
{
    return (size_t)mix(key ^ map->seed) & (map->cap - 1);
}

/* The slot that holds KEY, or the free one where it belongs. */
static size_t
umap_find(const struct umap *map, uint64_t key)
{
    size_t i = umap_home(map, key);

    while (map->slots[i].value != NULL && map->slots[i].key != key)
        i = (i + 1) & (map->cap - 1);
    return i;
}

struct umap *
umap_create(void)
{
    struct umap *map = calloc(1, sizeof *map);

    assert(map != NULL);
    map->cap = MAP_CAP_MIN;
    map->seed = seed_now;
    map->slots = calloc(map->cap, sizeof *map->slots);
    assert(map->slots != NULL);
    return map;
}

void
umap_destroy(struct umap **map)
{
    if (*map == NULL)
        return;
    free((*map)->slots);
    free(*map);
    *map = NULL;
}

void *
umap_get(const struct umap *map, uint64_t key)
{
    return map->slots[umap_find(map, key)].value;
}

static void
umap_grow(struct umap *map)
{
    struct uslot *old = map->slots;
    size_t old_cap = map->cap;

    map->cap *= 2;
    map->slots = calloc(map->cap, sizeof *map->slots);
    assert(map->slots != NULL);
    for (size_t i = 0; i < old_cap; i++)
        if (old[i].value != NULL)
            map->slots[umap_find(map, old[i].key)] = old[i];
    free(old);
}

void *
umap_put(struct umap *map, uint64_t key, void *value)
{
    size_t i;
    void *old;

    assert(value != NULL);
    i = umap_find(map, key);
    old = map->slots[i].value;
    if (old == NULL && (map->count + 1) * 4 > map->cap * 3) {
        umap_grow(map);
        i = umap_find(map, key);
    }
    map->slots[i] = (struct uslot){ key, value };
    map->count += old == NULL;
    return old;
}

/* May the entry whose home is HOME, now at AT, move back to the hole at HOLE? Yes unless HOME lies in (HOLE, AT]. */
static bool
may_fill(size_t hole, size_t at, size_t home)
{
    return hole <= at ? home <= hole || home > at : home <= hole && home > at;
}

void *
umap_take(struct umap *map, uint64_t key)
{
    size_t hole = umap_find(map, key);
    void *value = map->slots[hole].value;

    if (value == NULL)
        return NULL;
    for (size_t at = (hole + 1) & (map->cap - 1); map->slots[at].value != NULL; at = (at + 1) & (map->cap - 1)) {
        if (may_fill(hole, at, umap_home(map, map->slots[at].key))) {
            map->slots[hole] = map->slots[at];
            hole = at;
        }
    }
    map->slots[hole].value = NULL;
    map->count--;
    return value;
}

size_t
umap_count(const struct umap *map)
{
    return map->count;
}

/*
 * The walk goes downwards from a free slot, which no run of entries crosses. Taking the current key shifts back only
 * entries of its run that lie above it, and those were seen already: each entry is met exactly once.
 */
static size_t
walk_slot(size_t first_free, size_t step, size_t cap)
{
    return (first_free - 1 - step) & (cap - 1);
}

static size_t
umap_first_free(const struct umap *map)
{
    size_t i = 0;

    while (map->slots[i].value != NULL)
        i++;
    return i;
}

bool
umap_next(const struct umap *map, size_t *cursor, uint64_t *out_key, void **out_value)
{
    /* The cursor holds step + 1 in its low half and the start in its high half; 0 is the beginning. */
    size_t start = *cursor == 0 ? umap_first_free(map) : *cursor >> 32;
    size_t step = *cursor & UINT32_MAX;

    for (; step < map->cap; step++) {
        const struct uslot *slot = &map->slots[walk_slot(start, step, map->cap)];
        if (slot->value == NULL)
            continue;
        *cursor = start << 32 | (step + 1);
        if (out_key != NULL)
            *out_key = slot->key;
        if (out_value != NULL)
            *out_value = slot->value;
        return true;
    }
    return false;
}

/* ---- struct bmap ------------------------------------------------------------------------------------------ */

struct bslot {
    uint64_t hash;
    uint8_t *key; /* owned; NULL: the slot is free. Never NULL for an entry, also when its key is empty. */
    size_t key_len;
    void *value;
};

struct bmap {
    struct bslot *slots;
    size_t cap;
    size_t count;
    uint64_t seed;
};

static size_t
bmap_find(const struct bmap *map, struct bytes key, uint64_t hash)
{
    size_t i = (size_t)hash & (map->cap - 1);

    for (; map->slots[i].key != NULL; i = (i + 1) & (map->cap - 1)) {
        const struct bslot *slot = &map->slots[i];
        if (slot->hash == hash && bytes_equal(bytes_from(slot->key, slot->key_len), key))
            break;
    }
    return i;
}

struct bmap *
bmap_create(void)
{
    struct bmap *map = calloc(1, sizeof *map);

    assert(map != NULL);
    map->cap = MAP_CAP_MIN;
    map->seed = seed_now;
    map->slots = calloc(map->cap, sizeof *map->slots);
    assert(map->slots != NULL);
    return map;
}

void
bmap_destroy(struct bmap **map)
{
    if (*map == NULL)
        return;
    for (size_t i = 0; i < (*map)->cap; i++)
        free((*map)->slots[i].key);
    free((*map)->slots);
    free(*map);
    *map = NULL;
}

void *
bmap_get(const struct bmap *map, struct bytes key)
{
    return map->slots[bmap_find(map, key, hash_bytes(key, map->seed))].value;
}

static void
bmap_grow(struct bmap *map)
{
    struct bslot *old = map->slots;
    size_t old_cap = map->cap;

    map->cap *= 2;
    map->slots = calloc(map->cap, sizeof *map->slots);
    assert(map->slots != NULL);
    for (size_t i = 0; i < old_cap; i++)
        if (old[i].key != NULL)
            map->slots[bmap_find(map, bytes_from(old[i].key, old[i].key_len), old[i].hash)] = old[i];
    free(old);
}

void *
bmap_put(struct bmap *map, struct bytes key, void *value)
{
    uint64_t hash = hash_bytes(key, map->seed);
    size_t i = bmap_find(map, key, hash);
    void *old = map->slots[i].value;

    assert(value != NULL);
    if (old != NULL) {
        map->slots[i].value = value;
        return old;
    }
    if ((map->count + 1) * 4 > map->cap * 3) {
        bmap_grow(map);
        i = bmap_find(map, key, hash);
    }
    map->slots[i] = (struct bslot){ hash, (uint8_t *)bytes_dup(key), key.len, value };
    map->count++;
    return NULL;
}

void *
bmap_take(struct bmap *map, struct bytes key)
{
    size_t hole = bmap_find(map, key, hash_bytes(key, map->seed));
    void *value = map->slots[hole].value;

    if (map->slots[hole].key == NULL)
        return NULL;
    free(map->slots[hole].key);
    for (size_t at = (hole + 1) & (map->cap - 1); map->slots[at].key != NULL; at = (at + 1) & (map->cap - 1)) {
        if (may_fill(hole, at, (size_t)map->slots[at].hash & (map->cap - 1))) {
            map->slots[hole] = map->slots[at];
            hole = at;
        }
    }
    map->slots[hole] = (struct bslot){ 0 };
    map->count--;
    return value;
}

size_t
bmap_count(const struct bmap *map)
{
    return map->count;
}

bool
bmap_next(const struct bmap *map, size_t *cursor, struct bytes *out_key, void **out_value)
{
    size_t start = *cursor >> 32;
    size_t step = *cursor & UINT32_MAX;

    if (*cursor == 0)
        while (map->slots[start].key != NULL)
            start++;
    for (; step < map->cap; step++) {
        const struct bslot *slot = &map->slots[walk_slot(start, step, map->cap)];
        if (slot->key == NULL)
            continue;
        *cursor = start << 32 | (step + 1);
        if (out_key != NULL)
            *out_key = bytes_from(slot->key, slot->key_len);
        if (out_value != NULL)
            *out_value = slot->value;
        return true;
    }
    return false;
}
