/* image — see image.h. The encoding of pages is in image_pages.c. */
#include "src/worker/image.h"

#include <assert.h>
#include <string.h>

#include "src/worker/heap_internal.h"
#include "src/worker/image_format.h"
#include "src/worker/image_pages.h"
#include "src/worker/worker_limits.h"

static void
seal(struct image_header *h, struct buf *out, size_t start)
{
    h->bytes = out->len - start;
    memcpy(out->data + start, h, sizeof *h);
    h->checksum = image_checksum(out->data + start, h->bytes);
    memcpy(out->data + start, h, sizeof *h);
}

/* ---- kin ---- */

static size_t
slot_of(unsigned class, unsigned variant)
{
    assert(class >= 1 && class <= IMAGE_KIN_MAX);
    return (size_t)variant * IMAGE_KIN_MAX + class - 1;
}

/* How many variants CLASS has: the next one's number. */
static unsigned
variants_of(const struct template *t, unsigned class)
{
    unsigned variant = 0;

    while (variant < IMAGE_KIN_VARIANTS && t->kin[slot_of(class, variant)] != NULL)
        variant++;
    return variant;
}

/* The slot of the kin that HEAP has most in common with; CLASS has some. */
static size_t
nearest(struct heap *heap, unsigned class, unsigned variants)
{
    size_t least = SIZE_MAX, found = slot_of(class, 0);

    for (unsigned i = 0; variants > 1 && i < variants; i++) {
        const size_t slot = slot_of(class, i), unlike = image_pages_unlike(heap, heap->template->kin[slot]);

        if (heap->template->kin[slot] == heap->kin)
            return slot;               /* it was made as that */
        if (unlike < least) {
            least = unlike;
            found = slot;
        }
    }
    return found;
}

/* An image of a class that is told as strange the 1st, 4th, 16th … time: some heaps are strange because they hold much, most because they
 * are of a kind that has no kin yet. */
static bool
is_new_kind(struct template *t, unsigned class, size_t bytes)
{
    unsigned count;

    if (bytes <= IMAGE_STRANGE_BYTES || variants_of(t, class) == IMAGE_KIN_VARIANTS)
        return false;
    count = ++t->kin_strangers[class - 1];
    return (count & (count - 1)) == 0 && (count & 0x55555555u) != 0;
}

static bool
pack_kin(struct heap *heap, unsigned class, size_t len_max, struct buf *out)
{
    struct image_kin_maker *maker = image_kin_begin(heap_spare_end(heap->template));

    if (!image_pages_pack(heap, NULL, len_max, out, maker)) {
        image_kin_drop(&maker);
        return false;
    }
    heap->template->kin[slot_of(class, variants_of(heap->template, class))] = image_kin_end(&maker);
    return true;
}

/* Appends the pages of HEAP, of CLASS, and says in H against which kin. */
static bool
pack(struct heap *heap, unsigned class, size_t len_max, struct image_header *h, struct buf *out)
{
    struct template *t = heap->template;
    const unsigned variants = class == 0 ? 0 : variants_of(t, class);
    const size_t start = out->len;
    size_t slot;

    if (class == 0)
        return image_pages_pack(heap, NULL, len_max, out, NULL);
    if (variants == 0)
        return pack_kin(heap, class, len_max, out);
    slot = nearest(heap, class, variants);
    if (!image_pages_pack(heap, t->kin[slot], len_max, out, NULL))
        return false;
    if (is_new_kind(t, class, out->len - start)) {
        out->len = start;
        return pack_kin(heap, class, len_max, out);
    }
    h->kin = (uint32_t)slot + 1;
    h->kin_checksum = image_kin_checksum(t->kin[slot]);
    return true;
}

bool
image_take(struct heap *heap, const struct image_label *label, struct buf *out)
{
    struct image_header h = {
        .magic = IMAGE_MAGIC, .version = IMAGE_VERSION, .commit = label->commit, .heap_pages = (uint32_t)heap->pages,
        .about_bytes = (uint32_t)label->about.len,
    };
    size_t start = out->len;

    assert(label->kin <= IMAGE_KIN_MAX);
    assert(heap != heap_current());
    assert(heap->template != NULL);
    assert(label->about.len <= IMAGE_ABOUT_BYTES_MAX);
    memcpy(h.engine_hash, heap->template->engine_hash, sizeof h.engine_hash);
    memcpy(h.template_identity, heap->template->identity, sizeof h.template_identity);
    buf_append(out, &h, sizeof h);
    buf_append_bytes(out, label->about);
    if (!pack(heap, label->kin, start + IMAGE_BYTES_MAX, &h, out)) {
        heap_forget_compared(heap);
        out->len = start;
        return false;
    }
    seal(&h, out, start);
    return true;
}

/* ---- reading ---- */

/* Whether IMAGE is whole and of this template; damage first, so that it is never taken for another deployment. */
static enum image_refusal
read_header(struct bytes image, const struct template *t, struct image_header *h)
{
    if (image.len < sizeof *h)
        return IMAGE_CUT;
    memcpy(h, image.data, sizeof *h);
    if (h->magic != IMAGE_MAGIC || h->version != IMAGE_VERSION)
        return IMAGE_FORMAT;
    if (image.len != h->bytes)
        return image.len < h->bytes ? IMAGE_CUT : IMAGE_DAMAGED;
    if (h->checksum != image_checksum(image.data, image.len) || h->about_bytes > image.len - sizeof *h)
        return IMAGE_DAMAGED;
    if (memcmp(h->engine_hash, t->engine_hash, sizeof h->engine_hash) != 0)
        return IMAGE_ENGINE;
    if (memcmp(h->template_identity, t->identity, sizeof h->template_identity) != 0)
        return IMAGE_TEMPLATE;
    if (h->kin > ARRAY_LEN(t->kin))
        return IMAGE_DAMAGED;
    if (h->kin != 0 && (t->kin[h->kin - 1] == NULL || image_kin_checksum(t->kin[h->kin - 1]) != h->kin_checksum))
        return IMAGE_KIN;
    return IMAGE_FINE;
}

static enum image_refusal
check(struct bytes image, const struct template *t, uint32_t bytes_max, uint64_t commit, struct image_header *h)
{
    enum image_refusal refusal = read_header(image, t, h);

    if (refusal != IMAGE_FINE)
        return refusal;
    if (h->commit != commit)
        return IMAGE_COMMIT;
    if (h->heap_pages < t->pages)
        return IMAGE_DAMAGED;
    return h->heap_pages > bytes_max / HEAP_PAGE ? IMAGE_SIZE : IMAGE_FINE;
}

enum image_refusal
image_check(struct bytes image, const struct template *template, uint32_t bytes_max, uint64_t commit)
{
    struct image_header h;

    return check(image, template, bytes_max, commit, &h);
}

static const struct image_kin *
kin_of(const struct image_header *h, const struct template *t)
{
    return h->kin == 0 ? NULL : t->kin[h->kin - 1];
}

static struct bytes
pages_of(const struct image_header *h, struct bytes image)
{
    return bytes_from(image.data + sizeof *h + h->about_bytes, image.len - sizeof *h - h->about_bytes);
}

enum image_refusal
image_apply(struct bytes image, struct template *template, uint32_t bytes_max, uint64_t commit, struct heap **out_heap,
            struct bytes *out_about)
{
    struct image_header h;
    enum image_refusal refusal = check(image, template, bytes_max, commit, &h);
    struct heap *heap;

    if (refusal != IMAGE_FINE)
        return refusal;
    heap = heap_create_as(template, kin_of(&h, template), bytes_max);
    if (heap == NULL)
        return IMAGE_MEMORY;
    if (!heap_grow_blank(heap, h.heap_pages - (uint32_t)heap->pages)) {
        heap_destroy(&heap);
        return IMAGE_MEMORY;
    }
    if (!image_pages_unpack(heap, kin_of(&h, template), pages_of(&h, image))) {
        heap_destroy(&heap);
        return IMAGE_DAMAGED;
    }
    *out_heap = heap;
    *out_about = bytes_from(image.data + sizeof h, h.about_bytes);
    return IMAGE_FINE;
}

bool
image_alone(struct bytes image, struct template *template, const struct image_label *label, struct buf *out)
{
    struct image_header h, alone;
    size_t start = out->len;

    assert(label->kin == 0);
    assert(label->about.len <= IMAGE_ABOUT_BYTES_MAX);
    if (read_header(image, template, &h) != IMAGE_FINE)
        return false;
    alone = h;
    alone.kin = alone.kin_checksum = 0;
    alone.commit = label->commit;
    alone.about_bytes = (uint32_t)label->about.len;
    buf_append(out, &alone, sizeof alone);
    buf_append_bytes(out, label->about);
    if (!image_pages_repack(template, h.heap_pages, kin_of(&h, template), pages_of(&h, image), out)) {
        out->len = start;
        return false;
    }
    seal(&alone, out, start);
    return true;
}

bool
image_is_alone(struct bytes image)
{
    struct image_header h;

    if (image.len < sizeof h)
        return false;
    memcpy(&h, image.data, sizeof h);
    return h.kin == 0;
}

const char *
image_refusal_text(enum image_refusal refusal)
{
    static const char *const texts[IMAGE_REFUSALS] = {
        [IMAGE_FINE] = "fine",
        [IMAGE_CUT] = "cut short",
        [IMAGE_FORMAT] = "another format",
        [IMAGE_DAMAGED] = "damaged",
        [IMAGE_ENGINE] = "another engine",
        [IMAGE_TEMPLATE] = "another deployment",
        [IMAGE_KIN] = "its kin is gone",
        [IMAGE_COMMIT] = "another commit",
        [IMAGE_SIZE] = "too large",
        [IMAGE_MEMORY] = "no address space",
    };
    return texts[refusal];
}
