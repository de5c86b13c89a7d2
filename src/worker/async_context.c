/* async_context — see async_context.h. */
#include "src/worker/async_context.h"

#include <string.h>

#include "src/worker/engine.h"

int engine_context_active;         /* read by the generated code: 0 skips both hooks */

static jsval    current = JSV_UNDEFINED;
static uint32_t section;

static void
note_activity(void)
{
    engine_context_active = !js_is_undefined(current) || section != 0;
}

jsval
async_context_value(void)
{
    return current;
}

jsval
async_context_swap(jsval value)
{
    jsval previous = current;

    current = value;
    note_activity();
    return previous;
}

uint32_t
async_context_section(void)
{
    return section;
}

uint32_t
async_context_set_section(uint32_t number)
{
    uint32_t previous = section;

    section = number;
    note_activity();
    return previous;
}

void
async_context_reset(void)
{
    current = JSV_UNDEFINED;
    section = 0;
    engine_context_active = 0;
}

static jsval
load_value(uint32_t ptr)
{
    jsval v;

    memcpy(&v, guest_mem(ptr, sizeof v), sizeof v);
    return v;
}

/* Called instead of a wrapped handler; data = handler, context value, section. */
jsval async_context_trampoline(void *q, uint32_t ctx, jsval this_val, uint32_t argc, uint32_t argv, uint32_t magic, uint32_t data);
jsval
async_context_trampoline(void *q, uint32_t ctx, jsval this_val, uint32_t argc, uint32_t argv, uint32_t magic, uint32_t data)
{
    jsval handler = load_value(data), result;
    jsval previous = async_context_swap(js_dup(load_value(data + 8)));
    uint32_t previous_section = async_context_set_section((uint32_t)load_value(data + 16));

    result = Z_qjsZ_JS_Call(&engine_q, ctx, handler, this_val, argc, argv);
    async_context_set_section(previous_section);
    js_free(async_context_swap(previous));
    return result;
}

static jsval
wrap_handler(uint32_t ctx, jsval handler)
{
    uint32_t sp = engine_q.w2c___stack_pointer - 32;
    jsval data[3] = { handler, current, JSV(ENGINE_TAG_INT, section) }, made;

    engine_q.w2c___stack_pointer = sp;
    memcpy(guest_mem(sp, sizeof data), data, sizeof data);
    made = Z_qjsZ_JS_NewCFunctionData(&engine_q, ctx, engine_callback_index(CALLBACK_ALS_TRAMPOLINE), 1, 0, 3, sp);
    engine_q.w2c___stack_pointer = sp + 32;
    return made;
}

/* Stands before perform_promise_then(ctx, promise, handlers[2], capability[2]) while a context is set. */
u32 engine_on_then(Z_qjs_instance_t *q, u32 ctx, u64 promise, u32 handlers, u32 caps,
                   u32 (*real)(Z_qjs_instance_t *, u32, u64, u32, u32));
u32
engine_on_then(Z_qjs_instance_t *q, u32 ctx, u64 promise, u32 handlers, u32 caps,
               u32 (*real)(Z_qjs_instance_t *, u32, u64, u32, u32))
{
    jsval made[2];
    u32 sp, result;

    for (int i = 0; i < 2; i++) {
        jsval handler = load_value(handlers + 8 * (u32)i);

        made[i] = js_is_function(handler) ? wrap_handler(ctx, handler) : JSV_UNDEFINED;
        if (js_is_exception(made[i])) {
            if (i == 1)
                js_free(made[0]);
            return (u32)-1;
        }
    }
    sp = q->w2c___stack_pointer - 16;
    q->w2c___stack_pointer = sp;
    memcpy(guest_mem(sp, sizeof made), made, sizeof made);
    result = real(q, ctx, promise, sp, caps);
    q->w2c___stack_pointer = sp + 16;
    js_free(made[0]);
    js_free(made[1]);
    return result;
}

/* The job that runs another job inside its context; argv = context value, section, job's table index, the job's arguments. */
jsval async_context_job(void *q, uint32_t ctx, uint32_t argc, uint32_t argv);
jsval
async_context_job(void *q, uint32_t ctx, uint32_t argc, uint32_t argv)
{
    wasm_rt_funcref_table_t *table = &engine_q.w2c___indirect_function_table;
    u32 job = (u32)load_value(argv + 16);
    jsval previous, result;
    uint32_t previous_section;

    if (argc < 3 || job >= table->size || table->data[job].func == NULL)
        engine_trap(TRAP_FAULT);
    previous = async_context_swap(js_dup(load_value(argv)));
    previous_section = async_context_set_section((uint32_t)load_value(argv + 8));
    result = ((u64 (*)(void *, u32, u32, u32))table->data[job].func)(table->data[job].module_instance, ctx, argc - 3, argv + 24);
    async_context_set_section(previous_section);
    js_free(async_context_swap(previous));
    return result;
}

/* Stands before JS_EnqueueJob(ctx, job, argc, argv) while a context is set. */
u32 engine_on_job(Z_qjs_instance_t *q, u32 ctx, u32 job, u32 argc, u32 argv, u32 (*real)(Z_qjs_instance_t *, u32, u32, u32, u32));
u32
engine_on_job(Z_qjs_instance_t *q, u32 ctx, u32 job, u32 argc, u32 argv, u32 (*real)(Z_qjs_instance_t *, u32, u32, u32, u32))
{
    u32 bytes = (argc + 3) * 8, sp, result;
    jsval head[3] = { current, JSV(ENGINE_TAG_INT, section), JSV(ENGINE_TAG_INT, job) };

    /* A reaction's handlers carry their own context since they were registered. */
    if (job == ENGINE_JOB_PROMISE_REACTION || argc > 16)
        return real(q, ctx, job, argc, argv);
    sp = (q->w2c___stack_pointer - bytes) & ~15u;
    bytes = q->w2c___stack_pointer - sp;
    q->w2c___stack_pointer = sp;
    memcpy(guest_mem(sp, sizeof head), head, sizeof head);
    if (argc > 0)
        memmove(guest_mem(sp + 24, argc * 8), guest_mem(argv, argc * 8), argc * 8);
    result = real(q, ctx, engine_callback_index(CALLBACK_ALS_JOB), argc + 3, sp);
    q->w2c___stack_pointer = sp + bytes;
    return result;
}
