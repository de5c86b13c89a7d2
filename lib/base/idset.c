/* idset — see idset.h. Open addressing with linear probing and back-shift deletion, as in map.c; an empty slot is all zero. */
#include "lib/base/idset.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/map.h"

#define SLOTS_MIN 16                   /* a power of two */

struct idset {
    uint8_t (*slots)[IDSET_ID_BYTES];
    size_t    cap, count;
    uint64_t  seed;
};

static const uint8_t empty[IDSET_ID_BYTES];

static bool
is_free(const struct idset *set, size_t slot)
{
    return memcmp(set->slots[slot], empty, sizeof empty) == 0;
}

static size_t
home_of(const struct idset *set, const uint8_t *id)
{
    return (size_t)hash_bytes(bytes_from(id, IDSET_ID_BYTES), set->seed) & (set->cap - 1);
}

/* The slot that holds ID, or the free one where it belongs. */
static size_t
find(const struct idset *set, const uint8_t *id)
{
    size_t i = home_of(set, id);

    while (!is_free(set, i) && memcmp(set->slots[i], id, IDSET_ID_BYTES) != 0)
        i = (i + 1) & (set->cap - 1);
    return i;
}

static void
resize(struct idset *set, size_t cap)
{
    uint8_t (*old)[IDSET_ID_BYTES] = set->slots;
    size_t old_cap = set->cap;

    set->cap = cap;
    set->slots = calloc(cap, sizeof *set->slots);
    assert(set->slots != NULL);
    for (size_t i = 0; i < old_cap; i++)
        if (memcmp(old[i], empty, sizeof empty) != 0)
            memcpy(set->slots[find(set, old[i])], old[i], IDSET_ID_BYTES);
    free(old);
}

struct idset *
idset_create(void)
{
    struct idset *set = calloc(1, sizeof *set);

    assert(set != NULL);
    set->seed = map_seed_now();
    resize(set, SLOTS_MIN);
    return set;
}

void
idset_destroy(struct idset **set)
{
    if (*set == NULL)
        return;
    free((*set)->slots);
    free(*set);
    *set = NULL;
}

bool
idset_has(const struct idset *set, const uint8_t *id)
{
    return memcmp(id, empty, sizeof empty) != 0 && !is_free(set, find(set, id));
}

void
idset_add(struct idset *set, const uint8_t *id)
{
    assert(memcmp(id, empty, sizeof empty) != 0);
    if (idset_has(set, id))
        return;
    if ((set->count + 1) * 4 > set->cap * 3)
        resize(set, set->cap * 2);
    memcpy(set->slots[find(set, id)], id, IDSET_ID_BYTES);
    set->count++;
}

/* May the id whose home is HOME, now at AT, move back to the hole at HOLE? Yes unless HOME lies in (HOLE, AT]. */
static bool
may_fill(size_t hole, size_t at, size_t home)
{
    return hole <= at ? home <= hole || home > at : home <= hole && home > at;
}

void
idset_remove(struct idset *set, const uint8_t *id)
{
    size_t hole;

    if (!idset_has(set, id))
        return;
    hole = find(set, id);
    for (size_t at = (hole + 1) & (set->cap - 1); !is_free(set, at); at = (at + 1) & (set->cap - 1)) {
        if (may_fill(hole, at, home_of(set, set->slots[at]))) {
            memcpy(set->slots[hole], set->slots[at], IDSET_ID_BYTES);
            hole = at;
        }
    }
    memcpy(set->slots[hole], empty, sizeof empty);
    set->count--;
    if (set->cap > SLOTS_MIN && set->count * 8 < set->cap)
        resize(set, set->cap / 2);     /* a crowd that has left */
}

size_t
idset_count(const struct idset *set)
{
    return set->count;
}
