/* heap — see heap.h. Templates are in template.c. */
#include "src/worker/heap.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "lib/sys/sys.h"
#include "src/worker/async_context.h"
#include "src/worker/engine_chunks.h"
#include "src/worker/heap_internal.h"
#include "src/worker/js_events.h"
#include "src/worker/rejections.h"
#include "src/worker/worker_limits.h"

#define PAGE HEAP_PAGE
#define POSSIBLE_PART 8                /* how exactly heaps_possible() looks */

static struct heap *current;

static void *
reserve_bytes(size_t bytes)
{
    return sys_mmap(NULL, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
}

/* NULL: this process has no addresses left, the pool's included. */
static uint8_t *
reserve(void)
{
    uint8_t *base = reserve_bytes(HEAP_RESERVE_BYTES);

    while (base == MAP_FAILED && heap_pool_unmap_one())
        base = reserve_bytes(HEAP_RESERVE_BYTES);
    return base == MAP_FAILED ? NULL : base;
}

size_t
heaps_possible(size_t wanted)
{
    size_t count = wanted;
    void *base;

    while ((base = reserve_bytes(count * HEAP_RESERVE_BYTES)) == MAP_FAILED && count > 1)
        count -= count / POSSIBLE_PART + 1;
    if (base != MAP_FAILED)
        (void)sys_munmap(base, count * HEAP_RESERVE_BYTES);
    return count;
}

static bool
map_zeros(struct heap *heap, uint64_t at, uint64_t pages)
{
    if (sys_mmap(heap->base + at * PAGE, pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED | MAP_NORESERVE, -1, 0) == MAP_FAILED)
        return false;
    /* The kernel must not make huge pages of it unasked: pages change hands by faults only (heap_pages.c). */
    (void)sys_madvise(heap->base + at * PAGE, pages * PAGE, MADV_NOHUGEPAGE);
    heap->mapped = at + pages;
    return true;
}

/* A new range: the template, zeros to grow into, and nothing behind. */
static bool
map_range(struct heap *heap)
{
    const struct template *t = heap->template;

    heap->base = reserve();
    if (heap->base == NULL)
        return false;
    if (sys_mmap(heap->base, t->pages * PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED | MAP_NORESERVE, t->fd, TEMPLATE_HEADER_BYTES) != heap->base ||
        !map_zeros(heap, t->pages, HEAP_SPARE_PAGES)) {
        (void)sys_munmap(heap->base, HEAP_RESERVE_BYTES);
        return false;
    }
    heap->is_own_known = heap_pages_are_known();
    return true;
}

struct heap *
heap_create_as(struct template *t, const struct image_kin *kin, uint32_t bytes_max)
{
    struct heap *heap = calloc(1, sizeof *heap);

    assert(heap != NULL);
    heap->template = t;
    if (!heap_pool_take(heap, kin)) {
        if ((kin != NULL && template_view(t) == NULL) || !map_range(heap)) {
            free(heap);
            return NULL;
        }
        heap_usual_own(heap);
        heap_make_kin(heap, NULL, kin);
    }
    template_ref(t);
    heap->kin = kin;
    heap->pages = t->pages;
    heap->pages_max = (uint32_t)(bytes_max / PAGE);
    heap->stack_pointer = t->stack_pointer;
    heap->dispatch = t->dispatch;
    heap->modules = t->modules;
    heap->exports = t->exports;
    return heap;
}

struct heap *
heap_create(struct template *t, uint32_t bytes_max)
{
    return heap_create_as(t, NULL, bytes_max);
}

/* A heap without a template: zeroed memory for making one. */
struct heap *
heap_create_blank(uint32_t bytes_max)
{
    struct heap *heap = calloc(1, sizeof *heap);

    assert(heap != NULL);
    heap->base = reserve();
    assert(heap->base != NULL);        /* the first of its process */
    heap->pages_max = (uint32_t)(bytes_max / PAGE);
    heap->dispatch = heap->modules = heap->exports = JSV_UNDEFINED;
    return heap;
}

static bool
grow(struct heap *heap, uint32_t delta)
{
    if (delta > heap->pages_max || heap->pages > heap->pages_max - delta)
        return false;
    if (heap->pages + delta > heap->mapped && !map_zeros(heap, heap->mapped, heap->pages + delta - heap->mapped))
        return false;
    heap->pages += delta;
    return true;
}

bool
heap_grow_blank(struct heap *heap, uint32_t pages)
{
    return grow(heap, pages);
}

static bool is_growth_forbidden;

void
heap_forbid_growth(bool forbidden)
{
    is_growth_forbidden = forbidden;
}

bool
heap_growth_is_forbidden(void)
{
    return is_growth_forbidden;
}

bool
heap_grow_current(uint32_t delta)
{
    if (current == NULL || !grow(current, delta))
        return false;
    engine_q.w2c_memory.pages = current->pages;
    engine_q.w2c_memory.size = (uint32_t)(current->pages * PAGE);
    return true;
}

bool
heap_owns_address(const void *addr)
{
    const uint8_t *a = addr;

    return current != NULL && a >= current->base && a < current->base + HEAP_RESERVE_BYTES;
}

void
heap_destroy(struct heap **heap_ptr)
{
    struct heap *heap = *heap_ptr;

    if (heap == NULL)
        return;
    assert(heap != current);
    heap_pool_give(heap);
    free(heap);
    *heap_ptr = NULL;
}

void
heap_enter(struct heap *heap)
{
    assert(current == NULL);
    heap_pages_enter(heap);
    current = heap;
    engine_q.w2c_memory.data = heap->base;
    engine_q.w2c_memory.pages = heap->pages;
    engine_q.w2c_memory.max_pages = heap->pages_max;
    engine_q.w2c_memory.size = (uint32_t)(heap->pages * PAGE);
    engine_q.w2c___stack_pointer = heap->stack_pointer;
    if (heap->template != NULL) {
        engine_ctx = heap->template->ctx;
        engine_rt = heap->template->rt;
        memcpy(engine_atoms, heap->template->atoms, sizeof engine_atoms);
    }
    async_context_reset();
    rejections_reset();
}

void
heap_leave(void)
{
    assert(current != NULL);
    current->pages = engine_q.w2c_memory.pages;
    /* The stack pointer is where the turn began: a trapped heap is never entered again. */
    async_context_reset();
    rejections_reset();
    guest_scratch_reset();
    engine_q.w2c_memory = (wasm_rt_memory_t){ 0 };
    heap_pages_leave(current);
    current = NULL;
}

struct heap *heap_current(void) { return current; }
void heap_set_user(struct heap *heap, void *user) { heap->user = user; }
void *heap_user(const struct heap *heap) { return heap->user; }
struct template *heap_template(struct heap *heap) { return heap->template; }
jsval heap_modules(void) { return current->modules; }
jsval heap_exports(void) { return current->exports; }
bool heap_is_global_scope(void) { return current->template == NULL; }

void
heap_install(jsval dispatch, jsval modules)
{
    assert(current->template == NULL);
    current->dispatch = dispatch;
    current->modules = modules;
}

#define DISPATCH_ARGS_MAX 12

static void
report_rejections(void)
{
    jsval promise, reason;

    while (rejections_take(&promise, &reason)) {
        jsval args[3] = { JSV(ENGINE_TAG_INT, JS_REJECTION), reason, promise };
        jsval result = js_call(current->dispatch, JSV_UNDEFINED, 3, args);

        if (js_is_exception(result))
            js_free(js_take_exception());
        js_free(result);
        js_free(reason);
        js_free(promise);
        engine_run_jobs();
    }
}

/* The engine collects when its memory has grown by half, the template's part included: for a heap that is a hundredth of it, never. */
static void
bound_garbage(void)
{
    const struct template *t = current->template;
    uint32_t size, own, slack;

    if (t == NULL)
        return;
    memcpy(&size, guest_mem(t->rt + RUNTIME_OFF_MALLOC_SIZE, sizeof size), sizeof size);
    own = size > t->malloc_size ? size - t->malloc_size : 0;
    slack = own / 2 > GC_TURN_SLACK_BYTES ? own / 2 : GC_TURN_SLACK_BYTES;
    if (Z_qjsZ_JS_GetGCThreshold(&engine_q, t->rt) > size + slack)
        Z_qjsZ_JS_SetGCThreshold(&engine_q, t->rt, size + slack);
}

void
heap_dispatch(int event, int argc, const jsval *argv)
{
    jsval args[DISPATCH_ARGS_MAX + 1], result;

    assert(argc <= DISPATCH_ARGS_MAX);
    args[0] = JSV(ENGINE_TAG_INT, event);
    memcpy(args + 1, argv, (size_t)argc * sizeof *argv);
    result = js_call(current->dispatch, JSV_UNDEFINED, argc + 1, args);
    /* The library's dispatch does not throw; if a hostile app made it, the turn simply ends. */
    if (js_is_exception(result))
        js_free(js_take_exception());
    js_free(result);
    for (int i = 0; i < argc; i++)
        js_free(argv[i]);
    js_free(async_context_swap(JSV_UNDEFINED));
    async_context_set_section(0);
    engine_run_jobs();
    report_rejections();
    bound_garbage();
}

/* Bytes of the heap's range that are private to this process, from the kernel's page counts. */
size_t
heap_private_bytes(const struct heap *heap)
{
    char line[256];
    FILE *f = fopen("/proc/self/smaps", "r");
    unsigned long start, end, kb;
    size_t total = 0;
    bool is_inside = false;

    if (f == NULL)
        return 0;
    while (fgets(line, sizeof line, f) != NULL) {
        if (sscanf(line, "%lx-%lx ", &start, &end) == 2)
            is_inside = start >= (uintptr_t)heap->base && end <= (uintptr_t)heap->base + HEAP_RESERVE_BYTES;
        else if (is_inside && sscanf(line, "Anonymous: %lu kB", &kb) == 1)
            total += kb * 1024;
    }
    (void)fclose(f);
    return total;
}
