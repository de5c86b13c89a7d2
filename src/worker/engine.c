/* engine — see engine.h. The generated code's runtime (wasm-rt.h), its imports, our function table entries, and traps. */
#include "src/worker/engine.h"

#include <assert.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#endif

#include "lib/sys/sys.h"
#include "src/worker/async_context.h"
#include "src/worker/natives.h"
#include "src/worker/rejections.h"
#include "src/worker/worker_limits.h"

#define FUNC_TYPES_MAX 128         /* the module registers 70 */
#define FUNC_PARAMS_MAX 24

Z_qjs_instance_t engine_q;
uint32_t         engine_ctx, engine_rt;
uint32_t         engine_atoms[ATOMS];

struct Z_env_instance_t { int unused; };
struct Z_wasi_snapshot_preview1_instance_t { int unused; };

static struct Z_env_instance_t                    env_instance;
static struct Z_wasi_snapshot_preview1_instance_t wasi_instance;

static sigjmp_buf trap_target;
static bool       in_guest;
static int64_t    cpu_limit_us;

/* ---- function types: wasm-rt.h asks for structural equality ---- */

struct func_type {
    uint32_t       params, results;
    wasm_rt_type_t types[FUNC_PARAMS_MAX];
};
static struct func_type func_types[FUNC_TYPES_MAX];
static uint32_t         func_type_count;

uint32_t
wasm_rt_register_func_type(uint32_t params, uint32_t results, ...)
{
    struct func_type t = { params, results, { 0 } };
    va_list va;

    assert(params + results <= FUNC_PARAMS_MAX);
    va_start(va, results);
    for (uint32_t i = 0; i < params + results; i++)
        t.types[i] = va_arg(va, wasm_rt_type_t);
    va_end(va);
    for (uint32_t i = 0; i < func_type_count; i++)
        if (memcmp(&func_types[i], &t, sizeof t) == 0)
            return i + 1;
    assert(func_type_count < FUNC_TYPES_MAX);
    func_types[func_type_count++] = t;
    return func_type_count;
}

void
wasm_rt_allocate_funcref_table(wasm_rt_funcref_table_t *table, uint32_t elements, uint32_t max_elements)
{
    table->data = calloc(elements, sizeof *table->data);
    assert(table->data != NULL);
    table->size = elements;
    table->max_size = max_elements;
}

void
wasm_rt_free_funcref_table(wasm_rt_funcref_table_t *table)
{
    free(table->data);
    *table = (wasm_rt_funcref_table_t){ 0 };
}

/* The heap module owns memory: the instance's is set by heap_enter. */
void
wasm_rt_allocate_memory(wasm_rt_memory_t *memory, uint32_t initial_pages, uint32_t max_pages)
{
    memory->max_pages = max_pages;
    assert(memory->data != NULL && memory->pages >= initial_pages);
}

void
wasm_rt_free_memory(wasm_rt_memory_t *memory)
{
    *memory = (wasm_rt_memory_t){ 0 };
}

uint32_t
wasm_rt_grow_memory(wasm_rt_memory_t *memory, uint32_t delta)
{
    uint32_t old_pages = memory->pages;

    assert(memory == &engine_q.w2c_memory);
    if (delta == 0)
        return old_pages;
    if (heap_growth_is_forbidden())
        return UINT32_MAX;
    if (!heap_grow_current(delta))
        engine_trap(TRAP_MEMORY);
    return old_pages;
}

static bool is_initialized;

bool
wasm_rt_is_initialized(void)
{
    return is_initialized;
}

/* ---- traps ---- */

void
engine_trap(enum trap trap)
{
    assert(in_guest && trap != TRAP_NONE);
    siglongjmp(trap_target, (int)trap);
}

void
wasm_rt_trap(wasm_rt_trap_t code)
{
    engine_trap(code == WASM_RT_TRAP_EXHAUSTION ? TRAP_STACK : TRAP_FAULT);
}

const char *
trap_text(enum trap trap)
{
    static const char *const texts[] = {
        [TRAP_NONE] = "no trap",
        [TRAP_FAULT] = "the heap faulted (out-of-bounds access or invalid call)",
        [TRAP_STACK] = "the native stack is exhausted",
        [TRAP_MEMORY] = "the heap reached its memory limit",
        [TRAP_CPU] = "the turn reached its CPU time limit",
        [TRAP_ABORT] = "the agent called abort()",
    };
    return texts[trap];
}

/* A stack overflow faults right below the stack pointer of the interrupted code. */
static bool
is_stack_fault(const void *addr, const ucontext_t *uc)
{
    uintptr_t a = (uintptr_t)addr, sp = (uintptr_t)uc->uc_mcontext.gregs[REG_RSP];

    return a < sp + 4096 && sp - a < 256 * 1024;
}

static void
on_fault(int sig, siginfo_t *info, void *uc)
{
    if (in_guest && heap_owns_address(info->si_addr))
        siglongjmp(trap_target, TRAP_FAULT);
    if (in_guest && sig == SIGSEGV && is_stack_fault(info->si_addr, uc))
        siglongjmp(trap_target, TRAP_STACK);
    /* A bug of ours: die of it, so that the supervisor sees the signal and restarts the room. */
    signal(sig, SIG_DFL);
    raise(sig);
}

static void
install_fault_handler(void)
{
    static uint8_t alt_stack[64 * 1024];
    stack_t stack = { .ss_sp = alt_stack, .ss_size = sizeof alt_stack };
    struct sigaction action = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER };
    int failed;

    failed = sigaltstack(&stack, NULL);
    sigemptyset(&action.sa_mask);
    failed |= sigaction(SIGSEGV, &action, NULL);
    failed |= sigaction(SIGBUS, &action, NULL);
    assert(failed == 0);
    (void)failed;
}

/* Frames that a trap skipped are gone; AddressSanitizer believes in them until it is told (it gives up on stacks as large as ours). */
static void
forget_skipped_frames(void)
{
#ifdef __SANITIZE_ADDRESS__
    char here;

    __asan_unpoison_memory_region(&here - NATIVE_STACK_BYTES, NATIVE_STACK_BYTES);
#endif
}

enum trap
engine_run(void (*fn)(void *arg), void *arg)
{
    enum trap trap;

    assert(!in_guest);
    /* The signal mask is not saved: SA_NODEFER leaves it unchanged, and a syscall per turn is saved. */
    trap = (enum trap)sigsetjmp(trap_target, 0);
    if (trap == TRAP_NONE) {
        in_guest = true;
        fn(arg);
    }
    in_guest = false;
    if (trap != TRAP_NONE)
        forget_skipped_frames();
    return trap;
}

void
engine_cpu_limit(int64_t until_cpu_us)
{
    cpu_limit_us = until_cpu_us;
}

bool
engine_cpu_is_over(void)
{
    return cpu_limit_us != 0 && clock_cpu_us() >= cpu_limit_us;
}

/* ---- imports of the module ---- */

u32
Z_envZ_host_call(struct Z_env_instance_t *e, u32 name, u32 len, u32 this_val, u32 argc, u32 argv)
{
    engine_trap(TRAP_FAULT);       /* qjs_new_host_function is never used */
}

u32
Z_envZ_host_get_timezone_offset(struct Z_env_instance_t *e, u32 lo, u32 hi)
{
    return 0;                      /* agents live in UTC, as on the platform */
}

u32
Z_envZ_host_interrupt(struct Z_env_instance_t *e)
{
    if (engine_cpu_is_over())
        engine_trap(TRAP_CPU);
    return 0;
}

u32
Z_envZ_host_module_load(struct Z_env_instance_t *e, u32 name, u32 len)
{
    return 0;                      /* modules come through CALLBACK_MODULE_LOAD */
}

u32
Z_envZ_host_module_normalize(struct Z_env_instance_t *e, u32 base, u32 name)
{
    return 0;
}

void
Z_envZ_host_promise_rejection(struct Z_env_instance_t *e, u32 promise, u32 reason, u32 is_handled)
{
    /* Rejections come through CALLBACK_REJECTION. */
}

u32
Z_wasi_snapshot_preview1Z_clock_time_get(struct Z_wasi_snapshot_preview1_instance_t *e, u32 id, u64 precision, u32 out)
{
    uint64_t ns = (uint64_t)(id == 0 ? clock_wall_us() : clock_mono_us()) * 1000;

    memcpy(guest_mem(out, sizeof ns), &ns, sizeof ns);
    return 0;
}

#define WASI_EBADF 8

u32
Z_wasi_snapshot_preview1Z_fd_close(struct Z_wasi_snapshot_preview1_instance_t *e, u32 fd)
{
    return WASI_EBADF;
}

u32
Z_wasi_snapshot_preview1Z_fd_fdstat_get(struct Z_wasi_snapshot_preview1_instance_t *e, u32 fd, u32 out)
{
    return WASI_EBADF;
}

u32
Z_wasi_snapshot_preview1Z_fd_seek(struct Z_wasi_snapshot_preview1_instance_t *e, u32 fd, u64 at, u32 whence, u32 out)
{
    return WASI_EBADF;
}

/* The engine prints only when it aborts; the text is of no use to anyone outside. */
u32
Z_wasi_snapshot_preview1Z_fd_write(struct Z_wasi_snapshot_preview1_instance_t *e, u32 fd, u32 iov, u32 n, u32 out)
{
    return WASI_EBADF;
}

u32
Z_wasi_snapshot_preview1Z_random_get(struct Z_wasi_snapshot_preview1_instance_t *e, u32 ptr, u32 len)
{
    rng_bytes(guest_mem(ptr, len), len);
    return 0;
}

/* ---- our entries in the function table ---- */


static const struct {
    const char *name;
    jsval     (*fn)(NATIVE_PARAMS);
    int         args;
} natives[] = {
#define NATIVE(js_name, c_name, args) { #js_name, native_##c_name, args },
#include "src/worker/natives.def"
#undef NATIVE
};

jsval    async_context_trampoline(void *q, uint32_t ctx, jsval this_val, uint32_t argc, uint32_t argv, uint32_t magic, uint32_t data);
jsval    async_context_job(void *q, uint32_t ctx, uint32_t argc, uint32_t argv);
uint32_t modules_load(void *q, uint32_t ctx, uint32_t name, uint32_t opaque);
uint32_t modules_init(void *q, uint32_t ctx, uint32_t module);

static void
put_table(uint32_t index, uint32_t type, wasm_rt_function_ptr_t fn)
{
    engine_q.w2c___indirect_function_table.data[index] = (wasm_rt_funcref_t){ type, fn, &engine_q };
}

uint32_t
engine_callback_index(enum engine_callback which)
{
    return ENGINE_TABLE_SIZE + (uint32_t)which;
}

static void
fill_table(void)
{
    wasm_rt_funcref_table_t *table = &engine_q.w2c___indirect_function_table;
    uint32_t native_type, at = ENGINE_TABLE_SIZE + ENGINE_CALLBACKS;

    assert(table->size == ENGINE_TABLE_SIZE);
    table->size = at + (uint32_t)ARRAY_LEN(natives);
    table->data = realloc(table->data, table->size * sizeof *table->data);
    assert(table->data != NULL);
    put_table(engine_callback_index(CALLBACK_ALS_TRAMPOLINE),
              wasm_rt_register_func_type(6, 1, WASM_RT_I32, WASM_RT_I64, WASM_RT_I32, WASM_RT_I32, WASM_RT_I32, WASM_RT_I32, WASM_RT_I64),
              (wasm_rt_function_ptr_t)async_context_trampoline);
    put_table(engine_callback_index(CALLBACK_ALS_JOB),
              wasm_rt_register_func_type(3, 1, WASM_RT_I32, WASM_RT_I32, WASM_RT_I32, WASM_RT_I64),
              (wasm_rt_function_ptr_t)async_context_job);
    put_table(engine_callback_index(CALLBACK_REJECTION),
              wasm_rt_register_func_type(5, 0, WASM_RT_I32, WASM_RT_I64, WASM_RT_I64, WASM_RT_I32, WASM_RT_I32),
              (wasm_rt_function_ptr_t)rejections_track);
    put_table(engine_callback_index(CALLBACK_MODULE_LOAD),
              wasm_rt_register_func_type(3, 1, WASM_RT_I32, WASM_RT_I32, WASM_RT_I32, WASM_RT_I32),
              (wasm_rt_function_ptr_t)modules_load);
    put_table(engine_callback_index(CALLBACK_MODULE_INIT),
              wasm_rt_register_func_type(2, 1, WASM_RT_I32, WASM_RT_I32, WASM_RT_I32),
              (wasm_rt_function_ptr_t)modules_init);
    native_type = wasm_rt_register_func_type(4, 1, WASM_RT_I32, WASM_RT_I64, WASM_RT_I32, WASM_RT_I32, WASM_RT_I64);
    for (size_t i = 0; i < ARRAY_LEN(natives); i++)
        put_table(at + (uint32_t)i, native_type, (wasm_rt_function_ptr_t)natives[i].fn);
}

#define BOOT_BYTES (18u << 16)         /* the module's initial memory */

/* The function table belongs to the process, not to a heap: instantiate once over memory that is thrown away. */
static void
make_table(void)
{
    uint8_t *memory = sys_mmap(NULL, BOOT_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    assert(memory != MAP_FAILED);
    engine_q.w2c_memory = (wasm_rt_memory_t){ .data = memory, .pages = BOOT_BYTES >> 16, .size = BOOT_BYTES };
    Z_qjs_instantiate(&engine_q, &env_instance, &wasi_instance);
    fill_table();
    engine_q.w2c_memory = (wasm_rt_memory_t){ 0 };
    (void)sys_munmap(memory, BOOT_BYTES);
}

void
engine_init(void)
{
    install_fault_handler();
    if (is_initialized)
        return;
    is_initialized = true;
    Z_qjs_init_module();
    make_table();
}

void
engine_boot(void)
{
    wasm_rt_funcref_table_t table = engine_q.w2c___indirect_function_table;

    /* Instantiation writes the data segments into the current memory, and makes a table that we do not want. */
    Z_qjs_instantiate(&engine_q, &env_instance, &wasi_instance);
    wasm_rt_free_funcref_table(&engine_q.w2c___indirect_function_table);
    engine_q.w2c___indirect_function_table = table;
    Z_qjsZ__initialize(&engine_q);
    Z_qjsZ_qjs_init(&engine_q);
    engine_ctx = Z_qjsZ_qjs_get_context_ptr(&engine_q);
    engine_rt = Z_qjsZ_qjs_get_runtime_ptr(&engine_q);
    Z_qjsZ_qjs_set_max_stack_size(&engine_q, GUEST_STACK_BYTES);
    Z_qjsZ_qjs_set_interrupt_handler(&engine_q, 1);
    Z_qjsZ_JS_SetHostPromiseRejectionTracker(&engine_q, engine_rt, engine_callback_index(CALLBACK_REJECTION), 0);
    Z_qjsZ_JS_SetModuleLoaderFunc(&engine_q, engine_rt, 0, engine_callback_index(CALLBACK_MODULE_LOAD), 0);
}

bool
engine_add_natives(jsval obj)
{
    uint32_t at = ENGINE_TABLE_SIZE + ENGINE_CALLBACKS;

    for (size_t i = 0; i < ARRAY_LEN(natives); i++) {
        uint32_t name = guest_alloc((uint32_t)strlen(natives[i].name) + 1);
        jsval fn;

        if (name == 0)
            return false;
        memcpy(guest_mem(name, (uint32_t)strlen(natives[i].name) + 1), natives[i].name, strlen(natives[i].name) + 1);
        fn = Z_qjsZ_JS_NewCFunction2(&engine_q, engine_ctx, at + (uint32_t)i, name, (u32)natives[i].args, 0, 0);
        guest_free(name);
        if (js_is_exception(fn) || !js_set_str(obj, natives[i].name, fn))
            return false;
    }
    return true;
}

bool
engine_make_atoms(void)
{
    static const char *const texts[ATOMS] = {
#define ATOM(id, text) [ATOM_##id] = text,
#include "src/worker/atoms.def"
#undef ATOM
    };
    for (int i = 0; i < ATOMS; i++) {
        engine_atoms[i] = js_new_atom(bytes_of(texts[i]));
        if (engine_atoms[i] == 0)
            return false;
    }
    return true;
}

void
engine_run_jobs(void)
{
    uint32_t sp = engine_q.w2c___stack_pointer - 16;

    engine_q.w2c___stack_pointer = sp;
    for (;;) {
        int r = (int)Z_qjsZ_JS_ExecutePendingJob(&engine_q, engine_rt, sp);

        if (r == 0)
            break;
        if (r < 0)
            js_free(js_take_exception());     /* a job that throws: only finalisers and modules can; nobody waits for it */
    }
    engine_q.w2c___stack_pointer = sp + 16;
}
