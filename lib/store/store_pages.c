/* store_pages — see store_pages.h. */
#include "lib/store/store_pages.h"

#include <assert.h>
#include <lz4.h>
#include <stdlib.h>
#include <string.h>

#define PAGES_VERSION 1

static_assert(PAGES_PART_MAX >= 1, "a part holds a page");
static_assert(PAGES_PART_MAX * STORE_PAGE_BYTES <= LZ4_MAX_INPUT_SIZE, "a part is one block");

static void
put32(uint8_t *at, uint32_t value)
{
    for (int i = 0; i < 4; i++)
        at[i] = (uint8_t)(value >> 8 * i);
}

static uint32_t
get32(const uint8_t *at)
{
    return at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

/* ---- writing --------------------------------------------------------------------------------------------------------- */

void
pages_pack(struct buf *out, const struct page_image *images, size_t count, uint32_t size_pages)
{
    static uint8_t raw[PAGES_PART_MAX * STORE_PAGE_BYTES];
    static LZ4_stream_t state; /* not on the stack: callers may run on a small one */
    size_t raw_bytes = count * STORE_PAGE_BYTES;
    uint8_t head[PAGES_HEAD_BYTES] = { PAGES_VERSION };
    int packed;

    assert(count >= 1 && count <= PAGES_PART_MAX);
    buf_reserve(out, PAGES_HEAD_BYTES + count * 4 + raw_bytes);
    for (size_t i = 0; i < count; i++) {
        put32(out->data + out->len + PAGES_HEAD_BYTES + i * 4, images[i].number);
        memcpy(raw + i * STORE_PAGE_BYTES, images[i].data, STORE_PAGE_BYTES);
    }
    packed = LZ4_compress_fast_extState(&state, (const char *)raw, (char *)out->data + out->len + PAGES_HEAD_BYTES + count * 4,
                                        (int)raw_bytes, (int)raw_bytes - 1, 1);
    head[1] = packed > 0 ? PAGES_LZ4 : PAGES_RAW;
    if (packed <= 0) {
        packed = (int)raw_bytes;
        memcpy(out->data + out->len + PAGES_HEAD_BYTES + count * 4, raw, raw_bytes);
    }
    put32(head + 4, size_pages);
    put32(head + 8, (uint32_t)count);
    put32(head + 12, (uint32_t)packed);
    memcpy(out->data + out->len, head, sizeof head);
    out->len += PAGES_HEAD_BYTES + count * 4 + (size_t)packed;
}

/* By page, the last image first. */
static int
image_compare(const void *a, const void *b)
{
    const struct page_image *x = a;
    const struct page_image *y = b;

    if (x->number != y->number)
        return x->number < y->number ? -1 : 1;
    return x->order > y->order ? -1 : x->order < y->order;
}

size_t
pages_latest(struct page_image *images, size_t count, uint32_t size_pages)
{
    size_t kept = 0;

    if (count > 1)
        qsort(images, count, sizeof *images, image_compare);
    for (size_t i = 0; i < count && images[i].number <= size_pages; i++)
        if (kept == 0 || images[kept - 1].number != images[i].number)
            images[kept++] = images[i];
    return kept;
}

/* ---- reading --------------------------------------------------------------------------------------------------------- */

static bool
malformed(struct err *err, const char *what)
{
    return err_set(err, ERR_MALFORMED, 0, "a page set is malformed: %s", what);
}

static bool
numbers_check(struct pages_reader *reader, const struct pages_part *part, struct err *err)
{
    for (uint32_t i = 0; i < part->count; i++) {
        uint32_t number = get32(part->numbers + (size_t)i * 4);
        if (number <= reader->last || number > reader->pages_max)
            return malformed(err, "page number");
        reader->last = number;
    }
    if (part->size_pages > reader->pages_max || (part->size_pages != 0 && reader->last > part->size_pages))
        return malformed(err, "size of the database");
    if (part->size_pages != 0)
        reader->last = 0;
    return true;
}

static bool
body_unpack(struct pages_reader *reader, struct pages_part *part, unsigned codec, struct bytes body, struct err *err)
{
    size_t raw_bytes = (size_t)part->count * STORE_PAGE_BYTES;

    part->pages = body.data;
    if (codec == PAGES_RAW)
        return body.len == raw_bytes ? true : malformed(err, "length of raw pages");
    if (codec != PAGES_LZ4)
        return malformed(err, "unknown codec");
    buf_clear(&reader->unpacked);
    buf_reserve(&reader->unpacked, raw_bytes);
    if (LZ4_decompress_safe((const char *)body.data, (char *)reader->unpacked.data, (int)body.len, (int)raw_bytes) != (int)raw_bytes)
        return malformed(err, "compressed pages");
    part->pages = reader->unpacked.data;
    return true;
}

bool
pages_next(struct pages_reader *reader, struct pages_part *out_part, bool *out_end, struct err *err)
{
    const uint8_t *at = reader->rest.data;
    size_t left = reader->rest.len;
    size_t body_bytes;

    *out_end = left == 0;
    if (left == 0)
        return reader->last == 0 ? true : malformed(err, "the last commit is not whole");
    if (left < PAGES_HEAD_BYTES)
        return malformed(err, "too short");
    if (at[0] != PAGES_VERSION)
        return malformed(err, "unknown version");
    if (at[2] != 0 || at[3] != 0)
        return malformed(err, "unknown flags");
    *out_part = (struct pages_part){ .size_pages = get32(at + 4), .count = get32(at + 8), .numbers = at + PAGES_HEAD_BYTES };
    body_bytes = get32(at + 12);
    if (out_part->count < 1 || out_part->count > PAGES_PART_MAX)
        return malformed(err, "count");
    left -= PAGES_HEAD_BYTES;
    if (body_bytes > PAGES_PART_MAX_BYTES || (size_t)out_part->count * 4 + body_bytes > left)
        return malformed(err, "too short");
    if (!numbers_check(reader, out_part, err) ||
        !body_unpack(reader, out_part, at[1], bytes_from(out_part->numbers + (size_t)out_part->count * 4, body_bytes), err))
        return false;
    left -= (size_t)out_part->count * 4 + body_bytes;
    reader->rest = bytes_from(reader->rest.data + reader->rest.len - left, left);
    return true;
}

struct page_image
pages_image(const struct pages_part *part, uint32_t index)
{
    assert(index < part->count);
    return (struct page_image){ .number = get32(part->numbers + (size_t)index * 4), .data = part->pages + (size_t)index * STORE_PAGE_BYTES };
}

void
pages_reader_fini(struct pages_reader *reader)
{
    buf_fini(&reader->unpacked);
}
