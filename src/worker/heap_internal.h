/* heap_internal — what heap.c and template.c share. */
#ifndef DORMOUSE_WORKER_HEAP_INTERNAL_H
#define DORMOUSE_WORKER_HEAP_INTERNAL_H

#include "src/worker/heap.h"
#include "src/worker/worker_limits.h"

#define TEMPLATE_HEADER_BYTES 4096
#define HEAP_PAGE 65536ull          /* WebAssembly's page */
#define KERNEL_PAGE 4096u

struct template {
    int      fd;
    unsigned refs;
    const uint8_t *view;           /* template_view() */
    uint64_t pages;                /* of 64 KiB */
    uint32_t stack_pointer, ctx, rt;
    uint32_t wall;                 /* the allocator's last block of the template: never freed, a heap's own blocks lie behind it; 0: none */
    uint8_t  engine_hash[32];      /* of the engine, the natives and the runtime library */
    uint8_t  identity[32];         /* of everything: heaps of one template have the same */
    uint32_t atoms[ATOMS];
    jsval    dispatch, modules, exports;
    struct image_kin *kin[IMAGE_KIN_MAX];  /* owned: the first images of its classes */
};

struct heap {
    uint8_t         *base;         /* reservation of 4 GiB and a little */
    struct template *template;     /* a reference; NULL while a template is being made */
    uint64_t         pages, pages_max;
    uint32_t         stack_pointer;
    uint32_t         wall;         /* while a template is being made: see there */
    jsval            dispatch, modules, exports;
    void            *user;         /* the agent or entry that lives in it */
};

struct heap *heap_create_blank(uint32_t bytes_max);
bool heap_grow_blank(struct heap *heap, uint32_t pages);
void heap_forbid_growth(bool forbidden);           /* the allocator gets NULL instead, while a template is sealed */
void heap_pool_forget(const struct template *t);
/* The image's pages, read-only, for comparing; NULL when they cannot be mapped. */
const uint8_t *template_view(struct template *t);
struct page_range {
    uint32_t first, end;
};
/* Fills freed memory of HEAP with FILL where the page is the heap's own anyway, and appends struct page_range of pages with nothing but
 * freed memory to OUT_DEAD, in order; must not be entered. What the program sees does not change. */
void heap_scrub(struct heap *heap, uint8_t fill, struct buf *out_dead);
/* Calls FN for the number (in pages of 4 KiB) of every page that may differ from the template's, in order; must not be entered. */
void heap_own_pages(const struct heap *heap, void (*fn)(void *ctx, uint32_t page), void *ctx);

#endif
