/*
 * engine_rig — templates and heaps with a runtime library of a few lines, for tests and benches of the engine.
 *
 * The bundle's default export gets (event number, text); what it hands to put() is output()'s.
 */
#ifndef DORMOUSE_TESTS_ENGINE_RIG_H
#define DORMOUSE_TESTS_ENGINE_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <cmocka.h>

#include "lib/sys/sys.h"
#include "src/worker/heap.h"
#include "src/worker/worker_limits.h"

static const char runtime_js[] =
    "{const host = __host; delete globalThis.__host; let out = '';\n"
    "Math.random = () => host.rand();\n"
    "globalThis.als = { run(v, f) { const p = host.alsSet(v); try { return f(); } finally { host.alsSet(p); } }, get: () => host.als() };\n"
    "globalThis.section = { run(n, f) { const p = host.csSet(n); try { return f(); } finally { host.csSet(p); } }, get: () => host.cs() };\n"
    "globalThis.put = (s) => { out += s + ' '; };\n"
    "host.install((event, arg) => {\n"
    "  if (event === 32) { put('unhandled:' + arg); return; }\n"
    "  if (event === 99) { const o = out; out = ''; return globalThis.result(o); }\n"
    "  host.exports().default(event, arg);\n"
    "}, { 'house:one': { default: 1, two: 2 }, 'node:os': { EOL: '\\n' } });}";

static struct template *
make_template(const char *bundle)
{
    struct template_error error = { 0 };
    struct template_source source = { BYTES_LIT(runtime_js), bytes_of(bundle), BYTES_LIT("test") };
    struct template *t = NULL;
    struct err err = { 0 };
    int fd = memfd_create("template", MFD_CLOEXEC);

    assert_true(fd >= 0);
    if (!template_build(fd, &source, &error, &err))
        fail_msg("template: %s %s", err.message, buf_cstr(&error.stack));
    if (!template_open(&t, fd, BYTES_LIT(runtime_js), &err))
        fail_msg("open: %s", err.message);
    sys_close(fd);
    buf_fini(&error.message);
    buf_fini(&error.stack);
    return t;
}

static char last_text[4096];

static void
collect(void *arg)
{
    /* Global `result` stores the text where the test reads it back. */
    jsval global = js_global(), v;
    struct bytes text;

    v = js_get_str(global, "lastOut");
    js_free(global);
    assert_true(js_to_utf8(v, &text));
    js_free(v);
    assert_true(text.len < sizeof last_text);
    memcpy(last_text, text.data, text.len + 1);
}

struct event {
    int         number;
    const char *text;
};

static void
deliver(void *arg)
{
    const struct event *e = arg;
    jsval v = js_new_string(bytes_of(e->text));

    heap_dispatch(e->number, 1, &v);
}

static enum trap
deliver_event_within(struct heap *heap, int number, const char *text, int cpu_s)
{
    struct event e = { number, text };
    enum trap trap;

    heap_enter(heap);
    engine_cpu_limit(clock_cpu_us() + cpu_s * 1000000);
    trap = engine_run(deliver, &e);
    heap_leave();
    return trap;
}

UNUSED static enum trap
deliver_event(struct heap *heap, int number, const char *text)
{
    return deliver_event_within(heap, number, text, 1);
}

static const char *
output(struct heap *heap)
{
    assert_int_equal(deliver_event(heap, 99, ""), TRAP_NONE);
    heap_enter(heap);
    assert_int_equal(engine_run(collect, NULL), TRAP_NONE);
    heap_leave();
    return last_text;
}

#define BUNDLE_HEAD "globalThis.result = (o) => { globalThis.lastOut = o; };\n"

#endif
