/*
 * heap_pool — address ranges of destroyed heaps, for the next ones: still reserved and mapped.
 *
 * A range is clean (its private pages went back to the kernel: it says what its template says) or warm (they stay, and say what a kin of the
 * template's says, or the template): to overwrite a page costs a tenth of giving it back and faulting it in again. Warm ones are few, and become
 * clean when nobody takes them (heap_pool_rest).
 */
#include <string.h>
#include <sys/mman.h>

#include "lib/sys/sys.h"
#include "src/worker/heap_internal.h"

#define PAGE HEAP_PAGE

struct range {
    uint8_t                *base;
    struct template        *template;  /* a reference */
    const struct image_kin *kin;       /* the template's: what the range says, or NULL */
    struct page_set         own;       /* its private pages; empty in a clean one */
    size_t                  own_count;
};

struct stack {
    struct range ranges[HEAP_POOL_MAX];
    size_t       count;
};

static struct stack clean, warm;
static size_t warm_pages;
static size_t warm_unused;             /* warm ones that nobody needed since the last heap_pool_rest(), whatever came and went */

/* The range that was given last, of those that are as KIN says if there is one. NULL: none of T. */
static struct range *
find(struct stack *s, const struct template *t, const struct image_kin *kin)
{
    struct range *found = NULL;

    for (size_t i = s->count; i-- > 0;) {
        struct range *r = &s->ranges[i];

        if (r->template == t && r->kin == kin)
            return r;
        if (r->template == t && found == NULL)
            found = r;
    }
    return found;
}

static struct range
take(struct stack *s, struct range *r)
{
    struct range taken = *r;

    *r = s->ranges[--s->count];
    return taken;
}

bool
heap_pool_take(struct heap *heap, const struct image_kin *kin)
{
    struct template *t = heap->template;
    struct range *found = find(&warm, t, kin), r;
    const bool is_warm = found != NULL;

    if (!is_warm)
        found = find(&clean, t, NULL);
    if (found == NULL)
        return false;
    r = take(is_warm ? &warm : &clean, found);
    template_unref(&r.template);       /* not the last: the caller has one */
    heap->base = r.base;
    heap->mapped = t->pages + HEAP_SPARE_PAGES;
    heap->own = r.own;
    heap->is_own_known = heap_pages_are_known();
    if (warm.count < warm_unused)
        warm_unused = warm.count;
    warm_pages -= r.own_count;
    if (!is_warm)
        heap_usual_own(heap);
    heap_make_kin(heap, r.kin, kin);
    return true;
}

static void
unmap(struct range *r)
{
    (void)sys_munmap(r->base, HEAP_RESERVE_BYTES);
    buf_fini(&r->own.words);
    template_unref(&r->template);
}

bool
heap_pool_unmap_one(void)
{
    struct stack *s = clean.count > 0 ? &clean : &warm;

    if (s->count == 0)
        return false;
    s->count--;
    warm_pages -= s->ranges[s->count].own_count;
    unmap(&s->ranges[s->count]);
    return true;
}

/* Makes every page of HEAP say what R's kin says, in place. False: it is not worth it, or nobody knows which pages are its own. */
static bool
make_new(struct heap *heap, struct range *r)
{
    size_t count = heap_own_count(heap);

    if (!heap->is_own_known || count > HEAP_POOL_PAGES_MAX || warm_pages + count > HEAP_POOL_WARM_PAGES_MAX || template_view(heap->template) == NULL)
        return false;
    heap_make_new(heap, &r->kin);
    heap_usual_own(heap);
    r->own = heap->own;
    heap->own = (struct page_set){ 0 };
    r->own_count = page_set_count(&r->own);
    warm_pages += r->own_count;
    return true;
}

struct cleaning {
    uint8_t          *base;
    struct page_range run;
};

static void
clean_run(const struct cleaning *c)
{
    if (c->run.first < c->run.end)
        (void)sys_madvise(c->base + (size_t)c->run.first * KERNEL_PAGE, (size_t)(c->run.end - c->run.first) * KERNEL_PAGE, MADV_DONTNEED);
}

static void
clean_page(void *ctx, uint32_t page)
{
    struct cleaning *c = ctx;

    if (page != c->run.end) {
        clean_run(c);
        c->run.first = page;
    }
    c->run.end = page + 1;
}

/* Gives the pages OWN back to the kernel. The template's that the range has mapped stay: the next heap reads the same ones. */
static void
make_clean(uint8_t *base, struct page_set *own)
{
    struct cleaning c = { .base = base };

    page_set_each(own, clean_page, &c);
    clean_run(&c);
    buf_fini(&own->words);
}

static void
put_clean(struct range *r)
{
    make_clean(r->base, &r->own);
    r->kin = NULL;
    warm_pages -= r->own_count;
    r->own_count = 0;
    clean.ranges[clean.count++] = *r;
}

/* What HEAP has grown beyond the spare memory of every heap. */
static void
cut(struct heap *heap)
{
    const uint64_t end = heap->template->pages + HEAP_SPARE_PAGES;

    if (heap->mapped <= end)
        return;
    (void)sys_mmap(heap->base + end * PAGE, (heap->mapped - end) * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0);
    heap->mapped = end;
    page_set_cut(&heap->own, heap_spare_end(heap->template));
}

void
heap_pool_give(struct heap *heap)
{
    struct range r = { .base = heap->base, .template = heap->template };

    if (r.template == NULL || clean.count + warm.count >= HEAP_POOL_MAX) {
        unmap(&r);
    } else {
        cut(heap);
        if (make_new(heap, &r)) {
            warm.ranges[warm.count++] = r;
        } else {
            r.own = heap->own;
            heap->own = (struct page_set){ 0 };
            put_clean(&r);
        }
    }
    heap_forget_compared(heap);
    buf_fini(&heap->own.words);
}

void
heap_pool_rest(enum heap_pool_rest which)
{
    const size_t spare = which == HEAP_POOL_ALL || warm_unused > warm.count ? warm.count : warm_unused;

    for (size_t i = 0; i < spare; i++)
        put_clean(&warm.ranges[i]);
    warm.count -= spare;
    memmove(warm.ranges, warm.ranges + spare, warm.count * sizeof warm.ranges[0]);
    warm_unused = warm.count;
}

static void
forget(struct stack *s, const struct template *t)
{
    for (size_t i = s->count; i-- > 0;) {
        if (s->ranges[i].template == t) {
            warm_pages -= s->ranges[i].own_count;
            unmap(&s->ranges[i]);
            s->ranges[i] = s->ranges[--s->count];
        }
    }
}

void
heap_pool_forget(const struct template *t)
{
    forget(&clean, t);
    forget(&warm, t);
}
