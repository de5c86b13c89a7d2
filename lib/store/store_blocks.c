/* store_blocks — see store_blocks.h. */
#include "lib/store/store_blocks.h"

#include <assert.h>
#include <sqlite3.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/macros.h"
#include "lib/store/store_limits.h"

#define FINE_STEP   32                     /* sizes of blocks up to FINE_MAX … */
#define FINE_MAX    512
#define COARSE_STEP 128                    /* … and from there to SIZED_MAX, which a cached page with its head fits into; larger ones are not kept */
#define SIZED_MAX   4608
#define FINE_SIZES  (FINE_MAX / FINE_STEP)
#define SIZES       (FINE_SIZES + (SIZED_MAX - FINE_MAX) / COARSE_STEP)

struct block {
    uint32_t bytes;                        /* of what follows */
    uint32_t said;                         /* of these, as SQLite is told */
    union {
        struct block *next;                /* while it is kept */
        uint8_t       data[sizeof(void *)];
    };
};

static struct block *spare[SIZES];
static size_t spare_bytes;

static uint32_t
size_of(size_t bytes)
{
    if (bytes <= FINE_MAX)
        return bytes == 0 ? FINE_STEP : (uint32_t)((bytes + FINE_STEP - 1) / FINE_STEP * FINE_STEP);
    if (bytes <= SIZED_MAX)
        return (uint32_t)((bytes + COARSE_STEP - 1) / COARSE_STEP * COARSE_STEP);
    return (uint32_t)((bytes + 15) / 16 * 16 + 8);
}

/*
 * What the C library would give for BYTES: SQLite takes a hash table of names as large as its block is, and `PRAGMA table_list` shows its
 * order, which is as on the platform only so.
 */
static uint32_t
said_of(size_t bytes)
{
    return bytes <= 24 ? 24 : (uint32_t)((bytes + 7) / 16 * 16 + 8);
}

/* BYTES is one of the sizes. */
static size_t
index_of(uint32_t bytes)
{
    return bytes <= FINE_MAX ? bytes / FINE_STEP - 1 : FINE_SIZES + (bytes - FINE_MAX) / COARSE_STEP - 1;
}

static struct block *
block_of(void *data)
{
    return (struct block *)((uint8_t *)data - offsetof(struct block, data));
}

/* NULL: there is no memory. */
static void *
take(size_t bytes)
{
    const uint32_t said = said_of(bytes), size = size_of(said);
    struct block *b = size <= SIZED_MAX ? spare[index_of(size)] : NULL;

    if (b != NULL) {
        spare[index_of(size)] = b->next;
        spare_bytes -= size;
        b->said = said;
        return b->data;
    }
    b = malloc(offsetof(struct block, data) + size);
    if (b == NULL)
        return NULL;
    b->bytes = size;
    b->said = said;
    return b->data;
}

#ifdef __SANITIZE_ADDRESS__
static const size_t spare_max = 0;
#else
static const size_t spare_max = STORE_SPARE_BYTES_MAX;
#endif

void
blocks_give(void *data)
{
    struct block *b;

    if (data == NULL)
        return;
    b = block_of(data);
    if (b->bytes > SIZED_MAX || spare_bytes + b->bytes > spare_max) {
        free(b);
        return;
    }
    spare_bytes += b->bytes;
    b->next = spare[index_of(b->bytes)];
    spare[index_of(b->bytes)] = b;
}

void *
blocks_take(size_t bytes)
{
    void *data = take(bytes);

    assert(data != NULL);
    return data;
}

/* ---- slabs ----------------------------------------------------------------------------------------------------------- */

struct slab {
    struct slab *next;                     /* while it is kept */
};

static struct slab *spare_slabs;
static size_t slabs_spare, slabs_taken;

void *
blocks_slab_take(void)
{
    struct slab *slab = spare_slabs;

    if (spare_max == 0 || slabs_taken >= STORE_SLABS_MAX)
        return NULL;
    if (slab != NULL) {
        spare_slabs = slab->next;
        slabs_spare--;
    } else {
        slab = malloc(STORE_SLAB_BYTES);
    }
    slabs_taken += slab != NULL;
    return slab;
}

void
blocks_slab_give(void *data)
{
    struct slab *slab = data;

    if (slab == NULL)
        return;
    slabs_taken--;
    if (slabs_spare >= STORE_SLABS_SPARE_MAX) {
        free(slab);
        return;
    }
    slab->next = spare_slabs;
    spare_slabs = slab;
    slabs_spare++;
}

/* ---- all of it ------------------------------------------------------------------------------------------------------- */

void
blocks_rest(void)
{
    for (struct slab *slab; (slab = spare_slabs) != NULL; slabs_spare--) {
        spare_slabs = slab->next;
        free(slab);
    }
    for (size_t i = 0; i < SIZES; i++) {
        for (struct block *b; (b = spare[i]) != NULL;) {
            spare[i] = b->next;
            free(b);
        }
    }
    spare_bytes = 0;
}

size_t
blocks_spare(void)
{
    return spare_bytes + slabs_spare * STORE_SLAB_BYTES;
}

/* ---- sqlite3_mem_methods --------------------------------------------------------------------------------------------- */

static void *
memory_take(int bytes)
{
    return take((size_t)bytes);
}

static int
memory_size(void *data)
{
    return data == NULL ? 0 : (int)block_of(data)->said;
}

static void *
memory_again(void *data, int bytes)
{
    const uint32_t said = said_of((size_t)bytes), size = size_of(said);
    struct block *b = block_of(data);
    void *moved;

    if (size == b->bytes) {
        b->said = said;
        return data;
    }
    if (b->bytes > SIZED_MAX && size > SIZED_MAX) {        /* the C library may move it without a copy */
        b = realloc(b, offsetof(struct block, data) + size);
        if (b == NULL)
            return NULL;
        b->bytes = size;
        b->said = said;
        return b->data;
    }
    moved = take((size_t)bytes);
    if (moved == NULL)
        return NULL;
    memcpy(moved, data, b->said < said ? b->said : said);
    blocks_give(data);
    return moved;
}

static int
memory_round(int bytes)
{
    return (bytes + 7) & ~7;
}

static int
memory_begin(void *owner)
{
    return SQLITE_OK;
}

static void
memory_end(void *owner)
{
}

void
blocks_init(void)
{
    static const sqlite3_mem_methods methods = {
        .xMalloc = memory_take, .xFree = blocks_give, .xRealloc = memory_again, .xSize = memory_size, .xRoundup = memory_round,
        .xInit = memory_begin, .xShutdown = memory_end,
    };
    static bool is_done;

    if (is_done)
        return;
    is_done = true;
    (void)sqlite3_config(SQLITE_CONFIG_MALLOC, &methods);      /* fails only when SQLite is initialized */
}
