/* store_whole — the whole of a journaled store as page sets: db.sqlite below, its WAL in memory above. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/store/store_frames.h"
#include "lib/store/store_image.h"
#include "lib/store/store_internal.h"

struct whole {
    struct store            *store;
    const struct page_image *held;         /* what the WAL has that db.sqlite lacks, numbers rising */
    size_t                   held_count, held_next;
    uint32_t                 size_pages;
    bool                     has_sums;
    bool                   (*is_wanted)(void *owner, uint32_t number, const uint8_t *page);   /* NULL: all are */
    void                   (*fn)(void *owner, struct bytes pages, bool more);
    void                    *owner;
    struct page_image       *images;       /* the part being gathered: PAGES_PART_MAX at most */
    uint8_t                 *pages;        /* theirs */
    size_t                   count;
    struct buf               out;
};

static void
part_end(struct whole *whole, bool more)
{
    buf_clear(&whole->out);
    pages_pack(&whole->out, whole->images, whole->count, more ? 0 : whole->size_pages);
    whole->count = 0;
    whole->fn(whole->owner, buf_view(&whole->out), more);
}

/* A part ends when another page comes: only then it is known not to be the last. */
static void
page_add(struct whole *whole, const struct page_image *image)
{
    uint8_t *data;

    if (whole->is_wanted != NULL && !whole->is_wanted(whole->owner, image->number, image->data))
        return;
    if (whole->count == PAGES_PART_MAX)
        part_end(whole, true);
    data = whole->pages + whole->count * STORE_PAGE_BYTES;
    memcpy(data, image->data, STORE_PAGE_BYTES);
    whole->images[whole->count++] = (struct page_image){ .number = image->number, .data = data };
}

/* A page of the WAL as db.sqlite will have it: the same page, before and after a checkpoint, is to be the same to IS_WANTED. */
static const uint8_t *
with_sum(const struct whole *whole, const uint8_t *page, uint32_t number)
{
    static uint8_t summed[STORE_PAGE_BYTES];

    if (whole->is_wanted == NULL || !whole->has_sums)
        return page;
    memcpy(summed, page, sizeof summed);
    image_sum_put(summed, number);
    return summed;
}

/* COUNT pages from FIRST on. */
static bool
pages_look(struct whole *whole, uint32_t first, size_t count, struct err *err)
{
    static uint8_t raw[PAGES_PART_MAX * STORE_PAGE_BYTES];
    int sys_errno = EIO;

    if (!vfs_pages_read(whole->store->db, first, count, raw, &sys_errno))
        return err_set(err, ERR_IO, sys_errno, "read '%s'", whole->store->path);
    for (size_t i = 0; i < count; i++) {
        struct page_image image = { .number = first + (uint32_t)i, .data = raw + i * STORE_PAGE_BYTES };

        const bool is_held = whole->held_next < whole->held_count && whole->held[whole->held_next].number == image.number;

        if (is_held)
            image.data = whole->held[whole->held_next++].data;
        if (image.number == 1)
            whole->has_sums = image_has_sums(image.data);
        if (is_held)
            image.data = with_sum(whole, image.data, image.number);
        else if (!vfs_page_is_right(whole->store->db, image.data, image.number))
            return err_set(err, ERR_CORRUPT, 0, "page %u of '%s' is damaged; restore it from a backup", image.number, whole->store->path);
        page_add(whole, &image);
    }
    return true;
}

bool
store_image_part(struct store *store, bool (*is_wanted)(void *owner, uint32_t number, const uint8_t *page),
                 void (*fn)(void *owner, struct bytes pages, bool more), void *owner, struct err *err)
{
    static uint8_t pages[PAGES_PART_MAX * STORE_PAGE_BYTES];
    static struct page_image images[PAGES_PART_MAX];
    struct whole whole = { .store = store, .is_wanted = is_wanted, .fn = fn, .owner = owner, .images = images, .pages = pages };
    struct page_image *held;
    int sys_errno = EIO;
    bool ok = true;

    assert(store->options.is_journaled);
    held = frames_latest(vfs_frames(store->db), &whole.held_count, &whole.size_pages);
    whole.held = held;
    if (whole.size_pages == 0 && !vfs_file_pages(store->db, &whole.size_pages, &sys_errno))
        ok = err_set(err, ERR_IO, sys_errno, "look at '%s'", store->path);
    for (uint32_t at = 0; ok && at < whole.size_pages; at += PAGES_PART_MAX)
        ok = pages_look(&whole, at + 1, whole.size_pages - at > PAGES_PART_MAX ? PAGES_PART_MAX : whole.size_pages - at, err);
    if (ok && whole.count > 0)
        part_end(&whole, false);
    buf_fini(&whole.out);
    free(held);
    return ok;
}

bool
store_image(struct store *store, void (*fn)(void *owner, struct bytes pages, bool more), void *owner, struct err *err)
{
    return store_image_part(store, NULL, fn, owner, err);
}

struct store_base
store_base(const struct store *store)
{
    return *vfs_base_memo(store->db);
}

void
store_set_base(struct store *store, struct store_base base)
{
    *vfs_base_memo(store->db) = base;
}

int64_t
store_image_bytes(const struct store *store)
{
    uint32_t pages = frames_size_pages(vfs_frames(store->db));
    int sys_errno;

    if (pages == 0 && !vfs_file_pages(store->db, &pages, &sys_errno))
        pages = 0;
    return (int64_t)pages * STORE_PAGE_BYTES;
}

bool
store_is_unborn(const struct store *store)
{
    return store->seq == 0 && vfs_is_unborn(store->db) && frames_size_pages(vfs_frames(store->db)) == 0;
}
