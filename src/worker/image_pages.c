/*
 * image_pages — see image_pages.h. Kin are in image_kin.c.
 *
 * Packed: blocks of { u32 bytes, u32 packed bytes } and LZ4 data. Unpacked: pages in order, each
 *     varint  2 × the pages before it that do not change, + 1 when its base is the kin's page and not the template's
 *     until the page's end: varint equal words, varint changed words, the changed words (8 bytes, as exclusive or with the base's)
 * The last pair of a page ends with its equal words. Pages lie in one block each.
 *
 * Freed memory does not travel (heap_scrub): a heap that was once large is small again.
 */
#include "src/worker/image_pages.h"

#include <assert.h>
#include <lz4.h>
#include <string.h>

#include "src/worker/heap_internal.h"
#include "src/worker/worker_limits.h"

#define PAGE_PACKED_MAX (KERNEL_PAGE + 4 * PAGE_WORDS)      /* more than alternating words and their counts */
#define BLOCK_UNPACKED_MAX (IMAGE_BLOCK_BYTES + PAGE_PACKED_MAX + VARINT_BYTES_MAX)
#define GAP_WORDS 2                    /* equal words that end a run of changed ones: their counts are no shorter than one word */
#define VARINT_BYTES_MAX 5

struct block_header {
    uint32_t bytes, packed_bytes;
};

static const uint64_t zeros[PAGE_WORDS];

/* ---- packing ---- */

static uint8_t *
put_varint(uint8_t *p, uint32_t v)
{
    for (; v >= 0x80; v >>= 7)
        *p++ = (uint8_t)(v | 0x80);
    *p++ = (uint8_t)v;
    return p;
}

#define GROUP_WORDS 8

/* Which words of a page differ from its base: a bit for each. */
struct changed {
    uint64_t bits[PAGE_WORDS / 64];
    unsigned count;
};

typedef uint64_t group __attribute__((vector_size(GROUP_WORDS * sizeof(uint64_t)), aligned(sizeof(uint64_t)), may_alias));

/* Both take a pointer: how a group is passed depends on the processor's features, which clang does not let pass. */
static inline uint64_t
bits_of(const group *words)
{
    uint64_t bits = 0;

    for (int i = 0; i < GROUP_WORDS; i++)
        bits |= (uint64_t)((*words)[i] != 0) << i;
    return bits;
}

static inline bool
is_zero(const group *words)
{
    const group w = *words;

    return ((w[0] | w[1]) | (w[2] | w[3]) | (w[4] | w[5]) | (w[6] | w[7])) == 0;
}

/* OWN against BASE, as exclusive or with KIN unless that is NULL. Most groups of most pages are equal. */
static void
find_changed(const uint64_t *own, const uint64_t *base, const uint64_t *kin, struct changed *out)
{
    *out = (struct changed){ 0 };
    for (size_t at = 0; at < PAGE_WORDS; at += GROUP_WORDS) {
        group words = *(const group *)(own + at) ^ *(const group *)(base + at);
        uint64_t bits;

        if (kin != NULL)
            words ^= *(const group *)(kin + at);
        if (is_zero(&words))
            continue;
        bits = bits_of(&words);
        out->bits[at / 64] |= bits << at % 64;
        out->count += (unsigned)__builtin_popcountll(bits);
    }
}

/* The first word from AT on that is (not) changed; PAGE_WORDS: there is none. */
static size_t
next_word(const struct changed *c, size_t at, bool is_changed)
{
    while (at < PAGE_WORDS) {
        uint64_t bits = (is_changed ? c->bits[at / 64] : ~c->bits[at / 64]) >> at % 64;

        if (bits != 0)
            return at + (size_t)__builtin_ctzll(bits);
        at = (at / 64 + 1) * 64;
    }
    return PAGE_WORDS;
}

/* Behind the last changed word of the run that begins at AT. */
static size_t
run_end(const struct changed *c, size_t at)
{
    for (;;) {
        size_t end = next_word(c, at, false);

        at = next_word(c, end, true);
        if (at == PAGE_WORDS || at - end >= GAP_WORDS)
            return end;
    }
}

/* The words that differ; returns the end of what was written. */
static uint8_t *
put_page(uint8_t *out, const uint64_t *own, const uint64_t *base, const uint64_t *kin, const struct changed *c)
{
    size_t end = 0;

    for (;;) {
        size_t at = next_word(c, end, true);

        out = put_varint(out, (uint32_t)(at - end));
        if (at == PAGE_WORDS)
            return out;
        end = run_end(c, at);
        out = put_varint(out, (uint32_t)(end - at));
        for (; at < end; at++, out += sizeof *own) {
            uint64_t changed = own[at] ^ base[at] ^ (kin != NULL ? kin[at] : 0);

            memcpy(out, &changed, sizeof changed);
        }
        if (end == PAGE_WORDS)
            return out;
    }
}

static void
put_block(struct buf *out, struct bytes unpacked)
{
    struct block_header h = { .bytes = (uint32_t)unpacked.len };
    int bound = LZ4_compressBound((int)unpacked.len);

    if (unpacked.len == 0)
        return;
    buf_reserve(out, sizeof h + (size_t)bound);
    h.packed_bytes = (uint32_t)LZ4_compress_default((const char *)unpacked.data, (char *)out->data + out->len + sizeof h, (int)unpacked.len, bound);
    assert(h.packed_bytes > 0);
    memcpy(out->data + out->len, &h, sizeof h);
    out->len += sizeof h + h.packed_bytes;
}

struct packer {
    struct heap   *heap;
    const uint8_t *view;
    const struct image_kin *kin;
    struct image_kin_maker *maker;
    struct buf    *unpacked, *out;
    size_t         len_max;
    uint32_t       next_page;
    const struct page_range *dead, *dead_end;
    bool           is_too_long;
};

static bool
is_dead(struct packer *p, uint32_t page)
{
    while (p->dead != p->dead_end && page >= p->dead->end)
        p->dead++;
    return p->dead != p->dead_end && page >= p->dead->first;
}

/* Writes the page, whose words C differ from the template's, against that or against the kin's, whichever has fewer to tell: what both
 * heaps made at their start is in the kin's; what came later compresses better as it is. */
static uint8_t *
put_shorter(uint8_t *out, uint32_t gap, const uint64_t *own, const uint64_t *base, const uint64_t *kin, const struct changed *c)
{
    struct changed from_kin;

    if (kin != NULL) {
        find_changed(own, base, kin, &from_kin);
        if (from_kin.count < c->count)
            return put_page(put_varint(out, 2 * gap + 1), own, base, kin, &from_kin);
    }
    return put_page(put_varint(out, 2 * gap), own, base, NULL, c);
}

static void
end_block(struct packer *p)
{
    put_block(p->out, buf_view(p->unpacked));
    buf_clear(p->unpacked);
    p->is_too_long = p->out->len > p->len_max;
}

static void
pack_page(void *ctx, uint32_t page)
{
    struct packer *p = ctx;
    uint64_t offset = (uint64_t)page * KERNEL_PAGE;
    const void *own = p->heap->base + offset;
    const void *base = offset < p->heap->template->pages * HEAP_PAGE ? p->view + offset : (const uint8_t *)zeros;
    struct changed changed;
    uint8_t *start;

    if (p->is_too_long || is_dead(p, page))
        return;
    find_changed(own, base, NULL, &changed);
    if (changed.count == 0)
        return;
    buf_reserve(p->unpacked, PAGE_PACKED_MAX + VARINT_BYTES_MAX);
    start = p->unpacked->data + p->unpacked->len;
    p->unpacked->len += (size_t)(put_shorter(start, page - p->next_page, own, base, image_kin_page(p->kin, page), &changed) - start);
    p->next_page = page + 1;
    if (p->maker != NULL)
        image_kin_add(p->maker, page, own, base);
    if (p->unpacked->len >= IMAGE_BLOCK_BYTES)
        end_block(p);
}

bool
image_pages_pack(struct heap *heap, const struct image_kin *kin, size_t len_max, struct buf *out, struct image_kin_maker *maker)
{
    static struct buf unpacked, dead;      /* kept: the next image needs them too */
    struct packer p = {
        .heap = heap, .view = template_view(heap->template), .kin = kin, .maker = maker, .unpacked = &unpacked, .out = out, .len_max = len_max,
    };

    if (p.view == NULL)
        return false;
    buf_clear(&unpacked);
    buf_clear(&dead);
    heap_scrub(heap, 0, &dead);
    p.dead = (const struct page_range *)(const void *)dead.data;
    p.dead_end = p.dead + dead.len / sizeof *p.dead;
    heap_own_pages(heap, pack_page, &p);
    heap_usual_learn(heap);
    if (!p.is_too_long)
        end_block(&p);
    return !p.is_too_long;
}

/* ---- unpacking ---- */

struct reader {
    const uint8_t *at, *end;
    const struct image_kin *kin;
    uint32_t       next_page;
};

static bool
take_varint(struct reader *r, uint32_t *out)
{
    uint64_t v = 0;

    for (unsigned i = 0; i < VARINT_BYTES_MAX && r->at < r->end; i++) {
        uint8_t byte = *r->at++;

        v |= (uint64_t)(byte & 0x7f) << (7 * i);
        if (byte < 0x80) {
            *out = (uint32_t)v;
            return v <= UINT32_MAX;
        }
    }
    return false;
}

static void
change_words(uint8_t *page, const uint8_t *changes, uint32_t words)
{
    for (uint32_t i = 0; i < words; i++, page += sizeof(uint64_t), changes += sizeof(uint64_t)) {
        uint64_t word, change;

        memcpy(&word, page, sizeof word);
        memcpy(&change, changes, sizeof change);
        word ^= change;
        memcpy(page, &word, sizeof word);
    }
}

/* Reads the number of the next page, and which base it has (*out_kin NULL: the template's). */
static bool
take_number(struct reader *r, uint32_t *out_page, const uint64_t **out_kin)
{
    uint32_t v;
    uint64_t page;

    if (!take_varint(r, &v))
        return false;
    page = (uint64_t)r->next_page + v / 2;
    if (page >= UINT32_MAX)
        return false;
    *out_page = (uint32_t)page;
    *out_kin = (v & 1) != 0 ? image_kin_page(r->kin, *out_page) : NULL;
    r->next_page = *out_page + 1;
    return (v & 1) == 0 || *out_kin != NULL;
}

/* Reads one page's words; changes PAGE unless it is NULL. */
static bool
take_words(struct reader *r, uint8_t *page)
{
    uint32_t at = 0, equal, changed;

    for (;;) {
        if (!take_varint(r, &equal) || equal > PAGE_WORDS - at)
            return false;
        at += equal;
        if (at == PAGE_WORDS)
            return true;
        if (!take_varint(r, &changed) || changed == 0 || changed > PAGE_WORDS - at ||
            changed * sizeof(uint64_t) > (size_t)(r->end - r->at))
            return false;
        if (page != NULL)
            change_words(page + at * sizeof(uint64_t), r->at, changed);
        r->at += changed * sizeof(uint64_t);
        at += changed;
        if (at == PAGE_WORDS)
            return true;
    }
}

/* Everything is in order, before anything is changed. Makes the pages the heap's own: first to end follow each other. */
static bool
check_block(struct heap *heap, struct reader r)
{
    uint64_t total = heap->pages * (HEAP_PAGE / KERNEL_PAGE);
    uint32_t page, first = 0, end = 0;
    const uint64_t *kin;

    while (r.at < r.end) {
        if (!take_number(&r, &page, &kin) || page >= total || !take_words(&r, NULL))
            return false;
        if (heap_page_is_usual(heap->template, page))
            continue;                  /* it is there */
        if (page != end) {
            heap_pages_populate(heap->base, first, end);
            first = page;
        }
        end = page + 1;
    }
    heap_pages_populate(heap->base, first, end);
    return true;
}

static bool
change_heap(void *ctx, struct reader *r)
{
    struct heap *heap = ctx;
    const uint64_t *kin;
    uint32_t page;

    if (!check_block(heap, *r))
        return false;
    while (r->at < r->end) {
        bool ok = take_number(r, &page, &kin);
        uint8_t *at = heap->base + (uint64_t)page * KERNEL_PAGE;

        if (kin != NULL)
            change_words(at, (const uint8_t *)kin, PAGE_WORDS);
        ok = take_words(r, at) && ok;
        assert(ok);
    }
    return true;
}

/* Calls FN with each block, unpacked. */
static bool
each_block(const struct image_kin *kin, struct bytes packed, bool (*fn)(void *ctx, struct reader *block), void *ctx)
{
    static struct buf unpacked;        /* kept: the next wake needs it too */
    struct reader r = { .kin = kin };
    struct block_header h;

    while (packed.len > 0) {
        if (packed.len < sizeof h)
            return false;
        memcpy(&h, packed.data, sizeof h);
        packed = bytes_from(packed.data + sizeof h, packed.len - sizeof h);
        if (h.bytes == 0 || h.bytes > BLOCK_UNPACKED_MAX || h.packed_bytes == 0 || h.packed_bytes > packed.len)
            return false;
        buf_clear(&unpacked);
        buf_reserve(&unpacked, h.bytes);
        if (LZ4_decompress_safe((const char *)packed.data, (char *)unpacked.data, (int)h.packed_bytes, (int)h.bytes) != (int)h.bytes)
            return false;
        r.at = unpacked.data;
        r.end = unpacked.data + h.bytes;
        if (!fn(ctx, &r))
            return false;
        packed = bytes_from(packed.data + h.packed_bytes, packed.len - h.packed_bytes);
    }
    return true;
}

bool
image_pages_unpack(struct heap *heap, const struct image_kin *kin, struct bytes packed)
{
    return each_block(kin, packed, change_heap, heap);
}

struct repacker {
    struct buf *out;
    uint32_t    next_page;
};

static bool
repack_block(void *ctx, struct reader *r)
{
    static struct buf alone;           /* kept, as above */
    struct repacker *p = ctx;
    const uint64_t *kin;
    uint32_t page;

    buf_clear(&alone);
    while (r->at < r->end) {
        uint64_t changes[PAGE_WORDS] = { 0 };
        struct changed changed;
        uint8_t *at;

        if (!take_number(r, &page, &kin))
            return false;
        if (kin != NULL)
            memcpy(changes, kin, sizeof changes);
        if (!take_words(r, (uint8_t *)changes))
            return false;
        buf_reserve(&alone, PAGE_PACKED_MAX + VARINT_BYTES_MAX);
        find_changed(changes, zeros, NULL, &changed);
        at = put_page(put_varint(alone.data + alone.len, 2 * (page - p->next_page)), changes, zeros, NULL, &changed);
        alone.len = (size_t)(at - alone.data);
        p->next_page = page + 1;
        if (alone.len >= IMAGE_BLOCK_BYTES) {
            put_block(p->out, buf_view(&alone));
            buf_clear(&alone);
        }
    }
    put_block(p->out, buf_view(&alone));
    return true;
}

bool
image_pages_repack(const struct image_kin *kin, struct bytes packed, struct buf *out)
{
    struct repacker p = { .out = out };

    return each_block(kin, packed, repack_block, &p);
}
