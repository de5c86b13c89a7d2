/* guest — see guest.h. */
#include "src/worker/guest.h"

#include <assert.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "src/worker/engine.h"
#include "src/worker/worker_limits.h"

#define Q (&engine_q)
#define CTX engine_ctx

/* ---- memory ---- */

uint8_t *
guest_mem(uint32_t ptr, uint32_t len)
{
    uint64_t end = (uint64_t)ptr + len, size = (uint64_t)Q->w2c_memory.pages << 16;

    if (end > size)
        engine_trap(TRAP_FAULT);
    return Q->w2c_memory.data + ptr;
}

#define SCRATCH_BLOCK_BYTES (256u * 1024)

struct scratch_block {
    struct scratch_block *next;
    size_t                used, size;
    max_align_t           data[];
};
static struct scratch_block *scratch;      /* newest first; the first block stays for the next turn */
static size_t                scratch_total;

static struct scratch_block *
scratch_add(size_t size)
{
    struct scratch_block *b = malloc(sizeof *b + size);

    assert(b != NULL);
    *b = (struct scratch_block){ .next = scratch, .size = size };
    scratch = b;
    scratch_total += size;
    return b;
}

void *
guest_scratch(size_t len)
{
    void *p;

    len = (len + 15) & ~(size_t)15;
    if (len > SCRATCH_BYTES_MAX || scratch_total + len > 2 * (size_t)SCRATCH_BYTES_MAX)
        engine_trap(TRAP_MEMORY);
    if (scratch == NULL || scratch->size - scratch->used < len)
        scratch_add(len > SCRATCH_BLOCK_BYTES ? len : SCRATCH_BLOCK_BYTES);
    p = (uint8_t *)scratch->data + scratch->used;
    scratch->used += len;
    return p;
}

struct guest_mark
guest_scratch_mark(void)
{
    return (struct guest_mark){ scratch, scratch != NULL ? scratch->used : 0 };
}

void
guest_scratch_release(struct guest_mark mark)
{
    if (mark.block == NULL) {
        guest_scratch_reset();
        return;
    }
    while (scratch != mark.block) {
        struct scratch_block *gone = scratch;

        scratch = gone->next;
        scratch_total -= gone->size;
        free(gone);
    }
    scratch->used = mark.used;
}

void
guest_scratch_reset(void)
{
    while (scratch != NULL && (scratch->next != NULL || scratch->size > SCRATCH_BLOCK_BYTES)) {
        struct scratch_block *gone = scratch;

        scratch = gone->next;
        scratch_total -= gone->size;
        free(gone);
    }
    if (scratch != NULL)
        scratch->used = 0;
}

uint32_t
guest_alloc(uint32_t len)
{
    uint32_t p = Z_qjsZ_js_malloc(Q, CTX, len == 0 ? 1 : len);

    if (p != 0)
        (void)guest_mem(p, len);
    return p;
}

void
guest_free(uint32_t ptr)
{
    if (ptr != 0)
        Z_qjsZ_js_free(Q, CTX, ptr);
}

/* Space on the guest's own stack for the length of one call; end with stack_pop(previous). */
static uint32_t
stack_push(uint32_t bytes)
{
    uint32_t sp = (Q->w2c___stack_pointer - bytes) & ~15u;

    (void)guest_mem(sp, bytes);
    Q->w2c___stack_pointer = sp;
    return sp;
}

static void
stack_pop(uint32_t previous)
{
    Q->w2c___stack_pointer = previous;
}

/* Short texts travel on the guest's stack, long ones through its allocator. */
struct guest_text {
    uint32_t ptr, allocated, sp;
};

static bool
text_put(struct guest_text *t, struct bytes b)
{
    t->sp = Q->w2c___stack_pointer;
    t->allocated = 0;
    if (b.len + 1 <= 1024) {
        t->ptr = stack_push((uint32_t)b.len + 1);
    } else {
        if (b.len >= UINT32_MAX)
            engine_trap(TRAP_MEMORY);
        t->ptr = t->allocated = guest_alloc((uint32_t)b.len + 1);
        if (t->ptr == 0)
            return false;
    }
    if (b.len > 0)
        memcpy(guest_mem(t->ptr, (uint32_t)b.len + 1), b.data, b.len);
    *guest_mem(t->ptr + (uint32_t)b.len, 1) = 0;
    return true;
}

static void
text_drop(struct guest_text *t)
{
    stack_pop(t->sp);
    guest_free(t->allocated);
}

/* ---- values in ---- */

/* What the engine's constructor MAKE makes of BYTES; COUNT is their number in its units. */
static jsval
from_bytes(u64 (*make)(Z_qjs_instance_t *, u32, u32, u32), struct bytes bytes, size_t count)
{
    struct guest_text t;
    jsval v;

    if (!text_put(&t, bytes))
        return JSV_EXCEPTION;
    v = make(Q, CTX, t.ptr, (u32)count);
    text_drop(&t);
    return v;
}

jsval
js_new_string(struct bytes utf8)
{
    return from_bytes(Z_qjsZ_JS_NewStringLen, utf8, utf8.len);
}

jsval
js_new_string_latin1(struct bytes latin1)
{
    uint16_t *units = guest_scratch(latin1.len * 2 + 2);

    for (size_t i = 0; i < latin1.len; i++)
        units[i] = latin1.data[i];
    return js_new_string_utf16(units, latin1.len);
}

jsval
js_new_string_utf16(const uint16_t *units, size_t len)
{
    return from_bytes(Z_qjsZ_JS_NewStringUTF16, bytes_from(units, len * 2), len);
}

jsval
js_new_number(double d)
{
    union { double d; uint64_t u; } x = { d };
    int32_t i;

    if (d >= INT32_MIN && d <= INT32_MAX && d == (i = (int32_t)d) && !(i == 0 && signbit(d)))
        return JSV(ENGINE_TAG_INT, i);
    if (isnan(d))
        x.u = 0x7ff8000000000000ull;
    return x.u - ((uint64_t)(0x7ff80000 - ENGINE_TAG_FIRST + 1) << 32);
}

jsval
js_new_bigint_i64(int64_t v)
{
    return Z_qjsZ_JS_NewBigInt64(Q, CTX, (u64)v);
}

jsval
js_new_array_buffer(struct bytes copy)
{
    return from_bytes(Z_qjsZ_JS_NewArrayBufferCopy, copy, copy.len);
}

jsval
js_new_uint8_array(struct bytes copy)
{
    return from_bytes(Z_qjsZ_JS_NewUint8ArrayCopy, copy, copy.len);
}

jsval js_new_object(void) { return Z_qjsZ_JS_NewObject(Q, CTX); }
jsval js_new_array(void) { return Z_qjsZ_JS_NewArray(Q, CTX); }
jsval js_new_date(double epoch_ms) { return Z_qjsZ_JS_NewDate(Q, CTX, epoch_ms); }
jsval js_global(void) { return Z_qjsZ_JS_GetGlobalObject(Q, CTX); }

/* ---- values out ---- */

double
js_get_double(jsval v)
{
    union { uint64_t u; double d; } x;

    if (js_is_int(v))
        return (int32_t)v;
    if (!js_is_double(v))
        return NAN;
    x.u = v + ((uint64_t)(0x7ff80000 - ENGINE_TAG_FIRST + 1) << 32);
    return x.d;
}

bool
js_to_double(jsval v, double *out)
{
    uint32_t previous = Q->w2c___stack_pointer, sp;
    bool ok;

    if (js_is_number(v)) {
        *out = js_get_double(v);
        return true;
    }
    sp = stack_push(8);
    ok = Z_qjsZ_JS_ToFloat64(Q, CTX, sp, v) == 0;
    if (ok)
        memcpy(out, guest_mem(sp, 8), 8);
    stack_pop(previous);
    return ok;
}

bool
js_to_bool(jsval v)
{
    return (int)Z_qjsZ_JS_ToBool(Q, CTX, v) > 0;
}

bool
js_to_utf8(jsval v, struct bytes *out)
{
    uint32_t previous = Q->w2c___stack_pointer, sp = stack_push(8), ptr, len;
    char *copy;

    ptr = Z_qjsZ_JS_ToCStringLen2(Q, CTX, sp, v, 0);
    memcpy(&len, guest_mem(sp, 4), 4);
    stack_pop(previous);
    if (ptr == 0)
        return false;
    copy = guest_scratch((size_t)len + 1);
    memcpy(copy, guest_mem(ptr, len), len);
    copy[len] = '\0';
    Z_qjsZ_JS_FreeCString(Q, CTX, ptr);
    *out = bytes_from(copy, len);
    return true;
}

bool
js_to_utf16(jsval v, const uint16_t **out_units, size_t *out_len)
{
    uint32_t previous = Q->w2c___stack_pointer, sp = stack_push(8), ptr, len;
    uint16_t *copy;

    ptr = Z_qjsZ_JS_ToCStringLenUTF16(Q, CTX, sp, v);
    memcpy(&len, guest_mem(sp, 4), 4);
    stack_pop(previous);
    if (ptr == 0)
        return false;
    if (len > UINT32_MAX / 2)
        engine_trap(TRAP_FAULT);
    copy = guest_scratch((size_t)len * 2 + 2);
    memcpy(copy, guest_mem(ptr, len * 2), (size_t)len * 2);
    Z_qjsZ_JS_FreeCStringUTF16(Q, CTX, ptr);
    *out_units = copy;
    *out_len = len;
    return true;
}

static bool
buffer_bytes(jsval buffer, uint32_t *out_ptr, uint32_t *out_len)
{
    uint32_t previous = Q->w2c___stack_pointer, sp = stack_push(8);

    *out_ptr = Z_qjsZ_JS_GetArrayBuffer(Q, CTX, sp, buffer);
    memcpy(out_len, guest_mem(sp, 4), 4);
    stack_pop(previous);
    if (*out_ptr == 0 && Z_qjsZ_JS_HasException(Q, CTX))
        js_free(js_take_exception());
    return *out_ptr != 0;
}

static bool
number_property(jsval obj, uint32_t atom, uint32_t *out)
{
    jsval v = js_get(obj, atom);
    double d;

    if (js_is_exception(v)) {
        js_free(js_take_exception());
        return false;
    }
    d = js_get_double(v);
    js_free(v);
    if (!(d >= 0 && d <= UINT32_MAX))
        return false;
    *out = (uint32_t)d;
    return true;
}

bool
js_view_bytes(jsval v, struct bytes *out)
{
    uint32_t ptr, len, offset, view_len;
    jsval buffer;
    bool ok;

    if (!js_is_object(v))
        return false;
    if (Z_qjsZ_JS_IsArrayBuffer(Q, v)) {
        if (!buffer_bytes(v, &ptr, &len))
            return false;
        *out = bytes_from(guest_mem(ptr, len), len);
        return true;
    }
    if ((int)Z_qjsZ_JS_GetTypedArrayType(Q, v) < 0 && !Z_qjsZ_JS_IsDataView(Q, v))
        return false;
    buffer = js_get(v, A(buffer));
    if (js_is_exception(buffer)) {
        js_free(js_take_exception());
        return false;
    }
    ok = number_property(v, A(byteOffset), &offset) && number_property(v, A(byteLength), &view_len) &&
         buffer_bytes(buffer, &ptr, &len) && offset <= len && view_len <= len - offset;
    js_free(buffer);               /* the view keeps it alive */
    if (!ok)
        return false;
    *out = bytes_from(guest_mem(ptr + offset, view_len), view_len);
    return true;
}

bool
js_to_bytes(jsval v, const char *what, struct bytes *out)
{
    if (js_is_string(v))
        return js_to_utf8(v, out);
    if (js_view_bytes(v, out))
        return true;
    js_throw_type("%s must be a string, an ArrayBuffer or a view", what);
    return false;
}

/* ---- objects ---- */

jsval js_get(jsval obj, uint32_t atom) { return Z_qjsZ_JS_GetProperty(Q, CTX, obj, atom); }
jsval js_get_index(jsval obj, uint32_t index) { return Z_qjsZ_JS_GetPropertyUint32(Q, CTX, obj, index); }
bool js_set(jsval obj, uint32_t atom, jsval value) { return (int)Z_qjsZ_JS_SetProperty(Q, CTX, obj, atom, value) >= 0; }

jsval
js_get_str(jsval obj, const char *name)
{
    struct guest_text t;
    jsval v;

    if (!text_put(&t, bytes_of(name)))
        return JSV_EXCEPTION;
    v = Z_qjsZ_JS_GetPropertyStr(Q, CTX, obj, t.ptr);
    text_drop(&t);
    return v;
}

bool
js_set_str(jsval obj, const char *name, jsval value)
{
    struct guest_text t;
    bool ok;

    if (!text_put(&t, bytes_of(name))) {
        js_free(value);
        return false;
    }
    ok = (int)Z_qjsZ_JS_DefinePropertyValueStr(Q, CTX, obj, t.ptr, value, ENGINE_PROP_NORMAL) >= 0;
    text_drop(&t);
    return ok;
}

bool
js_set_index(jsval obj, uint32_t index, jsval value)
{
    return (int)Z_qjsZ_JS_DefinePropertyValueUint32(Q, CTX, obj, index, value, ENGINE_PROP_NORMAL) >= 0;
}

bool
js_define_atom(jsval obj, uint32_t atom, jsval value)
{
    return (int)Z_qjsZ_JS_DefinePropertyValue(Q, CTX, obj, atom, value, ENGINE_PROP_NORMAL) >= 0;
}

uint32_t
js_new_atom(struct bytes utf8)
{
    struct guest_text t;
    uint32_t atom;

    if (!text_put(&t, utf8))
        return 0;
    atom = Z_qjsZ_JS_NewAtomLen(Q, CTX, t.ptr, (u32)utf8.len);
    text_drop(&t);
    return atom;
}

void js_free_atom(uint32_t atom) { Z_qjsZ_JS_FreeAtom(Q, CTX, atom); }

bool
js_get_length(jsval obj, int64_t *out)
{
    uint32_t previous = Q->w2c___stack_pointer, sp = stack_push(8);
    bool ok = Z_qjsZ_JS_GetLength(Q, CTX, obj, sp) == 0;

    if (ok)
        memcpy(out, guest_mem(sp, 8), 8);
    stack_pop(previous);
    return ok;
}

bool
js_names_get(jsval obj, enum js_names_of which, struct js_names *out_names)
{
    uint32_t previous = Q->w2c___stack_pointer, sp = stack_push(8);
    bool ok = (int)Z_qjsZ_JS_GetOwnPropertyNames(Q, CTX, sp, sp + 4, obj, (u32)which) == 0;

    memcpy(&out_names->tab, guest_mem(sp, 4), 4);
    memcpy(&out_names->count, guest_mem(sp + 4, 4), 4);
    stack_pop(previous);
    return ok;
}

/* The engine's table: struct { int is_enumerable; JSAtom atom; }. */
uint32_t
js_names_atom(const struct js_names *names, uint32_t i)
{
    uint32_t atom;

    memcpy(&atom, guest_mem(names->tab + 8 * i + 4, 4), 4);
    return atom;
}

void
js_names_free(struct js_names *names)
{
    Z_qjsZ_JS_FreePropertyEnum(Q, CTX, names->tab, names->count);
}

bool js_is_array(jsval v) { return (int)Z_qjsZ_JS_IsArray(Q, v) > 0; }
bool js_is_function(jsval v) { return js_is_object(v) && Z_qjsZ_JS_IsFunction(Q, CTX, v); }
bool js_is_error(jsval v) { return js_is_object(v) && Z_qjsZ_JS_IsError(Q, v); }
int js_class_id(jsval v) { return js_is_object(v) ? (int)Z_qjsZ_JS_GetClassID(Q, v) : -1; }

jsval
js_call(jsval fn, jsval this_val, int argc, const jsval *argv)
{
    uint32_t previous = Q->w2c___stack_pointer, bytes = (uint32_t)argc * 8, sp = stack_push(bytes);
    jsval result;

    if (argc > 0)
        memcpy(guest_mem(sp, bytes), argv, bytes);
    result = Z_qjsZ_JS_Call(Q, CTX, fn, this_val, (u32)argc, sp);
    stack_pop(previous);
    return result;
}

jsval
js_dup(jsval v)
{
    return (uint32_t)JSV_TAG(v) >= (uint32_t)ENGINE_TAG_FIRST ? Z_qjsZ_JS_DupValue(Q, CTX, v) : v;
}

void
js_free(jsval v)
{
    if ((uint32_t)JSV_TAG(v) >= (uint32_t)ENGINE_TAG_FIRST)
        Z_qjsZ_JS_FreeValue(Q, CTX, v);
}

/* ---- exceptions ---- */

jsval
js_throw(jsval error)
{
    return Z_qjsZ_JS_Throw(Q, CTX, error);
}

#define THROW_TEXT_MAX 2048

/* The engine's JS_ThrowXError(ctx, "%s", text): variadic arguments are a pointer to them on the guest's stack. */
static jsval
throw_text(u64 (*thrower)(Z_qjs_instance_t *, u32, u32, u32), const char *fmt, va_list va)
{
    char text[THROW_TEXT_MAX];
    int n = vsnprintf(text, sizeof text, fmt, va);
    uint32_t previous = Q->w2c___stack_pointer, sp;
    struct guest_text t, f;
    jsval v = JSV_EXCEPTION;

    if (n < 0)
        n = 0;
    if (n >= (int)sizeof text)
        n = (int)sizeof text - 1;
    if (text_put(&t, bytes_from(text, (size_t)n))) {
        if (text_put(&f, BYTES_LIT("%s"))) {
            sp = stack_push(16);
            memcpy(guest_mem(sp, 4), &t.ptr, 4);
            v = thrower(Q, CTX, f.ptr, sp);
            text_drop(&f);
        }
        text_drop(&t);
    }
    stack_pop(previous);
    return v;
}

#define THROWER(name, fn)                                                                                              \
    jsval name(const char *fmt, ...)                                                                                   \
    {                                                                                                                  \
        va_list va;                                                                                                    \
        jsval v;                                                                                                       \
        va_start(va, fmt);                                                                                             \
        v = throw_text(fn, fmt, va);                                                                                   \
        va_end(va);                                                                                                    \
        return v;                                                                                                      \
    }
THROWER(js_throw_type, Z_qjsZ_JS_ThrowTypeError)
THROWER(js_throw_range, Z_qjsZ_JS_ThrowRangeError)
THROWER(js_throw_error, Z_qjsZ_JS_ThrowPlainError)

jsval
js_throw_dom(const char *name, const char *fmt, ...)
{
    char text[THROW_TEXT_MAX];
    jsval ctor, global = js_global(), args[2], error;
    va_list va;

    va_start(va, fmt);
    (void)vsnprintf(text, sizeof text, fmt, va);
    va_end(va);
    ctor = js_get_str(global, "DOMException");
    js_free(global);
    args[0] = js_new_string(bytes_of(text));
    args[1] = js_new_string(bytes_of(name));
    {
        uint32_t previous = Q->w2c___stack_pointer, sp = stack_push(16);

        memcpy(guest_mem(sp, 16), args, 16);
        error = Z_qjsZ_JS_CallConstructor(Q, CTX, ctor, 2, sp);
        stack_pop(previous);
    }
    js_free(args[0]);
    js_free(args[1]);
    js_free(ctor);
    return js_is_exception(error) ? JSV_EXCEPTION : js_throw(error);
}

jsval
js_take_exception(void)
{
    return Z_qjsZ_JS_GetException(Q, CTX);
}

jsval
guest_arg(uint32_t argc, uint32_t argv, uint32_t i)
{
    jsval v;

    if (i >= argc)
        return JSV_UNDEFINED;
    memcpy(&v, guest_mem(argv + 8 * i, 8), 8);
    return v;
}
