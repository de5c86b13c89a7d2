/* image_kin — see image_kin.h. */
#include "src/worker/image_kin.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/crc32c.h"
#include "src/worker/worker_limits.h"

struct image_kin {
    uint32_t  count, checksum;
    uint32_t *numbers;                 /* ascending */
    uint8_t (*pages)[IMAGE_PAGE_BYTES];
};

struct image_kin_maker {
    struct buf numbers, pages;
    uint32_t   end;
};

struct image_kin_maker *
image_kin_begin(uint32_t end)
{
    struct image_kin_maker *maker = calloc(1, sizeof *maker);

    assert(maker != NULL);
    maker->end = end;
    return maker;
}

void
image_kin_add(struct image_kin_maker *maker, uint32_t page, const void *content)
{
    if (maker->numbers.len / sizeof page >= IMAGE_KIN_PAGES_MAX || page >= maker->end)
        return;
    buf_append(&maker->numbers, &page, sizeof page);
    buf_append(&maker->pages, content, IMAGE_PAGE_BYTES);
}

struct image_kin *
image_kin_end(struct image_kin_maker **maker_ptr)
{
    struct image_kin_maker *maker = STEAL(*maker_ptr);
    struct image_kin *kin = calloc(1, sizeof *kin);

    assert(kin != NULL);
    kin->count = (uint32_t)(maker->numbers.len / sizeof *kin->numbers);
    kin->checksum = crc32c(crc32c(0, maker->numbers.data, maker->numbers.len), maker->pages.data, maker->pages.len);
    kin->numbers = (uint32_t *)(void *)STEAL(maker->numbers.data);
    kin->pages = (uint8_t (*)[IMAGE_PAGE_BYTES])STEAL(maker->pages.data);
    free(maker);
    return kin;
}

void
image_kin_drop(struct image_kin_maker **maker_ptr)
{
    struct image_kin_maker *maker = STEAL(*maker_ptr);

    if (maker == NULL)
        return;
    buf_fini(&maker->numbers);
    buf_fini(&maker->pages);
    free(maker);
}

void
image_kin_destroy(struct image_kin **kin_ptr)
{
    struct image_kin *kin = STEAL(*kin_ptr);

    if (kin == NULL)
        return;
    free(kin->numbers);
    free(kin->pages);
    free(kin);
}

uint32_t
image_kin_checksum(const struct image_kin *kin)
{
    return kin->checksum;
}

uint32_t
image_kin_count(const struct image_kin *kin)
{
    return kin != NULL ? kin->count : 0;
}

uint32_t
image_kin_number(const struct image_kin *kin, uint32_t index)
{
    assert(index < kin->count);
    return kin->numbers[index];
}

const uint8_t *
image_kin_page(const struct image_kin *kin, uint32_t page)
{
    uint32_t low = 0, high = kin != NULL ? kin->count : 0;

    while (low < high) {
        uint32_t middle = low + (high - low) / 2;

        if (kin->numbers[middle] == page)
            return kin->pages[middle];
        if (kin->numbers[middle] < page)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}
