/*
 * image_pages — see image_pages.h.
 *
 * Packed: blocks of { u32 bytes, u32 packed bytes } and LZ4 data. Unpacked: pages in order, each
 *     varint  unchanged pages before it
 *     until the page's end: varint equal words, varint changed words, the changed words (8 bytes, as exclusive or with the template's)
 * The last pair of a page ends with its equal words. Pages lie in one block each.
 *
 * Freed memory does not travel (heap_scrub): a heap that was once large is small again.
 */
#include "src/worker/image_pages.h"

#include <assert.h>
#include <lz4.h>
#include <string.h>
#include <sys/mman.h>

#include "lib/sys/sys.h"
#include "src/worker/heap_internal.h"
#include "src/worker/worker_limits.h"

#define PAGE_WORDS (KERNEL_PAGE / sizeof(uint64_t))
#define PAGE_PACKED_MAX (KERNEL_PAGE + 4 * PAGE_WORDS)      /* more than alternating words and their counts */
#define BLOCK_UNPACKED_MAX (IMAGE_BLOCK_BYTES + PAGE_PACKED_MAX)
#define GAP_WORDS 2                    /* equal words that end a run of changed ones: their counts are no shorter than one word */
#define VARINT_BYTES_MAX 5

struct block_header {
    uint32_t bytes, packed_bytes;
};

/* ---- packing ---- */

struct packer {
    struct heap   *heap;
    const uint8_t *view;
    struct buf    *unpacked, *out;
    size_t         len_max;
    uint32_t       next_page;
    const struct page_range *dead, *dead_end;
    bool           is_too_long;
};

static uint8_t *
put_varint(uint8_t *p, uint32_t v)
{
    for (; v >= 0x80; v >>= 7)
        *p++ = (uint8_t)(v | 0x80);
    *p++ = (uint8_t)v;
    return p;
}

static size_t
run_end(const uint64_t *own, const uint64_t *base, size_t at)
{
    size_t end = at;                   /* behind the last changed word */

    for (; at < PAGE_WORDS && at - end < GAP_WORDS; at++)
        if (own[at] != base[at])
            end = at + 1;
    return end;
}

/* The words that differ; returns the end of what was written, OUT when the pages are equal. */
static uint8_t *
put_page(uint8_t *out, const uint64_t *own, const uint64_t *base)
{
    size_t done = 0;
    uint8_t *start = out;

    for (;;) {
        size_t at = done, end;

        while (at < PAGE_WORDS && own[at] == base[at])
            at++;
        if (at == PAGE_WORDS && done == 0)
            return start;
        out = put_varint(out, (uint32_t)(at - done));
        if (at == PAGE_WORDS)
            return out;
        end = run_end(own, base, at);
        out = put_varint(out, (uint32_t)(end - at));
        for (; at < end; at++, out += sizeof *own) {
            uint64_t changed = own[at] ^ base[at];

            memcpy(out, &changed, sizeof changed);
        }
        done = end;
        if (done == PAGE_WORDS)
            return out;
    }
}

static void
end_block(struct packer *p)
{
    struct block_header h = { .bytes = (uint32_t)p->unpacked->len };
    size_t bound = (size_t)LZ4_compressBound((int)h.bytes);
    uint8_t *at;

    if (h.bytes == 0)
        return;
    buf_reserve(p->out, sizeof h + bound);
    at = p->out->data + p->out->len;
    h.packed_bytes = (uint32_t)LZ4_compress_default((const char *)p->unpacked->data, (char *)at + sizeof h, (int)h.bytes, (int)bound);
    assert(h.packed_bytes > 0);
    memcpy(at, &h, sizeof h);
    p->out->len += sizeof h + h.packed_bytes;
    buf_clear(p->unpacked);
    p->is_too_long = p->out->len > p->len_max;
}

static bool
is_dead(struct packer *p, uint32_t page)
{
    while (p->dead != p->dead_end && page >= p->dead->end)
        p->dead++;
    return p->dead != p->dead_end && page >= p->dead->first;
}

static void
pack_page(void *ctx, uint32_t page)
{
    static const uint64_t zeros[PAGE_WORDS];
    struct packer *p = ctx;
    uint64_t offset = (uint64_t)page * KERNEL_PAGE;
    const void *own = p->heap->base + offset;
    const void *base = offset < p->heap->template->pages * HEAP_PAGE ? p->view + offset : (const uint8_t *)zeros;
    uint8_t *start, *counted, *end;

    if (p->is_too_long || is_dead(p, page))
        return;
    buf_reserve(p->unpacked, PAGE_PACKED_MAX + VARINT_BYTES_MAX);
    start = p->unpacked->data + p->unpacked->len;
    counted = put_varint(start, page - p->next_page);
    end = put_page(counted, own, base);
    if (end == counted)
        return;
    p->next_page = page + 1;
    p->unpacked->len += (size_t)(end - start);
    if (p->unpacked->len >= IMAGE_BLOCK_BYTES)
        end_block(p);
}

bool
image_pages_pack(struct heap *heap, size_t len_max, struct buf *out)
{
    static struct buf unpacked, dead;      /* kept: the next image needs them too */
    struct packer p = { .heap = heap, .view = template_view(heap->template), .unpacked = &unpacked, .out = out, .len_max = len_max };

    if (p.view == NULL)
        return false;
    buf_clear(&unpacked);
    buf_clear(&dead);
    heap_scrub(heap, 0, &dead);
    p.dead = (const struct page_range *)(const void *)dead.data;
    p.dead_end = p.dead + dead.len / sizeof *p.dead;
    heap_own_pages(heap, pack_page, &p);
    if (!p.is_too_long)
        end_block(&p);
    return !p.is_too_long;
}

/* ---- unpacking ---- */

struct reader {
    const uint8_t *at, *end;
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

/* Reads one page's words; changes PAGE unless it is NULL. */
static bool
take_page(struct reader *r, uint8_t *page)
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
        for (uint32_t i = 0; page != NULL && i < changed; i++) {
            uint64_t word, was;

            memcpy(&word, r->at + i * sizeof word, sizeof word);
            memcpy(&was, page + (at + i) * sizeof was, sizeof was);
            word ^= was;
            memcpy(page + (at + i) * sizeof word, &word, sizeof word);
        }
        r->at += changed * sizeof(uint64_t);
        at += changed;
        if (at == PAGE_WORDS)
            return true;
    }
}

/* Private copies of pages in one call instead of a fault each. Kernels before 5.14 do not know it: then they fault. */
static void
populate(struct heap *heap, uint32_t first, uint32_t end)
{
    if (first < end)
        (void)sys_madvise(heap->base + (uint64_t)first * KERNEL_PAGE, (uint64_t)(end - first) * KERNEL_PAGE, MADV_POPULATE_WRITE);
}

enum pass { PASS_CHECK, PASS_CHANGE };

static bool
take_pages(struct heap *heap, struct bytes block, uint32_t *next_page, enum pass pass)
{
    struct reader r = { block.data, block.data + block.len };
    uint64_t total = heap->pages * (HEAP_PAGE / KERNEL_PAGE);
    uint32_t gap, first = *next_page, end = *next_page;     /* pages that follow each other */

    while (r.at < r.end) {
        if (!take_varint(&r, &gap) || *next_page + (uint64_t)gap >= total)
            return false;
        *next_page += gap;
        if (!take_page(&r, pass == PASS_CHANGE ? heap->base + (uint64_t)*next_page * KERNEL_PAGE : NULL))
            return false;
        if (pass == PASS_CHECK && *next_page != end) {
            populate(heap, first, end);
            first = *next_page;
        }
        end = ++*next_page;
    }
    if (pass == PASS_CHECK)
        populate(heap, first, end);
    return true;
}

static bool
take_block(struct heap *heap, struct bytes packed, uint32_t bytes, uint32_t *next_page)
{
    static struct buf unpacked;        /* kept: the next wake needs it too */
    uint32_t checked_page = *next_page;
    struct bytes block;

    buf_clear(&unpacked);
    buf_reserve(&unpacked, bytes);
    if (LZ4_decompress_safe((const char *)packed.data, (char *)unpacked.data, (int)packed.len, (int)bytes) != (int)bytes)
        return false;
    block = bytes_from(unpacked.data, bytes);
    return take_pages(heap, block, &checked_page, PASS_CHECK) && take_pages(heap, block, next_page, PASS_CHANGE);
}

bool
image_pages_unpack(struct heap *heap, struct bytes packed)
{
    uint32_t next_page = 0;
    struct block_header h;

    while (packed.len > 0) {
        if (packed.len < sizeof h)
            return false;
        memcpy(&h, packed.data, sizeof h);
        packed = bytes_from(packed.data + sizeof h, packed.len - sizeof h);
        if (h.bytes == 0 || h.bytes > BLOCK_UNPACKED_MAX || h.packed_bytes == 0 || h.packed_bytes > packed.len ||
            !take_block(heap, bytes_from(packed.data, h.packed_bytes), h.bytes, &next_page))
            return false;
        packed = bytes_from(packed.data + h.packed_bytes, packed.len - h.packed_bytes);
    }
    return true;
}
