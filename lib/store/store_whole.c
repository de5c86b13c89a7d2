/* store_whole — the whole of a journaled store as page sets: db.sqlite below, its WAL in memory above. */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "lib/store/store_frames.h"
#include "lib/store/store_internal.h"

struct whole {
    struct store            *store;
    const struct page_image *held;         /* what the WAL has that db.sqlite lacks, numbers rising */
    size_t                   held_count, held_next;
    uint32_t                 size_pages;
};

/* One part from FIRST on: COUNT pages. */
static bool
part_pack(struct whole *whole, struct buf *out, uint32_t first, size_t count, uint32_t size_pages, struct err *err)
{
    static uint8_t raw[PAGES_PART_MAX * STORE_PAGE_BYTES];
    static struct page_image images[PAGES_PART_MAX];
    int sys_errno = EIO;

    if (!vfs_pages_read(whole->store->db, first, count, raw, &sys_errno))
        return err_set(err, ERR_IO, sys_errno, "read '%s'", whole->store->path);
    for (size_t i = 0; i < count; i++) {
        images[i] = (struct page_image){ .number = first + (uint32_t)i, .data = raw + i * STORE_PAGE_BYTES };
        if (whole->held_next < whole->held_count && whole->held[whole->held_next].number == images[i].number)
            images[i].data = whole->held[whole->held_next++].data;
        else if (!vfs_page_is_right(whole->store->db, images[i].data, images[i].number))
            return err_set(err, ERR_CORRUPT, 0, "page %u of '%s' is damaged; restore it from a backup", images[i].number, whole->store->path);
    }
    pages_pack(out, images, count, size_pages);
    return true;
}

bool
store_image(struct store *store, void (*fn)(void *owner, struct bytes pages, bool more), void *owner, struct err *err)
{
    struct whole whole = { .store = store };
    struct page_image *held;
    struct buf out = { 0 };
    int sys_errno = EIO;
    bool ok = true;

    assert(store->options.is_journaled);
    held = frames_latest(vfs_frames(store->db), &whole.held_count, &whole.size_pages);
    whole.held = held;
    if (whole.size_pages == 0 && !vfs_file_pages(store->db, &whole.size_pages, &sys_errno))
        ok = err_set(err, ERR_IO, sys_errno, "look at '%s'", store->path);
    for (uint32_t at = 0; ok && at < whole.size_pages; at += PAGES_PART_MAX) {
        const bool more = whole.size_pages - at > PAGES_PART_MAX;

        buf_clear(&out);
        ok = part_pack(&whole, &out, at + 1, more ? PAGES_PART_MAX : whole.size_pages - at, more ? 0 : whole.size_pages, err);
        if (ok)
            fn(owner, buf_view(&out), more);
    }
    buf_fini(&out);
    free(held);
    return ok;
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
