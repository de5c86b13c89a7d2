/* heap_internal — what heap.c and template.c share. */
#ifndef DORMOUSE_WORKER_HEAP_INTERNAL_H
#define DORMOUSE_WORKER_HEAP_INTERNAL_H

#include "src/worker/heap.h"

#define TEMPLATE_HEADER_BYTES 4096

struct template {
    int      fd;
    unsigned refs;
    const uint8_t *view;           /* the image, read-only, for comparing; NULL until it is wanted */
    uint64_t pages;                /* of 64 KiB */
    uint32_t stack_pointer, ctx, rt;
    uint32_t atoms[ATOMS];
    jsval    dispatch, modules, exports;
};

struct heap {
    uint8_t         *base;         /* reservation of 4 GiB and a little */
    struct template *template;     /* a reference; NULL while a template is being made */
    uint64_t         pages, pages_max;
    uint32_t         stack_pointer;
    jsval            dispatch, modules, exports;
    void            *user;         /* the agent or entry that lives in it */
};

struct heap *heap_create_blank(uint32_t bytes_max);
bool heap_grow_blank(struct heap *heap, uint32_t pages);
void heap_forbid_growth(bool forbidden);           /* the allocator gets NULL instead, while a template is sealed */
void heap_pool_forget(const struct template *t);

#endif
