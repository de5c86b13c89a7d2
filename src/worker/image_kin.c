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
    uint64_t (*pages)[PAGE_WORDS];
};

struct image_kin_maker {
    struct buf numbers, pages;
};

struct image_kin_maker *
image_kin_begin(void)
{
    struct image_kin_maker *maker = calloc(1, sizeof *maker);

    assert(maker != NULL);
    return maker;
}

void
image_kin_add(struct image_kin_maker *maker, uint32_t page, const void *own, const void *base)
{
    uint64_t own_words[PAGE_WORDS], base_words[PAGE_WORDS];

    if (maker->numbers.len / sizeof page >= IMAGE_KIN_PAGES_MAX)
        return;
    memcpy(own_words, own, sizeof own_words);
    memcpy(base_words, base, sizeof base_words);
    for (size_t i = 0; i < PAGE_WORDS; i++)
        own_words[i] ^= base_words[i];
    buf_append(&maker->numbers, &page, sizeof page);
    buf_append(&maker->pages, own_words, sizeof own_words);
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
    kin->pages = (uint64_t (*)[PAGE_WORDS])(void *)STEAL(maker->pages.data);
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

const uint64_t *
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
