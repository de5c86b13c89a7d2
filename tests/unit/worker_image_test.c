/* Heap images: a heap that slept goes on as if it had not; whatever is wrong with an image, it is refused as a whole. */
#include <fcntl.h>
#include <malloc.h>
#include <stdlib.h>

#include "src/worker/engine_chunks.h"
#include "src/worker/heap_internal.h"
#include "src/worker/image.h"
#include "src/worker/image_format.h"
#include "tests/unit/engine_rig.h"

#define COMMIT 42

static void
take(struct heap *heap, struct buf *out)
{
    buf_clear(out);
    assert_true(image_take(heap, &(struct image_label){ .commit = COMMIT, .kin = 1, .about = BYTES_LIT("about") }, out));
}

static struct heap *
apply(struct template *t, struct bytes image)
{
    struct heap *heap = NULL;
    struct bytes about;

    assert_int_equal(image_apply(image, t, HEAP_BYTES_MAX_DEFAULT, COMMIT, &heap, &about), IMAGE_FINE);
    assert_true(bytes_equal_str(about, "about"));
    return heap;
}

static struct heap *
sleep_and_wake(struct heap *heap, struct buf *image)
{
    struct template *t = heap_template(heap);

    take(heap, image);
    heap_destroy(&heap);
    return apply(t, buf_view(image));
}

/* ---- random programs ---- */

#define EVENTS 24
#define PROGRAMS_DEFAULT 150

static struct template *
programs_template(void)
{
    struct buf text = { 0 };
    int fd = sys_open("tests/unit/image_programs.js", O_RDONLY, 0);
    struct template *t;
    ssize_t n;

    assert_true(fd >= 0);
    do {
        buf_reserve(&text, 65536);
        n = sys_read(fd, text.data + text.len, text.cap - text.len);
        text.len += n > 0 ? (size_t)n : 0;
    } while (n > 0);
    sys_close(fd);
    t = make_template(buf_cstr(&text));
    buf_fini(&text);
    return t;
}

/* The transcript of program SEED; SLEEPS decides bit by bit after which events the heap sleeps. */
static void
run_program(struct template *t, unsigned seed, uint64_t sleeps, struct buf *transcript)
{
    struct heap *heap = heap_create(t, HEAP_BYTES_MAX_DEFAULT);
    struct buf image = { 0 };
    char start[32];

    (void)snprintf(start, sizeof start, "new %u", seed);
    assert_int_equal(deliver_event(heap, 1, start), TRAP_NONE);
    for (unsigned i = 0; i < EVENTS; i++) {
        if ((sleeps >> i & 1) != 0)
            heap = sleep_and_wake(heap, &image);
        assert_int_equal(deliver_event(heap, 1, "go"), TRAP_NONE);
        buf_append_str(transcript, output(heap));
        buf_append_byte(transcript, '\n');
    }
    heap_destroy(&heap);
    buf_fini(&image);
}

static void
compare_programs(unsigned programs)
{
    struct template *t = programs_template();
    struct buf awake = { 0 }, slept = { 0 };

    for (unsigned seed = 1; seed <= programs; seed++) {
        buf_clear(&awake);
        buf_clear(&slept);
        run_program(t, seed, 0, &awake);
        run_program(t, seed, seed % 2 == 0 ? ~0ull : rng_u64(), &slept);
        if (!bytes_equal(buf_view(&awake), buf_view(&slept)))
            fail_msg("program %u differs:\n%s\nafter sleeping:\n%s", seed, buf_cstr(&awake), buf_cstr(&slept));
    }
    buf_fini(&awake);
    buf_fini(&slept);
    template_unref(&t);
}

/* IMAGE_PROGRAMS=100000 runs more of them. */
static void
test_programs_go_on_after_sleeping(void **state)
{
    const char *wanted = getenv("IMAGE_PROGRAMS");

    heap_use_pagemap(sys_open("/proc/self/pagemap", O_RDONLY, 0));
    compare_programs(wanted != NULL ? (unsigned)strtoul(wanted, NULL, 10) : PROGRAMS_DEFAULT);
}

static void
test_programs_go_on_without_the_pagemap(void **state)
{
    heap_use_pagemap(-1);
    compare_programs(20);
}


/* What heap_scrub calls dead is dead: programs go on when it is full of rubbish. */
static void
test_programs_go_on_with_rubbish_in_freed_memory(void **state)
{
    struct template *t = programs_template();
    struct buf awake = { 0 }, scrubbed = { 0 }, dead = { 0 };
    size_t dead_pages = 0;

    for (unsigned seed = 1; seed <= 60; seed++) {
        struct heap *heap = heap_create(t, HEAP_BYTES_MAX_DEFAULT);
        char start[32];

        buf_clear(&awake);
        buf_clear(&scrubbed);
        run_program(t, seed, 0, &awake);
        (void)snprintf(start, sizeof start, "new %u", seed);
        assert_int_equal(deliver_event(heap, 1, start), TRAP_NONE);
        for (unsigned i = 0; i < EVENTS; i++) {
            buf_clear(&dead);
            heap_scrub(heap, 0xa5, NULL, &dead);
            for (size_t k = 0; k < dead.len; k += sizeof(struct page_range)) {
                struct page_range range;

                memcpy(&range, dead.data + k, sizeof range);
                memset(heap->base + range.first * (size_t)KERNEL_PAGE, 0xa5, (range.end - range.first) * (size_t)KERNEL_PAGE);
                dead_pages += range.end - range.first;
            }
            assert_int_equal(deliver_event(heap, 1, "go"), TRAP_NONE);
            buf_append_str(&scrubbed, output(heap));
            buf_append_byte(&scrubbed, '\n');
        }
        heap_destroy(&heap);
        if (!bytes_equal(buf_view(&awake), buf_view(&scrubbed)))
            fail_msg("program %u differs:\n%s\nwith rubbish:\n%s", seed, buf_cstr(&awake), buf_cstr(&scrubbed));
    }
    assert_true(dead_pages > 60 * EVENTS * 100);
    buf_fini(&awake);
    buf_fini(&scrubbed);
    buf_fini(&dead);
    template_unref(&t);
}

/* The control of the tests above: a heap that wakes from the image before last is noticed. */
static void
test_an_old_image_shows_in_the_transcript(void **state)
{
    struct template *t = programs_template();
    unsigned differing = 0;

    for (unsigned seed = 1; seed <= 20; seed++) {
        struct buf awake = { 0 }, old = { 0 };
        struct heap *heap = heap_create(t, HEAP_BYTES_MAX_DEFAULT);
        char start[32];

        run_program(t, seed, 0, &awake);
        (void)snprintf(start, sizeof start, "new %u", seed);
        assert_int_equal(deliver_event(heap, 1, start), TRAP_NONE);
        for (unsigned i = 0; i < EVENTS; i++) {
            struct buf image = { 0 };

            take(heap, &image);
            assert_int_equal(deliver_event(heap, 1, "go"), TRAP_NONE);
            buf_append_str(&old, output(heap));
            buf_append_byte(&old, '\n');
            if (i == EVENTS / 2) {
                heap_destroy(&heap);
                heap = apply(t, buf_view(&image));
            }
            buf_fini(&image);
        }
        heap_destroy(&heap);
        differing += !bytes_equal(buf_view(&awake), buf_view(&old));
        buf_fini(&awake);
        buf_fini(&old);
    }
    assert_int_equal(differing, 20);
    template_unref(&t);
}

/* ---- refusals ---- */

#define COUNTER BUNDLE_HEAD "let n = 0; const names = new Map(); export default (e, a) => { names.set(a, ++n); put(a + n + names.size); };"

static enum image_refusal
refusal_of(struct template *t, struct bytes image, uint32_t bytes_max, uint64_t commit)
{
    struct heap *heap = NULL;
    struct bytes about;
    enum image_refusal refusal = image_apply(image, t, bytes_max, commit, &heap, &about);

    assert_true((heap != NULL) == (refusal == IMAGE_FINE));
    heap_destroy(&heap);
    return refusal;
}

static struct template *
counter_with_image(struct buf *image)
{
    struct template *t = make_template(COUNTER);
    struct heap *heap = heap_create(t, HEAP_BYTES_MAX_DEFAULT);

    heap_use_pagemap(sys_open("/proc/self/pagemap", O_RDONLY, 0));
    assert_int_equal(deliver_event(heap, 1, "x"), TRAP_NONE);
    take(heap, image);                 /* the first of its kin */
    assert_int_equal(deliver_event(heap, 1, "y"), TRAP_NONE);
    take(heap, image);
    heap_destroy(&heap);
    return t;
}

static void
test_every_reason_is_told_apart(void **state)
{
    struct buf image = { 0 };
    struct template *t = counter_with_image(&image), *other = make_template(COUNTER "globalThis.more = 1;");
    struct image_header h;
    struct bytes view = buf_view(&image);

    assert_int_equal(refusal_of(t, view, HEAP_BYTES_MAX_DEFAULT, COMMIT), IMAGE_FINE);
    assert_int_equal(refusal_of(t, view, HEAP_BYTES_MAX_DEFAULT, COMMIT + 1), IMAGE_COMMIT);
    assert_int_equal(refusal_of(t, view, HEAP_BYTES_MAX_DEFAULT, COMMIT - 1), IMAGE_COMMIT);
    assert_int_equal(refusal_of(other, view, HEAP_BYTES_MAX_DEFAULT, COMMIT), IMAGE_TEMPLATE);
    assert_true(image.len < 2000);
    assert_int_equal(refusal_of(t, view, (uint32_t)template_bytes(t) - 65536, COMMIT), IMAGE_SIZE);
    assert_int_equal(refusal_of(t, BYTES_NONE, HEAP_BYTES_MAX_DEFAULT, COMMIT), IMAGE_CUT);
    buf_append_byte(&image, 0);
    assert_int_equal(refusal_of(t, buf_view(&image), HEAP_BYTES_MAX_DEFAULT, COMMIT), IMAGE_DAMAGED);
    image.len--;
    memcpy(&h, image.data, sizeof h);
    h.engine_hash[0] ^= 1;
    memcpy(image.data, &h, sizeof h);
    h.checksum = image_checksum(image.data, image.len);
    memcpy(image.data, &h, sizeof h);
    assert_int_equal(refusal_of(t, buf_view(&image), HEAP_BYTES_MAX_DEFAULT, COMMIT), IMAGE_ENGINE);
    h.version++;
    memcpy(image.data, &h, sizeof h);
    assert_int_equal(refusal_of(t, buf_view(&image), HEAP_BYTES_MAX_DEFAULT, COMMIT), IMAGE_FORMAT);
    for (int i = 0; i < IMAGE_REFUSALS; i++)
        assert_true(strlen(image_refusal_text((enum image_refusal)i)) > 3);
    buf_fini(&image);
    template_unref(&t);
    template_unref(&other);
}

static void
test_every_cut_and_every_flipped_bit_is_refused(void **state)
{
    struct buf image = { 0 };
    struct template *t = counter_with_image(&image);

    for (size_t len = 0; len < image.len; len++)
        assert_int_equal(refusal_of(t, bytes_from(image.data, len), HEAP_BYTES_MAX_DEFAULT, COMMIT), IMAGE_CUT);
    for (size_t bit = 0; bit < image.len * 8; bit++) {
        image.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_int_not_equal(refusal_of(t, buf_view(&image), HEAP_BYTES_MAX_DEFAULT, COMMIT), IMAGE_FINE);
        image.data[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    assert_int_equal(refusal_of(t, buf_view(&image), HEAP_BYTES_MAX_DEFAULT, COMMIT), IMAGE_FINE);
    buf_fini(&image);
    template_unref(&t);
}

/* Whoever can write an image can also compute its checksum: then the contents must not harm anything but that heap. */
static void
test_damage_under_a_right_checksum_harms_nobody(void **state)
{
    struct buf image = { 0 }, damaged = { 0 };
    struct template *t = counter_with_image(&image);
    struct heap *neighbour = heap_create(t, HEAP_BYTES_MAX_DEFAULT);
    unsigned refused = 0;

    assert_int_equal(deliver_event(neighbour, 1, "n"), TRAP_NONE);
    for (unsigned round = 0; round < 3000; round++) {
        struct image_header h;

        buf_clear(&damaged);
        buf_append_bytes(&damaged, buf_view(&image));
        for (unsigned i = 0; i <= round % 4; i++)
            damaged.data[sizeof h + rng_u64() % (image.len - sizeof h)] = (uint8_t)rng_u64();
        memcpy(&h, damaged.data, sizeof h);
        h.checksum = image_checksum(damaged.data, damaged.len);
        memcpy(damaged.data, &h, sizeof h);
        refused += refusal_of(t, buf_view(&damaged), HEAP_BYTES_MAX_DEFAULT, COMMIT) == IMAGE_DAMAGED;
    }
    assert_true(refused > 100);
    assert_string_equal(output(neighbour), "n11 ");
    heap_destroy(&neighbour);
    buf_fini(&image);
    buf_fini(&damaged);
    template_unref(&t);
}

/* ---- kin ---- */

#define BOOKS BUNDLE_HEAD \
    "let books; export default (e, a) => { books = books ?? Array.from({ length: 400 }, (_, i) => ({ title: 'book ' + i * 7919, f: () => i }));\n" \
    "  books.push(a); put(books.length + books[399].title + books[9].f() + books.at(-1)); };"

static void
test_kin_say_only_what_differs(void **state)
{
    const struct image_label label = { .commit = COMMIT, .about = BYTES_LIT("about") };
    struct template *t = make_template(BOOKS), *again = NULL;
    struct buf images[3] = { 0 }, alone = { 0 };
    struct heap *heap;
    struct bytes about;
    struct err err = { 0 };

    heap_use_pagemap(sys_open("/proc/self/pagemap", O_RDONLY, 0));
    for (int i = 0; i < 3; i++) {
        heap = heap_create(t, HEAP_BYTES_MAX_DEFAULT);
        assert_int_equal(deliver_event(heap, 1, i == 2 ? "second" : "first"), TRAP_NONE);
        (void)output(heap);
        take(heap, &images[i]);
        heap_destroy(&heap);
    }
    assert_true(images[0].len > 8000);
    assert_true(images[1].len < 600);
    assert_true(images[2].len < 800);
    heap = apply(t, buf_view(&images[2]));
    assert_int_equal(deliver_event(heap, 1, "third"), TRAP_NONE);
    assert_string_equal(output(heap), "402book 31596819third ");
    heap_destroy(&heap);
    assert_true(image_alone(buf_view(&images[2]), t, &label, &alone));
    assert_true(alone.len > 8000);
    assert_true(image_is_alone(buf_view(&alone)) && !image_is_alone(buf_view(&images[2])) && !image_is_alone(BYTES_NONE));

    /* In another process, here with the template opened anew, kin are strangers; what stands alone is welcome. */
    assert_true(template_open(&again, t->fd, BYTES_LIT(runtime_js), &err));
    template_unref(&t);
    t = again;
    assert_int_equal(image_apply(buf_view(&images[2]), t, HEAP_BYTES_MAX_DEFAULT, COMMIT, &heap, &about), IMAGE_KIN);
    heap = apply(t, buf_view(&alone));
    assert_int_equal(deliver_event(heap, 1, "fourth"), TRAP_NONE);
    assert_string_equal(output(heap), "402book 31596819fourth ");
    heap_destroy(&heap);
    alone.data[alone.len / 2] ^= 1;
    assert_false(image_alone(buf_view(&alone), t, &label, &images[1]));
    for (int i = 0; i < 3; i++)
        buf_fini(&images[i]);
    buf_fini(&alone);
    template_unref(&t);
}

/* ---- what sleeping costs ---- */

static size_t
mappings(void)
{
    struct buf text = { 0 };
    int fd = sys_open("/proc/self/maps", O_RDONLY, 0);
    size_t lines = 0;
    ssize_t n;

    do {
        buf_reserve(&text, 65536);
        n = sys_read(fd, text.data, 65536);
        for (ssize_t i = 0; i < n; i++)
            lines += text.data[i] == '\n';
    } while (n > 0);
    sys_close(fd);
    buf_fini(&text);
    return lines;
}

static void
test_a_thousand_cycles_leave_everything_as_it_was(void **state)
{
    struct buf image = { 0 };
    struct template *t = programs_template();
    struct heap *heap = heap_create(t, HEAP_BYTES_MAX_DEFAULT);
    size_t image_bytes, in_use, maps, private_bytes;

    heap_use_pagemap(sys_open("/proc/self/pagemap", O_RDONLY, 0));
    assert_int_equal(deliver_event(heap, 1, "new 7"), TRAP_NONE);
    for (int i = 0; i < 12; i++)
        assert_int_equal(deliver_event(heap, 1, "go"), TRAP_NONE);
    (void)output(heap);
    for (int i = 0; i < 3; i++)
        heap = sleep_and_wake(heap, &image);
    image_bytes = image.len;
    in_use = mallinfo2().uordblks;
    maps = mappings();
    private_bytes = heap_private_bytes(heap);
    for (int i = 0; i < 1000; i++)
        heap = sleep_and_wake(heap, &image);
    assert_int_equal(image.len, image_bytes);
    assert_int_equal(mallinfo2().uordblks, in_use);
    assert_int_equal(mappings(), maps);
    assert_int_equal(heap_private_bytes(heap), private_bytes);
    heap_destroy(&heap);
    buf_fini(&image);
    template_unref(&t);
}

/* The facts of engine_chunks.h: the chain of chunks behind the template's last one ends exactly at the foot. */
static unsigned
chunks_of(const struct heap *heap)
{
    uint64_t end = heap->pages * HEAP_PAGE, chunk = heap->template->wall - CHUNK_HEADER;
    uint32_t head, chunks = 0;

    assert_true(heap->template->wall > 0);
    for (;; chunks++) {
        assert_true(chunk + CHUNK_FOOT <= end);
        memcpy(&head, heap->base + chunk + 4, sizeof head);
        if (chunk + CHUNK_FOOT == end)
            break;
        assert_true((head & ~CHUNK_FLAGS) >= CHUNK_BYTES_MIN);
        if (chunks == 0)
            assert_true((head & CHUNK_IN_USE) != 0);
        chunk += head & ~CHUNK_FLAGS;
    }
    assert_int_equal(head, CHUNK_FOOT);
    return chunks;
}

static uint32_t
malloc_size_of(const struct heap *heap)
{
    uint32_t size;

    memcpy(&size, heap->base + heap->template->rt + RUNTIME_OFF_MALLOC_SIZE, sizeof size);
    return size;
}

/* Cycles that nobody refers to, 400 bytes per event, are collected long before the engine would. */
static void
test_garbage_between_turns_is_bounded(void **state)
{
    struct template *t = make_template(BUNDLE_HEAD
        "let kept; export default (e, a) => { if (a === 'keep') { kept = new ArrayBuffer(100000); return; }\n"
        "  const o = { a: [1, 2, 3], f: () => o, text: 'text of ' + kept?.byteLength }; o.self = o; };");
    struct heap *heap = heap_create(t, HEAP_BYTES_MAX_DEFAULT);
    uint32_t before = malloc_size_of(heap), most = 0;

    assert_int_equal(before, t->malloc_size);
    assert_int_equal(deliver_event(heap, 1, "keep"), TRAP_NONE);
    assert_in_range(malloc_size_of(heap) - before, 100000, 104000);
    for (int i = 0; i < 4000; i++) {
        assert_int_equal(deliver_event(heap, 1, ""), TRAP_NONE);
        if (malloc_size_of(heap) > most)
            most = malloc_size_of(heap);
    }
    assert_in_range(most - before, 100000 + GC_TURN_SLACK_BYTES / 2, 104000 + 2 * GC_TURN_SLACK_BYTES);
    heap_destroy(&heap);
    template_unref(&t);
}

static void
test_freed_memory_does_not_travel(void **state)
{
    struct template *t = make_template(BUNDLE_HEAD
        "let keep, noise = 1; const fill = (n) => { const a = new Uint32Array(n); for (let i = 0; i < n; i++) a[i] = noise = Math.imul(noise, 1664525) + 1013904223; return a; };\n"
        "export default (e, a) => { if (a === 'grow') { keep = []; for (let i = 0; i < 40; i++) keep.push(fill(50000)); put(keep.length); }\n"
        "  else if (a === 'free') { const some = keep[20]; keep = [some.slice(0, 2000)]; put(keep[0][1999]); }\n"
        "  else { put(keep[0][1999]); keep = fill(100000); put(keep[99999]); } };");
    struct heap *heap = heap_create(t, HEAP_BYTES_MAX_DEFAULT);
    struct buf image = { 0 };
    char first[64];

    heap_use_pagemap(sys_open("/proc/self/pagemap", O_RDONLY, 0));
    assert_int_equal(deliver_event(heap, 1, "grow"), TRAP_NONE);
    take(heap, &image);
    assert_true(image.len > 7u << 20);
    assert_true(chunks_of(heap) > 40);
    assert_int_equal(deliver_event(heap, 1, "free"), TRAP_NONE);
    (void)snprintf(first, sizeof first, "%s", output(heap));
    heap = sleep_and_wake(heap, &image);
    assert_true(image.len < 256u << 10);
    assert_true(chunks_of(heap) > 1);
    assert_int_equal(deliver_event(heap, 1, "again"), TRAP_NONE);
    assert_true(strncmp(output(heap), first + strlen("40 "), strlen(first) - strlen("40 ")) == 0);
    assert_true(chunks_of(heap) > 1);
    heap_destroy(&heap);
    buf_fini(&image);
    template_unref(&t);
}

static void
test_too_large_a_heap_is_not_imaged(void **state)
{
    struct template *t = make_template(BUNDLE_HEAD
        "const keep = []; let n = 1; export default () => { for (let i = 0; i < 36; i++) { const a = new Uint32Array(262144); for (let k = 0; k < a.length; k += 1) a[k] = n = Math.imul(n, 1664525) + 1013904223; keep.push(a); } };");
    struct heap *heap = heap_create(t, HEAP_BYTES_MAX_DEFAULT);
    struct buf image = { 0 };

    assert_int_equal(deliver_event_within(heap, 1, "", 20), TRAP_NONE);
    buf_append_str(&image, "before");
    assert_false(image_take(heap, &(struct image_label){ .commit = 1 }, &image));
    assert_int_equal(image.len, strlen("before"));
    heap_destroy(&heap);
    buf_fini(&image);
    template_unref(&t);
}

/* Every byte of HEAP is the template's, as far as that reaches. */
static bool
is_as_the_template(struct heap *heap)
{
    struct template *t = heap_template(heap);

    return memcmp(heap->base, template_view(t), t->pages * HEAP_PAGE) == 0;
}

static void
test_a_heap_from_the_pool_remembers_nothing(void **state)
{
    struct template *t = make_template(BUNDLE_HEAD
        "let n = 0, keep = ''; export default (e, a) => { keep += 'secret of ' + a; n++; put(n + keep); };");
    struct heap *heap;
    struct buf image = { 0 };
    const uint8_t *base = NULL;
    char secret[32];

    heap_use_pagemap(sys_open("/proc/self/pagemap", O_RDONLY, 0));
    for (unsigned i = 0; i < 2 * HEAP_USUAL_SCANS; i++) {
        heap = heap_create(t, HEAP_BYTES_MAX_DEFAULT);
        assert_true(is_as_the_template(heap));
        assert_true(base == NULL || heap->base == base);
        base = heap->base;
        if (i > HEAP_USUAL_SCANS)
            assert_true(heap_private_bytes(heap) > 0);         /* its usual pages, before anything ran */
        (void)snprintf(secret, sizeof secret, "%u", i);
        assert_int_equal(deliver_event(heap, 1, secret), TRAP_NONE);
        assert_true(strncmp(output(heap), "1secret of ", 11) == 0);
        assert_false(is_as_the_template(heap));
        if (i % 3 == 0)
            take(heap, &image);        /* what the page map said for the image is used again, or asked for anew */
        heap_destroy(&heap);
    }
    heap_pool_rest(HEAP_POOL_IN_USE);
    heap_pool_rest(HEAP_POOL_IN_USE);
    assert_int_equal(heap_private_bytes(&(struct heap){ .base = (uint8_t *)(uintptr_t)base }), 0);
    heap = heap_create(t, HEAP_BYTES_MAX_DEFAULT);
    assert_true(heap->base == base && is_as_the_template(heap));
    heap_destroy(&heap);
    buf_fini(&image);
    template_unref(&t);
}

#define LIVES 600

/* The memory of HEAP, whose image was just taken, with nothing where it is dead. */
static void
copy_of(struct heap *heap, struct buf *out)
{
    struct buf dead = { 0 };

    buf_clear(out);
    buf_append(out, heap->base, heap->pages * HEAP_PAGE);
    heap_scrub(heap, 0, NULL, &dead);
    for (size_t i = 0; i < dead.len / sizeof(struct page_range); i++) {
        struct page_range range;

        memcpy(&range, dead.data + i * sizeof range, sizeof range);
        memset(out->data + range.first * (size_t)KERNEL_PAGE, 0, (range.end - range.first) * (size_t)KERNEL_PAGE);
    }
    buf_fini(&dead);
}

/* Heaps of a class that have little in common, born, asleep, awake and gone in any order: each finds its memory as it left it, in whatever
 * range of the pool, and the newborn the template's. */
static void
test_every_heap_finds_its_memory(void **state)
{
    struct template *t = make_template(BUNDLE_HEAD
        "const kept = new Map(); export default (e, a) => { const n = Number(a); if (n % 3 === 0) kept.clear();\n"
        "  kept.set(a, n % 2 ? new Uint8Array(n * 300).fill(n) : Array.from({ length: n }, (_, i) => ({ [a + i]: i, f: () => n })));\n"
        "  globalThis['name' + n] = () => kept; globalThis.Array['own' + n % 5] = n; put(kept.size); };");
    struct {
        struct heap *heap;
        struct buf   image, copy;
    } beds[8] = { 0 };
    struct buf now = { 0 };
    size_t slept = 0;

    heap_use_pagemap(sys_open("/proc/self/pagemap", O_RDONLY, 0));
    for (unsigned life = 0; life < LIVES; life++) {
        size_t i = rng_u64() % ARRAY_LEN(beds);
        char text[16];

        if (beds[i].image.len > 0 && rng_u64() % 4 == 0) {
            buf_clear(&beds[i].image);     /* it dies in its sleep */
        } else if (beds[i].image.len > 0) {
            beds[i].heap = apply(t, buf_view(&beds[i].image));
            buf_clear(&beds[i].image);
            copy_of(beds[i].heap, &now);
            assert_int_equal(now.len, beds[i].copy.len);
            assert_memory_equal(now.data, beds[i].copy.data, now.len);
        } else if (beds[i].heap == NULL) {
            beds[i].heap = heap_create(t, HEAP_BYTES_MAX_DEFAULT);
            assert_true(is_as_the_template(beds[i].heap));
        } else if (rng_u64() % 5 == 0) {
            heap_destroy(&beds[i].heap);
        } else {
            (void)snprintf(text, sizeof text, "%u", slept == 0 ? 200 : (unsigned)(rng_u64() % (life % 32 == 0 ? 3000 : 40)));
            assert_int_equal(deliver_event(beds[i].heap, 1, text), TRAP_NONE);
            (void)output(beds[i].heap);
            take(beds[i].heap, &beds[i].image);
            copy_of(beds[i].heap, &beds[i].copy);
            heap_destroy(&beds[i].heap);
            slept++;
        }
    }
    assert_true(slept > LIVES / 8);
    for (size_t i = 0; i < ARRAY_LEN(beds); i++) {
        heap_destroy(&beds[i].heap);
        buf_fini(&beds[i].image);
        buf_fini(&beds[i].copy);
    }
    buf_fini(&now);
    template_unref(&t);
}

/* Growth is not the template's: the next heap may not find it. */
static void
test_a_pooled_heap_grows_from_nothing(void **state)
{
    struct template *t = make_template(BUNDLE_HEAD
        "let keep; export default (e, a) => { keep = new Uint32Array(1 << 20); const dirty = keep.some((x) => x !== 0); keep.fill(7); put(String(dirty)); };");
    struct heap *heap;

    heap_use_pagemap(sys_open("/proc/self/pagemap", O_RDONLY, 0));
    for (unsigned i = 0; i < 3; i++) {
        heap = heap_create(t, HEAP_BYTES_MAX_DEFAULT);
        assert_int_equal(heap->pages, t->pages);
        assert_int_equal(deliver_event(heap, 1, ""), TRAP_NONE);
        assert_true(heap->pages > t->pages);
        assert_string_equal(output(heap), "false ");
        assert_true(heap_own_count(heap) > HEAP_POOL_PAGES_MAX);
        heap_destroy(&heap);
    }
    template_unref(&t);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_programs_go_on_after_sleeping),
        cmocka_unit_test(test_programs_go_on_without_the_pagemap),
        cmocka_unit_test(test_programs_go_on_with_rubbish_in_freed_memory),
        cmocka_unit_test(test_an_old_image_shows_in_the_transcript),
        cmocka_unit_test(test_every_reason_is_told_apart),
        cmocka_unit_test(test_every_cut_and_every_flipped_bit_is_refused),
        cmocka_unit_test(test_damage_under_a_right_checksum_harms_nobody),
        cmocka_unit_test(test_kin_say_only_what_differs),
        cmocka_unit_test(test_a_thousand_cycles_leave_everything_as_it_was),
        cmocka_unit_test(test_garbage_between_turns_is_bounded),
        cmocka_unit_test(test_freed_memory_does_not_travel),
        cmocka_unit_test(test_too_large_a_heap_is_not_imaged),
        cmocka_unit_test(test_a_heap_from_the_pool_remembers_nothing),
        cmocka_unit_test(test_every_heap_finds_its_memory),
        cmocka_unit_test(test_a_pooled_heap_grows_from_nothing),
    };

    engine_init();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
