/*
 * heap_kin — a heap's memory made as its template or the kin of its class says, page by page, for the next heap in its range.
 *
 * Who made an image has compared every page of the heap with its kin's: most are equal. Then only the others are to be copied, and the next heap
 * of the class needs no more than its own image says.
 */
#include <string.h>

#include "src/worker/heap_internal.h"
#include "src/worker/image_kin.h"

/* The last comparison. */
static struct {
    const struct heap      *heap;      /* NULL: of none, or not true any more */
    const struct image_kin *kin;
    struct page_set         changed;
} compared;

void
heap_note_compared(struct heap *heap, const struct image_kin *kin)
{
    compared.heap = heap;
    compared.kin = kin;
    if (compared.changed.words.len > 0)
        memset(compared.changed.words.data, 0, compared.changed.words.len);
}

void
heap_note_changed(uint32_t page)
{
    page_set_add(&compared.changed, page, page + 1);
}

const struct page_set *
heap_changed_pages(void)
{
    return &compared.changed;
}

void
heap_forget_compared(const struct heap *heap)
{
    if (compared.heap == heap)
        compared.heap = NULL;
}

const uint8_t *
heap_page_as(const struct template *t, const struct image_kin *kin, uint32_t page)
{
    static const uint64_t zeros[KERNEL_PAGE / sizeof(uint64_t)];
    const uint8_t *of_kin = image_kin_page(kin, page);

    if (of_kin != NULL)
        return of_kin;
    return page < t->pages * (HEAP_PAGE / KERNEL_PAGE) ? t->view + (size_t)page * KERNEL_PAGE : (const uint8_t *)zeros;
}

struct making {
    struct heap            *heap;
    const struct image_kin *kin;
};

static void
make_page(void *ctx, uint32_t page)
{
    const struct making *m = ctx;

    if (page >= heap_spare_end(m->heap->template))
        return;
    if (!page_set_has(&m->heap->own, page))
        heap_pages_own(m->heap, page, page + 1);
    memcpy(m->heap->base + (size_t)page * KERNEL_PAGE, heap_page_as(m->heap->template, m->kin, page), KERNEL_PAGE);
}

void
heap_make_new(struct heap *heap, const struct image_kin **out_kin)
{
    const bool is_compared = compared.heap == heap;
    struct making m = { .heap = heap, .kin = is_compared ? compared.kin : NULL };

    page_set_each(is_compared ? &compared.changed : &heap->own, make_page, &m);
    *out_kin = m.kin;
}

void
heap_make_kin(struct heap *heap, const struct image_kin *from, const struct image_kin *to)
{
    const struct making as_template = { .heap = heap }, as_kin = { .heap = heap, .kin = to };
    uint32_t first = 0, end = 0;

    if (from == to)
        return;
    for (uint32_t i = 0; i < image_kin_count(from); i++)
        make_page((void *)(uintptr_t)&as_template, image_kin_number(from, i));
    for (uint32_t i = 0; i < image_kin_count(to); i++) {
        uint32_t page = image_kin_number(to, i);

        if (page != end) {
            heap_pages_own(heap, first, end);
            first = page;
        }
        end = page + 1;
    }
    heap_pages_own(heap, first, end);
    for (uint32_t i = 0; i < image_kin_count(to); i++)
        make_page((void *)(uintptr_t)&as_kin, image_kin_number(to, i));
}
