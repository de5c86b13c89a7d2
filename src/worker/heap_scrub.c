/*
 * heap_scrub — overwrites what is dead in a heap: freed blocks of both allocators keep what was in them, and an image would carry it.
 *
 * Only memory of the heap's own is looked at: behind the template's last block (its wall). A heap whose allocators make no sense (no
 * program can do that, a fault of ours could) is scrubbed as far as they do; nothing outside of its memory is read or written.
 */
#include <assert.h>
#include <string.h>

#include "src/worker/engine_chunks.h"
#include "src/worker/heap_internal.h"

struct scrub {
    struct heap *heap;
    uint64_t     from, end;            /* the heap's own memory */
    uint8_t      fill;
    const struct page_set *only;       /* NULL: all */
    struct buf  *dead;                 /* struct page_range, in order */
};

static uint32_t
word_at(const struct scrub *s, uint64_t at)
{
    uint32_t word;

    memcpy(&word, s->heap->base + at, sizeof word);
    return word;
}

static uint16_t
half_at(const struct scrub *s, uint64_t at)
{
    uint16_t half;

    memcpy(&half, s->heap->base + at, sizeof half);
    return half;
}

/* Whoever has compared a page and found it as it should be relies on it. */
static void
fill_part(struct scrub *s, uint64_t from, uint64_t to)
{
    while (from < to) {
        uint64_t page = from / KERNEL_PAGE, end = (page + 1) * KERNEL_PAGE < to ? (page + 1) * KERNEL_PAGE : to;

        if (s->only == NULL || page_set_has(s->only, (uint32_t)page))
            memset(s->heap->base + from, s->fill, end - from);
        from = end;
    }
}

/* The pages wholly inside of a chunk are only noted: most were never touched, and to fill them would be to make them. */
static void
kill_range(struct scrub *s, uint64_t from, uint64_t to)
{
    struct page_range pages = { (uint32_t)((from + KERNEL_PAGE - 1) / KERNEL_PAGE), (uint32_t)(to / KERNEL_PAGE) };

    if (from >= to)
        return;
    if (pages.first > pages.end) {
        fill_part(s, from, to);        /* within a page */
        return;
    }
    if (pages.first < pages.end)
        buf_append(s->dead, &pages, sizeof pages);
    fill_part(s, from, (uint64_t)pages.first * KERNEL_PAGE);
    fill_part(s, (uint64_t)pages.end * KERNEL_PAGE, to);
}

static void
scrub_chunks(struct scrub *s)
{
    uint64_t last = s->end - CHUNK_FOOT, size;

    for (uint64_t chunk = s->from; chunk + CHUNK_HEADER <= last; chunk += size) {
        uint32_t head = word_at(s, chunk + 4);

        size = head & ~CHUNK_FLAGS;
        if (size < CHUNK_BYTES_MIN || size > last - chunk)
            return;
        if ((head & CHUNK_IN_USE) != 0)
            continue;
        /* A free chunk's size is repeated behind it; the last one's is not. */
        if (chunk + size != last && word_at(s, chunk + size) != size)
            return;
        kill_range(s, chunk + CHUNK_FREE_BYTES, chunk + size);
    }
}

static bool
is_wanted(const struct scrub *s, uint64_t from, uint64_t to)
{
    for (uint32_t page = (uint32_t)(from / KERNEL_PAGE); page <= (to - 1) / KERNEL_PAGE; page++)
        if (s->only == NULL || page_set_has(s->only, page))
            return true;
    return false;
}

static void
scrub_slab(struct scrub *s, uint64_t slab, uint32_t block_bytes)
{
    uint32_t blocks = half_at(s, slab + ENGINE_SLAB_BLOCKS), block = half_at(s, slab + SLAB_FIRST_FREE);

    if (ENGINE_SLAB_FIRST + (uint64_t)blocks * block_bytes > s->end - slab || !is_wanted(s, slab, slab + ENGINE_SLAB_FIRST + (uint64_t)blocks * block_bytes))
        return;
    for (uint32_t seen = 0; block < blocks && seen < blocks; seen++) {
        uint64_t at = slab + ENGINE_SLAB_FIRST + (uint64_t)block * block_bytes;

        fill_part(s, at + ENGINE_BLOCK_HEADER, at + block_bytes);
        block = half_at(s, at);
    }
}

static void
scrub_slabs(struct scrub *s)
{
    uint32_t slabs_max = (uint32_t)((s->end - s->from) / ENGINE_SLAB_BYTES_MAX), slabs = 0;

    for (uint32_t class = 0; class < ENGINE_SLAB_CLASSES; class++) {
        uint64_t head = s->heap->template->rt + SLAB_OFF_FREE_LISTS + 8 * class;
        uint32_t block_bytes = half_at(s, ENGINE_SLAB_SIZES + 2 * class);

        if (block_bytes <= ENGINE_BLOCK_HEADER || block_bytes > ENGINE_SLAB_BYTES_MAX)
            return;
        for (uint64_t slab = word_at(s, head); slab != head && slabs < slabs_max; slab = word_at(s, slab), slabs++) {
            if (slab > s->end - ENGINE_SLAB_FIRST)
                return;
            /* A template's slab is in the list when the heap freed a block of it: its pages are better left alone. */
            if (slab >= s->from)
                scrub_slab(s, slab, block_bytes);
        }
    }
}

void
heap_scrub(struct heap *heap, uint8_t fill, const struct page_set *only, struct buf *out_dead)
{
    const struct template *t = heap->template;
    struct page_range stack = { 0, t->stack_pointer / KERNEL_PAGE };
    struct scrub s = { .heap = heap, .end = heap->pages * HEAP_PAGE, .fill = fill, .only = only, .dead = out_dead };

    assert(heap != heap_current());
    /* The guest's stack grows down from its pointer, which stands where it stood when the template was made. */
    if (stack.end <= ENGINE_DATA_END / KERNEL_PAGE)
        buf_append(out_dead, &stack, sizeof stack);
    if (t->wall < ENGINE_DATA_END || t->wall >= s.end - CHUNK_FOOT || t->rt > s.end - 2 * (SLAB_OFF_FREE_LISTS))
        return;
    s.from = t->wall - CHUNK_HEADER;
    scrub_slabs(&s);
    scrub_chunks(&s);
}
