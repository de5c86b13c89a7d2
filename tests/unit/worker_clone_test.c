/* Structured clone: byte for byte what V8 writes, the same values back, refusals, and hostile bytes that do no harm. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <cmocka.h>

#include "lib/sys/sys.h"
#include "src/worker/clone.h"
#include "src/worker/heap.h"
#include "src/worker/worker_limits.h"

static const char runtime_js[] =
    "{ const host = __host; delete globalThis.__host;\n"
    "  globalThis.DOMException = globalThis.DOMException || class extends Error { constructor(m, n) { super(m); this.name = n; } };\n"
    "  const show = (v, seen = new Map()) => {\n"
    "    if (typeof v === 'bigint') return v + 'n';\n"
    "    if (typeof v === 'string') return JSON.stringify(v);\n"
    "    if (typeof v !== 'object' || v === null) return Object.is(v, -0) ? '-0' : String(v);\n"
    "    if (seen.has(v)) return '#' + seen.get(v); seen.set(v, seen.size);\n"
    "    const tag = Object.prototype.toString.call(v).slice(8, -1), in_ = (x) => show(x, seen);\n"
    "    if (v instanceof Date) return 'Date ' + v.getTime();\n"
    "    if (v instanceof RegExp) return 'RegExp ' + v;\n"
    "    if (v instanceof Map) return 'Map{' + [...v].map(([k, x]) => in_(k) + '=>' + in_(x)) + '}';\n"
    "    if (v instanceof Set) return 'Set{' + [...v].map(in_) + '}';\n"
    "    if (v instanceof ArrayBuffer) return 'buffer ' + new Uint8Array(v);\n"
    "    if (ArrayBuffer.isView(v)) return tag + ' ' + v.byteOffset + '+' + v.byteLength + in_(v.buffer);\n"
    "    if (v instanceof Error) return v.name + ':' + v.message + (v.cause !== undefined ? in_(v.cause) : '') + typeof v.stack;\n"
    "    if (['Number', 'String', 'Boolean', 'BigInt'].includes(tag)) return tag + '(' + in_(v.valueOf()) + ')';\n"
    "    const own = Object.keys(v).map((k) => k + ':' + in_(v[k]));\n"
    "    return Array.isArray(v) ? '[' + v.length + ' ' + own + ']' : '{' + own + '}';\n"
    "  };\n"
    "  globalThis.hex = (v, rpc) => host.hex(host.serialize(v, rpc));\n"
    "  globalThis.read = (h) => host.deserialize(new Uint8Array(h.match(/../g).map((x) => parseInt(x, 16))));\n"
    "  globalThis.show = show; globalThis.attempt = (f) => { try { return show(f()); } catch (e) { return e.name + ': ' + e.message; } };\n"
    "  globalThis.cloned = (v, t) => host.clone(v, t);\n"
    "  host.install((event, arg) => { host.exports().default(event, arg); }, {}); }";

static const struct { const char *expression, *hex; } golden[] = {
#define GOLDEN(expression, hex) { expression, hex },
#include "tests/unit/golden/clone.inc"
#undef GOLDEN
};

static struct template *template;
static struct heap     *heap;
static struct buf       answer;

static void
build(const char *bundle)
{
    struct template_error error = { 0 };
    struct template_source source = { BYTES_LIT(runtime_js), bytes_of(bundle), BYTES_LIT("t") };
    struct err err = { 0 };
    int fd = memfd_create("template", MFD_CLOEXEC);

    if (!template_build(fd, &source, &error, &err) || !template_open(&template, fd, BYTES_LIT(runtime_js), &err))
        fail_msg("%s %s", err.message, buf_cstr(&error.stack));
    sys_close(fd);
    buf_fini(&error.message);
    buf_fini(&error.stack);
    heap = heap_create(template, HEAP_BYTES_MAX_DEFAULT);
}

static void
drop(void)
{
    heap_destroy(&heap);
    template_unref(&template);
}

static void
ask_inside(void *arg)
{
    jsval v = js_new_string(bytes_of(arg)), global, out;
    struct bytes text;

    heap_dispatch(1, 1, &v);
    global = js_global();
    out = js_get_str(global, "out");
    assert_true(js_to_utf8(out, &text));
    buf_clear(&answer);
    buf_append_bytes(&answer, text);
    js_free(out);
    js_free(global);
}

static const char *
ask(const char *what)
{
    heap_enter(heap);
    engine_cpu_limit(clock_cpu_us() + 5000000);
    assert_int_equal(engine_run(ask_inside, (void *)(uintptr_t)what), TRAP_NONE);
    heap_leave();
    return buf_cstr(&answer);
}

static void
test_golden(void **state)
{
    struct buf bundle = { 0 };
    char number[32];

    buf_append_str(&bundle, "const values = [");
    for (size_t i = 0; i < ARRAY_LEN(golden); i++)
        buf_printf(&bundle, "() => (%s),\n", golden[i].expression);
    buf_append_str(&bundle, "]; export default (e, a) => { const [what, i, h] = a.split(' ');\n"
                            "out = what === 'write' ? hex(values[i]()) : what === 'value' ? show(values[i]()) : show(read(h)); }; globalThis.out = '';");
    build(buf_cstr(&bundle));
    buf_fini(&bundle);
    for (size_t i = 0; i < ARRAY_LEN(golden); i++) {
        struct buf question = { 0 };
        char *wanted;

        (void)snprintf(number, sizeof number, "write %zu", i);
        if (strcmp(ask(number), golden[i].hex) != 0)
            fail_msg("%s: wrote %s, V8 writes %s", golden[i].expression, buf_cstr(&answer), golden[i].hex);
        (void)snprintf(number, sizeof number, "value %zu", i);
        wanted = bytes_dup(bytes_of(ask(number)));
        buf_printf(&question, "read %zu %s", i, golden[i].hex);
        if (strcmp(ask(buf_cstr(&question)), wanted) != 0)
            fail_msg("%s: read %s, is %s", golden[i].expression, buf_cstr(&answer), wanted);
        free(wanted);
        buf_fini(&question);
    }
    drop();
}

static void
test_errors_and_refusals(void **state)
{
    static const struct { const char *name, *wanted; } cases[] = {
        { "error", "TypeError:bad\"why\"string" },
        { "custom", "Custom:minestring" },
        { "fn", "DataCloneError: () => 1 could not be cloned." },
        { "symbol", "DataCloneError: Symbol(s) could not be cloned." },
        { "promise", "DataCloneError: #<Promise> could not be cloned." },
        { "instance", "{x:1}" },
        { "instanceRpc", "DataCloneError: Could not serialize object of type \"Foo\". This type does not support serialization." },
        { "getter", "Error: from a getter" },
        { "deep", "RangeError: Maximum call stack size exceeded" },
        { "sparse", "[1000000 5:1]" },
        { "transfer", "0 3" },
        { "proto", "{__proto__:1} true" },
    };

    build("class Foo { x = 1; m() {} }\n"
          "const cases = { error: () => read(hex(new TypeError('bad', { cause: 'why' }))),\n"
          "  custom: () => { const e = new Error('mine'); e.name = 'Custom'; return read(hex(e)); },\n"
          "  fn: () => hex(() => 1), symbol: () => hex(Symbol('s')), promise: () => hex(Promise.resolve()), instance: () => read(hex(new Foo())),\n"
          "  instanceRpc: () => hex(new Foo(), true), getter: () => hex({ get a() { throw new Error('from a getter'); } }),\n"
          "  deep: () => { let o = {}; for (let i = 0; i < 100000; i++) o = { o }; return hex(o); },\n"
          "  sparse: () => { const a = []; a[5] = 1; a.length = 1e6; return read(hex(a)); },\n"
          "  transfer: () => { const b = new ArrayBuffer(3), c = cloned(b, [b]); globalThis.lens = b.byteLength + ' ' + c.byteLength; return lens; },\n"
          "  proto: () => { const o = read(hex(JSON.parse('{\"__proto__\":1}'))); globalThis.lens = show(o) + ' ' + (Object.getPrototypeOf(o) === Object.prototype); return lens; } };\n"
          "export default (e, a) => { out = attempt(cases[a]); if (a === 'transfer' || a === 'proto') out = lens; }; globalThis.out = '';");
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        ask(cases[i].name);
        if (strcmp(buf_cstr(&answer), cases[i].wanted) != 0)
            fail_msg("%s: %s, wanted %s", cases[i].name, buf_cstr(&answer), cases[i].wanted);
    }
    drop();
}

/* Every golden text cut short, and with each byte changed: a value or an exception, never a fault. */
static void
test_hostile_bytes(void **state)
{
    size_t tried = 0;

    build("export default (e, h) => { out = attempt(() => read(h)); }; globalThis.out = '';");
    for (size_t i = 0; i < ARRAY_LEN(golden); i++) {
        size_t len = strlen(golden[i].hex);
        char *hex = bytes_dup(bytes_of(golden[i].hex));

        for (size_t cut = 2; cut < len && cut < 120; cut += 2) {
            char saved = hex[cut];

            hex[cut] = '\0';
            ask(hex);
            hex[cut] = saved;
            tried++;
        }
        for (size_t at = 4; at < len && at < 100; at += 2) {
            static const char *const bytes[] = { "00", "ff", "7f", "80", "5e", "56" };
            char saved[2];

            memcpy(saved, hex + at, 2);
            for (size_t b = 0; b < ARRAY_LEN(bytes); b++) {
                memcpy(hex + at, bytes[b], 2);
                ask(hex);
                tried++;
            }
            memcpy(hex + at, saved, 2);
        }
        free(hex);
    }
    assert_true(tried > 3000);
    drop();
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_golden), cmocka_unit_test(test_errors_and_refusals), cmocka_unit_test(test_hostile_bytes),
    };

    engine_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
