/*
 * image_pages — see image_pages.h. Kin are in image_kin.c.
 *
 * Packed: blocks of { u32 bytes, u32 packed bytes } and LZ4 data. Unpacked: pages in order, each
 *     varint  2 × the pages before it that are as the kin's, + 1 when its base is the kin's page and not the template's
 *     until the page's end: varint equal words, varint changed words, the changed words (8 bytes, as exclusive or with the base's)
 * The last pair of a page ends with its equal words. Pages lie in one block each. Where there is no kin, or it did not change a page, the
 * template's page is meant.
 *
 * Freed memory does not travel (heap_scrub): a heap that was once large is small again.
 */
#include "src/worker/image_pages.h"

#include <assert.h>
#include <lz4.h>
#include <string.h>

#include "src/worker/heap_internal.h"
#include "src/worker/worker_limits.h"

#define PAGE_WORDS (KERNEL_PAGE / sizeof(uint64_t))
#define PAGE_PACKED_MAX (KERNEL_PAGE + 4 * PAGE_WORDS)      /* more than alternating words and their counts */
#define BLOCK_UNPACKED_MAX (IMAGE_BLOCK_BYTES + PAGE_PACKED_MAX + VARINT_BYTES_MAX)
#define FEW_WORDS 16                   /* which the kin's page may leave to tell without a look at the template's */
#define GAP_WORDS 2                    /* equal words that end a run of changed ones: their counts are no shorter than one word */
#define VARINT_BYTES_MAX 5

struct block_header {
    uint32_t bytes, packed_bytes;
};

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

typedef uint64_t group __attribute__((vector_size(GROUP_WORDS * sizeof(uint64_t)), aligned(1), may_alias));

/* Both take a pointer: how a group is passed depends on the processor's features, which clang does not let pass. */
static inline __attribute__((always_inline)) uint64_t
bits_of(const group *words)
{
    uint64_t bits = 0;

    for (int i = 0; i < GROUP_WORDS; i++)
        bits |= (uint64_t)((*words)[i] != 0) << i;
    return bits;
}

static inline __attribute__((always_inline)) bool
is_zero(const group *words)
{
    const group w = *words;

    return ((w[0] | w[1]) | (w[2] | w[3]) | (w[4] | w[5]) | (w[6] | w[7])) == 0;
}

/* Most groups of most pages are equal. */
static inline __attribute__((always_inline)) void
find_in_groups(const uint64_t *own, const uint64_t *base, struct changed *out)
{
    *out = (struct changed){ 0 };
    for (size_t at = 0; at < PAGE_WORDS; at += GROUP_WORDS) {
        group words = *(const group *)(own + at) ^ *(const group *)(base + at);
        uint64_t bits;

        if (is_zero(&words))
            continue;
        bits = bits_of(&words);
        out->bits[at / 64] |= bits << at % 64;
        out->count += (unsigned)__builtin_popcountll(bits);
    }
}

#ifdef __x86_64__
__attribute__((target("avx2,popcnt"))) static void
find_by_avx2(const uint64_t *own, const uint64_t *base, struct changed *out)
{
    find_in_groups(own, base, out);
}
#endif

static void
find_changed(const uint64_t *own, const uint64_t *base, struct changed *out)
{
#ifdef __x86_64__
    if (__builtin_cpu_supports("avx2")) {
        find_by_avx2(own, base, out);
        return;
    }
#endif
    find_in_groups(own, base, out);
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
put_page(uint8_t *out, const uint64_t *own, const uint64_t *base, const struct changed *c)
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
            uint64_t changed = own[at] ^ base[at];

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

/* Writes the page against the template's or against the kin's (NULL: it did not change it), whichever has fewer words to tell: what both heaps
 * made at their start is in the kin's; what came later compresses better as it is. */
static uint8_t *
put_shorter(uint8_t *out, uint32_t gap, const void *own, const void *base, const void *of_kin)
{
    struct changed changed, from_kin;

    if (of_kin != NULL) {
        find_changed(own, of_kin, &from_kin);
        if (from_kin.count <= FEW_WORDS)
            return put_page(put_varint(out, 2 * gap + 1), own, of_kin, &from_kin);
    }
    find_changed(own, base, &changed);
    if (of_kin != NULL && from_kin.count < changed.count)
        return put_page(put_varint(out, 2 * gap + 1), own, of_kin, &from_kin);
    return put_page(put_varint(out, 2 * gap), own, base, &changed);
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
    const void *own = p->heap->base + (uint64_t)page * KERNEL_PAGE;
    const void *of_kin = image_kin_page(p->kin, page), *base = heap_page_as(p->heap->template, NULL, page);
    uint8_t *start;

    if (p->is_too_long || page >= p->heap->pages * (HEAP_PAGE / KERNEL_PAGE) || is_dead(p, page))
        return;
    if (memcmp(own, of_kin != NULL ? of_kin : base, KERNEL_PAGE) == 0)
        return;                        /* it was freed memory that differed */
    buf_reserve(p->unpacked, PAGE_PACKED_MAX + VARINT_BYTES_MAX);
    start = p->unpacked->data + p->unpacked->len;
    p->unpacked->len += (size_t)(put_shorter(start, page - p->next_page, own, base, of_kin) - start);
    p->next_page = page + 1;
    if (p->maker != NULL)
        image_kin_add(p->maker, page, own);
    if (p->unpacked->len >= IMAGE_BLOCK_BYTES)
        end_block(p);
}

struct comparing {
    struct heap            *heap;
    const struct image_kin *kin;
    size_t                  unlike;
};

/* Every page of HEAP that may not be as KIN says: its own, and those that KIN changed and HEAP did not. */
static void
each_candidate(struct heap *heap, const struct image_kin *kin, void (*fn)(void *ctx, uint32_t page), void *ctx)
{
    heap_own_pages(heap, fn, ctx);
    for (uint32_t i = 0; i < image_kin_count(kin); i++)
        if (!page_set_has(&heap->own, image_kin_number(kin, i)))
            fn(ctx, image_kin_number(kin, i));
}

static bool
is_like(const struct comparing *c, uint32_t page)
{
    return memcmp(c->heap->base + (uint64_t)page * KERNEL_PAGE, heap_page_as(c->heap->template, c->kin, page), KERNEL_PAGE) == 0;
}

static void
compare_page(void *ctx, uint32_t page)
{
    if (!is_like(ctx, page))
        heap_note_changed(page);
}

static void
count_unlike(void *ctx, uint32_t page)
{
    struct comparing *c = ctx;

    c->unlike += !is_like(c, page);
}

size_t
image_pages_unlike(struct heap *heap, const struct image_kin *kin)
{
    struct comparing c = { .heap = heap, .kin = kin };

    if (template_view(heap->template) == NULL)
        return 0;
    each_candidate(heap, kin, count_unlike, &c);
    return c.unlike;
}

bool
image_pages_pack(struct heap *heap, const struct image_kin *kin, size_t len_max, struct buf *out, struct image_kin_maker *maker)
{
    static struct buf unpacked, dead;      /* kept: the next image needs them too */
    struct packer p = { .heap = heap, .kin = kin, .maker = maker, .unpacked = &unpacked, .out = out, .len_max = len_max };
    struct comparing c = { .heap = heap, .kin = kin };

    if (template_view(heap->template) == NULL)
        return false;
    buf_clear(&unpacked);
    buf_clear(&dead);
    heap_note_compared(heap, kin);
    each_candidate(heap, kin, compare_page, &c);
    heap_usual_learn(heap);
    heap_scrub(heap, 0, heap_changed_pages(), &dead);
    p.dead = (const struct page_range *)(const void *)dead.data;
    p.dead_end = p.dead + dead.len / sizeof *p.dead;
    page_set_each(heap_changed_pages(), pack_page, &p);
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
    for (; words >= GROUP_WORDS; words -= GROUP_WORDS, page += sizeof(group), changes += sizeof(group))
        *(group *)page ^= *(const group *)changes;
    for (; words > 0; words--, page += sizeof(uint64_t), changes += sizeof(uint64_t)) {
        uint64_t word, change;

        memcpy(&word, page, sizeof word);
        memcpy(&change, changes, sizeof change);
        word ^= change;
        memcpy(page, &word, sizeof word);
    }
}

/* Reads the number of the next page, and which base it has (*out_of_kin NULL: the template's). */
static bool
take_number(struct reader *r, uint32_t *out_page, const uint8_t **out_of_kin)
{
    uint32_t v;
    uint64_t page;

    if (!take_varint(r, &v))
        return false;
    page = (uint64_t)r->next_page + v / 2;
    if (page >= UINT32_MAX)
        return false;
    *out_page = (uint32_t)page;
    *out_of_kin = (v & 1) != 0 ? image_kin_page(r->kin, *out_page) : NULL;
    r->next_page = *out_page + 1;
    return (v & 1) == 0 || *out_of_kin != NULL;
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
    const uint8_t *of_kin;

    while (r.at < r.end) {
        if (!take_number(&r, &page, &of_kin) || page >= total || !take_words(&r, NULL))
            return false;
        if (page != end) {
            heap_pages_own(heap, first, end);
            first = page;
        }
        end = page + 1;
    }
    heap_pages_own(heap, first, end);
    return true;
}

static bool
change_heap(void *ctx, struct reader *r)
{
    struct heap *heap = ctx;
    const uint8_t *of_kin;
    uint32_t page;

    if (!check_block(heap, *r))
        return false;
    while (r->at < r->end) {
        bool ok = take_number(r, &page, &of_kin);
        uint8_t *at = heap->base + (uint64_t)page * KERNEL_PAGE;

        if (of_kin == NULL && image_kin_page(r->kin, page) != NULL)
            memcpy(at, heap_page_as(heap->template, NULL, page), KERNEL_PAGE);
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
    const uint64_t total = heap->pages * (HEAP_PAGE / KERNEL_PAGE);

    /* Its kin had grown further. */
    for (uint32_t i = image_kin_count(kin); i > 0 && image_kin_number(kin, i - 1) >= total; i--)
        memset(heap->base + (uint64_t)image_kin_number(kin, i - 1) * KERNEL_PAGE, 0, KERNEL_PAGE);
    return each_block(kin, packed, change_heap, heap);
}

struct repacker {
    const struct template *template;
    const struct image_kin *kin;
    struct buf *out, *alone;
    uint32_t    next_page, end;        /* END: behind the heap's last one */
    uint32_t    next_kin;              /* index of the first page of the kin's that was not met yet */
};

static void
put_alone(struct repacker *p, uint32_t page, const void *content)
{
    const void *base = heap_page_as(p->template, NULL, page);
    struct changed changed;
    uint8_t *end;

    find_changed(content, base, &changed);
    if (changed.count == 0)
        return;
    buf_reserve(p->alone, PAGE_PACKED_MAX + VARINT_BYTES_MAX);
    end = put_page(put_varint(p->alone->data + p->alone->len, 2 * (page - p->next_page)), content, base, &changed);
    p->alone->len = (size_t)(end - p->alone->data);
    p->next_page = page + 1;
    if (p->alone->len < IMAGE_BLOCK_BYTES)
        return;
    put_block(p->out, buf_view(p->alone));
    buf_clear(p->alone);
}

/* The pages before END that are as the kin's. */
static void
put_kin_until(struct repacker *p, uint32_t end)
{
    for (; p->next_kin < image_kin_count(p->kin) && image_kin_number(p->kin, p->next_kin) < end; p->next_kin++) {
        uint32_t page = image_kin_number(p->kin, p->next_kin);

        put_alone(p, page, image_kin_page(p->kin, page));
    }
}

static bool
repack_block(void *ctx, struct reader *r)
{
    struct repacker *p = ctx;
    const uint8_t *of_kin;
    uint32_t page;

    while (r->at < r->end) {
        uint8_t content[KERNEL_PAGE];

        if (!take_number(r, &page, &of_kin) || page >= p->end)
            return false;
        memcpy(content, of_kin != NULL ? of_kin : heap_page_as(p->template, NULL, page), sizeof content);
        if (!take_words(r, content))
            return false;
        put_kin_until(p, page);
        if (p->next_kin < image_kin_count(p->kin) && image_kin_number(p->kin, p->next_kin) == page)
            p->next_kin++;
        put_alone(p, page, content);
    }
    return true;
}

bool
image_pages_repack(struct template *template, uint64_t heap_pages, const struct image_kin *kin, struct bytes packed, struct buf *out)
{
    static struct buf alone;           /* kept, as above */
    struct repacker p = {
        .template = template, .kin = kin, .out = out, .alone = &alone, .end = (uint32_t)(heap_pages * (HEAP_PAGE / KERNEL_PAGE)),
    };

    buf_clear(&alone);
    if (template_view(template) == NULL || !each_block(kin, packed, repack_block, &p))
        return false;
    put_kin_until(&p, p.end);
    put_block(out, buf_view(&alone));
    return true;
}
