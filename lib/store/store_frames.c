/* store_frames — see store_frames.h. The format: https://www.sqlite.org/fileformat2.html#walformat */
#include "lib/store/store_frames.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/store/store_be.h"
#include "lib/store/store_blocks.h"
#include "lib/store/store_image.h"
#include "lib/store/store_wal.h"
#include "lib/sys/sys.h"

#define FRAME_HEAD_BYTES 24
#define FRAME_BYTES      (FRAME_HEAD_BYTES + STORE_PAGE_BYTES)
#define WAL_MAGIC        0x377f0682u       /* checksums are of little-endian words */
#define WAL_VERSION      3007000

struct frame {
    uint8_t  head[FRAME_HEAD_BYTES];
    uint8_t *page;                         /* NULL: db.sqlite has it */
};

struct frames {
    uint8_t       header[WAL_HEADER_BYTES];
    bool          has_header;
    struct frame *frame;
    uint32_t      count;
    uint32_t      cap;
    uint32_t      committed;               /* frames of commits that are over */
    uint32_t      taken;                   /* of these, given to frames_take() or never to be given */
    uint32_t      held;                    /* of the committed, those with a page here */
};

size_t frames_bytes_max = STORE_FRAMES_BYTES_MAX;

static size_t pages_bytes;                 /* of all stores of this process */

static uint32_t
frame_page(const struct frame *frame)
{
    return be_get32(frame->head);
}

/* Size of the database after the commit that ends here, 0 inside one. */
static uint32_t
frame_size(const struct frame *frame)
{
    return be_get32(frame->head + 4);
}

struct frames *
frames_create(void)
{
    struct frames *frames = calloc(1, sizeof *frames);

    assert(frames != NULL);
    return frames;
}

static void
page_free(struct frame *frame)
{
    if (frame->page == NULL)
        return;
    blocks_give(frame->page);
    frame->page = NULL;
    pages_bytes -= STORE_PAGE_BYTES;
}

static void
frames_cut(struct frames *frames, uint32_t count)
{
    for (uint32_t i = count; i < frames->count; i++)
        page_free(&frames->frame[i]);
    if (count < frames->count)
        frames->count = count;
    if (frames->count == 0) {
        free(frames->frame);
        frames->frame = NULL;
        frames->cap = 0;
    }
}

void
frames_destroy(struct frames **owned)
{
    if (*owned == NULL)
        return;
    frames_cut(*owned, 0);
    free(*owned);
    *owned = NULL;
}

/* ---- as a file -------------------------------------------------------------------------------------------------------- */

static struct frame *
frame_append(struct frames *frames)
{
    struct frame *frame;

    if (frames->count == frames->cap) {
        frames->cap = frames->cap == 0 ? 8 : frames->cap * 2;
        frames->frame = realloc(frames->frame, frames->cap * sizeof *frames->frame);
        assert(frames->frame != NULL);
    }
    frame = &frames->frame[frames->count++];
    memset(frame->head, 0, sizeof frame->head);
    frame->page = blocks_take(STORE_PAGE_BYTES);
    memset(frame->page, 0, STORE_PAGE_BYTES);
    pages_bytes += STORE_PAGE_BYTES;
    return frame;
}

/* The bytes of a frame at AT, as many as lie together, at most LEN. */
struct place {
    uint32_t index;
    size_t   offset;                       /* in the page when IN_PAGE, else in the head */
    size_t   len;
    bool     in_page;
};

static struct place
place_of(int64_t at, size_t len)
{
    int64_t in_frames = at - WAL_HEADER_BYTES;
    size_t offset = (size_t)(in_frames % FRAME_BYTES);
    bool in_page = offset >= FRAME_HEAD_BYTES;
    size_t end = in_page ? FRAME_BYTES : FRAME_HEAD_BYTES;

    return (struct place){
        .index = (uint32_t)(in_frames / FRAME_BYTES),
        .offset = in_page ? offset - FRAME_HEAD_BYTES : offset,
        .len = len < end - offset ? len : end - offset,
        .in_page = in_page,
    };
}

static bool
frames_are_full(const struct frames *frames)
{
    return frames->count - frames->committed >= STORE_TXN_BYTES_MAX / STORE_PAGE_BYTES || pages_bytes >= frames_bytes_max;
}

bool
frames_write(struct frames *frames, struct bytes data, int64_t at)
{
    if (at < WAL_HEADER_BYTES) {
        assert((size_t)at + data.len <= WAL_HEADER_BYTES);
        memcpy(frames->header + at, data.data, data.len);
        frames->has_header = true;
        return true;
    }
    while (data.len > 0) {
        struct place place = place_of(at, data.len);
        struct frame *frame;
        assert(place.index <= frames->count);
        assert(place.index >= frames->committed);  /* commits never change */
        if (place.index == frames->count && frames_are_full(frames))
            return false;
        frame = place.index == frames->count ? frame_append(frames) : &frames->frame[place.index];
        memcpy((place.in_page ? frame->page : frame->head) + place.offset, data.data, place.len);
        data = bytes_from(data.data + place.len, data.len - place.len);
        at += (int64_t)place.len;
    }
    return true;
}

/* Reads a page that was dropped. What db.sqlite does not have any more reads as zeros. False with EBADMSG: its checksum is wrong. */
static bool
page_read(int db_fd, bool has_sums, uint32_t page, uint8_t *to, size_t len, size_t offset)
{
    int64_t at = (int64_t)(page - 1) * STORE_PAGE_BYTES + (int64_t)offset;
    size_t got = 0;

    while (got < len) {
        ssize_t n = sys_pread(db_fd, to + got, len - got, at + (int64_t)got);
        if (n < 0)
            return false;
        if (n == 0)
            break;
        got += (size_t)n;
    }
    memset(to + got, 0, len - got);
    image_hide_stamp(to, len, at);
    if (has_sums && got == STORE_PAGE_BYTES && !image_sum_is_right(to, page)) {
        errno = EBADMSG;
        return false;
    }
    return true;
}

bool
frames_read(const struct frames *frames, int db_fd, bool has_sums, void *data, size_t len, int64_t at, size_t *out_got)
{
    uint8_t *to = data;

    *out_got = 0;
    if (at < WAL_HEADER_BYTES && frames->has_header) {
        size_t n = (size_t)(WAL_HEADER_BYTES - at) < len ? (size_t)(WAL_HEADER_BYTES - at) : len;
        memcpy(to, frames->header + at, n);
        *out_got = n;
    }
    while (*out_got < len && at + (int64_t)*out_got >= WAL_HEADER_BYTES) {
        struct place place = place_of(at + (int64_t)*out_got, len - *out_got);
        const struct frame *frame;
        if (place.index >= frames->count)
            break;
        frame = &frames->frame[place.index];
        if (!place.in_page)
            memcpy(to + *out_got, frame->head + place.offset, place.len);
        else if (frame->page != NULL)
            memcpy(to + *out_got, frame->page + place.offset, place.len);
        else if (!page_read(db_fd, has_sums, frame_page(frame), to + *out_got, place.len, place.offset))
            return false;
        *out_got += place.len;
    }
    return true;
}

void
frames_truncate(struct frames *frames, int64_t size)
{
    uint32_t count = size <= WAL_HEADER_BYTES ? 0 : (uint32_t)((size - WAL_HEADER_BYTES + FRAME_BYTES - 1) / FRAME_BYTES);

    assert(count == 0 || count >= frames->committed);
    frames_cut(frames, count);
    if (count == 0)
        frames->committed = frames->taken = frames->held = 0;
    if (size == 0)
        frames->has_header = false;
}

int64_t
frames_bytes(const struct frames *frames)
{
    return frames->has_header ? WAL_HEADER_BYTES + (int64_t)frames->count * FRAME_BYTES : 0;
}

/* ---- commits ---------------------------------------------------------------------------------------------------------- */

void
frames_commit(struct frames *frames, uint32_t count)
{
    assert(count > frames->committed && count <= frames->count);
    assert(frame_size(&frames->frame[count - 1]) != 0);
    frames->held += count - frames->committed;
    frames->committed = count;
    frames_cut(frames, count);
}

void
frames_rollback(struct frames *frames)
{
    frames_cut(frames, frames->committed);
}

uint32_t
frames_held(const struct frames *frames)
{
    return frames->held;
}

size_t
frames_memory(const struct frames *frames)
{
    return sizeof *frames + frames->cap * sizeof *frames->frame +
           (size_t)(frames->held + frames->count - frames->committed) * STORE_PAGE_BYTES;
}

bool
frames_are_taken(const struct frames *frames)
{
    return frames->taken == frames->committed;
}

/* The last images in frames FROM to END of pages within the database; only those held here. */
static struct page_image *
images_gather(const struct frames *frames, uint32_t from, uint32_t end, uint32_t size_pages, size_t *out_count)
{
    struct page_image *images = malloc((size_t)(end - from + 1) * sizeof *images);
    size_t found = 0;

    assert(images != NULL);
    for (uint32_t i = from; i < end; i++) {
        const struct frame *frame = &frames->frame[i];
        if (frame->page != NULL)
            images[found++] = (struct page_image){ .number = frame_page(frame), .order = i, .data = frame->page };
    }
    *out_count = pages_latest(images, found, size_pages);
    return images;
}

static void
commit_take(const struct frames *frames, uint32_t from, uint32_t end, void (*fn)(void *owner, struct bytes pages, bool more), void *owner)
{
    uint32_t size_pages = frame_size(&frames->frame[end - 1]);
    size_t count;
    struct page_image *images = images_gather(frames, from, end, size_pages, &count);
    struct buf out = { 0 };

    assert(count > 0);
    for (size_t at = 0; at < count; at += PAGES_PART_MAX) {
        bool more = count - at > PAGES_PART_MAX;
        buf_clear(&out);
        pages_pack(&out, images + at, more ? PAGES_PART_MAX : count - at, more ? 0 : size_pages);
        fn(owner, buf_view(&out), more);
    }
    buf_fini(&out);
    free(images);
}

void
frames_take(struct frames *frames, void (*fn)(void *owner, struct bytes pages, bool more), void *owner)
{
    while (frames->taken < frames->committed) {
        uint32_t from = frames->taken;
        uint32_t end = from;
        while (frame_size(&frames->frame[end]) == 0)
            end++;
        frames->taken = ++end;
        commit_take(frames, from, end, fn, owner);
    }
}

uint32_t
frames_size_pages(const struct frames *frames)
{
    return frames->committed == 0 ? 0 : frame_size(&frames->frame[frames->committed - 1]);
}

struct page_image *
frames_latest(const struct frames *frames, size_t *out_count, uint32_t *out_size_pages)
{
    *out_size_pages = frames_size_pages(frames);
    return images_gather(frames, 0, frames->committed, *out_size_pages, out_count);
}

void
frames_drop(struct frames *frames)
{
    for (uint32_t i = 0; i < frames->committed; i++)
        page_free(&frames->frame[i]);
    frames->held = 0;
}

/* ---- from page sets ---------------------------------------------------------------------------------------------------- */

static void
sum_add(uint32_t sum[2], const uint8_t *data, size_t len)
{
    for (size_t i = 0; i < len; i += 8) {
        sum[0] += __builtin_bswap32(be_get32(data + i)) + sum[1];
        sum[1] += __builtin_bswap32(be_get32(data + i + 4)) + sum[0];
    }
}

void
frames_fill(struct frames *frames, const struct page_image *images, size_t count, uint32_t size_pages)
{
    uint32_t sum[2] = { 0, 0 };

    assert(frames->count == 0 && count > 0 && size_pages > 0);
    be_put32(frames->header, WAL_MAGIC);
    be_put32(frames->header + 4, WAL_VERSION);
    be_put32(frames->header + 8, STORE_PAGE_BYTES);
    be_put32(frames->header + 12, 0);
    rng_bytes(frames->header + 16, 8);
    sum_add(sum, frames->header, 24);
    be_put32(frames->header + 24, sum[0]);
    be_put32(frames->header + 28, sum[1]);
    frames->has_header = true;
    for (size_t i = 0; i < count; i++) {
        struct frame *frame = frame_append(frames);
        be_put32(frame->head, images[i].number);
        be_put32(frame->head + 4, i + 1 == count ? size_pages : 0);
        memcpy(frame->head + 8, frames->header + 16, 8);
        memcpy(frame->page, images[i].data, STORE_PAGE_BYTES);
        sum_add(sum, frame->head, 8);
        sum_add(sum, frame->page, STORE_PAGE_BYTES);
        be_put32(frame->head + 16, sum[0]);
        be_put32(frame->head + 20, sum[1]);
    }
    frames->committed = frames->taken = frames->held = frames->count;
}
