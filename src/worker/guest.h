/*
 * guest — JavaScript values of the heap that is entered now, for C code.
 *
 * Everything here works on the one current heap (heap.h). The guest is hostile: a pointer found in its memory is used only
 * through guest_mem(), which ends the heap when it is out of range. Any call below that can run JavaScript (getters, proxies,
 * toString) may also leave by a trap (engine_trap) without returning: C code must hold nothing then that only it can free;
 * use guest_scratch() memory, which lives until the current turn ends.
 *
 * A jsval is owned like a reference: functions named js_new_* and js_get_* return one that the caller frees with js_free()
 * or passes on; js_set_* take theirs over. Exceptions: functions that fail return JSV_EXCEPTION (or false) with the
 * exception pending in the engine; a native returns JSV_EXCEPTION to throw it on.
 */
#ifndef DORMOUSE_WORKER_GUEST_H
#define DORMOUSE_WORKER_GUEST_H

#include "lib/base/bytes.h"
#include "src/worker/engine_version.h"

typedef uint64_t jsval;

#define JSV(tag, low)   (((uint64_t)(uint32_t)(tag) << 32) | (uint32_t)(low))
#define JSV_TAG(v)      ((int32_t)((v) >> 32))
#define JSV_UNDEFINED   JSV(ENGINE_TAG_UNDEFINED, 0)
#define JSV_NULL        JSV(ENGINE_TAG_NULL, 0)
#define JSV_FALSE       JSV(ENGINE_TAG_BOOL, 0)
#define JSV_TRUE        JSV(ENGINE_TAG_BOOL, 1)
#define JSV_EXCEPTION   JSV(ENGINE_TAG_EXCEPTION, 0)

static inline bool js_is_object(jsval v) { return JSV_TAG(v) == ENGINE_TAG_OBJECT; }
static inline bool js_is_string(jsval v) { return JSV_TAG(v) == ENGINE_TAG_STRING || JSV_TAG(v) == ENGINE_TAG_STRING_ROPE; }
static inline bool js_is_symbol(jsval v) { return JSV_TAG(v) == ENGINE_TAG_SYMBOL; }
static inline bool js_is_bigint(jsval v) { return JSV_TAG(v) == ENGINE_TAG_BIG_INT || JSV_TAG(v) == ENGINE_TAG_SHORT_BIG_INT; }
static inline bool js_is_int(jsval v) { return JSV_TAG(v) == ENGINE_TAG_INT; }
static inline bool js_is_bool(jsval v) { return JSV_TAG(v) == ENGINE_TAG_BOOL; }
static inline bool js_is_null(jsval v) { return JSV_TAG(v) == ENGINE_TAG_NULL; }
static inline bool js_is_undefined(jsval v) { return JSV_TAG(v) == ENGINE_TAG_UNDEFINED; }
static inline bool js_is_nullish(jsval v) { return js_is_null(v) || js_is_undefined(v); }
static inline bool js_is_exception(jsval v) { return JSV_TAG(v) == ENGINE_TAG_EXCEPTION; }
static inline bool js_is_double(jsval v)
{
    return (uint32_t)(JSV_TAG(v) - ENGINE_TAG_FIRST) >= (uint32_t)(ENGINE_TAG_FLOAT64 - ENGINE_TAG_FIRST);
}
static inline bool js_is_number(jsval v) { return js_is_int(v) || js_is_double(v); }

/* ---- memory ---- */
/* LEN bytes of guest memory at PTR; ends the heap (trap) when they do not lie inside it. Valid until the heap grows or is left:
 * re-read after any call into the engine. */
uint8_t *guest_mem(uint32_t ptr, uint32_t len);
/* Host memory that lives until the current turn ends. Ends the heap beyond SCRATCH_BYTES_MAX. */
void *guest_scratch(size_t len);
/* Gives back, before the turn ends, what was taken since the mark: for what a turn may do thousands of times. */
struct guest_mark { void *block; size_t used; };
struct guest_mark guest_scratch_mark(void);
void guest_scratch_release(struct guest_mark mark);
/* malloc in the guest's heap; throws out-of-memory and returns 0 when full. guest_free with 0 is fine. */
uint32_t guest_alloc(uint32_t len);
void guest_free(uint32_t ptr);

/* ---- values in ---- */
jsval js_new_string(struct bytes utf8);                 /* invalid UTF-8 becomes U+FFFD */
jsval js_new_string_latin1(struct bytes latin1);
jsval js_new_string_utf16(const uint16_t *units, size_t len);
jsval js_new_number(double d);                          /* an int when it is one */
static inline jsval js_new_bool(bool b) { return b ? JSV_TRUE : JSV_FALSE; }
jsval js_new_bigint_i64(int64_t v);
jsval js_new_array_buffer(struct bytes copy);
jsval js_new_uint8_array(struct bytes copy);
jsval js_new_object(void);
jsval js_new_array(void);
jsval js_new_date(double epoch_ms);
jsval js_global(void);

/* ---- values out ---- */
double js_get_double(jsval v);                          /* of js_is_number; NaN for others. Runs nothing */
/* Number(v) by the language's rules; false: threw. May run JavaScript. */
MUST_USE bool js_to_double(jsval v, double *out);
MUST_USE bool js_to_bool(jsval v);
/* String(v) as UTF-8 (lone surrogates as three bytes each) in scratch memory, NUL-terminated behind len. False: threw. */
MUST_USE bool js_to_utf8(jsval v, struct bytes *out);
/* A string as UTF-16 code units in scratch memory. */
MUST_USE bool js_to_utf16(jsval v, const uint16_t **out_units, size_t *out_len);
/* The bytes of an ArrayBuffer, typed array or DataView: a view into guest memory (valid until the engine runs again), or false without an
 * exception when V is none of these (or detached). */
bool js_view_bytes(jsval v, struct bytes *out);
/* Like js_view_bytes, or a string as UTF-8 in scratch. False: V is neither; a TypeError naming WHAT is pending. */
MUST_USE bool js_to_bytes(jsval v, const char *what, struct bytes *out);

/* ---- objects ---- */
jsval js_get(jsval obj, uint32_t atom);                 /* JSV_EXCEPTION when it threw */
jsval js_get_str(jsval obj, const char *name);
jsval js_get_index(jsval obj, uint32_t index);
MUST_USE bool js_set(jsval obj, uint32_t atom, jsval value);          /* takes VALUE; false: threw */
MUST_USE bool js_set_str(jsval obj, const char *name, jsval value);   /* defines an own enumerable property */
MUST_USE bool js_set_index(jsval obj, uint32_t index, jsval value);
MUST_USE bool js_define_atom(jsval obj, uint32_t atom, jsval value);  /* own property by atom, without setters or proxies of others */
uint32_t js_new_atom(struct bytes utf8);                /* 0 when it threw; js_free_atom */
void js_free_atom(uint32_t atom);
MUST_USE bool js_get_length(jsval obj, int64_t *out);
bool js_is_array(jsval v);
bool js_is_function(jsval v);
bool js_is_error(jsval v);
/* The engine's class number of an object (ENGINE_CLASS_*), -1 otherwise. */
int js_class_id(jsval v);

/* Own string-keyed properties, in the language's order. Free them before leaving. */
enum js_names_of { JS_NAMES_ALL = 1, JS_NAMES_ENUMERABLE = 1 | 16 };   /* JS_GPN_STRING_MASK, JS_GPN_ENUM_ONLY */
struct js_names {
    uint32_t tab, count;
};
#define JS_ATOM_INDEX_BIT 0x80000000u                   /* an atom with it is the array index in its other bits; indices come first */
MUST_USE bool js_names_get(jsval obj, enum js_names_of which, struct js_names *out_names);    /* false: threw */
uint32_t js_names_atom(const struct js_names *names, uint32_t i);     /* borrowed */
void js_names_free(struct js_names *names);

jsval js_call(jsval fn, jsval this_val, int argc, const jsval *argv); /* borrows its arguments */
jsval js_dup(jsval v);
void js_free(jsval v);

/* ---- exceptions: each returns JSV_EXCEPTION ---- */
jsval js_throw(jsval error);                            /* takes it */
jsval js_throw_error(const char *fmt, ...) PRINTF(1, 2);
jsval js_throw_type(const char *fmt, ...) PRINTF(1, 2);
jsval js_throw_range(const char *fmt, ...) PRINTF(1, 2);
jsval js_throw_dom(const char *name, const char *fmt, ...) PRINTF(2, 3);
jsval js_take_exception(void);                          /* the pending exception, cleared */

/* ---- natives ---- */
/* A native is  jsval native_NAME(void *q, uint32_t ctx, jsval this_val, uint32_t argc, uint32_t argv)  listed in natives.def. */
#define NATIVE_PARAMS void *q, uint32_t ctx, jsval this_val, uint32_t argc, uint32_t argv
/* Argument I, borrowed; undefined when absent. */
jsval guest_arg(uint32_t argc, uint32_t argv, uint32_t i);
#define ARG(i) guest_arg(argc, argv, (i))

/* ---- leaving ---- */
enum trap {
    TRAP_NONE,
    TRAP_FAULT,                    /* out of bounds, unreachable, bad indirect call: the heap is undefined */
    TRAP_STACK,                    /* native stack exhausted */
    TRAP_MEMORY,                   /* the heap's limit */
    TRAP_CPU,                      /* the turn's CPU limit */
    TRAP_ABORT,                    /* ctx.abort() */
};
/* Ends the current heap's turn at once; the heap is thrown away by whoever entered it. */
NORETURN void engine_trap(enum trap trap);

#endif
