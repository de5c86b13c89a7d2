/*
 * store_image — see store_image.h.
 *
 * The page is a constant, and a database file holds nothing else until its first checkpoint, which syncs it. So a new database
 * file needs no sync of its own: when a power cut leaves it empty, the page is put back and the WAL beside it has all the rest.
 */
#include "lib/store/store_image.h"

#include <assert.h>
#include <string.h>

#include "lib/base/crc32c.h"
#include "lib/store/store_be.h"

#define NOTE_MARKS    0xffu                /* of struct store_base, a byte is kept */
#define NOTE_MARKS_AT (IMAGE_STAMP_BYTES + 11)

static void
page_make(uint8_t page[STORE_PAGE_BYTES])
{
    /* https://www.sqlite.org/fileformat.html section 1.3; what is not named here is zero, as in a file SQLite has just made. */
    memcpy(page, "SQLite format 3", 16);
    be_put16(page + 16, STORE_PAGE_BYTES);
    page[18] = page[19] = 2;               /* WAL mode */
    page[IMAGE_RESERVE_OFFSET] = IMAGE_SUM_BYTES;
    page[21] = 64;                         /* payload fractions, fixed by the format */
    page[22] = page[23] = 32;
    page[31] = 1;                          /* pages in the file */
    /* Section 1.6: an empty leaf page of the schema table. */
    page[IMAGE_HEADER_BYTES] = 0x0d;
    be_put16(page + IMAGE_HEADER_BYTES + 5, (uint16_t)(STORE_PAGE_BYTES - IMAGE_SUM_BYTES));
    image_sum_put(page, 1);
}

const uint8_t *
image_page(void)
{
    static uint8_t page[STORE_PAGE_BYTES];

    if (page[0] == 0)
        page_make(page);
    return page;
}

bool
image_has_sums(const uint8_t header[IMAGE_HEADER_BYTES])
{
    return header[IMAGE_RESERVE_OFFSET] == IMAGE_SUM_BYTES;
}

static uint32_t
sum_of(const uint8_t page[STORE_PAGE_BYTES], uint32_t number)
{
    const size_t skipped = IMAGE_STAMP_OFFSET + IMAGE_STAMP_BYTES + IMAGE_MEMO_BYTES, end = STORE_PAGE_BYTES - IMAGE_SUM_BYTES;
    uint8_t packed[4];
    uint32_t sum;

    be_put32(packed, number);
    sum = crc32c(0, packed, sizeof packed);
    if (number != 1)
        return crc32c(sum, page, end);
    sum = crc32c(sum, page, IMAGE_STAMP_OFFSET);
    return crc32c(sum, page + skipped, end - skipped);
}

void
image_sum_put(uint8_t page[STORE_PAGE_BYTES], uint32_t number)
{
    be_put32(page + STORE_PAGE_BYTES - IMAGE_SUM_BYTES, sum_of(page, number));
}

bool
image_sum_is_right(const uint8_t page[STORE_PAGE_BYTES], uint32_t number)
{
    return be_get32(page + STORE_PAGE_BYTES - IMAGE_SUM_BYTES) == sum_of(page, number);
}

enum image_state
image_state(const uint8_t *header, size_t header_bytes, int64_t file_bytes)
{
    if (header_bytes >= IMAGE_HEADER_BYTES && memcmp(header, "SQLite format 3", 16) == 0)
        return header[IMAGE_MARK_OFFSET] == IMAGE_MARK ? IMAGE_MARKED : IMAGE_SOUND;
    if (file_bytes > STORE_PAGE_BYTES)
        return IMAGE_SOUND;                /* SQLite will say that this is no database */
    for (size_t i = 0; i < header_bytes; i++)
        if (header[i] != 0)
            return IMAGE_SOUND;
    return IMAGE_MISSING;
}

bool
image_is_head(const uint8_t header[IMAGE_HEADER_BYTES])
{
    const uint8_t *fixed = header + 16;    /* page size (two bytes), write version, read version */

    return memcmp(header, image_page(), 16) == 0 && (fixed[0] | fixed[1]) != 0 && fixed[2] != 0 && fixed[3] != 0;
}

uint64_t
image_stamp_of(const uint8_t *header, size_t header_bytes)
{
    uint64_t stamp = 0;

    if (header_bytes < IMAGE_STAMP_OFFSET + IMAGE_STAMP_BYTES || header[IMAGE_STAMP_OFFSET] != 0)
        return 0;                          /* the mark, or no number of ours */
    for (int i = 0; i < IMAGE_STAMP_BYTES; i++)
        stamp = stamp << 8 | header[IMAGE_STAMP_OFFSET + i];
    return stamp;
}

static void
stamp_pack(uint8_t out[IMAGE_STAMP_BYTES], uint64_t stamp)
{
    for (int i = 0; i < IMAGE_STAMP_BYTES; i++)
        out[i] = (uint8_t)(stamp >> 8 * (IMAGE_STAMP_BYTES - 1 - i));
}

struct store_base
image_memo_of(const uint8_t *header, size_t header_bytes)
{
    const uint8_t *at = header + IMAGE_STAMP_OFFSET + IMAGE_STAMP_BYTES;

    if (image_stamp_of(header, header_bytes) == 0 || header_bytes < IMAGE_HEADER_BYTES)
        return (struct store_base){ 0 };
    return (struct store_base){ .time_s = be_get32(at), .kib = be_get32(at + 4), .marks = be_get32(at + 8) & NOTE_MARKS };
}

/* Never 0, which is what notes of before have. */
static uint32_t
note_sum(const uint8_t note[IMAGE_STAMP_BYTES + IMAGE_MEMO_BYTES])
{
    uint32_t sum = crc32c(0, note, IMAGE_STAMP_BYTES + 8);

    sum = crc32c(sum, note + NOTE_MARKS_AT, 1) >> 8;
    return sum == 0 ? 1 : sum;
}

void
image_note_pack(uint8_t out[IMAGE_STAMP_BYTES + IMAGE_MEMO_BYTES], uint64_t stamp, struct store_base memo)
{
    assert(memo.marks <= NOTE_MARKS);
    stamp_pack(out, stamp);
    be_put32(out + IMAGE_STAMP_BYTES, memo.time_s);
    be_put32(out + IMAGE_STAMP_BYTES + 4, memo.kib);
    be_put32(out + IMAGE_STAMP_BYTES + 8, memo.marks);
    be_put32(out + IMAGE_STAMP_BYTES + 8, note_sum(out) << 8 | memo.marks);
}

bool
image_note_is_right(const uint8_t header[IMAGE_HEADER_BYTES])
{
    const uint8_t *note = header + IMAGE_STAMP_OFFSET;
    const uint32_t sum = be_get32(note + IMAGE_STAMP_BYTES + 8) >> 8;

    return sum == 0 || sum == note_sum(note);
}

void
image_stamp(uint8_t page[STORE_PAGE_BYTES], uint64_t stamp)
{
    stamp_pack(page + IMAGE_STAMP_OFFSET, stamp);
}

void
image_hide_stamp(uint8_t *data, size_t len, int64_t at)
{
    for (int64_t i = IMAGE_STAMP_OFFSET; i < IMAGE_STAMP_OFFSET + IMAGE_STAMP_BYTES + IMAGE_MEMO_BYTES; i++)
        if (i >= at && i < at + (int64_t)len)
            data[i - at] = 0;
}
