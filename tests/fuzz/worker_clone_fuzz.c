/*
 * worker_clone_fuzz — the reader of structured clones: what other agents, databases and snapshots hold is bytes that anybody may have made.
 * They are read in a heap as agents have, or refused with an exception. What was read can be written, and is the same when it is read once more.
 */
#include <assert.h>

#include "src/worker/clone.h"
#include "src/worker/worker_limits.h"
#include "tests/fuzz/fuzz_template.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

#define HEAP_INPUTS 2000               /* then a new heap: what failed inputs leave behind in one must not add up */
#define INPUT_CPU_US 20000000

static const char runtime_js[] =
    "globalThis.DOMException = globalThis.DOMException || class DOMException extends Error { constructor(message, name) { super(message); this.name = name; } };"
    "__host.install(() => {}, {}); delete globalThis.__host;";

/* What V is written as; false: it cannot be, and an exception says so. */
static bool
written(jsval v, struct buf *out)
{
    struct bytes bytes;

    buf_clear(out);
    if (!clone_write(v, CLONE_STORAGE, &bytes)) {
        js_free(js_take_exception());
        return false;
    }
    buf_append_bytes(out, bytes);
    return true;
}

static void
read_it(void *input)
{
    static struct buf first, second;   /* a trap may leave this function at any call */
    const struct bytes *in = input;
    jsval v = clone_read(*in), again;

    if (js_is_exception(v)) {
        js_free(js_take_exception());
        return;
    }
    if (written(v, &first)) {
        again = clone_read(buf_view(&first));
        assert(!js_is_exception(again));
        assert(written(again, &second));
        assert(bytes_equal(buf_view(&first), buf_view(&second)));
        js_free(again);
    }
    js_free(v);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static struct template *t;
    static struct heap *heap;
    static unsigned inputs;
    struct bytes input = bytes_from(data, len);        /* of just its size: reading beyond it is found */
    enum trap trap;

    if (t == NULL)
        t = fuzz_template(BYTES_LIT(runtime_js));
    if (heap == NULL)
        heap = heap_create(t, HEAP_BYTES_MAX_DEFAULT);
    assert(heap != NULL);
    heap_enter(heap);
    engine_cpu_limit(clock_cpu_us() + INPUT_CPU_US);
    trap = engine_run(read_it, &input);
    heap_leave();
    assert(trap == TRAP_NONE || trap == TRAP_MEMORY || trap == TRAP_CPU);
    if (trap != TRAP_NONE || ++inputs % HEAP_INPUTS == 0)
        heap_destroy(&heap);
    return 0;
}
