/*
 * store_pages_fuzz — page sets, as a journal may give them back. What is accepted is within its bounds, and the same when it is written
 * and read once more.
 */
#include <assert.h>
#include <string.h>

#include "lib/store/store_pages.h"

#define PAGES_MAX 1000

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* PART, packed and read, is PART. */
static void
check_again(const struct pages_part *part, const struct page_image *images)
{
    struct pages_reader reader = { .pages_max = PAGES_MAX };
    struct pages_part read;
    struct buf packed = { 0 };
    bool end = true;

    pages_pack(&packed, images, part->count, part->size_pages);
    assert(packed.len <= PAGES_PART_MAX_BYTES);
    reader.rest = buf_view(&packed);
    assert(pages_next(&reader, &read, &end, NULL));
    assert(!end);
    assert(reader.rest.len == 0);
    assert(read.count == part->count);
    assert(read.size_pages == part->size_pages);
    assert(memcmp(read.numbers, part->numbers, (size_t)part->count * 4) == 0);
    assert(memcmp(read.pages, part->pages, (size_t)part->count * STORE_PAGE_BYTES) == 0);
    pages_reader_fini(&reader);
    buf_fini(&packed);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    struct pages_reader reader = { .rest = bytes_from(data, len), .pages_max = PAGES_MAX };
    struct page_image images[PAGES_PART_MAX];
    struct pages_part part;
    struct err err = { 0 };
    bool end = false;
    uint32_t last = 0;

    while (pages_next(&reader, &part, &end, &err) && !end) {
        assert(part.count >= 1);
        assert(part.count <= PAGES_PART_MAX);
        for (uint32_t i = 0; i < part.count; i++) {
            images[i] = pages_image(&part, i);
            assert(images[i].number > last);
            assert(images[i].number <= PAGES_MAX);
            last = images[i].number;
        }
        assert(part.size_pages == 0 || last <= part.size_pages);
        if (part.size_pages != 0)
            last = 0;
        check_again(&part, images);
    }
    assert(end || err.code == ERR_MALFORMED);
    pages_reader_fini(&reader);
    return 0;
}
