/*
 * heap_pages — which pages of a heap are its own, as the kernel's page map says, and giving them back (heap.h).
 *
 * The page map is a descriptor from the supervisor: the jail has no /proc. Without it every page counts as the heap's own.
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

void
heap_own_pages(const struct heap *heap, void (*fn)(void *ctx, uint32_t page), void *ctx)
{
    size_t total = heap->pages * (PAGE / KERNEL_PAGE);
    uint64_t entries[PAGEMAP_CHUNK];

    for (size_t first = 0; first < total; first += PAGEMAP_CHUNK) {
        size_t count = total - first < PAGEMAP_CHUNK ? total - first : PAGEMAP_CHUNK;
        bool is_known = read_pagemap(heap, first, count, entries);

        for (size_t i = 0; i < count; i++)
            if (!is_known || is_own(entries[i]))
                fn(ctx, (uint32_t)(first + i));
    }
}

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
    return s.given;
}
