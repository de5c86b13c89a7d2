/* clone_read — from V8's format to values, and the natives; see clone.h. The bytes are hostile: every length is checked. */
#include <math.h>
#include <string.h>

#include "src/worker/clone.h"
#include "src/worker/clone_format.h"
#include "src/worker/engine.h"
#include "src/worker/natives.h"

#define VERSION_MIN 9                  /* what V8 itself still reads */
#define VIEW_FLAGS_SINCE 14

struct reader {
    struct bytes in;
    size_t       at;
    uint32_t     version;
    unsigned     depth;
    jsval        objects;              /* an array: number → object */
    uint32_t     count;
};

static jsval read_value(struct reader *r);

static jsval
damaged(void)
{
    return js_throw_dom("DataCloneError", "Unable to deserialize cloned data.");
}

/* ---- bytes ---- */

static bool
get_bytes(struct reader *r, size_t n, const uint8_t **out)
{
    if (n > r->in.len - r->at)
        return false;
    *out = r->in.data + r->at;
    r->at += n;
    return true;
}

static bool
get_varint(struct reader *r, uint64_t *out)
{
    unsigned shift = 0;

    *out = 0;
    while (r->at < r->in.len && shift < 64) {
        uint8_t b = r->in.data[r->at++];

        *out |= (uint64_t)(b & 0x7f) << shift;
        if (!(b & 0x80))
            return true;
        shift += 7;
    }
    return false;
}

static bool
get_u32(struct reader *r, uint32_t *out)
{
    uint64_t v;

    if (!get_varint(r, &v) || v > UINT32_MAX)
        return false;
    *out = (uint32_t)v;
    return true;
}

static bool
get_double(struct reader *r, double *out)
{
    const uint8_t *p;

    if (!get_bytes(r, 8, &p))
        return false;
    memcpy(out, p, 8);
    return true;
}

static int
peek_tag(struct reader *r)
{
    while (r->at < r->in.len && r->in.data[r->at] == TAG_PADDING)
        r->at++;
    return r->at < r->in.len ? r->in.data[r->at] : -1;
}

static int
get_tag(struct reader *r)
{
    int tag = peek_tag(r);

    if (tag >= 0)
        r->at++;
    return tag;
}

/* ---- numbering ---- */

/* Gives OBJ the next number; the array keeps it alive. */
static bool
number_object(struct reader *r, jsval obj)
{
    return !js_is_exception(obj) && js_set_index(r->objects, r->count++, js_dup(obj));
}

/* ---- strings ---- */

static jsval
read_string_body(struct reader *r, int tag)
{
    const uint8_t *p;
    uint32_t len;

    if (!get_u32(r, &len) || !get_bytes(r, len, &p))
        return damaged();
    if (tag == TAG_UTF8)
        return js_new_string(bytes_from(p, len));
    if (tag == TAG_TWO_BYTE) {
        uint16_t *units;

        if (len % 2 != 0)
            return damaged();
        units = guest_scratch(len + 2);
        memcpy(units, p, len);
        return js_new_string_utf16(units, len / 2);
    }
    for (uint32_t i = 0; i < len; i++)
        if (p[i] >= 0x80)
            return js_new_string_latin1(bytes_from(p, len));
    return js_new_string(bytes_from(p, len));
}

static jsval
read_string(struct reader *r)
{
    int tag = get_tag(r);

    return tag == TAG_UTF8 || tag == TAG_ONE_BYTE || tag == TAG_TWO_BYTE ? read_string_body(r, tag) : damaged();
}

static jsval
construct(const char *name, int argc, const jsval *argv)
{
    jsval global = js_global(), ctor = js_get_str(global, name), made = JSV_EXCEPTION;
    uint32_t previous = engine_q.w2c___stack_pointer, sp = (previous - (uint32_t)argc * 8) & ~15u;

    js_free(global);
    if (!js_is_exception(ctor)) {
        engine_q.w2c___stack_pointer = sp;
        if (argc > 0)
            memcpy(guest_mem(sp, (uint32_t)argc * 8), argv, (size_t)argc * 8);
        made = Z_qjsZ_JS_CallConstructor(&engine_q, engine_ctx, ctor, (u32)argc, sp);
        engine_q.w2c___stack_pointer = previous;
        js_free(ctor);
    }
    return made;
}

static jsval
call_global(const char *name, jsval arg)
{
    jsval global = js_global(), fn = js_get_str(global, name), result;

    js_free(global);
    result = js_is_exception(fn) ? JSV_EXCEPTION : js_call(fn, JSV_UNDEFINED, 1, &arg);
    js_free(fn);
    return result;
}

static jsval
read_bigint(struct reader *r)
{
    static const char digits[] = "0123456789abcdef";
    const uint8_t *p;
    uint32_t bits, len;
    size_t n = 0;
    char *text;
    jsval hex, v;

    if (!get_u32(r, &bits))
        return damaged();
    len = bits >> 1;
    if (!get_bytes(r, len, &p))
        return damaged();
    text = guest_scratch((size_t)len * 2 + 8);
    text[n++] = '0';
    text[n++] = 'x';
    text[n++] = '0';
    for (uint32_t i = len; i-- > 0;) {
        text[n++] = digits[p[i] >> 4];
        text[n++] = digits[p[i] & 15];
    }
    hex = js_new_string(bytes_from(text, n));
    v = call_global("BigInt", hex);
    js_free(hex);
    if ((bits & 1) && !js_is_exception(v)) {       /* 0 - v */
        jsval negate = js_get_str(v, "toString"), shown = js_call(negate, v, 0, NULL);
        struct bytes t;
        char *minus;

        js_free(negate);
        js_free(v);
        if (js_is_exception(shown) || !js_to_utf8(shown, &t))
            return JSV_EXCEPTION;
        js_free(shown);
        minus = guest_scratch(t.len + 1);
        minus[0] = '-';
        memcpy(minus + 1, t.data, t.len);
        hex = js_new_string(bytes_from(minus, t.len + 1));
        v = call_global("BigInt", hex);
        js_free(hex);
    }
    return v;
}

/* ---- objects ---- */

/* key, value … until END; *out_count: how many. Defines own properties: no setter of the app's runs. */
static bool
read_properties(struct reader *r, jsval obj, int end, uint32_t *out_count)
{
    *out_count = 0;
    for (;;) {
        int tag = peek_tag(r);
        jsval key, value;
        bool ok;

        if (tag < 0) {
            damaged();
            return false;
        }
        if (tag == end) {
            r->at++;
            return true;
        }
        key = read_value(r);
        if (js_is_exception(key))
            return false;
        if (!js_is_string(key) && !js_is_number(key)) {
            js_free(key);
            damaged();
            return false;
        }
        value = read_value(r);
        if (js_is_exception(value))
            return false;
        if (js_is_int(key) && (int32_t)key >= 0) {
            ok = js_set_index(obj, (uint32_t)key, value);
        } else {
            struct bytes text;
            uint32_t atom;

            if (!js_to_utf8(key, &text))
                return false;
            atom = js_new_atom(text);
            ok = atom != 0 && js_define_atom(obj, atom, value);
            js_free_atom(atom);
        }
        js_free(key);
        if (!ok)
            return false;
        ++*out_count;
    }
}

static jsval
read_object(struct reader *r)
{
    jsval obj = js_new_object();
    uint32_t n, said;

    if (!number_object(r, obj) || !read_properties(r, obj, TAG_OBJECT_END, &n))
        return JSV_EXCEPTION;
    return get_u32(r, &said) && said == n ? obj : damaged();
}

static jsval
read_array(struct reader *r, bool is_dense)
{
    jsval array = js_new_array();
    uint32_t len, n, said, said_len;

    if (!get_u32(r, &len) || (is_dense && len > r->in.len - r->at))
        return damaged();
    if (!number_object(r, array) || !js_set(array, A(length), js_new_number(len)))
        return JSV_EXCEPTION;
    for (uint32_t i = 0; is_dense && i < len; i++) {
        jsval v;

        if (peek_tag(r) == TAG_HOLE) {
            r->at++;
            continue;
        }
        v = read_value(r);
        if (js_is_exception(v) || !js_set_index(array, i, v))
            return JSV_EXCEPTION;
    }
    if (!read_properties(r, array, is_dense ? TAG_DENSE_END : TAG_SPARSE_END, &n))
        return JSV_EXCEPTION;
    return get_u32(r, &said) && get_u32(r, &said_len) && said == n && said_len == len ? array : damaged();
}

static bool
add_entry(jsval collection, const char *method, int argc, const jsval *argv)
{
    jsval fn = js_get_str(collection, method), result;

    result = js_is_exception(fn) ? JSV_EXCEPTION : js_call(fn, collection, argc, argv);
    js_free(fn);
    js_free(result);
    return !js_is_exception(result);
}

static jsval
read_collection(struct reader *r, bool is_map)
{
    jsval made = construct(is_map ? "Map" : "Set", 0, NULL);
    uint32_t n = 0, said;

    if (!number_object(r, made))
        return JSV_EXCEPTION;
    while (peek_tag(r) != (is_map ? TAG_MAP_END : TAG_SET_END)) {
        jsval pair[2] = { JSV_UNDEFINED, JSV_UNDEFINED };
        bool ok;

        pair[0] = read_value(r);
        if (js_is_exception(pair[0]))
            return JSV_EXCEPTION;
        if (is_map) {
            pair[1] = read_value(r);
            if (js_is_exception(pair[1]))
                return JSV_EXCEPTION;
        }
        ok = add_entry(made, is_map ? "set" : "add", is_map ? 2 : 1, pair);
        js_free(pair[0]);
        js_free(pair[1]);
        if (!ok)
            return JSV_EXCEPTION;
        n += is_map ? 2 : 1;
    }
    r->at++;
    return get_u32(r, &said) && said == n ? made : damaged();
}

static jsval
read_regexp(struct reader *r)
{
    static const char letters[] = "gimyus\0dv";     /* by bit; V8's bit 6 (linear) has no letter here */
    jsval args[2] = { read_string(r), JSV_UNDEFINED }, made;
    char flags[10];
    uint32_t bits;
    size_t n = 0;

    if (js_is_exception(args[0]))
        return JSV_EXCEPTION;
    if (!get_u32(r, &bits))
        return damaged();
    for (unsigned i = 0; i < 9; i++)
        if ((bits & (1u << i)) && letters[i] != '\0')
            flags[n++] = letters[i];
    args[1] = js_new_string(bytes_from(flags, n));
    made = construct("RegExp", 2, args);
    js_free(args[0]);
    js_free(args[1]);
    if (js_is_exception(made)) {
        js_free(js_take_exception());
        return damaged();
    }
    return number_object(r, made) ? made : JSV_EXCEPTION;
}

static jsval
read_boxed(struct reader *r, int tag)
{
    jsval v, made;
    double d;

    switch (tag) {
    case TAG_TRUE_OBJECT: v = JSV_TRUE; break;
    case TAG_FALSE_OBJECT: v = JSV_FALSE; break;
    case TAG_NUMBER_OBJECT:
        if (!get_double(r, &d))
            return damaged();
        v = js_new_number(d);
        break;
    case TAG_BIGINT_OBJECT: v = read_bigint(r); break;
    default: v = read_string(r);
    }
    if (js_is_exception(v))
        return JSV_EXCEPTION;
    made = call_global("Object", v);
    js_free(v);
    return number_object(r, made) ? made : JSV_EXCEPTION;
}

/* ---- errors ---- */

static const char *
error_class(int tag)
{
    switch (tag) {
    case ERROR_EVAL: return "EvalError";
    case ERROR_RANGE: return "RangeError";
    case ERROR_REFERENCE: return "ReferenceError";
    case ERROR_SYNTAX: return "SyntaxError";
    case ERROR_TYPE: return "TypeError";
    case ERROR_URI: return "URIError";
    default: return NULL;
    }
}

/* Hidden as the language's own: not enumerable. */
static bool
define_hidden(jsval obj, uint32_t atom, jsval value)
{
    return (int)Z_qjsZ_JS_DefinePropertyValue(&engine_q, engine_ctx, obj, atom, value, 3) >= 0;    /* configurable, writable */
}

static jsval
read_error(struct reader *r)
{
    int tag = peek_tag(r);
    const char *class_name = error_class(tag);
    jsval made, v;

    if (class_name != NULL)
        r->at++;
    made = construct(class_name != NULL ? class_name : "Error", 0, NULL);
    if (!number_object(r, made))
        return JSV_EXCEPTION;
    if ((int)Z_qjsZ_JS_DeleteProperty(&engine_q, engine_ctx, made, A(stack), 0) < 0)
        js_free(js_take_exception());
    for (;;) {
        uint32_t atom;

        tag = get_tag(r);
        if (tag == ERROR_END)
            return made;
        if (tag == ERROR_MESSAGE || tag == ERROR_STACK)
            v = read_string(r);
        else if (tag == ERROR_CAUSE)
            v = read_value(r);
        else
            return damaged();
        atom = tag == ERROR_MESSAGE ? A(message) : tag == ERROR_STACK ? A(stack) : A(cause);
        if (js_is_exception(v) || !define_hidden(made, atom, v))
            return JSV_EXCEPTION;
    }
}

/* An error of CLONE_ERROR_NAMES with its message, and without a stack of its own. */
static jsval
new_error(uint32_t number, jsval message)
{
    static const char *const known[] = CLONE_ERROR_NAMES;
    const char *class_name = number < ARRAY_LEN(known) && known[number][0] != '\0' ? known[number] : "Error";
    bool is_aggregate = strcmp(class_name, "AggregateError") == 0;
    jsval args[2] = { is_aggregate ? js_new_array() : message, message };
    jsval made = construct(class_name, is_aggregate ? 2 : 1, args);

    if (is_aggregate)
        js_free(args[0]);
    if (!js_is_exception(made) && (int)Z_qjsZ_JS_DeleteProperty(&engine_q, engine_ctx, made, A(stack), 0) < 0)
        js_free(js_take_exception());
    return made;
}

/* Its number was given before what it holds is read; the properties come as a plain object, which has a number, too. */
static jsval
read_host_error(struct reader *r)
{
    uint32_t id = r->count++, number, n, said;
    jsval name = JSV_UNDEFINED, message, made;

    if (!get_u32(r, &number))
        return damaged();
    if (number == 0 && js_is_exception(name = read_value(r)))
        return JSV_EXCEPTION;
    message = read_value(r);
    if (js_is_exception(message))
        return JSV_EXCEPTION;
    if (!js_is_string(message))
        return damaged();
    made = new_error(number, message);
    js_free(message);
    if (js_is_exception(made) || !js_set_index(r->objects, id, js_dup(made)))
        return JSV_EXCEPTION;
    if (!js_is_undefined(name) && !define_hidden(made, A(name), name))
        return JSV_EXCEPTION;
    if (get_tag(r) != TAG_OBJECT)
        return damaged();
    if (!number_object(r, made) || !read_properties(r, made, TAG_OBJECT_END, &n))
        return JSV_EXCEPTION;
    return get_u32(r, &said) && said == n ? made : damaged();
}

static bool
get_text(struct reader *r, struct bytes *out)
{
    uint32_t len;

    out->len = 0;
    if (!get_u32(r, &len) || !get_bytes(r, len, &out->data))
        return false;
    out->len = len;
    return true;
}

static jsval
read_dom_exception(struct reader *r)
{
    struct bytes name, message, stack;
    jsval args[2], made;

    if (!get_text(r, &name) || !get_text(r, &message) || !get_text(r, &stack))
        return damaged();
    args[0] = js_new_string(message);
    args[1] = js_new_string(name);
    made = construct("DOMException", 2, args);
    js_free(args[0]);
    js_free(args[1]);
    if (!number_object(r, made) || !define_hidden(made, A(stack), js_new_string(stack)))
        return JSV_EXCEPTION;
    return made;
}

static jsval
read_host(struct reader *r)
{
    uint32_t kind;

    if (!get_u32(r, &kind))
        return damaged();
    return kind == HOST_ERROR ? read_host_error(r) : kind == HOST_DOM_EXCEPTION ? read_dom_exception(r) : damaged();
}

/* ---- buffers ---- */

static jsval
read_view(struct reader *r, jsval buffer, uint32_t buffer_len)
{
    static const char *const names[] = { "Uint8ClampedArray", "Int8Array", "Uint8Array", "Int16Array", "Uint16Array", "Int32Array",
                                         "Uint32Array", "BigInt64Array", "BigUint64Array", "Float16Array", "Float32Array", "Float64Array" };
    static const uint8_t sizes[] = { 1, 1, 1, 2, 2, 4, 4, 8, 8, 2, 4, 8 };
    static const char tags[] = CLONE_VIEW_TAGS;
    const uint8_t *kind;
    uint32_t offset, len, flags = 0, size;
    const char *at;
    jsval args[3], made;

    if (!get_bytes(r, 1, &kind) || !get_u32(r, &offset) || !get_u32(r, &len) ||
        (r->version >= VIEW_FLAGS_SINCE && !get_u32(r, &flags)) || offset > buffer_len || len > buffer_len - offset)
        return damaged();
    at = *kind != 0 ? strchr(tags, *kind) : NULL;
    if (at == NULL && *kind != CLONE_VIEW_DATA_VIEW)
        return damaged();
    size = at != NULL ? sizes[at - tags] : 1;
    if (offset % size != 0 || len % size != 0)
        return damaged();
    args[0] = buffer;
    args[1] = js_new_number(offset);
    args[2] = js_new_number(len / size);
    made = construct(at != NULL ? names[at - tags] : "DataView", 3, args);
    return number_object(r, made) ? made : JSV_EXCEPTION;
}

/* A buffer, and the view on it that follows when there is one. */
static jsval
with_view(struct reader *r, jsval buffer, uint32_t len)
{
    jsval view;

    if (peek_tag(r) != TAG_VIEW)
        return buffer;
    r->at++;
    view = read_view(r, buffer, len);
    js_free(buffer);
    return view;
}

static jsval
read_array_buffer(struct reader *r, int tag)
{
    const uint8_t *p;
    uint32_t len, max;
    jsval made;

    if (!get_u32(r, &len) || (tag == TAG_RESIZABLE_BUFFER && !get_u32(r, &max)) || !get_bytes(r, len, &p))
        return damaged();
    made = js_new_array_buffer(bytes_from(p, len));
    return number_object(r, made) ? with_view(r, made, len) : JSV_EXCEPTION;
}

static jsval
read_reference(struct reader *r)
{
    uint32_t number;
    struct bytes b;
    jsval v;

    if (!get_u32(r, &number) || number >= r->count)
        return damaged();
    v = js_get_index(r->objects, number);
    if (js_class_id(v) == ENGINE_CLASS_ARRAY_BUFFER && js_view_bytes(v, &b))
        return with_view(r, v, (uint32_t)b.len);
    return v;
}

/* ---- values ---- */

static jsval
read_int32(struct reader *r)
{
    uint32_t v;

    if (!get_u32(r, &v))
        return damaged();
    return js_new_number((int32_t)(v >> 1) ^ -(int32_t)(v & 1));
}

static jsval
read_double(struct reader *r, bool is_date)
{
    double d;
    jsval made;

    if (!get_double(r, &d))
        return damaged();
    if (!is_date)
        return js_new_number(d);
    made = js_new_date(d);
    return number_object(r, made) ? made : JSV_EXCEPTION;
}

static jsval
read_tagged(struct reader *r, int tag)
{
    uint32_t v;

    switch (tag) {
    case TAG_UNDEFINED: return JSV_UNDEFINED;
    case TAG_NULL: return JSV_NULL;
    case TAG_TRUE: return JSV_TRUE;
    case TAG_FALSE: return JSV_FALSE;
    case TAG_INT32: return read_int32(r);
    case TAG_UINT32: return get_u32(r, &v) ? js_new_number(v) : damaged();
    case TAG_DOUBLE: return read_double(r, false);
    case TAG_BIGINT: return read_bigint(r);
    case TAG_UTF8:
    case TAG_ONE_BYTE:
    case TAG_TWO_BYTE: return read_string_body(r, tag);
    case TAG_REFERENCE: return read_reference(r);
    case TAG_OBJECT: return read_object(r);
    case TAG_SPARSE: return read_array(r, false);
    case TAG_DENSE: return read_array(r, true);
    case TAG_DATE: return read_double(r, true);
    case TAG_TRUE_OBJECT:
    case TAG_FALSE_OBJECT:
    case TAG_NUMBER_OBJECT:
    case TAG_BIGINT_OBJECT:
    case TAG_STRING_OBJECT: return read_boxed(r, tag);
    case TAG_REGEXP: return read_regexp(r);
    case TAG_MAP: return read_collection(r, true);
    case TAG_SET: return read_collection(r, false);
    case TAG_ARRAY_BUFFER:
    case TAG_RESIZABLE_BUFFER: return read_array_buffer(r, tag);
    case TAG_ERROR: return read_error(r);
    case TAG_HOST: return read_host(r);
    default: return damaged();
    }
}

static jsval
read_value(struct reader *r)
{
    int tag = get_tag(r);
    jsval v;

    if (tag < 0)
        return damaged();
    if (++r->depth > CLONE_DEPTH_MAX)
        return js_throw_range("Maximum call stack size exceeded");
    v = read_tagged(r, tag);
    r->depth--;
    return v;
}

jsval
clone_read(struct bytes data)
{
    struct reader r = { .in = data };
    jsval v;

    if (data.len < 2 || data.data[0] != TAG_VERSION)
        return damaged();
    r.at = 1;
    if (!get_u32(&r, &r.version) || r.version < VERSION_MIN || r.version > CLONE_VERSION)
        return damaged();
    r.objects = js_new_array();
    v = read_value(&r);
    js_free(r.objects);
    return v;
}

/* ---- natives ---- */

jsval
native_serialize(NATIVE_PARAMS)
{
    struct bytes out;

    if (!clone_write(ARG(0), js_to_bool(ARG(1)) ? CLONE_RPC : CLONE_STORAGE, &out))
        return JSV_EXCEPTION;
    return js_new_array_buffer(out);
}

jsval
native_deserialize(NATIVE_PARAMS)
{
    struct bytes in;
    uint8_t *copy;

    if (!js_view_bytes(ARG(0), &in))
        return js_throw_type("deserialize takes bytes");
    copy = guest_scratch(in.len + 1);  /* the guest runs meanwhile and may change its own memory */
    if (in.len > 0)
        memcpy(copy, in.data, in.len);
    return clone_read(bytes_from(copy, in.len));
}

static bool
detach_all(jsval transfer)
{
    int64_t n = 0;

    if (js_is_nullish(transfer))
        return true;
    if (!js_get_length(transfer, &n))
        return false;
    for (int64_t i = 0; i < n; i++) {
        jsval v = js_get_index(transfer, (uint32_t)i);
        struct bytes b;

        if (js_class_id(v) != ENGINE_CLASS_ARRAY_BUFFER || !js_view_bytes(v, &b)) {
            js_free(v);
            js_throw_dom("DataCloneError", "Value not transferable");
            return false;
        }
        Z_qjsZ_JS_DetachArrayBuffer(&engine_q, engine_ctx, v);
        js_free(v);
    }
    return true;
}

/* structuredClone: what is transferred is copied, then detached at its old place. */
jsval
native_clone(NATIVE_PARAMS)
{
    struct bytes out;
    jsval v;

    if (!clone_write(ARG(0), CLONE_STORAGE, &out))
        return JSV_EXCEPTION;
    v = clone_read(out);
    if (!js_is_exception(v) && !detach_all(ARG(1))) {
        js_free(v);
        return JSV_EXCEPTION;
    }
    return v;
}
