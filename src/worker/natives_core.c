/* natives_core — the natives of process, context and time (docs/host-interface.md, section 1). */
#include <stdio.h>
#include <string.h>

#include "lib/sys/sys.h"
#include "src/worker/async_context.h"
#include "src/worker/heap.h"
#include "src/worker/natives.h"

jsval
native_install(NATIVE_PARAMS)
{
    if (!heap_is_global_scope() || !js_is_function(ARG(0)) || !js_is_object(ARG(1)))
        return js_throw_type("install takes a function and an object, once");
    heap_install(js_dup(ARG(0)), js_dup(ARG(1)));
    return JSV_UNDEFINED;
}

jsval
native_exports(NATIVE_PARAMS)
{
    return js_dup(heap_exports());
}

jsval
native_now(NATIVE_PARAMS)
{
    return js_new_number((double)clock_wall_ms());
}

jsval
native_mono(NATIVE_PARAMS)
{
    return js_new_number((double)clock_mono_us() / 1000);
}

/* 53 random bits as a fraction: Math.random, which must not come from a state that a template copies. */
jsval
native_rand(NATIVE_PARAMS)
{
    static uint64_t pool[64];
    static size_t left;

    if (left == 0) {
        rng_bytes(pool, sizeof pool);
        left = ARRAY_LEN(pool);
    }
    return js_new_number((double)(pool[--left] >> 11) * 0x1p-53);
}

jsval
native_random(NATIVE_PARAMS)
{
    struct bytes view;

    if (!js_view_bytes(ARG(0), &view))
        return js_throw_type("random takes a view");
    if (view.len > 0)
        rng_bytes((uint8_t *)(uintptr_t)view.data, view.len);
    return JSV_UNDEFINED;
}

jsval
native_uuid(NATIVE_PARAMS)
{
    uint8_t b[16];
    char text[37];

    rng_bytes(b, sizeof b);
    b[6] = (uint8_t)((b[6] & 0x0f) | 0x40);        /* RFC 9562 section 5.4: version 4 */
    b[8] = (uint8_t)((b[8] & 0x3f) | 0x80);
    (void)snprintf(text, sizeof text, "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", b[0], b[1], b[2],
                   b[3], b[4], b[5], b[6], b[7], b[8], b[9], b[10], b[11], b[12], b[13], b[14], b[15]);
    return js_new_string(bytes_from(text, 36));
}

jsval
native_als(NATIVE_PARAMS)
{
    return js_dup(async_context_value());
}

jsval
native_als_set(NATIVE_PARAMS)
{
    return async_context_swap(js_dup(ARG(0)));
}

jsval
native_cs(NATIVE_PARAMS)
{
    return JSV(ENGINE_TAG_INT, async_context_section());
}

jsval
native_cs_set(NATIVE_PARAMS)
{
    double d = js_get_double(ARG(0));

    if (!(d >= 0 && d <= INT32_MAX))
        return js_throw_type("csSet takes a section number");
    return JSV(ENGINE_TAG_INT, async_context_set_section((uint32_t)d));
}
