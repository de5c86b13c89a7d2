/*
 * heap_pages — which pages of a heap are its own, as the kernel's page map says, and giving them back (heap.h).
 *
 * The page map is a descriptor from the supervisor: the jail has no /proc. Without it every page counts as the heap's own.
 *
 * Heaps of one template run the same code at their start, so they come to own the same pages: those are its usual ones. A new heap gets
 * copies of them in a few calls, before it would fault for each (2 us in a virtual machine, of which the copy is a tenth).
 */
#include <assert.h>
#include <string.h>
#include <sys/mman.h>

#include "lib/sys/sys.h"
#include "src/worker/heap_internal.h"

#define PAGE HEAP_PAGE
#define PAGEMAP_PRESENT (1ull << 63)   /* Documentation/admin-guide/mm/pagemap.rst */
#define PAGEMAP_SWAPPED (1ull << 62)
#define PAGEMAP_FILE (1ull << 61)      /* a page of the file, not a private copy */
#define PAGEMAP_CHUNK 1024             /* entries read at once */

static int pagemap_fd = -1;

void
heap_use_pagemap(int fd)
{
    (void)sys_close(pagemap_fd);
    pagemap_fd = fd;
}

const uint8_t *
template_view(struct template *t)
{
    void *view;

    if (t->view != NULL)
        return t->view;
    view = sys_mmap(NULL, t->pages * PAGE, PROT_READ, MAP_SHARED | MAP_NORESERVE, t->fd, TEMPLATE_HEADER_BYTES);
    if (view != MAP_FAILED)
        t->view = view;
    return t->view;
}

/* A copy that went to swap is as private as one in memory. */
static bool
is_own(uint64_t entry)
{
    return (entry & PAGEMAP_FILE) == 0 && (entry & (PAGEMAP_PRESENT | PAGEMAP_SWAPPED)) != 0;
}

static bool
read_pagemap(const struct heap *heap, size_t first, size_t count, uint64_t entries[PAGEMAP_CHUNK])
{
    off_t at = (off_t)(((uintptr_t)heap->base / KERNEL_PAGE + first) * sizeof entries[0]);

    return pagemap_fd >= 0 && sys_pread(pagemap_fd, entries, count * sizeof entries[0], at) == (ssize_t)(count * sizeof entries[0]);
}

/* What the kernel said last: one heap is looked at several times in a row (its image, its range for the pool). */
static struct {
    const struct heap *heap;           /* NULL: of none */
    struct buf bits;
    size_t     count;
} scan;

#define WORD_BITS 64u

static uint64_t *
words_of(const struct buf *bits)
{
    return (uint64_t *)(void *)bits->data;
}

void
heap_pages_forget(const struct heap *heap)
{
    if (scan.heap == heap)
        scan.heap = NULL;
}

static void
look(const struct heap *heap)
{
    size_t total = heap->pages * (PAGE / KERNEL_PAGE), bytes = total / WORD_BITS * sizeof(uint64_t) + sizeof(uint64_t);
    uint64_t entries[PAGEMAP_CHUNK], *words;

    if (scan.heap == heap)
        return;
    buf_clear(&scan.bits);
    buf_reserve(&scan.bits, bytes);
    memset(scan.bits.data, 0, bytes);
    scan.bits.len = bytes;
    words = words_of(&scan.bits);
    scan.count = 0;
    for (size_t first = 0; first < total; first += PAGEMAP_CHUNK) {
        size_t count = total - first < PAGEMAP_CHUNK ? total - first : PAGEMAP_CHUNK;
        bool is_known = read_pagemap(heap, first, count, entries);

        for (size_t i = 0; i < count; i++) {
            uint64_t is_ours = !is_known || is_own(entries[i]);

            words[(first + i) / WORD_BITS] |= is_ours << (first + i) % WORD_BITS;
            scan.count += is_ours;
        }
    }
    scan.heap = heap;
}

static void
each_bit(const struct buf *bits, void (*fn)(void *ctx, uint32_t page), void *ctx)
{
    const uint64_t *words = words_of(bits);

    for (size_t i = 0; i < bits->len / sizeof *words; i++)
        for (uint64_t word = words[i]; word != 0; word &= word - 1)
            fn(ctx, (uint32_t)(i * WORD_BITS) + (uint32_t)__builtin_ctzll(word));
}

void
heap_own_pages(const struct heap *heap, void (*fn)(void *ctx, uint32_t page), void *ctx)
{
    look(heap);
    each_bit(&scan.bits, fn, ctx);
}

size_t
heap_own_count(const struct heap *heap)
{
    look(heap);
    return scan.count;
}

bool
heap_pages_are_known(void)
{
    return pagemap_fd >= 0;
}

/* ---- usual pages ---- */

void
heap_usual_learn(const struct heap *heap)
{
    struct template *t = heap->template;
    size_t bytes = t->pages * (PAGE / KERNEL_PAGE) / WORD_BITS * sizeof(uint64_t);

    if (pagemap_fd < 0 || t->usual_scans >= HEAP_USUAL_SCANS)
        return;
    look(heap);
    if (t->usual_scans++ == 0) {
        buf_reserve(&t->usual, bytes);
        memset(t->usual.data, 0xff, bytes);
        t->usual.len = bytes;
    }
    assert(t->usual.len <= scan.bits.len);
    for (size_t i = 0; i < t->usual.len / sizeof(uint64_t); i++)
        words_of(&t->usual)[i] &= words_of(&scan.bits)[i];
}

bool
heap_owns_usual(const struct heap *heap)
{
    const struct buf *usual = &heap->template->usual;

    look(heap);
    for (size_t i = 0; i < usual->len / sizeof(uint64_t); i++)
        if ((words_of(usual)[i] & ~words_of(&scan.bits)[i]) != 0)
            return false;
    return true;
}

bool
heap_page_is_usual(const struct template *t, uint32_t page)
{
    return page / WORD_BITS < t->usual.len / sizeof(uint64_t) && (words_of(&t->usual)[page / WORD_BITS] >> page % WORD_BITS & 1) != 0;
}

void
heap_pages_populate(uint8_t *base, uint32_t first, uint32_t end)
{
    if (first < end)
        (void)sys_madvise(base + (uint64_t)first * KERNEL_PAGE, (uint64_t)(end - first) * KERNEL_PAGE, MADV_POPULATE_WRITE);
}

struct populating {
    uint8_t          *base;
    struct page_range run;
};

static void
populate_page(void *ctx, uint32_t page)
{
    struct populating *p = ctx;

    if (page != p->run.end) {
        heap_pages_populate(p->base, p->run.first, p->run.end);
        p->run.first = page;
    }
    p->run.end = page + 1;
}

void
heap_usual_populate(const struct template *t, uint8_t *base)
{
    struct populating p = { .base = base };

    each_bit(&t->usual, populate_page, &p);
    heap_pages_populate(p.base, p.run.first, p.run.end);
}

/* ---- giving back ---- */

struct sharing {
    struct heap *heap;
    const struct page_range *dead, *dead_end;
    struct page_range run;             /* to be given back by one call */
    size_t       given;
};

static void
share_run(struct sharing *s)
{
    size_t pages = s->run.end - s->run.first;

    if (pages > 0 && sys_madvise(s->heap->base + (size_t)s->run.first * KERNEL_PAGE, pages * KERNEL_PAGE, MADV_DONTNEED) == 0)
        s->given += pages;
}

static bool
is_worthless(struct sharing *s, uint32_t page)
{
    size_t offset = (size_t)page * KERNEL_PAGE;

    while (s->dead != s->dead_end && page >= s->dead->end)
        s->dead++;
    if (s->dead != s->dead_end && page >= s->dead->first)
        return true;
    return offset < s->heap->template->pages * PAGE && memcmp(s->heap->base + offset, s->heap->template->view + offset, KERNEL_PAGE) == 0;
}

static void
share_page(void *ctx, uint32_t page)
{
    struct sharing *s = ctx;

    if (!is_worthless(s, page))
        return;
    if (page != s->run.end) {
        share_run(s);
        s->run.first = page;
    }
    s->run.end = page + 1;
}

size_t
heap_share_again(struct heap *heap)
{
    static struct buf dead;                /* kept: the next heap needs it too */
    struct sharing s = { .heap = heap };

    assert(heap != heap_current());
    if (pagemap_fd < 0 || template_view(heap->template) == NULL)
        return 0;
    buf_clear(&dead);
    heap_scrub(heap, 0, &dead);
    s.dead = (const struct page_range *)(const void *)dead.data;
    s.dead_end = s.dead + dead.len / sizeof *s.dead;
    heap_own_pages(heap, share_page, &s);
    share_run(&s);
    heap_pages_forget(heap);
    return s.given;
}
