/*
 * store_journaled — stores whose commits go to a journal: taking in what is on disk, redo, numbers, page sets, checkpoints.
 *
 * db.sqlite gets pages in two ways, both with the laws of docs/decisions/007-journal.md: a checkpoint copies the WAL's last images, and a long
 * redo is applied as it comes. Either may be cut off anywhere: who opens the database next gets the same records again.
 */
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/store/store_frames.h"
#include "lib/store/store_internal.h"
#include "lib/sys/sys.h"

/* ---- files of before --------------------------------------------------------------------------------------------------- */

static const char *const beside_names[] = { "-wal", "-journal" };

/* Whether files are beside the database that hold a part of it: the previous release's WAL, an import's, a rollback journal. */
bool
store_adopt_is_due(const char *path, int64_t *out_bytes)
{
    char beside[STORE_PATH_MAX_BYTES + 16];
    struct stat st;
    bool is_due = false;

    *out_bytes = 0;
    for (size_t i = 0; i < ARRAY_LEN(beside_names); i++) {
        (void)snprintf(beside, sizeof beside, "%s%s", path, beside_names[i]);
        if (sys_fstatat(AT_FDCWD, beside, &st, 0) != 0)
            continue;
        is_due = true;
        *out_bytes += st.st_size;
    }
    return is_due;
}

/* The files are gone from the folder for good, or an old WAL could come back after a power cut over newer pages. */
static bool
beside_remove(const char *path, struct err *err)
{
    char beside[STORE_PATH_MAX_BYTES + 16];
    char folder[STORE_PATH_MAX_BYTES + 1];
    int sys_errno = EIO;

    for (size_t i = 0; i < ARRAY_LEN(beside_names); i++) {
        (void)snprintf(beside, sizeof beside, "%s%s", path, beside_names[i]);
        if (sys_unlinkat(AT_FDCWD, beside, 0) != 0 && errno != ENOENT)
            return err_set(err, ERR_IO, errno, "remove '%s'", beside);
    }
    (void)snprintf(folder, sizeof folder, "%.*s", (int)(strrchr(path, '/') - path), path);
    if (!vfs_folder_sync(folder, VFS_FOLDERS_ABOVE, &sys_errno) && sys_errno != ENOENT)
        return err_set(err, ERR_IO, sys_errno, "sync '%s'", folder);
    return true;
}

bool
store_adopt(const char *path, struct err *err)
{
    const struct store_options options = { .is_foreign = true };
    char folder[STORE_PATH_MAX_BYTES + 1];
    struct store *store = NULL;
    int sys_errno = EIO;
    bool ok;
    int rc;

    (void)snprintf(folder, sizeof folder, "%.*s", (int)(strrchr(path, '/') - path), path);
    if (!store_open(&store, folder, &options, err))
        return false;
    rc = sqlite3_wal_checkpoint_v2(store->db, "main", SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
    ok = rc == SQLITE_OK ? true : store_fail(store, rc, err);
    store_close(&store);
    if (ok && !vfs_sums_renew(path, &sys_errno))       /* another program wrote it: one of ours leaves nothing beside it */
        ok = err_set(err, ERR_IO, sys_errno, "write checksums into '%s'", path);
    return ok ? beside_remove(path, err) : err_add(err, "take in '%s-wal'", path);
}

/* ---- redo ---------------------------------------------------------------------------------------------------------------- */

struct redo {
    struct store  *store;
    uint32_t       pages_max;
    uint32_t       size_pages;             /* of the database after the last commit */
    size_t         images_count;           /* in all page sets together */
    uint8_t       *seen;                   /* a bit per page */
    uint32_t       seen_pages;
    struct page_image *images;             /* owned */
    uint8_t       *images_data;            /* owned */
    size_t         images_filled;
};

typedef bool redo_part_fn(struct redo *redo, const struct pages_part *part, struct err *err);

static bool
redo_walk(struct redo *redo, redo_part_fn *fn, struct err *err)
{
    struct pages_reader reader = { .rest = redo->store->options.redo, .pages_max = redo->pages_max };
    struct pages_part part;
    bool end = false;
    bool ok;

    for (;;) {
        ok = pages_next(&reader, &part, &end, err);
        if (!ok)
            (void)err_set(err, ERR_CORRUPT, 0, "the journal's records of '%s' are damaged", redo->store->path);   /* false is returned below */
        if (!ok || end)
            break;
        ok = fn(redo, &part, err);
        if (!ok)
            break;
    }
    pages_reader_fini(&reader);
    return ok;
}

static void
page_see(struct redo *redo, uint32_t page)
{
    if (page >= redo->seen_pages) {
        uint32_t now = redo->seen_pages / 8;
        uint32_t need = page / 8 + 64;
        redo->seen = realloc(redo->seen, need);
        assert(redo->seen != NULL);
        memset(redo->seen + now, 0, need - now);
        redo->seen_pages = need * 8;
    }
    redo->seen[page / 8] |= (uint8_t)(1u << page % 8);
}

static bool
part_check(struct redo *redo, const struct pages_part *part, struct err *err)
{
    redo->images_count += part->count;
    if (part->size_pages != 0)
        redo->size_pages = part->size_pages;
    for (uint32_t i = 0; vfs_is_unborn(redo->store->db) && i < part->count; i++)
        page_see(redo, pages_image(part, i).number);
    return true;
}

/* Without a file beneath, the records must have every page but the first, which is a constant. */
static bool
redo_is_whole(const struct redo *redo)
{
    if (!vfs_is_unborn(redo->store->db))
        return true;
    for (uint32_t page = 2; page <= redo->size_pages; page++)
        if (page != STORE_PENDING_PAGE && (page >= redo->seen_pages || !(redo->seen[page / 8] >> page % 8 & 1)))
            return false;
    return true;
}

static bool
part_keep(struct redo *redo, const struct pages_part *part, struct err *err)
{
    for (uint32_t i = 0; i < part->count; i++) {
        struct page_image image = pages_image(part, i);
        uint8_t *copy = redo->images_data + redo->images_filled * STORE_PAGE_BYTES;
        memcpy(copy, image.data, STORE_PAGE_BYTES);
        image.data = copy;
        image.order = (uint32_t)redo->images_filled;
        redo->images[redo->images_filled++] = image;
    }
    return true;
}

/* The records become the WAL: one commit of the last image of each page. */
static bool
redo_fill(struct redo *redo, struct err *err)
{
    size_t kept;

    redo->images = malloc(redo->images_count * sizeof *redo->images);
    redo->images_data = malloc(redo->images_count * STORE_PAGE_BYTES);
    assert(redo->images != NULL);
    assert(redo->images_data != NULL);
    if (!redo_walk(redo, part_keep, err))
        return false;
    kept = pages_latest(redo->images, redo->images_filled, redo->size_pages);
    frames_fill(vfs_frames(redo->store->db), redo->images, kept, redo->size_pages);
    return true;
}

static bool
write_failed(struct store *store, int sys_errno, const char *what, struct err *err)
{
    bool is_full = sys_errno == ENOSPC || sys_errno == EDQUOT || sys_errno == EFBIG;

    return err_set(err, is_full ? ERR_DISK_FULL : ERR_IO, sys_errno, "%s '%s'", what, store->path);
}

static bool
part_write(struct redo *redo, const struct pages_part *part, struct err *err)
{
    struct page_image images[PAGES_PART_MAX];
    int sys_errno = EIO;

    for (uint32_t i = 0; i < part->count; i++)
        images[i] = pages_image(part, i);
    return vfs_pages_write(redo->store->db, images, part->count, &sys_errno)
               ? true
               : write_failed(redo->store, sys_errno, "apply the journal's records to", err);
}

/* Too much for memory: the records, which are durable, go into db.sqlite as they come. */
static bool
redo_write(struct redo *redo, struct err *err)
{
    struct store *store = redo->store;
    int sys_errno = EIO;

    if (!vfs_file_make(store->db, &sys_errno))
        return write_failed(store, sys_errno, "apply the journal's records to", err);
    if (!redo_walk(redo, part_write, err))
        return false;
    if (!vfs_stamp_write(store->db, redo->size_pages, store->options.redo_seq, &sys_errno))
        return write_failed(store, sys_errno, "apply the journal's records to", err);
    return true;
}

static bool
redo_apply(struct store *store, struct err *err)
{
    int64_t quota = store->options.bytes_max > STORE_BYTES_MAX ? store->options.bytes_max : STORE_BYTES_MAX;
    struct redo redo = { .store = store, .pages_max = (uint32_t)(quota / STORE_PAGE_BYTES) };
    bool is_headless = vfs_is_headless(store->db);
    bool ok;

    if (is_headless)
        vfs_set_unborn(store->db);         /* for the records alone, which may be all there ever was */
    if (vfs_stamp(store->db) > store->options.redo_seq)
        return err_set(err, ERR_CORRUPT, 0, "'%s' is newer than the journal's records of it; were they restored from a backup?", store->path);
    ok = redo_walk(&redo, part_check, err);
    if (ok && !redo_is_whole(&redo))
        ok = err_set(err, ERR_CORRUPT, 0, "'%s' is %s although the journal's records continue it; restore it from a backup", store->path,
                     is_headless ? "damaged" : "missing or empty");
    if (ok && redo.images_count <= STORE_REDO_BYTES_MAX / STORE_PAGE_BYTES)
        ok = redo_fill(&redo, err);
    else if (ok)
        ok = redo_write(&redo, err);
    free(redo.seen);
    free(redo.images);
    free(redo.images_data);
    return ok;
}

static int
commit_seen(void *owner, sqlite3 *db, const char *name, int wal_frames)
{
    struct store *store = owner;

    store->seq++;
    frames_commit(vfs_frames(db), (uint32_t)wal_frames);
    return SQLITE_OK;
}

bool
store_redo(struct store *store, struct err *err)
{
    struct bytes redo = store->options.redo;

    assert(redo.len == 0 || store->options.redo_seq > 0);
    /* All records that there are of it go on from what it has, whatever its number was. */
    if (redo.len == 0 && (vfs_is_headless(store->db) || vfs_has_lost_note(store->db)))
        return err_set(err, ERR_CORRUPT, 0, "'%s' is damaged; restore it from a backup", store->path);
    if (redo.len > 0 && !redo_apply(store, err))
        return false;
    store->options.redo = BYTES_NONE;      /* it was borrowed for the call */
    store->seq = vfs_stamp(store->db) > store->options.redo_seq ? vfs_stamp(store->db) : store->options.redo_seq;
    store->durable_seq = store->seq;
    (void)sqlite3_wal_hook(store->db, commit_seen, store);   /* gives the former hook: none */
    return true;
}

/* ---- numbers and page sets ----------------------------------------------------------------------------------------------- */

uint64_t
store_seq(const struct store *store)
{
    return store->seq;
}

void
store_set_durable(struct store *store, uint64_t seq)
{
    assert(store->options.is_journaled);
    assert(seq <= store->seq);
    if (seq > store->durable_seq)
        store->durable_seq = seq;
}

void
store_take_pages(struct store *store, void (*fn)(void *owner, struct bytes pages, bool more), void *owner)
{
    assert(store->options.is_journaled);
    frames_take(vfs_frames(store->db), fn, owner);
}

/* ---- checkpoints ----------------------------------------------------------------------------------------------------------- */

bool
store_wants_checkpoint(const struct store *store)
{
    return store->options.is_journaled && frames_held(vfs_frames(store->db)) > STORE_WAL_HELD_PAGES_MAX;
}

bool
store_is_checkpointed(const struct store *store)
{
    return !store->options.is_journaled || frames_held(vfs_frames(store->db)) == 0;
}

/*
 * db.sqlite has all of the WAL. SQLite starts the WAL over when it copies it itself, so it is let believe that it does. An open
 * cursor or transaction keeps it from that; then the WAL goes on, without the pages (store_frames.h).
 */
static void
wal_restart(struct store *store)
{
    struct err ignored;

    /* A turn that began to write and had nothing to write, CREATE TABLE IF NOT EXISTS, has left its transaction open. */
    if (store->broken == NULL && store->in_txn && store->depth == 0 && !store_is_dirty(store) && store_own_run(store, OWN_COMMIT, &ignored))
        store->in_txn = false;
    if (sqlite3_txn_state(store->db, "main") == SQLITE_TXN_NONE) {
        vfs_set_copied(store->db, true);
        (void)sqlite3_wal_checkpoint_v2(store->db, "main", SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);   /* else as with a cursor */
        vfs_set_copied(store->db, false);
    }
    frames_drop(vfs_frames(store->db));
}

bool
store_checkpoint(struct store *store, struct err *err)
{
    struct page_image *images;
    uint32_t size_pages;
    size_t count;
    int sys_errno = EIO;
    bool ok;

    assert(store->options.is_journaled);
    assert(store->durable_seq == store->seq);
    assert(frames_are_taken(vfs_frames(store->db)));
    if (store_is_checkpointed(store))
        return true;
    images = frames_latest(vfs_frames(store->db), &count, &size_pages);
    ok = vfs_file_make(store->db, &sys_errno) && vfs_pages_write(store->db, images, count, &sys_errno) &&
         vfs_stamp_write(store->db, size_pages, store->seq, &sys_errno);
    free(images);
    if (!ok)
        return write_failed(store, sys_errno, "checkpoint", err);
    wal_restart(store);
    return true;
}
