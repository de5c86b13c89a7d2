/* The reader of heap images: as it is, behind a right header, and with pages that no packer wrote. */
#include <assert.h>
#include <lz4.h>
#include <string.h>

#include "src/worker/image.h"
#include "src/worker/image_format.h"
#include "src/worker/image_kin.h"
#include "src/worker/worker_limits.h"
#include "tests/fuzz/fuzz_template.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

enum how { HOW_RAW, HOW_HEADER, HOW_PAGES, HOWS };

static const char runtime_js[] = "__host.install(() => {}, {}); delete globalThis.__host;";

static struct image_kin *
make_kin(void)
{
    static const uint64_t pages[3][IMAGE_PAGE_BYTES / sizeof(uint64_t)] = { { 0 }, { 1, 2, 3 }, { [500] = 7 } };
    struct image_kin_maker *maker = image_kin_begin(UINT32_MAX);

    for (uint32_t i = 1; i < 3; i++)
        image_kin_add(maker, 3 * i, pages[i]);
    return image_kin_end(&maker);
}

static void
put_block(struct buf *image, const uint8_t *data, size_t len)
{
    uint32_t lengths[2] = { (uint32_t)len, 0 };
    size_t bound = (size_t)LZ4_compressBound((int)len);

    buf_reserve(image, sizeof lengths + bound);
    lengths[1] = (uint32_t)LZ4_compress_default((const char *)data, (char *)image->data + image->len + sizeof lengths, (int)len, (int)bound);
    memcpy(image->data + image->len, lengths, sizeof lengths);
    image->len += sizeof lengths + lengths[1];
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static struct template *t;
    static struct buf image;
    struct image_header h = { .magic = IMAGE_MAGIC, .version = IMAGE_VERSION, .commit = 1 };
    struct heap *heap = NULL;
    struct buf alone = { 0 };
    struct bytes about;
    enum how how;

    if (len < 2)
        return 0;
    if (t == NULL) {
        t = fuzz_template(BYTES_LIT(runtime_js));
        t->kin[0] = make_kin();
    }
    how = (enum how)(data[0] % HOWS);
    h.heap_pages = (uint32_t)t->pages + data[1] % 4;
    h.kin = data[1] / 4 % 2;
    h.kin_checksum = image_kin_checksum(t->kin[0]);
    memcpy(h.engine_hash, t->engine_hash, sizeof h.engine_hash);
    memcpy(h.template_identity, t->identity, sizeof h.template_identity);
    buf_clear(&image);
    if (how != HOW_RAW)
        buf_append(&image, &h, sizeof h);
    if (how == HOW_PAGES)
        put_block(&image, data + 2, len - 2);
    else
        buf_append(&image, data + 2, len - 2);
    if (how != HOW_RAW) {
        h.bytes = image.len;
        memcpy(image.data, &h, sizeof h);
        h.checksum = image_checksum(image.data, image.len);
        memcpy(image.data, &h, sizeof h);
    }
    if (image_apply(buf_view(&image), t, HEAP_BYTES_MAX_DEFAULT, 1, &heap, &about) != IMAGE_FINE)
        assert(heap == NULL);
    else if (!image_alone(buf_view(&image), t, &(struct image_label){ .commit = 1 }, &alone))
        assert(alone.len == 0);
    heap_destroy(&heap);
    buf_fini(&alone);
    return 0;
}
