/*
 * heap_pages — which pages of a heap are its own, as the kernel's page map says, and giving them back (heap.h).
 *
 * The page map is a descriptor from the supervisor: the jail has no /proc. Without it every page counts as the heap's own. What it said
 * stays true until this thread faults in a turn of the heap: a heap of the pool, whose pages are there, mostly sleeps again without a look.
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
static bool are_faults_counted;

/* Whether this kernel counts the fault of a page that is touched for the first time. */
static bool
counts_faults(void)
{
    int64_t before = sys_thread_faults();
    volatile uint8_t *page = sys_mmap(NULL, KERNEL_PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    bool does;

    if (before < 0 || page == MAP_FAILED)
        return false;
    *page = 1;
    does = sys_thread_faults() > before;
    (void)sys_munmap((void *)(uintptr_t)page, KERNEL_PAGE);
    return does;
}

void
heap_use_pagemap(int fd)
{
    (void)sys_close(pagemap_fd);
    pagemap_fd = fd;
    are_faults_counted = fd >= 0 && counts_faults();
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

/* ---- sets ---- */

#define WORD_BITS 64u

static uint64_t *
words_of(const struct page_set *set)
{
    return (uint64_t *)(void *)set->words.data;
}

static size_t
word_count(const struct page_set *set)
{
    return set->words.len / sizeof(uint64_t);
}

bool
page_set_has(const struct page_set *set, uint32_t page)
{
    return page / WORD_BITS < word_count(set) && (words_of(set)[page / WORD_BITS] >> page % WORD_BITS & 1) != 0;
}

static void
reach(struct page_set *set, uint32_t end)
{
    size_t bytes = ((size_t)end + WORD_BITS - 1) / WORD_BITS * sizeof(uint64_t), more;

    if (bytes <= set->words.len)
        return;
    more = bytes - set->words.len;
    buf_reserve(&set->words, more);
    memset(set->words.data + set->words.len, 0, more);
    set->words.len = bytes;
}

void
page_set_add(struct page_set *set, uint32_t first, uint32_t end)
{
    reach(set, end);
    for (; first < end; first++)
        words_of(set)[first / WORD_BITS] |= 1ull << first % WORD_BITS;
}

void
page_set_cut(struct page_set *set, uint32_t end)
{
    if (word_count(set) <= end / WORD_BITS)
        return;
    words_of(set)[end / WORD_BITS] &= (1ull << end % WORD_BITS) - 1;
    set->words.len = (end / WORD_BITS + 1) * sizeof(uint64_t);
}

void
page_set_each(const struct page_set *set, void (*fn)(void *ctx, uint32_t page), void *ctx)
{
    for (size_t i = 0; i < word_count(set); i++)
        for (uint64_t word = words_of(set)[i]; word != 0; word &= word - 1)
            fn(ctx, (uint32_t)(i * WORD_BITS) + (uint32_t)__builtin_ctzll(word));
}

size_t
page_set_count(const struct page_set *set)
{
    size_t count = 0;

    for (size_t i = 0; i < word_count(set); i++)
        count += (size_t)__builtin_popcountll(words_of(set)[i]);
    return count;
}

/* ---- whose pages ---- */

static void
look(struct heap *heap)
{
    const uint32_t total = (uint32_t)(heap->mapped * (PAGE / KERNEL_PAGE));
    uint64_t entries[PAGEMAP_CHUNK], *words;
    bool is_known = true;

    if (heap->is_own_known)
        return;
    buf_clear(&heap->own.words);
    reach(&heap->own, total);
    words = words_of(&heap->own);
    for (uint32_t first = 0; first < total; first += PAGEMAP_CHUNK) {
        size_t count = total - first < PAGEMAP_CHUNK ? total - first : PAGEMAP_CHUNK;
        bool is_read = read_pagemap(heap, first, count, entries);

        is_known = is_known && is_read;
        for (size_t i = 0; i < count; i++)
            words[(first + i) / WORD_BITS] |= (uint64_t)(!is_read || is_own(entries[i])) << (first + i) % WORD_BITS;
    }
    heap->is_own_known = is_known;
    heap->watched = 0;
}

void
heap_own_pages(struct heap *heap, void (*fn)(void *ctx, uint32_t page), void *ctx)
{
    look(heap);
    page_set_each(&heap->own, fn, ctx);
}

size_t
heap_own_count(struct heap *heap)
{
    look(heap);
    return page_set_count(&heap->own);
}

bool
heap_pages_are_known(void)
{
    return pagemap_fd >= 0;
}

/* A page changes hands with a fault of this thread. Who is busy is asked for a few turns only. */
void
heap_pages_enter(struct heap *heap)
{
    heap_forget_compared(heap);
    if (heap->is_own_known && (!are_faults_counted || ++heap->watched > HEAP_WATCHED_TURNS))
        heap_pages_forget(heap);
    if (heap->is_own_known)
        heap->faults_at_enter = sys_thread_faults();
}

void
heap_pages_leave(struct heap *heap)
{
    if (heap->is_own_known && sys_thread_faults() != heap->faults_at_enter)
        heap_pages_forget(heap);
}

void
heap_pages_forget(struct heap *heap)
{
    heap->is_own_known = false;
}

/* ---- usual pages ---- */

void
heap_usual_learn(struct heap *heap)
{
    struct template *t = heap->template;

    if (pagemap_fd < 0 || t->usual_scans >= HEAP_USUAL_SCANS)
        return;
    look(heap);
    if (t->usual_scans++ == 0)
        page_set_add(&t->usual, 0, heap_spare_end(t));
    for (size_t i = 0; i < word_count(&t->usual); i++)
        words_of(&t->usual)[i] &= i < word_count(&heap->own) ? words_of(&heap->own)[i] : 0;
}

static void
populate(const struct heap *heap, uint32_t first, uint32_t end)
{
    if (first < end)
        (void)sys_madvise(heap->base + (uint64_t)first * KERNEL_PAGE, (uint64_t)(end - first) * KERNEL_PAGE, MADV_POPULATE_WRITE);
}

void
heap_pages_own(struct heap *heap, uint32_t first, uint32_t end)
{
    uint32_t run = first;

    if (!heap->is_own_known) {
        populate(heap, first, end);
        return;
    }
    for (uint32_t page = first; page < end; page++) {
        if (!page_set_has(&heap->own, page))
            continue;
        populate(heap, run, page);
        run = page + 1;
    }
    populate(heap, run, end);
    page_set_add(&heap->own, first, end);
}

struct owning {
    struct heap      *heap;
    struct page_range run;
};

static void
own_page(void *ctx, uint32_t page)
{
    struct owning *o = ctx;

    if (page != o->run.end) {
        heap_pages_own(o->heap, o->run.first, o->run.end);
        o->run.first = page;
    }
    o->run.end = page + 1;
}

void
heap_usual_own(struct heap *heap)
{
    struct owning o = { .heap = heap };

    page_set_each(&heap->template->usual, own_page, &o);
    heap_pages_own(heap, o.run.first, o.run.end);
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
    heap_scrub(heap, 0, NULL, &dead);
    s.dead = (const struct page_range *)(const void *)dead.data;
    s.dead_end = s.dead + dead.len / sizeof *s.dead;
    heap_own_pages(heap, share_page, &s);
    share_run(&s);
    heap_pages_forget(heap);
    return s.given;
}
