/*
 * heap_pool — address ranges of destroyed heaps, for the next ones: still reserved, mapped to their template, and as it says.
 *
 * A range is clean (its private pages went back to the kernel) or warm (they stay, and say what the template says): to overwrite a page costs a
 * tenth of giving it back and faulting it in again. Warm ones are few, and become clean when nobody takes them (heap_pool_rest).
 */
#include <string.h>
#include <sys/mman.h>

#include "lib/sys/sys.h"
#include "src/worker/heap_internal.h"

#define PAGE HEAP_PAGE

struct range {
    uint8_t         *base;
    struct template *template;         /* a reference */
};

struct stack {
    struct range ranges[HEAP_POOL_MAX];
    size_t       count;
};

static struct stack clean, warm;
static bool was_warm_taken;            /* since the last heap_pool_rest() */

static uint8_t *
take(struct stack *s, const struct template *t)
{
    for (size_t i = s->count; i-- > 0;) {
        struct range r = s->ranges[i];

        if (r.template == t) {
            s->ranges[i] = s->ranges[--s->count];
            template_unref(&r.template);
            return r.base;
        }
    }
    return NULL;
}

uint8_t *
heap_pool_take(const struct template *t)
{
    uint8_t *base = take(&warm, t);

    if (base != NULL) {
        was_warm_taken = true;
        return base;
    }
    base = take(&clean, t);
    if (base != NULL)
        heap_usual_populate(t, base);
    return base;
}

struct restoring {
    uint8_t       *base;
    const uint8_t *view;
    uint32_t       pages;
};

static void
restore_page(void *ctx, uint32_t page)
{
    const struct restoring *r = ctx;
    size_t offset = (size_t)page * KERNEL_PAGE;

    if (page < r->pages)
        memcpy(r->base + offset, r->view + offset, KERNEL_PAGE);
}

/* Makes every page of HEAP say what the template says, in place. False: it is not worth it, or nobody knows which pages are its own. */
static bool
restore(const struct heap *heap)
{
    struct restoring r = { .base = heap->base, .pages = (uint32_t)(heap->template->pages * (PAGE / KERNEL_PAGE)) };

    if (warm.count >= HEAP_POOL_WARM_MAX || !heap_pages_are_known() || heap_own_count(heap) > HEAP_POOL_PAGES_MAX)
        return false;
    r.view = template_view(heap->template);
    if (r.view == NULL)
        return false;
    heap_own_pages(heap, restore_page, &r);
    if (!heap_owns_usual(heap))
        heap_usual_populate(heap->template, heap->base);
    return true;
}

static void
make_clean(const struct range *r)
{
    (void)sys_madvise(r->base, r->template->pages * PAGE, MADV_DONTNEED);
}

static void
unmap(struct range *r)
{
    (void)sys_munmap(r->base, HEAP_RESERVE_BYTES);
    template_unref(&r->template);
}

void
heap_pool_give(struct heap *heap)
{
    struct range r = { heap->base, heap->template };
    const uint64_t growth = r.template == NULL ? 0 : heap->pages - r.template->pages;

    if (r.template == NULL || clean.count + warm.count >= HEAP_POOL_MAX) {
        unmap(&r);
        return;
    }
    if (restore(heap)) {
        warm.ranges[warm.count++] = r;
    } else {
        make_clean(&r);
        clean.ranges[clean.count++] = r;
    }
    if (growth > 0)
        (void)sys_mmap(r.base + r.template->pages * PAGE, growth * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0);
}

void
heap_pool_rest(void)
{
    for (; !was_warm_taken && warm.count > 0; warm.count--) {
        make_clean(&warm.ranges[warm.count - 1]);
        clean.ranges[clean.count++] = warm.ranges[warm.count - 1];
    }
    was_warm_taken = false;
}

static void
forget(struct stack *s, const struct template *t)
{
    for (size_t i = s->count; i-- > 0;) {
        if (s->ranges[i].template == t) {
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
