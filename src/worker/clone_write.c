/* clone_write — from values to V8's format; see clone.h. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "src/worker/clone.h"
#include "src/worker/clone_format.h"
#include "src/worker/clone_refuse.h"
#include "src/worker/engine.h"
#include "src/worker/worker_limits.h"

#define OUT_BYTES_MIN 512

/* Objects met so far, by their address in the heap; each is held by a reference until the end, so that no address comes twice.
 * All memory is scratch: a trap leaves nothing behind. */
struct met {
    jsval   *held;                     /* in order of their numbers */
    uint32_t count, cap;
    uint32_t *slots;                   /* hash table: number + 1 */
    uint32_t  slots_cap;
};

struct writer {
    uint8_t       *data;
    size_t         len, cap;
    struct met     met;
    jsval          object_prototype;   /* JSV_UNDEFINED until it is needed */
    enum clone_for use;
    unsigned       depth;
};

static bool write_value(struct writer *w, jsval v);

/* ---- bytes ---- */

static void
room(struct writer *w, size_t more)
{
    size_t cap = w->cap;
    uint8_t *grown;

    if (more <= cap - w->len)
        return;
    while (cap - w->len < more)
        cap = cap == 0 ? OUT_BYTES_MIN : cap * 2;
    grown = guest_scratch(cap);
    if (w->len > 0)
        memcpy(grown, w->data, w->len);
    w->data = grown;
    w->cap = cap;
}

static void
put_byte(struct writer *w, uint8_t b)
{
    room(w, 1);
    w->data[w->len++] = b;
}

static void
put_bytes(struct writer *w, const void *data, size_t len)
{
    room(w, len);
    if (len > 0)
        memcpy(w->data + w->len, data, len);
    w->len += len;
}

static size_t
varint_len(uint64_t v)
{
    size_t n = 1;

    while (v >= 0x80) {
        v >>= 7;
        n++;
    }
    return n;
}

static void
put_varint(struct writer *w, uint64_t v)
{
    while (v >= 0x80) {
        put_byte(w, (uint8_t)(v | 0x80));
        v >>= 7;
    }
    put_byte(w, (uint8_t)v);
}

static void
put_int32(struct writer *w, int32_t v)
{
    put_byte(w, TAG_INT32);
    put_varint(w, ((uint32_t)v << 1) ^ (uint32_t)(v >> 31));
}

static void
put_number(struct writer *w, jsval v)
{
    double d = js_get_double(v);
    jsval plain = js_new_number(d);    /* the engine keeps some whole numbers as doubles; V8 does not */

    if (js_is_int(plain)) {
        put_int32(w, (int32_t)plain);
        return;
    }
    put_byte(w, TAG_DOUBLE);
    put_bytes(w, &d, sizeof d);
}

static bool
put_string(struct writer *w, jsval v)
{
    const uint16_t *units;
    size_t len, i = 0;
    struct bytes utf8;

    if (!js_to_utf8(v, &utf8))
        return false;
    while (i < utf8.len && utf8.data[i] < 0x80)
        i++;
    if (i == utf8.len) {
        put_byte(w, TAG_ONE_BYTE);
        put_varint(w, utf8.len);
        put_bytes(w, utf8.data, utf8.len);
        return true;
    }
    if (!js_to_utf16(v, &units, &len))
        return false;
    for (i = 0; i < len && units[i] <= 0xff; i++)
        ;
    if (i == len) {
        put_byte(w, TAG_ONE_BYTE);
        put_varint(w, len);
        for (i = 0; i < len; i++)
            put_byte(w, (uint8_t)units[i]);
        return true;
    }
    if ((w->len + 1 + varint_len(len * 2)) % 2 != 0)
        put_byte(w, TAG_PADDING);      /* two-byte characters are aligned in the stream */
    put_byte(w, TAG_TWO_BYTE);
    put_varint(w, len * 2);
    put_bytes(w, units, len * 2);
    return true;
}

/* ---- what was met ---- */

static uint32_t
hash_object(jsval v)
{
    return (uint32_t)v * 2654435761u;
}

static void
met_insert(struct met *m, uint32_t number)
{
    uint32_t at = hash_object(m->held[number]) & (m->slots_cap - 1);

    while (m->slots[at] != 0)
        at = (at + 1) & (m->slots_cap - 1);
    m->slots[at] = number + 1;
}

static void
met_grow(struct met *m)
{
    uint32_t cap = m->cap == 0 ? 16 : m->cap * 2;
    jsval *held = guest_scratch(cap * sizeof *held);

    if (m->count > 0)
        memcpy(held, m->held, m->count * sizeof *held);
    m->held = held;
    m->cap = cap;
    m->slots_cap = cap * 2;
    m->slots = guest_scratch(m->slots_cap * sizeof *m->slots);
    memset(m->slots, 0, m->slots_cap * sizeof *m->slots);
    for (uint32_t i = 0; i < m->count; i++)
        met_insert(m, i);
}

/* The number of V when it was met before; else it gets the next one and *out_is_new. */
static uint32_t
met_number(struct met *m, jsval v, bool *out_is_new)
{
    uint32_t at;

    if (m->count == m->cap)
        met_grow(m);
    for (at = hash_object(v) & (m->slots_cap - 1); m->slots[at] != 0; at = (at + 1) & (m->slots_cap - 1)) {
        if (m->held[m->slots[at] - 1] == v) {
            *out_is_new = false;
            return m->slots[at] - 1;
        }
    }
    m->held[m->count] = js_dup(v);
    m->slots[at] = ++m->count;
    *out_is_new = true;
    return m->count - 1;
}

static void
met_release(struct met *m)
{
    for (uint32_t i = 0; i < m->count; i++)
        js_free(m->held[i]);
    m->count = 0;
}

/* ---- objects ---- */

static bool
put_property(struct writer *w, jsval obj, uint32_t atom)
{
    jsval value = js_get(obj, atom), key;
    bool ok;

    if (js_is_exception(value))
        return false;
    if (atom & JS_ATOM_INDEX_BIT) {
        put_int32(w, (int32_t)(atom & ~JS_ATOM_INDEX_BIT));
        ok = true;
    } else {
        key = Z_qjsZ_JS_AtomToString(&engine_q, engine_ctx, atom);
        ok = !js_is_exception(key) && put_string(w, key);
        js_free(key);
    }
    ok = ok && write_value(w, value);
    js_free(value);
    return ok;
}

/* Own enumerable properties whose names pass; returns how many were written, or -1. */
static int64_t
put_properties(struct writer *w, jsval obj, bool with_indices)
{
    struct js_names n;
    int64_t written = 0;
    bool ok = true;

    if (!js_names_get(obj, JS_NAMES_ENUMERABLE, &n))
        return -1;
    for (uint32_t i = 0; i < n.count && ok; i++) {
        uint32_t atom = js_names_atom(&n, i);

        if (!with_indices && (atom & JS_ATOM_INDEX_BIT))
            continue;
        ok = put_property(w, obj, atom);
        written++;
    }
    js_names_free(&n);
    return ok ? written : -1;
}

static bool
put_object(struct writer *w, jsval obj)
{
    int64_t n;

    put_byte(w, TAG_OBJECT);
    n = put_properties(w, obj, true);
    if (n < 0)
        return false;
    put_byte(w, TAG_OBJECT_END);
    put_varint(w, (uint64_t)n);
    return true;
}

/* How many array indices of OBJ exist. */
static bool
count_indices(jsval obj, uint32_t *out)
{
    struct js_names n;

    if (!js_names_get(obj, JS_NAMES_ENUMERABLE, &n))
        return false;
    *out = 0;
    while (*out < n.count && (js_names_atom(&n, *out) & JS_ATOM_INDEX_BIT))
        ++*out;
    js_names_free(&n);
    return true;
}

static bool
put_dense(struct writer *w, jsval obj, uint32_t len)
{
    for (uint32_t i = 0; i < len; i++) {
        jsval v = js_get_index(obj, i);
        bool ok = !js_is_exception(v);

        ok = ok && write_value(w, v);
        js_free(v);
        if (!ok)
            return false;
    }
    return true;
}

static bool
put_array(struct writer *w, jsval obj)
{
    uint32_t present;
    int64_t len, n;
    bool is_dense;

    if (!js_get_length(obj, &len) || !count_indices(obj, &present))
        return false;
    is_dense = present == len;         /* as V8: an array with holes is written by its indices */
    put_byte(w, is_dense ? TAG_DENSE : TAG_SPARSE);
    put_varint(w, (uint64_t)len);
    if (is_dense && !put_dense(w, obj, (uint32_t)len))
        return false;
    n = put_properties(w, obj, !is_dense);
    if (n < 0)
        return false;
    put_byte(w, is_dense ? TAG_DENSE_END : TAG_SPARSE_END);
    put_varint(w, (uint64_t)n);
    put_varint(w, (uint64_t)len);
    return true;
}

/* Array.from(collection): entries in order, before any of them is written. */
static jsval
entries_of(jsval collection)
{
    jsval global = js_global(), array = js_get_str(global, "Array"), from = js_get_str(array, "from"), entries;

    entries = js_is_exception(from) ? JSV_EXCEPTION : js_call(from, array, 1, &collection);
    js_free(from);
    js_free(array);
    js_free(global);
    return entries;
}

static bool
put_collection(struct writer *w, jsval obj, bool is_map)
{
    jsval entries = entries_of(obj);
    int64_t count = 0;
    bool ok = !js_is_exception(entries) && js_get_length(entries, &count);

    put_byte(w, is_map ? TAG_MAP : TAG_SET);
    for (int64_t i = 0; i < count && ok; i++) {
        jsval entry = js_get_index(entries, (uint32_t)i);

        for (uint32_t side = 0; side < (is_map ? 2u : 1u) && ok; side++) {
            jsval v = is_map ? js_get_index(entry, side) : js_dup(entry);

            ok = !js_is_exception(v) && write_value(w, v);
            js_free(v);
        }
        js_free(entry);
    }
    js_free(entries);
    put_byte(w, is_map ? TAG_MAP_END : TAG_SET_END);
    put_varint(w, (uint64_t)count * (is_map ? 2 : 1));
    return ok;
}

static bool
put_regexp(struct writer *w, jsval obj)
{
    static const char letters[] = "gimyusdv";      /* V8's bits: g1 i2 m4 y8 u16 s32; linear 64; d128; v256 */
    static const unsigned bits[] = { 1, 2, 4, 8, 16, 32, 128, 256 };
    jsval source = js_get(obj, A(source)), flags = js_get(obj, A(flags));
    struct bytes text;
    unsigned set = 0;
    bool ok = !js_is_exception(source) && !js_is_exception(flags) && js_to_utf8(flags, &text);

    for (size_t i = 0; ok && i < text.len; i++) {
        const char *at = strchr(letters, text.data[i]);

        if (at != NULL)
            set |= bits[at - letters];
    }
    put_byte(w, TAG_REGEXP);
    ok = ok && put_string(w, source);
    put_varint(w, set);
    js_free(source);
    js_free(flags);
    return ok;
}

static bool
put_bigint_digits(struct writer *w, jsval v)
{
    jsval sixteen = JSV(ENGINE_TAG_INT, 16), to_string = js_get_str(v, "toString"), hex;
    struct bytes text;
    bool is_negative;
    size_t digits, bytes;

    hex = js_is_exception(to_string) ? JSV_EXCEPTION : js_call(to_string, v, 1, &sixteen);
    js_free(to_string);
    if (js_is_exception(hex) || !js_to_utf8(hex, &text))
        return false;
    js_free(hex);
    is_negative = text.len > 0 && text.data[0] == '-';
    digits = text.len - is_negative;
    bytes = text.len == 1 && text.data[0] == '0' ? 0 : (digits + 15) / 16 * 8;
    put_varint(w, (bytes << 1) | is_negative);
    for (size_t i = 0; i < bytes; i++) {
        uint8_t byte = 0;

        for (size_t nibble = 0; nibble < 2; nibble++) {
            size_t from_end = 2 * i + nibble;
            uint8_t c = from_end < digits ? text.data[text.len - 1 - from_end] : '0';

            byte |= (uint8_t)((c <= '9' ? c - '0' : c - 'a' + 10) << (4 * nibble));
        }
        put_byte(w, byte);
    }
    return true;
}

static bool
put_boxed(struct writer *w, jsval obj, int class_id)
{
    jsval value_of = js_get_str(obj, "valueOf"), v;
    bool ok = true;

    v = js_is_exception(value_of) ? JSV_EXCEPTION : js_call(value_of, obj, 0, NULL);
    js_free(value_of);
    if (js_is_exception(v))
        return false;
    switch (class_id) {
    case ENGINE_CLASS_NUMBER: {
        double d = js_get_double(v);
        put_byte(w, TAG_NUMBER_OBJECT);
        put_bytes(w, &d, sizeof d);
        break;
    }
    case ENGINE_CLASS_STRING:
        put_byte(w, TAG_STRING_OBJECT);
        ok = put_string(w, v);
        break;
    case ENGINE_CLASS_BIG_INT:
        put_byte(w, TAG_BIGINT_OBJECT);
        ok = put_bigint_digits(w, v);
        break;
    default:
        put_byte(w, v == JSV_TRUE ? TAG_TRUE_OBJECT : TAG_FALSE_OBJECT);
    }
    js_free(v);
    return ok;
}

/* The stack and the own properties of an error but name and message, as a plain object. */
static jsval
error_rest(jsval obj)
{
    jsval rest = js_new_object(), stack = js_get(obj, A(stack));
    struct js_names n;
    bool ok = !js_is_exception(stack) && js_define_atom(rest, A(stack), stack);

    if (!ok || !js_names_get(obj, JS_NAMES_ALL, &n))
        return JSV_EXCEPTION;
    for (uint32_t i = 0; i < n.count && ok; i++) {
        uint32_t atom = js_names_atom(&n, i);
        jsval value;

        if ((atom & JS_ATOM_INDEX_BIT) || atom == A(name) || atom == A(message) || atom == A(stack))
            continue;
        value = js_get(obj, atom);
        ok = !js_is_exception(value) && js_define_atom(rest, atom, value);
    }
    js_names_free(&n);
    return ok ? rest : JSV_EXCEPTION;
}

/* The number of the class in CLONE_ERROR_NAMES; 0: the name must be written. */
static uint32_t
error_number(jsval name)
{
    static const char *const known[] = CLONE_ERROR_NAMES;
    struct bytes text;

    if (!js_is_string(name) || !js_to_utf8(name, &text))
        return 0;
    for (uint32_t i = 1; i < ARRAY_LEN(known); i++)
        if (known[i][0] != '\0' && bytes_equal_str(text, known[i]))
            return i;
    return 0;
}

/* Writes a value that is ours to free; false also when getting it threw. */
static bool
put_owned(struct writer *w, jsval v)
{
    bool ok = !js_is_exception(v) && write_value(w, v);

    js_free(v);
    return ok;
}

static bool
put_error(struct writer *w, jsval obj)
{
    jsval name = js_get(obj, A(name));
    uint32_t number = error_number(name);

    put_byte(w, TAG_HOST);
    put_varint(w, HOST_ERROR);
    put_varint(w, number);
    if (number != 0)
        js_free(name);
    else if (!put_owned(w, name))
        return false;
    return put_owned(w, js_get(obj, A(message))) && put_owned(w, error_rest(obj));
}

static bool
put_text_property(struct writer *w, jsval obj, uint32_t atom)
{
    jsval v = js_get(obj, atom);
    struct bytes text = BYTES_NONE;
    bool ok = !js_is_exception(v) && (js_is_undefined(v) || js_to_utf8(v, &text));

    js_free(v);
    put_varint(w, text.len);
    put_bytes(w, text.data, text.len);
    return ok;
}

static bool
is_dom_exception(jsval obj)
{
    jsval global = js_global(), ctor = js_get_str(global, "DOMException");
    bool is = js_is_object(ctor) && (int)Z_qjsZ_JS_IsInstanceOf(&engine_q, engine_ctx, obj, ctor) > 0;

    js_free(ctor);
    js_free(global);
    return is;
}

static bool
put_dom_exception(struct writer *w, jsval obj)
{
    put_byte(w, TAG_HOST);
    put_varint(w, HOST_DOM_EXCEPTION);
    return put_text_property(w, obj, A(name)) && put_text_property(w, obj, A(message)) && put_text_property(w, obj, A(stack));
}

/* ---- buffers ---- */

static bool
put_array_buffer(struct writer *w, jsval obj)
{
    struct bytes b;

    if (!js_view_bytes(obj, &b)) {
        js_throw_dom("DataCloneError", "An ArrayBuffer is detached and could not be cloned.");
        return false;
    }
    put_byte(w, TAG_ARRAY_BUFFER);
    put_varint(w, b.len);
    put_bytes(w, b.data, b.len);
    return true;
}

static bool
view_numbers(jsval obj, double *offset, double *len)
{
    jsval o = js_get(obj, A(byteOffset)), l = js_get(obj, A(byteLength));

    *offset = js_get_double(o);
    *len = js_get_double(l);
    return !js_is_exception(o) && !js_is_exception(l) && *offset >= 0 && *len >= 0;
}

/* V8 writes the buffer (or a reference to it), then the view. */
static bool
put_view(struct writer *w, jsval obj, int kind)
{
    jsval buffer = js_get(obj, A(buffer));
    double offset, len;
    bool is_new, ok = !js_is_exception(buffer) && write_value(w, buffer);

    js_free(buffer);
    if (!ok || !view_numbers(obj, &offset, &len))
        return false;
    (void)met_number(&w->met, obj, &is_new);
    put_byte(w, TAG_VIEW);
    put_byte(w, kind < 0 ? CLONE_VIEW_DATA_VIEW : (uint8_t)CLONE_VIEW_TAGS[kind]);
    put_varint(w, (uint64_t)offset);
    put_varint(w, (uint64_t)len);
    put_varint(w, 0);                  /* flags: neither length-tracking nor backed by a resizable buffer */
    return true;
}

/* ---- values ---- */

/* Plain objects have Object's prototype or none. */
static bool
is_plain(struct writer *w, jsval obj)
{
    jsval have = Z_qjsZ_JS_GetPrototype(&engine_q, engine_ctx, obj), plain;
    bool ok;

    if (w->object_prototype == JSV_UNDEFINED) {
        plain = js_new_object();
        w->object_prototype = Z_qjsZ_JS_GetPrototype(&engine_q, engine_ctx, plain);
        js_free(plain);
        js_free(w->object_prototype);  /* the realm keeps it */
    }
    ok = js_is_null(have) || have == w->object_prototype;
    js_free(have);
    return ok;
}

/* Over RPC only plain objects; in storage instances of the app's classes, too, as plain objects, but not the platform's. */
static bool
put_any_object(struct writer *w, jsval obj)
{
    if (!is_plain(w, obj)) {
        if (w->use == CLONE_RPC)
            return clone_refuse_instance(obj);
        if (clone_is_platform(obj))
            return clone_refuse_platform(obj);
    }
    return put_object(w, obj);
}

static bool
write_object(struct writer *w, jsval v, int class_id)
{
    double ms;

    switch (class_id) {
    case ENGINE_CLASS_ARRAY: return put_array(w, v);
    case ENGINE_CLASS_ERROR: return put_error(w, v);
    case ENGINE_CLASS_NUMBER:
    case ENGINE_CLASS_STRING:
    case ENGINE_CLASS_BOOLEAN:
    case ENGINE_CLASS_BIG_INT: return put_boxed(w, v, class_id);
    case ENGINE_CLASS_SYMBOL: return clone_refuse(v);
    case ENGINE_CLASS_DATE:
        if (!js_to_double(v, &ms))
            return false;
        put_byte(w, TAG_DATE);
        put_bytes(w, &ms, sizeof ms);
        return true;
    case ENGINE_CLASS_REGEXP: return put_regexp(w, v);
    case ENGINE_CLASS_ARRAY_BUFFER: return put_array_buffer(w, v);
    case ENGINE_CLASS_MAP: return put_collection(w, v, true);
    case ENGINE_CLASS_SET: return put_collection(w, v, false);
    case ENGINE_CLASS_OBJECT:
    case ENGINE_CLASS_ARGUMENTS:
    case ENGINE_CLASS_MAPPED_ARGUMENTS:
        return put_any_object(w, v);
    default:
        if (js_is_function(v))
            return clone_refuse(v);
        if (is_dom_exception(v))
            return put_dom_exception(w, v);
        return w->use == CLONE_RPC ? clone_refuse_instance(v) : clone_refuse_native(v);
    }
}

static bool
write_receiver(struct writer *w, jsval v)
{
    int kind = (int)Z_qjsZ_JS_GetTypedArrayType(&engine_q, v), class_id = js_class_id(v);
    bool is_view = kind >= 0 || class_id == ENGINE_CLASS_DATA_VIEW, is_new, ok;
    uint32_t number;

    if (is_view && w->met.cap > 0) {   /* a view gets its number after its buffer: look without adding */
        for (number = 0; number < w->met.count && w->met.held[number] != v; number++)
            ;
        if (number < w->met.count) {
            put_byte(w, TAG_REFERENCE);
            put_varint(w, number);
            return true;
        }
    }
    if (is_view)
        return put_view(w, v, kind);
    number = met_number(&w->met, v, &is_new);
    if (!is_new) {
        put_byte(w, TAG_REFERENCE);
        put_varint(w, number);
        return true;
    }
    if (++w->depth > CLONE_DEPTH_MAX) {
        js_throw_range("Maximum call stack size exceeded");
        return false;
    }
    ok = write_object(w, v, class_id);
    w->depth--;
    return ok;
}

static bool
write_value(struct writer *w, jsval v)
{
    if (js_is_object(v))
        return write_receiver(w, v);
    if (js_is_string(v))
        return put_string(w, v);
    if (js_is_number(v)) {
        put_number(w, v);
        return true;
    }
    if (js_is_bigint(v)) {
        put_byte(w, TAG_BIGINT);
        return put_bigint_digits(w, v);
    }
    if (js_is_symbol(v))
        return clone_refuse_symbol(v);
    put_byte(w, js_is_undefined(v) ? TAG_UNDEFINED : js_is_null(v) ? TAG_NULL : v == JSV_TRUE ? TAG_TRUE : TAG_FALSE);
    return true;
}

bool
clone_write(jsval value, enum clone_for use, struct bytes *out)
{
    struct writer w = { .use = use, .object_prototype = JSV_UNDEFINED };
    bool ok;

    put_byte(&w, TAG_VERSION);
    put_varint(&w, CLONE_VERSION);
    ok = write_value(&w, value);
    met_release(&w.met);
    *out = bytes_from(w.data, w.len);
    return ok;
}
