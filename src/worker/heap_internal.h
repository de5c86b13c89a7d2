/* heap_internal — what heap.c and template.c share. */
#ifndef DORMOUSE_WORKER_HEAP_INTERNAL_H
#define DORMOUSE_WORKER_HEAP_INTERNAL_H

#include "src/worker/heap.h"
#include "src/worker/worker_limits.h"

#define TEMPLATE_HEADER_BYTES 4096
#define HEAP_PAGE 65536ull          /* WebAssembly's page */
#define KERNEL_PAGE 4096u
#define HEAP_RESERVE_BYTES ((4ull << 30) + ENGINE_RESERVE_EXTRA)

struct template {
    int      fd;
    unsigned refs;
    const uint8_t *view;           /* template_view() */
    uint64_t pages;                /* of 64 KiB */
    uint32_t stack_pointer, ctx, rt;
    uint32_t malloc_size;          /* as RUNTIME_OFF_MALLOC_SIZE says */
    uint32_t wall;                 /* the allocator's last block of the template: never freed, a heap's own blocks lie behind it; 0: none */
    uint8_t  engine_hash[32];      /* of the engine, the natives and the runtime library */
    uint8_t  identity[32];         /* of everything: heaps of one template have the same */
    uint32_t atoms[ATOMS];
    jsval    dispatch, modules, exports;
    struct image_kin *kin[IMAGE_KIN_MAX];  /* owned: the first images of its classes */
    struct buf usual;              /* bitmap of the pages that every heap scanned so far owned, uint64_t words; see heap_pages.c */
    unsigned   usual_scans;
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

/* ---- heap_pool.c ---- */
/* A range of the pool for a heap of T, as the template says and with its usual pages; NULL: none. */
uint8_t *heap_pool_take(const struct template *t);
/* Takes HEAP's range and its reference to the template: both are the pool's, or gone. */
void heap_pool_give(struct heap *heap);
void heap_pool_forget(const struct template *t);

/* ---- heap_pages.c ---- */
/* The image's pages, read-only, for comparing; NULL when they cannot be mapped. */
const uint8_t *template_view(struct template *t);
struct page_range {
    uint32_t first, end;
};
/* Fills freed memory of HEAP with FILL where the page is the heap's own anyway, and appends struct page_range of pages with nothing but
 * freed memory to OUT_DEAD, in order; must not be entered. What the program sees does not change. */
void heap_scrub(struct heap *heap, uint8_t fill, struct buf *out_dead);
/* Calls FN for the number (in pages of 4 KiB) of every page that may differ from the template's, in order; must not be entered. What the
 * kernel said is remembered until the heap is entered or its pages are given back: nobody else may write to it meanwhile. */
void heap_own_pages(const struct heap *heap, void (*fn)(void *ctx, uint32_t page), void *ctx);
size_t heap_own_count(const struct heap *heap);
bool heap_pages_are_known(void);                   /* else every page counts as the heap's own */
void heap_pages_forget(const struct heap *heap);   /* what the kernel said of it is true no longer */
/* The pages of HEAP, whose constructor ran, count towards what heaps of its template usually own. */
void heap_usual_learn(const struct heap *heap);
bool heap_owns_usual(const struct heap *heap);
bool heap_page_is_usual(const struct template *t, uint32_t page);
/* Makes the usual pages of a range private copies, few calls instead of a fault for each. */
void heap_usual_populate(const struct template *t, uint8_t *base);
/* Private copies of the pages FIRST to END of a range. Kernels before 5.14 do not know how: there each page faults. */
void heap_pages_populate(uint8_t *base, uint32_t first, uint32_t end);

#endif
