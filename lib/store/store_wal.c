/*
 * store_wal — see store_wal.h. The format: https://www.sqlite.org/fileformat2.html#walformat
 *
 * A WAL that began on the empty database has written every page that the database has after its last commit. One that went
 * on after a checkpoint has not, unless it rewrote them all: then it needs nothing from below either.
 */
#include "lib/store/store_wal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "lib/base/bytes.h"
#include "lib/store/store_be.h"
#include "lib/store/store_limits.h"
#include "lib/store/store_vfs.h"
#include "lib/sys/sys.h"

#define WAL_MAGIC         0x377f0682u      /* the last bit: checksums are of big-endian words */
#define FRAME_HEAD_BYTES  24
#define FRAME_WHOLE_BYTES (FRAME_HEAD_BYTES + STORE_PAGE_BYTES)

struct walk {
    bool     is_big_endian;
    uint32_t sum[2];
    uint8_t  salts[8];
    uint8_t *seen;                         /* one bit per page written by a commit so far, or by the one being read */
    size_t   seen_bytes;
    uint32_t pages;                        /* size of the database after the last commit */
    bool     is_whole;
};

static void
sum_add(struct walk *walk, const uint8_t *data, size_t len)
{
    for (size_t i = 0; i + 8 <= len; i += 8) {
        uint32_t x[2] = { be_get32(data + i), be_get32(data + i + 4) };
        if (!walk->is_big_endian) {
            x[0] = __builtin_bswap32(x[0]);
            x[1] = __builtin_bswap32(x[1]);
        }
        walk->sum[0] += x[0] + walk->sum[1];
        walk->sum[1] += x[1] + walk->sum[0];
    }
}

static bool
sum_is(const struct walk *walk, const uint8_t *at)
{
    return be_get32(at) == walk->sum[0] && be_get32(at + 4) == walk->sum[1];
}

static bool
header_begin(struct walk *walk, const uint8_t *header)
{
    walk->is_big_endian = be_get32(header) & 1;
    sum_add(walk, header, 24);
    memcpy(walk->salts, header + 16, sizeof walk->salts);
    return (be_get32(header) & ~1u) == WAL_MAGIC && be_get32(header + 8) == STORE_PAGE_BYTES && sum_is(walk, header + 24);
}

static void
page_mark(struct walk *walk, uint32_t page)
{
    size_t need = page / 8 + 1;

    if (need > walk->seen_bytes) {
        walk->seen = realloc(walk->seen, need * 2);
        if (walk->seen == NULL)
            abort();
        memset(walk->seen + walk->seen_bytes, 0, need * 2 - walk->seen_bytes);
        walk->seen_bytes = need * 2;
    }
    walk->seen[page / 8] |= (uint8_t)(1u << page % 8);
}

static bool
pages_are_there(const struct walk *walk)
{
    for (uint32_t page = 1; page <= walk->pages; page++)
        if (page / 8 >= walk->seen_bytes || !(walk->seen[page / 8] >> page % 8 & 1))
            return false;
    return true;
}

/* False: the WAL ends here. */
static bool
frame_take(struct walk *walk, const uint8_t *frame)
{
    uint32_t page = be_get32(frame);
    uint32_t pages = be_get32(frame + 4);

    sum_add(walk, frame, 8);
    sum_add(walk, frame + FRAME_HEAD_BYTES, STORE_PAGE_BYTES);
    if (memcmp(frame + 8, walk->salts, sizeof walk->salts) != 0 || !sum_is(walk, frame + 16) || page == 0 ||
        page > STORE_BYTES_MAX / STORE_PAGE_BYTES)
        return false;
    page_mark(walk, page);
    if (pages != 0) {
        walk->pages = pages;
        walk->is_whole = pages_are_there(walk);
    }
    return true;
}

static bool
read_whole(int fd, uint8_t *data, size_t len, int64_t at)
{
    size_t got = 0;

    while (got < len) {
        ssize_t n = sys_pread(fd, data + got, len - got, at + (int64_t)got);
        if (n <= 0) {
            if (n == 0)
                errno = 0;
            return false;
        }
        got += (size_t)n;
    }
    return true;
}

static enum wal_state
wal_walk(int fd)
{
    static uint8_t frame[FRAME_WHOLE_BYTES];
    struct walk walk = { .is_whole = true };     /* without a commit nothing is missing */
    int64_t at = WAL_HEADER_BYTES;

    if (!read_whole(fd, frame, 1, 0))
        return errno == 0 ? WAL_ABSENT : WAL_UNREADABLE;
    if (!read_whole(fd, frame, WAL_HEADER_BYTES, 0))
        return errno == 0 ? WAL_WHOLE : WAL_UNREADABLE;
    if (!header_begin(&walk, frame))
        return WAL_WHOLE;                        /* SQLite will ignore it: nothing was ever synced behind it */
    for (; read_whole(fd, frame, sizeof frame, at) && frame_take(&walk, frame); at += FRAME_WHOLE_BYTES)
        errno = 0;
    free(walk.seen);
    if (errno != 0)
        return WAL_UNREADABLE;
    return walk.is_whole ? WAL_WHOLE : WAL_CONTINUES;
}

enum wal_state
wal_state(const char *path)
{
    enum wal_state state;
    int fd = vfs_path_open(path, O_RDONLY | O_NOFOLLOW, 0);
    int saved;

    if (fd < 0)
        return errno == ENOENT ? WAL_ABSENT : WAL_UNREADABLE;
    errno = 0;
    state = wal_walk(fd);
    saved = errno;
    (void)sys_close(fd);                         /* only read */
    errno = saved;
    return state;
}
