/* natives_misc — boot, sections, logs, promises, ids, abort (docs/host-interface.md). */
#include <stdlib.h>
#include <string.h>

#include "lib/ident/ident.h"
#include "src/worker/deploy.h"
#include "src/worker/engine.h"
#include "src/worker/heap.h"
#include "src/worker/log.h"
#include "src/worker/natives.h"
#include "src/worker/stack_map.h"
#include "src/worker/worker.h"

jsval
native_booted(NATIVE_PARAMS)
{
    struct agent *a = agent_current();
    struct bytes message = BYTES_NONE, detail = BYTES_NONE;

    if (js_to_bool(ARG(0))) {
        agent_booted(a, NULL, BYTES_NONE);
        return JSV_UNDEFINED;
    }
    if (!js_to_utf8(ARG(1), &message))
        return JSV_EXCEPTION;
    (void)js_view_bytes(ARG(2), &detail);
    agent_booted(a, (const char *)message.data, detail);
    return JSV_UNDEFINED;
}

static bool
section_arg(jsval v, uint32_t *out)
{
    double d = js_get_double(v);

    if (!(d >= 1 && d <= INT32_MAX)) {
        js_throw_type("a section number is expected");
        return false;
    }
    *out = (uint32_t)d;
    return true;
}

jsval
native_block(NATIVE_PARAMS)
{
    struct agent *a = agent_current();
    uint32_t n;

    if (!section_arg(ARG(0), &n))
        return JSV_EXCEPTION;
    if (a->sections_count >= SECTIONS_MAX)
        return js_throw_error("blockConcurrencyWhile() calls are nested too deeply.");
    a->sections[a->sections_count++] = n;
    return JSV_UNDEFINED;
}

jsval
native_unblock(NATIVE_PARAMS)
{
    struct agent *a = agent_current();
    uint32_t n;

    if (!section_arg(ARG(0), &n))
        return JSV_EXCEPTION;
    for (unsigned i = a->sections_count; i-- > 0;) {
        if (a->sections[i] != n)
            continue;
        memmove(&a->sections[i], &a->sections[i + 1], (a->sections_count - i - 1) * sizeof a->sections[0]);
        a->sections_count--;
        break;
    }
    return JSV_UNDEFINED;
}

jsval
native_log(NATIVE_PARAMS)
{
    double level = js_get_double(ARG(0));
    struct bytes text;

    if (!js_to_utf8(ARG(1), &text))
        return JSV_EXCEPTION;
    worker_log_console(heap_is_global_scope() ? NULL : agent_current(), level >= 0 && level <= 3 ? (int)level : 1, text);
    return JSV_UNDEFINED;
}

jsval
native_abort(NATIVE_PARAMS)
{
    struct agent *a = agent_current();
    struct bytes message;

    if (!js_to_utf8(ARG(0), &message))
        return JSV_EXCEPTION;
    free(a->abort_message);
    a->abort_message = bytes_dup(message);
    a->abort_stops_alarm = argc > 1 && !js_to_bool(ARG(1));
    engine_trap(TRAP_ABORT);
}

jsval
native_map_stack(NATIVE_PARAMS)
{
    struct agent *a = heap_is_global_scope() ? NULL : agent_current();
    static struct buf out;             /* kept: creating the string may leave by a trap */
    struct bytes stack;

    if (!js_to_utf8(ARG(0), &stack))
        return JSV_EXCEPTION;
    if (a == NULL || a->deploy == NULL || a->deploy->map == NULL)
        return js_new_string(stack);
    buf_clear(&out);
    stack_map_text(a->deploy->map, stack, &out);
    return js_new_string(buf_view(&out));
}

jsval
native_microtask(NATIVE_PARAMS)
{
    uint32_t previous = engine_q.w2c___stack_pointer, sp = previous - 16;
    jsval fn = ARG(0);
    int r;

    if (!js_is_function(fn))
        return js_throw_type("microtask takes a function");
    engine_q.w2c___stack_pointer = sp;
    memcpy(guest_mem(sp, sizeof fn), &fn, sizeof fn);
    r = (int)Z_qjsZ_JS_EnqueueJob(&engine_q, engine_ctx, ENGINE_JOB_MICROTASK, 1, sp);
    engine_q.w2c___stack_pointer = previous;
    return r < 0 ? JSV_EXCEPTION : JSV_UNDEFINED;
}

jsval
native_promise_state(NATIVE_PARAMS)
{
    int state = (int)Z_qjsZ_JS_PromiseState(&engine_q, engine_ctx, ARG(0));

    return js_new_number(state < 0 ? -1 : state);
}

jsval
native_promise_result(NATIVE_PARAMS)
{
    return Z_qjsZ_JS_PromiseResult(&engine_q, engine_ctx, ARG(0));
}

/* ---- ids ---- */

static bool
key_arg(jsval class_name, struct ident_key *out)
{
    struct bytes name;

    if (!js_to_utf8(class_name, &name))
        return false;
    ident_key_init(out, bytes_of(worker.app), name);
    return true;
}

static jsval
id_text(const struct agent_id *id)
{
    char hex[65];

    agent_id_to_hex(id, hex);
    return js_new_string(bytes_from(hex, 64));
}

jsval
native_id_from_name(NATIVE_PARAMS)
{
    struct ident_key key;
    struct agent_id id;
    struct bytes name;

    if (!key_arg(ARG(0), &key) || !js_to_utf8(ARG(1), &name))
        return JSV_EXCEPTION;
    ident_from_name(&key, name, &id);
    return id_text(&id);
}

jsval
native_id_new(NATIVE_PARAMS)
{
    struct ident_key key;
    struct agent_id id;

    if (!key_arg(ARG(0), &key))
        return JSV_EXCEPTION;
    ident_new(&key, &id);
    return id_text(&id);
}

jsval
native_id_check(NATIVE_PARAMS)
{
    struct ident_key key;
    struct agent_id id;
    struct bytes hex;

    if (!key_arg(ARG(0), &key) || !js_to_utf8(ARG(1), &hex))
        return JSV_EXCEPTION;
    return js_new_bool(agent_id_from_hex(&id, hex) && ident_is_of(&key, &id));
}
