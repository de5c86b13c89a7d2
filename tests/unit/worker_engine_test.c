/* The engine's facts, templates, heaps, traps and the async context: every assumption of engine_version.h is proven here. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <cmocka.h>

#include "lib/sys/sys.h"
#include "src/worker/async_context.h"
#include "tests/unit/engine_rig.h"

static void
test_values(void **state)
{
    struct template *t = make_template(BUNDLE_HEAD
        "export default (e, a) => { put([typeof a, a, 1.5, -0 === 0, 10n ** 30n, 'ab'.repeat(3)].join(',')); };");
    struct heap *heap = heap_create(t, HEAP_BYTES_MAX_DEFAULT);

    assert_int_equal(deliver_event(heap, 1, "h\xc3\xa9"), TRAP_NONE);
    assert_string_equal(output(heap), "string,h\xc3\xa9,1.5,true,1000000000000000000000000000000,ababab ");
    heap_destroy(&heap);
    template_unref(&t);
}

static void
inside_numbers(void *arg)
{
    const double numbers[] = { 0, 1, -1, 1.5, -0.25, 2147483647.0, 2147483648.0, -2147483648.0, 9007199254740991.0, 1e308 };

    for (size_t i = 0; i < ARRAY_LEN(numbers); i++) {
        double back;
        jsval v = js_new_number(numbers[i]);

        assert_true(js_is_number(v));
        assert_true(js_to_double(v, &back));
        assert_true(back == numbers[i]);
        assert_int_equal(js_is_int(v), numbers[i] == (double)(int64_t)numbers[i] && numbers[i] <= 2147483647.0 && numbers[i] >= -2147483648.0);
    }
    assert_true(js_is_double(js_new_number((double)NAN)));
    assert_false(js_is_double(JSV_UNDEFINED) || js_is_double(JSV_NULL) || js_is_double(JSV_EXCEPTION) || js_is_int(JSV_TRUE));
    jsval s = js_new_string(BYTES_LIT("x")), o = js_new_object(), a = js_new_array(), big = js_new_bigint_i64(5);
    assert_true(js_is_string(s) && js_is_object(o) && js_is_array(a) && !js_is_array(o) && js_is_bigint(big));
    struct bytes view;
    jsval buffer = js_new_array_buffer(BYTES_LIT("abc"));
    assert_true(js_view_bytes(buffer, &view) && bytes_equal_str(view, "abc"));
    jsval octets = js_new_uint8_array(BYTES_LIT("abcd"));
    assert_true(js_view_bytes(octets, &view) && bytes_equal_str(view, "abcd"));
    assert_false(js_view_bytes(o, &view));
    assert_true(js_is_exception(js_throw_type("bad %d", 7)));
    jsval e = js_take_exception();
    assert_true(js_is_error(e));
    assert_true(js_to_utf8(e, &view) && bytes_equal_str(view, "TypeError: bad 7"));
}

static void
test_value_interface(void **state)
{
    struct template *t = make_template("export default () => {};");
    struct heap *heap = heap_create(t, HEAP_BYTES_MAX_DEFAULT);

    heap_enter(heap);
    assert_int_equal(engine_run(inside_numbers, NULL), TRAP_NONE);
    heap_leave();
    heap_destroy(&heap);
    template_unref(&t);
}

static void
test_modules(void **state)
{
    struct template *t = make_template(BUNDLE_HEAD
        "import one, { two } from 'house:one'; import { EOL } from 'os'; import * as os from 'node:os';\n"
        "export default () => { put([one, two, EOL === os.EOL, Object.keys(os)].join()); };");
    struct heap *heap = heap_create(t, HEAP_BYTES_MAX_DEFAULT);
    struct template_error error = { 0 };
    struct template_source source = { BYTES_LIT(runtime_js), BYTES_LIT("import x from 'nowhere';"), BYTES_LIT("t") };
    struct err err = { 0 };
    int fd = memfd_create("template", MFD_CLOEXEC);

    assert_int_equal(deliver_event(heap, 1, ""), TRAP_NONE);
    assert_string_equal(output(heap), "1,2,true,EOL ");
    assert_false(template_build(fd, &source, &error, &err));
    assert_int_equal(err.code, ERR_BUILD);
    assert_non_null(strstr(err.message, "No such module \"nowhere\""));
    buf_fini(&error.message);
    buf_fini(&error.stack);
    sys_close(fd);
    heap_destroy(&heap);
    template_unref(&t);
}

static void
test_isolation_and_memory_return(void **state)
{
    struct template *t = make_template(BUNDLE_HEAD "let n = 0; export default (e, a) => { n++; put(a + n); };");
    struct heap *a = heap_create(t, HEAP_BYTES_MAX_DEFAULT), *b = heap_create(t, HEAP_BYTES_MAX_DEFAULT);

    deliver_event(a, 1, "a");
    deliver_event(a, 1, "a");
    deliver_event(b, 1, "b");
    assert_string_equal(output(a), "a1 a2 ");
    assert_string_equal(output(b), "b1 ");
    assert_true(heap_private_bytes(a) > 0);
    assert_true(heap_private_bytes(a) < 512 * 1024);
    heap_destroy(&a);
    a = heap_create(t, HEAP_BYTES_MAX_DEFAULT);     /* from the pool: must be as new */
    assert_int_equal(heap_private_bytes(a), 0);
    deliver_event(a, 1, "c");
    assert_string_equal(output(a), "c1 ");
    heap_destroy(&a);
    heap_destroy(&b);
    template_unref(&t);
}

static void
test_traps(void **state)
{
    struct template *t = make_template(BUNDLE_HEAD
        "export default (e, a) => {\n"
        "  if (a === 'loop') for (;;);\n"
        "  if (a === 'bomb') { const x = []; for (;;) x.push(new ArrayBuffer(1 << 20)); }\n"
        "  if (a === 'deep') { const f = (n) => f(n + 1) + 1; try { f(0); } catch (x) { put(x.name); } }\n"
        "  if (a === 'regex') /(a+)+$/.test('a'.repeat(60) + 'b');\n"
        "  if (a === 'json') { try { JSON.parse('['.repeat(100000)); } catch (x) { put(x.name); } }\n"
        "  put('ok'); };");
    static const struct { const char *text; enum trap trap; } cases[] = {
        { "fine", TRAP_NONE }, { "loop", TRAP_CPU }, { "bomb", TRAP_MEMORY }, { "deep", TRAP_NONE }, { "json", TRAP_NONE }, { "regex", TRAP_CPU },
    };

    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct heap *heap = heap_create(t, HEAP_BYTES_MAX_DEFAULT), *neighbour = heap_create(t, HEAP_BYTES_MAX_DEFAULT);

        assert_int_equal(deliver_event(heap, 1, cases[i].text), cases[i].trap);
        if (cases[i].trap == TRAP_NONE)
            assert_non_null(strstr(output(heap), "ok"));
        assert_int_equal(deliver_event(neighbour, 1, "fine"), TRAP_NONE);
        assert_string_equal(output(neighbour), "ok ");
        heap_destroy(&heap);
        heap_destroy(&neighbour);
    }
    template_unref(&t);
}

static void
inside_wild_pointer(void *arg)
{
    (void)guest_mem(0xfffffff0u, 64);
}

static void
inside_wild_jump(void *arg)
{
    /* What a corrupted heap would do: read far outside of its pages, inside its reservation. */
    volatile uint8_t *p = engine_q.w2c_memory.data + (3ull << 30);

    (void)*p;
}

static void
test_faults_end_one_heap(void **state)
{
    struct template *t = make_template(BUNDLE_HEAD "export default (e, a) => put(a);");
    struct heap *heap = heap_create(t, HEAP_BYTES_MAX_DEFAULT);

    engine_init();                 /* the test library put its own fault handlers in place of ours */
    heap_enter(heap);
    assert_int_equal(engine_run(inside_wild_pointer, NULL), TRAP_FAULT);
    heap_leave();
    heap_enter(heap);
    assert_int_equal(engine_run(inside_wild_jump, NULL), TRAP_FAULT);
    heap_leave();
    heap_destroy(&heap);
    heap = heap_create(t, HEAP_BYTES_MAX_DEFAULT);
    assert_int_equal(deliver_event(heap, 1, "on"), TRAP_NONE);
    assert_string_equal(output(heap), "on ");
    heap_destroy(&heap);
    template_unref(&t);
}

static void
test_async_context(void **state)
{
    struct template *t = make_template(BUNDLE_HEAD
        "const tick = () => new Promise((r) => Promise.resolve().then(() => Promise.resolve()).then(r));\n"
        "const L = (s) => put(s + ':' + als.get() + section.get());\n"
        "async function* gen() { yield 1; await tick(); L('gen'); yield 2; }\n"
        "async function work(id) { L('start'); await null; L('a'); await tick(); L('b');\n"
        "  try { await Promise.reject(1); } catch { L('catch'); } finally { L('finally'); }\n"
        "  await als.run('inner' + id, async () => { await tick(); L('in'); }); L('out');\n"
        "  for await (const x of gen()) L('for' + x);\n"
        "  await { then(r) { L('thenable'); r(); } }; L('d');\n"
        "  queueMicrotask(() => L('micro')); await tick(); }\n"
        "export default (e, id) => { section.run(id === 'A' ? 7 : 0, () => als.run(id, () => work(id).then(() => L('then')))); L('after'); };");
    struct heap *heap = heap_create(t, HEAP_BYTES_MAX_DEFAULT);

    assert_int_equal(deliver_event(heap, 1, "A"), TRAP_NONE);
    assert_string_equal(output(heap), "start:A7 after:undefined0 a:A7 b:A7 catch:A7 finally:A7 in:innerA7 out:A7 for1:A7 gen:A7 for2:A7 "
                                      "thenable:A7 d:A7 micro:A7 then:A7 ");
    heap_destroy(&heap);
    template_unref(&t);
}

static void
test_rejections(void **state)
{
    struct template *t = make_template(BUNDLE_HEAD
        "export default (e, a) => { Promise.reject('lost'); const p = Promise.reject('kept'); queueMicrotask(() => p.catch(() => put('handled'))); };");
    struct heap *heap = heap_create(t, HEAP_BYTES_MAX_DEFAULT);

    assert_int_equal(deliver_event(heap, 1, ""), TRAP_NONE);
    assert_string_equal(output(heap), "handled unhandled:lost ");
    heap_destroy(&heap);
    template_unref(&t);
}

static void
test_collector_is_frozen(void **state)
{
    struct template *t = make_template(BUNDLE_HEAD
        "globalThis.keep = []; for (let i = 0; i < 20000; i++) keep.push({ i, self: null }); for (const k of keep) k.self = k;\n"
        "export default (e, a) => { for (let i = 0; i < 200000; i++) { const o = {}; o.o = o; } put(keep.length + keep[9].self.i); };");
    struct heap *heap = heap_create(t, HEAP_BYTES_MAX_DEFAULT);

    /* Collections must happen (200,000 cycles do not fit otherwise) and must not touch the frozen objects' pages. */
    assert_int_equal(deliver_event(heap, 1, ""), TRAP_NONE);
    assert_string_equal(output(heap), "20009 ");
    assert_true(heap_private_bytes(heap) < 8u << 20);
    heap_destroy(&heap);
    template_unref(&t);
}

static void
test_template_objects_can_change(void **state)
{
    struct template *t = make_template(BUNDLE_HEAD
        "class A { m() { return 1; } } const frozen = { a: 1 }; const list = [1, 2, 3]; const map = new Map([['k', 1]]);\n"
        "export default (e, a) => {\n"
        "  globalThis.fresh = a; for (let i = 0; i < 300; i++) globalThis['g' + i] = i; put(globalThis.g299 + fresh);\n"
        "  for (let i = 0; i < 100; i++) { frozen['p' + i] = i; list.push(i); map.set(i, i); A.prototype['x' + i] = () => i; }\n"
        "  delete frozen.a; A.prototype.m = function () { return 2; }; map.delete('k');\n"
        "  put([Object.keys(frozen).length, list.length, map.size, new A().m(), new A().x99()].join());\n"
        "  for (let i = 0; i < 300; i++) delete globalThis['g' + i]; put(typeof g5 + typeof fresh); };");

    for (int i = 0; i < 3; i++) {
        struct heap *heap = heap_create(t, HEAP_BYTES_MAX_DEFAULT);

        assert_int_equal(deliver_event(heap, 1, "!"), TRAP_NONE);
        assert_string_equal(output(heap), "299! 100,103,100,2,99 undefinedstring ");
        heap_destroy(&heap);
    }
    template_unref(&t);
}

/* Sealing and immortal counts write all over a template: nothing that JavaScript can see may change by it. */
static void
test_template_values_survive(void **state)
{
    struct template *t = make_template(BUNDLE_HEAD
        "const big = []; for (let i = 0; i < 20000; i++) big.push(i % 7 === 0 ? { i } : i % 5 === 0 ? -i : i % 3 === 0 ? i + 0.5 : 'v' + i);\n"
        "const texts = []; for (let i = 1; i < 60; i++) texts.push('x'.repeat(i * 97) + i);\n"
        "const typed = new Int32Array(50000).map((_, i) => i % 11 === 0 ? -1 : i * 7919);\n"
        "const map = new Map(big.map((v, i) => [i, v])), deep = JSON.parse(JSON.stringify({ big, texts }));\n"
        "const fns = Array.from({ length: 2000 }, (_, i) => (x) => x + i);\n"
        "function sum() { let h = 0; const add = (s) => { for (let i = 0; i < s.length; i++) h = (h * 31 + s.charCodeAt(i)) | 0; };\n"
        "  add(JSON.stringify(big)); texts.forEach(add); add(JSON.stringify(deep)); for (const v of typed) h = (h * 31 + v) | 0;\n"
        "  for (const [k, v] of map) add(k + String(v.i ?? v)); for (const f of fns) h = (h * 31 + f(1)) | 0; return h; }\n"
        "const before = sum(); export default () => put(before === sum() && before === sum());");
    struct heap *heap = heap_create(t, HEAP_BYTES_MAX_DEFAULT);

    assert_int_equal(deliver_event_within(heap, 1, "", 10), TRAP_NONE);
    assert_string_equal(output(heap), "true ");
    heap_destroy(&heap);
    template_unref(&t);
}

static void
test_template_pages_are_shared(void **state)
{
    struct template *t = make_template(BUNDLE_HEAD
        "const fns = []; for (let i = 0; i < 5000; i++) fns.push(new Object({ i, s: 'text' + i, f() { return this.i; } }));\n"
        "export default (e, a) => { let n = 0; for (const o of fns) n += o.f() + o.s.length; put(n); };");
    struct heap *heap = heap_create(t, HEAP_BYTES_MAX_DEFAULT);

    /* 5,000 objects are used; their pages hold about 1 MB. */
    assert_int_equal(deliver_event(heap, 1, ""), TRAP_NONE);
    assert_string_equal(output(heap), "12536390 ");
    assert_true(heap_private_bytes(heap) < 256 * 1024);
    heap_destroy(&heap);
    template_unref(&t);
}

static void
test_equal_pages_go_back(void **state)
{
    struct template *t = make_template(BUNDLE_HEAD
        "const cells = new Uint8Array(64 * 4096);\n"
        "export default (e, a) => { if (a === 'dirty') for (let i = 0; i < 60; i++) cells[i * 4096] = 1;\n"
        "  else if (a === 'half') for (let i = 0; i < 30; i++) cells[i * 4096] = 0; else put(cells.reduce((x, y) => x + y, 0)); };");
    struct heap *heap = heap_create(t, HEAP_BYTES_MAX_DEFAULT);
    size_t before;

    heap_use_pagemap(sys_open("/proc/self/pagemap", O_RDONLY, 0));
    assert_int_equal(deliver_event(heap, 1, "dirty"), TRAP_NONE);
    assert_int_equal(deliver_event(heap, 1, "half"), TRAP_NONE);
    before = heap_private_bytes(heap);
    assert_true(heap_share_again(heap) >= 29);
    assert_true(heap_private_bytes(heap) + 29 * 4096 <= before);
    assert_int_equal(deliver_event(heap, 1, "sum"), TRAP_NONE);
    assert_string_equal(output(heap), "30 ");
    heap_use_pagemap(-1);
    assert_int_equal(heap_share_again(heap), 0);
    heap_destroy(&heap);
    template_unref(&t);
}

static void
test_dead_pages_go_back(void **state)
{
    struct template *t = make_template(BUNDLE_HEAD
        "let kept = 0;\n"
        "function deep(n) { return n === 0 ? 0 : 1 + deep(n - 1); }\n"
        "export default (e, a) => { if (a === 'work') kept = deep(500) + JSON.stringify(new Array(50000).fill(7)).length; else put(kept); };");
    struct heap *heap = heap_create(t, HEAP_BYTES_MAX_DEFAULT);
    size_t before;

    heap_use_pagemap(sys_open("/proc/self/pagemap", O_RDONLY, 0));
    assert_int_equal(deliver_event(heap, 1, "work"), TRAP_NONE);
    before = heap_private_bytes(heap);
    assert_true(heap_share_again(heap) > 200 * 1024 / 4096);   /* the array and its text are free, and so is the stack */
    assert_true(heap_private_bytes(heap) + 200 * 1024 <= before);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(deliver_event(heap, 1, "work"), TRAP_NONE);
        assert_int_equal(deliver_event(heap, 1, ""), TRAP_NONE);
        assert_string_equal(output(heap), "100501 ");
        (void)heap_share_again(heap);
    }
    heap_use_pagemap(-1);
    heap_destroy(&heap);
    template_unref(&t);
}

static void
test_random_differs(void **state)
{
    struct template *t = make_template(BUNDLE_HEAD "export default () => put(Math.random());");
    struct heap *a = heap_create(t, HEAP_BYTES_MAX_DEFAULT), *b = heap_create(t, HEAP_BYTES_MAX_DEFAULT);
    char first[64];

    deliver_event(a, 1, "");
    deliver_event(b, 1, "");
    (void)snprintf(first, sizeof first, "%s", output(a));
    assert_string_not_equal(first, output(b));
    heap_destroy(&a);
    heap_destroy(&b);
    template_unref(&t);
}

static void
test_damaged_template_is_refused(void **state)
{
    struct template_error error = { 0 };
    struct template_source source = { BYTES_LIT(runtime_js), BYTES_LIT("export default () => {}"), BYTES_LIT("t") };
    struct template *t = NULL;
    struct err err = { 0 };
    int fd = memfd_create("template", MFD_CLOEXEC);
    uint8_t byte;

    assert_true(template_build(fd, &source, &error, &err));
    assert_false(template_open(&t, fd, BYTES_LIT("another runtime"), &err));
    assert_int_equal(err.code, ERR_VERSION);
    assert_int_equal(sys_pread(fd, &byte, 1, 12), 1);
    byte ^= 1;
    assert_int_equal(sys_pwrite(fd, &byte, 1, 12), 1);
    assert_false(template_open(&t, fd, BYTES_LIT(runtime_js), &err));
    assert_int_equal(err.code, ERR_CORRUPT);
    sys_close(fd);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_values), cmocka_unit_test(test_value_interface), cmocka_unit_test(test_modules),
        cmocka_unit_test(test_isolation_and_memory_return), cmocka_unit_test(test_traps), cmocka_unit_test(test_faults_end_one_heap),
        cmocka_unit_test(test_async_context), cmocka_unit_test(test_rejections), cmocka_unit_test(test_collector_is_frozen),
        cmocka_unit_test(test_template_objects_can_change), cmocka_unit_test(test_template_values_survive), cmocka_unit_test(test_template_pages_are_shared), cmocka_unit_test(test_equal_pages_go_back),
        cmocka_unit_test(test_dead_pages_go_back), cmocka_unit_test(test_random_differs), cmocka_unit_test(test_damaged_template_is_refused),
    };

    engine_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
