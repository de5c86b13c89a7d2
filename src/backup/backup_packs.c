/* backup_packs — see backup_packs.h. */
#include "src/backup/backup_packs.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/map.h"
#include "lib/sys/sys.h"
#include "src/backup/backup_limits.h"
#include "src/backup/backup_target.h"

struct cached {
    const struct pack *pack;               /* NULL: nothing */
    struct buf         bytes;
    uint64_t           used_at;
};

struct packs {
    struct target *target;
    uint32_t       pack_bytes;
    struct bmap   *table;                  /* id → struct pack, owned */
    struct bmap   *chunks;                 /* sum → struct ref, owned: of this run's files */
    struct pack   *open[PACK_KINDS];       /* being filled; NULL: none */
    struct buf     bytes[PACK_KINDS];
    struct cached  cache[PACKS_CACHED];
    uint64_t       clock;
    uint64_t       written_bytes;
};

struct packs *
packs_create(struct target *target, uint32_t pack_bytes)
{
    struct packs *packs = calloc(1, sizeof *packs);

    assert(packs != NULL);
    assert(pack_bytes > 0 && pack_bytes <= PACK_BYTES_MAX / 2);
    packs->target = target;
    packs->pack_bytes = pack_bytes;
    packs->table = bmap_create();
    packs->chunks = bmap_create();
    return packs;
}

static void
values_free(struct bmap *map)
{
    size_t cursor = 0;
    struct bytes key;
    void *value;

    while (bmap_next(map, &cursor, &key, &value))
        free(value);
}

void
packs_destroy(struct packs **packs)
{
    struct packs *it = STEAL(*packs);

    if (it == NULL)
        return;
    values_free(it->table);
    values_free(it->chunks);
    bmap_destroy(&it->table);
    bmap_destroy(&it->chunks);
    for (int i = 0; i < PACK_KINDS; i++)
        buf_fini(&it->bytes[i]);
    for (int i = 0; i < PACKS_CACHED; i++)
        buf_fini(&it->cache[i].bytes);
    free(it);
}

/* ---- the table -------------------------------------------------------------------------------------------------------- */

struct pack *
packs_get(struct packs *packs, const char *id)
{
    uint8_t raw[PACK_ID_BYTES];
    struct pack *pack;

    if (!hex_parse(id, raw, sizeof raw))
        return NULL;
    pack = bmap_get(packs->table, bytes_of(id));
    if (pack != NULL)
        return pack;
    pack = calloc(1, sizeof *pack);
    assert(pack != NULL);
    memcpy(pack->id, id, PACK_ID_HEX);
    (void)bmap_put(packs->table, bytes_of(id), pack);        /* there was none */
    return pack;
}

bool
packs_next(const struct packs *packs, size_t *cursor, struct pack **out_pack)
{
    struct bytes key;
    void *value;

    if (!bmap_next(packs->table, cursor, &key, &value))
        return false;
    *out_pack = value;
    return true;
}

void
pack_name(const struct pack *pack, char out[PACK_NAME_BYTES])
{
    (void)snprintf(out, PACK_NAME_BYTES, "packs/%.2s/%s", pack->id, pack->id);
}

static void
on_pack(void *owner, const char *name, uint64_t bytes)
{
    const char *slash = strrchr(name, '/');
    struct pack *pack = slash == NULL ? NULL : packs_get(owner, slash + 1);
    char expected[PACK_NAME_BYTES];

    if (pack == NULL)
        return;
    pack_name(pack, expected);
    pack->is_there = strcmp(expected, name) == 0 && (!pack->is_known || pack->bytes == bytes);
}

bool
packs_look(struct packs *packs, struct err *err)
{
    return target_list(packs->target, "packs/", on_pack, packs, err);
}

void
packs_use(const struct ref *ref)
{
    ref->pack->used_bytes += ref->len;
}

bool
packs_is_usable(const struct ref *ref)
{
    return ref->pack->is_there && !ref->pack->is_thin;
}

/* ---- writing ------------------------------------------------------------------------------------------------------------ */

static bool
pack_write(struct packs *packs, enum pack_kind kind, struct err *err)
{
    struct pack *pack = packs->open[kind];
    const struct bytes bytes = buf_view(&packs->bytes[kind]);
    char name[PACK_NAME_BYTES];

    if (pack == NULL)
        return true;
    sum_of(bytes, pack->sum);
    pack->bytes = bytes.len;
    pack_name(pack, name);
    if (!target_put(packs->target, name, bytes, err))
        return false;
    pack->is_there = true;
    packs->written_bytes += bytes.len;
    packs->open[kind] = NULL;
    buf_clear(&packs->bytes[kind]);
    return true;
}

bool
packs_flush(struct packs *packs, struct err *err)
{
    for (int kind = 0; kind < PACK_KINDS; kind++)
        if (!pack_write(packs, (enum pack_kind)kind, err))
            return false;
    return true;
}

static void
pack_begin(struct packs *packs, enum pack_kind kind)
{
    uint8_t raw[PACK_ID_BYTES];
    char id[PACK_ID_HEX];

    rng_bytes(raw, sizeof raw);
    hex_print(raw, sizeof raw, id);
    packs->open[kind] = packs_get(packs, id);
    packs->open[kind]->is_known = true;
    packs->open[kind]->is_new = true;
}

void
packs_know(struct packs *packs, const struct ref *ref)
{
    struct ref *copy;

    if (bmap_count(packs->chunks) >= BLOBS_MAX || bmap_get(packs->chunks, bytes_from(ref->sum, SUM_BYTES)) != NULL)
        return;
    copy = malloc(sizeof *copy);
    assert(copy != NULL);
    *copy = *ref;
    (void)bmap_put(packs->chunks, bytes_from(copy->sum, SUM_BYTES), copy);       /* there was none */
}

bool
packs_add(struct packs *packs, enum pack_kind kind, struct bytes chunk, struct ref *out_ref, struct err *err)
{
    const struct ref *known;

    assert(chunk.len > 0);
    sum_of(chunk, out_ref->sum);
    known = kind == PACK_FILES ? bmap_get(packs->chunks, bytes_from(out_ref->sum, SUM_BYTES)) : NULL;
    if (known != NULL && known->len == chunk.len) {
        *out_ref = *known;
        return true;
    }
    if (packs->bytes[kind].len > 0 && packs->bytes[kind].len + chunk.len > packs->pack_bytes && !pack_write(packs, kind, err))
        return false;
    if (packs->open[kind] == NULL)
        pack_begin(packs, kind);
    out_ref->pack = packs->open[kind];
    out_ref->at = (uint32_t)packs->bytes[kind].len;
    out_ref->len = (uint32_t)chunk.len;
    buf_append_bytes(&packs->bytes[kind], chunk);
    if (kind == PACK_FILES)
        packs_know(packs, out_ref);
    return true;
}

uint64_t
packs_written_bytes(const struct packs *packs)
{
    return packs->written_bytes;
}

/* ---- reading ------------------------------------------------------------------------------------------------------------ */

static bool
damaged(const struct packs *packs, const struct pack *pack, struct err *err)
{
    char name[PACK_NAME_BYTES];

    pack_name(pack, name);
    return err_set(err, ERR_CORRUPT, 0, "'%s/%s' is damaged: its bytes are not those that were written", target_place(packs->target), name);
}

/* The pack in memory; NULL after a failure. */
static const struct cached *
pack_fetch(struct packs *packs, const struct pack *pack, struct err *err)
{
    struct cached *oldest = &packs->cache[0];
    char name[PACK_NAME_BYTES];

    for (int i = 0; i < PACKS_CACHED; i++) {
        struct cached *cached = &packs->cache[i];

        if (cached->pack == pack) {
            cached->used_at = ++packs->clock;
            return cached;
        }
        if (cached->used_at < oldest->used_at)
            oldest = cached;
    }
    pack_name(pack, name);
    oldest->pack = NULL;
    buf_clear(&oldest->bytes);
    if (!target_get(packs->target, name, (struct span){ 0, 0 }, PACK_BYTES_MAX + LIST_BYTES_MAX, &oldest->bytes, err))
        return NULL;
    oldest->pack = pack;
    oldest->used_at = ++packs->clock;
    return oldest;
}

bool
packs_read(struct packs *packs, const struct ref *ref, enum packs_read how, struct buf *out, struct err *err)
{
    const size_t start = out->len;
    uint8_t sum[SUM_BYTES];
    char name[PACK_NAME_BYTES];

    if (how == PACKS_ONE) {
        pack_name(ref->pack, name);
        if (!target_get(packs->target, name, (struct span){ ref->at, ref->len }, LIST_BYTES_MAX, out, err))
            return false;
    } else {
        const struct cached *cached = pack_fetch(packs, ref->pack, err);

        if (cached == NULL)
            return false;
        if (ref->at > cached->bytes.len || ref->len > cached->bytes.len - ref->at)
            return damaged(packs, ref->pack, err);
        buf_append(out, cached->bytes.data + ref->at, ref->len);
    }
    sum_of(bytes_from(out->data + start, out->len - start), sum);
    if (out->len - start == ref->len && memcmp(sum, ref->sum, SUM_BYTES) == 0)
        return true;
    out->len = start;
    return damaged(packs, ref->pack, err);
}

bool
packs_check(struct packs *packs, struct pack *pack, struct err *err)
{
    const struct cached *cached;
    uint8_t sum[SUM_BYTES];

    if (pack->is_checked)
        return true;
    pack->is_checked = true;
    cached = pack_fetch(packs, pack, err);
    if (cached == NULL)
        return false;
    sum_of(buf_view(&cached->bytes), sum);
    return cached->bytes.len == pack->bytes && memcmp(sum, pack->sum, SUM_BYTES) == 0 ? true : damaged(packs, pack, err);
}
