/* heap_internal — what heap.c and template.c share. */
#ifndef DORMOUSE_WORKER_HEAP_INTERNAL_H
#define DORMOUSE_WORKER_HEAP_INTERNAL_H

#include "src/worker/heap.h"
#include "src/worker/worker_limits.h"

#define TEMPLATE_HEADER_BYTES 4096
#define HEAP_PAGE 65536ull          /* WebAssembly's page */
#define KERNEL_PAGE 4096u
#define HEAP_RESERVE_BYTES ((4ull << 30) + ENGINE_RESERVE_EXTRA)

/* Numbers of pages of 4 KiB, a bit each; the bits behind the last word are 0. */
struct page_set {
    struct buf words;              /* uint64_t */
};

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
    struct image_kin *kin[IMAGE_KIN_MAX * IMAGE_KIN_VARIANTS];   /* owned; of class C from 1 on, variant V: [V * IMAGE_KIN_MAX + C - 1] */
    unsigned kin_strangers[IMAGE_KIN_MAX];  /* heaps of a class that were like none of its kin */
    struct page_set usual;         /* the pages that every heap scanned so far owned; see heap_pages.c */
    unsigned   usual_scans;
};

struct heap {
    uint8_t         *base;         /* reservation of 4 GiB and a little */
    struct template *template;     /* a reference; NULL while a template is being made */
    uint64_t         pages, pages_max;
    const struct image_kin *kin;   /* what it was made as; NULL: the template */
    uint64_t         mapped;       /* pages of the range that are memory, from `pages` on zeros: to grow into */
    struct page_set  own;          /* holds every page that may differ from the template's, while is_own_known */
    bool             is_own_known;
    unsigned         watched;      /* turns since it became known */
    int64_t          faults_at_enter;      /* of this thread; -1: nobody counts */
    uint32_t         stack_pointer;
    uint32_t         wall;         /* while a template is being made: see there */
    jsval            dispatch, modules, exports;
    void            *user;         /* the agent or entry that lives in it */
};

struct image_kin;

struct heap *heap_create_blank(uint32_t bytes_max);
bool heap_grow_blank(struct heap *heap, uint32_t pages);
void heap_forbid_growth(bool forbidden);           /* the allocator gets NULL instead, while a template is sealed */

/* A heap whose memory is as KIN says, which may be NULL: as the template. NULL: no address space. */
struct heap *heap_create_as(struct template *t, const struct image_kin *kin, uint32_t bytes_max);
static inline uint32_t heap_spare_end(const struct template *t)    /* the pages, of 4 KiB, that every heap of T has mapped */
{
    return (uint32_t)((t->pages + HEAP_SPARE_PAGES) * (HEAP_PAGE / KERNEL_PAGE));
}

/* ---- heap_pool.c ---- */
/* Gives HEAP, which has its template, a range of the pool: memory that is as KIN (may be NULL) says, with its usual pages. False: none. */
MUST_USE bool heap_pool_take(struct heap *heap, const struct image_kin *kin);
/* Takes HEAP's range and its reference to the template: both are the pool's, or gone. */
void heap_pool_give(struct heap *heap);
void heap_pool_forget(const struct template *t);
/* Gives the addresses of one range back. False: there is none. */
bool heap_pool_unmap_one(void);

/* ---- heap_pages.c ---- */
bool page_set_has(const struct page_set *set, uint32_t page);
void page_set_add(struct page_set *set, uint32_t first, uint32_t end);
void page_set_cut(struct page_set *set, uint32_t end);     /* nothing from END on */
void page_set_each(const struct page_set *set, void (*fn)(void *ctx, uint32_t page), void *ctx);
size_t page_set_count(const struct page_set *set);

/* The image's pages, read-only, for comparing; NULL when they cannot be mapped. */
const uint8_t *template_view(struct template *t);
struct page_range {
    uint32_t first, end;
};
/* Fills freed memory of HEAP with FILL where the page is the heap's own anyway and, unless ONLY is NULL, in ONLY, and appends struct page_range
 * of pages with nothing but freed memory to OUT_DEAD, in order; must not be entered. What the program sees does not change. */
void heap_scrub(struct heap *heap, uint8_t fill, const struct page_set *only, struct buf *out_dead);
/* Calls FN for the number (in pages of 4 KiB) of every page that may differ from the template's, in order; must not be entered. What the
 * kernel said is remembered while no page can have changed hands: nobody else may write to the heap meanwhile. */
void heap_own_pages(struct heap *heap, void (*fn)(void *ctx, uint32_t page), void *ctx);
size_t heap_own_count(struct heap *heap);
bool heap_pages_are_known(void);                   /* else every page counts as the heap's own */
void heap_pages_forget(struct heap *heap);         /* what the kernel said of it is true no longer */
void heap_pages_enter(struct heap *heap);
void heap_pages_leave(struct heap *heap);          /* forgets it when pages may have changed hands since heap_pages_enter() */
/* The pages of HEAP, whose constructor ran, count towards what heaps of its template usually own. */
void heap_usual_learn(struct heap *heap);
/* Makes those of the usual pages that HEAP, whose own pages are known, does not have its own: few calls instead of a fault for each. */
void heap_usual_own(struct heap *heap);
/* The same for the pages FIRST to END; for an unknown heap, too. Kernels before 5.14 do not know how: there each page faults. */
void heap_pages_own(struct heap *heap, uint32_t first, uint32_t end);

/* ---- heap_kin.c: all of it needs the template's view ---- */
/* What KIN (may be NULL) and the template say of PAGE. */
const uint8_t *heap_page_as(const struct template *t, const struct image_kin *kin, uint32_t page);
/* All pages of HEAP are as KIN says but those of heap_note_changed(): said by who has just compared them, true until HEAP is entered. */
void heap_note_compared(struct heap *heap, const struct image_kin *kin);
void heap_note_changed(uint32_t page);
const struct page_set *heap_changed_pages(void);   /* those that were noted */
void heap_forget_compared(const struct heap *heap);
/* Makes HEAP's memory, of known pages, as *out_kin says: what it was compared with last, or NULL, the template. */
void heap_make_new(struct heap *heap, const struct image_kin **out_kin);
/* Makes HEAP's memory, which is as FROM says, as TO says. */
void heap_make_kin(struct heap *heap, const struct image_kin *from, const struct image_kin *to);

#endif
