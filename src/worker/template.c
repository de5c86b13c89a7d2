/*
 * template — making and opening the image that every heap of a deployment starts from (heap.h).
 *
 * File: one header page (struct image_header), then the heap's pages; pages of zeros are holes. The image is the work of the
 * app's own code and is trusted by nobody but that app's heaps: the header is checked, the pages are guest memory.
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <openssl/sha.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "lib/sys/sys.h"
#include "src/worker/engine_chunks.h"
#include "src/worker/heap_internal.h"
#include "src/worker/image_kin.h"
#include "src/worker/js_events.h"
#include "src/worker/worker_limits.h"

#define IMAGE_MAGIC 0x32454d444f524d44ull          /* "DMRODME2" */
#define PAGE HEAP_PAGE
#define BOOT_PAGES 18                              /* the module's initial memory */
#define EVAL_COMPILE_ONLY 32                       /* JS_EVAL_FLAG_COMPILE_ONLY */
#define LONE_SHAPES_MAX 4096                      /* shapes outside of the table: one per object with very many properties */
#define LARGE_COUNT_MAX 1000000                   /* references to one long string; more is no count */
#define PROMISE_FULFILLED 1
#define PROMISE_REJECTED 2

/* OpenSSL 3 calls the streaming functions deprecated; EVP would allocate, and this is not a secret's business. */
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"

struct image_header {
    uint64_t magic, pages;
    uint32_t stack_pointer, ctx, rt, wall;
    uint32_t atoms[ATOMS];
    jsval    dispatch, modules, exports;
    uint8_t  engine_hash[32];                      /* of the module's hash, our natives' names and the runtime library */
    uint8_t  pages_hash[32];                       /* of the pages that are no holes, each after its offset */
    uint8_t  header_hash[32];                      /* of all above: the template's identity */
};
static_assert(sizeof(struct image_header) <= TEMPLATE_HEADER_BYTES, "the header is one page");

static void
engine_hash(struct bytes runtime_js, uint8_t out[32])
{
    static const char natives[] = ENGINE_WASM_SHA256
#define NATIVE(js_name, c_name, args) "|" #js_name
#include "src/worker/natives.def"
#undef NATIVE
        ;
    SHA256_CTX sha;

    SHA256_Init(&sha);
    SHA256_Update(&sha, natives, sizeof natives);
    SHA256_Update(&sha, runtime_js.data, runtime_js.len);
    SHA256_Final(out, &sha);
}

static void
header_hash(const struct image_header *h, uint8_t out[32])
{
    struct image_header copy = *h;

    memset(copy.header_hash, 0, sizeof copy.header_hash);
    SHA256((const uint8_t *)&copy, sizeof copy, out);
}

/* ---- modules that the runtime library provides ---- */

static bool
guest_cstring(uint32_t ptr, struct bytes *out)
{
    uint64_t size = engine_q.w2c_memory.pages * PAGE;
    const uint8_t *start = guest_mem(ptr, 1), *end;

    end = memchr(start, 0, size - ptr < MODULE_NAME_MAX ? size - ptr : MODULE_NAME_MAX);
    if (end == NULL)
        return false;
    *out = bytes_from(start, (size_t)(end - start));
    return true;
}

/* The exports object for NAME ("cloudflare:workers", "node:os", "os"), or undefined. */
static jsval
find_module(const char *name)
{
    char alias[MODULE_NAME_MAX + 8];
    jsval found = js_get_str(heap_modules(), name);

    if (!js_is_undefined(found))
        return found;
    if (strncmp(name, "node:", 5) == 0)
        return js_get_str(heap_modules(), name + 5);
    (void)snprintf(alias, sizeof alias, "node:%s", name);
    return js_get_str(heap_modules(), alias);
}

/* Calls FN for the name of every export of MODULE_OBJ. */
static bool
each_export(jsval module_obj, uint32_t module, bool (*fn)(uint32_t module, uint32_t name, jsval value))
{
    struct js_names names;
    bool ok = true;

    if (!js_names_get(module_obj, JS_NAMES_ENUMERABLE, &names))
        return false;
    for (uint32_t i = 0; i < names.count && ok; i++) {
        uint32_t atom = js_names_atom(&names, i);
        uint32_t text = Z_qjsZ_JS_AtomToCStringLen(&engine_q, engine_ctx, 0, atom);
        jsval value = js_get(module_obj, atom);

        ok = text != 0 && !js_is_exception(value) && fn(module, text, value);
        js_free(value);
        if (text != 0)
            Z_qjsZ_JS_FreeCString(&engine_q, engine_ctx, text);
    }
    js_names_free(&names);
    return ok;
}

static bool
declare_export(uint32_t module, uint32_t name, jsval value)
{
    return (int)Z_qjsZ_JS_AddModuleExport(&engine_q, engine_ctx, module, name) == 0;
}

static bool
set_export(uint32_t module, uint32_t name, jsval value)
{
    return (int)Z_qjsZ_JS_SetModuleExport(&engine_q, engine_ctx, module, name, js_dup(value)) == 0;
}

uint32_t modules_load(void *q, uint32_t ctx, uint32_t name, uint32_t opaque);
uint32_t
modules_load(void *q, uint32_t ctx, uint32_t name, uint32_t opaque)
{
    struct bytes text;
    char *copy;
    jsval obj;
    uint32_t module;

    if (!guest_cstring(name, &text)) {
        js_throw_error("A module's name is longer than %d bytes.", MODULE_NAME_MAX);
        return 0;
    }
    copy = guest_scratch(text.len + 1);
    memcpy(copy, text.data, text.len);
    copy[text.len] = '\0';
    obj = find_module(copy);
    if (js_is_exception(obj))
        return 0;
    if (!js_is_object(obj)) {
        js_throw_error("No such module \"%s\".", copy);
        return 0;
    }
    module = Z_qjsZ_JS_NewCModule(&engine_q, ctx, name, engine_callback_index(CALLBACK_MODULE_INIT));
    if (module != 0 && !each_export(obj, module, declare_export))
        module = 0;
    js_free(obj);
    return module;
}

uint32_t modules_init(void *q, uint32_t ctx, uint32_t module);
uint32_t
modules_init(void *q, uint32_t ctx, uint32_t module)
{
    uint32_t atom = Z_qjsZ_JS_GetModuleName(&engine_q, ctx, module);
    jsval name = Z_qjsZ_JS_AtomToString(&engine_q, ctx, atom), obj;
    struct bytes text;
    bool ok;

    js_free_atom(atom);
    if (js_is_exception(name) || !js_to_utf8(name, &text))
        return (uint32_t)-1;
    js_free(name);
    obj = find_module((const char *)text.data);
    if (js_is_exception(obj))
        return (uint32_t)-1;
    ok = each_export(obj, module, set_export);
    js_free(obj);
    return ok ? 0 : (uint32_t)-1;
}

/* ---- making ---- */

struct build {
    const struct template_source *source;
    struct template_error        *error;
    bool                          ok;
    struct heap                  *heap;
};

static void
describe(jsval exception, struct template_error *out)
{
    struct bytes text;
    jsval stack;

    if (js_to_utf8(exception, &text))
        buf_append_bytes(&out->message, text);
    else
        js_free(js_take_exception());
    if (js_is_object(exception)) {
        stack = js_get_str(exception, "stack");
        if (js_is_string(stack) && js_to_utf8(stack, &text))
            buf_append_bytes(&out->stack, text);
        js_free(stack);
    }
    js_free(exception);
}

static jsval
evaluate(struct bytes source, const char *name, int flags)
{
    uint32_t text = guest_alloc((uint32_t)source.len + 1), file = guest_alloc((uint32_t)strlen(name) + 1);
    jsval v;

    if (text == 0 || file == 0)
        return JSV_EXCEPTION;
    memcpy(guest_mem(text, (uint32_t)source.len + 1), source.data, source.len);
    *guest_mem(text + (uint32_t)source.len, 1) = 0;
    memcpy(guest_mem(file, (uint32_t)strlen(name) + 1), name, strlen(name) + 1);
    v = Z_qjsZ_JS_Eval(&engine_q, engine_ctx, text, (u32)source.len, file, (u32)flags);
    guest_free(text);
    guest_free(file);
    return v;
}

/* The engine makes the properties of its built-in objects at their first use. Used here, they are made once, in the template, and
 * not once per heap. Reading a descriptor runs no code of anybody. */
static const char materialize_js[] =
    "{ const seen = new Set(), todo = [globalThis];"
    "  const note = (v) => { if ((typeof v === 'object' || typeof v === 'function') && v !== null && !seen.has(v)) { seen.add(v); todo.push(v); } };"
    "  while (todo.length > 0) {"
    "    const o = todo.pop();"
    "    for (const k of Reflect.ownKeys(o)) {"
    "      const d = Reflect.getOwnPropertyDescriptor(o, k);"
    "      if (d === undefined) continue;"
    "      note(d.value); note(d.get); note(d.set);"
    "    }"
    "    note(Reflect.getPrototypeOf(o));"
    "  }"
    "  note((async () => {}).constructor); note((function* () {}).prototype); note((async function* () {}).prototype); }";

static bool
load_runtime(struct build *b)
{
    jsval global = js_global(), host = js_new_object(), v;

    if (!engine_make_atoms() || !engine_add_natives(host) || !js_set_str(global, "__host", host))
        return false;
    js_free(global);
    v = evaluate(b->source->runtime_js, "dormouse:runtime", ENGINE_EVAL_GLOBAL);
    if (js_is_exception(v))
        return false;
    js_free(v);
    engine_run_jobs();
    v = evaluate(BYTES_LIT(materialize_js), "dormouse:materialize", ENGINE_EVAL_GLOBAL);
    if (js_is_exception(v))
        return false;
    js_free(v);
    if (!js_is_object(b->heap->dispatch)) {
        js_throw_error("the runtime library did not install itself");
        return false;
    }
    return true;
}

/* Evaluates the app's module; its namespace becomes the heap's exports. */
static bool
load_bundle(struct build *b)
{
    jsval module, promise;
    uint32_t def;
    int state;

    if (b->source->env_json.len > 0) {
        jsval args[2] = { js_new_string(b->source->env_json), js_new_string(b->source->compat_json) };

        heap_dispatch(JS_PREPARE, 2, args);
    }
    module = evaluate(b->source->bundle_js, "bundle.js", ENGINE_EVAL_MODULE | EVAL_COMPILE_ONLY);
    def = (uint32_t)module;
    if (js_is_exception(module))
        return false;
    promise = Z_qjsZ_JS_EvalFunction(&engine_q, engine_ctx, module);
    if (js_is_exception(promise))
        return false;
    engine_run_jobs();
    state = (int)Z_qjsZ_JS_PromiseState(&engine_q, engine_ctx, promise);
    if (state == PROMISE_REJECTED) {
        js_throw(Z_qjsZ_JS_PromiseResult(&engine_q, engine_ctx, promise));
        return false;
    }
    if (state != PROMISE_FULFILLED) {
        js_throw_error("Top-level await in the app's module did not settle: nothing can arrive at global scope.");
        return false;
    }
    js_free(promise);
    b->heap->exports = Z_qjsZ_JS_GetModuleNamespace(&engine_q, engine_ctx, def);
    return !js_is_exception(b->heap->exports);
}

static uint32_t
word(uint32_t at)
{
    uint32_t v;

    memcpy(&v, guest_mem(at, 4), 4);
    return v;
}

static void
set_word(uint32_t at, uint32_t v)
{
    memcpy(guest_mem(at, 4), &v, 4);
}

static uint32_t spare_heads;           /* room for the new heads, taken before nothing is left */

static void
freeze_heads_reserve(void)
{
    spare_heads = guest_alloc(8 * (ENGINE_SLAB_CLASSES + 1));
    if (spare_heads == 0)
        engine_trap(TRAP_MEMORY);
}

/* Moves a circular list to a new head in the guest: whatever is unlinked from it later finds neighbours to mend, and the old head is
 * empty. */
static void
list_move_away(uint32_t head)
{
    uint32_t to = spare_heads, next = word(head), prev = word(head + 4);

    if (next == head)
        return;
    spare_heads += 8;
    set_word(to, next);
    set_word(to + 4, prev);
    set_word(next + 4, to);            /* next->prev */
    set_word(prev, to);                /* prev->next */
    set_word(head, head);
    set_word(head + 4, head);
}

static uint16_t
half(uint32_t at)
{
    uint16_t v;

    memcpy(&v, guest_mem(at, 2), 2);
    return v;
}

static void
immortalize(uint32_t ptr)
{
    set_word(ptr + (uint32_t)ENGINE_OFF_COUNT, ENGINE_IMMORTAL);
}

/* A shape outside of the table of shared shapes (the global object's) keeps its 1: the engine adds properties to it in place, and
 * insists that nobody else has it. */
static bool
is_lone_shape(uint32_t node)
{
    uint8_t type = *guest_mem(node + (uint32_t)ENGINE_OFF_COUNT - 1, 1) & 0x0f;

    return type == ENGINE_TYPE_SHAPE && word(node + (uint32_t)ENGINE_OFF_COUNT) == 1 && *guest_mem(node + ENGINE_OFF_SHAPE_HASHED, 1) != 1;
}

/* Is BLOCK a chunk of the outer allocator (dlmalloc: size and two flags before it; the next chunk knows that this one is in use) with
 * the header of a block above the slabs' sizes? */
static bool
is_large_block(uint32_t block, uint32_t end)
{
    uint32_t header = word(block), count = word(block + 4), chunk = word(block - 4), size = chunk & ~7u;

    return (header & 0xffffff) == ENGINE_LARGE_HEADER && (header >> 24) != 0xff && count > 0 && count < LARGE_COUNT_MAX && (chunk & 2) != 0 &&
           size > ENGINE_SLAB_BYTES_MAX && size % ENGINE_CHUNK_ALIGN == 0 && size < end - block && (word(block - 4 + size) & 1) != 0;
}

/* Long strings (the SQL of a schema) are such blocks, and in no list. */
static void
immortalize_large(void)
{
    uint32_t end = (uint32_t)(engine_q.w2c_memory.pages * PAGE) - 8;

    for (uint32_t block = ENGINE_DATA_END; block < end - 8; block += ENGINE_CHUNK_ALIGN)
        if (is_large_block(block, end))
            immortalize(block + ENGINE_BLOCK_HEADER);
}

static void
immortalize_slabs(void)
{
    for (uint32_t class = 0; class < ENGINE_SLAB_CLASSES; class++) {
        uint32_t head = engine_rt + ENGINE_OFF_SLABS + 8 * class, size = half(ENGINE_SLAB_SIZES + 2 * class);

        for (uint32_t node = word(head); node != head; node = word(node)) {
            uint32_t slab = node - ENGINE_SLAB_NODE;

            for (uint32_t i = 0; i < half(slab + ENGINE_SLAB_BLOCKS); i++)
                immortalize(slab + ENGINE_SLAB_FIRST + i * size + ENGINE_BLOCK_HEADER);
        }
    }
}

/* What a template holds is there for ever: its reference counts are made immortal, so that a heap that uses a function or a name
 * does not get a private copy of the page for the sake of a counter. */
static void
make_immortal(void)
{
    uint32_t objects = engine_rt + ENGINE_OFF_GC_OBJ_LIST, lone[LONE_SHAPES_MAX], lone_count = 0;

    for (uint32_t node = word(objects); node != objects; node = word(node)) {
        if (!is_lone_shape(node)) {
            immortalize(node);
            continue;
        }
        if (lone_count == LONE_SHAPES_MAX)
            engine_trap(TRAP_MEMORY);
        lone[lone_count++] = node;
    }
    immortalize_slabs();
    immortalize_large();
    for (uint32_t i = 0; i < lone_count; i++)
        set_word(lone[i] + (uint32_t)ENGINE_OFF_COUNT, 1);
}

/* Hides all objects from the cycle collector, like CPython's gc.freeze(): they keep their reference counts and act as roots. The
 * slabs leave their lists too: a new slab would write to the one before it. */
static void
freeze(void)
{
    list_move_away(engine_rt + ENGINE_OFF_GC_OBJ_LIST);
    for (uint32_t class = 0; class < ENGINE_SLAB_CLASSES; class++)
        list_move_away(engine_rt + ENGINE_OFF_SLABS + 8 * class);
}

/* Takes every free chunk of the allocator and every free block of the engine's slabs, so that what a heap allocates later lies
 * together behind the template instead of in holes all over it: each hole would cost a private page. They are never used again.
 * Returns the last of them (0: there was none): what a heap allocates lies behind it. */
static uint32_t
seal_holes(void)
{
    uint32_t last = 0, block;

    heap_forbid_growth(true);
    for (uint32_t size = 1u << 20; size >= 8; size = size > 256 ? size - size / 4 : size - 8)
        while ((block = Z_qjsZ_malloc(&engine_q, size)) != 0)
            last = block > last ? block : last;
    for (uint32_t size = 2 * ENGINE_SLAB_BYTES_MAX; size >= 8; size -= 8)
        while (Z_qjsZ_js_malloc_rt(&engine_q, engine_rt, size) != 0)
            ;
    heap_forbid_growth(false);
    return last;
}

#define MEMORY_USAGE_BYTES 512     /* above sizeof(JSMemoryUsage); its first field is int64_t malloc_size */

static void
settle(struct heap *heap)
{
    uint32_t usage = guest_alloc(MEMORY_USAGE_BYTES);  /* before nothing is left */
    int64_t malloc_size = 0;

    Z_qjsZ_JS_RunGC(&engine_q, engine_rt);
    freeze_heads_reserve();
    heap->wall = seal_holes();
    make_immortal();
    freeze();
    if (usage != 0) {
        Z_qjsZ_JS_ComputeMemoryUsage(&engine_q, engine_rt, usage);
        memcpy(&malloc_size, guest_mem(usage, 8), 8);
    }
    Z_qjsZ_JS_SetGCThreshold(&engine_q, engine_rt, (u32)malloc_size + GC_SLACK_BYTES);
}

static void
build_inside(void *arg)
{
    struct build *b = arg;

    engine_boot();
    if (!load_runtime(b) || !load_bundle(b)) {
        describe(js_take_exception(), b->error);
        return;
    }
    settle(b->heap);
    b->ok = true;
}

static bool
page_is_zero(const uint8_t *page)
{
    const uint64_t *words = (const uint64_t *)(const void *)page;

    for (size_t i = 0; i < KERNEL_PAGE / sizeof *words; i++)
        if (words[i] != 0)
            return false;
    return true;
}

static bool
write_image(int fd, const struct heap *heap, struct bytes runtime_js, struct err *err)
{
    struct image_header h = {
        .magic = IMAGE_MAGIC, .pages = heap->pages, .stack_pointer = heap->stack_pointer, .ctx = engine_ctx, .rt = engine_rt,
        .wall = heap->wall, .dispatch = heap->dispatch, .modules = heap->modules, .exports = heap->exports,
    };
    SHA256_CTX sha;

    if (sys_ftruncate(fd, (off_t)(TEMPLATE_HEADER_BYTES + heap->pages * PAGE)) != 0)
        return err_set(err, ERR_IO, errno, "write the template");
    SHA256_Init(&sha);
    for (uint64_t at = 0; at < heap->pages * PAGE; at += KERNEL_PAGE) {
        if (page_is_zero(heap->base + at))
            continue;
        SHA256_Update(&sha, &at, sizeof at);
        SHA256_Update(&sha, heap->base + at, KERNEL_PAGE);
        if (!sys_pwrite_all(fd, heap->base + at, KERNEL_PAGE, (off_t)(TEMPLATE_HEADER_BYTES + at)))
            return err_set(err, ERR_IO, errno, "write the template");
    }
    SHA256_Final(h.pages_hash, &sha);
    memcpy(h.atoms, engine_atoms, sizeof h.atoms);
    engine_hash(runtime_js, h.engine_hash);
    header_hash(&h, h.header_hash);
    if (!sys_pwrite_all(fd, &h, sizeof h, 0) || sys_fsync(fd) != 0)
        return err_set(err, ERR_IO, errno, "write the template");
    return true;
}

bool
template_build(int fd, const struct template_source *source, struct template_error *out_error, struct err *err)
{
    struct heap *heap = heap_create_blank(HEAP_BYTES_MAX_DEFAULT);
    struct build b = { .source = source, .error = out_error, .heap = heap };
    enum trap trap;
    bool ok = true;

    if (source->bundle_js.len > SOURCE_BYTES_MAX) {
        heap_destroy(&heap);
        return err_set(err, ERR_LIMIT, 0, "the bundle is %zu bytes; the limit is %u", source->bundle_js.len, SOURCE_BYTES_MAX);
    }
    if (!heap_grow_blank(heap, BOOT_PAGES)) {
        heap_destroy(&heap);
        return err_set(err, ERR_IO, errno, "map memory for the template");
    }
    heap_enter(heap);
    engine_cpu_limit(clock_cpu_us() + TURN_CPU_MS_DEFAULT * 1000);
    trap = engine_run(build_inside, &b);
    heap->stack_pointer = engine_q.w2c___stack_pointer;
    if (trap != TRAP_NONE)
        ok = err_set(err, ERR_BUILD, 0, "the app's global scope ended with a fault: %s", trap_text(trap));
    else if (!b.ok)
        ok = err_set(err, ERR_BUILD, 0, "%.400s", buf_cstr(&out_error->message));
    heap_leave();
    if (ok)
        ok = write_image(fd, heap, source->runtime_js, err);
    heap_destroy(&heap);
    return ok;
}

/* ---- opening ---- */

bool
template_open(struct template **out_template, int fd, struct bytes runtime_js, struct err *err)
{
    struct image_header h;
    uint8_t hash[32];
    struct stat st;
    struct template *t;

    if (sys_pread(fd, &h, sizeof h, 0) != (ssize_t)sizeof h || sys_fstat(fd, &st) != 0)
        return err_set(err, ERR_CORRUPT, errno, "read the template's header");
    header_hash(&h, hash);
    if (h.magic != IMAGE_MAGIC && (h.magic ^ IMAGE_MAGIC) >> 56 != 0 && (h.magic ^ IMAGE_MAGIC) << 8 == 0)
        return err_set(err, ERR_VERSION, 0, "the template was made by another version of Dormouse; deploy the app again");
    if (h.magic != IMAGE_MAGIC || memcmp(hash, h.header_hash, sizeof hash) != 0 || h.pages > HEAP_BYTES_MAX_DEFAULT / PAGE ||
        (uint64_t)st.st_size < TEMPLATE_HEADER_BYTES + h.pages * PAGE)
        return err_set(err, ERR_CORRUPT, 0, "the template's header is damaged");
    engine_hash(runtime_js, hash);
    if (memcmp(hash, h.engine_hash, sizeof hash) != 0)
        return err_set(err, ERR_VERSION, 0, "the template was made by another engine or runtime library");
    t = calloc(1, sizeof *t);
    assert(t != NULL);
    t->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (t->fd < 0) {
        free(t);
        return err_set(err, ERR_IO, errno, "keep the template's descriptor");
    }
    t->refs = 1;
    t->pages = h.pages;
    t->stack_pointer = h.stack_pointer;
    t->ctx = h.ctx;
    t->rt = h.rt;
    t->wall = h.wall;
    memcpy(t->engine_hash, h.engine_hash, sizeof t->engine_hash);
    memcpy(t->identity, h.header_hash, sizeof t->identity);
    t->dispatch = h.dispatch;
    t->modules = h.modules;
    t->exports = h.exports;
    memcpy(t->atoms, h.atoms, sizeof t->atoms);
    if (sys_pread(t->fd, &t->malloc_size, sizeof t->malloc_size, TEMPLATE_HEADER_BYTES + t->rt + RUNTIME_OFF_MALLOC_SIZE) !=
        (ssize_t)sizeof t->malloc_size) {
        template_unref(&t);
        return err_set(err, ERR_CORRUPT, errno, "read the template's memory");
    }
    *out_template = t;
    return true;
}

void
template_ref(struct template *t)
{
    t->refs++;
}

void
template_unref(struct template **t_ptr)
{
    struct template *t = *t_ptr;

    if (t == NULL)
        return;
    *t_ptr = NULL;
    if (--t->refs > 0)
        return;
    if (t->view != NULL)
        (void)sys_munmap((void *)(uintptr_t)t->view, t->pages * PAGE);
    (void)sys_close(t->fd);
    for (size_t i = 0; i < ARRAY_LEN(t->kin); i++)
        image_kin_destroy(&t->kin[i]);
    buf_fini(&t->usual.words);
    free(t);
}

void
template_retire(struct template *t)
{
    heap_pool_forget(t);
}

size_t
template_bytes(const struct template *t)
{
    return t->pages * PAGE;
}
